package main

import (
	"salvor/cmd/salvor/internal/ui"
	"salvor/custody/journal"
	"salvor/custody/ledger"
	"salvor/custody/opkey"
)

// spoiltHint is what to do about a file in a vault that is not what salvor wrote there.
const spoiltHint = "find out who changed the vault; once the file is moved away, salvor sync at its station puts it back"

// misledHint is what to do about a ledger that took in what a thief had signed.
const misledHint = "keep a copy of ledger.db, take it away, then salvor ledger rebuild --from VAULT"

// recordVerdicts say what the alarms and refusals of ledgers, journals and operators'
// keys mean at the desk. Alarms come first: a file that is not believed matters less
// than a station that is not what it was.
func recordVerdicts() []verdict {
	return []verdict{
		{ledger.ErrCloned, ui.VerifyFailed, "stop working on this station; keep its ledger, find the other machine, retire the station at another one (salvor station retire) and set it up anew"},
		{ledger.ErrRolledBack, ui.VerifyFailed, "somebody put an old ledger in its place: keep a copy of it and find out who; salvor ledger catch-up takes back what the vaults hold"},
		{ledger.ErrMisled, ui.VerifyFailed, misledHint},
		{ledger.ErrUnpublished, ui.Absent, "mount the vault, then salvor sync"},
		{journal.ErrWrongShop, ui.Refused, "this is the vault of another shop: mount the right disk"},
		{ledger.ErrRetired, ui.VerifyFailed, "ask where that disk was; salvor station settle NAME --vault VAULT says whether it counts"},
		{ledger.ErrNewerEvent, ui.VerifyFailed, "install that version here too"},
		{ledger.ErrRefused, ui.VerifyFailed, "find out who changed the vault; salvor sync names every file"},
		{ledger.ErrCode, ui.VerifyFailed, "look at it again; if it is copied rightly, somebody stands in between"},
		{ledger.ErrBackup, ui.WrongKey, "name the file that salvor ledger backup wrote, and the identity file of one of the shop's keys"},
		{ledger.ErrBundle, ui.VerifyFailed, "ask the shop for another one"},
		{ledger.ErrUnknownStation, ui.Refused, "approve it at a station of the shop: salvor station approve"},
		{journal.ErrNoShop, ui.NotFound, "a station of the shop writes to the vault first: salvor sync there"},
		{journal.ErrTooLarge, ui.VerifyFailed, spoiltHint},
		{journal.ErrMalformed, ui.VerifyFailed, spoiltHint},
		{journal.ErrForeign, ui.VerifyFailed, spoiltHint},
		{journal.ErrRenamed, ui.VerifyFailed, spoiltHint},
		{journal.ErrName, ui.VerifyFailed, spoiltHint},
		{journal.ErrHostile, ui.VerifyFailed, spoiltHint},
		{ledger.ErrUnsignedOperator, ui.Refused, "salvor operator key list says with which key; ssh-add -L what the agent holds"},
		{ledger.ErrExists, ui.Refused, ""},

		{opkey.ErrPassphrase, ui.WrongKey, "type it again"},
		{opkey.ErrNoAgent, ui.Refused, "start one, and give it the key: ssh-add"},
		{opkey.ErrNotThere, ui.Refused, "ssh-add gives the key to the agent; plug the token in"},
		{opkey.ErrRefused, ui.Refused, "unlock the agent, or touch the token when it blinks"},
		{opkey.ErrExposed, ui.Refused, "chmod 600"},
		{opkey.ErrNoPassphrase, ui.Refused, "ssh-keygen -p -f FILE gives it one"},
		{opkey.ErrOtherKey, ui.Refused, "salvor operator key list"},
		{opkey.ErrKey, ui.Usage, "an Ed25519, ECDSA or RSA key of SSH, or one in a FIDO token"},
	}
}
