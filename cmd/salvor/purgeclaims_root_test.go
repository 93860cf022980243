package main

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
	"salvor/custody/vault"
)

// record appends an event about an image, as another station may publish it.
func (b *bench) record(no custody.CaseNo, pub custody.Payload) {
	b.t.Helper()
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		shop, err := l.Shop(ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, o := range shop.Operators {
			if o.Kind == custody.OperatorPerson {
				if _, err := l.Append(ctx, o.ID, ledger.Entry{Case: no, Pub: pub}); err != nil {
					b.t.Fatal(err)
				}
				return
			}
		}
		b.t.Fatal("nobody to record it")
	})
}

// reopenJob makes a job one that was killed between its attest and its end.
func (b *bench) reopenJob(id string) {
	b.t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(b.state, ledgerFile))
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	var guard string
	if err := db.QueryRow(`SELECT sql FROM sqlite_master WHERE name = 'jobs_update'`).Scan(&guard); err != nil {
		b.t.Fatal(err)
	}
	for _, q := range []string{`DROP TRIGGER jobs_update`, `UPDATE jobs SET ended = NULL WHERE id = '` + id + `'`, guard} {
		if _, err := db.Exec(q); err != nil {
			b.t.Fatalf("%s: %v", q, err)
		}
	}
}

// TestTheJobThatErasedAnImageSaysNothingOfACopyThatCameBack: a purge that was killed
// between its attest and the end of its job goes on when a copy of the vault was put
// back meanwhile, and another station has recorded that.
func TestTheJobThatErasedAnImageSaysNothingOfACopyThatCameBack(t *testing.T) {
	b := newBench(t, 1<<20)
	b.must(b.imageArgs()...)
	saved := filepath.Join(b.dir, "saved")
	for _, dir := range []string{"cases", "keystore"} {
		tool(t, "mkdir", "-p", saved)
		tool(t, "cp", "-a", filepath.Join(b.vault, dir), saved)
	}
	if code, out := b.run("purge"); code != 0 && code != ui.Incomplete {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	no, i := b.image()
	tool(t, "cp", "-a", filepath.Join(saved, "cases"), filepath.Join(saved, "keystore"), b.vault)
	b.record(no, custody.ImageReturned{Image: i.Name, Files: 3, KeyFiles: 1})
	b.reopenJob(i.Erase.Job)

	for range 2 { // the first ends the job, and the second erases the copy
		if code, out := b.run("purge"); code != 0 && code != ui.Incomplete {
			t.Fatalf("exit status %d\n%s", code, out)
		}
		_, i = b.image()
		if left := b.left(); left != "" && !i.Returned() {
			t.Fatalf("%s is there, and its copy is recorded as erased", left)
		}
	}
	if left := b.left(); left != "" || i.Returned() {
		t.Errorf("left %q, returned %v", left, i.Returned())
	}
	for _, x := range i.Returns {
		if x.Erase != nil && x.Erase.Job == i.Erase.Job {
			t.Error("one job erased the image and its copy")
		}
	}
}

// TestARecordThatNamesTheJobOfAnotherKeyProvesNothing: whoever can record events may say
// that the second copy of a key was destroyed, and name a job that is known here.
func TestARecordThatNamesTheJobOfAnotherKeyProvesNothing(t *testing.T) {
	_, mnt, _ := mountLoop(t, 96<<20, "mkfs.ext4", "-q", "-F")
	b := newBench(t, 1<<20)
	for _, dir := range []string{"main", "keys"} {
		if err := os.Mkdir(filepath.Join(mnt, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		b.must("vault", "add", filepath.Join(mnt, dir), "--name", dir)
	}
	b.must(append(b.imageArgs(), "--vault", "main")...)
	b.must("purge")
	_, first := b.image()
	b.must(append(b.imageArgs(), "--vault", "main", "--keystore", "keys")...)
	no, second := b.image()
	if second.UUID == first.UUID || len(second.Keys) != 2 {
		t.Fatalf("%+v", second)
	}
	for _, k := range second.KeysElsewhere() {
		b.record(no, custody.EraseProved{
			Job: first.Erase.Job, Image: second.Name, Step: custody.StepKeyDone, Keystore: k.Keystore,
			Copies: []custody.KeyDestroyed{{File: k.File, SHA256: k.SHA256, Proved: true}},
		})
	}
	keys := filepath.Join(mnt, "keys")
	if err := os.Rename(keys, keys+"-away"); err != nil { // or the purge would find it
		t.Fatal(err)
	}
	_, _ = b.run("purge")
	if a := b.lastAttest(); a.Key != report.KeyPartial {
		t.Errorf("%s because of %q, keys %+v", a.Key, a.Reasons, a.Keys)
	}
	left := filepath.Join(keys+"-away", vault.ImageRef{Case: string(no), Name: second.Name}.KeyDir())
	if _, err := os.Stat(left); err != nil {
		t.Fatalf("the test shows too little: %v", err)
	}
}
