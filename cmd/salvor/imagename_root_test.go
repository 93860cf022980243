package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/cmd/salvor/internal/ui"
)

// TestADiskWithoutASerialNumberUnderAnotherName: a disk is known again by its beginning;
// where that is blank, nothing but its name tells it from others.
func TestADiskWithoutASerialNumberUnderAnotherName(t *testing.T) {
	needRoot(t)
	b := newBench(t, 4<<20)
	attach := func(path string) (device string, detach func()) {
		device = tool(t, "flock", "/dev/loop-control", "losetup", "--find", "--show", path)
		detached := false
		detach = func() {
			if !detached {
				detached = true
				tool(t, "losetup", "--detach", device)
			}
		}
		t.Cleanup(detach)
		return device, detach
	}
	blank := func(name string) string {
		path := filepath.Join(b.dir, name)
		if err := os.WriteFile(path, make([]byte, 2<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, detach := attach(b.source)
	args := []string{"--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "9d"}
	if code, out := b.run(append([]string{"image", first, "--stop-after", "1ns"}, args...)...); code != ui.Incomplete {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	detach()
	sticks := []string{blank("one.img"), blank("two.img")}
	one, _ := attach(sticks[0]) // takes the name
	second, _ := attach(b.source)
	if one != first || second == first {
		t.Skipf("the kernel gave the names %s and %s", one, second)
	}
	if code, out := b.run("image", second, "--case", caseNo(1)); code != ui.Usage || !strings.Contains(out, "--image image-01") {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	b.must("image", second, "--case", caseNo(1), "--image", "image-01")
	// Two blank sticks of one size are two.
	b.must("image", one, "--case", caseNo(1))
	two, _ := attach(sticks[1])
	b.must("image", two, "--case", caseNo(1))
	if out := b.must("show", caseNo(1)); !strings.Contains(out, "image-03") {
		t.Errorf("two blank sticks are taken for one:\n%s", out)
	}
}
