package custody

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const oneCase = CaseNo("T1-2026-0001")

// A history is what several stations have recorded, each knowing only what it
// had heard of at the time.
type history struct {
	stations []*teller
	all      []Event
}

type teller struct {
	name  string
	known []Event // in the order in which they arrived here
	last  Hash
	seq   int64
	skew  time.Duration
}

// tell records an event as a station would: it names the events of the case
// that it knows and that no other names.
func (h *history) tell(s *teller, at time.Time, no CaseNo, p Payload) Event {
	return h.tellAs(s, at, no, itemOf(no, "1", p), "op-7f3a", p)
}

// itemOf is the item that an event of the case must name, if it is to be about that one.
func itemOf(no CaseNo, item string, p Payload) string {
	a, attest := p.(AttestIssued)
	if no != "" && (p.Type().ofItem() || attest && a.Image == "") {
		return item
	}
	return ""
}

func (h *history) tellAs(s *teller, at time.Time, no CaseNo, item, op string, p Payload) Event {
	s.seq++
	e := Event{
		ID: "01KB0F4VY9V3QK3Y8M6T2R7W5Z", Station: s.name, Seq: s.seq, Prev: s.last, TS: At(at.Add(s.skew)),
		Case: no, Item: item, Op: op, Pub: p,
	}
	if no != "" {
		e.CaseHeads = FoldCase(no, s.known).Heads
	}
	text, err := e.Encode()
	if err != nil {
		panic(err)
	}
	s.last = Leaf(text)
	s.known = append(s.known, e)
	h.all = append(h.all, e)
	return e
}

