package custody

import (
	"slices"
	"strings"
)

// The events of the shop that came after the first: stations that go, rules
// with their date, the companies that work for it, and what an inspector asks
// for.

// The types of the shop's own events, beside those of payload.go.
const (
	TypeStationRetired   Type = "station.retired"
	TypeStationSettled   Type = "station.settled"
	TypePolicySet        Type = "policy.set"
	TypeProcessorAdded   Type = "processor.added"
	TypeProcessorEnded   Type = "processor.ended"
	TypeOperatorKeyAdded Type = "operator.key_added"
	TypeOperatorKeyEnded Type = "operator.key_ended"
	TypeBackupMade       Type = "backup.made"
	TypeSelftestPassed   Type = "selftest.passed"
)

// An EndReason is why a station or an operator's key ended.
type EndReason string

// Why something ended.
const (
	EndReplaced EndReason = "replaced"
	EndLost     EndReason = "lost"
	EndStolen   EndReason = "stolen" // or copied: others may sign with it
	EndClosed   EndReason = "closed" // not needed any more
)

// Valid reports whether r is one of the reasons.
func (r EndReason) Valid() bool { return oneOf(r, EndReplaced, EndLost, EndStolen, EndClosed) }

// A KeyKind is where an operator's signing key is kept.
type KeyKind string

// The kinds of operators' keys.
const (
	KeyAgent KeyKind = "agent" // an SSH key, held by an agent
	KeyToken KeyKind = "token" // a FIDO token, which wants to be touched
	KeyFile  KeyKind = "file"  // a file under a passphrase
)

// Valid reports whether k is one of the kinds.
func (k KeyKind) Valid() bool { return oneOf(k, KeyAgent, KeyToken, KeyFile) }

// A Service is what a processor does for the shop.
type Service string

// The services of processors.
const (
	ServiceRecovery    Service = "recovery" // a laboratory
	ServiceRepair      Service = "repair"
	ServiceTransport   Service = "transport"
	ServiceDestruction Service = "destruction" // a recycler
	ServiceHosting     Service = "hosting"     // of encrypted backups
)

// Valid reports whether s is one of the services.
func (s Service) Valid() bool {
	return oneOf(s, ServiceRecovery, ServiceRepair, ServiceTransport, ServiceDestruction, ServiceHosting)
}

// A Safeguard is what protects data in a country outside the European Economic
// Area.
type Safeguard string

// The safeguards of chapter V of the regulation.
const (
	SafeguardAdequacy Safeguard = "adequacy" // a decision of the Commission
	SafeguardClauses  Safeguard = "clauses"  // standard contractual clauses
)

// Valid reports whether s is one of the safeguards.
func (s Safeguard) Valid() bool { return oneOf(s, SafeguardAdequacy, SafeguardClauses) }

// A BackupPlace is where a backup of the ledger was put.
type BackupPlace string

// The places of backups.
const (
	BackupVault     BackupPlace = "vault"
	BackupRemovable BackupPlace = "removable"
	BackupOffsite   BackupPlace = "offsite" // outside the shop
	BackupLocal     BackupPlace = "local"   // on the same machine
)

// Valid reports whether p is one of the places.
func (p BackupPlace) Valid() bool {
	return oneOf(p, BackupVault, BackupRemovable, BackupOffsite, BackupLocal)
}

// StationRetired ends a station. What it signed up to Last still counts, and what
// another station had seen of it before it knew of the end; anything behind that was
// signed by somebody else, or nobody can tell when, and no station takes it in unless
// a [StationSettled] says so. Which events they are says the head of that log that
// the event itself names, as every event does. A second retirement can only lower Last.
type StationRetired struct {
	Station string    `json:"station"`
	Last    int64     `json:"last"` // place of its last event that counts; 0 for none
	Why     EndReason `json:"why"`
}

// StationSettled is a person's word about what a journal shows of a retired station
// behind its end, or in contradiction to what is known of it: such as events on a disk
// that came back late. It speaks of that log and of no longer one.
type StationSettled struct {
	Station string `json:"station"`
	Last    int64  `json:"last"`   // events in the log that was looked at; 0: nothing was left of it
	Root    Hash   `json:"root"`   // of its tree; zero when Last is 0
	Counts  bool   `json:"counts"` // its events count; otherwise they do not, and nobody is told again
}

// PolicySet gives one of the shop's rules a value from a day on, in the shop's
// zone. See [PolicyName] for the rules and what each may say.
type PolicySet struct {
	Name  PolicyName `json:"name"`
	Value string     `json:"value"`
	From  Date       `json:"from"`
}

// ProcessorAdded registers a company that works for the shop under a contract
// of Article 28. Its name and how to reach it are private. A second event with
// the same id renews the contract.
type ProcessorAdded struct {
	Processor    string    `json:"processor"` // id
	Services     []Service `json:"services"`  // sorted, each once
	Contract     string    `json:"contract"`  // number of the contract
	From         Date      `json:"from"`
	Until        Date      `json:"until,omitempty"` // last day; "" without an end
	Country      string    `json:"country"`         // ISO 3166, such as "BE"
	Safeguard    Safeguard `json:"safeguard,omitempty"`
	Instructions bool      `json:"instructions"`        // works on documented instructions only
	SubApproval  bool      `json:"sub_approval"`        // sub-processors only with the shop's leave
	Audit        bool      `json:"audit"`               // the shop may audit
	Parent       string    `json:"parent,omitempty"`    // of which processor it is a sub-processor
	Customers    bool      `json:"customers,omitempty"` // customers have been told of it
}

