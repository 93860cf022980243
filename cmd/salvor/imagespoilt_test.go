package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/cmd/salvor/internal/ui"
)

// TestASpoiltImageIsNotGoneOnWith: what a first run had rescued is lost, or nobody can open
// it any more. The disk is still there, and is imaged once more: another run that fills up
// the rest would seal an image of which a part is gone.
func TestASpoiltImageIsNotGoneOnWith(t *testing.T) {
	for name, spoil := range map[string]func(image, keys string) error{
		"key lost":     func(_, keys string) error { return os.Remove(filepath.Join(keys, "0001.age")) },
		"key damaged":  func(_, keys string) error { return os.Truncate(filepath.Join(keys, "0001.age"), 100) },
		"cut short":    func(image, _ string) error { return os.Truncate(filepath.Join(image, "000000.seg"), 100000) },
		"segment lost": func(image, _ string) error { return os.Remove(filepath.Join(image, "000000.seg")) },
		"image lost":   func(image, _ string) error { return os.RemoveAll(image) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 8<<20)
			begin := []string{"image", b.source, "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "9d", "--stop-after", "1ns"}
			if code, out := b.run(begin...); code != ui.Incomplete {
				t.Fatalf("exit status %d\n%s", code, out)
			}
			if err := spoil(filepath.Join(b.vault, "cases", caseNo(1), "image-01"), filepath.Join(b.vault, "keystore", caseNo(1), "image-01")); err != nil {
				t.Fatal(err)
			}
			if code, out := b.run("verify", caseNo(1)); code != ui.VerifyFailed && code != ui.NotFound {
				t.Errorf("verify: exit status %d\n%s", code, out)
			}
			again := []string{"image", b.source, "--case", caseNo(1)}
			for range 2 { // a refusal must leave nothing behind that hides the reason
				if code, out := b.run(again...); code != ui.VerifyFailed && code != ui.NotFound || !strings.Contains(out, "--again") {
					t.Fatalf("exit status %d\n%s", code, out)
				}
			}
			again = append(again, "--again")
			if code, out := b.run(append(again, "--stop-after", "1ns")...); code != ui.Incomplete {
				t.Fatalf("another image: exit status %d\n%s", code, out)
			}
			if out := b.must(again...); !strings.Contains(out, "going on with "+caseNo(1)+"/image-02") {
				t.Errorf("not gone on with:\n%s", out)
			}
			out := filepath.Join(b.dir, "out.img")
			b.must("restore", caseNo(1), out, "--image", "image-02", "--identity", b.identity, "--reason", "test")
			want, err := os.ReadFile(b.source)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the restored image is not the source (%v)", err)
			}
		})
	}
}
