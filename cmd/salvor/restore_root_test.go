package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// TestRestoreTellsWhatItLeavesOnAUsedDisk: what lies behind the image goes to the customer
// with it, and partitions are counted in sectors.
func TestRestoreTellsWhatItLeavesOnAUsedDisk(t *testing.T) {
	needRoot(t)
	const size = 2 << 20
	b := newBench(t, size)
	b.must(b.imageArgs()...)
	backing := filepath.Join(b.dir, "target.img")
	for _, tt := range []struct {
		name, sector string
		behind       []byte
		says, never  string
	}{
		{"new", "512", make([]byte, 20<<20), "21.0 MB behind it were not written to; they are blank", "before"},
		{"used at its end", "512", append(make([]byte, 20<<20), "another customer's"...), "may hold what was on the disk before", "blank"},
		{"of one size", "512", nil, "equal", "behind it"},
		{"other sectors", "4096", nil, "sectors of 4096 bytes", "behind it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			end := (len(tt.behind) + 511) / 512 * 512
			if err := os.WriteFile(backing, append(make([]byte, size+end-len(tt.behind)), tt.behind...), 0o600); err != nil {
				t.Fatal(err)
			}
			disk := tool(t, "flock", "/dev/loop-control", "losetup", "--find", "--show", "--sector-size", tt.sector, backing)
			defer tool(t, "losetup", "--detach", disk)
			out := b.must("restore", caseNo(1), disk, "--identity", b.identity, "--reason", "test", "--confirm-serial", filepath.Base(disk))
			if !strings.Contains(out, tt.says) || strings.Contains(out, tt.never) {
				t.Errorf("says:\n%s", out)
			}
		})
	}
}

// What the program finds out about its targets by itself, without what scripts tell it: a
// file, a file on a file system of its own, and a disk all lie where the directory of the
// test lies; what a fake medium can be carried away with is asked before anything.
func TestRestoreKnowsWhatItWritesTo(t *testing.T) {
	_, mnt, _ := mountLoop(t, 32<<20, "mkfs.ext4", "-q", "-F")
	b := newBench(t, 2<<20)
	b.must(b.imageArgs()...)
	backing := filepath.Join(b.dir, "target.img")
	if err := os.WriteFile(backing, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	disk := loopDevice(t, backing)
	restore := func(told, target string, more ...string) (int, string) {
		c := b.command(append([]string{"restore", caseNo(1), target, "--identity", b.identity, "--reason", "test"}, more...)...)
		if told == "" {
			c.Env = slices.DeleteFunc(c.Env, func(e string) bool { return strings.HasPrefix(e, carrierFile) })
		} else if err := os.WriteFile(filepath.Join(b.dir, "carrier"), []byte(told), 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ := c.CombinedOutput()
		return c.ProcessState.ExitCode(), string(out)
	}
	if code, out := restore("usb", disk, "--confirm-serial", filepath.Base(disk)); code != ui.Refused || !strings.Contains(out, "--handover") {
		t.Fatalf("a USB disk without a hand-over: exit status %d\n%s", code, out)
	}
	if content, err := os.ReadFile(backing); err != nil || strings.Trim(string(content), "\x00") != "" {
		t.Fatalf("a refused restore wrote to the disk: %v", err)
	}
	if code, out := restore("usb", disk, "--confirm-serial", filepath.Base(disk), "--handover"); code != 0 {
		t.Fatalf("a USB disk for the customer: exit status %d\n%s", code, out)
	}
	// A machine whose disk is a USB stick, or that cannot tell, wants a hand-over here too.
	for _, target := range []string{filepath.Join(b.dir, "out.img"), filepath.Join(mnt, "out.img"), disk} {
		if code, out := restore("", target, "--confirm-serial", filepath.Base(disk), "--handover"); code != 0 {
			t.Fatalf("%s: exit status %d\n%s", target, code, out)
		}
	}
	var exports []custody.ExportedCopy
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		c, err := l.Case(ctx, custody.CaseNo(caseNo(1)))
		if err != nil {
			t.Fatal(err)
		}
		exports = c.Exports
	})
	removable := 0
	for _, x := range exports {
		if !x.Export.Plain || !x.Export.Handover || x.Begun || !x.End.Open() {
			t.Errorf("%+v", x)
		}
		if x.Export.Removable {
			removable++
		}
	}
	// All three lie on the same disk, so all say the same of it.
	if len(exports) != 4 || removable != 1 && removable != 4 {
		t.Errorf("%d copies, %d on a medium that can be carried away", len(exports), removable)
	}
}

