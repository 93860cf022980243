package custody

import (
	"errors"
	"testing"
	"time"
	_ "time/tzdata"
)

func brussels(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Brussels")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func instant(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestKeepCountsFromNow(t *testing.T) {
	now := instant(t, "2026-11-21T18:05:12Z")
	for keep, want := range map[string]string{
		"0d":         "2026-11-21T18:05:12Z",
		"90d":        "2027-02-19T18:05:12Z",
		"6w":         "2027-01-02T18:05:12Z",
		"3m":         "2027-02-21T18:05:12Z",
		"12m":        "2027-11-21T18:05:12Z",
		"36h":        "2026-11-23T06:05:12Z",
		"2027-03-01": "2027-02-28T23:00:00Z", // the start of the day in the shop's zone
		"2027-07-01": "2027-06-30T22:00:00Z", // in summer time
	} {
		k, err := ParseKeep(keep)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Deadline(now, time.Time{}, brussels(t))
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %v %v, want %s", keep, got, err, want)
		}
		if k.String() != keep {
			t.Errorf("%s came back as %s", keep, k)
		}
	}
}

// Days, weeks and months are those of the shop's calendar: the time of day stays what
// it is there. The year of the law is that of UTC and never moves later by it.
func TestDaysAreThoseOfTheShop(t *testing.T) {
	for _, test := range []struct{ from, keep, want string }{
		{"2026-10-20T08:00:00Z", "7d", "2026-10-27T09:00:00Z"}, // summer time ends: 10 o'clock stays 10 o'clock
		{"2026-10-20T08:00:00Z", "1w", "2026-10-27T09:00:00Z"},
		{"2027-03-20T09:00:00Z", "7d", "2027-03-27T09:00:00Z"},
		{"2027-03-20T09:00:00Z", "1m", "2027-04-20T08:00:00Z"},
		{"2026-12-31T23:30:00Z", "1m", "2027-01-31T23:30:00Z"}, // 1 January there
		{"2027-01-30T23:30:00Z", "1m", "2027-02-27T23:30:00Z"}, // 31 January there: the last day of February
		{"2026-10-20T08:00:00Z", "168h", "2026-10-27T08:00:00Z"},
		// One calendar year, between years in which summer time ends on different days.
		{"2026-10-25T09:00:00Z", "12m", "2027-10-25T08:00:00Z"},
		{"2027-10-26T08:00:00Z", "12m", "2028-10-26T08:00:00Z"},
		{"2028-10-30T09:00:00Z", "12m", "2029-10-30T09:00:00Z"},
		{"2027-10-30T08:00:00Z", "366d", "2028-10-30T08:00:00Z"}, // an hour later there: the cap holds
	} {
		k, err := ParseKeep(test.keep)
		if err != nil {
			t.Fatal(err)
		}
		from := instant(t, test.from)
		got, err := k.Deadline(from, from, brussels(t))
		if err != nil || got.Format(time.RFC3339) != test.want || got.After(MaxDeadline(from)) {
			t.Errorf("%s from %s is %v (%v), want %s", test.keep, test.from, got, err, test.want)
		}
	}
}

func TestMonthsEndInTheirMonth(t *testing.T) {
	for _, test := range []struct{ from, keep, want string }{
		{"2027-01-31T10:00:00Z", "1m", "2027-02-28T10:00:00Z"},
		{"2028-01-31T10:00:00Z", "1m", "2028-02-29T10:00:00Z"},
		{"2027-08-31T10:00:00Z", "1m", "2027-09-30T10:00:00Z"},
		{"2024-02-29T10:00:00Z", "12m", "2025-02-28T10:00:00Z"},
	} {
		k, err := ParseKeep(test.keep)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.From(instant(t, test.from), time.UTC).Format(time.RFC3339); got != test.want {
			t.Errorf("%s from %s is %s, want %s", test.keep, test.from, got, test.want)
		}
	}
}

