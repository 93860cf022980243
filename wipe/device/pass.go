package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"salvor/wipe"
	"salvor/wipe/internal/kernel"
)

const (
	chunkSize = 4 << 20   // bytes of one direct write or read
	depth     = 4         // chunks on their way at once
	distance  = 256 << 20 // bytes between two checkpoints
	// firstStretch is where the first checkpoint is: from there on a device is known by
	// what was written to it.
	firstStretch = depth * chunkSize
	// maxAlone is how many pieces may fail alone in one pass. On a drive with more bad
	// sectors than that, whole chunks that fail are given up: it is to be destroyed
	// anyway, and trying each of its sectors would take days.
	maxAlone = 1 << 16
	// near joins differences: of so many random bytes none are alike by chance.
	near = 16
)

// pass goes over the device once, from an offset to its end, in stretches of chunks
// that several workers have in hand at once.
type pass struct {
	d    *Device
	mem  kernel.Memory
	each int64 // bytes of a stretch: a multiple of a chunk
	work func(p []byte, off int64) error
	// durable is called after each stretch, and when the pass is told to stop, with the
	// offset before which everything was worked on. The next stretch goes on beside it.
	durable func(to int64) error
	told    func(n int64)
}

func (r *run) newPass() (*pass, error) {
	mem, err := kernel.NewMemory(depth, chunkSize)
	if err != nil {
		return nil, err
	}
	p := &pass{d: r.d, mem: mem, each: distance}
	if r.o.stretch > 0 {
		p.each = r.o.stretch
	}
	return p, nil
}

func (p *pass) run(ctx context.Context, from int64) error {
	defer p.mem.Free()
	var settling chan error
	settle := func() error {
		if settling == nil {
			return nil
		}
		err := <-settling
		settling = nil
		return err
	}
	defer func() { _ = settle() }()
	for off := from; off < p.d.id.Bytes; {
		end := min((off/p.each+1)*p.each, p.d.id.Bytes)
		if off < firstStretch {
			end = min(end, firstStretch)
		}
		reached, err := p.stretch(ctx, off, end)
		if serr := settle(); err == nil {
			err = serr
		}
		if err != nil {
			return err
		}
		if reached > off {
			settling = make(chan error, 1)
			go func(out chan<- error) { out <- p.durable(reached) }(settling)
		}
		if reached < end || ctx.Err() != nil {
			if err := settle(); err != nil {
				return err
			}
			return context.Cause(ctx)
		}
		off = end
	}
	return settle()
}

// stretch works on the chunks of a range and returns the offset before which all of
// them are done: the end, or less when it was told to stop.
func (p *pass) stretch(ctx context.Context, from, end int64) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64 // chunk
	next.Store(from / chunkSize)
	var failed error
	var once sync.Once
	var workers sync.WaitGroup
	for _, mem := range p.mem {
		workers.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				off, to := max(n*chunkSize, from), min((n+1)*chunkSize, end)
				if off >= end {
					return
				}
				// What was taken up is finished: everything before next is done then.
				if err := p.work(mem[:to-off], off); err != nil {
					once.Do(func() { failed = err; cancel(err) })
					return
				}
				p.told(to - off)
			}
		})
	}
	workers.Wait()
	return min(next.Load()*chunkSize, end), failed
}

// writing overwrites with a stream.
type writing struct {
	d      *Device
	stream *wipe.Stream

	mu    sync.Mutex
	bad   []wipe.Span // since the last checkpoint
	alone int
}

func (w *writing) chunk(p []byte, off int64) error {
	w.stream.Fill(p, off)
	return w.put(p, off)
}

// put writes a piece, and where the device refuses, its halves, down to the sector: k
// bad sectors leave k sectors, not more.
func (w *writing) put(p []byte, off int64) error {
	err := w.d.write(p, off)
	if err == nil {
		return nil
	}
	if err := w.d.bad(err); err != nil {
		return fmt.Errorf("overwrite %s: %w", w.d.id.Name, err)
	}
	w.mu.Lock()
	exhausted := w.alone >= maxAlone
	if len(p) <= w.d.id.Sector || exhausted {
		w.alone++
		w.bad = append(w.bad, wipe.Span{Off: off, Len: int64(len(p))})
		w.mu.Unlock()
		return nil
	}
	w.mu.Unlock()
	half := w.d.half(len(p))
	if err := w.put(p[:half], off); err != nil {
		return err
	}
	return w.put(p[half:], off+int64(half))
}

