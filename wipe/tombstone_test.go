package wipe

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
)

// TestWhatCameBackIsErasedAgain: a copy of the vault, or a part of one, that is put
// back after the erase is gone after the next one, known from the tombstone alone.
func TestWhatCameBackIsErasedAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		take  []string // of the copy, what does not come back
		media bool     // content came back
		key   KeyClass
	}{
		{"all of it", nil, true, KeyComplete},
		{"the content alone", []string{testKeyDir}, true, KeyNone},
		{"a part of the content", []string{testKeyDir, testDir + "/000001.seg"}, true, KeyNone},
		{"one of the keys", []string{testDir, testKeyDir + "/0002.age"}, false, KeyPartial},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDisk(t, 64, "", "mkfs.ext4", "-q", "-F")
			im := plain.put(t, d.mnt)
			stone := Tombstone{UUID: im.target.UUID, Dir: testDir, CaseDir: testCase, KeyDir: testKeyDir, Keys: im.target.ExpectedKeys}
			_, err := Run(t.Context(), im.target, im.plan(t), options(&memory{}))
			check(t, err)

			im = plain.put(t, d.mnt) // somebody puts it back
			for _, name := range c.take {
				check(t, os.RemoveAll(filepath.Join(d.mnt, name)))
			}
			target := stone.Target(im.target.Vault, im.target.Keystore, im.target.KeystoreName)
			j, err := Plan(t.Context(), target, rand.Reader)
			check(t, err)
			o := options(&memory{})
			o.UnlinkFailed = !c.media
			e, err := Run(t.Context(), target, j, o)
			check(t, err)
			got := Classify(e)
			if (got.Media == MediaRaw) != c.media || got.Key != c.key {
				t.Errorf("%s and %s because of %q", got.Key, got.Media, got.Reasons)
			}
			if im.exists(testDir) || im.exists(testKeyDir) {
				t.Error("something is left")
			}
			if n := d.holds(t, plain.content("000000.seg")[markBlock:], plain.content("0001.age")); c.media && n != 0 {
				t.Errorf("%d old blocks are left", n)
			}
		})
	}
}
