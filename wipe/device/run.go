package device

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"salvor/wipe"
	"salvor/wipe/internal/kernel"
)

// Options are what a run needs from its caller.
type Options struct {
	Journal Journal
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time
	// Gate is called immediately before the first write of a run: it re-reads the
	// holds. An error stops the run with nothing more destroyed. Nil is no gate.
	Gate func(ctx context.Context) error
	// Progress is told how far the run has come; it must return soon.
	Progress func(Progress)

	stretch int64 // bytes between two checkpoints; tests only, 0 is distance
}

// Progress is how far a run has come.
type Progress struct {
	Phase string // "sanitize", "overwrite", "read back"
	Done  int64  // bytes of everything that is to be overwritten and read back; of a sanitize, of the device
	Total int64
	// Left is how long the rest should take by what was measured so far; 0 when not
	// known. It counts on the inner tracks of a hard disk being half as fast.
	Left time.Duration
}

// run is one walk of a job over its device.
type run struct {
	d       *Device
	job     *Job
	o       Options
	resumed bool

	mu    sync.Mutex
	pace  pace
	phase string
}

// Run wipes a device by its job, from wherever the job stands, and returns the
// evidence gathered so far, also beside an error.
//
// Errors leave the job to be run again: a cancelled ctx, a failed save, [ErrVanished].
// [ErrOther] says that this is not the job's device, or not any more. Bad sectors and
// differences are no errors: they are in the evidence.
func Run(ctx context.Context, d *Device, j *Job, o Options) (Evidence, error) {
	r := &run{d: d, job: j, o: o}
	err := r.walk(ctx)
	return j.Evidence(), err
}

func (r *run) walk(ctx context.Context) error {
	j := r.job
	if err := r.fits(); err != nil {
		return err
	}
	if j.Stage == Verified || j.Stage == Attested {
		return nil
	}
	if r.o.Gate != nil {
		if err := r.o.Gate(ctx); err != nil {
			return fmt.Errorf("wipe refused: %w", err)
		}
	}
	if err := r.d.reread(); err != nil {
		return fmt.Errorf("look at %s again: %w", r.d.id.Name, err)
	}
	r.resumed = j.Stage != Planned
	if r.resumed {
		if err := r.recognise(ctx); err != nil {
			return err
		}
		j.Resumed++
		j.Device.Name, j.Device.Seq, j.Device.ByID = r.d.id.Name, r.d.id.Seq, r.d.id.ByID
	} else {
		if r.d.id.Seq != j.Device.Seq || r.d.id.Name != j.Device.Name {
			// Somebody confirmed the disk that was there, and nothing of it is known yet.
			return fmt.Errorf("%s was plugged in anew before anything was done: %w", r.d.id.Name, ErrOther)
		}
		if err := r.sample(ctx); err != nil {
			return fmt.Errorf("look at the old content: %w", err)
		}
		j.Begun = r.o.Now().UTC()
		next := Overwriting
		if j.Sanitize.Action != "" {
			next = Sanitizing
		}
		if err := r.advance(ctx, next); err != nil {
			return err
		}
	}
	if j.Stage == Sanitizing {
		if j.Sanitize.Outcome == NotAsked {
			if err := r.sanitize(ctx); err != nil {
				return err
			}
		}
		if err := r.advance(ctx, Overwriting); err != nil {
			return err
		}
	}
	r.begin()
	if j.Stage == Overwriting {
		for j.Pass < j.Passes {
			if err := r.overwrite(ctx); err != nil {
				return err
			}
		}
		j.Turned = r.o.Now().UTC()
		if err := r.advance(ctx, Reading); err != nil {
			return err
		}
	}
	if err := r.readBack(ctx); err != nil {
		return err
	}
	if j.Discard && j.Discarded == NotDiscarded {
		j.Discarded = WasDiscarded
		if err := r.d.discard(); err != nil {
			j.Discarded = NoDiscard
		}
	}
	j.Ended = r.o.Now().UTC()
	if err := r.advance(ctx, Verified); err != nil {
		return err
	}
	r.d.forget()
	return nil
}

