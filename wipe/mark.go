package wipe

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Names of what salvor writes into an image's directories. The container's
// format is version 1 for good; a later one gets another magic, and so is refused
// here as foreign until this package has learnt it.
const (
	markerName     = "salvor-vault.json"
	superblockName = "image.slv"
	sealName       = "seal.note"
)

var (
	segmentName = regexp.MustCompile(`^[0-9]{6}\.seg$`)
	keyName     = regexp.MustCompile(`^[0-9]{4}\.age$`)
)

// ours reports whether a name in an image's directory is one that salvor gives.
func ours(name string) bool {
	return name == superblockName || name == sealName || segmentName.MatchString(name)
}

// marked reports whether a file of that name begins with a mark.
func marked(name string) bool { return name == superblockName || segmentName.MatchString(name) }

// erasedFile is a name that a removal gives, see erasedName.
var erasedFile = regexp.MustCompile(`^erased-[0-9]{8,}(-[0-9])?$`)

func segmentNumber(name string) (int, bool) {
	if !segmentName.MatchString(name) {
		return 0, false
	}
	n, err := strconv.Atoi(name[:6])
	return n, err == nil
}

// mark is what the first block of a superblock or segment says of itself.
type mark struct {
	uuid    [16]byte
	session [16]byte // of a segment
	created time.Time
}

// What of a container's first block matters here: magic at 0, UUID at 16; in a
// segment the session at 32 and the time at 80, in a superblock the time at 56;
// SHA-256 of everything before it at the end.
const (
	markBlock       = 4096
	superblockMagic = "SALVOR1\n"
	segmentMagic    = "SLVSEG1\n"
	magicFamily     = 6 // bytes that every version of a magic shares
)

// readMark reads a first block. It returns nil without an error for a block that
// identifies nothing: torn, empty, or damaged. A block of another version is an
// error, since nobody knows what else it means.
func readMark(b []byte, magic string) (*mark, error) {
	if len(b) < markBlock {
		return nil, nil
	}
	b = b[:markBlock]
	if string(b[:len(magic)]) != magic {
		if string(b[:magicFamily]) == magic[:magicFamily] {
			return nil, fmt.Errorf("it has a newer format: %w", ErrForeign)
		}
		return nil, nil
	}
	sum := sha256.Sum256(b[:markBlock-sha256.Size])
	if !bytes.Equal(sum[:], b[markBlock-sha256.Size:]) {
		return nil, nil
	}
	m := &mark{uuid: [16]byte(b[16:32])}
	at := 56
	if magic == segmentMagic {
		m.session = [16]byte(b[32:48])
		at = 80
	}
	m.created = time.Unix(int64(binary.LittleEndian.Uint64(b[at:])), 0)
	return m, nil
}

// lateAfter is how much younger than its own header a file may be. Both times
// come from the clock of the machine that wrote it, within one call.
const lateAfter = 2 * time.Minute

// late reports whether an inode is younger than what it holds: it was copied or
// replaced, and an earlier copy of it existed somewhere.
func (m *mark) late(birth int64) bool {
	return birth != 0 && time.Unix(0, birth).After(m.created.Add(lateAfter))
}

// looksLikeKey reports whether something begins as an age file does, in either of
// its two forms.
func looksLikeKey(b []byte) bool {
	return bytes.HasPrefix(b, []byte("age-encryption.org/")) || bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("-----BEGIN AGE"))
}
