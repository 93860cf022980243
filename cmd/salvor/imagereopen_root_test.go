package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// halves are the two map files of a source of which half can be read the first time, and
// all of it later.
func (b *bench) halves(size int) (half, whole string) {
	b.t.Helper()
	write := func(name, rest string) string {
		path := filepath.Join(b.dir, name)
		text := fmt.Sprintf("0x0 + 1\n0x0 %#x +\n%#x %#x %s\n", size/2, size/2, size-size/2, rest)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.t.Fatal(err)
		}
		return path
	}
	return write("half.map", "-"), write("whole.map", "+")
}

// image is the only image of the newest case, as the record has it.
func (b *bench) image() (no custody.CaseNo, image custody.Image) {
	b.t.Helper()
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		cases, err := l.Cases(ctx, ledger.Filter{All: true})
		if err != nil || len(cases) == 0 {
			b.t.Fatalf("%d cases, %v", len(cases), err)
		}
		c := cases[len(cases)-1]
		no, image = c.No, c.Images[0]
	})
	return no, image
}

// fill takes the room of a file system, but for so many bytes.
func fill(t *testing.T, mnt string, leave int64) (remove func()) {
	t.Helper()
	path := filepath.Join(mnt, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st syscall.Statfs_t
	if err := syscall.Statfs(mnt, &st); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Fallocate(int(f.Fd()), 0, 0, max(int64(st.Bavail)*st.Bsize-leave, 0)) // as far as there is room
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// holdsHalf restores what the image has: the first half at least, and of the second what
// is no zero is the source.
func (b *bench) holdsHalf(no custody.CaseNo) {
	b.t.Helper()
	out := filepath.Join(b.dir, "out.img")
	if code, text := b.run("restore", string(no), out, "--identity", b.identity, "--reason", "test", "--force"); code != ui.Incomplete && code != 0 {
		b.t.Fatalf("restore: exit status %d\n%s", code, text)
	}
	want, err := os.ReadFile(b.source)
	if err != nil {
		b.t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil || len(got) != len(want) {
		b.t.Fatalf("%d of %d bytes, %v", len(got), len(want), err)
	}
	if half := len(want) / 2; !bytes.Equal(got[:half], want[:half]) {
		b.t.Fatal("what the first run rescued is not there any more")
	}
	zero := make([]byte, 512)
	for at := len(want) / 2; at < len(want); at += 512 {
		end := min(at+512, len(want))
		if !bytes.Equal(got[at:end], want[at:end]) && !bytes.Equal(got[at:end], zero[:end-at]) {
			b.t.Fatalf("at %d is neither the source nor nothing", at)
		}
	}
}

// TestARetryWithoutRoomLeavesTheSealInForce: that the vault is full is known before the
// seal is given up, and an image that is finished stays so.
func TestARetryWithoutRoomLeavesTheSealInForce(t *testing.T) {
	const size = 8 << 20
	_, mnt, _ := mountLoop(t, 160<<20, "mkfs.ext4", "-q", "-F", "-m", "0")
	b := newBench(t, size)
	b.must("vault", "add", mnt, "--name", "loop")
	half, whole := b.halves(size)
	image := append(b.imageArgs(), "--vault", "loop")
	if code, out := b.run(append(image, "--map", half)...); code != ui.Incomplete {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	no, sealed := b.image()
	again := append(image, "--map", half, "--retries", "1")
	remove := fill(t, mnt, 1<<20)
	for range 2 {
		if code, out := b.run(again...); code != ui.Absent || !strings.Contains(out, "not enough space") {
			t.Fatalf("exit status %d\n%s", code, out)
		}
		if _, now := b.image(); now.State != custody.ImageIsSealed || now.Seal == nil || now.Seal.Root != sealed.Seal.Root {
			t.Fatalf("the image is %s now", now.State)
		}
		b.must("verify", string(no), "--media")
		b.must("show", string(no))
	}
	b.holdsHalf(no)
	remove()
	if code, out := b.run(again...); code != ui.Incomplete {
		t.Fatalf("with room: exit status %d\n%s", code, out)
	}
	b.must(append(image, "--map", whole, "--retries", "1")...)
	b.must("verify", string(no), "--media")
	b.imageIsTheSource()
	b.must("audit")
}

// TestARetryThatRunsOutOfRoomLosesNothing fills the vault when the seal is gone and the
// new records are being written.
func TestARetryThatRunsOutOfRoomLosesNothing(t *testing.T) {
	const size = 64 << 20
	_, mnt, _ := mountLoop(t, 256<<20, "mkfs.ext4", "-q", "-F", "-m", "0")
	b := newBench(t, size)
	b.must("vault", "add", mnt, "--name", "loop")
	half, whole := b.halves(size)
	image := append(b.imageArgs(), "--vault", "loop")
	if code, out := b.run(append(image, "--map", half)...); code != ui.Incomplete {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	no, _ := b.image()
	segments := func() int {
		found, _ := filepath.Glob(filepath.Join(mnt, "cases", string(no), "image-01", "*.seg"))
		return len(found)
	}
	again := append(image, "--map", whole, "--retries", "1")
	full := 0
	for try := range 4 {
		before := segments()
		c := b.command(again...)
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = c.Wait(); close(ended) }()
		for running := true; running && segments() == before; {
			select {
			case <-ended:
				running = false
			default:
			}
		}
		remove := fill(t, mnt, int64(try)<<22)
		<-ended
		code := c.ProcessState.ExitCode()
		switch {
		case code == ui.Absent && strings.Contains(out.String(), "no space left"):
			full++
		case code == ui.Absent && strings.Contains(out.String(), "not enough space"): // filled too soon
		case code != 0:
			t.Fatalf("exit status %d\n%s", code, out.String())
		}
		b.acknowledgedIsThereIn(mnt)
		b.holdsHalf(no)
		if code, text := b.run("verify", string(no)); code == ui.VerifyFailed {
			t.Fatalf("a full vault makes it a damaged image\n%s", text)
		}
		remove()
		if code == 0 {
			break
		}
	}
	if code, out := b.run(again...); code != 0 && code != ui.Refused { // it may be whole
		t.Fatalf("exit status %d\n%s", code, out)
	}
	b.must("verify", string(no), "--media")
	b.imageIsTheSource()
	b.must("audit")
	t.Logf("ran out of room %d times", full)
}

// TestKillWhileARetryReopensTheImage kills the program at every moment of a retry: what
// the first seal covered is there after each, and no check calls it damaged.
func TestKillWhileARetryReopensTheImage(t *testing.T) {
	const size = 8 << 20
	b := newBench(t, size)
	half, whole := b.halves(size)
	begin := func() (custody.CaseNo, []string) {
		if code, out := b.run(append(b.imageArgs(), "--map", half)...); code != ui.Incomplete {
			t.Fatalf("exit status %d\n%s", code, out)
		}
		no, _ := b.image()
		return no, append(b.imageArgs(), "--map", whole, "--retries", "1")
	}
	_, again := begin()
	took := b.takes(again...)
	b.imageIsTheSource()
	no, again := begin()
	for killed, tries := 0, 0; killed < max(1, *kills/3); tries++ {
		if tries > 20**kills {
			t.Fatalf("only %d kills in %d tries", killed, tries)
		}
		if !b.kill(rand.N(took*11/10+time.Millisecond), again...) {
			b.imageIsTheSource()
			no, again = begin()
			continue
		}
		killed++
		b.acknowledgedIsThere()
		if code, out := b.run("verify", string(no), "--media"); code == ui.VerifyFailed {
			t.Fatalf("a kill makes it a damaged image\n%s", out)
		}
		b.holdsHalf(no)
	}
	if code, out := b.run(again...); code != 0 && code != ui.Refused {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	b.imageIsTheSource()
	b.must("audit")
}
