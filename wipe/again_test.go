package wipe

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// stopAt ends a run as a kill would, at the n-th save of a stage, counted from 1:
// what was saved stands, nothing after it is done.
func stopAt(m *memory, j *Job, stage Stage) error {
	stopped := errors.New("stopped")
	reached := false
	m.fail = func(int) error {
		if reached {
			return stopped
		}
		reached = j.Stage == stage
		return nil
	}
	return stopped
}

// bestDisk is a file system on which the best classes can be reached.
func bestDisk(t *testing.T) *disk { return newDisk(t, 64, "", "mkfs.ext4", "-q", "-F") }

// TestWhatIsPutBackAfterTheKeysWereDestroyedIsSeen: every way to have a working
// key or ciphertext again after KEY_DONE lowers the class, and what can be
// overwritten again is.
func TestWhatIsPutBackAfterTheKeysWereDestroyedIsSeen(t *testing.T) {
	d := bestDisk(t)
	seg, key := testDir+"/000000.seg", testKeyDir+"/0001.age"
	old := plain.content("0001.age")
	sameInode := func(t *testing.T, p string, b []byte) {
		check(t, os.WriteFile(p, b, 0o600)) // truncates, as cat > does
	}
	newInode := func(t *testing.T, p string, b []byte) {
		remove(t, p)
		check(t, os.WriteFile(p, b, 0o600))
	}
	for _, stage := range []Stage{KeyDone, Overwrite, Verified} {
		for _, c := range []struct {
			name   string
			do     func(t *testing.T, im *image)
			key    KeyClass
			media  MediaClass
			reason string
			left   string // what must be said to be left
		}{
			{"nothing", func(*testing.T, *image) {}, KeyComplete, MediaRaw, "", ""},
			{"the key in a new file", func(t *testing.T, im *image) { newInode(t, im.path(key), old) }, KeyPartial, MediaRaw, BecauseKeyLeft, key},
			{"the key in the old file", func(t *testing.T, im *image) { sameInode(t, im.path(key), old) }, KeyPartial, MediaRaw, BecauseKeysChanged, ""},
			{"the key in its old blocks", func(t *testing.T, im *image) { overwriteFile(t, im.path(key), old) }, KeyPartial, MediaRaw, BecauseKeysChanged, ""},
			{"a larger key in the old file", func(t *testing.T, im *image) {
				sameInode(t, im.path(key), append(slices.Clone(old), make([]byte, 30000)...))
			}, KeyPartial, MediaRaw, BecauseKeysChanged, ""},
			{"the key beside it", func(t *testing.T, im *image) {
				check(t, os.WriteFile(im.path(testKeyDir+"/copy.age"), old, 0o600))
			}, KeyPartial, MediaRaw, BecauseKeyLeft, testKeyDir + "/copy.age"},
			{"the key beside it, packed", func(t *testing.T, im *image) {
				check(t, os.WriteFile(im.path(testKeyDir+"/copy.gz"), noise(4, 3000), 0o600))
			}, KeyPartial, MediaRaw, BecauseKeyLeft, testKeyDir + "/copy.gz"},
			{"one more segment", func(t *testing.T, im *image) {
				check(t, os.WriteFile(im.path(testDir+"/000002.seg"), plain.content("000000.seg"), 0o600))
			}, KeyComplete, MediaNotAssured, BecauseStrays, testDir + "/000002.seg"},
			{"a segment in a new file", func(t *testing.T, im *image) { newInode(t, im.path(seg), plain.content("000000.seg")) }, KeyComplete, MediaNotAssured, BecauseStrays, seg},
			{"a segment in the old file", func(t *testing.T, im *image) { sameInode(t, im.path(seg), plain.content("000000.seg")) }, KeyComplete, MediaNotAssured, "", ""},
			{"a segment in its old blocks", func(t *testing.T, im *image) { overwriteFile(t, im.path(seg), plain.content("000000.seg")) }, KeyComplete, MediaNotAssured, "", ""},
		} {
			t.Run(string(stage)+"/"+c.name, func(t *testing.T) {
				check(t, os.RemoveAll(d.mnt+"/cases"))
				check(t, os.RemoveAll(d.mnt+"/keystore"))
				im := plain.put(t, d.mnt)
				shell(t, "sync", "-f", d.mnt)
				j, m := im.plan(t), &memory{}
				o := options(m)
				if stage == Overwrite {
					// In one and the same run, when everything was read back.
					do := c.do
					m.fail = func(int) error {
						if j.Stage == Overwrite && allRead(j) && do != nil {
							do(t, im)
							do = nil
						}
						return nil
					}
				} else {
					stopped := stopAt(m, j, stage)
					o.before = func(s step) error {
						if s.act == actRename {
							return stopped
						}
						return nil
					}
					_, err := Run(t.Context(), im.target, j, o)
					mustBe(t, err, stopped)
					m.fail, o.before = nil, nil
					c.do(t, im)
					if j = m.last(t); j.Stage != stage {
						t.Fatalf("stage %s, want %s", j.Stage, stage)
					}
				}
				e, err := Run(t.Context(), im.target, j, o)
				for range 2 { // what grew is given up by one run and taken up by the next
					if errors.Is(err, ErrNotErased) {
						e, err = Run(t.Context(), im.target, m.last(t), options(m))
					}
				}
				if stage == KeyDone && strings.HasPrefix(c.name, "a segment in") && err != nil {
					// It was never overwritten under that inode, or grew: FAILED until a
					// person ends it.
					mustBe(t, err, ErrNotErased)
					if got := Classify(e); got.Media != MediaFailed {
						t.Errorf("%s because of %q", got.Media, got.Reasons)
					}
					return
				}
				check(t, err)
				got := Classify(e)
				if keyRank(got.Key) > keyRank(c.key) || c.name == "nothing" && got.Key != c.key {
					t.Errorf("%s because of %q, want at most %s", got.Key, got.Reasons, c.key)
				}
				// Before the content is overwritten, a segment that is written in
				// place is as good as the one that was there.
				inTime := stage == KeyDone && strings.HasPrefix(c.name, "a segment in")
				if !inTime && rank(got.Media) > rank(c.media) {
					t.Errorf("%s because of %q, want at most %s", got.Media, got.Reasons, c.media)
				}
				if c.name == "nothing" && got.Media != c.media {
					t.Errorf("%s because of %q", got.Media, got.Reasons)
				}
				if c.reason != "" && !slices.Contains(got.Reasons, c.reason) {
					t.Errorf("reasons %q, want %q among them", got.Reasons, c.reason)
				}
				if c.left == "" {
					if n := d.holds(t, old); n != 0 {
						t.Errorf("%d blocks of the key are on the device", n)
					}
					if e.Left != 0 || e.KeysLeft != 0 || im.exists(testKeyDir) || im.exists(testDir) {
						t.Errorf("%d files and %d keys are left", e.Left, e.KeysLeft)
					}
					return
				}
				if !im.exists(c.left) {
					t.Errorf("%s was removed, which is not the job's", c.left)
				}
				if want := strings.HasPrefix(c.left, testKeyDir); want && e.KeysLeft != 1 || !want && e.Left != 1 {
					t.Errorf("%d files and %d keys are said to be left", e.Left, e.KeysLeft)
				}
			})
		}
	}
}

