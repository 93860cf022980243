package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/cmd/salvor/internal/ui"
)

// TestAVaultThatIsFullIsNamedAsFull: not even the beginning of an erasing can be recorded
// there, so nothing is destroyed, and a little room is enough.
func TestAVaultThatIsFullIsNamedAsFull(t *testing.T) {
	_, mnt, _ := mountLoop(t, 110<<20, "mkfs.ext4", "-q", "-F", "-m", "0")
	b := newBench(t, 1<<20)
	dir := filepath.Join(mnt, "main")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b.must("vault", "add", dir, "--name", "main")
	b.must(append(b.imageArgs(), "--vault", "main")...)
	filler := filepath.Join(mnt, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1 << 20; n > 0; {
		if _, err := f.Write(make([]byte, n)); err != nil {
			n /= 2
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	code, out := b.run("purge")
	if code != ui.Absent || !strings.Contains(out, "vault main is full") || len(glob(t, dir, "keystore/*/*/*.age")) != 1 {
		t.Errorf("full: exit status %d\n%s", code, out)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	b.must("purge")
	if left := glob(t, dir, "keystore/*/*/*"); len(left) > 0 {
		t.Errorf("%s is left", left)
	}
	b.must("audit", "--full")
}
