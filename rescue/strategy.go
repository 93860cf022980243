package rescue

import (
	"cmp"
	"math"
	"slices"
	"time"

	"salvor/rescue/mapfile"
)

// Passes, as they are kept with the data. 2 and 3 are those of an earlier strategy.
const (
	PassSweep    = 1  // what is untried, forwards
	PassScout    = 4  // the ends of the disk, and tables
	PassMetadata = 5  // metadata of file systems
	PassTrim     = 6  // backwards into a bad run, to find its end
	PassSlow     = 7  // what read too slowly in the sweep
	PassRefine   = 8  // bad runs, where the yield is best
	PassFree     = 9  // free space
	PassRetry    = 10 // sectors that failed alone
)

// trusted is how many reads in a row must succeed after a failure before several
// are under way again: parallel reads make a struggling disk seek.
const trusted = 32

// Profile says how hard the strategy is on the disk.
type Profile uint8

const (
	// Normal asks for every sector once.
	Normal Profile = iota
	// Gentle leaves alone what yields less than 512 bytes for a second of the disk's
	// time, and gives a bad sector less time while there is better to read.
	Gentle
)

// StrategyOptions adjusts [NewStrategy]. The zero value works.
type StrategyOptions struct {
	InFlight int      // reads under way while the source is healthy; at least 1
	Profile  Profile  // how hard on the disk
	Used     bool     // leave free space out
	First    []Region // what is read right after the metadata, whatever its tier
	// Retries is how often what failed alone is read again in the end; 0 is never.
	Retries int
	// StopAfter ends the run when it has lasted so long; 0 is never.
	StopAfter time.Duration
	// Abandons says that the source can abandon a read at its deadline. Otherwise
	// deadlines are longer than any recovery: a disk that is still busy with one
	// sector does not answer for the next.
	Abandons bool
}

// Strategy is the planner for failing disks: first what matters, and what can be had;
// a bad sector only when nothing better is left.
//
//	scout → metadata → sweep → slow → refine → free space → refine → retry
//
// A sweep runs forward over what is untried and jumps over bad runs: what it jumps over
// becomes [mapfile.NonTrimmed]. The first long runs are delimited at once, to learn how
// long they are. Refining takes the runs by what a second of disk time is expected to
// bring, from good sectors beside them or from their middle. All of it is read off the map, so that a resumed run knows what the
// earlier one found; only the learned lengths and yields are found anew.
type Strategy struct {
	m    *mapfile.Map
	info Info
	o    StrategyOptions

	regions []Region
	plan    []stage
	stage   int
	entered bool  // the stage has been prepared
	domain  spans // sectors of the stage

	flying []Read
	calm   int           // reads in a row that succeeded, up to trusted
	now    time.Duration // of the newest result
	rate   float64       // bytes per second of good sequential reading

	pace    pace
	sweep   sweep
	rhythm  rhythm
	trim    trim
	queue   queue
	names   bool  // the source says which sector failed
	fine    spans // unread sectors to be read one physical sector at a time
	left    spans // sectors that failed alone, and not by the medium: not in this run again
	retryAt int64

	cost     forecast
	slowCost float64 // seconds for a sector of what reads too slowly
}

// kind is how a stage finds its reads.
type kind uint8

const (
	sweeping kind = iota
	refining
	retrying
)

// stage is one step of the plan.
type stage struct {
	kind     kind
	pass     uint8
	name     string
	most     Tier
	slow     bool // over what was deferred, and defer nothing
	wanted   bool // over what was named first
	deadline time.Duration

	budget int     // failed reads allowed; negative is any number
	floor  float64 // bytes per second below which the stage ends, or a gap is left

	bytes int64         // read by this stage
	spent time.Duration // the source's time for it
}

