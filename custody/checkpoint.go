package custody

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrCheckpoint is returned for text that is not a checkpoint.
var ErrCheckpoint = errors.New("malformed checkpoint")

// A Checkpoint is the state of one station's log: how many events it holds and
// the root of the RFC 6962 tree over them. Signed as a note it is what papers
// and other stations keep as witnesses (C2SP tlog-checkpoint: origin, size,
// root, one line each).
type Checkpoint struct {
	Origin string // "salvor/<shop>/<station>", also the name of the signing key
	Size   int64  // events in the log
	Root   Hash
}

// Text returns the text that is signed.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// Code returns the 160-bit code that papers print beside the size: the first
// 160 bits of SHA-256(text) in lower-case Crockford base 32, eight groups of
// four, such as "7p2k-…". People compare it by eye, so 160 bits are enough to
// bind and short enough to read.
func (c Checkpoint) Code() string {
	sum := sha256.Sum256([]byte(c.Text()))
	var b strings.Builder
	var acc, bits uint
	n := 0
	for _, x := range sum[:20] {
		acc, bits = acc<<8|uint(x), bits+8
		for bits >= 5 {
			if n > 0 && n%4 == 0 {
				b.WriteByte('-')
			}
			bits -= 5
			b.WriteByte(crockford[acc>>bits&31])
			n++
		}
	}
	return b.String()
}

// ParseCheckpoint reads the text of a checkpoint; it must be exactly what
// [Checkpoint.Text] writes. Its signature is the caller's to check.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[0] == "" {
		return Checkpoint{}, ErrCheckpoint
	}
	n, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || n < 0 {
		return Checkpoint{}, ErrCheckpoint
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, ErrCheckpoint
	}
	c := Checkpoint{Origin: lines[0], Size: n, Root: Hash(root)}
	if c.Text() != text {
		return Checkpoint{}, ErrCheckpoint
	}
	return c, nil
}

// Origin returns the name under which a station signs: the origin of its
// checkpoints and the key name of its notes.
func Origin(shop, station string) (string, error) {
	if err := errors.Join(CheckShop(shop), CheckStation(station)); err != nil {
		return "", fmt.Errorf("origin: %w", err)
	}
	return "salvor/" + shop + "/" + station, nil
}
