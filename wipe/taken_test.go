package wipe

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var errStopped = errors.New("the station is gone")

// stopAfter runs a job until its n-th act on the storage, and keeps what it had told
// by then. It reports whether the job came to its end.
func stopAfter(t *testing.T, im *image, n int) (told []Evidence, ended bool) {
	t.Helper()
	m := new(memory)
	o := options(m)
	acts := 0
	o.before = func(step) error {
		if acts++; acts >= n {
			return errStopped
		}
		return nil
	}
	o.Reached = func(_ context.Context, e Evidence) error { told = append(told, e); return nil }
	_, err := Run(t.Context(), im.target, im.plan(t), o)
	if err != nil && !errors.Is(err, errStopped) {
		t.Fatalf("stopped at act %d: %v", n, err)
	}
	return told, err == nil
}

// taken is the target as whoever takes the erasing over knows it from the record.
func (im *image) taken(told []Evidence, written time.Time) Target {
	t := im.target
	t.Taken, t.Written = true, written
	t.ExpectedKeys = slices.Clone(t.ExpectedKeys)
	for _, e := range told {
		t.TakenVerified = t.TakenVerified || e.Stage == Verified
		for _, p := range ProveKeys(e) {
			for i := range t.ExpectedKeys {
				if k := &t.ExpectedKeys[i]; k.File == p.Name && k.SHA256 == p.SHA256 {
					k.End = EndRecorded
				}
			}
		}
	}
	return t
}

// TestWhatALostJobHasBegunIsEndedByAnother stops an erasing at every one of its acts,
// throws its journal away, and has another job take over with nothing but the record.
// It must come to its end, leave no old block, and claim no more than it can show.
func TestWhatALostJobHasBegunIsEndedByAnother(t *testing.T) {
	asRoot(t)
	d := newDisk(t, 24, "", "mkfs.ext4", "-q", "-F")
	old := [][]byte{killed.content("0001.age"), killed.content("0002.age")}
	for n := range killed.segments {
		old = append(old, killed.content(erasedSegment(n))[markBlock:])
	}
	seen := make(map[string]int) // how often each class
	for n := 1; ; n++ {
		im := killed.put(t, d.mnt)
		told, ended := stopAfter(t, im, n)
		target := im.taken(told, time.Now())
		if ended {
			if n < 40 {
				t.Errorf("only %d acts: the test stops too rarely", n)
			}
			break
		}
		keys := 0
		for _, k := range im.target.ExpectedKeys {
			if b, err := os.ReadFile(im.path(testKeyDir + "/" + k.File)); err == nil && looksLikeKey(b) {
				keys++
			}
		}
		j, err := Plan(t.Context(), target, rand.Reader)
		if err != nil {
			t.Fatalf("stopped at act %d: %v", n, err)
		}
		e, err := Run(t.Context(), target, j, options(new(memory)))
		if err != nil {
			t.Fatalf("stopped at act %d: %v (%+v)", n, err, e)
		}
		c := Classify(e)
		seen[string(c.Key)+" / "+string(c.Media)]++
		switch {
		case keys == len(im.target.ExpectedKeys):
			if c.Key != KeyComplete || c.Media != MediaRaw {
				t.Errorf("stopped at act %d, nothing destroyed: %s / %s because of %q", n, c.Key, c.Media, c.Reasons)
			}
		case len(told) == 0 && c.Key == KeyComplete:
			t.Errorf("stopped at act %d: %s without any record", n, c.Key)
		case len(told) > 0 && (c.Key != KeyPartial || !slices.Contains(c.Reasons, BecauseRecorded)):
			t.Errorf("stopped at act %d: %s because of %q", n, c.Key, c.Reasons)
		}
		switch {
		case target.TakenVerified:
			if c.Media != MediaNotAssured && c.Media != MediaRaw {
				t.Errorf("stopped at act %d: %s because of %q", n, c.Media, c.Reasons)
			}
		case c.Media != MediaRaw:
			t.Errorf("stopped at act %d: %s because of %q", n, c.Media, c.Reasons)
		}
		if im.exists(testCase) || im.exists(filepath.Dir(testKeyDir)) {
			t.Errorf("stopped at act %d: something is left", n)
		}
		if left := d.holds(t, old...); left != 0 {
			t.Fatalf("stopped at act %d: %d old blocks are left", n, left)
		}
	}
	t.Logf("%v", seen)
	for _, c := range []string{"CE-COMPLETE / CLEAR-RAW", "CE-PARTIAL / CLEAR-RAW", "CE-PARTIAL / NOT-ASSURED"} {
		if seen[c] == 0 {
			t.Errorf("never %s: the test shows too little", c)
		}
	}
}