// drawPayload draws anything that could be recorded about the case, allowed or
// not: stations that do not hear of each other break every rule.
func drawPayload(t *rapid.T, at time.Time) Payload {
	image := rapid.SampledFrom([]string{"image-01", "image-02"}).Draw(t, "image")
	hold := rapid.SampledFrom([]string{"h1", "h2", "h3"}).Draw(t, "hold")
	days := rapid.IntRange(0, 360).Draw(t, "days")
	copied := rapid.SampledFrom([]string{"c1", "c2", "T1/3"}).Draw(t, "copy")
	op := rapid.SampledFrom([]string{"op-0001", "op-0002"}).Draw(t, "taker")
	keep, _ := ParseKeep("90d")
	media := rapid.SampledFrom([]MediaClass{MediaRaw, MediaLogical, MediaNotAssured, MediaFailed}).Draw(t, "media")
	keys := rapid.SampledFrom([]KeyClass{KeysComplete, KeysPartial, KeysNone}).Draw(t, "keys")
	return rapid.SampledFrom([]Payload{
		CaseOpened{Purpose: PurposeCrash, Language: Dutch, Business: days%2 == 0},
		AgreementRecorded{Notice: fmt.Sprint(days)},
		ItemReceived{Item: "1", Kind: ItemHDD, Bytes: int64(days)},
		ImageStarted{image, UUID{1}, "v1", "1", 1, 512, 4096, At(at), At(at.AddDate(0, 0, days))},
		KeyWrapped{image, 1 + days%3, SessionID{2}, "v1", "a.age", Hash{3}, []string{"k1", "k2"}},
		ImagePaused{image, int64(days), 2, 3, StopInterrupted},
		ImageFailed{image, int64(days), 2, 3, StopSource},
		ImageSealed{image, Hash{4}, 5, 6, 7, int64(days), 9, 10, true, false},
		ImageReopened{image, Hash{4}},
		ImageVerified{image, VerifyMedia, true, 11, 12},
		DataOpened{Image: image, Use: UseRestore},
		DataRestored{Image: image, Target: TargetDevice, Bytes: 13, Unread: 14},
		DataRestored{Image: image, Target: TargetDevice, Bytes: 13, Unread: 14, Export: Export{Copy: "c1"}},
		DeadlineSet{At(at.AddDate(0, 0, days)), keep},
		DeadlineShortened{At(at.AddDate(0, 0, days))},
		HoldAdded{hold, HoldLegal, "2027-01-01"},
		HoldEnded{hold},
		EraseStarted{"j1", image, true},
		EraseFailed{"j1", image, rapid.SampledFrom([]EraseStep{StepPlanned, StepOverwrite}).Draw(t, "step")},
		EraseDone{"j1", image, keys, media, true, 1, 2, 3, 4, 5, 6},
		EraseProved{Job: "j1", Image: image, Step: StepKeyDone, Keystore: "v2", Copies: []KeyDestroyed{{"a.age", Hash{3}, days%2 == 0}}},
		ImageReturned{image, int64(days % 3), 0},
		AttestIssued{"a1", Hash{5}, image, keys, media},
		PaperPrinted{PaperCustody, FormatPDF, German},
		PrivateErased{[]Ref{{"T1", 3}, {"T1", int64(4 + days)}}},
		CaseClosed{},
		CustomerConfirmed{ConfirmedMail, At(at.AddDate(0, 0, days))},
		DataExtracted{image, TargetFile, 1, 2, 0, Export{"c2", days%2 == 0, days%3 == 0, days%5 == 0}},
		DataReturned{Copy: copied, Medium: MediumSold, To: RecipientOwner, Checked: CheckedCode},
		CopyErased{Copy: copied, Media: media},
		CopyErased{Item: "1", Media: media},
		Offered{hold, op, "op-0003", TransferImaging, SealIntact},
		Accepted{"op-0003", op, TransferImaging, SealBroken, "L-03", hold},
		Accepted{"op-0003", op, TransferShift, SealNone, "", ""},
		PlaceChanged{fmt.Sprintf("L-%02d", days)},
		SealApplied{hold},
		SealChecked{hold, SealIntact},
		SentExternal{"lab", ServiceRecovery, CarrierPost, SealIntact, "2027-01-01"},
		BackExternal{"lab", CarrierPost, SealOpened, "L-01"},
		ItemReturned{RecipientOwner, CheckedCode, SealIntact},
		MediumDestroyed{Kind: CopyItem, Item: "1", Method: DestroyDrill, Date: "2026-11-21", Witness: op},
		MediumDestroyed{Kind: CopyImage, Image: image, Method: DestroyDrill, Date: "2026-11-21", Witness: op},
		PurgeProposed{hold, []string{image}, At(at)},
		PurgeValidated{hold},
		MediumEraseStarted{hold, int64(1 + days%3)},
		MediumEraseFailed{hold, StepOverwrite},
		MediumEraseDone{hold, rapid.SampledFrom([]MediaClass{MediaRaw, MediaFailed}).Draw(t, "proved"), true, false, 8, 8, 8, 0, 0},
		AttestIssued{Attest: hold, SHA256: Hash{5}, Media: media},
		EventCorrected{Ref{"T1", int64(1 + days%4)}, []string{FieldPhone}},
		drawRegister(t, at),
	}).Draw(t, "payload")
}

// drawRegister draws what could be recorded in a register of requests or
// incidents.
func drawRegister(t *rapid.T, at time.Time) Payload {
	id := rapid.SampledFrom([]string{"x1", "x2"}).Draw(t, "id")
	told := At(at.Add(time.Duration(rapid.IntRange(-99, 99).Draw(t, "told")) * time.Hour))
	risk := rapid.SampledFrom([]Risk{RiskNone, RiskSome, RiskHigh}).Draw(t, "risk")
	return rapid.SampledFrom([]Payload{
		RequestReceived{id, RequestAccess, At(at), At(at.Add(24 * time.Hour))},
		RequestExtended{id, told, At(told.Add(48 * time.Hour)), ExtensionMany},
		RequestAnswered{id, told, OutcomeGranted, ""},
		IncidentOpened{Incident: id, Kind: IncidentLost, Aware: told, Role: RoleController, AuthorityDue: At(told.Add(time.Hour)), Cases: []CaseNo{oneCase}},
		IncidentAssessed{id, risk, 1, 2, []CaseNo{oneCase, "T1-2026-0002"}},
		IncidentControllerNotified{id, told, ""},
		IncidentAuthorityNotified{id, told, DelayFacts},
		IncidentSubjectsNotified{id, told, ToldMail, 3},
		IncidentClosed{Incident: id, Delay: DelayAbsence},
	}).Draw(t, "register")
}

