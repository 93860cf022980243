package device

import (
	"slices"

	"salvor/wipe"
)

// Class says what became of a device.
type Class string

// The classes, best first. A person reads them on an attest.
const (
	// Purge: the drive sanitized itself and said so, no sample of the old content was
	// left by it, and then every byte was overwritten, read back and compared.
	Purge Class = "PURGE-DEVICE"
	// Clear: every byte that this host can reach was overwritten, read back past the
	// cache and compared.
	Clear Class = "CLEAR-RAW"
	// NotAssured: as Clear, but something casts a doubt on it.
	NotAssured Class = "NOT-ASSURED"
	// NotWiped: some byte was not overwritten or not read back as it was written.
	NotWiped Class = "FAILED"
)

// Verdict is what an attest may say.
type Verdict struct {
	Class Class `json:"class"`
	// Reasons are why it is not better, each one of the Because constants, each once.
	// Empty only for PURGE-DEVICE.
	Reasons []string `json:"reasons,omitempty"`
	// OnVirtual: the class speaks of a virtual device. Every paper must say so.
	OnVirtual bool `json:"virtual,omitempty"`
	// NotCovered lists what the class does not speak of, each one of the Beyond
	// constants.
	NotCovered []string `json:"not_covered,omitempty"`
}

// The reasons of a class. They are sentences for the operator; papers translate them
// by their text.
const (
	BecauseUnfinished = "the wipe is not finished"
	BecauseUnwritten  = "not every byte was overwritten"
	BecauseUnread     = "not every byte was read back as it was written"
	BecauseCached     = "the reading back may have come from the cache"
	BecausePasses     = "parts were overwritten less often than such a device needs"
	BecauseHidden     = "the drive hides sectors"
	BecauseFailed     = "the drive failed to sanitize itself"
	BecauseLeft       = "the drive said it had sanitized itself, and old content was still there"
	BecauseRefused    = "the drive does not take the command to sanitize itself"
	BecauseNotAsked   = "the drive was not asked to sanitize itself"
	BecauseBridge     = "a drive behind a bridge is not asked to sanitize itself"
	BecauseVirtual    = "the device is virtual: it cannot sanitize what it is made of"
	BecauseNothing    = "no sample of the old content could be taken to check the drive's word"
)

// What no class speaks of.
const (
	BeyondFlash    = "spare blocks of flash"
	BeyondRemapped = "sectors that the drive has replaced by others"
	BeyondHidden   = "sectors that the drive hides, which could not be asked for"
	BeyondVirtual  = "layers below the virtual device"
	BeyondFirmware = "whether the drive's own sanitize does what it says: this way was tested with emulated drives only"
	BeyondDiscard  = "the content after the discard: the device can no longer be compared with the stream"
	BeyondName     = "the identity of the device: it has no serial number of its own, and was confirmed by its name and size"
)

// Evidence is what a wipe showed: plain facts, no judgement. Classify turns it into
// the words of an attest.
type Evidence struct {
	Finished  bool          `json:"finished"` // everything was read back
	Device    Identity      `json:"device"`
	ByName    bool          `json:"by_name,omitempty"`
	Needed    int           `json:"needed"`            // passes that such a device needs
	Passes    int           `json:"passes"`            // passes made
	Written   int64         `json:"written"`           // bytes of the last pass that the device took
	Unwritten Ranges        `json:"unwritten"`         // and those that it did not
	Skipped   int64         `json:"skipped,omitempty"` // bytes that earlier passes could not write
	Read      ReadFacts     `json:"read"`
	Sanitize  SanitizeFacts `json:"sanitize,omitzero"`
	Discarded Discarded     `json:"discarded,omitempty"`
}

