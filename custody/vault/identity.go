package vault

import (
	"io"
	"time"

	"filippo.io/age"
)

// NewIdentity draws a new shop identity of the classic family (X25519), which any age opens.
func NewIdentity() (*age.X25519Identity, error) { return age.GenerateX25519Identity() }

// ParseRecipient reads the public half of a shop key (age1…, classic or post-quantum).
func ParseRecipient(s string) (age.Recipient, error) { return nil, errNotYet }

// IdentityFile renders an identity as age-keygen does: comments with date and recipient, then the secret line. With a
// passphrase, the file is encrypted with it (age's scrypt, armoured), as `age -p` does; the policy of
// [CheckPassphrase] applies. An empty passphrase leaves it open.
func IdentityFile(id *age.X25519Identity, created time.Time, passphrase string) ([]byte, error) {
	return nil, errNotYet
}

// Protected tells whether an identity file needs a passphrase.
func Protected(file []byte) bool { return false }

// ReadIdentities reads an identity file, open or protected by a passphrase. passphrase is asked only when it is needed
// and may be nil. A wrong passphrase is [ErrWrongKey]; anything that is no identity file is [ErrForeign].
func ReadIdentities(r io.Reader, passphrase func() (string, error)) ([]age.Identity, error) {
	return nil, errNotYet
}
