package blockdev

import (
	"salvor/rescue"
	"salvor/rescue/blockdev/sysblock"
)

// Kind is what a path turned out to be.
type Kind uint8

// The kinds of source.
const (
	File      Kind = iota + 1 // a regular file
	Disk                      // a whole block device
	Partition                 // part of one
)

// String gives the kind in words.
func (k Kind) String() string {
	switch k {
	case File:
		return "file"
	case Disk:
		return "disk"
	case Partition:
		return "partition"
	}
	return "unknown"
}

// Identity says which device it is. What the device does not tell is empty.
// Model, serial and WWN are personal data as soon as the device is a customer's.
type Identity struct {
	Path       string // as it was asked for
	Name       string // the kernel's: "sda", "nvme0n1p2"; of a file, its base name
	Kind       Kind
	Vendor     string
	Model      string
	Serial     string
	WWN        string
	Transport  string // "sata", "usb", "nvme", "sas", "mmc", "virtio", "loop"
	Bytes      int64
	Sector     int   // logical, bytes
	Physical   int   // bytes
	Offset     int64 // sectors before the first boundary of a physical sector
	Rotational bool
	Removable  bool
	ReadOnly   bool // write-protected before it was opened
}

// Info is the part of an identity that the imaging engine needs.
func (id Identity) Info() rescue.Info {
	return rescue.Info{
		Bytes: id.Bytes, Sector: id.Sector, Physical: id.Physical, Offset: id.Offset, Rotational: id.Rotational,
	}
}

// describe is the identity of a device, as far as /sys knows it.
func (h host) describe(n sysblock.Node) Identity {
	f := h.Facts(n)
	id := Identity{
		Name: n.Name, Kind: Disk, Path: h.Path(n.Name),
		Vendor: f.Vendor, Model: f.Model, Serial: f.Serial, WWN: f.WWN, Transport: f.Transport,
		Bytes: f.Bytes, Sector: f.Sector, Physical: f.Physical,
		Rotational: f.Rotational, Removable: f.Removable, ReadOnly: f.ReadOnly,
	}
	if n.Partition {
		id.Kind = Partition
	}
	if id.Sector > 0 {
		id.Offset = max(sysblock.Number(n.Dir, "alignment_offset"), 0) / int64(id.Sector)
	}
	return id
}
