package blockdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"salvor/rescue/blockdev/sysblock"
)

// CheckTarget refuses a device that must not be written: one in use, or that another
// process writes to, or of which either is true of a partition, or on a disk of the running
// system, though that part of it be free ([InUseError]); one that is read-only
// ([ErrReadOnly]); anything but a block device ([ErrNotDisk]). The device is not opened.
func CheckTarget(path string) (Identity, error) {
	id, _, err := this().target(path)
	return id, err
}

func (h host) target(path string) (Identity, sysblock.Node, error) {
	n, file, err := h.find(path)
	if err != nil {
		return Identity{}, sysblock.Node{}, err
	}
	if file != nil {
		return Identity{}, sysblock.Node{}, fmt.Errorf("%s: a regular file: %w", path, ErrNotDisk)
	}
	system, err := h.System()
	if err != nil {
		return Identity{}, sysblock.Node{}, err
	}
	if slices.Contains(system.Disks, n.Disk) {
		return Identity{}, sysblock.Node{}, &InUseError{Path: path, Node: path, Err: ErrSystemDisk}
	}
	if use, err := h.use(path, n); err != nil {
		return Identity{}, sysblock.Node{}, err
	} else if use != nil {
		return Identity{}, sysblock.Node{}, use
	}
	if below := n.BackingDevice(); below != "" {
		// What uses a disk is not seen at a loop device that stands on it.
		return Identity{}, sysblock.Node{}, &InUseError{Path: path, Node: path, By: "a loop device that stands on " + below, Err: ErrInUse}
	}
	// The exclusive open keeps nobody away who writes to it already. Only root sees all of
	// them; to anybody else they are not known, as they are not to the kernel's lock.
	switch writer, err := h.Writer(family(n)); {
	case errors.Is(err, fs.ErrPermission):
	case err != nil:
		return Identity{}, sysblock.Node{}, err
	case writer != nil:
		return Identity{}, sysblock.Node{}, &InUseError{Path: path, Node: path, By: writer.String(), Err: ErrInUse}
	}
	id := h.describe(n)
	id.Path = path
	switch {
	case id.Bytes == 0:
		return Identity{}, sysblock.Node{}, fmt.Errorf("%s: %w", path, ErrEmpty)
	case id.ReadOnly || sysblock.Number(n.DiskDir(), "ro") == 1:
		return Identity{}, sysblock.Node{}, fmt.Errorf("%s: %w", path, ErrReadOnly)
	}
	return id, n, nil
}

// Target is a block device open for writing.
type Target struct {
	f  *os.File
	id Identity
}

// OpenTarget checks a device as [CheckTarget] does and opens it for writing, held
// exclusively until Close.
func OpenTarget(path string) (*Target, Identity, error) {
	id, n, err := this().target(path)
	if err != nil {
		return nil, Identity{}, err
	}
	f, err := hold(path, n, os.O_RDWR)
	if err != nil {
		return nil, Identity{}, err
	}
	t := &Target{f: f, id: id}
	if err := geometry(f, &t.id); err != nil {
		return nil, Identity{}, errors.Join(err, f.Close())
	}
	return t, t.id, nil
}

// WriteAt implements [io.WriterAt]. What it wrote is safe after Sync.
func (t *Target) WriteAt(p []byte, off int64) (int, error) { return t.f.WriteAt(p, off) }

// ReadAt implements [io.ReaderAt].
func (t *Target) ReadAt(p []byte, off int64) (int, error) { return t.f.ReadAt(p, off) }

// Sync makes what was written durable and drops it from the page cache, so that what
// is read next comes from the device. An error is final: what was written before it
// may be lost, whatever a second Sync says.
func (t *Target) Sync() error {
	if err := t.f.Sync(); err != nil {
		return err
	}
	// BLKFLSBUF writes back and forgets the device's pages; its argument is not used.
	if err := control(t.f, func(fd int) error { return unix.IoctlSetInt(fd, unix.BLKFLSBUF, 0) }); err != nil {
		return fmt.Errorf("%s: drop its page cache: %w", t.id.Path, err)
	}
	return nil
}

// Close closes the device. Sync before.
func (t *Target) Close() error { return t.f.Close() }
