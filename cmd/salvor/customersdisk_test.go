package main

import (
	"context"
	"testing"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// A disk that was handed in is the customer's until it was given back, also when its
// serial number was first taken down wrong.
func TestADiskThatWasHandedInIsTheCustomers(t *testing.T) {
	b := newBench(t, 1<<16)
	b.must("intake", "--customer", "An", "--purpose", "crash", "--agreed", "--item", "hdd", "--condition", "used", "--serial", "WX-1", "--fault", "clicks")
	b.must("correct", caseNo(1)+"/1", "--serial", "WX-2", "--reason", "misread")
	is := func(serial string, want bool) {
		t.Helper()
		b.ledger(func(ctx context.Context, l *ledger.Ledger) {
			s := &station{ledger: l}
			item, no, found, err := s.customersDisk(ctx, serial)
			if err != nil || found != want || found && (item.Item != "1" || no != custody.CaseNo(caseNo(1))) {
				t.Errorf("%q: %v, item %s of %s, %v", serial, found, item.Item, no, err)
			}
			if err := s.notOriginal(ctx, "/dev/sdx", serial, false); (err != nil) != want || want && ui.ExitCode(err) != ui.Refused {
				t.Errorf("%q over the original: %v", serial, err)
			}
			if err := s.notOriginal(ctx, "/dev/sdx", serial, true); err != nil {
				t.Errorf("%q over the original, as asked: %v", serial, err)
			}
		})
	}
	is("", false)
	is("WX-1", false)
	is(" wx-2", true)
	b.must("return", caseNo(1)+"/1", "--to", "owner", "--identity-shown")
	is("WX-2", false)
}
