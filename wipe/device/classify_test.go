package device

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/wipe"
)

const testSize = 1 << 20

// best is evidence of which everything is as it should be.
func best() Evidence {
	return Evidence{
		Finished: true,
		Device:   Identity{Bytes: testSize, Serial: "S1", Transport: "sata", Rotating: wipe.Yes, Media: HardDisk, Hidden: Hidden{Known: true}},
		Needed:   1, Passes: 1, Written: testSize,
		Read:     ReadFacts{Equal: testSize, PastCache: true},
		Sanitize: SanitizeFacts{Action: OverwriteErase, Outcome: Succeeded, Looked: 3},
	}
}

// flaw is one thing that may be seen, and the best class that may then be said.
type flaw struct {
	name string
	put  func(*Evidence)
	most Class
}

// axes are independent of each other: of each, one value is the case.
func axes() [][]flaw {
	whole := wipe.Span{Len: 512}
	fine := flaw{"fine", func(*Evidence) {}, Purge}
	return [][]flaw{
		{fine, {"unfinished", func(e *Evidence) { e.Finished = false }, NotWiped}},
		{
			fine,
			{"a byte less written", func(e *Evidence) { e.Written-- }, NotWiped},
			{"more written than there is", func(e *Evidence) { e.Written++ }, NotWiped},
			{"nothing written", func(e *Evidence) { e.Written = 0 }, NotWiped},
			{"no pass", func(e *Evidence) { e.Passes = 0 }, NotWiped},
			{"a sector unwritten", func(e *Evidence) { e.Unwritten = Ranges{List: []wipe.Span{whole}, Bytes: 512} }, NotWiped},
			{"unwritten, unlisted", func(e *Evidence) { e.Unwritten = Ranges{More: 1} }, NotWiped},
			{"unwritten, uncounted", func(e *Evidence) { e.Unwritten = Ranges{List: []wipe.Span{whole}} }, NotWiped},
		},
		{
			fine,
			{"a byte less equal", func(e *Evidence) { e.Read.Equal-- }, NotWiped},
			{"a byte different", func(e *Evidence) { e.Read.Different = Ranges{List: []wipe.Span{{Len: 1}}, Bytes: 1} }, NotWiped},
			{"unreadable", func(e *Evidence) { e.Read.Unreadable = Ranges{List: []wipe.Span{whole}, Bytes: 512} }, NotWiped},
			{"unreadable, unlisted", func(e *Evidence) { e.Read.Unreadable = Ranges{More: 1} }, NotWiped},
		},
		{fine, {"cached", func(e *Evidence) { e.Read.PastCache = false }, NotAssured}},
		{
			fine,
			{"one pass of two", func(e *Evidence) { e.Needed = 2 }, NotAssured},
			{"the first pass had holes", func(e *Evidence) { e.Skipped = 512 }, NotAssured},
		},
		{
			fine,
			{"hidden sectors", func(e *Evidence) { e.Device.Hidden.Sectors = 8 }, NotAssured},
			{"not asked for hidden sectors", func(e *Evidence) { e.Device.Hidden.Known = false }, Purge},
		},
		{
			fine,
			{"virtual", func(e *Evidence) { e.Device.Virtual = []string{"loop"}; e.Device.Media = Virtual }, Clear},
			{"virtual by its media", func(e *Evidence) { e.Device.Media = Virtual }, Clear},
			{"virtual by its layers", func(e *Evidence) { e.Device.Virtual = []string{"dm"} }, Clear},
			{"behind USB", func(e *Evidence) { e.Device.Transport = "usb" }, Clear},
		},
		{fine, {"SSD", func(e *Evidence) { e.Device.Rotating = wipe.No }, Purge}, {"not known to spin", func(e *Evidence) { e.Device.Rotating = wipe.NotKnown }, Purge}},
		{
			fine,
			{"not asked to sanitize", func(e *Evidence) { e.Sanitize = SanitizeFacts{} }, Clear},
			{"asked and never answered", func(e *Evidence) { e.Sanitize.Outcome = NotAsked }, Clear},
			{"refused", func(e *Evidence) { e.Sanitize.Outcome = Refused }, Clear},
			{"failed", func(e *Evidence) { e.Sanitize.Outcome = Failed }, NotAssured},
			{"old content left", func(e *Evidence) { e.Sanitize.Left = 1 }, NotAssured},
			{"nothing to look for", func(e *Evidence) { e.Sanitize.Looked = 0 }, Clear},
			{"an outcome that nobody knows", func(e *Evidence) { e.Sanitize.Outcome = "perfect" }, Clear},
			{"success of nothing", func(e *Evidence) { e.Sanitize.Action = "" }, Clear},
		},
		{fine, {"empty", func(e *Evidence) { e.Device.Bytes = 0 }, NotWiped}},
		{fine, {"confirmed by name", func(e *Evidence) { e.ByName = true }, Purge}},
		{fine, {"discarded", func(e *Evidence) { e.Discarded = WasDiscarded }, Purge}},
	}
}

