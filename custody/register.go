package custody

import (
	"cmp"
	"slices"
	"time"
)

// A Request is one that a data subject made.
type Request struct {
	ID         string
	Ref        Ref // of request.received; zero when it has not arrived
	At         time.Time
	Op         string
	Kind       RequestKind
	Received   time.Time
	FirstDue   time.Time // of the first term
	Due        time.Time // of the term as it was prolonged in time
	Extensions []Extension
	Answered   time.Time // zero while it is open
	AnswerRef  Ref
	AnswerOp   string
	Outcome    Outcome
	Delay      Delay
}

// An Extension is more time for a request. One of which the person was told
// too late, and every one after the first, changes nothing and is shown.
type Extension struct {
	Ref    Ref
	At     time.Time
	Op     string
	Counts bool
	RequestExtended
}

// Clock returns the clock of the request.
func (r Request) Clock() Clock { return Clock{r.Received, r.Due, r.Answered} }

// An Incident is something that happened to customers' data.
type Incident struct {
	ID          string
	Ref         Ref // of incident.opened; zero when it has not arrived
	At          time.Time
	Op          string
	Kind        IncidentKind
	Role        Role
	Aware       time.Time
	Happened    time.Time // zero when not known
	Cases       []CaseNo  // of all events together, sorted
	Assessments []Assessment
	Risk        Risk  // of the newest assessment; "" before there is one
	Subjects    int64 // persons concerned, of the newest assessment

	AuthorityDue  time.Time
	ControllerDue time.Time // zero unless the shop is the processor
	Authority     *Notice   // the first
	Controller    *Notice
	Told          []SubjectNotice

	Closed   time.Time // zero while it is open
	CloseRef Ref
	CloseOp  string
	Closing  IncidentClosed
}

// An Assessment is one judgement of an incident.
type Assessment struct {
	Ref Ref
	At  time.Time
	Op  string
	IncidentAssessed
}

// A Notice says that somebody was told of an incident.
type Notice struct {
	Ref   Ref
	Op    string
	At    time.Time // when they were told
	Delay Delay
}

// A SubjectNotice says that persons concerned were told of an incident.
type SubjectNotice struct {
	Ref Ref
	Op  string
	IncidentSubjectsNotified
}

// AuthorityClock returns the clock of telling the authority.
func (i Incident) AuthorityClock() Clock { return i.clock(i.AuthorityDue, i.Authority) }

// ControllerClock returns the clock of telling the controller; it does not run
// unless the shop is the processor.
func (i Incident) ControllerClock() Clock { return i.clock(i.ControllerDue, i.Controller) }

func (i Incident) clock(due time.Time, told *Notice) Clock {
	c := Clock{From: i.Aware, Due: due}
	if told != nil {
		c.Done = told.At
	}
	return c
}

// Open reports whether the incident is not closed.
func (i Incident) Open() bool { return i.Closed.IsZero() }

// registers are the requests and incidents of a case or of the shop.
type registers struct {
	requests  []Request
	incidents []Incident
}

// apply takes an event into the registers.
func (g *registers) apply(e Event) {
	at, ref := e.TS.Time, e.Ref()
	switch p := e.Pub.(type) {
	case RequestReceived:
		if r := g.request(p.Request); r.Kind == "" {
			r.Ref, r.At, r.Op = ref, at, e.Op
			r.Kind, r.Received, r.FirstDue = p.Kind, p.Received.Time, p.Due.Time
		}
	case RequestExtended:
		r := g.request(p.Request)
		r.Extensions = append(r.Extensions, Extension{Ref: ref, At: at, Op: e.Op, RequestExtended: p})
	case RequestAnswered:
		if r := g.request(p.Request); r.Answered.IsZero() {
			r.Answered, r.AnswerRef, r.AnswerOp = p.At.Time, ref, e.Op
			r.Outcome, r.Delay = p.Outcome, p.Delay
		}
	case IncidentOpened:
		i := g.incident(p.Incident)
		i.Cases = append(i.Cases, p.Cases...)
		if i.Kind == "" {
			i.Ref, i.At, i.Op = ref, at, e.Op
			i.Kind, i.Role, i.Aware, i.Happened = p.Kind, p.Role, p.Aware.Time, p.Happened.Time
			i.AuthorityDue, i.ControllerDue = p.AuthorityDue.Time, p.ControllerDue.Time
		}
	case IncidentAssessed:
		i := g.incident(p.Incident)
		i.Assessments = append(i.Assessments, Assessment{ref, at, e.Op, p})
		i.Cases = append(i.Cases, p.Cases...)
		i.Risk, i.Subjects = p.Risk, p.Subjects
	case IncidentControllerNotified:
		i := g.incident(p.Incident)
		i.Controller = first(i.Controller, Notice{ref, e.Op, p.At.Time, p.Delay})
	case IncidentAuthorityNotified:
		i := g.incident(p.Incident)
		i.Authority = first(i.Authority, Notice{ref, e.Op, p.At.Time, p.Delay})
	case IncidentSubjectsNotified:
		i := g.incident(p.Incident)
		i.Told = append(i.Told, SubjectNotice{ref, e.Op, p})
	case IncidentClosed:
		if i := g.incident(p.Incident); i.Open() {
			i.Closed, i.CloseRef, i.CloseOp, i.Closing = at, ref, e.Op, p
		}
	}
}

// first keeps the notice that came first, by the moment it speaks of.
func first(have *Notice, n Notice) *Notice {
	if have != nil && !n.At.Before(have.At) {
		return have
	}
	return &n
}

// finish judges what depends on all events together and puts lists in order.
// except is called for each extension that came too late.
func (g *registers) finish(except func(ExceptionKind, Ref)) {
	for k := range g.requests {
		r := &g.requests[k]
		r.Due = r.FirstDue
		extended := false
		for x := range r.Extensions {
			e := &r.Extensions[x]
			switch {
			case r.Kind == "":
			case e.Told.After(r.FirstDue):
				except(LateExtension, e.Ref)
			case !extended:
				e.Counts, extended = true, true
				if e.Due.After(r.Due) {
					r.Due = e.Due.Time
				}
			}
		}
	}
	for k := range g.incidents {
		i := &g.incidents[k]
		slices.Sort(i.Cases)
		i.Cases = slices.Compact(i.Cases)
	}
	slices.SortFunc(g.requests, func(a, b Request) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(g.incidents, func(a, b Incident) int { return cmp.Compare(a.ID, b.ID) })
}

func (g *registers) request(id string) *Request {
	return entry(&g.requests, func(r Request) bool { return r.ID == id }, Request{ID: id})
}

func (g *registers) incident(id string) *Incident {
	return entry(&g.incidents, func(i Incident) bool { return i.ID == id }, Incident{ID: id})
}

// entry returns the entry of a list that is looked for, adding it when it is
// not there: events arrive in any order, so the end of something may come
// before its beginning.
func entry[T any](list *[]T, is func(T) bool, fresh T) *T {
	k := slices.IndexFunc(*list, is)
	if k < 0 {
		k = len(*list)
		*list = append(*list, fresh)
	}
	return &(*list)[k]
}

func find[T any](list []T, is func(T) bool) (T, bool) {
	if k := slices.IndexFunc(list, is); k >= 0 {
		return list[k], true
	}
	var none T
	return none, false
}
