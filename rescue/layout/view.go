package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// View is a source as far as it is rescued.
type View interface {
	// ReadAt reads len(p) bytes from byte off. Where the source is not rescued it
	// returns the bytes in front and an *[ErrNotRescued] (perhaps wrapped) that tells
	// the first missing range. Any other error ends the scan, but for io.EOF at the end.
	ReadAt(p []byte, off int64) (int, error)
	// Size is the size of the whole source in bytes.
	Size() int64
}

// ErrNotRescued says that a range of the source is not rescued.
type ErrNotRescued struct {
	First, Len int64 // bytes; First is within what was asked for, the range may go beyond it
}

// Error names the range.
func (e *ErrNotRescued) Error() string {
	return fmt.Sprintf("not rescued: %d bytes at %d", e.Len, e.First)
}

// Bounds on what a volume may make us do, each far above what a sound one needs.
const (
	pageSize  = 64 << 10 // grain of the cache for scattered reads
	maxPages  = 512      // pages kept: 32 MiB
	readFloor = 64 << 20 // bytes that may be read of any volume, however small
)

// reader reads one volume, or the whole source, in bytes from its beginning. It
// never fails: what is missing becomes a hole, and is noted as wanted. It counts
// what it reads, so that a volume whose structures point at each other in circles
// comes to an end.
type reader struct {
	ctx        context.Context
	view       View
	base, size int64
	wanted     *wanted
	err        error // the first that is no hole: ends everything
	left       int64 // bytes that may still be read
	pages      map[int64]*page
}

type page struct {
	data  []byte
	holes []Extent // relative to the volume
}

func newReader(ctx context.Context, v View, within Extent, w *wanted) *reader {
	return &reader{ctx: ctx, view: v, base: within.First, size: within.Len, wanted: w, left: readFloor + within.Len/2}
}

// spent reports whether reading has come to an end for good.
func (r *reader) spent() bool { return r.err != nil || r.left <= 0 }

// fill reads len(p) bytes from off as far as there are any, zeroes the rest, and
// returns the holes, in order, in the volume's bytes. Holes are wanted as tier t.
func (r *reader) fill(p []byte, off int64, t Tier) []Extent {
	clear(p)
	end := off + int64(len(p))
	if off < 0 || end < off || off >= r.size {
		return []Extent{{off, int64(len(p))}}
	}
	var holes []Extent
	if end > r.size {
		holes = []Extent{{r.size, end - r.size}}
		end = r.size
	}
	if r.err == nil {
		r.err = r.ctx.Err()
	}
	r.left -= end - off
	var missing []Extent
	for at := off; at < end; {
		if r.spent() {
			missing = appendExtent(missing, Extent{at, end - at})
			break
		}
		n, err := r.view.ReadAt(p[at-off:end-off], r.base+at)
		n = min(max(n, 0), int(end-at))
		at += int64(n)
		if at >= end {
			break
		}
		var gap *ErrNotRescued
		switch {
		case errors.As(err, &gap):
			skip := min(end, max(gap.First-r.base, at)+max(gap.Len, 1))
			clear(p[at-off : skip-off])
			missing = appendExtent(missing, Extent{at, skip - at})
			r.wanted.add(Extent{r.base + at, skip - at}, t)
			at = skip
		case err == nil || errors.Is(err, io.EOF):
			if n == 0 {
				r.err = fmt.Errorf("reading %d bytes at %d: %w", end-at, r.base+at, io.ErrUnexpectedEOF)
			}
		default:
			r.err = err
		}
	}
	return append(missing, holes...)
}

// read fills p whole, or reports false and leaves it useless.
func (r *reader) read(p []byte, off int64, t Tier) bool {
	return len(r.fill(p, off, t)) == 0
}

// near is read through a small cache, for many short reads that lie together.
func (r *reader) near(p []byte, off int64, t Tier) bool {
	if off < 0 || off > r.size-int64(len(p)) {
		return false
	}
	for len(p) > 0 {
		at := off / pageSize * pageSize
		pg := r.pages[at]
		if pg == nil {
			// The page is asked for in silence: only what is really needed is wanted.
			pg = &page{data: make([]byte, min(pageSize, r.size-at))}
			w := r.wanted
			r.wanted = nil
			pg.holes = r.fill(pg.data, at, t)
			r.wanted = w
			if len(r.pages) >= maxPages || r.pages == nil {
				r.pages = map[int64]*page{}
			}
			r.pages[at] = pg
		}
		n := copy(p, pg.data[off-at:])
		r.left -= int64(n) / 8
		ok := true
		for _, h := range pg.holes {
			if cut := h.within(Extent{off, int64(n)}); cut.Len > 0 {
				r.wanted.add(Extent{r.base + cut.First, cut.Len}, t)
				ok = false
			}
		}
		if !ok || r.spent() {
			return false
		}
		p, off = p[n:], off+int64(n)
	}
	return true
}
