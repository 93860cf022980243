package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
	"salvor/wipe"
)

// loseLedger takes the ledger away, as the crash of a disk does, and makes it again
// from the journals in the vault.
func (b *bench) loseLedger(more ...string) {
	b.t.Helper()
	found, err := filepath.Glob(filepath.Join(b.state, "ledger.db*"))
	if err != nil || len(found) == 0 {
		b.t.Fatalf("no ledger: %v", err)
	}
	for _, f := range found {
		if err := os.Remove(f); err != nil {
			b.t.Fatal(err)
		}
	}
	b.must(append([]string{"ledger", "rebuild", "--from", b.vault}, more...)...)
}

// join has a second station of the shop join through the vault.
func (b *bench) join(name string) *bench {
	b.t.Helper()
	other := *b
	other.state = filepath.Join(b.dir, strings.ToLower(name))
	args := []string{"init", "--join", b.vault, "--station", name, "--shop", "Fixit bv", "--dpo", "d"}
	code, err := other.command(args...).Output()
	if err != nil {
		b.t.Fatal(err)
	}
	b.must("station", "approve", name, "--code", strings.TrimSpace(string(code)))
	other.must("init", "--join", b.vault)
	return &other
}

// TestKillAndALostLedgerLeaveNothingThatNobodyCanErase kills the purge at any moment and
// takes its ledger away. The rebuilt station, or another one, must end what was begun:
// nothing is left, the attest is signed, and it claims no key that it did not see.
func TestKillAndALostLedgerLeaveNothingThatNobodyCanErase(t *testing.T) {
	b := newBench(t, 24<<20)
	b.must(b.imageArgs()...)
	whole := b.takes("purge", "--max", "1000")
	nas := b.join("NAS")
	seen := make(map[string]int)
	count := max(4, *kills/3)
	for lost, tries := 0, 0; lost < count; tries++ {
		if tries > 20*count {
			t.Fatalf("only %d ledgers lost in %d tries", lost, tries)
		}
		b.must(b.imageArgs()...)
		key := b.keyFile()
		before, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		if !b.kill(rand.N(whole*11/10), "purge", "--max", "1000") {
			continue
		}
		lost++
		now, err := os.ReadFile(key)
		whole := err == nil && bytes.Equal(now, before)
		b.loseLedger()
		by, args := b, []string{"purge", "--max", "1000"}
		if lost%2 == 0 {
			by = nas
			if _, out := nas.run("purge", "--max", "1000"); !whole && strings.Contains(out, "erased 1") {
				t.Fatalf("another station erases at once what this one may still be at:\n%s", out)
			}
			args = append(args, "--take-over")
		}
		if code, out := by.run(args...); code != 0 && code != ui.Incomplete {
			t.Fatalf("purge after the ledger was lost: exit status %d\n%s", code, out)
		}
		if left := b.left(); left != "" {
			t.Fatalf("%s is left", left)
		}
		a := by.lastAttest()
		seen[a.Key+" / "+a.Media]++
		if !whole && a.Key == report.KeyComplete && a.Station == by.station() && strings.Contains(strings.Join(a.Reasons, " "), "record") {
			t.Errorf("%s although the keys were gone before: %q", a.Key, a.Reasons)
		}
		if a.Media == report.MediaFailed {
			t.Errorf("%s / %s because of %q", a.Key, a.Media, a.Reasons)
		}
		for _, k := range a.Keys {
			if k.Fate == report.FateDestroyed && !whole && len(a.Reasons) > 0 && strings.Contains(strings.Join(a.Reasons, "; "), wipe.BecauseBegun) {
				t.Errorf("a key that was gone before is called destroyed: %+v, %q", k, a.Reasons)
			}
			if k.Fate == report.FateEarlier && k.By == "" {
				t.Errorf("who destroyed it? %+v", k)
			}
		}
		b.must("sync")
		b.must("audit", "--full")
		nas.must("audit", "--full")
	}
	t.Logf("%d ledgers lost: %v", count, seen)
}

func (b *bench) station() (name string) {
	b.ledger(func(_ context.Context, l *ledger.Ledger) { name = l.Station().Name() })
	return name
}

// lastAttest opens the attest of the case that was opened last, and checks its signature.
func (b *bench) lastAttest() (newest report.Attest) {
	b.t.Helper()
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		cases, err := l.Cases(ctx, ledger.Filter{All: true})
		if err != nil {
			b.t.Fatal(err)
		}
		var last custody.Case
		for _, c := range cases {
			if c.Opened.After(last.Opened) || c.Opened.Equal(last.Opened) && c.No > last.No {
				last = c
			}
		}
		records, err := l.Attests(ctx, last.No)
		if err != nil || len(records) == 0 {
			b.t.Fatalf("%s has no attest: %v", last.No, err)
		}
		known, err := (&station{ledger: l}).verifiers(ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		a, _, err := report.OpenAttest(records[len(records)-1].Note, known)
		if err != nil {
			b.t.Fatal(err)
		}
		newest = a
	})
	return newest
}
