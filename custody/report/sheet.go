package report

import (
	"strings"
	"unicode/utf8"
)

// The measures of a text paper, in columns. Two are left free of the 80, since some
// printers and mail programs break a full line.
const (
	sheetWidth = 78
	labelWidth = 30
)

// sheet sets a paper in plain text. Everything that it is given is printable already.
type sheet struct {
	b     strings.Builder
	colon string // what stands between a label and its value
}

// line writes one line as it is.
func (s *sheet) line(text string) {
	s.b.WriteString(strings.TrimRight(text, " "))
	s.b.WriteByte('\n')
}

func (s *sheet) blank() { s.b.WriteByte('\n') }

// ends writes left and right at the two ends of a line, or on two lines.
func (s *sheet) ends(left, right string) {
	gap := sheetWidth - utf8.RuneCountInString(left) - utf8.RuneCountInString(right)
	if gap < 2 {
		s.para(left)
		s.para(right)
		return
	}
	s.line(left + strings.Repeat(" ", gap) + right)
}

func (s *sheet) rule(with string) { s.line(strings.Repeat(with, sheetWidth)) }

// title writes the name of the paper.
func (s *sheet) title(text string) {
	s.rule("=")
	for _, l := range wrap(strings.ToUpper(text), sheetWidth, sheetWidth) {
		s.line(l)
	}
	s.rule("=")
}

// heading begins a part.
func (s *sheet) heading(text string) {
	s.blank()
	for _, l := range wrap(text, sheetWidth, sheetWidth) {
		s.line(l)
	}
	s.rule("-")
}

// para writes running text.
func (s *sheet) para(text string) { s.indented("", "", text) }

// item writes running text behind a dash.
func (s *sheet) item(text string) { s.indented("  - ", "    ", text) }

// indented writes text behind first, and its further lines behind rest.
func (s *sheet) indented(first, rest, text string) {
	for i, l := range wrap(text, sheetWidth-utf8.RuneCountInString(first), sheetWidth-utf8.RuneCountInString(rest)) {
		if i == 0 {
			s.line(first + l)
		} else {
			s.line(rest + l)
		}
	}
}

// field writes a value beside its label; a value with a word too long for the column
// (a check value) stands whole below it.
func (s *sheet) field(label, value string) {
	room := sheetWidth - labelWidth - 2
	label += s.colon
	for _, w := range strings.Split(value, " ") {
		if utf8.RuneCountInString(w) > room {
			s.para(label)
			s.indented("    ", "    ", value)
			return
		}
	}
	labels := wrap(label, labelWidth, labelWidth)
	values := wrap(value, room, room)
	for i := range max(len(labels), len(values)) {
		var l, v string
		if i < len(labels) {
			l = labels[i]
		}
		if i < len(values) {
			v = values[i]
		}
		s.line(l + strings.Repeat(" ", labelWidth+2-utf8.RuneCountInString(l)) + v)
	}
}

func (s *sheet) String() string { return s.b.String() }

// wrap breaks text at plain spaces into lines, the first of at most first and the
// others of at most rest runes. An unbreakable space is never broken; a single word
// that is longer is broken where the line ends, after a comma where there is one.
func wrap(text string, first, rest int) []string {
	var lines []string
	width := first
	line := ""
	for _, word := range strings.Split(text, " ") {
		if word == "" {
			continue
		}
		for utf8.RuneCountInString(word) > width {
			if line != "" {
				lines, line, width = append(lines, line), "", rest
				continue
			}
			head, tail := split(word, width)
			lines, word, width = append(lines, head), tail, rest
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines, line, width = append(lines, line), word, rest
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// split cuts a long word in two, the first at most width runes.
func split(word string, width int) (head, tail string) {
	r := []rune(word)
	at := width
	if comma := strings.LastIndexByte(string(r[:width]), ','); comma > 0 {
		at = utf8.RuneCountInString(string(r[:width])[:comma+1])
	}
	return string(r[:at]), string(r[at:])
}
