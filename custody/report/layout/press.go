package layout

import (
	"bytes"
	"fmt"
	"time"

	"codeberg.org/go-fonts/liberation/liberationmonoregular"
	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"codeberg.org/go-pdf/fpdf"
)

// point is a point in millimetres.
const point = 25.4 / 72

// leading is the distance of lines, in sizes of the letters.
const leading = 1.25

// press prints on pages. Lengths are millimetres from the top left corner, sizes of
// letters are points. Text is placed by its own lines; the library never breaks a page.
type press struct {
	pdf     *fpdf.Fpdf
	letters *letters
	face    face
	size    float64

	drawn []Box
}

// Box is one line of text of a PDF and where it stands: its page, and in millimetres
// from the top left corner the place and size of its letters.
type Box struct {
	Page       int
	X, Y, W, H float64
	Text       string
}

// families are the names by which the library knows the faces.
var families = [3]struct{ family, style string }{sans: {"liberation", ""}, bold: {"liberation", "B"}, mono: {"liberationmono", ""}}

func newPress(width, height float64) (*press, error) {
	l, err := newLetters()
	if err != nil {
		return nil, err
	}
	// The library wants the sides in the order of a page that stands upright.
	orientation, size := "P", fpdf.SizeType{Wd: width, Ht: height}
	if width > height {
		orientation, size = "L", fpdf.SizeType{Wd: height, Ht: width}
	}
	pdf := fpdf.NewCustom(&fpdf.InitType{OrientationStr: orientation, UnitStr: "mm", Size: size})
	pdf.SetCatalogSort(true)
	pdf.SetMargins(0, 0, 0)
	pdf.SetAutoPageBreak(false, 0)
	pdf.AddUTF8FontFromBytes(families[sans].family, families[sans].style, liberationsansregular.TTF)
	pdf.AddUTF8FontFromBytes(families[bold].family, families[bold].style, liberationsansbold.TTF)
	pdf.AddUTF8FontFromBytes(families[mono].family, families[mono].style, liberationmonoregular.TTF)
	return &press{pdf: pdf, letters: l}, nil
}

// made says when the file was made.
func (p *press) made(at time.Time) {
	p.pdf.SetCreationDate(at.UTC())
	p.pdf.SetModificationDate(at.UTC())
}

// bytes ends the file.
func (p *press) bytes() ([]byte, error) {
	var b bytes.Buffer
	if err := p.pdf.Output(&b); err != nil {
		return nil, fmt.Errorf("PDF: %w", err)
	}
	return b.Bytes(), nil
}

// use takes the letters for what comes next.
func (p *press) use(f face, size float64) {
	p.face, p.size = f, size
	p.pdf.SetFont(families[f].family, families[f].style, size)
}

// measure is the width of text in the letters in use. The text is one that show gave.
func (p *press) measure(text string) float64 { return p.pdf.GetStringWidth(text) }

// line is the distance of lines of the letters in use.
func (p *press) line() float64 { return p.size * point * leading }

// lines breaks text into lines of at most width.
func (p *press) lines(text string, width float64) []string {
	return wrap(p.letters.show(p.face, text), width, width, p.measure)
}

// height is how high text is in lines of at most width.
func (p *press) height(text string, width float64) float64 {
	return float64(len(p.lines(text, width))) * p.line()
}

// at draws one line of text with its top at y.
func (p *press) at(x, y float64, text string) {
	text = p.letters.show(p.face, text)
	if text == "" {
		return
	}
	p.drawn = append(p.drawn, Box{p.pdf.PageNo(), x, y, p.measure(text), p.size * point, text})
	// The baseline: Liberation's capitals are 0.73 of the size high, above them is air.
	p.pdf.Text(x, y+p.size*point*0.95, text)
}

// right draws one line of text that ends at x.
func (p *press) right(x, y float64, text string) {
	p.at(x-p.measure(p.letters.show(p.face, text)), y, text)
}

// para draws text in lines from (x, y) and returns where the next line begins.
func (p *press) para(x, y, width float64, text string) float64 {
	for _, l := range p.lines(text, width) {
		p.at(x, y, l)
		y += p.line()
	}
	return y
}

// hair draws a thin line from (x1, y1) to (x2, y2).
func (p *press) hair(x1, y1, x2, y2 float64) {
	p.pdf.SetDrawColor(0, 0, 0)
	p.pdf.SetLineWidth(0.15)
	p.pdf.Line(x1, y1, x2, y2)
}

// grey draws a thin line that leads the eye and says nothing.
func (p *press) grey(x1, y1, x2, y2 float64) {
	p.pdf.SetDrawColor(150, 150, 150)
	p.pdf.SetLineWidth(0.1)
	p.pdf.Line(x1, y1, x2, y2)
}

// box draws an empty box.
func (p *press) box(x, y, w, h float64) {
	p.pdf.SetDrawColor(0, 0, 0)
	p.pdf.SetLineWidth(0.2)
	p.pdf.Rect(x, y, w, h, "D")
}

// code draws a code with the quiet zone around it that readers need: (x, y, side) is
// the square of the black modules themselves.
func (p *press) code(m modules, x, y, width, height float64) {
	p.pdf.SetFillColor(0, 0, 0)
	dx, dy := width/float64(m.width), height/float64(m.height)
	for _, b := range m.black {
		p.pdf.Rect(x+float64(b.x)*dx, y+float64(b.y)*dy, float64(b.w)*dx, float64(b.h)*dy, "F")
	}
}

// picture draws a logo with its top left corner at (x, y).
func (p *press) picture(l *logo, x, y, w, h float64) {
	options := fpdf.ImageOptions{ImageType: l.kind}
	p.pdf.RegisterImageOptionsReader("logo", options, bytes.NewReader(l.data))
	p.pdf.ImageOptions("logo", x, y, w, h, false, options, 0, "")
}

// cell draws the square of one cell of a map.
func (p *press) cell(c Cell, x, y, w, h float64) {
	for _, part := range c.parts() {
		from, to := x+w*float64(part.from)/1000, x+w*float64(part.to)/1000
		p.state(part.is, from, y, to-from, h)
	}
	p.pdf.SetDrawColor(110, 110, 110)
	p.pdf.SetLineWidth(0.08)
	p.pdf.Rect(x, y, w, h, "D")
}

// state fills an area as its state looks.
func (p *press) state(s state, x, y, w, h float64) {
	p.pdf.SetDrawColor(0, 0, 0)
	p.pdf.SetLineWidth(0.12)
	switch s {
	case rescued:
		p.pdf.SetFillColor(216, 216, 216)
		p.pdf.Rect(x, y, w, h, "F")
	case untried: // white
	case failed: // hatched
		p.pdf.ClipRect(x, y, w, h, false)
		for d := -h; d < w; d += 0.55 {
			p.pdf.Line(x+d, y+h, x+d+h, y)
		}
		p.pdf.ClipEnd()
	case bad:
		p.pdf.SetFillColor(0, 0, 0)
		p.pdf.Rect(x, y, w, h, "F")
	}
}

// cut draws the line along which a receipt is torn off.
func (p *press) cut(x1, x2, y float64) {
	p.pdf.SetDrawColor(0, 0, 0)
	p.pdf.SetLineWidth(0.2)
	p.pdf.SetDashPattern([]float64{1.6, 1.2}, 0)
	p.pdf.Line(x1, y, x2, y)
	p.pdf.SetDashPattern(nil, 0)
}
