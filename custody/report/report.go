// Package report makes the papers: what a shop prints about a case, in the
// customer's language, and the statement it signs when something was erased.
//
// The picture to keep in mind: one struct per paper, filled by a command with plain
// facts, laid out once in one language (package layout), and renderings of it that say
// the same: PDF, HTML and text for people. Canonical JSON is for a machine, and its
// SHA-256 names the paper and stands on it. A paper adds nothing to its facts: the same
// struct always gives the same bytes.
//
// What a paper says about an erasure is never better than what was proved. Two axes
// (keys and medium) stand side by side, never one word for both; what is not covered is
// always stated; and [Attest.Check] refuses a statement whose class its own figures
// contradict.
//
// The words come from locale/: terms.csv holds the settled terms of the trade, the TOML
// files the sentences around them, each in four languages side by side.
// Entries marked legal = true carry legal wording and need a native reader before a
// shop relies on them.
package report

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"salvor/custody"
)

// Shop is the company as its papers show it.
type Shop struct {
	Name          string `json:"name"`
	Address       string `json:"address,omitempty"`
	CompanyNumber string `json:"company_number,omitempty"`
	DPO           string `json:"dpo"` // data protection officer or contact
	Phone         string `json:"phone,omitempty"`
	Email         string `json:"email,omitempty"`

	Logo  []byte   `json:"-"`               // PNG or JPEG of at most 4 MiB; empty: none. See layout.CheckLogo
	Notes []string `json:"notes,omitempty"` // the shop's own words at the end of every paper
}

// CopyFor says whose copy of a paper it is.
type CopyFor string

// Whose copy a paper can be. The two differ in what they show: the customer's names the
// people of the shop by their number, the shop's leaves out what only the customer needs.
const (
	CopyCustomer CopyFor = "customer"
	CopyShop     CopyFor = "shop"
	CopyAnyone   CopyFor = "" // a paper of which there is one version
)

// Head is what stands at the top of every paper.
type Head struct {
	Shop      Shop             `json:"shop"`
	Number    string           `json:"number"`     // number of the document, unique within the shop
	PrintedAt time.Time        `json:"printed_at"` // shown to the minute in Zone
	PrintedBy string           `json:"printed_by"` // name of the operator who prints, or his id
	Language  custody.Language `json:"language"`   // of the text; JSON is always English and UTC
	Zone      string           `json:"zone"`       // the shop's zone: "Europe/Brussels"
	Copy      CopyFor          `json:"copy,omitempty"`
}

// LedgerState is the result of the last audit of the ledger.
type LedgerState string

// The states of a ledger.
const (
	LedgerOK        LedgerState = "ok"        // audited: complete and unaltered
	LedgerBroken    LedgerState = "broken"    // audited: altered or incomplete
	LedgerUnaudited LedgerState = "unaudited" // not audited for this paper
)

// Checkpoint is the ledger's newest signed checkpoint, as a paper shows it. Whoever
// keeps the paper is a witness: a ledger rewritten later has another code.
type Checkpoint struct {
	Size int64  `json:"size"` // number of events under the checkpoint
	Code string `json:"code"` // of the signed note: see [Code]
}

// qrPrefix begins what the QR code at the foot of a paper says. Capitals and digits
// make a QR code smaller.
const qrPrefix = "SALVOR:CODE/"

// QRText is what the QR code at the foot of a paper says: the size of the ledger and
// the code, for a machine to read.
func (c Checkpoint) QRText() string {
	return fmt.Sprintf("%s%d/%s", qrPrefix, c.Size, bare(c.Code))
}

// bare is a code without what makes it readable for people.
func bare(code string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(code))
}

// ErrCode is returned for a text that is no code of a paper.
var ErrCode = errors.New("not a code of a paper")

// ParseCode reads the code of a paper as somebody typed it or as the QR code at its
// foot says it. size is 0 where the text does not say it.
func ParseCode(text string) (size int64, code string, err error) {
	if rest, ok := strings.CutPrefix(strings.ToUpper(text), qrPrefix); ok {
		digits, after, ok := strings.Cut(rest, "/")
		if size, err = strconv.ParseInt(digits, 10, 64); !ok || err != nil || size < 0 {
			return 0, "", ErrCode
		}
		text = after
	}
	text = bare(text)
	if len(text) != 32 || strings.Trim(text, checkAlphabet) != "" {
		return 0, "", ErrCode
	}
	return size, text, nil
}

// SameCode reports whether two codes are the same, however they are written.
func SameCode(a, b string) bool { return bare(a) == bare(b) }

// Foot is what stands at the bottom of every paper.
type Foot struct {
	Ledger     LedgerState `json:"ledger"`
	AuditedAt  time.Time   `json:"audited_at,omitzero"` // zero when it was not audited
	Checkpoint Checkpoint  `json:"checkpoint"`
}

// Code returns the 160-bit code of a checkpoint: the first 160 bits of the SHA-256 of
// the checkpoint's whole signed note, in base32 (RFC 4648, 6: A-Z and 2-7, so no 0, 1
// or 8 to be taken for a letter), in 8 groups of 4 separated by spaces.
func Code(checkpointNote []byte) string {
	sum := sha256.Sum256(checkpointNote)
	s := base32.StdEncoding.EncodeToString(sum[:20])
	var groups []string
	for ; s != ""; s = s[4:] {
		groups = append(groups, s[:4])
	}
	return strings.Join(groups, " ")
}

// second cuts a time down to whole seconds in UTC, the form in which papers keep it.
func second(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}
