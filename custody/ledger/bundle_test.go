package ledger

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"salvor/custody"
)

// bundled makes a bundle of the first case of two stations' work.
func bundled(t testing.TB) (text, key string, a *shopfloor, no custody.CaseNo) {
	a, v := newShopfloor(t), newVault("v1")
	no = a.openCase(t)
	b := a.join(t, "B2", v.Journal)
	b.append(t, Entry{Case: no, Pub: custody.HoldAdded{Hold: "h1", Kind: custody.HoldLegal, Review: "2027-01-01"}})
	b.openCase(t)
	b.sync(t, v.Journal)
	a.sync(t, v.Journal)
	a.append(t, Entry{Case: no, Pub: custody.HoldEnded{Hold: "h1"}})
	a.openCase(t)
	var w bytes.Buffer
	if err := a.Bundle(t.Context(), no, &w); err != nil {
		t.Fatal(err)
	}
	return w.String(), a.st.Verifier(), a, no
}

func TestBundleProvesOneCaseAndTellsNothingOfOthers(t *testing.T) {
	text, key, a, no := bundled(t)
	r, err := CheckBundle(strings.NewReader(text), key)
	if err != nil {
		t.Fatal(err)
	}
	want, err := a.Case(t.Context(), no)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, r.Case, cmpopts.EquateEmpty(), cmp.AllowUnexported(custody.Keep{})); d != "" {
		t.Error(d)
	}
	if r.By != "T1" || r.Shop != testShop || len(r.Checkpoints) != 2 || len(r.Events) != 6 {
		t.Errorf("%+v", r)
	}
	for _, other := range []string{"T1-2026-0002", "B2-2026-0001", "Maes", "+32"} {
		if strings.Contains(text, other) {
			t.Errorf("the bundle holds %q", other)
		}
	}
	if err := a.Bundle(t.Context(), "T1-2026-0099", &bytes.Buffer{}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// Whatever is changed, taken out or put in, the bundle proves nothing any more.
func TestBundleThatWasTouchedProvesNothing(t *testing.T) {
	text, key, _, _ := bundled(t)
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1]
	check := func(what string, lines []string) {
		t.Helper()
		if _, err := CheckBundle(strings.NewReader(strings.Join(lines, "")), key); !errors.Is(err, ErrBundle) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range lines {
		check("line taken out", append(append([]string{}, lines[:i]...), lines[i+1:]...))
		check("line twice", append(append(append([]string{}, lines[:i+1]...), lines[i]), lines[i+1:]...))
		for _, at := range []int{len(lines[i]) / 4, len(lines[i]) / 2, len(lines[i]) * 3 / 4} {
			changed := []byte(lines[i])
			changed[at] ^= 1
			check("byte changed", append(append(append([]string{}, lines[:i]...), string(changed)), lines[i+1:]...))
		}
		check("cut", lines[:i])
		check("cut in a line", append(append([]string{}, lines[:i]...), lines[i][:len(lines[i])/2]))
	}
	other, err := NewStation(testShop, "T1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CheckBundle(strings.NewReader(text), other.Verifier()); !errors.Is(err, ErrBundle) {
		t.Errorf("another shop's key: %v", err)
	}
}

func TestCodeOnPaperIsComparedWithTheLedgerOfThatTime(t *testing.T) {
	s := newShopfloor(t)
	cp, err := s.CheckpointNow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.openCase(t)
	if err := s.CheckPaper(t.Context(), "T1", cp.Size, strings.ToUpper(cp.Code())); err != nil {
		t.Error(err)
	}
	if err := s.CheckPaper(t.Context(), "T1", cp.Size+1, cp.Code()); !errors.Is(err, ErrCode) {
		t.Error(err)
	}
	if err := s.CheckPaper(t.Context(), "T1", 1000, cp.Code()); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}
