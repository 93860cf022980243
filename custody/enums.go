package custody

import "slices"

// A Purpose is why a customer's data are copied. There is no other.
type Purpose string

// The purposes of a case.
const (
	PurposeCrash     Purpose = "crash"     // the disk is failing or has failed
	PurposeReinstall Purpose = "reinstall" // the computer is set up anew
	PurposeTransfer  Purpose = "transfer"  // the data move to a new computer
)

// A Language is one that papers are printed in.
type Language string

// The languages of papers.
const (
	Dutch   Language = "nl"
	French  Language = "fr"
	German  Language = "de"
	English Language = "en"
)

// An OperatorKind says whether an operator is a person.
type OperatorKind string

// The kinds of operators.
const (
	OperatorPerson OperatorKind = "person"
	OperatorPurge  OperatorKind = "purge" // the purge job: able only to purge
)

// An ItemKind is what a customer handed in.
type ItemKind string

// The kinds of items.
const (
	ItemDisk     ItemKind = "disk" // kind not known more closely
	ItemHDD      ItemKind = "hdd"
	ItemSSD      ItemKind = "ssd"
	ItemNVMe     ItemKind = "nvme"
	ItemStick    ItemKind = "stick"
	ItemCard     ItemKind = "card"
	ItemComputer ItemKind = "computer"
	ItemPhone    ItemKind = "phone"
	ItemFile     ItemKind = "file" // an image file, as received
	ItemOther    ItemKind = "other"
)

// A StopReason is why imaging stopped before its end.
type StopReason string

// Why an image was paused or failed.
const (
	StopInterrupted StopReason = "interrupted" // somebody stopped the program
	StopSource      StopReason = "source"      // the source vanished or changed
	StopTarget      StopReason = "target"      // the vault failed or filled up
	StopHost        StopReason = "host"        // the machine between them failed
)

// A VerifyLevel is how deeply an image was checked.
type VerifyLevel string

// The levels of checking an image.
const (
	VerifyQuick VerifyLevel = "quick" // headers, footers, tree and seal agree
	VerifyMedia VerifyLevel = "media" // every stored byte was read again
	VerifyDeep  VerifyLevel = "deep"  // every record was opened
)

// A DataUse is what opened data were wanted for.
type DataUse string

// The uses of opened data.
const (
	UseRestore DataUse = "restore"
	UseMount   DataUse = "mount"
	UseExtract DataUse = "extract"
	UseList    DataUse = "list"
	UseVerify  DataUse = "verify"
	UseKeyTest DataUse = "key-test"
)

// A TargetKind is where data were restored to.
type TargetKind string

// The kinds of restore targets.
const (
	TargetFile   TargetKind = "file"
	TargetDevice TargetKind = "device"
)

// A HoldKind is the ground of a block on erasing.
type HoldKind string

// The kinds of holds.
const (
	HoldRestriction HoldKind = "restriction" // right to restriction of processing
	HoldLegal       HoldKind = "legal"       // a legal claim
	HoldIncident    HoldKind = "incident"    // evidence of an incident
	HoldOther       HoldKind = "other"
)

// An EraseStep is how far the erasing of an image has come.
type EraseStep string

// The steps of erasing, in their order.
const (
	StepPlanned   EraseStep = "PLANNED"  // nothing was destroyed
	StepKeys      EraseStep = "KEYS"     // keys are being destroyed: some may be left
	StepKeyDone   EraseStep = "KEY_DONE" // no key is left: nothing is readable any more
	StepOverwrite EraseStep = "OVERWRITE"
	StepVerified  EraseStep = "VERIFIED"
	StepUnlinked  EraseStep = "UNLINKED"
	StepAttested  EraseStep = "ATTESTED"
)

// A KeyClass is what was proved about the keys of an erased image.
type KeyClass string

// The classes on the key axis.
const (
	KeysComplete KeyClass = "CE-COMPLETE" // every copy accounted for and destroyed
	KeysPartial  KeyClass = "CE-PARTIAL"  // some copy is not accounted for
	KeysNone     KeyClass = "CE-NONE"
)

// A MediaClass is what was proved about the medium of an erased image.
type MediaClass string

