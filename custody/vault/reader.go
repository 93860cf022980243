package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"sync"

	"filippo.io/age"
)

// A Reader gives the source's content back. Every byte it returns was authenticated. Its methods may be called from
// several goroutines.
type Reader struct {
	c        *Container
	sessions map[[16]byte]*session
	unpacker *unpacker
	total    int64           // sectors
	locked   map[uint16]bool // of a salvaged image: segments whose key is missing

	mu       sync.Mutex
	segments map[int]*openSegment
	recent   []cached // newest last
	closed   bool
}

// An openSegment is a segment whose key is there. Its checkpoint has been opened: superblock, header and the log
// before it are what the writer knew.
type openSegment struct {
	info   segmentInfo
	file   File
	cipher *recordCipher
	users  int // who is reading it just now
}

type cached struct {
	t    target
	data *content
}

// A content is a record that was opened.
type content struct {
	header recordHeader
	plain  []byte // one byte for a fill
}

const (
	recentRecords = 8
	openSegments  = 64
)

// Unlock opens the key files with the identities. [ErrWrongKey] when none of them opens one, [ErrKeyFile] when the
// key file of a session is missing or damaged.
func (c *Container) Unlock(ctx context.Context, keys Store, ids ...age.Identity) (*Reader, error) {
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s: %w: no identity given", c.ref, ErrWrongKey)
	}
	// What each session commits to, from the first segment that says so.
	need := make(map[[16]byte]segmentInfo)
	for _, s := range c.segments {
		if first, ok := need[s.header.session]; !ok || (first.headless && !s.headless) {
			need[s.header.session] = s
		}
	}
	r := &Reader{c: c, sessions: make(map[[16]byte]*session), total: c.sb.Sectors(), segments: make(map[int]*openSegment)}
	var err error
	if r.unpacker, err = newUnpacker(); err != nil {
		return nil, err
	}
	entries, err := keys.List(c.ref.KeyDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: listing the key files: %w", c.ref, err)
	}
	// A key file that fails matters only when its session is needed: a run that died before its key file was whole
	// has written no record.
	var failed error
	for _, e := range entries {
		if _, ok := keyNumber(e.Name); !ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := readKey(keys, path.Join(c.ref.KeyDir(), e.Name), ids)
		switch {
		case err != nil:
			// A wrong identity explains more than a damaged file.
			if failed == nil || errors.Is(err, ErrWrongKey) {
				failed = err
			}
		case s.uuid != c.sb.UUID:
			failed = errors.Join(failed, fmt.Errorf("%w: %s is of another image", ErrKeyFile, e.Name))
		default:
			// Anybody can make a key file for a session, whose id is public. The one that counts is the one that the
			// segments commit to.
			first, ok := need[s.id]
			if old := r.sessions[s.id]; old == nil || (ok && !first.headless && !old.commits(first.header.commitment)) {
				r.sessions[s.id] = s
			}
		}
	}
	var open *segmentInfo
	for i, s := range c.segments {
		var err error
		own := r.sessions[s.header.session]
		switch {
		case own == nil:
			if failed == nil {
				failed = fmt.Errorf("%w: missing", ErrKeyFile)
			}
			err = fmt.Errorf("%s: session of segment %d: %w", c.ref, need[s.header.session].number, failed)
		case !own.commits(s.header.commitment) && !s.headless:
			err = fmt.Errorf("%s: segment %d: %w: its secret is not the one the segment commits to", c.ref, s.number, ErrKeyFile)
		case s.headless && !need[s.header.session].headless && !own.commits(need[s.header.session].header.commitment):
			err = fmt.Errorf("%s: segment %d: %w: its secret is not the one its session commits to", c.ref, s.number, ErrKeyFile)
		case open == nil:
			open = &c.segments[i]
		}
		switch {
		case err == nil:
		case c.salvage == nil:
			return nil, err
		default:
			if r.locked == nil {
				r.locked = make(map[uint16]bool)
			}
			r.locked[uint16(s.number)] = true
			failed = err
		}
	}
	if len(c.segments) > 0 && open == nil {
		return nil, failed
	}
	if len(c.segments) == 0 && len(r.sessions) == 0 && failed != nil {
		return nil, fmt.Errorf("%s: %w", c.ref, failed)
	}
	if open != nil {
		s, err := r.segment(open.number)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.release(s)
	}
	return r, nil
}

