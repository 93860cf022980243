package wipe

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// blocks are the old contents of a shape, to look for on a device.
func (s shape) blocks() [][]byte {
	var old [][]byte
	for _, name := range []string{"0001.age", "0002.age"}[:s.keys] {
		old = append(old, s.content(name))
	}
	for n := range s.segments {
		old = append(old, s.content(erasedSegment(n))[markBlock:])
	}
	return old
}

// TestClassOfUnevenFiles: segments with a hole or with space that nobody wrote to.
func TestClassOfUnevenFiles(t *testing.T) {
	for _, c := range []struct {
		name    string
		fs      []string
		command []string // on the first segment
		media   MediaClass
		reason  string
	}{
		{"ext4, sparse at the end", []string{"mkfs.ext4", "-q", "-F"}, []string{"truncate", "-s", "+2M"}, MediaNotAssured, BecauseHoles},
		{"xfs, sparse at the end", []string{"mkfs.xfs", "-q", "-f"}, []string{"truncate", "-s", "+2M"}, MediaNotAssured, BecauseHoles},
		{"ext4, preallocated", []string{"mkfs.ext4", "-q", "-F"}, []string{"fallocate", "-o", "3MiB", "-l", "4MiB"}, MediaRaw, ""},
		{"xfs, preallocated", []string{"mkfs.xfs", "-q", "-f"}, []string{"fallocate", "-o", "3MiB", "-l", "4MiB"}, MediaRaw, ""},
		{"ext4, set to zeros without writing", []string{"mkfs.ext4", "-q", "-F"}, []string{"fallocate", "-z", "-o", "1MiB", "-l", "1MiB"}, MediaRaw, ""},
		{"ext4, written anew in part", []string{"mkfs.ext4", "-q", "-F"}, []string{"dd", "if=/dev/zero", "bs=64K", "count=8", "conv=notrunc", "status=none"}, MediaRaw, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDisk(t, 320, "", c.fs...)
			s := shape{segments: []int{3 << 20, 70000}, keys: 2}
			im := s.put(t, d.mnt)
			shell(t, "sync", "-f", d.mnt)
			file := im.path(testDir + "/000000.seg")
			if c.command[0] == "dd" {
				file = "of=" + file
			}
			shell(t, c.command[0], append(c.command[1:len(c.command):len(c.command)], file)...)
			shell(t, "sync", "-f", d.mnt)
			if d.holds(t, s.blocks()...) == 0 {
				t.Fatal("the old content is not on the device to begin with: the test shows nothing")
			}
			j := im.plan(t)
			reach := j.Reach()
			e, err := Run(t.Context(), im.target, j, options(&memory{}))
			check(t, err)
			got := Classify(e)
			if got.Media != c.media || c.reason != "" && !slices.Contains(got.Reasons, c.reason) || reach.Media != got.Media {
				t.Errorf("%s because of %q, foreseen %s, want %s because of %q", got.Media, got.Reasons, reach.Media, c.media, c.reason)
			}
			if left := d.holds(t, s.blocks()...); left > 0 && got.Media == MediaRaw {
				t.Errorf("CLEAR-RAW, but %d old blocks are on the device", left)
			}
		})
	}
}

// TestASecondNameIsSeenOnTheDevice: a segment with another name is not erased, since
// the other name is not salvor's; and one that gets it under way is not claimed.
func TestASecondNameIsSeenOnTheDevice(t *testing.T) {
	s := shape{segments: []int{2 << 20}, keys: 2}
	t.Run("before the plan", func(t *testing.T) {
		d := newDisk(t, 64, "", "mkfs.ext4", "-q", "-F")
		im := s.put(t, d.mnt)
		link(t, im.path(testDir+"/000000.seg"), im.path("second"))
		before := d.holds(t, s.blocks()...)
		_, err := Plan(t.Context(), im.target, rand.Reader)
		mustBe(t, err, ErrChanged)
		if now := d.holds(t, s.blocks()...); now != before || now == 0 {
			t.Errorf("%d old blocks are on the device, %d before the refusal", now, before)
		}
	})
	t.Run("while it is overwritten", func(t *testing.T) {
		d := newDisk(t, 64, "", "mkfs.ext4", "-q", "-F")
		im := s.put(t, d.mnt)
		o := options(&memory{})
		linked := false
		o.before = func(at step) error {
			if at.act == actWrite && at.name == "000000.seg" && !linked {
				linked = true
				link(t, im.path(testDir+"/000000.seg"), im.path("second"))
			}
			return nil
		}
		e, err := Run(t.Context(), im.target, im.plan(t), o)
		if c := Classify(e); !linked || c.Media == MediaRaw || c.Media == MediaLogical {
			t.Errorf("%s because of %q, %v", c.Media, c.Reasons, err)
		}
	})
}

