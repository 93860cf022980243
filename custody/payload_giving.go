package custody

// The events of giving back and of the end of copies.

// The types of giving back and of ending.
const (
	TypeDataExtracted     Type = "data.extracted"
	TypeDataReturned      Type = "data.returned"
	TypeCustomerConfirmed Type = "customer.confirmed"
	TypeItemReturned      Type = "item.returned"
	TypeCopyErased        Type = "copy.erased"
	TypeMediumDestroyed   Type = "medium.destroyed"
	TypePurgeProposed     Type = "purge.proposed"
	TypePurgeValidated    Type = "purge.validated"
	TypeEventCorrected    Type = "event.corrected"
)

// A Role is what the shop is for a customer's data.
type Role string

// The roles of the shop.
const (
	RoleController Role = "controller" // also "", as in records of the first version
	RoleProcessor  Role = "processor"  // for a business under its contract
)

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return oneOf(r, RoleController, RoleProcessor) }

// An EndChoice is what the customer wants at the end.
type EndChoice string

// The ends of a case.
const (
	EndReturn EndChoice = "return" // the data go back
	EndErase  EndChoice = "erase"  // the data are erased
	EndBoth   EndChoice = "both"   // first returned, then erased
)

// Valid reports whether e is one of the ends.
func (e EndChoice) Valid() bool { return oneOf(e, EndReturn, EndErase, EndBoth) }

// A Category is a kind of data that the law protects more.
type Category string

// The special categories (Articles 9 and 10 of the regulation).
const (
	CategoryHealth Category = "health"
	CategoryLegal  Category = "legal" // of lawyers, courts, offences
	CategoryOther  Category = "other" // any other of Article 9
)

// Valid reports whether c is one of the categories.
func (c Category) Valid() bool { return oneOf(c, CategoryHealth, CategoryLegal, CategoryOther) }

// An Action is something that a customer allows to be done.
type Action string

// What a customer can allow.
const (
	ActionImage    Action = "image"
	ActionList     Action = "list"    // look at the names of files
	ActionOpen     Action = "open"    // open files to see whether they are whole
	ActionRepair   Action = "repair"  // open the device, change parts
	ActionExternal Action = "send"    // send the device to a processor
	ActionErase    Action = "erase"   // erase the device itself
	ActionDestroy  Action = "destroy" // destroy the device
)

// Valid reports whether a is one of the actions.
func (a Action) Valid() bool {
	return oneOf(a, ActionImage, ActionList, ActionOpen, ActionRepair, ActionExternal, ActionErase, ActionDestroy)
}

// A Recipient is to whom something was given.
type Recipient string

// The recipients. Nobody else gets anything.
const (
	RecipientOwner Recipient = "owner"
	RecipientProxy Recipient = "proxy" // with a written proxy, named in the private part
)

// Valid reports whether r is one of the recipients.
func (r Recipient) Valid() bool { return oneOf(r, RecipientOwner, RecipientProxy) }

// A RecipientCheck is how the recipient was known to be the right one.
type RecipientCheck string

// The ways to check a recipient.
const (
	CheckedCode     RecipientCheck = "code"     // the code on the receipt
	CheckedIdentity RecipientCheck = "identity" // an identity document was shown, and not copied
)

// Valid reports whether c is one of the ways.
func (c RecipientCheck) Valid() bool { return oneOf(c, CheckedCode, CheckedIdentity) }

// A ReturnMedium is what the data were given back on.
type ReturnMedium string

// The media of giving back.
const (
	MediumCustomer ReturnMedium = "customer" // a disk that the customer brought
	MediumSold     ReturnMedium = "sold"     // a disk bought from the shop
	MediumComputer ReturnMedium = "computer" // the repaired or new computer
)

// Valid reports whether m is one of the media.
func (m ReturnMedium) Valid() bool { return oneOf(m, MediumCustomer, MediumSold, MediumComputer) }

// A ConfirmedBy is how the customer said that he has everything.
type ConfirmedBy string

// The ways to confirm.
const (
	ConfirmedSigned ConfirmedBy = "signed" // on the handover paper
	ConfirmedMail   ConfirmedBy = "mail"
	ConfirmedPhone  ConfirmedBy = "phone"
	ConfirmedDesk   ConfirmedBy = "desk" // by word of mouth
)

// Valid reports whether c is one of the ways.
func (c ConfirmedBy) Valid() bool {
	return oneOf(c, ConfirmedSigned, ConfirmedMail, ConfirmedPhone, ConfirmedDesk)
}

// A CopyKind is what kind of copy of a customer's data something is.
type CopyKind string

