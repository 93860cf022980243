package ui

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// failing is a rescue in the middle.
func failing() Status {
	return Status{
		Disk: "Samsung SSD 860 EVO, 500.1 GB", Stage: "sweep", Step: 3, Steps: 7,
		Bytes: 500_107_862_016, Rescued: 185_400_000_000, Untried: 314_000_000_000, Failed: 1_200_000, Bad: 12_288, Areas: 3, Errors: 7,
		Tiers: []StatusTier{{"tables", 1000, 1000}, {"metadata", 1000, 999}, {"files", 1000, 410}, {"other", 0, 0}, {"free", 1 << 40, 1}},
		Rate:  140.2e6, Average: 122e6, Celsius: 41,
		Elapsed: 72 * time.Minute, SinceGood: 12 * time.Second,
		LeftKnown: true, LeftLow: 190 * time.Minute, LeftLikely: 4 * time.Hour, LeftHigh: 5 * time.Hour,
		Advice: "no new data for 30 min: stop here?",
		Bar: func(columns int, rich bool) string {
			return strings.Repeat(map[bool]string{true: "█", false: "+"}[rich], columns)
		},
	}
}

func TestStatusFitsEightyColumns(t *testing.T) {
	want := []string{
		"image T1-2026-0001/image-01, Samsung SSD 860 EVO, 500.1 GB            sweep 3/7",
		"rescued  37.1 % of 500.1 GB; tables 100, metadata 99, files 41, free 0 %",
		"rate     140.2 MB/s, on average 122.0 MB/s, 41 °C at the start",
		"bad      12.3 kB in 3 areas, 1.2 MB to narrow, 7 errors",
		"time     left 3 h 10 min – 5 h 00 min, gone 1 h 12 min, last read 12 s ago",
	}
	if diff := cmp.Diff(want, failing().panel("image T1-2026-0001/image-01", 79)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	silent := failing()
	silent.Silent, silent.LeftKnown, silent.Areas, silent.Bad, silent.Failed, silent.Errors = true, false, 0, 0, 0, 0
	silent.Celsius, silent.Average = 0, UnknownRate
	want = []string{
		"image T1-2026-0001/image-01, Samsung SSD 860 EVO…  sweep 3/7",
		"rescued  37.1 % of 500.1 GB; metadata 99, files 41, free 0 %",
		"rate     no answer for 12 s",
		"bad      none",
		"time     left unknown, gone 1 h 12 min, last read 12 s ago",
	}
	if diff := cmp.Diff(want, silent.panel("image T1-2026-0001/image-01", 60)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := failing().line(); got != "37.1 % of 500.1 GB rescued, 140.2 MB/s, bad: 12.3 kB in 3 areas, 1.2 MB to narrow, 7 errors, sweep 3/7, left 3 h 10 min – 5 h 00 min" {
		t.Error(got)
	}
}

func TestStatusIsNeverWiderThanTheScreen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(0, 1<<62)
		s := Status{
			Disk: rapid.String().Draw(t, "disk"), Stage: rapid.String().Draw(t, "stage"),
			Step: rapid.Int().Draw(t, "step"), Steps: rapid.Int().Draw(t, "steps"), Pass: rapid.Int().Draw(t, "pass"),
			Bytes: size.Draw(t, "bytes"), Rescued: size.Draw(t, "rescued"), Bad: size.Draw(t, "bad"), Failed: size.Draw(t, "failed"),
			Rate: rapid.Float64().Draw(t, "rate"), Average: rapid.Float64().Draw(t, "average"), Celsius: rapid.Int().Draw(t, "celsius"),
			Elapsed:   time.Duration(rapid.Int64().Draw(t, "elapsed")),
			LeftKnown: true, LeftHigh: time.Duration(rapid.Int64().Draw(t, "left")),
		}
		for range rapid.IntRange(0, 6).Draw(t, "tiers") {
			s.Tiers = append(s.Tiers, StatusTier{rapid.String().Draw(t, "tier"), size.Draw(t, "of"), size.Draw(t, "done")})
		}
		room := rapid.IntRange(leastColumns-1, 200).Draw(t, "room")
		for _, line := range s.panel("image T1-2026-0001/image-01", room) {
			if n := utf8.RuneCountInString(line); n > room || strings.ContainsFunc(line, hostile) {
				t.Fatalf("%d columns of %d: %q", n, room, line)
			}
		}
		if _, err := messageLine("status", s.document("x")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStatusIsALineAMinuteOffATerminal(t *testing.T) {
	term, out, errw, c := plainTerminal()
	d := term.Dashboard("image")
	// What is shown is decided when it is drawn: by hand here, so that nothing is raced.
	show := func(ending bool) { d.show(failing(), nil, ending) }
	show(false)
	if errw.Len() > 0 {
		t.Fatalf("%q before a minute has passed", errw)
	}
	for range 3 {
		c.pass(time.Minute)
		show(false)
		show(false)
	}
	show(true)
	d.End()
	if n := strings.Count(errw.String(), "salvor: image: 37.1 % of 500.1 GB rescued"); n != 3 || out.Len() > 0 {
		t.Errorf("%d lines, %q: %s", n, out, errw)
	}
}

func TestStatusAsJSONEverySecond(t *testing.T) {
	term, out, _, c := plainTerminal()
	term.JSON = true
	d := term.Dashboard("image T1-2026-0001/image-01")
	d.show(failing(), nil, false)
	d.show(failing(), nil, false)
	c.pass(time.Second)
	d.show(Status{Bytes: 10, Rate: UnknownRate, Average: UnknownRate}, nil, false)
	d.show(failing(), nil, true)
	d.End()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines: %s", len(lines), out)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	if diff := cmp.Diff(`{"message_type":"status","what":"image T1-2026-0001/image-01","stage":"sweep","step":3,"steps":7,`+
		`"bytes":500107862016,"rescued":185400000000,"untried":314000000000,"failed":1200000,"bad":12288,"bad_areas":3,"errors":7,`+
		`"tiers":[{"tier":"tables","bytes":1000,"rescued":1000},{"tier":"metadata","bytes":1000,"rescued":999},{"tier":"files","bytes":1000,"rescued":410},{"tier":"free","bytes":1099511627776,"rescued":1}],`+
		`"rate_per_second":140200000,"average_per_second":122000000,"celsius_at_start":41,"not_answering":false,"seconds_elapsed":4320,"seconds_since_good":12,`+
		`"seconds_left_low":11400,"seconds_left":14400,"seconds_left_high":18000,"advice":"no new data for 30 min: stop here?"}`, lines[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(`{"message_type":"status","what":"image T1-2026-0001/image-01","bytes":10,"rescued":0,"untried":0,"failed":0,"bad":0,"bad_areas":0,"errors":0,`+
		`"not_answering":false,"seconds_elapsed":0,"seconds_since_good":0}`, lines[1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// boardTerminal is a terminal of a size, with an environment.
func boardTerminal(t *testing.T, rows, columns uint16, env map[string]string) (*Terminal, *screen) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no pseudo-terminal: ", err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	if err := pty.Setsize(master, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	term := New(Streams{
		In: slave, Out: slave, Err: slave, Now: newClock().now,
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
	return term, &screen{t: t, master: master}
}

func TestStatusHasSixLinesOnATerminalAndMessagesAbove(t *testing.T) {
	for name, c := range map[string]struct {
		rows, columns uint16
		env           map[string]string
		want          []string
		never         string
	}{
		"rich":      {24, 80, map[string]string{"LANG": "nl_BE.UTF-8"}, []string{"41 °C", "3 h 10 min – 5 h", strings.Repeat("█", 79) + "\r\n"}, "+++"},
		"no colour": {24, 80, map[string]string{"LC_ALL": "C.utf8", "NO_COLOR": "1"}, []string{"3 h 10 min – 5 h", strings.Repeat("+", 79) + "\r\n"}, "█"},
		"ASCII":     {24, 100, map[string]string{"LC_ALL": "C", "LANG": "nl_BE.UTF-8"}, []string{"41 C at", "3 h 10 min - 5 h", strings.Repeat("+", 99) + "\r\n"}, "█"},
		"low":       {6, 80, nil, []string{"37.1 % of 500.1 GB rescued"}, "last read"},
		"narrow":    {24, 59, nil, []string{"37.1 % of 500.1 GB rescued"}, "last read"},
	} {
		term, s := boardTerminal(t, c.rows, c.columns, c.env)
		d := term.Dashboard("image T1-2026-0001/image-01")
		d.Set(failing())
		for _, want := range c.want {
			s.await(want)
		}
		term.Say("the disk is back")
		s.await("\x1b[J" + "salvor: the disk is back\r\n") // the status is taken away first
		s.await("37.1 %")                                  // and is there again below
		term.Warn("mind the %s", "gap\x1b[2J")
		s.await(`mind the gap\x1b[2J`)
		d.End()
		d.End()
		d.Set(Status{})
		term.Say("the end")
		s.await("A\x1b[J")
		s.await("salvor: the end\r\n")
		if strings.Contains(s.seen.String(), c.never) || strings.Contains(s.seen.String(), "\x1b[?") {
			t.Errorf("%s: %q", name, s.seen.String())
		}
		if s.seen.String()[s.passed:] != "" {
			t.Errorf("%s: drawn after its end: %q", name, s.seen.String()[s.passed:])
		}
	}
}

func TestStatusFollowsAWindowThatIsMadeNarrower(t *testing.T) {
	term, s := boardTerminal(t, 24, 100, nil)
	d := term.Dashboard("image")
	d.Set(failing())
	s.await(strings.Repeat("+", 99) + "\r\n")
	if err := pty.Setsize(s.master, &pty.Winsize{Rows: 24, Cols: 60}); err != nil {
		t.Fatal(err)
	}
	next := failing()
	next.Rescued *= 2
	d.Set(next)
	s.await("74.1 %")
	s.await(strings.Repeat("+", 59) + "\r\n")
	// Five of the six lines were longer than 60 columns: the terminal broke each in two.
	if !strings.Contains(s.seen.String(), "\r\x1b[11A\x1b[J") {
		t.Errorf("%q", s.seen.String())
	}
	d.End()
}

func TestADumbTerminalGetsLines(t *testing.T) {
	term, s := boardTerminal(t, 24, 80, map[string]string{"TERM": "dumb"})
	d := term.Dashboard("image")
	d.Set(failing())
	d.End()
	term.Say("the end")
	s.await("the end\r\n")
	if got := s.seen.String(); got != "salvor: the end\r\n" {
		t.Errorf("%q", got)
	}
}

func TestQuietShowsNoStatusButWarnings(t *testing.T) {
	term, out, errw, _ := plainTerminal()
	term.Quiet = true
	d := term.Dashboard("image")
	d.Set(failing())
	term.Warn("careful")
	d.End()
	if errw.String() != "salvor: warning: careful\n" || out.Len() > 0 {
		t.Errorf("%q %q", out, errw)
	}
}

// stuck is a terminal that takes nothing until it is let go.
type stuck struct {
	bytes.Buffer
	let chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.let
	return s.Buffer.Write(p)
}

func TestAStoppedTerminalStopsNobody(t *testing.T) {
	out := &stuck{let: make(chan struct{})}
	term := New(Streams{Out: out, Err: out, Now: newClock().now})
	term.JSON = true
	d := term.Dashboard("image")
	for range 1000 {
		d.Set(failing())
		term.Warn("still going")
	}
	close(out.let)
	d.End()
	if n := strings.Count(out.String(), `"message_type":"warning"`); n != 1000 {
		t.Errorf("%d of 1000 warnings arrived", n)
	}
	if n := strings.Count(out.String(), `"message_type":"status"`); n < 1 || n > 2 {
		t.Errorf("%d statuses", n)
	}
}

func TestTheEndDoesNotWaitForeverForAStoppedTerminal(t *testing.T) {
	out := &stuck{let: make(chan struct{})}
	term := New(Streams{Out: out, Err: out, Now: newClock().now})
	term.JSON = true
	d := term.Dashboard("image")
	d.Set(failing())
	d.End() // comes back though nothing was ever written
	close(out.let)
	<-d.done
}

func TestRichNeedsATerminalUnicodeAndNoObjection(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{map[string]string{"LANG": "en_US.UTF-8"}, true},
		{map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "C"}, false},
		{map[string]string{"LC_CTYPE": "fr_BE.utf8"}, true},
		{map[string]string{"LANG": "en_US.UTF-8", "NO_COLOR": "1"}, false},
		{map[string]string{"LANG": "en_US.UTF-8", "NO_COLOR": ""}, true},
		{map[string]string{"LANG": "en_US.UTF-8", "TERM": "dumb"}, false},
		{nil, false},
	} {
		term, _ := boardTerminal(t, 24, 80, c.env)
		if got := term.Rich(); got != c.want {
			t.Errorf("%v: %v", c.env, got)
		}
	}
	term, _, _, _ := plainTerminal()
	term.env = func(string) (string, bool) { return "C.UTF-8", true }
	if term.Rich() || term.Columns() != 80 {
		t.Error("a buffer is no terminal")
	}
}
