package main

import (
	"context"
	"errors"

	"salvor/cmd/salvor/internal/config"
	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/vault"
)

// A second copy of each key may lie in another vault, so that the loss of one file does
// not lose an image. The record knows both, and the purge visits both.

// chooseKeystore opens the vault that keeps the second copies: the flag, SALVOR_KEYSTORE
// or the configuration; nil when there is none. One that is away keeps no customer
// waiting: it is said, and the key then lies beside its image alone.
func (s *station) chooseKeystore(ctx context.Context, flag string, main *openedVault) (*openedVault, error) {
	name, _ := config.Setting{Flag: flag, FlagSet: flag != "", Env: "SALVOR_KEYSTORE", Config: s.config.Image.Keystore}.Resolve(s.env)
	if name == "" {
		return nil, nil
	}
	v, err := s.openKept(ctx, name)
	switch {
	case away(err) && flag == "":
		s.term.Warn("vault %s, which keeps the second copies of keys, is not here: the key of this image lies beside it alone", name)
		return nil, nil
	case errors.Is(err, custody.ErrDestroyed) && flag == "":
		s.term.Warn("%v: the key of this image lies beside it alone", err)
		return nil, nil
	case err != nil:
		return nil, err
	case v.id == main.id:
		v.close()
		return nil, &ui.Error{Code: ui.Usage, What: "image", Why: "--keystore is the vault of the image itself", Hint: "name another vault, or none"}
	}
	return v, nil
}

// mirrored copies a key file to the other keystore, and tells whether it is there. What
// cannot be copied keeps no customer waiting either.
func (g *imaging) mirrored(k vault.KeyFile) bool {
	if g.mirror == nil {
		return false
	}
	if err := vault.CopyKey(g.vault.dir, g.mirror.dir, k); err != nil {
		g.term.Warn("the second copy of the key could not be written to vault %s: %v", g.mirror.name, err)
		return false
	}
	return true
}
