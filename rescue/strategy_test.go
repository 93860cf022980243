package rescue_test

import (
	"context"
	"slices"
	"testing"
	"time"

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

// drawRegions draws what might be known of a disk: sorted or not, overlapping, too large.
func drawRegions(t *rapid.T, sectors int64) (out []rescue.Region) {
	for range rapid.IntRange(0, 8).Draw(t, "regions") {
		out = append(out, rescue.Region{
			First:   rapid.Int64Range(-10, sectors).Draw(t, "region"),
			Sectors: rapid.Int64Range(0, sectors).Draw(t, "region sectors"),
			Tier:    rescue.Tier(rapid.IntRange(0, 7).Draw(t, "tier")),
		})
	}
	return out
}

// isAlone reports whether a read is of one physical sector, or of a part of it.
func isAlone(i rescue.Info, r rescue.Read) bool {
	g := i.Grain()
	return r.Sectors <= g && (r.First-i.Offset+g)/g == (r.End()-1-i.Offset+g)/g
}

// lostTo says which faults, for good, keep a physical sector from being read.
func lostTo(plan faulty.Plan, first, n int64, kinds ...faulty.Kind) bool {
	return slices.ContainsFunc(plan.Faults, func(f faulty.Fault) bool {
		return slices.Contains(kinds, f.Kind) && f.First < first+n && first < f.First+f.Sectors
	})
}

// strategyRun drives a strategy against a disk without an executor.
type strategyRun struct {
	m     *mapfile.Map
	plan  faulty.Plan
	reads []rescue.Read
	alone map[int64]int // reads of one physical sector that failed as medium, by first sector

	retries  bool                               // what is bad may be read again
	inFlight int                                // allowed
	pick     func(n int) int                    // which read is answered next
	after    func(p *rescue.Strategy, read int) // called behind each answer
	slow     func(rescue.Read) time.Duration    // what a read takes
}

func (run *strategyRun) drive(t *rapid.T, p *rescue.Strategy) {
	disk := faulty.New(run.plan)
	info := disk.Info()
	shadow := run.m.Clone() // what the marks and the data say
	run.alone = map[int64]int{}
	var flying []rescue.Read
	for {
		for r, ok := p.Next(); ok; r, ok = p.Next() {
			if r.Sectors*512 > rescue.MaxRead || r.First < 0 || r.End() > run.m.Sectors() || r.Sectors <= 0 || r.Deadline <= 0 || r.Stage == "" {
				t.Fatalf("read %+v of %d sectors", r, run.m.Sectors())
			}
			for _, f := range flying {
				if r.First < f.End() && f.First < r.End() {
					t.Fatalf("%+v and %+v are under way together", r, f)
				}
			}
			for part := range run.m.Within(r.First, r.Sectors) {
				if part.Status == mapfile.Rescued || part.Status == mapfile.Bad && !run.retries {
					t.Fatalf("%+v reads what is already %v", r, part)
				}
			}
			flying = append(flying, r)
			run.reads = append(run.reads, r)
		}
		if len(flying) == 0 {
			break
		}
		if len(flying) > run.inFlight {
			t.Fatalf("%d reads under way, %d allowed", len(flying), run.inFlight)
		}
		if limit := 60_000; len(run.reads) > limit {
			t.Fatalf("no end after %d reads", limit)
		}
		i := run.pick(len(flying))
		r := flying[i]
		flying = slices.Delete(flying, i, i+1)
		res := disk.ReadAt(context.Background(), make([]byte, r.Sectors*512), r.First, 0)
		if run.slow != nil {
			res.Took = run.slow(r)
		}
		if isAlone(info, r) && res.Class == rescue.Medium && res.Good == 0 {
			run.alone[r.First]++
		}
		run.enter(t, shadow, p, r, res)
		if run.after != nil {
			run.after(p, len(run.reads))
		}
		if rapid.IntRange(0, 20).Draw(t, "late") == 0 {
			// An old read comes back after all.
			old := run.reads[run.pick(len(run.reads))]
			if !slices.Contains(flying, old) {
				late := disk.ReadAt(context.Background(), make([]byte, old.Sectors*512), old.First, 0)
				late.Late = true
				run.enter(t, shadow, p, old, late)
			}
		}
	}
	// The marks and the data together are the whole truth: a resume loses nothing.
	if diff := cmp.Diff(slices.Collect(run.m.All()), slices.Collect(shadow.All())); diff != "" {
		t.Fatalf("the map, and what was recorded of it: %s", diff)
	}
}

// enter answers a read, and books what became of it.
func (run *strategyRun) enter(t *rapid.T, shadow *mapfile.Map, p *rescue.Strategy, r rescue.Read, res rescue.Result) {
	before := run.m.Clone()
	shadow.Set(r.First, res.Good, mapfile.Rescued)
	last := int64(-1)
	for _, c := range p.Done(r, res) {
		if c.First < last || c.Status == mapfile.Rescued {
			t.Fatalf("mark %v", c)
		}
		last = c.First
		for was := range before.Within(c.First, c.Sectors) {
			if was.Status == mapfile.Rescued || was.Status == mapfile.Bad {
				t.Fatalf("%v became %v", was, c)
			}
			if res.Late && c.Status != mapfile.Bad {
				t.Fatalf("a late result made %v of %v", c, was)
			}
		}
		shadow.Set(c.First, c.Sectors, c.Status)
	}
}

// whole checks that nothing readable was left, and nothing called bad that the medium gave.
func (run *strategyRun) whole(t *rapid.T) {
	g := run.plan.Info.Grain()
	for at := int64(0); at < run.m.Sectors(); {
		end := min(at+g-(((at-run.plan.Info.Offset)%g)+g)%g, run.m.Sectors())
		for sector := at; sector < end; sector++ {
			got := run.m.Get(sector).Status
			switch {
			case got == mapfile.Rescued:
			case !lostTo(run.plan, at, end-at, faulty.Bad, faulty.Short, faulty.Host, faulty.Nothing):
				t.Fatalf("sector %d can be read and is %v", sector, got)
			case got == mapfile.Bad && !lostTo(run.plan, at, end-at, faulty.Bad, faulty.Short):
				t.Fatalf("sector %d is called bad, and the medium never failed", sector)
			case got != mapfile.Bad && got != mapfile.NonScraped:
				t.Fatalf("sector %d was left as %v", sector, got)
			}
		}
		at = end
	}
}

func (run *strategyRun) onlyOnce(t *rapid.T) {
	for first, n := range run.alone {
		if n > 1 {
			t.Fatalf("sector %d failed alone and was read %d times", first, n)
		}
	}
}

func TestStrategyRescuesEveryReadableSector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawDisk(t)
		run := strategyRun{
			m: mapfile.New(plan.Info.Sectors()), plan: plan, inFlight: rapid.IntRange(1, 4).Draw(t, "in flight"),
			pick: func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") },
		}
		if rapid.Bool().Draw(t, "slow") {
			from := rapid.Int64Range(0, run.m.Sectors()).Draw(t, "slow from")
			run.slow = func(r rescue.Read) time.Duration {
				if r.First > from && r.First < from+4000 {
					return 3 * time.Second
				}
				return time.Duration(r.Sectors) * 5 * time.Microsecond
			}
		}
		run.after = func(p *rescue.Strategy, n int) {
			if n%40 == 7 && n < 400 {
				p.Retier(drawRegions(t, run.m.Sectors()))
			}
		}
		p := rescue.NewStrategy(run.m, plan.Info, rescue.StrategyOptions{
			InFlight: run.inFlight, First: drawRegions(t, run.m.Sectors()), Abandons: rapid.Bool().Draw(t, "abandons"),
		})
		run.drive(t, p)
		run.whole(t)
		run.onlyOnce(t)
	})
}

func TestStrategyIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawDisk(t)
		seed := rapid.IntRange(0, 1000).Draw(t, "seed")
		regions := drawRegions(t, plan.Info.Sectors())
		var first []rescue.Read
		for i := range 2 {
			x := seed
			var reads []rescue.Read
			m := mapfile.New(plan.Info.Sectors())
			disk := faulty.New(plan)
			p := rescue.NewStrategy(m, plan.Info, rescue.StrategyOptions{InFlight: 3})
			p.Retier(regions)
			var flying []rescue.Read
			for {
				for r, ok := p.Next(); ok; r, ok = p.Next() {
					flying, reads = append(flying, r), append(reads, r)
				}
				if len(flying) == 0 {
					break
				}
				x = (x*31 + 7) % 1009
				r := flying[x%len(flying)]
				flying = slices.Delete(flying, x%len(flying), x%len(flying)+1)
				p.Done(r, disk.ReadAt(context.Background(), make([]byte, r.Sectors*512), r.First, 0))
			}
			if i == 0 {
				first = reads
			} else if diff := cmp.Diff(first, reads); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// TestStrategyResumesWithoutReadingBadSectorsAgain stops at any read and goes on with a
// new planner over the same map.
func TestStrategyResumesWithoutReadingBadSectorsAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawDisk(t)
		plan.Faults = slices.DeleteFunc(plan.Faults, func(f faulty.Fault) bool { return f.Kind != faulty.Bad || f.Times > 0 })
		m := mapfile.New(plan.Info.Sectors())
		disk := faulty.New(plan)
		alone := map[int64]bool{}
		left := rapid.IntRange(1, 200).Draw(t, "reads before the stop")
		for p := rescue.NewStrategy(m, plan.Info, rescue.StrategyOptions{}); ; {
			r, ok := p.Next()
			if !ok {
				break
			}
			res := disk.ReadAt(context.Background(), make([]byte, r.Sectors*512), r.First, 0)
			if isAlone(plan.Info, r) && res.Class == rescue.Medium {
				if alone[r.First] {
					t.Fatalf("sector %d is read again", r.First)
				}
				alone[r.First] = true
			}
			p.Done(r, res)
			if left--; left == 0 {
				p = rescue.NewStrategy(m, plan.Info, rescue.StrategyOptions{})
			}
		}
		if left := m.Sectors() - m.Totals().Sectors(mapfile.Rescued) - m.Totals().Sectors(mapfile.Bad); left > 0 {
			t.Fatalf("%d sectors are neither rescued nor bad", left)
		}
	})
}

