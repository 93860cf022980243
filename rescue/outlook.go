package rescue

import "time"

// Tiers is how many there are.
const Tiers = int(TierFree) + 1

// Unknown is a time left of which nothing can be said.
const Unknown time.Duration = -1

// Outlook is what a planner knows of the rest of its plan. The zero value says nothing.
type Outlook struct {
	// Tiers counts the bytes of every tier, by [Tier]. All are zero when the planner
	// knows no tiers.
	Tiers [Tiers]TierCount

	// Stage is what the plan is at, in words, Step its number from 1 on, and Steps how
	// many there are; 0 when there is no such plan. Steps that find nothing to do are passed.
	Stage string
	Step  int
	Steps int

	// The time left until the plan is done: in one case of ten it is less than P10, in
	// half of them less than P50, and in nine of ten less than P90. So the range from
	// P10 to P90 holds the end four times of five. All three are [Unknown] until 2 % of
	// what the plan asks for was read, and while the source does not answer.
	P10, P50, P90 time.Duration

	// Advice is what a person should consider, in words, or empty.
	Advice string
}

// TierCount is how one tier stands. Bytes count whole sectors.
type TierCount struct {
	Bytes   int64 // of the tier
	Rescued int64
	Lost    int64 // failed alone: unread for good
}

// Forecaster is a [Planner] that knows how its plan stands. The executor asks about
// twice a second, in the goroutine that plans.
type Forecaster interface {
	Outlook() Outlook
}

// nothingNew is how long nothing may be rescued before a person is asked to think.
const nothingNew = 30 * time.Minute

// adviceNothingNew is what is said then.
const adviceNothingNew = "no new data for 30 min: stop here?"

// outlook is what the planner says of the rest, and what only the executor knows.
func (r *run) outlook(s Status) Outlook {
	o := Outlook{P10: Unknown, P50: Unknown, P90: Unknown}
	if f, ok := r.planner.(Forecaster); ok {
		o = f.Outlook()
	}
	if s.Hung > 0 && s.InFlight == 0 {
		o.P10, o.P50, o.P90 = Unknown, Unknown, Unknown
	}
	if s.SinceGood >= nothingNew && o.Advice == "" {
		o.Advice = adviceNothingNew
	}
	return o
}
