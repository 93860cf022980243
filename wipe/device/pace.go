package device

import (
	"math"
	"time"
)

// pace foresees how long the rest of a wipe takes.
type pace struct {
	size   int64
	passes int
	slows  bool  // the end of the device is half as fast as its beginning
	done   int64 // bytes of total

	since  time.Time // of the phase
	from   int64     // done then
	marked bool
}

// total is everything to do: the passes and the reading back.
func (p *pace) total() int64 { return p.size * int64(p.passes+1) }

// mark begins a phase: how fast the last one was says little about it.
func (p *pace) mark(now time.Time) { p.since, p.from, p.marked = now, p.done, true }

// left is the time for the rest at the pace of this phase; 0 when not known yet.
func (p *pace) left(now time.Time) time.Duration {
	took := now.Sub(p.since)
	if !p.marked || took < time.Second || p.done <= p.from || p.size <= 0 {
		return 0
	}
	work := p.work(p.from, p.done)
	rest := p.work(p.done, p.total())
	left := float64(took) * rest / work
	if left >= math.MaxInt64 {
		return 0
	}
	return time.Duration(left)
}

// work is how much there is to do between two offsets of the total, in units of what
// a byte at the beginning of the device costs.
func (p *pace) work(from, to int64) float64 {
	if !p.slows {
		return float64(to - from)
	}
	size := float64(p.size)
	sum := 0.0
	for from < to {
		pass := from / p.size
		end := min(to, (pass+1)*p.size)
		a, b := float64(from-pass*p.size)/size, float64(end-pass*p.size)/size
		// The speed falls from 1 to 1/2: the integral of 1 / (1 - x/2).
		sum += size * 2 * math.Log((1-a/2)/(1-b/2))
		from = end
	}
	return sum
}
