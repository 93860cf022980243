package rescue_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/mapfile"
)

// The strategy through the executor, on disks of some MiB that fail in every way that a
// real disk was seen to fail, against the truth sector by sector.

// kills is how many times a run is killed or loses its disk in
// TestKilledOrUnpluggedAnywhereNothingIsLost: go test ./rescue -run Killed -args -kills 1000.
var kills = flag.Int("kills", 60, "times that a run is killed or loses its disk")

const mib = 2048 // sectors

// ailments are the failure models, scaled down to disks of 24 MiB.
var ailments = []string{"healthy", "clusters", "dead head", "weak head", "slow head", "scratch", "hang", "drops off", "device fault", "freezes"}

// ailing draws a disk that fails in the way of an ailment.
func ailing(ailment string, r *rand.Rand) faulty.Plan {
	p := disk(24)
	p.Info.Physical = 4096
	p.Sense = r.IntN(2) == 0
	p.Partial = p.Sense || r.IntN(2) == 0
	last := int64(24*mib - 8)
	bad := func(first, n int64) {
		first = first / 8 * 8
		for _, f := range p.Faults {
			if f.First < first+n && first < f.First+f.Sectors {
				return
			}
		}
		p.Faults = append(p.Faults, faulty.Fault{First: first, Sectors: n, Cost: 3 * time.Second})
	}
	zone := func(f func(first, n int64)) {
		for at := r.Int64N(8 * mib); at < last-2*mib; at += 8 * mib {
			f(at/8*8, 2*mib)
		}
	}
	dead := func() {
		zone(func(first, n int64) {
			for at := first; at < first+n; at += 256 {
				if r.IntN(30) > 0 {
					bad(at, 128+r.Int64N(16)*8)
				}
			}
		})
	}
	switch ailment {
	case "clusters":
		for range 4 {
			at := r.Int64N(last - 800)
			for range 20 {
				bad(at+r.Int64N(800), 8)
			}
		}
	case "dead head":
		dead()
	case "weak head":
		zone(func(first, n int64) {
			for range 8 {
				bad(first+r.Int64N(n-8), 8)
			}
		})
	case "slow head":
		zone(func(first, n int64) {
			p.Faults = append(p.Faults, faulty.Fault{First: first, Sectors: n, Kind: faulty.Slow, Cost: 700 * time.Millisecond})
			bad(first+r.Int64N(n-8), 8)
		})
	case "scratch":
		for at := r.Int64N(2700); at < last-24; at += 2734 {
			bad(at, 24)
		}
	case "hang":
		dead()
		p.Faults = append(p.Faults, faulty.Fault{First: r.Int64N(last) / 8 * 8, Sectors: 8, Kind: faulty.Hang, Times: 1})
	case "drops off":
		dead()
		p.VanishAfter, p.VanishAs = 5+r.IntN(60), rescue.Gone
	case "device fault":
		bad(r.Int64N(last), 8)
		p.VanishAfter, p.VanishAs = 5+r.IntN(30), rescue.Medium
	case "freezes":
		for range 3 {
			p.Faults = append(p.Faults, faulty.Fault{First: r.Int64N(last) / 8 * 8, Sectors: 8, Kind: faulty.Hang, Times: 1})
		}
	}
	return p
}

// truth is what a map must say in the end.
func truth(p faulty.Plan) *mapfile.Map {
	m := mapfile.New(p.Info.Sectors())
	m.Set(0, m.Sectors(), mapfile.Rescued)
	for _, f := range p.Faults {
		if f.Kind == faulty.Bad {
			m.Set(f.First, f.Sectors, mapfile.Bad)
		}
	}
	return m
}

// journaled is a sink that makes durable what it was given every second or 64 MiB, in the
// order in which it came, and loses the rest when it is killed.
type journaled struct {
	info rescue.Info

	mu      sync.Mutex
	data    []byte // durable
	state   *mapfile.Map
	waiting []func() // writes and marks that are not durable
	release []func()
	pending int
	dead    bool
}

func newJournaled(info rescue.Info) *journaled {
	return &journaled{info: info, data: make([]byte, info.Sectors()*int64(info.Sector)), state: mapfile.New(info.Sectors())}
}