func allRead(j *Job) bool {
	return !slices.ContainsFunc(j.Files, func(f FileJob) bool { return !f.Read })
}

func keyRank(k KeyClass) int {
	return slices.Index([]KeyClass{KeyNone, KeyPartial, KeyComplete}, k)
}

// TestAKeyThatIsPutBackWhileFilesAreRemovedIsNotRemovedAsErased: the last look is
// not the last word; the file is compared again as it goes.
func TestAKeyThatIsPutBackWhileFilesAreRemovedIsNotRemovedAsErased(t *testing.T) {
	im := plain.put(t, t.TempDir())
	m := &memory{}
	o := options(m)
	o.before = func(s step) error {
		if s.act == actRename && s.name == "0002.age" {
			overwriteFile(t, im.path(testKeyDir+"/0002.age"), plain.content("0002.age"))
		}
		return nil
	}
	_, err := Run(t.Context(), im.target, im.plan(t), o)
	mustBe(t, err, ErrChanged)
	e, err := Run(t.Context(), im.target, m.last(t), options(m))
	check(t, err)
	if got := Classify(e); got.Key == KeyComplete || !slices.Contains(got.Reasons, BecauseKeysChanged) || im.exists(testKeyDir) {
		t.Errorf("%s because of %q", got.Key, got.Reasons)
	}
}

