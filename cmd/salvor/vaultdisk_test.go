package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
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
