package rescue

import (
	"context"
	"errors"
	"time"

	"salvor/rescue/mapfile"
)

// Options adjusts [Run]. The zero value of every field but Now and After is usable.
type Options struct {
	// Now is the clock; it is asked from several goroutines. After is time.After or
	// its like on the same clock. Both are required.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time

	// InFlight is how many reads a healthy source is given at once: 1 to 16, default 2.
	InFlight int
	// Planner makes the planner; nil is [NewPlain] with InFlight.
	Planner func(*mapfile.Map, Info) Planner
	// Progress is told how things stand every Every (default 500 ms) and once at the
	// end. It is called between reads: it must not block.
	Progress func(Status)
	Every    time.Duration
	// Grace is how long, after ctx ends, reads under way and data not yet handed over
	// are waited for. Default 2 s.
	Grace time.Duration
	// GiveUp is how long every reader may hang before the run ends as [NotAnswering].
	// Default 5 min; negative is never.
	GiveUp time.Duration
}

// Stop says why a run ended.
type Stop uint8

const (
	// Finished: the planner had nothing more to ask for. Sectors may still be unread.
	Finished Stop = iota
	// Cancelled: ctx ended.
	Cancelled
	// SourceGone: the source vanished, or has no medium. What was not read is untried.
	SourceGone
	// SourceChanged: the source is not what it was: another size, or other data.
	SourceChanged
	// DeviceFault: the source fails everything at once. The failures that showed it
	// are untried again, since they say nothing about the medium.
	DeviceFault
	// NotAnswering: every reader hangs.
	NotAnswering
	// SinkFailed: the sink refused data; [Run] returns its error.
	SinkFailed
)

// String gives the reason in words.
func (s Stop) String() string {
	switch s {
	case Finished:
		return "finished"
	case Cancelled:
		return "cancelled"
	case SourceGone:
		return "source gone"
	case SourceChanged:
		return "source changed"
	case DeviceFault:
		return "device fault"
	case NotAnswering:
		return "not answering"
	case SinkFailed:
		return "sink failed"
	}
	return "unknown"
}

// Status is how a run stands. Bytes count whole sectors, the last one in full.
type Status struct {
	Stage string // of the newest read
	Pass  uint8
	At    int64 // first sector of the newest read

	Bytes   int64 // of the source
	Rescued int64 // bytes, with those of earlier runs
	Bad     int64 // bytes read alone and lost
	Failed  int64 // bytes in failed blocks that are not yet narrowed
	Untried int64 // bytes
	Areas   int64 // separate bad runs

	Fresh     int64         // bytes rescued by this run
	Rate      float64       // bytes per second, lately
	Elapsed   time.Duration // since the run began
	SinceGood time.Duration // since a sector was last read; Elapsed while none was
	Reads     int64         // reads answered
	Errors    int64         // of them failed
	InFlight  int           // reads under way and in time
	Hung      int           // reads past their deadline and not back
}

// Outcome is what a run achieved.
type Outcome struct {
	Stop   Stop
	Err    error // what the source said last, when it is the reason
	Status       // how things stood at the end
}

// Complete reports whether every sector of the source is rescued.
func (o Outcome) Complete() bool { return o.Untried+o.Failed+o.Bad == 0 }

// ErrOptions is a call of [Run] that cannot work.
var ErrOptions = errors.New("rescue options")

// Run reads src into sink until the planner is satisfied, and keeps m. A run that
// was cut short is resumed by calling Run again with the same map, or one rebuilt
// from what the sink made durable.
//
// The error is the sink's, wrapped with the sectors it was about, or [ErrOptions];
// what happens to the source is in the Outcome, with a nil error. After an error of
// the sink the map no longer claims what the sink did not accept; what it accepted
// and lost, only the sink knows.
//
// Run does not close src. It returns although reads may still hang; those keep
// their buffers and end on their own.
func Run(ctx context.Context, src Source, sink Sink, m *mapfile.Map, o Options) (Outcome, error) {
	return Outcome{}, nil
}
