// Package storetest proves stores and breaks them.
//
// [Test] is the conformance suite that every vault.Store passes. [Memory] is a store that remembers what is durable and
// what is not, so that a test can cut the power at any moment. [Faulty] wraps any store and fails where it is told to,
// with the errno it is told.
package storetest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/custody/vault"
)

// Test holds a store to its contract. newStore returns an empty store.
func Test(t *testing.T, newStore func(t testing.TB) vault.Store) {
	t.Run("a file is there once and with its content", func(t *testing.T) {
		st := newStore(t)
		f := create(t, st, "cases/a/file")
		if _, err := f.WriteAt([]byte("hello"), 3); err != nil {
			t.Fatal(err)
		}
		if size, err := f.Size(); size != 8 || err != nil {
			t.Errorf("size %d, %v", size, err)
		}
		f.Flushing(0, 8)
		flushed(t, f.Sync())
		f.DropCache(0, 8)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		flushed(t, st.SyncDir("cases/a"))
		if _, err := st.Create("cases/a/file"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("creating it again: %v", err)
		}
		if _, err := st.Create("cases/a"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("creating a file over a directory: %v", err)
		}
		for name, open := range map[string]func(string) (vault.File, error){"open": st.Open, "media": st.OpenMedia, "update": st.Update} {
			if got := read(t, open, "cases/a/file"); !bytes.Equal(got, []byte("\x00\x00\x00hello")) {
				t.Errorf("%s: %q", name, got)
			}
		}
	})
	t.Run("reading ends where the file does", func(t *testing.T) {
		st := newStore(t)
		content := bytes.Repeat([]byte("0123456789abcdef"), 1000)
		f := create(t, st, "long")
		if _, err := f.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
		flushed(t, f.Sync())
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		for _, open := range []func(string) (vault.File, error){st.Open, st.OpenMedia} {
			f, err := open("long")
			if err != nil {
				t.Fatal(err)
			}
			for _, off := range []int{0, 1, 511, 4095, 4096, 8191, 15999} {
				p := make([]byte, 5000)
				n, err := f.ReadAt(p, int64(off))
				want := content[off:min(off+5000, len(content))]
				if !bytes.Equal(p[:n], want) || (len(want) < 5000) != errors.Is(err, io.EOF) {
					t.Errorf("at %d: %d bytes, %v", off, n, err)
				}
			}
			if n, err := f.ReadAt(make([]byte, 10), 16000); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("behind the end: %d, %v", n, err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("updating changes in place", func(t *testing.T) {
		st := newStore(t)
		f := create(t, st, "lock")
		if _, err := f.WriteAt([]byte("before"), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := st.Update("lock")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("AF"), 2); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, st.Open, "lock"); string(got) != "beAFre" {
			t.Errorf("%q", got)
		}
	})
	t.Run("what is not there is not there", func(t *testing.T) {
		st := newStore(t)
		for name, err := range map[string]error{
			"open": second(st.Open("none")), "media": second(st.OpenMedia("a/none")), "update": second(st.Update("none")),
			"list": second(st.List("none")), "remove": st.Remove("none"),
		} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("listing is sorted and complete", func(t *testing.T) {
		st := newStore(t)
		for _, name := range []string{"d/b", "d/a", "d/sub/x"} {
			f := create(t, st, name)
			if _, err := f.WriteAt([]byte(name), 0); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		got, err := st.List("d")
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if got[i].Dir {
				got[i].Size = 0
			}
		}
		want := []vault.Entry{{Name: "a", File: true, Size: 3}, {Name: "b", File: true, Size: 3}, {Name: "sub", Dir: true}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if err := st.Remove("d/a"); err != nil {
			t.Error(err)
		}
		if got, err := st.List("d"); err != nil || len(got) != 2 {
			t.Errorf("after removing: %v, %v", got, err)
		}
		if err := st.Remove("d/sub"); !errors.Is(err, vault.ErrHostile) {
			t.Errorf("removing a directory: %v", err)
		}
	})
	t.Run("no name leads out", func(t *testing.T) {
		st := newStore(t)
		for _, name := range []string{"", "..", "../x", "/etc/passwd", "a/../b", "a//b", "a/.", "a\x00b"} {
			for what, err := range map[string]error{
				"create": second(st.Create(name)), "open": second(st.Open(name)), "media": second(st.OpenMedia(name)),
				"update": second(st.Update(name)), "list": second(st.List(name)), "remove": st.Remove(name), "syncdir": st.SyncDir(name),
			} {
				if !errors.Is(err, vault.ErrHostile) {
					t.Errorf("%s %q: %v", what, name, err)
				}
			}
		}
	})
	t.Run("there is room", func(t *testing.T) {
		if n, err := newStore(t).Free(); n <= 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func create(t *testing.T, st vault.Store, name string) vault.File {
	t.Helper()
	f, err := st.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func flushed(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, vault.ErrNoFlush) {
		t.Fatal(err)
	}
}

func read(t *testing.T, open func(string) (vault.File, error), name string) []byte {
	t.Helper()
	f, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, size)
	if _, err := f.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return p
}
