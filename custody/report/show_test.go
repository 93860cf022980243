package report_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"salvor/custody"
	"salvor/custody/report"
	"salvor/custody/report/layout"
)

var show = flag.String("show", "", "write every paper in every language and format into this directory, to be looked at")

func TestShow(t *testing.T) {
	if *show == "" {
		t.Skip("-show DIR writes the papers to look at")
	}
	for _, l := range report.Languages() {
		for _, text := range []string{"62x29", "62x40", "100x50", "40x18"} {
			size, err := layout.ParseSize(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []custody.PaperFormat{custody.FormatPDF, custody.FormatHTML, custody.FormatText} {
				b, err := label(l).Render(f, size, day(0, 9, 0))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(*show, "label-"+text+"."+string(l)+"."+string(f)), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		for name, p := range papers(l) {
			for _, f := range []custody.PaperFormat{custody.FormatPDF, custody.FormatHTML, custody.FormatText} {
				path := filepath.Join(*show, name+"."+string(l)+"."+string(f))
				if err := os.WriteFile(path, []byte(rendered(t, p, f)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
