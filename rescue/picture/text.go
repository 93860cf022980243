package picture

import "strings"

// Text draws the grid, one line a row, without a line break behind the last. Plain text
// is made of [Look.Letter]; rich text of block characters (Unicode) in colours (ANSI
// escapes), for a terminal that takes both. What is wrong differs in its letter as
// well as in its colour.
func (g Grid) Text(rich bool) string {
	var b strings.Builder
	for i := range g.Rows() {
		if i > 0 {
			b.WriteByte('\n')
		}
		line(&b, g.Row(i), rich)
	}
	return b.String()
}

func line(b *strings.Builder, cells []Cell, rich bool) {
	pen := ""
	for _, c := range cells {
		look := c.Look()
		if !rich {
			b.WriteByte(look.Letter())
			continue
		}
		sign, colour := look.rich()
		if colour != pen {
			b.WriteString(colour)
			pen = colour
		}
		b.WriteString(sign)
	}
	if pen != "" {
		b.WriteString(reset)
	}
}

// Sign draws one cell of a look, as [Grid.Text] does.
func (l Look) Sign(rich bool) string {
	if !rich {
		return string(rune(l.Letter()))
	}
	sign, colour := l.rich()
	return colour + sign + reset
}

// Colours of the 16 that every terminal has (ECMA-48, SGR). Each begins with a reset,
// so that nothing is left of the one before.
const (
	reset  = "\x1b[0m"
	green  = "\x1b[0;32m"
	grey   = "\x1b[0;90m"
	yellow = "\x1b[0;30;43m"
	red    = "\x1b[0;1;37;41m"
)

func (l Look) rich() (sign, colour string) {
	switch l {
	case Rescued:
		return "█", green
	case Partly:
		return "▒", green
	case Untried:
		return "░", grey
	case Failed:
		return string(rune(l.Letter())), yellow
	}
	return string(rune(l.Letter())), red
}
