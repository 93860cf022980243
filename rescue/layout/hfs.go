package layout

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// hfs is a volume of HFS+ or HFSX. Its files are records in the leaves of a tree, the
// catalog; a second tree has the extents for which a record has no room.
type hfs struct {
	r          *reader
	base       int64 // byte of the volume where it begins: not 0 within a wrapper of old HFS
	block      int64
	blocks     int64
	x          bool
	allocation hfsFork
	overflow   hfsTree
	catalog    hfsTree
	attributes hfsFork
	journal    int64                  // block that says where the journal lies; -1 when there is none
	more       map[hfsKey][]hfsExtent // what the overflow tree says
	mapped     int64
}

// hfsExtent is a run of blocks.
type hfsExtent struct{ first, count int64 }

// hfsFork is one of a file's two contents.
type hfsFork struct {
	size    int64
	blocks  int64
	extents []hfsExtent
}

// hfsKey is where the overflow tree keeps the extents of a fork: from start on.
type hfsKey struct {
	file     uint32
	resource bool
}

// Files with a fixed number.
const (
	hfsRoot       = 2
	hfsCatalog    = 4
	hfsBitmap     = 6
	hfsAttributes = 8
	hfsFirstUser  = 16
	hfsJournaled  = 0x2000
	maxHFSExtents = 4 << 20 // that the overflow tree may tell
)

func openHFS(r *reader) (fileSystem, error) { return openHFSAt(r, 1024) }

// openHFSBackup opens by the copy of the header in the last but one sector of 512.
func openHFSBackup(r *reader) (fileSystem, error) { return openHFSAt(r, r.size-1024) }

func openHFSAt(r *reader, at int64) (fileSystem, error) {
	b := make([]byte, 512)
	if !r.read(b, at, T0) {
		return nil, nonsense("no volume header")
	}
	be := binary.BigEndian
	base := int64(0)
	if string(b[:2]) == "BD" && (string(b[0x7C:0x7E]) == "H+" || string(b[0x7C:0x7E]) == "HX") {
		// A wrapper: old HFS around the volume proper.
		unit, start := int64(be.Uint32(b[0x14:])), int64(be.Uint16(b[0x1C:]))
		if !power(unit&-unit, 512, 1<<30) || at != 1024 {
			return nil, nonsense("wrapper without a unit")
		}
		base = start*512 + int64(be.Uint16(b[0x7E:]))*unit
		if !r.read(b, base+1024, T0) {
			return nil, nonsense("no volume header in the wrapper")
		}
	}
	if s := string(b[:2]); s != "H+" && s != "HX" {
		return nil, nonsense("no HFS+ volume header")
	}
	h := &hfs{r: r, base: base, block: int64(be.Uint32(b[40:])), blocks: int64(be.Uint32(b[44:])), x: b[1] == 'X', mapped: 2 * r.size}
	if !power(h.block, 512, 1<<20) || h.blocks < 1 || base+h.blocks*h.block > r.size+r.size/2 {
		return nil, nonsense("HFS+ of %d blocks of %d", h.blocks, h.block)
	}
	h.allocation = h.fork(b[112:])
	h.overflow = hfsTree{h: h, file: h.plain(h.fork(b[192:]))}
	h.attributes = h.fork(b[352:])
	h.journal = -1
	if be.Uint32(b[4:])&hfsJournaled != 0 {
		h.journal = int64(be.Uint32(b[12:]))
	}
	h.overflow.open()
	h.catalog = hfsTree{h: h}
	catalog := h.fork(b[272:])
	h.load()
	h.catalog.file = h.stream(catalog, hfsKey{file: hfsCatalog})
	h.catalog.open()
	return h, nil
}

func (h *hfs) name() string {
	if h.x {
		return "hfsx"
	}
	return "hfsplus"
}

func (h *hfs) size() int64 { return h.base + h.blocks*h.block }

