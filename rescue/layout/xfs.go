package layout

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// xfs is a volume of XFS, of which the free space is known and the files are not. It is
// made of allocation groups; each lists its free space in a tree, by block.
//
// The trees are only believed when the log was closed by an unmount: otherwise it may
// hold newer ones for a long time, and nothing is called free.
type xfs struct {
	r        *reader
	block    int64
	blocks   int64
	perGroup int64 // blocks
	groups   int64
	shift    uint // of the group's number in the number of a block
	sector   int64
	inode    int64 // bytes
	log      int64 // byte where the log begins; 0 when it lies elsewhere
	logLen   int64 // sectors of 512
	sums     bool  // the blocks carry checksums
	nodes    int64 // of trees that may yet be read
}

var xfsSums = crc32.MakeTable(crc32.Castagnoli)

func openXFS(r *reader) (fileSystem, error) { return openXFSAt(r, 0) }

// openXFSBackup opens by the copy in the second group. Where that begins only the first
// one tells; it is looked for where mkfs puts it on a single disk.
func openXFSBackup(r *reader) (fileSystem, error) {
	const block = 4096
	for _, at := range []int64{r.size / block / 4 * block, 1<<40 - block} {
		x, err := openXFSAt(r, at)
		if err == nil && x.(*xfs).perGroup*x.(*xfs).block == at {
			return x, nil
		}
	}
	return nil, nonsense("no copy of an XFS superblock")
}

func openXFSAt(r *reader, at int64) (fileSystem, error) {
	b := make([]byte, 512)
	if !r.read(b, at, T0) {
		return nil, nonsense("no superblock")
	}
	be := binary.BigEndian
	if string(b[:4]) != "XFSB" {
		return nil, nonsense("no XFS superblock")
	}
	version := be.Uint16(b[100:]) & 15
	x := &xfs{
		r: r, block: int64(be.Uint32(b[4:])), blocks: int64(min(be.Uint64(b[8:]), 1<<55)),
		perGroup: int64(be.Uint32(b[84:])), groups: int64(be.Uint32(b[88:])), shift: uint(b[124]),
		sector: int64(be.Uint16(b[102:])), inode: int64(be.Uint16(b[104:])), sums: version == 5,
	}
	if !power(x.block, 512, 64<<10) || !power(x.sector, 512, 32<<10) || !power(x.inode, 256, 2048) || version != 4 && version != 5 ||
		x.perGroup < 64 || x.perGroup > 1<<min(x.shift, 31) || x.shift > 31 || x.groups < 1 ||
		x.blocks <= (x.groups-1)*x.perGroup || x.blocks > x.groups*x.perGroup || x.blocks > (r.size+r.size/2)/x.block {
		return nil, nonsense("XFS of %d blocks of %d bytes in %d groups", x.blocks, x.block, x.groups)
	}
	if start := be.Uint64(b[48:]); start != 0 {
		x.log, x.logLen = x.at(int64(start>>x.shift), int64(start&(1<<x.shift-1))), int64(be.Uint32(b[96:]))*x.block/512
	}
	x.nodes = 2*r.size/x.block + 1000
	return x, nil
}

func (x *xfs) name() string { return "xfs" }

func (x *xfs) size() int64 { return x.blocks * x.block }

// at is the byte of a block of a group.
func (x *xfs) at(group, block int64) int64 { return (group*x.perGroup + block) * x.block }

// length is how many blocks a group has.
func (x *xfs) length(group int64) int64 {
	return min(x.perGroup, x.blocks-group*x.perGroup)
}

// survey enters the headers of the groups, their trees and inodes, and what is not in
// the tree of free space.
func (x *xfs) survey(add func(Extent, Tier)) bool {
	settled := x.settled()
	for g := range x.groups {
		if x.r.spent() {
			return false
		}
		add(Extent{x.at(g, 0), 4 * x.sector}, T0)
		free := x.free(g, add)
		x.inodes(g, add)
		whole := Extent{x.at(g, 0), x.length(g) * x.block}
		for gap := range gaps(whole, free) {
			add(gap, T3)
		}
	}
	return settled
}

