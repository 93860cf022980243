package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/rescue/blockdev"
)

// A disk that a customer has handed in is written over only where that is meant: its
// serial number typed right says that it is this disk, and not whose it is.

// handedIn is an item that is still in the shop.
type handedIn struct {
	no   custody.CaseNo
	item string
}

func (h handedIn) String() string { return string(h.no) + "/" + h.item }

// itemsOr names items of which a disk is one.
func itemsOr(list []handedIn) string { return "item " + strings.Join(texts(list), " or ") }

// itemsAnd names items, the first of many.
func itemsAnd(list []handedIn) string {
	const most = 3
	if more := len(list) - most; more > 0 {
		return fmt.Sprintf("items %s and %d more", strings.Join(texts(list[:most]), ", "), more)
	}
	return "item " + strings.Join(texts(list), ", item ")
}

func texts(list []handedIn) []string {
	out := make([]string, len(list))
	for i, h := range list {
		out[i] = h.String()
	}
	return out
}

// seenDisk is what a disk is known by: its serial number or its world wide name, which
// stands on the label too, and, where no number was to be had when it was imaged, its size
// and its beginning.
type seenDisk struct {
	serial, wwn string
	bytes       int64
	print       func() string // of the beginning; "" when that tells nothing
}

func seen(serial, wwn string, bytes int64, path string) seenDisk {
	return seenDisk{serial, wwn, bytes, sync.OnceValue(func() string {
		of, err := contentPrint(blockdev.Identity{Path: path, Kind: blockdev.Disk})
		if err != nil || of == vaguePrint() {
			return ""
		}
		return of
	})}
}

// customersDisk finds the items still in the shop that a disk is or may be: by the serial
// number that was taken down at the desk or read when an image was made, or by what an
// image of a disk without a serial number was known by. The disks of unknown are those of
// which nothing of the kind is recorded: any disk may be one of them.
func (s *station) customersDisk(ctx context.Context, d seenDisk) (found, unknown []handedIn, err error) {
	cases, err := s.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return nil, nil, err
	}
	for _, c := range cases {
		here := slices.DeleteFunc(slices.Clone(c.Items), custody.Item.Ended)
		if len(here) == 0 {
			continue
		}
		private, err := s.ledger.PrivateOfCase(ctx, c.No)
		if err != nil {
			return nil, nil, err
		}
		for _, i := range here {
			switch is, known := d.is(c, i, private); {
			case is:
				found = append(found, handedIn{c.No, i.Item})
			case !known && isDisk(i.Kind):
				unknown = append(unknown, handedIn{c.No, i.Item})
			}
		}
	}
	return found, unknown, nil
}

// is says whether a disk is an item, and whether anything is recorded that tells.
func (d seenDisk) is(c custody.Case, item custody.Item, private map[custody.Ref]map[string]string) (is, known bool) {
	serial := func(ref custody.Ref) string {
		if at, ok := c.Current(ref, custody.FieldSerial); ok {
			return private[at][custody.FieldSerial]
		}
		return ""
	}
	own := serial(item.Ref)
	is, known = d.named(own), own != ""
	for _, i := range c.Images {
		if i.Item != item.Item {
			continue
		}
		was, begins := serial(i.Ref), private[i.Ref][custody.FieldFingerprint]
		known = known || was != "" || begins != ""
		is = is || d.named(was) || was == "" && i.Bytes == d.bytes && d.beginsAs(begins)
	}
	return is, known
}

// another tells whether a disk certainly is not the item: it has a serial number, and so has
// the item, or an image of it, and none of those is the disk's. A computer has one of its own.
func (d seenDisk) another(c custody.Case, item custody.Item, private map[custody.Ref]map[string]string) bool {
	refs := make([]custody.Ref, 0, 1+len(c.Images))
	if isDisk(item.Kind) {
		refs = append(refs, item.Ref)
	}
	for _, i := range c.Images {
		if i.Item == item.Item {
			refs = append(refs, i.Ref)
		}
	}
	known := false
	for _, ref := range refs {
		at, ok := c.Current(ref, custody.FieldSerial)
		number := strings.TrimSpace(private[at][custody.FieldSerial])
		if !ok || number == "" {
			continue
		}
		if d.named(number) {
			return false
		}
		known = true
	}
	return known && d.serial != ""
}

// named tells whether a number that somebody took down is one of the disk.
func (d seenDisk) named(number string) bool {
	if sameSerial(number, d.serial) {
		return true
	}
	kind, name, ok := strings.Cut(d.wwn, ".") // as the kernel says it: naa.5000c500a1b2c3d4
	if !ok {
		kind, name = "", d.wwn
	}
	return kind != "nvme" && sameSerial(number, name)
}

func (d seenDisk) beginsAs(as string) bool {
	return as != "" && d.print() != "" && (as == d.print() || as == printWithMap(d.print()))
}

// isDisk tells what is a disk by itself from what has one inside.
func isDisk(k custody.ItemKind) bool {
	switch k {
	case custody.ItemDisk, custody.ItemHDD, custody.ItemSSD, custody.ItemNVMe, custody.ItemStick, custody.ItemCard:
		return true
	}
	return false
}

// sameSerial compares two serial numbers as drives, their labels and people write them:
// spaces, signs, case and zeros in front do not count, nor what only one of them has in
// front, such as the "WD-" that a drive says and its label does not.
func sameSerial(a, b string) bool {
	a, b = bareSerial(a), bareSerial(b)
	if len(a) > len(b) {
		a, b = b, a
	}
	const tells = 8 // characters: fewer may be the end of any number
	return a != "" && (a == b || len(a) >= tells && strings.HasSuffix(b, a))
}

func bareSerial(s string) string {
	bare := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, s)
	if short := strings.TrimLeft(bare, "0"); short != "" {
		return short
	}
	return bare[:min(1, len(bare))]
}

// notOriginal refuses to restore over a disk that a customer has handed in, unless that
// was asked for: an image may miss what the disk still has.
func (s *station) notOriginal(ctx context.Context, ident blockdev.Identity, asked bool) error {
	if asked {
		return nil
	}
	found, _, err := s.customersDisk(ctx, seen(ident.Serial, ident.WWN, ident.Bytes, ident.Path))
	if err != nil || len(found) == 0 {
		return err
	}
	return refuse("target "+ident.Path, "it is "+itemsOr(found)+", and still in the shop", "take another disk; if the customer wants this one overwritten: --over-original")
}
