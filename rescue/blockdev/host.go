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

// host is where the kernel says what it has; tests have one of their own.
type host struct{ sys, proc string }

func this() host { return host{sys: "/sys", proc: "/proc"} }

// node is a block device in sysfs.
type node struct {
	name      string // "sda1"
	disk      string // "sda": itself when it is whole
	dir       string // its directory below devices/
	dev       string // "8:1"
	partition bool
	number    int64 // of a partition
	start     int64 // of a partition: 512-byte units from the disk's beginning
}

// devPath is the device file of a kernel name, which has ! where the path has /.
func devPath(name string) string { return "/dev/" + strings.ReplaceAll(name, "!", "/") }

func devNumber(rdev uint64) string {
	return fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev))
}

// node finds a device by its number.
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
		n.partition, n.disk = true, filepath.Base(filepath.Dir(dir))
		n.number, n.start = number(dir, "partition"), number(dir, "start")
	}
	return n
}

// diskDir is the directory of the whole disk.
func (n node) diskDir() string {
	if n.partition {
		return filepath.Dir(n.dir)
	}
	return n.dir
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

// family is the device and all whose use is use of it: of a disk its partitions, of
// a partition its disk. A sibling partition is somebody else's.
func (h host) family(n node) []node {
	if n.partition {
		return []node{n, nodeAt(filepath.Dir(n.dir))}
	}
	out := []node{n}
	for _, name := range entries(n.dir) {
		if p := nodeAt(filepath.Join(n.dir, name)); p.partition {
			out = append(out, p)
		}
	}
	return out
}

// use says what uses the device, its disk or a partition of it; nil is nothing that
// is known here. It fails rather than answer without having looked.
func (h host) use(path string, n node) (*InUseError, error) {
	mounts, err := h.mounts()
	if err != nil {
		return nil, err
	}
	swaps, err := h.swaps()
	if err != nil {
		return nil, err
	}
	pools := h.btrfs()
	for _, m := range h.family(n) {
		in := &InUseError{Path: path, Node: devPath(m.name)}
		if m.name == n.name {
			in.Node = path
		}
		if holders := entries(filepath.Join(m.dir, "holders")); len(holders) > 0 {
			in.By, in.Err = strings.Join(holders, ", "), ErrInUse
		}
		if slices.Contains(swaps, m.dev) {
			in.By, in.Err = "swap", ErrInUse
		}
		if slices.Contains(pools, m.name) {
			in.By, in.Err = "btrfs", ErrMounted
		}
		if at, ok := mounts[m.dev]; ok {
			in.By, in.Err = at, ErrMounted
		}
		if in.Err != nil {
			return in, nil
		}
	}
	return nil, nil
}

// mounts gives, by device number, a place where each mounted device is mounted.
func (h host) mounts() (map[string]string, error) {
	b, err := os.ReadFile(filepath.Join(h.proc, "self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("what is mounted: %w", err)
	}
	out := map[string]string{}
	put := func(dev, at string) {
		if _, ok := out[dev]; !ok {
			out[dev] = at
		}
	}
	for line := range strings.Lines(string(b)) {
		// 36 35 98:0 /root /mount/point options [optional ...] - type source super
		left, right, ok := strings.Cut(line, " - ")
		field, behind := strings.Fields(left), strings.Fields(right)
		if !ok || len(field) < 6 || len(behind) < 2 {
			return nil, fmt.Errorf("what is mounted: unknown line %.80q", line)
		}
		at := unescape(field[4])
		put(field[2], at)
		// btrfs and others count their mounts under numbers of their own; the source is the device.
		if dev, ok := blockNumber(unescape(behind[1])); ok {
			put(dev, at)
		}
	}
	return out, nil
}

// swaps gives the numbers of the devices that are swapped to.
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
		if field := strings.Fields(line); len(field) > 1 && field[0] != "Filename" {
			if dev, ok := blockNumber(unescape(field[0])); ok {
				out = append(out, dev)
			}
		}
	}
	return out, nil
}

// btrfs gives the names of the devices of all mounted btrfs file systems: mountinfo
// shows only one of each.
func (h host) btrfs() (out []string) {
	for _, id := range entries(filepath.Join(h.sys, "fs/btrfs")) {
		out = append(out, entries(filepath.Join(h.sys, "fs/btrfs", id, "devices"))...)
	}
	return out
}

// system gives the names of the disks below the running system.
func (h host) system() (map[string]bool, error) {
	mounts, err := h.mounts()
	if err != nil {
		return nil, err
	}
	disks := map[string]bool{}
	for dev, at := range mounts {
		if !slices.Contains([]string{"/", "/usr", "/boot", "/boot/efi", "/efi", "/var", "/home"}, at) {
			continue
		}
		if n, err := h.node(dev); err == nil {
			h.below(n, disks)
		}
	}
	return disks, nil
}

// below adds the disks that a device rests on: its own, or those below a volume.
func (h host) below(n node, disks map[string]bool) {
	if disks[n.disk] {
		return
	}
	disks[n.disk] = true
	for _, name := range entries(filepath.Join(h.sys, "block", n.disk, "slaves")) {
		if dir, err := filepath.EvalSymlinks(filepath.Join(h.sys, "class/block", name)); err == nil {
			h.below(nodeAt(dir), disks)
		}
	}
}

// blockNumber is the device number of the block device at path.
func blockNumber(path string) (string, bool) {
	var st unix.Stat_t
	if !strings.HasPrefix(path, "/") || unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", false
	}
	return devNumber(st.Rdev), true
}

// unescape undoes the octal escapes of files in /proc.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
