package ui

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// Table collects rows and writes them in columns to standard output. On a terminal
// it fits the width (80 when that is unknown): a column that may stand below does, and
// then the columns marked as flexible are cut with an ellipsis, the widest first. Off a
// terminal nothing is cut, and every row is one line.
type Table struct {
	t     *Terminal
	cols  []column
	rows  [][]string
	limit int // columns of the screen; 0 is no limit
}

type column struct {
	head               string
	right, flex, below bool
}

// minimum width to which a flexible column is cut.
const leastFlex = 6

// Table begins a table. A header that begins with ">" sets its column to the right
// (numbers, sizes); one that begins with "~" may be cut to fit the screen (names,
// models, reasons); one that begins with "^" goes to a line of its own below each row
// where the rows do not fit (what to do next). All others are shown whole.
func (t *Terminal) Table(headers ...string) *Table {
	tb := &Table{t: t}
	if t.StdoutIsTerminal() {
		tb.limit = max(80, width(t.raw))
	}
	for _, h := range headers {
		c := column{head: h}
		switch {
		case strings.HasPrefix(h, ">"):
			c.head, c.right = h[1:], true
		case strings.HasPrefix(h, "~"):
			c.head, c.flex = h[1:], true
		case strings.HasPrefix(h, "^"):
			c.head, c.below = h[1:], true
		}
		tb.cols = append(tb.cols, c)
	}
	return tb
}

// Row adds one row. Each cell is printed with %v, cleaned of control characters;
// an empty one is shown as "-". Missing cells are empty, surplus ones are dropped.
func (tb *Table) Row(cells ...any) {
	row := make([]string, len(tb.cols))
	for i := range row {
		if i < len(cells) {
			row[i] = Clean(fmt.Sprint(cells[i]))
		}
		if row[i] == "" {
			row[i] = "-"
		}
	}
	tb.rows = append(tb.rows, row)
}

// Len returns the number of rows.
func (tb *Table) Len() int { return len(tb.rows) }

// Flush writes the table. A table without rows writes nothing.
func (tb *Table) Flush() error {
	if len(tb.rows) == 0 {
		return nil
	}
	head := make([]string, len(tb.cols))
	for i, c := range tb.cols {
		head[i] = strings.ToUpper(c.head)
	}
	rows := append([][]string{head}, tb.rows...)
	cols, below := tb.cols, make([]string, len(rows))
	if tb.tooWide(rows) {
		cols, rows, below = split(cols, rows)
	}
	widths := tb.widths(cols, rows)
	var buf bytes.Buffer
	w := tabwriter.NewWriter(&buf, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			cell = cut(cell, widths[i])
			if cols[i].right {
				cell = strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + cell
			}
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	lines := bytes.SplitAfter(trimLines(buf.Bytes()), []byte("\n"))
	var out []byte
	for i := range rows { // a cell has no line break: it was cleaned
		out = append(out, lines[i]...)
		out = append(out, below[i]...)
	}
	_, err := tb.t.Out.Write(out)
	return err
}

// tooWide tells whether whole rows do not fit the screen.
func (tb *Table) tooWide(rows [][]string) bool {
	return tb.limit > 0 && total(natural(rows)) > tb.limit
}

// belowIndent is how far the line below a row stands in.
const belowIndent = "    "

// split takes the columns that may stand below out of the rows, and makes lines of their
// cells; the head has none.
func split(cols []column, rows [][]string) (kept []column, short [][]string, below []string) {
	for _, c := range cols {
		if !c.below {
			kept = append(kept, c)
		}
	}
	short, below = make([][]string, len(rows)), make([]string, len(rows))
	for i, row := range rows {
		for k, cell := range row {
			switch {
			case !cols[k].below:
				short[i] = append(short[i], cell)
			case i > 0 && cell != "-":
				below[i] += belowIndent + cell + "\n"
			}
		}
	}
	return kept, short, below
}

func natural(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func total(widths []int) int {
	n := 2 * (len(widths) - 1)
	for _, w := range widths {
		n += w
	}
	return n
}

// widths returns the width of every column after the flexible ones gave way.
func (tb *Table) widths(cols []column, rows [][]string) []int {
	widths := natural(rows)
	for tb.limit > 0 && total(widths) > tb.limit {
		widest := -1
		for i, c := range cols {
			if c.flex && widths[i] > leastFlex && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break // nothing left that may be cut: let the line wrap
		}
		widths[widest]--
	}
	return widths
}

// cut shortens s to n runes, the last of them an ellipsis; of a terminal that is too
// narrow for anything, one is left.
func cut(s string, n int) string {
	n = max(n, 1)
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:n-1]) + "…"
}

func trimLines(b []byte) []byte {
	var out []byte
	for line := range bytes.Lines(b) {
		out = append(out, bytes.TrimRight(line, " \n")...)
		out = append(out, '\n')
	}
	return out
}
