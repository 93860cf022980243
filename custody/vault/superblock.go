package vault

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"path"
	"time"
)

// A Superblock is what is known about an image before its first byte. It is public: a machine that has nothing but the
// vault sees what is overdue.
type Superblock struct {
	UUID       [16]byte // zero in [Start]: drawn at random
	Sector     uint32   // logical sector of the source in bytes: a power of two from 512 to 65536
	Physical   uint32   // physical sector in bytes: a power of two from Sector to 1 MiB; 0 in [Start]: Sector
	Bytes      int64    // size of the source in bytes; need not be a multiple of Sector
	MaxRecord  uint32   // largest plaintext of a record in bytes; 0 in [Start]: [MaxRecord]
	MaxSegment int64    // largest segment in bytes; 0 in [Start]: [MaxSegment]
	Created    time.Time
	EraseBy    time.Time // at most one calendar year after Created
	Station    ed25519.PublicKey
}

// Limits of the format.
const (
	MaxRecord  = 1 << 20    // plaintext bytes of a DATA record
	MaxSegment = 4032 << 20 // bytes of a segment file: FAT32 and old SMB servers end at 4 GiB

	superblockMagic   = "SALVOR1\n"
	superblockVersion = 1
	superblockUsed    = 104

	minSector     = 512
	maxSector     = 64 << 10
	maxPhysical   = 1 << 20
	minMaxSegment = 64 << 10
	maxBytes      = 1 << 62 // so that whole sectors can be counted in bytes
	maxSectors    = 1 << 48 // so that an extent fits the index; 128 PiB of 512-byte sectors
)

// Sectors is the size of the source in logical sectors, the last one padded with zeros.
func (s *Superblock) Sectors() int64 {
	return (s.Bytes-1)/int64(s.Sector) + 1
}

// EraseByLimit is one calendar year after an image was begun, in UTC: the latest erase-by date the format accepts. One
// year after 29 February is 28 February.
func EraseByLimit(created time.Time) time.Time {
	created = created.UTC()
	limit := created.AddDate(1, 0, 0)
	if limit.Month() != created.Month() {
		limit = limit.AddDate(0, 0, -limit.Day())
	}
	return limit
}

// check holds a superblock against the limits of the format, whether it was read or is about to be written.
func (s *Superblock) check() error {
	switch {
	case s.UUID == [16]byte{}:
		return fmt.Errorf("%w: image id is zero", ErrRange)
	case s.Sector < minSector || s.Sector > maxSector || bits.OnesCount32(s.Sector) != 1:
		return fmt.Errorf("%w: logical sector of %d bytes", ErrRange, s.Sector)
	case s.Physical < s.Sector || s.Physical > maxPhysical || bits.OnesCount32(s.Physical) != 1:
		return fmt.Errorf("%w: physical sector of %d bytes", ErrRange, s.Physical)
	case s.Bytes < 1 || s.Bytes > maxBytes || s.Sectors() > maxSectors:
		return fmt.Errorf("%w: source of %d bytes", ErrRange, s.Bytes)
	case s.MaxRecord < maxSector || s.MaxRecord > MaxRecord || s.MaxRecord%s.Sector != 0:
		return fmt.Errorf("%w: largest record of %d bytes", ErrRange, s.MaxRecord)
	case s.MaxSegment < minMaxSegment+int64(s.MaxRecord) || s.MaxSegment > MaxSegment:
		return fmt.Errorf("%w: largest segment of %d bytes", ErrRange, s.MaxSegment)
	case s.Created.Unix() <= 0:
		return fmt.Errorf("%w: created %v", ErrRange, s.Created)
	case s.EraseBy.Before(s.Created) || s.EraseBy.After(EraseByLimit(s.Created)):
		return fmt.Errorf("%w: %s for an image of %s", ErrEraseBy, s.EraseBy.UTC().Format(time.RFC3339), s.Created.UTC().Format(time.RFC3339))
	case len(s.Station) != ed25519.PublicKeySize:
		return fmt.Errorf("%w: station key of %d bytes", ErrRange, len(s.Station))
	}
	return nil
}

// marshal renders a checked superblock as one block.
func (s *Superblock) marshal() []byte {
	b := make([]byte, blockSize)
	le.PutUint32(b[8:], superblockVersion)
	le.PutUint32(b[12:], s.Sector)
	copy(b[16:32], s.UUID[:])
	le.PutUint64(b[32:], uint64(s.Bytes))
	le.PutUint32(b[40:], s.Physical)
	le.PutUint32(b[44:], s.MaxRecord)
	le.PutUint64(b[48:], uint64(s.MaxSegment))
	le.PutUint64(b[56:], uint64(s.Created.Unix()))
	le.PutUint64(b[64:], uint64(s.EraseBy.Unix()))
	copy(b[72:104], s.Station)
	finishBlock(b, superblockMagic)
	return b
}

