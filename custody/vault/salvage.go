package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"
)

// Salvage is for an image that decay has reached: [OpenImage] refuses it because a header is damaged or records are
// missing, and nothing better is left. It reads every record whole, takes those whose leaf is right, and names the rest.
//
// A record that is lost must not let an older one shine through. Where it is known which sectors it held, from its own
// header or the footer, those count as not read. Where it is not, everything written before it is in doubt.

// SalvageOptions say how to salvage.
type SalvageOptions struct {
	// Doubtful keeps what may be out of date: sectors whose newest record that is left was written before one that is
	// lost and may have held them too. Imaging reads a sector once, so that it rarely did; but nothing shows it.
	Doubtful bool
	// Progress is called with bytes of segment files; may be nil.
	Progress func(done, total int64)
}

// A Damage is one thing that is wrong with a salvaged image.
type Damage struct {
	Segment int // -1: not in a segment
	Record  int // ordinal in the segment of the first record concerned; -1: none, or not known
	Records int // how many records are lost; 0: none is, -1: nobody knows
	// First and Sectors are what a lost record held, and are taken for not read unless a later record has them; Sectors
	// is 0 when that is not known, or when it held none.
	First, Sectors int64
	What           string
}

// String names place and damage, for a person.
func (d Damage) String() string {
	s := d.What
	if d.Record >= 0 {
		s = fmt.Sprintf("record %d: %s", d.Record, s)
	}
	if d.Segment >= 0 {
		s = fmt.Sprintf("segment %d: %s", d.Segment, s)
	}
	switch {
	case d.Sectors > 0:
		s += fmt.Sprintf(", sectors %d to %d lost", d.First, d.First+d.Sectors-1)
	case d.Records > 0:
		s += fmt.Sprintf(", %d records lost", d.Records)
	}
	return s
}

// Damages is what [OpenSalvage] found wrong; nil for an image that is whole, or was opened with [OpenImage].
func (c *Container) Damages() []Damage { return c.damages }

// Salvaged tells whether the container was opened with [OpenSalvage].
func (c *Container) Salvaged() bool { return c.salvage != nil }

// A salvage is what a container has beyond that of a whole image.
type salvage struct {
	o       SalvageOptions
	mended  map[target][headerSize]byte // headers that are damaged in the file, as they were
	metas   map[int][]target            // by segment
	doubt   spans                       // what was left out as doubtful
	done    int64
	total   int64
	files   map[int]segmentInfo
	missing map[int]string // segments of which nothing can be placed, and why
}

// OpenSalvage opens what is left of a damaged image. It reads the whole image past the cache, needs no secret, and takes
// every record that verifies. [Container.Damages] names what is lost. What is lost reads as not read ([ErrUnread]), never
// as something older. [Container.VerifyQuick] and [Container.VerifyMedia] of a damaged image fail.
//
// The superblock has to be there, in one of its copies. It guards against decay, not against somebody who forges
// headers and footers: that is what the verifications are for.
func OpenSalvage(ctx context.Context, st Store, ref ImageRef, o SalvageOptions) (*Container, error) {
	if err := ref.Valid(); err != nil {
		return nil, err
	}
	c := &Container{st: st, ref: ref, index: sha256.New(), salvage: &salvage{
		o: o, mended: make(map[target][headerSize]byte), metas: make(map[int][]target),
		files: make(map[int]segmentInfo), missing: make(map[int]string),
	}}
	var err error
	if c.sb, c.sum, c.both, err = readSuperblock(st, ref); err != nil {
		return nil, err
	}
	c.status = newStatusMap(&c.sb)
	if !c.both {
		c.damaged(Damage{Segment: -1, Record: -1, What: "one copy of the superblock is damaged"})
	}
	c.salvageSeal()
	order, err := c.salvageSurvey()
	if err != nil {
		return nil, err
	}
	if c.seal != nil {
		err = c.salvageSealed(ctx)
	} else {
		err = c.salvageUnsealed(ctx, order)
	}
	if err != nil {
		return nil, err
	}
	c.rescued, _, _ = c.status.tally()
	c.countDoubt()
	return c, nil
}

func (c *Container) damaged(d Damage) { c.damages = append(c.damages, d) }

// salvageSeal takes the seal when it is whole and of this image: it says how many records of each segment count.
func (c *Container) salvageSeal() {
	var err error
	c.note, c.seal, c.torn, err = readSeal(c.st, c.ref)
	switch {
	case err != nil || c.torn != nil:
		c.damaged(Damage{Segment: -1, Record: -1, What: "the seal is damaged"})
	case c.seal != nil && (c.seal.uuid != c.sb.UUID || c.seal.superblock != c.sum):
		c.damaged(Damage{Segment: -1, Record: -1, What: "the seal is of another image"})
	default:
		return
	}
	c.note, c.seal = nil, nil
}

