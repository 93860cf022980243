package layout

import (
	"strings"
	"testing"
)

func TestLongWordsAreBrokenAndNothingIsLost(t *testing.T) {
	for _, text := range []string{
		"", "a", strings.Repeat("x", 200), "one two  three", strings.Repeat("rw,noatime,", 20) + " end", strings.Repeat("é ", 90),
	} {
		for _, width := range []float64{1, 7, 46} {
			lines := wrap(text, width, width, columns)
			for _, line := range lines {
				if columns(line) > width {
					t.Errorf("width %v: %q", width, line)
				}
			}
			squeeze := func(s string) string { return strings.ReplaceAll(s, " ", "") }
			if squeeze(strings.Join(lines, "")) != squeeze(text) {
				t.Errorf("width %v: text is lost of %q", width, text)
			}
		}
	}
}
