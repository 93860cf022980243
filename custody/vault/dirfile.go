package vault

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A dirFile is a file of a [Dir]. Large aligned writes go past the page cache where the file system does that well:
// they cost half the processor time, leave the cache to others, and report their errors at once. Small ones go through
// the cache. An fsync of the one descriptor covers both, for it flushes the file, not the descriptor.
type dirFile struct {
	f       *os.File
	direct  *os.File    // the same file with O_DIRECT, or nil
	noDir   atomic.Bool // O_DIRECT was refused: use the cache
	media   bool        // opened to read the medium
	through atomic.Bool // something went through the cache
	bounces sync.Pool   // aligned buffers for reads that are not aligned themselves
}

const (
	alignment = blockSize
	minDirect = 64 << 10 // smaller writes are not worth a trip to the medium of their own
	bounce    = 1<<20 + alignment
)

// alignedBuffer returns n bytes that O_DIRECT accepts.
func alignedBuffer(n int) []byte {
	b := make([]byte, n+alignment)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (alignment - 1)
	return b[skip : skip+n : skip+n]
}

func aligned(p []byte, off int64) bool {
	return len(p) > 0 && off%alignment == 0 && len(p)%alignment == 0 && uintptr(unsafe.Pointer(&p[0]))%alignment == 0
}

// WriteAt implements io.WriterAt.
func (f *dirFile) WriteAt(p []byte, off int64) (int, error) {
	if f.direct == nil || f.noDir.Load() || len(p) < minDirect || !aligned(p, off) {
		f.through.Store(true)
		return f.f.WriteAt(p, off)
	}
	n := 0
	for n < len(p) {
		k := 0
		err := control(f.direct, func(fd int) (err error) {
			k, err = unix.Pwrite(fd, p[n:], off+int64(n))
			return err
		})
		if errors.Is(err, unix.EINVAL) && n == 0 {
			f.noDir.Store(true)
			return f.WriteAt(p, off)
		}
		if err != nil {
			return n, &os.PathError{Op: "write", Path: f.f.Name(), Err: err}
		}
		if k == 0 {
			return n, io.ErrShortWrite
		}
		n += k
		if n%alignment != 0 {
			// A short write that ends within a block: the cache finishes it.
			f.through.Store(true)
			m, err := f.f.WriteAt(p[n:], off+int64(n))
			return n + m, err
		}
	}
	return n, nil
}

// ReadAt implements io.ReaderAt.
func (f *dirFile) ReadAt(p []byte, off int64) (int, error) {
	if !f.media {
		return f.f.ReadAt(p, off)
	}
	n := 0
	for f.direct != nil && !f.noDir.Load() {
		if n == len(p) {
			return n, nil
		}
		k, err := f.readDirect(p[n:], off+int64(n))
		n += k
		if errors.Is(err, unix.EINVAL) {
			f.noDir.Store(true)
			break
		}
		if err != nil {
			return n, err
		}
	}
	if n == len(p) {
		return n, nil
	}
	first := off &^ (alignment - 1)
	_ = control(f.f, func(fd int) error {
		return unix.Fadvise(fd, first, padded(off+int64(len(p)))-first, unix.FADV_DONTNEED)
	})
	m, err := f.f.ReadAt(p[n:], off+int64(n))
	return n + m, err
}

// readDirect reads some of p past the cache.
func (f *dirFile) readDirect(p []byte, off int64) (int, error) {
	if aligned(p, off) {
		n, err := f.pread(p, off)
		if n == 0 && err == nil {
			err = io.EOF
		}
		return n, err
	}
	buf, ok := f.bounces.Get().(*[]byte)
	if !ok {
		b := alignedBuffer(bounce)
		buf = &b
	}
	defer f.bounces.Put(buf)
	skip := int(off % alignment)
	b := (*buf)[:min(int64(len(*buf)), padded(int64(skip+len(p))))]
	n, err := f.pread(b, off-int64(skip))
	if err != nil {
		return 0, err
	}
	if n <= skip {
		return 0, io.EOF
	}
	return copy(p, b[skip:n]), nil
}

func (f *dirFile) pread(p []byte, off int64) (n int, err error) {
	err = control(f.direct, func(fd int) (err error) {
		n, err = unix.Pread(fd, p, off)
		return err
	})
	if err != nil {
		if !errors.Is(err, unix.EINVAL) {
			err = &os.PathError{Op: "read", Path: f.f.Name(), Err: err}
		}
		return 0, err
	}
	return n, nil
}

// Sync implements [File].
func (f *dirFile) Sync() error { return flushError(f.f.Sync()) }

// Flushing implements [File].
func (f *dirFile) Flushing(off, n int64) {
	if !f.through.Load() {
		return
	}
	_ = control(f.f, func(fd int) error { return unix.SyncFileRange(fd, off, n, unix.SYNC_FILE_RANGE_WRITE) })
}

// DropCache implements [File].
func (f *dirFile) DropCache(off, n int64) {
	if !f.through.Load() {
		return
	}
	_ = control(f.f, func(fd int) error { return unix.Fadvise(fd, off, n, unix.FADV_DONTNEED) })
}

// Size implements [File].
func (f *dirFile) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Close implements [File].
func (f *dirFile) Close() error {
	err := f.f.Close()
	if f.direct != nil {
		err = errors.Join(err, f.direct.Close())
	}
	return err
}
