package triage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"salvor/rescue"
	"salvor/rescue/layout"
)

// plain is a file in memory with room for so much.
type plain struct {
	data  []byte
	room  int64
	errno error
}

func (p *plain) WriteAt(b []byte, off int64) (int, error) {
	if p.errno != nil {
		return 0, p.errno
	}
	if over := off + int64(len(b)) - int64(len(p.data)); over > 0 {
		p.data = append(p.data, make([]byte, over)...)
	}
	return copy(p.data[off:], b), nil
}

func (p *plain) ReadAt(b []byte, off int64) (int, error) {
	if n := copy(b, p.data[min(off, int64(len(p.data))):]); n < len(b) {
		return n, io.EOF
	}
	return len(b), nil
}

func (p *plain) Close() error         { return nil }
func (p *plain) Free() (int64, error) { return p.room, p.errno }

func scratchOf(t testing.TB, f file, info rescue.Info, most int64) *scratch {
	t.Helper()
	s, err := newScratch(f, info, most, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestScratchGivesBackWhatItWasGiven compares it with memory, for writes and reads of any
// length at any place.
func TestScratchGivesBackWhatItWasGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sector := int64(rapid.SampledFrom([]int{512, 4096}).Draw(t, "sector"))
		sectors := rapid.Int64Range(1, 400).Draw(t, "sectors")
		size := sectors*sector - rapid.Int64Range(0, sector-1).Draw(t, "cut")
		f := &plain{room: 1 << 40}
		s, err := newScratch(f, rescue.Info{Bytes: size, Sector: int(sector), Physical: int(sector)}, 1<<30, 1)
		if err != nil {
			t.Fatal(err)
		}
		want, have := make([]byte, sectors*sector), make([]bool, sectors)
		rnd := rand.NewChaCha8([32]byte{1})
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			first := rapid.Int64Range(0, sectors-1).Draw(t, "first")
			n := rapid.Int64Range(1, sectors-first).Draw(t, "n")
			if rapid.Bool().Draw(t, "write") {
				_, _ = rnd.Read(want[first*sector : (first+n)*sector])
				clear(want[size:])
				for i := first; i < first+n; i++ {
					have[i] = true
				}
				if err := s.write(first, want[first*sector:(first+n)*sector]); err != nil {
					t.Fatal(err)
				}
				continue
			}
			off := first*sector + rapid.Int64Range(0, sector-1).Draw(t, "off")
			if off >= size {
				continue
			}
			p := make([]byte, rapid.Int64Range(1, size-off).Draw(t, "len"))
			got, err := s.ReadAt(p, off)
			end := off
			for end < off+int64(len(p)) && have[end/sector] {
				end = min((end/sector+1)*sector, off+int64(len(p)))
			}
			if int64(got) != end-off || !bytes.Equal(p[:got], want[off:end]) {
				t.Fatalf("%d bytes at %d: %d, want %d", len(p), off, got, end-off)
			}
			var gap *layout.ErrNotRescued
			switch full := end == off+int64(len(p)); {
			case full != (err == nil):
				t.Fatal(err)
			case !full && (!errors.As(err, &gap) || gap.First != end || have[(gap.First+gap.Len-1)/sector] || gap.Len <= 0):
				t.Fatalf("%v, want a gap from %d", err, end)
			}
		}
	})
}

// No sector of a customer's disk may ever reach the station's disk as it is.
func TestScratchHoldsNoPlaintext(t *testing.T) {
	f := &plain{room: 1 << 40}
	s := scratchOf(t, f, rescue.Info{Bytes: 1 << 20, Sector: 512, Physical: 512}, 1<<30)
	p := bytes.Repeat([]byte("the customer's letter, again and again. "), 1<<20/40+1)[:1<<20]
	if err := s.write(0, p); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for at := 0; at < len(f.data); at += 16 {
		block := string(f.data[at : at+16])
		if seen[block] {
			t.Fatalf("the same sixteen bytes twice, at %d", at)
		}
		seen[block] = true
	}
	if bytes.Contains(f.data, []byte("customer")) {
		t.Error("plaintext in the file")
	}
	other := scratchOf(t, &plain{room: 1 << 40}, rescue.Info{Bytes: 1 << 20, Sector: 512, Physical: 512}, 1<<30)
	other.f, other.slots = f, s.slots
	if q := make([]byte, 512); func() bool { _, err := other.ReadAt(q, 0); return err != nil || bytes.Equal(q, p[:512]) }() {
		t.Error("another key opens it")
	}
}