// TestAForeignFileUnderTheHiddenNameStopsNothing, before the plan and after it.
func TestAForeignFileUnderTheHiddenNameStopsNothing(t *testing.T) {
	for _, when := range []string{"before the plan", "after the plan", "all of them"} {
		t.Run(when, func(t *testing.T) {
			im := plain.put(t, t.TempDir())
			take := func(n int) {
				im.write(t, testDir+"/"+erasedName(1, n), []byte("precious"))
				im.write(t, testKeyDir+"/"+erasedName(firstKeyLane, n), []byte("precious"))
			}
			if when == "before the plan" {
				take(0)
			}
			j := im.plan(t)
			switch when {
			case "after the plan":
				take(0)
			case "all of them":
				for n := range erasedNames {
					take(n)
				}
			}
			e, err := Run(t.Context(), im.target, j, options(&memory{}))
			check(t, err)
			got := Classify(e)
			if rank(got.Media) > rank(MediaNotAssured) || !slices.Contains(got.Reasons, BecauseStrays) || !slices.Contains(got.Reasons, BecauseKeyLeft) {
				t.Errorf("%s and %s because of %q", got.Key, got.Media, got.Reasons)
			}
			for _, f := range append(e.Files, e.Keys...) {
				if !f.Removed {
					t.Errorf("%s was not removed", f.Name)
				}
			}
			if b, err := os.ReadFile(im.path(testDir + "/" + erasedName(1, 0))); err != nil || string(b) != "precious" {
				t.Errorf("the foreign file was destroyed: %v", err)
			}
			if im.exists(testDir+"/000000.seg") || im.exists(testKeyDir+"/0001.age") {
				t.Error("the image's own files are left")
			}
		})
	}
}

// TestWhatWasUndoneDoesNotKeepAJobFromItsEnd: a second name that is gone again, and
// a file that grew and shrank.
func TestWhatWasUndoneDoesNotKeepAJobFromItsEnd(t *testing.T) {
	sizes := map[string]int64{".seg": markBlock + 70000, ".age": int64(len(plain.content("0001.age")))}
	for _, victim := range []string{testDir + "/000001.seg", testKeyDir + "/0001.age"} {
		for _, c := range []struct {
			name     string
			do, undo func(t *testing.T, p string)
		}{
			{"a second name", func(t *testing.T, p string) { link(t, p, p+".second") }, func(t *testing.T, p string) { remove(t, p+".second") }},
			{"grown and shrunk", func(t *testing.T, p string) { check(t, os.Truncate(p, 1<<20)); addTo(t, p) }, func(t *testing.T, p string) { check(t, os.Truncate(p, sizes[filepath.Ext(p)])) }},
		} {
			for _, when := range []act{actWrite, actRead, actRename} {
				t.Run(victim[len(victim)-4:]+"/"+c.name+"/"+string(when), func(t *testing.T) {
					im := plain.put(t, t.TempDir())
					p := im.path(victim)
					m := &memory{}
					o := options(m)
					done := false
					o.before = func(s step) error {
						if !done && s.act == when && (s.name == "000000.seg" || when == actRename) {
							done = true
							c.do(t, p)
						}
						return nil
					}
					e, err := Run(t.Context(), im.target, im.plan(t), o)
					if err == nil {
						// A key that was erased already: its second name is told.
						if got := Classify(e); e.KeysLeft != 1 || got.Key == KeyComplete {
							t.Errorf("it went unseen: %s", got.Key)
						}
						return
					}
					if !im.exists(victim) {
						p = filepath.Join(filepath.Dir(p), erasedName(firstKeyLane, 0)) // it is on its way out
						check(t, os.Truncate(p, sizes[".age"]))
					} else {
						c.undo(t, p)
					}
					e, err = Run(t.Context(), im.target, m.last(t), options(m))
					for range 2 {
						if errors.Is(err, ErrNotErased) {
							e, err = Run(t.Context(), im.target, m.last(t), options(m))
						}
					}
					check(t, err)
					if got := Classify(e); got.Media == MediaFailed || got.Key == KeyNone || slices.Contains(got.Reasons, BecauseKeyFailed) || im.exists(testDir) || im.exists(testKeyDir) {
						t.Errorf("%s and %s because of %q", got.Key, got.Media, got.Reasons)
					}
				})
			}
		}
	}
}

