package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// migrate brings an older ledger to this version: a copy of the file first, then
// one transaction, then SQLite's own check, and then the copy goes, overwritten
// in place, because it holds private parts. When it is killed, the ledger is of
// either version and whole, and the next Open finishes or begins again. An older
// salvor refuses the file from then on.
func (l *Ledger) migrate(ctx context.Context) error {
	spare := l.path + ".before-2"
	version, err := l.version(ctx)
	if err != nil {
		return err
	}
	if version < schemaVersion {
		held, err := l.vacuumInto(ctx, spare)
		if err != nil {
			return fmt.Errorf("copy before the migration: %w", err)
		}
		defer held.Close()
		if err := l.write(ctx, func(tx queryer) error {
			if version, err = versionOf(ctx, tx); err != nil || version == schemaVersion {
				return err // another process was faster
			}
			_, err := tx.ExecContext(ctx, schema2+fmt.Sprintf("PRAGMA user_version = %d;", schemaVersion))
			return err
		}); err != nil {
			return fmt.Errorf("migration: %w", err)
		}
		var result string
		if err := l.db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result); err != nil {
			return sqlError(err)
		}
		if result != "ok" {
			return fmt.Errorf("migration: %w: %s; the file as it was before is %s", ErrCorrupt, result, filepath.Base(spare))
		}
		return discard(spare)
	}
	return errors.Join(discardLeft(spare), discardLeft(plainCopy(l.path)))
}

func (l *Ledger) version(ctx context.Context) (int64, error) { return versionOf(ctx, l.db) }

func versionOf(ctx context.Context, q queryer) (int64, error) {
	var version int64
	err := q.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version)
	return version, sqlError(err)
}

// vacuumInto writes a compact copy of the ledger to a new private file, and makes
// it durable. The file stays locked until the caller closes it, so that another
// process that opens the ledger does not take it for what a killed one has left.
func (l *Ledger) vacuumInto(ctx context.Context, path string) (*os.File, error) {
	if err := discardLeft(path); err != nil {
		return nil, err
	}
	f, err := createPrivate(path)
	if errors.Is(err, ErrExists) {
		return nil, fmt.Errorf("%w: it is being copied", ErrBusy)
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", filepath.Base(path), err), f.Close())
	}
	_, err = l.db.ExecContext(ctx, `VACUUM INTO ?`, path)
	if err = errors.Join(sqlError(err), checkFile(f), f.Sync(), syncDir(filepath.Dir(path))); err != nil {
		return nil, errors.Join(err, discard(path), f.Close())
	}
	return f, nil
}

// discardLeft removes what a killed process has left, unless one is at work.
func discardLeft(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return f.Close()
	}
	if err == nil {
		err = discard(path)
	}
	return errors.Join(err, f.Close())
}

// discard removes a file that holds private parts, overwritten in place. One that
// is not there is no error.
func discard(path string) error {
	if err := wipeFile(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
