package triage

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/rescue"
	"salvor/rescue/internal/testvolume"
	"salvor/rescue/layout"
	"salvor/rescue/mapfile"
)

// plant makes files of random content below dir; those below "gone" are to be deleted.
func plant(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	rnd := rand.NewChaCha8([32]byte{42})
	files := map[string][]byte{}
	for i := range 300 {
		p := make([]byte, 2048*(1+i%40))
		_, _ = rnd.Read(p)
		folder := []string{"Users/anna/Pictures", "Users/anna/Documents", "gone", "Windows/System32", "home/otto"}[i%5]
		files[fmt.Sprintf("%s/%d/file number %04d.bin", folder, i%3, i)] = p
	}
	testvolume.Write(t, dir, files)
	return files
}

// copied mounts an image by the program given, copies src, and deletes what is gone.
func copied(t *testing.T, src string, mount ...string) {
	t.Helper()
	testvolume.Mounted(t, func(dir string) { testvolume.Run(t, mount[0], append(mount[1:], dir)...) }, func(dir string) {
		testvolume.Run(t, "cp", "-r", src+"/.", dir)
		testvolume.Run(t, "sync", "-f", dir)
		if err := os.RemoveAll(filepath.Join(dir, "gone")); err != nil {
			t.Fatal(err)
		}
	})
}

