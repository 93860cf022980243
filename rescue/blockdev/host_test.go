package blockdev

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/rescue/blockdev/sysblock"
)

// The tests here have a machine of their own, made of files:
//
//	sda  500 GB SATA disk   sda1 (sibling of) sda2
//	sdb  USB stick          sdb1
//	nvme0n1                 nvme0n1p1
//	sdc, sdd                below md0
//	loop0                   nothing attached
//	zram0                   memory
func machine(t *testing.T) host {
	t.Helper()
	h := host{sysblock.Host{Sys: filepath.Join(t.TempDir(), "sys"), Proc: t.TempDir(), Dev: "/dev"}}
	const (
		sata = "devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda"
		usb  = "devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/host6/target6:0:0/6:0:0:0/block/sdb"
		nvme = "devices/pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1"
		sdc  = "devices/pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0/block/sdc"
		sdd  = "devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sdd"
		md   = "devices/virtual/block/md0"
		loop = "devices/virtual/block/loop0"
		zram = "devices/virtual/block/zram0"
	)
	for name, content := range map[string]string{
		sata + "/dev": "8:0", sata + "/size": "976773168", sata + "/removable": "0", sata + "/ro": "0",
		sata + "/queue/rotational": "1", sata + "/queue/logical_block_size": "512", sata + "/queue/physical_block_size": "4096",
		sata + "/device/vendor": "ATA     ", sata + "/device/model": "WDC WD5000LPVX-2\x07 ", sata + "/device/wwid": "naa.50014ee6",
		sata + "/device/vpd_pg80": "\x00\x80\x00\x14     WD-WXA1A56FT7K1", sata + "/alignment_offset": "3584",
		sata + "/sda1/dev": "8:1", sata + "/sda1/partition": "1", sata + "/sda1/size": "2048",
		sata + "/sda2/dev": "8:2", sata + "/sda2/partition": "2", sata + "/sda2/size": "4096",
		usb + "/dev": "8:16", usb + "/size": "1000", usb + "/removable": "1", usb + "/ro": "1",
		usb + "/device/vendor": "Kingston", usb + "/device/model": "DataTraveler",
		usb + "/sdb1/dev": "8:17", usb + "/sdb1/partition": "1",
		"devices/pci0000:00/0000:00:14.0/usb1/1-4/idVendor": "0951", "devices/pci0000:00/0000:00:14.0/usb1/1-4/serial": "60A44C3F",
		nvme + "/dev": "259:0", nvme + "/size": "2000", nvme + "/device/model": "Samsung SSD 980", nvme + "/device/serial": "S649NL0T1",
		nvme + "/device/vendor": "0x144d", nvme + "/wwid": "eui.002538",
		nvme + "/nvme0n1p1/dev": "259:1", nvme + "/nvme0n1p1/partition": "1",
		sdc + "/dev": "8:32", sdc + "/size": "5000", sdc + "/holders/md0": "",
		sdd + "/dev": "8:48", sdd + "/size": "5000", sdd + "/holders/md0": "",
		md + "/dev": "9:0", md + "/size": "5000", md + "/slaves/sdc": "", md + "/slaves/sdd": "",
		loop + "/dev": "7:0", loop + "/size": "0",
		zram + "/dev": "251:0", zram + "/size": "9000",
	} {
		write(t, filepath.Join(h.Sys, name), content)
	}
	for _, dir := range []string{
		sata, sata + "/sda1", sata + "/sda2", usb, usb + "/sdb1", nvme, nvme + "/nvme0n1p1", sdc, sdd, md, loop, zram,
	} {
		n := sysblock.At(filepath.Join(h.Sys, dir))
		link(t, filepath.Join(h.Sys, dir), filepath.Join(h.Sys, "dev/block", n.Dev))
		link(t, filepath.Join(h.Sys, dir), filepath.Join(h.Sys, "class/block", n.Name))
		if !n.Partition {
			link(t, filepath.Join(h.Sys, dir), filepath.Join(h.Sys, "block", n.Name))
		}
	}
	h.mounted(t, "22 1 0:21 / /proc rw - proc proc rw")
	write(t, filepath.Join(h.Proc, "swaps"), "Filename Type Size Used Priority\n")
	return h
}

