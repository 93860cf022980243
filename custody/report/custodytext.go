package report

import "strings"

// Text renders the paper as text of at most 80 columns in its language.
func (p CustodyPaper) Text() (string, error) {
	l, err := newLocale(p.Head)
	if err != nil {
		return "", err
	}
	var s sheet
	s.head(l, p.Head, l.say("doc.custody_report"))
	p.aboutCase(&s, l)
	p.received(&s, l)
	p.timeline(&s, l)
	p.images(&s, l)
	p.copies(&s, l)
	p.openings(&s, l)
	p.holds(&s, l)
	p.gaps(&s, l)
	s.foot(l, p.Foot)
	return s.String(), nil
}

// JSON returns the paper's canonical JSON, without a line break at the end: the same
// facts in English codes and UTC. Its SHA-256 names the paper.
func (p CustodyPaper) JSON() ([]byte, error) { return canonical(utc(p)) }

func (p CustodyPaper) aboutCase(s *sheet, l locale) {
	s.blank()
	s.para(l.say("custody.what", "shop", p.Shop.Name, "case", p.Case))
	s.heading(l.say("app.case") + " " + plain(p.Case))
	s.field(l.say("custody.state"), l.code("custody.state.", p.State))
	s.field(l.say("custody.opened"), l.day(p.Opened))
	s.field(l.say("gdpr.purpose"), p.purpose(l))
	due := l.say("custody.deadline_none")
	if !p.Deadline.IsZero() {
		due = l.day(p.Deadline) + " (" + l.minute(p.Deadline) + ")"
	}
	s.field(l.say("ret.due"), due)
	s.field(l.say("who.customer"), l.personal(p.Customer))
	kind := "custody.private_customer"
	if p.Business {
		kind = "who.business_customer"
	}
	s.field(l.say("custody.customer_kind"), l.say(kind))
	if !p.Ticket.empty() {
		s.field(l.say("custody.ticket"), l.personal(p.Ticket))
	}
}

// purpose uses the settled terms for the three purposes there are.
func (p CustodyPaper) purpose(l locale) string {
	switch p.Purpose {
	case "crash":
		return l.say("data.rescue")
	case "reinstall":
		return l.say("data.reinstall")
	case "transfer":
		return l.say("data.migration")
	}
	return plain(p.Purpose)
}

func (p CustodyPaper) received(s *sheet, l locale) {
	s.heading(l.say("custody.items"))
	if len(p.Items) == 0 {
		s.para(l.say("doc.not_recorded"))
	}
	for i, it := range p.Items {
		if i > 0 {
			s.blank()
		}
		s.field(l.say("app.item_no"), plain(it.Number))
		s.field(l.say("custody.item_kind"), l.code("item.", it.Kind))
		capacity := l.say("doc.unknown")
		if it.Bytes > 0 {
			capacity = l.bytes(it.Bytes)
		}
		s.field(l.say("dev.capacity"), capacity)
		s.field(l.say("dev.model"), l.personal(it.Model))
		s.field(l.say("dev.serial"), l.personal(it.Serial))
		for _, f := range []struct {
			key  string
			text Personal
		}{{"coc.condition", it.Condition}, {"coc.accessories", it.Accessories}, {"dev.fault", it.Fault}} {
			if !f.text.empty() {
				s.field(l.say(f.key), l.personal(f.text))
			}
		}
	}
}

func (p CustodyPaper) timeline(s *sheet, l locale) {
	s.heading(l.say("coc.chain") + s.colon + " " + l.say("custody.timeline"))
	s.para(l.say("custody.timeline_legend"))
	s.blank()
	if len(p.Timeline) == 0 {
		s.para(l.say("doc.not_recorded"))
	}
	for _, st := range p.Timeline {
		who := plain(st.Operator)
		if st.Asserted {
			who += "*"
		}
		s.indented("", "    ", join(l.minute(st.Time), l.code("event.", st.Event), plain(st.Station), who))
		var facts []string
		switch {
		case st.From != "" && st.To != "":
			facts = append(facts, l.say("custody.from_to", "from", st.From, "to", st.To))
		case st.From != "":
			facts = append(facts, l.say("custody.from", "from", st.From))
		case st.To != "":
			facts = append(facts, l.say("custody.to", "to", st.To))
		}
		if st.Place != "" {
			facts = append(facts, l.say("custody.place", "place", st.Place))
		}
		if st.Seal != "" {
			facts = append(facts, l.say("custody.seal", "seal", st.Seal))
		}
		facts = append(facts, plain(st.Detail))
		if !st.Reason.empty() {
			facts = append(facts, l.say("custody.reason", "reason", l.personal(st.Reason)))
		}
		if st.Corrects != "" {
			facts = append(facts, l.say("custody.corrects", "ref", st.Corrects))
		}
		if text := join(append(facts, plain(st.Ref))...); text != "" {
			s.indented("    ", "    ", text)
		}
	}
}

