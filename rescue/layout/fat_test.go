package layout

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"salvor/rescue/internal/testvolume"
)

// fatRead reads a FAT volume with mtools.
func fatRead(t *testing.T, path string) tree {
	t.Helper()
	dir := t.TempDir()
	testvolume.Run(t, "mcopy", "-s", "-Q", "-n", "-i", path, "::/", dir)
	return collect(t, dir)
}

// fatUsed asks fsck how many clusters there are and how many of them are used.
func fatUsed(t *testing.T, path string) (used, clusters int64) {
	t.Helper()
	m := regexp.MustCompile(`(\d+)/(\d+) clusters`).FindStringSubmatch(testvolume.Run(t, "fsck.fat", "-n", path))
	if m == nil {
		t.Fatal("fsck.fat tells no clusters")
	}
	used, _ = strconv.ParseInt(m[1], 10, 64)
	clusters, _ = strconv.ParseInt(m[2], 10, 64)
	return used, clusters
}

func TestFATAgreesWithItsOwnTools(t *testing.T) {
	testvolume.Need(t, "dosfstools", "mkfs.fat", "fsck.fat")
	testvolume.Need(t, "mtools", "mcopy", "mdeltree")
	for _, c := range []struct {
		bits    int
		mib     int64
		cluster int64
		args    []string
	}{
		{12, 16, 8192, []string{"-s", "16"}},
		{16, 32, 2048, []string{"-s", "4"}},
		{32, 40, 512, []string{"-s", "1"}},
		{32, 300, 4096, []string{"-s", "1", "-S", "4096"}},
	} {
		t.Run(fmt.Sprintf("fat%d %d", c.bits, c.cluster), func(t *testing.T) {
			path := testvolume.Blank(t, c.mib)
			testvolume.Run(t, "mkfs.fat", append([]string{"-F", strconv.Itoa(c.bits)}, append(c.args, path)...)...)
			dir := t.TempDir()
			plant(t, dir, 9, 6)
			for _, top := range []string{"Users", "gone", "Windows", "odd", "deep", "many"} {
				testvolume.Run(t, "mcopy", "-s", "-Q", "-i", path, filepath.Join(dir, top), "::/"+top)
			}
			// Fill the rest but for a little, give back what lies between, and put a file
			// into the gaps.
			used, clusters := fatUsed(t, path)
			big := filepath.Join(dir, "ballast.bin")
			put := func(name string, n int64) {
				p := make([]byte, n)
				for i := range p {
					p[i] = byte(i*7 + i>>9 + i>>17)
				}
				if err := os.WriteFile(big, p, 0o600); err != nil {
					t.Fatal(err)
				}
				testvolume.Run(t, "mcopy", "-Q", "-i", path, big, "::/"+name)
			}
			if c.mib < 100 {
				put("ballast.bin", (clusters-used-20)*c.cluster)
				testvolume.Run(t, "mdeltree", "-i", path, "::/gone")
				put("in pieces.bin", 30*c.cluster+700)
			} else {
				testvolume.Run(t, "mdeltree", "-i", path, "::/gone")
			}
			want := fatRead(t, path)
			data := load(t, path)
			l := scanned(t, &image{data: data}, Options{})
			if l.Table != "none" || len(l.Volumes) != 1 || l.Volumes[0].Name != fmt.Sprintf("fat%d", c.bits) || len(l.Wanted) != 0 {
				t.Fatal(summary(l))
			}
			// The table, read here once more in the plainest way.
			sector := int64(binary.LittleEndian.Uint16(data[11:]))
			table := int64(binary.LittleEndian.Uint16(data[14:])) * sector
			length := int64(binary.LittleEndian.Uint16(data[22:]))
			if c.bits == 32 {
				length = int64(binary.LittleEndian.Uint32(data[36:]))
			}
			heap := table + 2*length*sector + int64(binary.LittleEndian.Uint16(data[17:]))*32
			busy := int64(0)
			allocated := map[int64]bool{}
			used, clusters = fatUsed(t, path)
			for k := range clusters {
				v := uint32(0)
				switch at := k + 2; c.bits {
				case 12:
					v = uint32(binary.LittleEndian.Uint16(data[table+at*3/2:])) >> (at % 2 * 4) & 0xFFF
				case 16:
					v = uint32(binary.LittleEndian.Uint16(data[table+at*2:]))
				case 32:
					v = binary.LittleEndian.Uint32(data[table+at*4:]) & 0x0FFFFFFF
				}
				if v != 0 {
					busy++
					allocated[k] = true
				}
			}
			if busy != used {
				t.Fatalf("%d clusters used, fsck.fat says %d", busy, used)
			}
			covers(t, l, 0, sector, (heap+clusters*c.cluster)/sector, func(b int64) bool {
				return b*sector < heap || allocated[(b*sector-heap)/c.cluster]
			})
			got, lost := listing(t, &image{data: data}, l, 0)
			if lost.Records != 0 {
				t.Errorf("%d folder blocks lost of a whole volume", lost.Records)
			}
			sameFiles(t, got, want)
			damageIsExact(t, path, data, 0, want, func(path string) tree { return fatRead(t, path) })
			converges(t, data)
			nothingIsLostInSilence(t, data, 0, want)
		})
	}
}

