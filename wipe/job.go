package wipe

import (
	"context"
	"fmt"
	"time"
)

// Stage is how far a job has come. Each stage is recorded only after everything
// it claims is durable.
type Stage string

// The stages, in their order.
const (
	Planned   Stage = "PLANNED"   // nothing is destroyed yet, unless Job.KeysBegun
	KeyDone   Stage = "KEY_DONE"  // every key file at hand was overwritten and read back
	Overwrite Stage = "OVERWRITE" // content is being overwritten; FileJob.Done says how far
	Verified  Stage = "VERIFIED"  // everything was read back; files may be going
	Unlinked  Stage = "UNLINKED"  // the files are gone, durably
	Attested  Stage = "ATTESTED"  // the attest was issued; set by MarkAttested
)

// Job is the journal of one erase. It holds no secret of the image and no
// personal data, and is written as JSON.
type Job struct {
	Version   int       `json:"v"`
	ID        string    `json:"id"`   // random, 32 hexadecimal digits
	UUID      string    `json:"uuid"` // of the image, 32 hexadecimal digits
	Stage     Stage     `json:"stage"`
	StreamKey Key       `json:"stream_key"`
	Begun     time.Time `json:"begun,omitzero"` // first run, UTC
	Ended     time.Time `json:"ended,omitzero"` // removal of the files, UTC

	// KeysBegun is set before the first byte of a key file is overwritten.
	KeysBegun bool `json:"keys_begun,omitempty"`
	// MediaBegun is set before the first byte of content is overwritten.
	MediaBegun bool `json:"media_begun,omitempty"`

	Vault      Place     `json:"vault"`
	VaultID    RootID    `json:"vault_id"`
	Keystore   Place     `json:"keystore"`
	KeystoreID RootID    `json:"keystore_id"`
	Keys       []FileJob `json:"keys"`
	Files      []FileJob `json:"files"`

	KeyFacts KeyFacts `json:"key_facts"`
	// StrayNames are files in the image's directory that salvor did not write.
	// They are left alone. The names are for the operator's eyes: they may hold
	// personal data and never go into an attest.
	StrayNames []string `json:"stray_names,omitempty"`
	// StrayKeys are the same in the directory of the keys: each may be a key.
	StrayKeys []string `json:"stray_keys,omitempty"`
	// NoImage: there was no image when the erase was planned, and the caller said
	// that it is to be ended all the same (Target.AcceptMissingImage).
	NoImage bool `json:"no_image,omitempty"`
	// KeysOnly, Taken, TakenVerified and Others are as in Target.
	KeystoreName  string  `json:"keystore_name,omitempty"`
	KeysOnly      bool    `json:"keys_only,omitempty"`
	Taken         bool    `json:"taken,omitempty"`
	TakenVerified bool    `json:"taken_verified,omitempty"`
	Others        []Place `json:"others,omitempty"`
	// OwnGone are the copies in this keystore that another job has destroyed.
	OwnGone  []KeyEnd `json:"own_gone,omitempty"`
	Missing  int      `json:"missing,omitempty"`   // segments that should be there and are not
	Left     int      `json:"left,omitempty"`      // entries of the image's directory after the removal
	KeysLeft int      `json:"keys_left,omitempty"` // entries of the directory of the keys after the removal
	Lost     int64    `json:"lost,omitempty"`      // bytes that the files are shorter than at the seal

	Markers []Marker     `json:"markers,omitempty"` // samples of the old content, for Options.Residue
	Residue ResidueFacts `json:"residue,omitzero"`

	DirsRemoved []string `json:"dirs_removed,omitempty"` // of: image, case, keys, keys of the case

	intact bool // when it was planned, every file that carries the image's mark showed it
}

// RootID tells a vault or keystore from another that is mounted in its place.
type RootID struct {
	Inode  uint64 `json:"inode"`
	Birth  int64  `json:"birth,omitempty"`
	Marker Digest `json:"marker,omitzero"` // SHA-256 of the vault's marker file
}

// FileJob is one file of a job: what it was when it was planned, and how far the
// job has come with it.
type FileJob struct {
	Name  string `json:"name"`
	Lane  uint64 `json:"lane"` // of the Stream
	Inode uint64 `json:"inode"`
	Birth int64  `json:"birth,omitempty"` // of the inode, ns since 1970; 0 when the file system does not say
	Size  int64  `json:"size"`            // bytes
	Alloc int64  `json:"alloc"`           // bytes to overwrite: the whole allocation
	End   int64  `json:"end"`             // offset just behind the last of them

	SHA256 *Digest `json:"sha256,omitempty"` // of a key file

	Map    Map    `json:"map"`             // where its bytes lay before anything was written
	After  *Map   `json:"after,omitempty"` // and where they lay when everything was written
	Done   int64  `json:"done,omitempty"`  // everything before this offset is overwritten and durable
	Bad    []Span `json:"bad,omitempty"`   // ranges before Done that could not be written
	Read   bool   `json:"read,omitempty"`  // it was read back; Facts are complete
	Facts  Facts  `json:"facts,omitzero"`
	Change Change `json:"change,omitempty"`

	// Seen is the inode's time of change, ns since 1970, when it was read back: a
	// file that was touched since is read back again.
	Seen int64 `json:"seen,omitempty"`
	// Once: all of it was overwritten and read back at some time. What it lost
	// since then was the stream.
	Once bool `json:"once,omitempty"`
	// Restored: after that it held something else, and was overwritten once more.
	Restored bool `json:"restored,omitempty"`

	Removed bool `json:"removed,omitempty"`

	// What this run knows: the name under which the last listing found it, "" for
	// none; its time of change then; and whether this run read it back.
	blank   bool // a key file that holds no key
	at      string
	changed int64
	tried   bool
}

// name is the name under which a file is to be opened.
func (f *FileJob) name() string {
	if f.at != "" {
		return f.at
	}
	return f.Name
}

// Span is a range of bytes of a file.
type Span struct {
	Off int64 `json:"off"`
	Len int64 `json:"len"`
}

// Untouched reports whether nothing was destroyed by the job yet. Such a job may
// be dropped and planned anew, and should be: what it recorded may have changed
// since.
func (j *Job) Untouched() bool { return j.Stage == Planned && !j.KeysBegun }

// Whole reports whether the job, which this process has planned, found every key file
// that the ledger had recorded in its keystore, as it was recorded. Keys go first, so
// nothing of the image was destroyed then. Where no key was recorded the image's own
// files have to show that.
func (j *Job) Whole() bool {
	k := j.KeyFacts
	return (j.keysHere() > 0 || j.intact) && k.Missing == 0 && k.Changed == 0 && k.Again == 0 && len(j.OwnGone) == 0
}

// Journal keeps a job. Save returns only when the job is durable; after an error
// the job counts as not saved. The purge cannot go on without its journal: an
// error from Save ends the run.
type Journal interface {
	Save(ctx context.Context, j *Job) error
}

// MarkAttested records that the attest of a job was issued. It is the last step.
func MarkAttested(ctx context.Context, j *Job, journal Journal) error {
	switch j.Stage {
	case Attested:
		return nil
	case Unlinked:
	default:
		return fmt.Errorf("attest an erase at stage %s: %w", j.Stage, ErrJob)
	}
	j.Stage = Attested
	if err := journal.Save(ctx, j); err != nil {
		j.Stage = Unlinked
		return fmt.Errorf("record the attest: %w", err)
	}
	return nil
}
