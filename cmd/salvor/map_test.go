package main

import (
	"bytes"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/rescue/mapfile"
)

func TestThePictureOfAMapIsAPNG(t *testing.T) {
	b := newBench(t, 3<<20)
	b.must(b.imageArgs()...)
	b.must("map", caseNo(1), "--png", "map.png")
	content, err := os.ReadFile(filepath.Join(b.dir, "map.png"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds(); got.Dx() != 980 || got.Dy() < 500 || got.Dy() > 700 {
		t.Errorf("%v", got)
	}
	info, err := os.Stat(filepath.Join(b.dir, "map.png"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	c := b.command("map", caseNo(1), "--png", "-")
	if out, err := c.Output(); err != nil || !bytes.Equal(out, content) {
		t.Errorf("standard output has %d other bytes, %v", len(out), err)
	}
	left, err := filepath.Glob(filepath.Join(b.dir, ".salvor-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// A line that is broken by the terminal is no picture.
func TestTheMapFitsANarrowTerminal(t *testing.T) {
	b := newBench(t, 3<<20)
	b.must(b.imageArgs()...)
	f, err := pty.StartWithSize(b.command("map", caseNo(1)), &pty.Winsize{Rows: 24, Cols: 20})
	if err != nil {
		t.Skip("no pty: ", err)
	}
	defer f.Close()
	out, _ := io.ReadAll(f) // ends with EIO when the program has ended
	signs := 0
	for line := range strings.Lines(string(out)) {
		if n := max(strings.Count(line, "█"), strings.Count(line, "+")); n > 1 {
			if signs++; n > 20 {
				t.Errorf("%d signs in a line of 20 columns", n)
			}
		}
	}
	if signs < 5 {
		t.Errorf("no picture:\n%s", out)
	}
}

// TestTheMapOfARunThatWasKilled draws what the vault has of an image that is not
// finished.
func TestTheMapOfARunThatWasKilled(t *testing.T) {
	b := newBench(t, 24<<20)
	b.kill(80*time.Millisecond, b.imageArgs()...)
	code, out := b.run("map", caseNo(1))
	if code == ui.NotFound && strings.Contains(out, "not in this station's ledger") {
		t.Log("killed before the case was opened")
	} else if code != 0 || !strings.Contains(out, "rescued") {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	if code, out := b.run(b.imageArgs()...); code != 0 && code != ui.Refused { // it may have finished
		t.Fatalf("exit status %d\n%s", code, out)
	}
	if out := b.must("map", caseNo(1)); !strings.Contains(out, "sealed, 25.2 MB, 100.0 % rescued") {
		t.Errorf("%s", out)
	}
}

func TestUnreadCountsStretchesInBytes(t *testing.T) {
	m := imageMap{image: custody.Image{Sector: 512, Bytes: 9*512 + 100}, m: mapfile.New(10)}
	m.m.Set(0, 2, mapfile.Rescued)
	m.m.Set(2, 1, mapfile.NonTrimmed)
	m.m.Set(3, 2, mapfile.NonScraped)
	m.m.Set(6, 1, mapfile.Bad)
	m.m.Set(9, 1, mapfile.Bad)
	d := m.document()
	for _, c := range []struct{ got, want notRescued }{
		{d.Failed, notRescued{3 * 512, 1, 3 * 512}},
		{d.Bad, notRescued{512 + 100, 2, 512}},
		{d.Untried, notRescued{3 * 512, 2, 2 * 512}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if d.Rescued != 2*512 || d.Rescued+d.Failed.Bytes+d.Bad.Bytes+d.Untried.Bytes != m.image.Bytes {
		t.Errorf("%+v", d)
	}
}
