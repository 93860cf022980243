package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"salvor/custody"
)

// A stationLog is the signed end of this station's log inside a transaction:
// where it stands, and how it grows.
type stationLog struct {
	tx      queryer
	station Station
	size    int64        // events
	leaf    custody.Hash // of the last event; zero when there is none
}

// newLog reads where the log stands and does not believe it unseen: before
// another checkpoint is signed, the one before it must be ours and must agree
// with the stored tree and the last event. Otherwise a station would put its
// signature under somebody else's edit.
func newLog(ctx context.Context, tx queryer, st Station) (*stationLog, error) {
	log := &stationLog{tx: tx, station: st}
	cp, _, err := readCheckpoint(ctx, tx, st)
	if err != nil {
		return nil, err
	}
	last, leaf, err := logEnd(ctx, tx, st.Name())
	if err != nil {
		return nil, err
	}
	if last != cp.Size {
		return nil, fmt.Errorf("%w: the checkpoint counts %s, the log %d", ErrCorrupt, count(cp.Size, "event"), last)
	}
	log.size = cp.Size
	root, err := rootAt(ctx, tx, st.Name(), cp.Size)
	if err != nil {
		return nil, err
	}
	if root != cp.Root {
		return nil, fmt.Errorf("%w: the tree is not the one that was signed", ErrCorrupt)
	}
	if log.size == 0 {
		return log, nil
	}
	stored, err := log.reader(ctx).ReadHashes([]int64{tlog.StoredHashIndex(0, log.size-1)})
	if err != nil {
		return nil, err
	}
	if log.leaf = custody.Hash(stored[0]); leaf != log.leaf {
		return nil, fmt.Errorf("%w: the last event is not the one that was signed", ErrCorrupt)
	}
	return log, nil
}

// add appends an event's leaf to the tree.
func (log *stationLog) add(ctx context.Context, leaf custody.Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(log.size, tlog.Hash(leaf), log.reader(ctx))
	if err != nil {
		return err
	}
	at := tlog.StoredHashIndex(0, log.size)
	for i, h := range hashes {
		if _, err := log.tx.ExecContext(ctx, `INSERT INTO tree (station, i, hash) VALUES (?, ?, ?)`,
			log.station.Name(), at+int64(i), h[:]); err != nil {
			return sqlError(err)
		}
	}
	log.size++
	log.leaf = leaf
	return nil
}

// checkpoint signs the log as it is now.
func (log *stationLog) checkpoint(ctx context.Context) error {
	root, err := rootAt(ctx, log.tx, log.station.Name(), log.size)
	if err != nil {
		return err
	}
	cp := custody.Checkpoint{Origin: log.station.Origin(), Size: log.size, Root: root}
	msg, err := log.station.SignNote(cp.Text())
	if err != nil {
		return fmt.Errorf("sign checkpoint: %w", err)
	}
	query := `UPDATE checkpoints SET size = ?, note = ? WHERE station = ?`
	if log.size == 0 {
		query = `INSERT INTO checkpoints (size, note, station) VALUES (?, ?, ?)`
	}
	_, err = log.tx.ExecContext(ctx, query, log.size, msg, log.station.Name())
	return sqlError(err)
}

func (log *stationLog) reader(ctx context.Context) tlog.HashReaderFunc {
	return treeReader(ctx, log.tx, log.station.Name())
}

// treeReader reads the stored tree of a station's log.
func treeReader(ctx context.Context, q queryer, station string) tlog.HashReaderFunc {
	return func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for k, i := range indexes {
			var h []byte
			err := q.QueryRowContext(ctx, `SELECT hash FROM tree WHERE station = ? AND i = ?`, station, i).Scan(&h)
			if errors.Is(err, sql.ErrNoRows) || err == nil && len(h) != tlog.HashSize {
				return nil, fmt.Errorf("%w: hash %d of the tree is missing", ErrCorrupt, i)
			}
			if err != nil {
				return nil, sqlError(err)
			}
			hashes[k] = tlog.Hash(h)
		}
		return hashes, nil
	}
}

// rootAt returns the root of a station's tree when its log held size events.
func rootAt(ctx context.Context, q queryer, station string, size int64) (custody.Hash, error) {
	root, err := tlog.TreeHash(size, treeReader(ctx, q, station))
	return custody.Hash(root), err
}

// logEnd returns how many events of a station the ledger holds, and the leaf of
// the last.
func logEnd(ctx context.Context, q queryer, station string) (size int64, leaf custody.Hash, err error) {
	var h []byte
	err = q.QueryRowContext(ctx, `SELECT seq, leaf FROM events WHERE station = ? ORDER BY seq DESC LIMIT 1`, station).Scan(&size, &h)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, custody.Hash{}, nil
	}
	if err == nil && len(h) != len(leaf) {
		err = ErrCorrupt
	}
	if err != nil {
		return 0, custody.Hash{}, sqlError(err)
	}
	return size, custody.Hash(h), nil
}

// readCheckpoint returns the station's own newest checkpoint and the note that
// carries it, checked against the station's key.
func readCheckpoint(ctx context.Context, q queryer, st Station) (custody.Checkpoint, []byte, error) {
	var msg []byte
	var size int64
	err := q.QueryRowContext(ctx, `SELECT size, note FROM checkpoints WHERE station = ?`, st.Name()).Scan(&size, &msg)
	if errors.Is(err, sql.ErrNoRows) {
		return custody.Checkpoint{}, nil, fmt.Errorf("%w: no checkpoint", ErrCorrupt)
	}
	if err != nil {
		return custody.Checkpoint{}, nil, sqlError(err)
	}
	text, err := st.OpenNote(msg)
	if err != nil {
		return custody.Checkpoint{}, nil, fmt.Errorf("%w: checkpoint: %w", ErrCorrupt, err)
	}
	cp, err := custody.ParseCheckpoint(text)
	if err != nil {
		return custody.Checkpoint{}, nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if cp.Origin != st.Origin() || cp.Size != size {
		return custody.Checkpoint{}, nil, fmt.Errorf("%w: the checkpoint is of another log", ErrCorrupt)
	}
	return cp, msg, nil
}

// Checkpoint returns the newest checkpoint as a signed note: the state of the
// log that papers print, see [custody.Checkpoint]. It is there from the
// beginning, then with size 0.
func (l *Ledger) Checkpoint(ctx context.Context) ([]byte, error) {
	_, msg, err := readCheckpoint(ctx, l.db, l.station)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return msg, nil
}

// CheckpointNow returns the newest checkpoint, decoded.
func (l *Ledger) CheckpointNow(ctx context.Context) (custody.Checkpoint, error) {
	cp, _, err := readCheckpoint(ctx, l.db, l.station)
	if err != nil {
		return custody.Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	return cp, nil
}
