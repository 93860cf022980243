package triage

import (
	"testing"

	"salvor/rescue"
	"salvor/rescue/layout"
	"salvor/rescue/mapfile"
)

// TestBadSectorBesideTheSuperblockHidesNoVolume has one bad sector of no importance in the
// first MiB of a disk that does not say which sector failed. The read of that MiB brings
// nothing; what it hides is read by itself, and free space is spared.
func TestBadSectorBesideTheSuperblockHidesNoVolume(t *testing.T) {
	for _, name := range []string{"ext4", "ntfs", "fat32", "hfsplus"} {
		t.Run(name, func(t *testing.T) {
			data := seed(t, name)
			tiers := tierMap(truth(t, data, layout.Options{}), int64(len(data)/512))
			at := int64(-1)
			for s := int64(16); s < 2048 && s < int64(len(tiers)); s++ {
				if tiers[s] > rescue.TierMetadata {
					at = s
				}
			}
			if at < 0 {
				t.Skip("all of the first MiB is metadata")
			}
			spare := func(bad ...int64) (spared, missed int) {
				r := run{d: newDisk(data, bad...), so: rescue.StrategyOptions{Used: true}}
				r.d.mute = true
				r.do(t)
				if r.err != nil {
					t.Fatal(r.err)
				}
				for s, tier := range tiers {
					switch status := r.m.Get(int64(s)).Status; {
					case tier == rescue.TierFree && status == mapfile.Untried:
						spared++
					case tier != rescue.TierFree && status != mapfile.Rescued && int64(s) != at:
						missed++
					}
				}
				return spared, missed
			}
			whole, _ := spare()
			spared, missed := spare(at)
			t.Logf("%d of %d free sectors spared", spared, whole)
			if spared < whole/2 || missed > 0 {
				t.Errorf("%d free sectors spared, of a whole disk %d; %d used ones missed", spared, whole, missed)
			}
		})
	}
}
