package custody

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// A Type names what an event records.
type Type string

// The event types of a case's images and of setting up, by the part of the work
// they belong to; the others stand in the files payload_shop.go (the shop),
// payload_handling.go (the chain of custody), payload_giving.go (giving back
// and ending) and payload_rights.go (requests and incidents).
const (
	TypeShopCreated     Type = "shop.created"
	TypeStationEnrolled Type = "station.enrolled"
	TypeKeyAdded        Type = "key.added"
	TypeVaultAdded      Type = "vault.added"
	TypeOperatorAdded   Type = "operator.added"
	TypeOperatorAgreed  Type = "operator.agreed"
	TypeOperatorTrained Type = "operator.trained"
	TypeOperatorEnded   Type = "operator.ended"
	TypeHeartbeat       Type = "heartbeat"

	TypeCaseOpened        Type = "case.opened"
	TypeAgreementRecorded Type = "agreement.recorded"
	TypeItemReceived      Type = "item.received"
	TypeCaseClosed        Type = "case.closed"

	TypeImageStarted  Type = "image.started"
	TypeKeyWrapped    Type = "key.wrapped"
	TypeImagePaused   Type = "image.paused"
	TypeImageFailed   Type = "image.failed"
	TypeImageSealed   Type = "image.sealed"
	TypeImageReopened Type = "image.reopened"
	TypeImageVerified Type = "image.verified"
	TypeDataOpened    Type = "data.opened"
	TypeDataRestored  Type = "data.restored"

	TypeDeadlineSet       Type = "deadline.set"
	TypeDeadlineShortened Type = "deadline.shortened"
	TypeHoldAdded         Type = "hold.added"
	TypeHoldEnded         Type = "hold.ended"
	TypeEraseStarted      Type = "erase.started"
	TypeEraseFailed       Type = "erase.failed"
	TypeEraseDone         Type = "erase.done"
	TypeAttestIssued      Type = "attest.issued"
	TypePaperPrinted      Type = "paper.printed"
	TypePrivateErased     Type = "private.erased"
)

// ErrPayload is returned for a public part whose values are out of range, and
// for a private part with a field that its type does not have.
var ErrPayload = errors.New("malformed event content")

// ErrUnknownType is returned for an event type that this version does not
// know: a newer salvor wrote it, or nobody did.
var ErrUnknownType = errors.New("unknown event type")

// A Payload is the public part of an event. Each event type has one struct,
// and only the structs of the files payload*.go are payloads. A payload holds no free text
// and nothing about a person: what is public stays for ever.
type Payload interface {
	// Type returns the type of the events with this public part.
	Type() Type
	// check returns [ErrPayload], wrapped, when a value is out of range.
	check() error
}

// ShopCreated begins the record of a shop.
type ShopCreated struct {
	Shop string `json:"shop"` // ULID in lower case
}

// StationEnrolled makes a station's keys known.
type StationEnrolled struct {
	Station string `json:"station"`
	Sign    string `json:"sign"` // verifier key of the station's notes, as package note writes it
	Seal    string `json:"seal"` // age recipient for the private parts
}

// KeyAdded makes a shop key known, with which images can be opened.
type KeyAdded struct {
	Key       string `json:"key"`       // id, chosen by the shop
	Recipient string `json:"recipient"` // age or SSH recipient, without comment
	Label     string `json:"label"`
}

// VaultAdded makes a vault known. Where it is mounted is each station's own.
type VaultAdded struct {
	Vault string `json:"vault"` // id, from the vault's marker
	Name  string `json:"name"`  // label
}

// OperatorAdded makes an operator known. Login and name are private.
type OperatorAdded struct {
	Op   string       `json:"op"`
	Kind OperatorKind `json:"kind"`
}

// OperatorAgreed records that an operator signed the data-protection agreement.
type OperatorAgreed struct {
	Op   string `json:"op"`
	Date Date   `json:"date"`
}

// OperatorTrained records the yearly training of an operator.
type OperatorTrained struct {
	Op   string `json:"op"`
	Date Date   `json:"date"`
}

