package device

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue/blockdev/sysblock"
	"salvor/wipe"
	"salvor/wipe/device/faulty"
)

func asRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loop devices")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("no loop devices here")
	}
}

func shell(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// loop puts a loop device on a file. One losetup at a time, in all tests: another, which
// was told of the same free device, would have it open for writing for a moment.
func loop(t testing.TB, file string, options ...string) string {
	t.Helper()
	asRoot(t)
	dev := shell(t, "flock", append(append([]string{"/dev/loop-control", "losetup"}, options...), "-f", "--show", file)...)
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", dev).Run() })
	return dev
}

// oldDisk is a loop device full of content that is to be gone, and its file.
func oldDisk(t testing.TB, size int64) (dev, file string) {
	t.Helper()
	asRoot(t)
	file = filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(file)
	check(t, err)
	defer f.Close()
	fill(t, f, size)
	return loop(t, file), file
}

// fill writes old content: no sector of it is like another.
func fill(t testing.TB, f *os.File, size int64) {
	t.Helper()
	r := mrand.NewChaCha8([32]byte{7})
	b := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(b)) {
		_, _ = r.Read(b)
		if _, err := f.WriteAt(b[:min(int64(len(b)), size-off)], off); err != nil {
			t.Fatal(err)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustBe(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
}

// memory is a journal that keeps every state it was given.
type memory struct {
	mu    sync.Mutex
	saved [][]byte
}

func (m *memory) Save(_ context.Context, j *Job) error {
	b, err := json.Marshal(j)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saved = append(m.saved, b)
	return err
}

func (m *memory) last(t testing.TB) *Job {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	j := new(Job)
	check(t, json.Unmarshal(m.saved[len(m.saved)-1], j))
	return j
}

func options(m Journal) Options { return Options{Journal: m, Now: time.Now, After: time.After} }

func hold(t testing.TB, path string) *Device {
	t.Helper()
	d, err := Open(path, nil)
	check(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func plan(t testing.TB, d *Device) *Job {
	t.Helper()
	j, err := Plan(d, d.Identity().Confirmation(), PlanOptions{}, rand.Reader)
	check(t, err)
	return j
}

// holdsStream compares a file with the last stream of a job.
func holdsStream(t testing.TB, file string, j *Job) {
	t.Helper()
	b, err := os.ReadFile(file)
	check(t, err)
	if int64(len(b)) != j.Device.Bytes {
		t.Fatalf("%d bytes, not %d", len(b), j.Device.Bytes)
	}
	if n := wipe.NewStream(j.StreamKey, 0).Different(b, 0); n != 0 {
		t.Errorf("%d bytes of the disk are not the stream", n)
	}
}

func TestADeviceIsWiped(t *testing.T) {
	for _, size := range []int64{512, 4096, 1 << 20, 4<<20 + 512, 33<<20 + 1024} {
		dev, file := oldDisk(t, size)
		d := hold(t, dev)
		id := d.Identity()
		if id.Media != Virtual || id.Bytes != size || id.Seq == 0 || id.Passes() != 1 || id.Confirmation() == "" || id.BySerial() {
			t.Fatalf("%+v", id)
		}
		m := &memory{}
		var last Progress
		o := options(m)
		o.Progress = func(p Progress) {
			if p.Done < last.Done || p.Total != 2*size {
				t.Errorf("progress went from %+v to %+v", last, p)
			}
			last = p
		}
		j := plan(t, d)
		reach := j.Reach()
		e, err := Run(t.Context(), d, j, o)
		check(t, err)
		v := Classify(e)
		if v.Class != Clear || !v.OnVirtual || reach.Class != v.Class || last.Done != last.Total {
			t.Errorf("%d bytes: %s because of %q; foreseen %s; %+v", size, v.Class, v.Reasons, reach.Class, last)
		}
		check(t, d.Close())
		holdsStream(t, file, j)
		if got := m.last(t); got.Stage != Verified || Classify(got.Evidence()).Class != Clear {
			t.Errorf("the journal stands at %s", got.Stage)
		}
	}
}

// TestABlockOf4096: a device with sectors of 4 KiB is written in those.
func TestSectorsOf4096(t *testing.T) {
	asRoot(t)
	file := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(file)
	check(t, err)
	fill(t, f, 8<<20)
	f.Close()
	d := hold(t, loop(t, file, "-b", "4096"))
	if d.Identity().Sector != 4096 {
		t.Skip("no loop devices with large sectors here")
	}
	j := plan(t, d)
	bad := int64(100) * 4096
	d.before = failing(actWrite, unix.EIO, span{bad, 4096})
	e, err := Run(t.Context(), d, j, options(&memory{}))
	check(t, err)
	if e.Unwritten.Bytes != 4096 || e.Unwritten.List[0] != (wipe.Span{Off: bad, Len: 4096}) || e.Read.Different.Bytes < 4000 {
		t.Errorf("%+v", e)
	}
}

func TestSeveralDevicesAtOnce(t *testing.T) {
	var work sync.WaitGroup
	for range 3 {
		dev, file := oldDisk(t, 24<<20)
		work.Go(func() {
			d, err := Open(dev, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			j, err := Plan(d, d.Identity().Confirmation(), PlanOptions{Discard: true}, rand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			e, err := Run(t.Context(), d, j, options(&memory{}))
			if v := Classify(e); err != nil || v.Class != Clear || e.Discarded == NotDiscarded {
				t.Errorf("%s: %+v, %v", dev, v, err)
			}
			if e.Discarded == WasDiscarded {
				b, err := os.ReadFile(file)
				if err != nil || len(bytes.TrimLeft(b, "\x00")) != 0 {
					t.Errorf("%s was not discarded: %v", dev, err)
				}
			}
		})
	}
	work.Wait()
}

type span struct{ off, len int64 }

// failing fails every act that touches one of the ranges.
func failing(a act, errno error, ranges ...span) before {
	return func(s step) error {
		if s.act != a {
			return nil
		}
		for _, r := range ranges {
			if r.off < s.off+s.len && s.off < r.off+r.len {
				return errno
			}
		}
		return nil
	}
}

// TestBadSectorsLeaveThemselves: k sectors that cannot be written leave exactly k, all
// of them are listed, the run goes to the end, and the class is FAILED.
func TestBadSectorsLeaveThemselves(t *testing.T) {
	dev, file := oldDisk(t, 16<<20)
	old, err := os.ReadFile(file)
	check(t, err)
	for _, sectors := range [][]int64{{0}, {77, 9000}, {8191, 8192}, {32767}, {1, 3, 5, 7, 9}} {
		check(t, os.WriteFile(file, old, 0o600))
		d, err := Open(dev, nil)
		check(t, err)
		var bad []span
		for _, s := range sectors {
			bad = append(bad, span{s * 512, 512})
		}
		d.before = failing(actWrite, unix.EIO, bad...)
		j := plan(t, d)
		e, err := Run(t.Context(), d, j, options(&memory{}))
		check(t, err)
		if e.Unwritten.Bytes != int64(512*len(sectors)) || e.Written+e.Unwritten.Bytes != e.Device.Bytes {
			t.Errorf("%v: unwritten %+v", sectors, e.Unwritten)
		}
		if v := Classify(e); v.Class != NotWiped || !slices.Contains(v.Reasons, BecauseUnwritten) || !slices.Contains(v.Reasons, BecauseUnread) {
			t.Errorf("%v: %+v", sectors, v)
		}
		check(t, d.Close())
		now, err := os.ReadFile(file)
		check(t, err)
		left := 0
		for off := 0; off < len(now); off += 512 {
			if bytes.Equal(now[off:off+512], old[off:off+512]) {
				left++
			}
		}
		if left != len(sectors) {
			t.Errorf("%v: %d sectors are left", sectors, left)
		}
	}
}

// TestFaultyDisks wipes loop devices that stand on a failing file.
func TestFaultyDisks(t *testing.T) {
	asRoot(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse")
	}
	const size = 32 << 20
	const mib = 1 << 20
	for _, c := range []struct {
		name    string
		plan    faulty.Plan
		class   Class
		left    int64  // sectors of the old content that are there afterwards
		written int64  // bytes that were refused
		lost    []span // that differ when read back
		unread  []span
	}{
		{name: "a good disk", class: Clear},
		{name: "one bad sector", plan: faulty.Plan{BadWrite: []faulty.Range{{Off: 5000 * 512, Len: 512}}}, class: NotWiped, left: 1, written: 512, lost: []span{{5000 * 512, 512}}},
		{
			name:  "two bad sectors far apart",
			plan:  faulty.Plan{BadWrite: []faulty.Range{{Off: 0, Len: 512}, {Off: size - 512, Len: 512}}},
			class: NotWiped, left: 2, written: 1024, lost: []span{{0, 512}, {size - 512, 512}},
		},
		{name: "one MiB silently lost", plan: faulty.Plan{Lost: []faulty.Range{{Off: 7*mib + 512, Len: mib}}}, class: NotWiped, left: mib / 512, lost: []span{{7*mib + 512, mib}}},
		{name: "one sector silently lost", plan: faulty.Plan{Lost: []faulty.Range{{Off: 512 * 31, Len: 512}}}, class: NotWiped, left: 1, lost: []span{{512 * 31, 512}}},
		{name: "two sectors unreadable", plan: faulty.Plan{BadRead: []faulty.Range{{Off: 4096, Len: 512}, {Off: 9 * mib, Len: 512}}}, class: NotWiped, unread: []span{{4096, 512}, {9 * mib, 512}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			content, err := os.Create(filepath.Join(t.TempDir(), "content"))
			check(t, err)
			defer content.Close()
			fill(t, content, size)
			old, err := os.ReadFile(content.Name())
			check(t, err)
			disk, err := faulty.New(t.TempDir(), content, size, faulty.Plan{})
			if err != nil {
				t.Skip("no FUSE here:", err)
			}
			t.Cleanup(func() { check(t, disk.Close()) })
			dev := loop(t, disk.Path, "--direct-io=on")
			d := hold(t, dev)
			disk.Set(c.plan)
			before, _ := disk.Traffic()
			j := plan(t, d)
			e, err := Run(t.Context(), d, j, options(&memory{}))
			check(t, err)
			if v := Classify(e); v.Class != c.class {
				t.Errorf("%s because of %q", v.Class, v.Reasons)
			}
			if e.Unwritten.Bytes != c.written {
				t.Errorf("unwritten %+v", e.Unwritten)
			}
			ranges(t, "different", e.Read.Different, c.lost)
			ranges(t, "unreadable", e.Read.Unreadable, c.unread)
			for i, u := range c.unread {
				if i < len(e.Read.Unreadable.List) && e.Read.Unreadable.List[i] != (wipe.Span{Off: u.off, Len: u.len}) {
					t.Errorf("unreadable %+v", e.Read.Unreadable)
				}
			}
			if after, _ := disk.Traffic(); c.unread == nil && after-before < size {
				t.Errorf("the device served %d bytes, less than its size", after-before)
			}
			disk.Set(faulty.Plan{})
			now, err := os.ReadFile(content.Name())
			check(t, err)
			var left int64
			for off := 0; off < size; off += 512 {
				if bytes.Equal(now[off:off+512], old[off:off+512]) {
					left++
				}
			}
			if left != c.left {
				t.Errorf("%d sectors of the old content are left, want %d", left, c.left)
			}
			check(t, d.Close())
		})
	}
}

// ranges: what was found lies within what is wrong, begins and ends at its edges but
// for bytes that are alike by chance, and counts nearly all of it.
func ranges(t *testing.T, what string, got Ranges, want []span) {
	t.Helper()
	if len(got.List) != len(want) {
		t.Errorf("%s: %+v, want %v", what, got, want)
		return
	}
	var total int64
	for i, w := range want {
		g := got.List[i]
		if g.Off < w.off || g.Off > w.off+near || g.Off+g.Len > w.off+w.len || g.Off+g.Len < w.off+w.len-near {
			t.Errorf("%s: %+v, want %+v", what, g, w)
		}
		total += w.len
	}
	if got.Bytes > total || got.Bytes < total*98/100 {
		t.Errorf("%s: %d bytes, want nearly %d", what, got.Bytes, total)
	}
}

// TestItVanishesAndComesBack: the job goes on where it stood, on the same device only.
func TestItVanishesAndComesBack(t *testing.T) {
	const size = 72 << 20
	asRoot(t)
	file := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(file)
	check(t, err)
	check(t, f.Truncate(size))
	f.Close()
	dev := loop(t, file)
	for _, c := range []struct {
		name  string
		fault before
		stage Stage
		done  int64
	}{
		{"while it is written", failing(actWrite, unix.ENODEV, span{45 << 20, 512}), Overwriting, 32 << 20},
		{"with nothing but errors", failing(actWrite, unix.EIO, span{45 << 20, size}), Overwriting, 32 << 20},
		{"while it is read", failing(actRead, unix.ENXIO, span{40 << 20, 512}), Reading, size},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Open(dev, nil)
			check(t, err)
			j, m := plan(t, d), &memory{}
			gone := false
			var mu sync.Mutex
			d.before = func(s step) error {
				mu.Lock()
				defer mu.Unlock()
				err := c.fault(s)
				if j.Stage != Planned && err != nil {
					gone = true
				}
				if gone && s.act == actCheck {
					return ErrVanished
				}
				if j.Stage == Planned {
					return nil
				}
				return err
			}
			o := options(m)
			o.stretch = 16 << 20
			e, err := Run(t.Context(), d, j, o)
			mustBe(t, err, ErrVanished)
			check(t, d.Close())
			if v := Classify(e); v.Class != NotWiped {
				t.Errorf("%s for a device that went away", v.Class)
			}
			saved := m.last(t)
			// The last checkpoint may have been under way.
			if saved.Stage != c.stage || saved.Done != c.done && saved.Done != c.done-16<<20 {
				t.Errorf("saved at %s, %d", saved.Stage, saved.Done)
			}
			wasDone := saved.Done
			d = hold(t, dev)
			var wrote int64
			d.before = func(s step) error {
				if s.act == actWrite {
					mu.Lock()
					wrote += s.len
					mu.Unlock()
				}
				return nil
			}
			e, err = Run(t.Context(), d, saved, options(m))
			check(t, err)
			if v := Classify(e); v.Class != Clear || saved.Resumed != 1 || wrote != size-wasDone {
				t.Errorf("%+v; resumed %d times, %d bytes written", v, saved.Resumed, wrote)
			}
			check(t, d.Close())
			holdsStream(t, file, saved)
		})
	}
}

// TestTheKernelTakesItAway: as TestItVanishesAndComesBack, with the kernel's own answers: the
// size of the device becomes 0 in the middle of everything, and comes back.
func TestTheKernelTakesItAway(t *testing.T) {
	const size = 40 << 20
	for name, when := range map[string]func(*Job, step) bool{
		"while it is written":   func(_ *Job, s step) bool { return s.act == actWrite && s.off == 24<<20 },
		"while it is read back": func(j *Job, s step) bool { return j.Stage == Reading && s.act == actRead && s.off == 24<<20 },
	} {
		t.Run(name, func(t *testing.T) {
			dev, file := oldDisk(t, size)
			d := hold(t, dev)
			j, m := plan(t, d), &memory{}
			check(t, m.Save(t.Context(), j))
			o := options(m)
			o.stretch = 16 << 20
			var once sync.Once
			var kept []byte
			d.before = func(s step) error {
				if when(j, s) {
					once.Do(func() {
						// What was flushed is in the file; what is on its way may be lost.
						kept, _ = os.ReadFile(file)
						// A write on its way makes the file grow again.
						for sectors := "there"; sectors != "0"; {
							check(t, os.Truncate(file, 0))
							if out, err := exec.Command("losetup", "-c", dev).CombinedOutput(); err != nil {
								t.Fatalf("%v: %s", err, out)
							}
							text, err := os.ReadFile("/sys/class/block/" + filepath.Base(dev) + "/size")
							check(t, err)
							sectors = strings.TrimSpace(string(text))
						}
					})
				}
				return nil
			}
			e, err := Run(t.Context(), d, j, o)
			mustBe(t, err, ErrVanished)
			if v := Classify(e); v.Class != NotWiped {
				t.Errorf("%s for a device that went away", v.Class)
			}
			check(t, d.Close())
			if _, err := Look(dev, nil); !errors.Is(err, ErrEmpty) {
				t.Errorf("while it is away: %v", err)
			}
			check(t, os.WriteFile(file, kept, 0o600))
			shell(t, "losetup", "-c", dev)
			j = m.last(t)
			d = hold(t, dev)
			e, err = Run(t.Context(), d, j, o)
			check(t, err)
			if v := Classify(e); v.Class != Clear || j.Resumed != 1 {
				t.Errorf("%+v, resumed %d times", v, j.Resumed)
			}
			check(t, d.Close())
			holdsStream(t, file, j)
		})
	}
}

// TestItsTwin: two bridges show the same serial number, model and size. Whenever the one is
// unplugged, the other is not written to, and the first is known again.
func TestItsTwin(t *testing.T) {
	const size = 24 << 20
	for _, c := range []struct {
		name  string
		stop  func(*Job, step) bool
		blank bool  // the first disk held nothing
		known error // of the first, when it comes back
	}{
		{name: "before the samples are taken", stop: func(j *Job, s step) bool { return s.act == actRead && j.Stage == Planned }, known: ErrOther},
		{name: "before the first write", stop: func(_ *Job, s step) bool { return s.act == actWrite }},
		{name: "a blank disk before the first write", stop: func(_ *Job, s step) bool { return s.act == actWrite }, blank: true, known: ErrOther},
		{name: "before the first checkpoint", stop: func(_ *Job, s step) bool { return s.act == actFlush }},
		{name: "a blank disk before the first checkpoint", stop: func(_ *Job, s step) bool { return s.act == actFlush }, blank: true},
		{name: "behind it", stop: func(j *Job, s step) bool { return s.act == actFlush && j.Done > 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, file := oldDisk(t, size)
			if c.blank {
				check(t, os.WriteFile(file, make([]byte, size), 0o600))
			}
			second, twin := oldDisk(t, size)
			f, err := os.OpenFile(twin, os.O_RDWR, 0)
			check(t, err)
			_, err = f.WriteAt(bytes.Repeat([]byte("another customer's"), size/18), 0)
			check(t, err)
			check(t, f.Close())
			const serial = "0123456789ABCDEF"
			as := func(path string) *Device {
				d := hold(t, path)
				h := fakeHost(t, "", map[string]string{"sys/devices/usb1/sdb/serial": serial}, map[string]string{"sys/dev/block/" + d.n.Dev: "sys/devices/usb1/sdb"})
				h.Proc = "/proc"
				d.h = h
				d.id.Serial, d.id.Name, d.id.Media = serial, "sdb", Unknown
				d.id.Transport, d.id.Virtual = "usb", nil
				return d
			}
			d := as(first)
			j, err := Plan(d, serial, PlanOptions{}, rand.Reader)
			check(t, err)
			m := &memory{}
			check(t, m.Save(t.Context(), j))
			var mu sync.Mutex
			gone := false
			d.before = func(s step) error {
				mu.Lock()
				defer mu.Unlock()
				switch gone = gone || c.stop(j, s); {
				case !gone || s.act == actSave:
					return nil
				case s.act == actCheck:
					return ErrVanished
				}
				return unix.ENODEV
			}
			_, err = Run(t.Context(), d, j, options(m))
			mustBe(t, err, ErrVanished)
			check(t, d.Close())
			again := func(path string) error {
				d := as(path)
				defer d.Close()
				d.id.Seq += 1000 // plugged in anew
				d.before = func(s step) error {
					if s.act == actCheck {
						return errPretend // the kernel counts otherwise
					}
					return nil
				}
				_, err := Run(t.Context(), d, m.last(t), options(m))
				return err
			}
			old, err := os.ReadFile(twin)
			check(t, err)
			mustBe(t, again(second), ErrOther)
			if now, err := os.ReadFile(twin); err != nil || !bytes.Equal(old, now) {
				t.Fatal("its twin was written to")
			}
			if err := again(first); !errors.Is(err, c.known) {
				t.Errorf("the right one: %v, want %v", err, c.known)
			}
		})
	}
}

// TestAnotherDiskUnderTheSameName: the kernel counts attachments, so that a disk without a
// serial number is not taken for the one that had its name before.
func TestAnotherDiskUnderTheSameName(t *testing.T) {
	dev, file := oldDisk(t, 4<<20)
	d := hold(t, dev)
	j, m := plan(t, d), &memory{}
	check(t, m.Save(t.Context(), j))
	seq := d.Identity().Seq
	check(t, d.Close())
	shell(t, "losetup", "-d", dev)
	shell(t, "losetup", dev, file)
	d = hold(t, dev)
	if d.Identity().Seq == seq || d.Identity().Name != j.Device.Name {
		t.Fatalf("%+v", d.Identity())
	}
	_, err := Run(t.Context(), d, m.last(t), options(m))
	mustBe(t, err, ErrOther)
	if _, err := Find(j.Device); !errors.Is(err, ErrVanished) {
		t.Errorf("it was found again: %v", err)
	}
	check(t, d.Close())
}

// TestAnotherDeviceInItsPlace: a job never goes on with a device that is not its own.
func TestAnotherDeviceInItsPlace(t *testing.T) {
	dev, file := oldDisk(t, 24<<20)
	d := hold(t, dev)
	m := &memory{}
	j := plan(t, d)
	d.before = failing(actRead, unix.ENODEV, span{12 << 20, 512})
	d.before = func(s step) error {
		if j.Stage == Reading && s.act == actRead {
			return unix.ENODEV
		}
		return nil
	}
	_, err := Run(t.Context(), d, j, options(m))
	mustBe(t, err, ErrVanished)
	check(t, d.Close())

	t.Run("other content", func(t *testing.T) {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		check(t, err)
		kept, err := os.ReadFile(file)
		check(t, err)
		fill(t, f, 24<<20)
		d := hold(t, dev)
		_, err = Run(t.Context(), d, m.last(t), options(m))
		mustBe(t, err, ErrOther)
		check(t, d.Close())
		_, err = f.WriteAt(kept, 0)
		check(t, err)
		check(t, f.Close())
	})
	for name, change := range map[string]func(*Identity){
		"another size":          func(id *Identity) { id.Bytes += 512 },
		"another serial number": func(id *Identity) { id.Serial = "S2" },
		"another model":         func(id *Identity) { id.Model = "X" },
		"another attachment":    func(id *Identity) { id.Seq++ },
	} {
		t.Run(name, func(t *testing.T) {
			d := hold(t, dev)
			j := m.last(t)
			change(&j.Device)
			d.before = failing(actWrite, errors.New("it was written to"), span{0, 1 << 40})
			_, err := Run(t.Context(), d, j, options(m))
			mustBe(t, err, ErrOther)
			check(t, d.Close())
		})
	}
	t.Run("its sequence number changes in the middle", func(t *testing.T) {
		d := hold(t, dev)
		j := m.last(t)
		d.before = func(s step) error {
			if s.act == actRead && s.len > 1<<20 {
				d.id.Seq++ // as if the kernel answered another one
				d.before = nil
			}
			return nil
		}
		_, err := Run(t.Context(), d, j, options(m))
		mustBe(t, err, ErrOther)
		check(t, d.Close())
	})
	t.Run("and then the right one", func(t *testing.T) {
		d := hold(t, dev)
		j := m.last(t)
		e, err := Run(t.Context(), d, j, options(m))
		check(t, err)
		if v := Classify(e); v.Class != Clear {
			t.Errorf("%+v", v)
		}
		check(t, d.Close())
	})
}

// TestRefused: no interlock gives way.
func TestRefused(t *testing.T) {
	dev, _ := oldDisk(t, 300<<20)
	look := func(t *testing.T, path string, keep []string, want error) {
		t.Helper()
		if _, err := Look(path, keep); !errors.Is(err, want) {
			t.Errorf("look: %v, want %v", err, want)
		}
		d, err := Open(path, keep)
		if err == nil {
			d.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("open: %v, want %v", err, want)
		}
	}
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "f")
		check(t, os.WriteFile(file, []byte("x"), 0o600))
		look(t, file, nil, ErrNotDevice)
		look(t, "/dev/null", nil, ErrNotDevice)
		look(t, file+"x", nil, os.ErrNotExist)
	})
	t.Run("the system disk", func(t *testing.T) {
		source := shell(t, "findmnt", "-n", "-o", "SOURCE", "/")
		if !strings.HasPrefix(source, "/dev/") {
			t.Skip("the root file system is on no device here")
		}
		look(t, source, nil, ErrSystemDisk)
	})
	t.Run("mounted", func(t *testing.T) {
		shell(t, "mkfs.ext4", "-q", "-F", dev)
		mnt := t.TempDir()
		shell(t, "mount", dev, mnt)
		look(t, dev, nil, ErrMounted)
		look(t, dev, []string{mnt}, ErrKept)
		shell(t, "umount", mnt)
		shell(t, "mkfs.btrfs", "-q", "-f", dev)
		shell(t, "mount", dev, mnt)
		look(t, dev, nil, ErrMounted)
		look(t, dev, []string{mnt}, ErrKept)
		shell(t, "umount", mnt)
	})
	t.Run("swap", func(t *testing.T) {
		shell(t, "mkswap", "-f", dev)
		if out, err := exec.Command("swapon", dev).CombinedOutput(); err != nil {
			t.Skipf("no swap here: %s", out)
		}
		defer shell(t, "swapoff", dev)
		look(t, dev, nil, ErrInUse)
	})
	t.Run("held by another program", func(t *testing.T) {
		f, err := os.OpenFile(dev, os.O_RDONLY|unix.O_EXCL, 0)
		check(t, err)
		defer f.Close()
		d, err := Open(dev, nil)
		if err == nil {
			d.Close()
		}
		mustBe(t, err, ErrInUse)
	})
	t.Run("locked by another program", func(t *testing.T) {
		f, err := os.Open(dev)
		check(t, err)
		defer f.Close()
		check(t, unix.Flock(int(f.Fd()), unix.LOCK_SH))
		d, err := Open(dev, nil)
		if err == nil {
			d.Close()
		}
		mustBe(t, err, ErrInUse)
	})
	t.Run("written to by another program", func(t *testing.T) {
		writer(t, dev, os.O_WRONLY)
		_, err := Look(dev, nil)
		if err == nil || !strings.Contains(err.Error(), "sleep, process ") {
			t.Errorf("who writes is not named: %v", err)
		}
		look(t, dev, nil, ErrInUse)
	})
	t.Run("only read by another program", func(t *testing.T) {
		writer(t, dev, os.O_RDONLY)
		d := hold(t, dev)
		check(t, d.Close())
	})
	t.Run("below another loop device", func(t *testing.T) {
		loop(t, dev)
		look(t, dev, nil, ErrInUse)
	})
	t.Run("a loop device on another disk", func(t *testing.T) {
		upper := loop(t, dev)
		look(t, upper, nil, ErrVolume)
		// That the disk below is used is not seen at the loop device.
		shell(t, "mkfs.ext4", "-q", "-F", dev)
		mnt := t.TempDir()
		shell(t, "mount", dev, mnt)
		defer shell(t, "umount", mnt)
		look(t, upper, nil, ErrVolume)
		n, err := this().find(upper)
		check(t, err)
		f, err := os.OpenFile(upper, os.O_RDWR, 0)
		check(t, err)
		defer f.Close()
		// The open device says so too, where its name says nothing.
		mustBe(t, (&Device{id: this().describe(n), path: upper, f: f, h: this(), n: n}).hold(), ErrVolume)
	})
	t.Run("a holder, and a volume", func(t *testing.T) {
		if out, err := exec.Command("dmsetup", "create", "salvor-wipe-test", "--table", "0 2048 linear "+dev+" 0").CombinedOutput(); err != nil {
			t.Skipf("no device mapper here: %s", out)
		}
		defer shell(t, "dmsetup", "remove", "salvor-wipe-test")
		shell(t, "dmsetup", "mknodes") // where no udev makes its device file
		look(t, dev, nil, ErrInUse)
		look(t, "/dev/mapper/salvor-wipe-test", nil, ErrVolume)
	})
	t.Run("a partition", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "disk")
		check(t, os.WriteFile(file, make([]byte, 8<<20), 0o600))
		whole := loop(t, file, "--partscan")
		shell(t, "addpart", whole, "1", "2048", "8192")
		defer func() { _ = exec.Command("delpart", whole, "1").Run() }()
		part := partition(t, whole)
		look(t, part, nil, ErrPartition)
		shell(t, "mkfs.ext4", "-q", "-F", part)
		mnt := t.TempDir()
		shell(t, "mount", part, mnt)
		look(t, whole, nil, ErrMounted)
		shell(t, "umount", mnt)
		end := writer(t, part, os.O_RDWR)
		look(t, whole, nil, ErrInUse)
		end()
		d := hold(t, whole)
		check(t, d.Close())
	})
	t.Run("read-only", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "disk")
		check(t, os.WriteFile(file, make([]byte, 1<<20), 0o600))
		look(t, loop(t, file, "-r"), nil, ErrReadOnly)
	})
	t.Run("the ledger's disk by a file on it", func(t *testing.T) {
		dir := t.TempDir()
		check(t, os.WriteFile(filepath.Join(dir, "ledger.db"), make([]byte, 1<<20), 0o600))
		look(t, loop(t, filepath.Join(dir, "ledger.db")), []string{dir}, ErrKept)
		mnt := t.TempDir()
		shell(t, "mount", "--bind", dir, mnt)
		t.Cleanup(func() { _ = exec.Command("umount", mnt).Run() })
		other := loop(t, filepath.Join(mnt, "ledger.db"))
		look(t, other, []string{dir}, ErrKept)
		look(t, other, []string{filepath.Join(dir, "ledger.db")}, ErrKept)
	})
	t.Run("a word that is not its serial number", func(t *testing.T) {
		d := hold(t, dev)
		for _, typed := range []string{"", " ", "yes", d.id.Name, d.id.Confirmation() + " ", strings.ToUpper(d.id.Confirmation())} {
			_, err := Plan(d, typed, PlanOptions{}, rand.Reader)
			mustBe(t, err, ErrSerial)
		}
		check(t, d.Close())
	})
}

