package journal

import (
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
)

const fuzzShop = "01kb0f4vy9v3qk3y8m6t2r7w5z"

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func newCard(t testing.TB) (Card, note.Signer) {
	t.Helper()
	origin, err := custody.Origin(fuzzShop, "B1")
	if err != nil {
		t.Fatal(err)
	}
	private, public, err := note.GenerateKey(zeros{}, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return Card{fuzzShop, "B1", public, id.Recipient().String()}, signer
}

// Cards of every kind: shop.note, the notes of stations, and requests.
func FuzzCard(f *testing.F) {
	c, signer := newCard(f)
	for _, kind := range []CardKind{ShopCard, StationCard, RequestCard} {
		msg, err := SignCard(kind, c, signer)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(kind), msg)
		f.Add(string(kind), msg[:len(msg)/2])
	}
	f.Fuzz(func(t *testing.T, kind string, msg []byte) {
		got, err := ParseCard(CardKind(kind), msg)
		if err != nil {
			return
		}
		if !strings.HasPrefix(string(msg), got.text(CardKind(kind))+"\n") || got.Shop == "" {
			t.Errorf("%+v", got)
		}
	})
}

// Every file name that is accepted is the one that is written for it.
func FuzzFileNames(f *testing.F) {
	f.Add("0000001041-01234567.note")
	f.Add("99999999999-01234567.note")
	f.Add("../0000000001-01234567.note")
	f.Add("B1-7.01234567.age")
	f.Fuzz(func(t *testing.T, name string) {
		if got, ok := parseFile("B1", name); ok && got.Name() != "journal/B1/"+name {
			t.Errorf("%q is %q", name, got.Name())
		}
		if got, ok := parseSealed("", name); ok && (got.Name() != "private/shop/"+name || strings.ContainsAny(name, "/\x00")) {
			t.Errorf("%q is %q", name, got.Name())
		}
		if s := printable(name); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q can be seen", s)
		}
	})
}

func FuzzUnseal(f *testing.F) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	to, err := NewRecipients([]string{id.Recipient().String()})
	if err != nil {
		f.Fatal(err)
	}
	p := Private{Nonce: [custody.NonceSize]byte{1}, Text: []byte(`{"customer":"x"}`)}
	commit := custody.Commit(p.Nonce, p.Text)
	sealed, err := Seal(p, to)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if got, err := Unseal(sealed, commit, id); err == nil && string(got.Text) != string(p.Text) {
			t.Errorf("%q", got.Text)
		}
	})
}

// The size of a sealed part gives away no more than its class.
func TestSealedPartsOfOneClassHaveOneSize(t *testing.T) {
	c, _ := newCard(t)
	to, err := NewRecipients([]string{c.Seal})
	if err != nil {
		t.Fatal(err)
	}
	sizes := make(map[int]bool)
	for n := range 400 {
		sealed, err := Seal(Private{Text: []byte(strings.Repeat("x", n))}, to)
		if err != nil {
			t.Fatal(err)
		}
		sizes[len(sealed)] = true
	}
	if len(sizes) != 1 {
		t.Errorf("%d sizes", len(sizes))
	}
}
