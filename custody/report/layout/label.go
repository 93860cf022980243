package layout

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Label is a sticker. Its parts are placed on a field of 62 × 29 mm, which is scaled to
// the size of the sticker; a sticker that is higher gets a bar code below.
type Label struct {
	Lang   string
	Title  string // for the description of the file
	At     time.Time
	Big    string   // the item's number
	Number string   // the number of the case
	Check  string   // its check character, with what it is
	Lines  []Field  // dates and place, at most four
	Signs  []string // what must be seen from afar, at most two
	QR     string
	Bars   string // what the bar code says, where there is room for one
}

// Size is the size of a sticker, in millimetres.
type Size struct{ Width, Height float64 }

// ErrSize is returned for a size that stickers do not have.
var ErrSize = errors.New("unusable size of a label: width x height in millimetres, 40x18 to 210x297")

// ParseSize reads a size such as "62x29".
func ParseSize(text string) (Size, error) {
	w, h, ok := strings.Cut(strings.ToLower(text), "x")
	width, err1 := strconv.ParseFloat(w, 64)
	height, err2 := strconv.ParseFloat(h, 64)
	if !ok || err1 != nil || err2 != nil || !(width >= 40 && width <= 210 && height >= 18 && height <= 297) {
		return Size{}, ErrSize
	}
	return Size{width, height}, nil
}

// The field of a label and the height of its bar code, in millimetres before scaling.
const (
	fieldWidth  = 62.0
	fieldHeight = 29.0
	barsHeight  = 9.0
)

// PDF draws the label on a page of its own size.
func (l Label) PDF(producer string, size Size) ([]byte, error) {
	p, err := l.print(producer, size)
	if err != nil {
		return nil, err
	}
	return p.bytes()
}

func (l Label) print(producer string, size Size) (*press, error) {
	p, err := newPress(size.Width, size.Height)
	if err != nil {
		return nil, err
	}
	p.made(l.At)
	p.pdf.SetTitle(l.Title, true)
	p.pdf.SetCreator(producer, true)
	p.pdf.SetProducer(producer, true)
	p.pdf.SetLang(l.Lang)
	p.pdf.AddPage()

	scale := min(size.Width/fieldWidth, size.Height/fieldHeight)
	withBars := size.Height/size.Width*fieldWidth >= fieldHeight+barsHeight
	height := fieldHeight
	if withBars {
		height += barsHeight
		scale = min(size.Width/fieldWidth, size.Height/height)
	}
	left := (size.Width - fieldWidth*scale) / 2
	top := (size.Height - height*scale) / 2
	f := field{p, left, top, scale}

	code, err := qrCode(l.QR)
	if err != nil {
		return nil, err
	}
	const side = 21.0
	p.code(code, f.x(3.5), f.y(4), side*scale, side*scale)
	l.words(f)
	if withBars {
		b, err := bars(l.Bars)
		if err != nil {
			return nil, err
		}
		// A quarter of a millimetre is two dots of most label printers; ten bars' width at
		// each side stay white.
		wide := min(0.25, fieldWidth/float64(b.width+20)) * float64(b.width)
		p.code(b, f.x((fieldWidth-wide)/2), f.y(fieldHeight-0.5), wide*scale, 6.5*scale)
	}
	return p, nil
}

// words prints what people read, at the right of the code.
func (l Label) words(f field) {
	const left, right = 28.5, 60.5
	f.use(bold, 22)
	wide := f.press.measure(l.Big) / f.scale
	f.right(right, 1.2, l.Big)
	f.use(bold, 8.5)
	for i, n := range wrap(l.Number, (right-left-wide-1)*f.scale, (right-left-wide-1)*f.scale, f.press.measure) {
		f.at(left, 2+3.5*float64(i), n)
	}
	f.use(sans, 7)
	f.at(left, 6.3, l.Check)
	y := 10.2
	for _, line := range l.Lines {
		f.use(sans, 6.5)
		f.at(left, y, line.Label)
		room := right - left - f.press.measure(f.press.letters.show(sans, line.Label))/f.scale - 1
		f.use(bold, 7.5)
		if wide := f.press.measure(f.press.letters.show(bold, line.Value)) / f.scale; wide > room {
			f.use(bold, 7.5*room/wide)
		}
		f.right(right, y-0.2, line.Value)
		y += 3.3
	}
	l.signs(f, left, right-left)
}

