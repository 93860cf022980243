package triage

import (
	"context"
	"slices"
	"time"

	"salvor/rescue"
	"salvor/rescue/layout"
	"salvor/rescue/mapfile"
)

// scanning is a scan under way.
type scanning struct {
	end   context.CancelFunc
	done  chan struct{}   // closed when it has ended
	late  context.Context // done when it is not to be waited for any longer
	fresh int64           // sectors that came since the scan before
}

// begin starts a scan of what the scratch holds, once all that was read to be kept has
// come through the sink.
func (t *Triage) begin() {
	ctx, end := context.WithCancel(t.ctx)
	late, tired := context.WithCancel(t.ctx)
	s := &scanning{end: end, done: make(chan struct{}), late: late}
	t.mu.Lock()
	t.scan = s
	pending := t.pending
	t.pending, s.fresh, t.fresh = nil, t.fresh, 0
	t.scans++
	t.mu.Unlock()
	if t.o.After == nil {
		tired()
	} else {
		t.running.Go(func() {
			select {
			case <-t.o.After(t.o.Patience):
				tired()
				t.nudge()
			case <-s.done:
			}
		})
	}
	began := t.now()
	t.running.Go(func() {
		var l *layout.Layout
		err := t.await(ctx, pending)
		if err == nil {
			l, err = t.look(ctx)
		}
		if err != nil && ctx.Err() == nil {
			t.off(err)
		}
		if l != nil {
			t.learn(l)
		}
		now := t.now()
		t.mu.Lock()
		t.scan, t.ended, t.took = nil, now, now.Sub(began)
		if l == nil {
			t.fresh += s.fresh
		}
		t.mu.Unlock()
		end()
		tired()
		close(s.done)
		t.nudge()
	})
}

// now is the time, when there is a clock.
func (t *Triage) now() (now time.Time) {
	if t.o.Now != nil {
		now = t.o.Now()
	}
	return now
}

