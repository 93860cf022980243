package journal

import (
	"errors"
	"fmt"
)

// Why a file of a journal is not believed. A [Refusal] names the file.
var (
	// ErrTooLarge: larger than anything that belongs there.
	ErrTooLarge = errors.New("larger than it may be")
	// ErrMalformed: cut short, or not what its name says.
	ErrMalformed = errors.New("cut short or malformed")
	// ErrForeign: not signed by the station whose directory it lies in.
	ErrForeign = errors.New("not signed by its station")
	// ErrName: the name has no pattern that belongs there.
	ErrName = errors.New("a name that does not belong here")
	// ErrRenamed: the content belongs under another name.
	ErrRenamed = errors.New("renamed: the content belongs elsewhere")
	// ErrHostile: not a plain file with one name, or not a directory.
	ErrHostile = errors.New("not a plain file or directory")
	// ErrWrongShop: the journal is of another shop.
	ErrWrongShop = errors.New("of another shop")
	// ErrNoShop: there is no journal here yet.
	ErrNoShop = errors.New("no journal here yet")
	// ErrSealed: a private part that none of the identities opens.
	ErrSealed = errors.New("sealed to others, or damaged")
)

// A Refusal names a file of a journal that was not believed, and why. The
// reason is one of the errors of this package or of package ledger.
type Refusal struct {
	Vault   string // id
	Station string // "" for a file of no station
	File    string // below .salvor
	Why     error
}

// Error names vault, file and reason.
func (r Refusal) Error() string {
	return fmt.Sprintf("journal of vault %s: %s: %v", r.Vault, r.File, r.Why)
}

// Unwrap returns the reason.
func (r Refusal) Unwrap() error { return r.Why }
