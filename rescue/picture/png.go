package picture

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// Measures of the PNG in pixels.
const (
	cellSide = 10 // with the gap to the next one
	margin   = 10
	boxSide  = 14 // of the legend
	lineStep = 18 // of text
)

// letter is the font of caption and legend: ASCII only.
var letter = basicfont.Face7x13

// PNG writes the grid as a picture, with the caption's lines above it and a legend in
// English below. It can be read in black and white: every look has a pattern as well
// as a colour, and bad is darkest.
func (g Grid) PNG(w io.Writer, caption ...string) error {
	if err := png.Encode(w, g.Image(caption...)); err != nil {
		return fmt.Errorf("picture: %w", err)
	}
	return nil
}

// Image is the picture that [Grid.PNG] writes.
func (g Grid) Image(caption ...string) *image.Paletted {
	width := max(g.Width*cellSide, 40*cellSide)
	for _, line := range caption {
		width = max(width, font.MeasureString(letter, line).Ceil())
	}
	legend := flow(width)
	top := margin + len(caption)*lineStep
	foot := top + g.Rows()*cellSide + margin
	img := image.NewPaletted(image.Rect(0, 0, width+2*margin, foot+(legend[len(legend)-1].row+1)*lineStep+margin), colours())
	for i, line := range caption {
		write(img, margin, margin+i*lineStep, line)
	}
	for row := range g.Rows() {
		for col, c := range g.Row(row) {
			fill(img, image.Rect(0, 0, cellSide-1, cellSide-1).Add(image.Pt(margin+col*cellSide, top+row*cellSide)), c.Look())
		}
	}
	for _, e := range legend {
		at := image.Pt(margin+e.x, foot+e.row*lineStep)
		box := image.Rect(0, 0, boxSide, boxSide).Add(at)
		draw.Draw(img, box, image.NewUniform(img.Palette[black]), image.Point{}, draw.Src)
		fill(img, box.Inset(1), e.look)
		write(img, at.X+boxSide+5, at.Y, e.look.String())
	}
	return img
}

// entry is a word of the legend and where it stands.
type entry struct {
	look Look
	x    int
	row  int
}

// flow breaks the legend into rows that fit the width.
func flow(width int) (list []entry) {
	x, row := 0, 0
	for _, l := range Looks() {
		n := boxSide + 5 + font.MeasureString(letter, l.String()).Ceil()
		if x > 0 && x+n > width {
			x, row = 0, row+1
		}
		list = append(list, entry{l, x, row})
		x += n + 2*margin
	}
	return list
}

func write(img draw.Image, x, y int, text string) {
	d := font.Drawer{
		Dst: img, Src: image.Black, Face: letter,
		Dot: fixed.P(x, y+letter.Ascent),
	}
	d.DrawString(text)
}

// The palette.
const (
	white = iota
	black
	palegreen
	darkgreen
	darkgrey
	amber
	pink
	darkred
)

func colours() color.Palette {
	return color.Palette{
		white: color.RGBA{255, 255, 255, 255}, black: color.RGBA{0, 0, 0, 255},
		palegreen: color.RGBA{190, 230, 190, 255}, darkgreen: color.RGBA{30, 110, 40, 255},
		darkgrey: color.RGBA{120, 120, 120, 255}, amber: color.RGBA{255, 193, 7, 255},
		pink: color.RGBA{250, 190, 190, 255}, darkred: color.RGBA{140, 0, 0, 255},
	}
}

// fill paints an area. The patterns hang on the picture, not on the cell, so that
// neighbours of one look run into each other.
func fill(img *image.Paletted, area image.Rectangle, l Look) {
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			img.SetColorIndex(x, y, l.ink(x, y))
		}
	}
}

// ink is the colour of a pixel: of the ground, or of the pattern upon it.
func (l Look) ink(x, y int) uint8 {
	switch l {
	case Rescued: // plain and pale
		return palegreen
	case Partly: // dots
		return either(x%4 == 0 && y%4 == 0, darkgreen, palegreen)
	case Untried: // lines on white
		return either(y%4 == 0, darkgrey, white)
	case Failed: // diagonals
		return either((x+y)%5 == 0, black, amber)
	case SomeBad: // diagonals both ways
		return either((x+y)%4 == 0 || (x-y+1<<20)%4 == 0, darkred, pink)
	}
	return darkred // dark all over
}

func either(pattern bool, ink, ground uint8) uint8 {
	if pattern {
		return ink
	}
	return ground
}
