package layout

import (
	"encoding/binary"
	"strings"
)

// exfat is a volume of exFAT: a bitmap says which clusters are in use, and the table
// is asked only for files that do not lie in one piece.
type exfat struct {
	fat
	found bool // the bitmap was found
}

func openExFAT(r *reader) (fileSystem, error) { return openExFATAt(r, 0) }

// openExFATBackup opens by the second boot region.
func openExFATBackup(r *reader) (fileSystem, error) {
	for _, sector := range []int64{512, 1024, 2048, 4096} {
		if f, err := openExFATAt(r, 12*sector); err == nil && f.(*exfat).sector == sector {
			return f, nil
		}
	}
	return nil, nonsense("no copy of an exFAT boot sector")
}

func openExFATAt(r *reader, at int64) (fileSystem, error) {
	b := make([]byte, 512)
	if !r.read(b, at, T0) {
		return nil, nonsense("no boot sector")
	}
	le := binary.LittleEndian
	if string(b[3:11]) != "EXFAT   " || b[108] < 9 || b[108] > 12 || b[109] > 25-b[108] || b[110] < 1 || b[110] > 2 {
		return nil, nonsense("no exFAT boot sector")
	}
	x := &exfat{fat: fat{r: r, bits: 32, sector: 1 << b[108], copies: int64(b[110]), mapped: 2 * r.size}}
	x.cluster = x.sector << b[109]
	sectors := le.Uint64(b[72:])
	if sectors > uint64(r.size+r.size/2)/uint64(x.sector) {
		return nil, nonsense("exFAT of %d sectors", sectors)
	}
	x.total = int64(sectors) * x.sector
	x.table, x.tableLen = int64(le.Uint32(b[80:]))*x.sector, int64(le.Uint32(b[84:]))*x.sector
	x.heap, x.clusters, x.root = int64(le.Uint32(b[88:]))*x.sector, int64(le.Uint32(b[92:])), int64(le.Uint32(b[96:]))
	if x.table < 24*x.sector || x.heap < x.table+x.tableLen || x.heap >= x.total || x.clusters < 1 ||
		x.clusters > (x.total-x.heap)/x.cluster || x.clusters > x.tableLen/4 {
		return nil, nonsense("exFAT boot sector that contradicts itself")
	}
	return x, nil
}

func (x *exfat) name() string { return "exfat" }

// survey enters the boot regions, the table, and what the bitmap calls used.
func (x *exfat) survey(add func(Extent, Tier)) bool {
	add(Extent{0, 24 * x.sector}, T0)
	add(Extent{x.table, x.copies * x.tableLen}, T1)
	// Ask for the table at once: following it link by link would take a round each.
	buf := make([]byte, min(256<<10, x.tableLen))
	for at := int64(0); at < x.tableLen && !x.r.spent(); at += int64(len(buf)) {
		x.r.fill(buf[:min(int64(len(buf)), x.tableLen-at)], x.table+at, T1)
	}
	root, _ := x.chain(x.root, -1)
	le := binary.LittleEndian
	x.sets(root, func(set []byte) bool {
		if set[0] != 0x81 && set[0] != 0x82 {
			return true
		}
		size := int64(min(le.Uint64(set[24:]), uint64(x.r.size)))
		pieces, lost := x.chain(int64(le.Uint32(set[20:])), size)
		for _, p := range pieces {
			add(Extent{p.First, p.Len}, T1)
		}
		// A second bitmap belongs to a second table: both are believed.
		if set[0] == 0x81 && !lost && size >= (x.clusters+7)/8 {
			x.found = true
			s := stream{r: x.r, pieces: pieces, size: size}
			bitsOf(&s, x.clusters, x.cluster, x.heap, false, func(e Extent) { add(e, T3) })
		}
		return true
	})
	return x.found
}

