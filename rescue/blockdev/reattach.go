package blockdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"salvor/rescue"
	"salvor/rescue/blockdev/sysblock"
)

// What [Source.Reattach] may come to.
var (
	// ErrAway is a disk that has not come back.
	ErrAway = errors.New("not back")
	// ErrOtherDisk is a disk that says it is the same and is not: its size or what it
	// holds differs. Nothing may be read from it into the same image.
	ErrOtherDisk = errors.New("not the disk that was opened")
	// ErrNoSerial is a disk that has no serial number to find it by, and of which too
	// little is known to know it by what it holds.
	ErrNoSerial = errors.New("has no serial number to know it by")
)

const (
	// defaultWait is how long a disk may stay away.
	defaultWait = 2 * time.Minute
	// rescan is how often it is looked for meanwhile. Looking asks the kernel, not the disks.
	rescan = 500 * time.Millisecond
)

// candidate is a device that says it is the one looked for.
type candidate struct {
	name   string
	proof  proof // what it takes to trust it
	attach func() (*attachment, error)
}

// Reattach goes on with a disk that was gone, under whatever name it is back: the
// disk with the same serial number and size of which three sectors, read well
// before, read the same again. It waits for it up to [Options.Wait]. A disk that
// never went away, or that the kernel had given up, is tried first. After nil, reads
// go to the disk, protected and set as by [Open]; [Source.Identity] tells its new name.
//
// A disk without a serial number is known by what it holds: of all that came the same
// way and have its name and size, exactly one must give the same for 16 sectors that
// say something, in all four quarters of the disk. So it is not taken back by itself
// before most of it was read ([ErrNoSerial]): two sticks written by one machine begin
// alike.
//
// Only reads begun after it are about the disk as it is now; others may still fail
// with [rescue.Gone].
//
// It fails with [ErrOtherDisk] when the disk must not be trusted; with [ErrAway] when
// it did not come, [ErrNoSerial] when it could not be recognised, or with the error
// of ctx. It may then be called again, unless the source is a file or closed. Until it
// succeeds every read says Gone.
func (s *Source) Reattach(ctx context.Context) error {
	s.attaching.Lock()
	defer s.attaching.Unlock()
	if err := s.attachable(); err != nil {
		return err
	}
	limit := s.limit()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	canaries := s.canaries()
	if a := s.attached(); a != nil && a.alive(s.id.Bytes) {
		got := make(chan alike, 1)
		go func() {
			is, _ := a.compare(ctx, canaries, bySerial)
			got <- is
		}()
		select {
		case is := <-got:
			switch is {
			case same:
				return nil
			case other:
				return fmt.Errorf("%s: %w", s.id.Path, ErrOtherDisk)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit:
			return fmt.Errorf("%s: %w: it does not answer", s.id.Path, ErrAway)
		}
	}
	return s.again(ctx, canaries, limit)
}

// Reopen closes the disk and opens it again, as Reattach does with one that was away:
// the same disk, by the same proof, or none. Some disks and bridges are slow from some
// moment on until that is done. It is for when no read is under way: one that hangs
// holds the disk, and then Reopen waits for it as for a disk that is away. Its errors
// are those of Reattach, and Reattach may follow; a file gives [errors.ErrUnsupported].
func (s *Source) Reopen(ctx context.Context) error {
	s.attaching.Lock()
	defer s.attaching.Unlock()
	if s.open == nil {
		return fmt.Errorf("%s: a file: %w", s.id.Path, errors.ErrUnsupported)
	}
	if err := s.attachable(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return s.again(ctx, s.canaries(), s.limit())
}

// attachable is an error when the source is none that can be attached again.
func (s *Source) attachable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("%s: %w", s.id.Path, os.ErrClosed)
	case s.open == nil:
		return fmt.Errorf("%s: a file: %w", s.id.Path, ErrAway)
	}
	return nil
}

// limit is when the disk has been waited for long enough; nil is without a clock.
func (s *Source) limit() <-chan time.Time {
	if s.o.After == nil {
		return nil
	}
	wait := s.o.Wait
	if wait <= 0 {
		wait = defaultWait
	}
	return s.o.After(wait)
}

