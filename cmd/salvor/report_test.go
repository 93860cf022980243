package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"salvor/custody"
	"salvor/custody/ledger"
)

// papersOf counts the printings that are recorded of the first case.
func (b *bench) papersOf() (n int) {
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		c, err := l.Case(ctx, custody.CaseNo(caseNo(1)))
		if err != nil {
			b.t.Fatal(err)
		}
		n = len(c.Papers)
	})
	return n
}

func TestAFullDiskLeavesNoHalfPaperAndNoRecord(t *testing.T) {
	needRoot(t)
	b := newBench(t, 200_000)
	b.must("image", b.source, "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "30d")
	full := filepath.Join(b.dir, "full")
	if err := os.Mkdir(full, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", full, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("a file system of 16 kB cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(full, 0) })
	old := filepath.Join(full, "old.pdf")
	if err := os.WriteFile(old, []byte("the paper of yesterday"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := b.papersOf()
	for _, out := range []string{"new.pdf", "new.html", "old.pdf"} {
		code, said := b.run("report", "custody", caseNo(1), "--out", filepath.Join(full, out), "--force")
		if code == 0 || !strings.Contains(said, "no space") {
			t.Errorf("%s: exit status %d: %s", out, code, said)
		}
	}
	entries, err := os.ReadDir(full)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if text, err := os.ReadFile(old); err != nil || string(text) != "the paper of yesterday" {
		t.Errorf("the old paper is %q, %v", text, err)
	}
	if after := b.papersOf(); after != before {
		t.Errorf("%d papers were recorded that nobody has", after-before)
	}
}

func TestACaseWhosePersonalDataAreErasedPrintsWithoutThemAndSaysSo(t *testing.T) {
	b := newBench(t, 200_000)
	b.must("image", b.source, "--customer", "An Peeters", "--phone", "+32 470 00 00 00", "--address", "Kerkstraat 1", "--purpose", "crash", "--agreed", "--keep", "0d")
	b.must("purge")
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		op, err := l.OperatorByLogin(ctx, "jan")
		if err == nil {
			err = l.ErasePrivate(ctx, op.ID, custody.CaseNo(caseNo(1)))
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	for kind, says := range map[string]string{"intake": "erased on", "custody": "erased on", "handover": "erased on", "attest": "CE-"} {
		for _, format := range []string{"text", "html", "json"} {
			for _, whose := range []string{"customer", "shop"} {
				out := b.must("report", kind, caseNo(1), "--format", format, "--copy", whose, "--lang", "en")
				if strings.Contains(out, "Peeters") || strings.Contains(out, "470 00") || strings.Contains(out, "Kerkstraat") {
					t.Errorf("%s as %s shows what was erased", kind, format)
				}
				if format == "text" && !strings.Contains(strings.Join(strings.Fields(out), " "), says) {
					t.Errorf("%s does not say %q:\n%s", kind, says, out)
				}
			}
		}
	}
	b.must("report", "custody", caseNo(1), "--out", filepath.Join(b.dir, "custody.pdf"))
	b.must("audit")
}
