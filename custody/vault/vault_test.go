package vault_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody/vault"
)

var (
	ref   = vault.ImageRef{Case: "T1-2026-0001", Name: "image-01"}
	begun = time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
)

// A bench is everything that writing and reading an image needs, with keys that are drawn once.
type bench struct {
	identity   *age.X25519Identity
	spare      *age.X25519Identity
	recipients []age.Recipient
	signer     note.Signer
	verifier   note.Verifier
	station    ed25519.PublicKey
}

var theBench = sync.OnceValue(func() *bench {
	b := new(bench)
	var err error
	check := func() {
		if err != nil {
			panic(err)
		}
	}
	b.identity, err = vault.NewIdentity()
	check()
	b.spare, err = vault.NewIdentity()
	check()
	b.recipients = []age.Recipient{b.identity.Recipient(), b.spare.Recipient()}
	secret, public, err := note.GenerateKey(nil, "salvor/01jd0000000000000000000000/T1")
	check()
	b.signer, err = note.NewSigner(secret)
	check()
	b.verifier, err = note.NewVerifier(public)
	check()
	b.station = make(ed25519.PublicKey, ed25519.PublicKeySize)
	return b
})

func (b *bench) options() vault.Options {
	return vault.Options{
		Recipients: b.recipients, Signer: b.signer, Workers: 2,
		Now:   func() time.Time { return begun },
		After: func(time.Duration) <-chan time.Time { return nil },
	}
}

func (b *bench) superblock(bytes int64) vault.Superblock {
	return vault.Superblock{
		Sector: 512, Physical: 4096, Bytes: bytes, Created: begun, EraseBy: begun.AddDate(1, 0, 0), Station: b.station,
	}
}

// source makes content that looks like a disk: noise, with runs of zeros and of 0xFF, the same for the same seed.
func source(n int, seed uint64) []byte {
	p := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 7))
	for off := 0; off < n; {
		k := min(n-off, 4096*(1+r.IntN(64)))
		q := p[off : off+k]
		switch r.IntN(4) {
		case 0: // zeros
		case 1:
			for i := range q {
				q[i] = 0xFF
			}
		default:
			for i := range q {
				q[i] = byte(r.Uint32())
			}
		}
		off += k
	}
	return p
}

// sectors pads a source to whole sectors.
func sectors(p []byte, sector int) []byte {
	return append(p[:len(p):len(p)], make([]byte, (sector-len(p)%sector)%sector)...)
}

func dir(t testing.TB) *vault.Dir {
	t.Helper()
	d, err := vault.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// writeAll writes a whole source in pieces of up to a MiB.
func writeAll(ctx context.Context, w *vault.Writer, p []byte, sector, step int) error {
	p = sectors(p, sector)
	for off := 0; off < len(p); off += step {
		end := min(off+step, len(p))
		if err := w.Write(ctx, int64(off/sector), p[off:end], 1, nil); err != nil {
			return err
		}
	}
	return nil
}

func unlock(t testing.TB, st, keys vault.Store, ids ...age.Identity) (*vault.Container, *vault.Reader) {
	t.Helper()
	c, err := vault.OpenImage(t.Context(), st, ref)
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) == 0 {
		ids = []age.Identity{theBench().identity}
	}
	r, err := c.Unlock(t.Context(), keys, ids...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return c, r
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	for _, size := range []int{1, 511, 512, 4096, 100_000, 3<<20 + 700, 20 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b, st := theBench(), dir(t)
			want := source(size, 1)
			w, err := vault.Start(t.Context(), st, st, ref, b.superblock(int64(size)), b.options())
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Meta(t.Context(), []byte("model=TEST")); err != nil {
				t.Fatal(err)
			}
			if err := writeAll(t.Context(), w, want, 512, 1<<20); err != nil {
				t.Fatal(err)
			}
			seal, err := w.Seal(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c, r := unlock(t, st, st)
			got := make([]byte, size)
			if n, err := r.ReadAt(got, 0); n != size || err != nil {
				t.Fatalf("ReadAt: %d bytes of %d, %v", n, size, err)
			}
			if !bytes.Equal(got, want) {
				t.Error("content differs")
			}
			for _, id := range []age.Identity{b.identity, b.spare} {
				_, r := unlock(t, st, st, id)
				deep, err := r.Deep(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(vault.Content{SHA256: sha256.Sum256(want), Bytes: int64(size)}, deep); diff != "" {
					t.Error(diff)
				}
			}
			metas, err := r.Metas(t.Context())
			if err != nil || len(metas) != 1 || string(metas[0]) != "model=TEST" {
				t.Errorf("metas: %q, %v", metas, err)
			}
			if diff := cmp.Diff([]vault.Run{{First: 0, Sectors: int64(len(sectors(want, 512)) / 512), Status: '+'}}, c.Runs()); diff != "" {
				t.Error(diff)
			}
			media, err := c.VerifyMedia(t.Context(), b.verifier, nil)
			if err != nil {
				t.Fatal(err)
			}
			quick, err := c.VerifyQuick(t.Context(), b.verifier, nil)
			if err != nil {
				t.Fatal(err)
			}
			if quick.Root != seal.Root || media.Root != seal.Root || media.Records != seal.Records || seal.Rescued != int64(size) {
				t.Errorf("seal %+v, quick %+v, media %+v", seal, quick, media)
			}
		})
	}
}

func TestUnreadSectorsAreSaidNotZeroed(t *testing.T) {
	b, st := theBench(), dir(t)
	want := source(1<<20, 3)
	w, err := vault.Start(t.Context(), st, st, ref, b.superblock(1<<20), b.options())
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, err := range []error{
		w.Write(ctx, 0, want[:64<<10], 1, nil),
		w.Mark(ctx, 0, 256, '-', 1), // never hides what was read
		w.Write(ctx, 1024, want[512<<10:], 1, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	c, r := unlock(t, st, st)
	wantRuns := []vault.Run{{0, 128, '+'}, {128, 128, '-'}, {256, 768, '?'}, {1024, 1024, '+'}}
	if diff := cmp.Diff(wantRuns, c.Runs()); diff != "" {
		t.Error(diff)
	}
	got := make([]byte, 1<<20)
	n, err := r.ReadAt(got, 0)
	var unread *vault.UnreadError
	if !errors.As(err, &unread) || n != 64<<10 || *unread != (vault.UnreadError{First: 128, Sectors: 896}) {
		t.Errorf("ReadAt: %d, %v", n, err)
	}
	if n, err := r.ReadAt(got[512<<10:], 512<<10); n != 512<<10 || err != nil || !bytes.Equal(got[512<<10:], want[512<<10:]) {
		t.Errorf("ReadAt behind the gap: %d, %v", n, err)
	}
	deep, err := r.Deep(ctx, nil)
	if err != nil || deep.Unread != 896*512 {
		t.Errorf("Deep: %+v, %v", deep, err)
	}
	if _, err := c.VerifyQuick(ctx, b.verifier, nil); !errors.Is(err, vault.ErrUnsealed) {
		t.Errorf("VerifyQuick: %v", err)
	}
}
