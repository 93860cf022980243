package report

import "time"

// AuditPaper is what an audit of the ledger found. With the codes on it whoever keeps
// it can tell later whether a ledger was rewritten.
type AuditPaper struct {
	Head

	At       time.Time        `json:"at"`
	Events   int64            `json:"events"` // that were checked
	Cases    int64            `json:"cases"`
	Checks   []AuditCheck     `json:"checks"`
	Stations []AuditedStation `json:"stations,omitempty"`
	Faults   []AuditFault     `json:"faults,omitempty"`
	More     int64            `json:"more,omitempty"` // faults that are not listed

	Foot Foot `json:"foot"`
}

// What an audit looks at.
const (
	AuditSignatures  = "signatures"  // every event is signed by its station
	AuditSequence    = "sequence"    // no number is missing or there twice
	AuditLinks       = "links"       // each event names the one before it
	AuditTree        = "tree"        // the checkpoints fit the events
	AuditCommitments = "commitments" // private parts are those that were signed for
	AuditProjections = "projections" // what is shown is what the events say
	AuditStorage     = "storage"     // the database file is whole
	AuditWitnesses   = "witnesses"   // the logs are those that other stations have witnessed
	AuditAttests     = "attests"     // the stored attests are those that were issued
)

// AuditCheck is one thing that was looked at.
type AuditCheck struct {
	Code   string `json:"code"` // one of the Audit constants
	OK     bool   `json:"ok"`
	Undone bool   `json:"undone,omitempty"` // it could not be carried out, so it is not in order either
}

// AuditedStation is the newest checkpoint of one station.
type AuditedStation struct {
	Station string    `json:"station"`
	Size    int64     `json:"size"`
	Code    string    `json:"code"`
	Seen    time.Time `json:"seen"`
	Retired bool      `json:"retired,omitempty"`
}

// AuditFault is something that is not as it was signed.
type AuditFault struct {
	Ref   string `json:"ref"`             // the event: "T1/7"; "" for the ledger as a whole
	Event string `json:"event,omitempty"` // its type: "hold.added"; "" where it cannot be known
	Check string `json:"check"`           // that found it: one of the Audit constants
	Words string `json:"words"`           // what exactly, in English
}
