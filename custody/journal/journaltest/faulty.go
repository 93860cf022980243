package journaltest

import (
	"path"
	"sync"

	"salvor/custody/journal"
)

// Faulty is a store that fails as it is told.
type Faulty struct {
	journal.Store

	mu sync.Mutex
	// Fail is asked before every call, with what is to be done ("list", "read",
	// "write", "create", "sync", "erase" or "remove") and to which name. What it
	// returns is what the call returns; nil lets it through. Of a failed create
	// half the file is written, as a full disk does.
	Fail func(op, name string) error
	Ops  int // calls so far
}

func (f *Faulty) fail(op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Ops++
	if f.Fail == nil {
		return nil
	}
	return f.Fail(op, name)
}

// List implements journal.Store.
func (f *Faulty) List(dir string) ([]journal.Entry, error) {
	if err := f.fail("list", dir); err != nil {
		return nil, err
	}
	return f.Store.List(dir)
}

// Read implements journal.Store.
func (f *Faulty) Read(name string, most int64) ([]byte, error) {
	if err := f.fail("read", name); err != nil {
		return nil, err
	}
	return f.Store.Read(name, most)
}

// Open implements journal.Store. Reading from the folder is reading.
func (f *Faulty) Open(dir string) (journal.Folder, error) {
	if err := f.fail("list", dir); err != nil {
		return nil, err
	}
	folder, err := f.Store.Open(dir)
	if err != nil {
		return nil, err
	}
	return faultyFolder{folder, f, dir}, nil
}

type faultyFolder struct {
	journal.Folder

	f   *Faulty
	dir string
}

// Read implements journal.Folder.
func (o faultyFolder) Read(base string, most int64) ([]byte, error) {
	if err := o.f.fail("read", path.Join(o.dir, base)); err != nil {
		return nil, err
	}
	return o.Folder.Read(base, most)
}

// Write implements journal.Store.
func (f *Faulty) Write(name string, data []byte) error {
	if err := f.fail("write", name); err != nil {
		return err
	}
	return f.Store.Write(name, data)
}

// Create implements journal.Store.
func (f *Faulty) Create(name string, data []byte) error {
	if err := f.fail("create", name); err != nil {
		_ = f.Store.Create(name, data[:len(data)/2]) // the failure is what counts
		return err
	}
	return f.Store.Create(name, data)
}

// Sync implements journal.Store.
func (f *Faulty) Sync(dir string) error {
	if err := f.fail("sync", dir); err != nil {
		return err
	}
	return f.Store.Sync(dir)
}

// Erase implements journal.Store.
func (f *Faulty) Erase(name string) error {
	if err := f.fail("erase", name); err != nil {
		return err
	}
	return f.Store.Erase(name)
}

// Remove implements journal.Store.
func (f *Faulty) Remove(name string) error {
	if err := f.fail("remove", name); err != nil {
		return err
	}
	return f.Store.Remove(name)
}

var _ journal.Store = (*Faulty)(nil)
