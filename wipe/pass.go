package wipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"salvor/wipe/internal/kernel"
)

const (
	chunkSize  = 4 << 20  // bytes of one direct write or read
	checkpoint = 64 << 20 // bytes between two saves of the journal
	depth      = 3        // chunks in memory at once
)

// pieces cuts spans into pieces of at most a chunk, beginning at offset from. Cuts
// lie on multiples of a chunk, so that a resumed pass cuts at the same places.
func pieces(spans []Span, from int64) func(yield func(Span) bool) {
	return func(yield func(Span) bool) {
		for _, s := range spans {
			end := s.Off + s.Len
			for off := max(s.Off, from); off < end; {
				next := min(end, (off/chunkSize+1)*chunkSize)
				if !yield(Span{off, next - off}) {
					return
				}
				off = next
			}
		}
	}
}

// overwriting is one pass of the stream over spans of a file or device.
type overwriting struct {
	to     *handle
	stream *Stream
	spans  []Span
	from   int64 // everything before is done

	// bad is told of every range that the device refused.
	bad func(Span)
	// budget is how many pieces may still fail alone. When it is used up the pass
	// ends with ErrDevice, or, with giveUp, gives up whole chunks.
	budget *int
	// giveUp goes on at any price: what there is no space for is given up too.
	giveUp bool
	// alive is asked after a failure, before smaller pieces are tried.
	alive func() error
	// durable is told, in order, offsets before which everything is durable.
	durable func(int64) error
}

