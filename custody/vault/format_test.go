package vault

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

var theTime = time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)

func aSuperblock() Superblock {
	return Superblock{
		UUID: [16]byte{1, 2, 3}, Sector: 512, Physical: 4096, Bytes: 10 << 20, MaxRecord: MaxRecord, MaxSegment: MaxSegment,
		Created: theTime, EraseBy: theTime.AddDate(0, 3, 0), Station: make(ed25519.PublicKey, 32),
	}
}

// bytesFile is a file that holds still.
type bytesFile []byte

func (f bytesFile) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(f).ReadAt(p, off) }
func (f bytesFile) WriteAt([]byte, int64) (int, error)      { return 0, io.ErrShortWrite }
func (f bytesFile) Sync() error                             { return nil }
func (f bytesFile) Flushing(int64, int64)                   {}
func (f bytesFile) DropCache(int64, int64)                  {}
func (f bytesFile) Size() (int64, error)                    { return int64(len(f)), nil }
func (f bytesFile) Close() error                            { return nil }

func FuzzSuperblock(f *testing.F) {
	sb := aSuperblock()
	f.Add(sb.marshal()[:superblockUsed])
	sb.Bytes, sb.Sector, sb.Physical = 1, 4096, 4096
	f.Add(sb.marshal()[:superblockUsed])
	f.Add(bytes.Repeat([]byte{0xFF}, superblockUsed))
	f.Fuzz(func(t *testing.T, fields []byte) {
		// The sum is made right, or nothing would ever get past it.
		b := make([]byte, blockSize)
		copy(b[:blockBody], fields)
		finishBlock(b, superblockMagic)
		s, err := parseSuperblock(b)
		if err == nil && !bytes.Equal(s.marshal(), b) {
			t.Error("another rendering of the same superblock was accepted")
		}
		if _, err := parseSuperblock(fields); err == nil && len(fields) != blockSize {
			t.Error("a superblock of another size was accepted")
		}
	})
}

func FuzzSegmentHeader(f *testing.F) {
	h := segmentHeader{number: 3, uuid: [16]byte{1}, session: [16]byte{2}, commitment: [32]byte{3}, created: theTime, previous: [32]byte{4}}
	f.Add(h.marshal()[:segmentUsed])
	f.Add(bytes.Repeat([]byte{0xFF}, segmentUsed))
	f.Fuzz(func(t *testing.T, fields []byte) {
		b := make([]byte, blockSize)
		copy(b[:blockBody], fields)
		finishBlock(b, segmentMagic)
		h, err := parseSegmentHeader(b)
		if err == nil && !bytes.Equal(h.marshal(), b) {
			t.Error("another rendering of the same header was accepted")
		}
	})
}

// aSegment is a small segment with every type of record, as a writer makes it.
func aSegment(t testing.TB, footer bool) ([]byte, segmentHeader, Superblock) {
	t.Helper()
	sb := aSuperblock()
	s := &session{uuid: sb.UUID, id: [16]byte{9}, secret: [32]byte{8}}
	h := segmentHeader{uuid: sb.UUID, session: s.id, commitment: s.commitment(), created: theTime}
	sw := segmentWriter{w: &Writer{sb: sb}, header: h, block: h.marshal(), cipher: s.segmentKey(0), offset: firstRecordOffset}
	b := &batch{buf: alignedBuffer(1 << 20)}
	out := slices.Clone(sw.block)
	add := func(r recordHeader, plain []byte) {
		r.ordinal, r.session, r.plain = uint64(len(b.records)), s.id, uint32(len(plain))
		it := &item{}
		if r.kind == typeCheckpoint {
			it = nil
		}
		b.records = append(b.records, placed{header: r, at: b.n, item: it})
		if it != nil {
			sw.seal(b, &b.records[len(b.records)-1], plain)
		}
		b.n += r.stored()
	}
	add(recordHeader{kind: typeCheckpoint}, make([]byte, checkpointSize))
	add(recordHeader{kind: typeData, first: 0, sectors: 8, pass: 1}, bytes.Repeat([]byte("data"), 1024))
	add(recordHeader{kind: typeFill, first: 8, sectors: 5000}, []byte{0})
	add(recordHeader{kind: typeStatus, first: 5008, sectors: 2, status: '-'}, nil)
	add(recordHeader{kind: typeMeta}, []byte("meta"))
	entries := sw.list(b)
	out = append(out, b.buf[:b.n]...)
	if footer {
		out = append(out, marshalFooter(trailer{
			offset: int64(len(out)), treeSize: sw.tree.size, root: sw.tree.root(), uuid: sb.UUID, session: s.id,
		}, entries)...)
	}
	return out, h, sb
}

