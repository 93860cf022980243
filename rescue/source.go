// Package rescue gets the content out of a source, healthy or failing, and hands
// it to a sink. It reads no bad sector twice and never hangs on one.
//
//	          Next            ReadAt              Write, Mark
//	Planner ───────▶ Executor ───────▶ Source   Executor ───────▶ Sink
//	   ▲                │ Done
//	   └── the map ◀────┘
//
// The planner decides what is read next and keeps the map; it is pure, so that a
// simulated disk and a real one drive the same code. The executor ([Run]) does
// the waiting: for the source, for the sink, for a read that hangs. A source only
// reads and says honestly what happened. The sink is the vault's writer, of which
// this package knows nothing but two methods.
//
// One order holds throughout: data first, then what is claimed of it. Whatever is
// cut off in the middle, a crash turns "rescued" into "untried" and never the reverse.
package rescue

import (
	"context"
	"time"
)

// Class says what the outcome of a read means for what to do next.
type Class uint8

const (
	// OK is a read that delivered. With fewer sectors than were asked for it is a
	// short read: the rest was not tried.
	OK Class = iota
	// Medium is a sector that the medium cannot give.
	Medium
	// Timeout is a read that did not answer before its deadline.
	Timeout
	// NotReady is a source that is there and has no medium, or is still spinning up.
	NotReady
	// Gone is a source that has vanished.
	Gone
	// SizeChanged is a source that is no longer as large as when it was opened.
	SizeChanged
	// HostError is a failure of host, cable or bridge: it says nothing of the medium.
	HostError
	// Inconsistent is a source that gives other data than before for the same sector.
	Inconsistent
)

// String gives the class in words.
func (c Class) String() string {
	switch c {
	case OK:
		return "ok"
	case Medium:
		return "medium error"
	case Timeout:
		return "timeout"
	case NotReady:
		return "not ready"
	case Gone:
		return "gone"
	case SizeChanged:
		return "size changed"
	case HostError:
		return "host error"
	case Inconsistent:
		return "inconsistent"
	}
	return "unknown"
}

// final reports whether the class ends the run: what follows would be about
// another source than the one that was opened.
func (c Class) final() bool {
	return c == NotReady || c == Gone || c == SizeChanged || c == Inconsistent
}

// Result is the outcome of one read.
type Result struct {
	Good  int64 // sectors delivered, from the first on
	Class Class
	Err   error // what the source said; nil when Class is OK

	// Fail is the first sector known to be unreadable and Lost how many from it on,
	// when the source can tell (sense data: 1). Otherwise Fail is -1 and Lost 0: the
	// fault is somewhere behind the good prefix.
	Fail, Lost int64

	// Known is a failure taken from a record and not from the device. It cost
	// nothing and says nothing about the device's health.
	Known bool

	// The executor fills in the rest.

	Began time.Duration // when the read began, since the start of the run
	Took  time.Duration // how long the source took
	// Late marks a result that the planner did not wait for: of a read given up as
	// Timeout that came back, or of one that the executor made on its own account.
	Late bool
}

// Info describes a source. It does not change while the source is open.
type Info struct {
	Bytes      int64 // size; the last sector may be cut short
	Sector     int   // bytes of a logical sector, the unit of every address
	Physical   int   // bytes of a physical sector, the grain of faults; a multiple of Sector
	Offset     int64 // sectors before the first boundary of a physical sector; mostly 0
	Rotational bool  // has heads that seek
}

// Sectors is the size in logical sectors, the last one perhaps cut short.
func (i Info) Sectors() int64 { return (i.Bytes + int64(i.Sector) - 1) / int64(i.Sector) }

// Grain is the number of logical sectors in a physical one.
func (i Info) Grain() int64 { return int64(max(i.Physical, i.Sector) / i.Sector) }

// Source is a disk, or a file that stands for one.
type Source interface {
	// ReadAt reads len(p) bytes, a whole number of logical sectors within the source,
	// from the given sector. Where the source ends within the last sector the rest of
	// p is set to zero. It never reads more than once what failed, and never reports
	// as Good what it did not get from the source. p is page-aligned when it comes
	// from the executor.
	//
	// A source that can abandon a read does so at the deadline (0: none) or when ctx
	// ends, and reports Timeout. One that cannot may stay away as long as it must: the
	// executor does not wait. Several calls may be under way at once.
	ReadAt(ctx context.Context, p []byte, sector int64, deadline time.Duration) Result
	Info() Info
	// Close puts back what opening changed. Reads that still hang do not keep it waiting.
	Close() error
}

// Sink takes what was rescued. The executor calls it from one goroutine, in the
// order in which the data came.
type Sink interface {
	// Write takes whole sectors from the given one on. p belongs to the sink until it
	// calls release, once, from any goroutine, at the latest when the data is durable.
	// It may block: the executor then reads no further, and goes on answering.
	// An error ends the run.
	Write(ctx context.Context, first int64, p []byte, pass uint8, release func()) error
	// Mark records that n sectors have a status other than rescued; it never hides data.
	Mark(ctx context.Context, first, n int64, status byte, pass uint8) error
}
