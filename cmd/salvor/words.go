package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

// What the record says in codes, said in words: where a case is, what is to be done
// next, and what somebody must look at.

// stepText is one thing to do: in few words for a table, and the command that does it.
type stepText struct{ short, command string }

// stepTexts are the words for the steps. NO, SUBJECT stand for the case and for what
// the step is about.
func stepTexts(code custody.StepCode) stepText {
	switch code {
	case custody.StepAgreement:
		return stepText{"record the customer's agreement", "salvor agree NO"}
	case custody.StepDeadline:
		return stepText{"set a deadline", "salvor deadline NO --keep 90d"}
	case custody.StepImage:
		return stepText{"image the disk", "salvor image DISK --case NO"}
	case custody.StepResume:
		return stepText{"go on imaging", "salvor image DISK --case NO"}
	case custody.StepRetry:
		return stepText{"imaging failed: try again", "salvor image DISK --case NO"}
	case custody.StepVerify:
		return stepText{"verify the image", "salvor verify NO"}
	case custody.StepDamaged:
		return stepText{"the image is damaged: look at it", "salvor verify NO --media"}
	case custody.StepReturnData:
		return stepText{"give the data back", "salvor restore NO TARGET --handover; salvor return NO"}
	case custody.StepConfirm:
		return stepText{"has the customer everything?", "salvor confirm NO"}
	case custody.StepEndCopy:
		return stepText{"hand over or erase the copy", "salvor return NO --copy SUBJECT"}
	case custody.StepReturnItem:
		return stepText{"give the item back", "salvor return NO/SUBJECT"}
	case custody.StepItemBack:
		return stepText{"ask where the sent item is", "salvor custody back NO/SUBJECT"}
	case custody.StepDispute:
		return stepText{"find out who has the item", "salvor custody accept NO/SUBJECT --from LOGIN"}
	case custody.StepAccept:
		return stepText{"accept the offered item", "salvor custody accept NO/SUBJECT"}
	case custody.StepNotice:
		return stepText{"it is erased soon: tell who must know", "salvor show NO"}
	case custody.StepValidate:
		return stepText{"validate the erasing", "salvor validate NO"}
	case custody.StepPurge:
		return stepText{"erase it", "salvor purge"}
	case custody.StepFinishErase:
		return stepText{"finish the erasing", "salvor purge"}
	case custody.StepDestroy:
		return stepText{"destroy the medium", "salvor destroyed NO --image SUBJECT"}
	case custody.StepEraseAgain:
		return stepText{"it was erased and lies in its vault again", "salvor purge"}
	case custody.StepEraseKeys:
		return stepText{"mount the keystore with a key that is left", "salvor purge"}
	case custody.StepReview:
		return stepText{"look at the hold again", "salvor hold end NO SUBJECT"}
	case custody.StepAnswer:
		return stepText{"answer the request", "salvor request answer SUBJECT"}
	case custody.StepAssess:
		return stepText{"assess the incident", "salvor incident assess SUBJECT"}
	case custody.StepTellController:
		return stepText{"tell the controller", "salvor incident notify SUBJECT controller"}
	case custody.StepTellAuthority:
		return stepText{"tell the authority", "salvor incident notify SUBJECT authority"}
	case custody.StepTellSubjects:
		return stepText{"tell the persons concerned", "salvor incident notify SUBJECT subjects"}
	case custody.StepCloseIncident:
		return stepText{"close the incident", "salvor incident close SUBJECT"}
	case custody.StepClose:
		return stepText{"close the case", "salvor close NO"}
	case custody.StepAgreeOperator:
		return stepText{"the operator has no signed agreement", "salvor operator add LOGIN --agreement DATE"}
	case custody.StepTrainOperator:
		return stepText{"the operator needs his yearly training", "salvor operator add LOGIN --training DATE"}
	case custody.StepOperatorKey:
		return stepText{"the operator needs a signing key", "salvor operator --help"}
	case custody.StepRenewContract:
		return stepText{"renew the contract", "salvor processor add SUBJECT"}
	case custody.StepBackup:
		return stepText{"back the ledger up", "salvor ledger backup --to DIR"}
	case custody.StepReplaceOperator:
		return stepText{"take the item over: its custodian has left", "salvor custody accept NO/SUBJECT"}
	}
	return stepText{string(code), "salvor show NO"}
}

// shortStep is a step in few words.
func shortStep(code custody.StepCode) string { return stepTexts(code).short }

