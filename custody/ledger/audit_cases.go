package ledger

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salvor/custody"
)

// checkCases folds every case again and compares its rows. A case whose events
// and rows are those that an earlier audit has compared is not folded again.
func (a *auditing) checkCases(ctx context.Context) error {
	cases, err := a.gatherCases(ctx)
	if err != nil {
		return err
	}
	macs := make(map[custody.CaseNo][]byte)
	if !a.options.Full {
		if err := each(ctx, a.conn, func(scan func(...any) error) error {
			var no custody.CaseNo
			var mac []byte
			err := scan(&no, &mac)
			macs[no] = mac
			return sqlError(err)
		}, `SELECT no, mac FROM audited_cases`); err != nil {
			return err
		}
	}
	key := a.station.auditKey()
	for _, c := range cases {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "salvor/1 audited case\n%s\n%d\n%s", c.no, c.events, c.rows.String())
		sum := mac.Sum(nil)
		if c.events > 0 && hmac.Equal(macs[c.no], sum) {
			a.result.Cases++
			continue
		}
		faults := len(a.result.Faults)
		if err := a.checkCase(ctx, c.no); err != nil {
			return err
		}
		if len(a.result.Faults) == faults && !bytes.Equal(macs[c.no], sum) {
			a.cases[c.no] = sum
		}
	}
	return nil
}

// caseRows is what is stored of a case: how many events, and every derived row.
type caseRows struct {
	no     custody.CaseNo
	events int64
	rows   strings.Builder
}

func (a *auditing) gatherCases(ctx context.Context) ([]*caseRows, error) {
	byNo := make(map[custody.CaseNo]*caseRows)
	var cases []*caseRows
	get := func(no custody.CaseNo) *caseRows {
		c, ok := byNo[no]
		if !ok {
			c = &caseRows{no: no}
			byNo[no] = c
			cases = append(cases, c)
		}
		return c
	}
	for _, query := range []string{
		`SELECT case_no, count(*) FROM events WHERE case_no IS NOT NULL GROUP BY case_no`,
		`SELECT case_no, count(*) FROM forks WHERE case_no IS NOT NULL GROUP BY case_no`,
	} {
		if err := each(ctx, a.conn, func(scan func(...any) error) error {
			var no custody.CaseNo
			var n int64
			err := scan(&no, &n)
			get(no).events += n
			return sqlError(err)
		}, query); err != nil {
			return nil, err
		}
	}
	for _, query := range []string{
		`SELECT no, station || ' ' || year || ' ' || sequence || ' ' || coalesce(opened, '-') || ' ' || coalesce(first_image, '-')
			|| ' ' || coalesce(deadline, '-') || ' ' || coalesce(closed, '-') || ' ' || copies FROM cases ORDER BY no`,
		`SELECT case_no, 'i ' || image || ' ' || state FROM images ORDER BY case_no, image`,
		`SELECT case_no, 'h ' || hold || ' ' || active FROM holds ORDER BY case_no, hold`,
	} {
		if err := each(ctx, a.conn, func(scan func(...any) error) error {
			var no custody.CaseNo
			var row string
			err := scan(&no, &row)
			get(no).rows.WriteString(row + "\n")
			return sqlError(err)
		}, query); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(cases, func(x, y *caseRows) int { return strings.Compare(string(x.no), string(y.no)) })
	return cases, nil
}

func (a *auditing) checkCase(ctx context.Context, no custody.CaseNo) error {
	events, err := caseEvents(ctx, a.conn, no)
	switch {
	case isContentError(err): // told already
		return nil
	case err != nil:
		return err
	}
	if len(events) == 0 {
		a.fault(custody.Ref{}, "", "case %s: there are rows but no events", no)
		return nil
	}
	a.result.Cases++
	a.checkHeads(events)
	c := custody.FoldCase(no, events)
	newest := custody.Sort(events)[len(events)-1]
	want := caseRowOf(c)
	var got caseRow
	err = a.conn.QueryRowContext(ctx, `SELECT no, station, year, sequence, opened, first_image, deadline, closed, copies
		FROM cases WHERE no = ?`, string(no)).Scan(&got.no, &got.station, &got.year, &got.sequence,
		&got.opened, &got.firstImage, &got.deadline, &got.closed, &got.copies)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		a.fault(newest.Ref(), newest.Type(), "case %s has no row", no)
	case err != nil:
		return sqlError(err)
	case got != want:
		a.fault(newest.Ref(), newest.Type(), "the row of case %s is not what its events say: %s", no, want.difference(got))
	}
	if err := a.checkRows(ctx, `SELECT image, state FROM images WHERE case_no = ?`, no, "image", imageRows(c), newest); err != nil {
		return err
	}
	return a.checkRows(ctx, `SELECT hold, iif(active, 'active', 'ended') FROM holds WHERE case_no = ?`, no, "hold", holdRows(c), newest)
}

