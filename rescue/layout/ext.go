package layout

import (
	"encoding/binary"
	"hash/crc32"
)

// ext is a volume of ext2, ext3 or ext4: groups of blocks, each with a bitmap and a
// table of inodes, which the group descriptors place.
type ext struct {
	r          *reader
	block      int64 // bytes
	blocks     int64
	firstBlock int64 // of group 0: 1 when a block is 1 KiB
	ratio      int64 // blocks of a cluster, for which a bit of the bitmap stands
	perGroup   int64 // blocks
	inodes     int64 // of a group
	inodeSize  int64
	groups     int64
	descSize   int64
	reserved   int64 // blocks behind the descriptors, for more of them
	firstMeta  int64 // first group of meta_bg; groups when there is none
	backups    [2]int64
	compat     uint32
	incompat   uint32
	roCompat   uint32
	seed       uint32 // of the checksums
	journal    uint32 // inode
	last       int64  // the group that was read last, and its descriptor
	lastGroup  extGroup
	mapped     int64           // bytes that files may still lay claim to
	replay     map[int64]int64 // blocks of which the journal has a newer copy, and where
	unreplayed bool            // the journal has more, which is not rescued
}

// Features.
const (
	extCompatJournal   = 0x4
	extCompatSparse2   = 0x200
	extIncompatRecover = 0x4
	extIncompatJournal = 0x8
	extIncompatMetaBG  = 0x10
	extIncompat64      = 0x80
	extIncompatSeed    = 0x2000
	extRoSparse        = 0x1
	extRoGDTSum        = 0x10
	extRoBigalloc      = 0x200
	extRoMetaSum       = 0x400
	extIncompatExtents = 0x40
	extInodeUninit     = 1
	extBlockUninit     = 2
	extFlagExtents     = 0x80000
	extFlagInline      = 0x10000000
	extFlagEA          = 0x200000
	extRoot            = 2
	extSuperAt         = 1024
	maxExtGroups       = 1 << 24
	extUnwritten       = 32768
	extentMagic        = 0xF30A
	extFirstFile       = 11 // lower inodes are the file system's own
)

func openExt(r *reader) (fileSystem, error) { return openExtAt(r, extSuperAt) }

// openExtBackup looks where the copies of the superblock lie: at the beginning of
// group 1, which depends on the size of a block, and of the next groups that have one.
func openExtBackup(r *reader) (fileSystem, error) {
	for _, group := range []int64{1, 3, 5, 7} {
		for _, block := range []int64{4096, 1024, 2048, 65536} {
			first := int64(0)
			if block == 1024 {
				first = 1
			}
			at := (group*block*8 + first) * block
			if at > r.size-1024 {
				continue
			}
			if f, err := openExtAt(r, at); err == nil && f.(*ext).block == block {
				return f, nil
			}
		}
	}
	return nil, nonsense("no copy of an ext superblock")
}

func openExtAt(r *reader, at int64) (fileSystem, error) {
	b := make([]byte, 1024)
	if !r.read(b, at, T0) {
		return nil, nonsense("no superblock")
	}
	le := binary.LittleEndian
	if le.Uint16(b[0x38:]) != 0xEF53 {
		return nil, nonsense("no ext superblock")
	}
	e := &ext{
		r: r, compat: le.Uint32(b[0x5C:]), incompat: le.Uint32(b[0x60:]), roCompat: le.Uint32(b[0x64:]),
		inodes: int64(le.Uint32(b[0x28:])), perGroup: int64(le.Uint32(b[0x20:])),
		blocks: int64(le.Uint32(b[4:])), firstBlock: int64(le.Uint32(b[0x14:])),
		reserved: int64(le.Uint16(b[0xCE:])), last: -1, inodeSize: 128, descSize: 32, ratio: 1, mapped: 2 * r.size,
	}
	if le.Uint32(b[0x4C:]) > 0 {
		e.inodeSize = int64(le.Uint16(b[0x58:]))
	} else {
		e.compat, e.incompat, e.roCompat = 0, 0, 0
	}
	if e.incompat&extIncompat64 != 0 {
		e.blocks |= int64(le.Uint32(b[0x150:])) << 32
		e.descSize = int64(le.Uint16(b[0xFE:]))
	}
	logBlock, logCluster := le.Uint32(b[0x18:]), le.Uint32(b[0x1C:])
	if logBlock > 6 || e.incompat&extIncompatJournal != 0 {
		return nil, nonsense("ext with a block of 2^%d KiB", logBlock)
	}
	e.block = 1024 << logBlock
	if e.roCompat&extRoBigalloc != 0 {
		if logCluster < logBlock || logCluster > logBlock+20 {
			return nil, nonsense("ext with a cluster of 2^%d KiB", logCluster)
		}
		e.ratio = 1 << (logCluster - logBlock)
	}
	switch {
	case !power(e.inodeSize, 128, e.block), !power(e.descSize, 32, 1024),
		e.perGroup < 8, e.perGroup > e.block*8*e.ratio, e.inodes < 1, e.inodes > e.block*8, e.inodes*e.inodeSize > e.perGroup*e.block,
		e.firstBlock > 1, e.blocks <= e.firstBlock, e.blocks > 1<<48, (e.blocks-1)*e.block > r.size+r.size/2:
		return nil, nonsense("ext superblock that contradicts itself")
	}
	e.groups = (e.blocks - e.firstBlock + e.perGroup - 1) / e.perGroup
	if e.groups > maxExtGroups {
		return nil, nonsense("ext with %d groups", e.groups)
	}
	e.firstMeta = e.groups
	if e.incompat&extIncompatMetaBG != 0 {
		e.firstMeta = min(int64(le.Uint32(b[0x104:]))*(e.block/e.descSize), e.groups)
	}
	e.backups = [2]int64{int64(le.Uint32(b[0x24C:])), int64(le.Uint32(b[0x250:]))}
	if e.compat&extCompatJournal != 0 {
		e.journal = le.Uint32(b[0xE0:])
	}
	e.seed = extSum(0xFFFFFFFF, b[0x68:0x78])
	if e.incompat&extIncompatSeed != 0 {
		e.seed = le.Uint32(b[0x270:])
	}
	if e.incompat&extIncompatRecover != 0 && e.journal != 0 {
		e.readJournal()
	}
	return e, nil
}

