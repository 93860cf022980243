package layout

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// walk lists the files in the order of the master file table. A record that is lost
// is named by the folder that lists it, where that can be read.
func (n *ntfs) walk(yield func(*File) bool) Lost {
	if !n.listed {
		n.list(func(int64, record) {})
	}
	named := n.nameLost()
	more := true
	n.scan(func(number int64, rec record) bool {
		if rec.base == 0 && number != ntfsBadClus {
			more = n.files(number, rec, yield)
		}
		return more
	}, func(int64) {})
	for _, number := range slices.Sorted(maps.Keys(n.lost)) {
		f := n.lost[number]
		if !more {
			break
		}
		if f.name != "" && number != ntfsRoot {
			more = yield(&File{
				// A folder's note of the size may be out of date: one byte stands for "something".
				Path: n.names.path(f.parent, f.name, ntfsRoot), Size: f.size, Lost: max(f.size, 1),
				Dir: f.folder, System: number < ntfsUser,
			})
		}
	}
	return Lost{Records: n.lostRecords - named}
}

// files yields the contents of one file.
func (n *ntfs) files(number int64, rec record, yield func(*File) bool) bool {
	all, gone := n.gather(number, rec)
	name, ok := nameOf(all)
	if !ok && gone == 0 && number >= ntfsUser {
		return true // nothing that a folder lists
	}
	if !ok {
		if name = n.nameless[uint64(number)]; name.name == "" {
			name.name = fmt.Sprintf("record %d", number)
		}
	}
	path := n.names.path(name.parent, name.name, ntfsRoot)
	if number == ntfsRoot {
		path = ""
	}
	system := number < ntfsUser || strings.HasPrefix(path, "$Extend/")
	if rec.folder {
		p, lost := n.pieces(all, attrIndexAllocation, "$I30")
		f := File{Path: path, Pieces: p, Dir: true, System: system && number != ntfsRoot}
		for _, a := range all {
			if a.kind == attrIndexAllocation && a.name == "$I30" && a.firstVCN == 0 {
				f.Size, f.Valid = a.size, a.size
			}
		}
		f.Lost = n.unplaced(all, attrIndexAllocation, "$I30", f.Size, lost, gone)
		return yield(&f)
	}
	done := map[string]bool{}
	for _, a := range all {
		if a.kind != attrData || done[a.name] {
			continue
		}
		done[a.name] = true
		if !yield(n.content(all, a, path, name, gone, system)) {
			return false
		}
	}
	if gone > 0 && !done[""] {
		return yield(&File{Path: path, Size: name.size, Lost: name.size, System: system})
	}
	return true
}

// content describes the content of which first is the first segment that is known.
func (n *ntfs) content(all []attribute, first attribute, path string, name fileName, gone int64, system bool) *File {
	f := &File{Path: path, Size: first.size, Valid: min(first.valid, first.size), Packed: first.packed, System: system}
	if first.name != "" {
		f.Path += ":" + first.name
	}
	if !first.nonresident {
		f.Valid = 0 // it lies within the record, which was read
		return f
	}
	p, lost := n.pieces(all, attrData, first.name)
	f.Pieces = p
	if first.firstVCN > 0 {
		f.Size = 0
		if first.name == "" {
			f.Size = name.size
		}
		f.Size = max(f.Size, first.firstVCN*n.cluster)
		f.Valid = f.Size
	}
	if f.Packed {
		f.Valid = f.Size
	}
	f.Lost = n.unplaced(all, attrData, first.name, f.Size, lost, gone)
	return f
}

// unplaced is how many bytes of a content have no place: in lost clusters between its
// segments, and, when records of the file are gone, behind the last one.
func (n *ntfs) unplaced(all []attribute, kind uint32, name string, size, lost, gone int64) int64 {
	end := int64(0) // clusters that a segment speaks for
	for _, a := range all {
		if a.kind == kind && a.name == name && a.nonresident {
			end = max(end, a.lastVCN+1)
		}
	}
	if want := (size + n.cluster - 1) / n.cluster; gone > 0 && end < want {
		lost += want - end
	}
	return min(min(lost, n.clusters)*n.cluster, size)
}

// nameLost looks the lost records up in the folders, and returns how many it found.
func (n *ntfs) nameLost() (named int64) {
	if len(n.lost) == 0 && len(n.nameless) == 0 {
		return 0
	}
	n.scan(func(number int64, rec record) bool {
		if rec.base == 0 && rec.folder {
			all, _ := n.gather(number, rec)
			n.entries(all, func(ref uint64, f fileName) {
				if old, ok := n.nameless[ref]; ok && f.parent == uint64(number) && (old.name == "" || old.dos) {
					n.nameless[ref] = f
					if f.folder {
						n.names.put(ref, folder{f.parent, f.name})
					}
				}
				if old, ok := n.lost[ref]; ok && f.parent == uint64(number) && (old.name == "" || old.dos && !f.dos) {
					if old.name == "" {
						named++
					}
					n.lost[ref] = f
					if f.folder {
						n.names.put(ref, folder{f.parent, f.name})
					}
				}
			})
		}
		return true
	}, func(int64) {})
	return named
}

// entries gives what a folder lists, as far as it can be read.
func (n *ntfs) entries(all []attribute, yield func(uint64, fileName)) {
	block := int64(0)
	for _, a := range all {
		if a.kind == attrIndexRoot && a.name == "$I30" && !a.nonresident && len(a.value) >= 32 {
			block = int64(binary.LittleEndian.Uint32(a.value[8:]))
			indexEntries(a.value[16:], yield)
		}
	}
	if !power(block, 512, 64<<10) {
		return
	}
	p, _ := n.pieces(all, attrIndexAllocation, "$I30")
	if len(p) == 0 {
		return
	}
	var inUse []byte
	for _, a := range all {
		if a.kind == attrBitmap && a.name == "$I30" {
			inUse = a.value
		}
	}
	s := stream{r: n.r, pieces: p}
	buf := make([]byte, block)
	last := p[len(p)-1]
	for i := int64(0); i < (last.Off+last.Len)/block && !n.r.spent(); i++ {
		if int(i/8) < len(inUse) && inUse[i/8]>>(i%8)&1 == 0 {
			continue
		}
		if s.near(buf, i*block) && string(buf[:4]) == "INDX" && unprotect(buf) {
			indexEntries(buf[24:], yield)
		}
	}
}

// indexEntries reads the entries behind an index header.
func indexEntries(p []byte, yield func(uint64, fileName)) {
	le := binary.LittleEndian
	at, end := int64(le.Uint32(p)), min(int64(le.Uint32(p[4:])), int64(len(p)))
	for at >= 16 && at+16 <= end {
		e := p[at:end]
		size, key := int64(le.Uint16(e[8:])), int64(le.Uint16(e[10:]))
		if e[12]&2 != 0 || size < 16 || 16+key > int64(len(e)) {
			return
		}
		if f, ok := parseFileName(e[16 : 16+key]); ok {
			yield(le.Uint64(e)&ntfsNumber, f)
		}
		at += size
	}
}
