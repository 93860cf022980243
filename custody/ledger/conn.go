package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/mattn/go-sqlite3"
)

// applicationID marks a SQLite file as a salvor ledger: "SALV".
const applicationID = 0x53414C56

// schemaVersion is the version of the schema in schema/, kept in user_version.
const schemaVersion = 2

// busyMilliseconds is how long a command waits for another one to finish its
// transaction.
const busyMilliseconds = 10_000

// cachedStatements is how many compiled statements a connection keeps: more than
// taking in a case needs, which otherwise would compile each for every row.
const cachedStatements = 64

// connPragmas are set on every connection before anything else.
//
// The rollback journal is kept and its head overwritten (PERSIST), not deleted:
// a deleted journal leaves the old pages, and so personal data, in blocks that
// nobody can find again. With the file kept, its blocks stay known, and
// ErasePrivate wipes them. WAL would keep private data in the file beside.
const connPragmas = `
PRAGMA page_size = 4096;
PRAGMA journal_mode = PERSIST;
PRAGMA journal_size_limit = -1;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA foreign_keys = ON;
PRAGMA recursive_triggers = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA temp_store = MEMORY;
PRAGMA mmap_size = 0;
`

// connector opens SQLite connections with every pragma set, without a driver
// registered under a global name.
type connector struct{ dsn string }

// newConnector opens the file at path; connections wait so long for others to finish.
func newConnector(path string, milliseconds int) (connector, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return connector{}, err
	}
	u := url.URL{Scheme: "file", Path: abs}
	return connector{fmt.Sprintf("%s?mode=rw&_txlock=immediate&_busy_timeout=%d&_stmt_cache_size=%d", u.String(), milliseconds, cachedStatements)}, nil
}

// plainConnector opens a copy only to read it, without the pragmas of a ledger,
// some of which would write.
type plainConnector connector

// Driver implements driver.Connector.
func (c plainConnector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

// Connect implements driver.Connector.
func (c plainConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	return conn, sqlError(err)
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, sqlError(err)
	}
	x, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(errors.New("sqlite driver cannot execute"), conn.Close())
	}
	if _, err := x.ExecContext(ctx, connPragmas, nil); err != nil {
		return nil, errors.Join(sqlError(err), conn.Close())
	}
	return conn, nil
}

// queryer is what a connection and a transaction have in common.
type queryer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// write runs do in one immediate transaction: all of it happens or nothing.
func (l *Ledger) write(ctx context.Context, do func(tx queryer) error) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return sqlError(err)
	}
	if err := do(tx); err != nil {
		return errors.Join(sqlError(err), rollback(tx))
	}
	if err := tx.Commit(); err != nil {
		return errors.Join(sqlError(err), rollback(tx))
	}
	return nil
}

// snapshot runs do on one state of the file, whatever others write meanwhile.
func (l *Ledger) snapshot(ctx context.Context, do func(conn queryer) error) (err error) {
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return sqlError(err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, `BEGIN DEFERRED`); err != nil {
		return sqlError(err)
	}
	err = do(conn)
	_, end := conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
	return errors.Join(err, sqlError(end))
}

// rollback ends a transaction that has failed. SQLite has often ended it by
// itself, on a full disk for one; that is no second error.
func rollback(tx *sql.Tx) error {
	err := tx.Rollback()
	var e sqlite3.Error
	if err == nil || errors.Is(err, sql.ErrTxDone) || errors.As(err, &e) && e.Code == sqlite3.ErrError {
		return nil
	}
	return sqlError(err)
}

// each calls do for every row of a query.
func each(ctx context.Context, q queryer, do func(scan func(...any) error) error, query string, args ...any) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return sqlError(err)
	}
	defer func() { err = errors.Join(err, sqlError(rows.Close())) }()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return err
		}
	}
	return sqlError(rows.Err())
}
