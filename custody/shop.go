package custody

import (
	"cmp"
	"slices"
	"time"
)

// A Shop is everything that is publicly true about the shop: its stations,
// keys, vaults, operators, rules and registers. It is computed by [FoldShop].
type Shop struct {
	ID         string // "" when shop.created has not arrived
	Created    time.Time
	Stations   []Station     // by name
	Keys       []Key         // by id
	Vaults     []Vault       // by id
	Operators  []Operator    // by id
	Policies   []PolicyValue // by rule; values of one rule in causal order
	Processors []Processor   // by id
	Backups    []Backup      // of ledgers, in causal order
	Selftests  []Selftest    // in causal order
	Destroyed  []Destruction // of vaults' media, in causal order
	Wipes      []Wipe        // of the shop's own media, by job
	Heartbeat  time.Time     // the newest; zero when there is none
	// Zone is the shop's, in which the rules count days; nil is UTC. No event names
	// it: whoever folds the events and has the configuration sets it.
	Zone *time.Location

	Requests      []Request    // by id; those of cases are in their case
	Incidents     []Incident   // by id; those of cases are in their case
	Corrections   []Correction // in causal order
	PrivateErased []Ref        // events of the shop whose private parts were erased, sorted
	Exceptions    []Exception
}

// A Station is an enrolled station.
type Station struct {
	Ref Ref
	At  time.Time
	StationEnrolled
	// Retired says that the station has ended, and RetiredBy where that stands.
	Retired   *StationRetired
	RetiredBy Ref
	Settled   []StationSettled // what was said of its log since, in causal order
}

// Counts reports whether an event of the station at that place counts by what its
// retirement says, and who has settled what came later. What other stations had
// witnessed before counts as well.
func (s Station) Counts(seq int64) bool {
	return s.Retired == nil || seq <= s.Retired.Last ||
		slices.ContainsFunc(s.Settled, func(p StationSettled) bool { return p.Counts && seq <= p.Last })
}

// Dismissed reports whether somebody has looked at this very log of the retired
// station, and said that what of it does not count is to be left alone.
func (s Station) Dismissed(size int64, root Hash) bool {
	return s.Retired != nil &&
		slices.ContainsFunc(s.Settled, func(p StationSettled) bool { return !p.Counts && p.Last == size && p.Root == root })
}

// A Backup says that an encrypted backup of a ledger was made.
type Backup struct {
	Ref Ref
	At  time.Time
	Op  string
	BackupMade
}

// A Selftest says that a station was tried on invented data.
type Selftest struct {
	Ref Ref
	At  time.Time
	Op  string
	SelftestPassed
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
	Kind    OperatorKind  // "" when operator.added has not arrived
	Ref     Ref           // of operator.added
	Agreed  Date          // newest signed agreement, "" when there is none
	Trained Date          // newest training, "" when there is none
	Ended   Date          // first end, "" while active
	Keys    []OperatorKey // by id, ended ones included
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
	var g registers
	retired := make(map[string]Station)
	seen := make(map[Ref]bool, len(own))
	for _, e := range own {
		if seen[e.Ref()] {
			s.Exceptions = append(s.Exceptions, Exception{ClonedStation, e.Ref()})
		}
		seen[e.Ref()] = true
		s.apply(e)
		g.apply(e)
		switch p := e.Pub.(type) {
		case StationRetired:
			x := retired[p.Station]
			if x.Retired == nil || p.Last < x.Retired.Last {
				x.Retired, x.RetiredBy = &p, e.Ref()
			}
			retired[p.Station] = x
		case StationSettled:
			x := retired[p.Station]
			x.Settled = append(x.Settled, p)
			retired[p.Station] = x
		}
	}
	for i, x := range s.Stations {
		end := retired[x.Station]
		s.Stations[i].Retired, s.Stations[i].RetiredBy, s.Stations[i].Settled = end.Retired, end.RetiredBy, end.Settled
	}
	except := func(kind ExceptionKind, ref Ref) { s.Exceptions = append(s.Exceptions, Exception{kind, ref}) }
	finishWipes(s.Wipes, except)
	g.finish(except)
	s.Requests, s.Incidents = g.requests, g.incidents
	slices.SortFunc(s.PrivateErased, Ref.compare)
	s.PrivateErased = slices.Compact(s.PrivateErased)
	sortProcessors(s.Processors)
	for _, o := range s.Operators {
		sortKeys(o.Keys)
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
		s.Stations = append(s.Stations, Station{Ref: ref, At: at, StationEnrolled: p})
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
	case OperatorKeyAdded:
		s.operator(p.Op).addKey(e, p)
	case OperatorKeyEnded:
		s.operator(p.Op).endKey(e, p)
	case ProcessorAdded:
		x := s.processor(p.Processor)
		x.Contracts = append(x.Contracts, Contract{ref, at, e.Op, p})
	case ProcessorEnded:
		if x := s.processor(p.Processor); p.Date > x.Ended {
			x.Ended, x.EndRef = p.Date, ref
		}
	case BackupMade:
		s.Backups = append(s.Backups, Backup{ref, at, e.Op, p})
	case SelftestPassed:
		s.Selftests = append(s.Selftests, Selftest{ref, at, e.Op, p})
	case MediumDestroyed:
		s.Destroyed = append(s.Destroyed, Destruction{ref, at, e.Op, p})
	case MediumEraseStarted, MediumEraseFailed, MediumEraseDone, AttestIssued:
		applyWipe(&s.Wipes, e)
	case EventCorrected:
		s.Corrections = append(s.Corrections, Correction{ref, at, e.Op, p})
	case PrivateErased:
		s.PrivateErased = append(s.PrivateErased, p.Events...)
	case Heartbeat:
		if at.After(s.Heartbeat) {
			s.Heartbeat = at
		}
	}
}

func (s *Shop) operator(id string) *Operator {
	return entry(&s.Operators, func(o Operator) bool { return o.ID == id }, Operator{ID: id})
}

// In returns the shop with its time zone.
func (s Shop) In(zone *time.Location) Shop {
	s.Zone = zone
	return s
}

// local returns the moment in the shop's zone.
func (s Shop) local(t time.Time) time.Time {
	if s.Zone == nil {
		return t.UTC()
	}
	return t.In(s.Zone)
}

// day returns the day of a moment in the shop's zone.
func (s Shop) day(t time.Time) Date { return DateOf(t, s.local(t).Location()) }

// Station returns the station with that name.
func (s Shop) Station(name string) (Station, bool) {
	return find(s.Stations, func(x Station) bool { return x.Station == name })
}

// Operator returns the operator with that id.
func (s Shop) Operator(id string) (Operator, bool) {
	return find(s.Operators, func(o Operator) bool { return o.ID == id })
}

// Key returns the key with that id.
func (s Shop) Key(id string) (Key, bool) {
	return find(s.Keys, func(k Key) bool { return k.Key == id })
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
