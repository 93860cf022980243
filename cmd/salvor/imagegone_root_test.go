package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"salvor/cmd/salvor/internal/ui"
	"salvor/rescue"
	"salvor/rescue/blockdev"
	"salvor/rescue/blockdev/faulty/fusedisk"
)

// dead is a disk of which no sector can be read.
type dead struct{ bytes int64 }

func (d dead) Size() int64 { return d.bytes }

func (dead) ReadAt(context.Context, []byte, int64) (int, error) { return 0, syscall.EIO }

// TestADiskThatGivesNothingIsLeftAlone images a dead disk that answers all the same:
// one that is back at once, and never brings anything, is not asked for ever.
func TestADiskThatGivesNothingIsLeftAlone(t *testing.T) {
	needRoot(t)
	b := newBench(t, 512)
	mnt := filepath.Join(b.dir, "mnt")
	if err := os.Mkdir(mnt, 0o700); err != nil {
		t.Fatal(err)
	}
	folder, err := fusedisk.Mount(mnt)
	if err != nil {
		t.Skip("no FUSE: ", err)
	}
	t.Cleanup(func() {
		if err := folder.Unmount(); err != nil {
			t.Error(err)
		}
	})
	loop := loopDevice(t, folder.Add("disk.img", dead{256 << 10}))
	code, out := b.run("image", loop, "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "9d")
	if code != ui.Absent || !strings.Contains(out, "nothing of that is counted as bad") {
		t.Errorf("exit status %d\n%s", code, out)
	}
	if back := strings.Count(out, "the disk is back"); back != barrenRuns-1 {
		t.Errorf("the disk was taken back %d times\n%s", back, out)
	}
	if out := b.must("map", caseNo(1)); !strings.Contains(out, "bad                        0 B") {
		t.Errorf("sectors were called bad:\n%s", out)
	}
	// Nothing was found out of its medium, so nothing is sealed; and it can be given up.
	if code, out := b.run("verify", caseNo(1)); code != ui.Incomplete {
		t.Errorf("exit status %d\n%s", code, out)
	}
	b.must("purge", "--case", caseNo(1), "--now", "--reason", "nothing can be read")
	if left := b.left(); left != "" {
		t.Errorf("%s is left", left)
	}
}

// TestAFileThatChangedWhileItWasReadIsNotSealed: half of its image would be of before.
func TestAFileThatChangedWhileItWasReadIsNotSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	source, ident, err := blockdev.Open(path, blockdev.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	g := &imaging{ident: ident}
	if g.print, err = g.fingerprint(); err != nil {
		t.Fatal(err)
	}
	if got := g.unchanged(rescue.Outcome{}).Stop; got != rescue.Finished {
		t.Errorf("the same file: %v", got)
	}
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	if got := g.unchanged(rescue.Outcome{}).Stop; got != rescue.SourceChanged {
		t.Errorf("a file that has grown: %v", got)
	}
	if got := g.unchanged(rescue.Outcome{Stop: rescue.Cancelled}).Stop; got != rescue.Cancelled {
		t.Errorf("a run that was interrupted: %v", got)
	}
}

// TestADiskThatHasGrownIsNotSealed: what a disk has beyond the size that it gave at first
// would be missing from an image that is called whole.
func TestADiskThatHasGrownIsNotSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &imaging{ident: blockdev.Identity{Kind: blockdev.Disk, Path: loopDevice(t, path), Bytes: 1 << 20}}
	if got := g.unchanged(rescue.Outcome{}).Stop; got != rescue.Finished {
		t.Errorf("the same disk: %v", got)
	}
	if err := os.Truncate(path, 2<<20); err != nil {
		t.Fatal(err)
	}
	tool(t, "losetup", "--set-capacity", g.ident.Path)
	if out := g.unchanged(rescue.Outcome{}); out.Stop != rescue.SourceChanged || !errors.Is(out.Err, errSizeChanged) {
		t.Errorf("a disk that has grown: %v, %v", out.Stop, out.Err)
	}
}