// nudge wakes the driver of the planner.
func (t *Triage) nudge() {
	t.mu.Lock()
	wake := t.wake
	t.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// look scans the scratch.
func (t *Triage) look(ctx context.Context) (*layout.Layout, error) {
	return layout.Scan(ctx, t.scratch, layout.Options{Sector: int64(t.info.Sector), First: t.o.First})
}

// await waits until the scratch holds all of the runs.
func (t *Triage) await(ctx context.Context, runs []span) error {
	for len(runs) > 0 {
		r := &runs[0]
		n, have := t.scratch.run(r.first, r.end-r.first)
		switch {
		case have && r.first+n == r.end:
			runs = runs[1:]
		case have:
			r.first += n
		default:
			select {
			case <-t.arrived:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// underWay is the scan under way, nil when there is none.
func (t *Triage) underWay() *scanning {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.scan
}

// hasNews reports whether a scan has ended from which nothing was concluded yet.
func (t *Triage) hasNews() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.news
}

// stale reports whether something came that the newest scan had missed.
func (t *Triage) stale() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.layout == nil || t.fresh > 0
}

// knows reports whether an earlier run found out all there is, so that nothing is
// looked for.
func (t *Triage) knows() bool {
	return t.o.Known != nil && t.o.Known.Settled && len(t.o.First) == 0
}

// affordable reports whether another scan is due already, when there is no hurry: they
// take a tenth of the time at most.
func (t *Triage) affordable() bool {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	return now.Sub(t.ended) >= 9*t.took
}

// keepRead says that what a read of the strategy brings goes into the scratch: all of the
// metadata, and of anything else as much as may be while nobody knows what is wanted.
func (t *Triage) keepRead(r rescue.Read) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !early(r) {
		if t.layout != nil && t.scan == nil {
			return
		}
		if t.guess -= r.Sectors * int64(t.info.Sector); t.guess < 0 {
			return
		}
	}
	t.keep.Set(r.First, r.Sectors, mapfile.Rescued)
}

// hasAgain reports whether something is to be read again.
func (t *Triage) hasAgain() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mayAgain()
}

func (t *Triage) mayAgain() bool {
	return len(t.again) > 0 && t.err == nil && t.left >= int64(t.info.Sector)
}

// takeAgain gives the next run of sectors to be read again.
func (t *Triage) takeAgain() (span, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.mayAgain() {
		return span{}, false
	}
	size := int64(t.info.Sector)
	s := &t.again[0]
	took := span{s.first, min(s.end, s.first+min(rescue.MaxRead, t.left)/size)}
	if s.first = took.end; s.first == s.end {
		t.again = t.again[1:]
	}
	t.left -= (took.end - took.first) * size
	t.recalled.Set(took.first, took.end-took.first, mapfile.Rescued)
	return took, true
}

// expect notes that good sectors of a read come through the sink. It is called behind
// every read, by the goroutine that plans.
func (t *Triage) expect(first, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r := range t.keep.Within(first, n) {
		if r.Status != mapfile.Rescued {
			continue
		}
		if last := len(t.pending) - 1; last >= 0 && t.pending[last].end == r.First {
			t.pending[last].end = r.End()
		} else {
			t.pending = append(t.pending, span{r.First, r.End()})
		}
	}
	if t.want == nil {
		t.fresh += n
		return
	}
	for _, r := range slices.Collect(t.want.Within(first, n)) {
		if r.Status == mapfile.Rescued {
			t.fresh += r.Sectors
			t.want.Set(r.First, r.Sectors, mapfile.Untried)
		}
	}
}

// learn draws from a new layout what can be drawn without the map of the rescue: the tiers,
// and what is to be kept. For a large disk that takes a while, so that the goroutine of
// the scan does it.
func (t *Triage) learn(l *layout.Layout) {
	plan, first := l.Plan(int64(t.info.Sector))
	if t.o.Known != nil {
		plan = overlay(plan, t.o.Known.Regions)
	}
	want := mapfile.New(t.info.Sectors())
	for _, w := range l.Wanted {
		s := t.sectors(w)
		want.Set(s.first, s.end-s.first, mapfile.Rescued)
	}
	const batch = 1000 // the lock is not kept for long
	for part := range slices.Chunk(l.Wanted, batch) {
		t.mu.Lock()
		for _, w := range part {
			s := t.sectors(w)
			t.keep.Set(s.first, s.end-s.first, mapfile.Rescued)
		}
		t.mu.Unlock()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.layout, t.news, t.plan, t.first, t.want = l, true, plan, first, want
	t.missing = want.Totals().Sectors(mapfile.Rescued)
}

// sectors gives the sectors of a region of bytes, within the disk.
func (t *Triage) sectors(r layout.Region) span {
	size := int64(t.info.Sector)
	s := span{max(r.First/size, 0), min((r.End()+size-1)/size, t.info.Sectors())}
	s.first = min(s.first, s.end)
	return s
}

// adopt draws the rest of the conclusions from a new layout: what is to be read again, and
// whether anything is left to be found out. It gives the tiers; not ok means that there
// is nothing new. m is the map of the rescue.
func (t *Triage) adopt(m *mapfile.Map) (plan, first []rescue.Region, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.news {
		return nil, nil, false
	}
	t.news = false
	t.again, t.jumped = t.again[:0], t.jumped[:0]
	t.settled = true // until something is found that may yet be read
	for _, w := range t.layout.Wanted {
		s := t.sectors(w)
		for r := range m.Within(s.first, s.end-s.first) {
			switch r.Status {
			case mapfile.Rescued:
				t.recall(r.First, r.End())
			case mapfile.Bad:
			case mapfile.NonTrimmed, mapfile.NonScraped:
				t.settled = false
				t.reach(r.First, r.End())
			default: // not tried
				t.settled = false
			}
		}
	}
	t.missing -= t.inPlace()
	if k := t.o.Known; k != nil && k.Settled {
		t.settled = true // what this run has not looked at, that one had
	}
	return t.plan, t.first, true
}

// inPlace takes out of what is wanted what has come while the scan was under way.
func (t *Triage) inPlace() (n int64) {
	for _, r := range slices.Collect(t.want.All()) {
		for at := r.First; r.Status == mapfile.Rescued && at < r.End(); {
			k, have := t.scratch.run(at, r.End()-at)
			if have {
				t.want.Set(at, k, mapfile.Untried)
				t.fresh += k
				t.settled = false
				n += k
			}
			at += k
		}
	}
	return n
}

// recall queues what is in the image and not in the scratch to be read again.
func (t *Triage) recall(first, end int64) {
	for first < end {
		n, have := t.scratch.run(first, end-first)
		if !have {
			for r := range t.recalled.Within(first, n) {
				if r.Status != mapfile.Rescued {
					t.again = append(t.again, span{r.First, r.End()})
					t.settled = false
				}
			}
		}
		first += n
	}
}

// reach queues metadata that was jumped over, because something beside it failed, to be
// read by itself: without it a whole volume may stay unknown. Each piece is tried once.
func (t *Triage) reach(first, end int64) {
	for r := range t.reached.Within(first, end-first) {
		if r.Status != mapfile.Rescued {
			t.jumped = append(t.jumped, span{r.First, r.End()})
		}
	}
}

// hasJumped reports whether metadata that was jumped over is to be read.
func (t *Triage) hasJumped() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.jumped) > 0 && t.err == nil && t.failures > 0
}

// takeJumped gives the next of it.
func (t *Triage) takeJumped() (span, bool) {
	if !t.hasJumped() {
		return span{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.jumped[0]
	took := span{s.first, min(s.end, s.first+max(reachMost/int64(t.info.Sector), t.info.Grain()))}
	if s.first = took.end; s.first == s.end {
		t.jumped = t.jumped[1:]
	}
	t.reached.Set(took.first, took.end-took.first, mapfile.Rescued)
	return took, true
}

// failed counts a piece of it that could not be read.
func (t *Triage) failed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures--
}

// overlay gives the tiers that a scan tells, and those of an earlier run where the scan
// tells nothing. What either calls free is free.
func overlay(now, before []rescue.Region) []rescue.Region {
	var out []rescue.Region
	k := 0
	for _, r := range now {
		for at := r.First; at < r.End(); {
			for k < len(before) && before[k].End() <= at {
				k++
			}
			end, tier := r.End(), r.Tier
			if r.Tier == rescue.TierOther && k < len(before) && before[k].First <= at {
				end, tier = min(end, before[k].End()), before[k].Tier
			}
			if last := len(out) - 1; last >= 0 && out[last].Tier == tier {
				out[last].Sectors += end - at
			} else {
				out = append(out, rescue.Region{First: at, Sectors: end - at, Tier: tier})
			}
			at = end
		}
	}
	return out
}
