package vault

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MinPassphrase is the least number of characters of a passphrase that somebody made up.
const MinPassphrase = 15

// maxPassphrase keeps a pasted file from being taken for one.
const maxPassphrase = 1024

// blocked are what people type when they are told to type something long, folded as fold does. A passphrase that is
// one of these, or little more than one of these, is refused.
func blocked() []string {
	return []string{
		"passphrase", "password", "passwort", "kennwort", "motdepasse", "wachtwoord", "changeme", "letmein", "welcome",
		"welkom", "bienvenue", "willkommen", "iloveyou", "administrator", "salvor", "backup", "computershop",
		"correcthorsebatterystaple", "qwertyuiop", "azertyuiop", "qwertzuiop", "asdfghjkl", "qsdfghjklm",
		"thequickbrownfox",
	}
}

// fold reduces a text to what a guesser tries: lower case letters and digits, the usual replacements undone.
func fold(p string) string {
	same := map[rune]rune{'@': 'a', '$': 's', '!': 'i', '€': 'e'}
	return strings.Map(func(r rune) rune {
		if to, ok := same[r]; ok {
			return to
		}
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, p)
}

// CheckPassphrase applies the policy for typed passphrases: at least [MinPassphrase] characters, not one everybody tries
// first, no mere repetition or sequence. It returns an [ErrPassphrase] that says why, and never the passphrase.
func CheckPassphrase(p string) error {
	n := utf8.RuneCountInString(p)
	switch {
	case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
		return fmt.Errorf("%w: it holds characters that cannot be typed", ErrPassphrase)
	case n < MinPassphrase:
		return fmt.Errorf("%w: %d characters, at least %d are needed", ErrPassphrase, n, MinPassphrase)
	case len(p) > maxPassphrase:
		return fmt.Errorf("%w: longer than %d bytes", ErrPassphrase, maxPassphrase)
	case repeats(p) || repeats(fold(p)):
		return fmt.Errorf("%w: it repeats itself", ErrPassphrase)
	}
	// What is left beside everybody's words has to be worth something by itself.
	rest := fold(p)
	for _, b := range blocked() {
		rest = strings.ReplaceAll(rest, b, "")
	}
	if worth(rest) < MinPassphrase/2 {
		return fmt.Errorf("%w: it is one that everybody tries first", ErrPassphrase)
	}
	return nil
}

// worth counts the characters that do not merely go on counting: of 12345 and of aaaa only the first.
func worth(p string) int {
	n := 0
	last := rune(-9)
	for _, r := range p {
		if step := r - last; step < -1 || step > 1 {
			n++
		}
		last = r
	}
	return n
}

// repeats tells whether a text is a short piece over and over, or has fewer than five different characters.
func repeats(p string) bool {
	seen := make(map[rune]bool)
	for _, r := range p {
		seen[r] = true
	}
	if len(seen) < 5 {
		return true
	}
	for k := 1; k <= len(p)/2; k++ {
		if strings.HasPrefix(strings.Repeat(p[:k], len(p)/k+1), p) {
			return true
		}
	}
	return false
}

// The letters of a generated word lie on the same keys of Belgian and French (AZERTY), German (QWERTZ) and English
// (QWERTY) keyboards, for at a rescue prompt nobody knows which is set: no a, m, q, w, y or z. None is taken for another
// in any of the four languages either, hence no c, h, j, v, x.
const (
	consonants     = "bdfgklnprst"
	vowels         = "eiou"
	generatedWords = 10
	syllables      = len(consonants) * len(vowels) // 44
)

// NewPassphrase draws ten words of two syllables, some 109 bits, from letters that lie on the same keys of Belgian,
// French, German and English keyboards.
func NewPassphrase(rand io.Reader) (string, error) {
	var b strings.Builder
	for i := range generatedWords {
		if i > 0 {
			b.WriteByte(' ')
		}
		for range 2 {
			k, err := draw(rand, syllables)
			if err != nil {
				return "", fmt.Errorf("drawing a passphrase: %w", err)
			}
			b.WriteByte(consonants[k/len(vowels)])
			b.WriteByte(vowels[k%len(vowels)])
		}
	}
	return b.String(), nil
}

// draw returns a number below n, every one as likely as any other: a byte beyond the last whole multiple is drawn anew.
func draw(rand io.Reader, n int) (int, error) {
	var b [1]byte
	for {
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return 0, err
		}
		if limit := 256 - 256%n; int(b[0]) < limit {
			return int(b[0]) % n, nil
		}
	}
}
