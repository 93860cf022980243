package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/custody"
	"salvor/custody/ledger"
)

// What another station has recorded, or somebody with its key, was never typed at this
// one: it may hold line breaks, and marks that turn what stands behind them. On the
// screen and on paper it stays within its field, indented, and begins no line of its own.
func TestRecordedTextForgesNothing(t *testing.T) {
	b := newBench(t, 1000)
	const evil = "An\nFORGED  line\u202eesrever\u2028FORGED\u0085FORGED\u009b31m"
	var no custody.CaseNo
	now := time.Now()
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		shop, err := l.Shop(ctx)
		if err != nil {
			t.Fatal(err)
		}
		op := shop.Operators[0].ID
		for _, o := range shop.Operators {
			if o.Kind == custody.OperatorPerson {
				op = o.ID
			}
		}
		no, err = l.OpenCase(ctx, op, now.Year(), func(no custody.CaseNo) []ledger.Entry {
			return []ledger.Entry{
				{Case: no, Pub: custody.CaseOpened{Purpose: custody.PurposeCrash, Language: custody.Dutch}, Private: map[string]string{
					custody.FieldCustomer: evil, custody.FieldPhone: evil, custody.FieldAddress: evil, custody.FieldTicket: evil, custody.FieldEmail: evil,
				}},
				{Case: no, Pub: custody.AgreementRecorded{Notice: "2026-1"}},
				{Case: no, Item: "1", Pub: custody.ItemReceived{Item: "1", Kind: custody.ItemHDD, Bytes: 1e12}, Private: map[string]string{
					custody.FieldSerial: evil, custody.FieldModel: evil, custody.FieldFault: evil, custody.FieldAccessories: evil,
				}},
				{Case: no, Pub: custody.HoldAdded{Hold: "h-1", Kind: custody.HoldLegal, Review: custody.DateOf(now.AddDate(0, 3, 0), time.UTC)}, Private: map[string]string{custody.FieldReason: evil}},
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	for _, args := range [][]string{
		{"show", string(no), "--contact"},
		{"show", string(no), "--contact", "--json"},
		{"cases"},
		{"cases", "--customer", "FORGED"},
		{"due"},
		{"label", string(no)},
		{"report", "intake", string(no)},
		{"report", "custody", string(no)},
		{"report", "custody", string(no), "--format", "json"},
		{"report", "custody", string(no), "--format", "html"},
		{"report", "custody", string(no), "--format", "pdf", "--out", filepath.Join(b.dir, "x.pdf")},
	} {
		out := b.must(args...)
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "FORGED") {
				t.Errorf("salvor %s: a line is forged: %q", strings.Join(args, " "), line)
			}
		}
		for _, mark := range []string{"\u202e", "\u2028", "\u0085", "\u009b"} {
			if strings.Contains(out, mark) {
				t.Errorf("salvor %s: %q comes through", strings.Join(args, " "), mark)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(b.dir, "x.pdf")); err != nil {
		t.Error(err)
	}
}