// Evidence is what the job has shown so far.
func (j *Job) Evidence() Evidence {
	e := Evidence{
		Finished: j.Stage == Verified || j.Stage == Attested,
		Device:   j.Device, ByName: j.ByName, Needed: j.Device.Passes(), Passes: j.Pass,
		Unwritten: j.Unwritten, Skipped: j.Skipped, Read: j.Read, Sanitize: j.Sanitize, Discarded: j.Discarded,
	}
	if j.Stage != Planned && j.Stage != Sanitizing {
		reached := j.Done
		if j.Pass >= j.Passes {
			reached = j.Device.Bytes
		}
		e.Written = reached - j.Unwritten.Bytes
	}
	return e
}

// Reach is the best verdict that the job can end with.
func (j *Job) Reach() Verdict {
	done := *j
	done.Stage, done.Pass, done.Unwritten, done.Skipped = Verified, j.Passes, Ranges{}, 0
	done.Read = ReadFacts{Equal: j.Device.Bytes, PastCache: true}
	if done.Sanitize.Action != "" && done.Sanitize.Outcome == NotAsked {
		done.Sanitize.Outcome, done.Sanitize.Looked = Succeeded, 1
	}
	if j.Discard {
		done.Discarded = WasDiscarded
	}
	return Classify(done.Evidence())
}

// Classify is the one function that turns evidence into a class. It is pure. It begins
// with the best class, and each doubt can only lower it; evidence that contradicts
// itself counts as the worse of its readings.
func Classify(e Evidence) Verdict {
	v := Verdict{Class: Purge, OnVirtual: len(e.Device.Virtual) > 0 || e.Device.Media == Virtual}
	size := e.Device.Bytes
	lower := func(to Class, is bool, reason string) {
		if !is {
			return
		}
		if rank(to) < rank(v.Class) {
			v.Class = to
		}
		if !slices.Contains(v.Reasons, reason) {
			v.Reasons = append(v.Reasons, reason)
		}
	}
	r := e.Read
	lower(NotWiped, !e.Finished || size <= 0, BecauseUnfinished)
	lower(NotWiped, e.Passes < 1 || e.Written != size || !none(e.Unwritten), BecauseUnwritten)
	lower(NotWiped, r.Equal != size || !none(r.Different) || !none(r.Unreadable), BecauseUnread)

	lower(NotAssured, !r.PastCache, BecauseCached)
	lower(NotAssured, e.Passes < e.Needed || e.Skipped != 0, BecausePasses)
	lower(NotAssured, e.Device.Hidden.Sectors != 0, BecauseHidden)
	lower(NotAssured, e.Sanitize.Outcome == Failed, BecauseFailed)
	lower(NotAssured, e.Sanitize.Left != 0, BecauseLeft)

	switch s := e.Sanitize; {
	case v.OnVirtual:
		lower(Clear, true, BecauseVirtual)
	case e.Device.Bridged():
		lower(Clear, true, BecauseBridge)
	case s.Outcome == Refused:
		lower(Clear, true, BecauseRefused)
	case s.Outcome == Succeeded && s.Action != "":
		lower(Clear, s.Looked < 1, BecauseNothing)
	case s.Outcome == Failed:
	default:
		lower(Clear, true, BecauseNotAsked)
	}

	for _, beyond := range []struct {
		is   bool
		what string
	}{
		{e.Device.Rotating != wipe.Yes && v.Class != Purge, BeyondFlash},
		{e.Device.Rotating != wipe.No && v.Class != Purge, BeyondRemapped},
		{!e.Device.Hidden.Known, BeyondHidden},
		{v.OnVirtual, BeyondVirtual},
		{e.Sanitize.Outcome != NotAsked && e.Sanitize.Outcome != Refused, BeyondFirmware},
		{e.Discarded == WasDiscarded, BeyondDiscard},
		{e.ByName, BeyondName},
	} {
		if beyond.is {
			v.NotCovered = append(v.NotCovered, beyond.what)
		}
	}
	return v
}

func none(r Ranges) bool { return len(r.List) == 0 && r.Bytes == 0 && r.More == 0 }

func rank(c Class) int {
	switch c {
	case Purge:
		return 3
	case Clear:
		return 2
	case NotAssured:
		return 1
	}
	return 0
}