// extSum goes on with a CRC-32C as ext4 computes it: without the last turning over.
func extSum(sum uint32, p []byte) uint32 {
	return ^crc32.Update(^sum, crc32.MakeTable(crc32.Castagnoli), p)
}

func (e *ext) name() string {
	switch {
	case e.incompat&^0x16|e.roCompat&^0x7 != 0:
		return "ext4"
	case e.compat&extCompatJournal != 0:
		return "ext3"
	}
	return "ext2"
}

func (e *ext) size() int64 { return e.blocks * e.block }

// at is the byte where a block begins.
func (e *ext) at(block int64) int64 { return block * e.block }

// real is where the newest content of a byte lies: mostly there, but perhaps in the journal.
func (e *ext) real(at int64) int64 {
	if block, ok := e.replay[at/e.block]; ok {
		return e.at(block) + at%e.block
	}
	return at
}

// near reads a part of a block of metadata.
func (e *ext) near(p []byte, at int64) bool { return e.r.near(p, e.real(at), T1) }

// sane reports whether a run of blocks lies in the volume.
func (e *ext) sane(block, count int64) bool {
	return block >= e.firstBlock && count >= 0 && block < e.blocks && count <= e.blocks-block
}

// hasSuper reports whether a group begins with a copy of the superblock.
func (e *ext) hasSuper(group int64) bool {
	if group == 0 {
		return true
	}
	if e.compat&extCompatSparse2 != 0 {
		return group == e.backups[0] || group == e.backups[1]
	}
	if e.roCompat&extRoSparse == 0 || group == 1 {
		return true
	}
	for _, base := range []int64{3, 5, 7} {
		for p := base; p <= group; p *= base {
			if p == group {
				return true
			}
		}
	}
	return false
}

// groupStart is the first block of a group.
func (e *ext) groupStart(group int64) int64 { return e.firstBlock + group*e.perGroup }

// descStart is the first block of a group's copy of the descriptors.
func (e *ext) descStart(group int64) int64 {
	at := e.groupStart(group)
	if e.hasSuper(group) {
		at++
	}
	if group == 0 && e.firstBlock == 0 && e.block == 1024 {
		at++ // the superblock lies in the second block
	}
	return at
}

// descBlocks gives the places of the block that holds a group's descriptor, the
// first one first.
func (e *ext) descBlocks(group int64) []int64 {
	perBlock := e.block / e.descSize
	var at []int64
	if group >= e.firstMeta {
		first := group / perBlock * perBlock
		for _, g := range []int64{first, first + 1, first + perBlock - 1} {
			if g < e.groups {
				at = append(at, e.descStart(g))
			}
		}
		return at
	}
	for _, g := range []int64{0, 1, 3, 5, 7, e.backups[0], e.backups[1]} {
		if g < e.groups && e.hasSuper(g) && (g > 0 || len(at) == 0) {
			at = append(at, e.descStart(g)+group/perBlock)
		}
	}
	return at
}

// extGroup is a group's descriptor.
type extGroup struct {
	blockBitmap, inodeBitmap, inodeTable int64 // blocks
	flags                                uint16
	unused                               int64 // inodes at the end of the table that were never used
	sum                                  uint32
	old                                  bool // taken from a copy: the checksum says nothing
}

