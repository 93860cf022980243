package ledger

import (
	"context"
	"errors"
	"io"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
	"salvor/custody/journal"
)

// The API that is being built; the bodies follow within the hour.

var errDraft = errors.New("not built yet")

// Sync takes in what other stations have published in the journals, and then
// publishes there what this station has recorded: what every command runs at its
// beginning and end. Everything that can be done is done; the error then is a
// [RefusedError], or an alarm: [ErrRolledBack] or [ErrCloned], with which nothing
// is published.
func (l *Ledger) Sync(ctx context.Context, journals ...*journal.Journal) (SyncResult, error) {
	return SyncResult{}, errDraft
}

// Import is the first half of [Ledger.Sync].
func (l *Ledger) Import(ctx context.Context, journals ...*journal.Journal) (SyncResult, error) {
	return SyncResult{}, errDraft
}

// Publish is the second half of [Ledger.Sync].
func (l *Ledger) Publish(ctx context.Context, j *journal.Journal) (SyncResult, error) {
	return SyncResult{}, errDraft
}

// CatchUp takes back this station's own events from journals, after a backup was
// restored or an old file was put back ([ErrRolledBack]).
func (l *Ledger) CatchUp(ctx context.Context, journals ...*journal.Journal) (SyncResult, error) {
	return SyncResult{}, errDraft
}

// PublishFirst records the entries of one case (a hold, a shortened deadline) and
// acknowledges them only when they are durable in the journal of every vault that
// holds a copy of the case. Where one is absent or refuses, the error is an
// [UnpublishedError] that names it: the events stay recorded and in the outbox.
func (l *Ledger) PublishFirst(ctx context.Context, op string, no custody.CaseNo, journals []*journal.Journal, entries ...Entry) (Published, error) {
	return Published{}, errDraft
}

// Unacknowledged returns the holds and shortened deadlines of this station that
// are not yet in the journal of every vault that holds a copy of their case.
func (l *Ledger) Unacknowledged(ctx context.Context) ([]UnpublishedError, error) {
	return nil, errDraft
}

// CaseUnderLock publishes, takes in, and then returns the case: what the purge
// calls under the lock of the case, immediately before a key is destroyed.
func (l *Ledger) CaseUnderLock(ctx context.Context, no custody.CaseNo, journals ...*journal.Journal) (custody.Case, error) {
	return custody.Case{}, errDraft
}

// SignedBy returns the same ledger, with which an operator signs as well what he
// records. Closing either closes both.
func (l *Ledger) SignedBy(operator note.Signer) *Ledger { return l }

// Retire records that a station is retired: what it signs from now on is not
// taken in any more.
func (l *Ledger) Retire(ctx context.Context, op, station string) error { return errDraft }

// AskToJoin writes the request of a new station into a journal and returns the
// code to be compared at the station that approves it.
func AskToJoin(j *journal.Journal, st Station) (code string, err error) { return "", errDraft }

// An EnrolmentRequest is a station that asks to be enrolled.
type EnrolmentRequest struct {
	Card journal.Card
	Code string // to be compared with what that station shows
}

// Requests returns the stations that ask in a journal to be enrolled.
func (l *Ledger) Requests(ctx context.Context, j *journal.Journal) ([]EnrolmentRequest, error) {
	return nil, errDraft
}

// Approve enrols a station that asks in a journal, when the code is the one that
// both show ([ErrCode]), and publishes that.
func (l *Ledger) Approve(ctx context.Context, op, station, code string, j *journal.Journal) error {
	return errDraft
}

// Join makes the ledger of a station that was approved, and takes in everything.
func Join(ctx context.Context, path string, st Station, root journal.Card, now func() time.Time, journals ...*journal.Journal) (*Ledger, SyncResult, error) {
	return nil, SyncResult{}, errDraft
}

// RebuildOptions are what [Rebuild] needs beside the journals.
type RebuildOptions struct {
	Identities []age.Identity // shop keys, for private parts that are not sealed to this station
	Trust      []journal.Card // cards of further stations whose code a person has compared
}

// Rebuild makes a ledger anew out of journals.
func Rebuild(ctx context.Context, path string, st Station, now func() time.Time, o RebuildOptions, journals ...*journal.Journal) (*Ledger, SyncResult, error) {
	return nil, SyncResult{}, errDraft
}

// Backup writes an encrypted copy of the ledger and of the station's key into a
// directory and returns its path: a tar file, sealed with age to the recipients.
func (l *Ledger) Backup(ctx context.Context, recipients []string, dir string) (string, error) {
	return "", errDraft
}

// RestoreBackup unpacks a backup into an empty state directory: ledger.db and
// station.key. The ledger is then older than what the station has published:
// [Ledger.CatchUp] before anything is recorded.
func RestoreBackup(ctx context.Context, backup io.Reader, dir string, identities ...age.Identity) error {
	return errDraft
}

// AuditOptions say how far an audit goes.
type AuditOptions struct {
	Full     bool               // every signature again, also those that an earlier audit has checked
	Journals []*journal.Journal // compared with the ledger
}

// AuditWith audits with options; see [Ledger.Audit].
func (l *Ledger) AuditWith(ctx context.Context, o AuditOptions) (AuditResult, error) {
	return l.Audit(ctx)
}

// CheckPaper compares the code that a paper shows with this ledger: the state of
// a station's log when it held so many events. [ErrCode] means that the history
// was rewritten since, and [ErrNotFound] that the ledger does not go so far.
func (l *Ledger) CheckPaper(ctx context.Context, station string, size int64, code string) error {
	return errDraft
}

// Bundle writes the proof of one case: its events with inclusion proofs, the
// events of the shop that are needed to check them, and signed checkpoints; no
// byte about any other customer, and no private part.
func (l *Ledger) Bundle(ctx context.Context, no custody.CaseNo, w io.Writer) error { return errDraft }

// A BundleResult is what a bundle proves.
type BundleResult struct {
	Shop        string
	Case        custody.Case
	Events      []custody.Event // in causal order
	Checkpoints []custody.Checkpoint
}

// CheckBundle checks a bundle with nothing but the shop's public key: the
// verifier key in the shop's card. It returns [ErrBundle].
func CheckBundle(r io.Reader, shopKey string) (BundleResult, error) {
	return BundleResult{}, errDraft
}
