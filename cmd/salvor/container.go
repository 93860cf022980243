package main

import (
	"context"
	"errors"
	"fmt"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/vault"
)

// openContainer opens an image's container, and insists that it is the one that the
// ledger knows under this case: another customer's image in its place is never
// verified, continued or given back.
func (s *station) openContainer(ctx context.Context, v *openedVault, no custody.CaseNo, i custody.Image) (*vault.Container, error) {
	ref := vault.ImageRef{Case: string(no), Name: i.Name}
	c, err := vault.OpenImage(ctx, v.dir, ref)
	if err != nil {
		return nil, err
	}
	if custody.UUID(c.Superblock().UUID) != i.UUID {
		c.Close()
		return nil, otherImage(ref)
	}
	if i.Seal != nil && custody.Hash(c.Root()) != i.Seal.Root {
		c.Close()
		return nil, &vault.CorruptError{Ref: ref, Segment: -1, Record: -1, What: "not what the ledger recorded when it was sealed"}
	}
	return c, nil
}

// openDamaged opens what still verifies of an image that is damaged, and names what
// does not. A root that differs from the recorded one is expected then.
func (s *station) openDamaged(ctx context.Context, v *openedVault, no custody.CaseNo, i custody.Image) (*vault.Container, error) {
	ref := vault.ImageRef{Case: string(no), Name: i.Name}
	c, err := vault.OpenSalvage(ctx, v.dir, ref, vault.SalvageOptions{})
	if err != nil {
		return nil, err
	}
	if custody.UUID(c.Superblock().UUID) != i.UUID {
		c.Close()
		return nil, otherImage(ref)
	}
	for _, d := range c.Damages() {
		s.term.Warn("%s: %s", ref, d)
	}
	return c, nil
}

// ownContainer checks the superblock alone, before an image is continued. An image of
// which nothing was written yet is nobody else's.
func (g *imaging) ownContainer() error {
	sb, err := vault.ReadSuperblock(g.vault.dir, g.ref())
	switch {
	case errors.Is(err, vault.ErrNotFound), errors.Is(err, vault.ErrCorrupt):
		return nil // not begun, or cut off while it was: the vault decides
	case err != nil:
		return err
	case custody.UUID(sb.UUID) != g.image.UUID:
		return otherImage(g.ref())
	}
	return nil
}

func otherImage(ref vault.ImageRef) error {
	return &ui.Error{
		Code: ui.Refused, What: "image " + ref.String(), Why: "another image lies in its place in the vault",
		Hint: "the ledger or the vault was put back from a copy, or somebody moved it: find out before anything else",
		Err:  fmt.Errorf("%s: %w", ref, vault.ErrForeign),
	}
}
