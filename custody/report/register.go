package report

import (
	"time"

	"salvor/custody"
)

// RegisterPaper is the record of processing activities of Article 30: the shop's own
// as a controller (30(1)), and those it carries out for others as a processor (30(2)).
type RegisterPaper struct {
	Head

	Updated        time.Time `json:"updated"`                  // when the register last changed
	Representative string    `json:"representative,omitempty"` // of the shop, where it has one
	Joint          string    `json:"joint,omitempty"`          // joint controller, where there is one

	Controller []Activity          `json:"controller"`
	Processor  []Activity          `json:"processor"`
	Clients    []ProcessorClient   `json:"clients,omitempty"`    // on whose behalf the shop processes
	Processors []RegisterProcessor `json:"processors,omitempty"` // who processes on the shop's behalf
	Periods    []RegisterPeriod    `json:"periods,omitempty"`    // what the shop's policy says

	Foot Foot `json:"foot"`
}

// Activity is one processing activity. Each text is either the code of a statement
// that this package has in four languages, or the shop's own words.
type Activity struct {
	Code string       `json:"code,omitempty"` // one of the Activity constants; "": the shop's own activity
	Own  *OwnActivity `json:"own,omitempty"`
}

// OwnActivity is an activity that a shop describes itself, in its own language.
type OwnActivity struct {
	Name         string `json:"name"`
	Purposes     string `json:"purposes"`
	Subjects     string `json:"subjects"`
	Data         string `json:"data"`
	Recipients   string `json:"recipients"`
	ThirdCountry string `json:"third_country"`
	Period       string `json:"period"`
	Measures     string `json:"measures"`
}

// The activities that are filled in beforehand for a shop that rescues data.
const (
	ActivityRescue    = "rescue"     // copying and rescuing customers' data
	ActivityCustomers = "customers"  // case files and contact data
	ActivityLedger    = "ledger"     // the signed record of who did what
	ActivityStaff     = "staff"      // operators, agreements and trainings
	ActivityRights    = "rights"     // requests and incidents
	ActivityForOthers = "for-others" // rescuing data for a business customer under its contract
)

// StandardRegister returns the activities of a shop that does with salvor what salvor
// is for. A shop adds its own.
func StandardRegister() (controller, processor []Activity) {
	for _, code := range []string{ActivityRescue, ActivityCustomers, ActivityLedger, ActivityStaff, ActivityRights} {
		controller = append(controller, Activity{Code: code})
	}
	return controller, []Activity{{Code: ActivityForOthers}}
}

// ProcessorClient is a controller for whom the shop works.
type ProcessorClient struct {
	Name     Personal `json:"name"`
	Contact  Personal `json:"contact,omitzero"`
	Contract string   `json:"contract"`
}

// RegisterProcessor is a company that works for the shop.
type RegisterProcessor struct {
	ID        string            `json:"id"`
	Name      Personal          `json:"name"`
	Services  []custody.Service `json:"services"`
	Contract  string            `json:"contract"`
	From      custody.Date      `json:"from"`
	Until     custody.Date      `json:"until,omitempty"` // "": without an end
	Country   string            `json:"country"`         // ISO 3166
	Safeguard custody.Safeguard `json:"safeguard,omitempty"`
	Ended     custody.Date      `json:"ended,omitempty"`
}

// RegisterPeriod is one value of the shop's policy.
type RegisterPeriod struct {
	Name  custody.PolicyName `json:"name"`
	Value string             `json:"value"`
	From  custody.Date       `json:"from,omitempty"` // "": nobody has set it, the default holds
}
