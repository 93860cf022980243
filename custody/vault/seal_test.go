package vault

import (
	"bytes"
	"crypto/rand"
	"testing"
)

// BenchmarkSeal is the whole work on one record of 1 MiB on one processor: zero test, AES-256-GCM, SHA-256.
func BenchmarkSeal(b *testing.B) {
	s, err := newSession([16]byte{1}, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	sw := segmentWriter{cipher: s.segmentKey(0)}
	plain := make([]byte, MaxRecord)
	if _, err := rand.Read(plain); err != nil {
		b.Fatal(err)
	}
	out := &batch{buf: alignedBuffer(int(storedSize(MaxRecord)))}
	b.SetBytes(MaxRecord)
	b.ReportAllocs()
	for b.Loop() {
		if len(pieces(plain, 512, -1, nil)) != 1 {
			b.Fatal("noise taken for a fill")
		}
		r := placed{header: recordHeader{kind: typeData, sectors: MaxRecord / 512, plain: MaxRecord}}
		sw.seal(out, &r, plain)
	}
}

// BenchmarkZeroTest is the cost of finding that a MiB is all zeros.
func BenchmarkZeroTest(b *testing.B) {
	p := bytes.Repeat([]byte{0}, MaxRecord)
	b.SetBytes(MaxRecord)
	for b.Loop() {
		if got := pieces(p, 512, -1, nil); len(got) != 1 || !got[0].fill {
			b.Fatal(got)
		}
	}
}
