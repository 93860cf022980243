package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/cmd/salvor/internal/ui"
)

// TestADiskThatDoesNotSayWhatItIsTakesNothingAway: once a vault's disk is known, a sight
// of it without an identity, as before udev has made its links, does not let any other
// disk take its place afterwards.
func TestADiskThatDoesNotSayWhatItIsTakesNothingAway(t *testing.T) {
	s := &station{dir: t.TempDir(), program: &program{now: time.Now}}
	text := `{"v1": {"seen": "2026-01-01T00:00:00Z", "file_system": "ext4", "id": "uuid 1"}}`
	if err := os.WriteFile(filepath.Join(s.dir, vaultDisksFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if id := diskAt("/proc").ID; id != "" {
		t.Skipf("/proc has an identity here: %s", id)
	}
	if err := s.sawVault("v1", "nas", "/proc", false); err != nil {
		t.Fatal(err)
	}
	disks, err := s.vaultDisks()
	if err != nil {
		t.Fatal(err)
	}
	if d := disks["v1"]; d.ID != "uuid 1" || d.Seen.Year() == 2026 && d.Seen.YearDay() == 1 {
		t.Errorf("%+v", d)
	}
}

// TestACopyOfAWholeDiskIsAnotherDisk: its file system has the same identity, and the disk
// has another serial number.
func TestACopyOfAWholeDiskIsAnotherDisk(t *testing.T) {
	was := vaultDisk{ID: "uuid 1", Model: "Elements", Serial: "WX1"}
	for now, another := range map[vaultDisk]bool{
		{ID: "uuid 1", Model: "Elements", Serial: "WX1"}:      false,
		{ID: "uuid 1", Model: "Elements 25A3", Serial: "wx1"}: false,
		{ID: "uuid 1"}:                false,
		{}:                            false,
		{ID: "uuid 2"}:                true,
		{ID: "uuid 1", Serial: "WX2"}: true,
		{Serial: "WX2"}:               true,
	} {
		if got := was.another(now); (got != "") != another {
			t.Errorf("%+v: %q", now, got)
		}
		if got := (vaultDisk{}).another(now); got != "" {
			t.Errorf("nothing was known, and %+v is %q", now, got)
		}
	}
	now := vaultDisk{Plugged: "boot 2"}
	if now.keep(was); now.ID != was.ID || now.Serial != was.Serial || now.Plugged != "boot 2" {
		t.Errorf("forgotten: %+v", now)
	}
}

// TestTheDisksOfTheVaultsAreNotedByManyAtOnce has commands note what they see at the same
// time: none undoes what another has written.
func TestTheDisksOfTheVaultsAreNotedByManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	const many = 8
	var all sync.WaitGroup
	for n := range many {
		all.Go(func() {
			s := &station{dir: dir, program: &program{now: time.Now}}
			if err := s.sawVault(fmt.Sprint("v", n), "nas", dir, true); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	disks, err := (&station{dir: dir}).vaultDisks()
	if err != nil || len(disks) != many {
		t.Errorf("%d of %d noted, %v", len(disks), many, err)
	}
}

// TestADamagedFileOfDisksSaysWhatToDo: it stops everything, so that no vault is taken for
// one that was never seen.
func TestADamagedFileOfDisksSaysWhatToDo(t *testing.T) {
	s := &station{dir: t.TempDir(), program: &program{now: time.Now}}
	if err := os.WriteFile(filepath.Join(s.dir, vaultDisksFile), []byte(`{"v1": {`), 0o600); err != nil {
		t.Fatal(err)
	}
	var told *ui.Error
	if err := s.sawVault("v1", "nas", s.dir, false); !errors.As(err, &told) || told.Code != ui.Refused || told.Hint == "" || !strings.Contains(told.Why, vaultDisksFile) {
		t.Errorf("%v", err)
	}
}
