package custody

import (
	"cmp"
	"slices"
	"time"
)

// A PolicyName names a rule of the shop that has a value.
type PolicyName string

// The rules of the shop, and what they say when nobody has set them.
const (
	PolicyKeep              PolicyName = "keep.default"          // "90d"; longer needs a reason
	PolicyGrace             PolicyName = "confirm.grace"         // "7d" from the customer's confirmation
	PolicyNotice            PolicyName = "notice.before"         // "7d" before the deadline
	PolicyValidation        PolicyName = "validation"            // "none" or "required"
	PolicyFourEyes          PolicyName = "four_eyes"             // "false" or "true": performer and validator differ
	PolicyRequireKey        PolicyName = "operators.require_key" // "false" or "true"
	PolicyTraining          PolicyName = "training.every"        // "365d"
	PolicyRequest           PolicyName = "request.period"        // "1m", no more
	PolicyRequestExtension  PolicyName = "request.extension"     // "2m", no more
	PolicyIncidentAuthority PolicyName = "incident.authority"    // "72h", no more
	PolicyIncidentControl   PolicyName = "incident.controller"   // "24h", no more
)

// The values of rules that are words.
const (
	ValidationNone     = "none"
	ValidationRequired = "required"
	PolicyTrue         = "true"
	PolicyFalse        = "false"
)

// PolicyNames returns the rules in the order in which they are shown.
func PolicyNames() []PolicyName {
	return []PolicyName{
		PolicyKeep, PolicyGrace, PolicyNotice, PolicyValidation, PolicyFourEyes, PolicyRequireKey, PolicyTraining,
		PolicyRequest, PolicyRequestExtension, PolicyIncidentAuthority, PolicyIncidentControl,
	}
}

// Default returns what holds when the shop has set nothing.
func (n PolicyName) Default() string {
	switch n {
	case PolicyKeep:
		return "90d"
	case PolicyGrace, PolicyNotice:
		return "7d"
	case PolicyValidation:
		return ValidationNone
	case PolicyFourEyes, PolicyRequireKey:
		return PolicyFalse
	case PolicyTraining:
		return "365d"
	case PolicyRequest:
		return "1m"
	case PolicyRequestExtension:
		return "2m"
	case PolicyIncidentAuthority:
		return "72h"
	case PolicyIncidentControl:
		return "24h"
	}
	return ""
}

// Valid reports whether n is one of the rules.
func (n PolicyName) Valid() bool { return n.Default() != "" }

// CheckPolicy returns [ErrPayload] when the rule does not exist or cannot have
// that value. The periods of the law are only ever shortened.
func CheckPolicy(n PolicyName, value string) error {
	return must(condition{"policy", n.Valid()}, condition{"value", n.accepts(value)})
}

func (n PolicyName) accepts(value string) bool {
	switch n {
	case PolicyValidation:
		return oneOf(value, ValidationNone, ValidationRequired)
	case PolicyFourEyes, PolicyRequireKey:
		return oneOf(value, PolicyTrue, PolicyFalse)
	case PolicyKeep, PolicyGrace, PolicyNotice, PolicyTraining:
		return within(value, "dwm", 365)
	case PolicyRequest, PolicyRequestExtension:
		most, _ := ParseKeep(n.Default())
		k, err := ParseKeep(value)
		return err == nil && k.unit == 'm' && k.n >= 1 && k.n <= most.n
	case PolicyIncidentAuthority, PolicyIncidentControl:
		most, _ := ParseKeep(n.Default())
		k, err := ParseKeep(value)
		return err == nil && k.unit == 'h' && k.n >= 1 && k.n <= most.n
	}
	return false
}

// within holds for a duration in one of the units that is no longer than so
// many days; a month counts 28 of them.
func within(value, units string, days int) bool {
	k, err := ParseKeep(value)
	if err != nil || k.unit == 0 || !only(string(k.unit), units) {
		return false
	}
	per := map[byte]int{'d': 1, 'w': 7, 'm': 28}
	return k.n*per[k.unit] <= days
}

// A PolicyValue is a value that a rule was given.
type PolicyValue struct {
	Ref Ref
	At  time.Time
	Op  string
	PolicySet
}

// A Policy is what the shop's rules say on one day.
type Policy struct {
	Keep              Keep // how long a case is kept without a reason for more
	Grace             Keep // from the customer's confirmation to the deadline
	Notice            Keep // before the deadline
	Training          Keep // how long a training counts
	Validated         bool // erasing waits for a validation
	FourEyes          bool // performer and validator differ
	RequireKey        bool // operators must sign
	Request           Keep // to answer a request
	Extension         Keep // more, when told in time
	IncidentAuthority Keep
	IncidentControl   Keep
}

// PolicyValue returns what a rule says on a day: the value with the latest day
// that has come; of several with one day the last by causal order; else the
// default.
func (s Shop) PolicyValue(n PolicyName, day Date) string {
	value, from := n.Default(), Date("")
	for _, p := range s.Policies {
		if p.Name == n && p.From <= day && p.From >= from {
			value, from = p.Value, p.From
		}
	}
	return value
}

// Policy returns what the rules say on a day.
func (s Shop) Policy(day Date) Policy {
	keep := func(n PolicyName) Keep {
		k, _ := ParseKeep(s.PolicyValue(n, day)) // every value has passed accepts
		return k
	}
	return Policy{
		Keep: keep(PolicyKeep), Grace: keep(PolicyGrace), Notice: keep(PolicyNotice), Training: keep(PolicyTraining),
		Validated:  s.PolicyValue(PolicyValidation, day) == ValidationRequired,
		FourEyes:   s.PolicyValue(PolicyFourEyes, day) == PolicyTrue,
		RequireKey: s.PolicyValue(PolicyRequireKey, day) == PolicyTrue,
		Request:    keep(PolicyRequest), Extension: keep(PolicyRequestExtension),
		IncidentAuthority: keep(PolicyIncidentAuthority), IncidentControl: keep(PolicyIncidentControl),
	}
}

// sortPolicies puts values into the order in which they are shown; those of
// one rule stay in causal order.
func sortPolicies(list []PolicyValue) {
	slices.SortStableFunc(list, func(a, b PolicyValue) int { return cmp.Compare(a.Name, b.Name) })
}
