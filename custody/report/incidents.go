package report

import (
	"time"

	"salvor/custody"
)

// IncidentsPaper is the register of incidents, with their clocks.
type IncidentsPaper struct {
	Head

	At        time.Time  `json:"at"`                  // the moment for which hours are counted
	Incidents []Incident `json:"incidents,omitempty"` // the newest first

	Foot Foot `json:"foot"`
}

// Incident is one incident.
type Incident struct {
	ID       string               `json:"id"`
	Kind     custody.IncidentKind `json:"kind"`
	Role     custody.Role         `json:"role"`
	Aware    time.Time            `json:"aware"`
	Happened time.Time            `json:"happened,omitzero"` // zero: not known
	Cases    []string             `json:"cases,omitempty"`
	Facts    Personal             `json:"facts,omitzero"`
	Effects  Personal             `json:"effects,omitzero"`
	Measures Personal             `json:"measures,omitzero"`
	Risk     custody.Risk         `json:"risk,omitempty"` // "": not assessed yet
	Subjects int64                `json:"subjects"`       // persons concerned, about
	Records  int64                `json:"records"`        // about

	Authority  Notification `json:"authority"`
	Controller Notification `json:"controller,omitzero"` // of a processor's case
	Persons    Notification `json:"persons,omitzero"`    // when the risk is high

	Closed time.Time `json:"closed,omitzero"`
}

// Notification is one clock of an incident.
type Notification struct {
	Due    time.Time      `json:"due,omitzero"`     // zero: without undue delay
	Told   time.Time      `json:"told,omitzero"`    // zero: not yet
	Exempt custody.Exempt `json:"exempt,omitempty"` // why nobody need be told
	Delay  custody.Delay  `json:"delay,omitempty"`  // why late, as a code
	Reason Personal       `json:"reason,omitzero"`  // why late, in words
}
