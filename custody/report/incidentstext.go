package report

import (
	"strings"
	"time"
)

func (p IncidentsPaper) head() Head            { return p.Head }
func (p IncidentsPaper) foot() Foot            { return p.Foot }
func (p IncidentsPaper) facts() any            { return utc(p) }
func (p IncidentsPaper) check() error          { return nil }
func (p IncidentsPaper) title(l locale) string { return l.say("doc.incidents") }

func (p IncidentsPaper) write(s *page) {
	s.para(s.say("incidents.what"))
	if len(p.Incidents) == 0 {
		s.para(s.say("incidents.none"))
	}
	for _, i := range p.Incidents {
		i.write(s, p.At)
	}
}

func (i Incident) write(s *page, now time.Time) {
	s.heading(join(s.say("incidents.one", "id", i.ID), s.code("incident.", string(i.Kind))))
	s.field(s.say("inc.aware"), s.deadline(i.Aware))
	happened := s.say("doc.unknown")
	if !i.Happened.IsZero() {
		happened = s.minute(i.Happened)
	}
	s.field(s.say("incidents.happened"), happened)
	s.field(s.say("intake.role"), s.code("role.short.", string(i.Role)))
	if len(i.Cases) > 0 {
		s.field(s.say("incidents.cases"), plain(strings.Join(i.Cases, ", ")))
	}
	s.field(s.say("inc.facts"), s.personal(i.Facts))
	s.field(s.say("inc.effects"), s.personal(i.Effects))
	s.field(s.say("inc.measures"), s.personal(i.Measures))
	risk := s.say("incidents.unassessed")
	if i.Risk != "" {
		risk = s.code("risk.", string(i.Risk))
	}
	s.field(s.say("inc.risk"), risk)
	s.field(s.say("incidents.concerned"), join(s.count("incidents.persons", i.Subjects), s.count("incidents.records", i.Records)))
	s.field(s.say("inc.notify_authority"), i.Authority.words(s, now, i.Closed))
	if i.Role == "processor" {
		s.field(s.say("inc.notify_controller"), i.Controller.words(s, now, i.Closed))
	}
	if i.Risk == "high" || i.Persons != (Notification{}) {
		s.field(s.say("inc.notify_subject"), i.Persons.words(s, now, i.Closed))
	}
	closed := s.say("incidents.open")
	if !i.Closed.IsZero() {
		closed = s.minute(i.Closed)
	}
	s.field(s.say("incidents.closed"), closed)
}

// words tell how one clock stands.
func (n Notification) words(s *page, now, closed time.Time) string {
	due := s.say("incidents.at_once")
	if !n.Due.IsZero() {
		due = s.say("incidents.due", "time", s.minute(n.Due))
	}
	var state string
	switch {
	case n.Exempt != "":
		return s.code("exempt.", string(n.Exempt))
	case !n.Told.IsZero():
		state = s.say("incidents.told", "time", s.minute(n.Told))
		if !n.Due.IsZero() && n.Told.After(n.Due) {
			state = join(state, s.say("ret.overdue"))
		}
	case !closed.IsZero():
		state = s.say("doc.not_recorded")
	case n.Due.IsZero():
		state = s.say("incidents.not_told")
	case now.After(n.Due):
		state = join(s.say("incidents.not_told"), s.say("ret.overdue"))
	default:
		state = join(s.say("incidents.not_told"), s.say("inc.hours_left")+s.colon()+" "+s.number(int64(n.Due.Sub(now)/time.Hour)))
	}
	text := join(due, state)
	if n.Delay != "" || !n.Reason.empty() {
		var why []string
		if n.Delay != "" {
			why = append(why, s.code("delay.", string(n.Delay)))
		}
		if !n.Reason.empty() {
			why = append(why, s.personal(n.Reason))
		}
		text = join(text, s.say("inc.delay_reason")+s.colon()+" "+strings.Join(why, ", "))
	}
	return text
}
