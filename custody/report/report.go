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

// Whose copy a paper can be. The two differ in what they show: who fills a customer's
// copy names the people of the shop by their number ([Head.Staff]), and it leaves out
// the shop's own order number; the shop's leaves out what only the customer needs, the
// receipt to tear off.
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

// Staff is how a paper names somebody of the shop: by his name where it is known, on a
// customer's copy by his number.
func (h Head) Staff(op, name string) string {
	if h.Copy == CopyCustomer || strings.TrimSpace(name) == "" {
		return op
	}
	return name
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
	Station string `json:"station,omitempty"` // whose log it is of; empty in an attest, which names its station itself
	Size    int64  `json:"size"`              // number of events under the checkpoint
	Code    string `json:"code"`              // as custody.Checkpoint.Code writes it; attests of early versions have another
}

// qrPrefix begins what the QR code at the foot of a paper says. Capitals and digits
// make a QR code smaller.
const qrPrefix = "SALVOR:CODE/"

// QRText is what the QR code at the foot of a paper says, for a machine to read: the
// station, the size of its log and the code, "SALVOR:CODE/B1/10417/7P2K…". With these
// three anybody who has the log can compute the code again; see [ParseCode].
func (c Checkpoint) QRText() string {
	station := ""
	if c.Station != "" {
		station = c.Station + "/"
	}
	return fmt.Sprintf("%s%s%d/%s", qrPrefix, station, c.Size, bare(c.Code))
}

// bare is a code without what makes it readable for people.
func bare(code string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(code))
}

// ErrCode is returned for a text that is no code of a paper.
var ErrCode = errors.New("not a code of a paper")

// ParseCode reads the code of a paper as somebody typed it, or as the QR code at its
// foot says it. Station and Size are zero where the text does not say them, Code is in
// capitals without separators, with the digits for which O, I or L was written. What is
// no code is [ErrCode].
func ParseCode(text string) (Checkpoint, error) {
	var c Checkpoint
	if rest, ok := strings.CutPrefix(strings.ToUpper(text), qrPrefix); ok {
		parts := strings.Split(rest, "/")
		if len(parts) == 3 {
			c.Station, parts = parts[0], parts[1:]
		}
		var err error
		if c.Size, err = strconv.ParseInt(parts[0], 10, 64); len(parts) != 2 || err != nil || c.Size < 0 {
			return Checkpoint{}, ErrCode
		}
		if c.Station != "" && custody.CheckStation(c.Station) != nil {
			return Checkpoint{}, ErrCode
		}
		text = parts[1]
	}
	if c.Code = copied(text); len(c.Code) != 32 || strings.Trim(c.Code, checkAlphabet) != "" {
		return Checkpoint{}, ErrCode
	}
	return c, nil
}

// SameCode reports whether two codes are the same, however they are written.
func SameCode(a, b string) bool { return copied(a) == copied(b) }

// copied is a code as somebody copied it from a paper. No code has these three letters:
// who writes one has read a digit (Crockford's base 32).
func copied(code string) string { return digits(bare(code)) }

// digits puts the digits in place of the letters that are taken for them.
func digits(text string) string {
	return strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(text)
}

// Foot is what stands at the bottom of every paper.
type Foot struct {
	Ledger     LedgerState `json:"ledger"`
	AuditedAt  time.Time   `json:"audited_at,omitzero"` // zero when it was not audited
	Checkpoint Checkpoint  `json:"checkpoint"`
}

// second cuts a time down to whole seconds in UTC, the form in which papers keep it.
func second(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}
