package ledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
)

const (
	testShop = "01kb0f4vy9v3qk3y8m6t2r7w5z"
	testOp   = "op-7f3a"
)

var testStart = time.Date(2026, 11, 21, 18, 5, 12, 0, time.UTC)

// clock is a clock that tests move by hand.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// shopfloor is a station with a ledger in which one operator may work.
type shopfloor struct {
	*Ledger
	path  string
	st    Station
	clock *clock
}

func privateDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newStation(t testing.TB, name string) Station {
	t.Helper()
	st, err := NewStation(testShop, name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func newShopfloor(t testing.TB) *shopfloor {
	t.Helper()
	return newShopfloorIn(t, privateDir(t))
}

func newShopfloorIn(t testing.TB, dir string) *shopfloor {
	t.Helper()
	s := &shopfloor{path: filepath.Join(dir, "ledger.db"), st: newStation(t, "T1"), clock: &clock{t: testStart}}
	var err error
	if s.Ledger, err = Create(t.Context(), s.path, s.st, s.clock.now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.quick(t).append(t,
		Entry{Pub: custody.ShopCreated{Shop: testShop}},
		Entry{Pub: s.st.Enrolment()},
		Entry{Pub: custody.OperatorAdded{Op: testOp, Kind: custody.OperatorPerson}, Private: map[string]string{"login": "an", "name": "An Peeters"}},
		Entry{Pub: custody.OperatorAgreed{Op: testOp, Date: "2026-01-05"}})
	return s
}

func (s *shopfloor) append(t testing.TB, entries ...Entry) []custody.Event {
	t.Helper()
	events, err := s.Append(context.WithoutCancel(t.Context()), testOp, entries...)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// opening is what a case begins with.
func (s *shopfloor) opening(no custody.CaseNo) []Entry {
	deadline := custody.At(s.clock.now().AddDate(0, 0, 90))
	keep, _ := custody.ParseKeep("90d")
	return []Entry{
		{
			Case: no, Pub: custody.CaseOpened{Purpose: custody.PurposeCrash, Language: custody.Dutch},
			Private: map[string]string{"customer": "Jan <Maes> & co", "phone": "+32 470 00 00 00"},
		},
		{Case: no, Pub: custody.AgreementRecorded{Notice: "2026-1"}},
		{
			Case: no, Item: "1", Pub: custody.ItemReceived{Item: "1", Kind: custody.ItemHDD, Bytes: 1e12},
			Private: map[string]string{"serial": "WD-WX11", "fault": "tikt"},
		},
		{Case: no, Pub: custody.DeadlineSet{Deadline: deadline, Keep: keep}},
	}
}

// givenBack returns the item of [shopfloor.opening] to its owner.
func givenBack(no custody.CaseNo) Entry {
	return Entry{Case: no, Item: "1", Pub: custody.ItemReturned{
		To: custody.RecipientOwner, Checked: custody.CheckedCode, Seal: custody.SealNone,
	}}
}

func (s *shopfloor) openCase(t testing.TB) custody.CaseNo {
	t.Helper()
	no, err := s.OpenCase(t.Context(), testOp, s.clock.now().Year(), s.opening)
	if err != nil {
		t.Fatal(err)
	}
	return no
}

func (s *shopfloor) started(no custody.CaseNo, image string) Entry {
	now := s.clock.now()
	return Entry{Case: no, Item: "1", Pub: custody.ImageStarted{
		Image: image, UUID: custody.UUID{1, 2, 3}, Vault: "v1", Item: "1", Bytes: 1e12, Sector: 512, Physical: 4096,
		Created: custody.At(now), EraseBy: custody.At(now.AddDate(0, 0, 90)),
	}, Private: map[string]string{"serial": "WD-WX11"}}
}

func (s *shopfloor) startImage(t testing.TB, no custody.CaseNo, image string) {
	t.Helper()
	s.append(t, s.started(no, image),
		Entry{Case: no, Item: "1", Pub: custody.KeyWrapped{
			Image: image, Session: 1, SessionID: custody.SessionID{9},
			Keystore: "v1", File: "keystore/" + string(no) + "/" + image + "/0001.age", SHA256: custody.Hash{7}, Recipients: []string{"k1", "k2"},
		}})
}

func (s *shopfloor) erase(t testing.TB, no custody.CaseNo, image string) {
	t.Helper()
	s.append(t, Entry{Case: no, Pub: custody.EraseStarted{Job: "j1", Image: image, Early: true}, Private: map[string]string{"reason": "asked"}})
	s.append(t, Entry{Case: no, Pub: custody.EraseDone{Job: "j1", Image: image, Keys: custody.KeysComplete, Media: custody.MediaRaw}})
}

func (s *shopfloor) mustAudit(t testing.TB) AuditResult {
	t.Helper()
	result, err := s.Audit(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatalf("audit: %v\n%v", err, result.Faults)
	}
	return result
}

func TestCaseIsWhatWasRecorded(t *testing.T) {
	s := newShopfloor(t)
	no := s.openCase(t)
	if no != "T1-2026-0001" {
		t.Fatalf("first case is %s", no)
	}
	s.startImage(t, no, "image-01")
	c, err := s.Case(t.Context(), no)
	if err != nil {
		t.Fatal(err)
	}
	if c.Purpose != custody.PurposeCrash || len(c.Images) != 1 || len(c.Images[0].Keys) != 1 || c.Agreement == nil {
		t.Errorf("case: %+v", c)
	}
	if want := testStart.AddDate(0, 0, 90); !c.Deadline.Equal(want) {
		t.Errorf("deadline %v, want %v", c.Deadline, want)
	}
	parts, err := s.PrivateOfCase(t.Context(), no)
	if err != nil {
		t.Fatal(err)
	}
	want := map[custody.Ref]map[string]string{
		{Station: "T1", Seq: 5}: {"customer": "Jan <Maes> & co", "phone": "+32 470 00 00 00"},
		{Station: "T1", Seq: 7}: {"serial": "WD-WX11", "fault": "tikt"},
		{Station: "T1", Seq: 9}: {"serial": "WD-WX11"},
	}
	if d := cmp.Diff(want, parts); d != "" {
		t.Error(d)
	}
	result := s.mustAudit(t)
	if result.Events != 10 || result.Cases != 1 || result.Checkpoint.Size != 10 {
		t.Errorf("audit: %+v", result)
	}
}

func TestLedgerOpensAgain(t *testing.T) {
	s := newShopfloor(t)
	no := s.openCase(t)
	s.Close()
	again, err := Open(t.Context(), s.path, s.st, s.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Case(t.Context(), no); err != nil {
		t.Error(err)
	}
	if _, err := again.Case(t.Context(), "T1-2026-0002"); !errors.Is(err, ErrNotFound) {
		t.Errorf("missing case: %v", err)
	}
	if _, err := again.Audit(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := Open(t.Context(), s.path+"x", s.st, s.clock.now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent ledger: %v", err)
	}
}

func TestCheckpointIsASignedNoteOverAllEvents(t *testing.T) {
	s := newShopfloor(t)
	msg, err := s.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(s.st.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(msg, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	cp, err := custody.ParseCheckpoint(n.Text)
	if err != nil || cp.Size != 4 || cp.Origin != "salvor/"+testShop+"/T1" {
		t.Fatalf("%v %+v", err, cp)
	}
	if code := cp.Code(); len(code) != 39 || strings.Count(code, "-") != 7 {
		t.Errorf("code %q", code)
	}
}

func TestCaseNumbersCountPerYear(t *testing.T) {
	s := newShopfloor(t)
	s.openCase(t)
	s.openCase(t)
	s.clock.add(60 * 24 * time.Hour)
	if no := s.openCase(t); no != "T1-2027-0001" {
		t.Errorf("first case of the year is %s", no)
	}
	if _, err := s.OpenCase(t.Context(), testOp, 2027, func(custody.CaseNo) []Entry { return nil }); !errors.Is(err, ErrEntry) {
		t.Errorf("a case without opening: %v", err)
	}
	if no := s.openCase(t); no != "T1-2027-0002" {
		t.Errorf("a failed opening used up a number: %s", no)
	}
}

func TestAppendIsAllOrNothing(t *testing.T) {
	s := newShopfloor(t)
	no := s.openCase(t)
	before := s.mustAudit(t)
	_, err := s.Append(t.Context(), testOp, s.started(no, "image-01"), s.started(no, "image-01"))
	if !errors.Is(err, custody.ErrImageExists) {
		t.Fatalf("second start: %v", err)
	}
	if after := s.mustAudit(t); after.Events != before.Events {
		t.Errorf("%d events, want %d", after.Events, before.Events)
	}
}

func TestListsAreSelectedByDeadlineAndClosing(t *testing.T) {
	s := newShopfloor(t)
	var nos []custody.CaseNo
	for range 4 {
		nos = append(nos, s.openCase(t))
		s.clock.add(24 * time.Hour)
	}
	s.startImage(t, nos[1], "image-01")
	s.startImage(t, nos[2], "image-01")
	s.append(t, Entry{Case: nos[2], Pub: custody.DeadlineShortened{Deadline: custody.At(testStart.AddDate(0, 0, 10))}})
	s.append(t, givenBack(nos[0]), Entry{Case: nos[0], Pub: custody.CaseClosed{}})
	for _, test := range []struct {
		f    Filter
		want []custody.CaseNo
	}{
		{Filter{}, nos[1:]},
		{Filter{All: true}, nos},
		{Filter{DueBy: testStart.AddDate(0, 0, 9)}, nil},
		{Filter{DueBy: testStart.AddDate(0, 0, 10)}, nos[2:3]},
		{Filter{DueBy: testStart.AddDate(1, 0, 0)}, []custody.CaseNo{nos[2], nos[1]}},
	} {
		cases, err := s.Cases(t.Context(), test.f)
		if err != nil {
			t.Fatal(err)
		}
		var got []custody.CaseNo
		for _, c := range cases {
			got = append(got, c.No)
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%+v: %s", test.f, d)
		}
	}
}

func TestOperatorIsFoundByLogin(t *testing.T) {
	s := newShopfloor(t)
	o, err := s.OperatorByLogin(t.Context(), "an")
	if err != nil || o.ID != testOp {
		t.Errorf("%v %+v", err, o)
	}
	if _, err := s.OperatorByLogin(t.Context(), "bert"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	_, err = s.Append(t.Context(), testOp, Entry{Pub: custody.OperatorAdded{Op: "op-0002", Kind: custody.OperatorPerson}, Private: map[string]string{"login": "an"}})
	if !errors.Is(err, custody.ErrExists) {
		t.Errorf("second operator with the login: %v", err)
	}
}

func TestNewestIsTheNewestEventSinceTheClockWasLookedAt(t *testing.T) {
	s := newShopfloor(t)
	newest := func(want time.Duration) {
		t.Helper()
		at, err := s.Newest(t.Context())
		if err != nil || !at.Equal(testStart.Add(want)) {
			t.Errorf("newest %v, %v, want %v", at, err, testStart.Add(want))
		}
	}
	beat := func() { s.append(t, Entry{Pub: custody.Heartbeat{}}) }
	s.clock.add(10 * time.Hour)
	beat() // setting up
	s.clock.add(-2 * time.Hour)
	s.append(t, Entry{Pub: custody.PolicySet{Name: custody.PolicyFourEyes, Value: "true", From: "2099-01-10"}})
	newest(10 * time.Hour)
	beat() // somebody has looked
	newest(8 * time.Hour)
	s.clock.add(time.Hour)
	s.append(t, Entry{Pub: custody.PolicySet{Name: custody.PolicyFourEyes, Value: "false", From: "2099-01-10"}})
	s.clock.add(-2 * time.Hour)
	s.append(t, Entry{Pub: custody.PolicySet{Name: custody.PolicyFourEyes, Value: "true", From: "2099-01-10"}})
	newest(9 * time.Hour)
	s.mustAudit(t)
}

func TestLocalTablesKeepWhatTheyAreGiven(t *testing.T) {
	s := newShopfloor(t)
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(s.SetVaultPath(ctx, "v1", "/mnt/a"))
	check(s.SetVaultPath(ctx, "v1", "/mnt/b"))
	paths, err := s.VaultPaths(ctx)
	check(err)
	if d := cmp.Diff(map[string]string{"v1": "/mnt/b"}, paths); d != "" {
		t.Error(d)
	}

	p, err := s.Progress(ctx, "T1-2026-0001", "image-01")
	check(err)
	if p != (Progress{}) {
		t.Errorf("progress of nothing: %+v", p)
	}
	check(s.SaveProgress(ctx, "T1-2026-0001", "image-01", Progress{0, 64, 64 << 20}))
	check(s.SaveProgress(ctx, "T1-2026-0001", "image-01", Progress{1, 3, 67 << 20}))
	if err := s.SaveProgress(ctx, "T1-2026-0001", "image-01", Progress{0, 80, 67 << 20}); !errors.Is(err, ErrGuardRail) {
		t.Errorf("progress went back: %v", err)
	}
	if p, err = s.Progress(ctx, "T1-2026-0001", "image-01"); err != nil || p != (Progress{1, 3, 67 << 20}) {
		t.Errorf("%v %+v", err, p)
	}

	check(s.SaveJob(ctx, "j1", "T1-2026-0001", "image-01", []byte("PLANNED")))
	check(s.SaveJob(ctx, "j2", "T1-2026-0001", "image-02", []byte("PLANNED")))
	check(s.SaveJob(ctx, "j1", "T1-2026-0001", "image-01", []byte("KEY_DONE")))
	check(s.EndJob(ctx, "j2"))
	check(s.EndJob(ctx, "j2"))
	jobs, err := s.OpenJobs(ctx)
	check(err)
	if len(jobs) != 1 || jobs[0].ID != "j1" || string(jobs[0].Body) != "KEY_DONE" {
		t.Errorf("open jobs: %+v", jobs)
	}
	if err := s.SaveJob(ctx, "j2", "T1-2026-0001", "image-02", nil); !errors.Is(err, ErrGuardRail) {
		t.Errorf("an ended job was changed: %v", err)
	}
	if j, err := s.Job(ctx, "j2"); err != nil || j.Ended.IsZero() {
		t.Errorf("%v %+v", err, j)
	}
	if err := s.EndJob(ctx, "j3"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}

	check(s.SaveAttest(ctx, "a1", "T1-2026-0001", "image-01", []byte("note")))
	check(s.SaveAttest(ctx, "a1", "T1-2026-0001", "image-01", []byte("note")))
	if err := s.SaveAttest(ctx, "a1", "T1-2026-0001", "image-01", []byte("other")); !errors.Is(err, ErrGuardRail) {
		t.Errorf("an attest was replaced: %v", err)
	}
	if n, err := s.Attest(ctx, "a1"); err != nil || string(n) != "note" {
		t.Errorf("%v %q", err, n)
	}
	all, err := s.Attests(ctx, "T1-2026-0001")
	check(err)
	if len(all) != 1 || all[0].ID != "a1" {
		t.Errorf("%+v", all)
	}
	s.mustAudit(t)
}

func TestEntriesThatCannotBecomeEventsAreRefused(t *testing.T) {
	s := newShopfloor(t)
	no := s.openCase(t)
	for name, test := range map[string]struct {
		e    Entry
		want error
	}{
		"no public part":       {Entry{}, ErrEntry},
		"other type":           {Entry{Type: custody.TypeHoldAdded, Pub: custody.Heartbeat{}}, ErrEntry},
		"private.erased":       {Entry{Case: no, Pub: custody.PrivateErased{Events: []custody.Ref{{Station: "T1", Seq: 5}}}}, ErrEntry},
		"case of shop event":   {Entry{Case: no, Pub: custody.Heartbeat{}}, custody.ErrEvent},
		"no case":              {Entry{Pub: custody.CaseClosed{}}, custody.ErrEvent},
		"unknown case":         {Entry{Case: "T1-2026-0077", Pub: custody.CaseClosed{}}, custody.ErrNotOpened},
		"free text":            {Entry{Case: no, Pub: custody.AgreementRecorded{Notice: "Jan Maes"}}, custody.ErrPayload},
		"foreign field":        {Entry{Case: no, Pub: custody.CaseClosed{}, Private: map[string]string{"password": "x"}}, custody.ErrPayload},
		"opening without why":  {Entry{Case: no, Pub: custody.DataOpened{Image: "image-01", Use: custody.UseMount}}, custody.ErrNoReason},
		"operator without who": {Entry{Pub: custody.OperatorAdded{Op: "op-0009", Kind: custody.OperatorPerson}}, custody.ErrName},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Append(t.Context(), testOp, test.e); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func ExampleFault() {
	fmt.Println(Fault{Ref: custody.Ref{Station: "T1", Seq: 7}, Type: custody.TypeHoldAdded, What: "its stored hash is not that of its bytes", Check: CheckTree})
	// Output: T1/7 (hold.added): its stored hash is not that of its bytes
}

func sha256Of(p []byte) custody.Hash { return sha256.Sum256(p) }
