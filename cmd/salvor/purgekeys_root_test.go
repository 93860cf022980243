package main

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/report"
	"salvor/wipe"
)

// twoKeystores is a shop whose vaults main and keys lie on a disk on which overwriting
// can be proved, and the arguments that make an image with a key in both.
func twoKeystores(t *testing.T) (b *bench, main, keys string, image []string) {
	t.Helper()
	_, mnt, _ := mountLoop(t, 96<<20, "mkfs.ext4", "-q", "-F")
	b = newBench(t, 1<<20)
	main, keys = filepath.Join(mnt, "main"), filepath.Join(mnt, "keys")
	for _, dir := range []string{main, keys} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		b.must("vault", "add", dir, "--name", filepath.Base(dir))
	}
	return b, main, keys, append(b.imageArgs(), "--vault", "main", "--keystore", "keys")
}

// inProcess lets a test call the parts of a purge.
func (b *bench) inProcess(do func(context.Context, *purgeRun)) {
	b.t.Helper()
	b.t.Setenv("SALVOR_STATE", b.state)
	b.t.Setenv("SALVOR_OPERATOR", "jan")
	p := newProgram(ui.Standard(time.Now, os.LookupEnv))
	if err := p.withStation(b.t.Context(), func(s *station) error {
		op, err := s.operator(b.t.Context(), custody.TypeEraseStarted)
		if err != nil {
			return err
		}
		do(b.t.Context(), &purgeRun{station: s, op: op.ID})
		return nil
	}); err != nil {
		b.t.Fatal(err)
	}
}

// TestNoKeyGoesBeforeEveryGateIsPassed has somebody open the image when its erasing was
// planned already: nothing is destroyed then, in no keystore, and the image can be given
// back to its customer whole.
func TestNoKeyGoesBeforeEveryGateIsPassed(t *testing.T) {
	b, main, keys, image := twoKeystores(t)
	b.must(image...)
	b.inProcess(func(ctx context.Context, r *purgeRun) {
		work, err := r.dueWork(ctx, r.op, purgeOptions{})
		if err != nil || len(work) != 1 {
			t.Fatalf("%d due, %v", len(work), err)
		}
		e := work[0]
		v, err := r.openVault(ctx, "main")
		if err != nil {
			t.Fatal(err)
		}
		defer v.close()
		target, err := r.target(ctx, v, e)
		if err != nil {
			t.Fatal(err)
		}
		if e.job, err = wipe.Plan(ctx, target, rand.Reader); err != nil {
			t.Fatal(err)
		}
		if err := (jobStore{r.station, e}).Save(ctx, e.job); err != nil {
			t.Fatal(err)
		}
		defer reads(t, glob(t, main, "cases/*/*/000000.seg")[0])()
		if _, err := r.carryOut(ctx, v, target, e); !errors.Is(err, wipe.ErrInUse) {
			t.Errorf("%v, want that it is in use", err)
		}
	})
	for _, dir := range []string{main, keys} {
		if len(glob(t, dir, "keystore/*/*/*.age")) != 1 {
			t.Errorf("the key in %s is gone", filepath.Base(dir))
		}
	}
	_, i := b.image()
	if i.State != custody.ImageIsSealed || len(i.Proofs) > 0 {
		t.Errorf("%s, proved %+v", i.State, i.Proofs)
	}
	b.must("purge")
	if a := b.lastAttest(); a.Key != report.KeyComplete {
		t.Errorf("%s because of %q", a.Key, a.Reasons)
	}
}

