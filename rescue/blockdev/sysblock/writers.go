package sysblock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is a process that has a device open.
type Process struct {
	PID     int
	Command string // its name, as the kernel cuts it; a person finds it by that
	Node    Node   // the device, or the partition of it
}

func (p Process) String() string {
	return fmt.Sprintf("%s, process %d, has %s open for writing", p.Command, p.PID, p.Node.Name)
}

// Writer finds another process that has one of the devices open for writing, exclusively
// or not; nil is none. Who only reads, such as a desktop that looks what was plugged in,
// is no writer. It fails with [fs.ErrPermission] when there are processes that it may not
// look into. Those of other namespaces are not seen.
func (h Host) Writer(of []Node) (*Process, error) {
	pids, err := os.ReadDir(h.Proc)
	if err != nil {
		return nil, fmt.Errorf("who has it open: %w", err)
	}
	self := os.Getpid()
	for _, e := range pids {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == self {
			continue
		}
		dir := filepath.Join(h.Proc, e.Name())
		files, err := os.ReadDir(filepath.Join(dir, "fd"))
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("who has it open: %w", err)
		case err != nil:
			continue // it has ended
		}
		for _, f := range files {
			n, ok := opened(filepath.Join(dir, "fd", f.Name()), of)
			if ok && writes(filepath.Join(dir, "fdinfo", f.Name())) {
				return &Process{PID: pid, Command: Text(dir, "comm"), Node: n}, nil
			}
		}
	}
	return nil, nil
}

// opened tells which of the devices an open file is. The file is not asked anything that a
// server far away would have to answer.
func opened(file string, of []Node) (Node, bool) {
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, file, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return Node{}, false
	}
	dev := Dev(unix.Mkdev(st.Rdev_major, st.Rdev_minor))
	i := slices.IndexFunc(of, func(n Node) bool { return n.Dev == dev })
	if i < 0 {
		return Node{}, false
	}
	return of[i], true
}

// writes tells from /proc/PID/fdinfo how a file was opened; what cannot be read counts as
// if it was opened for writing, unless it was closed meanwhile.
func writes(info string) bool {
	b, err := os.ReadFile(info)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH)
	}
	for line := range strings.Lines(string(b)) {
		if flags, ok := strings.CutPrefix(line, "flags:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(flags), 8, 64)
			return err != nil || n&unix.O_ACCMODE != unix.O_RDONLY
		}
	}
	return true
}
