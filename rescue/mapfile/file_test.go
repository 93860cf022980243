package mapfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// canonical is the form in which ddrescue writes its lines.
var canonical = struct{ position, block *regexp.Regexp }{
	regexp.MustCompile(`^0x([0-9A-F]{8}|[1-9A-F][0-9A-F]{8,})     [?*/\-FG+](               [1-9][0-9]*)?$`),
	regexp.MustCompile(`^0x([0-9A-F]{8}|[1-9A-F][0-9A-F]{8,})  0x([0-9A-F]{8}|[1-9A-F][0-9A-F]{8,})  [?*/\-+]$`),
}

// isCanonical says whether ddrescue might have written b: its line forms, no
// comments among the blocks, and no two neighbours of one status.
func isCanonical(b []byte) bool {
	if !bytes.HasSuffix(b, []byte("\n")) {
		return false
	}
	stage, last, first := 0, byte(0), true
	for line := range bytes.Lines(b) {
		if bytes.HasSuffix(line, []byte("\r\n")) {
			return false
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		switch t := bytes.TrimSpace(line); {
		case len(t) == 0 || t[0] == '#':
			if stage == 2 {
				return false
			}
		case stage == 0:
			if !canonical.position.Match(line) {
				return false
			}
			stage = 1
		default:
			if !canonical.block.Match(line) || line[len(line)-1] == last {
				return false
			}
			// Blocks that begin with untried bytes behind a start are joined with what is before.
			stage, last = 2, line[len(line)-1]
		}
		first = false
	}
	return !first
}

func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*.map")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, s := range seeds {
		b, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("0 ?\n0 0x100 +\n0x100 010 -\n# x\n0x108 8 /\n"))
	f.Add([]byte("0x100 * 2\r\n0x100 0x100 ?"))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Parse(bytes.NewReader(in))
		if err != nil {
			var pe *ParseError
			if !errors.As(err, &pe) || pe.Line < 1 {
				t.Fatalf("an error that names no line: %v", err)
			}
			return
		}
		var out bytes.Buffer
		n, err := m.WriteTo(&out)
		if err != nil || n != int64(out.Len()) {
			t.Fatalf("WriteTo: %d of %d, %v", n, out.Len(), err)
		}
		if isCanonical(in) && !bytes.Equal(in, out.Bytes()) {
			t.Fatalf("byte-exact round trip:\n%q\n%q", in, out.Bytes())
		}
		again, err := Parse(bytes.NewReader(out.Bytes()))
		if err != nil {
			t.Fatalf("our own file: %v\n%s", err, out.Bytes())
		}
		if diff := cmp.Diff(slices.Collect(m.Blocks.All()), slices.Collect(again.Blocks.All())); diff != "" {
			t.Fatal(diff)
		}
		var twice bytes.Buffer
		if _, err := again.WriteTo(&twice); err != nil || !bytes.Equal(out.Bytes(), twice.Bytes()) {
			t.Fatalf("written again it differs: %v\n%q\n%q", err, out.Bytes(), twice.Bytes())
		}
		// Any sector size gives a map, never a panic, and never more than was rescued.
		for _, sector := range []int{1, 512, 4096} {
			s, err := m.Sectors(sector, m.Blocks.Sectors())
			if err != nil {
				t.Fatal(err)
			}
			have := s.Totals().Sectors(Rescued) * int64(sector)
			if have > m.Blocks.Totals().Sectors(Rescued)+int64(sector) {
				t.Fatalf("%d bytes rescued in sectors, %d in the file", have, m.Blocks.Totals().Sectors(Rescued))
			}
		}
	})
}

func TestDdrescueFilesComeBackByteForByte(t *testing.T) {
	files, err := filepath.Glob("testdata/*.map")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f, err := Parse(bytes.NewReader(want))
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if _, err := f.WriteTo(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRefusesWhatIsNoMap(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		line     int
		want     error
	}{
		{"nothing", "", 1, ErrSyntax},
		{"comments only", "# a\n# b\n", 3, ErrSyntax},
		{"gap", "0 ? 1\n0 5 +\n6 1 -\n", 3, ErrGap},
		{"overlap", "0 ? 1\n0 5 +\n4 1 -\n", 3, ErrOverlap},
		{"backwards", "0 ? 1\n8 5 +\n0 1 -\n", 3, ErrOverlap},
		{"empty block", "0 ? 1\n0 0 +\n", 2, ErrSize},
		{"too large", "0 ? 1\n0 0x3FFFFFFFFFFFFFFF +\n", 2, ErrSize},
		{"number too large", "0 ? 1\n0 0xFFFFFFFFFFFFFFFFF +\n", 2, ErrSyntax},
		{"negative", "0 ? 1\n-1 5 +\n", 2, ErrSyntax},
		{"not octal", "0 ? 1\n0 08 +\n", 2, ErrSyntax},
		{"only 0x", "0 ? 1\n0 0x +\n", 2, ErrSyntax},
		{"underscore", "0 ? 1\n0 1_0 +\n", 2, ErrSyntax},
		{"status", "0 ? 1\n0 5 x\n", 2, ErrSyntax},
		{"status line", "0 x 1\n", 1, ErrSyntax},
		{"pass", "0 ? 0\n", 1, ErrSyntax},
		{"fields", "0 ? 1\n0 5\n", 2, ErrSyntax},
		{"long line", "# " + strings.Repeat("x", maxLine) + "\n0 ? 1\n", 1, ErrSyntax},
		{"binary", "\x7fELF\x00\x01", 1, ErrSyntax},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(tc.in))
			var pe *ParseError
			if !errors.As(err, &pe) || pe.Line != tc.line || !errors.Is(err, tc.want) {
				t.Errorf("got %v, want line %d: %v", err, tc.line, tc.want)
			}
		})
	}
}

