package blockdev

import (
	"context"
	"crypto/sha256"
	"slices"
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
	maxSamples = 64
)

// proof is what must match before a disk is trusted to be the same.
type proof struct {
	canaries int
	// everywhere asks for that many that say something, and some in each quarter of the
	// disk. Otherwise fewer will do when fewer are known.
	everywhere bool
}

var (
	bySerial  = proof{canaries: 3}
	byContent = proof{canaries: 16, everywhere: true}
)

// quarter is the part of the disk that a canary lies in, as a bit.
func (c sample) quarter(id Identity) int { return 1 << (4 * c.first / id.Info().Sectors()) }

const allQuarters = 1<<4 - 1

// possible tells whether the canaries are enough for the proof, should they all match.
func (p proof) possible(canaries []sample, id Identity) bool {
	if !p.everywhere {
		return true
	}
	n, quarters := 0, 0
	for _, c := range canaries {
		if !c.plain {
			n, quarters = n+1, quarters|c.quarter(id)
		}
	}
	return n >= p.canaries && quarters == allQuarters
}

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
	c := sample{first: at, n: g, sum: sha256.Sum256(p), plain: plain(p)}
	for _, old := range k.kept {
		if old.first == c.first {
			return
		}
	}
	if len(k.kept) == maxSamples {
		k.thin()
	}
	k.kept = append(k.kept, c)
}

// thin forgets what says nothing, when that makes room; else every second canary.
func (k *samples) thin() {
	telling := slices.DeleteFunc(slices.Clone(k.kept), func(c sample) bool { return c.plain })
	if n := len(telling); n > 0 && n <= maxSamples/2 {
		k.kept = telling
		return
	}
	half := k.kept[:0]
	for i, c := range k.kept {
		if i%2 == 0 {
			half = append(half, c)
		}
	}
	k.kept, k.every = half, k.every*2
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
func (a *attachment) compare(ctx context.Context, canaries []sample, need proof) (alike, error) {
	if !need.possible(canaries, a.id) {
		return unknown, nil
	}
	missing, quarters := need.canaries, 0
	if !need.everywhere {
		missing, quarters = min(missing, len(canaries)), allQuarters
	}
	var last error
	for _, c := range canaries {
		if missing <= 0 && quarters == allQuarters {
			break
		}
		if need.everywhere && (c.plain || missing <= 0 && quarters&c.quarter(a.id) != 0) {
			continue
		}
		is, res := a.sings(ctx, c)
		switch is {
		case other:
			return other, nil
		case same:
			missing, quarters = missing-1, quarters|c.quarter(a.id)
			continue
		}
		last = res.Err
		if class, _ := a.diagnose(res.Class, errEnd, a.id.Bytes); class == rescue.Gone || class == rescue.SizeChanged || class == rescue.Timeout || ctx.Err() != nil {
			break // no use to ask for more
		}
	}
	if missing > 0 || quarters != allQuarters {
		return unknown, last
	}
	return same, nil
}

// sings reads one canary.
func (a *attachment) sings(ctx context.Context, c sample) (alike, rescue.Result) {
	p := make([]byte, c.n*int64(a.id.Sector))
	res := a.read(ctx, p, c.first, canaryTime)
	switch {
	case res.Class != rescue.OK || res.Good < c.n:
		return unknown, res
	case sha256.Sum256(p) != c.sum:
		return other, res
	}
	return same, res
}
