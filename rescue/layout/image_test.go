package layout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/rescue/internal/testvolume"
	"salvor/rescue/mapfile"
)

// image is a view of bytes in memory of which sectors may be missing.
type image struct {
	data    []byte
	missing *mapfile.Map // rescued or not, in sectors of 512; nil is all rescued
	asked   int64
}

func (v *image) Size() int64 { return int64(len(v.data)) }

func (v *image) ReadAt(p []byte, off int64) (int, error) {
	v.asked += int64(len(p))
	if off >= v.Size() {
		return 0, io.EOF
	}
	end := min(off+int64(len(p)), v.Size())
	if v.missing != nil {
		first := off / 512
		for r := range v.missing.Within(first, (end+511)/512-first) {
			if r.Status != mapfile.Rescued {
				at := max(r.First*512, off)
				n := copy(p, v.data[off:at])
				return n, fmt.Errorf("view: %w", &ErrNotRescued{at, r.End()*512 - at})
			}
		}
	}
	n := copy(p, v.data[off:end])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// holed is the image with everything rescued but the sectors given.
func holed(data []byte, sectors ...int64) *image {
	n := int64(len(data)+511) / 512
	m := mapfile.New(n)
	m.Set(0, n, mapfile.Rescued)
	for _, s := range sectors {
		m.Set(s, 1, mapfile.Bad)
	}
	return &image{data: data, missing: m}
}

func scanned(t *testing.T, v View, o Options) *Layout {
	t.Helper()
	l, err := Scan(context.Background(), v, o)
	if err != nil {
		t.Fatal(err)
	}
	checkRegions(t, l, v.Size())
	return l
}

// checkRegions checks that the regions cover the disk without gap or overlap.
func checkRegions(t *testing.T, l *Layout, size int64) {
	t.Helper()
	at := int64(0)
	for _, r := range l.Regions {
		if r.First != at || r.Len <= 0 || r.Tier > T5 {
			t.Fatalf("region %+v at %d", r, at)
		}
		at = r.End()
	}
	if at != size {
		t.Fatalf("regions end at %d of %d", at, size)
	}
}

func load(t *testing.T, path string) []byte {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tree is the files of a volume: content by path.
type tree map[string][]byte

// plant makes a tree of varied files below dir, some of which are to be deleted
// again: those below "gone".
func plant(t *testing.T, dir string, seed uint64, mib int) tree {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	files := tree{}
	put := func(path string, n int) {
		p := make([]byte, n)
		for i := 0; i < n; i += 8 {
			v := rnd.Uint64()
			for k := i; k < min(i+8, n); k++ {
				p[k] = byte(v >> (8 * (k - i)))
			}
		}
		files[path] = p
	}
	for left, i := mib<<20, 0; left > 0; i++ {
		n := 1 << (9 + rnd.IntN(12))
		n = min(n+rnd.IntN(n), left)
		put(fmt.Sprintf("Users/anna/Pictures/%d/photo%05d.jpg", i%7, i), n)
		if i%5 == 0 {
			put(fmt.Sprintf("gone/old%05d.bin", i), n/2)
		}
		if i%9 == 0 {
			put(fmt.Sprintf("Windows/System32/lib%05d.dll", i), n/4)
		}
		left -= n
	}
	put("pagefile.sys", 300000)
	put("odd/empty", 0)
	put("odd/one", 1)
	for _, n := range []int{511, 512, 513, 4095, 4096, 4097, 65536} {
		put(fmt.Sprintf("odd/size%d", n), n)
	}
	put("odd/"+strings.Repeat("long", 50)+".txt", 100)
	put("odd/größe-日本語-файл.txt", 1000)
	put("deep/a/b/c/d/e/f/g/h/i/j/bottom.txt", 5000)
	for i := range 300 {
		put(fmt.Sprintf("many/a rather long name for a small file %04d.txt", i), 10+i)
	}
	testvolume.Write(t, dir, files)
	return files
}

// collect reads all files below dir.
func collect(t *testing.T, dir string) tree {
	t.Helper()
	files := tree{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		p, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[rel] = p
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// fillMounted copies a tree into a mounted file system so that files are in pieces
// and space was given back: two files grow in turn, and "gone" is deleted.
func fillMounted(t *testing.T, dir string, seed uint64, mib int) {
	t.Helper()
	plant(t, dir, seed, mib)
	rnd := rand.NewChaCha8([32]byte{byte(seed)})
	block := make([]byte, 40000)
	for range 8 {
		for _, name := range []string{"grown-a.bin", "grown-b.bin"} {
			_, _ = rnd.Read(block)
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			if err == nil {
				_, err = f.Write(block)
				err = errors.Join(err, f.Sync(), f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
}

// listing reads every file of the only volume through its pieces.
func listing(t *testing.T, v *image, l *Layout, volume int) (tree, Lost) {
	t.Helper()
	files := tree{}
	lost, err := l.Volumes[volume].Walk(context.Background(), func(f *File) bool {
		if f.Dir || f.System {
			return true
		}
		p := make([]byte, f.Size)
		for _, x := range f.Pieces {
			if n := min(x.Len, f.Valid-x.Off); n > 0 {
				copy(p[x.Off:x.Off+n], v.data[x.First:])
			}
		}
		if len(f.Pieces) == 0 && f.Size > 0 {
			p = nil // within the metadata
		}
		files[f.Path] = p
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, lost
}

// sameFiles checks the walk against the truth: the same names, and the same content
// where the pieces say it is.
func sameFiles(t *testing.T, got, want tree) {
	t.Helper()
	for path, p := range want {
		q, ok := got[path]
		if !ok {
			t.Errorf("not listed: %q", path)
		} else if q != nil && !bytes.Equal(p, q) {
			t.Errorf("pieces of %q are elsewhere (%d bytes, listed %d)", path, len(p), len(q))
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("listed, and not there: %q", path)
		}
	}
}

// covers checks that what is allocated by the file system's own tool, in blocks, is
// used here, and that what is used here and not there is metadata or at the edges.
func covers(t *testing.T, l *Layout, volume int, block int64, blocks int64, allocated func(int64) bool) {
	t.Helper()
	v := l.Volumes[volume]
	if !v.Allocation {
		t.Fatalf("allocation of %s not known: %s", v.Name, v.Why)
	}
	missed, extra := 0, 0
	free := make([]bool, blocks)
	for _, r := range cut(l.Regions, v.Extent) {
		if r.Tier == T5 {
			for b := (r.First - v.First + block - 1) / block; b < min((r.End()-v.First)/block, blocks); b++ {
				free[b] = true
			}
		}
	}
	used := 0
	for b := range blocks {
		switch {
		case allocated(b):
			used++
			if free[b] {
				missed++
			}
		case !free[b]:
			extra++
		}
	}
	if missed > 0 {
		t.Errorf("%d of %d allocated blocks are called free", missed, used)
	}
	if used == 0 || extra > 0 {
		t.Errorf("%d blocks used, %d more called used", used, extra)
	}
}

// contentSectors gives the sectors in which files have content.
func contentSectors(t *testing.T, l *Layout, volume int) []int64 {
	t.Helper()
	var out []int64
	_, err := l.Volumes[volume].Walk(context.Background(), func(f *File) bool {
		if !f.Dir && !f.System {
			for _, p := range f.Pieces {
				for s := p.First / 512; s < (p.First+p.Len)/512; s++ {
					out = append(out, s)
				}
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// damageIsExact turns sectors of content over, has the file system's own reader say
// which bytes of which files differ, and compares the report for the same sectors.
func damageIsExact(t *testing.T, path string, data []byte, volume int, want tree, extract func(path string) tree) {
	t.Helper()
	l := scanned(t, &image{data: data}, Options{})
	all := contentSectors(t, l, volume)
	if len(all) == 0 {
		t.Fatal("no content")
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	holes := map[int64]bool{}
	for range 40 {
		at := all[rnd.IntN(len(all))]
		for s := at; s < at+int64(1+rnd.IntN(9)); s++ {
			if _, ok := slices.BinarySearch(all, s); ok {
				holes[s] = true
			}
		}
	}
	broken := slices.Clone(data)
	var list []int64
	for s := range holes {
		list = append(list, s)
		for i := s * 512; i < (s+1)*512; i++ {
			broken[i] ^= 0xFF
		}
	}
	if err := os.WriteFile(path, broken, 0o600); err != nil {
		t.Fatal(err)
	}
	truth := map[string]int64{}
	for name, p := range extract(path) {
		q, ok := want[name]
		if !ok || len(p) != len(q) {
			t.Fatalf("%q: the reader gives %d bytes, was %d", name, len(p), len(q))
		}
		for i := range p {
			if p[i] != q[i] {
				truth[name]++
			}
		}
		if truth[name] == 0 {
			delete(truth, name)
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if len(truth) == 0 {
		t.Fatal("nothing damaged")
	}
	v := holed(data, list...)
	got := map[string]int64{}
	l = scanned(t, v, Options{})
	report, err := l.Damaged(context.Background(), v.missing, 512, func(d Damage) bool {
		if d.Folder || d.Untried != 0 || d.Lost != 0 {
			t.Errorf("damage %+v", d)
		}
		got[d.Path] = d.Bad
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Unnamed != 0 || report.Files != int64(len(want)) || report.Damaged != int64(len(truth)) {
		t.Errorf("report %+v of %d files, %d damaged", report, len(want), len(truth))
	}
	for name, n := range truth {
		if got[name] != n {
			t.Errorf("%q: %d bytes bad, reported %d", name, n, got[name])
		}
	}
	for name := range got {
		if truth[name] == 0 {
			t.Errorf("%q: whole, and reported damaged", name)
		}
	}
}

// converges scans a disk of which nothing is rescued, fetches what is wanted, and
// again, until nothing is: it must end with what a whole disk shows, soon, and
// without having read the content.
func converges(t *testing.T, data []byte) {
	t.Helper()
	whole := scanned(t, &image{data: data}, Options{})
	n := int64(len(data)+511) / 512
	v := &image{data: data, missing: mapfile.New(n)}
	var l *Layout
	rounds := 0
	for ; rounds < 20; rounds++ {
		l = scanned(t, v, Options{})
		// What is known is never less than the truth.
		sum := tally(l.Regions)
		if rounds == 0 && sum[T5] > 0 {
			t.Errorf("nothing rescued, and %d bytes called free", sum[T5])
		}
		if len(l.Wanted) == 0 {
			break
		}
		for _, w := range l.Wanted {
			first := w.First / 512
			v.missing.Set(first, min((w.End()+511)/512, n)-first, mapfile.Rescued)
		}
	}
	if len(l.Wanted) > 0 {
		t.Fatalf("still wants %v", l.Wanted[:min(len(l.Wanted), 5)])
	}
	if len(l.Volumes) != len(whole.Volumes) || !slices.Equal(l.Regions, whole.Regions) {
		t.Errorf("ends with another layout:\n%v\n%v", summary(l), summary(whole))
	}
	sum := tally(whole.Regions)
	got := v.missing.Totals().Sectors(mapfile.Rescued) * 512
	t.Logf("%d rounds, %d KiB fetched of %d MiB (T0 %d KiB, T1 %d KiB)", rounds, got>>10, len(data)>>20, sum[T0]>>10, sum[T1]>>10)
	if got > 2*(sum[T0]+sum[T1])+1<<20 {
		t.Errorf("fetched %d bytes for %d of metadata", got, sum[T0]+sum[T1])
	}
}

// nothingIsLostInSilence makes holes in the metadata: each file must still be listed
// with the right content, or the report must say that something is missing; and what
// was used must not become free.
func nothingIsLostInSilence(t *testing.T, data []byte, volume int, want tree) {
	t.Helper()
	whole := scanned(t, &image{data: data}, Options{})
	var meta []int64
	for _, r := range cut(whole.Regions, whole.Volumes[volume].Extent) {
		if r.Tier <= T1 {
			for s := r.First / 512; s < r.End()/512; s++ {
				if !bytes.Equal(data[s*512:(s+1)*512], make([]byte, 512)) {
					meta = append(meta, s)
				}
			}
		}
	}
	rnd := rand.New(rand.NewPCG(3, uint64(len(meta))))
	named, unnamed, quiet := 0, 0, 0
	for range 20 {
		var holes []int64
		for range 1 + rnd.IntN(3) {
			s := rnd.IntN(len(meta))
			holes = append(holes, meta[s:min(s+1+rnd.IntN(4), len(meta))]...)
		}
		v := holed(data, holes...)
		l := scanned(t, v, Options{})
		free := whole.Regions
		for _, r := range l.Regions {
			if r.Tier != T5 {
				continue
			}
			for _, w := range cut(free, r.Extent) {
				if w.Tier != T5 {
					t.Fatalf("with holes at %v, %+v is called free", holes, w)
				}
			}
		}
		if len(l.Volumes) <= volume || l.Volumes[volume].open == nil {
			continue // the volume is not known, and says so
		}
		damaged := map[string]bool{}
		report, err := l.Damaged(context.Background(), v.missing, 512, func(d Damage) bool {
			damaged[d.Path] = !d.System
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := listing(t, v, l, volume)
		missed := 0
		for path, p := range want {
			q, ok := got[path]
			switch {
			case damaged[path]:
				named++
			case !ok:
				missed++
			case q != nil && !bytes.Equal(p, q):
				t.Errorf("with holes at %v: %q is called whole, and is not", holes, path)
			}
		}
		switch {
		case missed > 0 && report.Unnamed == 0:
			t.Errorf("with holes at %v: %d files missing in silence", holes, missed)
		case missed > 0:
			unnamed += missed
		default:
			quiet++
		}
	}
	t.Logf("20 trials: %d without a loss of names; files lost by name %d, without one %d", quiet, named, unnamed)
}

func summary(l *Layout) string {
	s := l.Table
	for _, v := range l.Volumes {
		s += fmt.Sprintf(" [%s %s %d+%d used %d %s]", v.Kind, v.Name, v.First, v.Len, v.Used, v.Why)
	}
	return s + fmt.Sprint(tally(l.Regions))
}
