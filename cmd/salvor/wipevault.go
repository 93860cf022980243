package main

import (
	"context"
	"fmt"
	"strings"

	"salvor/custody/ledger"
	"salvor/rescue/blockdev/sysblock"
)

// notVaultDisk refuses the disk of a vault that is not mounted: nothing in use tells what it
// is, but this station has noted on which disk each vault lies. Where nothing of a customer
// is left on it, or the record says that it was destroyed, it is a disk like any other. name
// is the kernel's.
func (s *station) notVaultDisk(ctx context.Context, path, name, serial string) error {
	disks, err := s.vaultDisks()
	if err != nil {
		return err
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	for _, v := range shop.Vaults {
		if !disks[v.Vault].is(name, serial) || destroyedOn(shop, v.Vault) != "" {
			continue
		}
		if there, err := s.openVault(ctx, v.Vault); err == nil {
			there.close() // and its disk is in use
			continue
		}
		switch copies, err := s.lyingIn(ctx, v.Vault); {
		case err != nil:
			return err
		case copies > 0:
			return refuse("disk "+path, fmt.Sprintf("it is the disk of the vault %s, on which images and keys of customers lie (%d)", v.Name, copies),
				"purge them first; where the disk fails: salvor destroyed --vault "+v.Name)
		}
	}
	return nil
}

// lyingIn counts the images and key files that lie in a vault.
func (s *station) lyingIn(ctx context.Context, id string) (n int, err error) {
	cases, err := s.ledger.Cases(ctx, ledger.Filter{All: true})
	for _, c := range cases {
		for _, x := range c.Inventory() {
			if x.Store == id && x.End.Open() {
				n++
			}
		}
	}
	return n, err
}

// is tells whether a vault lay on a disk, by the serial number of the disk or by the file
// system that is on it now.
func (d vaultDisk) is(name, serial string) bool {
	if sameSerial(d.Serial, serial) {
		return true
	}
	uuid, ok := strings.CutPrefix(d.ID, "uuid ")
	if !ok {
		return false
	}
	dev, ok := sysblock.DevAt("/dev/disk/by-uuid/" + uuid)
	if !ok {
		return false
	}
	n, err := sysblock.This().Node(dev)
	return err == nil && n.Disk == name
}

// attachedAs is the number that the kernel gave to this attachment of a disk; another disk
// under the same name has another. 0: it gives none.
func attachedAs(path string) int64 {
	dev, ok := sysblock.DevAt(path)
	if !ok {
		return 0
	}
	n, err := sysblock.This().Node(dev)
	if err != nil {
		return 0
	}
	return n.Seq()
}
