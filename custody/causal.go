package custody

// A causal knows of each of a case's events which others its station knew when
// it recorded it: those it names, those before it at the same station, and
// what all of them knew in turn. No clock is asked.
type causal struct {
	one   bool // all events are of one station: its sequence says everything
	seq   []int64
	words int
	knows []uint64 // for each event a set of the events before it in the order
}

// newCausal takes events as Sort returns them.
func newCausal(sorted []Event) *causal {
	c := &causal{one: true, seq: make([]int64, len(sorted))}
	for i, e := range sorted {
		c.seq[i] = e.Seq
		c.one = c.one && e.Station == sorted[0].Station
	}
	if c.one {
		return c
	}
	c.words = (len(sorted) + 63) / 64
	c.knows = make([]uint64, len(sorted)*c.words)
	at := make(map[Ref][]int, len(sorted))
	// Of each station the newest place so far and the one before it; a cloned
	// station has several events in one place.
	type places struct{ newest, before []int }
	last := make(map[string]places)
	for i, e := range sorted {
		p := last[e.Station]
		if len(p.newest) == 0 || sorted[p.newest[0]].Seq != e.Seq {
			p.newest, p.before = nil, p.newest
		}
		for _, j := range p.before {
			c.learn(i, j)
		}
		for _, r := range e.CaseHeads {
			for _, j := range at[r] {
				c.learn(i, j)
			}
		}
		p.newest = append(p.newest, i)
		last[e.Station] = p
		at[e.Ref()] = append(at[e.Ref()], i)
	}
	return c
}

func (c *causal) learn(i, j int) {
	mine, its := c.knows[i*c.words:(i+1)*c.words], c.knows[j*c.words:(j+1)*c.words]
	for w := range mine {
		mine[w] |= its[w]
	}
	mine[j/64] |= 1 << (j % 64)
}

// knew reports whether event i was recorded by somebody who knew event j. Both
// are places in the sorted order.
func (c *causal) knew(i, j int) bool {
	if c.one {
		return c.seq[j] < c.seq[i]
	}
	return c.knows[i*c.words+j/64]&(1<<(j%64)) != 0
}

// heads returns those of some events that no other of them knew.
func (c *causal) heads(of []int) []int {
	var heads []int
	for _, j := range of {
		known := false
		for _, i := range of {
			known = known || c.knew(i, j)
		}
		if !known {
			heads = append(heads, j)
		}
	}
	return heads
}
