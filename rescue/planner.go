package rescue

import (
	"time"

	"salvor/rescue/mapfile"
)

// Read is one read that a planner asks for.
type Read struct {
	First, Sectors int64
	Pass           uint8         // kept with the data in the image
	Stage          string        // the same for people: "sweep", "refine"
	Deadline       time.Duration // when to give it up; 0 is never
}

// End is the first sector behind the read.
func (r Read) End() int64 { return r.First + r.Sectors }

// MaxRead is the longest read a planner may ask for, in bytes. It is also the
// longest record of an image.
const MaxRead = 1 << 20

// Planner decides what is read next. It is pure and deterministic: the same calls
// in the same order give the same reads. It does no I/O and has no clock; time
// reaches it in the results. It owns the map while a run lasts.
//
// Only one goroutine calls it.
type Planner interface {
	// Next gives a read that may be started now, beside those under way. False means:
	// not before another result is in; or, when none is under way, that all is done.
	Next() (Read, bool)
	// Done takes the outcome of a read, enters it in the map, and returns the runs
	// whose status it changed to anything but rescued, in order, to be recorded.
	//
	// Every read from Next is answered once with Late unset. Late results may come
	// besides, for any range at any time; their good sectors count, and they never
	// make a known sector worse.
	Done(Read, Result) []mapfile.Run
}
