package report_test

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"salvor/custody"
	"salvor/custody/report"
	"salvor/custody/report/layout"
)

// tool skips a test on a machine that lacks a program that looks at PDFs.
func tool(t *testing.T, name, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is missing (Debian: %s)", name, pkg)
	}
}

// run is the output of a program.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, errs.String())
	}
	return string(out)
}

func saved(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "paper.pdf")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var all = flag.Bool("all", false, "look at every paper in every language with the programs that read PDFs; without it each in one")

// somePapers runs a test on every paper, in one language each unless -all asks for more.
func somePapers(t *testing.T, test func(t *testing.T, name string, p report.Paper)) {
	names := slices.Sorted(maps.Keys(papers(custody.Dutch)))
	for i, l := range report.Languages() {
		of := papers(l)
		for k, name := range names {
			if *all || k%4 == i {
				t.Run(name+"/"+string(l), func(t *testing.T) { test(t, name, of[name]) })
			}
		}
	}
}

// everyPaper runs a test on every paper in every language.
func everyPaper(t *testing.T, test func(t *testing.T, name string, p report.Paper)) {
	for _, l := range report.Languages() {
		for name, p := range papers(l) {
			t.Run(name+"/"+string(l), func(t *testing.T) { test(t, name, p) })
		}
	}
}

// The sums of all PDFs stand in one file: the same facts under the same clock give the
// same bytes, today and on every machine.
func TestEveryPDFIsTheSameByteForByte(t *testing.T) {
	var sums strings.Builder
	for _, l := range report.Languages() {
		of := papers(l)
		for _, name := range slices.Sorted(maps.Keys(of)) {
			first := rendered(t, of[name], custody.FormatPDF)
			second := first
			if l == custody.Dutch {
				second = rendered(t, papers(l)[name], custody.FormatPDF)
			}
			if first != second {
				t.Errorf("%s.%s differs from one time to the next", name, l)
			}
			fmt.Fprintf(&sums, "%x  %s.%s.pdf\n", sha256.Sum256([]byte(first)), name, l)
			page := rendered(t, of[name], custody.FormatHTML)
			fmt.Fprintf(&sums, "%x  %s.%s.html\n", sha256.Sum256([]byte(page)), name, l)
		}
		for _, size := range []string{"62x29", "62x40", "100x50"} {
			s, err := layout.ParseSize(size)
			if err != nil {
				t.Fatal(err)
			}
			b, err := label(l).Render(custody.FormatPDF, s, day(0, 9, 0))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&sums, "%x  label-%s.%s.pdf\n", sha256.Sum256(b), size, l)
		}
	}
	golden(t, "sums.txt", sums.String())
}

func TestNoTextIsClippedOrOverlapsAnother(t *testing.T) {
	everyPaper(t, func(t *testing.T, _ string, p report.Paper) { inItsPlace(t, p) })
}

// The longest names that are taken, without a space at which they could be broken.
func TestNamesWithoutASpaceStayInTheirPlace(t *testing.T) {
	name := strings.Repeat("W", 200)
	for _, l := range report.Languages() {
		intake, handover, gone := intakePaper(l, report.CopyCustomer), handoverPaper(l, report.CopyShop), destructionPaper(l)
		intake.Shop = report.Shop{Name: name, Address: name, CompanyNumber: name, DPO: name, Phone: name, Email: name}
		intake.Customer.Name, intake.Received = report.Said(name), name
		handover.Customer, handover.Receiver, handover.By = report.Said(name), report.Said(name), name
		gone.PerformedBy, gone.Witness = name, name
		for _, p := range []report.Paper{intake, handover, gone} {
			inItsPlace(t, p)
		}
	}
}

// inItsPlace checks that every text of a paper's PDF lies on its page, and on no other.
func inItsPlace(t *testing.T, p report.Paper) {
	t.Helper()
	d, err := report.DocumentOf(p)
	if err != nil {
		t.Fatal(err)
	}
	boxes, err := d.Boxes()
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range boxes {
		if a.X < 14.9 || a.X+a.W > 195.2 || a.Y < 10 || a.Y+a.H > 289 {
			t.Errorf("page %d: %q stands outside of the page: %.1f to %.1f, %.1f to %.1f", a.Page, a.Text, a.X, a.X+a.W, a.Y, a.Y+a.H)
		}
		for _, b := range boxes[i+1:] {
			if a.Page == b.Page && a.X+a.W > b.X+0.05 && b.X+b.W > a.X+0.05 && a.Y+a.H > b.Y+0.05 && b.Y+b.H > a.Y+0.05 {
				t.Errorf("page %d: %q overlaps %q", a.Page, a.Text, b.Text)
			}
		}
	}
}

