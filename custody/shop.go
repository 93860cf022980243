package custody

import (
	"cmp"
	"slices"
	"time"
)

// A Shop is everything that is publicly true about the shop: its stations,
// keys, vaults and operators. It is computed by [FoldShop].
type Shop struct {
	ID         string // "" when shop.created has not arrived
	Created    time.Time
	Stations   []Station     // by name
	Keys       []Key         // by id
	Vaults     []Vault       // by id
	Operators  []Operator    // by id
	Policies   []PolicyValue // by rule; values of one rule in causal order
	Heartbeat  time.Time     // the newest; zero when there is none
	Exceptions []Exception
}

// A Station is an enrolled station.
type Station struct {
	Ref Ref
	At  time.Time
	StationEnrolled
}

// A Key is a shop key with which images can be opened.
type Key struct {
	Ref Ref
	At  time.Time
	KeyAdded
}

// A Vault is a known vault.
type Vault struct {
	Ref Ref
	At  time.Time
	VaultAdded
}

// An Operator is a person or the purge job. Login and name are in the private
// part of the event that Ref names.
type Operator struct {
	ID      string
	Kind    OperatorKind // "" when operator.added has not arrived
	Ref     Ref          // of operator.added
	Agreed  Date         // newest signed agreement, "" when there is none
	Trained Date         // newest training, "" when there is none
	Ended   Date         // first end, "" while active
}

// FoldShop computes the shop from its events. The order of the events and
// duplicates among them change nothing; events of cases are left out.
func FoldShop(events []Event) Shop {
	own := make([]Event, 0, len(events))
	for _, e := range events {
		if e.Case == "" {
			own = append(own, e)
		}
	}
	own = Sort(own)
	var s Shop
	seen := make(map[Ref]bool, len(own))
	for _, e := range own {
		if seen[e.Ref()] {
			s.Exceptions = append(s.Exceptions, Exception{ClonedStation, e.Ref()})
		}
		seen[e.Ref()] = true
		s.apply(e)
	}
	slices.SortStableFunc(s.Stations, func(a, b Station) int { return cmp.Compare(a.Station, b.Station) })
	slices.SortStableFunc(s.Keys, func(a, b Key) int { return cmp.Compare(a.Key, b.Key) })
	slices.SortStableFunc(s.Vaults, func(a, b Vault) int { return cmp.Compare(a.Vault, b.Vault) })
	sortPolicies(s.Policies)
	slices.SortStableFunc(s.Operators, func(a, b Operator) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func (s *Shop) apply(e Event) {
	at, ref := e.TS.Time, e.Ref()
	switch p := e.Pub.(type) {
	case ShopCreated:
		if s.ID == "" {
			s.ID, s.Created = p.Shop, at
		}
	case StationEnrolled:
		s.Stations = append(s.Stations, Station{ref, at, p})
	case KeyAdded:
		s.Keys = append(s.Keys, Key{ref, at, p})
	case VaultAdded:
		s.Vaults = append(s.Vaults, Vault{ref, at, p})
	case OperatorAdded:
		if o := s.operator(p.Op); o.Kind == "" {
			o.Kind, o.Ref = p.Kind, ref
		}
	case OperatorAgreed:
		o := s.operator(p.Op)
		o.Agreed = max(o.Agreed, p.Date)
	case OperatorTrained:
		o := s.operator(p.Op)
		o.Trained = max(o.Trained, p.Date)
	case OperatorEnded:
		if o := s.operator(p.Op); o.Ended == "" || p.Date < o.Ended {
			o.Ended = p.Date
		}
	case PolicySet:
		s.Policies = append(s.Policies, PolicyValue{ref, at, e.Op, p})
	case Heartbeat:
		if at.After(s.Heartbeat) {
			s.Heartbeat = at
		}
	}
}

func (s *Shop) operator(id string) *Operator {
	for i := range s.Operators {
		if s.Operators[i].ID == id {
			return &s.Operators[i]
		}
	}
	s.Operators = append(s.Operators, Operator{ID: id})
	return &s.Operators[len(s.Operators)-1]
}

// Operator returns the operator with that id.
func (s Shop) Operator(id string) (Operator, bool) {
	for _, o := range s.Operators {
		if o.ID == id {
			return o, true
		}
	}
	return Operator{}, false
}

// Key returns the key with that id.
func (s Shop) Key(id string) (Key, bool) {
	for _, k := range s.Keys {
		if k.Key == id {
			return k, true
		}
	}
	return Key{}, false
}

// Vault returns the vault with that id or that name. A name that two vaults
// share is answered with neither.
func (s Shop) Vault(idOrName string) (Vault, bool) {
	var found []Vault
	for _, v := range s.Vaults {
		if v.Vault == idOrName {
			return v, true
		}
		if v.Name == idOrName {
			found = append(found, v)
		}
	}
	if len(found) != 1 {
		return Vault{}, false
	}
	return found[0], true
}
