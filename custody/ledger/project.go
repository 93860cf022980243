package ledger

import (
	"context"
	"database/sql"
	"time"

	"salvor/custody"
)

// The projections are what the guard rails and the lists look at: one row for
// each case, image and hold. They hold nothing that the events do not say.

type caseRow struct {
	no, station                          string
	year, sequence                       int
	opened, firstImage, deadline, closed sql.NullInt64
	copies                               int
}

func caseRowOf(c custody.Case) caseRow {
	return caseRow{
		no: string(c.No), station: c.No.Station(), year: c.No.Year(), sequence: c.No.Sequence(),
		opened: unixOrNull(c.Opened), firstImage: unixOrNull(c.FirstImage), deadline: unixOrNull(c.Deadline),
		closed: unixOrNull(c.Closed), copies: c.Copies(),
	}
}

// project writes a case's rows. An UPDATE comes before the INSERT because the
// guard rails refuse every second INSERT, an upsert's too.
func project(ctx context.Context, tx queryer, c custody.Case) error {
	r := caseRowOf(c)
	if err := updateOrInsert(ctx, tx,
		`UPDATE cases SET opened = ?, first_image = ?, deadline = ?, closed = ?, copies = ?
			WHERE no = ? AND station = ? AND year = ? AND sequence = ?`,
		`INSERT INTO cases (opened, first_image, deadline, closed, copies, no, station, year, sequence)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.opened, r.firstImage, r.deadline, r.closed, r.copies, r.no, r.station, r.year, r.sequence); err != nil {
		return err
	}
	// Holds come after the images: a hold and an erasing that arrive together
	// from other stations must both be recorded.
	for _, i := range c.Images {
		if err := updateOrInsert(ctx, tx,
			`UPDATE images SET state = ? WHERE case_no = ? AND image = ?`,
			`INSERT INTO images (state, case_no, image) VALUES (?, ?, ?)`,
			string(i.State), r.no, i.Name); err != nil {
			return err
		}
	}
	for _, h := range c.Holds {
		if err := updateOrInsert(ctx, tx,
			`UPDATE holds SET active = ? WHERE case_no = ? AND hold = ?`,
			`INSERT INTO holds (active, case_no, hold) VALUES (?, ?, ?)`,
			h.Active(), r.no, h.ID); err != nil {
			return err
		}
	}
	return nil
}

func updateOrInsert(ctx context.Context, tx queryer, update, insert string, args ...any) error {
	result, err := tx.ExecContext(ctx, update, args...)
	if err != nil {
		return sqlError(err)
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, insert, args...)
	return sqlError(err)
}

func unixOrNull(t time.Time) sql.NullInt64 {
	if t.IsZero() {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.Unix(), Valid: true}
}
