package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody/ledger"
)

func newAudit(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "audit",
		Short: "check that the record is complete and unaltered",
		Long: `Checks every event: its signature, its place, its link to the one before, the
tree, the private parts, the tables computed from the events, and the database
itself. Every fault is named with its event.`,
		Example: "  salvor audit",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStationAlone(cmd.Context(), func(s *station) error { return s.audit(cmd.Context()) })
		},
	}
}

func (s *station) audit(ctx context.Context) error {
	result, err := s.ledger.Audit(ctx)
	if err != nil && !errors.Is(err, ledger.ErrAudit) {
		return err
	}
	faults := make([]string, 0, len(result.Faults))
	for _, f := range result.Faults {
		faults = append(faults, f.String())
	}
	if s.json {
		if err := s.term.Document(map[string]any{
			"ok": len(faults) == 0, "events": result.Events, "cases": result.Cases, "faults": faults,
			"checkpoint": map[string]any{"size": result.Checkpoint.Size, "root": result.Checkpoint.Root},
		}); err != nil {
			return err
		}
	} else {
		for _, f := range faults {
			fmt.Fprintln(s.term.Out, f)
		}
	}
	if len(faults) > 0 {
		return &ui.Error{
			Code: ui.VerifyFailed, What: "audit", Why: fmt.Sprintf("the ledger is altered or incomplete: %d faults, the first: %s", len(faults), faults[0]),
			Hint: "keep a copy of the ledger as it is and find out who changed it", Err: err,
		}
	}
	if err != nil {
		return err
	}
	if !s.json {
		fmt.Fprintf(s.term.Out, "the ledger is complete and unaltered: %d events, %d cases, root %s\n", result.Events, result.Cases, result.Checkpoint.Root)
	}
	return nil
}