// fork reads the 80 bytes that describe a fork.
func (h *hfs) fork(p []byte) hfsFork {
	be := binary.BigEndian
	f := hfsFork{size: int64(min(be.Uint64(p), 1<<62)), blocks: int64(be.Uint32(p[12:]))}
	f.extents = hfsExtents8(p[16:])
	return f
}

func hfsExtents8(p []byte) (out []hfsExtent) {
	for i := range 8 {
		first, count := int64(binary.BigEndian.Uint32(p[8*i:])), int64(binary.BigEndian.Uint32(p[8*i+4:]))
		if count == 0 {
			break
		}
		out = append(out, hfsExtent{first, count})
	}
	return out
}

// place makes pieces of extents that follow each other in a file; false when one
// does not lie in the volume.
func (h *hfs) place(list *pieceList, off int64, extents []hfsExtent) (int64, bool) {
	for _, e := range extents {
		if e.first > h.blocks-e.count || !list.add(Piece{off, h.base + e.first*h.block, e.count * h.block}) {
			return off, false
		}
		off += e.count * h.block
	}
	return off, true
}

// plain makes a fork readable by its first extents only.
func (h *hfs) plain(f hfsFork) stream {
	list := pieceList{room: h.blocks * h.block}
	h.place(&list, 0, f.extents)
	return stream{r: h.r, pieces: list.pieces, size: min(f.size, h.r.size)}
}

// stream makes a fork readable by all its extents.
func (h *hfs) stream(f hfsFork, key hfsKey) stream {
	pieces, _ := h.pieces(f, key)
	return stream{r: h.r, pieces: pieces, size: min(f.size, h.r.size)}
}

// pieces places a fork, and tells how many bytes of its content have no place.
func (h *hfs) pieces(f hfsFork, key hfsKey) ([]Piece, int64) {
	list := pieceList{room: h.blocks * h.block}
	off, ok := h.place(&list, 0, f.extents)
	if ok && off < f.blocks*h.block && len(f.extents) == 8 {
		off, _ = h.place(&list, off, h.more[key])
	}
	h.mapped -= off
	return list.pieces, max(f.size-off, 0)
}

// hfsTree is a B-tree within a file.
type hfsTree struct {
	h     *hfs
	file  stream
	node  int64 // bytes; 0 when the tree's header is not rescued
	nodes int64
}

func (t *hfsTree) open() {
	var b [256]byte
	if !t.file.near(b[:], 0) {
		return
	}
	be := binary.BigEndian
	node, nodes := int64(be.Uint16(b[32:])), int64(be.Uint32(b[36:]))
	if b[8] != 1 || !power(node, 512, 32768) || nodes < 1 {
		return
	}
	t.node, t.nodes = node, min(nodes, t.file.size/node)
}

// leaves gives the records of every leaf in use: its key, and what stands under it. It
// goes by place and not by the links between leaves, so that a leaf that is not
// rescued hides no other. It returns how many nodes cannot be read.
func (t *hfsTree) leaves(yield func(key, value []byte) bool) (unread int64) {
	if t.node == 0 {
		return 1
	}
	be := binary.BigEndian
	inUse := t.inUse()
	const chunk = 256 << 10
	buf := make([]byte, max(chunk/t.node, 1)*t.node)
	for at := int64(0); at < t.nodes && !t.h.r.spent(); at += int64(len(buf)) / t.node {
		p := buf[:min(int64(len(buf)), (t.nodes-at)*t.node)]
		holes := t.file.fill(p, at*t.node)
		for i := range int64(len(p)) / t.node {
			if number := at + i; int(number/8) < len(inUse) && inUse[number/8]>>(7-number%8)&1 == 0 {
				continue
			}
			where := Extent{(at + i) * t.node, t.node}
			for len(holes) > 0 && holes[0].End() <= where.First {
				holes = holes[1:]
			}
			if len(holes) > 0 && holes[0].within(where).Len > 0 {
				unread++
				continue
			}
			n := p[i*t.node:][:t.node]
			if int8(n[8]) != -1 || n[9] != 1 {
				continue
			}
			count := int64(be.Uint16(n[10:]))
			for k := range count {
				slot := t.node - 2*(k+1)
				if slot < 16 {
					break
				}
				from := int64(be.Uint16(n[slot:]))
				to := int64(be.Uint16(n[slot-2:]))
				if from < 14 || to > slot || from+2 > to {
					continue
				}
				record := n[from:to]
				size := int64(be.Uint16(record)) + 2
				value := size + size%2
				if value > int64(len(record)) {
					continue
				}
				if !yield(record[2:size], record[value:]) {
					return unread
				}
			}
		}
	}
	return unread
}

