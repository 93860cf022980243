package ledger

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"salvor/custody"
	"salvor/custody/journal"
)

// An inflow is a station with a key on disk, and a vault in a directory in which two
// others have published more than was taken in. What was taken in already is the same
// before each trial.
type inflow struct {
	a, b, c *shopfloor
	dir     string // of the ledger; the vault lies in it
	before  []byte // the ledger before
	news    int64  // events of B2 that are not taken in yet
	have    int64  // events of B2 that are
}

func newInflow(t *testing.T, cases int) *inflow {
	t.Helper()
	f := &inflow{dir: privateDir(t)}
	f.a = newShopfloorIn(t, f.dir).quick(t)
	f.a.saveKey(t)
	if err := os.Mkdir(filepath.Join(f.dir, "vault"), 0o700); err != nil {
		t.Fatal(err)
	}
	j := f.journal(t)
	f.b, f.c = f.a.join(t, "B2", j), f.a.join(t, "C3", j)
	f.b.sync(t, j)
	f.a.sync(t, j)
	for range cases {
		f.b.openCase(t)
	}
	f.c.openCase(t)
	for _, s := range []*shopfloor{f.b, f.c} {
		if _, err := s.Publish(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	f.have = f.taken(t, f.a.Ledger, "B2")
	f.news = f.taken(t, f.b.Ledger, "B2") - f.have
	f.a.Close()
	var err error
	if f.before, err = os.ReadFile(f.a.path); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *inflow) journal(t testing.TB) *journal.Journal {
	t.Helper()
	root, err := os.OpenRoot(filepath.Join(f.dir, "vault"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return journal.Open("v1", root)
}

// reset puts the ledger back as it was before anything was taken in.
func (f *inflow) reset(t *testing.T) {
	t.Helper()
	if err := errors.Join(os.WriteFile(f.a.path, f.before, 0o600), os.RemoveAll(f.a.path+"-journal")); err != nil {
		t.Fatal(err)
	}
}

func (f *inflow) open(t *testing.T) *shopfloor {
	t.Helper()
	l, err := Open(t.Context(), f.a.path, f.a.st, f.a.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	return &shopfloor{Ledger: l, path: f.a.path, st: f.a.st, clock: f.a.clock}
}

// taken is how many events of a station a ledger holds.
func (f *inflow) taken(t *testing.T, l *Ledger, station string) int64 {
	t.Helper()
	size, _, err := logEnd(context.WithoutCancel(t.Context()), l.db, station)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// imports is what the child does that is killed.
func imports(l *Ledger, dir string) error {
	root, err := os.OpenRoot(filepath.Join(dir, "vault"))
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = l.Import(context.Background(), journal.Open("v1", root))
	return err
}

func TestKillWhileTakingInLeavesNothingHalf(t *testing.T) {
	f := newInflow(t, 40)
	random := rand.New(rand.NewPCG(3, 4))
	halves := make(map[int64]int)
	for round := range 8 {
		f.reset(t)
		cmd, out := startChild(t, "import", f.dir)
		first := make([]byte, 1)
		if _, err := out.Read(first); err != nil { // it begins now
			t.Fatal(err)
		}
		if round%2 > 0 { // in the transaction: its rollback journal is there
			for range 1_000_000 {
				if info, err := os.Stat(f.a.path + "-journal"); err == nil && info.Size() > 0 {
					break
				}
			}
		}
		for range random.IntN(1 + round*2_000_000) {
			// a moment that no clock chooses
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		s := f.open(t).quick(t)
		got := f.taken(t, s.Ledger, "B2") - f.have
		if halves[got]++; got != 0 && got != f.news {
			t.Errorf("round %d: %d of %d events were taken in", round, got, f.news)
		}
		s.mustAudit(t)
		if err := imports(s.Ledger, f.dir); err != nil {
			t.Errorf("round %d: the next one: %v", round, err)
		}
		if got := f.taken(t, s.Ledger, "B2") - f.have; got != f.news {
			t.Errorf("round %d: the next one has taken in %d of %d", round, got, f.news)
		}
		s.mustAudit(t)
		s.Close()
	}
	t.Logf("taken in when it was killed: %v of %d", halves, f.news)
}

func TestTwoImportsAtOnce(t *testing.T) {
	f := newInflow(t, 20)
	for range 2 {
		f.reset(t)
		one, two := f.open(t), f.open(t)
		results, errs := make([]SyncResult, 3), make([]error, 3)
		var wg sync.WaitGroup
		for i, l := range []*Ledger{one.Ledger, one.Ledger, two.Ledger} {
			wg.Go(func() { results[i], errs[i] = l.Import(context.WithoutCancel(t.Context()), f.journal(t)) })
		}
		cmd, _ := startChild(t, "import", f.dir) // and another process
		wg.Wait()
		if err := errors.Join(errors.Join(errs...), cmd.Wait()); err != nil {
			t.Fatal(err)
		}
		if got := f.taken(t, two.Ledger, "B2") - f.have; got != f.news {
			t.Errorf("%d of %d events", got, f.news)
		}
		two.mustAudit(t)
		one.Close()
		two.Close()
	}
}

// One signature among many does not hold: exactly that file is named, nothing of its
// station is taken in, and the other stations' events are.
func TestOneBadSignatureAmongMany(t *testing.T) {
	f := newInflow(t, 30)
	s, j := f.open(t), f.journal(t)
	defer s.Close()
	files, _, err := j.Files("B2")
	if err != nil {
		t.Fatal(err)
	}
	bad := files[len(files)/2]
	path := filepath.Join(f.dir, "vault/.salvor", bad.Name())
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spoiled := bytes.Clone(good)
	at := len(spoiled) - 20 // within the signature: name, key and text stay
	spoiled[at] = map[bool]byte{true: 'B', false: 'A'}[spoiled[at] == 'A']
	if err := os.WriteFile(path, spoiled, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := s.Import(t.Context(), j)
	if !errors.Is(err, journal.ErrForeign) || len(r.Refusals) != 1 || r.Refusals[0].File != bad.Name() || r.Refusals[0].Station != "B2" {
		t.Errorf("%v %v", err, r.Refusals)
	}
	if got := f.taken(t, s.Ledger, "B2"); got != f.have {
		t.Errorf("%d events of it were taken in", got-f.have)
	}
	if own, got := f.taken(t, f.c.Ledger, "C3"), f.taken(t, s.Ledger, "C3"); got != own {
		t.Errorf("%d of %d events of another station", got, own)
	}
	s.mustAudit(t)
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Import(t.Context(), j); err != nil || int64(r.Imported) != f.news {
		t.Errorf("mended: %d %v", r.Imported, err)
	}
	s.mustAudit(t)
}

func TestFullDiskWhileTakingIn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	f := newInflow(t, 40)
	small := privateDir(t)
	if err := unix.Mount("salvor-test", small, "tmpfs", 0, "size=16m,mode=0700"); err != nil {
		t.Skipf("no tmpfs here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(small, 0); err != nil {
			t.Errorf("umount: %v", err)
		}
	})
	path := filepath.Join(small, "ledger.db")
	if err := os.WriteFile(path, f.before, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), path, f.a.st, f.a.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	s := &shopfloor{Ledger: l, path: path, st: f.a.st, clock: f.a.clock}
	defer s.Close()
	if err := os.WriteFile(filepath.Join(small, "ballast"), make([]byte, 16<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("ballast: %v", err)
	}
	if err := os.Truncate(filepath.Join(small, "ballast"), 16<<20-int64(len(f.before))-60<<10); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(t.Context(), f.journal(t)); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("full disk: %v", err)
	}
	if got := f.taken(t, s.Ledger, "B2"); got != f.have {
		t.Errorf("%d events were taken in", got-f.have)
	}
	s.mustAudit(t)
	if err := os.Remove(filepath.Join(small, "ballast")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(t.Context(), f.journal(t)); err != nil {
		t.Fatalf("with room: %v", err)
	}
	if got := f.taken(t, s.Ledger, "B2") - f.have; got != f.news {
		t.Errorf("with room: %d of %d", got, f.news)
	}
	s.mustAudit(t)
}

// Two histories that part in an earlier batch than the one which shows it.
func TestEquivocationOverSeveralBatches(t *testing.T) {
	a, v, w := newShopfloor(t), newVault("v1"), newVault("v2")
	no, other := a.openCase(t), a.openCase(t)
	b := a.join(t, "B2", v.Journal)
	b.sync(t, v.Journal, w.Journal)
	a.sync(t, v.Journal, w.Journal)
	clone := b.clone(t)
	// The station goes on before everybody's eyes, in two batches.
	for i := range 2 {
		b.append(t, Entry{Pub: custody.Heartbeat{}}, Entry{Pub: custody.Heartbeat{}})
		if i == 0 {
			b.append(t, hold(no, "h1"))
		}
		b.sync(t, v.Journal)
		a.sync(t, v.Journal)
	}
	// Its clone signs a longer history, and shows that in the other vault.
	clone.append(t, hold(other, "h2"))
	for range 9 {
		clone.append(t, Entry{Pub: custody.Heartbeat{}})
	}
	if _, err := clone.Publish(t.Context(), w.Journal); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Import(t.Context(), w.Journal); !errors.Is(err, ErrFork) {
		t.Fatal(err)
	}
	forks, err := a.Forks(t.Context())
	if err != nil || len(forks) != 10 || !slices.ContainsFunc(forks, func(e Evidence) bool { return e.Event.Type() == custody.TypeHoldAdded }) {
		t.Errorf("evidence: %d %v", len(forks), err)
	}
	for _, no := range []custody.CaseNo{no, other} {
		if c, err := a.Case(t.Context(), no); err != nil || !c.Held() {
			t.Errorf("a hold on one side does not hold: %v", err)
		}
	}
	if _, err := a.CaseUnderLock(t.Context(), other, v.Journal, w.Journal); !errors.Is(err, ErrFork) {
		t.Errorf("a purge: %v", err)
	}
	if r, err := a.Audit(t.Context()); !errors.Is(err, ErrAudit) || !slices.ContainsFunc(r.Faults, func(f Fault) bool { return strings.Contains(f.What, "cloned") }) {
		t.Errorf("audit: %v %v", err, r.Faults)
	}
}

// clone opens a copy of a station's ledger with the same key.
func (s *shopfloor) clone(t *testing.T) *shopfloor {
	t.Helper()
	path := copyFile(t, s.path)
	l, err := Open(t.Context(), path, s.st, s.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &shopfloor{Ledger: l, path: path, st: s.st, clock: s.clock}
}
