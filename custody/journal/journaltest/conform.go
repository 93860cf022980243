package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"salvor/custody/journal"
)

// Conform runs the suite that every store of a journal passes, each part on a
// fresh store.
func Conform(t *testing.T, fresh func(t *testing.T) journal.Store) {
	t.Helper()
	for name, check := range map[string]func(s journal.Store) error{
		"what is written is read, whole":    written,
		"writing again replaces":            replaced,
		"a list is sorted and tells kinds":  listed,
		"what is not there says so":         absent,
		"a limit holds to the byte":         limited,
		"a file is created once":            createdOnce,
		"erased and removed files are gone": gone,
		"no name leads out":                 confined,
		"a folder reads what lies in it":    opened,
	} {
		t.Run(name, func(t *testing.T) {
			if err := check(fresh(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func read(s journal.Store, name, want string) error {
	got, err := s.Read(name, 1<<20)
	if err == nil && string(got) != want {
		err = fmt.Errorf("%s holds %q, want %q", name, got, want)
	}
	return err
}

func want(err, target error) error {
	if !errors.Is(err, target) {
		return fmt.Errorf("got %w, want %w", err, target)
	}
	return nil
}

func written(s journal.Store) error {
	big := bytes.Repeat([]byte("0123456789"), 20_000)
	return errors.Join(s.Write("a.note", nil), s.Write("journal/B1/x", []byte("one")), s.Write("journal/B1/y", big),
		s.Sync("journal/B1"), s.Sync("."), read(s, "a.note", ""), read(s, "journal/B1/x", "one"), read(s, "journal/B1/y", string(big)))
}

func replaced(s journal.Store) error {
	return errors.Join(s.Write("a/b", []byte("a long first text")), s.Write("a/b", []byte("two")), read(s, "a/b", "two"))
}

func listed(s journal.Store) error {
	if err := errors.Join(s.Write("d/b", nil), s.Write("d/a", []byte("x")), s.Write("d/c/e", nil)); err != nil {
		return err
	}
	entries, err := s.List("d")
	if err != nil {
		return err
	}
	got := ""
	for _, e := range entries {
		got += fmt.Sprintf("%s %v,", e.Name, e.Dir)
	}
	if want := "a false,b false,c true,"; got != want {
		return fmt.Errorf("list is %q, want %q", got, want)
	}
	return nil
}

func absent(s journal.Store) error {
	_, listErr := s.List("nowhere")
	_, readErr := s.Read("nowhere/x", 10)
	return errors.Join(want(listErr, fs.ErrNotExist), want(readErr, fs.ErrNotExist), s.Erase("nowhere/x"), s.Remove("nowhere/x"))
}

func limited(s journal.Store) error {
	if err := s.Write("x", make([]byte, 100)); err != nil {
		return err
	}
	_, under := s.Read("x", 99)
	_, at := s.Read("x", 100)
	return errors.Join(want(under, journal.ErrTooLarge), at)
}

func opened(s journal.Store) error {
	if err := errors.Join(s.Write("d/x", []byte("one")), s.Write("d/e/y", nil), s.Write("z", nil)); err != nil {
		return err
	}
	_, absent := s.Open("nowhere")
	d, err := s.Open("d")
	if err != nil {
		return err
	}
	got, err := d.Read("x", 3)
	if string(got) != "one" {
		err = errors.Join(err, fmt.Errorf("x holds %q", got))
	}
	_, over := d.Read("x", 2)
	_, lacking := d.Read("nothing", 10)
	for _, base := range []string{"../z", "e/y", "", ".", "..", "/x"} {
		if _, err := d.Read(base, 10); err == nil {
			return fmt.Errorf("%q was read", base)
		}
	}
	return errors.Join(err, want(absent, fs.ErrNotExist), want(over, journal.ErrTooLarge), want(lacking, fs.ErrNotExist), d.Close())
}

func createdOnce(s journal.Store) error {
	return errors.Join(s.Create("p/x", []byte("one")), want(s.Create("p/x", []byte("two")), fs.ErrExist), read(s, "p/x", "one"))
}

func gone(s journal.Store) error {
	if err := errors.Join(s.Create("p/x", make([]byte, 200_000)), s.Write("q", []byte("1")), s.Erase("p/x"), s.Remove("q")); err != nil {
		return err
	}
	_, x := s.Read("p/x", 10)
	_, q := s.Read("q", 10)
	return errors.Join(want(x, fs.ErrNotExist), want(q, fs.ErrNotExist), s.Create("p/x", nil))
}

func confined(s journal.Store) error {
	for _, name := range []string{"../x", "/x", "a/../../x", "a//b", ""} {
		if s.Write(name, nil) == nil {
			return fmt.Errorf("%q was written", name)
		}
	}
	return nil
}
