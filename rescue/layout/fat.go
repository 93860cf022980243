package layout

import (
	"encoding/binary"
	"slices"
	"strings"
)

// fat is a volume of FAT12, FAT16 or FAT32: the table says of each cluster which one
// follows, or that it is free. There are mostly two copies of it.
type fat struct {
	r        *reader
	bits     int // 12, 16 or 32
	sector   int64
	cluster  int64
	clusters int64 // they are numbered from 2
	total    int64 // bytes
	table    int64 // byte where the first copy begins
	tableLen int64
	copies   int64
	rootAt   int64 // FAT12 and FAT16: where the root folder lies
	rootLen  int64
	root     int64 // FAT32: its first cluster
	heap     int64 // byte of cluster 2
	mapped   int64
}

func openFAT(r *reader) (fileSystem, error) { return openFATAt(r, 0) }

// openFATBackup opens by the copy that FAT32 keeps in its sixth sector.
func openFATBackup(r *reader) (fileSystem, error) {
	for _, sector := range []int64{512, 4096} {
		if f, err := openFATAt(r, 6*sector); err == nil && f.(*fat).bits == 32 && f.(*fat).sector == sector {
			return f, nil
		}
	}
	return nil, nonsense("no copy of a FAT boot sector")
}

func openFATAt(r *reader, at int64) (fileSystem, error) {
	b := make([]byte, 512)
	if !r.read(b, at, T0) {
		return nil, nonsense("no boot sector")
	}
	le := binary.LittleEndian
	f := &fat{
		r: r, sector: int64(le.Uint16(b[11:])), copies: int64(b[16]), mapped: 2 * r.size,
		rootLen: int64(le.Uint16(b[17:])) * 32,
	}
	perCluster, reserved := int64(b[13]), int64(le.Uint16(b[14:]))
	sectors := int64(le.Uint16(b[19:]))
	if sectors == 0 {
		sectors = int64(le.Uint32(b[32:]))
	}
	perTable := int64(le.Uint16(b[22:]))
	if perTable == 0 {
		perTable = int64(le.Uint32(b[36:]))
		f.bits = 32
	}
	if b[0] != 0xEB && b[0] != 0xE9 || b[21] != 0xF0 && b[21] < 0xF8 || !power(f.sector, 512, 4096) || !power(perCluster, 1, 128) ||
		reserved < 1 || f.copies < 1 || f.copies > 4 || perTable < 1 || sectors < 1 || f.bits == 32 && f.rootLen != 0 || f.bits != 32 && f.rootLen == 0 {
		return nil, nonsense("no FAT boot sector")
	}
	f.total = sectors * f.sector
	f.cluster = perCluster * f.sector
	f.table, f.tableLen = reserved*f.sector, perTable*f.sector
	f.rootAt = f.table + f.copies*f.tableLen
	f.heap = f.rootAt + (f.rootLen+f.sector-1)/f.sector*f.sector
	f.clusters = (f.total - f.heap) / f.cluster
	if f.heap >= f.total || f.clusters < 1 || f.total > r.size+r.size/2 {
		return nil, nonsense("FAT of %d bytes in %d", f.total, r.size)
	}
	switch {
	case f.bits == 32:
		f.root = int64(le.Uint32(b[44:]) & 0x0FFFFFFF)
	case f.clusters < 4085:
		f.bits = 12
	default:
		f.bits = 16
	}
	// A table that is too short says nothing of the clusters behind its end.
	if room := f.tableLen*8/int64(f.bits) - 2; f.clusters > room {
		if room < 1 {
			return nil, nonsense("FAT without a table")
		}
		f.clusters = room
	}
	return f, nil
}

func (f *fat) name() string { return map[int]string{12: "fat12", 16: "fat16", 32: "fat32"}[f.bits] }

func (f *fat) size() int64 { return f.total }

// place is the byte where a cluster begins.
func (f *fat) place(c int64) int64 { return f.heap + (c-2)*f.cluster }

// entry reads what the table says of a cluster; false when no copy can be read.
func (f *fat) entry(c int64) (uint32, bool) {
	var b [4]byte
	off, n := c*4, 4
	switch f.bits {
	case 12:
		off, n = c+c/2, 2
	case 16:
		off, n = c*2, 2
	}
	for k := range f.copies {
		if off+int64(n) <= f.tableLen && f.r.near(b[:n], f.table+k*f.tableLen+off, T1) {
			return f.value(binary.LittleEndian.Uint32(b[:]), c), true
		}
	}
	return 0, false
}

