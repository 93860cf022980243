package report_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
	"salvor/custody/report"
)

func TestAttestSurvivesSigningAndReading(t *testing.T) {
	for _, a := range []report.Attest{attest(), attestVirtualLogical(), attestNotAssured(), attestFailed()} {
		skey, vkey, err := note.GenerateKey(rand.Reader, "salvor/01jbh7pn3e5t8v0w1x2y3z4a5b/NAS")
		if err != nil {
			t.Fatal(err)
		}
		signer, err := note.NewSigner(skey)
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := note.NewVerifier(vkey)
		if err != nil {
			t.Fatal(err)
		}
		text, err := a.Text()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(text, []byte("\n")) != 1 || !bytes.HasSuffix(text, []byte("}\n")) {
			t.Errorf("not one line: %q", text)
		}
		signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
		if err != nil {
			t.Fatal(err)
		}
		got, n, err := report.OpenAttest(signed, note.VerifierList(verifier))
		if err != nil {
			t.Fatal(err)
		}
		if len(n.Sigs) != 1 || n.Sigs[0].Name != signer.Name() {
			t.Errorf("signatures %v", n.Sigs)
		}
		a.Issued, a.Deadline = a.Issued.UTC().Truncate(time.Second), a.Deadline.UTC().Truncate(time.Second)
		if diff := cmp.Diff(a, got); diff != "" {
			t.Errorf("(-signed +read):\n%s", diff)
		}

		forged := bytes.Replace(signed, []byte(`"image-01"`), []byte(`"image-02"`), 1)
		if _, _, err := report.OpenAttest(forged, note.VerifierList(verifier)); err == nil {
			t.Error("a changed attest was accepted")
		}
		if _, _, err := report.OpenAttest(signed, note.VerifierList()); err == nil {
			t.Error("an unknown signer was accepted")
		}
	}
}

