package custody

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// Sort returns the events in their causal order, each once: an event stands
// behind everything its station had recorded before, and behind every event of
// its case that the station knew then. Where the events themselves leave the
// order open, the clocks decide, and then station, place and text. So the
// result depends on the set of events alone.
//
// Events with the same station and place but different content are all kept:
// that is a cloned station, and the folds raise the alarm.
func Sort(events []Event) []Event {
	nodes := distinct(events)
	at := make(map[Ref][]int, len(nodes))
	for i, n := range nodes {
		at[n.event.Ref()] = append(at[n.event.Ref()], i)
	}
	after := make([][]int, len(nodes))
	waits := make([]int, len(nodes))
	link := func(before, behind int) {
		if before != behind {
			after[before] = append(after[before], behind)
			waits[behind]++
		}
	}
	// Nodes are sorted by station and place, so the station's event before one
	// is the nearest earlier node of that station with a lower place.
	for i, n := range nodes {
		for j := i - 1; j >= 0 && nodes[j].event.Station == n.event.Station; j-- {
			if nodes[j].event.Seq < n.event.Seq {
				for _, k := range at[nodes[j].event.Ref()] {
					link(k, i)
				}
				break
			}
		}
		for _, r := range n.event.CaseHeads {
			for _, j := range at[r] {
				link(j, i)
			}
		}
	}
	return drain(nodes, after, waits)
}

type node struct {
	event Event
	text  string
}

// distinct returns the events without duplicates, by station, place and text.
func distinct(events []Event) []node {
	nodes := make([]node, 0, len(events))
	for _, e := range events {
		nodes = append(nodes, node{event: e})
	}
	slices.SortStableFunc(nodes, func(a, b node) int {
		return cmp.Or(cmp.Compare(a.event.Station, b.event.Station), cmp.Compare(a.event.Seq, b.event.Seq))
	})
	// Only events that share a place need their text to be told apart, and
	// that is rare: encoding every event would double the cost of a fold.
	out := nodes[:0]
	for i := 0; i < len(nodes); {
		j := i + 1
		for j < len(nodes) && nodes[j].event.Ref() == nodes[i].event.Ref() {
			j++
		}
		same := nodes[i:j]
		if len(same) > 1 {
			for k := range same {
				text, _ := same[k].event.Encode() // an event that cannot be encoded is told apart by nothing
				same[k].text = string(text)
			}
			slices.SortFunc(same, func(a, b node) int { return strings.Compare(a.text, b.text) })
			same = slices.CompactFunc(same, func(a, b node) bool { return a.text == b.text })
		}
		out = append(out, same...)
		i = j
	}
	return out
}

// drain takes the nodes out in causal order. Nodes that name each other in a
// circle can only come from a dishonest station; the first of them by clock is
// taken as if it waited for nothing, so that the result stays the same
// everywhere.
func drain(nodes []node, after [][]int, waits []int) []Event {
	ready := &queue{nodes: nodes}
	taken := make([]bool, len(nodes))
	for i := range nodes {
		if waits[i] == 0 {
			ready.order = append(ready.order, i)
		}
	}
	heap.Init(ready)
	sorted := make([]Event, 0, len(nodes))
	for len(sorted) < len(nodes) {
		if ready.Len() == 0 {
			first := -1
			for i := range nodes {
				if !taken[i] && (first < 0 || ready.before(i, first)) {
					first = i
				}
			}
			heap.Push(ready, first)
		}
		i, _ := heap.Pop(ready).(int)
		if taken[i] {
			continue
		}
		taken[i] = true
		sorted = append(sorted, nodes[i].event)
		for _, j := range after[i] {
			if waits[j]--; waits[j] == 0 {
				heap.Push(ready, j)
			}
		}
	}
	return sorted
}

// queue is a heap of nodes that wait for nothing, the earliest on top.
type queue struct {
	nodes []node
	order []int
}

func (q *queue) Len() int           { return len(q.order) }
func (q *queue) Less(i, j int) bool { return q.before(q.order[i], q.order[j]) }
func (q *queue) Swap(i, j int)      { q.order[i], q.order[j] = q.order[j], q.order[i] }
func (q *queue) Push(x any)         { i, _ := x.(int); q.order = append(q.order, i) }

func (q *queue) Pop() any {
	last := len(q.order) - 1
	x := q.order[last]
	q.order = q.order[:last]
	return x
}

func (q *queue) before(i, j int) bool {
	a, b := q.nodes[i].event, q.nodes[j].event
	return cmp.Or(a.TS.Compare(b.TS.Time), cmp.Compare(a.Station, b.Station),
		cmp.Compare(a.Seq, b.Seq), cmp.Compare(i, j)) < 0
}
