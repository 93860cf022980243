package ledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
	"salvor/custody/journal"
)

// A new ledger gets the versions of the schema one after the other, as an old
// one did, so that both are the same to the letter.
var (
	//go:embed schema/1.sql
	schema1 string
	//go:embed schema/2.sql
	schema2 string
)

// quickCheckLimit is the largest file that Open reads through. A larger ledger
// would make every command wait; it is read through by Audit, which every purge
// runs first.
const quickCheckLimit = 32 << 20

// A Ledger is an open ledger. It is safe for use by several goroutines; what
// they do is done one after the other.
type Ledger struct {
	db      *sql.DB
	path    string
	file    os.FileInfo // of the file that was opened
	station Station
	now     func() time.Time
	rand    io.Reader

	zone *time.Location // the shop's, in which the rules count days; nil is UTC

	operator note.Signer    // signs as well what an operator records; nil without
	trust    []journal.Card // stations whose codes a person has compared, while a ledger is rebuilt
	// identities open private parts that are sealed to the shop and not to this
	// station, while a ledger is rebuilt.
	identities []age.Identity
	// ends are of stations whose retirement was read behind what is not their log, while a
	// ledger is rebuilt.
	ends map[string]logEnds

	wipeFile func(path string) error // a test puts a failing one here
}

// In returns the same ledger, whose rules count days in the shop's time zone: those of
// policies, deadlines and operators. Without it they are days of UTC. Closing either
// ledger closes both.
func (l *Ledger) In(zone *time.Location) *Ledger {
	with := *l
	with.zone = zone
	return &with
}

// Again opens the same ledger a second time, for what goes on while this one is used: an
// audit, while its paper is filled. Whoever calls [Open] a second time in one process
// takes this one's locks away, since a process loses its locks on a file as soon as it
// closes any descriptor of it. The caller closes both.
func (l *Ledger) Again() (*Ledger, error) {
	second, err := connect(l.path, l.station, l.now)
	if err != nil {
		return nil, fmt.Errorf("open ledger again: %w", err)
	}
	again := *l
	again.db = second.db
	return &again, nil
}

// Create makes the ledger of a new station and opens it. It holds no event yet.
// The directory must be private and local, see [ErrPermissions] and
// [ErrNetworkFS]. It returns [ErrExists] when there is a ledger; a file that an
// interrupted Create left empty is taken over.
func Create(ctx context.Context, path string, st Station, now func() time.Time) (*Ledger, error) {
	if err := create(ctx, path, st, now); err != nil {
		return nil, fmt.Errorf("create ledger: %w", err)
	}
	return Open(ctx, path, st, now)
}

func create(ctx context.Context, path string, st Station, now func() time.Time) error {
	if err := errors.Join(checkDir(filepath.Dir(path)), checkLocal(filepath.Dir(path))); err != nil {
		return err
	}
	f, err := createPrivate(path)
	if errors.Is(err, ErrExists) {
		f, err = openPlain(path)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(checkFile(f), f.Close()); err != nil {
		return err
	}
	// When this fails, SQLite rolls back and an empty file stays. It is not
	// removed: by now another process may have taken it over.
	if err := fill(ctx, path, st, now); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// fill writes the schema, the station and the checkpoint of the empty log in
// one transaction.
func fill(ctx context.Context, path string, st Station, now func() time.Time) (err error) {
	l, err := connect(path, st, now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.db.Close()) }()
	return l.write(ctx, func(tx queryer) error {
		var tables, id int64
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id); err != nil {
			return err
		}
		if tables != 0 || id != 0 {
			return ErrExists
		}
		head := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;\n", applicationID, schemaVersion)
		if _, err := tx.ExecContext(ctx, head+schema1+schema2); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO self (one, shop, station, verifier) VALUES (1, ?, ?, ?)`,
			st.Shop(), st.Name(), st.Verifier()); err != nil {
			return err
		}
		log := stationLog{tx: tx, station: st}
		return log.checkpoint(ctx)
	})
}

// Open opens the ledger of a station. It returns [ErrPermissions],
// [ErrNetworkFS], [ErrForeign], [ErrNewer], [ErrStation], [ErrBusy] or
// [ErrCorrupt], and fs.ErrNotExist when there is none. A ledger of up to 32 MB
// is read through for damage; see [Ledger.Audit] for the rest.
func Open(ctx context.Context, path string, st Station, now func() time.Time) (*Ledger, error) {
	l, err := open(ctx, path, st, now)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return l, nil
}

func open(ctx context.Context, path string, st Station, now func() time.Time) (*Ledger, error) {
	if err := errors.Join(checkDir(filepath.Dir(path)), checkLocal(filepath.Dir(path))); err != nil {
		return nil, err
	}
	f, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err := errors.Join(err, checkFile(f), f.Close(), checkBeside(path)); err != nil {
		return nil, err
	}
	l, err := connect(path, st, now)
	if err != nil {
		return nil, err
	}
	l.file = info
	if err := l.recognise(ctx, info.Size()); err != nil {
		return nil, errors.Join(err, l.db.Close())
	}
	if err := l.migrate(ctx); err != nil {
		return nil, errors.Join(err, l.db.Close())
	}
	if err := l.wipeAgain(ctx); err != nil {
		return nil, errors.Join(err, l.db.Close())
	}
	return l, nil
}

func connect(path string, st Station, now func() time.Time) (*Ledger, error) {
	if st.signer == nil {
		return nil, ErrStationKey
	}
	c, err := newConnector(path, busyMilliseconds)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	// One connection: SQLite has one writer, and whoever reads beside it in the
	// same process then waits for its turn instead of for a busy timeout.
	db.SetMaxOpenConns(1)
	return &Ledger{db: db, path: path, station: st, now: now, rand: rand.Reader, wipeFile: wipeFile}, nil
}

// recognise refuses a file that is no ledger of this station and this version.
func (l *Ledger) recognise(ctx context.Context, size int64) error {
	var id, version int64
	if err := l.db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id); err != nil {
		return sqlError(err)
	}
	if err := l.db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return sqlError(err)
	}
	switch {
	case id != applicationID || version < 1:
		return ErrForeign
	case version > schemaVersion:
		return fmt.Errorf("%w: version %d, this one knows %d", ErrNewer, version, schemaVersion)
	}
	var secure int64
	if err := l.db.QueryRowContext(ctx, `PRAGMA secure_delete`).Scan(&secure); err != nil {
		return sqlError(err)
	}
	if secure != 1 {
		return fmt.Errorf("%w: SQLite does not delete securely", ErrCorrupt)
	}
	if size <= quickCheckLimit {
		var result string
		if err := l.db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result); err != nil {
			return sqlError(err)
		}
		if result != "ok" {
			return fmt.Errorf("%w: %s", ErrCorrupt, result)
		}
	}
	var shop, station, verifier string
	err := l.db.QueryRowContext(ctx, `SELECT shop, station, verifier FROM self`).Scan(&shop, &station, &verifier)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: it does not say whose it is", ErrCorrupt)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, sqlError(err))
	}
	if shop != l.station.Shop() || station != l.station.Name() || verifier != l.station.Verifier() {
		return ErrStation
	}
	return nil
}

// Close closes the ledger.
func (l *Ledger) Close() error { return l.db.Close() }

// Station returns the station whose ledger it is.
func (l *Ledger) Station() Station { return l.station }

// timestamp is the station's clock as an event records it.
func (l *Ledger) timestamp() custody.Time { return custody.At(l.now()) }
