package layout

import "slices"

func (p *pages) headingHeight(h Heading) float64 {
	p.use(bold, sizeHeading)
	return p.height(h.Text, p.width) + 1.8
}

// firstHeight is how much of what follows a heading has to stand below it on the same
// page: enough to see what it is about.
func (p *pages) firstHeight(rest []Block) float64 {
	if len(rest) == 0 {
		return 0
	}
	switch b := rest[0].(type) {
	case Signatures:
		return signatureHeight + 3
	case Map:
		return p.mapHeight(b)
	case Para:
		p.use(faceOf(b), sizeBody)
		return min(p.height(b.Text, p.width), 3*p.line()) + p.firstHeight(rest[1:])/2
	}
	return 12
}

func (p *pages) heading(h Heading) {
	p.use(bold, sizeHeading)
	p.y = p.para(p.left, p.y, p.width, h.Text)
	p.hair(p.left, p.y+0.3, p.left+p.width, p.y+0.3)
	p.y += 1.5
}

func faceOf(b Para) face {
	if b.Strong {
		return bold
	}
	return sans
}

// running prints a paragraph line by line: it may go over to the next page.
func (p *pages) running(b Para) {
	p.use(faceOf(b), sizeBody)
	x := p.left
	if b.Inset {
		x += 4
	}
	for _, l := range p.lines(b.Text, p.width-(x-p.left)) {
		p.need(p.line())
		p.at(x, p.y, l)
		p.y += p.line()
	}
	p.y += 0.8
}

func (p *pages) list(items List) {
	p.use(sans, sizeBody)
	for _, item := range items {
		for i, l := range p.lines(item, p.width-4) {
			p.need(p.line())
			if i == 0 {
				p.at(p.left+0.8, p.y, "–")
			}
			p.at(p.left+4, p.y, l)
			p.y += p.line()
		}
	}
	p.y += 0.8
}

// labelShare is how much of the width labels have.
const labelShare = 0.31

func (p *pages) fields(fields Fields) {
	labels := p.width * labelShare
	values := p.width - labels - 2
	for _, f := range fields {
		p.use(sans, sizeBody)
		left := p.lines(f.Label+p.colon(), labels)
		if f.Code {
			p.use(mono, sizeTable)
		}
		right := p.lines(f.Value, values)
		for i := range max(len(left), len(right)) {
			p.use(sans, sizeBody)
			line := p.line()
			p.need(line)
			if i < len(left) {
				p.at(p.left, p.y, left[i])
			}
			if f.Code {
				p.use(mono, sizeTable)
			}
			if i < len(right) {
				p.at(p.left+labels+2, p.y, right[i])
			}
			p.y += line
		}
	}
	p.y += 0.8
}

func (p *pages) colon() string { return p.doc.Foot.Colon }

// gap is the room between two columns of a table.
const gap = 2.0

// table prints a table. Its head is repeated on every page; a row is kept whole unless
// it is longer than a page.
func (p *pages) table(t Table) {
	size := sizeTable
	if t.Dense {
		size = sizeDense
	}
	widths := p.columnWidths(t, size)
	p.tableHead(t, widths, size)
	for _, row := range t.Rows {
		cells, height := p.row(t, row, widths, size)
		if p.y+height > bodyBottom && height < bodyBottom-pageTop-20 {
			p.need(height)
			p.tableHead(t, widths, size)
		}
		p.cells(t, cells, widths, size)
		p.grey(p.left, p.y+0.25, p.left+p.width, p.y+0.25)
		p.y += 0.5
	}
	p.y += 1
}

func (p *pages) cellFace(c Column, size float64) {
	if c.Code {
		p.use(mono, size-0.5)
	} else {
		p.use(sans, size)
	}
}

// row breaks the cells of a row into lines and says how high it is.
func (p *pages) row(t Table, row []string, widths []float64, size float64) (cells [][]string, height float64) {
	for i, c := range t.Columns {
		p.cellFace(c, size)
		cells = append(cells, p.lines(row[i], widths[i]))
		height = max(height, float64(len(cells[i]))*size*point*leading)
	}
	return cells, height + 1
}