// makers make a volume of the files below src, and delete those below "gone".
var makers = []struct {
	name string
	make func(t *testing.T, src string) string
}{
	{"ext4", func(t *testing.T, src string) string {
		testvolume.Need(t, "e2fsprogs", "mke2fs", "debugfs")
		path := testvolume.Blank(t, 256)
		testvolume.Run(t, "mke2fs", "-q", "-F", "-t", "ext4", "-d", src, path)
		var script strings.Builder
		for i := range 3 {
			list, err := os.ReadDir(filepath.Join(src, "gone", strconv.Itoa(i)))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				fmt.Fprintf(&script, "rm \"/gone/%d/%s\"\n", i, e.Name())
			}
			fmt.Fprintf(&script, "rmdir /gone/%d\n", i)
		}
		script.WriteString("rmdir /gone\n")
		commands := filepath.Join(t.TempDir(), "commands")
		if err := os.WriteFile(commands, []byte(script.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		testvolume.Run(t, "debugfs", "-w", "-f", commands, path)
		return path
	}},
	{"ntfs", func(t *testing.T, src string) string {
		testvolume.Need(t, "ntfs-3g", "mkfs.ntfs", "ntfs-3g")
		testvolume.NeedRoot(t)
		path := testvolume.Blank(t, 256)
		testvolume.Run(t, "mkfs.ntfs", "-q", "-F", "-f", path)
		copied(t, src, "ntfs-3g", path)
		return path
	}},
	{"fat32", func(t *testing.T, src string) string {
		testvolume.Need(t, "dosfstools", "mkfs.fat")
		testvolume.Need(t, "mtools", "mcopy", "mdeltree")
		path := testvolume.Blank(t, 256)
		testvolume.Run(t, "mkfs.fat", "-F", "32", "-s", "4", path)
		for _, top := range []string{"gone", "Users", "Windows", "home"} {
			testvolume.Run(t, "mcopy", "-s", "-Q", "-i", path, filepath.Join(src, top), "::/"+top)
		}
		testvolume.Run(t, "mdeltree", "-i", path, "::/gone")
		return path
	}},
	{"exfat", func(t *testing.T, src string) string {
		testvolume.Need(t, "exfatprogs", "mkfs.exfat")
		testvolume.Need(t, "exfat-fuse", "mount.exfat-fuse")
		testvolume.NeedRoot(t)
		path := testvolume.Blank(t, 256)
		testvolume.Run(t, "mkfs.exfat", "-c", "4096", path)
		testvolume.Loop(t, path, func(device string) { copied(t, src, "mount.exfat-fuse", device) })
		return path
	}},
	{"hfsplus", func(t *testing.T, src string) string { // packed: there is no mkfs, and nothing was deleted
		if err := os.RemoveAll(filepath.Join(src, "gone")); err != nil {
			t.Fatal(err)
		}
		return testvolume.HFSPlus(t, src)
	}},
}

// found is where in the image each sector of a file lies, by its content alone; -1 where
// it is no more.
func found(where map[[16]byte]int64, p []byte) []int64 {
	var out []int64
	for i := 0; i+512 <= len(p); i += 512 {
		s, ok := where[[16]byte(p[i:])]
		if !ok {
			s = -1
		}
		out = append(out, s)
	}
	return out
}

// TestRealVolumes rescues volumes that the file systems' own programs made, with bad
// sectors in known files. What lies where is told by the files' content, not by this
// program.
func TestRealVolumes(t *testing.T) {
	for _, c := range makers {
		t.Run(c.name, func(t *testing.T) {
			src := t.TempDir()
			files := plant(t, src)
			data, err := os.ReadFile(c.make(t, src))
			if err != nil {
				t.Fatal(err)
			}
			sectors := int64(len(data) / 512)
			where := make(map[[16]byte]int64, sectors)
			for s := range sectors {
				where[[16]byte(data[s*512:])] = s
			}
			bad, owner := []int64(nil), make([]string, sectors)
			want := map[string]layout.Damage{}
			names := slices.Sorted(func(yield func(string) bool) {
				for name := range files {
					if !yield(name) {
						return
					}
				}
			})
			for i, name := range names {
				for k, s := range found(where, files[name]) {
					if s < 0 {
						if !strings.HasPrefix(name, "gone/") {
							t.Fatalf("sector %d of %q is nowhere", k, name)
						}
						continue
					}
					owner[s] = name
					if i%7 == 3 && k == i%len(files[name])/512 {
						bad = append(bad, s)
						if !strings.HasPrefix(name, "gone/") {
							want[name] = layout.Damage{Path: name, Size: int64(len(files[name])), Bad: 512}
						}
					}
				}
			}
			if len(want) < 20 {
				t.Fatalf("%d files damaged", len(want))
			}
			t.Logf("%d sectors bad, %d files damaged", len(bad), len(want))
			for _, used := range []bool{false, true} {
				rescuedWell(t, newDisk(data, bad...), owner, want, used)
			}
		})
	}
}

const documents = "Users/anna/Documents/"

func rescuedWell(t *testing.T, d *disk, owner []string, want map[string]layout.Damage, used bool) {
	t.Helper()
	sectors := d.info.Sectors()
	l := truth(t, d.data, layout.Options{First: []string{documents}})
	_, first := l.Plan(512)
	if len(l.Volumes) != 1 || !l.Volumes[0].Allocation {
		t.Fatalf("volumes %+v", l.Volumes)
	}
	tiers := tierMap(l, sectors)
	got := map[string]layout.Damage{}
	r := run{
		d: d, m: mapfile.New(sectors), so: rescue.StrategyOptions{Used: used, InFlight: 1},
		o: Options{First: []string{`C:\users\Anna\documents`, "/no/such/folder"}},
	}
	// The order: metadata, then the documents, then the rest, then free space. What was
	// jumped over beside a bad sector comes later.
	swept, others, free := false, false, false
	untried := func(before string, is func(s int64) bool) {
		for part := range r.m.All() {
			for s := part.First; part.Status == mapfile.Untried && s < part.End(); s++ {
				if is(s) {
					t.Fatalf("sector %d of tier %d (%q) is not read before %s", s, tiers[s], owner[s], before)
				}
			}
		}
	}
	r.each = func(read rescue.Read) {
		isDocument := func(s int64) bool { return strings.HasPrefix(owner[s], documents) }
		switch {
		case early(read) || read.Pass == PassAgain:
		case !swept:
			swept = true
			untried("the sweep", func(s int64) bool { return tiers[s] <= rescue.TierMetadata })
			if !slices.ContainsFunc(first, func(r rescue.Region) bool { return r.First <= read.First && read.First < r.End() }) {
				untried("the sweep", isDocument) // they came with the metadata
			}
		case !others && owner[read.First] != "" && !isDocument(read.First):
			others = true
			untried("others", isDocument)
		case !free && read.Pass == rescue.PassFree:
			free = true
			untried("free space", func(s int64) bool { return tiers[s] <= rescue.TierRebuild })
		}
	}
	r.after = func(t *testing.T, tr *Triage, _ *memory) {
		list := []string{}
		report, err := tr.Damaged(t.Context(), r.m, nil, func(d layout.Damage) bool {
			got[d.Path] = d
			list = append(list, d.Path)
			return true
		})
		if err != nil || !report.Complete() || report.Damaged != int64(len(want)) {
			t.Errorf("report %+v, %v", report, err)
		}
		if !slices.IsSorted(list) || len(list) != len(got) {
			t.Error("the report is not sorted")
		}
		if missing := tr.NotFound(); !slices.Equal(missing, []string{"/no/such/folder"}) {
			t.Errorf("not found: %q", missing)
		}
	}
	r.do(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("damaged files: %s", diff)
	}
	usedLeft, again := 0, int64(0)
	for s, tier := range tiers {
		switch {
		case owner[s] != "" && !strings.HasPrefix(owner[s], "gone/") && tier == rescue.TierFree:
			t.Fatalf("sector %d of %q is called free", s, owner[s])
		case strings.HasPrefix(owner[s], "gone/") && tier <= rescue.TierUser:
			t.Fatalf("sector %d of %q, which is deleted, has tier %d", s, owner[s], tier)
		case tier <= rescue.TierRebuild:
			usedLeft++
		}
	}
	seen := make([]bool, sectors)
	for _, read := range r.reads {
		if read.Pass == PassAgain {
			again += read.Sectors
			continue
		}
		for s := read.First; s < read.End(); s++ {
			if seen[s] {
				continue
			}
			seen[s] = true
			if tiers[s] <= rescue.TierRebuild {
				usedLeft--
			}
			if used && tiers[s] == rescue.TierFree && read.Pass != rescue.PassScout {
				t.Fatalf("free sector %d (%q) is read: %+v", s, owner[s], read)
			}
		}
	}
	if usedLeft > 0 || again > 0 {
		t.Errorf("%d used sectors were never asked for, %d read again", usedLeft, again)
	}
	for s := range sectors {
		if status := r.m.Get(s).Status; !d.bad[s] && status != mapfile.Rescued && (!used || tiers[s] != rescue.TierFree) {
			t.Fatalf("good sector %d of tier %d is %v", s, tiers[s], status)
		}
	}
	t.Logf("used only %v: %d reads, %d of %d MiB rescued", used, len(r.reads), r.m.Totals().Sectors(mapfile.Rescued)>>11, sectors>>11)
}
