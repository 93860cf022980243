package vault_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"salvor/custody/vault"
	"salvor/custody/vault/storetest"
)

// salvaged opens what is left, wants nothing of it to be wrong, and returns how many bytes of the source are there.
func salvaged(t *testing.T, st vault.Store, want []byte, o vault.SalvageOptions) (*vault.Container, int) {
	t.Helper()
	c, err := vault.OpenSalvage(t.Context(), st, ref, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Unlock(t.Context(), st, theBench().identity)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	whole := bytes.Clone(want)
	n := 0
	for off := 0; off < len(want); {
		got := make([]byte, len(want)-off)
		k, err := r.ReadAt(got, int64(off))
		if !bytes.Equal(got[:k], want[off:off+k]) {
			t.Fatalf("wrong data between %d and %d; damages: %v", off, off+k, c.Damages())
		}
		off, n = off+k, n+k
		var unread *vault.UnreadError
		switch {
		case errors.As(err, &unread):
			end := min(int((unread.First+unread.Sectors)*512), len(want))
			clear(whole[off:end])
			off = end
		case err != nil:
			t.Fatalf("at %d: %v; damages: %v", off, err, c.Damages())
		}
	}
	deep, err := r.Deep(t.Context(), nil)
	if err != nil || deep.SHA256 != sha256.Sum256(whole) || int(deep.Unread) != len(want)-n {
		t.Fatalf("deep: %v, %d bytes unread instead of %d", err, deep.Unread, len(want)-n)
	}
	if p := c.Position(); int(p.Bytes) != n {
		t.Errorf("%d bytes said to be rescued, %d are there", p.Bytes, n)
	}
	if _, err := r.Metas(t.Context()); err != nil {
		t.Error(err)
	}
	if !c.Salvaged() {
		t.Error("does not say that it is salvaged")
	}
	return c, n
}

// stillFails wants a verification of a damaged image to fail, however it was opened.
func stillFails(t *testing.T, c *vault.Container) {
	t.Helper()
	if len(c.Damages()) == 0 {
		t.Fatal("no damage named")
	}
	for _, d := range c.Damages() {
		if d.String() == "" {
			t.Error("a damage without words")
		}
	}
	_, quick := c.VerifyQuick(t.Context(), theBench().verifier, nil)
	_, media := c.VerifyMedia(t.Context(), theBench().verifier, nil)
	if !errors.Is(quick, vault.ErrCorrupt) || !errors.Is(media, vault.ErrCorrupt) {
		t.Errorf("quick %v, media %v", quick, media)
	}
}

func change(m *storetest.Memory, name string, change func([]byte) []byte) *storetest.Memory {
	m = m.Clone()
	m.Put(name, change(bytes.Clone(m.Content(name))))
	return m
}

func zeroed(off, n int) func([]byte) []byte {
	return func(b []byte) []byte {
		clear(b[off:min(off+n, len(b))])
		return b
	}
}

// footerless cuts the footer off and leaves the records.
func footerless(c cut) func([]byte) []byte {
	last := c.at[len(c.at)-1]
	end := last + 4096*((128+int(c.content[last+36])+int(c.content[last+37])<<8+int(c.content[last+38])<<16+4095)/4096)
	return func(b []byte) []byte { return b[:end] }
}

func TestSalvageOfAWholeImageIsTheImage(t *testing.T) {
	want := source(900<<10, 81)
	for _, seal := range []bool{true, false} {
		mem := written(t, want, 2, seal)
		c, n := salvaged(t, mem, want, vault.SalvageOptions{})
		if n != len(want) || len(c.Damages()) != 0 {
			t.Errorf("sealed %v: %d bytes of %d, damages %v", seal, n, len(want), c.Damages())
		}
		_, err := c.VerifyMedia(t.Context(), theBench().verifier, nil)
		if seal && err != nil || !seal && !errors.Is(err, vault.ErrUnsealed) {
			t.Error(err)
		}
	}
	mem := compressed(t, mixed(700<<10), true)
	if _, n := salvaged(t, mem, mixed(700<<10), vault.SalvageOptions{}); n != 700<<10 {
		t.Errorf("packed: %d bytes", n)
	}
}

func TestDamagedSegmentHeaderLosesNothing(t *testing.T) {
	want := noise(900 << 10)
	for _, seal := range []bool{true, false} {
		mem := written(t, want, 2, seal)
		for i, c := range segmentsOf(mem) {
			for name, damage := range map[string]func([]byte) []byte{
				"header zeroed":     zeroed(0, 4096),
				"a bit in the sum":  func(b []byte) []byte { b[4090] ^= 1; return b },
				"header, no footer": func(b []byte) []byte { return footerless(c)(zeroed(0, 4096)(b)) },
			} {
				t.Run(fmt.Sprintf("sealed %v, segment %d, %s", seal, i, name), func(t *testing.T) {
					m := change(mem, c.name, damage)
					got, n := salvaged(t, m, want, vault.SalvageOptions{})
					if n != len(want) {
						t.Errorf("%d bytes of %d; %v", n, len(want), got.Damages())
					}
					stillFails(t, got)
				})
			}
		}
	}
}

func TestDamagedRecordHeaderLosesNothingWhereTheFooterTells(t *testing.T) {
	want := noise(500 << 10)
	for _, mem := range []*storetest.Memory{written(t, want, 1, true), written(t, want, 2, false)} {
		for _, c := range segmentsOf(mem) {
			for _, at := range c.at {
				m := change(mem, c.name, zeroed(at, 128))
				got, n := salvaged(t, m, want, vault.SalvageOptions{})
				if n != len(want) {
					t.Errorf("%s at %d: %d bytes of %d; %v", c.name, at, n, len(want), got.Damages())
				}
				stillFails(t, got)
			}
		}
	}
}

func TestDamagedChecksumOfARecordNeedsNoFooter(t *testing.T) {
	want := noise(300 << 10)
	mem := written(t, want, 1, true)
	for _, c := range segmentsOf(mem) {
		for _, at := range c.at {
			m := change(mem, c.name, func(b []byte) []byte {
				b[at+125] ^= 4
				b[at] = 0
				return footerless(c)(b)
			})
			if got, n := salvaged(t, m, want, vault.SalvageOptions{}); n != len(want) {
				t.Errorf("%s at %d: %d bytes of %d; %v", c.name, at, n, len(want), got.Damages())
			}
		}
	}
}

func TestLostRecordCostsOnlyItsSectors(t *testing.T) {
	want := noise(700 << 10)
	for _, footers := range []bool{true, false} {
		mem := written(t, want, 1, true)
		if !footers {
			for _, c := range segmentsOf(mem) {
				mem = change(mem, c.name, footerless(c))
			}
		}
		for _, c := range segmentsOf(mem) {
			for i, at := range c.at {
				// The payload goes, the header stays.
				m := change(mem, c.name, zeroed(at+200, 100))
				got, n := salvaged(t, m, want, vault.SalvageOptions{})
				if n < len(want)-64<<10 {
					t.Errorf("footers %v, %s, record %d: %d bytes of %d; %v", footers, c.name, i, n, len(want), got.Damages())
				}
				stillFails(t, got)
			}
		}
	}
}

func TestWhatNobodyKnowsIsNeverReplacedByOlderContent(t *testing.T) {
	want := noise(700 << 10)
	mem := written(t, want, 1, true)
	for _, c := range segmentsOf(mem) {
		m := change(mem, c.name, footerless(c))
		for i, at := range c.at {
			m := change(m, c.name, zeroed(at, 4096))
			got, _ := salvaged(t, m, want, vault.SalvageOptions{})
			stillFails(t, got)
			if !slices.ContainsFunc(got.Damages(), func(d vault.Damage) bool { return d.Records > 0 && d.Record == i }) {
				t.Errorf("%s: record %d is not named: %v", c.name, i, got.Damages())
			}
			all, err := vault.OpenSalvage(t.Context(), m, ref, vault.SalvageOptions{Doubtful: true})
			if err != nil || all.Position().Bytes < got.Position().Bytes {
				t.Errorf("with the doubtful: %v", err)
			}
		}
	}
	for _, c := range segmentsOf(mem) {
		m := mem.Clone()
		m.Put(c.name, nil)
		got, _ := salvaged(t, m, want, vault.SalvageOptions{})
		stillFails(t, got)
	}
	t.Run("unsealed", func(t *testing.T) {
		mem := written(t, want, 2, false)
		cuts := segmentsOf(mem)
		for _, c := range cuts[:len(cuts)-1] {
			for _, m := range []*storetest.Memory{
				change(mem, c.name, func([]byte) []byte { return nil }),
				change(mem, c.name, func(b []byte) []byte { clear(b); return b }),
				change(mem, c.name, func(b []byte) []byte { return b[:c.at[len(c.at)/2]] }),
			} {
				got, _ := salvaged(t, m, want, vault.SalvageOptions{})
				stillFails(t, got)
			}
		}
	})
}

func TestSalvageNeverReturnsWrongDataWhateverIsDamaged(t *testing.T) {
	want := mixed(600 << 10)
	fixtures := []*storetest.Memory{written(t, want, 2, true), compressed(t, want, true)}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		m := fixtures[seed%2].Clone()
		cuts := segmentsOf(m)
		for range 1 + r.IntN(6) {
			c := cuts[r.IntN(len(cuts))]
			b := m.Content(c.name)
			if len(b) == 0 {
				continue
			}
			at := r.IntN(len(b))
			switch r.IntN(6) {
			case 0:
				m.Put(c.name, b[:at])
			case 1:
				m.Put(c.name, zeroed(at&^511, 512)(b))
			case 2:
				m.Put(c.name, zeroed(at&^4095, 8192)(b))
			case 3:
				b[at] ^= byte(1 + r.IntN(255))
				m.Put(c.name, b)
			case 4: // a stretch lands where it does not belong
				copy(b[at&^4095:], bytes.Clone(b[r.IntN(len(b))&^4095:]))
				m.Put(c.name, b)
			case 5:
				other := m.Content(cuts[r.IntN(len(cuts))].name)
				m.Put(c.name, append(b[:at&^4095], other[min(len(other), at&^4095):]...))
			}
		}
		salvaged(t, m, want, vault.SalvageOptions{})
	}
}

