package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Memory is memory for direct I/O: page-aligned and outside the Go heap.
type Memory [][]byte

// NewMemory gets n pieces of size bytes. They must be given back with Free.
func NewMemory(n, size int) (Memory, error) {
	var m Memory
	for range n {
		b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			m.Free()
			return nil, fmt.Errorf("get memory for direct I/O: %w", err)
		}
		m = append(m, b)
	}
	return m, nil
}

// Free gives the memory back. Nobody may be using it.
func (m Memory) Free() {
	for _, b := range m {
		_ = unix.Munmap(b)
	}
}
