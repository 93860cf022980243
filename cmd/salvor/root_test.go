package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody/ledger"
	"salvor/wipe"
)

// needRoot skips what only root can do, and says why.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loop devices and mounts")
	}
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// mountLoop mounts a new file system on a loop device over a file, and returns the
// file's path and the mount point. unmount may be called early.
//
//	device.img ── loop device ── ext4 ── mnt/
func mountLoop(t *testing.T, bytes int64, mkfs ...string) (device, mnt string, unmount func()) {
	t.Helper()
	needRoot(t)
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		t.Skipf("%s is not installed", mkfs[0])
	}
	dir := t.TempDir()
	device, mnt = filepath.Join(dir, "device.img"), filepath.Join(dir, "mnt")
	if err := errors.Join(os.Mkdir(mnt, 0o700), os.WriteFile(device, nil, 0o600), os.Truncate(device, bytes)); err != nil {
		t.Fatal(err)
	}
	tool(t, mkfs[0], append(mkfs[1:], device)...)
	loop := tool(t, "flock", "/dev/loop-control", "losetup", "--find", "--show", device)
	mounted := true
	unmount = func() {
		if mounted {
			mounted = false
			tool(t, "umount", mnt)
			tool(t, "losetup", "--detach", loop)
		}
	}
	if out, err := exec.Command("mount", loop, mnt).CombinedOutput(); err != nil {
		exec.Command("losetup", "--detach", loop).Run()
		t.Skipf("mount: %v: %s", err, out)
	}
	t.Cleanup(unmount)
	return device, mnt, unmount
}

