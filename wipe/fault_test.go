package wipe

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// sectorFault fails every write or read that touches one of the sectors of a file.
func sectorFault(a act, name string, errno error, sectors ...int64) before {
	return func(s step) error {
		if s.act != a || s.name != name {
			return nil
		}
		for _, x := range sectors {
			if x*512 < s.off+int64(s.len) && s.off < (x+1)*512 {
				return errno
			}
		}
		return nil
	}
}

// TestBadSectorsLeaveThemselvesAndNothingElse: k sectors that cannot be written
// leave k sectors, the class is FAILED, and the files stay where they are.
func TestBadSectorsLeaveThemselvesAndNothingElse(t *testing.T) {
	for _, bad := range [][]int64{{0}, {77}, {1, 9000}, {100, 101, 102}, {8191, 8192}} {
		im := plain.put(t, t.TempDir())
		m := &memory{}
		o := options(m)
		o.before = sectorFault(actWrite, "000000.seg", unix.EIO, bad...)
		e, err := Run(t.Context(), im.target, im.plan(t), o)
		mustBe(t, err, ErrNotErased)
		i := slices.IndexFunc(e.Files, func(f FileEvidence) bool { return f.Name == "000000.seg" })
		f := e.Files[i]
		unit := int64(512)
		if f.Facts.Unwritten%unit != 0 || f.Facts.Unwritten != unit*int64(len(bad)) {
			t.Errorf("%v: %d bytes unwritten, want %d", bad, f.Facts.Unwritten, unit*int64(len(bad)))
		}
		if f.Facts.Different < 500*int64(len(bad)) || f.Facts.Different > unit*int64(len(bad)) {
			t.Errorf("%v: %d bytes differ", bad, f.Facts.Different)
		}
		if c := Classify(e); c.Media != MediaFailed || !im.exists(testDir+"/000000.seg") {
			t.Errorf("%v: %s", bad, c.Media)
		}
		// The sector was remapped since: the next run ends it.
		e, err = Run(t.Context(), im.target, m.last(t), options(m))
		check(t, err)
		if c := Classify(e); c.Media == MediaFailed {
			t.Errorf("%v: still FAILED: %q", bad, c.Reasons)
		}
	}
}

