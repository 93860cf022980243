package layout

import (
	"context"

	"salvor/rescue/mapfile"
)

// Damage is a file that is not whole.
type Damage struct {
	Volume int    // its place in [Layout.Volumes]
	Path   string // see [File.Path]
	Size   int64
	// Bad is how many bytes of the content were asked for and not got, Untried how many
	// nobody asked for. Of a packed file they are bytes as stored.
	Bad, Untried int64
	// Lost is how many bytes are of unknown place, since the metadata that says is not rescued.
	Lost int64
	// Folder says that it is a folder: what it listed may be missing from this report.
	Folder bool
	// System says that it is the file system's own: its table, its journal.
	System bool
}

// Report is what [Layout.Damaged] found besides the files it named.
type Report struct {
	Files   int64 // files looked at, folders not counted
	Damaged int64 // of these, files that are not whole
	// Unnamed counts file records and folder blocks that are lost with the names of
	// whatever they described.
	Unnamed int64
}

// Damaged walks every volume whose files can be listed and yields what is not whole,
// by the map of the rescue; sector is the size of the map's units in bytes. Volumes of
// other kinds are left out: of their files nothing can be said.
func (l *Layout) Damaged(ctx context.Context, m *mapfile.Map, sector int64, yield func(Damage) bool) (Report, error) {
	var sum Report
	for i := range l.Volumes {
		more := true
		r, err := l.DamagedIn(ctx, i, m, sector, func(d Damage) bool {
			more = yield(d)
			return more
		})
		sum.Files, sum.Damaged, sum.Unnamed = sum.Files+r.Files, sum.Damaged+r.Damaged, sum.Unnamed+r.Unnamed
		if err != nil || !more {
			return sum, err
		}
	}
	return sum, nil
}

// DamagedIn does for one volume what [Layout.Damaged] does for all, in the order of the
// walk, which is the same each time.
func (l *Layout) DamagedIn(ctx context.Context, volume int, m *mapfile.Map, sector int64, yield func(Damage) bool) (Report, error) {
	var sum Report
	lost, err := l.Volumes[volume].Walk(ctx, func(f *File) bool {
		d := Damage{Volume: volume, Path: f.Path, Size: f.Size, Lost: f.Lost, Folder: f.Dir, System: f.System}
		for _, p := range f.Pieces {
			n := min(p.Len, f.Valid-p.Off)
			if f.Packed || f.Dir {
				n = p.Len
			}
			if n > 0 {
				bad, untried := unread(m, sector, Extent{p.First, n})
				d.Bad, d.Untried = d.Bad+bad, d.Untried+untried
			}
		}
		whole := d.Bad+d.Untried+d.Lost == 0
		if !f.Dir && !f.System {
			sum.Files++
			if !whole {
				sum.Damaged++
			}
		}
		return whole || yield(d)
	})
	sum.Unnamed = lost.Records
	return sum, err
}

// unread counts the bytes of e that the map does not call rescued.
func unread(m *mapfile.Map, sector int64, e Extent) (bad, untried int64) {
	first, end := e.First/sector, min((e.End()+sector-1)/sector, m.Sectors())
	if first >= end {
		return 0, e.Len
	}
	for r := range m.Within(first, end-first) {
		n := Extent{r.First * sector, r.Sectors * sector}.within(e).Len
		switch r.Status {
		case mapfile.Rescued:
		case mapfile.Untried:
			untried += n
		default:
			bad += n
		}
	}
	return bad, untried
}
