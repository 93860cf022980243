package device

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"salvor/rescue/blockdev/sysblock"
)

// Look describes the device at path as far as that goes without opening it, and says
// with a [RefusedError] why it may not be wiped. keep are files and directories, the
// ledger's and the vaults', whose disks are refused. Nothing is changed.
func Look(path string, keep []string) (Identity, error) {
	id, _, err := this().look(path, keep)
	return id, err
}

// Find returns the path of the device that id describes, wherever it is attached now.
// It fails with [ErrVanished] while it is not there.
func Find(id Identity) (string, error) { return this().findAgain(id) }

func (h host) findAgain(id Identity) (string, error) {
	for _, n := range h.Disks() {
		if n.Bytes() == 0 || h.Serial(n) != id.Serial {
			continue
		}
		if at := h.describe(n); at.Same(id) {
			return h.Path(n.Name), nil
		}
	}
	return "", fmt.Errorf("%s: %w", id.Name, ErrVanished)
}

// Device is a device that is held: nobody else can mount it, swap to it, or build a
// volume on it, and udev leaves it alone.
type Device struct {
	id     Identity
	path   string
	f      *os.File
	h      host
	n      sysblock.Node
	pass   speaker
	plain  bool   // it is only read, and may be a file
	before before // tests only
}

// Open checks a device as [Look] does and holds it until Close. Then it asks the drive
// itself who it is and what it can do.
func Open(path string, keep []string) (*Device, error) { return this().open(path, keep) }

func (h host) open(path string, keep []string) (*Device, error) {
	id, n, err := h.look(path, keep)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_EXCL|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, opening(path, &os.PathError{Op: "open", Path: path, Err: err})
	}
	d := &Device{id: id, path: path, f: os.NewFile(uintptr(fd), path), h: h, n: n}
	if err := d.hold(); err != nil {
		d.f.Close()
		return nil, err
	}
	return d, nil
}

func (d *Device) hold() error {
	// udev holds a shared lock for the moment in which it probes a device; who locks
	// it exclusively is another program that works on it.
	if err := unix.Flock(int(d.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return &RefusedError{Path: d.path, By: "locked by another program", Err: ErrInUse}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(d.f.Fd()), &st); err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK || sysblock.Dev(st.Rdev) != d.n.Dev {
		return fmt.Errorf("%s: %w", d.path, ErrOther)
	}
	// The name of what a loop device stands on may be one of another container.
	if st, err := unix.IoctlLoopGetStatus64(int(d.f.Fd())); err == nil && d.id.Transport == "loop" && st.Rdevice != 0 {
		return &RefusedError{Path: d.path, By: sysblock.Dev(st.Rdevice), Err: ErrVolume}
	}
	size, sector, err := geometry(d.f)
	if err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	if size == 0 {
		return &RefusedError{Path: d.path, Err: ErrEmpty}
	}
	if size != d.id.Bytes || sector != d.id.Sector {
		return fmt.Errorf("%s: its size changed: %w", d.path, ErrOther)
	}
	if sector < 512 || sector&(sector-1) != 0 || sector > 64<<10 || size%int64(sector) != 0 {
		return fmt.Errorf("%s: sectors of %d bytes: %w", d.path, sector, ErrNotDevice)
	}
	if d.id.Seq, err = sequence(d.f); err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	d.pass = ioctls{d.f}
	d.interview()
	return nil
}

// Identity says which device it is.
func (d *Device) Identity() Identity { return d.id }

// Close lets the device go.
func (d *Device) Close() error { return d.f.Close() }

// geometry asks an open device for its size and its logical sector, in bytes.
func geometry(f *os.File) (size int64, sector int, err error) {
	n, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKGETSIZE64)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for its size: %w", err)
	}
	s, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKSSZGET)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for its sector size: %w", err)
	}
	return int64(n), s & 0xFFFFFFFF, nil // the second comes as a C int
}

const blkGetDiskSeq = 0x80081280 // _IOR(0x12, 128, __u64), Linux 5.15

// sequence asks for the number that the kernel gave this attachment of a device; 0
// from a kernel that counts none.
func sequence(f *os.File) (uint64, error) {
	var seq uint64
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), blkGetDiskSeq, uintptr(unsafe.Pointer(&seq)))
	switch errno {
	case 0:
		return seq, nil
	case unix.ENOTTY, unix.EINVAL:
		return 0, nil
	}
	return 0, fmt.Errorf("ask for its sequence number: %w", errno)
}

