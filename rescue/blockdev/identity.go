package blockdev

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"salvor/rescue"
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

// describe reads what sysfs knows of a device. Nothing in it is required: a bridge
// that hides the serial is no reason to refuse a disk.
func (h host) describe(n node) Identity {
	disk := filepath.Join(h.sys, "block", n.disk)
	id := Identity{
		Name: n.name, Kind: Disk, Path: devPath(n.name),
		Vendor:     text(disk, "device/vendor"),
		Model:      first(text(disk, "device/model"), text(disk, "device/name")),
		Serial:     h.serial(disk),
		WWN:        first(text(disk, "device/wwid"), text(disk, "wwid"), text(disk, "device/cid")),
		Transport:  transport(n),
		Bytes:      number(n.dir, "size") * 512, // sysfs counts 512 whatever the sector
		Sector:     int(number(disk, "queue/logical_block_size")),
		Physical:   int(number(disk, "queue/physical_block_size")),
		Rotational: number(disk, "queue/rotational") == 1,
		Removable:  number(disk, "removable") == 1,
		ReadOnly:   number(n.dir, "ro") == 1,
	}
	if n.partition {
		id.Kind = Partition
	}
	if strings.HasPrefix(id.Vendor, "0x") {
		id.Vendor = "" // a PCI number, on NVMe and virtio
	}
	if id.Sector > 0 {
		id.Offset = max(number(n.dir, "alignment_offset"), 0) / int64(id.Sector)
	}
	return id
}

// serial asks the places where the transports keep it: NVMe and MMC, virtio, SCSI
// with SATA behind it, and last the USB bridge, which answers for itself.
func (h host) serial(disk string) string {
	if s := first(text(disk, "device/serial"), text(disk, "serial")); s != "" {
		return s
	}
	// SCSI's unit serial number page: four bytes in front, the text behind.
	if page, err := os.ReadFile(filepath.Join(disk, "device/vpd_pg80")); err == nil && len(page) > 4 {
		if s := printable(page[4:]); s != "" {
			return s
		}
	}
	dir, err := filepath.EvalSymlinks(disk)
	if err != nil {
		return ""
	}
	for ; len(dir) > len(h.sys); dir = filepath.Dir(dir) {
		if text(dir, "idVendor") != "" {
			return text(dir, "serial")
		}
	}
	return ""
}

// transport tells the way to a device from its place in sysfs.
func transport(n node) string {
	switch {
	case strings.HasPrefix(n.disk, "nvme"):
		return "nvme"
	case strings.HasPrefix(n.disk, "mmcblk"):
		return "mmc"
	case strings.HasPrefix(n.disk, "loop"):
		return "loop"
	case strings.HasPrefix(n.disk, "nbd"):
		return "nbd"
	case strings.Contains(n.dir, "/usb"):
		return "usb"
	case strings.Contains(n.dir, "/ata"):
		return "sata"
	case strings.Contains(n.dir, "/end_device-"):
		return "sas"
	case strings.Contains(n.dir, "/virtio"):
		return "virtio"
	}
	return ""
}

// text is the content of a sysfs file in one line, or empty.
func text(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return printable(b)
}

// printable drops what no label should carry: a dying disk may answer with anything.
func printable(b []byte) string {
	return string(bytes.TrimSpace(bytes.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, b)))
}

func number(dir, name string) int64 {
	n, err := strconv.ParseInt(text(dir, name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func first(of ...string) string {
	for _, s := range of {
		if s != "" {
			return s
		}
	}
	return ""
}
