package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"salvor/custody"
)

// Half of an audit's work needs nothing that the logs say: SQLite's own check of the
// file, and the hash of every private part. It is done on a connection of its own
// while the logs are checked. Both connections read the same state: the ledger keeps a
// rollback journal, so nobody can write to the file as long as the first one reads it,
// and the second one begins and ends within that time. Where it cannot begin at once,
// because a writer already waits for the first to end, the first does all of it.

// An aside is what was found beside the logs.
type aside struct {
	faults []Fault
	parts  []storedPart // by event
}

// A storedPart is a private part as it lies in the file.
type storedPart struct {
	event int64        // its n
	whole bool         // it is padded as it must be
	sum   custody.Hash // the commitment that binds it
}

// readAside begins to read what needs no log. The caller must wait for it before the
// first connection stops reading.
func (a *auditing) readAside(ctx context.Context) (wait func() (aside, error)) {
	conn, end, err := a.ledger.besides(ctx)
	if err != nil {
		return func() (aside, error) { return readAside(ctx, a.conn) }
	}
	var found aside
	done := make(chan error, 1)
	go func() {
		var err error
		found, err = readAside(ctx, conn)
		done <- errors.Join(err, end())
	}()
	return func() (aside, error) { err := <-done; return found, err }
}

// besides opens a second connection, on which reading has begun.
func (l *Ledger) besides(ctx context.Context) (_ queryer, end func() error, err error) {
	c, err := newConnector(l.path, 0)
	if err != nil {
		return nil, nil, err
	}
	db := sql.OpenDB(c)
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, err := conn.ExecContext(ctx, `BEGIN DEFERRED`); err != nil {
		return nil, nil, sqlError(err)
	}
	var one int64
	if err := conn.QueryRowContext(ctx, `SELECT count(*) FROM self`).Scan(&one); err != nil {
		return nil, nil, sqlError(err)
	}
	var mode string
	if err := conn.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return nil, nil, sqlError(err)
	}
	there, err := os.Stat(l.path)
	if err != nil {
		return nil, nil, err
	}
	if mode != "persist" || !os.SameFile(there, l.file) {
		return nil, nil, ErrForeign
	}
	return conn, func() error { return errors.Join(conn.Close(), db.Close()) }, nil
}

func readAside(ctx context.Context, q queryer) (aside, error) {
	var found aside
	var err error
	if found.faults, err = checkDatabase(ctx, q); err != nil {
		return found, err
	}
	// The padding is compared where it lies, and only what lies behind it is fetched.
	err = each(ctx, q, func(scan func(...any) error) error {
		var p storedPart
		var body sql.RawBytes
		if err := scan(&p.event, &p.whole, &body); err != nil {
			return sqlError(err)
		}
		if p.whole = p.whole && len(body) >= custody.NonceSize; p.whole {
			p.sum = custody.Commit([custody.NonceSize]byte(body), body[custody.NonceSize:])
		}
		found.parts = append(found.parts, p)
		return nil
	}, `SELECT event, coalesce(substr(body, 1, ?1) = zeroblob(?1), 0), substr(body, ?1 + 1) FROM private ORDER BY event`, privatePadding)
	return found, err
}

// checkDatabase asks SQLite whether the file is whole.
func checkDatabase(ctx context.Context, q queryer) ([]Fault, error) {
	var faults []Fault
	fault := func(format string, args ...any) {
		faults = append(faults, Fault{What: fmt.Sprintf(format, args...), Check: CheckStorage})
	}
	err := each(ctx, q, func(scan func(...any) error) error {
		var line string
		if err := scan(&line); err != nil {
			return sqlError(err)
		}
		if line != "ok" {
			fault("file: %s", line)
		}
		return nil
	}, `PRAGMA integrity_check(100)`)
	if err != nil {
		return faults, err
	}
	err = each(ctx, q, func(scan func(...any) error) error {
		var table, parent string
		var row, key sql.NullInt64
		if err := scan(&table, &row, &parent, &key); err != nil {
			return sqlError(err)
		}
		if len(faults) < maxFaults {
			fault("row %d of %s has no row in %s", row.Int64, table, parent)
		}
		return nil
	}, `PRAGMA foreign_key_check`)
	return faults, err
}
