package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
	"salvor/custody/journal"
)

// Trust in another station's key comes from one place: the station.enrolled
// event, signed by a station that is trusted already. The first of them is the
// station that created the shop, whose key stands in the shop's card. The card
// signs itself, so its key is believed because a person compared a code when
// this station joined, and from then on because this station's own signed events
// name heads of the first station's log, in which that key is enrolled.

// A peer is a station whose events are taken in.
type peer struct {
	name     string
	verifier note.Verifier
}

// peers returns the stations that the shop's events make known, by name, the own
// one among them. Of two enrolments of one name the first in causal order counts.
func (l *Ledger) peers(ctx context.Context, q queryer) (map[string]peer, custody.Shop, error) {
	shop, err := foldShop(ctx, q)
	if err != nil {
		return nil, shop, err
	}
	known := make(map[string]peer)
	add := func(name, key string) {
		if v := stationVerifier(l.station.Shop(), name, key); v != nil && known[name].verifier == nil {
			known[name] = peer{name, v}
		}
	}
	add(l.station.Name(), l.station.Verifier())
	for _, s := range shop.Stations {
		add(s.Station, s.Sign)
	}
	root, _, err := l.rootCard(ctx, q)
	if err != nil {
		return nil, shop, err
	}
	for _, c := range append([]journal.Card{root}, l.trust...) {
		add(c.Station, c.Sign)
	}
	return known, shop, nil
}

// stationVerifier reads a station's verifier key; nil when it is none, or one of
// another name: an enrolment with such a key enrols nobody.
func stationVerifier(shop, name, key string) note.Verifier {
	origin, err := custody.Origin(shop, name)
	if err != nil {
		return nil
	}
	v, err := note.NewVerifier(key)
	if err != nil || v.Name() != origin {
		return nil
	}
	return v
}

// rootCard returns the card of the station that created the shop, and its note.
// Where none was kept this is that station.
func (l *Ledger) rootCard(ctx context.Context, q queryer) (journal.Card, []byte, error) {
	var msg []byte
	err := q.QueryRowContext(ctx, `SELECT card FROM root`).Scan(&msg)
	if errors.Is(err, sql.ErrNoRows) {
		card := l.station.Card()
		msg, err = journal.SignCard(journal.ShopCard, card, l.station.signer)
		return card, msg, err
	}
	if err != nil {
		return journal.Card{}, nil, sqlError(err)
	}
	card, err := journal.ParseCard(journal.ShopCard, msg)
	if err != nil {
		return journal.Card{}, nil, fmt.Errorf("%w: card of the shop: %w", ErrCorrupt, err)
	}
	return card, msg, nil
}

// ShopCard returns the card of the shop: whom every station trusts first. Its
// code belongs on paper, beside the recovery key.
func (l *Ledger) ShopCard(ctx context.Context) (journal.Card, error) {
	card, _, err := l.rootCard(ctx, l.db)
	if err != nil {
		return journal.Card{}, fmt.Errorf("card of the shop: %w", err)
	}
	return card, nil
}

// Card returns the station's public keys as its cards carry them.
func (s Station) Card() journal.Card {
	return journal.Card{Shop: s.shop, Station: s.name, Sign: s.verifyKey, Seal: s.Recipient()}
}

// checkShop compares the card of a journal with the shop's.
func (l *Ledger) checkShop(ctx context.Context, j *journal.Journal) error {
	theirs, _, err := j.Shop()
	if err != nil {
		return err
	}
	ours, _, err := l.rootCard(ctx, l.db)
	if err != nil {
		return err
	}
	if theirs != ours {
		return j.Refuse("", "shop.note", journal.ErrWrongShop)
	}
	return nil
}

// openAs returns the text of a note that the station with this verifier has
// signed, first and in its place. What other signatures stand beside it is the
// operators' business; see cosign.go.
func openAs(v note.Verifier, msg []byte) (*note.Note, error) {
	n, err := note.Open(msg, note.VerifierList(v))
	if err != nil || len(n.Sigs) != 1 {
		return nil, journal.ErrForeign
	}
	return n, nil
}

// heads returns the newest state of every other station's log that this ledger
// holds: what the next event witnesses.
func (l *Ledger) heads(ctx context.Context, q queryer) (map[string]custody.Head, error) {
	names, err := l.others(ctx, q)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	heads := make(map[string]custody.Head, len(names))
	for _, name := range names {
		size, _, err := logEnd(ctx, q, name)
		if err != nil {
			return nil, err
		}
		if size == 0 {
			continue
		}
		root, err := rootAt(ctx, q, name, size)
		if err != nil {
			return nil, err
		}
		heads[name] = custody.Head{Size: size, Root: root}
	}
	return heads, nil
}

// others returns the names of the other stations whose events the ledger holds.
func (l *Ledger) others(ctx context.Context, q queryer) ([]string, error) {
	var names []string
	err := each(ctx, q, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		names = append(names, name)
		return sqlError(err)
	}, `SELECT station FROM checkpoints WHERE station <> ? ORDER BY station`, l.station.Name())
	return names, err
}
