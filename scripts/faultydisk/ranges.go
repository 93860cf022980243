package main

import (
	"fmt"
	"strconv"
	"strings"
)

// span is a run of bad sectors, both ends included.
type span struct{ first, last int64 }

// parseRanges reads "2048-2055,9000"; the empty string is no range.
func parseRanges(s string) ([]span, error) {
	var out []span
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		from, to, pair := strings.Cut(part, "-")
		if !pair {
			to = from
		}
		first, err1 := strconv.ParseInt(from, 10, 64)
		last, err2 := strconv.ParseInt(to, 10, 64)
		if err1 != nil || err2 != nil || first < 0 || last < first {
			return nil, fmt.Errorf("range %q: want FIRST-LAST or one sector", part)
		}
		out = append(out, span{first, last})
	}
	return out, nil
}
