package ui

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// panel is the status in words, each line at most room columns wide:
//
//	image B1-2026-0042/image-01, Samsung SSD 860 EVO, 500.1 GB   sweep 3/7, pass 1
//	rescued  37.1 % of 500.1 GB; metadata 99, files 41, other 3, free 0 %
//	rate     140.2 MB/s, on average 122.0 MB/s, 41 °C at the start
//	bad      12.3 kB in 3 areas, 1.2 MB to narrow, 7 errors
//	time     left 3 h 10 min – 5 h 00 min, gone 1 h 12 min, last read just now
func (s Status) panel(what string, room int) []string {
	lines := []string{
		s.head(what, room),
		"rescued  " + s.share(room-len("rescued  ")),
		"rate     " + strings.Join(s.rates(), ", "),
		"bad      " + s.badWords(),
		fmt.Sprintf("time     left %s, gone %s, last read %s", s.leftWords(), Duration(s.Elapsed), ago(s.SinceGood)),
	}
	for i, l := range lines {
		lines[i] = cut(l, room)
	}
	return lines
}

// head is what is rescued on the left, and how on the right.
func (s Status) head(what string, room int) string {
	left, right := what, s.stageWords()
	if s.Disk != "" {
		left += ", " + Clean(s.Disk)
	}
	left = cut(left, max(room-utf8.RuneCountInString(right)-2, 20))
	gap := room - utf8.RuneCountInString(left) - utf8.RuneCountInString(right)
	return left + strings.Repeat(" ", max(gap, 2)) + right
}

func (s Status) stageWords() string {
	words := Clean(s.Stage)
	if s.Steps > 0 {
		words += fmt.Sprintf(" %d/%d", s.Step, s.Steps)
	}
	if s.Pass > 0 {
		words += fmt.Sprintf(", pass %d", s.Pass)
	}
	return strings.TrimPrefix(words, ", ")
}

// share says what is rescued, of the tiers those that are not complete where there is
// no room for all.
func (s Status) share(room int) string {
	whole := fmt.Sprintf("%s of %s", Percent(s.Rescued, s.Bytes), Size(s.Bytes))
	var all, rest []string
	for _, t := range s.Tiers {
		if t.Bytes <= 0 {
			continue
		}
		// Whole percents, and 100 only when nothing is missing.
		percent := int64(100)
		if t.Rescued < t.Bytes {
			percent = min(99, int64(100*(float64(max(t.Rescued, 0))/float64(t.Bytes))))
		}
		word := fmt.Sprintf("%s %d", Clean(t.Name), percent)
		if all = append(all, word); percent < 100 {
			rest = append(rest, word)
		}
	}
	if len(all) == 1 {
		return whole // it is the whole
	}
	for _, tiers := range [][]string{all, rest} {
		if text := whole + "; " + strings.Join(tiers, ", ") + " %"; len(tiers) > 0 && utf8.RuneCountInString(text) <= room {
			return text
		}
	}
	return whole
}

func (s Status) rates() (parts []string) {
	if s.Silent {
		parts = append(parts, "no answer for "+Duration(s.SinceGood))
	} else if s.Rate >= 0 {
		parts = append(parts, Rate(s.Rate))
	}
	if s.Average >= 0 {
		parts = append(parts, "on average "+Rate(s.Average))
	}
	if s.Celsius != 0 {
		parts = append(parts, fmt.Sprintf("%d °C at the start", s.Celsius))
	}
	return parts
}

func (s Status) badWords() string {
	words := "none"
	if s.Bad > 0 || s.Areas > 0 {
		words = fmt.Sprintf("%s in %s", Size(s.Bad), count(s.Areas, "area"))
	}
	if s.Failed > 0 {
		words += fmt.Sprintf(", %s to narrow", Size(s.Failed))
	}
	if s.Errors > 0 {
		words += ", " + count(s.Errors, "error")
	}
	return words
}

