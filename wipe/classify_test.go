package wipe

import (
	"runtime"
	"slices"
	"sync"
	"testing"
)

// space runs through every combination of choices: the classifier is asked about
// all of them, and none of its answers rests on a sample.
type space struct {
	sizes []int
	at    []int
}

func (s *space) next() bool {
	for i := range s.at {
		if s.at[i]++; s.at[i] < s.sizes[i] {
			return true
		}
		s.at[i] = 0
	}
	return false
}

// each calls f with every combination; the first choice is spread over the processors.
func each(t *testing.T, sizes []int, f func(c []int) (string, bool)) {
	t.Helper()
	var wg sync.WaitGroup
	work := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for first := range work {
				s := space{sizes: sizes[1:], at: make([]int, len(sizes)-1)}
				c := make([]int, len(sizes))
				for more := true; more; more = s.next() {
					c[0] = first
					copy(c[1:], s.at)
					if what, ok := f(c); !ok {
						t.Errorf("choices %v: %s", c, what)
						break
					}
				}
			}
		})
	}
	for i := range sizes[0] {
		work <- i
	}
	close(work)
	wg.Wait()
}

const size = 8192

var (
	allStages = []Stage{Planned, KeyDone, Overwrite, Verified, Unlinked, Attested, "NONSENSE"}
	allKinds  = []Kind{InPlace, Somewhere, CopyFirst, Memory, Unknown, "", "nonsense"}
	here      = Map{Known: true, Extents: 1, Digest: Digest{1}}
	there     = Map{Known: true, Extents: 1, Digest: Digest{2}}
	doubts    = []func(*Map){
		func(*Map) {},
		func(m *Map) { m.Shared = true },
		func(m *Map) { m.Encoded = true },
		func(m *Map) { m.Inline = true },
		func(m *Map) { m.Holes = true },
		func(m *Map) { m.Journal = true },
		func(m *Map) { m.Late = true },
		func(m *Map) { m.Undated = true },
	}
)

// TestClassifyOfMediaNeverClaimsMoreThanWasShown asks about every combination of
// the evidence for one file, and holds the answer against the definitions of the
// classes, written down a second time as plain conditions.
func TestClassifyOfMediaNeverClaimsMoreThanWasShown(t *testing.T) {
	sizes := []int{
		len(allKinds), len(allStages) + 8 /* missing, lost, strays, residue, left; missing, lost, nothing there after a verified job */, 3 /* changed, restored */, 2 /* written */, 2 /* unwritten */, 3, /* equal */
		2 /* different */, 2 /* unreadable */, 2 /* past cache */, 5 /* raw */, 2 /* before known */, 4, /* after */
		2*len(doubts) - 1, 2, /* snapshots */
	}
	each(t, sizes, func(c []int) (string, bool) {
		e := Evidence{Stage: Unlinked, Vault: Place{Kind: allKinds[c[0]]}}
		switch around := c[1] - len(allStages); around {
		case 0:
			e.Missing = 1
		case 1:
			e.Lost = 1
		case 2:
			e.Strays = 1
		case 3:
			e.Residue.Found = 1
		case 4:
			e.Left = 1
		case 5:
			e.Missing, e.TakenVerified = 1, true
		case 6:
			e.Lost, e.TakenVerified = 1, true
		case 7:
			e.TakenVerified = true
		default:
			e.Stage = allStages[c[1]]
		}
		f := FileEvidence{Bytes: size, Facts: Facts{
			Written:    size - 512*int64(c[3]),
			Unwritten:  512 * int64(c[4]),
			Equal:      []int64{size, size - 1, size + 1}[c[5]],
			Different:  int64(c[6]),
			Unreadable: 512 * int64(c[7]),
			PastCache:  c[8] == 1,
		}}
		f.Restored = c[2] == 2
		if c[2] == 1 {
			f.Change = Truncated
		}
		switch c[9] {
		case 1:
			f.Facts.Raw, f.Facts.RawEqual = true, size
		case 2:
			f.Facts.Raw, f.Facts.RawEqual = true, size-1
		case 3:
			f.Facts.Raw, f.Facts.RawEqual, f.Facts.RawDifferent = true, size, 1
		case 4:
			f.Facts.Raw, f.Facts.RawEqual, f.Facts.RawUnreadable = true, size, 512
		}
		if c[10] == 1 {
			f.Before = here
		}
		if c[12] < len(doubts) {
			doubts[c[12]](&f.Before)
		}
		switch c[11] {
		case 1:
			m := here
			f.After = &m
		case 2:
			m := there
			f.After = &m
		case 3:
			f.After = &Map{}
		}
		if f.After != nil && c[12] >= len(doubts) {
			doubts[c[12]-len(doubts)+1](f.After)
		}
		if c[13] == 1 {
			e.Vault.Snapshots = []string{".snapshots"}
		}
		removed := c[1]-len(allStages) >= 5
		if c[1]-len(allStages) < 7 {
			e.Files = []FileEvidence{f}
		}
		if len(e.Files) == 0 {
			got := Class{}
			got.Media = classifyMedia(e, &got)
			return "nothing there after a verified job: " + string(got.Media), got.Media == MediaNotAssured && len(got.Reasons) == 1
		}

		finished := e.Stage == Verified || e.Stage == Unlinked || e.Stage == Attested
		everyByte := c[3] == 0 && c[4] == 0 && c[5] == 0 && c[6] == 0 && c[7] == 0
		rawRead, rawWrong := c[9] == 1, c[9] >= 2
		failed := !finished || c[2] == 1 || !everyByte || rawWrong || !removed && (e.Missing == 1 || e.Lost == 1)
		samePlace := c[10] == 1 && c[11] == 1
		doubt := removed || c[8] == 0 || c[13] == 1 || e.Strays == 1 || e.Left == 1 || c[2] == 2 || e.Residue.Found == 1 ||
			c[12] > 0 && (c[12] < len(doubts) || f.After != nil)
		var want MediaClass
		switch {
		case failed:
			want = MediaFailed
		case doubt:
			want = MediaNotAssured
		case e.Vault.Kind == InPlace && samePlace && rawRead:
			want = MediaRaw
		case e.Vault.Kind == InPlace && samePlace:
			want = MediaLogical
		case e.Vault.Kind == Somewhere && (c[10] == 0 || samePlace):
			want = MediaLogical
		default:
			want = MediaNotAssured
		}
		var got Class
		got.Media = classifyMedia(e, &got)
		if got.Media != want {
			return string(got.Media) + ", want " + string(want), false
		}
		if (want == MediaRaw) != (len(got.Reasons) == 0) {
			return "a class below the best needs a reason, the best has none", false
		}
		return "", true
	})
}

