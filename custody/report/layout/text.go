package layout

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// The measures of a text paper, in columns. Two are left free of the 80, since some
// printers and mail programs break a full line.
const (
	sheetWidth = 78
	labelWidth = 30
)

// Text sets the document in plain text of at most 80 columns.
func (d Document) Text() string {
	s := &sheet{colon: d.Foot.Colon}
	s.sender(d)
	for _, b := range d.Blocks {
		s.set(b)
	}
	if len(d.Sender.Notes) > 0 {
		s.blank()
		for _, n := range d.Sender.Notes {
			s.para(n)
		}
	}
	s.foot(d.Foot)
	return s.b.String()
}

// sheet sets a paper in plain text.
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

func (s *sheet) rule(with string) { s.line(strings.Repeat(with, sheetWidth)) }

func (s *sheet) sender(d Document) {
	number := ""
	meta := d.Meta
	if len(meta) > 0 {
		number = meta[0].Label + s.colon + " " + meta[0].Value
		meta = meta[1:]
	}
	s.ends(d.Sender.Name, number)
	for _, l := range d.Sender.Lines {
		s.para(l)
	}
	s.blank()
	s.rule("=")
	s.para(strings.ToUpper(d.Title))
	s.rule("=")
	if d.Mark != "" {
		s.para(d.Mark)
	}
	for _, m := range meta {
		s.para(m.Label + s.colon + " " + m.Value)
	}
}

func (s *sheet) foot(f Foot) {
	s.set(Heading{f.Title})
	s.set(Fields(f.Fields))
	s.blank()
	s.para(f.Why)
}

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

// para writes running text.
func (s *sheet) para(text string) { s.hung("", "", text) }

// hung writes text behind first, and its further lines behind rest.
func (s *sheet) hung(first, rest, text string) {
	for i, l := range wrap(text, sheetWidth-columns(first), sheetWidth-columns(rest), columns) {
		if i == 0 {
			s.line(first + l)
		} else {
			s.line(rest + l)
		}
	}
}

func (s *sheet) set(b Block) {
	switch b := b.(type) {
	case Heading:
		s.blank()
		s.para(b.Text)
		s.rule("-")
	case Para:
		if b.Inset {
			s.hung("    ", "    ", b.Text)
		} else {
			s.para(b.Text)
		}
	case Space:
		s.blank()
	case Fields:
		for _, f := range b {
			s.field(f.Label, f.Value)
		}
	case List:
		for _, item := range b {
			s.hung("  - ", "    ", item)
		}
	case Table:
		s.table(b)
	case Choice:
		s.blank()
		s.para(b.Question)
		for _, o := range b.Options {
			s.hung("  [ ] ", "      ", o)
		}
	case Signatures:
		for _, sign := range b {
			s.blank()
			s.para(sign.Role + s.colon + " " + sign.Name)
			if sign.Date != "" {
				s.line(sign.Date + s.colon + " " + strings.Repeat("_", 16))
			}
			s.blank()
			s.line(strings.Repeat("_", 40))
		}
	case Receipt:
		s.blank()
		s.ends("- - "+b.Cut+" ", "")
		s.line(strings.Repeat("- ", sheetWidth/2))
		for _, inner := range b.Blocks {
			s.set(inner)
		}
		if b.QR != "" {
			s.para(b.QR)
		}
	case Map:
		s.picture(b)
	}
}

// field writes a value beside its label; a value with a word too long for the column
// (a check value) stands whole below it.
func (s *sheet) field(label, value string) {
	const room = sheetWidth - labelWidth - 2
	label += s.colon
	for _, w := range strings.Split(value, " ") {
		if utf8.RuneCountInString(w) > room {
			s.para(label)
			s.hung("    ", "    ", value)
			return
		}
	}
	labels := wrap(label, labelWidth, labelWidth, columns)
	values := wrap(value, room, room, columns)
	for i := range max(len(labels), len(values)) {
		var l, v string
		if i < len(labels) {
			l = labels[i]
		}
		if i < len(values) {
			v = values[i]
		}
		s.line(pad(l, labelWidth+2) + v)
	}
}

// pad fills text with spaces up to n columns.
func pad(text string, n int) string {
	return text + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(text)))
}

// table sets a table in columns where it is narrow enough, else entry by entry.
func (s *sheet) table(t Table) {
	t.Columns = slices.Clone(t.Columns)
	for i, c := range t.Columns {
		t.Columns[i].Title = whole(c.Title)
	}
	widths := make([]int, len(t.Columns))
	total := 2 * (len(t.Columns) - 1)
	for i, c := range t.Columns {
		widths[i] = utf8.RuneCountInString(c.Title)
		for _, row := range t.Rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	if total > sheetWidth {
		s.entries(t)
		return
	}
	row := func(cells func(i int) string) {
		var parts []string
		for i, c := range t.Columns {
			cell := cells(i)
			if c.Right {
				cell = strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell))) + cell
			}
			parts = append(parts, pad(cell, widths[i]))
		}
		s.line(strings.Join(parts, "  "))
	}
	row(func(i int) string { return t.Columns[i].Title })
	row(func(i int) string { return strings.Repeat("-", widths[i]) })
	for _, cells := range t.Rows {
		row(func(i int) string { return cells[i] })
	}
}

// entries sets each row as an entry of its own.
func (s *sheet) entries(t Table) {
	for _, cells := range t.Rows {
		var lead, more []string
		for i, c := range t.Columns {
			switch {
			case cells[i] == "":
			case c.Lead:
				lead = append(lead, cells[i])
			default:
				more = append(more, strings.ReplaceAll(c.Title, " ", "\u00a0")+s.colon+" "+cells[i])
			}
		}
		s.hung("", "    ", strings.Join(lead, "\u00a0· "))
		if len(more) > 0 {
			s.hung("    ", "    ", strings.Join(more, "\u00a0· "))
		}
	}
}

// picture draws a map with one sign for each cell.
func (s *sheet) picture(m Map) {
	s.blank()
	s.para(m.Caption)
	for from := 0; from < len(m.Cells); from += mapWidth {
		var line strings.Builder
		for _, c := range m.Cells[from:min(from+mapWidth, len(m.Cells))] {
			line.WriteString(signs[c.worst()])
		}
		s.line("    " + line.String())
	}
	var legend []string
	for i, text := range m.Legend {
		legend = append(legend, signs[i]+"\u00a0"+text)
	}
	s.hung("    ", "    ", strings.Join(legend, "\u00a0· "))
}
