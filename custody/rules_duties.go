package custody

import (
	"errors"
	"fmt"
	"time"
)

// The refusals about the shop's registers and rules.
var (
	ErrNoRequest    = errors.New("no such open request")
	ErrNoIncident   = errors.New("no such open incident")
	ErrFuture       = errors.New("in the future")
	ErrPast         = errors.New("in the past")
	ErrTooLate      = errors.New("told after the term was over")
	ErrExtended     = errors.New("the request was prolonged already")
	ErrDue          = errors.New("later than the law allows")
	ErrNotAssessed  = errors.New("the incident is not assessed")
	ErrNotNotified  = errors.New("somebody who must be told is not told, and nothing exempts from it")
	ErrNotTold      = errors.New("the risk is high, and the persons are not told")
	ErrUnexcused    = errors.New("it was late, and no reason is recorded")
	ErrNoStation    = errors.New("the station is not enrolled")
	ErrNotRetired   = errors.New("the station is not retired")
	ErrNoOwnKey     = errors.New("an operator registers only his own key")
	ErrNoSuchKey    = errors.New("the operator has no such active key")
	ErrNoProcessor  = errors.New("the processor is not registered")
	ErrNoVault      = errors.New("the vault is not registered")
	ErrNoCorrection = errors.New("a correction gives a reason and the right value of each field")
)

// oneDay is how far the days of the shop's zone can be from those of UTC.
const oneDay = 24 * time.Hour

// grace is granted to the moments of the law's terms, which are those of the shop's
// zone, by rules that do not know it.
func (s Shop) grace() time.Duration {
	if s.Zone == nil {
		return oneDay
	}
	return 0
}

// allowDuties applies the rules about events that stand in a case or in the
// shop's own record.
func allowDuties(s Shop, g registers, e Event, private map[string]string) error {
	now := e.TS.Time
	switch p := e.Pub.(type) {
	case StationRetired:
		x, ok := s.Station(p.Station)
		switch {
		case !ok:
			return ErrNoStation
		case p.Station == e.Station && p.Last < e.Seq:
			return fmt.Errorf("station: %w", ErrPast) // it would undo itself
		case x.Retired != nil && p.Last >= x.Retired.Last:
			return fmt.Errorf("station: %w", ErrExists)
		}
	case StationSettled:
		x, ok := s.Station(p.Station)
		switch {
		case !ok:
			return ErrNoStation
		case x.Retired == nil:
			return ErrNotRetired
		case p.Counts && x.Counts(p.Last), !p.Counts && x.Dismissed(p.Last, p.Root):
			return fmt.Errorf("station: %w", ErrExists)
		}
	case PolicySet:
		if p.From < s.day(now.Add(-s.grace())) {
			return fmt.Errorf("from: %w", ErrPast)
		}
	case ProcessorAdded:
		if p.Parent != "" {
			return s.hasProcessor(p.Parent)
		}
	case ProcessorEnded:
		return s.hasProcessor(p.Processor)
	case OperatorKeyAdded:
		return s.mayAddKey(e, p)
	case OperatorKeyEnded:
		o, _ := s.Operator(p.Op)
		k, ok := find(o.Keys, func(k OperatorKey) bool { return k.Key == p.Key })
		if !ok || !k.Ended.IsZero() && !p.From.Before(k.Ended) {
			return ErrNoSuchKey
		}
	case MediumDestroyed:
		if _, ok := find(s.Vaults, func(v Vault) bool { return v.Vault == p.Store }); p.Kind != CopyVault || !ok {
			return ErrNoVault
		}
		return s.mayWitness(e, p, private)
	case MediumEraseStarted:
		if _, ok := findWipe(s.Wipes, p.Job); ok {
			return fmt.Errorf("job: %w", ErrExists)
		}
		return s.mayAct(e)
	case MediumEraseFailed:
		return wiping(s.Wipes, p.Job)
	case MediumEraseDone:
		return wiping(s.Wipes, p.Job)
	case EventCorrected:
		return mayCorrect(p, private)
	default:
		return allowRegister(s, g, e, private)
	}
	return nil
}

func (s Shop) hasProcessor(id string) error {
	if _, ok := s.Processor(id); !ok {
		return ErrNoProcessor
	}
	return nil
}

func (s Shop) mayAddKey(e Event, p OperatorKeyAdded) error {
	o, ok := s.Operator(p.Op)
	switch {
	case !ok || o.Kind != OperatorPerson:
		return ErrOperator
	case e.Op != p.Op:
		return ErrNoOwnKey
	}
	for _, x := range s.Operators {
		for _, k := range x.Keys {
			if k.Verifier == p.Verifier || x.ID == p.Op && k.Key == p.Key {
				return fmt.Errorf("key: %w", ErrExists)
			}
		}
	}
	return nil
}

func mayCorrect(p EventCorrected, private map[string]string) error {
	if private[FieldReason] == "" {
		return ErrNoCorrection
	}
	said := 0
	for name, value := range private {
		if name != FieldReason && value != "" {
			said++
		}
	}
	for _, name := range p.Fields {
		if private[name] == "" {
			return ErrNoCorrection
		}
	}
	if said != len(p.Fields) {
		return ErrNoCorrection
	}
	return nil
}