// OperatorEnded records the last day of an operator.
type OperatorEnded struct {
	Op   string `json:"op"`
	Date Date   `json:"date"`
}

// Heartbeat records that the clock was seen and the ledger could be written.
type Heartbeat struct{}

// CaseOpened begins a case. Who the customer is, is private. The fields from
// Role on are absent in records of the first version.
type CaseOpened struct {
	Purpose  Purpose    `json:"purpose"`
	Language Language   `json:"language"`
	Business bool       `json:"business"`           // the customer is no private person
	Role     Role       `json:"role,omitempty"`     // of the shop; "" is the controller
	Contract string     `json:"contract,omitempty"` // number of the contract with the business
	Special  []Category `json:"special,omitempty"`  // special categories of data, sorted
	End      EndChoice  `json:"end,omitempty"`
	Allowed  []Action   `json:"allowed,omitempty"` // what the customer allows, sorted; none: imaging only
	Proxy    bool       `json:"proxy,omitempty"`   // brought by somebody else, whom the private part names
}

// AgreementRecorded records that the customer agreed, having read a notice. A
// later one of the same case may allow more.
type AgreementRecorded struct {
	Notice  string   `json:"notice"`            // version of the notice
	Allowed []Action `json:"allowed,omitempty"` // beside what was allowed before, sorted
}

// ItemReceived records what a customer handed in.
type ItemReceived struct {
	Item  string   `json:"item"` // number within the case, from "1"
	Kind  ItemKind `json:"kind"`
	Bytes int64    `json:"bytes"` // capacity; 0 when not known
	// The rest is absent in records of the first version.
	Condition ItemCondition `json:"condition,omitempty"`
	Seal      string        `json:"seal,omitempty"` // number of the seal that is on it
	Place     string        `json:"place,omitempty"`
}

// ImageStarted records that an image was begun.
type ImageStarted struct {
	Image    string `json:"image"` // name within the case, such as "image-01"
	UUID     UUID   `json:"uuid"`
	Vault    string `json:"vault"`
	Item     string `json:"item"`
	Bytes    int64  `json:"bytes"`    // size of the source
	Sector   int64  `json:"sector"`   // logical sector size in bytes
	Physical int64  `json:"physical"` // physical sector size in bytes
	Created  Time   `json:"created"`
	EraseBy  Time   `json:"erase_by"` // at most one calendar year after Created
}

// KeyWrapped records one wrapped session secret: one more file with which the
// image can be opened. It is recorded when the key file is durable and before
// the first record that needs it is written.
type KeyWrapped struct {
	Image      string    `json:"image"`
	Session    int       `json:"session"` // from 1
	SessionID  SessionID `json:"session_id"`
	Keystore   string    `json:"keystore"`   // id of the keystore, or of the vault that holds it
	File       string    `json:"file"`       // path below the keystore
	SHA256     Hash      `json:"sha256"`     // of the key file
	Recipients []string  `json:"recipients"` // ids of the keys, at least two, sorted
}

// ImagePaused records that imaging stopped and can be resumed. All counts are
// bytes of the source.
type ImagePaused struct {
	Image   string     `json:"image"`
	Rescued int64      `json:"rescued"`
	Bad     int64      `json:"bad"`
	Untried int64      `json:"untried"`
	Why     StopReason `json:"why"`
}

// ImageFailed records that imaging ended for good without a seal. All counts
// are bytes of the source.
type ImageFailed struct {
	Image   string     `json:"image"`
	Rescued int64      `json:"rescued"`
	Bad     int64      `json:"bad"`
	Untried int64      `json:"untried"`
	Why     StopReason `json:"why"`
}

// ImageSealed records that an image is complete and closed.
type ImageSealed struct {
	Image    string `json:"image"`
	Root     Hash   `json:"root"` // of the tree over all records
	Records  int64  `json:"records"`
	Segments int64  `json:"segments"`
	Stored   int64  `json:"stored"`   // bytes in the vault
	Rescued  int64  `json:"rescued"`  // bytes of the source
	Bad      int64  `json:"bad"`      // bytes of the source
	Seconds  int64  `json:"seconds"`  // of imaging, all runs together
	NoFlush  bool   `json:"no_flush"` // the vault's storage cannot flush
	// Used says that free space was left out on purpose.
	Used bool `json:"used,omitempty"`
}

