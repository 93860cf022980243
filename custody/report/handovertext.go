package report

import (
	"salvor/custody"
	"salvor/custody/report/layout"
)

func (p HandoverPaper) head() Head            { return p.Head }
func (p HandoverPaper) foot() Foot            { return p.Foot }
func (p HandoverPaper) facts() any            { return utc(p) }
func (p HandoverPaper) check() error          { return nil }
func (p HandoverPaper) title(l locale) string { return l.say("doc.handover") }

func (p HandoverPaper) write(s *page) {
	s.heading(s.say("app.case") + " " + plain(p.Case))
	s.field(s.say("who.customer"), s.personal(p.Customer))
	if !p.At.IsZero() {
		s.field(s.say("coc.datetime"), s.deadline(p.At))
	}
	s.field(s.say("coc.released_by"), plain(p.By))
	p.receiver(s)
	p.items(s)
	p.data(s)
	p.missing(s)
	p.held(s)
	p.question(s)
	s.add(layout.Signatures{
		{Role: s.say("coc.received_by"), Name: s.signer(p.Customer, p.To == custody.RecipientProxy, p.Receiver), Date: s.say("coc.datetime")},
		{Role: s.say("coc.released_by"), Name: plain(p.By), Date: s.say("coc.datetime")},
	})
}

func (p HandoverPaper) receiver(s *page) {
	if p.To == "" {
		return
	}
	to := s.say("recipient." + string(p.To))
	if name := textOf(p.Receiver); name != "" {
		to += s.colon() + " " + name
	}
	s.field(s.say("coc.received_by"), to)
	if p.Checked != "" && p.Copy != CopyCustomer {
		s.field(s.say("coc.id_checked"), s.code("checked.", string(p.Checked)))
	}
}

func (p HandoverPaper) items(s *page) {
	s.heading(s.say("handover.items"))
	t := layout.Table{Columns: []layout.Column{
		{Title: s.say("app.item_no"), Lead: true},
		{Title: s.say("custody.item_kind"), Lead: true},
		{Title: s.say("dev.model"), Lead: true},
		{Title: s.say("dev.serial")},
		{Title: s.say("coc.condition")},
		{Title: s.say("coc.accessories")},
		{Title: s.say("coc.seal_no")},
	}}
	for _, it := range p.Items {
		seal := plain(it.Seal)
		if it.Seen != "" {
			seal = join(seal, s.code("seal.", string(it.Seen)))
		}
		t.Rows = append(t.Rows, []string{
			plain(it.Number), s.code("item.", it.Kind), s.personal(it.Model), s.personal(it.Serial), textOf(it.Condition), textOf(it.Accessories), seal,
		})
	}
	s.table(t, s.say("handover.items_none"))
}

func (p HandoverPaper) data(s *page) {
	s.heading(s.say("handover.data"))
	t := layout.Table{Columns: []layout.Column{
		{Title: s.say("coc.datetime"), Lead: true},
		{Title: s.say("data.return_medium"), Lead: true},
		{Title: s.say("data.files"), Right: true},
		{Title: s.say("custody.size"), Right: true},
		{Title: s.say("era.check")},
		{Title: s.say("data.hash"), Code: true},
	}}
	for _, d := range p.Data {
		medium := join(s.code("medium.", string(d.Medium)), textOf(d.Model), textOf(d.Serial))
		if d.Plain {
			medium = join(medium, s.say("export.plain"))
		}
		checked := s.say("handover.unverified")
		if d.Verified {
			checked = s.say("handover.verified")
		}
		files := "" // of a whole image nobody counted them
		if d.Files > 0 {
			files = s.number(d.Files)
		}
		t.Rows = append(t.Rows, []string{s.minute(d.Time), medium, files, s.size(d.Bytes), checked, textOf(d.SHA256)})
	}
	s.table(t, s.say("handover.data_none"))
	p.ready(s)
}

// ready lists the copies that were made for the customer and wait for him.
func (p HandoverPaper) ready(s *page) {
	if len(p.Ready) == 0 {
		return
	}
	s.heading(s.say("handover.ready"))
	for _, c := range p.Ready {
		encrypted := s.say("export.plain")
		if c.Encrypted {
			encrypted = s.say("data.encrypted")
		}
		size, carried, begun := "", "", ""
		if c.Bytes > 0 {
			size = s.size(c.Bytes)
		}
		if c.Removable {
			carried = s.say("export.removable")
		}
		if c.Begun {
			begun = s.say("copy.begun")
		}
		s.item(join(plain(c.Holds), size, c.outside(s), carried, encrypted, s.minute(c.Made), begun, plain(c.ID)))
	}
}

func (p HandoverPaper) missing(s *page) {
	s.heading(s.say("handover.missing"))
	if p.Images == 0 {
		s.para(s.say("custody.copies_none"))
		return
	}
	none := true
	for _, m := range p.Missing {
		if m.Bad <= 0 && m.Words.empty() && !m.Unfinished {
			continue
		}
		none = false
		text := plain(m.Image)
		if m.Bad > 0 {
			text += s.colon() + " " + s.badSectors(m.Bad, m.Sector)
		}
		if m.Unfinished {
			untried := s.say("custody.not_sealed")
			if m.Untried > 0 {
				untried = join(untried, s.say("custody.untried")+s.colon()+" "+s.bytes(m.Untried))
			}
			text = join(text, untried)
		}
		if !m.Words.empty() {
			text = join(text, s.personal(m.Words))
		}
		s.item(text)
	}
	if none {
		s.para(s.say("handover.missing_none"))
	} else {
		s.inset(s.say("handover.missing_means"))
	}
}

func (p HandoverPaper) held(s *page) {
	s.heading(s.say("handover.held"))
	if len(p.Held) == 0 {
		s.para(s.say("handover.held_none"))
		return
	}
	free := false // a copy that no hold keeps
	for _, c := range p.Held {
		free = free || !c.Held && c.Out == ""
		where := ""
		if p.Copy != CopyCustomer {
			where = plain(c.Where)
		}
		until := s.say("custody.deadline_none")
		switch {
		case c.Out != "":
			until = join(s.say("handover.out"), plain(c.Out))
		case !c.Until.IsZero():
			until = s.say("handover.until", "date", s.day(c.Until))
		}
		held := ""
		if c.Held {
			held = s.say("handover.on_hold")
		}
		s.item(join(plain(c.Image), where, until, held))
	}
	if free && p.Confirmed.IsZero() {
		s.para(s.say("handover.shorter"))
	}
}

// question asks whether the customer has everything: from then on the shop keeps the
// copies no longer than it must.
func (p HandoverPaper) question(s *page) {
	if !p.Confirmed.IsZero() {
		how := ""
		if p.ConfirmedBy != "" {
			how = s.code("confirmed.", string(p.ConfirmedBy))
		}
		s.field(s.say("ret.customer_has_all"), join(s.minute(p.Confirmed), how))
		return
	}
	s.add(layout.Choice{Question: s.say("handover.question"), Options: []string{
		s.say("handover.all"), s.say("handover.not_all"), s.say("handover.erase_now"),
	}})
}