// TestClassOnLayersAgainstTheDevice erases through layers that hide the device, and
// looks at the device: no class claims more than a layer lets salvor see.
func TestClassOnLayersAgainstTheDevice(t *testing.T) {
	asRoot(t)
	s := shape{segments: []int{2 << 20, 70000}, keys: 2}
	overlay := func(t *testing.T, base, upper string) string {
		dir := t.TempDir()
		for _, d := range []string{"l", "u", "w"} {
			check(t, os.MkdirAll(filepath.Join(base, d), 0o700))
		}
		shell(t, "mount", "-t", "overlay", "-o", "lowerdir="+base+"/l,upperdir="+base+"/"+upper+",workdir="+base+"/w", "overlay", dir)
		t.Cleanup(func() { shell(t, "umount", dir) })
		return dir
	}
	for _, c := range []struct {
		name   string
		layer  func(t *testing.T, d *disk) *image
		media  MediaClass
		reason string
		left   string
	}{
		{"overlay copied up by the erase", func(t *testing.T, d *disk) *image {
			check(t, os.Mkdir(filepath.Join(d.mnt, "l"), 0o700))
			below := s.put(t, filepath.Join(d.mnt, "l"))
			im := &image{dir: overlay(t, d.mnt, "u")}
			im.target = s.openTarget(t, im.dir)
			im.target.ExpectedKeys = below.target.ExpectedKeys
			return im
		}, MediaNotAssured, BecauseCopyOnWrite, "some"},
		{"overlay in the upper layer", func(t *testing.T, d *disk) *image { return s.put(t, overlay(t, d.mnt, "u")) }, MediaNotAssured, BecauseCopyOnWrite, ""},
		{"FUSE", func(t *testing.T, d *disk) *image {
			if _, err := os.Stat("/dev/fuse"); err != nil {
				t.Skip("no /dev/fuse")
			}
			root, err := fs.NewLoopbackRoot(d.mnt)
			check(t, err)
			mnt := t.TempDir()
			second := time.Second
			server, err := fs.Mount(mnt, root, &fs.Options{
				EntryTimeout: &second, AttrTimeout: &second,
				MountOptions: fuse.MountOptions{FsName: "test", Name: "loopback", DirectMount: true},
			})
			check(t, err)
			t.Cleanup(func() { check(t, server.Unmount()) })
			return s.put(t, mnt)
		}, MediaLogical, BecausePlace, "none"},
		{"tmpfs", func(t *testing.T, d *disk) *image {
			dir := filepath.Join(d.mnt, "memory")
			check(t, os.Mkdir(dir, 0o700))
			shell(t, "mount", "-t", "tmpfs", "-o", "size=32M", "tmpfs", dir)
			t.Cleanup(func() { shell(t, "umount", dir) })
			return s.put(t, dir)
		}, MediaNotAssured, BecauseMemory, "none"},
		{"a part of the file system mounted by itself, with snapshots beside it", func(t *testing.T, d *disk) *image {
			part, dir := filepath.Join(d.mnt, "vault"), t.TempDir()
			for _, name := range []string{part, filepath.Join(d.mnt, ".snapshots")} {
				check(t, os.Mkdir(name, 0o700))
			}
			shell(t, "mount", "--bind", part, dir)
			t.Cleanup(func() { shell(t, "umount", dir) })
			return s.put(t, dir)
		}, MediaNotAssured, BecauseSnapshots, "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDisk(t, 64, "", "mkfs.ext4", "-q", "-F")
			im := c.layer(t, d)
			t.Cleanup(func() { im.target.Vault.Close() }) // before the layer is taken away
			e, err := Run(t.Context(), im.target, im.plan(t), options(&memory{}))
			check(t, err)
			got, left := Classify(e), d.holds(t, s.blocks()...)
			if got.Media != c.media || !slices.Contains(got.Reasons, c.reason) {
				t.Errorf("%s because of %q, want %s because of %q", got.Media, got.Reasons, c.media, c.reason)
			}
			if c.left == "none" && left > 0 || c.left == "some" && left == 0 {
				t.Errorf("%d old blocks are on the device, expected %s", left, c.left)
			}
		})
	}
}
