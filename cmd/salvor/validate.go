package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

type validateOptions struct {
	reason string
	yes    bool
}

func newValidate(p *program) *cobra.Command {
	var o validateOptions
	cmd := &cobra.Command{
		Use:   "validate CASE",
		Short: "allow the erasing of a case, after looking at it",
		Long: `Allows the erasing of the images of a case. Under the policy validation = required
the purge waits for it. Erasing before the deadline, where the data are special or
under four eyes, needs it from another person than the one who erases. It makes
nothing due earlier, and a hold blocks the erasing all the same.`,
		Example: `  salvor validate T1-2026-0001`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.validate(ctx, args[0], o) }),
	}
	cmd.Flags().BoolVar(&o.yes, "yes", false, "what is to be erased was looked at; nothing is asked")
	cmd.Flags().StringVar(&o.reason, "reason", "", "more about it, in words")
	return cmd
}

func (s *station) validate(ctx context.Context, no string, o validateOptions) error {
	op, c, _, err := s.actsOn(ctx, custody.TypePurgeValidated, no)
	if err != nil {
		return err
	}
	var images []string
	for _, i := range c.Images {
		if i.Left() {
			images = append(images, i.Name)
		}
	}
	switch {
	case len(images) == 0:
		return refuse("case "+string(c.No), "nothing of it is left to erase", "salvor show "+string(c.No))
	case c.Held():
		return readable(c.No, refusal(custody.TypePurgeValidated, custody.ErrHeld))
	}
	what := fmt.Sprintf("case %s: %s, to be erased by %s", c.No, strings.Join(images, ", "), s.deadlineWords(c.Deadline))
	if !o.yes {
		yes, err := s.term.YesNo(ctx, ui.Question{Text: what + "; may it be erased", Flag: "--yes"})
		if err != nil {
			return err
		}
		if !yes {
			return refuse("case "+string(c.No), "it was not validated", "what must be kept is held: salvor hold add "+string(c.No))
		}
	}
	entries, proposals := validations(c, images, op.ID, o.reason)
	if len(proposals) == 0 {
		return refuse("case "+string(c.No), "you have validated it already", "who erases is somebody else: salvor purge")
	}
	if err := s.record(ctx, op.ID, c.No, entries...); err != nil {
		return err
	}
	return s.done(map[string]any{"case": c.No, "proposals": proposals, "images": images}, "validated: %s", what)
}

// validations allow every open proposal that names an image which is left, and propose
// what nobody has proposed yet. What the operator has validated stays as it is.
func validations(c custody.Case, images []string, op, reason string) (entries []ledger.Entry, proposals []string) {
	covered := make(map[string]bool)
	for _, p := range c.Proposals {
		if p.Ref == (custody.Ref{}) {
			continue
		}
		open, mine := false, false
		for _, name := range images {
			for _, x := range p.Images {
				open = open || x == name
			}
		}
		for _, v := range p.Validated {
			mine = mine || v.Op == op
		}
		if !open {
			continue
		}
		for _, name := range p.Images {
			covered[name] = true
		}
		if !mine {
			proposals = append(proposals, p.ID)
		}
	}
	var missing []string
	for _, name := range images {
		if !covered[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		id := shortID("p")
		entries = append(entries, entry("", custody.PurgeProposed{Proposal: id, Images: missing, Deadline: custody.At(c.Deadline)}, nil))
		proposals = append(proposals, id)
	}
	for _, id := range proposals {
		entries = append(entries, entry("", custody.PurgeValidated{Proposal: id}, because(reason)))
	}
	return entries, proposals
}
