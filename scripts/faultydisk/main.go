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
	"syscall"
	"time"

	"salvor/rescue/blockdev/faulty/fusedisk"
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

	folder, err := fusedisk.Mount(flags.Arg(1))
	if err != nil {
		return err
	}
	path := folder.Add("disk", &disk{content: f, size: st.Size(), sector: *sector, bad: ranges, cost: *cost})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() { folder.Wait(); close(ended) }()
	fmt.Fprintln(stdout, path)
	select {
	case <-stop:
		return folder.Unmount()
	case <-ended:
	}
	return nil
}

// disk is the file with the bad sectors.
type disk struct {
	content io.ReaderAt
	size    int64
	sector  int64
	bad     []span
	cost    time.Duration
}

func (d *disk) Size() int64 { return d.size }

// ReadAt fails when it touches a bad sector.
func (d *disk) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n := min(int64(len(p)), max(d.size-off, 0))
	first, end := off/d.sector, (off+n+d.sector-1)/d.sector
	for _, b := range d.bad {
		if n > 0 && b.first < end && first <= b.last {
			select {
			case <-time.After(d.cost):
			case <-ctx.Done():
			}
			return 0, syscall.EIO
		}
	}
	return d.content.ReadAt(p[:n], off)
}
