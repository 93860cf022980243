package blockdev

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A thread that waits in pread for a disk that hangs cannot be killed, and a process
// does not end before its last thread has: whoever pressed Ctrl-C would wait for the
// disk. A thread that waits for the answer of an io_uring can be: the kernel keeps the
// read and lets the process go.

// ring is an io_uring for one read at a time (io_uring(7)).
type ring struct {
	fd       int
	memory   []byte // both queues
	requests []byte // struct io_uring_sqe, one of 64 bytes
	tail     *uint32
	head     *uint32
	done     *uint32
	answers  unsafe.Pointer // struct io_uring_cqe, of 16 bytes
	mask     uint32         // of the answers
}

// ringParams is struct io_uring_params.
type ringParams struct {
	submissions, completions, flags, cpu, idle, features, workers uint32
	_                                                             [3]uint32
	sq                                                            struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

const (
	ringRequests   = 0x10000000 // IORING_OFF_SQES
	ringSingleMmap = 1          // IORING_FEAT_SINGLE_MMAP
	ringGetEvents  = 1          // IORING_ENTER_GETEVENTS
	ringRead       = 22         // IORING_OP_READ
)

// newRing fails where the kernel has none, before Linux 5.6, or forbids it.
func newRing() (*ring, error) {
	var p ringParams
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("io_uring_setup", errno)
	}
	r := &ring{fd: int(fd)}
	unix.CloseOnExec(r.fd)
	err := fmt.Errorf("io_uring of an old kernel: %w", unix.ENOSYS)
	if p.features&ringSingleMmap != 0 {
		size := max(p.sq.array+4*p.submissions, p.cq.cqes+16*p.completions)
		r.memory, err = unix.Mmap(r.fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	if err == nil {
		r.requests, err = unix.Mmap(r.fd, ringRequests, 64*int(p.submissions), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	at := func(off uint32) unsafe.Pointer { return unsafe.Pointer(&r.memory[off]) }
	r.tail, r.head, r.done = (*uint32)(at(p.sq.tail)), (*uint32)(at(p.cq.head)), (*uint32)(at(p.cq.tail))
	r.answers, r.mask = at(p.cq.cqes), *(*uint32)(at(p.cq.mask))
	*(*uint32)(at(p.sq.array)) = 0 // there is one request only
	return r, nil
}

// read is pread. A signal does not cut it short.
func (r *ring) read(fd int, p []byte, off int64) (int, error) {
	request := struct {
		opcode, flags uint8
		priority      uint16
		fd            int32
		off           int64
		addr          unsafe.Pointer
		len           uint32
		rw            uint32
		data          uint64
		_             [3]uint64
	}{opcode: ringRead, fd: int32(fd), off: off, addr: unsafe.Pointer(unsafe.SliceData(p)), len: uint32(len(p))}
	copy(r.requests, unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request)))
	atomic.AddUint32(r.tail, 1)
	submit := uintptr(1)
	for {
		n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), submit, 1, ringGetEvents, 0, 0)
		switch {
		case errno == 0:
			submit -= min(n, submit)
		case errno != unix.EINTR && errno != unix.EAGAIN && errno != unix.EBUSY:
			if submit > 0 {
				atomic.AddUint32(r.tail, ^uint32(0)) // it was not taken
			}
			return 0, errno
		}
		if head := atomic.LoadUint32(r.head); head != atomic.LoadUint32(r.done) {
			answer := *(*struct {
				data  uint64
				res   int32
				flags uint32
			})(unsafe.Add(r.answers, 16*(head&r.mask)))
			atomic.StoreUint32(r.head, head+1)
			runtime.KeepAlive(p)
			if answer.res < 0 {
				return 0, unix.Errno(-answer.res)
			}
			return int(answer.res), nil
		}
	}
}

// close is for when no read is under way.
func (r *ring) close() {
	if r.requests != nil {
		_ = unix.Munmap(r.requests)
	}
	if r.memory != nil {
		_ = unix.Munmap(r.memory)
	}
	_ = unix.Close(r.fd)
}

// rings lends them to the reads of one device.
type rings struct {
	free chan *ring
	none atomic.Bool // the kernel has none, or the device was closed
}

// keptRings is how many are kept for the next reads; more may be under way.
const keptRings = 8

func newRings() *rings { return &rings{free: make(chan *ring, keptRings)} }

// read is pread, of less perhaps than was asked for.
func (l *rings) read(f *os.File, p []byte, off int64) (n int, err error) {
	var r *ring
	select {
	case r = <-l.free:
	default:
		if !l.none.Load() {
			if r, err = newRing(); err != nil {
				l.none.Store(true)
			}
		}
	}
	err = control(f, func(fd int) (err error) {
		if r != nil {
			if n, err = r.read(fd, p, off); !errors.Is(err, unix.EINVAL) { // before Linux 5.6 it knows no such read
				return err
			}
			l.none.Store(true)
		}
		for {
			if n, err = unix.Pread(fd, p, off); !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	})
	if r == nil {
		return n, err
	}
	if !l.none.Load() {
		select {
		case l.free <- r:
			if l.none.Load() {
				l.close() // it was closed meanwhile
			}
			return n, err
		default:
		}
	}
	r.close()
	return n, err
}

// close gives back what is not in use; what is, ends with its read.
func (l *rings) close() {
	l.none.Store(true)
	for {
		select {
		case r := <-l.free:
			r.close()
		default:
			return
		}
	}
}
