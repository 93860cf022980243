package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

func newForget(p *program) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "forget CASE",
		Short: "erase name, contact and every free text of a case",
		Long: `Erases the private parts of a case of which nothing is left in the shop: name, address, telephone, mail,
serial numbers, reasons; here at once, in the vaults that are here by the same
command, elsewhere with the next sync. What happened, and when, stays provable: the record keeps numbers,
dates and hashes, and nobody can test guesses against them. Print first what the
customer still has to get.

A backup of the ledger keeps what it held: make a new one, and destroy the others.`,
		Example: "  salvor forget T1-2026-0001",
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.forget(ctx, args[0], yes) }),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "nothing is asked")
	return cmd
}

func (s *station) forget(ctx context.Context, no string, yes bool) error {
	op, err := s.operator(ctx, custody.TypePrivateErased)
	if err != nil {
		return err
	}
	c, err := s.findCase(ctx, no)
	if err != nil {
		return err
	}
	if what := stillHere(c); what != "" {
		return refuse("case "+string(c.No), what+" is still here: whom it belongs to must not be forgotten", "salvor show "+string(c.No))
	}
	if c.Held() {
		return &ui.Error{Code: ui.Refused, What: "case " + string(c.No), Why: custody.ErrHeld.Error(), Hint: "salvor hold end, when the reason is gone", Err: custody.ErrHeld}
	}
	if !yes {
		if err := s.term.ConfirmExact(ctx, ui.Question{
			Text: "name, contact and texts of case " + string(c.No) + " are erased for good; type its number", Flag: "--yes",
		}, string(c.No)); err != nil {
			return err
		}
	}
	if err := s.ledger.ErasePrivate(ctx, op.ID, c.No); err != nil {
		return err
	}
	if err := s.saidBackups(ctx); err != nil {
		return err
	}
	return s.done(map[string]any{"case": c.No, "erased": "private"}, "the private parts of case %s are erased here and in every vault that is here; another vault follows when it is met", c.No)
}

// stillHere names something of a case that is still in the shop; "" when nothing is. An
// image file that was handed in is the customer's only with its medium.
func stillHere(c custody.Case) string {
	for _, x := range c.Open() {
		return string(x.Kind) + " " + x.Name
	}
	for _, i := range c.Items {
		if i.Kind != custody.ItemFile && !i.Ended() {
			return "item " + i.Item
		}
	}
	return ""
}

// saidBackups says that backups keep what they held.
func (s *station) saidBackups(ctx context.Context) error {
	shop, err := s.ledger.Shop(ctx)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	if n := len(shop.Backups); n > 0 {
		s.term.Warn("the backup of %s and older ones still hold them: make a new one and destroy those", s.term.Date(shop.Backups[n-1].At))
	}
	return nil
}