// Locked names the segments of a salvaged image whose key file is missing or does not open: what they hold reads as not
// read. An image that is not salvaged does not unlock then.
func (r *Reader) Locked() []int {
	var numbers []int
	for n := range r.locked {
		numbers = append(numbers, int(n))
	}
	slices.Sort(numbers)
	return numbers
}

// gone tells of a stretch whose record is lost, or whose key is.
func (r *Reader) gone(sp span) bool { return sp.lost() || r.locked[sp.target().segment] }

// Size is the size of the source in bytes.
func (r *Reader) Size() int64 { return r.c.sb.Bytes }

// segment opens a segment, or finds it open. The caller releases it.
func (r *Reader) segment(number int) (*openSegment, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	if s := r.segments[number]; s != nil {
		s.users++
		return s, nil
	}
	info, ok := r.c.info(number)
	if !ok {
		return nil, r.c.corrupt(number, -1, "no such segment", nil)
	}
	f, err := r.c.open(number, opening{})
	if err != nil {
		return nil, err
	}
	s := &openSegment{info: info, file: f, cipher: r.sessions[info.header.session].segmentKey(number), users: 1}
	if err := r.bind(s); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.segments[number] = s
	return s, nil
}

// release gives a segment back. Of those that nobody is reading, only so many stay open.
func (r *Reader) release(s *openSegment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.users--
	if s.users > 0 || len(r.segments) <= openSegments {
		return
	}
	delete(r.segments, s.info.number)
	_ = s.file.Close() // it was only read
}

// bind opens the first record, the checkpoint, and holds what it says against what was read in the clear.
func (r *Reader) bind(s *openSegment) error {
	if r.c.salvage != nil && !s.info.first {
		return nil // every record still has to authenticate in its place
	}
	got, err := r.open(s, target{segment: uint16(s.info.number), page: firstRecordOffset / blockSize}, nil)
	if err != nil {
		return err
	}
	want := checkpoint{s.info.root, r.c.sum, s.info.header.sum()}
	if r.c.salvage != nil && len(got.plain) == checkpointSize {
		// Earlier records may be lost, and the header too.
		copy(want.root[:], got.plain)
		if s.info.headless {
			copy(want.header[:], got.plain[64:])
		}
	}
	if got.header.kind != typeCheckpoint || string(got.plain) != string(want.marshal()) {
		return r.c.corrupt(s.info.number, 0, "superblock, segment header or earlier records are not what the writer knew", nil)
	}
	return nil
}

// open reads and authenticates one record, in buf when it is large enough.
func (r *Reader) open(s *openSegment, t target, buf []byte) (*content, error) {
	fail := func(what string, err error) (*content, error) {
		return nil, r.c.corrupt(s.info.number, int(t.ordinal), what, err)
	}
	head := make([]byte, blockSize)
	off := int64(t.page) * blockSize
	n, err := readFull(s.file, head, off)
	if err != nil {
		return fail("cannot be read", err)
	}
	if r.c.salvage != nil {
		if mended, ok := r.c.salvage.mended[t]; ok && n >= headerSize {
			copy(head, mended[:])
		}
	}
	h, err := parseRecordHeader(head[:n], place{uint32(s.info.number), s.info.header.session, uint64(t.ordinal), &r.c.sb})
	if err != nil {
		return fail("record header", err)
	}
	if off+h.stored() > s.info.end {
		return fail("reaches beyond the end of its segment", nil)
	}
	if cap(buf) < h.sealed() {
		buf = make([]byte, h.sealed())
	}
	payload := buf[:h.sealed()]
	got := copy(payload, head[headerSize:n])
	if got < len(payload) {
		k, err := readFull(s.file, payload[got:], off+int64(headerSize+got))
		if err != nil {
			return fail("cannot be read", err)
		}
		if got += k; got < len(payload) {
			return fail("cut short", nil)
		}
	}
	plain, err := s.cipher.open(head, payload)
	if err != nil {
		return fail("does not authenticate", err)
	}
	if h.codec != codecNone {
		if plain, err = r.unpacker.unpack(plain, int(h.plain)); err != nil {
			return fail("does not unpack", err)
		}
	}
	return &content{h, plain}, nil
}

