package sysblock

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// loops gives a loop device, as the kernel describes it.
func loops(t *testing.T) Node {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loop devices")
	}
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("flock", "/dev/loop-control", "losetup", "-f", "--show", file).Output()
	if err != nil {
		t.Skip("no loop devices here:", err)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", dev).Run() })
	n, err := This().Named(filepath.Base(dev))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// holding runs a process that has a device open, until the test ends it.
func holding(t *testing.T, path string, flags int) (pid int, end func()) {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := exec.Command("sleep", "300")
	c.ExtraFiles = []*os.File{f}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	t.Cleanup(end)
	return c.Process.Pid, end
}

func TestWhoWritesIsFound(t *testing.T) {
	n := loops(t)
	h := This()
	path := h.Path(n.Name)
	who := func(of ...Node) *Process {
		t.Helper()
		p, err := h.Writer(of)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := who(n); p != nil {
		t.Fatalf("%v", p)
	}
	other := n
	other.Dev = "1:99"
	for name, flags := range map[string]int{"both": os.O_RDWR, "only": os.O_WRONLY, "direct": os.O_RDWR | unix.O_DIRECT, "exclusively": os.O_RDWR | unix.O_EXCL} {
		pid, end := holding(t, path, flags)
		p := who(other, n)
		if p == nil || p.PID != pid || p.Command != "sleep" || p.Node.Name != n.Name || !strings.Contains(p.String(), n.Name+" open for writing") {
			t.Errorf("writes %s: %v", name, p)
		}
		if p := who(other); p != nil {
			t.Errorf("another device: %v", p)
		}
		end()
	}
	if _, end := holding(t, path, os.O_RDONLY); who(n) != nil {
		t.Error("who only reads is no writer")
	} else {
		end()
	}
	// Under another name, and after that is gone.
	node := filepath.Join(t.TempDir(), "node")
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(st.Rdev)); err != nil {
		t.Skip("no device files here:", err)
	}
	if _, err := os.Open(node); errors.Is(err, fs.ErrPermission) {
		t.Skip("device files are not taken here")
	}
	pid, _ := holding(t, node, os.O_RDWR)
	if err := os.Remove(node); err != nil {
		t.Fatal(err)
	}
	if p := who(n); p == nil || p.PID != pid {
		t.Errorf("by a device file that is removed: %v", p)
	}
}

func TestHowAFileWasOpened(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]bool{
		"pos:\t0\nflags:\t0100000\n": false, "flags:\t0100002\n": true, "flags:\t01\n": true, "flags:\tx\n": true, "": true, "pos:\t0\n": true,
	} {
		file := filepath.Join(dir, "info")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := writes(file); got != want {
			t.Errorf("%q: %v", content, got)
		}
	}
	if writes(filepath.Join(dir, "closed meanwhile")) {
		t.Error("a file that is closed writes")
	}
}

// What may not be looked into is no proof that nobody writes.
func TestWhoWritesIsNotGuessed(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may look everywhere")
	}
	if _, err := This().Writer(nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}
