package triage

import (
	"errors"
	"slices"
	"time"

	"salvor/rescue"
	"salvor/rescue/mapfile"
)

// Planner is the strategy for failing disks, told by the triage what lies where. It is
// made by [Triage.Planner] for one run.
//
// Unlike the strategy it may have nothing to read for now although nothing is under way:
// while the metadata read so far is being scanned, before anything else is read. A
// driver that says so by [Planner.Wake] is told by [Planner.Waiting]; any other is kept
// waiting in Next, at most for [Options.Patience].
type Planner struct {
	*rescue.Strategy
	t    *Triage
	m    *mapfile.Map
	info rescue.Info
	o    rescue.StrategyOptions

	flying   []rescue.Read
	last     rescue.Read // the newest read that was issued
	swept    bool        // something other than metadata was issued
	wakes    bool        // the driver can be woken
	waiting  bool
	reaching rescue.Read // under way, of what was jumped over
	plan     []rescue.Region
	stale    bool // the strategy has not seen what came of it
}

var errLater = errors.New("not now")

// roundsFree is how many scans may follow each other without regard to what they cost,
// while one piece of metadata leads to the next.
const roundsFree = 64

// againDeadline is when a sector that was read before is given up.
const againDeadline = 30 * time.Second

// least is how many bytes of metadata are worth a scan of their own.
const least = 64 << 10

// Planner makes the planner of one run, over the map of the rescue. The triage has one
// planner at a time: the next one is made when the run of the last has returned. First
// of o is the triage's.
func (t *Triage) Planner(m *mapfile.Map, info rescue.Info, o rescue.StrategyOptions) *Planner {
	t.mu.Lock()
	if t.scan != nil {
		t.scan.end() // it may wait for what the last run did not hand over
	}
	t.pending, t.wake = nil, nil
	// What the last run left to be recalled is found out anew.
	t.news = t.layout != nil && t.err == nil
	o.First = t.first
	p := &Planner{t: t, m: m, info: info, o: o}
	plan := t.plan
	t.mu.Unlock()
	p.Strategy = rescue.NewStrategy(m, info, p.o)
	if plan != nil {
		p.plan = plan
		p.Retier(plan)
	}
	return p
}

// Wake tells the planner that its driver asks [Planner.Waiting], and how the driver is
// told that Next is worth asking again: wake is called from any goroutine, and must not
// block. It is called before the first Next.
func (p *Planner) Wake(wake func()) {
	p.wakes = true
	p.t.mu.Lock()
	p.t.wake = wake
	p.t.mu.Unlock()
}

// Waiting reports, behind a Next that gave nothing with nothing under way, that all is
// not done: Next will give something, or be done, when the driver was woken.
func (p *Planner) Waiting() bool { return p.waiting }

// Next implements [rescue.Planner].
func (p *Planner) Next() (rescue.Read, bool) {
	p.waiting = false
	for {
		if !p.adopt() {
			return rescue.Read{}, false
		}
		if r, ok, wait := p.recall(); ok || wait {
			return r, ok
		}
		if r, ok, wait := p.reach(); ok || wait {
			return r, ok
		}
		if p.stale {
			p.stale = false
			p.Retier(p.plan)
		}
		r, ok := p.Strategy.Next()
		if ok && !p.holds(r) {
			p.issue(r)
			return r, true
		}
		if ok {
			// It is put back: the disk was never asked, which is what "not ready" says.
			p.Strategy.Done(r, rescue.Result{Class: rescue.NotReady, Err: errLater, Fail: -1, Known: true})
		}
		if len(p.flying) > 0 || !ok && !p.lastScan() {
			return rescue.Read{}, false
		}
		s := p.t.underWay()
		switch {
		case s == nil: // it has ended already
		case p.wakes && s.late.Err() == nil:
			p.waiting = true
			return rescue.Read{}, false
		default:
			select {
			case <-s.done:
			case <-s.late.Done():
			}
		}
	}
}

// Done implements [rescue.Planner].
func (p *Planner) Done(r rescue.Read, res rescue.Result) []mapfile.Run {
	if i := slices.Index(p.flying, r); i >= 0 && !res.Late {
		p.flying = slices.Delete(p.flying, i, i+1)
	}
	if !p.t.knows() {
		p.t.expect(r.First, min(max(res.Good, 0), r.Sectors))
	}
	if r == p.reaching && !res.Late {
		p.reaching, p.stale = rescue.Read{}, true
		if res.Class != rescue.OK {
			p.t.failed()
		}
	}
	if r.Pass == PassAgain {
		return nil // whatever came of it, its sectors are rescued
	}
	return p.Strategy.Done(r, res)
}

