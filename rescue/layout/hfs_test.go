package layout

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/rescue/internal/testvolume"
)

// makeHFS cuts the HFS+ volume out of a hybrid ISO image, for want of a mkfs: it is
// packed, and nothing in it was deleted.
func makeHFS(t *testing.T) (string, tree) {
	t.Helper()
	testvolume.Need(t, "xorriso", "xorriso")
	dir := t.TempDir()
	plant(t, filepath.Join(dir, "src"), 7, 6)
	// Its maker spells this name in pieces, as HFS+ wants it.
	if err := os.Remove(filepath.Join(dir, "src/odd/größe-日本語-файл.txt")); err != nil {
		t.Fatal(err)
	}
	return testvolume.HFSPlus(t, filepath.Join(dir, "src")), collect(t, filepath.Join(dir, "src"))
}

func TestHFSAgreesWithWhatMadeIt(t *testing.T) {
	path, want := makeHFS(t)
	data := load(t, path)
	l := scanned(t, &image{data: data}, Options{})
	if l.Table != "none" || len(l.Volumes) != 1 || !strings.HasPrefix(l.Volumes[0].Name, "hfs") || len(l.Wanted) != 0 {
		t.Fatal(summary(l))
	}
	be := binary.BigEndian
	block, blocks := int64(be.Uint32(data[1024+40:])), int64(be.Uint32(data[1024+44:]))
	bitmap := data[int64(be.Uint32(data[1024+128:]))*block:]
	covers(t, l, 0, block, blocks, func(b int64) bool { return bitmap[b/8]>>(7-b%8)&1 != 0 })
	got, lost := listing(t, &image{data: data}, l, 0)
	if lost.Records != 0 {
		t.Errorf("%d nodes lost of a whole volume", lost.Records)
	}
	sameFiles(t, got, want)
	converges(t, data)
	nothingIsLostInSilence(t, data, 0, want)
	t.Run("damage", func(t *testing.T) {
		testvolume.Need(t, "sleuthkit", "tsk_recover")
		damageIsExact(t, path, data, 0, want, func(path string) tree {
			dir := t.TempDir()
			testvolume.Run(t, "tsk_recover", "-a", "-f", "hfs", path, dir)
			files := collect(t, dir)
			files["odd/empty"] = nil // it leaves this out, and puts its own in
			for name := range files {
				if strings.HasPrefix(name, "$") {
					delete(files, name)
				}
			}
			return files
		})
	})
}

func TestHFSWithAFullJournalHasNoFreeSpace(t *testing.T) {
	path, _ := makeHFS(t)
	data := load(t, path)
	be := binary.BigEndian
	l := scanned(t, &image{data: data}, Options{})
	at := contentSectors(t, l, 0)[0] * 512 // room for what this volume lacks
	block := int64(be.Uint32(data[1024+40:]))
	data[1024+6] |= 0x20
	be.PutUint32(data[1024+12:], uint32(at/block))
	be.PutUint32(data[at:], 1)
	be.PutUint64(data[at+36:], uint64(at+1024))
	copy(data[at+1024:], "xLNJ\x78\x56\x34\x12")
	for _, c := range []struct {
		start, end uint64
		known      bool
	}{{512, 512, true}, {512, 1024, false}} {
		binary.LittleEndian.PutUint64(data[at+1024+8:], c.start)
		binary.LittleEndian.PutUint64(data[at+1024+16:], c.end)
		l := scanned(t, &image{data: data}, Options{})
		if l.Volumes[0].Allocation != c.known {
			t.Errorf("journal from %d to %d: allocation known: %v", c.start, c.end, !c.known)
		}
		if l := scanned(t, holed(data, at/512+2), Options{}); l.Volumes[0].Allocation || tally(l.Regions)[T5] > 0 {
			t.Error("free space is known without the journal")
		}
	}
}