// TestClassOfMediaIsThatOfItsWorstFile: one file among many decides.
func TestClassOfMediaIsThatOfItsWorstFile(t *testing.T) {
	file := func(rank int) FileEvidence {
		after := here
		f := FileEvidence{Bytes: size, Before: here, After: &after, Facts: Facts{Written: size, Equal: size, PastCache: true, Raw: true, RawEqual: size}}
		switch rank {
		case 0:
			f.Facts.Equal--
		case 1:
			f.Before.Shared = true
		case 2:
			f.Facts.Raw = false
		}
		return f
	}
	classes := []MediaClass{MediaFailed, MediaNotAssured, MediaLogical, MediaRaw}
	each(t, []int{4, 4, 4}, func(c []int) (string, bool) {
		e := Evidence{Stage: Unlinked, Vault: Place{Kind: InPlace}}
		for _, k := range c {
			e.Files = append(e.Files, file(k))
		}
		got := Classify(e).Media
		return string(got), got == classes[slices.Min(c)]
	})
	if got := Classify(Evidence{Stage: Unlinked, Vault: Place{Kind: InPlace}}).Media; got != MediaFailed {
		t.Errorf("no file at all: %s, want FAILED", got)
	}
}

// TestClassifyOfKeysNeverClaimsMoreThanWasShown does the same for the keys.
func TestClassifyOfKeysNeverClaimsMoreThanWasShown(t *testing.T) {
	// What became of up to two key files: proved, overwritten without proof, failed,
	// put back and destroyed once more.
	var fates [][]int
	for a := range 4 {
		fates = append(fates, []int{a})
		for b := range 4 {
			fates = append(fates, []int{a, b})
		}
	}
	fates = append(fates, nil)
	attempts := []Attempt{NotTried, Shut, KeyLeft, Opened, "nonsense"}
	kinds := []Kind{InPlace, Somewhere, "nonsense"} // all of them: above
	turns := []Answer{NotKnown, Yes, No}
	const (
		byProof = iota + 1
		byRecord
		inVain
		onceMore // by a record, and its file was still there
		begun
	)
	sizes := []int{len(fates), 6 /* other jobs */, 4 /* expected */, 2 /* elsewhere */, 2 /* missing */, 2 /* changed */, 2, /* unrecorded */
		2 /* sessions */, len(attempts), len(turns), 2 /* virtual */, 2 /* snapshots */, 2 /* residue */, len(kinds), 3 /* strays, left */}
	each(t, sizes, func(c []int) (string, bool) {
		fate, other := fates[c[0]], c[1]
		c = c[1:]
		e := Evidence{
			Stage: Unlinked, Taken: other == begun,
			Keystore: Place{Kind: kinds[c[12]], Rotating: turns[c[8]]},
			KeyFacts: KeyFacts{Expected: c[1], Elsewhere: c[2], Missing: c[3], Changed: c[4], Unrecorded: c[5], Sessions: c[6], Attempt: attempts[c[7]]},
			Residue:  ResidueFacts{Keys: c[11]},
		}
		switch c[13] {
		case 1:
			e.KeyFacts.Strays = 1
		case 2:
			e.KeysLeft = 1
		}
		if c[9] == 1 {
			e.Keystore.Virtual = []string{"loop"}
		}
		if c[10] == 1 {
			e.Keystore.Snapshots = []string{".snapshot"}
		}
		others := 0
		switch other {
		case byProof:
			e.KeyFacts.Proved, others = 1, 1
		case byRecord:
			e.KeyFacts.Recorded, others = 1, 1
		case inVain:
			e.KeyFacts.Unproved, others = 1, 1
		case onceMore:
			e.KeyFacts.Recorded, e.KeyFacts.Again, others = 1, 1, 1
		}
		failed, unproved := 0, 0
		for _, k := range fate {
			after := here
			f := FileEvidence{Bytes: size, Before: here, After: &after, Facts: Facts{Written: size, Equal: size, PastCache: true, Raw: true, RawEqual: size}}
			switch k {
			case 1:
				f.After = &Map{Known: true, Digest: Digest{9}}
				unproved++
			case 2:
				f.Facts.Different = 1
				failed++
			case 3:
				f.Restored = true
				unproved++
			}
			e.Keys = append(e.Keys, f)
		}

		// What held no key when it was overwritten is no key that was destroyed.
		none := len(fate)-failed-c[4]-e.KeyFacts.Again+others <= 0 || attempts[c[7]] == Opened
		spinning := turns[c[8]] == Yes || turns[c[8]] == NotKnown && c[9] == 1
		complete := (other == 0 || other == byProof || other == begun) && failed == 0 && unproved == 0 && c[1] > 0 && c[2]+c[3]+c[4]+c[6]+c[11]+c[13] == 0 &&
			len(fate) == c[1]-c[2]-c[3]-others+c[5] && attempts[c[7]] == Shut && (len(fate) == 0 || spinning && c[10] == 0 && kinds[c[12]] == InPlace)
		want := KeyPartial
		switch {
		case none:
			want = KeyNone
		case complete:
			want = KeyComplete
		}
		var got Class
		got.Key = classifyKeys(e, &got)
		if got.Key != want {
			return string(got.Key) + ", want " + string(want), false
		}
		if (want == KeyComplete) != (len(got.Reasons) == 0) {
			return "a class below the best needs a reason, the best has none", false
		}
		return "", true
	})
}

