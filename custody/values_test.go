package custody

import (
	"testing"
	"time"
)

func mustTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestCheckpointCodeIsEightGroupsOfFour(t *testing.T) {
	c := Checkpoint{"salvor/01kb0f4vy9v3qk3y8m6t2r7w5z/T1", 912, Hash{1, 2, 3}}
	const want = "62sw-4y0c-7vgy-1yh8-q30j-1xnc-gtxd-1n28"
	if got := c.Code(); got != want {
		t.Errorf("code %q, want %q", got, want)
	}
	other := c
	other.Size++
	if other.Code() == c.Code() {
		t.Error("another log has the same code")
	}
	if got, err := ParseCheckpoint(c.Text()); err != nil || got != c {
		t.Errorf("%+v %v", got, err)
	}
	for _, text := range []string{"", "x\n1\n", "x\n-1\nAAAA\n", c.Text() + "more\n", "x\n01\n" + c.Text(), "\n" + c.Text()} {
		if _, err := ParseCheckpoint(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestOriginNamesShopAndStation(t *testing.T) {
	if o, err := Origin("01kb0f4vy9v3qk3y8m6t2r7w5z", "T1"); err != nil || o != "salvor/01kb0f4vy9v3qk3y8m6t2r7w5z/T1" {
		t.Errorf("%q %v", o, err)
	}
	for _, bad := range [][2]string{{"shop", "T1"}, {"01KB0F4VY9V3QK3Y8M6T2R7W5Z", "T1"}, {"01kb0f4vy9v3qk3y8m6t2r7w5z", "t 1"}, {"91kb0f4vy9v3qk3y8m6t2r7w5z", "T1"}} {
		if _, err := Origin(bad[0], bad[1]); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestValuesHaveOneSpelling(t *testing.T) {
	type text interface{ UnmarshalText([]byte) error }
	for _, test := range []struct {
		v    text
		bad  []string
		good string
	}{
		{new(Time), []string{"", "2026-11-21", "2026-11-21T18:05:12", "2026-11-21T18:05:12z", "2026-11-21 18:05:12Z", "1969-12-31T23:59:59Z", "2026-11-21T18:05:60Z", "2026-02-30T00:00:00Z"}, "2026-11-21T18:05:12Z"},
		{new(UUID), []string{"", "01ab0000000000000000000000000000", "01AB0000-0000-0000-0000-000000000000", "01ab00000-000-0000-0000-000000000000"}, "01ab0000-0000-0000-0000-000000000000"},
		{new(SessionID), []string{"", "0G000000000000000000000000000000", "00"}, "0f000000000000000000000000000000"},
		{new(Ref), []string{"", "T1", "T1/", "T1/0", "T1/-1", "T1/+1", "T1/01", "t1/1", "T1/1/1", "T1/9223372036854775808"}, "T1/1"},
		{new(Head), []string{"", "1", "0:" + Hash{}.String(), "01:" + Hash{}.String(), "1:xx", "1:" + Hash{}.String() + "00"}, "1:" + Hash{}.String()},
	} {
		for _, s := range test.bad {
			if err := test.v.UnmarshalText([]byte(s)); err == nil {
				t.Errorf("%T: %q was accepted", test.v, s)
			}
		}
		if err := test.v.UnmarshalText([]byte(test.good)); err != nil {
			t.Errorf("%T: %q: %v", test.v, test.good, err)
		}
	}
}
