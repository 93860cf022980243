package main

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/custody"
)

func newAgree(p *program) *cobra.Command {
	var allow []string
	var agreed bool
	cmd := &cobra.Command{
		Use:   "agree CASE",
		Short: "record what else a customer allows",
		Long: `Records that a customer agreed to more than at the intake: to send his disk to a
laboratory, to destroy it. What he has once allowed stays on the record.`,
		Example: `  salvor agree T1-2026-0001 --allow send --agreed`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			return s.agree(ctx, args[0], allow, agreed)
		}),
	}
	allowWords.addMany(cmd, &allow, "what he allows")
	cmd.Flags().BoolVar(&agreed, "agreed", false, "the customer has read the notice and signed")
	return cmd
}

func (s *station) agree(ctx context.Context, no string, allow []string, agreed bool) error {
	if err := checkAll(allowWords, "agree", allow); err != nil {
		return err
	}
	op, c, _, err := s.actsOn(ctx, custody.TypeAgreementRecorded, no)
	if err != nil {
		return err
	}
	if !c.Closed.IsZero() {
		return refuse("case "+string(c.No), "it is closed", "open a new case")
	}
	if len(allow) == 0 && c.Agreement != nil {
		return usage("agree", "the agreement is recorded; what does the customer allow besides?", "--allow "+allowWords.words())
	}
	if err := s.askAgreed(ctx, &agreed); err != nil {
		return err
	}
	set := inOrder[custody.Action](allow)
	if err := s.record(ctx, op.ID, c.No, entry("", custody.AgreementRecorded{Notice: noticeVersion, Allowed: set}, nil)); err != nil {
		return err
	}
	return s.done(map[string]any{"case": c.No, "allowed": set}, "case %s: the customer's agreement is recorded", c.No)
}