func parseSuperblock(b []byte) (Superblock, error) {
	if len(b) == blockSize && string(b[:6]) == superblockMagic[:6] && string(b[:magicSize]) != superblockMagic {
		return Superblock{}, fmt.Errorf("%w: magic %q", ErrNewer, b[:magicSize])
	}
	if err := checkBlock(b, superblockMagic, superblockUsed); err != nil {
		return Superblock{}, err
	}
	if v := le.Uint32(b[8:]); v != superblockVersion {
		return Superblock{}, fmt.Errorf("%w: version %d", ErrNewer, v)
	}
	s := Superblock{
		Sector:     le.Uint32(b[12:]),
		UUID:       [16]byte(b[16:32]),
		Bytes:      int64(le.Uint64(b[32:])),
		Physical:   le.Uint32(b[40:]),
		MaxRecord:  le.Uint32(b[44:]),
		MaxSegment: int64(le.Uint64(b[48:])),
		Station:    ed25519.PublicKey(append([]byte(nil), b[72:104]...)),
	}
	created, erase := le.Uint64(b[56:]), le.Uint64(b[64:])
	if created > maxUnix || erase > maxUnix {
		return Superblock{}, fmt.Errorf("%w: time stamp", ErrRange)
	}
	s.Created, s.EraseBy = time.Unix(int64(created), 0).UTC(), time.Unix(int64(erase), 0).UTC()
	if err := s.check(); err != nil {
		return Superblock{}, err
	}
	return s, nil
}

const maxUnix = 253402300799 // the last second of the year 9999

// readSuperblock returns the superblock and its SHA-256, the sum over one of the two equal copies. Either copy alone is
// enough to work with; whole tells whether both are there.
func readSuperblock(st Store, ref ImageRef) (s Superblock, sum [32]byte, whole bool, err error) {
	// Past the cache: it is small, and a verification has to see what is there when the power is gone.
	f, err := st.OpenMedia(ref.file(superblockName))
	if errors.Is(err, fs.ErrNotExist) {
		return s, sum, false, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	if err != nil {
		return s, sum, false, fmt.Errorf("%s: opening the superblock: %w", ref, err)
	}
	defer leave(f)
	b := make([]byte, 2*blockSize)
	n, err := readFull(f, b, 0)
	if err != nil {
		return s, sum, false, fmt.Errorf("%s: reading the superblock: %w", ref, err)
	}
	first, ferr := parseSuperblock(b[:min(n, blockSize)])
	second, serr := parseSuperblock(b[blockSize:max(n, blockSize)])
	size, err := f.Size()
	if err != nil {
		return s, sum, false, fmt.Errorf("%s: size of the superblock: %w", ref, err)
	}
	switch {
	case ferr == nil && serr == nil:
		if string(b[:blockSize]) != string(b[blockSize:]) {
			return s, sum, false, &CorruptError{ref, -1, -1, "the two superblocks differ", nil}
		}
		return first, sha256.Sum256(b[:blockSize]), size == 2*blockSize, nil
	case ferr == nil:
		return first, sha256.Sum256(b[:blockSize]), false, nil
	case serr == nil:
		return second, sha256.Sum256(b[blockSize:]), false, nil
	case errors.Is(ferr, ErrNewer):
		return s, sum, false, fmt.Errorf("%s: %w", ref, ferr)
	}
	return s, sum, false, &CorruptError{ref, -1, -1, "superblock", ferr}
}

// ReadSuperblock reads the superblock of an image and nothing else. [ErrNotFound] when there is no such image.
func ReadSuperblock(st Store, ref ImageRef) (Superblock, error) {
	if err := ref.Valid(); err != nil {
		return Superblock{}, err
	}
	s, _, _, err := readSuperblock(st, ref)
	return s, err
}

// Images names the images of a vault, sorted: every directory cases/CASE/NAME with a proper name, whether or not its
// content is whole.
func Images(st Store) ([]ImageRef, error) {
	cases, err := st.List(casesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the cases: %w", err)
	}
	var refs []ImageRef
	for _, c := range cases {
		if !c.Dir || !casePattern.MatchString(c.Name) {
			continue
		}
		images, err := st.List(path.Join(casesDir, c.Name))
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", c.Name, err)
		}
		for _, e := range images {
			if ref := (ImageRef{c.Name, e.Name}); e.Dir && ref.Valid() == nil {
				refs = append(refs, ref)
			}
		}
	}
	return refs, nil
}
