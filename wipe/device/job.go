package device

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"salvor/wipe"
)

// Stage is how far a job has come. Each is recorded only after everything it claims is
// durable, and before anything of it is begun.
type Stage string

// The stages, in their order.
const (
	Planned     Stage = "PLANNED"     // nothing was written
	Sanitizing  Stage = "SANITIZING"  // the drive was or is about to be asked to sanitize itself
	Overwriting Stage = "OVERWRITING" // Job.Pass and Job.Done say how far
	Reading     Stage = "READING"     // everything was written and flushed
	Verified    Stage = "VERIFIED"    // everything was read back; the evidence is complete
	Attested    Stage = "ATTESTED"    // the attest was issued; set by MarkAttested
)

const jobVersion = 1

// Job is the journal of one wipe. It is written as JSON. It holds no content of the
// device, but its serial number, which may be personal data.
type Job struct {
	Version   int       `json:"v"`
	ID        string    `json:"id"` // random, 32 hexadecimal digits
	Kind      string    `json:"kind"`
	Stage     Stage     `json:"stage"`
	StreamKey wipe.Key  `json:"stream_key"`
	Begun     time.Time `json:"begun,omitzero"`  // first write, UTC
	Turned    time.Time `json:"turned,omitzero"` // end of the overwriting, UTC
	Ended     time.Time `json:"ended,omitzero"`  // end of the reading back, UTC

	Device Identity `json:"device"`
	Ref    string   `json:"ref,omitempty"` // the caller's own: the number of a case
	// ByName: the device has no serial number of its own, so that it was confirmed by
	// its kernel name and size.
	ByName  bool `json:"by_name,omitempty"`
	Passes  int  `json:"passes"`  // to be made
	Discard bool `json:"discard"` // to be done after the reading back

	Sanitize  SanitizeFacts `json:"sanitize,omitzero"`
	Markers   []Marker      `json:"markers,omitempty"`
	Pass      int           `json:"pass,omitempty"`      // passes that are complete
	Done      int64         `json:"done,omitempty"`      // of the next one: everything before this offset is durable
	Unwritten Ranges        `json:"unwritten,omitzero"`  // before Done, of this pass
	Skipped   int64         `json:"skipped,omitempty"`   // bytes that earlier passes could not write
	Resumed   int           `json:"resumed,omitempty"`   // how many times it was taken up again
	Read      ReadFacts     `json:"read,omitzero"`       // complete at Verified
	Discarded Discarded     `json:"discarded,omitempty"` // what became of Discard
}

// JobKind is what Job.Kind holds: it tells such a job from others in the same place.
const JobKind = "device"

// Action is a way in which a drive sanitizes itself.
type Action string

// The actions.
const (
	BlockErase     Action = "block erase"
	CryptoErase    Action = "crypto erase"
	OverwriteErase Action = "overwrite"
)

// SanitizeFacts is what became of asking a drive to sanitize itself.
type SanitizeFacts struct {
	Action   Action  `json:"action,omitempty"` // that is asked for; empty for none
	Outcome  Outcome `json:"outcome,omitempty"`
	Accepted bool    `json:"accepted,omitempty"` // the drive took the command, durably known
	// Old content after the drive said that it was done, of Job.Markers.
	Looked int `json:"looked,omitempty"` // read again
	Left   int `json:"left,omitempty"`   // still there
}

// Outcome is how a sanitize ended.
type Outcome string

// The outcomes.
const (
	NotAsked  Outcome = ""
	Refused   Outcome = "refused"   // the drive or the way to it does not take the command; nothing was done by it
	Failed    Outcome = "failed"    // the drive began, and said that it failed
	Succeeded Outcome = "succeeded" // the drive said that it was done
)

// Discarded is what became of a discard.
type Discarded string

// What may become of it.
const (
	NotDiscarded Discarded = ""
	WasDiscarded Discarded = "done"
	NoDiscard    Discarded = "refused"
)

