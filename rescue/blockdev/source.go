package blockdev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"salvor/rescue"
)

// Options adjusts [Open].
type Options struct {
	// Sector is the sector size to assume for a regular file, which has none: a power
	// of two from 512 (the default) to 4096.
	Sector int
}

// Source is an open block device or regular file. It is a [rescue.Source].
//
// It reads with pread, which nothing can interrupt: a read that hangs ends when the
// kernel gives it up, and ReadAt ignores the deadline.
type Source struct {
	f         *os.File
	id        Identity
	unprotect bool        // the read-only flag was ours
	stumbled  atomic.Bool // a read has failed
}

// Open opens a block device or regular file for imaging.
//
// A block device must be unused: not mounted, no swap, no holders, nor any partition
// of it, nor the disk it is a partition of ([InUseError]). It is held exclusively,
// its read-only flag is set until Close ([ErrNotReadOnly] when that needs root), and
// it is read past the page cache. A process that is killed leaves the flag set: it is
// cleared by `blockdev --setrw` or by plugging the device in again.
//
// A regular file must not be the backing of a loop device that is in use. It is read
// through the page cache, in sectors of [Options.Sector].
//
// Other refusals: [ErrNotDisk], [ErrEmpty], [ErrTooSmall], [ErrNoMedium], [ErrPermission].
func Open(path string, o Options) (*Source, Identity, error) { return this().open(path, o) }

func (h host) open(path string, o Options) (*Source, Identity, error) {
	n, file, err := h.find(path)
	if err != nil {
		return nil, Identity{}, err
	}
	var s *Source
	if file != nil {
		s, err = h.openFile(path, file, o)
	} else {
		s, err = h.openDevice(path, n)
	}
	if err != nil {
		return nil, Identity{}, err
	}
	return s, s.id, nil
}

