package custody

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is next for a case, from its first day to its last.
func TestNextFollowsTheLifeOfACase(t *testing.T) {
	d := newDesk(t)
	next := func(when string, want ...StepCode) {
		t.Helper()
		if d := cmp.Diff(want, codes(Next(d.c(), d.shop(), d.now.In(brussels(t))))); d != "" {
			t.Errorf("%s: %s", when, d)
		}
	}
	d.must(CaseOpened{Purpose: PurposeCrash, Language: Dutch})
	next("opened", StepAgreement, StepDeadline, StepImage)
	d.must(AgreementRecorded{Notice: "1"})
	d.must(DeadlineSet{At(d.now.AddDate(0, 0, 90)), keepOf("90d")})
	d.must(ItemReceived{Item: "1", Kind: ItemHDD})
	next("received", StepImage, StepReturnItem)
	d.must(ImageStarted{"image-01", UUID{1}, "v1", "1", 1e12, 512, 4096, At(d.now), At(d.c().Deadline)})
	d.must(KeyWrapped{"image-01", 1, SessionID{2}, "v1", "a.age", Hash{3}, []string{"k1", "k2"}})
	d.must(ImagePaused{"image-01", 1, 2, 3, StopInterrupted})
	next("paused", StepReturnItem, StepResume)
	d.must(ImageSealed{"image-01", Hash{4}, 5, 6, 7, 1e12, 0, 10, false, false})
	next("sealed", StepReturnData, StepReturnItem, StepVerify)
	d.must(ImageVerified{"image-01", VerifyMedia, false, 1, 2})
	next("damaged", StepDamaged, StepReturnData, StepReturnItem)
	d.must(ImageVerified{"image-01", VerifyMedia, true, 1, 2})
	d.must(DataExtracted{"image-01", TargetFile, 3, 4, 0, Export{Copy: "c1"}})
	next("extracted", StepEndCopy, StepReturnData, StepReturnItem)
	d.must(DataReturned{"c1", "image-01", MediumCustomer, "", 3, 4, true, RecipientOwner, CheckedCode})
	d.must(ItemReturned{RecipientOwner, CheckedCode, SealNone})
	next("returned", StepConfirm)
	d.must(CustomerConfirmed{ConfirmedSigned, At(d.now.AddDate(0, 0, 7))})
	d.now = d.now.Add(time.Hour)
	next("confirmed", StepNotice)
	d.now = d.c().Deadline
	next("due", StepPurge)
	d.must(EraseStarted{"j1", "image-01", false})
	next("cut off", StepFinishErase)
	done := EraseDone{"j1", "image-01", KeysNone, MediaFailed, false, 1, 2, 3, 4, 5, 6}
	d.must(done)
	next("nothing proved", StepDestroy, StepLook)
	done.Keys, done.Media = KeysComplete, MediaRaw
	d.must(EraseStarted{"j1", "image-01", false})
	d.must(done)
	next("erased", StepLook, StepClose)
	d.must(CaseClosed{})
	next("closed", StepLook)
}

