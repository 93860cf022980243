package triage

import (
	"context"

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
func (r Report) Complete() bool { return false }

// Damaged yields, after a run, every file, folder and part of a file system that is not
// whole, by the map of the rescue: volume by volume, and by path within. A path may come
// up more than once when the file system has it more than once. What it yields belongs
// to the caller.
//
// Metadata that is rescued and not in the scratch is read from src, which may be nil: then
// it counts as Unread. No sector is read that m does not call rescued.
//
// It keeps no more than some 64 MiB of names at a time, and goes through the metadata
// again for more. The error is ctx's, or [ErrNoLayout] when triage is switched off.
func (t *Triage) Damaged(ctx context.Context, m *mapfile.Map, src rescue.Source, yield func(layout.Damage) bool) (Report, error) {
	return Report{}, ErrNoLayout
}

// Finish draws the last conclusions after a run: it makes another scan when metadata came
// since the newest. [Triage.Tiers] and [Triage.NotFound] then tell
// what was found in the end. The error is ctx's.
func (t *Triage) Finish(ctx context.Context, m *mapfile.Map) error {
	t.mu.Lock()
	t.pending = nil // what has not come by now was not handed over
	if t.scan != nil {
		t.scan.end()
	}
	t.mu.Unlock()
	for !t.isOff() {
		s := t.underWay()
		if s == nil {
			t.adopt(m)
			if t.knows() && t.Layout() == nil || !t.stale() {
				break
			}
			t.begin()
			continue
		}
		select {
		case <-s.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
