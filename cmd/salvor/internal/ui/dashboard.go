package ui

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Status is how a rescue stands. None of it may hold personal data: it is shown on a
// screen that anybody may see, and written to logs.
type Status struct {
	Disk  string // model and size: "Samsung SSD 860 EVO, 500.1 GB"
	Stage string // what is being done: "sweep"
	Step  int    // number of the stage, from 1 on; 0 when there is no plan of stages
	Steps int    // how many stages there are
	Pass  int    // of the reads; 0 when there is none

	Bytes   int64 // of the disk
	Rescued int64
	Untried int64
	Failed  int64 // in blocks that failed and are not yet narrowed
	Bad     int64 // failed when read alone
	Areas   int64 // separate bad stretches
	Errors  int64 // reads that failed
	Tiers   []StatusTier

	Rate    float64 // bytes per second now; negative when not known
	Average float64 // bytes per second since the beginning; negative when not known
	Celsius int     // temperature of the disk when it began; 0 when not known
	Silent  bool    // the disk does not answer

	Elapsed   time.Duration
	SinceGood time.Duration // since something was last read
	// LeftKnown says that the time left is known: in one case of ten it is less than
	// LeftLow, in half of them less than LeftLikely, in nine of ten less than LeftHigh.
	LeftKnown                     bool
	LeftLow, LeftLikely, LeftHigh time.Duration

	Advice string // what a person should consider; empty mostly

	// Bar draws the map in one line of so many columns: rich in block characters and
	// colours, else in ASCII letters. nil draws nothing.
	Bar func(columns int, rich bool) string
}

// StatusTier is how much of what matters equally is rescued.
type StatusTier struct {
	Name           string // in one word: "metadata"
	Bytes, Rescued int64
}

// The least screen on which the status has its six lines, and the cursor a seventh.
const (
	leastRows    = 7
	leastColumns = 60
)

// Dashboard shows how a rescue stands: six lines that are redrawn in place on a
// terminal, one where it is small; a line a minute off a terminal; a JSON line of type
// "status" a second under --json; nothing under --quiet. Messages scroll above it.
//
// It draws in a goroutine of its own, so that neither [Dashboard.Set] nor a message
// ever waits for a terminal that was stopped (Ctrl-S) or a pipe that nobody reads: the
// newest status is drawn, older ones are forgotten.
type Dashboard struct {
	t    *Terminal
	what string
	mode boardMode
	poke chan struct{} // something is new
	done chan struct{} // the drawing has ended

	mu     sync.Mutex
	status Status
	given  bool // there is a status
	said   []message
	ending bool

	// Of the drawing goroutine:
	shown time.Time
	begun bool   // a status was shown
	frame string // what is on the screen
	drawn []int  // the columns of its lines
}

type boardMode int

const (
	boardQuiet boardMode = iota
	boardLines           // a line a minute
	boardJSON
	boardScreen
)

// message is a line that somebody said meanwhile.
type message struct {
	to   io.Writer
	text string
}

// patience is how long the end of a work waits for a terminal that takes nothing.
const patience = 2 * time.Second

// Dashboard begins to show the status of what, a few words without personal data:
// "image B1-2026-0042/image-01". [Dashboard.End] must be called.
func (t *Terminal) Dashboard(what string) *Dashboard {
	d := &Dashboard{t: t, what: Clean(what), poke: make(chan struct{}, 1), done: make(chan struct{}), shown: t.now()}
	switch {
	case t.JSON:
		d.mode = boardJSON
	case t.Quiet:
		close(d.done)
		return d
	case t.StderrIsTerminal() && !t.dumb():
		d.mode = boardScreen
	default:
		d.mode = boardLines
	}
	t.mu.Lock()
	t.board = d
	t.mu.Unlock()
	go d.run()
	return d
}

// Set says how things stand. It never blocks.
func (d *Dashboard) Set(s Status) {
	d.mu.Lock()
	d.status, d.given = s, true
	d.mu.Unlock()
	d.wake()
}

// say takes a message to be shown; it never blocks.
func (d *Dashboard) say(to io.Writer, text string) {
	d.mu.Lock()
	d.said = append(d.said, message{to, text})
	d.mu.Unlock()
	d.wake()
}

func (d *Dashboard) wake() {
	select {
	case d.poke <- struct{}{}:
	default: // it is awake already, and will see the newest
	}
}

// End shows what is still to be shown and takes the status off the screen; under
// --json it writes a last line. It waits two seconds at most for a terminal that takes
// nothing: the image is to be sealed all the same. Calling it again does nothing.
func (d *Dashboard) End() {
	d.t.mu.Lock()
	if d.t.board == d {
		d.t.board = nil
	}
	d.t.mu.Unlock()
	d.mu.Lock()
	d.ending = true
	d.mu.Unlock()
	d.wake()
	select {
	case <-d.done:
	case <-time.After(patience):
	}
}

