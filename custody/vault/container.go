package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"
)

// A Container is an image as far as it can be seen without a secret.
type Container struct {
	st   Store
	ref  ImageRef
	sb   Superblock
	sum  [32]byte // of the superblock
	both bool     // both copies of the superblock are there

	segments []segmentInfo // those that count, in order
	free     int           // number of the next segment that can be made
	tree     tree
	index    hash.Hash // over the footer entries of all records
	status   statusMap
	live     spans // which record holds a sector
	rescued  int64 // bytes
	stored   int64

	note []byte
	seal *sealText
	torn error // why the seal note that is there is none

	salvage *salvage // nil: opened as a whole image
	damages []Damage
}

// A segmentInfo is a segment that counts.
type segmentInfo struct {
	number int
	header segmentHeader
	count  int       // records that count: the rest of the file is not part of the image
	end    int64     // behind the last of them
	before int64     // records of the image before this segment
	root   tlog.Hash // over them
	footer bool
	size   int64 // of the file
	// Nothing flushes this file: that there is a footer does not say that there is what it speaks of.
	noFlush bool

	// Of a salvaged image:
	headless bool // the header is damaged: it is not known what the session commits to
	first    bool // record 0 verifies, where it belongs
}

// OpenImage opens an image: superblock, segment headers, footers or else a scan, and the seal where there is one. It
// needs no secret. [ErrNotFound] when there is no such image; an [ErrCorrupt] when what is there does not fit together.
func OpenImage(ctx context.Context, st Store, ref ImageRef) (*Container, error) {
	return openImage(ctx, st, ref, opening{})
}

// An opening says how thoroughly to open.
type opening struct {
	media    bool                    // past the cache
	flush    bool                    // sync the last segment first: a killed run left it in the cache
	progress func(done, total int64) // in bytes of segment files; may be nil
}

func openImage(ctx context.Context, st Store, ref ImageRef, how opening) (*Container, error) {
	if err := ref.Valid(); err != nil {
		return nil, err
	}
	c := &Container{st: st, ref: ref, index: sha256.New()}
	var err error
	if c.sb, c.sum, c.both, err = readSuperblock(st, ref); err != nil {
		return nil, err
	}
	c.status = newStatusMap(&c.sb)
	if c.note, c.seal, c.torn, err = readSeal(st, ref); err != nil {
		return nil, err
	}
	if c.seal != nil && (c.seal.uuid != c.sb.UUID || c.seal.superblock != c.sum) {
		return nil, c.corrupt(-1, -1, "the seal is of another image", nil)
	}
	found, err := c.survey(how)
	if err != nil {
		return nil, err
	}
	if err := c.number(found); err != nil {
		return nil, err
	}
	var done, total int64
	for _, f := range found {
		total += f.size
	}
	for i, f := range found {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if f.count == 0 {
			continue
		}
		last := i == len(found)-1
		if err := c.load(f, last && c.seal == nil, how); err != nil {
			return nil, err
		}
		done += f.size
		if how.progress != nil {
			how.progress(done, total)
		}
	}
	if err := c.checkSeal(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Container) corrupt(segment, record int, what string, err error) error {
	return &CorruptError{c.ref, segment, record, what, err}
}

func (c *Container) open(segment int, how opening) (File, error) {
	open := c.st.Open
	if how.media {
		open = c.st.OpenMedia
	}
	f, err := open(c.ref.segment(segment))
	if err != nil {
		return nil, fmt.Errorf("%s: opening segment %d: %w", c.ref, segment, err)
	}
	return f, nil
}

// all is a count that is not known before the segment is scanned.
const all = -1

// survey lists the segments that begin as segments of this image do: a header, then a checkpoint. A segment that does
// not was torn before anything in it was acknowledged, or was put there by somebody; either way nothing in it counts.
func (c *Container) survey(how opening) ([]segmentInfo, error) {
	entries, err := c.st.List(c.ref.Dir())
	if err != nil {
		return nil, fmt.Errorf("%s: listing: %w", c.ref, err)
	}
	var found []segmentInfo
	for _, e := range entries {
		n, ok := segmentNumber(e.Name)
		if !ok {
			continue
		}
		if !e.File {
			return nil, fmt.Errorf("%s: %w", c.ref.segment(n), ErrHostile)
		}
		if n >= maxSegments {
			continue // no segment has that number; it must not keep the next one from getting its own
		}
		if n >= c.free {
			c.free = n + 1
		}
		info, ok, err := c.surveySegment(n, how)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, info)
		}
	}
	return found, nil
}

