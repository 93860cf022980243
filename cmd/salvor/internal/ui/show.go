package ui

import (
	"fmt"
	"math"
	"time"
)

// Size shows a number of bytes in decimal units, as disks are sold: "512 B",
// "1.5 MB", "2.0 TB".
func Size(n int64) string {
	if n < 0 {
		return "?"
	}
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	units := []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	v := float64(n) / 1000
	i := 0
	for v >= 999.95 && i < len(units)-1 {
		v /= 1000
		i++
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// Rate shows bytes per second: "140.2 MB/s".
func Rate(bytesPerSecond float64) string {
	if math.IsNaN(bytesPerSecond) || bytesPerSecond < 0 || bytesPerSecond > math.MaxInt64 {
		return "? B/s"
	}
	return Size(int64(bytesPerSecond)) + "/s"
}

// Duration shows how long something took or will take, in its two largest units:
// "45 s", "12 min 05 s", "3 h 20 min", "2 d 4 h".
func Duration(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %02d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

// Percent shows done of total with one decimal, and 100.0 % only when all is done.
func Percent(done, total int64) string {
	if total <= 0 || done >= total {
		return "100.0 %"
	}
	return fmt.Sprintf("%.1f %%", math.Min(99.9, 100*float64(max(done, 0))/float64(total)))
}

// Date shows the day of at in the shop's zone: "2026-11-21"; "-" when at is zero.
func (t *Terminal) Date(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.In(t.Zone).Format("2006-01-02")
}

// DateTime shows at to the minute in the shop's zone: "2026-11-21 19:05+01:00"; "-"
// when at is zero.
func (t *Terminal) DateTime(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.In(t.Zone).Format("2006-01-02 15:04-07:00")
}

// DaysLeft counts the calendar days in the shop's zone from now to the day of
// deadline: 0 is today, negative is overdue.
func (t *Terminal) DaysLeft(deadline time.Time) int {
	noon := func(at time.Time) time.Time {
		y, m, d := at.In(t.Zone).Date()
		return time.Date(y, m, d, 12, 0, 0, 0, time.UTC)
	}
	return int(noon(deadline).Sub(noon(t.now())) / (24 * time.Hour))
}
