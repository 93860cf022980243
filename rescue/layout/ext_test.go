package layout

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"salvor/rescue/internal/testvolume"
)

// makeExt makes a filled volume.
func makeExt(t *testing.T, mib int64, kind string, args ...string) (string, tree) {
	t.Helper()
	testvolume.Need(t, "e2fsprogs", "mke2fs", "debugfs", "dumpe2fs")
	testvolume.NeedRoot(t)
	path := testvolume.Blank(t, mib)
	testvolume.Run(t, "mke2fs", append(append([]string{"-q", "-F", "-t", kind}, args...), path)...)
	var want tree
	testvolume.Mounted(t, func(dir string) { testvolume.Run(t, "flock", "/dev/loop-control", "mount", "-o", "loop", path, dir) }, func(dir string) {
		fillMounted(t, dir, 5, 8)
		want = collect(t, dir)
	})
	return path, want
}

// extFree reads the free blocks that dumpe2fs lists.
func extFree(t *testing.T, path string) (block, blocks int64, free map[int64]bool) {
	t.Helper()
	free = map[int64]bool{}
	cluster := int64(0)
	for line := range strings.Lines(testvolume.Run(t, "dumpe2fs", path)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Block size":
			block, _ = strconv.ParseInt(value, 10, 64)
		case "Cluster size":
			cluster, _ = strconv.ParseInt(value, 10, 64)
		case "Block count":
			blocks, _ = strconv.ParseInt(value, 10, 64)
		case "Free blocks":
			if !strings.HasPrefix(line, " ") {
				continue // the total
			}
			for r := range strings.SplitSeq(value, ",") {
				a, b, ok := strings.Cut(strings.TrimSpace(r), "-")
				lo, err := strconv.ParseInt(a, 10, 64)
				hi := lo
				if ok {
					hi, _ = strconv.ParseInt(b, 10, 64)
				}
				if cluster > block {
					hi += cluster/block - 1 // it gives the first block of the last cluster
				}
				for ; err == nil && lo <= hi; lo++ {
					free[lo] = true
				}
			}
		}
	}
	return block, blocks, free
}

func TestExtAgreesWithItsOwnTools(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		mib        int64
		args       []string
	}{
		{"ext2", "ext2", 64, nil},
		{"ext2 of the first revision", "ext2", 64, []string{"-r", "0", "-O", "none", "-I", "128"}},
		{"ext3 with 1 KiB blocks", "ext3", 64, []string{"-b", "1024"}},
		{"ext4", "ext4", 96, nil},
		{"ext4 with 1 KiB blocks", "ext4", 96, []string{"-b", "1024"}},
		{"ext4 without 64bit", "ext4", 96, []string{"-O", "^64bit,^metadata_csum,uninit_bg"}},
		{"ext4 with meta_bg", "ext4", 200, []string{"-b", "1024", "-O", "meta_bg,^resize_inode"}},
		{"ext4 with bigalloc", "ext4", 128, []string{"-O", "bigalloc", "-C", "65536"}},
		{"ext4 with inline data", "ext4", 96, []string{"-O", "inline_data", "-I", "512"}},
		{"ext4 with sparse_super2", "ext4", 64, []string{"-b", "1024", "-O", "sparse_super2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, want := makeExt(t, c.mib, c.kind, c.args...)
			data := load(t, path)
			l := scanned(t, &image{data: data}, Options{})
			if l.Table != "none" || len(l.Volumes) != 1 || l.Volumes[0].Name != c.kind || len(l.Wanted) != 0 {
				t.Fatal(summary(l))
			}
			block, blocks, free := extFree(t, path)
			covers(t, l, 0, block, blocks, func(b int64) bool { return !free[b] })
			got, lost := listing(t, &image{data: data}, l, 0)
			if lost.Records != 0 {
				t.Errorf("%d records lost of a whole volume", lost.Records)
			}
			sameFiles(t, got, want)
			damageIsExact(t, path, data, 0, want, func(path string) (files tree) {
				if strings.Contains(c.name, "inline") { // debugfs writes such files too long
					testvolume.Mounted(t, func(dir string) { testvolume.Run(t, "flock", "/dev/loop-control", "mount", "-o", "loop,ro", path, dir) }, func(dir string) { files = collect(t, dir) })
					return files
				}
				dir := t.TempDir()
				testvolume.Run(t, "debugfs", "-R", fmt.Sprintf("rdump / %s", dir), path)
				_ = os.RemoveAll(filepath.Join(dir, "lost+found"))
				return collect(t, dir)
			})
			converges(t, data)
			nothingIsLostInSilence(t, data, 0, want)
		})
	}
}

// A volume that was not unmounted is the usual case on a disk that failed: what was
// written last is in the journal only.
func TestExtThatWasNotUnmounted(t *testing.T) {
	for _, args := range [][]string{nil, {"-O", "^64bit,^metadata_csum"}, {"-b", "1024"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			testvolume.Need(t, "e2fsprogs", "mke2fs", "dumpe2fs", "e2fsck")
			testvolume.NeedRoot(t)
			path := testvolume.Blank(t, 96)
			testvolume.Run(t, "mke2fs", append(append([]string{"-q", "-F", "-t", "ext4"}, args...), path)...)
			taken := testvolume.Blank(t, 96)
			var want tree
			testvolume.Mounted(t, func(dir string) {
				testvolume.Run(t, "flock", "/dev/loop-control", "mount", "-o", "loop,commit=300,nodelalloc", path, dir)
			}, func(dir string) {
				fillMounted(t, dir, 8, 4)
				want = collect(t, dir)
				f, err := os.Open(filepath.Join(dir, "pagefile.sys"))
				if err == nil {
					err = f.Sync() // and with it, all that the journal has open
					f.Close()
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(taken, load(t, path), 0o600); err != nil {
					t.Fatal(err)
				}
			})
			data := load(t, taken)
			if data[1024+0x60]&4 == 0 {
				t.Fatal("the volume was unmounted")
			}
			l := scanned(t, &image{data: data}, Options{})
			_ = exec.Command("e2fsck", "-fy", taken).Run() // 1: it repaired, by the journal
			block, blocks, free := extFree(t, taken)
			covers(t, l, 0, block, blocks, func(b int64) bool { return !free[b] })
			got, _ := listing(t, &image{data: data}, l, 0)
			sameFiles(t, got, want)
			// Without the journal nothing is free.
			for s := range int64(len(data) / 512) {
				if string(data[s*512:s*512+8]) == "\xc0\x3b\x39\x98\x00\x00\x00\x04" {
					if l := scanned(t, holed(data, s), Options{}); tally(l.Regions)[T5] > 0 || l.Volumes[0].Allocation {
						t.Error("free space is known without the journal: " + summary(l))
					}
				}
			}
		})
	}
}
