package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"salvor/custody/internal/confined"
)

// top is the directory of the tree in a vault.
const top = ".salvor"

// tempPrefix begins the name of a file that is not in its place yet.
const tempPrefix = ".new-"

// Dir is a journal in a directory: a local disk, an external one, or a share.
type Dir struct{ tree confined.Tree }

// NewDir returns the store below the directory of a vault. It opens nothing yet
// and creates the tree with the first write. The root stays the caller's.
func NewDir(root *os.Root) *Dir { return &Dir{confined.New(root, ErrHostile)} }

// descend opens a directory of the tree.
func (d *Dir) descend(dir string, create bool) (*os.Root, error) {
	if err := d.tree.Check(dir); err != nil {
		return nil, err
	}
	if create {
		return d.tree.Descend(path.Join(top, dir), syncRoot)
	}
	return d.tree.Descend(path.Join(top, dir), nil)
}

// in runs do in the directory of a file.
func (d *Dir) in(name string, create bool, do func(parent *os.Root, base string) error) (err error) {
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("%q: %w", name, ErrHostile)
	}
	parent, err := d.descend(path.Dir(name), create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, parent.Close()) }()
	return do(parent, path.Base(name))
}

// List implements [Store].
func (d *Dir) List(dir string) (entries []Entry, err error) {
	at, err := d.descend(dir, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, at.Close()) }()
	f, err := at.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	items, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	entries = make([]Entry, 0, len(items))
	for _, item := range items {
		entries = append(entries, Entry{Name: item.Name(), Dir: item.IsDir()})
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

// Read implements [Store].
func (d *Dir) Read(name string, most int64) (data []byte, err error) {
	err = d.in(name, false, func(parent *os.Root, base string) error {
		data, err = d.read(parent, base, most)
		return err
	})
	return data, err
}

func (d *Dir) read(parent *os.Root, base string, most int64) ([]byte, error) {
	f, info, err := d.tree.Open(parent, base, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > most {
		return nil, ErrTooLarge
	}
	return readAll(f, make([]byte, 0, info.Size()+1), most)
}

// Open implements [Store].
func (d *Dir) Open(dir string) (Folder, error) {
	at, err := d.descend(dir, false)
	if err != nil {
		return nil, err
	}
	return &folder{d, at}, nil
}

// folder is an open directory.
type folder struct {
	dir *Dir
	at  *os.Root
}

// Read implements [Folder].
func (f *folder) Read(base string, most int64) ([]byte, error) {
	if err := f.dir.tree.Check(base); err != nil || path.Base(base) != base || base == "." {
		return nil, fmt.Errorf("%q: %w", base, ErrHostile)
	}
	return f.dir.read(f.at, base, most)
}

// Close implements io.Closer.
func (f *folder) Close() error { return f.at.Close() }

// readAll reads to the end, into the buffer where that is large enough.
func readAll(r io.Reader, buf []byte, most int64) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > most:
			return nil, ErrTooLarge
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return nil, err
		}
	}
}

// Write implements [Store].
func (d *Dir) Write(name string, data []byte) error {
	return d.in(name, true, func(parent *os.Root, base string) error {
		if old, err := parent.Lstat(base); err == nil && !confined.Plain(old) {
			return fmt.Errorf("%q: %w", base, ErrHostile)
		}
		var id [8]byte
		rand.Read(id[:]) // never fails: crypto/rand
		temp := tempPrefix + hex.EncodeToString(id[:])
		if err := writeNew(parent, temp, data); err != nil {
			return errors.Join(err, removeFile(parent, temp))
		}
		if err := parent.Rename(temp, base); err != nil {
			return errors.Join(err, removeFile(parent, temp))
		}
		return nil
	})
}

func writeNew(parent *os.Root, base string, data []byte) (err error) {
	f, err := parent.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return flushed(f.Sync())
}

// Create implements [Store].
func (d *Dir) Create(name string, data []byte) error {
	return d.in(name, true, func(parent *os.Root, base string) error {
		if err := writeNew(parent, base, data); err != nil {
			return err
		}
		return syncRoot(parent)
	})
}

// Sync implements [Store].
func (d *Dir) Sync(dir string) error {
	at, err := d.descend(dir, false)
	if err != nil {
		return err
	}
	return errors.Join(syncRoot(at), at.Close())
}

func syncRoot(at *os.Root) error {
	f, err := at.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return flushed(f.Sync())
}

// flushed accepts what file systems say that have no flush: there is nothing
// more that could be done.
func flushed(err error) error {
	for _, no := range []error{unix.ENOTSUP, unix.ENOTTY, unix.EINVAL} {
		if errors.Is(err, no) {
			return nil
		}
	}
	return err
}

// Erase implements [Store].
func (d *Dir) Erase(name string) error {
	err := d.in(name, false, func(parent *os.Root, base string) error {
		f, info, err := d.tree.Open(parent, base, os.O_WRONLY)
		if err != nil {
			return err
		}
		zeros := make([]byte, min(info.Size(), 64<<10))
		for at := int64(0); at < info.Size() && err == nil; at += int64(len(zeros)) {
			_, err = f.WriteAt(zeros[:min(int64(len(zeros)), info.Size()-at)], at)
		}
		if err == nil {
			err = flushed(f.Sync())
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		if err := removeFile(parent, base); err != nil {
			return err
		}
		return syncRoot(parent)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Remove implements [Store].
func (d *Dir) Remove(name string) error {
	err := d.in(name, false, func(parent *os.Root, base string) error {
		info, err := parent.Lstat(base)
		if err != nil {
			return err
		}
		if !confined.Plain(info) {
			return fmt.Errorf("%q: %w", base, ErrHostile)
		}
		if err := removeFile(parent, base); err != nil {
			return err
		}
		return syncRoot(parent)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func removeFile(parent *os.Root, base string) error {
	if err := parent.Remove(base); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

var _ Store = (*Dir)(nil)
