package rescue_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/mapfile"
)

// drawDisk draws a small disk with faults of every kind that a pure planner can meet.
func drawDisk(t *rapid.T) faulty.Plan {
	grain := rapid.SampledFrom([]int{1, 8}).Draw(t, "grain")
	sectors := rapid.Int64Range(1, 12_000).Draw(t, "sectors")
	p := faulty.Plan{
		Info: rescue.Info{
			Bytes: sectors*512 - rapid.Int64Range(0, 511).Draw(t, "cut"), Sector: 512, Physical: grain * 512,
			Offset: rapid.Int64Range(0, int64(grain)-1).Draw(t, "offset"),
		},
		Partial: rapid.Bool().Draw(t, "partial"),
		Sense:   rapid.Bool().Draw(t, "sense"),
	}
	for range rapid.IntRange(0, 12).Draw(t, "faults") {
		first := rapid.Int64Range(0, sectors-1).Draw(t, "first")
		p.Faults = append(p.Faults, faulty.Fault{
			First:   first,
			Sectors: rapid.Int64Range(1, min(300, sectors-first)).Draw(t, "length"),
			Kind:    rapid.SampledFrom([]faulty.Kind{faulty.Bad, faulty.Bad, faulty.Bad, faulty.Short, faulty.Host, faulty.Nothing}).Draw(t, "kind"),
			Times:   rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(t, "times"),
		})
	}
	return p
}

// planRun drives a planner against a disk without an executor, answering the reads
// under way in the order that pick chooses.
type planRun struct {
	m     *mapfile.Map
	disk  *faulty.Disk
	reads []rescue.Read
	tried map[int64]int // reads of one physical sector alone that failed as medium, by first sector
}

func drive(t *rapid.T, plan faulty.Plan, m *mapfile.Map, inFlight int, pick func(n int) int) planRun {
	run := planRun{m: m, disk: faulty.New(plan), tried: map[int64]int{}}
	info := run.disk.Info()
	p := rescue.NewPlain(m, info, inFlight)
	shadow := m.Clone() // what the marks and the data say
	var flying []rescue.Read
	for {
		for r, ok := p.Next(); ok; r, ok = p.Next() {
			if r.Sectors*512 > rescue.MaxRead || r.First < 0 || r.End() > m.Sectors() || r.Sectors <= 0 {
				t.Fatalf("read %+v of %d sectors", r, m.Sectors())
			}
			for _, f := range flying {
				if r.First < f.End() && f.First < r.End() {
					t.Fatalf("%+v and %+v are under way together", r, f)
				}
			}
			for part := range m.Within(r.First, r.Sectors) {
				if part.Status == mapfile.Rescued || part.Status == mapfile.Bad {
					t.Fatalf("%+v reads what is already %v", r, part)
				}
			}
			flying = append(flying, r)
			run.reads = append(run.reads, r)
		}
		if len(flying) == 0 {
			break
		}
		if len(flying) > inFlight {
			t.Fatalf("%d reads under way, %d allowed", len(flying), inFlight)
		}
		if limit := 60_000; len(run.reads) > limit {
			t.Fatalf("no end after %d reads", limit)
		}
		i := pick(len(flying))
		r := flying[i]
		flying = slices.Delete(flying, i, i+1)
		res := run.disk.ReadAt(context.Background(), make([]byte, r.Sectors*512), r.First, 0)
		if isAlone(info, r) && res.Class == rescue.Medium && res.Good == 0 {
			run.tried[r.First]++
		}
		shadow.Set(r.First, res.Good, mapfile.Rescued)
		last := int64(-1)
		for _, c := range p.Done(r, res) {
			if c.First < last || c.Status == mapfile.Rescued {
				t.Fatalf("mark %v", c)
			}
			last = c.First
			shadow.Set(c.First, c.Sectors, c.Status)
		}
	}
	// The marks and the data together are the whole truth: a resume loses nothing.
	if diff := cmp.Diff(slices.Collect(m.All()), slices.Collect(shadow.All())); diff != "" {
		t.Fatalf("the map, and what was recorded of it: %s", diff)
	}
	return run
}

// lostTo says which faults, for good, keep a physical sector from being read.
func lostTo(plan faulty.Plan, first, n int64, kinds ...faulty.Kind) bool {
	return slices.ContainsFunc(plan.Faults, func(f faulty.Fault) bool {
		return slices.Contains(kinds, f.Kind) && f.First < first+n && first < f.First+f.Sectors
	})
}

func TestPlainRescuesEveryReadableSector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawDisk(t)
		inFlight := rapid.IntRange(1, 4).Draw(t, "in flight")
		m := mapfile.New(plan.Info.Sectors())
		run := drive(t, plan, m, inFlight, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })

		g := plan.Info.Grain()
		for at := int64(0); at < m.Sectors(); {
			end := min(at+g-(((at-plan.Info.Offset)%g)+g)%g, m.Sectors())
			for s := at; s < end; s++ {
				got := m.Get(s).Status
				switch {
				case got == mapfile.Rescued:
				case !lostTo(plan, at, end-at, faulty.Bad, faulty.Short, faulty.Host, faulty.Nothing):
					t.Fatalf("sector %d can be read and is %v", s, got)
				case got == mapfile.Bad && !lostTo(plan, at, end-at, faulty.Bad, faulty.Short):
					t.Fatalf("sector %d is called bad, and the medium never failed", s)
				case got != mapfile.Bad && got != mapfile.NonScraped:
					t.Fatalf("sector %d was left as %v", s, got)
				}
			}
			at = end
		}
		for first, n := range run.tried {
			if n > 1 {
				t.Fatalf("sector %d failed alone and was read %d times", first, n)
			}
		}
	})
}

func TestPlainIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawDisk(t)
		seed := rapid.IntRange(0, 1000).Draw(t, "seed")
		var first []rescue.Read
		for i := range 2 {
			x := seed
			run := drive(t, plan, mapfile.New(plan.Info.Sectors()), 3, func(n int) int { x = (x*31 + 7) % 1009; return x % n })
			if i == 0 {
				first = run.reads
			} else if diff := cmp.Diff(first, run.reads); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// TestPlainResumesWithoutReadingBadSectorsAgain stops at any read and goes on with a
// new planner over the same map.
func TestPlainResumesWithoutReadingBadSectorsAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawDisk(t)
		plan.Faults = slices.DeleteFunc(plan.Faults, func(f faulty.Fault) bool { return f.Kind != faulty.Bad || f.Times > 0 })
		m := mapfile.New(plan.Info.Sectors())
		disk := faulty.New(plan)
		failedAlone := map[int64]bool{}
		left := rapid.IntRange(1, 200).Draw(t, "reads before the stop")
		for p := rescue.NewPlain(m, plan.Info, 1); ; {
			r, ok := p.Next()
			if !ok {
				break
			}
			res := disk.ReadAt(context.Background(), make([]byte, r.Sectors*512), r.First, 0)
			if isAlone(plan.Info, r) && res.Class == rescue.Medium {
				if failedAlone[r.First] {
					t.Fatalf("sector %d is read again", r.First)
				}
				failedAlone[r.First] = true
			}
			p.Done(r, res)
			if left--; left == 0 {
				p = rescue.NewPlain(m, plan.Info, 1)
			}
		}
		if left := m.Sectors() - m.Totals().Sectors(mapfile.Rescued) - m.Totals().Sectors(mapfile.Bad); left > 0 {
			t.Fatalf("%d sectors are neither rescued nor bad", left)
		}
	})
}

func TestPlainGoesStraightOnBehindWhatTheSourceNames(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprint("known ", known), func(t *testing.T) {
			m := mapfile.New(4096)
			p := rescue.NewPlain(m, rescue.Info{Bytes: 4096 * 512, Sector: 512, Physical: 512}, 1)
			r, _ := p.Next()
			p.Done(r, rescue.Result{Good: 100, Class: rescue.Medium, Err: rescue.ErrKnown, Fail: 100, Lost: 50, Known: known})
			if got := m.Get(120); got != (mapfile.Run{First: 100, Sectors: 50, Status: mapfile.Bad}) {
				t.Errorf("named as lost, entered as %v", got)
			}
			want := int64(2048) // a device is left alone here until the sweep is over
			if known {
				want = 150
			}
			if r, _ = p.Next(); r.First != want {
				t.Errorf("next read at %d, want %d", r.First, want)
			}
		})
	}
}

func TestPlainReadsOneAtATimeAfterAFailure(t *testing.T) {
	m := mapfile.New(1 << 20)
	p := rescue.NewPlain(m, rescue.Info{Bytes: 512 << 20, Sector: 512, Physical: 512}, 3)
	start := func() (under []rescue.Read) {
		for r, ok := p.Next(); ok; r, ok = p.Next() {
			under = append(under, r)
		}
		return under
	}
	under := start()
	if len(under) != 3 {
		t.Fatalf("%d reads under way on a healthy disk", len(under))
	}
	p.Done(under[0], rescue.Result{Class: rescue.Medium, Err: rescue.ErrKnown, Fail: -1})
	p.Done(under[1], rescue.Result{Good: under[1].Sectors, Fail: -1})
	p.Done(under[2], rescue.Result{Good: under[2].Sectors, Fail: -1})
	for range 32 {
		if under = start(); len(under) > 1 {
			break
		}
		p.Done(under[0], rescue.Result{Good: under[0].Sectors, Fail: -1})
	}
	if len(under) == 0 || under[0].First < 20*2048 {
		t.Errorf("%d reads under way again at sector %d", len(under), under[0].First)
	}
}

func TestPlainTakesWhatComesLate(t *testing.T) {
	m := mapfile.New(4096)
	p := rescue.NewPlain(m, rescue.Info{Bytes: 4096 * 512, Sector: 512, Physical: 512}, 1)
	r, _ := p.Next()
	if changed := p.Done(r, rescue.Result{Class: rescue.Timeout, Err: rescue.ErrDeadline, Fail: -1}); len(changed) != 1 {
		t.Fatalf("a timeout changed %v", changed)
	}
	if changed := p.Done(r, rescue.Result{Good: 1000, Class: rescue.Medium, Err: rescue.ErrKnown, Fail: -1, Late: true}); len(changed) != 0 {
		t.Errorf("a late failure changed %v", changed)
	}
	if got := m.Get(0); got != (mapfile.Run{First: 0, Sectors: 1000, Status: mapfile.Rescued}) {
		t.Errorf("late data: %v", got)
	}
}
