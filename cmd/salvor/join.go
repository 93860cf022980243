package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"salvor/cmd/salvor/internal/config"
	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
	"salvor/custody/vault"
)

// A station joins in two steps. It makes its keys, writes a request into a vault of the
// shop and shows a code; a person compares that code where the station is approved. Then
// the same command takes everything in. Between the two the state directory holds keys
// and configuration, and which shop's card the code was about.

// joinFile holds the card of the shop that a station has asked to join.
const joinFile = "joining.json"

// markedVault opens a directory that must be a vault.
func markedVault(path string) (*openedVault, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	dir, err := vault.OpenDir(path)
	if err != nil {
		return nil, fmt.Errorf("vault at %s: %w", path, err)
	}
	marker, err := vault.Open(dir)
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("vault at %s: %w", path, err)
	}
	return &openedVault{id: marker.Vault, name: filepath.Base(path), path: path, dir: dir}, nil
}

// join asks to join the shop of a vault, or finishes joining when it was approved.
func (p *program) join(ctx context.Context, dir string, o initOptions) error {
	v, err := markedVault(o.join)
	if err != nil {
		return err
	}
	defer v.close()
	card, err := readJoin(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := p.settleShop(ctx, &o); err != nil {
			return err
		}
		return p.askToJoin(dir, v, o)
	}
	if err != nil {
		return err
	}
	return p.finishJoin(ctx, dir, v, card)
}

func readJoin(dir string) (journal.Card, error) {
	var card journal.Card
	text, err := os.ReadFile(filepath.Join(dir, joinFile))
	if err == nil {
		err = json.Unmarshal(text, &card)
	}
	if err != nil {
		return card, fmt.Errorf("request to join: %w", err)
	}
	return card, nil
}

// askToJoin makes the station's keys and writes its request. A run that is cut off
// before the card of the shop is kept is begun anew, with other keys.
func (p *program) askToJoin(dir string, v *openedVault, o initOptions) (err error) {
	j := v.journal()
	card, _, err := j.Shop()
	if err != nil {
		return fmt.Errorf("vault at %s: %w", v.path, err)
	}
	requests, _, err := j.Requests()
	if err != nil {
		return fmt.Errorf("vault at %s: %w", v.path, err)
	}
	for _, r := range requests {
		if r.Station == o.station {
			return refuse("init", "another machine asks to join as "+o.station, "use another --station; salvor station list at the shop's station shows who asks")
		}
	}
	_, statErr := os.Lstat(dir)
	if err := config.MakeState(dir); err != nil {
		return err
	}
	clean := func() {
		for _, name := range []string{joinFile, keyFile, config.FileName} {
			os.Remove(filepath.Join(dir, name))
		}
	}
	clean()
	defer func() {
		if err != nil {
			clean()
			if errors.Is(statErr, fs.ErrNotExist) {
				os.Remove(dir)
			}
		}
	}()
	keys, err := ledger.NewStation(card.Shop, o.station, rand.Reader)
	if err != nil {
		return err
	}
	if err := keys.Save(filepath.Join(dir, keyFile)); err != nil {
		return err
	}
	if err := config.Write(filepath.Join(dir, config.FileName), o.config()); err != nil {
		return err
	}
	code, err := ledger.AskToJoin(j, keys)
	if err != nil {
		if errors.Is(err, ledger.ErrExists) {
			return refuse("init", "the shop has a station "+o.station, "use another --station")
		}
		return err
	}
	text, err := json.Marshal(card)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(dir, joinFile), text, 0o600, renameio.WithTempDir(dir)); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	if p.json {
		return p.term.Document(map[string]string{"station": o.station, "state": "asks", "code": code})
	}
	fmt.Fprintf(p.term.Out, "%s\n", code)
	p.term.Say("station %s asks to join. At a station of the shop: salvor station approve %s, and compare this code", o.station, o.station)
	p.term.Say("then here again: salvor init --join %s", shellQuote(v.path))
	return nil
}

// finishJoin makes the ledger and takes in everything that the vault holds. The ledger
// is made beside its place, so that a run that is cut off is done again.
func (p *program) finishJoin(ctx context.Context, dir string, v *openedVault, card journal.Card) error {
	if err := config.CheckState(dir); err != nil {
		return err
	}
	keys, err := ledger.LoadStation(filepath.Join(dir, keyFile))
	if err != nil {
		return err
	}
	result, err := p.buildLedger(ctx, dir, v.id, v.path, func(path string) (*ledger.Ledger, ledger.SyncResult, error) {
		return ledger.Join(ctx, path, keys, card, p.now, v.journal())
	})
	if errors.Is(err, ledger.ErrUnknownStation) {
		if err := askAgain(v, keys); err != nil {
			return err
		}
		return &ui.Error{
			Code: ui.Incomplete, What: "init", Why: "station " + keys.Name() + " is not approved yet; its code is " + journal.PairCode(card, keys.Card()),
			Hint: "at a station of the shop: salvor station approve " + keys.Name() + "; then repeat this command", Err: err,
		}
	}
	if err != nil {
		return err
	}
	os.Remove(filepath.Join(dir, joinFile))
	if p.json {
		return p.term.Document(map[string]any{"station": keys.Name(), "state": "joined", "imported": result.Imported, "cases": len(result.Cases)})
	}
	p.term.Say("station %s has joined: %s about %s taken in", keys.Name(), eventCount(result.Imported), caseCount(len(result.Cases)))
	return nil
}

// askAgain writes the request of a station that waits, where it is gone from the vault or
// was changed there.
func askAgain(v *openedVault, keys ledger.Station) error {
	requests, _, err := v.journal().Requests()
	if err != nil {
		return fmt.Errorf("vault at %s: %w", v.path, err)
	}
	for _, r := range requests {
		switch {
		case r == keys.Card():
			return nil
		case r.Station == keys.Name():
			return refuse("init", "another machine asks to join as "+keys.Name(), "if it is none of the shop's, find out who changed the vault; else begin anew under another name: --state DIR --station NAME")
		}
	}
	_, err = ledger.AskToJoin(v.journal(), keys)
	return err
}

// buildLedger makes a ledger beside its place, tells it where the vault is, and puts it
// there when it is whole.
func (p *program) buildLedger(ctx context.Context, dir, id, path string, build func(path string) (*ledger.Ledger, ledger.SyncResult, error)) (ledger.SyncResult, error) {
	unfinished := filepath.Join(dir, "setup.db")
	for _, name := range []string{unfinished, unfinished + "-journal"} {
		os.Remove(name)
	}
	l, result, err := build(unfinished)
	if l == nil {
		return result, err
	}
	refused := err // beside a ledger that holds the rest
	err = l.SetVaultPath(ctx, id, path)
	if cerr := l.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(unfinished, filepath.Join(dir, ledgerFile))
	}
	if err == nil {
		os.Remove(unfinished + "-journal")
		err = syncDir(dir)
	}
	return result, firstOf(err, refused)
}

// checkName refuses what is no name of a station.
func (o initOptions) checkName() error {
	if custody.CheckStation(o.station) != nil {
		return usage("init", "a station's name is a capital and up to seven capitals or digits", "--station T1")
	}
	return nil
}
