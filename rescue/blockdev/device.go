package blockdev

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue/blockdev/sysblock"
)

// find says what path is: a node of sysfs for a block device, or a regular file.
func (h host) find(path string) (n sysblock.Node, file os.FileInfo, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return sysblock.Node{}, nil, refusal(path, err)
	}
	switch mode := st.Mode(); {
	case mode.IsRegular():
		return sysblock.Node{}, st, nil
	case mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0:
		dev, ok := sysblock.DevAt(path)
		if !ok {
			return sysblock.Node{}, nil, fmt.Errorf("%s: %w", path, ErrNotDisk)
		}
		n, err := h.Node(dev)
		return n, nil, err
	}
	return sysblock.Node{}, nil, fmt.Errorf("%s: %w", path, ErrNotDisk)
}

// hold opens a block device exclusively: from here on nobody can mount it, swap to
// it or build a volume on it. It makes sure that path still is the device that was
// asked about.
func hold(path string, n sysblock.Node, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, refusal(path, err)
	}
	var st unix.Stat_t
	err = control(f, func(fd int) error { return unix.Fstat(fd, &st) })
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFBLK || sysblock.Dev(st.Rdev) != n.Dev) {
		err = errors.New("another device than a moment ago")
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

const (
	// letGo is how long a device may still be held by a process that has ended: the kernel
	// closes it behind its last reads.
	letGo = 2 * time.Second
	// letGoPoll is how often it is tried meanwhile.
	letGoPoll = 50 * time.Millisecond
)

// holdSoon is hold, again and again for a while when something holds the device; without
// after it is tried once.
func holdSoon(path string, n sysblock.Node, flags int, after func(time.Duration) <-chan time.Time) (*os.File, error) {
	for waited := time.Duration(0); ; waited += letGoPoll {
		f, err := hold(path, n, flags)
		if after == nil || waited >= letGo || !errors.Is(err, ErrInUse) {
			return f, err
		}
		<-after(letGoPoll)
	}
}

// control runs fn on the descriptor. Unlike os.File.Fd it keeps the file open for
// the time of fn, whatever else is going on.
func control(f *os.File, fn func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// ask is an ioctl that answers with a number.
func ask(f *os.File, what uint) (n int64, err error) {
	err = control(f, func(fd int) error {
		v, err := unix.IoctlGetInt(fd, what)
		n = int64(v)
		return err
	})
	return n, err
}

// geometry asks an open device for its sizes, which it knows better than sysfs.
func geometry(f *os.File, id *Identity) error {
	size, err := ask(f, unix.BLKGETSIZE64)
	if err != nil {
		return fmt.Errorf("%s: ask for its size: %w", id.Path, err)
	}
	sector, err := ask(f, unix.BLKSSZGET)
	if err != nil {
		return fmt.Errorf("%s: ask for its sector size: %w", id.Path, err)
	}
	physical, err := ask(f, unix.BLKPBSZGET)
	if err != nil {
		physical = sector
	}
	// These two come as C ints: the upper half is not theirs.
	sector, physical = sector&0xFFFFFFFF, physical&0xFFFFFFFF
	if sector < 512 || sector&(sector-1) != 0 || sector > 64<<10 {
		return fmt.Errorf("%s: %d bytes: %w", id.Path, sector, ErrSectorSize)
	}
	if physical < sector || physical%sector != 0 || physical > 64<<10 {
		physical = sector // a bridge that makes it up
	}
	id.Bytes, id.Sector, id.Physical = size, int(sector), int(physical)
	id.Offset = 0
	if off, err := ask(f, unix.BLKALIGNOFF); err == nil && int32(off) > 0 {
		id.Offset = int64(int32(off)) / sector
	}
	switch {
	case size == 0:
		return fmt.Errorf("%s: %w", id.Path, ErrEmpty)
	case size < sector:
		return fmt.Errorf("%s: %w", id.Path, ErrTooSmall)
	}
	return nil
}

// readOnly sets the kernel's read-only flag of an open device and looks whether it
// is set. changed says that it was not before.
func readOnly(f *os.File) (changed bool, err error) {
	was, err := ask(f, unix.BLKROGET)
	if err != nil {
		return false, fmt.Errorf("ask for the read-only flag: %w", err)
	}
	if int32(was) != 0 {
		return false, nil
	}
	if err := setReadOnly(f, 1); err != nil {
		return false, err
	}
	is, err := ask(f, unix.BLKROGET)
	if err != nil {
		return true, fmt.Errorf("ask for the read-only flag: %w", err)
	}
	if int32(is) == 0 {
		return true, errors.New("the read-only flag does not stay set")
	}
	return true, nil
}

func setReadOnly(f *os.File, value int) error {
	err := control(f, func(fd int) error { return unix.IoctlSetPointerInt(fd, unix.BLKROSET, value) })
	if err != nil {
		return fmt.Errorf("set the read-only flag to %d: %w", value, err)
	}
	return nil
}