// walk lists nothing.
func (x *xfs) walk(func(*File) bool) Lost { return Lost{} }

// header reads one of the sectors in which a group begins.
func (x *xfs) header(group, sector int64, mark string, sum int) ([]byte, bool) {
	p := make([]byte, x.sector)
	if !x.r.near(p, x.at(group, 0)+sector*x.sector, T0) || string(p[:4]) != mark {
		return nil, false
	}
	return p, int64(binary.BigEndian.Uint32(p[8:])) == group && x.sound(p, sum)
}

// sound checks the checksum at a place of p, where there are any.
func (x *xfs) sound(p []byte, at int) bool {
	if !x.sums {
		return true
	}
	sum := crc32.Update(0, xfsSums, p[:at])
	sum = crc32.Update(sum, xfsSums, make([]byte, 4))
	return crc32.Update(sum, xfsSums, p[at+4:]) == binary.LittleEndian.Uint32(p[at:])
}

// free gives the free space of a group, in order, as far as its tree can be read: what
// lies in leaves that are not rescued counts as used. A tree that contradicts itself or
// the group's header is not believed at all.
func (x *xfs) free(group int64, add func(Extent, Tier)) []Extent {
	be := binary.BigEndian
	p, ok := x.header(group, 1, "XAGF", 216)
	if !ok || int64(be.Uint32(p[12:])) != x.length(group) {
		return nil
	}
	var out []Extent
	sum, sane := int64(0), true
	x.tree(xfsTree{group: group, marks: [2]string{"ABTB", "AB3B"}, key: 8, leaf: 8, add: add}, int64(be.Uint32(p[16:])), int(be.Uint32(p[28:]))-1,
		func(record []byte) {
			first, n := int64(be.Uint32(record)), int64(be.Uint32(record[4:]))
			if first < 1 || n < 1 || first > x.length(group)-n {
				sane = false
				return
			}
			sum += n
			out = append(out, Extent{x.at(group, first), n * x.block})
		})
	slices.SortFunc(out, func(a, b Extent) int { return cmp.Compare(a.First, b.First) })
	for i := 1; i < len(out); i++ {
		sane = sane && out[i-1].End() < out[i].First // it would be one extent
	}
	if !sane || sum > int64(be.Uint32(p[52:])) {
		return nil
	}
	return out
}

// inodes enters the chunks of inodes of a group: 64 each.
func (x *xfs) inodes(group int64, add func(Extent, Tier)) {
	be := binary.BigEndian
	p, ok := x.header(group, 2, "XAGI", 312)
	if !ok {
		return
	}
	x.tree(xfsTree{group: group, marks: [2]string{"IABT", "IAB3"}, key: 4, leaf: 16, add: add}, int64(be.Uint32(p[20:])), int(be.Uint32(p[24:]))-1,
		func(record []byte) {
			if first := int64(be.Uint32(record)); first < x.length(group)*x.block/x.inode {
				add(Extent{x.at(group, 0) + first*x.inode, 64 * x.inode}.within(Extent{x.at(group, 0), x.length(group) * x.block}), T1)
			}
		})
}

// xfsTree is a tree within a group.
type xfsTree struct {
	group int64
	marks [2]string // of its blocks: without checksums, and with
	key   int64     // bytes
	leaf  int64     // bytes of a record
	add   func(Extent, Tier)
}

