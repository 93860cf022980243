package blockdev

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	"salvor/rescue"
)

// Some bridges, and some disks that have lost their firmware, answer everything with
// zeros, and call it a success. Zeros are what unused disks hold, so nothing in them
// tells. What tells is that a sector that said something before says nothing now.

// zeros watches for a source that begins to deliver nothing but zeros, or another byte.
type zeros struct {
	row    int  // reads in a row that ended in zeros
	shaken bool // a read has failed since the last check
	newest sample
}

const (
	// zeroRow is how many reads of zeros are taken on one check: 32 MiB of a sweep. A bridge
	// that begins to lie within a run of zeros is found that late; to ask before every read
	// would double the seeks of an empty disk.
	zeroRow = 32
	// witnesses is how many canaries are asked before it is said that none answers.
	witnesses = 3
)

// errZeros is a source that gives zeros for what it gave otherwise before.
var errZeros = errors.New("it delivers zeros for a sector that it read well before")

// errUnvouched is zeros from a disk of which nothing known can be read.
var errUnvouched = errors.New("it delivers zeros, and nothing that it read well before")

// vouch returns res, unless it ends in zeros that nothing vouches for. A sector that
// was read well before is read again when a run of zeros begins, and from time to time
// within: the newest, which disks mostly have at hand still. After a failure, which is
// what makes bridges lie, others are asked.
func (s *Source) vouch(ctx context.Context, a *attachment, sector int64, res rescue.Result, p []byte) rescue.Result {
	check, shaken := s.doubt(sector, res, p)
	if !check {
		return res
	}
	asked := 0
	var last rescue.Result
	for _, c := range s.witnesses(shaken) {
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

// doubt takes note of a read and tells whether to check it, and whether one has failed
// since the last check.
func (s *Source) doubt(sector int64, res rescue.Result, p []byte) (check, shaken bool) {
	size, g := int64(s.id.Sector), s.id.Info().Grain()
	data := p[:max(res.Good, 0)*size]
	tail := data[max(int64(len(data))-g*size, 0):]
	s.mu.Lock()
	defer s.mu.Unlock()
	z := &s.zeros
	switch {
	case len(data) == 0:
	case !plain(tail):
		z.row = 0
		n := int64(len(tail)) / size
		z.newest = sample{first: sector + res.Good - n, n: n, sum: sha256.Sum256(tail)}
	default:
		check, shaken = z.shaken || z.row%zeroRow == 0, z.shaken
		z.row++
	}
	z.shaken = z.shaken && !check || res.Class != rescue.OK
	return check, shaken
}

// witnesses gives the sectors to be asked for, until one answers: the newest, and after
// a failure some from all over the disk first.
func (s *Source) witnesses(shaken bool) (out []sample) {
	if shaken {
		for _, c := range s.canaries() {
			if c.plain || len(out) == witnesses-1 {
				break // those that say something come first
			}
			out = append(out, c)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.zeros.newest.n > 0 {
		out = append(out, s.zeros.newest)
	}
	return out
}

// shake has the next zeros checked.
func (s *Source) shake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zeros.shaken = true
}

// plain tells whether all bytes are the same.
func plain(p []byte) bool { return len(p) < 2 || bytes.Equal(p[1:], p[:len(p)-1]) }
