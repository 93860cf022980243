package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/cmd/salvor/internal/ui"
)

// A vault that is full, or cannot be written to, is there: it is not called away, what it
// could not take waits for it, and nothing is lost.
func TestAFullVaultIsNotCalledAway(t *testing.T) {
	needRoot(t)
	b := newBench(t, 1000)
	img, at := filepath.Join(b.dir, "small.img"), filepath.Join(b.dir, "small")
	if err := os.WriteFile(img, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-O", "^has_journal", img).CombinedOutput(); err != nil {
		t.Skipf("needs mkfs.ext4: %v: %s", err, out)
	}
	dev := loopDevice(t, img)
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", dev, at).CombinedOutput(); err != nil {
		t.Skipf("cannot mount: %v: %s", err, out)
	}
	t.Cleanup(func() { tool(t, "umount", at) })
	if err := os.Mkdir(filepath.Join(at, "v"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.must("vault", "add", filepath.Join(at, "v"), "--name", "small")
	b.must("intake", "--customer", "An", "--purpose", "crash", "--agreed", "--item", "hdd")
	fill := filepath.Join(at, "fill")
	// Byte for byte: the last block that a file could have is taken as well.
	_ = exec.Command("dd", "if=/dev/zero", "of="+fill, "bs=1k").Run()
	for _, test := range []struct{ name, state, undo string }{{"full", "full", "rm " + fill}, {"read-only", "failed", "mount -o remount,rw " + at}} {
		if test.name == "read-only" {
			tool(t, "mount", "-o", "remount,ro", at)
		}
		out := b.must("hold", "add", caseNo(1), "--kind", "legal", "--reason", test.name, "--review", "3m")
		if !strings.Contains(out, "vault small could not take it in") || strings.Contains(out, "has gone") || strings.Contains(out, "not here") {
			t.Errorf("%s:\n%s", test.name, out)
		}
		code, out := b.run("sync")
		if code == ui.Done || !strings.Contains(out, "small  "+test.state) || strings.Contains(out, "absent") {
			t.Errorf("%s: exit status %d\n%s", test.name, code, out)
		}
		tool(t, "sh", "-c", test.undo)
		if out := b.must("sync"); !strings.Contains(out, "exchanged") {
			t.Error(out)
		}
		b.must("audit", "--full")
	}
}
