package custody

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// samples is one payload of every type, with every field set.
func samples() []Payload {
	at := At(mustTime("2026-11-21T18:05:12Z"))
	keep, _ := ParseKeep("90d")
	return []Payload{
		ShopCreated{"01kb0f4vy9v3qk3y8m6t2r7w5z"},
		StationEnrolled{"T1", "salvor/01kb0f4vy9v3qk3y8m6t2r7w5z/T1+0a1b2c3d+AZxxxxxx/+==", "age1qqqqqqqqqqqqq"},
		KeyAdded{"k1", "age1qqqqqqqqqqqqq", "safe"},
		VaultAdded{"01kb0f4vy9v3qk3y8m6t2r7w5z", "nas"},
		OperatorAdded{"op-7f3a", OperatorPerson},
		OperatorAgreed{"op-7f3a", "2026-01-05"},
		OperatorTrained{"op-7f3a", "2026-01-05"},
		OperatorEnded{"op-7f3a", "2027-01-05"},
		Heartbeat{},
		CaseOpened{Purpose: PurposeCrash, Language: French, Business: true},
		AgreementRecorded{Notice: "2026-1"},
		ItemReceived{Item: "1", Kind: ItemHDD, Bytes: 1e12},
		CaseClosed{},
		ImageStarted{"image-01", UUID{1, 0xab}, "v1", "1", 1e12, 512, 4096, at, at},
		KeyWrapped{"image-01", 1, SessionID{2}, "v1", "keystore/T1-2026-0001/image-01/0001.age", Hash{3}, []string{"k1", "k2"}},
		ImagePaused{"image-01", 1, 2, 3, StopInterrupted},
		ImageFailed{"image-01", 1, 2, 3, StopSource},
		ImageSealed{"image-01", Hash{4}, 5, 6, 7, 8, 9, 10, true, false},
		ImageSealed{"image-02", Hash{4}, 5, 6, 7, 8, 9, 10, true, true},
		ImageReopened{"image-01", Hash{4}},
		ImageVerified{"image-01", VerifyMedia, true, 11, 12},
		DataOpened{Image: "image-01", Use: UseRestore},
		DataRestored{Image: "image-01", Target: TargetDevice, Bytes: 13, Unread: 14},
		DeadlineSet{at, keep},
		DeadlineShortened{at},
		HoldAdded{"h1", HoldLegal, "2027-01-01"},
		HoldEnded{"h1"},
		EraseStarted{"j1", "image-01", true},
		EraseFailed{"j1", "image-01", StepOverwrite},
		EraseDone{"j1", "image-01", KeysComplete, MediaRaw, true, 1, 2, 3, 4, 5, 6},
		AttestIssued{"a1", Hash{5}, "image-01", KeysComplete, MediaRaw},
		PaperPrinted{PaperCustody, FormatPDF, German},
		PrivateErased{[]Ref{{"T1", 3}, {"T1", 12}}},

		CaseOpened{
			PurposeTransfer, German, true, RoleProcessor, "DPA-2026-7",
			[]Category{CategoryHealth, CategoryLegal},
			EndBoth,
			[]Action{ActionImage, ActionList},
			true,
		},
		ItemReceived{"2", ItemSSD, 5e11, ConditionWet, "S-100", "L-03"},
		DataOpened{"image-01", UseExtract, Export{"c1", true, true, true}},
		DataRestored{"image-01", TargetDevice, 13, 14, Export{Copy: "c2"}},
		StationRetired{"B1", 912, EndStolen},
		PolicySet{PolicyKeep, "60d", "2026-12-01"},
		ProcessorAdded{"lab", []Service{ServiceRecovery, ServiceTransport}, "C-12", "2026-01-01", "2027-12-31", "CH", SafeguardAdequacy, true, true, true, "hub", true},
		ProcessorEnded{"lab", "2026-12-31"},
		OperatorKeyAdded{"op-7f3a", "k-1", KeyToken, "salvor-op/01kb0f4vy9v3qk3y8m6t2r7w5z/op-7f3a+0a1b2c3d+AZxxxxxx/+=="},
		OperatorKeyEnded{"op-7f3a", "k-1", at, EndLost},
		BackupMade{Hash{6}, 1, 2, BackupOffsite},
		SelftestPassed{"v0.9.1", 40, 12},
		Offered{"o1", "op-7f3a", "op-0002", TransferImaging, SealIntact},
		Accepted{"op-7f3a", "op-0002", TransferImaging, SealIntact, "L-03", "o1"},
		PlaceChanged{"L-04"},
		SealApplied{"S-101"},
		SealChecked{"S-101", SealBroken},
		SentExternal{"lab", ServiceRecovery, CarrierCourier, SealIntact, "2026-12-20"},
		BackExternal{"lab", CarrierPost, SealOpened, "L-01"},
		DataExtracted{"image-01", TargetFile, 15, 16, 17, Export{"c3", true, false, false}},
		DataReturned{"c3", "image-01", MediumCustomer, "2", 15, 16, true, RecipientProxy, CheckedIdentity},
		CustomerConfirmed{ConfirmedSigned, at},
		ItemReturned{RecipientOwner, CheckedCode, SealIntact},
		CopyErased{"c3", "", MediaLogical, "j2"},
		MediumDestroyed{Kind: CopyKey, Image: "image-01", File: "a/0001.age", Store: "v1", Method: DestroyDrill, Date: "2026-11-21", Witness: "op-0002", Processor: "recycler"},
		PurgeProposed{"p1", []string{"image-01", "image-02"}, at},
		PurgeValidated{"p1"},
		EventCorrected{Ref{"T1", 3}, []string{FieldAddress, FieldPhone}},
		RequestReceived{"r1", RequestErasure, at, At(at.AddDate(0, 1, 0))},
		RequestExtended{"r1", at, At(at.AddDate(0, 3, 0)), ExtensionComplex},
		RequestAnswered{"r1", at, OutcomePartly, DelayAbsence},
		IncidentOpened{"i1", IncidentStolen, at, at, RoleProcessor, At(at.Add(72 * hour)), At(at.Add(24 * hour)), []CaseNo{"B1-2026-0042"}},
		IncidentAssessed{"i1", RiskHigh, 3, 4, []CaseNo{"B1-2026-0042"}},
		IncidentControllerNotified{"i1", at, DelayFacts},
		IncidentAuthorityNotified{"i1", at, DelayFacts},
		IncidentSubjectsNotified{"i1", at, ToldLetter, 3},
		IncidentClosed{"i1", ExemptController, ExemptNoRisk, ExemptEncrypted, DelayOversight},
		MediumEraseStarted{"j3", 5e11},
		MediumEraseFailed{"j3", StepOverwrite},
		MediumEraseDone{"j3", MediaNotAssured, true, true, 5e11, 18, 19, 20, 21},
		AttestIssued{Attest: "j3", SHA256: Hash{7}, Media: MediaNotAssured},
		EraseProved{Job: "j1", Image: "image-01", Step: StepKeyDone, Keystore: "v1", Copies: []KeyDestroyed{
			{"keystore/T1-2026-0001/image-01/0001.age", Hash{3}, true},
			{"keystore/T1-2026-0001/image-01/0002.age", Hash{4}, false},
		}, Virtual: true},
		EraseProved{Job: "j1", Image: "image-01", Step: StepVerified, Media: MediaLogical},
		ImageReturned{"image-01", 3, 1},
		ContactShown{ShownContact},
		StationSettled{"B2", 120, Hash{6}, true},
	}
}

