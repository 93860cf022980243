package sysblock

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Footing is the whole disks that something rests on.
type Footing struct {
	Disks   []string // their kernel names; a volume is among them beside what it is made of
	Unknown bool     // there may be more
}

// systemMounts are where the running system lives.
var systemMounts = []string{"/", "/usr", "/boot", "/boot/efi", "/efi", "/var", "/home", "/etc", "/opt", "/nix", "/sysroot", "/ostree"}

// System is what the running system rests on.
func (h Host) System() (Footing, error) {
	mounts, err := h.Mounts()
	if err != nil {
		return Footing{}, err
	}
	var found Footing
	root := false
	for _, m := range mounts {
		if slices.Contains(systemMounts, m.Point) {
			root = root || m.Point == "/"
			h.mounted(m, &found, 0)
		}
	}
	if !root {
		h.under("/", &found, 0)
	}
	return found, nil
}

// Under is what the file system that holds a file rests on.
func (h Host) Under(file string) (found Footing) {
	h.under(file, &found, 0)
	return found
}

// below adds the disks that a device rests on: its own, those below a volume, and
// those below the file that a loop device stands on.
func (h Host) below(n Node, found *Footing) {
	if slices.Contains(found.Disks, n.Disk) {
		return
	}
	found.Disks = append(found.Disks, n.Disk)
	for _, name := range n.Slaves() {
		lower, err := h.Named(name)
		if err != nil {
			found.Unknown = true
			continue
		}
		h.below(lower, found)
	}
	if file := n.Backing(); file != "" {
		h.under(file, found, 0)
	}
}

// Backing is the file that a loop device, or the partition of one, stands on; of any
// other device it is empty.
func (n Node) Backing() string {
	b, err := os.ReadFile(filepath.Join(n.DiskDir(), "loop/backing_file"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n") // a name may hold any byte
}

// Slaves are the kernel names of the devices that a volume is made of.
func (n Node) Slaves() []string { return Entries(filepath.Join(n.DiskDir(), "slaves")) }

// Below are the devices that a device is made of: the slaves of a volume, or the device
// that a loop device stands on, whose use is not seen at the loop device.
func (n Node) Below() []string {
	below := n.Slaves()
	if dev := n.BackingDevice(); dev != "" {
		below = append(below, dev)
	}
	return below
}

// BackingDevice is the device that a loop device stands on; of one that stands on a file, or
// of any other device, it is empty.
func (n Node) BackingDevice() string {
	file := n.Backing()
	if _, ok := DevAt(file); !ok {
		return ""
	}
	return file
}

// under adds the disks below the file system that holds a file.
func (h Host) under(file string, found *Footing, depth int) {
	mounts, err := h.Mounts()
	var st unix.Statx_t
	if err == nil {
		err = unix.Statx(unix.AT_FDCWD, file, unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st)
	}
	if err != nil {
		found.Unknown = true
		return
	}
	for _, m := range mounts {
		if st.Mask&unix.STATX_MNT_ID != 0 && m.ID == st.Mnt_id {
			h.mounted(m, found, depth)
			return
		}
	}
	if st.Dev_major != 0 {
		if n, err := h.Node(fmt.Sprintf("%d:%d", st.Dev_major, st.Dev_minor)); err == nil {
			h.below(n, found)
			return
		}
	}
	found.Unknown = true
}

// mounted adds the disks below a mounted file system. What lies in memory or on
// another machine has none; of what is not understood there may be some.
func (h Host) mounted(m Mount, found *Footing, depth int) {
	if unix.Major(m.Dev) != 0 {
		if n, err := h.Node(Dev(m.Dev)); err == nil {
			h.below(n, found)
			return
		}
	}
	if dev, ok := DevAt(m.Source); ok {
		if n, err := h.Node(dev); err == nil {
			h.below(n, found)
			if m.FS == "btrfs" { // any of its devices may be this file system's
				for _, name := range h.Pools() {
					if n, err := h.Named(name); err == nil {
						h.below(n, found)
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
	found.Unknown = true
}
