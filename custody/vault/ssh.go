package vault

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

// An SSH key that somebody has anyway can open images too, of the classic family: ssh-ed25519, or ssh-rsa from 2048
// bits on. Keys on a token (sk-…) sign and do not decrypt, so they are none.
const (
	sshRSA     = "ssh-rsa"
	sshEd25519 = "ssh-ed25519"
	opensshKey = "-----BEGIN OPENSSH PRIVATE KEY-----"
)

// An sshRecipient remembers its one spelling, so that the same key given twice is not taken for two.
type sshRecipient struct {
	age.Recipient
	text string
}

// String is the public key as in an authorized_keys file, without a comment.
func (r *sshRecipient) String() string { return r.text }

func isSSHRecipient(s string) bool {
	return strings.HasPrefix(s, sshEd25519+" ") || strings.HasPrefix(s, sshRSA+" ")
}

// parseSSHRecipient reads a public key of exactly two words. The third, the comment, is mostly somebody's name and
// machine, and recipients are public.
func parseSSHRecipient(s string) (age.Recipient, error) {
	kind, rest, _ := strings.Cut(s, " ")
	if len(s) > maxIdentityFile || strings.ContainsAny(rest, " \t\r\n") {
		return nil, fmt.Errorf("%w: an SSH key goes without its comment, as two words", ErrForeign)
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(rest)
	if err != nil {
		return nil, fmt.Errorf("%w: not an SSH public key", ErrForeign)
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil || key.Type() != kind || !bytes.Equal(key.Marshal(), blob) {
		return nil, fmt.Errorf("%w: not an SSH public key", ErrForeign)
	}
	var r age.Recipient
	if kind == sshRSA {
		r, err = agessh.NewRSARecipient(key)
	} else {
		r, err = agessh.NewEd25519Recipient(key)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: SSH public key: %w", ErrForeign, err)
	}
	return &sshRecipient{r, s}, nil
}

// sshFingerprint tells an SSH recipient that was not made by ParseRecipient from another, by the tag that it writes
// beside what it wraps.
func sshFingerprint(r age.Recipient) (string, bool) {
	switch r := r.(type) {
	case *agessh.RSARecipient, *agessh.Ed25519Recipient:
		stanzas, err := r.Wrap(make([]byte, 16))
		if err != nil || len(stanzas) != 1 || len(stanzas[0].Args) == 0 {
			return "", false
		}
		return stanzas[0].Type + " " + stanzas[0].Args[0], true
	case *sshRecipient:
		return sshFingerprint(r.Recipient)
	}
	return "", false
}

func isSSHKey(file []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(file, "\r\n\t "), []byte(opensshKey))
}

// sshProtected tells whether an OpenSSH private key needs a passphrase.
func sshProtected(file []byte) bool {
	var missing *ssh.PassphraseMissingError
	_, err := ssh.ParseRawPrivateKey(file)
	return errors.As(err, &missing)
}

// readSSHIdentity reads an OpenSSH private key. What the parser says may hold pieces of the file: it stays here.
func readSSHIdentity(file []byte, passphrase func() (string, error)) (age.Identity, error) {
	key, err := ssh.ParseRawPrivateKey(file)
	if missing := new(ssh.PassphraseMissingError); errors.As(err, &missing) {
		if passphrase == nil {
			return nil, fmt.Errorf("%w: the SSH key needs its passphrase", ErrWrongKey)
		}
		p, perr := passphrase()
		if perr != nil {
			return nil, fmt.Errorf("passphrase: %w", perr)
		}
		if p == "" {
			return nil, fmt.Errorf("%w: empty passphrase", ErrWrongKey)
		}
		key, err = ssh.ParseRawPrivateKeyWithPassphrase(file, []byte(p))
		if errors.Is(err, x509.IncorrectPasswordError) {
			return nil, fmt.Errorf("%w: the SSH key does not open", ErrWrongKey)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: not an OpenSSH private key", ErrForeign)
	}
	var id age.Identity
	switch k := key.(type) {
	case *ed25519.PrivateKey:
		id, err = agessh.NewEd25519Identity(*k)
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return nil, fmt.Errorf("%w: an SSH key of %d bits is too short", ErrForeign, k.N.BitLen())
		}
		id, err = agessh.NewRSAIdentity(k)
	default:
		return nil, fmt.Errorf("%w: only ssh-ed25519 and ssh-rsa keys can open an image", ErrForeign)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: SSH private key", ErrForeign)
	}
	return id, nil
}
