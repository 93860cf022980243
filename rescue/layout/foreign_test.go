package layout

import (
	"encoding/binary"
	"strings"
	"testing"

	"salvor/rescue/internal/testvolume"
)

// whatIs scans a disk of one volume that no parser reads.
func whatIs(t *testing.T, data []byte) Volume {
	t.Helper()
	l := scanned(t, &image{data: data}, Options{})
	if len(l.Volumes) != 1 {
		t.Fatal(summary(l))
	}
	if tally(l.Regions)[T5] != 0 {
		t.Errorf("something is called free: %s", summary(l))
	}
	return l.Volumes[0]
}

func TestLockedAndSharedVolumesAreOneTier(t *testing.T) {
	fs := small(t, 8, "ext4")
	for _, c := range []struct {
		at   int
		sign string
		kind Kind
		name string
	}{
		{0, "LUKS\xba\xbe", Encrypted, "luks"},
		{3, "-FVE-FS-", Encrypted, "bitlocker"},
		{4096, "\xfc\x4e\x2b\xa9", Member, "linux raid"},
		{512 + 24, "LVM2 001", Member, "lvm2"},
		{1024, "\x10\x20\xf5\xf2", Recognised, "f2fs"},
		{4086, "SWAPSPACE2", Swap, "swap"},
		{8<<20 - 65536, "\xfc\x4e\x2b\xa9", Member, "linux raid"},
		{8<<20 - 1024, "Intel Raid ISM Cfg Sig. ", Member, "intel raid"},
		{8<<20 - 512, "\xde\x11\xde\x11", Member, "ddf raid"},
	} {
		data := make([]byte, 8<<20)
		if c.kind == Encrypted {
			copy(data, fs) // what seems to begin within does not count
		}
		copy(data[c.at:], c.sign)
		if v := whatIs(t, data); v.Kind != c.kind || v.Name != c.name || v.Allocation {
			t.Errorf("%q is taken for %s %s", c.sign, v.Kind, v.Name)
		}
	}
	data := make([]byte, 8<<20)
	binary.LittleEndian.PutUint32(data[8:], 0x00100001)
	copy(data[88:], "CS")
	if v := whatIs(t, data); v.Name != "filevault" || v.Kind != Encrypted {
		t.Errorf("FileVault is taken for %s %s", v.Kind, v.Name)
	}
}

func TestRecognisesWhatOthersMake(t *testing.T) {
	for _, c := range []struct {
		name, pkg string
		mib       int64
		tool      []string
	}{
		{"btrfs", "btrfs-progs", 128, []string{"mkfs.btrfs", "-q"}},
		{"apfs", "apfsprogs", 512, []string{"mkapfs"}},
		{"luks", "cryptsetup-bin", 64, []string{"cryptsetup", "-q", "luksFormat", "--pbkdf-memory", "64", "--pbkdf-force-iterations", "4", "--key-file", "/proc/self/exe", "--keyfile-size", "64"}},
		{"swap", "util-linux", 8, []string{"mkswap"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			testvolume.Need(t, c.pkg, c.tool[0])
			path := testvolume.Blank(t, c.mib)
			testvolume.Run(t, c.tool[0], append(c.tool[1:], path)...)
			v := whatIs(t, load(t, path))
			if v.Name != c.name {
				t.Errorf("taken for %s %s (%s)", v.Kind, v.Name, v.Why)
			}
			if err := func() error { _, err := v.Walk(t.Context(), func(*File) bool { return true }); return err }(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNonsenseIsAnUnknownFileSystem(t *testing.T) {
	data := make([]byte, 8<<20)
	for i := range data {
		data[i] = byte(i*i>>3 + i)
	}
	copy(data[3:], "NTFS    ")
	copy(data[510:], "\x00\x00")
	if v := whatIs(t, data); v.Name != unknownName || v.Kind != Unknown || !strings.Contains(v.Why, "nothing") {
		t.Errorf("nonsense is taken for %s %s (%s)", v.Kind, v.Name, v.Why)
	}
	l := scanned(t, holed(data, 0, 1, 2), Options{})
	if tally(l.Regions)[T5] != 0 {
		t.Error("something is called free: " + summary(l))
	}
}
