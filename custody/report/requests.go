package report

import (
	"time"

	"salvor/custody"
)

// RequestsPaper is the register of data subjects' requests, with their clocks.
type RequestsPaper struct {
	Head

	At       time.Time `json:"at"`                 // the moment for which days are counted
	Requests []Request `json:"requests,omitempty"` // the newest first

	Foot Foot `json:"foot"`
}

// Request is one request.
type Request struct {
	ID        string                  `json:"id"`
	Case      string                  `json:"case,omitempty"`
	Kind      custody.RequestKind     `json:"kind"`
	From      Personal                `json:"from,omitzero"` // who asked
	Words     Personal                `json:"words,omitzero"`
	Received  time.Time               `json:"received"`
	Due       time.Time               `json:"due"`
	Told      time.Time               `json:"told,omitzero"`     // when the extension was told
	Extended  time.Time               `json:"extended,omitzero"` // until; zero: not extended
	Extension custody.ExtensionReason `json:"extension,omitempty"`
	Answered  time.Time               `json:"answered,omitzero"` // zero: open
	Outcome   custody.Outcome         `json:"outcome,omitempty"`
	Delay     custody.Delay           `json:"delay,omitempty"` // why late, as a code
	Reason    Personal                `json:"reason,omitzero"` // why late or refused, in words
}
