package layout

import "encoding/binary"

// ntfs is a volume of Windows NT. Its files are records of the master file table,
// which is a file itself; $Bitmap says which clusters are in use.
type ntfs struct {
	r           *reader
	cluster     int64 // bytes
	clusters    int64
	record      int64 // bytes of a file record
	boots       []Extent
	mft         stream
	mftKnown    bool   // record 0 was read, so mft is what it says
	inUse       stream // which records are in use
	mirror      int64  // where the copy of the first records lies
	names       folders
	listed      bool                // names and lost are complete
	lost        map[uint64]fileName // records that are not rescued; with their names, where a folder has them
	lostRecords int64
	nameless    map[uint64]fileName // files whose record with the name is lost
}

// Records of the master file table with a fixed number.
const (
	ntfsMFT     = 0
	ntfsRoot    = 5
	ntfsBitmap  = 6
	ntfsBadClus = 8
	ntfsUser    = 24 // the first that is no system file ($Extend's own have names of their own)
	ntfsNumber  = 1<<48 - 1
)

// openNTFS opens by the boot sector.
func openNTFS(r *reader) (fileSystem, error) { return openNTFSAt(r, 0) }

// openNTFSBackup opens by the copy of the boot sector behind the last cluster.
func openNTFSBackup(r *reader) (fileSystem, error) {
	for _, sector := range []int64{512, 4096} {
		if f, err := openNTFSAt(r, r.size/sector*sector-sector); err == nil {
			return f, nil
		}
	}
	return nil, nonsense("no copy of the boot sector")
}

func openNTFSAt(r *reader, at int64) (fileSystem, error) {
	b := make([]byte, 512)
	if !r.read(b, at, T0) {
		return nil, nonsense("no boot sector")
	}
	le := binary.LittleEndian
	if string(b[3:11]) != "NTFS    " {
		return nil, nonsense("no NTFS boot sector")
	}
	sector := int64(le.Uint16(b[11:]))
	perCluster := int64(b[13])
	if b[13] > 0x80 {
		perCluster = 1 << min(-int8(b[13]), 30)
	}
	n := &ntfs{r: r, cluster: sector * perCluster, record: ntfsUnit(b[0x40], sector*perCluster)}
	sectors := int64(le.Uint64(b[0x28:]))
	if !power(sector, 256, 4096) || !power(perCluster, 1, 1<<20) || !power(n.cluster, 256, 2<<20) || !power(n.record, 256, 64<<10) {
		return nil, nonsense("NTFS clusters of %d bytes, records of %d", n.cluster, n.record)
	}
	if sectors < 1 || sectors > (r.size+n.cluster)/sector*2 {
		return nil, nonsense("NTFS of %d sectors", sectors)
	}
	n.clusters = sectors / perCluster
	first, mirror := int64(le.Uint64(b[0x30:])), int64(le.Uint64(b[0x38:]))
	if first < 0 || first >= n.clusters {
		return nil, nonsense("NTFS with its MFT at %d", first)
	}
	n.boots = []Extent{{0, max(sector, n.cluster)}, {sectors * sector, sector}}
	n.mirror = -1
	if mirror > 0 && mirror < n.clusters {
		n.mirror = mirror * n.cluster
	}
	n.openMFT(first * n.cluster)
	return n, nil
}

// power reports whether v is a power of two between the bounds.
func power(v, low, high int64) bool { return v >= low && v <= high && v&(v-1) == 0 }

// ntfsUnit is a size in clusters, or, when negative, the exponent of one in bytes.
func ntfsUnit(b byte, cluster int64) int64 {
	if int8(b) < 0 {
		return 1 << min(-int16(int8(b)), 40)
	}
	return int64(b) * cluster
}

