package report

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
)

// Errors of a statement.
var (
	// ErrAttest: the text is not an attest in its one spelling.
	ErrAttest = errors.New("malformed attest")
	// ErrContradiction: the class claims more than the figures beside it show.
	ErrContradiction = errors.New("attest contradicts itself")
)

// The key axis: what became of the keys.
const (
	KeyComplete = "CE-COMPLETE" // every copy ever made is accounted for and destroyed, with evidence
	KeyPartial  = "CE-PARTIAL"  // some copy is not accounted for, or its overwriting is not provable
	KeyNone     = "CE-NONE"     // no copy is proved to be destroyed
)

// The media axis: what became of the encrypted content.
const (
	MediaRaw        = "CLEAR-RAW"     // overwritten in place, read back from the device itself
	MediaLogical    = "CLEAR-LOGICAL" // overwritten, read back through the file system; place unknown
	MediaNotAssured = "NOT-ASSURED"   // old versions are or may be elsewhere on the storage
	MediaFailed     = "FAILED"        // some byte was not overwritten or not read back
)

// The legal ground of an erasure.
const (
	GroundDeadline = "deadline" // the deadline was reached
	GroundEarly    = "early"    // before the deadline, for a reason that the ledger holds
)

// The fate of one copy of a key.
const (
	FateDestroyed = "destroyed" // overwritten, read back and removed
	FateUnproved  = "unproved"  // overwritten and removed, on storage where that proves nothing
	FateMissing   = "missing"   // it was not where the ledger says it was made
	FateFailed    = "failed"    // it could not be overwritten or read back
	FateEarlier   = "earlier"   // an earlier erasing destroyed it, as the signed event KeyCopy.By says; nothing of it was checked again
)

// How the overwritten content was read back.
const (
	ReadDevice = "device" // from the block device at the recorded places
	ReadFile   = "file"   // through the file system, past the cache
	ReadNone   = "none"   // not at all
)

// What an erasure may fail to cover. Like the reasons of a class these are English
// sentences that stay the same for ever; a paper translates them by their text.
const (
	UncoveredSource    = "the source itself"                               // always
	UncoveredExports   = "data handed out and copies made without salvor"  // always
	UncoveredBackups   = "backups made without salvor"                     // always
	UncoveredSnapshots = "snapshots that the storage does not report"      // always
	UncoveredMetadata  = "names and sizes of the files in the file system" // always
	UncoveredHidden    = "sectors that the drive hides"                    // always
	UncoveredFlash     = "spare blocks of flash"                           // unless every device is known to rotate
	UncoveredLayers    = "layers below the virtual device"                 // on a virtual device
	UncoveredPlace     = "what lies behind the file system"                // CLEAR-LOGICAL
	UncoveredVersions  = "old content elsewhere on the storage"            // NOT-ASSURED
	UncoveredRest      = "what was not overwritten or not read back"       // FAILED
	UncoveredKeys      = "copies of keys that may be left"                 // CE-PARTIAL, CE-NONE
)

// Attest is the statement that one image was erased. It is signed: the bytes that
// [Attest.Text] returns become the text of a note. It holds ids, counts, sizes, dates
// and hashes of ciphertext; no name of a person, no file name of a customer, no free
// text of an operator. Names are joined when it is printed ([AttestPaper]).
type Attest struct {
	V       int       `json:"v"`       // 1
	ID      string    `json:"attest"`  // id of this attest
	Shop    string    `json:"shop"`    // shop id
	Station string    `json:"station"` // the station that erased and signs
	Issued  time.Time `json:"issued"`  // when it was written, UTC

	// What was erased.
	Case  string `json:"case"`           // "T1-2026-0001"
	Image string `json:"image"`          // "image-01"
	UUID  string `json:"uuid"`           // of the image, 32 lower-case hexadecimal digits
	Vault string `json:"vault"`          // id of the vault
	Root  string `json:"root,omitempty"` // Merkle root of the ciphertext, 64 hexadecimal digits; empty when the image was never sealed

	// Why.
	Ground   string    `json:"ground"`            // GroundDeadline or GroundEarly
	Deadline time.Time `json:"deadline,omitzero"` // of the case; zero when it had none yet

	// What was proved. Taken from the one function that classifies evidence.
	Key     string `json:"key"`     // one of the Key constants
	Media   string `json:"media"`   // one of the Media constants
	Virtual bool   `json:"virtual"` // on a virtual device
	// Reasons say why the classes are not better: English sentences, each once,
	// without personal data. A paper translates those that it knows by their text.
	Reasons []string `json:"reasons,omitempty"`

	// How.
	Technique string    `json:"technique"`            // code: TechniqueStream
	Tool      string    `json:"tool"`                 // "salvor"
	Version   string    `json:"version"`              // of the tool
	Started   time.Time `json:"started"`              // UTC
	Ended     time.Time `json:"ended"`                // UTC
	StreamKey string    `json:"stream_key,omitempty"` // key of the overwriting stream, 64 hexadecimal digits; empty when nothing was overwritten

	Content Content   `json:"content"`
	Keys    []KeyCopy `json:"keys,omitempty"` // every copy the ledger knows of, and every other that was found
	Storage []Storage `json:"storage"`        // the places of image and keys

	// NotCovered lists what the erasure does not cover, always at least what
	// [Attest.MustNotCover] returns; [Attest.Uncover] fills it.
	NotCovered []string `json:"not_covered"`

	PerformedBy string     `json:"performed_by"`           // operator id
	ValidatedBy string     `json:"validated_by,omitempty"` // operator id; empty when nobody had to
	Checkpoint  Checkpoint `json:"checkpoint"`             // of the ledger when the erasure was recorded
}