// group reads a group's descriptor from the first copy that makes sense.
func (e *ext) group(g int64) (extGroup, bool) {
	if g == e.last {
		return e.lastGroup, true
	}
	le := binary.LittleEndian
	d := make([]byte, e.descSize)
	perBlock := e.block / e.descSize
	for k, b := range e.descBlocks(g) {
		if !e.near(d, e.at(b)+g%perBlock*e.descSize) {
			continue
		}
		x := extGroup{
			blockBitmap: int64(le.Uint32(d)), inodeBitmap: int64(le.Uint32(d[4:])), inodeTable: int64(le.Uint32(d[8:])),
			flags: le.Uint16(d[18:]), unused: int64(le.Uint16(d[28:])), sum: uint32(le.Uint16(d[24:])),
		}
		if e.descSize >= 64 {
			x.blockBitmap |= int64(le.Uint32(d[32:])) << 32
			x.inodeBitmap |= int64(le.Uint32(d[36:])) << 32
			x.inodeTable |= int64(le.Uint32(d[40:])) << 32
			x.unused |= int64(le.Uint16(d[0x32:])) << 16
			x.sum |= uint32(le.Uint16(d[0x38:])) << 16
		}
		if !e.sane(x.blockBitmap, 1) || !e.sane(x.inodeBitmap, 1) || !e.sane(x.inodeTable, e.tableBlocks()) {
			continue
		}
		if k > 0 || e.roCompat&(extRoGDTSum|extRoMetaSum) == 0 {
			// The copies keep the places, but what changes is as old as the volume.
			x.flags, x.unused, x.old = 0, 0, true
		}
		x.unused = min(x.unused, e.inodes)
		if x.flags&extInodeUninit != 0 {
			x.unused = e.inodes
		}
		e.last, e.lastGroup = g, x
		return x, true
	}
	return extGroup{}, false
}

func (e *ext) tableBlocks() int64 { return (e.inodes*e.inodeSize + e.block - 1) / e.block }

// survey enters superblocks, descriptors, bitmaps, the used part of the inode
// tables, and what the bitmaps call used. What the inodes lay claim to is added by
// the walk.
func (e *ext) survey(add func(Extent, Tier)) bool {
	if e.ratio > 1 {
		// A bit stands for a cluster: what shares one with metadata is not free either.
		grain, plain := e.ratio*e.block, add
		add = func(x Extent, t Tier) {
			plain(x, t)
			first := x.First / grain * grain
			plain(Extent{first, (x.End()+grain-1)/grain*grain - first}, max(t, T3))
		}
	}
	add(Extent{0, max(e.block, 2*extSuperAt)}, T0)
	perBlock := e.block / e.descSize
	old := (min(e.firstMeta, e.groups) + perBlock - 1) / perBlock // blocks of descriptors, all in one place
	if e.firstMeta < e.groups {
		old = e.firstMeta / perBlock
	}
	for g := range e.groups {
		if e.r.spent() {
			return false
		}
		start := e.groupStart(g)
		count := min(e.perGroup, e.blocks-start)
		if e.hasSuper(g) {
			tier := T0
			if g > 1 {
				tier = T1 // one copy is enough to hurry for
			}
			add(Extent{e.at(start), e.block}, tier)
			tier = T1
			if g > 1 {
				tier = T3
			}
			add(Extent{e.at(e.descStart(g)), old * e.block}, tier)
			if e.reserved > 0 {
				add(Extent{e.at(e.descStart(g) + old), e.reserved * e.block}, T4)
			}
		}
		if g >= e.firstMeta {
			for _, b := range e.descBlocks(g) {
				if b >= start && b < start+count {
					add(Extent{e.at(b), e.block}, T1)
				}
			}
		}
		d, ok := e.group(g)
		if !ok {
			add(Extent{e.at(start), count * e.block}, T3)
			continue
		}
		add(Extent{e.at(d.inodeBitmap), e.block}, T1)
		add(Extent{e.at(d.blockBitmap), e.block}, T1)
		table := Extent{e.at(d.inodeTable), e.tableBlocks() * e.block}
		used := ((e.inodes-d.unused)*e.inodeSize + e.block - 1) / e.block * e.block
		add(Extent{table.First, used}, T1)
		add(Extent{table.First + used, table.Len - used}, T4)
		if d.flags&extBlockUninit == 0 {
			e.bitmap(d, start, count, add)
		}
	}
	return !e.unreplayed
}

// bitmap enters what a group's bitmap calls used: all of it when the bitmap does not
// have the checksum that its descriptor tells.
func (e *ext) bitmap(d extGroup, start, count int64, add func(Extent, Tier)) {
	bitmap := make([]byte, e.block)
	at := e.real(e.at(d.blockBitmap))
	holes := e.r.fill(bitmap, at, T1)
	if len(holes) == 0 && !d.old && e.roCompat&extRoMetaSum != 0 {
		sum := extSum(e.seed, bitmap[:min(e.perGroup/e.ratio/8, e.block)])
		if e.descSize < 64 {
			sum &= 0xFFFF
		}
		if sum != d.sum {
			add(Extent{e.at(start), count * e.block}, T3)
			return
		}
	}
	for _, h := range holes {
		for i := h.First; i < h.End(); i++ {
			bitmap[i-at] = 0xFF
		}
	}
	for at := int64(0); at < count; {
		bit := at / e.ratio
		if bitmap[bit/8]>>(bit%8)&1 == 0 {
			at += e.ratio
			continue
		}
		from := at
		for ; at < count && bitmap[at/e.ratio/8]>>(at/e.ratio%8)&1 != 0; at += e.ratio {
		}
		add(Extent{e.at(start + from), (min(at, count) - from) * e.block}, T3)
	}
}