// TestFaultsOfTheStorage: the errno stays in the chain, nothing is claimed, the
// job can be run again.
func TestFaultsOfTheStorage(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault before
		is    []error
		stage Stage
		held  bool // not even UnlinkFailed goes on
	}{
		{"no space for content", sectorFault(actWrite, "000001.seg", unix.ENOSPC, 0), []error{ErrNoSpace, unix.ENOSPC}, Overwrite, false},
		{"no space for a key", sectorFault(actWrite, "0002.age", unix.ENOSPC, 0), []error{ErrNoSpace, unix.ENOSPC}, Planned, false},
		{"quota", sectorFault(actWrite, "000001.seg", unix.EDQUOT, 0), []error{ErrNoSpace, unix.EDQUOT}, Overwrite, false},
		{"a key cannot be written", sectorFault(actWrite, "0001.age", unix.EIO, 0), []error{ErrNotErased}, Overwrite, false},
		{"a key cannot be read back", sectorFault(actRead, "0001.age", unix.EIO, 0), []error{ErrNotErased}, Overwrite, false},
		{"content cannot be read back", sectorFault(actRead, "000000.seg", unix.EIO, 3), []error{ErrNotErased}, Overwrite, false},
		{"remounted read-only", sectorFault(actWrite, "000000.seg", unix.EROFS, 0), []error{ErrReadOnly, unix.EROFS}, Overwrite, true},
		{"device gone", sectorFault(actWrite, "000000.seg", unix.ENODEV, 0), []error{ErrVanished, unix.ENODEV}, Overwrite, true},
		{"server gone", sectorFault(actRead, "000000.seg", unix.ESTALE, 0), []error{ErrVanished, unix.ESTALE}, Overwrite, true},
		{"vault vanishes between two files", onlyFor(actOpen, "000001.seg", unix.ENOTCONN), []error{ErrVanished, unix.ENOTCONN}, Overwrite, true},
		{"flush fails", onlyFor(actSync, "000000.seg", unix.EIO), []error{unix.EIO}, Overwrite, false},
		{"flush of a key fails", onlyFor(actSync, "0001.age", unix.EIO), []error{unix.EIO}, Planned, false},
		{"flush of the directory fails", onlyFor(actSyncDir, "", unix.EIO), []error{unix.EIO}, Planned, true},
		{"rename fails", onlyFor(actRename, "000000.seg", unix.EIO), []error{unix.EIO}, Verified, true},
		{"truncate fails", onlyFor(actTruncate, "000000.seg", unix.EIO), []error{unix.EIO}, Verified, true},
		{"unlink fails", onlyFor(actUnlink, "000000.seg", unix.EROFS), []error{ErrReadOnly}, Verified, true},
		{"directory cannot be removed", onlyFor(actRmdir, "", unix.EIO), []error{unix.EIO}, Verified, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := plain.put(t, t.TempDir())
			m := &memory{}
			o := options(m)
			o.before = c.fault
			e, err := Run(t.Context(), im.target, im.plan(t), o)
			for _, want := range c.is {
				mustBe(t, err, want)
			}
			if e.Stage != c.stage {
				t.Errorf("stage %s, want %s", e.Stage, c.stage)
			}
			if got := Classify(e); c.stage != Verified && got.Media != MediaFailed {
				t.Errorf("an unfinished erase is called %s", got.Media)
			}
			if strings.Contains(c.name, "key") && Classify(e).Key == KeyComplete {
				t.Error("CE-COMPLETE with a key that was not erased")
			}

			// Told to go on at any price, it ends as FAILED, and only then.
			if !c.held {
				again := options(&memory{})
				again.before, again.UnlinkFailed = c.fault, true
				e, err := Run(t.Context(), im.target, m.last(t), again)
				check(t, err)
				got := Classify(e)
				if strings.Contains(c.name, "key") {
					if got.Key == KeyComplete || !slices.Contains(got.Reasons, BecauseKeyFailed) {
						t.Errorf("%s because of %q", got.Key, got.Reasons)
					}
				} else if got.Media != MediaFailed {
					t.Errorf("%s because of %q", got.Media, got.Reasons)
				}
				return
			}
			// The fault is gone: the next run ends it.
			e, err = Run(t.Context(), im.target, m.last(t), options(m))
			check(t, err)
			if got := Classify(e); got.Media == MediaFailed || im.exists(testDir) || im.exists(testKeyDir) {
				t.Errorf("%s because of %q", got.Media, got.Reasons)
			}
		})
	}
}

// TestADyingDeviceIsNotTriedForever: a device that fails everywhere ends the run,
// unless it is to go on at any price.
func TestADyingDeviceIsNotTriedForever(t *testing.T) {
	s := shape{segments: []int{12 << 20}, keys: 1}
	im := s.put(t, t.TempDir())
	m := &memory{}
	o := options(m)
	tried := 0
	o.before = func(s step) error {
		if s.act == actWrite && s.name == "000000.seg" {
			tried++
			return unix.EIO
		}
		return nil
	}
	e, err := Run(t.Context(), im.target, im.plan(t), o)
	mustBe(t, err, ErrDevice)
	mustBe(t, err, unix.EIO)
	if tried > 4*maxBad {
		t.Errorf("%d tries", tried)
	}
	if got := Classify(e); got.Media != MediaFailed {
		t.Errorf("%s", got.Media)
	}
	o.UnlinkFailed = true
	e, err = Run(t.Context(), im.target, m.last(t), o)
	check(t, err)
	if got := Classify(e); got.Media != MediaFailed || Total(e.Files).Unwritten < 12<<20 {
		t.Errorf("%s with %d bytes unwritten", got.Media, Total(e.Files).Unwritten)
	}
	if n := len(m.saved[len(m.saved)-1]); n > 64<<10 {
		t.Errorf("a journal of %d bytes: bad neighbours are not joined", n)
	}
}

func onlyFor(a act, name string, errno error) before {
	return func(s step) error {
		if s.act == a && (name == "" || s.name == name) {
			return errno
		}
		return nil
	}
}

