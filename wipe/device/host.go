package device

import (
	"os"
	"path/filepath"

	"salvor/rescue/blockdev/sysblock"
	"salvor/wipe"
)

// host is the machine; tests have one of their own.
type host struct{ sysblock.Host }

func this() host { return host{sysblock.This()} }

// describe is the identity of a whole device, as far as /sys knows it.
func (h host) describe(n sysblock.Node) Identity {
	f := h.Facts(n)
	id := Identity{
		Name: n.Name, Vendor: f.Vendor, Model: f.Model, Serial: f.Serial, WWN: f.WWN, Firmware: f.Firmware,
		Transport: f.Transport, Bytes: f.Bytes, Sector: f.Sector, Physical: f.Physical, Seq: uint64(f.Seq),
	}
	if id.Vendor == "ATA" {
		id.Vendor = "" // the kernel's word for every SATA drive
	}
	id.Virtual, id.Rotating = wipe.Layers(n.Dir)
	id.Media = mediaOf(id)
	links := filepath.Join(h.Dev, "disk/by-id")
	for _, name := range sysblock.Entries(links) {
		if to, err := os.Readlink(filepath.Join(links, name)); err == nil && filepath.Base(to) == n.Name {
			id.ByID = append(id.ByID, sysblock.Printable([]byte(name)))
		}
	}
	for _, other := range h.Disks() {
		if other.Dir != n.Dir && id.Serial != "" && other.Bytes() > 0 && h.Serial(other) == id.Serial {
			id.Twins = append(id.Twins, other.Name)
		}
	}
	return id
}
