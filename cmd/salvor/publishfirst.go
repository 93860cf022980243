package main

import (
	"context"
	"errors"
	"fmt"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
)

// append records entries of a case, or of the shop for "". What decides whether and when
// another station erases is published in every vault that holds a copy of the case; where
// one is away the events stand all the same, and the error says who does not know of them.
func (s *station) append(ctx context.Context, op string, no custody.CaseNo, entries ...ledger.Entry) (ledger.Published, error) {
	first := false
	for i := range entries {
		entries[i].Case = no
		pub, ok := entries[i].Pub.(custody.Payload)
		first = first || ok && pub.Type().PublishFirst()
	}
	if !first {
		events, err := s.ledger.Append(ctx, op, entries...)
		return ledger.Published{Events: events}, err
	}
	var published ledger.Published
	err := s.withJournals(ctx, func(journals []*journal.Journal) (err error) {
		published, err = s.ledger.PublishFirst(ctx, op, no, journals, entries...)
		return err
	})
	var missing *ledger.UnpublishedError
	if errors.As(err, &missing) && !isAlarm(err) {
		names, nerr := s.vaultNames(ctx)
		if nerr != nil {
			return published, nerr
		}
		return published, unpublished(names, *missing)
	}
	if len(published.Events) > 0 && errors.Is(err, ledger.ErrRefused) && !isAlarm(err) {
		// Every vault has the events. What is wrong with one of them was named when the
		// command began, and makes it end badly.
		return published, nil
	}
	return published, err
}

// unpublished says what is in force although a vault does not know of it.
func unpublished(names map[string]string, u ledger.UnpublishedError) error {
	what := "it"
	if len(u.Events) > 0 {
		switch p := u.Events[0].Pub.(type) {
		case custody.HoldAdded:
			what = "hold " + p.Hold
		case custody.HoldEnded:
			what = "the end of hold " + p.Hold
		case custody.DeadlineShortened:
			what = "the deadline " + p.Deadline.Format("2006-01-02")
		case custody.CustomerConfirmed:
			what = "the deadline " + p.Deadline.Format("2006-01-02") + " of the confirmation"
		case custody.PurgeValidated:
			what = "the validation " + p.Proposal
		}
	}
	return &ui.Error{
		Code: ui.Absent, What: "case " + string(u.Case),
		Why:  fmt.Sprintf("%s is recorded and in force here, but vault %s has not got it: another station may not know", what, missingWords(names, u.Vaults)),
		Hint: "mount the vault, then salvor sync; until then phone whoever erases there",
		Err:  &u,
	}
}