// The kinds of copies, and of what is destroyed.
const (
	CopyImage  CopyKind = "image"  // an encrypted image in a vault
	CopyKey    CopyKind = "key"    // a file with which an image can be opened
	CopyExport CopyKind = "export" // what was written out
	CopyItem   CopyKind = "item"   // the customer's own medium
	CopyVault  CopyKind = "vault"  // a vault's medium, with everything on it
)

// Valid reports whether k is one of the kinds.
func (k CopyKind) Valid() bool { return oneOf(k, CopyImage, CopyKey, CopyExport, CopyItem, CopyVault) }

// A DestroyMethod is how a medium was destroyed. A customer's medium is never
// resold, so there is no word for that.
type DestroyMethod string

// The ways to destroy a medium.
const (
	DestroyDrill   DestroyMethod = "drill"
	DestroyShred   DestroyMethod = "shred"
	DestroyCrush   DestroyMethod = "crush"
	DestroyDegauss DestroyMethod = "degauss" // magnetic media only
	DestroyBurn    DestroyMethod = "burn"
	DestroyPaper   DestroyMethod = "paper-shred" // a key printed on paper
)

// Valid reports whether m is one of the ways.
func (m DestroyMethod) Valid() bool {
	return oneOf(m, DestroyDrill, DestroyShred, DestroyCrush, DestroyDegauss, DestroyBurn, DestroyPaper)
}

// An Export says what becomes of data that leave their image. Its fields stand
// in the events about opening and writing out; they are absent where data are
// only looked at, and in records of the first version.
type Export struct {
	Copy      string `json:"copy,omitempty"`      // id of the copy that is made
	Removable bool   `json:"removable,omitempty"` // on a medium that can be carried away
	Plain     bool   `json:"plain,omitempty"`     // not encrypted
	Handover  bool   `json:"handover,omitempty"`  // made to be handed over to the customer
}

// DataExtracted records that single files were written out.
type DataExtracted struct {
	Image  string     `json:"image"`
	Target TargetKind `json:"target"`
	Files  int64      `json:"files"`
	Bytes  int64      `json:"bytes"`
	Unread int64      `json:"unread"` // bytes never read from the source
	Export
}

// DataReturned records that data were handed over.
type DataReturned struct {
	Copy     string         `json:"copy,omitempty"`  // the exported copy that is handed over with its medium
	Image    string         `json:"image,omitempty"` // of which image
	Medium   ReturnMedium   `json:"medium"`
	Item     string         `json:"item,omitempty"` // the medium, when it was handed in as an item
	Files    int64          `json:"files"`
	Bytes    int64          `json:"bytes"`
	Verified bool           `json:"verified"` // what was written was read again and compared
	To       Recipient      `json:"to"`
	Checked  RecipientCheck `json:"checked"`
}

// CustomerConfirmed records that the customer has everything he wanted, and
// with that the deadline that follows from it.
type CustomerConfirmed struct {
	How      ConfirmedBy `json:"how"`
	Deadline Time        `json:"deadline"`
}

// ItemReturned records that an item was given back.
type ItemReturned struct {
	To      Recipient      `json:"to"`
	Checked RecipientCheck `json:"checked"`
	Seal    SealState      `json:"seal"`
}

// CopyErased records that an exported copy was erased where it lay, or an item
// that is only a file.
type CopyErased struct {
	Copy  string     `json:"copy,omitempty"`
	Item  string     `json:"item,omitempty"`
	Media MediaClass `json:"media"`
	Job   string     `json:"job,omitempty"` // of the erasing of a device
}

// MediumDestroyed records that a medium was destroyed, and the copy on it. A
// vault's medium is destroyed by an event of the shop, and by one in each case
// that has a copy on it.
type MediumDestroyed struct {
	Kind      CopyKind      `json:"kind"`
	Image     string        `json:"image,omitempty"` // for an image or a key
	File      string        `json:"file,omitempty"`  // for a key: path below the keystore
	Store     string        `json:"store,omitempty"` // for a key: the keystore; for a vault: its id
	Copy      string        `json:"copy,omitempty"`  // for an exported copy
	Item      string        `json:"item,omitempty"`  // for the customer's medium
	Method    DestroyMethod `json:"method"`
	Date      Date          `json:"date"`
	Witness   string        `json:"witness"`             // operator who saw it
	Processor string        `json:"processor,omitempty"` // the recycler, when one did it
}

// PurgeProposed says what will be erased when somebody validates it.
type PurgeProposed struct {
	Proposal string   `json:"proposal"` // id
	Images   []string `json:"images"`   // sorted, each once
	Deadline Time     `json:"deadline"`
}

