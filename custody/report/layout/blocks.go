package layout

import (
	"slices"
	"strings"
)

func (p *pages) headingHeight(h Heading) float64 {
	p.use(bold, sizeHeading)
	return p.height(h.Text, p.width) + 1.8
}

// How much of a block stands together on one page.
const (
	wholeLines  = 8    // lines of a paragraph or row; longer ones are broken in the middle
	wholeFields = 45.0 // height of values below each other
	lastItems   = 4    // of a list, on the page of what has to stand below it
	lastRows    = 3    // of a table
)

// tailHeight is what has to stand below the end of a block on the same page: a box to
// sign in is never alone on a page, and what explains stands where it explains.
func (p *pages) tailHeight(rest []Block) float64 {
	if len(rest) == 0 {
		return 0
	}
	switch b := rest[0].(type) {
	case Signatures:
		return p.boxHeight(b) + 4
	case Para:
		if b.Inset {
			p.use(faceOf(b), sizeBody)
			return 0.8 + p.startHeight(p.height(b.Text, p.width-4))
		}
	}
	return 0
}

// firstHeight is how much of what follows a heading has to stand below it on the same
// page: enough to see what it is about.
func (p *pages) firstHeight(rest []Block) float64 {
	if len(rest) == 0 {
		return 0
	}
	tail := p.tailHeight(rest[1:])
	switch b := rest[0].(type) {
	case Signatures:
		return p.boxHeight(b) + 3
	case Map:
		return p.mapHeight(b)
	case Para:
		p.use(faceOf(b), sizeBody)
		return p.startHeight(p.height(b.Text, p.width)) + max(tail, p.firstHeight(rest[1:])/2)
	case Fields:
		return p.fieldsStart(p.fieldHeights(b), tail)
	case List:
		return p.listStart(p.itemHeights(b), tail)
	case Table:
		return p.tableStart(b, tail)
	}
	return 12
}

