package main

import (
	"testing"

	"salvor/cmd/salvor/internal/ui"
)

// TestAnotherStationGoesOnWithAnImage: a disk is carried to another bench. Whoever seals its
// image is of the shop, and every station says so.
func TestAnotherStationGoesOnWithAnImage(t *testing.T) {
	b := newBench(t, 8<<20)
	other := b.second("N1")
	if code, out := b.run("image", b.source, "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "9d", "--stop-after", "1ns"); code != ui.Incomplete {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	b.must("--state", other, "image", b.source, "--case", caseNo(1))
	b.must("sync")
	for _, level := range []string{"", "--media"} {
		for _, state := range []string{b.state, other} {
			args := []string{"--state", state, "verify", caseNo(1)}
			if level != "" {
				args = append(args, level)
			}
			b.must(args...)
		}
	}
	b.must("purge", "--case", caseNo(1), "--now", "--reason", "asked", "--max", "1000")
}
