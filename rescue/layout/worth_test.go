package layout

import (
	"slices"
	"testing"
)

func TestFilesAreWorthWhatTheirPathSays(t *testing.T) {
	for _, c := range []struct {
		family family
		path   string
		want   Tier
	}{
		{windows, "pagefile.sys", T4},
		{windows, "Users/anna/Pictures/pagefile.sys", T2},
		{windows, "Users/Anna/AppData/Local/Temp/x.tmp", T4},
		{windows, "Users/Anna/AppData/Roaming/Thunderbird/mail", T2},
		{windows, "Windows/System32/ntdll.dll", T3},
		{windows, "Windowsill/photo.jpg", T2},
		{windows, "Dokumente/Brief.docx", T2},
		{windows, "Program Files (x86)/x", T3},
		{unix, "home/anna/.cache/thumb", T4},
		{unix, "home/anna/mail", T2},
		{unix, "usr/bin/ls", T3},
		{unix, "var/lib/mysql/db", T3},
		{unix, "var/mail/anna", T2},
		{unix, "swapfile", T4},
		{mac, "Users/anna/Library/Caches/x", T4},
		{mac, "Users/anna/Library/Mail/x", T2},
		{mac, "System/Library/x", T3},
	} {
		if got := c.family.worth(c.path); got != c.want {
			t.Errorf("%s: T%d, want T%d", c.path, got, c.want)
		}
	}
}

func TestNamedFoldersComeFirst(t *testing.T) {
	path, want := makeNTFS(t, 32, 4096)
	v := &image{data: load(t, path)}
	var inside int64
	for name, p := range want {
		if len(p) > 1000 && len(name) > 24 && name[:24] == "Users/anna/Pictures/3/ph" {
			inside += (int64(len(p)) + 4095) / 4096 * 4096
		}
	}
	for _, spelling := range []string{"/Users/Anna/Pictures/3", `C:\users\anna\pictures\3\`, "users/anna/pictures/3"} {
		l := scanned(t, v, Options{First: []string{spelling}})
		var n int64
		for i, e := range l.First {
			n += e.Len
			if i > 0 && e.First < l.First[i-1].End() {
				t.Fatalf("out of order: %v", l.First)
			}
		}
		if n != inside || inside == 0 {
			t.Errorf("%s: %d bytes first, want %d", spelling, n, inside)
		}
	}
	l := scanned(t, v, Options{})
	sum := tally(l.Regions)
	if page := int64(len(want["pagefile.sys"])); sum[T4] < page || sum[T4] > page+8192 || sum[T2] < 4<<20 || len(l.First) != 0 {
		t.Errorf("tiers %v, page file %d", sum, page)
	}
}

func TestSetStaysSmall(t *testing.T) {
	s := set{limit: 100}
	for i := range int64(200000) {
		s.add(Extent{(i * 7919 % 200000) * 1000, 300})
	}
	list := s.extents()
	if len(list) > 100 {
		t.Fatalf("%d extents", len(list))
	}
	for i := range int64(200000) {
		at := i * 1000
		k, ok := slices.BinarySearchFunc(list, at, func(e Extent, at int64) int {
			if e.End() <= at {
				return -1
			} else if e.First > at {
				return 1
			}
			return 0
		})
		if !ok || list[k].End() < at+300 {
			t.Fatalf("byte %d is lost", at)
		}
	}
}
