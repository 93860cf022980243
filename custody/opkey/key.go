package opkey

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
)

// ErrKey is returned for a key that is not an operator's, or not of a kind that
// may sign.
var ErrKey = errors.New("no key of an operator")

const (
	namePrefix = "salvor-op/"
	// algorithm is the type of signature that has no number of its own in the
	// list of C2SP signed-note; what kind it is stands behind it.
	algorithm  = 0xff
	minRSABits = 2048
	maxKeyText = 4096 // as in an event
)

// Name returns the name under which an operator signs.
func Name(shop, op string) (string, error) {
	if err := errors.Join(custody.CheckShop(shop), custody.CheckOperator(op)); err != nil {
		return "", fmt.Errorf("signing name: %w", err)
	}
	return namePrefix + shop + "/" + op, nil
}

// A Key is the public half of an operator's signing key. It verifies notes, and
// does not change.
type Key struct {
	name   string
	hash   uint32
	public ssh.PublicKey
	way    string // of signing: the format in the signature
}

var _ note.Verifier = (*Key)(nil)

// New returns the key of an operator of a shop. It returns [ErrKey] for a key
// of a kind that may not sign: a certificate, DSA, RSA below 2048 bits.
func New(shop, op string, public ssh.PublicKey) (*Key, error) {
	name, err := Name(shop, op)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return newKey(name, public)
}

func newKey(name string, public ssh.PublicKey) (*Key, error) {
	way, err := wayOf(public)
	if err != nil {
		return nil, err
	}
	k := &Key{name: name, public: public, way: way}
	sum := sha256.New()
	sum.Write([]byte(name + "\n"))
	sum.Write(k.material())
	k.hash = binary.BigEndian.Uint32(sum.Sum(nil))
	return k, nil
}

// wayOf returns the one way in which a key may sign.
func wayOf(public ssh.PublicKey) (string, error) {
	switch t := public.Type(); t {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return t, nil
	case ssh.KeyAlgoRSA:
		crypto, ok := public.(ssh.CryptoPublicKey)
		if !ok {
			return "", fmt.Errorf("%w: RSA key of an unknown make", ErrKey)
		}
		if key, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); !ok || key.N.BitLen() < minRSABits {
			return "", fmt.Errorf("%w: RSA below %d bits", ErrKey, minRSABits)
		}
		return ssh.KeyAlgoRSASHA512, nil
	}
	return "", fmt.Errorf("%w: a kind that does not sign", ErrKey)
}

// material is what the key hash is over and what the text of a key holds.
type material struct {
	Namespace, Hash, Way string
	Key                  []byte
}

func (k *Key) material() []byte {
	return append([]byte{algorithm}, ssh.Marshal(material{namespace, hashName, k.way, k.public.Marshal()})...)
}

// Parse reads the text of a key as [Key.String] writes it, and nothing else.
func Parse(text string) (*Key, error) {
	name, rest, _ := strings.Cut(text, "+")
	hash, body, ok := strings.Cut(rest, "+")
	if !ok || len(text) > maxKeyText {
		return nil, fmt.Errorf("%w: malformed text", ErrKey)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(body)
	if err != nil || len(raw) < 1 || raw[0] != algorithm {
		return nil, fmt.Errorf("%w: malformed text", ErrKey)
	}
	var m material
	if err := ssh.Unmarshal(raw[1:], &m); err != nil {
		return nil, fmt.Errorf("%w: malformed text", ErrKey)
	}
	public, err := ssh.ParsePublicKey(m.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: no SSH key in it", ErrKey)
	}
	shop, op, _ := strings.Cut(strings.TrimPrefix(name, namePrefix), "/")
	k, err := New(shop, op, public)
	if err != nil {
		return nil, err
	}
	if k.String() != text || hash != k.hashText() {
		return nil, fmt.Errorf("%w: not in its one spelling", ErrKey)
	}
	return k, nil
}

// String returns the text of the key, for operator.key_added.
func (k *Key) String() string {
	return k.name + "+" + k.hashText() + "+" + base64.StdEncoding.EncodeToString(k.material())
}

func (k *Key) hashText() string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, k.hash))
}

// ID returns a short id for the key, the same for the same text.
func (k *Key) ID() string {
	sum := sha256.Sum256([]byte(k.String()))
	return "k-" + hex.EncodeToString(sum[:6])
}

// Name returns the name under which the operator signs.
func (k *Key) Name() string { return k.name }

// KeyHash returns the hash that signatures carry.
func (k *Key) KeyHash() uint32 { return k.hash }

// Public returns the SSH key.
func (k *Key) Public() ssh.PublicKey { return k.public }

// Token reports whether the key is in a FIDO token.
func (k *Key) Token() bool { return isToken(k.way) }

func isToken(way string) bool { return way == ssh.KeyAlgoSKED25519 || way == ssh.KeyAlgoSKECDSA256 }

// Kind returns what to register the key as, given whether it is read from a
// file.
func (k *Key) Kind(file bool) custody.KeyKind {
	switch {
	case k.Token():
		return custody.KeyToken
	case file:
		return custody.KeyFile
	}
	return custody.KeyAgent
}

// Is reports whether an SSH key is this one.
func (k *Key) Is(public ssh.PublicKey) bool { return bytes.Equal(k.public.Marshal(), public.Marshal()) }
