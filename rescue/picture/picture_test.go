package picture

import (
	"bytes"
	"image/png"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"salvor/rescue/mapfile"
)

// maps draws a map of any length with runs anywhere.
func maps() *rapid.Generator[*mapfile.Map] {
	return rapid.Custom(func(t *rapid.T) *mapfile.Map {
		n := rapid.OneOf(rapid.Int64Range(0, 300), rapid.Int64Range(0, mapfile.MaxSectors)).Draw(t, "sectors")
		m := mapfile.New(n)
		for range rapid.IntRange(0, 20).Draw(t, "runs") {
			first := rapid.Int64Range(0, n).Draw(t, "first")
			m.Set(first, rapid.Int64Range(0, n-first).Draw(t, "length"), rapid.SampledFrom([]mapfile.Status{'+', '?', '*', '/', '-'}).Draw(t, "status"))
		}
		return m
	})
}

func sum(g Grid) (all Cell) {
	for _, c := range g.Cells {
		all = all.plus(c)
	}
	return all
}

func TestCellsHoldWhatTheMapHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := maps().Draw(t, "map")
		width, height := rapid.IntRange(1, 100).Draw(t, "width"), rapid.IntRange(1, 40).Draw(t, "height")
		g := New(m, width, height)
		totals := m.Totals()
		want := Cell{
			Rescued: totals.Sectors(mapfile.Rescued), Untried: totals.Sectors(mapfile.Untried),
			Failed: totals.Sectors(mapfile.NonTrimmed) + totals.Sectors(mapfile.NonScraped), Bad: totals.Sectors(mapfile.Bad),
		}
		if diff := cmp.Diff(want, sum(g)); diff != "" {
			t.Fatalf("totals (-map +cells):\n%s", diff)
		}
		if diff := cmp.Diff(want, sum(g.Fit(rapid.IntRange(1, 200).Draw(t, "fit")))); diff != "" {
			t.Fatalf("totals of one row (-map +cells):\n%s", diff)
		}
		if len(g.Cells) > width*height || g.Rows() > height {
			t.Fatalf("%d cells in %d rows", len(g.Cells), g.Rows())
		}
		var end int64
		for i, c := range g.Cells {
			n := c.Units()
			if c.First != end || n < 1 || n < g.Cells[len(g.Cells)-1].Units() || n > g.Cells[0].Units() || g.Cells[0].Units()-n > 1 {
				t.Fatalf("cell %d begins at %d, not %d, and has %d units", i, c.First, end, n)
			}
			end += n
			inside := make(map[mapfile.Status]bool)
			for r := range m.Within(c.First, n) {
				inside[r.Status] = true
			}
			bad, failed, untried, rescued := inside['-'], inside['*'] || inside['/'], inside['?'], inside['+']
			ok := false
			switch c.Look() {
			case Rescued:
				ok = !bad && !failed && !untried
			case Partly:
				ok = !bad && !failed && untried && rescued
			case Untried:
				ok = !bad && !failed && !rescued
			case Failed:
				ok = !bad && failed
			case SomeBad, MostlyBad:
				ok = bad
			}
			if !ok {
				t.Fatalf("cell %d with %v looks %v", i, inside, c.Look())
			}
		}
		if end != m.Sectors() {
			t.Fatalf("the cells end at %d of %d", end, m.Sectors())
		}
	})
}

