package rescue

import (
	"context"
	"time"
)

// Reopener is a [Source] that can be closed and opened again in place. Some disks and
// bridges become slow for good after an error, and are quick again when they are opened
// anew. Reopen may hang; the executor does not wait for it longer than [Options.GiveUp].
// No read is under way meanwhile but those that hang.
type Reopener interface {
	Reopen(ctx context.Context) error
}

// Refresher is a [Planner] that notices when its source has become slow everywhere.
// Stale reports that it should be reopened; it says so once, and again only when it had
// time to show that it did not help. It is asked after every result.
type Refresher interface {
	Stale() bool
}

const (
	staleRow    = 8         // slow reads in a row, of at least staleRead bytes
	staleRead   = 256 << 10 //
	staleSpread = 256 << 20 // bytes from the first to the last of them: one slow head is not it
	staleWait   = time.Minute
	staleLong   = time.Hour
)

// pace watches for a source that has become slow everywhere.
type pace struct {
	row       int   // slow reads in a row
	low, high int64 // sectors between which they lay
	stale     bool
	after     time.Duration // not again before
	wait      time.Duration // how long that was the last time; doubled when it did not help
}

// saw takes note of a read that brought everything, and whether that took far too long.
func (p *pace) saw(r Read, bytes, size int64, slow bool, now time.Duration) {
	switch {
	case bytes < staleRead:
	case !slow:
		p.row, p.wait, p.stale = 0, 0, false
	default:
		if p.row == 0 {
			p.low, p.high = r.First, r.End()
		}
		p.row++
		p.low, p.high = min(p.low, r.First), max(p.high, r.End())
		spread := (p.high - p.low) * (bytes / r.Sectors)
		if p.row >= staleRow && spread >= min(staleSpread, size/4) && now >= p.after {
			p.wait = min(max(p.wait*2, staleWait), staleLong)
			p.row, p.stale, p.after = 0, true, now+p.wait
		}
	}
}

// Stale implements [Refresher].
func (s *Strategy) Stale() bool {
	stale := s.pace.stale
	s.pace.stale = false
	return stale
}

// renewal is a reopening of the source.
type renewal struct {
	due   bool
	began time.Duration
	done  chan error // nil while there is none under way
}

// refresh begins to reopen the source when that is due and nothing is under way.
func (r *run) refresh() {
	n := &r.renewal
	if live, _ := r.count(); !n.due || n.done != nil || live > 0 {
		return
	}
	done := make(chan error, 1)
	n.due, n.began, n.done = false, r.since(), done
	go func() { done <- r.src.(Reopener).Reopen(r.ctx) }()
}

// renewed takes the outcome of a reopening. Until a canary vouches for it, the source is
// not the one that it was.
func (r *run) renewed(err error) {
	r.renewal = renewal{}
	if err != nil {
		r.halt(SourceGone, err)
		return
	}
	if r.health.canaries[0].data != nil && !r.health.checking {
		r.health.begin(r.m)
	}
}

// Waiter is a [Planner] that may have nothing to read for now although nothing is under
// way and all is not done.
type Waiter interface {
	// Wake is called before the first Next. wake tells the executor to ask Next again; it
	// may be called from any goroutine, and does not block.
	Wake(wake func())
	// Waiting reports, behind a Next that gave nothing, that it is so.
	Waiting() bool
}
