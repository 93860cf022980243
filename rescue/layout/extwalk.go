package layout

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// extInode is what an inode says of a file.
type extInode struct {
	mode   uint16
	links  uint16
	size   int64
	flags  uint32
	blocks [60]byte
	acl    int64
}

func (i extInode) folder() bool  { return i.mode&0xF000 == 0x4000 }
func (i extInode) regular() bool { return i.mode&0xF000 == 0x8000 }
func (i extInode) link() bool    { return i.mode&0xF000 == 0xA000 }

func parseExtInode(p []byte) extInode {
	le := binary.LittleEndian
	i := extInode{mode: le.Uint16(p), links: le.Uint16(p[0x1A:]), flags: le.Uint32(p[0x20:])}
	i.size = int64(le.Uint32(p[4:])) | int64(le.Uint32(p[0x6C:])&0x7FFFFFFF)<<32
	i.acl = int64(le.Uint32(p[0x68:])) | int64(le.Uint16(p[0x76:]))<<32
	copy(i.blocks[:], p[0x28:])
	return i
}

// inode reads an inode; false when it is not rescued, or cannot be.
func (e *ext) inode(number int64) (extInode, bool) {
	if number < 1 || (number-1)/e.inodes >= e.groups {
		return extInode{}, false
	}
	d, ok := e.group((number - 1) / e.inodes)
	if !ok {
		return extInode{}, false
	}
	p := make([]byte, 128)
	if !e.near(p, e.at(d.inodeTable)+(number-1)%e.inodes*e.inodeSize) {
		return extInode{}, false
	}
	return parseExtInode(p), true
}

// extContent is where the content of an inode lies.
type extContent struct {
	pieces []Piece  // without what was set aside and never written
	nodes  []Extent // the blocks that say so
	lost   int64    // bytes that cannot be placed
}

// content places what an inode holds.
func (e *ext) content(i extInode) extContent {
	var c extContent
	if i.flags&extFlagInline != 0 || i.link() && i.size < 60 && i.flags&extFlagExtents == 0 {
		return c
	}
	if !i.regular() && !i.folder() && !i.link() {
		return c
	}
	m := extMap{e: e, c: &c, list: pieceList{room: e.blocks * e.block}}
	end := (i.size + e.block - 1) / e.block
	if i.flags&extFlagExtents != 0 {
		m.extents(i.blocks[:], -1, 1<<32)
	} else {
		m.indirect(i.blocks[:], min(end, 1<<40))
	}
	c.pieces = m.list.pieces
	c.lost = min(c.lost, i.size)
	return c
}

// extMap follows the tree that places a file.
type extMap struct {
	e    *ext
	c    *extContent
	list pieceList
	next int64 // the block of the file from which the tree goes on
}

// put places count blocks of the file, from its block first on.
func (m *extMap) put(first, block, count int64, written bool) bool {
	e := m.e
	if !e.sane(block, count) {
		m.c.lost += count * e.block
		return true
	}
	p := Piece{first * e.block, block * e.block, count * e.block}
	if e.mapped -= p.Len; e.mapped < 0 {
		return false
	}
	return !written || m.list.add(p)
}

// extents reads a node of an extent tree, which speaks for the file's blocks from
// m.next to end. depth is what the node must have, -1 for any.
func (m *extMap) extents(node []byte, depth int, end int64) bool {
	le := binary.LittleEndian
	e := m.e
	count, have := int(le.Uint16(node[2:])), int(le.Uint16(node[6:]))
	if le.Uint16(node) != extentMagic || have > 5 || depth >= 0 && have != depth || 12+12*count > len(node) {
		m.c.lost += min(end-m.next, 1<<32) * e.block
		return true
	}
	for k := range count {
		x := node[12+12*k:][:12]
		first := int64(le.Uint32(x))
		if first < m.next || first >= end {
			return true // out of order: not to be followed
		}
		m.next = first
		if have == 0 {
			n, written := int64(le.Uint16(x[4:])), true
			if n > extUnwritten {
				n, written = n-extUnwritten, false
			}
			if n == 0 || n > end-first {
				return true
			}
			if !m.put(first, int64(le.Uint32(x[8:]))|int64(le.Uint16(x[6:]))<<32, n, written) {
				return false
			}
			m.next = first + n
			continue
		}
		until := end
		if k+1 < count {
			until = min(until, int64(le.Uint32(node[12+12*(k+1):])))
		}
		child := int64(le.Uint32(x[4:])) | int64(le.Uint16(x[8:]))<<32
		if until <= first {
			return true
		}
		p := make([]byte, e.block)
		switch {
		case !e.sane(child, 1):
			m.c.lost += (until - first) * e.block
		case !e.near(p, e.at(child)):
			m.c.nodes = append(m.c.nodes, Extent{e.at(child), e.block})
			m.c.lost += (until - first) * e.block
		default:
			m.c.nodes = append(m.c.nodes, Extent{e.at(child), e.block})
			if !m.extents(p, have-1, until) {
				return false
			}
		}
		m.next = max(m.next, first+1)
		if e.r.spent() {
			return false
		}
	}
	return true
}

