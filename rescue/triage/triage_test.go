package triage

import (
	"slices"
	"testing"

	"salvor/rescue"
	"salvor/rescue/layout"
	"salvor/rescue/mapfile"
)

func TestMetadataComesFirst(t *testing.T) {
	for _, name := range seeds {
		t.Run(name, func(t *testing.T) {
			data := seed(t, name)
			l := truth(t, data, layout.Options{First: []string{"folder 2"}})
			tiers := tierMap(l, int64(len(data)/512))
			_, first := l.Plan(512)
			r := run{d: newDisk(data), o: Options{First: []string{"folder 2", "no such"}}}
			r.after = func(t *testing.T, tr *Triage, _ *memory) {
				if err := tr.Finish(t.Context(), r.m); err != nil {
					t.Fatal(err)
				}
				want := []string{"no such"}
				if len(first) == 0 && !l.Found[0] {
					want = []string{"folder 2", "no such"}
				}
				if got := tr.NotFound(); !slices.Equal(got, want) {
					t.Errorf("not found: %q", got)
				}
				got := tr.Tiers()
				if got == nil || !got.Settled {
					t.Fatalf("tiers %+v", got)
				}
				regions, _ := l.Plan(512)
				if !slices.Equal(got.Regions, regions) {
					t.Errorf("tiers %v\nwant %v", got.Regions, regions)
				}
			}
			r.do(t)
			if r.err != nil {
				t.Fatal(r.err)
			}
			if got := r.m.Totals().Sectors(mapfile.Rescued); got != r.m.Sectors() {
				t.Errorf("%d of %d sectors rescued", got, r.m.Sectors())
			}
			have := mapfile.New(r.m.Sectors())
			swept, again := false, int64(0)
			for _, read := range r.reads {
				switch {
				case read.Pass == PassAgain:
					again += read.Sectors
				case !early(read) && !swept:
					swept = true
					for s, tier := range tiers {
						if tier <= rescue.TierMetadata && have.Get(int64(s)).Status != mapfile.Rescued {
							t.Fatalf("sector %d of tier %d is not read before %+v", s, tier, read)
						}
					}
				case read.Pass == rescue.PassFree:
					for s, tier := range tiers {
						if tier <= rescue.TierRebuild && have.Get(int64(s)).Status != mapfile.Rescued {
							t.Fatalf("sector %d of tier %d is not read before %+v", s, tier, read)
						}
					}
				}
				have.Set(read.First, read.Sectors, mapfile.Rescued)
			}
			t.Logf("%d reads, %d sectors again", len(r.reads), again)
			if again > 0 {
				t.Errorf("%d sectors were read again", again)
			}
		})
	}
}
