package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"salvor/cmd/salvor/internal/ui"
)

// TestKillWhilePurgingTwoKeystoresLeavesNoKey kills the purge of an image whose key has a
// second copy, again and again: neither copy is left in the end, and both are accounted for
// as without a kill.
func TestKillWhilePurgingTwoKeystoresLeavesNoKey(t *testing.T) {
	b := newBench(t, 4<<20)
	keys := filepath.Join(b.dir, "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	b.must("vault", "add", keys, "--name", "keys")
	image := append(b.imageArgs(), "--vault", "nas", "--keystore", "keys")
	b.must(image...)
	whole := b.takes("purge", "--max", "1000")
	want := b.lastAttest()
	count := max(4, *kills/4)
	for killed, tries := 0, 0; killed < count; tries++ {
		if tries > 20*count {
			t.Fatalf("only %d kills in %d tries", killed, tries)
		}
		b.must(image...)
		for b.kill(rand.N(whole*11/10), "purge", "--max", "1000") {
			killed++
		}
		if code, out := b.run("purge", "--max", "1000"); code != 0 && code != ui.Refused {
			t.Fatalf("after a kill: exit status %d\n%s", code, out)
		}
		if left := b.left(); left != "" {
			t.Fatalf("%s is left", left)
		}
		if left := glob(t, keys, "keystore/*/*/*"); len(left) > 0 {
			t.Fatalf("%s is left", left)
		}
		if a := b.lastAttest(); a.Key != want.Key || len(a.Keys) != 2 {
			t.Fatalf("%s because of %q, %+v; undisturbed %s", a.Key, a.Reasons, a.Keys, want.Key)
		}
	}
	b.must("audit", "--full")
	t.Logf("%d kills, %v undisturbed, %s", count, whole, want.Key)
}
