package report

import "time"

func (p RequestsPaper) head() Head            { return p.Head }
func (p RequestsPaper) foot() Foot            { return p.Foot }
func (p RequestsPaper) facts() any            { return utc(p) }
func (p RequestsPaper) check() error          { return nil }
func (p RequestsPaper) title(l locale) string { return l.say("doc.requests") }

func (p RequestsPaper) write(s *page) {
	s.para(s.say("requests.what"))
	if len(p.Requests) == 0 {
		s.para(s.say("requests.none"))
	}
	for _, r := range p.Requests {
		r.write(s, p.At)
	}
}

func (r Request) write(s *page, now time.Time) {
	s.heading(join(s.say("requests.one", "id", r.ID), s.code("request.", string(r.Kind))))
	if r.Case != "" {
		s.field(s.say("app.case_no"), plain(r.Case))
	}
	s.field(s.say("gdpr.subject"), s.personal(r.From))
	s.personalField(s.say("requests.words"), r.Words)
	s.field(s.say("req.received"), s.deadline(r.Received))
	s.field(s.say("req.due"), s.deadline(r.Due))
	due := r.Due
	if !r.Extended.IsZero() {
		due = r.Extended
		s.field(s.say("req.extended"), join(s.deadline(r.Extended), s.say("requests.told", "time", s.minute(r.Told)), s.code("extension.", string(r.Extension))))
	}
	var state string
	switch {
	case !r.Answered.IsZero():
		state = join(s.minute(r.Answered), s.code("outcome.", string(r.Outcome)))
		if r.Answered.After(due) {
			state = join(state, s.say("ret.overdue"))
		}
	case now.After(due):
		state = join(s.say("requests.open"), s.say("ret.overdue"))
	default:
		state = join(s.say("requests.open"), s.span(due.Sub(now)))
	}
	s.field(s.say("requests.answered"), state)
	if r.Delay != "" {
		s.field(s.say("inc.delay_reason"), s.code("delay.", string(r.Delay)))
	}
	s.personalField(s.say("custody.why"), r.Reason)
}
