// Package faulty is a failing disk to write to, for tests and benchmarks: a file on a
// FUSE file system, to put a loop device on, whose sectors refuse writes or reads, or
// take writes and lose them.
package faulty

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Range is a part of the disk, in bytes.
type Range struct{ Off, Len int64 }

func (r Range) touches(off, n int64) bool { return off < r.Off+r.Len && r.Off < off+n }

// Plan is what goes wrong with a disk. It may be changed with [Disk.Set] at any time.
type Plan struct {
	BadWrite []Range // writes that touch one fail with EIO, and write nothing
	BadRead  []Range // reads that touch one fail with EIO
	Lost     []Range // what is written to one is acknowledged and lost
	Gone     bool    // everything fails with EIO
}

// Disk is a file with a plan.
type Disk struct {
	Path string // of the file

	content *os.File
	size    int64
	plan    atomic.Pointer[Plan]
	server  *fuse.Server

	read, written atomic.Int64
}

// New mounts a file system with one file of size bytes on dir. What it holds is in the
// file content, which is made as large.
func New(dir string, content *os.File, size int64, plan Plan) (*Disk, error) {
	if err := content.Truncate(size); err != nil {
		return nil, err
	}
	d := &Disk{Path: filepath.Join(dir, "disk"), content: content, size: size}
	d.plan.Store(&plan)
	root := &fs.Inode{}
	server, err := fs.Mount(dir, root, &fs.Options{
		OnAdd: func(ctx context.Context) {
			root.AddChild("disk", root.NewPersistentInode(ctx, &file{d: d}, fs.StableAttr{Mode: fuse.S_IFREG}), true)
		},
		MountOptions: fuse.MountOptions{FsName: "faulty", Name: "faulty", DirectMount: true, MaxWrite: 1 << 20, DisableXAttrs: true, DisableSplice: true},
	})
	if err != nil {
		return nil, fmt.Errorf("mount the faulty disk: %w", err)
	}
	d.server = server
	return d, nil
}

// Set gives the disk another plan.
func (d *Disk) Set(p Plan) { d.plan.Store(&p) }

// Traffic is how many bytes were read and written so far, failed requests left out.
func (d *Disk) Traffic() (read, written int64) { return d.read.Load(), d.written.Load() }

// Content is the file that holds what is on the disk.
func (d *Disk) Content() *os.File { return d.content }

// Close unmounts the disk. Nothing may be standing on it.
func (d *Disk) Close() error { return d.server.Unmount() }

// file is the one file of the file system.
type file struct {
	fs.Inode
	d *Disk
}

var (
	_ fs.NodeOpener    = (*file)(nil)
	_ fs.NodeReader    = (*file)(nil)
	_ fs.NodeWriter    = (*file)(nil)
	_ fs.NodeGetattrer = (*file)(nil)
	_ fs.NodeSetattrer = (*file)(nil)
	_ fs.NodeFsyncer   = (*file)(nil)
)

// Open implements [fs.NodeOpener]: no page of the file is ever cached.
func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Getattr implements [fs.NodeGetattrer].
func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Nlink = fuse.S_IFREG|0o600, uint64(f.d.size), 1
	out.Blksize, out.Blocks = 4096, uint64(f.d.size/512)
	return 0
}

// Setattr implements [fs.NodeSetattrer]: the disk stays as large as it is.
func (f *file) Setattr(ctx context.Context, h fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return f.Getattr(ctx, h, out)
}

// Read implements [fs.NodeReader].
func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	p := f.d.plan.Load()
	if p.Gone || touched(p.BadRead, off, int64(len(dest))) {
		return nil, syscall.EIO
	}
	n, err := f.d.content.ReadAt(dest, off)
	if n == 0 && err != nil && off < f.d.size {
		return nil, fs.ToErrno(err)
	}
	f.d.read.Add(int64(n))
	return fuse.ReadResultData(dest[:n]), 0
}

// Write implements [fs.NodeWriter].
func (f *file) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	p := f.d.plan.Load()
	if p.Gone || touched(p.BadWrite, off, int64(len(data))) {
		return 0, syscall.EIO
	}
	// Around what is lost the write is good.
	for at := off; at < off+int64(len(data)); {
		end, lost := next(p.Lost, at, off+int64(len(data)))
		if !lost {
			if _, err := f.d.content.WriteAt(data[at-off:end-off], at); err != nil {
				return 0, fs.ToErrno(err)
			}
		}
		at = end
	}
	f.d.written.Add(int64(len(data)))
	return uint32(len(data)), 0
}

// Fsync implements [fs.NodeFsyncer].
func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	if f.d.plan.Load().Gone {
		return syscall.EIO
	}
	return 0
}

func touched(all []Range, off, n int64) bool {
	for _, r := range all {
		if r.touches(off, n) {
			return true
		}
	}
	return false
}

// next is how far from an offset everything is lost, or nothing is.
func next(lost []Range, at, end int64) (int64, bool) {
	for _, r := range lost {
		if at >= r.Off && at < r.Off+r.Len {
			return min(end, r.Off+r.Len), true
		}
	}
	for _, r := range lost {
		if r.Off > at {
			end = min(end, r.Off)
		}
	}
	return end, false
}
