package report

import (
	"strconv"
	"strings"

	"salvor/custody"
	"salvor/custody/report/layout"
)

func (p RegisterPaper) head() Head            { return p.Head }
func (p RegisterPaper) foot() Foot            { return p.Foot }
func (p RegisterPaper) facts() any            { return utc(p) }
func (p RegisterPaper) check() error          { return nil }
func (p RegisterPaper) title(l locale) string { return l.say("doc.register30") }

func (p RegisterPaper) write(s *page) {
	s.heading(s.say("register.about"))
	s.field(s.say("gdpr.controller"), join(plain(p.Shop.Name), plain(p.Shop.Address)))
	s.field(s.say("register.contact"), s.orUnknown(join(plain(p.Shop.Phone), plain(p.Shop.Email))))
	s.field(s.say("gdpr.dpo"), plain(p.Shop.DPO))
	s.field(s.say("register.representative"), s.orNone(p.Representative))
	s.field(s.say("register.joint"), s.orNone(p.Joint))
	s.field(s.say("register.updated"), s.deadline(p.Updated))
	for i, a := range p.Controller {
		p.activity(s, a, s.say("register.number", "part", "30(1)", "n", strconv.Itoa(i+1)), false)
	}
	s.heading(s.say("doc.register30_2"))
	p.clients(s)
	for i, a := range p.Processor {
		p.activity(s, a, s.say("register.number", "part", "30(2)", "n", strconv.Itoa(i+1)), true)
	}
	p.processors(s)
	p.periods(s)
}

// orNone says that there is none where nothing is said.
func (l locale) orNone(text string) string {
	if strings.TrimSpace(text) == "" {
		return l.say("register.none")
	}
	return plain(text)
}

// activity writes the fields of Article 30(1), or of 30(2) for a processor.
func (p RegisterPaper) activity(s *page, a Activity, number string, processor bool) {
	own := a.Own
	if own == nil {
		say := func(field string) string { return s.say("activity." + a.Code + "." + field) }
		own = &OwnActivity{
			Name: say("name"), Purposes: say("purposes"), Subjects: say("subjects"), Data: say("data"),
			Recipients: say("recipients"), ThirdCountry: s.say("activity.third_country"), Period: say("period"), Measures: s.say("activity.measures"),
		}
	}
	s.heading(number + s.colon() + " " + plain(own.Name))
	if processor {
		s.field(s.say("register.categories"), plain(own.Purposes))
	} else {
		s.field(s.say("gdpr.purpose"), plain(own.Purposes))
	}
	s.field(s.say("gdpr.cat_subjects"), plain(own.Subjects))
	s.field(s.say("gdpr.cat_data"), plain(own.Data))
	s.field(s.say("gdpr.recipients"), plain(own.Recipients))
	abroad := plain(own.ThirdCountry)
	if a.Code == ActivityRescue || a.Code == ActivityForOthers {
		abroad = p.thirdCountries(s, own.ThirdCountry)
	}
	s.field(s.say("gdpr.third_country"), abroad)
	s.field(s.say("ret.period"), plain(own.Period))
	s.field(s.say("gdpr.measures"), plain(own.Measures))
}

// thirdCountries names the processors outside the European Economic Area: customers'
// disks go to them, so the activities that are about those disks say so.
func (p RegisterPaper) thirdCountries(s *page, said string) string {
	var outside []string
	for _, r := range p.Processors {
		if r.Ended == "" && !custody.InEEA(r.Country) {
			safeguard := s.say("register.no_safeguard")
			if r.Safeguard != "" {
				safeguard = s.code("safeguard.", string(r.Safeguard))
			}
			outside = append(outside, s.say("register.outside", "name", textOrID(r), "country", r.Country, "safeguard", safeguard))
		}
	}
	if len(outside) == 0 {
		return plain(said)
	}
	return strings.Join(outside, "; ")
}

func textOrID(r RegisterProcessor) string {
	if name := textOf(r.Name); name != "" {
		return name
	}
	return r.ID
}

func (p RegisterPaper) clients(s *page) {
	t := layout.Table{Columns: []layout.Column{
		{Title: s.say("gdpr.controller"), Lead: true}, {Title: s.say("register.contact"), Lead: true}, {Title: s.say("gdpr.dpa_contract"), Lead: true},
	}}
	for _, c := range p.Clients {
		t.Rows = append(t.Rows, []string{s.personal(c.Name), textOf(c.Contact), plain(c.Contract)})
	}
	s.table(t, s.say("register.clients_none"))
}

func (p RegisterPaper) processors(s *page) {
	s.heading(s.say("register.processors"))
	t := layout.Table{Columns: []layout.Column{
		{Title: s.say("gdpr.processor"), Lead: true},
		{Title: s.say("register.services"), Lead: true},
		{Title: s.say("gdpr.dpa_contract")},
		{Title: s.say("custody.since")},
		{Title: s.say("custody.until")},
		{Title: s.say("register.country")},
		{Title: s.say("register.safeguard")},
	}}
	for _, r := range p.Processors {
		var services []string
		for _, v := range r.Services {
			services = append(services, s.code("service.", string(v)))
		}
		until, safeguard := string(r.Until), ""
		if r.Ended != "" {
			until = string(r.Ended)
		}
		if r.Safeguard != "" {
			safeguard = s.code("safeguard.", string(r.Safeguard))
		} else if custody.InEEA(r.Country) {
			safeguard = s.say("register.eea")
		}
		t.Rows = append(t.Rows, []string{
			plain(textOrID(r)), strings.Join(services, ", "), plain(r.Contract), plain(string(r.From)), plain(until), plain(r.Country), safeguard,
		})
	}
	s.table(t, s.say("register.processors_none"))
}

func (p RegisterPaper) periods(s *page) {
	if len(p.Periods) == 0 {
		return
	}
	s.heading(s.say("register.periods"))
	t := layout.Table{Columns: []layout.Column{
		{Title: s.say("register.rule"), Lead: true}, {Title: s.say("register.value"), Lead: true}, {Title: s.say("custody.since"), Lead: true},
	}}
	for _, v := range p.Periods {
		from := plain(string(v.From))
		if from == "" {
			from = s.say("register.by_default")
		}
		value := s.period(v.Value)
		if key := "policy.value." + v.Value; s.known(key) {
			value = s.say(key)
		}
		t.Rows = append(t.Rows, []string{s.code("policy.", string(v.Name)), plain(value), from})
	}
	s.add(t)
}
