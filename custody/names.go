package custody

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrName is the error behind every identifier that does not have its pattern.
// The rejected text is never part of the message: somebody may have typed a
// customer's name where an identifier belongs.
var ErrName = errors.New("malformed name")

// The patterns below are narrow on purpose: an identifier is public and stays
// for ever, so it must not be able to hold a sentence.

const (
	lower = "abcdefghijklmnopqrstuvwxyz"
	upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digit = "0123456789"
	// crockford is the alphabet of a ULID, in lower case.
	crockford = digit + "abcdefghjkmnpqrstvwxyz"
)

// shaped reports whether s has at least one and at most most characters, the
// first of them out of first and all others out of rest.
func shaped(s, first, rest string, most int) bool {
	return s != "" && len(s) <= most && strings.IndexByte(first, s[0]) >= 0 && only(s[1:], rest)
}

// only reports whether every byte of s is in set.
func only(s, set string) bool {
	for i := range len(s) {
		if strings.IndexByte(set, s[i]) < 0 {
			return false
		}
	}
	return true
}

func isStation(s string) bool { return shaped(s, upper, upper+digit, 8) }
func isLabel(s string) bool   { return shaped(s, lower+"_", lower+digit+"_.-", 32) }
func isID(s string) bool      { return shaped(s, lower+upper+digit, lower+upper+digit+"_.-", 64) }
func isShop(s string) bool    { return len(s) == 26 && shaped(s, "01234567", crockford, 26) }
func isItem(s string) bool    { return shaped(s, "123456789", digit, 4) }

func isOp(s string) bool {
	id, ok := strings.CutPrefix(s, "op-")
	return ok && len(id) >= 4 && len(id) <= 26 && only(id, lower+digit)
}

func isImage(s string) bool {
	n, ok := strings.CutPrefix(s, "image-")
	return ok && len(n) >= 2 && len(n) <= 6 && only(n, digit)
}

// CheckStation checks a station's name: a capital and up to seven capitals or
// digits, such as "T1" or "NAS".
func CheckStation(s string) error { return checkName("station", isStation(s)) }

// CheckLabel checks the label of a vault or key, and the login of an operator:
// up to 32 of a-z, 0-9, "_", "." and "-", beginning with a letter or "_".
func CheckLabel(s string) error { return checkName("label", isLabel(s)) }

// CheckOperator checks an operator's id, such as "op-7f3a". It is an opaque
// number: the login and the name behind it are private.
func CheckOperator(s string) error { return checkName("operator id", isOp(s)) }

// CheckShop checks a shop's id: a ULID in lower case.
func CheckShop(s string) error { return checkName("shop id", isShop(s)) }

// CheckImage checks an image's name within its case, such as "image-01".
func CheckImage(s string) error { return checkName("image", isImage(s)) }

// CheckID checks an opaque identifier (of a key, vault, hold, job or attest).
func CheckID(s string) error { return checkName("id", isID(s)) }

func checkName(what string, ok bool) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%s: %w", what, ErrName)
}

// A CaseNo is the number of a case: station, year and sequence, such as
// "T1-2026-0042". It is opaque to the customer's identity and may be printed
// on a label and used as a directory name.
type CaseNo string

// maxCaseSequence keeps a sequence well inside an int on every machine.
const maxCaseSequence = 999_999_999

// ParseCaseNo reads a case number strictly: four digits of year, a sequence
// from 1 of at least four digits, no more leading zeros than those four need,
// so that every number has one spelling. It returns [ErrName] otherwise.
func ParseCaseNo(s string) (CaseNo, error) {
	station, rest, _ := strings.Cut(s, "-")
	year, seq, ok := strings.Cut(rest, "-")
	if !ok || !isStation(station) || len(year) != 4 || !only(year, digit) || len(seq) < 4 || len(seq) > 9 || !only(seq, digit) {
		return "", fmt.Errorf("case number: %w", ErrName)
	}
	if len(seq) > 4 && seq[0] == '0' || seq == "0000" {
		return "", fmt.Errorf("case number: %w", ErrName)
	}
	return CaseNo(s), nil
}

// NewCaseNo makes the number of a station's n-th case of a year. The year is
// 0 to 9999, n counts from 1.
func NewCaseNo(station string, year, n int) (CaseNo, error) {
	if year < 0 || year > 9999 || n < 1 || n > maxCaseSequence {
		return "", fmt.Errorf("case number: %w", ErrName)
	}
	return ParseCaseNo(fmt.Sprintf("%s-%04d-%04d", station, year, n))
}

// Station returns the name of the station that opened the case.
func (no CaseNo) Station() string {
	station, _, _ := strings.Cut(string(no), "-")
	return station
}

// Year returns the year in the number, or 0 when the number is malformed.
func (no CaseNo) Year() int {
	_, rest, _ := strings.Cut(string(no), "-")
	year, _, _ := strings.Cut(rest, "-")
	n, _ := strconv.Atoi(year)
	return n
}

// Sequence returns the running number within station and year, or 0 when the
// number is malformed.
func (no CaseNo) Sequence() int {
	_, rest, _ := strings.Cut(string(no), "-")
	_, seq, _ := strings.Cut(rest, "-")
	n, _ := strconv.Atoi(seq)
	return n
}
