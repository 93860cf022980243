package wipe

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// Key is the random key of a job's stream. It hides nothing once the job is
// done: an attest may publish it, so that anybody can check a disk again.
type Key [32]byte

// NewKey reads a key from rand.
func NewKey(rand io.Reader) (Key, error) {
	var k Key
	if _, err := io.ReadFull(rand, k[:]); err != nil {
		return Key{}, fmt.Errorf("make a stream key: %w", err)
	}
	return k, nil
}

// MarshalText writes the key as 64 hexadecimal digits.
func (k Key) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (k *Key) UnmarshalText(p []byte) error {
	if len(p) != hex.EncodedLen(len(k)) {
		return fmt.Errorf("read a stream key: %d characters, want %d", len(p), hex.EncodedLen(len(k)))
	}
	if _, err := hex.Decode(k[:], p); err != nil {
		return fmt.Errorf("read a stream key: %w", err)
	}
	return nil
}

// Stream is what erased bytes are replaced with: the AES-256-CTR key stream of a
// job. It looks random, so that no compression, thin provisioning or zero
// detection can pretend to have written it, and it can be made again at any
// offset, so that every byte can be compared.
//
// A lane keeps the files of a job apart: the initial counter block is the lane
// (8 bytes, big-endian) followed by the offset divided by 16 (8 bytes,
// big-endian). A whole device is lane 0.
//
// A Stream may be used by several goroutines at once.
type Stream struct {
	block cipher.Block
	lane  uint64
}

// NewStream returns the stream of one lane.
func NewStream(k Key, lane uint64) *Stream {
	b, err := aes.NewCipher(k[:])
	if err != nil {
		// A Key always has 32 bytes, which is the only thing NewCipher checks.
		panic("wipe: aes refused a 32-byte key: " + err.Error())
	}
	return &Stream{block: b, lane: lane}
}

// Fill overwrites p with the stream at byte offset off, which may be any offset
// from 0.
func (s *Stream) Fill(p []byte, off int64) {
	clear(p)
	s.xor(p, off)
}

// Different compares p with the stream at byte offset off and returns how many
// bytes differ. It uses p as its scratch space: afterwards p holds the
// difference, zero where a byte was right.
func (s *Stream) Different(p []byte, off int64) int64 {
	s.xor(p, off)
	var n int64
	for len(p) > 0 {
		c := p[:min(len(p), len(zeros))]
		// The whole block at once is the common case by far, and a hundred
		// times faster than looking at each byte.
		if !bytes.Equal(c, zeros[:len(c)]) {
			for _, b := range c {
				if b != 0 {
					n++
				}
			}
		}
		p = p[len(c):]
	}
	return n
}

// zeros is only ever compared with.
var zeros [4096]byte

func (s *Stream) xor(p []byte, off int64) {
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[:8], s.lane)
	binary.BigEndian.PutUint64(iv[8:], uint64(off)/aes.BlockSize)
	ctr := cipher.NewCTR(s.block, iv[:])
	if skip := int(off % aes.BlockSize); skip > 0 {
		var waste [aes.BlockSize]byte
		ctr.XORKeyStream(waste[:skip], waste[:skip])
	}
	ctr.XORKeyStream(p, p)
}