// partition is the device file of the first partition of a loop device; where no udev
// makes it, it is made.
func partition(t *testing.T, whole string) string {
	t.Helper()
	path := whole + "p1"
	n, err := this().Named(filepath.Base(path))
	if err != nil {
		t.Skip("no partitions on loop devices here:", err)
	}
	if dev, ok := sysblock.DevAt(path); ok && dev == n.Dev {
		return path
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(n.Dev, "%d:%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "part")
	check(t, unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(major, minor))))
	return path
}

// writer runs another program that has a device open, until it is told to end.
func writer(t *testing.T, path string, flags int) (end func()) {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0)
	check(t, err)
	defer f.Close()
	c := exec.Command("sleep", "300")
	c.Stdout = f
	check(t, c.Start())
	end = func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	t.Cleanup(end)
	return end
}

// TestSomebodyWritesMeanwhile: the kernel lets others open a device that is held here, as
// long as they do not ask to have it alone. Whenever one does, the wipe stops before it
// writes or claims more, and goes on when he has ended.
func TestSomebodyWritesMeanwhile(t *testing.T) {
	const size = 28 << 20
	for name, when := range map[string]func(*Job, step) bool{
		"before the first write": func(j *Job, s step) bool { return j.Stage == Planned && s.act == actCheck },
		"while it is written":    func(j *Job, s step) bool { return s.act == actWrite && s.off == 20<<20 },
		"while it is read back":  func(j *Job, s step) bool { return j.Stage == Reading && s.act == actRead && s.off == 20<<20 },
	} {
		t.Run(name, func(t *testing.T) {
			dev, file := oldDisk(t, size)
			old, err := os.ReadFile(file)
			check(t, err)
			d := hold(t, dev)
			j, m := plan(t, d), &memory{}
			check(t, m.Save(t.Context(), j))
			o := options(m)
			o.stretch = 16 << 20
			var once sync.Once
			var end func()
			d.before = func(s step) error {
				if when(j, s) {
					once.Do(func() { end = writer(t, dev, os.O_RDWR) })
				}
				return nil
			}
			e, err := Run(t.Context(), d, j, o)
			mustBe(t, err, ErrInUse)
			if v := Classify(e); v.Class != NotWiped || j.Stage == Verified {
				t.Errorf("%s at %s", v.Class, j.Stage)
			}
			if now, err := os.ReadFile(file); name == "before the first write" && (err != nil || !bytes.Equal(old, now)) {
				t.Error("it was written to")
			}
			end()
			j = m.last(t)
			e, err = Run(t.Context(), d, j, o)
			check(t, err)
			if v := Classify(e); v.Class != Clear {
				t.Errorf("%+v", v)
			}
			check(t, d.Close())
			holdsStream(t, file, j)
		})
	}
	// One that comes and goes between two looks is found by what it wrote.
	dev, _ := oldDisk(t, size)
	d := hold(t, dev)
	j, m := plan(t, d), &memory{}
	var once sync.Once
	d.before = func(s step) error {
		if j.Stage == Reading && s.act == actRead && s.off == 20<<20 {
			once.Do(func() {
				shell(t, "dd", "if=/dev/zero", "of="+dev, "bs=4096", "count=1", "oflag=direct", "conv=notrunc")
			})
		}
		return nil
	}
	_, err := Run(t.Context(), d, j, options(m))
	mustBe(t, err, ErrInUse)
	e, err := Run(t.Context(), d, m.last(t), options(m))
	check(t, err)
	if e.Read.Different.Bytes < 4000 {
		t.Errorf("what it wrote was not found: %+v", e.Read)
	}
}

