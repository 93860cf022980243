package vault

import (
	"slices"
	"sort"
)

// spans is a sorted list of stretches of the source that do not overlap, each pointing at something: a record in the
// index of a reader, a status in a map. A later stretch replaces what it covers. 16 bytes a stretch, so that the 4
// million records of a 4 TB image take 64 MB, in blocks, so that neither growing nor inserting copies the whole.
type spans struct {
	blocks [][]span
}

// A span packs 48 bits of first sector and 16 of segment; 20 bits of page, 16 of ordinal and 28 of length. These are the
// limits of the format (maxSectors, maxSegments, MaxSegment/4096, maxSegmentRecords); a longer stretch is several spans.
type span struct{ a, b uint64 }

// A target is what a span points at.
type target struct {
	segment uint16
	ordinal uint16
	page    uint32 // offset in the segment, in blocks of 4096 bytes
}

const (
	spanBlock = 512       // spans in a block
	spanRoom  = 32        // spans that a block which is not filled from the front may grow by
	spanMax   = 1<<28 - 1 // sectors in a span
)

func makeSpan(first, n int64, t target) span {
	return span{
		a: uint64(first)<<16 | uint64(t.segment),
		b: uint64(t.page)<<44 | uint64(t.ordinal)<<28 | uint64(n),
	}
}

func (s span) first() int64 { return int64(s.a >> 16) }
func (s span) n() int64     { return int64(s.b & spanMax) }
func (s span) end() int64   { return s.first() + s.n() }

// lost tells of a stretch whose record is lost: no record lies before the first block's end.
func (s span) lost() bool { return s.target().page == 0 }

func (s span) target() target {
	return target{uint16(s.a), uint16(s.b >> 28), uint32(s.b >> 44)}
}

// find returns the place of the first span that ends behind sector.
func (s *spans) find(sector int64) (block, i int) {
	block = sort.Search(len(s.blocks), func(k int) bool {
		b := s.blocks[k]
		return b[len(b)-1].end() > sector
	})
	if block < len(s.blocks) {
		b := s.blocks[block]
		i = sort.Search(len(b), func(k int) bool { return b[k].end() > sector })
	}
	return block, i
}

// all calls fn for every span from the first that ends behind sector, until fn returns false.
func (s *spans) all(sector int64, fn func(span) bool) {
	block, i := s.find(sector)
	for ; block < len(s.blocks); block, i = block+1, 0 {
		for _, sp := range s.blocks[block][i:] {
			if !fn(sp) {
				return
			}
		}
	}
}

// len is the number of spans.
func (s *spans) len() int {
	n := 0
	for _, b := range s.blocks {
		n += len(b)
	}
	return n
}

// set makes [first, first+n) point at t, whatever it pointed at before.
func (s *spans) set(first, n int64, t target) {
	for n > 0 {
		k := min(n, spanMax)
		s.setOne(first, k, t)
		first, n = first+k, n-k
	}
}

func (s *spans) setOne(first, n int64, t target) {
	block, i := s.find(first)
	end := first + n
	var put [3]span
	in := put[:0]
	removed := 0
	// What is covered goes; its ends that stand out on either side stay.
	for bl, k := block, i; bl < len(s.blocks); bl, k = bl+1, 0 {
		b := s.blocks[bl]
		for ; k < len(b) && b[k].first() < end; k++ {
			removed++
			if old := b[k]; old.first() < first {
				in = append(in, makeSpan(old.first(), first-old.first(), old.target()))
			}
		}
		if k < len(b) {
			break
		}
	}
	var tail span
	if removed > 0 {
		if last := s.at(block, i, removed-1); last.end() > end {
			tail = makeSpan(end, last.end()-end, last.target())
		}
	}
	in = append(in, makeSpan(first, n, t))
	if tail.n() > 0 {
		in = append(in, tail)
	}
	s.splice(block, i, removed, in)
}

// at returns the span k places behind (block, i).
func (s *spans) at(block, i, k int) span {
	for i+k >= len(s.blocks[block]) {
		k -= len(s.blocks[block]) - i
		block, i = block+1, 0
	}
	return s.blocks[block][i+k]
}

// splice replaces count spans from (block, i) on by others.
func (s *spans) splice(block, i, count int, in []span) {
	if block == len(s.blocks) {
		s.push(in)
		return
	}
	b := s.blocks[block]
	here := min(count, len(b)-i)
	next := block + 1
	for rest := count - here; rest > 0; {
		c := s.blocks[next]
		if rest < len(c) {
			s.blocks[next] = slices.Delete(c, 0, rest)
			break
		}
		rest -= len(c)
		next++
	}
	s.blocks = slices.Delete(s.blocks, block+1, next)
	if len(b)-here+len(in) > cap(b) {
		b = roomy(b)
	}
	b = slices.Replace(b, i, i+here, in...)
	if len(b) > spanBlock {
		half := len(b) / 2
		s.blocks = slices.Insert(s.blocks, block+1, roomy(b[half:]))
		b = roomy(b[:half])
	}
	s.blocks[block] = b
}

// roomy copies a block with a little room to grow: doubling, as append does, would waste half of the index.
func roomy(b []span) []span {
	return append(make([]span, 0, len(b)+spanRoom), b...)
}

// push appends spans at the end, filling blocks completely: most images are read from front to back.
func (s *spans) push(in []span) {
	for _, sp := range in {
		if k := len(s.blocks) - 1; k >= 0 && len(s.blocks[k]) < spanBlock {
			s.blocks[k] = append(s.blocks[k], sp)
			continue
		}
		s.blocks = append(s.blocks, append(make([]span, 0, spanBlock), sp))
	}
}
