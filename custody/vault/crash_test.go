package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"

	"salvor/custody/vault"
	"salvor/custody/vault/storetest"
)

var errPower = errors.New("the power is gone")

// A plug is a store that loses its power at the n-th change, and counts them.
type plug struct {
	mu   sync.Mutex
	at   int
	n    int
	dead bool
}

func (p *plug) fault(op storetest.Op, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if op != storetest.OpRead && op != storetest.OpOpen {
		p.n++
	}
	if p.n == p.at && !p.dead {
		p.dead = true
		if op == storetest.OpWrite {
			return errors.Join(storetest.ErrPart, errPower)
		}
	}
	if p.dead {
		return errPower
	}
	return nil
}

// small makes records and segments small, so that a little data crosses many of them.
func small(size int64) vault.Superblock {
	sb := theBench().superblock(size)
	sb.MaxRecord = 64 << 10
	sb.MaxSegment = 256 << 10
	return sb
}

// A witness notes what a run was told to be durable.
type witness struct {
	mu    sync.Mutex
	acked vault.Position
}

func (w *witness) options() vault.Options {
	o := theBench().options()
	o.Unacked = 256 << 10
	o.OnAck = func(p vault.Position) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.acked = p
	}
	return o
}

func (w *witness) position() vault.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked
}

// rescue writes what the map says is missing, as the imaging engine does.
func rescue(ctx context.Context, w *vault.Writer, runs []vault.Run, p []byte) error {
	p = sectors(p, 512)
	for _, r := range runs {
		if r.Status == '+' {
			continue
		}
		for at := r.First; at < r.First+r.Sectors; at += 128 {
			end := min(at+128, r.First+r.Sectors)
			if err := w.Write(ctx, at, p[at*512:end*512], 1, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// image runs a whole image, resuming when there is something to resume.
func image(ctx context.Context, st vault.Store, seen *witness, want []byte) error {
	w, err := vault.Start(ctx, st, st, ref, small(int64(len(want))), seen.options())
	runs := []vault.Run{{Sectors: int64(len(sectors(want, 512)) / 512), Status: '?'}}
	if errors.Is(err, vault.ErrExists) {
		var c *vault.Container
		if w, c, err = vault.Resume(ctx, st, st, ref, seen.position(), seen.options()); err == nil {
			runs = c.Runs()
		}
	}
	if err != nil {
		return err
	}
	half := len(runs) / 2
	if err := rescue(ctx, w, runs[:half], want); err != nil {
		w.Abort()
		return err
	}
	if err := w.Mark(ctx, 0, 8, '*', 1); err != nil {
		w.Abort()
		return err
	}
	if err := rescue(ctx, w, runs[half:], want); err != nil {
		w.Abort()
		return err
	}
	_, err = w.Seal(ctx)
	return err
}

// checkWhole wants exactly the source, sealed and verified.
func checkWhole(t *testing.T, st vault.Store, want []byte) {
	t.Helper()
	c, r := unlock(t, st, st)
	if _, err := c.VerifyMedia(t.Context(), theBench().verifier, nil); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := r.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("content differs")
	}
}

// checkNoLie wants every sector that the map calls read to be the source's.
func checkNoLie(t *testing.T, st vault.Store, want []byte) {
	t.Helper()
	c, err := vault.OpenImage(t.Context(), st, ref)
	if errors.Is(err, vault.ErrNotFound) || errors.Is(err, vault.ErrCorrupt) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Unlock(t.Context(), st, theBench().identity)
	if errors.Is(err, vault.ErrKeyFile) && c.Position().Records == 0 {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, run := range c.Runs() {
		if run.Status != '+' {
			continue
		}
		off, end := run.First*512, min((run.First+run.Sectors)*512, int64(len(want)))
		got := make([]byte, end-off)
		if _, err := r.ReadAt(got, off); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want[off:end]) {
			t.Fatalf("sectors from %d differ", run.First)
		}
	}
}

func TestPowerCutAtEveryWriteAndFsyncLosesNothingAcknowledged(t *testing.T) {
	want := source(900<<10+100, 11)
	var count plug
	if err := image(t.Context(), &storetest.Faulty{Store: storetest.NewMemory(), Fault: count.fault}, new(witness), want); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d changes", count.n)
	for at := 1; at <= count.n; at++ {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(at), 5))
			mem, seen := storetest.NewMemory(), new(witness)
			cut := plug{at: at}
			if err := image(t.Context(), &storetest.Faulty{Store: mem, Fault: cut.fault}, seen, want); !errors.Is(err, errPower) {
				// The cut fell on something that costs nothing, such as the footer.
				if err != nil {
					t.Fatal(err)
				}
			}
			mem = mem.Crash(r)
			checkNoLie(t, mem, want)
			c, err := vault.OpenImage(t.Context(), mem, ref)
			if err == nil {
				err = c.Check(seen.position())
			}
			if err != nil && seen.position().Records > 0 {
				t.Fatalf("after the cut: %v", err)
			}
			// The second run is cut too, somewhere.
			again := plug{at: 1 + r.IntN(40)}
			err = image(t.Context(), &storetest.Faulty{Store: mem, Fault: again.fault}, seen, want)
			if err != nil && !errors.Is(err, errPower) && !errors.Is(err, vault.ErrSealed) {
				t.Fatal(err)
			}
			mem = mem.Crash(r)
			checkNoLie(t, mem, want)
			if err := image(t.Context(), mem, seen, want); err != nil && !errors.Is(err, vault.ErrSealed) {
				t.Fatal(err)
			}
			checkWhole(t, mem, want)
		})
	}
}

