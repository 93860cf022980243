package ui

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Unit says what a [Progress] counts.
type Unit int

// The units of progress.
const (
	Bytes Unit = iota // bytes, shown in decimal units
	Items             // things, shown as plain numbers
)

// How often progress is shown. Off a terminal a line a minute is enough for a log.
const (
	everyDraw = 200 * time.Millisecond
	everyJSON = time.Second
	everyLine = time.Minute
)

// UnknownRate passed to [Progress.Set] lets Progress measure the rate itself.
const UnknownRate = -1

// Progress shows how far a long work is: a bar on a terminal, one line a minute off
// it, JSON lines under --json, nothing under --quiet. It knows nothing of what is
// being done; whoever does it calls [Progress.Set] as often as he likes.
type Progress struct {
	t       *Terminal
	what    string
	unit    Unit
	onTTY   bool
	bar     *progressbar.ProgressBar
	out     *barWriter
	drawn   bool // the bar is on the screen
	ended   bool
	last    progressState
	began   time.Time
	from    int64 // done at the first Set, so that a resumed work shows its true rate
	shown   time.Time
	started bool
}

type progressState struct {
	done, total int64
	rate        float64 // per second; negative is unknown
	words       string
}

// Progress begins to show the progress of what, a few words without personal data:
// "image B1-2026-0042". [Progress.End] must be called.
func (t *Terminal) Progress(what string, unit Unit) *Progress {
	p := &Progress{t: t, what: what, unit: unit, began: t.now()}
	p.onTTY = !t.JSON && !t.Quiet && t.StderrIsTerminal()
	p.shown = p.began
	if p.onTTY {
		p.out = &barWriter{w: t.rawErr}
		p.bar = progressbar.NewOptions64(1000,
			progressbar.OptionSetWriter(p.out),
			progressbar.OptionSetWidth(20),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionShowDescriptionAtLineEnd(),
			progressbar.OptionUseANSICodes(true),
			progressbar.OptionSetTheme(progressbar.Theme{
				Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]",
			}))
		t.mu.Lock()
		t.bar = p
		t.mu.Unlock()
	}
	return p
}

// barWriter hides that a writer is a file: progressbar would fsync the terminal.
type barWriter struct {
	w     io.Writer
	muted bool
}

func (b *barWriter) Write(p []byte) (int, error) {
	if b.muted {
		return len(p), nil
	}
	return b.w.Write(p)
}

// Set says that done of total is done (total 0: unknown), at rate per second
// ([UnknownRate]: measure it), with extra words such as "pass 1, 3 bad sectors". It
// may be called from any goroutine and returns at once when it is too early to show
// anything new.
func (p *Progress) Set(done, total int64, rate float64, words string) {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.ended {
		return
	}
	now := p.t.now()
	first := !p.started
	if first {
		p.started, p.from = true, done
	}
	if rate < 0 {
		if gone := now.Sub(p.began).Seconds(); gone >= 1 && done >= p.from {
			rate = float64(done-p.from) / gone
		}
	}
	p.last = progressState{done, total, rate, words}
	every := everyLine
	switch {
	case p.t.JSON:
		every = everyJSON
	case p.onTTY:
		every = everyDraw
	}
	if gone := now.Sub(p.shown); gone >= 0 && gone < every && (!first || every == everyLine) {
		return
	}
	p.shown = now
	p.show()
}

// End takes the bar off the screen; under --json it writes a last line with where
// the work stood. Calling it again does nothing.
func (p *Progress) End() {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.ended {
		return
	}
	p.ended = true
	if p.t.JSON && p.started {
		p.show()
	}
	p.clear()
	if p.t.bar == p {
		p.t.bar = nil
	}
}

// show and what follows are called with t.mu held.
func (p *Progress) show() {
	switch {
	case p.t.Quiet:
	case p.t.JSON:
		p.showJSON()
	case p.onTTY:
		p.redraw()
	default:
		fmt.Fprintf(p.t.Err, "salvor: %s: %s\n", Clean(p.what), p.text())
	}
}

func (p *Progress) showJSON() {
	s := p.last
	line, err := messageLine("progress", struct {
		What    string `json:"what"`
		Done    int64  `json:"done"`
		Total   int64  `json:"total,omitempty"`
		Rate    *int64 `json:"rate_per_second,omitempty"`
		Left    *int64 `json:"seconds_left,omitempty"`
		Elapsed int64  `json:"seconds_elapsed"`
		Words   string `json:"words,omitempty"`
	}{p.what, s.done, s.total, s.wholeRate(), s.secondsLeft(), int64(max(0, p.t.now().Sub(p.began)).Seconds()), s.words})
	if err == nil {
		fmt.Fprint(p.t.data, string(line))
	}
}

// redraw puts the bar on the screen.
func (p *Progress) redraw() {
	if p.ended || !p.started {
		return
	}
	room := width(p.t.rawErr) - 1
	if p.last.total <= 0 {
		fmt.Fprintf(p.t.rawErr, "\r\x1b[2K%s", cut(Clean(p.what)+"  "+p.text(), room))
		p.drawn = true
		return
	}
	// The bar never reaches its end by itself: progressbar would stop drawing.
	share := int64(999 * (float64(min(p.last.done, p.last.total)) / float64(p.last.total)))
	p.out.muted = true // Set64 would draw the new bar beside the old text
	_ = p.bar.Set64(max(0, share))
	p.out.muted = false
	p.bar.Describe(cut(p.text(), room-len(" 100% [====================]  ")))
	p.drawn = true
}

// clear takes it off again.
func (p *Progress) clear() {
	if p.drawn {
		fmt.Fprint(p.t.rawErr, "\r\x1b[2K")
		p.drawn = false
	}
}

// text is "1.2 TB of 2.0 TB, 140.2 MB/s, 1 h 30 min left, 3 bad sectors".
func (p *Progress) text() string {
	s := p.last
	amount := Size
	if p.unit == Items {
		amount = func(n int64) string { return fmt.Sprint(n) }
	}
	parts := []string{amount(s.done)}
	if s.total > 0 {
		parts[0] += " of " + amount(s.total)
		if !p.onTTY {
			parts[0] += " (" + Percent(s.done, s.total) + ")"
		}
	}
	if r := s.wholeRate(); r != nil && p.unit == Bytes {
		parts = append(parts, Rate(s.rate))
	}
	if left := s.secondsLeft(); left != nil {
		parts = append(parts, Duration(time.Duration(*left)*time.Second)+" left")
	}
	if s.words != "" {
		parts = append(parts, Clean(s.words))
	}
	return strings.Join(parts, ", ")
}

func (s progressState) wholeRate() *int64 {
	if !(s.rate >= 0 && s.rate < 1e18) { // also refuses NaN
		return nil
	}
	n := int64(s.rate)
	return &n
}

// secondsLeft is nil when nobody can tell, and never more than ten years.
func (s progressState) secondsLeft() *int64 {
	if s.total <= 0 || s.done > s.total || !(s.rate > 0) {
		return nil
	}
	left := float64(s.total-s.done) / s.rate
	if left > 10*365*86400 {
		return nil
	}
	n := int64(left)
	return &n
}