const hour = time.Hour

func sampleEvent(p Payload) Event {
	e := Event{
		ID: "01KB0F4VY9V3QK3Y8M6T2R7W5Z", Station: "T1", Seq: 1041, Prev: Hash{0xab}, TS: At(mustTime("2026-11-21T18:05:12Z")),
		Op: "op-7f3a", Pub: p, Heads: map[string]Head{"NAS": {912, Hash{1}}, "B2": {344, Hash{2}}},
	}
	if p.Type().OfCase() {
		e.Case, e.Item = "B1-2026-0042", "1"
		e.CaseHeads = []Ref{{"B1", 1037}, {"T1", 9}}
	}
	// The private parts of two types came after their bytes were fixed here.
	later := p.Type() == TypeImageSealed || p.Type() == TypeImagePaused
	if PrivateFields(p.Type()) != nil && !later {
		e.Commit = Hash{0xcd}
	}
	return e
}

// The bytes of every event type are fixed: what a released version signed must
// be read by every later one. A failure here is a change of the format.
func TestEventBytesNeverChange(t *testing.T) {
	var all bytes.Buffer
	for _, p := range samples() {
		text, err := sampleEvent(p).Encode()
		if err != nil {
			t.Fatalf("%s: %v", p.Type(), err)
		}
		all.Write(text)
	}
	want, err := os.ReadFile("testdata/events-v1.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(all.String(), "\n")); d != "" {
		t.Error(d)
	}
}

