package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/vault"
	"salvor/rescue"
	"salvor/rescue/layout"
	"salvor/rescue/mapfile"
	"salvor/rescue/triage"
)

// newTriage finds out, while the disk is read, what to read first.
func (g *imaging) newTriage() *triage.Triage {
	o := triage.Options{Dir: g.dir, First: g.o.plan.first, Now: g.now, After: time.After}
	if f, err := os.Open(g.keptFile(tiersDir, g.image)); err == nil {
		// A file that is damaged costs reading some metadata again, and nothing else.
		o.Known, _ = triage.Load(f)
		f.Close()
	}
	return triage.New(g.source.Info(), o)
}

// keepTiers keeps what was found out, for the run that goes on with the image.
func (g *imaging) keepTiers(t *triage.Triage) error {
	tiers := t.Tiers()
	if tiers == nil {
		return nil
	}
	return g.keep(tiersDir, tiers.Save)
}

// strategyOptions are what the flags ask of the planner for a run that begins now. Time
// that the disk was away counts as well.
func (g *imaging) strategyOptions() rescue.StrategyOptions {
	o := rescue.StrategyOptions{
		InFlight: inFlight, Used: g.o.plan.used(), Retries: g.o.plan.retries, Abandons: g.disk.Abandons(),
	}
	if g.o.plan.profile == "gentle" {
		o.Profile = rescue.Gentle
	}
	if g.o.plan.stopAfter > 0 {
		o.StopAfter = max(g.o.plan.stopAfter-g.now().Sub(g.reading), time.Nanosecond)
	}
	return o
}

// conclude tells what triage has found in the end: folders that were asked for and are
// nowhere, and which files are damaged. The list goes into the encrypted image, and as
// far as there is room into the private part of the record.
func (g *imaging) conclude(ctx context.Context, t *triage.Triage, m *mapfile.Map, w *vault.Writer, finished bool) error {
	if err := t.Err(); err != nil {
		g.term.Warn("the file systems were not looked at: %v", err)
	}
	if finished && ctx.Err() == nil && t.Finish(ctx, m) == nil {
		return g.reportDamage(ctx, t, m, w)
	}
	return nil // interrupted: the next run concludes
}

func (g *imaging) reportDamage(ctx context.Context, t *triage.Triage, m *mapfile.Map, w *vault.Writer) error {
	for _, path := range t.NotFound() {
		g.term.Warn("--first %s: no file or folder of that name was found", path)
	}
	if tot := m.Totals(); tot.Sectors(mapfile.Rescued) == m.Sectors() {
		return nil
	}
	list := damageList{w: w}
	report, err := t.Damaged(ctx, m, g.source, func(d layout.Damage) bool { return list.add(ctx, d) })
	switch {
	case list.err != nil:
		return list.err
	case err == nil:
		g.damaged = &damage{report, list.private(report)}
		return list.flush(ctx)
	case !errors.Is(err, triage.ErrNoLayout) && ctx.Err() == nil:
		g.term.Warn("which files are damaged is not known: %v", err)
	}
	return nil
}

// damage is what is known of the files that are not whole.
type damage struct {
	triage.Report
	private string // for the private part of the record
}

// fields are the private part of the event that ends a run.
func (d *damage) fields() map[string]string {
	if d == nil {
		return nil
	}
	return map[string]string{custody.FieldDamaged: d.private}
}

// words sum the damage up, without a name.
func (d *damage) words() string {
	s := fmt.Sprintf("%d of %d files damaged", d.Damaged, d.Files)
	if !d.Complete() {
		s += ", and there may be more: parts of the file systems cannot be listed"
	}
	return s
}

// The bounds of the list of damaged files: of one record in the image, and in the
// private part beside everything else that it holds.
const (
	damageRecord  = 512 << 10
	damagePrivate = custody.MaxPrivateBytes / 2
)

// damageList writes the list of damaged files into the image as it comes.
type damageList struct {
	w     *vault.Writer
	lines []json.RawMessage
	size  int
	brief strings.Builder
	more  int
	err   error
}

func (l *damageList) add(ctx context.Context, d layout.Damage) bool {
	line, err := json.Marshal(map[string]any{
		"volume": d.Volume, "path": d.Path, "size": d.Size, "bad": d.Bad, "unread": d.Untried, "unplaced": d.Lost, "folder": d.Folder, "system": d.System,
	})
	if err == nil && l.size+len(line) > damageRecord {
		err = l.flush(ctx)
	}
	if err != nil {
		l.err = err
		return false
	}
	l.lines, l.size = append(l.lines, line), l.size+len(line)+1
	words := damageWords(d)
	if l.more > 0 || l.brief.Len()+len(words) > damagePrivate {
		l.more++
	} else {
		l.brief.WriteString(words)
	}
	return true
}

func (l *damageList) flush(ctx context.Context) error {
	if len(l.lines) == 0 {
		return nil
	}
	p, err := json.Marshal(map[string]any{"damaged": l.lines})
	if err != nil {
		return err
	}
	l.lines, l.size = nil, 0
	return l.w.Meta(ctx, p)
}

// private is the text for the private part: a summary and as many paths as fit.
func (l *damageList) private(r triage.Report) string {
	d := damage{Report: r}
	s := d.words() + "\n" + l.brief.String()
	if l.more > 0 {
		s += fmt.Sprintf("and %d more, listed in the image\n", l.more)
	}
	return s
}

// damageWords is a damaged file in one line.
func damageWords(d layout.Damage) string {
	name := ui.Clean(d.Path)
	if d.Folder {
		name += "/"
	}
	var missing []string
	for _, part := range []struct {
		n    int64
		word string
	}{{d.Bad, "unreadable"}, {d.Untried, "not read"}, {d.Lost, "of unknown place"}} {
		if part.n > 0 {
			missing = append(missing, ui.Size(part.n)+" "+part.word)
		}
	}
	return fmt.Sprintf("%s (%s): %s\n", name, ui.Size(d.Size), strings.Join(missing, ", "))
}
