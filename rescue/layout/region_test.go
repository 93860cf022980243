package layout

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSectorsHaveTheLowestTierOfTheirBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sector := rapid.SampledFrom([]int64{1, 4, 16}).Draw(t, "sector")
		l := &Layout{}
		at := int64(0)
		for _, n := range rapid.SliceOfN(rapid.Int64Range(1, 20), 1, 30).Draw(t, "lengths") {
			l.Regions = append(l.Regions, Region{Extent{at, n}, Tier(rapid.IntRange(0, 5).Draw(t, "tier"))})
			at += n
		}
		want := make([]Tier, (at+sector-1)/sector)
		for i := range want {
			want[i] = T5
		}
		for _, r := range l.Regions {
			for b := r.First; b < r.End(); b++ {
				want[b/sector] = min(want[b/sector], r.Tier)
			}
		}
		got := make([]Tier, 0, len(want))
		regions, _ := l.Plan(sector)
		for i, r := range regions {
			if r.First != int64(len(got)) || r.Sectors < 1 || i > 0 && regions[i-1].Tier == r.Tier {
				t.Fatalf("regions %v", regions)
			}
			for range r.Sectors {
				got = append(got, r.Tier)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatal(cmp.Diff(want, got))
		}
	})
}

func TestPaintLaysTheMoreUrgentOnTop(t *testing.T) {
	got := paint([]Region{{Extent{0, 10}, T5}, {Extent{10, 10}, T3}}, []Extent{{0, 2}, {5, 7}, {19, 5}}, T1)
	want := []Region{
		{Extent{0, 2}, T1},
		{Extent{2, 3}, T5},
		{Extent{5, 7}, T1},
		{Extent{12, 7}, T3},
		{Extent{19, 1}, T1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
