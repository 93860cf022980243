// Faultydisk serves a file as a disk with bad sectors, through FUSE:
//
//	faultydisk --bad 2048-2055,9000 disk.img DIR
//
// DIR/disk then has the content of disk.img and fails with EIO exactly for reads
// that touch a sector named by --bad. Under `losetup --direct-io=on` it becomes a
// block device that fails alike. It is for demonstrations and tests; it serves
// until SIGINT or SIGTERM, or until DIR is unmounted, and prints the path of the
// disk as soon as it can be read.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); errors.Is(err, errUsage) {
		os.Exit(2)
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "faultydisk:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("faultydisk", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: faultydisk [--bad RANGES] [--sector BYTES] [--cost DURATION] FILE DIR")
		flags.PrintDefaults()
	}
	bad := flags.String("bad", "", "bad sectors: `RANGES` such as 2048-2055,9000 (both ends bad)")
	sector := flags.Int64("sector", 512, "sector size in `BYTES`")
	cost := flags.Duration("cost", 0, "how long a read of a bad sector takes to fail")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return errUsage
	case flags.NArg() != 2 || *sector < 1:
		flags.Usage()
		return errUsage
	}
	ranges, err := parseRanges(*bad)
	if err != nil {
		return err
	}
	f, err := os.Open(flags.Arg(0))
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}

	d := &disk{content: f, size: st.Size(), sector: *sector, bad: ranges, cost: *cost}
	server, err := fs.Mount(flags.Arg(1), &folder{disk: d}, &fs.Options{MountOptions: fuse.MountOptions{
		FsName: "faultydisk", Name: "faultydisk", MaxWrite: 1 << 20, MaxReadAhead: 1 << 20,
		DisableXAttrs: true, DisableSplice: true, // a pipe is too small for a whole read and its header
	}})
	if err != nil {
		return fmt.Errorf("mount %s: %w", flags.Arg(1), err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() { server.Wait(); close(ended) }()
	fmt.Fprintln(stdout, filepath.Join(flags.Arg(1), "disk"))
	select {
	case <-stop:
		if err := server.Unmount(); err != nil {
			return fmt.Errorf("unmount %s: %w", flags.Arg(1), err)
		}
	case <-ended:
	}
	return nil
}

// folder is the mount point: it holds the disk and nothing else.
type folder struct {
	fs.Inode
	disk *disk
}

var _ fs.NodeOnAdder = (*folder)(nil)

func (r *folder) OnAdd(ctx context.Context) {
	r.AddChild("disk", r.NewPersistentInode(ctx, r.disk, fs.StableAttr{Mode: fuse.S_IFREG}), true)
}

// disk is the file with the bad sectors.
type disk struct {
	fs.Inode
	content io.ReaderAt
	size    int64
	sector  int64
	bad     []span
	cost    time.Duration
}

var (
	_ fs.NodeOpener    = (*disk)(nil)
	_ fs.NodeReader    = (*disk)(nil)
	_ fs.NodeGetattrer = (*disk)(nil)
)

// Open allows reading only, past the page cache: what is asked for is what is read,
// neither more nor rounded to pages.
func (d *disk) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, syscall.EROFS
	}
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Read fails when it touches a bad sector. It returns either data or an errno: with
// both, the library would lose the errno.
func (d *disk) Read(ctx context.Context, _ fs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n := min(int64(len(p)), max(d.size-off, 0))
	first, end := off/d.sector, (off+n+d.sector-1)/d.sector
	for _, b := range d.bad {
		if n > 0 && b.first < end && first <= b.last {
			select {
			case <-time.After(d.cost):
			case <-ctx.Done():
			}
			return nil, syscall.EIO
		}
	}
	if _, err := d.content.ReadAt(p[:n], off); err != nil && !errors.Is(err, io.EOF) {
		return nil, fs.ToErrno(err)
	}
	return fuse.ReadResultData(p[:n]), 0
}

func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Nlink = fuse.S_IFREG|0o444, 1
	out.Size, out.Blocks, out.Blksize = uint64(d.size), uint64(d.size+511)/512, uint32(d.sector)
	return 0
}
