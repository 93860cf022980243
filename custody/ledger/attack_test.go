package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
	"salvor/custody/journal"
)

// tampered changes a file of a vault past everything.
func (v memoryVault) tampered(t testing.TB, name string, change func([]byte) []byte) {
	t.Helper()
	data, err := v.mem.Read(name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.mem.Write(name, change(data)); err != nil {
		t.Fatal(err)
	}
}

func (v memoryVault) move(t testing.TB, from, to string) {
	t.Helper()
	data, err := v.mem.Read(from, 1<<20)
	if err := errors.Join(err, v.mem.Remove(from), v.mem.Write(to, data)); err != nil {
		t.Fatal(err)
	}
}

// eventFile returns the name of the file of an event.
func (v memoryVault) eventFile(t testing.TB, station string, seq int64) string {
	t.Helper()
	for _, name := range v.mem.Names() {
		if strings.HasPrefix(name, fmt.Sprintf("journal/%s/%010d-", station, seq)) {
			return name
		}
	}
	t.Fatalf("no file of %s/%d in %v", station, seq, v.mem.Names())
	return ""
}

// Whatever is done to the files of a station's journal, nothing of it is imported
// by halves, the file is named, and the events of the other stations arrive.
func TestTamperedJournalIsRefusedAndNamed(t *testing.T) {
	type scene struct {
		a, b *shopfloor
		v    memoryVault
		no   custody.CaseNo
		from int64 // first event of T1 that B2 does not hold
	}
	flip := func(p []byte) []byte { p[len(p)/3] ^= 1; return p }
	for name, test := range map[string]struct {
		do   func(t *testing.T, s scene) string // returns the file that must be named
		want error
	}{
		"edited": {func(t *testing.T, s scene) string {
			f := s.v.eventFile(t, "T1", s.from+1)
			s.v.tampered(t, f, flip)
			return f
		}, journal.ErrForeign},
		"cut": {func(t *testing.T, s scene) string {
			f := s.v.eventFile(t, "T1", s.from+1)
			s.v.tampered(t, f, func(p []byte) []byte { return p[:len(p)/2] })
			return f
		}, journal.ErrMalformed},
		"emptied": {func(t *testing.T, s scene) string {
			f := s.v.eventFile(t, "T1", s.from+1)
			s.v.tampered(t, f, func([]byte) []byte { return nil })
			return f
		}, journal.ErrMalformed},
		"huge": {func(t *testing.T, s scene) string {
			f := s.v.eventFile(t, "T1", s.from+1)
			s.v.tampered(t, f, func(p []byte) []byte { return append(p, make([]byte, custody.MaxEventBytes)...) })
			return f
		}, journal.ErrTooLarge},
		"deleted": {func(t *testing.T, s scene) string {
			f := s.v.eventFile(t, "T1", s.from+1)
			s.v.mem.Remove(f)
			return s.v.eventFile(t, "T1", s.from+2)
		}, ErrGap},
		"all of a station deleted": {func(t *testing.T, s scene) string {
			for _, name := range s.v.mem.Names() {
				if strings.HasPrefix(name, "journal/T1/") {
					s.v.mem.Remove(name)
				}
			}
			return journal.CheckpointName("T1")
		}, ErrRollback},
		"everything deleted, the shop's card too": {func(_ *testing.T, s scene) string {
			for _, name := range s.v.mem.Names() {
				s.v.mem.Remove(name)
			}
			return journal.CheckpointName("T1")
		}, ErrRollback},
		"tail cut": {func(t *testing.T, s scene) string {
			s.v.mem.Remove(s.v.eventFile(t, "T1", s.from+3))
			return journal.CheckpointName("T1")
		}, ErrGap},
		"exchanged": {func(t *testing.T, s scene) string {
			f, g := s.v.eventFile(t, "T1", s.from+1), s.v.eventFile(t, "T1", s.from+2)
			s.v.move(t, f, "x")
			s.v.move(t, g, f)
			s.v.move(t, "x", g)
			return f
		}, journal.ErrRenamed},
		"renamed": {func(t *testing.T, s scene) string {
			f := s.v.eventFile(t, "T1", s.from+1)
			s.v.move(t, f, "journal/T1/"+strings.Repeat("x", 300))
			return "journal/T1/" + strings.Repeat("x", 80)
		}, journal.ErrName},
		"under another hash": {func(t *testing.T, s scene) string {
			f := s.v.eventFile(t, "T1", s.from+1)
			to := f[:len(f)-len("00000000.note")] + "00000000.note"
			s.v.move(t, f, to)
			return to
		}, journal.ErrRenamed},
		"of another station": {func(t *testing.T, s scene) string {
			f := s.v.eventFile(t, "T1", s.from+1)
			foreign, _ := s.v.mem.Read(s.v.eventFile(t, "B2", 1), 1<<20)
			s.v.tampered(t, f, func([]byte) []byte { return foreign })
			return f
		}, journal.ErrForeign},
		"signed by an unknown station": {func(t *testing.T, s scene) string {
			f := s.v.eventFile(t, "T1", s.from+1)
			s.v.tampered(t, f, func(p []byte) []byte {
				text, _ := noteText(p)
				msg, err := note.Sign(&note.Note{Text: string(text)}, newStation(t, "T1").signer)
				if err != nil {
					t.Fatal(err)
				}
				return msg
			})
			return f
		}, journal.ErrForeign},
		"checkpoint edited": {func(t *testing.T, s scene) string {
			s.v.tampered(t, journal.CheckpointName("T1"), flip)
			return journal.CheckpointName("T1")
		}, journal.ErrForeign},
		"checkpoint of yesterday": {func(t *testing.T, s scene) string {
			log, err := newLog(t.Context(), s.a.db, s.a.st)
			if err != nil {
				t.Fatal(err)
			}
			root, err := rootAt(t.Context(), s.a.db, "T1", 3)
			if err != nil {
				t.Fatal(err)
			}
			msg, err := s.a.st.SignNote(custody.Checkpoint{Origin: log.station.Origin(), Size: 3, Root: root}.Text())
			if err != nil {
				t.Fatal(err)
			}
			s.v.tampered(t, journal.CheckpointName("T1"), func([]byte) []byte { return msg })
			return journal.CheckpointName("T1")
		}, ErrRollback},
		"checkpoint removed": {func(_ *testing.T, s scene) string {
			s.v.mem.Remove(journal.CheckpointName("T1"))
			return journal.CheckpointName("T1")
		}, ErrRollback},
		"unknown station": {func(t *testing.T, s scene) string {
			s.v.mem.Write("journal/X9/checkpoint", []byte("x"))
			return "journal/X9"
		}, ErrUnknownStation},
		"foreign name": {func(t *testing.T, s scene) string {
			s.v.mem.Write("journal/..%2f/x", nil)
			return "journal/..%2f"
		}, journal.ErrName},
		"another shop": {func(t *testing.T, s scene) string {
			other, err := NewStation("01kb0f4vy9v3qk3y8m6t2r7w60", "T1", zeros{})
			if err != nil {
				t.Fatal(err)
			}
			card, err := journal.SignCard(journal.ShopCard, other.Card(), other.signer)
			if err != nil {
				t.Fatal(err)
			}
			s.v.tampered(t, "shop.note", func([]byte) []byte { return card })
			return "shop.note"
		}, journal.ErrWrongShop},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, v := newShopfloor(t), newVault("v1")
			b := a.join(t, "B2", v.Journal)
			b.sync(t, v.Journal)
			have, _, err := logEnd(t.Context(), b.db, "T1")
			if err != nil {
				t.Fatal(err)
			}
			no := a.openCase(t)
			a.sync(t, v.Journal)
			before := b.state(t)
			file := test.do(t, scene{a, b, v, no, have + 1})
			_, err = b.Import(t.Context(), v.Journal)
			var refused *RefusedError
			if !errors.As(err, &refused) || !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if !slices.ContainsFunc(refused.Refusals, func(r journal.Refusal) bool { return strings.HasPrefix(r.File, file) && errors.Is(r, test.want) }) {
				t.Errorf("%s is not named: %v", file, refused.Refusals)
			}
			_, err = b.Case(t.Context(), no)
			took := err == nil
			if wantsAll := name == "unknown station" || name == "foreign name"; took != wantsAll {
				t.Errorf("the case was taken in: %v", took)
			}
			if !took && len(b.state(t).Cases) != len(before.Cases) {
				t.Error("half of it was taken in")
			}
			b.mustAudit(t)
			if _, err := b.CaseUnderLock(t.Context(), no, v.Journal); err == nil {
				t.Error("the purge would go on")
			}
		})
	}
}

