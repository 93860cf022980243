package ledger

import (
	"cmp"
	"slices"

	"salvor/custody"
)

// checkHeads says whether every event of this station names the newest events of
// its case that the station knew: an omission shows. What it knew is what its own
// log held before and what lies below the heads that the event names, so the order
// of arrival, which a rebuilt ledger does not have, does not matter. One that names
// an event which is missing or damaged has been told already.
func (a *auditing) checkHeads(events []custody.Event) {
	seen := make(map[custody.Ref]bool)
	for _, e := range events {
		if seen[e.Ref()] {
			return // a cloned station: which of the two was known, nobody can tell
		}
		seen[e.Ref()] = true
	}
	k := newKnown(events, func(r custody.Ref) bool { return a.at(r).sane })
	for _, e := range events {
		if e.Station == a.station.Name() && !k.namesAll(e) {
			a.faultOf(CheckLinks, e.Ref(), e.Type(), "the events of its case that it names are not those that were there")
		}
	}
}

// known is what of a case was known at some moment: of every log the events up to a
// place. From one event to the next it moves by what came between the two, so a case
// costs what its events cost, not their square.
type known struct {
	sane    func(custody.Ref) bool
	logs    map[string]*knownLog
	named   map[custody.Ref]int  // by how many of the known events
	heads   map[custody.Ref]bool // known events that none of the known ones names
	damaged int                  // names of events that are missing or damaged, in known events
}

// A knownLog is what of one station's log is about the case, by place.
type knownLog struct {
	events []*custody.Event
	known  int // the first so many are
}

func newKnown(events []custody.Event, sane func(custody.Ref) bool) *known {
	k := &known{sane: sane, logs: make(map[string]*knownLog), named: make(map[custody.Ref]int), heads: make(map[custody.Ref]bool)}
	for i := range events {
		log := k.logs[events[i].Station]
		if log == nil {
			log = new(knownLog)
			k.logs[events[i].Station] = log
		}
		log.events = append(log.events, &events[i])
	}
	for _, log := range k.logs {
		slices.SortFunc(log.events, func(x, y *custody.Event) int { return cmp.Compare(x.Seq, y.Seq) })
	}
	return k
}

// namesAll says whether an event names the heads of what its station knew; true also
// when that cannot be told.
func (k *known) namesAll(e custody.Event) bool {
	k.move(e)
	if k.damaged > 0 { // what that one had named is not known
		return true
	}
	for _, r := range e.CaseHeads {
		if !k.sane(r) {
			return true
		}
	}
	return len(e.CaseHeads) == len(k.heads) && !slices.ContainsFunc(e.CaseHeads, func(r custody.Ref) bool { return !k.heads[r] })
}

// move goes to the moment before an event was recorded.
func (k *known) move(e custody.Event) {
	for _, log := range k.logs {
		for log.known < len(log.events) && knew(e, log.events[log.known].Ref()) {
			k.learn(log.events[log.known])
			log.known++
		}
		for log.known > 0 && !knew(e, log.events[log.known-1].Ref()) {
			log.known--
			k.forget(log.events[log.known])
		}
	}
}

func (k *known) learn(x *custody.Event) {
	if k.named[x.Ref()] == 0 {
		k.heads[x.Ref()] = true
	}
	for _, r := range x.CaseHeads {
		if !k.sane(r) {
			k.damaged++
		}
		k.named[r]++
		delete(k.heads, r)
	}
}

func (k *known) forget(x *custody.Event) {
	for _, r := range x.CaseHeads {
		if !k.sane(r) {
			k.damaged--
		}
		if k.named[r]--; k.named[r] == 0 && k.knows(r) {
			k.heads[r] = true
		}
	}
	delete(k.heads, x.Ref())
}

func (k *known) knows(r custody.Ref) bool {
	log := k.logs[r.Station]
	if log == nil {
		return false
	}
	i, found := slices.BinarySearchFunc(log.events, r.Seq, func(x *custody.Event, seq int64) int { return cmp.Compare(x.Seq, seq) })
	return found && i < log.known
}
