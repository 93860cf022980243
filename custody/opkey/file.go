package opkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/sys/unix"
)

// UnlockedFor is how long a key stays unlocked.
const UnlockedFor = 5 * time.Minute

// maxFile is the largest private key file that is read, in bytes.
const maxFile = 64 << 10

var (
	// ErrExposed is returned for a key file that others may read, or that is no
	// plain file.
	ErrExposed = errors.New("the key file must be a plain file of mode 0600")
	// ErrNoPassphrase is returned for a key file without a passphrase.
	ErrNoPassphrase = errors.New("the key file has no passphrase")
	// ErrPassphrase is returned for a wrong passphrase.
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrOtherKey is returned for a key file that holds another key than the one
	// that is registered.
	ErrOtherKey = errors.New("the file holds another key")
)

// ReadPublic returns the public key of a private OpenSSH key file under a
// passphrase, which it does not need for that.
func ReadPublic(path string) (ssh.PublicKey, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return locked(text)
}

// locked returns the public key beside an encrypted private one.
func locked(text []byte) (ssh.PublicKey, error) {
	key, err := ssh.ParseRawPrivateKey(text)
	var missing *ssh.PassphraseMissingError
	switch {
	case err == nil:
		wipe(key)
		return nil, ErrNoPassphrase
	case !errors.As(err, &missing):
		return nil, fmt.Errorf("%w: no private key of OpenSSH", ErrKey)
	case missing.PublicKey == nil:
		return nil, fmt.Errorf("%w: an old key format; ssh-keygen -p -f FILE renews it", ErrKey)
	}
	return missing.PublicKey, nil
}

// A File signs with a private key in a file under a passphrase. The key is
// unlocked when it is first needed and forgotten five minutes later; a use
// after that asks again. It is safe for use by several goroutines.
type File struct {
	*Key
	path string
	ask  func() ([]byte, error)
	now  func() time.Time

	mu     sync.Mutex
	secret crypto.PrivateKey // nil while it is locked
	since  time.Time         // when it was unlocked
}

// NewFile returns a signer for a key whose private half is in a file. ask
// brings the passphrase, which is wiped after use.
func NewFile(k *Key, path string, ask func() ([]byte, error), now func() time.Time) *File {
	return &File{Key: k, path: path, ask: ask, now: now}
}

// Sign signs a message, asking for the passphrase when the key is locked.
func (f *File) Sign(msg []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	secret, err := f.unlock()
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(secret)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", f.ID(), err)
	}
	with, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, fmt.Errorf("key %s: %w: it signs in one way only", f.ID(), ErrKey)
	}
	sig, err := with.SignWithAlgorithm(rand.Reader, signed(msg), f.way)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", f.ID(), err)
	}
	return f.pack(msg, sig)
}

// Share unlocks the key if need be and gives it to a running agent for five
// minutes, so that the commands that follow need not ask. The key in this
// program is wiped.
func (f *File) Share(a *Agent) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	secret, err := f.unlock()
	if err != nil {
		return err
	}
	defer f.lock()
	err = a.agent.Add(agent.AddedKey{PrivateKey: secret, Comment: "salvor", LifetimeSecs: uint32(UnlockedFor / time.Second)})
	if err != nil {
		return fmt.Errorf("%w: it does not take the key: %w", ErrRefused, err)
	}
	return nil
}

// Lock forgets the unlocked key.
func (f *File) Lock() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lock()
}

func (f *File) lock() {
	wipe(f.secret)
	f.secret = nil
}

// unlock returns the private key. A clock that went back locks as well.
func (f *File) unlock() (crypto.PrivateKey, error) {
	now := f.now()
	if f.secret != nil {
		if age := now.Sub(f.since); age >= 0 && age < UnlockedFor {
			return f.secret, nil
		}
		f.lock()
	}
	text, err := readKeyFile(f.path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	public, err := locked(text)
	if err != nil {
		return nil, err
	}
	if !f.Is(public) {
		return nil, fmt.Errorf("key %s: %w", f.ID(), ErrOtherKey)
	}
	passphrase, err := f.ask()
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	defer clear(passphrase)
	secret, err := ssh.ParseRawPrivateKeyWithPassphrase(text, passphrase)
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, fmt.Errorf("key %s: %w", f.ID(), ErrPassphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w: no private key of OpenSSH", f.ID(), ErrKey)
	}
	// The time it took to type counts as well.
	f.secret, f.since = secret, now
	return secret, nil
}

// readKeyFile reads a private key file that nobody else can read.
func readKeyFile(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() > maxFile {
		return nil, ErrExposed
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return text, nil
}

// wipe overwrites a private key as far as it can be reached. What the standard
// library has derived from it, and copies that the garbage collector made, stay
// until their memory is used again or the program ends.
func wipe(secret crypto.PrivateKey) {
	switch k := secret.(type) {
	case *ed25519.PrivateKey:
		clear(*k)
	case ed25519.PrivateKey:
		clear(k)
	case *rsa.PrivateKey:
		wipeInt(k.D)
		for _, p := range k.Primes {
			wipeInt(p)
		}
		wipeInt(k.Precomputed.Dp)
		wipeInt(k.Precomputed.Dq)
		wipeInt(k.Precomputed.Qinv)
	case *ecdsa.PrivateKey:
		wipeInt(k.D) //nolint:staticcheck // not to compute with: to overwrite it
	}
}

func wipeInt(n *big.Int) {
	if n != nil {
		clear(n.Bits())
		n.SetInt64(0)
	}
}
