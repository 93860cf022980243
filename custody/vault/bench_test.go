package vault_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"testing"

	"salvor/custody/vault"
)

// noise fills whole MiBs that neither compress nor repeat.
func noise(n int) []byte {
	p := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i+8 <= n; i += 8 {
		v := r.Uint64()
		for k := range 8 {
			p[i+k] = byte(v >> (8 * k))
		}
	}
	return p
}

// BenchmarkWriter writes an image of 512 MiB into a real file system, fsync and seal included.
func BenchmarkWriter(b *testing.B) {
	const size = 512 << 20
	p := noise(64 << 20)
	b.SetBytes(size)
	for b.Loop() {
		b.StopTimer()
		st := dir(b)
		o := theBench().options()
		o.Workers = runtime.GOMAXPROCS(0)
		b.StartTimer()
		w, err := vault.Start(context.Background(), st, st, ref, theBench().superblock(size), o)
		if err != nil {
			b.Fatal(err)
		}
		for off := 0; off < size; off += 1 << 20 {
			at := off % len(p)
			if err := w.Write(context.Background(), int64(off/512), p[at:at+1<<20], 1, nil); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Seal(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReader decrypts a whole image on all processors.
func BenchmarkReader(b *testing.B) {
	const size = 256 << 20
	st := dir(b)
	w, err := vault.Start(context.Background(), st, st, ref, theBench().superblock(size), theBench().options())
	if err != nil {
		b.Fatal(err)
	}
	if err := writeAll(context.Background(), w, noise(size), 512, 1<<20); err != nil {
		b.Fatal(err)
	}
	if _, err := w.Seal(context.Background()); err != nil {
		b.Fatal(err)
	}
	c, r := unlock(b, st, st)
	b.Run("chunks", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if err := r.Chunks(context.Background(), func(vault.Chunk) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("media", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if _, err := c.VerifyMedia(context.Background(), theBench().verifier, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
