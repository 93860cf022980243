package wipe

import (
	"crypto/rand"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestClassIsRightOnRealFileSystems erases an image on real file systems on loop
// devices, and then looks at the file under the device for blocks of the old
// content. What is left there is a fact that no class may contradict: CLEAR-RAW
// with an old block left is the worst bug this package can have.
func TestClassIsRightOnRealFileSystems(t *testing.T) {
	asRoot(t)
	ext4 := []string{"mkfs.ext4", "-q", "-F"}
	xfs := []string{"mkfs.xfs", "-q", "-f"}
	normal := shape{segments: []int{5 << 20, 1 << 20, 70000}, keys: 2}
	small := shape{segments: []int{1 << 20}, keys: 2} // so that the journal is not filled once over
	seg := func(im *image) string { return im.path(testDir + "/000000.seg") }

	for _, c := range []struct {
		name    string
		mib     int
		mount   string
		mkfs    []string
		shape   shape
		prepare func(t *testing.T, d *disk, im *image)
		residue bool

		media  MediaClass
		key    KeyClass
		reason string // one of the reasons
		left   string // "none", "some", or "" when it does not matter
	}{
		{name: "ext4", mib: 64, mkfs: ext4, media: MediaRaw, key: KeyComplete, left: "none", residue: true},
		{name: "ext4 with blocks of 1 KiB", mib: 64, mkfs: append(ext4, "-b", "1024"), media: MediaRaw, key: KeyComplete, left: "none"},
		{name: "ext4 without a journal", mib: 64, mkfs: append(ext4, "-O", "^has_journal"), media: MediaRaw, key: KeyComplete, left: "none"},
		{name: "ext4 with data=writeback", mib: 64, mount: "data=writeback", mkfs: ext4, media: MediaRaw, key: KeyComplete, left: "none"},
		{name: "ext4 with data=journal", mib: 128, mount: "data=journal", mkfs: ext4, shape: small, media: MediaNotAssured, key: KeyPartial, reason: BecauseJournal, left: "some"},
		{name: "ext4 with data=journal as its silent default", mib: 128, mkfs: ext4, shape: small, media: MediaNotAssured, key: KeyPartial, reason: BecauseJournal, left: "some"},
		{
			name: "ext4 with one file journalled", mib: 64, mkfs: ext4, media: MediaNotAssured, key: KeyComplete, reason: BecauseJournal,
			prepare: func(t *testing.T, _ *disk, im *image) {
				if out, err := exec.Command("chattr", "+j", seg(im)).CombinedOutput(); err != nil {
					t.Skipf("chattr +j is not allowed here: %s", out)
				}
			},
		},
		{
			name: "ext4 after a segment was replaced by rename", mib: 64, mkfs: ext4, media: MediaNotAssured, key: KeyPartial, reason: BecauseLate, left: "some",
			shape: shape{segments: normal.segments, keys: 2, born: time.Now().Add(-time.Hour)},
			prepare: func(t *testing.T, _ *disk, im *image) {
				shell(t, "cp", seg(im), im.path("tmp"))
				shell(t, "sync")
				shell(t, "mv", im.path("tmp"), seg(im))
			},
		},
		{
			name: "ext4 after a segment was replaced by rename at once, with a look for residue", mib: 64, mkfs: ext4, media: MediaNotAssured, key: KeyComplete, reason: BecauseResidue, left: "some", residue: true,
			prepare: func(t *testing.T, _ *disk, im *image) {
				shell(t, "cp", seg(im), im.path("tmp"))
				shell(t, "sync")
				shell(t, "mv", im.path("tmp"), seg(im))
			},
		},
		{
			name: "ext4 after a key was replaced by rename", mib: 64, mkfs: ext4, media: MediaNotAssured, key: KeyPartial, reason: BecauseKeyStorage, left: "some",
			shape: shape{segments: normal.segments, keys: 2, born: time.Now().Add(-time.Hour)},
			prepare: func(t *testing.T, _ *disk, im *image) {
				shell(t, "cp", im.path(testKeyDir+"/0001.age"), im.path("tmp"))
				shell(t, "sync")
				shell(t, "mv", im.path("tmp"), im.path(testKeyDir+"/0001.age"))
			},
		},
		{name: "ext4 with small files inline", mib: 64, mkfs: append(ext4, "-O", "inline_data", "-I", "256"), media: MediaNotAssured, key: KeyComplete, reason: BecauseInline},
		{
			name: "ext4 with a hole", mib: 64, mkfs: ext4, media: MediaNotAssured, key: KeyComplete, reason: BecauseHoles, left: "some",
			prepare: func(t *testing.T, _ *disk, im *image) {
				f, err := os.OpenFile(seg(im), os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 1<<20, 1<<20); err != nil {
					t.Fatal(err)
				}
				shell(t, "sync")
			},
		},
		{name: "ext4 with space set aside", mib: 64, mkfs: ext4, media: MediaRaw, key: KeyComplete, left: "none", prepare: setAside},
		{
			name: "ext4 with a snapshot directory", mib: 64, mkfs: ext4, media: MediaNotAssured, key: KeyPartial, reason: BecauseSnapshots,
			prepare: func(t *testing.T, _ *disk, im *image) { shell(t, "mkdir", im.path(".snapshots")) },
		},
		{
			name: "ext4 with a stray file", mib: 64, mkfs: ext4, media: MediaNotAssured, key: KeyComplete, reason: BecauseStrays, left: "some",
			prepare: func(t *testing.T, _ *disk, im *image) { shell(t, "cp", seg(im), seg(im)+".bak") },
		},
		{name: "ext3", mib: 64, mkfs: []string{"mkfs.ext3", "-q", "-F"}, media: MediaLogical, key: KeyPartial, reason: BecausePlace},
		{name: "xfs", mib: 320, mkfs: xfs, media: MediaRaw, key: KeyComplete, left: "none", residue: true},
		{name: "xfs with space set aside", mib: 320, mkfs: xfs, media: MediaRaw, key: KeyComplete, left: "none", prepare: setAside},
		{
			name: "xfs with a clone", mib: 320, mkfs: xfs, media: MediaNotAssured, key: KeyComplete, reason: BecauseShared, left: "some",
			prepare: func(t *testing.T, _ *disk, im *image) { shell(t, "cp", "--reflink=always", seg(im), im.path("clone")) },
		},
		{
			name: "xfs after a clone was removed", mib: 320, mkfs: xfs, media: MediaRaw, key: KeyComplete, left: "none",
			prepare: func(t *testing.T, _ *disk, im *image) {
				shell(t, "cp", "--reflink=always", seg(im), im.path("clone"))
				shell(t, "sync")
				shell(t, "rm", im.path("clone"))
				shell(t, "sync")
			},
		},
		{
			name: "xfs with a part shared", mib: 320, mkfs: xfs, media: MediaNotAssured, key: KeyComplete, reason: BecauseShared, left: "some",
			prepare: func(t *testing.T, _ *disk, im *image) {
				shell(t, "xfs_io", "-f", "-c", "reflink "+seg(im)+" 0 0 1m", im.path("part"))
			},
		},
		{
			name: "xfs with a file preallocated and never written", mib: 320, mkfs: xfs, media: MediaRaw, key: KeyComplete, left: "none",
			prepare: func(t *testing.T, _ *disk, im *image) {
				shell(t, "fallocate", "-l", "8MiB", im.path("beside"))
			},
		},
		{
			name: "btrfs without copy-on-write", mib: 128, mkfs: []string{"mkfs.btrfs", "-q", "-f"}, mount: "nodatacow", media: MediaNotAssured, key: KeyPartial, reason: BecauseCopyOnWrite,
		},
		{
			name: "btrfs with a snapshot", mib: 256, mkfs: []string{"mkfs.btrfs", "-q", "-f"}, media: MediaNotAssured, key: KeyPartial, reason: BecauseCopyOnWrite, left: "some",
			prepare: func(t *testing.T, d *disk, _ *image) {
				shell(t, "btrfs", "subvolume", "snapshot", "-r", d.mnt, filepath.Join(d.mnt, "snap"))
			},
		},
		{
			name: "btrfs without copy-on-write, with a snapshot", mib: 256, mkfs: []string{"mkfs.btrfs", "-q", "-f"}, mount: "nodatacow", media: MediaNotAssured, key: KeyPartial, reason: BecauseCopyOnWrite, left: "some",
			prepare: func(t *testing.T, d *disk, _ *image) {
				shell(t, "btrfs", "subvolume", "snapshot", "-r", d.mnt, filepath.Join(d.mnt, "snap"))
			},
		},
		{
			name: "btrfs after a snapshot was removed", mib: 256, mkfs: []string{"mkfs.btrfs", "-q", "-f"}, media: MediaNotAssured, key: KeyPartial, reason: BecauseCopyOnWrite,
			prepare: func(t *testing.T, d *disk, _ *image) {
				shell(t, "btrfs", "subvolume", "snapshot", "-r", d.mnt, filepath.Join(d.mnt, "snap"))
				shell(t, "btrfs", "subvolume", "delete", filepath.Join(d.mnt, "snap"))
				shell(t, "sync")
			},
		},
		{name: "btrfs", mib: 128, mkfs: []string{"mkfs.btrfs", "-q", "-f"}, media: MediaNotAssured, key: KeyPartial, reason: BecauseCopyOnWrite, left: "some"},
		{name: "btrfs with a look for residue", mib: 128, mkfs: []string{"mkfs.btrfs", "-q", "-f"}, media: MediaNotAssured, key: KeyPartial, reason: BecauseResidue, left: "some", residue: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.shape
			if s.segments == nil {
				s = normal
			}
			d := newDisk(t, c.mib, c.mount, c.mkfs...)
			if c.name == "ext4 with data=journal as its silent default" {
				shell(t, "umount", d.mnt)
				shell(t, "tune2fs", "-o", "journal_data", d.dev)
				d.mount(t, "")
			}
			im := s.put(t, d.mnt)
			shell(t, "sync", "-f", d.mnt)
			if c.prepare != nil {
				c.prepare(t, d, im)
			}
			old := [][]byte{s.content("0001.age"), s.content("0002.age")}
			for n := range s.segments {
				old = append(old, s.content(filepath.Base(im.path(erasedSegment(n))))[markBlock:])
			}
			if d.holds(t, old...) == 0 {
				t.Fatal("the old content is not on the device to begin with: the test shows nothing")
			}

			j := im.plan(t)
			reach := j.Reach()
			o := options(&memory{})
			o.Residue = c.residue
			e, err := Run(t.Context(), im.target, j, o)
			if err != nil {
				t.Fatal(err)
			}
			got, left := Classify(e), d.holds(t, old...)
			if got.Media != c.media || got.Key != c.key {
				t.Errorf("%s and %s, want %s and %s; reasons %q", got.Key, got.Media, c.key, c.media, got.Reasons)
			}
			if c.reason != "" && !slices.Contains(got.Reasons, c.reason) {
				t.Errorf("reasons %q, want %q among them", got.Reasons, c.reason)
			}
			if left > 0 && got.Media == MediaRaw {
				t.Errorf("CLEAR-RAW, but %d old blocks are on the device", left)
			}
			if c.left == "none" && left > 0 || c.left == "some" && left == 0 {
				t.Errorf("%d old blocks are on the device, expected %s", left, c.left)
			}
			if !got.VirtualDevice || !slices.Contains(got.NotCovered, "loop") {
				t.Errorf("virtual %v, not covered %q: a loop device has to be told", got.VirtualDevice, got.NotCovered)
			}
			if rank(reach.Media) < rank(got.Media) {
				t.Errorf("the plan said at most %s, the run %s", reach.Media, got.Media)
			}
			if c.reason != BecauseResidue && (reach.Media != got.Media || reach.Key != got.Key) {
				t.Errorf("the plan said %s and %s, the run %s and %s", reach.Key, reach.Media, got.Key, got.Media)
			}
			if c.residue && c.left == "none" && (!e.Residue.Done || e.Residue.Markers == 0 || e.Residue.Found+e.Residue.Keys != 0) {
				t.Errorf("residue %+v, want a finished look that found nothing", e.Residue)
			}
			if im.exists(testKeyDir) || im.exists(testDir) != (c.reason == BecauseStrays) {
				t.Error("the directories are not as they should be")
			}
		})
	}
}

