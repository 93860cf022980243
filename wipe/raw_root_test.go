package wipe

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// TestTheDeviceIsAskedAndNotTrusted: what the file system says it read does not
// make CLEAR-RAW when the blocks of the device say otherwise.
func TestTheDeviceIsAskedAndNotTrusted(t *testing.T) {
	d := newDisk(t, 64, "", "mkfs.ext4", "-q", "-F")
	for _, c := range []struct {
		name  string
		fault func(loop string) before
		is    error
		media MediaClass
		keys  bool // they are destroyed all the same
		due   string
	}{
		{"the device holds something else", func(loop string) before { return rawFrom(loop, errPretend) }, ErrNotErased, MediaFailed, false, BecauseRawDiffers},
		{"a sector of the device cannot be read", func(loop string) before {
			first := int64(-1)
			return func(s step) error {
				if s.act != actRawRead || s.name != loop {
					return nil
				}
				if first < 0 && s.len > 1<<20 { // content, not a key
					first = s.off / 512
				}
				if first < 0 {
					return nil
				}
				return sectorFault(actRawRead, loop, unix.EIO, first)(s)
			}
		}, ErrNotErased, MediaFailed, true, BecauseRawDiffers},
		{"the device is gone", func(loop string) before { return rawFrom(loop, unix.ENXIO) }, ErrVanished, MediaFailed, false, BecauseUnfinished},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := plain.put(t, d.mnt)
			m := &memory{}
			o := options(m)
			j := im.plan(t)
			o.before = c.fault(j.Vault.Device)
			e, err := Run(t.Context(), im.target, j, o)
			mustBe(t, err, c.is)
			if got := Classify(e); got.Media != c.media || (got.Key == KeyComplete) != c.keys || !slices.Contains(got.Reasons, c.due) {
				t.Errorf("%s and %s because of %q", got.Key, got.Media, got.Reasons)
			}
			e, err = Run(t.Context(), im.target, m.last(t), options(m))
			check(t, err)
			if got := Classify(e); got.Media != MediaRaw || got.Key != KeyComplete {
				t.Errorf("without the fault: %s and %s because of %q", got.Key, got.Media, got.Reasons)
			}
		})
	}
}

func rawFrom(loop string, err error) before {
	return func(s step) error {
		if s.act == actRawRead && s.name == loop {
			return err
		}
		return nil
	}
}

// TestEveryByteIsReadFromTheDevice: the pieces read raw add up to the whole
// allocation of every file.
func TestEveryByteIsReadFromTheDevice(t *testing.T) {
	d := newDisk(t, 64, "", "mkfs.ext4", "-q", "-F")
	im := plain.put(t, d.mnt)
	o := options(&memory{})
	var raw int64
	o.before = func(s step) error {
		if s.act == actRawRead {
			raw += int64(s.len)
		}
		return nil
	}
	e, err := Run(t.Context(), im.target, im.plan(t), o)
	check(t, err)
	want := Total(e.Files)
	keys := Total(e.Keys)
	if raw != want.RawEqual+keys.RawEqual || want.RawEqual != want.Written || keys.RawEqual != keys.Written {
		t.Errorf("%d bytes read raw; files %+v, keys %+v", raw, want, keys)
	}
}

// TestAVaultThatWasUnmountedIsAbsent: between two runs the disk was taken away.
// Nothing is missing then, nothing is erased, and the job waits.
func TestAVaultThatWasUnmountedIsAbsent(t *testing.T) {
	d := newDisk(t, 64, "", "mkfs.ext4", "-q", "-F")
	for _, stage := range []act{actWrite, actUnlink} {
		im := plain.put(t, d.mnt)
		m := &memory{}
		o := options(m)
		o.before = func(s step) error {
			if s.act == stage && s.name == "000000.seg" {
				return unix.ENODEV
			}
			return nil
		}
		_, err := Run(t.Context(), im.target, im.plan(t), o)
		mustBe(t, err, ErrVanished)
		im.target.Vault.Close()
		shell(t, "umount", d.mnt)

		absent := &image{dir: d.mnt, target: plain.openTarget(t, d.mnt)}
		j := m.last(t)
		was := j.Stage
		e, err := Run(t.Context(), absent.target, j, options(m))
		mustBe(t, err, ErrAbsent)
		if e.Stage != was {
			t.Errorf("stage %s became %s without the vault", was, e.Stage)
		}
		// An empty directory that somebody gave a marker is not the vault either.
		absent.write(t, markerName, []byte(`{"vault":"test"}`))
		_, err = Run(t.Context(), absent.target, j, options(m))
		mustBe(t, err, ErrAbsent)
		remove(t, absent.path(markerName))
		absent.target.Vault.Close()

		d.mount(t, "")
		again := &image{dir: d.mnt, target: plain.openTarget(t, d.mnt)}
		e, err = Run(t.Context(), again.target, m.last(t), options(m))
		check(t, err)
		if c := Classify(e); c.Media != MediaRaw || c.Key != KeyComplete {
			t.Errorf("mounted again: %s and %s because of %q", c.Key, c.Media, c.Reasons)
		}
		again.target.Vault.Close()
	}
}

