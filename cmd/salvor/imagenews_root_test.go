package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/rescue/blockdev/faulty/fusedisk"
)

// halting is a disk that gives its first MiB at once, and the rest when it is let go.
type halting struct {
	content []byte
	once    sync.Once
	asked   chan struct{} // closed when it is asked for the rest
	release chan struct{}
}

func (d *halting) Size() int64 { return int64(len(d.content)) }

func (d *halting) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	if off >= 1<<20 {
		d.once.Do(func() { close(d.asked) })
		<-d.release
	}
	return copy(p, d.content[off:]), nil
}

// second lets another station into the shop.
func (b *bench) second(name string) (state string) {
	b.t.Helper()
	state = filepath.Join(b.dir, name)
	ask := b.command("--state", state, "init", "--join", b.vault, "--station", name, "--shop", "Fixit bv", "--dpo", "d")
	code, err := ask.Output()
	if err != nil {
		b.t.Fatalf("ask: %v", err)
	}
	b.must("station", "approve", name, "--code", strings.TrimSpace(string(code)))
	b.must("--state", state, "init", "--join", b.vault)
	return state
}

// TestOtherStationsLearnOfAnImageWhileItIsMade: that a disk is being imaged is known at
// another station before the disk is read to its end, and what that station decides about
// the case is known here.
func TestOtherStationsLearnOfAnImageWhileItIsMade(t *testing.T) {
	needRoot(t)
	b := newBench(t, 512)
	other := b.second("N1")
	disk := &halting{content: diskContent(8<<20, t.Name()), asked: make(chan struct{}), release: make(chan struct{})}
	mnt := filepath.Join(b.dir, "mnt")
	if err := os.Mkdir(mnt, 0o700); err != nil {
		t.Fatal(err)
	}
	folder, err := fusedisk.Mount(mnt)
	if err != nil {
		t.Skip("no FUSE: ", err)
	}
	t.Cleanup(func() {
		if err := folder.Unmount(); err != nil {
			t.Error(err)
		}
	})
	clock := filepath.Join(b.dir, "clock")
	t.Setenv(clockFile, clock)
	c := b.command("image", folder.Add("disk.img", disk), "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "9d")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	released := false
	letGo := func() {
		if !released {
			released = true
			close(disk.release)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(letGo)
	// until asks again and again while the disk halts.
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 200 {
			select {
			case err := <-ended:
				t.Fatalf("%s: imaging has ended: %v\n%s", what, err, out.String())
			default:
			}
			if ok() {
				return
			}
			<-time.After(100 * time.Millisecond)
		}
		t.Fatalf("%s: not while the disk is read", what)
	}
	<-disk.asked
	until("the image", func() bool {
		code, text := b.run("--state", other, "show", caseNo(1))
		return code == 0 && strings.Contains(text, "image-01")
	})
	b.must("--state", other, "hold", "add", caseNo(1), "--kind", "legal", "--reason", "claim", "--review", "6m")
	if err := os.WriteFile(clock, []byte("5m"), 0o600); err != nil { // past the wait between two exchanges
		t.Fatal(err)
	}
	until("the hold", func() (held bool) {
		b.ledger(func(ctx context.Context, l *ledger.Ledger) {
			found, err := l.Case(ctx, custody.CaseNo(caseNo(1)))
			held = err == nil && found.Held() && found.Images[0].State == custody.ImageIsStarted
		})
		return held
	})
	letGo()
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	b.must("--state", other, "verify", caseNo(1))
	b.must("audit")
}