// NewStrategy returns the strategy for failing disks over m.
func NewStrategy(m *mapfile.Map, info Info, o StrategyOptions) *Strategy {
	o.InFlight = max(o.InFlight, 1)
	s := &Strategy{m: m, info: info, o: o, calm: trusted, rate: 100e6}
	quick, fair, long := 30*time.Second, 30*time.Second, 60*time.Second
	if o.Abandons {
		quick, fair, long = 8*time.Second, 8*time.Second, 30*time.Second
		if o.Profile == Gentle {
			quick = 3 * time.Second
		}
	}
	s.plan = []stage{
		{kind: sweeping, pass: PassScout, name: "scout", most: TierTables, deadline: quick, budget: 20},
		{kind: sweeping, pass: PassMetadata, name: "metadata", most: TierMetadata, deadline: quick, budget: 20, floor: 50 << 10},
		{kind: sweeping, pass: PassSweep, name: "sweep", wanted: true, deadline: quick, budget: -1},
		{kind: sweeping, pass: PassSweep, name: "sweep", most: TierOther, deadline: quick, budget: -1},
		{kind: sweeping, pass: PassSweep, name: "sweep", most: TierRebuild, deadline: quick, budget: -1},
		{kind: sweeping, pass: PassSlow, name: "slow", most: TierRebuild, slow: true, deadline: fair, budget: -1},
		{kind: refining, pass: PassRefine, name: "refine", most: TierRebuild, deadline: fair, budget: -1, floor: 1 << 10},
	}
	most := TierRebuild
	if !o.Used {
		most = TierFree
		s.plan = append(s.plan,
			stage{kind: sweeping, pass: PassFree, name: "free space", most: TierFree, deadline: quick, budget: -1},
			stage{kind: sweeping, pass: PassSlow, name: "slow", most: TierFree, slow: true, deadline: fair, budget: -1},
		)
	}
	s.plan = append(s.plan, stage{kind: refining, pass: PassRefine, name: "refine", most: most, deadline: fair, budget: -1, floor: 512})
	if o.Profile != Gentle {
		s.plan = append(s.plan, stage{kind: refining, pass: PassRefine, name: "refine", most: most, deadline: long, budget: -1})
	}
	for range o.Retries {
		s.plan = append(s.plan, stage{kind: retrying, pass: PassRetry, name: "retry", most: most, deadline: long, budget: -1})
	}
	s.Retier(nil)
	return s
}

// Retier tells what is known by now of what lies where; it replaces what was told
// before. Regions may come in any order, and overlap: the lower tier counts. Sectors
// of which nothing is said are [TierOther]. The strategy goes back to what has become more important, and keeps
// what it has learned. Like Next and Done it is called by the one goroutine that
// plans.
func (s *Strategy) Retier(regions []Region) {
	whole := make([]Region, len(regions)) // physical sectors: no read may split one
	for i, r := range regions {
		first, end := s.grains(r.First, r.End())
		whole[i] = Region{first, end - first, r.Tier}
	}
	s.regions = complete(whole, s.m.Sectors())
	if s.stage < len(s.plan) && s.plan[s.stage].kind != retrying {
		s.stage = 0
	}
	s.entered = false
	s.recount()
}

// Next implements [Planner].
func (s *Strategy) Next() (Read, bool) {
	if s.o.StopAfter > 0 && s.now >= s.o.StopAfter {
		return Read{}, false
	}
	for s.stage < len(s.plan) {
		st := &s.plan[s.stage]
		limit := 1
		if st.kind == sweeping && s.calm >= trusted && !s.sweep.run.open && !s.trim.open {
			limit = s.o.InFlight
		}
		if len(s.flying) >= limit {
			return Read{}, false
		}
		if !s.entered {
			if len(s.flying) > 0 {
				return Read{}, false
			}
			s.enter(st)
		}
		if r, ok := s.ask(st); ok {
			s.flying = append(s.flying, r)
			return r, true
		}
		if len(s.flying) > 0 {
			return Read{}, false // what they bring decides what this stage has left
		}
		s.stage, s.entered = s.stage+1, false
	}
	return Read{}, false
}

// enter prepares a stage.
func (s *Strategy) enter(st *stage) {
	s.entered = true
	bridge := int64(512<<10) / int64(s.info.Sector)
	if s.o.Used {
		bridge = 0
	}
	if st.wanted {
		s.domain = nil
		for _, r := range s.o.First {
			first, end := s.grains(r.First, r.End())
			s.domain = s.domain.with(max(first, 0), min(end, s.m.Sectors()))
		}
	} else {
		s.domain = domain(s.regions, st.most, bridge)
	}
	if st.pass == PassScout {
		end := min(s.boundary(0, MaxRead), s.m.Sectors())
		last, _ := s.grains(s.m.Sectors()-end, s.m.Sectors())
		s.domain = slices.Clone(s.domain).with(0, end).with(max(last, 0), s.m.Sectors())
	}
	switch st.kind {
	case sweeping:
		if st.slow {
			s.domain = s.domain.both(s.sweep.deferred)
		}
		s.sweep.lap = false
	case refining:
		s.regap(st)
	case retrying:
		s.retryAt = 0
	}
}

