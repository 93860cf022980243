package layout

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// Bounds on partition tables, each far above what occurs.
const (
	maxPartitions = 256
	maxLogical    = 128     // partitions in an extended one
	firstTrack    = 2 << 20 // boot loaders live between the table and the first partition, up to here
	smallGap      = 4 << 20 // a gap below this is not searched for volumes
	maxPlaces     = 6       // in a gap at which one may begin
)

// partitions reads the table: its kind ("" when that cannot be told yet) and the
// partitions, in order of place.
func (s *scan) partitions() (string, []Extent) {
	sector0 := make([]byte, min(512, s.all.Len))
	known := s.whole.read(sector0, 0, T0) && len(sector0) == 512
	s.tiers[T0].add(Extent{0, min(s.all.Len, s.options.Sector)})
	entries, isMBR := parseMBR(sector0)
	protective := slices.ContainsFunc(entries, func(e mbrEntry) bool { return e.kind == 0xEE })

	if known && !protective {
		// Boot sectors of file systems end like a partition table: ask them first.
		if f, _ := try(s.whole, bootParsers(), func(p parser) func(*reader) (fileSystem, error) { return p.open }); f != nil {
			return "none", nil
		}
		if isMBR {
			return "mbr", s.mbr(entries)
		}
	}
	if parts, ok := s.gpt(protective || !known); ok {
		return "gpt", parts
	}
	if !known {
		if s.fillsDisk() {
			return "none", nil
		}
		return "", nil
	}
	if protective {
		// Both copies of the table are gone, or not rescued yet.
		return "", nil
	}
	return "none", nil
}

// startSlack is by how much a volume may be shorter than the disk that it fills: it ends
// at a multiple of its blocks. A volume behind a table begins 63 sectors in, or further.
const startSlack = 62 * 512

// fillsDisk reports whether a volume without a table takes the whole disk, where the first
// sector, in which a table would be, cannot be read: by its superblock, or by what its
// file system keeps in a second place. As long as the last sector is not rescued the first
// one may just not have come yet. Such a volume may also have been there before the disk
// was partitioned: its free space is not believed where the first partition would begin
// with another, or that cannot be read.
func (s *scan) fillsDisk() bool {
	silent := newReader(s.ctx, s.view, s.all, nil)
	if s.all.Len < smallGap || !silent.read(make([]byte, 512), s.all.Len-512, T0) {
		return false
	}
	fits := func(f fileSystem) bool {
		return f != nil && f.size() <= s.all.Len && s.all.Len-f.size() < startSlack
	}
	for _, at := range []int64{63 * s.options.Sector, 1 << 20} {
		if f, id := identify(newReader(s.ctx, s.view, Extent{at, s.all.Len - at}, &s.wanted), false); f != nil || id.kind != Unknown || id.unsure {
			return false
		}
	}
	if f, _ := try(s.whole, superParsers(), func(p parser) func(*reader) (fileSystem, error) { return p.open }); fits(f) {
		return true
	}
	f, _ := try(s.whole, append(bootParsers(), superParsers()...), func(p parser) func(*reader) (fileSystem, error) { return p.backup })
	return fits(f)
}

// mbrEntry is one of the four lines of a master boot record.
type mbrEntry struct {
	kind         byte
	first, count int64 // sectors; relative to what, depends on the record
}

func (e mbrEntry) extended() bool { return e.kind == 0x05 || e.kind == 0x0F || e.kind == 0x85 }

// parseMBR gives the entries in use, and whether this is a boot record at all.
func parseMBR(p []byte) ([]mbrEntry, bool) {
	if len(p) < 512 || p[510] != 0x55 || p[511] != 0xAA {
		return nil, false
	}
	var out []mbrEntry
	for i := range 4 {
		e := p[446+16*i:][:16]
		if e[0]&0x7F != 0 {
			return nil, false
		}
		m := mbrEntry{e[4], int64(binary.LittleEndian.Uint32(e[8:])), int64(binary.LittleEndian.Uint32(e[12:]))}
		if m.kind != 0 && m.count > 0 {
			out = append(out, m)
		}
	}
	return out, len(out) > 0
}

// mbr gives the partitions of a master boot record, in sectors of the size that
// puts more file systems where partitions begin.
func (s *scan) mbr(entries []mbrEntry) []Extent {
	best, most := []Extent(nil), -1
	other := int64(4096)
	if s.options.Sector == 4096 {
		other = 512
	}
	for _, sector := range []int64{s.options.Sector, other} {
		inside := false
		for _, e := range entries {
			inside = inside || e.first*sector < s.all.Len
		}
		if !inside && most >= 0 {
			continue
		}
		parts := s.chain(entries, sector)
		found := 0
		for _, p := range parts {
			if f, _ := identify(newReader(s.ctx, s.view, p, nil), false); f != nil {
				found++
			}
		}
		if found > most {
			best, most = parts, found
		}
		if found > 0 {
			break
		}
	}
	return best
}