// squeeze leaves out what a program may put in or leave out between words.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '\f' {
			return -1
		}
		return r
	}, s)
}

func TestPDFTextIsWhatWasPrinted(t *testing.T) {
	tool(t, "pdftotext", "poppler-utils")
	somePapers(t, func(t *testing.T, _ string, p report.Paper) {
		d, err := report.DocumentOf(p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := d.PDF(nil, "salvor", "")
		if err != nil {
			t.Fatal(err)
		}
		boxes, err := d.Boxes()
		if err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for _, x := range boxes {
			want.WriteString(x.Text)
		}
		got := run(t, "pdftotext", "-raw", saved(t, string(b)), "-")
		if w, g := sortedWords(want.String()), sortedWords(got); w != g {
			t.Errorf("printed and read text differ:\n%s\n%s", w, g)
		}
	})
}

// sortedWords counts the letters of a text: pdftotext orders lines by their place,
// which is not the order in which a table was printed.
func sortedWords(s string) string {
	letters := map[rune]int{}
	for _, r := range squeeze(s) {
		letters[r]++
	}
	var counts []string
	for r, n := range letters {
		counts = append(counts, fmt.Sprintf("%c%d", r, n))
	}
	slices.Sort(counts)
	return strings.Join(counts, " ")
}

func TestEveryFontIsEmbeddedAndTheFileIsSound(t *testing.T) {
	tool(t, "pdffonts", "poppler-utils")
	tool(t, "qpdf", "qpdf")
	somePapers(t, func(t *testing.T, _ string, p report.Paper) {
		path := saved(t, rendered(t, p, custody.FormatPDF))
		fonts := strings.Split(strings.TrimSpace(run(t, "pdffonts", path)), "\n")[2:]
		if len(fonts) == 0 {
			t.Error("no font")
		}
		for _, f := range fonts {
			fields := strings.Fields(f)
			if n := len(fields); n < 5 || fields[n-5] != "yes" || fields[n-3] != "yes" {
				t.Errorf("not embedded, or its text cannot be read: %s", f)
			}
		}
		if out := run(t, "qpdf", "--check", path); !strings.Contains(out, "No syntax or stream encoding errors found") {
			t.Error(out)
		}
	})
}

func TestQRCodesAreReadFromA150DPIPrint(t *testing.T) {
	tool(t, "pdftoppm", "poppler-utils")
	tool(t, "zbarimg", "zbar-tools")
	read := func(t *testing.T, pdf string, how ...string) string {
		path := saved(t, pdf)
		run(t, "pdftoppm", append(how, "-gray", "-png", path, path)...)
		pages, err := filepath.Glob(path + "*.png")
		if err != nil || len(pages) == 0 {
			t.Fatal("no page", err)
		}
		return run(t, "zbarimg", append([]string{"-q"}, pages...)...)
	}
	foot := "QR-Code:" + foot().Checkpoint.QRText() + "\n"
	somePapers(t, func(t *testing.T, name string, p report.Paper) {
		pdf := rendered(t, p, custody.FormatPDF)
		// The right end of the foot of the first page: looking at all of A4 takes seconds.
		if got := read(t, pdf, "-r", "150", "-l", "1", "-x", "900", "-y", "1480", "-W", "340", "-H", "274"); got != foot {
			t.Errorf("read %q", got)
		}
		if name == "intake-customer" {
			if got := read(t, pdf, "-r", "150", "-f", "2"); !strings.Contains(got, "QR-Code:salvor:B1-2026-0042\n") || !strings.Contains(got, foot) {
				t.Errorf("the receipt's code was not read: %q", got)
			}
		}
	})
	const qr, bars = "QR-Code:salvor:B1-2026-0042/1\n", "CODE-128:B1-2026-0042/1\n"
	for _, c := range []struct{ size, dpi, want string }{
		{"62x29", "150", qr}, {"40x18", "150", qr}, {"62x40", "150", qr}, {"62x40", "300", bars}, {"100x65", "200", bars}, // printers of labels have 203 or 300
	} {
		size, want := c.size, c.want
		t.Run("label "+size, func(t *testing.T) {
			s, err := layout.ParseSize(size)
			if err != nil {
				t.Fatal(err)
			}
			b, err := label(custody.German).Render(custody.FormatPDF, s, day(0, 9, 0))
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, string(b), "-r", c.dpi); !strings.Contains(got, want) {
				t.Errorf("read %q", got)
			}
		})
	}
}