// run overwrites. Making the stream, writing it and flushing what was written go
// on side by side. On an error everything before the last durable offset stands.
func (o *overwriting) run(ctx context.Context) error {
	mem, err := kernel.NewMemory(depth, chunkSize)
	if err != nil {
		return err
	}
	type filled struct {
		Span
		p []byte
	}
	ctx, cancel := context.WithCancelCause(ctx)
	free, full := make(chan []byte, depth), make(chan filled)
	for _, b := range mem {
		free <- b
	}
	var filler sync.WaitGroup
	filler.Go(func() {
		defer close(full)
		for s := range pieces(o.spans, o.from) {
			select {
			case b := <-free:
				p := b[:s.Len]
				o.stream.Fill(p, s.Off)
				select {
				case full <- filled{s, p}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})

	// A flush in flight covers everything written before it was begun.
	type flushed struct {
		before int64
		err    error
	}
	var flushing chan flushed
	settle := func() error {
		if flushing == nil {
			return nil
		}
		f := <-flushing
		flushing = nil
		if f.err != nil {
			return fmt.Errorf("flush %s: %w", o.to.name, f.err)
		}
		return o.durable(f.before)
	}
	defer func() {
		cancel(nil)
		filler.Wait()
		if flushing != nil {
			<-flushing
		}
		mem.Free()
	}()

	var since int64
	written := o.from
	for c := range full {
		if err := o.write(ctx, c.p, c.Off); err != nil {
			return err
		}
		free <- c.p[:chunkSize]
		since += c.Len
		written = c.Off + c.Len
		if since >= checkpoint {
			since = 0
			if err := settle(); err != nil {
				return err
			}
			done := make(chan flushed, 1)
			before := c.Off + c.Len
			go func() { done <- flushed{before, o.to.flush(true)} }()
			flushing = done
		}
		if err := ctx.Err(); err != nil {
			break
		}
	}
	if err := settle(); err != nil {
		return err
	}
	if err := o.to.flush(false); err != nil {
		return fmt.Errorf("flush %s: %w", o.to.name, err)
	}
	if ctx.Err() == nil {
		return nil
	}
	// Told to stop: what was written is kept, so that nothing is written twice.
	if err := o.durable(written); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// write writes one piece, and where the device refuses, its halves, down to the
// smallest unit: k bad sectors leave k sectors, not more.
func (o *overwriting) write(ctx context.Context, p []byte, off int64) error {
	err := o.to.write(p, off)
	if err == nil {
		return nil
	}
	switch kind := kernel.Sort(err); {
	case kind == kernel.Full && o.giveUp:
		o.bad(Span{off, int64(len(p))})
		return nil
	case kind != kernel.Medium:
		return fmt.Errorf("overwrite %s: %w", o.to.name, err)
	}
	if gone := o.alive(); gone != nil {
		return fmt.Errorf("overwrite %s: %w", o.to.name, gone)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if *o.budget <= 0 && !o.giveUp {
		return fmt.Errorf("overwrite %s: %w: %w", o.to.name, ErrDevice, err)
	}
	if int64(len(p)) <= o.to.unit || *o.budget <= 0 {
		*o.budget--
		o.bad(Span{off, int64(len(p))})
		return nil
	}
	half := roundUp(int64(len(p))/2, o.to.unit)
	if err := o.write(ctx, p[:half], off); err != nil {
		return err
	}
	return o.write(ctx, p[half:], off+half)
}

// comparing reads spans back and compares them with the stream: through the
// file, and from the block device where it lies under the file.
type comparing struct {
	file    *handle
	device  *handle // nil: not read raw
	stream  *Stream
	spans   []Span
	extents []extent // where the spans lie on the device
	budget  *int
	giveUp  bool // go on when budget is used up
	alive   func() error
	told    func(n int64) // bytes compared through the file
}

// lump is one chunk that was read, or as much of it as could be.
type lump struct {
	Span
	p    []byte
	lost []Span // of it, not readable
	raw  bool
	cold bool
	err  error
}

// run reads everything and counts. It does not stop at a difference, nor at what
// cannot be read. The file and the device are read in turns, chunk by chunk.
func (c *comparing) run(ctx context.Context) (Facts, error) {
	facts := Facts{PastCache: true, Raw: c.device != nil}
	mem, err := kernel.NewMemory(depth, chunkSize)
	if err != nil {
		return facts, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	free, read := make(chan []byte, depth), make(chan lump)
	for _, b := range mem {
		free <- b
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(read)
		c.read(ctx, free, read)
	})
	defer func() {
		cancel(nil)
		reader.Wait()
		mem.Free()
	}()

	for l := range read {
		if l.err != nil {
			return facts, l.err
		}
		lost, different := l.compare(c.stream)
		equal := l.Len - lost - different
		if l.raw {
			facts.RawEqual += equal
			facts.RawDifferent += different
			facts.RawUnreadable += lost
		} else {
			facts.Equal += equal
			facts.Different += different
			facts.Unreadable += lost
			facts.PastCache = facts.PastCache && l.cold
			c.told(l.Len)
		}
		free <- l.p[:chunkSize]
	}
	if ctx.Err() != nil {
		return facts, context.Cause(ctx)
	}
	return facts, nil
}

func (c *comparing) read(ctx context.Context, free <-chan []byte, read chan<- lump) {
	emit := func(l lump) bool {
		select {
		case read <- l:
			return l.err == nil
		case <-ctx.Done():
			return false
		}
	}
	fetch := func(from *handle, s Span, at int64) bool {
		var b []byte
		select {
		case b = <-free:
		case <-ctx.Done():
			return false
		}
		l := lump{Span: s, p: b[:s.Len], raw: from == c.device}
		if !from.direct {
			l.cold = from.cold(at, s.Len)
		}
		l.err = c.fetch(ctx, from, l.p, at, func(off, n int64) {
			l.lost = append(l.lost, Span{s.Off + off - at, n})
		})
		l.cold = l.cold || from.direct
		return emit(l)
	}
	for s := range pieces(c.spans, 0) {
		if !fetch(c.file, s, s.Off) {
			return
		}
		if c.device == nil {
			continue
		}
		for _, e := range c.extents {
			first, last := max(s.Off, e.logical), min(s.Off+s.Len, e.logical+e.length)
			if first < last && !fetch(c.device, Span{first, last - first}, e.physical+first-e.logical) {
				return
			}
		}
	}
}

// fetch reads p, in ever smaller pieces where the device fails.
func (c *comparing) fetch(ctx context.Context, from *handle, p []byte, off int64, lost func(off, n int64)) error {
	n, err := from.read(p, off)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		lost(off+int64(n), int64(len(p)-n))
		return nil
	case kernel.Sort(err) != kernel.Medium:
		return fmt.Errorf("read back %s: %w", from.name, err)
	}
	if gone := c.alive(); gone != nil {
		return fmt.Errorf("read back %s: %w", from.name, gone)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if *c.budget <= 0 && !c.giveUp {
		return fmt.Errorf("read back %s: %w: %w", from.name, ErrDevice, err)
	}
	if int64(len(p)) <= from.unit || *c.budget <= 0 {
		*c.budget--
		lost(off, int64(len(p)))
		return nil
	}
	half := roundUp(int64(len(p))/2, from.unit)
	if err := c.fetch(ctx, from, p[:half], off, lost); err != nil {
		return err
	}
	return c.fetch(ctx, from, p[half:], off+half, lost)
}

// compare counts what was lost and what differs.
func (l *lump) compare(s *Stream) (lost, different int64) {
	at := l.Off
	for _, hole := range l.lost { // in order of their offsets
		different += s.Different(l.p[at-l.Off:hole.Off-l.Off], at)
		lost += hole.Len
		at = hole.Off + hole.Len
	}
	different += s.Different(l.p[at-l.Off:], at)
	return lost, different
}
