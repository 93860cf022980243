package layout

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Kinds of attributes.
const (
	attrList            = 0x20
	attrFileName        = 0x30
	attrData            = 0x80
	attrIndexRoot       = 0x90
	attrIndexAllocation = 0xA0
	attrBitmap          = 0xB0
)

// record is a file record of NTFS.
type record struct {
	inUse, folder bool
	torn          bool   // has the mark of a record, and not its content
	base          uint64 // number of the record this one extends; 0 for one of its own
	attributes    []attribute
}

// attribute is one of the things a record says of a file.
type attribute struct {
	kind        uint32
	name        string
	nonresident bool
	value       []byte // resident: the content itself

	// Nonresident: a segment of the content.
	firstVCN, lastVCN int64
	runs              []byte
	size, valid       int64 // of the whole content; known by the first segment
	packed, sparse    bool
}

// unprotect checks the last two bytes of each 512 of a record against its update
// sequence and puts back what belongs there. It changes p.
func unprotect(p []byte) bool {
	le := binary.LittleEndian
	off, count := int(le.Uint16(p[4:])), int(le.Uint16(p[6:]))
	if count != len(p)/512+1 || off+2*count > len(p) || off < 8 {
		return false
	}
	for i := 1; i < count; i++ {
		tail := p[i*512-2:][:2]
		if tail[0] != p[off] || tail[1] != p[off+1] {
			return false
		}
		copy(tail, p[off+2*i:][:2])
	}
	return true
}

// parseRecord reads a record; p is changed, and the record refers to it. Not ok
// means that there is none, or that it is torn.
func parseRecord(p []byte) (record, bool) {
	le := binary.LittleEndian
	if string(p[:4]) != "FILE" {
		return record{torn: string(p[:4]) == "BAAD"}, false
	}
	if !unprotect(p) {
		return record{torn: true}, false
	}
	flags := le.Uint16(p[22:])
	rec := record{inUse: flags&1 != 0, folder: flags&2 != 0, base: le.Uint64(p[32:]) & ntfsNumber}
	end := min(int(le.Uint32(p[24:])), len(p))
	for at := int(le.Uint16(p[20:])); at+16 <= end; {
		a := p[at:end]
		kind, size := le.Uint32(a), int(le.Uint32(a[4:]))
		if kind == 0xFFFFFFFF {
			break
		}
		if size < 16 || size > len(a) {
			rec.torn = true
			break
		}
		if x, ok := parseAttribute(a[:size]); ok {
			rec.attributes = append(rec.attributes, x)
		}
		at += size
	}
	return rec, true
}

func parseAttribute(a []byte) (attribute, bool) {
	le := binary.LittleEndian
	x := attribute{kind: le.Uint32(a), nonresident: a[8] != 0}
	flags := le.Uint16(a[12:])
	x.packed, x.sparse = flags&0xFF != 0, flags&0x8000 != 0
	if n, off := int(a[9]), int(le.Uint16(a[10:])); n > 0 {
		if off+2*n > len(a) {
			return x, false
		}
		x.name = utf16le(a[off : off+2*n])
	}
	if !x.nonresident {
		if len(a) < 24 {
			return x, false
		}
		n, off := int64(le.Uint32(a[16:])), int64(le.Uint16(a[20:]))
		if off+n > int64(len(a)) {
			return x, false
		}
		x.value = a[off : off+n]
		x.size, x.valid = n, n
		return x, true
	}
	if len(a) < 64 {
		return x, false
	}
	x.firstVCN, x.lastVCN = int64(le.Uint64(a[16:])), int64(le.Uint64(a[24:]))
	off := int(le.Uint16(a[32:]))
	x.size, x.valid = int64(le.Uint64(a[48:])), int64(le.Uint64(a[56:]))
	if off > len(a) || x.firstVCN < 0 || x.lastVCN < x.firstVCN-1 || x.size < 0 || x.valid < 0 {
		return x, false
	}
	x.runs = a[off:]
	return x, true
}

