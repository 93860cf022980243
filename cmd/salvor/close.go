package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

func newClose(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "close CASE",
		Short: "close a case of which nothing is left in the shop",
		Long: `Closes a case. It needs every copy of the data returned, erased or destroyed, every
item returned or destroyed, no open offer and no hold.`,
		Example: `  salvor close T1-2026-0001`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.closeCase(ctx, args[0]) }),
	}
}

func (s *station) closeCase(ctx context.Context, no string) error {
	op, c, _, err := s.actsOn(ctx, custody.TypeCaseClosed, no)
	if err != nil {
		return err
	}
	if err := s.record(ctx, op.ID, c.No, entry("", custody.CaseClosed{}, nil)); err != nil {
		if left := leftWords(c); left != "" {
			s.term.Say("still open: %s", left)
		}
		var own *ui.Error
		if hint := s.endsNext(c); hint != "" && errors.As(err, &own) {
			own.Hint = hint
		}
		return err
	}
	return s.done(map[string]any{"case": c.No, "closed": true}, "case %s is closed", c.No)
}

// endsNext names the command that ends the first of what keeps a case open; "" when
// nothing does that a command of the case could end.
func (s *station) endsNext(c custody.Case) string {
	for _, h := range c.Holds {
		if h.Active() {
			return fmt.Sprintf("when the reason is gone: salvor hold end %s %s", c.No, h.ID)
		}
	}
	for _, x := range c.Open() {
		switch {
		case x.Kind == custody.CopyImage && (c.Due(s.now()) || c.Deadline.IsZero()):
			return "salvor purge"
		case x.Kind == custody.CopyImage:
			return fmt.Sprintf("the purge erases it after %s; sooner: salvor deadline %s --keep 0d", s.term.Date(c.Deadline), c.No)
		case x.Kind == custody.CopyExport:
			return fmt.Sprintf("handed over: salvor return %s --copy %s; otherwise salvor erased or salvor destroyed, --copy %s", c.No, x.Name, x.Name)
		}
	}
	for _, i := range c.Items {
		item := string(c.No) + "/" + i.Item
		switch {
		case len(i.Offers) > 0:
			return "who was offered it takes it: salvor custody accept " + item
		case i.State == custody.ItemIsDisputed:
			return "who has it in hand says so: salvor custody accept " + item + " --from LOGIN"
		case i.State == custody.ItemIsOut:
			return "when it is back: salvor custody back " + item
		case i.Kind == custody.ItemFile && !i.Ended():
			return "the customer has the file: salvor return " + item + "; its disk was wiped: salvor erased " + item
		case !i.Ended():
			return "salvor return " + item + "; or salvor destroyed " + item
		}
	}
	return ""
}
