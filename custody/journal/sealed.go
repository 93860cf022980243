package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"

	"salvor/custody"
)

// A private part is sealed to everybody in the shop who may read it: the
// stations, and the shop's keys, with which it is read when every station is
// lost. It is padded, so that its size tells next to nothing.

const (
	// minPlain is the smallest plaintext; a larger one is padded to a power of two.
	minPlain = 512
	// maxSealed is far above the largest private part with a hundred recipients.
	maxSealed = 256 << 10
)

// Recipients are those to whom private parts are sealed.
type Recipients struct {
	list []age.Recipient
	set  string
}

// Set names the set of recipients, in eight characters. It stands in the name
// of a sealed part, so that every station sees whether the part is sealed to all
// whom it knows.
func (r Recipients) Set() string { return r.set }

// Age returns the recipients as age takes them.
func (r Recipients) Age() []age.Recipient { return slices.Clone(r.list) }

// NewRecipients reads recipients as station.enrolled and key.added hold them,
// in any order. It returns custody.ErrPayload for one that cannot be read.
func NewRecipients(texts []string) (Recipients, error) {
	texts = slices.Clone(texts)
	slices.Sort(texts)
	texts = slices.Compact(texts)
	var r Recipients
	for _, text := range texts {
		one, err := parseRecipient(text)
		if err != nil {
			return Recipients{}, fmt.Errorf("recipient: %w", custody.ErrPayload)
		}
		// age refuses to mix post-quantum keys with others, because the file is
		// then as weak as the weakest. That is so here, and cannot be otherwise:
		// every station reads with a classic key.
		r.list = append(r.list, unlabelled{one})
	}
	sum := sha256.Sum256([]byte(strings.Join(texts, "\n")))
	r.set = hex.EncodeToString(sum[:4])
	return r, nil
}

type unlabelled struct{ r age.Recipient }

func (u unlabelled) Wrap(key []byte) ([]*age.Stanza, error) { return u.r.Wrap(key) }

func parseRecipient(text string) (age.Recipient, error) {
	if strings.HasPrefix(text, "ssh-") {
		return agessh.ParseRecipient(text)
	}
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(list) != 1 {
		return nil, errors.Join(ErrMalformed, err)
	}
	return list[0], nil
}

func checkSeal(text string) error {
	_, err := age.ParseX25519Recipient(text)
	return err
}

// A Private is a private part with the nonce that binds it to its event.
type Private struct {
	Nonce [custody.NonceSize]byte
	Text  []byte // canonical JSON
}

// Seal encrypts a private part to all recipients.
func Seal(p Private, to Recipients) ([]byte, error) {
	size := minPlain
	for size < len(p.Nonce)+len(p.Text) {
		size *= 2
	}
	plain := make([]byte, size)
	copy(plain[copy(plain, p.Nonce[:]):], p.Text)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to.list...)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if b.Len() > maxSealed {
		return nil, fmt.Errorf("seal: %w", ErrTooLarge)
	}
	return b.Bytes(), nil
}

// Unseal opens a sealed private part and checks it against the commitment in
// its event. It returns [ErrSealed] when no identity opens it, and
// custody.ErrPrivate when it is not the event's.
func Unseal(sealed []byte, commit custody.Hash, identities ...age.Identity) (Private, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), identities...)
	if err != nil {
		return Private{}, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxSealed))
	if err != nil {
		return Private{}, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	if len(plain) < minPlain {
		return Private{}, custody.ErrPrivate
	}
	p := Private{Nonce: [custody.NonceSize]byte(plain), Text: bytes.TrimRight(plain[custody.NonceSize:], "\x00")}
	if custody.Commit(p.Nonce, p.Text) != commit {
		return Private{}, custody.ErrPrivate
	}
	return p, nil
}