// drawShop draws what could be recorded about the shop.
func drawShop(t *rapid.T) Payload {
	op := rapid.SampledFrom([]string{"op-0001", "op-0002"}).Draw(t, "op")
	date := rapid.SampledFrom([]Date{"2026-01-01", "2026-06-01", "2027-01-01"}).Draw(t, "date")
	return rapid.SampledFrom([]Payload{
		ShopCreated{"01kb0f4vy9v3qk3y8m6t2r7w5z"},
		StationEnrolled{"T1", "salvor/xxxxxxxxxx", "age1xxxxxxxxxxx"},
		KeyAdded{"k1", "age1xxxxxxxxxxx", "safe"},
		VaultAdded{"v1", "nas"},
		OperatorAdded{op, OperatorPerson},
		OperatorAgreed{op, date},
		OperatorTrained{op, date},
		OperatorEnded{op, date},
		Heartbeat{},
		StationRetired{"T1", int64(len(date)) + int64(date[3]), EndLost},
		PolicySet{PolicyKeep, "60d", date},
		PolicySet{PolicyKeep, "30d", date},
		ProcessorAdded{Processor: "lab", Services: []Service{ServiceRepair}, Contract: "C-" + string(date), From: date, Country: "BE"},
		ProcessorEnded{"lab", date},
		OperatorKeyAdded{op, "k1", KeyAgent, "salvor-op/x/" + op + "+0a1b2c3d+AZxxxx"},
		OperatorKeyEnded{op, "k1", At(mustTime(string(date) + "T00:00:00Z")), EndLost},
		BackupMade{Hash{1}, 1, 2, BackupVault},
		SelftestPassed{"v1", 1, 2},
		MediumDestroyed{Kind: CopyVault, Store: "v1", Method: DestroyShred, Date: date, Witness: op},
		EventCorrected{Ref{"T1", 1}, []string{FieldName}},
		PrivateErased{[]Ref{{"T1", 1}}},
		drawRegister(t, mustTime("2026-11-21T18:05:12Z")),
	}).Draw(t, "shop payload")
}

// drawHistory lets up to four stations with wrong clocks record and hear of
// each other, in any way that happens.
func drawHistory(t *rapid.T) *history {
	h := &history{}
	for i, name := range []string{"T1", "B1", "B2", "NAS"}[:rapid.IntRange(1, 4).Draw(t, "stations")] {
		skew := rapid.IntRange(-48, 48).Draw(t, "skew")
		h.stations = append(h.stations, &teller{name: name, skew: time.Duration(skew) * time.Hour * time.Duration(min(i, 1))})
	}
	at := mustTime("2026-11-21T18:05:12Z")
	for range rapid.IntRange(1, 25).Draw(t, "events") {
		s := rapid.SampledFrom(h.stations).Draw(t, "station")
		if len(h.all) > 0 && rapid.Bool().Draw(t, "sync") {
			from := rapid.SampledFrom(h.stations).Draw(t, "from")
			s.known = append(s.known, from.known...)
		}
		at = at.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "wait")) * time.Second)
		if rapid.IntRange(0, 9).Draw(t, "of the shop") == 0 {
			h.tell(s, at, "", drawShop(t))
			continue
		}
		h.tell(s, at, oneCase, drawPayload(t, at))
	}
	if rapid.IntRange(0, 9).Draw(t, "clone") == 0 {
		// A cloned station: the same place told twice.
		e := rapid.SampledFrom(h.all).Draw(t, "cloned")
		e.ID = "01KB0F4VY9V3QK3Y8M6T2R7W60"
		h.all = append(h.all, e)
	}
	return h
}

// shuffled returns the events in another order, some of them several times.
func shuffled(t *rapid.T, events []Event) []Event {
	out := slices.Clone(events)
	for range rapid.IntRange(0, 5).Draw(t, "duplicates") {
		out = append(out, rapid.SampledFrom(events).Draw(t, "duplicate"))
	}
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1))
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// histories is how many random histories are folded; 10000 before a release.
var histories = flag.Int("histories", 500, "random histories to fold in 20 arrival orders each")

