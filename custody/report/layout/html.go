package layout

import (
	"encoding/base64"
	"fmt"
	"html"
	"slices"
	"strings"
)

// style is the one style sheet. The fonts are those whose letters are as wide as the
// PDF's; nothing is loaded from anywhere. The foot is the foot of a table around the
// paper, which browsers print on every page.
const style = `@page{size:A4;margin:11mm 15mm 14mm;@bottom-right{content:counter(page) " / " counter(pages);font:7pt "Liberation Sans",Arial,Helvetica,sans-serif}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:180mm;color:#000;background:#fff;font:9pt/1.25 "Liberation Sans",Arial,Helvetica,sans-serif;overflow-wrap:break-word}
@media screen{body{padding:12mm 0}}
table{border-collapse:collapse;width:100%}
.frame>tbody>tr>td,.frame>tfoot>tr>td{padding:0}
.sender{display:flex;justify-content:space-between;gap:6mm}
.sender p,.foot p{margin:0}
.shop{max-width:100mm;font-size:8pt}
.shop b{font-size:11pt}
.shop img{display:block;max-width:60mm;max-height:18mm;margin-bottom:2mm}
.meta{width:74mm;font-size:7pt}
.meta b{display:block;font-size:8pt;margin-bottom:.8mm}
h1{font-size:15pt;line-height:1.25;margin:2mm 0 0}
.title{border-bottom:.5mm solid #000;padding-bottom:1mm;margin-bottom:2.2mm}
.title p{margin:0}
h2{font-size:10.5pt;margin:2.5mm 0 1.5mm;border-bottom:.15mm solid #000;break-after:avoid}
p{margin:0 0 .8mm}
.strong{font-weight:bold}
.inset{margin-left:4mm}
.space{height:2mm}
ul{margin:0 0 .8mm;padding-left:4mm;list-style:"– "}
dl{display:grid;grid-template-columns:31% minmax(0,1fr);column-gap:2mm;margin:0 0 .8mm}
dt,dd{margin:0}
.shop,dt,dd,p,li,.signatures div{overflow-wrap:anywhere}
.code{overflow-wrap:anywhere;font-family:"Liberation Mono","Courier New",monospace;font-size:8pt}
.list{font-size:8pt;margin-bottom:1mm}
.dense{font-size:7.5pt;line-height:1.2}
.list th{text-align:left;vertical-align:bottom;border-bottom:.15mm solid #000;padding:0 1mm .5mm 0}
.list td{vertical-align:top;border-bottom:.1mm solid #999;padding:.1mm 1mm .25mm 0}
.list tr{break-inside:avoid}
.new{break-before:page}
.list .right{text-align:right;padding-right:2mm}
.question{break-inside:avoid}
.question li{list-style:"☐ "}
.signatures{display:flex;gap:4mm;flex-wrap:wrap;margin:2mm 0;break-inside:avoid}
.signatures div{border:.2mm solid #000;flex:1 1 30%;max-width:50%;min-height:16mm;padding:1mm 2mm 5mm;font-size:8pt;position:relative}
.signatures small{position:absolute;left:2mm;bottom:1mm;font-size:6.5pt}
.map{break-inside:avoid;font-size:8pt;margin:0 0 1.5mm}
.map figcaption span{display:inline-block;margin-right:6mm}
.map svg.cells{display:block;width:100%;margin:.6mm 0 1.4mm}
.map svg.key{width:4mm;height:2.6mm;margin-right:1mm}
.receipt{border-top:.3mm dashed #000;margin-top:3mm;break-inside:avoid;display:flow-root}
.receipt .qr{float:right;width:30mm;margin:2mm;text-align:right;font-size:6.5pt}
.foot{border-top:.15mm solid #000;margin-top:2mm;padding-top:1.4mm;height:21mm;font-size:6.5pt;display:flex;justify-content:space-between;gap:5mm}
.foot .code{font-size:6.5pt}
.foot svg{width:19mm;height:19mm;flex:none}
.foot .why{font-size:6pt}
`

// policy says that a paper that is opened in a browser runs nothing and asks nobody.
const policy = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">`

