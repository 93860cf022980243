package sim

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"salvor/rescue"
	"salvor/rescue/mapfile"
)

// allocate lays out a disk that is 40 % full, the outer half more than the inner:
// tables at both ends, file-system metadata in a few pieces, then files of all sizes.
func (d *Disk) allocate(r *rand.Rand) {
	total := d.grains()
	var used []span // in grains, with the tier in order of claim
	claim := func(t rescue.Tier, at, n int64) {
		s := span{max(at, 0), min(at+n, total)}
		if s.first >= s.end {
			return
		}
		i := sort.Search(len(used), func(i int) bool { return used[i].end > s.first })
		if i < len(used) && used[i].first < s.end {
			return
		}
		used = slices.Insert(used, i, s)
		d.tiers = append(d.tiers, rescue.Region{First: s.first * grain, Sectors: (s.end - s.first) * grain, Tier: t})
	}
	const mib = 1 << 20 / Physical
	claim(0, 0, mib)
	claim(0, total-mib, mib)
	pieces := 1 + r.Int64N(4)
	for i := range pieces {
		at := (3 + r.Int64N(4)*8*i) * total / 100
		claim(1, at, total*15/10_000/pieces)
	}
	// Extents in turn, used and free; on average the shares come out at 60 % and 20 %.
	for at := int64(mib); at < total; {
		share := 0.6
		if at > total/2 {
			share = 0.2
		}
		size := int64(min(math.Exp(r.NormFloat64()*1.4)*16, 4096) * mib)
		size = min(max(size, 1), max(total/20, 1))
		t := rescue.Tier(2)
		switch x := r.Float64(); {
		case x < 0.1:
			t = 4
		case x < 0.4:
			t = 3
		}
		claim(t, at, size)
		at += size + int64(float64(size)*(1-share)/share*2*r.Float64())
	}
	slices.SortFunc(d.tiers, func(a, b rescue.Region) int { return cmp.Compare(a.First, b.First) })
	at := int64(0)
	var all []rescue.Region
	for _, t := range d.tiers {
		if t.First > at {
			all = append(all, rescue.Region{First: at, Sectors: t.First - at, Tier: 5})
		}
		all = append(all, t)
		d.alloc = append(d.alloc, span{t.First, t.First + t.Sectors})
		at = t.First + t.Sectors
	}
	if size := d.info.Sectors(); at < size {
		all = append(all, rescue.Region{First: at, Sectors: size - at, Tier: 5})
	}
	d.tiers = all
	d.alloc = tidy(d.alloc, d.info.Sectors())
	var sum int64
	for _, s := range d.alloc {
		d.below = append(d.below, sum)
		sum += s.end - s.first
	}
}

// allocated is how many sectors before at are allocated.
func (d *Disk) allocated(at int64) int64 {
	i := sort.Search(len(d.alloc), func(i int) bool { return d.alloc[i].end > at })
	switch {
	case i == len(d.alloc) && i == 0:
		return 0
	case i == len(d.alloc):
		return d.below[i-1] + d.alloc[i-1].end - d.alloc[i-1].first
	}
	return d.below[i] + max(at-d.alloc[i].first, 0)
}

// Known is what is understood of the disk while only some metadata was read: 0 tells
// the tables, 1 the metadata besides, 2 everything.
func (d *Disk) Known(level int) []rescue.Region {
	if level >= 2 {
		return d.tiers
	}
	var out []rescue.Region
	for _, t := range d.tiers {
		if int(t.Tier) <= level {
			out = append(out, t)
		}
	}
	return out
}

// Allocated is a map of what is allocated: rescued where it is, bad elsewhere. GNU
// ddrescue takes it as a domain.
func (d *Disk) Allocated() *mapfile.Map {
	m := mapfile.New(d.info.Sectors())
	m.Set(0, m.Sectors(), mapfile.Bad)
	for _, s := range d.alloc {
		m.Set(s.first, s.end-s.first, mapfile.Rescued)
	}
	return m
}