func TestHistoriesInEveryOrderGiveOneState(t *testing.T) {
	draw := rapid.Custom(drawHistory)
	for n := range *histories {
		h := draw.Example(n)
		wantCase, wantShop := FoldCase(oneCase, h.all), FoldShop(h.all)
		r := rand.New(rand.NewPCG(uint64(n), 2))
		for range 20 {
			events := slices.Clone(h.all)
			for range r.IntN(6) {
				events = append(events, h.all[r.IntN(len(h.all))])
			}
			r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			// cmp.Diff says what differs, and is slow: only then.
			if got := FoldCase(oneCase, events); !reflect.DeepEqual(got, wantCase) {
				t.Fatalf("history %d: another order, another case: %s", n, cmp.Diff(wantCase, got))
			}
			if got := FoldShop(events); !reflect.DeepEqual(got, wantShop) {
				t.Fatalf("history %d: another order, another shop: %s", n, cmp.Diff(wantShop, got))
			}
		}
	}
}

func TestFoldDependsOnTheSetOfEventsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		wantCase, wantShop := FoldCase(oneCase, h.all), FoldShop(h.all)
		for range 3 {
			events := shuffled(t, h.all)
			before := slices.Clone(events)
			if d := cmp.Diff(wantCase, FoldCase(oneCase, events)); d != "" {
				t.Fatalf("another order, another case: %s", d)
			}
			if d := cmp.Diff(wantShop, FoldShop(events)); d != "" {
				t.Fatalf("another order, another shop: %s", d)
			}
			if d := cmp.Diff(before, events); d != "" {
				t.Fatalf("the fold changed its input: %s", d)
			}
		}
		// Nothing but events of the case counts.
		var own []Event
		for _, e := range h.all {
			if e.Case == oneCase {
				own = append(own, e)
			}
		}
		if d := cmp.Diff(wantCase, FoldCase(oneCase, own)); d != "" {
			t.Fatalf("the shop's events changed the case: %s", d)
		}
	})
}

// What must never be undone is not undone by anything that arrives later.
func TestMoreEventsNeverLoosenACase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		arrived := shuffled(t, h.all)
		var before Case
		for i := range arrived {
			now := FoldCase(oneCase, arrived[:i+1])
			if !before.Deadline.IsZero() && (now.Deadline.IsZero() || now.Deadline.After(before.Deadline)) {
				t.Fatalf("the deadline moved from %v to %v", before.Deadline, now.Deadline)
			}
			if !now.FirstImage.IsZero() && now.Deadline.After(MaxDeadline(now.FirstImage)) {
				t.Fatalf("deadline %v, first image %v", now.Deadline, now.FirstImage)
			}
			for _, b := range before.Images {
				n, ok := now.Image(b.Name)
				if !ok || b.State == ImageIsErased && n.State != ImageIsErased {
					t.Fatalf("image %s was %s and is %q", b.Name, b.State, n.State)
				}
				if b.State == ImageIsErasing && n.State != ImageIsErased && n.State != ImageIsErasing && n.EraseFailed != StepPlanned {
					t.Fatalf("image %s was being erased and is %q", b.Name, n.State)
				}
			}
			for _, b := range before.Inventory() {
				k := slices.IndexFunc(now.Inventory(), func(c Copy) bool { return c.Kind == b.Kind && c.Name == b.Name && c.Image == b.Image })
				if k >= 0 && !b.End.Open() && b.End.Fate != CopyVoid && now.Inventory()[k].End.Open() {
					t.Fatalf("%s %s had ended and is there again", b.Kind, b.Name)
				}
			}
			for _, b := range before.Holds {
				k := slices.IndexFunc(now.Holds, func(h Hold) bool { return h.ID == b.ID })
				if k < 0 || !b.Active() && now.Holds[k].Active() {
					t.Fatalf("hold %s came back", b.ID)
				}
			}
			if !before.Closed.IsZero() && now.Closed.IsZero() || len(now.PrivateErased) < len(before.PrivateErased) {
				t.Fatal("something ended began again")
			}
			before = now
		}
	})
}

