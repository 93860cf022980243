package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
)

func newSync(p *program) *cobra.Command {
	var vault string
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "exchange the record with the other stations, through the vaults",
		Long: `Takes in what the other stations have recorded in the journals of the vaults, and
publishes there what this one has. Every command does so by itself, as far as the
vaults are there and answer soon; this one waits for them, and names each file that
is not believed.`,
		Example: "  salvor sync\n  salvor sync --vault usb1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStationAlone(cmd.Context(), func(s *station) error { return s.sync(cmd.Context(), vault) })
		},
	}
	cmd.Flags().StringVar(&vault, "vault", "", "only this vault")
	return cmd
}

// syncRow is what came of one vault.
type syncRow struct {
	Vault     string           `json:"vault"`
	Name      string           `json:"name"`
	State     string           `json:"state"` // exchanged, absent, refused or alarm
	Why       string           `json:"why,omitempty"`
	Imported  int              `json:"imported"`
	Published int              `json:"published"`
	Opened    int              `json:"opened,omitempty"`
	Erased    int              `json:"erased,omitempty"`
	Waiting   int64            `json:"waiting"` // events that it has not got
	Cases     []custody.CaseNo `json:"cases,omitempty"`
	Refused   []string         `json:"refused,omitempty"`
}

func (s *station) sync(ctx context.Context, only string) error {
	vaults, err := s.reachable(ctx)
	if err != nil {
		return err
	}
	if only != "" {
		v, err := s.openVault(ctx, only)
		if err != nil {
			return err
		}
		v.close()
		vaults = []custody.Vault{{VaultAdded: custody.VaultAdded{Vault: v.id, Name: v.name}}}
	}
	rows := []syncRow{}
	var refused []journal.Refusal
	var alarm, failed error
	for _, v := range vaults {
		result, err := s.syncVault(ctx, s.ledger, v.Vault)
		row := syncRow{
			Vault: v.Vault, Name: v.Name, State: "exchanged",
			Imported: result.Imported, Published: result.Published, Opened: result.Opened, Erased: result.Erased, Cases: result.Cases,
		}
		list := refusals(err)
		for _, r := range list {
			row.Refused = append(row.Refused, fmt.Sprintf("%s: %v", r.File, r.Why))
		}
		refused = append(refused, list...)
		switch {
		case isAlarm(err):
			row.State, alarm = "alarm", named(v, err)
		case len(list) > 0:
			row.State = "refused"
		case full(err):
			row.State, failed = "full", named(v, err)
		case away(err):
			row.State = "absent"
		case err != nil:
			row.State, failed = "failed", named(v, err)
		}
		if err != nil && len(list) == 0 {
			row.Why = named(v, err).Error()
		}
		if row.Waiting, err = s.ledger.Outbox(ctx, v.Vault); err != nil {
			return err
		}
		rows = append(rows, row)
	}
	late, err := s.ledger.Unacknowledged(ctx)
	if err != nil {
		return err
	}
	names, err := s.vaultNames(ctx)
	if err != nil {
		return err
	}
	if err := s.printSync(rows, names, late); err != nil {
		return err
	}
	switch {
	case alarm != nil:
		return alarm
	case len(refused) > 0:
		return notBelieved(refused)
	case failed != nil:
		return failed
	case len(late) > 0:
		return unpublished(names, late[0])
	}
	for _, r := range rows {
		if r.State == "exchanged" {
			return nil
		}
	}
	if len(rows) > 0 {
		return &ui.Error{Code: ui.Absent, What: "sync", Why: "no vault is here", Hint: "mount one and try again; salvor vault list"}
	}
	s.term.Say("no vault is known here: salvor vault add DIR")
	return nil
}

func (s *station) printSync(rows []syncRow, names map[string]string, late []ledger.UnpublishedError) error {
	if s.json {
		waiting := []string{}
		for _, u := range late {
			waiting = append(waiting, fmt.Sprintf("%s %s: vault %s", u.Events[0].Type(), u.Case, missingWords(names, u.Vaults)))
		}
		return s.term.Document(map[string]any{"vaults": rows, "unacknowledged": waiting})
	}
	t := s.term.Table("vault", "state", ">taken in", ">published", ">waiting", "~")
	for _, r := range rows {
		t.Row(r.Name, r.State, r.Imported, r.Published, r.Waiting, r.Why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		for _, f := range r.Refused {
			s.term.Warn("vault %s: %s", r.Name, f)
		}
	}
	for _, u := range late {
		s.term.Warn("case %s: %s is not known in vault %s yet", u.Case, u.Events[0].Type(), missingWords(names, u.Vaults))
	}
	return nil
}

// missingWords name the vaults that have not heard of something.
func missingWords(names map[string]string, list []ledger.Missing) string {
	var words []string
	for _, m := range list {
		words = append(words, names[m.Vault])
	}
	return strings.Join(words, ", ")
}
