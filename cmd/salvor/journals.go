package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
)

// reachable are the shop's vaults of which this station knows where they are mounted;
// whether they are there now is another matter.
func (s *station) reachable(ctx context.Context) ([]custody.Vault, error) {
	paths, err := s.ledger.VaultPaths(ctx)
	if err != nil || len(paths) == 0 {
		return nil, err
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	var list []custody.Vault
	for _, v := range shop.Vaults {
		if paths[v.Vault] != "" {
			list = append(list, v)
		}
	}
	return list, nil
}

// withJournals opens the journals of all vaults that are here.
func (s *station) withJournals(ctx context.Context, do func([]*journal.Journal) error) error {
	vaults, err := s.reachable(ctx)
	if err != nil {
		return err
	}
	var journals []*journal.Journal
	for _, known := range vaults {
		v, err := s.openVault(ctx, known.Vault)
		if err != nil {
			continue // whoever needs it names it as missing
		}
		defer v.close()
		journals = append(journals, v.journal())
	}
	return do(journals)
}

// journal is the journal that lies in a vault.
func (v *openedVault) journal() *journal.Journal { return journal.Open(v.id, v.dir.Root()) }

// syncVault exchanges with the journal in one vault.
func (s *station) syncVault(ctx context.Context, l *ledger.Ledger, id string) (ledger.SyncResult, error) {
	v, err := s.openVault(ctx, id)
	if err != nil {
		return ledger.SyncResult{}, err
	}
	defer v.close()
	return l.Sync(ctx, v.journal())
}

// away tells whether an error says that a vault is not there, and nothing worse.
func away(err error) bool { return err != nil && ui.ExitCode(explain(err)) == ui.Absent }

// full tells whether an error says that a vault is there and takes no more.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// refusals are the files of journals that an error speaks of.
func refusals(err error) []journal.Refusal {
	var refused *ledger.RefusedError
	if errors.As(err, &refused) {
		return refused.Refusals
	}
	return nil
}

// isAlarm tells whether an error says that this station is not what it was: its ledger
// is an old one, or its key signs elsewhere.
func isAlarm(err error) bool {
	return errors.Is(err, ledger.ErrRolledBack) || errors.Is(err, ledger.ErrCloned)
}

// vaultNames are the vaults' names by id.
func (s *station) vaultNames(ctx context.Context) (map[string]string, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string)
	for _, v := range shop.Vaults {
		names[v.Vault] = v.Name
	}
	return names, nil
}

// refusalWords name a file that was not believed, by the vault's name.
func refusalWords(names map[string]string, r journal.Refusal) string {
	return fmt.Sprintf("vault %s: %s: %v", names[r.Vault], r.File, r.Why)
}
