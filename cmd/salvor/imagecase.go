package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/rescue/blockdev"
)

// findOrOpen finds the unfinished image that this command continues, else begins one,
// in the case that was named or in a new one.
func (g *imaging) findOrOpen(ctx context.Context, o imageOptions) error {
	if o.caseNo != "" {
		return g.inCase(ctx, o.caseNo)
	}
	if found, err := g.findUnfinished(ctx, o.customer.customer); err != nil || found {
		return err
	}
	in, err := o.customer.complete(ctx, g.station)
	if err != nil {
		return err
	}
	if err := g.ready(ctx); err != nil {
		return err
	}
	g.no, err = g.ledger.OpenCase(ctx, g.op.ID, g.now().In(g.term.Zone).Year(), func(no custody.CaseNo) []ledger.Entry {
		return append(in.entries(no), g.begin(no, custody.Case{}, in.deadline.Deadline.Time, in.at)...)
	})
	if err != nil {
		return err
	}
	return g.loadImage(ctx)
}

// ready checks what would stop an image at once, before a case is opened for it: two
// keys, and room in the vault for a disk on which nothing can be left out.
func (g *imaging) ready(ctx context.Context) error {
	if _, _, err := g.recipients(ctx); err != nil {
		return err
	}
	free, err := g.vault.dir.Free()
	if err != nil {
		return fmt.Errorf("vault %s: %w", g.vault.name, err)
	}
	if need := vault.WorstCase(g.ident.Bytes); free < need {
		return fmt.Errorf("vault %s: %w: %s free, %s needed in the worst case", g.vault.name, vault.ErrNoSpace, ui.Size(free), ui.Size(need))
	}
	return nil
}

func (g *imaging) loadImage(ctx context.Context) error {
	c, err := g.ledger.Case(ctx, g.no)
	if err != nil {
		return err
	}
	i, ok := c.Image(g.image.Name)
	if !ok {
		return fmt.Errorf("image %s/%s: %w", g.no, g.image.Name, custody.ErrNoImage)
	}
	g.image = i
	return nil
}

// inCase continues the unfinished image of this source in a case, or begins another.
func (g *imaging) inCase(ctx context.Context, no string) error {
	var err error
	if g.no, err = custody.ParseCaseNo(no); err != nil {
		return usage("image", "--case: not a case number", "salvor cases")
	}
	c, err := g.ledger.Case(ctx, g.no)
	if err != nil {
		return fmt.Errorf("case %s: %w", g.no, err)
	}
	private, err := g.ledger.PrivateOfCase(ctx, g.no)
	if err != nil {
		return err
	}
	for _, i := range c.Images {
		if g.continues(c, i, private[i.Ref]) {
			g.image = i
			return nil
		}
	}
	if c.Due(g.now()) {
		return refuse("case "+string(g.no), "its deadline has come", "open a new case")
	}
	if err := g.ready(ctx); err != nil {
		return err
	}
	if _, err := g.ledger.Append(ctx, g.op.ID, g.begin(g.no, c, c.Deadline, custody.At(g.now()))...); err != nil {
		return err
	}
	return g.loadImage(ctx)
}

// findUnfinished looks for an image of this source and customer, in this vault, that
// an earlier run left unfinished.
func (g *imaging) findUnfinished(ctx context.Context, customer string) (bool, error) {
	cases, err := g.ledger.Cases(ctx, ledger.Filter{})
	if err != nil {
		return false, err
	}
	for _, c := range cases {
		for _, i := range c.Images {
			if i.Vault != g.vault.id {
				continue
			}
			private, err := g.ledger.PrivateOfCase(ctx, c.No)
			if err != nil {
				return false, err
			}
			if !g.continues(c, i, private[i.Ref]) {
				continue
			}
			for _, fields := range private {
				if name, ok := fields[custody.FieldCustomer]; ok && (customer == "" || name == customer) {
					g.no, g.image = c.No, i
					g.term.Say("going on with %s/%s", c.No, i.Name)
					return true, nil
				}
			}
		}
	}
	return false, nil
}

// continues tells whether an image is of this source and is not finished: not sealed,
// or sealed and never checked since.
func (g *imaging) continues(c custody.Case, i custody.Image, private map[string]string) bool {
	switch i.State {
	case custody.ImageIsStarted, custody.ImageIsPaused:
	case custody.ImageIsSealed:
		for _, check := range c.Checks {
			if check.Image == i.Name {
				return false
			}
		}
	default:
		return false
	}
	if i.Vault != g.vault.id || i.Bytes != g.ident.Bytes {
		return false
	}
	if g.ident.Serial != "" {
		return private[custody.FieldSerial] == g.ident.Serial && private[custody.FieldModel] == g.ident.Model
	}
	return private[custody.FieldSerial] == "" && private[custody.FieldSource] == sourcePath(g.ident)
}

func sourcePath(ident blockdev.Identity) string {
	path, err := filepath.Abs(ident.Path)
	if err != nil {
		return ident.Path
	}
	return path
}

// sourceID names a source without telling anything about it: the name of a lock.
func sourceID(ident blockdev.Identity) string {
	if ident.Serial != "" {
		return shortHash(ident.Model + "\x00" + ident.Serial)
	}
	return shortHash(sourcePath(ident))
}

// begin records a new item and its image, in one transaction with the case itself
// where that is new. Image and deadline are of one instant: an image that is due at
// once must not be a second younger than its deadline.
func (g *imaging) begin(no custody.CaseNo, c custody.Case, deadline time.Time, created custody.Time) []ledger.Entry {
	item := fmt.Sprint(len(c.Items) + 1)
	info := g.source.Info()
	g.image = custody.Image{Name: c.NextImage()}
	return []ledger.Entry{
		{Case: no, Item: item, Pub: custody.ItemReceived{Item: item, Kind: itemKind(g.ident), Bytes: info.Bytes}, Private: map[string]string{
			custody.FieldModel: g.ident.Model, custody.FieldSerial: g.ident.Serial,
		}},
		{Case: no, Item: item, Pub: custody.ImageStarted{
			Image: g.image.Name, UUID: newUUID(), Vault: g.vault.id, Item: item,
			Bytes: info.Bytes, Sector: int64(info.Sector), Physical: int64(max(info.Physical, info.Sector)),
			Created: created, EraseBy: custody.At(deadline),
		}, Private: map[string]string{
			custody.FieldSource: sourcePath(g.ident), custody.FieldModel: g.ident.Model, custody.FieldSerial: g.ident.Serial,
		}},
	}
}

func itemKind(ident blockdev.Identity) custody.ItemKind {
	switch {
	case ident.Kind == blockdev.File:
		return custody.ItemFile
	case ident.Transport == "nvme":
		return custody.ItemNVMe
	case ident.Transport == "mmc":
		return custody.ItemCard
	case ident.Rotational && ident.Transport != "usb":
		return custody.ItemHDD
	case ident.Transport == "sata":
		return custody.ItemSSD
	}
	return custody.ItemDisk
}

// newUUID draws a random UUID (RFC 9562, version 4).
func newUUID() custody.UUID {
	var u custody.UUID
	rand.Read(u[:]) // never fails: crypto/rand
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u
}
