package report

import (
	"time"

	"salvor/custody"
)

// IntakePaper is what a customer signs when he leaves his things: what was handed in,
// what may be done with it and what not, for how long the data are kept, and his
// rights. The customer's copy ends with a receipt to tear off; the shop's copy holds
// how to reach him.
type IntakePaper struct {
	Head

	Case     string             `json:"case"`
	Opened   time.Time          `json:"opened"`
	Customer Customer           `json:"customer"`
	Ticket   Personal           `json:"ticket,omitzero"`
	Purpose  custody.Purpose    `json:"purpose"`
	Role     custody.Role       `json:"role"`               // "" is the controller
	Contract string             `json:"contract,omitempty"` // of a business whose processor the shop is
	Proxy    bool               `json:"proxy"`              // brought by somebody else than the owner
	ProxyFor Personal           `json:"proxy_name,omitzero"`
	Items    []Item             `json:"items"`
	Wanted   Personal           `json:"wanted,omitzero"`        // what to rescue
	Excluded Personal           `json:"excluded,omitzero"`      // what not to look at
	Special  []custody.Category `json:"special,omitempty"`      // none: the customer named none
	Allowed  []custody.Action   `json:"allowed,omitempty"`      // none: imaging only
	End      custody.EndChoice  `json:"end,omitempty"`          // "": not asked
	Deadline time.Time          `json:"deadline,omitzero"`      // erase no later than; zero: none set yet
	Keep     string             `json:"keep,omitempty"`         // the period as it was asked for: "90d"
	Agreed   time.Time          `json:"agreed,omitzero"`        // zero: the agreement is given with this paper
	Notice   string             `json:"notice,omitempty"`       // version of the notice he was given
	Received string             `json:"received_by"`            // name of the operator, or his id
	Code     string             `json:"receipt_code,omitempty"` // what the receipt proves itself with; on the customer's copy alone

	Foot Foot `json:"foot"`
}

// Customer is who left something, and how to reach him. A customer's copy shows all of
// it, since he signs for it; no other paper than the intake holds more than the name.
type Customer struct {
	Business bool     `json:"business"`
	Name     Personal `json:"name"`
	Address  Personal `json:"address,omitzero"`
	Phone    Personal `json:"phone,omitzero"`
	Email    Personal `json:"email,omitzero"`
}