// stepRow is a step as documents hold it.
type stepRow struct {
	Code    custody.StepCode `json:"code"`
	Subject string           `json:"subject,omitempty"`
	Urgency string           `json:"urgency"` // late, soon or open
	Due     *custody.Time    `json:"due,omitempty"`
	Words   string           `json:"words"`
	Command string           `json:"command,omitempty"`
}

func urgencyWord(u custody.Urgency) string {
	switch u {
	case custody.UrgencyLate:
		return "late"
	case custody.UrgencySoon:
		return "soon"
	}
	return "open"
}

// steps puts steps into rows; no is "" for those of the shop, which may be about
// operators, whose logins a command needs. The incidents are those that steps may be
// about.
func (s *station) steps(no custody.CaseNo, list []custody.Step, logins map[string]string, incidents []custody.Incident) []stepRow {
	rows := []stepRow{}
	for _, x := range list {
		r := stepRow{Code: x.Code, Subject: x.Subject, Urgency: urgencyWord(x.Urgency), Words: shortStep(x.Code), Command: commandOf(no, x, incidents)}
		if x.Code == custody.StepLook {
			r.Words, r.Command = exceptionText(custody.ExceptionKind(x.Subject)), ""
			if no != "" {
				r.Command = "salvor show " + string(no)
			}
		}
		if login := logins[x.Subject]; login != "" {
			r.Command = strings.Replace(r.Command, "LOGIN", login, 1)
		}
		if !x.Due.IsZero() {
			at := custody.At(x.Due)
			r.Due = &at
		}
		rows = append(rows, r)
	}
	return rows
}

// printStep prints one thing to do with the command that does it, which stands on a line
// of its own where both do not fit, and two commands on two.
func (s *station) printStep(label, indent string, r stepRow) {
	words := r.Words
	switch {
	case r.Due != nil && r.Urgency == "late":
		words = "late since " + s.term.Date(r.Due.Time) + ": " + words
	case r.Due != nil:
		words += " by " + s.untilWords(r.Due.Time)
	case r.Urgency == "late":
		words = "late: " + words
	}
	words = label + ui.Clean(words)
	command, between := ui.Clean(r.Command), ": "
	if utf8.RuneCountInString(words+between+command) > helpWidth {
		between = "\n" + indent
	}
	if utf8.RuneCountInString(indent+command) > helpWidth {
		command = strings.ReplaceAll(command, "; ", ";\n"+indent)
	}
	if command != "" {
		words += between + command
	}
	fmt.Fprintln(s.term.Out, words)
}

func commandOf(no custody.CaseNo, x custody.Step, incidents []custody.Incident) string {
	subject := x.Subject
	if subject == "" {
		subject = "…"
	}
	command := strings.NewReplacer("NO", string(no), "SUBJECT", subject).Replace(stepTexts(x.Code).command)
	if x.Code == custody.StepCloseIncident {
		for _, i := range incidents {
			if i.ID == x.Subject {
				command += closingFlags(i)
			}
		}
	}
	return command
}

// The states of a case in words, as overviews show them and --state selects them.
const (
	stateClosed     = "closed"
	stateErased     = "erased"
	stateEmpty      = "no image yet"
	stateErasing    = "erasing"
	stateReturned   = "erased, and back"
	stateKeysLeft   = "erased, a key left"
	stateReading    = "reading"
	stateFailed     = "imaging failed"
	stateDue        = "due"
	stateDueHeld    = "due, held"
	stateKept       = "kept"
	stateKeptHeld   = "kept, held"
	stateWaits      = "due, not validated"
	stateNotArrived = "not arrived"
)

// stateWords are what --which takes.
var stateWords = choice{"--which", "in which state", []ui.Option{
	{Value: "new", Text: "no image yet"},
	{Value: "reading", Text: "being imaged, or interrupted"},
	{Value: "failed", Text: "the imaging failed"},
	{Value: "kept", Text: "kept until the deadline"},
	{Value: "held", Text: "a hold blocks the erasing"},
	{Value: "due", Text: "the deadline has come"},
	{Value: "unvalidated", Text: "due, and nobody has validated it"},
	{Value: "erasing", Text: "the erasing was begun"},
	{Value: "erased", Text: "everything is erased"},
	{Value: "closed", Text: "closed"},
	{Value: "confirmed", Text: "the customer has everything"},
	{Value: "out", Text: "an item is with a processor"},
	{Value: "special", Text: "data of a special category"},
	{Value: "attention", Text: "something is late or wrong"},
}}

