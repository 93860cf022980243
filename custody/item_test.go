package custody

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bench is a station in a tale of several.
type bench struct {
	*teller
	h  *history
	op string
}

func (b *bench) does(minute int, p Payload) Event {
	return b.h.tellAs(b.teller, mustTime("2026-11-21T08:00:00Z").Add(time.Duration(minute)*time.Minute), oneCase, "1", b.op, p)
}

func (b *bench) hears(from *bench) { b.known = append(b.known, from.known...) }

// twoBenches are two stations after the first has received an item.
func twoBenches() (*history, *bench, *bench) {
	h := &history{}
	one := &bench{&teller{name: "B1"}, h, jan}
	two := &bench{&teller{name: "B2"}, h, an}
	one.does(0, CaseOpened{Purpose: PurposeCrash, Language: Dutch})
	one.does(1, ItemReceived{Item: "1", Kind: ItemHDD, Bytes: 1, Seal: "S-1", Place: "L-01"})
	return h, one, two
}

func (h *history) item(t *testing.T) Item {
	t.Helper()
	i, ok := FoldCase(oneCase, h.all).Item("1")
	if !ok {
		t.Fatal("no item")
	}
	return i
}

func TestCustodyFollowsWhatStationsKnew(t *testing.T) {
	h, one, two := twoBenches()
	two.hears(one)
	// The clock of the second bench is a day slow: it must not matter.
	two.skew = -24 * time.Hour
	taken := two.does(5, Accepted{jan, an, TransferImaging, SealIntact, "L-02", ""})
	i := h.item(t)
	if i.State != ItemIsHere || i.Custodian != an || i.Place != "L-02" || i.Position != taken.Ref() || len(i.Moves) != 2 {
		t.Errorf("%+v", i)
	}
	// The first bench did not hear of it.
	sent := one.does(6, SentExternal{"lab", ServiceRecovery, CarrierPost, SealIntact, "2027-01-01"})
	i = h.item(t)
	if i.State != ItemIsDisputed || i.Custodian != "" || i.Ended() || !slices.Equal(i.Disputed, []Ref{sent.Ref(), taken.Ref()}) {
		t.Errorf("%+v", i)
	}
	c := FoldCase(oneCase, h.all)
	if got := kinds(c); !slices.Equal(got, []ExceptionKind{Disputed, Disputed}) {
		t.Errorf("%v", got)
	}
	if err := c.MayMove("1"); !errors.Is(err, ErrDisputed) {
		t.Errorf("%v", err)
	}
	// Whoever knows both sides settles it.
	one.hears(two)
	one.does(9, Accepted{an, jan, TransferShift, SealIntact, "", ""})
	if i = h.item(t); i.State != ItemIsHere || i.Custodian != jan || i.Disputed != nil {
		t.Errorf("%+v", i)
	}
	one.does(10, ItemReturned{RecipientOwner, CheckedCode, SealIntact})
	if i = h.item(t); i.State != ItemIsReturned || i.Custodian != "" || i.Place != "" || !i.Ended() {
		t.Errorf("%+v", i)
	}
	// Handed in again.
	one.does(11, ItemReceived{Item: "1", Kind: ItemHDD, Bytes: 1})
	if i = h.item(t); i.State != ItemIsHere || i.Custodian != jan {
		t.Errorf("%+v", i)
	}
}

func TestAnOfferWaitsUntilTheItemMoves(t *testing.T) {
	h, one, two := twoBenches()
	one.does(2, Offered{"o1", jan, an, TransferImaging, SealIntact})
	if i := h.item(t); len(i.Offers) != 1 || i.Custodian != jan {
		t.Errorf("%+v", i)
	}
	// The second bench knows nothing of the offer: taking the item without it
	// does not answer it.
	two.does(3, Accepted{jan, an, TransferImaging, SealIntact, "", ""})
	if i := h.item(t); len(i.Offers) != 1 {
		t.Errorf("%+v", i.Offers)
	}
	two.hears(one)
	two.does(4, Accepted{jan, an, TransferImaging, SealIntact, "", "o1"})
	if i := h.item(t); len(i.Offers) != 0 || i.Custodian != an {
		t.Errorf("%+v", i)
	}
	two.does(5, Offered{"o2", an, jan, TransferReturn, SealIntact})
	two.does(6, Offered{"o3", an, jan, TransferReturn, SealIntact})
	if i := h.item(t); len(i.Offers) != 1 || i.Offers[0].Offer != "o3" {
		t.Errorf("a newer offer takes the place of an older: %+v", i.Offers)
	}
}

