package rescue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/mapfile"
)

// sluggish is a disk on which every read takes long, from some read on until it is opened anew.
type sluggish struct {
	*faulty.Disk
	reopen func(ctx context.Context) error // what reopening does besides

	mu      sync.Mutex
	reads   int
	slow    bool
	after   int // reads after which it becomes slow
	reopens []time.Time
}

func (s *sluggish) ReadAt(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result {
	s.mu.Lock()
	s.reads++
	if s.reads == s.after {
		s.slow = true
	}
	slow := s.slow
	s.mu.Unlock()
	if slow {
		<-time.After(500 * time.Millisecond)
	}
	return s.Disk.ReadAt(ctx, p, sector, deadline)
}

func (s *sluggish) Reopen(ctx context.Context) error {
	s.mu.Lock()
	s.reopens = append(s.reopens, time.Now())
	s.slow = false
	s.mu.Unlock()
	if s.reopen != nil {
		return s.reopen(ctx)
	}
	return nil
}

func (s *sluggish) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reopens
}

func TestSourceThatBecameSlowIsReopened(t *testing.T) {
	gone := errors.New("gone for good")
	for _, tc := range []struct {
		name   string
		reopen func(context.Context) error
		stop   rescue.Stop
	}{
		{"and is quick again", nil, rescue.Finished},
		{"and is gone", func(context.Context) error { return gone }, rescue.SourceGone},
		{"and hangs", func(context.Context) error { <-time.After(time.Hour); return nil }, rescue.NotAnswering},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &sluggish{Disk: faulty.New(disk(96)), reopen: tc.reopen, after: 20}
				sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
				out, err := rescue.Run(t.Context(), d, sink, m, options())
				if err != nil || out.Stop != tc.stop || len(d.times()) != 1 {
					t.Fatalf("%+v, %v; %d times", out, err, len(d.times()))
				}
				if tc.stop == rescue.Finished && !out.Complete() {
					t.Errorf("%+v", out)
				}
				sink.verify(t, d.Info(), m)
				time.Sleep(2 * time.Hour) // until the reopening that hangs has ended
			})
		})
	}
}

func TestReopeningThatDoesNotHelpIsNotRepeatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &sluggish{Disk: faulty.New(disk(300)), after: 20}
		d.reopen = func(context.Context) error { d.mu.Lock(); d.slow = true; d.mu.Unlock(); return nil }
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		out, err := rescue.Run(t.Context(), d, sink, m, options())
		if err != nil || !out.Complete() || len(d.times()) < 2 {
			t.Fatalf("%+v, %v; reopened %d times", out, err, len(d.times()))
		}
		for i := 1; i < len(d.times()); i++ {
			if d.times()[i].Sub(d.times()[i-1]) < time.Minute {
				t.Errorf("reopened at %v", d.times())
			}
		}
	})
}

// hesitant is a planner that has nothing to read until it was woken.
type hesitant struct {
	rescue.Planner
	mu   sync.Mutex
	open bool
	wake func()
}

func (h *hesitant) ready() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.open }

func (h *hesitant) Next() (rescue.Read, bool) {
	if !h.ready() {
		return rescue.Read{}, false
	}
	return h.Planner.Next()
}
func (h *hesitant) Wake(wake func()) { h.wake = wake }
func (h *hesitant) Waiting() bool    { return !h.ready() }

func TestPlannerThatWaitsIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faulty.New(disk(8))
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		o := options()
		o.Planner = func(m *mapfile.Map, i rescue.Info) rescue.Planner {
			h := &hesitant{Planner: rescue.NewStrategy(m, i, rescue.StrategyOptions{})}
			time.AfterFunc(time.Minute, func() {
				h.mu.Lock()
				h.open = true
				h.mu.Unlock()
				h.wake()
			})
			return h
		}
		out, err := rescue.Run(t.Context(), d, sink, m, o)
		if err != nil || !out.Complete() || out.Elapsed < time.Minute {
			t.Fatalf("%+v, %v", out, err)
		}
	})
}

// TestZerosBehindAFailureAreTakenWhenACanaryVouches is a disk with an empty area behind a
// bad sector: what looks like a lie is none.
func TestZerosBehindAFailureAreTakenWhenACanaryVouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := faulty.New(disk(16, faulty.Fault{First: 5000, Sectors: 8}, faulty.Fault{First: 8192, Sectors: 16_384, Kind: faulty.Lie}))
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		out, err := rescue.Run(t.Context(), d, sink, m, options())
		if err != nil || out.Stop != rescue.Finished || out.Bad != 8*512 || out.Untried+out.Failed > 0 {
			t.Fatalf("%+v, %v", out, err)
		}
	})
}

func TestSourcesOfAnySizeAreReadWhole(t *testing.T) {
	for _, bytes := range []int64{1, 100, 512, 513, 4096, 4097, 700_000, 1 << 20, 1<<20 + 1, 2<<20 - 1, 3_000_001} {
		synctest.Test(t, func(t *testing.T) {
			plan := disk(1)
			plan.Info.Bytes, plan.Info.Physical = bytes, 4096
			d := faulty.New(plan)
			sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
			out, err := rescue.Run(t.Context(), d, sink, m, options())
			if err != nil || !out.Complete() {
				t.Fatalf("%d bytes: %+v, %v", bytes, out, err)
			}
			for _, a := range d.Attempts() {
				for _, b := range d.Attempts() {
					if a != b && a.First < b.First+b.Sectors && b.First < a.First+a.Sectors {
						t.Errorf("%d bytes: %v and %v overlap", bytes, a, b)
					}
				}
			}
			sink.verify(t, d.Info(), m)
		})
	}
}

func TestResumedRunScoutsNothingAgain(t *testing.T) {
	info := rescue.Info{Bytes: 64 << 20, Sector: 512, Physical: 4096}
	disk := faulty.New(faulty.Plan{Info: info, Faults: []faulty.Fault{{First: 0, Sectors: 8}, {First: 60 * mib, Sectors: 8}}})
	m := mapfile.New(info.Sectors())
	for n, p := 0, rescue.NewStrategy(m, info, rescue.StrategyOptions{}); n < 20; n++ {
		r, _ := p.Next()
		p.Done(r, disk.ReadAt(t.Context(), make([]byte, r.Sectors*512), r.First, 0))
	}
	if r, ok := rescue.NewStrategy(m, info, rescue.StrategyOptions{}).Next(); !ok || r.Pass != rescue.PassSweep {
		t.Errorf("resumed with %+v", r)
	}
}
