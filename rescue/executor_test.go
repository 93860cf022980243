package rescue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/mapfile"
)

// The tests of the executor run in synctest bubbles: time passes only while
// everybody waits, so minutes of hanging take none and nothing depends on speed.

// memory is a sink that keeps everything, and can fail.
type memory struct {
	sector int

	mu     sync.Mutex
	data   map[int64][]byte // per sector
	marks  *mapfile.Map     // as a container would rebuild it
	writes int
	calls  []string

	failAt  int           // the write that fails, from 1; 0 is none
	failure error         //
	block   chan struct{} // when set, Write waits for it or for ctx
	deaf    bool          // Write waits without regard to ctx
	hold    bool          // buffers are kept until flush
	held    []func()
}

func newMemory(info rescue.Info) *memory {
	return &memory{sector: info.Sector, data: map[int64][]byte{}, marks: mapfile.New(info.Sectors())}
}

func (s *memory) Write(ctx context.Context, first int64, p []byte, _ uint8, release func()) error {
	if s.block != nil {
		done := ctx.Done()
		if s.deaf {
			done = nil
		}
		select {
		case <-s.block:
		case <-done:
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.writes == s.failAt {
		return s.failure
	}
	s.calls = append(s.calls, fmt.Sprintf("write %d+%d", first, len(p)/s.sector))
	for i := 0; i < len(p); i += s.sector {
		s.data[first+int64(i/s.sector)] = bytes.Clone(p[i : i+s.sector])
	}
	s.marks.Set(first, int64(len(p)/s.sector), mapfile.Rescued)
	clear(p) // it is ours: whoever still looks at it sees zeros
	if s.hold {
		s.held = append(s.held, release)
		return nil
	}
	release()
	return nil
}

func (s *memory) Mark(_ context.Context, first, n int64, status byte, _ uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf("mark %d+%d %c", first, n, status))
	for _, r := range slices.Collect(s.marks.Within(first, n)) {
		if r.Status != mapfile.Rescued {
			s.marks.Set(r.First, r.Sectors, mapfile.Status(status))
		}
	}
	return nil
}

// flush lets go of every buffer, as a sink does after an fsync.
func (s *memory) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, release := range s.held {
		release()
		release() // once too often must not hurt
	}
	s.held = nil
}

// verify compares what the sink holds with the truth, and the map with the sink.
func (s *memory) verify(t testing.TB, info rescue.Info, m *mapfile.Map) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	want := make([]byte, s.sector)
	for sector, got := range s.data {
		faulty.Sector(want, sector)
		if over := (sector+1)*int64(s.sector) - info.Bytes; over > 0 {
			clear(want[int64(s.sector)-over:])
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("sector %d holds other data", sector)
		}
	}
	if diff := cmp.Diff(slices.Collect(s.marks.All()), slices.Collect(m.All())); diff != "" {
		t.Fatalf("the map rebuilt from the sink, and the map: %s", diff)
	}
}

// disk returns a plan for a disk of so many MiB, with a cost that no read of a
// device at fault has.
func disk(mib int64, faults ...faulty.Fault) faulty.Plan {
	for i := range faults {
		if faults[i].Cost == 0 {
			faults[i].Cost = 3 * time.Second
		}
	}
	return faulty.Plan{
		Info: rescue.Info{Bytes: mib << 20, Sector: 512, Physical: 512},
		Cost: 7 * time.Millisecond, After: time.After, Faults: faults,
	}
}

func options() rescue.Options { return rescue.Options{Now: time.Now, After: time.After} }

// bad lists the runs of a map with a status.
func runs(m *mapfile.Map, s mapfile.Status) (out []mapfile.Run) {
	for r := range m.All() {
		if r.Status == s {
			out = append(out, r)
		}
	}
	return out
}

