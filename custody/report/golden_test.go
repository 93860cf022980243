package report_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"salvor/custody"
	"salvor/custody/report"
)

var update = flag.Bool("update", false, "write the golden files anew; look at every one of them")

func papers(l custody.Language) map[string]report.Paper {
	return map[string]report.Paper{
		"attest-raw":         attestPaper(l, attest()),
		"attest-logical":     attestPaper(l, attestVirtualLogical()),
		"attest-not-assured": attestPaper(l, attestNotAssured()),
		"attest-failed":      attestPaper(l, attestFailed()),
		"attest-returned":    attestPaper(l, attestReturned()),
		"device-purged":      devicePaper(l, deviceAttest()),
		"device-raw":         devicePaper(l, deviceStick()),
		"device-not-assured": devicePaper(l, deviceNotAssured()),
		"device-failed":      devicePaper(l, deviceFailed()),
		"destruction":        destructionPaper(l),
		"destruction-vault":  destructionOfVault(l),
		"custody-open":       custodyPaper(l),
		"custody-customer":   custodyCustomer(l),
		"custody-erased":     custodyErased(l),
		"custody-long":       custodyLong(l),
		"intake-customer":    intakePaper(l, report.CopyCustomer),
		"intake-shop":        intakePaper(l, report.CopyShop),
		"intake-business":    intakeBusiness(l),
		"handover-customer":  handoverPaper(l, report.CopyCustomer),
		"handover-shop":      handoverPaper(l, report.CopyShop),
		"handover-confirmed": handoverConfirmed(l),
		"due-30":             duePaper(l, 30),
		"due-busy":           dueBusy(l),
		"due-nothing":        duePaper(l, 0),
		"register":           registerPaper(l),
		"incidents":          incidentsPaper(l),
		"requests":           requestsPaper(l),
		"audit":              auditPaper(l),
		"audit-broken":       auditBroken(l),
	}
}

// rendered is a paper in one format; what cannot be rendered fails the test.
func rendered(t testing.TB, p report.Paper, f custody.PaperFormat) string {
	t.Helper()
	b, err := report.Render(p, f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPapersReadAsTheyWereLookedAt(t *testing.T) {
	for _, l := range report.Languages() {
		for name, p := range papers(l) {
			t.Run(name+"/"+string(l), func(t *testing.T) {
				golden(t, name+"."+string(l)+".txt", rendered(t, p, custody.FormatText))
			})
		}
	}
	for name, p := range papers(custody.English) {
		golden(t, name+".json", rendered(t, p, custody.FormatJSON))
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestNoLineIsLongerThanEightyColumns(t *testing.T) {
	for _, l := range report.Languages() {
		for name, p := range papers(l) {
			text := rendered(t, p, custody.FormatText)
			for i, line := range strings.Split(text, "\n") {
				if n := utf8.RuneCountInString(line); n > 80 {
					t.Errorf("%s.%s line %d has %d columns: %s", name, l, i+1, n, line)
				}
			}
			if strings.ContainsAny(text, "‹{}") {
				t.Errorf("%s.%s shows a key or a placeholder", name, l)
			}
		}
	}
}

func TestSamePaperGivesSameBytesInEveryZoneOfItsTimes(t *testing.T) {
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	here, there := custodyPaper(custody.Dutch), custodyPaper(custody.Dutch)
	there.Opened = there.Opened.In(tokyo).Add(300 * time.Millisecond)
	there.Timeline[0].Time = there.Timeline[0].Time.In(tokyo)
	there.PrintedAt = there.PrintedAt.In(tokyo)
	a := rendered(t, here, custody.FormatJSON)
	b := rendered(t, there, custody.FormatJSON)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
	if there.Timeline[0].Time.Location() != tokyo {
		t.Error("the caller's paper was changed")
	}
}

func TestHostileTextCannotForgeALineOrSteerATerminal(t *testing.T) {
	p := custodyPaper(custody.English)
	p.Customer = report.Said("Eve\nCurrent state: erased\x1b[2J\u202e\u009b31m\xff")
	text := rendered(t, p, custody.FormatText)
	js := rendered(t, p, custody.FormatJSON)
	for _, s := range []string{text, js} {
		if strings.ContainsAny(s, "\x1b\u202e\u009b") || !utf8.ValidString(s) {
			t.Errorf("a control character came through")
		}
	}
	if strings.Contains(text, "\nCurrent state: erased") {
		t.Error("a line was forged")
	}
	if !strings.Contains(strings.Join(strings.Fields(text), ""), "EveCurrentstate:erased<U+001B>[2J<U+202E><U+009B>31m<FF>") {
		t.Error("the text is not shown as it is")
	}
}

func TestAValueThatLooksLikeAPlaceholderStaysAValue(t *testing.T) {
	p := attestPaper(custody.English, attest())
	p.Shop.Name = "{date} {image}"
	text := rendered(t, p, custody.FormatText)
	if !strings.Contains(text, "{date} {image} had made an encrypted copy") {
		t.Error("a value was taken for a placeholder")
	}
}

func TestAPaperWithoutLanguageOrZoneIsRefused(t *testing.T) {
	for _, change := range []func(*report.Head){
		func(h *report.Head) { h.Language = "es" },
		func(h *report.Head) { h.Zone = "Mars/Olympus" },
		func(h *report.Head) { h.Zone = "Local" },
	} {
		p := custodyPaper(custody.Dutch)
		change(&p.Head)
		if _, err := report.Render(p, custody.FormatText); err == nil {
			t.Error("accepted")
		}
	}
}

func TestAnAttestThatContradictsItselfIsNotPrinted(t *testing.T) {
	p := attestPaper(custody.Dutch, attest())
	p.Attest.Content.Equal--
	if _, err := report.Render(p, custody.FormatText); err == nil {
		t.Error("printed as text")
	}
	if _, err := report.Render(p, custody.FormatJSON); err == nil {
		t.Error("printed as JSON")
	}
}

func TestALedgerNobodyLookedAtIsNeverCalledComplete(t *testing.T) {
	p := attestPaper(custody.English, attest())
	for _, f := range []report.Foot{{Ledger: report.LedgerOK}, {Ledger: report.LedgerUnaudited}, {}} {
		p.Foot = f
		text := rendered(t, p, custody.FormatText)
		if strings.Contains(text, "complete and unaltered") {
			t.Errorf("%+v is called complete", f)
		}
	}
}
