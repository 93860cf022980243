package custody

import "slices"

// The registers of requests and of incidents. Who asked, what happened and
// what was answered is private; what is public are kinds, times and counts, so
// that the clocks can be checked for ever.

// The types of the registers.
const (
	TypeRequestReceived            Type = "request.received"
	TypeRequestExtended            Type = "request.extended"
	TypeRequestAnswered            Type = "request.answered"
	TypeIncidentOpened             Type = "incident.opened"
	TypeIncidentAssessed           Type = "incident.assessed"
	TypeIncidentControllerNotified Type = "incident.controller_notified"
	TypeIncidentAuthorityNotified  Type = "incident.authority_notified"
	TypeIncidentSubjectsNotified   Type = "incident.subjects_notified"
	TypeIncidentClosed             Type = "incident.closed"
)

// A RequestKind is which right somebody exercises.
type RequestKind string

// The rights of a data subject.
const (
	RequestAccess        RequestKind = "access"
	RequestCopy          RequestKind = "copy"
	RequestRectification RequestKind = "rectification"
	RequestErasure       RequestKind = "erasure"
	RequestRestriction   RequestKind = "restriction"
	RequestPortability   RequestKind = "portability"
	RequestObjection     RequestKind = "objection"
)

// Valid reports whether k is one of the rights.
func (k RequestKind) Valid() bool {
	return oneOf(k, RequestAccess, RequestCopy, RequestRectification, RequestErasure, RequestRestriction, RequestPortability, RequestObjection)
}

// An ExtensionReason is why a request needs longer (Article 12(3)).
type ExtensionReason string

// The two reasons that the law knows.
const (
	ExtensionComplex ExtensionReason = "complex"
	ExtensionMany    ExtensionReason = "many" // requests of the same person
)

// Valid reports whether r is one of the reasons.
func (r ExtensionReason) Valid() bool { return oneOf(r, ExtensionComplex, ExtensionMany) }

// An Outcome is how a request was answered.
type Outcome string

// The outcomes of requests.
const (
	OutcomeGranted   Outcome = "granted"
	OutcomePartly    Outcome = "partly"
	OutcomeRefused   Outcome = "refused"   // with the reason and the right to complain
	OutcomeForwarded Outcome = "forwarded" // to the controller, whose processor the shop is
	OutcomeWithdrawn Outcome = "withdrawn" // by the one who asked
)

// Valid reports whether o is one of the outcomes.
func (o Outcome) Valid() bool {
	return oneOf(o, OutcomeGranted, OutcomePartly, OutcomeRefused, OutcomeForwarded, OutcomeWithdrawn)
}

// An IncidentKind is what happened to the data.
type IncidentKind string

// The kinds of incidents.
const (
	IncidentLost        IncidentKind = "lost"
	IncidentStolen      IncidentKind = "stolen"
	IncidentDisclosed   IncidentKind = "disclosed"
	IncidentDestroyed   IncidentKind = "destroyed"
	IncidentAltered     IncidentKind = "altered"
	IncidentUnavailable IncidentKind = "unavailable"
)

// Valid reports whether k is one of the kinds.
func (k IncidentKind) Valid() bool {
	return oneOf(k, IncidentLost, IncidentStolen, IncidentDisclosed, IncidentDestroyed, IncidentAltered, IncidentUnavailable)
}

// A Risk is what an incident may mean for the persons.
type Risk string

// The risks that the law tells apart.
const (
	RiskNone Risk = "none" // unlikely to result in a risk
	RiskSome Risk = "risk" // the authority must be told
	RiskHigh Risk = "high" // the persons as well
)

// Valid reports whether r is one of the risks.
func (r Risk) Valid() bool { return oneOf(r, RiskNone, RiskSome, RiskHigh) }

// A Delay is why somebody was told late; the words about it are private.
type Delay string

// The reasons for being late.
const (
	DelayFacts       Delay = "facts" // the facts had to be found out first
	DelayAbsence     Delay = "absence"
	DelayTechnical   Delay = "technical"
	DelayInstruction Delay = "instruction" // of the police or the controller
	DelayOversight   Delay = "oversight"
)

// Valid reports whether d is one of the reasons.
func (d Delay) Valid() bool {
	return oneOf(d, DelayFacts, DelayAbsence, DelayTechnical, DelayInstruction, DelayOversight)
}

// An Exempt is why somebody need not be told at all.
type Exempt string

