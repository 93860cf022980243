package rescue

import (
	"math"
	"sort"
	"time"

	"salvor/rescue/mapfile"
)

// The time left is foreseen from what it cost to settle sectors so far. Every unread
// sector is in a state; a read takes sectors of one state out of it, in a time, and
// what it does not settle is in another state then:
//
//	untried ──▶ put off ──▶ non-trimmed ──▶ non-scraped ──▶ rescued or bad
//
// So a sector costs what leaving its state costs, and the cost of the states that it may
// come to besides. All of it is counted as it happens; asking costs nothing.

// state is what is known of a sector, as far as its cost goes.
type state uint8

const (
	isUntried state = iota
	isTrim          // non-trimmed
	isScrape        // non-scraped
	isBad
	isRescued
	isSlow // untried, and put off as too slow
	states
)

func stateOf(s mapfile.Status) state {
	switch s {
	case mapfile.Untried:
		return isUntried
	case mapfile.NonTrimmed:
		return isTrim
	case mapfile.NonScraped:
		return isScrape
	case mapfile.Bad:
		return isBad
	}
	return isRescued
}

// account is what it cost to take sectors out of a state.
type account struct {
	spent  float64         // seconds, for good reads as if at the outer edge
	failed float64         // seconds, for failures, but for those that hung
	fails  float64         // failures, without those
	left   float64         // sectors that are in it no more
	became [states]float64 // of them
}

// forecast is what a strategy has learned of costs.
type forecast struct {
	tiers    [Tiers][isRescued + 1]int64 // sectors by tier and state
	accounts [states]account
	moved    [states][states]int64 // sectors of the plan, by the result that is being taken
	moment   float64               // of the untried sectors of the plan: their places, summed
	slow     int64                 // untried sectors that were put off
	reach    int64                 // how far the sweep has come
	left     int64                 // sectors that failed alone and are left for another run
	reads    int64                 // answered
	settled  int64                 // sectors that reads have made rescued or bad
	hangs    float64               // failures that took far longer than a bad sector does
	hung     float64               // seconds that they took

	// Between the first failure of a bad run and its last: sectors read well, and failures.
	insideGood, insideBad float64

	edges  visits // to gaps beside good sectors, the first each
	inners visits // the first to gaps within bad runs, or in what such a visit has left
	holes  visits // the first to holes
}

// visits are what visits to gaps of one kind have cost.
type visits struct {
	seconds float64
	used    float64 // sectors that were settled, or have become holes
	holed   float64 // of them holes
	left    float64 // sectors of those gaps that stayed as they were
	n       float64
}

// history is what visits to a gap have cost, the older ones fading.
type history struct {
	inner                bool // it was left by a visit from its edge
	seconds, used, holed float64
	cost                 float64 // seconds for one of its sectors, by that
}

// knownGaps sums up the gaps that wait.
type knownGaps struct {
	visited, seconds float64 // sectors of those with a history, and what they will cost by it
	inner            float64 // sectors of those that were left by a visit from the edge
}

// recount counts the map anew, for other regions or after something else has changed it.
func (s *Strategy) recount() {
	f := &s.cost
	f.tiers, f.moment = [Tiers][isRescued + 1]int64{}, 0
	i := 0
	for r := range s.m.All() {
		for at := r.First; at < r.End(); {
			for s.regions[i].End() <= at {
				i++
			}
			end := min(r.End(), s.regions[i].End())
			s.count(s.regions[i].Tier, stateOf(r.Status), at, end, 1)
			at = end
		}
	}
}

// agree counts anew when the map was changed by somebody else: at the end of a run what the
// sink refused is untried again, and what a failing device is blamed for.
func (s *Strategy) agree() {
	rescued, bad := int64(0), int64(0)
	for _, t := range s.cost.tiers {
		rescued, bad = rescued+t[isRescued], bad+t[isBad]
	}
	if all := s.m.Totals(); rescued != all.Sectors(mapfile.Rescued) || bad != all.Sectors(mapfile.Bad) {
		s.recount()
	}
}

// count books that sectors of a tier are in a state, or with sign -1 no more.
func (s *Strategy) count(t Tier, in state, first, end, sign int64) {
	f := &s.cost
	f.tiers[t][in] += sign * (end - first)
	if in == isUntried && s.wants(t) {
		f.moment += float64(sign) * float64(end-first) * (float64(first) + float64(end-first)/2)
	}
}