// TestTheGateIsAskedFirst: a hold that was set a moment ago stops it with nothing written.
func TestTheGateIsAskedFirst(t *testing.T) {
	dev, file := oldDisk(t, 1<<20)
	old, err := os.ReadFile(file)
	check(t, err)
	d := hold(t, dev)
	o := options(&memory{})
	held := errors.New("held")
	o.Gate = func(context.Context) error { return held }
	_, err = Run(t.Context(), d, plan(t, d), o)
	mustBe(t, err, held)
	check(t, d.Close())
	now, err := os.ReadFile(file)
	check(t, err)
	if !bytes.Equal(old, now) {
		t.Error("it was written to")
	}
}

// TestToldToStop: what was written is kept.
func TestToldToStop(t *testing.T) {
	dev, file := oldDisk(t, 64<<20)
	d := hold(t, dev)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := options(&memory{})
	o.Progress = func(p Progress) {
		if p.Done >= 20<<20 {
			cancel()
		}
	}
	j := plan(t, d)
	_, err := Run(ctx, d, j, o)
	mustBe(t, err, context.Canceled)
	if j.Stage != Overwriting || j.Done < 20<<20 || j.Done >= 64<<20 {
		t.Errorf("stopped at %s, %d", j.Stage, j.Done)
	}
	o.Progress = nil
	_, err = Run(t.Context(), d, j, o)
	check(t, err)
	check(t, d.Close())
	holdsStream(t, file, j)
}

