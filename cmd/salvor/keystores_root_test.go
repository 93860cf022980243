package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody/report"
)

// TestAKeystoreThatWasAwayIsCompletedLater erases an image whose key has a second copy
// in another vault: at once where both are there, in two steps where one is away. In the
// end both attests say that every key is destroyed, and name each copy.
func TestAKeystoreThatWasAwayIsCompletedLater(t *testing.T) {
	_, mnt, _ := mountLoop(t, 96<<20, "mkfs.ext4", "-q", "-F")
	b := newBench(t, 1<<20)
	main, keys, away := filepath.Join(mnt, "main"), filepath.Join(mnt, "keys"), filepath.Join(mnt, "away")
	for _, dir := range []string{main, keys} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		b.must("vault", "add", dir, "--name", filepath.Base(dir))
	}
	image := append(b.imageArgs(), "--vault", "main", "--keystore", "keys")
	isComplete := func(a report.Attest) {
		t.Helper()
		if a.Key != report.KeyComplete || a.Media != report.MediaRaw || len(a.Keys) != 2 {
			t.Errorf("%s / %s because of %q, keys %+v", a.Key, a.Media, a.Reasons, a.Keys)
		}
		for _, k := range a.Keys {
			if k.Fate != report.FateDestroyed {
				t.Errorf("%+v", k)
			}
		}
		if !slices.ContainsFunc(a.Storage, func(s report.Storage) bool { return s.Options != "" }) {
			t.Errorf("no mount options: %+v", a.Storage)
		}
	}

	b.must(image...)
	b.must("purge")
	isComplete(b.lastAttest())

	b.must(image...)
	if err := os.Rename(keys, away); err != nil {
		t.Fatal(err)
	}
	if code, out := b.run("purge"); code != ui.Absent {
		t.Fatalf("a key is left: exit status %d\n%s", code, out)
	}
	first := b.lastAttest()
	if first.Key != report.KeyPartial || first.Media != report.MediaRaw {
		t.Errorf("%s / %s because of %q", first.Key, first.Media, first.Reasons)
	}
	if err := os.Rename(away, keys); err != nil {
		t.Fatal(err)
	}
	b.must("purge")
	second := b.lastAttest()
	isComplete(second)
	if second.ID == first.ID || second.StreamKey != first.StreamKey || second.Content != first.Content {
		t.Errorf("the second attest is not of the same erasing: %+v, %+v", first, second)
	}
	if out := b.must("purge"); out == "" {
		t.Error("silent")
	}
	if third := b.lastAttest(); third.ID != second.ID {
		t.Error("completed twice")
	}
	b.must("audit", "--full")
	b.must("vault", "check")
}