// ProcessorEnded records the last day of a processor's contract.
type ProcessorEnded struct {
	Processor string `json:"processor"`
	Date      Date   `json:"date"`
}

// OperatorKeyAdded makes an operator's signing key known.
type OperatorKeyAdded struct {
	Op       string  `json:"op"`
	Key      string  `json:"key"`  // id
	Kind     KeyKind `json:"kind"` // as it was when it was registered
	Verifier string  `json:"verifier"`
}

// OperatorKeyEnded ends an operator's signing key. Signatures in events whose
// time is not before From do not count.
type OperatorKeyEnded struct {
	Op   string    `json:"op"`
	Key  string    `json:"key"`
	From Time      `json:"from"`
	Why  EndReason `json:"why"`
}

// BackupMade records an encrypted backup of the ledger.
type BackupMade struct {
	SHA256 Hash        `json:"sha256"` // of the encrypted file
	Bytes  int64       `json:"bytes"`
	Events int64       `json:"events"`
	Place  BackupPlace `json:"place"`
}

// SelftestPassed records that this installation was tried on invented data.
type SelftestPassed struct {
	Version string `json:"version"` // of the program
	Checks  int64  `json:"checks"`
	Seconds int64  `json:"seconds"`
}

// Type returns [TypeStationRetired].
func (StationRetired) Type() Type { return TypeStationRetired }

// Type returns [TypeStationSettled].
func (StationSettled) Type() Type { return TypeStationSettled }

// Type returns [TypePolicySet].
func (PolicySet) Type() Type { return TypePolicySet }

// Type returns [TypeProcessorAdded].
func (ProcessorAdded) Type() Type { return TypeProcessorAdded }

// Type returns [TypeProcessorEnded].
func (ProcessorEnded) Type() Type { return TypeProcessorEnded }

// Type returns [TypeOperatorKeyAdded].
func (OperatorKeyAdded) Type() Type { return TypeOperatorKeyAdded }

// Type returns [TypeOperatorKeyEnded].
func (OperatorKeyEnded) Type() Type { return TypeOperatorKeyEnded }

// Type returns [TypeBackupMade].
func (BackupMade) Type() Type { return TypeBackupMade }

// Type returns [TypeSelftestPassed].
func (SelftestPassed) Type() Type { return TypeSelftestPassed }

func (p StationRetired) check() error {
	return must(condition{"station", isStation(p.Station)}, natural("last", p.Last), condition{"why", p.Why.Valid()})
}

func (p StationSettled) check() error {
	return must(condition{"station", isStation(p.Station)}, natural("last", p.Last),
		condition{"root", p.Root.IsZero() == (p.Last == 0)}, condition{"counts", !p.Counts || p.Last > 0})
}

func (p PolicySet) check() error {
	return must(condition{"name", p.Name.Valid()}, condition{"value", p.Name.accepts(p.Value)}, condition{"from", p.From.valid()})
}

func (p ProcessorAdded) check() error {
	return must(condition{"processor", isID(p.Processor)}, condition{"services", len(p.Services) > 0 && isSet(p.Services, Service.Valid)},
		condition{"contract", isID(p.Contract)}, condition{"from", p.From.valid()},
		condition{"until", p.Until == "" || p.Until.valid() && p.Until >= p.From}, condition{"country", isCountry(p.Country)},
		condition{"safeguard", p.Safeguard == "" || p.Safeguard.Valid()},
		condition{"parent", p.Parent == "" || isID(p.Parent) && p.Parent != p.Processor})
}

func (p ProcessorEnded) check() error {
	return must(condition{"processor", isID(p.Processor)}, condition{"date", p.Date.valid()})
}

func (p OperatorKeyAdded) check() error {
	return must(condition{"op", isOp(p.Op)}, condition{"key", isID(p.Key)}, condition{"kind", p.Kind.Valid()},
		condition{"verifier", isOperatorKey(p.Verifier)})
}

func (p OperatorKeyEnded) check() error {
	return must(condition{"op", isOp(p.Op)}, condition{"key", isID(p.Key)}, condition{"from", !p.From.IsZero()}, condition{"why", p.Why.Valid()})
}

func (p BackupMade) check() error {
	return must(condition{"sha256", !p.SHA256.IsZero()}, natural("bytes", p.Bytes), natural("events", p.Events), condition{"place", p.Place.Valid()})
}

func (p SelftestPassed) check() error {
	return must(condition{"version", isID(p.Version)}, condition{"checks", p.Checks > 0}, natural("seconds", p.Seconds))
}

// isSet holds for valid values in ascending order, each once.
func isSet[T ~string](list []T, valid func(T) bool) bool {
	for i, v := range list {
		if !valid(v) || i > 0 && list[i-1] >= v {
			return false
		}
	}
	return true
}

// isOperatorKey holds for a verifier key as package opkey writes it: name,
// key hash and algorithm with key, joined by "+".
func isOperatorKey(s string) bool {
	return len(s) <= 4096 && strings.HasPrefix(s, "salvor-op/") && strings.Count(s, "+") >= 2 && only(s, lower+upper+digit+"+/=-")
}

func isCountry(s string) bool { return len(s) == 2 && only(s, upper) }

// InEEA reports whether a country (ISO 3166) is in the European Economic Area,
// where data need no further safeguard (Article 44 of the regulation).
func InEEA(country string) bool {
	return slices.Contains([]string{
		"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS",
		"IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
	}, country)
}