func (j *journaled) Write(_ context.Context, first int64, p []byte, _ uint8, release func()) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead {
		release()
		return nil
	}
	kept, size := bytes.Clone(p), int64(j.info.Sector)
	j.waiting = append(j.waiting, func() {
		copy(j.data[first*size:], kept)
		j.state.Set(first, int64(len(kept))/size, mapfile.Rescued)
	})
	j.release = append(j.release, release)
	if j.pending += len(p); j.pending >= 64<<20 {
		j.commit(len(j.waiting))
	}
	return nil
}

func (j *journaled) Mark(_ context.Context, first, n int64, status byte, _ uint8) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead {
		return nil
	}
	j.waiting = append(j.waiting, func() {
		for _, r := range slices.Collect(j.state.Within(first, n)) {
			if r.Status != mapfile.Rescued {
				j.state.Set(r.First, r.Sectors, mapfile.Status(status))
			}
		}
	})
	return nil
}

// commit makes the first n things durable. The caller holds the lock.
func (j *journaled) commit(n int) {
	for _, do := range j.waiting[:n] {
		do()
	}
	for _, free := range j.release {
		free()
	}
	j.waiting, j.release, j.pending = nil, nil, 0
}

// beat commits every second until stop is closed.
func (j *journaled) beat(stop <-chan struct{}) {
	for {
		select {
		case <-time.After(time.Second):
			j.mu.Lock()
			j.commit(len(j.waiting))
			j.mu.Unlock()
		case <-stop:
			return
		}
	}
}

// kill loses what is not durable, but for the first things of it, as the disk had it.
func (j *journaled) kill(r *rand.Rand) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.commit(r.IntN(len(j.waiting) + 1))
	j.dead = true
}

// end makes all durable, as at the end of a run, unless it was killed.
func (j *journaled) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.commit(len(j.waiting))
	j.dead = false
}

// check compares what is durable with the disk.
func (j *journaled) check(t *testing.T) {
	t.Helper()
	size := int64(j.info.Sector)
	want := make([]byte, size)
	for r := range j.state.All() {
		if r.Status != mapfile.Rescued {
			continue
		}
		for s := r.First; s < r.End(); s++ {
			if faulty.Sector(want, s); !bytes.Equal(want, j.data[s*size:(s+1)*size]) {
				t.Fatalf("sector %d holds other data", s)
			}
		}
	}
}

// wronglyBad checks that a map calls nothing bad that can be read.
func wronglyBad(t *testing.T, got, want *mapfile.Map) {
	t.Helper()
	for r := range got.All() {
		if r.Status != mapfile.Bad {
			continue
		}
		for is := range want.Within(r.First, r.Sectors) {
			if is.Status != mapfile.Bad {
				t.Fatalf("%v is called bad", is)
			}
		}
	}
}

// treat runs until all is rescued or bad, as the command does: when the disk is gone, hangs
// or fails everything at once it is plugged in again.
func treat(t *testing.T, d *faulty.Disk, sink *journaled, o rescue.Options) (stops []rescue.Stop) {
	t.Helper()
	for range 20 {
		m := sink.state.Clone()
		stop := make(chan struct{})
		go sink.beat(stop)
		out, err := rescue.Run(t.Context(), d, sink, m, o)
		close(stop)
		sink.end()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slices.Collect(sink.state.All()), slices.Collect(m.All())); diff != "" {
			t.Fatalf("what is durable, and the map: %s", diff)
		}
		stops = append(stops, out.Stop)
		d.Vanish(rescue.OK)
		if out.Stop == rescue.Finished && out.Untried+out.Failed == 0 {
			return stops
		}
	}
	t.Fatalf("no end: %v", stops)
	return nil
}

func TestStrategyThroughTheExecutorGetsTheTruth(t *testing.T) {
	for _, ailment := range ailments {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(ailment, seed), func(t *testing.T) {
				plan := ailing(ailment, rand.New(rand.NewPCG(seed, 7)))
				var attempts [][]faulty.Attempt
				for _, inFlight := range []int{1, 1, 3} {
					synctest.Test(t, func(t *testing.T) {
						d := faulty.New(plan)
						sink := newJournaled(d.Info())
						o := options()
						o.InFlight = inFlight
						stops := treat(t, d, sink, o)
						if diff := cmp.Diff(slices.Collect(truth(plan).All()), slices.Collect(sink.state.All())); diff != "" {
							t.Errorf("the truth, and what was rescued: %s", diff)
						}
						sink.check(t)
						attempts = append(attempts, d.Attempts())
						switch ailment {
						case "drops off":
							if stops[0] != rescue.SourceGone {
								t.Errorf("ended as %v", stops)
							}
						case "device fault":
							if stops[0] != rescue.DeviceFault {
								t.Errorf("ended as %v", stops)
							}
						}
						d.Release()
						synctest.Wait()
					})
				}
				if diff := cmp.Diff(attempts[0], attempts[1]); diff != "" {
					t.Errorf("the same disk was read in another order: %s", diff)
				}
			})
		}
	}
}

