package layout

import (
	"strings"
	"testing"
)

func TestAWordIsBrokenAtASoftHyphenWhereItMustBe(t *testing.T) {
	const word = "Auftrags\u00adverarbeitungs\u00advertrag"
	for width, want := range map[float64]string{
		40: "Auftragsverarbeitungsvertrag", 27: "Auftragsverarbeitungs- vertrag", 22: "Auftragsverarbeitungs- vertrag", 21: "Auftrags- verarbeitungsvertrag",
		15: "Auftrags- verarbeitungs- vertrag", 9: "Auftrags- verarbeit ungs- vertrag", 3: "Auf tra gs- ver arb eit ung s- ver tra g",
	} {
		if got := strings.Join(wrap(word, width, width, columns), " "); got != want {
			t.Errorf("width %v: %q", width, got)
		}
	}
}

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
