package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
)

func newLedger(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ledger",
		Short:   "back the record up, and make it again when it is lost",
		Example: "  salvor ledger backup --to /mnt/stick --place offsite\n  salvor ledger rebuild --from /mnt/nas",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBackup(p), newRebuild(p), newCatchUp(p))
	return cmd
}

func newBackup(p *program) *cobra.Command {
	var to, place string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "write an encrypted copy of the ledger and of the station's key",
		Long: `Writes one file, encrypted to the shop's keys: any of them opens it, and so does age.
It holds what the ledger holds now, also names that are erased later: keep the newest
and destroy the others.`,
		Example: "  salvor ledger backup --to /mnt/stick --place offsite",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.backup(cmd.Context(), to, custody.BackupPlace(place)) })
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "`DIR` in which the file is written")
	cmd.Flags().StringVar(&place, "place", "", "where that is: vault, removable, offsite or local (default: what it looks like)")
	return cmd
}

func (s *station) backup(ctx context.Context, to string, place custody.BackupPlace) error {
	if to == "" {
		return usage("ledger backup", "where should it go?", "--to DIR")
	}
	if place == "" {
		var err error
		if place, err = s.backupPlace(ctx, to); err != nil {
			return err
		}
	}
	if !place.Valid() {
		return usage("ledger backup", "--place: vault, removable, offsite or local", "")
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	var recipients []string
	for _, k := range shop.Keys {
		recipients = append(recipients, k.Recipient)
	}
	if len(recipients) == 0 {
		return refuse("ledger backup", "the shop has no key that could open it", "salvor key new")
	}
	b, err := s.ledger.Backup(ctx, recipients, to)
	if err != nil {
		return err
	}
	if _, err := s.ledger.Append(ctx, s.operatorOrStation(ctx), ledger.Entry{
		Pub: custody.BackupMade{SHA256: b.SHA256, Bytes: b.Bytes, Events: b.Events, Place: place},
	}); err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]any{"file": b.Path, "bytes": b.Bytes, "sha256": b.SHA256, "events": b.Events, "place": place})
	}
	s.term.Say("%s holds %s; destroy older ones: they hold what was erased since", b.Path, eventCount(b.Events))
	return nil
}

// backupPlace is what a directory looks like: in a vault, on this machine's own disk,
// or on another one.
func (s *station) backupPlace(ctx context.Context, dir string) (custody.BackupPlace, error) {
	taken, err := s.takenPlaces(ctx)
	if err != nil {
		return "", err
	}
	delete(taken, "the state directory")
	where, err := inside(dir, taken)
	if err != nil {
		return "", err
	}
	var there, here unix.Stat_t
	if err := errors.Join(unix.Stat(dir, &there), unix.Stat(s.dir, &here)); err != nil {
		return "", fmt.Errorf("--to: %w", err)
	}
	switch {
	case where != "":
		return custody.BackupVault, nil
	case there.Dev != here.Dev:
		return custody.BackupRemovable, nil
	}
	return custody.BackupLocal, nil
}

func newCatchUp(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "catch-up",
		Short: "take back what was published, where an old ledger lies",
		Long: `Takes back this station's own events from the vaults, when its ledger has become an
older one: a backup was restored, or a file put back. What was recorded and never
published is lost. Where both were written to, the station has two histories: then
nothing is taken back, and it has to be retired.`,
		Example: "  salvor ledger catch-up",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStationAlone(cmd.Context(), func(s *station) error { return s.catchUp(cmd.Context()) })
		},
	}
}

func (s *station) catchUp(ctx context.Context) error {
	return s.withJournals(ctx, func(journals []*journal.Journal) error {
		if len(journals) == 0 {
			return refuse("ledger catch-up", "no vault is here", "mount them all: what only an absent one holds would be missing; salvor vault list")
		}
		result, err := s.ledger.CatchUp(ctx, journals...)
		if err != nil {
			return err
		}
		if s.json {
			return s.term.Document(map[string]any{"imported": result.Imported, "cases": len(result.Cases)})
		}
		s.term.Say("%s taken back, about %s", eventCount(result.Imported), caseCount(len(result.Cases)))
		return nil
	})
}

// hasLedger tells whether a state directory holds a ledger.
func hasLedger(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ledgerFile))
	return err == nil
}
