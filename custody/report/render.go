package report

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"salvor/custody"
	"salvor/custody/report/layout"
)

// ErrFormat is returned for a format that papers do not exist in.
var ErrFormat = errors.New("unknown format of papers")

// Producer stands in the description of every PDF. It names no version: the same facts
// give the same bytes whichever version prints them, as long as the layout stays.
const Producer = "salvor"

// Paper is one of the papers of this package.
type Paper interface {
	// head and foot are those of the struct that the paper is made of.
	head() Head
	foot() Foot
	// check refuses what must not be printed.
	check() error
	// title is the name of the paper in the language of p.
	title(p locale) string
	// write puts the paper's blocks on the page.
	write(p *page)
	// facts is the paper with every time in UTC and whole seconds.
	facts() any
}

// JSON returns the canonical JSON of a paper, without a line break at the end: the
// facts in English codes and UTC. Its SHA-256 names the paper.
func JSON(paper Paper) ([]byte, error) {
	if err := paper.check(); err != nil {
		return nil, err
	}
	return canonical(paper.facts())
}

// A Press renders papers. What that takes beside the facts, the words and the faces, it
// begins to read when it is made: whoever still has to collect the facts makes it before.
// The zero Press reads them when they are needed. It is used by one goroutine.
type Press struct{ blank <-chan *layout.Blank }

// NewPress makes a press for papers of that format.
func NewPress(format custody.PaperFormat) *Press {
	blank := make(chan *layout.Blank, 1)
	go func() {
		defer close(blank)
		// An error comes again, and is told, where the words or faces are needed.
		if _, err := words(); err != nil || format != custody.FormatPDF && format != custody.FormatHTML {
			return
		}
		if b, err := layout.NewBlank(); err == nil {
			blank <- b
		}
	}()
	return &Press{blank}
}

// Render renders a paper as a [Press] does.
func Render(paper Paper, format custody.PaperFormat) ([]byte, error) {
	return new(Press).Render(paper, format)
}

// Render renders a paper in one of the four formats. The same facts always give the
// same bytes. It returns [ErrLanguage] for a language and [ErrFormat] for a format that
// do not exist, layout.ErrLogo for a logo that cannot be shown, and what the paper
// itself refuses: [ErrAttest], [ErrContradiction].
func (p *Press) Render(paper Paper, format custody.PaperFormat) ([]byte, error) {
	data, err := JSON(paper)
	if err != nil {
		return nil, err
	}
	if format == custody.FormatJSON {
		return append(data, '\n'), nil
	}
	sum := sha256.Sum256(data)
	text := hex.EncodeToString(sum[:])
	d, err := document(paper, text)
	if err != nil {
		return nil, err
	}
	switch format {
	case custody.FormatText:
		return []byte(d.Text()), nil
	case custody.FormatHTML:
		return d.HTML(p.take())
	case custody.FormatPDF:
		return d.PDF(p.take(), Producer, text)
	}
	return nil, ErrFormat
}

// take is the blank that was made ahead; after the first time there is none.
func (p *Press) take() *layout.Blank {
	if p.blank == nil {
		return nil
	}
	return <-p.blank
}

// document lays a paper out, once for all formats.
func document(paper Paper, sum string) (layout.Document, error) {
	l, err := newLocale(paper.head())
	if err != nil {
		return layout.Document{}, err
	}
	p := &page{locale: l}
	paper.write(p)
	return p.frame(paper.head(), paper.foot(), paper.title(l), sum), nil
}