// The reasons for telling nobody.
const (
	ExemptNoRisk     Exempt = "no-risk"    // Article 33(1): unlikely to result in a risk
	ExemptController Exempt = "controller" // the controller does it
	ExemptEncrypted  Exempt = "encrypted"  // Article 34(3)(a): unreadable for others
	ExemptMeasures   Exempt = "measures"   // Article 34(3)(b): the high risk is gone
	ExemptPublic     Exempt = "public"     // Article 34(3)(c): told publicly instead
)

// Valid reports whether x is one of the reasons.
func (x Exempt) Valid() bool {
	return oneOf(x, ExemptNoRisk, ExemptController, ExemptEncrypted, ExemptMeasures, ExemptPublic)
}

// A Told is how persons were told of an incident.
type Told string

// The ways to tell.
const (
	ToldLetter Told = "letter"
	ToldMail   Told = "mail"
	ToldPhone  Told = "phone"
	ToldPerson Told = "person" // face to face
	ToldPublic Told = "public"
)

// Valid reports whether t is one of the ways.
func (t Told) Valid() bool { return oneOf(t, ToldLetter, ToldMail, ToldPhone, ToldPerson, ToldPublic) }

// RequestReceived begins a request of a data subject. See [RequestDue].
type RequestReceived struct {
	Request  string      `json:"request"` // id
	Kind     RequestKind `json:"kind"`
	Received Time        `json:"received"`
	Due      Time        `json:"due"`
}

// RequestExtended gives a request more time. It counts only when the person
// was told, with the reason, before the first term was over.
type RequestExtended struct {
	Request string          `json:"request"`
	Told    Time            `json:"told"`
	Due     Time            `json:"due"`
	Why     ExtensionReason `json:"why"`
}

// RequestAnswered ends a request.
type RequestAnswered struct {
	Request string  `json:"request"`
	At      Time    `json:"at"` // when the answer went out
	Outcome Outcome `json:"outcome"`
	Delay   Delay   `json:"delay,omitempty"` // why late
}

// IncidentOpened begins an incident. The clocks run from the moment at which
// the shop became aware of it.
type IncidentOpened struct {
	Incident      string       `json:"incident"` // id
	Kind          IncidentKind `json:"kind"`
	Aware         Time         `json:"aware"`
	Happened      Time         `json:"happened,omitzero"` // when known
	Role          Role         `json:"role"`              // of the shop
	AuthorityDue  Time         `json:"authority_due"`
	ControllerDue Time         `json:"controller_due,omitzero"` // for a processor
	Cases         []CaseNo     `json:"cases,omitempty"`         // whose data are concerned, sorted
}

// IncidentAssessed says what the incident may mean for the persons. The newest
// assessment counts.
type IncidentAssessed struct {
	Incident string   `json:"incident"`
	Risk     Risk     `json:"risk"`
	Subjects int64    `json:"subjects"` // persons concerned, about
	Records  int64    `json:"records"`  // about
	Cases    []CaseNo `json:"cases,omitempty"`
}

// IncidentControllerNotified records that the controller was told.
type IncidentControllerNotified struct {
	Incident string `json:"incident"`
	At       Time   `json:"at"`
	Delay    Delay  `json:"delay,omitempty"`
}

// IncidentAuthorityNotified records that the authority was told.
type IncidentAuthorityNotified struct {
	Incident string `json:"incident"`
	At       Time   `json:"at"`
	Delay    Delay  `json:"delay,omitempty"`
}

// IncidentSubjectsNotified records that persons concerned were told.
type IncidentSubjectsNotified struct {
	Incident string `json:"incident"`
	At       Time   `json:"at"`
	How      Told   `json:"how"`
	Subjects int64  `json:"subjects"`
}

// IncidentClosed ends an incident. Each notification that was not made needs
// its exemption, and each that was late its delay; see [Incident.MayClose].
type IncidentClosed struct {
	Incident   string `json:"incident"`
	Authority  Exempt `json:"authority,omitempty"`
	Controller Exempt `json:"controller,omitempty"`
	Subjects   Exempt `json:"subjects,omitempty"`
	Delay      Delay  `json:"delay,omitempty"`
}

// Type returns [TypeRequestReceived].
func (RequestReceived) Type() Type { return TypeRequestReceived }

// Type returns [TypeRequestExtended].
func (RequestExtended) Type() Type { return TypeRequestExtended }

// Type returns [TypeRequestAnswered].
func (RequestAnswered) Type() Type { return TypeRequestAnswered }

