package device

import (
	"fmt"
	"slices"

	"salvor/wipe"
)

// Identity says which device it is. What the device does not tell is empty. Model,
// serial number and WWN are personal data as soon as the device is a customer's.
type Identity struct {
	Name      string      `json:"name"`            // the kernel's: "sdb", "nvme0n1"
	ByID      []string    `json:"by_id,omitempty"` // names below /dev/disk/by-id
	Vendor    string      `json:"vendor,omitempty"`
	Model     string      `json:"model,omitempty"`
	Serial    string      `json:"serial,omitempty"`
	WWN       string      `json:"wwn,omitempty"`
	Firmware  string      `json:"firmware,omitempty"`
	Transport string      `json:"transport,omitempty"` // "sata", "sas", "usb", "nvme", "mmc", "virtio", "loop"
	Bytes     int64       `json:"bytes"`
	Sector    int         `json:"sector"`   // logical, bytes
	Physical  int         `json:"physical"` // bytes
	Rotating  wipe.Answer `json:"rotating,omitempty"`
	Virtual   []string    `json:"virtual,omitempty"` // kinds of the virtual layers, this one first
	Media     Media       `json:"media"`
	Seq       uint64      `json:"seq,omitempty"` // BLKGETDISKSEQ: another device under the same name has another; 0 before Linux 5.15
	Hidden    Hidden      `json:"hidden,omitzero"`
	Abilities Abilities   `json:"abilities,omitzero"`
	// Twins are other devices of this machine that show the same serial number.
	Twins []string `json:"twins,omitempty"`
}

// Media is the kind of device, as far as it decides how it is wiped.
type Media string

// The kinds of device.
const (
	HardDisk Media = "hard disk"
	SSD      Media = "SSD"
	NVMe     Media = "NVMe SSD"
	Stick    Media = "USB stick" // or anything behind USB that does not say what it is
	Card     Media = "memory card"
	Virtual  Media = "virtual device"
	Unknown  Media = "unknown device"
)

// Hidden is what a drive keeps from its host: a host protected area or a device
// configuration overlay.
type Hidden struct {
	Known   bool  `json:"known,omitempty"`   // the drive was asked and answered
	Sectors int64 `json:"sectors,omitempty"` // that exist and cannot be reached
}

// Abilities are the ways in which a drive says it can sanitize itself.
type Abilities struct {
	Known     bool `json:"known,omitempty"` // the drive was asked and answered
	Overwrite bool `json:"overwrite,omitempty"`
	Block     bool `json:"block,omitempty"`
	Crypto    bool `json:"crypto,omitempty"`
	// Shared: a sanitize would erase more than this device, other namespaces of the
	// same NVMe drive, and so is out of the question.
	Shared bool `json:"shared,omitempty"`
}

// Bridged reports whether something stands between the host and the drive that hides
// what the drive is.
func (id Identity) Bridged() bool { return id.Transport == "usb" }

// Confirmation is what a person has to type before the device is wiped: its serial
// number, or, where it has none or another device shows the same, its kernel name and
// its size in bytes: "loop3:67108864".
func (id Identity) Confirmation() string {
	if id.BySerial() {
		return id.Serial
	}
	return fmt.Sprintf("%s:%d", id.Name, id.Bytes)
}

// BySerial reports whether the serial number tells the device from every other one of
// this machine.
func (id Identity) BySerial() bool { return id.Serial != "" && len(id.Twins) == 0 }

// Same reports whether two looks found one and the same device, wherever it is
// attached now.
func (id Identity) Same(o Identity) bool {
	same := id.Bytes == o.Bytes && id.Sector == o.Sector && id.Model == o.Model && id.Serial == o.Serial && id.WWN == o.WWN
	if id.BySerial() && o.BySerial() {
		return same
	}
	return same && id.Name == o.Name && id.Seq == o.Seq && id.Seq != 0
}

// Passes is how many times the device has to be overwritten. Cheap flash writes to
// other places than it says; a second pass reaches more of them.
func (id Identity) Passes() int {
	switch id.Media {
	case Stick, Card, Unknown:
		return 2
	}
	return 1
}

// Sanitize is the best way in which the device can sanitize itself, "" for none. It
// is only asked of a drive that this host speaks to directly.
func (id Identity) Sanitize() Action {
	a := id.Abilities
	if !a.Known || a.Shared || id.Bridged() || len(id.Virtual) > 0 {
		return ""
	}
	order := []struct {
		can    bool
		action Action
	}{{a.Block, BlockErase}, {a.Crypto, CryptoErase}, {a.Overwrite, OverwriteErase}}
	if id.Media == HardDisk {
		slices.Reverse(order)
	}
	for _, o := range order {
		if o.can {
			return o.action
		}
	}
	return ""
}

// mediaOf sorts a device. Behind USB only what says that it spins, or that it does
// not, is more than a stick.
func mediaOf(id Identity) Media {
	switch {
	case len(id.Virtual) > 0:
		return Virtual
	case id.Transport == "nvme":
		return NVMe
	case id.Transport == "mmc":
		return Card
	case id.Rotating == wipe.Yes:
		return HardDisk
	case id.Rotating == wipe.No && (id.Transport == "usb" || id.Transport == "sata" || id.Transport == "sas"):
		return SSD
	case id.Transport == "usb":
		return Stick
	}
	return Unknown
}
