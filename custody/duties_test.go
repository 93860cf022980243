package custody

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every duty of the shop has a test named after it: of its rule here, or of the command
// or the paper that carries it out.
func TestEveryDutyHasATest(t *testing.T) {
	tested := make(map[int]bool)
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			var n int
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				if _, err := fmt.Sscanf(f.Name.Name, "TestD%02d", &n); err == nil {
					tested[n] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 35; n++ {
		if !tested[n] {
			t.Errorf("D%02d has no test", n)
		}
	}
}

// A desk records as a careful command would: nothing that a rule refuses.
type desk struct {
	t   *testing.T
	h   *history
	at  *teller
	now time.Time
	op  string
	no  CaseNo
}

const (
	jan  = "op-7f3a"
	an   = "op-0002"
	job  = "op-9999"
	piet = "op-0003" // never agreed
)

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, h: &history{}, at: &teller{name: "T1"}, now: mustTime("2026-01-10T09:00:00Z"), op: jan}
	d.must(ShopCreated{"01kb0f4vy9v3qk3y8m6t2r7w5z"})
	d.must(StationEnrolled{"T1", "salvor/xxxxxxxxxx", "age1xxxxxxxxxxx"})
	d.must(VaultAdded{"v1", "nas"})
	for _, op := range []string{jan, an, piet} {
		d.must(OperatorAdded{op, OperatorPerson})
	}
	d.must(OperatorAdded{job, OperatorPurge})
	for _, op := range []string{jan, an} {
		d.must(OperatorAgreed{op, "2026-01-05"})
		d.must(OperatorTrained{op, "2026-01-05"})
	}
	d.no = oneCase
	return d
}

func (d *desk) shop() Shop { return FoldShop(d.h.all) }
func (d *desk) c() Case    { return FoldCase(oneCase, d.h.all) }

// do records an event, if it may happen. The private part is given as pairs of
// names and values.
func (d *desk) do(p Payload, private ...string) error {
	d.t.Helper()
	return d.doItem("1", p, private...)
}

func (d *desk) doItem(item string, p Payload, private ...string) error {
	d.t.Helper()
	d.now = d.now.Add(time.Second)
	fields := make(map[string]string)
	for i := 0; i < len(private); i += 2 {
		fields[private[i]] = private[i+1]
	}
	if _, err := EncodePrivate(p.Type(), fields); err != nil {
		d.t.Fatalf("%s: %v", p.Type(), err)
	}
	no := d.no
	if !p.Type().OfCase() {
		no = ""
	}
	e := Event{TS: At(d.now), Case: no, Item: itemOf(no, item, p), Op: d.op, Pub: p, Station: d.at.name, Seq: d.at.seq + 1}
	if err := Allow(d.shop(), d.c(), e, fields); err != nil {
		return err
	}
	d.h.tellAs(d.at, d.now, no, e.Item, d.op, p)
	return nil
}

func (d *desk) must(p Payload, private ...string) {
	d.t.Helper()
	if err := d.do(p, private...); err != nil {
		d.t.Fatalf("%s: %v", p.Type(), err)
	}
}

func (d *desk) refused(want error, p Payload, private ...string) {
	d.t.Helper()
	if err := d.do(p, private...); !errors.Is(err, want) {
		d.t.Errorf("%s: got %v, want %v", p.Type(), err, want)
	}
}

// open opens a case with an item, kept for 90 days.
func (d *desk) open(p CaseOpened, private ...string) {
	d.t.Helper()
	p.Purpose, p.Language = PurposeCrash, Dutch
	d.must(p, private...)
	d.must(AgreementRecorded{Notice: "2026-11"})
	d.must(ItemReceived{Item: "1", Kind: ItemHDD, Bytes: 1e12, Seal: "S-1", Place: "L-01"})
	d.must(DeadlineSet{At(d.now.AddDate(0, 0, 90)), keepOf("90d")})
}

func (d *desk) image(name string) {
	d.t.Helper()
	d.must(ImageStarted{name, UUID{1}, "v1", "1", 1e12, 512, 4096, At(d.now), At(d.c().Deadline)})
	d.must(KeyWrapped{name, 1, SessionID{2}, "v1", name + ".age", Hash{3}, []string{"k1", "k2"}})
	d.must(ImageSealed{name, Hash{4}, 5, 6, 7, 1e12, 0, 10, false, false})
}

func (d *desk) erase(image string) {
	d.t.Helper()
	d.must(EraseStarted{"j-" + image, image, false})
	d.must(EraseDone{"j-" + image, image, KeysComplete, MediaRaw, false, 1, 2, 3, 4, 5, 6})
}

