package sim

import (
	"time"

	"salvor/rescue/mapfile"
)

// Never is the time at which something had not happened when the simulation ended.
const Never = time.Duration(1<<63 - 1)

// Shares are the milestones of a [Score].
var shares = [...]float64{0.5, 0.9, 0.99, 0.999}

// Score is what a strategy has achieved on a disk. Shares are of the allocated bytes
// that can be read at all.
type Score struct {
	T50, T90, T99, T999 time.Duration // when that share was rescued; Never if not
	At30                float64       // share after 30 minutes
	AtErrors            float64       // share after 10 minutes of error recovery; of all when there was less

	BadReads int64 // reads that failed
	BadKnown int64 // physical sectors that cannot be read and were asked for
	Reads    int64
	Elapsed  time.Duration
	Finished bool // the strategy came to its end; else the time limit did
	Share    float64

	Reopened int // times that the strategy wanted the disk reopened
	Forecast Forecast
}

// scorer follows what is rescued.
type scorer struct {
	d        *Disk
	have     *mapfile.Map // rescued, and the bad sectors that were asked for
	readable int64        // sectors allocated and readable
	got      int64
	score    Score
	at30     bool
	atErrors bool
	forecast forecasts
}

func newScorer(d *Disk) *scorer {
	s := &scorer{d: d, have: mapfile.New(d.info.Sectors())}
	s.score.T50, s.score.T90, s.score.T99, s.score.T999 = Never, Never, Never, Never
	for _, a := range d.alloc {
		s.readable += a.end - a.first - overlap(d.bad, a.first, a.end)
	}
	return s
}

func (s *scorer) share() float64 {
	if s.readable == 0 {
		return 1
	}
	return float64(s.got) / float64(s.readable)
}

// before takes the marks that lie before what is read next.
func (s *scorer) marks() {
	if !s.at30 && s.d.now >= 30*time.Minute {
		s.at30, s.score.At30 = true, s.share()
	}
	if !s.atErrors && s.d.errors >= 10*time.Minute {
		s.atErrors, s.score.AtErrors = true, s.share()
	}
}

// took enters a read of which good sectors came.
func (s *scorer) took(first, n, good int64, failed bool) {
	s.score.Reads++
	s.marks()
	for r := range s.have.Within(first, good) {
		if r.Status != mapfile.Rescued {
			s.got += s.d.allocated(r.End()) - s.d.allocated(r.First)
		}
	}
	s.have.Set(first, good, mapfile.Rescued)
	if failed {
		s.score.BadReads++
		if at := s.d.nextBad(first); at < first+n && s.have.Get(at).Status != mapfile.Bad {
			s.have.Set(at, min(grain, s.have.Sectors()-at), mapfile.Bad)
			s.score.BadKnown++
		}
	}
	for i, t := range []*time.Duration{&s.score.T50, &s.score.T90, &s.score.T99, &s.score.T999} {
		if *t == Never && s.share() >= shares[i] {
			*t = s.d.now
		}
	}
}

func (s *scorer) finish(finished bool) Score {
	if finished {
		s.score.Forecast = s.forecast.judge(s.d.now)
	}
	s.score.Elapsed, s.score.Share, s.score.Finished = s.d.now, s.share(), finished
	if !s.at30 {
		s.score.At30 = s.share()
	}
	if !s.atErrors {
		s.score.AtErrors = s.share()
	}
	return s.score
}