func TestSalvageGoesOnBehindBadSectors(t *testing.T) {
	want := noise(700 << 10)
	mem := written(t, want, 1, true)
	cuts := segmentsOf(mem)
	bad := int64(cuts[0].at[2])
	st := &badRange{Store: mem, bad: func(name string, off, end int64) bool {
		return strings.HasSuffix(name, "000000.seg") && (off < 4096 || (off < bad+4096 && end > bad))
	}}
	c, n := salvaged(t, st, want, vault.SalvageOptions{})
	if n < len(want)-64<<10 {
		t.Errorf("%d bytes of %d; %v", n, len(want), c.Damages())
	}
	t.Run("nothing else is needed than one superblock", func(t *testing.T) {
		m := change(mem, imageDir+"image.slv", zeroed(0, 4096))
		m = change(m, imageDir+"seal.note", func(b []byte) []byte { return b[:len(b)/2] })
		c, n := salvaged(t, m, want, vault.SalvageOptions{})
		if n != len(want) {
			t.Errorf("%d bytes of %d", n, len(want))
		}
		stillFails(t, c)
		m = change(m, imageDir+"image.slv", zeroed(0, 8192))
		if _, err := vault.OpenSalvage(t.Context(), m, ref, vault.SalvageOptions{}); !errors.Is(err, vault.ErrCorrupt) {
			t.Errorf("without a superblock: %v", err)
		}
	})
}

