package custody

import (
	"cmp"
	"slices"
	"time"
)

// A StepCode is something that somebody has to do. The words for it are the
// papers' and the commands'.
type StepCode string

// What there can be to do. The subject of a step is given in brackets.
const (
	StepAgreement       StepCode = "agreement"        // record the customer's agreement
	StepDeadline        StepCode = "deadline"         // set one
	StepImage           StepCode = "image"            // begin an image
	StepResume          StepCode = "image-resume"     // [image] it was paused or cut off
	StepRetry           StepCode = "image-retry"      // [image] it failed
	StepVerify          StepCode = "image-verify"     // [image] sealed, never verified
	StepDamaged         StepCode = "image-damaged"    // [image] its newest check failed
	StepReturnData      StepCode = "data-return"      // nothing was handed over yet
	StepConfirm         StepCode = "confirm"          // ask whether the customer has everything
	StepEndCopy         StepCode = "copy-end"         // [copy] hand over or erase an exported copy
	StepReturnItem      StepCode = "item-return"      // [item]
	StepItemBack        StepCode = "item-back"        // [item] expected from a processor
	StepDispute         StepCode = "item-dispute"     // [item] records disagree who has it
	StepAccept          StepCode = "offer-accept"     // [item] an offer waits
	StepNotice          StepCode = "erase-notice"     // the deadline comes
	StepValidate        StepCode = "erase-validate"   // [image] the purge waits for it
	StepPurge           StepCode = "purge"            // [image] the deadline has passed
	StepFinishErase     StepCode = "erase-finish"     // [image] an erasing was cut off
	StepDestroy         StepCode = "medium-destroy"   // [image] the erasing proved nothing
	StepEraseAgain      StepCode = "erase-again"      // [image] it was erased and lies in its vault again
	StepEraseKeys       StepCode = "erase-keys"       // [image] a key to it is left in another keystore
	StepReview          StepCode = "hold-review"      // [hold]
	StepAnswer          StepCode = "request-answer"   // [request]
	StepAssess          StepCode = "incident-assess"  // [incident]
	StepTellController  StepCode = "incident-control" // [incident]
	StepTellAuthority   StepCode = "incident-notify"  // [incident]
	StepTellSubjects    StepCode = "incident-tell"    // [incident]
	StepCloseIncident   StepCode = "incident-close"   // [incident]
	StepLook            StepCode = "exception"        // [kind] look at an exception
	StepClose           StepCode = "close"            // close the case
	StepAgreeOperator   StepCode = "operator-agree"   // [operator] no signed agreement
	StepTrainOperator   StepCode = "operator-train"   // [operator] the yearly training is over
	StepOperatorKey     StepCode = "operator-key"     // [operator] the shop requires one
	StepRenewContract   StepCode = "contract-renew"   // [processor]
	StepBackup          StepCode = "backup"           // of the ledger
	StepReplaceOperator StepCode = "item-custodian"   // [item] its custodian has left
)

// An Urgency orders steps.
type Urgency int

// The urgencies, the most urgent first.
const (
	UrgencyLate Urgency = iota // a term is over, or something is broken
	UrgencySoon                // a term runs out within the notice, or somebody waits
	UrgencyOpen                // the next thing to do
)

// A Step is one thing to do.
type Step struct {
	Code    StepCode
	Subject string
	Urgency Urgency
	Due     time.Time // zero when there is no moment
}

// backupEvery is how old the newest backup of the ledger may be.
const backupEvery = 31 * oneDay

// contractWarning is how long before its end a contract is to be renewed.
const contractWarning = 30 * oneDay

// Next returns what is to be done for a case at now, the most urgent first.
// The location of now is the shop's zone: days are counted there.
func Next(c Case, s Shop, now time.Time) []Step {
	n := agenda{now: now, today: DateOf(now, now.Location())}
	n.policy = s.Policy(n.today)
	if !c.Opened.IsZero() && c.Closed.IsZero() {
		n.begin(c)
		n.give(c)
		for _, i := range c.Items {
			n.item(s, i)
		}
		if c.MayClose() == nil && (len(c.Images) > 0 || len(c.Items) > 0) {
			n.open(StepClose, "")
		}
	}
	for _, i := range c.Images {
		n.image(c, i)
	}
	n.erase(c)
	for _, h := range c.Holds {
		if h.Active() && h.Kind != "" {
			n.onDay(StepReview, h.ID, h.Review)
		}
	}
	n.registers(c.Requests, c.Incidents)
	for _, i := range s.Incidents {
		if slices.Contains(i.Cases, c.No) {
			n.registers(nil, []Incident{i})
		}
	}
	n.exceptions(c.Exceptions)
	return n.sorted()
}

