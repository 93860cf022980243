package rescue

import (
	"math"
	"slices"

	"salvor/rescue/mapfile"
)

// The heads of a disk take turns, so the zones of a dead or weak one come back at even
// distances. Once the beginnings of some bad runs agree on a distance, the next ones are
// jumped over before anything in them has failed. Every so often one is read as any other
// place, to see whether the rhythm still holds.

const (
	rhythmLearn = 6    // beginnings that make a rhythm
	rhythmKeep  = 24   // of them remembered
	rhythmCheck = 16   // one in so many runs is not jumped over
	rhythmPart  = 4    // a run is at most one in so many parts of the distance
	rhythmClose = 0.01 // of the distance: how well beginnings agree
	rhythmMiss  = 3    // long good reads where a run should be end the rhythm
)

// rhythm is what is known of where bad runs begin. Places are in sectors.
type rhythm struct {
	starts   []float64 // of long runs whose beginning was seen, ascending
	distance float64   // between runs; 0 while there is no rhythm
	phase    float64   // where one begins
	margin   float64   // how far from there they may
	handled  int64     // runs up to this number, counted from phase, were decided on
	misses   int
}

// heard takes the beginning of a run of so many sectors.
func (y *rhythm) heard(start, length, margin float64) {
	i, _ := slices.BinarySearch(y.starts, start)
	y.starts = slices.Insert(y.starts, i, start)
	if len(y.starts) > rhythmKeep {
		y.starts = y.starts[len(y.starts)-rhythmKeep:]
	}
	y.distance, y.misses = 0, 0
	if len(y.starts) < rhythmLearn {
		return
	}
	// A distance between neighbours may span several runs of which some were not seen.
	for i := 1; i < len(y.starts); i++ {
		for k := 1.0; k <= 4; k++ {
			d := (y.starts[i] - y.starts[i-1]) / k
			if d > y.distance && d >= rhythmPart*length && y.fits(d) {
				y.distance = d
			}
		}
	}
	if y.distance > 0 {
		y.settle(margin)
	}
}

// fits reports whether nearly all beginnings lie at multiples of d from the newest.
func (y *rhythm) fits(d float64) bool {
	misfits := 0
	last := y.starts[len(y.starts)-1]
	for i := len(y.starts) - 1; i > 0; i-- {
		// From neighbour to neighbour, since a small error of d adds up.
		way := (y.starts[i] - y.starts[i-1]) / d
		if math.Abs(way-math.Round(way)) > rhythmClose*max(math.Round(way), 1) || math.Round(way) < 1 {
			misfits++
		}
	}
	return last > 0 && misfits*8 <= len(y.starts)
}

// settle fits a line through the beginnings.
func (y *rhythm) settle(margin float64) {
	last := y.starts[len(y.starts)-1]
	var n, sx, sy, sxx, sxy float64
	number := 0.0
	for i := len(y.starts) - 1; i >= 0; i-- {
		if i < len(y.starts)-1 {
			number -= math.Round((y.starts[i+1] - y.starts[i]) / y.distance)
		}
		dy := y.starts[i] - last
		n, sx, sy, sxx, sxy = n+1, sx+number, sy+dy, sxx+number*number, sxy+number*dy
	}
	if den := n*sxx - sx*sx; den > 0 {
		y.distance = (n*sxy - sx*sy) / den
		y.phase = last + (sy-y.distance*sx)/n
	} else {
		y.phase = last
	}
	y.margin = margin
	number = 0
	for i := len(y.starts) - 1; i >= 0; i-- {
		if i < len(y.starts)-1 {
			number -= math.Round((y.starts[i+1] - y.starts[i]) / y.distance)
		}
		if off := math.Abs(y.starts[i] - y.phase - number*y.distance); off < rhythmClose*y.distance {
			y.margin = max(y.margin, margin+off)
		}
	}
	y.handled = math.MinInt64 // they are counted from another place now
}

// foresee jumps over the next bad run, when the runs so far have a rhythm and a length,
// and the sweep has come to the good stretch before it.
func (s *Strategy) foresee(r Read) []mapfile.Run {
	y := &s.rhythm
	if y.distance == 0 || r.Pass != PassSweep && r.Pass != PassFree {
		return nil
	}
	length := float64(s.forecast(s.sectors(learnFrom)))
	if length == 0 || length*rhythmPart > y.distance {
		return nil
	}
	here := (float64(r.First) - y.phase) / y.distance
	before := math.Floor(here)
	if into := (here - before) * y.distance; into > length*0.1 && into+float64(r.Sectors) < length*0.9 {
		if s.bytes(r.Sectors) == MaxRead && !s.sweep.run.open {
			if y.misses++; y.misses >= rhythmMiss {
				*y = rhythm{}
			}
		}
		return nil
	}
	next := int64(before) + 1
	if next <= y.handled {
		return nil
	}
	y.handled = next
	if next%rhythmCheck == 0 {
		return nil
	}
	start := y.phase + float64(next)*y.distance
	first, end := int64(start-y.margin), int64(start+length*1.03+y.margin)
	if first < r.End() || first >= s.m.Sectors() {
		return nil
	}
	first, end = s.grains(first, min(end, s.m.Sectors()))
	var changed []mapfile.Run
	for _, p := range slices.Collect(s.m.Within(max(first, 0), min(end, s.m.Sectors())-max(first, 0))) {
		if p.Status == mapfile.Untried {
			changed = s.lower(changed, p.First, p.End(), mapfile.NonTrimmed)
		}
	}
	return changed
}
