package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mattn/go-sqlite3"

	"salvor/custody"
)

// rawConnector opens a file as a SQLite shell would: without any of the
// ledger's pragmas.
type rawConnector struct{ path string }

func (c rawConnector) Connect(context.Context) (driver.Conn, error) {
	return c.Driver().Open("file:" + c.path + "?mode=rw&_busy_timeout=5000")
}

func (c rawConnector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

// raw opens the ledger's file past the ledger.
func (s *shopfloor) raw(t testing.TB) *sql.DB {
	t.Helper()
	db := sql.OpenDB(rawConnector{s.path})
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// withoutRails runs statements with all guard rails dropped, and puts them
// back: what somebody does who knows the schema.
func withoutRails(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	rails := guardRails(t, db)
	for name := range rails {
		run(t, db, `DROP TRIGGER `+name)
	}
	for _, s := range statements {
		run(t, db, s)
	}
	for _, text := range rails {
		run(t, db, text)
	}
}

// guardRails returns the triggers of a file by name.
func guardRails(t testing.TB, db *sql.DB) map[string]string {
	t.Helper()
	rails := make(map[string]string)
	err := each(context.WithoutCancel(t.Context()), db, func(scan func(...any) error) error {
		var name, text string
		err := scan(&name, &text)
		rails[name] = text
		return err
	}, `SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'`)
	if err != nil {
		t.Fatal(err)
	}
	return rails
}

func run(t testing.TB, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// busyShopfloor is a ledger in which much has happened:
//
//	T1/1–4    the shop
//	T1/5–8    case 1 opened          T1/9–10   its image begun
//	T1/11     hold h1 added          T1/12     hold h1 ended
//	T1/13     hold h2 added
//	T1/14–17  case 2 opened          T1/18–19  its image begun
//	T1/20–21  the image erased       T1/22     attest a1 issued
//	T1/23     private parts of case 2 erased
//	T1/24     heartbeat
func busyShopfloor(t testing.TB) *shopfloor {
	t.Helper()
	s := newShopfloor(t)
	hold := func(id string) custody.HoldAdded {
		return custody.HoldAdded{Hold: id, Kind: custody.HoldLegal, Review: "2027-01-01"}
	}
	one := s.openCase(t)
	s.startImage(t, one, "image-01")
	s.append(t, Entry{Case: one, Pub: hold("h1"), Private: map[string]string{"reason": "claim"}})
	s.append(t, Entry{Case: one, Pub: custody.HoldEnded{Hold: "h1"}})
	s.append(t, Entry{Case: one, Pub: hold("h2")})
	two := s.openCase(t)
	s.startImage(t, two, "image-01")
	s.erase(t, two, "image-01")
	note := []byte("a signed attest\n")
	if err := s.SaveAttest(t.Context(), "a1", two, "image-01", note); err != nil {
		t.Fatal(err)
	}
	s.append(t, Entry{Case: two, Pub: custody.AttestIssued{
		Attest: "a1", SHA256: sha256Of(note), Image: "image-01",
		Keys: custody.KeysComplete, Media: custody.MediaRaw,
	}})
	if err := s.ErasePrivate(t.Context(), testOp, two); err != nil {
		t.Fatal(err)
	}
	s.append(t, Entry{Pub: custody.Heartbeat{}})
	if n := s.mustAudit(t).Events; n != 24 {
		t.Fatalf("%d events", n)
	}
	return s
}

func hexOf(p []byte) string { return hex.EncodeToString(p) }

// copyFile copies a file into a private directory of its own.
func copyFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(privateDir(t), filepath.Base(path))
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func openFile(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func dirOf(path string) fs.FS { return os.DirFS(filepath.Dir(path)) }
