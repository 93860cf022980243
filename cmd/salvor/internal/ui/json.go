package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Document writes v to standard output as one JSON document on one line: the whole
// answer of a short command under --json.
func (t *Terminal) Document(v any) error {
	line, err := jsonLine(v)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err = t.data.Write(line)
	return err
}

// Message writes v to standard output as one JSON line whose first field is
// message_type: one of many lines of a long command under --json. v must marshal to
// a JSON object.
func (t *Terminal) Message(messageType string, v any) error {
	line, err := messageLine(messageType, v)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err = t.data.Write(line)
	return err
}

func messageLine(messageType string, v any) ([]byte, error) {
	line, err := jsonLine(v)
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[0] != '{' {
		return nil, errors.New("json message: not an object")
	}
	head, err := json.Marshal(messageType)
	if err != nil {
		return nil, fmt.Errorf("json message: %w", err)
	}
	out := append([]byte(`{"message_type":`), head...)
	if line[1] != '}' {
		out = append(out, ',')
	}
	return append(out, line[1:]...), nil
}

// jsonLine marshals v without HTML escaping and with every character that could
// steer a terminal written as a \u escape, which JSON reads back as the same text.
func jsonLine(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	in := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	out := make([]byte, 0, len(in)+1)
	for len(in) > 0 {
		r, n := utf8.DecodeRune(in)
		switch {
		case r >= 0x10000 && hostile(r):
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		case hostile(r):
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = append(out, in[:n]...)
		}
		in = in[n:]
	}
	return append(out, '\n'), nil
}
