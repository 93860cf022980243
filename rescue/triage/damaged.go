package triage

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"salvor/rescue"
	"salvor/rescue/layout"
	"salvor/rescue/mapfile"
)

// Report is what [Triage.Damaged] found besides the files that it named.
type Report struct {
	layout.Report
	// Volumes are those that the files are of, by [layout.Damage.Volume]. Those whose Kind
	// is not [layout.FileSystem] have no part in the report.
	Volumes []layout.Volume
	// Lost is how many bytes of metadata the parsers asked for and did not get, since they
	// are bad or were never read; Unread is how many are rescued and were not looked at.
	Lost, Unread int64
}

// Complete reports whether every file of every volume was looked at. Otherwise files
// whose folder or record is lost, or that lie in volumes nobody can list, are not in
// the report.
func (r Report) Complete() bool {
	return r.Unnamed == 0 && r.Unread == 0 && len(r.Volumes) > 0 && !slices.ContainsFunc(r.Volumes, func(v layout.Volume) bool {
		return v.Kind != layout.FileSystem && v.Kind != layout.Swap
	})
}

// maxNames is how many bytes of damages are sorted at a time.
const maxNames = 64 << 20

// Damaged yields, after a run, every file, folder and part of a file system that is not
// whole, by the map of the rescue: volume by volume, and by path within. A path comes up
// more than once when the file system has it more than once.
//
// Metadata that is rescued and not in the scratch is read from src, which may be nil: then
// it counts as Unread. No sector is read that m does not call rescued. What is read goes
// through [rescue.Run], so that reads that hang keep nobody waiting for ever; it needs
// Now and After of [Options].
//
// It keeps no more than some 64 MiB of names at a time, and goes through the metadata
// again for more. The error is ctx's, or [ErrNoLayout] when triage is switched off.
func (t *Triage) Damaged(ctx context.Context, m *mapfile.Map, src rescue.Source, yield func(layout.Damage) bool) (Report, error) {
	if err := t.conclude(ctx, m); err != nil {
		return Report{}, err
	}
	if src != nil {
		if err := t.reread(ctx, m, src); err != nil {
			return Report{}, err
		}
	}
	l := t.Layout()
	if err := t.Err(); err != nil || l == nil {
		return Report{}, errors.Join(ErrNoLayout, err)
	}
	r := Report{Volumes: l.Volumes}
	r.Lost, r.Unread = t.withheld(l, m)
	for i := range l.Volumes {
		var sum layout.Report
		more, err := sorted(maxNames, func(yield func(layout.Damage) bool) error {
			var err error
			sum, err = l.DamagedIn(ctx, i, m, int64(t.info.Sector), yield)
			return err
		}, yield)
		r.Files, r.Damaged, r.Unnamed = r.Files+sum.Files, r.Damaged+sum.Damaged, r.Unnamed+sum.Unnamed
		if err != nil || !more {
			return r, err
		}
	}
	return r, nil
}

// withheld counts the bytes that the parsers did not get: what is not rescued, and what
// is and was not read again.
func (t *Triage) withheld(l *layout.Layout, m *mapfile.Map) (lost, unread int64) {
	size := int64(t.info.Sector)
	for _, w := range l.Wanted {
		s := t.sectors(w)
		for r := range m.Within(s.first, s.end-s.first) {
			if r.Status == mapfile.Rescued {
				unread += r.Sectors * size
			} else {
				lost += r.Sectors * size
			}
		}
	}
	return lost, unread
}

// Finish draws the last conclusions after a run: it makes another scan when metadata came
// since the newest. [Triage.Tiers] and [Triage.NotFound] then tell what was found in the
// end. The error is ctx's.
func (t *Triage) Finish(ctx context.Context, m *mapfile.Map) error {
	if t.knows() && t.Layout() == nil {
		return nil
	}
	return t.conclude(ctx, m)
}

