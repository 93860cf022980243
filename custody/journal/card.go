package journal

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
)

// A Card says who a station is, signed by that station itself: the name under
// which it signs and its public keys. The signature proves that the keys belong
// together; that the station belongs to the shop is proved by a person who
// compares a code ([PairCode]), and from then on by the station.enrolled event.
type Card struct {
	Shop    string // id
	Station string
	Sign    string // verifier key of its notes
	Seal    string // age recipient for private parts
}

// A CardKind is the first line of a card: what the station says with it.
type CardKind string

// The kinds of cards.
const (
	// ShopCard is the card of the station that created the shop. Trust in every
	// other station comes from this one's key.
	ShopCard CardKind = "salvor/1 shop"
	// StationCard is the card of an enrolled station.
	StationCard CardKind = "salvor/1 station"
	// RequestCard is the card of a station that asks to be enrolled.
	RequestCard CardKind = "salvor/1 enrolment request"
)

// maxCard is far above the largest card.
const maxCard = 8 << 10

func (c Card) text(kind CardKind) string {
	return string(kind) + "\nshop " + c.Shop + "\nstation " + c.Station + "\nsign " + c.Sign + "\nseal " + c.Seal + "\n"
}

// Enrolment returns the public part of the station.enrolled event that would
// make the card's station known.
func (c Card) Enrolment() custody.StationEnrolled {
	return custody.StationEnrolled{Station: c.Station, Sign: c.Sign, Seal: c.Seal}
}

// Code returns the 160-bit code of the card, for the paper on which a shop keeps
// whom it trusts; see [custody.Checkpoint.Code] for its form.
func (c Card) Code() string { return code([]byte(c.text(ShopCard)), 20) }

// PairCode returns the short code that two people compare when a station joins:
// one reads it on the station that asks, the other where it is approved. It
// binds the shop's card and the request, so it proves both ways: that the
// request is that station's, and that the shop is this shop. 80 bits: whoever
// wants to be taken for either has to find keys that give the same code.
func PairCode(shop, request Card) string {
	return code([]byte("salvor/1 pair\n"+shop.text(ShopCard)+request.text(RequestCard)), 10)
}

// code is the beginning of a SHA-256 in lower-case Crockford base 32, in groups
// of four.
func code(text []byte, bytes int) string {
	sum := sha256.Sum256(text)
	digits := base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding).EncodeToString(sum[:bytes])
	var groups []string
	for group := range slices.Chunk([]byte(digits), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, "-")
}

// SignCard returns the card as a note signed by its station.
func SignCard(kind CardKind, c Card, signer note.Signer) ([]byte, error) {
	msg, err := note.Sign(&note.Note{Text: c.text(kind)}, signer)
	if err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	if _, err := ParseCard(kind, msg); err != nil {
		return nil, err
	}
	return msg, nil
}

// ParseCard reads a card and checks that it is signed with the key that stands
// in it, under the name that it gives itself, and by nobody else. It returns
// [ErrMalformed] or [ErrForeign].
func ParseCard(kind CardKind, msg []byte) (Card, error) {
	c, verifier, err := readCard(kind, msg)
	if err != nil {
		return Card{}, err
	}
	n, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil || len(n.UnverifiedSigs) > 0 || n.Text != c.text(kind) {
		return Card{}, ErrForeign
	}
	return c, nil
}

// readCard reads the fields: the key that verifies a card stands in it, so this
// is the one text that is read before its signature is checked.
func readCard(kind CardKind, msg []byte) (Card, note.Verifier, error) {
	if len(msg) > maxCard {
		return Card{}, nil, ErrTooLarge
	}
	text, _, ok := strings.Cut(string(msg), "\n\n")
	lines := strings.Split(text, "\n")
	if !ok || len(lines) != 5 || lines[0] != string(kind) {
		return Card{}, nil, ErrMalformed
	}
	var c Card
	for i, field := range []struct {
		name string
		to   *string
	}{{"shop ", &c.Shop}, {"station ", &c.Station}, {"sign ", &c.Sign}, {"seal ", &c.Seal}} {
		value, ok := strings.CutPrefix(lines[i+1], field.name)
		if !ok {
			return Card{}, nil, ErrMalformed
		}
		*field.to = value
	}
	origin, err := custody.Origin(c.Shop, c.Station)
	if err != nil {
		return Card{}, nil, ErrMalformed
	}
	verifier, err := note.NewVerifier(c.Sign)
	if err != nil || verifier.Name() != origin {
		return Card{}, nil, ErrMalformed
	}
	if err := checkSeal(c.Seal); err != nil {
		return Card{}, nil, errors.Join(ErrMalformed, err)
	}
	return c, verifier, nil
}
