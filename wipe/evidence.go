package wipe

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// Evidence is what an erase showed: plain facts, no judgement. Classify turns it
// into the words of an attest. It holds no personal data.
type Evidence struct {
	Job       string    `json:"job"`
	UUID      string    `json:"uuid"` // of the image
	StreamKey Key       `json:"stream_key"`
	Stage     Stage     `json:"stage"`
	Begun     time.Time `json:"begun,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`

	Vault    Place `json:"vault"`    // where the image's files lay
	Keystore Place `json:"keystore"` // where its key files lay

	KeyFacts KeyFacts       `json:"key_facts"`
	Keys     []FileEvidence `json:"keys"`  // key files that were at hand
	Files    []FileEvidence `json:"files"` // the image's files

	// Taken and TakenVerified are as in Target.
	Taken         bool    `json:"taken,omitempty"`
	TakenVerified bool    `json:"taken_verified,omitempty"`
	KeysOnly      bool    `json:"keys_only,omitempty"`
	Others        []Place `json:"others,omitempty"` // other keystores in which copies were destroyed

	Missing int   `json:"missing"` // files that should have been there
	Lost    int64 `json:"lost"`    // bytes that the files were shorter than at the seal
	Strays  int   `json:"strays"`  // files that salvor did not write, left alone
	// Left and KeysLeft are how many files and directories were still in the
	// image's directory and in that of its keys when everything was removed.
	Left     int          `json:"left,omitempty"`
	KeysLeft int          `json:"keys_left,omitempty"`
	Residue  ResidueFacts `json:"residue"`

	DirsRemoved []string `json:"dirs_removed"`
}

// Evidence is what the job has shown so far.
func (j *Job) Evidence() Evidence {
	e := Evidence{
		Job: j.ID, UUID: j.UUID, StreamKey: j.StreamKey, Stage: j.Stage, Begun: j.Begun, Ended: j.Ended,
		Vault: j.Vault, Keystore: j.Keystore,
		KeyFacts: j.KeyFacts, Keys: evidenceOf(j.Keys), Files: evidenceOf(j.Files),
		Missing: j.Missing, Lost: j.Lost, Strays: len(j.StrayNames), Residue: j.Residue,
		Left: j.Left, KeysLeft: j.KeysLeft,
		Taken: j.Taken, TakenVerified: j.TakenVerified, KeysOnly: j.KeysOnly, Others: slices.Clone(j.Others),
		DirsRemoved: slices.Clone(j.DirsRemoved),
	}
	e.KeyFacts.Strays = len(j.StrayKeys)
	return e
}

func evidenceOf(files []FileJob) []FileEvidence {
	var all []FileEvidence
	for i := range files {
		all = append(all, files[i].evidence())
	}
	return all
}

func (f *FileJob) evidence() FileEvidence {
	return FileEvidence{
		Name: f.Name, SHA256: f.SHA256, Bytes: f.Alloc, Before: f.Map, After: f.After, Facts: f.Facts,
		Change: f.Change, Restored: f.Restored, Removed: f.Removed, Bad: slices.Clone(f.Bad),
	}
}

// Reach is the best class that the job can end with, were every byte overwritten
// and read back, and why it cannot be a better one.
func (j *Job) Reach() Class {
	e := j.Evidence()
	e.Stage = Unlinked
	e.KeyFacts.Attempt = Shut
	succeed(e.Files, e.Vault)
	succeed(e.Keys, e.Keystore)
	return Classify(e)
}

func succeed(files []FileEvidence, p Place) {
	for i := range files {
		f := &files[i]
		after := f.Before
		f.After = &after
		f.Facts = Facts{Written: f.Bytes, Equal: f.Bytes, PastCache: true}
		if p.RawReady && f.Before.Known && !f.Before.unsure() {
			f.Facts.Raw, f.Facts.RawEqual = true, f.Bytes
		}
	}
}

