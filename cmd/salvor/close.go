package main

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/custody"
)

func newClose(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "close CASE",
		Short: "close a case of which nothing is left in the shop",
		Long: `Closes a case. It needs every copy of the data returned, erased or destroyed, every
item returned or destroyed, no open offer and no hold.`,
		Example: `  salvor close T1-2026-0001`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.closeCase(cmd.Context(), args[0]) })
		},
	}
}

func (s *station) closeCase(ctx context.Context, no string) error {
	op, err := s.operator(ctx, custody.TypeCaseClosed)
	if err != nil {
		return err
	}
	c, _, err := s.caseOf(ctx, no)
	if err != nil {
		return err
	}
	if err := s.record(ctx, op.ID, c.No, entry("", custody.CaseClosed{}, nil)); err != nil {
		if left := leftWords(c); left != "" {
			s.term.Say("still open: %s", left)
		}
		return err
	}
	return s.done(map[string]any{"case": c.No, "closed": true}, "case %s is closed", c.No)
}
