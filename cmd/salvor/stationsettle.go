package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// settling is what a person says of the late log of a retired station.
type settling struct {
	vault, counts, reason string
	upTo                  int64
	list                  bool
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
station, or with --up-to its first part: --list shows the events, for whoever knows what
was done last. "no" leaves it alone. What the station's key signs behind that alarms again,
and so does a rest that does not count: say "no" to it then.`,
		Example: `  salvor station settle B2 --vault usb3 --list
  salvor station settle B2 --vault usb3 --counts yes --reason 'from a drawer'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Without the exchange of every command, which would end with the very alarm.
			return p.withStationAlone(cmd.Context(), func(s *station) error { return s.settleStation(cmd.Context(), args[0], o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.vault, "vault", "", "the `VAULT` in which it lies")
	f.StringVar(&o.counts, "counts", "", "yes or no")
	f.Int64Var(&o.upTo, "up-to", 0, "the `NUMBER` of the last event that counts (default: all of them)")
	f.BoolVar(&o.list, "list", false, "show the events, and settle nothing")
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
	if o.list {
		return s.listLate(ctx, name, o.vault)
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
	if o.upTo < 0 || o.upTo > 0 && o.counts == "no" {
		return usage("station settle", "--up-to: the number of the last event that counts", "salvor station settle "+name+" --vault "+o.vault+" --list")
	}
	if o.reason, err = s.text(ctx, o.reason, "--reason", "how do you know"); err != nil {
		return err
	}
	v, err := s.openVault(ctx, o.vault)
	if err != nil {
		return err
	}
	defer v.close()
	settled, err := s.ledger.Settle(ctx, op.ID, ledger.Settlement{Station: name, Counts: o.counts == "yes", UpTo: o.upTo, Reason: o.reason}, v.journal())
	if err != nil {
		return err
	}
	// What lies behind the part that counts alarms again: that is what was asked for.
	if _, err := s.ledger.Sync(ctx, v.journal()); err != nil && (o.upTo == 0 || !errors.Is(err, ledger.ErrRetired)) {
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

// listLate shows what a station recorded that is not known here.
func (s *station) listLate(ctx context.Context, name, vault string) error {
	v, err := s.openVault(ctx, vault)
	if err != nil {
		return err
	}
	defer v.close()
	events, err := s.ledger.LateEvents(ctx, name, v.journal())
	if err != nil {
		return err
	}
	type row struct {
		Event int64        `json:"event"`
		At    custody.Time `json:"at"` // as its clock said, or whoever signed it
		Type  custody.Type `json:"type"`
		Case  string       `json:"case,omitempty"`
	}
	rows := []row{}
	for _, e := range events {
		rows = append(rows, row{e.Seq, e.TS, e.Type(), string(e.Case)})
	}
	if s.json {
		return s.term.Document(map[string]any{"station": name, "events": rows})
	}
	t := s.term.Table("event", "at, as it says", "what", "~case")
	for _, r := range rows {
		t.Row(strconv.FormatInt(r.Event, 10), s.term.DateTime(r.At.Time), string(r.Type), r.Case)
	}
	return t.Flush()
}