// indirect follows the block pointers of ext2 and ext3.
func (m *extMap) indirect(p []byte, end int64) {
	le := binary.LittleEndian
	at := int64(0)
	for k := range 12 {
		if at < end {
			if b := int64(le.Uint32(p[4*k:])); b != 0 && !m.put(at, b, 1, true) {
				return
			}
			at++
		}
	}
	for level := 1; level <= 3 && at < end; level++ {
		next, ok := m.pointers(int64(le.Uint32(p[44+4*level:])), level, at, end)
		if !ok {
			return
		}
		at = next
	}
}

// pointers follows one block of pointers of a level, which speaks for the file's
// blocks from at on, and returns the block behind those.
func (m *extMap) pointers(block int64, level int, at, end int64) (int64, bool) {
	e := m.e
	per := e.block / 4
	span := int64(1)
	for range level {
		span *= per
	}
	behind := min(at+span, end)
	if block == 0 {
		return behind, true
	}
	p := make([]byte, e.block)
	if !e.sane(block, 1) {
		m.c.lost += (behind - at) * e.block
		return behind, true
	}
	m.c.nodes = append(m.c.nodes, Extent{e.at(block), e.block})
	if !e.near(p, e.at(block)) {
		m.c.lost += (behind - at) * e.block
		return behind, true
	}
	if e.mapped -= e.block; e.mapped < 0 {
		return behind, false
	}
	for k := int64(0); k < per && at < behind; k++ {
		b := int64(binary.LittleEndian.Uint32(p[4*k:]))
		if level > 1 {
			next, ok := m.pointers(b, level-1, at, behind)
			if !ok {
				return behind, false
			}
			at = next
			continue
		}
		if b != 0 && !m.put(at, b, 1, true) {
			return behind, false
		}
		at++
	}
	return behind, !e.r.spent()
}

// extFolder is a folder that is still to be listed.
type extFolder struct {
	inode int64
	depth int
}

// walk lists the tree from the root on, and then the inodes in use that no folder
// named, should a folder not be rescued.
func (e *ext) walk(yield func(*File) bool) Lost {
	e.mapped = 2*e.r.size + e.r.size/2
	w := &extWalk{e: e, yield: yield, seen: map[int64]*[seenChunk / 8]byte{}}
	if i, ok := e.inode(extRoot); ok && i.folder() {
		w.enter(extRoot, i, "", 0)
	} else {
		w.lost.Records++
	}
	w.lists()
	if w.lost.Records > 0 && !w.done {
		w.orphans()
	}
	if e.journal != 0 && !w.done {
		if i, ok := e.inode(int64(e.journal)); ok {
			w.file(i, "", true)
		}
	}
	return w.lost
}

type extWalk struct {
	e     *ext
	yield func(*File) bool
	seen  map[int64]*[seenChunk / 8]byte // a bit for each inode that came up
	todo  backlog[extFolder]
	done  bool
	lost  Lost
}

const seenChunk = 1 << 16

// first reports whether an inode comes up for the first time.
func (w *extWalk) first(number int64) bool {
	if number < 1 || number > w.e.groups*w.e.inodes {
		return false
	}
	chunk := w.seen[number/seenChunk]
	if chunk == nil {
		chunk = new([seenChunk / 8]byte)
		w.seen[number/seenChunk] = chunk
	}
	bit := number % seenChunk
	if chunk[bit/8]>>(bit%8)&1 != 0 {
		return false
	}
	chunk[bit/8] |= 1 << (bit % 8)
	return true
}

// enter yields an inode under its path, and remembers a folder for later.
func (w *extWalk) enter(number int64, i extInode, path string, depth int) {
	if !w.first(number) {
		return
	}
	if i.folder() && (depth >= maxDepth || !w.todo.push(path, extFolder{number, depth})) {
		w.lost.Records++
	}
	if i.regular() || i.folder() || i.link() {
		w.file(i, path, false)
	}
}

