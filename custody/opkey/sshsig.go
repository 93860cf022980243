package opkey

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// ErrSignature is returned when what came back from an agent, a token or a key
// is not a good signature.
var ErrSignature = errors.New("no good signature came back")

const (
	magic     = "SSHSIG"
	version   = 1
	namespace = "salvor-event"
	hashName  = "sha512"
	// userPresent is set in a token's flags when somebody touched it.
	userPresent = 1
	// tokenRest is what a token adds to a signature: flags and a counter.
	tokenRest = 1 + 4
)

// toSign is what a key signs, behind the magic.
type toSign struct {
	Namespace, Reserved, HashName string
	Hash                          []byte
}

// signed returns the bytes that a key signs for a message.
func signed(msg []byte) []byte {
	sum := sha512.Sum512(msg)
	return append([]byte(magic), ssh.Marshal(toSign{namespace, "", hashName, sum[:]})...)
}

// blob is an SSHSIG, behind the magic.
type blob struct {
	Version                       uint32
	Key                           []byte
	Namespace, Reserved, HashName string
	Signature                     []byte
}

// pack makes the SSHSIG of a signature, after checking it.
func (k *Key) pack(msg []byte, sig *ssh.Signature) ([]byte, error) {
	raw := append([]byte(magic), ssh.Marshal(blob{version, k.public.Marshal(), namespace, "", hashName, ssh.Marshal(*sig)})...)
	if !k.Verify(msg, raw) {
		return nil, fmt.Errorf("sign as %s: %w", k.name, ErrSignature)
	}
	return raw, nil
}

// Verify reports whether sig is an SSHSIG of this key over msg, in its one
// spelling. A token's signature counts only when the token was touched.
func (k *Key) Verify(msg, sig []byte) bool {
	rest, ok := bytes.CutPrefix(sig, []byte(magic))
	if !ok {
		return false
	}
	var b blob
	if ssh.Unmarshal(rest, &b) != nil || !bytes.Equal(ssh.Marshal(b), rest) {
		return false
	}
	if b.Version != version || b.Namespace != namespace || b.Reserved != "" || b.HashName != hashName || !bytes.Equal(b.Key, k.public.Marshal()) {
		return false
	}
	var s ssh.Signature
	if ssh.Unmarshal(b.Signature, &s) != nil || !bytes.Equal(ssh.Marshal(s), b.Signature) || s.Format != k.way {
		return false
	}
	if k.Token() {
		if len(s.Rest) != tokenRest || s.Rest[0]&userPresent == 0 {
			return false
		}
	} else if len(s.Rest) != 0 {
		return false
	}
	return k.public.Verify(signed(msg), &s) == nil
}
