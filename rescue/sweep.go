package rescue

import (
	"slices"
	"time"

	"salvor/rescue/mapfile"
)

const (
	smallRead = 64 << 10 // bytes, inside a bad run
	// learnFrom is the length, in bytes, from which runs are worth learning from: a
	// shorter one is jumped over by the least jump.
	learnFrom = 16 << 20
	learnMost = 16 // runs that are delimited at once
	learnLow  = 4  // lengths that make a forecast
	// slowTimes slower than usual is too slow.
	slowTimes = 8
	slowRow   = 3
	// sharpFrom is how many bytes must have read well before a run for its first failure to
	// be where it begins: less may be luck in a run that began in what was not read.
	sharpFrom = 4 << 20
	deferFrom = 16 << 20 // bytes put off at first
)

// sweep is the state of a forward walk over what is untried.
type sweep struct {
	at  int64 // where it goes on
	lap bool  // it began again at the front, and nothing has come since

	run     badRun
	lengths []int64 // of runs whose ends are known, in sectors, sorted
	learned int     // runs delimited at once
	short   int     // runs not worth learning from

	deferred spans // too slow for now
	slow     int   // slow reads in a row
	defers   int64 // sectors to put off next
}

// badRun is a stretch in which reads keep failing, from the first failure to the last;
// good sectors may lie between.
type badRun struct {
	open  bool
	first int64 // first bad sector
	last  int64 // behind the last
	land  int64 // where the jump went that found good sectors
	good  int64 // bytes that read well since the last failure, in a row
	cost  int64 // bytes that the last failure cost
	clean bool  // what lies before the run was read well
	sharp bool  // and so much of it that the run must begin there
}

// sweepRead finds the next read of a sweep.
func (s *Strategy) sweepRead(st *stage) (span, bool) {
	for {
		r, ok := s.untried(s.sweep.at, st)
		if ok {
			s.sweep.lap = false
			if run := &s.sweep.run; run.open && r.first-max(run.land, run.last) > s.m.Sectors()/100 {
				*run = badRun{} // another place
			}
			s.sweep.at = r.end
			return r, true
		}
		if s.sweep.lap {
			return span{}, false
		}
		s.sweep.at, s.sweep.lap, s.sweep.run = 0, true, badRun{}
	}
}

// untried finds what the sweep may read at or behind at.
func (s *Strategy) untried(at int64, st *stage) (span, bool) {
	for {
		d, ok := s.domain.next(at)
		if !ok {
			return span{}, false
		}
		run, ok := s.m.Next(d.first, mapfile.Untried)
		if !ok {
			return span{}, false
		}
		if run.First >= d.end {
			at = run.First
			continue
		}
		first, end := run.First, min(run.End(), d.end)
		if !st.slow {
			if p, ok := s.sweep.deferred.next(first); ok {
				if p.first == first {
					at = p.end
					continue
				}
				end = min(end, p.first)
			}
		}
		size := int64(MaxRead)
		if r := &s.sweep.run; r.open && r.good < MaxRead {
			size = smallRead
		}
		end = min(end, s.boundary(first, size))
		busy := false
		for _, f := range s.flying {
			if f.First <= first && first < f.End() {
				at, busy = f.End(), true
			} else if f.First > first {
				end = min(end, f.First)
			}
		}
		if !busy {
			return span{first, end}, true
		}
	}
}

// sweepGood takes a good read of a sweep: a bad run may be over, and it may have been slow.
func (s *Strategy) sweepGood(r Read, res Result) {
	bytes := s.bytes(r.Sectors)
	slow := s.tooSlow(r, res)
	s.pace.saw(r, bytes, s.info.Bytes, slow, s.now)
	if !slow && bytes >= MaxRead/2 && res.Took > 0 {
		s.rate += (float64(bytes)/res.Took.Seconds() - s.rate) / 16
	}
	run := &s.sweep.run
	if !run.open || r.First < run.last {
		return
	}
	if run.good == 0 {
		run.land = r.First
	}
	run.good += bytes
	length := run.last - run.first
	if run.good < max(MaxRead, s.bytes(length)/50, run.cost/20) {
		return
	}
	s.closeRun()
}

// closeRun ends a bad run. The first long ones are delimited at once.
func (s *Strategy) closeRun() {
	run := s.sweep.run
	s.sweep.run = badRun{}
	if s.bytes(run.land-run.first) < learnFrom {
		s.sweep.short++
		return
	}
	if run.sharp {
		margin := s.m.Sectors() / 1_000_000
		if !s.names {
			margin += s.sectors(MaxRead) // the failure lies anywhere in a read
		}
		s.rhythm.heard(float64(run.first), float64(run.last-run.first), float64(margin))
	}
	if s.sweep.learned < learnMost {
		s.sweep.learned++
		s.trim = trim{open: true, low: run.last, at: run.land, run: run}
		return
	}
	s.learn(run, run.last, run.land)
}