func TestParseReadsAnyCInteger(t *testing.T) {
	f, err := Parse(strings.NewReader("# by hand\n\n0X10 / 2\n0 0x10 +\n16 020 -\n# among them\n\t32   0xa0 -  \r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Run{{0, 16, Rescued}, {16, 176, Bad}}
	if diff := cmp.Diff(want, slices.Collect(f.Blocks.All())); diff != "" {
		t.Error(diff)
	}
	if f.Pos != 16 || f.Status != '/' || f.Pass != 2 {
		t.Errorf("position %d %c %d", f.Pos, f.Status, f.Pass)
	}
}

// TestPartlyRescuedSectorIsNotRescued compares the conversion with one status per byte.
func TestPartlyRescuedSectorIsNotRescued(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 200).Draw(t, "bytes")
		sector := rapid.IntRange(1, 40).Draw(t, "sector")
		blocks := New(size)
		for range rapid.IntRange(0, 30).Draw(t, "sets") {
			first := rapid.Int64Range(0, size-1).Draw(t, "first")
			n := rapid.Int64Range(1, size-first).Draw(t, "n")
			blocks.Set(first, n, Status(statuses[rapid.IntRange(0, 4).Draw(t, "status")]))
		}
		m, err := (&File{Blocks: blocks}).Sectors(sector, size)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Sectors() {
			want := Rescued
			for at := i * int64(sector); at < min((i+1)*int64(sector), size); at++ {
				want = worse(want, blocks.Get(at).Status)
			}
			if got := m.Get(i).Status; got != want {
				t.Fatalf("sector %d is %v, its bytes at worst %v", i, got, want)
			}
		}
		if _, err := (&File{Blocks: blocks}).Sectors(sector, size+1); !errors.Is(err, ErrSize) {
			t.Fatalf("a source of another size: %v", err)
		}
	})
}

func TestFromMapEndsWhereTheSourceEnds(t *testing.T) {
	m := New(4)
	m.Set(0, 2, Rescued)
	m.Set(3, 1, Bad)
	f, err := FromMap(m, 512, 3*512+100, "Mapfile. Created by a test")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := f.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	want := `# Mapfile. Created by a test
# current_pos  current_status  current_pass
0x00000400     ?               1
#      pos        size  status
0x00000000  0x00000400  +
0x00000400  0x00000200  ?
0x00000600  0x00000064  -
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if !isCanonical(out.Bytes()) {
		t.Error("not as ddrescue writes it")
	}
	back, err := f.Sectors(512, 3*512+100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Collect(m.All()), slices.Collect(back.All())); diff != "" {
		t.Error(diff)
	}
	if _, err := FromMap(m, 512, 5*512); !errors.Is(err, ErrSize) {
		t.Errorf("a source of another size: %v", err)
	}
}

// TestDdrescueReadsOurFile lets ddrescuelog, where it is installed, count what we wrote.
func TestDdrescueReadsOurFile(t *testing.T) {
	tool, err := exec.LookPath("ddrescuelog")
	if err != nil {
		t.Skip("ddrescuelog is not installed")
	}
	m := New(5000)
	for i := range int64(1000) {
		m.Set(i*5, 1+i%5, Status(statuses[i%5]))
	}
	f, err := FromMap(m, 512, 5000*512-300, "Mapfile. Created by a test")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m")
	var out bytes.Buffer
	if _, err := f.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	shown, err := exec.Command(tool, "-t", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ddrescuelog: %v\n%s", err, shown)
	}
	for name, s := range map[string]Status{
		"non-tried": Untried, "rescued": Rescued, "non-trimmed": NonTrimmed, "non-scraped": NonScraped, "bad-sector": Bad,
	} {
		areas := regexp.MustCompile(name + `:.*in +(\d+) area`).FindSubmatch(shown)
		if areas == nil || string(areas[1]) != fmt.Sprint(f.Blocks.Totals().Runs(s)) {
			t.Errorf("%s: we have %d areas, ddrescuelog says\n%s", name, f.Blocks.Totals().Runs(s), shown)
		}
	}
	// What ddrescuelog writes from it, we read, and it is the same.
	bad, err := exec.Command(tool, "--change-types=?,?", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(bytes.NewReader(bad))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Collect(f.Blocks.All()), slices.Collect(again.Blocks.All())); diff != "" {
		t.Error(diff)
	}
	if !isCanonical(bad) {
		t.Errorf("what ddrescuelog writes is not what we take for its form:\n%s", bad[:min(len(bad), 400)])
	}
}
