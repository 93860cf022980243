package vault

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// A footer repeats a segment's record headers at its end, so that an image opens without reading all of it. It is a
// shortcut, never the truth: a footer that does not fit is as if it were not there, and the segment is scanned. What a
// footer says of a sealed image is held against the sum in the seal.
const (
	entrySize    = 64
	trailerMagic = "SLVEND1\n"
	trailerUsed  = 128
)

// An entry is one record in a footer.
type entry struct {
	kind    uint8
	status  byte
	pass    uint8
	codec   uint8
	sealed  uint32
	first   int64
	sectors int64
	offset  int64
	leaf    tlog.Hash
}

func entryOf(h *recordHeader, offset int64) entry {
	return entry{h.kind, h.status, h.pass, h.codec, uint32(h.sealed()), h.first, h.sectors, offset, h.leaf}
}

func (e *entry) append(b []byte) []byte {
	b = append(b, e.kind, e.status, e.pass, e.codec)
	b = le.AppendUint32(b, e.sealed)
	b = le.AppendUint64(b, uint64(e.first))
	b = le.AppendUint64(b, uint64(e.sectors))
	b = le.AppendUint64(b, uint64(e.offset))
	return append(b, e.leaf[:]...)
}

func parseEntry(b []byte, sb *Superblock) (entry, error) {
	e := entry{
		kind: b[0], status: b[1], pass: b[2], codec: b[3],
		sealed:  le.Uint32(b[4:]),
		first:   int64(le.Uint64(b[8:])),
		sectors: int64(le.Uint64(b[16:])),
		offset:  int64(le.Uint64(b[24:])),
		leaf:    tlog.Hash(b[32:64]),
	}
	if e.sealed < sealOverhead {
		return entry{}, fmt.Errorf("%w: footer entry", ErrRange)
	}
	h := e.header(sb)
	return e, h.check(sb)
}

// header is what the entry says of its record. Of a packed one the length of the plaintext follows from the sectors.
func (e *entry) header(sb *Superblock) recordHeader {
	h := recordHeader{kind: e.kind, codec: e.codec, status: e.status, pass: e.pass, first: e.first, sectors: e.sectors, leaf: e.leaf}
	switch size := int64(sb.Sector); {
	case e.codec == codecNone:
		h.plain = e.sealed - sealOverhead
	case e.sectors > 0 && e.sectors <= int64(sb.MaxRecord)/size:
		h.plain, h.packed = uint32(e.sectors*size), e.sealed-sealOverhead
	}
	return h
}

// stored is the length of the whole record with its padding.
func (e *entry) stored() int64 { return storedSize(int(e.sealed) - sealOverhead) }

// A trailer is the last block of a segment that was ended in good order.
type trailer struct {
	segment  int
	count    int
	offset   int64 // of the first entry
	treeSize int64 // records of the image up to the end of this segment
	root     tlog.Hash
	entries  [32]byte // SHA-256 of all entries, without the padding
	uuid     [16]byte
	session  [16]byte
}

func (t *trailer) marshal() []byte {
	b := make([]byte, blockSize)
	le.PutUint32(b[8:], uint32(t.segment))
	le.PutUint32(b[12:], uint32(t.count))
	le.PutUint64(b[16:], uint64(t.offset))
	le.PutUint64(b[24:], uint64(t.treeSize))
	copy(b[32:64], t.root[:])
	copy(b[64:96], t.entries[:])
	copy(b[96:112], t.uuid[:])
	copy(b[112:128], t.session[:])
	finishBlock(b, trailerMagic)
	return b
}

func parseTrailer(b []byte) (trailer, error) {
	if err := checkBlock(b, trailerMagic, trailerUsed); err != nil {
		return trailer{}, err
	}
	segment, count := le.Uint32(b[8:]), le.Uint32(b[12:])
	t := trailer{
		segment:  int(segment),
		count:    int(count),
		offset:   int64(le.Uint64(b[16:])),
		treeSize: int64(le.Uint64(b[24:])),
		root:     tlog.Hash(b[32:64]),
		entries:  [32]byte(b[64:96]),
		uuid:     [16]byte(b[96:112]),
		session:  [16]byte(b[112:128]),
	}
	switch {
	case segment >= maxSegments || count == 0 || count > maxSegmentRecords:
		return trailer{}, fmt.Errorf("%w: segment %d with %d records", ErrRange, segment, count)
	case t.offset < firstRecordOffset || t.offset > MaxSegment || t.offset%blockSize != 0:
		return trailer{}, fmt.Errorf("%w: footer at %d", ErrRange, t.offset)
	case t.treeSize < int64(count):
		return trailer{}, fmt.Errorf("%w: tree of %d records", ErrRange, t.treeSize)
	}
	return t, nil
}

// footerSize is the length of the footer of count records with its padding and trailer.
func footerSize(count int) int64 { return padded(int64(count)*entrySize) + blockSize }

// marshalFooter renders what follows the last record.
func marshalFooter(t trailer, entries []byte) []byte {
	t.count = len(entries) / entrySize
	t.entries = sha256.Sum256(entries)
	b := make([]byte, padded(int64(len(entries))), footerSize(t.count))
	copy(b, entries)
	return append(b, t.marshal()...)
}

// errFooter: no footer, or one that does not fit: the segment has to be scanned.
var errFooter = errors.New("no usable footer")

// readFooter reads the entries of a segment of the given size. It returns errFooter for anything that is not exactly
// what this package writes, and any other error only when the storage failed.
func readFooter(f File, size int64, h *segmentHeader, sb *Superblock) (trailer, []byte, error) {
	if size < firstRecordOffset+2*blockSize || size > MaxSegment || size%blockSize != 0 {
		return trailer{}, nil, errFooter
	}
	b := make([]byte, blockSize)
	if n, err := readFull(f, b, size-blockSize); err != nil {
		return trailer{}, nil, err
	} else if n < blockSize {
		return trailer{}, nil, errFooter
	}
	t, err := parseTrailer(b)
	if err != nil || t.segment != h.number || t.uuid != h.uuid || t.session != h.session ||
		t.offset+footerSize(t.count) != size {
		return trailer{}, nil, errFooter
	}
	raw := make([]byte, padded(int64(t.count)*entrySize))
	if n, err := readFull(f, raw, t.offset); err != nil {
		return trailer{}, nil, err
	} else if n < len(raw) {
		return trailer{}, nil, errFooter
	}
	entries := raw[:t.count*entrySize]
	if sha256.Sum256(entries) != t.entries || !allZero(raw[len(entries):]) {
		return trailer{}, nil, errFooter
	}
	if err := checkEntries(entries, t.offset, sb); err != nil {
		return trailer{}, nil, errFooter
	}
	return t, entries, nil
}

// checkEntries checks that entries describe records that follow one another without a gap up to end.
func checkEntries(entries []byte, end int64, sb *Superblock) error {
	next := int64(firstRecordOffset)
	for i := 0; i < len(entries); i += entrySize {
		e, err := parseEntry(entries[i:i+entrySize], sb)
		if err != nil {
			return err
		}
		if e.offset != next || (i == 0 && e.kind != typeCheckpoint) {
			return fmt.Errorf("%w: record %d at %d", ErrRange, i/entrySize, e.offset)
		}
		next += e.stored()
	}
	if next != end {
		return fmt.Errorf("%w: records end at %d, footer begins at %d", ErrRange, next, end)
	}
	return nil
}
