package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/cmd/salvor/internal/ui"
)

// TestAVaultOnAnotherDiskIsRefusedUntilSomebodySaysSo puts a copy of a vault, marker
// and all, on another disk in its place: nothing is read from it, written to it or
// erased in it. An absent one is named with the time of the last sight.
func TestAVaultOnAnotherDiskIsRefusedUntilSomebodySaysSo(t *testing.T) {
	_, one, unmount := mountLoop(t, 128<<20, "mkfs.ext4", "-q", "-F")
	_, two, _ := mountLoop(t, 128<<20, "mkfs.ext4", "-q", "-F")
	b := newBench(t, 1<<20)
	place := filepath.Join(b.dir, "place")
	for _, dir := range []string{filepath.Join(one, "v"), place} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, "mount", "--bind", filepath.Join(one, "v"), place)
	b.must("vault", "add", place, "--name", "usb1")
	b.must(append(b.imageArgs(), "--vault", "usb1")...)
	if out := b.must("vault", "list", "--json"); !strings.Contains(out, `"seen":"20`) {
		t.Errorf("not seen:\n%s", out)
	}
	tool(t, "cp", "-a", filepath.Join(one, "v"), two)
	tool(t, "umount", place)

	if code, out := b.run("purge"); code != ui.Absent {
		t.Errorf("absent: exit status %d\n%s", code, out)
	}
	if out := b.must("report", "due", "--format", "text", "--out", "-"); !strings.Contains(out, "usb1") {
		t.Errorf("the absent vault is not on the paper:\n%s", out)
	}
	unmount()
	tool(t, "mount", "--bind", filepath.Join(two, "v"), place)
	t.Cleanup(func() { tool(t, "umount", place) })
	code, out := b.run("purge")
	if code != ui.Incomplete || !strings.Contains(out, "another disk") {
		t.Errorf("a copy on another disk: exit status %d\n%s", code, out)
	}
	if len(glob(t, place, "keystore/*/*/*.age")) != 1 {
		t.Error("something was erased")
	}
	b.must("vault", "add", place) // it has moved, somebody says
	b.must("purge")
	if len(glob(t, place, "keystore/*/*/*.age")) != 0 {
		t.Error("a key is left")
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
