package report

import (
	"strings"
	"time"

	"salvor/custody"
	"salvor/custody/report/layout"
)

func (p CustodyPaper) head() Head            { return p.Head }
func (p CustodyPaper) foot() Foot            { return p.Foot }
func (p CustodyPaper) facts() any            { return utc(p) }
func (p CustodyPaper) check() error          { return nil }
func (p CustodyPaper) title(l locale) string { return l.say("doc.custody_report") }

func (p CustodyPaper) write(s *page) {
	p.aboutCase(s)
	s.heading(s.say("custody.items"))
	s.items(p.Items)
	p.timeline(s)
	p.images(s)
	p.copies(s)
	p.openings(s)
	p.holds(s)
	p.corrections(s)
	p.gaps(s)
}

func (p CustodyPaper) aboutCase(s *page) {
	s.para(s.say("custody.what", "shop", p.Shop.Name, "case", p.Case))
	s.heading(s.say("app.case") + " " + plain(p.Case))
	s.field(s.say("custody.state"), s.code("custody.state.", p.State))
	s.field(s.say("custody.opened"), s.day(p.Opened))
	s.field(s.say("gdpr.purpose"), s.purpose(p.Purpose))
	s.field(s.say("ret.due"), s.deadline(p.Deadline))
	s.field(s.say("who.customer"), s.personal(p.Customer))
	s.field(s.say("custody.customer_kind"), s.customerKind(p.Business))
	if p.Copy != CopyCustomer {
		s.personalField(s.say("custody.ticket"), p.Ticket)
	}
}

// deadline writes a deadline in letters and to the minute.
func (l locale) deadline(t time.Time) string {
	if t.IsZero() {
		return l.say("custody.deadline_none")
	}
	return l.day(t) + " (" + l.minute(t) + ")"
}

func (l locale) customerKind(business bool) string {
	if business {
		return l.say("who.business_customer")
	}
	return l.say("custody.private_customer")
}

// purpose uses the settled terms for the three purposes there are.
func (l locale) purpose(purpose string) string {
	switch purpose {
	case "crash":
		return l.say("data.rescue")
	case "reinstall":
		return l.say("data.reinstall")
	case "transfer":
		return l.say("data.migration")
	}
	return plain(purpose)
}

// items tells what the customer left, one thing after the other.
func (p *page) items(items []Item) {
	if len(items) == 0 {
		p.para(p.say("doc.not_recorded"))
	}
	for i, it := range items {
		if i > 0 {
			p.apart()
		}
		p.field(p.say("app.item_no"), plain(it.Number))
		p.field(p.say("custody.item_kind"), p.code("item.", it.Kind))
		p.personalField(p.say("dev.maker"), it.Maker)
		p.field(p.say("dev.model"), p.personal(it.Model))
		p.field(p.say("dev.serial"), p.personal(it.Serial))
		capacity := p.say("doc.unknown")
		if it.Bytes > 0 {
			capacity = p.bytes(it.Bytes)
		}
		p.field(p.say("dev.capacity"), capacity)
		if it.State != "" {
			p.field(p.say("item.state"), p.code("condition.", it.State))
		}
		p.personalField(p.say("coc.condition"), it.Condition)
		p.personalField(p.say("coc.accessories"), it.Accessories)
		p.personalField(p.say("dev.fault"), it.Fault)
		if it.Seal != "" {
			p.field(p.say("coc.seal_no"), plain(it.Seal))
		}
		if it.Place != "" {
			p.field(p.say("coc.place"), plain(it.Place))
		}
		if it.Hands != (Hands{}) {
			p.hands(it.Hands)
		}
	}
}

// hands says where an item is now, and who has it.
func (p *page) hands(h Hands) {
	if h.State == custody.ItemIsDisputed {
		p.field(p.say("coc.custodian"), p.say("custody.disputed"))
		return
	}
	since := ""
	if !h.Since.IsZero() {
		since = p.say("hands.since", "time", p.minute(h.Since))
	}
	p.field(p.say("coc.custodian"), join(plain(h.Who), p.code("hands.", string(h.State)), since))
}

