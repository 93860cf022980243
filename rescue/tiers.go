package rescue

import (
	"cmp"
	"slices"
	"sort"
)

// Tier says how much the content of a region matters; the lower the more.
type Tier uint8

// The tiers. What nothing is known of is [TierOther]: it may be used.
const (
	TierTables   Tier = iota // partition tables, boot sectors, superblocks and their backups
	TierMetadata             // metadata of file systems
	TierUser                 // the customer's files
	TierOther                // other allocated space, and what is unknown
	TierRebuild              // what an operating system can make again: swap, caches
	TierFree                 // free space
)

// tierWeights are what a byte of each tier is worth.
var tierWeights = [...]float64{100, 100, 10, 5, 1, 0.1}

func (t Tier) weight() float64 { return tierWeights[min(t, TierFree)] }

// Region is a run of sectors of one tier.
type Region struct {
	First, Sectors int64
	Tier           Tier
}

// End is the first sector behind the region.
func (r Region) End() int64 { return r.First + r.Sectors }

// complete makes of regions a gapless line over all sectors: sorted, cut to size, the
// more important tier where two overlap, [TierOther] where nothing is said.
func complete(regions []Region, sectors int64) []Region {
	in := slices.Clone(regions)
	slices.SortFunc(in, func(a, b Region) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Sectors, b.Sectors))
	})
	out := make([]Region, 0, len(in)+1)
	put := func(first, end int64, t Tier) {
		switch last := len(out) - 1; {
		case first >= end:
		case last >= 0 && out[last].Tier == t && out[last].End() == first:
			out[last].Sectors += end - first
		default:
			out = append(out, Region{first, end - first, t})
		}
	}
	at := int64(0)        // all before is written
	var open []Region     // regions that cover at, or may
	best := func() Tier { // of those open
		t := Tier(255)
		for _, o := range open {
			t = min(t, o.Tier)
		}
		return t
	}
	// upTo writes what the open regions say of the sectors before end.
	upTo := func(end int64) {
		for at < end {
			open = slices.DeleteFunc(open, func(o Region) bool { return o.End() <= at })
			stop, t := end, TierOther
			if len(open) > 0 {
				t = best()
				for _, o := range open {
					stop = min(stop, o.End())
				}
			}
			put(at, stop, t)
			at = stop
		}
	}
	for _, r := range in {
		first, end := max(r.First, 0), min(r.End(), sectors)
		if first >= end {
			continue
		}
		upTo(first)
		open = append(open, Region{first, end - first, min(r.Tier, TierFree)})
	}
	upTo(sectors)
	return out
}

// span is a run of sectors, half open.
type span struct{ first, end int64 }

// spans is a sorted list of spans that neither overlap nor touch.
type spans []span

// next gives what of the spans lies at or behind at: the first piece.
func (s spans) next(at int64) (span, bool) {
	i := sort.Search(len(s), func(i int) bool { return s[i].end > at })
	if i == len(s) {
		return span{}, false
	}
	return span{max(s[i].first, at), s[i].end}, true
}

// before gives what of the spans lies before at: the last piece.
func (s spans) before(at int64) (span, bool) {
	i := sort.Search(len(s), func(i int) bool { return s[i].first >= at })
	if i == 0 {
		return span{}, false
	}
	return span{s[i-1].first, min(s[i-1].end, at)}, true
}

// with returns the spans with [first, end) added.
func (s spans) with(first, end int64) spans {
	if first >= end {
		return s
	}
	i := sort.Search(len(s), func(i int) bool { return s[i].end >= first })
	j := i
	for ; j < len(s) && s[j].first <= end; j++ {
		first, end = min(first, s[j].first), max(end, s[j].end)
	}
	return slices.Replace(s, i, j, span{first, end})
}

// both returns what lies in s and in o.
func (s spans) both(o spans) spans {
	var out spans
	for i, j := 0, 0; i < len(s) && j < len(o); {
		if first, end := max(s[i].first, o[j].first), min(s[i].end, o[j].end); first < end {
			out = append(out, span{first, end})
		}
		if s[i].end < o[j].end {
			i++
		} else {
			j++
		}
	}
	return out
}

// domain is the sectors of the tiers down to most. Holes of at most bridge sectors
// between them are taken along: reading on is no slower than seeking.
func domain(regions []Region, most Tier, bridge int64) spans {
	var out spans
	for _, r := range regions {
		if r.Tier > most {
			continue
		}
		if last := len(out) - 1; last >= 0 && r.First-out[last].end <= bridge {
			out[last].end = r.End()
			continue
		}
		out = append(out, span{r.First, r.End()})
	}
	return out
}
