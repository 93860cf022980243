package ledger

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"salvor/custody"
)

// Every statement here is a mistake that somebody could make in a SQLite
// shell, where none of the ledger's pragmas are set and recursive_triggers is
// off: the guard rails must stop it by themselves.
func TestGuardRailsStopMistakes(t *testing.T) {
	s := busyShopfloor(t)
	db := s.raw(t)
	for _, test := range []struct{ sql, want string }{
		{`UPDATE events SET ts = 0`, "append-only"},
		{`DELETE FROM events WHERE seq = 24`, "append-only"},
		{`INSERT OR REPLACE INTO events SELECT * FROM events WHERE n = 24`, "without a gap"},
		{`REPLACE INTO events SELECT 25, station, 25, id, ts, type, case_no, leaf, note FROM events WHERE n = 24`, "without a gap"},
		{`INSERT INTO events SELECT 25, station, 26, 'x', ts, type, case_no, leaf, note FROM events WHERE n = 24`, "without a gap"},
		{`INSERT INTO events SELECT 26, station, 25, 'x', ts, type, case_no, leaf, note FROM events WHERE n = 24`, "without a gap"},
		{`INSERT INTO events SELECT NULL, station, 25, 'x', ts, type, case_no, leaf, note FROM events WHERE n = 24`, "without a gap"},
		{`INSERT INTO events SELECT 25, 'B2', 2, 'x', ts, type, case_no, leaf, note FROM events WHERE n = 24`, "without a gap"},
		{`INSERT INTO events SELECT 25, station, 25, 'x', ts, 'erase.started', 'T1-2026-0001', leaf, note FROM events WHERE n = 24`, "hold blocks"},
		{`UPDATE tree SET hash = zeroblob(32)`, "tree only grows"},
		{`DELETE FROM tree`, "tree only grows"},
		{`REPLACE INTO tree SELECT * FROM tree WHERE i = 0`, "tree only grows"},
		{`UPDATE checkpoints SET size = size`, "replaced by a larger"},
		{`DELETE FROM checkpoints`, "replaced by a larger"},
		{`REPLACE INTO checkpoints SELECT * FROM checkpoints`, "replaced by a larger"},
		{`UPDATE private SET body = x''`, "written once"},
		{`DELETE FROM private WHERE event = 5`, "only after its private.erased"},
		{`REPLACE INTO private SELECT * FROM private`, "written once"},
		{`INSERT INTO private VALUES (14, x'')`, "written once"},
		{`DELETE FROM erased`, "erased stays erased"},
		{`UPDATE erased SET event = 5 WHERE event = 14`, "erased stays erased"},
		{`REPLACE INTO erased SELECT * FROM erased`, "erased stays erased"},
		{`UPDATE cases SET deadline = deadline + 1`, "never moves later"},
		{`UPDATE cases SET deadline = NULL`, "never moves later"},
		{`UPDATE cases SET first_image = first_image + 1`, "never moves later"},
		{`UPDATE cases SET first_image = NULL`, "never moves later"},
		{`UPDATE cases SET no = 'x' WHERE sequence = 1`, "number is given once"},
		{`UPDATE cases SET sequence = 7 WHERE sequence = 1`, "number is given once"},
		{`DELETE FROM cases`, "a case stays"},
		{`REPLACE INTO cases SELECT * FROM cases`, "number is given once"},
		{`REPLACE INTO cases SELECT 'x', station, year, sequence, opened, first_image, deadline, copies, closed FROM cases`, "number is given once"},
		{`UPDATE images SET state = 'erasing' WHERE case_no = 'T1-2026-0001'`, "hold blocks"},
		{`UPDATE images SET state = 'erased' WHERE case_no = 'T1-2026-0001'`, "hold blocks"},
		{`INSERT INTO images VALUES ('T1-2026-0001', 'image-02', 'erased')`, "hold blocks"},
		{`UPDATE images SET state = 'sealed' WHERE case_no = 'T1-2026-0002'`, "erased stays erased"},
		{`UPDATE images SET image = 'image-02'`, "recorded once"},
		{`UPDATE images SET state = 'lost'`, "CHECK"},
		{`DELETE FROM images`, "stays recorded"},
		{`REPLACE INTO images SELECT * FROM images`, "recorded once"},
		{`UPDATE holds SET active = 1 WHERE hold = 'h1'`, "stays ended"},
		{`UPDATE holds SET hold = 'h3' WHERE hold = 'h1'`, "stays ended"},
		{`DELETE FROM holds`, "never removed"},
		{`REPLACE INTO holds SELECT * FROM holds`, "recorded once"},
		{`UPDATE attests SET note = x''`, "issued once"},
		{`DELETE FROM attests`, "an attest stays"},
		{`REPLACE INTO attests SELECT * FROM attests`, "issued once"},
		{`UPDATE self SET station = 'B2'`, "belongs to one station"},
		{`DELETE FROM self`, "belongs to one station"},
		{`REPLACE INTO self SELECT * FROM self`, "belongs to one station"},
		{`INSERT INTO cases VALUES ('T1-2026-0009', 'T1', 2026, 9, 'soon', NULL, NULL, 0, NULL)`, "cannot store TEXT"},
	} {
		if _, err := db.Exec(test.sql); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n\tgot %v, want … %s …", test.sql, err, test.want)
		}
	}
	s.mustAudit(t)
}

