package report_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/custody"
	"salvor/custody/report"
)

// pagesOf is how many pages the PDF of a paper has.
func pagesOf(t *testing.T, p report.Paper) int {
	t.Helper()
	d, err := report.DocumentOf(p)
	if err != nil {
		t.Fatal(err)
	}
	boxes, err := d.Boxes()
	if err != nil {
		t.Fatal(err)
	}
	return boxes[len(boxes)-1].Page
}

// The HTML of a paper begins its pages where the PDF begins them.
func TestHTMLBreaksItsPagesWhereThePDFDoes(t *testing.T) {
	everyPaper(t, func(t *testing.T, _ string, p report.Paper) {
		page := rendered(t, p, custody.FormatHTML)
		// A field that begins a page says so twice, with its label and its value.
		breaks := strings.Count(page, `new">`) - strings.Count(page, `<dd class="new">`) - strings.Count(page, `<dd class="code new">`)
		if pages := pagesOf(t, p); breaks+1 != pages {
			t.Errorf("%d breaks, and %d pages in the PDF", breaks, pages)
		}
	})
}

// TestABrowserPrintsAsManyPagesAsThePDFHas prints the HTML of papers with Chromium:
// the hardest ones, with -all every paper in every language.
func TestABrowserPrintsAsManyPagesAsThePDFHas(t *testing.T) {
	tool(t, "chromium", "chromium")
	tool(t, "pdfinfo", "poppler-utils")
	hardest := map[string]custody.Language{
		"custody-long": custody.English, "intake-customer": custody.German,
	}
	for _, l := range report.Languages() {
		for name, p := range papers(l) {
			if *all || hardest[name] == l {
				t.Run(name+"/"+string(l), func(t *testing.T) {
					t.Parallel()
					if got, want := printedPages(t, rendered(t, p, custody.FormatHTML)), pagesOf(t, p); got != want {
						t.Errorf("%d pages, the PDF has %d", got, want)
					}
				})
			}
		}
	}
}

// printedPages is how many pages Chromium prints a page of the web on.
func printedPages(t *testing.T, page string) (n int) {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "paper.html"), filepath.Join(dir, "paper.pdf")
	if err := os.WriteFile(in, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--no-pdf-header-footer", "--user-data-dir="+filepath.Join(dir, "profile"), "--print-to-pdf="+out, "file://"+in)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("chromium does not start here: %v\n%s", err, said)
	}
	for line := range strings.Lines(run(t, "pdfinfo", out)) {
		if _, err := fmt.Sscanf(line, "Pages: %d", &n); err == nil {
			return n
		}
	}
	t.Fatal("pdfinfo tells no number of pages")
	return 0
}