func (r *run) fits() error {
	j := r.job
	switch {
	case j.Version != jobVersion || j.Kind != JobKind:
		return fmt.Errorf("version %d: %w", j.Version, ErrJob)
	case j.StreamKey == wipe.Key{}:
		return fmt.Errorf("it has no stream key: %w", ErrJob)
	case j.Passes < 1 || j.Pass < 0 || j.Pass > j.Passes || j.Done < 0 || j.Done > j.Device.Bytes:
		return fmt.Errorf("it makes no sense: %w", ErrJob)
	case r.o.Journal == nil || r.o.Now == nil || r.o.After == nil:
		return fmt.Errorf("no journal or no clock: %w", ErrJob)
	case !j.Device.Same(r.d.id):
		return fmt.Errorf("%s is not the device of the job: %w", r.d.id.Name, ErrOther)
	}
	switch j.Stage {
	case Planned, Sanitizing, Overwriting, Reading, Verified, Attested:
		return nil
	}
	return fmt.Errorf("unknown stage: %w", ErrJob)
}

// recognise makes sure that what an interrupted run wrote is still on the device. A
// single sector of it is proof enough: nobody else has the key.
func (r *run) recognise(ctx context.Context) error {
	j := r.job
	stream, to := r.stream(j.Pass), j.Done
	switch {
	case j.Stage == Reading, j.Pass >= j.Passes:
		stream, to = r.stream(j.Passes-1), j.Device.Bytes
	case to == 0 && j.Pass > 0:
		stream, to = r.stream(j.Pass-1), j.Device.Bytes
	}
	if to == 0 {
		return r.recogniseOld(ctx)
	}
	sector := int64(r.d.id.Sector)
	const tries = 64
	mem, err := kernel.NewMemory(1, int(sector))
	if err != nil {
		return err
	}
	defer mem.Free()
	for i := range min(tries, to/sector) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		off := to / sector * i / min(tries, to/sector) * sector
		if err := r.d.read(mem[0], off); err != nil {
			if gone := r.d.still(); gone != nil {
				return gone
			}
			continue
		}
		if stream.Different(mem[0], off) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%s does not hold what the job wrote: %w", r.d.id.Name, ErrOther)
}

// recogniseOld makes sure that a device of which nothing is known to be overwritten is the
// one that was confirmed. Two cheap bridges may have the same serial number and size; what
// the device held before, or the first of what was written to it, tells them apart.
func (r *run) recogniseOld(ctx context.Context) error {
	j := r.job
	switch s := j.Sanitize; {
	case r.d.id.Seq != 0 && r.d.id.Seq == j.Device.Seq:
		return nil // it was not away
	case s.Action != "" && s.Outcome != Refused:
		// What it held may be gone. It is attached directly, and tells its own number.
		return nil
	}
	mem, err := kernel.NewMemory(1, r.d.id.Sector)
	if err != nil {
		return err
	}
	defer mem.Free()
	stream, same, other := r.stream(j.Pass), 0, 0
	// mine reads a sector, and tells whether this job wrote it: nobody else has the key.
	mine := func(off int64) (is bool, held wipe.Digest, err error) {
		if ctx.Err() != nil {
			return false, held, context.Cause(ctx)
		}
		if err := r.d.read(mem[0], off); err != nil {
			return false, held, r.d.still() // a bad sector tells nothing
		}
		held = sha256.Sum256(mem[0])
		return stream.Different(mem[0], off) == 0, held, nil
	}
	for off := int64(0); off < min(firstStretch, r.d.id.Bytes); off += chunkSize {
		if is, _, err := mine(off); is || err != nil {
			return err
		}
	}
	for _, m := range j.Markers {
		switch is, held, err := mine(m.Off); {
		case is || err != nil:
			return err
		case held == m.SHA256:
			same++
		case held != wipe.Digest{}:
			other++
		}
	}
	if same > 0 && other == 0 {
		return nil
	}
	return fmt.Errorf("%s does not hold what the disk held that was confirmed: %w", r.d.id.Name, ErrOther)
}

// stream is what a pass writes. The last one writes lane 0, which is what an attest
// publishes; the ones before have lanes of their own, so that none repeats another.
func (r *run) stream(pass int) *wipe.Stream {
	return wipe.NewStream(r.job.StreamKey, uint64(r.job.Passes-1-pass))
}