// openMFT finds the extents of the master file table, from its own first record, or
// from the copy of it.
func (n *ntfs) openMFT(first int64) {
	for _, at := range []int64{first, n.mirror} {
		if at < 0 {
			continue
		}
		p := make([]byte, n.record)
		if !n.r.read(p, at, T1) {
			continue
		}
		rec, ok := parseRecord(p)
		if !ok || !rec.inUse || rec.base != 0 {
			continue
		}
		// The parts that an attribute list names lie in the table itself, in what the
		// first record places of it.
		n.mft = n.stream(rec.attributes, attrData)
		if len(n.mft.pieces) == 0 {
			continue
		}
		n.mftKnown = true
		all, _ := n.gather(ntfsMFT, rec)
		n.mft = n.stream(all, attrData)
		n.inUse = n.stream(all, attrBitmap)
		break
	}
	if !n.mftKnown {
		// The first records at least lie where the boot sector says.
		n.mft = stream{r: n.r, pieces: []Piece{{0, first, max(n.record*16, n.cluster)}}, size: n.record * 16}
	}
}

func (n *ntfs) name() string { return "ntfs" }

// size counts the boot sector's copy behind the last cluster.
func (n *ntfs) size() int64 { return n.boots[1].End() }

// stream makes a content readable from the attributes that place it.
func (n *ntfs) stream(attributes []attribute, kind uint32) stream {
	p, _ := n.pieces(attributes, kind, "")
	size := int64(0)
	for _, a := range attributes {
		if a.kind == kind && a.name == "" && a.nonresident && a.firstVCN == 0 {
			size = a.size
		}
	}
	return stream{r: n.r, pieces: p, size: min(size, n.r.size)}
}

// pieces places the content of an attribute that may be spread over several
// segments. It returns how many of its clusters no segment places.
func (n *ntfs) pieces(attributes []attribute, kind uint32, name string) ([]Piece, int64) {
	list := pieceList{room: n.clusters * n.cluster}
	vcn, lost := int64(0), int64(0)
	for _, a := range attributes { // sorted by firstVCN
		if a.kind != kind || a.name != name || !a.nonresident {
			continue
		}
		if a.firstVCN > vcn {
			lost += a.firstVCN - vcn
		} else if a.firstVCN < vcn {
			continue
		}
		vcn = a.firstVCN
		ok := runs(a.runs, func(lcn, count int64) bool {
			if count > n.clusters && lcn >= 0 {
				return false
			}
			if lcn >= 0 {
				if lcn > n.clusters-count {
					return false
				}
				if !list.add(Piece{vcn * n.cluster, lcn * n.cluster, count * n.cluster}) {
					return false
				}
			}
			vcn += count
			return vcn < 1<<50
		})
		if want := a.lastVCN + 1; want > vcn && want < 1<<50 {
			lost += want - vcn
			vcn = want
		}
		if !ok {
			break
		}
	}
	return list.pieces, lost
}

// readRecord reads one record of the table.
func (n *ntfs) readRecord(number int64) (record, bool) {
	p := make([]byte, n.record)
	if n.mft.near(p, number*n.record) {
		if rec, ok := parseRecord(p); ok {
			return rec, true
		}
	}
	if number >= 4 || n.mirror < 0 || !n.r.read(p, n.mirror+number*n.record, T1) {
		return record{}, false
	}
	return parseRecord(p)
}

// survey enters the metadata, $Bitmap, and every runlist of every file: a bitmap
// that is stale, or reads as zeros, must not make files free space.
func (n *ntfs) survey(add func(Extent, Tier)) bool {
	for _, b := range n.boots {
		add(b, T0)
	}
	for _, p := range n.mft.pieces {
		add(Extent{p.First, p.Len}, T1)
	}
	if n.mirror >= 0 {
		add(Extent{n.mirror, max(4*n.record, n.cluster)}, T1)
	}
	known := n.bitmap(add)
	n.list(func(number int64, rec record) {
		for _, a := range rec.attributes {
			if !a.nonresident || number == ntfsBadClus && a.name == "$Bad" {
				continue // what Windows found bad holds nothing
			}
			tier := T3
			if a.kind == attrIndexAllocation || a.kind == attrBitmap || a.kind == attrList {
				tier = T1
			}
			runs(a.runs, func(lcn, count int64) bool {
				if lcn >= 0 && count <= n.clusters && lcn <= n.clusters-count {
					add(Extent{lcn * n.cluster, count * n.cluster}, tier)
				}
				return true
			})
		}
	})
	// While the table is not known whole, a file may lie anywhere that $Bitmap calls
	// used; that is enough.
	return known
}

