package ui

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// Table collects rows and writes them in columns to standard output. On a terminal
// it fits the width (80 when that is unknown): the columns marked as flexible are
// cut with an ellipsis, the widest first. Off a terminal nothing is cut.
type Table struct {
	t     *Terminal
	cols  []column
	rows  [][]string
	limit int // columns of the screen; 0 is no limit
}

type column struct {
	head        string
	right, flex bool
}

// minimum width to which a flexible column is cut.
const leastFlex = 6

// Table begins a table. A header that begins with ">" sets its column to the right
// (numbers, sizes); one that begins with "~" may be cut to fit the screen (names,
// models, reasons). All others are shown whole.
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
	widths := tb.widths(rows)
	var buf bytes.Buffer
	w := tabwriter.NewWriter(&buf, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			cell = cut(cell, widths[i])
			if tb.cols[i].right {
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
	_, err := tb.t.Out.Write(trimLines(buf.Bytes()))
	return err
}

// widths returns the width of every column after the flexible ones gave way.
func (tb *Table) widths(rows [][]string) []int {
	widths := make([]int, len(tb.cols))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	if tb.limit == 0 {
		return widths
	}
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	for total > tb.limit {
		widest := -1
		for i, c := range tb.cols {
			if c.flex && widths[i] > leastFlex && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break // nothing left that may be cut: let the line wrap
		}
		widths[widest]--
		total--
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
