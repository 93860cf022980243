package main

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// otherJob is one of which only another station has the journal.
const otherJob = "0123456789abcdef0123456789abcdef"

// begins records that an erasing has begun, and tells the vaults.
func (b *bench) begins(no custody.CaseNo, image string, early bool) {
	b.t.Helper()
	b.must("sync")
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		shop, err := l.Shop(ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		var private map[string]string
		if early {
			private = map[string]string{custody.FieldReason: "asked"}
		}
		for _, o := range shop.Operators {
			if o.Kind == custody.OperatorPerson {
				if _, err := l.Append(ctx, o.ID, ledger.Entry{
					Case: no, Pub: custody.EraseStarted{Job: otherJob, Image: image, Early: early}, Private: private,
				}); err != nil {
					b.t.Fatal(err)
				}
				break
			}
		}
	})
	b.must("sync")
}

// TestAnEarlyErasingOfAnotherStationIsNotCarriedOn: it has destroyed nothing, and nobody
// here has said that the image is to go before its deadline.
func TestAnEarlyErasingOfAnotherStationIsNotCarriedOn(t *testing.T) {
	b := newBench(t, 1<<20)
	nas := b.join("NAS")
	args := b.imageArgs()
	for i, a := range args {
		if a == "0d" {
			args[i] = "30d"
		}
	}
	b.must(args...)
	no, i := b.image()
	nas.begins(no, i.Name, true)
	if code, out := b.run("purge"); code == 0 || !strings.Contains(out, "NAS is erasing it") {
		t.Errorf("exit status %d\n%s", code, out)
	}
	if out := b.must("purge", "--take-over"); !strings.Contains(out, "nothing of it was destroyed") {
		t.Errorf("%s", out)
	}
	b.must("verify", string(no))
	if _, i := b.image(); i.State != custody.ImageIsSealed {
		t.Errorf("%s", i.State)
	}
}

// TestWhatAnotherStationErasesAgainIsLeftToIt: what came back of an image is overwritten by
// one station, and by another only when the first cannot go on.
func TestWhatAnotherStationErasesAgainIsLeftToIt(t *testing.T) {
	b := newBench(t, 1<<20)
	nas := b.join("NAS")
	b.must(b.imageArgs()...)
	saved := filepath.Join(b.dir, "saved")
	tool(t, "mkdir", saved)
	tool(t, "cp", "-a", filepath.Join(b.vault, "cases"), filepath.Join(b.vault, "keystore"), saved)
	if code, out := b.run("purge"); code != 0 && code != ui.Incomplete {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	no, i := b.image()
	tool(t, "cp", "-a", filepath.Join(saved, "cases"), filepath.Join(saved, "keystore"), b.vault)
	b.record(no, custody.ImageReturned{Image: i.Name, Files: 3, KeyFiles: 1})
	b.must("sync")
	nas.begins(no, i.Name, false)
	// That station was switched off when it had overwritten the key and a segment.
	for _, f := range []string{b.keyFile(), glob(t, b.vault, "cases/*/*/000000.seg")[0]} {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		noise := make([]byte, st.Size())
		_, _ = rand.Read(noise)
		if err := os.WriteFile(f, noise, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, out := b.run("purge"); code != ui.Incomplete || !strings.Contains(out, "NAS is erasing it") {
		t.Errorf("exit status %d\n%s", code, out)
	}
	if b.left() == "" {
		t.Error("it was erased here all the same")
	}
	if code, out := b.run("purge", "--take-over"); code != ui.Incomplete || !strings.Contains(out, "erased 1") {
		t.Errorf("taken over: exit status %d\n%s", code, out)
	}
	if left := b.left(); left != "" {
		t.Errorf("%s is left", left)
	}
	if _, i := b.image(); i.Returned() {
		t.Error("it is still there by the record")
	}
	b.must("audit", "--full")
}
