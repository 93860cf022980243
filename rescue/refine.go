package rescue

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"time"

	"salvor/rescue/mapfile"
)

const (
	visitMost  = 4         // failures of a visit to a short gap
	hole       = 64 << 10  // bytes left unread around a failure
	middleFrom = 256 << 10 // bytes of a gap from which its middle is worth a try

	// What is thought of a gap before it was tried: what a failure costs in seconds,
	// and the share of the gap that the first failures will bring.
	firstCost = 3.5
	edgeShare = 0.5 // of a run beside good sectors
	gapShare  = 0.3 // of a run between failures
	// guessSure is for how many seconds that counts beside what was seen.
	guessSure = 0.25
	// holeYield is what holes are thought to bring a second, and holeSure for how many
	// seconds that counts beside what they did bring.
	holeYield = 8 << 10
	holeSure  = 60
)

// gap is a run of unread sectors of one status and one tier.
type gap struct {
	span
	status mapfile.Status
	tier   Tier
	yield  float64 // bytes that a second is expected to bring

	// What the visits to it, and to what it was a part of, have brought: bytes in
	// seconds, the older ones fading.
	gained, spent float64

	past history
}

// class is the gap's place in the queue: by powers of two of its value.
func (g gap) class() int { return int(math.Floor(math.Log2(max(g.tier.weight()*g.yield, 1e-6)))) }

// queue is the gaps by class, the most valuable first, and by place within a class.
type queue struct {
	classes map[int]*lift
	parked  []gap // below the stage's floor, or of no tier of it
	visit   visit

	holeGained, holeSpent float64 // bytes and seconds of the holes lately

	known [states]knownGaps
}

// visit is the work on one gap. It reads upwards from a place in it and then, unless
// that place was the gap's beginning or brought nothing, downwards from it.
type visit struct {
	gap
	open    bool
	touched bool // something was read
	edge    bool // it began beside good sectors
	up      span // unread, upwards of the place
	down    span // unread, downwards of it
	isDown  bool
	size    int64 // bytes of the next read
	most    int   // failures that end it, in each direction
	failed  int
	used    int64         // sectors that are no more what they were, by this visit
	holed   int64         // of them those that are in a hole now
	fails   int           // reads that failed, in both directions
	reading time.Duration // of the source, for reads that did not
	gained  int64         // bytes, by this visit
	spent   time.Duration // of the source
}

// lift serves gaps in the order of their place, upwards, and then from the bottom again.
type lift struct {
	at    int64
	above gaps
	below gaps
}

// gaps is a heap by place.
type gaps []gap

func (g gaps) Len() int           { return len(g) }
func (g gaps) Less(i, j int) bool { return g[i].first < g[j].first }
func (g gaps) Swap(i, j int)      { g[i], g[j] = g[j], g[i] }

// Push and Pop implement [heap.Interface].
func (g *gaps) Push(x any) { *g = append(*g, x.(gap)) }

// Pop removes the last.
func (g *gaps) Pop() any {
	last := len(*g) - 1
	x := (*g)[last]
	*g = (*g)[:last]
	return x
}

// park keeps a gap out of this stage.
func (q *queue) park(g gap) {
	q.add(g, 1)
	q.parked = append(q.parked, g)
}

// add books a gap, or with sign -1 takes it out of the books.
func (q *queue) add(g gap, sign float64) {
	k, n := &q.known[stateOf(g.status)], sign*float64(g.end-g.first)
	switch {
	case g.past.used > 0:
		k.visited += n
		k.seconds += n * g.past.cost
	case g.past.inner:
		k.inner += n
	}
}

func (q *queue) push(g gap) {
	q.add(g, 1)
	c := g.class()
	l := q.classes[c]
	if l == nil {
		l = &lift{}
		q.classes[c] = l
	}
	if g.first >= l.at {
		heap.Push(&l.above, g)
	} else {
		heap.Push(&l.below, g)
	}
}

func (q *queue) pop() (gap, bool) {
	best := math.MinInt
	for c := range q.classes {
		best = max(best, c)
	}
	l := q.classes[best]
	if l == nil {
		return gap{}, false
	}
	if len(l.above) == 0 {
		l.above, l.below = l.below, l.above
	}
	g := heap.Pop(&l.above).(gap)
	l.at = g.first
	q.add(g, -1)
	if len(l.above)+len(l.below) == 0 {
		delete(q.classes, best)
	}
	return g, true
}

// empty empties the queue into one list, in order of place.
func (q *queue) empty() []gap {
	var out []gap
	for _, l := range q.classes {
		out = append(append(out, l.above...), l.below...)
	}
	out = append(out, q.parked...)
	if q.visit.open {
		out = append(out, q.visit.gap)
	}
	slices.SortFunc(out, func(a, b gap) int { return cmp.Compare(a.first, b.first) })
	*q = queue{classes: map[int]*lift{}, holeGained: q.holeGained, holeSpent: q.holeSpent}
	return out
}