// record returns the opened record that a span points at. It may lie in buf.
func (r *Reader) record(sp span, buf []byte) (*content, error) {
	t := sp.target()
	if c := r.remembered(t); c != nil {
		return c, nil
	}
	s, err := r.segment(int(t.segment))
	if err != nil {
		return nil, err
	}
	defer r.release(s)
	c, err := r.open(s, t, buf)
	if err != nil {
		return nil, err
	}
	h := &c.header
	if (h.kind != typeData && h.kind != typeFill) || sp.first() < h.first || sp.end() > h.first+h.sectors {
		return nil, r.c.corrupt(int(t.segment), int(t.ordinal), "is not the record of these sectors", nil)
	}
	// A caller with a buffer reads once from front to back; only what it needs in several pieces is worth keeping.
	switch {
	case buf == nil:
		r.remember(t, c)
	case sp.n() < h.sectors:
		c.plain = append([]byte(nil), c.plain...)
		r.remember(t, c)
	}
	return c, nil
}

func (r *Reader) remembered(t target) *content {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.recent {
		if c.t == t {
			return c.data
		}
	}
	return nil
}

func (r *Reader) remember(t target, c *content) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.recent) == recentRecords {
		r.recent = append(r.recent[:0], r.recent[1:]...)
	}
	r.recent = append(r.recent, cached{t, c})
}

// copyTo copies the bytes of a record from source offset off on, as many as p takes; the record has them.
func (c *content) copyTo(p []byte, off int64, sector int64) {
	if c.header.kind == typeFill {
		for i := range p {
			p[i] = c.plain[0]
		}
		return
	}
	copy(p, c.plain[off-c.header.first*sector:])
}

// ReadAt reads the source's content. Where the source was not read it returns what lies before and an [*UnreadError];
// at the end io.EOF; an [ErrCorrupt] where a record does not authenticate.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: offset %d", ErrRange, off)
	}
	sector, size := int64(r.c.sb.Sector), r.c.sb.Bytes
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= size {
			return n, io.EOF
		}
		sp, ok := r.span(at / sector)
		if !ok {
			return n, &UnreadError{First: sp.first(), Sectors: sp.n()}
		}
		c, err := r.record(sp, nil)
		if err != nil {
			return n, err
		}
		k := int(min(int64(len(p)-n), min(sp.end()*sector, size)-at))
		c.copyTo(p[n:n+k], at, sector)
		n += k
	}
	return n, nil
}

// span returns the span that holds a sector, or false and the gap it lies in.
func (r *Reader) span(sector int64) (sp span, ok bool) {
	end := r.total
	r.c.live.all(sector, func(s span) bool {
		switch {
		case s.first() <= sector && r.gone(s):
			end = s.end()
		case s.first() <= sector:
			sp, ok = s, true
		default:
			end = s.first()
		}
		return false
	})
	if !ok {
		sp = makeSpan(sector, min(end-sector, spanMax), target{})
	}
	return sp, ok
}

// A Chunk is a stretch of the source.
type Chunk struct {
	Off  int64
	Len  int64
	Data []byte // Len bytes, valid until the callback returns; nil: not read from the source
	Fill bool   // Data is one byte, repeated
}

// Chunks calls fn for the whole source from its first byte to its last, in order and without gaps, decrypting ahead on
// several processors. It ends at the first error.
func (r *Reader) Chunks(ctx context.Context, fn func(Chunk) error) error {
	type job struct {
		sp   span
		gap  bool
		data *content
		buf  []byte
	}
	sector, size := int64(r.c.sb.Sector), r.c.sb.Bytes
	workers := runtime.GOMAXPROCS(0)
	depth := 2 * workers
	free := make(chan []byte, depth+2)
	for range depth + 2 {
		free <- make([]byte, int(r.c.sb.MaxRecord)+sealOverhead)
	}
	repeated := make([]byte, MaxRecord)
	return inOrder(ctx, workers, depth,
		func(ctx context.Context, put func(*job) bool) error {
			at := int64(0)
			more := true
			gap := func(end int64) {
				for more && at < end {
					n := min(end-at, spanMax)
					more = put(&job{sp: makeSpan(at, n, target{}), gap: true})
					at += n
				}
			}
			r.c.live.all(0, func(sp span) bool {
				gap(sp.first())
				if r.gone(sp) {
					gap(sp.end())
					return more
				}
				if more {
					select {
					case buf := <-free:
						more = put(&job{sp: sp, buf: buf})
					case <-ctx.Done():
						more = false
					}
				}
				at = sp.end()
				return more
			})
			gap(r.total)
			return nil
		},
		func(j *job) (err error) {
			if !j.gap {
				j.data, err = r.record(j.sp, j.buf)
			}
			return err
		},
		func(j *job) error {
			if !j.gap {
				defer func() { free <- j.buf }()
			}
			off := j.sp.first() * sector
			end := min(j.sp.end()*sector, size)
			switch {
			case j.gap:
				return fn(Chunk{Off: off, Len: end - off})
			case j.data.header.kind == typeFill:
				if repeated[0] != j.data.plain[0] {
					j.data.copyTo(repeated, 0, sector)
				}
				for off < end {
					n := min(end-off, int64(len(repeated)))
					if err := fn(Chunk{off, n, repeated[:n], true}); err != nil {
						return err
					}
					off += n
				}
				return nil
			}
			from := off - j.data.header.first*sector
			return fn(Chunk{off, end - off, j.data.plain[from : from+end-off], false})
		})
}