func (c *Container) surveySegment(n int, how opening) (segmentInfo, bool, error) {
	f, err := c.open(n, how)
	if err != nil {
		return segmentInfo{}, false, err
	}
	defer leave(f)
	noFlush := false
	if how.flush {
		switch err := f.Sync(); {
		case errors.Is(err, unix.EIO), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
			// What a killed run left in the cache did not get to the medium, and is not to be counted on. The next
			// try finds what did.
			return segmentInfo{}, false, fmt.Errorf("%s: segment %d: fsync: %w", c.ref, n, err)
		case err != nil:
			noFlush = true
		}
	}
	size, err := f.Size()
	if err != nil {
		return segmentInfo{}, false, fmt.Errorf("%s: segment %d: %w", c.ref, n, err)
	}
	b := make([]byte, 2*blockSize)
	k, err := readFull(f, b, 0)
	if err != nil {
		return segmentInfo{}, false, fmt.Errorf("%s: segment %d: %w", c.ref, n, err)
	}
	if k < len(b) {
		return segmentInfo{}, false, nil
	}
	h, err := parseSegmentHeader(b[:blockSize])
	if err != nil || h.number != n || h.uuid != c.sb.UUID {
		return segmentInfo{}, false, nil
	}
	r, err := parseRecordHeader(b[blockSize:], place{uint32(n), h.session, 0, &c.sb})
	if err != nil || r.kind != typeCheckpoint {
		return segmentInfo{}, false, nil
	}
	return segmentInfo{number: n, header: h, before: r.first, count: all, size: size, noFlush: noFlush}, true, nil
}

// number finds out how many records of each segment count: what the next segment's checkpoint says lies before it, or
// what the seal says. Only of the last segment of an unsealed image that is not known.
func (c *Container) number(found []segmentInfo) error {
	if c.seal != nil {
		return c.numberSealed(found)
	}
	before := int64(0)
	for i := range found {
		f := &found[i]
		if i == 0 && f.before != 0 {
			return c.corrupt(f.number, 0, "segments before it are missing", nil)
		}
		if f.before < before || (i > 0 && f.before-before > maxSegmentRecords) {
			return c.corrupt(f.number, 0, fmt.Sprintf("%d records before it are missing", f.before-before), nil)
		}
		if i > 0 {
			found[i-1].count = int(f.before - before)
		}
		before = f.before
	}
	return nil
}

func (c *Container) numberSealed(found []segmentInfo) error {
	for i := range found {
		found[i].count = 0
	}
	before, i := int64(0), 0
	for _, s := range c.seal.segments {
		for i < len(found) && found[i].number < s.number {
			i++
		}
		if i == len(found) || found[i].number != s.number {
			return c.corrupt(s.number, -1, "sealed segment is missing", nil)
		}
		if found[i].before != before {
			return c.corrupt(s.number, 0, fmt.Sprintf("follows %d records instead of %d", found[i].before, before), nil)
		}
		found[i].count = s.records
		before += int64(s.records)
	}
	return nil
}

// load takes up the records of a segment. scan: the segment may end anywhere, so only what has its leaf right counts.
func (c *Container) load(info segmentInfo, scan bool, how opening) error {
	f, err := c.open(info.number, how)
	if err != nil {
		return err
	}
	defer leave(f)
	t, entries, err := readFooter(f, info.size, &info.header, &c.sb)
	switch {
	case err == nil && scan && info.noFlush:
		if entries, err = c.walk(f, info, true); err != nil {
			return err
		}
		info.count = len(entries) / entrySize
	case err == nil && (info.count == all || t.count >= info.count):
		info.footer = true
		if info.count == all {
			info.count = t.count
		}
		entries = entries[:info.count*entrySize]
	default:
		// No footer, one that does not fit, or one that the medium does not give back: the records are the truth.
		if entries, err = c.walk(f, info, scan); err != nil {
			return err
		}
		if info.count == all {
			info.count = len(entries) / entrySize
		}
	}
	if info.count == 0 {
		return nil
	}
	if err := c.chain(info); err != nil {
		return err
	}
	info.root = c.tree.root()
	if err := c.take(&info, entries); err != nil {
		return err
	}
	if info.end > info.size {
		return c.corrupt(info.number, info.count-1, "cut short", nil)
	}
	if info.footer && info.count == t.count && (t.treeSize != c.tree.size || t.root != c.tree.root()) {
		return c.corrupt(info.number, -1, "footer disagrees with the tree", nil)
	}
	c.segments = append(c.segments, info)
	c.stored += info.size
	return nil
}