// NextForShop returns what is to be done for the shop as a whole at now, the
// most urgent first; what is to be done for a case is [Next]'s.
func NextForShop(s Shop, now time.Time) []Step {
	n := agenda{now: now, today: DateOf(now, now.Location())}
	n.policy = s.Policy(n.today)
	for _, o := range s.Operators {
		n.operator(o)
	}
	for _, p := range s.Processors {
		if c, ok := p.On(n.today); ok && c.Until != "" {
			if end, err := c.Until.Start(now.Location()); err == nil && end.Sub(now) <= contractWarning {
				n.onDay(StepRenewContract, p.ID, c.Until)
			}
		}
	}
	if k := len(s.Backups); k == 0 || now.Sub(s.Backups[k-1].At) > backupEvery {
		n.add(StepBackup, "", UrgencySoon, time.Time{})
	}
	n.registers(s.Requests, s.Incidents)
	n.exceptions(s.Exceptions)
	return n.sorted()
}

// TrainedUntil returns the last day on which the operator's training counts. Who
// was never trained has as long from the day of his agreement: nobody is late on
// his first day. "" when there is neither.
func (o Operator) TrainedUntil(p Policy) Date {
	from := cmp.Or(o.Trained, o.Agreed)
	if from == "" {
		return ""
	}
	return p.Training.After(from)
}

type agenda struct {
	now    time.Time
	today  Date
	policy Policy
	steps  []Step
}

func (n *agenda) add(code StepCode, subject string, u Urgency, due time.Time) {
	n.steps = append(n.steps, Step{code, subject, u, due})
}

func (n *agenda) open(code StepCode, subject string) {
	n.add(code, subject, UrgencyOpen, time.Time{})
}

func (n *agenda) late(code StepCode, subject string) {
	n.add(code, subject, UrgencyLate, time.Time{})
}

// by adds what a moment ends: late after it, soon within the notice before it.
func (n *agenda) by(code StepCode, subject string, due time.Time) {
	u := UrgencyOpen
	switch {
	case n.now.After(due):
		u = UrgencyLate
	case !n.policy.Notice.From(n.now, n.now.Location()).Before(due):
		u = UrgencySoon
	}
	n.add(code, subject, u, due)
}

// onDay adds what a day ends, once it is within the notice.
func (n *agenda) onDay(code StepCode, subject string, day Date) {
	start, err := day.Start(n.now.Location())
	if err != nil {
		return
	}
	switch {
	case n.today > day:
		n.add(code, subject, UrgencyLate, start)
	case !n.policy.Notice.From(n.now, n.now.Location()).Before(start):
		n.add(code, subject, UrgencySoon, start)
	}
}

// begin is what a case needs before anything can be copied.
func (n *agenda) begin(c Case) {
	if c.Agreement == nil {
		n.add(StepAgreement, "", UrgencySoon, time.Time{})
	}
	if c.Deadline.IsZero() {
		n.open(StepDeadline, "")
	}
	if len(c.Images) == 0 {
		n.open(StepImage, "")
	}
}

// give is what giving back still needs.
func (n *agenda) give(c Case) {
	ready := false // what the customer gets lies there
	for _, x := range c.Exports {
		if x.End.Open() {
			ready = ready || x.Export.Handover
			n.add(StepEndCopy, x.ID, UrgencySoon, time.Time{})
		}
	}
	sealed := slices.ContainsFunc(c.Images, func(i Image) bool { return i.State == ImageIsSealed && i.Destroyed == nil })
	switch {
	case c.Confirmed != nil:
	case len(c.Returns) > 0:
		n.open(StepConfirm, "")
	case sealed && c.End != EndErase && !ready:
		n.open(StepReturnData, "")
	}
}

func (n *agenda) item(s Shop, i Item) {
	if len(i.Offers) > 0 {
		n.add(StepAccept, i.Item, UrgencySoon, time.Time{})
	}
	switch i.State {
	case ItemIsDisputed:
		n.late(StepDispute, i.Item)
	case ItemIsOut:
		if i.Back != "" {
			n.onDay(StepItemBack, i.Item, i.Back)
		}
	case ItemIsHere:
		n.open(StepReturnItem, i.Item)
		if o, ok := s.Operator(i.Custodian); ok && o.Ended != "" && n.today > o.Ended {
			n.late(StepReplaceOperator, i.Item)
		}
	}
}

