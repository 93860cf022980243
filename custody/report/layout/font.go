package layout

import (
	"fmt"
	"strings"
	"sync"
	"unicode"

	"codeberg.org/go-fonts/liberation/liberationmonoregular"
	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/text/unicode/norm"
)

// face is one of the three faces of a PDF.
type face int

const (
	sans face = iota
	bold
	mono
)

// faces are the fonts that a PDF embeds: Latin, Greek and Cyrillic letters, and widths
// equal to those of the fonts that a browser takes for the HTML of the same paper.
var faces = sync.OnceValues(func() ([3]*sfnt.Font, error) {
	var all [3]*sfnt.Font
	for f, ttf := range [3][]byte{liberationsansregular.TTF, liberationsansbold.TTF, liberationmonoregular.TTF} {
		font, err := sfnt.Parse(ttf)
		if err != nil {
			return all, fmt.Errorf("font: %w", err)
		}
		all[f] = font
	}
	return all, nil
})

// letters tells which letters the faces have, and keeps those that they lack.
type letters struct {
	faces  [3]*sfnt.Font
	buffer sfnt.Buffer
	known  [3]map[rune]bool
	lacked []rune // each once, in the order of the paper
}

func newLetters() (*letters, error) {
	all, err := faces()
	return &letters{faces: all, known: [3]map[rune]bool{{}, {}, {}}}, err
}

// has reports whether a face can show r. Scripts that are written from right to left
// count as lacked: a PDF that shows their letters in the wrong order says something
// else.
func (l *letters) has(f face, r rune) bool {
	have, asked := l.known[f][r]
	if !asked {
		index, err := l.faces[f].GlyphIndex(&l.buffer, r)
		have = err == nil && index != 0 && r <= 0xffff && !unicode.In(r, unicode.Hebrew, unicode.Arabic)
		l.known[f][r] = have
	}
	return have
}

// show returns text as the face can print it: letters put together from parts
// become one where there is one, and a letter that the face lacks becomes its number,
// "<U+738B>", which is visible, and says which it was.
func (l *letters) show(f face, text string) string {
	text = norm.NFC.String(strings.ReplaceAll(text, "\u202f", "\u00a0"))
	ok := true
	for _, r := range text {
		ok = ok && l.has(f, r)
	}
	if ok {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if l.has(f, r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "<U+%04X>", r)
		l.note(r)
	}
	return b.String()
}

func (l *letters) note(r rune) {
	for _, have := range l.lacked {
		if have == r {
			return
		}
	}
	l.lacked = append(l.lacked, r)
}

// said writes what was lacked for the note about it.
func (l *letters) said() string {
	var all []string
	for _, r := range l.lacked {
		all = append(all, fmt.Sprintf("<U+%04X>", r))
	}
	return strings.Join(all, " ")
}
