package report

import (
	"strconv"
	"strings"

	"salvor/custody/report/layout"
)

// page puts the parts of one paper together.
type page struct {
	locale
	blocks []layout.Block
}

func (p *page) add(b ...layout.Block) { p.blocks = append(p.blocks, b...) }

func (p *page) heading(text string) { p.add(layout.Heading{Text: text}) }

func (p *page) para(text string) { p.add(layout.Para{Text: text}) }

// strong is a sentence that must not be overlooked.
func (p *page) strong(text string) { p.add(layout.Para{Text: text, Strong: true}) }

// inset explains what stands above it.
func (p *page) inset(text string) { p.add(layout.Para{Text: text, Inset: true}) }

// field is a value with its label. Fields that follow each other stand together.
func (p *page) field(label, value string) { p.put(layout.Field{Label: label, Value: value}) }

// check is a field whose value is compared letter by letter.
func (p *page) check(label, value string) {
	p.put(layout.Field{Label: label, Value: value, Code: true})
}

func (p *page) put(f layout.Field) {
	if n := len(p.blocks); n > 0 {
		if fields, ok := p.blocks[n-1].(layout.Fields); ok {
			p.blocks[n-1] = append(fields, f)
			return
		}
	}
	p.add(layout.Fields{f})
}

// apart begins a new group of fields.
func (p *page) apart() { p.add(layout.Space{}) }

// personal is a field that is left out when there is nothing to say, not even that it
// was erased.
func (p *page) personalField(label string, value Personal) {
	if !value.empty() {
		p.field(label, p.personal(value))
	}
}

// item adds a sentence to a list.
func (p *page) item(text string) {
	if n := len(p.blocks); n > 0 {
		if list, ok := p.blocks[n-1].(layout.List); ok {
			p.blocks[n-1] = append(list, text)
			return
		}
	}
	p.add(layout.List{text})
}

// table adds a table, or says none when it has no row.
func (p *page) table(t layout.Table, none string) {
	for i, c := range t.Columns {
		t.Columns[i].Title = p.cat.soft.Replace(c.Title)
	}
	if len(t.Rows) == 0 {
		p.para(none)
		return
	}
	p.add(t)
}

// frame is what every paper has around its blocks: the shop, the number, when and by
// whom it was printed, and the state of the ledger. sum is the SHA-256 of the paper's
// data.
func (p *page) frame(h Head, f Foot, title, sum string) layout.Document {
	shop := h.Shop
	d := layout.Document{
		Lang: string(p.lang), Title: title, At: h.PrintedAt, Blocks: p.blocks,
		Sender: layout.Sender{Name: plain(shop.Name), Logo: shop.Logo},
		Meta: []layout.Field{
			{Label: p.say("doc.number"), Value: plain(h.Number)},
			{Label: p.say("doc.printed_on"), Value: p.day(h.PrintedAt) + " (" + p.minute(h.PrintedAt) + ")"},
			{Label: p.say("doc.printed_by"), Value: plain(h.PrintedBy)},
		},
		Foot: p.foot(f, sum),
	}
	switch h.Copy {
	case CopyCustomer:
		d.Mark = p.say("doc.copy_customer")
	case CopyShop:
		d.Mark = p.say("doc.copy_shop")
	}
	if shop.Address != "" {
		d.Sender.Lines = append(d.Sender.Lines, plain(shop.Address))
	}
	if reach := join(plain(shop.Phone), plain(shop.Email)); reach != "" {
		d.Sender.Lines = append(d.Sender.Lines, reach)
	}
	if shop.CompanyNumber != "" {
		d.Sender.Lines = append(d.Sender.Lines, p.say("doc.company_number")+p.colon()+" "+plain(shop.CompanyNumber))
	}
	d.Sender.Lines = append(d.Sender.Lines, p.say("gdpr.dpo")+p.colon()+" "+plain(shop.DPO))
	for _, n := range shop.Notes {
		d.Sender.Notes = append(d.Sender.Notes, plain(n))
	}
	return d
}

// foot is what stands at the bottom of every paper.
func (p *page) foot(f Foot, sum string) layout.Foot {
	return layout.Foot{
		Title: p.say("foot.title"),
		Fields: []layout.Field{
			{Label: p.say("chk.integrity"), Value: f.state(p.locale)},
			{Label: p.say("foot.size"), Value: f.size(p.locale)},
			{Label: p.say("chk.code"), Value: plain(f.Checkpoint.Code), Code: true},
			{Label: p.say("foot.sum"), Value: sum, Code: true},
		},
		Why: p.say("foot.why"), QR: f.Checkpoint.QRText(), Colon: p.colon(),
		Page: func(n, m int) string {
			return p.say("doc.page", "n", strconv.Itoa(n), "m", strconv.Itoa(m))
		},
		Lacks: func(letters string) string { return p.say("foot.lacks", "letters", letters) },
	}
}

// size names the log whose events are counted: with its name and their number the code
// can be computed again.
func (f Foot) size(l locale) string {
	n := l.number(f.Checkpoint.Size)
	if f.Checkpoint.Station == "" {
		return n
	}
	return n + " (" + l.say("app.station") + "\u00a0" + plain(f.Checkpoint.Station) + ")"
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