// line is the status in one line, for a log or a small screen.
func (s Status) line() string {
	parts := []string{Percent(s.Rescued, s.Bytes) + " of " + Size(s.Bytes) + " rescued"}
	if s.Silent {
		parts = append(parts, "no answer for "+Duration(s.SinceGood))
	} else if s.Rate >= 0 {
		parts = append(parts, Rate(s.Rate))
	}
	if s.Bad > 0 || s.Failed > 0 {
		parts = append(parts, "bad: "+s.badWords())
	}
	if stage := s.stageWords(); stage != "" {
		parts = append(parts, stage)
	}
	return strings.Join(append(parts, "left "+s.leftWords()), ", ")
}

// leftWords is the time left: a range, since nobody knows how many errors will come.
func (s Status) leftWords() string {
	if !s.LeftKnown {
		return "unknown"
	}
	low, high := about(s.LeftLow), about(s.LeftHigh)
	if low == high {
		return "about " + low
	}
	return low + " – " + high
}

// about is a time that was estimated: without seconds above ten minutes.
func about(d time.Duration) string {
	if d < 10*time.Minute {
		return Duration(d)
	}
	if d = d.Round(time.Minute); d < time.Hour {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return Duration(d)
}

func ago(d time.Duration) string {
	if d < 2*time.Second {
		return "just now"
	}
	return Duration(d) + " ago"
}

func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// statusDocument is a status under --json. The names are a contract: fields may be
// added, none changes its meaning. Bytes and seconds are whole numbers.
type statusDocument struct {
	What       string         `json:"what"` // "image B1-2026-0042/image-01"
	Stage      string         `json:"stage,omitempty"`
	Step       int            `json:"step,omitempty"`  // number of the stage, from 1 on
	Steps      int            `json:"steps,omitempty"` // how many stages there are
	Pass       int            `json:"pass,omitempty"`
	Bytes      int64          `json:"bytes"` // of the disk
	Rescued    int64          `json:"rescued"`
	Untried    int64          `json:"untried"`
	Failed     int64          `json:"failed"` // bytes in blocks that failed and are not yet narrowed
	Bad        int64          `json:"bad"`    // bytes that failed when read alone
	BadAreas   int64          `json:"bad_areas"`
	Errors     int64          `json:"errors"` // reads that failed
	Tiers      []tierDocument `json:"tiers,omitempty"`
	Rate       *int64         `json:"rate_per_second,omitempty"`
	Average    *int64         `json:"average_per_second,omitempty"`
	Celsius    int            `json:"celsius_at_start,omitempty"`
	Silent     bool           `json:"not_answering"`
	Elapsed    int64          `json:"seconds_elapsed"`
	SinceGood  int64          `json:"seconds_since_good"`
	LeftLow    *int64         `json:"seconds_left_low,omitempty"` // one case of ten ends sooner
	LeftLikely *int64         `json:"seconds_left,omitempty"`     // half of them do
	LeftHigh   *int64         `json:"seconds_left_high,omitempty"`
	Advice     string         `json:"advice,omitempty"`
}

type tierDocument struct {
	Name    string `json:"tier"`
	Bytes   int64  `json:"bytes"`
	Rescued int64  `json:"rescued"`
}

func (s Status) document(what string) statusDocument {
	d := statusDocument{
		What: what, Stage: s.Stage, Step: s.Step, Steps: s.Steps, Pass: s.Pass,
		Bytes: s.Bytes, Rescued: s.Rescued, Untried: s.Untried, Failed: s.Failed, Bad: s.Bad,
		BadAreas: s.Areas, Errors: s.Errors, Celsius: s.Celsius, Silent: s.Silent,
		Rate: progressState{rate: s.Rate}.wholeRate(), Average: progressState{rate: s.Average}.wholeRate(),
		Elapsed: int64(s.Elapsed.Seconds()), SinceGood: int64(s.SinceGood.Seconds()), Advice: s.Advice,
	}
	if s.LeftKnown {
		seconds := func(left time.Duration) *int64 { n := int64(left.Seconds()); return &n }
		d.LeftLow, d.LeftLikely, d.LeftHigh = seconds(s.LeftLow), seconds(s.LeftLikely), seconds(s.LeftHigh)
	}
	for _, t := range s.Tiers {
		if t.Bytes > 0 {
			d.Tiers = append(d.Tiers, tierDocument(t))
		}
	}
	return d
}
