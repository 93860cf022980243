package vault

import "io"

// MinPassphrase is the least number of characters of a passphrase that somebody made up.
const MinPassphrase = 15

// CheckPassphrase applies the policy for typed passphrases: at least [MinPassphrase] characters, not one everybody tries
// first, no mere repetition or sequence. It returns an [ErrPassphrase] that says why, and never the passphrase.
func CheckPassphrase(p string) error { return errNotYet }

// NewPassphrase draws ten words, some 111 bits, from letters that lie on the same keys of Belgian, French, German and
// English keyboards.
func NewPassphrase(rand io.Reader) (string, error) { return "", errNotYet }