func FuzzScan(f *testing.F) {
	whole, h, sb := aSegment(f, false)
	f.Add(whole[blockSize:], uint16(0), byte(0))
	f.Add(whole[blockSize:blockSize+100], uint16(0), byte(0))
	f.Add(append(slices.Clone(whole[blockSize:]), whole[blockSize:]...), uint16(5000), byte(1))
	f.Add(bytes.Repeat([]byte{0xFF}, 9000), uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, records []byte, at uint16, flip byte) {
		b := append(slices.Clone(whole[:blockSize]), records...)
		if i := blockSize + int(at); i < len(b) {
			b[i] ^= flip
		}
		// Header checksums are made right, so that what lies behind them is reached.
		for off := blockSize; off+headerSize <= len(b); off += blockSize {
			if string(b[off:off+4]) == recordMagic && flip&1 == 1 {
				finishHeader(b[off:], tlog.Hash(b[off+leafedSize:off+leafedSize+32]))
			}
		}
		c := &Container{sb: sb}
		entries, err := c.walk(bytesFile(b), segmentInfo{header: h, count: all, size: int64(len(b))}, true)
		if err != nil {
			t.Fatal(err)
		}
		end := int64(firstRecordOffset)
		for i := 0; i < len(entries); i += entrySize {
			e, err := parseEntry(entries[i:i+entrySize], &sb)
			if err != nil {
				t.Fatalf("the scan accepts what a footer may not say: %v", err)
			}
			if e.offset != end {
				t.Fatalf("record %d at %d", i/entrySize, e.offset)
			}
			end += e.stored()
			payload := b[e.offset+headerSize:]
			if recordLeaf(b[e.offset:], payload[:e.sealed]) != e.leaf {
				t.Fatal("a record whose leaf is wrong was accepted")
			}
		}
		if end > int64(len(b)) {
			t.Fatal("a record that is not whole was accepted")
		}
	})
}

func FuzzFooter(f *testing.F) {
	whole, h, sb := aSegment(f, true)
	t0, _, err := readFooter(bytesFile(whole), int64(len(whole)), &h, &sb)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole[t0.offset:t0.offset+int64(t0.count)*entrySize], whole[len(whole)-blockSize:len(whole)-blockSize+trailerUsed])
	f.Add([]byte{}, bytes.Repeat([]byte{0xFF}, trailerUsed))
	f.Fuzz(func(t *testing.T, entries, fields []byte) {
		b := slices.Clone(whole[:t0.offset])
		body := make([]byte, padded(int64(len(entries))))
		copy(body, entries)
		b = append(b, body...)
		block := make([]byte, blockSize)
		copy(block[:blockBody], fields)
		if len(entries)%entrySize == 0 {
			sum := sha256.Sum256(entries)
			copy(block[64:96], sum[:])
		}
		finishBlock(block, trailerMagic)
		b = append(b, block...)
		got, list, err := readFooter(bytesFile(b), int64(len(b)), &h, &sb)
		if errors.Is(err, errFooter) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(list, entries) || !bytes.Equal(marshalFooter(got, list), b[t0.offset:]) {
			t.Error("another rendering of the same footer was accepted")
		}
	})
}

func FuzzRecordHeader(f *testing.F) {
	whole, h, sb := aSegment(f, false)
	for off := blockSize; off < len(whole); off += blockSize {
		if string(whole[off:off+4]) == recordMagic {
			f.Add(whole[off:off+headerSize], uint64(0))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, ordinal uint64) {
		p := make([]byte, headerSize)
		copy(p, b)
		finishHeader(p, tlog.Hash(p[leafedSize:leafedSize+32]))
		r, err := parseRecordHeader(p, place{0, h.session, ordinal, &sb})
		if err != nil {
			return
		}
		q := make([]byte, headerSize)
		r.put(q)
		finishHeader(q, r.leaf)
		if !bytes.Equal(p, q) {
			t.Error("another rendering of the same header was accepted")
		}
		if r.stored() > storedSize(int(sb.MaxRecord)) || r.stored() < blockSize {
			t.Errorf("a record of %d bytes was accepted", r.stored())
		}
	})
}

func aSeal() sealText {
	return sealText{
		uuid: [16]byte{1}, superblock: [32]byte{2}, sealed: theTime, bytes: 1000, sector: 512, root: tlog.Hash{3},
		headers: [32]byte{4}, index: [32]byte{5}, stored: 20000, rescued: 900, bad: 100,
		segments: []sealedSegment{{0, 5}, {2, 65536}},
	}
}

func FuzzSealNote(f *testing.F) {
	s := aSeal()
	f.Add(append(s.marshal(), "\n— salvor/x/T1 AAAAAAAA\n"...))
	s.noFlush, s.segments = true, nil
	f.Add(append(s.marshal(), "\n— salvor/x/T1 AAAAAAAA\n"...))
	f.Add([]byte("salvor/1 seal\nimage 00\n\n— x y\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		text, err := splitNote(msg)
		if err != nil {
			return
		}
		s, err := parseSealText(text)
		if err == nil && !bytes.Equal(s.marshal(), text) {
			t.Error("another rendering of the same seal was accepted")
		}
	})
}