func erasedSegment(n int) string { return []string{"000000.seg", "000001.seg", "000002.seg"}[n] }

// setAside reserves space behind the end of a segment, as a writer may.
func setAside(t *testing.T, _ *disk, im *image) {
	f, err := os.OpenFile(im.path(testDir+"/000001.seg"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 3<<20); err != nil {
		t.Fatal(err)
	}
}

// TestClassOnAPartition: offsets are those of the partition, not of the disk.
func TestClassOnAPartition(t *testing.T) {
	asRoot(t)
	d := &disk{file: filepath.Join(t.TempDir(), "disk"), mnt: t.TempDir()}
	// A master boot record with one Linux partition from sector 2048 on.
	table := make([]byte, 64<<20)
	entry := table[446:]
	entry[4] = 0x83
	binary.LittleEndian.PutUint32(entry[8:], 2048)
	binary.LittleEndian.PutUint32(entry[12:], 64<<20/512-2048)
	table[510], table[511] = 0x55, 0xAA
	check(t, os.WriteFile(d.file, table, 0o600))
	whole := shell(t, "flock", "/dev/loop-control", "losetup", "-P", "-f", "--show", d.file)
	t.Cleanup(func() { shell(t, "losetup", "-d", whole) })
	d.dev = whole + "p1"
	if _, err := os.Stat(d.dev); err != nil {
		t.Skip("the kernel makes no partitions on loop devices here")
	}
	shell(t, "mkfs.ext4", "-q", "-F", d.dev)
	d.mount(t, "")
	t.Cleanup(func() { shell(t, "umount", d.mnt) })
	s := shape{segments: []int{3 << 20}, keys: 2}
	im := s.put(t, d.mnt)
	e, err := Run(t.Context(), im.target, im.plan(t), options(&memory{}))
	if err != nil {
		t.Fatal(err)
	}
	if c := Classify(e); c.Media != MediaRaw || c.Key != KeyComplete {
		t.Errorf("%s and %s because of %q", c.Key, c.Media, c.Reasons)
	}
	if n := d.holds(t, s.content("000000.seg")[markBlock:], s.content("0001.age")); n != 0 {
		t.Errorf("%d old blocks are left", n)
	}
}

func TestClassInMemoryAndOnLayers(t *testing.T) {
	asRoot(t)
	s := shape{segments: []int{2 << 20}, keys: 2}
	check := func(t *testing.T, im *image, want MediaClass, reason string) {
		t.Helper()
		e, err := Run(t.Context(), im.target, im.plan(t), options(&memory{}))
		if err != nil {
			t.Fatal(err)
		}
		if c := Classify(e); c.Media != want || c.Key != KeyPartial || !slices.Contains(c.Reasons, reason) {
			t.Errorf("%s and %s because of %q, want CE-PARTIAL and %s because of %q", c.Key, c.Media, c.Reasons, want, reason)
		}
	}
	mount := func(t *testing.T, fstype, options string) string {
		t.Helper()
		dir := t.TempDir()
		shell(t, "mount", "-t", fstype, "-o", options, fstype, dir)
		t.Cleanup(func() { shell(t, "umount", dir) })
		return dir
	}
	t.Run("tmpfs", func(t *testing.T) {
		check(t, s.put(t, mount(t, "tmpfs", "size=32M")), MediaNotAssured, BecauseMemory)
	})
	t.Run("overlay over the image", func(t *testing.T) {
		base := newDisk(t, 64, "", "mkfs.ext4", "-q", "-F").mnt
		lower, upper, work := filepath.Join(base, "l"), filepath.Join(base, "u"), filepath.Join(base, "w")
		for _, d := range []string{lower, upper, work} {
			if err := os.Mkdir(d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		s.put(t, lower)
		dir := mount(t, "overlay", "lowerdir="+lower+",upperdir="+upper+",workdir="+work)
		im := &image{dir: dir, target: s.openTarget(t, dir)}
		for n := range s.keys {
			name := []string{"0001.age", "0002.age"}[n]
			sum, _ := os.ReadFile(im.path(testKeyDir + "/" + name))
			im.target.ExpectedKeys = append(im.target.ExpectedKeys, KeyCopy{File: name, SHA256: sha256Of(sum)})
		}
		check(t, im, MediaNotAssured, BecauseCopyOnWrite)
		if _, err := os.Stat(filepath.Join(lower, testDir, "000000.seg")); err != nil {
			t.Error("the lower layer should still hold the old segment: the test shows nothing")
		}
	})
	t.Run("overlay with the image in the upper layer", func(t *testing.T) {
		base := newDisk(t, 64, "", "mkfs.ext4", "-q", "-F").mnt
		for _, d := range []string{"l", "u", "w"} {
			if err := os.Mkdir(filepath.Join(base, d), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		dir := mount(t, "overlay", "lowerdir="+base+"/l,upperdir="+base+"/u,workdir="+base+"/w")
		check(t, s.put(t, dir), MediaNotAssured, BecauseCopyOnWrite)
	})
}

func TestPlanRefusesWhatIsMountedReadOnly(t *testing.T) {
	d := newDisk(t, 64, "", "mkfs.ext4", "-q", "-F")
	s := shape{segments: []int{1 << 20}, keys: 2}
	im := s.put(t, d.mnt)
	j := im.plan(t)
	shell(t, "mount", "-o", "remount,ro", d.mnt)
	_, err := Plan(t.Context(), im.target, rand.Reader)
	mustBe(t, err, ErrReadOnly)
	_, err = Run(t.Context(), im.target, j, options(&memory{}))
	mustBe(t, err, ErrReadOnly)
	im.untouched(t, s)
}