// ImageReopened records that a sealed image is gone on with, since sectors are
// missing in it: from here on it counts as not sealed, until the next seal.
type ImageReopened struct {
	Image string `json:"image"`
	Root  Hash   `json:"root"` // that the seal said
}

// ImageVerified records a check of an image. The SHA-256 of the content is
// private: in public it would confirm guesses.
type ImageVerified struct {
	Image   string      `json:"image"`
	Level   VerifyLevel `json:"level"`
	OK      bool        `json:"ok"`
	Records int64       `json:"records"`
	Bytes   int64       `json:"bytes"`
}

// DataOpened records, before the act, that a customer's data are opened.
type DataOpened struct {
	Image string  `json:"image"`
	Use   DataUse `json:"use"`
	Export
}

// DataRestored records that an image was written out.
type DataRestored struct {
	Image  string     `json:"image"`
	Target TargetKind `json:"target"`
	Bytes  int64      `json:"bytes"`
	Unread int64      `json:"unread"` // bytes never read from the source
	Export
}

// DeadlineSet sets when a case must be erased.
type DeadlineSet struct {
	Deadline Time `json:"deadline"`
	Keep     Keep `json:"keep"` // as it was asked for
}

// DeadlineShortened brings the deadline of a case forward.
type DeadlineShortened struct {
	Deadline Time `json:"deadline"`
}

// HoldAdded blocks the erasing of a case until it is ended.
type HoldAdded struct {
	Hold   string   `json:"hold"` // id, for HoldEnded
	Kind   HoldKind `json:"kind"`
	Review Date     `json:"review"` // when somebody looks at it again
}

// HoldEnded ends one hold.
type HoldEnded struct {
	Hold string `json:"hold"`
}

// EraseStarted records, before the first byte is destroyed, that an image is
// being erased.
type EraseStarted struct {
	Job   string `json:"job"`
	Image string `json:"image"`
	Early bool   `json:"early"` // before the deadline, for the private reason
}

// EraseFailed records at which step an erasing stopped. It can be resumed.
type EraseFailed struct {
	Job   string    `json:"job"`
	Image string    `json:"image"`
	Step  EraseStep `json:"step"`
}

// EraseDone records what was erased and what was proved about it.
type EraseDone struct {
	Job         string     `json:"job"`
	Image       string     `json:"image"`
	Keys        KeyClass   `json:"keys"`
	Media       MediaClass `json:"media"`
	Virtual     bool       `json:"virtual"`     // the device this host sees is itself virtual
	Files       int64      `json:"files"`       // container files
	KeyFiles    int64      `json:"key_files"`   // key copies destroyed
	Bytes       int64      `json:"bytes"`       // allocated to the container files
	Overwritten int64      `json:"overwritten"` // bytes
	Equal       int64      `json:"equal"`       // bytes read back equal
	Unreadable  int64      `json:"unreadable"`  // bytes not read back
}

// AttestIssued records a signed statement about an erasing: of an image, or of a
// whole medium, which has neither image nor keys.
type AttestIssued struct {
	Attest string     `json:"attest"` // id; of a medium's erasing, the job's
	SHA256 Hash       `json:"sha256"` // of the signed note
	Image  string     `json:"image,omitempty"`
	Keys   KeyClass   `json:"keys,omitempty"`
	Media  MediaClass `json:"media"`
}

// PaperPrinted records that a paper was printed.
type PaperPrinted struct {
	Kind   PaperKind   `json:"kind"`
	Format PaperFormat `json:"format"`
	Lang   Language    `json:"lang"`
}

// PrivateErased records that the private parts of these events were erased.
type PrivateErased struct {
	Events []Ref `json:"events"` // sorted, each once
}

// CaseClosed ends a case.
type CaseClosed struct{}

// Type returns [TypeShopCreated].
func (ShopCreated) Type() Type { return TypeShopCreated }

// Type returns [TypeStationEnrolled].
func (StationEnrolled) Type() Type { return TypeStationEnrolled }

