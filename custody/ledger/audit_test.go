package ledger

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
	"salvor/custody/journal"
)

// TestAuditNamesTheEventThatWasTamperedWith attacks the file with plain SQL,
// the guard rails dropped and put back, and wants the audit to name the event
// and no other.
func TestAuditNamesTheEventThatWasTamperedWith(t *testing.T) {
	for name, test := range map[string]struct {
		sql  []string
		want string // the fault begins with it
		also []int64
	}{
		"a byte of an event changed": {
			[]string{`UPDATE events SET note = CAST(replace(CAST(note AS TEXT), 'WD', 'XX') || ' ' AS BLOB) WHERE seq = 7`},
			"T1/7 (item.received): ", nil,
		},
		"a deadline in an event changed": {
			[]string{`UPDATE events SET note = CAST(replace(CAST(note AS TEXT), '2027-02-19', '2029-02-19') AS BLOB) WHERE seq = 8`},
			"T1/8 (deadline.set): its signature", nil,
		},
		"an event and its hash changed": {
			[]string{`UPDATE events SET note = (SELECT note FROM events WHERE seq = 5), leaf = (SELECT leaf FROM events WHERE seq = 5) WHERE seq = 11`},
			"T1/11 (hold.added): the event in its place is T1/5", nil,
		},
		"a signature removed": {
			[]string{`UPDATE events SET note = substr(note, 1, instr(note, char(10))) WHERE seq = 9`},
			"T1/9 (image.started): its signature", nil,
		},
		"a second signature added": {
			[]string{`UPDATE events SET note = CAST(CAST(note AS TEXT) || '— somebody AAAAAAAA' || char(10) AS BLOB) WHERE seq = 9`},
			"T1/9 (image.started): not signed with its operator's key: a signature that does not count", nil,
		},
		"the stored hash changed": {
			[]string{`UPDATE events SET leaf = zeroblob(32) WHERE seq = 6`},
			"T1/6 (agreement.recorded): its stored hash", nil,
		},
		"the type beside it changed": {
			[]string{`UPDATE events SET type = 'heartbeat' WHERE seq = 13`},
			"T1/13 (hold.added): id, time, type or case", nil,
		},
		"the time beside it changed": {
			[]string{`UPDATE events SET ts = ts + 1 WHERE seq = 24`},
			"T1/24 (heartbeat): id, time, type or case", nil,
		},
		"an event in the middle deleted": {
			[]string{
				`DELETE FROM private WHERE event = 11`, `DELETE FROM events WHERE seq = 11`,
			},
			"T1/11: the event is missing",
			[]int64{12},
		},
		"the last event deleted": {
			[]string{`DELETE FROM events WHERE seq = 24`},
			"T1/24: the event is missing: the checkpoint counts it", nil,
		},
		"the end cut off with its tree and the checkpoint set back": {
			[]string{
				`DELETE FROM events WHERE seq = 24`, `DELETE FROM tree WHERE i > 41`,
				`UPDATE checkpoints SET size = 23`,
			},
			"T1/23 (private.erased): the checkpoint over it", nil,
		},
		"a copy of an event inserted": {
			[]string{`INSERT INTO events SELECT 25, station, 25, 'x', ts, type, case_no, leaf, note FROM events WHERE seq = 12`},
			"T1/25 (hold.ended): the event in its place is T1/12", nil,
		},
		"an event of another station inserted": {
			[]string{`INSERT INTO events SELECT 25, 'B2', 1, 'x', ts, type, case_no, leaf, note FROM events WHERE seq = 12`},
			"there are events or checkpoints of station B2, which nobody has enrolled", nil,
		},
		"two events exchanged": {
			[]string{
				`UPDATE events SET seq = 99 WHERE seq = 11`, `UPDATE events SET seq = 11 WHERE seq = 12`, `UPDATE events SET seq = 12 WHERE seq = 99`,
			},
			"T1/11 (hold.ended): the event in its place is T1/12",
			[]int64{12},
		},
		"the order of arrival changed": {
			[]string{
				`PRAGMA foreign_keys = OFF`,
				`UPDATE events SET n = 99 WHERE n = 12`, `UPDATE events SET n = 12 WHERE n = 13`, `UPDATE events SET n = 13 WHERE n = 99`,
			},
			"T1/13 (hold.added): it arrived before an event that it follows", nil,
		},
		"a hash in the tree changed": {
			[]string{`UPDATE tree SET hash = zeroblob(32) WHERE i = 0`},
			"T1/1 (shop.created): its hash in the tree", nil,
		},
		"a node of the tree changed": {
			[]string{`UPDATE tree SET hash = zeroblob(32) WHERE i = 6`},
			"T1/4 (operator.agreed): its hash in the tree", nil,
		},
		"a hash in the tree removed": {
			[]string{`DELETE FROM tree WHERE i = 3`},
			"T1/3 (operator.added): its hash in the tree is missing", nil,
		},
		"the checkpoint removed": {
			[]string{`DELETE FROM checkpoints`},
			"T1/24 (heartbeat): the checkpoint over it: ledger is damaged: no checkpoint", nil,
		},
		"the checkpoint changed": {
			[]string{`UPDATE checkpoints SET note = CAST(replace(CAST(note AS TEXT), char(10) || '24' || char(10), char(10) || '23' || char(10)) AS BLOB)`},
			"T1/24 (heartbeat): the checkpoint over it", nil,
		},
		"a private part changed": {
			[]string{`UPDATE private SET body = CAST(body || x'20' AS BLOB) WHERE event = 5`},
			"T1/5 (case.opened): its private part is not the one", nil,
		},
		"a private part replaced by another": {
			[]string{`UPDATE private SET body = (SELECT body FROM private WHERE event = 9) WHERE event = 7`},
			"T1/7 (item.received): its private part is not the one", nil,
		},
		"a private part removed": {
			[]string{`DELETE FROM private WHERE event = 11`},
			"T1/11 (hold.added): its private part is missing", nil,
		},
		"a private part removed and marked as erased": {
			[]string{`INSERT INTO erased VALUES (11)`, `DELETE FROM private WHERE event = 11`},
			"T1/11 (hold.added): the mark", nil,
		},
		"a private part kept after it was erased": {
			[]string{`INSERT INTO private SELECT 14, body FROM private WHERE event = 5`},
			"T1/14 (case.opened): its private part was erased and is there", nil,
		},
		"a private part invented": {
			[]string{`INSERT INTO private SELECT 24, body FROM private WHERE event = 5`},
			"T1/24 (heartbeat): it has no private part", nil,
		},
		"the mark of an erasing removed": {
			[]string{`DELETE FROM erased WHERE event = 14`},
			"T1/14 (case.opened): the mark", nil,
		},
		"a deadline in the projection changed": {
			[]string{`UPDATE cases SET deadline = deadline + 1 WHERE sequence = 1`},
			"T1/13 (hold.added): the row of case T1-2026-0001 is not what its events say: deadline", nil,
		},
		"the copies in the projection changed": {
			[]string{`UPDATE cases SET copies = 0 WHERE sequence = 1`},
			"T1/13 (hold.added): the row of case T1-2026-0001 is not what its events say: copies", nil,
		},
		"a case's row removed": {
			[]string{`DELETE FROM images WHERE case_no = 'T1-2026-0002'`, `DELETE FROM cases WHERE sequence = 2`},
			"T1/21 (erase.done): image image-01 of case T1-2026-0002 has no row",
			[]int64{23},
		},
		"a case's row invented": {
			[]string{`INSERT INTO cases VALUES ('T1-2026-0009', 'T1', 2026, 9, NULL, NULL, NULL, 0, NULL)`},
			"case T1-2026-0009: there are rows but no events", nil,
		},
		"a hold switched off": {
			[]string{`UPDATE holds SET active = 0 WHERE hold = 'h2'`},
			"T1/13 (hold.added): hold h2 of case T1-2026-0001 is active, its row says ended", nil,
		},
		"a hold removed": {
			[]string{`DELETE FROM holds WHERE hold = 'h1'`},
			"T1/12 (hold.ended): hold h1 of case T1-2026-0001 has no row", nil,
		},
		"an erased image brought back": {
			[]string{`UPDATE images SET state = 'sealed' WHERE case_no = 'T1-2026-0002'`},
			"T1/21 (erase.done): image image-01 of case T1-2026-0002 is erased, its row says sealed", nil,
		},
		"an image invented": {
			[]string{`INSERT INTO images VALUES ('T1-2026-0001', 'image-02', 'sealed')`},
			"T1/13 (hold.added): case T1-2026-0001 has a row for image image-02 that no event knows", nil,
		},
		"an attest changed": {
			[]string{`UPDATE attests SET note = x'00'`},
			"T1/22 (attest.issued): the stored attest is not the one", nil,
		},
		"an attest removed": {
			[]string{`DELETE FROM attests`},
			"T1/22 (attest.issued): the attest is missing", nil,
		},
		"the ledger given to another station": {
			[]string{`UPDATE self SET verifier = 'other'`},
			"the ledger does not name its station rightly", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := busyShopfloor(t)
			withoutRails(t, s.raw(t), test.sql...)
			result, err := s.Audit(t.Context())
			if !errors.Is(err, ErrAudit) {
				t.Fatalf("audit: %v", err)
			}
			// "T1/7 (type): …" allows T1/7, and what else the test names.
			allowed := test.also
			if ref, _, ok := strings.Cut(test.want, " "); ok {
				if _, seq, ok := strings.Cut(strings.TrimSuffix(ref, ":"), "/"); ok {
					n, _ := strconv.ParseInt(seq, 10, 64)
					allowed = append(allowed, n)
				}
			}
			found := false
			for _, f := range result.Faults {
				found = found || strings.HasPrefix(f.String(), test.want)
				if f.Check == "" {
					t.Errorf("which check found it is not told: %s", f)
				}
				if f.Ref.Seq != 0 && !slices.Contains(allowed, f.Ref.Seq) {
					t.Errorf("accuses an innocent event: %s", f)
				}
			}
			if !found {
				t.Errorf("no fault begins with %q:\n%v", test.want, result.Faults)
			}
		})
	}
}

