// Package mapfile keeps what is known of every sector of a source, and reads
// and writes that knowledge as GNU ddrescue map files.
//
// A map is a line of runs, one behind the other, without gap or overlap:
//
//	0                                                   Sectors()
//	├── + rescued ──┼─ - bad ─┼── * failed block ──┼── ? ──┤
//
// Neighbours never have the same status, so a disk that reads well is a handful
// of runs whatever its size. A run costs eight bytes, so that even a 4 TB disk
// with a million scratches fits in a few megabytes.
//
// The map is a plain value: no I/O, no clock, no locks. One goroutine owns it.
package mapfile

import (
	"fmt"
	"iter"
	"slices"
	"sort"
)

// Status says what is known of a run. Its values are the letters of a GNU
// ddrescue map file, so that the two never need translating.
type Status byte

// The five statuses, from "nothing known" to "safe".
const (
	Untried    Status = '?' // never asked for
	NonTrimmed Status = '*' // a large read over it failed; its good parts are not yet found
	NonScraped Status = '/' // a smaller read over it failed too; not yet tried sector by sector
	Bad        Status = '-' // failed when tried alone: final
	Rescued    Status = '+' // read, and handed to the sink
)

// statuses gives each status its place in the counters.
const statuses = "?*/-+"

func (s Status) index() int {
	switch s {
	case Untried:
		return 0
	case NonTrimmed:
		return 1
	case NonScraped:
		return 2
	case Bad:
		return 3
	case Rescued:
		return 4
	}
	return -1
}

// Valid reports whether s is one of the five statuses.
func (s Status) Valid() bool { return s.index() >= 0 }

// String gives the letter.
func (s Status) String() string { return string(rune(s)) }

// MaxSectors is the longest map there can be, in units: a run's start shares
// one 64-bit word with its status.
const MaxSectors = 1 << 55

// Run is a stretch of units (sectors, or bytes in a [File]) of one status.
type Run struct {
	First, Sectors int64
	Status         Status
}

// End is the first unit behind the run.
func (r Run) End() int64 { return r.First + r.Sectors }

// Totals counts a map: units and runs of each status.
type Totals struct {
	sectors, runs [len(statuses)]int64
}

// Sectors is the number of units with status s; 0 for a letter that is none.
func (t Totals) Sectors(s Status) int64 {
	if i := s.index(); i >= 0 {
		return t.sectors[i]
	}
	return 0
}

// Runs is the number of separate runs ("areas") with status s.
func (t Totals) Runs(s Status) int64 {
	if i := s.index(); i >= 0 {
		return t.runs[i]
	}
	return 0
}

// Map is the state of each unit of a source. The zero Map is empty; use [New].
type Map struct {
	sectors int64
	chunks  []chunk
	totals  Totals
}

// chunk holds some hundred runs in order. Short chunks keep an insertion in the
// middle of millions of runs at the price of moving a few kilobytes.
type chunk struct {
	runs  []entry
	count [len(statuses)]int32 // runs of each status, so that a search can pass the chunk by
}

// entry is the beginning of a run and its status; the run ends where the next begins.
type entry uint64

func pack(first int64, s Status) entry { return entry(first)<<8 | entry(s) }
func (e entry) first() int64           { return int64(e >> 8) }
func (e entry) status() Status         { return Status(e) }

const chunkMax = 512

// New returns a map of n units, all untried. It panics when n is negative or
// above [MaxSectors].
func New(n int64) *Map {
	if n < 0 || n > MaxSectors {
		panic(fmt.Sprintf("mapfile: a map of %d sectors", n))
	}
	m := &Map{sectors: n}
	if n > 0 {
		m.chunks = []chunk{{runs: []entry{pack(0, Untried)}}}
		m.chunks[0].recount()
		m.totals.sectors[Untried.index()] = n
		m.totals.runs[Untried.index()] = 1
	}
	return m
}

