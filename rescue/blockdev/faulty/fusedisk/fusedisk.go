// Package fusedisk serves failing disks as files of a FUSE file system, so that the
// kernel itself reads them and reports what is wrong:
//
//	Content ── FUSE, errno ── file ── losetup --direct-io=on ── block device
//
// What a read of the file asks for is what the content is asked for: neither the page
// cache nor read-ahead comes between.
package fusedisk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Content is what a disk holds, and how reading it goes wrong. Its methods are called
// from several goroutines.
type Content interface {
	// ReadAt reads as [io.ReaderAt] does. A [syscall.Errno] in its error is what the
	// reader is told; of a read that fails it gets no data. ctx ends when the reader
	// gives up waiting.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	// Size is the size in bytes. It may change.
	Size() int64
}

// Folder is a mounted file system of disks.
type Folder struct {
	dir    string
	server *fuse.Server
	root   fs.Inode
	inode  atomic.Uint64
}

// Mount mounts a folder without disks on the directory dir. It needs /dev/fuse, and
// root or fusermount.
func Mount(dir string) (*Folder, error) {
	f := &Folder{dir: dir}
	server, err := fs.Mount(dir, &f.root, &fs.Options{MountOptions: fuse.MountOptions{
		FsName: "faultydisk", Name: "faultydisk", MaxWrite: 1 << 20, MaxReadAhead: 1 << 20,
		ExtraCapabilities: fuse.CAP_ASYNC_DIO,        // a read that hangs hangs alone
		DisableXAttrs:     true, DisableSplice: true, // a pipe is too small for a whole read and its header
	}})
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", dir, err)
	}
	f.server = server
	return f, nil
}

// Add puts a disk into the folder and returns the path of its file.
func (f *Folder) Add(name string, c Content) string {
	n := f.root.NewPersistentInode(context.Background(), &disk{content: c}, fs.StableAttr{Mode: fuse.S_IFREG, Ino: 2 + f.inode.Add(1)})
	f.root.AddChild(name, n, true)
	return filepath.Join(f.dir, name)
}

// Wait returns when the folder is no longer mounted.
func (f *Folder) Wait() { f.server.Wait() }

// Unmount fails while a file is open.
func (f *Folder) Unmount() error {
	if err := f.server.Unmount(); err != nil {
		return fmt.Errorf("unmount %s: %w", f.dir, err)
	}
	return nil
}

// disk is the file of a disk.
type disk struct {
	fs.Inode
	content Content
}

var (
	_ fs.NodeOpener    = (*disk)(nil)
	_ fs.NodeReader    = (*disk)(nil)
	_ fs.NodeGetattrer = (*disk)(nil)
)

// Open allows reading only, past the page cache.
func (d *disk) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, syscall.EROFS
	}
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Read returns either data or an errno: with both, the library would lose the errno.
func (d *disk) Read(ctx context.Context, _ fs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := d.content.ReadAt(ctx, p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fs.ToErrno(err)
	}
	return fuse.ReadResultData(p[:n]), 0
}

func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	size := d.content.Size()
	out.Mode, out.Nlink = fuse.S_IFREG|0o444, 1
	out.Size, out.Blocks, out.Blksize = uint64(size), uint64(size+511)/512, 4096
	return 0
}