func TestAuditFindsDroppedAndChangedGuardRails(t *testing.T) {
	s := newShopfloor(t)
	names := slices.Sorted(maps.Keys(guardRails(t, s.raw(t))))
	if len(names) < 30 {
		t.Fatalf("only %d guard rails", len(names))
	}
	for _, name := range names {
		run(t, s.raw(t), `DROP TRIGGER `+name)
	}
	run(t, s.raw(t), `CREATE TRIGGER events_update BEFORE UPDATE ON events BEGIN SELECT 1; END`)
	run(t, s.raw(t), `CREATE TABLE notes (customer TEXT)`)
	result, err := s.Audit(t.Context())
	if !errors.Is(err, ErrAudit) {
		t.Fatal(err)
	}
	for _, name := range names {
		want := "guard rail " + name + " is missing"
		if name == "events_update" {
			want = "guard rail events_update was changed"
		}
		if !slices.ContainsFunc(result.Faults, func(f Fault) bool { return f.What == want }) {
			t.Errorf("not found: %s", want)
		}
	}
	if !slices.ContainsFunc(result.Faults, func(f Fault) bool { return f.What == "table notes does not belong here" }) {
		t.Error("a foreign table was not found")
	}
}

func TestAuditFindsMissingAndChangedTables(t *testing.T) {
	for name, test := range map[string]struct{ sql, want string }{
		"events gone":    {`DROP TABLE events`, "table events is missing"},
		"private gone":   {`DROP TABLE private`, "table private is missing"},
		"column renamed": {`ALTER TABLE private RENAME COLUMN body TO text`, "table private was changed"},
		"column added":   {`ALTER TABLE events ADD COLUMN customer TEXT`, "table events was changed"},
		"index gone":     {`DROP INDEX events_case`, "index events_case is missing"},
	} {
		s := busyShopfloor(t)
		for rail := range guardRails(t, s.raw(t)) {
			run(t, s.raw(t), `DROP TRIGGER `+rail)
		}
		run(t, s.raw(t), test.sql)
		result, err := s.Audit(t.Context())
		if !errors.Is(err, ErrAudit) || !slices.ContainsFunc(result.Faults, func(f Fault) bool { return f.What == test.want }) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Where no second connection can begin, as beside a writer that waits for the first one
// to end, one connection reads all.
func TestAuditFindsTheSameOnOneConnection(t *testing.T) {
	s := busyShopfloor(t)
	s.mustAudit(t)
	withoutRails(t, s.raw(t),
		`UPDATE private SET body = (SELECT body FROM private WHERE event = 9) WHERE event = 7`,
		`INSERT INTO unopened VALUES (4711)`)
	two, err := s.Audit(t.Context())
	if !errors.Is(err, ErrAudit) || len(two.Faults) < 2 {
		t.Fatalf("%v %v", err, two.Faults)
	}
	alone := *s.Ledger
	alone.file = nil // it cannot tell that the file is still the same one
	if _, _, err := alone.besides(t.Context()); err == nil {
		t.Fatal("a second connection was opened")
	}
	one, err := alone.Audit(t.Context())
	if diff := cmp.Diff(two.Faults, one.Faults); diff != "" || !errors.Is(err, ErrAudit) {
		t.Errorf("%v %s", err, diff)
	}
}

// What is gone from the ledger alone is not said to be gone from the journal as well.
func TestAuditSaysWhereAnEventIsMissing(t *testing.T) {
	s, v := busyShopfloor(t), newVault("v1")
	s.sync(t, v.Journal)
	withoutRails(t, s.raw(t), `DELETE FROM private WHERE event = 11`, `DELETE FROM events WHERE seq = 11`)
	r, err := s.AuditWith(t.Context(), AuditOptions{Full: true, Journals: []*journal.Journal{v.Journal}})
	if !errors.Is(err, ErrAudit) {
		t.Fatal(err)
	}
	about := 0
	for _, f := range r.Faults {
		if strings.Contains(f.What, "in the journal") {
			t.Errorf("%v", f)
		}
		if f.Ref.Seq == 11 {
			about++
		}
	}
	if about == 0 {
		t.Errorf("nothing of event 11: %v", r.Faults)
	}
}

// A station that was tampered with must not put its signature over the edit.
func TestAppendRefusesToSignOverAnEdit(t *testing.T) {
	for name, sql := range map[string][]string{
		"last event replaced":  {`UPDATE events SET leaf = zeroblob(32) WHERE seq = 24`},
		"last event removed":   {`DELETE FROM events WHERE seq = 24`},
		"tree changed":         {`UPDATE tree SET hash = zeroblob(32) WHERE i = 30`},
		"tree cut":             {`DELETE FROM tree WHERE i = 45`},
		"checkpoint removed":   {`DELETE FROM checkpoints`},
		"checkpoint truncated": {`UPDATE checkpoints SET note = substr(note, 1, 100)`},
		"checkpoint size":      {`UPDATE checkpoints SET size = 25`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := busyShopfloor(t)
			withoutRails(t, s.raw(t), sql...)
			if _, err := s.Append(t.Context(), testOp, Entry{Pub: custody.Heartbeat{}}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("append: %v", err)
			}
		})
	}
}

// What is read is compared with its hash, and a private part with its event,
// even without an audit.
func TestReadingNeverShowsChangedContent(t *testing.T) {
	s := busyShopfloor(t)
	withoutRails(t, s.raw(t),
		`UPDATE events SET note = CAST(replace(CAST(note AS TEXT), '2027-02-19', '2029-02-19') AS BLOB) WHERE seq = 8`,
		`UPDATE private SET body = (SELECT body FROM private WHERE event = 9) WHERE event = 7`)
	if _, err := s.Case(t.Context(), "T1-2026-0001"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("case: %v", err)
	}
	if _, err := s.Private(t.Context(), custody.Ref{Station: "T1", Seq: 7}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("private: %v", err)
	}
}

// A log that was computed anew with another key stays found, whatever the file
// says about its owner.
func TestAuditTrustsOnlyTheStationsOwnKey(t *testing.T) {
	s := newShopfloor(t)
	other := newStation(t, "T1")
	var msg []byte
	db := s.raw(t)
	if err := db.QueryRow(`SELECT note FROM events WHERE seq = 4`).Scan(&msg); err != nil {
		t.Fatal(err)
	}
	text, _ := noteText(msg)
	forged, err := note.Sign(&note.Note{Text: string(text)}, other.signer)
	if err != nil {
		t.Fatal(err)
	}
	withoutRails(t, db, `UPDATE self SET verifier = '`+other.Verifier()+`'`)
	withoutRails(t, db, `UPDATE events SET note = x'`+hexOf(forged)+`' WHERE seq = 4`)
	result, err := s.Audit(t.Context())
	if !errors.Is(err, ErrAudit) || !slices.ContainsFunc(result.Faults, func(f Fault) bool { return f.Ref.Seq == 4 }) {
		t.Errorf("%v %v", err, result.Faults)
	}
	s.Close()
	if _, err := Open(context.Background(), s.path, s.st, s.clock.now); !errors.Is(err, ErrStation) {
		t.Errorf("open: %v", err)
	}
}