// failing fails the n-th operation of a kind on names with a suffix, for as many times as asked.
func failing(op storetest.Op, suffix string, from, times int, err error) func(storetest.Op, string) error {
	var mu sync.Mutex
	n := 0
	return func(o storetest.Op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if o != op || !bytes.HasSuffix([]byte(name), []byte(suffix)) {
			return nil
		}
		if n++; n >= from && n < from+times {
			return err
		}
		return nil
	}
}

func TestWriteOrFsyncErrorMovesTheUnacknowledgedToANewSegment(t *testing.T) {
	want := source(2<<20, 12)
	for _, op := range []storetest.Op{storetest.OpWrite, storetest.OpSync, storetest.OpCreate} {
		for from := 1; from <= 6; from++ {
			t.Run(fmt.Sprintf("%s %d", op, from), func(t *testing.T) {
				mem := storetest.NewMemory()
				fault := failing(op, ".seg", from, 1, syscall.EIO)
				st := &storetest.Faulty{Store: mem, Fault: fault}
				w, err := vault.Start(t.Context(), st, st, ref, theBench().superblock(2<<20), new(witness).options())
				if err != nil {
					t.Fatal(err)
				}
				// Every buffer comes back once, and the source is read once.
				var mu sync.Mutex
				out := 0
				for off := 0; off < len(want); off += 64 << 10 {
					p := slices.Clone(want[off : off+64<<10])
					mu.Lock()
					out++
					mu.Unlock()
					err := w.Write(t.Context(), int64(off/512), p, 1, func() {
						mu.Lock()
						defer mu.Unlock()
						out--
						clear(p)
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				seal, err := w.Seal(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if out != 0 {
					t.Errorf("%d buffers not released", out)
				}
				t.Logf("%d segments", seal.Segments)
				checkWhole(t, mem, want)
			})
		}
	}
}

func TestFullDiskSurfacesWithItsErrnoAndKeepsWhatWasAcknowledged(t *testing.T) {
	want := source(2<<20, 13)
	for _, errno := range []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS} {
		for _, op := range []storetest.Op{storetest.OpCreate, storetest.OpWrite, storetest.OpSync, storetest.OpSyncDir} {
			for _, suffix := range []string{".seg", ".age", ".slv", ".note", "image-01"} {
				if (op == storetest.OpSyncDir) != (suffix == "image-01") {
					continue
				}
				for _, from := range []int{1, 3} {
					t.Run(fmt.Sprintf("%v %s %s %d", errno, op, suffix, from), func(t *testing.T) {
						mem, seen := storetest.NewMemory(), new(witness)
						st := &storetest.Faulty{Store: mem, Fault: failing(op, suffix, from, 1<<30, errno)}
						err := image(t.Context(), st, seen, want)
						if err != nil && !errors.Is(err, errno) {
							t.Fatalf("the errno is lost: %v", err)
						}
						if err == nil && (from == 1 && op != storetest.OpSyncDir) {
							t.Fatal("no error")
						}
						mem = mem.Crash(rand.New(rand.NewPCG(3, 3)))
						checkNoLie(t, mem, want)
						if err := image(t.Context(), mem, seen, want); err != nil && !errors.Is(err, vault.ErrSealed) {
							t.Fatal(err)
						}
						checkWhole(t, mem, want)
					})
				}
			}
		}
	}
}

func TestNoFlushIsRememberedAndCloseErrorsCountThen(t *testing.T) {
	want := source(300<<10, 14)
	mem := storetest.NewMemory()
	noFlush := fmt.Errorf("%w: %w", vault.ErrNoFlush, syscall.ENOTSUP)
	st := &storetest.Faulty{Store: mem, Fault: func(op storetest.Op, _ string) error {
		if op == storetest.OpSync || op == storetest.OpSyncDir {
			return noFlush
		}
		return nil
	}}
	w, err := vault.Start(t.Context(), st, st, ref, small(int64(len(want))), new(witness).options())
	if err != nil {
		t.Fatal(err)
	}
	if err := writeAll(t.Context(), w, want, 512, 64<<10); err != nil {
		t.Fatal(err)
	}
	seal, err := w.Seal(t.Context())
	if err != nil || !seal.NoFlush || !w.NoFlush() {
		t.Fatalf("seal %+v, %v", seal, err)
	}
	checkWhole(t, mem, want)

	st = &storetest.Faulty{Store: storetest.NewMemory(), Fault: func(op storetest.Op, name string) error {
		switch {
		case op == storetest.OpSync || op == storetest.OpSyncDir:
			return noFlush
		case op == storetest.OpClose && bytes.HasSuffix([]byte(name), []byte(".seg")):
			return syscall.ENOSPC
		}
		return nil
	}}
	if err := image(t.Context(), st, new(witness), want); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("close of a file that could not be flushed: %v", err)
	}
}

func TestCloseErrorAfterFsyncCostsNothing(t *testing.T) {
	want := source(900<<10, 15)
	mem := storetest.NewMemory()
	st := &storetest.Faulty{Store: mem, Fault: failing(storetest.OpClose, ".seg", 1, 1<<30, syscall.EIO)}
	if err := image(t.Context(), st, new(witness), want); err != nil && !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	checkWhole(t, mem, want)
}

func TestKeyFileIsDurableAndReadBackBeforeTheFirstRecord(t *testing.T) {
	mem := storetest.NewMemory()
	var log []string
	st := &storetest.Faulty{Store: mem, Fault: func(op storetest.Op, name string) error {
		log = append(log, string(op)+" "+name)
		return nil
	}}
	o := theBench().options()
	refused := errors.New("the ledger is full")
	o.OnKey = func(k vault.KeyFile) error {
		log = append(log, "told "+k.File)
		return refused
	}
	if _, err := vault.Start(t.Context(), st, st, ref, small(1<<20), o); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	const key = "keystore/T1-2026-0001/image-01/0001.age"
	order := []string{"create " + key, "write " + key, "sync " + key, "syncdir keystore/T1-2026-0001/image-01", "read " + key, "told " + key}
	at := 0
	for _, l := range log {
		if at < len(order) && l == order[at] {
			at++
		}
	}
	if at != len(order) {
		t.Errorf("%q is missing or out of order in %q", order[at], log)
	}
	for _, name := range mem.Names() {
		if bytes.HasSuffix([]byte(name), []byte(".seg")) {
			t.Errorf("%s was made although the key was refused", name)
		}
	}
}