// The classes on the media axis.
const (
	MediaPurged     MediaClass = "PURGE-DEVICE"  // the device's own sanitize, with evidence
	MediaRaw        MediaClass = "CLEAR-RAW"     // raw blocks overwritten and read back
	MediaLogical    MediaClass = "CLEAR-LOGICAL" // read back through the file system
	MediaNotAssured MediaClass = "NOT-ASSURED"   // old content may be left elsewhere
	MediaFailed     MediaClass = "FAILED"        // some byte not overwritten or not read back
)

// A PaperKind is a paper that can be printed.
type PaperKind string

// The papers.
const (
	PaperLabel     PaperKind = "label"
	PaperIntake    PaperKind = "intake"
	PaperCustody   PaperKind = "custody"
	PaperHandover  PaperKind = "handover"
	PaperAttest    PaperKind = "attest"
	PaperDue       PaperKind = "due"
	PaperRegister  PaperKind = "register"
	PaperIncidents PaperKind = "incidents"
	PaperRequests  PaperKind = "requests"
	PaperAudit     PaperKind = "audit"
)

// A PaperFormat is the form a paper was rendered in.
type PaperFormat string

// The formats of papers.
const (
	FormatPDF  PaperFormat = "pdf"
	FormatHTML PaperFormat = "html"
	FormatText PaperFormat = "text"
	FormatJSON PaperFormat = "json"
)

func oneOf[T comparable](v T, all ...T) bool { return slices.Contains(all, v) }

// Valid reports whether p is one of the purposes.
func (p Purpose) Valid() bool { return oneOf(p, PurposeCrash, PurposeReinstall, PurposeTransfer) }

// Valid reports whether l is one of the languages.
func (l Language) Valid() bool { return oneOf(l, Dutch, French, German, English) }

// Valid reports whether k is one of the kinds of operators.
func (k OperatorKind) Valid() bool { return oneOf(k, OperatorPerson, OperatorPurge) }

// Valid reports whether k is one of the kinds of items.
func (k ItemKind) Valid() bool {
	return oneOf(k, ItemDisk, ItemHDD, ItemSSD, ItemNVMe, ItemStick, ItemCard, ItemComputer, ItemPhone, ItemFile, ItemOther)
}

// Valid reports whether r is one of the reasons to stop.
func (r StopReason) Valid() bool {
	return oneOf(r, StopInterrupted, StopSource, StopTarget, StopHost)
}

// Valid reports whether l is one of the levels.
func (l VerifyLevel) Valid() bool { return oneOf(l, VerifyQuick, VerifyMedia, VerifyDeep) }

// Valid reports whether u is one of the uses.
func (u DataUse) Valid() bool {
	return oneOf(u, UseRestore, UseMount, UseExtract, UseList, UseVerify, UseKeyTest)
}

// Valid reports whether k is one of the kinds of targets.
func (k TargetKind) Valid() bool { return oneOf(k, TargetFile, TargetDevice) }

// Valid reports whether k is one of the kinds of holds.
func (k HoldKind) Valid() bool {
	return oneOf(k, HoldRestriction, HoldLegal, HoldIncident, HoldOther)
}

// Valid reports whether s is one of the steps.
func (s EraseStep) Valid() bool {
	return oneOf(s, StepPlanned, StepKeys, StepKeyDone, StepOverwrite, StepVerified, StepUnlinked, StepAttested)
}

// Valid reports whether c is one of the classes of the key axis.
func (c KeyClass) Valid() bool { return oneOf(c, KeysComplete, KeysPartial, KeysNone) }

// Valid reports whether c is one of the classes of the media axis.
func (c MediaClass) Valid() bool {
	return oneOf(c, MediaPurged, MediaRaw, MediaLogical, MediaNotAssured, MediaFailed)
}

// Valid reports whether k is one of the papers.
func (k PaperKind) Valid() bool {
	return oneOf(k, PaperLabel, PaperIntake, PaperCustody, PaperHandover, PaperAttest,
		PaperDue, PaperRegister, PaperIncidents, PaperRequests, PaperAudit)
}

// Valid reports whether f is one of the formats.
func (f PaperFormat) Valid() bool { return oneOf(f, FormatPDF, FormatHTML, FormatText, FormatJSON) }