// TechniqueStream is the one technique there is: keys overwritten first, then the
// content with one AES-256-CTR stream, then everything read back and compared.
const TechniqueStream = "keys-first-aes256ctr-compare"

// Content counts what became of the encrypted content, in bytes. Total is everything
// that had to be overwritten: the whole allocation of every file.
type Content struct {
	Files       int64  `json:"files"`
	Total       int64  `json:"total"`
	Overwritten int64  `json:"overwritten"`
	ReadBack    int64  `json:"read_back"`
	Equal       int64  `json:"equal"`      // of those read back, equal to what was written
	Unreadable  int64  `json:"unreadable"` // could not be written or read
	Read        string `json:"read"`       // one of the Read constants
}

// KeyCopy is one copy of one session's key file.
type KeyCopy struct {
	Keystore string `json:"keystore"` // id of the keystore or vault
	File     string `json:"file"`     // name below the keystore's directory of the image: "0001.age"
	SHA256   string `json:"sha256,omitempty"`
	Fate     string `json:"fate"`         // one of the Fate constants
	By       string `json:"by,omitempty"` // with FateEarlier: the event that says so, "NAS/812"
}

// Storage is where the image or its keys lay, as this computer saw it.
type Storage struct {
	Holds      string   `json:"holds"`             // "image", "keys" or "image and keys"
	FileSystem string   `json:"file_system"`       // "ext4"
	Device     string   `json:"device,omitempty"`  // kernel name of the block device: "sdb1"; empty when unknown
	Model      string   `json:"model,omitempty"`   // of the shop's device
	Rotational string   `json:"rotational"`        // "yes", "no" or "unknown"
	Options    string   `json:"options,omitempty"` // mount options
	Virtual    bool     `json:"virtual"`
	Layers     []string `json:"layers,omitempty"`    // kinds of the layers below that are not covered: "loop", "virtio"
	Snapshots  []string `json:"snapshots,omitempty"` // signs of snapshots or recycle bins: ".zfs/snapshot"; none seen is not none there
}

// Uncover sets NotCovered to everything that must be said, and more. What names a
// layer below a virtual device is said in Storage already and left out here.
func (a *Attest) Uncover(more ...string) {
	a.NotCovered = a.MustNotCover()
	for _, m := range more {
		layer := slices.ContainsFunc(a.Storage, func(s Storage) bool { return slices.Contains(s.Layers, m) })
		if !layer && !slices.Contains(a.NotCovered, m) {
			a.NotCovered = append(a.NotCovered, m)
		}
	}
}

// MustNotCover returns what the erasure in a cannot have covered: some of it always,
// some by its class and storage. A paper may say more, never less.
func (a Attest) MustNotCover() []string {
	out := []string{UncoveredSource, UncoveredExports, UncoveredBackups, UncoveredSnapshots, UncoveredMetadata, UncoveredHidden}
	allRotate := len(a.Storage) > 0
	for _, s := range a.Storage {
		allRotate = allRotate && s.Rotational == "yes" && !s.Virtual
	}
	for _, rule := range []struct {
		what string
		when bool
	}{
		{UncoveredFlash, !allRotate},
		{UncoveredLayers, a.Virtual},
		{UncoveredPlace, a.Media == MediaLogical},
		{UncoveredVersions, a.Media == MediaNotAssured},
		{UncoveredRest, a.Media == MediaFailed},
		{UncoveredKeys, a.Key != KeyComplete},
	} {
		if rule.when {
			out = append(out, rule.what)
		}
	}
	return out
}

