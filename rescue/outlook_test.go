package rescue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/mapfile"
)

// TestOutlookCountsAsAFreshLookAtTheMapDoes compares what was counted result by result
// with what a new strategy counts over the same map.
func TestOutlookCountsAsAFreshLookAtTheMapDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawDisk(t)
		m := mapfile.New(plan.Info.Sectors())
		disk := faulty.New(plan)
		regions := drawRegions(t, m.Sectors())
		o := rescue.StrategyOptions{Used: rapid.Bool().Draw(t, "used"), Retries: rapid.IntRange(0, 2).Draw(t, "retries")}
		p := rescue.NewStrategy(m, plan.Info, o)
		p.Retier(regions)
		stop := rapid.IntRange(0, 400).Draw(t, "reads")
		for r, ok := p.Next(); ok && stop > 0; r, ok = p.Next() {
			p.Done(r, disk.ReadAt(context.Background(), make([]byte, r.Sectors*512), r.First, 0))
			stop--
		}
		if rapid.Bool().Draw(t, "taken back") {
			m.Set(0, min(m.Sectors(), 100), mapfile.Untried) // as the executor does at the end of a run
		}
		fresh := rescue.NewStrategy(m, plan.Info, o)
		fresh.Retier(regions)
		got, sum := p.Outlook(), int64(0)
		if diff := cmp.Diff(fresh.Outlook().Tiers, got.Tiers); diff != "" {
			t.Fatal(diff)
		}
		for _, c := range got.Tiers {
			sum += c.Bytes
		}
		if sum != m.Sectors()*512 {
			t.Fatalf("the tiers have %d bytes of %d", sum, m.Sectors()*512)
		}
		if got.P10 > got.P50 || got.P50 > got.P90 || got.P90 < rescue.Unknown || got.Step < 1 || got.Step > got.Steps || got.Stage == "" {
			t.Fatalf("%+v", got)
		}
	})
}

func TestOutlookKnowsNothingAtFirstAndTheEndAtTheEnd(t *testing.T) {
	m := mapfile.New(1 << 20)
	p := rescue.NewStrategy(m, rescue.Info{Bytes: 512 << 20, Sector: 512, Physical: 512}, rescue.StrategyOptions{})
	if o := p.Outlook(); o.P10 != rescue.Unknown || o.P50 != rescue.Unknown || o.P90 != rescue.Unknown {
		t.Errorf("before the first read: %+v", o)
	}
	now := time.Duration(0)
	for r, ok := p.Next(); ok; r, ok = p.Next() {
		p.Done(r, rescue.Result{Good: r.Sectors, Fail: -1, Began: now, Took: 10 * time.Millisecond})
		now += 10 * time.Millisecond
		left := 512*10*time.Millisecond - now
		if o := p.Outlook(); o.P90 != rescue.Unknown && (left < o.P10 || left > o.P90) {
			t.Fatalf("%v left, foreseen %v to %v", left, o.P10, o.P90)
		}
	}
	if o := p.Outlook(); o.P90 != 0 {
		t.Errorf("at the end: %+v", o)
	}
}

func TestAdviceComesWhenNothingDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := disk(8, faulty.Fault{First: 2048, Sectors: 7 * 2048})
		plan.Info.Physical = 4096
		d := faulty.New(plan)
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		o := options()
		advised := 0
		o.Progress = func(s rescue.Status) {
			if (s.SinceGood >= 30*time.Minute) != (s.Outlook.Advice != "") {
				t.Fatalf("nothing for %v, and %q", s.SinceGood, s.Outlook.Advice)
			}
			if s.Outlook.Advice != "" {
				advised++
			}
		}
		if out, err := rescue.Run(t.Context(), d, sink, m, o); err != nil || advised == 0 {
			t.Fatalf("%+v, %v; advised %d times", out, err, advised)
		}
	})
}

// BenchmarkOutlook asks over a map of a million runs.
func BenchmarkOutlook(b *testing.B) {
	m := mapfile.New(1 << 26)
	for at := int64(0); at < m.Sectors(); at += 64 {
		m.Set(at, 32, mapfile.Rescued)
	}
	p := rescue.NewStrategy(m, rescue.Info{Bytes: 1 << 35, Sector: 512, Physical: 4096}, rescue.StrategyOptions{})
	for b.Loop() {
		p.Outlook()
	}
}