// Total adds up the facts of files.
func Total(files []FileEvidence) Facts {
	var t Facts
	for _, f := range files {
		t.Written += f.Facts.Written
		t.Unwritten += f.Facts.Unwritten
		t.Equal += f.Facts.Equal
		t.Different += f.Facts.Different
		t.Unreadable += f.Facts.Unreadable
		t.RawEqual += f.Facts.RawEqual
		t.RawDifferent += f.Facts.RawDifferent
		t.RawUnreadable += f.Facts.RawUnreadable
	}
	return t
}

// FileEvidence is what was seen of one file.
type FileEvidence struct {
	Name   string  `json:"name"`
	SHA256 *Digest `json:"sha256,omitempty"` // of a key file, before anything was written
	Bytes  int64   `json:"bytes"`            // the whole allocation
	Before Map     `json:"before"`
	After  *Map    `json:"after,omitempty"`
	Facts  Facts   `json:"facts"`
	Change Change  `json:"change,omitempty"`
	// Restored: it held something else again after it was read back, and was
	// overwritten once more. So somebody has a copy.
	Restored bool   `json:"restored,omitempty"`
	Removed  bool   `json:"removed"`
	Bad      []Span `json:"bad,omitempty"`
}

// Facts counts bytes of a file's allocation.
type Facts struct {
	Written   int64 `json:"written,omitempty"`   // accepted by the device and made durable
	Unwritten int64 `json:"unwritten,omitempty"` // refused by the device

	// Read back through the file, past the cache when PastCache.
	Equal      int64 `json:"equal,omitempty"`
	Different  int64 `json:"different,omitempty"`
	Unreadable int64 `json:"unreadable,omitempty"`
	PastCache  bool  `json:"past_cache,omitempty"`

	// Read back from the block device at the recorded places, when Raw.
	Raw           bool  `json:"raw,omitempty"`
	RawEqual      int64 `json:"raw_equal,omitempty"`
	RawDifferent  int64 `json:"raw_different,omitempty"`
	RawUnreadable int64 `json:"raw_unreadable,omitempty"`
}

// Change is what happened to a file behind the job's back.
type Change string

// The changes. After the keys are gone a change no longer stops a run, but the
// file then counts as not erased.
const (
	Unchanged Change = ""
	Gone      Change = "missing"   // it is not there any more
	Replaced  Change = "replaced"  // another file has its name; it is not touched
	Truncated Change = "truncated" // it became shorter: blocks were given back with their old content
	Grown     Change = "grown"     // somebody wrote to it
	Linked    Change = "linked"    // it got a second name
)

// KeyFacts accounts for the copies of the session secrets.
type KeyFacts struct {
	Expected   int `json:"expected"`             // recorded in the ledger
	Elsewhere  int `json:"elsewhere,omitempty"`  // of these, in another keystore
	Missing    int `json:"missing,omitempty"`    // of these, not there
	Changed    int `json:"changed,omitempty"`    // of these, there with another content
	Unrecorded int `json:"unrecorded,omitempty"` // found beside them, and destroyed as well
	Sessions   int `json:"sessions,omitempty"`   // sessions that the segments name and no recorded copy belongs to

	// Copies that another job has destroyed, see KeyEnd; they are neither Elsewhere nor
	// Missing nor Changed.
	Proved   int `json:"proved,omitempty"`
	Recorded int `json:"recorded,omitempty"`
	Unproved int `json:"unproved,omitempty"`
	Again    int `json:"again,omitempty"` // of these, still there without a key in them, and overwritten once more

	// Strays are files beside them that are not the job's, seen at any time since
	// the plan and left alone. Each may be a key.
	Strays int `json:"strays,omitempty"`

	Attempt Attempt `json:"attempt,omitempty"`
}

// Attempt is how the attempt ended to open the image with what is left.
type Attempt string

// The attempts.
const (
	NotTried Attempt = ""         // not made, or it could not be made
	Shut     Attempt = "failed"   // no key file is left, and nothing opened the image
	KeyLeft  Attempt = "key left" // something that is or may be a key file is still there
	Opened   Attempt = "opened"   // the image was opened
)