func keepOf(s string) Keep { k, _ := ParseKeep(s); return k }

func codes(steps []Step) []StepCode {
	var list []StepCode
	for _, s := range steps {
		list = append(list, s.Code)
	}
	return list
}

func TestD01KeptAtMostOneCalendarYear(t *testing.T) {
	d := newDesk(t)
	d.now = mustTime("2024-02-29T10:00:00Z")
	d.must(CaseOpened{Purpose: PurposeCrash, Language: Dutch})
	d.must(AgreementRecorded{Notice: "2026-11"})
	d.refused(ErrTooLong, DeadlineSet{At(mustTime("2025-03-01T10:00:00Z")), keepOf("2025-03-01")}, FieldReason, "long")
	d.must(DeadlineSet{At(mustTime("2025-02-28T10:00:00Z")), keepOf("2025-02-28")}, FieldReason, "long")
	if _, err := keepOf("400d").Deadline(d.now, time.Time{}, time.UTC); !errors.Is(err, ErrTooLong) {
		t.Errorf("400d: %v", err)
	}
	// A year counts from the image, also when that failed.
	at := mustTime("2024-02-29T10:00:00Z")
	d.must(ImageStarted{"image-01", UUID{1}, "v1", "1", 1, 512, 4096, At(at), At(mustTime("2025-02-28T10:00:00Z"))})
	d.must(ImageFailed{"image-01", 1, 2, 3, StopSource})
	if got := d.c().Deadline; !got.Equal(mustTime("2025-02-28T10:00:00Z")) {
		t.Errorf("deadline %v", got)
	}
}

func TestD02ConfirmShortensToTheGrace(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	d.image("image-01")
	d.now = d.now.AddDate(0, 0, 20)
	week := At(d.now.Add(time.Second).AddDate(0, 0, 7))
	d.refused(ErrTooGenerous, CustomerConfirmed{ConfirmedSigned, At(week.Add(2 * time.Second))})
	d.must(CustomerConfirmed{ConfirmedSigned, week})
	if got := d.c().Deadline; !got.Equal(week.Time) {
		t.Errorf("deadline %v, want %v", got, week)
	}
	d.refused(ErrLater, DeadlineShortened{At(week.Add(time.Second))})
	d.must(CustomerConfirmed{ConfirmedSigned, At(d.now.AddDate(0, 0, 7))})
	if got := d.c().Deadline; !got.Equal(week.Time) {
		t.Errorf("a second confirmation moved the deadline to %v", got)
	}
}