func TestSalvageReadsWhatItHasKeysFor(t *testing.T) {
	want := noise(400 << 10)
	mem := written(t, want, 2, true)
	m := mem.Clone()
	m.Put(keyDir+"0001.age", nil)
	c, err := vault.OpenSalvage(t.Context(), m, ref, vault.SalvageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Unlock(t.Context(), m, theBench().identity)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make([]byte, len(want))
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("all of it was written again in the second run: %v", err)
	}
	if len(r.Locked()) == 0 {
		t.Error("the segments without a key are not named")
	}
	m.Put(keyDir+"0002.age", nil)
	if _, err := c.Unlock(t.Context(), m, theBench().identity); !errors.Is(err, vault.ErrKeyFile) {
		t.Errorf("no key at all: %v", err)
	}
}

func FuzzSalvage(f *testing.F) {
	want := mixed(300 << 10)
	mem := compressed(f, want, true)
	cuts := segmentsOf(mem)
	for _, c := range cuts {
		f.Add(uint8(0), uint32(c.at[1]), c.content[c.at[1]:c.at[1]+128], true)
	}
	f.Fuzz(func(t *testing.T, segment uint8, at uint32, patch []byte, right bool) {
		c := cuts[int(segment)%len(cuts)]
		b := bytes.Clone(c.content)
		off := int(at) % len(b)
		copy(b[off:], patch)
		if off &^= 4095; right && off >= 4096 {
			crc(b[off:])
		}
		m := mem.Clone()
		m.Put(c.name, b)
		if len(patch) > 0 || right {
			salvaged(t, m, want, vault.SalvageOptions{})
		}
	})
}
