package vault_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"salvor/custody/vault"
	"salvor/custody/vault/storetest"
)

// TestKilledProcessLosesNothingAcknowledged runs the writer in a process of its own, kills it when it has acknowledged
// so much, and goes on from there, several times over.
func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	const size = 24 << 20
	want := source(size, 41)
	if root := os.Getenv("VAULT_TEST_KILL"); root != "" {
		writeUntilKilled(t, root, want)
		return
	}
	root := t.TempDir()
	st, err := vault.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var acked vault.Position
	for _, kill := range []int{1, 2, 3, 2, 1} {
		child := exec.Command(os.Args[0], "-test.run=^TestKilledProcessLosesNothingAcknowledged$")
		child.Env = append(os.Environ(), "VAULT_TEST_KILL="+root,
			fmt.Sprintf("VAULT_TEST_ACKED=%d %d %d", acked.Segment, acked.Records, acked.Bytes))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for seen := 0; seen < kill && lines.Scan(); {
			if _, err := fmt.Sscanf(lines.Text(), "acked %d %d %d", &acked.Segment, &acked.Records, &acked.Bytes); err == nil {
				seen++
			}
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		c, err := vault.OpenImage(t.Context(), st, ref)
		if err != nil {
			t.Fatal(err)
		}
		if c.Sealed() {
			break
		}
		if err := c.Check(acked); err != nil {
			t.Fatal(err)
		}
	}
	if acked.Records == 0 {
		t.Fatal("nothing was ever acknowledged")
	}
	o := theBench().options()
	w, c, err := vault.Resume(t.Context(), st, st, ref, acked, o)
	if err == nil {
		if err := rescue(t.Context(), w, c.Runs(), want); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	} else if !errors.Is(err, vault.ErrSealed) {
		t.Fatal(err)
	}
	// The children drew keys of their own: only what needs no secret can be looked at here.
	c, err = vault.OpenImage(t.Context(), st, ref)
	if err != nil {
		t.Fatal(err)
	}
	ids := killIdentity(t, root)
	r, err := c.Unlock(t.Context(), st, ids)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make([]byte, size)
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("content differs: %v", err)
	}
}

// killIdentity is the identity that the bench and its children share, kept beside the vault.
func killIdentity(t *testing.T, root string) age.Identity {
	t.Helper()
	path := filepath.Join(root, "identity")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return theBench().identity
	}
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.ParseX25519Identity(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return both{id, theBench().identity}
}

// both tries two identities.
type both [2]*age.X25519Identity

func (b both) Unwrap(s []*age.Stanza) ([]byte, error) {
	if key, err := b[0].Unwrap(s); err == nil {
		return key, nil
	}
	return b[1].Unwrap(s)
}