// isContentError tells damage that the check of the events has reported from a
// failure to read.
func isContentError(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, custody.ErrEvent) ||
		errors.Is(err, custody.ErrPayload) || errors.Is(err, custody.ErrUnknownType)
}

func (r caseRow) difference(got caseRow) string {
	switch {
	case r.deadline != got.deadline:
		return "deadline"
	case r.firstImage != got.firstImage:
		return "first image"
	case r.copies != got.copies:
		return "copies"
	case r.closed != got.closed:
		return "closed"
	case r.opened != got.opened:
		return "opened"
	}
	return "number"
}

// derived is what a row should say and the event that says it.
type derived struct {
	state string
	ref   custody.Ref
}

func imageRows(c custody.Case) map[string]derived {
	rows := make(map[string]derived)
	for _, i := range c.Images {
		ref := i.Ref
		if i.EraseRef != (custody.Ref{}) {
			ref = i.EraseRef
		}
		rows[i.Name] = derived{string(i.State), ref}
	}
	return rows
}

func holdRows(c custody.Case) map[string]derived {
	rows := make(map[string]derived)
	for _, h := range c.Holds {
		if h.Active() {
			rows[h.ID] = derived{"active", h.Ref}
		} else {
			rows[h.ID] = derived{"ended", h.EndRef}
		}
	}
	return rows
}

func (a *auditing) checkRows(ctx context.Context, query string, no custody.CaseNo, what string, want map[string]derived, newest custody.Event) error {
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var name, state string
		if err := scan(&name, &state); err != nil {
			return sqlError(err)
		}
		d, ok := want[name]
		delete(want, name)
		if !ok {
			a.fault(newest.Ref(), newest.Type(), "case %s has a row for %s %s that no event knows", no, what, name)
		} else if d.state != state {
			a.fault(d.ref, a.at(d.ref).kind, "%s %s of case %s is %s, its row says %s", what, name, no, d.state, state)
		}
		return nil
	}, query, string(no))
	for name, d := range want {
		a.fault(d.ref, a.at(d.ref).kind, "%s %s of case %s has no row", what, name, no)
	}
	return err
}

// checkAttests compares the stored attests with the hashes in their events.
func (a *auditing) checkAttests(ctx context.Context) error {
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var id string
		var msg []byte
		if err := scan(&id, &msg); err != nil {
			return sqlError(err)
		}
		// An attest without event was stored just before a crash.
		if e, ok := a.attests[id]; ok && custody.Hash(sha256.Sum256(msg)) != e.sha256 {
			a.fault(e.ref, custody.TypeAttestIssued, "the stored attest is not the one that was issued")
		}
		delete(a.attests, id)
		return nil
	}, `SELECT id, note FROM attests`)
	for _, e := range a.attests {
		if e.ref.Station != a.station.Name() {
			a.result.Unopened++ // it has not arrived yet
			continue
		}
		a.fault(e.ref, custody.TypeAttestIssued, "the attest is missing")
	}
	return err
}
