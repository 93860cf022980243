package report_test

import (
	"testing"

	"salvor/custody"
	"salvor/custody/report"
)

func BenchmarkPapers(b *testing.B) {
	for name, p := range map[string]report.Paper{
		"due-1000": duePaper(custody.Dutch, 1000), "custody": custodyPaper(custody.Dutch), "custody-long": custodyLong(custody.Dutch),
	} {
		for _, f := range []custody.PaperFormat{custody.FormatPDF, custody.FormatHTML, custody.FormatText} {
			b.Run(name+"/"+string(f), func(b *testing.B) {
				for b.Loop() {
					rendered(b, p, f)
				}
			})
		}
	}
}
