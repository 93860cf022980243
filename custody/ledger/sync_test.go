package ledger

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/journal/journaltest"
)

// memoryVault is a vault whose journal lies in memory.
type memoryVault struct {
	*journal.Journal
	files *journaltest.Faulty
	mem   *journaltest.Memory
}

func newVault(id string) memoryVault {
	mem := &journaltest.Memory{}
	f := &journaltest.Faulty{Store: mem}
	return memoryVault{journal.New(id, f), f, mem}
}

// quick makes a ledger not wait for the disk.
func (s *shopfloor) quick(t testing.TB) *shopfloor {
	t.Helper()
	run(t, s.db, `PRAGMA synchronous = OFF`)
	return s
}

func (s *shopfloor) sync(t testing.TB, journals ...*journal.Journal) SyncResult {
	t.Helper()
	r, err := s.Sync(context.WithoutCancel(t.Context()), journals...)
	if err != nil {
		t.Fatalf("sync of %s: %v", s.st.Name(), err)
	}
	return r
}

// join enrols a further station through a vault, and gives it its ledger.
func (s *shopfloor) join(t testing.TB, name string, v *journal.Journal) *shopfloor {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	s.sync(t, v)
	o := &shopfloor{path: filepath.Join(privateDir(t), "ledger.db"), st: newStation(t, name), clock: s.clock}
	code, err := AskToJoin(v, o.st)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Approve(ctx, testOp, name, strings.ToUpper(code), v); err != nil {
		t.Fatal(err)
	}
	root, _, err := v.Shop()
	if err != nil {
		t.Fatal(err)
	}
	if o.Ledger, _, err = Join(ctx, o.path, o.st, root, s.clock.now, v); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	s.sync(t, v)
	return o.quick(t)
}

// state is everything that two stations with the same events must agree on.
type state struct {
	Cases   []custody.Case
	Shop    custody.Shop
	Private map[custody.CaseNo]map[custody.Ref]map[string]string
}

