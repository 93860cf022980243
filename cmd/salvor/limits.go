package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a person types goes into the record for years and onto papers: each text has a
// length that suits it, and is refused before anything is asked or recorded. The limits
// stand at this door alone, for flags and for answers at the desk; what is recorded
// already is read whatever its length.

// The longest texts, in characters.
const (
	longPhone = 50
	longMail  = 254 // what a mail server takes (RFC 5321)
	longName  = 200 // a name, a model, somebody else's number
	longPlace = 300 // an address, in one line
	longText  = 2000
	longOther = 4096 // whatever else: a path
)

// A text is how long one may be, and whether it has to be one line.
type textKind struct {
	most int
	line bool
}

// kindOf says what the flag of a name holds.
func kindOf(flag string) textKind {
	switch flag {
	case "phone":
		return textKind{longPhone, true}
	case "email":
		return textKind{longMail, true}
	case "address":
		return textKind{longPlace, true}
	case "customer", "name", "shop", "dpo", "company-number", "recipient", "proxy", "recycler", "ticket", "reference", "maker", "model", "serial":
		return textKind{longName, true}
	case "reason", "wanted", "excluded", "damage", "condition", "accessories", "fault", "text", "answer", "facts", "effects", "measures", "missing":
		return textKind{longText, false}
	}
	return textKind{most: longOther}
}

// A typedError is why a text is not taken. It never holds the text: that may be a name.
type typedError struct{ why, hint string }

// Error says why.
func (e *typedError) Error() string { return e.why }

// errText: what was typed steers a terminal, or hides what stands there.
var errText = &typedError{"plain text, without control characters", "leave line breaks, control characters, marks that turn the direction of writing and what nobody sees out"}

// fits refuses what no flag of that name takes.
func fits(flag, text string) error {
	kind := kindOf(strings.TrimPrefix(flag, "--"))
	if n := utf8.RuneCountInString(text); n > kind.most {
		return &typedError{fmt.Sprintf("%d characters, and at most %d are taken", n, kind.most), "shorten it"}
	}
	if kind.most == longOther { // a path may be whatever a file system takes
		return nil
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return steers(r) && (kind.line || r != '\n' && r != '\t') }) {
		return errText
	}
	return nil
}

// steers tells control characters, line and paragraph separators, the marks that turn
// the direction of what follows, and what nobody sees: two names that look the same would
// be two. Those that only join letters, or say to which direction one belongs, are part of
// how some names are written.
func steers(r rune) bool {
	unseen := r == 0x200b || r >= 0x2060 && r <= 0x2064 || r == 0xfeff || r >= 0xfff9 && r <= 0xfffb || r >= 0xe0000 && r <= 0xe007f
	return unicode.IsControl(r) || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || unseen
}

// typedWrong finds what of an error is about a text that somebody typed.
func typedWrong(err error) (*typedError, bool) { return errors.AsType[*typedError](err) }
