package mapfile

import "fmt"

// FromMap returns the map of a source of size bytes as a map file. The source's
// last sector may be cut short: the file counts bytes, and ends where the source ends.
// comments become the lines at its head, each with "# " in front.
func FromMap(m *Map, sector int, size int64, comments ...string) (*File, error) {
	if sector <= 0 || size < 0 || size > MaxSectors || sectors(size, sector) != m.Sectors() {
		return nil, fmt.Errorf("map of %d sectors of %d bytes for a source of %d bytes: %w", m.Sectors(), sector, size, ErrSize)
	}
	f := &File{Status: byte(Untried), Pass: 1, Mid: []string{"#      pos        size  status"}}
	for _, c := range comments {
		f.Head = append(f.Head, "# "+c)
	}
	f.Head = append(f.Head, "# current_pos  current_status  current_pass")
	var b builder
	var end int64
	for r := range m.All() {
		b.add(r.First*int64(sector), r.Status)
		end = min(r.End()*int64(sector), size)
	}
	f.Blocks = b.finish(end)

	// ddrescue resumes with the phase that this letter names.
	f.Status = byte(Rescued)
	for _, phase := range []Status{Untried, NonTrimmed, NonScraped} {
		if r, ok := m.Next(0, phase); ok {
			f.Status, f.Pos = byte(phase), r.First*int64(sector)
			break
		}
	}
	return f, nil
}

// worse orders the statuses: of a sector of which bytes differ, the worst counts.
func worse(a, b Status) Status {
	rank := func(s Status) int {
		switch s {
		case Rescued:
			return 0
		case Untried:
			return 1
		case NonTrimmed:
			return 2
		case NonScraped:
			return 3
		}
		return 4
	}
	if rank(a) >= rank(b) {
		return a
	}
	return b
}

// Sectors returns the file's blocks as a map of the sectors of a source of size
// bytes, or [ErrSize] when the file is about another size. A sector that is only
// partly rescued is not rescued: it takes the worst status of its bytes.
func (f *File) Sectors(sector int, size int64) (*Map, error) {
	if sector <= 0 || size != f.Blocks.Sectors() {
		return nil, fmt.Errorf("map file about %d bytes for a source of %d bytes: %w", f.Blocks.Sectors(), size, ErrSize)
	}
	s := int64(sector)
	var b builder
	mixed, mix := int64(-1), Rescued // the sector that the last run ended within, and its worst status so far
	for r := range f.Blocks.All() {
		first, end := r.First, r.End()
		if mixed >= 0 {
			mix = worse(mix, r.Status)
			if end < (mixed+1)*s && end < size {
				continue
			}
			b.add(mixed, mix)
			first, mixed = min((mixed+1)*s, end), -1
		}
		if first >= end {
			continue
		}
		if whole := end / s; whole > first/s {
			b.add(first/s, r.Status)
			first = whole * s
		}
		switch {
		case first >= end:
		case end == size:
			b.add(first/s, r.Status)
		default:
			mixed, mix = first/s, r.Status
		}
	}
	return b.finish(sectors(size, sector)), nil
}

func sectors(size int64, sector int) int64 { return (size + int64(sector) - 1) / int64(sector) }
