package vault

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// A block is 4096 bytes: the unit in which everything in a container is aligned, and the form of superblock, segment
// header and trailer: a magic in front, zeros behind the last field, and the SHA-256 of it all at the end.
const blockSize = 4096

const (
	blockBody = blockSize - sha256.Size
	magicSize = 8
)

var le = binary.LittleEndian

// errMagic: the block is not what it should be, which tells "nothing there" from "damaged".
var errMagic = errors.New("magic number missing")

// finishBlock puts magic and sum into a block whose fields are in place.
func finishBlock(b []byte, magic string) {
	copy(b, magic)
	sum := sha256.Sum256(b[:blockBody])
	copy(b[blockBody:], sum[:])
}

// checkBlock checks magic, sum, and that everything from offset used on is zero.
func checkBlock(b []byte, magic string, used int) error {
	if len(b) != blockSize {
		return fmt.Errorf("%d bytes instead of %d", len(b), blockSize)
	}
	if string(b[:magicSize]) != magic {
		return errMagic
	}
	if sum := sha256.Sum256(b[:blockBody]); string(sum[:]) != string(b[blockBody:]) {
		return errors.New("checksum differs")
	}
	if !allZero(b[used:blockBody]) {
		return errors.New("reserved bytes are not zero")
	}
	return nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// padded rounds a length up to whole blocks.
func padded(n int64) int64 { return (n + blockSize - 1) &^ (blockSize - 1) }
