package ledger

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"salvor/custody"
	"salvor/custody/journal"
)

// Two stations that are out of each other's sight record what contradicts: both take the
// same thing into hand, one closes a case while the other holds it. Everybody ends with
// the same, nothing of it is lost, and the case says what contradicts.
func TestWhatContradictsIsKeptAndNamed(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	moved, closed := a.openCase(t), a.openCase(t)
	a.append(t, Entry{Pub: custody.OperatorAdded{Op: "op-1c22", Kind: custody.OperatorPerson}, Private: map[string]string{"login": "eva", "name": "Eva"}},
		Entry{Pub: custody.OperatorAgreed{Op: "op-1c22", Date: "2026-01-05"}})
	b := a.join(t, "B2", v.Journal)
	c := a.join(t, "C3", v.Journal)
	for range 2 {
		a.sync(t, v.Journal)
		b.sync(t, v.Journal)
	}
	take := func(s *shopfloor, op, from string) {
		t.Helper()
		if _, err := s.Append(t.Context(), op, Entry{Case: moved, Item: "1", Pub: custody.Accepted{From: from, To: op, Reason: "shift", Seal: custody.SealNone}}); err != nil {
			t.Fatal(err)
		}
	}
	take(a, "op-1c22", testOp)
	take(b, "op-1c22", testOp)
	a.append(t, givenBack(closed), Entry{Case: closed, Pub: custody.CaseClosed{}})
	b.append(t, hold(closed, "h1"))
	for range 3 {
		for _, s := range []*shopfloor{a, b, c} {
			s.sync(t, v.Journal)
		}
	}
	for _, s := range []*shopfloor{a, b, c} {
		sameState(t, a, s)
		s.mustAudit(t)
		x, err := s.Case(t.Context(), moved)
		if err != nil {
			t.Fatal(err)
		}
		if i, _ := x.Item("1"); i.State != custody.ItemIsDisputed || len(i.Disputed) != 2 || len(x.Exceptions) != 2 || x.Exceptions[0].Kind != custody.Disputed {
			t.Errorf("%s: %+v, %v", s.st.Name(), i, x.Exceptions)
		}
		if x, err = s.Case(t.Context(), closed); err != nil || x.Closed.IsZero() || !x.Held() {
			t.Errorf("%s: closed %v, held %v: %v", s.st.Name(), x.Closed, x.Held(), err)
		}
	}
}

// Two stations retire each other. Of two others each hears of one first, and of the other
// too late. That is an alarm at both, and what a person says of it brings them together.
func TestStationsThatRetireEachOther(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	usb := newVault("v2") // with B2 and D4 alone, at first
	no := a.openCase(t)
	b := a.join(t, "B2", v.Journal)
	c := a.join(t, "C3", v.Journal)
	d := a.join(t, "D4", v.Journal)
	all := []*shopfloor{a, b, c, d}
	for range 2 {
		for _, s := range all {
			s.sync(t, v.Journal)
		}
	}
	if err := a.Retire(t.Context(), testOp, "B2", custody.EndStolen); err != nil {
		t.Fatal(err)
	}
	if err := b.Retire(t.Context(), testOp, "T1", custody.EndStolen); err != nil {
		t.Fatal(err)
	}
	b.append(t, hold(no, "h1"))
	a.sync(t, v.Journal)
	b.sync(t, usb.Journal)
	c.sync(t, v.Journal)   // T1 has retired B2
	d.sync(t, usb.Journal) // B2 has retired T1
	both := []*journal.Journal{v.Journal, usb.Journal}
	for _, s := range all {
		if _, err := s.Sync(t.Context(), both...); !errors.Is(err, ErrRetired) {
			t.Errorf("%s hears of nothing: %v", s.st.Name(), err)
		}
	}
	// Who believes that B2 is retired does not know whether its hold counts.
	for _, s := range all {
		held, err := s.CaseUnderLock(t.Context(), no, both...)
		if knows := s == b || s == d; knows && (err != nil || !held.Held()) || !knows && !errors.Is(err, ErrRetired) {
			t.Errorf("%s: a purge: held %v: %v", s.st.Name(), held.Held(), err)
		}
	}
	if _, err := c.Settle(t.Context(), testOp, Settlement{"B2", true, 0, "it was never stolen"}, usb.Journal); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Settle(t.Context(), testOp, Settlement{"T1", true, 0, "nor was this one"}, v.Journal); err != nil {
		t.Fatal(err)
	}
	for _, s := range all { // once to publish what was settled
		if _, err := s.Sync(t.Context(), both...); err != nil && !errors.Is(err, ErrRetired) {
			t.Error(err)
		}
	}
	for range 2 {
		for _, s := range all {
			s.sync(t, both...)
		}
	}
	for _, s := range all {
		s.mustAudit(t)
		ours, theirs := c.state(t), s.state(t)
		if s == a {
			// B2 has sealed its hold's reason to nobody whom it holds retired.
			ours.Private, theirs.Private = nil, nil
		}
		if d := cmp.Diff(ours, theirs, cmpopts.EquateEmpty(), cmp.AllowUnexported(custody.Keep{})); d != "" {
			t.Errorf("%s:\n%s", s.st.Name(), d)
		}
	}
}
