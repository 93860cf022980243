package device

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"salvor/wipe"
	"salvor/wipe/internal/kernel"
)

// host is where the kernel says what it has; tests have one of their own.
type host struct{ sys, proc, dev string }

func this() host { return host{sys: "/sys", proc: "/proc", dev: "/dev"} }

// node is a block device in /sys.
type node struct {
	name string // "sda1"
	disk string // "sda": itself when it is whole
	dir  string // its directory below devices/
	dev  string // "8:1"
}

func (n node) whole() bool { return n.name == n.disk }

// diskDir is the directory of the whole disk.
func (n node) diskDir() string {
	if n.whole() {
		return n.dir
	}
	return filepath.Dir(n.dir)
}

func number(rdev uint64) string { return fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev)) }

func (h host) node(dev string) (node, error) {
	dir, err := filepath.EvalSymlinks(filepath.Join(h.sys, "dev/block", dev))
	if err != nil {
		return node{}, fmt.Errorf("find device %s: %w", dev, err)
	}
	return nodeAt(dir), nil
}

func nodeAt(dir string) node {
	n := node{name: filepath.Base(dir), dir: dir, dev: text(dir, "dev")}
	n.disk = n.name
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		n.disk = filepath.Base(filepath.Dir(dir))
	}
	return n
}

// path is the device file of a kernel name, which has ! where the path has /.
func (h host) path(name string) string {
	return filepath.Join(h.dev, strings.ReplaceAll(name, "!", "/"))
}

// disks are the directories of all whole block devices.
func (h host) disks() []string {
	var out []string
	for _, name := range entries(filepath.Join(h.sys, "block")) {
		if dir, err := filepath.EvalSymlinks(filepath.Join(h.sys, "block", name)); err == nil {
			out = append(out, dir)
		}
	}
	return out
}

// describe reads what /sys knows of a whole device. Nothing in it is required: a
// bridge that hides the serial number is no reason to refuse a disk.
func (h host) describe(n node) Identity {
	id := Identity{
		Name:      n.name,
		Vendor:    text(n.dir, "device/vendor"),
		Model:     first(text(n.dir, "device/model"), text(n.dir, "device/name")),
		Serial:    h.serial(n.dir),
		WWN:       first(text(n.dir, "device/wwid"), text(n.dir, "wwid"), text(n.dir, "device/cid")),
		Firmware:  first(text(n.dir, "device/firmware_rev"), text(n.dir, "device/rev"), text(n.dir, "device/fwrev")),
		Transport: transport(n),
		Bytes:     count(n.dir, "size") * 512, // /sys counts 512 whatever the sector
		Sector:    int(count(n.dir, "queue/logical_block_size")),
		Physical:  int(count(n.dir, "queue/physical_block_size")),
		Seq:       uint64(max(0, count(n.dir, "diskseq"))),
	}
	if strings.HasPrefix(id.Vendor, "0x") {
		id.Vendor = "" // a PCI number, on NVMe and virtio
	}
	if id.Vendor == "ATA" {
		id.Vendor = "" // the kernel's word for every SATA drive
	}
	id.Virtual, id.Rotating = wipe.Layers(n.dir)
	id.Media = mediaOf(id)
	links := filepath.Join(h.dev, "disk/by-id")
	for _, name := range entries(links) {
		if to, err := os.Readlink(filepath.Join(links, name)); err == nil && filepath.Base(to) == n.name {
			id.ByID = append(id.ByID, printable([]byte(name)))
		}
	}
	for _, dir := range h.disks() {
		if dir != n.dir && id.Serial != "" && count(dir, "size") > 0 && h.serial(dir) == id.Serial {
			id.Twins = append(id.Twins, filepath.Base(dir))
		}
	}
	return id
}

// serial asks the places where the transports keep it: NVMe and MMC, virtio, SCSI
// with SATA behind it, and last the USB bridge, which answers for itself.
func (h host) serial(dir string) string {
	if s := first(text(dir, "device/serial"), text(dir, "serial")); s != "" {
		return s
	}
	// SCSI's unit serial number page: four bytes in front, the text behind.
	if page, err := os.ReadFile(filepath.Join(dir, "device/vpd_pg80")); err == nil && len(page) > 4 {
		if s := printable(page[4:]); s != "" {
			return s
		}
	}
	for ; len(dir) > len(h.sys); dir = filepath.Dir(dir) {
		if text(dir, "idVendor") != "" {
			return text(dir, "serial")
		}
	}
	return ""
}

// transport tells the way to a device from its place in /sys.
func transport(n node) string {
	for _, t := range []struct{ prefix, name string }{{"nvme", "nvme"}, {"mmcblk", "mmc"}, {"loop", "loop"}, {"nbd", "nbd"}} {
		if strings.HasPrefix(n.name, t.prefix) {
			return t.name
		}
	}
	for _, t := range []struct{ part, name string }{{"/usb", "usb"}, {"/ata", "sata"}, {"/end_device-", "sas"}, {"/virtio", "virtio"}} {
		if strings.Contains(n.dir, t.part) {
			return t.name
		}
	}
	return ""
}