// chain lists the primary partitions and follows the chain of the logical ones.
func (s *scan) chain(entries []mbrEntry, sector int64) []Extent {
	var parts []Extent
	put := func(first, count int64) {
		if e := (Extent{first * sector, count * sector}).within(s.all); e.Len > 0 && first > 0 {
			parts = append(parts, e)
		}
	}
	for _, e := range entries {
		if !e.extended() {
			put(e.first, e.count)
			continue
		}
		seen := map[int64]bool{}
		for at := e.first; len(seen) < maxLogical && !seen[at]; {
			seen[at] = true
			record := make([]byte, 512)
			s.tiers[T0].add(Extent{at * sector, sector}.within(s.all))
			if !s.whole.read(record, at*sector, T0) {
				// What comes behind is listed nowhere else: all the rest may be in use.
				s.tiers[T3].add(Extent{at * sector, (e.first + e.count - at) * sector}.within(s.all))
				break
			}
			lines, ok := parseMBR(record)
			if !ok {
				s.tiers[T3].add(Extent{at * sector, (e.first + e.count - at) * sector}.within(s.all))
				break
			}
			next := int64(-1)
			for _, l := range lines {
				if l.extended() {
					next = e.first + l.first
				} else {
					put(at+l.first, l.count)
				}
			}
			if next < 0 {
				break
			}
			at = next
		}
	}
	return tidyParts(parts)
}

// tidyParts sorts, and drops what is listed twice.
func tidyParts(parts []Extent) []Extent {
	slices.SortFunc(parts, func(a, b Extent) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Len, b.Len))
	})
	parts = slices.Compact(parts)
	return parts[:min(len(parts), maxPartitions)]
}

// gptCopy is one of the two copies of a GUID partition table.
type gptCopy struct {
	parts []Extent
	sound bool // both checksums are right
}

// gpt reads the table from whichever copy is better. The second copy is asked for
// only where the first is not sound. Unless it is expected, only a sound one counts.
func (s *scan) gpt(expected bool) ([]Extent, bool) {
	var copies []gptCopy
	for _, sector := range []int64{512, 4096} {
		for _, at := range []int64{sector, s.all.Len/sector*sector - sector} {
			c, ok := s.gptAt(at, sector)
			if ok && c.sound {
				return c.parts, true
			}
			if ok {
				copies = append(copies, c)
			}
		}
	}
	if expected {
		for _, c := range copies {
			if len(c.parts) > 0 {
				s.partial = true
				return c.parts, true
			}
		}
	}
	return nil, false
}

// gptAt reads the copy whose header lies at byte at.
func (s *scan) gptAt(at, sector int64) (gptCopy, bool) {
	head := make([]byte, 512)
	if at < sector || !s.whole.read(head, at, T0) || string(head[:8]) != "EFI PART" {
		return gptCopy{}, false
	}
	s.tiers[T0].add(Extent{at, sector}.within(s.all))
	le := binary.LittleEndian
	headLen, count, size := le.Uint32(head[12:]), int64(le.Uint32(head[80:])), int64(le.Uint32(head[84:]))
	array := int64(le.Uint64(head[72:]))
	if size < 128 || size > 4096 || size&(size-1) != 0 || count < 1 || count > 4*maxPartitions || array < 1 || array > s.all.Len/sector {
		return gptCopy{}, false
	}
	sound := false
	if headLen >= 92 && headLen <= 512 {
		want := le.Uint32(head[16:])
		clear(head[16:20])
		sound = crc32.ChecksumIEEE(head[:headLen]) == want
	}
	lines := make([]byte, count*size)
	holes := s.whole.fill(lines, array*sector, T0)
	s.tiers[T0].add(Extent{array * sector, (count*size + sector - 1) / sector * sector}.within(s.all))
	c := gptCopy{sound: sound && len(holes) == 0 && crc32.ChecksumIEEE(lines) == le.Uint32(head[88:])}
	for i := range count {
		l := lines[i*size:][:size]
		first, last := int64(le.Uint64(l[32:])), int64(le.Uint64(l[40:]))
		if [16]byte(l) == [16]byte{} || first < 1 || last < first || first >= s.all.Len/sector {
			continue
		}
		last = min(last, s.all.Len/sector)
		if e := (Extent{first * sector, (last - first + 1) * sector}).within(s.all); e.Len > 0 {
			c.parts = append(c.parts, e)
		}
	}
	c.parts = tidyParts(c.parts)
	return c, true
}

// unlisted adds the volumes that no table lists: where a table is not rescued, or was
// lost, or a partition deleted. It looks at the places where partitions begin.
func (s *scan) unlisted(volumes []Volume) []Volume {
	var taken set
	firstUsed := s.all.Len
	for _, v := range volumes {
		taken.add(v.Extent)
		firstUsed = min(firstUsed, v.First)
	}
	s.tiers[T3].add(Extent{0, min(firstUsed, firstTrack)})
	for {
		var found *Volume
		for gap := range gaps(s.all, taken.extents()) {
			if found = s.unlistedIn(gap); found != nil {
				break
			}
		}
		if found == nil || len(volumes) >= maxPartitions || s.err() != nil {
			break
		}
		volumes = append(volumes, *found)
		taken.add(found.Extent)
	}
	slices.SortStableFunc(volumes, func(a, b Volume) int { return cmp.Compare(a.First, b.First) })
	return volumes
}

func (s *scan) unlistedIn(gap Extent) *Volume {
	const mib = 1 << 20
	places := []int64{gap.First + 63*s.options.Sector}
	if gap.First > 0 {
		places = append(places, gap.First)
	}
	for next := (gap.First/mib + 1) * mib; len(places) < maxPlaces; next += mib {
		places = append(places, next)
	}
	slices.Sort(places)
	for _, at := range slices.Compact(places) {
		e := Extent{at, gap.End() - at}
		if e.Len < smallGap || s.err() != nil {
			continue
		}
		f, id := identify(newReader(s.ctx, s.view, e, &s.wanted), false)
		if f == nil && id.kind == Unknown {
			if id.unsure {
				s.tiers[T3].add(e) // a volume may yet be found here
			}
			continue
		}
		if f != nil && f.size() > 0 {
			e.Len = min(e.Len, f.size())
		}
		v := s.volume(e)
		return &v
	}
	return nil
}
