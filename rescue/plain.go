package rescue

import (
	"cmp"
	"slices"
	"time"

	"salvor/rescue/mapfile"
)

// Passes of the plain strategy, as they are kept with the data.
const (
	PassSweep  = 1 // large reads over everything untried
	PassNarrow = 2 // smaller ones over what failed
	PassScrape = 3 // one physical sector at a time
)

// plainStage is one walk from the first sector to the last over what has one status.
type plainStage struct {
	pass     uint8
	name     string
	over     mapfile.Status // what it reads
	failed   mapfile.Status // what becomes of a read that fails, unless it was of one physical sector
	bytes    int64          // of a read; 0 is one physical sector
	deadline time.Duration
}

// The deadlines are for disks that are read with pread: the kernel itself retries a
// bad sector for up to some 30 s before it answers, and cannot be stopped.
var plainStages = [...]plainStage{
	{PassSweep, "sweep", mapfile.Untried, mapfile.NonTrimmed, MaxRead, 30 * time.Second},
	{PassNarrow, "narrow", mapfile.NonTrimmed, mapfile.NonScraped, 64 << 10, 30 * time.Second},
	{PassScrape, "scrape", mapfile.NonScraped, mapfile.NonScraped, 0, 60 * time.Second},
}

// trusted is how many reads in a row must succeed after a failure before several
// are under way again: parallel reads make a struggling disk seek.
const trusted = 32

// plain is the simple strategy: one forward sweep, then what failed in smaller and
// smaller reads. Each stage walks forward once and is never taken up again, so it
// ends, and a physical sector that failed alone is not read a second time.
type plain struct {
	m        *mapfile.Map
	info     Info
	inFlight int

	stage  int
	at     int64  // where the stage's walk stands
	flying []Read // given out and not answered
	calm   int    // reads in a row that succeeded, up to trusted
}

// NewPlain returns the plain strategy over m: large sequential reads, inFlight of
// them at once while the source is healthy; the good prefix of a failed read is
// kept; then failed blocks are narrowed by 64 KiB, then by the physical sector. A
// physical sector that the medium did not give when asked for alone is bad; one that
// timed out or failed on the way is left for another run.
func NewPlain(m *mapfile.Map, info Info, inFlight int) Planner {
	return &plain{m: m, info: info, inFlight: max(inFlight, 1), calm: trusted}
}

// Next implements [Planner].
func (p *plain) Next() (Read, bool) {
	for p.stage < len(plainStages) {
		s := &plainStages[p.stage]
		limit := 1
		if s.pass == PassSweep && p.calm >= trusted {
			limit = p.inFlight
		}
		if len(p.flying) >= limit {
			return Read{}, false
		}
		if r, ok := p.next(s); ok {
			p.flying = append(p.flying, r)
			p.at = r.End()
			return r, true
		}
		if len(p.flying) > 0 {
			return Read{}, false // their failures belong to this stage's harvest
		}
		p.stage, p.at = p.stage+1, 0
	}
	return Read{}, false
}

// next finds the read at or behind the walk's position, beside those under way.
func (p *plain) next(s *plainStage) (Read, bool) {
	for {
		run, ok := p.m.Next(p.at, s.over)
		if !ok {
			return Read{}, false
		}
		end := min(run.End(), p.boundary(run.First, s.bytes))
		for _, f := range p.flying {
			if f.First <= run.First && run.First < f.End() {
				p.at, ok = f.End(), false // under way: look behind it
			} else if f.First > run.First {
				end = min(end, f.First)
			}
		}
		if ok {
			return Read{
				First: run.First, Sectors: end - run.First,
				Pass: s.pass, Stage: s.name, Deadline: s.deadline,
			}, true
		}
	}
}

// boundary is the first sector behind at that is a multiple of size bytes, counted
// from a boundary of physical sectors, so that no read splits one.
func (p *plain) boundary(at, size int64) int64 {
	step := max(size/int64(p.info.Sector), p.info.Grain())
	step -= step % p.info.Grain()
	return at + step - mod(at-p.info.Offset, step)
}

// mod is the remainder that is never negative.
func mod(a, b int64) int64 { return ((a % b) + b) % b }

// Done implements [Planner].
func (p *plain) Done(r Read, res Result) []mapfile.Run {
	if !res.Late {
		if i := slices.Index(p.flying, r); i >= 0 {
			p.flying = slices.Delete(p.flying, i, i+1)
		}
	}
	good := min(max(res.Good, 0), r.Sectors)
	p.m.Set(r.First, good, mapfile.Rescued)
	behind := r.First + good
	if good == r.Sectors {
		p.calm = min(p.calm+1, trusted)
		return nil
	}

	var changed []mapfile.Run
	if res.Lost > 0 {
		// The source named the sectors. The medium gives or keeps a physical sector whole.
		first, end := p.grain(res.Fail, res.Fail+res.Lost)
		changed = p.lower(changed, max(first, behind), min(end, r.End()), mapfile.Bad)
	}
	first, end := p.grain(r.First, r.First+1)
	alone := res.Class == Medium && first <= r.First && r.End() <= end
	switch {
	case alone:
		p.calm = 0
		return p.lower(changed, behind, r.End(), mapfile.Bad)
	case res.Late || res.Class.final():
		// Late tells nothing new of what it did not bring; final nothing of the medium.
		return changed
	case res.Class == OK && good > 0, res.Known && len(changed) > 0:
		// A short read, or a refusal that cost nothing: go on right behind what is now settled.
		p.at = min(p.at, behind)
		return changed
	}
	p.calm = 0
	failed := plainStages[min(max(int(r.Pass), 1), len(plainStages))-1].failed
	// The parts in front of and behind named sectors take the lower status; lower leaves the named alone.
	changed = p.lower(changed, behind, r.End(), failed)
	slices.SortFunc(changed, func(a, b mapfile.Run) int { return cmp.Compare(a.First, b.First) })
	return changed
}

// grain widens [first, end) to whole physical sectors.
func (p *plain) grain(first, end int64) (int64, int64) {
	g := p.info.Grain()
	first -= mod(first-p.info.Offset, g)
	end += mod(p.info.Offset-end, g)
	return first, end
}

// lower gives [first, end) the status s where that is news and nothing better or
// more certain is known, and appends what changed.
func (p *plain) lower(changed []mapfile.Run, first, end int64, s mapfile.Status) []mapfile.Run {
	if first >= end {
		return changed
	}
	from := len(changed)
	for r := range p.m.Within(first, end-first) {
		if r.Status != mapfile.Rescued && r.Status != mapfile.Bad && r.Status != s {
			r.Status = s
			changed = append(changed, r)
		}
	}
	for _, r := range changed[from:] {
		p.m.Set(r.First, r.Sectors, s)
	}
	return changed
}
