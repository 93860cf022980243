package blockdev

import (
	"bytes"
	"context"
	"crypto/sha256"
	"time"

	"salvor/rescue"
)

// sample is a physical sector that was read well, by its hash: a canary. A disk that
// comes back must give the same for it.
type sample struct {
	first, n int64 // sectors
	sum      [sha256.Size]byte
	plain    bool // the same byte throughout: many disks have such a sector there
}

// samples are canaries from all over what was read so far. When there are too many,
// every second one is forgotten and they are taken half as often: so they stay spread
// evenly over the time, and cost next to nothing.
type samples struct {
	kept  []sample
	every int64 // reads from one to the next
	reads int64
}

const (
	maxSamples = 32
	// proof is how many canaries must match before a disk is trusted to be the same.
	proof = 3
)

// sample may keep a canary of what was read well: data, from sector first.
func (s *Source) sample(first, n int64, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &s.samples
	k.every = max(k.every, 1)
	k.reads++
	if k.reads%k.every != 0 {
		return
	}
	size, g := int64(s.id.Sector), s.id.Info().Grain()
	// The first whole physical sector of it.
	at := first + ((s.id.Offset-first)%g+g)%g
	if at+g > first+n {
		if n >= g {
			return
		}
		at, g = first, n // a read of less: by a planner that knows no grain, or at an end
	}
	p := data[(at-first)*size : (at-first+g)*size]
	c := sample{first: at, n: g, sum: sha256.Sum256(p), plain: bytes.Count(p, p[:1]) == len(p)}
	for _, old := range k.kept {
		if old.first == c.first {
			return
		}
	}
	if len(k.kept) == maxSamples {
		half := k.kept[:0]
		for i, c := range k.kept {
			if i%2 == 0 {
				half = append(half, c)
			}
		}
		k.kept, k.every = half, k.every*2
	}
	k.kept = append(k.kept, c)
}

// canaries gives the samples in the order in which they prove most: those that say
// something first, and in each kind the first and the last before the others.
func (s *Source) canaries() []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	var telling, plain []sample
	for i, left, right := 0, 0, len(s.samples.kept)-1; left <= right; i++ {
		c := s.samples.kept[left]
		if i%2 == 0 {
			left++
		} else {
			c = s.samples.kept[right]
			right--
		}
		if c.plain {
			plain = append(plain, c)
		} else {
			telling = append(telling, c)
		}
	}
	return append(telling, plain...)
}

// alike is what the canaries of a disk say.
type alike uint8

const (
	same    alike = iota // as many as needed match
	other                // one differs
	unknown              // too few could be read
)

// canaryTime is how long the read of a canary may take: it read well before.
const canaryTime = 10 * time.Second

// compare reads canaries until enough match or one differs.
func (a *attachment) compare(ctx context.Context, canaries []sample) (alike, error) {
	need := min(proof, len(canaries))
	var last error
	for _, c := range canaries {
		if need == 0 {
			break
		}
		p := make([]byte, c.n*int64(a.id.Sector))
		res := a.read(ctx, p, c.first, canaryTime)
		if res.Class != rescue.OK || res.Good < c.n {
			last = res.Err
			if class, _ := a.diagnose(res.Class, errEnd, a.id.Bytes); class == rescue.Gone || class == rescue.SizeChanged || class == rescue.Timeout || ctx.Err() != nil {
				break // no use to ask for more
			}
			continue
		}
		if sha256.Sum256(p) != c.sum {
			return other, nil
		}
		need--
	}
	if need > 0 {
		return unknown, last
	}
	return same, nil
}