// salvageSurvey looks at the beginning and end of every segment file, and returns their numbers.
func (c *Container) salvageSurvey() ([]int, error) {
	entries, err := c.st.List(c.ref.Dir())
	if err != nil {
		return nil, fmt.Errorf("%s: listing: %w", c.ref, err)
	}
	var order []int
	for _, e := range entries {
		n, ok := segmentNumber(e.Name)
		if !ok || n >= maxSegments {
			continue
		}
		order = append(order, n)
		if !e.File {
			c.salvage.missing[n] = "not a plain file"
			continue
		}
		info, err := c.salvageHead(n)
		if err != nil {
			c.salvage.missing[n] = err.Error()
			continue
		}
		c.salvage.files[n] = info
		c.salvage.total += info.size
	}
	return order, nil
}

var errNothing = errors.New("nothing in it can be placed")

// unknown is a number of records before a segment that nothing tells.
const unknown = -1

// salvageHead finds out session and place of a segment from its header, its first record, or its footer.
func (c *Container) salvageHead(n int) (segmentInfo, error) {
	f, err := c.open(n, opening{media: true})
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrHostile) {
			return segmentInfo{}, errNothing
		}
		return segmentInfo{}, errors.New("cannot be opened")
	}
	defer leave(f)
	size, err := f.Size()
	if err != nil || size < 2*blockSize {
		return segmentInfo{}, errNothing
	}
	info := segmentInfo{number: n, size: min(size, MaxSegment), before: unknown, count: all}
	b := make([]byte, blockSize)
	read := func(off int64) bool {
		k, err := readFull(f, b, off)
		return err == nil && k == len(b)
	}
	placed := false
	if read(0) {
		h, err := parseSegmentHeader(b)
		placed = err == nil && h.number == n && h.uuid == c.sb.UUID
		info.header = h
	}
	if !placed {
		info.headless = true
		info.header = segmentHeader{number: n, uuid: c.sb.UUID}
	}
	if read(size - blockSize) {
		t, err := parseTrailer(b)
		if err == nil && t.segment == n && t.uuid == c.sb.UUID && (!placed || t.session == info.header.session) {
			placed, info.header.session = true, t.session
			info.before = t.treeSize - int64(t.count)
		}
	}
	// Without either, the first header that is whole tells the session.
	for off := int64(firstRecordOffset); !placed && off+blockSize <= info.size; off += blockSize {
		if read(off) && string(b[:4]) == recordMagic {
			p := place{uint32(n), [16]byte(b[64:80]), le.Uint64(b[8:]), &c.sb}
			if _, err := parseRecordHeader(b, p); err == nil && p.ordinal < maxSegmentRecords {
				placed, info.header.session = true, p.session
			}
		}
	}
	if !placed {
		return segmentInfo{}, errNothing
	}
	if read(firstRecordOffset) {
		r, err := parseRecordHeader(b, place{uint32(n), info.header.session, 0, &c.sb})
		if err == nil && r.kind == typeCheckpoint {
			info.before = r.first
		}
	}
	return info, nil
}

// salvageSealed goes by what the seal lists.
func (c *Container) salvageSealed(ctx context.Context) error {
	for _, s := range c.seal.segments {
		info, ok := c.salvage.files[s.number]
		if !ok {
			what, named := c.salvage.missing[s.number]
			if !named {
				what = "missing"
			}
			c.lost(s.number, 0, s.records, what)
			continue
		}
		info.count = s.records
		if _, err := c.salvageSegment(ctx, info); err != nil {
			return err
		}
	}
	return nil
}

// salvageUnsealed goes by what the first record of each segment says lies before it.
func (c *Container) salvageUnsealed(ctx context.Context, order []int) error {
	last, have := int64(0), int64(0) // records before the newest segment of which that is known; those found since
	previous := -1
	for i, n := range order {
		info, ok := c.salvage.files[n]
		if !ok {
			c.damaged(Damage{Segment: n, Record: -1, What: c.salvage.missing[n]})
			continue
		}
		if info.before != unknown {
			if short := info.before - last - have; short > 0 {
				c.lost(previous, -1, int(min(short, maxSegments*maxSegmentRecords)), "records between this segment and the next known one are missing")
			}
			last, have = info.before, 0
			for _, m := range order[i+1:] {
				if next, ok := c.salvage.files[m]; ok && next.before != unknown {
					info.count = int(min(max(next.before-info.before, 0), maxSegmentRecords))
					break
				}
			}
		}
		k, err := c.salvageSegment(ctx, info)
		if err != nil {
			return err
		}
		have, previous = have+int64(k), n
	}
	return nil
}

