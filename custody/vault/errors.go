package vault

import (
	"errors"
	"fmt"
)

// The kinds of failure a caller decides on, by errors.Is.
var (
	// ErrAbsent: the vault's marker is not there, so the disk or share is not there either. Never "nothing due".
	ErrAbsent = errors.New("the vault is absent")
	// ErrForeign: there is something, and it is not what salvor writes.
	ErrForeign = errors.New("not made by salvor")
	// ErrNewer: written by a newer salvor; this one must not touch it.
	ErrNewer = errors.New("made by a newer version of salvor")
	// ErrHostile: a name below the vault is not the plain file or directory it has to be (a symlink, a second hard
	// link, a FIFO, a device, a path that leaves the vault).
	ErrHostile = errors.New("not a plain file with one name")
	// ErrNotFound: no image has that case and name.
	ErrNotFound = errors.New("no such image")
	// ErrExists: an image of that case and name is there already.
	ErrExists = errors.New("the image exists already")
	// ErrCorrupt: the container does not verify. Errors of this kind are a [*CorruptError].
	ErrCorrupt = errors.New("the image is damaged")
	// ErrShort: the log is shorter than what was acknowledged: somebody or something took records away. An alarm.
	ErrShort = errors.New("the image is shorter than what was acknowledged")
	// ErrUnsealed: the image was never sealed, so there is no root to compare with.
	ErrUnsealed = errors.New("the image is not sealed")
	// ErrSealed: the image is sealed and takes no more records.
	ErrSealed = errors.New("the image is sealed")
	// ErrSignature: the seal is not signed by the station that the caller trusts for this image.
	ErrSignature = errors.New("the seal's signature does not verify")
	// ErrWrongKey: none of the identities opens the key files, or the passphrase is wrong.
	ErrWrongKey = errors.New("wrong key or passphrase")
	// ErrKeyFile: a key file that is needed is missing, cut short or damaged.
	ErrKeyFile = errors.New("key file unusable")
	// ErrRecipients: fewer than two different recipients, or ones that cannot be used together.
	ErrRecipients = errors.New("at least two recipients are needed")
	// ErrEraseBy: the erase-by date lies more than one calendar year after the image was begun, or before it.
	ErrEraseBy = errors.New("erase-by date out of range")
	// ErrNoSpace: the vault has less room than the image needs in the worst case.
	ErrNoSpace = errors.New("not enough space in the vault")
	// ErrUnread: the source was never read there. Errors of this kind are an [*UnreadError].
	ErrUnread = errors.New("not read from the source")
	// ErrLocked: another station is writing to this case.
	ErrLocked = errors.New("another station is writing")
	// ErrPassphrase: the passphrase does not meet the policy.
	ErrPassphrase = errors.New("passphrase refused")
	// ErrRange: sectors or lengths outside the source or the format's limits.
	ErrRange = errors.New("out of range")
	// ErrClosed: the writer or reader was closed, or stopped after an error.
	ErrClosed = errors.New("closed")
	// ErrNoFlush: the file system has no way to flush (ENOTSUP, ENOTTY or EINVAL from fsync). A [File] returns it so
	// that the writer can go on and say so on the paper.
	ErrNoFlush = errors.New("the file system cannot flush")
)

// A CorruptError says where a container does not verify. It is an [ErrCorrupt].
type CorruptError struct {
	Ref     ImageRef
	Segment int // -1: not in a segment
	Record  int // ordinal in the segment, -1: not in a record
	What    string
	Err     error // nil, or what the storage or the cipher said
}

// Error names image, segment and record, as far as they are known.
func (e *CorruptError) Error() string {
	where := e.Ref.String()
	if e.Segment >= 0 {
		where += fmt.Sprintf(": segment %d", e.Segment)
	}
	if e.Record >= 0 {
		where += fmt.Sprintf(", record %d", e.Record)
	}
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", where, e.What, e.Err)
	}
	return where + ": " + e.What
}

// Unwrap makes the error an ErrCorrupt and keeps the cause.
func (e *CorruptError) Unwrap() []error {
	if e.Err != nil {
		return []error{ErrCorrupt, e.Err}
	}
	return []error{ErrCorrupt}
}

// An UnreadError says which sectors of the source were never read. It is an [ErrUnread].
type UnreadError struct {
	First, Sectors int64
}

// Error names the sectors.
func (e *UnreadError) Error() string {
	return fmt.Sprintf("sectors %d to %d: %v", e.First, e.First+e.Sectors-1, ErrUnread)
}

// Unwrap makes the error an ErrUnread.
func (e *UnreadError) Unwrap() error { return ErrUnread }
