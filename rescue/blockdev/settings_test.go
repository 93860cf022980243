package blockdev

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/rescue/blockdev/sysblock"
)

// patient gives sda of the made-up machine what the kernel has for a SCSI disk.
func patient(t *testing.T, h host) (disk string) {
	t.Helper()
	disk, err := filepath.EvalSymlinks(filepath.Join(h.Sys, "block/sda"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"device/timeout": "30\n", "device/eh_timeout": "5\n", "device/scsi_disk/0:0:0:0/max_retries": "5\n",
		"queue/read_ahead_kb": "128\n", "diskseq": "7\n",
	} {
		write(t, filepath.Join(disk, name), value)
	}
	write(t, filepath.Join(h.Proc, "sys/kernel/random/boot_id"), "0b1c\n")
	return disk
}

func TestPatienceIsLoweredAndPutBack(t *testing.T) {
	h := machine(t)
	disk := patient(t, h)
	got := lowerable(disk)
	want := []setting{
		{"device/timeout", "30", "10"},
		{"device/scsi_disk/0:0:0:0/max_retries", "5", "0"},
		{"queue/read_ahead_kb", "128", "0"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	apply(disk, got)
	for _, s := range got {
		if now := sysblock.Text(disk, s.Name); now != s.New {
			t.Errorf("%s is %s", s.Name, now)
		}
	}
	if again := lowerable(disk); len(again) != 0 {
		t.Errorf("lowered twice: %v", again)
	}
	write(t, filepath.Join(disk, "device/timeout"), "60\n") // somebody else's wish
	if left, err := unapply(disk, got); err != nil || left != nil {
		t.Fatal(left, err)
	}
	for name, want := range map[string]string{"device/timeout": "60", "device/scsi_disk/0:0:0:0/max_retries": "5", "queue/read_ahead_kb": "128"} {
		if now := sysblock.Text(disk, name); now != want {
			t.Errorf("%s is %s, want %s", name, now, want)
		}
	}
}

func TestRecordIsNotObeyedBeyondTheSettings(t *testing.T) {
	h := machine(t)
	disk := patient(t, h)
	write(t, filepath.Join(disk, "device/delete"), "0")
	write(t, filepath.Join(disk, "../evil/timeout"), "0")
	for _, s := range []setting{
		{"device/delete", "1", "0"},
		{"device/../../evil/timeout", "1", "0"},
		{"device/scsi_disk/../max_retries", "1", "0"},
		{"device/timeout", "30; reboot", "30"},
		{"/etc/passwd", "1", "0"},
		{"", "1", ""},
	} {
		if _, err := unapply(disk, []setting{s}); err != nil {
			t.Errorf("%v: %v", s, err)
		}
	}
	if sysblock.Text(disk, "device/delete") != "0" || sysblock.Text(disk, "../evil/timeout") != "0" || sysblock.Text(disk, "device/timeout") != "30" {
		t.Error("obeyed")
	}
}

func TestRecordOfAnotherTimeOrDiskChangesNothing(t *testing.T) {
	for _, tc := range []struct {
		name string
		now  func(t *testing.T, h host, disk string)
	}{
		{"restarted", func(t *testing.T, h host, _ string) {
			write(t, filepath.Join(h.Proc, "sys/kernel/random/boot_id"), "ffff\n")
		}},
		{"another disk at its place", func(t *testing.T, _ host, disk string) { write(t, filepath.Join(disk, "diskseq"), "8\n") }},
		{"another size", func(t *testing.T, _ host, disk string) { write(t, filepath.Join(disk, "size"), "8\n") }},
		{"gone", func(t *testing.T, h host, _ string) {
			if err := os.Remove(filepath.Join(h.Sys, "dev/block/8:0")); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := machine(t)
			disk := patient(t, h)
			n, err := h.Node("8:0")
			if err != nil {
				t.Fatal(err)
			}
			r := h.describeChange(n)
			r.Settings, r.ReadOnly = lowerable(disk), true
			file := filepath.Join(t.TempDir(), "restore")
			if err := r.save(file); err != nil {
				t.Fatal(err)
			}
			apply(disk, r.Settings)
			if _, ok := h.same(r); !ok {
				t.Fatal("the disk itself is not known again")
			}
			tc.now(t, h, disk)
			if err := h.putBack(file, nil); err != nil {
				t.Fatal(err)
			}
			if sysblock.Text(disk, "device/timeout") != "10" {
				t.Error("changed")
			}
			if _, err := os.Stat(file); !os.IsNotExist(err) {
				t.Errorf("the record stays: %v", err)
			}
		})
	}
}

func TestRecordThatIsNotUnderstoodStays(t *testing.T) {
	h := machine(t)
	for _, content := range []string{"", "nonsense", `{"version":2}`, `{"version":1,"name":"../../etc"}`, `[]`} {
		file := filepath.Join(t.TempDir(), "restore")
		write(t, file, content)
		if err := h.putBack(file, nil); !errors.Is(err, ErrRecord) {
			t.Errorf("%q: %v", content, err)
		}
		if _, _, err := Open(file, Options{Restore: file}); !errors.Is(err, ErrRecord) {
			t.Errorf("%q: Open: %v", content, err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
	if err := h.putBack(filepath.Join(t.TempDir(), "none"), nil); err != nil {
		t.Errorf("without a record: %v", err)
	}
}

// TestKilledRunIsPutBack uses a real loop device, whose read-only flag and read-ahead
// stay changed when a process dies.
func TestKilledRunIsPutBack(t *testing.T) {
	dev := loop(t, file(t, content(1<<20)))
	rec := filepath.Join(t.TempDir(), "restore")
	ahead := func() string { return sysblock.Text("/sys/class/block/"+filepath.Base(dev), "queue/read_ahead_kb") }
	before := ahead()
	killed := func() *Source {
		s, _, err := Open(dev, Options{Restore: rec})
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(rec); err != nil || st.Mode().Perm() != 0o600 {
			t.Fatalf("record: %v, %v", st, err)
		}
		if ahead() != "0" || roFlag(t, dev) != "1" {
			t.Fatalf("read-ahead %s, read-only %s", ahead(), roFlag(t, dev))
		}
		return s
	}
	s := killed()
	if err := PutBack(rec); !errors.Is(err, ErrInUse) {
		t.Errorf("put back under a running source: %v", err)
	}
	if ahead() != "0" || roFlag(t, dev) != "1" {
		t.Error("changed under a running source")
	}
	if err := s.at.f.Close(); err != nil { // what the end of a process does
		t.Fatal(err)
	}
	if err := PutBack(rec); err != nil {
		t.Fatal(err)
	}
	if ahead() != before || roFlag(t, dev) != "0" {
		t.Errorf("read-ahead %s, was %s; read-only %s", ahead(), before, roFlag(t, dev))
	}
	if _, err := os.Stat(rec); !os.IsNotExist(err) {
		t.Errorf("the record stays: %v", err)
	}

	// The next run puts back by itself, and so remembers what was there at first.
	if err := killed().at.f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := killed().Close(); err != nil {
		t.Fatal(err)
	}
	if ahead() != before || roFlag(t, dev) != "0" {
		t.Errorf("read-ahead %s, was %s; read-only %s", ahead(), before, roFlag(t, dev))
	}
}