// Type returns [TypeKeyAdded].
func (KeyAdded) Type() Type { return TypeKeyAdded }

// Type returns [TypeVaultAdded].
func (VaultAdded) Type() Type { return TypeVaultAdded }

// Type returns [TypeOperatorAdded].
func (OperatorAdded) Type() Type { return TypeOperatorAdded }

// Type returns [TypeOperatorAgreed].
func (OperatorAgreed) Type() Type { return TypeOperatorAgreed }

// Type returns [TypeOperatorTrained].
func (OperatorTrained) Type() Type { return TypeOperatorTrained }

// Type returns [TypeOperatorEnded].
func (OperatorEnded) Type() Type { return TypeOperatorEnded }

// Type returns [TypeHeartbeat].
func (Heartbeat) Type() Type { return TypeHeartbeat }

// Type returns [TypeCaseOpened].
func (CaseOpened) Type() Type { return TypeCaseOpened }

// Type returns [TypeAgreementRecorded].
func (AgreementRecorded) Type() Type { return TypeAgreementRecorded }

// Type returns [TypeItemReceived].
func (ItemReceived) Type() Type { return TypeItemReceived }

// Type returns [TypeCaseClosed].
func (CaseClosed) Type() Type { return TypeCaseClosed }

// Type returns [TypeImageStarted].
func (ImageStarted) Type() Type { return TypeImageStarted }

// Type returns [TypeKeyWrapped].
func (KeyWrapped) Type() Type { return TypeKeyWrapped }

// Type returns [TypeImagePaused].
func (ImagePaused) Type() Type { return TypeImagePaused }

// Type returns [TypeImageFailed].
func (ImageFailed) Type() Type { return TypeImageFailed }

// Type returns [TypeImageSealed].
func (ImageSealed) Type() Type { return TypeImageSealed }

// Type returns [TypeImageReopened].
func (ImageReopened) Type() Type { return TypeImageReopened }

// Type returns [TypeImageVerified].
func (ImageVerified) Type() Type { return TypeImageVerified }

// Type returns [TypeDataOpened].
func (DataOpened) Type() Type { return TypeDataOpened }

// Type returns [TypeDataRestored].
func (DataRestored) Type() Type { return TypeDataRestored }

// Type returns [TypeDeadlineSet].
func (DeadlineSet) Type() Type { return TypeDeadlineSet }

// Type returns [TypeDeadlineShortened].
func (DeadlineShortened) Type() Type { return TypeDeadlineShortened }

// Type returns [TypeHoldAdded].
func (HoldAdded) Type() Type { return TypeHoldAdded }

// Type returns [TypeHoldEnded].
func (HoldEnded) Type() Type { return TypeHoldEnded }

// Type returns [TypeEraseStarted].
func (EraseStarted) Type() Type { return TypeEraseStarted }

// Type returns [TypeEraseFailed].
func (EraseFailed) Type() Type { return TypeEraseFailed }

// Type returns [TypeEraseDone].
func (EraseDone) Type() Type { return TypeEraseDone }

// Type returns [TypeAttestIssued].
func (AttestIssued) Type() Type { return TypeAttestIssued }

// Type returns [TypePaperPrinted].
func (PaperPrinted) Type() Type { return TypePaperPrinted }

// Type returns [TypePrivateErased].
func (PrivateErased) Type() Type { return TypePrivateErased }

// OfCase reports whether events of this type may belong to a case. Of shop
// types it is false. Some types are of both: a paper such as the register
// belongs to no case, an operator's private part is erased without one, and a
// request or an incident may concern no case, or many.
func (t Type) OfCase() bool { return !t.ofShop() || t.ofBoth() }

// OfShop reports whether events of this type may stand without a case.
func (t Type) OfShop() bool { return t.ofShop() || t.ofBoth() }

func (t Type) ofBoth() bool {
	switch t {
	case TypePaperPrinted, TypePrivateErased, TypeMediumDestroyed, TypeEventCorrected, TypeAttestIssued,
		TypeMediumEraseStarted, TypeMediumEraseFailed, TypeMediumEraseDone,
		TypeRequestReceived, TypeRequestExtended, TypeRequestAnswered, TypeIncidentOpened, TypeIncidentAssessed,
		TypeIncidentControllerNotified, TypeIncidentAuthorityNotified, TypeIncidentSubjectsNotified, TypeIncidentClosed:
		return true
	}
	return false
}

