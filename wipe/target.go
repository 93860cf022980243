package wipe

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Target is the image to erase, and what the ledger knows about it.
type Target struct {
	Vault   *os.Root // the vault; its marker salvor-vault.json must be there
	Dir     string   // the image's directory below Vault, "cases/T1-2026-0001/image-01"
	CaseDir string   // the case's directory below Vault; removed when it is left empty

	Keystore     *os.Root // where the key files lie; may be the same as Vault
	KeystoreName string   // the label by which KeyCopy.Keystore names this keystore
	KeyDir       string   // the image's directory below Keystore, "keystore/T1-2026-0001/image-01"

	// ExpectedKeys are all the copies of session secrets that the ledger says
	// were made for this image, wherever they lie.
	ExpectedKeys []KeyCopy
	UUID         [16]byte // of the image
	Segments     int      // how many segments the seal counted; 0 when not known

	Stored int64 // bytes of superblock and segments at the seal; 0 when not known

	// Written is when the image's content was written last, as the ledger says; zero
	// when it does not. It dates files that do not date themselves any more.
	Written time.Time

	// Taken: a job whose journal is lost, or lies with another station, had begun to
	// destroy this image. What it has overwritten carries no mark, and is told by the
	// names in the image's own directory; key files that are gone, or hold no key, are
	// accepted. What carries another image's mark, and a key that is not the one that was
	// recorded, is still refused; so is one that was not recorded at all, unless a mark or
	// a key beside it is this image's.
	Taken bool
	// TakenVerified: that job had recorded that everything was overwritten and read
	// back, so that it may have removed some or all of it.
	TakenVerified bool

	// KeysOnly: the keystore is another than the image's own, and only the key files in
	// it are to go. Nothing is claimed of the image.
	KeysOnly bool
	// Others are the places of other keystores in which jobs of this station have
	// destroyed copies: a class speaks of them too.
	Others []Place

	// AcceptChangedKeys destroys key files that are not what the ledger recorded.
	// Without it such a file is refused, since it may be another image's key.
	AcceptChangedKeys bool
	// AcceptMissingKeys goes on although not one of the recorded key files is
	// there. Without it that is refused, since the keystore may not be mounted.
	AcceptMissingKeys bool
	// AcceptMissingImage goes on although the image is not there, or was taken
	// away since the erase began. Its key files are destroyed then, and the media
	// class is FAILED for good. Without it that is refused with ErrMissing. To end
	// the job it takes Options.UnlinkFailed as well. What is found in the image's
	// directory and cannot be told to be this image's is left alone as a stray.
	AcceptMissingImage bool
}

// KeyCopy is one key file that the ledger recorded.
type KeyCopy struct {
	Keystore string   // label of the keystore; empty is the target's own
	File     string   // name in the image's key directory, "0001.age"
	SHA256   [32]byte // of the file when it was made
	Session  [16]byte // session whose secret it wraps; zero when not known
	End      KeyEnd   // what another job has shown of it
}

// KeyEnd is what is known of the end of a key copy that another job has destroyed.
type KeyEnd string

// What another job has shown.
const (
	KeyThere    KeyEnd = ""         // nothing
	EndProved   KeyEnd = "proved"   // a job of this station, and its journal shows that in full
	EndRecorded KeyEnd = "recorded" // a job whose journal is not at hand, by its signed record
	EndUnproved KeyEnd = "unproved" // overwritten, on storage where that proves nothing
)

// Sentinel errors. Every refusal before the first key is destroyed leaves
// everything as it was.
var (
	// ErrAbsent: the vault's marker is not there, so neither is the vault.
	// Absent never means erased. Try again when it is back.
	ErrAbsent = errors.New("the vault is not there")
	// ErrMissing: the vault is there but the image is not. It is an exception
	// to look at, never an erased image.
	ErrMissing = errors.New("the image is missing")
	// ErrKeysMissing: not one of the recorded key files is in the keystore.
	ErrKeysMissing = errors.New("the key files are missing")
	// ErrInUse: somebody reads, writes, mounts or restores the image.
	ErrInUse = errors.New("the image is in use")
	// ErrChanged: a file is not what it was when the erase was planned, or not
	// a plain file with one link.
	ErrChanged = errors.New("the image changed")
	// ErrForeign: what lies there carries another image's mark.
	ErrForeign = errors.New("not this image")
	// ErrReadOnly: the file system or a file may not be written.
	ErrReadOnly = errors.New("cannot be written")
	// ErrNotErased: bytes are left that were not overwritten or not read back.
	// The files stay where they are, and the job can be run again.
	ErrNotErased = errors.New("not everything was erased")
	// ErrJob: the job cannot be used for this target.
	ErrJob = errors.New("the erase job does not fit")
	// ErrNoSpace: the file system writes to new blocks and has none left.
	ErrNoSpace = errors.New("no space left to overwrite")
	// ErrVanished: the storage went away in the middle; run the job again.
	ErrVanished = errors.New("the storage went away")
	// ErrDevice: thousands of sectors failed. Run the job again, or end it with
	// Options.UnlinkFailed and destroy the device.
	ErrDevice = errors.New("the device fails too often")
)

// FileError says which file of a target an error is about. Name is one of
// salvor's own file names, or "an unexpected file": never a name that somebody
// else chose.
type FileError struct {
	Name string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("%s: %v", e.Name, e.Err) }
func (e *FileError) Unwrap() error { return e.Err }
