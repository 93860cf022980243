package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"salvor/cmd/salvor/internal/config"
	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/rescue/blockdev"
	"salvor/rescue/mapfile"
	"salvor/wipe"
)

// verdict says what an error of the packages below means to the person at the
// desk: the exit status, and what to do next.
type verdict struct {
	err  error
	code int
	hint string
}

// verdicts is read from the top: what is more specific comes first.
func verdicts() []verdict {
	return []verdict{
		{config.ErrOwner, ui.Refused, "run salvor as the user that it was set up for"},
		{config.ErrNotDir, ui.Refused, "name the directory itself, and no link to it: --state DIR"},
		{config.ErrPermissions, ui.Refused, "give it to the user of salvor alone: chmod go-rwx"},
		{config.ErrNone, ui.NotFound, "set up this station: salvor init"},

		{ledger.ErrLinked, ui.Refused, "put the file itself there, under one name, and nothing else; to keep it elsewhere, move the whole state directory: --state DIR"},
		{ledger.ErrOwner, ui.Refused, "run salvor as the user that it was set up for"},
		{ledger.ErrPermissions, ui.Refused, "give it to the user of salvor alone: chmod go-rwx"},
		{ledger.ErrNetworkFS, ui.Refused, "keep the ledger on a local disk: --state DIR"},
		{ledger.ErrForeign, ui.Refused, "this is not a ledger of salvor: look at what is in the state directory"},
		{ledger.ErrNewer, ui.Refused, "a newer salvor wrote it: install that version"},
		{ledger.ErrBusy, ui.Locked, "another salvor is writing to the ledger: try again"},
		{ledger.ErrAudit, ui.VerifyFailed, "keep a copy of the ledger as it is and call whoever looks after the shop's data protection"},
		{ledger.ErrCorrupt, ui.VerifyFailed, "keep a copy of the ledger as it is, then restore its backup"},
		{ledger.ErrNotFound, ui.NotFound, "salvor cases"},

		{vault.ErrAbsent, ui.Absent, "mount or plug in the vault and try again"},
		{vault.ErrNewer, ui.Refused, "a newer salvor wrote it: install that version"},
		{vault.ErrForeign, ui.Refused, "this is not what salvor writes: look at what is there"},
		{vault.ErrHostile, ui.Refused, "somebody put something else in the vault's place: look at it before anything else"},
		{vault.ErrNotFound, ui.NotFound, "salvor cases"},
		{vault.ErrShort, ui.VerifyFailed, "records that were durable are gone: keep the vault as it is and find out why"},
		{vault.ErrSignature, ui.VerifyFailed, "the seal is not this station's: keep the image as it is and find out why"},
		{vault.ErrCorrupt, ui.VerifyFailed, "keep the image as it is; what does not verify is never given back"},
		{vault.ErrUnsealed, ui.Incomplete, "finish the image: repeat the image command"},
		{vault.ErrWrongKey, ui.WrongKey, "type the passphrase again, or name the identity file of another of the shop's keys"},
		{vault.ErrKeyFile, ui.VerifyFailed, "the key file of a session is gone or damaged: look for a copy of the keystore"},
		{vault.ErrRecipients, ui.Refused, "add the shop's second key: salvor key new or salvor key add"},
		{vault.ErrNoSpace, ui.Absent, "free space on the vault or use another one: --vault NAME"},
		{vault.ErrLocked, ui.Locked, "wait until the other station has finished"},
		{vault.ErrPassphrase, ui.Usage, "a longer one; without a passphrase flag salvor offers ten words"},
		{vault.ErrEraseBy, ui.Refused, ""},

		{blockdev.ErrSystemDisk, ui.Refused, "this disk holds the running system"},
		{blockdev.ErrMounted, ui.Refused, "unmount it first"},
		{blockdev.ErrInUse, ui.Refused, "find out what uses it and stop that first"},
		{blockdev.ErrNotReadOnly, ui.Refused, "use a write blocker"},
		{blockdev.ErrReadOnly, ui.Refused, "it is write-protected"},
		{blockdev.ErrNotDisk, ui.Usage, "name a disk such as /dev/sdb, or an image file"},
		{blockdev.ErrEmpty, ui.Usage, "there is nothing in it to rescue"},
		{blockdev.ErrTooSmall, ui.Usage, "there is nothing in it to rescue"},
		{blockdev.ErrNoMedium, ui.Absent, "put the medium in"},
		{blockdev.ErrPermission, ui.Refused, "run it as root, or give your user the disk"},
		{mapfile.ErrSize, ui.Usage, "the map belongs to another disk"},
		{mapfile.ErrSyntax, ui.Usage, "name a map file of GNU ddrescue"},

		{wipe.ErrAbsent, ui.Absent, "mount or plug in the vault and try again"},
		{wipe.ErrMissing, ui.Refused, "somebody moved or deleted it outside of salvor: find out before anything else"},
		{wipe.ErrKeysMissing, ui.Refused, "mount the keystore, or find out who took the key files away"},
		{wipe.ErrInUse, ui.Locked, "close what reads it and try again"},
		{wipe.ErrChanged, ui.Refused, "somebody changed the vault: look at it before anything else"},
		{wipe.ErrForeign, ui.Refused, "another image lies in its place: look at it before anything else"},
		{wipe.ErrReadOnly, ui.Refused, "make the vault writable"},
		{wipe.ErrNotErased, ui.VerifyFailed, "the disk does not take or give back what is written: run the purge again, then destroy the disk"},
		{wipe.ErrJob, ui.Refused, "salvor audit"},
		{wipe.ErrNoSpace, ui.Absent, "free space on the vault and try again"},
		{wipe.ErrVanished, ui.Absent, "plug the vault in again and run the purge again"},
		{wipe.ErrDevice, ui.VerifyFailed, "the disk fails: run the purge again, then destroy the disk"},

		{custody.ErrKeep, ui.Usage, "--keep 90d, 6w, 3m, 36h or a date such as 2027-03-01"},
		{custody.ErrTooLong, ui.Usage, "customers' data are kept for one year at most"},
		{custody.ErrHeld, ui.Refused, "salvor hold end, when the reason is gone"},
		{custody.ErrErased, ui.Refused, "salvor report attest prints what was proved"},
		{custody.ErrErasing, ui.Refused, "the next salvor purge finishes it"},
		{custody.ErrNotDue, ui.Refused, `before the deadline: --now --reason "…"`},
		{custody.ErrLater, ui.Refused, "a deadline once set is only ever shortened"},
		{custody.ErrClosed, ui.Refused, "open a new case"},
		{custody.ErrSealed, ui.Refused, "open a new case, or image again with --case"},
		{custody.ErrNoAgreement, ui.Refused, "nothing is copied without the customer's agreement"},
		{custody.ErrNoReason, ui.Usage, "--reason"},
		{custody.ErrNoImage, ui.NotFound, "salvor show CASE"},
		{custody.ErrNoHold, ui.NotFound, "salvor show CASE"},
		{custody.ErrOperator, ui.Refused, "salvor operator list"},
		{custody.ErrNotAgreed, ui.Refused, "salvor operator add LOGIN --agreement DATE"},
		{custody.ErrOperatorLeft, ui.Refused, "salvor operator list"},
		{custody.ErrPurgeOnly, ui.Refused, "name a person: --as LOGIN"},
		{custody.ErrExists, ui.Refused, ""},
		{custody.ErrLong, ui.Usage, "shorten the longest text"},
		{custody.ErrPayload, ui.Usage, "one line of plain text, without control characters"},
		{custody.ErrName, ui.Usage, ""},

		{unix.ENOSPC, ui.Absent, "free space and repeat the command"},
		{unix.EDQUOT, ui.Absent, "free space and repeat the command"},
		{unix.ENODEV, ui.Absent, "plug it in again and repeat the command"},
		{unix.ESTALE, ui.Absent, "mount the share again and repeat the command"},
		{unix.ENOTCONN, ui.Absent, "mount the share again and repeat the command"},
		{unix.EHOSTDOWN, ui.Absent, "mount the share again and repeat the command"},
		{unix.EIO, ui.Absent, "the disk or share fails: look at its cable and power, then try again"},
		{unix.EROFS, ui.Refused, "make it writable"},
		{fs.ErrNotExist, ui.NotFound, "look at the name"},
		{fs.ErrPermission, ui.Refused, "run it as the user that salvor was set up for"},
	}
}

// explain turns an error of any package into what the user reads. An error that
// already is a [ui.Error] stays as it is.
func explain(err error) error {
	var own *ui.Error
	if errors.As(err, &own) {
		return err
	}
	if errors.Is(err, ui.ErrInterrupted) || errors.Is(err, context.Canceled) {
		return &ui.Error{Code: ui.Interrupted, What: "interrupted", Why: "nothing that was acknowledged is lost", Hint: "repeat the command to go on", Err: err}
	}
	for _, v := range slices.Concat(recordVerdicts(), verdicts(), dutyVerdicts()) {
		if errors.Is(err, v.err) {
			return &ui.Error{Code: v.code, Why: err.Error(), Hint: v.hint, Err: err}
		}
	}
	return err
}

// usage is a refusal of the command line.
func usage(what, why, hint string) error {
	if hint == "" {
		hint = "salvor " + what + " --help"
	}
	return &ui.Error{Code: ui.Usage, What: what, Why: why, Hint: hint}
}

// refuse stops for safety.
func refuse(what, why, hint string) error {
	return &ui.Error{Code: ui.Refused, What: what, Why: why, Hint: hint}
}
