package blockdev

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
)

// content is what sectors of a faulty disk hold, cut at n bytes.
func content(n int64) []byte {
	b := make([]byte, (n+511)/512*512)
	for i := int64(0); i < int64(len(b)); i += 512 {
		faulty.Sector(b[i:i+512], i/512)
	}
	return b[:n]
}

func file(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenRefusesWhatIsNoDisk(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, path string
		o          Options
		want       error
	}{
		{"directory", dir, Options{}, ErrNotDisk},
		{"FIFO", fifo, Options{}, ErrNotDisk},
		{"character device", "/dev/null", Options{}, ErrNotDisk},
		{"empty file", file(t, nil), Options{}, ErrEmpty},
		{"file of less than a sector", file(t, make([]byte, 511)), Options{}, ErrTooSmall},
		{"file of less than a large sector", file(t, make([]byte, 600)), Options{Sector: 4096}, ErrTooSmall},
		{"odd sector size", file(t, make([]byte, 5000)), Options{Sector: 1000}, ErrSectorSize},
		{"nothing there", filepath.Join(dir, "none"), Options{}, fs.ErrNotExist},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _, err := Open(tc.path, tc.o)
			if !errors.Is(err, tc.want) {
				t.Errorf("Open: %v, want %v", err, tc.want)
			}
			if err == nil {
				_ = s.Close()
			}
		})
	}
}

func TestFileIsReadToItsLastByte(t *testing.T) {
	want := content(5*512 + 100)
	s, id, err := Open(file(t, want), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if id.Kind != File || id.Bytes != int64(len(want)) || s.Info().Sectors() != 6 {
		t.Fatalf("%+v", id)
	}
	p := bytes.Repeat([]byte{0xEE}, 6*512)
	if res := s.ReadAt(t.Context(), p, 0, 0); res.Good != 6 || res.Class != rescue.OK {
		t.Fatalf("%+v", res)
	}
	if !bytes.Equal(p[:len(want)], want) || !bytes.Equal(p[len(want):], make([]byte, 6*512-len(want))) {
		t.Error("other content, or no zeros behind the end")
	}
	for _, r := range []struct {
		n      int
		sector int64
	}{{512, 6}, {1024, 5}, {512, -1}, {100, 0}, {0, 0}} {
		if res := s.ReadAt(t.Context(), p[:r.n], r.sector, 0); res.Class == rescue.OK || res.Good != 0 {
			t.Errorf("%d bytes from sector %d: %+v", r.n, r.sector, res)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if res := s.ReadAt(ctx, p, 0, 0); res.Class != rescue.Timeout || !errors.Is(res.Err, context.Canceled) {
		t.Errorf("cancelled: %+v", res)
	}
}

func TestFileThatShrinksHasNotEnded(t *testing.T) {
	for _, tc := range []struct {
		to   int64
		good int64
		want rescue.Class
	}{{3*512 + 10, 3, rescue.SizeChanged}, {0, 0, rescue.Gone}} {
		path := file(t, content(8*512))
		s, _, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := os.Truncate(path, tc.to); err != nil {
			t.Fatal(err)
		}
		if res := s.ReadAt(t.Context(), make([]byte, 8*512), 0, 0); res.Class != tc.want || res.Good != tc.good {
			t.Errorf("cut to %d: %+v, want %v after %d", tc.to, res, tc.want, tc.good)
		}
	}
}

func TestErrnoMeansWhatTheKernelMeans(t *testing.T) {
	for errno, want := range map[unix.Errno]rescue.Class{
		unix.EIO: rescue.Medium, unix.ENODATA: rescue.Medium, unix.EILSEQ: rescue.Medium,
		unix.ETIMEDOUT: rescue.Timeout, unix.ENODEV: rescue.Gone, unix.ENXIO: rescue.Gone, unix.ESTALE: rescue.Gone,
		unix.ENOMEDIUM: rescue.NotReady, unix.ENOLINK: rescue.HostError, unix.EREMOTEIO: rescue.HostError,
		unix.ENOMEM: rescue.HostError, unix.EINVAL: rescue.HostError,
	} {
		if got := classify(&fs.PathError{Op: "read", Path: "x", Err: errno}); got != want {
			t.Errorf("%v: %v, want %v", errno, got, want)
		}
	}
}