func (t Type) ofShop() bool {
	switch t {
	case TypeShopCreated, TypeStationEnrolled, TypeKeyAdded, TypeVaultAdded, TypeOperatorAdded,
		TypeOperatorAgreed, TypeOperatorTrained, TypeOperatorEnded, TypeHeartbeat,
		TypeStationRetired, TypeStationSettled, TypePolicySet, TypeProcessorAdded, TypeProcessorEnded, TypeOperatorKeyAdded,
		TypeOperatorKeyEnded, TypeBackupMade, TypeSelftestPassed:
		return true
	}
	return false
}

// decodePayload reads the public part of an event of type t. That nothing else was
// in the text, such as a field which the type does not have, is checked by the
// caller, who encodes the whole event again.
func decodePayload(t Type, raw []byte) (Payload, error) {
	switch t {
	case TypeShopCreated:
		return decodeAs[ShopCreated](raw)
	case TypeStationEnrolled:
		return decodeAs[StationEnrolled](raw)
	case TypeKeyAdded:
		return decodeAs[KeyAdded](raw)
	case TypeVaultAdded:
		return decodeAs[VaultAdded](raw)
	case TypeOperatorAdded:
		return decodeAs[OperatorAdded](raw)
	case TypeOperatorAgreed:
		return decodeAs[OperatorAgreed](raw)
	case TypeOperatorTrained:
		return decodeAs[OperatorTrained](raw)
	case TypeOperatorEnded:
		return decodeAs[OperatorEnded](raw)
	case TypeHeartbeat:
		return decodeAs[Heartbeat](raw)
	case TypeCaseOpened:
		return decodeAs[CaseOpened](raw)
	case TypeAgreementRecorded:
		return decodeAs[AgreementRecorded](raw)
	case TypeItemReceived:
		return decodeAs[ItemReceived](raw)
	case TypeCaseClosed:
		return decodeAs[CaseClosed](raw)
	case TypeImageStarted:
		return decodeAs[ImageStarted](raw)
	case TypeKeyWrapped:
		return decodeAs[KeyWrapped](raw)
	case TypeImagePaused:
		return decodeAs[ImagePaused](raw)
	case TypeImageFailed:
		return decodeAs[ImageFailed](raw)
	case TypeImageSealed:
		return decodeAs[ImageSealed](raw)
	case TypeImageReopened:
		return decodeAs[ImageReopened](raw)
	case TypeImageVerified:
		return decodeAs[ImageVerified](raw)
	case TypeDataOpened:
		return decodeAs[DataOpened](raw)
	case TypeDataRestored:
		return decodeAs[DataRestored](raw)
	case TypeDeadlineSet:
		return decodeAs[DeadlineSet](raw)
	case TypeDeadlineShortened:
		return decodeAs[DeadlineShortened](raw)
	case TypeHoldAdded:
		return decodeAs[HoldAdded](raw)
	case TypeHoldEnded:
		return decodeAs[HoldEnded](raw)
	case TypeEraseStarted:
		return decodeAs[EraseStarted](raw)
	case TypeEraseFailed:
		return decodeAs[EraseFailed](raw)
	case TypeEraseDone:
		return decodeAs[EraseDone](raw)
	case TypeEraseProved:
		return decodeAs[EraseProved](raw)
	case TypeImageReturned:
		return decodeAs[ImageReturned](raw)
	case TypeAttestIssued:
		return decodeAs[AttestIssued](raw)
	case TypePaperPrinted:
		return decodeAs[PaperPrinted](raw)
	case TypeContactShown:
		return decodeAs[ContactShown](raw)
	case TypePrivateErased:
		return decodeAs[PrivateErased](raw)
	case TypeStationRetired:
		return decodeAs[StationRetired](raw)
	case TypeStationSettled:
		return decodeAs[StationSettled](raw)
	case TypePolicySet:
		return decodeAs[PolicySet](raw)
	case TypeProcessorAdded:
		return decodeAs[ProcessorAdded](raw)
	case TypeProcessorEnded:
		return decodeAs[ProcessorEnded](raw)
	case TypeOperatorKeyAdded:
		return decodeAs[OperatorKeyAdded](raw)
	case TypeOperatorKeyEnded:
		return decodeAs[OperatorKeyEnded](raw)
	case TypeBackupMade:
		return decodeAs[BackupMade](raw)
	case TypeSelftestPassed:
		return decodeAs[SelftestPassed](raw)
	case TypeCustodyOffered:
		return decodeAs[Offered](raw)
	case TypeCustodyAccepted:
		return decodeAs[Accepted](raw)
	case TypePlaceChanged:
		return decodeAs[PlaceChanged](raw)
	case TypeSealApplied:
		return decodeAs[SealApplied](raw)
	case TypeSealChecked:
		return decodeAs[SealChecked](raw)
	case TypeSentExternal:
		return decodeAs[SentExternal](raw)
	case TypeBackExternal:
		return decodeAs[BackExternal](raw)
	case TypeDataExtracted:
		return decodeAs[DataExtracted](raw)
	case TypeDataReturned:
		return decodeAs[DataReturned](raw)
	case TypeCustomerConfirmed:
		return decodeAs[CustomerConfirmed](raw)
	case TypeItemReturned:
		return decodeAs[ItemReturned](raw)
	case TypeCopyErased:
		return decodeAs[CopyErased](raw)
	case TypeMediumDestroyed:
		return decodeAs[MediumDestroyed](raw)
	case TypeMediumEraseStarted:
		return decodeAs[MediumEraseStarted](raw)
	case TypeMediumEraseFailed:
		return decodeAs[MediumEraseFailed](raw)
	case TypeMediumEraseDone:
		return decodeAs[MediumEraseDone](raw)
	case TypePurgeProposed:
		return decodeAs[PurgeProposed](raw)
	case TypePurgeValidated:
		return decodeAs[PurgeValidated](raw)
	case TypeEventCorrected:
		return decodeAs[EventCorrected](raw)
	case TypeRequestReceived:
		return decodeAs[RequestReceived](raw)
	case TypeRequestExtended:
		return decodeAs[RequestExtended](raw)
	case TypeRequestAnswered:
		return decodeAs[RequestAnswered](raw)
	case TypeIncidentOpened:
		return decodeAs[IncidentOpened](raw)
	case TypeIncidentAssessed:
		return decodeAs[IncidentAssessed](raw)
	case TypeIncidentControllerNotified:
		return decodeAs[IncidentControllerNotified](raw)
	case TypeIncidentAuthorityNotified:
		return decodeAs[IncidentAuthorityNotified](raw)
	case TypeIncidentSubjectsNotified:
		return decodeAs[IncidentSubjectsNotified](raw)
	case TypeIncidentClosed:
		return decodeAs[IncidentClosed](raw)
	}
	return nil, ErrUnknownType
}

