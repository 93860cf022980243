package ledger

import (
	"context"
	"database/sql"
)

// checkPrivate compares every private part with the commitment in its event,
// and what is gone with what was erased.
func (a *auditing) checkPrivate(ctx context.Context) error {
	marked, err := a.marks(ctx, `SELECT event FROM erased`)
	if err != nil {
		return err
	}
	unopened, err := a.marks(ctx, `SELECT event FROM unopened`)
	if err != nil {
		return err
	}
	kept := make([]bool, len(a.arrived)+1)
	err = each(ctx, a.conn, func(scan func(...any) error) error {
		var n int64
		var body sql.RawBytes
		if err := scan(&n, &body); err != nil {
			return sqlError(err)
		}
		if n < 1 || n > int64(len(a.arrived)) {
			return nil // SQLite's own check has told
		}
		kept[n] = true
		ref := a.arrived[n-1]
		e := a.at(ref)
		if !e.read {
			return nil // told already
		}
		if fault := unbound(e, body, a.erased[ref], marked[n], a.logs[ref.Station].covered >= ref.Seq); fault != "" {
			a.fault(ref, e.kind, "%s", fault)
		}
		return nil
	}, `SELECT event, body FROM private ORDER BY event`)
	if err != nil {
		return err
	}
	for i, ref := range a.arrived {
		n := int64(i + 1)
		e := a.at(ref)
		if !e.read || kept[n] {
			continue
		}
		if e.commit.IsZero() && !marked[n] && !unopened[n] {
			continue // as most are
		}
		// What another station has sealed to others is not missing.
		if !marked[n] && unopened[n] && !e.commit.IsZero() && !a.erased[ref] {
			a.result.Unopened++
			continue
		}
		if fault := unbound(e, nil, a.erased[ref], marked[n], false); fault != "" {
			a.fault(ref, e.kind, "%s", fault)
		}
	}
	for ref := range a.erased {
		if a.logs[ref.Station] != nil && a.at(ref).kind == "" && (ref.Station == a.station.Name() || ref.Seq <= int64(len(a.logs[ref.Station].events))) {
			a.fault(ref, "", "a private part of it was erased, but there is no such event")
		}
	}
	return nil
}

// marks reads a table of events.
func (a *auditing) marks(ctx context.Context, query string) ([]bool, error) {
	marks := make([]bool, len(a.arrived)+1)
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var n int64
		if err := scan(&n); err != nil {
			return sqlError(err)
		}
		if n >= 1 && n < int64(len(marks)) {
			marks[n] = true
		}
		return nil
	}, query)
	return marks, err
}

// unbound says what is wrong with a stored private part; "" when nothing is.
// Body is nil when none is stored, erased when an event says that it was
// erased, marked when the row that remembers this is there.
func unbound(e audited, body []byte, erased, marked, covered bool) string {
	switch {
	case e.commit.IsZero() && (body != nil || erased || marked):
		return "it has no private part, yet one is kept or erased"
	case erased && body != nil:
		return "its private part was erased and is there"
	case erased != marked:
		return "the mark that its private part is erased is not as the events say"
	case body == nil && !erased && !e.commit.IsZero():
		return "its private part is missing and no event erased it"
	case body == nil:
		return ""
	}
	// The commitment binds every byte behind the padding, so what was decoded once
	// needs no decoding again.
	open := func() error { _, err := openPrivate(e.kind, e.commit, body); return err }
	if covered {
		open = func() error { _, err := boundText(e.commit, body); return err }
	}
	if open() != nil {
		return "its private part is not the one that was recorded"
	}
	return ""
}
