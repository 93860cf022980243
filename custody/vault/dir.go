package vault

import (
	"errors"
	"os"
)

var errNotYet = errors.New("not yet")

// A Dir is a [Store] in a directory of a file system.
type Dir struct{ root *os.Root }

// OpenDir opens a directory as a store. The directory has to exist: a vault's mount point that is missing is
// [ErrAbsent].
func OpenDir(path string) (*Dir, error) { return nil, errNotYet }

// Root is the directory, for the erasing, which works on the very files.
func (d *Dir) Root() *os.Root { return d.root }

// Close lets go of the directory. Files that are open stay open.
func (d *Dir) Close() error { return d.root.Close() }

// Create implements [Store].
func (d *Dir) Create(name string) (File, error) { return nil, errNotYet }

// Open implements [Store].
func (d *Dir) Open(name string) (File, error) { return nil, errNotYet }

// OpenMedia implements [Store].
func (d *Dir) OpenMedia(name string) (File, error) { return nil, errNotYet }

// Update implements [Store].
func (d *Dir) Update(name string) (File, error) { return nil, errNotYet }

// List implements [Store].
func (d *Dir) List(dir string) ([]Entry, error) { return nil, errNotYet }

// SyncDir implements [Store].
func (d *Dir) SyncDir(dir string) error { return errNotYet }

// Remove implements [Store].
func (d *Dir) Remove(name string) error { return errNotYet }

// Free implements [Store].
func (d *Dir) Free() (int64, error) { return 0, errNotYet }
