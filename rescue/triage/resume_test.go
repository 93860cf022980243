package triage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"salvor/rescue"
	"salvor/rescue/layout"
	"salvor/rescue/mapfile"
)

// again counts the sectors that a run read a second time.
func (r *run) again() (n int64) {
	for _, read := range r.reads {
		if read.Pass == PassAgain {
			n += read.Sectors
		}
	}
	return n
}

func TestResumedRunHasItsTiersAtOnce(t *testing.T) {
	data := seed(t, "fat32")
	d := newDisk(data)
	m := mapfile.New(d.info.Sectors())
	var known *Tiers
	r := run{d: d, m: m, stop: 12, so: rescue.StrategyOptions{Used: true}}
	r.after = func(t *testing.T, tr *Triage, _ *memory) {
		if err := tr.Finish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		known = tr.Tiers()
	}
	r.do(t)
	if !known.Settled {
		t.Fatal("the metadata was not read whole")
	}
	done := m.Clone()
	r = run{d: d, m: m, o: Options{Known: known}, so: rescue.StrategyOptions{Used: true}}
	r.after = func(t *testing.T, tr *Triage, _ *memory) {
		if diff := cmp.Diff(known, tr.Tiers()); diff != "" {
			t.Error(diff)
		}
	}
	r.do(t)
	if r.again() > 0 {
		t.Errorf("%d sectors read again", r.again())
	}
	tiers := tierMap(truth(t, data, layout.Options{}), m.Sectors())
	for s := range m.Sectors() {
		if new := m.Get(s).Status != done.Get(s).Status; new && tiers[s] == rescue.TierFree {
			t.Fatalf("free sector %d is read", s)
		} else if tiers[s] != rescue.TierFree && m.Get(s).Status != mapfile.Rescued {
			t.Fatalf("sector %d of tier %d is not read", s, tiers[s])
		}
	}
}

func TestResumedRunWithoutTiersReadsMetadataAgain(t *testing.T) {
	data := seed(t, "fat32")
	d := newDisk(data)
	for _, limit := range []int64{0, 10 << 10, -1} {
		m := mapfile.New(d.info.Sectors())
		m.Set(0, 6000, mapfile.Rescued) // an earlier run's, without triage
		r := run{d: d, m: m, o: Options{Again: limit}, so: rescue.StrategyOptions{Used: true}}
		r.after = func(t *testing.T, tr *Triage, _ *memory) {
			if err := tr.Finish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if got := tr.Tiers(); got.Settled != (limit == 0) {
				t.Errorf("with %d bytes again: settled is %v", limit, got.Settled)
			}
		}
		r.do(t)
		switch n := r.again() * 512; {
		case limit == 0 && (n == 0 || n > 1<<20), limit > 0 && n != limit, limit < 0 && n > 0:
			t.Errorf("%d bytes read again, %d allowed", n, limit)
		}
		for _, read := range r.reads {
			if read.Pass != PassAgain && read.First < 6000 {
				t.Errorf("%+v reads what is rescued", read)
			}
		}
	}
}