func allowRegister(s Shop, g registers, e Event, private map[string]string) error {
	now, said := e.TS.Time, private[FieldReason] != ""
	switch p := e.Pub.(type) {
	case RequestReceived:
		if r, ok := g.findRequest(p.Request); ok && r.Kind != "" {
			return fmt.Errorf("request: %w", ErrExists)
		}
		months := s.Policy(s.day(p.Received.Time)).Request.Months()
		return s.term(now, p.Received, p.Due, RequestDue(p.Received.Time, months, s.local(now).Location()))
	case RequestExtended:
		return s.mayExtend(g, now, p, said)
	case RequestAnswered:
		r, ok := g.findRequest(p.Request)
		switch {
		case !ok || !r.Answered.IsZero():
			return ErrNoRequest
		case p.At.After(now):
			return ErrFuture
		case p.At.Before(r.Received):
			return ErrPast
		case p.At.After(r.Due) && p.Delay == "":
			return ErrUnexcused
		case (p.Delay != "" || p.Outcome == OutcomeRefused || p.Outcome == OutcomePartly) && !said:
			return ErrNoReason
		}
	case IncidentOpened:
		if i, ok := g.findIncident(p.Incident); ok && i.Kind != "" {
			return fmt.Errorf("incident: %w", ErrExists)
		}
		if private[FieldFacts] == "" {
			return ErrNoReason
		}
		return s.mayOpenIncident(now, p)
	case IncidentAssessed:
		return g.openIncident(p.Incident)
	case IncidentControllerNotified:
		return g.mayNotify(p.Incident, now, p.At.Time)
	case IncidentAuthorityNotified:
		return g.mayNotify(p.Incident, now, p.At.Time)
	case IncidentSubjectsNotified:
		return g.mayNotify(p.Incident, now, p.At.Time)
	case IncidentClosed:
		if err := g.openIncident(p.Incident); err != nil {
			return err
		}
		i, _ := g.findIncident(p.Incident)
		return i.MayClose(p, said)
	}
	return nil
}

// term checks a term that begins at from and was computed in the shop's
// zone: it has begun, and ends no later than the same term in any zone.
func (s Shop) term(now time.Time, from, due, latest Time) error {
	switch {
	case from.After(now):
		return ErrFuture
	case due.After(latest.Add(s.grace())):
		return ErrDue
	}
	return nil
}

// mayExtend: once, and only when the person was told, with the reason, before
// the first term was over.
func (s Shop) mayExtend(g registers, now time.Time, p RequestExtended, said bool) error {
	r, ok := g.findRequest(p.Request)
	switch {
	case !ok || r.Kind == "" || !r.Answered.IsZero():
		return ErrNoRequest
	case p.Told.After(r.FirstDue) || now.After(r.FirstDue):
		return ErrTooLate
	case p.Told.Before(r.Received):
		return ErrPast
	case r.Due.After(r.FirstDue):
		return ErrExtended
	case !said:
		return ErrNoReason
	}
	day := s.Policy(s.day(r.Received))
	return s.term(now, p.Told, p.Due, RequestDue(r.Received, day.Request.Months()+day.Extension.Months(), s.local(now).Location()))
}

func (s Shop) mayOpenIncident(now time.Time, p IncidentOpened) error {
	day := s.Policy(s.day(p.Aware.Time))
	authority := IncidentDue(p.Aware.Time, day.IncidentAuthority.Hours())
	controller := IncidentDue(p.Aware.Time, day.IncidentControl.Hours())
	switch {
	case p.Aware.After(now):
		return ErrFuture
	case p.AuthorityDue.After(authority.Time) || p.Role == RoleProcessor && p.ControllerDue.After(controller.Time):
		return ErrDue
	}
	return nil
}

func (g registers) findRequest(id string) (Request, bool) {
	return find(g.requests, func(r Request) bool { return r.ID == id })
}

func (g registers) findIncident(id string) (Incident, bool) {
	return find(g.incidents, func(i Incident) bool { return i.ID == id })
}

func (g registers) openIncident(id string) error {
	if i, ok := g.findIncident(id); !ok || !i.Open() {
		return ErrNoIncident
	}
	return nil
}

func (g registers) mayNotify(id string, now, at time.Time) error {
	if err := g.openIncident(id); err != nil {
		return err
	}
	i, _ := g.findIncident(id)
	switch {
	case at.After(now):
		return ErrFuture
	case at.Before(i.Aware):
		return ErrPast
	}
	return nil
}

// MayClose says whether the incident may be closed so: it was assessed; the
// authority was told, or the risk is none, or the controller does it; a
// processor has told the controller; and where the risk is high the persons
// were told or Article 34(3) exempts from it. Whatever was late, and whatever
// was left out, needs its reason; said tells whether the private part gives it.
func (i Incident) MayClose(p IncidentClosed, said bool) error {
	if i.Risk == "" {
		return ErrNotAssessed
	}
	processor := i.Role == RoleProcessor
	late := false
	switch {
	case i.Authority != nil:
		late = i.AuthorityClock().Overdue(i.Authority.At) && i.Authority.Delay == ""
	case p.Authority == ExemptNoRisk && i.Risk == RiskNone:
	case p.Authority == ExemptController && processor:
	default:
		return ErrNotNotified
	}
	switch {
	case i.Controller != nil:
		late = late || i.ControllerClock().Overdue(i.Controller.At) && i.Controller.Delay == ""
	case processor && (p.Controller != ExemptNoRisk || i.Risk != RiskNone):
		return ErrNotNotified
	}
	if i.Risk == RiskHigh && len(i.Told) == 0 && (p.Subjects == "" || p.Subjects == ExemptController && !processor) {
		return ErrNotTold
	}
	switch {
	case late && p.Delay == "":
		return ErrUnexcused
	case !said && (late || p.Delay != "" || p.Authority != "" || p.Controller != "" || p.Subjects != ""):
		return ErrNoReason
	}
	return nil
}