// wants reports whether the plan asks for sectors of a tier.
func (s *Strategy) wants(t Tier) bool { return t < TierFree || !s.o.Used }

// set enters a status in the map, and counts what it changes.
func (s *Strategy) set(first, n int64, to mapfile.Status) {
	if n <= 0 {
		return
	}
	for r := range s.m.Within(first, n) {
		if r.Status == to {
			continue
		}
		from, now := stateOf(r.Status), stateOf(to)
		i := sort.Search(len(s.regions), func(i int) bool { return s.regions[i].End() > r.First })
		for at := r.First; at < r.End(); i++ {
			end, t := min(r.End(), s.regions[i].End()), s.regions[i].Tier
			s.count(t, from, at, end, -1)
			s.count(t, now, at, end, 1)
			if s.wants(t) {
				s.cost.moved[from][now] += end - at
			}
			at = end
		}
	}
	s.m.Set(first, n, to)
}

// spend books the result of a read: its time goes to the state that its sectors were in.
func (s *Strategy) spend(r Read, res Result, was state, took time.Duration, ours bool) {
	f := &s.cost
	if r.Pass == PassSlow && was == isUntried {
		was = isSlow
		f.moved[isSlow], f.moved[isUntried] = f.moved[isUntried], f.moved[isSlow]
	}
	for from := range f.moved {
		for to, n := range f.moved[from] {
			f.accounts[from].left += float64(n)
			f.accounts[from].became[to] += float64(n)
			if state(to) == isRescued || state(to) == isBad {
				f.settled += n
			}
			if state(from) == isSlow {
				f.slow = max(f.slow-n, 0)
			}
		}
	}
	f.moved = [states][states]int64{}
	if !ours || res.Known {
		return
	}
	f.reads++
	if r.Pass == PassSweep || r.Pass == PassFree {
		f.reach = max(f.reach, r.End())
	}
	a := &f.accounts[was]
	if res.Class == OK {
		a.spent += took.Seconds() * s.speed(float64(r.First))
		return
	}
	if took.Seconds() > hungFrom {
		f.hangs++
		f.hung += took.Seconds()
		return
	}
	a.failed += took.Seconds()
	a.fails++
}

// speed is how fast a place reads, as a part of the speed at the outer edge. Disks turn
// at one speed, and their inner tracks are about half as long as the outer ones.
func (s *Strategy) speed(at float64) float64 {
	if !s.info.Rotational {
		return 1
	}
	return 1 - at/float64(s.m.Sectors())/2
}

// putOff books sectors that are put off as too slow, but for those that were before.
func (s *Strategy) putOff(first, end int64) {
	for first < end {
		to := end
		if p, ok := s.sweep.deferred.next(first); ok {
			if p.first == first {
				first = p.end
				continue
			}
			to = min(to, p.first)
		}
		for r := range s.m.Within(first, to-first) {
			if r.Status == mapfile.Untried {
				s.cost.slow += r.Sectors
				s.cost.accounts[isUntried].became[isSlow] += float64(r.Sectors)
			}
		}
		first = to
	}
}

// between books what was read between two failures of one bad run. Much that is good is
// no bad run any more.
func (s *Strategy) between(good int64) {
	s.cost.insideGood += float64(s.sectors(min(good, middleFrom)))
	s.cost.insideBad++
}

// remember books a visit that has ended, and gives the history of what it leaves. First
// visits tell of other gaps; later ones go to the best gaps.
func (s *Strategy) remember(v visit) history {
	past := v.past
	failure := s.failureCost() // a failure that took very long tells nothing of the place
	seconds, used, holed := v.reading.Seconds()+float64(v.fails)*failure, float64(v.used), float64(v.holed)
	if past.used == 0 {
		kind := &s.cost.inners
		switch {
		case v.status == mapfile.NonScraped:
			kind = &s.cost.holes
		case v.edge && !past.inner:
			kind = &s.cost.edges
		}
		kind.seconds, kind.used, kind.holed = kind.seconds+seconds, kind.used+used, kind.holed+holed
		kind.left, kind.n = kind.left+float64(v.up.end-v.up.first+v.down.end-v.down.first), kind.n+1
		if kind == &s.cost.edges {
			return history{inner: true}
		}
	}
	const fade = 0.9
	past.seconds, past.used, past.holed = past.seconds*fade+seconds, past.used*fade+used, past.holed*fade+holed
	usual, sure := s.innerCost(), failure/2
	if v.status == mapfile.NonScraped {
		usual = s.holeCost()
	}
	past.cost = (past.seconds + past.holed*s.holeCost() + sure) / (past.used + sure/usual)
	return past
}