// TestDiskThatComesBackKeepsItsTriage runs a second time with the same triage.
func TestDiskThatComesBackKeepsItsTriage(t *testing.T) {
	data := seed(t, "ext4")
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(data)
		tr := New(d.info, Options{Dir: t.TempDir(), Reserve: 1, Now: time.Now, After: time.After, First: []string{"folder 2"}})
		m, sink := mapfile.New(d.info.Sectors()), newMemory(t, d)
		for _, stop := range []int{2, 4, 8, 0} {
			ctx, cancel := context.WithCancel(t.Context())
			r := &run{d: d, stop: stop}
			_, err := rescue.Run(ctx, d, tr.Sink(sink), m, rescue.Options{Now: time.Now, After: time.After, InFlight: 1, Planner: func(m *mapfile.Map, i rescue.Info) rescue.Planner {
				return &observed{tr.Planner(m, i, rescue.StrategyOptions{}), r, cancel}
			}})
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if r.again() > 0 {
				t.Errorf("%d sectors read again", r.again())
			}
		}
		if err := tr.Finish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		regions, _ := truth(t, data, layout.Options{}).Plan(512)
		if got := tr.Tiers(); !got.Settled || !slices.Equal(got.Regions, regions) {
			t.Errorf("tiers %v\nwant %v", got.Regions, regions)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestDriverIsWokenWhenAScanHasEnded drives the planner as one that never waits in Next.
func TestDriverIsWokenWhenAScanHasEnded(t *testing.T) {
	data := seed(t, "ntfs")
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(data)
		tr := New(d.info, Options{Dir: t.TempDir(), Reserve: 1, After: time.After})
		defer tr.Close()
		m, sink := mapfile.New(d.info.Sectors()), tr.Sink(newMemory(t, d))
		p := tr.Planner(m, d.info, rescue.StrategyOptions{})
		woken, waits := make(chan struct{}, 1), 0
		p.Wake(func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
		for {
			r, ok := p.Next()
			if !ok {
				if !p.Waiting() {
					break
				}
				waits++
				<-woken
				continue
			}
			buf := make([]byte, r.Sectors*512)
			res := d.ReadAt(t.Context(), buf, r.First, 0)
			if err := sink.Write(t.Context(), r.First, buf[:res.Good*512], r.Pass, func() {}); err != nil {
				t.Fatal(err)
			}
			p.Done(r, res)
		}
		if waits == 0 || m.Totals().Sectors(mapfile.Rescued) != m.Sectors() {
			t.Errorf("%d waits, %v", waits, m.Totals())
		}
	})
}

// TestReadingGoesOnWhenAScanTakesTooLong has a sink that swallows data, for which the
// scan waits in vain.
func TestReadingGoesOnWhenAScanTakesTooLong(t *testing.T) {
	data := seed(t, "ntfs")
	for _, used := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := newDisk(data)
			tr := New(d.info, Options{Dir: t.TempDir(), Reserve: 1, After: time.After, Patience: time.Minute})
			m, began := mapfile.New(d.info.Sectors()), time.Now()
			p := tr.Planner(m, d.info, rescue.StrategyOptions{Used: used})
			for r, ok := p.Next(); ok; r, ok = p.Next() {
				p.Done(r, d.ReadAt(t.Context(), make([]byte, r.Sectors*512), r.First, 0))
			}
			if n := m.Totals().Sectors(mapfile.Rescued); n != m.Sectors() {
				t.Errorf("%d of %d sectors read", n, m.Sectors())
			}
			if took := time.Since(began); took < time.Minute || took > 2*time.Minute {
				t.Errorf("it took %v", took)
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBrokenScratchIsReportedOnce(t *testing.T) {
	for kind, errno := range map[int]error{0: syscall.ENOSPC, 1: syscall.EIO, 3: syscall.EDQUOT} {
		r := run{d: newDisk(seed(t, "ext2"))}
		r.prep = func(tr *Triage) { tr.scratch.f = &fragile{file: tr.scratch.f, kind: kind, errno: errno} }
		r.after = func(t *testing.T, tr *Triage, _ *memory) {
			if err := tr.Finish(t.Context(), r.m); err != nil {
				t.Error(err)
			}
			if _, err := tr.Damaged(t.Context(), r.m, r.d, func(layout.Damage) bool { return true }); !errors.Is(err, ErrNoLayout) || !errors.Is(err, errno) {
				t.Errorf("report: %v", err)
			}
		}
		r.do(t)
		if !errors.Is(r.err, errno) || r.m.Totals().Sectors(mapfile.Rescued) != r.m.Sectors() {
			t.Errorf("%v, %v", r.err, r.m.Totals())
		}
	}
}

// TestDamagedFilesAreFoundWithoutARun reads the metadata of a disk that was rescued
// before, and no sector that was not.
func TestDamagedFilesAreFoundWithoutARun(t *testing.T) {
	for _, name := range []string{"ext4", "fat32", "exfat", "hfsplus", "ntfs"} {
		data := seed(t, name)
		l := truth(t, data, layout.Options{})
		d := newDisk(data)
		m := mapfile.New(d.info.Sectors())
		m.Set(0, m.Sectors(), mapfile.Rescued)
		want := map[string]layout.Damage{}
		_, err := l.Volumes[0].Walk(t.Context(), func(f *layout.File) bool {
			if !f.Dir && !f.System && len(f.Pieces) > 0 && f.Size > 2000 && len(want) < 5 {
				at := f.Pieces[0].First / 512
				m.Set(at, 1, mapfile.Bad)
				m.Set(at+1, 2, mapfile.Untried)
				want[f.Path] = layout.Damage{Path: f.Path, Size: f.Size, Bad: 512, Untried: 1024}
			}
			return true
		})
		if err != nil || len(want) == 0 {
			t.Fatal(err, len(want))
		}
		synctest.Test(t, func(t *testing.T) {
			tr := New(d.info, Options{Dir: t.TempDir(), Reserve: 1, Now: time.Now, After: time.After})
			defer tr.Close()
			report, err := tr.Damaged(t.Context(), m, nil, func(d layout.Damage) bool {
				t.Errorf("%+v", d)
				return true
			})
			if err != nil || report.Complete() || report.Unread == 0 {
				t.Errorf("%s: without the disk: %+v, %v", name, report, err)
			}
			var got []layout.Damage
			report, err = tr.Damaged(t.Context(), m, d, func(d layout.Damage) bool {
				got = append(got, d)
				return true
			})
			if err != nil || !report.Complete() || report.Damaged != int64(len(want)) || report.Lost+report.Unread > 0 {
				t.Errorf("%s: %+v, %v", name, report, err)
			}
			sorted := slices.IsSortedFunc(got, func(a, b layout.Damage) int { return strings.Compare(a.Path, b.Path) })
			byPath := map[string]layout.Damage{}
			for _, d := range got {
				byPath[d.Path] = d
			}
			if diff := cmp.Diff(want, byPath); diff != "" || !sorted || len(got) != len(want) {
				t.Errorf("%s: %s", name, diff)
			}
			for _, read := range d.reads {
				for r := range m.Within(read.first, read.end-read.first) {
					if r.Status != mapfile.Rescued {
						t.Fatalf("%v is read", r)
					}
				}
			}
			// Cut short by its reader, and by the caller.
			n := 0
			if _, err := tr.Damaged(t.Context(), m, nil, func(layout.Damage) bool { n++; return false }); n != 1 || err != nil {
				t.Errorf("%d damages, %v", n, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := tr.Damaged(ctx, m, nil, func(layout.Damage) bool { return true }); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

func TestDamagesAreSortedInPieces(t *testing.T) {
	var all, want []layout.Damage
	for i := range 1000 {
		d := layout.Damage{Path: fmt.Sprint((i * 7919) % 500), Bad: int64(i)}
		all, want = append(all, d), append(want, d)
	}
	slices.SortStableFunc(want, func(a, b layout.Damage) int { return strings.Compare(a.Path, b.Path) })
	for _, most := range []int64{0, 1000, 50_000, 1 << 20} {
		var got []layout.Damage
		more, err := sorted(most, func(yield func(layout.Damage) bool) error {
			for _, d := range all {
				if !yield(d) {
					break
				}
			}
			return nil
		}, func(d layout.Damage) bool {
			got = append(got, d)
			return true
		})
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || !more || err != nil {
			t.Fatalf("%d at a time: %v %s", most, err, diff)
		}
	}
}
