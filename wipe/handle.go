package wipe

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"salvor/wipe/internal/kernel"
)

// step is one act of a run on the storage, as the tests see it.
type step struct {
	act  act
	name string // of the file, or of the block device
	off  int64
	len  int
}

type act string

const (
	actOpen     act = "open"
	actWrite    act = "write"
	actRead     act = "read"
	actRawRead  act = "raw read"
	actSync     act = "sync"
	actSyncDir  act = "sync directory"
	actRename   act = "rename"
	actTruncate act = "truncate"
	actUnlink   act = "unlink"
	actRmdir    act = "remove directory"
)

// errPretend, returned by a test's hook, makes an act report success without
// being done: what a lying disk does.
var errPretend = errors.New("pretend")

// before is called before every act on the storage. Tests put faults in there; it
// is nil otherwise.
type before func(step) error

func (b before) call(s step, do func() error) error {
	if b != nil {
		if err := b(s); err != nil {
			if errors.Is(err, errPretend) {
				return nil
			}
			return err
		}
	}
	return do()
}

// handle is an open file of the image, past the cache where the file system can.
type handle struct {
	*os.File
	name   string
	direct bool
	unit   int64 // smallest piece that can be written or read alone, bytes
	id     inode
	before before
	raw    bool // it is the block device
}

// openHandle opens a file for overwriting (write) or for reading back.
func (d *dir) openHandle(name string, write bool, b before) (*handle, error) {
	flags := unix.O_RDONLY
	if write {
		flags = unix.O_RDWR
	}
	h := &handle{name: name, direct: true, before: b}
	err := b.call(step{act: actOpen, name: name}, func() error {
		var err error
		h.File, h.id, err = d.open(name, flags|unix.O_DIRECT)
		if errors.Is(err, unix.EINVAL) {
			if h.File, h.id, err = d.open(name, flags); err == nil {
				h.buffered()
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if h.File == nil {
		return nil, fmt.Errorf("open %s: %w", name, ErrVanished)
	}
	h.unit = max(512, int64(h.id.align))
	return h, nil
}

// openRaw opens the block device under a place.
func (s *site) openRaw(dev uint64, b before) (*handle, error) {
	h := &handle{name: s.Device, direct: true, raw: true, before: b}
	err := b.call(step{act: actOpen, name: s.Device}, func() error {
		var err error
		h.File, err = openNode(s.node, dev)
		return err
	})
	if err != nil {
		return nil, err
	}
	size, err := unix.IoctlGetInt(int(h.Fd()), unix.BLKSSZGET)
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("ask %s for its sector size: %w", s.Device, err)
	}
	h.unit = max(512, int64(size))
	return h, nil
}

func (h *handle) write(p []byte, off int64) error {
	return h.before.call(step{actWrite, h.name, off, len(p)}, func() error {
		_, err := h.WriteAt(p, off)
		if errors.Is(err, unix.EINVAL) && h.undirect() {
			_, err = h.WriteAt(p, off)
		}
		return err
	})
}

// read fills p and returns how much of it there was. Less than all of it is an
// error, io.EOF behind the end of the file.
func (h *handle) read(p []byte, off int64) (n int, err error) {
	a := actRead
	if h.raw {
		a = actRawRead
	}
	err = h.before.call(step{a, h.name, off, len(p)}, func() error {
		n, err = h.ReadAt(p, off)
		if errors.Is(err, unix.EINVAL) && h.undirect() {
			n, err = h.ReadAt(p, off)
		}
		return err
	})
	return n, err
}

// undirect gives up direct I/O on a file system that lets a file be opened for it
// and then refuses. It reports whether another try makes sense.
func (h *handle) undirect() bool {
	if !h.direct || h.raw {
		return false
	}
	flags, err := unix.FcntlInt(h.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return false
	}
	if _, err := unix.FcntlInt(h.Fd(), unix.F_SETFL, flags&^unix.O_DIRECT); err != nil {
		return false
	}
	h.buffered()
	return true
}

// buffered: what is read comes through the cache. Reading ahead is switched off,
// since it cannot be told from what the cache held before.
func (h *handle) buffered() {
	h.direct = false
	_ = unix.Fadvise(int(h.Fd()), 0, 0, unix.FADV_RANDOM)
}

// flush makes what was written durable. Content is enough, except at the end of
// a file, where its new size counts as well.
func (h *handle) flush(contentOnly bool) error {
	return h.before.call(step{act: actSync, name: h.name}, func() error {
		var err error
		for {
			if contentOnly {
				err = unix.Fdatasync(int(h.Fd()))
			} else {
				err = unix.Fsync(int(h.Fd()))
			}
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if noFlush(err) {
			return nil
		}
		return err
	})
}

// noFlush: the file system cannot flush. Then nothing can be waited for, and the
// reading back has to show what is there.
func noFlush(err error) bool {
	return errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL)
}

// cold drops the file from the cache and reports whether a range is out of it.
func (h *handle) cold(off, n int64) bool {
	_ = unix.Fadvise(int(h.Fd()), off, n, unix.FADV_DONTNEED)
	page := int64(os.Getpagesize())
	first := off / page * page
	length := roundUp(off+n, page) - first
	if h.id.size == 0 || first >= h.id.size {
		return true
	}
	m, err := unix.Mmap(int(h.Fd()), first, int(length), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Munmap(m) }()
	resident := make([]byte, length/page)
	if err := mincore(m, resident); err != nil {
		return false
	}
	for _, r := range resident {
		if r&1 != 0 {
			return false
		}
	}
	return true
}

// explain puts the sentinel of an error's kind into its chain; the errno stays.
func explain(err error) error {
	switch kernel.Sort(err) {
	case kernel.Full:
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case kernel.Sealed:
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case kernel.Vanished:
		return fmt.Errorf("%w: %w", ErrVanished, err)
	}
	return err
}