func decodeAs[P Payload](raw []byte) (Payload, error) {
	var p P
	if json.Unmarshal(raw, &p) != nil {
		return nil, errJSON
	}
	return p, nil
}

// must turns a list of conditions, each with the name of what it checks, into
// an error that names the first which does not hold.
func must(conditions ...condition) error {
	for _, c := range conditions {
		if !c.ok {
			return fmt.Errorf("%s out of range: %w", c.field, ErrPayload)
		}
	}
	return nil
}

type condition struct {
	field string
	ok    bool
}

// natural holds for counts, which are never negative.
func natural(field string, n int64) condition { return condition{field, n >= 0} }

func (p ShopCreated) check() error { return must(condition{"shop", isShop(p.Shop)}) }

func (p StationEnrolled) check() error {
	return must(condition{"station", isStation(p.Station)},
		condition{"sign", isKeyText(p.Sign, "salvor/", 256)}, condition{"seal", isKeyText(p.Seal, "age1", 4096)})
}

func (p KeyAdded) check() error {
	return must(condition{"key", isID(p.Key)}, condition{"label", isLabel(p.Label)},
		condition{"recipient", isKeyText(p.Recipient, "age1", 4096) || isSSHKey(p.Recipient)})
}

func (p VaultAdded) check() error {
	return must(condition{"vault", isID(p.Vault)}, condition{"name", isLabel(p.Name)})
}

