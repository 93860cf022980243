package custody

import (
	"cmp"
	"slices"
	"time"
)

// An ItemState is where an item is.
type ItemState string

// The states of an item. Returned, destroyed and erased are ends.
const (
	ItemIsHere      ItemState = "here"
	ItemIsOut       ItemState = "out"      // with a processor
	ItemIsDisputed  ItemState = "disputed" // two records, neither of which knew the other, say two things
	ItemIsReturned  ItemState = "returned"
	ItemIsDestroyed ItemState = "destroyed"
	ItemIsErased    ItemState = "erased" // an image file as received, which is no thing to give back
)

// An Item is what the customer handed in, and what became of it.
type Item struct {
	Ref   Ref // of item.received; zero when it has not arrived
	At    time.Time
	Op    string
	Item  string
	Kind  ItemKind // "" when item.received has not arrived
	Bytes int64

	Condition ItemCondition // as received
	State     ItemState
	Custodian string    // operator who has it in hand; "" unless it is here
	Processor string    // where it is out, or was destroyed
	Since     time.Time // of that position
	Position  Ref       // the event that says so; zero when disputed
	Disputed  []Ref     // the events that say different things, sorted
	Back      Date      // when it is expected back, while it is out
	Place     string    // "" when not recorded, or not here
	Seal      string    // number of the newest seal; "" when it never had one
	SealState SealState // what the newest look at it showed; "" before the first
	SealRef   Ref

	Wiped *Wipe // the last wipe that was proved; nil when there is none. The item is still there

	Moves  []Move // where it has been, in causal order
	Seals  []SealLook
	Offers []Offer // those that nobody has taken up, in causal order
}

// Ended reports whether the item is not the shop's to look after any more.
func (i Item) Ended() bool {
	return i.State.ended()
}

// A Move is one change of the hands that an item is in.
type Move struct {
	Ref       Ref
	At        time.Time
	Op        string // who recorded it
	Type      Type
	State     ItemState // after it
	From      string    // operator, for a transfer
	To        string    // operator in whose hands it is then; "" unless it is here
	Processor string
	Reason    TransferReason
	Recipient Recipient // to whom it was returned
	Checked   RecipientCheck
	Seal      SealState
	Place     string
	Back      Date
	Offer     string // that it takes up; "" for a transfer without one
}

// A SealLook says that a seal was applied or looked at.
type SealLook struct {
	Ref   Ref
	At    time.Time
	Op    string
	Seal  string
	State SealState
}

// An Offer is an offered transfer.
type Offer struct {
	Ref Ref
	At  time.Time
	Op  string
	Offered
}

// An itemFold is an item in the middle of a fold.
type itemFold struct {
	Item
	moveAt  []int // place of each move among the case's sorted events
	offers  []Offer
	offerAt []int
}

// applyItem follows the items. order is the event's place among the case's
// sorted events.
func (f *caseFold) applyItem(e Event, order int) {
	at, ref := e.TS.Time, e.Ref()
	m := Move{Ref: ref, At: at, Op: e.Op, Type: e.Type()}
	switch p := e.Pub.(type) {
	case ItemReceived:
		i := f.item(p.Item)
		if i.Kind == "" {
			i.Ref, i.At, i.Op, i.Kind, i.Bytes, i.Condition = ref, at, e.Op, p.Kind, p.Bytes, p.Condition
		} else if !i.Moves[len(i.Moves)-1].State.ended() {
			f.except(ItemTwice, ref)
		}
		if p.Seal != "" {
			f.sealed(i, SealLook{ref, at, e.Op, p.Seal, SealIntact})
		}
		m.State, m.To, m.Place = ItemIsHere, e.Op, p.Place
		i.move(m, order)
	case Offered:
		i := f.item(e.Item)
		i.offers, i.offerAt = append(i.offers, Offer{ref, at, e.Op, p}), append(i.offerAt, order)
	case Accepted:
		m.State, m.From, m.To, m.Reason, m.Offer = ItemIsHere, p.From, p.To, p.Reason, p.Offer
		m.Seal, m.Place = p.Seal, p.Place
		f.moved(e.Item, m, order)
	case SentExternal:
		m.State, m.Processor, m.Seal, m.Back = ItemIsOut, p.Processor, p.Seal, p.Back
		f.moved(e.Item, m, order)
	case BackExternal:
		m.State, m.To, m.Processor, m.Seal, m.Place = ItemIsHere, e.Op, p.Processor, p.Seal, p.Place
		f.moved(e.Item, m, order)
	case ItemReturned:
		m.State, m.Recipient, m.Checked, m.Seal = ItemIsReturned, p.To, p.Checked, p.Seal
		f.moved(e.Item, m, order)
	case PlaceChanged:
		f.item(e.Item).Place = p.Place
	case SealApplied:
		f.sealed(f.item(e.Item), SealLook{ref, at, e.Op, p.Seal, SealIntact})
	case SealChecked:
		f.sealed(f.item(e.Item), SealLook{ref, at, e.Op, p.Seal, p.State})
	}
}

