package wipe

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyMeasuredFileSystemsAreInPlace(t *testing.T) {
	for fs, want := range map[string]Kind{
		"ext4": InPlace, "xfs": InPlace, "btrfs": CopyFirst, "zfs": CopyFirst, "f2fs": CopyFirst, "overlay": CopyFirst,
		"tmpfs": Memory, "nfs4": Somewhere, "cifs": Somewhere, "fuse.sshfs": Somewhere, "fuseblk": Somewhere, "exfat": Somewhere,
		"ext3": Somewhere, "": Unknown, "ext5": Unknown, "xfs2": Unknown,
	} {
		if got := kindOf(fs); got != want {
			t.Errorf("%q is %s, want %s", fs, got, want)
		}
	}
}

// FuzzMark: whatever the first block of a file holds, it belongs to an image only
// when magic and sum say so.
func FuzzMark(f *testing.F) {
	f.Add(block(superblockMagic, testUUID(), 0, clock()), true)
	f.Add(block(segmentMagic, testUUID(), 3, clock()), false)
	f.Add([]byte("SALVOR2\n"), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, super bool) {
		magic := segmentMagic
		if super {
			magic = superblockMagic
		}
		m, err := readMark(b, magic)
		if m != nil && (err != nil || string(b[:8]) != magic || sha256Of(b[:markBlock-32]) != [32]byte(b[markBlock-32:markBlock])) {
			t.Error("a block that is not a mark was taken for one")
		}
	})
}

// TestMarksOfTheContainerFormat pins the offsets of format version 1: the bytes
// here are written out by hand.
func TestMarksOfTheContainerFormat(t *testing.T) {
	b := make([]byte, 4096)
	copy(b, "SLVSEG1\n\x05\x00\x00\x00")
	copy(b[16:], "0123456789abcdef")
	copy(b[32:], "session-session-")
	b[80], b[84] = 1, 1 // 2^32+1 seconds
	sum := sha256Of(b[:4064])
	copy(b[4064:], sum[:])
	m, err := readMark(b, segmentMagic)
	if err != nil || m == nil || string(m.uuid[:]) != "0123456789abcdef" || string(m.session[:]) != "session-session-" || m.created.Unix() != 1<<32+1 {
		t.Errorf("%+v, %v", m, err)
	}
	b[100]++
	if m, err := readMark(b, segmentMagic); m != nil || err != nil {
		t.Error("a damaged block was taken for a mark")
	}
}

// sysfs makes a directory like /sys/devices/…/block/NAME.
func sysfs(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(p), 0o700))
		check(t, os.WriteFile(p, []byte(content), 0o600))
	}
	check(t, os.MkdirAll(dir, 0o700))
	return dir
}

func TestWhatADeviceIsMadeOf(t *testing.T) {
	rate := func(r string) string { b, _ := hex.DecodeString("00b1003c" + r); return string(b) }
	for _, c := range []struct {
		name, path string
		files      map[string]string
		virtual    []string
		rotating   Answer
	}{
		{"hard disk", "pci/ata1/block/sda", map[string]string{"queue/rotational": "1\n", "device/model": "WDC WD40"}, nil, Yes},
		{"partition of a hard disk", "pci/ata1/block/sda/sda1", map[string]string{"partition": "1", "../queue/rotational": "1\n"}, nil, Yes},
		{"SSD", "pci/ata1/block/sda", map[string]string{"queue/rotational": "0\n"}, nil, No},
		{"NVMe", "pci/nvme/nvme0/nvme0n1", map[string]string{"queue/rotational": "0\n"}, nil, No},
		{"SD card that claims to turn", "pci/mmc/block/mmcblk0", map[string]string{"queue/rotational": "1\n"}, nil, No},
		{"USB stick", "pci/usb1/1-1/block/sdb", map[string]string{"queue/rotational": "1\n"}, nil, NotKnown},
		{"USB disk that names its speed", "pci/usb1/1-1/block/sdb", map[string]string{"queue/rotational": "1\n", "device/vpd_pgb1": rate("1518")}, nil, Yes},
		{"USB SSD that says so", "pci/usb1/1-1/block/sdb", map[string]string{"queue/rotational": "1\n", "device/vpd_pgb1": rate("0001")}, nil, No},
		{"USB with an empty page", "pci/usb1/1-1/block/sdb", map[string]string{"queue/rotational": "1\n", "device/vpd_pgb1": rate("0000")}, nil, NotKnown},
		{"loop", "devices/virtual/block/loop0", map[string]string{"queue/rotational": "1\n"}, []string{"loop"}, NotKnown},
		{"virtio", "pci/virtio1/block/vda", map[string]string{"queue/rotational": "1\n"}, []string{"virtio"}, NotKnown},
		{"disk of a hypervisor", "pci/ata1/block/sda", map[string]string{"queue/rotational": "1\n", "device/vendor": "QEMU"}, []string{"virtual disk"}, NotKnown},
		{"iSCSI", "platform/host2/session1/target2:0:0/block/sdc", map[string]string{"queue/rotational": "1\n"}, []string{"iscsi"}, NotKnown},
		{"unknown virtual", "devices/virtual/block/foo0", map[string]string{"queue/rotational": "1\n"}, []string{"virtual"}, NotKnown},
		{"NVMe with several paths", "devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", map[string]string{"queue/rotational": "0\n", "../nvme0/transport": "pcie\n"}, nil, No},
		{"NVMe over a network", "devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", map[string]string{"queue/rotational": "0\n", "../nvme0/transport": "tcp\n"}, []string{"virtual"}, NotKnown},
		{"silent", "pci/ata1/block/sda", nil, nil, NotKnown},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtual, rotating := layers(sysfs(t, filepath.Join(t.TempDir(), c.path), c.files))
			if !slices.Equal(virtual, c.virtual) || rotating != c.rotating {
				t.Errorf("%q, turning %q; want %q, %q", virtual, rotating, c.virtual, c.rotating)
			}
		})
	}
}

