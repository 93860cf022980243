package vault_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/custody/vault"
	"salvor/custody/vault/storetest"
)

// mixed is a source of which some records pack well, some hardly and some not at all.
func mixed(n int) []byte {
	p := noise(n)
	for off := 0; off+128<<10 <= n; off += 192 << 10 {
		copy(p[off:off+64<<10], bytes.Repeat([]byte("The quick brown fox. "), 4000))
		clear(p[off+70<<10 : off+100<<10])
	}
	return p
}

func compressed(t testing.TB, want []byte, seal bool) *storetest.Memory {
	t.Helper()
	mem := storetest.NewMemory()
	o := new(witness).options()
	o.Compress = true
	w, err := vault.Start(t.Context(), mem, mem, ref, small(int64(len(want))), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeAll(t.Context(), w, want, 512, 64<<10); err != nil {
		t.Fatal(err)
	}
	if seal {
		_, err = w.Seal(t.Context())
	} else {
		err = w.Pause(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return mem
}

func stored(m *storetest.Memory) (n int) {
	for _, c := range segmentsOf(m) {
		n += len(c.content)
	}
	return n
}

func TestCompressedImagesAreSmallerAndTheSame(t *testing.T) {
	want := mixed(1<<20 + 300)
	plain := written(t, want, 1, true)
	mem := compressed(t, want, true)
	checkWhole(t, mem, want)
	if a, b := stored(mem), stored(plain); a > b-200<<10 {
		t.Errorf("%d bytes with compression, %d without", a, b)
	}
	kinds := make(map[byte]int)
	for _, c := range segmentsOf(mem) {
		for _, at := range c.at {
			kinds[c.content[at+5]]++
		}
	}
	if kinds[0] == 0 || kinds[1] == 0 || len(kinds) != 2 {
		t.Errorf("codecs: %v", kinds)
	}
	t.Run("off by default", func(t *testing.T) {
		for _, c := range segmentsOf(plain) {
			for _, at := range c.at {
				if c.content[at+5] != 0 {
					t.Fatal("packed without being asked")
				}
			}
		}
	})
	t.Run("without its footers", func(t *testing.T) {
		m := mem.Clone()
		for _, c := range segmentsOf(m) {
			m.Put(c.name, append(c.content[:len(c.content):len(c.content)], 0))
		}
		checkWhole(t, m, want)
	})
	t.Run("to the end", func(t *testing.T) {
		_, r := unlock(t, mem, mem)
		got, err := r.Deep(t.Context(), nil)
		if err != nil || got.SHA256 != sha256.Sum256(want) {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("resumed without compression", func(t *testing.T) {
		m := compressed(t, want, false)
		w, c, err := vault.Resume(t.Context(), m, m, ref, vault.Position{}, new(witness).options())
		if err != nil {
			t.Fatal(err)
		}
		if err := rescue(t.Context(), w, c.Runs(), want); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, m, want)
	})
}

func TestCompressedRunSurvivesBrokenSegments(t *testing.T) {
	want := mixed(1 << 20)
	for _, op := range []storetest.Op{storetest.OpWrite, storetest.OpSync} {
		mem := storetest.NewMemory()
		st := &storetest.Faulty{Store: mem, Fault: failing(op, ".seg", 4, 1, errPower)}
		o := new(witness).options()
		o.Compress = true
		w, err := vault.Start(t.Context(), st, st, ref, small(int64(len(want))), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeAll(t.Context(), w, want, 512, 64<<10); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, mem, want)
	}
}

func TestSwappedCodecsNeverYieldWrongData(t *testing.T) {
	want := mixed(700 << 10)
	mem := compressed(t, want, true)
	for _, c := range segmentsOf(mem) {
		for _, at := range c.at {
			for _, codec := range []byte{0, 1, 2, 255} {
				if c.content[at+5] == codec {
					continue
				}
				b := bytes.Clone(c.content)
				b[at+5] = codec
				forge(b[at:])
				m := mem.Clone()
				m.Put(c.name, b)
				if !noLie(t, m, want, true, vault.Position{}, "codec") {
					t.Errorf("%s at %d: codec %d not found out", c.name, at, codec)
				}
			}
		}
	}
}

func TestAnIndependentReaderUnpacks(t *testing.T) {
	python, script := independentReader(t)
	if _, err := exec.LookPath("zstd"); err != nil {
		if exec.Command("python3", "-c", "import zstandard").Run() != nil {
			t.Skip("the independent reader needs zstd or python3-zstandard")
		}
	}
	want := mixed(1<<20 + 11)
	root := t.TempDir()
	spill(t, compressed(t, want, true), root)
	identity := filepath.Join(t.TempDir(), "identity.txt")
	file, err := vault.IdentityFile(theBench().spare, begun, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(identity, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "disk")
	said, err := exec.Command(python, script, root, ref.Case, ref.Name, identity, out).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, want) {
		t.Errorf("content differs (%v): %s", err, said)
	}
	if strings.Contains(string(said), "Traceback") || errors.Is(err, os.ErrNotExist) {
		t.Error(string(said))
	}
}

const packedSample = "testdata/v1-zstd"

func packedSource() []byte {
	return append(bytes.Repeat([]byte("This disk belongs to nobody. "), 5000), sampleSource()[:90<<10]...)
}

func TestPackedContainersOfVersionOneStayReadable(t *testing.T) {
	want := packedSource()
	if *makeSample {
		if err := os.RemoveAll(packedSample); err != nil {
			t.Fatal(err)
		}
		spill(t, compressed(t, want, true), packedSample)
		file, err := vault.IdentityFile(theBench().identity, begun, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(packedSample, "identity.txt"), file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	st, err := vault.OpenDir(packedSample)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	f, err := os.Open(filepath.Join(packedSample, "identity.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ids, err := vault.ReadIdentities(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, r := unlock(t, st, st, ids...)
	if got, err := r.Deep(t.Context(), nil); err != nil || got.SHA256 != sha256.Sum256(want) {
		t.Errorf("%+v, %v", got, err)
	}
}
