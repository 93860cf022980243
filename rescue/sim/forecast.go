package sim

import (
	"time"

	"salvor/rescue"
)

// Forecast says how well a planner has foreseen the end of its plan. It was asked at
// moments spread evenly over the whole run; of a run that did not end nothing is known.
type Forecast struct {
	Asked int // moments
	Known int // of them with an answer
	Held  int // of those with the end between P10 and P90
	Early int // of those with the end before P10
}

// samplesMost is how many moments are kept; beyond, every other one is dropped.
const samplesMost = 512

// forecasts are what a planner foresaw, at equal distances in time.
type forecasts struct {
	samples []sample
	step    time.Duration
	next    time.Duration
}

type sample struct {
	at time.Duration
	rescue.Outlook
}

// ask samples the planner when it is time.
func (f *forecasts) ask(now time.Duration, p rescue.Forecaster) {
	if p == nil || now < f.next {
		return
	}
	if f.step == 0 {
		f.step = time.Second
	}
	if len(f.samples) == samplesMost {
		for i := range samplesMost / 2 {
			f.samples[i] = f.samples[2*i]
		}
		f.samples, f.step = f.samples[:samplesMost/2], f.step*2
	}
	f.samples = append(f.samples, sample{now, p.Outlook()})
	f.next = now + f.step
}

// judge compares what was foreseen with the end.
func (f *forecasts) judge(end time.Duration) (out Forecast) {
	for _, s := range f.samples {
		left := end - s.at
		out.Asked++
		if s.P90 == rescue.Unknown {
			continue
		}
		out.Known++
		switch {
		case left < s.P10:
			out.Early++
		case left <= s.P90:
			out.Held++
		}
	}
	return out
}