func TestTheOverviewOfThirtyCasesIsOnePage(t *testing.T) {
	for _, l := range report.Languages() {
		d, err := report.DocumentOf(duePaper(l, 30))
		if err != nil {
			t.Fatal(err)
		}
		boxes, err := d.Boxes()
		if err != nil {
			t.Fatal(err)
		}
		if last := boxes[len(boxes)-1].Page; last != 1 {
			t.Errorf("%s: %d pages", l, last)
		}
	}
}

// adobe says in a JPEG that its colours are RGB or CMYK and not YCbCr (APP14).
var adobe = []byte("\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00")

// cmykJPEG makes a grey JPEG of 8 by 8 pixels into one of four colours, as printers like
// them: the frame and the scan name four components, each of which is one flat block.
func cmykJPEG(t *testing.T) []byte {
	t.Helper()
	grey := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range grey.Pix {
		grey.Pix[i] = 128
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, grey, nil); err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(b.Bytes(), []byte("\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00"))
	tables, _, ok2 := bytes.Cut(rest, []byte("\xff\xda"))
	if !ok || !ok2 {
		t.Fatal("the encoder writes its frame otherwise")
	}
	return slices.Concat(head[:2], adobe, head[2:],
		[]byte("\xff\xc0\x00\x14\x08\x00\x08\x00\x08\x04\x01\x11\x00\x02\x11\x00\x03\x11\x00\x04\x11\x00"), tables,
		[]byte("\xff\xda\x00\x0e\x04\x01\x00\x02\x00\x03\x00\x04\x00\x00\x3f\x00"), []byte("\x28\xa2\x8a\xff\xd9"))
}

func TestALogoIsShownOrRefused(t *testing.T) {
	mark := image.NewNRGBA(image.Rect(0, 0, 300, 80))
	for x := range 300 {
		for y := range 80 {
			mark.SetNRGBA(x, y, color.NRGBA{uint8(x), uint8(y), 128, uint8(x / 2)})
		}
	}
	var asPNG, asJPEG bytes.Buffer
	if err := png.Encode(&asPNG, mark); err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(&asJPEG, mark, nil); err != nil {
		t.Fatal(err)
	}
	plain := rendered(t, custodyPaper(custody.Dutch), custody.FormatPDF)
	for name, logo := range map[string][]byte{"png": asPNG.Bytes(), "jpeg": asJPEG.Bytes()} {
		p := custodyPaper(custody.Dutch)
		p.Shop.Logo = logo
		with := rendered(t, p, custody.FormatPDF)
		if !strings.Contains(with, "/Subtype /Image") || strings.Contains(plain, "/Subtype /Image") {
			t.Errorf("%s: no picture in the PDF", name)
		}
		if !strings.Contains(rendered(t, p, custody.FormatHTML), "data:image/"+name+";base64,") {
			t.Errorf("%s: no picture in the HTML", name)
		}
		if rendered(t, p, custody.FormatJSON) != rendered(t, custodyPaper(custody.Dutch), custody.FormatJSON) {
			t.Error("a logo changes the data")
		}
	}
	// Colours that a PDF does not show, or not everybody alike, go into it as a PNG.
	for name, logo := range map[string][]byte{"rgb": slices.Concat(asJPEG.Bytes()[:2], adobe, asJPEG.Bytes()[2:]), "cmyk": cmykJPEG(t)} {
		p := custodyPaper(custody.Dutch)
		p.Shop.Logo = logo
		if pdf := rendered(t, p, custody.FormatPDF); !strings.Contains(pdf, "/DeviceRGB") || strings.Contains(pdf, "/DeviceCMYK") {
			t.Errorf("%s: not in the colours of a screen", name)
		}
		if !strings.Contains(rendered(t, p, custody.FormatHTML), "data:image/png;base64,") {
			t.Errorf("%s: not written anew", name)
		}
	}
	for name, logo := range map[string][]byte{
		"text": []byte("GIF89a nothing"), "cut": asPNG.Bytes()[:200], "large": make([]byte, 5<<20),
	} {
		p := custodyPaper(custody.Dutch)
		p.Shop.Logo = logo
		for _, f := range []custody.PaperFormat{custody.FormatPDF, custody.FormatHTML} {
			if _, err := report.Render(p, f); err == nil {
				t.Errorf("%s: accepted in %s", name, f)
			}
		}
		if err := layout.CheckLogo(logo); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLettersThatTheFontsLackAreNamed(t *testing.T) {
	p := custodyPaper(custody.English)
	p.Customer = report.Said("王小明 Łódź Ağ Ελ Дмит שלום e\u0301")
	d, err := report.DocumentOf(p)
	if err != nil {
		t.Fatal(err)
	}
	boxes, err := d.Boxes()
	if err != nil {
		t.Fatal(err)
	}
	var printed string
	for _, b := range boxes {
		printed += b.Text + "\n"
	}
	for _, want := range []string{"<U+738B><U+5C0F><U+660E> Łódź Ağ Ελ Дмит", "Unicode numbers: <U+738B> <U+5C0F> <U+660E> <U+05E9>", "é"} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is not on the paper", want)
		}
	}
	if text := rendered(t, p, custody.FormatText); !strings.Contains(text, "王小明") {
		t.Error("the text paper needs no font")
	}
}

