package vault

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// A segmentHeader is the first block of a segment: which image, which session, and the commitment that tells the right
// secret from a wrong one before anything is decrypted.
type segmentHeader struct {
	number     int
	uuid       [16]byte
	session    [16]byte
	commitment [32]byte
	created    time.Time
	previous   [32]byte // SHA-256 of the header block of the nearest earlier segment that counts; zero: none
}

const (
	segmentMagic = "SLVSEG1\n"
	segmentUsed  = 120

	maxSegments        = 1 << 16 // so that an extent fits the index; 252 TiB
	maxSegmentRecords  = 1 << 16 // random 96-bit nonces under one key stay far from any bound
	firstRecordOffset  = blockSize
	checkpointInterval = 1 << 30 // stored bytes between two checkpoints
)

func (h *segmentHeader) marshal() []byte {
	b := make([]byte, blockSize)
	le.PutUint32(b[8:], uint32(h.number))
	copy(b[16:32], h.uuid[:])
	copy(b[32:48], h.session[:])
	copy(b[48:80], h.commitment[:])
	le.PutUint64(b[80:], uint64(h.created.Unix()))
	copy(b[88:120], h.previous[:])
	finishBlock(b, segmentMagic)
	return b
}

func parseSegmentHeader(b []byte) (segmentHeader, error) {
	if err := checkBlock(b, segmentMagic, segmentUsed); err != nil {
		return segmentHeader{}, err
	}
	n, created := le.Uint32(b[8:]), le.Uint64(b[80:])
	switch {
	case n >= maxSegments:
		return segmentHeader{}, fmt.Errorf("%w: segment number %d", ErrRange, n)
	case le.Uint32(b[12:]) != 0:
		return segmentHeader{}, fmt.Errorf("%w: reserved bytes are not zero", ErrRange)
	case created == 0 || created > maxUnix:
		return segmentHeader{}, fmt.Errorf("%w: time stamp", ErrRange)
	}
	return segmentHeader{
		number:     int(n),
		uuid:       [16]byte(b[16:32]),
		session:    [16]byte(b[32:48]),
		commitment: [32]byte(b[48:80]),
		created:    time.Unix(int64(created), 0).UTC(),
		previous:   [32]byte(b[88:120]),
	}, nil
}

// sum is what the next segment's header and the seal say of this one.
func (h *segmentHeader) sum() [32]byte { return sha256.Sum256(h.marshal()) }
