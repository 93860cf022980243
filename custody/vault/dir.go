package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"salvor/custody/internal/confined"
)

// A Dir is a [Store] in a directory of a file system. Nothing below it follows a symbolic link, opens anything but a
// plain file with one name, or leaves the directory, whoever prepared it.
type Dir struct {
	root   *os.Root
	tree   confined.Tree
	direct bool // the file system writes past the cache without surprises
}

// OpenDir opens a directory as a store. The directory has to exist: a mount point that is missing is [ErrAbsent].
func OpenDir(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the vault's directory: %w", err)
	}
	d := &Dir{root: root, tree: confined.New(root, ErrHostile)}
	if st, err := d.statfs(); err == nil {
		d.direct = writesDirectly(st.Type)
	}
	return d, nil
}

// writesDirectly names the file systems whose O_DIRECT appends are plain appends. Network and FUSE file systems turn
// each into a round trip, and copy-on-write ones may fall back half way; they write through the cache.
func writesDirectly(fsType int64) bool {
	return fsType == unix.EXT4_SUPER_MAGIC || fsType == unix.XFS_SUPER_MAGIC
}

// Root is the directory, for the erasing, which works on the very files.
func (d *Dir) Root() *os.Root { return d.root }

// Close lets go of the directory. Files that are open stay open.
func (d *Dir) Close() error { return d.root.Close() }

// descend opens a directory; with create it makes what is missing.
func (d *Dir) descend(dir string, create bool) (*os.Root, error) {
	if create {
		return d.tree.Descend(dir, func(*os.Root) error { return nil }) // SyncDir makes the names durable
	}
	return d.tree.Descend(dir, nil)
}

// open opens a plain file that exists.
func (d *Dir) open(name string, flag int) (*os.File, error) {
	if err := d.tree.Check(name); err != nil {
		return nil, err
	}
	parent, err := d.descend(path.Dir(name), false)
	if err != nil {
		return nil, err
	}
	defer leave(parent)
	f, _, err := d.tree.Open(parent, path.Base(name), flag)
	return f, err
}

// Create implements [Store].
func (d *Dir) Create(name string) (File, error) {
	if err := d.tree.Check(name); err != nil {
		return nil, err
	}
	parent, err := d.descend(path.Dir(name), true)
	if err != nil {
		return nil, err
	}
	defer leave(parent)
	base := path.Base(name)
	f, err := parent.OpenFile(base, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	df := &dirFile{f: f}
	if d.direct {
		// Failing is fine: the cache does it too, only slower.
		if df.direct, _, err = d.tree.Open(parent, base, os.O_WRONLY|unix.O_DIRECT); err != nil {
			df.direct = nil
		}
	}
	return df, nil
}

// Open implements [Store].
func (d *Dir) Open(name string) (File, error) {
	f, err := d.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return &dirFile{f: f}, nil
}

// OpenMedia implements [Store].
func (d *Dir) OpenMedia(name string) (File, error) {
	f, err := d.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	df := &dirFile{f: f, media: true}
	if df.direct, err = d.open(name, os.O_RDONLY|unix.O_DIRECT); err != nil {
		df.direct = nil
	}
	return df, nil
}

// Update implements [Store].
func (d *Dir) Update(name string) (File, error) {
	f, err := d.open(name, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	return &dirFile{f: f}, nil
}

// List implements [Store].
func (d *Dir) List(dir string) ([]Entry, error) {
	at, err := d.descend(dir, false)
	if err != nil {
		return nil, err
	}
	defer leave(at)
	f, err := at.Open(".")
	if err != nil {
		return nil, err
	}
	defer leave(f)
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	entries := make([]Entry, 0, len(names))
	for _, name := range names {
		info, err := at.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // went away in between
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{Name: name, Dir: info.IsDir(), File: confined.Plain(info), Size: info.Size()})
	}
	return entries, nil
}

// SyncDir implements [Store].
func (d *Dir) SyncDir(dir string) error {
	if err := d.tree.Check(dir); err != nil {
		return err
	}
	var first error
	for {
		if err := d.syncOne(dir); err != nil && (first == nil || !errors.Is(err, ErrNoFlush)) {
			first = err
		}
		if dir == "." {
			return first
		}
		dir = path.Dir(dir)
	}
}

func (d *Dir) syncOne(dir string) error {
	at, err := d.descend(dir, false)
	if err != nil {
		return err
	}
	defer leave(at)
	f, err := at.Open(".")
	if err != nil {
		return err
	}
	defer leave(f)
	return flushError(f.Sync())
}

// flushError turns what file systems without an fsync say into ErrNoFlush, and keeps the errno.
func flushError(err error) error {
	for _, no := range []error{unix.ENOTSUP, unix.ENOTTY, unix.EINVAL} {
		if errors.Is(err, no) {
			return fmt.Errorf("%w: %w", ErrNoFlush, err)
		}
	}
	return err
}

// Remove implements [Store].
func (d *Dir) Remove(name string) error {
	if err := d.tree.Check(name); err != nil {
		return err
	}
	parent, err := d.descend(path.Dir(name), false)
	if err != nil {
		return err
	}
	defer leave(parent)
	base := path.Base(name)
	info, err := parent.Lstat(base)
	if err != nil {
		return err
	}
	if !confined.Plain(info) {
		return fmt.Errorf("%q: %w", name, ErrHostile)
	}
	return parent.Remove(base)
}

func (d *Dir) statfs() (st unix.Statfs_t, err error) {
	f, err := d.root.Open(".")
	if err != nil {
		return st, err
	}
	defer leave(f)
	return st, control(f, func(fd int) error { return unix.Fstatfs(fd, &st) })
}

// Free implements [Store].
func (d *Dir) Free() (int64, error) {
	st, err := d.statfs()
	if err != nil {
		return 0, fmt.Errorf("free space: %w", err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// control runs a system call on a file's descriptor, which cannot be closed meanwhile.
func control(f *os.File, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := conn.Control(func(fd uintptr) {
		for {
			if err = call(int(fd)); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	if cerr != nil {
		return cerr
	}
	return err
}

var _ Store = (*Dir)(nil)