// TestKilledOrUnpluggedAnywhereNothingIsLost kills a run at any moment, or takes its disk
// away, and goes on from what is durable.
func TestKilledOrUnpluggedAnywhereNothingIsLost(t *testing.T) {
	const each = 5
	for seed := range uint64((*kills + each - 1) / each) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 11))
				ailment := ailments[r.IntN(len(ailments))]
				plan := ailing(ailment, r)
				plan.VanishAfter = 0
				want := truth(plan)
				d := faulty.New(plan)
				sink := newJournaled(d.Info())
				o := options()
				o.InFlight = 1 + r.IntN(3)
				for range each {
					m := sink.state.Clone()
					known := m.Totals().Sectors(mapfile.Rescued)
					before := len(d.Attempts())
					ctx, cancel := context.WithCancel(t.Context())
					when := time.Duration(r.ExpFloat64() * float64(20*time.Second))
					killed := false
					timer := time.AfterFunc(when, func() {
						switch r.IntN(3) {
						case 0:
							d.Vanish(rescue.Gone)
						case 1:
							d.Vanish(rescue.Medium) // and every read fails at once
						default:
							killed = true
							sink.kill(r)
							cancel()
						}
					})
					stop := make(chan struct{})
					go sink.beat(stop)
					out, err := rescue.Run(ctx, d, sink, m, o)
					timer.Stop()
					cancel()
					close(stop)
					if err != nil {
						t.Fatal(err)
					}
					sink.end()
					d.Vanish(rescue.OK)
					sink.check(t)
					wronglyBad(t, sink.state, want)
					if now := sink.state.Totals().Sectors(mapfile.Rescued); now < known {
						t.Fatalf("%d sectors were rescued, and %d are", known, now)
					}
					lost := int64(0)
					for _, a := range d.Attempts()[before:] {
						for s := range sink.state.Within(a.First, a.Good) {
							if s.Status != mapfile.Rescued {
								lost += s.Sectors
							}
						}
					}
					if lost > 64*mib || !killed && out.Stop != rescue.Cancelled && lost > 16*mib {
						t.Fatalf("%d sectors have to be read again", lost)
					}
				}
				treat(t, d, sink, o)
				if diff := cmp.Diff(slices.Collect(want.All()), slices.Collect(sink.state.All())); diff != "" {
					t.Errorf("%s: the truth, and what was rescued: %s", ailment, diff)
				}
				sink.check(t)
				d.Release()
				synctest.Wait()
			})
		})
	}
}

// TestStatusGoesOnWhileEveryReaderHangs is the disk that does not answer for 180 seconds.
func TestStatusGoesOnWhileEveryReaderHangs(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		t.Run(fmt.Sprint("cancelled ", cancelled), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plan := disk(24, faulty.Fault{First: 8 * mib, Sectors: 15 * mib, Kind: faulty.Hang})
				d := faulty.New(plan)
				sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				o := options()
				silent, last, unknown := time.Duration(0), time.Duration(0), 0
				o.Progress = func(s rescue.Status) {
					silent, last = max(silent, s.Elapsed-last), s.Elapsed
					if s.Hung > 0 && s.InFlight == 0 && s.Outlook.P90 == rescue.Unknown {
						unknown++
					}
				}
				var ended time.Duration
				start := time.Now()
				time.AfterFunc(180*time.Second, func() {
					if cancelled {
						cancel()
					} else {
						d.Release()
					}
				})
				out, err := rescue.Run(ctx, d, sink, m, o)
				ended = time.Since(start)
				if err != nil || silent > time.Second || unknown == 0 {
					t.Fatalf("%v; no status for %v; %d times nobody knew", err, silent, unknown)
				}
				if cancelled {
					if out.Stop != rescue.Cancelled || ended > 183*time.Second {
						t.Errorf("%v after %v", out.Stop, ended)
					}
					d.Release()
				} else if out.Stop != rescue.Finished || !out.Complete() {
					t.Errorf("%v: %+v", out.Stop, out)
				}
				sink.verify(t, d.Info(), m)
				synctest.Wait()
			})
		})
	}
}