// HTML sets the document as one HTML file without a script and without anything to
// load: its pictures are in it. Its pages begin where those of the PDF do, which is set
// for it.
func (d Document) HTML(on *Blank) ([]byte, error) {
	set, err := d.print(on, "", "")
	if err != nil {
		return nil, err
	}
	w := &web{colon: d.Foot.Colon, tops: set.tops}
	w.b.WriteString("<!DOCTYPE html>\n")
	w.f(`<html lang="%s"><head><meta charset="utf-8"><title>%s</title>`, d.Lang, d.Title)
	w.b.WriteString(policy)
	w.b.WriteString("\n<style>" + style + "</style></head>\n<body><table class=\"frame\"><tbody><tr><td>\n")
	if err := w.sender(d); err != nil {
		return nil, err
	}
	for i, b := range d.Blocks {
		w.block = i
		if err := w.set(b); err != nil {
			return nil, err
		}
	}
	w.block = len(d.Blocks)
	for i, n := range d.Sender.Notes {
		w.f("<p class=\"%s\">%s</p>\n", w.class(i, "note"), n)
	}
	w.b.WriteString("</td></tr></tbody><tfoot><tr><td>\n")
	if err := w.foot(d.Foot); err != nil {
		return nil, err
	}
	w.b.WriteString("</td></tr></tfoot></table></body></html>\n")
	return []byte(w.b.String()), nil
}

// web writes HTML. Everything that is not a tag goes through f, which escapes it.
type web struct {
	b     strings.Builder
	colon string
	tops  map[place]bool // what begins a page
	block int
}

// class is the class of a row of the block that is being set, with what says that a page
// begins there.
func (w *web) class(row int, classes ...string) string {
	if w.tops[place{w.block, row}] {
		classes = append(classes, "new")
	}
	return strings.Join(slices.DeleteFunc(classes, func(c string) bool { return c == "" }), " ")
}

// f writes form with the texts in it escaped.
func (w *web) f(form string, texts ...string) {
	safe := make([]any, len(texts))
	for i, t := range texts {
		safe[i] = html.EscapeString(t)
	}
	fmt.Fprintf(&w.b, form, safe...)
}

func (w *web) sender(d Document) error {
	mark, err := readLogo(d.Sender.Logo)
	if err != nil {
		return err
	}
	w.b.WriteString(`<div class="sender"><div class="shop">`)
	if mark != nil {
		w.f(`<img alt="" src="data:image/%s;base64,%s">`, mark.kind, base64.StdEncoding.EncodeToString(mark.data))
	}
	w.f("<p><b>%s</b></p>", d.Sender.Name)
	for _, l := range d.Sender.Lines {
		w.f("<p>%s</p>", l)
	}
	w.b.WriteString(`</div><div class="meta">`)
	for _, m := range d.Meta {
		w.f("%s <b>%s</b>", m.Label, m.Value)
	}
	w.f("</div></div>\n<div class=\"title\"><h1>%s</h1>", d.Title)
	if d.Mark != "" {
		w.f("<p>%s</p>", d.Mark)
	}
	w.b.WriteString("</div>\n")
	return nil
}

func (w *web) foot(f Foot) error {
	w.b.WriteString(`<div class="foot"><div>`)
	for _, field := range f.Fields {
		class := ""
		if field.Code {
			class = "code"
		}
		w.f(`<p>%s%s <span class="%s">%s</span></p>`, field.Label, f.Colon, class, field.Value)
	}
	w.f(`<p class="why">%s</p></div>`, f.Why)
	if f.QR != "" {
		if err := w.qr(f.QR); err != nil {
			return err
		}
	}
	w.b.WriteString("</div>\n")
	return nil
}

func (w *web) set(b Block) error {
	switch b := b.(type) {
	case Heading:
		w.f("<h2 class=\"%s\">%s</h2>\n", w.class(0), b.Text)
	case Para:
		var class []string
		if b.Strong {
			class = append(class, "strong")
		}
		if b.Inset {
			class = append(class, "inset")
		}
		w.f("<p class=\"%s\">%s</p>\n", w.class(0, class...), b.Text)
	case Space:
		w.b.WriteString("<div class=\"space\"></div>\n")
	case Fields:
		w.b.WriteString("<dl>")
		for i, f := range b {
			code := ""
			if f.Code {
				code = "code"
			}
			w.f(`<dt class="%s">%s%s</dt><dd class="%s">%s</dd>`, w.class(i), f.Label, w.colon, w.class(i, code), f.Value)
		}
		w.b.WriteString("</dl>\n")
	case List:
		w.items(b)
	case Table:
		w.table(b)
	case Choice:
		w.f("<div class=\"%s\"><p class=\"strong\">%s</p><ul>", w.class(0, "question"), b.Question)
		for _, o := range b.Options {
			w.f("<li>%s</li>", o)
		}
		w.b.WriteString("</ul>\n")
		w.b.WriteString("</div>\n")
	case Signatures:
		w.f(`<div class="%s">`, w.class(0, "signatures"))
		for _, s := range b {
			w.f(`<div><b>%s</b><br>%s`, s.Role, s.Name)
			if s.Date != "" {
				w.f("<small>%s%s</small>", s.Date, w.colon)
			}
			w.b.WriteString("</div>")
		}
		w.b.WriteString("</div>\n")
	case Receipt:
		return w.receipt(b)
	case Map:
		w.picture(b)
	default:
		return fmt.Errorf("paper: no such block: %T", b)
	}
	return nil
}

