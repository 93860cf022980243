package storetest

import (
	"errors"

	"salvor/custody/vault"
)

// An Op is one thing a store is asked for.
type Op string

// What a [Faulty] store can fail.
const (
	OpCreate  Op = "create"
	OpOpen    Op = "open"
	OpRead    Op = "read"
	OpWrite   Op = "write"
	OpSync    Op = "sync"
	OpSyncDir Op = "syncdir"
	OpClose   Op = "close"
	OpRemove  Op = "remove"
)

// ErrPart makes a write fail with errno after half of it is done: return errors.Join(ErrPart, errno).
var ErrPart = errors.New("half of it was written")

// A Faulty store asks Fault before it does anything. An error from Fault is returned, and nothing is done; but a sync
// that fails loses what was not durable, as real ones do.
type Faulty struct {
	vault.Store
	Fault func(op Op, name string) error
}

// Create implements vault.Store.
func (s *Faulty) Create(name string) (vault.File, error) {
	return s.file(OpCreate, name, s.Store.Create)
}

// Open implements vault.Store.
func (s *Faulty) Open(name string) (vault.File, error) { return s.file(OpOpen, name, s.Store.Open) }

// OpenMedia implements vault.Store.
func (s *Faulty) OpenMedia(name string) (vault.File, error) {
	return s.file(OpOpen, name, s.Store.OpenMedia)
}

// Update implements vault.Store.
func (s *Faulty) Update(name string) (vault.File, error) {
	return s.file(OpOpen, name, s.Store.Update)
}

func (s *Faulty) file(op Op, name string, open func(string) (vault.File, error)) (vault.File, error) {
	if err := s.Fault(op, name); err != nil {
		return nil, err
	}
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, s, name}, nil
}

// SyncDir implements vault.Store.
func (s *Faulty) SyncDir(dir string) error {
	if err := s.Fault(OpSyncDir, dir); err != nil {
		return err
	}
	return s.Store.SyncDir(dir)
}

// Remove implements vault.Store.
func (s *Faulty) Remove(name string) error {
	if err := s.Fault(OpRemove, name); err != nil {
		return err
	}
	return s.Store.Remove(name)
}

type faultyFile struct {
	vault.File
	s    *Faulty
	name string
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.s.Fault(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.s.Fault(OpWrite, f.name)
	if errors.Is(err, ErrPart) {
		n, werr := f.File.WriteAt(p[:len(p)/2], off)
		return n, errors.Join(err, werr)
	}
	if err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Sync() error {
	if err := f.s.Fault(OpSync, f.name); err != nil {
		if m, ok := f.File.(*memHandle); ok && !errors.Is(err, vault.ErrNoFlush) {
			m.lose()
		}
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Close() error {
	err := f.s.Fault(OpClose, f.name)
	return errors.Join(err, f.File.Close())
}
