// Package journaltest has what tests of journals need: a store in memory, one
// that fails when it is told to, and the suite that every store passes.
package journaltest

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"salvor/custody/journal"
)

// Memory is a store in memory. The zero Memory is empty. It is safe for use by
// several goroutines.
type Memory struct {
	mu    sync.Mutex
	files map[string][]byte
}

// List implements journal.Store.
func (m *Memory) List(dir string) ([]journal.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	prefix := dir + "/"
	if dir == "." {
		prefix = ""
	}
	seen := make(map[string]journal.Entry)
	for name, data := range m.files {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		base, _, isDir := strings.Cut(rest, "/")
		e := journal.Entry{Name: base, Dir: isDir}
		if !isDir {
			e.Size = int64(len(data))
		}
		seen[base] = e
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	entries := make([]journal.Entry, 0, len(seen))
	for _, e := range seen {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b journal.Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

// Read implements journal.Store.
func (m *Memory) Read(name string, most int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.files[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	case int64(len(data)) > most:
		return nil, journal.ErrTooLarge
	}
	return slices.Clone(data), nil
}

// Open implements journal.Store.
func (m *Memory) Open(dir string) (journal.Folder, error) {
	if _, err := m.List(dir); err != nil {
		return nil, err
	}
	return memoryFolder{m, dir}, nil
}

type memoryFolder struct {
	m   *Memory
	dir string
}

// Read implements journal.Folder.
func (o memoryFolder) Read(base string, most int64) ([]byte, error) {
	if path.Base(base) != base || !fs.ValidPath(base) || base == "." {
		return nil, journal.ErrHostile
	}
	return o.m.Read(path.Join(o.dir, base), most)
}

// Close implements io.Closer.
func (memoryFolder) Close() error { return nil }

// Write implements journal.Store.
func (m *Memory) Write(name string, data []byte) error {
	if !fs.ValidPath(name) {
		return journal.ErrHostile
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files == nil {
		m.files = make(map[string][]byte)
	}
	m.files[name] = slices.Clone(data)
	return nil
}

// Create implements journal.Store.
func (m *Memory) Create(name string, data []byte) error {
	m.mu.Lock()
	_, ok := m.files[name]
	m.mu.Unlock()
	if ok {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	return m.Write(name, data)
}

// Sync implements journal.Store.
func (m *Memory) Sync(string) error { return nil }

// Erase implements journal.Store.
func (m *Memory) Erase(name string) error { return m.Remove(name) }

// Remove implements journal.Store.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

// Names returns the names of all files, sorted.
func (m *Memory) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.files))
	for name := range m.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var _ journal.Store = (*Memory)(nil)
