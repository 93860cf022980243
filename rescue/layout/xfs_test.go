package layout

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"salvor/rescue/internal/testvolume"
)

// makeXFS makes a filled volume, and a copy that was taken while it was mounted.
func makeXFS(t *testing.T, args ...string) (path, torn string, want tree) {
	t.Helper()
	testvolume.Need(t, "xfsprogs", "mkfs.xfs", "xfs_db")
	testvolume.NeedRoot(t)
	path, torn = testvolume.Blank(t, 320), testvolume.Blank(t, 320)
	testvolume.Run(t, "mkfs.xfs", append(append([]string{"-q"}, args...), path)...)
	testvolume.Mounted(t, func(dir string) {
		testvolume.Run(t, "flock", "/dev/loop-control", "mount", "-t", "xfs", "-o", "loop", path, dir)
	}, func(dir string) {
		fillMounted(t, dir, 11, 24)
		want = collect(t, dir)
		testvolume.Run(t, "sync", "-f", dir)
		if err := os.WriteFile(torn, load(t, path), 0o600); err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			if err := os.WriteFile(filepath.Join(dir, "x"+strconv.Itoa(i)), make([]byte, i*100), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		testvolume.Run(t, "sync", "-f", dir)
		for i := range 150 {
			if err := os.Remove(filepath.Join(dir, "x"+strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
	})
	return path, torn, want
}

// xfsField asks xfs_db for a number of a superblock.
func xfsField(t *testing.T, path, name string) int64 {
	t.Helper()
	_, v, _ := strings.Cut(testvolume.Run(t, "xfs_db", "-r", "-c", "sb 0", "-c", "p "+name, path), "=")
	n, err := strconv.ParseInt(strings.TrimSpace(v), 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestXFSAgreesWithItsOwnTools(t *testing.T) {
	for _, args := range [][]string{
		{"-b", "size=1024"},
		{"-m", "rmapbt=1"},
		{"-s", "size=4096", "-d", "agcount=3", "-l", "size=64m"},
		{"-d", "su=64k,sw=2,agcount=2", "-l", "su=256k"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			path, torn, want := makeXFS(t, args...)
			data := load(t, path)
			l := scanned(t, &image{data: data}, Options{})
			if l.Table != "none" || len(l.Volumes) != 1 || l.Volumes[0].Name != "xfs" || l.Volumes[0].Kind != Recognised || len(l.Wanted) != 0 {
				t.Fatal(summary(l))
			}
			block, perGroup := xfsField(t, path, "blocksize"), xfsField(t, path, "agblocks")
			free := map[int64]bool{}
			for line := range strings.Lines(testvolume.Run(t, "xfs_db", "-r", "-c", "freesp -d", path)) {
				var f []int64
				for word := range strings.FieldsSeq(line) {
					if n, err := strconv.ParseInt(word, 10, 64); err == nil {
						f = append(f, n)
					}
				}
				if len(f) == 3 && len(strings.Fields(line)) == 3 {
					for b := range f[2] {
						free[f[0]*perGroup+f[1]+b] = true
					}
				}
			}
			// What is kept ready for the trees themselves is no free space here.
			kept := int64(0)
			v := l.Volumes[0]
			blocks := xfsField(t, path, "dblocks")
			covers(t, l, 0, block, blocks, func(b int64) bool {
				if !free[b] {
					return true
				}
				for _, r := range cut(l.Regions, Extent{v.First + b*block, block}) {
					if r.Tier != T5 {
						kept++
						return true
					}
				}
				return false
			})
			if most := 16 * (blocks/perGroup + 1); kept > most || int64(len(free)) < blocks/4 {
				t.Errorf("%d of %d free blocks are called used", kept, len(free))
			}
			converges(t, data)
			// Each sector of metadata that is missing makes more used, never less.
			for _, r := range l.Regions {
				if r.Tier > T1 {
					continue
				}
				for s := r.First / 512; s < min(r.End()/512, r.First/512+8); s++ {
					for _, x := range scanned(t, holed(data, s), Options{}).Regions {
						for _, w := range cut(l.Regions, x.Extent) {
							if x.Tier == T5 && w.Tier != T5 {
								t.Fatalf("without sector %d, %+v is called free", s, w)
							}
						}
					}
				}
			}
			if len(want) == 0 {
				t.Fatal("no files")
			}
			clear(data[:512])
			if b := scanned(t, &image{data: data}, Options{}); blocks == 4*perGroup && block == 4096 && b.Volumes[0].Name != "xfs" {
				t.Error("without its first sector: " + summary(b))
			}
			l = scanned(t, &image{data: load(t, torn)}, Options{})
			if l.Volumes[0].Name != "xfs" || l.Volumes[0].Allocation || tally(l.Regions)[T5] != 0 {
				t.Error("a volume that was not unmounted: " + summary(l))
			}
		})
	}
}

// TestXFSLogEndsWhereItsRoundEnds has logs whose newest record lies anywhere, and says
// that the volume was unmounted, or something else.
func TestXFSLogEndsWhereItsRoundEnds(t *testing.T) {
	const n = 600
	be := binary.BigEndian
	for _, headers := range []int{1, 8} {
		for head := headers + 1; head <= n; head++ {
			data := make([]byte, (n+8)*512)
			log := data[8*512:]
			for i := range n {
				round := uint32(7)
				if i >= head {
					round = 6
				}
				be.PutUint32(log[i*512:], round)
			}
			at := head - headers - 1
			p := log[at*512:]
			copy(p, xfsRecord)
			be.PutUint32(p[4:], 7)
			be.PutUint32(p[8:], 2)
			be.PutUint32(p[12:], 512)
			be.PutUint64(p[16:], 7<<32|uint64(at))
			be.PutUint32(p[40:], 1)
			be.PutUint32(p[320:], uint32(headers)*32768)
			p[headers*512+9] = xfsUnmount
			settled := func() bool {
				x := &xfs{r: newReader(t.Context(), &image{data: data}, Extent{0, int64(len(data))}, nil), log: 8 * 512, logLen: n}
				return x.settled()
			}
			if !settled() {
				t.Fatalf("the record at %d of %d sectors is not found", at, headers+1)
			}
			for _, i := range []int{4, 12 + 2, 23, 43, headers*512 + 9} {
				p[i] ^= 0x20
				if settled() {
					t.Fatalf("head at %d: with byte %d turned over it is believed", head, i)
				}
				p[i] ^= 0x20
			}
			if head < n-1 {
				be.PutUint32(log[head*512:], 7) // something came behind it
				if settled() {
					t.Fatalf("head at %d: what came later is not seen", head)
				}
			}
		}
	}
}