func TestClassifySaysWhatItDoesNotCover(t *testing.T) {
	disk := Place{Kind: InPlace, Rotating: Yes}
	for _, c := range []struct {
		name    string
		e       Evidence
		virtual bool
		want    []string
	}{
		{"spinning disk", Evidence{Vault: disk, Keystore: disk}, false, []string{BeyondSnapshots, BeyondEarlier}},
		{"flash", Evidence{Vault: Place{Kind: InPlace, Rotating: No}, Keystore: disk}, false, []string{BeyondFlash, BeyondSnapshots, BeyondEarlier}},
		{"keys on a virtual disk", Evidence{Vault: disk, Keystore: Place{Kind: InPlace, Virtual: []string{"dm", "loop"}}}, true, []string{"dm", "loop", BeyondFlash, BeyondSnapshots, BeyondEarlier}},
		{"share", Evidence{Vault: Place{Kind: Somewhere}, Keystore: disk}, false, []string{BeyondFlash, BeyondServer, BeyondSnapshots, BeyondEarlier}},
		{"share that does not say", Evidence{Vault: Place{Kind: Somewhere, Unanswered: true}, Keystore: disk}, false, []string{BeyondFlash, BeyondServer, BeyondUnanswered, BeyondSnapshots, BeyondEarlier}},
		{"looked through", Evidence{Vault: disk, Keystore: disk, Residue: ResidueFacts{Done: true}}, false, []string{BeyondSnapshots}},
		{"looked through in part", Evidence{Vault: disk, Keystore: disk, Residue: ResidueFacts{Done: true, Unread: 512}}, false, []string{BeyondSnapshots, BeyondEarlier}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Classify(c.e)
			if got.VirtualDevice != c.virtual || !slices.Equal(got.NotCovered, c.want) {
				t.Errorf("virtual %v, not covered %q; want %v, %q", got.VirtualDevice, got.NotCovered, c.virtual, c.want)
			}
		})
	}
}