// bitmap enters what $Bitmap calls used; false when it cannot be found.
func (n *ntfs) bitmap(add func(Extent, Tier)) bool {
	rec, ok := n.readRecord(ntfsBitmap)
	if !ok || !n.mftKnown {
		return false
	}
	all, _ := n.gather(ntfsBitmap, rec)
	s := n.stream(all, attrData)
	if len(s.pieces) == 0 {
		for _, a := range all {
			// A tiny volume keeps it within the record.
			if a.kind == attrData && a.name == "" && !a.nonresident && int64(len(a.value)) >= n.clusters/8 {
				n.bitmapIn(a.value, add)
				return true
			}
		}
		return false
	}
	for _, p := range s.pieces {
		add(Extent{p.First, p.Len}, T1)
	}
	if s.size < n.clusters/8 {
		return false
	}
	bitsOf(&s, n.clusters, n.cluster, 0, false, func(e Extent) { add(e, T3) })
	return true
}

func (n *ntfs) bitmapIn(p []byte, add func(Extent, Tier)) {
	for i := range n.clusters {
		if i/8 >= int64(len(p)) || p[i/8]>>(i%8)&1 != 0 {
			add(Extent{i * n.cluster, n.cluster}, T3)
		}
	}
}

// used reports whether the table calls a record in use; one of which it is not known is.
func (n *ntfs) used(number int64) bool {
	var b [1]byte
	if !n.inUse.near(b[:], number/8) {
		return true
	}
	return b[0]>>(number%8)&1 != 0
}

// list goes through the table once: it remembers the folders by name, and the
// records that are lost.
func (n *ntfs) list(each func(int64, record)) {
	n.listed, n.lost, n.lostRecords, n.names = true, map[uint64]fileName{}, 0, folders{}
	n.nameless = map[uint64]fileName{}
	n.scan(func(number int64, rec record) bool {
		each(number, rec)
		if rec.base != 0 {
			return true
		}
		name, ok := nameOf(rec.attributes)
		if !ok {
			all, gone := n.gather(number, rec) // the name may lie in another of its records
			if name, ok = nameOf(all); !ok && gone > 0 && len(n.nameless) < maxLost {
				n.nameless[uint64(number)] = fileName{}
			}
		}
		if ok && rec.folder {
			n.names.put(uint64(number), folder{name.parent, name.name})
		}
		return true
	}, func(number int64) {
		n.lostRecords++
		if len(n.lost) < maxLost {
			n.lost[uint64(number)] = fileName{}
		}
	})
}

// maxLost is how many lost records are looked up by name.
const maxLost = 1 << 18

// scan gives every record in use, in order, and the number of each that cannot be read.
func (n *ntfs) scan(yield func(int64, record) bool, lost func(int64)) {
	const chunk = 256 << 10
	buf := make([]byte, max(chunk/n.record, 1)*n.record)
	end := n.mft.size / n.record
	for at := int64(0); at < end && !n.r.spent(); at += int64(len(buf)) / n.record {
		p := buf[:min(int64(len(buf)), (end-at)*n.record)]
		holes := n.mft.fill(p, at*n.record)
		for i := int64(0); i < int64(len(p))/n.record; i++ {
			number := at + i
			where := Extent{number * n.record, n.record}
			for len(holes) > 0 && holes[0].End() <= where.First {
				holes = holes[1:]
			}
			hole := len(holes) > 0 && holes[0].within(where).Len > 0
			var rec record
			ok := false
			if !hole {
				rec, ok = parseRecord(p[i*n.record:][:n.record])
			}
			if !ok && number < 4 {
				rec, ok = n.readRecord(number) // there is a copy
			}
			if !ok && (hole || rec.torn || len(n.inUse.pieces) > 0) && n.used(number) {
				lost(number)
			}
			if ok && rec.inUse && !yield(number, rec) {
				return
			}
		}
	}
}
