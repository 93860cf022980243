package triage

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"salvor/rescue"
	"salvor/rescue/layout"
	"salvor/rescue/mapfile"
)

// fragile is a file that fails at some point, and stays broken.
type fragile struct {
	file
	left  atomic.Int64 // operations before it fails
	errno error
	kind  int // 0 fails in writing, 1 in reading, 2 in asking for room, 3 writes half
}

func (f *fragile) broken(kind int) bool { return f.kind == kind && f.left.Add(-1) < 0 }

func (f *fragile) WriteAt(p []byte, off int64) (int, error) {
	if f.broken(0) {
		return 0, &os.PathError{Op: "write", Path: "scratch", Err: f.errno}
	}
	if f.broken(3) {
		n, _ := f.file.WriteAt(p[:len(p)/2], off)
		return n, &os.PathError{Op: "write", Path: "scratch", Err: f.errno}
	}
	return f.file.WriteAt(p, off)
}

func (f *fragile) ReadAt(p []byte, off int64) (int, error) {
	if f.broken(1) {
		return 0, &os.PathError{Op: "read", Path: "scratch", Err: f.errno}
	}
	return f.file.ReadAt(p, off)
}

func (f *fragile) Free() (int64, error) {
	if f.broken(2) {
		return 0, f.errno
	}
	return f.file.Free()
}

// TestTriageNeverCostsData rescues small disks of every kind with bad sectors anywhere,
// with nonsense in their metadata, interrupted and gone on with, with scratches that
// break: in the end every good sector is rescued, or with Used every one that the file
// system calls used, and none twice.
func TestTriageNeverCostsData(t *testing.T) {
	images := map[string][]byte{}
	for _, name := range seeds {
		if data := seed(t, name); len(data) <= 12<<20 {
			images[name] = data
		}
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range images {
			if !yield(name) {
				return
			}
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom(names).Draw(rt, "image")
		data := images[name]
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		sectors := int64(len(data) / 512)
		nonsense := rapid.IntRange(0, 3).Draw(rt, "nonsense") == 0
		if nonsense {
			data = slices.Clone(data)
			for range 20 {
				at := rnd.IntN(len(data))
				if rnd.IntN(2) == 0 {
					at = rnd.IntN(64 << 10)
				}
				for i := at; i < min(at+1+rnd.IntN(8), len(data)); i++ {
					data[i] = byte(rnd.Uint32())
				}
			}
		}
		tiers := tierMap(truth(t, data, layout.Options{}), sectors)
		var bad []int64
		for range rapid.IntRange(0, 6).Draw(rt, "areas") {
			at := rnd.Int64N(sectors)
			if rnd.IntN(2) == 0 { // in the metadata rather
				for range 200 {
					if at = rnd.Int64N(sectors); tiers[at] <= rescue.TierMetadata {
						break
					}
				}
			}
			for s := at; s < min(at+1+rnd.Int64N(20), sectors); s++ {
				bad = append(bad, s)
			}
		}
		so := rescue.StrategyOptions{Used: rapid.Bool().Draw(rt, "used"), InFlight: 1}
		o := Options{Dir: t.TempDir()}
		if rapid.Bool().Draw(rt, "first") {
			o.First = []string{"folder 2", "x.bin"}
		}
		if rapid.IntRange(0, 4).Draw(rt, "little again") == 0 {
			o.Again = 20 << 10
		}
		if rapid.IntRange(0, 4).Draw(rt, "little room") == 0 {
			o.Cap = rapid.Int64Range(512, 2<<20).Draw(rt, "cap")
		}
		d, m := newDisk(data, bad...), mapfile.New(sectors)
		stops := rapid.SliceOfN(rapid.IntRange(1, 40), 0, 2).Draw(rt, "stops")
		fault := rapid.IntRange(-1, 3).Draw(rt, "fault")
		left := rapid.Int64Range(0, 200).Draw(rt, "operations")
		keeps := rapid.Bool().Draw(rt, "keeps the tiers")
		for i := 0; i <= len(stops); i++ {
			r := run{d: d, m: m, o: o, so: so}
			if i < len(stops) {
				r.stop = stops[i]
			}
			r.prep = func(tr *Triage) {
				if fault >= 0 && tr.scratch != nil {
					f := &fragile{file: tr.scratch.f, kind: fault, errno: []error{syscall.EIO, syscall.ENOSPC}[left%2]}
					f.left.Store(left)
					tr.scratch.f = f
				}
			}
			r.after = func(t *testing.T, tr *Triage, _ *memory) {
				if err := tr.Finish(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				if keeps {
					o.Known = tr.Tiers()
				}
				for _, g := range o.Known.regions() {
					for s := g.First; s < g.End(); s++ {
						if !nonsense && g.Tier == rescue.TierFree && tiers[s] != rescue.TierFree {
							t.Fatalf("%s with %v bad: sector %d of tier %d is called free", name, bad, s, tiers[s])
						}
					}
				}
			}
			r.do(t)
			if r.err != nil && !errors.Is(r.err, errCap) && !errors.Is(r.err, syscall.EIO) && !errors.Is(r.err, syscall.ENOSPC) {
				t.Fatalf("triage is off: %v", r.err)
			}
		}
		for s := range sectors {
			status := m.Get(s).Status
			switch {
			case d.bad[s] && status == mapfile.Rescued:
				t.Fatalf("bad sector %d is rescued", s)
			case d.bad[s] || status == mapfile.Rescued:
			case !so.Used || !nonsense && tiers[s] != rescue.TierFree:
				t.Fatalf("%s with %v bad, %+v, %+v, stops %v, fault %d after %d, keeps %v: sector %d of tier %d is %v",
					name, bad, so, o, stops, fault, left, keeps, s, tiers[s], status)
			}
		}
	})
}

func (t *Tiers) regions() []rescue.Region {
	if t == nil {
		return nil
	}
	return t.Regions
}
