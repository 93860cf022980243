package wipe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func shell(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

var plain = shape{segments: []int{5 << 20, 70000}, keys: 2}

// TestRunDestroysKeysThenContentThenReadsBackThenRemoves holds the order of every
// act against the promises of the package.
func TestRunDestroysKeysThenContentThenReadsBackThenRemoves(t *testing.T) {
	im := plain.put(t, t.TempDir())
	j := im.plan(t)
	var acts []step
	m := &memory{}
	o := options(m)
	gates := 0
	o.Gate = func(context.Context) error {
		gates++
		if len(acts) > 0 {
			t.Errorf("%v was done before the gate was asked", acts[0])
		}
		if len(m.saved) != 1 {
			t.Errorf("%d saves before the gate, want 1: the record comes first", len(m.saved))
		}
		return nil
	}
	o.before = func(s step) error {
		acts = append(acts, s)
		return nil
	}
	// What a journal may claim: nothing before it is done and flushed.
	var stages []Stage
	m.fail = func(int) error {
		stages = append(stages, j.Stage)
		return nil
	}
	e, err := Run(t.Context(), im.target, j, o)
	if err != nil {
		t.Fatal(err)
	}
	if gates != 1 {
		t.Errorf("the gate was asked %d times, want once", gates)
	}
	stages = slices.Compact(stages)
	if want := []Stage{Planned, KeyDone, Overwrite, Verified, Unlinked}; !slices.Equal(stages, want) {
		t.Errorf("stages %v, want %v", stages, want)
	}

	key := func(s step) bool { return strings.HasSuffix(s.name, ".age") }
	last := func(f func(step) bool) int {
		for i := len(acts) - 1; i >= 0; i-- {
			if f(acts[i]) {
				return i
			}
		}
		return -1
	}
	first := func(f func(step) bool) int { return slices.IndexFunc(acts, f) }
	if k, c := last(func(s step) bool { return s.act == actRead && key(s) }), first(func(s step) bool { return s.act == actWrite && !key(s) }); k > c {
		t.Error("content was overwritten before the keys were read back")
	}
	if v, u := last(func(s step) bool { return s.act == actRead || s.act == actRawRead }), first(func(s step) bool {
		return s.act == actRename || s.act == actTruncate || s.act == actUnlink
	}); v > u {
		t.Error("a file was removed before everything was read back")
	}
	for _, f := range append(slices.Clone(e.Files), e.Keys...) {
		sync := last(func(s step) bool { return s.act == actSync && s.name == f.Name })
		write := last(func(s step) bool { return s.act == actWrite && s.name == f.Name })
		read := first(func(s step) bool { return s.act == actRead && s.name == f.Name })
		if write > sync || sync > read {
			t.Errorf("%s: written at %d, flushed at %d, read back at %d", f.Name, write, sync, read)
		}
		if !f.Removed || f.Facts.Equal != f.Bytes || f.Facts.Written != f.Bytes || f.Bytes < 1 {
			t.Errorf("%s: %+v", f.Name, f)
		}
	}
	if im.exists(testCase) || im.exists("keystore/T1-2026-0001") || !im.exists(markerName) || !im.exists("cases") {
		t.Error("the directories are not as they should be")
	}
	if !slices.Equal(e.DirsRemoved, []string{"image", "case", "keys", "keys of the case"}) {
		t.Errorf("directories removed: %q", e.DirsRemoved)
	}
	if c := Classify(e); c.Media != MediaRaw && c.Media != MediaLogical && c.Media != MediaNotAssured {
		t.Errorf("%s because of %q", c.Media, c.Reasons)
	}

	// It is done; running it again changes nothing, and the attest closes it.
	before := len(acts)
	if again, err := Run(t.Context(), im.target, m.last(t), o); err != nil || again.Stage != Unlinked || len(acts) != before {
		t.Errorf("a second run: %v, %s", err, again.Stage)
	}
	if err := MarkAttested(t.Context(), j, m); err != nil || m.last(t).Stage != Attested {
		t.Errorf("attest: %v, stage %s", err, m.last(t).Stage)
	}
}

func TestMarkAttestedRefusesAnUnfinishedJob(t *testing.T) {
	for _, s := range []Stage{Planned, KeyDone, Overwrite, Verified} {
		if err := MarkAttested(t.Context(), &Job{Stage: s}, &memory{}); !errors.Is(err, ErrJob) {
			t.Errorf("%s: %v, want ErrJob", s, err)
		}
	}
}

// TestRefusalsLeaveEverythingAsItWas puts obstacles of every kind in the way,
// before the plan and between the plan and the run.
func TestRefusalsLeaveEverythingAsItWas(t *testing.T) {
	seg, key := testDir+"/000000.seg", testKeyDir+"/0001.age"
	for _, c := range []struct {
		name string
		do   func(t *testing.T, im *image)
		plan error    // of a plan made afterwards; nil: it may be planned
		run  error    // of a run planned before
		but  []string // files that the obstacle itself changed
	}{
		{"vault marker gone", func(t *testing.T, im *image) { remove(t, im.path(markerName)) }, ErrAbsent, ErrAbsent, nil},
		{"another vault in its place", func(t *testing.T, im *image) {
			remove(t, im.path(markerName))
			im.write(t, markerName, []byte("another"))
		}, nil, ErrAbsent, nil},
		{"image gone", func(t *testing.T, im *image) { move(t, im.path(testDir), im.path("away")) }, ErrMissing, ErrMissing, allFiles},
		{"case gone", func(t *testing.T, im *image) { move(t, im.path(testCase), im.path("away")) }, ErrMissing, ErrMissing, allFiles},
		{"keys gone", func(t *testing.T, im *image) { move(t, im.path(testKeyDir), im.path("away")) }, ErrKeysMissing, ErrChanged, allKeys},
		{"one key gone", func(t *testing.T, im *image) { move(t, im.path(key), im.path("away")) }, nil, ErrChanged, []string{"0001.age"}},
		{"segment gone", func(t *testing.T, im *image) { move(t, im.path(seg), im.path("away")) }, nil, ErrChanged, []string{"000000.seg"}},
		{"segment has a second name", func(t *testing.T, im *image) { link(t, im.path(seg), im.path("second")) }, ErrChanged, ErrChanged, nil},
		{"key has a second name", func(t *testing.T, im *image) { link(t, im.path(key), im.path("second")) }, ErrChanged, ErrChanged, nil},
		{"segment is a link", func(t *testing.T, im *image) { swapLink(t, im.path(seg), im.path("away")) }, ErrChanged, ErrChanged, nil},
		{"key is a link", func(t *testing.T, im *image) { swapLink(t, im.path(key), im.path("away")) }, ErrChanged, ErrChanged, nil},
		{"image directory is a link", func(t *testing.T, im *image) { swapLink(t, im.path(testDir), im.path("away")) }, ErrChanged, ErrChanged, nil},
		{"case directory is a link", func(t *testing.T, im *image) { swapLink(t, im.path(testCase), im.path("away")) }, ErrChanged, ErrChanged, nil},
		{"key directory is a link", func(t *testing.T, im *image) { swapLink(t, im.path(testKeyDir), im.path("away")) }, ErrChanged, ErrChanged, nil},
		{"segment is a pipe", func(t *testing.T, im *image) {
			move(t, im.path(seg), im.path("away"))
			check(t, unix.Mkfifo(im.path(seg), 0o600))
		}, ErrChanged, ErrChanged, []string{"000000.seg"}},
		{"segment is a directory", func(t *testing.T, im *image) {
			move(t, im.path(seg), im.path("away"))
			check(t, os.Mkdir(im.path(seg), 0o700))
		}, ErrChanged, ErrChanged, []string{"000000.seg"}},
		{"segment grown", func(t *testing.T, im *image) { addTo(t, im.path(seg)) }, nil, ErrChanged, []string{"000000.seg"}},
		{"segment truncated", func(t *testing.T, im *image) { check(t, os.Truncate(im.path(seg), 4096)) }, nil, ErrChanged, []string{"000000.seg"}},
		{"segment replaced by one of the same size", func(t *testing.T, im *image) { replace(t, im.path(seg)) }, nil, ErrChanged, nil},
		{"key replaced by the same content", func(t *testing.T, im *image) { replace(t, im.path(key)) }, nil, ErrChanged, nil},
		{"key holds something else", func(t *testing.T, im *image) { scribble(t, im.path(key)) }, ErrForeign, ErrChanged, []string{"0001.age"}},
		{"key is huge", func(t *testing.T, im *image) { check(t, os.Truncate(im.path(key), largestKey+1)) }, ErrForeign, ErrChanged, []string{"0001.age"}},
		{"superblock of another image", func(t *testing.T, im *image) {
			other := block(superblockMagic, [16]byte{7}, 0, time.Now())
			overwriteFile(t, im.path(testDir+"/"+superblockName), append(other, other...))
		}, ErrForeign, ErrForeign, []string{superblockName}},
		{"segment of another image", func(t *testing.T, im *image) {
			overwriteFile(t, im.path(seg), block(segmentMagic, [16]byte{7}, 1, time.Now()))
		}, ErrForeign, nil, []string{"000000.seg"}},
		{"superblock of a newer format", func(t *testing.T, im *image) {
			overwriteFile(t, im.path(testDir+"/"+superblockName), []byte("SALVOR2\n"))
		}, ErrForeign, ErrForeign, []string{superblockName}},
		{"a new segment", func(t *testing.T, im *image) {
			im.write(t, testDir+"/000002.seg", block(segmentMagic, testUUID(), 1, time.Now()))
		}, nil, ErrChanged, nil},
		{"a new key", func(t *testing.T, im *image) { im.write(t, testKeyDir+"/0003.age", []byte("age-encryption.org/v1\n")) }, nil, ErrChanged, nil},
		{"somebody reads a segment", func(t *testing.T, im *image) { hold(t, im.path(seg), os.O_RDONLY) }, ErrInUse, ErrInUse, nil},
		{"somebody writes a segment", func(t *testing.T, im *image) { hold(t, im.path(seg), os.O_WRONLY) }, ErrInUse, ErrInUse, nil},
		{"somebody reads a key", func(t *testing.T, im *image) { hold(t, im.path(key), os.O_RDONLY) }, ErrInUse, ErrInUse, nil},
		{"somebody maps a segment", func(t *testing.T, im *image) {
			f, err := os.Open(im.path(seg))
			check(t, err)
			m, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
			check(t, err)
			f.Close()
			t.Cleanup(func() { check(t, unix.Munmap(m)) })
		}, ErrInUse, ErrInUse, nil},
		{"a loop device stands on a segment", func(t *testing.T, im *image) {
			asRoot(t)
			dev := shell(t, "flock", "/dev/loop-control", "losetup", "-f", "--show", im.path(seg))
			t.Cleanup(func() { shell(t, "losetup", "-d", dev) })
		}, ErrInUse, ErrInUse, nil},
		{"something is mounted over a segment", func(t *testing.T, im *image) {
			asRoot(t)
			im.write(t, "other", []byte("precious"))
			shell(t, "mount", "--bind", im.path("other"), im.path(seg))
			t.Cleanup(func() {
				shell(t, "umount", im.path(seg))
				if b, err := os.ReadFile(im.path("other")); err != nil || string(b) != "precious" {
					t.Error("what was mounted over the segment was destroyed")
				}
			})
		}, ErrChanged, ErrChanged, []string{"000000.seg"}},
		{"a segment is immutable", func(t *testing.T, im *image) {
			asRoot(t)
			if out, err := exec.Command("chattr", "+i", im.path(seg)).CombinedOutput(); err != nil {
				t.Skipf("chattr +i is not allowed here: %s", out)
			}
			t.Cleanup(func() { shell(t, "chattr", "-i", im.path(seg)) })
		}, ErrReadOnly, nil, nil},
	} {
		for _, when := range []string{"before the plan", "between plan and run"} {
			t.Run(c.name+" "+when, func(t *testing.T) {
				im := plain.put(t, t.TempDir())
				if when == "before the plan" {
					c.do(t, im)
					_, err := Plan(t.Context(), im.target, rand.Reader)
					if c.plan == nil {
						check(t, err)
						return
					}
					mustBe(t, err, c.plan)
					im.untouched(t, plain, c.but...)
					return
				}
				if c.run == nil {
					t.Skip("found when it is planned")
				}
				j := im.plan(t)
				c.do(t, im)
				o := options(&memory{})
				o.before = func(s step) error {
					t.Errorf("%s %s was tried", s.act, s.name)
					return nil
				}
				_, err := Run(t.Context(), im.target, j, o)
				mustBe(t, err, c.run)
				if j.Stage != Planned || j.KeysBegun {
					t.Errorf("stage %s, keys begun %v after a refusal", j.Stage, j.KeysBegun)
				}
				im.untouched(t, plain, c.but...)
			})
		}
	}
}

var (
	allFiles = []string{superblockName, sealName, "000000.seg", "000001.seg"}
	allKeys  = []string{"0001.age", "0002.age"}
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, p string)      { t.Helper(); check(t, os.Remove(p)) }
func move(t testing.TB, from, to string) { t.Helper(); check(t, os.Rename(from, to)) }
func link(t testing.TB, from, to string) { t.Helper(); check(t, os.Link(from, to)) }

func swapLink(t testing.TB, p, away string) {
	t.Helper()
	move(t, p, away)
	check(t, os.Symlink(away, p))
	rel, err := filepath.Rel(filepath.Dir(p), away)
	check(t, err)
	remove(t, p)
	check(t, os.Symlink(rel, p)) // one that os.Root alone would follow
}

func addTo(t testing.TB, p string) {
	t.Helper()
	f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
	check(t, err)
	defer f.Close()
	_, err = f.WriteString("more")
	check(t, err)
}

func replace(t testing.TB, p string) {
	t.Helper()
	b, err := os.ReadFile(p)
	check(t, err)
	remove(t, p)
	check(t, os.WriteFile(p, b, 0o600))
}

func scribble(t testing.TB, p string) {
	t.Helper()
	overwriteFile(t, p, []byte("age-encryption.org/v1\n-> other"))
}

func overwriteFile(t testing.TB, p string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(p, os.O_WRONLY, 0)
	check(t, err)
	defer f.Close()
	_, err = f.WriteAt(b, 0)
	check(t, err)
}

func hold(t testing.TB, p string, flags int) {
	t.Helper()
	f, err := os.OpenFile(p, flags, 0)
	check(t, err)
	t.Cleanup(func() { f.Close() })
}

func TestAHoldThatComesInTimeSavesTheImage(t *testing.T) {
	im := plain.put(t, t.TempDir())
	held := errors.New("held")
	m := &memory{}
	o := options(m)
	o.Gate = func(context.Context) error { return held }
	_, err := Run(t.Context(), im.target, im.plan(t), o)
	mustBe(t, err, held)
	im.untouched(t, plain)
	if j := m.last(t); j.KeysBegun || j.Stage != Planned {
		t.Errorf("the journal says that the keys were begun")
	}
	o.Gate = nil
	if _, err := Run(t.Context(), im.target, m.last(t), o); err != nil {
		t.Errorf("after the hold ended: %v", err)
	}
}

func TestAHoldStopsAResumedRunToo(t *testing.T) {
	im := plain.put(t, t.TempDir())
	m := &memory{}
	o := options(m)
	o.before = func(s step) error {
		if s.act == actWrite && s.name == "000001.seg" {
			return unix.ENODEV
		}
		return nil
	}
	_, err := Run(t.Context(), im.target, im.plan(t), o)
	mustBe(t, err, ErrVanished)
	mustBe(t, err, unix.ENODEV)
	held := errors.New("held")
	o = options(m)
	o.Gate = func(context.Context) error { return held }
	o.before = func(s step) error {
		t.Errorf("%s %s was tried", s.act, s.name)
		return nil
	}
	_, err = Run(t.Context(), im.target, m.last(t), o)
	mustBe(t, err, held)
}

func TestTwoRunsAtOnceAreRefused(t *testing.T) {
	im := plain.put(t, t.TempDir())
	j := im.plan(t)
	o := options(&memory{})
	tried := false
	o.before = func(s step) error {
		if !tried && s.name == "000000.seg" {
			tried = true
			other := *j
			other.Stage = KeyDone
			_, err := Run(t.Context(), im.target, &other, options(&memory{}))
			mustBe(t, err, ErrInUse)
		}
		return nil
	}
	_, err := Run(t.Context(), im.target, j, o)
	check(t, err)
}

func TestRunRefusesAJobOfAnotherImage(t *testing.T) {
	im := plain.put(t, t.TempDir())
	for name, spoil := range map[string]func(*Job){
		"version": func(j *Job) { j.Version = 2 },
		"image":   func(j *Job) { j.UUID = strings.Repeat("0", 32) },
		"stage":   func(j *Job) { j.Stage = "" },
		"no key":  func(j *Job) { j.StreamKey = Key{} },
	} {
		t.Run(name, func(t *testing.T) {
			j := im.plan(t)
			spoil(j)
			_, err := Run(t.Context(), im.target, j, options(&memory{}))
			mustBe(t, err, ErrJob)
			im.untouched(t, plain)
		})
	}
}

func TestKeysAreAccountedFor(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, im *image)
		want KeyFacts
		key  KeyClass
		due  string // reason
	}{
		{"all there", func(*testing.T, *image) {}, KeyFacts{Expected: 2}, KeyComplete, ""},
		{"one missing", func(t *testing.T, im *image) { remove(t, im.path(testKeyDir+"/0002.age")) }, KeyFacts{Expected: 2, Missing: 1}, KeyPartial, BecauseKeysMissing},
		{"all missing, on the operator's word", func(t *testing.T, im *image) {
			check(t, os.RemoveAll(im.path(testKeyDir)))
			im.target.AcceptMissingKeys = true
		}, KeyFacts{Expected: 2, Missing: 2}, KeyNone, BecauseNoKeys},
		{"one changed, on the operator's word", func(t *testing.T, im *image) {
			scribble(t, im.path(testKeyDir+"/0001.age"))
			im.target.AcceptChangedKeys = true
		}, KeyFacts{Expected: 2, Changed: 1}, KeyPartial, BecauseKeysChanged},
		{"one wrapped anew", func(t *testing.T, im *image) {
			scribble(t, im.path(testKeyDir+"/0001.age"))
			b, err := os.ReadFile(im.path(testKeyDir + "/0001.age"))
			check(t, err)
			im.target.ExpectedKeys = append(im.target.ExpectedKeys, KeyCopy{File: "0001.age", SHA256: sha256Of(b), Session: [16]byte{1}})
		}, KeyFacts{Expected: 2}, KeyComplete, ""},
		{"one not recorded", func(t *testing.T, im *image) {
			im.write(t, testKeyDir+"/0003.age", []byte("age-encryption.org/v1\n"))
		}, KeyFacts{Expected: 2, Unrecorded: 1}, KeyComplete, ""},
		{"one in another keystore", func(t *testing.T, im *image) {
			im.target.KeystoreName = "safe"
			im.target.ExpectedKeys = append(im.target.ExpectedKeys, KeyCopy{Keystore: "usb", File: "0001.age", Session: [16]byte{1}})
		}, KeyFacts{Expected: 3, Elsewhere: 1}, KeyPartial, BecauseElsewhere},
		{"a session without a record", func(_ *testing.T, im *image) {
			im.target.ExpectedKeys = im.target.ExpectedKeys[:1]
		}, KeyFacts{Expected: 1, Unrecorded: 1, Sessions: 1}, KeyPartial, BecauseSessions},
		{"no record at all", func(_ *testing.T, im *image) { im.target.ExpectedKeys = nil }, KeyFacts{Unrecorded: 2, Sessions: 2}, KeyPartial, BecauseNoRecord},
		{"a copy under another name", func(t *testing.T, im *image) {
			shell(t, "cp", im.path(testKeyDir+"/0001.age"), im.path(testKeyDir+"/0001.age~"))
		}, KeyFacts{Expected: 2, Strays: 1, Attempt: KeyLeft}, KeyPartial, BecauseKeyLeft},
		{"something that hides what it is", func(t *testing.T, im *image) {
			check(t, os.Mkdir(im.path(testKeyDir+"/d"), 0o700))
		}, KeyFacts{Expected: 2, Strays: 1, Attempt: KeyLeft}, KeyPartial, BecauseKeyLeft},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := plain.put(t, t.TempDir())
			c.do(t, im)
			j := im.plan(t)
			e, err := Run(t.Context(), im.target, j, options(&memory{}))
			check(t, err)
			if c.want.Attempt == NotTried {
				c.want.Attempt = Shut
			}
			if e.KeyFacts != c.want {
				t.Errorf("%+v, want %+v", e.KeyFacts, c.want)
			}
			// What the storage here can prove does not matter to this test.
			e.Keystore = Place{Kind: InPlace, Rotating: Yes}
			for i := range e.Keys {
				after := e.Keys[i].Before
				after.Known, after.Digest, e.Keys[i].Before = true, Digest{}, Map{Known: true}
				e.Keys[i].After = &Map{Known: true}
				e.Keys[i].Facts.Raw, e.Keys[i].Facts.RawEqual, e.Keys[i].Facts.RawDifferent = true, e.Keys[i].Bytes, 0
			}
			got := Classify(e)
			if got.Key != c.key || c.due != "" && !slices.Contains(got.Reasons, c.due) {
				t.Errorf("%s because of %q, want %s because of %q", got.Key, got.Reasons, c.key, c.due)
			}
		})
	}
}