func TestOneBadSectorOnAHugeDiskIsSeen(t *testing.T) {
	m := mapfile.New(4e12 / 512)
	m.Set(0, m.Sectors(), mapfile.Rescued)
	m.Set(m.Sectors()/2+7, 1, mapfile.Bad)
	for name, text := range map[string]string{
		"grid": New(m, 80, 20).Text(false), "one row": New(m, 1024, 1).Fit(60).Text(false), "rich": New(m, 80, 20).Text(true),
	} {
		if strings.Count(text, "b") != 1 {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestTextShowsEachLookInItsPlace(t *testing.T) {
	m := mapfile.New(70)
	m.Set(0, 20, mapfile.Rescued)
	m.Set(30, 10, mapfile.NonTrimmed)
	m.Set(45, 10, mapfile.Bad)
	m.Set(59, 5, mapfile.Rescued)
	m.Set(65, 4, mapfile.Bad)
	if diff := cmp.Diff("++.fBBb", New(m, 7, 1).Text(false)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTextIsAsWideAsItsCells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := New(maps().Draw(t, "map"), rapid.IntRange(1, 100).Draw(t, "width"), rapid.IntRange(1, 10).Draw(t, "height"))
		rich := strings.NewReplacer(reset, "", green, "", grey, "", yellow, "", red, "").Replace(g.Text(true))
		if strings.Contains(rich, "\x1b") {
			t.Fatalf("an escape is left: %q", rich)
		}
		for _, text := range []string{g.Text(false), rich} {
			lines := strings.Split(text, "\n")
			if len(lines) != max(g.Rows(), 1) {
				t.Fatalf("%d lines for %d rows", len(lines), g.Rows())
			}
			for i := range g.Rows() {
				if n := utf8.RuneCountInString(lines[i]); n != len(g.Row(i)) {
					t.Fatalf("row %d has %d columns for %d cells", i, n, len(g.Row(i)))
				}
			}
		}
	})
}

func TestLooksDifferWithoutColour(t *testing.T) {
	seen := make(map[string]Look)
	for _, l := range Looks() {
		// What is left of a cell when every colour is made grey, coarsely.
		var area []byte
		shades := colours()
		for y := range 20 {
			for x := range 20 {
				r, g, b, _ := shades[l.ink(x, y)].RGBA()
				area = append(area, byte((299*r+587*g+114*b)/1000>>8/32))
			}
		}
		for name, key := range map[string]string{"picture": string(area), "letter": string(rune(l.Letter())), "words": l.String()} {
			if other, ok := seen[name+key]; ok {
				t.Errorf("%v and %v have the same %s", l, other, name)
			}
			seen[name+key] = l
		}
	}
}

func TestPNGIsThePictureOfTheGrid(t *testing.T) {
	m := mapfile.New(1000)
	m.Set(0, 500, mapfile.Rescued)
	m.Set(250, 1, mapfile.Bad)
	g := New(m, 64, 8)
	var one, two bytes.Buffer
	if err := g.PNG(&one, "T1-2026-0001/image-01", "1.0 TB"); err != nil {
		t.Fatal(err)
	}
	if err := g.PNG(&two, "T1-2026-0001/image-01", "1.0 TB"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the same grid gives two pictures")
	}
	img, err := png.Decode(&one)
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds().Size(); got.X != 64*cellSide+2*margin || got.Y < 8*cellSide+5*margin {
		t.Errorf("%v", got)
	}
	for i, c := range g.Cells {
		x, y := margin+i%64*cellSide, margin+2*lineStep+i/64*cellSide
		for dy := range cellSide - 1 {
			for dx := range cellSide - 1 {
				if got, want := img.At(x+dx, y+dy), colours()[c.Look().ink(x+dx, y+dy)]; got != want {
					t.Fatalf("cell %d (%v) has the colour %v at %d,%d, not %v", i, c.Look(), got, dx, dy, want)
				}
			}
		}
	}
}

func TestAnEmptyMapHasAPictureToo(t *testing.T) {
	g := New(mapfile.New(0), 10, 10)
	if err := g.PNG(&bytes.Buffer{}); err != nil || g.Text(true) != "" || g.Fit(10).Text(false) != "" {
		t.Errorf("%v %q", err, g.Text(true))
	}
}

func BenchmarkMillionRuns(b *testing.B) {
	m := mapfile.New(4e9)
	for i := range int64(500_000) {
		m.Set(i*8000, 4000, mapfile.Rescued)
	}
	for b.Loop() {
		New(m, 512, 1)
	}
}