func (p CustodyPaper) timeline(s *page) {
	s.heading(s.say("custody.chain") + s.colon() + " " + s.say("custody.timeline"))
	s.para(s.say("custody.timeline_legend"))
	t := layout.Table{Dense: true, Columns: []layout.Column{
		{Title: s.say("coc.datetime"), Lead: true},
		{Title: s.say("custody.event"), Lead: true},
		{Title: s.say("custody.details")},
		{Title: s.say("app.station"), Lead: true},
		{Title: s.say("who.operator"), Lead: true},
		{Title: s.say("custody.ref")},
	}}
	for _, st := range p.Timeline {
		who := plain(st.Operator)
		if st.Asserted {
			who += "*"
		}
		t.Rows = append(t.Rows, []string{
			s.minute(st.Time), s.code("event.", st.Event), st.details(s), plain(st.Station), who, plain(st.Ref),
		})
	}
	s.table(t, s.say("doc.not_recorded"))
}

// details is what an event says beside its name.
func (st Step) details(s *page) string {
	var facts []string
	switch {
	case st.From != "" && st.To != "":
		facts = append(facts, s.say("custody.from_to", "from", st.From, "to", st.To))
	case st.From != "":
		facts = append(facts, s.say("custody.from", "from", st.From))
	case st.To != "":
		facts = append(facts, s.say("custody.to", "to", st.To))
	}
	if st.Place != "" {
		facts = append(facts, s.say("custody.place", "place", st.Place))
	}
	if st.Seal != "" || st.Looked != "" {
		var seal []string
		if st.Seal != "" {
			seal = append(seal, plain(st.Seal))
		}
		if st.Looked != "" {
			seal = append(seal, s.code("seal.", st.Looked))
		}
		facts = append(facts, s.say("custody.seal", "seal", strings.Join(seal, ", ")))
	}
	facts = append(facts, plain(st.Detail))
	if st.Bytes > 0 {
		facts = append(facts, s.size(st.Bytes))
	}
	for _, c := range st.Codes {
		facts = append(facts, s.code(c[:strings.LastIndexByte(c, '.')+1], c[strings.LastIndexByte(c, '.')+1:]))
	}
	if st.Why != "" {
		facts = append(facts, s.code("transfer.", st.Why))
	}
	if !st.Reason.empty() {
		facts = append(facts, s.say("custody.reason", "reason", s.personal(st.Reason)))
	}
	if st.Corrects != "" {
		facts = append(facts, s.say("custody.corrects", "ref", st.Corrects))
	}
	return join(facts...)
}

func (p CustodyPaper) images(s *page) {
	s.heading(s.say("custody.images"))
	if len(p.Images) == 0 {
		s.para(s.say("custody.copies_none"))
	}
	for i, im := range p.Images {
		if i > 0 {
			s.apart()
		}
		im.write(s)
	}
}

func (im Image) write(s *page) {
	s.field(s.say("attest.image"), plain(im.Name))
	if im.Item != "" {
		s.field(s.say("app.item_no"), plain(im.Item))
	}
	s.field(s.say("custody.image_state"), s.code("image.", im.State))
	s.field(s.say("ret.captured_on"), s.minute(im.Started))
	sealed := s.say("custody.not_sealed")
	if !im.Sealed.IsZero() {
		sealed = s.minute(im.Sealed)
	}
	s.field(s.say("custody.sealed"), sealed)
	s.check(s.say("attest.uuid"), plain(im.UUID))
	s.field(s.say("custody.source_size"), im.sourceSize(s))
	s.field(s.say("data.recovered"), s.bytes(im.Rescued))
	s.field(s.say("data.bad_sectors"), s.badSectors(im.Bad, im.Sector))
	if im.Untried > 0 {
		s.field(s.say("custody.untried"), s.bytes(im.Untried))
	}
	if im.Root != "" {
		s.check(s.say("attest.root"), plain(im.Root))
	}
	if !im.SHA256.empty() {
		s.check(s.say("custody.content_sha"), s.personal(im.SHA256))
	}
	if len(im.Verified) == 0 {
		s.field(s.say("era.check"), s.say("custody.never_verified"))
	}
	for _, v := range im.Verified {
		key := "custody.verified_ok"
		if !v.OK {
			key = "custody.verified_bad"
		}
		s.field(s.say("era.check"), s.say(key, "time", s.minute(v.Time), "level", s.code("level.", v.Level)))
	}
	switch {
	case im.Map != nil:
		s.picture(im.Name, *im.Map)
	case im.NoMap != "":
		s.para(s.code("map.no.", im.NoMap))
	}
}