// cells prints a row line by line.
func (p *pages) cells(t Table, cells [][]string, widths []float64, size float64) {
	most := 0
	for _, c := range cells {
		most = max(most, len(c))
	}
	p.y += 0.25
	for n := range most {
		if p.need(size * point * leading) {
			p.tableHead(t, widths, size)
		}
		x := p.left
		for i, c := range t.Columns {
			p.cellFace(c, size)
			if n < len(cells[i]) {
				if c.Right {
					p.right(x+widths[i], p.y, cells[i][n])
				} else {
					p.at(x, p.y, cells[i][n])
				}
			}
			x += widths[i] + gap
		}
		p.y += size * point * leading
	}
}

func (p *pages) tableHead(t Table, widths []float64, size float64) {
	p.use(bold, size-0.5)
	var titles [][]string
	most := 0
	for i, c := range t.Columns {
		titles = append(titles, p.lines(c.Title, widths[i]))
		most = max(most, len(titles[i]))
	}
	height := float64(most)*p.line() + 1.2
	p.need(height + 8)
	p.use(bold, size-0.5)
	x := p.left
	for i, c := range t.Columns {
		for n, l := range titles[i] {
			y := p.y + float64(most-len(titles[i])+n)*p.line()
			if c.Right {
				p.right(x+widths[i], y, l)
			} else {
				p.at(x, y, l)
			}
		}
		x += widths[i] + gap
	}
	p.y += height
	p.hair(p.left, p.y-0.5, p.left+p.width, p.y-0.5)
}

// columnWidths shares the width of the page among the columns: each gets what its
// longest word needs, and the rest goes where text would have to be broken.
func (p *pages) columnWidths(t Table, size float64) []float64 {
	n := len(t.Columns)
	least, most := make([]float64, n), make([]float64, n)
	const longest = 34 // a longer word is broken
	see := func(i int, text string) {
		shown := p.letters.show(p.face, text)
		most[i] = max(most[i], p.measure(shown))
		from := 0
		for at, r := range shown + " " {
			if r == ' ' {
				if at > from {
					least[i] = max(least[i], min(longest, p.measure(shown[from:at])))
				}
				from = at + 1
			}
		}
	}
	for i, c := range t.Columns {
		p.use(bold, size-0.5)
		see(i, c.Title)
		most[i] = least[i] // a title may be broken, a cell should not
		p.cellFace(c, size)
		for _, row := range t.Rows {
			see(i, row[i])
		}
		most[i] += 0.1 // what was measured must fit
		least[i] += 0.1
	}
	room := p.width - gap*float64(n-1)
	wants, needs := sum(most), sum(least)
	widths := make([]float64, n)
	for i := range widths {
		switch {
		case wants <= room:
			widths[i] = most[i] + (room-wants)*most[i]/wants
		case needs >= room:
			widths[i] = least[i] * room / needs
		default:
			widths[i] = least[i] + (room-needs)*(most[i]-least[i])/(wants-needs)
		}
	}
	return widths
}

func sum(all []float64) (total float64) {
	for _, v := range all {
		total += v
	}
	return total
}

func (p *pages) choice(c Choice) {
	p.use(bold, sizeBody)
	p.need(p.height(c.Question, p.width) + float64(len(c.Options))*p.line()*1.4)
	p.y = p.para(p.left, p.y, p.width, c.Question) + 0.6
	p.use(sans, sizeBody)
	for _, o := range c.Options {
		p.box(p.left+1, p.y+0.2, 3, 3)
		p.y = p.para(p.left+6.5, p.y, p.width-6.5, o) + 1
	}
	p.y += 0.8
}

// signatureHeight is the height of a box to sign in.
const signatureHeight = 22.0

