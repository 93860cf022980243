package layout

import "testing"

func TestALineOfALabelKeepsItsTwoHalvesApart(t *testing.T) {
	l := Label{
		Title: "Label", Big: "1", Number: "B1-2026-0042", Check: "Prüfzeichen C", QR: "salvor:B1-2026-0042/1", Bars: "B1-2026-0042/1",
		Lines: []Field{{Label: "Art", Value: "Abbilddatei, wie empfangen, mit allem, was dazugehört"}, {Label: "Erase by", Value: "2027-01-18"}},
	}
	for _, text := range []string{"40x18", "62x29", "210x297"} {
		size, err := ParseSize(text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.print("", size)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range p.drawn {
			if a.X < 0 || a.X+a.W > size.Width+0.05 {
				t.Errorf("%s: %q is cut off", text, a.Text)
			}
			for _, b := range p.drawn[i+1:] {
				if a.X+a.W > b.X && b.X+b.W > a.X && a.Y+a.H > b.Y+0.3 && b.Y+b.H > a.Y+0.3 {
					t.Errorf("%s: %q overlaps %q", text, a.Text, b.Text)
				}
			}
		}
	}
}