func TestAttestClaimsNoMoreThanItsFiguresShow(t *testing.T) {
	for name, change := range map[string]func(*report.Attest){
		"one byte not overwritten":           func(a *report.Attest) { a.Content.Overwritten-- },
		"one byte not read back":             func(a *report.Attest) { a.Content.ReadBack--; a.Content.Equal-- },
		"one byte different":                 func(a *report.Attest) { a.Content.Equal-- },
		"a sector unreadable":                func(a *report.Attest) { a.Content.Unreadable = 512 },
		"nothing to overwrite":               func(a *report.Attest) { a.Content = report.Content{Read: report.ReadDevice} },
		"no stream key":                      func(a *report.Attest) { a.StreamKey = "" },
		"raw, read through the file system":  func(a *report.Attest) { a.Content.Read = report.ReadFile },
		"logical, not read back":             func(a *report.Attest) { a.Media, a.Content.Read = report.MediaLogical, report.ReadNone },
		"a key copy missing":                 func(a *report.Attest) { a.Keys[1].Fate = report.FateMissing },
		"a key copy unproved":                func(a *report.Attest) { a.Keys[1].Fate = report.FateUnproved },
		"a key copy failed":                  func(a *report.Attest) { a.Keys[0].Fate = report.FateFailed },
		"not assured without a reason":       func(a *report.Attest) { a.Media = report.MediaNotAssured },
		"virtual and not said":               func(a *report.Attest) { a.Storage[0].Virtual = true },
		"more equal than read":               func(a *report.Attest) { a.Content.Equal++ },
		"more overwritten than there is":     func(a *report.Attest) { a.Content.Overwritten++ },
		"nothing said of what is uncovered":  func(a *report.Attest) { a.NotCovered = nil },
		"one uncovered thing left out":       func(a *report.Attest) { a.NotCovered = a.NotCovered[1:] },
		"flash not said on an unknown drive": func(a *report.Attest) { a.Storage[0].Rotational = "unknown" },
	} {
		t.Run(name, func(t *testing.T) {
			a := attest()
			change(&a)
			if _, err := a.Text(); !errors.Is(err, report.ErrContradiction) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAttestRefusesWhatHasNotItsForm(t *testing.T) {
	for name, change := range map[string]func(*report.Attest){
		"version":     func(a *report.Attest) { a.V = 2 },
		"id":          func(a *report.Attest) { a.ID = "An Peeters" },
		"shop":        func(a *report.Attest) { a.Shop = "shop" },
		"station":     func(a *report.Attest) { a.Station = "nas" },
		"case":        func(a *report.Attest) { a.Case = "42" },
		"image":       func(a *report.Attest) { a.Image = "../x" },
		"uuid":        func(a *report.Attest) { a.UUID = strings.ToUpper(a.UUID) },
		"vault":       func(a *report.Attest) { a.Vault = "" },
		"root":        func(a *report.Attest) { a.Root = "abc" },
		"ground":      func(a *report.Attest) { a.Ground = "because" },
		"key class":   func(a *report.Attest) { a.Key = "PURGED" },
		"media class": func(a *report.Attest) { a.Media = "CLEAR" },
		"technique":   func(a *report.Attest) { a.Technique = "by magic" },
		"version of the tool": func(a *report.Attest) {
			a.Version = "v1\x1b[2J"
		},
		"stream key":  func(a *report.Attest) { a.StreamKey = "00" },
		"negative":    func(a *report.Attest) { a.Content.Unreadable = -1 },
		"way of read": func(a *report.Attest) { a.Content.Read = "" },
		"no storage":  func(a *report.Attest) { a.Storage = nil },
		"rotational":  func(a *report.Attest) { a.Storage[0].Rotational = "" },
		"reason": func(a *report.Attest) {
			a.Media, a.Reasons = report.MediaNotAssured, []string{"two\nlines"}
		},
		"reason twice": func(a *report.Attest) { a.Reasons = []string{"a", "a"} },
		"fate":         func(a *report.Attest) { a.Keys[0].Fate = "gone" },
		"earlier without its event": func(a *report.Attest) {
			a.Key, a.Reasons, a.Keys[0].Fate = report.KeyPartial, []string{"x"}, report.FateEarlier
		},
		"event of what was seen": func(a *report.Attest) { a.Keys[0].By = "NAS/812" },
		"operator":               func(a *report.Attest) { a.PerformedBy = "An Peeters" },
		"validator":              func(a *report.Attest) { a.ValidatedBy = "root" },
		"code":                   func(a *report.Attest) { a.Checkpoint.Code = "0189" },
		"no start":               func(a *report.Attest) { a.Started = time.Time{} },
		"not UTF-8":              func(a *report.Attest) { a.Storage[0].Model = "\xff" },
	} {
		t.Run(name, func(t *testing.T) {
			a := attest()
			change(&a)
			if _, err := a.Text(); !errors.Is(err, report.ErrAttest) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAKeyThatAnEarlierRunDestroyedIsNotProvedHere(t *testing.T) {
	a := attest()
	a.Keys[0].Fate, a.Keys[0].By = report.FateEarlier, "NAS/812"
	if _, err := a.Text(); !errors.Is(err, report.ErrContradiction) {
		t.Errorf("all keys are called destroyed: %v", err)
	}
	a.Key, a.Reasons = report.KeyPartial, []string{"a reason"}
	a.Uncover()
	text, err := a.Text()
	if err != nil {
		t.Fatal(err)
	}
	again, err := report.ParseAttest(text)
	if err != nil || again.Keys[0] != a.Keys[0] {
		t.Errorf("%+v, %v", again.Keys, err)
	}
	for _, l := range report.Languages() {
		if said := rendered(t, attestPaper(l, a), custody.FormatText); !strings.Contains(said, "NAS/812") {
			t.Errorf("%s: the paper does not name the entry", l)
		}
	}
}

func TestUncoverSaysLayersOnce(t *testing.T) {
	a := attestVirtualLogical()
	for i, n := range a.NotCovered {
		for _, m := range a.NotCovered[:i] {
			if n == m {
				t.Errorf("%q twice", n)
			}
		}
		if n == "loop" {
			t.Error("a layer stands beside the layers")
		}
	}
}

func TestParseAttestTakesOneSpellingOnly(t *testing.T) {
	good, err := attest().Text()
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSuffix(string(good), "\n")
	for name, text := range map[string]string{
		"nothing":         "",
		"no line break":   line,
		"two line breaks": line + "\n\n",
		"two values":      line + "\n" + line + "\n",
		"a space":         strings.Replace(line, `":`, `": `, 1) + "\n",
		"unknown field":   strings.Replace(line, `{`, `{"aa":1,`, 1) + "\n",
		"field twice":     strings.Replace(line, `"v":1`, `"v":1,"v":1`, 1) + "\n",
		"other case":      strings.Replace(line, `"v":1`, `"V":1`, 1) + "\n",
		"null":            "null\n",
		"empty list":      strings.Replace(line, `"key":"CE-COMPLETE"`, `"key":"CE-COMPLETE","reasons":[]`, 1) + "\n",
		"offset for Z":    strings.Replace(line, `Z"`, `+00:00"`, 1) + "\n",
		"fraction":        strings.Replace(line, `Z"`, `.0Z"`, 1) + "\n",
		"escape":          strings.Replace(line, `image-01`, `image-0\u0031`, 1) + "\n",
		"number as 1e0":   strings.Replace(line, `"v":1`, `"v":1e0`, 1) + "\n",
	} {
		if text == string(good) {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := report.ParseAttest([]byte(text)); !errors.Is(err, report.ErrAttest) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := report.ParseAttest(good); err != nil {
		t.Error(err)
	}
}

// The sample of the first version must stay readable for ever: nothing writes it anew.
func TestTheFirstVersionStaysReadable(t *testing.T) {
	const path = "testdata/v1/attest.txt"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := report.ParseAttest(text); err != nil {
		t.Error(err)
	}
}

func FuzzParseAttest(f *testing.F) {
	for _, a := range []report.Attest{attest(), attestVirtualLogical(), attestNotAssured(), attestFailed()} {
		text, err := a.Text()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := report.ParseAttest(text)
		if err != nil {
			return
		}
		again, err := a.Text()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, text) {
			t.Errorf("read %q, wrote %q", text, again)
		}
	})
}
