package wipe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// dir is a directory held open, so that renaming or mounting over it cannot lead
// a run astray: all its files are reached by one plain name from this
// descriptor, and none is ever followed as a symbolic link.
type dir struct {
	f      *os.File
	id     inode
	unborn bool // times of birth mean nothing here
}

// inode is what tells a file from every other one. An inode number alone is used
// again soon after its file is gone; the time of birth is not.
type inode struct {
	number uint64
	birth  int64 // ns since 1970; 0 when the file system does not say
	dev    uint64
	mount  uint64
	change int64 // time of the last change of content, size or names, ns since 1970
	size   int64
	links  uint32
	mode   uint16
	align  int // offsets and lengths of direct I/O, bytes; 0 when not known
}

func (i inode) regular() bool { return i.mode&unix.S_IFMT == unix.S_IFREG }

// openDir walks from root to name, one component after the other, and refuses
// whatever is not a plain directory. os.Root alone would follow symbolic links
// that stay below it.
func openDir(root *os.Root, name string) (*dir, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(name, "/") {
		fd, err := unix.Openat(int(f.Fd()), part, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		f.Close()
		switch {
		case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
			return nil, fmt.Errorf("%s: a component is not a plain directory: %w", name, ErrChanged)
		case err != nil:
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		f = os.NewFile(uintptr(fd), name)
	}
	d := &dir{f: f}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err == nil {
		// An overlay shows the birth of the upper copy, and makes that copy when a
		// file is opened for writing.
		d.unborn = st.Type == unix.OVERLAYFS_SUPER_MAGIC
	}
	if d.id, err = d.statx(f, "", unix.AT_EMPTY_PATH); err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

func (d *dir) close() {
	if d != nil {
		d.f.Close()
	}
}

// names lists the directory afresh.
func (d *dir) names() ([]string, error) {
	fd, err := unix.Openat(int(d.f.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: d.f.Name(), Err: err}
	}
	f := os.NewFile(uintptr(fd), d.f.Name())
	defer f.Close()
	return f.Readdirnames(-1)
}

func (d *dir) stat(name string) (inode, error) {
	return d.statx(d.f, name, unix.AT_SYMLINK_NOFOLLOW)
}

// open opens a file of the directory and says what it opened.
func (d *dir) open(name string, flags int) (*os.File, inode, error) {
	fd, err := unix.Openat(int(d.f.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, inode{}, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	// The descriptor is kept in blocking mode on purpose: os.NewFile would hand
	// one that is not to the poller, which regular files do not have.
	if err := unix.SetNonblock(fd, false); err != nil {
		_ = unix.Close(fd)
		return nil, inode{}, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	id, err := d.statx(f, "", unix.AT_EMPTY_PATH)
	if err != nil {
		f.Close()
		return nil, inode{}, err
	}
	return f, id, nil
}

// plain returns an error when a file is anything but a plain file with one name
// on the directory's own file system.
func (d *dir) plain(id inode) error {
	switch {
	case !id.regular():
		return fmt.Errorf("not a plain file: %w", ErrChanged)
	case id.links != 1:
		return fmt.Errorf("it has %d names: %w", id.links, ErrChanged)
	case id.mount != d.id.mount, id.mount == 0 && id.dev != d.id.dev:
		return fmt.Errorf("something is mounted over it: %w", ErrChanged)
	}
	return nil
}

func (d *dir) sync() error {
	err := d.f.Sync()
	// Some file systems cannot flush a directory; there is nothing to wait for.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOTTY) {
		return nil
	}
	return err
}

func (d *dir) statx(f *os.File, name string, flags int) (inode, error) {
	var s unix.Statx_t
	const want = unix.STATX_BASIC_STATS | unix.STATX_BTIME | unix.STATX_MNT_ID | unix.STATX_DIOALIGN
	if err := unix.Statx(int(f.Fd()), name, flags, want, &s); err != nil {
		if name == "" {
			name = f.Name()
		}
		return inode{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	id := inode{
		number: s.Ino,
		dev:    unix.Mkdev(s.Dev_major, s.Dev_minor),
		mount:  s.Mnt_id,
		change: s.Ctime.Sec*1e9 + int64(s.Ctime.Nsec),
		size:   int64(s.Size),
		links:  s.Nlink,
		mode:   s.Mode,
	}
	if s.Mask&unix.STATX_BTIME != 0 && !d.unborn {
		id.birth = s.Btime.Sec*1e9 + int64(s.Btime.Nsec)
	}
	if s.Mask&unix.STATX_DIOALIGN != 0 {
		id.align = int(s.Dio_offset_align)
	}
	return id, nil
}
