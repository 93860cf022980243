package vault

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func packers(t testing.TB) (*packer, *unpacker) {
	t.Helper()
	p, err := newPacker(1)
	if err != nil {
		t.Fatal(err)
	}
	u, err := newUnpacker()
	if err != nil {
		t.Fatal(err)
	}
	return p, u
}

func TestPackingIsKeptOnlyWhereItSavesABlock(t *testing.T) {
	p, u := packers(t)
	noise := make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	for name, tt := range map[string]struct {
		plain []byte
		worth bool
	}{
		"noise":                       {noise, false},
		"text":                        {bytes.Repeat([]byte("all work and no play "), 50000)[:1<<20], true},
		"noise with a little nothing": {append(bytes.Clone(noise[:64<<10-100]), make([]byte, 100)...), false},
		"noise with 9 KiB of nothing": {append(bytes.Clone(noise[:64<<10-9<<10]), make([]byte, 9<<10)...), true},
		"a block anyway":              {bytes.Repeat([]byte("text"), 3584/4), false},
		"one sector of nothing":       {make([]byte, 512), false},
	} {
		packed, ok := p.pack(tt.plain, nil)
		if ok != tt.worth {
			t.Errorf("%s: %d bytes packed into %d: %v", name, len(tt.plain), len(packed), ok)
		}
		if got, err := u.unpack(packed, len(tt.plain)); err != nil || !bytes.Equal(got, tt.plain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnpackingGivesThePromisedLengthOrNothing(t *testing.T) {
	p, u := packers(t)
	plain := bytes.Repeat([]byte("salvor"), 10000)
	packed, _ := p.pack(plain, nil)
	sum, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true), zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	empty := []byte{0x28, 0xB5, 0x2F, 0xFD, 0x20, 0, 1, 0, 0}
	skip := []byte{0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 9}
	for name, tt := range map[string]struct {
		packed []byte
		n      int
	}{
		"a byte less":             {packed, len(plain) - 1},
		"a byte more":             {packed, len(plain) + 1},
		"nothing":                 {packed, 0},
		"negative":                {packed, -1},
		"a second frame":          {append(bytes.Clone(packed), packed...), len(plain)},
		"an empty second frame":   {append(bytes.Clone(packed), empty...), len(plain)},
		"a skippable frame after": {append(bytes.Clone(packed), skip...), len(plain)},
		"a skippable frame first": {append(bytes.Clone(skip), packed...), len(plain)},
		"a byte behind it":        {append(bytes.Clone(packed), 0), len(plain)},
		"cut short":               {packed[:len(packed)-1], len(plain)},
		"a checksum":              {sum.EncodeAll(plain, nil), len(plain)},
		"no bytes":                {nil, 5},
	} {
		if got, err := u.unpack(tt.packed, tt.n); !errors.Is(err, errPacked) || got != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	p, u := packers(f)
	plain := bytes.Repeat([]byte("salvor"), 1000)
	packed, _ := p.pack(plain, nil)
	f.Add(bytes.Clone(packed), len(plain))
	f.Add(bytes.Clone(packed), 1<<20)
	f.Fuzz(func(t *testing.T, packed []byte, n int) {
		if n > MaxRecord {
			n %= MaxRecord
		}
		got, err := u.unpack(packed, n)
		if err == nil && len(got) != n {
			t.Errorf("%d bytes instead of %d", len(got), n)
		}
		// What is packed is found again, whatever it is.
		again, _ := p.pack(packed, nil)
		if len(packed) > 0 {
			if back, err := u.unpack(again, len(packed)); err != nil || !bytes.Equal(back, packed) {
				t.Errorf("packed and unpacked: %v", err)
			}
		}
	})
}