func TestStrategyWithSenseDataReadsEachBadSectorOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawDisk(t)
		plan.Sense, plan.Partial = true, true
		plan.Faults = slices.DeleteFunc(plan.Faults, func(f faulty.Fault) bool { return f.Kind != faulty.Bad || f.Times > 0 })
		m := mapfile.New(plan.Info.Sectors())
		disk := faulty.New(plan)
		p := rescue.NewStrategy(m, plan.Info, rescue.StrategyOptions{})
		p.Retier(drawRegions(t, m.Sectors()))
		failures := int64(0)
		for r, ok := p.Next(); ok; r, ok = p.Next() {
			res := disk.ReadAt(context.Background(), make([]byte, r.Sectors*512), r.First, 0)
			if res.Class != rescue.OK {
				failures++
			}
			p.Done(r, res)
		}
		bad := int64(0)
		g := plan.Info.Grain()
		for r := range m.All() {
			if r.Status == mapfile.Bad {
				bad += (r.Sectors + g - 1) / g
				if r.First == 0 && plan.Info.Offset > 0 || r.End() == m.Sectors() {
					bad++ // a physical sector that lies partly outside
				}
			}
		}
		if failures > bad {
			t.Fatalf("%d failures for %d bad sectors", failures, bad)
		}
	})
}

// regionsOf gives a disk of 64 MiB with something of every tier.
func regionsOf() []rescue.Region {
	const mib = 2048
	return []rescue.Region{
		{First: 0, Sectors: mib, Tier: rescue.TierTables},
		{First: 40 * mib, Sectors: 2 * mib, Tier: rescue.TierMetadata},
		{First: 20 * mib, Sectors: 4 * mib, Tier: rescue.TierRebuild},
		{First: 50 * mib, Sectors: 4 * mib, Tier: rescue.TierUser},
		{First: 2 * mib, Sectors: 10 * mib, Tier: rescue.TierFree},
	}
}

func TestStrategyTakesTheTiersInTheirOrder(t *testing.T) {
	const mib = 2048
	m := mapfile.New(64 * mib)
	p := rescue.NewStrategy(m, rescue.Info{Bytes: 64 << 20, Sector: 512, Physical: 4096}, rescue.StrategyOptions{
		First: []rescue.Region{{First: 60 * mib, Sectors: mib}},
	})
	p.Retier(regionsOf())
	at := map[int64]int{} // when each MiB was read first
	n := 0
	for r, ok := p.Next(); ok; r, ok = p.Next() {
		n++
		for x := r.First / mib; x <= (r.End()-1)/mib; x++ {
			if at[x] == 0 {
				at[x] = n
			}
		}
		p.Done(r, rescue.Result{Good: r.Sectors, Fail: -1})
	}
	order := []int64{0, 40, 60, 12, 50, 20, 2} // tables, metadata, what was named, unknown, user, rebuildable, free
	for i := 1; i < len(order); i++ {
		if at[order[i]] <= at[order[i-1]] {
			t.Errorf("MiB %d was read as number %d, MiB %d as number %d", order[i], at[order[i]], order[i-1], at[order[i-1]])
		}
	}
}