// lost names records of which nobody knows what they held, and puts everything before them in doubt.
func (c *Container) lost(segment, record, count int, what string) {
	c.damaged(Damage{Segment: segment, Record: record, Records: count, What: what})
	if c.salvage.o.Doubtful {
		return
	}
	c.live.all(0, func(sp span) bool {
		if !sp.lost() {
			c.salvage.doubt.set(sp.first(), sp.n(), target{page: 1})
		}
		return true
	})
	c.live = spans{}
	for _, r := range c.status.runs() {
		if r.Status == statusRead {
			c.status.set(r.First, r.Sectors, statusUntried)
		}
	}
}

// lostKnown names a record that is lost and makes what it held unread.
func (c *Container) lostKnown(segment, ordinal int, h recordHeader) {
	d := Damage{Segment: segment, Record: ordinal, Records: 1, What: "does not verify"}
	if h.kind == typeData || h.kind == typeFill {
		d.First, d.Sectors = h.first, h.sectors
		c.live.set(h.first, h.sectors, target{})
		c.status.set(h.first, h.sectors, statusUntried)
	}
	c.damaged(d)
}

// countDoubt names what was left out as doubtful and is not there from a later record.
func (c *Container) countDoubt() {
	left := int64(0)
	c.salvage.doubt.all(0, func(sp span) bool {
		left += sp.n()
		c.live.all(sp.first(), func(l span) bool {
			if l.first() >= sp.end() {
				return false
			}
			left -= min(l.end(), sp.end()) - max(l.first(), sp.first())
			return true
		})
		return true
	})
	if left > 0 {
		c.damaged(Damage{Segment: -1, Record: -1, What: fmt.Sprintf("%d sectors are left out because what is lost may have been newer", left)})
	}
}

// salvageSegment takes up the records of a segment that verify, and returns how many there are with those that are known
// to be lost.
func (c *Container) salvageSegment(ctx context.Context, info segmentInfo) (int, error) {
	if info.headless {
		c.damaged(Damage{Segment: info.number, Record: -1, What: "the segment header is damaged"})
	}
	if info.count == 0 {
		return 0, nil
	}
	f, err := c.open(info.number, opening{media: true})
	if err != nil {
		return 0, err
	}
	defer leave(f)
	s := &segmentSalvage{c: c, f: f, info: info, end: info.size}
	if t, entries, err := readFooter(f, info.size, &info.header, &c.sb); err == nil {
		s.entries, s.end = entries, t.offset
	}
	if err := s.walk(ctx); err != nil {
		return 0, err
	}
	info.first, info.end = s.first, s.end
	info.count = s.next
	c.segments = append(c.segments, info)
	c.stored += info.size
	return s.next, nil
}

// A segmentSalvage walks one segment.
type segmentSalvage struct {
	c       *Container
	f       File
	info    segmentInfo
	entries []byte // of the footer, if there is one
	end     int64  // where records end at the latest
	raw     []byte
	next    int                  // ordinal of the next record
	seen    map[int]recordHeader // headers of records that do not verify
	first   bool                 // record 0 verifies
}

func (s *segmentSalvage) entry(ordinal int) (entry, bool) {
	if (ordinal+1)*entrySize > len(s.entries) {
		return entry{}, false
	}
	e, err := parseEntry(s.entries[ordinal*entrySize:(ordinal+1)*entrySize], &s.c.sb)
	return e, err == nil
}

func (s *segmentSalvage) walk(ctx context.Context) error {
	limit := maxSegmentRecords
	if s.info.count != all {
		limit = s.info.count
	}
	s.seen = make(map[int]recordHeader)
	s.raw = alignedBuffer(int(storedSize(int(s.c.sb.MaxRecord))))
	off := int64(firstRecordOffset)
	for s.next < limit && off+blockSize <= s.end {
		if err := ctx.Err(); err != nil {
			return err
		}
		from := off
		if h, mended, ok := s.record(off, limit); ok {
			s.gap(int(h.ordinal))
			s.take(h, off, mended)
			s.next++
			off += h.stored()
		} else if e, ok := s.entry(s.next); ok && e.offset == off {
			s.c.lostKnown(s.info.number, s.next, e.header(&s.c.sb))
			s.next++
			off += e.stored()
		} else {
			off += blockSize
		}
		s.c.salvage.done += off - from
		if s.c.salvage.o.Progress != nil {
			s.c.salvage.o.Progress(min(s.c.salvage.done, s.c.salvage.total), s.c.salvage.total)
		}
	}
	switch {
	case s.info.count != all:
		s.gap(limit)
	case len(s.seen) > 0:
		// Records that begin and do not verify, and nothing behind them: a torn end, as every crash leaves it.
		if _, ok := s.seen[s.next]; ok {
			s.gap(s.next + 1)
		}
	}
	return nil
}