// overwrite makes one pass, from where an earlier run stopped.
func (r *run) overwrite(ctx context.Context) error {
	j := r.job
	p, err := r.newPass()
	if err != nil {
		return err
	}
	w := &writing{d: r.d, stream: r.stream(j.Pass)}
	p.work, p.told = w.chunk, func(n int64) { r.moved("overwrite", n) }
	p.durable = func(to int64) error {
		if err := r.d.flush(); err != nil {
			if gone := r.d.still(); gone != nil {
				return gone
			}
			if kernel.Sort(err) != kernel.Medium {
				return fmt.Errorf("flush %s: %w", r.d.id.Name, err)
			}
			// What was written since the last flush may be lost, or not. The reading
			// back compares it, and the evidence does not count it as written.
			j.Unwritten.add(wipe.Span{Off: j.Done, Len: to - j.Done}, to-j.Done, 0)
			_ = w.taken(to)
		}
		if err := r.d.still(); err != nil {
			return err
		}
		if err := r.d.alone(); err != nil {
			return err
		}
		for _, s := range w.taken(to) {
			j.Unwritten.add(s, s.Len, 0)
		}
		j.Done = to
		return r.save(ctx)
	}
	if err := p.run(ctx, j.Done); err != nil {
		return err
	}
	if j.Pass+1 < j.Passes {
		j.Skipped += j.Unwritten.Bytes
		j.Unwritten, j.Done = Ranges{}, 0
	}
	j.Pass++
	return r.save(ctx)
}

// readBack compares every byte. It begins at the beginning in every run: between two
// runs nobody held the device. What somebody wrote while it was read is known to nobody:
// then it fails, and the next run reads again.
func (r *run) readBack(ctx context.Context) error {
	p, err := r.newPass()
	if err != nil {
		return err
	}
	c := &reading{d: r.d, stream: r.stream(r.job.Passes - 1)}
	c.facts.PastCache = r.d.direct()
	p.work, p.told = c.chunk, func(n int64) { r.moved("read back", n) }
	p.durable = func(to int64) error {
		c.settle(to)
		if err := r.d.still(); err != nil {
			return err
		}
		return r.d.alone()
	}
	written := r.d.n.Written()
	if err := p.run(ctx, 0); err != nil {
		return err
	}
	if now := r.d.n.Written(); now != written {
		return &RefusedError{Path: r.d.path, By: "something wrote to it while it was read back", Err: ErrInUse}
	}
	r.job.Read = c.facts
	return nil
}

// advance records that a stage is reached. Until it is recorded it is not reached.
func (r *run) advance(ctx context.Context, to Stage) error {
	from := r.job.Stage
	r.job.Stage = to
	if err := r.save(ctx); err != nil {
		r.job.Stage = from
		return err
	}
	return nil
}

// save writes the journal, also when the run was told to stop: what was done is to be
// known.
func (r *run) save(ctx context.Context) error {
	if err := r.d.before.call(step{act: actSave}, func() error {
		return r.o.Journal.Save(context.WithoutCancel(ctx), r.job)
	}); err != nil {
		return fmt.Errorf("save the journal of the wipe: %w", err)
	}
	return nil
}

// begin sets the measuring of the pace off.
func (r *run) begin() {
	j := r.job
	r.pace = pace{size: j.Device.Bytes, passes: j.Passes, slows: j.Device.Rotating == wipe.Yes}
	r.pace.done = int64(min(j.Pass, j.Passes)) * j.Device.Bytes
	if j.Pass < j.Passes {
		r.pace.done += j.Done
	}
}

// moved counts bytes that were overwritten or read back.
func (r *run) moved(phase string, n int64) {
	if r.o.Progress == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase != phase {
		r.phase = phase
		r.pace.mark(r.o.Now())
	}
	r.pace.done += n
	left := r.pace.left(r.o.Now())
	r.o.Progress(Progress{Phase: phase, Done: r.pace.done, Total: r.pace.total(), Left: left})
}

func (r *run) tell(p Progress) {
	if r.o.Progress != nil {
		r.o.Progress(p)
	}
}
