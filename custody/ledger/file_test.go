package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"salvor/custody"
)

func TestLedgerFilesAreTheOwnersAlone(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	s := newShopfloor(t)
	s.openCase(t)
	if err := s.st.Save(filepath.Join(filepath.Dir(s.path), "station.key")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil || len(entries) != 3 {
		t.Fatalf("%v %v", err, entries)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), err, info.Mode())
		}
	}
}

func TestLooseFilesAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"readable by the group": func(p string) error { return os.Chmod(p, 0o640) },
		"readable by all":       func(p string) error { return os.Chmod(p, 0o604) },
		"writable by all":       func(p string) error { return os.Chmod(p, 0o602) },
		"directory readable":    func(p string) error { return os.Chmod(filepath.Dir(p), 0o750) },
		"directory writable":    func(p string) error { return os.Chmod(filepath.Dir(p), 0o702) },
		"a second name":         func(p string) error { return os.Link(p, p+".2") },
		"a pipe":                func(p string) error { return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o600)) },
		"a directory":           func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) },
		"a symbolic link":       func(p string) error { return errors.Join(os.Rename(p, p+".2"), os.Symlink(p+".2", p)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShopfloor(t)
			s.Close()
			key := filepath.Join(filepath.Dir(s.path), "station.key")
			if err := s.st.Save(key); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{s.path, key} {
				if err := spoil(path); err != nil {
					t.Fatal(err)
				}
			}
			plain := !strings.HasPrefix(name, "a ")
			refused := func(err error) bool { return errors.Is(err, ErrPermissions) && errors.Is(err, ErrLinked) == !plain }
			if l, err := Open(t.Context(), s.path, s.st, s.clock.now); !refused(err) {
				t.Errorf("ledger: %v", err)
				if err == nil {
					l.Close()
				}
			}
			if _, err := Create(t.Context(), s.path, s.st, s.clock.now); err == nil {
				t.Error("created over it")
			}
			if _, err := LoadStation(key); !refused(err) {
				t.Errorf("station key: %v", err)
			}
		})
	}
}

// SQLite looks for its journal beside the ledger, and would wait for a pipe for ever.
func TestWhatIsNoJournalBesideALedgerIsRefused(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"pipe":      func(p string) error { return unix.Mkfifo(p, 0o600) },
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
		"link":      func(p string) error { return os.Symlink("/dev/null", p) },
	} {
		for _, end := range []string{"-journal", "-wal"} {
			t.Run(name+" "+end, func(t *testing.T) {
				s := newShopfloor(t)
				s.Close()
				if err := errors.Join(os.RemoveAll(s.path+end), put(s.path+end)); err != nil {
					t.Fatal(err)
				}
				if l, err := Open(t.Context(), s.path, s.st, s.clock.now); !errors.Is(err, ErrLinked) || !strings.Contains(err.Error(), s.path+end) {
					t.Errorf("ledger: %v", err)
					if err == nil {
						l.Close()
					}
				}
			})
		}
	}
}

func TestForeignAndNewerFilesAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		sql  string
		want error
	}{
		"another program's":  {`PRAGMA application_id = 1`, ErrForeign},
		"no program's":       {`PRAGMA application_id = 0`, ErrForeign},
		"a newer salvor's":   {`PRAGMA user_version = 3`, ErrNewer},
		"without version":    {`PRAGMA user_version = 0`, ErrForeign},
		"without owner":      {`DROP TABLE self`, ErrCorrupt},
		"with an empty self": {`DROP TABLE self; CREATE TABLE self (shop, station, verifier)`, ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShopfloor(t)
			s.Close()
			run(t, s.raw(t), test.sql)
			if _, err := Open(t.Context(), s.path, s.st, s.clock.now); !errors.Is(err, test.want) {
				t.Errorf("open: %v", err)
			}
			if _, err := Create(t.Context(), s.path, s.st, s.clock.now); !errors.Is(err, ErrExists) {
				t.Errorf("create: %v", err)
			}
		})
	}
	t.Run("no database at all", func(t *testing.T) {
		path := filepath.Join(privateDir(t), "ledger.db")
		text := []byte(strings.Repeat("this is somebody's letter\n", 400))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		st := newStation(t, "T1")
		if _, err := Open(t.Context(), path, st, (&clock{}).now); !errors.Is(err, ErrForeign) {
			t.Errorf("open: %v", err)
		}
		if _, err := Create(t.Context(), path, st, (&clock{}).now); !errors.Is(err, ErrForeign) {
			t.Errorf("create: %v", err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != string(text) {
			t.Error("the letter was touched")
		}
	})
}

func TestDamagedFileIsRefused(t *testing.T) {
	s := newShopfloor(t)
	for range 20 {
		s.openCase(t)
	}
	s.Close()
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for page := int64(1); page < 12; page++ {
		if _, err := f.WriteAt([]byte(strings.Repeat("\xff", 100)), page*4096); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), s.path, s.st, s.clock.now); !errors.Is(err, ErrCorrupt) {
		t.Errorf("open: %v", err)
	}
}

func TestLedgerOfAnotherStationIsRefused(t *testing.T) {
	s := newShopfloor(t)
	for _, st := range []Station{newStation(t, "T2"), newStation(t, "T1")} {
		if _, err := Open(t.Context(), s.path, st, s.clock.now); !errors.Is(err, ErrStation) {
			t.Errorf("open: %v", err)
		}
	}
}

func TestCreateNeverTouchesALedger(t *testing.T) {
	s := newShopfloor(t)
	if _, err := Create(t.Context(), s.path, s.st, s.clock.now); !errors.Is(err, ErrExists) {
		t.Errorf("create: %v", err)
	}
	s.mustAudit(t)
}

// A Create that was killed leaves an empty file, and perhaps a journal.
func TestCreateTakesOverWhatAKilledCreateLeft(t *testing.T) {
	path := filepath.Join(privateDir(t), "ledger.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Create(t.Context(), path, newStation(t, "T1"), (&clock{t: testStart}).now)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Audit(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEmptiedLedgerDoesNotPassForANewOne(t *testing.T) {
	s := newShopfloor(t)
	withoutRails(t, s.raw(t), `DELETE FROM private`, `DELETE FROM events`, `DELETE FROM tree`, `DELETE FROM checkpoints`)
	if _, err := s.Audit(t.Context()); !errors.Is(err, ErrAudit) {
		t.Errorf("audit: %v", err)
	}
}

func TestEveryPragmaIsSetOnEveryConnection(t *testing.T) {
	s := newShopfloor(t)
	l, err := Open(t.Context(), s.path, s.st, s.clock.now) // the other does not wait for the disk
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.db.SetMaxOpenConns(2)
	for range 2 {
		conn, err := l.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for pragma, want := range map[string]string{
			"journal_mode": "persist", "synchronous": "2", "secure_delete": "1", "foreign_keys": "1",
			"recursive_triggers": "1", "trusted_schema": "0", "cell_size_check": "1", "temp_store": "2",
			"page_size": "4096", "auto_vacuum": "0", "busy_timeout": "10000", "application_id": "1396788310",
		} {
			var got string
			if err := conn.QueryRowContext(t.Context(), `PRAGMA `+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
			}
		}
	}
}

func TestPathsWithOddCharactersAreTakenLiterally(t *testing.T) {
	dir := filepath.Join(privateDir(t), "a b?mode=memory&x=%41#é")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newShopfloorIn(t, dir)
	if info, err := os.Stat(s.path); err != nil || info.Size() == 0 {
		t.Errorf("%v", err)
	}
}

func TestNetworkFileSystemsAreKnown(t *testing.T) {
	for magic, want := range map[uint32]string{
		0x6969: "nfs", 0x517B: "smb", 0xFF534D42: "smb", 0xFE534D42: "smb", 0x65735546: "fuse", 0x01021997: "9p", 0x00C36400: "ceph",
		0xEF53: "", 0x58465342: "", 0x9123683E: "", 0x01021994: "", 0x794C7630: "", 0x2FC12FC1: "",
	} {
		if got := networkFS(magic); got != want {
			t.Errorf("%#x is %q, want %q", magic, got, want)
		}
	}
}

func TestNetworkFileSystemIsRefused(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and /dev/fuse")
	}
	s := newShopfloor(t)
	s.Close()
	root, err := fusefs.NewLoopbackRoot(filepath.Dir(s.path))
	if err != nil {
		t.Fatal(err)
	}
	mnt := privateDir(t)
	server, err := fusefs.Mount(mnt, root, &fusefs.Options{MountOptions: fuse.MountOptions{FsName: "share"}})
	if err != nil {
		t.Skipf("no FUSE mount here: %v", err)
	}
	defer server.Unmount()
	path := filepath.Join(mnt, "ledger.db")
	if _, err := Open(t.Context(), path, s.st, s.clock.now); !errors.Is(err, ErrNetworkFS) {
		t.Errorf("open: %v", err)
	}
	if _, err := Create(t.Context(), path+"2", s.st, s.clock.now); !errors.Is(err, ErrNetworkFS) {
		t.Errorf("create: %v", err)
	}
	if _, err := os.Stat(path + "2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused create left a file: %v", err)
	}
}