// Load returns a map of n units built from runs that come from outside, such as
// the records of a container. Runs may come in any order; the later one wins, and
// what none covers is untried. A run that does not fit is an error.
func Load(n int64, runs iter.Seq[Run]) (*Map, error) {
	if n < 0 || n > MaxSectors {
		return nil, fmt.Errorf("map of %d sectors: %w", n, ErrSize)
	}
	m := New(n)
	for r := range runs {
		if !r.Status.Valid() {
			return nil, fmt.Errorf("run at %d with status %q: %w", r.First, byte(r.Status), ErrSyntax)
		}
		if r.First < 0 || r.Sectors < 0 || r.First > n || r.Sectors > n-r.First {
			return nil, fmt.Errorf("run at %d of %d in a map of %d: %w", r.First, r.Sectors, n, ErrSize)
		}
		m.Set(r.First, r.Sectors, r.Status)
	}
	return m, nil
}

// Clone returns an independent copy.
func (m *Map) Clone() *Map {
	c := &Map{sectors: m.sectors, totals: m.totals, chunks: make([]chunk, len(m.chunks))}
	for i := range m.chunks {
		c.chunks[i] = chunk{runs: slices.Clone(m.chunks[i].runs), count: m.chunks[i].count}
	}
	return c
}

// Sectors is the length of the map in units.
func (m *Map) Sectors() int64 { return m.sectors }

// Totals counts the map. It costs nothing: the counters are kept up to date.
func (m *Map) Totals() Totals { return m.totals }

// Len is the number of runs.
func (m *Map) Len() int {
	var n int64
	for _, r := range m.totals.runs {
		n += r
	}
	return int(n)
}

// Get returns the run that holds unit at, whole. It panics when at is outside the map.
func (m *Map) Get(at int64) Run {
	m.check(at, 1)
	c, i := m.find(at)
	return m.run(c, i)
}

// Next returns the first run with status s at or behind from, without what lies
// before from. The second value is false when there is none.
func (m *Map) Next(from int64, s Status) (Run, bool) {
	from = max(from, 0)
	x := s.index()
	if from >= m.sectors || x < 0 || m.totals.runs[x] == 0 {
		return Run{}, false
	}
	c, i := m.find(from)
	for ; c < len(m.chunks); c, i = c+1, 0 {
		if m.chunks[c].count[x] == 0 {
			continue
		}
		for ; i < len(m.chunks[c].runs); i++ {
			if m.chunks[c].runs[i].status() == s {
				r := m.run(c, i)
				if r.First < from {
					r = Run{First: from, Sectors: r.End() - from, Status: s}
				}
				return r, true
			}
		}
	}
	return Run{}, false
}

// All gives every run in order. The map must not change meanwhile.
func (m *Map) All() iter.Seq[Run] { return m.Within(0, m.sectors) }

// Within gives, in order, the runs of the n units from first, cut at both ends.
// The map must not change meanwhile.
func (m *Map) Within(first, n int64) iter.Seq[Run] {
	m.check(first, n)
	return func(yield func(Run) bool) {
		if n == 0 {
			return
		}
		end := first + n
		c, i := m.find(first)
		for ; c < len(m.chunks); c, i = c+1, 0 {
			for ; i < len(m.chunks[c].runs); i++ {
				r := m.run(c, i)
				if r.First >= end {
					return
				}
				lo, hi := max(r.First, first), min(r.End(), end)
				if !yield(Run{First: lo, Sectors: hi - lo, Status: r.Status}) {
					return
				}
			}
		}
	}
}

// Set gives the n units from first the status s. Like indexing a slice it panics
// when they are not all inside the map; use [Load] for ranges from outside.
func (m *Map) Set(first, n int64, s Status) {
	m.check(first, n)
	if !s.Valid() {
		panic(fmt.Sprintf("mapfile: status %q", byte(s)))
	}
	if n == 0 {
		return
	}
	end := first + n
	// (c, i) to (d, j), both included, are the runs that change.
	c, i := m.find(first)
	d, j := m.find(end - 1)
	head, tail := m.run(c, i), m.run(d, j)
	if c == d && i == j && head.Status == s {
		return
	}
	m.move(c, i, first, end, s)

	var fresh [3]entry
	put := fresh[:0]
	switch {
	case head.First < first && head.Status == s:
		put = append(put, pack(head.First, s))
	case head.First < first:
		put = append(put, pack(head.First, head.Status), pack(first, s))
	case m.before(c, i) == s:
		// The run in front grows over it.
	default:
		put = append(put, pack(first, s))
	}
	if tail.End() > end {
		if tail.Status != s {
			put = append(put, pack(end, tail.Status))
		}
	} else if nd, nj, ok := m.after(d, j); ok && m.chunks[nd].runs[nj].status() == s {
		d, j = nd, nj // the run behind is swallowed
	}
	m.replace(c, i, d, j, put)
}

