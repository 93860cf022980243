package custody

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// An OperatorKey is a key with which an operator signs what he does.
type OperatorKey struct {
	Key      string // id
	Ref      Ref    // of operator.key_added; zero when it has not arrived
	At       time.Time
	Kind     KeyKind
	Verifier string
	Ended    time.Time // from which its signatures do not count; zero while it is active
	EndRef   Ref
	Why      EndReason // why it ended
}

// ErrNoKey is returned when the shop's rules ask every operator to sign and
// one has no key.
var ErrNoKey = errors.New("the operator has no signing key, and the shop requires one")

// Counts reports whether a signature of the key on an event of that time
// counts: the key was known by then and had not ended. Whether the key was
// known is judged by the clock of the event's station, which for one station
// is the order of its events.
func (k OperatorKey) Counts(at time.Time) bool {
	return k.Ref != (Ref{}) && !at.Before(k.At) && (k.Ended.IsZero() || at.Before(k.Ended))
}

// SigningKeys returns the operator's keys whose signatures count at a time:
// none after his last day, which is one of the time's own zone.
func (o Operator) SigningKeys(at time.Time) []OperatorKey {
	if o.Ended != "" && DateOf(at, at.Location()) > o.Ended {
		return nil
	}
	var keys []OperatorKey
	for _, k := range o.Keys {
		if k.Counts(at) {
			keys = append(keys, k)
		}
	}
	return keys
}

// MustSign reports whether an event that the operator causes at a time needs
// his signature: whoever has a key must sign with one of [Operator.SigningKeys],
// whoever has none is recorded as asserted. It returns [ErrNoKey] when the
// shop's rules end that and he is a person without a key. The purge job and
// op-station sign with the station's key alone.
func (s Shop) MustSign(op string, at time.Time) (bool, error) {
	o, ok := s.Operator(op)
	switch {
	case !ok || o.Kind != OperatorPerson:
		return false, nil
	case len(o.SigningKeys(s.local(at))) > 0:
		return true, nil
	case s.Policy(s.day(at)).RequireKey:
		return false, ErrNoKey
	}
	return false, nil
}

func (o *Operator) key(id string) *OperatorKey {
	return entry(&o.Keys, func(k OperatorKey) bool { return k.Key == id }, OperatorKey{Key: id})
}

func (o *Operator) addKey(e Event, p OperatorKeyAdded) {
	if k := o.key(p.Key); k.Ref == (Ref{}) {
		k.Ref, k.At, k.Kind, k.Verifier = e.Ref(), e.TS.Time, p.Kind, p.Verifier
	}
}

// endKey keeps the earliest end: a key that ended never counts longer again.
func (o *Operator) endKey(e Event, p OperatorKeyEnded) {
	if k := o.key(p.Key); k.Ended.IsZero() || p.From.Before(k.Ended) {
		k.Ended, k.EndRef, k.Why = p.From.Time, e.Ref(), p.Why
	}
}

func sortKeys(list []OperatorKey) {
	slices.SortFunc(list, func(a, b OperatorKey) int { return cmp.Compare(a.Key, b.Key) })
}