// signs prints what must be seen from afar, white on black, as large as there is room.
func (l Label) signs(f field, left, room float64) {
	const air, apart = 1.2, 1.0
	size := 7.0
	f.use(bold, size)
	wide := -apart
	for _, s := range l.Signs {
		wide += f.press.measure(s)/f.scale + 2*air + apart
	}
	if wide > room {
		size *= room / wide
		f.use(bold, size)
	}
	x := left
	for _, s := range l.Signs {
		w := f.press.measure(s)/f.scale + 2*air*size/7
		f.press.pdf.SetFillColor(0, 0, 0)
		f.press.pdf.Rect(f.x(x), f.y(24), w*f.scale, 3.6*f.scale, "F")
		f.press.pdf.SetTextColor(255, 255, 255)
		f.at(x+air*size/7, 24+(3.6-size*point*leading)/2+0.2, s)
		f.press.pdf.SetTextColor(0, 0, 0)
		x += w + apart*size/7
	}
}

// field is the label's field on its page.
type field struct {
	press     *press
	left, top float64
	scale     float64
}

func (f field) x(v float64) float64         { return f.left + v*f.scale }
func (f field) y(v float64) float64         { return f.top + v*f.scale }
func (f field) use(face face, size float64) { f.press.use(face, size*f.scale) }
func (f field) at(x, y float64, s string)   { f.press.at(f.x(x), f.y(y), s) }
func (f field) right(x, y float64, s string) {
	f.press.right(f.x(x), f.y(y), s)
}

// Text sets the label in a few lines.
func (l Label) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s / %s   (%s)\n", l.Number, l.Big, l.Check)
	for _, line := range l.Lines {
		fmt.Fprintf(&b, "%s %s\n", line.Label, line.Value)
	}
	for _, s := range l.Signs {
		fmt.Fprintf(&b, "[%s]\n", s)
	}
	fmt.Fprintf(&b, "%s\n", l.QR)
	return b.String()
}

// HTML sets the label on a page of its own size.
func (l Label) HTML(size Size) ([]byte, error) {
	w := &web{}
	w.b.WriteString("<!DOCTYPE html>\n")
	w.f(`<html lang="%s"><head><meta charset="utf-8"><title>%s</title>`, l.Lang, l.Title)
	w.b.WriteString(policy)
	scale := min(size.Width/fieldWidth, size.Height/fieldHeight)
	fmt.Fprintf(&w.b, `<style>@page{size:%gmm %gmm;margin:0}*{box-sizing:border-box}body{margin:0;width:%gmm;height:%gmm;display:flex;align-items:center;gap:1mm;padding:0 %gmm 0 %gmm;overflow:hidden;color:#000;font:%gpt "Liberation Sans",Arial,Helvetica,sans-serif}`,
		size.Width, size.Height, size.Width, size.Height, 1.5*scale, 1.5*scale, 7*scale)
	fmt.Fprintf(&w.b, `svg{width:%gmm;flex:none}div{flex:1}p{margin:0;display:flex;justify-content:space-between}.big{float:right;font-size:3em;font-weight:bold;line-height:1}.sign{background:#000;color:#fff;font-weight:bold;padding:0 1mm;margin-right:1mm}</style></head><body>`, 24*scale)
	w.b.WriteString("\n")
	if err := w.qr(l.QR); err != nil {
		return nil, err
	}
	w.f(`<div><span class="big">%s</span><b>%s</b><br>%s`, l.Big, l.Number, l.Check)
	for _, line := range l.Lines {
		w.f("<p>%s <b>%s</b></p>", line.Label, line.Value)
	}
	for _, s := range l.Signs {
		w.f(`<span class="sign">%s</span>`, s)
	}
	w.b.WriteString("</div></body></html>\n")
	return []byte(w.b.String()), nil
}
