package ui

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// outlet is standard output. It remembers the first error of a write, so that no print
// statement has to look, and writes nothing after it: data with a hole in it are worse
// than data that end. A reader that went away has what it wanted: that is no error to
// remember.
type outlet struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

// Write implements [io.Writer].
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	if err != nil && !errors.Is(err, unix.EPIPE) {
		o.err = err
	}
	return n, err
}

// Lost returns err, or, where part of the data did not reach standard output and nothing
// worse has happened, an error that says so.
func (t *Terminal) Lost(err error) error {
	t.data.mu.Lock()
	lost := t.data.err
	t.data.mu.Unlock()
	switch {
	case lost == nil:
		return err
	case err != nil && !errors.Is(err, lost):
		t.Warn("standard output: %v", plainly(lost))
		return err
	}
	return &Error{Code: Other, What: "standard output", Why: plainly(lost).Error(), Err: lost}
}

// plainly leaves the name that the system calls standard output by out of an error.
func plainly(err error) error {
	if at, ok := errors.AsType[*os.PathError](err); ok {
		return at.Err
	}
	return err
}
