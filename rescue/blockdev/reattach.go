package blockdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"salvor/rescue"
)

// What [Source.Reattach] may come to.
var (
	// ErrAway is a disk that has not come back.
	ErrAway = errors.New("not back")
	// ErrOtherDisk is a disk that says it is the same and is not: its size or what it
	// holds differs. Nothing may be read from it into the same image.
	ErrOtherDisk = errors.New("not the disk that was opened")
	// ErrNoSerial is a disk that has no serial number to find it by.
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
	attach func() (*attachment, error)
}

// Reattach goes on with a disk that was gone, under whatever name it is back: the
// disk with the same serial number and size of which three sectors, read well
// before, read the same again. It waits for it up to [Options.Wait]. A disk that
// never went away, or that the kernel had given up, is tried first. After nil, reads
// go to the disk, protected and set as by [Open]; [Source.Identity] tells its new name.
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
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return fmt.Errorf("%s: %w", s.id.Path, os.ErrClosed)
	case s.open == nil:
		return fmt.Errorf("%s: a file: %w", s.id.Path, ErrAway)
	}
	var limit <-chan time.Time
	if s.o.After != nil {
		wait := s.o.Wait
		if wait <= 0 {
			wait = defaultWait
		}
		limit = s.o.After(wait)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	canaries := s.canaries()
	if a := s.attached(); a != nil && a.alive(s.id.Bytes) {
		got := make(chan alike, 1)
		go func() {
			is, _ := a.compare(ctx, canaries)
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
				s.at = a
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

// find attaches the disk that is the same, if it is there.
func (s *Source) find(ctx context.Context, canaries []sample) (*attachment, error) {
	list, err := s.open()
	if err != nil {
		return nil, err
	}
	err = errNowhere
	for _, c := range list {
		a, e := c.attach()
		if e != nil {
			err = e // in use by something that took it up as soon as it came, for instance
			continue
		}
		if a.id.Bytes != s.id.Bytes || a.id.Sector != s.id.Sector {
			err = fmt.Errorf("%s: %w: %d bytes in sectors of %d", c.name, ErrOtherDisk, a.id.Bytes, a.id.Sector)
		} else {
			switch is, e := a.compare(ctx, canaries); is {
			case same:
				return a, nil
			case other:
				err = fmt.Errorf("%s: %w", c.name, errCanary)
			default:
				err = fmt.Errorf("%s: too few known sectors can be read: %w", c.name, e)
			}
		}
		if e := a.close(); e != nil {
			return nil, errors.Join(err, e)
		}
	}
	return nil, err
}

// alive tells whether a device that was attached may still be there.
func (a *attachment) alive(bytes int64) bool {
	class, _ := a.diagnose(rescue.HostError, errEnd, bytes)
	return class == rescue.HostError
}

// candidates finds the disks, or the partitions of them, that may be the one with
// that identity; n is where it was.
func (h host) candidates(id Identity, n node, o Options) ([]candidate, error) {
	if id.Serial == "" {
		return nil, ErrNoSerial
	}
	var out []candidate
	var wrong error
	for _, name := range entries(filepath.Join(h.sys, "block")) {
		dir, err := filepath.EvalSymlinks(filepath.Join(h.sys, "block", name))
		if err != nil || h.serial(filepath.Join(h.sys, "block", name)) != id.Serial {
			continue
		}
		at := nodeAt(dir)
		if n.partition {
			var ok bool
			if at, ok = at.part(n); !ok {
				continue
			}
		}
		if size := number(at.dir, "size") * 512; size != id.Bytes {
			if size > 0 {
				wrong = fmt.Errorf("%s: %w: %d bytes, not %d", devPath(at.name), ErrOtherDisk, size, id.Bytes)
			}
			continue
		}
		out = append(out, candidate{name: devPath(at.name), attach: func() (*attachment, error) {
			if text(at.diskDir(), "device/state") == stateOffline {
				_ = set(at.diskDir(), "device/state", "running")
			}
			return h.attach(devPath(at.name), at, o)
		}})
	}
	if len(out) == 0 && wrong != nil {
		return nil, wrong
	}
	return out, nil
}

// part finds the partition of a disk that has the number and the place of another.
func (n node) part(like node) (node, bool) {
	for _, name := range entries(n.dir) {
		p := nodeAt(filepath.Join(n.dir, name))
		if p.partition && p.number == like.number && p.start == like.start {
			return p, true
		}
	}
	return node{}, false
}