// moved takes a move of an item that was looked at on the way.
func (f *caseFold) moved(item string, m Move, order int) {
	i := f.item(item)
	if m.Seal != "" && m.Seal != SealNone {
		f.sealed(i, SealLook{m.Ref, m.At, m.Op, i.Seal, m.Seal})
	}
	i.move(m, order)
}

func (i *itemFold) move(m Move, order int) {
	i.Moves, i.moveAt = append(i.Moves, m), append(i.moveAt, order)
	if m.State != ItemIsHere {
		i.Place = ""
	} else if m.Place != "" {
		i.Place = m.Place
	}
}

func (f *caseFold) sealed(i *itemFold, look SealLook) {
	i.Seals = append(i.Seals, look)
	i.Seal, i.SealState, i.SealRef = look.Seal, look.State, look.Ref
	if look.State == SealBroken || look.State == SealMissing {
		f.except(SealNotIntact, look.Ref)
	}
}

// finishItems says where each item is. Only the moves that no later move knew
// count: one of them is the position, several are a dispute, which ends with a
// move that knows them all.
func (f *caseFold) finishItems(sorted []Event) {
	var order *causal
	for k := range f.items {
		i := &f.items[k]
		if order == nil {
			order = newCausal(sorted)
		}
		i.settle(order)
		for _, r := range i.Disputed {
			f.except(Disputed, r)
		}
		if !f.c.Closed.IsZero() && !i.Ended() {
			f.except(OpenItems, f.closedBy)
		}
		f.c.Items = append(f.c.Items, i.Item)
	}
	slices.SortFunc(f.c.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(len(a.Item), len(b.Item)), cmp.Compare(a.Item, b.Item))
	})
}

func (i *itemFold) settle(order *causal) {
	i.State = ItemIsHere
	heads := order.heads(i.moveAt)
	for k, at := range i.moveAt {
		if !slices.Contains(heads, at) {
			continue
		}
		m := i.Moves[k]
		i.State, i.Custodian, i.Processor, i.Since, i.Position, i.Back = m.State, m.To, m.Processor, m.At, m.Ref, m.Back
		i.Disputed = append(i.Disputed, m.Ref)
	}
	if len(heads) < 2 {
		i.Disputed = nil
	} else {
		i.State, i.Custodian, i.Processor, i.Since, i.Position, i.Back = ItemIsDisputed, "", "", time.Time{}, Ref{}, ""
		slices.SortFunc(i.Disputed, Ref.compare)
	}
	for k, o := range i.offers {
		taken := slices.ContainsFunc(i.Moves, func(m Move) bool { return m.Offer != "" && m.Offer == o.Offer })
		for _, at := range slices.Concat(i.moveAt, i.offerAt) {
			taken = taken || order.knew(at, i.offerAt[k])
		}
		if !taken {
			i.Offers = append(i.Offers, o)
		}
	}
}

func (s ItemState) ended() bool { return oneOf(s, ItemIsReturned, ItemIsDestroyed, ItemIsErased) }

func (f *caseFold) item(number string) *itemFold {
	return entry(&f.items, func(i itemFold) bool { return i.Item.Item == number }, itemFold{Item: Item{Item: number}})
}

// Item returns the item with that number.
func (c Case) Item(number string) (Item, bool) {
	return find(c.Items, func(i Item) bool { return i.Item == number })
}

// Offer returns the open offer with that id.
func (i Item) Offer(id string) (Offer, bool) {
	return find(i.Offers, func(o Offer) bool { return o.Offer == id })
}
