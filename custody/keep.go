package custody

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// ErrKeep is returned for a text that does not say how long to keep.
var ErrKeep = errors.New("not a time to keep: want 90d, 6w, 3m, 36h or a date such as 2027-03-01")

// ErrTooLong is returned for a deadline later than one calendar year after the
// case's first image.
var ErrTooLong = errors.New("kept longer than one calendar year")

// A Keep is how long a case is kept: a number of days, weeks, months or hours
// from now, or a day at whose beginning it is due. "0d" is due at once. There
// is one spelling for each, so String gives back what ParseKeep read.
type Keep struct {
	n    int  // 0 to 9999
	unit byte // d w m h, or 0 for a date
	date Date
}

// ParseKeep reads "90d", "6w", "3m", "36h" or "2027-03-01".
func ParseKeep(s string) (Keep, error) {
	if d, err := ParseDate(s); err == nil {
		return Keep{date: d}, nil
	}
	if len(s) < 2 || len(s) > 5 {
		return Keep{}, ErrKeep
	}
	number, unit := s[:len(s)-1], s[len(s)-1]
	if !only(number, digit) || len(number) > 1 && number[0] == '0' || !only(string(unit), "dwmh") {
		return Keep{}, ErrKeep
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return Keep{}, ErrKeep
	}
	return Keep{n: n, unit: unit}, nil
}

// String returns the text that ParseKeep read; "" for the zero Keep.
func (k Keep) String() string {
	if k.unit == 0 {
		return string(k.date)
	}
	return strconv.Itoa(k.n) + string(k.unit)
}

// Equal reports whether both say the same.
func (k Keep) Equal(o Keep) bool { return k == o }

// MarshalText writes what String returns.
func (k Keep) MarshalText() ([]byte, error) {
	if k == (Keep{}) {
		return nil, ErrKeep
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads like ParseKeep.
func (k *Keep) UnmarshalText(p []byte) error {
	v, err := ParseKeep(string(p))
	*k = v
	return err
}

// From returns the instant at which a case is due that is kept for k from now.
// Hours are running hours. Days, weeks and months are those of the calendar in zone,
// the shop's, to the same time of day; a month ends on the same day of the month or on
// the last day of a shorter one. A date is the start of that day in zone. The result
// is in UTC with whole seconds.
func (k Keep) From(now time.Time, zone *time.Location) time.Time {
	now = At(now).Time
	local := now.In(zone)
	switch k.unit {
	case 'h':
		return now.Add(time.Duration(k.n) * time.Hour)
	case 'd':
		return local.AddDate(0, 0, k.n).UTC()
	case 'w':
		return local.AddDate(0, 0, 7*k.n).UTC()
	case 'm':
		return addMonths(local, k.n).UTC()
	}
	t, err := k.date.Start(zone)
	if err != nil {
		return now
	}
	return t
}

// Deadline returns [Keep.From], refused with [ErrTooLong] when that is later
// than one calendar year after first, the creation of the case's first image.
// A zero first means that there is none yet: then the year counts from now. The year
// is that of UTC: where summer time alone puts a duration behind its end, its end is
// the deadline.
func (k Keep) Deadline(now, first time.Time, zone *time.Location) (time.Time, error) {
	if k == (Keep{}) {
		return time.Time{}, ErrKeep
	}
	if first.IsZero() {
		first = now
	}
	deadline, most := k.From(now, zone), MaxDeadline(first)
	if k.unit != 0 && deadline.After(most) && !k.From(now, time.UTC).After(most) {
		deadline = most
	}
	if deadline.After(most) {
		return time.Time{}, fmt.Errorf("%w: the latest is %s", ErrTooLong, most.Format(time.RFC3339))
	}
	return deadline, nil
}

// MaxDeadline returns the latest deadline of a case whose first image was
// begun at first: one calendar year later, by the calendar of UTC. One year
// after 29 February is 28 February, never 1 March, because a year that ends a
// day late is a duty broken.
func MaxDeadline(first time.Time) time.Time { return addMonths(At(first).Time, 12) }

// MaxReview returns the latest day on which somebody looks again at a hold that is set
// now: one calendar year later, in now's own zone. A hold keeps data beyond their
// deadline, and one that nobody has to look at keeps them for ever.
func MaxReview(now time.Time) Date { return DateOf(addMonths(now, 12), now.Location()) }

// addMonths adds months and stays inside the month it arrives in, where
// time.AddDate would run over into the next.
func addMonths(t time.Time, n int) time.Time {
	v := t.AddDate(0, n, 0)
	if v.Day() != t.Day() {
		v = v.AddDate(0, 0, -v.Day())
	}
	return v
}
