package report_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"salvor/custody"
	"salvor/custody/report"
	"salvor/custody/report/layout"
)

// wordsIn collects every word of a document's own texts.
func wordsIn(v reflect.Value, words map[string]bool) {
	switch v.Kind() {
	case reflect.String:
		for _, w := range strings.FieldsFunc(v.String(), unicode.IsSpace) {
			words[strings.ReplaceAll(w, layout.SoftHyphen, "")] = true
			for i := range strings.Count(w, layout.SoftHyphen) { // what stands behind a hyphen
				words[strings.ReplaceAll(strings.SplitN(w, layout.SoftHyphen, i+2)[i+1], layout.SoftHyphen, "")] = true
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			wordsIn(v.Index(i), words)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			wordsIn(v.Field(i), words)
		}
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			wordsIn(v.Elem(), words)
		}
	}
}

// A word that is broken where a line ends has a hyphen there, or breaks behind a sign. Only
// codes, whose every character counts, and names that are longer than a line are cut.
func TestNoWordIsBrokenWithoutAHyphen(t *testing.T) {
	everyPaper(t, func(t *testing.T, _ string, p report.Paper) {
		d, err := report.DocumentOf(p)
		if err != nil {
			t.Fatal(err)
		}
		words := map[string]bool{}
		wordsIn(reflect.ValueOf(d), words)
		wordsIn(reflect.ValueOf([]string{d.Foot.Page(1, 2), d.Foot.Lacks("")}), words)
		look := func(where, line string) {
			for _, w := range strings.FieldsFunc(line, unicode.IsSpace) {
				w = strings.TrimRight(w, ":…")
				letters := strings.IndexFunc(w, func(r rune) bool { return !unicode.IsLetter(r) }) < 0
				if letters && !words[w] && !words[w+":"] {
					t.Errorf("%s: %q is a piece of a word in %q", where, w, line)
				}
			}
		}
		boxes, err := d.Boxes()
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range boxes {
			if len(b.Text) > 1 { // the letters of a list
				look("PDF", b.Text)
			}
		}
		for line := range strings.SplitSeq(strings.Replace(rendered(t, p, custody.FormatText), strings.ToUpper(d.Title), "", 1), "\n") {
			look("text", line)
		}
	})
}

// A column can be narrow: no part of a word at its head may be longer than what fits
// there.
func TestLongWordsAtTheHeadOfAColumnCanBeBroken(t *testing.T) {
	everyPaper(t, func(t *testing.T, _ string, p report.Paper) {
		d, err := report.DocumentOf(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range d.Blocks {
			table, ok := b.(layout.Table)
			if !ok {
				continue
			}
			for _, c := range table.Columns {
				for _, part := range strings.FieldsFunc(c.Title, func(r rune) bool { return !unicode.IsLetter(r) }) {
					if utf8.RuneCountInString(part) > 15 {
						t.Errorf("%q cannot be broken: see locale/breaks.txt", part)
					}
				}
			}
		}
	})
}