func (w *web) items(items []string) {
	w.b.WriteString("<ul>")
	for i, item := range items {
		w.f(`<li class="%s">%s</li>`, w.class(i), item)
	}
	w.b.WriteString("</ul>\n")
}

func (w *web) table(t Table) {
	dense := ""
	if t.Dense {
		dense = "dense"
	}
	of := func(c Column) string {
		switch {
		case c.Right:
			return "right"
		case c.Code:
			return "code"
		}
		return ""
	}
	w.f(`<table class="%s"><thead><tr>`, w.class(0, "list", dense))
	for _, c := range t.Columns {
		w.f(`<th class="%s">%s</th>`, of(c), c.Title)
	}
	w.b.WriteString("</tr></thead><tbody>\n")
	for n, row := range t.Rows {
		class := ""
		if n > 0 { // with the first row the whole table begins a page
			class = w.class(n)
		}
		w.f(`<tr class="%s">`, class)
		for i, c := range t.Columns {
			w.f(`<td class="%s">%s</td>`, of(c), row[i])
		}
		w.b.WriteString("</tr>\n")
	}
	w.b.WriteString("</tbody></table>\n")
}

func (w *web) receipt(r Receipt) error {
	w.f("<div class=\"%s\"><small>%s</small>\n", w.class(0, "receipt"), r.Cut)
	tops := w.tops
	w.tops = nil // it is whole
	defer func() { w.tops = tops }()
	if r.QR != "" {
		w.b.WriteString(`<div class="qr">`)
		if err := w.qr(r.QR); err != nil {
			return err
		}
		w.f("<br>%s</div>\n", r.QR)
	}
	for _, b := range r.Blocks {
		if err := w.set(b); err != nil {
			return err
		}
	}
	w.b.WriteString("</div>\n")
	return nil
}

// qr draws a QR code with its quiet zone.
func (w *web) qr(content string) error {
	m, err := qrCode(content)
	if err != nil {
		return err
	}
	fmt.Fprintf(&w.b, `<svg viewBox="-1 -1 %d %d" shape-rendering="crispEdges" role="img" aria-label="%s"><path d="`, m.width+2, m.height+2, html.EscapeString(content))
	for _, b := range m.black {
		fmt.Fprintf(&w.b, "M%d %dh%dv%dh-%dz", b.x, b.y, b.w, b.h, b.w)
	}
	w.b.WriteString(`"/></svg>`)
	return nil
}

// picture draws a map as a picture made of lines.
func (w *web) picture(m Map) {
	const side, high = 30, 30
	rows := (len(m.Cells) + mapWidth - 1) / mapWidth
	w.f(`<figure class="%s">%s`, w.class(0, "map"), m.Caption)
	fmt.Fprintf(&w.b, `<svg class="cells" viewBox="0 0 %d %d"><defs><pattern id="failed" width="6" height="6" patternUnits="userSpaceOnUse"><path d="M0 6L6 0" stroke="#000" stroke-width="1.2"/></pattern></defs>`,
		mapWidth*side, rows*high)
	for i, c := range m.Cells {
		x, y := i%mapWidth*side, i/mapWidth*high
		for _, part := range c.parts() {
			w.area(part.is, x+part.from*side/1000, y, (part.to-part.from)*side/1000, high)
		}
		fmt.Fprintf(&w.b, `<path d="M%d %dh%dv%dh-%dz" fill="none" stroke="#777" stroke-width=".8"/>`, x, y, side, high, side)
	}
	w.b.WriteString("</svg><figcaption>")
	for s, text := range m.Legend {
		w.b.WriteString(`<span><svg class="key" viewBox="0 0 40 26">`)
		w.area(state(s), 0, 0, 40, 26)
		w.f(`<path d="M0 0h40v26h-40z" fill="none" stroke="#777"/></svg>%s</span>`, text)
	}
	w.b.WriteString("</figcaption></figure>\n")
}

// area fills an area as its state looks.
func (w *web) area(s state, x, y, width, height int) {
	fill := [4]string{rescued: "#d8d8d8", untried: "#fff", failed: "url(#failed)", bad: "#000"}[s]
	fmt.Fprintf(&w.b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`, x, y, width, height, fill)
}