func (h host) openDevice(path string, n node) (*Source, error) {
	if use, err := h.use(path, n); err != nil {
		return nil, err
	} else if use != nil {
		return nil, use
	}
	f, err := hold(path, n, os.O_RDONLY|unix.O_DIRECT)
	if err != nil {
		return nil, err
	}
	s := &Source{f: f, id: h.describe(n)}
	s.id.Path = path
	if s.unprotect, err = readOnly(f); err != nil {
		err = fmt.Errorf("%s: %w: %w", path, ErrNotReadOnly, err)
	} else {
		err = geometry(f, &s.id)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (h host) openFile(path string, found os.FileInfo, o Options) (*Source, error) {
	sector := o.Sector
	if sector == 0 {
		sector = 512
	}
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 {
		return nil, fmt.Errorf("%d bytes: %w", sector, ErrSectorSize)
	}
	switch size := found.Size(); {
	case size == 0:
		return nil, fmt.Errorf("%s: %w", path, ErrEmpty)
	case size < int64(sector):
		return nil, fmt.Errorf("%s: %w", path, ErrTooSmall)
	}
	if use, err := h.loopUse(path, found); err != nil {
		return nil, err
	} else if use != nil {
		return nil, use
	}
	// O_NONBLOCK: should it have become a FIFO, do not wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, refusal(path, err)
	}
	st, err := f.Stat()
	if err == nil && !os.SameFile(found, st) {
		err = fmt.Errorf("%s: another file than a moment ago", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := &Source{f: f, id: Identity{
		Path: path, Name: filepath.Base(path), Kind: File,
		Bytes: st.Size(), Sector: sector, Physical: sector,
	}}
	s.advise(0, 0, unix.FADV_SEQUENTIAL)
	return s, nil
}

// loopUse says whether a file is behind a loop device that is in use.
func (h host) loopUse(path string, file os.FileInfo) (*InUseError, error) {
	loops, err := filepath.Glob(filepath.Join(h.sys, "block/loop*/loop/backing_file"))
	if err != nil {
		return nil, fmt.Errorf("look for loop devices: %w", err)
	}
	for _, l := range loops {
		b, err := os.ReadFile(l)
		if err != nil || len(b) < 2 {
			continue // detached meanwhile
		}
		back, err := os.Stat(string(b[:len(b)-1]))
		if err != nil || !os.SameFile(back, file) {
			continue
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(filepath.Dir(l)))
		if err != nil {
			continue
		}
		if use, err := h.use(path, nodeAt(dir)); err != nil {
			return nil, err
		} else if use != nil {
			if use.Node == path {
				use.Node = devPath(filepath.Base(dir))
			}
			return use, nil
		}
	}
	return nil, nil
}

// advise tells the page cache what is coming. It is only advice.
func (s *Source) advise(off, n int64, advice int) {
	_ = control(s.f, func(fd int) error { return unix.Fadvise(fd, off, n, advice) })
}

// Info implements [rescue.Source].
func (s *Source) Info() rescue.Info { return s.id.Info() }

// Close puts the read-only flag back as it was and closes the source. A read that
// hangs keeps the descriptor until it ends; Close does not wait for it.
func (s *Source) Close() error {
	var err error
	if s.unprotect {
		if err = setReadOnly(s.f, 0); err != nil {
			err = fmt.Errorf("%s: %w", s.id.Path, err)
		}
	}
	return errors.Join(err, s.f.Close())
}

// narrow is the size up to which a read is taken for a second look: what the page
// cache has of it is dropped first, so that the medium is asked and not memory.
const narrow = 64 << 10

// directAlign is what every O_DIRECT device is content with.
const directAlign = 4096

// ReadAt implements [rescue.Source]. A buffer that is not page-aligned costs a copy.
func (s *Source) ReadAt(ctx context.Context, p []byte, sector int64, _ time.Duration) rescue.Result {
	size := int64(s.id.Sector)
	off := sector * size
	switch {
	case ctx.Err() != nil:
		return failed(0, rescue.Timeout, ctx.Err())
	case sector < 0 || len(p) == 0 || int64(len(p))%size != 0 || off > s.id.Bytes || int64(len(p)) > (s.id.Bytes+size-1)/size*size-off:
		return failed(0, rescue.HostError, fmt.Errorf("read of %d bytes from sector %d: %w", len(p), sector, unix.EINVAL))
	}
	buf := p
	if s.id.Kind != File && uintptr(unsafe.Pointer(unsafe.SliceData(p)))%directAlign != 0 {
		whole := make([]byte, len(p)+directAlign)
		skip := directAlign - int(uintptr(unsafe.Pointer(unsafe.SliceData(whole)))%directAlign)
		buf = whole[skip : skip+len(p)]
	}
	want := min(int64(len(p)), s.id.Bytes-off)
	if s.id.Kind == File && want <= narrow {
		s.advise(off, want, unix.FADV_DONTNEED)
	}
	n, err := s.f.ReadAt(buf[:want], off)
	if &buf[0] != &p[0] {
		copy(p, buf[:n])
	}
	if int64(n) == want {
		clear(p[want:])
		return rescue.Result{Good: int64(len(p)) / size, Fail: -1}
	}
	if s.stumbled.CompareAndSwap(false, true) && s.id.Kind == File {
		s.advise(0, 0, unix.FADV_RANDOM) // read-ahead would run into what is bad
	}
	class, err := s.diagnose(err)
	return failed(int64(n)/size, class, err)
}

func failed(good int64, c rescue.Class, err error) rescue.Result {
	return rescue.Result{Good: good, Class: c, Err: err, Fail: -1}
}

// errEnd is a source that delivers nothing before its end.
var errEnd = errors.New("no data before the end")

// diagnose says what a failed read means. Linux reads an unplugged disk as 0 bytes
// of a device of size 0, at most once after ENODEV: so the size is asked before the
// errno is believed, and an end before the end is never the end.
func (s *Source) diagnose(err error) (rescue.Class, error) {
	now, sizeErr := s.size()
	switch {
	case sizeErr != nil:
		return rescue.Gone, fmt.Errorf("%w; ask for its size: %w", err, sizeErr)
	case now == 0:
		return rescue.Gone, fmt.Errorf("%w; its size is now 0", err)
	case now != s.id.Bytes:
		return rescue.SizeChanged, fmt.Errorf("%w; its size was %d bytes and is %d", err, s.id.Bytes, now)
	case errors.Is(err, io.EOF):
		return rescue.HostError, errEnd
	}
	return classify(err), err
}

func (s *Source) size() (int64, error) {
	if s.id.Kind == File {
		st, err := s.f.Stat()
		if err != nil {
			return 0, err
		}
		return st.Size(), nil
	}
	return ask(s.f, unix.BLKGETSIZE64)
}

// classify gives the class of an errno. The block layer turns a medium error into
// ENODATA under O_DIRECT on SCSI, USB and NVMe, and into EIO elsewhere; on the
// former EIO is a command that was aborted after the kernel's own retries, which the
// errno alone does not tell apart.
func classify(err error) rescue.Class {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return rescue.HostError
	}
	switch errno {
	case unix.EIO, unix.ENODATA, unix.EILSEQ, unix.EUCLEAN:
		return rescue.Medium
	case unix.ETIMEDOUT, unix.ETIME:
		return rescue.Timeout
	case unix.ENODEV, unix.ENXIO, unix.ESHUTDOWN, unix.ESTALE, unix.ENOTCONN:
		return rescue.Gone
	case unix.ENOMEDIUM:
		return rescue.NotReady
	case unix.EMEDIUMTYPE:
		return rescue.NotReady
	}
	return rescue.HostError
}
