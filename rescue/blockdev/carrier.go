package blockdev

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"salvor/rescue/blockdev/sysblock"
)

// A Carrier says whether what holds a file or a device can be carried away: a USB
// disk, a memory card, a stick. Where that cannot be found out it counts as if it
// could.
type Carrier struct {
	Portable bool
	Known    bool   // false: nobody can tell, and Portable is set
	On       string // the disk "sdb", or the kind of file system where there is none, "nfs"
	Why      string // "USB", "removable", "memory card"; empty when it stays where it is
}

// CarrierOf looks at what is below path: a block device, or a file or directory on a
// file system. It follows partitions, volumes of md and device mapper, loop devices to
// the file behind them, and overlays to where they write. A share on a server and
// memory stay where they are. The error is that of stat(2).
func CarrierOf(path string) (Carrier, error) { return this().carrier(path, 0) }

// deepest is how many files and file systems may lie on each other.
const deepest = 8

func (h host) carrier(path string, depth int) (Carrier, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_SYNC_AS_STAT, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st); err != nil {
		return Carrier{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if depth > deepest {
		return doubtful("what it rests on"), nil
	}
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		return h.carrierAt(fmt.Sprintf("%d:%d", st.Rdev_major, st.Rdev_minor), depth), nil
	}
	dev := fmt.Sprintf("%d:%d", st.Dev_major, st.Dev_minor)
	if _, err := h.Node(dev); err == nil {
		return h.carrierAt(dev, depth), nil
	}
	mount := uint64(0)
	if st.Mask&unix.STATX_MNT_ID != 0 {
		mount = st.Mnt_id
	}
	return h.carrierOfMount(mount, unix.Mkdev(st.Dev_major, st.Dev_minor), depth), nil
}

func doubtful(on string) Carrier { return Carrier{Portable: true, On: on, Why: "nobody can tell"} }

// carrierAt looks at a block device.
func (h host) carrierAt(dev string, depth int) Carrier {
	n, err := h.Node(dev)
	if err != nil {
		return doubtful("device " + dev)
	}
	dir := n.DiskDir()
	if why := h.portable(dir); why != "" {
		return Carrier{Portable: true, Known: true, On: n.Disk, Why: why}
	}
	stays := Carrier{Known: true, On: n.Disk}
	if !strings.HasPrefix(dir, filepath.Join(h.Sys, "devices/virtual")+"/") {
		return stays
	}
	switch {
	case strings.HasPrefix(n.Disk, "zram"), strings.HasPrefix(n.Disk, "ram"):
		return stays
	case strings.HasPrefix(n.Disk, "loop"):
		c, err := h.carrier(n.Backing(), depth+1)
		if err != nil {
			return doubtful(n.Disk)
		}
		return c
	case strings.HasPrefix(n.Disk, "nvme"): // several ways to one drive
		return h.carrierOfNVMe(filepath.Dir(dir), n.Disk)
	}
	var below []Carrier
	for _, name := range n.Slaves() {
		c := doubtful(name)
		if lower, err := h.Named(name); err == nil && depth < deepest {
			c = h.carrierAt(lower.Dev, depth+1)
		}
		below = append(below, c)
	}
	return worst(below, n.Disk)
}

// worst is the carrier of what rests on several: one that can be carried away is enough.
func worst(of []Carrier, on string) Carrier {
	if len(of) == 0 {
		return doubtful(on)
	}
	for _, is := range []func(Carrier) bool{
		func(c Carrier) bool { return c.Portable && c.Known },
		func(c Carrier) bool { return c.Portable },
	} {
		if i := slices.IndexFunc(of, is); i >= 0 {
			return of[i]
		}
	}
	return of[0]
}

// carrierOfNVMe looks at the controllers of a subsystem.
func (h host) carrierOfNVMe(subsystem, disk string) Carrier {
	var ways []Carrier
	for _, name := range sysblock.Entries(subsystem) {
		at, err := filepath.EvalSymlinks(filepath.Join(subsystem, name))
		if err != nil || sysblock.Text(at, "transport") == "" {
			continue
		}
		why := h.portable(at)
		ways = append(ways, Carrier{Portable: why != "", Known: true, On: disk, Why: why})
	}
	return worst(ways, disk)
}

// portable says why a disk can be carried away; "" when nothing says so. The kernel
// marks a medium that is taken out of its drive with "1", and what hangs on a port that
// can be reached from outside (Thunderbolt) with "removable"; a USB disk has neither, as
// a rule.
func (h host) portable(dir string) string {
	for name := range strings.SplitSeq(strings.TrimPrefix(dir, h.Sys), "/") {
		switch strings.TrimRight(name, "0123456789") {
		case name:
		case "usb":
			return "USB"
		case "fw":
			return "FireWire"
		}
	}
	switch {
	case sysblock.Text(dir, "device/type") == "SD":
		return "memory card"
	case sysblock.Text(dir, "removable") == "1":
		return "removable"
	}
	for at := filepath.Dir(dir); len(at) > len(h.Sys); at = filepath.Dir(at) {
		if sysblock.Text(at, "removable") == "removable" {
			return "plugged in from outside"
		}
	}
	return ""
}

// carrierOfMount looks at a file system that has no block device under its number:
// none at all, or several.
func (h host) carrierOfMount(id, dev uint64, depth int) Carrier {
	m, ok := h.mountOf(id, dev)
	if !ok {
		return doubtful("its file system")
	}
	stays := Carrier{Known: true, On: m.FS}
	switch m.FS {
	case "tmpfs", "ramfs", "devtmpfs":
		return stays
	case "nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "afs", "lustre", "fuse.sshfs", "fuse.glusterfs":
		return stays
	case "btrfs":
		return h.carrierOfBtrfs(m.Source, depth)
	case "overlay":
		if c, err := h.carrier(upper(m), depth+1); err == nil {
			return c
		}
	}
	if dev, ok := sysblock.DevAt(m.Source); ok {
		return h.carrierAt(dev, depth)
	}
	return doubtful(m.FS)
}

// carrierOfBtrfs looks at all devices of the file system to which one belongs.
func (h host) carrierOfBtrfs(source string, depth int) Carrier {
	dev, ok := sysblock.DevAt(source)
	if !ok {
		return doubtful("btrfs")
	}
	n, err := h.Node(dev)
	if err != nil {
		return doubtful("btrfs")
	}
	for _, id := range sysblock.Entries(filepath.Join(h.Sys, "fs/btrfs")) {
		names := sysblock.Entries(filepath.Join(h.Sys, "fs/btrfs", id, "devices"))
		if !slices.Contains(names, n.Name) {
			continue
		}
		var below []Carrier
		for _, name := range names {
			below = append(below, h.carrierAt(sysblock.Text(filepath.Join(h.Sys, "class/block", name), "dev"), depth+1))
		}
		return worst(below, "btrfs")
	}
	return h.carrierAt(dev, depth)
}

// mountOf finds a mount by its id, or where the kernel gives none by the number of its
// file system.
func (h host) mountOf(id, dev uint64) (sysblock.Mount, bool) {
	mounts, err := h.Mounts()
	if err != nil {
		return sysblock.Mount{}, false
	}
	for _, m := range mounts {
		if id != 0 && m.ID == id || id == 0 && m.Dev == dev {
			return m, true
		}
	}
	return sysblock.Mount{}, false
}

// upper is the directory to which an overlay writes; empty for one that does not.
func upper(m sysblock.Mount) string {
	for _, option := range m.Options {
		if dir, ok := strings.CutPrefix(option, "upperdir="); ok {
			return sysblock.Unescape(dir)
		}
	}
	return ""
}
