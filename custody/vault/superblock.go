package vault

import (
	"crypto/ed25519"
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
)

// Sectors is the size of the source in logical sectors, the last one padded with zeros.
func (s *Superblock) Sectors() int64 {
	return (s.Bytes + int64(s.Sector) - 1) / int64(s.Sector)
}

// ReadSuperblock reads the superblock of an image and nothing else. [ErrNotFound] when there is no such image.
func ReadSuperblock(st Store, ref ImageRef) (Superblock, error) { return Superblock{}, errNotYet }

// Images names the images of a vault, sorted: every directory cases/CASE/NAME with a proper name, whether or not its
// content is whole.
func Images(st Store) ([]ImageRef, error) { return nil, errNotYet }
