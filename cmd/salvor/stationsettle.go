package main

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

// settling is what a person says of the late log of a retired station.
type settling struct {
	vault, counts, reason string
}

func newStationSettle(p *program) *cobra.Command {
	var o settling
	cmd := &cobra.Command{
		Use:   "settle NAME",
		Short: "say whether what a retired station brings late counts",
		Long: `Ends the alarm about a station that is retired and in whose journal in a vault lies more
than anybody had seen before its end, or something else than was known. No signature
tells when that was recorded: a person says it, by what he knows of the disk.

Until then the cases of which it speaks are not purged. "yes" takes all of it in, at every
station. "no" leaves it alone. What the station's key signs behind that alarms again.`,
		Example: `  salvor station settle B2 --vault usb3 --counts yes --reason 'from a drawer'`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Without the exchange of every command, which would end with the very alarm.
			return p.withStationAlone(cmd.Context(), func(s *station) error { return s.settleStation(cmd.Context(), args[0], o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.vault, "vault", "", "the `VAULT` in which it lies")
	f.StringVar(&o.counts, "counts", "", "yes or no")
	f.StringVar(&o.reason, "reason", "", "how you know")
	return cmd
}

func (s *station) settleStation(ctx context.Context, name string, o settling) error {
	op, err := s.operator(ctx, custody.TypeStationSettled)
	if err != nil {
		return err
	}
	if o.vault == "" {
		return usage("station settle", "--vault is needed: the one that the alarm names", "salvor sync names it")
	}
	if o.counts == "" {
		if o.counts, err = s.term.Choice(ctx, ui.Question{Text: "does it count", Flag: "--counts"}, []ui.Option{
			{Value: "yes", Text: "it was recorded before the station ended: take it in everywhere"},
			{Value: "no", Text: "nobody knows who signed it: leave it alone"},
		}); err != nil {
			return err
		}
	}
	if o.counts != "yes" && o.counts != "no" {
		return usage("station settle", "--counts: yes or no", "")
	}
	if o.reason, err = s.text(ctx, o.reason, "--reason", "how do you know"); err != nil {
		return err
	}
	v, err := s.openVault(ctx, o.vault)
	if err != nil {
		return err
	}
	defer v.close()
	settled, err := s.ledger.Settle(ctx, op.ID, name, o.counts == "yes", o.reason, v.journal())
	if err != nil {
		return err
	}
	if _, err := s.ledger.Sync(ctx, v.journal()); err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]any{"station": name, "events": settled.Last, "counts": settled.Counts})
	}
	if settled.Counts {
		s.term.Say("what station %s recorded counts, up to its event %d", name, settled.Last)
	} else {
		s.term.Say("what station %s recorded too late is left alone, up to its event %d", name, settled.Last)
	}
	return nil
}
