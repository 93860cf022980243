package custody

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnItemIsWipedOnlyAsItsCustomerAllows(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	begin := MediumEraseStarted{"w1", 1e12}
	d.refused(ErrNotAllowed, begin)
	d.must(AgreementRecorded{"2026-11", []Action{ActionErase}})
	d.op = job
	d.refused(ErrPurgeOnly, begin)
	d.op = piet
	d.refused(ErrNotAgreed, begin)
	d.op = jan
	d.must(ImageStarted{"image-01", UUID{1}, "v1", "1", 1e12, 512, 4096, At(d.now), At(d.c().Deadline)})
	d.refused(ErrNotRescued, begin)
	d.must(begin, FieldReason, "the customer wants no copy", FieldSerial, "WX1")
	d.refused(ErrExists, begin, FieldReason, "again")
	d.must(KeyWrapped{"image-01", 1, SessionID{2}, "v1", "image-01.age", Hash{3}, []string{"k1", "k2"}})
	d.must(ImageSealed{"image-01", Hash{4}, 5, 6, 7, 1e12, 0, 10, false, false})
	d.must(MediumEraseStarted{"w2", 1e12})
	d.must(ItemReturned{RecipientOwner, CheckedCode, SealIntact})
	d.refused(ErrItemEnded, MediumEraseStarted{"w3", 1e12})
	if err := d.doItem("2", MediumEraseStarted{"w3", 1e12}); !errors.Is(err, ErrNoItem) {
		t.Errorf("an item that is not there: %v", err)
	}
}

func TestAWipedItemIsStillThere(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	d.must(AgreementRecorded{"2026-11", []Action{ActionErase}})
	d.refused(ErrNoWipe, MediumEraseDone{"w1", MediaRaw, false, false, 8, 8, 8, 0, 0})
	d.must(MediumEraseStarted{"w1", 8})
	d.must(MediumEraseFailed{"w1", StepOverwrite})
	if w := d.c().Wipes[0]; w.Failed != StepOverwrite || w.Proved() || d.c().Items[0].Wiped != nil {
		t.Errorf("stopped: %+v", w)
	}
	d.must(MediumEraseDone{"w1", MediaFailed, false, false, 8, 7, 7, 0, 1})
	d.must(AttestIssued{Attest: "w1", SHA256: Hash{5}, Media: MediaFailed})
	d.refused(ErrWiped, MediumEraseDone{"w1", MediaRaw, false, false, 8, 8, 8, 0, 0})
	c := d.c()
	if c.Items[0].Wiped != nil || !hasException(c, NotProved) {
		t.Errorf("nothing was proved: %+v", c.Items[0])
	}
	d.must(MediumEraseStarted{"w2", 8})
	d.must(MediumEraseDone{"w2", MediaRaw, true, false, 8, 8, 8, 0, 0})
	d.must(AttestIssued{Attest: "w2", SHA256: Hash{6}, Media: MediaRaw})
	c = d.c()
	i := c.Items[0]
	if i.Wiped == nil || i.Wiped.Job != "w2" || !i.Wiped.Proved() || i.Wiped.Attest.SHA256 != (Hash{6}) || i.Wiped.Item != "1" {
		t.Fatalf("%+v", i.Wiped)
	}
	if i.Ended() || i.State != ItemIsHere {
		t.Errorf("a wiped disk is given back like any other: %s", i.State)
	}
	if len(c.Attests) != 0 {
		t.Errorf("the attest of an item is among those of images: %+v", c.Attests)
	}
	d.must(HoldAdded{"h1", HoldLegal, "2026-02-01"}, FieldReason, "claim")
	if !hasException(d.c(), HeldButErased) {
		t.Error("wiped under a hold, and not shown")
	}
}

func TestMediaOfTheShopAreWipedOnTheRecord(t *testing.T) {
	d := newDesk(t)
	d.no = ""
	d.refused(ErrNoWipe, MediumEraseFailed{"w1", StepPlanned})
	d.op = job
	d.refused(ErrPurgeOnly, MediumEraseStarted{"w1", 512})
	d.op = jan
	d.must(MediumEraseStarted{"w1", 512}, FieldModel, "T7", FieldSerial, "S1")
	d.refused(ErrExists, MediumEraseStarted{"w1", 512})
	d.must(MediumEraseDone{"w1", MediaPurged, false, true, 512, 512, 512, 0, 0})
	d.must(AttestIssued{Attest: "w1", SHA256: Hash{5}, Media: MediaPurged})
	w, ok := d.shop().Wipe("w1")
	if !ok || !w.Proved() || w.Item != "" || w.Op != jan || w.Attest == nil || w.Bytes != 512 {
		t.Errorf("%+v", w)
	}
	for _, e := range []Event{
		{Pub: AttestIssued{Attest: "a1", SHA256: Hash{5}, Image: "image-01", Keys: KeysComplete, Media: MediaRaw}}, // an image of no case
		{Case: oneCase, Pub: AttestIssued{Attest: "a1", SHA256: Hash{5}, Media: MediaRaw}},                         // a medium that is no item
		{Case: oneCase, Pub: MediumEraseStarted{"w2", 512}},                                                        // the same
		{Item: "1", Pub: MediumEraseStarted{"w2", 512}},                                                            // an item of no case
	} {
		whole := sampleEvent(Heartbeat{})
		whole.Case, whole.Item, whole.Pub = e.Case, e.Item, e.Pub
		if _, err := whole.Encode(); err == nil {
			t.Errorf("accepted: %+v", e)
		}
	}
}

func hasException(c Case, kind ExceptionKind) bool {
	_, ok := find(c.Exceptions, func(x Exception) bool { return x.Kind == kind })
	return ok
}

func TestTheFirstEndOfAWipeStands(t *testing.T) {
	events := []Event{
		{Station: "T1", Seq: 1, Case: oneCase, Item: "1", Pub: MediumEraseDone{"w1", MediaRaw, false, false, 8, 8, 8, 0, 0}},
		{Station: "T1", Seq: 2, Case: oneCase, Item: "1", Pub: MediumEraseDone{"w1", MediaFailed, false, false, 8, 0, 0, 0, 8}},
	}
	c := FoldCase(oneCase, events)
	if w, ok := c.Wipe("w1"); !ok || !w.Proved() {
		t.Error(cmp.Diff(Wipe{}, w))
	}
}