func FuzzKeyText(f *testing.F) {
	s := &session{uuid: [16]byte{1}, id: [16]byte{2}, secret: [32]byte{3}}
	f.Add(bytes.TrimRight(s.marshalKey(), "\n"))
	f.Add([]byte(keyTextHead))
	f.Add([]byte("salvor/1 session secret\nimage \nsession \nsecret \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := slices.Clone(text)
		for len(b) < keyTextSize {
			b = append(b, '\n')
		}
		for _, b := range [][]byte{b, text} {
			if s, err := parseKey(b); err == nil && !bytes.Equal(s.marshalKey(), b) {
				t.Error("another rendering of the same key was accepted")
			}
		}
	})
}

func FuzzMarker(f *testing.F) {
	b, err := Marker{"01JD0000000000000000000000", theTime}.marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":"salvor vault","version":2}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMarker(b)
		if err != nil {
			return
		}
		if again, err := m.marshal(); err != nil || !bytes.Equal(again, b) {
			t.Error("another rendering of the same marker was accepted")
		}
	})
}

func FuzzLock(f *testing.F) {
	b, err := LockHolder{"T1", 12, theTime, theTime}.marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("{"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = parseLock(b) // must not panic
	})
}

func TestTreeIsTheOneOfTheTransparencyLogs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "records")
		var own tree
		var stored []tlog.Hash
		read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(at))
			for i, k := range at {
				out[i] = stored[k]
			}
			return out, nil
		})
		for i := range n {
			leaf := tlog.RecordHash([]byte{byte(i), byte(i >> 8)})
			own.add(leaf)
			h, err := tlog.StoredHashesForRecordHash(int64(i), leaf, read)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, h...)
		}
		want, err := tlog.TreeHash(int64(n), read)
		if err != nil {
			t.Fatal(err)
		}
		if own.root() != want {
			t.Errorf("root over %d leaves differs", n)
		}
	})
}

func TestSpansKeepTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 4000
		var s spans
		var naive [size]target
		var has [size]bool
		for range rapid.IntRange(1, 1500).Draw(t, "sets") {
			first := rapid.IntRange(0, size-1).Draw(t, "first")
			n := rapid.IntRange(1, min(size-first, rapid.SampledFrom([]int{1, 2, 5, 900}).Draw(t, "at most"))).Draw(t, "n")
			to := target{uint16(rapid.IntRange(0, 65535).Draw(t, "segment")), uint16(n), uint32(first) & (1<<20 - 1)}
			s.set(int64(first), int64(n), to)
			for i := first; i < first+n; i++ {
				naive[i], has[i] = to, true
			}
		}
		at := int64(0)
		s.all(0, func(sp span) bool {
			if sp.first() < at || sp.n() == 0 {
				t.Fatalf("span at %d begins before %d", sp.first(), at)
			}
			for ; at < sp.first(); at++ {
				if has[at] {
					t.Fatalf("sector %d is missing", at)
				}
			}
			for ; at < sp.end(); at++ {
				if !has[at] || naive[at] != sp.target() {
					t.Fatalf("sector %d points at %v instead of %v", at, sp.target(), naive[at])
				}
			}
			return true
		})
		for ; at < size; at++ {
			if has[at] {
				t.Fatalf("sector %d is missing", at)
			}
		}
		for _, b := range s.blocks {
			if len(b) == 0 || len(b) > spanBlock {
				t.Fatalf("a block of %d", len(b))
			}
		}
	})
}

func TestSpansHoldTheLargest(t *testing.T) {
	var s spans
	to := target{maxSegments - 1, maxSegmentRecords - 1, MaxSegment/blockSize - 1}
	s.set(0, maxSectors-1, to)
	end := int64(0)
	s.all(0, func(sp span) bool {
		if sp.first() != end || sp.target() != to {
			t.Fatalf("%d %v", sp.first(), sp.target())
		}
		end = sp.end()
		return end < 10*spanMax
	})
}

func TestStatusNeverHidesWhatWasRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 500
		sb := aSuperblock()
		sb.Bytes = size*512 - 100
		m := newStatusMap(&sb)
		naive := bytes.Repeat([]byte{'?'}, size)
		gained := int64(0)
		for range rapid.IntRange(1, 200).Draw(t, "records") {
			first := rapid.IntRange(0, size-1).Draw(t, "first")
			n := rapid.IntRange(1, size-first).Draw(t, "n")
			status := rapid.SampledFrom([]byte("+?*/-")).Draw(t, "status")
			if status == '+' {
				gained += m.read(int64(first), int64(n))
			} else {
				m.mark(int64(first), int64(n), status)
			}
			for i := first; i < first+n; i++ {
				if naive[i] != '+' {
					naive[i] = status
				}
			}
		}
		var got []byte
		for i, r := range m.runs() {
			if i > 0 && r.Status == got[len(got)-1] {
				t.Fatal("neighbours of one status are not joined")
			}
			got = append(got, bytes.Repeat([]byte{r.Status}, int(r.Sectors))...)
		}
		if string(got) != string(naive) {
			t.Fatalf("got  %s\nwant %s", got, naive)
		}
		rescued, bad, untried := m.tally()
		if rescued != gained || rescued+bad+untried != sb.Bytes {
			t.Fatalf("rescued %d, bad %d, untried %d of %d; gained %d", rescued, bad, untried, sb.Bytes, gained)
		}
	})
}

func TestPiecesAreTheWholeInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sector := rapid.SampledFrom([]int{512, 4096, 65536}).Draw(t, "sector")
		var p []byte
		for range rapid.IntRange(1, 12).Draw(t, "stretches") {
			n := sector * rapid.IntRange(1, max(1, 200<<10/sector)).Draw(t, "sectors")
			v := byte(rapid.IntRange(0, 2).Draw(t, "value"))
			q := bytes.Repeat([]byte{v}, n)
			if rapid.Bool().Draw(t, "noise") {
				for i := range q {
					q[i] = byte(i*7 + i>>8)
				}
			}
			p = append(p, q...)
		}
		joins := rapid.IntRange(-1, 1).Draw(t, "joins")
		at := 0
		for _, c := range pieces(p, sector, joins, nil) {
			if c.off != at || c.n <= 0 || c.n%sector != 0 {
				t.Fatalf("piece %+v after %d", c, at)
			}
			if c.fill {
				for _, v := range p[c.off : c.off+c.n] {
					if v != p[c.off] {
						t.Fatalf("fill %+v is not one byte value", c)
					}
				}
				if c.n < fillMin && (c.off != 0 || int(p[0]) != joins) {
					t.Fatalf("fill %+v is too short", c)
				}
			}
			at += c.n
		}
		if at != len(p) {
			t.Fatalf("%d of %d bytes", at, len(p))
		}
	})
}

func TestUniformFindsEverySingleByte(t *testing.T) {
	b := bytes.Repeat([]byte{0xFF}, fillUnit)
	if !uniform(b) {
		t.Fatal("a uniform block is not")
	}
	for i := range b {
		b[i] = 0
		if uniform(b) {
			t.Fatalf("byte %d overlooked", i)
		}
		b[i] = 0xFF
	}
	if !uniform([]byte{1}) {
		t.Error("a single byte is uniform")
	}
}

func TestEraseByLimitIsOneCalendarYear(t *testing.T) {
	for created, want := range map[string]string{
		"2026-11-21T18:00:00Z": "2027-11-21T18:00:00Z",
		"2024-02-29T12:00:00Z": "2025-02-28T12:00:00Z",
		"2023-02-28T12:00:00Z": "2024-02-28T12:00:00Z",
		"2023-12-31T23:59:59Z": "2024-12-31T23:59:59Z",
	} {
		at, err := time.Parse(time.RFC3339, created)
		if err != nil {
			t.Fatal(err)
		}
		if got := EraseByLimit(at).Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, want %s", created, got, want)
		}
	}
}

func TestSealTextSaysTheSameTwice(t *testing.T) {
	s := aSeal()
	got, err := parseSealText(s.marshal())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&s, got, cmp.AllowUnexported(sealText{}, sealedSegment{})); diff != "" {
		t.Error(diff)
	}
}

// The index of a 4 TB disk: 4 million records of a MiB, in the order in which a rescue reads them.
func TestIndexOfFourTerabytesStaysBelow100MiB(t *testing.T) {
	const records = 4 << 20
	used := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := used()
	sb := aSuperblock()
	sb.Bytes = records << 20
	c := &Container{sb: sb, status: newStatusMap(&sb)}
	put := func(i int64) {
		c.live.set(i*2048, 2048, target{uint16(i / 4000), uint16(i % 4000), uint32(i%4000) * 257})
		c.status.read(i*2048, 2048)
	}
	// Every tenth is read later, in a second pass.
	for i := range int64(records) {
		if i%10 != 3 {
			put(i)
		}
	}
	for i := int64(3); i < records; i += 10 {
		put(i)
	}
	grown := used() - before
	t.Logf("%d records: %.1f MiB", c.live.len(), float64(grown)/(1<<20))
	if c.live.len() != records || grown > 100<<20 {
		t.Errorf("%d records in %d bytes", c.live.len(), grown)
	}
	runtime.KeepAlive(c)
}
