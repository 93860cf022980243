package wipe

import "slices"

// KeyClass says what became of the keys.
type KeyClass string

// The key classes, best first.
const (
	// KeyComplete: every copy of every session secret that salvor ever made is
	// accounted for and destroyed with evidence, and an attempt to open the image
	// with what is left failed.
	KeyComplete KeyClass = "CE-COMPLETE"
	// KeyPartial: some copy is not accounted for, or lay on storage where
	// overwriting is not provable.
	KeyPartial KeyClass = "CE-PARTIAL"
	// KeyNone: no key copy was shown to be destroyed.
	KeyNone KeyClass = "CE-NONE"
)

// MediaClass says what became of the content.
type MediaClass string

// The media classes, best first.
const (
	// MediaRaw: overwritten in place, and the raw blocks of the device were read back.
	MediaRaw MediaClass = "CLEAR-RAW"
	// MediaLogical: overwritten and read back through the file system past the
	// cache; the physical place is not known.
	MediaLogical MediaClass = "CLEAR-LOGICAL"
	// MediaNotAssured: overwritten and read back, but old blocks may be left.
	MediaNotAssured MediaClass = "NOT-ASSURED"
	// MediaFailed: some byte was not overwritten or not read back.
	MediaFailed MediaClass = "FAILED"
)

// Class is what an attest may say.
type Class struct {
	Key   KeyClass   `json:"key"`
	Media MediaClass `json:"media"`
	// Reasons are why the two are not better, each one of the Because constants,
	// without repetition. Empty only for CE-COMPLETE and CLEAR-RAW.
	Reasons []string `json:"reasons,omitempty"`
	// VirtualDevice: the block device is itself virtual, so the class speaks of
	// a virtual device. Every paper must say so beside the class.
	VirtualDevice bool `json:"virtual_device,omitempty"`
	// NotCovered lists what the class does not speak of, each one of the Beyond
	// constants or the kind of a virtual layer as in Place.Virtual.
	NotCovered []string `json:"not_covered,omitempty"`
}

// The reasons of a class. They are sentences for the operator; papers translate
// them by their text.
const (
	BecauseUnfinished = "the erase is not finished"
	BecauseNothing    = "no file was overwritten"
	BecauseMissing    = "files of the image are missing" // or parts of them
	BecauseChanged    = "a file changed while it was erased"
	BecauseUnwritten  = "not every byte was overwritten"
	BecauseUnread     = "not every byte was read back as it was written"
	BecauseRawDiffers = "the blocks of the device do not hold what was written"

	BecauseCached      = "the reading back may have come from the cache"
	BecauseCopyOnWrite = "the file system writes to new blocks and leaves the old ones"
	BecauseMemory      = "the file system is in memory: there is no device to read back from"
	BecauseUnknownFS   = "the file system is not known to salvor"
	BecauseSnapshots   = "there are snapshots or a recycle bin"
	BecauseShared      = "blocks are shared with other files"
	BecauseEncoded     = "the file system compresses or encrypts the content"
	BecauseInline      = "content is kept among the metadata"
	BecauseHoles       = "a file has holes: their blocks may have been given back unerased"
	BecauseJournal     = "content goes through the journal of the file system, or that cannot be excluded"
	BecauseLate        = "a file is younger than its content: an earlier copy existed"
	BecauseUndated     = "a file was overwritten already: nothing shows whether an earlier copy existed"
	BecauseRemoved     = "an earlier job removed files after it had recorded that they were overwritten"
	BecauseMoved       = "blocks were moved: the old ones were not overwritten"
	BecauseUnmapped    = "the places of the blocks are not known"
	BecauseStrays      = "unknown files were left in the image's directory"
	BecauseResidue     = "old content was found on the device"

	BecausePlace = "the physical place is not known"
	BecauseNoRaw = "the block device was not read back"

	BecauseNoKeys      = "no key file was destroyed"
	BecauseOpened      = "the image could still be opened"
	BecauseKeyLeft     = "a key file was left"
	BecauseNotTried    = "no attempt was made to open the image with what is left"
	BecauseNoRecord    = "the ledger has no record of any key file"
	BecauseElsewhere   = "key files lie in another keystore"
	BecauseKeysMissing = "key files are missing"
	BecauseKeysChanged = "a key file was not the one that was recorded"
	BecauseBegun       = "another job had begun to destroy the keys, and its proof is lost"
	BecauseRecorded    = "key files were destroyed by another job, as its signed record says"
	BecauseRecordVain  = "an earlier job overwrote key files where that proves nothing"
	BecauseSessions    = "a session's key file is not in the ledger"
	BecauseCount       = "the key files do not add up"
	BecauseKeyFailed   = "a key file was not overwritten and read back in full"
	BecauseKeyStorage  = "overwriting of key files is not provable on their storage"
	BecauseFlash       = "key files lay on flash, or on a device that does not say"
	BecauseKeyResidue  = "old key files were found on the device"
)

