package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// record writes down what an operator has done in a case, or for the shop where no is
// "": all of the entries or none, a shortened deadline in every vault first. It is the
// one door of these commands to the ledger. A rule that forbids an entry comes back as a
// refusal that a person can read.
func (s *station) record(ctx context.Context, op string, no custody.CaseNo, entries ...ledger.Entry) error {
	if _, err := s.append(ctx, op, no, entries...); err != nil {
		return readable(no, err)
	}
	return nil
}

// readable takes the ledger's words off a refusal of the rules: what remains is the
// case, or the register that it is about, and why.
func readable(no custody.CaseNo, err error) error {
	var own *ui.Error
	explained := explain(err)
	if !errors.As(explained, &own) || own.Err == nil {
		return err
	}
	kind, why, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "append: "), "open case: "), ": ")
	if !ok || !strings.Contains(kind, ".") {
		return explained
	}
	what, _, _ := strings.Cut(kind, ".")
	if no != "" {
		what = "case " + string(no)
	}
	return &ui.Error{Code: own.Code, What: what, Why: why, Hint: own.Hint, Err: err}
}

// refusal says of a rule that was asked beforehand what the ledger would have said.
func refusal(t custody.Type, err error) error { return fmt.Errorf("%s: %w", t, err) }