// Type returns [TypeIncidentOpened].
func (IncidentOpened) Type() Type { return TypeIncidentOpened }

// Type returns [TypeIncidentAssessed].
func (IncidentAssessed) Type() Type { return TypeIncidentAssessed }

// Type returns [TypeIncidentControllerNotified].
func (IncidentControllerNotified) Type() Type { return TypeIncidentControllerNotified }

// Type returns [TypeIncidentAuthorityNotified].
func (IncidentAuthorityNotified) Type() Type { return TypeIncidentAuthorityNotified }

// Type returns [TypeIncidentSubjectsNotified].
func (IncidentSubjectsNotified) Type() Type { return TypeIncidentSubjectsNotified }

// Type returns [TypeIncidentClosed].
func (IncidentClosed) Type() Type { return TypeIncidentClosed }

func (p RequestReceived) check() error {
	return must(condition{"request", isID(p.Request)}, condition{"kind", p.Kind.Valid()}, condition{"received", !p.Received.IsZero()},
		condition{"due", p.Due.After(p.Received.Time)})
}

func (p RequestExtended) check() error {
	return must(condition{"request", isID(p.Request)}, condition{"told", !p.Told.IsZero()},
		condition{"due", p.Due.After(p.Told.Time)}, condition{"why", p.Why.Valid()})
}

func (p RequestAnswered) check() error {
	return must(condition{"request", isID(p.Request)}, condition{"at", !p.At.IsZero()}, condition{"outcome", p.Outcome.Valid()},
		condition{"delay", p.Delay == "" || p.Delay.Valid()})
}

func (p IncidentOpened) check() error {
	return must(condition{"incident", isID(p.Incident)}, condition{"kind", p.Kind.Valid()}, condition{"aware", !p.Aware.IsZero()},
		condition{"happened", p.Happened.IsZero() || !p.Happened.After(p.Aware.Time)}, condition{"role", p.Role.Valid()},
		condition{"authority_due", p.AuthorityDue.After(p.Aware.Time)},
		condition{"controller_due", p.ControllerDue.IsZero() == (p.Role != RoleProcessor) && (p.ControllerDue.IsZero() || p.ControllerDue.After(p.Aware.Time))},
		condition{"cases", isSet(p.Cases, isCaseNo)})
}

func (p IncidentAssessed) check() error {
	return must(condition{"incident", isID(p.Incident)}, condition{"risk", p.Risk.Valid()}, natural("subjects", p.Subjects),
		natural("records", p.Records), condition{"cases", isSet(p.Cases, isCaseNo)})
}

func (p IncidentControllerNotified) check() error { return checkTold(p.Incident, p.At, p.Delay) }
func (p IncidentAuthorityNotified) check() error  { return checkTold(p.Incident, p.At, p.Delay) }

func checkTold(incident string, at Time, delay Delay) error {
	return must(condition{"incident", isID(incident)}, condition{"at", !at.IsZero()}, condition{"delay", delay == "" || delay.Valid()})
}

func (p IncidentSubjectsNotified) check() error {
	return must(condition{"incident", isID(p.Incident)}, condition{"at", !p.At.IsZero()}, condition{"how", p.How.Valid()}, natural("subjects", p.Subjects))
}

func (p IncidentClosed) check() error {
	return must(condition{"incident", isID(p.Incident)},
		condition{"authority", p.Authority == "" || oneOf(p.Authority, ExemptNoRisk, ExemptController)},
		condition{"controller", p.Controller == "" || oneOf(p.Controller, ExemptNoRisk)},
		condition{"subjects", p.Subjects == "" || oneOf(p.Subjects, ExemptEncrypted, ExemptMeasures, ExemptPublic, ExemptController)},
		condition{"delay", p.Delay == "" || p.Delay.Valid()})
}

func isCaseNo(no CaseNo) bool { _, err := ParseCaseNo(string(no)); return err == nil }

// isCorrectable holds for the private fields that a correction may replace:
// what describes the customer and his things. Why somebody acted is not
// corrected but said again.
func isCorrectable(field string) bool {
	return slices.Contains(correctable(), field)
}

func correctable() []string {
	return []string{
		FieldAccessories, FieldAddress, FieldCondition, FieldCustomer, FieldEmail, FieldFault, FieldMaker, FieldModel,
		FieldName, FieldPhone, FieldProxy, FieldRecipient, FieldSerial, FieldTicket,
	}
}