// TestEveryCombinationOfEvidence: the class is never better than the worst of what was
// seen, and a reason is given whenever it is not the best.
func TestEveryCombinationOfEvidence(t *testing.T) {
	all := axes()
	combinations := 0
	var walk func(axis int, e Evidence, most Class, names []string)
	walk = func(axis int, e Evidence, most Class, names []string) {
		if axis < len(all) {
			for _, f := range all[axis] {
				next := e
				f.put(&next)
				m := most
				if rank(f.most) < rank(m) {
					m = f.most
				}
				walk(axis+1, next, m, append(names, f.name))
			}
			return
		}
		combinations++
		v := Classify(e)
		if v.Class != most {
			t.Fatalf("%q: %s, want %s because of %q", names, v.Class, most, v.Reasons)
		}
		if (len(v.Reasons) == 0) != (v.Class == Purge) {
			t.Fatalf("%q: %s because of %q", names, v.Class, v.Reasons)
		}
		virtual := len(e.Device.Virtual) > 0 || e.Device.Media == Virtual
		if v.OnVirtual != virtual || virtual && !slices.Contains(v.NotCovered, BeyondVirtual) {
			t.Fatalf("%q: virtual %v, not covered %q", names, v.OnVirtual, v.NotCovered)
		}
		if v.Class != Purge && e.Device.Rotating != wipe.Yes && !slices.Contains(v.NotCovered, BeyondFlash) {
			t.Fatalf("%q: the spare blocks of flash are not named", names)
		}
		if e.Sanitize.Outcome == Succeeded && !slices.Contains(v.NotCovered, BeyondFirmware) {
			t.Fatalf("%q: it is not said that this was tried with emulated drives only", names)
		}
		if e.ByName != slices.Contains(v.NotCovered, BeyondName) {
			t.Fatalf("%q: the missing serial number", names)
		}
	}
	walk(0, best(), Purge, nil)
	if combinations < 100_000 {
		t.Errorf("%d combinations", combinations)
	}
}

func TestTheClassOfOrdinaryDevices(t *testing.T) {
	clear := best()
	clear.Sanitize = SanitizeFacts{}
	for _, c := range []struct {
		name string
		put  func(*Evidence)
		want Verdict
	}{
		{
			"a hard disk without sanitize", func(*Evidence) {},
			Verdict{Class: Clear, Reasons: []string{BecauseNotAsked}, NotCovered: []string{BeyondRemapped}},
		},
		{
			"a hard disk in a USB case",
			func(e *Evidence) { e.Device.Transport, e.Device.Hidden.Known = "usb", false },
			Verdict{Class: Clear, Reasons: []string{BecauseBridge}, NotCovered: []string{BeyondRemapped, BeyondHidden}},
		},
		{
			"a USB stick",
			func(e *Evidence) {
				e.Device.Transport, e.Device.Hidden.Known, e.Device.Rotating, e.Device.Media = "usb", false, wipe.NotKnown, Stick
				e.Needed, e.Passes = 2, 2
			},
			Verdict{Class: Clear, Reasons: []string{BecauseBridge}, NotCovered: []string{BeyondFlash, BeyondRemapped, BeyondHidden}},
		},
		{
			"a loop device",
			func(e *Evidence) {
				e.Device.Virtual, e.Device.Media, e.Device.Rotating, e.ByName = []string{"loop"}, Virtual, wipe.NotKnown, true
				e.Device.Hidden.Known = false
			},
			Verdict{
				Class: Clear, Reasons: []string{BecauseVirtual}, OnVirtual: true,
				NotCovered: []string{BeyondFlash, BeyondRemapped, BeyondHidden, BeyondVirtual, BeyondName},
			},
		},
	} {
		e := clear
		c.put(&e)
		if diff := cmp.Diff(c.want, Classify(e)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