func (d *Dashboard) run() {
	defer close(d.done)
	for range d.poke {
		d.mu.Lock()
		s, given, said, ending := d.status, d.given, d.said, d.ending
		d.said = nil
		d.mu.Unlock()
		if given {
			d.show(s, said, ending)
		} else {
			d.print(said)
		}
		if ending {
			return
		}
	}
}

// show writes what is due.
func (d *Dashboard) show(s Status, said []message, ending bool) {
	if d.mode == boardScreen {
		d.draw(s, said, ending)
		return
	}
	d.print(said)
	now := d.t.now()
	gone := now.Sub(d.shown)
	switch {
	case d.mode == boardLines && gone >= everyLine:
		fmt.Fprintf(d.t.Err, "salvor: %s: %s\n", d.what, s.line())
	case d.mode == boardJSON && (!d.begun || ending || gone >= everyJSON || gone < 0):
		if line, err := messageLine("status", s.document(d.what)); err == nil {
			fmt.Fprint(d.t.data, string(line))
		}
	case d.mode == boardLines && gone < 0: // the clock was put back
	default:
		return
	}
	d.shown, d.begun = now, true
}

func (d *Dashboard) print(said []message) {
	for _, m := range said {
		fmt.Fprint(m.to, m.text)
	}
}

// draw puts the messages on the screen, and the status below them. The cursor rests in
// the line under it and is never hidden: whatever ends the program, the terminal is as
// it was.
func (d *Dashboard) draw(s Status, said []message, ending bool) {
	columns, rows := size(d.t.rawErr)
	var lines []string
	switch rich := d.t.rich(d.t.rawErr); {
	case ending:
	case rows >= leastRows && columns >= leastColumns:
		lines = s.panel(d.what, columns-1)
		if s.Bar != nil {
			lines = append(lines, s.Bar(columns-1, rich))
		}
	default:
		lines = []string{cut(s.line(), columns-1)}
	}
	frame := strings.Join(lines, "\n")
	if !d.t.unicode() {
		frame = plain.Replace(frame)
	}
	if len(said) == 0 && frame == d.frame {
		return
	}
	var b strings.Builder
	if up := d.height(columns); up > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA\x1b[J", up)
	}
	for _, m := range said {
		b.WriteString(m.text)
	}
	if frame != "" {
		b.WriteString(frame)
		b.WriteByte('\n')
	}
	fmt.Fprint(d.t.rawErr, b.String())
	d.frame, d.drawn = frame, d.drawn[:0]
	for i, l := range lines {
		n := utf8.RuneCountInString(l)
		if i == len(lines)-1 && s.Bar != nil && len(lines) > 1 {
			n = columns - 1 // colours take no room
		}
		d.drawn = append(d.drawn, n)
	}
}

// height is how many lines of the screen the status has now: on a window that was made
// narrower a terminal breaks what it shows.
func (d *Dashboard) height(columns int) (rows int) {
	for _, n := range d.drawn {
		rows += max(1, (n+columns-1)/columns)
	}
	return rows
}

// plain takes the place of what a terminal without Unicode cannot show.
var plain = strings.NewReplacer("–", "-", "°C", "C", "…", "~")

// size returns the columns and rows that w shows, 80 and 24 when it cannot tell.
func size(w any) (columns, rows int) {
	if f, ok := w.(*os.File); ok {
		if c, r, err := term.GetSize(int(f.Fd())); err == nil && c >= 20 && r > 0 {
			return c, r
		}
	}
	return 80, 24
}

// dumb tells a terminal that knows no cursor movements.
func (t *Terminal) dumb() bool {
	name, _ := t.env("TERM")
	return name == "dumb"
}

// unicode tells whether the locale (locale(7)) says that text is UTF-8.
func (t *Terminal) unicode() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v, _ := t.env(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// rich tells whether w shows block characters and colours: a terminal with UTF-8, and
// nobody asked for none (NO_COLOR, see no-color.org).
func (t *Terminal) rich(w any) bool {
	no, _ := t.env("NO_COLOR")
	return isTerminal(w) && !t.dumb() && t.unicode() && no == ""
}

// Rich tells whether standard output shows block characters and colours. What is drawn
// with them goes to [Terminal.Raw].
func (t *Terminal) Rich() bool { return t.rich(t.raw) }

// Columns returns how many columns standard output shows, 80 off a terminal.
func (t *Terminal) Columns() int { return width(t.raw) }
