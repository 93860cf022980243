package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"salvor/cmd/salvor/internal/ui"
	"salvor/rescue/blockdev/faulty/fusedisk"
)

// half is a disk that answers in its first half and hangs in the second, until it is let go.
type half struct {
	bytes int64
	let   chan struct{}
}

func (h *half) Size() int64 { return h.bytes }

func (h *half) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off >= 1<<20 && off < 1<<20+4096 || off < 1<<20 && off+int64(len(p)) > 1<<20 {
		return 0, syscall.EIO
	}
	if off+int64(len(p)) > h.bytes/2 {
		select {
		case <-h.let:
		case <-ctx.Done():
		}
	}
	clear(p)
	return len(p), nil
}

// TestTheStatusOfAHangingDiskOnATerminal runs the program as a technician does: six
// lines while the disk hangs, and a terminal as it was after Ctrl-C.
func TestTheStatusOfAHangingDiskOnATerminal(t *testing.T) {
	needRoot(t)
	b := newBench(t, 512)
	mnt := filepath.Join(b.dir, "mnt")
	if err := os.Mkdir(mnt, 0o700); err != nil {
		t.Fatal(err)
	}
	folder, err := fusedisk.Mount(mnt)
	if err != nil {
		t.Skip("no FUSE: ", err)
	}
	disk := &half{bytes: 8 << 20, let: make(chan struct{})}
	release := sync.OnceFunc(func() { close(disk.let) })
	t.Cleanup(func() {
		release()
		if err := folder.Unmount(); err != nil {
			t.Error(err)
		}
	})
	c := b.command("image", folder.Add("disk.img", disk), "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "9d")
	c.Env = append(c.Env, "TERM=xterm", "LC_ALL=C.UTF-8", "NO_COLOR=")
	tty, err := pty.StartWithSize(c, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Skip("no pseudo-terminal: ", err)
	}
	defer tty.Close()
	var seen strings.Builder
	buf := make([]byte, 4096)
	await := func(text string) {
		t.Helper()
		for !strings.Contains(seen.String(), text) {
			n, err := tty.Read(buf)
			seen.Write(buf[:n])
			if err != nil {
				t.Fatalf("waiting for %q: %v; seen %q", text, err, seen.String())
			}
		}
	}
	await("image " + caseNo(1) + "/image-01, image file, 8.4 MB")
	await("last read ")
	await("░")
	await("\x1b[6A\x1b[J") // drawn in its place
	if out := b.must("map", caseNo(1)); !strings.Contains(out, "image-01  started, 8.4 MB") {
		t.Errorf("the map meanwhile: %s", out)
	}
	if _, err := tty.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := tty.Read(buf)
		seen.Write(buf[:n])
		if err != nil { // EIO: the program has ended
			break
		}
	}
	_ = c.Wait() // the disk still hangs
	if got := c.ProcessState.ExitCode(); got != ui.Interrupted {
		t.Errorf("exit status %d", got)
	}
	all := seen.String()
	before, _, interrupted := strings.Cut(all, "salvor: image")
	if !interrupted || !strings.HasSuffix(before, "\x1b[J") {
		t.Errorf("the status was not taken away: %q", all)
	}
	if strings.Contains(all, "\x1b[?") || strings.Contains(all, "Peeters") {
		t.Errorf("the terminal was changed, or a name shown: %q", all)
	}
}
