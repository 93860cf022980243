package confined_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"salvor/custody/internal/confined"
)

var errHostile = errors.New("hostile")

func openTree(t *testing.T) (string, confined.Tree) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return dir, confined.New(root, errHostile)
}

func TestWhatLeadsElsewhereIsRefused(t *testing.T) {
	dir, tree := openTree(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.Mkdir(in("d"), 0o700),
		os.WriteFile(in("d/file"), []byte("x"), 0o600),
		os.Symlink("d", in("soft")),
		os.Symlink("file", in("d/soft")),
		os.Symlink("/etc/passwd", in("d/away")),
		os.WriteFile(in("d/one"), nil, 0o600),
		os.Link(in("d/one"), in("d/two")),
		unix.Mkfifo(in("d/pipe"), 0o600),
		os.Mkdir(in("d/dir"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", "/", "/etc", "..", "d/../d", "d//dir", "d/", "d\x00", "soft", "soft/dir", "d/file", "d/pipe"} {
		if at, err := tree.Descend(name, nil); !errors.Is(err, errHostile) {
			t.Errorf("descend %q: %v %v", name, at, err)
		}
	}
	parent, err := tree.Descend("d", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	for _, base := range []string{"soft", "away", "one", "two", "pipe", "dir"} {
		if f, _, err := tree.Open(parent, base, os.O_RDONLY); !errors.Is(err, errHostile) {
			t.Errorf("open %s: %v %v", base, f, err)
		}
	}
	f, info, err := tree.Open(parent, "file", os.O_RDWR)
	if err != nil || info.Size() != 1 {
		t.Fatal(info, err)
	}
	f.Close()
	if _, _, err := tree.Open(parent, "nothing", os.O_RDONLY); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestWhatIsMissingIsMadeOnlyWhenAsked(t *testing.T) {
	dir, tree := openTree(t)
	if _, err := tree.Descend("a/b", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	made := 0
	at, err := tree.Descend("a/b", func(*os.Root) error { made++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	at.Close()
	if info, err := os.Lstat(filepath.Join(dir, "a/b")); err != nil || info.Mode().Perm() != 0o700 || made != 2 {
		t.Error(info, err, made)
	}
	if _, err := tree.Descend("a/c/d", func(*os.Root) error { return unix.ENOSPC }); !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	if at, err = tree.Descend(".", nil); err != nil {
		t.Fatal(err)
	}
	at.Close()
	if at, err = tree.Descend("a", nil); err != nil { // the root of the tree is still open
		t.Fatal(err)
	}
	at.Close()
}
