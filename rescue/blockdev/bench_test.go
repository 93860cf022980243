package blockdev

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue"
	"salvor/rescue/mapfile"
)

// nowhere lets go of everything at once.
type nowhere struct{}

func (nowhere) Write(_ context.Context, _ int64, _ []byte, _ uint8, release func()) error {
	release()
	return nil
}

func (nowhere) Mark(context.Context, int64, int64, byte, uint8) error { return nil }

// BenchmarkHealthyFile reads a gigabyte out of the page cache through the whole
// engine, two reads under way: what the source side can do when the disk is no limit.
func BenchmarkHealthyFile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "disk.img")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	piece := content(1 << 20)
	for range 1024 {
		if _, err := f.Write(piece); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(1 << 30)
	for b.Loop() {
		src, _, err := Open(path, Options{})
		if err != nil {
			b.Fatal(err)
		}
		m := mapfile.New(src.Info().Sectors())
		out, err := rescue.Run(b.Context(), src, nowhere{}, m, rescue.Options{Now: time.Now, After: time.After})
		if err != nil || !out.Complete() {
			b.Fatal(out, err)
		}
		if err := src.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHealthyDevice reads a loop device past the page cache through the whole
// engine: as it is done, and with a thread that waits for every read.
func BenchmarkHealthyDevice(b *testing.B) {
	dev := loop(b, file(b, content(256<<20)))
	for _, way := range []string{"io_uring", "pread"} {
		b.Run(way, func(b *testing.B) {
			b.SetBytes(256 << 20)
			before := processorTime(b)
			for b.Loop() {
				src, _, err := Open(dev, Options{})
				if err != nil {
					b.Fatal(err)
				}
				src.at.rings.none.Store(way == "pread")
				m := mapfile.New(src.Info().Sectors())
				out, err := rescue.Run(b.Context(), src, nowhere{}, m, rescue.Options{Now: time.Now, After: time.After})
				if err != nil || !out.Complete() {
					b.Fatal(out, err)
				}
				if err := src.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processorTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// processorTime is what this process has used of the processors.
func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
