package report

import (
	"strings"
	"time"

	"salvor/custody/report/layout"
)

func (p DuePaper) head() Head            { return p.Head }
func (p DuePaper) foot() Foot            { return p.Foot }
func (p DuePaper) facts() any            { return utc(p) }
func (p DuePaper) check() error          { return nil }
func (p DuePaper) title(l locale) string { return l.say("doc.retention") }

func (p DuePaper) write(s *page) {
	p.tasks(s)
	p.totals(s)
	p.cases(s)
	p.reasons(s)
	p.disks(s)
	p.people(s)
	p.clocks(s)
	s.add(layout.Signatures{{Role: s.say("who.manager"), Date: s.say("coc.datetime")}})
}

// tasks says first what the manager has to do: it is read before the list is.
func (p DuePaper) tasks(s *page) {
	s.heading(s.say("due.todo"))
	states := map[string]int64{}
	var reviews int64
	for _, c := range p.Cases {
		states[c.State]++
		for _, h := range c.Holds {
			if h.Review != "" && string(h.Review) <= p.At.In(s.zone).Format(time.DateOnly) {
				reviews++
			}
		}
	}
	var absent, faulty, strays, missing, clocks int64
	for _, d := range p.Absent {
		if d.Fault != "" {
			faulty++
		} else {
			absent += d.Copies
		}
	}
	for _, c := range p.Clocks {
		if c.Kind != ClockReview { // counted above, where it is due
			clocks++
		}
	}
	for _, x := range p.Strays {
		strays += x.Count
	}
	for _, x := range p.Missing {
		missing += x.Count
	}
	var todo []string
	for _, t := range []struct {
		key string
		n   int64
	}{
		{"due.do_failed", states[DueFailed]},
		{"due.do_overdue", states[DueOverdue]},
		{"due.do_unvalidated", states[DueUnvalidated]},
		{"due.do_undated", states[DueUndated]},
		{"due.do_review", reviews},
		{"due.do_absent", absent},
		{"due.do_faulty", faulty},
		{"due.do_strays", strays},
		{"due.do_missing", missing},
		{"due.do_clocks", clocks},
		{"due.do_operators", int64(len(p.Operators))},
	} {
		if t.n > 0 {
			todo = append(todo, s.count(t.key, t.n))
		}
	}
	if p.Audit != LedgerOK {
		todo = append(todo, s.say("due.do_audit"))
	}
	if len(todo) == 0 {
		todo = append(todo, s.say("due.do_nothing"))
	}
	s.add(layout.List(todo))
}

func (p DuePaper) totals(s *page) {
	purged := s.say("doc.not_recorded")
	if !p.LastPurge.IsZero() {
		purged = s.minute(p.LastPurge)
	}
	s.para(join(
		s.count("due.total_cases", p.Totals.Cases), s.count("due.total_copies", p.Totals.Copies), s.size(p.Totals.Bytes),
		s.count("due.total_erased", p.Totals.Erased), s.say("due.last_purge", "time", purged),
	))
}

func (p DuePaper) cases(s *page) {
	title := s.say("due.list", "date", s.day(p.At))
	if !p.Until.IsZero() {
		title = s.say("due.list_until", "date", s.day(p.Until))
	}
	s.heading(title)
	t := layout.Table{Dense: true, Columns: []layout.Column{
		{Title: s.say("app.case_no"), Lead: true},
		{Title: s.say("ret.captured_on")},
		{Title: s.say("ret.due"), Lead: true},
		{Title: s.say("ret.days_left"), Right: true},
		{Title: s.say("gdpr.purpose")},
		{Title: s.say("due.place")},
		{Title: s.say("due.state"), Lead: true},
		{Title: s.say("ret.hold")},
	}}
	for _, c := range p.Cases {
		days, captured, due := "", "", ""
		if !c.Due.IsZero() {
			days, due = s.number(int64(c.DaysLeft)), s.date(c.Due)
		}
		if !c.Captured.IsZero() {
			captured = s.date(c.Captured)
		}
		var holds []string
		for _, h := range c.Holds {
			text := s.code("hold.short.", string(h.Kind))
			if h.Review != "" {
				text += "\u00a0→\u00a0" + plain(string(h.Review))
			}
			holds = append(holds, text)
		}
		t.Rows = append(t.Rows, []string{
			plain(c.Case), captured, due, days, s.code("purpose.short.", string(c.Purpose)), plain(c.Place), s.code("due.state.", c.State), strings.Join(holds, ", "),
		})
	}
	s.table(t, s.say("due.list_none"))
}

// date writes a day for a table: ISO 8601, in the shop's zone.
func (l locale) date(t time.Time) string { return t.In(l.zone).Format(time.DateOnly) }

// reasons lists what is kept longer than usual, and why.
func (p DuePaper) reasons(s *page) {
	var longer []string
	for _, c := range p.Cases {
		if !c.Longer.empty() {
			longer = append(longer, plain(c.Case)+s.colon()+" "+s.personal(c.Longer))
		}
	}
	if len(longer) > 0 {
		s.heading(s.say("due.longer"))
		s.add(layout.List(longer))
	}
}

func (p DuePaper) disks(s *page) {
	if len(p.Absent)+len(p.Strays)+len(p.Missing) == 0 {
		return
	}
	s.heading(s.say("due.disks"))
	for _, d := range p.Absent {
		key, seen := "due.absent", ""
		switch {
		case d.Fault != "":
			key, seen = "due.faulty", s.say("doc.in_english", "words", d.Fault)
		case d.Never:
			seen = s.say("due.never_seen")
		case !d.Seen.IsZero():
			seen = s.say("due.seen", "time", s.minute(d.Seen))
		}
		s.item(join(s.say(key, "name", d.Name), s.count("due.total_copies", d.Copies), seen))
	}
	for _, x := range p.Strays {
		s.item(s.count("due.strays", x.Count, "vault", x.Vault))
	}
	for _, x := range p.Missing {
		s.item(s.count("due.missing", x.Count, "vault", x.Vault))
	}
}

func (p DuePaper) people(s *page) {
	if len(p.Operators) == 0 {
		return
	}
	s.heading(s.say("due.operators"))
	for _, o := range p.Operators {
		s.item(plain(o.Name) + s.colon() + " " + strings.TrimSpace(s.code("operator.", o.Lacks)+" "+plain(string(o.Since))))
	}
}

func (p DuePaper) clocks(s *page) {
	if len(p.Clocks) == 0 {
		return
	}
	s.heading(s.say("due.clocks"))
	for _, c := range p.Clocks {
		left := s.say("ret.overdue")
		if c.Due.After(p.At) {
			left = s.span(c.Due.Sub(p.At))
		}
		s.item(join(s.code("clock.", c.Kind), plain(c.Of), s.minute(c.Due), left))
	}
}

// span writes how long something still lasts: in hours up to three days, else in days.
func (l locale) span(d time.Duration) string {
	if d < 72*time.Hour {
		return l.count("due.hours", int64(d/time.Hour))
	}
	return l.count("due.days", int64(d/(24*time.Hour)))
}