// inUse reads the map of nodes in use: the third record of the first node, and the
// nodes that go on with it. What is missing of it counts as in use.
func (t *hfsTree) inUse() []byte {
	be := binary.BigEndian
	n := make([]byte, t.node)
	if !t.file.near(n, 0) {
		return nil
	}
	from, to := int64(be.Uint16(n[t.node-6:])), int64(be.Uint16(n[t.node-8:]))
	if from < 14 || to > t.node || from > to {
		return nil
	}
	out := append([]byte(nil), n[from:to]...)
	for next := int64(be.Uint32(n)); next > 0 && next < t.nodes && int64(len(out)) < t.nodes/8+1; {
		if !t.file.near(n, next*t.node) || n[8] != 2 {
			break
		}
		out = append(out, n[14:t.node-4]...)
		next = int64(be.Uint32(n))
	}
	return out
}

// load reads the overflow tree.
func (h *hfs) load() {
	h.more = map[hfsKey][]hfsExtent{}
	total := 0
	be := binary.BigEndian
	type part struct {
		start   int64
		extents []hfsExtent
	}
	parts := map[hfsKey][]part{}
	h.overflow.leaves(func(key, value []byte) bool {
		if len(key) < 10 || len(value) < 64 {
			return true
		}
		k := hfsKey{be.Uint32(key[2:]), key[0] == 0xFF}
		e := hfsExtents8(value)
		if total += len(e); total > maxHFSExtents {
			return false
		}
		parts[k] = append(parts[k], part{int64(be.Uint32(key[6:])), e})
		return true
	})
	// The leaves came by place: put each fork's parts in the order of the file.
	for k, list := range parts {
		slices.SortFunc(list, func(a, b part) int { return cmp.Compare(a.start, b.start) })
		for _, p := range list {
			h.more[k] = append(h.more[k], p.extents...)
		}
	}
}

// survey enters the headers, the special files, and what the bitmap calls used.
func (h *hfs) survey(add func(Extent, Tier)) bool {
	end := h.base + h.blocks*h.block
	if h.base > 0 {
		add(Extent{0, h.base}, T3)
		add(Extent{0, 1536}, T0)
		add(Extent{end, h.r.size - end}, T3)
	}
	add(Extent{h.base, 1536}, T0)
	add(Extent{end - 1024, 1024}, T0)
	s := h.stream(h.allocation, hfsKey{file: hfsBitmap})
	attributes, _ := h.pieces(h.attributes, hfsKey{file: hfsAttributes})
	for _, list := range [][]Piece{s.pieces, h.overflow.file.pieces, h.catalog.file.pieces, attributes} {
		for _, p := range list {
			add(Extent{p.First, p.Len}, T1)
		}
	}
	if len(s.pieces) == 0 || s.size < h.blocks/8 {
		return false
	}
	bitsOf(&s, h.blocks, h.block, h.base, true, func(e Extent) { add(e, T3) })
	return h.settled()
}

// settled reports whether the journal is empty. One that is not, or is not rescued,
// may hold a newer bitmap: then nothing can be called free.
func (h *hfs) settled() bool {
	if h.journal < 0 {
		return true
	}
	be := binary.BigEndian
	var info [52]byte
	if !h.r.near(info[:], h.base+h.journal*h.block, T1) || be.Uint32(info[:])&1 == 0 {
		return false // or on another disk
	}
	at := int64(be.Uint64(info[36:]))
	var head [24]byte
	if at < 0 || at > h.r.size || !h.r.near(head[:], h.base+at, T1) {
		return false
	}
	// It is written in the order of the machine's bytes.
	return (string(head[:4]) == "JNLx" || string(head[:4]) == "xLNJ") && string(head[8:16]) == string(head[16:24])
}

