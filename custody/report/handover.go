package report

import (
	"time"

	"salvor/custody"
)

// HandoverPaper is what a customer signs when he gets his things and data back.
type HandoverPaper struct {
	Head

	Case     string                 `json:"case"`
	At       time.Time              `json:"at"`           // of the handing over; zero: this paper is filled in by hand
	By       string                 `json:"by"`           // name of the operator, or his id
	Customer Personal               `json:"customer"`     // name only
	To       custody.Recipient      `json:"to,omitempty"` // "": not recorded yet
	Receiver Personal               `json:"receiver,omitzero"`
	Checked  custody.RecipientCheck `json:"checked,omitempty"`

	Items   []ReturnedItem `json:"items,omitempty"`
	Data    []ReturnedData `json:"data,omitempty"`
	Ready   []Copy         `json:"ready,omitempty"`   // written out to be handed over, and still in the shop
	Images  int64          `json:"images"`            // how many were begun
	Missing []MissingData  `json:"missing,omitempty"` // what could not be recovered, per image
	Held    []HeldCopy     `json:"held,omitempty"`    // copies that the shop still holds

	Confirmed   time.Time           `json:"confirmed,omitzero"` // zero: he is asked on this paper
	ConfirmedBy custody.ConfirmedBy `json:"confirmed_by,omitempty"`

	Foot Foot `json:"foot"`
}

// ReturnedItem is a thing that goes back.
type ReturnedItem struct {
	Item
	Back time.Time         `json:"back,omitzero"`        // zero: with this paper
	Seen custody.SealState `json:"seal_state,omitempty"` // of its seal when it was given back
}

// ReturnedData are data that go back.
type ReturnedData struct {
	Time     time.Time            `json:"time"`
	Image    string               `json:"image,omitempty"`
	Medium   custody.ReturnMedium `json:"medium"`
	Model    Personal             `json:"model,omitzero"`
	Serial   Personal             `json:"serial,omitzero"`
	Files    int64                `json:"files"`
	Bytes    int64                `json:"bytes"`
	SHA256   Personal             `json:"sha256,omitzero"`
	Verified bool                 `json:"verified"`
	Plain    bool                 `json:"plain,omitempty"` // they are not encrypted
}

// MissingData is what could not be recovered of one image.
type MissingData struct {
	Image  string   `json:"image"`
	Bytes  int64    `json:"bytes"`          // of the source
	Bad    int64    `json:"bad"`            // bytes that could not be read
	Sector int64    `json:"sector"`         // bytes
	Words  Personal `json:"words,omitzero"` // what it means for his files, as a technician typed it

	// Unfinished is set for an image that was never sealed: not all of the source was tried.
	Unfinished bool  `json:"unfinished,omitempty"`
	Untried    int64 `json:"untried,omitempty"` // bytes not tried, as last recorded; 0 unknown
}

// HeldCopy is a copy that the shop still holds.
type HeldCopy struct {
	Image string    `json:"image"`
	Where string    `json:"where"`          // name of the vault
	Until time.Time `json:"until,omitzero"` // zero: no deadline recorded
	Held  bool      `json:"held,omitempty"` // a hold keeps it longer
	Out   string    `json:"out,omitempty"`  // id of a copy that was written out of the image; no run erases it
}