// What no class speaks of.
const (
	BeyondFlash     = "spare blocks of flash"
	BeyondSnapshots = "snapshots that the storage does not report"
	BeyondServer    = "what lies behind the file system"
	// BeyondUnanswered: the storage was asked, as an SMB server can be.
	BeyondUnanswered = "whether there are snapshots: the storage was asked and did not say"
	// BeyondEarlier: copies that the file system made on its own before the erase,
	// in a journal or when it moved a file. Only a look at the whole device that
	// found none takes this off the list.
	BeyondEarlier = "old content elsewhere on the storage"
)

// Classify is the one function that turns evidence into a class. It is pure.
// Evidence that contradicts itself counts as the worse of its readings.
func Classify(e Evidence) Class {
	var c Class
	media := classifyMedia(e, &c)
	key := classifyKeys(e, &c)
	c.Media, c.Key = media, key

	for _, p := range append([]Place{e.Vault, e.Keystore}, e.Others...) {
		c.VirtualDevice = c.VirtualDevice || len(p.Virtual) > 0
		for _, l := range p.Virtual {
			c.leaveOut(l)
		}
		if p.Rotating != Yes {
			c.leaveOut(BeyondFlash)
		}
		if p.Kind != InPlace {
			c.leaveOut(BeyondServer)
		}
		if p.Unanswered {
			c.leaveOut(BeyondUnanswered)
		}
	}
	c.leaveOut(BeyondSnapshots)
	if x := e.Residue; !x.Done || x.Found != 0 || x.Keys != 0 || x.Unread != 0 {
		c.leaveOut(BeyondEarlier)
	}
	return c
}

func (c *Class) because(reason string) {
	if !slices.Contains(c.Reasons, reason) {
		c.Reasons = append(c.Reasons, reason)
	}
}

func (c *Class) leaveOut(what string) {
	if !slices.Contains(c.NotCovered, what) {
		c.NotCovered = append(c.NotCovered, what)
	}
}

// verdict begins with the best class; each doubt can only lower it.
type verdict struct {
	class *Class // collects the reasons; nil when they do not matter
	media MediaClass
}

func (v *verdict) atMost(m MediaClass, reason string) {
	if rank(m) < rank(v.media) {
		v.media = m
	}
	if v.class != nil {
		v.class.because(reason)
	}
}

func rank(m MediaClass) int {
	switch m {
	case MediaRaw:
		return 3
	case MediaLogical:
		return 2
	case MediaNotAssured:
		return 1
	}
	return 0
}

func classifyMedia(e Evidence, c *Class) MediaClass {
	v := verdict{class: c, media: MediaRaw}
	switch e.Stage {
	case Verified, Unlinked, Attested:
	default:
		v.atMost(MediaFailed, BecauseUnfinished)
	}
	nothing, missing := len(e.Files) == 0, e.Missing != 0 || e.Lost != 0
	if e.TakenVerified && (nothing || missing) {
		// What is not here was overwritten and read back by a job that could not end,
		// as its signed record says. That ends the image; it is no proof of ours.
		v.atMost(MediaNotAssured, BecauseRemoved)
		nothing, missing = false, false
	}
	if nothing {
		v.atMost(MediaFailed, BecauseNothing)
	}
	if missing {
		v.atMost(MediaFailed, BecauseMissing)
	}
	for _, f := range e.Files {
		v.file(e.Vault, f)
	}
	if e.Strays != 0 || e.Left != 0 {
		v.atMost(MediaNotAssured, BecauseStrays)
	}
	if e.Residue.Found != 0 {
		v.atMost(MediaNotAssured, BecauseResidue)
	}
	return v.media
}

// file lowers the verdict to what was shown of one file.
func (v *verdict) file(p Place, f FileEvidence) {
	x := f.Facts
	if f.Change != Unchanged {
		v.atMost(MediaFailed, BecauseChanged)
	}
	if f.Bytes < 0 || x.Written != f.Bytes || x.Unwritten != 0 {
		v.atMost(MediaFailed, BecauseUnwritten)
	}
	if x.Equal != f.Bytes || x.Different != 0 || x.Unreadable != 0 {
		v.atMost(MediaFailed, BecauseUnread)
	}
	if x.Raw && (x.RawEqual != f.Bytes || x.RawDifferent != 0 || x.RawUnreadable != 0) {
		v.atMost(MediaFailed, BecauseRawDiffers)
	}

	if f.Restored {
		v.atMost(MediaNotAssured, BecauseChanged)
	}
	if !x.PastCache {
		v.atMost(MediaNotAssured, BecauseCached)
	}
	if len(p.Snapshots) > 0 {
		v.atMost(MediaNotAssured, BecauseSnapshots)
	}
	v.places(f.Before)
	if f.After != nil {
		v.places(*f.After)
	}

	switch p.Kind {
	case InPlace:
		switch {
		case !f.Before.Known:
			v.atMost(MediaNotAssured, BecauseUnmapped)
		case f.After == nil || !f.Before.Same(*f.After):
			v.atMost(MediaNotAssured, BecauseMoved)
		}
	case Somewhere:
		v.atMost(MediaLogical, BecausePlace)
		if f.Before.Known && (f.After == nil || !f.Before.Same(*f.After)) {
			v.atMost(MediaNotAssured, BecauseMoved)
		}
	case CopyFirst:
		v.atMost(MediaNotAssured, BecauseCopyOnWrite)
	case Memory:
		v.atMost(MediaNotAssured, BecauseMemory)
	default:
		v.atMost(MediaNotAssured, BecauseUnknownFS)
	}
	if !x.Raw {
		v.atMost(MediaLogical, BecauseNoRaw)
	}
}