func TestKeepIsOneCalendarYearAtMost(t *testing.T) {
	for _, test := range []struct {
		first, keep string
		ok          bool
	}{
		{"2024-02-29T09:00:00Z", "2025-02-28", true},
		{"2024-02-29T09:00:00Z", "2025-03-01", false},
		{"2024-02-29T09:00:00Z", "365d", true},
		{"2024-02-29T09:00:00Z", "366d", false},
		{"2024-02-28T09:00:00Z", "366d", true},
		{"2026-11-21T18:05:12Z", "365d", true},
		{"2026-11-21T18:05:12Z", "366d", false},
		{"2026-11-21T18:05:12Z", "400d", false},
		{"2026-11-21T18:05:12Z", "12m", true},
		{"2026-11-21T18:05:12Z", "13m", false},
		{"2026-11-21T18:05:12Z", "53w", false},
		{"2026-11-21T18:05:12Z", "9999h", false},
		{"2026-11-21T18:05:12Z", "9999w", false},
		{"2026-11-21T18:05:12Z", "2027-11-21", true},
		{"2026-11-21T18:05:12Z", "2027-11-22", false},
		{"2026-11-21T18:05:12Z", "9999-01-01", false},
	} {
		k, err := ParseKeep(test.keep)
		if err != nil {
			t.Fatal(err)
		}
		first := instant(t, test.first)
		if _, err := k.Deadline(first, first, brussels(t)); errors.Is(err, ErrTooLong) == test.ok {
			t.Errorf("%s from %s: %v", test.keep, test.first, err)
		}
	}
	// The year counts from the first image, not from today.
	k, _ := ParseKeep("90d")
	if _, err := k.Deadline(instant(t, "2027-10-01T00:00:00Z"), instant(t, "2026-11-21T00:00:00Z"), time.UTC); !errors.Is(err, ErrTooLong) {
		t.Errorf("90 days in the eleventh month: %v", err)
	}
}

func TestKeepIsReadStrictly(t *testing.T) {
	for _, s := range []string{
		"", "d", "90", "-1d", "+1d", "090d", "00d", "1.5d", "1y", "90D", "90 d", " 90d", "90d ", "99999d", "٣d",
		"2027-13-01", "2027-02-29", "2027-2-1", "27-03-01", "1969-12-31", "2027-03-01T00:00:00Z",
	} {
		if k, err := ParseKeep(s); !errors.Is(err, ErrKeep) {
			t.Errorf("%q was read as %v: %v", s, k, err)
		}
	}
	if _, err := (Keep{}).Deadline(time.Time{}, time.Time{}, time.UTC); !errors.Is(err, ErrKeep) {
		t.Errorf("no keep at all: %v", err)
	}
}

// The day on which a zone goes to summer time at midnight has no midnight.
func TestDayBeginsAtItsFirstInstant(t *testing.T) {
	zone, err := time.LoadLocation("America/Santiago")
	if err != nil {
		t.Fatal(err)
	}
	start, err := Date("2026-09-06").Start(zone)
	if err != nil {
		t.Fatal(err)
	}
	if d := DateOf(start, zone); d != "2026-09-06" {
		t.Errorf("the day begins at %v, on %s", start.In(zone), d)
	}
	if d := DateOf(start.Add(-time.Second), zone); d != "2026-09-05" {
		t.Errorf("a second earlier is %s", d)
	}
}

func FuzzKeep(f *testing.F) {
	for _, s := range []string{"90d", "6w", "3m", "36h", "0d", "2027-03-01", "007d", "1y", "9999w", "2024-02-29"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseKeep(s)
		if err != nil {
			return
		}
		if k.String() != s {
			t.Errorf("%q came back as %q", s, k)
		}
		now := time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)
		for _, zone := range []*time.Location{time.UTC, brussels(t)} {
			deadline, err := k.Deadline(now, now, zone)
			if err == nil && deadline.After(MaxDeadline(now)) {
				t.Errorf("%q gives %v", s, deadline)
			}
		}
	})
}
