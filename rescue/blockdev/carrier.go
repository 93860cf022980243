package blockdev

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
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
	if _, err := h.node(dev); err == nil {
		return h.carrierAt(dev, depth), nil
	}
	mount := ""
	if st.Mask&unix.STATX_MNT_ID != 0 {
		mount = strconv.FormatUint(st.Mnt_id, 10)
	}
	return h.carrierOfMount(mount, dev, depth), nil
}

func doubtful(on string) Carrier { return Carrier{Portable: true, On: on, Why: "nobody can tell"} }

// carrierAt looks at a block device.
func (h host) carrierAt(dev string, depth int) Carrier {
	n, err := h.node(dev)
	if err != nil {
		return doubtful("device " + dev)
	}
	dir := n.diskDir()
	if why := h.portable(dir); why != "" {
		return Carrier{Portable: true, Known: true, On: n.disk, Why: why}
	}
	stays := Carrier{Known: true, On: n.disk}
	if !strings.HasPrefix(dir, filepath.Join(h.sys, "devices/virtual")+"/") {
		return stays
	}
	switch {
	case strings.HasPrefix(n.disk, "zram"), strings.HasPrefix(n.disk, "ram"):
		return stays
	case strings.HasPrefix(n.disk, "loop"):
		file, err := os.ReadFile(filepath.Join(dir, "loop/backing_file"))
		if err != nil {
			return doubtful(n.disk)
		}
		c, err := h.carrier(strings.TrimSuffix(string(file), "\n"), depth+1)
		if err != nil {
			return doubtful(n.disk)
		}
		return c
	case strings.HasPrefix(n.disk, "nvme"): // several ways to one drive
		return h.carrierOfNVMe(filepath.Dir(dir), n.disk)
	}
	var below []Carrier
	for _, name := range entries(filepath.Join(dir, "slaves")) {
		c := doubtful(name)
		if at, err := filepath.EvalSymlinks(filepath.Join(h.sys, "class/block", name)); err == nil && depth < deepest {
			c = h.carrierAt(text(at, "dev"), depth+1)
		}
		below = append(below, c)
	}
	return worst(below, n.disk)
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
	for _, name := range entries(subsystem) {
		at, err := filepath.EvalSymlinks(filepath.Join(subsystem, name))
		if err != nil || text(at, "transport") == "" {
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
	for name := range strings.SplitSeq(strings.TrimPrefix(dir, h.sys), "/") {
		switch strings.TrimRight(name, "0123456789") {
		case name:
		case "usb":
			return "USB"
		case "fw":
			return "FireWire"
		}
	}
	switch {
	case text(dir, "device/type") == "SD":
		return "memory card"
	case text(dir, "removable") == "1":
		return "removable"
	}
	for at := filepath.Dir(dir); len(at) > len(h.sys); at = filepath.Dir(at) {
		if text(at, "removable") == "removable" {
			return "plugged in from outside"
		}
	}
	return ""
}

// carrierOfMount looks at a file system that has no block device under its number:
// none at all, or several.
func (h host) carrierOfMount(id, dev string, depth int) Carrier {
	m, ok := h.mountOf(id, dev)
	if !ok {
		return doubtful("its file system")
	}
	stays := Carrier{Known: true, On: m.fs}
	switch m.fs {
	case "tmpfs", "ramfs", "devtmpfs":
		return stays
	case "nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "afs", "lustre", "fuse.sshfs", "fuse.glusterfs":
		return stays
	case "btrfs":
		return h.carrierOfBtrfs(m.source, depth)
	case "overlay":
		if c, err := h.carrier(m.upper, depth+1); m.upper != "" && err == nil {
			return c
		}
	}
	if dev, ok := blockNumber(m.source); ok {
		return h.carrierAt(dev, depth)
	}
	return doubtful(m.fs)
}

// carrierOfBtrfs looks at all devices of the file system to which one belongs.
func (h host) carrierOfBtrfs(source string, depth int) Carrier {
	dev, ok := blockNumber(source)
	if !ok {
		return doubtful("btrfs")
	}
	n, err := h.node(dev)
	if err != nil {
		return doubtful("btrfs")
	}
	for _, id := range entries(filepath.Join(h.sys, "fs/btrfs")) {
		names := entries(filepath.Join(h.sys, "fs/btrfs", id, "devices"))
		if !slices.Contains(names, n.name) {
			continue
		}
		var below []Carrier
		for _, name := range names {
			below = append(below, h.carrierAt(text(filepath.Join(h.sys, "class/block", name), "dev"), depth+1))
		}
		return worst(below, "btrfs")
	}
	return h.carrierAt(dev, depth)
}

// mount is what /proc/self/mountinfo says of one mount, as far as it is needed here.
type mount struct{ fs, source, upper string }

// mountOf finds a mount by its id, or where the kernel gives none by the number of its
// file system.
func (h host) mountOf(id, dev string) (mount, bool) {
	b, err := os.ReadFile(filepath.Join(h.proc, "self/mountinfo"))
	if err != nil {
		return mount{}, false
	}
	for line := range strings.Lines(string(b)) {
		left, right, _ := strings.Cut(line, " - ")
		field, behind := strings.Fields(left), strings.Fields(right)
		if len(field) < 6 || len(behind) < 2 || id != "" && field[0] != id || id == "" && field[2] != dev {
			continue
		}
		m := mount{fs: behind[0], source: unescape(behind[1])}
		if len(behind) > 2 {
			for option := range strings.SplitSeq(behind[2], ",") {
				if dir, ok := strings.CutPrefix(option, "upperdir="); ok {
					m.upper = unescape(dir)
				}
			}
		}
		return m, true
	}
	return mount{}, false
}