// picture adds the picture of a source.
func (p *page) picture(image string, m MapPicture) {
	picture := layout.Map{
		Caption: p.say("map.caption", "image", image),
		Legend:  [4]string{p.say("map.rescued"), p.say("map.untried"), p.say("map.failed"), p.say("map.bad")},
	}
	for _, c := range m.Cells[:min(len(m.Cells), MaxMapCells)] {
		picture.Cells = append(picture.Cells, c.shares())
	}
	p.add(picture)
}

// shares turns counts into thousandths. What is there at all is at least one.
func (c MapCell) shares() layout.Cell {
	total := float64(c.Rescued) + float64(c.Untried) + float64(c.Failed) + float64(c.Bad)
	if total <= 0 {
		return layout.Cell{Untried: 1000}
	}
	share := func(n int64) int {
		if n <= 0 {
			return 0
		}
		return max(1, int(float64(n)/total*1000))
	}
	cell := layout.Cell{Untried: share(c.Untried), Failed: share(c.Failed), Bad: share(c.Bad)}
	cell.Rescued = max(0, 1000-cell.Untried-cell.Failed-cell.Bad)
	if c.Rescued <= 0 {
		cell.Rescued = 0
	}
	return cell
}

func (im Image) sourceSize(s *page) string {
	text := s.bytes(im.Bytes)
	if im.Sector > 0 {
		text += s.semicolon() + s.sectors(im.Bytes, im.Sector)
	}
	return text
}

// sectors counts the sectors that n bytes are.
func (l locale) sectors(n, sector int64) string {
	return l.count("doc.sectors", (n+sector-1)/sector, "size", l.number(sector))
}

// badSectors says how much of a source could not be read.
func (l locale) badSectors(n, sector int64) string {
	switch {
	case n <= 0:
		return l.say("custody.bad_none")
	case sector <= 0:
		return l.bytes(n)
	}
	return l.sectors(n, sector) + l.semicolon() + l.bytes(n)
}

func (p CustodyPaper) copies(s *page) {
	s.heading(s.say("custody.copies"))
	t := layout.Table{Columns: []layout.Column{
		{Title: s.say("app.copy"), Lead: true},
		{Title: s.say("app.copy_location"), Lead: true},
		{Title: s.say("custody.made"), Lead: true},
		{Title: s.say("custody.size"), Right: true},
		{Title: s.say("data.encrypted")},
		{Title: s.say("custody.last_check")},
		{Title: s.say("custody.fate")},
	}}
	for _, c := range p.Copies {
		t.Rows = append(t.Rows, c.row(s))
	}
	s.table(t, s.say("custody.copies_none"))
}

// outside says on what a copy lies that was written out of its image. Of one that was
// cut off, the record knows only that it was begun.
func (c Copy) outside(s *page) string {
	if c.Where == "" {
		return s.say("where.unknown")
	}
	return s.code("where.", c.Where)
}