// TestAPersonCanEndAnEraseThatHasPartsMissing: the keys that are there are destroyed
// first whatever is missing, and the class says what is so.
func TestAPersonCanEndAnEraseThatHasPartsMissing(t *testing.T) {
	gone := func(names ...string) func(t *testing.T, im *image) {
		return func(t *testing.T, im *image) {
			for _, n := range names {
				check(t, os.RemoveAll(im.path(n)))
			}
		}
	}
	for _, c := range []struct {
		name    string
		do      func(t *testing.T, im *image)
		refused error // of a plan without a person's word
		key     KeyClass
		media   MediaClass
		reasons []string
	}{
		{"a segment", gone(testDir + "/000001.seg"), nil, KeyPartial, MediaFailed, []string{BecauseMissing}},
		{"a key file", gone(testKeyDir + "/0001.age"), nil, KeyPartial, MediaRaw, []string{BecauseKeysMissing}},
		{"all key files", gone(testKeyDir), ErrKeysMissing, KeyNone, MediaRaw, []string{BecauseNoKeys}},
		{"the image", gone(testDir), ErrMissing, KeyPartial, MediaFailed, []string{BecauseMissing}},
		{"the case", gone(testCase), ErrMissing, KeyPartial, MediaFailed, []string{BecauseMissing}},
		{"all files of the image", gone(testDir+"/000000.seg", testDir+"/000001.seg", testDir+"/"+superblockName, testDir+"/"+sealName), ErrMissing, KeyPartial, MediaFailed, []string{BecauseMissing}},
		{"the image and the keys", gone(testDir, testKeyDir), ErrMissing, KeyNone, MediaFailed, []string{BecauseMissing, BecauseNoKeys}},
		{"all but the seal, and the keys", gone(testDir+"/000000.seg", testDir+"/000001.seg", testDir+"/"+superblockName, testKeyDir), ErrKeysMissing, KeyNone, MediaFailed, []string{BecauseMissing, BecauseNoKeys}},
		{"the content of a key file", func(t *testing.T, im *image) { scribble(t, im.path(testKeyDir+"/0001.age")) }, ErrForeign, KeyPartial, MediaRaw, []string{BecauseKeysChanged}},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := plain.put(t, t.TempDir())
			c.do(t, im)
			if c.refused != nil {
				_, err := Plan(t.Context(), im.target, rand.Reader)
				mustBe(t, err, c.refused)
			}
			im.target.AcceptChangedKeys, im.target.AcceptMissingKeys, im.target.AcceptMissingImage = true, true, true
			j := im.plan(t)
			reach := j.Reach()
			if reach.Media != c.media && (c.media == MediaFailed || reach.Media == MediaFailed) {
				t.Errorf("the plan promises %s", reach.Media)
			}
			m := &memory{}
			e, err := Run(t.Context(), im.target, j, options(m))
			if c.media == MediaFailed {
				mustBe(t, err, ErrNotErased)
				for _, k := range e.Keys {
					if b, err := os.ReadFile(im.path(testKeyDir + "/" + k.Name)); err != nil || looksLikeKey(b) || bytes.Contains(b, plain.content(k.Name)[100:200]) {
						t.Errorf("%s was not destroyed: %v", k.Name, err)
					}
				}
				o := options(m)
				o.UnlinkFailed = true
				e, err = Run(t.Context(), im.target, m.last(t), o)
			}
			check(t, err)
			got := Classify(e)
			if got.Key != c.key || rank(got.Media) > rank(c.media) || e.Stage != Unlinked {
				t.Errorf("%s and %s because of %q at %s, want %s and %s", got.Key, got.Media, got.Reasons, e.Stage, c.key, c.media)
			}
			for _, want := range c.reasons {
				if !slices.Contains(got.Reasons, want) {
					t.Errorf("reasons %q, want %q among them", got.Reasons, want)
				}
			}
			if im.exists(testKeyDir) {
				t.Error("the keys are left")
			}
		})
	}
}

