package ledger

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/custody"
)

// childEnv makes the test binary a child that does one thing with the ledger
// in the named directory; see [TestMain].
const childEnv = "SALVOR_TEST_LEDGER_CHILD"

func TestMain(m *testing.M) {
	if job, dir, ok := strings.Cut(os.Getenv(childEnv), ":"); ok {
		if err := child(job, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// Each check makes ledgers on a disk: few by default, -rapid.checks for more.
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		flag.Set("rapid.checks", "15")
	}
	os.Exit(m.Run())
}

// child appends until it is killed, or a hundred times, and says after each
// append what was acknowledged: places in the log and case numbers.
func child(job, dir string) error {
	st, err := LoadStation(filepath.Join(dir, "station.key"))
	if err != nil {
		return err
	}
	now := func() time.Time { return testStart }
	l, err := Open(context.Background(), filepath.Join(dir, "ledger.db"), st, now)
	if err != nil {
		return err
	}
	if job == "import" {
		fmt.Println("now")
		return imports(l, dir)
	}
	s := &shopfloor{Ledger: l, st: st, clock: &clock{t: testStart}}
	for i := 0; job == "forever" || i < 100; i++ {
		if i%5 > 0 {
			events, err := l.Append(context.Background(), testOp, Entry{Pub: custody.Heartbeat{}})
			if err != nil {
				return err
			}
			fmt.Println(events[0].Seq)
			continue
		}
		no, err := l.OpenCase(context.Background(), testOp, 2026, s.opening)
		if err != nil {
			return err
		}
		fmt.Println(no)
		if job == "forever" && i%10 == 5 {
			if err := l.ErasePrivate(context.Background(), testOp, no); err != nil {
				return err
			}
			fmt.Println("erased " + no)
		}
	}
	return l.Close()
}

func startChild(t *testing.T, job, dir string) (*exec.Cmd, io.ReadCloser) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+job+":"+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

func (s *shopfloor) saveKey(t *testing.T) {
	t.Helper()
	if err := s.st.Save(filepath.Join(filepath.Dir(s.path), "station.key")); err != nil {
		t.Fatal(err)
	}
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	s := newShopfloor(t)
	s.saveKey(t)
	s.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 12 {
		cmd, out := startChild(t, "forever", filepath.Dir(s.path))
		// Kill after some lines and then at any moment of the next append.
		lines := bufio.NewScanner(out)
		var acked []string
		for range 1 + random.IntN(12) {
			if !lines.Scan() {
				t.Fatal("the child ended by itself")
			}
			acked = append(acked, lines.Text())
		}
		for range random.IntN(200_000) {
			// a moment that no clock chooses
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			acked = append(acked, lines.Text())
		}
		cmd.Wait()

		l, err := Open(t.Context(), s.path, s.st, s.clock.now)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		result, err := l.Audit(t.Context())
		if err != nil {
			t.Fatalf("round %d: %v\n%v", round, err, result.Faults)
		}
		for _, line := range acked {
			no, erased := strings.CutPrefix(line, "erased ")
			if seq, err := strconv.ParseInt(line, 10, 64); err == nil {
				if seq > result.Checkpoint.Size {
					t.Errorf("round %d: event %d was acknowledged and is lost", round, seq)
				}
				continue
			}
			c, err := l.Case(t.Context(), custody.CaseNo(no))
			if err != nil {
				t.Errorf("round %d: case %s was acknowledged: %v", round, no, err)
			}
			if erased && len(c.PrivateErased) != 2 {
				t.Errorf("round %d: erasing of %s was acknowledged and is lost", round, no)
			}
		}
		l.Close()
	}
}

func TestTwoProcessesAtOnce(t *testing.T) {
	s := newShopfloor(t)
	s.saveKey(t)
	var wg sync.WaitGroup
	for range 2 {
		cmd, out := startChild(t, "hundred", filepath.Dir(s.path))
		wg.Go(func() {
			io.Copy(io.Discard, out)
			if err := cmd.Wait(); err != nil {
				t.Errorf("child: %v", err)
			}
		})
	}
	for range 50 {
		s.append(t, Entry{Pub: custody.Heartbeat{}})
	}
	wg.Wait()
	result := s.mustAudit(t)
	if want := int64(4 + 50 + 2*(80+20*4)); result.Events != want || result.Cases != 40 {
		t.Errorf("%d events of %d, %d cases of 40", result.Events, want, result.Cases)
	}
}

func TestGoroutinesShareALedger(t *testing.T) {
	s := newShopfloor(t)
	no := s.openCase(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 5 {
				s.append(t, Entry{Pub: custody.Heartbeat{}})
				if err := s.SaveProgress(t.Context(), no, fmt.Sprintf("image-%02d", i), Progress{0, k, int64(k)}); err != nil {
					t.Error(err)
				}
				if _, err := s.Case(t.Context(), no); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := s.mustAudit(t).Events; n != 48 {
		t.Errorf("%d events", n)
	}
}

func TestBusyLedgerSaysSo(t *testing.T) {
	s := newShopfloor(t)
	db := s.raw(t)
	run(t, db, `BEGIN IMMEDIATE`)
	run(t, s.db, `PRAGMA busy_timeout = 1`) // one connection: it stays set
	if _, err := s.Append(t.Context(), testOp, Entry{Pub: custody.Heartbeat{}}); !errors.Is(err, ErrBusy) {
		t.Errorf("append: %v", err)
	}
	run(t, db, `ROLLBACK`)
	// A reader that does not end keeps the erasing out, and nothing is erased.
	no := s.openCase(t)
	run(t, db, `BEGIN; SELECT count(*) FROM events`)
	if err := s.ErasePrivate(t.Context(), testOp, no); !errors.Is(err, ErrBusy) {
		t.Errorf("erase: %v", err)
	}
	run(t, db, `ROLLBACK`)
	if parts, err := s.PrivateOfCase(t.Context(), no); err != nil || len(parts) != 2 {
		t.Errorf("%v %v", err, parts)
	}
	run(t, db, `CREATE TABLE proof (x); `)
	run(t, db, `DROP TABLE proof`)
	s.mustAudit(t)
}

func TestCancelledAppendLeavesNothing(t *testing.T) {
	s := newShopfloor(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.OpenCase(ctx, testOp, 2026, func(no custody.CaseNo) []Entry {
		cancel()
		return s.opening(no)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := s.mustAudit(t).Events; n != 4 {
		t.Errorf("%d events", n)
	}
	if no := s.openCase(t); no != "T1-2026-0001" {
		t.Errorf("the number was used up: %s", no)
	}
}

// A full disk refuses the append as a whole, and names itself.
func TestFullDiskLeavesNothingHalf(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	dir := privateDir(t)
	if err := unix.Mount("salvor-test", dir, "tmpfs", 0, "size=2m,mode=0700"); err != nil {
		t.Skipf("no tmpfs here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("umount: %v", err)
		}
	})
	t.Run("append", func(t *testing.T) {
		s := newShopfloorIn(t, dir)
		defer s.Close()
		var full error
		acked := int64(4)
		for full == nil && acked < 10_000 {
			var no custody.CaseNo
			if no, full = s.OpenCase(t.Context(), testOp, 2026, s.opening); full == nil {
				acked += 4
				if _, err := s.Case(t.Context(), no); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !errors.Is(full, unix.ENOSPC) {
			t.Fatalf("full disk: %v", full)
		}
		if result := s.mustAudit(t); result.Events != acked || result.Checkpoint.Size != acked {
			t.Errorf("%d events, %d were acknowledged", result.Events, acked)
		}
		if _, err := s.OpenCase(t.Context(), testOp, 2026, s.opening); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("again: %v", err)
		}
		// With room again it goes on.
		if err := unix.Mount("", dir, "tmpfs", unix.MS_REMOUNT, "size=4m"); err != nil {
			t.Fatal(err)
		}
		s.openCase(t)
		if result := s.mustAudit(t); result.Events != acked+4 {
			t.Errorf("%d events, want %d", result.Events, acked+4)
		}
	})
	t.Run("create", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 8<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("ballast: %v", err)
		}
		path, st := filepath.Join(dir, "second.db"), newStation(t, "T2")
		if _, err := Create(t.Context(), path, st, (&clock{t: testStart}).now); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("create: %v", err)
		}
		if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
			t.Fatal(err)
		}
		l, err := Create(t.Context(), path, st, (&clock{t: testStart}).now)
		if err != nil {
			t.Fatalf("with room: %v", err)
		}
		if _, err := l.Audit(t.Context()); err != nil {
			t.Error(err)
		}
		l.Close()
	})
	t.Run("station key", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 8<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("ballast: %v", err)
		}
		path := filepath.Join(dir, "station.key")
		if err := newStation(t, "T2").Save(path); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("save: %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("half a key is left: %v", err)
		}
	})
}
