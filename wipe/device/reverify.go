package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"salvor/wipe"
	"salvor/wipe/internal/kernel"
)

// Reverify compares a device, or a file with a copy of one, with the last stream of a
// wipe, whose key an attest publishes. Nothing is written. It fails with [ErrOther]
// when the size is another one; differences are no errors. told may be nil, and is called by several goroutines.
func Reverify(ctx context.Context, path string, key wipe.Key, size int64, told func(n int64)) (ReadFacts, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.EINVAL) { // a file system without direct I/O
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return ReadFacts{}, opening(path, &os.PathError{Op: "open", Path: path, Err: err})
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		_ = unix.Close(fd)
		return ReadFacts{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return ReadFacts{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	d := &Device{f: f, path: path, plain: true, id: Identity{Name: filepath.Base(path), Bytes: size, Sector: 512}}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		d.id.Sector = max(512, int(min(st.Blksize, 4096)))
	case unix.S_IFBLK:
		if _, d.id.Sector, err = geometry(f); err != nil {
			return ReadFacts{}, fmt.Errorf("%s: %w", path, err)
		}
	default:
		return ReadFacts{}, &RefusedError{Path: path, Err: ErrNotDevice}
	}
	if err := d.still(); err != nil {
		return ReadFacts{}, fmt.Errorf("%s: %w", path, err)
	}
	mem, err := kernel.NewMemory(depth, chunkSize)
	if err != nil {
		return ReadFacts{}, err
	}
	c := &reading{d: d, stream: wipe.NewStream(key, 0)}
	c.facts.PastCache = d.direct()
	p := &pass{d: d, mem: mem, each: distance, work: c.chunk, told: told}
	if told == nil {
		p.told = func(int64) {}
	}
	p.durable = func(to int64) error {
		c.settle(to)
		return d.still()
	}
	err = p.run(ctx, 0)
	return c.facts, err
}

// length is the size of a file or device, in bytes.
func length(f *os.File) (int64, error) { return f.Seek(0, io.SeekEnd) }