// TestAnAttemptThatOpensTheImageIsNeverHidden
func TestAnAttemptThatOpensTheImageIsNeverHidden(t *testing.T) {
	for _, c := range []struct {
		name string
		try  func(context.Context) (bool, error)
		want Attempt
	}{
		{"opened", func(context.Context) (bool, error) { return true, nil }, Opened},
		{"failed", func(context.Context) (bool, error) { return false, nil }, Shut},
		{"could not be made", func(context.Context) (bool, error) { return false, errors.New("no reader") }, NotTried},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := plain.put(t, t.TempDir())
			o := options(&memory{})
			o.TryOpen = c.try
			e, err := Run(t.Context(), im.target, im.plan(t), o)
			check(t, err)
			if e.KeyFacts.Attempt != c.want {
				t.Errorf("attempt %q, want %q", e.KeyFacts.Attempt, c.want)
			}
			if got := Classify(e).Key; c.want == Opened && got != KeyNone || c.want == NotTried && got == KeyComplete {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestMissingSegmentsAreNeverErased(t *testing.T) {
	s := shape{segments: []int{5000, 5000, 5000}, keys: 1}
	for _, c := range []struct {
		name    string
		do      func(t *testing.T, im *image)
		missing int
	}{
		{"a gap", func(t *testing.T, im *image) { remove(t, im.path(testDir+"/000001.seg")); im.target.Segments = 0 }, 1},
		{"fewer than the seal counted", func(t *testing.T, im *image) { remove(t, im.path(testDir+"/000002.seg")) }, 1},
		{"the superblock", func(t *testing.T, im *image) { remove(t, im.path(testDir+"/"+superblockName)) }, 1},
		{"all segments", func(t *testing.T, im *image) { shell(t, "sh", "-c", "rm "+im.path(testDir)+"/*.seg") }, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := s.put(t, t.TempDir())
			c.do(t, im)
			j := im.plan(t)
			if j.Missing != c.missing {
				t.Errorf("%d missing, want %d", j.Missing, c.missing)
			}
			if got := j.Reach().Media; got != MediaFailed {
				t.Errorf("the plan promises %s", got)
			}
			m := &memory{}
			e, err := Run(t.Context(), im.target, j, options(m))
			mustBe(t, err, ErrNotErased)
			if got := Classify(e); got.Media != MediaFailed || !slices.Contains(got.Reasons, BecauseMissing) {
				t.Errorf("%s because of %q", got.Media, got.Reasons)
			}
			o := options(m)
			o.UnlinkFailed = true
			e, err = Run(t.Context(), im.target, m.last(t), o)
			check(t, err)
			if got := Classify(e); got.Media != MediaFailed || im.exists(testDir) {
				t.Errorf("%s, directory there: %v", got.Media, im.exists(testDir))
			}
		})
	}
}

func TestAShortenedSegmentIsNeverErased(t *testing.T) {
	im := plain.put(t, t.TempDir())
	im.target.Stored = 2*markBlock + 2*markBlock + 5<<20 + 70000
	if j := im.plan(t); j.Lost != 0 || j.Reach().Media == MediaFailed {
		t.Fatalf("%d bytes lost of a whole image, %q", j.Lost, j.Reach().Reasons)
	}
	// Its blocks went back to the file system with what they held.
	check(t, os.Truncate(im.path(testDir+"/000000.seg"), 1<<20))
	e, err := Run(t.Context(), im.target, im.plan(t), options(&memory{}))
	mustBe(t, err, ErrNotErased)
	if c := Classify(e); e.Lost != 4<<20+markBlock || c.Media != MediaFailed || !slices.Contains(c.Reasons, BecauseMissing) {
		t.Errorf("%d bytes lost, %s because of %q", e.Lost, c.Media, c.Reasons)
	}
}

func TestAnImageThatSaysNothingOfItselfIsNotErased(t *testing.T) {
	im := plain.put(t, t.TempDir())
	for _, name := range allFiles {
		p := im.path(testDir + "/" + name)
		check(t, os.Truncate(p, 0))
	}
	// Its key files are what was recorded: then it is this image, torn as it is.
	j := im.plan(t)
	if len(j.Files) != 4 {
		t.Fatalf("%d files", len(j.Files))
	}
	// Without them nothing ties it to the image.
	im.target.ExpectedKeys = nil
	_, err := Plan(t.Context(), im.target, rand.Reader)
	mustBe(t, err, ErrForeign)
	im.target.AcceptMissingKeys = true
	_, err = Plan(t.Context(), im.target, rand.Reader)
	mustBe(t, err, ErrForeign)
}

func TestStraysAreLeftAndNamedOnlyInTheJournal(t *testing.T) {
	im := plain.put(t, t.TempDir())
	im.write(t, testDir+"/holiday of J. Peeters.jpg", []byte("precious"))
	check(t, os.Symlink("/etc/passwd", im.path(testDir+"/link")))
	e, err := Run(t.Context(), im.target, im.plan(t), options(&memory{}))
	check(t, err)
	if b, err := os.ReadFile(im.path(testDir + "/holiday of J. Peeters.jpg")); err != nil || string(b) != "precious" {
		t.Error("a stray file was destroyed")
	}
	if c := Classify(e); e.Strays != 2 || c.Media != MediaNotAssured {
		t.Errorf("%d strays, %s", e.Strays, c.Media)
	}
	if s := fmt.Sprintf("%+v", e); strings.Contains(s, "Peeters") {
		t.Error("the evidence names a stray file")
	}
}