func (p OperatorAdded) check() error {
	return must(condition{"op", isOp(p.Op)}, condition{"kind", p.Kind.Valid()})
}

func (p OperatorAgreed) check() error  { return checkOpDate(p.Op, p.Date) }
func (p OperatorTrained) check() error { return checkOpDate(p.Op, p.Date) }
func (p OperatorEnded) check() error   { return checkOpDate(p.Op, p.Date) }

func checkOpDate(op string, d Date) error {
	return must(condition{"op", isOp(op)}, condition{"date", d.valid()})
}

func (Heartbeat) check() error { return nil }

func (p CaseOpened) check() error {
	return must(condition{"purpose", p.Purpose.Valid()}, condition{"language", p.Language.Valid()},
		condition{"role", p.Role == "" || p.Role.Valid()}, condition{"contract", p.Contract == "" || isID(p.Contract)},
		condition{"special", isSet(p.Special, Category.Valid)}, condition{"end", p.End == "" || p.End.Valid()},
		condition{"allowed", isSet(p.Allowed, Action.Valid)})
}

func (p AgreementRecorded) check() error {
	return must(condition{"notice", isID(p.Notice)}, condition{"allowed", isSet(p.Allowed, Action.Valid)})
}

func (p ItemReceived) check() error {
	return must(condition{"item", isItem(p.Item)}, condition{"kind", p.Kind.Valid()}, natural("bytes", p.Bytes),
		condition{"condition", p.Condition == "" || p.Condition.Valid()}, condition{"seal", p.Seal == "" || isID(p.Seal)},
		condition{"place", p.Place == "" || isPlace(p.Place)})
}

func (CaseClosed) check() error { return nil }

func (p ImageStarted) check() error {
	return must(condition{"image", isImage(p.Image)}, condition{"uuid", !p.UUID.IsZero()},
		condition{"vault", isID(p.Vault)}, condition{"item", isItem(p.Item)}, condition{"bytes", p.Bytes > 0},
		condition{"sector", isSector(p.Sector)}, condition{"physical", isSector(p.Physical) && p.Physical >= p.Sector},
		condition{"created", !p.Created.IsZero()},
		condition{"erase_by", !p.EraseBy.IsZero() && !p.EraseBy.After(MaxDeadline(p.Created.Time))})
}

func (p KeyWrapped) check() error {
	ids := len(p.Recipients) >= 2 && !slices.ContainsFunc(p.Recipients, notID)
	for i := 1; i < len(p.Recipients); i++ {
		ids = ids && p.Recipients[i-1] < p.Recipients[i]
	}
	return must(condition{"image", isImage(p.Image)}, condition{"session", p.Session >= 1 && p.Session <= 1<<20},
		condition{"session_id", !p.SessionID.IsZero()}, condition{"keystore", isID(p.Keystore)},
		condition{"file", isKeyFile(p.File)}, condition{"sha256", !p.SHA256.IsZero()}, condition{"recipients", ids})
}

func (p ImagePaused) check() error { return checkStop(p.Image, p.Rescued, p.Bad, p.Untried, p.Why) }
func (p ImageFailed) check() error { return checkStop(p.Image, p.Rescued, p.Bad, p.Untried, p.Why) }

func checkStop(image string, rescued, bad, untried int64, why StopReason) error {
	return must(condition{"image", isImage(image)}, natural("rescued", rescued), natural("bad", bad),
		natural("untried", untried), condition{"why", why.Valid()})
}

func (p ImageReopened) check() error {
	return must(condition{"image", isImage(p.Image)}, condition{"root", !p.Root.IsZero()})
}

func (p ImageSealed) check() error {
	return must(condition{"image", isImage(p.Image)}, natural("records", p.Records), natural("segments", p.Segments),
		natural("stored", p.Stored), natural("rescued", p.Rescued), natural("bad", p.Bad), natural("seconds", p.Seconds))
}