// file yields one file, folder or symbolic link with the blocks that place it.
func (w *extWalk) file(i extInode, path string, system bool) {
	c := w.e.content(i)
	f := &File{Path: path, Size: i.size, Valid: i.size, Pieces: c.pieces, Lost: c.lost, Dir: i.folder(), System: system, nodes: c.nodes}
	if len(c.pieces) == 0 {
		f.Valid = 0
	}
	if system {
		f.Path = "$journal"
	}
	if !w.yield(f) {
		w.done = true
	}
}

// list reads a folder's blocks.
func (w *extWalk) list(path string, f extFolder) {
	e := w.e
	i, ok := e.inode(f.inode)
	if !ok {
		return
	}
	if i.flags&extFlagInline != 0 {
		// Behind the parent's number, four bytes; more of it may lie among the attributes.
		w.block(i.blocks[4:], path, f)
		w.inlineRest(path, f)
		return
	}
	c := e.content(i)
	if c.lost > 0 {
		w.lost.Records++
	}
	p := make([]byte, e.block)
	for _, x := range c.pieces {
		for at := int64(0); at < x.Len && x.Off+at < i.size && !w.done && !e.r.spent(); at += e.block {
			if e.near(p, x.First+at) {
				w.block(p, path, f)
			} else {
				w.lost.Records++
			}
		}
	}
}

// inlineRest lists what a folder within an inode keeps in the attribute "data".
func (w *extWalk) inlineRest(path string, f extFolder) {
	e := w.e
	d, ok := e.group((f.inode - 1) / e.inodes)
	if !ok || e.inodeSize < 160 {
		return
	}
	p := make([]byte, e.inodeSize)
	if !e.near(p, e.at(d.inodeTable)+(f.inode-1)%e.inodes*e.inodeSize) {
		return
	}
	le := binary.LittleEndian
	extra := int64(le.Uint16(p[128:]))
	at := 128 + extra
	if at+4 > e.inodeSize || le.Uint32(p[at:]) != 0xEA020000 {
		return
	}
	base := p[at+4:]
	for q := base; len(q) >= 16 && le.Uint32(q) != 0; {
		n := 16 + (int(q[0])+3)/4*4
		if n > len(q) {
			return
		}
		off, size := int64(le.Uint16(q[2:])), int64(le.Uint32(q[8:]))
		if q[1] == 7 && string(q[16:16+int(q[0])]) == "data" && off+size <= int64(len(base)) {
			w.block(base[off:off+size], path, f)
			return
		}
		q = q[n:]
	}
}

// block reads the entries of one block of a folder.
func (w *extWalk) block(p []byte, path string, f extFolder) {
	le := binary.LittleEndian
	for len(p) >= 8 && !w.done {
		number, size, n := int64(le.Uint32(p)), int(le.Uint16(p[4:])), int(p[6])
		if size < 8 || size > len(p) {
			return
		}
		if number != 0 && n > 0 && 8+n <= size {
			if name := string(p[8 : 8+n]); name != "." && name != ".." {
				w.child(number, join(path, strings.ToValidUTF8(name, "\uFFFD")), f.depth+1)
			}
		}
		p = p[size:]
	}
}

func (w *extWalk) child(number int64, path string, depth int) {
	i, ok := w.e.inode(number)
	switch {
	case !ok:
		if !w.first(number) {
			return
		}
		// Its size is not known: one byte stands for "something is lost".
		w.lost.Records++
		if !w.yield(&File{Path: path, Lost: 1}) {
			w.done = true
		}
	case i.mode != 0 && i.links > 0:
		w.enter(number, i, path, depth)
	}
}

// orphans yields the inodes in use that no folder named: folders first, so that
// what they list has at least their number for a path.
func (w *extWalk) orphans() {
	e := w.e
	p := make([]byte, 128)
	for _, folders := range []bool{true, false} {
		for g := int64(0); g < e.groups; g++ {
			d, ok := e.group(g)
			if !ok {
				continue
			}
			for k := int64(0); k < e.inodes-d.unused; k++ {
				if w.done || e.r.spent() {
					return
				}
				number := g*e.inodes + k + 1
				if number < extFirstFile || !e.near(p, e.at(d.inodeTable)+k*e.inodeSize) {
					continue
				}
				i := parseExtInode(p)
				if i.folder() != folders || i.mode == 0 || i.links == 0 || i.flags&extFlagEA != 0 {
					continue
				}
				w.enter(number, i, join("?", fmt.Sprintf("inode %d", number)), 1)
				w.lists()
			}
		}
	}
}

// lists goes through the folders that are still to be listed.
func (w *extWalk) lists() {
	for !w.done && !w.e.r.spent() {
		path, f, ok := w.todo.pop()
		if !ok {
			return
		}
		w.list(path, f)
	}
}
