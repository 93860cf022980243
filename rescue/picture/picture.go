// Package picture draws a map: what is rescued of a disk, at one glance.
//
// The map is cut into cells of one size, read like a page, from left to right and
// from top to bottom:
//
//	map    ├──+──┼-┼────────+────────┼───────?───────┤
//	cells  [ 0 ][ 1 ][ 2 ][ 3 ][ 4 ][ 5 ][ 6 ][ 7 ]
//
//	grid    + b + +        0 1 2 3
//	        + o . .        4 5 6 7
//
// A cell counts exactly; how it looks is decided by the worst that is in it, so that
// one bad sector on a disk of 4 TB is seen. Everything here is pure and deterministic:
// the same map gives the same cells, the same text and the same PNG.
package picture

import (
	"fmt"

	"salvor/rescue/mapfile"
)

// A Cell counts, by what is known of them, the units of one stretch of a map: sectors,
// or bytes where the map counts bytes.
type Cell struct {
	First   int64 // the first unit of the stretch
	Rescued int64
	Untried int64
	Failed  int64 // in blocks that failed and are not yet narrowed
	Bad     int64 // failed when tried alone
}

// Units is the length of the stretch.
func (c Cell) Units() int64 { return c.Rescued + c.Untried + c.Failed + c.Bad }

// plus is c and the cell behind it as one.
func (c Cell) plus(o Cell) Cell {
	c.Rescued += o.Rescued
	c.Untried += o.Untried
	c.Failed += o.Failed
	c.Bad += o.Bad
	return c
}

func (c *Cell) count(s mapfile.Status, n int64) {
	switch s {
	case mapfile.Rescued:
		c.Rescued += n
	case mapfile.Untried:
		c.Untried += n
	case mapfile.NonTrimmed, mapfile.NonScraped:
		c.Failed += n
	case mapfile.Bad:
		c.Bad += n
	}
}

// Look is how a cell is drawn.
type Look uint8

// The looks, from good to bad. The worst that is in a cell decides, however little it
// is: bad before failed before untried before rescued.
const (
	Rescued   Look = iota // all of it rescued
	Partly                // rescued in part; nothing failed
	Untried               // nothing of it tried
	Failed                // something failed that is not yet narrowed; nothing is known as bad
	SomeBad               // less than half of it is bad
	MostlyBad             // half of it or more is bad
)

// Looks gives every look, from good to bad.
func Looks() []Look { return []Look{Rescued, Partly, Untried, Failed, SomeBad, MostlyBad} }

// String gives the look in words: "partly rescued".
func (l Look) String() string {
	if int(l) < len(words) {
		return words[l]
	}
	return fmt.Sprintf("Look(%d)", uint8(l))
}

var words = [...]string{
	Rescued: "rescued", Partly: "partly rescued", Untried: "not tried yet",
	Failed: "failed, not narrowed", SomeBad: "some bad", MostlyBad: "mostly bad",
}

// Letter stands for the look in plain text.
func (l Look) Letter() byte {
	if int(l) < len(letters) {
		return letters[l]
	}
	return '!'
}

const letters = "+o.fbB"

// Look decides how the cell is drawn. An empty cell looks untried.
func (c Cell) Look() Look {
	switch n := c.Units(); {
	case c.Bad > 0 && c.Bad >= n-c.Bad:
		return MostlyBad
	case c.Bad > 0:
		return SomeBad
	case c.Failed > 0:
		return Failed
	case c.Rescued == 0:
		return Untried
	case c.Untried > 0:
		return Partly
	}
	return Rescued
}

// A Grid is a map as cells, in rows of Width. The last row may be shorter, and a map of
// few units has fewer cells than were asked for: none is empty.
type Grid struct {
	Width int
	Cells []Cell
}

// New cuts a map into at most width × height cells, whose lengths differ by one unit at
// most. Together they hold what [mapfile.Map.Totals] counts. It panics when width or
// height is below 1.
func New(m *mapfile.Map, width, height int) Grid {
	if width < 1 || height < 1 {
		panic(fmt.Sprintf("picture: a grid of %d × %d cells", width, height))
	}
	n := min(int64(width)*int64(height), m.Sectors())
	g := Grid{Width: width, Cells: make([]Cell, n)}
	if n == 0 {
		return g
	}
	// The first longer cells have one unit more than the others.
	size, longer := m.Sectors()/n, m.Sectors()%n
	start := func(i int64) int64 { return i*size + min(i, longer) }
	for i := range g.Cells {
		g.Cells[i].First = start(int64(i))
	}
	var i int64
	for r := range m.All() {
		for at := r.First; at < r.End(); {
			for at >= start(i+1) {
				i++
			}
			end := min(r.End(), start(i+1))
			g.Cells[i].count(r.Status, end-at)
			at = end
		}
	}
	return g
}

// Rows is how many rows there are.
func (g Grid) Rows() int { return (len(g.Cells) + g.Width - 1) / g.Width }

// Row gives the cells of a row, which counts from 0.
func (g Grid) Row(i int) []Cell {
	return g.Cells[i*g.Width : min((i+1)*g.Width, len(g.Cells))]
}

// Fit gives the grid as one row of at most width cells, each made of whole cells of g.
func (g Grid) Fit(width int) Grid {
	n := min(max(width, 1), len(g.Cells))
	out := Grid{Width: max(n, 1), Cells: make([]Cell, n)}
	for i := range out.Cells {
		first, end := i*len(g.Cells)/n, (i+1)*len(g.Cells)/n
		c := g.Cells[first]
		for _, next := range g.Cells[first+1 : end] {
			c = c.plus(next)
		}
		out.Cells[i] = c
	}
	return out
}
