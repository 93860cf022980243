package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/cmd/salvor/internal/ui"
)

// loop makes the source a disk of its name, in sectors of so many bytes, until detach.
func (b *bench) loop(device string, sector string) (name string, detach func()) {
	b.t.Helper()
	args := []string{"/dev/loop-control", "losetup", "--sector-size", sector}
	if device == "" {
		device = "--find"
		args = append(args, "--show")
	}
	name = tool(b.t, "flock", append(args, device, b.source)...)
	if name == "" {
		name = device
	}
	detached := false
	detach = func() {
		if !detached {
			detached = true
			tool(b.t, "losetup", "--detach", name)
		}
	}
	b.t.Cleanup(detach)
	return name, detach
}

// begun begins an image of a loop device that shall not be finished.
func (b *bench) begun(device string) {
	b.t.Helper()
	args := []string{"image", device, "--stop-after", "1ns", "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "9d"}
	if code, out := b.run(args...); code != ui.Incomplete {
		b.t.Fatalf("exit status %d\n%s", code, out)
	}
}

// write overwrites the source from a place on.
func (b *bench) write(p []byte, at int64) {
	b.t.Helper()
	f, err := os.OpenFile(b.source, os.O_WRONLY, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(p, at); err != nil {
		b.t.Fatal(err)
	}
}

// TestADiskThatHasChangedIsNotMixedIntoItsImage: a dock says the same name, size and
// serial number for every disk, and two disks that one machine has partitioned begin alike.
func TestADiskThatHasChangedIsNotMixedIntoItsImage(t *testing.T) {
	needRoot(t)
	const size = 8 << 20
	b := newBench(t, size)
	was, err := os.ReadFile(b.source)
	if err != nil {
		t.Fatal(err)
	}
	device, detach := b.loop("", "512")
	b.begun(device)
	landmarks := func() []string {
		found, _ := filepath.Glob(filepath.Join(b.state, landmarksDir, "*"))
		return found
	}
	if len(landmarks()) != 1 {
		t.Fatalf("landmarks: %q", landmarks())
	}
	detach()

	b.write(bytes.Repeat([]byte("another customer"), (size-1<<20)/16), 1<<20)
	_, detach = b.loop(device, "512")
	code, out := b.run("image", device, "--case", caseNo(1))
	if code != ui.Refused || !strings.Contains(out, "the disk") || !strings.Contains(out, "--again") {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	b.must("image", device, "--case", caseNo(1), "--again")
	if out := b.must("show", caseNo(1)); !strings.Contains(out, "image-02") {
		t.Errorf("another image was to be begun:\n%s", out)
	}
	detach()

	b.write(was, 0)
	_, detach = b.loop(device, "512")
	b.must("image", device, "--case", caseNo(1), "--image", "image-01")
	detach()
	if len(landmarks()) != 0 {
		t.Errorf("left when the image is whole: %q", landmarks())
	}
	out = filepath.Join(b.dir, "one.img")
	b.must("restore", caseNo(1), out, "--image", "image-01", "--identity", b.identity, "--reason", "test")
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, was) {
		t.Errorf("the first image is not the first disk (%v)", err)
	}
}

// TestADiskThatWasUsedInBetweenIsMixedOnlyByWhoHasLooked: of the same disk a few places
// differ, as after a day in its machine. That the image was sealed meanwhile changes nothing.
func TestADiskThatWasUsedInBetweenIsMixedOnlyByWhoHasLooked(t *testing.T) {
	needRoot(t)
	const size = 32 << 20
	b := newBench(t, size)
	half, whole := b.halves(size)
	device, detach := b.loop("", "512")
	args := []string{"image", device, "--map", half, "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "9d"}
	if code, out := b.run(args...); code != ui.Incomplete {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	detach()
	was, err := os.ReadFile(b.source)
	if err != nil {
		t.Fatal(err)
	}
	b.write([]byte("mounted once more"), 4<<20)
	_, detach = b.loop(device, "512")
	again := []string{"image", device, "--map", whole, "--case", caseNo(1), "--retries", "1"}
	if code, out := b.run(again...); code != ui.Refused || !strings.Contains(out, "written to since") {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	detach()
	if _, i := b.image(); i.Seal == nil {
		t.Error("a refusal took the seal away")
	}
	_, detach = b.loop(device, "512")
	out := b.must(append(again, "--image", "image-01")...)
	if !strings.Contains(out, "some of what it held then") {
		t.Errorf("not a word of it:\n%s", out)
	}
	detach()
	b.write(was[4<<20:4<<20+64], 4<<20) // the image has what was read first
	b.imageIsTheSource()
}

// TestAnImageIsNotGoneOnWithInOtherSectors: docks differ in how they show a disk, and the
// records of an image count its sectors.
func TestAnImageIsNotGoneOnWithInOtherSectors(t *testing.T) {
	needRoot(t)
	for _, sectors := range [][2]string{{"4096", "512"}, {"512", "4096"}} {
		b := newBench(t, 8<<20)
		device, detach := b.loop("", sectors[0])
		b.begun(device)
		detach()
		_, detach = b.loop(device, sectors[1])
		code, out := b.run("image", device, "--case", caseNo(1))
		if code != ui.Refused || !strings.Contains(out, "sectors of "+sectors[0]) {
			t.Fatalf("%v: exit status %d\n%s", sectors, code, out)
		}
		detach()
		_, detach = b.loop(device, sectors[0])
		b.must("image", device, "--case", caseNo(1))
		detach()
		b.imageIsTheSource()
	}
}

// TestLandmarksGoWithTheirImage: what is kept of an unfinished image is erased with it.
func TestLandmarksGoWithTheirImage(t *testing.T) {
	needRoot(t)
	b := newBench(t, 8<<20)
	device, _ := b.loop("", "512")
	b.begun(device)
	b.must("purge", "--case", caseNo(1), "--now", "--reason", "asked", "--max", "1000")
	for _, dir := range []string{landmarksDir, tiersDir} {
		if found, _ := filepath.Glob(filepath.Join(b.state, dir, "*")); len(found) > 0 {
			t.Errorf("left: %q", found)
		}
	}
}

// Landmarks are for the run after this one. A disk that may be dying is not left alone
// because they cannot be written.
func TestAnImageIsMadeThoughLandmarksCannotBeKept(t *testing.T) {
	needRoot(t)
	b := newBench(t, 8<<20)
	device, _ := b.loop("", "512")
	if err := os.WriteFile(filepath.Join(b.state, landmarksDir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := b.run("image", device, "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "9d")
	if code != ui.Done || strings.Count(out, "a later run will not know") != 1 {
		t.Errorf("exit status %d\n%s", code, out)
	}
	b.imageIsTheSource()
}
