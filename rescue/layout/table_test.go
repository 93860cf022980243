package layout

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"salvor/rescue/internal/testvolume"
)

// partitioned makes a blank disk and has sfdisk write a table.
func partitioned(t *testing.T, mib int64, script string) []byte {
	t.Helper()
	testvolume.Need(t, "fdisk", "sfdisk")
	path := testvolume.Blank(t, mib)
	cmd := exec.Command("sfdisk", "-q", path)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	return load(t, path)
}

// small makes an ext volume of so many MiB without mounting anything.
func small(t *testing.T, mib int64, kind string) []byte {
	t.Helper()
	testvolume.Need(t, "e2fsprogs", "mke2fs")
	path := testvolume.Blank(t, mib)
	testvolume.Run(t, "mke2fs", "-q", "-F", "-t", kind, path)
	return load(t, path)
}

func places(l *Layout) string {
	var s []string
	for _, v := range l.Volumes {
		s = append(s, fmt.Sprintf("%s %d+%d", v.Name, v.First>>10, v.Len>>10))
	}
	return strings.Join(s, ", ")
}

func TestMBRWithLogicalPartitions(t *testing.T) {
	data := partitioned(t, 64, `label: dos
start=2048, size=16384, type=83
start=20480, size=81920, type=5
start=22528, size=16384, type=83
start=43008, size=16384, type=83
`)
	fs := small(t, 8, "ext4")
	for _, at := range []int64{2048, 22528, 43008} {
		copy(data[at*512:], fs)
	}
	want := "ext4 1024+8192, ext4 11264+8192, ext4 21504+8192"
	l := scanned(t, &image{data: data}, Options{})
	if l.Table != "mbr" || places(l) != want {
		t.Errorf("%s: %s, want %s", l.Table, places(l), want)
	}
	converges(t, data)

	// The second record of the chain is not rescued: its partition is still found, by
	// what begins where partitions begin.
	l = scanned(t, holed(data, 40960), Options{})
	if l.Table != "mbr" || places(l) != want {
		t.Errorf("with a hole in the chain: %s: %s, want %s", l.Table, places(l), want)
	}
	if len(l.Wanted) != 1 || l.Wanted[0] != (Region{Extent{40960 * 512, 512}, T0}) {
		t.Errorf("wants %v", l.Wanted)
	}
}

func TestMBRThatPointsAtItselfEnds(t *testing.T) {
	data := make([]byte, 8<<20)
	copy(data[510:], "\x55\xaa")
	copy(data[446:], []byte{0, 0, 0, 0, 5, 0, 0, 0, 10, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF})
	ebr := data[5120:]
	copy(ebr[510:], "\x55\xaa")
	copy(ebr[446:], []byte{0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0})
	scanned(t, &image{data: data}, Options{})
}

func TestGPTFromEitherCopy(t *testing.T) {
	data := partitioned(t, 64, `label: gpt
start=2048, size=16384
start=32768, size=16384
`)
	fs := small(t, 8, "ext4")
	copy(data[2048*512:], fs)
	copy(data[32768*512:], fs)
	const want = "ext4 1024+8192, ext4 16384+8192"
	last := int64(len(data)/512 - 1)
	for name, holes := range map[string][]int64{
		"whole":                 nil,
		"first header":          {1},
		"first entries":         {2},
		"protective MBR":        {0},
		"everything in front":   {0, 1, 2, 3},
		"last header":           {last},
		"last entries":          {last - 32},
		"both, different parts": {1, last - 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := scanned(t, holed(data, holes...), Options{})
			if l.Table != "gpt" || places(l) != want {
				t.Errorf("%s: %s, want %s", l.Table, places(l), want)
			}
		})
	}
	t.Run("first header turned over", func(t *testing.T) {
		bad := slices.Clone(data)
		bad[512+50] ^= 1
		if l := scanned(t, &image{data: bad}, Options{}); l.Table != "gpt" || places(l) != want {
			t.Errorf("%s: %s, want %s", l.Table, places(l), want)
		}
	})
	converges(t, data)
}

// fillers are whole disks without a table.
func fillers(t *testing.T) map[string][]byte {
	disks := map[string][]byte{}
	for _, name := range []string{"ntfs", "ext2", "ext4", "fat32", "exfat", "hfsplus", "xfs"} {
		s := unpack(t, name)
		data := make([]byte, s.size)
		if _, err := s.ReadAt(data, 0); err != nil {
			t.Fatal(err)
		}
		disks[name] = data
	}
	disks["ext4, more than one group"] = small(t, 64, "ext4")
	return disks
}

