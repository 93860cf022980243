package custody

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An erased image that lies in its vault again is a copy of its own: it is shown, may
// be erased at any time unless a hold blocks it, and ends by itself.
func TestAnErasedImageThatComesBackIsErasedAgain(t *testing.T) {
	opened := CaseOpened{Purpose: PurposeCrash, Language: Dutch}
	done := EraseDone{"j1", "image-01", KeysComplete, MediaRaw, false, 1, 2, 3, 4, 5, 6}
	again, keysOnly, failed := done, done, done
	again.Job, keysOnly.Job, failed.Job = "j2", "j2", "j2"
	keysOnly.Files, keysOnly.Media = 0, MediaFailed
	failed.Media = MediaFailed
	back := ImageReturned{"image-01", 3, 1}
	begin := []Payload{opened, begun("image-01"), EraseStarted{"j1", "image-01", true}, done}
	hold := HoldAdded{"h1", HoldLegal, "2027-01-01"}
	for name, test := range map[string]struct {
		then  []Payload
		left  bool
		fate  CopyFate // of what came back
		kinds []ExceptionKind
		may   error // erase it
	}{
		"erased":               {nil, false, "", nil, ErrErased},
		"back":                 {[]Payload{back}, true, "", []ExceptionKind{CameBack}, nil},
		"seen twice":           {[]Payload{back, back}, true, "", []ExceptionKind{CameBack}, nil},
		"back under a hold":    {[]Payload{hold, back}, true, "", []ExceptionKind{CameBack, HeldButErased}, ErrHeld},
		"being erased":         {[]Payload{back, EraseStarted{"j2", "image-01", false}}, true, "", []ExceptionKind{CameBack}, nil},
		"stopped":              {[]Payload{back, EraseStarted{"j2", "image-01", false}, EraseFailed{"j2", "image-01", StepOverwrite}}, true, "", []ExceptionKind{CameBack}, nil},
		"erased again":         {[]Payload{back, EraseStarted{"j2", "image-01", false}, again}, false, CopyIsErased, nil, ErrErased},
		"its keys alone":       {[]Payload{back, EraseStarted{"j2", "image-01", false}, keysOnly}, false, CopyIsErased, nil, ErrErased},
		"nothing proved":       {[]Payload{back, EraseStarted{"j2", "image-01", false}, failed}, true, "", []ExceptionKind{CameBack, NotProved}, nil},
		"proved by another":    {[]Payload{back, EraseStarted{"j3", "image-01", false}, again}, true, "", []ExceptionKind{CameBack}, nil},
		"taken away":           {[]Payload{back, ImageReturned{Image: "image-01"}}, false, CopyTaken, []ExceptionKind{CameBack}, ErrErased},
		"its medium destroyed": {[]Payload{back, MediumDestroyed{Kind: CopyImage, Image: "image-01", Method: DestroyDrill, Date: "2026-11-21", Witness: "op-7f3a"}}, false, CopyDestroyed, nil, ErrErased},
		"back a second time":   {[]Payload{back, EraseStarted{"j2", "image-01", false}, again, back}, true, "", []ExceptionKind{CameBack}, nil},
	} {
		c := tale(append(begin[:len(begin):len(begin)], test.then...)...)
		i, _ := c.Image("image-01")
		if i.State != ImageIsErased || i.Remains() != test.left || c.Erased() == test.left || i.Erase.Job != "j1" {
			t.Errorf("%s: state %s, left %v, job %s", name, i.State, i.Remains(), i.Erase.Job)
		}
		if d := cmp.Diff(test.kinds, kinds(c)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if n := len(i.Returns); n > 0 && i.Returns[n-1].End.Fate != test.fate {
			t.Errorf("%s: it ended %q", name, i.Returns[n-1].End.Fate)
		}
		// Long before the deadline: what was erased once is due at once.
		if err := c.MayErase("image-01", mustTime("2026-11-22T00:00:00Z"), false); !errors.Is(err, test.may) || err == nil && test.may != nil {
			t.Errorf("%s: may erase: %v, want %v", name, err, test.may)
		}
	}
	if c := tale(opened, begun("image-01"), back); c.Images[0].Returned() {
		t.Error("what was never erased came back")
	}
}

// A key in another keystore outlives its image until it is accounted for.
func TestAKeyInAnotherKeystoreEndsByItself(t *testing.T) {
	key := func(keystore string) KeyWrapped {
		return KeyWrapped{"image-01", 1, SessionID{2}, keystore, "a.age", Hash{3}, []string{"k1", "k2"}}
	}
	gone := func(job, keystore string, sum byte, proved bool) EraseProved {
		return EraseProved{Job: job, Image: "image-01", Step: StepKeyDone, Keystore: keystore, Copies: []KeyDestroyed{{"a.age", Hash{sum}, proved}}}
	}
	done := EraseDone{"j1", "image-01", KeysPartial, MediaRaw, false, 1, 1, 3, 4, 5, 6}
	complete := done
	complete.Keys, complete.KeyFiles = KeysComplete, 2
	begin := []Payload{CaseOpened{Purpose: PurposeCrash, Language: Dutch}, begun("image-01"), key("v1"), key("v2"), EraseStarted{"j1", "image-01", true}}
	for name, test := range map[string]struct {
		then  []Payload
		left  bool
		fates []CopyFate // of the keys in v1 and v2
		class KeyClass
	}{
		"away":             {[]Payload{gone("j1", "v1", 3, true), done}, true, []CopyFate{CopyIsErased, ""}, KeysPartial},
		"without a record": {[]Payload{done}, true, []CopyFate{CopyVoid, ""}, KeysPartial},
		"both":             {[]Payload{gone("j2", "v2", 3, true), gone("j1", "v1", 3, true), complete}, false, []CopyFate{CopyIsErased, CopyIsErased}, KeysComplete},
		"later":            {[]Payload{gone("j1", "v1", 3, true), done, gone("j2", "v2", 3, true)}, false, []CopyFate{CopyIsErased, CopyIsErased}, KeysPartial},
		"later, completed": {[]Payload{gone("j1", "v1", 3, true), done, gone("j2", "v2", 3, true), complete}, false, []CopyFate{CopyIsErased, CopyIsErased}, KeysComplete},
		"never worse":      {[]Payload{gone("j2", "v2", 3, true), complete, done}, false, []CopyFate{CopyIsErased, CopyIsErased}, KeysComplete},
		"not provable":     {[]Payload{gone("j2", "v2", 3, false), done}, false, []CopyFate{CopyVoid, CopyVoid}, KeysPartial},
		"back, no proof":   {[]Payload{gone("j2", "v2", 3, true), done, gone("j3", "v2", 3, false)}, false, []CopyFate{CopyVoid, CopyVoid}, KeysPartial},
		"first no proof":   {[]Payload{gone("j2", "v2", 3, false), done, gone("j3", "v2", 3, true)}, false, []CopyFate{CopyVoid, CopyIsErased}, KeysPartial},
		"another file":     {[]Payload{gone("j2", "v2", 9, true), done}, true, []CopyFate{CopyVoid, ""}, KeysPartial},
		"another keystore": {[]Payload{gone("j2", "v3", 3, true), done}, true, []CopyFate{CopyVoid, ""}, KeysPartial},
		"medium destroyed": {[]Payload{done, MediumDestroyed{Kind: CopyKey, Image: "image-01", File: "a.age", Store: "v2", Method: DestroyDrill, Date: "2026-11-21", Witness: "op-7f3a"}}, false, []CopyFate{CopyVoid, CopyDestroyed}, KeysPartial},
	} {
		c := tale(append(begin[:len(begin):len(begin)], test.then...)...)
		i, _ := c.Image("image-01")
		if i.State != ImageIsErased || i.Remains() != test.left || i.Erase.Keys != test.class || c.Due(mustTime("2030-01-01T00:00:00Z")) != test.left {
			t.Errorf("%s: %s, left %v, due %v, keys %s", name, i.State, i.Remains(), c.Due(time.Now()), i.Erase.Keys)
		}
		var fates []CopyFate
		for _, x := range c.Inventory() {
			if x.Kind == CopyKey {
				fates = append(fates, x.End.Fate)
			}
		}
		if d := cmp.Diff(test.fates, fates); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		wantOpen := 0
		if test.left {
			wantOpen = 1
		}
		if len(c.Open()) != wantOpen {
			t.Errorf("%s: open copies %v", name, c.Open())
		}
	}
}

// Of a key file that came back the last proof counts, whatever the clocks say; of two
// stations that did not know of each other neither can be believed more than the other.
func TestTheLastProofOfAKeyCounts(t *testing.T) {
	key := KeyWrapped{"image-01", 1, SessionID{2}, "v2", "a.age", Hash{3}, []string{"k1", "k2"}}
	gone := func(job string, proved bool) EraseProved {
		return EraseProved{Job: job, Image: "image-01", Step: StepKeyDone, Keystore: "v2", Copies: []KeyDestroyed{{"a.age", Hash{3}, proved}}}
	}
	at := func(station string, seq int64, ts string, p Payload, heads ...Ref) Event {
		return Event{Station: station, Seq: seq, TS: At(mustTime(ts)), Case: "B1-2026-0001", Pub: p, CaseHeads: heads}
	}
	begin := []Event{
		at("B1", 1, "2026-11-20T08:00:00Z", CaseOpened{Purpose: PurposeCrash, Language: Dutch}),
		at("B1", 2, "2026-11-20T08:01:00Z", begun("image-01")),
		at("B1", 3, "2026-11-20T08:02:00Z", key),
	}
	known := Ref{Station: "B1", Seq: 3}
	for name, test := range map[string]struct {
		here, there Event // there is the other station's
		job         string
		proved      bool
	}{
		"later, by a clock that is behind": {
			at("B1", 4, "2026-11-21T08:00:00Z", gone("j1", true)),
			at("NAS", 1, "2026-11-19T08:00:00Z", gone("j2", false), Ref{Station: "B1", Seq: 4}), "j2", false,
		},
		"later and better": {
			at("B1", 4, "2026-11-21T08:00:00Z", gone("j1", false)),
			at("NAS", 1, "2026-11-19T08:00:00Z", gone("j2", true), Ref{Station: "B1", Seq: 4}), "j2", true,
		},
		"at once, the worse is earlier": {
			at("B1", 4, "2026-11-21T08:00:00Z", gone("j1", true)),
			at("NAS", 1, "2026-11-20T09:00:00Z", gone("j2", false), known), "j2", false,
		},
		"at once, the worse is later": {
			at("B1", 4, "2026-11-21T08:00:00Z", gone("j1", true)),
			at("NAS", 1, "2026-11-22T09:00:00Z", gone("j2", false), known), "j2", false,
		},
	} {
		for _, events := range [][]Event{{test.here, test.there}, {test.there, test.here}} {
			c := FoldCase("B1-2026-0001", append(events, begin...))
			g := c.Images[0].Keys[0].Gone
			if g == nil || g.Job != test.job || g.Proved != test.proved {
				t.Errorf("%s: %+v", name, g)
			}
		}
	}
}
