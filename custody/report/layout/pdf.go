package layout

import (
	"fmt"
	"slices"
)

// The measures of a page, in millimetres: A4 with its margins, and what the foot takes.
const (
	pageWidth  = 210.0
	pageHeight = 297.0
	margin     = 15.0
	pageTop    = 14.0
	bodyWidth  = pageWidth - 2*margin
	footHeight = 22.0
	footTop    = pageHeight - 9 - footHeight
	bodyBottom = footTop - 3
)

// The sizes of letters, in points.
const (
	sizeTitle   = 15.0
	sizeHeading = 10.5
	sizeBody    = 9.0
	sizeTable   = 8.0
	sizeDense   = 7.5
	sizeFoot    = 6.5
)

// A Blank is an A4 file with its faces in it and no page yet. To read the faces costs as
// much as to set a short paper, and can be done before there is anything to set. A blank
// is used for one document; a nil one is made when it is needed.
type Blank struct{ press *press }

// NewBlank reads the faces.
func NewBlank() (*Blank, error) {
	p, err := newPress(pageWidth, pageHeight)
	return &Blank{p}, err
}

// PDF sets the document on A4 pages. producer names the program in the file's own
// description; sum is the SHA-256 of the paper's data, kept there too.
func (d Document) PDF(on *Blank, producer, sum string) ([]byte, error) {
	p, err := d.print(on, producer, sum)
	if err != nil {
		return nil, err
	}
	return p.bytes()
}

// Boxes returns every text of the document's PDF, page by page in the order of the file:
// what somebody who checks the layout compares with the file, and with the page.
func (d Document) Boxes() ([]Box, error) {
	p, err := d.print(nil, "", "")
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(p.drawn, func(a, b Box) int { return a.Page - b.Page })
	return p.drawn, nil
}

func (d Document) print(on *Blank, producer, sum string) (*pages, error) {
	if on == nil {
		var err error
		if on, err = NewBlank(); err != nil {
			return nil, err
		}
	}
	on.press.made(d.At)
	p := &pages{press: on.press, doc: d, left: margin, width: bodyWidth, tops: make(map[place]bool)}
	p.pdf.SetTitle(d.Title, true)
	p.pdf.SetAuthor(d.Sender.Name, true)
	p.pdf.SetSubject("SHA-256 "+sum, true)
	p.pdf.SetCreator(producer, true)
	p.pdf.SetProducer(producer, true)
	p.pdf.SetLang(d.Lang)

	p.pdf.AddPage()
	if err := p.sender(); err != nil {
		return nil, err
	}
	for i, b := range d.Blocks {
		p.begins(i, 0)
		p.after = p.tailHeight(d.Blocks[i+1:])
		if h, ok := b.(Heading); ok {
			// A heading is never alone at the end of a page.
			p.y += 2.5
			p.need(p.headingHeight(h) + p.firstHeight(d.Blocks[i+1:]))
		}
		if err := p.set(b); err != nil {
			return nil, err
		}
	}
	p.notes()
	return p, p.feet()
}

// pages sets the blocks of a document below each other, page after page.
type pages struct {
	*press
	doc         Document
	left, width float64 // of the column that is being set
	y           float64 // where the next block begins
	after       float64 // what has to stand below the end of the block, on the same page

	here place
	tops map[place]bool // what begins a page
}

// A place is a part of a document that can begin a page: a block, or one of its rows.
type place struct{ block, row int }

// middle stands for what is inside of a row that is longer than a page.
const middle = -1

// begins says what is set next.
func (p *pages) begins(block, row int) { p.here = place{block, row} }

// part says which row of its block is set next.
func (p *pages) part(n int) { p.here.row = n }

// need begins a new page unless h fits on this one. It reports whether it did.
func (p *pages) need(h float64) bool {
	if p.y+h <= bodyBottom {
		return false
	}
	if p.here.row != middle {
		p.tops[p.here] = true
	}
	face, size := p.face, p.size
	p.pdf.AddPage()
	p.runningHead()
	if size > 0 {
		p.use(face, size)
	}
	return true
}