// A disk without a table whose first sector cannot be read is known by what its file
// system keeps elsewhere, and its free space with it.
func TestAVolumeThatFillsTheDiskIsFoundWithoutItsFirstSector(t *testing.T) {
	for name, data := range fillers(t) {
		t.Run(name, func(t *testing.T) {
			whole := scanned(t, &image{data: data}, Options{})
			holes := []int64{0}
			if name == "ext4, more than one group" || name == "hfsplus" {
				holes = []int64{0, 1, 2, 3} // the first structure lies in the third
			}
			l := scanned(t, holed(data, holes...), Options{})
			if l.Table != "none" || len(l.Volumes) != 1 || l.Volumes[0].Name != whole.Volumes[0].Name || l.Volumes[0].Allocation != whole.Volumes[0].Allocation {
				t.Fatal(summary(l))
			}
			for _, r := range l.Regions {
				if r.Tier != T5 {
					continue
				}
				for _, w := range cut(whole.Regions, r.Extent) {
					if w.Tier != T5 {
						t.Fatalf("%+v is called free", w)
					}
				}
			}
			if free, all := tally(l.Regions)[T5], tally(whole.Regions)[T5]; free < all/2 {
				t.Errorf("%d of %d free bytes are known", free, all)
			}
		})
	}
}

// What was on the whole disk before it was partitioned must not pass for what is there now.
func TestAVolumeOfBeforeThePartitioningIsNotBelieved(t *testing.T) {
	fs := small(t, 8, "ext4")
	for name, data := range fillers(t) {
		t.Run(name, func(t *testing.T) {
			for _, at := range []int64{63 * 512, 1 << 20} {
				if at+int64(len(fs)) > int64(len(data)) {
					data = append(data, make([]byte, int64(len(fs))+at)...)
				}
				data := slices.Clone(data)
				copy(data[at:], fs)
				if l := scanned(t, holed(data, 0), Options{}); l.Table != "" || len(l.Volumes) == 0 || l.Volumes[0].First != at {
					t.Errorf("at %d: %s", at, summary(l))
				}
				// Not even where the partition's own beginning is unreadable.
				hidden := []int64{0}
				for s := at / 512; s < (at+(128<<10))/512; s++ {
					hidden = append(hidden, s)
				}
				if l := scanned(t, holed(data, hidden...), Options{}); l.Table != "" || tally(l.Regions)[T5] > 0 {
					t.Errorf("hidden at %d: %s", at, summary(l))
				}
			}
		})
	}
}

func TestVolumesAreFoundWithoutATable(t *testing.T) {
	data := make([]byte, 64<<20)
	fs := small(t, 8, "ext4")
	copy(data[1<<20:], fs)
	copy(data[20<<20:], fs)
	l := scanned(t, holed(data, 0), Options{})
	if l.Table != "" || places(l) != "ext4 1024+8192" && places(l) != "ext4 1024+8192, ext4 20480+8192" {
		t.Errorf("%s: %s", l.Table, places(l))
	}
	if n := tally(l.Regions)[T5]; n > 8<<20 {
		t.Errorf("%d bytes called free while the table is not known", n)
	}
}

func TestPartitionsOf4096ByteSectors(t *testing.T) {
	testvolume.Need(t, "fdisk", "sfdisk")
	testvolume.NeedRoot(t)
	path := testvolume.Blank(t, 64)
	testvolume.Loop(t, path, func(device string) {
		cmd := exec.Command("sfdisk", "-q", "--no-reread", "--no-tell-kernel", device)
		cmd.Stdin = strings.NewReader("label: gpt\nstart=256, size=2048\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("sfdisk: %v\n%s", err, out)
		}
		testvolume.Run(t, "sync", device)
	}, "--sector-size", "4096")
	data := load(t, path)
	copy(data[256*4096:], small(t, 8, "ext4"))
	for _, sector := range []int64{512, 4096} {
		if l := scanned(t, &image{data: data}, Options{Sector: sector}); l.Table != "gpt" || places(l) != "ext4 1024+8192" {
			t.Errorf("with sectors of %d: %s: %s", sector, l.Table, places(l))
		}
	}
}

func TestBlankAndRandomDisksAreOneTier(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty": {}, "one byte": {1}, "one sector": make([]byte, 512), "zeros": make([]byte, 8<<20),
	} {
		l := scanned(t, &image{data: data}, Options{})
		if n := tally(l.Regions)[T5]; n > 0 || len(l.Volumes) > 1 {
			t.Errorf("%s: %s", name, summary(l))
		}
	}
}