func TestRunRescuesAllButTheBadSectors(t *testing.T) {
	for _, tc := range []struct {
		name string
		plan faulty.Plan
		bad  []mapfile.Run
	}{
		{"healthy", disk(12), nil},
		{"one sector", disk(8, faulty.Fault{First: 5000, Sectors: 1}), []mapfile.Run{{First: 5000, Sectors: 1, Status: '-'}}},
		{"the first and the last", disk(8, faulty.Fault{First: 0, Sectors: 1}, faulty.Fault{First: 16383, Sectors: 1}), []mapfile.Run{{First: 0, Sectors: 1, Status: '-'}, {First: 16383, Sectors: 1, Status: '-'}}},
		{"a scratch", disk(8, faulty.Fault{First: 4000, Sectors: 200}), []mapfile.Run{{First: 4000, Sectors: 200, Status: '-'}}},
		{"short reads", disk(8, faulty.Fault{First: 4000, Sectors: 3, Kind: faulty.Short}), []mapfile.Run{{First: 4000, Sectors: 3, Status: '-'}}},
		{"healed at the second try", disk(8, faulty.Fault{First: 4000, Sectors: 3, Times: 1}), nil},
		{"no data and no error, once", disk(8, faulty.Fault{First: 4000, Sectors: 3, Kind: faulty.Nothing, Times: 1}), nil},
		{"slow", disk(8, faulty.Fault{First: 4000, Sectors: 3, Kind: faulty.Slow, Cost: 20 * time.Second}), nil},
		{"a bad cable, once", disk(8, faulty.Fault{First: 4000, Sectors: 3, Kind: faulty.Host, Times: 2}), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := faulty.New(tc.plan)
				sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
				var told []rescue.Status
				o := options()
				o.Progress = func(s rescue.Status) { told = append(told, s) }
				out, err := rescue.Run(t.Context(), d, sink, m, o)
				if err != nil || out.Stop != rescue.Finished || out.Err != nil {
					t.Fatalf("Run: %v %v, %v", out.Stop, out.Err, err)
				}
				sink.verify(t, d.Info(), m)
				if diff := cmp.Diff(tc.bad, runs(m, mapfile.Bad)); diff != "" {
					t.Errorf("bad sectors: %s", diff)
				}
				if out.Complete() != (tc.bad == nil) || out.Rescued+out.Bad != out.Bytes || out.Areas != int64(len(tc.bad)) {
					t.Errorf("outcome %+v", out)
				}
				if last := told[len(told)-1]; last != out.Status {
					t.Errorf("last told %+v, outcome %+v", last, out.Status)
				}
			})
		})
	}
}

func TestSourceThatEndsWithinASectorIsPaddedWithZeros(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := disk(2)
		plan.Info.Bytes -= 100
		d := faulty.New(plan)
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		out, err := rescue.Run(t.Context(), d, sink, m, options())
		if err != nil || !out.Complete() {
			t.Fatalf("%+v, %v", out, err)
		}
		sink.verify(t, d.Info(), m)
	})
}

func TestHungReadDoesNotBlockTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faulty.New(disk(16, faulty.Fault{First: 4100, Sectors: 1, Kind: faulty.Hang, Times: 1}))
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		o := options()
		hung, silent, last := 0, time.Duration(0), time.Duration(0)
		o.Progress = func(s rescue.Status) {
			hung = max(hung, s.Hung)
			silent, last = max(silent, s.Elapsed-last), s.Elapsed
		}
		out, err := rescue.Run(t.Context(), d, sink, m, o)
		if err != nil || out.Stop != rescue.Finished || !out.Complete() {
			t.Fatalf("%+v, %v", out, err)
		}
		if hung != 1 || out.Hung != 1 {
			t.Errorf("%d hung reads were told of, %d at the end", hung, out.Hung)
		}
		if silent > time.Second {
			t.Errorf("no status for %v", silent)
		}
		sink.verify(t, d.Info(), m)
		d.Release() // the abandoned read ends without harm
		synctest.Wait()
	})
}

func TestHungReadThatComesBackStillCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The sector can only be had from the read that hangs: any other fails.
		d := faulty.New(disk(16,
			faulty.Fault{First: 4100, Sectors: 1, Kind: faulty.Hang, Times: 1},
			faulty.Fault{First: 4100, Sectors: 1, Cost: 20 * time.Second}))
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		time.AfterFunc(40*time.Second, d.Release)
		out, err := rescue.Run(t.Context(), d, sink, m, options())
		if err != nil || out.Stop != rescue.Finished || !out.Complete() || out.Hung != 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		sink.verify(t, d.Info(), m)
	})
}

func TestCancelDoesNotWaitForAHungRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faulty.New(disk(16, faulty.Fault{First: 4100, Sectors: 1, Kind: faulty.Hang}))
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		start := time.Now()
		out, err := rescue.Run(ctx, d, sink, m, options())
		if err != nil || out.Stop != rescue.Cancelled || !errors.Is(out.Err, context.Canceled) {
			t.Fatalf("%+v, %v", out, err)
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("cancelled at 5 s, ended at %v", took)
		}
		if out.Failed+out.Bad > 0 || out.Rescued == 0 {
			t.Errorf("cancelling made %d bytes bad; %d rescued", out.Failed+out.Bad, out.Rescued)
		}
		sink.verify(t, d.Info(), m)
		d.Release()
		synctest.Wait()
	})
}

func TestSourceThatNeverAnswersIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faulty.New(disk(64, faulty.Fault{First: 20_000, Sectors: 100_000, Kind: faulty.Hang}))
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		out, err := rescue.Run(t.Context(), d, sink, m, options())
		if err != nil || out.Stop != rescue.NotAnswering || out.Hung == 0 || out.Bad > 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		sink.verify(t, d.Info(), m)
		d.Release()
		synctest.Wait()
	})
}

func TestVanishedSourceLeavesTheRestUntried(t *testing.T) {
	for _, tc := range []struct {
		name string
		kind faulty.Kind
		stop rescue.Stop
	}{
		{"unplugged", faulty.Vanish, rescue.SourceGone},
		{"another size", faulty.Resize, rescue.SourceChanged},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := faulty.New(disk(16, faulty.Fault{First: 20_500, Sectors: 1, Kind: tc.kind}))
				sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
				out, err := rescue.Run(t.Context(), d, sink, m, options())
				if err != nil || out.Stop != tc.stop || out.Err == nil {
					t.Fatalf("%+v, %v", out, err)
				}
				// The last MiB was read before: tables lie there. Of the reads that were under way
				// together with the one that failed, the disk answers the others or not.
				if got, most := out.Rescued, int64((20_480+2048)*512); got > most || got < most-1<<20 || out.Untried != out.Bytes-got {
					t.Errorf("%d bytes rescued, want %d; %d untried", got, most, out.Untried)
				}
				sink.verify(t, d.Info(), m)
			})
		})
	}
}

// TestDeviceThatFailsAtOnceMakesNothingBad is the disk that falls off its bus and
// answers EIO to everything: ddrescue marks the rest of it bad within seconds.
func TestDeviceThatFailsAtOnceMakesNothingBad(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after int
		m     func(*mapfile.Map)
	}{
		{"from the first read", 0, nil},
		{"in the sweep", 9, nil},
		{"while scraping", 9, func(m *mapfile.Map) { m.Set(0, m.Sectors(), mapfile.NonScraped) }},
		{"with almost nothing left", 38, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plan := disk(40)
				plan.VanishAfter, plan.VanishAs = tc.after, rescue.Medium
				d := faulty.New(plan)
				if tc.after == 0 {
					d.Vanish(rescue.Medium)
				}
				// Dead devices answer at once.
				plan.After = nil
				sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
				if tc.m != nil {
					tc.m(m)
					tc.m(sink.marks)
				}
				o := options()
				o.Now = quick()
				out, err := rescue.Run(t.Context(), d, sink, m, o)
				if err != nil || out.Stop != rescue.DeviceFault || !errors.Is(out.Err, rescue.ErrDeviceFault) || !errors.Is(out.Err, syscall.EIO) {
					t.Fatalf("%+v, %v", out, err)
				}
				if bad := runs(m, mapfile.Bad); bad != nil {
					t.Errorf("called bad: %v", bad)
				}
				if failed := runs(m, mapfile.NonTrimmed); failed != nil {
					t.Errorf("called failed: %v", failed)
				}
				if tc.after > 0 && out.Rescued == 0 {
					t.Error("nothing was rescued before")
				}
				sink.verify(t, d.Info(), m)
			})
		})
	}
}

