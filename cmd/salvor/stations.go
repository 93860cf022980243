package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
)

func newStation(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "station",
		Short: "the machines of the shop that run salvor",
		Long: `A new machine asks to join with salvor init --join VAULT and shows a code; here it is
approved when the code is the same.`,
		Example: "  salvor station list\n  salvor station approve B2",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newStationList(p), newStationApprove(p), newStationRetire(p), newStationSettle(p))
	return cmd
}

// waiting is a station that asks in a vault to be enrolled.
type waiting struct {
	ledger.EnrolmentRequest
	vault string // id
}

// waitingStations are the stations that ask in the vaults that are here. What lies
// there and is no request is named, and in refused.
func (s *station) waitingStations(ctx context.Context) (list []waiting, refused []journal.Refusal, err error) {
	names, err := s.vaultNames(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = s.withJournals(ctx, func(journals []*journal.Journal) error {
		for _, j := range journals {
			requests, err := s.ledger.Requests(ctx, j)
			if errors.Is(err, journal.ErrNoShop) {
				continue
			}
			for _, r := range refusals(err) {
				s.term.Warn("%s", refusalWords(names, r))
				refused = append(refused, r)
			}
			if err != nil && !errors.Is(err, ledger.ErrRefused) {
				return err
			}
			for _, r := range requests {
				list = append(list, waiting{r, j.Vault()})
			}
		}
		return nil
	})
	return list, refused, err
}

type stationRow struct {
	Station string            `json:"station"`
	State   string            `json:"state"` // here, enrolled, asks or retired
	Since   custody.Time      `json:"since,omitzero"`
	Why     custody.EndReason `json:"why,omitempty"`
	Code    string            `json:"code,omitempty"` // of one that asks
}

func newStationList(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "the stations, who asks to join, and the shop's public key",
		Long: `Lists the stations. The code of the shop's card belongs on paper, beside the recovery
key: it is what a rebuilt ledger is compared with when nothing else is left. The
shop's key is what audit --check wants.`,
		Example: "  salvor station list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.listStations(cmd.Context()) })
		},
	}
}

func (s *station) listStations(ctx context.Context) error {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	card, err := s.ledger.ShopCard(ctx)
	if err != nil {
		return err
	}
	asking, refused, err := s.waitingStations(ctx)
	if err != nil {
		return err
	}
	rows := []stationRow{}
	for _, x := range shop.Stations {
		r := stationRow{Station: x.Station, State: "enrolled", Since: custody.At(x.At)}
		switch {
		case x.Retired != nil:
			r.State, r.Why = "retired", x.Retired.Why
		case x.Station == s.keys.Name():
			r.State = "here"
		}
		rows = append(rows, r)
	}
	for _, w := range asking {
		rows = append(rows, stationRow{Station: w.Card.Station, State: "asks", Code: w.Code})
	}
	if s.json {
		if err := s.term.Document(map[string]any{"stations": rows, "shop": card.Shop, "shop_key": card.Sign, "shop_code": card.Code()}); err != nil || len(refused) == 0 {
			return err
		}
		return notBelieved(refused)
	}
	t := s.term.Table("station", "state", "since", "~code")
	for _, r := range rows {
		since, state := "", r.State
		if !r.Since.IsZero() {
			since = s.term.Date(r.Since.Time)
		}
		if r.Why != "" {
			state += ", " + string(r.Why)
		}
		t.Row(r.Station, state, since, r.Code)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	s.term.Say("the shop's key is %s", card.Sign)
	s.term.Say("the code of the shop's card, for the safe, is %s", card.Code())
	if len(refused) > 0 {
		return notBelieved(refused)
	}
	return nil
}

func newStationApprove(p *program) *cobra.Command {
	var code string
	cmd := &cobra.Command{
		Use:   "approve NAME",
		Short: "let a machine join that asks to",
		Long: `Enrols a machine that asks to join, when the code that it shows is typed here. Read it
from its screen or have it read to you by telephone: whoever could change the vault
could have put a request of his own there.`,
		Example: "  salvor station approve B2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.approveStation(cmd.Context(), args[0], code) })
		},
	}
	cmd.Flags().StringVar(&code, "code", "", "the `CODE` that the machine shows")
	return cmd
}