// reads has another process hold a file open.
func reads(t *testing.T, file string) (end func()) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sleep", "600")
	c.Stdin = f
	if err := errors.Join(c.Start(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}

// TestAKeyThatARecordCallsGoneIsLookedFor: a record of another station says that the
// second copy of a key was destroyed, falsely or of an earlier copy. Where its vault is
// there, the key goes before any paper calls it gone; where it is away, the paper says
// whose word that is.
func TestAKeyThatARecordCallsGoneIsLookedFor(t *testing.T) {
	b, _, keys, image := twoKeystores(t)
	away := keys + "-away"
	lie := func() {
		no, i := b.image()
		for _, k := range i.KeysElsewhere() {
			b.record(no, custody.EraseProved{
				Job: "0123456789abcdef0123456789abcdef", Image: i.Name, Step: custody.StepKeyDone, Keystore: k.Keystore,
				Copies: []custody.KeyDestroyed{{File: k.File, SHA256: k.SHA256, Proved: true}},
			})
		}
	}
	gone := func() {
		t.Helper()
		if left := glob(t, keys, "keystore/*/*/*"); len(left) > 0 {
			t.Errorf("%s is left", left)
		}
	}

	b.must(image...)
	lie()
	code, out := b.run("purge")
	gone()
	if a := b.lastAttest(); a.Key != report.KeyComplete || a.Keys[1].Fate != report.FateDestroyed {
		t.Errorf("there: exit status %d, %s because of %q, %+v\n%s", code, a.Key, a.Reasons, a.Keys, out)
	}
	if code != ui.Incomplete || !strings.Contains(out, "the record says that it was destroyed") {
		t.Errorf("nobody is told: exit status %d\n%s", code, out)
	}

	b.must(image...)
	lie()
	if err := os.Rename(keys, away); err != nil {
		t.Fatal(err)
	}
	_, out = b.run("purge")
	a := b.lastAttest()
	if a.Key != report.KeyPartial || !strings.Contains(strings.Join(a.Reasons, " "), wipe.BecauseRecorded) {
		t.Errorf("away: %s because of %q\n%s", a.Key, a.Reasons, out)
	}
	for _, k := range a.Keys {
		if k.Fate == report.FateDestroyed && k.Keystore != a.Vault {
			t.Errorf("nobody has checked that: %+v", k)
		}
	}
	if err := os.Rename(away, keys); err != nil {
		t.Fatal(err)
	}
	if code, out := b.run("purge"); code != ui.Incomplete {
		t.Errorf("back: exit status %d\n%s", code, out)
	}
	gone()
	if a := b.lastAttest(); a.Key != report.KeyComplete {
		t.Errorf("back: %s because of %q", a.Key, a.Reasons)
	}
	b.must("purge")
	b.must("audit", "--full")
}

// TestKeysThatCameBackAreErasedWhereverTheyLie puts back from a backup what was erased:
// the second copy of a key alone, that and the first one, and all under a hold.
func TestKeysThatCameBackAreErasedWhereverTheyLie(t *testing.T) {
	b, main, keys, image := twoKeystores(t)
	b.must(image...)
	backup := t.TempDir()
	save := func(from, name string) string {
		to := filepath.Join(backup, name)
		tool(t, "cp", "-a", filepath.Join(from, "keystore"), to)
		return to
	}
	oldMain, oldKeys := save(main, "main"), save(keys, "keys")
	b.must("purge")
	if a := b.lastAttest(); a.Key != report.KeyComplete {
		t.Fatalf("%s because of %q", a.Key, a.Reasons)
	}
	putBack := func(from, to string) {
		t.Helper()
		tool(t, "rm", "-rf", filepath.Join(to, "keystore"))
		tool(t, "cp", "-a", from, filepath.Join(to, "keystore"))
	}
	none := func() {
		t.Helper()
		for _, dir := range []string{main, keys} {
			if left := glob(t, dir, "keystore/*/*/*"); len(left) > 0 {
				t.Errorf("%s is left", left)
			}
		}
	}
	no, _ := b.image()

	putBack(oldKeys, keys)
	if code, out := b.run("purge", "--dry-run"); code != ui.Incomplete || len(glob(t, keys, "keystore/*/*/*.age")) != 1 {
		t.Errorf("dry run: exit status %d\n%s", code, out)
	}
	end := reads(t, glob(t, keys, "keystore/*/*/*.age")[0])
	if code, out := b.run("purge"); code != ui.Incomplete || !strings.Contains(out, "lies in vault keys again") {
		t.Errorf("in use: exit status %d\n%s", code, out)
	}
	end()
	if a := b.lastAttest(); a.Key != report.KeyComplete || a.Media != report.MediaRaw {
		t.Errorf("something is attested, and nothing was done: %s / %s", a.Key, a.Media)
	}
	b.must("hold", "add", string(no), "--kind", "legal", "--reason", "claim", "--review", "3m")
	if code, out := b.run("purge"); code != ui.Incomplete || len(glob(t, keys, "keystore/*/*/*.age")) != 1 {
		t.Errorf("held: exit status %d\n%s", code, out)
	}
	b.endHold(no)
	if code, out := b.run("purge"); code != ui.Incomplete || !strings.Contains(out, "lies in vault keys again") {
		t.Errorf("the second copy alone: exit status %d\n%s", code, out)
	}
	none()
	b.must("purge")

	putBack(oldKeys, keys)
	putBack(oldMain, main)
	if code, out := b.run("purge"); code != ui.Incomplete {
		t.Errorf("both: exit status %d\n%s", code, out)
	}
	none()
	if a := b.lastAttest(); a.Key != report.KeyComplete {
		t.Errorf("both: %s because of %q, %+v", a.Key, a.Reasons, a.Keys)
	}

	// One that cannot be erased is never called gone.
	putBack(oldKeys, keys)
	putBack(oldMain, main)
	end = reads(t, glob(t, keys, "keystore/*/*/*.age")[0])
	code, out := b.run("purge")
	if a := b.lastAttest(); a.Key == report.KeyComplete || len(glob(t, keys, "keystore/*/*/*.age")) != 1 {
		t.Errorf("in use: exit status %d, %s because of %q\n%s", code, a.Key, a.Reasons, out)
	}
	end()
	b.run("purge")
	none()
	b.must("purge")
	b.must("vault", "check")
	b.must("audit", "--full")
}

func (b *bench) endHold(no custody.CaseNo) {
	b.t.Helper()
	_, hold, ok := strings.Cut(b.must("show", string(no)), "h-")
	if !ok {
		b.t.Fatal("no hold")
	}
	b.must("hold", "end", string(no), "h-"+hold[:8], "--reason", "over")
}