// quick is a clock that a read does not make go on by more than some microseconds.
func quick() func() time.Time {
	start, n := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), atomic.Int64{}
	return func() time.Time { return start.Add(time.Duration(n.Add(1)) * time.Microsecond) }
}

// TestBadSectorsThatFailAtOnceAreStillBad is the disk that knows its bad sectors: it
// fails as fast as a dead one, and answers for the others.
func TestBadSectorsThatFailAtOnceAreStillBad(t *testing.T) {
	for _, tc := range []struct {
		name string
		bad  []mapfile.Run
	}{
		{"in the middle", []mapfile.Run{{First: 10_000, Sectors: 3_000, Status: '-'}}},
		{"half the disk, from its start", []mapfile.Run{{First: 0, Sectors: 50_000, Status: '-'}}},
		{"at the very end", []mapfile.Run{{First: 100_000, Sectors: 2_400, Status: '-'}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plan := disk(50)
				plan.After, plan.Cost = nil, 0
				for _, b := range tc.bad {
					plan.Faults = append(plan.Faults, faulty.Fault{First: b.First, Sectors: b.Sectors})
				}
				d := faulty.New(plan)
				sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
				out, err := rescue.Run(t.Context(), d, sink, m, options())
				if err != nil || out.Stop != rescue.Finished {
					t.Fatalf("%+v, %v", out, err)
				}
				if diff := cmp.Diff(tc.bad, runs(m, mapfile.Bad)); diff != "" {
					t.Error(diff)
				}
				sink.verify(t, d.Info(), m)
			})
		})
	}
}

func TestSourceThatLiesAboutAKnownSectorIsNotTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := disk(40, faulty.Fault{First: 40_000, Sectors: 40_000})
		plan.After, plan.Cost, plan.Faults[0].Cost = nil, 0, 0
		d := faulty.New(plan)
		sink := newMemory(d.Info())
		m := mapfile.New(d.Info().Sectors())
		src := &liar{Disk: d}
		o := options()
		o.InFlight = 1 // nothing can be known of what comes beside the failure that shows it
		out, err := rescue.Run(t.Context(), src, sink, m, o)
		if err != nil || out.Stop != rescue.SourceChanged || !errors.Is(out.Err, rescue.ErrInconsistent) {
			t.Fatalf("%+v, %v", out, err)
		}
		if out.Bad+out.Failed > 0 {
			t.Errorf("%d bytes were blamed", out.Bad+out.Failed)
		}
		sink.verify(t, d.Info(), m)
	})
}

// liar is a bridge that gives zeros as success once the disk behind it has failed.
type liar struct {
	*faulty.Disk
	mu     sync.Mutex
	failed bool
}

func (l *liar) ReadAt(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result {
	res := l.Disk.ReadAt(ctx, p, sector, deadline)
	l.mu.Lock()
	defer l.mu.Unlock()
	if res.Class != rescue.OK {
		l.failed = true
	} else if l.failed {
		clear(p)
	}
	return res
}

func TestSinkErrorEndsTheRunWithItsErrno(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faulty.New(disk(40))
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		sink.failAt, sink.failure = 7, fmt.Errorf("segment 0: %w", syscall.ENOSPC)
		out, err := rescue.Run(t.Context(), d, sink, m, options())
		if !errors.Is(err, syscall.ENOSPC) || out.Stop != rescue.SinkFailed {
			t.Fatalf("%+v, %v", out, err)
		}
		if out.Rescued != 6<<20 {
			t.Errorf("%d bytes are called rescued, the sink has %d", out.Rescued, 6<<20)
		}
		sink.verify(t, d.Info(), m)
	})
}

