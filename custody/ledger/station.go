package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
)

// A Station is the identity of one machine: an Ed25519 key that signs its
// events and an X25519 key (age) to which private parts are sealed for it. The
// zero Station signs nothing.
type Station struct {
	shop, name string
	signKey    string
	signer     note.Signer
	verifier   note.Verifier
	verifyKey  string
	identity   *age.X25519Identity
}

// stationHeader is the first line of a station key file.
const stationHeader = "salvor/1 station key"

// NewStation makes the keys of a new station. The signing key comes from rand;
// the sealing key from the system's randomness, as age makes it.
func NewStation(shop, name string, rand io.Reader) (Station, error) {
	origin, err := custody.Origin(shop, name)
	if err != nil {
		return Station{}, err
	}
	sign, _, err := note.GenerateKey(rand, origin)
	if err != nil {
		return Station{}, fmt.Errorf("station key: %w", err)
	}
	seal, err := age.GenerateX25519Identity()
	if err != nil {
		return Station{}, fmt.Errorf("station key: %w", err)
	}
	return makeStation(shop, name, sign, seal.String())
}

func makeStation(shop, name, sign, seal string) (Station, error) {
	origin, err := custody.Origin(shop, name)
	if err != nil {
		return Station{}, fmt.Errorf("%w: %w", ErrStationKey, err)
	}
	signer, err := note.NewSigner(sign)
	if err != nil || signer.Name() != origin {
		return Station{}, fmt.Errorf("%w: the signing key is malformed or another station's", ErrStationKey)
	}
	verifyKey, err := verifierKey(origin, sign)
	if err != nil {
		return Station{}, fmt.Errorf("%w: %w", ErrStationKey, err)
	}
	verifier, err := note.NewVerifier(verifyKey)
	if err != nil {
		return Station{}, fmt.Errorf("%w: %w", ErrStationKey, err)
	}
	identity, err := age.ParseX25519Identity(seal)
	if err != nil {
		return Station{}, fmt.Errorf("%w: the sealing key is malformed", ErrStationKey)
	}
	return Station{shop, name, sign, signer, verifier, verifyKey, identity}, nil
}

// verifierKey computes the public half of a signing key of package note, which
// gives it out only when it makes the key. The key reads PRIVATE+KEY+name+hash+
// base64 of one byte for the algorithm (1, Ed25519) and the 32-byte seed.
func verifierKey(origin, sign string) (string, error) {
	parts := strings.SplitN(sign, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return "", errors.New("the signing key is malformed")
	}
	public, _ := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(origin, public)
}

// Shop returns the id of the station's shop.
func (s Station) Shop() string { return s.shop }

// Name returns the station's name, such as "T1".
func (s Station) Name() string { return s.name }

// Origin returns the name under which the station signs.
func (s Station) Origin() string { return s.signer.Name() }

// Signer returns the signer of the station's notes.
func (s Station) Signer() note.Signer { return s.signer }

// Verifier returns the public signing key, as station.enrolled carries it and
// note.NewVerifier reads it.
func (s Station) Verifier() string { return s.verifyKey }

// Recipient returns the public sealing key as station.enrolled carries it.
func (s Station) Recipient() string { return s.identity.Recipient().String() }

// Identity returns the private sealing key.
func (s Station) Identity() age.Identity { return s.identity }

// Enrolment returns the public part of the station's station.enrolled event.
func (s Station) Enrolment() custody.StationEnrolled {
	return custody.StationEnrolled{Station: s.name, Sign: s.verifyKey, Seal: s.Recipient()}
}

// SignNote signs a text, which ends in a newline, as a note.
func (s Station) SignNote(text string) ([]byte, error) {
	if s.signer == nil {
		return nil, ErrStationKey
	}
	return note.Sign(&note.Note{Text: text}, s.signer)
}

// OpenNote returns the text of a note that this station, and nobody beside it,
// has signed.
func (s Station) OpenNote(msg []byte) (string, error) {
	if s.verifier == nil {
		return "", ErrStationKey
	}
	n, err := note.Open(msg, note.VerifierList(s.verifier))
	if err != nil {
		return "", err
	}
	if len(n.UnverifiedSigs) > 0 {
		return "", errors.New("signed with an unknown key as well")
	}
	return n.Text, nil
}

// Save writes the station's keys to a new file of mode 0600 and makes it
// durable. It returns [ErrExists] when there is one already: a station key is
// never overwritten. The directory must be private, see [ErrPermissions].
func (s Station) Save(path string) (err error) {
	if s.signer == nil {
		return ErrStationKey
	}
	if err := checkDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("station key: %w", err)
	}
	f, err := createPrivate(path)
	if err != nil {
		return fmt.Errorf("station key: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(fmt.Errorf("station key: %w", err), os.Remove(path))
			return
		}
		err = syncDir(filepath.Dir(path))
	}()
	if _, err := f.WriteString(s.text()); err != nil {
		return err
	}
	return f.Sync()
}

func (s Station) text() string {
	return stationHeader + "\nshop " + s.shop + "\nstation " + s.name +
		"\nsign " + s.signKey + "\nseal " + s.identity.String() + "\n"
}

// LoadStation reads a station key. It returns [ErrPermissions] when others can
// read the file or its directory, [ErrStationKey] when it is no such file, and
// fs.ErrNotExist when there is none.
func LoadStation(path string) (Station, error) {
	s, err := loadStation(path)
	if err != nil {
		return Station{}, fmt.Errorf("station key: %w", err)
	}
	return s, nil
}

func loadStation(path string) (Station, error) {
	if err := checkDir(filepath.Dir(path)); err != nil {
		return Station{}, err
	}
	f, err := openPlain(path)
	if err != nil {
		return Station{}, err
	}
	defer f.Close()
	if err := checkFile(f); err != nil {
		return Station{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return Station{}, err
	}
	return parseStation(string(text))
}

// parseStation reads what text writes and nothing else.
func parseStation(text string) (Station, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 6 || lines[0] != stationHeader {
		return Station{}, ErrStationKey
	}
	var values [4]string
	for i, name := range []string{"shop ", "station ", "sign ", "seal "} {
		value, ok := strings.CutPrefix(lines[i+1], name)
		if !ok {
			return Station{}, ErrStationKey
		}
		values[i] = value
	}
	s, err := makeStation(values[0], values[1], values[2], values[3])
	if err != nil {
		return Station{}, err
	}
	if s.text() != text {
		return Station{}, ErrStationKey
	}
	return s, nil
}

// NewOperatorID returns a new opaque id for an operator, such as "op-7f3a09c1".
func NewOperatorID(rand io.Reader) (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("operator id: %w", err)
	}
	return "op-" + hex.EncodeToString(b[:]), nil
}
