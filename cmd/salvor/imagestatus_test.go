package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/rescue"
	"salvor/rescue/blockdev"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/mapfile"
)

// boarded is an imaging whose output is caught, and whose clock is moved by hand.
func boarded(json bool) (g *imaging, out, errs *bytes.Buffer, pass func(time.Duration)) {
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return at }
	p := &program{term: ui.New(ui.Streams{Out: out, Err: errs, Now: now}), now: now}
	p.term.JSON = json
	info := rescue.Info{Bytes: 999*512 + 100, Sector: 512, Physical: 512}
	return &imaging{
		station: &station{program: p}, source: faulty.New(faulty.Plan{Info: info}), no: "T1-2026-0001", image: custody.Image{Name: "image-01"},
		ident: blockdev.Identity{Model: "WDC WD10", Serial: "WX31A", Bytes: info.Bytes},
	}, out, errs, func(d time.Duration) { at = at.Add(d) }
}

func TestStatusSaysWhatTheEngineCounts(t *testing.T) {
	g, _, _, pass := boarded(false)
	m := mapfile.New(1000)
	m.Set(0, 100, mapfile.Rescued)
	b := g.newBoard(m, 41)
	defer b.end()
	pass(10 * time.Second)
	st := rescue.Status{
		Stage: "trim", Pass: 6, Bytes: 512000, Rescued: 512000, Areas: 2, Errors: 3, Reads: 7, Rate: 5, Hung: 1, SinceGood: time.Hour,
		Outlook: rescue.Outlook{Stage: "sweep", Step: 2, Steps: 5, P10: 1, P50: 2, P90: 3, Advice: "think"},
	}
	st.Outlook.Tiers[rescue.TierUser] = rescue.TierCount{Bytes: 10, Rescued: 4}
	want := ui.Status{
		Disk: "WDC WD10, 511.6 kB", Stage: "sweep", Step: 2, Steps: 5, Bytes: 511588, Rescued: 511588, Areas: 2, Errors: 3,
		Rate: 5, Average: 46080, Celsius: 41, Silent: true, Elapsed: 10 * time.Second, SinceGood: 10 * time.Second,
		LeftKnown: true, LeftLow: 1, LeftLikely: 2, LeftHigh: 3, Advice: "think",
		Tiers: []ui.StatusTier{{Name: "tables"}, {Name: "metadata"}, {Name: "files", Bytes: 10, Rescued: 4}, {Name: "other"}, {Name: "caches"}, {Name: "free"}},
	}
	if diff := cmp.Diff(want, b.status(st, 10*time.Second), cmpopts.IgnoreFields(ui.Status{}, "Bar")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	st.Outlook = rescue.Outlook{P10: rescue.Unknown, P50: rescue.Unknown, P90: rescue.Unknown}
	got := b.status(st, 0)
	if got.LeftKnown || got.Stage != "trim" || got.Pass != 6 || got.Tiers != nil || got.Average != ui.UnknownRate {
		t.Errorf("%+v", got)
	}
	// The disk came back: another run of the engine counts from nothing.
	b.progress(rescue.Status{Reads: 100, Errors: 3})
	b.progress(rescue.Status{Reads: 5, Errors: 1})
	if got := b.status(rescue.Status{Reads: 5, Errors: 1}, 0).Errors; got != 4 {
		t.Errorf("%d errors", got)
	}
}

// TestNoSerialNumberInLogsOrJSON: only a terminal shows it, once.
func TestNoSerialNumberInLogsOrJSON(t *testing.T) {
	for _, asJSON := range []bool{true, false} {
		g, out, errs, pass := boarded(asJSON)
		b := g.newBoard(mapfile.New(1000), 0)
		for range 3 {
			pass(2 * time.Minute)
			b.progress(rescue.Status{Bytes: 512000, Outlook: rescue.Outlook{Advice: "no new data for 30 min: stop here?"}})
		}
		b.end()
		if all := out.String() + errs.String(); strings.Contains(all, "WX31A") {
			t.Errorf("the serial number is in %q", all)
		}
		if n := strings.Count(errs.String(), "salvor: no new data for 30 min: stop here?\n"); asJSON && n != 0 || !asJSON && n != 1 {
			t.Errorf("the advice was said %d times: %s", n, errs)
		}
		if !asJSON {
			continue
		}
		for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
			var fields struct {
				Type string `json:"message_type"`
				What string `json:"what"`
			}
			if err := json.Unmarshal([]byte(line), &fields); err != nil || fields.Type != "status" || fields.What != "image T1-2026-0001/image-01" {
				t.Errorf("%v in %s", err, line)
			}
		}
	}
}