// The seconds that one sector costs until it is rescued or bad, by where it lies: within
// a bad run, in a hole of one, or in a gap that may begin or end with good sectors.

func (s *Strategy) insideCost() float64 {
	const sure = 2
	share := (s.cost.insideBad + sure) / (s.cost.insideBad + s.cost.insideGood/float64(s.info.Grain()) + sure/priorShare)
	return s.failureCost() * share / float64(s.info.Grain())
}

func (s *Strategy) holeCost() float64 {
	v, sure := &s.cost.holes, 2*s.failureCost()
	return (v.seconds + sure) / (v.used + sure/max(s.insideCost(), holeShare*s.failureCost()/float64(s.info.Grain())))
}

func (s *Strategy) innerCost() float64 {
	v, sure := &s.cost.inners, 2*s.failureCost()
	return (v.seconds + v.holed*s.holeCost() + sure) / (v.used + sure/s.insideCost())
}

func (s *Strategy) edgeCost() float64 {
	const edgeSure = 1e4
	v, inner := &s.cost.edges, s.innerCost()
	return (v.seconds + v.holed*s.holeCost() + v.left*inner + edgeSure*inner/2) / (v.used + v.left + edgeSure)
}

// Outlook implements [Forecaster].
func (s *Strategy) Outlook() Outlook {
	o := Outlook{P10: Unknown, P50: Unknown, P90: Unknown, Step: min(s.stage+1, len(s.plan)), Steps: len(s.plan)}
	o.Stage = s.plan[o.Step-1].name
	s.agree()
	for t := range o.Tiers {
		c := &s.cost.tiers[t]
		for _, n := range c {
			o.Tiers[t].Bytes += s.bytes(n)
		}
		o.Tiers[t].Rescued, o.Tiers[t].Lost = s.bytes(c[isRescued]), s.bytes(c[isBad])
	}
	if e, ok := s.estimate(); ok {
		o.P10, o.P50, o.P90 = e.at(-tenth), e.at(0), e.at(tenth)
		if s.o.StopAfter > 0 {
			rest := max(s.o.StopAfter-s.now, 0)
			o.P10, o.P50, o.P90 = min(o.P10, rest), min(o.P50, rest), min(o.P90, rest)
		}
	}
	return o
}

// tenth is how many standard deviations of a normal distribution leave out a tenth.
const tenth = 1.2816

// estimate is the seconds left: for what reads well, what reads slowly and what fails, and
// how uncertain they are, as standard deviations of their logarithms.
type estimate struct {
	good, goodSpread float64
	slow, slowSpread float64
	bad, badSpread   float64
	unseen           float64 // for what was not met so far, should there be any

	hangs, hangsSpread float64 // how many are to come, and the standard deviation
	hang               float64 // seconds for each
}

func (e estimate) at(z float64) time.Duration {
	sec := max(z, 0) * e.unseen
	sec += e.hang * max(e.hangs+z*e.hangsSpread, 0)
	sec += e.good*math.Exp(z*e.goodSpread) + e.slow*math.Exp(z*e.slowSpread) + e.bad*math.Exp(z*e.badSpread)
	return time.Duration(min(sec, 1e9) * float64(time.Second)) // 30 years are enough
}

