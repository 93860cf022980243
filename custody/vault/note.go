package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A sealText is what a seal note says: which segments and how many records of each belong to the image, for good. What
// a dead client writes later does not count. One text per content: what parses renders to the same bytes.
type sealText struct {
	uuid       [16]byte
	superblock [32]byte // SHA-256 of the superblock
	sealed     time.Time
	bytes      int64 // of the source
	sector     uint32
	root       tlog.Hash
	headers    [32]byte // SHA-256 of the last segment's header, which chains to all before; zero without segments
	index      [32]byte // SHA-256 over the footer entries of all records
	stored     int64
	rescued    int64
	bad        int64
	untried    int64
	noFlush    bool
	segments   []sealedSegment
}

type sealedSegment struct{ number, records int }

const (
	sealHead    = "salvor/1 seal"
	maxSealNote = 4 << 20
)

func (t *sealText) records() int64 {
	n := int64(0)
	for _, s := range t.segments {
		n += int64(s.records)
	}
	return n
}

func (t *sealText) marshal() []byte {
	flush := "yes"
	if t.noFlush {
		flush = "no"
	}
	b := fmt.Appendf(nil, "%s\nimage %x\nsuperblock %x\nsealed %s\nsource %d %d\nroot %s\nheaders %x\nindex %x\n",
		sealHead, t.uuid, t.superblock, t.sealed.UTC().Format(time.RFC3339), t.bytes, t.sector,
		base64.StdEncoding.EncodeToString(t.root[:]), t.headers, t.index)
	b = fmt.Appendf(b, "stored %d\nrescued %d\nbad %d\nuntried %d\nflush %s\nrecords %d\nsegments %d\n",
		t.stored, t.rescued, t.bad, t.untried, flush, t.records(), len(t.segments))
	for _, s := range t.segments {
		b = fmt.Appendf(b, "segment %d %d\n", s.number, s.records)
	}
	return b
}

var errSealText = errors.New("not the text of a seal")

// parseSealText is the inverse of marshal and accepts nothing else.
func parseSealText(text []byte) (*sealText, error) {
	rest := string(text)
	line := func(name string) []string {
		l, after, ok := strings.Cut(rest, "\n")
		rest = after
		v, named := strings.CutPrefix(l, name)
		if !ok || !named {
			return nil
		}
		return strings.Fields(v)
	}
	t := new(sealText)
	good := true
	number := func(s string, limit int64) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 || n > limit {
			good = false
		}
		return n
	}
	fields := func(name string, n int) []string {
		f := line(name)
		if len(f) != n {
			good = false
			return make([]string, n)
		}
		return f
	}
	hexed := func(dst []byte, name string) {
		s := fields(name, 1)[0]
		if b, err := hex.DecodeString(s); err == nil && len(b) == len(dst) {
			copy(dst, b)
		} else {
			good = false
		}
	}
	const large = 1 << 62
	if l := line(sealHead); l == nil || len(l) != 0 {
		return nil, errSealText
	}
	hexed(t.uuid[:], "image ")
	hexed(t.superblock[:], "superblock ")
	sealed, err := time.Parse(time.RFC3339, fields("sealed ", 1)[0])
	good = good && err == nil
	t.sealed = sealed
	source := fields("source ", 2)
	t.bytes, t.sector = number(source[0], large), uint32(number(source[1], maxSector))
	root, err := base64.StdEncoding.DecodeString(fields("root ", 1)[0])
	good = good && err == nil && len(root) == len(t.root)
	copy(t.root[:], root)
	hexed(t.headers[:], "headers ")
	hexed(t.index[:], "index ")
	t.stored = number(fields("stored ", 1)[0], large)
	t.rescued = number(fields("rescued ", 1)[0], large)
	t.bad = number(fields("bad ", 1)[0], large)
	t.untried = number(fields("untried ", 1)[0], large)
	t.noFlush = fields("flush ", 1)[0] == "no"
	number(fields("records ", 1)[0], large)
	segments := number(fields("segments ", 1)[0], maxSegments)
	if !good {
		return nil, errSealText
	}
	last := -1
	for range segments {
		f := fields("segment ", 2)
		s := sealedSegment{int(number(f[0], maxSegments-1)), int(number(f[1], maxSegmentRecords))}
		if !good || s.number <= last || s.records == 0 {
			return nil, errSealText
		}
		last = s.number
		t.segments = append(t.segments, s)
	}
	if !bytes.Equal(t.marshal(), text) {
		return nil, errSealText
	}
	return t, nil
}

// splitNote returns the text of a signed note. It checks no signature.
func splitNote(msg []byte) ([]byte, error) {
	i := bytes.LastIndex(msg, []byte("\n\n"))
	if i < 0 || !bytes.HasSuffix(msg, []byte("\n")) || !bytes.HasPrefix(msg[i+2:], []byte("— ")) {
		return nil, errors.New("not a signed note")
	}
	return msg[:i+1], nil
}

// readSeal reads the seal of an image: nil, nil when there is none. torn tells of a note that is not whole, as a crash
// while sealing leaves it: the image is not sealed then.
func readSeal(st Store, ref ImageRef) (msg []byte, t *sealText, torn error, err error) {
	f, err := st.OpenMedia(ref.file(noteName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, nil
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: opening the seal: %w", ref, err)
	}
	defer leave(f)
	size, err := f.Size()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: size of the seal: %w", ref, err)
	}
	if size > maxSealNote {
		return nil, nil, fmt.Errorf("%w: seal of %d bytes", ErrRange, size), nil
	}
	msg = make([]byte, size)
	n, err := readFull(f, msg, 0)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: reading the seal: %w", ref, err)
	}
	text, err := splitNote(msg[:n])
	if err != nil {
		return nil, nil, err, nil
	}
	t, err = parseSealText(text)
	if err != nil {
		return nil, nil, err, nil
	}
	return msg, t, nil, nil
}

// SealRoot reads the tree root that the seal of an image states. No signature is
// checked: it tells a seal from another one, and proves nothing. It fails with
// fs.ErrNotExist when there is no seal.
func SealRoot(st Store, ref ImageRef) ([32]byte, error) {
	if err := ref.Valid(); err != nil {
		return [32]byte{}, err
	}
	_, t, torn, err := readSeal(st, ref)
	switch {
	case err != nil:
		return [32]byte{}, err
	case torn != nil:
		return [32]byte{}, fmt.Errorf("%w: %w", ErrCorrupt, torn)
	case t == nil:
		return [32]byte{}, fmt.Errorf("%s: %w", ref.file(noteName), fs.ErrNotExist)
	}
	return t.root, nil
}

// checkSignature wants the seal signed by verifier.
func checkSignature(msg []byte, verifier note.Verifier) error {
	if verifier == nil {
		return fmt.Errorf("%w: no key to check it with", ErrSignature)
	}
	if _, err := note.Open(msg, note.VerifierList(verifier)); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}
