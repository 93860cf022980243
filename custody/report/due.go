package report

import (
	"time"

	"salvor/custody"
)

// DuePaper is the monthly retention overview: every copy that the shop keeps and until
// when, and what the manager has to do. It shows no customer's name.
type DuePaper struct {
	Head

	At     time.Time `json:"at"`             // the moment for which days are counted
	Until  time.Time `json:"until,omitzero"` // only cases due by then are listed; zero: all
	Totals DueTotals `json:"totals"`
	Cases  []DueCase `json:"cases,omitempty"` // by deadline, the earliest first

	Absent    []AbsentDisk  `json:"absent,omitempty"`
	Strays    []Stray       `json:"strays,omitempty"`    // what no record knows, or what was erased and is there again
	Missing   []Stray       `json:"missing,omitempty"`   // what the record has and is not there
	Operators []DueOperator `json:"operators,omitempty"` // only those with something missing
	Clocks    []DueClock    `json:"clocks,omitempty"`    // open requests and incidents, the earliest first
	Audit     LedgerState   `json:"audit"`
	LastPurge time.Time     `json:"last_purge,omitzero"` // zero: none recorded

	Foot Foot `json:"foot"`
}

// DueTotals counts what the shop keeps. All are of the whole shop, whatever is listed.
type DueTotals struct {
	Cases  int64 `json:"cases"`  // with a copy left
	Copies int64 `json:"copies"` // images that are left
	Bytes  int64 `json:"bytes"`  // stored
	Erased int64 `json:"erased"` // cases erased since the first day of the month of At
}

// The states of a case on the overview.
const (
	DueKept        = "kept"        // its time is not over
	DueOverdue     = "overdue"     // its time is over and nothing blocks the erasing
	DueHeld        = "held"        // a hold blocks the erasing
	DueFailed      = "failed"      // an erasing failed, or proved nothing
	DueUnvalidated = "unvalidated" // it waits for a validation
	DueErasing     = "erasing"     // begun, not finished
	DueUndated     = "undated"     // no deadline is recorded
)

// DueCase is one case with a copy left.
type DueCase struct {
	Case     string          `json:"case"`
	Captured time.Time       `json:"captured,omitzero"` // of the first image
	Due      time.Time       `json:"due,omitzero"`
	DaysLeft int             `json:"days_left"` // whole days from At to Due in the shop's zone; negative: overdue
	Purpose  custody.Purpose `json:"purpose"`
	Place    string          `json:"place,omitempty"` // name of the vault, or of the disk on which it lies
	State    string          `json:"state"`           // one of the Due constants
	Holds    []DueHold       `json:"holds,omitempty"`
	Longer   Personal        `json:"longer,omitzero"` // why it is kept longer than usual
}

// DueHold is a hold that is in force.
type DueHold struct {
	Kind   custody.HoldKind `json:"kind"`
	Review custody.Date     `json:"review,omitempty"`
}

// AbsentDisk is a vault that could not be looked at.
type AbsentDisk struct {
	Name   string    `json:"name"`
	Copies int64     `json:"copies"`
	Seen   time.Time `json:"seen,omitzero"`   // last time; zero: not recorded
	Never  bool      `json:"never,omitempty"` // this station never knew where it is
	Fault  string    `json:"fault,omitempty"` // it is there and cannot be opened: why, in English, without personal data
}

// Stray counts what is in a vault, or is not, otherwise than the record says.
type Stray struct {
	Vault string `json:"vault"`
	Count int64  `json:"count"`
}

// What is missing of an operator.
const (
	OperatorNoAgreement = "no-agreement" // no signed data-protection agreement
	OperatorNoTraining  = "no-training"  // never trained
	OperatorTrainingOld = "training-old" // trained longer ago than the policy allows
)

// DueOperator is an operator of whom something is missing.
type DueOperator struct {
	Name  string       `json:"name"`            // or his id
	Lacks string       `json:"lacks"`           // one of the Operator constants
	Since custody.Date `json:"since,omitempty"` // of the last training
}

// The kinds of clocks.
const (
	ClockRequest    = "request"    // an answer to a data subject
	ClockAuthority  = "authority"  // a notification to the authority
	ClockController = "controller" // a notification to the controller
	ClockReview     = "review"     // of a hold
)

// DueClock is a time that runs.
type DueClock struct {
	Kind string    `json:"kind"` // one of the Clock constants
	Of   string    `json:"of"`   // id of the request, the incident or the hold
	Due  time.Time `json:"due"`
}