// chain wants the header to name the header before it.
func (c *Container) chain(info segmentInfo) error {
	if info.before != c.tree.size {
		return c.corrupt(info.number, 0, fmt.Sprintf("follows %d records instead of %d", info.before, c.tree.size), nil)
	}
	var previous [32]byte
	if k := len(c.segments); k > 0 {
		previous = c.segments[k-1].header.sum()
	}
	if info.header.previous != previous {
		return c.corrupt(info.number, -1, "header does not follow the one before", nil)
	}
	return nil
}

// walk reads a segment record by record. Where the count is known the payloads are not read: the checks and the cipher
// do that. Where it is not, the first record that is not whole is the end.
func (c *Container) walk(f File, info segmentInfo, scan bool) ([]byte, error) {
	var entries []byte
	header := make([]byte, headerSize)
	var payload []byte
	off := int64(firstRecordOffset)
	for i := 0; i != info.count && i < maxSegmentRecords; i++ {
		n, err := readFull(f, header, off)
		if err != nil {
			return nil, fmt.Errorf("%s: segment %d at %d: %w", c.ref, info.number, off, err)
		}
		h, herr := parseRecordHeader(header[:n], place{uint32(info.number), info.header.session, uint64(i), &c.sb})
		if herr == nil && off+h.stored() > c.sb.MaxSegment {
			herr = fmt.Errorf("%w: record of %d bytes at %d", ErrRange, h.stored(), off)
		}
		if herr == nil && info.count == all && off+h.stored() > info.size {
			break // written since the survey: somebody goes on with the image
		}
		if herr == nil && scan {
			if payload == nil {
				payload = make([]byte, storedSize(int(c.sb.MaxRecord))-headerSize)
			}
			p := payload[:h.stored()-headerSize]
			n, err := readFull(f, p, off+headerSize)
			if err != nil {
				return nil, fmt.Errorf("%s: segment %d at %d: %w", c.ref, info.number, off, err)
			}
			if n < len(p) || recordLeaf(header, p[:h.sealed()]) != h.leaf || !allZero(p[h.sealed():]) {
				herr = errNoRecord
			}
		}
		if herr != nil {
			if info.count != all {
				return nil, c.corrupt(info.number, i, "record header", herr)
			}
			break
		}
		e := entryOf(&h, off)
		entries = e.append(entries)
		off += h.stored()
	}
	return entries, nil
}

// info returns a segment that counts.
func (c *Container) info(number int) (segmentInfo, bool) {
	i, ok := slices.BinarySearchFunc(c.segments, number, func(s segmentInfo, n int) int { return s.number - n })
	if !ok {
		return segmentInfo{}, false
	}
	return c.segments[i], true
}

// entries reads what load has read, once more.
func (c *Container) entries(f File, info segmentInfo) ([]byte, error) {
	if info.footer {
		_, entries, err := readFooter(f, info.size, &info.header, &c.sb)
		if err != nil || len(entries) < info.count*entrySize {
			return nil, c.corrupt(info.number, -1, "footer has changed", err)
		}
		return entries[:info.count*entrySize], nil
	}
	return c.walk(f, info, false)
}

