package blockdev

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"salvor/rescue"
)

// direct reads by pread: a device past the page cache, a regular file through it.
// Nothing can interrupt a read, and the kernel itself repeats what fails, as often
// and for as long as it is set to.
type direct struct {
	f        *os.File
	rings    *rings // of a device
	file     bool
	bytes    int64 // of the source
	sector   int
	stumbled atomic.Bool // a read has failed
}

// narrow is the size up to which a read of a file is taken for a second look: what
// the page cache has of it is dropped first, so that the medium is asked and not memory.
const narrow = 64 << 10

// directAlign is what every O_DIRECT device is content with.
const directAlign = 4096

// read reads whole sectors. A buffer that is not page-aligned costs a copy.
func (d *direct) read(_ context.Context, p []byte, sector int64, _ time.Duration) rescue.Result {
	off := sector * int64(d.sector)
	buf := p
	if !d.file && uintptr(unsafe.Pointer(unsafe.SliceData(p)))%directAlign != 0 {
		whole := make([]byte, len(p)+directAlign)
		skip := directAlign - int(uintptr(unsafe.Pointer(unsafe.SliceData(whole)))%directAlign)
		buf = whole[skip : skip+len(p)]
	}
	want := min(int64(len(p)), d.bytes-off)
	if d.file && want <= narrow {
		d.advise(off, want, unix.FADV_DONTNEED)
	}
	n, err := d.readAt(buf[:want], off)
	if &buf[0] != &p[0] {
		copy(p, buf[:n])
	}
	if int64(n) == want {
		clear(p[want:])
		return rescue.Result{Good: int64(len(p) / d.sector), Fail: -1}
	}
	if d.file && d.stumbled.CompareAndSwap(false, true) {
		d.advise(0, 0, unix.FADV_RANDOM) // read-ahead would run into what is bad
	}
	if errors.Is(err, io.EOF) {
		return failed(int64(n/d.sector), rescue.HostError, errEnd)
	}
	return failed(int64(n/d.sector), classify(err), err)
}

// readAt reads all of p, up to the end or an error.
func (d *direct) readAt(p []byte, off int64) (n int, err error) {
	if d.rings == nil {
		return d.f.ReadAt(p, off)
	}
	for n < len(p) {
		k, err := d.rings.read(d.f, p[n:], off+int64(n))
		if err != nil {
			return n, &os.PathError{Op: "read", Path: d.f.Name(), Err: err}
		}
		if k == 0 {
			return n, io.EOF
		}
		n += k
	}
	return n, nil
}

// advise tells the page cache what is coming. It is only advice.
func (d *direct) advise(off, n int64, advice int) {
	_ = control(d.f, func(fd int) error { return unix.Fadvise(fd, off, n, advice) })
}

// errEnd is a source that delivers nothing before its end.
var errEnd = errors.New("no data before the end")

func failed(good int64, c rescue.Class, err error) rescue.Result {
	return rescue.Result{Good: good, Class: c, Err: err, Fail: -1}
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