// Extents calls fn for every stretch of the source that was read, in order; neighbours are not joined.
func (r *Reader) Extents(fn func(first, sectors int64) error) error {
	var err error
	r.c.live.all(0, func(sp span) bool {
		if !r.gone(sp) {
			err = fn(sp.first(), sp.n())
		}
		return err == nil
	})
	return err
}

// Metas returns the plaintext of all META records, in order.
func (r *Reader) Metas(ctx context.Context) ([][]byte, error) {
	var metas [][]byte
	for _, info := range r.c.segments {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if r.locked[uint16(info.number)] {
			continue
		}
		found, err := r.metas(info)
		if err != nil {
			return nil, err
		}
		metas = append(metas, found...)
	}
	return metas, nil
}

func (r *Reader) metas(info segmentInfo) (metas [][]byte, err error) {
	s, err := r.segment(info.number)
	if err != nil {
		return nil, err
	}
	defer r.release(s)
	if r.c.salvage != nil {
		for _, t := range r.c.salvage.metas[info.number] {
			c, err := r.open(s, t, nil)
			if err != nil {
				return nil, err
			}
			metas = append(metas, c.plain)
		}
		return metas, nil
	}
	entries, err := r.c.entries(s.file, info)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(entries); i += entrySize {
		if entries[i] != typeMeta {
			continue
		}
		e, err := parseEntry(entries[i:i+entrySize], &r.c.sb)
		if err != nil {
			return nil, r.c.corrupt(info.number, i/entrySize, "record", err)
		}
		c, err := r.open(s, target{uint16(info.number), uint16(i / entrySize), uint32(e.offset / blockSize)}, nil)
		if err != nil {
			return nil, err
		}
		metas = append(metas, c.plain)
	}
	return metas, nil
}

// A Content is what Deep found out about a source's content.
type Content struct {
	SHA256 [32]byte // of the whole source, with zeros where it was not read
	Bytes  int64    // of the source
	Unread int64    // bytes that were not read, counted as zeros in SHA256
}

// Deep opens every live record and computes the SHA-256 of the whole source. The hash is personal data: in public it
// would confirm guesses.
func (r *Reader) Deep(ctx context.Context, progress func(done, total int64)) (Content, error) {
	got := Content{Bytes: r.c.sb.Bytes}
	h := sha256.New()
	zeros := make([]byte, MaxRecord)
	err := r.Chunks(ctx, func(c Chunk) error {
		if c.Data != nil {
			h.Write(c.Data)
		} else {
			got.Unread += c.Len
			for left := c.Len; left > 0; left -= int64(len(zeros)) {
				if err := ctx.Err(); err != nil {
					return err
				}
				h.Write(zeros[:min(left, int64(len(zeros)))])
			}
		}
		if progress != nil {
			progress(c.Off+c.Len, got.Bytes)
		}
		return nil
	})
	if err != nil {
		return Content{}, err
	}
	h.Sum(got.SHA256[:0])
	return got, nil
}

// Close forgets the keys and closes the files.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	var errs []error
	for _, s := range r.segments {
		errs = append(errs, s.file.Close())
	}
	for _, s := range r.sessions {
		s.forget()
	}
	r.segments, r.recent = nil, nil
	return errors.Join(errs...)
}
