package blockdev

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// hung adds a disk to the machine: its directory below sys, its number, and what else is in it.
func (h host) hung(t *testing.T, dir, dev string, with map[string]string) {
	t.Helper()
	at := filepath.Join(h.Sys, dir)
	write(t, filepath.Join(at, "dev"), dev)
	for name, content := range with {
		write(t, filepath.Join(at, name), content)
	}
	link(t, at, filepath.Join(h.Sys, "dev/block", dev))
	link(t, at, filepath.Join(h.Sys, "class/block", filepath.Base(at)))
}

func TestWhatCanBeCarriedAway(t *testing.T) {
	stays := func(on string) Carrier { return Carrier{Known: true, On: on} }
	goes := func(on, why string) Carrier { return Carrier{Portable: true, Known: true, On: on, Why: why} }
	for _, tc := range []struct {
		name, dev string
		set       func(t *testing.T, h host)
		want      Carrier
	}{
		{"a disk inside", "8:0", nil, stays("sda")},
		{"its partition", "8:2", nil, stays("sda")},
		{"a USB stick", "8:16", nil, goes("sdb", "USB")},
		{"its partition", "8:17", nil, goes("sdb", "USB")},
		{"an NVMe drive inside", "259:1", nil, stays("nvme0n1")},
		{"a RAID of disks inside", "9:0", nil, stays("sdc")},
		{"memory", "251:0", nil, stays("zram0")},
		{"a loop device of which nobody says what is behind", "7:0", nil, doubtful("loop0")},
		{"a number that nobody has", "8:99", nil, doubtful("device 8:99")},
		{"a USB disk that does not say removable", "8:64", func(t *testing.T, h host) {
			h.hung(t, "devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host7/target7:0:0/7:0:0:0/block/sde", "8:64", map[string]string{"removable": "0"})
		}, goes("sde", "USB")},
		{"a drive on Thunderbolt", "259:4", func(t *testing.T, h host) {
			h.hung(t, "devices/pci0000:00/0000:00:1d.0/0000:05:00.0/nvme/nvme1/nvme1n1", "259:4", nil)
			write(t, filepath.Join(h.Sys, "devices/pci0000:00/0000:00:1d.0/0000:05:00.0/removable"), "removable")
		}, goes("nvme1n1", "plugged in from outside")},
		{"a port inside", "259:4", func(t *testing.T, h host) {
			h.hung(t, "devices/pci0000:00/0000:00:1d.0/0000:05:00.0/nvme/nvme1/nvme1n1", "259:4", nil)
			write(t, filepath.Join(h.Sys, "devices/pci0000:00/0000:00:1d.0/0000:05:00.0/removable"), "fixed")
		}, stays("nvme1n1")},
		{"a FireWire disk", "8:80", func(t *testing.T, h host) {
			h.hung(t, "devices/pci0000:00/0000:03:00.0/fw1/fw1.0/host8/target8:0:0/8:0:0:0/block/sdf", "8:80", nil)
		}, goes("sdf", "FireWire")},
		{"a memory card", "179:0", func(t *testing.T, h host) {
			h.hung(t, "devices/platform/soc/mmc_host/mmc0/mmc0:0001/block/mmcblk0", "179:0", map[string]string{"device/type": "SD"})
		}, goes("mmcblk0", "memory card")},
		{"memory soldered in", "179:8", func(t *testing.T, h host) {
			h.hung(t, "devices/platform/soc/mmc_host/mmc1/mmc1:0001/block/mmcblk1", "179:8", map[string]string{"device/type": "MMC"})
		}, stays("mmcblk1")},
		{"a volume on a partition of a stick", "253:0", func(t *testing.T, h host) {
			h.hung(t, "devices/virtual/block/dm-0", "253:0", map[string]string{"slaves/sdb1": ""})
		}, goes("sdb", "USB")},
		{"a volume on a disk inside and a stick", "253:0", func(t *testing.T, h host) {
			h.hung(t, "devices/virtual/block/dm-0", "253:0", map[string]string{"slaves/sda2": "", "slaves/sdb1": ""})
		}, goes("sdb", "USB")},
		{"a volume on something that nobody knows", "253:0", func(t *testing.T, h host) {
			h.hung(t, "devices/virtual/block/dm-0", "253:0", map[string]string{"slaves/sda2": "", "slaves/xyz": ""})
		}, doubtful("xyz")},
		{"a device of the network", "43:0", func(t *testing.T, h host) { h.hung(t, "devices/virtual/block/nbd0", "43:0", nil) }, doubtful("nbd0")},
		{"a drive with two ways to it", "259:6", func(t *testing.T, h host) {
			const head = "devices/virtual/nvme-subsystem/nvme-subsys2"
			h.hung(t, head+"/nvme2n1", "259:6", nil)
			write(t, filepath.Join(h.Sys, "devices/pci0000:00/0000:07:00.0/nvme/nvme2/transport"), "pcie")
			link(t, filepath.Join(h.Sys, "devices/pci0000:00/0000:07:00.0/nvme/nvme2"), filepath.Join(h.Sys, head, "nvme2"))
		}, stays("nvme2n1")},
		{"a circle", "253:1", func(t *testing.T, h host) {
			h.hung(t, "devices/virtual/block/dm-1", "253:1", map[string]string{"slaves/dm-1": ""})
		}, doubtful("dm-1")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := machine(t)
			if tc.set != nil {
				tc.set(t, h)
			}
			if diff := cmp.Diff(tc.want, h.carrierAt(tc.dev, 0)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhereFileSystemsWithoutADeviceLie(t *testing.T) {
	stays := func(on string) Carrier { return Carrier{Known: true, On: on} }
	for _, tc := range []struct {
		name string
		id   uint64
		line string
		want Carrier
	}{
		{"memory", 31, `31 1 0:40 / /tmp rw shared:3 - tmpfs tmpfs rw,size=1k`, stays("tmpfs")},
		{"a share", 31, `31 1 0:40 / /mnt/n\040as rw - nfs4 nas:/export rw`, stays("nfs4")},
		{"by its number, from an old kernel", 0, `31 1 0:40 / /mnt/nas rw - cifs //nas/x rw`, stays("cifs")},
		{"a telephone", 31, `31 1 0:40 / /run/user/1000/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw`, doubtful("fuse.gvfsd-fuse")},
		{"ZFS", 31, `31 1 0:40 / /tank rw - zfs tank rw`, doubtful("zfs")},
		{"another mount", 31, `32 1 0:40 / /tank rw - tmpfs tmpfs rw`, doubtful("its file system")},
		{"a container", 31, `31 1 0:40 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/never/there,workdir=/w`, doubtful("overlay")},
		{"nothing that can be read", 31, `31 1`, doubtful("its file system")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := machine(t)
			h.mounted(t, tc.line)
			if diff := cmp.Diff(tc.want, h.carrierOfMount(tc.id, unix.Mkdev(0, 40), 0)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A file's own disk is found through the numbers of this machine.
func TestCarrierOfAFileIsThatOfItsDirectory(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	of, err := CarrierOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	if of.On == "" || of.Portable != (of.Why != "") || !of.Known && !of.Portable {
		t.Errorf("%+v says two things", of)
	}
	file, err := CarrierOf(name)
	if diff := cmp.Diff(of, file); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := CarrierOf(filepath.Join(dir, "absent")); err == nil {
		t.Error("what is not there lies somewhere")
	}
}