// Marker is a sector of the old content: its place and what it held. Only a digest is
// kept, since the content is the customer's.
type Marker struct {
	Off    int64       `json:"off"`
	SHA256 wipe.Digest `json:"sha256"`
}

// ReadFacts counts the bytes of a device that was read back. All of them together are
// its size when nothing was left out.
type ReadFacts struct {
	Equal      int64  `json:"equal"`                // to what was written
	Different  Ranges `json:"different,omitzero"`   // Bytes counts the bytes that differ, not those between them
	Unreadable Ranges `json:"unreadable,omitzero"`  // could not be read
	PastCache  bool   `json:"past_cache,omitempty"` // read from the device, not from memory
}

// Ranges are parts of a device. Of very many only the first are listed; Bytes counts
// all.
type Ranges struct {
	List  []wipe.Span `json:"list,omitempty"`
	Bytes int64       `json:"bytes,omitempty"`
	More  int64       `json:"more,omitempty"` // ranges that are not listed
}

const maxRanges = 4096

// add adds a range of which count bytes count, joined to the last one when only a few
// bytes lie between them: bytes of random content are alike by chance now and then.
func (r *Ranges) add(s wipe.Span, count, near int64) {
	r.Bytes += count
	if n := len(r.List); n > 0 {
		last := &r.List[n-1]
		if end := last.Off + last.Len; s.Off >= last.Off && s.Off-end <= near {
			last.Len = max(last.Len, s.Off+s.Len-last.Off)
			return
		}
	}
	if len(r.List) >= maxRanges {
		r.More++
		return
	}
	r.List = append(r.List, s)
}

// Journal keeps a job. Save returns only when the job is durable; after an error the
// job counts as not saved, and the run ends.
type Journal interface {
	Save(ctx context.Context, j *Job) error
}

// PlanOptions are what may be chosen about a wipe.
type PlanOptions struct {
	// Sanitize asks for this action although the drive does not list it. The zero
	// Action leaves it to Identity.Sanitize.
	Sanitize Action
	// NoSanitize asks for none.
	NoSanitize bool
	// Discard tells the device after the reading back that nothing on it is needed.
	Discard bool
}

// Plan makes the job of a device that is held. typed is what the person or script gave
// as its confirmation: [ErrSerial] unless it is exactly [Identity.Confirmation]. rand
// gives the stream key and the job's id. Nothing is written.
func Plan(d *Device, typed string, o PlanOptions, rand io.Reader) (*Job, error) {
	if typed == "" || typed != d.id.Confirmation() {
		return nil, ErrSerial
	}
	j := &Job{
		Version: jobVersion, Kind: JobKind, Stage: Planned, Device: d.id,
		ByName: !d.id.BySerial(), Passes: d.id.Passes(), Discard: o.Discard,
	}
	switch {
	case o.NoSanitize:
	case o.Sanitize != "" && (d.id.Bridged() || d.id.Abilities.Shared && d.id.Transport == "nvme"):
		return nil, fmt.Errorf("sanitize: it would go through a bridge, or reach more than this device: %w", ErrJob)
	case o.Sanitize != "":
		j.Sanitize.Action = o.Sanitize
	default:
		j.Sanitize.Action = d.id.Sanitize()
	}
	var id [16]byte
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return nil, fmt.Errorf("name the job: %w", err)
	}
	j.ID = hex.EncodeToString(id[:])
	var err error
	j.StreamKey, err = wipe.NewKey(rand)
	return j, err
}

// MarkAttested records that the attest of a job was issued. It is the last step.
func MarkAttested(ctx context.Context, j *Job, journal Journal) error {
	switch j.Stage {
	case Attested:
		return nil
	case Verified:
	default:
		return fmt.Errorf("attest a wipe at stage %s: %w", j.Stage, ErrJob)
	}
	j.Stage = Attested
	if err := journal.Save(ctx, j); err != nil {
		j.Stage = Verified
		return fmt.Errorf("record the attest: %w", err)
	}
	return nil
}