// The sorted order respects what every station knew.
func TestSortIsCausal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		sorted := Sort(shuffled(t, h.all))
		place := make(map[Ref]int)
		for i, e := range sorted {
			if _, ok := place[e.Ref()]; !ok {
				place[e.Ref()] = i
			}
		}
		for i, e := range sorted {
			for _, r := range e.CaseHeads {
				if j, ok := place[r]; ok && j >= i && r != e.Ref() {
					t.Fatalf("%s stands before %s, which it names", e.Ref(), r)
				}
			}
			if j, ok := place[Ref{e.Station, e.Seq - 1}]; ok && j >= i {
				t.Fatalf("%s stands before the one before it", e.Ref())
			}
		}
	})
}

// Events that name each other in a circle can only be a lie. They must not
// hang or depend on the order either.
func TestCirclesAreSortedTheSameWayEverywhere(t *testing.T) {
	at := At(mustTime("2026-11-21T18:05:12Z"))
	circle := func(station string, names ...Ref) Event {
		return Event{ID: "01KB0F4VY9V3QK3Y8M6T2R7W5Z", Station: station, Seq: 1, TS: at, Case: oneCase, CaseHeads: names, Op: "op-7f3a", Pub: HoldEnded{"h1"}}
	}
	events := []Event{circle("A", Ref{"B", 1}), circle("B", Ref{"A", 1}), circle("C", Ref{"C", 1})}
	want := Sort(events)
	if len(want) != 3 {
		t.Fatalf("%d events", len(want))
	}
	for range 10 {
		rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		if d := cmp.Diff(want, Sort(events)); d != "" {
			t.Fatal(d)
		}
	}
}

// tale folds a plain history of one station, with an event an hour.
func tale(payloads ...Payload) Case {
	h := &history{}
	s := &teller{name: "T1"}
	for i, p := range payloads {
		h.tell(s, mustTime("2026-11-21T00:00:00Z").Add(time.Duration(i)*time.Hour), oneCase, p)
	}
	return FoldCase(oneCase, h.all)
}

func begun(image string) ImageStarted {
	at := mustTime("2026-11-21T18:05:12Z")
	return ImageStarted{image, UUID{1}, "v1", "1", 1, 512, 4096, At(at), At(at.AddDate(1, 0, 0))}
}

func kinds(c Case) []ExceptionKind {
	var out []ExceptionKind
	for _, x := range c.Exceptions {
		out = append(out, x.Kind)
	}
	slices.Sort(out)
	return out
}