func TestStrategyLeavesFreeSpaceOut(t *testing.T) {
	const mib = 2048
	m := mapfile.New(64 * mib)
	p := rescue.NewStrategy(m, rescue.Info{Bytes: 64 << 20, Sector: 512, Physical: 4096}, rescue.StrategyOptions{Used: true})
	p.Retier(regionsOf())
	for r, ok := p.Next(); ok; r, ok = p.Next() {
		p.Done(r, rescue.Result{Good: r.Sectors, Fail: -1})
	}
	if got := m.Get(5 * mib); got != (mapfile.Run{First: 2 * mib, Sectors: 10 * mib, Status: mapfile.Untried}) {
		t.Errorf("free space: %v", got)
	}
	if rest := m.Totals().Sectors(mapfile.Untried); rest != 10*mib {
		t.Errorf("%d sectors untried", rest)
	}
}

func TestStrategyStopsWhenItsTimeIsOver(t *testing.T) {
	m := mapfile.New(64 * 2048)
	p := rescue.NewStrategy(m, rescue.Info{Bytes: 64 << 20, Sector: 512, Physical: 4096}, rescue.StrategyOptions{StopAfter: time.Minute})
	now := time.Duration(0)
	for r, ok := p.Next(); ok; r, ok = p.Next() {
		p.Done(r, rescue.Result{Good: r.Sectors, Fail: -1, Began: now, Took: 7 * time.Second})
		now += 7 * time.Second
	}
	if now != 63*time.Second {
		t.Errorf("stopped after %v", now)
	}
}

func TestStrategyRetriesWhatFailedAloneAsOftenAsAsked(t *testing.T) {
	info := rescue.Info{Bytes: 8 << 20, Sector: 512, Physical: 4096}
	disk := faulty.New(faulty.Plan{Info: info, Faults: []faulty.Fault{
		{First: 800, Sectors: 8, Kind: faulty.Bad}, {First: 8000, Sectors: 16, Kind: faulty.Bad}, {First: 9000, Sectors: 1, Kind: faulty.Bad, Times: 4},
	}})
	m := mapfile.New(info.Sectors())
	p := rescue.NewStrategy(m, info, rescue.StrategyOptions{Retries: 3})
	retried := map[int64]int{}
	for r, ok := p.Next(); ok; r, ok = p.Next() {
		if r.Pass == rescue.PassRetry {
			retried[r.First]++
		}
		p.Done(r, disk.ReadAt(context.Background(), make([]byte, r.Sectors*512), r.First, 0))
	}
	want := map[int64]int{800: 3, 8000: 3, 8008: 3, 9000: retried[9000]}
	if diff := cmp.Diff(want, retried); diff != "" {
		t.Error(diff)
	}
	if got := m.Get(9000).Status; got != mapfile.Rescued {
		t.Errorf("the sector that heals is %v", got)
	}
}

func TestStrategyOnAHealthyDiskReadsStraightOnSeveralAtOnce(t *testing.T) {
	m := mapfile.New(1 << 20)
	p := rescue.NewStrategy(m, rescue.Info{Bytes: 512 << 20, Sector: 512, Physical: 512}, rescue.StrategyOptions{InFlight: 3})
	reads, most := 0, 0
	var flying []rescue.Read
	for {
		for r, ok := p.Next(); ok; r, ok = p.Next() {
			flying, reads = append(flying, r), reads+1
		}
		if len(flying) == 0 {
			break
		}
		most = max(most, len(flying))
		p.Done(flying[0], rescue.Result{Good: flying[0].Sectors, Fail: -1, Took: 10 * time.Millisecond})
		flying = flying[1:]
	}
	if reads != 512 || most != 3 {
		t.Errorf("%d reads, %d at once", reads, most)
	}
}

func TestStrategyTakesWhatComesLate(t *testing.T) {
	m := mapfile.New(1 << 20)
	p := rescue.NewStrategy(m, rescue.Info{Bytes: 512 << 20, Sector: 512, Physical: 512}, rescue.StrategyOptions{})
	r, _ := p.Next()
	changed := p.Done(r, rescue.Result{Class: rescue.Timeout, Err: rescue.ErrDeadline, Fail: -1, Took: 30 * time.Second})
	if len(changed) == 0 {
		t.Fatal("a timeout changed nothing")
	}
	if next, _ := p.Next(); next.First < 64<<11 {
		t.Errorf("after a timeout the next read is at %d", next.First)
	}
	if changed := p.Done(r, rescue.Result{Good: 1000, Class: rescue.Medium, Err: rescue.ErrKnown, Fail: -1, Late: true}); len(changed) != 0 {
		t.Errorf("a late failure changed %v", changed)
	}
	if got := m.Get(0); got != (mapfile.Run{First: 0, Sectors: 1000, Status: mapfile.Rescued}) {
		t.Errorf("late data: %v", got)
	}
}