// TestSilentlyLostWritesAreFound: a disk that says yes and does nothing.
func TestSilentlyLostWritesAreFound(t *testing.T) {
	for _, name := range []string{"000000.seg", "000001.seg", superblockName, "0001.age"} {
		t.Run(name, func(t *testing.T) {
			im := plain.put(t, t.TempDir())
			o := options(&memory{})
			o.before = onlyFor(actWrite, name, errPretend)
			e, err := Run(t.Context(), im.target, im.plan(t), o)
			mustBe(t, err, ErrNotErased)
			c := Classify(e)
			if name == "0001.age" {
				if c.Key == KeyComplete || e.KeyFacts.Attempt != KeyLeft {
					t.Errorf("%s, attempt %q", c.Key, e.KeyFacts.Attempt)
				}
				return
			}
			if c.Media != MediaFailed || !slices.Contains(c.Reasons, BecauseUnread) {
				t.Errorf("%s because of %q", c.Media, c.Reasons)
			}
		})
	}
}

// TestAFailingJournalStopsTheRun: before the first key it costs nothing, later the
// run can be resumed from the last save, wherever that was.
func TestAFailingJournalStopsTheRun(t *testing.T) {
	full := errors.New("ledger full")
	for n := 0; ; n++ {
		im := plain.put(t, t.TempDir())
		j := im.plan(t)
		m := &memory{}
		first, err := j.clone()
		check(t, err)
		m.saved = append(m.saved, first)
		m.fail = func(k int) error {
			if k-1 == n {
				return full
			}
			return nil
		}
		e, err := Run(t.Context(), im.target, j, options(m))
		if err == nil {
			if n < 8 {
				t.Errorf("only %d saves", n)
			}
			return
		}
		mustBe(t, err, full)
		if n == 0 {
			im.untouched(t, plain)
			if j.KeysBegun {
				t.Error("keys begun")
			}
		}
		if c := Classify(e); e.Stage == Unlinked || (e.Stage != Verified && c.Media != MediaFailed) {
			t.Errorf("save %d failed, but stage %s and %s", n, e.Stage, c.Media)
		}
		m.fail = nil
		e, err = Run(t.Context(), im.target, m.last(t), options(m))
		check(t, err)
		if c := Classify(e); c.Media == MediaFailed || c.Key == KeyNone || im.exists(testDir) || im.exists(testKeyDir) {
			t.Errorf("save %d failed, resumed: %s and %s because of %q", n, c.Key, c.Media, c.Reasons)
		}
	}
}

// TestAttacksWhileTheContentIsOverwritten: once the keys are gone nothing stops
// the run, but what is not ours is not touched, and what was changed is not
// called erased.
func TestAttacksWhileTheContentIsOverwritten(t *testing.T) {
	const victim = "000001.seg"
	for _, c := range []struct {
		name   string
		do     func(t *testing.T, p string)
		change Change
		spared string // content that must survive under the name
	}{
		{"removed", func(t *testing.T, p string) { remove(t, p) }, Gone, ""},
		{"replaced", func(t *testing.T, p string) {
			remove(t, p)
			check(t, os.WriteFile(p, []byte("precious"), 0o600))
		}, Replaced, "precious"},
		{"swapped for a link", func(t *testing.T, p string) {
			remove(t, p)
			check(t, os.WriteFile(p+".other", []byte("precious"), 0o600))
			check(t, os.Symlink(p+".other", p))
		}, Replaced, "precious"},
		{"truncated", func(t *testing.T, p string) { check(t, os.Truncate(p, 10)) }, Truncated, ""},
		{"grown", func(t *testing.T, p string) { check(t, os.Truncate(p, 1<<20)); addTo(t, p) }, Grown, ""},
		{"given a second name", func(t *testing.T, p string) { link(t, p, p+".second") }, Linked, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := plain.put(t, t.TempDir())
			p := im.path(testDir + "/" + victim)
			m := &memory{}
			o := options(m)
			done := false
			o.before = func(s step) error {
				if !done && s.act == actSync && s.name == "000000.seg" {
					done = true
					c.do(t, p)
				}
				return nil
			}
			e, err := Run(t.Context(), im.target, im.plan(t), o)
			mustBe(t, err, ErrNotErased)
			i := slices.IndexFunc(e.Files, func(f FileEvidence) bool { return f.Name == victim })
			if got := e.Files[i].Change; got != c.change {
				t.Errorf("change %q, want %q", got, c.change)
			}
			if got := Classify(e); got.Media != MediaFailed || !slices.Contains(got.Reasons, BecauseChanged) {
				t.Errorf("%s because of %q", got.Media, got.Reasons)
			}
			o = options(m)
			o.UnlinkFailed = true
			e, err = Run(t.Context(), im.target, m.last(t), o)
			check(t, err)
			want := MediaFailed
			if c.change == Grown {
				want = MediaNotAssured // the next run overwrote what it had grown to
			}
			if got := Classify(e); rank(got.Media) > rank(want) {
				t.Errorf("at any price: %s, want at most %s", got.Media, want)
			}
			if c.spared != "" {
				if b, err := os.ReadFile(p); err != nil || string(b) != c.spared {
					t.Errorf("what took the segment's name was destroyed: %q, %v", b, err)
				}
			}
			if e.Files[i].Removed == (c.change == Gone || c.change == Replaced) {
				t.Errorf("removed is %v after %s", e.Files[i].Removed, c.change)
			}
		})
	}
}

