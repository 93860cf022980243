package ledger

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"salvor/custody"
	"salvor/custody/journal"
)

// A Backup is what [Ledger.Backup] wrote.
type Backup struct {
	Path   string
	SHA256 custody.Hash // of the encrypted file
	Bytes  int64
	Events int64 // that it holds
}

// The names inside a backup, which is a tar file: any age and any tar open it.
const (
	backupLedger  = "ledger.db"
	backupStation = "station.key"
)

// Backup writes an encrypted copy of the ledger and of the station's key into a
// directory: a tar file, sealed with age to the recipients (of which there must be
// one), under a name with station and time. It appears there whole or not at all.
// The copy is one state of the ledger, checked by SQLite before it is sealed; the
// plaintext in between lies beside the ledger and is overwritten in place, also
// after a failure, and by the next [Open] after a kill.
//
// A backup keeps what it held: private parts that are erased later are still in
// it. It is for the shop's keys only, and old ones have to be destroyed.
func (l *Ledger) Backup(ctx context.Context, recipients []string, dir string) (Backup, error) {
	b, err := l.backup(ctx, recipients, dir)
	if err != nil {
		return Backup{}, fmt.Errorf("backup of the ledger: %w", err)
	}
	return b, nil
}

// plainCopy is where the plaintext of a backup lies for a moment.
func plainCopy(path string) string { return path + ".copy" }

func (l *Ledger) backup(ctx context.Context, recipients []string, dir string) (_ Backup, err error) {
	to, err := journal.NewRecipients(recipients)
	if err != nil {
		return Backup{}, err
	}
	if len(to.Age()) == 0 {
		return Backup{}, fmt.Errorf("%w: no recipient", ErrEntry)
	}
	plain := plainCopy(l.path)
	held, err := l.vacuumInto(ctx, plain)
	if err != nil {
		return Backup{}, err
	}
	defer func() { err = errors.Join(err, discard(plain), held.Close()) }()
	events, err := checkCopy(ctx, plain)
	if err != nil {
		return Backup{}, err
	}
	name := "salvor-" + l.station.Name() + "-" + l.timestamp().UTC().Format("20060102T150405Z") + ".tar.age"
	b := Backup{Path: filepath.Join(dir, name), Events: events}
	temp := filepath.Join(dir, ".new-"+name)
	f, err := createPrivate(temp)
	if err != nil {
		return Backup{}, err
	}
	sum := &counted{w: f, h: sha256.New()}
	err = errors.Join(seal(sum, to, plain, l.station), f.Sync(), f.Close())
	if err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, b.Path, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
			err = os.Rename(temp, b.Path) // the file system has only that
		}
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%s: %w", name, ErrExists)
		}
	}
	if err != nil {
		return Backup{}, errors.Join(err, os.Remove(temp))
	}
	b.SHA256, b.Bytes = custody.Hash(sum.h.Sum(nil)), sum.n
	return b, syncDir(dir)
}

// checkCopy asks SQLite whether a copy is whole, and counts its events.
func checkCopy(ctx context.Context, path string) (events int64, err error) {
	c, err := newConnector(path, busyMilliseconds)
	if err != nil {
		return 0, err
	}
	c.dsn = strings.Replace(c.dsn, "mode=rw", "mode=ro", 1)
	db := sql.OpenDB(plainConnector(c))
	defer func() { err = errors.Join(err, db.Close()) }()
	var result string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&result); err != nil {
		return 0, sqlError(err)
	}
	if result != "ok" {
		return 0, fmt.Errorf("%w: %s", ErrCorrupt, result)
	}
	err = db.QueryRowContext(ctx, `SELECT count(*) FROM events`).Scan(&events)
	return events, sqlError(err)
}

// seal writes the tar file, encrypted.
func seal(w io.Writer, to journal.Recipients, plain string, st Station) error {
	enc, err := age.Encrypt(w, to.Age()...)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(enc)
	if err := tw.WriteHeader(&tar.Header{Name: backupStation, Mode: 0o600, Size: int64(len(st.text())), Format: tar.FormatPAX}); err != nil {
		return err
	}
	if _, err := io.WriteString(tw, st.text()); err != nil {
		return err
	}
	f, err := os.Open(plain)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := tw.WriteHeader(&tar.Header{Name: backupLedger, Mode: 0o600, Size: info.Size(), Format: tar.FormatPAX}); err != nil {
		return err
	}
	if _, err := io.Copy(tw, f); err != nil {
		return err
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return enc.Close()
}

// counted hashes and counts what is written.
type counted struct {
	w io.Writer
	h hash.Hash
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.h.Write(p[:n])
	c.n += int64(n)
	return n, err
}

// maxRestored is the largest ledger that is taken out of a backup.
const maxRestored = 64 << 30

// RestoreBackup unpacks a backup into a private state directory that has neither
// ledger nor key: ledger.db and station.key. Nothing stands there before all of it
// was read, authenticated and checked. It returns [ErrBackup] when no identity
// opens the file or it is none.
//
// The ledger is then older than what the station has published: [Ledger.CatchUp]
// before anything is recorded.
func RestoreBackup(ctx context.Context, backup io.Reader, dir string, identities ...age.Identity) error {
	if err := restore(ctx, backup, dir, identities); err != nil {
		return fmt.Errorf("restore the ledger: %w", err)
	}
	return nil
}

func restore(ctx context.Context, backup io.Reader, dir string, identities []age.Identity) (err error) {
	if err := errors.Join(checkDir(dir), checkLocal(dir)); err != nil {
		return err
	}
	for _, name := range []string{backupLedger, backupStation} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%s: %w", name, ErrExists)
		}
	}
	plain, err := age.Decrypt(backup, identities...)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	temps := map[string]string{}
	defer func() {
		for _, temp := range temps {
			err = errors.Join(err, discard(temp))
		}
	}()
	tr := tar.NewReader(plain)
	for _, want := range []string{backupStation, backupLedger} {
		h, err := tr.Next()
		if err != nil || h.Name != want || h.Typeflag != tar.TypeReg || h.Size > maxRestored {
			return errors.Join(ErrBackup, err)
		}
		temp := filepath.Join(dir, ".restore-"+want)
		if err := discard(temp); err != nil {
			return err
		}
		temps[want] = temp
		if err := unpack(tr, temp); err != nil {
			return err
		}
	}
	if _, err := tr.Next(); !errors.Is(err, io.EOF) {
		return errors.Join(ErrBackup, err)
	}
	// To the end: only then is the last of it authenticated.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	if _, err := loadStation(temps[backupStation]); err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	if _, err := checkCopy(ctx, temps[backupLedger]); err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	for _, name := range []string{backupStation, backupLedger} { // the ledger last: it says that all is there
		if err := os.Rename(temps[name], filepath.Join(dir, name)); err != nil {
			return err
		}
		delete(temps, name)
	}
	return syncDir(dir)
}

func unpack(r io.Reader, path string) error {
	f, err := createPrivate(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}
