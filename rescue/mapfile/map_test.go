package mapfile

import (
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestMapIsWhatWasSetLast compares the map with one byte per sector.
func TestMapIsWhatWasSetLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 3000).Draw(t, "sectors")
		m, model := New(n), slices.Repeat([]byte{'?'}, int(n))
		// Short runs in great number, so that chunks split and join.
		for range rapid.IntRange(0, 1500).Draw(t, "sets") {
			first := rapid.Int64Range(0, n).Draw(t, "first")
			length := min(rapid.Int64Range(0, 9).Draw(t, "length"), n-first)
			if rapid.IntRange(0, 99).Draw(t, "long") == 0 {
				length = n - first
			}
			s := statuses[rapid.IntRange(0, 4).Draw(t, "status")]
			m.Set(first, length, Status(s))
			for i := first; i < first+length; i++ {
				model[i] = s
			}
		}
		var want []Run
		var totals Totals
		for i, s := range model {
			if k := len(want) - 1; k < 0 || want[k].Status != Status(s) {
				want = append(want, Run{First: int64(i), Status: Status(s)})
				totals.runs[Status(s).index()]++
			}
			want[len(want)-1].Sectors++
			totals.sectors[Status(s).index()]++
		}
		if diff := cmp.Diff(want, slices.Collect(m.All())); diff != "" {
			t.Fatal(diff)
		}
		if m.Totals() != totals {
			t.Fatalf("totals %v, counted %v", m.Totals(), totals)
		}
		if m.Len() != len(want) {
			t.Fatalf("Len %d of %d runs", m.Len(), len(want))
		}
		at := rapid.Int64Range(0, n-1).Draw(t, "at")
		if got := m.Get(at); got.Status != Status(model[at]) || at < got.First || at >= got.End() {
			t.Fatalf("Get(%d) = %v", at, got)
		}
		for _, s := range []byte(statuses) {
			i := slices.Index(model[at:], s)
			got, ok := m.Next(at, Status(s))
			if ok != (i >= 0) || ok && got.First != at+int64(i) {
				t.Fatalf("Next(%d, %c) = %v, %v; want %d behind", at, s, got, ok, i)
			}
		}
		for c := range m.chunks {
			if k := len(m.chunks[c].runs); k == 0 || k > chunkMax {
				t.Fatalf("a chunk of %d runs", k)
			}
		}
		c := m.Clone()
		m.Set(0, n, Bad)
		if diff := cmp.Diff(want, slices.Collect(c.All())); diff != "" {
			t.Fatalf("a clone changed with its original: %s", diff)
		}
	})
}

func TestLoadRefusesRunsThatDoNotFit(t *testing.T) {
	for _, tc := range []struct {
		name string
		run  Run
		want error
	}{
		{"behind the end", Run{90, 11, Bad}, ErrSize},
		{"before the start", Run{-1, 2, Bad}, ErrSize},
		{"negative", Run{5, -1, Bad}, ErrSize},
		{"overflow", Run{5, 1<<63 - 1, Bad}, ErrSize},
		{"no status", Run{5, 1, 'x'}, ErrSyntax},
		{"fits", Run{90, 10, Bad}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Load(100, slices.Values([]Run{tc.run}))
			if !errors.Is(err, tc.want) {
				t.Errorf("Load: %v, want %v", err, tc.want)
			}
		})
	}
	if _, err := Load(MaxSectors+1, slices.Values([]Run(nil))); !errors.Is(err, ErrSize) {
		t.Errorf("a map too long: %v", err)
	}
}

func TestEmptyMapHasNothingInIt(t *testing.T) {
	m := New(0)
	if _, ok := m.Next(0, Untried); ok || m.Len() != 0 || len(slices.Collect(m.All())) != 0 {
		t.Error("a map of no sectors has runs")
	}
	m.Set(0, 0, Bad)
}

// TestMillionsOfRunsStaySmall is the promise for a 4 TB disk with a scratch over all of it.
func TestMillionsOfRunsStaySmall(t *testing.T) {
	const sectors = 4e12 / 512
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := New(sectors)
	const areas = 500_000
	for i := range int64(areas) {
		m.Set(i*(sectors/areas), 8, Bad)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := m.Totals().Runs(Bad); got != areas {
		t.Fatalf("%d bad areas", got)
	}
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 24*m.runs() {
		t.Errorf("%d runs take %d bytes", m.Len(), used)
	}
	runtime.KeepAlive(m)
}

func (m *Map) runs() int64 { return int64(m.Len()) }

func BenchmarkSetScattered(b *testing.B) {
	const sectors = 4e12 / 512
	m := New(sectors)
	x := uint64(1)
	for b.Loop() {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		m.Set(int64(x%(sectors-8)), 8, Bad)
	}
}

func BenchmarkSetSweep(b *testing.B) {
	const sectors = 4e12 / 512
	m := New(sectors)
	at := int64(0)
	for b.Loop() {
		m.Set(at, 2048, Rescued)
		at = (at + 2048) % (sectors - 2048)
	}
}
