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
	failed float64         // seconds, for failures
	fails  float64         // failures
	left   float64         // sectors that are in it no more
	became [states]float64 // of them
}

// fade makes the account forget half of what it knows once it knows much of n failures,
// so that it follows what is being read now: the easy sectors are read first.
func (a *account) fade(n float64) {
	if a.fails < n {
		return
	}
	a.spent, a.failed, a.fails, a.left = a.spent/2, a.failed/2, a.fails/2, a.left/2
	for i := range a.became {
		a.became[i] /= 2
	}
}

// forecast is what a strategy has learned of costs.
type forecast struct {
	tiers    [Tiers][isRescued + 1]int64 // sectors by tier and state
	accounts [states]account
	moved    [states][states]int64 // sectors of the plan, by the result that is being taken
	moment   float64               // of the untried sectors of the plan: their places, summed
	slow     int64                 // untried sectors that were put off
	left     int64                 // sectors that failed alone and are left for another run
	reads    int64                 // answered

	// What a bad run is like between its first failure and its last: sectors that were
	// read well between failures, and those failures.
	insideGood, insideBad float64
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
	a := &f.accounts[was]
	if res.Class == OK {
		a.spent += took.Seconds() * s.speed(float64(r.First))
		return
	}
	a.failed += took.Seconds()
	a.fails++
	if was == isTrim || was == isScrape {
		a.fade(fadeFrom)
	}
}

// fadeFrom is how many failures an account knows of at most.
const fadeFrom = 600

// speed is how fast a place reads, as a part of the speed at the outer edge. Disks turn
// at one speed, and their inner tracks are about half as long as the outer ones.
func (s *Strategy) speed(at float64) float64 {
	if !s.info.Rotational {
		return 1
	}
	return 1 - at/float64(s.m.Sectors())/2
}

// putOff books sectors that are put off as too slow.
func (s *Strategy) putOff(first, end int64) {
	for r := range s.m.Within(first, end-first) {
		if r.Status == mapfile.Untried {
			s.cost.slow += r.Sectors
			s.cost.accounts[isUntried].became[isSlow] += float64(r.Sectors)
		}
	}
}

// between books what was read between two failures of one bad run.
func (s *Strategy) between(good int64) {
	f := &s.cost
	f.insideGood += float64(s.sectors(good))
	f.insideBad++
}

// Outlook implements [Forecaster].
func (s *Strategy) Outlook() Outlook {
	o := Outlook{P10: Unknown, P50: Unknown, P90: Unknown, Step: min(s.stage+1, len(s.plan)), Steps: len(s.plan)}
	o.Stage = s.plan[o.Step-1].name
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

// estimate is the seconds left: for what reads well and for what fails, and how uncertain
// the two are, as standard deviations of their logarithms.
type estimate struct {
	good, goodSpread float64
	bad, badSpread   float64
}

func (e estimate) at(z float64) time.Duration {
	sec := e.good*math.Exp(z*e.goodSpread) + e.bad*math.Exp(z*e.badSpread)
	return time.Duration(min(sec, 1e9) * float64(time.Second)) // 30 years are enough
}

// estimate foresees the time left. It knows nothing before 2 % of the plan was read.
func (s *Strategy) estimate() (estimate, bool) {
	f := &s.cost
	var in [states]float64
	total := 0.0
	for t := range f.tiers {
		for i, n := range f.tiers[t] {
			if s.wants(Tier(t)) {
				in[i] += float64(n)
				total += float64(n)
			}
		}
	}
	done := in[isRescued] + in[isBad]
	if f.reads < 100 || done < total/50 {
		return estimate{}, false
	}
	slow := min(float64(f.slow), in[isUntried])
	in[isUntried] -= slow
	in[isScrape] = max(in[isScrape]-float64(f.left), 0)

	failure := s.failureCost()
	grain := float64(s.info.Grain())
	// How many of the sectors of a bad run are bad, before any was refined.
	const sure = 2
	share := (f.insideBad + sure) / (f.insideBad + f.insideGood/grain + sure/priorShare)
	prior := failure * share / grain // seconds a sector

	scrape, trim, bare, late := &f.accounts[isScrape], &f.accounts[isTrim], &f.accounts[isUntried], &f.accounts[isSlow]
	cost := func(a *account, rest, prior, sure float64) float64 {
		return (sure*failure + a.spent + a.failed + rest) / (sure*failure/prior + a.left)
	}
	scrapeCost := cost(scrape, 0, prior, sure)
	trimCost := cost(trim, trim.became[isScrape]*scrapeCost, prior, sure)
	after := func(a *account) float64 { return a.became[isTrim]*trimCost + a.became[isScrape]*scrapeCost }

	// What is untried reads well but for what it comes to.
	where := s.speed(f.moment / max(in[isUntried]+slow, 1))
	reading := float64(s.info.Sector) / s.rate
	goodCost := (bare.spent + 1e4*reading) / (bare.left + 1e4) / where
	badCost := (bare.failed + after(bare) + unseen*failure) / (bare.left + 1e4)
	slowCost := 8 * reading
	if bare.became[isSlow] > 0 && late.left < bare.became[isSlow]/50 {
		slowCost = s.slowCost
	} else if late.left > 0 {
		slowCost = late.spent/late.left + (late.failed+after(late))/late.left
	}
	toSlow := bare.became[isSlow] / (bare.left + 1e4)

	e := estimate{
		good: in[isUntried]*(goodCost+toSlow*slowCost) + slow*slowCost,
		bad:  in[isUntried]*badCost + in[isTrim]*trimCost + in[isScrape]*scrapeCost,
	}
	// Every retry reads once more what is bad in the end.
	if n := s.retriesLeft(); n > 0 {
		again := in[isBad]*failure/grain + e.bad
		e.bad += float64(n) * again
	}
	know := (trim.fails + scrape.fails)
	e.goodSpread = 0.12
	e.badSpread = math.Sqrt(0.2*0.2 + 1.2*1.2/(1+know/10))
	return e, true
}

const (
	// priorShare is what part of a bad run is thought to be bad.
	priorShare = 0.15
	// unseen is how many failures are thought to be met besides those that were.
	unseen = 1
)

// failureCost is what a failure costs, in seconds.
func (s *Strategy) failureCost() float64 {
	spent, n := 3*firstCost, 3.0
	for _, a := range s.cost.accounts {
		spent, n = spent+a.failed, n+a.fails
	}
	return spent / n
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
