package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"filippo.io/age"
)

// A session is one run of the program: a secret of its own, known to the process that writes and to whoever opens its
// key file. Nothing of an earlier session is needed to begin another.
type session struct {
	uuid   [16]byte
	id     [16]byte
	secret [32]byte
}

func newSession(uuid [16]byte, rand io.Reader) (*session, error) {
	s := &session{uuid: uuid}
	if _, err := io.ReadFull(rand, s.id[:]); err != nil {
		return nil, fmt.Errorf("drawing a session id: %w", err)
	}
	if _, err := io.ReadFull(rand, s.secret[:]); err != nil {
		return nil, fmt.Errorf("drawing a session secret: %w", err)
	}
	return s, nil
}

func (s *session) derive(info string) []byte {
	salt := append(append(make([]byte, 0, 32), s.uuid[:]...), s.id[:]...)
	key, err := hkdf.Key(sha256.New, s.secret[:], salt, info, 32)
	if err != nil {
		panic("vault: HKDF-SHA-256 refuses 32 bytes: " + err.Error()) // only with a FIPS policy that forbids its own algorithms
	}
	return key
}

// commitment tells the right secret from any other before anything is decrypted. AES-GCM alone would not: one
// ciphertext can be made to open under two keys.
func (s *session) commitment() [32]byte { return [32]byte(s.derive("salvor/1 commitment")) }

func (s *session) commits(commitment [32]byte) bool {
	own := s.commitment()
	return subtle.ConstantTimeCompare(own[:], commitment[:]) == 1
}

// segmentKey is the AEAD of one segment, with a fresh random nonce for every record.
func (s *session) segmentKey(segment int) *recordCipher {
	info := le.AppendUint32([]byte("salvor/1 segment "), uint32(segment))
	key := s.derive(string(info))
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("vault: AES refuses a 256-bit key: " + err.Error()) // cannot happen: the length is fixed
	}
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("vault: GCM refuses AES: " + err.Error()) // cannot happen: the block size is 16
	}
	opener, err := cipher.NewGCM(block)
	if err != nil {
		panic("vault: GCM refuses AES: " + err.Error()) // cannot happen: the block size is 16
	}
	c := &recordCipher{sealer: sealer, opener: opener}
	c.prefix = append(c.prefix, "salvor/1 record\x00"...)
	c.prefix = append(c.prefix, s.uuid[:]...)
	c.prefix = append(c.prefix, s.id[:]...)
	c.prefix = le.AppendUint32(c.prefix, uint32(segment))
	return c
}

// forget overwrites the secret, as far as a garbage-collected language lets it.
func (s *session) forget() { clear(s.secret[:]) }

// A recordCipher seals and opens the records of one segment. It is safe for several goroutines.
type recordCipher struct {
	sealer cipher.AEAD // draws the nonce and puts it in front
	opener cipher.AEAD // the same without a nonce of its own, for it opens in place without moving the text
	prefix []byte      // of the additional data: everything but the header
}

func (c *recordCipher) additional(header []byte, buf *[96]byte) []byte {
	return append(append(buf[:0], c.prefix...), header[:authSize]...)
}

// seal writes nonce, ciphertext and tag of plain behind the header, which has to be in place in b[:headerSize].
func (c *recordCipher) seal(b, plain []byte) (payload []byte) {
	var buf [96]byte
	return c.sealer.Seal(b[headerSize:headerSize], nil, plain, c.additional(b, &buf))
}

// open decrypts a payload in place.
func (c *recordCipher) open(header, payload []byte) ([]byte, error) {
	var buf [96]byte
	text := payload[nonceSize:]
	return c.opener.Open(text[:0], payload[:nonceSize], text, c.additional(header, &buf))
}

// The plaintext of a key file is text, so that `age -d` shows a person what it is, and long enough that erasing it by
// overwriting reaches real blocks even where small files live in the inode.
const (
	keyTextSize = 4096
	keyTextHead = "salvor/1 session secret\n"
	maxKeyFile  = 64 << 10
	maxKeyFiles = 9999
)

func (s *session) marshalKey() []byte {
	b := make([]byte, 0, keyTextSize)
	b = append(b, keyTextHead...)
	b = fmt.Appendf(b, "image %x\nsession %x\nsecret ", s.uuid, s.id)
	b = base64.StdEncoding.AppendEncode(b, s.secret[:])
	for len(b) < keyTextSize {
		b = append(b, '\n')
	}
	return b
}

var errKeyText = errors.New("not the text of a key file")

// parseKey is the inverse of marshalKey and accepts nothing else. The errors say nothing of the content.
func parseKey(b []byte) (*session, error) {
	rest, ok := bytes.CutPrefix(b, []byte(keyTextHead))
	if !ok || len(b) != keyTextSize {
		return nil, errKeyText
	}
	s := new(session)
	field := func(name string, decode func(dst, src []byte) (int, error), dst []byte, width int) bool {
		rest, ok = bytes.CutPrefix(rest, []byte(name+" "))
		if !ok || len(rest) < width+1 || rest[width] != '\n' {
			return false
		}
		n, err := decode(dst, rest[:width])
		rest = rest[width+1:]
		return err == nil && n == len(dst)
	}
	secret := make([]byte, base64.StdEncoding.DecodedLen(44))
	defer clear(secret)
	decode := func(dst, src []byte) (int, error) {
		n, err := base64.StdEncoding.Strict().Decode(secret, src)
		copy(dst, secret[:n])
		return n, err
	}
	if !field("image", hex.Decode, s.uuid[:], 32) || !field("session", hex.Decode, s.id[:], 32) ||
		!field("secret", decode, s.secret[:], 44) {
		return nil, errKeyText
	}
	if text := s.marshalKey(); !bytes.Equal(text, b) {
		return nil, errKeyText
	}
	return s, nil
}