// TestATakenImageIsStillGuarded: what another job had begun is no licence to erase what
// is somebody else's, and what it left is dated by nothing but the record.
func TestATakenImageIsStillGuarded(t *testing.T) {
	s := shape{segments: []int{70000, 8192}, keys: 1}
	stream := func(im *image, names ...string) {
		for _, n := range names {
			overwriteFile(t, im.path(n), noise(77, len(s.content(filepath.Base(n)))))
		}
	}
	for name, test := range map[string]struct {
		do      func(im *image, t *Target)
		want    error
		undated bool
	}{
		"nothing destroyed yet": {func(*image, *Target) {}, nil, false},
		"keys gone, no record":  {func(im *image, _ *Target) { remove(t, im.path(testKeyDir+"/0001.age")) }, nil, false},
		"keys overwritten":      {func(im *image, _ *Target) { stream(im, testKeyDir+"/0001.age") }, nil, false},
		"all overwritten": {func(im *image, _ *Target) {
			stream(im, testKeyDir+"/0001.age", testDir+"/000000.seg", testDir+"/000001.seg", testDir+"/"+superblockName)
		}, nil, false},
		"overwritten, written at a time that is not known": {func(im *image, x *Target) {
			stream(im, testKeyDir+"/0001.age", testDir+"/000000.seg")
			x.Written = time.Time{}
		}, nil, true},
		"overwritten, and younger than its content": {func(im *image, x *Target) {
			stream(im, testKeyDir+"/0001.age", testDir+"/000000.seg")
			x.Written = time.Now().Add(-time.Hour)
		}, nil, true},
		"another image in its place": {func(im *image, x *Target) { x.UUID[0] ^= 1 }, ErrForeign, false},
		"another key in its place": {func(im *image, _ *Target) {
			overwriteFile(t, im.path(testKeyDir+"/0001.age"), []byte("age-encryption.org/v1\n-> X25519 other\n"))
		}, ErrForeign, false},
		"a key that no record knows, beside an image that says whose it is": {func(im *image, _ *Target) {
			im.write(t, testKeyDir+"/0007.age", []byte("age-encryption.org/v1\n-> X25519 other\n"))
		}, nil, false},
		"a key that no record knows, and nothing that says whose it is": {func(im *image, _ *Target) {
			stream(im, testKeyDir+"/0001.age", testDir+"/000000.seg", testDir+"/000001.seg", testDir+"/"+superblockName)
			im.write(t, testKeyDir+"/0007.age", []byte("age-encryption.org/v1\n-> X25519 other\n"))
		}, ErrForeign, false},
		"no image, and nothing verified": {func(im *image, _ *Target) { check(t, os.RemoveAll(im.path(testDir))) }, ErrMissing, false},
		"no image, verified": {func(im *image, x *Target) {
			check(t, os.RemoveAll(im.path(testDir)))
			x.TakenVerified = true
		}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			im := s.put(t, t.TempDir())
			target := im.target
			target.Taken, target.Written = true, time.Now()
			test.do(im, &target)
			j, err := Plan(t.Context(), target, rand.Reader)
			mustBe(t, err, test.want)
			if err != nil {
				return
			}
			undated := slices.ContainsFunc(j.Files, func(f FileJob) bool { return f.Map.Undated })
			if undated != test.undated {
				t.Errorf("undated %v, want %v", undated, test.undated)
			}
			if _, err := Run(t.Context(), target, j, options(new(memory))); err != nil {
				t.Fatal(err)
			}
			if im.exists(testDir) || im.exists(testKeyDir) {
				t.Error("something is left")
			}
		})
	}
}

