package triage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"salvor/rescue"
	"salvor/rescue/layout"
	"salvor/rescue/mapfile"
)

// PassAgain is the pass of metadata that is read a second time, for the scratch alone.
// It never reaches the image.
const PassAgain = 200

// Options adjusts [New]. Only Dir has no default.
type Options struct {
	// Dir is where the scratch lies: a folder on a local disk of the station.
	Dir string
	// Cap is how many bytes the scratch may hold; default 4 GiB. Reserve is how many must
	// stay free on its file system, for others; default 512 MiB.
	Cap, Reserve int64
	// First are paths whose files are read right after the metadata, as
	// [layout.Options.First] spells them.
	First []string
	// Again is how many bytes of metadata may be read a second time; default 48 MiB,
	// negative is none.
	Again int64
	// Known is what an earlier run found out. A run that was given settled tiers looks for
	// no others and reads nothing again, unless it has to find First.
	Known *Tiers
	// Now is the clock, by which scans are kept to a tenth of the time; without it they are
	// not. After is time.After or its like on the same clock. Patience is how long reading
	// waits for a scan before it goes on without: default 30 s. Without After it does not
	// wait at all.
	Now      func() time.Time
	After    func(time.Duration) <-chan time.Time
	Patience time.Duration
}

// Defaults of [Options].
const (
	defaultCap      = 4 << 30
	defaultReserve  = 512 << 20
	defaultAgain    = 48 << 20
	defaultPatience = 30 * time.Second
)

// ErrNoLayout is why there is no report of damaged files: nothing is known of the
// disk's content, since triage is switched off.
var ErrNoLayout = errors.New("the file systems of the disk were not read")

// Triage is the triage of one disk. It outlives the runs over the disk: one that is
// begun again when a disk comes back goes on with the same. Its methods may be called
// from several goroutines.
type Triage struct {
	info    rescue.Info
	o       Options
	ctx     context.Context
	cancel  context.CancelCauseFunc
	scratch *scratch // nil when it could not be made

	mu      sync.Mutex
	err     error         // why triage is off
	pending []span        // read, and to come through the sink before the next scan
	arrived chan struct{} // something has come through the sink
	wake    func()        // of the planner's driver; nil when it has none

	// In sectors; Rescued is what belongs to the set.
	keep     *mapfile.Map // goes into the scratch
	want     *mapfile.Map // what the newest scan wanted and has not come since; nil before the first
	recalled *mapfile.Map // was read again, or tried to
	reached  *mapfile.Map // was jumped over, and tried by itself: Rescued
	failures int          // of that which may yet fail

	fresh   int64  // sectors that came since the newest scan, of those it wanted
	missing int64  // sectors that it wanted
	again   []span // sectors to be read again
	jumped  []span // sectors that were jumped over, to be read by themselves
	left    int64  // bytes that may be
	guess   int64  // bytes that may yet be kept without being wanted

	running sync.WaitGroup
	scan    *scanning // under way; nil when none is
	scans   int       // begun so far
	ended   time.Time // of the newest, and how long it took
	took    time.Duration

	layout  *layout.Layout // what the newest scan found; nil before the first
	news    bool           // nothing was concluded from it yet
	plan    []rescue.Region
	first   []rescue.Region
	settled bool // what is wanted is bad
}

var errClosed = errors.New("triage has ended")

// New prepares the triage of a source. It does not fail: what goes wrong here, as later
// on, switches triage off, and [Triage.Err] tells it.
func New(info rescue.Info, o Options) *Triage {
	def := func(v *int64, to int64) {
		if *v == 0 {
			*v = to
		}
	}
	def(&o.Cap, defaultCap)
	def(&o.Reserve, defaultReserve)
	def(&o.Again, defaultAgain)
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	t := &Triage{
		info: info, o: o, left: max(o.Again, 0), guess: guessMost, arrived: make(chan struct{}, 1),
		keep: mapfile.New(info.Sectors()), recalled: mapfile.New(info.Sectors()),
		reached: mapfile.New(info.Sectors()), failures: reachFailures,
	}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	if k := o.Known; k != nil && k.Sectors == info.Sectors() && k.Sector == info.Sector {
		t.plan, t.settled = slices.Clone(k.Regions), k.Settled
	} else {
		t.o.Known = nil
	}
	f, err := newFile(o.Dir)
	if err != nil {
		t.off(err)
		return t
	}
	if t.scratch, err = newScratch(f, info, o.Cap, o.Reserve); err != nil {
		f.Close()
		t.off(err)
	}
	return t
}

// guessMost is how many bytes are kept because a scan that is under way, or the first one,
// might want them.
const guessMost = 256 << 20

// Err says why triage is switched off; nil while it is on. The tiers that are known by
// then stay in use.
func (t *Triage) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Layout is what the newest scan made of the disk, nil while there is none. It must not
// be changed.
func (t *Triage) Layout() *layout.Layout {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.layout
}

// Tiers is what is known by now of what lies where, to be saved for the next run. Nil
// when nothing is.
func (t *Triage) Tiers() *Tiers {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.plan == nil {
		return nil
	}
	return &Tiers{Sector: t.info.Sector, Sectors: t.info.Sectors(), Regions: t.plan, Settled: t.settled}
}

// NotFound gives those of [Options.First] that no volume shows, as they were spelled.
// Before all metadata is rescued it may name some that do exist.
func (t *Triage) NotFound() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for i, path := range t.o.First {
		if t.layout == nil || !t.layout.Found[i] {
			out = append(out, path)
		}
	}
	return out
}

// Close ends a scan under way and lets go of the scratch and its key.
func (t *Triage) Close() error {
	t.cancel(errClosed)
	t.running.Wait()
	if t.scratch == nil {
		return nil
	}
	return t.scratch.close()
}

// off switches triage off.
func (t *Triage) off(err error) {
	t.mu.Lock()
	first := t.err == nil
	if first {
		t.err = fmt.Errorf("triage: %w", err)
	}
	t.mu.Unlock()
	if first {
		t.cancel(err)
		if t.scratch != nil {
			_ = t.scratch.close() // it has failed already
		}
	}
}

// isOff reports whether triage is switched off.
func (t *Triage) isOff() bool { return t.ctx.Err() != nil }

// span is a run of sectors, half open.
type span struct{ first, end int64 }
