package layout

// Map is the picture of a source: which parts were rescued and which were not. The
// cells follow the source from its first byte to its last, each as long as the others
// (the last may be shorter).
type Map struct {
	Caption string
	Cells   []Cell
	Legend  [4]string // what rescued, untried, failed and bad mean, in that order
}

// Cell is one part of a source, as shares in thousandths of its length. The four sum
// up to 1000.
type Cell struct{ Rescued, Untried, Failed, Bad int }

// mapWidth is how many cells stand beside each other.
const mapWidth = 60

// state is a way in which a part of a source is drawn. They differ in black and
// white: untouched paper, hatching, a cross, solid black.
type state int

const (
	rescued state = iota
	untried
	failed
	bad
)

// signs are the states in text, as ddrescue writes them in its map files.
var signs = [4]string{rescued: "+", untried: "?", failed: "*", bad: "-"}

// worst is the state by which a cell is shown where only one can be: a single bad
// sector must not vanish among a million good ones.
func (c Cell) worst() state {
	switch {
	case c.Bad > 0:
		return bad
	case c.Failed > 0:
		return failed
	case c.Untried > 0:
		return untried
	}
	return rescued
}

// part is a part of the square in which a cell is drawn, from its left to its right
// in thousandths.
type part struct {
	is       state
	from, to int
}

// least is the least width of what is not rescued, in thousandths of a cell: what is
// there must be seen.
const least = 250

// parts divides the square of a cell by its shares, the rescued part first.
func (c Cell) parts() []part {
	var all []part
	room, from := 1000, 0
	shares := [4]int{rescued: c.Rescued, untried: c.Untried, failed: c.Failed, bad: c.Bad}
	widths := shares
	for s := untried; s <= bad; s++ {
		if shares[s] > 0 {
			widths[s] = max(shares[s], least)
			room -= widths[s]
		}
	}
	widths[rescued] = max(room, 0)
	total := widths[rescued] + widths[untried] + widths[failed] + widths[bad]
	for s := rescued; s <= bad; s++ {
		if widths[s] > 0 {
			to := from + widths[s]*1000/total
			all = append(all, part{s, from, to})
			from = to
		}
	}
	if len(all) > 0 {
		all[len(all)-1].to = 1000
	}
	return all
}
