package custody

// The events of the chain of custody: who has an item in hand, where it lies,
// and whether anybody was at it. All of them name their item in the event's
// item field.

// The types of the chain of custody.
const (
	TypeCustodyOffered  Type = "custody.offered"
	TypeCustodyAccepted Type = "custody.accepted"
	TypePlaceChanged    Type = "place.changed"
	TypeSealApplied     Type = "seal.applied"
	TypeSealChecked     Type = "seal.checked"
	TypeSentExternal    Type = "sent.external"
	TypeBackExternal    Type = "back.external"
)

// A TransferReason is why an item goes to somebody else.
type TransferReason string

// The reasons of transfers.
const (
	TransferIntake    TransferReason = "intake"
	TransferImaging   TransferReason = "imaging"
	TransferRepair    TransferReason = "repair"
	TransferStorage   TransferReason = "storage"
	TransferTransport TransferReason = "transport"
	TransferReturn    TransferReason = "return"
	TransferShift     TransferReason = "shift" // somebody else goes on
)

// Valid reports whether r is one of the reasons.
func (r TransferReason) Valid() bool {
	return oneOf(r, TransferIntake, TransferImaging, TransferRepair, TransferStorage, TransferTransport, TransferReturn, TransferShift)
}

// A SealState is what a look at an item's seal showed.
type SealState string

// What a seal looked like.
const (
	SealNone    SealState = "none"   // the item has none
	SealIntact  SealState = "intact" // and has the recorded number
	SealBroken  SealState = "broken"
	SealMissing SealState = "missing" // there should be one
	SealOpened  SealState = "opened"  // by the shop, for its work
)

// Valid reports whether s is one of the states.
func (s SealState) Valid() bool {
	return oneOf(s, SealNone, SealIntact, SealBroken, SealMissing, SealOpened)
}

// An ItemCondition is how an item looks, in one word; the words about it are
// private.
type ItemCondition string

// The conditions of items.
const (
	ConditionGood    ItemCondition = "good"
	ConditionUsed    ItemCondition = "used"
	ConditionDamaged ItemCondition = "damaged"
	ConditionWet     ItemCondition = "wet"
	ConditionBurnt   ItemCondition = "burnt"
	ConditionOpened  ItemCondition = "opened" // somebody had it open before
)

// Valid reports whether c is one of the conditions.
func (c ItemCondition) Valid() bool {
	return oneOf(c, ConditionGood, ConditionUsed, ConditionDamaged, ConditionWet, ConditionBurnt, ConditionOpened)
}

// A Carrier is how an item travels.
type Carrier string

// The ways to send an item.
const (
	CarrierHand    Carrier = "hand" // somebody of the shop brings it
	CarrierCourier Carrier = "courier"
	CarrierPost    Carrier = "post"
	CarrierFetched Carrier = "fetched" // the processor fetches it
)

// Valid reports whether c is one of the ways.
func (c Carrier) Valid() bool {
	return oneOf(c, CarrierHand, CarrierCourier, CarrierPost, CarrierFetched)
}

// Offered offers an item to another operator. Nothing has moved yet.
type Offered struct {
	Offer  string         `json:"offer"` // id
	From   string         `json:"from"`  // operator
	To     string         `json:"to"`    // operator
	Reason TransferReason `json:"reason"`
	Seal   SealState      `json:"seal"`
}

// Accepted records that an operator took an item over: from then on it
// is in his hands.
type Accepted struct {
	From   string         `json:"from"` // operator
	To     string         `json:"to"`   // operator
	Reason TransferReason `json:"reason"`
	Seal   SealState      `json:"seal"`
	Place  string         `json:"place,omitempty"` // where he put it
	Offer  string         `json:"offer,omitempty"` // "" when handed over without an offer
}

// PlaceChanged records where an item lies from now on.
type PlaceChanged struct {
	Place string `json:"place"`
}

