package vault_test

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody/vault"
	"salvor/custody/vault/storetest"
)

// The sample container stays as the first version wrote it. -sample writes it anew, which only a change of the format
// before its first release may need.
var makeSample = flag.Bool("sample", false, "write testdata/v1 anew")

const sampleDir = "testdata/v1"

// sampleSource is what the sample holds: noise, a long run of zeros, a text, and an end within a sector. Sectors 400 to
// 407 are bad, 408 to 415 untried.
func sampleSource() []byte {
	p := make([]byte, 300<<10+77)
	r := rand.New(rand.NewPCG(20261121, 1))
	for i := range p[:100<<10] {
		p[i] = byte(r.Uint32())
	}
	for off := 220 << 10; off < len(p); {
		off += copy(p[off:], "This disk belongs to nobody. ")
	}
	clear(p[400*512 : 416*512])
	return p
}

func writeSample(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.RemoveAll(sampleDir))
	must(os.MkdirAll(sampleDir, 0o755))
	id, err := vault.NewIdentity()
	must(err)
	spare, err := vault.NewIdentity()
	must(err)
	file, err := vault.IdentityFile(id, begun, "")
	must(err)
	must(os.WriteFile(filepath.Join(sampleDir, "identity.txt"), file, 0o644))
	secret, public, err := note.GenerateKey(nil, "salvor/01jd0000000000000000000000/t1")
	must(err)
	must(os.WriteFile(filepath.Join(sampleDir, "station.pub"), []byte(public+"\n"), 0o644))
	signer, err := note.NewSigner(secret)
	must(err)
	st, err := vault.OpenDir(sampleDir)
	must(err)
	defer st.Close()
	must(vault.Create(st, vault.Marker{Vault: "01JD0000000000000000000000", Created: begun}))
	o := theBench().options()
	o.Recipients, o.Signer = []age.Recipient{id.Recipient(), spare.Recipient()}, signer
	src := sectors(sampleSource(), 512)
	sb := small(300<<10 + 77)
	w, err := vault.Start(t.Context(), st, st, ref, sb, o)
	must(err)
	ctx := t.Context()
	must(w.Meta(ctx, []byte("model=SAMPLE")))
	must(writeAll(ctx, w, src[:160<<10], 512, 64<<10))
	must(w.Pause(ctx))
	o.Now = func() time.Time { return begun.Add(time.Hour) }
	w, _, err = vault.Resume(ctx, st, st, ref, w.Acked(), o)
	must(err)
	must(w.Write(ctx, 320, src[320*512:400*512], 1, nil))
	must(w.Mark(ctx, 400, 16, '*', 1))
	must(w.Write(ctx, 416, src[416*512:480*512], 1, nil))
	must(w.Write(ctx, 480, src[480*512:600*512], 2, nil))
	must(w.Mark(ctx, 400, 8, '-', 3))
	must(w.Mark(ctx, 408, 8, '?', 3))
	must(w.Write(ctx, 600, src[600*512:], 2, nil))
	_, err = w.Seal(ctx)
	must(err)
}

func sampleKeys(t *testing.T) ([]age.Identity, note.Verifier) {
	t.Helper()
	f, err := os.Open(filepath.Join(sampleDir, "identity.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ids, err := vault.ReadIdentities(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(filepath.Join(sampleDir, "station.pub"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(string(bytes.TrimSpace(public)))
	if err != nil {
		t.Fatal(err)
	}
	return ids, v
}

func TestContainersOfVersionOneStayReadable(t *testing.T) {
	if *makeSample {
		writeSample(t)
	}
	st, err := vault.OpenDir(sampleDir)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	ids, verifier := sampleKeys(t)
	m, err := vault.Open(st)
	if err != nil || m.Vault != "01JD0000000000000000000000" {
		t.Fatalf("%+v, %v", m, err)
	}
	refs, err := vault.Images(st)
	if diff := cmp.Diff([]vault.ImageRef{ref}, refs); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	c, r := unlock(t, st, st, ids...)
	if _, err := c.VerifyMedia(t.Context(), verifier, nil); err != nil {
		t.Error(err)
	}
	want := []vault.Run{
		{First: 0, Sectors: 400, Status: '+'},
		{First: 400, Sectors: 8, Status: '-'},
		{First: 408, Sectors: 8, Status: '?'},
		{First: 416, Sectors: 185, Status: '+'},
	}
	if diff := cmp.Diff(want, c.Runs()); diff != "" {
		t.Error(diff)
	}
	src := sampleSource()
	for _, run := range want {
		if run.Status != '+' {
			continue
		}
		off, end := run.First*512, min((run.First+run.Sectors)*512, int64(len(src)))
		got := make([]byte, end-off)
		if _, err := r.ReadAt(got, off); err != nil || !bytes.Equal(got, src[off:end]) {
			t.Errorf("sectors from %d: %v", run.First, err)
		}
	}
	if metas, err := r.Metas(t.Context()); err != nil || len(metas) != 1 || string(metas[0]) != "model=SAMPLE" {
		t.Errorf("%q, %v", metas, err)
	}
	if seal := c.Seal(); seal.Bad != 8*512 || seal.Untried != 8*512 || seal.Rescued != int64(len(src))-16*512 {
		t.Errorf("%+v", seal)
	}
}

// independentReader finds scripts/read_container.py and what it needs.
func independentReader(t *testing.T) (python, script string) {
	t.Helper()
	for _, tool := range []string{"python3", "age"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the independent reader needs %s", tool)
		}
	}
	if err := exec.Command("python3", "-c", "import cryptography").Run(); err != nil {
		t.Skip("the independent reader needs python3-cryptography")
	}
	return "python3", filepath.Join("..", "..", "scripts", "read_container.py")
}

func TestAnIndependentReaderFindsTheSame(t *testing.T) {
	python, script := independentReader(t)
	run := func(t *testing.T, root, identity string, want []byte, status int) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "disk")
		said, err := exec.Command(python, script, root, ref.Case, ref.Name, identity, out).CombinedOutput()
		var exit *exec.ExitError
		if status == 0 && err != nil || status != 0 && (!errors.As(err, &exit) || exit.ExitCode() != status) {
			t.Fatalf("%v: %s", err, said)
		}
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, want) {
			t.Errorf("content differs (%v): %s", err, said)
		}
	}
	t.Run("the sample", func(t *testing.T) {
		run(t, sampleDir, filepath.Join(sampleDir, "identity.txt"), sampleSource(), 3)
	})
	for _, seal := range []bool{true, false} {
		want := source(1<<20+11, 31)
		mem := written(t, want, 3, seal)
		root := t.TempDir()
		spill(t, mem, root)
		identity := filepath.Join(t.TempDir(), "identity.txt")
		file, err := vault.IdentityFile(theBench().spare, begun, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(identity, file, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run("three sessions", func(t *testing.T) { run(t, root, identity, want, 0) })
	}
}

func spill(t *testing.T, mem *storetest.Memory, root string) {
	t.Helper()
	for _, name := range mem.Names() {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, mem.Content(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
