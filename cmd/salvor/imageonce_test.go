package main

import (
	"os"
	"path/filepath"
	"testing"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

// TestTwoDisksOfACaseAtOnce: one run has the case, the other is told so, and leaves no
// image behind that nobody makes.
func TestTwoDisksOfACaseAtOnce(t *testing.T) {
	b := newBench(t, 4<<20)
	other := filepath.Join(b.dir, "other.img")
	if err := os.WriteFile(other, diskContent(3<<20, "other"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.must("intake", "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "9d")
	no := caseNo(1)
	done := 0
	for range 4 {
		codes := make(chan int, 2)
		for _, source := range []string{b.source, other} {
			go func() {
				c := b.command("image", source, "--case", no, "--again")
				_ = c.Run()
				codes <- c.ProcessState.ExitCode()
			}()
		}
		for range 2 {
			switch code := <-codes; code {
			case 0:
				done++
			case ui.Locked:
			default:
				t.Fatalf("exit status %d", code)
			}
		}
	}
	b.must("audit")
	b.must("verify", no)
	images, err := filepath.Glob(filepath.Join(b.vault, "cases", no, "image-*"))
	if err != nil || len(images) != done {
		t.Errorf("%d images after %d runs that ended well, %v", len(images), done, err)
	}
	if _, image := b.image(); image.State != custody.ImageIsSealed {
		t.Errorf("the first image is %s", image.State)
	}
}
