package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// NewIdentity draws a new shop identity of the classic family (X25519), which any age opens.
func NewIdentity() (*age.X25519Identity, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("drawing an identity: %w", err)
	}
	return id, nil
}

// ParseRecipient reads the public half of a shop key: age1…, classic or post-quantum, or an SSH public key of two words
// (ssh-ed25519 AAAA…, ssh-rsa AAAA…). A comment behind an SSH key is refused: it names a person.
func ParseRecipient(s string) (age.Recipient, error) {
	if isSSHRecipient(s) {
		return parseSSHRecipient(s)
	}
	r, err := age.ParseRecipients(strings.NewReader(s))
	if err != nil || len(r) != 1 {
		return nil, fmt.Errorf("%w: not one age recipient", ErrForeign)
	}
	return r[0], nil
}

const (
	maxIdentityFile = 64 << 10
	binaryAge       = "age-encryption.org/v1"
	// workFactor is age's own for a passphrase: about a second, and 256 MiB. A file that asks for more than
	// maxWorkFactor is an attempt to keep the machine busy.
	workFactor    = 18
	maxWorkFactor = 22
)

// IdentityFile renders an identity as age-keygen does: comments with date and recipient, then the secret line. With a
// passphrase, the file is encrypted with it (age's scrypt, armoured), as `age -p -a` does; the policy of
// [CheckPassphrase] applies. An empty passphrase leaves it open.
func IdentityFile(id *age.X25519Identity, created time.Time, passphrase string) ([]byte, error) {
	return identityFile(id, created, passphrase, workFactor)
}

func identityFile(id *age.X25519Identity, created time.Time, passphrase string, factor int) ([]byte, error) {
	text := fmt.Appendf(nil, "# created: %s\n# public key: %s\n%s\n",
		created.UTC().Truncate(time.Second).Format(time.RFC3339), id.Recipient(), id)
	if passphrase == "" {
		return text, nil
	}
	defer clear(text)
	if err := CheckPassphrase(passphrase); err != nil {
		return nil, err
	}
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	r.SetWorkFactor(factor)
	var buf bytes.Buffer
	a := armor.NewWriter(&buf)
	w, err := age.Encrypt(a, r)
	if err != nil {
		return nil, fmt.Errorf("protecting the identity: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("protecting the identity: %w", err)
	}
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		return nil, fmt.Errorf("protecting the identity: %w", err)
	}
	return buf.Bytes(), nil
}

// Protected tells whether an identity file needs a passphrase.
func Protected(file []byte) bool {
	if isSSHKey(file) {
		return len(file) <= maxIdentityFile && sshProtected(file)
	}
	return bytes.HasPrefix(file, []byte(armor.Header)) || bytes.HasPrefix(file, []byte(binaryAge))
}

// ReadIdentities reads an identity file, age's or an OpenSSH private key, open or protected by a passphrase. passphrase is
// asked only when it is needed, once, and may be nil. A wrong passphrase is [ErrWrongKey]; anything that is no identity file is [ErrForeign].
func ReadIdentities(r io.Reader, passphrase func() (string, error)) ([]age.Identity, error) {
	file, err := io.ReadAll(io.LimitReader(r, maxIdentityFile+1))
	defer clear(file)
	if err != nil {
		return nil, fmt.Errorf("reading the identity file: %w", err)
	}
	if len(file) > maxIdentityFile {
		return nil, fmt.Errorf("%w: an identity file of more than %d bytes", ErrForeign, maxIdentityFile)
	}
	if isSSHKey(file) {
		id, err := readSSHIdentity(file, passphrase)
		if err != nil {
			return nil, err
		}
		return []age.Identity{id}, nil
	}
	text := file
	if Protected(file) {
		if passphrase == nil {
			return nil, fmt.Errorf("%w: the identity file needs its passphrase", ErrWrongKey)
		}
		if text, err = unprotect(file, passphrase); err != nil {
			return nil, err
		}
		defer clear(text)
	}
	ids, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		// What age says may repeat a line of the file: it stays here.
		return nil, fmt.Errorf("%w: not an age identity file", ErrForeign)
	}
	return ids, nil
}

func unprotect(file []byte, passphrase func() (string, error)) ([]byte, error) {
	p, err := passphrase()
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	id, err := age.NewScryptIdentity(p)
	if err != nil {
		return nil, fmt.Errorf("%w: empty passphrase", ErrWrongKey)
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	var in io.Reader = bytes.NewReader(file)
	if bytes.HasPrefix(file, []byte(armor.Header)) {
		in = armor.NewReader(in)
	}
	out, err := age.Decrypt(in, id)
	if err != nil {
		if nomatch := new(age.NoIdentityMatchError); errors.As(err, &nomatch) {
			return nil, fmt.Errorf("%w: the identity file does not open", ErrWrongKey)
		}
		return nil, fmt.Errorf("%w: protected identity file: %w", ErrForeign, err)
	}
	text, err := io.ReadAll(io.LimitReader(out, maxIdentityFile))
	if err != nil {
		return nil, fmt.Errorf("%w: protected identity file: %w", ErrForeign, err)
	}
	return text, nil
}
