package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/rescue"
	"salvor/rescue/mapfile"
	"salvor/rescue/sim"
)

const gb = 1_000_000_000

func disk(t testing.TB, model sim.Model, bytes int64, seed uint64) *sim.Disk {
	t.Helper()
	d, err := sim.New(model, bytes, seed)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func strategy(o rescue.StrategyOptions) sim.Make {
	return func(m *mapfile.Map, i rescue.Info) sim.Strategy { return rescue.NewStrategy(m, i, o) }
}

func drive(t testing.TB, d *sim.Disk, o rescue.StrategyOptions, limit time.Duration) (sim.Score, *mapfile.Map) {
	t.Helper()
	s, m, err := sim.Drive(d, strategy(o), limit)
	if err != nil {
		t.Fatal(err)
	}
	return s, m
}

func TestSameSeedGivesTheSameDiskAndTheSameRescue(t *testing.T) {
	for _, model := range sim.Models() {
		t.Run(string(model), func(t *testing.T) {
			a, _ := drive(t, disk(t, model, 3*gb, 7), rescue.StrategyOptions{}, time.Hour)
			b, _ := drive(t, disk(t, model, 3*gb, 7), rescue.StrategyOptions{}, time.Hour)
			if diff := cmp.Diff(a, b); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRescueThatFinishesHasAllThatCanBeRead is the promise that no skip, no tier and no
// floor leaves anything behind, for disks far larger than a property test can draw.
func TestRescueThatFinishesHasAllThatCanBeRead(t *testing.T) {
	for _, model := range []sim.Model{sim.Healthy, sim.Clusters, sim.SlowHead, sim.Scratch, sim.WeakHead} {
		for _, sense := range []bool{true, false} {
			t.Run(fmt.Sprint(model, " sense ", sense), func(t *testing.T) {
				d := disk(t, model, 4*gb, 3)
				d.Sense(sense)
				s, m := drive(t, d, rescue.StrategyOptions{InFlight: 2}, 10_000*time.Hour)
				if !s.Finished || s.Share != 1 {
					t.Fatalf("finished %v with a share of %v", s.Finished, s.Share)
				}
				truth := d.Map()
				for r := range truth.All() {
					for got := range m.Within(r.First, r.Sectors) {
						if got.Status != r.Status {
							t.Fatalf("%v is %v in truth", got, r)
						}
					}
				}
				if sense && s.BadReads != d.Bad() {
					t.Errorf("%d failed reads for %d bad sectors", s.BadReads, d.Bad())
				}
			})
		}
	}
}

// TestStrategyKeepsItsGoals guards what the strategy reaches, on disks of another size
// than the benchmark's. The bounds are the goals where they say a number.
func TestStrategyKeepsItsGoals(t *testing.T) {
	for _, tc := range []struct {
		model sim.Model
		holds func(sim.Score) bool
		says  string
	}{
		{sim.WeakHead, func(s sim.Score) bool { return s.At30 >= 0.8 }, "80 % of what is allocated after 30 minutes"},
		{sim.DeadHead, func(s sim.Score) bool { return s.AtErrors >= 0.8 }, "80 % of what is allocated after 10 minutes of error recovery"},
		{sim.Hang, func(s sim.Score) bool { return s.T90 < 40*time.Minute }, "90 % within 40 minutes"},
		{sim.Disease, func(s sim.Score) bool { return s.T90 < 40*time.Minute && s.Reopened > 0 }, "90 % within 40 minutes, reopened"},
		{sim.Flash, func(s sim.Score) bool { return s.T99 < 40*time.Minute }, "99 % within 40 minutes"},
		{sim.WearOut, func(s sim.Score) bool { return s.Share >= 0.8 }, "80 % before the disk dies"},
	} {
		t.Run(string(tc.model), func(t *testing.T) {
			for seed := range uint64(3) {
				if s, _ := drive(t, disk(t, tc.model, 60*gb, 20+seed), rescue.StrategyOptions{}, 2*time.Hour); !tc.holds(s) {
					t.Errorf("seed %d: not %s: %+v", 20+seed, tc.says, s)
				}
			}
		})
	}
}

// TestRhythmThatBreaksCostsNoData is a disk whose bad runs come back at an even distance,
// and half way at another one.
func TestRhythmThatBreaksCostsNoData(t *testing.T) {
	const mb = 1_000_000 / sim.Sector
	m := mapfile.New(30_000 * mb)
	m.Set(0, m.Sectors(), mapfile.Rescued)
	for at, way := int64(100*mb), int64(400*mb); at < m.Sectors()-40*mb; at += way {
		if at > m.Sectors()/2 {
			way = 530 * mb
		}
		for part := range int64(80) {
			m.Set(at+part*mb/2, 8, mapfile.Bad)
		}
	}
	d, err := sim.FromMap(m, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, sense := range []bool{true, false} {
		d.Sense(sense)
		if s, _ := drive(t, d, rescue.StrategyOptions{InFlight: 2}, 1000*time.Hour); !s.Finished || s.Share != 1 {
			t.Errorf("finished %v with a share of %v", s.Finished, s.Share)
		}
	}
}

// TestRhythmSparesTheDisk is a dead head on a disk so large that a failure in each of its
// zones would take longer than the disk may live.
func TestRhythmSparesTheDisk(t *testing.T) {
	s, _ := drive(t, disk(t, sim.DeadHead, 500*gb, 21), rescue.StrategyOptions{}, 40*time.Minute)
	if s.AtErrors < 0.95 {
		t.Errorf("%.2f of what is allocated after 10 minutes of error recovery", s.AtErrors)
	}
}

func TestPlanningAHundredGigabytesTakesNoTime(t *testing.T) {
	s, _ := drive(t, disk(t, sim.DeadHead, 100*gb, 1), rescue.StrategyOptions{}, 10*time.Hour)
	if s.Reads > 200_000 {
		t.Errorf("%d reads", s.Reads)
	}
}

func TestReplayChargesAnotherToolTheSame(t *testing.T) {
	m := mapfile.New(1 << 14)
	m.Set(0, m.Sectors(), mapfile.Rescued)
	m.Set(4096, 8, mapfile.Bad)
	d, err := sim.FromMap(m, 5)
	if err != nil {
		t.Fatal(err)
	}
	log := "# Reads Logfile.\n#  Ipos       Size  Copied_size  Error_size\n" +
		"0x00000000\t1048576\t1048576\t0\n0x00200000\t65536\t0\t65536\n0x00201000\t61440\t61440\t0\n"
	r := sim.NewReplay(d, time.Hour)
	if over, err := r.Log(strings.NewReader(log)); over || err != nil {
		t.Fatal(over, err)
	}
	s := r.Finish(true)
	if s.Reads != 3 || s.BadReads != 1 || s.BadKnown != 1 || s.Elapsed < time.Second {
		t.Errorf("%+v", s)
	}
	for _, wrong := range []string{
		"0x00200000\t65536\t65536\t0\n", // copied what cannot be read
		"0x00000000\t65536\t0\t65536\n", // failed where nothing is bad
		"0x00000000\t65536\n", "0x0\t512\tx\t0\n", "0x900000\t512\t512\t0\n",
	} {
		if _, err := sim.NewReplay(d, time.Hour).Log(strings.NewReader(wrong)); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func TestMapOfARealDiskIsAFailureModel(t *testing.T) {
	m := mapfile.New(1 << 20)
	m.Set(0, m.Sectors(), mapfile.Rescued)
	m.Set(5000, 3, mapfile.Bad)
	d, err := sim.FromMap(m, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := d.Map().Get(5000), (mapfile.Run{First: 5000, Sectors: 8, Status: mapfile.Bad}); got != want {
		t.Errorf("%v, want %v: physical sectors fail whole", got, want)
	}
}

func TestTooSmallOrUnknownIsRefused(t *testing.T) {
	if _, err := sim.New(sim.Healthy, 1000, 1); err == nil {
		t.Error("a disk of 1000 bytes")
	}
	if _, err := sim.New("rust", gb, 1); err == nil {
		t.Error("an unknown model")
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, model := range []sim.Model{sim.Clusters, sim.DeadHead, sim.WeakHead, sim.Scratch} {
		b.Run(string(model), func(b *testing.B) {
			reads := int64(0)
			for b.Loop() {
				s, _ := drive(b, disk(b, model, 100*gb, 1), rescue.StrategyOptions{}, 5*time.Hour)
				reads += s.Reads
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(reads), "ns/read")
		})
	}
}