// TestARestoreThatIsCutOffStaysInTheInventory writes to a disk that is too faulty to
// give back what was written.
func TestARestoreThatIsCutOffStaysInTheInventory(t *testing.T) {
	needRoot(t)
	b := newBench(t, 4<<20)
	b.must(b.imageArgs()...)
	// The file behind the disk was cut, and may not grow: writing behind its end fails.
	backing := filepath.Join(b.dir, "target.img")
	if err := os.WriteFile(backing, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	disk := loopDevice(t, backing)
	if err := os.Truncate(backing, 1<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chattr", "+i", backing).CombinedOutput(); err != nil {
		t.Skipf("chattr: %v: %s", err, out)
	}
	t.Cleanup(func() { tool(t, "chattr", "-i", backing) })
	code, out := b.run("restore", caseNo(1), disk, "--identity", b.identity, "--reason", "test", "--handover", "--confirm-serial", filepath.Base(disk))
	if code == 0 {
		t.Skip("this kernel writes to an immutable file through a loop device")
	}
	if !strings.Contains(out, "part of the data may be on the target") {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	if out = b.must("show", caseNo(1)); !strings.Contains(out, "cut off") {
		t.Errorf("not in the inventory:\n%s", out)
	}
}

// TestACopyThatStaysInsideIsWipedAndTheCaseClosed walks the other way to the end: a copy
// that nobody gets, on a disk of the shop.
func TestACopyThatStaysInsideIsWipedAndTheCaseClosed(t *testing.T) {
	needRoot(t)
	b := newBench(t, 1<<20)
	b.must("intake", "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--item", "hdd")
	b.must("image", b.source, "--case", caseNo(1))
	clock := filepath.Join(b.dir, "clock")
	t.Setenv(clockFile, clock)
	wiped := func(disk, confirm string) string {
		t.Helper()
		out := b.must("wipe", disk, "--confirm-serial", confirm)
		attest := regexp.MustCompile(`[0-9a-f]{32}`).FindString(out)
		if attest == "" {
			t.Fatalf("no attest is named:\n%s", out)
		}
		return attest
	}
	copied := func(disk string) string {
		t.Helper()
		out := b.must("restore", caseNo(1), disk, "--identity", b.identity, "--reason", "test", "--confirm-serial", filepath.Base(disk))
		return regexp.MustCompile(`c-[0-9a-f]{8}`).FindString(out)
	}
	disk, backing, confirm := b.oldDisk(1 << 20)
	before := wiped(disk, confirm)
	if err := os.WriteFile(clock, []byte("1h"), 0o600); err != nil {
		t.Fatal(err)
	}
	id := copied(disk)
	elsewhere := func(size int) (dev, confirm string) {
		x := *b
		x.dir = t.TempDir()
		dev, _, confirm = x.oldDisk(size)
		return dev, confirm
	}
	second, secondConfirm := elsewhere(1 << 20)
	other := copied(second)
	small, smallConfirm := elsewhere(1 << 19)
	for why, attest := range map[string]string{"before the copy was there": before, "larger than that disk": wiped(small, smallConfirm)} {
		if code, out := b.run("erased", caseNo(1), "--copy", id, "--attest", attest); code != ui.Refused || !strings.Contains(out, why) {
			t.Fatalf("the wipe of a disk on which it did not lie: exit status %d\n%s", code, out)
		}
	}
	b.must("return", caseNo(1), "--to", "owner", "--identity-shown")
	b.must("deadline", caseNo(1), "--keep", "0d")
	b.must("purge")
	if code, out := b.run("close", caseNo(1)); code != ui.Refused || !strings.Contains(out, "still open: ") || !strings.Contains(out, "copy "+id) || !strings.Contains(out, "copy "+other) {
		t.Fatalf("two copies are left: exit status %d\n%s", code, out)
	}
	b.must("erased", caseNo(1), "--copy", id, "--attest", wiped(disk, confirm))
	if content, err := os.ReadFile(backing); err != nil || strings.Contains(string(content), marker) {
		t.Errorf("the copy is still there: %v", err)
	}
	if out := b.must("show", caseNo(1)); !strings.Contains(out, "erased on") {
		t.Errorf("show does not say what ended the copy:\n%s", out)
	}
	// The other copy is another one.
	if code, out := b.run("close", caseNo(1)); code != ui.Refused || !strings.Contains(out, "still open: copy "+other) || strings.Contains(out, id) {
		t.Fatalf("one copy is left: exit status %d\n%s", code, out)
	}
	b.must("erased", caseNo(1), "--copy", other, "--attest", wiped(second, secondConfirm))
	b.must("close", caseNo(1))
}
