package layout

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"salvor/rescue/internal/testvolume"
)

// makeNTFS makes a filled volume and returns its image and what is in it.
func makeNTFS(t *testing.T, mib, cluster int64, args ...string) (string, tree) {
	t.Helper()
	testvolume.Need(t, "ntfs-3g", "mkfs.ntfs", "ntfs-3g", "ntfscat")
	testvolume.NeedRoot(t)
	path := testvolume.Blank(t, mib)
	testvolume.Run(t, "mkfs.ntfs", append(append([]string{"-q", "-F", "-f", "-c", strconv.FormatInt(cluster, 10)}, args...), path)...)
	var want tree
	testvolume.Mounted(t, func(dir string) { testvolume.Run(t, "ntfs-3g", path, dir) }, func(dir string) {
		fillMounted(t, dir, 4, 8)
		want = collect(t, dir)
	})
	return path, want
}

func TestNTFSAgreesWithItsOwnTools(t *testing.T) {
	for _, cluster := range []int64{512, 4096, 65536, 2 << 20} {
		t.Run(strconv.FormatInt(cluster, 10), func(t *testing.T) {
			mib := int64(48)
			if cluster > 65536 {
				mib = 600
			}
			path, want := makeNTFS(t, mib, cluster)
			data := load(t, path)
			l := scanned(t, &image{data: data}, Options{})
			if l.Table != "none" || len(l.Volumes) != 1 || l.Volumes[0].Name != "ntfs" || len(l.Wanted) != 0 {
				t.Fatal(summary(l))
			}
			bitmap, err := exec.Command("ntfscat", "-f", "-i", "6", path).Output()
			if err != nil {
				t.Fatal(err)
			}
			covers(t, l, 0, cluster, int64(len(data))/cluster-1, func(b int64) bool {
				return bitmap[b/8]>>(b%8)&1 != 0
			})
			got, lost := listing(t, &image{data: data}, l, 0)
			if lost.Records != 0 {
				t.Errorf("%d records lost of a whole volume", lost.Records)
			}
			sameFiles(t, got, want)
			if cluster == 4096 {
				damageIsExact(t, path, data, 0, want, func(path string) (files tree) {
					testvolume.Mounted(t, func(dir string) { testvolume.Run(t, "ntfs-3g", "-o", "ro", path, dir) }, func(dir string) { files = collect(t, dir) })
					return files
				})
			}
			converges(t, data)
			if cluster <= 65536 {
				nothingIsLostInSilence(t, data, 0, want)
			}
		})
	}
}

// A file in so many pieces that its runlist needs records of its own, which an
// attribute list names.
func TestNTFSFileInThousandsOfPieces(t *testing.T) {
	testvolume.Need(t, "ntfs-3g", "mkfs.ntfs", "ntfs-3g", "ntfsinfo")
	testvolume.NeedRoot(t)
	path := testvolume.Blank(t, 48)
	testvolume.Run(t, "mkfs.ntfs", "-q", "-F", "-f", path)
	want := tree{}
	testvolume.Mounted(t, func(dir string) { testvolume.Run(t, "ntfs-3g", path, dir) }, func(dir string) {
		// Files of one cluster, every second given back: what fills the disk then has no
		// other room.
		for i := range 8000 {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), bytes.Repeat([]byte{byte(i)}, 4096), 0o644); err != nil {
				break // full
			}
		}
		for i := 0; i < 8000; i += 2 {
			_ = os.Remove(filepath.Join(dir, strconv.Itoa(i)))
		}
		f, err := os.Create(filepath.Join(dir, "a.bin"))
		for i := 0; err == nil; i++ {
			block := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 2048)
			_, err = f.Write(block)
		}
		f.Close()
		want = collect(t, dir)
	})
	data := load(t, path)
	v := &image{data: data}
	l := scanned(t, v, Options{})
	got, lost := listing(t, v, l, 0)
	sameFiles(t, got, want)
	if lost.Records != 0 {
		t.Errorf("%d records lost of a whole volume", lost.Records)
	}
	said := testvolume.Run(t, "ntfsinfo", "-f", "-F", "a.bin", path)
	m := regexp.MustCompile(`Dumping Inode (\d+)`).FindStringSubmatch(said)
	if m == nil || !strings.Contains(said, "$ATTRIBUTE_LIST") {
		t.Fatal("a.bin has no attribute list")
	}
	base, _ := strconv.ParseUint(m[1], 10, 64)
	most := 0
	var records []int64 // sectors of the records that extend a.bin's
	_, _ = l.Volumes[0].Walk(t.Context(), func(f *File) bool {
		if f.Path == "a.bin" {
			most = len(f.Pieces)
		}
		return true
	})
	if most < 2000 {
		t.Fatalf("%d pieces", most)
	}
	for s := int64(0); s < int64(len(data)/512); s += 2 {
		if string(data[s*512:s*512+4]) == "FILE" && binary.LittleEndian.Uint64(data[s*512+32:])&ntfsNumber == base {
			records = append(records, s)
		}
	}
	if len(records) < 3 {
		t.Fatalf("%d records extend others", len(records))
	}
	damaged := 0
	for _, s := range records {
		v := holed(data, s)
		l := scanned(t, v, Options{})
		hurt := map[string]Damage{}
		report, err := l.Damaged(t.Context(), v.missing, 512, func(d Damage) bool {
			if d.System {
				if d.Path != "$MFT" || d.Bad != 512 {
					t.Errorf("without the record at %d: %+v", s, d)
				}
				return true
			}
			hurt[d.Path] = d
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, d := range hurt {
			if d.Lost == 0 || d.Lost > d.Size {
				t.Errorf("without the record at %d: %s: %+v", s, name, d)
			}
		}
		if len(hurt) == 0 { // one that places nothing: the full disk left it over
			got, _ := listing(t, v, l, 0)
			sameFiles(t, got, want)
			continue
		}
		damaged++
		if len(hurt) != 1 || report.Damaged != 1 {
			t.Errorf("without the record at %d: %v, %+v", s, hurt, report)
		}
	}
	if damaged < 2 {
		t.Errorf("%d records place something", damaged)
	}
	converges(t, data)
}