// ask finds the next read of a stage.
func (s *Strategy) ask(st *stage) (Read, bool) {
	if s.trim.open {
		if r, ok := s.trimRead(); ok {
			return s.read(st, r, PassTrim), true
		}
		s.trimmed()
	}
	if st.budget == 0 || st.kind == sweeping && st.spent > 30*time.Second && st.floor*st.spent.Seconds() > float64(st.bytes) {
		return Read{}, false
	}
	var r span
	var ok bool
	switch st.kind {
	case sweeping:
		r, ok = s.sweepRead(st)
	case refining:
		r, ok = s.refineRead(st)
	case retrying:
		r, ok = s.retryRead()
	}
	return s.read(st, r, st.pass), ok
}

func (s *Strategy) read(st *stage, r span, pass uint8) Read {
	return Read{First: r.first, Sectors: r.end - r.first, Pass: pass, Stage: st.name, Deadline: st.deadline}
}

// retryRead finds the next sector that failed alone.
func (s *Strategy) retryRead() (span, bool) {
	at := int64(math.MaxInt64)
	for _, status := range []mapfile.Status{mapfile.Bad, mapfile.NonScraped, mapfile.NonTrimmed} {
		if r, ok := s.m.Next(s.retryAt, status); ok {
			at = min(at, r.First)
		}
	}
	p, ok := s.domain.next(min(at, s.m.Sectors()))
	for ok && p.first > at {
		// Between at and p nothing belongs to the stage.
		s.retryAt, at = p.first, math.MaxInt64
		for _, status := range []mapfile.Status{mapfile.Bad, mapfile.NonScraped, mapfile.NonTrimmed} {
			if r, found := s.m.Next(s.retryAt, status); found {
				at = min(at, r.First)
			}
		}
		p, ok = s.domain.next(min(at, s.m.Sectors()))
	}
	if !ok || at == math.MaxInt64 {
		return span{}, false
	}
	end := min(s.boundary(at, 0), s.m.Get(at).End())
	s.retryAt = end
	return span{at, end}, true
}

// Done implements [Planner].
func (s *Strategy) Done(r Read, res Result) []mapfile.Run {
	ours, before, was := false, s.now, stateOf(s.m.Get(r.First).Status)
	if !res.Late {
		if i := slices.Index(s.flying, r); i >= 0 {
			s.flying = slices.Delete(s.flying, i, i+1)
			ours = true
		}
		s.now = max(s.now, res.Began+res.Took)
	}
	defer func() { s.spend(r, res, was, s.now-before, ours) }()
	good := min(max(res.Good, 0), r.Sectors)
	s.set(r.First, good, mapfile.Rescued)
	if ours {
		s.book(r, res, good)
	}
	if good == r.Sectors {
		if ours {
			s.calm = min(s.calm+1, trusted)
			s.succeeded(r, res)
			return s.foresee(r)
		}
		return nil
	}
	changed := s.failed(r, res, r.First+good, ours)
	slices.SortFunc(changed, func(a, b mapfile.Run) int { return cmp.Compare(a.First, b.First) })
	return changed
}

// book adds a result to the account of its stage.
func (s *Strategy) book(r Read, res Result, good int64) {
	if s.stage >= len(s.plan) {
		return
	}
	st := &s.plan[s.stage]
	if st.pass != r.Pass {
		return
	}
	st.bytes += s.bytes(good)
	st.spent += res.Took
	if res.Class != OK && !res.Known && st.budget > 0 {
		st.budget--
	}
}

// succeeded draws the lesson of a read that brought everything.
func (s *Strategy) succeeded(r Read, res Result) {
	switch r.Pass {
	case PassTrim:
		s.trimGood(r)
	case PassRefine:
		s.refineGood(r, res)
	case PassRetry:
	default:
		s.sweepGood(r, res)
	}
}