func (p CustodyPaper) images(s *sheet, l locale) {
	s.heading(l.say("custody.images"))
	if len(p.Images) == 0 {
		s.para(l.say("custody.copies_none"))
	}
	for i, im := range p.Images {
		if i > 0 {
			s.blank()
		}
		s.field(l.say("attest.image"), plain(im.Name))
		if im.Item != "" {
			s.field(l.say("app.item_no"), plain(im.Item))
		}
		s.field(l.say("custody.image_state"), l.code("image.", im.State))
		s.field(l.say("ret.captured_on"), l.minute(im.Started))
		sealed := l.say("custody.not_sealed")
		if !im.Sealed.IsZero() {
			sealed = l.minute(im.Sealed)
		}
		s.field(l.say("custody.sealed"), sealed)
		s.field(l.say("attest.uuid"), plain(im.UUID))
		s.field(l.say("custody.source_size"), im.sourceSize(l))
		s.field(l.say("data.recovered"), l.bytes(im.Rescued))
		s.field(l.say("data.bad_sectors"), im.badSectors(l))
		if im.Untried > 0 {
			s.field(l.say("custody.untried"), l.bytes(im.Untried))
		}
		if im.Root != "" {
			s.field(l.say("attest.root"), plain(im.Root))
		}
		if !im.SHA256.empty() {
			s.field(l.say("custody.content_sha"), l.personal(im.SHA256))
		}
		if len(im.Verified) == 0 {
			s.field(l.say("era.check"), l.say("custody.never_verified"))
		}
		for _, v := range im.Verified {
			key := "custody.verified_ok"
			if !v.OK {
				key = "custody.verified_bad"
			}
			s.field(l.say("era.check"), l.say(key, "time", l.minute(v.Time), "level", l.code("level.", v.Level)))
		}
	}
}

func (im Image) sourceSize(l locale) string {
	text := l.bytes(im.Bytes)
	if im.Sector > 0 {
		sectors := (im.Bytes + im.Sector - 1) / im.Sector
		text += "; " + l.say("doc.sectors", "n", l.number(sectors), "size", l.number(im.Sector))
	}
	return text
}

func (im Image) badSectors(l locale) string {
	if im.Bad <= 0 {
		return l.say("custody.bad_none")
	}
	if im.Sector <= 0 {
		return l.bytes(im.Bad)
	}
	sectors := (im.Bad + im.Sector - 1) / im.Sector
	return l.say("doc.sectors", "n", l.number(sectors), "size", l.number(im.Sector)) + "; " + l.bytes(im.Bad)
}

func (p CustodyPaper) copies(s *sheet, l locale) {
	s.heading(l.say("custody.copies"))
	if len(p.Copies) == 0 {
		s.para(l.say("custody.copies_none"))
	}
	for _, c := range p.Copies {
		holds := c.Holds
		if c.Key != "" {
			holds = l.say("custody.copy_key", "image", c.Holds, "key", c.Key)
		}
		where := plain(c.Where)
		if c.Out {
			where = l.code("where.", c.Where)
		}
		s.item(l.say("custody.copy_line", "holds", holds, "where", where, "time", l.minute(c.Made)))
		encrypted := l.say("custody.encrypted")
		if !c.Encrypted {
			encrypted = l.say("custody.not_encrypted")
		}
		size, verified, attest := "", "", ""
		if c.Bytes > 0 {
			size = l.size(c.Bytes)
		}
		if !c.Verified.IsZero() {
			verified = l.say("custody.copy_verified", "time", l.minute(c.Verified))
		}
		if c.Attest != "" {
			attest = l.say("custody.copy_attest", "attest", c.Attest)
		}
		fate := l.say("custody.copy_exists")
		switch {
		case c.Out:
			fate = l.say("custody.copy_out")
		case !c.ErasedOn.IsZero():
			how := c.How
			if how == "" {
				how = l.say("custody.how_unknown")
			}
			fate = l.say("custody.copy_erased", "time", l.minute(c.ErasedOn), "how", how)
		}
		s.indented("    ", "    ", join(size, encrypted, verified, fate, attest))
	}
}

func (p CustodyPaper) openings(s *sheet, l locale) {
	s.heading(l.say("custody.openings"))
	if len(p.Openings) == 0 {
		s.para(l.say("custody.openings_none"))
	}
	for _, o := range p.Openings {
		s.item(join(l.minute(o.Time), plain(o.Image), l.code("use.", o.Use), plain(o.Station), plain(o.Operator)))
		s.indented("    ", "    ", l.say("custody.reason", "reason", l.personal(o.Reason)))
	}
}

func (p CustodyPaper) holds(s *sheet, l locale) {
	s.heading(l.say("custody.holds"))
	if len(p.Holds) == 0 {
		s.para(l.say("custody.holds_none"))
	}
	for _, h := range p.Holds {
		until := l.say("custody.hold_active")
		if !h.Ended.IsZero() {
			until = l.say("custody.hold_until", "time", l.minute(h.Ended))
		}
		review := ""
		if h.Review != "" && h.Ended.IsZero() {
			review = l.say("ret.review_due") + " " + plain(h.Review)
		}
		s.item(join(l.code("hold.", h.Kind), l.say("custody.hold_from", "time", l.minute(h.From)), until, review, plain(h.Operator)))
		s.indented("    ", "    ", l.say("custody.reason", "reason", l.personal(h.Reason)))
	}
}

func (p CustodyPaper) gaps(s *sheet, l locale) {
	s.heading(l.say("custody.gaps"))
	if len(p.Gaps) == 0 {
		s.para(l.say("custody.gaps_none"))
		return
	}
	for _, g := range p.Gaps {
		text := l.code("gap.", g.Code)
		if g.Words != "" && !l.known("gap."+g.Code) {
			text = l.say("doc.in_english", "words", g.Words)
		}
		when := ""
		if !g.Time.IsZero() {
			when = l.minute(g.Time)
		}
		s.item(join(when, strings.TrimSpace(text)))
	}
	s.para(l.say("custody.gaps_else"))
}
