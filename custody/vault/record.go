package vault

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"

	"golang.org/x/mod/sumdb/tlog"
)

// The types of a record.
const (
	typeData       = 1 // what was read from the source
	typeFill       = 2 // one byte, repeated over a run of any length
	typeStatus     = 3 // a run of sectors that is bad, untried, …
	typeMeta       = 4 // about the source, encrypted
	typeCheckpoint = 5 // what came before: see checkpoint
)

const (
	recordMagic  = "SLR1"
	headerSize   = 128
	nonceSize    = 12
	tagSize      = 16
	sealOverhead = nonceSize + tagSize
	authSize     = 40  // header bytes that are additional data of the AEAD
	leafedSize   = 80  // header bytes under the leaf
	crcOffset    = 124 // header bytes under the CRC

	codecNone = 0
	codecZstd = 1 // DATA only, and only where it saves saving bytes of stored size
)

// A recordHeader is the clear part of a record. Its position in the log (segment, ordinal) is part of it, so that a
// record that was moved does not authenticate.
type recordHeader struct {
	kind    uint8
	codec   uint8
	status  byte
	pass    uint8
	ordinal uint64
	first   int64 // sector; in a checkpoint: number of records of the image before it
	sectors int64
	plain   uint32 // length of the plaintext
	packed  uint32 // with a codec: length of what it made of the plaintext
	session [16]byte
	leaf    tlog.Hash
	segment uint32
}

// text is the length of what is encrypted: the plaintext, or what the codec made of it.
func (h *recordHeader) text() int {
	if h.codec == codecNone {
		return int(h.plain)
	}
	return int(h.packed)
}

// sealed is the length of nonce, ciphertext and tag.
func (h *recordHeader) sealed() int { return h.text() + sealOverhead }

// stored is the length of the whole record with its padding.
func (h *recordHeader) stored() int64 { return storedSize(h.text()) }

// storedSize is the length of a record with its padding, of which n bytes are encrypted.
func storedSize(n int) int64 { return padded(int64(headerSize + n + sealOverhead)) }

// put writes everything but leaf and CRC into b[:headerSize].
func (h *recordHeader) put(b []byte) {
	clear(b[:headerSize])
	copy(b, recordMagic)
	b[4], b[5], b[6], b[7] = h.kind, h.codec, h.status, h.pass
	le.PutUint64(b[8:], h.ordinal)
	le.PutUint64(b[16:], uint64(h.first))
	le.PutUint64(b[24:], uint64(h.sectors))
	le.PutUint32(b[32:], h.plain)
	le.PutUint32(b[36:], uint32(h.sealed()))
	copy(b[64:80], h.session[:])
	le.PutUint32(b[112:], h.segment)
}

