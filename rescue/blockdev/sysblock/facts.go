package sysblock

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Facts are what /sys knows of a device. Nothing in it is required: a bridge that hides
// the serial number is no reason to refuse a disk. Of a partition, everything but the
// size and ReadOnly is its disk's. Model, serial number and WWN are personal data as soon
// as the device is a customer's.
type Facts struct {
	Vendor     string
	Model      string
	Serial     string
	WWN        string
	Firmware   string
	Transport  string // "sata", "sas", "usb", "nvme", "mmc", "virtio", "loop", "nbd"; else empty
	Bytes      int64
	Sector     int // logical, bytes
	Physical   int // bytes
	Rotational bool
	Removable  bool
	ReadOnly   bool
	Seq        int64 // which disk it is, as the kernel counts them; 0 when it does not
}

// Facts reads what /sys knows of a device.
func (h Host) Facts(n Node) Facts {
	disk := n.DiskDir()
	f := Facts{
		Vendor:     Text(disk, "device/vendor"),
		Model:      first(Text(disk, "device/model"), Text(disk, "device/name")),
		Serial:     h.Serial(n),
		WWN:        n.WWN(),
		Firmware:   first(Text(disk, "device/firmware_rev"), Text(disk, "device/rev"), Text(disk, "device/fwrev")),
		Transport:  n.transport(),
		Bytes:      n.Bytes(),
		Sector:     int(Number(disk, "queue/logical_block_size")),
		Physical:   int(Number(disk, "queue/physical_block_size")),
		Rotational: Number(disk, "queue/rotational") == 1,
		Removable:  Number(disk, "removable") == 1,
		ReadOnly:   Number(n.Dir, "ro") == 1,
		Seq:        n.Seq(),
	}
	if strings.HasPrefix(f.Vendor, "0x") {
		f.Vendor = "" // a PCI number, on NVMe and virtio
	}
	return f
}

// Bytes is the size of a device; 0 without a medium.
func (n Node) Bytes() int64 { return Number(n.Dir, "size") * 512 } // /sys counts 512 whatever the sector

// Seq tells one attachment of a disk from every other one; 0 from a kernel that does not
// count them (before Linux 5.15).
func (n Node) Seq() int64 { return max(0, Number(n.DiskDir(), "diskseq")) }

// Written is how many sectors of 512 bytes were written to a disk and its partitions since
// it was attached; where the kernel was told not to count, always the same number.
func (n Node) Written() int64 {
	f := strings.Fields(Text(n.Dir, "stat"))
	if len(f) < 7 {
		return 0
	}
	written, err := strconv.ParseInt(f[6], 10, 64)
	if err != nil {
		return 0
	}
	return written
}

// WWN is the world wide name of a disk, or empty.
func (n Node) WWN() string {
	disk := n.DiskDir()
	return first(Text(disk, "device/wwid"), Text(disk, "wwid"), Text(disk, "device/cid"))
}

// Serial asks the places where the transports keep a disk's serial number: NVMe and MMC,
// virtio, SCSI with SATA behind it, and last the USB bridge, which answers for itself.
func (h Host) Serial(n Node) string {
	dir := n.DiskDir()
	if s := first(Text(dir, "device/serial"), Text(dir, "serial")); s != "" {
		return s
	}
	// SCSI's unit serial number page: four bytes in front, the text behind.
	if page, err := os.ReadFile(filepath.Join(dir, "device/vpd_pg80")); err == nil && len(page) > 4 {
		if s := Printable(page[4:]); s != "" {
			return s
		}
	}
	for ; len(dir) > len(h.Sys); dir = filepath.Dir(dir) {
		if Text(dir, "idVendor") != "" {
			return Text(dir, "serial")
		}
	}
	return ""
}

// transport tells the way to a device from its place in /sys.
func (n Node) transport() string {
	for _, t := range []struct{ prefix, name string }{{"nvme", "nvme"}, {"mmcblk", "mmc"}, {"loop", "loop"}, {"nbd", "nbd"}} {
		if strings.HasPrefix(n.Disk, t.prefix) {
			return t.name
		}
	}
	for _, t := range []struct{ part, name string }{{"/usb", "usb"}, {"/ata", "sata"}, {"/end_device-", "sas"}, {"/virtio", "virtio"}} {
		if strings.Contains(n.Dir, t.part) {
			return t.name
		}
	}
	return ""
}