// mounts is the table of mounts.
func (h host) mounts() ([]kernel.Mount, error) {
	f, err := os.Open(filepath.Join(h.proc, "self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("what is mounted: %w", err)
	}
	defer f.Close()
	return kernel.ParseMounts(f)
}

// swaps gives the device numbers that are swapped to.
func (h host) swaps() ([]string, error) {
	b, err := os.ReadFile(filepath.Join(h.proc, "swaps"))
	if os.IsNotExist(err) {
		return nil, nil // a kernel without swap
	}
	if err != nil {
		return nil, fmt.Errorf("what is swapped to: %w", err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] != "Filename" {
			if dev, ok := blockNumber(kernel.Unescape(f[0])); ok {
				out = append(out, dev)
			}
		}
	}
	return out, nil
}

// pools gives the kernel names of the devices of all mounted btrfs: the table of
// mounts shows only one of each.
func (h host) pools() (out []string) {
	for _, id := range entries(filepath.Join(h.sys, "fs/btrfs")) {
		out = append(out, entries(filepath.Join(h.sys, "fs/btrfs", id, "devices"))...)
	}
	return out
}

// below adds the disks that a device rests on: its own, those below a volume, and
// those below the file that a loop device stands on.
func (h host) below(n node, found *footing) {
	if slices.Contains(found.names, n.disk) {
		return
	}
	found.names = append(found.names, n.disk)
	dir := n.diskDir()
	for _, name := range entries(filepath.Join(dir, "slaves")) {
		lower, err := filepath.EvalSymlinks(filepath.Join(h.sys, "class/block", name))
		if err != nil {
			found.unknown = true
			continue
		}
		h.below(nodeAt(lower), found)
	}
	if file := text(dir, "loop/backing_file"); file != "" {
		h.under(file, found, 0)
	}
}

// footing is the whole disks that something rests on.
type footing struct {
	names   []string
	unknown bool // there may be more
}

// under adds the disks below the file system that holds a file.
func (h host) under(file string, found *footing, depth int) {
	mounts, err := h.mounts()
	var st unix.Statx_t
	if err == nil {
		err = unix.Statx(unix.AT_FDCWD, file, unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st)
	}
	if err != nil {
		found.unknown = true
		return
	}
	for _, m := range mounts {
		if st.Mask&unix.STATX_MNT_ID != 0 && m.ID == st.Mnt_id {
			h.mounted(m, found, depth)
			return
		}
	}
	if st.Dev_major != 0 {
		if n, err := h.node(fmt.Sprintf("%d:%d", st.Dev_major, st.Dev_minor)); err == nil {
			h.below(n, found)
			return
		}
	}
	found.unknown = true
}

// mounted adds the disks below a mounted file system. What lies in memory or on
// another machine has none; of what is not understood there may be some.
func (h host) mounted(m kernel.Mount, found *footing, depth int) {
	if unix.Major(m.Dev) != 0 {
		if n, err := h.node(number(m.Dev)); err == nil {
			h.below(n, found)
			return
		}
	}
	if dev, ok := blockNumber(m.Source); ok {
		if n, err := h.node(dev); err == nil {
			h.below(n, found)
			if m.FS == "btrfs" { // any of its devices may be this file system's
				for _, name := range h.pools() {
					if dir, err := filepath.EvalSymlinks(filepath.Join(h.sys, "class/block", name)); err == nil {
						h.below(nodeAt(dir), found)
					}
				}
			}
			return
		}
	}
	fs, _, _ := strings.Cut(m.FS, ".")
	switch fs {
	case "rootfs", "ramfs", "tmpfs", "devtmpfs", "proc", "sysfs", "cgroup", "cgroup2":
		return
	case "nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "afs":
		return
	case "overlay":
		if depth > 4 {
			break // no file system is stacked so high
		}
		for _, o := range m.Options {
			key, dirs, _ := strings.Cut(o, "=")
			if key != "lowerdir" && key != "upperdir" {
				continue
			}
			for dir := range strings.SplitSeq(dirs, ":") {
				if dir != "" {
					h.under(dir, found, depth+1)
				}
			}
		}
		return
	}
	found.unknown = true
}

// blockNumber is the device number of the block device at path.
func blockNumber(path string) (string, bool) {
	var st unix.Stat_t
	if !strings.HasPrefix(path, "/") || unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", false
	}
	return number(st.Rdev), true
}

// entries lists a directory's names; one that is not there has none.
func entries(dir string) []string {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return names
}

// text is the content of a file of /sys in one line, or empty.
func text(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return printable(b)
}

func count(dir, name string) int64 {
	n, err := strconv.ParseInt(text(dir, name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func first(of ...string) string {
	for _, s := range of {
		if s != "" {
			return s
		}
	}
	return ""
}