// TestTheNameIsTakenAfterVerification: removal looks at the inode, not the name.
func TestTheNameIsTakenAfterVerification(t *testing.T) {
	im := plain.put(t, t.TempDir())
	p := im.path(testDir + "/000001.seg")
	o := options(&memory{})
	o.before = func(s step) error {
		if s.act == actRename && s.name == "000000.seg" {
			remove(t, p)
			check(t, os.WriteFile(p, []byte("precious"), 0o600))
		}
		return nil
	}
	_, err := Run(t.Context(), im.target, im.plan(t), o)
	check(t, err)
	if b, err := os.ReadFile(p); err != nil || string(b) != "precious" {
		t.Errorf("a file that is not ours was removed: %q, %v", b, err)
	}
}

// TestACancelledRunResumesWhereItWas: nothing that is durable is written again.
func TestACancelledRunResumesWhereItWas(t *testing.T) {
	s := shape{segments: []int{150 << 20}, keys: 2}
	im := s.put(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	m := &memory{}
	o := options(m)
	var written int64
	o.before = func(s step) error {
		if s.act == actWrite && s.name == "000000.seg" {
			written += int64(s.len)
			if written > 80<<20 {
				cancel()
			}
		}
		return nil
	}
	e, err := Run(ctx, im.target, im.plan(t), o)
	mustBe(t, err, context.Canceled)
	if e.Stage != Overwrite {
		t.Errorf("stage %s", e.Stage)
	}
	j := m.last(t)
	done := j.Files[0].Done
	if done < 80<<20 || done > written {
		t.Errorf("%d bytes recorded, %d written", done, written)
	}
	// Each record of progress came after a flush of what it claims.
	o = options(m)
	from := int64(-1)
	o.before = func(s step) error {
		if s.act == actWrite && s.name == "000000.seg" && from < 0 {
			from = s.off
		}
		return nil
	}
	e, err = Run(t.Context(), im.target, j, o)
	check(t, err)
	if from != done {
		t.Errorf("went on at %d, want %d", from, done)
	}
	if c := Classify(e); c.Media == MediaFailed {
		t.Errorf("%q", c.Reasons)
	}
}

// TestProgressIsRecordedOnlyWhenItIsDurable: no save may claim bytes that no flush
// has covered.
func TestProgressIsRecordedOnlyWhenItIsDurable(t *testing.T) {
	s := shape{segments: []int{200 << 20}, keys: 1}
	im := s.put(t, t.TempDir())
	j := im.plan(t)
	m := &memory{}
	o := options(m)
	var last, covered atomic.Int64 // writing and flushing go on side by side
	saves := 0
	o.before = func(s step) error {
		switch {
		case s.name != "000000.seg":
		case s.act == actWrite:
			last.Store(s.off)
		case s.act == actSync:
			// The flush covers at least everything before the newest write.
			covered.Store(last.Load())
		}
		return nil
	}
	m.fail = func(int) error {
		if j.Stage == Overwrite && !j.Files[0].Read {
			if d := j.Files[0].Done; d > covered.Load()+chunkSize {
				t.Errorf("%d bytes recorded, %d flushed", d, covered.Load())
			}
			saves++
		}
		return nil
	}
	_, err := Run(t.Context(), im.target, j, o)
	check(t, err)
	if saves < 4 {
		t.Errorf("%d records of progress for 200 MiB", saves)
	}
}