// regap fills the queue from the map, with what is known already of a place's yield.
func (s *Strategy) regap(st *stage) {
	q := &s.queue
	old := q.empty()
	i, k := 0, 0
	for r := range s.m.All() {
		if r.Status == mapfile.Rescued || r.Status == mapfile.Bad {
			continue
		}
		for at := r.First; at < r.End(); {
			for s.regions[i].End() <= at {
				i++
			}
			for k < len(old) && old[k].end <= at {
				k++
			}
			g := gap{span: span{at, min(r.End(), s.regions[i].End())}, status: r.Status, tier: s.regions[i].Tier}
			switch {
			case k < len(old) && old[k].first <= at:
				g.end = min(g.end, old[k].end)
				g.gained, g.spent = old[k].gained, old[k].spent
				g.past = old[k].past
			case k < len(old):
				g.end = min(g.end, old[k].first)
			}
			g.yield = s.expect(g)
			if g.tier <= st.most && g.yield >= st.floor {
				q.push(g)
			} else {
				q.park(g)
			}
			at = g.end
		}
	}
}

// expect is the yield of a gap: what it was thought to be, and the more it was visited,
// what it was.
func (s *Strategy) expect(g gap) float64 {
	most := float64(s.bytes(g.end-g.first)) / firstCost // it has no more
	return min((s.guess(g)*guessSure+g.gained)/(guessSure+g.spent), max(most, holeYield))
}

// guess is the yield of a gap of which nothing is known but its length and its
// neighbours.
func (s *Strategy) guess(g gap) float64 {
	bytes := float64(s.bytes(g.end - g.first))
	switch {
	case g.status == mapfile.NonScraped:
		// How long a hole is matters little: what it costs is the bad sectors in it.
		q := &s.queue
		return (q.holeGained + holeYield*holeSure) / (q.holeSpent + holeSure)
	case s.rescued(g.end) || s.rescued(g.first-1):
		return bytes * edgeShare / firstCost
	}
	return bytes * gapShare / (2 * firstCost)
}

// rescued reports whether the sector is there and rescued.
func (s *Strategy) rescued(at int64) bool {
	return at >= 0 && at < s.m.Sectors() && s.m.Get(at).Status == mapfile.Rescued
}

// refineRead finds the next read: of the visit under way, or of the most valuable gap.
func (s *Strategy) refineRead(st *stage) (span, bool) {
	q := &s.queue
	for {
		if q.visit.open {
			if r, ok := s.visitRead(); ok {
				q.visit.touched = true
				return r, true
			}
			s.leave()
			continue
		}
		g, ok := q.pop()
		if !ok {
			return span{}, false
		}
		if g.yield < st.floor || g.tier > st.most {
			q.park(g)
			continue
		}
		s.arrive(g)
	}
}

// arrive begins a visit: beside good sectors if there are any, else in the middle of a
// long gap and at the beginning of a short one.
func (s *Strategy) arrive(g gap) {
	v := visit{gap: g, open: true, size: s.firstSize(), most: 1, up: span{g.end, g.end}, down: span{g.first, g.first}}
	switch {
	case g.status == mapfile.NonScraped || s.bytes(g.end-g.first) <= middleFrom:
		v.up, v.most = g.span, visitMost
	case s.rescued(g.end):
		v.down, v.isDown, v.edge = g.span, true, true
	case s.rescued(g.first - 1):
		v.up, v.edge = g.span, true
	default:
		mid := min(s.boundary(g.first+(g.end-g.first)/2, hole), g.end)
		v.down, v.up = span{g.first, mid}, span{mid, g.end}
	}
	s.queue.visit = v
}

// leave ends a visit: what it left unread goes back to the queue, at what the visit has
// taught of it.
func (s *Strategy) leave() {
	v := s.queue.visit
	s.queue.visit = visit{}
	if !v.touched {
		if v.most == visitMost {
			return // it was gone through upwards: nothing of it may be read
		}
		v.up, v.down, v.isDown, v.most = v.span, span{v.first, v.first}, false, visitMost
		s.queue.visit = v
		return
	}
	past := s.remember(v)
	if v.status == mapfile.NonScraped {
		const fade = 0.98
		s.queue.holeGained = s.queue.holeGained*fade + float64(v.gained)
		s.queue.holeSpent = s.queue.holeSpent*fade + v.spent.Seconds()
	}
	const fade = 0.9
	spent := v.spent.Seconds()
	if !s.names && v.status != mapfile.NonScraped && v.gained == 0 {
		spent /= 4 // the failure says little: most of what was asked for may be good
	}
	seen := gap{status: v.status, tier: v.tier, past: past, gained: v.gap.gained*fade + float64(v.gained), spent: v.gap.spent*fade + spent}
	if v.edge && v.gap.spent == 0 {
		seen.gained, seen.spent = 0, 0 // what lay before a run tells little of what is in it
	}
	for _, rest := range []span{v.down, v.up} {
		seen.span = rest
		s.put(seen)
	}
}