// conclude scans until there is nothing new in the scratch.
func (t *Triage) conclude(ctx context.Context, m *mapfile.Map) error {
	t.mu.Lock()
	t.pending = nil // what has not come by now was not handed over
	if t.scan != nil {
		t.scan.end()
	}
	t.mu.Unlock()
	for !t.isOff() {
		if s := t.underWay(); s != nil {
			select {
			case <-s.done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			continue
		}
		t.adopt(m)
		if !t.stale() {
			break
		}
		t.begin()
	}
	return nil
}

// reread reads the metadata that is rescued and not in the scratch, and scans, until
// nothing more is wanted that can be had.
func (t *Triage) reread(ctx context.Context, m *mapfile.Map, src rescue.Source) error {
	t.mu.Lock()
	t.left = math.MaxInt64
	t.mu.Unlock()
	for {
		p := &recaller{t: t}
		out, err := rescue.Run(ctx, src, t.Sink(nowhere{}), m.Clone(), rescue.Options{
			Now: t.o.Now, After: t.o.After, Planner: func(*mapfile.Map, rescue.Info) rescue.Planner { return p },
		})
		switch {
		case err != nil:
			return fmt.Errorf("read metadata again: %w", err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if err := t.conclude(ctx, m); err != nil {
			return err
		}
		if !p.asked || out.Stop != rescue.Finished {
			return nil // what the source did not give is counted as unread
		}
	}
}

// recaller is a planner that reads nothing but what is to be read again.
type recaller struct {
	t     *Triage
	asked bool
}

// Next implements [rescue.Planner].
func (p *recaller) Next() (rescue.Read, bool) {
	s, ok := p.t.takeAgain()
	p.asked = p.asked || ok
	return rescue.Read{First: s.first, Sectors: s.end - s.first, Pass: PassAgain, Stage: "layout", Deadline: againDeadline}, ok
}

// Done implements [rescue.Planner].
func (p *recaller) Done(r rescue.Read, res rescue.Result) []mapfile.Run {
	p.t.expect(r.First, min(max(res.Good, 0), r.Sectors))
	return nil
}

// nowhere takes what nobody wants to keep.
type nowhere struct{}

// Write implements [rescue.Sink].
func (nowhere) Write(_ context.Context, _ int64, _ []byte, _ uint8, release func()) error {
	release()
	return nil
}

// Mark implements [rescue.Sink].
func (nowhere) Mark(context.Context, int64, int64, byte, uint8) error { return nil }

// ranked is a damage and its place in the walk, which tells apart those of one path.
type ranked struct {
	layout.Damage
	no int64
}

func (a ranked) compare(b ranked) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.no, b.no))
}

// size is about what it takes in memory.
func (a ranked) size() int64 { return int64(len(a.Path)) + 128 }

// highest is a heap of damages, the last in order on top.
type highest []ranked

func (h highest) Len() int           { return len(h) }
func (h highest) Less(i, j int) bool { return h[i].compare(h[j]) > 0 }
func (h highest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop implement [heap.Interface].
func (h *highest) Push(x any) { *h = append(*h, x.(ranked)) }

// Pop removes the last.
func (h *highest) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = ranked{}
	*h = (*h)[:last]
	return x
}

// sorted yields by path what walk yields in any order, the same each time. It keeps
// about most bytes of it and walks as often as that takes. False means that yield
// wanted no more.
func sorted(most int64, walk func(func(layout.Damage) bool) error, yield func(layout.Damage) bool) (bool, error) {
	var behind *ranked // all up to it was yielded
	for {
		var kept highest
		var size, no int64
		full := false
		err := walk(func(d layout.Damage) bool {
			x := ranked{d, no}
			no++
			if behind != nil && x.compare(*behind) <= 0 || full && x.compare(kept[0]) > 0 {
				return true
			}
			heap.Push(&kept, x)
			for size += x.size(); size > most && len(kept) > 1; full = true {
				size -= heap.Pop(&kept).(ranked).size()
			}
			return true
		})
		if err != nil {
			return false, err
		}
		slices.SortFunc(kept, ranked.compare)
		for _, x := range kept {
			if !yield(x.Damage) {
				return false, nil
			}
		}
		if !full {
			return true, nil
		}
		behind = &kept[len(kept)-1]
	}
}