func (s *shopfloor) state(t testing.TB) state {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var st state
	var err error
	if st.Cases, err = s.Cases(ctx, Filter{All: true}); err != nil {
		t.Fatal(err)
	}
	if st.Shop, err = s.Shop(ctx); err != nil {
		t.Fatal(err)
	}
	st.Private = make(map[custody.CaseNo]map[custody.Ref]map[string]string)
	for _, c := range st.Cases {
		if st.Private[c.No], err = s.PrivateOfCase(ctx, c.No); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

func sameState(t testing.TB, a, b *shopfloor) {
	t.Helper()
	if d := cmp.Diff(a.state(t), b.state(t), cmpopts.EquateEmpty(), cmp.AllowUnexported(custody.Keep{})); d != "" {
		t.Errorf("%s and %s differ:\n%s", a.st.Name(), b.st.Name(), d)
	}
}

func TestTwoStationsHoldTheSame(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	no := a.openCase(t)
	a.startImage(t, no, "image-01")
	b := a.join(t, "B2", v.Journal)
	sameState(t, a, b)

	other := b.openCase(t)
	if other != "B2-2026-0001" {
		t.Errorf("case of the second station is %s", other)
	}
	b.append(t, Entry{Case: no, Pub: custody.HoldAdded{Hold: "h1", Kind: custody.HoldLegal, Review: "2027-01-01"}, Private: map[string]string{"reason": "claim"}})
	b.sync(t, v.Journal)
	a.sync(t, v.Journal)
	sameState(t, a, b)
	c, err := a.Case(t.Context(), no)
	if err != nil || !c.Held() {
		t.Errorf("the hold has not arrived: %v", err)
	}
	// What a station records next names what it has seen.
	e := a.append(t, Entry{Case: no, Pub: custody.HoldEnded{Hold: "h1"}})[0]
	if e.Heads["B2"].Size < 5 || len(e.CaseHeads) != 1 || e.CaseHeads[0].Station != "B2" {
		t.Errorf("heads %v, case heads %v", e.Heads, e.CaseHeads)
	}
	a.sync(t, v.Journal)
	b.sync(t, v.Journal)
	sameState(t, a, b)
	a.mustAudit(t)
	b.mustAudit(t)
	if r := a.sync(t, v.Journal); r.Imported+r.Published+r.Opened+r.Erased != 0 {
		t.Errorf("nothing was new: %+v", r)
	}
}

func TestErasedPrivatePartsGoEverywhere(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	no := a.openCase(t)
	b := a.join(t, "B2", v.Journal)
	sealed := func() (n int) {
		for _, name := range v.mem.Names() {
			if strings.HasPrefix(name, "private/"+string(no)) {
				n++
			}
		}
		return n
	}
	if sealed() != 2 {
		t.Fatalf("%d sealed parts: %v", sealed(), v.mem.Names())
	}
	if err := b.ErasePrivate(t.Context(), testOp, no); err != nil {
		t.Fatal(err)
	}
	b.sync(t, v.Journal)
	if sealed() != 0 {
		t.Errorf("sealed parts are left: %v", v.mem.Names())
	}
	a.sync(t, v.Journal)
	if parts, err := a.PrivateOfCase(t.Context(), no); err != nil || len(parts) != 0 {
		t.Errorf("%v %v", err, parts)
	}
	if strings.Contains(a.left(t), "+32 470") {
		t.Error("the other station's file still holds it")
	}
	sameState(t, a, b)
	a.mustAudit(t)
	b.mustAudit(t)
}

func TestRebuildGivesTheSame(t *testing.T) {
	a, v, w := newShopfloor(t), newVault("v1"), newVault("v2")
	no := a.openCase(t)
	a.startImage(t, no, "image-01")
	b := a.join(t, "B2", v.Journal)
	b.openCase(t)
	b.sync(t, v.Journal, w.Journal)
	a.sync(t, v.Journal)
	a.erase(t, no, "image-01")
	attest := []byte("signed statement\n")
	if err := a.SaveAttest(t.Context(), "a1", no, "image-01", attest); err != nil {
		t.Fatal(err)
	}
	a.append(t, Entry{Case: no, Pub: custody.AttestIssued{Attest: "a1", SHA256: sha256Of(attest), Image: "image-01", Keys: custody.KeysComplete, Media: custody.MediaRaw}})
	a.sync(t, w.Journal, v.Journal)
	for _, st := range []Station{a.st, b.st} {
		root := a.st.Card()
		again := &shopfloor{path: filepath.Join(privateDir(t), "ledger.db"), st: st, clock: a.clock}
		l, _, err := Rebuild(t.Context(), again.path, st, a.clock.now, RebuildOptions{Shop: &root}, w.Journal, v.Journal)
		if err != nil {
			t.Fatal(err)
		}
		again.Ledger = l
		defer l.Close()
		sameState(t, a, again)
		again.mustAudit(t)
		if got, err := again.Attest(t.Context(), "a1"); err != nil || string(got) != string(attest) {
			t.Errorf("attest: %v", err)
		}
		again.append(t, Entry{Pub: custody.Heartbeat{}})
		again.sync(t, v.Journal)
	}
}

// A process that is killed while it publishes leaves events behind the checkpoint. After
// the loss of its ledger they are the station's all the same: it goes on behind them, and
// nothing claims their places.
func TestRebuildTakesWhatAKilledProcessHadPublished(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	b := a.join(t, "B2", v.Journal)
	no := a.openCase(t)
	a.sync(t, v.Journal)
	b.sync(t, v.Journal)
	checkpoint, err := v.mem.Read(journal.CheckpointName(a.st.Name()), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	a.startImage(t, no, "image-01")
	a.append(t, Entry{Pub: custody.Heartbeat{}})
	a.sync(t, v.Journal)
	if err := v.mem.Write(journal.CheckpointName(a.st.Name()), checkpoint); err != nil {
		t.Fatal(err)
	}

	root := a.st.Card()
	again := &shopfloor{path: filepath.Join(privateDir(t), "ledger.db"), st: a.st, clock: a.clock}
	l, _, err := Rebuild(t.Context(), again.path, a.st, a.clock.now, RebuildOptions{Shop: &root}, v.Journal)
	if err != nil {
		t.Fatal(err)
	}
	again.Ledger = l
	defer l.Close()
	sameState(t, a, again)
	again.append(t, Entry{Pub: custody.Heartbeat{}})
	again.sync(t, v.Journal)
	b.sync(t, v.Journal)
	sameState(t, again, b)
	for _, at := range []*shopfloor{again, b} {
		if r, err := at.AuditWith(t.Context(), AuditOptions{Full: true, Journals: []*journal.Journal{v.Journal}}); err != nil || len(r.Faults) > 0 {
			t.Errorf("%v, %v", r.Faults, err)
		}
	}
}

func TestOldLedgerPutBackIsFound(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	b := a.join(t, "B2", v.Journal)
	old := copyFile(t, a.path)
	no := a.openCase(t)
	a.sync(t, v.Journal)
	b.sync(t, v.Journal)
	b.append(t, Entry{Pub: custody.Heartbeat{}})
	b.sync(t, v.Journal)
	want := a.state(t)
	a.Close()

	y := &shopfloor{path: old, st: a.st, clock: a.clock}
	var err error
	if y.Ledger, err = Open(t.Context(), old, a.st, a.clock.now); err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	if _, err := y.Sync(t.Context(), v.Journal); !errors.Is(err, ErrRolledBack) {
		t.Fatalf("sync of yesterday's file: %v", err)
	}
	if _, err := y.CatchUp(t.Context(), v.Journal); err != nil {
		t.Fatal(err)
	}
	if _, err := y.Case(t.Context(), no); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(want.Cases, y.state(t).Cases, cmpopts.EquateEmpty(), cmp.AllowUnexported(custody.Keep{})); d != "" {
		t.Error(d)
	}
	y.sync(t, v.Journal)
	y.mustAudit(t)
}

func TestClonedStationIsFound(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	no := a.openCase(t)
	b := a.join(t, "B2", v.Journal)
	clone := &shopfloor{path: copyFile(t, a.path), st: a.st, clock: a.clock}
	var err error
	if clone.Ledger, err = Open(t.Context(), clone.path, a.st, a.clock.now); err != nil {
		t.Fatal(err)
	}
	defer clone.Close()
	a.append(t, Entry{Pub: custody.Heartbeat{}})
	clone.append(t, Entry{Case: no, Pub: custody.HoldAdded{Hold: "h9", Kind: custody.HoldLegal, Review: "2027-01-01"}})
	a.sync(t, v.Journal)
	b.sync(t, v.Journal)
	if _, err := clone.Sync(t.Context(), v.Journal); !errors.Is(err, ErrCloned) {
		t.Errorf("the clone: %v", err)
	}
	// The clone publishes in another vault, which another station reads.
	w := newVault("v2")
	clone.sync(t, w.Journal)
	if _, err := a.Sync(t.Context(), w.Journal); !errors.Is(err, ErrCloned) {
		t.Errorf("the station: %v", err)
	}
	if _, err := b.Sync(t.Context(), w.Journal); !errors.Is(err, ErrFork) {
		t.Errorf("another station: %v", err)
	}
	forks, err := b.Forks(t.Context())
	if err != nil || len(forks) != 1 {
		t.Fatalf("%v %v", err, forks)
	}
	// Its hold holds all the same, and the exception is shown.
	c, err := b.Case(t.Context(), no)
	if err != nil || !c.Held() {
		t.Errorf("%v held %v", err, c.Held())
	}
	if _, err := b.CaseUnderLock(t.Context(), no, v.Journal, w.Journal); !errors.Is(err, ErrFork) {
		t.Errorf("under lock: %v", err)
	}
	if result, err := b.Audit(t.Context()); !errors.Is(err, ErrAudit) {
		t.Errorf("audit: %v %v", err, result.Faults)
	}
}

func TestPublishFirst(t *testing.T) {
	a, v, w := newShopfloor(t), newVault("v1"), newVault("v2")
	no := a.openCase(t)
	a.startImage(t, no, "image-01") // in v1
	b := a.join(t, "B2", v.Journal)
	hold := func(id string) Entry {
		return Entry{Case: no, Pub: custody.HoldAdded{Hold: id, Kind: custody.HoldLegal, Review: "2027-01-01"}}
	}
	// The vault is not here: recorded, not acknowledged, and it goes there later.
	p, err := b.PublishFirst(t.Context(), testOp, no, []*journal.Journal{w.Journal}, hold("h1"))
	var u *UnpublishedError
	if !errors.As(err, &u) || !errors.Is(err, ErrUnpublished) || len(u.Vaults) != 1 || u.Vaults[0].Vault != "v1" || len(p.Events) != 1 {
		t.Fatalf("absent: %v", err)
	}
	if list, err := b.Unacknowledged(t.Context()); err != nil || len(list) != 1 || list[0].Case != no {
		t.Errorf("unacknowledged: %v %v", err, list)
	}
	if _, err := b.Append(t.Context(), testOp, Entry{Case: no, Pub: custody.EraseStarted{Job: "j1", Image: "image-01", Early: true}, Private: map[string]string{"reason": "x"}}); !errors.Is(err, custody.ErrHeld) {
		t.Errorf("the hold does not even block here: %v", err)
	}
	// The vault is here and refuses to be written.
	v.files.Fail = func(op, _ string) error {
		if op == "write" {
			return &fs.PathError{Op: op, Path: "v1", Err: fs.ErrPermission}
		}
		return nil
	}
	if _, err = b.PublishFirst(t.Context(), testOp, no, []*journal.Journal{v.Journal}, hold("h2")); !errors.Is(err, ErrUnpublished) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("refusing: %v", err)
	}
	v.files.Fail = nil
	p, err = b.PublishFirst(t.Context(), testOp, no, []*journal.Journal{v.Journal}, hold("h3"))
	if err != nil || len(p.Late) > 0 {
		t.Fatalf("present: %v %v", err, p.Late)
	}
	if list, err := b.Unacknowledged(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("unacknowledged: %v %v", err, list)
	}
	c, err := a.CaseUnderLock(t.Context(), no, v.Journal)
	if err != nil || len(c.Holds) != 3 || !c.Held() {
		t.Errorf("under lock: %v %v", err, c.Holds)
	}
	if _, err := a.CaseUnderLock(t.Context(), no); !errors.Is(err, ErrUnpublished) {
		t.Errorf("under lock without the vault: %v", err)
	}
}

func TestNobodyReliesOnWhatIsNotPublished(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	no := a.openCase(t)
	a.startImage(t, no, "image-01") // in v1
	a.append(t, hold(no, "h0"))
	a.sync(t, v.Journal)
	b := a.join(t, "B2", v.Journal)
	for _, pub := range []custody.Payload{
		custody.HoldAdded{Hold: "h1", Kind: custody.HoldLegal, Review: "2027-01-01"},
		custody.HoldEnded{Hold: "h1"},
		custody.HoldEnded{Hold: "h0"},
		custody.DeadlineShortened{Deadline: custody.At(testStart.AddDate(0, 0, 20))},
		custody.CustomerConfirmed{How: custody.ConfirmedPhone, Deadline: custody.At(testStart.AddDate(0, 0, 7))},
		custody.PurgeProposed{Proposal: "p1", Images: []string{"image-01"}, Deadline: custody.At(testStart.AddDate(0, 0, 7))},
		custody.PurgeValidated{Proposal: "p1"},
	} {
		entry := Entry{Case: no, Pub: pub}
		if slices.Contains(custody.PrivateFields(pub.Type()), custody.FieldReason) {
			entry.Private = map[string]string{custody.FieldReason: "x"}
		}
		p, err := b.PublishFirst(t.Context(), testOp, no, nil, entry)
		if !errors.Is(err, ErrUnpublished) || len(p.Events) != 1 {
			t.Fatalf("%s: %v", pub.Type(), err)
		}
		list, err := b.Unacknowledged(t.Context())
		told := slices.ContainsFunc(list, func(u UnpublishedError) bool { return u.Events[0].Ref() == p.Events[0].Ref() })
		if err != nil || told != pub.Type().PublishFirst() {
			t.Errorf("%s is told: %v %v", pub.Type(), told, err)
		}
	}
	b.sync(t, v.Journal)
	if list, err := b.Unacknowledged(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("published: %v %v", err, list)
	}
}

// One station begins to erase while the other sets a hold: one of them sees it.
func TestHoldAndErasingAtTheSameMoment(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	no := a.openCase(t)
	a.startImage(t, no, "image-01")
	b := a.join(t, "B2", v.Journal)
	a.append(t, Entry{Case: no, Pub: custody.EraseStarted{Job: "j1", Image: "image-01", Early: true}, Private: map[string]string{"reason": "x"}})
	if c, err := a.CaseUnderLock(t.Context(), no, v.Journal); err != nil || c.Held() {
		t.Fatal(err)
	}
	p, err := b.PublishFirst(t.Context(), testOp, no, []*journal.Journal{v.Journal}, Entry{Case: no, Pub: custody.HoldAdded{Hold: "h1", Kind: custody.HoldLegal, Review: "2027-01-01"}})
	if err != nil || !slices.Equal(p.Late, []string{"image-01"}) {
		t.Errorf("the operator is not told: %v %v", err, p.Late)
	}
	a.append(t, Entry{Case: no, Pub: custody.EraseDone{Job: "j1", Image: "image-01", Keys: custody.KeysComplete, Media: custody.MediaRaw}})
	a.sync(t, v.Journal)
	b.sync(t, v.Journal)
	sameState(t, a, b)
	c, err := b.Case(t.Context(), no)
	if err != nil || len(c.Exceptions) != 1 || c.Exceptions[0].Kind != custody.HeldButErased {
		t.Errorf("%v %v", err, c.Exceptions)
	}
	a.mustAudit(t)
	b.mustAudit(t)
}

func TestBackupGivesTheLedgerBack(t *testing.T) {
	a := newShopfloor(t)
	a.openCase(t)
	dir := t.TempDir()
	shop := newStation(t, "X1") // any age key will do
	b, err := a.Backup(t.Context(), []string{shop.Recipient()}, dir)
	if err != nil || b.Events != 8 {
		t.Fatalf("%v %+v", err, b)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(a.path), "*.copy")); len(left) > 0 {
		t.Error("the plaintext is left")
	}
	if _, err := a.Backup(t.Context(), []string{shop.Recipient()}, dir); !errors.Is(err, ErrExists) {
		t.Errorf("a second one in the same second: %v", err)
	}
	a.clock.add(time.Second)
	f := openFile(t, b.Path)
	state := privateDir(t)
	if err := RestoreBackup(t.Context(), f, state, newStation(t, "X2").Identity()); !errors.Is(err, ErrBackup) {
		t.Errorf("another key: %v", err)
	}
	if err := RestoreBackup(t.Context(), openFile(t, b.Path), state, shop.Identity()); err != nil {
		t.Fatal(err)
	}
	st, err := LoadStation(filepath.Join(state, "station.key"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), filepath.Join(state, "ledger.db"), st, a.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	again := &shopfloor{Ledger: l, path: filepath.Join(state, "ledger.db"), st: st, clock: a.clock}
	defer l.Close()
	sameState(t, a, again)
	again.mustAudit(t)
	if err := RestoreBackup(t.Context(), openFile(t, b.Path), state, shop.Identity()); !errors.Is(err, ErrExists) {
		t.Errorf("over a ledger: %v", err)
	}
}
