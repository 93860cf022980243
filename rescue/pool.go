package rescue

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// poolBuffers bounds the memory of a run: 96 buffers of [MaxRead]. The sink keeps up to
// 64 MiB until they are durable; the rest is under way.
const poolBuffers = 96

// pool lends page-aligned buffers of [MaxRead] bytes, as O_DIRECT wants them. They lie in
// one mapping outside the Go heap, so that a hundred megabytes of disk content do not
// double the collector's target; a page costs memory only once it was used.
type pool struct {
	free chan []byte

	mu      sync.Mutex
	mapping []byte
	lent    int
	closed  bool
}

func newPool(n int) (*pool, error) {
	b, err := unix.Mmap(-1, 0, n*MaxRead, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("map %d MiB of buffers: %w", n*MaxRead>>20, err)
	}
	// Contiguous memory lets the kernel pass a read on in one piece. Only advice.
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	p := &pool{free: make(chan []byte, n), mapping: b}
	for i := range n {
		p.free <- b[i*MaxRead : (i+1)*MaxRead : (i+1)*MaxRead]
	}
	return p, nil
}

// take lends a buffer, or nil when none is free. A buffer may also be received from
// p.free, followed by took.
func (p *pool) take() []byte {
	select {
	case b := <-p.free:
		p.took()
		return b
	default:
		return nil
	}
}

func (p *pool) took() {
	p.mu.Lock()
	p.lent++
	p.mu.Unlock()
}

// put takes a buffer back. It never blocks, and may come from any goroutine, also
// after close.
func (p *pool) put(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent--
	p.free <- b[:MaxRead]
	p.unmap()
}

// close gives the memory back as soon as the last buffer is: a sink may keep some
// longer than the run, and a read that hangs for as long as it hangs.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.unmap()
}

func (p *pool) unmap() {
	if p.closed && p.lent == 0 && p.mapping != nil {
		_ = unix.Munmap(p.mapping) // fails only for arguments that are not ours
		p.mapping = nil
	}
}
