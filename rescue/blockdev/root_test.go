package blockdev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"salvor/rescue"
	"salvor/rescue/blockdev/sysblock"
	"salvor/rescue/mapfile"
)

// The tests here use real loop devices and a real FUSE disk. They need root.

// run runs a command, or skips the test where it is not installed.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loop devices need root")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("no loop devices here")
	}
}

// loop attaches a file to a free loop device until the test ends.
func loop(t testing.TB, file string, args ...string) string {
	t.Helper()
	needRoot(t)
	dev := run(t, "flock", append(append([]string{"/dev/loop-control", "losetup", "--find", "--show"}, args...), file)...)
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", dev).Run() })
	return dev
}

// roFlag asks for a device's read-only flag from outside.
func roFlag(t *testing.T, dev string) string {
	t.Helper()
	return sysblock.Text(filepath.Join("/sys/class/block", filepath.Base(dev)), "ro")
}

func refused(t *testing.T, path string, want error) {
	t.Helper()
	s, _, err := Open(path, Options{})
	if err == nil {
		_ = s.Close()
	}
	var use *InUseError
	if !errors.Is(err, want) || !errors.As(err, &use) {
		t.Errorf("Open %s: %v, want %v", path, err, want)
	}
	if tg, _, err := OpenTarget(path); !errors.Is(err, want) {
		t.Errorf("OpenTarget %s: %v, want %v", path, err, want)
		if err == nil {
			_ = tg.Close()
		}
	}
}