// adopt takes over what a scan has found. False means that it has to wait for what is
// under way: the strategy learns what is to be read first only when it is made.
func (p *Planner) adopt() bool {
	if len(p.t.o.First) > 0 && len(p.flying) > 0 && p.t.hasNews() {
		return false
	}
	plan, first, ok := p.t.adopt(p.m)
	if !ok {
		return true
	}
	if !slices.Equal(first, p.o.First) {
		p.o.First = first
		p.Strategy = rescue.NewStrategy(p.m, p.info, p.o)
	}
	p.plan = plan
	p.Retier(plan)
	return true
}

// recall gives the next read of metadata that is in the image and not in the scratch. They
// are read one at a time, since the disk may be failing, and nothing else meanwhile: wait
// says that something is still under way.
func (p *Planner) recall() (r rescue.Read, ok, wait bool) {
	if len(p.flying) > 0 {
		return r, false, p.last.Pass == PassAgain || p.t.hasAgain()
	}
	s, ok := p.t.takeAgain()
	if !ok {
		return r, false, false
	}
	r = rescue.Read{First: s.first, Sectors: s.end - s.first, Pass: PassAgain, Stage: "layout", Deadline: againDeadline}
	p.flying, p.last = append(p.flying, r), r
	return r, true, false
}

// What of metadata that was jumped over is read by itself: so many bytes at a time, and
// so often may it fail in a run.
const (
	reachMost     = 16 << 10
	reachFailures = 40
)

// reach gives the next read of metadata that was jumped over. Like what is recalled it is
// read one at a time.
func (p *Planner) reach() (r rescue.Read, ok, wait bool) {
	if len(p.flying) > 0 {
		return r, false, p.reaching.Sectors > 0 || p.t.hasJumped()
	}
	for {
		s, ok := p.t.takeJumped()
		if !ok {
			return r, false, false
		}
		for run := range p.m.Within(s.first, s.end-s.first) {
			if run.Status != mapfile.NonTrimmed && run.Status != mapfile.NonScraped {
				continue // it has come meanwhile
			}
			r = rescue.Read{First: run.First, Sectors: run.Sectors, Pass: rescue.PassMetadata, Stage: "metadata", Deadline: againDeadline}
			p.reaching = r
			p.issue(r)
			return r, true, false
		}
	}
}

// holds reports whether a read of the strategy has to wait for a scan, which it starts
// when one is due.
func (p *Planner) holds(r rescue.Read) bool {
	if early(r) || p.t.knows() || p.t.isOff() {
		return false
	}
	// Once the sweep runs, a scan brings little news, unless free space is to be spared.
	wait := p.o.Used || !p.swept && r.Pass != rescue.PassRefine && r.Pass != rescue.PassRetry
	if s := p.t.underWay(); s != nil {
		return wait && s.late.Err() == nil
	}
	if p.t.hasNews() {
		return true // the scan has ended since the tiers were looked at
	}
	if !p.due(r) {
		return false
	}
	p.t.begin()
	return wait
}

// due reports whether another scan would bring enough.
func (p *Planner) due(r rescue.Read) bool {
	t := p.t
	t.mu.Lock()
	none, scans, fresh, missing := t.layout == nil, t.scans, t.fresh, t.missing
	t.mu.Unlock()
	switch size := int64(t.info.Sector); {
	case none:
		return true
	case fresh == 0:
		return false
	case scans < roundsFree && (early(p.last) || p.last.Pass == PassAgain):
		return true // all that could be had of what was wanted is in
	case r.Stage != p.last.Stage || r.Pass != p.last.Pass || fresh*size >= max(missing*size/4, least):
		return t.affordable()
	}
	return false
}

// lastScan reports whether there is a scan to wait for, with nothing left to read.
func (p *Planner) lastScan() bool {
	t := p.t
	if s := t.underWay(); s != nil {
		return s.late.Err() == nil
	}
	if t.hasNews() {
		return true
	}
	if t.knows() || t.isOff() || !t.stale() {
		return false
	}
	t.begin()
	return true
}

// issue books a read of the strategy, and says what of it is to be kept.
func (p *Planner) issue(r rescue.Read) {
	p.flying, p.last = append(p.flying, r), r
	p.swept = p.swept || !early(r)
	if !p.t.knows() {
		p.t.keepRead(r)
	}
}

// early reports whether a read is of what the layout is made of.
func early(r rescue.Read) bool {
	return r.Pass == rescue.PassScout || r.Pass == rescue.PassMetadata
}