// The letters of names in the languages of Europe that are written in Latin, Greek and
// Cyrillic letters, each of which must have a shape of its own.
func TestNamesOfEuropePrintLetterByLetter(t *testing.T) {
	for alphabet, letters := range map[string]string{
		"Polish": "ĄĆĘŁŃÓŚŹŻąćęłńóśźż", "Turkish": "ÇĞİIÖŞÜçğıiöşü", "Czech": "ÁČĎÉĚÍŇÓŘŠŤÚŮÝŽáčďéěíňóřšťúůýž",
		"Hungarian": "ÁÉÍÓÖŐÚÜŰáéíóöőúüű", "Romanian": "ĂÂÎȘȚăâîșț", "Baltic": "ĀČĒĢĪĶĻŅŠŪŽāčēģīķļņšūžĖėĮįŲųÕõ",
		"Nordic": "ÅÄÖÆØÐÞåäöæøðþ", "Greek": "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώΐΰϊϋ",
		"Cyrillic":         "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдеёжзийклмнопрстуфхцчшщъыьэюяҐґЄєІіЇїЎўЂђЈјЉљЊњЋћЏџЃѓЌќ",
		"French and Dutch": "ÀÂÇÉÈÊËÎÏÔŒÙÛÜŸàâçéèêëîïôœùûüÿĲĳ", "composed of two": "e\u0301 c\u0327 A\u030a",
	} {
		p := custodyPaper(custody.English)
		p.Customer = report.Said(letters)
		d, err := report.DocumentOf(p)
		if err != nil {
			t.Fatal(err)
		}
		boxes, err := d.Boxes()
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range boxes {
			if strings.Contains(b.Text, "Unicode numbers") {
				t.Errorf("%s: %s", alphabet, b.Text)
			}
		}
	}
}

func TestHTMLRunsNothingAndLoadsNothing(t *testing.T) {
	everyPaper(t, func(t *testing.T, _ string, p report.Paper) {
		page := rendered(t, p, custody.FormatHTML)
		for _, never := range []string{"<script", "javascript:", "http://", "https://", "<link", "@import", "url(http", " onload", "<iframe", "<img src"} {
			if strings.Contains(strings.ToLower(page), never) {
				t.Errorf("holds %q", never)
			}
		}
		if !strings.Contains(page, `content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"`) {
			t.Error("nothing forbids what does not belong there")
		}
	})
	p := custodyPaper(custody.English)
	p.Customer = report.Said(`<script>alert(1)</script>"'&`)
	if page := rendered(t, p, custody.FormatHTML); strings.Contains(page, "<script") || !strings.Contains(page, "&lt;script&gt;") {
		t.Error("a name is not escaped")
	}
}