// taken returns, once and in order, what before an offset could not be written.
func (w *writing) taken(to int64) []wipe.Span {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortFunc(w.bad, byOffset)
	n := 0
	for n < len(w.bad) && w.bad[n].Off < to {
		n++
	}
	bad := slices.Clone(w.bad[:n])
	w.bad = slices.Delete(w.bad, 0, n)
	return bad
}

// half is where a piece is cut in two.
func (d *Device) half(n int) int { return (n/2 + d.id.Sector - 1) / d.id.Sector * d.id.Sector }

// bad returns nil for an error of some sectors, and otherwise what ends the run: an
// unplugged device refuses everything too.
func (d *Device) bad(err error) error {
	if gone := d.still(); gone != nil {
		return gone
	}
	switch kernel.Sort(err) {
	case kernel.Medium:
		return nil
	case kernel.Vanished:
		return fmt.Errorf("%w: %w", ErrVanished, err)
	case kernel.Sealed:
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}

// reading compares the device with a stream.
type reading struct {
	d      *Device
	stream *wipe.Stream

	mu    sync.Mutex
	found []finding // since the last checkpoint
	alone int
	facts ReadFacts
}

// finding is a range that does not hold what was written.
type finding struct {
	wipe.Span
	different int64 // bytes; 0: unreadable
}

func (r *reading) chunk(p []byte, off int64) error {
	err := r.d.read(p, off)
	if err == nil {
		r.compare(p, off)
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("read back %s: it ends at %d: %w", r.d.id.Name, off, ErrOther)
	}
	if err := r.d.bad(err); err != nil {
		return fmt.Errorf("read back %s: %w", r.d.id.Name, err)
	}
	r.mu.Lock()
	exhausted := r.alone >= maxAlone
	if len(p) <= r.d.id.Sector || exhausted {
		r.alone++
		r.found = append(r.found, finding{wipe.Span{Off: off, Len: int64(len(p))}, 0})
		r.mu.Unlock()
		return nil
	}
	r.mu.Unlock()
	half := r.d.half(len(p))
	if err := r.chunk(p[:half], off); err != nil {
		return err
	}
	return r.chunk(p[half:], off+int64(half))
}

// compare compares a piece that was read, and notes each range of bytes that differ.
func (r *reading) compare(p []byte, off int64) {
	different := r.stream.Different(p, off)
	var found []finding
	if different > 0 {
		found = differences(p, off)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts.Equal += int64(len(p)) - different
	r.found = append(r.found, found...)
}

// differences lists the ranges of bytes that are not zero, joined over fewer than near
// zeros.
func differences(p []byte, off int64) []finding {
	var out []finding
	for i, b := range p {
		if b == 0 {
			continue
		}
		at := off + int64(i)
		if n := len(out); n > 0 && at-(out[n-1].Off+out[n-1].Len) < near {
			out[n-1].Len = at + 1 - out[n-1].Off
			out[n-1].different++
			continue
		}
		out = append(out, finding{wipe.Span{Off: at, Len: 1}, 1})
	}
	return out
}

// settle puts what was found before an offset into the facts, in order.
func (r *reading) settle(to int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(r.found, func(a, b finding) int { return byOffset(a.Span, b.Span) })
	n := 0
	for n < len(r.found) && r.found[n].Off < to {
		n++
	}
	for _, f := range r.found[:n] {
		if f.different == 0 {
			r.facts.Unreadable.add(f.Span, f.Len, 0)
		} else {
			r.facts.Different.add(f.Span, f.different, near-1)
		}
	}
	r.found = slices.Delete(r.found, 0, n)
}

func byOffset(a, b wipe.Span) int {
	switch {
	case a.Off < b.Off:
		return -1
	case a.Off > b.Off:
		return 1
	}
	return 0
}

// direct reports whether a descriptor goes past the cache.
func (d *Device) direct() bool {
	flags, err := unix.FcntlInt(d.f.Fd(), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_DIRECT != 0
}