// startHeight is how much of a text of that height in the letters in use has to fit
// where it begins: all of it unless it is long.
func (p *pages) startHeight(height float64) float64 {
	if height > wholeLines*p.line()+0.01 {
		return 2 * p.line()
	}
	return height
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

// running prints a paragraph. A long one may go over to the next page.
func (p *pages) running(b Para) {
	p.use(faceOf(b), sizeBody)
	x := p.left
	if b.Inset {
		x += 4
	}
	p.lineByLine(x, p.width-(x-p.left), b.Text)
	p.y += 0.8
}

// lineByLine prints a text from x. A short one stands whole on a page; of a long one
// no line stands alone.
func (p *pages) lineByLine(x, width float64, text string) {
	lines := p.lines(text, width)
	start := p.startHeight(float64(len(lines)) * p.line())
	if len(lines) <= wholeLines {
		start += p.after
	}
	p.need(start)
	for i, l := range lines {
		if i > 0 {
			p.part(middle)
		}
		if i == len(lines)-2 {
			p.need(2*p.line() + p.after)
		}
		p.need(p.line())
		p.at(x, p.y, l)
		p.y += p.line()
	}
}

// itemHeights are how high the sentences of a list are.
func (p *pages) itemHeights(items List) []float64 {
	p.use(sans, sizeBody)
	var all []float64
	for _, item := range items {
		all = append(all, p.height(item, p.width-4))
	}
	return all
}

// listStart is how much of a list has to fit where it begins.
func (p *pages) listStart(heights []float64, tail float64) float64 {
	p.use(sans, sizeBody)
	if total := sum(heights); tail > 0 && len(heights) <= lastItems && total < wholeFields {
		return total + tail
	}
	return p.startHeight(heights[0])
}

func (p *pages) list(items List) {
	heights := p.itemHeights(items)
	for n, item := range items {
		p.part(n)
		p.use(sans, sizeBody)
		if n == max(0, len(items)-lastItems) {
			p.need(p.listStart(heights[n:], p.after))
		}
		p.need(p.startHeight(heights[n]))
		for i, l := range p.lines(item, p.width-4) {
			if i > 0 {
				p.part(middle)
			}
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

// fieldLines breaks a field into the lines of its label and of its value.
func (p *pages) fieldLines(f Field) (label, value []string) {
	labels := p.width * labelShare
	p.use(sans, sizeBody)
	label = p.lines(f.Label+p.colon(), labels)
	if f.Code {
		p.use(mono, sizeTable)
	}
	return label, p.lines(f.Value, p.width-labels-2)
}

// fieldHeights are how high fields are.
func (p *pages) fieldHeights(fields Fields) []float64 {
	var all []float64
	for _, f := range fields {
		label, value := p.fieldLines(f)
		p.use(sans, sizeBody)
		all = append(all, float64(max(len(label), len(value)))*p.line())
	}
	return all
}

// fieldsStart is how much of fields has to fit where they begin: all of a few, two of
// many.
func (p *pages) fieldsStart(heights []float64, tail float64) float64 {
	p.use(sans, sizeBody)
	if total := sum(heights); total <= wholeFields {
		return total + tail
	}
	start := 0.0
	for _, h := range heights[:min(2, len(heights))] {
		start += p.startHeight(h)
	}
	return start
}

func (p *pages) fields(fields Fields) {
	heights := p.fieldHeights(fields)
	p.part(0)
	p.need(p.fieldsStart(heights, p.after))
	for n, f := range fields {
		p.part(n)
		label, value := p.fieldLines(f)
		p.use(sans, sizeBody)
		line := p.line()
		if n == len(fields)-2 { // the last one is not alone
			p.need(p.startHeight(heights[n]) + p.startHeight(heights[n+1]) + p.after)
		}
		p.need(p.startHeight(heights[n]))
		for i := range max(len(label), len(value)) {
			if i > 0 {
				p.part(middle)
			}
			p.need(line)
			p.use(sans, sizeBody)
			if i < len(label) {
				p.at(p.left, p.y, label[i])
			}
			if f.Code {
				p.use(mono, sizeTable)
			}
			if i < len(value) {
				p.at(p.left+p.width*labelShare+2, p.y, value[i])
			}
			p.y += line
		}
	}
	p.y += 0.8
}

func (p *pages) colon() string { return p.doc.Foot.Colon }

// gap is the room between two columns of a table.
const gap = 2.0

// A grid is a table with its letters and the widths of its columns.
type grid struct {
	Table
	size   float64 // points
	widths []float64
}

func (p *pages) grid(t Table) grid {
	g := grid{t, sizeTable, nil}
	if t.Dense {
		g.size = sizeDense
	}
	g.widths = p.columnWidths(t, g.size)
	return g
}

// tallest is the height of a row from which on it is not kept whole.
const tallest = bodyBottom - pageTop - 20

// tableStart is how much of a table has to fit where it begins: its head and a row, or
// all of a small one that has something to stand above.
func (p *pages) tableStart(t Table, tail float64) float64 {
	g := p.grid(t)
	_, height := p.titles(g)
	rows := 1
	if tail > 0 && len(t.Rows) <= lastRows {
		rows = len(t.Rows)
		height += tail
	}
	for _, row := range t.Rows[:rows] {
		_, h := p.row(g, row)
		if h >= tallest {
			h = 8
		}
		height += h + 0.5
	}
	return height
}

// table prints a table. Its head is repeated on every page; a row is kept whole unless
// it is longer than a page.
func (p *pages) table(t Table) {
	g := p.grid(t)
	var cells [][][]string
	var heights []float64
	for _, row := range t.Rows {
		c, h := p.row(g, row)
		cells, heights = append(cells, c), append(heights, h)
	}
	p.part(0)
	_, head := p.titles(g)
	first := heights[0]
	if first >= tallest {
		first = 8
	}
	if len(heights) == 1 {
		first += p.after
	}
	p.need(head + first)
	p.tableHead(g)
	for n := range t.Rows {
		p.part(n)
		want := heights[n]
		if n == max(1, len(t.Rows)-lastRows) && p.after > 0 {
			want = sum(heights[n:]) + 0.5*float64(len(heights)-n) + p.after
		}
		if want < tallest && n > 0 && p.need(want) {
			p.tableHead(g)
		}
		p.cells(g, cells[n])
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
func (p *pages) row(g grid, row []string) (cells [][]string, height float64) {
	for i, c := range g.Columns {
		p.cellFace(c, g.size)
		cells = append(cells, p.lines(row[i], g.widths[i]))
		height = max(height, float64(len(cells[i]))*g.size*point*leading)
	}
	return cells, height + 1
}

// cells prints a row line by line.
func (p *pages) cells(g grid, cells [][]string) {
	most := 0
	for _, c := range cells {
		most = max(most, len(c))
	}
	p.y += 0.25
	for n := range most {
		if n > 0 {
			p.part(middle)
		}
		if p.need(g.size * point * leading) {
			p.tableHead(g)
		}
		x := p.left
		for i, c := range g.Columns {
			p.cellFace(c, g.size)
			if n < len(cells[i]) {
				if c.Right {
					p.right(x+g.widths[i], p.y, cells[i][n])
				} else {
					p.at(x, p.y, cells[i][n])
				}
			}
			x += g.widths[i] + gap
		}
		p.y += g.size * point * leading
	}
}

// titles breaks the titles of the columns into lines and says how high the head is.
func (p *pages) titles(g grid) (titles [][]string, height float64) {
	p.use(bold, g.size-0.5)
	for i, c := range g.Columns {
		titles = append(titles, p.lines(c.Title, g.widths[i]))
		height = max(height, float64(len(titles[i]))*p.line())
	}
	return titles, height + 1.2
}

func (p *pages) tableHead(g grid) {
	titles, height := p.titles(g)
	bottom := p.y + height - 1.2
	x := p.left
	for i, c := range g.Columns {
		for n, l := range titles[i] {
			y := bottom - float64(len(titles[i])-n)*p.line()
			if c.Right {
				p.right(x+g.widths[i], y, l)
			} else {
				p.at(x, y, l)
			}
		}
		x += g.widths[i] + gap
	}
	p.y += height
	p.hair(p.left, p.y-0.5, p.left+p.width, p.y-0.5)
}

// columnWidths shares the width of the page among the columns: each gets what its
// longest word needs, and the rest goes where text would have to be broken.
func (p *pages) columnWidths(t Table, size float64) []float64 {
	least, most := p.columnNeeds(t, size, whole)
	n := len(t.Columns)
	room := p.width - gap*float64(n-1)
	if sum(least) >= room { // then a title is rather broken at its soft hyphens
		least, most = p.columnNeeds(t, size, func(title string) string { return strings.ReplaceAll(title, SoftHyphen, "- ") })
	}
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

// columnNeeds is how wide each column has to be at least, for its longest word, and at
// most, for its longest cell. broken is a title as it may be broken at spaces.
func (p *pages) columnNeeds(t Table, size float64, broken func(string) string) (least, most []float64) {
	n := len(t.Columns)
	least, most = make([]float64, n), make([]float64, n)
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
		see(i, broken(c.Title))
		most[i] = least[i] // a title may be broken, a cell should not
		p.cellFace(c, size)
		for _, row := range t.Rows {
			see(i, row[i])
		}
		most[i] += 0.1 // what was measured must fit
		least[i] += 0.1
	}
	return least, most
}

func sum(all []float64) (total float64) {
	for _, v := range all {
		total += v
	}
	return total
}

// choiceHeight is how high a question is.
func (p *pages) choiceHeight(c Choice) float64 {
	p.use(bold, sizeBody)
	h := p.height(c.Question, p.width) + 1.4
	p.use(sans, sizeBody)
	for _, o := range c.Options {
		h += p.height(o, p.width-6.5) + 1
	}
	return h
}

func (p *pages) choice(c Choice) {
	p.need(p.choiceHeight(c) + p.after)
	p.use(bold, sizeBody)
	p.y = p.para(p.left, p.y, p.width, c.Question) + 0.6
	p.use(sans, sizeBody)
	for _, o := range c.Options {
		p.box(p.left+1, p.y+0.2, 3, 3)
		p.y = p.para(p.left+6.5, p.y, p.width-6.5, o) + 1
	}
	p.y += 0.8
}

// signatureHeight is the height of a box to sign in, below a role and a name of a line each.
const signatureHeight = 22.0

// boxesBeside is how many boxes to sign in stand beside each other.
const boxesBeside = 3

// boxWidth is the width of a box to sign in, of so many beside each other.
func (p *pages) boxWidth(boxes int) float64 {
	if boxes == 1 {
		return p.width / 2
	}
	return (p.width - 4*float64(boxes-1)) / float64(boxes)
}

// boxHeight is the height of the first row of boxes: a long name takes nothing from the
// room to sign.
func (p *pages) boxHeight(all Signatures) float64 {
	face, size := p.face, p.size
	defer func() { p.use(face, size) }()
	row := all[:min(len(all), boxesBeside)]
	more := 0.0
	for _, s := range row {
		w := p.boxWidth(len(row)) - 4
		p.use(bold, sizeTable)
		text := p.height(s.Role, w)
		p.use(sans, sizeTable)
		more = max(more, text+p.height(s.Name, w)-2*p.line())
	}
	return signatureHeight + more
}

// signatures prints boxes beside each other, at most three in a row.
func (p *pages) signatures(all Signatures) {
	p.y += 2
	for row := range slices.Chunk(all, boxesBeside) {
		height := p.boxHeight(row)
		p.need(height + 2)
		p.part(middle)
		w := p.boxWidth(len(row))
		for i, s := range row {
			x := p.left + float64(i)*(w+4)
			p.box(x, p.y, w, height)
			p.use(bold, sizeTable)
			y := p.para(x+2, p.y+1.2, w-4, s.Role)
			p.use(sans, sizeTable)
			if s.Name != "" {
				p.para(x+2, y, w-4, s.Name)
			}
			if s.Date != "" {
				p.use(sans, sizeFoot)
				p.at(x+2, p.y+height-3.8, s.Date+p.colon())
			}
		}
		p.y += height + 2
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
			p.part(middle)
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
