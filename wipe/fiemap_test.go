package wipe

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLayout(t *testing.T) {
	const k = 4096
	for _, c := range []struct {
		name    string
		extents []extent
		size    int64
		known   bool
		holes   bool
		spans   []Span
	}{
		{"empty", nil, 0, true, false, nil},
		{"one", []extent{{0, 8 * k, 2 * k, extentLast}}, 5000, true, false, []Span{{0, 2 * k}}},
		{"neighbours", []extent{{0, 8 * k, k, 0}, {k, 9 * k, k, extentLast}}, 2 * k, true, false, []Span{{0, 2 * k}}},
		{"apart on the device", []extent{{0, 8 * k, k, 0}, {k, 20 * k, k, extentLast}}, 2 * k, true, false, []Span{{0, 2 * k}}},
		{"hole in front", []extent{{k, 8 * k, k, extentLast}}, 2 * k, true, true, []Span{{k, k}}},
		{"hole between", []extent{{0, 8 * k, k, 0}, {3 * k, 9 * k, k, extentLast}}, 4 * k, true, true, []Span{{0, k}, {3 * k, k}}},
		{"hole at the end", []extent{{0, 8 * k, k, extentLast}}, 3 * k, true, true, []Span{{0, k}}},
		{"nothing but a hole", nil, 3 * k, true, true, nil},
		{"set aside behind the end", []extent{{0, 8 * k, k, 0}, {k, 9 * k, 5 * k, extentUnwritten | extentLast}}, k, true, false, []Span{{0, k}}},
		{"set aside across the end", []extent{{0, 8 * k, 9 * k, extentUnwritten | extentLast}}, 2 * k, true, false, []Span{{0, 2 * k}}},
		{"written behind the end", []extent{{0, 8 * k, 4 * k, extentLast}}, k, true, false, []Span{{0, 4 * k}}},
		{"unwritten inside", []extent{{0, 8 * k, 2 * k, extentUnwritten | extentLast}}, 2 * k, true, false, []Span{{0, 2 * k}}},
		{"not yet placed", []extent{{0, 0, 2 * k, extentDelalloc | extentUnknown | extentLast}}, 2 * k, false, false, []Span{{0, 2 * k}}},
		{"compressed", []extent{{0, 8 * k, 32 * k, extentEncoded | extentLast}}, 32 * k, false, false, []Span{{0, 32 * k}}},
		{"inline", []extent{{0, 5000, 100, extentInline | extentNotAligned | extentLast}}, 100, false, true, []Span{{0, k}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := layOut(c.extents, c.size, k)
			if l.Known != c.known || l.Holes != c.holes || !slices.Equal(l.spans, c.spans) {
				t.Errorf("known %v, holes %v, spans %v; want %v, %v, %v", l.Known, l.Holes, l.spans, c.known, c.holes, c.spans)
			}
			var n int64
			for _, s := range l.spans {
				n += s.Len
			}
			if n != l.alloc {
				t.Errorf("allocation %d, spans %d", l.alloc, n)
			}
		})
	}
}

func TestMapsOfDifferentPlacesAreNotTheSame(t *testing.T) {
	a := layOut([]extent{{0, 8192, 8192, extentLast}}, 8192, 4096)
	split := layOut([]extent{{0, 8192, 4096, extentUnwritten}, {4096, 12288, 4096, extentLast}}, 8192, 4096)
	moved := layOut([]extent{{0, 8192, 4096, 0}, {4096, 16384, 4096, extentLast}}, 8192, 4096)
	if !a.Same(split.Map) {
		t.Error("the same places in two extents are not the same")
	}
	if a.Same(moved.Map) {
		t.Error("a moved block was not noticed")
	}
	var unknown Map
	if unknown.Same(unknown) {
		t.Error("two unknown places are called the same")
	}
}

// TestFiemapReadsEveryExtent makes a file of far more extents than one call
// returns, by letting it fill the gaps between other files.
func TestFiemapReadsEveryExtent(t *testing.T) {
	d := newDisk(t, 24, "", "mkfs.ext4", "-q", "-F", "-N", "6000", "-b", "1024", "-O", "^has_journal")
	block := make([]byte, 1024)
	var made int
	for ; ; made++ {
		if err := os.WriteFile(filepath.Join(d.mnt, fmt.Sprint(made)), block, 0o600); err != nil || made == 5000 {
			break
		}
	}
	shell(t, "sync")
	// What is left over goes to one file, so that only the gaps remain.
	f, err := os.Create(filepath.Join(d.mnt, "rest"))
	check(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 1<<20))
	}
	for err = nil; err == nil; {
		_, err = f.Write(block)
	}
	f.Close()
	shell(t, "sync")
	for n := 0; n < made; n += 2 {
		remove(t, filepath.Join(d.mnt, fmt.Sprint(n)))
	}
	shell(t, "sync")
	f, err = os.Create(filepath.Join(d.mnt, "scattered"))
	check(t, err)
	defer f.Close()
	size := 0
	for range 1500 {
		n, err := f.Write(block)
		size += n
		if err != nil {
			break
		}
	}
	all, err := fiemap(f)
	check(t, err)
	l := layOut(all, int64(size), 1024)
	if len(all) <= fiemapBatch {
		t.Skipf("only %d extents: the test shows nothing", len(all))
	}
	if l.Holes || !l.Known || l.alloc != int64(size) {
		t.Errorf("%d extents: holes %v, known %v, %d of %d bytes", len(all), l.Holes, l.Known, l.alloc, size)
	}
	t.Logf("%d extents", len(all))
}

func TestFiemapSaysWhenThereIsNoMap(t *testing.T) {
	f, err := os.Open("/proc/self/status")
	check(t, err)
	defer f.Close()
	_, err = fiemap(f)
	mustBe(t, err, errNoMap)
	_ = unix.ENOTTY
}

// What an SMB server tells in answer to FIEMAP: byte ranges, with the offset in the
// file for a place.
func TestServersRangesAreNoPlaces(t *testing.T) {
	for _, c := range []struct {
		name    string
		extents []extent
		size    int64
		holes   bool
	}{
		{"small", []extent{{0, 0, 600, extentLast}}, 600, false},
		{"not a whole block", []extent{{0, 0, 5000000, extentLast}}, 5000000, false},
		{"sparse on the server", []extent{{0, 0, 1 << 20, 0}, {3 << 20, 3 << 20, 1 << 20, extentLast}}, 4 << 20, true},
		{"sparse to the end", []extent{{0, 0, 1 << 20, extentLast}}, 4 << 20, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := told(c.extents, c.size)
			if l.Known || l.Holes != c.holes || len(l.spans) != 1 || l.spans[0].Len < c.size || l.alloc != l.spans[0].Len {
				t.Errorf("known %v, holes %v, spans %v, allocation %d", l.Known, l.Holes, l.spans, l.alloc)
			}
		})
	}
}
