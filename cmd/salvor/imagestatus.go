package main

import (
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/rescue"
	"salvor/rescue/blockdev"
	"salvor/rescue/mapfile"
	"salvor/rescue/picture"
)

// board shows how the rescue of one image stands. What it is told by the engine it
// passes on without waiting for whoever reads it.
type board struct {
	g      *imaging
	ui     *ui.Dashboard
	m      *mapfile.Map
	began  time.Time
	before int64 // bytes that were rescued when this command began
	warmth int   // degrees Celsius when it began; 0 when not known

	last    rescue.Status
	errors  int64 // of engine runs before the present one: a disk that came back begins another
	bar     picture.Grid
	drawn   time.Time // when bar was made
	advised string
}

// How finely the map is cut for the bar, and how often: a map of a million runs takes
// some 30 ms of the time in which the disk is read.
const (
	barCells = 1024
	everyBar = 2 * time.Second
)

// newBoard begins to show the rescue of m. warmth is the disk's temperature in degrees
// Celsius, 0 or less when it tells none. The serial number, which is personal data, is
// shown once, on a terminal only: who stands before it has the disk in hand.
func (g *imaging) newBoard(m *mapfile.Map, warmth int64) *board {
	b := &board{
		g: g, m: m, began: g.now(), warmth: int(max(warmth, 0)),
		before: m.Totals().Sectors(mapfile.Rescued) * int64(g.source.Info().Sector),
	}
	if g.ident.Serial != "" && g.term.StderrIsTerminal() {
		g.term.Say("%s, serial number %s", diskWords(g.ident), ui.Clean(g.ident.Serial))
	}
	b.ui = g.term.Dashboard("image " + g.ref().String())
	return b
}

func (b *board) end() { b.ui.End() }

// progress takes a status from the engine. It runs in the goroutine that plans, so
// the map, which belongs to that goroutine, may be looked at.
func (b *board) progress(st rescue.Status) {
	now := b.g.now()
	if gone := now.Sub(b.drawn); b.g.term.StderrIsTerminal() && (gone < 0 || gone >= everyBar) {
		b.bar, b.drawn = picture.New(b.m, barCells, 1), now
	}
	if st.Reads < b.last.Reads {
		b.errors += b.last.Errors
	}
	b.last = st
	if advice := st.Outlook.Advice; advice != b.advised {
		b.advised = advice
		if advice != "" {
			b.g.term.Say("%s", advice)
		}
	}
	b.ui.Set(b.status(st, now.Sub(b.began)))
}

// status says in the words of the bench what the engine counts.
func (b *board) status(st rescue.Status, elapsed time.Duration) ui.Status {
	size := b.g.ident.Bytes
	s := ui.Status{
		Disk: diskWords(b.g.ident), Stage: st.Stage,
		// The engine counts whole sectors; the last of an image file may be cut short.
		Bytes: size, Rescued: min(st.Rescued, size), Untried: min(st.Untried, size),
		Failed: min(st.Failed, size), Bad: min(st.Bad, size), Areas: st.Areas, Errors: b.errors + st.Errors,
		Rate: st.Rate, Average: ui.UnknownRate, Celsius: b.warmth,
		Silent:  st.Hung > 0 && st.InFlight == 0,
		Elapsed: elapsed, SinceGood: min(st.SinceGood, elapsed),
		Advice: st.Outlook.Advice,
	}
	if elapsed >= time.Second {
		s.Average = float64(max(st.Rescued-b.before, 0)) / elapsed.Seconds()
	}
	bar := b.bar
	s.Bar = func(columns int, rich bool) string { return bar.Fit(columns).Text(rich) }
	o := st.Outlook
	if o.Steps > 0 {
		s.Stage, s.Step, s.Steps = o.Stage, o.Step, o.Steps
	} else {
		s.Pass = int(st.Pass)
	}
	if o.Tiers != ([rescue.Tiers]rescue.TierCount{}) {
		for t, count := range o.Tiers {
			s.Tiers = append(s.Tiers, ui.StatusTier{Name: tierWord(rescue.Tier(t)), Bytes: count.Bytes, Rescued: count.Rescued})
		}
	}
	if o.Steps > 0 && o.P10 >= 0 && o.P50 >= 0 && o.P90 >= 0 {
		s.LeftKnown, s.LeftLow, s.LeftLikely, s.LeftHigh = true, o.P10, o.P50, o.P90
	}
	return s
}

// diskWords tells a disk on the bench from the others, without its serial number.
func diskWords(ident blockdev.Identity) string {
	name := ident.Model
	switch {
	case name != "":
	case ident.Kind == blockdev.File:
		name = "image file"
	default:
		name = "disk"
	}
	return name + ", " + ui.Size(ident.Bytes)
}

// tierWord is a tier in one word.
func tierWord(t rescue.Tier) string {
	switch t {
	case rescue.TierTables:
		return "tables"
	case rescue.TierMetadata:
		return "metadata"
	case rescue.TierUser:
		return "files"
	case rescue.TierOther:
		return "other"
	case rescue.TierRebuild:
		return "caches"
	}
	return "free"
}