func TestLayersBelowAMapperDevice(t *testing.T) {
	for _, c := range []struct {
		name     string
		below    map[string]string // name of the slave, and whether it rotates
		uuid     string
		virtual  []string
		rotating Answer
	}{
		{"encrypted SSD", map[string]string{"sda": "0"}, "CRYPT-LUKS2-x", []string{"dm"}, No},
		{"encrypted hard disk", map[string]string{"sda": "1"}, "CRYPT-LUKS2-x", []string{"dm"}, Yes},
		{"disk and SSD together", map[string]string{"sda": "1", "sdb": "0"}, "LVM-x", []string{"dm"}, No},
		{"on a loop device", map[string]string{"loop3": "0"}, "x", []string{"dm", "loop"}, NotKnown},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			dm := sysfs(t, filepath.Join(root, "devices/virtual/block/dm-0"), map[string]string{"dm/uuid": c.uuid})
			check(t, os.Mkdir(filepath.Join(dm, "slaves"), 0o700))
			for name, r := range c.below {
				real := sysfs(t, filepath.Join(root, "ata", name), map[string]string{"queue/rotational": r})
				check(t, os.Symlink(real, filepath.Join(dm, "slaves", name)))
			}
			virtual, rotating := layers(dm)
			if !slices.Equal(virtual, c.virtual) || rotating != c.rotating {
				t.Errorf("%q, turning %q; want %q, %q", virtual, rotating, c.virtual, c.rotating)
			}
		})
	}
	t.Run("an origin with snapshots", func(t *testing.T) {
		root := t.TempDir()
		origin := sysfs(t, filepath.Join(root, "virtual/block/dm-0"), map[string]string{"dm/uuid": "LVM-x"})
		real := sysfs(t, filepath.Join(root, "virtual/block/dm-1"), map[string]string{"dm/uuid": "LVM-x-real"})
		check(t, os.Mkdir(filepath.Join(origin, "slaves"), 0o700))
		check(t, os.Symlink(real, filepath.Join(origin, "slaves", "dm-1")))
		if virtual, _ := layers(origin); !slices.Contains(virtual, snapshotLayer) {
			t.Errorf("%q: the snapshot was not seen", virtual)
		}
	})
}

func TestWhatAServerSaysOfItsSnapshots(t *testing.T) {
	for _, c := range []struct {
		name  string
		after func(*snapshotArray)
		want  Answer
	}{
		{"nothing sent", func(*snapshotArray) {}, NotKnown},
		{"none", func(a *snapshotArray) { *a = snapshotArray{} }, No},
		{"none, and the end of the list of names", func(a *snapshotArray) { *a = snapshotArray{bytes: 2} }, No},
		{"two, with room for none", func(a *snapshotArray) { *a = snapshotArray{there: 2, bytes: 102} }, Yes},
		{"one, without the size of its name", func(a *snapshotArray) { *a = snapshotArray{there: 1} }, Yes},
		{"none, and the name of one", func(a *snapshotArray) { *a = snapshotArray{bytes: 50} }, Yes},
		{"none, and one returned", func(a *snapshotArray) { *a = snapshotArray{returned: 1} }, Yes},
	} {
		ask := askSnapshots()
		if ask.there != 0 || ask.bytes != 12 {
			t.Fatalf("the question is %+v", ask)
		}
		c.after(&ask)
		if got := ask.answer(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAPlaceThatDoesNotAnswerIsNotEmpty(t *testing.T) {
	for err, want := range map[error]Answer{
		nil: Yes, unix.ENOENT: No, unix.ENOTDIR: No,
		unix.EIO: NotKnown, unix.EACCES: NotKnown, unix.ESTALE: NotKnown, unix.EHOSTDOWN: NotKnown, unix.ETIMEDOUT: NotKnown,
	} {
		if got := lookedUp(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	for _, c := range [][3]Answer{{No, No, No}, {No, NotKnown, NotKnown}, {NotKnown, No, NotKnown}, {Yes, NotKnown, Yes}, {No, Yes, Yes}, {NotKnown, NotKnown, NotKnown}} {
		if got := worse(c[0], c[1]); got != c[2] {
			t.Errorf("%q and %q: %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