// learn keeps the length of a run that ends between low and high, when that says enough.
func (s *Strategy) learn(run badRun, low, high int64) {
	length := high - run.first
	if !run.clean || float64(high-low) > 0.12*float64(length) || s.bytes(length) < learnFrom {
		return
	}
	i, _ := slices.BinarySearch(s.sweep.lengths, length)
	s.sweep.lengths = slices.Insert(s.sweep.lengths, i, length)
}

// sweepFailed takes a failure of a sweep: it opens a bad run or lengthens it, and jumps.
func (s *Strategy) sweepFailed(changed []mapfile.Run, r Read, res Result, lost span, named bool) []mapfile.Run {
	if res.Class == HostError {
		return s.lower(changed, lost.first, r.End(), mapfile.NonTrimmed) // it says nothing about the medium
	}
	if !named {
		changed = s.single(changed, lost.first, r.End())
	}
	run := &s.sweep.run
	if run.open && lost.first < run.first {
		return changed // read at the same time as what is behind it
	}
	if run.open {
		s.between(run.good + s.bytes(lost.first-r.First))
	}
	if !run.open {
		*run = badRun{open: true, first: lost.first}
		if lost.first > 0 {
			before := s.m.Get(lost.first - 1)
			run.clean = before.Status == mapfile.Rescued
			run.sharp = run.clean && s.bytes(before.Sectors) >= sharpFrom
		}
	}
	run.last = max(lost.end, lost.first+s.info.Grain())
	run.good, run.land = 0, run.last
	run.cost = int64(res.Took.Seconds() * s.rate)
	s.sweep.slow = 0
	to := min(s.jump(run, res), s.m.Sectors())
	s.sweep.at = max(s.sweep.at, to)
	return s.lower(changed, lost.end, to, mapfile.NonTrimmed)
}

// jump is where a bad run has its end, as far as can be told.
func (s *Strategy) jump(run *badRun, res Result) int64 {
	length := run.last - run.first
	// A failure costs as much as hundreds of megabytes; the least jump is a part of them.
	// On a small disk that would be all of it, before anything is known of what lies there.
	least := max(s.sectors(MaxRead), s.m.Sectors()/100_000, min(s.sectors(run.cost/20), s.m.Sectors()/16))
	to := run.last + min(max(length, least), max(s.m.Sectors()/100, least))
	if forecast := s.forecast(length); forecast > 0 {
		to = max(run.first+forecast+forecast*3/100, run.last+least)
	}
	if res.Class == Timeout {
		to = max(to, run.last+s.sectors(64<<20))
	}
	return s.boundary(to-1, 0)
}

// forecast is how long a bad run will be that is so long already, when the runs so far
// agree; else 0.
func (s *Strategy) forecast(length int64) int64 {
	sw := &s.sweep
	if sw.short > len(sw.lengths) && s.bytes(length) < learnFrom/4 {
		return 0 // most runs are short
	}
	i, _ := slices.BinarySearch(sw.lengths, length+length/50+1)
	longer := sw.lengths[i:]
	if len(longer) < learnLow {
		return 0
	}
	mid := longer[len(longer)*6/10]
	from, _ := slices.BinarySearch(longer, mid-mid/10)
	to, _ := slices.BinarySearch(longer, mid+mid/10)
	if to-from < learnLow {
		return 0
	}
	return mid
}

// tooSlow reports whether a good read took far longer than usual. After a few of them
// the place is put off.
func (s *Strategy) tooSlow(r Read, res Result) bool {
	usual := float64(s.bytes(r.Sectors))/s.rate*slowTimes + 0.03
	sw := &s.sweep
	if res.Took.Seconds() <= usual {
		if s.bytes(r.Sectors) >= smallRead {
			sw.slow, sw.defers = 0, 0
		}
		return false
	}
	sw.slow++
	if res.Took > time.Second {
		sw.slow = max(sw.slow, slowRow)
	}
	if sw.slow < slowRow || r.Pass == PassSlow {
		return true
	}
	if sw.defers == 0 {
		sw.defers = s.sectors(deferFrom)
	}
	end := min(r.End()+sw.defers, s.m.Sectors())
	s.putOff(r.End(), end)
	sw.deferred = sw.deferred.with(r.End(), end)
	s.slowCost = res.Took.Seconds() / float64(r.Sectors)
	sw.at = max(sw.at, end)
	sw.defers = min(sw.defers*2, max(s.m.Sectors()/100, s.sectors(deferFrom)))
	return true
}