// sender prints the head of the first page: the logo and the shop at the left, number
// and time at the right, the title below.
func (p *pages) sender() error {
	mark, err := readLogo(p.doc.Sender.Logo)
	if err != nil {
		return err
	}
	const leftWidth, rightWidth = 100.0, 74.0
	y := pageTop
	if mark != nil {
		w, h := mark.fit(60, 18)
		p.picture(mark, margin, y, w, h)
		y += h + 2
	}
	p.use(bold, 11)
	y = p.para(margin, y, leftWidth, p.doc.Sender.Name)
	p.use(sans, 8)
	for _, l := range p.doc.Sender.Lines {
		y = p.para(margin, y, leftWidth, l)
	}
	right := pageTop
	for _, m := range p.doc.Meta {
		p.use(sans, 7)
		right = p.para(pageWidth-margin-rightWidth, right, rightWidth, m.Label)
		p.use(bold, 8)
		right = p.para(pageWidth-margin-rightWidth, right, rightWidth, m.Value) + 0.8
	}
	p.y = max(y, right) + 3
	p.use(bold, sizeTitle)
	p.y = p.para(margin, p.y, bodyWidth, p.doc.Title)
	if p.doc.Mark != "" {
		p.use(sans, sizeBody)
		p.y = p.para(margin, p.y, bodyWidth, p.doc.Mark)
	}
	p.pdf.SetDrawColor(0, 0, 0)
	p.pdf.SetLineWidth(0.5)
	p.pdf.Line(margin, p.y+0.8, pageWidth-margin, p.y+0.8)
	p.y += 3
	return nil
}

// runningHead prints the head of a further page.
func (p *pages) runningHead() {
	p.use(sans, 7)
	number := ""
	if len(p.doc.Meta) > 0 {
		number = p.doc.Meta[0].Value
	}
	room := bodyWidth - p.measure(p.letters.show(sans, number)) - 10
	running := p.lines(p.doc.Title+" · "+p.doc.Sender.Name, room)
	if len(running) > 1 {
		running[0] += "…"
	}
	p.at(margin, pageTop-3, running[0])
	p.right(pageWidth-margin, pageTop-3, number)
	p.hair(margin, pageTop+0.6, pageWidth-margin, pageTop+0.6)
	p.y = pageTop + 3.5
}

// feet prints the foot of every page, now that their number is known.
func (p *pages) feet() error {
	f := p.doc.Foot
	const side = 19.0
	var code modules
	if f.QR != "" {
		var err error
		if code, err = qrCode(f.QR); err != nil {
			return err
		}
	}
	last := p.pdf.PageNo()
	for n := 1; n <= last; n++ {
		p.pdf.SetPage(n)
		p.hair(margin, footTop, pageWidth-margin, footTop)
		room := bodyWidth
		if f.QR != "" {
			p.code(code, pageWidth-margin-side, footTop+2.2, side, side)
			room -= side + 5
		}
		p.use(bold, 7.5)
		page := f.Page(n, last)
		p.right(margin+room, footTop+1.4, page)
		y := footTop + 1.4
		for i, field := range f.Fields {
			p.use(sans, sizeFoot)
			label := p.letters.show(sans, field.Label+f.Colon+" ")
			indent := p.measure(label)
			p.at(margin, y, label)
			if field.Code {
				p.use(mono, sizeFoot)
			}
			wide := room - indent
			if i < 2 {
				wide -= 26 // the number of the page stands at the right
			}
			y = p.para(margin+indent, y, wide, field.Value)
		}
		p.use(sans, sizeFoot-0.5)
		p.para(margin, y+0.3, room, f.Why)
	}
	return nil
}

// notes prints the shop's own words, and what the fonts could not.
func (p *pages) notes() {
	p.use(sans, 7.5)
	for i, n := range p.doc.Sender.Notes {
		if i == 0 {
			p.y += 3
		}
		p.begins(len(p.doc.Blocks), i)
		p.lineByLine(margin, bodyWidth, n)
	}
	p.part(middle) // of this HTML says nothing: it has every letter
	if lacked := p.letters.said(); lacked != "" && p.doc.Foot.Lacks != nil {
		text := p.doc.Foot.Lacks(lacked)
		p.y += 2
		p.need(p.height(text, bodyWidth))
		p.y = p.para(margin, p.y, bodyWidth, text)
	}
}

// set prints one block.
func (p *pages) set(b Block) error {
	switch b := b.(type) {
	case Heading:
		p.heading(b)
	case Para:
		p.running(b)
	case Space:
		p.y += 2
	case Fields:
		p.fields(b)
	case List:
		p.list(b)
	case Table:
		p.table(b)
	case Choice:
		p.choice(b)
	case Signatures:
		p.signatures(b)
	case Receipt:
		return p.receipt(b)
	case Map:
		p.mapPicture(b)
	default:
		return fmt.Errorf("paper: no such block: %T", b)
	}
	return nil
}
