package sim

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"salvor/rescue"
	"salvor/rescue/mapfile"
)

// Model is a way in which disks fail.
type Model string

// The failure models.
const (
	Healthy  Model = "healthy"
	Clusters Model = "clusters"  // islands of bad sectors: a log-normal size, median 400 KiB, 2 to 52 % of it bad
	DeadHead Model = "dead-head" // one surface of ten gives nothing but a lucky chunk in thirty
	WeakHead Model = "weak-head" // one surface of ten has lost 1.5 % of its sectors
	SlowHead Model = "slow-head" // one surface of ten reads at 2 MB/s, and has a few bad sectors
	Scratch  Model = "scratch"   // three sectors of every track on one surface, over a part of the radius
	Hang     Model = "hang"      // a dead head, of which one bad sector in 200 hangs the disk until it drops off
	WearOut  Model = "wear-out"  // a dead head, and ten minutes of error recovery kill the rest
	Disease  Model = "disease"   // clusters, and one failure in 20 makes it read at 2 MB/s everywhere until it is reopened
	Flash    Model = "flash"     // no heads: bad pages here and there, and it freezes wherever until it is reset
)

// Models lists all models.
func Models() []Model {
	return []Model{Healthy, Clusters, DeadHead, WeakHead, SlowHead, Scratch, Hang, WearOut, Disease, Flash}
}

// The geometry of a simulated disk: the heads take turns, each with a zone of tracks.
const (
	zone  = 171_000_000 / Physical // grains that one head reads before the next
	turn  = 1_706_000_000 / Physical
	track = 1_400_000 / Physical // grains
)

// New makes a disk of so many bytes that fails in the way of model. The same arguments
// give the same disk.
func New(model Model, bytes int64, seed uint64) (*Disk, error) {
	if bytes < 1<<20 {
		return nil, fmt.Errorf("simulated disk of %d bytes: less than 1 MiB", bytes)
	}
	bytes -= bytes % Physical
	d := &Disk{
		info:  rescue.Info{Bytes: bytes, Sector: Sector, Physical: Physical, Rotational: true},
		seed:  seed,
		sense: true,
	}
	// What lies where does not depend on how it fails.
	d.allocate(rand.New(rand.NewPCG(seed, 1)))
	r := rand.New(rand.NewPCG(seed, 2))
	switch model {
	case Healthy:
	case Clusters, Disease:
		d.islands(r)
		d.sick = model == Disease
	case Flash:
		d.flash, d.info.Rotational = true, false
		d.sprinkle(r, span{0, d.grains()}, 2e-6)
	case DeadHead, Hang, WearOut:
		for z := range d.zones(r) {
			d.deadZone(r, z)
		}
		d.hangs = model == Hang
		if model == WearOut {
			d.fatal = 10 * time.Minute
		}
	case WeakHead:
		for z := range d.zones(r) {
			d.sprinkle(r, z, 0.015)
		}
	case SlowHead:
		for z := range d.zones(r) {
			d.slow = append(d.slow, span{z.first * grain, z.end * grain})
			d.sprinkle(r, z, 5e-5)
		}
	case Scratch:
		d.scratch(r)
	default:
		return nil, fmt.Errorf("failure model %q: unknown", model)
	}
	d.bad = tidy(d.bad, d.info.Sectors())
	return d, nil
}

// FromMap makes a disk that fails where a map, in sectors of [Sector] bytes, does not
// say rescued.
func FromMap(m *mapfile.Map, seed uint64) (*Disk, error) {
	d, err := New(Healthy, m.Sectors()*Sector, seed)
	if err != nil {
		return nil, err
	}
	for r := range m.All() {
		if r.Status != mapfile.Rescued {
			d.bad = append(d.bad, span{r.First - r.First%grain, (r.End() + grain - 1) / grain * grain})
		}
	}
	d.bad = tidy(d.bad, d.info.Sectors())
	return d, nil
}

// Map is the truth about the disk: rescued where it can be read, bad elsewhere.
func (d *Disk) Map() *mapfile.Map {
	m := mapfile.New(d.info.Sectors())
	m.Set(0, m.Sectors(), mapfile.Rescued)
	for _, s := range d.bad {
		m.Set(s.first, s.end-s.first, mapfile.Bad)
	}
	return m
}

// tidy sorts spans, joins those that touch, and cuts them at the size.
func tidy(spans []span, size int64) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	out := spans[:0]
	for _, s := range spans {
		s.end = min(s.end, size)
		switch last := len(out) - 1; {
		case s.first >= s.end:
		case last >= 0 && s.first <= out[last].end:
			out[last].end = max(out[last].end, s.end)
		default:
			out = append(out, s)
		}
	}
	return out
}

func (d *Disk) grains() int64 { return d.info.Sectors() / grain }

// mark makes n grains from at bad.
func (d *Disk) mark(at, n int64) {
	d.bad = append(d.bad, span{at * grain, (at + n) * grain})
}

// zones gives the zones of one head, in grains, from the outer edge on.
func (d *Disk) zones(r *rand.Rand) func(func(span) bool) {
	return func(yield func(span) bool) {
		for at := r.Int64N(turn) - zone; at < d.grains(); at += turn {
			jitter := 0.99 + 0.02*r.Float64() // tracks are not all of one length
			z := span{max(at, 0), min(at+int64(zone*jitter), d.grains())}
			if z.first < z.end && !yield(z) {
				return
			}
		}
	}
}

// deadZone is bad but for a lucky chunk of 64 KiB in thirty.
func (d *Disk) deadZone(r *rand.Rand, z span) {
	const chunk = 64 << 10 / Physical
	from := z.first
	for at := z.first; at < z.end; at += chunk {
		if r.Float64() < 0.03 {
			d.mark(from, at-from)
			from = at + chunk
		}
	}
	d.mark(from, max(z.end-from, 0))
}

// sprinkle makes a share of a zone's sectors bad, each on its own.
func (d *Disk) sprinkle(r *rand.Rand, z span, share float64) {
	for at := z.first + gap(r, share); at < z.end; at += 1 + gap(r, share) {
		d.mark(at, 1)
	}
}

// gap is how many sectors are good before the next bad one.
func gap(r *rand.Rand, share float64) int64 {
	return int64(math.Log(1-r.Float64()) / math.Log(1-share))
}

// islands spreads one island of bad sectors over every 250 MB or so, in flocks.
func (d *Disk) islands(r *rand.Rand) {
	for left := int(d.info.Bytes/250e6) + 3; left > 0; {
		at := r.Int64N(d.grains())
		for flock := 1 + r.IntN(6); flock > 0 && left > 0; flock, left = flock-1, left-1 {
			size := int64(math.Exp(r.NormFloat64()*1.2) * (400 << 10) / Physical)
			share := 0.02 + 0.5*r.Float64()
			d.sprinkle(r, span{at, min(at+max(size, 1), d.grains())}, share)
			at = min(at+size+int64(math.Exp(r.NormFloat64()*1.5)*(4<<20)/Physical), d.grains()-1)
		}
	}
}

// scratch runs over a part of the radius of one surface.
func (d *Disk) scratch(r *rand.Rand) {
	width := 0.1 + 0.3*r.Float64()
	from := r.Float64() * (1 - width)
	lo, hi := int64(from*float64(d.grains())), int64((from+width)*float64(d.grains()))
	for z := range d.zones(r) {
		where := r.Int64N(track)
		for at := z.first + where; at+3 <= z.end; at += track {
			if at >= lo && at < hi {
				d.mark(at+r.Int64N(5), 3)
			}
		}
	}
}
