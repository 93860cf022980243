package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
	"salvor/custody/opkey"
)

// An operator who has registered a key signs what he records: his signature
// stands behind the station's on the same text, so no hash changes with it. Who
// has no key is recorded as asserted.
//
// Which key must have signed is read from the events themselves: a key counts
// from the event that registers it, for every event whose station knew that event
// (it is before it in the same log, or below the head that the event names), and
// until the time from which it was ended. So the answer is the same at every
// station and in every audit, whatever arrived first.

// SignedBy returns the same ledger, with which an operator signs as well what he
// records. The signer may ask for a touch or a passphrase; until it answers nobody
// else can write to the ledger. Closing either ledger closes both.
func (l *Ledger) SignedBy(operator note.Signer) *Ledger {
	with := *l
	with.operator = operator
	return &with
}

// sign makes the note of an event: signed by the station, and by the operator
// where there is a key.
func (a *appending) sign(e custody.Event, text []byte) ([]byte, error) {
	signers := []note.Signer{a.l.station.signer}
	keys := newSigners(a.shop.now)
	keys.learnAll(a.shop.events)
	if a.l.operator != nil && len(keys.of(e)) > 0 {
		signers = append(signers, a.l.operator)
	}
	msg, err := note.Sign(&note.Note{Text: string(text)}, signers...)
	if err != nil {
		return nil, fmt.Errorf("sign event: %w", err)
	}
	if err := keys.check(e, msg); err != nil {
		return nil, fmt.Errorf("%s: %w", e.Type(), err)
	}
	return msg, nil
}

// operatorKey is a registered key and how long it counts.
type operatorKey struct {
	op, id   string
	added    custody.Ref
	ended    custody.Time // zero while it counts
	verifier note.Verifier
}

// signers knows the operators' keys.
type signers struct{ keys []operatorKey }

// newSigners knows the keys that the shop's fold shows.
func newSigners(shop custody.Shop) *signers {
	s := &signers{}
	for _, o := range shop.Operators {
		for _, k := range o.Keys {
			s.keys = append(s.keys, operatorKey{op: o.ID, id: k.Key, added: k.Ref, ended: custody.Time{Time: k.Ended}, verifier: operatorVerifier(k.Verifier)})
		}
	}
	return s
}

// learn takes in what an event says about keys: it may not be in the fold yet.
func (s *signers) learn(e custody.Event) {
	switch p := e.Pub.(type) {
	case custody.OperatorKeyAdded:
		if !slices.ContainsFunc(s.keys, func(k operatorKey) bool { return k.added == e.Ref() }) {
			s.keys = append(s.keys, operatorKey{op: p.Op, id: p.Key, added: e.Ref(), verifier: operatorVerifier(p.Verifier)})
		}
	case custody.OperatorKeyEnded:
		for i, k := range s.keys {
			if k.op == p.Op && k.id == p.Key && (k.ended.IsZero() || p.From.Before(k.ended.Time)) {
				s.keys[i].ended = p.From
			}
		}
	}
}

func (s *signers) learnAll(events []custody.Event) {
	for _, e := range events {
		s.learn(e)
	}
}

// of returns the keys of which one must have signed the event; none when its
// operator is asserted.
func (s *signers) of(e custody.Event) []operatorKey {
	var keys []operatorKey
	for _, k := range s.keys {
		if k.op == e.Op && knew(e, k.added) && (k.ended.IsZero() || e.TS.Before(k.ended.Time)) {
			keys = append(keys, k)
		}
	}
	return keys
}

// knew says whether the station of an event knew another event when it recorded
// the first.
func knew(e custody.Event, ref custody.Ref) bool {
	if ref.Station == e.Station {
		return ref.Seq < e.Seq
	}
	return ref.Seq <= e.Heads[ref.Station].Size
}

// check says whether the right people have signed an event. That its station has
// was checked before.
func (s *signers) check(e custody.Event, msg []byte) error {
	keys := s.of(e)
	if len(keys) == 0 && signatures(msg) == 1 {
		return nil
	}
	var list []note.Verifier
	for _, k := range keys {
		if k.verifier != nil {
			list = append(list, k.verifier)
		}
	}
	n, err := note.Open(msg, note.VerifierList(list...))
	var none *note.UnverifiedNoteError
	switch {
	case errors.As(err, &none):
		n = none.Note
	case err != nil:
		return ErrUnsignedOperator
	}
	signed, others := len(n.Sigs), len(n.UnverifiedSigs)-1 // one of them is the station's
	switch {
	case len(keys) == 0 && others == 0, len(keys) > 0 && signed == 1 && others == 0:
		return nil
	case others > 0:
		return fmt.Errorf("%w: a signature that does not count", ErrUnsignedOperator)
	}
	return ErrUnsignedOperator
}

// signatures counts the signatures of a note around one line.
func signatures(msg []byte) int { return bytes.Count(msg, []byte("\n")) - 2 }

// operatorVerifier reads the verifier of a registered key; nil for one that
// cannot be read, which then nobody can sign with.
func operatorVerifier(text string) note.Verifier {
	k, err := opkey.Parse(text)
	if err != nil {
		return nil
	}
	return k
}