// samples are 64-byte pieces, one from every block of every file below dir, the journal
// excepted: it stays.
func samples(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == ".salvor" {
			return filepath.SkipDir
		}
		if err != nil || !d.Type().IsRegular() || d.Name() == "salvor-vault.json" {
			return err
		}
		content, err := os.ReadFile(path)
		for off := 256; off+64 <= len(content); off += 4096 {
			piece := content[off : off+64]
			if bytes.Count(piece, piece[:1]) < 32 { // not padding
				found[string(piece)] = filepath.Base(path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// scan looks for the samples on a raw device, at any offset.
func scan(t *testing.T, device string, want map[string]string) (left int) {
	t.Helper()
	index := make(map[string][]string) // by their first eight bytes
	for s := range want {
		index[s[:8]] = append(index[s[:8]], s)
	}
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const window = 4 << 20
	buf := make([]byte, window+64)
	for off := int64(0); ; off += window {
		n, err := f.ReadAt(buf, off)
		for i := 0; i+64 <= n && i < window; i++ {
			if list, ok := index[string(buf[i:i+8])]; ok {
				for _, s := range list {
					if string(buf[i:i+64]) == s {
						left++
					}
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return left
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestPurgeLeavesNoOldBlockOnTheDevice looks at the raw device, below the file system.
func TestPurgeLeavesNoOldBlockOnTheDevice(t *testing.T) {
	device, mnt, unmount := mountLoop(t, 160<<20, "mkfs.ext4", "-q", "-F")
	b := newBench(t, 24<<20)
	b.must("vault", "add", mnt, "--name", "loop")
	b.must(append(b.imageArgs(), "--vault", "loop")...)
	old := samples(t, mnt)
	tool(t, "sync", "-f", mnt)
	if n := scan(t, device, old); n < len(old) {
		t.Fatalf("before the purge only %d of %d samples are on the device: the scan proves nothing", n, len(old))
	}
	b.must("purge", "--max", "10")
	got := b.newestAttest()
	if got == nil || got.Media != string(wipe.MediaRaw) || !got.Virtual {
		t.Fatalf("attest %+v, want %s on a virtual device", got, wipe.MediaRaw)
	}
	unmount()
	if n := scan(t, device, old); n > 0 {
		t.Fatalf("%d of %d old blocks are left on the device", n, len(old))
	}
}

// TestMarkerOfTheSourceIsNowhere searches vault, ledger and output, on the raw device.
func TestMarkerOfTheSourceIsNowhere(t *testing.T) {
	device, mnt, unmount := mountLoop(t, 128<<20, "mkfs.ext4", "-q", "-F")
	b := newBench(t, 8<<20)
	b.must("vault", "add", mnt, "--name", "loop")
	out := b.must(append(b.imageArgs(), "--vault", "loop")...)
	unmount()
	places := map[string][]byte{"output": []byte(out)}
	for _, name := range []string{device, filepath.Join(b.state, ledgerFile)} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		places[name] = content
	}
	for where, content := range places {
		if bytes.Contains(content, []byte(marker)) {
			t.Errorf("the source's text is in %s", where)
		}
	}
	if bytes.Contains(places[device], []byte("Peeters")) || strings.Contains(out, "Peeters") {
		t.Error("the customer's name is in the vault or the output")
	}
}

// TestImagingStopsOnAFullVaultAndGoesOn fills the vault's file system under the run.
func TestImagingStopsOnAFullVaultAndGoesOn(t *testing.T) {
	_, mnt, _ := mountLoop(t, 192<<20, "mkfs.ext4", "-q", "-F", "-m", "0")
	b := newBench(t, 100<<20)
	b.must("vault", "add", mnt, "--name", "loop")
	filler := filepath.Join(mnt, "filler")
	args := append(b.imageArgs(), "--vault", "loop")
	c := b.command(args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	segment := filepath.Join(mnt, "cases", "*", "image-01", "*.seg")
	for {
		if found, _ := filepath.Glob(segment); len(found) > 0 || c.ProcessState != nil {
			break
		}
		if err := syscall.Kill(c.Process.Pid, 0); err != nil {
			break
		}
	}
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Fallocate(int(f.Fd()), 0, 0, 150<<20)
	_, _ = io.Copy(f, io.LimitReader(zeros{}, 192<<20)) // until ENOSPC
	f.Close()
	var exit *exec.ExitError
	if err := c.Wait(); err == nil {
		t.Skip("imaging was faster than the filling of the disk")
	} else if !errors.As(err, &exit) || exit.ExitCode() != ui.Absent {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "no space left") {
		t.Fatalf("the errno is lost:\n%s", out.String())
	}
	b.acknowledgedIsThereIn(mnt)
	if code, text := b.run(args...); code != ui.Absent {
		t.Fatalf("on a disk that is still full: exit status %d\n%s", code, text)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	b.must(args...)
	b.imageIsTheSource()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestOrdinaryUserDoesTheWholeLife runs everything as somebody who is not root.
func TestOrdinaryUserDoesTheWholeLife(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests run as an ordinary user already")
	}
	program, err := exec.LookPath("salvor")
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "salvor-user")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	mine := filepath.Join(home, "salvor")
	script := `set -e
cd "$HOME"; export SALVOR_OPERATOR=jan ` + carrierFile + `=carrier
./salvor init --shop X --station T1 --dpo d
./salvor key add ` + recipientOf(t, filepath.Join(home, "a.txt")) + ` --label a
./salvor key add ` + recipientOf(t, filepath.Join(home, "b.txt")) + ` --label b
./salvor operator add jan --name Jan --agreement 2026-01-05
mkdir vault; ./salvor vault add vault --name nas
head -c 3000000 /dev/urandom > disk.img
./salvor image disk.img --customer An --purpose crash --agreed --keep 0d
./salvor verify ` + caseNo(1) + ` --deep --identity a.txt
./salvor restore ` + caseNo(1) + ` out.img --identity b.txt --reason test
cmp disk.img out.img
./salvor purge
./salvor report attest ` + caseNo(1) + ` --lang en
./salvor audit
[ -z "$(find vault -type f ! -name salvor-vault.json ! -path 'vault/.salvor/*')" ]`
	if err := os.WriteFile(mine, content, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{home, mine, filepath.Join(home, "a.txt"), filepath.Join(home, "b.txt")} {
		if err := os.Chown(name, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("sh", "-c", script)
	c.Dir = home
	c.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("CLEAR-LOGICAL")) {
		t.Fatalf("an ordinary user cannot read the raw device, and the attest does not say so:\n%s", out)
	}
}

// acknowledgedIsThereIn is acknowledgedIsThere for another vault than the first.
func (b *bench) acknowledgedIsThereIn(dir string) {
	b.t.Helper()
	was := b.vault
	b.vault = dir
	defer func() { b.vault = was }()
	b.acknowledgedIsThere()
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		if _, err := l.Audit(ctx); err != nil {
			b.t.Fatal(err)
		}
	})
}

// loopDevice attaches a file as a block device.
func loopDevice(t *testing.T, path string) string {
	t.Helper()
	needRoot(t)
	dev := tool(t, "flock", "/dev/loop-control", "losetup", "--find", "--show", path)
	t.Cleanup(func() { tool(t, "losetup", "--detach", dev) })
	tool(t, "blockdev", "--setrw", dev) // the flag outlives the file of a loop device
	return dev
}

// TestDiskToDiskAndBack images a block device and restores it to another one, which is
// overwritten only by its own name, and never while it is too small or mounted.
func TestDiskToDiskAndBack(t *testing.T) {
	needRoot(t)
	b := newBench(t, 4<<20)
	source := loopDevice(t, b.source)
	image := []string{"image", source, "--customer", "An Peeters", "--purpose", "transfer", "--agreed", "--keep", "9d"}
	b.must(image...)
	if got := tool(t, "blockdev", "--getro", source); got != "0" {
		t.Errorf("the read-only flag of the source is %s afterwards", got)
	}
	restore := func(target, serial string) (int, string) {
		return b.run("restore", caseNo(1), target, "--identity", b.identity, "--reason", "test", "--confirm-serial", serial)
	}
	file := filepath.Join(b.dir, "target.img")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 5<<20)); err != nil {
		t.Fatal(err)
	}
	target := loopDevice(t, file)
	if code, out := restore(target, "another"); code != ui.Refused {
		t.Fatalf("another serial number: exit status %d\n%s", code, out)
	}
	if content, err := os.ReadFile(file); err != nil || bytes.Count(content, []byte{0}) != len(content) {
		t.Fatalf("a refused restore wrote to the disk: %v", err)
	}
	if code, out := b.run("restore", caseNo(1), target, "--identity", b.identity, "--reason", "test"); code != ui.Usage {
		t.Fatalf("no terminal and no serial number: exit status %d\n%s", code, out)
	}
	if code, out := restore(target, filepath.Base(target)); code != 0 {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	tool(t, "cmp", "--bytes", "4194304", b.source, target)

	small := filepath.Join(b.dir, "small.img")
	if err := errors.Join(os.WriteFile(small, nil, 0o600), os.Truncate(small, 1<<20)); err != nil {
		t.Fatal(err)
	}
	tiny := loopDevice(t, small)
	if code, out := restore(tiny, filepath.Base(tiny)); code != ui.Refused {
		t.Fatalf("too small: exit status %d\n%s", code, out)
	}
	_, mnt, _ := mountLoop(t, 16<<20, "mkfs.ext4", "-q", "-F")
	mounted := tool(t, "findmnt", "--noheadings", "--output", "SOURCE", mnt)
	if code, out := restore(mounted, filepath.Base(mounted)); code != ui.Refused {
		t.Fatalf("mounted target: exit status %d\n%s", code, out)
	}
	if code, out := b.run("image", mounted, "--customer", "Jo", "--purpose", "crash", "--agreed"); code != ui.Refused {
		t.Fatalf("mounted source: exit status %d\n%s", code, out)
	}
}
