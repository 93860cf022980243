package report

import (
	"errors"
	"fmt"
	"strings"
)

// Language is the language of a paper.
type Language string

// The languages of the papers.
const (
	Dutch   Language = "nl"
	French  Language = "fr"
	German  Language = "de"
	English Language = "en"
)

// ErrLanguage: papers exist in nl, fr, de and en only.
var ErrLanguage = errors.New("unknown language")

// ParseLanguage reads a language code, also in the forms of a locale ("nl_BE.UTF-8",
// "fr-BE", "de_DE@euro").
func ParseLanguage(s string) (Language, error) {
	code := strings.ToLower(s)
	if i := strings.IndexAny(code, "_-.@"); i >= 0 {
		code = code[:i]
	}
	switch l := Language(code); l {
	case Dutch, French, German, English:
		return l, nil
	}
	return "", fmt.Errorf("%w: papers are printed in nl, fr, de and en", ErrLanguage)
}

// Languages returns the four languages.
func Languages() []Language { return []Language{Dutch, French, German, English} }
