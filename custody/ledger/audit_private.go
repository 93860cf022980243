package ledger

import (
	"context"
)

// checkPrivate compares every private part with the commitment in its event,
// and what is gone with what was erased.
func (a *auditing) checkPrivate(ctx context.Context, parts []storedPart) error {
	marked, err := a.marks(ctx, `SELECT event FROM erased`)
	if err != nil {
		return err
	}
	unopened, err := a.marks(ctx, `SELECT event FROM unopened`)
	if err != nil {
		return err
	}
	kept := make([]bool, len(a.arrived)+1)
	for _, p := range parts {
		if p.event < 1 || p.event > int64(len(a.arrived)) {
			continue // SQLite's own check has told
		}
		kept[p.event] = true
		ref := a.arrived[p.event-1]
		e := a.at(ref)
		if !e.read {
			continue // told already
		}
		fault := unbound(e, &p, a.erased[ref], marked[p.event])
		// The commitment binds every byte behind the padding, so what was decoded once
		// needs no decoding again.
		if fault == "" && a.logs[ref.Station].covered < ref.Seq {
			if fault, err = a.undecoded(ctx, e); err != nil {
				return err
			}
		}
		if fault != "" {
			a.fault(ref, e.kind, "%s", fault)
		}
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
		if fault := unbound(e, nil, a.erased[ref], marked[n]); fault != "" {
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

// otherPart is what is said of a private part that is not its event's.
const otherPart = "its private part is not the one that was recorded"

// unbound says what is wrong with a stored private part; "" when nothing is.
// Part is nil when none is stored, erased when an event says that it was
// erased, marked when the row that remembers this is there.
func unbound(e audited, part *storedPart, erased, marked bool) string {
	switch {
	case e.commit.IsZero() && (part != nil || erased || marked):
		return "it has no private part, yet one is kept or erased"
	case erased && part != nil:
		return "its private part was erased and is there"
	case erased != marked:
		return "the mark that its private part is erased is not as the events say"
	case part == nil && !erased && !e.commit.IsZero():
		return "its private part is missing and no event erased it"
	case part != nil && (!part.whole || part.sum != e.commit):
		return otherPart
	}
	return ""
}

// undecoded says whether a stored private part, which its event binds, cannot be read.
func (a *auditing) undecoded(ctx context.Context, e audited) (string, error) {
	var body []byte
	if err := a.conn.QueryRowContext(ctx, `SELECT body FROM private WHERE event = ?`, e.n).Scan(&body); err != nil {
		return "", sqlError(err)
	}
	if _, err := openPrivate(e.kind, e.commit, body); err != nil {
		return otherPart, nil //nolint:nilerr // it is told as a fault
	}
	return "", nil
}
