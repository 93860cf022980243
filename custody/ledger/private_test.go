package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"salvor/custody"
)

// marker is a text that can be found again anywhere, and not by chance.
func marker(i int) string { return fmt.Sprintf("<<marker %06d of somebody>>", i) }

// opened opens a case with private parts full of a marker.
func (s *shopfloor) opened(t testing.TB, i, length int) custody.CaseNo {
	t.Helper()
	no, err := s.OpenCase(context.WithoutCancel(t.Context()), testOp, 2026, func(no custody.CaseNo) []Entry {
		entries := s.opening(no)
		entries[0].Private["address"] = strings.Repeat(marker(i), length)
		entries[2].Private["fault"] = strings.Repeat(marker(i), length/2+1)
		return entries
	})
	if err != nil {
		t.Fatal(err)
	}
	return no
}

// left returns which markers stand in the file or in its journal.
func (s *shopfloor) left(t testing.TB) string {
	t.Helper()
	db, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	journal, err := os.ReadFile(s.path + "-journal")
	if err != nil {
		t.Fatal(err)
	}
	return string(db) + string(journal)
}

func TestErasedPrivatePartsAreGoneFromTheFile(t *testing.T) {
	s := newShopfloor(t)
	no, other := s.opened(t, 1, 3), s.opened(t, 2, 3)
	if !strings.Contains(s.left(t), marker(1)) {
		t.Fatal("the test looks for the wrong bytes")
	}
	if err := s.ErasePrivate(t.Context(), testOp, no); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.left(t), marker(1)) {
		t.Error("erased text is still in the file")
	}
	parts, err := s.PrivateOfCase(t.Context(), no)
	if err != nil || len(parts) != 0 {
		t.Errorf("%v %v", err, parts)
	}
	if parts, err := s.PrivateOfCase(t.Context(), other); err != nil || len(parts) != 2 {
		t.Errorf("the other case: %v %v", err, parts)
	}
	c, err := s.Case(t.Context(), no)
	if err != nil || len(c.PrivateErased) != 2 {
		t.Errorf("%v %v", err, c.PrivateErased)
	}
	before := s.mustAudit(t)

	// Again: nothing is left to erase, and nothing is recorded.
	if err := s.ErasePrivate(t.Context(), testOp, no); err != nil {
		t.Fatal(err)
	}
	if after := s.mustAudit(t); after.Events != before.Events {
		t.Error("erasing nothing was recorded")
	}
	if err := s.ErasePrivate(t.Context(), testOp, "T1-2026-0099"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such case: %v", err)
	}
}

// When the journal cannot be wiped, or the program is killed before, the next
// one who opens the ledger does it.
func TestUnfinishedWipeIsMadeUpForAtTheNextOpen(t *testing.T) {
	s := newShopfloor(t)
	no := s.opened(t, 1, 3)
	s.wipeFile = func(string) error { return unix.EIO }
	if err := s.ErasePrivate(t.Context(), testOp, no); !errors.Is(err, unix.EIO) {
		t.Fatalf("got %v", err)
	}
	s.Close()
	if !strings.Contains(s.left(t), marker(1)) {
		t.Fatal("the test has nothing to show")
	}
	again, err := Open(t.Context(), s.path, s.st, s.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if strings.Contains(s.left(t), marker(1)) {
		t.Error("erased text is still in the journal")
	}
	if result, err := again.Audit(t.Context()); err != nil {
		t.Errorf("%v %v", err, result.Faults)
	}
	var left int
	if err := again.db.QueryRow(`SELECT count(*) FROM wipes`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d wipes are left: %v", left, err)
	}
}

// Whatever the order and size of what is written and erased, the file keeps
// nothing of what was erased, and everything else.
func TestErasedPrivatePartsAreGoneWhateverCameBefore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newShopfloorIn(t, privateDir(t))
		defer s.Close()
		live := make(map[int]custody.CaseNo)
		for i := range rapid.IntRange(2, 6).Draw(rt, "cases") {
			live[i] = s.opened(t, i, rapid.SampledFrom([]int{1, 5, 40, 130, 160, 300}).Draw(rt, "length"))
			for j := range live {
				if rapid.IntRange(0, 3).Draw(rt, "erase") == 0 {
					if err := s.ErasePrivate(t.Context(), testOp, live[j]); err != nil {
						rt.Fatal(err)
					}
					delete(live, j)
					left := s.left(t)
					for k := range i + 1 {
						if _, lives := live[k]; !lives && strings.Contains(left, marker(k)[:20]) {
							rt.Fatalf("%s is still in the file", marker(k))
						}
					}
				}
			}
		}
		for j, no := range live {
			parts, err := s.PrivateOfCase(t.Context(), no)
			if err != nil || len(parts) != 2 {
				rt.Fatalf("case %d: %v %v", j, err, parts)
			}
		}
		s.mustAudit(t)
	})
}

