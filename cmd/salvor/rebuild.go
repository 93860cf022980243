package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/config"
	"salvor/cmd/salvor/internal/ui"
	"salvor/custody/journal"
	"salvor/custody/ledger"
)

type rebuildOptions struct {
	initOptions
	from       []string
	code       string
	backup     string
	identities []string
	passphrase ui.SecretFrom
}

func newRebuild(p *program) *cobra.Command {
	var o rebuildOptions
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "make the ledger again from the vaults, or a backup and the vaults",
		Long: `Makes the ledger anew out of what the journals in the vaults hold. Cases and papers read
the same as before; what was recorded and never published is lost.

The station's key and configuration must be in the state directory. Where the key is
lost too, --backup takes ledger and key out of a backup, and the vaults bring it up
to date. A machine without a configuration is asked for it. A station that did not
create the shop compares the code of the shop's card, which was written down beside
the recovery key (salvor station list).`,
		Example: `  salvor ledger rebuild --from /mnt/nas
  salvor ledger rebuild --from /mnt/nas --backup FILE --identity safe.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.rebuild(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.from, "from", nil, "`DIR` of a vault; may be repeated, name all there are")
	f.StringVar(&o.code, "shop-code", "", "the `CODE` of the shop's card, as it was written down")
	f.StringVar(&o.backup, "backup", "", "a `FILE` that salvor ledger backup wrote")
	f.StringArrayVar(&o.identities, "identity", nil, "identity `FILE` of a shop key; may be repeated")
	f.StringVar(&o.shop, "shop", "", "name of the shop, where the configuration is lost")
	f.StringVar(&o.dpo, "dpo", "", "data protection officer or contact, where the configuration is lost")
	passphraseFlags(cmd, &o.passphrase)
	return cmd
}

func (p *program) rebuild(ctx context.Context, o rebuildOptions) error {
	dir, err := p.findState()
	if err != nil {
		return err
	}
	if hasLedger(dir) {
		return refuse("ledger rebuild", "there is a ledger in "+dir, "keep a copy of it, take it away, and rebuild then; an old one is brought up to date with salvor ledger catch-up")
	}
	if len(o.from) == 0 && o.backup == "" {
		return usage("ledger rebuild", "from which vaults?", "--from DIR")
	}
	if err := config.MakeState(dir); err != nil {
		return err
	}
	if err := p.configure(ctx, dir, o.initOptions); err != nil {
		return err
	}
	var vaults []*openedVault
	var journals []*journal.Journal
	for _, path := range o.from {
		v, err := markedVault(path)
		if err != nil {
			return err
		}
		defer v.close()
		vaults, journals = append(vaults, v), append(journals, v.journal())
	}
	var identities []age.Identity
	if len(o.identities) > 0 {
		if identities, err = (&station{program: p, dir: dir}).identities(ctx, o.identities, o.passphrase); err != nil {
			return err
		}
	}
	var result ledger.SyncResult
	if o.backup != "" {
		result, err = p.restoreBackup(ctx, dir, o, identities, journals)
	} else {
		result, err = p.rebuildFrom(ctx, dir, o, identities, vaults, journals)
	}
	list := refusals(err)
	if err != nil && len(list) == 0 {
		return err
	}
	for _, r := range list {
		p.term.Warn("vault %s: %s: %v", r.Vault, r.File, r.Why)
	}
	if err := p.rememberVaults(ctx, vaults); err != nil {
		return err
	}
	if p.json {
		if err := p.term.Document(map[string]any{"imported": result.Imported, "cases": len(result.Cases), "refused": len(list)}); err != nil {
			return err
		}
	} else {
		p.term.Say("the ledger is made again: %s, about %s", eventCount(result.Imported), caseCount(len(result.Cases)))
	}
	if len(list) > 0 {
		return notBelieved(list)
	}
	return nil
}

// configure asks for a configuration where there is none.
func (p *program) configure(ctx context.Context, dir string, o initOptions) error {
	path := filepath.Join(dir, config.FileName)
	if _, err := config.Load(config.System, path); !errors.Is(err, config.ErrNone) {
		return err
	}
	o.station = "T1" // not asked for: the key has the name
	d := config.Default()
	o.language, o.zone = d.Shop.Language, d.Shop.Timezone
	if err := p.settleShop(ctx, &o); err != nil {
		return err
	}
	return config.Write(path, o.config())
}

// rebuildFrom makes a ledger out of journals alone.
func (p *program) rebuildFrom(ctx context.Context, dir string, o rebuildOptions, identities []age.Identity, vaults []*openedVault, journals []*journal.Journal) (ledger.SyncResult, error) {
	keys, err := ledger.LoadStation(filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return ledger.SyncResult{}, &ui.Error{
			Code: ui.NotFound, What: "ledger rebuild", Why: "the station's key is gone too",
			Hint: "with a backup: --backup FILE --identity FILE; without one: salvor init --join VAULT as a new station, and retire this one", Err: err,
		}
	}
	if err != nil {
		return ledger.SyncResult{}, err
	}
	options := ledger.RebuildOptions{Identities: identities}
	card, _, err := journals[0].Shop()
	if err != nil {
		return ledger.SyncResult{}, fmt.Errorf("vault at %s: %w", vaults[0].path, err)
	}
	if card != keys.Card() {
		if err := p.compareCard(ctx, card, o.code); err != nil {
			return ledger.SyncResult{}, err
		}
		options.Shop = &card
	}
	return p.buildLedger(ctx, dir, vaults[0].id, vaults[0].path, func(path string) (*ledger.Ledger, ledger.SyncResult, error) {
		return ledger.Rebuild(ctx, path, keys, p.now, options, journals...)
	})
}

// compareCard has a person compare the code of the shop's card with the paper.
func (p *program) compareCard(ctx context.Context, card journal.Card, code string) error {
	if code == "" {
		var err error
		if code, err = p.term.Line(ctx, ui.Question{Text: "code of the shop's card, as it was written down beside the recovery key", Flag: "--shop-code", Check: notEmpty}); err != nil {
			return err
		}
	}
	plain := func(s string) string { return strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(s)) }
	if plain(code) != plain(card.Code()) {
		return fmt.Errorf("card of the shop: %w", ledger.ErrCode)
	}
	return nil
}

// restoreBackup takes ledger and key out of a backup, and has the journals bring it up
// to date: a ledger that is older than what it published must record nothing.
func (p *program) restoreBackup(ctx context.Context, dir string, o rebuildOptions, identities []age.Identity, journals []*journal.Journal) (result ledger.SyncResult, err error) {
	if len(identities) == 0 {
		return result, usage("ledger rebuild", "a backup is opened with one of the shop's keys", "--identity FILE")
	}
	f, err := os.Open(o.backup)
	if err != nil {
		return result, fmt.Errorf("backup: %w", err)
	}
	defer f.Close()
	old := filepath.Join(dir, keyFile+".old")
	moved := os.Rename(filepath.Join(dir, keyFile), old) == nil // the backup brings it
	if err := ledger.RestoreBackup(ctx, f, dir, identities...); err != nil {
		if moved {
			err = errors.Join(err, os.Rename(old, filepath.Join(dir, keyFile)))
		}
		return result, err
	}
	if moved {
		os.Remove(old)
	}
	if len(journals) == 0 {
		p.term.Warn("a vault holds what was recorded since the backup: salvor ledger catch-up, before anything else")
		return result, nil
	}
	err = p.withStationAlone(ctx, func(s *station) error {
		result, err = s.ledger.CatchUp(ctx, journals...)
		return err
	})
	return result, err
}

// rememberVaults tells a new ledger where the vaults are, and exchanges with them.
func (p *program) rememberVaults(ctx context.Context, vaults []*openedVault) error {
	return p.withStation(ctx, func(s *station) error {
		for _, v := range vaults {
			if err := s.ledger.SetVaultPath(ctx, v.id, v.path); err != nil {
				return err
			}
		}
		return nil
	})
}
