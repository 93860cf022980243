package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRanges(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []span
		ok   bool
	}{
		{"", nil, true},
		{"7", []span{{7, 7}}, true},
		{"2048-2055, 9000", []span{{2048, 2055}, {9000, 9000}}, true},
		{"0-0,", []span{{0, 0}}, true},
		{"9-8", nil, false},
		{"-3", nil, false},
		{"a-b", nil, false},
		{"1-", nil, false},
	} {
		t.Run(tc.in, func(t *testing.T) {
			got, err := parseRanges(tc.in)
			if (err == nil) != tc.ok {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(span{})); tc.ok && diff != "" {
				t.Error(diff)
			}
		})
	}
}