func (s *station) approveStation(ctx context.Context, name, code string) error {
	op, err := s.operator(ctx, custody.TypeStationEnrolled)
	if err != nil {
		return err
	}
	asking, refused, err := s.waitingStations(ctx)
	if err != nil {
		return err
	}
	var found *waiting
	for i := range asking {
		if asking[i].Card.Station == name {
			found = &asking[i]
		}
	}
	if found == nil {
		if err := s.enrolledAlready(ctx, name); err != nil {
			return err
		}
		if slices.ContainsFunc(refused, func(r journal.Refusal) bool { return r.Station == name }) {
			return &ui.Error{
				Code: ui.VerifyFailed, What: "station " + name, Why: "what lies in the vault is not the request that it wrote",
				Hint: "find out who changed the vault; salvor init --join VAULT on that machine writes it again", Err: &ledger.RefusedError{Refusals: refused},
			}
		}
		return &ui.Error{Code: ui.NotFound, What: "station " + name, Why: "it asks in no vault that is here", Hint: "on that machine: salvor init --join VAULT; here: salvor station list"}
	}
	if code == "" {
		if code, err = s.term.Line(ctx, ui.Question{Text: "station " + name + " asks to join; type the code that its screen shows", Flag: "--code", Check: notEmpty}); err != nil {
			return err
		}
	}
	if err := s.withJournals(ctx, func(journals []*journal.Journal) error {
		for _, j := range journals {
			if j.Vault() == found.vault {
				return s.ledger.Approve(ctx, op.ID, name, code, j)
			}
		}
		return ledger.ErrNotFound
	}); err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]string{"station": name, "state": "enrolled"})
	}
	s.term.Say("station %s is enrolled; on that machine: salvor init --join VAULT", name)
	return nil
}

// enrolledAlready says what became of a station that asks no more, because it was approved.
func (s *station) enrolledAlready(ctx context.Context, name string) error {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	x, ok := shop.Station(name)
	switch {
	case !ok:
		return nil
	case x.Retired != nil:
		return refuse("station "+name, "it is retired", "a machine that joins takes a name of its own: salvor init --join VAULT --station NAME")
	case name == s.keys.Name():
		return refuse("station "+name, "it is this one", "salvor station list")
	}
	return refuse("station "+name, "it is approved already, on "+s.term.Date(x.At), "nothing is left to do here; if it has not joined yet, on that machine: salvor init --join VAULT")
}

func newStationRetire(p *program) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   "retire NAME",
		Short: "believe nothing more that a station signs",
		Long: `Ends a station: what it has signed and what is known here of it counts, what it signs
from now on does not, at no station. Exchange with it once more before, if it still
runs. Whose key was stolen or copied is retired at once. What turns up later and nobody
had seen is told, until somebody settles it: salvor station settle.`,
		Example: "  salvor station retire B2 --reason replaced",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error {
				return s.retireStation(cmd.Context(), args[0], custody.EndReason(why))
			})
		},
	}
	cmd.Flags().StringVar(&why, "reason", "", "replaced, lost, stolen or closed")
	return cmd
}

// endReasons are the reasons for which a station or a key ends.
func endReasons() []ui.Option {
	return []ui.Option{
		{Value: string(custody.EndReplaced), Text: "another one takes its place"},
		{Value: string(custody.EndClosed), Text: "it is not needed any more"},
		{Value: string(custody.EndLost), Text: "it is lost"},
		{Value: string(custody.EndStolen), Text: "it is stolen or copied: others may sign with it"},
	}
}

// askEnd settles why something ends.
func (s *station) askEnd(ctx context.Context, what string, why custody.EndReason) (custody.EndReason, error) {
	if why == "" {
		answer, err := s.term.Choice(ctx, ui.Question{Text: "why does it end", Flag: "--reason"}, endReasons())
		return custody.EndReason(answer), err
	}
	if !why.Valid() {
		return "", usage(what, "--reason: replaced, lost, stolen or closed", "")
	}
	return why, nil
}

func (s *station) retireStation(ctx context.Context, name string, why custody.EndReason) error {
	op, err := s.operator(ctx, custody.TypeStationRetired)
	if err != nil {
		return err
	}
	if name == s.keys.Name() {
		return refuse("station "+name, "it is this one", "retire it at another station")
	}
	if why, err = s.askEnd(ctx, "station retire", why); err != nil {
		return err
	}
	if err := s.ledger.Retire(ctx, op.ID, name, why); err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]string{"station": name, "state": "retired"})
	}
	s.term.Say("station %s is retired; nothing that it signs from now on is believed", name)
	return nil
}
