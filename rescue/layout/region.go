package layout

import (
	"slices"

	"salvor/rescue"
)

// Tier is how much a range is worth to the customer: the lower, the sooner it is read.
type Tier = rescue.Tier

// The tiers by their short names.
const (
	T0 = rescue.TierTables   // partition tables, boot sectors, superblocks and their backups
	T1 = rescue.TierMetadata // MFT, bitmaps, FATs, inode tables, catalogs, folders
	T2 = rescue.TierUser     // the user's files
	T3 = rescue.TierOther    // anything else that is allocated, or of which nothing is known
	T4 = rescue.TierRebuild  // allocated, and made anew by an operating system: page files, swap, caches
	T5 = rescue.TierFree     // free space
)

// Region is a range of the disk and its tier.
type Region struct {
	Extent
	Tier Tier
}

// paint lays the extents, sorted and disjoint, over the regions with tier t.
func paint(regions []Region, extents []Extent, t Tier) []Region {
	if len(extents) == 0 {
		return regions
	}
	out := make([]Region, 0, len(regions)+2*len(extents))
	put := func(first, end int64, t Tier) {
		if end <= first {
			return
		}
		if n := len(out); n > 0 && out[n-1].Tier == t && out[n-1].End() == first {
			out[n-1].Len += end - first
			return
		}
		out = append(out, Region{Extent{first, end - first}, t})
	}
	i := 0
	for _, r := range regions {
		at := r.First
		for i < len(extents) && extents[i].First < r.End() {
			e := extents[i].within(r.Extent)
			if e.Len > 0 {
				put(at, e.First, r.Tier)
				put(e.First, e.End(), t)
				at = e.End()
			}
			if extents[i].End() > r.End() {
				break // goes on in the next region
			}
			i++
		}
		put(at, r.End(), r.Tier)
	}
	return out
}

// tally sums the regions' bytes by tier.
func tally(regions []Region) (sum [T5 + 1]int64) {
	for _, r := range regions {
		sum[r.Tier] += r.Len
	}
	return sum
}

// cut gives the part of sorted, disjoint regions that lies within e.
func cut(regions []Region, e Extent) []Region {
	var out []Region
	i, _ := slices.BinarySearchFunc(regions, e.First, func(r Region, at int64) int {
		if r.End() <= at {
			return -1
		}
		return 1
	})
	for ; i < len(regions) && regions[i].First < e.End(); i++ {
		if c := regions[i].within(e); c.Len > 0 {
			out = append(out, Region{c, regions[i].Tier})
		}
	}
	return out
}

// Plan gives [Layout.Regions] and [Layout.First] as the planner takes them: in
// sectors of that many bytes. A sector that two regions share has the lower tier.
func (l *Layout) Plan(sector int64) (regions, first []rescue.Region) {
	for _, r := range l.Regions {
		regions = appendSectors(regions, r.Extent, sector, r.Tier)
	}
	for _, e := range l.First {
		first = appendSectors(first, e, sector, T2)
	}
	return regions, first
}

func appendSectors(out []rescue.Region, e Extent, sector int64, t Tier) []rescue.Region {
	from, end := e.First/sector, (e.End()+sector-1)/sector
	for len(out) > 0 {
		last := &out[len(out)-1]
		if from < last.End() && t >= last.Tier {
			from = last.End()
		}
		if from >= last.End() {
			break
		}
		if last.Sectors = from - last.First; last.Sectors > 0 {
			break
		}
		out = out[:len(out)-1]
	}
	if from >= end {
		return out
	}
	if n := len(out); n > 0 && out[n-1].Tier == t && out[n-1].End() == from {
		out[n-1].Sectors += end - from
		return out
	}
	return append(out, rescue.Region{First: from, Sectors: end - from, Tier: t})
}
