package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
	"salvor/wipe"
	"salvor/wipe/device"
)

// oldDisk puts a loop device on a file with old content.
func (b *bench) oldDisk(size int) (dev, file, confirm string) {
	b.t.Helper()
	if os.Geteuid() != 0 {
		b.t.Skip("needs root: loop devices")
	}
	file = filepath.Join(b.dir, "old.img")
	if err := os.WriteFile(file, diskContent(size, "an old disk"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	// One losetup at a time: another, told of the same device, would be a writer for a moment.
	out, err := exec.Command("flock", "/dev/loop-control", "losetup", "-f", "--show", file).CombinedOutput()
	if err != nil {
		b.t.Skipf("needs losetup: %v: %s", err, out)
	}
	dev = strings.TrimSpace(string(out))
	b.t.Cleanup(func() { _ = exec.Command("losetup", "-d", dev).Run() })
	return dev, file, fmt.Sprintf("%s:%d", filepath.Base(dev), size)
}

// A serial number that is typed wrong at the terminal destroys nothing, and one that is
// typed right is what the wipe waits for.
func TestWipeBelievesOnlyWhatIsTyped(t *testing.T) {
	b := newBench(t, 1000)
	dev, file, confirm := b.oldDisk(1 << 20)
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	typed := func(line string) (int, string) {
		c := b.command("wipe", dev)
		terminal, err := pty.Start(c)
		if err != nil {
			t.Fatal(err)
		}
		defer terminal.Close()
		if _, err := terminal.WriteString(line + "\n"); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		_, _ = out.ReadFrom(terminal) // ends with EIO when the program ends
		_ = c.Wait()
		return c.ProcessState.ExitCode(), out.String()
	}
	for _, wrong := range []string{"yes", confirm + "1", strings.ToUpper(confirm), dev} {
		if code, out := typed(wrong); code != ui.Refused {
			t.Errorf("%q: exit status %d\n%s", wrong, code, out)
		}
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(old, now) {
		t.Fatalf("the disk was written to: %v", err)
	}
	if code, out := typed(confirm); code != ui.Done || !strings.Contains(out, "CLEAR-RAW") {
		t.Errorf("exit status %d\n%s", code, out)
	}
}

// A disk that is taken away while its name and size are typed, and another of the same size
// put in its place, is not the one that was confirmed.
func TestOnlyTheDiskThatWasThereBeforeTheTypingIsDestroyed(t *testing.T) {
	const size = 1 << 20
	b := newBench(t, size)
	dev, file, confirm := b.oldDisk(size)
	if _, err := os.Stat(filepath.Join("/sys/block", filepath.Base(dev), "diskseq")); err != nil {
		t.Skip("this kernel does not count disks")
	}
	b.must(b.imageArgs()...)
	other := filepath.Join(b.dir, "other.img")
	if err := os.WriteFile(other, diskContent(size, "another disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	attach := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("losetup", args...).CombinedOutput(); err != nil {
			t.Fatalf("losetup %q: %v: %s", args, err, out)
		}
	}
	for _, c := range []struct {
		typed, says string
		args        []string
	}{
		{confirm, "plugged in anew", []string{"wipe", dev}},
		{filepath.Base(dev), "taken its place", []string{"restore", caseNo(1), dev, "--identity", b.identity, "--reason", "test", "--handover"}},
	} {
		run := b.command(c.args...)
		terminal, err := pty.Start(run)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for p := make([]byte, 1); !bytes.Contains(out.Bytes(), []byte("type its")); {
			if _, err := terminal.Read(p); err != nil {
				t.Fatalf("%q: %v: %s", c.args, err, out.String())
			}
			out.Write(p)
		}
		attach("-d", dev)
		attach(dev, other)
		if _, err := terminal.WriteString(c.typed + "\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = out.ReadFrom(terminal) // ends with EIO when the program ends
		_ = run.Wait()
		_ = terminal.Close()
		if code := run.ProcessState.ExitCode(); code != ui.Refused || !strings.Contains(out.String(), c.says) {
			t.Errorf("%q: exit status %d\n%s", c.args, code, out.String())
		}
		attach("-d", dev)
		attach(dev, file)
	}
	for path, salt := range map[string]string{file: "an old disk", other: "another disk"} {
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, diskContent(size, salt)) {
			t.Errorf("%s was written to: %v", path, err)
		}
	}
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		if jobs, err := l.OpenJobs(ctx); err != nil || len(jobs) > 0 {
			t.Errorf("%d jobs are open, %v", len(jobs), err)
		}
	})
}

// A vault that is away is told of, also when the directory is there where it is mounted.
func TestWipeTellsOfAVaultThatIsAway(t *testing.T) {
	b := newBench(t, 1000)
	dev, _, _ := b.oldDisk(1 << 20)
	for _, c := range []struct {
		name string
		do   func() error
		away bool
	}{
		{"it is there", func() error { return nil }, false},
		{"it is gone", func() error { return os.Rename(b.vault, b.vault+".away") }, true},
		{"its directory is there", func() error { return os.Mkdir(b.vault, 0o700) }, true},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		code, out := b.run("wipe", dev, "--dry-run")
		if code != ui.Done || strings.Contains(out, "the vault nas is away") != c.away {
			t.Errorf("%s: exit status %d\n%s", c.name, code, out)
		}
	}
}

// A disk that an imaging has set read-only and that was killed is no write-protected disk.
func TestWipeTakesADiskThatAKilledImagingHasSetReadOnly(t *testing.T) {
	b := newBench(t, 1000)
	dev, _, confirm := b.oldDisk(8 << 20)
	flag := filepath.Join("/sys/block", filepath.Base(dev), "ro")
	c := b.command("image", dev, "--customer", "An", "--purpose", "crash", "--agreed", "--keep", "90d")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for set := false; !set; {
		select {
		case err := <-ended:
			t.Fatalf("the imaging ended, and was never seen at it: %v", err)
		default:
		}
		text, err := os.ReadFile(flag)
		if err != nil {
			t.Fatal(err)
		}
		set = text[0] == '1'
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	if text, err := os.ReadFile(flag); err != nil || text[0] != '1' {
		t.Skipf("it is not read-only any more: %s, %v", text, err)
	}
	// The kernel lets go of the disk when the last read of the process has ended.
	for held := true; held; {
		f, err := os.OpenFile(dev, os.O_RDONLY|os.O_EXCL, 0)
		if held = errors.Is(err, syscall.EBUSY); !held && err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	// It may have come as far as to take the disk in; then it is a customer's.
	code, out := b.run("wipe", dev, "--confirm-serial", confirm)
	if taken := strings.Contains(out, caseNo(1)+"/1, and still in the shop"); code != ui.Done && !taken || taken && code != ui.Refused {
		t.Errorf("exit status %d\n%s", code, out)
	}
}

// TestKillWipe kills the command at any moment, again and again, until it has ended: no
// statement claims what is not so, the record has one beginning and one end of every
// wipe, and the disk holds what the statement says.
func TestKillWipe(t *testing.T) {
	b := newBench(t, 1000)
	const size = 24<<20 + 512
	dev, file, confirm := b.oldDisk(size)
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wipeIt := []string{"wipe", dev, "--confirm-serial", confirm}
	whole := b.takes(wipeIt...)
	killed, ended := 0, b.honestWipes(file)
	for range *kills * 5 / 6 {
		if err := os.WriteFile(file, old, 0o600); err != nil {
			t.Fatal(err)
		}
		for tries := 0; ; tries++ {
			if tries == 3 {
				b.must(wipeIt...)
				break
			}
			if !b.kill(rand.N(whole), wipeIt...) {
				break
			}
			killed++
		}
		// A run that was killed may have ended its wipe just before.
		now := b.honestWipes(file)
		if now <= ended {
			t.Fatalf("%d wipes have ended, and %d before", now, ended)
		}
		ended = now
	}
	t.Logf("killed %d times in %d wipes of %s each", killed, ended, whole.Round(time.Millisecond))
	b.must("audit")
}

// honestWipes compares what the record claims with the disk, and counts the wipes that
// have ended.
func (b *bench) honestWipes(file string) (ended int) {
	b.t.Helper()
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		shop, err := l.Shop(ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		jobs, err := l.OpenJobs(ctx)
		if err != nil || len(jobs) > 0 {
			b.t.Fatalf("%d jobs are open, %v", len(jobs), err)
		}
		var newest time.Time
		for _, w := range shop.Wipes {
			switch {
			case w.Done == nil && w.Failed != custody.StepPlanned:
				b.t.Fatalf("a wipe was begun, and nothing says what became of it: %+v", w)
			case w.Done == nil:
				continue
			case !w.Proved() || w.Attest == nil:
				b.t.Fatalf("it ended, and %+v", w)
			}
			ended++
			if w.Ended.After(newest) {
				newest = w.Ended
			}
		}
		for _, w := range shop.Wipes {
			if w.Done == nil || !w.Ended.Equal(newest) {
				continue
			}
			signed, err := l.Attest(ctx, w.Job)
			if err != nil {
				b.t.Fatal(err)
			}
			text, _, _ := bytes.Cut(signed, []byte("\n\n"))
			a, err := report.ParseDeviceAttest(append(text, '\n'))
			if err != nil {
				b.t.Fatal(err)
			}
			var key wipe.Key
			if err := key.UnmarshalText([]byte(a.StreamKey)); err != nil {
				b.t.Fatal(err)
			}
			facts, err := device.Reverify(ctx, file, key, a.Device.Bytes, func(int64) {})
			if err != nil {
				b.t.Fatal(err)
			}
			if facts.Equal == a.Device.Bytes {
				return
			}
		}
		b.t.Fatal("no statement of the newest wipe is true of the disk")
	})
	return ended
}
