package layout

import (
	"fmt"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/code128"
	"github.com/boombuler/barcode/qr"
)

// module is a black rectangle of a code: its place and size in modules.
type module struct{ x, y, w, h int }

// modules are the black rectangles of a code and its size in modules, without the
// quiet zone around it. Neighbours in a row are one rectangle, so that no printer draws
// a hair between them.
type modules struct {
	black         []module
	width, height int
}

// qrCode encodes content; a quarter of it may be unreadable (level Q), since papers
// are folded and labels get dirty.
func qrCode(content string) (modules, error) {
	code, err := qr.Encode(content, qr.Q, qr.Auto)
	if err != nil {
		return modules{}, fmt.Errorf("QR code: %w", err)
	}
	return modulesOf(code), nil
}

// bars encodes content as Code 128. Its height is one.
func bars(content string) (modules, error) {
	code, err := code128.Encode(content)
	if err != nil {
		return modules{}, fmt.Errorf("bar code: %w", err)
	}
	return modulesOf(code), nil
}

func modulesOf(code barcode.Barcode) modules {
	size := code.Bounds()
	m := modules{width: size.Dx(), height: size.Dy()}
	for y := range m.height {
		for x := 0; x < m.width; x++ {
			from := x
			for x < m.width && black(code, x, y) {
				x++
			}
			if x > from {
				m.black = append(m.black, module{from, y, x - from, 1})
			}
		}
	}
	return m
}

func black(code barcode.Barcode, x, y int) bool {
	r, _, _, _ := code.At(x, y).RGBA()
	return r == 0
}