// failed enters a read that did not bring all, from behind on, and draws the lesson.
func (s *Strategy) failed(r Read, res Result, behind int64, ours bool) []mapfile.Run {
	var changed []mapfile.Run
	lost := span{-1, -1} // the sectors known to be bad by now
	if res.Lost > 0 {
		// The medium gives or keeps a physical sector whole.
		lost.first, lost.end = s.grains(res.Fail, res.Fail+res.Lost)
		lost.first, lost.end = max(lost.first, behind), min(lost.end, r.End())
		changed = s.lower(changed, lost.first, lost.end, mapfile.Bad)
	}
	named := len(changed) > 0
	s.names = s.names || named
	first, end := s.grains(r.First, r.First+1)
	alone := first <= r.First && r.End() <= end
	switch {
	case alone && res.Class == Medium:
		lost, named = span{behind, r.End()}, true
		changed = s.lower(changed, behind, r.End(), mapfile.Bad)
	case res.Class.final() && ours:
		s.sweep.at = min(s.sweep.at, r.First)
		return changed
	case ours && (res.Class == OK && behind > r.First || res.Known && named):
		// A short read, or a refusal that cost nothing: go on right behind what is settled.
		s.sweep.at = min(s.sweep.at, behind)
		return changed
	}
	if !ours {
		return changed // it tells nothing new of what it did not bring
	}
	s.calm = 0
	if !named {
		lost = span{behind, behind}
	}
	if alone && !named {
		s.left = s.left.with(r.First, r.End())
		s.cost.left += r.Sectors
		changed = s.lower(changed, behind, r.End(), mapfile.NonScraped)
	}
	switch r.Pass {
	case PassTrim:
		return s.trimFailed(changed, r, lost, named)
	case PassRefine:
		return s.refineFailed(changed, r, res, lost, named)
	case PassRetry:
		return changed
	}
	return s.sweepFailed(changed, r, res, lost, named)
}

// lower gives [first, end) the status to where that is news and nothing better or
// more certain is known, and appends what changed.
func (s *Strategy) lower(changed []mapfile.Run, first, end int64, to mapfile.Status) []mapfile.Run {
	first, end = max(first, 0), min(end, s.m.Sectors())
	if first >= end {
		return changed
	}
	from := len(changed)
	for r := range s.m.Within(first, end-first) {
		if certainty(r.Status) < certainty(to) {
			r.Status = to
			changed = append(changed, r)
		}
	}
	for _, r := range changed[from:] {
		s.set(r.First, r.Sectors, to)
	}
	return changed
}

// single says of sectors among which is a bad one, nobody knows which, that they are to
// be read one physical sector at a time: to fail once more for each part of them would
// cost more than to read many small pieces well.
func (s *Strategy) single(changed []mapfile.Run, first, end int64) []mapfile.Run {
	s.fine = s.fine.with(first, end)
	return s.lower(changed, first, end, mapfile.NonScraped)
}

// certainty orders the statuses by how much was tried.
func certainty(s mapfile.Status) int {
	switch s {
	case mapfile.Untried:
		return 0
	case mapfile.NonTrimmed:
		return 1
	case mapfile.NonScraped:
		return 2
	case mapfile.Bad:
		return 3
	}
	return 4
}

// grains widens [first, end) to whole physical sectors.
func (s *Strategy) grains(first, end int64) (int64, int64) {
	g := s.info.Grain()
	first -= mod(first-s.info.Offset, g)
	end += mod(s.info.Offset-end, g)
	return first, end
}

// boundary is the first sector behind at that is a multiple of size bytes, counted
// from a boundary of physical sectors, so that no read splits one. Size 0 is one
// physical sector.
func (s *Strategy) boundary(at, size int64) int64 {
	g := s.info.Grain()
	step := max(s.sectors(size), g)
	step -= step % g
	return at + step - mod(at-s.info.Offset, step)
}

// mod is the remainder that is never negative.
func mod(a, b int64) int64 { return ((a % b) + b) % b }

// sectors and bytes convert between the two.
func (s *Strategy) sectors(bytes int64) int64 { return bytes / int64(s.info.Sector) }
func (s *Strategy) bytes(sectors int64) int64 { return sectors * int64(s.info.Sector) }
