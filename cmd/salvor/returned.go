package main

import (
	"context"
	"errors"
	"io/fs"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
)

// returned looks for images that were erased and lie in their vault again: somebody
// put a copy of the vault back. An attest was given for them, so each one is named at
// every purge until somebody has looked.
func (r *purgeRun) returned(ctx context.Context) error {
	cases, err := r.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return err
	}
	open := make(map[string]*openedVault)
	defer func() {
		for _, v := range open {
			if v != nil {
				v.close()
			}
		}
	}()
	for _, c := range cases {
		for _, i := range c.Images {
			if i.State != custody.ImageIsErased {
				continue
			}
			v, tried := open[i.Vault]
			if !tried {
				v, _ = r.openVault(ctx, i.Vault) // a vault that is away cannot be looked into
				open[i.Vault] = v
			}
			if v == nil {
				continue
			}
			there, err := lies(v, vault.ImageRef{Case: string(c.No), Name: i.Name})
			if err != nil {
				return err
			}
			if there {
				r.report(c.No, i.Name, erased{Outcome: "returned"}, &ui.Error{
					Code: ui.Incomplete, What: "image " + string(c.No) + "/" + i.Name, Why: "it was erased, and lies in vault " + v.name + " again: a copy of the vault was put back",
					Hint: "find out who has copies of the vault; then take its directories under cases and keystore away",
				})
			}
		}
	}
	return nil
}

// lies tells whether there is anything under the names of an image or its keys.
func lies(v *openedVault, ref vault.ImageRef) (bool, error) {
	for _, dir := range []string{ref.Dir(), ref.KeyDir()} {
		entries, err := v.dir.List(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return false, err
		case len(entries) > 0:
			return true, nil
		}
	}
	return false, nil
}