// SealApplied records the number of a seal that was put on an item.
type SealApplied struct {
	Seal string `json:"seal"`
}

// SealChecked records what a look at an item's seal showed.
type SealChecked struct {
	Seal  string    `json:"seal"`
	State SealState `json:"state"`
}

// SentExternal records, before it leaves, that an item goes to a processor.
type SentExternal struct {
	Processor string    `json:"processor"`
	Service   Service   `json:"service"`
	Carrier   Carrier   `json:"carrier"`
	Seal      SealState `json:"seal"`
	Back      Date      `json:"back,omitempty"` // expected
}

// BackExternal records that an item came back from a processor.
type BackExternal struct {
	Processor string    `json:"processor"`
	Carrier   Carrier   `json:"carrier"`
	Seal      SealState `json:"seal"`
	Place     string    `json:"place,omitempty"`
}

// Type returns [TypeCustodyOffered].
func (Offered) Type() Type { return TypeCustodyOffered }

// Type returns [TypeCustodyAccepted].
func (Accepted) Type() Type { return TypeCustodyAccepted }

// Type returns [TypePlaceChanged].
func (PlaceChanged) Type() Type { return TypePlaceChanged }

// Type returns [TypeSealApplied].
func (SealApplied) Type() Type { return TypeSealApplied }

// Type returns [TypeSealChecked].
func (SealChecked) Type() Type { return TypeSealChecked }

// Type returns [TypeSentExternal].
func (SentExternal) Type() Type { return TypeSentExternal }

// Type returns [TypeBackExternal].
func (BackExternal) Type() Type { return TypeBackExternal }

func (p Offered) check() error {
	return must(condition{"offer", isID(p.Offer)}, condition{"from", isOp(p.From)}, condition{"to", isOp(p.To)},
		condition{"reason", p.Reason.Valid()}, condition{"seal", p.Seal.Valid()})
}

func (p Accepted) check() error {
	return must(condition{"offer", p.Offer == "" || isID(p.Offer)}, condition{"from", isOp(p.From)}, condition{"to", isOp(p.To)},
		condition{"reason", p.Reason.Valid()}, condition{"seal", p.Seal.Valid()}, condition{"place", p.Place == "" || isPlace(p.Place)})
}

func (p PlaceChanged) check() error { return must(condition{"place", isPlace(p.Place)}) }

func (p SealApplied) check() error { return must(condition{"seal", isID(p.Seal)}) }

func (p SealChecked) check() error {
	return must(condition{"seal", isID(p.Seal)}, condition{"state", p.State.Valid()})
}

func (p SentExternal) check() error {
	return must(condition{"processor", isID(p.Processor)}, condition{"service", p.Service.Valid()}, condition{"carrier", p.Carrier.Valid()},
		condition{"seal", p.Seal.Valid()}, condition{"back", p.Back == "" || p.Back.valid()})
}

func (p BackExternal) check() error {
	return must(condition{"processor", isID(p.Processor)}, condition{"carrier", p.Carrier.Valid()},
		condition{"seal", p.Seal.Valid()}, condition{"place", p.Place == "" || isPlace(p.Place)})
}

// isPlace holds for the code of a place, such as "L-03".
func isPlace(s string) bool { return shaped(s, upper+digit, upper+digit+"-.", 16) }

// CheckPlace checks the code of a place where items lie: a capital or digit,
// then up to 15 capitals, digits, "-" and ".", such as "L-03".
func CheckPlace(s string) error { return checkName("place", isPlace(s)) }

// ofItem holds for the types whose events of a case say something about one item,
// which they must name.
func (t Type) ofItem() bool {
	switch t {
	case TypeCustodyOffered, TypeCustodyAccepted, TypePlaceChanged, TypeSealApplied, TypeSealChecked,
		TypeSentExternal, TypeBackExternal, TypeItemReturned,
		TypeMediumEraseStarted, TypeMediumEraseFailed, TypeMediumEraseDone:
		return true
	}
	return false
}