func TestGuardRailsOfJobsAndProgress(t *testing.T) {
	s := newShopfloor(t)
	for _, err := range []error{
		s.SaveJob(t.Context(), "j1", "T1-2026-0001", "image-01", []byte("x")),
		s.EndJob(t.Context(), "j1"),
		s.SaveProgress(t.Context(), "T1-2026-0001", "image-01", Progress{1, 5, 100}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ sql, want string }{
		{`DELETE FROM jobs`, "stays recorded"},
		{`UPDATE jobs SET ended = NULL`, "stays as it is"},
		{`REPLACE INTO jobs SELECT id, case_no, image, body, saved, NULL FROM jobs`, "stays recorded"},
		{`DELETE FROM progress`, "never goes back"},
		{`UPDATE progress SET segment = 0`, "never goes back"},
		{`UPDATE progress SET records = 4`, "never goes back"},
		{`UPDATE progress SET bytes = 99`, "never goes back"},
		{`REPLACE INTO progress SELECT case_no, image, 0, 0, 0 FROM progress`, "never goes back"},
	} {
		if _, err := s.raw(t).Exec(test.sql); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n\tgot %v, want … %s …", test.sql, err, test.want)
		}
	}
}

// The SQL and the Go side must agree on the calendar for every day of a leap
// cycle, to the second.
func TestCalendarYearIsTheSameInSQLAndInGo(t *testing.T) {
	s := newShopfloor(t)
	db := s.raw(t)
	day := time.Date(2023, 12, 31, 15, 4, 5, 0, time.UTC)
	for i := range 4*366 + 3 {
		first := day.AddDate(0, 0, i)
		most := custody.MaxDeadline(first)
		insert := fmt.Sprintf(`INSERT INTO cases VALUES ('c%d', 'X', 1, %d, NULL, %d, %%d, 0, NULL)`, i, i, first.Unix())
		if _, err := db.Exec(fmt.Sprintf(insert, most.Unix()+1)); err == nil {
			t.Fatalf("%v: a second more than a year was accepted", first)
		}
		if first.Month() > 2 && first.Day() != 29 && i%50 != 0 {
			continue // the accepted side is slow, and every 50th day is enough
		}
		if _, err := db.Exec(fmt.Sprintf(insert, most.Unix())); err != nil {
			t.Fatalf("%v: one year was refused: %v", first, err)
		}
	}
	for _, test := range []struct {
		first, deadline string
		ok              bool
	}{
		{"2024-02-29", "2025-02-28", true},
		{"2024-02-29", "2025-03-01", false},
		{"2024-02-28", "2025-02-28", true},
		{"2023-02-28", "2024-02-28", true},
		{"2023-02-28", "2024-02-29", false},
	} {
		_, err := db.Exec(fmt.Sprintf(`INSERT INTO cases VALUES ('%s %s', 'Y', 1, (SELECT count(*) FROM cases), NULL, unixepoch('%[1]s'), unixepoch('%[2]s'), 0, NULL)`, test.first, test.deadline))
		if (err == nil) != test.ok {
			t.Errorf("%s until %s: %v", test.first, test.deadline, err)
		}
	}
	if _, err := db.Exec(`INSERT INTO cases VALUES ('z', 'Z', 1, 1, NULL, unixepoch('2024-02-29'), NULL, 0, NULL)`); err == nil {
		t.Error("an image without a deadline was accepted")
	}
}

