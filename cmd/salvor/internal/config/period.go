package config

import (
	"errors"
	"strings"
	"time"

	"salvor/custody"
)

// checkPeriod accepts what --keep accepts, save a date, which would make every case
// of the shop end on one day, and a period that exceeds one calendar year whenever it
// begins.
func checkPeriod(s string) error {
	keep, err := custody.ParseKeep(s)
	if err != nil || strings.Contains(s, "-") {
		return errors.New(`must be a period such as "90d", "6w" or "3m"`)
	}
	plainYear := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	if _, err := keep.Deadline(plainYear, plainYear, time.UTC); err != nil {
		return errors.New("longer than one calendar year")
	}
	return nil
}