func TestExFATAgreesWithItsOwnTools(t *testing.T) {
	testvolume.Need(t, "exfatprogs", "mkfs.exfat", "dump.exfat")
	testvolume.Need(t, "exfat-fuse", "mount.exfat-fuse")
	testvolume.NeedRoot(t)
	for _, cluster := range []int64{512, 4096, 131072} {
		t.Run(strconv.FormatInt(cluster, 10), func(t *testing.T) {
			path := testvolume.Blank(t, 128)
			testvolume.Run(t, "mkfs.exfat", "-c", strconv.FormatInt(cluster, 10), path)
			mount := func(option string) func(string) {
				return func(dir string) {
					testvolume.Loop(t, path, func(device string) {
						testvolume.Run(t, "mount.exfat-fuse", "-o", option, device, dir)
					})
				}
			}
			var want tree
			testvolume.Mounted(t, mount("rw"), func(dir string) {
				fillMounted(t, dir, 6, 8)
				want = collect(t, dir)
			})
			data := load(t, path)
			l := scanned(t, &image{data: data}, Options{})
			if l.Table != "none" || len(l.Volumes) != 1 || l.Volumes[0].Name != "exfat" || len(l.Wanted) != 0 {
				t.Fatal(summary(l))
			}
			var told [2]int64
			said := testvolume.Run(t, "dump.exfat", path)
			for i, what := range []string{"Total", "Free"} {
				if m := regexp.MustCompile(what + ` Clusters:\s+(\d+)`).FindStringSubmatch(said); m != nil {
					told[i], _ = strconv.ParseInt(m[1], 10, 64)
				}
			}
			m := regexp.MustCompile(`Bitmap start cluster:\s+(\d+)`).FindStringSubmatch(said)
			if m == nil {
				t.Fatal("dump.exfat tells no bitmap")
			}
			start, _ := strconv.ParseInt(m[1], 10, 64)
			heap := int64(binary.LittleEndian.Uint32(data[88:])) * 512
			bitmap := data[heap+(start-2)*cluster:]
			table := int64(binary.LittleEndian.Uint32(data[80:])) * 512
			tableEnd := table + int64(binary.LittleEndian.Uint32(data[84:]))*512
			busy := int64(0)
			for k := range told[0] {
				busy += int64(bitmap[k/8] >> (k % 8) & 1)
			}
			if busy != told[0]-told[1] {
				t.Fatalf("%d clusters used, dump.exfat says %d", busy, told[0]-told[1])
			}
			covers(t, l, 0, 512, (heap+told[0]*cluster)/512, func(b int64) bool {
				if at := b * 512; at < heap {
					return at < 24*512 || at >= table && at < tableEnd
				}
				k := (b*512 - heap) / cluster
				return bitmap[k/8]>>(k%8)&1 != 0
			})
			got, lost := listing(t, &image{data: data}, l, 0)
			if lost.Records != 0 {
				t.Errorf("%d folder blocks lost of a whole volume", lost.Records)
			}
			sameFiles(t, got, want)
			damageIsExact(t, path, data, 0, want, func(path string) (files tree) {
				testvolume.Mounted(t, mount("ro"), func(dir string) { files = collect(t, dir) })
				return files
			})
			converges(t, data)
			nothingIsLostInSilence(t, data, 0, want)
		})
	}
}

// TestFATInAPartitionListsItsFiles: whoever is given a folder turns its places into
// places on the disk, and the walk still has to read it.
func TestFATInAPartitionListsItsFiles(t *testing.T) {
	testvolume.Need(t, "dosfstools", "mkfs.fat")
	testvolume.Need(t, "mtools", "mcopy")
	for bits, cluster := range map[string]string{"16": "4", "32": "1"} {
		path, dir := testvolume.Blank(t, 40), t.TempDir()
		testvolume.Run(t, "mkfs.fat", "-F", bits, "-s", cluster, path)
		plant(t, dir, 4, 2)
		for _, top := range []string{"Users", "Windows"} {
			testvolume.Run(t, "mcopy", "-s", "-Q", "-i", path, filepath.Join(dir, top), "::/"+top)
		}
		const start = 1 << 20
		disk := append(make([]byte, start), load(t, path)...)
		entry := disk[446:]
		entry[4] = 0x0C
		binary.LittleEndian.PutUint32(entry[8:], start/512)
		binary.LittleEndian.PutUint32(entry[12:], uint32(len(disk)-start)/512)
		disk[510], disk[511] = 0x55, 0xAA
		v := holed(disk)
		l := scanned(t, v, Options{})
		if len(l.Volumes) != 1 || l.Volumes[0].First != start {
			t.Fatalf("volumes: %s", summary(l))
		}
		got, lost := listing(t, v, l, 0)
		if lost != (Lost{}) {
			t.Errorf("FAT%s: lost %+v", bits, lost)
		}
		sameFiles(t, got, fatRead(t, path))
	}
}
