package ui

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// jammed is a standard output that fails from some write on.
type jammed struct {
	bytes.Buffer
	left int // writes that succeed
	err  error
}

func (j *jammed) Write(p []byte) (int, error) {
	if j.left--; j.left < 0 {
		return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: j.err}
	}
	return j.Buffer.Write(p)
}

func TestWhatDoesNotReachStandardOutputIsAnError(t *testing.T) {
	writes := map[string]func(*Terminal) error{
		"print": func(t *Terminal) error { fmt.Fprintln(t.Out, "text"); return nil },
		"raw":   func(t *Terminal) error { _, err := t.Raw().Write([]byte("%PDF")); return err },
		"document": func(t *Terminal) error {
			return t.Document(map[string]int{"n": 1})
		},
		"message": func(t *Terminal) error { return t.Message("summary", map[string]int{"n": 1}) },
		"table": func(t *Terminal) error {
			tb := t.Table("a")
			tb.Row(1)
			return tb.Flush()
		},
	}
	for name, write := range writes {
		out, errs := &jammed{err: unix.ENOSPC}, &bytes.Buffer{}
		term := New(Streams{Out: out, Err: errs, Now: newClock().now})
		err := term.Lost(write(term))
		if ExitCode(err) != Other || err == nil || err.Error() != "standard output: no space left on device" {
			t.Errorf("%s: %v", name, err)
		}
		if write(term); out.left != -1 {
			t.Errorf("%s: written again after an error", name)
		}
		worse := &Error{Code: Incomplete, What: "purge"}
		if got := term.Lost(worse); !errors.Is(got, worse) || !strings.Contains(errs.String(), "warning: standard output: no space left on device") {
			t.Errorf("%s: %v, %q", name, got, errs)
		}
	}
}

func TestAReaderThatWentAwayIsNoLoss(t *testing.T) {
	out := &jammed{left: 1, err: unix.EPIPE}
	term := New(Streams{Out: out, Err: &bytes.Buffer{}, Now: newClock().now})
	for range 3 {
		fmt.Fprintln(term.Out, "text")
	}
	if err := term.Lost(nil); err != nil || out.String() != "text\n" {
		t.Errorf("%v, %q", err, out)
	}
	if err := term.Document(1); !errors.Is(err, unix.EPIPE) {
		t.Errorf("%v", err)
	}
}