func TestSinkThatWaitsStopsTheReadingAndNotTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faulty.New(disk(150))
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		sink.block = make(chan struct{})
		o := options()
		told := 0
		o.Progress = func(rescue.Status) { told++ }
		time.AfterFunc(3*time.Minute, func() {
			if n := len(d.Attempts()); n > 96 {
				t.Errorf("%d reads while the sink waits", n)
			}
			close(sink.block)
		})
		out, err := rescue.Run(t.Context(), d, sink, m, o)
		if err != nil || !out.Complete() || told < 300 {
			t.Fatalf("%+v, %v; told %d times", out, err, told)
		}
		sink.verify(t, d.Info(), m)
	})
}

func TestCancelDoesNotWaitForASinkThatHangs(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprint("deaf ", deaf), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := faulty.New(disk(40))
				sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
				sink.block, sink.deaf = make(chan struct{}), deaf
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Minute, cancel)
				out, err := rescue.Run(ctx, d, sink, m, options())
				if deaf != errors.Is(err, rescue.ErrSinkHangs) || !deaf && (err != nil || out.Stop != rescue.Cancelled) {
					t.Fatalf("%+v, %v", out, err)
				}
				if out.Rescued != 0 || out.Elapsed > 70*time.Second {
					t.Errorf("%+v", out)
				}
				close(sink.block)
				synctest.Wait()
			})
		})
	}
}

// TestSinkMayKeepBuffersUntilTheyAreDurable holds on to everything; the run must go
// on as soon as buffers come back, and not before memory is used up.
func TestSinkMayKeepBuffersUntilTheyAreDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faulty.New(disk(150, faulty.Fault{First: 2048, Sectors: 2048, Cost: 10 * time.Millisecond}))
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		sink.hold = true
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Second):
					sink.flush()
				}
			}
		}()
		out, err := rescue.Run(t.Context(), d, sink, m, options())
		if err != nil || out.Rescued != 149<<20 || out.Bad != 1<<20 {
			t.Fatalf("%+v, %v", out, err)
		}
		close(stop)
		sink.verify(t, d.Info(), m)
		sink.flush() // also after the run
	})
}

// TestCutShortAnywhereAndResumedNothingIsLost cancels at random moments and goes on
// from the map that the sink's records give.
func TestCutShortAnywhereAndResumedNothingIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bad := rapid.Int64Range(0, 8_000).Draw(rt, "bad")
		length := rapid.Int64Range(1, 100).Draw(rt, "length")
		cuts := rapid.SliceOfN(rapid.IntRange(1, 30_000), 1, 5).Draw(rt, "milliseconds")
		synctest.Test(t, func(t *testing.T) {
			d := faulty.New(disk(4, faulty.Fault{First: bad, Sectors: length, Cost: 500 * time.Millisecond}))
			sink := newMemory(d.Info())
			for i := 0; ; i++ {
				ctx, cancel := context.WithCancel(t.Context())
				if i < len(cuts) {
					time.AfterFunc(time.Duration(cuts[i])*time.Millisecond, cancel)
				}
				m := sink.marks.Clone()
				out, err := rescue.Run(ctx, d, sink, m, options())
				cancel()
				if err != nil {
					t.Fatal(err)
				}
				sink.verify(t, d.Info(), m)
				if out.Stop == rescue.Finished {
					break
				}
			}
			want := []mapfile.Run{{First: bad, Sectors: length, Status: '-'}}
			if diff := cmp.Diff(want, runs(sink.marks, mapfile.Bad)); diff != "" {
				t.Fatal(diff)
			}
			if n := sink.marks.Totals().Sectors(mapfile.Rescued); n != 4<<11-length {
				t.Fatalf("%d sectors rescued", n)
			}
		})
	})
}

func TestMarksAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faulty.New(disk(8, faulty.Fault{First: 4096, Sectors: 2048, Cost: 10 * time.Millisecond}))
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		if _, err := rescue.Run(t.Context(), d, sink, m, options()); err != nil {
			t.Fatal(err)
		}
		marks := 0
		for _, c := range sink.calls {
			if c[0] == 'm' {
				marks++
			}
		}
		if marks > 60 {
			t.Errorf("%d marks for one bad area of 2048 sectors", marks)
		}
	})
}