// SQLite zeroes what it deletes, but not the copies that it leaves in the gaps
// of a page when it moves rows. So no private byte may lie on a page with rows
// of its own, whatever the length.
func TestPrivateBytesNeverLieOnASharedPage(t *testing.T) {
	s := newShopfloor(t)
	for i := range 60 {
		s.opened(t, i, 1+3*i)
	}
	db, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	private := 0
	for at := 0; at < len(db); at += 4096 {
		page := db[at : at+4096]
		if !bytes.Contains(page, []byte("<<marker")) {
			continue
		}
		// An overflow page begins with the number of the next, every other page
		// with its kind.
		if private++; page[0] != 0 {
			t.Errorf("page %d of kind %#x holds private bytes", at/4096+1, page[0])
		}
	}
	if private < 60 {
		t.Errorf("only %d private pages: the test looks for the wrong bytes", private)
	}
}

// The blocks of the disk below the file system, too, keep nothing: no journal
// was ever deleted with private pages in it.
func TestErasedPrivatePartsAreGoneFromTheDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a file system")
	}
	image := filepath.Join(t.TempDir(), "disk")
	dir := filepath.Join(t.TempDir(), "mnt")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, 32<<20)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		t.Skipf("no ext4 here: %v %s", err, out)
	}
	if out, err := exec.Command("flock", "/dev/loop-control", "mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Skipf("no loop mount here: %v %s", err, out)
	}
	mounted := true
	unmount := func() {
		if mounted {
			mounted = false
			if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
				t.Errorf("umount: %v %s", err, out)
			}
		}
	}
	t.Cleanup(unmount)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newShopfloorIn(t, dir)
	var nos []custody.CaseNo
	for i := range 20 {
		nos = append(nos, s.opened(t, i, 60))
	}
	for _, no := range nos[:19] {
		s.startImage(t, no, "image-01")
		if err := s.ErasePrivate(t.Context(), testOp, no); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	unmount()
	disk, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(disk, []byte(marker(19))) {
		t.Fatal("the test looks for the wrong bytes")
	}
	for i := range 19 {
		if n := bytes.Count(disk, []byte(marker(i)[:20])); n > 0 {
			t.Errorf("%s: %d copies on the disk", marker(i), n)
		}
	}
}

func TestPrivatePartsOfAHeldCaseAreNotErased(t *testing.T) {
	s := newShopfloor(t)
	no := s.openCase(t)
	s.append(t, Entry{Case: no, Pub: custody.HoldAdded{Hold: "h1", Kind: custody.HoldRestriction, Review: "2027-01-01"}})
	if err := s.ErasePrivate(t.Context(), testOp, no); !errors.Is(err, custody.ErrHeld) {
		t.Fatalf("got %v", err)
	}
	if parts, err := s.PrivateOfCase(t.Context(), no); err != nil || len(parts) != 2 {
		t.Errorf("%v %v", err, parts)
	}
	// The refusal has let go of the file: another process can write.
	other, err := Open(t.Context(), s.path, s.st, s.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Append(t.Context(), testOp, Entry{Pub: custody.Heartbeat{}}); err != nil {
		t.Error(err)
	}
	s.mustAudit(t)
}

// Two events with the same private text have nothing in common that could be
// compared, and nothing public gives the text away.
func TestPublicPartsTellNothingOfPrivateOnes(t *testing.T) {
	s := newShopfloor(t)
	a, b := s.opened(t, 1, 1), s.opened(t, 1, 1)
	for _, no := range []custody.CaseNo{a, b} {
		events, err := s.Events(t.Context(), no)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			msg, err := s.Note(t.Context(), e.Ref())
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"marker 0000", "<Maes>", "+32 470", "WD-WX11"} {
				if bytes.Contains(msg, []byte(secret)) {
					t.Errorf("%s shows %q", e.Ref(), secret)
				}
			}
		}
	}
	one, _ := s.Events(t.Context(), a)
	two, _ := s.Events(t.Context(), b)
	if one[0].Commit == two[0].Commit {
		t.Error("the same text has the same commitment")
	}
}