func (n *agenda) image(c Case, i Image) {
	if i.State == ImageIsErased && i.Returned() {
		n.late(StepEraseAgain, i.Name)
	}
	if i.State == ImageIsErased && len(i.KeysElsewhere()) > 0 {
		n.late(StepEraseKeys, i.Name)
	}
	if !i.Left() {
		return
	}
	switch i.State {
	case ImageIsStarted, ImageIsPaused:
		n.open(StepResume, i.Name)
	case ImageIsFailed:
		n.open(StepRetry, i.Name)
	case ImageIsSealed:
		n.checked(c, i)
	case ImageIsErasing:
		if i.Erase != nil && i.EraseFailed == "" && !i.Erase.Proved() {
			n.late(StepDestroy, i.Name)
			return
		}
		n.late(StepFinishErase, i.Name)
	}
}

// checked looks at the newest check of an image since its seal.
func (n *agenda) checked(c Case, i Image) {
	for _, x := range slices.Backward(c.Checks) {
		if x.Image != i.Name || x.At.Before(i.Sealed) {
			continue
		}
		if !x.OK {
			n.late(StepDamaged, i.Name)
		}
		return
	}
	n.open(StepVerify, i.Name)
}

// erase is what the deadline asks for.
func (n *agenda) erase(c Case) {
	if c.Copies() == 0 || c.Deadline.IsZero() || c.Held() {
		return
	}
	near := !n.policy.Notice.From(n.now, n.now.Location()).Before(c.Deadline)
	for _, i := range c.Images {
		switch {
		case !i.Left() || i.State == ImageIsErasing || !near:
		case n.policy.Validated && !c.Validated(i.Name, ""):
			n.by(StepValidate, i.Name, c.Deadline)
		case c.Due(n.now):
			n.add(StepPurge, i.Name, UrgencyLate, c.Deadline)
		}
	}
	if near && !c.Due(n.now) {
		n.by(StepNotice, "", c.Deadline)
	}
}

func (n *agenda) registers(requests []Request, incidents []Incident) {
	for _, r := range requests {
		if r.Kind != "" && r.Clock().Running() {
			n.by(StepAnswer, r.ID, r.Due)
		}
	}
	for _, i := range incidents {
		if i.Open() && i.Kind != "" {
			n.incident(i)
		}
	}
}

func (n *agenda) incident(i Incident) {
	before := len(n.steps)
	if i.Risk == "" {
		n.by(StepAssess, i.ID, i.AuthorityDue)
	}
	if i.ControllerClock().Running() {
		n.by(StepTellController, i.ID, i.ControllerDue)
	}
	// Before it is assessed nobody knows that the authority need not be told.
	if i.Risk != RiskNone && i.AuthorityClock().Running() {
		n.by(StepTellAuthority, i.ID, i.AuthorityDue)
	}
	if i.Risk == RiskHigh && len(i.Told) == 0 {
		n.add(StepTellSubjects, i.ID, UrgencySoon, time.Time{})
	}
	if len(n.steps) == before {
		n.open(StepCloseIncident, i.ID)
	}
}

// exceptions names each kind once.
func (n *agenda) exceptions(list []Exception) {
	seen := make(map[ExceptionKind]bool)
	for _, x := range list {
		if !seen[x.Kind] {
			seen[x.Kind] = true
			n.late(StepLook, string(x.Kind))
		}
	}
}

func (n *agenda) operator(o Operator) {
	if o.Kind != OperatorPerson || o.Ended != "" && n.today > o.Ended {
		return
	}
	if o.Agreed == "" {
		n.late(StepAgreeOperator, o.ID)
	}
	if until := o.TrainedUntil(n.policy); until == "" {
		n.late(StepTrainOperator, o.ID)
	} else {
		n.onDay(StepTrainOperator, o.ID, until)
	}
	if n.policy.RequireKey && len(o.SigningKeys(n.now)) == 0 {
		n.late(StepOperatorKey, o.ID)
	}
}

// sorted puts the steps in order: urgency, then moment (what has none comes
// last), then the order in which they were found.
func (n *agenda) sorted() []Step {
	slices.SortStableFunc(n.steps, func(a, b Step) int {
		if u := cmp.Compare(a.Urgency, b.Urgency); u != 0 {
			return u
		}
		switch {
		case a.Due.IsZero() == b.Due.IsZero():
			return a.Due.Compare(b.Due)
		case a.Due.IsZero():
			return 1
		}
		return -1
	})
	return n.steps
}
