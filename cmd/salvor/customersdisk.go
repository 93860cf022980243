package main

import (
	"context"
	"fmt"
	"slices"

	"salvor/custody"
	"salvor/custody/ledger"
)

// A disk that a customer has handed in is written over only where that is meant: its
// serial number typed right says that it is this disk, and not whose it is.

// customersDisk finds the item that is still in the shop and has this serial number, as
// it was taken down at the desk or read when an image was made. Without one nothing is
// found.
func (s *station) customersDisk(ctx context.Context, serial string) (item custody.Item, no custody.CaseNo, found bool, err error) {
	if serial == "" {
		return item, "", false, nil
	}
	cases, err := s.ledger.Cases(ctx, ledger.Filter{})
	if err != nil {
		return item, "", false, err
	}
	for _, c := range cases {
		private, err := s.ledger.PrivateOfCase(ctx, c.No)
		if err != nil {
			return item, "", false, err
		}
		for _, i := range c.Items {
			if !i.Ended() && hasSerial(c, i, private, serial) {
				return i, c.No, true, nil
			}
		}
	}
	return item, "", false, nil
}

func hasSerial(c custody.Case, item custody.Item, private map[custody.Ref]map[string]string, serial string) bool {
	is := func(ref custody.Ref) bool {
		at, ok := c.Current(ref, custody.FieldSerial)
		return ok && sameSerial(private[at][custody.FieldSerial], serial)
	}
	return is(item.Ref) || slices.ContainsFunc(c.Images, func(i custody.Image) bool { return i.Item == item.Item && is(i.Ref) })
}

// notOriginal refuses to restore over a disk that a customer has handed in, unless that
// was asked for: an image may miss what the disk still has.
func (s *station) notOriginal(ctx context.Context, path, serial string, asked bool) error {
	item, no, found, err := s.customersDisk(ctx, serial)
	if err != nil || !found || asked {
		return err
	}
	return refuse("target "+path, fmt.Sprintf("it is item %s of case %s, and still in the shop", item.Item, no), "take another disk; if the customer wants this one overwritten: --over-original")
}
