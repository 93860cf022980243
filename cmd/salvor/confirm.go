package main

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

var confirmWords = choice{"--how", "how did the customer say that he has everything", []ui.Option{
	{Value: "signed", Text: "signed on the handover paper"},
	{Value: "mail", Text: "by mail"},
	{Value: "phone", Text: "by telephone"},
	{Value: "desk", Text: "by word of mouth"},
}}

type confirmOptions struct {
	how, recipient string
	clockChecked   bool
}

func newConfirm(p *program) *cobra.Command {
	var o confirmOptions
	cmd := &cobra.Command{
		Use:   "confirm CASE",
		Short: "the customer has everything: erase his images within the grace",
		Long: `Records that the customer has everything he wanted. From then on the images are kept
only for the shop's grace, 7 days unless the policy says less; a deadline that is
earlier already stays. Nothing makes it later again.`,
		Example: `  salvor confirm T1-2026-0001 --how signed`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.confirm(ctx, args[0], o) }),
	}
	confirmWords.add(cmd, &o.how, "how he said so")
	cmd.Flags().StringVar(&o.recipient, "recipient", "", "`NAME` of who said so, where it was not the owner")
	clockFlag(cmd, &o.clockChecked)
	return cmd
}

// clockFlag is what lets a person overrule the guard of the clock.
func clockFlag(cmd *cobra.Command, checked *bool) {
	cmd.Flags().BoolVar(checked, "clock-checked", false, "somebody has looked at this machine's clock and it is right")
}

func (s *station) confirm(ctx context.Context, no string, o confirmOptions) error {
	if err := confirmWords.check("confirm", o.how); err != nil {
		return err
	}
	if err := s.clockPlausible(ctx, "confirm", o.clockChecked); err != nil {
		return err
	}
	op, c, _, err := s.actsOn(ctx, custody.TypeCustomerConfirmed, no)
	if err != nil {
		return err
	}
	switch {
	case !c.Closed.IsZero():
		return refuse("case "+string(c.No), "it is closed", "salvor show "+string(c.No))
	case c.Confirmed != nil:
		return refuse("case "+string(c.No), "the customer confirmed on "+s.term.Date(c.Confirmed.At)+" already", "it is erased by "+s.deadlineWords(c.Deadline))
	}
	if o.how, err = confirmWords.settle(ctx, s, "confirm", o.how, "signed"); err != nil {
		return err
	}
	policy, err := s.policy(ctx)
	if err != nil {
		return err
	}
	deadline := policy.Grace.From(s.now(), s.term.Zone)
	if !c.Deadline.IsZero() && c.Deadline.Before(deadline) {
		deadline = c.Deadline
	}
	if err := s.record(ctx, op.ID, c.No, entry("", custody.CustomerConfirmed{How: custody.ConfirmedBy(o.how), Deadline: custody.At(deadline)},
		map[string]string{custody.FieldRecipient: o.recipient})); err != nil {
		return err
	}
	if err := s.done(map[string]any{"case": c.No, "how": o.how, "deadline": custody.At(deadline), "held": c.Held()},
		"case %s is confirmed; to be erased by %s", c.No, s.deadlineWords(deadline)); err != nil {
		return err
	}
	if c.Held() {
		s.term.Warn("a hold keeps it all the same, until somebody ends that: salvor show %s", c.No)
	}
	return nil
}