func (v *verdict) places(m Map) {
	for _, d := range []struct {
		is     bool
		reason string
	}{
		{m.Shared, BecauseShared},
		{m.Encoded, BecauseEncoded},
		{m.Inline, BecauseInline},
		{m.Holes, BecauseHoles},
		{m.Journal, BecauseJournal},
		{m.Late, BecauseLate},
		{m.Undated, BecauseUndated},
	} {
		if d.is {
			v.atMost(MediaNotAssured, d.reason)
		}
	}
}

func classifyKeys(e Evidence, c *Class) KeyClass {
	k := e.KeyFacts
	var destroyed, proved, restored int
	for _, f := range e.Keys {
		v := verdict{media: MediaRaw}
		v.file(e.Keystore, f)
		if v.media != MediaFailed {
			destroyed++
		}
		if v.media == MediaRaw {
			proved++
		}
		if f.Restored {
			restored++
		}
	}
	// A file that held no key when this job came to it shows nothing by being overwritten.
	others := k.Proved + k.Recorded + k.Unproved
	switch {
	case destroyed-k.Changed-k.Again+others <= 0:
		c.because(BecauseNoKeys)
		if e.Taken {
			c.because(BecauseBegun)
		}
		return KeyNone
	case k.Attempt == Opened:
		c.because(BecauseOpened)
		return KeyNone
	}

	class := KeyComplete
	for _, d := range []struct {
		is     bool
		reason string
	}{
		{k.Expected <= 0, BecauseNoRecord},
		{k.Elsewhere != 0, BecauseElsewhere},
		{k.Missing != 0, BecauseKeysMissing},
		{e.Taken && (k.Missing != 0 || k.Changed != 0), BecauseBegun},
		{k.Recorded != 0, BecauseRecorded},
		{k.Unproved != 0, BecauseRecordVain},
		{k.Changed != 0 || restored != 0, BecauseKeysChanged},
		{k.Sessions != 0, BecauseSessions},
		{len(e.Keys)-k.Again != k.Expected-k.Elsewhere-k.Missing-others+k.Unrecorded, BecauseCount},
		{destroyed != len(e.Keys), BecauseKeyFailed},
		{proved != destroyed, BecauseKeyStorage},
		{len(e.Keys) > 0 && flash(e.Keystore), BecauseFlash},
		{k.Attempt == KeyLeft || k.Strays != 0 || e.KeysLeft != 0, BecauseKeyLeft},
		{k.Attempt != KeyLeft && k.Attempt != Shut, BecauseNotTried},
		{e.Residue.Keys != 0, BecauseKeyResidue},
	} {
		if d.is {
			c.because(d.reason)
			class = KeyPartial
		}
	}
	return class
}

// flash reports whether overwriting a place may leave the old content in spare
// blocks. A virtual device that does not say what it is made of is let pass: its
// class is spoken of a virtual device.
func flash(p Place) bool {
	return p.Rotating == No || p.Rotating != Yes && len(p.Virtual) == 0
}

// A KeyProof says of one key file that it was overwritten and read back, and whether
// that was shown in full: in place, from the device, on storage where it counts, and
// with nothing left beside it.
type KeyProof struct {
	Name   string
	SHA256 Digest // before
	Proved bool
}

// ProveKeys returns what the evidence shows of each key file that is destroyed, for
// the record. What held no key any more when the job came to it is not among them.
func ProveKeys(e Evidence) []KeyProof {
	clean := e.KeyFacts.Attempt == Shut && e.KeyFacts.Strays == 0 && e.KeysLeft == 0 && e.Residue.Keys == 0 && !flash(e.Keystore)
	var list []KeyProof
	for _, f := range e.Keys {
		v := verdict{media: MediaRaw}
		v.file(e.Keystore, f)
		if v.media == MediaFailed || f.SHA256 == nil {
			continue
		}
		list = append(list, KeyProof{f.Name, *f.SHA256, clean && v.media == MediaRaw && !f.Restored})
	}
	return list
}
