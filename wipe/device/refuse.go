package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"salvor/rescue/blockdev/sysblock"
)

// Why a device is refused. There is no way around any of them.
var (
	ErrNotDevice  = errors.New("not a block device")
	ErrPartition  = errors.New("a partition: only whole devices are wiped")
	ErrVolume     = errors.New("made of other devices: wipe those")
	ErrSystemDisk = errors.New("holds the running system")
	ErrMounted    = errors.New("mounted")
	ErrInUse      = errors.New("in use") // swap, RAID, LVM, dm-crypt, another program
	ErrKept       = errors.New("holds the ledger or a vault")
	ErrTwin       = errors.New("the same disk is there under two names")
	ErrReadOnly   = errors.New("write-protected")
	ErrEmpty      = errors.New("no medium")
	ErrPermission = errors.New("permission denied")
	// ErrSerial: what was typed is not what this device has to be confirmed by.
	ErrSerial = errors.New("not confirmed")
	// ErrOther: it is not the device that it was.
	ErrOther = errors.New("another device than before")
	// ErrVanished: the device went away. Plug it in again and run the job again.
	ErrVanished = errors.New("the device went away")
	// ErrJob: the job cannot be used.
	ErrJob = errors.New("the wipe job does not fit")
)

// RefusedError is a device that is refused. It wraps one of the reasons.
type RefusedError struct {
	Path string // as it was asked for
	By   string // what uses it: a mount point, "swap", the name of a holder or partition; may be empty
	Err  error
}

func (e *RefusedError) Error() string {
	s := e.Path + ": " + e.Err.Error()
	if e.By != "" {
		s += " (" + e.By + ")"
	}
	return s
}

// Unwrap gives the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

// find says which device of /sys a path is.
func (h host) find(path string) (sysblock.Node, error) {
	st, err := os.Stat(path)
	if err != nil {
		return sysblock.Node{}, err
	}
	if m := st.Mode(); m&os.ModeDevice == 0 || m&os.ModeCharDevice != 0 {
		return sysblock.Node{}, &RefusedError{Path: path, Err: ErrNotDevice}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return sysblock.Node{}, err
	}
	dev, ok := sysblock.DevAt(abs)
	if !ok {
		return sysblock.Node{}, &RefusedError{Path: path, Err: ErrNotDevice}
	}
	return h.Node(dev)
}

// look describes a device, and refuses it when any interlock holds. keep are paths
// whose disks must not be wiped.
func (h host) look(path string, keep []string) (Identity, sysblock.Node, error) {
	n, err := h.find(path)
	if err != nil {
		return Identity{}, n, err
	}
	// The system disk comes first: it is the answer that matters, also for a partition.
	if err := h.notSystem(path, n); err != nil {
		return Identity{}, n, err
	}
	if n.Partition {
		return Identity{}, n, &RefusedError{Path: path, By: "of " + n.Disk, Err: ErrPartition}
	}
	if err := h.notKept(path, n, keep); err != nil {
		return Identity{}, n, err
	}
	if err := h.notUsed(path, n); err != nil {
		return Identity{}, n, err
	}
	if below := n.Below(); len(below) > 0 {
		return Identity{}, n, &RefusedError{Path: path, By: strings.Join(below, ", "), Err: ErrVolume}
	}
	if err := h.notWritten(path, n); err != nil {
		return Identity{}, n, err
	}
	id := h.describe(n)
	if err := h.notTwin(path, id, keep); err != nil {
		return id, n, err
	}
	switch {
	case id.Bytes == 0:
		return id, n, &RefusedError{Path: path, Err: ErrEmpty}
	case sysblock.Number(n.Dir, "ro") == 1:
		return id, n, &RefusedError{Path: path, Err: ErrReadOnly}
	}
	return id, n, nil
}

// notSystem refuses a disk below the running system, and, where it cannot be found
// out what is below it, everything that could be.
func (h host) notSystem(path string, n sysblock.Node) error {
	system, err := h.System()
	if err != nil {
		return err
	}
	if slices.Contains(system.Disks, n.Disk) {
		return &RefusedError{Path: path, Err: ErrSystemDisk}
	}
	// A loop device is certainly no disk of the system.
	if system.Unknown && n.Backing() == "" {
		return &RefusedError{Path: path, By: "what is below the running system cannot be found out", Err: ErrSystemDisk}
	}
	return nil
}

