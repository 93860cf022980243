package custody

import "time"

// The clocks of the law. Days and months are those of the shop's zone, since
// that is where its customers read their letters; hours are running hours,
// which no change to summer time makes longer or shorter.

// RequestDue returns when a request must be answered that was received at t:
// so many months later, at the last second of that day in the shop's zone. A
// month ends on the same day of the month, or on the last day of a shorter
// one: 31 January and one month is 28 or 29 February (Regulation 1182/71,
// article 3). Weekends and feasts do not prolong it: earlier is always right.
func RequestDue(t time.Time, months int, zone *time.Location) Time {
	day := t.In(zone)
	last := addMonths(time.Date(day.Year(), day.Month(), day.Day(), 12, 0, 0, 0, time.UTC), months)
	next := last.AddDate(0, 0, 1)
	return At(dayStart(next.Year(), next.Month(), next.Day(), zone).Add(-time.Second))
}

// IncidentDue returns the end of so many running hours from the moment of
// awareness.
func IncidentDue(aware time.Time, hours int) Time {
	return At(At(aware).Add(time.Duration(hours) * time.Hour))
}

// A Clock is something that must be done by a moment.
type Clock struct {
	From time.Time
	Due  time.Time // the last second that is in time; zero when nothing runs
	Done time.Time // zero while it is not done
}

// Running reports whether the clock runs: there is a moment, and it is not
// done.
func (c Clock) Running() bool { return !c.Due.IsZero() && c.Done.IsZero() }

// Overdue reports whether it was done too late, or at now is too late.
func (c Clock) Overdue(now time.Time) bool {
	if c.Due.IsZero() {
		return false
	}
	if !c.Done.IsZero() {
		now = c.Done
	}
	return now.After(c.Due)
}

// Left returns how long there is still time at now; negative when it is over,
// 0 when nothing runs.
func (c Clock) Left(now time.Time) time.Duration {
	if !c.Running() {
		return 0
	}
	return c.Due.Sub(now)
}

// Months returns the number of a duration in months, 0 of any other.
func (k Keep) Months() int {
	if k.unit == 'm' {
		return k.n
	}
	return 0
}

// Hours returns the number of a duration in hours, 0 of any other.
func (k Keep) Hours() int {
	if k.unit == 'h' {
		return k.n
	}
	return 0
}

// After returns the day so much later than d; of a date that day itself.
func (k Keep) After(d Date) Date {
	t, err := d.Start(time.UTC)
	if err != nil {
		return d
	}
	return DateOf(k.From(t, time.UTC), time.UTC)
}