func writeUntilKilled(t *testing.T, root string, want []byte) {
	st, err := vault.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "identity")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(path, []byte(theBench().identity.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id := killIdentity(t, root).(both)[0]
	var acked vault.Position
	if _, err := fmt.Sscanf(os.Getenv("VAULT_TEST_ACKED"), "%d %d %d", &acked.Segment, &acked.Records, &acked.Bytes); err != nil {
		t.Fatal(err)
	}
	o := theBench().options()
	o.Recipients = []age.Recipient{id.Recipient(), theBench().spare.Recipient()}
	o.Unacked = 2 << 20
	o.OnAck = func(p vault.Position) { fmt.Printf("acked %d %d %d\n", p.Segment, p.Records, p.Bytes) }
	w, err := vault.Start(t.Context(), st, st, ref, theBench().superblock(int64(len(want))), o)
	runs := []vault.Run{{Sectors: int64(len(want) / 512), Status: '?'}}
	if errors.Is(err, vault.ErrExists) {
		var c *vault.Container
		if w, c, err = vault.Resume(t.Context(), st, st, ref, acked, o); err == nil {
			runs = c.Runs()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := rescue(t.Context(), w, runs, want); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWriterStaysBelow160MiB(t *testing.T) {
	// With the buffers of the caller: a MiB each, new for every write, given back when they are durable.
	st := dir(t)
	o := theBench().options()
	var peak atomic.Uint64
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	pool := sync.Pool{New: func() any { return make([]byte, 1<<20) }}
	o.OnAck = func(vault.Position) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak.Store(max(peak.Load(), m.HeapInuse))
	}
	const size = 512 << 20
	w, err := vault.Start(t.Context(), st, st, ref, theBench().superblock(size), o)
	if err != nil {
		t.Fatal(err)
	}
	p := noise(1 << 20)
	for off := 0; off < size; off += 1 << 20 {
		b := pool.Get().([]byte)
		copy(b, p)
		if err := w.Write(t.Context(), int64(off/512), b, 1, func() { pool.Put(b) }); err != nil { //nolint:staticcheck // a slice header more does not matter here
			t.Fatal(err)
		}
	}
	if err := w.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	grown := int64(peak.Load()) - int64(before.HeapInuse)
	t.Logf("%.1f MiB", float64(grown)/(1<<20))
	if grown > 160<<20 {
		t.Errorf("%d bytes", grown)
	}
}

func TestFillTakesNoSpaceWhateverItsLength(t *testing.T) {
	const size = 1 << 40 // a TiB of zeros
	mem := storetest.NewMemory()
	mem.SetFree(math.MaxInt64 / 2)
	w, err := vault.Start(t.Context(), mem, mem, ref, theBench().superblock(size), theBench().options())
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	released := 0
	for off := int64(0); off < 4<<30; off += 1 << 20 {
		if err := w.Write(t.Context(), off/512, zeros, 1, func() { released++ }); err != nil {
			t.Fatal(err)
		}
	}
	if released != 4<<10 {
		t.Errorf("%d of %d buffers of zeros given back at once", released, 4<<10)
	}
	if err := w.Mark(t.Context(), 4<<30/512, (size-4<<30)/512, '-', 1); err != nil {
		t.Fatal(err)
	}
	seal, err := w.Seal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if seal.Records != 3 || seal.Stored > 64<<10 || seal.Rescued != 4<<30 || seal.Bad != size-4<<30 {
		t.Errorf("%+v", seal)
	}
	_, r := unlock(t, mem, mem)
	p := bytes.Repeat([]byte{1}, 1000)
	if n, err := r.ReadAt(p, 3<<30+17); n != 1000 || err != nil || !bytes.Equal(p, make([]byte, 1000)) {
		t.Errorf("%d, %v", n, err)
	}
}

func TestWriteWaitsOnlyWhileTheWindowIsFullAndEndsWithItsContext(t *testing.T) {
	mem := storetest.NewMemory()
	gate := make(chan struct{})
	st := &storetest.Faulty{Store: mem, Fault: func(op storetest.Op, name string) error {
		if op == storetest.OpSync && strings.HasSuffix(name, ".seg") {
			<-gate
		}
		return nil
	}}
	o := theBench().options()
	o.Unacked = 1 << 20
	w, err := vault.Start(t.Context(), st, st, ref, theBench().superblock(64<<20), o)
	if err != nil {
		t.Fatal(err)
	}
	p := noise(512 << 10)
	for i := range 2 {
		if err := w.Write(t.Context(), int64(i*1024), p, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	released := make(chan struct{})
	result := make(chan error)
	go func() { result <- w.Write(ctx, 2048, p, 1, func() { close(released) }) }()
	cancel(errors.New("Ctrl-C"))
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-released
	close(gate)
	if err := w.Write(t.Context(), 2048, p, 1, nil); err != nil {
		t.Error(err)
	}
	if err := w.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	if got := w.Acked().Bytes; got != 3*512<<10 {
		t.Errorf("%d bytes acknowledged", got)
	}
	w.Abort()
	if err := w.Write(t.Context(), 0, p, 1, nil); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestTheClockMakesASlowSourceDurable(t *testing.T) {
	mem := storetest.NewMemory()
	o := theBench().options()
	tick := make(chan time.Time)
	o.After = func(d time.Duration) <-chan time.Time {
		if d != 10*time.Second {
			t.Errorf("%v", d)
		}
		return tick
	}
	acked := make(chan vault.Position, 10)
	o.OnAck = func(p vault.Position) { acked <- p }
	w, err := vault.Start(t.Context(), mem, mem, ref, theBench().superblock(1<<20), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), 0, noise(512), 1, nil); err != nil {
		t.Fatal(err)
	}
	tick <- begun
	if p := <-acked; p.Bytes != 512 {
		t.Errorf("%+v", p)
	}
	// A run of zeros that has not ended counts too.
	if err := w.Write(t.Context(), 8, make([]byte, 128<<10), 1, nil); err != nil {
		t.Fatal(err)
	}
	tick <- begun
	if p := <-acked; p.Bytes != 512+128<<10 {
		t.Errorf("%+v", p)
	}
	if err := w.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWriterRefusesWhatIsOutsideTheSource(t *testing.T) {
	mem := storetest.NewMemory()
	w, err := vault.Start(t.Context(), mem, mem, ref, theBench().superblock(1<<20), theBench().options())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	ctx := t.Context()
	for name, err := range map[string]error{
		"behind the end":   w.Write(ctx, 2048, make([]byte, 512), 1, nil),
		"across the end":   w.Write(ctx, 2047, make([]byte, 1024), 1, nil),
		"before the start": w.Write(ctx, -1, make([]byte, 512), 1, nil),
		"no bytes":         w.Write(ctx, 0, nil, 1, nil),
		"part of a sector": w.Write(ctx, 0, make([]byte, 100), 1, nil),
		"too much":         w.Write(ctx, 0, make([]byte, 1<<20+512), 1, nil),
		"overflow":         w.Mark(ctx, 1, math.MaxInt64, '-', 1),
		"no sectors":       w.Mark(ctx, 1, 0, '-', 1),
		"no such status":   w.Mark(ctx, 1, 1, '+', 1),
		"no meta":          w.Meta(ctx, nil),
	} {
		if !errors.Is(err, vault.ErrRange) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMarkerTellsAbsentForeignAndNewerApart(t *testing.T) {
	m := vault.Marker{Vault: "01JD0000000000000000000000", Created: begun}
	mem := storetest.NewMemory()
	if _, err := vault.Open(mem); !errors.Is(err, vault.ErrAbsent) {
		t.Errorf("absent: %v", err)
	}
	if _, err := vault.OpenDir(filepath.Join(t.TempDir(), "none")); !errors.Is(err, vault.ErrAbsent) {
		t.Errorf("absent directory: %v", err)
	}
	if err := vault.Create(mem, m); err != nil {
		t.Fatal(err)
	}
	if got, err := vault.Open(mem); err != nil || got != m {
		t.Errorf("%+v, %v", got, err)
	}
	if err := vault.Create(mem, m); !errors.Is(err, fs.ErrExist) {
		t.Errorf("twice: %v", err)
	}
	for content, want := range map[string]error{
		"": vault.ErrForeign, "x": vault.ErrForeign, `{"format":"something else","version":1}`: vault.ErrForeign,
		`{"format":"salvor vault","version":2,"more":true}`: vault.ErrNewer,
		`{"format":"salvor vault","version":1,"more":true}`: vault.ErrForeign,
	} {
		mem.Put("salvor-vault.json", []byte(content))
		if _, err := vault.Open(mem); !errors.Is(err, want) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestLockKeepsAnotherStationOut(t *testing.T) {
	mem := storetest.NewMemory()
	now := begun
	clock := func() time.Time { return now }
	first, err := vault.AcquireLock(mem, ref.Case, "B1", 100, clock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.AcquireLock(mem, ref.Case, "B2", 100, clock); !errors.Is(err, vault.ErrLocked) || !strings.Contains(err.Error(), "B1") {
		t.Errorf("a second station: %v", err)
	}
	now = now.Add(90 * time.Second)
	if err := first.Beat(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(90 * time.Second)
	if _, err := vault.AcquireLock(mem, ref.Case, "B2", 100, clock); !errors.Is(err, vault.ErrLocked) {
		t.Errorf("after a beat: %v", err)
	}
	if h, held, err := vault.ReadLock(mem, ref.Case, now); err != nil || !held || h.Station != "B1" {
		t.Errorf("%+v, %v, %v", h, held, err)
	}
	now = now.Add(2 * time.Minute)
	if _, held, err := vault.ReadLock(mem, ref.Case, now); err != nil || held {
		t.Errorf("a stale lock is held: %v", err)
	}
	second, err := vault.AcquireLock(mem, ref.Case, "B2", 100, clock)
	if err != nil {
		t.Fatalf("a stale lock: %v", err)
	}
	if err := first.Beat(); !errors.Is(err, vault.ErrLocked) {
		t.Errorf("the first one's beat: %v", err)
	}
	if err := first.Release(); err != nil {
		t.Error(err)
	}
	if err := second.Beat(); err != nil {
		t.Errorf("the first one's release took the second one's lock: %v", err)
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
	if _, held, err := vault.ReadLock(mem, ref.Case, now); err != nil || held {
		t.Errorf("released: %v", err)
	}
	t.Run("a dead process of this station does not block it", func(t *testing.T) {
		child := exec.Command(os.Args[0], "-test.run=^$")
		if err := child.Run(); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.AcquireLock(mem, ref.Case, "B1", child.Process.Pid, clock); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.AcquireLock(mem, ref.Case, "B1", os.Getpid(), clock); err != nil {
			t.Error(err)
		}
		if _, err := vault.AcquireLock(mem, ref.Case, "B1", os.Getpid()+1, clock); !errors.Is(err, vault.ErrLocked) {
			t.Errorf("a living one does: %v", err)
		}
	})
	t.Run("a lock cut short by a crash", func(t *testing.T) {
		mem.Put("cases/T1-2026-0001/writer.lock", []byte(`{"sta`))
		if _, err := vault.AcquireLock(mem, ref.Case, "B1", 1, clock); err != nil {
			t.Error(err)
		}
	})
}

func TestIdentityFilesOpenWithTheirPassphraseAndNoOther(t *testing.T) {
	id := theBench().identity
	open, err := vault.IdentityFile(id, begun, "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := vault.ReadIdentities(bytes.NewReader(open), nil)
	if err != nil || len(got) != 1 || got[0].(*age.X25519Identity).String() != id.String() || vault.Protected(open) {
		t.Errorf("%v, %v", got, err)
	}
	const pass = "belido runeko tipofu selibo"
	file, err := vault.IdentityFile(id, begun, pass)
	if err != nil {
		t.Fatal(err)
	}
	if !vault.Protected(file) || bytes.Contains(file, []byte(id.String())) {
		t.Error("not protected")
	}
	got, err = vault.ReadIdentities(bytes.NewReader(file), func() (string, error) { return pass, nil })
	if err != nil || len(got) != 1 || got[0].(*age.X25519Identity).String() != id.String() {
		t.Errorf("%v, %v", got, err)
	}
	for name, f := range map[string]func() (string, error){
		"wrong": func() (string, error) { return "another passphrase entirely", nil },
		"empty": func() (string, error) { return "", nil },
		"none":  nil,
	} {
		if _, err := vault.ReadIdentities(bytes.NewReader(file), f); !errors.Is(err, vault.ErrWrongKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cancelled := errors.New("cancelled")
	if _, err := vault.ReadIdentities(bytes.NewReader(file), func() (string, error) { return "", cancelled }); !errors.Is(err, cancelled) {
		t.Error(err)
	}
	for _, b := range []string{"", "hello", "AGE-SECRET-KEY-1QQQ", "age-encryption.org/v1\n", string(file[:len(file)/2]), strings.Repeat("#", 1<<20)} {
		_, err := vault.ReadIdentities(strings.NewReader(b), func() (string, error) { return pass, nil })
		if !errors.Is(err, vault.ErrForeign) {
			t.Errorf("%.20q: %v", b, err)
		}
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("the error repeats the file: %v", err)
		}
	}
	if _, err := vault.IdentityFile(id, begun, "too short"); !errors.Is(err, vault.ErrPassphrase) {
		t.Error(err)
	}
	if r, err := vault.ParseRecipient(id.Recipient().String()); err != nil || fmt.Sprint(r) != id.Recipient().String() {
		t.Errorf("%v, %v", r, err)
	}
	for _, s := range []string{"", "age1x", "ssh-rsa AAAA", id.Recipient().String() + "\n" + id.Recipient().String()} {
		if _, err := vault.ParseRecipient(s); !errors.Is(err, vault.ErrForeign) {
			t.Errorf("%.10q: %v", s, err)
		}
	}
}

func TestPassphrasePolicy(t *testing.T) {
	for _, bad := range []string{
		"", "short", "fourteen chars", "aaaaaaaaaaaaaaaaaaaa", "abcabcabcabcabcabc", "passwordpassword", "Password12345678",
		"correct horse battery staple", "P@$$word!P@$$word!", "123456789012345", "qwertyuiopasdfghjkl", "azertyuiopqsdfghjklm",
		"abcdefghijklmnop", "salvor salvor salvor", "tab\tin the middle of it", "\xff\xfe not a text at all",
	} {
		err := vault.CheckPassphrase(bad)
		if !errors.Is(err, vault.ErrPassphrase) {
			t.Errorf("%q: %v", bad, err)
		}
		if err != nil && len(bad) > 4 && strings.Contains(err.Error(), bad) {
			t.Errorf("the error repeats the passphrase: %v", err)
		}
	}
	for _, good := range []string{"wrench under the blue shelf", "Zeven-kleine-egels", "ünïcödé wörks fïne", "belo diku fero"} {
		if err := vault.CheckPassphrase(good); (err == nil) != (len([]rune(good)) >= vault.MinPassphrase) {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestGeneratedPassphrasesMeetThePolicyOnEveryKeyboard(t *testing.T) {
	seen := make(map[string]bool)
	for range 200 {
		p, err := vault.NewPassphrase(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := vault.CheckPassphrase(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
		if len(strings.Fields(p)) != 10 || strings.ContainsAny(p, "aqwzmy") || seen[p] {
			t.Errorf("%q", p)
		}
		seen[p] = true
	}
	if _, err := vault.NewPassphrase(bytes.NewReader([]byte{1, 2, 3})); err == nil {
		t.Error("a passphrase without randomness")
	}
}

func TestWorstCaseIsNeverLessThanWhatIsStored(t *testing.T) {
	for _, size := range []int{1, 4096, 1 << 20, 9<<20 + 3} {
		st := dir(t)
		w, err := vault.Start(t.Context(), st, st, ref, theBench().superblock(int64(size)), theBench().options())
		if err != nil {
			t.Fatal(err)
		}
		if err := writeAll(t.Context(), w, noise((size + 7) &^ 7)[:size], 512, 1<<20); err != nil {
			t.Fatal(err)
		}
		seal, err := w.Seal(t.Context())
		if err != nil || seal.Stored > vault.WorstCase(int64(size)) {
			t.Errorf("%d bytes: stored %d, worst case %d, %v", size, seal.Stored, vault.WorstCase(int64(size)), err)
		}
	}
}

func TestCheckpointComesEveryGiB(t *testing.T) {
	if testing.Short() {
		t.Skip("writes more than a GiB")
	}
	const size = 1100 << 20
	st := dir(t)
	w, err := vault.Start(t.Context(), st, st, ref, theBench().superblock(size), theBench().options())
	if errors.Is(err, vault.ErrNoSpace) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := noise(1 << 20)
	for off := 0; off < size; off += len(p) {
		if err := w.Write(t.Context(), int64(off/512), p, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	seal, err := w.Seal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if seal.Segments != 1 || seal.Records != 1100+2 {
		t.Errorf("%d records in %d segments", seal.Records, seal.Segments)
	}
	c, r := unlock(t, st, st)
	if _, err := c.VerifyQuick(t.Context(), theBench().verifier, nil); err != nil {
		t.Error(err)
	}
	got := make([]byte, len(p))
	if _, err := r.ReadAt(got, size-1<<20); err != nil || !bytes.Equal(got, p) {
		t.Error(err)
	}
}