func TestAuditAgainstTheJournalFindsWhatWasDoneToIt(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	no := a.openCase(t)
	a.sync(t, v.Journal)
	audit := func() []Fault {
		r, err := a.AuditWith(t.Context(), AuditOptions{Full: true, Journals: []*journal.Journal{v.Journal}})
		if err != nil && !errors.Is(err, ErrAudit) {
			t.Fatal(err)
		}
		return r.Faults
	}
	if f := audit(); len(f) > 0 {
		t.Fatal(f)
	}
	expect := func(what, want string) {
		t.Helper()
		if f := audit(); len(f) != 1 || !strings.Contains(f[0].String(), want) {
			t.Errorf("%s: %v", what, f)
		}
	}
	file := v.eventFile(t, "T1", 5)
	old, _ := v.mem.Read(file, 1<<20)
	v.mem.Remove(file)
	expect("deleted", "T1/5 (case.opened): it is missing in the journal")
	v.mem.Write(file, append([]byte("x"), old...))
	expect("edited", file)
	v.mem.Write(file, old)
	var sealed string
	for _, name := range v.mem.Names() {
		if strings.HasPrefix(name, "private/"+string(no)+"/T1-5.") {
			sealed = name
		}
	}
	to, err := a.recipients(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	forged, err := journal.Seal(journal.Private{Text: []byte(`{"customer":"somebody else"}`)}, to)
	if err != nil {
		t.Fatal(err)
	}
	v.mem.Write(sealed, forged)
	expect("private part replaced", "T1/5 (case.opened): its private part in the journal of vault v1 is not the one")
	b := newStation(t, "B2")
	a.append(t, Entry{Pub: b.Enrolment()})
	a.sync(t, v.Journal) // sealed anew to both
	if f := audit(); len(f) > 0 {
		t.Errorf("healed by sealing anew: %v", f)
	}
}

// A log that was computed anew with the station's stolen key passes its own
// audit. What lies outside of the file finds it.
func TestHistoryWrittenAnewWithTheStolenKey(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	b := a.join(t, "B2", v.Journal)
	cp, err := a.CheckpointNow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	// The thief makes another ledger with the same key and as many events.
	forged := &shopfloor{path: privateDir(t) + "/ledger.db", st: a.st, clock: a.clock}
	if forged.Ledger, err = Create(t.Context(), forged.path, a.st, a.clock.now); err != nil {
		t.Fatal(err)
	}
	defer forged.Close()
	forged.append(t, Entry{Pub: custody.ShopCreated{Shop: testShop}}, Entry{Pub: a.st.Enrolment()})
	for range cp.Size {
		forged.append(t, Entry{Pub: custody.Heartbeat{}})
	}
	forged.mustAudit(t)
	if err := forged.CheckPaper(t.Context(), "T1", cp.Size, cp.Code()); !errors.Is(err, ErrCode) {
		t.Errorf("the code on a paper: %v", err)
	}
	if _, err := forged.Sync(t.Context(), v.Journal); !errors.Is(err, ErrCloned) {
		t.Errorf("the journal: %v", err)
	}
	w := newVault("v2")
	forged.sync(t, w.Journal)
	if _, err := b.Sync(t.Context(), w.Journal); !errors.Is(err, ErrFork) {
		t.Errorf("another station: %v", err)
	}
}

func TestRetiredStationIsNotTakenIn(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	b := a.join(t, "B2", v.Journal)
	c := a.join(t, "C3", v.Journal)
	if err := a.Retire(t.Context(), testOp, "B2", custody.EndStolen); err != nil {
		t.Fatal(err)
	}
	no := b.openCase(t) // it does not know yet
	b.sync(t, v.Journal)
	for _, s := range []*shopfloor{a, c} {
		_, err := s.Import(t.Context(), v.Journal)
		if s == a && !errors.Is(err, ErrRetired) {
			t.Errorf("%s: %v", s.st.Name(), err)
		}
	}
	if _, err := a.Case(t.Context(), no); !errors.Is(err, ErrNotFound) {
		t.Errorf("taken in: %v", err)
	}
	a.mustAudit(t)
}

func TestOldLedgerIsMigratedWithEverythingInIt(t *testing.T) {
	s := newShopfloor(t)
	no := s.openCase(t)
	want := s.state(t)
	s.Close()
	// Back to version 1: what the first salvor wrote.
	db := s.raw(t)
	for _, rail := range []string{"events_hold", "images_insert_hold", "images_hold"} {
		run(t, db, `DROP TRIGGER `+rail)
		i := strings.Index(schema1, "CREATE TRIGGER "+rail+" ")
		text := schema1[i:]
		run(t, db, text[:strings.Index(text, "END;")+len("END;")])
	}
	for _, name := range []string{"root", "journals", "seen", "forks", "unopened", "attests_lacking", "audited", "audited_cases", "importing"} {
		run(t, db, `DROP TABLE `+name)
	}
	run(t, db, `PRAGMA user_version = 1`)
	db.Close()
	l, err := Open(t.Context(), s.path, s.st, s.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.Ledger = l
	if _, err := l.Case(t.Context(), no); err != nil || len(want.Cases) != len(s.state(t).Cases) {
		t.Error(err)
	}
	s.mustAudit(t)
	if _, err := fs.Stat(dirOf(s.path), "ledger.db.before-2"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the copy of before is left")
	}
}