func TestDeviceIsReadOnlyWhileOpenAndAsBeforeAfterwards(t *testing.T) {
	want := content(4 << 20)
	for _, before := range []string{"0", "1"} {
		t.Run("flag "+before, func(t *testing.T) {
			var args []string
			if before == "1" {
				args = []string{"--read-only"}
			}
			dev := loop(t, file(t, want), args...)
			s, id, err := Open(dev, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := roFlag(t, dev); got != "1" {
				t.Errorf("the read-only flag is %s while open", got)
			}
			if w, err := os.OpenFile(dev, os.O_WRONLY, 0); err == nil {
				if _, err := w.Write(make([]byte, 512)); err == nil {
					err = w.Sync()
					t.Errorf("written to while open, sync: %v", err)
				}
				_ = w.Close()
			}
			var flags int
			if err := control(s.at.f, func(fd int) (err error) { flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); return err }); err != nil || flags&unix.O_DIRECT == 0 {
				t.Errorf("flags %#x, %v: not O_DIRECT", flags, err)
			}
			if id.Kind != Disk || id.Bytes != 4<<20 || id.Sector != 512 || id.Transport != "loop" || id.ReadOnly != (before == "1") {
				t.Errorf("%+v", id)
			}
			// Aligned or not, the content is the content.
			p := make([]byte, 1<<20+1)
			for _, buf := range [][]byte{p[:1<<20], p[1:]} {
				if res := s.ReadAt(t.Context(), buf, 2048, 0); res.Good != 2048 || !bytes.Equal(buf, want[1<<20:2<<20]) {
					t.Errorf("%+v, or other content", res)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got := roFlag(t, dev); got != before {
				t.Errorf("the read-only flag was %s and is %s", before, got)
			}
		})
	}
}

func TestDeviceInUseIsRefused(t *testing.T) {
	t.Run("open here", func(t *testing.T) {
		dev := loop(t, file(t, content(1<<20)))
		s, _, err := Open(dev, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		// Nothing in /proc or /sys tells: only the kernel knows.
		if again, _, err := Open(dev, Options{}); !errors.Is(err, ErrInUse) {
			t.Errorf("opened twice: %v", err)
			if err == nil {
				_ = again.Close()
			}
		}
	})
	t.Run("mounted, and cannot be mounted while open", func(t *testing.T) {
		img := file(t, make([]byte, 8<<20))
		run(t, "mkfs.ext4", "-q", img)
		dev, at := loop(t, img), t.TempDir()
		s, _, err := Open(dev, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(dev, at, "ext4", unix.MS_RDONLY, ""); !errors.Is(err, unix.EBUSY) {
			t.Errorf("mounted while open: %v", err)
			_ = unix.Unmount(at, 0)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(dev, at, "ext4", 0, ""); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Unmount(at, 0) }()
		refused(t, dev, ErrMounted)
		alias := filepath.Join(t.TempDir(), "by-id")
		if err := os.Symlink(dev, alias); err != nil {
			t.Fatal(err)
		}
		refused(t, alias, ErrMounted)
		// The file behind it is in the same use.
		if _, _, err := Open(img, Options{}); !errors.Is(err, ErrMounted) {
			t.Errorf("Open of the file behind it: %v", err)
		}
		if got := roFlag(t, dev); got != "0" {
			t.Errorf("a refusal changed the read-only flag to %s", got)
		}
	})
	t.Run("a partition is mounted", func(t *testing.T) {
		dev := loop(t, file(t, make([]byte, 16<<20)), "--partscan")
		run(t, "addpart", dev, "1", "2048", "16384")
		defer func() { _ = exec.Command("delpart", dev, "1").Run() }()
		part := partition(t, dev)
		run(t, "mkfs.ext4", "-q", part)
		at := t.TempDir()
		s, id, err := Open(part, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if id.Kind != Partition || id.Bytes != 8<<20 {
			t.Errorf("%+v", id)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(part, at, "ext4", 0, ""); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Unmount(at, 0) }()
		refused(t, part, ErrMounted)
		refused(t, dev, ErrMounted)
	})
	t.Run("swap", func(t *testing.T) {
		dev := loop(t, file(t, make([]byte, 1<<20)))
		run(t, "mkswap", dev)
		if out, err := exec.Command("swapon", dev).CombinedOutput(); err != nil {
			t.Skipf("no swap here: %s", out)
		}
		defer func() { _ = exec.Command("swapoff", dev).Run() }()
		refused(t, dev, ErrInUse)
	})
	t.Run("another process writes to it", func(t *testing.T) {
		dev := loop(t, file(t, make([]byte, 1<<20)))
		f, err := os.OpenFile(dev, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c := exec.Command("sleep", "300")
		c.Stdout = f
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
		if _, err := CheckTarget(dev); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "sleep, process") {
			t.Errorf("CheckTarget: %v", err)
		}
		if _, _, err := OpenTarget(dev); !errors.Is(err, ErrInUse) {
			t.Errorf("OpenTarget: %v", err)
		}
	})
	t.Run("below a loop device", func(t *testing.T) {
		dev := loop(t, file(t, make([]byte, 1<<20)))
		upper := loop(t, dev)
		refused(t, dev, ErrInUse)
		if _, err := CheckTarget(upper); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dev) {
			t.Errorf("CheckTarget: %v", err)
		}
	})
	t.Run("held by a volume", func(t *testing.T) {
		dev := loop(t, file(t, make([]byte, 1<<20)))
		name := "salvor-test-" + filepath.Base(dev)
		if _, err := exec.LookPath("dmsetup"); err != nil {
			t.Skip("dmsetup is not installed")
		}
		if out, err := exec.Command("dmsetup", "create", name, "--table", "0 2048 linear "+dev+" 0").CombinedOutput(); err != nil {
			t.Skipf("no device mapper here: %s", out)
		}
		defer func() { _ = exec.Command("dmsetup", "remove", name).Run() }()
		refused(t, dev, ErrInUse)
	})
	t.Run("the system's own disk", func(t *testing.T) {
		system, err := this().System()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range system.Disks {
			if _, err := CheckTarget(this().Path(name)); !errors.Is(err, ErrSystemDisk) {
				t.Errorf("CheckTarget %s: %v", name, err)
			}
		}
	})
}

// partition is the first partition of a loop device; where no udev makes its device
// file, one is made.
func partition(t *testing.T, dev string) string {
	t.Helper()
	name := filepath.Base(dev) + "p1"
	n := sysblock.Text("/sys/class/block/"+name, "dev")
	if path := "/dev/" + name; func() bool { _, err := os.Stat(path); return err == nil }() {
		return path
	}
	major, minor, _ := strings.Cut(n, ":")
	path := filepath.Join(t.TempDir(), name)
	run(t, "mknod", path, "b", major, minor)
	return path
}

func TestDeviceThatShrinksHasNotEnded(t *testing.T) {
	dev := loop(t, file(t, content(2<<20)))
	s, _, err := Open(dev, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// What a reset that brings another capacity does.
	back := sysblock.Text("/sys/class/block/"+filepath.Base(dev), "loop/backing_file")
	if err := os.Truncate(back, 1<<20); err != nil {
		t.Fatal(err)
	}
	run(t, "losetup", "--set-capacity", dev)
	p := make([]byte, 1<<20)
	if res := s.ReadAt(t.Context(), p, 2048, 0); res.Class != rescue.SizeChanged || res.Good != 0 {
		t.Errorf("%+v", res)
	}
}

func TestTargetIsWrittenAndReadBack(t *testing.T) {
	want := content(2 << 20)
	img := file(t, make([]byte, 2<<20))
	dev := loop(t, img)
	if _, err := CheckTarget(dev); err != nil {
		t.Fatal(err)
	}
	tg, id, err := OpenTarget(dev)
	if err != nil {
		t.Fatal(err)
	}
	if id.Bytes != 2<<20 {
		t.Errorf("%+v", id)
	}
	if _, err := CheckTarget(img); !errors.Is(err, ErrNotDisk) {
		t.Errorf("a regular file as target: %v", err)
	}
	if _, err := tg.WriteAt(want, 0); err != nil {
		t.Fatal(err)
	}
	if err := tg.Sync(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := tg.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read back: %v", err)
	}
	if err := tg.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(img); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file behind it: %v", err)
	}
	ro := loop(t, file(t, want), "--read-only")
	if _, _, err := OpenTarget(ro); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a read-only target: %v", err)
	}
}

// faultyDisk serves a file with bad sectors and returns the path of the FUSE file.
func faultyDisk(t testing.TB, img, bad string) string {
	t.Helper()
	needRoot(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no FUSE here")
	}
	program := filepath.Join(t.TempDir(), "faultydisk")
	run(t, "go", "build", "-o", program, "salvor/scripts/faultydisk")
	at := t.TempDir()
	cmd := exec.Command(program, "--bad", bad, img, at)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			_ = unix.Unmount(at, unix.MNT_DETACH)
		}
	})
	ready := make([]byte, 4096)
	n, err := out.Read(ready)
	if err != nil {
		t.Skipf("FUSE cannot be mounted here: %v", err)
	}
	return strings.TrimSpace(string(ready[:n]))
}

