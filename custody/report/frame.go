package report

import "strings"

// head writes what stands at the top of every paper.
func (s *sheet) head(l locale, h Head, title string) {
	s.colon = l.colon()
	s.ends(plain(h.Shop.Name), l.say("doc.number")+s.colon+" "+plain(h.Number))
	if h.Shop.Address != "" {
		s.para(plain(h.Shop.Address))
	}
	if h.Shop.CompanyNumber != "" {
		s.para(l.say("doc.company_number") + s.colon + " " + plain(h.Shop.CompanyNumber))
	}
	s.para(l.say("gdpr.dpo") + s.colon + " " + plain(h.Shop.DPO))
	s.blank()
	s.title(title)
	s.para(l.say("doc.printed_on") + " " + l.day(h.PrintedAt) + " (" + l.minute(h.PrintedAt) + ")")
	s.para(l.say("doc.printed_by") + s.colon + " " + plain(h.PrintedBy))
}

// foot writes what stands at the bottom of every paper.
func (s *sheet) foot(l locale, f Foot) {
	s.heading(l.say("foot.title"))
	s.field(l.say("app.ledger"), f.state(l))
	s.field(l.say("foot.size"), l.number(f.Checkpoint.Size))
	s.field(l.say("chk.code"), plain(f.Checkpoint.Code))
	s.blank()
	s.para(l.say("foot.why"))
}

// state never says that a ledger is in order when nobody looked.
func (f Foot) state(l locale) string {
	key := ""
	switch f.Ledger {
	case LedgerOK:
		key = "chk.ok"
	case LedgerBroken:
		key = "chk.broken"
	}
	switch {
	case key == "" || f.AuditedAt.IsZero() && f.Ledger == LedgerOK:
		return l.say("foot.unaudited")
	case f.AuditedAt.IsZero():
		return l.say(key)
	}
	return l.say("foot.audited", "state", l.say(key), "date", l.minute(f.AuditedAt))
}

// join writes the parts that say something, separated by a dot in the middle, with
// which no line begins.
func join(parts ...string) string {
	var said []string
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, "\u00a0· ")
}
