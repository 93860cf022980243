package ledger

import (
	"fmt"
	"slices"
	"strings"

	"salvor/custody"
	"salvor/custody/journal"
)

// SyncResult says what a sync has done.
type SyncResult struct {
	Imported  int              // events of other stations taken in
	Published int              // own events written to journals
	Opened    int              // private parts that could be opened and were kept
	Erased    int              // sealed private parts erased in journals
	Cases     []custody.CaseNo // cases about which something arrived, sorted
	Refusals  []journal.Refusal
}

func (r *SyncResult) add(o SyncResult) {
	r.Imported += o.Imported
	r.Published += o.Published
	r.Opened += o.Opened
	r.Erased += o.Erased
	r.Refusals = append(r.Refusals, o.Refusals...)
	r.Cases = append(r.Cases, o.Cases...)
	slices.Sort(r.Cases)
	r.Cases = slices.Compact(r.Cases)
}

// A RefusedError lists what was not believed in the journals. Everything else
// was taken in. It is an [ErrRefused], and each reason can be asked for with
// errors.Is as well.
type RefusedError struct{ Refusals []journal.Refusal }

// Error names the first refusal and counts the others.
func (e *RefusedError) Error() string {
	s := fmt.Sprintf("%v: %v", ErrRefused, e.Refusals[0])
	if n := len(e.Refusals) - 1; n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

// Unwrap returns [ErrRefused] and every reason.
func (e *RefusedError) Unwrap() []error {
	errs := []error{ErrRefused}
	for _, r := range e.Refusals {
		errs = append(errs, r)
	}
	return errs
}

func refused(refusals []journal.Refusal) error {
	if len(refusals) == 0 {
		return nil
	}
	return &RefusedError{refusals}
}

// A Missing vault did not get what it has to know.
type Missing struct {
	Vault string // id
	Err   error  // nil when the vault is not here
}

// An UnpublishedError says which vaults have not heard of what was recorded. It
// is an [ErrUnpublished].
type UnpublishedError struct {
	Case   custody.CaseNo
	Events []custody.Event // as they stand in this ledger
	Vaults []Missing
}

// Error names the vaults.
func (e *UnpublishedError) Error() string {
	var names []string
	for _, m := range e.Vaults {
		name := m.Vault
		if m.Err != nil {
			name += " (" + m.Err.Error() + ")"
		}
		names = append(names, name)
	}
	return fmt.Sprintf("case %s: %v: vault %s", e.Case, ErrUnpublished, strings.Join(names, ", "))
}

// Unwrap returns [ErrUnpublished] and what the vaults said.
func (e *UnpublishedError) Unwrap() []error {
	errs := []error{ErrUnpublished}
	for _, m := range e.Vaults {
		if m.Err != nil {
			errs = append(errs, m.Err)
		}
	}
	return errs
}

// Published says what [Ledger.PublishFirst] has reached.
type Published struct {
	Events []custody.Event
	Case   custody.Case // as it is now, with what the journals said meanwhile
	// Late are the images of the case whose erasing has begun: another station
	// recorded that before it could know of these events, and nobody may be told
	// that they are safe.
	Late []string
}
