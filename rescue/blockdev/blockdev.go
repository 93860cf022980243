// Package blockdev finds, describes and opens block devices, and the files that
// stand for them.
package blockdev

import (
	"context"
	"errors"
	"time"

	"salvor/rescue"
)

// Why a path is refused. [InUseError] says in detail what uses a device.
var (
	ErrMounted     = errors.New("mounted")                                   // a file system on it is in use
	ErrInUse       = errors.New("in use")                                    // swap, RAID, LVM, dm-crypt, or an exclusive opener
	ErrSystemDisk  = errors.New("holds the running system")                  // never a target
	ErrNotDisk     = errors.New("neither a block device nor a regular file") // directory, FIFO, character device
	ErrEmpty       = errors.New("empty")                                     // 0 bytes
	ErrTooSmall    = errors.New("smaller than one sector")                   //
	ErrNoMedium    = errors.New("no medium")                                 // an empty card reader or drive
	ErrPermission  = errors.New("permission denied")                         //
	ErrNotReadOnly = errors.New("cannot be set read-only")                   // BLKROSET refused or without effect
	ErrReadOnly    = errors.New("read-only")                                 // a target that cannot be written
)

// InUseError is a device that something else uses. It wraps [ErrMounted],
// [ErrInUse] or [ErrSystemDisk].
type InUseError struct {
	Path string // as it was asked for
	Node string // the device in use: the same, or a partition of it, or the disk it is on
	By   string // what uses it: a mount point, "swap", a holder's name
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

// Kind is what a path turned out to be.
type Kind uint8

// The kinds of source.
const (
	File      Kind = iota + 1 // a regular file
	Disk                      // a whole block device
	Partition                 // part of one
)

// String gives the kind in words.
func (k Kind) String() string {
	switch k {
	case File:
		return "file"
	case Disk:
		return "disk"
	case Partition:
		return "partition"
	}
	return "unknown"
}

// Identity says which device it is. What the device does not tell is empty.
// Model, serial and WWN are personal data as soon as the device is a customer's.
type Identity struct {
	Path       string // as it was asked for
	Name       string // the kernel's: "sda", "nvme0n1p2"; of a file, its base name
	Kind       Kind
	Vendor     string
	Model      string
	Serial     string
	WWN        string
	Transport  string // "sata", "usb", "nvme", "sas", "mmc", "virtio", "loop"
	Bytes      int64
	Sector     int // logical, bytes
	Physical   int // bytes
	Offset     int64
	Rotational bool
	Removable  bool
	ReadOnly   bool // write-protected before it was opened
}

// Options adjusts [Open].
type Options struct {
	// Sector is the sector size to assume for a regular file, which has none: 512
	// (the default) to 4096.
	Sector int
}

// Source is an open block device or regular file. It is a [rescue.Source].
type Source struct{}

// Open opens a block device or regular file for imaging.
func Open(path string, o Options) (*Source, Identity, error) { return nil, Identity{}, ErrNotDisk }

// ReadAt implements [rescue.Source].
func (s *Source) ReadAt(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result {
	return rescue.Result{}
}

// Info implements [rescue.Source].
func (s *Source) Info() rescue.Info { return rescue.Info{} }

// Close implements [rescue.Source].
func (s *Source) Close() error { return nil }

// Device is a disk of this machine.
type Device struct {
	Identity
	Use *InUseError // what uses it or a partition of it; nil when it is free
}

// List gives the disks of this machine, sorted by name; neither partitions nor
// devices without a medium.
func List() ([]Device, error) { return nil, nil }

// CheckTarget refuses a device that must not be written.
func CheckTarget(path string) (Identity, error) { return Identity{}, ErrNotDisk }

// Target is a block device open for writing.
type Target struct{}

// OpenTarget checks a device as [CheckTarget] does and opens it for writing, exclusively.
func OpenTarget(path string) (*Target, Identity, error) { return nil, Identity{}, ErrNotDisk }

// WriteAt implements io.WriterAt.
func (t *Target) WriteAt(p []byte, off int64) (int, error) { return 0, ErrNotDisk }

// ReadAt implements io.ReaderAt.
func (t *Target) ReadAt(p []byte, off int64) (int, error) { return 0, ErrNotDisk }

// Sync makes what was written durable and drops it from the page cache, so that
// what is read next comes from the medium.
func (t *Target) Sync() error { return nil }

// Close closes the device; Sync before.
func (t *Target) Close() error { return nil }