// TestOnAShareOnlyTheLogicalClassIsReached, with FUSE in the place of a share.
func TestOnAShareOnlyTheLogicalClassIsReached(t *testing.T) {
	asRoot(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse")
	}
	root, err := fs.NewLoopbackRoot(t.TempDir())
	check(t, err)
	mnt := t.TempDir()
	second := time.Second
	server, err := fs.Mount(mnt, root, &fs.Options{
		EntryTimeout: &second, AttrTimeout: &second,
		MountOptions: fuse.MountOptions{FsName: "test", Name: "loopback", DirectMount: true},
	})
	check(t, err)
	t.Cleanup(func() { check(t, server.Unmount()) })

	im := plain.put(t, mnt)
	e, err := Run(t.Context(), im.target, im.plan(t), options(&memory{}))
	check(t, err)
	c := Classify(e)
	if c.Media != MediaLogical || c.Key != KeyPartial || !slices.Contains(c.Reasons, BecausePlace) || !slices.Contains(c.NotCovered, BeyondServer) {
		t.Errorf("%s on %s: %s and %s because of %q, not covered %q", e.Vault.FS, e.Vault.Device, c.Key, c.Media, c.Reasons, c.NotCovered)
	}
}

// TestWithoutDirectIOTheCacheIsEmptiedFirst: a file system that cannot do direct
// I/O is read back through an emptied cache, and that is checked page by page.
func TestWithoutDirectIOTheCacheIsEmptiedFirst(t *testing.T) {
	im := plain.put(t, t.TempDir())
	d, err := openDir(im.target.Vault, testDir)
	check(t, err)
	defer d.close()
	h, err := d.openHandle("000000.seg", false, nil)
	check(t, err)
	defer h.Close()
	if !h.undirect() || h.direct {
		t.Fatal("direct I/O was not given up")
	}
	check(t, h.Sync())
	if !h.cold(0, 4<<20) {
		t.Skip("the cache of this file system cannot be emptied")
	}
	b := make([]byte, 8192)
	if _, err := h.read(b, 1<<20); err != nil {
		t.Fatal(err)
	}
	// Somebody keeps a page in memory: it cannot be dropped, and that is seen.
	m, err := unix.Mmap(int(h.Fd()), 0, 4<<20, unix.PROT_READ, unix.MAP_SHARED)
	check(t, err)
	defer func() { check(t, unix.Munmap(m)) }()
	if err := unix.Mlock(m[1<<20 : 1<<20+4096]); err != nil {
		t.Skip(err)
	}
	if h.cold(0, 4<<20) {
		t.Error("a page in memory was taken for one on the device")
	}
	if !h.cold(3<<20, 4096) {
		t.Error("a page elsewhere was taken for one in memory")
	}
}

// BenchmarkKeysGone is the time from the begin of an erase until the keys are
// overwritten, durably: the last looks, the record, the gate, the overwriting.
// The image has 1,000 segments, as one of 4 TB.
func BenchmarkKeysGone(b *testing.B) {
	s := shape{segments: make([]int, 1000), keys: 3}
	im := s.put(b, b.TempDir())
	unix.Sync()
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		for n := range s.keys {
			name := allKeys[:1][0][:3] + string(rune('1'+n)) + ".age"
			overwriteFile(b, im.path(testKeyDir+"/"+name), s.content(name))
			check(b, os.Truncate(im.path(testKeyDir+"/"+name), int64(len(s.content(name)))))
		}
		unix.Sync()
		j := im.plan(b)
		o := options(&memory{})
		o.before = func(s step) error {
			if s.act == actSyncDir { // the keys are flushed
				b.StopTimer()
				return unix.ENODEV
			}
			return nil
		}
		b.StartTimer()
		_, err := Run(b.Context(), im.target, j, o)
		mustBe(b, err, unix.ENODEV)
		b.StartTimer()
	}
}

// BenchmarkErase overwrites and reads back 256 MiB.
func BenchmarkErase(b *testing.B) {
	s := shape{segments: []int{256 << 20}, keys: 2}
	dir := b.TempDir()
	b.SetBytes(256 << 20)
	for b.Loop() {
		b.StopTimer()
		im := s.put(b, dir)
		unix.Sync()
		j := im.plan(b)
		b.StartTimer()
		_, err := Run(b.Context(), im.target, j, options(&memory{}))
		check(b, err)
	}
}
