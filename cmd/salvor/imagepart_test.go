package main

import (
	"testing"

	"salvor/custody"
	"salvor/rescue/blockdev"
)

// TestPartitionsOfOneDiskAreNotOne: they have its serial number, and often one size.
func TestPartitionsOfOneDiskAreNotOne(t *testing.T) {
	for _, tt := range []struct {
		then, now string
		want      likeness
	}{
		{"/dev/sda1", "/dev/sda1", sameSource},
		{"/dev/sda1", "/dev/sdb1", sameSource}, // plugged in again
		{"/dev/sda1", "/dev/sda2", otherSource},
		{"/dev/sda1", "/dev/sdb11", otherSource},
		{"/dev/nvme0n1p1", "/dev/nvme1n1p1", sameSource},
		{"/dev/nvme0n1p1", "/dev/nvme0n1p2", otherSource},
		{"/dev/sda2", "/dev/disk/by-id/usb-Dock_0123-0:0-part2", sameSource},
		{"/dev/sda1", "/dev/disk/by-id/usb-Dock_0123-0:0-part2", otherSource},
		{"/dev/sda1", "/dev/disk/by-uuid/1234-5671", perhapsSource},
		{"/home/jan/disk1", "/dev/sda1", perhapsSource},
	} {
		g := &imaging{ident: blockdev.Identity{Path: tt.now, Kind: blockdev.Partition, Bytes: 4096, Serial: "S1", Model: "M"}}
		got := g.likeness(custody.Image{Bytes: 4096}, map[string]string{
			custody.FieldSource: tt.then, custody.FieldSerial: "S1", custody.FieldModel: "M",
		})
		if got != tt.want {
			t.Errorf("%s, then %s: %d, want %d", tt.then, tt.now, got, tt.want)
		}
	}
}
