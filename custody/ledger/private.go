package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"salvor/custody"
)

// Erasing a private part must leave nothing of it in the file. SQLite's
// secure_delete zeroes a deleted row and a freed page, but not the copies that
// moving rows between shared pages leaves in the gaps of a page. So no private
// byte ever lies on a shared page: at most a page less 35 bytes of a row can
// lie there, and the first 4096 bytes of each body are padding. The rest is on
// overflow pages that belong to the row alone, never move, and are zeroed when
// it goes.
//
// What SQLite's rollback journal still holds of those pages is wiped in place;
// see connPragmas for why the journal is kept at all.
const privatePadding = 4096

// Private returns the private part of an event: nil when it has none or when
// it was erased, [ErrNotFound] when there is no such event.
func (l *Ledger) Private(ctx context.Context, ref custody.Ref) (map[string]string, error) {
	fields, err := private(ctx, l.db, ref)
	if err != nil {
		return nil, fmt.Errorf("private part of %s: %w", ref, err)
	}
	return fields, nil
}

func private(ctx context.Context, q queryer, ref custody.Ref) (map[string]string, error) {
	parts, err := queryPrivate(ctx, q, `events.station = ? AND events.seq = ?`, ref.Station, ref.Seq)
	if err != nil {
		return nil, err
	}
	fields, ok := parts[ref]
	if !ok {
		return nil, ErrNotFound
	}
	return fields, nil
}

// PrivateOfCase returns the private parts of a case by event. Events without
// one, and those whose part was erased, are not among them.
func (l *Ledger) PrivateOfCase(ctx context.Context, no custody.CaseNo) (map[custody.Ref]map[string]string, error) {
	parts, err := queryPrivate(ctx, l.db, `events.case_no = ?`, string(no))
	if err != nil {
		return nil, fmt.Errorf("private parts of %s: %w", no, err)
	}
	for ref, fields := range parts {
		if fields == nil {
			delete(parts, ref)
		}
	}
	return parts, nil
}

// queryPrivate returns the private parts of the events that a condition
// selects; nil for an event that has none. A part that its event does not bind
// is never shown.
func queryPrivate(ctx context.Context, q queryer, where string, args ...any) (map[custody.Ref]map[string]string, error) {
	parts := make(map[custody.Ref]map[string]string)
	err := each(ctx, q, func(scan func(...any) error) error {
		var body []byte
		e, err := decodeRow(func(columns ...any) error { return scan(append(columns, &body)...) })
		if err != nil {
			return err
		}
		parts[e.Ref()] = nil
		if body == nil {
			return nil
		}
		if parts[e.Ref()], err = openPrivate(e.Type(), e.Commit, body); err != nil {
			return fmt.Errorf("event %s: %w: %w", e.Ref(), ErrCorrupt, err)
		}
		return nil
	}, `SELECT `+eventColumns+`, private.body FROM events LEFT JOIN private ON private.event = events.n WHERE `+where, args...)
	return parts, err
}

// sealPrivate lays out a private part as it is stored.
func sealPrivate(nonce [custody.NonceSize]byte, text []byte) []byte {
	return slices.Concat(make([]byte, privatePadding), nonce[:], text)
}

// openPrivate reads the stored private part of an event of type t and checks it
// against the commitment in that event.
func openPrivate(t custody.Type, commit custody.Hash, body []byte) (map[string]string, error) {
	text, err := boundText(commit, body)
	if err != nil {
		return nil, err
	}
	return custody.DecodePrivate(t, text)
}

// boundText returns the text of a stored private part, which the commitment binds.
func boundText(commit custody.Hash, body []byte) ([]byte, error) {
	if len(body) < privatePadding+custody.NonceSize || !zero(body[:privatePadding]) {
		return nil, custody.ErrPrivate
	}
	nonce, text := [custody.NonceSize]byte(body[privatePadding:]), body[privatePadding+custody.NonceSize:]
	if custody.Commit(nonce, text) != commit {
		return nil, custody.ErrPrivate
	}
	return text, nil
}

// zero compares a text with itself one byte on: the fastest way there is.
func zero(p []byte) bool { return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1]) }

