package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody/vault"
	"salvor/custody/vault/storetest"
)

const (
	imageDir = "cases/T1-2026-0001/image-01/"
	keyDir   = "keystore/T1-2026-0001/image-01/"
)

// written makes an image of one or more sessions in memory. The source changes between two writes of the same place, so
// that an old record in place of a new one would show.
func written(t testing.TB, want []byte, sessions int, seal bool) *storetest.Memory {
	t.Helper()
	mem := storetest.NewMemory()
	ctx := t.Context()
	stale := bytes.Repeat([]byte("stale content! "), len(want)/15+1)[:len(want)]
	sb := small(int64(len(want)))
	sb.MaxSegment = 400 << 10
	w, err := vault.Start(ctx, mem, mem, ref, sb, new(witness).options())
	if err != nil {
		t.Fatal(err)
	}
	for i := range sessions {
		content := stale
		if i == sessions-1 {
			content = want
			// The same session holds both, so that nothing but the order tells them apart.
			if err := writeAll(ctx, w, stale[:min(len(stale), 128<<10)], 512, 64<<10); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeAll(ctx, w, content, 512, 64<<10); err != nil {
			t.Fatal(err)
		}
		if i < sessions-1 {
			if err := w.Pause(ctx); err != nil {
				t.Fatal(err)
			}
			if w, _, err = vault.Resume(ctx, mem, mem, ref, w.Acked(), new(witness).options()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !seal {
		err = w.Pause(ctx)
	} else {
		_, err = w.Seal(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	return mem
}

// noLie wants an error, or the right content. An image that is not sealed is held against what was acknowledged, as
// resuming does: it may have lost its newest records, but not unnoticed. It returns whether the change was found out.
func noLie(t *testing.T, st vault.Store, want []byte, sealed bool, acked vault.Position, what string) bool {
	t.Helper()
	c, err := vault.OpenImage(t.Context(), st, ref)
	if err != nil || c.Check(acked) != nil {
		return true
	}
	_, verr := c.VerifyMedia(t.Context(), theBench().verifier, nil)
	r, err := c.Unlock(t.Context(), st, theBench().identity)
	if err != nil {
		return true
	}
	defer r.Close()
	got := make([]byte, len(want))
	n, err := r.ReadAt(got, 0)
	if err == nil && !bytes.Equal(got[:n], want) {
		t.Errorf("%s: wrong data without an error", what)
	}
	if !sealed && verr != nil && !errors.Is(verr, vault.ErrUnsealed) {
		return true
	}
	return err != nil || (sealed && verr != nil)
}

// A segment of the fixture, cut into its records.
type cut struct {
	name    string
	content []byte
	at      []int // offsets of the records
}

func segmentsOf(m *storetest.Memory) []cut {
	var cuts []cut
	for _, name := range m.Names() {
		if !strings.HasPrefix(name, imageDir) || !strings.HasSuffix(name, ".seg") {
			continue
		}
		c := cut{name: name, content: m.Content(name)}
		for off := 4096; off < len(c.content) && string(c.content[off:off+4]) == "SLR1"; {
			c.at = append(c.at, off)
			off += (128 + int(binary.LittleEndian.Uint32(c.content[off+36:])) + 4095) &^ 4095
		}
		cuts = append(cuts, c)
	}
	return cuts
}

// forge makes a header's leaf and CRC right again, as whoever can write the file can.
func forge(b []byte) {
	n := binary.LittleEndian.Uint32(b[36:])
	if int(n)+128 <= len(b) {
		h := sha256.New()
		h.Write([]byte{0})
		h.Write(b[:80])
		h.Write(b[128 : 128+n])
		copy(b[80:], h.Sum(nil))
	}
	crc(b)
}

func crc(b []byte) {
	binary.LittleEndian.PutUint32(b[124:], crc32.Checksum(b[:124], crc32.MakeTable(crc32.Castagnoli)))
}

var headerFields = []struct {
	name     string
	off, len int
}{
	{"magic", 0, 4},
	{"type", 4, 1},
	{"codec", 5, 1},
	{"status", 6, 1},
	{"pass", 7, 1},
	{"ordinal", 8, 8},
	{"first", 16, 8},
	{"sectors", 24, 8},
	{"plain", 32, 4},
	{"sealed", 36, 4},
	{"reserved", 40, 24},
	{"session", 64, 16},
	{"leaf", 80, 32},
	{"segment", 112, 4},
	{"reserved 2", 116, 8},
}

func TestSwappedHeaderFieldsNeverYieldWrongData(t *testing.T) {
	want := noise(512 << 10)
	home := written(t, want, 2, true)
	open := written(t, want, 2, false)
	foreign := segmentsOf(written(t, noise(700<<10), 1, true))
	for _, sealed := range []bool{true, false} {
		mem := home
		if !sealed {
			mem = open
		}
		whole, err := vault.OpenImage(t.Context(), mem, ref)
		if err != nil {
			t.Fatal(err)
		}
		acked := whole.Position()
		cuts := segmentsOf(mem)
		k := len(cuts) - 1
		for len(cuts[k].at) < 4 {
			k--
		}
		last := cuts[k]
		donors := map[string][]byte{
			"the same segment":  last.content[last.at[1]:],
			"another segment":   cuts[k-1].content[cuts[k-1].at[2]:],
			"another session":   cuts[0].content[cuts[0].at[1]:],
			"another image":     foreign[0].content[foreign[0].at[1]:],
			"all bits set":      bytes.Repeat([]byte{0xFF}, 128),
			"lengths from hell": bytes.Repeat([]byte{0xFF, 0xFF, 0xFF, 0x7F}, 32),
		}
		for from, donor := range donors {
			for _, f := range headerFields {
				for _, how := range []string{"plain", "crc", "crc and leaf"} {
					for _, footer := range []bool{true, false} {
						what := fmt.Sprintf("sealed %v: %s from %s, %s, footer %v", sealed, f.name, from, how, footer)
						at := last.at[2]
						b := slices.Clone(last.content)
						if bytes.Equal(b[at+f.off:at+f.off+f.len], donor[f.off:f.off+f.len]) {
							continue
						}
						copy(b[at+f.off:at+f.off+f.len], donor[f.off:])
						switch how {
						case "crc":
							crc(b[at:])
						case "crc and leaf":
							forge(b[at:])
						}
						if bytes.Equal(b, last.content) {
							continue // forging the leaf has put the true one back
						}
						if !footer {
							b = b[:len(b)-1] // no trailer at the end: the segment is scanned
						}
						m := mem.Clone()
						m.Put(last.name, b)
						if !noLie(t, m, want, sealed, acked, what) {
							t.Errorf("%s: not found out", what)
						}
					}
				}
			}
		}
	}
}

func TestMovedRecordsAreFoundOut(t *testing.T) {
	want := noise(512 << 10)
	mem := written(t, want, 2, true)
	cuts := segmentsOf(mem)
	k := len(cuts) - 1
	for len(cuts[k].at) < 4 {
		k--
	}
	a, b := cuts[k], cuts[0]
	size := a.at[2] - a.at[1]
	for name, change := range map[string]func([]byte) []byte{
		"two records swapped": func(p []byte) []byte {
			q := slices.Clone(p)
			copy(q[a.at[1]:], p[a.at[2]:a.at[2]+size])
			copy(q[a.at[2]:], p[a.at[1]:a.at[1]+size])
			return q
		},
		"a record doubled": func(p []byte) []byte {
			copy(p[a.at[2]:], p[a.at[1]:a.at[1]+size])
			return p
		},
		"a record of an earlier session": func(p []byte) []byte {
			copy(p[a.at[1]:], b.content[b.at[1]:b.at[1]+size])
			return p
		},
		"one with position and session forged": func(p []byte) []byte {
			copy(p[a.at[1]:], b.content[b.at[1]:b.at[1]+size])
			copy(p[a.at[1]+64:a.at[1]+80], a.content[32:48])
			copy(p[a.at[1]+112:a.at[1]+116], a.content[8:12])
			copy(p[a.at[1]+8:a.at[1]+16], a.content[a.at[1]+8:])
			forge(p[a.at[1]:])
			return p
		},
		"a record removed": func(p []byte) []byte {
			return slices.Delete(p, a.at[1], a.at[2])
		},
		"a whole segment of an earlier session": func([]byte) []byte { return slices.Clone(b.content) },
		"payload changed": func(p []byte) []byte {
			p[a.at[1]+500] ^= 1
			return p
		},
		"payload changed, leaf forged": func(p []byte) []byte {
			p[a.at[1]+500] ^= 1
			forge(p[a.at[1]:])
			return p
		},
		"padding used": func(p []byte) []byte {
			p[a.at[2]-1] = 1
			return p
		},
	} {
		for _, footer := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, footer %v", name, footer), func(t *testing.T) {
				m := mem.Clone()
				p := change(slices.Clone(a.content))
				if !footer {
					p = p[:len(p)-1]
				}
				m.Put(a.name, p)
				if !noLie(t, m, want, true, vault.Position{}, name) {
					t.Error("not found out")
				}
			})
		}
	}
}

func TestEveryByteOfASealedImageCounts(t *testing.T) {
	want := source(150<<10, 21)
	mem := written(t, want, 1, true)
	for _, name := range mem.Names() {
		if !strings.HasPrefix(name, imageDir) {
			continue
		}
		content := mem.Content(name)
		step := 1 + len(content)/1500
		for i := 0; i < len(content); i += step {
			m := mem.Clone()
			b := slices.Clone(content)
			b[i] ^= 0x20
			m.Put(name, b)
			c, err := vault.OpenImage(t.Context(), m, ref)
			if err == nil {
				_, err = c.VerifyMedia(t.Context(), theBench().verifier, nil)
			}
			// A footer is a shortcut: the scan that replaces it may find everything whole.
			if err == nil && !strings.HasSuffix(name, ".seg") {
				t.Fatalf("%s: byte %d changed, nothing noticed", name, i)
			}
			if err == nil && !inFooter(content, i) {
				t.Fatalf("%s: byte %d changed, nothing noticed", name, i)
			}
		}
	}
}

func inFooter(segment []byte, i int) bool {
	end := int(binary.LittleEndian.Uint64(segment[len(segment)-4096+16:]))
	return i >= end
}

func TestTruncationExtensionAndRollbackAreFoundOut(t *testing.T) {
	want := noise(700 << 10)
	sealed := written(t, want, 1, true)
	open := written(t, want, 1, false)
	cuts := segmentsOf(sealed)
	last := cuts[len(cuts)-1]

	t.Run("truncated at every record", func(t *testing.T) {
		for _, c := range cuts {
			for _, at := range c.at {
				m := sealed.Clone()
				m.Put(c.name, c.content[:at])
				if !noLie(t, m, want, true, vault.Position{}, "truncated") {
					t.Errorf("%s cut at %d: not found out", c.name, at)
				}
			}
		}
	})
	t.Run("a segment removed", func(t *testing.T) {
		for _, c := range cuts {
			m := sealed.Clone()
			m.Put(c.name, nil)
			if !noLie(t, m, want, true, vault.Position{}, "removed") {
				t.Errorf("%s: not found out", c.name)
			}
		}
	})
	t.Run("an older segment of an unsealed image cut short needs no ledger", func(t *testing.T) {
		for _, c := range segmentsOf(open)[:len(cuts)-1] {
			m := open.Clone()
			m.Put(c.name, c.content[:c.at[len(c.at)-1]])
			if _, err := vault.OpenImage(t.Context(), m, ref); !errors.Is(err, vault.ErrCorrupt) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	})
	t.Run("the newest segment of an unsealed image is held against the ledger", func(t *testing.T) {
		c, err := vault.OpenImage(t.Context(), open, ref)
		if err != nil {
			t.Fatal(err)
		}
		acked := c.Position()
		for _, at := range last.at[1:] {
			m := open.Clone()
			m.Put(last.name, last.content[:at])
			if _, _, err := vault.Resume(t.Context(), m, m, ref, acked, theBench().options()); !errors.Is(err, vault.ErrShort) {
				t.Errorf("cut at %d: %v", at, err)
			}
		}
		m := open.Clone()
		m.Put(last.name, nil)
		if _, _, err := vault.Resume(t.Context(), m, m, ref, acked, theBench().options()); !errors.Is(err, vault.ErrShort) {
			t.Errorf("removed: %v", err)
		}
	})
	t.Run("late writes of a dead client do not count", func(t *testing.T) {
		m := sealed.Clone()
		m.Put(imageDir+"000009.seg", last.content)
		m.Put(last.name, append(slices.Clone(last.content), noise(64<<10)...))
		checkWhole(t, m, want)
	})
	t.Run("yesterday's whole vault is held against the ledger", func(t *testing.T) {
		w, c, err := vault.Resume(t.Context(), open.Clone(), open.Clone(), ref, vault.Position{}, theBench().options())
		if err != nil {
			t.Fatal(err)
		}
		w.Abort()
		later := c.Position()
		later.Records++
		if err := c.Check(later); !errors.Is(err, vault.ErrShort) {
			t.Error(err)
		}
	})
	t.Run("the seal removed leaves an unsealed image", func(t *testing.T) {
		m := sealed.Clone()
		m.Put(imageDir+"seal.note", nil)
		c, err := vault.OpenImage(t.Context(), m, ref)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.VerifyMedia(t.Context(), theBench().verifier, nil); !errors.Is(err, vault.ErrUnsealed) {
			t.Error(err)
		}
	})
	t.Run("another station's seal", func(t *testing.T) {
		c, err := vault.OpenImage(t.Context(), sealed, ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []note.Verifier{nil, otherVerifier(t)} {
			if _, err := c.VerifyQuick(t.Context(), v, nil); !errors.Is(err, vault.ErrSignature) {
				t.Error(err)
			}
		}
	})
}

func otherVerifier(t *testing.T) note.Verifier {
	_, public, err := note.GenerateKey(nil, theBench().verifier.Name())
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestChangedSuperblockIsFoundOutWithoutASeal(t *testing.T) {
	want := noise(200 << 10)
	mem := written(t, want, 1, false)
	b := mem.Content(imageDir + "image.slv")[:4096]
	for name, change := range map[string]func([]byte){
		"source shorter":   func(b []byte) { binary.LittleEndian.PutUint64(b[32:], 199<<10) },
		"erase-by earlier": func(b []byte) { b[64] ^= 1 },
		"another station":  func(b []byte) { b[72] ^= 1 },
		"larger segments":  func(b []byte) { binary.LittleEndian.PutUint64(b[48:], 512<<10) },
	} {
		t.Run(name, func(t *testing.T) {
			p := slices.Clone(b)
			change(p)
			sum := sha256.Sum256(p[:4064])
			copy(p[4064:], sum[:])
			m := mem.Clone()
			m.Put(imageDir+"image.slv", append(slices.Clone(p), p...))
			c, err := vault.OpenImage(t.Context(), m, ref)
			if err == nil {
				_, err = c.Unlock(t.Context(), m, theBench().identity)
			}
			if !errors.Is(err, vault.ErrCorrupt) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("one copy damaged still opens and does not verify", func(t *testing.T) {
		for _, at := range []int{100, 4096 + 100} {
			m := mem.Clone()
			p := append(slices.Clone(b), b...)
			p[at] ^= 1
			m.Put(imageDir+"image.slv", p)
			c, _ := unlock(t, m, m)
			if _, err := c.VerifyQuick(t.Context(), theBench().verifier, nil); !errors.Is(err, vault.ErrCorrupt) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestClonedMachineNeverRepeatsANonce(t *testing.T) {
	// Two copies of a machine have the same secret and write the same data into the same place.
	o := theBench().options()
	o.Rand = bytes.NewReader(bytes.Repeat([]byte{7}, 64))
	var payloads [][]byte
	want := noise(64 << 10)
	var uuid [16]byte
	uuid[0] = 1
	for range 2 {
		o.Rand = bytes.NewReader(bytes.Repeat([]byte{7}, 64))
		mem := storetest.NewMemory()
		sb := small(64 << 10)
		sb.UUID = uuid
		w, err := vault.Start(t.Context(), mem, mem, ref, sb, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeAll(t.Context(), w, want, 512, 64<<10); err != nil {
			t.Fatal(err)
		}
		if err := w.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkNoLie(t, mem, want)
		c := segmentsOf(mem)[0]
		payloads = append(payloads, c.content[c.at[1]+128:c.at[1]+128+1000])
	}
	if bytes.Equal(payloads[0], payloads[1]) || bytes.Equal(payloads[0][:12], payloads[1][:12]) {
		t.Error("the same nonce twice under one key")
	}
}

// TestALostKeyFileKeepsItsName: another key under the name that was recorded for it would
// hide that what it opened is lost.
func TestALostKeyFileKeepsItsName(t *testing.T) {
	mem := written(t, noise(200<<10), 1, false)
	mem.Put(keyDir+"0001.age", nil)
	o := theBench().options()
	o.Keys = 1
	var made vault.KeyFile
	o.OnKey = func(k vault.KeyFile) error { made = k; return nil }
	w, _, err := vault.Resume(t.Context(), mem, mem, ref, vault.Position{}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if made.Session != 2 || made.File != keyDir+"0002.age" {
		t.Errorf("the key file of the next session is number %d, %s", made.Session, made.File)
	}
}

func TestKeysThatDoNotFitAreToldApart(t *testing.T) {
	want := noise(200 << 10)
	mem := written(t, want, 2, true)
	stranger, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	other := written(t, want, 1, true)
	key := mem.Content(keyDir + "0001.age")
	for name, tt := range map[string]struct {
		id     age.Identity
		change func(*storetest.Memory)
		want   error
	}{
		"a stranger's identity":       {stranger, func(*storetest.Memory) {}, vault.ErrWrongKey},
		"no key file":                 {nil, func(m *storetest.Memory) { m.Put(keyDir+"0001.age", nil) }, vault.ErrKeyFile},
		"key file of another image":   {nil, func(m *storetest.Memory) { m.Put(keyDir+"0001.age", other.Content(keyDir+"0001.age")) }, vault.ErrKeyFile},
		"key file of another session": {nil, func(m *storetest.Memory) { m.Put(keyDir+"0001.age", mem.Content(keyDir+"0002.age")) }, vault.ErrKeyFile},
		"key file empty":              {nil, func(m *storetest.Memory) { m.Put(keyDir+"0001.age", []byte{}) }, vault.ErrKeyFile},
		"key file cut by a byte":      {nil, func(m *storetest.Memory) { m.Put(keyDir+"0001.age", key[:len(key)-1]) }, vault.ErrKeyFile},
		"key file cut in its header":  {nil, func(m *storetest.Memory) { m.Put(keyDir+"0001.age", key[:100]) }, vault.ErrKeyFile},
		"key file with a byte more":   {nil, func(m *storetest.Memory) { m.Put(keyDir+"0001.age", append(slices.Clone(key), 0)) }, vault.ErrKeyFile},
		"key file enormous":           {nil, func(m *storetest.Memory) { m.Put(keyDir+"0001.age", make([]byte, 1<<20)) }, vault.ErrKeyFile},
	} {
		t.Run(name, func(t *testing.T) {
			m := mem.Clone()
			tt.change(m)
			id := tt.id
			if id == nil {
				id = theBench().identity
			}
			c, err := vault.OpenImage(t.Context(), m, ref)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Unlock(t.Context(), m, id); !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a torn key file of a run that wrote nothing does not matter", func(t *testing.T) {
		m := mem.Clone()
		m.Put(keyDir+"0003.age", key[:50])
		checkWhole(t, m, want)
	})
}

func TestStartRefuses(t *testing.T) {
	b := theBench()
	for name, tt := range map[string]struct {
		change func(*vault.Superblock, *vault.Options, *storetest.Memory)
		want   error
	}{
		"one recipient": {func(_ *vault.Superblock, o *vault.Options, _ *storetest.Memory) { o.Recipients = o.Recipients[:1] }, vault.ErrRecipients},
		"the same recipient twice": {func(_ *vault.Superblock, o *vault.Options, _ *storetest.Memory) {
			o.Recipients = []age.Recipient{b.identity.Recipient(), b.identity.Recipient()}
		}, vault.ErrRecipients},
		"a passphrase as recipient": {func(_ *vault.Superblock, o *vault.Options, _ *storetest.Memory) {
			r, err := age.NewScryptRecipient("correct horse battery staple")
			if err != nil {
				t.Fatal(err)
			}
			o.Recipients = append([]age.Recipient{r}, o.Recipients...)
		}, vault.ErrRecipients},
		"families mixed": {func(_ *vault.Superblock, o *vault.Options, _ *storetest.Memory) {
			id, err := age.GenerateHybridIdentity()
			if err != nil {
				t.Fatal(err)
			}
			o.Recipients = append([]age.Recipient{id.Recipient()}, o.Recipients...)
		}, vault.ErrRecipients},
		"erase-by a day late": {func(s *vault.Superblock, _ *vault.Options, _ *storetest.Memory) {
			s.EraseBy = begun.AddDate(1, 0, 1)
		}, vault.ErrEraseBy},
		"erase-by in the past": {func(s *vault.Superblock, _ *vault.Options, _ *storetest.Memory) {
			s.EraseBy = begun.Add(-time.Second)
		}, vault.ErrEraseBy},
		"29 February goes to 28 February": {func(s *vault.Superblock, _ *vault.Options, _ *storetest.Memory) {
			s.Created = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
			s.EraseBy = time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
		}, vault.ErrEraseBy},
		"no room":     {func(_ *vault.Superblock, _ *vault.Options, m *storetest.Memory) { m.SetFree(1 << 20) }, vault.ErrNoSpace},
		"no bytes":    {func(s *vault.Superblock, _ *vault.Options, _ *storetest.Memory) { s.Bytes = 0 }, vault.ErrRange},
		"odd sector":  {func(s *vault.Superblock, _ *vault.Options, _ *storetest.Memory) { s.Sector = 520 }, vault.ErrRange},
		"no sector":   {func(s *vault.Superblock, _ *vault.Options, _ *storetest.Memory) { s.Sector = 0 }, vault.ErrRange},
		"short key":   {func(s *vault.Superblock, _ *vault.Options, _ *storetest.Memory) { s.Station = ed25519.PublicKey{1} }, vault.ErrRange},
		"a hair over": {func(s *vault.Superblock, _ *vault.Options, _ *storetest.Memory) { s.MaxSegment = vault.MaxSegment + 1 }, vault.ErrRange},
	} {
		t.Run(name, func(t *testing.T) {
			sb, o, mem := small(1<<20), b.options(), storetest.NewMemory()
			tt.change(&sb, &o, mem)
			w, err := vault.Start(t.Context(), mem, mem, ref, sb, o)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
			if w != nil {
				w.Abort()
			}
			for _, n := range mem.Names() {
				if strings.HasSuffix(n, ".age") || strings.HasSuffix(n, ".seg") {
					t.Errorf("%s was written", n)
				}
			}
		})
	}
	t.Run("an image that exists", func(t *testing.T) {
		mem := written(t, noise(4096), 1, false)
		if _, err := vault.Start(t.Context(), mem, mem, ref, small(1<<20), b.options()); !errors.Is(err, vault.ErrExists) {
			t.Error(err)
		}
	})
	t.Run("resuming a sealed image", func(t *testing.T) {
		mem := written(t, noise(4096), 1, true)
		if _, _, err := vault.Resume(t.Context(), mem, mem, ref, vault.Position{}, b.options()); !errors.Is(err, vault.ErrSealed) {
			t.Error(err)
		}
	})
	t.Run("names that lead elsewhere", func(t *testing.T) {
		for _, r := range []vault.ImageRef{{Case: "../../etc", Name: "image-01"}, {Case: ref.Case, Name: ".."}, {Case: ref.Case, Name: "image-01/x"}, {}} {
			mem := storetest.NewMemory()
			if _, err := vault.Start(t.Context(), mem, mem, r, small(1<<20), b.options()); !errors.Is(err, vault.ErrRange) {
				t.Errorf("%v: %v", r, err)
			}
			if _, err := vault.OpenImage(t.Context(), mem, r); !errors.Is(err, vault.ErrRange) {
				t.Errorf("%v: %v", r, err)
			}
		}
	})
}

// TestHostileDirectoryIsNeverFollowed prepares a vault as somebody else could, and wants it refused and nothing
// outside touched.
func TestHostileDirectoryIsNeverFollowed(t *testing.T) {
	want := noise(100 << 10)
	b := theBench()
	type place struct{ root, outside string }
	for name, prepare := range map[string]func(t *testing.T, p place){
		"a segment is a symlink": func(t *testing.T, p place) {
			replace(t, p.root, imageDir+"000000.seg", func(path string) error {
				return os.Symlink(filepath.Join(p.outside, "secret"), path)
			})
		},
		"a segment is a symlink within the vault": func(t *testing.T, p place) {
			replace(t, p.root, imageDir+"000000.seg", func(path string) error { return os.Symlink("image.slv", path) })
		},
		"a segment has a second name": func(t *testing.T, p place) {
			if err := os.Link(filepath.Join(p.root, imageDir, "000000.seg"), filepath.Join(p.outside, "copy")); err != nil {
				t.Fatal(err)
			}
		},
		"a segment is a FIFO": func(t *testing.T, p place) {
			replace(t, p.root, imageDir+"000000.seg", func(path string) error { return syscall.Mkfifo(path, 0o600) })
		},
		"a segment is a directory": func(t *testing.T, p place) {
			replace(t, p.root, imageDir+"000000.seg", func(path string) error { return os.Mkdir(path, 0o700) })
		},
		"a segment is a device": func(t *testing.T, p place) {
			if os.Geteuid() != 0 {
				t.Skip("making a device node needs root")
			}
			replace(t, p.root, imageDir+"000000.seg", func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o600, 1<<8|5) })
		},
		"the superblock is a FIFO": func(t *testing.T, p place) {
			replace(t, p.root, imageDir+"image.slv", func(path string) error { return syscall.Mkfifo(path, 0o600) })
		},
		"the seal is a symlink": func(t *testing.T, p place) {
			if err := os.Symlink(filepath.Join(p.outside, "secret"), filepath.Join(p.root, imageDir, "seal.note")); err != nil {
				t.Fatal(err)
			}
		},
		"the image's directory is a symlink": func(t *testing.T, p place) {
			dir := filepath.Join(p.root, imageDir)
			if err := os.Rename(dir, filepath.Join(p.outside, "image")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(p.outside, "image"), strings.TrimSuffix(dir, "/")); err != nil {
				t.Fatal(err)
			}
		},
		"the cases are a symlink within the vault": func(t *testing.T, p place) {
			if err := os.Rename(filepath.Join(p.root, "cases"), filepath.Join(p.root, "moved")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("moved", filepath.Join(p.root, "cases")); err != nil {
				t.Fatal(err)
			}
		},
		"the key file has a second name": func(t *testing.T, p place) {
			if err := os.Link(filepath.Join(p.root, keyDir, "0001.age"), filepath.Join(p.outside, "key")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := place{t.TempDir(), t.TempDir()}
			if err := os.WriteFile(filepath.Join(p.outside, "secret"), []byte("untouched"), 0o600); err != nil {
				t.Fatal(err)
			}
			st, err := vault.OpenDir(p.root)
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			w, err := vault.Start(t.Context(), st, st, ref, small(100<<10), b.options())
			if err != nil {
				t.Fatal(err)
			}
			if err := writeAll(t.Context(), w, want, 512, 64<<10); err != nil {
				t.Fatal(err)
			}
			if err := w.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
			prepare(t, p)
			c, err := vault.OpenImage(t.Context(), st, ref)
			if err == nil {
				_, err = c.Unlock(t.Context(), st, b.identity)
			}
			if !errors.Is(err, vault.ErrHostile) {
				t.Errorf("opening: %v", err)
			}
			if !strings.Contains(name, "key") {
				if _, _, err := vault.Resume(t.Context(), st, st, ref, vault.Position{}, b.options()); !errors.Is(err, vault.ErrHostile) {
					t.Errorf("resuming: %v", err)
				}
			}
			if got, err := os.ReadFile(filepath.Join(p.outside, "secret")); err != nil || string(got) != "untouched" {
				t.Errorf("outside: %q, %v", got, err)
			}
		})
	}
	t.Run("the next segment's name is taken by a dangling symlink", func(t *testing.T) {
		p := place{t.TempDir(), t.TempDir()}
		st, err := vault.OpenDir(p.root)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		w, err := vault.Start(t.Context(), st, st, ref, small(100<<10), b.options())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(p.outside, "made"), filepath.Join(p.root, imageDir, "000000.seg")); err != nil {
			t.Fatal(err)
		}
		if err := writeAll(t.Context(), w, want, 512, 64<<10); err != nil {
			t.Fatal(err)
		}
		if err := w.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(p.outside); err != nil || len(entries) != 0 {
			t.Errorf("written outside: %v, %v", entries, err)
		}
	})
	t.Run("files are for their owner alone", func(t *testing.T) {
		st := dir(t)
		w, err := vault.Start(t.Context(), st, st, ref, small(100<<10), b.options())
		if err != nil {
			t.Fatal(err)
		}
		if err := writeAll(t.Context(), w, want, 512, 64<<10); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{imageDir + "image.slv", imageDir + "000000.seg", imageDir + "seal.note", keyDir + "0001.age"} {
			info, err := st.Root().Stat(name)
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
	})
}

func replace(t *testing.T, root, name string, make func(string) error) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := make(path); err != nil {
		t.Fatal(err)
	}
}
