package report_test

import (
	"strings"
	"testing"

	"salvor/custody"
	"salvor/custody/report"
)

// attestOf is an attest of a class, with figures that do not contradict it.
func attestOf(key, media string, virtual bool) report.Attest {
	a := attest()
	a.Key, a.Media, a.Virtual = key, media, virtual
	if virtual {
		a.Storage[0].Virtual, a.Storage[0].Layers = true, []string{"virtio"}
	}
	if key != report.KeyComplete || media != report.MediaRaw {
		a.Reasons = []string{"a key was left"}
	}
	switch key {
	case report.KeyPartial:
		a.Keys[1].Fate = report.FateUnproved
	case report.KeyNone:
		a.Keys[0].Fate, a.Keys[1].Fate = report.FateFailed, report.FateMissing
	}
	switch media {
	case report.MediaLogical:
		a.Content.Read = report.ReadFile
	case report.MediaFailed:
		a.Content.Equal -= 512
	}
	a.Uncover()
	return a
}

// An attest says on two axes what was proved and lists what is not covered, for every
// class that there is, in words of the customer's language.
func TestEveryClassIsSaidInPlainWordsInEveryLanguage(t *testing.T) {
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	seen := map[string]string{}
	for _, l := range report.Languages() {
		for _, key := range []string{report.KeyComplete, report.KeyPartial, report.KeyNone} {
			for _, media := range []string{report.MediaRaw, report.MediaLogical, report.MediaNotAssured, report.MediaFailed} {
				for _, virtual := range []bool{false, true} {
					text := words(rendered(t, attestPaper(l, attestOf(key, media, virtual)), custody.FormatText))
					if !strings.Contains(text, key) || !strings.Contains(text, media) {
						t.Errorf("%s %s %s: a class is not named", l, key, media)
					}
					// Two classes never read the same.
					plain, _, _ := strings.Cut(text, "AES-256-CTR")
					if other, twice := seen[plain]; twice {
						t.Errorf("%s %s %s %t reads as %s", l, key, media, virtual, other)
					}
					seen[plain] = string(l) + key + media
				}
			}
		}
		for _, a := range []report.DeviceAttest{deviceAttest(), deviceStick(), deviceNotAssured(), deviceFailed()} {
			text := words(rendered(t, devicePaper(l, a), custody.FormatText))
			if !strings.Contains(text, a.Class) || strings.Contains(text, "‹") {
				t.Errorf("%s %s: a class is not named", l, a.Class)
			}
			if l != custody.English && strings.Contains(text, map[custody.Language]string{
				custody.Dutch: "(in het Engels)", custody.French: "(en anglais)", custody.German: "(auf Englisch)",
			}[l]) {
				t.Errorf("%s %s: a sentence is not translated", l, a.Class)
			}
		}
	}
}

func TestADeviceAttestThatContradictsItselfIsNotPrinted(t *testing.T) {
	a := deviceAttest()
	a.Content.Equal--
	for _, f := range []custody.PaperFormat{custody.FormatText, custody.FormatPDF, custody.FormatHTML, custody.FormatJSON} {
		if _, err := report.Render(devicePaper(custody.Dutch, a), f); err == nil {
			t.Errorf("printed as %s", f)
		}
	}
}