// move books the units of [first, end) over to status s. (c, i) is the run that holds first.
func (m *Map) move(c, i int, first, end int64, s Status) {
	for ; c < len(m.chunks); c, i = c+1, 0 {
		for ; i < len(m.chunks[c].runs); i++ {
			r := m.run(c, i)
			if r.First >= end {
				m.totals.sectors[s.index()] += end - first
				return
			}
			m.totals.sectors[r.Status.index()] -= min(r.End(), end) - max(r.First, first)
		}
	}
	m.totals.sectors[s.index()] += end - first
}

// replace puts fresh in the place of the runs (c, i) to (d, j), both included.
func (m *Map) replace(c, i, d, j int, fresh []entry) {
	for k := c; k <= d; k++ {
		m.tally(k, -1)
	}
	if c == d {
		m.chunks[c].runs = slices.Replace(m.chunks[c].runs, i, j+1, fresh...)
	} else {
		m.chunks[c].runs = append(m.chunks[c].runs[:i], fresh...)
		m.chunks[d].runs = slices.Delete(m.chunks[d].runs, 0, j+1)
		if len(m.chunks[d].runs) > 0 {
			m.chunks[d].recount()
			m.tally(d, +1)
			d--
		}
		m.chunks = slices.Delete(m.chunks, c+1, d+1)
	}
	switch n := len(m.chunks[c].runs); {
	case n == 0:
		m.chunks = slices.Delete(m.chunks, c, c+1)
		return
	case n > chunkMax:
		behind := chunk{runs: slices.Clone(m.chunks[c].runs[n/2:])}
		behind.recount()
		m.chunks[c].runs = m.chunks[c].runs[:n/2]
		m.chunks = slices.Insert(m.chunks, c+1, behind)
		m.tally(c+1, +1)
	case c+1 < len(m.chunks) && n+len(m.chunks[c+1].runs) <= chunkMax/2:
		m.tally(c+1, -1)
		m.chunks[c].runs = append(m.chunks[c].runs, m.chunks[c+1].runs...)
		m.chunks = slices.Delete(m.chunks, c+1, c+2)
	}
	m.chunks[c].recount()
	m.tally(c, +1)
}

// tally adds the runs of chunk c to the totals, or with sign -1 takes them away.
func (m *Map) tally(c int, sign int64) {
	for i, n := range m.chunks[c].count {
		m.totals.runs[i] += sign * int64(n)
	}
}

func (c *chunk) recount() {
	c.count = [len(statuses)]int32{}
	for _, e := range c.runs {
		c.count[e.status().index()]++
	}
}

// find returns the place of the run that holds unit at, which must be in the map.
func (m *Map) find(at int64) (c, i int) {
	c = sort.Search(len(m.chunks), func(k int) bool { return m.chunks[k].runs[0].first() > at }) - 1
	runs := m.chunks[c].runs
	i = sort.Search(len(runs), func(k int) bool { return runs[k].first() > at }) - 1
	return c, i
}

func (m *Map) run(c, i int) Run {
	e := m.chunks[c].runs[i]
	end := m.sectors
	if nc, ni, ok := m.after(c, i); ok {
		end = m.chunks[nc].runs[ni].first()
	}
	return Run{First: e.first(), Sectors: end - e.first(), Status: e.status()}
}

func (m *Map) after(c, i int) (int, int, bool) {
	if i+1 < len(m.chunks[c].runs) {
		return c, i + 1, true
	}
	return c + 1, 0, c+1 < len(m.chunks)
}

// before is the status of the run in front of (c, i), or 0.
func (m *Map) before(c, i int) Status {
	if i > 0 {
		return m.chunks[c].runs[i-1].status()
	}
	if c > 0 {
		prev := m.chunks[c-1].runs
		return prev[len(prev)-1].status()
	}
	return 0
}

func (m *Map) check(first, n int64) {
	if first < 0 || n < 0 || first > m.sectors || n > m.sectors-first {
		panic(fmt.Sprintf("mapfile: %d sectors from %d in a map of %d", n, first, m.sectors))
	}
}
