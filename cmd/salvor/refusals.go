package main

import (
	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

// dutyVerdicts say what a refusal of the shop's duties means at the desk: the chain of
// custody, giving back, the registers and the rules with a date.
func dutyVerdicts() []verdict {
	return []verdict{
		{custody.ErrNotOpened, ui.NotFound, "salvor cases --all"},
		{custody.ErrOpenCopies, ui.Refused, "salvor show CASE names the copies; hand them over, or let the purge erase them"},
		{custody.ErrNoItem, ui.NotFound, "salvor show CASE"},
		{custody.ErrItemExists, ui.Refused, "give it the next number"},
		{custody.ErrItemEnded, ui.Refused, "salvor show CASE says where it went"},
		{custody.ErrItemOut, ui.Refused, "when it has come back: salvor custody back ITEM"},
		{custody.ErrNotOut, ui.Refused, "salvor show CASE says where it is"},
		{custody.ErrDisputed, ui.Refused, "who has it in hand says so: salvor custody accept ITEM --from LOGIN"},
		{custody.ErrNotCustodian, ui.Refused, "salvor show CASE says who has it"},
		{custody.ErrNotYours, ui.Refused, "whoever gives or takes it records that: --as LOGIN"},
		{custody.ErrNoOffer, ui.Refused, "salvor show CASE"},
		{custody.ErrOpenOffer, ui.Refused, "the one it was offered to takes it: salvor custody accept ITEM"},
		{custody.ErrOpenItems, ui.Refused, "give it back: salvor return ITEM; or destroy it: salvor destroyed ITEM"},
		{custody.ErrNotAllowed, ui.Refused, "when the customer agrees to it: salvor agree CASE --allow …"},
		{custody.ErrNoProxy, ui.Refused, `name the paper: --proxy "letter of 9 January"; without one nothing is given to a third person`},
		{custody.ErrNoCopy, ui.NotFound, "salvor show CASE"},
		{custody.ErrPlainCopy, ui.Refused, "only as the hand-over to the customer: --handover"},
		{custody.ErrDestroyed, ui.Refused, "salvor show CASE"},
		{custody.ErrTooGenerous, ui.Refused, "salvor policy list"},
		{custody.ErrNoProposal, ui.NotFound, "salvor show CASE"},
		{custody.ErrNotValidated, ui.Refused, "salvor validate CASE"},
		{custody.ErrTwoPersons, ui.Refused, "somebody else looks at it first: salvor validate CASE"},
		{custody.ErrWitness, ui.Refused, "--witness LOGIN of somebody who saw it"},
		{custody.ErrNoReference, ui.Usage, "--reference NUMBER of the recycler's receipt"},
		{custody.ErrNoContract, ui.Refused, "salvor processor list; for a case: --contract NUMBER"},
		{custody.ErrPoorContract, ui.Refused, "salvor processor add ID … --instructions --sub-approval --audit, when the contract says so"},
		{custody.ErrNoSafeguard, ui.Refused, "salvor processor add ID … --safeguard adequacy or clauses"},

		{custody.ErrNoRequest, ui.NotFound, "salvor request list --all"},
		{custody.ErrNoIncident, ui.NotFound, "salvor incident list --all"},
		{custody.ErrFuture, ui.Usage, "give the moment at which it happened"},
		{custody.ErrPast, ui.Usage, "give a day that is still to come, or a moment after the beginning"},
		{custody.ErrTooLate, ui.Refused, "more time counts only when the person was told within the first month: answer it now"},
		{custody.ErrExtended, ui.Refused, "a request is prolonged once: answer it"},
		{custody.ErrDue, ui.Refused, "salvor policy list"},
		{custody.ErrNotAssessed, ui.Refused, "salvor incident assess ID --risk …"},
		{custody.ErrNotNotified, ui.Refused, "salvor incident notify ID authority; or why not: --no-authority no-risk --reason TEXT"},
		{custody.ErrNotTold, ui.Refused, "salvor incident notify ID subjects; or why not: --no-subjects encrypted"},
		{custody.ErrUnexcused, ui.Refused, `say why it was late: --delay facts --reason "…"`},
		{custody.ErrNoStation, ui.NotFound, "salvor station list"},
		{custody.ErrNothingLeft, ui.Refused, "salvor show says what ended each copy"},
		{custody.ErrNotRetired, ui.Refused, "salvor station retire"},
		{custody.ErrNoProcessor, ui.NotFound, "salvor processor list"},
		{custody.ErrNoVault, ui.NotFound, "salvor vault list"},
		{custody.ErrNoCorrection, ui.Usage, `give what is right and why: --phone … --reason "typed wrong"`},
		{custody.ErrNoKey, ui.Refused, "salvor operator list"},
		{custody.ErrNoOwnKey, ui.Refused, "whose key it is registers it: salvor operator key add --as LOGIN"},
		{custody.ErrNoSuchKey, ui.NotFound, "salvor operator key list"},

		{custody.ErrOpenedTwice, ui.Refused, "salvor cases"},
		{custody.ErrNoDeadline, ui.Refused, "salvor deadline CASE --keep 90d"},
		{custody.ErrReviewLate, ui.Usage, "--review DATE within a year; who looks at it then may hold it anew"},
		{custody.ErrHoldExists, ui.Refused, "salvor show CASE"},
		{custody.ErrImageExists, ui.Refused, "salvor show CASE"},
		{custody.ErrNotSealed, ui.Refused, "finish the image first: salvor image DISK --case CASE"},
		{custody.ErrNotErased, ui.Refused, "salvor show CASE says what became of it"},
		{custody.ErrNotRescued, ui.Refused, "finish the image first: salvor image DISK --case CASE; or say why not: --reason"},
		{custody.ErrNoJob, ui.Refused, "salvor audit"},
		{custody.ErrNoWipe, ui.Refused, "salvor audit"},
		{custody.ErrWiped, ui.Refused, "salvor report attest CASE prints what was proved"},

		// What no command of this station can have written.
		{custody.ErrUnknownType, ui.Refused, "a newer salvor wrote it: install that version"},
		{custody.ErrPrivate, ui.VerifyFailed, "salvor audit --full names what was changed"},
		{custody.ErrEvent, ui.VerifyFailed, "salvor audit --full names what was changed"},
		{custody.ErrCheckpoint, ui.VerifyFailed, "salvor audit --full names what was changed"},
	}
}
