package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
	"unicode/utf8"
)

// canonical returns the one JSON form of v: sorted keys, no spaces, no HTML escaping,
// no line break at the end. Every character that shows nothing by itself is written as
// an escape, so that looking at the JSON on a terminal is safe.
func canonical(v any) ([]byte, error) {
	first, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("paper: %w", err)
	}
	// Through a map, whose keys the encoder sorts. Numbers stay as they were written.
	dec := json.NewDecoder(bytes.NewReader(first))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("paper: %w", err)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(tree); err != nil {
		return nil, fmt.Errorf("paper: %w", err)
	}
	return escape(bytes.TrimSuffix(buf.Bytes(), []byte("\n"))), nil
}

// escape writes what is not printable as \u escapes. In JSON such characters stand in
// strings only; controls below space are escaped already.
func escape(in []byte) []byte {
	out := make([]byte, 0, len(in))
	for len(in) > 0 {
		r, n := utf8.DecodeRune(in)
		switch {
		case printable(r):
			out = append(out, in[:n]...)
		case r >= 0x10000:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		in = in[n:]
	}
	return out
}

// utc returns a copy of a paper in which every time is in UTC and whole seconds, so
// that the same facts give the same bytes whatever zone they came in.
func utc[P any](paper P) P {
	v := reflect.New(reflect.TypeFor[P]()).Elem()
	v.Set(reflect.ValueOf(paper))
	toUTC(v)
	return v.Interface().(P)
}

func toUTC(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(second(v.Interface().(time.Time))))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			toUTC(v.Field(i))
		}
	case reflect.Slice:
		// A copy, so that the caller's paper stays as it was.
		if v.Len() > 0 {
			c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(c, v)
			for i := range c.Len() {
				toUTC(c.Index(i))
			}
			v.Set(c)
		}
	}
}
