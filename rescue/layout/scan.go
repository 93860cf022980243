package layout

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// Options adjusts [Scan]. The zero value is usable.
type Options struct {
	// Sector is the source's logical sector in bytes, the unit of partition tables;
	// 0 is 512. The other usual size is tried where this one makes no sense.
	Sector int64
	// First are paths whose files are wanted before all others, as the user spells
	// them: from the root of a volume, with either slash, in any case. A folder stands
	// for all that it holds. Each volume is searched.
	First []string
}

// Layout is what is known of a disk.
type Layout struct {
	Table   string   // "gpt", "mbr", "none" when the disk has none, "" while that is not known
	Volumes []Volume // in order of place
	// Regions cover the disk without gap or overlap, in order.
	Regions []Region
	// First is where the files of [Options.First] lie, in order.
	First []Extent
	// Found says of each path of [Options.First] whether a volume has something there.
	Found []bool
	// Wanted is what the parsers asked for that is not rescued: T0 first, then T1, each in
	// order of place. What was tried and is bad stays in it, so the caller takes away
	// what it tried. When nothing new is left, another scan would find nothing new.
	Wanted []Region
}

// Kind says what a volume is, as far as that decides what can be known of it.
type Kind uint8

const (
	// Unknown is content that no parser takes for its own, or that is not rescued yet.
	Unknown Kind = iota
	// FileSystem is a file system whose files can be listed.
	FileSystem
	// Recognised is a file system that is known by name only.
	Recognised
	// Encrypted is a volume that only its key opens.
	Encrypted
	// Member is a part of a RAID or of a volume group.
	Member
	// Swap holds nothing that outlives a restart.
	Swap
)

// String gives the kind in words.
func (k Kind) String() string {
	switch k {
	case FileSystem:
		return "file system"
	case Recognised:
		return "recognised"
	case Encrypted:
		return "encrypted"
	case Member:
		return "member"
	case Swap:
		return "swap"
	case Unknown:
	}
	return "unknown"
}

// Volume is a partition, or a whole disk without partitions.
type Volume struct {
	Extent
	Kind Kind
	// Name is the file system or container: "ntfs", "ext4", "luks", "unknown file system".
	Name string
	// Allocation says that free space is known; otherwise the whole volume is one tier.
	Allocation bool
	// Used is how many bytes are not free.
	Used int64
	// Why tells what kept an unknown volume from being known.
	Why string

	view View
	open func(*reader) (fileSystem, error) // nil when files cannot be listed
}

// Scan finds out the layout of what v shows. It reads through v only, each structure
// about once, and keeps no more than a few hundred megabytes for the largest disks.
// What is not rescued is no error but wanted; an error is v's own, or ctx's.
func Scan(ctx context.Context, v View, o Options) (*Layout, error) {
	if o.Sector <= 0 {
		o.Sector = 512
	}
	s := &scan{ctx: ctx, view: v, options: o, found: make([]bool, len(o.First)), all: Extent{0, max(v.Size(), 0)}, whole: newReader(ctx, v, Extent{0, max(v.Size(), 0)}, nil)}
	s.whole.wanted = &s.wanted
	l := &Layout{}
	var parts []Extent
	l.Table, parts = s.partitions()
	if l.Table == "none" {
		l.Volumes = append(l.Volumes, s.volume(s.all))
	} else {
		for _, p := range parts {
			l.Volumes = append(l.Volumes, s.volume(p))
		}
		l.Volumes = s.unlisted(l.Volumes)
	}
	if s.err() != nil {
		return nil, s.err()
	}
	l.Regions = s.regions(l)
	for i := range l.Volumes {
		sum := tally(cut(l.Regions, l.Volumes[i].Extent))
		l.Volumes[i].Used = l.Volumes[i].Len - sum[T5]
	}
	for _, e := range s.first.extents() {
		l.First = append(l.First, e.within(s.all))
	}
	l.Found = s.found
	l.Wanted = s.wanted.regions()
	return l, nil
}

// scan is the state of one Scan.
type scan struct {
	ctx     context.Context
	view    View
	options Options
	all     Extent
	whole   *reader
	wanted  wanted
	failed  error
	tiers   [T5]set // T0 to T4, in bytes of the disk
	first   set
	found   []bool // of options.First
	partial bool   // the table is not known whole
}

func (s *scan) err() error {
	if s.failed == nil {
		s.failed = s.whole.err
	}
	return s.failed
}

