package report

import "salvor/custody/report/layout"

func (p AuditPaper) head() Head            { return p.Head }
func (p AuditPaper) foot() Foot            { return p.Foot }
func (p AuditPaper) facts() any            { return utc(p) }
func (p AuditPaper) check() error          { return nil }
func (p AuditPaper) title(l locale) string { return l.say("chk.integrity") }

func (p AuditPaper) write(s *page) {
	s.para(s.say("audit.what"))
	result := "chk.ok"
	if !p.sound() {
		result = "chk.broken"
	}
	s.strong(s.say(result))
	s.field(s.say("coc.datetime"), s.deadline(p.At))
	s.field(s.say("audit.events"), s.number(p.Events))
	s.field(s.say("audit.cases"), s.number(p.Cases))

	p.checks(s)
	p.todo(s)
	p.stations(s)
	s.heading(s.say("audit.faults"))
	if len(p.Faults) == 0 {
		s.para(s.say("audit.faults_none"))
	}
	for _, f := range p.Faults {
		event := ""
		if f.Event != "" {
			event = s.code("event.", f.Event)
		}
		s.item(join(plain(f.Ref), event, s.code("audit.fault.", f.Check)) + " " + s.say("audit.technical", "words", f.Words))
	}
	if p.More > 0 {
		s.para(s.count("audit.more", p.More))
	}
}

// checks says what was looked at, and which of it is not in order.
func (p AuditPaper) checks(s *page) {
	s.heading(s.say("audit.checks"))
	t := layout.Table{Columns: []layout.Column{{Title: s.say("era.check"), Lead: true}, {Title: s.say("era.result"), Lead: true}}}
	for _, c := range p.Checks {
		ok := s.say("audit.ok")
		switch {
		case c.Undone:
			ok = s.say("audit.undone")
		case !c.OK:
			ok = s.say("audit.bad")
		}
		t.Rows = append(t.Rows, []string{s.code("audit.check.", c.Code), ok})
	}
	s.table(t, s.say("doc.not_recorded"))
}

// todo says what has to be done about each check that failed.
func (p AuditPaper) todo(s *page) {
	if p.sound() {
		return
	}
	s.heading(s.say("audit.todo"))
	s.item(s.say("audit.do_first"))
	for _, c := range p.Checks {
		if !c.OK && !c.Undone && s.known("audit.do."+c.Code) {
			s.item(s.say("audit.do." + c.Code))
		}
	}
}

func (p AuditPaper) stations(s *page) {
	s.heading(s.say("audit.stations"))
	stations := layout.Table{Columns: []layout.Column{
		{Title: s.say("app.station"), Lead: true},
		{Title: s.say("foot.size"), Lead: true, Right: true},
		{Title: s.say("coc.datetime"), Lead: true},
		{Title: s.say("chk.code"), Code: true},
	}}
	for _, h := range p.Stations {
		name := plain(h.Station)
		if h.Retired {
			name = join(name, s.say("audit.retired"))
		}
		stations.Rows = append(stations.Rows, []string{name, s.number(h.Size), s.minute(h.Seen), plain(h.Code)})
	}
	s.table(stations, s.say("doc.not_recorded"))
}

// sound tells that nothing was found: no fault, and every check passed. An audit that
// checked nothing is not sound.
func (p AuditPaper) sound() bool {
	for _, c := range p.Checks {
		if !c.OK {
			return false
		}
	}
	return len(p.Faults) == 0 && len(p.Checks) > 0
}