// visitRead finds the next read of a visit.
func (s *Strategy) visitRead() (span, bool) {
	v := &s.queue.visit
	if !v.isDown {
		if r, ok := s.readUp(); ok {
			return r, true
		}
		if v.gained == 0 {
			return span{}, false
		}
		v.isDown, v.failed, v.size = true, 0, s.firstSize()
	}
	return s.readDown()
}

// readUp finds the next read upwards.
func (s *Strategy) readUp() (span, bool) {
	v := &s.queue.visit
	for v.failed < v.most && v.up.first < v.up.end {
		at := v.up.first
		r := s.m.Get(at)
		end := min(r.End(), v.up.end)
		if certainty(r.Status) >= certainty(mapfile.Bad) {
			v.up.first = end
			continue
		}
		if p, ok := s.left.next(at); ok {
			if p.first == at {
				v.up.first = min(p.end, v.up.end)
				continue
			}
			end = min(end, p.first)
		}
		size := v.size
		if r.Status == mapfile.NonScraped {
			size = min(size, smallRead)
			if !s.names {
				size = 0
			}
		}
		if p, ok := s.fine.next(at); ok {
			if p.first == at {
				size = 0
			} else {
				end = min(end, p.first)
			}
		}
		return span{at, min(end, s.boundary(at, size))}, true
	}
	return span{}, false
}

// readDown finds the next read downwards. It keeps to what no smaller read has failed in.
func (s *Strategy) readDown() (span, bool) {
	v := &s.queue.visit
	for v.failed < v.most && v.down.first < v.down.end {
		end := v.down.end
		first := max(s.boundary(end-1, v.size)-max(s.sectors(v.size), s.info.Grain()), v.down.first)
		var found span
		for r := range s.m.Within(first, end-first) {
			if r.Status == v.status {
				found = span{r.First, r.End()}
			}
		}
		if found == (span{}) {
			v.down.end = first
			continue
		}
		if p, ok := s.left.before(found.end); ok && p.end > found.first {
			return span{}, false
		}
		if p, ok := s.fine.before(found.end); ok && p.end > found.first {
			return span{}, false // it is read one sector at a time, upwards
		}
		v.down.end = found.end
		return found, true
	}
	return span{}, false
}

// refineGood takes a good read of a visit.
func (s *Strategy) refineGood(r Read, res Result) {
	v := &s.queue.visit
	if !v.open {
		return
	}
	v.gained += s.bytes(r.Sectors)
	v.used += r.Sectors
	v.reading += res.Took
	v.spent += res.Took
	v.size = min(max(v.size, smallRead)*2, MaxRead)
	if v.isDown {
		v.down.end = min(v.down.end, r.First)
	} else {
		v.up.first = max(v.up.first, r.End())
	}
}

// refineFailed takes a failure of a visit.
func (s *Strategy) refineFailed(changed []mapfile.Run, r Read, res Result, lost span, named bool) []mapfile.Run {
	v := &s.queue.visit
	coarse := s.m.Get(r.End()-1).Status != mapfile.NonScraped
	next := lost.end // behind what this visit leaves alone
	switch {
	case named && coarse:
		// A hole is left around the failure: sectors beside a bad one are bad more often.
		next = max(min(s.boundary(lost.end-1, hole), r.End()), lost.end)
		changed = s.lower(changed, lost.end, next, mapfile.NonScraped)
	case !named:
		changed = s.single(changed, lost.first, r.End())
		if coarse {
			next = r.End()
		}
	}
	if !v.open {
		return changed
	}
	v.gained += s.bytes(lost.first - r.First)
	v.spent += res.Took
	v.size = s.firstSize()
	v.failed++
	v.fails++
	v.used += next - r.First
	if coarse {
		v.holed += next - lost.end
		s.put(gap{span: span{lost.end, next}, status: mapfile.NonScraped, tier: v.tier})
	}
	if v.isDown {
		s.put(gap{span: span{next, r.End()}, status: v.status, tier: v.tier})
		v.down.end = min(v.down.end, r.First)
	} else {
		v.up.first = max(v.up.first, next)
	}
	return changed
}

// firstSize is how many bytes the reads of a visit begin with. Where the source does not
// say what failed, one failure for much is better than one for little.
func (s *Strategy) firstSize() int64 {
	if s.names {
		return smallRead
	}
	return MaxRead
}

// put queues a gap that is new.
func (s *Strategy) put(g gap) {
	if g.first < g.end {
		g.yield = s.expect(g)
		s.queue.push(g)
	}
}
