package main

import (
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// loop FILE: puts a loop device on the file; $LOOP is its path, $LOOPNAME its name.
func scriptLoop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: loop FILE")
	}
	out, err := exec.Command("flock", "/dev/loop-control", "losetup", "-f", "--show", ts.MkAbs(args[0])).CombinedOutput()
	if err != nil {
		ts.Fatalf("losetup: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	ts.Defer(func() { _ = exec.Command("losetup", "-d", dev).Run() })
	ts.Setenv("LOOP", dev)
	ts.Setenv("LOOPNAME", filepath.Base(dev))
}
