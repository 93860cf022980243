package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The demo is the first thing that a new user sees, and it checks itself.
func TestDemoRunsToItsEnd(t *testing.T) {
	for _, need := range []string{"age-keygen", "mkfs.ext4", "debugfs", "fusermount3"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skip("the demo needs " + need)
		}
	}
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("the demo needs FUSE: " + err.Error())
	}
	fuse.Close()
	salvor, err := exec.LookPath("salvor")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join("..", "..", "scripts", "demo.sh"), salvor).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