// Place is the storage under a directory, as this host sees it.
type Place struct {
	FS       string `json:"fs"`                  // type of the file system, as the kernel names it
	Kind     Kind   `json:"kind"`                // how far salvor knows this type
	Device   string `json:"device,omitempty"`    // the kernel's name of the block device, "sda1"
	RawReady bool   `json:"raw_ready,omitempty"` // the block device could be opened for reading
	ReadOnly bool   `json:"read_only,omitempty"`
	// Options are the mount options that say how it writes, sorted. Others, which may
	// name a server or a person, are left out.
	Options []string `json:"options,omitempty"`

	Rotating Answer   `json:"rotating,omitempty"` // spinning disk or flash
	Virtual  []string `json:"virtual,omitempty"`  // layers under the file system that are themselves virtual
	// Snapshots are signs of snapshots or recycle bins, such as ".zfs/snapshot".
	// None seen is not none there.
	Snapshots []string `json:"snapshots,omitempty"`
	// Unanswered: whether there are any was asked, and something that was asked said
	// neither yes nor no.
	Unanswered bool `json:"unanswered,omitempty"`
}

// Kind is how far salvor knows a type of file system.
type Kind string

// The kinds of file system.
const (
	InPlace   Kind = "in-place"      // ext4, xfs: overwrites in place, and tells where
	Somewhere Kind = "somewhere"     // overwrites, but the physical place is not known: NFS, SMB, FUSE, FAT
	CopyFirst Kind = "copy-on-write" // btrfs, overlay and the like: the old blocks stay
	Memory    Kind = "memory"        // tmpfs: nothing to read back from
	Unknown   Kind = "unknown"       // not known to salvor
)

// Answer is yes, no, or not known.
type Answer string

// The answers.
const (
	NotKnown Answer = ""
	Yes      Answer = "yes"
	No       Answer = "no"
)

// Map is where a file's bytes lie, as FIEMAP tells it.
type Map struct {
	Known   bool   `json:"known,omitempty"` // every byte has one physical place
	Extents int    `json:"extents,omitempty"`
	Digest  Digest `json:"digest,omitzero"` // of the places, so that two maps can be compared

	Shared  bool `json:"shared,omitempty"`  // other files use the same blocks
	Encoded bool `json:"encoded,omitempty"` // compressed or encrypted by the file system
	Inline  bool `json:"inline,omitempty"`  // kept among the metadata
	Holes   bool `json:"holes,omitempty"`   // parts without blocks: some may have been given back
	Journal bool `json:"journal,omitempty"` // content goes through the file system's journal
	Late    bool `json:"late,omitempty"`    // the inode is younger than its content: an earlier copy existed
	Undated bool `json:"undated,omitempty"` // it was overwritten already, and nothing tells whether it was Late
}

// Same reports whether two maps name the same places.
func (m Map) Same(o Map) bool { return m.Known && o.Known && m.Digest == o.Digest }

// Digest is a SHA-256, written as hexadecimal.
type Digest [32]byte

// MarshalText writes d as 64 hexadecimal digits.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(p []byte) error {
	if len(p) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("read a digest: %d characters, want %d", len(p), hex.EncodedLen(len(d)))
	}
	if _, err := hex.Decode(d[:], p); err != nil {
		return fmt.Errorf("read a digest: %w", err)
	}
	return nil
}

// Marker is a sample of the old content, to look for on the device.
type Marker struct {
	Key   bool   `json:"key,omitempty"` // of a key file, else of a segment
	Bytes string `json:"bytes"`         // 32 bytes in hexadecimal
}

// ResidueFacts is the outcome of looking for old content on the whole device.
type ResidueFacts struct {
	Asked   bool  `json:"asked,omitempty"`
	Done    bool  `json:"done,omitempty"`    // the whole device was looked at
	Markers int   `json:"markers,omitempty"` // samples that were looked for
	Bytes   int64 `json:"bytes,omitempty"`   // read
	Unread  int64 `json:"unread,omitempty"`  // could not be read
	Found   int   `json:"found,omitempty"`   // samples of segments that are still there
	Keys    int   `json:"keys,omitempty"`    // samples of key files that are still there
}
