package blockdev

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"

	"salvor/rescue"
)

// A Landmark is a piece of a disk that was read well, by its hash. A serial number says that
// it is the same disk, or the same dock; landmarks say that it holds what it held. They are
// for a later run that goes on with an image: whoever fills it up from another disk, or from
// this one after somebody has used it, mixes two states into one.
type Landmark struct {
	First   int64  `json:"first"`   // sector
	Sectors int64  `json:"sectors"` // at most 64 KiB of them
	Sum     []byte `json:"sum"`     // SHA-256 of what they held
}

const (
	// landmarkBytes is the most that one covers. At the beginning of a volume it takes in the
	// superblocks, and at that of a table of files its own records: a system that takes a
	// file system into use writes to these first.
	landmarkBytes = 64 << 10
	// maxLandmarks are kept, of them firstLandmarks for good: those are of what is read
	// first, tables and metadata.
	maxLandmarks   = 64
	firstLandmarks = 24
	// askedLandmarks is how many are read again, some 2 MiB; farLandmarks of them are spread
	// over what was read later.
	askedLandmarks = 32
	farLandmarks   = askedLandmarks - firstLandmarks
	// silentLandmarks is how many that cannot be read any more end the asking: what can be
	// read of a dying disk is better read once.
	silentLandmarks = 3
)

// landmarks are kept as [samples] are: evenly over the time, but for the first ones.
type landmarks struct {
	kept  []Landmark
	every int64 // reads from one to the next
	reads int64
}

// Likeness is how many landmarks of a disk hold what they held, or something else, or could
// not be read.
type Likeness struct{ Same, Other, Unread int }

// Landmarks returns what the disk can be known again by: at most 64 pieces of 64 KiB, from
// all over what was read, also before [Source.KnowBy]. Of a file there are none.
func (s *Source) Landmarks() []Landmark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.landmarks.kept)
}

// KnowBy reads landmarks of an earlier run again, at most 32 of them, before anything else
// is read, and keeps them beside those that come. It gives up after three that cannot be
// read, or when the disk is gone. Landmarks that cannot be of this disk are an error; so is
// the end of ctx, of which it returns the cause, while a read may still hang.
func (s *Source) KnowBy(ctx context.Context, list []Landmark) (Likeness, error) {
	sectors, most := s.id.Info().Sectors(), int64(landmarkBytes/s.id.Sector)
	for _, l := range list {
		if l.First < 0 || l.Sectors < 1 || l.Sectors > most || l.First > sectors-l.Sectors || len(l.Sum) != sha256.Size {
			return Likeness{}, fmt.Errorf("%s: a landmark of %d sectors at %d of %d: %w", s.id.Path, l.Sectors, l.First, sectors, ErrOtherDisk)
		}
	}
	a := s.attached()
	if a == nil {
		return Likeness{}, fmt.Errorf("%s: %w", s.id.Path, os.ErrClosed)
	}
	s.mu.Lock()
	s.landmarks.kept = slices.Clone(list[:min(len(list), maxLandmarks)])
	s.mu.Unlock()
	done := make(chan Likeness, 1)
	go func() { done <- a.likeness(ctx, asked(list)) }()
	select {
	case is := <-done:
		if ctx.Err() == nil {
			return is, nil
		}
	case <-ctx.Done():
	}
	return Likeness{}, context.Cause(ctx)
}

// asked chooses what is read again, in the order in which it lies on the disk.
func asked(list []Landmark) []Landmark {
	out := slices.Clone(list[:min(len(list), firstLandmarks)])
	if far := list[len(out):]; len(far) > 0 {
		n := min(len(far), farLandmarks)
		for i := range n {
			out = append(out, far[(i+1)*len(far)/n-1]) // the newest is the last
		}
	}
	slices.SortFunc(out, func(a, b Landmark) int { return int(a.First - b.First) })
	return out
}

// likeness reads landmarks again.
func (a *attachment) likeness(ctx context.Context, list []Landmark) (is Likeness) {
	for _, l := range list {
		alike, res := a.sings(ctx, sample{first: l.First, n: l.Sectors, sum: [sha256.Size]byte(l.Sum)})
		switch alike {
		case same:
			is.Same++
			continue
		case other:
			is.Other++
			continue
		}
		is.Unread++
		if class, _ := a.diagnose(res.Class, errEnd, a.id.Bytes); is.Unread == silentLandmarks || class == rescue.Gone || class == rescue.SizeChanged || ctx.Err() != nil {
			break
		}
	}
	return is
}

// mark may keep a landmark of what was read well: data, from sector first.
func (s *Source) mark(first int64, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &s.landmarks
	k.every = max(k.every, 1)
	k.reads++
	if k.reads%k.every != 0 || slices.ContainsFunc(k.kept, func(l Landmark) bool { return l.First == first }) {
		return
	}
	if len(k.kept) == maxLandmarks {
		half := k.kept[:firstLandmarks]
		for i := firstLandmarks + 1; i < maxLandmarks; i += 2 {
			half = append(half, k.kept[i])
		}
		k.kept, k.every = half, k.every*2
	}
	data = data[:min(len(data), landmarkBytes)]
	sum := sha256.Sum256(data)
	k.kept = append(k.kept, Landmark{First: first, Sectors: int64(len(data) / s.id.Sector), Sum: sum[:]})
}
