package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"salvor/custody/journal"
	"salvor/custody/journal/journaltest"
)

func openRoot(t testing.TB) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestDirConforms(t *testing.T) {
	journaltest.Conform(t, func(t *testing.T) journal.Store { return journal.NewDir(openRoot(t)) })
}

func TestMemoryConforms(t *testing.T) {
	journaltest.Conform(t, func(*testing.T) journal.Store { return &journaltest.Memory{} })
}

func TestFaultyConformsAndKeepsTheErrno(t *testing.T) {
	journaltest.Conform(t, func(*testing.T) journal.Store { return &journaltest.Faulty{Store: &journaltest.Memory{}} })
	f := &journaltest.Faulty{Store: &journaltest.Memory{}, Fail: func(op, _ string) error {
		return &os.PathError{Op: op, Path: "x", Err: unix.EIO}
	}}
	if err := f.Write("x", nil); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
}

// A vault may have been prepared by somebody else: nothing outside the tree is
// read, overwritten or erased through it.
func TestLinksAreNotFollowed(t *testing.T) {
	root := openRoot(t)
	victim := filepath.Join(root.Name(), "cases")
	if err := os.Mkdir(victim, 0o700); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(victim, "image")
	if err := os.WriteFile(image, []byte("somebody's photos"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := journal.NewDir(root)
	if err := s.Write("private/x", nil); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(root.Name(), ".salvor", name) }
	for _, err := range []error{
		os.Symlink("../cases", in("journal")),
		os.Symlink("../../cases/image", in("private/soft")),
		os.Link(image, in("private/hard")),
		unix.Mkfifo(in("private/pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"journal/image", "private/soft", "private/hard", "private/pipe"} {
		if _, err := s.Read(name, 100); !errors.Is(err, journal.ErrHostile) {
			t.Errorf("read %s: %v", name, err)
		}
		if err := s.Erase(name); !errors.Is(err, journal.ErrHostile) {
			t.Errorf("erase %s: %v", name, err)
		}
		if err := s.Write(name, []byte("x")); !errors.Is(err, journal.ErrHostile) {
			t.Errorf("write %s: %v", name, err)
		}
	}
	if got, err := os.ReadFile(image); err != nil || string(got) != "somebody's photos" {
		t.Errorf("%v %q", err, got)
	}
}

func TestAFileThatIsNotInItsPlaceYetIsNotListed(t *testing.T) {
	root := openRoot(t)
	j := journal.Open("v1", root)
	if err := journal.NewDir(root).Write("journal/B1/checkpoint", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root.Name(), ".salvor/journal/B1/.new-0011223344556677"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	files, refused, err := j.Files("B1")
	if err != nil || len(files) != 0 || len(refused) != 0 {
		t.Errorf("%v %v %v", files, refused, err)
	}
}