// gap gives up the records from the next one up to an ordinal.
func (s *segmentSalvage) gap(to int) {
	unknown, from := 0, 0
	tell := func() {
		if unknown > 0 {
			s.c.lost(s.info.number, from, unknown, "does not verify")
		}
		unknown = 0
	}
	for ; s.next < to; s.next++ {
		h, ok := s.seen[s.next]
		if e, listed := s.entry(s.next); !ok && listed {
			h, ok = e.header(&s.c.sb), true
		}
		if !ok && s.next == 0 {
			h, ok = recordHeader{kind: typeCheckpoint}, true // nothing else comes first
		}
		if ok {
			tell()
			s.c.lostKnown(s.info.number, s.next, h)
			continue
		}
		if unknown == 0 {
			from = s.next
		}
		unknown++
	}
	tell()
	clear(s.seen)
}

// record reads what lies at an offset. A record is accepted when its header and payload give its leaf: with the header
// that is there, with that but for its checksum, or with the one that the footer tells of.
func (s *segmentSalvage) record(off int64, limit int) (h recordHeader, mended, ok bool) {
	n, _ := readFull(s.f, s.raw[:blockSize], off)
	if n < blockSize {
		clear(s.raw[n:blockSize])
	}
	sb, number, session := &s.c.sb, uint32(s.info.number), s.info.header.session
	at := place{number, session, le.Uint64(s.raw[8:]), sb}
	if n >= headerSize && at.ordinal >= uint64(s.next) && at.ordinal < uint64(limit) {
		h, err := parseRecordHeader(s.raw, at)
		if err == nil {
			if s.payload(off, &h) {
				return h, false, true
			}
			s.seen[int(h.ordinal)] = h
		} else {
			b := [headerSize]byte(s.raw)
			// The segment number is not under the leaf: it has to be right by itself, or a record of another segment
			// would be taken for one of this.
			copy(b[:], recordMagic)
			clear(b[116:crcOffset])
			finishHeader(b[:], tlog.Hash(b[leafedSize:leafedSize+tlog.HashSize]))
			if h, err = parseRecordHeader(b[:], at); err == nil && s.mend(off, &h) {
				return h, true, true
			}
		}
	}
	e, listed := s.entry(s.next)
	if !listed || e.offset != off {
		return recordHeader{}, false, false
	}
	h = e.header(sb)
	h.ordinal, h.session, h.segment = uint64(s.next), session, number
	return h, true, s.mend(off, &h)
}

// mend puts a header in place of the one that was read, and tells whether the record then verifies.
func (s *segmentSalvage) mend(off int64, h *recordHeader) bool {
	kept := [headerSize]byte(s.raw)
	h.put(s.raw)
	finishHeader(s.raw, h.leaf)
	if s.payload(off, h) {
		return true
	}
	copy(s.raw, kept[:])
	return false
}

// payload reads the rest of a record whose header is in place, and checks its leaf.
func (s *segmentSalvage) payload(off int64, h *recordHeader) bool {
	size := h.stored()
	if off+size > s.end {
		return false
	}
	if size > blockSize {
		n, err := readFull(s.f, s.raw[blockSize:size], off+blockSize)
		if err != nil || int64(n) < size-blockSize {
			return false
		}
	}
	return recordLeaf(s.raw, s.raw[headerSize:headerSize+h.sealed()]) == h.leaf
}

// take takes up a record that verifies.
func (s *segmentSalvage) take(h recordHeader, off int64, mended bool) {
	c, n := s.c, s.info.number
	t := target{segment: uint16(n), ordinal: uint16(h.ordinal), page: uint32(off / blockSize)}
	if mended {
		c.salvage.mended[t] = [headerSize]byte(s.raw)
		c.damaged(Damage{Segment: n, Record: int(h.ordinal), What: "the record header is damaged and was restored"})
	}
	switch h.kind {
	case typeData, typeFill:
		c.live.set(h.first, h.sectors, t)
		c.status.read(h.first, h.sectors)
	case typeStatus:
		c.status.mark(h.first, h.sectors, h.status)
	case typeMeta:
		c.salvage.metas[n] = append(c.salvage.metas[n], t)
	}
	if h.ordinal == 0 && off == firstRecordOffset {
		s.first = true
	}
	c.tree.add(h.leaf)
}
