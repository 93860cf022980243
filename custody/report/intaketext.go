package report

import (
	"strconv"
	"strings"

	"salvor/custody"
	"salvor/custody/report/layout"
)

func (p IntakePaper) head() Head            { return p.Head }
func (p IntakePaper) foot() Foot            { return p.Foot }
func (p IntakePaper) facts() any            { return utc(p) }
func (p IntakePaper) check() error          { return nil }
func (p IntakePaper) title(l locale) string { return l.say("doc.intake") }

func (p IntakePaper) write(s *page) {
	p.who(s)
	s.heading(s.say("custody.items"))
	s.items(p.Items)
	p.work(s)
	p.keeping(s)
	p.rights(s)
	s.add(layout.Signatures{
		{Role: s.say("who.owner_or_authorised"), Name: s.signer(p.Customer.Name, p.Proxy, p.ProxyFor), Date: s.say("coc.datetime")},
		{Role: s.say("coc.received_by"), Name: plain(p.Received), Date: s.say("coc.datetime")},
	})
	if p.Copy == CopyCustomer {
		p.receipt(s)
	}
}

func (p IntakePaper) who(s *page) {
	s.heading(s.say("app.case") + " " + plain(p.Case))
	s.field(s.say("custody.opened"), s.deadline(p.Opened))
	s.field(s.say("who.customer"), s.personal(p.Customer.Name))
	s.field(s.say("custody.customer_kind"), s.customerKind(p.Customer.Business))
	s.personalField(s.say("intake.address"), p.Customer.Address)
	s.personalField(s.say("intake.phone"), p.Customer.Phone)
	s.personalField(s.say("intake.email"), p.Customer.Email)
	if p.Copy != CopyCustomer {
		s.personalField(s.say("custody.ticket"), p.Ticket)
	}
	by := s.say("intake.by_owner")
	if p.Proxy {
		by = s.say("intake.by_proxy", "name", s.personal(p.ProxyFor))
	}
	s.field(s.say("intake.brought"), by)
	role := custody.RoleController
	if p.Role == custody.RoleProcessor {
		role = custody.RoleProcessor
	}
	s.field(s.say("intake.role"), s.say("role."+string(role), "shop", p.Shop.Name))
	if p.Contract != "" {
		s.field(s.say("gdpr.dpa_contract"), plain(p.Contract))
	}
}

// signer is whose name stands in the box of the customer.
func (l locale) signer(name Personal, proxy bool, by Personal) string {
	if proxy && !by.empty() {
		return l.personal(by)
	}
	if name.empty() {
		return ""
	}
	return l.personal(name)
}

// work says what is to be done, and what may be done and not.
func (p IntakePaper) work(s *page) {
	s.heading(s.say("intake.work"))
	s.field(s.say("gdpr.purpose"), s.purpose(string(p.Purpose)))
	s.field(s.say("intake.wanted"), s.personal(p.Wanted))
	s.field(s.say("intake.excluded"), s.personal(p.Excluded))
	var special []string
	for _, c := range p.Special {
		special = append(special, s.code("special.", string(c)))
	}
	if len(special) == 0 {
		special = []string{s.say("intake.special_none")}
	}
	s.field(s.say("gdpr.special"), strings.Join(special, s.semicolon()))
	allowed := p.Allowed
	if len(allowed) == 0 {
		allowed = []custody.Action{custody.ActionImage}
	}
	var may []string
	for _, a := range allowed {
		may = append(may, s.code("action.", string(a)))
	}
	s.field(s.say("intake.allowed"), strings.Join(may, s.semicolon()))
	s.inset(s.say("intake.not_allowed"))
}

// keeping says what becomes of the data, and until when.
func (p IntakePaper) keeping(s *page) {
	s.heading(s.say("intake.keeping"))
	end := s.say("intake.end_open")
	if p.End != "" {
		end = s.code("end.", string(p.End))
	}
	s.field(s.say("intake.end"), end)
	s.field(s.say("ret.due"), s.deadline(p.Deadline))
	if p.Keep != "" {
		s.field(s.say("ret.period"), s.period(p.Keep))
	}
	s.para(s.say("intake.most"))
	s.para(s.say("intake.encrypted"))
}

// rights is what the customer is told before he agrees.
func (p IntakePaper) rights(s *page) {
	s.heading(s.say("intake.rights_title"))
	s.para(s.say("intake.consent", "shop", p.Shop.Name))
	if p.Notice != "" || !p.Agreed.IsZero() {
		agreed := s.say("intake.agreed_here")
		if !p.Agreed.IsZero() {
			agreed = s.minute(p.Agreed)
		}
		s.field(s.say("gdpr.consent"), agreed)
		if p.Notice != "" {
			s.field(s.say("intake.notice"), plain(p.Notice))
		}
	}
	s.para(s.say("intake.rights", "dpo", p.Shop.DPO))
	s.para(s.say("intake.authority"))
	if p.Role == custody.RoleProcessor {
		s.para(s.say("intake.processor"))
	}
}

// receipt is what the customer tears off and brings back.
func (p IntakePaper) receipt(s *page) {
	inner := &page{locale: s.locale}
	inner.heading(s.say("doc.intake_receipt") + " " + plain(p.Case))
	inner.para(join(plain(p.Shop.Name), plain(p.Shop.Address), plain(p.Shop.Phone)))
	inner.field(s.say("custody.opened"), s.deadline(p.Opened))
	var things []string
	for _, it := range p.Items {
		things = append(things, join(plain(it.Number)+" "+s.code("item.", it.Kind), textOf(it.Model)))
	}
	inner.field(s.say("custody.items"), strings.Join(things, s.semicolon()))
	inner.field(s.say("coc.received_by"), plain(p.Received))
	if p.Code != "" {
		inner.field(s.say("intake.code"), plain(p.Code))
	}
	inner.para(s.say("intake.bring"))
	s.add(layout.Receipt{Cut: s.say("intake.cut"), Blocks: inner.blocks, QR: labelPrefix + plain(p.Case)})
}

// textOf is a text about a person where it is still there, else nothing.
func textOf(p Personal) string {
	if !p.ErasedOn.IsZero() {
		return ""
	}
	return plain(p.Text)
}

// period writes a period as it was asked for in words: "90d" is "90 days". A date stays
// a date.
func (l locale) period(text string) string {
	if text == "" {
		return ""
	}
	n, err := strconv.ParseInt(text[:len(text)-1], 10, 64)
	key := map[byte]string{'d': "period.days", 'w': "period.weeks", 'm': "period.months", 'h': "period.hours"}[text[len(text)-1]]
	if err != nil || key == "" {
		return plain(text)
	}
	return l.count(key, n)
}