func TestD03APurposeIsRequired(t *testing.T) {
	for _, p := range []Purpose{"", "curiosity"} {
		if _, err := sampleEvent(CaseOpened{Purpose: p, Language: Dutch}).Encode(); !errors.Is(err, ErrPayload) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestD04NoImageWithoutTheAgreement(t *testing.T) {
	d := newDesk(t)
	d.must(CaseOpened{Purpose: PurposeCrash, Language: Dutch})
	d.must(DeadlineSet{At(d.now.AddDate(0, 0, 90)), keepOf("90d")})
	d.refused(ErrNoAgreement, begun("image-01"))
	if _, err := sampleEvent(AgreementRecorded{}).Encode(); !errors.Is(err, ErrPayload) {
		t.Errorf("without the version of the notice: %v", err)
	}
}

func TestD05KeptLongerOnlyForAReason(t *testing.T) {
	d := newDesk(t)
	d.must(CaseOpened{Purpose: PurposeCrash, Language: Dutch})
	long := At(d.now.AddDate(0, 0, 91))
	d.refused(ErrNoReason, DeadlineSet{long, keepOf("91d")})
	d.must(DeadlineSet{long, keepOf("91d")}, FieldReason, "parts on order")
	d = newDesk(t)
	d.must(PolicySet{PolicyKeep, "30d", "2026-01-10"})
	d.must(CaseOpened{Purpose: PurposeCrash, Language: Dutch})
	d.refused(ErrNoReason, DeadlineSet{At(d.now.AddDate(0, 0, 31)), keepOf("31d")})
}

func TestD06EveryOpeningHasAReason(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	d.image("image-01")
	d.refused(ErrNoReason, DataOpened{Image: "image-01", Use: UseMount})
	d.must(DataOpened{Image: "image-01", Use: UseMount}, FieldReason, "asked for his photos")
	if n := len(d.c().Openings); n != 1 {
		t.Errorf("%d openings", n)
	}
}

func TestD07AClosedCaseHasNothingLeft(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{End: EndBoth})
	d.image("image-01")
	d.refused(ErrOpenCopies, CaseClosed{})
	d.must(DataExtracted{"image-01", TargetFile, 3, 4, 0, Export{Copy: "c1", Handover: true, Removable: true, Plain: true}})
	d.must(DeadlineShortened{At(d.now)})
	d.erase("image-01")
	d.refused(ErrOpenCopies, CaseClosed{})
	d.refused(ErrNoCopy, DataReturned{"c2", "image-01", MediumCustomer, "", 3, 4, true, RecipientOwner, CheckedCode})
	d.must(DataReturned{"c1", "image-01", MediumCustomer, "", 3, 4, true, RecipientOwner, CheckedCode})
	d.refused(ErrOpenItems, CaseClosed{})
	d.must(Offered{"o1", jan, an, TransferReturn, SealIntact})
	d.refused(ErrOpenOffer, CaseClosed{})
	d.must(ItemReturned{RecipientOwner, CheckedIdentity, SealIntact})
	d.must(CaseClosed{})
	if c := d.c(); len(c.Open()) != 0 || len(c.Exceptions) != 0 || len(c.Inventory()) != 3 {
		t.Errorf("%+v %+v", c.Inventory(), c.Exceptions)
	}
}

// What may be recorded about anybody: a field that is not here is one too many.
func TestD09OnlyNecessaryFields(t *testing.T) {
	necessary := []string{
		// who the customer is, and who comes for him
		FieldAddress, FieldCustomer, FieldEmail, FieldName, FieldPhone, FieldProxy, FieldRecipient, FieldTicket,
		// who works here
		FieldLogin,
		// what was handed in, and what came of it
		FieldAccessories, FieldCondition, FieldDamaged, FieldFault, FieldFingerprint, FieldMaker, FieldMissing, FieldModel, FieldSerial,
		FieldSHA256, FieldSource, FieldTarget, FieldExcluded, FieldWanted,
		// why, and by which paper
		FieldAnswer, FieldEffects, FieldFacts, FieldMeasures, FieldReason, FieldRecycler, FieldReference, FieldRequest,
	}
	seen := make(map[string]bool)
	for _, p := range samples() {
		for _, field := range PrivateFields(p.Type()) {
			seen[field] = true
			if !slices.Contains(necessary, field) {
				t.Errorf("%s has %s", p.Type(), field)
			}
		}
		if _, err := EncodePrivate(p.Type(), map[string]string{"national_number": "85.07.30-033.28"}); err == nil {
			t.Errorf("%s takes a national number", p.Type())
		}
	}
	for _, field := range necessary {
		if !seen[field] {
			t.Errorf("%s is nowhere", field)
		}
	}
}

func TestD12NobodyWithoutAgreementOrTraining(t *testing.T) {
	d := newDesk(t)
	d.op = piet
	d.refused(ErrNotAgreed, CaseOpened{Purpose: PurposeCrash, Language: Dutch})
	now := mustTime("2027-01-05T12:00:00Z")
	if got := codes(NextForShop(d.shop(), now)); slices.Index(got, StepTrainOperator) != 1 {
		t.Errorf("365 days after: %v", got) // piet is late; the others are soon
	}
	var late []string
	for _, s := range NextForShop(d.shop(), now.AddDate(0, 0, 1)) {
		if s.Code == StepTrainOperator && s.Urgency == UrgencyLate {
			late = append(late, s.Subject)
		}
	}
	slices.Sort(late)
	if d := cmp.Diff([]string{an, piet, jan}, late); d != "" {
		t.Errorf("366 days after: %s", d)
	}
}

func TestD15WhoHasAKeyMustSign(t *testing.T) {
	d := newDesk(t)
	key := OperatorKeyAdded{jan, "k1", KeyToken, "salvor-op/x/" + jan + "+0a1b2c3d+AZxxxx"}
	if must, err := d.shop().MustSign(jan, d.now); must || err != nil {
		t.Errorf("asserted: %v %v", must, err)
	}
	d.op = an
	d.refused(ErrNoOwnKey, key)
	d.op = jan
	d.must(key)
	if must, err := d.shop().MustSign(jan, d.now); !must || err != nil {
		t.Errorf("with a key: %v %v", must, err)
	}
	d.must(PolicySet{PolicyRequireKey, PolicyTrue, DateOf(d.now, time.UTC)})
	d.op = an
	d.refused(ErrNoKey, CaseOpened{Purpose: PurposeCrash, Language: Dutch})
	if got := codes(NextForShop(d.shop(), d.now)); !slices.Contains(got, StepOperatorKey) {
		t.Errorf("%v", got)
	}
	d.op = jan
	d.must(CaseOpened{Purpose: PurposeCrash, Language: Dutch})
	d.must(OperatorKeyEnded{jan, "k1", At(d.now), EndStolen})
	d.refused(ErrNoKey, AgreementRecorded{Notice: "1"})
}

func TestD16AnEndedAccessIsOver(t *testing.T) {
	d := newDesk(t)
	d.must(OperatorKeyAdded{jan, "k1", KeyAgent, "salvor-op/x/" + jan + "+0a1b2c3d+AZxxxx"})
	d.must(OperatorEnded{jan, "2026-01-10"})
	d.must(CaseOpened{Purpose: PurposeCrash, Language: Dutch})
	o, _ := d.shop().Operator(jan)
	if len(o.SigningKeys(d.now)) != 1 || len(o.SigningKeys(d.now.AddDate(0, 0, 1))) != 0 {
		t.Error("keys of the last day and the day after")
	}
	d.now = d.now.AddDate(0, 0, 1)
	d.refused(ErrOperatorLeft, AgreementRecorded{Notice: "1"})
	d.op = an
	d.must(ProcessorAdded{
		Processor: "lab", Services: []Service{ServiceRecovery}, Contract: "C-1", From: "2026-01-01", Country: "BE",
		Instructions: true, SubApproval: true, Audit: true,
	})
	d.must(ProcessorEnded{"lab", "2026-02-01"})
	p, _ := d.shop().Processor("lab")
	if p.MaySend("2026-02-01", ServiceRecovery) != nil || !errors.Is(p.MaySend("2026-02-02", ServiceRecovery), ErrNoContract) {
		t.Error("the last day of a contract")
	}
	s := FoldShop(append(d.h.all, Event{Station: "B1", Seq: 1, TS: At(d.now), Op: an, Pub: StationRetired{"T1", 9, EndStolen}}))
	x, _ := s.Station("T1")
	if !x.Counts(9) || x.Counts(10) || x.RetiredBy != (Ref{"B1", 1}) {
		t.Error("what a retired station signs")
	}
	settle := Event{Station: "B1", Seq: 2, TS: At(d.now), Op: an, Pub: StationSettled{"T1", 12, Hash{1}, true}}
	for want, p := range map[error]StationSettled{
		nil:           {"T1", 12, Hash{1}, true},
		ErrNoStation:  {"X9", 12, Hash{1}, true},
		ErrExists:     {"T1", 9, Hash{1}, true},
		ErrNotRetired: {"B1", 12, Hash{1}, false},
	} {
		e := settle
		e.Pub = p
		shop := s
		if p.Station == "B1" {
			shop.Stations = append(slices.Clone(s.Stations), Station{StationEnrolled: StationEnrolled{Station: "B1"}})
		}
		if err := Allow(shop, Case{}, e, nil); !errors.Is(err, want) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	left := settle
	left.Seq, left.Pub = 3, StationSettled{"T1", 40, Hash{2}, false}
	s = FoldShop(append(d.h.all, left, settle, Event{Station: "B1", Seq: 1, TS: At(d.now), Op: an, Pub: StationRetired{"T1", 9, EndStolen}}))
	if x, _ = s.Station("T1"); !x.Counts(12) || x.Counts(13) || !x.Dismissed(40, Hash{2}) || x.Dismissed(41, Hash{2}) || x.Dismissed(12, Hash{1}) {
		t.Errorf("what somebody settled: %+v", x)
	}
}

func TestD17OpeningsAreRecorded(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	d.image("image-01")
	for _, use := range []DataUse{UseList, UseExtract, UseRestore, UseMount, UseVerify, UseKeyTest} {
		d.must(DataOpened{Image: "image-01", Use: use}, FieldReason, "asked")
	}
	if n := len(d.c().Openings); n != 6 {
		t.Errorf("%d openings", n)
	}
	d.must(ContactShown{ShownContact})
	if s := d.c().Showings; len(s) != 1 || s[0].Op == "" || s[0].What != ShownContact {
		t.Errorf("shown: %+v", s)
	}
}

func TestD19NoPlainCopyOnRemovableMedia(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	d.image("image-01")
	open := DataOpened{Image: "image-01", Use: UseExtract, Export: Export{Copy: "c1", Removable: true, Plain: true}}
	d.refused(ErrPlainCopy, open, FieldReason, "asked")
	for _, x := range []Export{{"c1", true, true, true}, {"c1", true, false, false}, {"c1", false, true, false}} {
		open.Export = x
		d.must(open, FieldReason, "asked")
	}
	d.must(DataExtracted{"image-01", TargetFile, 1, 1, 0, Export{Copy: "c1", Removable: true, Plain: true}})
	if got := kinds(d.c()); !slices.Equal(got, []ExceptionKind{PlainCopy}) {
		t.Errorf("done all the same: %v", got)
	}
}

func TestD20DestroyedWithWitnessNeverResold(t *testing.T) {
	d := newDesk(t)
	if DestroyMethod("resale").Valid() || DestroyMethod("sold").Valid() {
		t.Error("customers' media are never resold")
	}
	d.open(CaseOpened{})
	drill := MediumDestroyed{Kind: CopyItem, Item: "1", Method: DestroyDrill, Date: "2026-01-10", Witness: an}
	d.refused(ErrNotAllowed, drill)
	d.must(AgreementRecorded{"2026-11", []Action{ActionDestroy}})
	nobody := drill
	nobody.Witness = "op-1234"
	d.refused(ErrWitness, nobody)
	recycled := drill
	recycled.Processor = "green"
	d.refused(ErrNoReference, recycled)
	d.refused(ErrNoContract, recycled, FieldReference, "R-1")
	d.must(PolicySet{PolicyFourEyes, PolicyTrue, "2026-01-10"})
	alone := drill
	alone.Witness = jan
	d.refused(ErrWitness, alone)
	vault := MediumDestroyed{Kind: CopyVault, Store: "v1", Method: DestroyShred, Date: "2026-01-10", Witness: an}
	d.refused(ErrNoVault, vault)
	d.no = ""
	d.must(vault)
	vault.Store = "v2"
	d.refused(ErrNoVault, vault)
	d.no = oneCase
	d.must(drill)
	if i, _ := d.c().Item("1"); i.State != ItemIsDestroyed {
		t.Errorf("%+v", i)
	}
	d.refused(ErrItemEnded, drill)
}

func TestD22NoThirdPersonWithoutProxy(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	d.refused(ErrNoProxy, ItemReturned{RecipientProxy, CheckedIdentity, SealIntact}, FieldRecipient, "Els")
	d.refused(ErrNoProxy, DataReturned{Medium: MediumCustomer, To: RecipientProxy, Checked: CheckedCode}, FieldRecipient, "Els")
	if Recipient("neighbour").Valid() || RecipientCheck("").Valid() {
		t.Error("everybody is checked")
	}
	d.must(ItemReturned{RecipientProxy, CheckedIdentity, SealIntact}, FieldRecipient, "Els", FieldProxy, "letter of 9 January")
	d = newDesk(t)
	d.refused(ErrNoProxy, CaseOpened{Purpose: PurposeCrash, Language: Dutch, Proxy: true})
}

// incident opens an incident of which the shop is aware now.
func (d *desk) incident(role Role) time.Time {
	d.t.Helper()
	d.no = ""
	aware := At(d.now)
	p := IncidentOpened{Incident: "i1", Kind: IncidentStolen, Aware: aware, Role: role, AuthorityDue: IncidentDue(aware.Time, 72)}
	if role == RoleProcessor {
		p.ControllerDue = IncidentDue(aware.Time, 24)
	}
	d.must(p, FieldFacts, "a vault's disk was stolen")
	return aware.Time
}

func TestD23IncidentsOfEveryKind(t *testing.T) {
	for _, k := range []IncidentKind{IncidentLost, IncidentStolen, IncidentDisclosed, IncidentDestroyed, IncidentAltered, IncidentUnavailable} {
		if !k.Valid() {
			t.Errorf("%s", k)
		}
	}
	d := newDesk(t)
	d.incident(RoleController)
	d.refused(ErrNotAssessed, IncidentClosed{Incident: "i1"})
	d.must(IncidentAssessed{Incident: "i1", Risk: RiskNone})
	d.refused(ErrNoReason, IncidentClosed{Incident: "i1", Authority: ExemptNoRisk})
	d.must(IncidentClosed{Incident: "i1", Authority: ExemptNoRisk}, FieldReason, "everything on it was encrypted")
	d.refused(ErrNoIncident, IncidentClosed{Incident: "i1", Authority: ExemptNoRisk}, FieldReason, "again")
}

func TestD24SeventyTwoRunningHours(t *testing.T) {
	zone := brussels(t)
	for _, day := range []string{"2026-03-28", "2026-10-24", "2026-06-01"} {
		aware, _ := time.ParseInLocation(time.DateTime, day+" 20:00:00", zone)
		if got := IncidentDue(aware, 72).Sub(aware); got != 72*3600*time.Second {
			t.Errorf("%s: %v", day, got)
		}
	}
	d := newDesk(t)
	aware := d.incident(RoleController)
	d.must(IncidentAssessed{Incident: "i1", Risk: RiskSome})
	d.now = aware.Add(73 * time.Hour)
	d.refused(ErrNotNotified, IncidentClosed{Incident: "i1"})
	d.refused(ErrNotNotified, IncidentClosed{Incident: "i1", Authority: ExemptNoRisk}, FieldReason, "x")
	d.must(IncidentAuthorityNotified{"i1", At(d.now), ""})
	d.refused(ErrUnexcused, IncidentClosed{Incident: "i1"})
	d.refused(ErrNoReason, IncidentClosed{Incident: "i1", Delay: DelayFacts})
	d.must(IncidentClosed{Incident: "i1", Delay: DelayFacts}, FieldReason, "it took a day to know which disk")
	if i := d.shop().Incidents[0]; !i.AuthorityClock().Overdue(d.now) || i.Open() {
		t.Errorf("%+v", i)
	}
}

func TestD25TheProcessorTellsTheController(t *testing.T) {
	d := newDesk(t)
	aware := d.incident(RoleProcessor)
	i := d.shop().Incidents[0]
	if !i.AuthorityClock().Running() || i.ControllerClock().Left(aware) != 24*time.Hour {
		t.Errorf("both clocks run: %+v", i)
	}
	d.must(IncidentAssessed{Incident: "i1", Risk: RiskSome})
	d.refused(ErrNotNotified, IncidentClosed{Incident: "i1", Authority: ExemptController}, FieldReason, "they do")
	d.must(IncidentControllerNotified{"i1", At(aware.Add(time.Second)), ""})
	d.must(IncidentClosed{Incident: "i1", Authority: ExemptController}, FieldReason, "they do")
}

func TestD26HighRiskIsTold(t *testing.T) {
	d := newDesk(t)
	d.incident(RoleController)
	d.must(IncidentAssessed{Incident: "i1", Risk: RiskHigh, Subjects: 3, Cases: []CaseNo{oneCase}})
	d.must(IncidentAuthorityNotified{"i1", At(d.now), ""})
	d.refused(ErrNotTold, IncidentClosed{Incident: "i1"})
	if got := codes(Next(Case{No: oneCase}, d.shop(), d.now)); !slices.Contains(got, StepTellSubjects) {
		t.Errorf("the case does not show it: %v", got)
	}
	exempt := IncidentClosed{Incident: "i1", Subjects: ExemptEncrypted}
	if err := d.shop().Incidents[0].MayClose(exempt, true); err != nil {
		t.Errorf("with an exemption: %v", err)
	}
	d.must(IncidentSubjectsNotified{"i1", At(d.now), ToldLetter, 3})
	d.must(IncidentClosed{Incident: "i1"})
}

func TestD27OnlyToAProcessorWithAContract(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	send := SentExternal{"lab", ServiceRecovery, CarrierCourier, SealIntact, "2026-02-01"}
	d.refused(ErrNotAllowed, send)
	d.must(AgreementRecorded{"2026-11", []Action{ActionExternal}})
	d.refused(ErrNoContract, send)
	contract := ProcessorAdded{
		Processor: "lab", Services: []Service{ServiceRepair}, Contract: "C-1", From: "2026-01-01", Until: "2026-12-31", Country: "BE",
		Instructions: true, SubApproval: true, Audit: true,
	}
	for _, test := range []struct {
		want   error
		change func(*ProcessorAdded)
	}{
		{ErrNoContract, func(*ProcessorAdded) {}},
		{ErrNoContract, func(p *ProcessorAdded) { p.Services, p.From = []Service{ServiceRecovery}, "2026-02-01" }},
		{ErrNoContract, func(p *ProcessorAdded) { p.From, p.Until = "2025-01-01", "2025-12-31" }},
		{ErrPoorContract, func(p *ProcessorAdded) { p.From, p.Until, p.Audit = "2026-01-01", "", false }},
		{ErrNoSafeguard, func(p *ProcessorAdded) { p.Audit, p.Country = true, "US" }},
	} {
		test.change(&contract)
		d.must(contract)
		d.refused(test.want, send)
	}
	contract.Safeguard = SafeguardAdequacy
	d.must(contract)
	d.must(send)
	d.refused(ErrItemOut, send)
	d.refused(ErrNotOut, BackExternal{"other", CarrierPost, SealIntact, "L-01"})
	d.now = mustTime("2026-02-02T09:00:00Z")
	if got := Next(d.c(), d.shop(), d.now); got[0].Code != StepItemBack || got[0].Urgency != UrgencyLate {
		t.Errorf("expected back: %v", got)
	}
	d.must(BackExternal{"lab", CarrierPost, SealOpened, "L-01"})
}

func TestD29OneMonthAndTwoMore(t *testing.T) {
	zone := brussels(t)
	for received, want := range map[string]string{
		"2026-01-31 10:00:00": "2026-02-28 23:59:59",
		"2028-01-31 10:00:00": "2028-02-29 23:59:59",
		"2026-02-28 10:00:00": "2026-03-28 23:59:59",
		"2026-03-31 00:30:00": "2026-04-30 23:59:59",
	} {
		at, _ := time.ParseInLocation(time.DateTime, received, zone)
		if got := RequestDue(at, 1, zone).In(zone).Format(time.DateTime); got != want {
			t.Errorf("%s: %s, want %s", received, got, want)
		}
	}
	d := newDesk(t)
	d.no = ""
	received := At(d.now)
	due, more := RequestDue(received.Time, 1, zone), RequestDue(received.Time, 3, zone)
	d.refused(ErrDue, RequestReceived{"r1", RequestAccess, received, RequestDue(received.Time, 2, zone)})
	d.must(RequestReceived{"r1", RequestAccess, received, due})
	d.refused(ErrNoReason, RequestExtended{"r1", At(d.now), more, ExtensionComplex})
	d.refused(ErrDue, RequestExtended{"r1", At(d.now), RequestDue(received.Time, 4, zone), ExtensionComplex}, FieldReason, "many disks")
	d.now = due.Add(time.Hour)
	late := RequestExtended{"r1", At(d.now), more, ExtensionComplex}
	d.refused(ErrTooLate, late, FieldReason, "many disks")
	late.Told = At(due.Add(-time.Hour))
	d.refused(ErrTooLate, late, FieldReason, "said to have been told")
	d.refused(ErrUnexcused, RequestAnswered{"r1", At(d.now), OutcomeGranted, ""})
	d.now = due.Add(-time.Hour)
	d.must(RequestExtended{"r1", At(d.now), more, ExtensionComplex}, FieldReason, "many disks")
	d.refused(ErrExtended, RequestExtended{"r1", At(d.now), more, ExtensionComplex}, FieldReason, "many disks")
	d.now = more.Add(-time.Hour)
	d.must(RequestAnswered{"r1", At(d.now), OutcomeGranted, ""})
	if r := d.shop().Requests[0]; r.Clock().Running() || r.Clock().Overdue(d.now) || !r.Due.Equal(more.Time) {
		t.Errorf("%+v", r)
	}
}

func TestD30WhatIsWrongIsCorrectedBesideIt(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	opened := Ref{"T1", d.c().Agreement.Ref.Seq - 1}
	d.refused(ErrNoCorrection, EventCorrected{opened, []string{FieldPhone}}, FieldPhone, "1")
	d.refused(ErrNoCorrection, EventCorrected{opened, []string{FieldPhone}}, FieldReason, "typo")
	d.refused(ErrNoCorrection, EventCorrected{opened, []string{FieldPhone}}, FieldReason, "typo", FieldPhone, "1", FieldEmail, "x@y")
	d.must(EventCorrected{opened, []string{FieldPhone}}, FieldReason, "typo", FieldPhone, "1")
	c := d.c()
	at := c.Corrections[0].Ref
	if got, ok := c.Current(opened, FieldPhone); !ok || got != at {
		t.Errorf("phone: %v %v", got, ok)
	}
	if got, ok := c.Current(opened, FieldEmail); !ok || got != opened {
		t.Errorf("mail: %v %v", got, ok)
	}
	c.PrivateErased = []Ref{at}
	if got, ok := c.Current(opened, FieldPhone); ok {
		t.Errorf("an older value came back: %v", got)
	}
	c.PrivateErased = []Ref{opened}
	if got, ok := c.Current(opened, FieldPhone); ok {
		t.Errorf("erased, and %v", got)
	}
}

func TestD31AHoldBlocksEveryWayOfErasing(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	d.image("image-01")
	d.must(AgreementRecorded{"2026-11", []Action{ActionDestroy}})
	d.must(DataExtracted{"image-01", TargetFile, 1, 1, 0, Export{Copy: "c1"}})
	d.must(HoldAdded{"h1", HoldLegal, "2026-02-01"}, FieldReason, "claim")
	destroy := MediumDestroyed{Method: DestroyDrill, Date: "2026-01-10", Witness: an}
	for _, kind := range []CopyKind{CopyImage, CopyKey, CopyExport, CopyItem} {
		p := destroy
		p.Kind = kind
		d.refused(ErrHeld, p, FieldReason, "asked")
	}
	d.refused(ErrHeld, EraseStarted{"j1", "image-01", true}, FieldReason, "asked")
	d.refused(ErrHeld, CopyErased{Copy: "c1", Media: MediaRaw})
	d.refused(ErrHeld, MediumEraseStarted{"w1", 1e12}, FieldReason, "asked")
	d.refused(ErrHeld, PrivateErased{[]Ref{{"T1", 12}}})
	d.refused(ErrHeld, PurgeProposed{"p1", []string{"image-01"}, At(d.now)})
	d.refused(ErrHeld, CaseClosed{})
	if got := Next(d.c(), d.shop(), mustTime("2026-02-02T09:00:00Z")); got[0].Code != StepReview || got[0].Urgency != UrgencyLate {
		t.Errorf("%v", got)
	}
	if _, err := sampleEvent(HoldAdded{"h1", HoldLegal, ""}).Encode(); !errors.Is(err, ErrPayload) {
		t.Errorf("without a review date: %v", err)
	}
}

func TestD32NothingIsErasedUnvalidated(t *testing.T) {
	d := newDesk(t)
	d.must(PolicySet{PolicyValidation, ValidationRequired, "2026-01-10"})
	d.open(CaseOpened{})
	d.image("image-01")
	due := d.c().Deadline
	if got := Next(d.c(), d.shop(), due.AddDate(0, 0, -7)); got[0].Code != StepValidate || got[0].Urgency != UrgencySoon {
		t.Errorf("seven days before: %v", got)
	}
	d.now, d.op = due, job
	d.refused(ErrNotValidated, EraseStarted{"j1", "image-01", false})
	d.must(PurgeProposed{"p1", []string{"image-01"}, At(due)})
	d.refused(ErrNotValidated, EraseStarted{"j1", "image-01", false})
	d.refused(ErrPurgeOnly, PurgeValidated{"p1"})
	if got := Next(d.c(), d.shop(), d.now); got[0].Code != StepValidate || got[0].Urgency != UrgencyLate {
		t.Errorf("overdue: %v", got)
	}
	d.op = an
	d.refused(ErrNoProposal, PurgeValidated{"p2"})
	d.must(PurgeValidated{"p1"})
	d.must(PolicySet{PolicyFourEyes, PolicyTrue, DateOf(d.now, time.UTC)})
	d.refused(ErrTwoPersons, EraseStarted{"j1", "image-01", false})
	// Who allowed it stands on the attest, and is another person where there is one.
	for _, who := range [][3]string{{"image-01", job, an}, {"image-01", an, an}, {"image-02", job, ""}} {
		if got := d.c().Validator(who[0], who[1]); got != who[2] {
			t.Errorf("%v: %q", who, got)
		}
	}
	d.op = jan
	d.must(PurgeValidated{"p1"})
	if got := d.c().Validator("image-01", an); got != jan {
		t.Errorf("the other of two: %q", got)
	}
	d.op = job
	d.must(EraseStarted{"j1", "image-01", false})
}

func TestD34SpecialDataNeedAContractAndTwoPersons(t *testing.T) {
	d := newDesk(t)
	special := []Category{CategoryHealth}
	d.refused(ErrNoContract, CaseOpened{Purpose: PurposeCrash, Language: Dutch, Special: special})
	d.refused(ErrNoContract, CaseOpened{Purpose: PurposeCrash, Language: Dutch, Role: RoleProcessor})
	d.open(CaseOpened{Special: special, Contract: "C-9", Role: RoleProcessor})
	d.image("image-01")
	early := EraseStarted{"j1", "image-01", true}
	d.refused(ErrTwoPersons, early, FieldReason, "asked")
	d.refused(ErrTwoPersons, DeadlineShortened{At(d.now)})
	d.refused(ErrTwoPersons, CustomerConfirmed{ConfirmedSigned, At(d.now)})
	d.must(PurgeProposed{"p1", []string{"image-01"}, At(d.c().Deadline)})
	d.must(PurgeValidated{"p1"})
	d.refused(ErrTwoPersons, early, FieldReason, "asked")
	d.op = an
	d.must(early, FieldReason, "asked")
}

func TestD35ASelftestIsRecorded(t *testing.T) {
	d := newDesk(t)
	d.must(SelftestPassed{"v0.9.1", 40, 12})
	if s := d.shop().Selftests; len(s) != 1 || s[0].Checks != 40 {
		t.Errorf("%+v", s)
	}
	if _, err := sampleEvent(SelftestPassed{"v1", 0, 1}).Encode(); !errors.Is(err, ErrPayload) {
		t.Errorf("nothing was tried: %v", err)
	}
}