// hfsFile is a file or folder of the catalog.
type hfsFile struct {
	parent         uint32
	name           string
	id             uint32
	folder         bool
	data, resource hfsFork
}

// record reads a catalog record that is a file or a folder, or a thread, which is a
// name under the number of what has it.
func (h *hfs) record(key, value []byte) (f hfsFile, thread, ok bool) {
	be := binary.BigEndian
	if len(key) < 6 || len(value) < 10 {
		return f, false, false
	}
	name := func(p []byte) (string, bool) {
		n := 2 * int(be.Uint16(p))
		if 2+n > len(p) {
			return "", false
		}
		// The name may hold a slash, which the Finder shows, and a colon, which it does not.
		return strings.NewReplacer("/", ":", "\x00", "␀").Replace(utf16be(p[2 : 2+n])), true
	}
	kind := be.Uint16(value)
	switch {
	case kind == 1 && len(value) >= 88, kind == 2 && len(value) >= 248:
		f.parent, f.id, f.folder = be.Uint32(key), be.Uint32(value[8:]), kind == 1
		f.name, ok = name(key[4:])
		if kind == 2 {
			f.data, f.resource = h.fork(value[88:]), h.fork(value[168:])
		}
		return f, false, ok
	case kind == 3 || kind == 4:
		f.id, f.folder, f.parent = be.Uint32(key), kind == 3, be.Uint32(value[4:])
		f.name, ok = name(value[8:])
		return f, true, ok
	}
	return f, false, false
}

func (h *hfs) walk(yield func(*File) bool) (lost Lost) {
	h.mapped = 2*h.r.size + 1<<20
	var names folders
	threads := map[uint32]hfsFile{} // files and folders whose record is not rescued
	lost.Records = h.catalog.leaves(func(key, value []byte) bool {
		if f, _, ok := h.record(key, value); ok && f.folder { // the record, or its thread
			names.put(uint64(f.id), folder{uint64(f.parent), f.name})
		}
		return true
	})
	if lost.Records > 0 {
		h.catalog.leaves(func(key, value []byte) bool {
			if f, thread, ok := h.record(key, value); ok && thread && len(threads) < maxFolders {
				threads[f.id] = f
			}
			return true
		})
	}
	more := true
	journal := func(f hfsFile) bool { return f.parent == hfsRoot && strings.HasPrefix(f.name, ".journal") }
	h.catalog.leaves(func(key, value []byte) bool {
		f, thread, ok := h.record(key, value)
		if !ok || thread {
			return true
		}
		delete(threads, f.id)
		if f.id == hfsRoot && f.folder {
			return true
		}
		path := names.path(uint64(f.parent), f.name, hfsRoot)
		if f.folder {
			more = yield(&File{Path: path, Dir: true})
			return more
		}
		file := h.file(f.data, hfsKey{file: f.id}, path)
		file.System = journal(f)
		more = yield(file)
		if more && f.resource.size > 0 {
			more = yield(h.file(f.resource, hfsKey{f.id, true}, path+"/..namedfork/rsrc"))
		}
		return more && h.mapped >= 0
	})
	for _, id := range slices.Sorted(maps.Keys(threads)) {
		f := threads[id]
		if !more {
			break
		}
		if f.id >= hfsFirstUser {
			more = yield(&File{Path: names.path(uint64(f.parent), f.name, hfsRoot), Dir: f.folder, Lost: 1})
		}
	}
	return lost
}

func (h *hfs) file(f hfsFork, key hfsKey, path string) *File {
	pieces, lost := h.pieces(f, key)
	return &File{Path: path, Size: f.size, Valid: f.size, Pieces: pieces, Lost: lost}
}