// TestWhatNoJobHasTouchedIsWhole: only then may an early erasing whose journal is lost be
// called off.
func TestWhatNoJobHasTouchedIsWhole(t *testing.T) {
	s := shape{segments: []int{8192}, keys: 1}
	for name, test := range map[string]struct {
		do   func(im *image, t *Target)
		want bool
	}{
		"all there":   {func(*image, *Target) {}, true},
		"a key gone":  {func(im *image, _ *Target) { remove(t, im.path(testKeyDir+"/0001.age")) }, false},
		"a key blank": {func(im *image, _ *Target) { overwriteFile(t, im.path(testKeyDir+"/0001.age"), noise(7, 4600)) }, false},
		"no key was recorded": {func(im *image, x *Target) {
			remove(t, im.path(testKeyDir+"/0001.age"))
			x.ExpectedKeys = nil
		}, true},
		"no key was recorded, and one is there": {func(_ *image, x *Target) { x.ExpectedKeys = nil }, true},
		"no key was recorded, and a segment is overwritten": {func(im *image, x *Target) {
			overwriteFile(t, im.path(testDir+"/000000.seg"), noise(7, 4096+8192))
			x.ExpectedKeys = nil
		}, false},
		"nothing says whose it is": {func(im *image, x *Target) {
			remove(t, im.path(testKeyDir+"/0001.age"))
			remove(t, im.path(testDir+"/000000.seg"))
			overwriteFile(t, im.path(testDir+"/"+superblockName), noise(7, 8192))
			x.ExpectedKeys = nil
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			im := s.put(t, t.TempDir())
			target := im.target
			target.Taken = true
			test.do(im, &target)
			j, err := Plan(t.Context(), target, rand.Reader)
			check(t, err)
			if j.Whole() != test.want {
				t.Errorf("whole: %v, want %v; %+v", j.Whole(), test.want, j.KeyFacts)
			}
		})
	}
}

// TestKeysOfAnotherKeystoreAreErasedAlone: the image is not looked at, nothing is said
// of it, and the job of the image counts what was proved.
func TestKeysOfAnotherKeystoreAreErasedAlone(t *testing.T) {
	d := newDisk(t, 24, "", "mkfs.ext4", "-q", "-F")
	s := shape{segments: []int{8192}, keys: 1}
	im := s.put(t, filepath.Join(d.mnt, mkdir(t, d.mnt, "vault")))
	mirror := &image{dir: filepath.Join(d.mnt, mkdir(t, d.mnt, "mirror"))}
	mirror.write(t, markerName, []byte(`{"vault":"mirror"}`))
	mirror.write(t, testKeyDir+"/0001.age", s.content("0001.age"))
	mirror.write(t, testDir+"/somebody.else", []byte("x"))
	im.target.KeystoreName = "main"
	im.target.ExpectedKeys = append(im.target.ExpectedKeys, KeyCopy{Keystore: "mirror", File: "0001.age", SHA256: im.target.ExpectedKeys[0].SHA256, Session: [16]byte{1}})
	root, err := os.OpenRoot(mirror.dir)
	check(t, err)
	defer root.Close()

	alone := im.target
	alone.Vault, alone.Keystore, alone.KeystoreName, alone.KeysOnly = root, root, "mirror", true
	j, err := Plan(t.Context(), alone, rand.Reader)
	check(t, err)
	e, err := Run(t.Context(), alone, j, options(new(memory)))
	check(t, err)
	proofs := ProveKeys(e)
	if j.Stage != Unlinked || len(proofs) != 1 || !proofs[0].Proved || mirror.exists(testKeyDir) || !mirror.exists(testDir+"/somebody.else") {
		t.Fatalf("stage %s, proofs %+v", j.Stage, proofs)
	}
	if c := Classify(e); c.Media != MediaFailed {
		t.Errorf("%s of an image that it never saw", c.Media)
	}
	if _, err := os.Stat(im.path(testKeyDir + "/0001.age")); errors.Is(err, fs.ErrNotExist) {
		t.Error("the key in the image's own vault went as well")
	}

	// Planned before the other was done, and accounted for once more when it runs.
	main, err := Plan(t.Context(), im.target, rand.Reader)
	check(t, err)
	if main.KeyFacts.Elsewhere != 1 || main.Reach().Key != KeyPartial {
		t.Errorf("%+v, %s", main.KeyFacts, main.Reach().Key)
	}
	for end, want := range map[KeyEnd]KeyClass{KeyThere: KeyPartial, EndProved: KeyComplete, EndRecorded: KeyPartial, EndUnproved: KeyPartial} {
		im.target.ExpectedKeys[1].End = end
		main.Recount(im.target)
		if got := main.Reach(); got.Key != want {
			t.Errorf("%q: %s because of %q, want %s", end, got.Key, got.Reasons, want)
		}
	}
	im.target.ExpectedKeys[1].End = EndProved
	im.target.Others = []Place{{Kind: InPlace, Virtual: []string{"mapper"}}}
	e, err = Run(t.Context(), im.target, main, options(new(memory)))
	check(t, err)
	if c := Classify(e); c.Key != KeyComplete || c.Media != MediaRaw || !slices.Contains(c.NotCovered, "mapper") {
		t.Errorf("%s / %s because of %q, not covered %q", c.Key, c.Media, c.Reasons, c.NotCovered)
	}
}

func mkdir(t *testing.T, parent, name string) string {
	t.Helper()
	check(t, os.Mkdir(filepath.Join(parent, name), 0o700))
	return name
}
