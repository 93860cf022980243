package vault_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"

	"salvor/custody/vault"
	"salvor/custody/vault/storetest"
)

func TestVerifyQuickFindsAFileCutWithinItsLastRecord(t *testing.T) {
	want := noise(300 << 10)
	mem := written(t, want, 1, true)
	cuts := segmentsOf(mem)
	for _, c := range cuts {
		last := c.at[len(c.at)-1]
		mem := mem.Clone()
		mem.Put(c.name, c.content[:last+4096])
		got, err := vault.OpenImage(t.Context(), mem, ref)
		if err == nil {
			_, err = got.VerifyQuick(t.Context(), theBench().verifier, nil)
		}
		if !errors.Is(err, vault.ErrCorrupt) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestUnreadableFooterIsScannedInstead(t *testing.T) {
	want := source(500<<10, 61)
	for _, seal := range []bool{true, false} {
		mem := written(t, want, 2, seal)
		var ends []int64
		for _, c := range segmentsOf(mem) {
			ends = append(ends, int64(len(c.content))-4096)
		}
		st := &badRange{Store: mem, bad: func(name string, off, end int64) bool {
			return strings.HasSuffix(name, ".seg") && slices.ContainsFunc(ends, func(e int64) bool { return off == e && end == e+4096 })
		}}
		c, err := vault.OpenImage(t.Context(), st, ref)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Unlock(t.Context(), st, theBench().identity)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("sealed %v: %v", seal, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A badRange is a store with bad sectors.
type badRange struct {
	vault.Store
	bad func(name string, off, end int64) bool
}

type badFile struct {
	vault.File
	s    *badRange
	name string
}

func (s *badRange) Open(name string) (vault.File, error) {
	f, err := s.Store.Open(name)
	return &badFile{f, s, name}, err
}

func (s *badRange) OpenMedia(name string) (vault.File, error) {
	f, err := s.Store.OpenMedia(name)
	return &badFile{f, s, name}, err
}

func (f *badFile) ReadAt(p []byte, off int64) (int, error) {
	if f.s.bad(f.name, off, off+int64(len(p))) {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(p, off)
}

func TestForgedKeyFileDoesNotHideTheRealOne(t *testing.T) {
	want := noise(100 << 10)
	mem := written(t, want, 1, true)
	text := opened(t, mem.Content(keyDir+"0001.age"))
	lines := strings.SplitN(text, "\n", 5)
	lines[3] = "secret " + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	forged := sealedFor(t, strings.Join(lines, "\n"))
	for _, name := range []string{"0000.age", "0002.age"} {
		m := mem.Clone()
		m.Put(keyDir+name, forged)
		checkWhole(t, m, want)
	}
	m := mem.Clone()
	m.Put(keyDir+"0001.age", forged)
	c, err := vault.OpenImage(t.Context(), m, ref)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Unlock(t.Context(), m, theBench().identity); !errors.Is(err, vault.ErrKeyFile) {
		t.Errorf("a forged key file alone: %v", err)
	}
}

func opened(t *testing.T, file []byte) string {
	t.Helper()
	r, err := age.Decrypt(bytes.NewReader(file), theBench().identity)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sealedFor(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := age.Encrypt(&b, theBench().recipients...)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSecondWriterStopsTheFirstInsteadOfSpoilingTheImage(t *testing.T) {
	want := noise(900 << 10)
	mem := storetest.NewMemory()
	sb := small(int64(len(want)))
	first, err := vault.Start(t.Context(), mem, mem, ref, sb, new(witness).options())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Write(t.Context(), 0, want[:64<<10], 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := first.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, _, err := vault.Resume(t.Context(), mem, mem, ref, first.Acked(), new(witness).options())
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Write(t.Context(), 128, want[64<<10:128<<10], 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := second.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = writeAll(t.Context(), first, want, 512, 64<<10)
	if err == nil {
		err = first.Pause(t.Context())
	}
	if !errors.Is(err, vault.ErrLocked) {
		t.Errorf("the first writer: %v", err)
	}
	first.Abort()
	if err := writeAll(t.Context(), second, want, 512, 64<<10); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, mem, want)
}

func TestResumeWithoutFlushTrustsNoFooter(t *testing.T) {
	want := noise(300 << 10)
	mem := written(t, want, 1, false)
	cuts := segmentsOf(mem)
	last := cuts[len(cuts)-1]
	// The footer reached the medium, a record before it did not, as happens where nothing flushes.
	holed := slices.Clone(last.content)
	clear(holed[last.at[len(last.at)-1]+200:][:512])
	mem.Put(last.name, holed)
	c, err := vault.OpenImage(t.Context(), mem, ref)
	if err != nil {
		t.Fatal(err)
	}
	acked := c.Position()
	st := &storetest.Faulty{Store: mem, Fault: func(op storetest.Op, _ string) error {
		if op == storetest.OpSync || op == storetest.OpSyncDir {
			return fmt.Errorf("%w: %w", vault.ErrNoFlush, syscall.EINVAL)
		}
		return nil
	}}
	if _, _, err := vault.Resume(t.Context(), st, st, ref, acked, theBench().options()); !errors.Is(err, vault.ErrShort) {
		t.Errorf("held against the ledger: %v", err)
	}
	w, c, err := vault.Resume(t.Context(), st, st, ref, vault.Position{}, new(witness).options())
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Position(); got.Records != acked.Records-1 {
		t.Errorf("%d records of %d", got.Records, acked.Records)
	}
	if err := rescue(t.Context(), w, c.Runs(), want); err != nil {
		t.Fatal(err)
	}
	// Read again what was lost, as VerifyMedia would tell.
	if err := writeAll(t.Context(), w, want, 512, 64<<10); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, mem, want)
}

func TestResumeSurfacesAFailingFsync(t *testing.T) {
	mem := written(t, noise(300<<10), 1, false)
	st := &storetest.Faulty{Store: mem, Fault: failing(storetest.OpSync, ".seg", 1, 1, syscall.EIO)}
	if _, _, err := vault.Resume(t.Context(), st, st, ref, vault.Position{}, theBench().options()); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
	w, _, err := vault.Resume(t.Context(), st, st, ref, vault.Position{}, theBench().options())
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
}

func TestNumberBeyondTheLastSegmentDoesNotStopAResume(t *testing.T) {
	want := noise(300 << 10)
	mem := written(t, want, 1, false)
	mem.Put(imageDir+"999999.seg", []byte("x"))
	w, _, err := vault.Resume(t.Context(), mem, mem, ref, vault.Position{}, new(witness).options())
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

func TestSourceWhoseBytesCannotBeCountedIsRefused(t *testing.T) {
	sb := small(1<<63 - 1)
	sb.Sector, sb.Physical, sb.MaxRecord = 64<<10, 64<<10, 64<<10
	mem := storetest.NewMemory()
	if _, err := vault.Start(t.Context(), mem, mem, ref, sb, theBench().options()); !errors.Is(err, vault.ErrRange) {
		t.Errorf("got %v", err)
	}
}
