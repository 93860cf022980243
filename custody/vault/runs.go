package vault

// A statusMap is the map of the source as the records tell it: what is read stays read, the rest has the newest status.
type statusMap struct {
	s       spans
	sectors int64
	sector  int64 // bytes of one
	bytes   int64 // of the source: its last sector may end behind it
}

func newStatusMap(sb *Superblock) statusMap {
	return statusMap{sectors: sb.Sectors(), sector: int64(sb.Sector), bytes: sb.Bytes}
}

// size is how many bytes of the source a run covers.
func (m *statusMap) size(r Run) int64 {
	return min((r.First+r.Sectors)*m.sector, m.bytes) - r.First*m.sector
}

// A Run is a stretch of the source with one status: '+' read, '-' bad, '*' failed block, '/' not scraped, '?' untried.
type Run struct {
	First, Sectors int64
	Status         byte
}

const (
	statusRead    = '+'
	statusUntried = '?'
	statusBad     = '-'
)

// read marks sectors as read and returns how many bytes of the source were not read before.
func (m *statusMap) read(first, n int64) (gain int64) {
	m.each(first, n, func(r Run) {
		if r.Status != statusRead {
			gain += m.size(r)
		}
	})
	if gain > 0 {
		m.set(first, n, statusRead)
	}
	return gain
}

// mark gives sectors a status where they were not read.
func (m *statusMap) mark(first, n int64, status byte) {
	var todo []Run
	m.each(first, n, func(r Run) {
		if r.Status != statusRead && r.Status != status {
			todo = append(todo, r)
		}
	})
	for _, r := range todo {
		m.set(r.First, r.Sectors, status)
	}
}

// set joins the stretch with neighbours of the same status, so that a healthy disk stays one run.
func (m *statusMap) set(first, n int64, status byte) {
	t := target{segment: uint16(status)}
	end := first + n
	if first > 0 {
		m.s.all(first-1, func(sp span) bool {
			if sp.first() < first && sp.target() == t && end-sp.first() <= spanMax {
				first = sp.first()
			}
			return false
		})
	}
	m.s.all(end, func(sp span) bool {
		if sp.first() == end && sp.target() == t && sp.end()-first <= spanMax {
			end = sp.end()
		}
		return false
	})
	m.s.set(first, end-first, t)
}

// each calls fn for the runs in [first, first+n), cut to it; what was never mentioned is untried.
func (m *statusMap) each(first, n int64, fn func(Run)) {
	at, end := first, first+n
	m.s.all(first, func(sp span) bool {
		if sp.first() >= end {
			return false
		}
		if sp.first() > at {
			fn(Run{at, sp.first() - at, statusUntried})
			at = sp.first()
		}
		stop := min(sp.end(), end)
		fn(Run{at, stop - at, byte(sp.target().segment)})
		at = stop
		return at < end
	})
	if at < end {
		fn(Run{at, end - at, statusUntried})
	}
}

// runs is the whole map, neighbours of one status joined.
func (m *statusMap) runs() []Run {
	var runs []Run
	m.each(0, m.sectors, func(r Run) {
		if k := len(runs) - 1; k >= 0 && runs[k].Status == r.Status {
			runs[k].Sectors += r.Sectors
			return
		}
		runs = append(runs, r)
	})
	return runs
}

// tally is how many bytes of the source are read, bad, and neither.
func (m *statusMap) tally() (rescued, bad, untried int64) {
	for _, r := range m.runs() {
		switch r.Status {
		case statusRead:
			rescued += m.size(r)
		case statusBad:
			bad += m.size(r)
		default:
			untried += m.size(r)
		}
	}
	return rescued, bad, untried
}
