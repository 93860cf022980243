package device

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"salvor/wipe"
	"salvor/wipe/internal/kernel"
)

// sanitizer makes a drive sanitize itself.
type sanitizer interface {
	// start fails with errAborted or errNoWay when the drive did not begin.
	start(Action) error
	status() (sanitizing, error)
	// leave brings a drive out of the state in which it stays after a sanitize that
	// failed, and in which it takes no writes.
	leave() error
}

// sanitizing is what a drive says about it.
type sanitizing struct {
	state    state
	progress float64 // 0 to 1
}

type state int

const (
	idle state = iota // nothing is going on, and nothing is said of an earlier one
	running
	done
	failed
)

func (d *Device) sanitizer() sanitizer {
	switch {
	case d.id.Transport == "nvme":
		return nvmeSanitizer{d}
	case d.id.Bridged():
		return nil
	case d.speaksSCSI():
		return scsiSanitizer{d}
	}
	return ataSanitizer{d}
}

const (
	pollEvery = 5 * time.Second
	// maxSilent is how often in a row a drive may not answer while it sanitizes itself.
	maxSilent = 12
)

// sanitize asks the drive and waits until it says that it is done. It may be cancelled
// and taken up again: a drive goes on by itself, also over a power cut.
func (r *run) sanitize(ctx context.Context) error {
	f := &r.job.Sanitize
	s := r.d.sanitizer()
	if s == nil {
		f.Outcome = Refused
		return nil
	}
	if !f.Accepted {
		// What the log says of an earlier sanitize is not about this one. Only one that
		// is running can be: a killed run may have begun it.
		before, err := s.status()
		switch {
		case err != nil:
			if gone := r.d.still(); gone != nil {
				return fmt.Errorf("sanitize %s: %w", r.d.id.Name, gone)
			}
			f.Outcome = Refused // what cannot be watched is not begun
			return nil
		case before.state == running && !r.resumed:
			return &RefusedError{Path: r.d.path, By: "the drive is sanitizing itself", Err: ErrInUse}
		case before.state == running:
		default:
			switch err := s.start(f.Action); {
			case errors.Is(err, errAborted), errors.Is(err, errNoWay):
				f.Outcome = Refused
				return nil
			case err != nil:
				if gone := r.d.still(); gone != nil {
					err = gone
				}
				return fmt.Errorf("sanitize %s: %w", r.d.id.Name, err)
			}
		}
		f.Accepted = true
		if err := r.save(ctx); err != nil {
			return err
		}
	}
	silent := 0
	for {
		now, err := s.status()
		switch {
		case err != nil:
			if gone := r.d.still(); gone != nil {
				return fmt.Errorf("sanitize %s: %w", r.d.id.Name, gone)
			}
			if silent++; silent > maxSilent {
				return r.notSanitized(s)
			}
		case now.state == done:
			f.Outcome = Succeeded
			return r.lookForOld(ctx)
		case now.state != running:
			return r.notSanitized(s)
		default:
			silent = 0
			r.tell(Progress{Phase: "sanitize", Done: int64(now.progress * float64(r.d.id.Bytes)), Total: r.d.id.Bytes})
		}
		select {
		case <-r.o.After(pollEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// notSanitized records that the drive failed, and makes it take writes again: the pass
// goes on, so that as little as can be is left. Whether it does shows in the pass.
func (r *run) notSanitized(s sanitizer) error {
	r.job.Sanitize.Outcome = Failed
	if err := s.leave(); err != nil {
		if gone := r.d.still(); gone != nil {
			return fmt.Errorf("sanitize %s: %w", r.d.id.Name, gone)
		}
	}
	return nil
}

// maxMarkers is how many sectors of the old content are remembered.
const maxMarkers = 256

// sample remembers sectors of the old content, spread over the device, by their
// digests. What is too regular to be told from an erased sector is left out.
func (r *run) sample(ctx context.Context) error {
	return r.sectors(ctx, maxMarkers, func(off int64, p []byte) {
		var seen [256]bool
		distinct := 0
		for _, b := range p {
			if !seen[b] {
				seen[b] = true
				distinct++
			}
		}
		if distinct >= 12 {
			r.job.Markers = append(r.job.Markers, Marker{off, wipe.Digest(sha256.Sum256(p))})
		}
	})
}

// sectors reads up to n sectors, spread evenly. What cannot be read is left out.
func (r *run) sectors(ctx context.Context, n int64, see func(off int64, p []byte)) error {
	size, sector := r.d.id.Bytes, int64(r.d.id.Sector)
	n = min(n, size/sector)
	mem, err := kernel.NewMemory(1, int(sector))
	if err != nil {
		return err
	}
	defer mem.Free()
	for i := range n {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		off := size / sector * i / n * sector
		if err := r.d.read(mem[0], off); err != nil {
			if gone := r.d.still(); gone != nil {
				return gone
			}
			continue
		}
		see(off, mem[0])
	}
	return nil
}

// lookForOld reads the remembered sectors again.
func (r *run) lookForOld(ctx context.Context) error {
	f := &r.job.Sanitize
	f.Looked, f.Left = 0, 0
	mem, err := kernel.NewMemory(1, max(r.d.id.Sector, 4096))
	if err != nil {
		return err
	}
	defer mem.Free()
	for _, m := range r.job.Markers {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p := mem[0][:r.d.id.Sector]
		if err := r.d.read(p, m.Off); err != nil {
			if gone := r.d.still(); gone != nil {
				return gone
			}
			f.Looked++ // a drive may give an error for what it erased
			continue
		}
		f.Looked++
		if wipe.Digest(sha256.Sum256(p)) == m.SHA256 {
			f.Left++
		}
	}
	return nil
}
