package sysblock

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is where the kernel says what it has; tests have one of their own.
type Host struct{ Sys, Proc, Dev string }

// This is the machine that this process runs on.
func This() Host { return Host{Sys: "/sys", Proc: "/proc", Dev: "/dev"} }

// Node is a block device in /sys.
type Node struct {
	Name      string // the kernel's: "sda1"
	Disk      string // "sda": itself when it is whole
	Dir       string // its directory below devices/
	Dev       string // its number: "8:1"
	Partition bool
	Number    int64 // of a partition
	Start     int64 // of a partition: 512-byte units from the disk's beginning
}

// At is the device of a directory of /sys, whose links are resolved.
func At(dir string) Node {
	n := Node{Name: filepath.Base(dir), Dir: dir, Dev: Text(dir, "dev")}
	n.Disk = n.Name
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		n.Partition, n.Disk = true, filepath.Base(filepath.Dir(dir))
		n.Number, n.Start = Number(dir, "partition"), Number(dir, "start")
	}
	return n
}

// DiskDir is the directory of the whole disk.
func (n Node) DiskDir() string {
	if n.Partition {
		return filepath.Dir(n.Dir)
	}
	return n.Dir
}

// Partitions are those of a disk.
func (n Node) Partitions() (out []Node) {
	for _, name := range Entries(n.Dir) {
		if p := At(filepath.Join(n.Dir, name)); p.Partition {
			out = append(out, p)
		}
	}
	return out
}

// Node finds a device by its number.
func (h Host) Node(dev string) (Node, error) {
	dir, err := filepath.EvalSymlinks(filepath.Join(h.Sys, "dev/block", dev))
	if err != nil {
		return Node{}, fmt.Errorf("find device %s: %w", dev, err)
	}
	return At(dir), nil
}

// Named finds a device, also a partition, by the kernel's name.
func (h Host) Named(name string) (Node, error) {
	dir, err := filepath.EvalSymlinks(filepath.Join(h.Sys, "class/block", name))
	if err != nil {
		return Node{}, fmt.Errorf("find device %s: %w", name, err)
	}
	return At(dir), nil
}

// Disks are all whole block devices, in no order. The single ways to an NVMe disk that may
// have several are none: the kernel hides them behind the disk.
func (h Host) Disks() (out []Node) {
	for _, name := range Entries(filepath.Join(h.Sys, "block")) {
		// One that is gone meanwhile is none.
		if dir, err := filepath.EvalSymlinks(filepath.Join(h.Sys, "block", name)); err == nil && Number(dir, "hidden") != 1 {
			out = append(out, At(dir))
		}
	}
	return out
}

// Path is the device file of a kernel name, which has ! where the path has /.
func (h Host) Path(name string) string {
	return filepath.Join(h.Dev, strings.ReplaceAll(name, "!", "/"))
}

// Dev is a device number as /sys writes it: "8:1".
func Dev(rdev uint64) string { return fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev)) }

// DevAt is the number of the block device whose device file has this absolute path.
func DevAt(path string) (string, bool) {
	var st unix.Stat_t
	if !strings.HasPrefix(path, "/") || unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", false
	}
	return Dev(st.Rdev), true
}