// PurgeValidated allows what was proposed.
type PurgeValidated struct {
	Proposal string `json:"proposal"`
}

// EventCorrected says that the private part of an earlier event of the same
// case, or of the shop, was wrong. The right values are in its own private
// part, under the same names, and why; the earlier event stays as it is.
type EventCorrected struct {
	Event  Ref      `json:"event"`
	Fields []string `json:"fields"` // names of the private fields that are corrected, sorted
}

// Type returns [TypeDataExtracted].
func (DataExtracted) Type() Type { return TypeDataExtracted }

// Type returns [TypeDataReturned].
func (DataReturned) Type() Type { return TypeDataReturned }

// Type returns [TypeCustomerConfirmed].
func (CustomerConfirmed) Type() Type { return TypeCustomerConfirmed }

// Type returns [TypeItemReturned].
func (ItemReturned) Type() Type { return TypeItemReturned }

// Type returns [TypeCopyErased].
func (CopyErased) Type() Type { return TypeCopyErased }

// Type returns [TypeMediumDestroyed].
func (MediumDestroyed) Type() Type { return TypeMediumDestroyed }

// Type returns [TypePurgeProposed].
func (PurgeProposed) Type() Type { return TypePurgeProposed }

// Type returns [TypePurgeValidated].
func (PurgeValidated) Type() Type { return TypePurgeValidated }

// Type returns [TypeEventCorrected].
func (EventCorrected) Type() Type { return TypeEventCorrected }

func (x Export) ok() condition { return condition{"copy", x.Copy == "" || isID(x.Copy)} }

func (p DataExtracted) check() error {
	return must(condition{"image", isImage(p.Image)}, condition{"target", p.Target.Valid()}, natural("files", p.Files),
		natural("bytes", p.Bytes), natural("unread", p.Unread), p.ok())
}

func (p DataReturned) check() error {
	return must(condition{"copy", p.Copy == "" || isCopy(p.Copy)}, condition{"image", p.Image == "" || isImage(p.Image)},
		condition{"medium", p.Medium.Valid()}, condition{"item", p.Item == "" || isItem(p.Item)}, natural("files", p.Files),
		natural("bytes", p.Bytes), condition{"to", p.To.Valid()}, condition{"checked", p.Checked.Valid()})
}

func (p CustomerConfirmed) check() error {
	return must(condition{"how", p.How.Valid()}, condition{"deadline", !p.Deadline.IsZero()})
}

func (p ItemReturned) check() error {
	return must(condition{"to", p.To.Valid()}, condition{"checked", p.Checked.Valid()}, condition{"seal", p.Seal.Valid()})
}

func (p CopyErased) check() error {
	return must(condition{"copy", (p.Copy == "") != (p.Item == "")}, condition{"copy", p.Copy == "" || isCopy(p.Copy)},
		condition{"item", p.Item == "" || isItem(p.Item)}, condition{"media", p.Media.Valid()}, condition{"job", p.Job == "" || isID(p.Job)})
}

func (p MediumDestroyed) check() error {
	named := func(field, value string, valid func(string) bool, kinds ...CopyKind) condition {
		return condition{field, oneOf(p.Kind, kinds...) == (value != "") && (value == "" || valid(value))}
	}
	return must(condition{"kind", p.Kind.Valid()},
		named("image", p.Image, isImage, CopyImage, CopyKey), named("file", p.File, isKeyFile, CopyKey),
		named("store", p.Store, isID, CopyKey, CopyVault), named("copy", p.Copy, isCopy, CopyExport),
		named("item", p.Item, isItem, CopyItem), condition{"method", p.Method.Valid()}, condition{"date", p.Date.valid()},
		condition{"witness", isOp(p.Witness)}, condition{"processor", p.Processor == "" || isID(p.Processor)})
}

func (p PurgeProposed) check() error {
	return must(condition{"proposal", isID(p.Proposal)}, condition{"images", len(p.Images) > 0 && isSet(p.Images, isImage)},
		condition{"deadline", !p.Deadline.IsZero()})
}

func (p PurgeValidated) check() error { return must(condition{"proposal", isID(p.Proposal)}) }

func (p EventCorrected) check() error {
	return must(condition{"event", isStation(p.Event.Station) && p.Event.Seq >= 1},
		condition{"fields", len(p.Fields) > 0 && isSet(p.Fields, isCorrectable)})
}

// isCopy holds for the id of an exported copy, which in records of the first
// version is the event that made it.
func isCopy(s string) bool {
	_, err := ParseRef(s)
	return isID(s) || err == nil
}