// The rules in Go come first; the guard rails are for whoever walks past them.
func TestRulesRefuseBeforeTheGuardRails(t *testing.T) {
	s := newShopfloor(t)
	no := s.openCase(t)
	s.startImage(t, no, "image-01")
	later := custody.At(testStart.AddDate(0, 0, 91))
	hold := custody.HoldAdded{Hold: "h1", Kind: custody.HoldRestriction, Review: "2027-01-01"}
	erase := Entry{Case: no, Pub: custody.EraseStarted{Job: "j1", Image: "image-01", Early: true}, Private: map[string]string{"reason": "asked"}}
	for _, step := range []struct {
		e    Entry
		want error
	}{
		{Entry{Case: no, Pub: custody.DeadlineShortened{Deadline: later}}, custody.ErrLater},
		{Entry{Case: no, Pub: custody.DeadlineShortened{Deadline: custody.At(testStart.AddDate(1, 0, 1))}}, custody.ErrTooLong},
		{Entry{Case: no, Pub: custody.EraseStarted{Job: "j1", Image: "image-01"}}, custody.ErrNotDue},
		{Entry{Case: no, Pub: custody.EraseStarted{Job: "j1", Image: "image-01", Early: true}}, custody.ErrNoReason},
		{Entry{Case: no, Pub: custody.CaseClosed{}}, custody.ErrOpenCopies},
		{Entry{Case: no, Pub: hold}, nil},
		{erase, custody.ErrHeld},
		{Entry{Case: no, Pub: custody.HoldEnded{Hold: "h2"}}, custody.ErrNoHold},
		{Entry{Case: no, Pub: custody.HoldEnded{Hold: "h1"}}, nil},
		{erase, nil},
		{Entry{Case: no, Pub: custody.EraseDone{Job: "j2", Image: "image-01", Keys: custody.KeysComplete, Media: custody.MediaRaw}}, custody.ErrNoJob},
		{Entry{Case: no, Pub: custody.EraseDone{Job: "j1", Image: "image-01", Keys: custody.KeysComplete, Media: custody.MediaRaw}}, nil},
		{erase, custody.ErrErased},
		{Entry{Case: no, Pub: custody.CaseClosed{}}, custody.ErrOpenItems},
		{givenBack(no), nil},
		{Entry{Case: no, Pub: custody.CaseClosed{}}, nil},
		{Entry{Case: no, Pub: custody.CaseClosed{}}, custody.ErrClosed},
		{s.started(no, "image-02"), custody.ErrClosed},
	} {
		_, err := s.Append(t.Context(), testOp, step.e)
		if !errors.Is(err, step.want) || step.want == nil && err != nil {
			t.Errorf("%T: got %v, want %v", step.e.Pub, err, step.want)
		}
	}
	s.mustAudit(t)
}

// The purge job may only purge, and nobody acts without the agreement or after
// his end.
func TestOperatorsActOnlyWithAgreementAndUntilTheirEnd(t *testing.T) {
	s := newShopfloor(t)
	no := s.openCase(t)
	s.append(t,
		Entry{Pub: custody.OperatorAdded{Op: "op-aaaa", Kind: custody.OperatorPerson}, Private: map[string]string{"login": "bert"}},
		Entry{Pub: custody.OperatorAdded{Op: "op-bbbb", Kind: custody.OperatorPurge}, Private: map[string]string{"login": "purge"}})
	s.append(t, givenBack(no))
	close := Entry{Case: no, Pub: custody.CaseClosed{}}
	hold := Entry{Case: no, Pub: custody.HoldAdded{Hold: "h1", Kind: custody.HoldOther, Review: "2027-01-01"}}
	for _, test := range []struct {
		op   string
		e    Entry
		want error
	}{
		{"op-cccc", hold, custody.ErrOperator},
		{"op-aaaa", hold, custody.ErrNotAgreed},
		{"op-bbbb", hold, custody.ErrPurgeOnly},
		{"op-bbbb", close, nil},
	} {
		if _, err := s.Append(t.Context(), test.op, test.e); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.op, err, test.want)
		}
	}
	s.append(t, Entry{Pub: custody.OperatorEnded{Op: testOp, Date: "2026-11-21"}})
	if _, err := s.OpenCase(t.Context(), testOp, 2026, s.opening); err != nil {
		t.Errorf("on the last day: %v", err)
	}
	s.clock.add(24 * time.Hour)
	if _, err := s.OpenCase(t.Context(), testOp, 2026, s.opening); !errors.Is(err, custody.ErrOperatorLeft) {
		t.Errorf("after the end: %v", err)
	}
}