// wrap encrypts a session's secret to the recipients, as a plain binary age file.
func (s *session) wrap(recipients []age.Recipient) ([]byte, error) {
	var buf bytes.Buffer
	text := s.marshalKey()
	defer clear(text)
	w, err := age.Encrypt(&buf, recipients...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecipients, err)
	}
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("wrapping the session secret: %w", err)
	}
	// Closing writes the last chunk: the buffer is whole only now.
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("wrapping the session secret: %w", err)
	}
	return buf.Bytes(), nil
}

// checkRecipients wants two different recipients, so that losing one identity does not lose the data. A passphrase
// can be none of them: age would refuse it, and it protects an identity file instead.
func checkRecipients(recipients []age.Recipient) error {
	seen := make(map[string]bool)
	for _, r := range recipients {
		if _, ok := r.(*age.ScryptRecipient); ok {
			return fmt.Errorf("%w: a passphrase protects an identity file, it is no recipient", ErrRecipients)
		}
		name := fmt.Sprintf("%T %p", r, r)
		if tag, ok := sshFingerprint(r); ok {
			name = tag
		} else if s, ok := r.(fmt.Stringer); ok {
			name = s.String()
		}
		seen[name] = true
	}
	if len(seen) < 2 {
		return fmt.Errorf("%w: got %d", ErrRecipients, len(seen))
	}
	return nil
}

// writeKey makes the key file of a session under the next free number from number on, durable and read back byte for
// byte.
func writeKey(keys Store, ref ImageRef, s *session, recipients []age.Recipient, number int) (KeyFile, bool, error) {
	wrapped, err := s.wrap(recipients)
	if err != nil {
		return KeyFile{}, false, err
	}
	entries, err := keys.List(ref.KeyDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return KeyFile{}, false, fmt.Errorf("listing the key files of %s: %w", ref, err)
	}
	for _, e := range entries {
		if n, ok := keyNumber(e.Name); ok && n >= number {
			number = n + 1
		}
	}
	if number > maxKeyFiles {
		return KeyFile{}, false, fmt.Errorf("%s: %w: more than %d key files", ref, ErrRange, maxKeyFiles)
	}
	name := path.Join(ref.KeyDir(), keyName(number))
	noFlush, err := writeDurably(keys, name, wrapped)
	if err != nil {
		return KeyFile{}, false, fmt.Errorf("key file %s: %w", name, err)
	}
	return KeyFile{
		Session: number, ID: s.id, File: name,
		SHA256: sha256.Sum256(wrapped), Recipients: len(recipients),
	}, noFlush, nil
}

// CopyKey makes a copy of a key file in another keystore, under the same name, durable
// and read back byte for byte. A copy that is there already is left as it is; anything
// else under that name is fs.ErrExist.
func CopyKey(from, to Store, k KeyFile) error {
	content, err := readSmall(from, k.File)
	if err != nil {
		return fmt.Errorf("key file %s: %w", k.File, err)
	}
	if sha256.Sum256(content) != k.SHA256 {
		return fmt.Errorf("key file %s: %w: not as it was written", k.File, ErrKeyFile)
	}
	if there, err := readSmall(to, k.File); err == nil && bytes.Equal(there, content) {
		return nil
	}
	if _, err := writeDurably(to, k.File, content); err != nil {
		return fmt.Errorf("copy of key file %s: %w", k.File, err)
	}
	return nil
}

// SumKey is the SHA-256 of a key file, without opening it.
func SumKey(st Store, name string) ([32]byte, error) {
	b, err := readSmall(st, name)
	return sha256.Sum256(b), err
}

func readSmall(st Store, name string) ([]byte, error) {
	f, err := st.Open(name)
	if err != nil {
		return nil, err
	}
	defer leave(f)
	b := make([]byte, maxKeyFile+1)
	n, err := readFull(f, b, 0)
	if err == nil && n > maxKeyFile {
		err = fmt.Errorf("%w: longer than %d bytes", ErrRange, maxKeyFile)
	}
	return b[:n], err
}

// readKey opens one key file with the identities.
func readKey(keys Store, name string, ids []age.Identity) (*session, error) {
	f, err := keys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, name, err)
	}
	defer leave(f)
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, name, err)
	}
	if size > maxKeyFile {
		return nil, fmt.Errorf("%w: %s: %d bytes", ErrKeyFile, name, size)
	}
	r, err := age.Decrypt(io.NewSectionReader(f, 0, size), ids...)
	if err != nil {
		if nomatch := new(age.NoIdentityMatchError); errors.As(err, &nomatch) {
			return nil, fmt.Errorf("%w: %s", ErrWrongKey, name)
		}
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, name, err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxKeyFile))
	defer clear(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, name, err)
	}
	s, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, name, err)
	}
	return s, nil
}