// volume finds out what e holds and enters it in the tiers.
func (s *scan) volume(e Extent) (v Volume) {
	v = Volume{Extent: e, view: s.view, Name: unknownName}
	r := newReader(s.ctx, s.view, e, &s.wanted)
	defer func() {
		// The parsers are fuzzed not to panic. Should one do so all the same, the customer's
		// volume is worth more than the proof: it becomes one that is not known.
		if p := recover(); p != nil {
			v.Kind, v.Name, v.Allocation, v.open = Unknown, unknownName, false, nil
			v.Why = fmt.Sprintf("parser failed: %v", p)
			s.opaque(v, T3)
		}
		if r.err != nil && s.failed == nil {
			s.failed = r.err
		}
	}()
	f, id := identify(r, true)
	v.Kind, v.Name, v.Why, v.open = id.kind, id.name, id.why, id.open
	if f == nil {
		tier := T3
		if v.Kind == Swap {
			tier = T4
		}
		s.opaque(v, tier)
		return v
	}
	// A survey may add a good deal before it finds that it knows nothing; the layers
	// only ever rank higher than "one tier", so they stay.
	part := Extent{0, e.Len}
	v.Allocation = f.survey(func(x Extent, t Tier) {
		x = x.within(part)
		if t < T5 {
			s.tiers[t].add(Extent{x.First + e.First, x.Len})
		}
	})
	if v.Kind == FileSystem {
		f.walk(func(file *File) bool {
			s.enter(file, v, id.family)
			return !r.spent()
		})
	}
	if r.left <= 0 {
		v.Allocation, v.Why = false, "its structures point at each other without end"
	}
	if !v.Allocation {
		s.opaque(v, T3)
	}
	return v
}

// opaque enters a volume of which nothing is known as one tier, with its beginning,
// where a boot sector or header lies, before all else.
func (s *scan) opaque(v Volume, t Tier) {
	s.tiers[t].add(v.Extent)
	s.tiers[T0].add(Extent{v.First, min(v.Len, 4096)})
}

// enter books the pieces of one file.
func (s *scan) enter(f *File, v Volume, fam family) {
	t := T1
	if !f.Dir && !f.System {
		t = fam.worth(f.Path)
	} else if f.System {
		t = T3
	}
	first := !f.System && s.asked(f.Path)
	part := Extent{0, v.Len}
	for _, e := range f.nodes {
		e = e.within(part)
		s.tiers[T1].add(Extent{e.First + v.First, e.Len})
	}
	for _, p := range f.Pieces {
		e := Extent{p.First, p.Len}.within(part)
		e.First += v.First
		s.tiers[t].add(e)
		if first {
			s.first.add(e)
		}
	}
}

// asked reports whether path is one of Options.First or lies below it.
func (s *scan) asked(path string) (asked bool) {
	if len(s.options.First) == 0 {
		return false
	}
	path = strings.ToLower(path)
	for i, want := range s.options.First {
		want = strings.Trim(strings.ReplaceAll(strings.ToLower(want), `\`, "/"), "/")
		if len(want) > 2 && want[1] == ':' && want[2] == '/' {
			want = want[3:] // C:\Users
		}
		if want == "" || path == want || strings.HasPrefix(path, want+"/") {
			asked, s.found[i] = true, true
		}
	}
	return asked
}

// regions paints the tiers over each other, the most urgent last.
func (s *scan) regions(l *Layout) []Region {
	base := T5
	if l.Table == "" || s.partial {
		base = T3 // what is free is not known before the table is
	}
	out := []Region{}
	if s.all.Len > 0 {
		out = append(out, Region{s.all, base})
	}
	for _, t := range []Tier{T3, T4, T2, T1, T0} {
		if t <= T1 {
			// What the parsers wait for is metadata, whatever lies there.
			for _, e := range s.wanted.tiers[t].extents() {
				s.tiers[t].add(e)
			}
		}
		out = paint(out, s.tiers[t].extents(), t)
	}
	return out
}

// Walk lists the volume's files; those of T0 and T1 metadata are left out unless
// they have names. It reads the metadata again, through the view of the scan. The
// file belongs to the caller only until yield returns; yield says false to end.
func (v *Volume) Walk(ctx context.Context, yield func(*File) bool) (lost Lost, err error) {
	if v.open == nil {
		return Lost{}, nil
	}
	r := newReader(ctx, v.view, v.Extent, nil)
	theirs := false // in the caller's code, whose panics are the caller's
	defer func() {
		if theirs {
			return
		}
		if p := recover(); p != nil {
			err = fmt.Errorf("listing the files of a volume (%s): parser failed: %v", v.Name, p)
		}
	}()
	f, err := v.open(r)
	if err != nil {
		return Lost{}, cmp.Or(r.err, err)
	}
	lost = f.walk(func(file *File) bool {
		for i := range file.Pieces {
			file.Pieces[i].First += v.First
		}
		theirs = true
		more := yield(file)
		theirs = false
		return more && !r.spent()
	})
	return lost, r.err
}