func TestTransfersAreGivenAndTakenByTheRightHands(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	d.refused(ErrNotCustodian, Offered{"o1", an, jan, TransferImaging, SealIntact})
	d.refused(ErrNotCustodian, Offered{"o1", jan, jan, TransferImaging, SealIntact})
	d.refused(ErrNotAgreed, Offered{"o1", jan, piet, TransferImaging, SealIntact})
	d.refused(ErrPurgeOnly, Offered{"o1", jan, job, TransferImaging, SealIntact})
	d.refused(ErrOperator, Offered{"o1", jan, "op-1234", TransferImaging, SealIntact})
	d.op = an
	d.refused(ErrNotYours, Offered{"o1", jan, an, TransferImaging, SealIntact})
	d.op = jan
	d.must(Offered{"o1", jan, an, TransferImaging, SealIntact})
	d.refused(ErrNotYours, Accepted{jan, an, TransferImaging, SealIntact, "", "o1"})
	d.op = an
	d.refused(ErrNoOffer, Accepted{jan, an, TransferImaging, SealIntact, "", "o2"})
	d.must(Accepted{jan, an, TransferImaging, SealIntact, "", "o1"})
	d.refused(ErrNotCustodian, Accepted{jan, an, TransferImaging, SealIntact, "", "o1"})
	d.must(Accepted{an, jan, TransferShift, SealIntact, "", ""}) // from hand to hand
	if err := d.doItem("7", PlaceChanged{"L-09"}); !errors.Is(err, ErrNoItem) {
		t.Errorf("an item that is not there: %v", err)
	}
	d.must(PlaceChanged{"L-09"})
	d.must(SealChecked{"S-1", SealBroken})
	i, _ := d.c().Item("1")
	if i.Place != "L-09" || i.SealState != SealBroken || i.Seal != "S-1" || len(i.Seals) != 4 {
		t.Errorf("%+v", i)
	}
	if got := kinds(d.c()); !slices.Equal(got, []ExceptionKind{SealNotIntact}) {
		t.Errorf("%v", got)
	}
	d.refused(ErrItemExists, ItemReceived{Item: "1", Kind: ItemHDD})
}

func TestAnItemThatIsAFileIsErased(t *testing.T) {
	d := newDesk(t)
	d.must(CaseOpened{Purpose: PurposeCrash, Language: Dutch})
	d.must(ItemReceived{Item: "1", Kind: ItemFile, Bytes: 9})
	d.must(ItemReceived{Item: "2", Kind: ItemHDD, Bytes: 9})
	d.refused(ErrOpenItems, CopyErased{Item: "2", Media: MediaRaw})
	d.must(CopyErased{Item: "1", Media: MediaNotAssured})
	if i, _ := d.c().Item("1"); i.Ended() {
		t.Errorf("nothing was proved: %+v", i)
	}
	d.must(CopyErased{Item: "1", Media: MediaLogical})
	if i, _ := d.c().Item("1"); i.State != ItemIsErased {
		t.Errorf("%+v", i)
	}
}

func TestInventoryTellsTheEndOfEveryCopy(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	for _, image := range []string{"image-01", "image-02", "image-03"} {
		d.image(image)
	}
	d.must(DataExtracted{"image-01", TargetFile, 1, 7, 0, Export{Copy: "c1", Removable: true, Plain: true, Handover: true}})
	d.must(DataRestored{Image: "image-01", Target: TargetDevice, Bytes: 8})
	d.now = d.c().Deadline
	key := MediumDestroyed{Kind: CopyKey, Image: "image-03", File: "image-03.age", Store: "v1", Method: DestroyBurn, Date: "2026-04-10", Witness: an}
	d.must(key)
	d.refused(ErrNoCopy, key)
	d.erase("image-01")
	d.must(MediumDestroyed{Kind: CopyImage, Image: "image-02", Method: DestroyShred, Date: "2026-04-10", Witness: an})
	d.refused(ErrDestroyed, EraseStarted{"j2", "image-02", true}, FieldReason, "again")
	d.refused(ErrDestroyed, DataOpened{Image: "image-02", Use: UseMount}, FieldReason, "again")
	d.must(CopyErased{Copy: "c1", Media: MediaLogical})
	c := d.c()
	var got []string
	for _, x := range c.Inventory() {
		got = append(got, string(x.Kind)+" "+x.Name+" "+string(x.End.Fate))
	}
	restored := c.Restores[0].Ref.String()
	want := []string{
		"image image-01 erased", "key image-01.age erased",
		"image image-02 destroyed", "key image-02.age void",
		"image image-03 ", "key image-03.age destroyed",
		"export " + restored + " ", "export c1 erased",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if c.Copies() != 1 || c.Erased() || len(c.Open()) != 2 {
		t.Errorf("%d copies, %v", c.Copies(), c.Open())
	}
	d.must(DataReturned{Copy: restored, Medium: MediumComputer, To: RecipientOwner, Checked: CheckedCode})
	d.erase("image-03")
	if c = d.c(); !c.Erased() || len(c.Open()) != 0 {
		t.Errorf("%v", c.Open())
	}
}
