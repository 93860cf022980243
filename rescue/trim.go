package rescue

import (
	"salvor/rescue/mapfile"
)

// trim reads a run that was jumped over backwards, from the good sectors behind it to
// its first failure, to learn how long such runs are. Backwards costs some time for
// every read, but a jump that went too far is made good with a single failure.
type trim struct {
	open bool
	low  int64  // not below this
	at   int64  // all from here on is done
	size int64  // bytes of the next read
	run  badRun // the run that it delimits
}

// trimRead finds the read before the place where the trimming stands.
func (s *Strategy) trimRead() (span, bool) {
	t := &s.trim
	if t.size == 0 {
		t.size = smallRead
	}
	for t.at > t.low {
		// Free space is read along: it tells as well as any other where the run ends.
		first := max(s.boundary(t.at-1, t.size)-max(s.sectors(t.size), s.info.Grain()), t.low)
		var found span
		for r := range s.m.Within(first, t.at-first) {
			if r.Status == mapfile.NonTrimmed {
				found = span{r.First, r.End()}
			}
		}
		if found != (span{}) {
			t.at = found.end
			return found, true
		}
		t.at = first
	}
	return span{}, false
}

// trimGood goes on further to the front, in longer reads.
func (s *Strategy) trimGood(r Read) {
	if t := &s.trim; t.open {
		t.at = min(t.at, r.First)
		t.size = min(t.size*2, MaxRead)
	}
}

// trimFailed has found the end of the run.
func (s *Strategy) trimFailed(changed []mapfile.Run, r Read, lost span, named bool) []mapfile.Run {
	if named {
		changed = s.lower(changed, lost.end, r.End(), mapfile.NonScraped)
	} else {
		changed = s.single(changed, lost.first, r.End())
	}
	if s.trim.open {
		s.learn(s.trim.run, lost.first, r.End())
		s.trim = trim{}
	}
	return changed
}

// trimmed ends a trimming that met no failure.
func (s *Strategy) trimmed() {
	s.learn(s.trim.run, s.trim.low, max(s.trim.at, s.trim.low))
	s.trim = trim{}
}
