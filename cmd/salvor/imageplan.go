package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// planFlags say how hard and how long a disk is tried, and what first.
type planFlags struct {
	only      string
	first     []string
	profile   string
	retries   int
	stopAfter time.Duration
}

// maxRetries is how often sectors that failed are tried again at most in one run.
const maxRetries = 100

func (o *planFlags) add(f *pflag.FlagSet) {
	f.StringVar(&o.only, "only", "all", "used leaves free space out: less wear, less time, less personal data; it is recorded")
	f.StringArrayVar(&o.first, "first", nil, "rescue this folder or file, a `PATH`, before all others, as /Users/an/Documents; may be given several times")
	f.StringVar(&o.profile, "profile", "normal", "gentle leaves alone what costs the disk much and brings little; the image can be gone on with")
	f.IntVar(&o.retries, "retries", 0, "try sectors that failed this many times more in the end")
	f.DurationVar(&o.stopAfter, "stop-after", 0, "end after 90m or 8h and keep the image open; repeating the command goes on")
}

// check refuses values out of range.
func (o *planFlags) check() error {
	switch {
	case o.only != "all" && o.only != "used":
		return usage("image", "--only: all or used", "")
	case o.profile != "normal" && o.profile != "gentle":
		return usage("image", "--profile: gentle or normal", "")
	case o.retries < 0 || o.retries > maxRetries:
		return usage("image", fmt.Sprintf("--retries: 0 to %d", maxRetries), "")
	case o.stopAfter < 0:
		return usage("image", "--stop-after: a duration such as 90m or 8h", "")
	}
	for _, path := range o.first {
		if path == "" {
			return usage("image", "--first: an empty path", "")
		}
	}
	return nil
}

func (o *planFlags) used() bool { return o.only == "used" }

// inFlight is how many reads a healthy disk is given at once.
const inFlight = 2

// timeIsUp reports whether --stop-after has ended the run.
func (g *imaging) timeIsUp() bool {
	return g.o.plan.stopAfter > 0 && g.now().Sub(g.reading) >= g.o.plan.stopAfter
}