// take puts the records into tree, map and index.
func (c *Container) take(info *segmentInfo, entries []byte) error {
	info.end = firstRecordOffset
	for i := 0; i < len(entries); i += entrySize {
		e, err := parseEntry(entries[i:i+entrySize], &c.sb)
		if err != nil {
			return c.corrupt(info.number, i/entrySize, "record", err)
		}
		if e.kind == typeCheckpoint && e.first != c.tree.size {
			return c.corrupt(info.number, i/entrySize, "checkpoint counts wrong", nil)
		}
		switch e.kind {
		case typeData, typeFill:
			c.live.set(e.first, e.sectors, target{
				segment: uint16(info.number), ordinal: uint16(i / entrySize), page: uint32(e.offset / blockSize),
			})
			c.rescued += c.status.read(e.first, e.sectors)
		case typeStatus:
			c.status.mark(e.first, e.sectors, e.status)
		}
		c.tree.add(e.leaf)
		info.end = e.offset + e.stored()
	}
	c.index.Write(entries)
	return nil
}

// checkSeal holds the container against what the seal says. The signature under it is another matter.
func (c *Container) checkSeal() error {
	if c.seal == nil {
		return nil
	}
	var headers [32]byte
	if k := len(c.segments); k > 0 {
		headers = c.segments[k-1].header.sum()
	}
	switch {
	case c.seal.records() != c.tree.size || len(c.seal.segments) != len(c.segments):
		return c.corrupt(-1, -1, "sealed records are missing", nil)
	case c.seal.root != c.tree.root():
		return c.corrupt(-1, -1, "root differs from the seal", nil)
	case c.seal.headers != headers:
		return c.corrupt(-1, -1, "segment headers differ from the seal", nil)
	case c.seal.index != [32]byte(c.index.Sum(nil)):
		return c.corrupt(-1, -1, "record headers differ from the seal", nil)
	case c.seal.bytes != c.sb.Bytes || c.seal.sector != c.sb.Sector || c.seal.rescued != c.rescued:
		return c.corrupt(-1, -1, "sizes differ from the seal", nil)
	}
	return nil
}

// Ref addresses the image.
func (c *Container) Ref() ImageRef { return c.ref }

// Superblock is what was known at the start.
func (c *Container) Superblock() Superblock { return c.sb }

// Sealed tells whether the image has a seal; whether it is signed by the right station only the verifications tell.
func (c *Container) Sealed() bool { return c.seal != nil }

// Seal is the content of the seal note; zero when the image is not sealed.
func (c *Container) Seal() Seal {
	if c.seal == nil {
		return Seal{}
	}
	return c.seal.seal(c.note)
}

func (t *sealText) seal(msg []byte) Seal {
	return Seal{
		UUID: t.uuid, Root: t.root, Records: t.records(), Segments: len(t.segments), Stored: t.stored,
		Rescued: t.rescued, Bad: t.bad, Untried: t.untried, NoFlush: t.noFlush, Note: msg,
	}
}

// Position is how far the log reaches.
func (c *Container) Position() Position {
	p := Position{Records: int(c.tree.size), Bytes: c.rescued}
	if k := len(c.segments); k > 0 {
		p.Segment = c.segments[k-1].number
	}
	return p
}

// Check compares the log with an acknowledged position: [ErrShort] when it reaches less far.
func (c *Container) Check(acked Position) error {
	p := c.Position()
	if p.Records < acked.Records || p.Segment < acked.Segment || p.Bytes < acked.Bytes {
		return fmt.Errorf("%s: %w: %d records up to segment %d with %d bytes of the source, acknowledged were %d up to segment %d with %d",
			c.ref, ErrShort, p.Records, p.Segment, p.Bytes, acked.Records, acked.Segment, acked.Bytes)
	}
	return nil
}

// Runs is the map of the source: sorted, without gaps, from sector 0 to the end.
func (c *Container) Runs() []Run { return c.status.runs() }

// Root is the root over all records, computed from the leaves in footers and headers.
func (c *Container) Root() tlog.Hash { return c.tree.root() }

// Close lets go of the container. A reader of it is closed on its own.
func (c *Container) Close() error { return nil }

// exists tells whether an image has got as far as a superblock or a segment.
func exists(st Store, ref ImageRef) (bool, error) {
	entries, err := st.List(ref.Dir())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: listing: %w", ref, err)
	}
	for _, e := range entries {
		if _, ok := segmentNumber(e.Name); ok || e.Name == noteName {
			return true, nil
		}
		if e.Name == superblockName {
			_, _, _, err := readSuperblock(st, ref)
			if !errors.Is(err, ErrCorrupt) {
				return true, nil
			}
		}
	}
	return false, nil
}