// finishHeader puts leaf and CRC into a header whose payload is known.
func finishHeader(b []byte, leaf tlog.Hash) {
	copy(b[leafedSize:leafedSize+tlog.HashSize], leaf[:])
	le.PutUint32(b[crcOffset:], crc32.Checksum(b[:crcOffset], castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errNoRecord: there is no record here, which in a scan is the end.
var errNoRecord = errors.New("no record here")

// A place is what a record has to agree with to be accepted.
type place struct {
	segment uint32
	session [16]byte
	ordinal uint64
	sb      *Superblock
}

// parseRecordHeader reads and checks a header of a record that claims to be at a place. Everything that this version
// would not write is refused.
func parseRecordHeader(b []byte, at place) (recordHeader, error) {
	if len(b) < headerSize || string(b[:4]) != recordMagic {
		return recordHeader{}, errNoRecord
	}
	if le.Uint32(b[crcOffset:]) != crc32.Checksum(b[:crcOffset], castagnoli) {
		return recordHeader{}, errors.New("header checksum differs")
	}
	h := recordHeader{
		kind:    b[4],
		codec:   b[5],
		status:  b[6],
		pass:    b[7],
		ordinal: le.Uint64(b[8:]),
		first:   int64(le.Uint64(b[16:])),
		sectors: int64(le.Uint64(b[24:])),
		plain:   le.Uint32(b[32:]),
		session: [16]byte(b[64:80]),
		leaf:    tlog.Hash(b[80:112]),
		segment: le.Uint32(b[112:]),
	}
	sealed := le.Uint32(b[36:])
	if h.codec == codecZstd && sealed >= sealOverhead {
		h.packed = sealed - sealOverhead
	}
	switch {
	case h.codec > codecZstd:
		return recordHeader{}, fmt.Errorf("%w: codec %d", ErrNewer, h.codec)
	case !allZero(b[40:64]) || !allZero(b[116:124]):
		return recordHeader{}, fmt.Errorf("%w: reserved bytes are not zero", ErrNewer)
	case h.segment != at.segment:
		return recordHeader{}, fmt.Errorf("belongs to segment %d", h.segment)
	case h.session != at.session:
		return recordHeader{}, errors.New("belongs to another session")
	case h.ordinal != at.ordinal:
		return recordHeader{}, fmt.Errorf("is number %d", h.ordinal)
	case h.codec == codecNone && uint64(sealed) != uint64(h.plain)+sealOverhead:
		return recordHeader{}, errors.New("lengths disagree")
	}
	if err := h.check(at.sb); err != nil {
		return recordHeader{}, err
	}
	return h, nil
}

// check holds a header's fields against its type and the source's size.
func (h *recordHeader) check(sb *Superblock) error {
	total := sb.Sectors()
	inside := h.first >= 0 && h.sectors > 0 && h.sectors <= total && h.first <= total-h.sectors
	switch {
	case h.status != 0 && h.kind != typeStatus:
		return errors.New("status letter where none belongs")
	case h.codec != codecNone && (h.codec != codecZstd || h.kind != typeData):
		return errors.New("codec where none belongs")
	}
	switch h.kind {
	case typeData:
		if !inside || h.plain > sb.MaxRecord || int64(h.plain) != h.sectors*int64(sb.Sector) {
			return fmt.Errorf("%w: data of %d bytes for %d sectors at %d", ErrRange, h.plain, h.sectors, h.first)
		}
		if h.codec == codecZstd && (h.packed == 0 || h.packed >= h.plain || !worthIt(int(h.packed), int(h.plain))) {
			return fmt.Errorf("%w: %d bytes packed into %d", ErrRange, h.plain, h.packed)
		}
	case typeFill:
		if !inside || h.plain != 1 {
			return fmt.Errorf("%w: fill of %d sectors at %d", ErrRange, h.sectors, h.first)
		}
	case typeStatus:
		if !inside || h.plain != 0 || !statusLetter(h.status) {
			return fmt.Errorf("%w: status %q of %d sectors at %d", ErrRange, h.status, h.sectors, h.first)
		}
	case typeMeta:
		if h.first != 0 || h.sectors != 0 || h.plain == 0 || h.plain > sb.MaxRecord {
			return fmt.Errorf("%w: meta of %d bytes", ErrRange, h.plain)
		}
	case typeCheckpoint:
		if h.first < 0 || h.sectors != 0 || h.plain != checkpointSize {
			return fmt.Errorf("%w: checkpoint", ErrRange)
		}
	default:
		return fmt.Errorf("%w: record type %d", ErrNewer, h.kind)
	}
	return nil
}

func statusLetter(c byte) bool { return c == '?' || c == '*' || c == '/' || c == '-' }

// recordLeaf is the leaf of a record: RFC 6962's hash of the first 80 header bytes and the sealed payload. The record
// is contiguous up to the leaf's own field, which is left out.
func recordLeaf(header, payload []byte) tlog.Hash {
	h := sha256.New()
	h.Write(leafPrefix[:])
	h.Write(header[:leafedSize])
	h.Write(payload)
	var leaf tlog.Hash
	h.Sum(leaf[:0])
	return leaf
}

var leafPrefix = [1]byte{0}

// A checkpoint is the first record of every segment and comes again every GiB. Its clear header says how many records
// of the image lie before it, which makes the count of every segment but the last one known without a secret; its
// sealed part binds superblock, segment header and tree to the session's secret.
type checkpoint struct {
	root       tlog.Hash // over the records before it
	superblock [32]byte  // SHA-256 of the superblock
	header     [32]byte  // SHA-256 of this segment's header block
}

const checkpointSize = 96

func (c *checkpoint) marshal() []byte {
	b := make([]byte, 0, checkpointSize)
	b = append(b, c.root[:]...)
	b = append(b, c.superblock[:]...)
	return append(b, c.header[:]...)
}