// copySink keeps the data in a file, and lets go at once.
type copySink struct {
	f      io.WriterAt
	sector int64
	mu     sync.Mutex
	seen   *mapfile.Map
}

func (c *copySink) Write(_ context.Context, first int64, p []byte, _ uint8, release func()) error {
	defer release()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.Set(first, int64(len(p))/c.sector, mapfile.Rescued)
	_, err := c.f.WriteAt(p, first*c.sector)
	return err
}

func (c *copySink) Mark(context.Context, int64, int64, byte, uint8) error { return nil }

// TestFaultyDiskIsRescuedSectorBySector is the whole way with errors that the kernel
// itself reports:
//
//	image file ── FUSE, EIO on bad sectors ── loop device, direct I/O ── O_DIRECT ── engine ── copy
func TestFaultyDiskIsRescuedSectorBySector(t *testing.T) {
	const bytesOf = 24 << 20
	want := content(bytesOf)
	img := file(t, want)
	// The first and the last sector, single ones, a scratch across a MiB boundary, a
	// long area, and every eighth sector for a while.
	bad := []mapfile.Run{
		{First: 0, Sectors: 1},
		{First: 77, Sectors: 1},
		{First: 4000, Sectors: 130},
		{First: 10_000, Sectors: 5000},
		{First: bytesOf/512 - 1, Sectors: 1},
	}
	var flag []string
	for i := int64(0); i < 40; i++ {
		bad = append(bad, mapfile.Run{First: 20_000 + i*8, Sectors: 1})
	}
	truth := mapfile.New(bytesOf / 512)
	truth.Set(0, truth.Sectors(), mapfile.Rescued)
	for _, b := range bad {
		truth.Set(b.First, b.Sectors, mapfile.Bad)
		flag = append(flag, rangeFlag(b))
	}
	disk := faultyDisk(t, img, strings.Join(flag, ","))

	for _, tc := range []struct {
		name string
		open func(t *testing.T) string
	}{
		{"block device", func(t *testing.T) string { return loop(t, disk, "--direct-io=on", "--read-only") }},
		{"file", func(*testing.T) string { return disk }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			src, id, err := Open(tc.open(t), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			if id.Physical != 512 {
				t.Skipf("the physical sector is %d bytes here: bad sectors would spread", id.Physical)
			}
			copied, err := os.Create(filepath.Join(t.TempDir(), "copy"))
			if err != nil {
				t.Fatal(err)
			}
			defer copied.Close()
			m := mapfile.New(src.Info().Sectors())
			sink := &copySink{f: copied, sector: 512, seen: mapfile.New(m.Sectors())}
			out, err := rescue.Run(t.Context(), src, sink, m, rescue.Options{Now: time.Now, After: time.After})
			if err != nil || out.Stop != rescue.Finished {
				t.Fatalf("%+v, %v", out, err)
			}
			if diff := cmp.Diff(list(truth), list(m)); diff != "" {
				t.Errorf("the map is not the truth: %s", diff)
			}
			got := make([]byte, bytesOf)
			if _, err := copied.ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			for r := range truth.All() {
				for s := r.First; s < r.End(); s++ {
					have, read := got[s*512:(s+1)*512], sink.seen.Get(s).Status == mapfile.Rescued
					if read != (r.Status == mapfile.Rescued) {
						t.Fatalf("sector %d: handed over %v, truly %v", s, read, r.Status)
					}
					if read && !bytes.Equal(have, want[s*512:(s+1)*512]) {
						t.Fatalf("sector %d holds other data", s)
					}
				}
			}
		})
	}
}

func rangeFlag(r mapfile.Run) string { return fmt.Sprintf("%d-%d", r.First, r.End()-1) }

func list(m *mapfile.Map) (out []mapfile.Run) {
	for r := range m.All() {
		out = append(out, r)
	}
	return out
}