func TestEveryTypeSurvivesItsText(t *testing.T) {
	seen := make(map[Type]bool)
	for _, p := range samples() {
		seen[p.Type()] = true
		e := sampleEvent(p)
		text, err := e.Encode()
		if err != nil {
			t.Fatalf("%s: %v", p.Type(), err)
		}
		got, err := DecodeEvent(text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", p.Type(), err, text)
		}
		if d := cmp.Diff(e, got); d != "" {
			t.Errorf("%s: %s", p.Type(), d)
		}
	}
	if len(seen) != 72 {
		t.Errorf("%d types have a sample", len(seen))
	}
}

// Each type was thought about: what lets another station erase, or forbids it, is
// published before anybody relies on it.
func TestWhatDecidesOnErasingIsPublishedFirst(t *testing.T) {
	first := make(map[Type]bool)
	for _, p := range samples() {
		if p.Type().PublishFirst() {
			first[p.Type()] = true
		}
	}
	want := map[Type]bool{
		TypeHoldAdded: true, TypeHoldEnded: true, TypeDeadlineShortened: true, TypeCustomerConfirmed: true, TypePurgeValidated: true,
	}
	if d := cmp.Diff(want, first); d != "" || len(PublishFirst()) != len(want) {
		t.Error(d)
	}
}

// The text is put together by hand: it is what encoding/json makes of the fields.
func TestTextIsTheJSONOfTheFields(t *testing.T) {
	for _, p := range samples() {
		full, bare := sampleEvent(p), sampleEvent(p)
		bare.Commit, bare.Heads, bare.CaseHeads = Hash{}, nil, nil
		if p.Type() == TypeHoldAdded {
			bare.Item = ""
		}
		for _, e := range []Event{full, bare} {
			text, err := e.Encode()
			if err != nil {
				t.Fatalf("%s: %v", p.Type(), err)
			}
			pub, err := encodeJSON(p)
			if err != nil {
				t.Fatal(err)
			}
			want, err := encodeJSON(wire{
				V: EventVersion, ID: e.ID, Station: e.Station, Seq: e.Seq, Prev: e.Prev, TS: e.TS, Type: e.Type(),
				Case: e.Case, Item: e.Item, CaseHeads: e.CaseHeads, Op: e.Op, Pub: pub, Commit: e.Commit, Heads: e.Heads,
			})
			if err != nil || string(text) != string(want)+"\n" {
				t.Errorf("%v\n%s\n%s", err, text, want)
			}
		}
	}
}