// TestAnImageThatGoesMissingAfterItsKeysCanBeEnded
func TestAnImageThatGoesMissingAfterItsKeysCanBeEnded(t *testing.T) {
	for _, stage := range []Stage{KeyDone, Overwrite} {
		im := plain.put(t, t.TempDir())
		j, m := im.plan(t), &memory{}
		_ = stopAt(m, j, stage)
		if _, err := Run(t.Context(), im.target, j, options(m)); err == nil {
			t.Fatal("it was not stopped")
		}
		m.fail = nil
		check(t, os.RemoveAll(im.path(testDir)))
		o := options(m)
		o.UnlinkFailed = true
		_, err := Run(t.Context(), im.target, m.last(t), o)
		mustBe(t, err, ErrMissing)
		im.target.AcceptMissingImage = true
		e, err := Run(t.Context(), im.target, m.last(t), o)
		check(t, err)
		got := Classify(e)
		if got.Media != MediaFailed || got.Key == KeyNone || im.exists(testKeyDir) {
			t.Errorf("%s and %s because of %q", got.Key, got.Media, got.Reasons)
		}
		for _, f := range e.Files {
			if f.Removed || f.Change != Gone {
				t.Errorf("%s: removed %v, change %q", f.Name, f.Removed, f.Change)
			}
		}
	}
}

// TestALazilyUnmountedVaultHasVanished: its files can still be reached through what
// is open, but nobody can say where they lie.
func TestALazilyUnmountedVaultHasVanished(t *testing.T) {
	d := bestDisk(t)
	im := plain.put(t, d.mnt)
	j := im.plan(t)
	shell(t, "umount", "-l", d.mnt)
	_, err := Plan(t.Context(), im.target, rand.Reader)
	mustBe(t, err, ErrVanished)
	_, err = Run(t.Context(), im.target, j, options(&memory{}))
	mustBe(t, err, ErrVanished)
	im.target.Vault.Close()
}

// TestProgressNeverExceedsItsTotal, whatever a file has for holes or grows to.
func TestProgressNeverExceedsItsTotal(t *testing.T) {
	im := plain.put(t, t.TempDir())
	f, err := os.OpenFile(im.path(testDir+"/000000.seg"), os.O_RDWR, 0)
	check(t, err)
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 1<<20, 1<<20)
	f.Close()
	o := options(&memory{})
	ends := make(map[string]Progress)
	o.Progress = func(p Progress) {
		if p.Done > p.Total {
			t.Errorf("%s: %d of %d", p.What, p.Done, p.Total)
		}
		ends[p.What] = p
	}
	e, err := Run(t.Context(), im.target, im.plan(t), o)
	check(t, err)
	keys := Total(e.Keys)
	if got := ends["keys"]; got.Total != keys.Written+keys.Equal {
		t.Errorf("keys: %d bytes in all, want %d written and %d read back", got.Total, keys.Written, keys.Equal)
	}
	for what, p := range ends {
		if p.Done != p.Total {
			t.Errorf("%s ended at %d of %d", what, p.Done, p.Total)
		}
	}
}