func TestFoldFollowsTheLifeOfAnImage(t *testing.T) {
	opened := CaseOpened{Purpose: PurposeCrash, Language: Dutch}
	wrapped := KeyWrapped{"image-01", 1, SessionID{2}, "v1", "a.age", Hash{3}, []string{"k1", "k2"}}
	paused := ImagePaused{"image-01", 100, 2, 3, StopInterrupted}
	sealed := ImageSealed{"image-01", Hash{4}, 5, 6, 7, 200, 9, 10, false, false}
	reopened := ImageReopened{"image-01", Hash{4}}
	erasing := EraseStarted{"j1", "image-01", false}
	done := EraseDone{"j1", "image-01", KeysComplete, MediaRaw, false, 1, 2, 3, 4, 5, 6}
	failed, unproved := done, done
	failed.Media = MediaFailed
	unproved.Media, unproved.Keys = MediaNotAssured, KeysNone
	hold := HoldAdded{"h1", HoldLegal, "2027-01-01"}
	for name, test := range map[string]struct {
		tale  []Payload
		state ImageState
		kinds []ExceptionKind
	}{
		"begun":                    {[]Payload{opened, begun("image-01")}, ImageIsStarted, nil},
		"paused":                   {[]Payload{opened, begun("image-01"), wrapped, paused}, ImageIsPaused, nil},
		"resumed":                  {[]Payload{opened, begun("image-01"), wrapped, paused, wrapped}, ImageIsStarted, nil},
		"sealed":                   {[]Payload{opened, begun("image-01"), wrapped, sealed}, ImageIsSealed, nil},
		"reopened":                 {[]Payload{opened, begun("image-01"), wrapped, sealed, reopened}, ImageIsPaused, nil},
		"reopened, going on":       {[]Payload{opened, begun("image-01"), wrapped, sealed, reopened, wrapped}, ImageIsStarted, nil},
		"sealed again":             {[]Payload{opened, begun("image-01"), wrapped, sealed, reopened, wrapped, sealed}, ImageIsSealed, nil},
		"sealed stays sealed":      {[]Payload{opened, begun("image-01"), sealed, paused}, ImageIsSealed, nil},
		"failed":                   {[]Payload{opened, begun("image-01"), ImageFailed(paused)}, ImageIsFailed, nil},
		"erasing":                  {[]Payload{opened, begun("image-01"), sealed, erasing}, ImageIsErasing, nil},
		"erasing stopped early":    {[]Payload{opened, begun("image-01"), sealed, erasing, EraseFailed{"j1", "image-01", StepPlanned}}, ImageIsSealed, nil},
		"erasing begun again":      {[]Payload{opened, begun("image-01"), sealed, erasing, EraseFailed{"j1", "image-01", StepPlanned}, EraseStarted{"j2", "image-01", true}}, ImageIsErasing, nil},
		"one of two jobs stopped":  {[]Payload{opened, begun("image-01"), sealed, erasing, EraseStarted{"j2", "image-01", true}, EraseFailed{"j2", "image-01", StepPlanned}}, ImageIsErasing, nil},
		"erasing stopped":          {[]Payload{opened, begun("image-01"), sealed, erasing, EraseFailed{"j1", "image-01", StepKeyDone}}, ImageIsErasing, nil},
		"erased":                   {[]Payload{opened, begun("image-01"), sealed, erasing, done}, ImageIsErased, nil},
		"erased by half a proof":   {[]Payload{opened, begun("image-01"), EraseDone{"j1", "image-01", KeysNone, MediaRaw, false, 1, 2, 3, 4, 5, 6}}, ImageIsErased, nil},
		"erased without proof":     {[]Payload{opened, begun("image-01"), sealed, erasing, unproved}, ImageIsErasing, []ExceptionKind{NotProved}},
		"medium failed":            {[]Payload{opened, begun("image-01"), sealed, erasing, failed}, ImageIsErasing, []ExceptionKind{NotProved}},
		"erased in a second try":   {[]Payload{opened, begun("image-01"), sealed, erasing, failed, done}, ImageIsErased, []ExceptionKind{NotProved}},
		"erased stays erased":      {[]Payload{opened, begun("image-01"), erasing, done, sealed, erasing, failed}, ImageIsErased, []ExceptionKind{AfterErase}},
		"opened after erasing":     {[]Payload{opened, begun("image-01"), erasing, done, DataOpened{Image: "image-01", Use: UseMount}}, ImageIsErased, []ExceptionKind{AfterErase}},
		"held when erased":         {[]Payload{opened, begun("image-01"), hold, erasing, done}, ImageIsErased, []ExceptionKind{HeldButErased}},
		"held after erasing":       {[]Payload{opened, begun("image-01"), erasing, done, hold}, ImageIsErased, []ExceptionKind{HeldButErased}},
		"hold ended after erasing": {[]Payload{opened, begun("image-01"), erasing, done, hold, HoldEnded{"h1"}}, ImageIsErased, nil},
		"closed with a copy":       {[]Payload{opened, begun("image-01"), CaseClosed{}}, ImageIsStarted, []ExceptionKind{OpenCopies}},
		"opening not arrived":      {[]Payload{begun("image-01")}, ImageIsStarted, []ExceptionKind{NotOpened}},
		"beginning not arrived":    {[]Payload{opened, sealed}, ImageIsSealed, nil},
	} {
		c := tale(test.tale...)
		if i, ok := c.Image("image-01"); !ok || i.State != test.state {
			t.Errorf("%s: the image is %q, want %q", name, i.State, test.state)
		}
		if d := cmp.Diff(test.kinds, kinds(c)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	c := tale(opened, begun("image-01"), paused, sealed)
	if i := c.Images[0]; i.Rescued != 200 || i.Untried != 0 || i.Seal == nil {
		t.Errorf("counts: %+v", i)
	}
	if c.NextImage() != "image-02" || tale(opened, begun("image-09")).NextImage() != "image-10" || tale(opened).NextImage() != "image-01" {
		t.Error("next image")
	}
}

func TestDeadlineIsTheEarliestOfAll(t *testing.T) {
	at := func(s string) Time { return At(mustTime(s + "T00:00:00Z")) }
	keep, _ := ParseKeep("90d")
	image := func(created, eraseBy string) ImageStarted {
		return ImageStarted{"image-01", UUID{1}, "v1", "1", 1, 512, 4096, at(created), at(eraseBy)}
	}
	for name, test := range map[string]struct {
		tale []Payload
		want string
	}{
		"none":                    {nil, "0001-01-01"},
		"set":                     {[]Payload{DeadlineSet{at("2027-02-19"), keep}}, "2027-02-19"},
		"set twice, later":        {[]Payload{DeadlineSet{at("2027-02-19"), keep}, DeadlineSet{at("2027-05-01"), keep}}, "2027-02-19"},
		"shortened":               {[]Payload{DeadlineSet{at("2027-02-19"), keep}, DeadlineShortened{at("2026-12-24")}}, "2026-12-24"},
		"shortened before set":    {[]Payload{DeadlineShortened{at("2026-12-24")}, DeadlineSet{at("2027-02-19"), keep}}, "2026-12-24"},
		"capped by the image":     {[]Payload{DeadlineSet{at("2030-01-01"), keep}, image("2026-11-21", "2027-11-21")}, "2027-11-21"},
		"earlier in the image":    {[]Payload{DeadlineSet{at("2027-02-19"), keep}, image("2026-11-21", "2026-12-31")}, "2026-12-31"},
		"capped after a leap day": {[]Payload{DeadlineSet{at("2030-01-01"), keep}, image("2024-02-29", "2025-02-28")}, "2025-02-28"},
	} {
		if got := tale(test.tale...).Deadline.Format(time.DateOnly); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	c := tale(begun("image-01"))
	if c.Due(c.Deadline.Add(-time.Second)) || !c.Due(c.Deadline) {
		t.Error("due to the second")
	}
}

func BenchmarkFoldCase(b *testing.B) {
	h := &history{}
	s := &teller{name: "T1"}
	for i := range 40 {
		h.tell(s, mustTime("2026-11-21T00:00:00Z").Add(time.Duration(i)*time.Hour), oneCase, DataOpened{Image: "image-01", Use: UseMount})
	}
	b.ReportAllocs()
	for b.Loop() {
		FoldCase(oneCase, h.all)
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	text, err := sampleEvent(begun("image-01")).Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEvent(text); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAnImageThatFailedBeforeItsFirstKeyIsNoCopy(t *testing.T) {
	failed := ImageFailed{Image: "image-01", Untried: 1, Why: StopInterrupted}
	key := KeyWrapped{
		Image: "image-01", Session: 1, SessionID: SessionID{1}, Keystore: "V1", File: "0001.age", SHA256: Hash{1},
		Recipients: []string{"key-a", "key-b"},
	}
	for _, test := range []struct {
		name   string
		events []Payload
		copies int
	}{
		{"no key", []Payload{begun("image-01"), failed}, 0},
		{"a key before", []Payload{begun("image-01"), key, failed}, 1},
		{"a key that arrives later", []Payload{begun("image-01"), failed, key}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := tale(test.events...)
			if c.Copies() != test.copies || c.Erased() {
				t.Fatalf("%d copies, erased %v; want %d and not erased", c.Copies(), c.Erased(), test.copies)
			}
		})
	}
}
