package config

import (
	"errors"
	"regexp"
)

var period = regexp.MustCompile(`^(0d|[1-9][0-9]{0,3}[hdwm])$`)

// checkPeriod accepts the relative periods of --keep. A date would make every case
// of the shop end on one day.
func checkPeriod(s string) error {
	if !period.MatchString(s) {
		return errors.New(`must be a period such as "90d", "6w" or "3m"`)
	}
	return nil
}