// TestAnybodyCanCompareAgain: from the key alone, on the device or on a copy of it.
func TestAnybodyCanCompareAgain(t *testing.T) {
	dev, file := oldDisk(t, 9<<20+512)
	d := hold(t, dev)
	j := plan(t, d)
	_, err := Run(t.Context(), d, j, options(&memory{}))
	check(t, err)
	check(t, d.Close())
	size := j.Device.Bytes
	for _, path := range []string{dev, file} {
		var told int64
		var mu sync.Mutex
		facts, err := Reverify(t.Context(), path, j.StreamKey, size, func(n int64) { mu.Lock(); told += n; mu.Unlock() })
		check(t, err)
		if facts.Equal != size || !none(facts.Different) || !none(facts.Unreadable) || told != size {
			t.Errorf("%s: %+v", path, facts)
		}
		_, err = Reverify(t.Context(), path, j.StreamKey, size+512, nil)
		mustBe(t, err, ErrOther)
		other := j.StreamKey
		other[0] ^= 1
		facts, err = Reverify(t.Context(), path, other, size, nil)
		check(t, err)
		if facts.Different.Bytes < size*99/100 {
			t.Errorf("another key: %+v", facts)
		}
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	check(t, err)
	b := make([]byte, 3)
	_, err = f.ReadAt(b, 5<<20+77)
	check(t, err)
	for i := range b {
		b[i] ^= 0xFF
	}
	_, err = f.WriteAt(b, 5<<20+77)
	check(t, err)
	check(t, f.Close())
	facts, err := Reverify(t.Context(), file, j.StreamKey, size, nil)
	check(t, err)
	if want := (Ranges{List: []wipe.Span{{Off: 5<<20 + 77, Len: 3}}, Bytes: 3}); !slices.Equal(facts.Different.List, want.List) || facts.Different.Bytes != 3 {
		t.Errorf("%+v, want %+v", facts.Different, want)
	}
	_, err = Reverify(t.Context(), t.TempDir(), j.StreamKey, size, nil)
	mustBe(t, err, ErrNotDevice)
}