func TestStationKeySurvivesItsFile(t *testing.T) {
	path := filepath.Join(privateDir(t), "station.key")
	st := newStation(t, "NAS")
	if err := st.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := newStation(t, "NAS").Save(path); !errors.Is(err, ErrExists) {
		t.Errorf("second save: %v", err)
	}
	got, err := LoadStation(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Verifier() != st.Verifier() || got.Recipient() != st.Recipient() || got.Shop() != testShop || got.Name() != "NAS" {
		t.Error("another station came back")
	}
	msg, err := got.SignNote("hello\n")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := st.OpenNote(msg); err != nil || text != "hello\n" {
		t.Errorf("%q %v", text, err)
	}
	if e := st.Enrolment(); e.Sign != st.Verifier() || !strings.HasPrefix(e.Seal, "age1") {
		t.Errorf("%+v", e)
	}
}

func TestStationKeyIsReadStrictly(t *testing.T) {
	st := newStation(t, "T1")
	good := st.text()
	for name, text := range map[string]string{
		"empty":          "",
		"no newline":     strings.TrimSuffix(good, "\n"),
		"more lines":     good + "\n",
		"other header":   strings.Replace(good, "salvor/1", "salvor/2", 1),
		"other station":  strings.Replace(good, "station T1", "station T2", 1),
		"other shop":     strings.Replace(good, "shop 01k", "shop 01j", 1),
		"bad station":    strings.Replace(good, "station T1", "station t1", 1),
		"no seal":        strings.Replace(good, "seal ", "soul ", 1),
		"broken seal":    strings.Replace(good, "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-2", 1),
		"carriage break": strings.ReplaceAll(good, "\n", "\r\n"),
	} {
		if _, err := parseStation(text); !errors.Is(err, ErrStationKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parseStation(good); err != nil {
		t.Error(err)
	}
	if _, err := NewStation("shop", "T1", rand.Reader); !errors.Is(err, custody.ErrName) {
		t.Error(err)
	}
	var nobody Station
	if _, err := nobody.SignNote("x\n"); !errors.Is(err, ErrStationKey) {
		t.Error(err)
	}
	if _, err := Create(context.Background(), filepath.Join(privateDir(t), "l"), nobody, (&clock{}).now); !errors.Is(err, ErrStationKey) {
		t.Error(err)
	}
}

// A ledger on a file system that became read-only, as after an error of the disk, says so.
func TestReadOnlyLedgerIsNamed(t *testing.T) {
	s := newShopfloor(t)
	run(t, s.db, `PRAGMA query_only = ON`)
	if _, err := s.Append(t.Context(), testOp, Entry{Pub: custody.Heartbeat{}}); !errors.Is(err, unix.EROFS) {
		t.Error(err)
	}
	s.mustAudit(t)
}