// sets gives the entries of a folder: a single one, or a file's with those that
// belong to it. It returns how many blocks cannot be read.
func (x *exfat) sets(pieces []Piece, yield func([]byte) bool) (unread int64) {
	buf := make([]byte, 512)
	var set []byte
	want := 0
	for _, p := range pieces {
		for at := int64(0); at < p.Len && !x.r.spent(); at += 512 {
			b := buf[:min(512, p.Len-at)]
			if !x.r.near(b, p.First+at, T1) {
				unread++
				set, want = nil, 0
				continue
			}
			for ; len(b) >= 32; b = b[32:] {
				if b[0] == 0 {
					return unread
				}
				if want > 0 && b[0]&0xC0 == 0xC0 {
					set = append(set, b[:32]...)
					if want--; want == 0 && !yield(set) {
						return unread
					}
					continue
				}
				want = 0
				switch {
				case b[0] == 0x85:
					set, want = append([]byte(nil), b[:32]...), int(b[1])
				case b[0]&0xC0 == 0x80:
					if !yield(b[:32]) {
						return unread
					}
				}
			}
		}
	}
	return unread
}

// pieces places a content: in one piece, or by the table.
func (x *exfat) pieces(first, size int64, whole bool) (pieces []Piece, lost bool) {
	if !whole {
		return x.chain(first, size)
	}
	n := (size + x.cluster - 1) / x.cluster
	if first < 2 || n > x.clusters || first-2 > x.clusters-n {
		return nil, true
	}
	if x.mapped -= n * x.cluster; x.mapped < 0 {
		return nil, true
	}
	return []Piece{{0, x.place(first), n * x.cluster}}, false
}

// exfatFolder is a folder that is still to be listed.
type exfatFolder struct {
	depth  int
	pieces []Piece
	lost   bool
}

func (x *exfat) walk(yield func(*File) bool) (lost Lost) {
	x.mapped = 2*x.r.size + 1<<20
	root, gone := x.chain(x.root, -1)
	seen := map[int64]bool{x.root: true}
	var todo backlog[exfatFolder]
	todo.push("", exfatFolder{pieces: root, lost: gone})
	le := binary.LittleEndian
	for !x.r.spent() {
		folder, d, ok := todo.pop()
		if !ok {
			break
		}
		if d.lost {
			lost.Records++
		}
		size := placed(d.pieces, 1<<62)
		if !yield(&File{Path: folder, Size: size, Valid: size, Pieces: append([]Piece(nil), d.pieces...), Dir: true}) {
			return lost
		}
		more := true
		lost.Records += x.sets(d.pieces, func(set []byte) bool {
			if set[0] != 0x85 || len(set) < 96 || set[32] != 0xC0 {
				return true
			}
			info := set[32:64]
			name := exfatName(set[64:], int(info[3]))
			path := join(folder, name)
			first := int64(le.Uint32(info[20:]))
			size, valid := int64(min(le.Uint64(info[24:]), 1<<62)), int64(min(le.Uint64(info[8:]), 1<<62))
			var pieces []Piece
			cutShort := false
			if size > 0 {
				pieces, cutShort = x.pieces(first, size, info[1]&2 != 0)
			}
			if le.Uint16(set[4:])&0x10 != 0 {
				if first >= 2 && !seen[first] {
					if d.depth >= maxDepth || len(seen) >= maxFolders || !todo.push(path, exfatFolder{d.depth + 1, pieces, cutShort}) {
						lost.Records++
					}
					seen[first] = len(seen) < maxFolders
				}
				return true
			}
			f := &File{Path: path, Size: size, Valid: min(valid, size), Pieces: pieces}
			if cutShort {
				f.Lost = size - placed(pieces, size)
			}
			more = yield(f)
			return more
		})
		if !more {
			return lost
		}
	}
	return lost
}

// exfatName joins the name from the entries that hold it.
func exfatName(p []byte, n int) string {
	var name strings.Builder
	for ; len(p) >= 32 && n > 0; p = p[32:] {
		if p[0] != 0xC1 {
			break
		}
		name.WriteString(string(p[2 : 2+2*min(n, 15)]))
		n -= 15
	}
	return utf16le([]byte(name.String()))
}