// value is a table entry without its neighbours; the marks of the short kinds are
// spelled as FAT32 spells them.
func (f *fat) value(v uint32, c int64) uint32 {
	switch f.bits {
	case 12:
		if c%2 == 1 {
			v >>= 4
		}
		if v &= 0xFFF; v >= 0xFF0 {
			v |= 0x0FFFF000
		}
	case 16:
		if v &= 0xFFFF; v >= 0xFFF0 {
			v |= 0x0FFF0000
		}
	default:
		v &= 0x0FFFFFFF
	}
	return v
}

const fatBad = 0x0FFFFFF7

// survey enters the boot sectors, the copies of the table, and each cluster that any
// copy that can be read does not call free.
func (f *fat) survey(add func(Extent, Tier)) bool {
	add(Extent{0, min(f.table, 32*f.sector)}, T0)
	add(Extent{0, f.table}, T3)
	add(Extent{f.table, f.copies * f.tableLen}, T1)
	add(Extent{f.rootAt, f.heap - f.rootAt}, T1)
	// Three bytes hold two entries of FAT12, so a chunk is a multiple of three.
	const chunk = 192 << 10
	width := int64(f.bits)
	buf := make([][]byte, f.copies)
	known := make([]bool, f.copies)
	start := int64(-1)
	for at := int64(0); at < f.tableLen; at += chunk {
		n := min(chunk, f.tableLen-at)
		holes := make([][]Extent, f.copies)
		for k := range f.copies {
			if buf[k] == nil {
				buf[k] = make([]byte, min(chunk, f.tableLen)+4)
			}
			holes[k] = f.r.fill(buf[k][:n], f.table+k*f.tableLen+at, T1)
		}
		for c := at * 8 / width; c < (at+n)*8/width; c++ {
			if c < 2 || c >= f.clusters+2 {
				continue
			}
			off := c*width/8 - at
			used, some := false, false
			for k := range f.copies {
				for len(holes[k]) > 0 && holes[k][0].End() <= f.table+k*f.tableLen+at+off {
					holes[k] = holes[k][1:]
				}
				known[k] = len(holes[k]) == 0 || holes[k][0].First >= f.table+k*f.tableLen+at+off+(width+7)/8
				if known[k] {
					v := f.value(binary.LittleEndian.Uint32(buf[k][off:]), c)
					some = true
					used = used || v != 0 && v != fatBad
				}
			}
			if used = used || !some; used && start < 0 {
				start = c
			} else if !used && start >= 0 {
				add(Extent{f.place(start), (c - start) * f.cluster}, T3)
				start = -1
			}
		}
		if f.r.spent() {
			return false
		}
	}
	if start >= 0 {
		add(Extent{f.place(start), (f.clusters + 2 - start) * f.cluster}, T3)
	}
	return true
}

// chain follows the clusters from first on, as far as size bytes need; size below 0
// is to the end. lost says that the chain goes on where it cannot be followed.
func (f *fat) chain(first, size int64) (pieces []Piece, lost bool) {
	list := pieceList{room: f.clusters * f.cluster}
	off := int64(0)
	for c := first; size < 0 || off < size; {
		if c < 2 || c >= f.clusters+2 {
			return list.pieces, size >= 0
		}
		if f.mapped -= f.cluster; f.mapped < 0 || !list.add(Piece{off, f.place(c), f.cluster}) {
			return list.pieces, true
		}
		off += f.cluster
		if size >= 0 && off >= size {
			break
		}
		next, ok := f.entry(c)
		switch {
		case !ok:
			return list.pieces, true
		case next >= 0x0FFFFFF8:
			return list.pieces, size >= 0
		}
		c = int64(next)
	}
	return list.pieces, false
}

// fatFolder is a folder that is still to be listed.
type fatFolder struct {
	first int64 // 0 is the root of FAT12 and FAT16
	depth int
}

