package wipe

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// TestStreamIsWhatItsCommentSays makes the stream a second time, block by block,
// from the text alone: the counter block is lane and offset divided by 16.
func TestStreamIsWhatItsCommentSays(t *testing.T) {
	key := Key(noise(5, 32))
	b, err := aes.NewCipher(key[:])
	check(t, err)
	for _, lane := range []uint64{0, 1, firstKeyLane, 1<<64 - 1} {
		want := make([]byte, 1<<12)
		for at := 0; at < len(want); at += 16 {
			var counter [16]byte
			binary.BigEndian.PutUint64(counter[:8], lane)
			binary.BigEndian.PutUint64(counter[8:], uint64(at/16))
			b.Encrypt(want[at:], counter[:])
		}
		got := make([]byte, len(want))
		NewStream(key, lane).Fill(got, 0)
		if !bytes.Equal(got, want) {
			t.Errorf("lane %d differs", lane)
		}
	}
}

// TestStreamIsTheSameFromAnyOffset: a resumed pass and a comparison begin anywhere.
func TestStreamIsTheSameFromAnyOffset(t *testing.T) {
	s := NewStream(Key{1}, 3)
	whole := make([]byte, 70000)
	s.Fill(whole, 0)
	rapid.Check(t, func(t *rapid.T) {
		off := rapid.IntRange(0, len(whole)).Draw(t, "off")
		n := rapid.IntRange(0, len(whole)-off).Draw(t, "n")
		p := bytes.Repeat([]byte{0xAA}, n)
		s.Fill(p, int64(off))
		if !bytes.Equal(p, whole[off:off+n]) {
			t.Fatal("the stream differs")
		}
		// Every byte that is wrong is counted, and no other.
		wrong := rapid.SliceOfNDistinct(rapid.IntRange(0, max(0, n-1)), 0, min(n, 50), rapid.ID[int]).Draw(t, "wrong")
		for _, i := range wrong {
			p[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		if got := s.Different(p, int64(off)); got != int64(len(wrong)) {
			t.Fatalf("%d differ, want %d", got, len(wrong))
		}
	})
}

func TestLanesAndKeysDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range []Key{{}, {1}} {
		for lane := range uint64(3) {
			for _, off := range []int64{0, 4096, 1 << 40} {
				p := make([]byte, 32)
				NewStream(k, lane).Fill(p, off)
				if seen[string(p)] {
					t.Errorf("key %v, lane %d, offset %d repeats another", k[0], lane, off)
				}
				seen[string(p)] = true
			}
		}
	}
}

func TestKeyAndDigestAreHexadecimal(t *testing.T) {
	j := &Job{StreamKey: Key{0xAB}, Files: []FileJob{{Map: Map{Digest: Digest{0xCD}}, SHA256: &Digest{1}}}}
	b, err := json.Marshal(j)
	check(t, err)
	if !bytes.Contains(b, []byte(`"stream_key":"ab00`)) || !bytes.Contains(b, []byte(`"digest":"cd00`)) {
		t.Errorf("%s", b)
	}
	back := decode(t, b)
	if back.StreamKey != j.StreamKey || back.Files[0].Map != j.Files[0].Map || *back.Files[0].SHA256 != *j.Files[0].SHA256 {
		t.Error("they do not come back")
	}
	for _, bad := range []string{`{"stream_key":"ab"}`, `{"stream_key":"` + string(bytes.Repeat([]byte("zz"), 32)) + `"}`} {
		if json.Unmarshal([]byte(bad), new(Job)) == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func BenchmarkStreamFill(b *testing.B) {
	s, p := NewStream(Key{1}, 1), make([]byte, chunkSize)
	b.SetBytes(chunkSize)
	for b.Loop() {
		s.Fill(p, 0)
	}
}

func BenchmarkStreamDifferent(b *testing.B) {
	s, p := NewStream(Key{1}, 1), make([]byte, chunkSize)
	b.SetBytes(chunkSize)
	for b.Loop() {
		s.Different(p, 0)
		clear(p)
		b.StopTimer()
		s.Fill(p, 0)
		b.StartTimer()
	}
}