var (
	hex32    = regexp.MustCompile(`^[0-9a-f]{32}$`)
	hex64    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	codeForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.:_-]{0,63}$`)
	// The code of a checkpoint: base32 of the signed note in attests of early versions,
	// since then as custody.Checkpoint.Code writes it.
	codeBase = regexp.MustCompile(`^([A-Z2-7]{4}( [A-Z2-7]{4}){7}|[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){7})$`)
)

// Check judges a: every field has its form ([ErrAttest]), and the class claims no
// more than the figures beside it show ([ErrContradiction]).
func (a Attest) Check() error {
	if err := a.checkForm(); err != nil {
		return err
	}
	return a.checkClaims()
}

func (a Attest) checkForm() error {
	bad := func(what string) error { return fmt.Errorf("%s: %w", what, ErrAttest) }
	if a.V != 1 {
		return bad("version")
	}
	for _, err := range []error{
		custody.CheckID(a.ID), custody.CheckShop(a.Shop), custody.CheckStation(a.Station),
		custody.CheckImage(a.Image), custody.CheckID(a.Vault), custody.CheckOperator(a.PerformedBy),
	} {
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAttest, err)
		}
	}
	if _, err := custody.ParseCaseNo(a.Case); err != nil {
		return fmt.Errorf("%w: %w", ErrAttest, err)
	}
	if a.ValidatedBy != "" {
		if err := custody.CheckOperator(a.ValidatedBy); err != nil {
			return fmt.Errorf("%w: validated by: %w", ErrAttest, err)
		}
	}
	c := a.Content
	for _, rule := range []struct {
		what string
		ok   bool
	}{
		{"times", usable(a.Issued) && usable(a.Started) && usable(a.Ended) && (a.Deadline.IsZero() || usable(a.Deadline))},
		{"uuid", hex32.MatchString(a.UUID)},
		{"root", a.Root == "" || hex64.MatchString(a.Root)},
		{"ground", a.Ground == GroundDeadline || a.Ground == GroundEarly},
		{"key class", slices.Contains([]string{KeyComplete, KeyPartial, KeyNone}, a.Key)},
		{"media class", slices.Contains([]string{MediaRaw, MediaLogical, MediaNotAssured, MediaFailed}, a.Media)},
		{"technique", codeForm.MatchString(a.Technique)},
		{"tool", oneLine(a.Tool, 1, 64) && oneLine(a.Version, 1, 64)},
		{"stream key", a.StreamKey == "" || hex64.MatchString(a.StreamKey)},
		{"counts", c.Files >= 0 && c.Total >= 0 && c.Overwritten >= 0 && c.ReadBack >= 0 && c.Equal >= 0 && c.Unreadable >= 0},
		{"way of reading back", slices.Contains([]string{ReadDevice, ReadFile, ReadNone}, c.Read)},
		{"storage", len(a.Storage) > 0},
		{"checkpoint", a.Checkpoint.Size >= 0 && codeBase.MatchString(a.Checkpoint.Code)},
	} {
		if !rule.ok {
			return bad(rule.what)
		}
	}
	for i, r := range a.Reasons {
		if !oneLine(r, 1, 300) || slices.Contains(a.Reasons[:i], r) {
			return bad("reason")
		}
	}
	for _, k := range a.Keys {
		if !k.ok() {
			return bad("key copy")
		}
	}
	for _, s := range a.Storage {
		ok := slices.Contains([]string{"image", "keys", "image and keys"}, s.Holds) &&
			slices.Contains([]string{"yes", "no", "unknown"}, s.Rotational) &&
			oneLine(s.FileSystem, 1, 64) && oneLine(s.Device, 0, 255) && oneLine(s.Model, 0, 255) && oneLine(s.Options, 0, 4096)
		for _, l := range slices.Concat(s.Layers, s.Snapshots) {
			ok = ok && oneLine(l, 1, 255)
		}
		if !ok {
			return bad("storage")
		}
	}
	for i, n := range a.NotCovered {
		if !oneLine(n, 1, 300) || slices.Contains(a.NotCovered[:i], n) {
			return bad("what is not covered")
		}
	}
	return nil
}

func (k KeyCopy) ok() bool {
	_, err := custody.ParseRef(k.By)
	return oneLine(k.Keystore, 1, 255) && oneLine(k.File, 1, 255) && (k.SHA256 == "" || hex64.MatchString(k.SHA256)) &&
		slices.Contains([]string{FateDestroyed, FateUnproved, FateMissing, FateFailed, FateEarlier}, k.Fate) &&
		(k.Fate == FateEarlier && err == nil || k.Fate != FateEarlier && k.By == "")
}

func (a Attest) checkClaims() error {
	c := a.Content
	cleared := a.Media == MediaRaw || a.Media == MediaLogical
	virtual := slices.ContainsFunc(a.Storage, func(s Storage) bool { return s.Virtual })
	destroyed := !slices.ContainsFunc(a.Keys, func(k KeyCopy) bool { return k.Fate != FateDestroyed })
	for _, rule := range []struct {
		claim string
		ok    bool
	}{
		{"more bytes overwritten or read back than there are", c.Overwritten <= c.Total && c.ReadBack <= c.Total && c.Equal <= c.ReadBack},
		{a.Media + " without every byte overwritten", !cleared || c.Overwritten == c.Total},
		{a.Media + " without every byte read back and equal", !cleared || c.ReadBack == c.Total && c.Equal == c.Total && c.Unreadable == 0},
		{a.Media + " without anything to overwrite", !cleared || c.Total > 0 && c.Files > 0 && a.StreamKey != ""},
		{"CLEAR-RAW without reading the device", a.Media != MediaRaw || c.Read == ReadDevice},
		{"CLEAR-LOGICAL without reading back", a.Media != MediaLogical || c.Read != ReadNone},
		{"CE-COMPLETE with a copy that was not destroyed", a.Key != KeyComplete || destroyed},
		{"a class below the best without a reason", len(a.Reasons) > 0 || a.Key == KeyComplete && a.Media == MediaRaw},
		{"a virtual device that is not said", !virtual || a.Virtual},
	} {
		if !rule.ok {
			return fmt.Errorf("%s: %w", rule.claim, ErrContradiction)
		}
	}
	for _, must := range a.MustNotCover() {
		if !slices.Contains(a.NotCovered, must) {
			return fmt.Errorf("what is not covered leaves out %q: %w", must, ErrContradiction)
		}
	}
	return nil
}

// usable tells a time that RFC 3339 can write and a clock can have shown.
func usable(t time.Time) bool { return t.UTC().Year() >= 1970 && t.UTC().Year() <= 9999 }

// oneLine tells a text that can be printed on one line as it is.
func oneLine(s string, least, most int) bool {
	n := utf8.RuneCountInString(s)
	return n >= least && n <= most && utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// Text returns the exact text to be signed as a note (golang.org/x/mod/sumdb/note):
// one line of canonical JSON and a line break. It refuses what [Attest.Check] refuses.
// Times are cut down to whole seconds in UTC.
func (a Attest) Text() ([]byte, error) { return textOfStatement(a) }

// ParseAttest reads the text of a note strictly: what it accepts is exactly what
// [Attest.Text] of the result writes. Anything else is [ErrAttest] or
// [ErrContradiction].
func ParseAttest(text []byte) (Attest, error) { return parseStatement[Attest](text) }

// OpenAttest verifies a signed attest against the keys of known stations and reads
// it. The signature is checked before anything is parsed. An error of note.Open says
// that no known station signed it.
func OpenAttest(signed []byte, known note.Verifiers) (Attest, *note.Note, error) {
	return openStatement[Attest](signed, known)
}

// AttestPaper is the attest as it is printed.
type AttestPaper struct {
	Head
	Attest Attest            `json:"attest"`
	Signer string            `json:"signer"`          // name of the station's key that signed it; empty: not signed
	SHA256 string            `json:"sha256"`          // of the whole signed note, 64 hexadecimal digits
	Note   string            `json:"note,omitempty"`  // the signed note itself, for [OpenAttest]; text papers leave it out
	Names  map[string]string `json:"names,omitempty"` // operator id → name, joined only for printing
	Foot   Foot              `json:"foot"`
}
