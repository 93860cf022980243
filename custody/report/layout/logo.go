package layout

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // a logo may be a JPEG
	"image/png"

	"golang.org/x/image/draw"
)

// ErrLogo is returned for a logo that is no PNG or JPEG, or that is too large.
var ErrLogo = errors.New("unusable logo")

// The bounds of a logo, in bytes and in pixels of each side.
const (
	MaxLogoBytes  = 4 << 20
	maxLogoPixels = 4000
	printedPixels = 1600 // of each side: more than 600 dpi on the 60 mm that a logo has
)

// logo is a shop's mark, ready to be drawn.
type logo struct {
	kind          string // "png" or "jpeg"
	data          []byte
	width, height int // pixels
}

// CheckLogo returns [ErrLogo], with the reason, when data cannot be a shop's logo.
func CheckLogo(data []byte) error {
	_, err := readLogo(data)
	return err
}

// readLogo decodes a logo in full: a broken picture is refused before a page is made.
// It is written anew without what a PDF cannot show (16 bits, interlacing, ancillary
// chunks); a JPEG only where its colours are neither the usual ones nor grey, since some of
// those (RGB, CMYK) not every program shows alike, or at all.
func readLogo(data []byte) (*logo, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) > MaxLogoBytes {
		return nil, fmt.Errorf("larger than 4 MiB: %w", ErrLogo)
	}
	config, kind, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil || kind != "png" && kind != "jpeg" {
		return nil, fmt.Errorf("neither PNG nor JPEG: %w", ErrLogo)
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxLogoPixels || config.Height > maxLogoPixels {
		return nil, fmt.Errorf("more than %d pixels wide or high: %w", maxLogoPixels, ErrLogo)
	}
	picture, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("the picture is damaged: %w", ErrLogo)
	}
	if kind == "jpeg" {
		switch picture.(type) {
		case *image.YCbCr, *image.Gray:
			return &logo{kind, data, config.Width, config.Height}, nil
		}
	}
	flat := flatten(picture)
	var b bytes.Buffer
	if err := png.Encode(&b, flat); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLogo, err)
	}
	return &logo{"png", b.Bytes(), flat.Rect.Dx(), flat.Rect.Dy()}, nil
}

// flatten is a picture in eight bits a colour, made smaller when a print cannot show all
// of its pixels.
func flatten(picture image.Image) *image.NRGBA {
	bounds := picture.Bounds()
	if flat, ok := picture.(*image.NRGBA); ok && max(bounds.Dx(), bounds.Dy()) <= printedPixels {
		return flat
	}
	if scale := float64(printedPixels) / float64(max(bounds.Dx(), bounds.Dy())); scale < 1 {
		small := image.NewNRGBA(image.Rect(0, 0, max(1, int(float64(bounds.Dx())*scale)), max(1, int(float64(bounds.Dy())*scale))))
		draw.ApproxBiLinear.Scale(small, small.Rect, picture, bounds, draw.Src, nil)
		return small
	}
	flat := image.NewNRGBA(bounds)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			flat.Set(x, y, picture.At(x, y))
		}
	}
	return flat
}

// fit returns the size of the logo within a box, in the box's unit.
func (l *logo) fit(w, h float64) (float64, float64) {
	scale := min(w/float64(l.width), h/float64(l.height))
	return float64(l.width) * scale, float64(l.height) * scale
}
