package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keepOut refuses to write path when it lies below the state directory or a vault:
// what is opened must never lie where it was kept, and nothing that salvor needs is
// ever replaced. Directories are compared by what they are, not by their names, so
// that neither a link nor a bind mount leads around it.
func (s *station) keepOut(ctx context.Context, path string) error {
	taken, err := s.takenPlaces(ctx)
	if err != nil {
		return err
	}
	where, err := inside(path, taken)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if where != "" {
		return refuse("target", "it lies in "+where, "write it outside of the vaults and of salvor's own directory")
	}
	return nil
}

// takenPlaces are the directories that belong to salvor, by what to call them.
func (s *station) takenPlaces(ctx context.Context) (map[string]string, error) {
	taken := map[string]string{"the state directory": s.dir}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	paths, err := s.ledger.VaultPaths(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range shop.Vaults {
		if path := paths[v.Vault]; path != "" {
			taken["the vault "+v.Name] = path
		}
	}
	return taken, nil
}

// inside names the place that path, or the nearest directory above it that exists, is
// in; "" when it is in none.
func inside(path string, places map[string]string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for {
		resolved, err := filepath.EvalSymlinks(abs)
		if err == nil {
			abs = resolved
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(abs) == abs {
			return "", err
		}
		abs = filepath.Dir(abs)
	}
	for {
		have, err := os.Stat(abs)
		if err != nil {
			return "", err
		}
		for name, place := range places {
			if want, err := os.Stat(place); err == nil && os.SameFile(have, want) {
				return name, nil
			}
		}
		if filepath.Dir(abs) == abs {
			return "", nil
		}
		abs = filepath.Dir(abs)
	}
}