// state says in words where a case is.
func (s *station) state(c custody.Case, shop custody.Shop) string {
	switch {
	case c.Opened.IsZero():
		return stateNotArrived
	case !c.Closed.IsZero():
		return stateClosed
	case c.Erased():
		return stateErased
	case c.Copies() == 0:
		return stateEmpty
	}
	for _, i := range c.Images {
		switch {
		case i.Returned():
			return stateReturned
		case !i.Left() && i.Remains():
			return stateKeysLeft
		case !i.Left():
		case i.State == custody.ImageIsErasing:
			return stateErasing
		case i.State == custody.ImageIsStarted, i.State == custody.ImageIsPaused:
			return ui.Percent(i.Rescued, i.Bytes) + " read"
		case i.State == custody.ImageIsFailed:
			return stateFailed
		}
	}
	due := c.Due(s.now())
	switch {
	case c.Held() && due:
		return stateDueHeld
	case c.Held():
		return stateKeptHeld
	case due && shop.Policy(s.today()).Validated && !allValidated(c):
		return stateWaits
	case due:
		return stateDue
	}
	return stateKept
}

// allValidated reports whether somebody has allowed the erasing of every image left.
func allValidated(c custody.Case) bool {
	for _, i := range c.Images {
		if i.Left() && !c.Validated(i.Name, "") {
			return false
		}
	}
	return true
}

// inState tells whether a case is in the state that --state names.
func (s *station) inState(c custody.Case, r caseRow, want string) bool {
	switch want {
	case "":
		return true
	case "new":
		return r.State == stateEmpty
	case "reading":
		return strings.HasSuffix(r.State, " read")
	case "failed":
		return r.State == stateFailed
	case "kept":
		return r.State == stateKept || r.State == stateKeptHeld
	case "held":
		return r.Held
	case "due":
		return r.Due
	case "unvalidated":
		return r.State == stateWaits
	case "erasing":
		return r.State == stateErasing || r.State == stateKeysLeft || r.State == stateReturned
	case "erased":
		return r.State == stateErased
	case "closed":
		return r.State == stateClosed
	case "confirmed":
		return c.Confirmed != nil
	case "special":
		return len(c.Special) > 0
	case "out":
		for _, i := range c.Items {
			if i.State == custody.ItemIsOut {
				return true
			}
		}
		return false
	case "attention":
		return r.late || len(c.Exceptions) > 0
	}
	return false
}

// exceptionWords says what must be looked at.
func exceptionWords(c custody.Case) []string {
	words := []string{}
	for _, x := range c.Exceptions {
		words = append(words, fmt.Sprintf("%s (event %s)", exceptionText(x.Kind), x.Ref))
	}
	return words
}

func exceptionText(kind custody.ExceptionKind) string {
	switch kind {
	case custody.HeldButErased:
		return "an image was erased although the case was held"
	case custody.NotProved:
		return "an erasing proved nothing: destroy the medium, or erase again"
	case custody.ClonedStation:
		return "a station's events exist twice: it was cloned, or its ledger was rolled back"
	case custody.NotOpened:
		return "the event that opened the case has not arrived"
	case custody.AfterErase:
		return "an image was used after its erasing"
	case custody.OpenCopies:
		return "the case was closed although a copy was left"
	case custody.OpenItems:
		return "the case was closed although an item was left"
	case custody.Disputed:
		return "records disagree about who has an item"
	case custody.ItemTwice:
		return "an item was received under a number that is in use"
	case custody.SealNotIntact:
		return "a seal was broken or missing"
	case custody.PlainCopy:
		return "data lie unencrypted on a medium that can be carried away"
	case custody.CameBack:
		return "what was erased lay in its vault again"
	case custody.LateExtension:
		return "a request was prolonged when its term was over already"
	}
	return string(kind)
}

// leftWords says what of a case is still in the shop; "" when nothing is.
func leftWords(c custody.Case) string {
	var left []string
	for _, x := range c.Open() {
		name := x.Name
		if x.Kind == custody.CopyExport {
			name = "copy " + name
		}
		left = append(left, name)
	}
	for _, i := range c.Items {
		if !i.Ended() {
			left = append(left, fmt.Sprintf("item %s (%s)", i.Item, i.Kind))
		}
	}
	return strings.Join(left, ", ")
}

// counted is a number with the word for what it counts.
func counted[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func eventCount[N int | int64 | uint64](n N) string { return counted(n, "event", "events") }

func caseCount[N int | int64 | uint64](n N) string { return counted(n, "case", "cases") }

// hours is how long ago something was, in whole hours.
func hours(d time.Duration) string { return counted(int(d/time.Hour), "hour", "hours") }