func TestALabelHoldsNoPerson(t *testing.T) {
	for _, l := range report.Languages() {
		for _, f := range []custody.PaperFormat{custody.FormatText, custody.FormatHTML, custody.FormatJSON} {
			b, err := label(l).Render(f, layout.Size{Width: 62, Height: 29}, day(0, 9, 0))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(b), "B1-2026-0042") || strings.Contains(string(b), "Vandenbroucke") || strings.Contains(string(b), "470") {
				t.Errorf("%s", b)
			}
		}
	}
	no, item, err := report.ParseLabel(label(custody.Dutch).QRText())
	if err != nil || no != "B1-2026-0042" || item != "1" {
		t.Errorf("%s %s %v", no, item, err)
	}
	for _, typed := range []string{"B1-2026-0042/1", "b1-2026-0042/1", "SALVOR:B1-2026-0042/1", " B1-2O26-OO42/1\n"} {
		if no, item, err := report.ParseLabel(typed); err != nil || no != "B1-2026-0042" || item != "1" {
			t.Errorf("%q: %s %s %v", typed, no, item, err)
		}
	}
	if no, item, err := report.ParseLabel("b1-2o26-oo4l"); err != nil || no != "B1-2026-0041" || item != "" {
		t.Errorf("%s %s %v", no, item, err)
	}
	for _, bad := range []string{"", "salvor:", "BI-2O26-A042", "B12026-0042", "salvor:B1-2026-0042/", "salvor:B1-2026-0042/0", "salvor:B1-2026-0042/x", "B1-2026-42/1", "SALVOR:CODE/1/AAAA"} {
		if _, _, err := report.ParseLabel(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestCheckCharacterFindsEveryWrongLetterAndNearlyEveryExchange(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	number := "B120260042" + "1"
	want := report.CheckCharacter(number)
	for i := range number {
		for _, r := range alphabet {
			wrong := number[:i] + string(r) + number[i+1:]
			if wrong != number && report.CheckCharacter(wrong) == want {
				t.Errorf("%s is not told from %s", wrong, number)
			}
		}
	}
	if report.CheckCharacter("B1-2026-0042/1") != want {
		t.Error("separators count")
	}
	// The example of the standard: ISO/IEC 7064 MOD 37,36 of A12425GABC1234002 is M.
	if got := report.CheckCharacter("A12425GABC1234002"); got != 'M' {
		t.Errorf("check character %c", got)
	}
}

func TestCodesAreReadHoweverTheyAreWritten(t *testing.T) {
	code := code("x", 10_417)
	at := report.Checkpoint{Station: "NAS", Size: 10_417, Code: code}
	whole, err := report.ParseCode(at.QRText())
	if err != nil || whole.Station != "NAS" || whole.Size != 10_417 || !report.SameCode(whole.Code, code) {
		t.Errorf("%+v %v", whole, err)
	}
	at.Station = ""
	if got, err := report.ParseCode(at.QRText()); err != nil || got.Station != "" || got.Size != 10_417 {
		t.Errorf("without a station: %+v %v", got, err)
	}
	for _, written := range []string{code, strings.ToUpper(code), strings.NewReplacer("0", "O", "1", "l").Replace(code), strings.NewReplacer("0", "o", "1", "I").Replace(code), strings.ReplaceAll(code, "-", " "), strings.ReplaceAll(code, "-", "")} {
		if got, err := report.ParseCode(written); err != nil || got != (report.Checkpoint{Code: whole.Code}) {
			t.Errorf("%q: %+v %v", written, got, err)
		}
	}
	for _, bad := range []string{
		"", "AAAA", code + "A", "SALVOR:CODE/x/" + whole.Code, "SALVOR:CODE/-1/" + whole.Code, "SALVOR:CODE/" + whole.Code,
		"SALVOR:CODE/no-station/3/" + whole.Code, strings.Replace(code, code[:1], "é", 1),
	} {
		if _, err := report.ParseCode(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}
