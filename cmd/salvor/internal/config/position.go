package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// Error is something wrong in a configuration file.
type Error struct {
	File string // as it was given; empty when the value did not come from a file
	Line int    // counted from 1; 0 when no line can be named (a key that is missing)
	Key  string // "shop.dpo"; empty for a fault of syntax
	Why  string
}

// Error returns "file:line: key: why".
func (e *Error) Error() string {
	var parts []string
	if e.File != "" {
		at := e.File
		if e.Line > 0 {
			at += ":" + strconv.Itoa(e.Line)
		}
		parts = append(parts, at)
	}
	if e.Key != "" {
		parts = append(parts, strconv.Quote(e.Key))
	}
	return strings.Join(append(parts, e.Why), ": ")
}

// fault names the file and line where key was set last, else only the last file.
func (c *Config) fault(texts []string, key, why string) error {
	e := &Error{Key: key, Why: why}
	for i := len(texts) - 1; i >= 0; i-- {
		if line := lineOf(texts[i], strings.Split(key, ".")); line > 0 {
			e.File, e.Line = c.Files[i], line
			return e
		}
	}
	if len(c.Files) > 0 {
		e.File = c.Files[len(c.Files)-1]
	}
	return e
}

var decoderLine = regexp.MustCompile(`^toml: (?:line (\d+) )?\(last key "([^"]*)"\): `)

// syntax turns the decoder's errors into ours.
func syntax(file string, err error) error {
	var pe toml.ParseError
	if errors.As(err, &pe) {
		return &Error{File: file, Line: pe.Position.Line, Key: pe.LastKey, Why: pe.Message}
	}
	// A wrong type comes as plain text.
	e := &Error{File: file, Why: strings.TrimPrefix(err.Error(), "toml: ")}
	if m := decoderLine.FindStringSubmatch(err.Error()); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Key, e.Why = m[2], strings.TrimPrefix(err.Error(), m[0])
	}
	return e
}

// refuser is a value that refuses to be decoded, which makes the decoder say where
// the value stands: the one thing its API does not tell otherwise.
type refuser struct{}

var errHere = errors.New("here")

// UnmarshalTOML always fails.
func (refuser) UnmarshalTOML(any) error { return errHere }

// lineOf returns the line of key in text, 0 when it cannot tell. It decodes text
// into a type that has this one key and refuses it.
func lineOf(text string, key toml.Key) int {
	t := reflect.TypeFor[refuser]()
	for i := len(key) - 1; i >= 0; i-- {
		name := strconv.Quote(key[i])
		if strings.ContainsAny(key[i], ",`\\\"") || key[i] == "-" || key[i] == "" {
			return 0 // not expressible as a struct tag
		}
		t = reflect.StructOf([]reflect.StructField{{Name: "X", Type: t, Tag: reflect.StructTag(fmt.Sprintf("toml:%s", name))}})
	}
	var pe toml.ParseError
	if _, err := toml.Decode(text, reflect.New(t).Interface()); errors.As(err, &pe) {
		return pe.Position.Line
	}
	return 0
}