// tree gives the records of the leaves below a block of the level given.
func (x *xfs) tree(t xfsTree, block int64, level int, yield func([]byte)) {
	be := binary.BigEndian
	head, mark := int64(16), t.marks[0]
	if x.sums {
		head, mark = 56, t.marks[1]
	}
	if x.nodes--; block < 1 || block >= x.length(t.group) || level < 0 || level > 8 || x.nodes < 0 || x.r.spent() {
		return
	}
	place := Extent{x.at(t.group, block), x.block}
	t.add(place, T1)
	p := make([]byte, x.block)
	if !x.r.near(p, place.First, T1) || string(p[:4]) != mark || int(be.Uint16(p[4:])) != level || !x.sound(p, 52) ||
		x.sums && int64(be.Uint64(p[16:]))*512 != place.First {
		return
	}
	n := int64(be.Uint16(p[6:]))
	if level == 0 {
		for i := range min(n, (x.block-head)/t.leaf) {
			yield(p[head+i*t.leaf:][:t.leaf])
		}
		return
	}
	most := (x.block - head) / (t.key + 4)
	for i := range min(n, most) {
		x.tree(t, int64(be.Uint32(p[head+most*t.key+4*i:])), level-1, yield)
	}
}

// What the log is made of.
const (
	xfsRecord  = "\xfe\xed\xba\xbe"
	xfsUnmount = 0x20
	// xfsBack is how many sectors the last record may be long: the longest header and
	// stripe unit.
	xfsBack = 1024
)

// settled reports whether the newest record of the log says that the volume was unmounted.
func (x *xfs) settled() bool {
	if x.log <= 0 || x.logLen < 64 || x.logLen > 1<<32 {
		return false // on another disk
	}
	head, round, ok := x.logHead()
	if !ok {
		return false
	}
	// The record that an unmount writes is a header and one sector, unless the log is
	// written in larger units.
	for _, back := range []int64{17, xfsBack} {
		p := make([]byte, min(back, head)*512)
		if !x.r.read(p, x.log+head*512-int64(len(p)), T1) {
			return false
		}
		for at := len(p) - 1024; at >= 0; at -= 512 {
			if string(p[at:at+4]) == xfsRecord {
				return x.unmounted(p[at:], head-int64(len(p)-at)/512, round)
			}
		}
	}
	return false
}

// unmounted reports whether p, from sector at of the log to its end, is one record of that
// round, which says that the volume was unmounted.
func (x *xfs) unmounted(p []byte, at int64, round uint32) bool {
	be := binary.BigEndian
	length, headers := int64(be.Uint32(p[12:])), int64(1)
	if be.Uint32(p[8:])&2 != 0 {
		headers = max((int64(be.Uint32(p[320:]))+32767)/32768, 1)
	}
	return be.Uint64(p[16:]) == uint64(round)<<32|uint64(at) && be.Uint32(p[4:]) == round && be.Uint32(p[40:]) == 1 &&
		length > 0 && headers+(length+511)/512 == int64(len(p)/512) && p[headers*512+9]&xfsUnmount != 0
}

// logHead gives the sector behind the newest of the log, and the round it was written in.
// Each sector carries its round, so the log ends where the number falls.
func (x *xfs) logHead() (head int64, round uint32, ok bool) {
	ok = true
	cycle := func(at int64) uint32 {
		var b [8]byte
		ok = x.r.near(b[:], x.log+at*512, T1) && ok
		if string(b[:4]) == xfsRecord {
			return binary.BigEndian.Uint32(b[4:])
		}
		return binary.BigEndian.Uint32(b[:])
	}
	first, last := cycle(0), cycle(x.logLen-1)
	switch {
	case !ok || first != last && first != last+1 || first == 0:
		return 0, 0, false
	case first == last:
		return x.logLen, first, true
	}
	low, high := int64(0), x.logLen-1 // of this round, and of the one before
	for ok && high-low > 1 {
		// Many places at once: what is not rescued costs a reading of the disk each time.
		step := max((high-low)/32, 1)
		from, to := low, high
		for at := from + step; at < to; at += step {
			switch same := cycle(at) == first; {
			case same && at < high:
				low = at
			case !same:
				high = min(high, at)
			}
		}
	}
	return high, first, ok
}