func (h host) mounted(t *testing.T, lines ...string) {
	t.Helper()
	write(t, filepath.Join(h.Proc, "self/mountinfo"), strings.Join(lines, "\n")+"\n")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func TestUseIsFoundWhereverItIs(t *testing.T) {
	for _, tc := range []struct {
		name, dev string
		set       func(t *testing.T, h host)
		node, by  string
		want      error
	}{
		{"free", "8:0", nil, "", "", nil},
		{"mounted itself", "8:0", func(t *testing.T, h host) { h.mounted(t, "30 1 8:0 / /media/x rw - ext4 /dev/sda rw") }, "asked", "/media/x", ErrMounted},
		{"its partition is mounted", "8:0", func(t *testing.T, h host) {
			h.mounted(t, `30 1 8:2 / /media/my\040disk rw shared:1 master:2 - ext4 /dev/sda2 rw`)
		}, "/dev/sda2", "/media/my disk", ErrMounted},
		{"its sibling is mounted", "8:1", func(t *testing.T, h host) { h.mounted(t, "30 1 8:2 / /media/x rw - ext4 /dev/sda2 rw") }, "", "", nil},
		{"its disk is mounted whole", "8:1", func(t *testing.T, h host) { h.mounted(t, "30 1 8:0 / /media/x rw - ext4 /dev/sda rw") }, "/dev/sda", "/media/x", ErrMounted},
		{"member of a RAID", "8:32", nil, "asked", "md0", ErrInUse},
		{"second disk of a btrfs", "8:48", func(t *testing.T, h host) {
			if err := os.RemoveAll(filepath.Join(h.Sys, "block/sdd/holders")); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(h.Sys, "fs/btrfs/0b9c/devices/sdd"), "")
		}, "asked", "btrfs", ErrMounted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := machine(t)
			if tc.set != nil {
				tc.set(t, h)
			}
			n, err := h.Node(tc.dev)
			if err != nil {
				t.Fatal(err)
			}
			use, err := h.use("asked", n)
			if err != nil {
				t.Fatal(err)
			}
			if tc.want == nil {
				if use != nil {
					t.Fatalf("refused: %v", use)
				}
				return
			}
			if use == nil || !errors.Is(use, tc.want) || use.Node != tc.node || use.By != tc.by {
				t.Fatalf("got %+v, want %v of %s by %s", use, tc.want, tc.node, tc.by)
			}
		})
	}
}

func TestUseIsNotAnsweredWithoutLooking(t *testing.T) {
	for _, lines := range []string{"", "nonsense\n", "30 1 8:0 /\n"} {
		h := machine(t)
		if lines == "" {
			if err := os.Remove(filepath.Join(h.Proc, "self/mountinfo")); err != nil {
				t.Fatal(err)
			}
		} else {
			write(t, filepath.Join(h.Proc, "self/mountinfo"), lines)
		}
		n, err := h.Node("8:0")
		if err != nil {
			t.Fatal(err)
		}
		if use, err := h.use("asked", n); err == nil {
			t.Errorf("mountinfo %q: answered %v", lines, use)
		}
	}
}

func TestIdentityComesFromWhereTheTransportKeepsIt(t *testing.T) {
	h := machine(t)
	for _, tc := range []struct {
		dev  string
		want Identity
	}{
		{"8:0", Identity{
			Path: "/dev/sda", Name: "sda", Kind: Disk, Vendor: "ATA", Model: "WDC WD5000LPVX-2", Serial: "WD-WXA1A56FT7K1",
			WWN: "naa.50014ee6", Transport: "sata", Bytes: 976773168 * 512, Sector: 512, Physical: 4096, Offset: 7, Rotational: true,
		}},
		{"8:2", Identity{
			Path: "/dev/sda2", Name: "sda2", Kind: Partition, Vendor: "ATA", Model: "WDC WD5000LPVX-2", Serial: "WD-WXA1A56FT7K1",
			WWN: "naa.50014ee6", Transport: "sata", Bytes: 4096 * 512, Sector: 512, Physical: 4096, Rotational: true,
		}},
		{"8:16", Identity{
			Path: "/dev/sdb", Name: "sdb", Kind: Disk, Vendor: "Kingston", Model: "DataTraveler", Serial: "60A44C3F",
			Transport: "usb", Bytes: 512000, Removable: true, ReadOnly: true,
		}},
		{"259:0", Identity{
			Path: "/dev/nvme0n1", Name: "nvme0n1", Kind: Disk, Model: "Samsung SSD 980", Serial: "S649NL0T1",
			WWN: "eui.002538", Transport: "nvme", Bytes: 1024000,
		}},
	} {
		n, err := h.Node(tc.dev)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, h.describe(n)); diff != "" {
			t.Errorf("%s: %s", tc.dev, diff)
		}
	}
}

func TestListHasDisksAndNothingElse(t *testing.T) {
	h := machine(t)
	h.mounted(t, "30 1 8:17 / /media/stick rw - vfat /dev/sdb1 rw")
	list, err := h.list()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range list {
		s := d.Name
		if d.Use != nil {
			s += " " + d.Use.By
		}
		got = append(got, s)
	}
	want := []string{"nvme0n1", "sda", "sdb /media/stick", "sdc md0", "sdd md0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSystemDiskIsFoundBelowItsVolumes(t *testing.T) {
	h := machine(t)
	h.mounted(t, "30 1 9:0 / / rw - ext4 /dev/md0 rw", "31 30 8:2 / /boot/efi rw - vfat /dev/sda2 rw", "32 30 8:17 / /media/x rw - vfat /dev/sdb1 rw")
	got, err := h.System()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sysblock.Footing{Disks: []string{"md0", "sdc", "sdd", "sda"}}, got); diff != "" {
		t.Error(diff)
	}
}
