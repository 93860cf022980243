package wipe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// idle returns ErrInUse when somebody has one of the files open, mapped, or a
// loop device standing on it. Nothing of the job may be open when it is called.
//
// The kernel grants a write lease only on a file that nobody else has open, and a
// mapping or a loop device holds its file open too: where every lease is granted,
// nobody on this machine uses the files. Where the file system has no leases, the
// descriptors and mappings of every process that may be looked at are searched,
// and the loop devices.
func idle(all ...watched) error {
	wanted := make(map[inodeKey]string)
	names := make(map[string]bool)
	certain := true
	var busy *FileError
	for _, w := range all {
		for _, f := range w.files {
			wanted[inodeKey{w.dir.id.dev, f.Inode}] = f.Name
			names[f.Name] = true
			if busy != nil {
				continue
			}
			granted := false
			if leases(w.fs) {
				var err error
				if granted, err = leased(w.dir, f.Name); err != nil {
					busy = &FileError{f.Name, err}
				}
			}
			certain = certain && granted
		}
	}
	if certain {
		return nil
	}
	// Also when a lease was refused: to say by whom.
	if name, pid := openedBy(wanted, names); pid != 0 {
		return &FileError{name, fmt.Errorf("process %d has it open: %w", pid, ErrInUse)}
	}
	if name, loop := loopOn(wanted, names); loop != "" {
		return &FileError{name, fmt.Errorf("%s stands on it: %w", loop, ErrInUse)}
	}
	if busy != nil {
		return busy
	}
	return nil
}

// watched are files of one directory that nobody may be using.
type watched struct {
	dir   *dir
	fs    string // type of their file system
	files []FileJob
}

type inodeKey struct{ dev, number uint64 }

// leases reports whether a refused lease means that a file is in use. Network
// file systems refuse one for reasons of their own.
func leases(fstype string) bool {
	switch fstype {
	case "ext4", "ext3", "ext2", "xfs", "btrfs", "tmpfs", "f2fs", "vfat", "exfat", "overlay":
		return true
	}
	return false
}

// leased reports whether a write lease on a file was granted. Refused means that
// somebody has it open.
func leased(d *dir, name string) (bool, error) {
	f, id, err := d.open(name, unix.O_RDONLY)
	if errors.Is(err, unix.ENOENT) {
		return true, nil // nobody opens what has no name any more
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if !id.regular() {
		return false, nil
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return false, fmt.Errorf("it is open elsewhere: %w", ErrInUse)
	case err != nil:
		return false, nil // no leases here, or not for this user: the other looks remain
	}
	_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	return true, nil
}

// openedBy finds a process that has a wanted file open or mapped.
func openedBy(wanted map[inodeKey]string, names map[string]bool) (string, int) {
	processes, _ := os.ReadDir("/proc")
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		fds := filepath.Join("/proc", p.Name(), "fd")
		list, _ := os.ReadDir(fds) // gone, or not ours to look at
		for _, fd := range list {
			path := filepath.Join(fds, fd.Name())
			target, err := os.Readlink(path)
			// The name is compared first: asking for the state of everything that
			// is open could hang on somebody's dead server.
			if err != nil || !names[baseOf(target)] {
				continue
			}
			var st unix.Stat_t
			if unix.Stat(path, &st) != nil {
				continue
			}
			if name, ok := wanted[inodeKey{st.Dev, st.Ino}]; ok {
				return name, pid
			}
		}
		if name := mappedBy(filepath.Join("/proc", p.Name(), "maps"), wanted, names); name != "" {
			return name, pid
		}
	}
	return "", 0
}

func mappedBy(maps string, wanted map[inodeKey]string, names map[string]bool) string {
	b, err := os.ReadFile(maps)
	if err != nil {
		return ""
	}
	for l := range strings.Lines(string(b)) {
		f := strings.Fields(l)
		if len(f) < 6 || !names[baseOf(strings.Join(f[5:], " "))] {
			continue
		}
		number, err := strconv.ParseUint(f[4], 10, 64)
		if err != nil {
			continue
		}
		for k, name := range wanted {
			// btrfs shows another device number here than to stat; the inode's
			// number and the file's name together are close enough to stop.
			if k.number == number {
				return name
			}
		}
	}
	return ""
}

// loopOn finds a loop device that stands on a wanted file.
func loopOn(wanted map[inodeKey]string, names map[string]bool) (string, string) {
	found, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, b := range found {
		loop := filepath.Base(filepath.Dir(filepath.Dir(b)))
		path := line(filepath.Dir(b), "backing_file")
		name := baseOf(path)
		if !names[name] {
			continue
		}
		if f, err := os.Open("/dev/" + loop); err == nil {
			info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
			f.Close()
			if err == nil {
				for k, name := range wanted {
					if k.number == info.Inode && (k.dev == info.Device || k.dev == unix.Mkdev(uint32(info.Device>>8), uint32(info.Device&0xff))) {
						return name, loop
					}
				}
				continue
			}
		}
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil {
			// A file of this name, but out of sight: it may be the one.
			return name, loop
		}
		if name, ok := wanted[inodeKey{st.Dev, st.Ino}]; ok {
			return name, loop
		}
	}
	return "", ""
}

// baseOf is the last part of a path as the kernel shows it.
func baseOf(path string) string {
	return filepath.Base(strings.TrimSuffix(path, " (deleted)"))
}
