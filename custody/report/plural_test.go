package report

import (
	"testing"

	"salvor/custody"
)

func TestPluralsAreRightFor0And1And2And21And100(t *testing.T) {
	for lang, want := range map[custody.Language]map[int64]string{
		custody.English: {0: "0 days left", 1: "1 day left", 2: "2 days left", 21: "21 days left", 100: "100 days left"},
		custody.Dutch:   {0: "nog 0 dagen", 1: "nog 1 dag", 2: "nog 2 dagen", 21: "nog 21 dagen", 100: "nog 100 dagen"},
		custody.French:  {0: "0 jour restant", 1: "1 jour restant", 2: "2 jours restants", 21: "21 jours restants", 100: "100 jours restants"},
		custody.German:  {0: "noch 0 Tage", 1: "noch 1 Tag", 2: "noch 2 Tage", 21: "noch 21 Tage", 100: "noch 100 Tage"},
	} {
		l, err := newLocale(Head{Language: lang, Zone: "Europe/Brussels"})
		if err != nil {
			t.Fatal(err)
		}
		for n, text := range want {
			if got := l.count("due.days", n); got != text {
				t.Errorf("%s: %q, want %q", lang, got, text)
			}
		}
		if got := l.count("due.days", 1_000_000); got == l.say("due.days.one", "n", l.number(1_000_000)) {
			t.Errorf("%s: a million is one", lang)
		}
	}
}

func TestPeriodsAreSaidInWords(t *testing.T) {
	l, err := newLocale(Head{Language: custody.German, Zone: "Europe/Brussels"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"90d": "90 Tage", "1m": "1 Monat", "6w": "6 Wochen", "72h": "72 Stunden", "0d": "0 Tage", "2027-03-01": "2027-03-01", "": "", "required": "required",
	} {
		if got := l.period(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