// signatures prints boxes beside each other, at most three in a row.
func (p *pages) signatures(all Signatures) {
	p.y += 2
	for row := range slices.Chunk(all, 3) {
		p.need(signatureHeight + 2)
		w := (p.width - 4*float64(len(row)-1)) / float64(len(row))
		if len(row) == 1 {
			w = p.width / 2
		}
		for i, s := range row {
			x := p.left + float64(i)*(w+4)
			p.box(x, p.y, w, signatureHeight)
			p.use(bold, sizeTable)
			y := p.para(x+2, p.y+1.2, w-4, s.Role)
			p.use(sans, sizeTable)
			if s.Name != "" {
				p.para(x+2, y, w-4, s.Name)
			}
			if s.Date != "" {
				p.use(sans, sizeFoot)
				p.at(x+2, p.y+signatureHeight-3.8, s.Date+p.colon())
			}
		}
		p.y += signatureHeight + 2
	}
}

// receipt prints a part to tear off, whole on one page and at its bottom.
func (p *pages) receipt(r Receipt) error {
	const side = 24.0
	height := p.receiptHeight(r, side)
	p.y += 3
	p.need(height)
	p.y = bodyBottom - height
	p.use(sans, sizeFoot)
	p.cut(4, pageWidth-4, p.y)
	p.at(margin, p.y+0.6, r.Cut)
	p.y += 5
	top := p.y
	if r.QR != "" {
		code, err := qrCode(r.QR)
		if err != nil {
			return err
		}
		p.code(code, p.left+p.width-side-2, top+2, side, side)
		p.use(mono, sizeFoot)
		p.right(p.left+p.width, top+side+4, r.QR)
		p.width -= side + 8
		defer func() { p.width += side + 8 }()
	}
	for _, b := range r.Blocks {
		if err := p.set(b); err != nil {
			return err
		}
	}
	p.y = max(p.y, top+side+8)
	return nil
}

// receiptHeight is how high a receipt is.
func (p *pages) receiptHeight(r Receipt, side float64) float64 {
	width := p.width
	if r.QR != "" {
		width -= side + 8
	}
	h := 6.0
	for _, b := range r.Blocks {
		switch b := b.(type) {
		case Heading:
			p.use(bold, sizeHeading)
			h += p.height(b.Text, width) + 1.8
		case Para:
			p.use(faceOf(b), sizeBody)
			h += p.height(b.Text, width) + 0.8
		case Fields:
			for _, f := range b {
				p.use(sans, sizeBody)
				h += max(p.height(f.Label+p.colon(), width*labelShare), p.height(f.Value, width-width*labelShare-2))
			}
			h += 0.8
		}
	}
	return max(h, side+14)
}

// The measures of the picture of a source.
const cellHeight = 3.0

func (p *pages) mapHeight(m Map) float64 {
	rows := (len(m.Cells) + mapWidth - 1) / mapWidth
	p.use(sans, sizeTable)
	return p.height(m.Caption, p.width) + float64(rows)*cellHeight + 9
}

// mapPicture prints the picture of a source and its legend, whole on one page.
func (p *pages) mapPicture(m Map) {
	p.need(min(p.mapHeight(m), bodyBottom-pageTop-10))
	p.use(sans, sizeTable)
	p.y = p.para(p.left, p.y, p.width, m.Caption) + 0.6
	w := p.width / mapWidth
	for i, c := range m.Cells {
		column := i % mapWidth
		if column == 0 && i > 0 {
			p.y += cellHeight
		}
		if column == 0 {
			p.need(cellHeight)
		}
		p.cell(c, p.left+float64(column)*w, p.y, w, cellHeight)
	}
	p.y += cellHeight + 1.4
	p.use(sans, sizeTable)
	x := p.left
	for s, text := range m.Legend {
		shown := p.letters.show(sans, text)
		if x+5+p.measure(shown) > p.left+p.width {
			x = p.left
			p.y += p.line() + 0.5
		}
		p.state(state(s), x, p.y+0.3, 4, 2.6)
		p.pdf.SetDrawColor(110, 110, 110)
		p.pdf.SetLineWidth(0.08)
		p.pdf.Rect(x, p.y+0.3, 4, 2.6, "D")
		p.at(x+5, p.y, text)
		x += 5 + p.measure(shown) + 6
	}
	p.y += p.line() + 1.5
}
