package layout

import (
	"cmp"
	"iter"
	"slices"
)

// Extent is a range of bytes.
type Extent struct {
	First, Len int64
}

// End is the first byte behind the extent.
func (e Extent) End() int64 { return e.First + e.Len }

// within is the part of e that lies in o; its Len is 0 when there is none.
func (e Extent) within(o Extent) Extent {
	lo, hi := max(e.First, o.First), min(e.End(), o.End())
	return Extent{lo, max(hi-lo, 0)}
}

// appendExtent appends e, joined to the last one where it follows it.
func appendExtent(s []Extent, e Extent) []Extent {
	if n := len(s); n > 0 && s[n-1].End() == e.First {
		s[n-1].Len += e.Len
		return s
	}
	return append(s, e)
}

// maxExtents is how many separate extents a set keeps: 32 MiB of them. One that
// would need more closes its smallest gaps, and so grows a little: in a set of used
// bytes that errs on the safe side.
const maxExtents = 2 << 20

// set is a set of bytes. Extents may be added in any order and may overlap.
type set struct {
	list   []Extent
	tidied int   // how much of list was sorted and joined last time
	gap    int64 // gaps up to this are closed
	limit  int   // 0 is maxExtents
}

func (s *set) add(e Extent) {
	if e.Len <= 0 {
		return
	}
	if n := len(s.list); n > 0 && e.First >= s.list[n-1].First && e.First <= s.list[n-1].End()+s.gap {
		s.list[n-1].Len = max(s.list[n-1].Len, e.End()-s.list[n-1].First)
		return
	}
	s.list = append(s.list, e)
	if len(s.list) > 2*s.tidied+1<<16 {
		s.tidy()
	}
}

// tidy sorts and joins, and closes gaps until the set is small enough.
func (s *set) tidy() {
	byFirst := func(a, b Extent) int { return cmp.Compare(a.First, b.First) }
	if !slices.IsSortedFunc(s.list, byFirst) {
		slices.SortFunc(s.list, byFirst)
	}
	limit := s.limit
	if limit == 0 {
		limit = maxExtents
	}
	for {
		out := s.list[:0]
		for _, e := range s.list {
			if n := len(out); n > 0 && e.First <= out[n-1].End()+s.gap {
				out[n-1].Len = max(out[n-1].Len, e.End()-out[n-1].First)
			} else {
				out = append(out, e)
			}
		}
		s.list = out
		if len(s.list) <= limit {
			break
		}
		s.gap = max(2*s.gap, 4096)
	}
	s.tidied = len(s.list)
}

// extents gives the set in order, disjoint, none touching the next.
func (s *set) extents() []Extent {
	s.tidy()
	return s.list
}

// gaps gives what is in whole and in none of the extents, which are sorted and disjoint.
func gaps(whole Extent, s []Extent) iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		at := whole.First
		for _, e := range s {
			if e.First > at && !yield(Extent{at, min(e.First, whole.End()) - at}) {
				return
			}
			if at = max(at, e.End()); at >= whole.End() {
				return
			}
		}
		if at < whole.End() {
			yield(Extent{at, whole.End() - at})
		}
	}
}

// wanted collects what the parsers asked for and did not get, by tier.
type wanted struct {
	tiers [2]set // T0, T1: nothing else is metadata
}

func (w *wanted) add(e Extent, t Tier) {
	if w == nil {
		return
	}
	w.tiers[min(int(t), 1)].add(e)
}

// regions gives T0 first, then T1, each in order of place.
func (w *wanted) regions() []Region {
	var out []Region
	for t := range w.tiers {
		for _, e := range w.tiers[t].extents() {
			out = append(out, Region{Extent: e, Tier: Tier(t)})
		}
	}
	return out
}