func insertPrivate(ctx context.Context, tx queryer, n int64, nonce [custody.NonceSize]byte, text []byte) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO private (event, body) VALUES (?, ?)`, n, sealPrivate(nonce, text))
	return sqlError(err)
}

// OperatorByLogin returns the operator with that login, or [ErrNotFound]. An
// operator whose private part was erased has no login any more.
func (l *Ledger) OperatorByLogin(ctx context.Context, login string) (custody.Operator, error) {
	shop, err := foldShop(ctx, l.db)
	if err != nil {
		return custody.Operator{}, fmt.Errorf("operator: %w", err)
	}
	o, err := operatorByLogin(ctx, l.db, shop, login)
	if err != nil {
		return custody.Operator{}, fmt.Errorf("operator: %w", err)
	}
	return o, nil
}

func operatorByLogin(ctx context.Context, q queryer, shop custody.Shop, login string) (custody.Operator, error) {
	if login == "" {
		return custody.Operator{}, ErrNotFound
	}
	for _, o := range shop.Operators {
		if o.Kind == "" {
			continue
		}
		fields, err := private(ctx, q, o.Ref)
		if err != nil {
			return custody.Operator{}, err
		}
		if fields[custody.FieldLogin] == login {
			return o, nil
		}
	}
	return custody.Operator{}, ErrNotFound
}

// ErasePrivate erases the private parts of a case for good: it records a signed
// private.erased, removes the parts with their nonces, and wipes what the
// rollback journal still held of them. The chain of events stays verifiable.
// It is safe to call again: then only the journal is wiped once more. When it
// is killed before that, the next [Open] does it.
//
// It needs the ledger for itself for a moment and returns [ErrBusy] when
// another process keeps reading. It returns [ErrNotFound] when there is no such
// case.
func (l *Ledger) ErasePrivate(ctx context.Context, op string, no custody.CaseNo) error {
	if err := l.erasePrivate(ctx, op, no); err != nil {
		return fmt.Errorf("erase private parts of %s: %w", no, err)
	}
	return nil
}

func (l *Ledger) erasePrivate(ctx context.Context, op string, no custody.CaseNo) error {
	return l.alone(ctx, func(conn *sql.Conn) error {
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return sqlError(err)
		}
		if err := l.deletePrivate(ctx, tx, op, no); err != nil {
			return errors.Join(sqlError(err), rollback(tx))
		}
		if err := tx.Commit(); err != nil {
			return errors.Join(sqlError(err), rollback(tx))
		}
		return l.wipe(ctx, conn)
	})
}

// alone runs do on a connection that keeps its lock after a transaction: from
// the first write in it to its end nobody else can use the file, so that the
// journal is ours alone.
func (l *Ledger) alone(ctx context.Context, do func(conn *sql.Conn) error) (err error) {
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return sqlError(err)
	}
	defer func() { err = errors.Join(err, sqlError(conn.Close())) }()
	if _, err := conn.ExecContext(ctx, `PRAGMA locking_mode = EXCLUSIVE`); err != nil {
		return sqlError(err)
	}
	defer func() {
		// The lock goes with the next read. Both must happen, also when ctx is
		// done: otherwise the process would keep everybody out.
		done := context.WithoutCancel(ctx)
		_, unlock := conn.ExecContext(done, `PRAGMA locking_mode = NORMAL`)
		read := conn.QueryRowContext(done, `SELECT one FROM self`).Scan(new(int64))
		err = errors.Join(err, sqlError(unlock), sqlError(read))
	}()
	return do(conn)
}

// wipe wipes the journal after a write by the same connection, and forgets
// that this was to be done.
func (l *Ledger) wipe(ctx context.Context, conn *sql.Conn) error {
	if err := l.wipeFile(l.path + "-journal"); err != nil {
		return fmt.Errorf("erased, but the journal may still hold copies: %w", err)
	}
	_, err := conn.ExecContext(ctx, `DELETE FROM wipes`)
	return sqlError(err)
}

// wipeAgain does what an ErasePrivate that was killed has left undone. Where
// somebody else is using the file, it is left to the next one who opens it.
func (l *Ledger) wipeAgain(ctx context.Context) error {
	var left int
	if err := l.db.QueryRowContext(ctx, `SELECT count(*) FROM wipes`).Scan(&left); err != nil || left == 0 {
		return sqlError(err)
	}
	err := l.alone(ctx, func(conn *sql.Conn) error {
		// A write that changes nothing takes the lock.
		if _, err := conn.ExecContext(ctx, `UPDATE wipes SET one = 1`); err != nil {
			return sqlError(err)
		}
		return l.wipe(ctx, conn)
	})
	if errors.Is(err, ErrBusy) {
		return nil
	}
	return err
}

// deletePrivate records what is erased and removes it.
func (l *Ledger) deletePrivate(ctx context.Context, tx *sql.Tx, op string, no custody.CaseNo) error {
	a, err := l.begin(ctx, tx, op)
	if err != nil {
		return err
	}
	t, err := a.touch(ctx, no)
	if err != nil {
		return err
	}
	if t == nil || len(t.events) == 0 {
		return ErrNotFound
	}
	var refs []custody.Ref
	var rows []int64
	err = each(ctx, tx, func(scan func(...any) error) error {
		var ref custody.Ref
		var n int64
		err := scan(&n, &ref.Station, &ref.Seq)
		refs, rows = append(refs, ref), append(rows, n)
		return sqlError(err)
	}, `SELECT events.n, events.station, events.seq FROM events JOIN private ON private.event = events.n
		WHERE events.case_no = ? ORDER BY events.station, events.seq`, string(no))
	if err != nil {
		return err
	}
	if len(refs) == 0 { // whoever asks again has found some of it in a vault
		if _, err := tx.ExecContext(ctx, `UPDATE journals SET erased = 0`); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(refs, custody.MaxErasedRefs) {
		if err := a.record(ctx, Entry{Case: no}, custody.PrivateErased{Events: part}); err != nil {
			return err
		}
	}
	for _, n := range rows {
		if _, err := tx.ExecContext(ctx, `INSERT INTO erased (event) VALUES (?)`, n); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM private WHERE event = ?`, n); err != nil {
			return err
		}
	}
	if err := rememberWipe(ctx, tx); err != nil {
		return err
	}
	return a.finish(ctx)
}

// rememberWipe notes that the rollback journal is to be wiped after this
// transaction.
func rememberWipe(ctx context.Context, tx queryer) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO wipes (one) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM wipes)`)
	return sqlError(err)
}

// wipeFile overwrites a file with zeros, in place, and makes that durable. Of the
// rollback journal nothing is needed any more: its transaction is committed and
// nobody else can begin one, and a journal of zeros is an ended one.
func wipeFile(path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := checkFile(f); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	for at := int64(0); at < info.Size(); at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), info.Size()-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}