func (c Copy) row(s *page) []string {
	holds, where, size, verified := plain(c.Holds), plain(c.Where), "", s.say("custody.unchecked")
	if c.Key != "" {
		holds, verified = s.say("custody.copy_key", "image", c.Holds, "key", c.Key), ""
	}
	if c.Back {
		holds, verified = join(holds, s.say("copy.back")), ""
	}
	if c.Out {
		where, verified = join(c.outside(s), c.carried(s)), ""
		holds = join(holds, plain(c.ID))
	}
	if c.Bytes > 0 {
		size = s.size(c.Bytes)
	}
	if !c.Verified.IsZero() {
		verified = s.minute(c.Verified)
	}
	fate := s.say("custody.copy_exists")
	switch {
	case !c.ErasedOn.IsZero():
		how := c.How
		if how == "" {
			how = s.say("custody.how_unknown")
		}
		fate = s.say("custody.copy_erased", "time", s.minute(c.ErasedOn), "how", how)
		if c.Attest != "" {
			fate = join(fate, s.say("custody.copy_attest", "attest", c.Attest))
		}
	case c.Fate != "":
		fate = s.say("custody.copy_ended", "time", s.minute(c.Ended), "how", s.code("fate.", c.Fate))
	case c.Begun:
		fate = s.say("copy.begun")
	case c.Handover:
		fate = s.say("copy.waits")
	case c.Out && c.ID == "":
		fate = s.say("custody.copy_out")
	}
	return []string{holds, where, s.minute(c.Made), size, s.yes(c.Encrypted), verified, fate}
}

// carried says that a copy can leave the shop, and whether it is meant to.
func (c Copy) carried(s *page) string {
	var said []string
	if c.Removable {
		said = append(said, s.say("export.removable"))
	}
	if c.Handover {
		said = append(said, s.say("export.handover"))
	}
	return strings.Join(said, ", ")
}

func (p CustodyPaper) openings(s *page) {
	s.heading(s.say("custody.openings"))
	t := layout.Table{Columns: []layout.Column{
		{Title: s.say("coc.datetime"), Lead: true},
		{Title: s.say("app.copy"), Lead: true},
		{Title: s.say("custody.use"), Lead: true},
		{Title: s.say("app.station"), Lead: true},
		{Title: s.say("who.operator"), Lead: true},
		{Title: s.say("custody.why")},
	}}
	for _, o := range p.Openings {
		t.Rows = append(t.Rows, []string{
			s.minute(o.Time), plain(o.Image), s.code("use.", o.Use), plain(o.Station), plain(o.Operator), s.personal(o.Reason),
		})
	}
	s.table(t, s.say("custody.openings_none"))
}

func (p CustodyPaper) holds(s *page) {
	s.heading(s.say("custody.holds"))
	t := layout.Table{Columns: []layout.Column{
		{Title: s.say("ret.hold"), Lead: true},
		{Title: s.say("custody.since"), Lead: true},
		{Title: s.say("custody.until"), Lead: true},
		{Title: s.say("ret.review_due")},
		{Title: s.say("who.operator")},
		{Title: s.say("custody.why")},
	}}
	for _, h := range p.Holds {
		until, review := s.say("custody.hold_active"), plain(h.Review)
		if !h.Ended.IsZero() {
			until, review = s.minute(h.Ended), ""
		}
		t.Rows = append(t.Rows, []string{s.code("hold.", h.Kind), s.minute(h.From), until, review, plain(h.Operator), s.personal(h.Reason)})
	}
	s.table(t, s.say("custody.holds_none"))
}

// corrections lists the entries that a later one corrects.
func (p CustodyPaper) corrections(s *page) {
	var found []string
	for _, st := range p.Timeline {
		if st.Corrects != "" {
			found = append(found, s.say("custody.correction", "ref", st.Ref, "corrected", st.Corrects, "time", s.minute(st.Time)))
		}
	}
	if len(found) > 0 {
		s.heading(s.say("chk.correction"))
		s.add(layout.List(found))
	}
}

func (p CustodyPaper) gaps(s *page) {
	s.heading(s.say("custody.gaps"))
	if len(p.Gaps) == 0 {
		s.para(s.say("custody.gaps_none"))
		return
	}
	for _, g := range p.Gaps {
		text := s.code("gap.", g.Code)
		if g.Words != "" && !s.known("gap."+g.Code) {
			text = s.say("doc.in_english", "words", g.Words)
		}
		when := ""
		if !g.Time.IsZero() {
			when = s.minute(g.Time)
		}
		s.item(join(when, strings.TrimSpace(text)))
	}
	s.para(s.say("custody.gaps_else"))
}
