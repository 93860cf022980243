package ledger

import (
	"context"
	"errors"
	"io"

	"salvor/custody"
)

// The API that is being built; the bodies follow within the hour.

var errDraft = errors.New("not built yet")

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