// again detaches, and attaches the disk that is the same as soon as it is there.
func (s *Source) again(ctx context.Context, canaries []sample, limit <-chan time.Time) error {
	err := s.leave(false)
	for {
		found := make(chan *attachment)
		lost := make(chan error, 1)
		go func() {
			a, err := s.find(ctx, canaries)
			if err != nil {
				lost <- err
				return
			}
			select {
			case found <- a:
			case <-ctx.Done(): // it came too late
				_ = a.close()
			}
		}()
		var next <-chan time.Time
	waiting:
		for {
			select {
			case a := <-found:
				s.mu.Lock()
				s.at, s.seq = a, a.seq
				s.mu.Unlock()
				return nil
			case err = <-lost:
				if errors.Is(err, errCanary) || errors.Is(err, ErrNoSerial) {
					return fmt.Errorf("%s: %w", s.id.Path, err)
				}
				if s.o.After == nil {
					return fmt.Errorf("%s: %w: %w", s.id.Path, ErrAway, err)
				}
				next = s.o.After(rescan)
			case <-next:
				break waiting
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-limit:
				if err == nil {
					err = errors.New("it does not answer")
				}
				return fmt.Errorf("%s: %w: %w", s.id.Path, ErrAway, err)
			}
		}
	}
}

var (
	errNowhere = errors.New("no disk has its serial number and size")
	errCanary  = fmt.Errorf("%w: it holds other data", ErrOtherDisk)
)

// find attaches the disk that is the same, if it is there, and alone.
func (s *Source) find(ctx context.Context, canaries []sample) (found *attachment, err error) {
	list, err := s.open()
	if err != nil {
		return nil, err
	}
	err = errNowhere
	if s.id.Serial == "" && len(list) == 0 && !byContent.possible(canaries, s.id) {
		return nil, ErrNoSerial // whatever will come
	}
	for _, c := range list {
		a, e := c.attach()
		if e != nil {
			err = e // in use by something that took it up as soon as it came, for instance
			continue
		}
		switch is, e := a.identify(ctx, s.id, canaries, c.proof); {
		case is == same && found != nil:
			err = fmt.Errorf("%w: %s and %s hold the same", ErrNoSerial, found.id.Path, c.name)
			return nil, errors.Join(err, found.close(), a.close())
		case is == same:
			found = a
			if c.proof == bySerial {
				return found, nil
			}
			continue
		default:
			err = fmt.Errorf("%s: %w", c.name, e)
		}
		if e := a.close(); e != nil {
			return nil, errors.Join(err, e)
		}
	}
	if found != nil {
		return found, nil
	}
	return nil, err
}

// identify tells whether a device that was attached is the disk with that identity; the
// error says why not.
func (a *attachment) identify(ctx context.Context, id Identity, canaries []sample, need proof) (alike, error) {
	if a.id.Bytes != id.Bytes || a.id.Sector != id.Sector {
		return other, fmt.Errorf("%w: %d bytes in sectors of %d", ErrOtherDisk, a.id.Bytes, a.id.Sector)
	}
	switch is, err := a.compare(ctx, canaries, need); {
	case is == same:
		return same, nil
	case is == other:
		return other, errCanary
	case !need.possible(canaries, id):
		return unknown, ErrNoSerial
	default:
		return unknown, fmt.Errorf("too few known sectors can be read: %w", err)
	}
}

// alive tells whether a device that was attached may still be there.
func (a *attachment) alive(bytes int64) bool {
	class, _ := a.diagnose(rescue.HostError, errEnd, bytes)
	return class == rescue.HostError
}

// candidates finds the disks, or the partitions of them, that may be the one with
// that identity; n is where it was, seq which disk of the kernel's it was last.
func (h host) candidates(id Identity, n sysblock.Node, seq int64, o Options) ([]candidate, error) {
	var out []candidate
	var wrong error
	for _, at := range h.Disks() {
		if h.Serial(at) != id.Serial {
			continue
		}
		if n.Partition {
			var ok bool
			if at, ok = part(at, n); !ok {
				continue
			}
		}
		need := bySerial
		if id.Serial == "" {
			if is := h.describe(at); is.Transport != id.Transport || is.Vendor != id.Vendor || is.Model != id.Model {
				continue
			}
			if seq == 0 || at.Seq() != seq { // else it was never away
				need = byContent
			}
		}
		if size := at.Bytes(); size != id.Bytes {
			if size > 0 && id.Serial != "" {
				wrong = fmt.Errorf("%s: %w: %d bytes, not %d", h.Path(at.Name), ErrOtherDisk, size, id.Bytes)
			}
			continue
		}
		out = append(out, candidate{name: h.Path(at.Name), proof: need, attach: func() (*attachment, error) {
			if sysblock.Text(at.DiskDir(), "device/state") == stateOffline {
				_ = set(at.DiskDir(), "device/state", "running")
			}
			return h.attach(h.Path(at.Name), at, o)
		}})
	}
	if len(out) == 0 && wrong != nil {
		return nil, wrong
	}
	return out, nil
}

// part finds the partition of the disk n that has the number and the place of another.
func part(n, like sysblock.Node) (sysblock.Node, bool) {
	for _, p := range n.Partitions() {
		if p.Number == like.Number && p.Start == like.Start {
			return p, true
		}
	}
	return sysblock.Node{}, false
}
