package blockdev

import (
	"bytes"
	"context"
	"errors"

	"salvor/rescue"
)

// Some bridges, and some disks that have lost their firmware, answer everything with
// zeros, and call it a success. Zeros are what unused disks hold, so nothing in them
// tells. What tells is that a sector that said something before says nothing now.

// zeros watches for a source that begins to deliver nothing but zeros.
type zeros struct {
	row    int  // reads in a row that were all zero
	shaken bool // a read has failed since the last check
}

const (
	// zeroRow is how many reads of zeros are taken on one check: 256 MiB of a sweep.
	zeroRow = 256
	// witnesses is how many canaries are asked before it is said that none answers.
	witnesses = 3
)

// errZeros is a source that gives zeros for what it gave otherwise before.
var errZeros = errors.New("it delivers zeros for a sector that it read well before")

// errUnvouched is zeros from a disk of which nothing known can be read.
var errUnvouched = errors.New("it delivers zeros, and nothing that it read well before")

// vouch returns res, unless it is of zeros that nothing vouches for: when a run of
// them begins, when a read has failed before, and from time to time, a sector that
// was read well before is read again.
func (s *Source) vouch(ctx context.Context, a *attachment, res rescue.Result, p []byte) rescue.Result {
	data := p[:max(res.Good, 0)*int64(s.id.Sector)]
	zero := len(data) > 0 && data[0] == 0 && plain(data)
	s.mu.Lock()
	z := &s.zeros
	check := zero && (z.row%zeroRow == 0 || z.shaken)
	switch {
	case zero:
		z.row++
	case len(data) > 0:
		z.row = 0
	}
	z.shaken = z.shaken && !check || res.Class != rescue.OK
	s.mu.Unlock()
	if !check {
		return res
	}
	asked := 0
	var last rescue.Result
	for _, c := range s.canaries() {
		if c.plain || asked == witnesses {
			break // those that say something come first
		}
		asked++
		var is alike
		switch is, last = a.sings(ctx, c); is {
		case same:
			return res
		case other:
			s.shake()
			return failed(0, rescue.Inconsistent, errZeros)
		}
	}
	if asked == 0 {
		return res // it has never said anything
	}
	s.shake()
	if last.Class == rescue.OK || last.Class == rescue.Medium {
		last.Class = rescue.HostError
	}
	return failed(0, last.Class, errors.Join(errUnvouched, last.Err))
}

// shake has the next zeros checked.
func (s *Source) shake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zeros.shaken = true
}

// plain tells whether all bytes are the same.
func plain(p []byte) bool { return len(p) < 2 || bytes.Equal(p[1:], p[:len(p)-1]) }
