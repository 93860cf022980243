package report

import (
	"errors"
	"fmt"
	"strings"

	"salvor/custody"
)

// ErrLanguage is returned for a language that papers do not exist in.
var ErrLanguage = errors.New("unknown language")

// ParseLanguage reads a language code, also in the forms of a locale ("nl_BE.UTF-8",
// "fr-BE", "de_DE@euro").
func ParseLanguage(s string) (custody.Language, error) {
	code := strings.ToLower(s)
	if i := strings.IndexAny(code, "_-.@"); i >= 0 {
		code = code[:i]
	}
	if l := custody.Language(code); l.Valid() {
		return l, nil
	}
	return "", fmt.Errorf("%w: papers are printed in nl, fr, de and en", ErrLanguage)
}

// Languages returns the languages of the papers.
func Languages() []custody.Language {
	return []custody.Language{custody.Dutch, custody.French, custody.German, custody.English}
}