func TestNextKnowsTheShop(t *testing.T) {
	d := newDesk(t)
	d.must(OperatorAgreed{piet, "2026-01-05"})
	d.must(OperatorTrained{piet, "2026-01-05"})
	d.must(ProcessorAdded{
		Processor: "lab", Services: []Service{ServiceRepair}, Contract: "C-1", From: "2026-01-01", Until: "2026-01-20", Country: "BE",
	})
	if got, want := codes(NextForShop(d.shop(), d.now)), []StepCode{StepBackup}; !cmp.Equal(got, want) {
		t.Errorf("%v", got)
	}
	d.must(BackupMade{Hash{1}, 2, 3, BackupOffsite})
	d.no = ""
	d.must(RequestReceived{"r1", RequestAccess, At(d.now), RequestDue(d.now, 1, time.UTC)})
	d.now = mustTime("2026-01-15T00:00:00Z")
	if got, want := codes(NextForShop(d.shop(), d.now)), []StepCode{StepRenewContract, StepAnswer}; !cmp.Equal(got, want) {
		t.Errorf("%v", got)
	}
	d.incident(RoleController)
	d.now = d.now.Add(73 * time.Hour)
	if got, want := codes(NextForShop(d.shop(), d.now))[:2], []StepCode{StepAssess, StepTellAuthority}; !cmp.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestPolicyHoldsFromItsDay(t *testing.T) {
	d := newDesk(t)
	d.must(PolicySet{PolicyGrace, "3d", "2026-02-01"})
	d.must(PolicySet{PolicyGrace, "5d", "2026-01-20"})
	d.must(PolicySet{PolicyGrace, "4d", "2026-01-20"})
	s := d.shop()
	for day, want := range map[Date]string{"2026-01-19": "7d", "2026-01-20": "4d", "2026-01-31": "4d", "2026-02-01": "3d", "2030-01-01": "3d"} {
		if got := s.Policy(day).Grace.String(); got != want {
			t.Errorf("%s: %s, want %s", day, got, want)
		}
	}
	d.refused(ErrPast, PolicySet{PolicyGrace, "9d", "2026-01-01"})
	for _, n := range PolicyNames() {
		if err := CheckPolicy(n, n.Default()); err != nil {
			t.Errorf("%s = %s: %v", n, n.Default(), err)
		}
	}
	for n, value := range map[PolicyName]string{
		"": "", "colour": "blue", PolicyKeep: "366d", PolicyGrace: "36h", PolicyValidation: "maybe", PolicyFourEyes: "yes",
		PolicyRequest: "2m", PolicyRequestExtension: "3m", PolicyIncidentAuthority: "73h", PolicyIncidentControl: "25h", PolicyTraining: "2027-01-01",
	} {
		if err := CheckPolicy(n, value); !errors.Is(err, ErrPayload) {
			t.Errorf("%s = %s: %v", n, value, err)
		}
	}
}

func TestClocks(t *testing.T) {
	at := mustTime("2026-01-10T09:00:00Z")
	c := Clock{From: at, Due: at.Add(time.Hour)}
	if !c.Running() || c.Overdue(c.Due) || !c.Overdue(c.Due.Add(time.Second)) || c.Left(at) != time.Hour || c.Left(c.Due.Add(time.Minute)) != -time.Minute {
		t.Errorf("%+v", c)
	}
	c.Done = c.Due
	if c.Running() || c.Overdue(c.Due.Add(99*time.Hour)) || c.Left(at) != 0 {
		t.Errorf("done in time: %+v", c)
	}
	c.Done = c.Due.Add(time.Second)
	if !c.Overdue(at) {
		t.Errorf("done too late: %+v", c)
	}
	if none := (Clock{}); none.Running() || none.Overdue(at) || none.Left(at) != 0 {
		t.Error("nothing runs")
	}
	if got := keepOf("365d").After("2026-01-05"); got != "2027-01-05" {
		t.Errorf("%s", got)
	}
}

// Two people who register what they saw apart from each other: the notices
// count by the moment they speak of, not by when they arrived.
func TestRegistersKeepWhatWasFirst(t *testing.T) {
	h := &history{}
	one, two := &teller{name: "B1"}, &teller{name: "B2"}
	at := mustTime("2026-01-10T09:00:00Z")
	h.tell(one, at, "", IncidentOpened{Incident: "i1", Kind: IncidentLost, Aware: At(at), Role: RoleController, AuthorityDue: IncidentDue(at, 72)})
	h.tell(one, at.Add(9*time.Hour), "", IncidentAuthorityNotified{"i1", At(at.Add(8 * time.Hour)), ""})
	h.tell(two, at.Add(10*time.Hour), "", IncidentAuthorityNotified{"i1", At(at.Add(7 * time.Hour)), ""})
	h.tell(two, at, "", IncidentClosed{Incident: "i2"})
	s := FoldShop(h.all)
	if i := s.Incidents[0]; !i.Authority.At.Equal(at.Add(7*time.Hour)) || i.AuthorityClock().Overdue(at) {
		t.Errorf("%+v", i)
	}
	if i := s.Incidents[1]; i.ID != "i2" || i.Kind != "" || i.Open() {
		t.Errorf("an end without its beginning: %+v", i)
	}
	due := RequestDue(at, 1, time.UTC)
	h.tell(one, at, "", RequestReceived{"r1", RequestCopy, At(at), due})
	h.tell(two, due.Add(time.Hour), "", RequestExtended{"r1", At(due.Add(time.Minute)), RequestDue(at, 3, time.UTC), ExtensionMany})
	if s = FoldShop(h.all); !s.Requests[0].Due.Equal(due.Time) || len(s.Exceptions) != 1 || s.Exceptions[0].Kind != LateExtension {
		t.Errorf("%+v %+v", s.Requests[0], s.Exceptions)
	}
}