func (f *fat) walk(yield func(*File) bool) (lost Lost) {
	f.mapped = 2*f.r.size + 1<<20
	seen := map[int64]bool{f.root: true}
	var todo backlog[fatFolder]
	todo.push("", fatFolder{first: f.root})
	for !f.r.spent() {
		folder, d, ok := todo.pop()
		if !ok {
			break
		}
		pieces := []Piece{{0, f.rootAt, f.rootLen}}
		cutShort := false
		if f.bits == 32 || d.first != 0 {
			pieces, cutShort = f.chain(d.first, -1)
		}
		if cutShort {
			lost.Records++
		}
		size := placed(pieces, 1<<62)
		if !yield(&File{Path: folder, Size: size, Valid: size, Pieces: slices.Clone(pieces), Dir: true}) { // yield may change them
			return lost
		}
		more := true
		unread := f.entries(pieces, func(e fatEntry) bool {
			path := join(folder, e.name)
			if e.folder {
				if e.first >= 2 && !seen[e.first] {
					if d.depth >= maxDepth || len(seen) >= maxFolders || !todo.push(path, fatFolder{e.first, d.depth + 1}) {
						lost.Records++
					}
					seen[e.first] = len(seen) < maxFolders
				}
				return true
			}
			file := &File{Path: path, Size: e.size, Valid: e.size}
			if e.size > 0 {
				pieces, cutShort := f.chain(e.first, e.size)
				file.Pieces = pieces
				if cutShort {
					file.Lost = e.size - placed(pieces, e.size)
				}
			}
			more = yield(file)
			return more
		})
		lost.Records += unread
		if !more {
			return lost
		}
	}
	return lost
}

// fatEntry is a file or folder that a folder lists.
type fatEntry struct {
	name   string
	folder bool
	first  int64
	size   int64
}

// entries reads a folder, and returns how many of its blocks cannot be read.
func (f *fat) entries(pieces []Piece, yield func(fatEntry) bool) (unread int64) {
	le := binary.LittleEndian
	var long []string // parts of a long name, the last one first
	var sum byte      // of the short name it belongs to
	buf := make([]byte, 512)
	for _, p := range pieces {
		for at := int64(0); at < p.Len && !f.r.spent(); at += 512 {
			b := buf[:min(512, p.Len-at)]
			if !f.r.near(b, p.First+at, T1) {
				unread++
				long = nil
				continue
			}
			for ; len(b) >= 32; b = b[32:] {
				attributes := b[11]
				switch {
				case b[0] == 0:
					return unread
				case b[0] == 0xE5:
					long = nil
					continue
				case attributes&0x3F == 0x0F:
					if b[0]&0x40 != 0 || b[13] != sum {
						long, sum = nil, b[13]
					}
					if len(long) < 20 {
						long = append(long, string(b[1:11])+string(b[14:26])+string(b[28:32]))
					}
					continue
				case attributes&0x08 != 0: // the volume's label
					long = nil
					continue
				}
				e := fatEntry{name: fatShort(b), folder: attributes&0x10 != 0, size: int64(le.Uint32(b[28:]))}
				e.first = int64(le.Uint16(b[26:]))
				if f.bits == 32 {
					e.first |= int64(le.Uint16(b[20:])&0x0FFF) << 16
				}
				if len(long) > 0 && sum == fatSum(b[:11]) {
					var name strings.Builder
					for i := range long {
						name.WriteString(long[len(long)-1-i])
					}
					e.name, _, _ = strings.Cut(utf16le([]byte(name.String())), "\x00")
				}
				long = nil
				if e.name != "." && e.name != ".." && !yield(e) {
					return unread
				}
			}
		}
	}
	return unread
}

// fatShort spells the short name of an entry, in the case that Windows NT notes beside it.
func fatShort(b []byte) string {
	name := []byte(strings.TrimRight(string(b[:8]), " "))
	if len(name) > 0 && name[0] == 0x05 {
		name[0] = 0xE5
	}
	dot := strings.TrimRight(string(b[8:11]), " ")
	out := latin(name)
	if b[12]&0x08 != 0 {
		out = strings.ToLower(out)
	}
	if dot != "" {
		if b[12]&0x10 != 0 {
			dot = strings.ToLower(dot)
		}
		out += "." + latin([]byte(dot))
	}
	return out
}

// latin spells bytes of an unknown code page: what is not ASCII is replaced.
func latin(p []byte) string {
	return strings.Map(func(r rune) rune {
		if r > 0x7E || r < 0x20 {
			return 0xFFFD
		}
		return r
	}, string(p))
}

// fatSum is the checksum of a short name that its long name carries.
func fatSum(p []byte) (sum byte) {
	for _, b := range p {
		sum = sum>>1 | sum<<7
		sum += b
	}
	return sum
}
