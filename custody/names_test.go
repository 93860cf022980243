package custody

import (
	"errors"
	"strings"
	"testing"
)

func TestCaseNumbersAreReadStrictly(t *testing.T) {
	no, err := ParseCaseNo("T1-2026-0042")
	if err != nil || no.Station() != "T1" || no.Year() != 2026 || no.Sequence() != 42 {
		t.Errorf("%v %s %d %d", err, no.Station(), no.Year(), no.Sequence())
	}
	for _, s := range []string{"A-0000-0001", "B1234567-9999-123456789", "NAS-2026-10000"} {
		if _, err := ParseCaseNo(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{
		"", "T1", "T1-2026", "T1-2026-", "T1-2026-42", "t1-2026-0042", "1T-2026-0042", "T1-26-0042", "T1-2026-00042", "T1-2026-0000",
		"T1-2026-1234567890", "B12345678-2026-0001", "T1-2026-0042 ", "T1-2026-0042/..", "T1-2026-004x", "T1--2026-0042", "T1-2026-0042-1", "Maes-2026-0001",
	} {
		if no, err := ParseCaseNo(s); !errors.Is(err, ErrName) {
			t.Errorf("%q was read as %q: %v", s, no, err)
		}
	}
	if no, err := NewCaseNo("T1", 2026, 10000); err != nil || no != "T1-2026-10000" {
		t.Errorf("%v %v", no, err)
	}
	for _, n := range []int{0, -1, 1_000_000_000} {
		if _, err := NewCaseNo("T1", 2026, n); !errors.Is(err, ErrName) {
			t.Errorf("sequence %d: %v", n, err)
		}
	}
}

// Somebody may type a name where an identifier belongs: it must not end up in
// a message or a log.
func TestErrorsNeverRepeatWhatWasTyped(t *testing.T) {
	_, err := ParseCaseNo("Jan Maes")
	for _, err := range []error{err, CheckLabel("Jan Maes"), CheckStation("Jan Maes"), CheckOperator("Jan Maes"), CheckID("Jan Maes"), CheckImage("Jan Maes")} {
		if err == nil || strings.Contains(err.Error(), "Maes") {
			t.Errorf("got %v", err)
		}
	}
	if _, err := DecodeEvent([]byte(`{"v":1,"id":"Jan Maes","customer":"Maes"}` + "\n")); err == nil || strings.Contains(err.Error(), "Maes") {
		t.Errorf("got %v", err)
	}
}

func TestLabelsAndIDs(t *testing.T) {
	for s, ok := range map[string]bool{"nas": true, "_x": true, "a.b-c_1": true, "": false, "Nas": false, "1a": false, "é": false, strings.Repeat("a", 33): false} {
		if (CheckLabel(s) == nil) != ok {
			t.Errorf("label %q", s)
		}
	}
	for s, ok := range map[string]bool{"op-7f3a": true, "op-station": true, "op-": false, "op-7F3A": false, "an": false, "op-7f3": false} {
		if (CheckOperator(s) == nil) != ok {
			t.Errorf("operator %q", s)
		}
	}
	for s, ok := range map[string]bool{"image-01": true, "image-100": true, "image-1": false, "image-01/..": false, "Image-01": false} {
		if (CheckImage(s) == nil) != ok {
			t.Errorf("image %q", s)
		}
	}
}

func FuzzCaseNo(f *testing.F) {
	for _, s := range []string{"T1-2026-0042", "NAS-2026-10000", "T1-2026-00042", "T1-2026-0000", "../..", "A-0000-0001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		no, err := ParseCaseNo(s)
		if err != nil {
			return
		}
		again, err := NewCaseNo(no.Station(), no.Year(), no.Sequence())
		if err != nil || string(again) != s {
			t.Errorf("%q came back as %q (%v)", s, again, err)
		}
		if strings.ContainsAny(s, "/.\x00 ") {
			t.Errorf("%q is no name for a directory", s)
		}
	})
}
