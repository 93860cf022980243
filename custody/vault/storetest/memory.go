package storetest

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"

	"salvor/custody/vault"
)

// A Memory is a store in memory that knows which writes and names are durable. It is made by [NewMemory].
type Memory struct {
	mu    sync.Mutex
	files map[string]*memFile
	room  int64
}

type memFile struct {
	now     []byte  // what a reader sees
	durable []byte  // what survives for certain
	pending []write // since the last sync, in order
	named   bool    // the name survives for certain
}

type write struct {
	off  int64
	data []byte
}

// NewMemory returns an empty store with room for a TiB.
func NewMemory() *Memory { return &Memory{files: make(map[string]*memFile), room: 1 << 40} }

// sector is what a medium writes whole or not at all.
const sector = 512

// Crash returns what a power cut leaves: of every write since the last sync, each sector may have arrived or not,
// whatever the order; of every name since the last sync of its directory, the same. The store itself stays as it is.
func (m *Memory) Crash(r *rand.Rand) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := NewMemory()
	after.room = m.room
	for _, name := range sortedKeys(m.files) {
		f := m.files[name]
		if !f.named && r.IntN(2) == 0 {
			continue
		}
		content := slices.Clone(f.durable)
		mode := r.IntN(4) // all of it, none of it, whole writes, single sectors
		for _, w := range f.pending {
			if mode == 1 || (mode == 2 && r.IntN(2) == 0) {
				continue
			}
			for off := 0; off < len(w.data); off += sector {
				if mode == 3 && r.IntN(4) == 0 {
					continue
				}
				content = put(content, w.data[off:min(off+sector, len(w.data))], w.off+int64(off))
			}
		}
		after.files[name] = &memFile{now: content, durable: slices.Clone(content), named: true}
	}
	return after
}

// Clone returns a copy: a snapshot, or the same disk in a cloned machine.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemory()
	c.room = m.room
	for name, f := range m.files {
		c.files[name] = &memFile{now: slices.Clone(f.now), durable: slices.Clone(f.now), named: true}
	}
	return c
}

// Names lists all files.
func (m *Memory) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sortedKeys(m.files)
}

// Content returns a copy of a file's content; nil when there is none.
func (m *Memory) Content(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.files[name]; f != nil {
		return slices.Clone(f.now)
	}
	return nil
}

// Put gives a file a content, durably; nil removes it.
func (m *Memory) Put(name string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if content == nil {
		delete(m.files, name)
		return
	}
	m.files[name] = &memFile{now: slices.Clone(content), durable: slices.Clone(content), named: true}
}

// SetFree sets the room that Free reports.
func (m *Memory) SetFree(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.room = n
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func put(content, data []byte, off int64) []byte {
	if end := int(off) + len(data); end > len(content) {
		content = append(content, make([]byte, end-len(content))...)
	}
	copy(content[off:], data)
	return content
}

func valid(name string) error {
	if !fs.ValidPath(name) || strings.ContainsRune(name, 0) {
		return fmt.Errorf("%q: %w", name, vault.ErrHostile)
	}
	return nil
}

// isDir: a directory is there when something is in it. The caller holds mu.
func (m *Memory) isDir(name string) bool {
	if name == "." {
		return true
	}
	for k := range m.files {
		if strings.HasPrefix(k, name+"/") {
			return true
		}
	}
	return false
}

// Create implements vault.Store.
func (m *Memory) Create(name string) (vault.File, error) {
	if err := valid(name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] != nil || m.isDir(name) {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f := new(memFile)
	m.files[name] = f
	return &memHandle{m, f, true}, nil
}

func (m *Memory) open(name string, writable bool) (vault.File, error) {
	if err := valid(name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memHandle{m, f, writable}, nil
}

// Open implements vault.Store.
func (m *Memory) Open(name string) (vault.File, error) { return m.open(name, false) }

// OpenMedia implements vault.Store.
func (m *Memory) OpenMedia(name string) (vault.File, error) { return m.open(name, false) }

// Update implements vault.Store.
func (m *Memory) Update(name string) (vault.File, error) { return m.open(name, true) }

// List implements vault.Store.
func (m *Memory) List(dir string) ([]vault.Entry, error) {
	if err := valid(dir); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]vault.Entry)
	for name, f := range m.files {
		rest := name
		if dir != "." {
			var ok bool
			if rest, ok = strings.CutPrefix(name, dir+"/"); !ok {
				continue
			}
		}
		if first, _, deeper := strings.Cut(rest, "/"); deeper {
			found[first] = vault.Entry{Name: first, Dir: true}
		} else {
			found[rest] = vault.Entry{Name: rest, File: true, Size: int64(len(f.now))}
		}
	}
	if len(found) == 0 && dir != "." {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	var entries []vault.Entry
	for _, name := range sortedKeys(found) {
		entries = append(entries, found[name])
	}
	return entries, nil
}

// SyncDir implements vault.Store.
func (m *Memory) SyncDir(dir string) error {
	if err := valid(dir); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, f := range m.files {
		if path.Dir(name) == dir {
			f.named = true
		}
	}
	return nil
}

// Remove implements vault.Store.
func (m *Memory) Remove(name string) error {
	if err := valid(name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		if m.isDir(name) {
			return fmt.Errorf("%q: %w", name, vault.ErrHostile)
		}
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(m.files, name)
	return nil
}

// Free implements vault.Store.
func (m *Memory) Free() (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.room, nil
}

type memHandle struct {
	m        *Memory
	f        *memFile
	writable bool
}

func (h *memHandle) ReadAt(p []byte, off int64) (int, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if off >= int64(len(h.f.now)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) WriteAt(p []byte, off int64) (int, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if !h.writable {
		return 0, fs.ErrPermission
	}
	h.f.now = put(h.f.now, p, off)
	h.f.pending = append(h.f.pending, write{off, slices.Clone(p)})
	return len(p), nil
}

func (h *memHandle) Sync() error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	for _, w := range h.f.pending {
		h.f.durable = put(h.f.durable, w.data, w.off)
	}
	h.f.pending = nil
	return nil
}

// lose is what a failed fsync does: the pages are marked clean and are gone.
func (h *memHandle) lose() {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.f.pending = nil
	h.f.now = slices.Clone(h.f.durable)
}

func (h *memHandle) Flushing(int64, int64)  {}
func (h *memHandle) DropCache(int64, int64) {}

func (h *memHandle) Size() (int64, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	return int64(len(h.f.now)), nil
}

func (h *memHandle) Close() error { return nil }
