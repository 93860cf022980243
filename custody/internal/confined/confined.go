// Package confined goes down a directory that somebody else may have prepared: an
// external disk, a share. No link is followed on the way, nothing but a plain file
// with one name is opened, and whatever takes another's place between a look and
// the opening is noticed. So nothing outside of the directory can be read,
// overwritten or erased through it.
package confined

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Tree is everything below a directory. Names in it are slash-separated paths
// that satisfy fs.ValidPath.
type Tree struct {
	root    *os.Root
	hostile error
}

// New returns the tree below a root, which stays the caller's. Whatever would lead
// elsewhere is refused with the error hostile, wrapped, beside the name.
func New(root *os.Root, hostile error) Tree { return Tree{root, hostile} }

func (t Tree) refuse(name string) error { return fmt.Errorf("%q: %w", name, t.hostile) }

// Check refuses a name that could lead anywhere else.
func (t Tree) Check(name string) error {
	if !fs.ValidPath(name) || strings.ContainsRune(name, 0) {
		return t.refuse(name)
	}
	return nil
}

// Descend opens a directory, component by component. Each has to be a directory
// before it is opened and the same one afterwards. One that is missing is made,
// with mode 0700, when made is given, which is then called with the directory in
// which it stands; otherwise it is fs.ErrNotExist.
func (t Tree) Descend(dir string, made func(parent *os.Root) error) (*os.Root, error) {
	if err := t.Check(dir); err != nil {
		return nil, err
	}
	if dir == "." {
		return t.root.OpenRoot(".")
	}
	at := t.root
	for name := range strings.SplitSeq(dir, "/") {
		next, err := t.step(at, name, made)
		if at != t.root {
			if cerr := at.Close(); err == nil && cerr != nil {
				return nil, errors.Join(cerr, next.Close())
			}
		}
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

func (t Tree) step(at *os.Root, name string, made func(*os.Root) error) (*os.Root, error) {
	before, err := at.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) && made != nil {
		if err := at.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if err := made(at); err != nil {
			return nil, err
		}
		before, err = at.Lstat(name)
	}
	if err != nil {
		return nil, err
	}
	if !before.IsDir() {
		return nil, t.refuse(name)
	}
	next, err := at.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	after, err := next.Stat(".")
	if err == nil && !os.SameFile(before, after) {
		err = t.refuse(name)
	}
	if err != nil {
		return nil, errors.Join(err, next.Close())
	}
	return next, nil
}

// Plain tells whether a file is a regular one with a single name. With a second
// name somebody could read or change it from elsewhere, writing to it would write
// to something else, and its content would survive an erasing.
func Plain(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return info.Mode().IsRegular() && (!ok || st.Nlink <= 1)
}

// Open opens a plain file that exists in a directory, as [Tree.Descend] has opened
// it, and returns what the open file is. Should it have become a FIFO between the
// look and the opening, that does not hang.
func (t Tree) Open(parent *os.Root, base string, flag int) (*os.File, fs.FileInfo, error) {
	before, err := parent.Lstat(base)
	if err != nil {
		return nil, nil, err
	}
	if !Plain(before) {
		return nil, nil, t.refuse(base)
	}
	f, err := parent.OpenFile(base, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	after, err := f.Stat()
	if err == nil && (!Plain(after) || !os.SameFile(before, after)) {
		err = t.refuse(base)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, after, nil
}
