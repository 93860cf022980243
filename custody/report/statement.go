package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/note"
)

// A statement is what a station signs about an erasure: of an image or of a device.
type statement interface {
	Attest | DeviceAttest
	Check() error
}

// maxStatement bounds the text of a statement, in bytes.
const maxStatement = 256 << 10

var errTooLong = fmt.Errorf("longer than 256 KiB: %w", ErrAttest)

// textOfStatement is the exact text to be signed: one line of canonical JSON and a line
// break, with every time in UTC and whole seconds.
func textOfStatement[S statement](s S) ([]byte, error) {
	s = utc(s)
	if err := s.Check(); err != nil {
		return nil, err
	}
	line, err := canonical(s)
	if err != nil {
		return nil, err
	}
	if len(line) >= maxStatement {
		return nil, errTooLong
	}
	return append(line, '\n'), nil
}

// parseStatement reads the text of a note strictly: what it accepts is exactly what
// [textOfStatement] writes.
func parseStatement[S statement](text []byte) (S, error) {
	var s, none S
	if len(text) > maxStatement {
		return none, errTooLong
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return none, fmt.Errorf("%w: %w", ErrAttest, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return none, fmt.Errorf("more than one value: %w", ErrAttest)
	}
	again, err := textOfStatement(s)
	if err != nil {
		return none, err
	}
	if !bytes.Equal(again, text) {
		return none, fmt.Errorf("not in its one spelling: %w", ErrAttest)
	}
	return s, nil
}

// openStatement verifies the signature against the keys of known stations before
// anything is parsed.
func openStatement[S statement](signed []byte, known note.Verifiers) (S, *note.Note, error) {
	var none S
	n, err := note.Open(signed, known)
	if err != nil {
		return none, nil, fmt.Errorf("signature of the attest: %w", err)
	}
	s, err := parseStatement[S]([]byte(n.Text))
	if err != nil {
		return none, nil, err
	}
	return s, n, nil
}