func (p ImageVerified) check() error {
	return must(condition{"image", isImage(p.Image)}, condition{"level", p.Level.Valid()},
		natural("records", p.Records), natural("bytes", p.Bytes))
}

func (p DataOpened) check() error {
	return must(condition{"image", isImage(p.Image)}, condition{"use", p.Use.Valid()}, p.ok())
}

func (p DataRestored) check() error {
	return must(condition{"image", isImage(p.Image)}, condition{"target", p.Target.Valid()},
		natural("bytes", p.Bytes), natural("unread", p.Unread), p.ok())
}

func (p DeadlineSet) check() error {
	return must(condition{"deadline", !p.Deadline.IsZero()}, condition{"keep", p.Keep != Keep{}})
}

func (p DeadlineShortened) check() error {
	return must(condition{"deadline", !p.Deadline.IsZero()})
}

func (p HoldAdded) check() error {
	return must(condition{"hold", isID(p.Hold)}, condition{"kind", p.Kind.Valid()}, condition{"review", p.Review.valid()})
}

func (p HoldEnded) check() error { return must(condition{"hold", isID(p.Hold)}) }

func (p EraseStarted) check() error {
	return must(condition{"job", isID(p.Job)}, condition{"image", isImage(p.Image)})
}

func (p EraseFailed) check() error {
	return must(condition{"job", isID(p.Job)}, condition{"image", isImage(p.Image)}, condition{"step", p.Step.Valid()})
}

func (p EraseDone) check() error {
	return must(condition{"job", isID(p.Job)}, condition{"image", isImage(p.Image)},
		condition{"keys", p.Keys.Valid()}, condition{"media", p.Media.Valid()}, natural("files", p.Files),
		natural("key_files", p.KeyFiles), natural("bytes", p.Bytes), natural("overwritten", p.Overwritten),
		natural("equal", p.Equal), natural("unreadable", p.Unreadable))
}

func (p AttestIssued) check() error {
	return must(condition{"attest", isID(p.Attest)}, condition{"sha256", !p.SHA256.IsZero()},
		condition{"image", p.Image == "" || isImage(p.Image)}, condition{"keys", (p.Keys == "") == (p.Image == "")},
		condition{"keys", p.Keys == "" || p.Keys.Valid()}, condition{"media", p.Media.Valid()})
}

func (p PaperPrinted) check() error {
	return must(condition{"kind", p.Kind.Valid()}, condition{"format", p.Format.Valid()}, condition{"lang", p.Lang.Valid()})
}

func (p PrivateErased) check() error {
	for i, r := range p.Events {
		if !isStation(r.Station) || r.Seq < 1 || i > 0 && p.Events[i-1].compare(r) >= 0 {
			return fmt.Errorf("events out of range: %w", ErrPayload)
		}
	}
	return must(condition{"events", len(p.Events) >= 1 && len(p.Events) <= MaxErasedRefs})
}

// MaxErasedRefs is how many events one private.erased names at most, so that
// it stays below the size cap of an event.
const MaxErasedRefs = 1000

func notID(s string) bool { return !isID(s) }

func isSector(n int64) bool { return n >= 512 && n <= 1<<20 && n&(n-1) == 0 }

// isKeyText holds for a public key in one word with a known beginning.
func isKeyText(s, prefix string, most int) bool {
	return len(s) <= most && len(s) > len(prefix)+8 && strings.HasPrefix(s, prefix) &&
		only(s, lower+upper+digit+"+/=")
}

// isSSHKey holds for an SSH public key without its comment, which usually is
// somebody's login.
func isSSHKey(s string) bool {
	kind, key, ok := strings.Cut(s, " ")
	return ok && oneOf(kind, "ssh-ed25519", "ssh-rsa") && isKeyText(key, "AAAA", 4096)
}

// isKeyFile holds for a plain path below a keystore.
func isKeyFile(s string) bool {
	return len(s) <= 128 && fs.ValidPath(s) && s != "." && only(s, lower+upper+digit+"_.-/")
}