// still makes sure that the open device is there and is the one that was opened.
// It fails with [ErrVanished] or [ErrOther].
func (d *Device) still() error {
	return d.before.call(step{act: actCheck}, func() error {
		if d.plain {
			size, err := length(d.f)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrVanished, err)
			}
			if size != d.id.Bytes {
				return fmt.Errorf("it has %d bytes, not %d: %w", size, d.id.Bytes, ErrOther)
			}
			return nil
		}
		size, sector, err := geometry(d.f)
		if err != nil || size == 0 {
			return fmt.Errorf("%w: %w", ErrVanished, errors.Join(err))
		}
		if size != d.id.Bytes || sector != d.id.Sector {
			return fmt.Errorf("its size changed: %w", ErrOther)
		}
		seq, err := sequence(d.f)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrVanished, err)
		}
		if seq != d.id.Seq {
			return fmt.Errorf("its sequence number is %d, not %d: %w", seq, d.id.Seq, ErrOther)
		}
		if _, err := os.Stat(filepath.Join(d.n.Dir, "dev")); err != nil {
			return fmt.Errorf("%w: %w", ErrVanished, err)
		}
		return nil
	})
}

// reread asks once more who the open device is, through its descriptor: by its device
// number and sequence number in /sys, and, where it answers, the drive itself; and that
// nobody else writes to it.
func (d *Device) reread() error {
	if err := d.still(); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(d.f.Fd()), &st); err != nil {
		return err
	}
	n, err := d.h.Node(sysblock.Dev(st.Rdev))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrVanished, err)
	}
	if seq := n.Seq(); seq > 0 && uint64(seq) != d.id.Seq {
		return fmt.Errorf("%s has sequence number %d, not %d: %w", n.Name, seq, d.id.Seq, ErrOther)
	}
	if s := d.h.Serial(n); s != d.id.Serial || n.Name != d.id.Name {
		return fmt.Errorf("its serial number is not the same any more: %w", ErrOther)
	}
	if s, ok := d.ownSerial(); ok && s != d.id.Serial {
		return fmt.Errorf("the drive itself says another serial number than the system does: %w", ErrOther)
	}
	return d.alone()
}

// alone makes sure that nobody else has the device open for writing: see notWritten.
func (d *Device) alone() error {
	return d.before.call(step{act: actAlone}, func() error {
		if d.plain {
			return nil
		}
		return d.h.notWritten(d.path, d.n)
	})
}

func (d *Device) write(p []byte, off int64) error {
	return d.before.call(step{actWrite, off, int64(len(p))}, func() error {
		_, err := d.f.WriteAt(p, off)
		return err
	})
}

func (d *Device) read(p []byte, off int64) error {
	return d.before.call(step{actRead, off, int64(len(p))}, func() error {
		_, err := d.f.ReadAt(p, off)
		if errors.Is(err, io.EOF) {
			// An unplugged device answers with nothing and no error.
			if gone := d.still(); gone != nil {
				return gone
			}
		}
		return err
	})
}

func (d *Device) flush() error {
	return d.before.call(step{act: actFlush}, func() error {
		for {
			if err := unix.Fdatasync(int(d.f.Fd())); !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	})
}

// discard tells the device that nothing on it is needed.
func (d *Device) discard() error {
	return d.before.call(step{act: actDiscard}, func() error {
		span := [2]uint64{0, uint64(d.id.Bytes)}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, d.f.Fd(), unix.BLKDISCARD, uintptr(unsafe.Pointer(&span)))
		if errno != 0 {
			return errno
		}
		return nil
	})
}

// forget drops the kernel's idea of partitions that are no longer there.
func (d *Device) forget() { _ = unix.IoctlSetInt(int(d.f.Fd()), unix.BLKRRPART, 0) }

// step is one act of a run on the device, as the tests see it.
type step struct {
	act      act
	off, len int64
}

type act string

const (
	actWrite   act = "write"
	actRead    act = "read"
	actFlush   act = "flush"
	actCheck   act = "check"
	actAlone   act = "alone"
	actDiscard act = "discard"
	actSave    act = "save"
)

// errPretend, returned by a test's hook, makes an act report success without being
// done: what a lying disk does.
var errPretend = errors.New("pretend")

// before is called before every act on the device. Tests put faults in there; it is
// nil otherwise.
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