func TestMapBesideAnImageIsObeyedWithoutTouching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faulty.New(disk(60))
		known := mapfile.New(d.Info().Sectors())
		known.Set(0, known.Sectors(), mapfile.Rescued)
		known.Set(0, 60_000, mapfile.Untried)
		known.Set(70_001, 3, mapfile.NonTrimmed)
		known.Set(100_000, 1, mapfile.Bad)
		src, err := rescue.WithMap(d, known)
		if err != nil {
			t.Fatal(err)
		}
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		out, err := rescue.Run(t.Context(), src, sink, m, options())
		if err != nil || out.Stop != rescue.Finished {
			t.Fatalf("%+v, %v", out, err)
		}
		want := []mapfile.Run{{First: 0, Sectors: 60_000, Status: '-'}, {First: 70_001, Sectors: 3, Status: '-'}, {First: 100_000, Sectors: 1, Status: '-'}}
		if diff := cmp.Diff(want, runs(m, mapfile.Bad)); diff != "" {
			t.Error(diff)
		}
		for _, a := range d.Attempts() {
			for r := range known.Within(a.First, a.Sectors) {
				if r.Status != mapfile.Rescued {
					t.Errorf("%+v touches %v", a, r)
				}
			}
		}
		sink.verify(t, d.Info(), m)
		if _, err := rescue.WithMap(d, mapfile.New(5)); !errors.Is(err, mapfile.ErrSize) {
			t.Errorf("a map of another size: %v", err)
		}
	})
}

func TestRunRefusesWhatDoesNotFitTogether(t *testing.T) {
	d := faulty.New(disk(1))
	for _, tc := range []struct {
		name string
		m    *mapfile.Map
		edit func(*rescue.Options)
	}{
		{"a map of another size", mapfile.New(5), func(*rescue.Options) {}},
		{"no clock", mapfile.New(2048), func(o *rescue.Options) { o.Now = nil }},
		{"no timer", mapfile.New(2048), func(o *rescue.Options) { o.After = nil }},
		{"a planner that asks for too much", mapfile.New(2048), func(o *rescue.Options) {
			o.Planner = func(*mapfile.Map, rescue.Info) rescue.Planner { return greedy{} }
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options()
			tc.edit(&o)
			if _, err := rescue.Run(t.Context(), d, newMemory(d.Info()), tc.m, o); !errors.Is(err, rescue.ErrOptions) {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// greedy asks for more than there is.
type greedy struct{}

func (greedy) Next() (rescue.Read, bool)                            { return rescue.Read{First: 2000, Sectors: 2048}, true }
func (greedy) Done(rescue.Read, rescue.Result) (none []mapfile.Run) { return nil }

// nowhere is a sink that lets go at once.
type nowhere struct{}

func (nowhere) Write(_ context.Context, _ int64, _ []byte, _ uint8, release func()) error {
	release()
	return nil
}
func (nowhere) Mark(context.Context, int64, int64, byte, uint8) error { return nil }

// zeros is a source that costs nothing, to see what the engine itself costs.
type zeros struct{ info rescue.Info }

func (z zeros) ReadAt(_ context.Context, p []byte, _ int64, _ time.Duration) rescue.Result {
	return rescue.Result{Good: int64(len(p) / z.info.Sector), Fail: -1}
}
func (z zeros) Info() rescue.Info { return z.info }
func (z zeros) Close() error      { return nil }

func BenchmarkEngineAlone(b *testing.B) {
	info := rescue.Info{Bytes: 4 << 30, Sector: 512, Physical: 4096}
	b.SetBytes(info.Bytes)
	for b.Loop() {
		out, err := rescue.Run(b.Context(), zeros{info}, nowhere{}, mapfile.New(info.Sectors()), options())
		if err != nil || !out.Complete() {
			b.Fatal(out, err)
		}
	}
}
