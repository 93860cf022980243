package layout

import "encoding/binary"

// Marks and features of the journal of ext3 and ext4; its numbers have the high byte first.
const (
	jbdMagic      = 0xC03B3998
	jbdDescriptor = 1
	jbdCommit     = 2
	jbdRevoke     = 5
	jbd64         = 0x2
	jbdSum2       = 0x8
	jbdSum3       = 0x10
	jbdFast       = 0x20
	jbdEscaped    = 1
	jbdSameUUID   = 2
	jbdLastTag    = 8
)

// readJournal finds the blocks of which the journal has a newer copy, on a volume
// that was not unmounted: such a volume's bitmaps, inodes and folders are stale where
// they lie, and what was written last would pass for free space.
func (e *ext) readJournal() {
	replay := map[int64]int64{}
	e.unreplayed = true // until the end was seen
	i, ok := e.inode(int64(e.journal))
	if !ok {
		return
	}
	c := e.content(i)
	s := stream{r: e.r, pieces: c.pieces, size: min(i.size, e.r.size)}
	be := binary.BigEndian
	p := make([]byte, e.block)
	if !s.near(p, 0) || be.Uint32(p) != jbdMagic || int64(be.Uint32(p[12:])) != e.block {
		return
	}
	first, last := int64(be.Uint32(p[20:])), int64(be.Uint32(p[16:]))
	sequence, start, features := be.Uint32(p[24:]), int64(be.Uint32(p[28:])), be.Uint32(p[40:])
	if features&jbdFast != 0 {
		last -= int64(be.Uint32(p[84:]))
	}
	if start == 0 {
		e.unreplayed = false
		return
	}
	if first < 1 || last <= first || last > s.size/e.block || start < first || start >= last {
		return
	}
	j := extJournal{features: features, revoked: map[int64]uint32{}}
	at := start
	next := func() {
		if at++; at >= last {
			at = first
		}
	}
	type copied struct {
		place    int64
		sequence uint32
	}
	all := map[int64]copied{}
	var open []extTag // of the transaction that is not yet committed
	for range last - first {
		if !s.near(p, at*e.block) {
			return
		}
		if be.Uint32(p) != jbdMagic || be.Uint32(p[8:]) != sequence {
			break
		}
		next()
		switch be.Uint32(p[4:]) {
		case jbdDescriptor:
			for _, tag := range j.tags(p) {
				tag.place = at
				open = append(open, tag)
				next()
			}
		case jbdRevoke:
			j.revoke(p, sequence)
		case jbdCommit:
			for _, tag := range open {
				if tag.escaped {
					return // one in four thousand million: not worth a second way to read
				}
				all[tag.block] = copied{tag.place, sequence}
			}
			open, sequence = open[:0], sequence+1
		default:
			return
		}
		if len(open) > maxJournal || len(all) > maxJournal || e.r.spent() {
			return
		}
	}
	for block, c := range all {
		if until, ok := j.revoked[block]; ok && int32(until-c.sequence) >= 0 {
			continue
		}
		if place, ok := s.place(c.place * e.block); ok && e.sane(block, 1) {
			replay[block] = place / e.block
		}
	}
	e.replay, e.last, e.unreplayed = replay, -1, false
	e.r.pages = nil
}

// maxJournal is how many blocks of a journal are kept in mind.
const maxJournal = 4 << 20

// extTag is a block that the journal has a copy of.
type extTag struct {
	block   int64
	place   int64 // block of the journal
	escaped bool  // begins like a journal's own block, and was changed there
}

type extJournal struct {
	features uint32
	revoked  map[int64]uint32 // blocks whose copies up to a transaction do not count
}

// tags reads a descriptor: which blocks the copies behind it are of.
func (j *extJournal) tags(p []byte) (out []extTag) {
	be := binary.BigEndian
	size := 12
	switch {
	case j.features&jbdSum3 != 0:
		size = 16
	default:
		if j.features&jbdSum2 != 0 {
			size += 2
		}
		if j.features&jbd64 == 0 {
			size -= 4
		}
	}
	end := len(p)
	if j.features&(jbdSum2|jbdSum3) != 0 {
		end -= 4
	}
	for at := 12; at+size <= end; {
		tag := extTag{block: int64(be.Uint32(p[at:]))}
		flags := uint32(be.Uint16(p[at+6:]))
		if size == 16 {
			flags = be.Uint32(p[at+4:])
		}
		if j.features&jbd64 != 0 {
			tag.block |= int64(be.Uint32(p[at+8:])) << 32
		}
		tag.escaped = flags&jbdEscaped != 0
		out = append(out, tag)
		at += size
		if flags&jbdSameUUID == 0 {
			at += 16
		}
		if flags&jbdLastTag != 0 {
			break
		}
	}
	return out
}

// revoke reads which blocks' copies no longer count.
func (j *extJournal) revoke(p []byte, sequence uint32) {
	be := binary.BigEndian
	size := 4
	if j.features&jbd64 != 0 {
		size = 8
	}
	end := min(int(be.Uint32(p[12:])), len(p))
	for at := 16; at+size <= end && len(j.revoked) < maxJournal; at += size {
		block := int64(be.Uint32(p[at:]))
		if size == 8 {
			block = block<<32 | int64(be.Uint32(p[at+4:]))
		}
		j.revoked[block] = sequence
	}
}
