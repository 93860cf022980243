package layout

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/rescue/internal/testvolume"
)

var remake = flag.Bool("remake", false, "make the images that the fuzz targets begin with anew (needs every mkfs)")

// sparse is an image of which only the blocks that are not zero are kept. A fuzz
// target lays its changes over it.
type sparse struct {
	size    int64
	blocks  map[int64][]byte // of 4096, by number
	order   []int64
	patched map[int64][]byte
	missing map[int64]bool // blocks that are not rescued
	asked   int64
}

func (s *sparse) Size() int64 { return s.size }

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	s.asked += int64(len(p))
	n := 0
	for n < len(p) && off < s.size {
		at := off / testvolume.Block
		if s.missing[at] {
			return n, &ErrNotRescued{off, (at+1)*testvolume.Block - off}
		}
		room := min(testvolume.Block-off%testvolume.Block, int64(len(p)-n), s.size-off)
		q := p[n:][:room]
		switch {
		case s.patched[at] != nil:
			copy(q, s.patched[at][off%testvolume.Block:])
		case s.blocks[at] != nil:
			copy(q, s.blocks[at][off%testvolume.Block:])
		default:
			clear(q)
		}
		n, off = n+int(room), off+room
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// patch changes the image as the fuzzer's bytes say: eight for each change.
func (s *sparse) patch(p []byte) {
	s.patched, s.missing, s.asked = map[int64][]byte{}, map[int64]bool{}, 0
	for n := 0; len(p) >= 8 && n < 64; p, n = p[8:], n+1 {
		block := s.order[int(binary.LittleEndian.Uint16(p))%len(s.order)]
		at := int(binary.LittleEndian.Uint16(p[2:])) % (testvolume.Block - 4)
		if p[4] == 0xFF {
			s.missing[block] = true
			continue
		}
		if s.patched[block] == nil {
			s.patched[block] = slices.Clone(s.blocks[block])
		}
		copy(s.patched[block][at:at+1+int(p[4])%3], p[5:8])
	}
}

// seedFile is where the seed of a fuzz target lies.
func seedFile(name string) string { return filepath.Join("testdata", name+".sparse.gz") }

func unpack(t testing.TB, name string) *sparse {
	t.Helper()
	s := &sparse{blocks: map[int64][]byte{}}
	s.size = testvolume.Unpack(t, seedFile(name), func(number int64, block []byte) {
		s.blocks[number] = block
		s.order = append(s.order, number)
	})
	return s
}

// bare writes a few files of zeros and short texts: the seeds hold structure, not content.
func bare(t *testing.T, dir string) {
	t.Helper()
	for i := range 40 {
		path := filepath.Join(dir, fmt.Sprintf("folder %d/deeper/a file with a longer name %d.txt", i%3, i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, i*300)
		copy(p, path[len(dir):])
		if err := os.WriteFile(path, p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRemakeSeeds makes the seeds anew when asked to; otherwise they lie in testdata.
func TestRemakeSeeds(t *testing.T) {
	if !*remake {
		t.Skip("only with -remake")
	}
	fill := func(dir string) {
		bare(t, dir)
		for i := range 150 { // in turn, so that their pieces alternate
			for _, name := range []string{"x.bin", "y.bin"} {
				f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
				if err != nil {
					t.Fatal(err)
				}
				_, err = f.Write(make([]byte, 4096))
				if err == nil && i%8 == 0 {
					err = f.Sync()
				}
				if err != nil {
					t.Fatal(err)
				}
				f.Close()
			}
		}
		if err := os.RemoveAll(filepath.Join(dir, "folder 1")); err != nil {
			t.Fatal(err)
		}
	}
	path := testvolume.Blank(t, 12)
	testvolume.Run(t, "mkfs.ntfs", "-q", "-F", "-f", "-c", "512", path)
	testvolume.Mounted(t, func(dir string) { testvolume.Run(t, "ntfs-3g", path, dir) }, fill)
	p := load(t, path)
	l := scanned(t, &image{data: p}, Options{})
	_, _ = l.Volumes[0].Walk(t.Context(), func(f *File) bool {
		for _, x := range f.Pieces {
			if f.Path == "$UpCase" || f.Path == "$AttrDef" || f.Path == "$LogFile" {
				clear(p[x.First : x.First+x.Len]) // content as well, to us
			}
		}
		return true
	})
	testvolume.Pack(t, seedFile("ntfs"), p)

	for _, kind := range []string{"ext2", "ext4"} {
		path = testvolume.Blank(t, 8)
		testvolume.Run(t, "mke2fs", "-q", "-F", "-t", kind, "-b", "1024", "-N", "256", path)
		testvolume.Mounted(t, func(dir string) { testvolume.Run(t, "flock", "/dev/loop-control", "mount", "-o", "loop", path, dir) }, fill)
		testvolume.Pack(t, seedFile(kind), load(t, path))
	}
	path = testvolume.Blank(t, 8)
	testvolume.Run(t, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-N", "256", path)
	testvolume.Mounted(t, func(dir string) {
		testvolume.Run(t, "flock", "/dev/loop-control", "mount", "-o", "loop,commit=300,nodelalloc", path, dir)
	}, func(dir string) {
		fill(dir)
		p = load(t, path) // with the journal full
	})
	testvolume.Pack(t, seedFile("ext4-journal"), p)
	for bits, mib := range map[string]int64{"12": 2, "16": 8, "32": 34} {
		path, dir := testvolume.Blank(t, mib), t.TempDir()
		testvolume.Run(t, "mkfs.fat", "-F", bits, "-s", "1", path)
		bare(t, dir)
		for i := range 3 {
			testvolume.Run(t, "mcopy", "-s", "-Q", "-i", path, filepath.Join(dir, fmt.Sprintf("folder %d", i)), "::/")
		}
		testvolume.Run(t, "mdeltree", "-i", path, "::/folder 1")
		testvolume.Pack(t, seedFile("fat"+bits), load(t, path))
	}
	path = testvolume.Blank(t, 8)
	testvolume.Run(t, "mkfs.exfat", "-c", "512", path)
	testvolume.Loop(t, path, func(device string) {
		testvolume.Mounted(t, func(dir string) { testvolume.Run(t, "mount.exfat-fuse", device, dir) }, fill)
	})
	testvolume.Pack(t, seedFile("exfat"), load(t, path))

	path = testvolume.Blank(t, 320)
	testvolume.Run(t, "mkfs.xfs", "-q", path)
	testvolume.Mounted(t, func(dir string) {
		testvolume.Run(t, "flock", "/dev/loop-control", "mount", "-t", "xfs", "-o", "loop", path, dir)
	}, func(dir string) { bare(t, dir) })
	testvolume.Pack(t, seedFile("xfs"), load(t, path))
	path = testvolume.Blank(t, 320)
	testvolume.Run(t, "mkfs.xfs", "-q", "-m", "crc=0", path) // no checksum keeps the fuzzer out
	testvolume.Pack(t, seedFile("xfs4"), load(t, path))

	hfs, _ := makeHFS(t)
	p = load(t, hfs)
	// Only the structure of it: what is content becomes zeros.
	l = scanned(t, &image{data: p}, Options{})
	for _, s := range contentSectors(t, l, 0) {
		clear(p[s*512 : (s+1)*512])
	}
	testvolume.Pack(t, seedFile("hfsplus"), p)

	disk := partitioned(t, 8, "label: dos\nstart=64, size=4096, type=83\nstart=4200, size=12000, type=5\nstart=4264, size=1000, type=83\nstart=6000, size=1000, type=83\n")
	testvolume.Pack(t, seedFile("mbr"), disk)
	testvolume.Pack(t, seedFile("gpt"), partitioned(t, 8, "label: gpt\nstart=2048, size=4096\nstart=8192, size=6000\n"))
}

// tame scans and walks whatever the image holds, and checks what must hold for every
// input: it ends soon, with regions that cover the disk, and no parser panicked.
func tame(t *testing.T, v View, asked *int64) {
	t.Helper()
	l, err := Scan(context.Background(), v, Options{First: []string{"folder 2"}})
	if err != nil {
		t.Fatal(err)
	}
	checkRegions(t, l, v.Size())
	for i := range l.Volumes {
		if strings.Contains(l.Volumes[i].Why, "parser failed") {
			t.Fatal(l.Volumes[i].Why)
		}
		files := 0
		if _, err := l.Volumes[i].Walk(context.Background(), func(f *File) bool {
			files++
			for _, p := range f.Pieces {
				if p.Len <= 0 || p.Off < 0 || p.First < 0 {
					t.Fatalf("%q has a piece %+v", f.Path, p)
				}
			}
			if f.Size < 0 || f.Valid < 0 || f.Lost < 0 || f.Valid > f.Size && !f.Dir {
				t.Fatalf("file %+v", f)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if files > 1<<20 {
			t.Fatalf("%d files", files)
		}
	}
	if limit := 16*v.Size() + 1<<30; *asked > limit {
		t.Fatalf("%d bytes read of %d", *asked, v.Size())
	}
}

func fuzzSparse(f *testing.F, names ...string) {
	var seeds []*sparse
	for i, name := range names {
		seeds = append(seeds, unpack(f, name))
		f.Add(byte(i), []byte{})
		f.Add(byte(i), []byte{0, 0, 11, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0xFF, 0, 0, 0})
		f.Add(byte(i), bytes.Repeat([]byte{3, 0, 20, 0, 2, 0xFF, 0xFF, 0xFF}, 4))
	}
	f.Fuzz(func(t *testing.T, which byte, p []byte) {
		s := *seeds[int(which)%len(seeds)]
		s.patch(p)
		tame(t, &s, &s.asked)
	})
}

func FuzzNTFS(f *testing.F)   { fuzzSparse(f, "ntfs") }
func FuzzExt(f *testing.F)    { fuzzSparse(f, "ext2", "ext4", "ext4-journal") }
func FuzzFAT(f *testing.F)    { fuzzSparse(f, "fat12", "fat16", "fat32") }
func FuzzExFAT(f *testing.F)  { fuzzSparse(f, "exfat") }
func FuzzHFS(f *testing.F)    { fuzzSparse(f, "hfsplus") }
func FuzzXFS(f *testing.F)    { fuzzSparse(f, "xfs", "xfs4") }
func FuzzTables(f *testing.F) { fuzzSparse(f, "mbr", "gpt") }

// FuzzScan takes any bytes for a disk.
func FuzzScan(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0x55, 0xAA}, 1024))
	boot := make([]byte, 8192)
	copy(boot[3:], "NTFS    ")
	f.Add(boot)
	f.Fuzz(func(t *testing.T, p []byte) {
		v := &image{data: p}
		tame(t, v, &v.asked)
	})
}