// notKept refuses the disks below what the caller keeps, and a loop device that
// stands on a file in it.
func (h host) notKept(path string, n sysblock.Node, keep []string) error {
	file := n.Backing()
	for _, dir := range keep {
		below := h.Under(dir)
		if slices.Contains(below.Disks, n.Disk) {
			return &RefusedError{Path: path, By: dir, Err: ErrKept}
		}
		if below.Unknown && file == "" {
			return &RefusedError{Path: path, By: "what " + dir + " lies on cannot be found out", Err: ErrKept}
		}
		if lies(file, dir) {
			return &RefusedError{Path: path, By: dir, Err: ErrKept}
		}
	}
	return nil
}

// lies tells whether a file is dir or lies below it: by their names, and by what they are,
// since the kernel may know the file by another mount of the same directory.
func lies(file, dir string) bool {
	if file == "" {
		return false
	}
	if rel, err := filepath.Rel(dir, file); err == nil && filepath.IsLocal(rel) {
		return true
	}
	place, err := os.Stat(dir)
	if err != nil {
		return false
	}
	for {
		if st, err := os.Stat(file); err == nil && os.SameFile(st, place) {
			return true
		}
		if up := filepath.Dir(file); up != file {
			file = up
			continue
		}
		return false
	}
}

// notTwin refuses a disk that is there on two ways: only one of them would be held. Two
// cheap sticks may share a number and a size. With its world wide name it is one disk;
// where that is not known it may be, and is let be only while nothing uses the other one.
func (h host) notTwin(path string, id Identity, keep []string) error {
	for _, name := range id.Twins {
		twin, err := h.Named(name)
		if err != nil {
			continue // gone meanwhile
		}
		wwn := twin.WWN()
		if twin.Bytes() != id.Bytes || wwn != id.WWN && wwn != "" && id.WWN != "" {
			continue
		}
		refused := &RefusedError{Path: path, By: name, Err: ErrTwin}
		if wwn != "" && wwn == id.WWN {
			return refused
		}
		for _, free := range []func() error{
			func() error { return h.notSystem(path, twin) },
			func() error { return h.notKept(path, twin, keep) },
			func() error { return h.notUsed(path, twin) },
			func() error { return h.notWritten(path, twin) },
		} {
			if free() != nil {
				refused.By += ", which is in use"
				return refused
			}
		}
	}
	return nil
}

// family is a disk and its partitions: who uses one of them uses it.
func family(n sysblock.Node) []sysblock.Node {
	return append([]sysblock.Node{n}, n.Partitions()...)
}

// notUsed refuses a device that is used, or of which a partition is.
func (h host) notUsed(path string, n sysblock.Node) error {
	use, err := h.Use(family(n))
	if use == nil || err != nil {
		return err
	}
	refused := &RefusedError{Path: path, By: use.By, Err: ErrInUse}
	if use.Mounted {
		refused.Err = ErrMounted
	}
	if use.Node.Name != n.Name {
		refused.By = use.Node.Name + ": " + use.By
	}
	return refused
}

// notWritten refuses a device that another process has open for writing. The kernel keeps
// it from being mounted while it is held here, but not from being written to by whoever
// has it open: what he writes would be lost, or stand where this wipe says it wrote.
func (h host) notWritten(path string, n sysblock.Node) error {
	writer, err := h.Writer(family(n))
	if err != nil {
		return fmt.Errorf("%s: %w", path, permission(err))
	}
	if writer != nil {
		return &RefusedError{Path: path, By: writer.String(), Err: ErrInUse}
	}
	return nil
}

// opening gives an error of open(2) the word that callers decide by.
func opening(path string, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return &RefusedError{Path: path, By: "held by the kernel or another program", Err: ErrInUse}
	case errors.Is(err, unix.ENOMEDIUM):
		return &RefusedError{Path: path, Err: ErrEmpty}
	case errors.Is(err, unix.EROFS):
		return &RefusedError{Path: path, Err: ErrReadOnly}
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%s: %w: %w", path, ErrVanished, err)
	}
	return permission(err)
}

func permission(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", ErrPermission, err)
	}
	return err
}