func TestScratchHasNoName(t *testing.T) {
	dir := t.TempDir()
	tr := New(rescue.Info{Bytes: 1 << 20, Sector: 512, Physical: 512}, Options{Dir: dir})
	if err := tr.Err(); err != nil {
		t.Fatal(err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
}

func TestScratchKeepsItsBounds(t *testing.T) {
	info := rescue.Info{Bytes: 64 << 20, Sector: 512, Physical: 512}
	s := scratchOf(t, &plain{room: 1 << 40}, info, 1<<20)
	for range 2 { // the same once more takes no room
		if err := s.write(0, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.write(4000, make([]byte, 512)); !errors.Is(err, errCap) {
		t.Errorf("beyond the cap: %v", err)
	}
	f := &plain{room: 100}
	s = scratchOf(t, f, info, 1<<30)
	f.room = 0
	if err := s.write(0, make([]byte, 9<<20)); !errors.Is(err, errRoom) {
		t.Errorf("without room: %v", err)
	}
	if _, err := newScratch(f, info, 1<<30, 1); !errors.Is(err, errRoom) {
		t.Errorf("made without room: %v", err)
	}
	f.errno = syscall.EIO
	if err := s.write(0, make([]byte, 512)); !errors.Is(err, syscall.EIO) {
		t.Errorf("on a broken disk: %v", err)
	}
	tr := New(info, Options{Dir: "/nowhere/at/all"})
	if err := tr.Err(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a folder: %v", err)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	tr = New(rescue.Info{Bytes: 1 << 20, Sector: 520, Physical: 520}, Options{Dir: t.TempDir()})
	if err := tr.Err(); !errors.Is(err, rescue.ErrOptions) {
		t.Errorf("sectors of 520 bytes: %v", err)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
}

func drawTiers(t *rapid.T) *Tiers {
	out := &Tiers{Sector: rapid.SampledFrom([]int{512, 4096}).Draw(t, "sector"), Settled: rapid.Bool().Draw(t, "settled")}
	last := rescue.Tier(99)
	for range rapid.IntRange(1, 50).Draw(t, "regions") {
		tier := rescue.Tier(rapid.IntRange(0, 5).Draw(t, "tier"))
		if tier == last {
			tier = (tier + 1) % 6
		}
		n := rapid.Int64Range(1, 1<<40).Draw(t, "sectors")
		out.Regions = append(out.Regions, rescue.Region{First: out.Sectors, Sectors: n, Tier: tier})
		out.Sectors, last = out.Sectors+n, tier
	}
	return out
}

func TestTiersComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawTiers(t)
		var b bytes.Buffer
		if err := want.Save(&b); err != nil {
			t.Fatal(err)
		}
		got, err := Load(&b)
		if err != nil {
			t.Fatal(err)
		}
		if got.Sector != want.Sector || got.Sectors != want.Sectors || got.Settled != want.Settled || !slices.Equal(got.Regions, want.Regions) {
			t.Fatalf("%+v\n%+v", got, want)
		}
	})
}

func TestTiersAreRefused(t *testing.T) {
	good := Tiers{Sector: 512, Sectors: 100, Regions: []rescue.Region{{First: 0, Sectors: 40, Tier: 1}, {First: 40, Sectors: 60, Tier: 5}}}
	var b bytes.Buffer
	if err := good.Save(&b); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	for i := range file {
		p := slices.Clone(file)
		p[i] ^= 4
		if _, err := Load(bytes.NewReader(p)); !errors.Is(err, ErrTiers) {
			t.Errorf("byte %d turned over: %v", i, err)
		}
		if _, err := Load(bytes.NewReader(file[:i])); !errors.Is(err, ErrTiers) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, err := Load(bytes.NewReader(append(slices.Clone(file), 0))); !errors.Is(err, ErrTiers) {
		t.Error("more behind the end is taken")
	}
	for _, regions := range [][]rescue.Region{
		nil,
		{{First: 0, Sectors: 99}},
		{{First: 1, Sectors: 99}},
		{{First: 0, Sectors: 100, Tier: 6}},
		{{First: 0, Sectors: 50}, {First: 50, Sectors: 50}},
		{{First: 0, Sectors: 0, Tier: 1}, {First: 0, Sectors: 100}},
	} {
		bad := Tiers{Sector: 512, Sectors: 100, Regions: regions}
		if err := bad.Save(io.Discard); !errors.Is(err, ErrTiers) {
			t.Errorf("%v is saved", regions)
		}
	}
	if _, err := Load(&broken{}); !errors.Is(err, syscall.EIO) {
		t.Errorf("reading fails: %v", err)
	}
	if err := good.Save(&broken{}); !errors.Is(err, syscall.EIO) {
		t.Errorf("writing fails: %v", err)
	}
}

type broken struct{}

func (*broken) Read([]byte) (int, error)  { return 0, syscall.EIO }
func (*broken) Write([]byte) (int, error) { return 0, syscall.EIO }

// sealed puts the right sum behind a body.
func sealed(body []byte) []byte {
	return binary.LittleEndian.AppendUint32(slices.Clone(body), crc32.Checksum(body, castagnoli))
}

// FuzzTiers: whatever is loaded keeps its promises and is saved as it was.
func FuzzTiers(f *testing.F) {
	var b bytes.Buffer
	good := Tiers{Sector: 512, Sectors: 100, Settled: true, Regions: []rescue.Region{{First: 0, Sectors: 40, Tier: 1}, {First: 40, Sectors: 60, Tier: 5}}}
	if err := good.Save(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(tiersMark))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 4 { // let the fuzzer through the sum
			p = sealed(p[:len(p)-4])
		}
		got, err := Load(bytes.NewReader(p))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := got.Save(&b); err != nil || !bytes.Equal(b.Bytes(), p) {
			t.Fatalf("%+v is saved as %x (%v), was %x", got, b.Bytes(), err, p)
		}
	})
}