// runs decodes a runlist: yield gets the cluster and the number of them; the cluster
// is -1 where the content is sparse. False when the list makes no sense, or yield
// says so.
func runs(p []byte, yield func(lcn, count int64) bool) bool {
	lcn := int64(0)
	for len(p) > 0 && p[0] != 0 {
		n, m := int(p[0]&15), int(p[0]>>4)
		if n == 0 || n > 8 || m > 8 || 1+n+m > len(p) {
			return false
		}
		count := signed(p[1 : 1+n])
		if count <= 0 {
			return false
		}
		at := int64(-1)
		if m > 0 {
			lcn += signed(p[1+n : 1+n+m])
			if lcn < 0 {
				return false
			}
			at = lcn
		}
		if !yield(at, count) {
			return false
		}
		p = p[1+n+m:]
	}
	return true
}

// signed is a little-endian number of up to eight bytes.
func signed(p []byte) int64 {
	var v uint64
	for i := len(p) - 1; i >= 0; i-- {
		v = v<<8 | uint64(p[i])
	}
	shift := 64 - 8*len(p)
	return int64(v<<shift) >> shift
}

// fileName is a name that a file has in a folder.
type fileName struct {
	parent uint64
	name   string
	size   int64
	folder bool
	dos    bool // the short name beside a long one
}

func parseFileName(v []byte) (fileName, bool) {
	if len(v) < 0x42 || len(v) < 0x42+2*int(v[0x40]) || v[0x40] == 0 {
		return fileName{}, false
	}
	le := binary.LittleEndian
	return fileName{
		parent: le.Uint64(v) & ntfsNumber,
		name:   utf16le(v[0x42 : 0x42+2*int(v[0x40])]),
		size:   int64(le.Uint64(v[0x30:])),
		folder: le.Uint32(v[0x38:])&0x10000000 != 0,
		dos:    v[0x41] == 2,
	}, true
}

// nameOf gives the name of a file: the long one where it has two.
func nameOf(attributes []attribute) (best fileName, ok bool) {
	for _, a := range attributes {
		if a.kind != attrFileName || a.nonresident {
			continue
		}
		if f, sound := parseFileName(a.value); sound && (!ok || best.dos && !f.dos) {
			best, ok = f, true
		}
	}
	return best, ok
}

// maxListed is how many records one file may be spread over.
const maxListed = 64 << 10

// gather gives the attributes of a file from all its records, the segments of each
// content in order, and how many of its records could not be read.
func (n *ntfs) gather(number int64, rec record) ([]attribute, int64) {
	if !slices.ContainsFunc(rec.attributes, func(a attribute) bool { return a.kind == attrList }) {
		return rec.attributes, 0
	}
	all := slices.Clone(rec.attributes)
	var list []byte
	lost := int64(0)
	for _, a := range rec.attributes {
		if a.kind != attrList {
			continue
		}
		list = a.value
		if a.nonresident {
			p, gone := n.pieces([]attribute{a}, attrList, "")
			list = make([]byte, min(a.size, 4<<20))
			s := stream{r: n.r, pieces: p}
			if gone > 0 || len(s.fill(list, 0)) > 0 {
				lost++
			}
		}
	}
	le := binary.LittleEndian
	seen := map[int64]bool{number: true}
	for len(list) >= 26 && len(seen) < maxListed && !n.r.spent() {
		size := int(le.Uint16(list[4:]))
		if size < 26 || size > len(list) {
			break
		}
		at := int64(le.Uint64(list[16:]) & ntfsNumber)
		if !seen[at] {
			seen[at] = true
			more, ok := n.readRecord(at)
			if ok && more.inUse && more.base == uint64(number) {
				all = append(all, more.attributes...)
			} else {
				lost++
			}
		}
		list = list[size:]
	}
	slices.SortStableFunc(all, func(a, b attribute) int { return cmp.Compare(a.firstVCN, b.firstVCN) })
	return all, lost
}
