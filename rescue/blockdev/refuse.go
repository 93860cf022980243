package blockdev

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Why a path is refused. [InUseError] says in detail what uses a device.
var (
	ErrMounted     = errors.New("mounted")                                   // a file system on it is in use
	ErrInUse       = errors.New("in use")                                    // swap, RAID, LVM, dm-crypt, or an exclusive opener
	ErrSystemDisk  = errors.New("holds the running system")                  // never a target
	ErrNotDisk     = errors.New("neither a block device nor a regular file") // directory, FIFO, character device
	ErrEmpty       = errors.New("empty")                                     // 0 bytes
	ErrTooSmall    = errors.New("smaller than one sector")
	ErrNoMedium    = errors.New("no medium") // an empty card reader or drive
	ErrPermission  = errors.New("permission denied")
	ErrNotReadOnly = errors.New("cannot be set read-only") // the kernel's flag was refused or had no effect
	ErrReadOnly    = errors.New("read-only")               // a target that cannot be written
	ErrSectorSize  = errors.New("impossible sector size")
)

// InUseError is a device that something else uses. It wraps [ErrMounted],
// [ErrInUse] or [ErrSystemDisk].
type InUseError struct {
	Path string // as it was asked for
	Node string // the device in use: the same, or a partition of it, or the disk it is on
	By   string // what uses it: a mount point, "swap", the name of a holder; may be empty
	Err  error
}

func (e *InUseError) Error() string {
	s := e.Path + ": "
	if e.Node != e.Path {
		s += e.Node + " is "
	}
	s += e.Err.Error()
	if e.By != "" {
		s += " (" + e.By + ")"
	}
	return s
}

// Unwrap gives the kind.
func (e *InUseError) Unwrap() error { return e.Err }

// refusal gives an error of open(2) the word that callers decide by.
func refusal(path string, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return &InUseError{Path: path, Node: path, By: "held by the kernel or another program", Err: ErrInUse}
	case errors.Is(err, unix.ENOMEDIUM):
		return fmt.Errorf("%s: %w", path, ErrNoMedium)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s: %w", path, ErrReadOnly)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", ErrPermission, err)
	}
	return err
}