// change sets one field, given by its path, in an event's JSON. Keys come out
// sorted, so the result has another spelling as well; what counts here is that
// nothing of it is accepted.
func change(t *testing.T, text []byte, path string, value any) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	at := m
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		at, _ = at[name].(map[string]any)
	}
	at[names[len(names)-1]] = value
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// Every spelling but the one is refused, even where the meaning is the same.
func TestEventHasOneSpelling(t *testing.T) {
	good, err := sampleEvent(HoldAdded{"h1", HoldLegal, "2027-01-01"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	s := string(good)
	for name, text := range map[string]string{
		"empty":               "",
		"no newline":          strings.TrimSuffix(s, "\n"),
		"two newlines":        s + "\n",
		"text behind":         s + s,
		"space":               strings.Replace(s, `,"op"`, `, "op"`, 1),
		"leading space":       " " + s,
		"unknown field":       strings.Replace(s, `{"v":1`, `{"v":1,"w":2`, 1),
		"unknown pub field":   strings.Replace(s, `"hold":"h1"`, `"hold":"h1","why":"x"`, 1),
		"field twice":         strings.Replace(s, `"op":"op-7f3a"`, `"op":"op-7f3a","op":"op-7f3a"`, 1),
		"pub field twice":     strings.Replace(s, `"hold":"h1"`, `"hold":"h1","hold":"h1"`, 1),
		"other case":          strings.Replace(s, `"op":`, `"OP":`, 1),
		"escaped letter":      strings.Replace(s, `"h1"`, `"\u00681"`, 1),
		"fields exchanged":    strings.Replace(s, `"v":1,"id":"01KB0F4VY9V3QK3Y8M6T2R7W5Z"`, `"id":"01KB0F4VY9V3QK3Y8M6T2R7W5Z","v":1`, 1),
		"number as 1e0":       strings.Replace(s, `"v":1,`, `"v":1e0,`, 1),
		"version":             strings.Replace(s, `"v":1,`, `"v":2,`, 1),
		"lower-case id":       strings.Replace(s, `01KB0F4VY9V3QK3Y8M6T2R7W5Z`, `01kb0f4vy9v3qk3y8m6t2r7w5z`, 1),
		"zone instead of Z":   strings.Replace(s, `18:05:12Z`, `18:05:12+00:00`, 1),
		"fraction of second":  strings.Replace(s, `18:05:12Z`, `18:05:12.0Z`, 1),
		"upper-case hash":     strings.Replace(s, `ab00`, `AB00`, 1),
		"short hash":          strings.Replace(s, `ab00`, `ab`, 1),
		"unsorted heads":      strings.Replace(s, `["B1/1037","T1/9"]`, `["T1/9","B1/1037"]`, 1),
		"head twice":          strings.Replace(s, `["B1/1037","T1/9"]`, `["B1/1037","B1/1037"]`, 1),
		"leading zero in ref": strings.Replace(s, `T1/9`, `T1/09`, 1),
		"empty heads":         strings.Replace(s, `"case_heads":["B1/1037","T1/9"],`, `"case_heads":[],`, 1),
		"null item":           strings.Replace(s, `"item":"1"`, `"item":null`, 1),
		"zero commit":         strings.Replace(s, `"cd`+strings.Repeat("0", 62), `"00`+strings.Repeat("0", 62), 1),
		"own head":            strings.Replace(s, `"NAS":"912`, `"T1":"912`, 1),
		"invalid UTF-8":       strings.Replace(s, `"h1"`, "\"h\xff\"", 1),
		"array":               "[" + strings.TrimSuffix(s, "\n") + "]\n",
		"null":                "null\n",
	} {
		if text == s {
			t.Errorf("%s: the test changes nothing", name)
		}
		if _, err := DecodeEvent([]byte(text)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := DecodeEvent(bytes.Repeat([]byte(" "), MaxEventBytes+1)); !errors.Is(err, ErrEvent) {
		t.Error("too large")
	}
	newer := strings.Replace(s, "hold.added", "hold.lifted", 1)
	if _, err := DecodeEvent([]byte(newer)); !errors.Is(err, ErrUnknownType) {
		t.Errorf("a type of the future: %v", err)
	}
}

// What is public stays for ever: no value of it can hold a sentence or be out
// of range.
func TestPublicValuesAreChecked(t *testing.T) {
	at := At(mustTime("2026-11-21T18:05:12Z"))
	keep, _ := ParseKeep("90d")
	started := ImageStarted{"image-01", UUID{1}, "v1", "1", 1, 512, 4096, at, at}
	with := func(change func(*ImageStarted)) ImageStarted { p := started; change(&p); return p }
	for _, p := range []Payload{
		ShopCreated{"shop"},
		StationEnrolled{"t1", "salvor/xxxxxxxxxx", "age1xxxxxxxxxxx"},
		StationEnrolled{"T1", "other/xxxxxxxxxxxx", "age1xxxxxxxxxxx"},
		StationEnrolled{"T1", "salvor/xxxxxxxxxx", "Jan Maes"},
		KeyAdded{"k1", "ssh-ed25519 AAAAC3NzaC1 jan@maes", "safe"},
		KeyAdded{"k1", "age1xxxxxxxxxxx", "Jan's key"},
		VaultAdded{"v1", "The NAS"},
		OperatorAdded{"jan", OperatorPerson},
		OperatorAdded{"op-7f3a", "boss"},
		OperatorAgreed{"op-7f3a", "yesterday"},
		OperatorEnded{"op-7f3a", "2027-02-29"},
		CaseOpened{Purpose: "curiosity", Language: Dutch},
		CaseOpened{Purpose: PurposeCrash, Language: "es"},
		AgreementRecorded{Notice: "I agree"},
		ItemReceived{Item: "0", Kind: ItemHDD, Bytes: 1},
		ItemReceived{Item: "1", Kind: "toaster", Bytes: 1},
		ItemReceived{Item: "1", Kind: ItemHDD, Bytes: -1},
		with(func(p *ImageStarted) { p.UUID = UUID{} }),
		with(func(p *ImageStarted) { p.Bytes = 0 }),
		with(func(p *ImageStarted) { p.Sector = 520 }),
		with(func(p *ImageStarted) { p.Sector = 4096; p.Physical = 512 }),
		with(func(p *ImageStarted) { p.EraseBy = At(at.AddDate(1, 0, 1)) }),
		with(func(p *ImageStarted) { p.EraseBy = Time{} }),
		with(func(p *ImageStarted) { p.Image = "../image" }),
		KeyWrapped{"image-01", 1, SessionID{2}, "v1", "a.age", Hash{3}, []string{"k1"}},
		KeyWrapped{"image-01", 1, SessionID{2}, "v1", "a.age", Hash{3}, []string{"k1", "k1"}},
		KeyWrapped{"image-01", 1, SessionID{2}, "v1", "a.age", Hash{3}, []string{"k2", "k1"}},
		KeyWrapped{"image-01", 0, SessionID{2}, "v1", "a.age", Hash{3}, []string{"k1", "k2"}},
		KeyWrapped{"image-01", 1, SessionID{}, "v1", "a.age", Hash{3}, []string{"k1", "k2"}},
		KeyWrapped{"image-01", 1, SessionID{2}, "v1", "../a.age", Hash{3}, []string{"k1", "k2"}},
		KeyWrapped{"image-01", 1, SessionID{2}, "v1", "/a.age", Hash{3}, []string{"k1", "k2"}},
		KeyWrapped{"image-01", 1, SessionID{2}, "v1", "a.age", Hash{}, []string{"k1", "k2"}},
		ImagePaused{"image-01", 1, 2, 3, "lunch"},
		ImageFailed{"image-01", 1, 2, -3, StopSource},
		ImageSealed{"image-01", Hash{}, -1, 0, 0, 0, 0, 0, false, false},
		ImageReopened{"image-01", Hash{}},
		ImageVerified{"image-01", "a bit", true, 0, 0},
		DataOpened{Image: "image-01", Use: "looking"},
		DataRestored{Image: "image-01", Target: "cloud", Bytes: 0, Unread: 0},
		DeadlineSet{Time{}, keep},
		DeadlineSet{at, Keep{}},
		DeadlineShortened{},
		HoldAdded{"h 1", HoldLegal, "2027-01-01"},
		HoldAdded{"h1", "mood", "2027-01-01"},
		HoldAdded{"h1", HoldLegal, "soon"},
		HoldEnded{""},
		EraseStarted{"", "image-01", true},
		EraseFailed{"j1", "image-01", "HALF"},
		EraseDone{"j1", "image-01", "GONE", MediaRaw, false, 0, 0, 0, 0, 0, 0},
		EraseDone{"j1", "image-01", KeysComplete, "CLEAN", false, 0, 0, 0, 0, 0, 0},
		EraseDone{"j1", "image-01", KeysComplete, MediaRaw, false, 0, 0, 0, 0, -1, 0},
		EraseProved{Job: "j1", Image: "image-01", Step: StepOverwrite, Media: MediaRaw},
		EraseProved{Job: "j1", Image: "image-01", Step: StepVerified},
		EraseProved{Job: "j1", Image: "image-01", Step: StepVerified, Media: MediaRaw, Keystore: "v1"},
		EraseProved{Job: "j1", Image: "image-01", Step: StepKeyDone, Keystore: "v1"},
		EraseProved{Job: "j1", Image: "image-01", Step: StepKeyDone, Copies: []KeyDestroyed{{"a.age", Hash{1}, true}}},
		EraseProved{Job: "j1", Image: "image-01", Step: StepKeyDone, Keystore: "v1", Copies: []KeyDestroyed{{"../a.age", Hash{1}, true}}},
		EraseProved{Job: "j1", Image: "image-01", Step: StepKeyDone, Keystore: "v1", Copies: []KeyDestroyed{{"b.age", Hash{1}, true}, {"a.age", Hash{1}, true}}},
		EraseProved{Job: "j1", Image: "image-01", Step: StepKeyDone, Keystore: "v1", Copies: []KeyDestroyed{{"a.age", Hash{}, true}}},
		ImageReturned{"image-01", -1, 0},
		ImageReturned{"picture", 1, 0},
		AttestIssued{"a1", Hash{}, "image-01", KeysComplete, MediaRaw},
		PaperPrinted{"poem", FormatPDF, Dutch},
		ContactShown{""},
		StationSettled{"B2", 1, Hash{}, false},
		StationSettled{"B2", 0, Hash{1}, false},
		StationSettled{"B2", 0, Hash{}, true},
		StationSettled{"B2", -1, Hash{1}, false},
		ContactShown{"everything"},
		PrivateErased{},
		PrivateErased{[]Ref{{"T1", 3}, {"T1", 3}}},
		PrivateErased{[]Ref{{"T1", 4}, {"T1", 3}}},
		PrivateErased{make([]Ref, MaxErasedRefs+1)},

		CaseOpened{Purpose: PurposeCrash, Language: Dutch, Role: "friend"},
		CaseOpened{Purpose: PurposeCrash, Language: Dutch, Contract: "our contract"},
		CaseOpened{Purpose: PurposeCrash, Language: Dutch, Special: []Category{CategoryLegal, CategoryHealth}},
		CaseOpened{Purpose: PurposeCrash, Language: Dutch, Special: []Category{"love letters"}},
		CaseOpened{Purpose: PurposeCrash, Language: Dutch, End: "keep"},
		CaseOpened{Purpose: PurposeCrash, Language: Dutch, Allowed: []Action{ActionImage, ActionImage}},
		AgreementRecorded{"1", []Action{"anything"}},
		ItemReceived{Item: "1", Kind: ItemHDD, Condition: "scratched by Jan"},
		ItemReceived{Item: "1", Kind: ItemHDD, Seal: "on the left"},
		ItemReceived{Item: "1", Kind: ItemHDD, Place: "behind Jan's desk"},
		DataOpened{Image: "image-01", Use: UseExtract, Export: Export{Copy: "his photos"}},
		DataRestored{Image: "image-01", Target: TargetFile, Export: Export{Copy: "T1/3"}},
		StationRetired{"b1", 1, EndLost},
		StationRetired{"B1", -1, EndLost},
		StationRetired{"B1", 1, "bored"},
		PolicySet{"colour", "blue", "2026-01-01"},
		PolicySet{PolicyKeep, "400d", "2026-01-01"},
		PolicySet{PolicyKeep, "30d", "now"},
		ProcessorAdded{Processor: "lab", Contract: "C-1", From: "2026-01-01", Country: "BE"},
		ProcessorAdded{Processor: "lab", Services: []Service{"gossip"}, Contract: "C-1", From: "2026-01-01", Country: "BE"},
		ProcessorAdded{Processor: "lab", Services: []Service{ServiceRepair}, Contract: "C-1", From: "2026-01-02", Until: "2026-01-01", Country: "BE"},
		ProcessorAdded{Processor: "lab", Services: []Service{ServiceRepair}, Contract: "C-1", From: "2026-01-01", Country: "Belgium"},
		ProcessorAdded{Processor: "lab", Services: []Service{ServiceRepair}, Contract: "C-1", From: "2026-01-01", Country: "US", Safeguard: "trust"},
		ProcessorAdded{Processor: "lab", Services: []Service{ServiceRepair}, Contract: "C-1", From: "2026-01-01", Country: "BE", Parent: "lab"},
		ProcessorEnded{"lab", "soon"},
		OperatorKeyAdded{"op-7f3a", "k1", "pocket", "salvor-op/x/op-7f3a+0a1b2c3d+AZxxxx"},
		OperatorKeyAdded{"op-7f3a", "k1", KeyAgent, "ssh-ed25519 AAAAC3NzaC1 jan@maes"},
		OperatorKeyEnded{"op-7f3a", "k1", Time{}, EndLost},
		BackupMade{Hash{}, 1, 1, BackupVault},
		BackupMade{Hash{1}, 1, 1, "at home"},
		SelftestPassed{"v 1", 1, 1},
		Offered{"o1", "jan", "op-0002", TransferImaging, SealIntact},
		Offered{"o1", "op-7f3a", "op-0002", "fun", SealIntact},
		Accepted{"op-7f3a", "op-0002", TransferImaging, "nice", "", ""},
		Accepted{"op-7f3a", "op-0002", TransferImaging, SealIntact, "the shelf", ""},
		PlaceChanged{""},
		SealApplied{"number 7"},
		SealChecked{"S-1", ""},
		SentExternal{"lab", ServiceRepair, "pigeon", SealIntact, ""},
		SentExternal{"lab", ServiceRepair, CarrierPost, SealIntact, "soon"},
		BackExternal{"the lab", CarrierPost, SealIntact, ""},
		DataExtracted{"image-01", TargetFile, -1, 0, 0, Export{}},
		DataReturned{Medium: "cloud", To: RecipientOwner, Checked: CheckedCode},
		DataReturned{Medium: MediumSold, To: "neighbour", Checked: CheckedCode},
		DataReturned{Medium: MediumSold, To: RecipientOwner, Checked: "by eye"},
		CustomerConfirmed{ConfirmedSigned, Time{}},
		ItemReturned{RecipientOwner, "", SealIntact},
		CopyErased{"c1", "1", MediaRaw, ""},
		CopyErased{"", "", MediaRaw, ""},
		MediumEraseStarted{"j1", 0},
		MediumEraseStarted{"the job", 512},
		MediumEraseFailed{"j1", StepUnlinked},
		MediumEraseDone{"j1", MediaLogical, false, false, 8, 8, 8, 0, 0},
		MediumEraseDone{"j1", MediaPurged, false, false, 8, 8, 8, 0, 0},
		MediumEraseDone{"j1", MediaPurged, true, true, 8, 8, 8, 0, 0},
		MediumEraseDone{"j1", MediaRaw, false, false, 8, 8, 7, 0, 1},
		MediumEraseDone{"j1", MediaRaw, false, false, 8, 7, 8, 0, 0},
		MediumEraseDone{"j1", MediaFailed, false, false, 8, 7, -1, 0, 0},
		AttestIssued{Attest: "j1", SHA256: Hash{7}, Keys: KeysComplete, Media: MediaRaw},
		AttestIssued{Attest: "j1", SHA256: Hash{7}, Image: "image-01", Media: MediaRaw},
		MediumDestroyed{Kind: CopyItem, Item: "1", Method: "resale", Date: "2026-01-01", Witness: "op-0002"},
		MediumDestroyed{Kind: CopyItem, Method: DestroyDrill, Date: "2026-01-01", Witness: "op-0002"},
		MediumDestroyed{Kind: CopyItem, Item: "1", Image: "image-01", Method: DestroyDrill, Date: "2026-01-01", Witness: "op-0002"},
		MediumDestroyed{Kind: CopyItem, Item: "1", Method: DestroyDrill, Date: "2026-01-01", Witness: "Els"},
		PurgeProposed{"p1", nil, at},
		PurgeProposed{"p1", []string{"image-02", "image-01"}, at},
		PurgeValidated{"p 1"},
		EventCorrected{Ref{"T1", 0}, []string{FieldPhone}},
		EventCorrected{Ref{"T1", 1}, []string{FieldReason}},
		EventCorrected{Ref{"T1", 1}, nil},
		RequestReceived{"r1", "curiosity", at, At(at.Add(hour))},
		RequestReceived{"r1", RequestAccess, at, at},
		RequestExtended{"r1", at, at, ExtensionComplex},
		RequestExtended{"r1", at, At(at.Add(hour)), "busy"},
		RequestAnswered{"r1", at, "maybe", ""},
		IncidentOpened{Incident: "i1", Kind: "oops", Aware: at, Role: RoleController, AuthorityDue: At(at.Add(hour))},
		IncidentOpened{Incident: "i1", Kind: IncidentLost, Aware: at, Role: RoleController, AuthorityDue: At(at.Add(hour)), ControllerDue: At(at.Add(hour))},
		IncidentOpened{Incident: "i1", Kind: IncidentLost, Aware: at, Role: RoleProcessor, AuthorityDue: At(at.Add(hour))},
		IncidentOpened{Incident: "i1", Kind: IncidentLost, Aware: at, Happened: At(at.Add(hour)), Role: RoleController, AuthorityDue: At(at.Add(hour))},
		IncidentOpened{Incident: "i1", Kind: IncidentLost, Aware: at, Role: RoleController, AuthorityDue: At(at.Add(hour)), Cases: []CaseNo{"Maes"}},
		IncidentAssessed{Incident: "i1", Risk: "meh"},
		IncidentAuthorityNotified{"i1", at, "forgot"},
		IncidentSubjectsNotified{"i1", at, "pigeon", 1},
		IncidentClosed{Incident: "i1", Authority: ExemptEncrypted},
		IncidentClosed{Incident: "i1", Subjects: ExemptNoRisk},
	} {
		if _, err := sampleEvent(p).Encode(); !errors.Is(err, ErrPayload) {
			t.Errorf("%#v: %v", p, err)
		}
	}
}

func TestEnvelopeIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Event){
		"id":             func(e *Event) { e.ID = "1" },
		"id overflow":    func(e *Event) { e.ID = "81KB0F4VY9V3QK3Y8M6T2R7W5Z" },
		"station":        func(e *Event) { e.Station = "t1" },
		"seq":            func(e *Event) { e.Seq = 0 },
		"first has prev": func(e *Event) { e.Seq = 1 },
		"no prev":        func(e *Event) { e.Prev = Hash{} },
		"no time":        func(e *Event) { e.TS = Time{} },
		"year 10000":     func(e *Event) { e.TS = At(mustTime("9999-12-31T23:59:59Z").AddDate(1, 0, 0)) },
		"no case":        func(e *Event) { e.Case = "" },
		"bad case":       func(e *Event) { e.Case = "B1-2026-42" },
		"item":           func(e *Event) { e.Item = "disk" },
		"operator":       func(e *Event) { e.Op = "root" },
		"head":           func(e *Event) { e.Heads = map[string]Head{"B2": {0, Hash{}}} },
		"head of nobody": func(e *Event) { e.Heads = map[string]Head{"b2": {1, Hash{}}} },
		"case head":      func(e *Event) { e.CaseHeads = []Ref{{"B1", 0}} },
		"nothing":        func(e *Event) { e.Pub = nil },
		"shop event":     func(e *Event) { e.Pub = Heartbeat{} },
		"no item":        func(e *Event) { e.Pub, e.Item = PlaceChanged{"L-01"}, "" },
	} {
		e := sampleEvent(HoldEnded{"h1"})
		change(&e)
		if text, err := e.Encode(); !errors.Is(err, ErrEvent) {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

// A field of the envelope that is exchanged for one of another kind must not
// be read as anything.
func TestFieldsOfAnotherKindAreRefused(t *testing.T) {
	good, err := sampleEvent(HoldEnded{"h1"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"v", "id", "station", "seq", "prev", "ts", "type", "case", "item", "case_heads", "op", "pub", "pub.hold", "heads"} {
		for _, value := range []any{nil, true, 1.5, -1, "x", []any{}, []any{1}, map[string]any{}, map[string]any{"x": 1}} {
			if _, err := DecodeEvent(change(t, good, path, value)); err == nil {
				t.Errorf("%s = %v was accepted", path, value)
			}
		}
	}
}

func TestPrivatePartIsBoundAndStrict(t *testing.T) {
	text, err := EncodePrivate(TypeCaseOpened, map[string]string{"phone": "", "customer": "Jan <Maes> & co\n", "address": "Straat 1"})
	if err != nil || string(text) != `{"address":"Straat 1","customer":"Jan <Maes> & co\n"}` {
		t.Errorf("%s %v", text, err)
	}
	fields, err := DecodePrivate(TypeCaseOpened, text)
	if err != nil || fields["customer"] != "Jan <Maes> & co\n" || len(fields) != 2 {
		t.Errorf("%v %v", fields, err)
	}
	if text, err := EncodePrivate(TypeCaseOpened, map[string]string{"phone": ""}); err != nil || text != nil {
		t.Errorf("empty: %q %v", text, err)
	}
	for name, fields := range map[string]map[string]string{
		"a field of another type": {"serial": "x"},
		"a national number":       {"national_number": "x"},
		"control characters":      {"customer": "a\x00b"},
		"terminal escape":         {"customer": "\x1b[2J"},
		"invalid UTF-8":           {"customer": "\xff"},
	} {
		if _, err := EncodePrivate(TypeCaseOpened, fields); !errors.Is(err, ErrPayload) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := EncodePrivate(TypeCaseOpened, map[string]string{"customer": strings.Repeat("x", MaxPrivateBytes)}); !errors.Is(err, ErrLong) {
		t.Errorf("a novel: %v", err)
	}
	for _, text := range []string{``, `{}`, `null`, `{"customer":""}`, `{"customer": "x"}`, `{"phone":"x","customer":"y"}`, `{"customer":"x"}` + "\n", `{"customer":"x","customer":"y"}`} {
		if _, err := DecodePrivate(TypeCaseOpened, []byte(text)); !errors.Is(err, ErrPrivate) {
			t.Errorf("%q was accepted: %v", text, err)
		}
	}
	if Commit([NonceSize]byte{1}, text) == Commit([NonceSize]byte{2}, text) || Commit([NonceSize]byte{1}, text) == Commit([NonceSize]byte{1}, text[1:]) {
		t.Error("the commitment does not bind")
	}
}

// D9: there is no field for what the shop must not ask.
func TestPrivateFieldsAreTheNecessaryOnes(t *testing.T) {
	names := make(map[string]bool)
	for _, p := range samples() {
		fields := PrivateFields(p.Type())
		if !slices.IsSorted(fields) {
			t.Errorf("%s: %v is not sorted", p.Type(), fields)
		}
		for _, f := range fields {
			names[f] = true
		}
	}
	want := []string{
		"accessories", "address", "answer", "condition", "customer", "damaged", "effects", "email", "excluded", "facts", "fault",
		"fingerprint", "login", "maker", "measures", "missing", "model", "name", "phone", "proxy", "reason", "recipient",
		"recycler", "reference", "request", "serial", "sha256", "source", "target", "ticket", "wanted",
	}
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(names))); d != "" {
		t.Error(d)
	}
}

func FuzzEvent(f *testing.F) {
	for _, p := range samples() {
		text, err := sampleEvent(p).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"v":1}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := DecodeEvent(text)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q came back as %q (%v)", text, again, err)
		}
		FoldShop([]Event{e, e})
		FoldCase(e.Case, []Event{e, e})
	})
}

func FuzzPrivate(f *testing.F) {
	f.Add([]byte(`{"address":"Straat 1","customer":"Jan <Maes> & co"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		fields, err := DecodePrivate(TypeCaseOpened, text)
		if err != nil {
			return
		}
		if again, err := EncodePrivate(TypeCaseOpened, fields); err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q came back as %q (%v)", text, again, err)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	f.Add(Checkpoint{"salvor/01kb0f4vy9v3qk3y8m6t2r7w5z/T1", 912, Hash{1, 2, 3}}.Text())
	f.Add("x\n0\nAAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheckpoint(text)
		if err == nil && c.Text() != text {
			t.Errorf("%q came back as %q", text, c.Text())
		}
	})
}