// estimate foresees the time left. It knows nothing before 2 % of the plan was read.
func (s *Strategy) estimate() (estimate, bool) {
	f := &s.cost
	var rest [states]float64
	total := 0.0
	for t := range f.tiers {
		for i, n := range f.tiers[t] {
			if s.wants(Tier(t)) {
				rest[i] += float64(n)
				total += float64(n)
			}
		}
	}
	done := rest[isRescued] + rest[isBad]
	if f.reads < 100 || done < total/50 {
		return estimate{}, false
	}
	slow := min(float64(f.slow), rest[isUntried])
	rest[isUntried] -= slow
	rest[isScrape] = max(rest[isScrape]-float64(f.left), 0)

	failure := s.failureCost()
	grain := float64(s.info.Grain())
	bare, late := &f.accounts[isUntried], &f.accounts[isSlow]

	hole, inner, edge := s.holeCost(), s.innerCost(), s.edgeCost()
	known := s.queue.known
	if floor := s.floor(); floor > 0 {
		// What brings too little is left alone after the visit that shows it.
		paid := func(cost float64) float64 {
			share := min(cost*grain/failure, 1)
			if (1-share)*float64(s.info.Sector) < floor*cost {
				return cost / 10
			}
			return cost
		}
		hole, inner, edge = paid(hole), paid(inner), paid(edge)
		for i := range known {
			known[i].seconds = known[i].visited * paid(known[i].seconds/max(known[i].visited, 1))
		}
	}
	bad := max(rest[isScrape]-known[isScrape].visited, 0)*hole + known[isScrape].seconds +
		max(rest[isTrim]-known[isTrim].visited-known[isTrim].inner, 0)*edge + known[isTrim].inner*inner + known[isTrim].seconds
	after := func(a *account) float64 { return a.became[isTrim]*edge + a.became[isScrape]*hole }

	// What is untried reads well but for what it comes to.
	where := s.speed(f.moment / max(rest[isUntried]+slow, 1))
	reading := float64(s.info.Sector) / s.rate
	goodCost := (bare.spent + 1e4*reading) / (bare.left + 1e4) / where
	badCost := (bare.failed + after(bare)) / (bare.left + 1e4)
	// What was put off is slow in part: where that ends was only guessed.
	slowCost := (late.spent + late.failed + after(late) + 1e5*s.slowCost/2) / (late.left + 1e5)
	// What lies behind the sweep was put off already, or was not slow.
	ahead := 1 - float64(f.reach)/float64(s.m.Sectors())
	toSlow := bare.became[isSlow] / float64(f.reach+1) * ahead

	e := estimate{
		good:   rest[isUntried] * goodCost,
		slow:   (rest[isUntried]*toSlow + slow) * slowCost,
		unseen: unseen * failure * rest[isUntried] / (bare.left + 1e4),
		bad:    rest[isUntried]*badCost + bad,
	}
	// Every retry reads once more what is bad in the end.
	if n := s.retriesLeft(); n > 0 {
		again := rest[isBad]*failure/grain + e.bad
		e.bad += float64(n) * again
	}
	know := f.holes.n + f.inners.n
	e.goodSpread, e.slowSpread = 0.15, 0.7
	// A disk hangs wherever, or in so many of its failures, as often as it did.
	if f.hangs > 0 {
		e.hang = f.hung / f.hangs
		e.hangs = f.hangs / float64(f.settled+1) * (rest[isUntried] + slow + rest[isTrim] + rest[isScrape])
		if n := f.failures(); n > 20*f.hangs {
			e.hangs = max(e.hangs, f.hangs/n*e.bad/failure)
		}
		e.hangsSpread = math.Sqrt(e.hangs + e.hangs*e.hangs/f.hangs)
	}
	// Where nearly all is bad there is little to be wrong about.
	usual := 0.12 + 0.55*(1-min(e.bad/failure*grain/(rest[isTrim]+rest[isScrape]+1), 1))
	e.badSpread = math.Sqrt(usual*usual + 1.2*1.2/(1+know/10))
	return e, true
}

const (
	// priorShare is what part of a bad run is thought to be bad.
	priorShare = 0.04
	// holeShare is what part of a hole at least is thought to be bad.
	holeShare = 0.15
	// hungFrom is how many seconds a failure takes at most that is none of a bad sector alone.
	hungFrom = 15
	// unseen is how many more failures there may have been in what was swept.
	unseen = 0.5
)

// failures is how many there were.
func (f *forecast) failures() (n float64) {
	for _, a := range f.accounts {
		n += a.fails
	}
	return n
}

// failureCost is what a failure costs in a bad run, in seconds. A source may hang anywhere.
func (s *Strategy) failureCost() float64 {
	spent, n := 3*firstCost, 3+s.cost.failures()
	for _, a := range s.cost.accounts {
		spent += a.failed
	}
	return spent / n
}

// floor is what the last refining wants to bring, in bytes per second.
func (s *Strategy) floor() (least float64) {
	for _, st := range s.plan {
		if st.kind == refining {
			least = st.floor
		}
	}
	return least
}

// retriesLeft is how many rounds of retries the plan has left.
func (s *Strategy) retriesLeft() (n int) {
	for _, st := range s.plan[min(s.stage, len(s.plan)):] {
		if st.kind == retrying {
			n++
		}
	}
	return n
}
