package device

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue/blockdev/passthrough"
	"salvor/rescue/blockdev/sysblock"
)

// speaker gives commands past the block layer to the drive behind an open device.
// Tests answer in a drive's place. An error says that the command did not get through;
// what the drive made of it is in the command.
type speaker interface {
	scsi(*scsiCommand) error
	nvme(*nvmeCommand) error
	// namespace is the number of the NVMe namespace that the device is.
	namespace() (uint32, error)
}

// quick is for commands that change nothing.
const quick = 10 * time.Second

// errNoWay: this device takes no such commands.
var errNoWay = errors.New("takes no commands of this kind")

// scsiCommand is a SCSI command and the answer to it.
type scsiCommand struct {
	cdb     []byte
	data    []byte // what the drive sends, or gets
	out     bool   // it gets the data
	timeout time.Duration

	status uint8 // 0 good, 2 check condition
	host   uint16
	sense  []byte
}

// nvmeCommand is an NVMe admin command and the answer to it.
type nvmeCommand struct {
	opcode    uint8
	namespace uint32
	data      []byte // what the drive sends
	cdw10     uint32
	cdw11     uint32
	timeout   time.Duration

	status uint16 // 0 success; status code and type as the kernel gives them
}

// ioctls is the speaker of a real device.
type ioctls struct{ f *os.File }

func (i ioctls) scsi(c *scsiCommand) error {
	way := passthrough.FromDrive
	if c.out {
		way = passthrough.ToDrive
	}
	a, err := passthrough.SCSI(i.f, c.cdb, c.data, way, c.timeout)
	if err != nil {
		return noWay(err)
	}
	c.status, c.host, c.sense = a.Status, a.Host, a.Sense
	return nil
}

func (i ioctls) nvme(c *nvmeCommand) error {
	status, err := passthrough.NVMe(i.f, passthrough.Admin, passthrough.NVMeCommand{
		Opcode: c.opcode, Namespace: c.namespace, Data: c.data, CDW: [6]uint32{c.cdw10, c.cdw11}, Timeout: c.timeout,
	})
	if err != nil {
		return noWay(err)
	}
	c.status = status
	return nil
}

func (i ioctls) namespace() (uint32, error) {
	n, err := passthrough.Namespace(i.f)
	if err != nil {
		return 0, noWay(err)
	}
	return n, nil
}

// noWay marks the errors by which the kernel says that a device takes no such commands.
func noWay(err error) error {
	for _, errno := range []unix.Errno{unix.ENOTTY, unix.EINVAL, unix.ENOTSUP, unix.EPERM, unix.EACCES, unix.ENOSYS} {
		if errors.Is(err, errno) {
			return fmt.Errorf("%w: %w", errNoWay, err)
		}
	}
	return err
}

// interview asks the drive what it is and can do. What it does not answer stays not
// known: that lowers what may be said, and stops nothing.
func (d *Device) interview() {
	switch {
	case d.id.Transport == "nvme":
		d.askNVMe()
	case d.speaksSCSI():
		d.askSCSI()
	case d.speaksATA() && !d.id.Bridged():
		d.askATA()
	}
	d.id.Media = mediaOf(d.id)
}

// ownSerial is the serial number as the drive itself tells it now, where /sys has it
// from the same source and so both must be alike.
func (d *Device) ownSerial() (string, bool) {
	if d.id.Transport == "nvme" {
		page, err := d.nvmeIdentify(nvmeController)
		if err != nil {
			return "", false
		}
		return sysblock.Printable(page[4:24]), true
	}
	if page := sysblock.Text(d.n.Dir, "device/vpd_pg80"); page == "" {
		return "", false
	}
	page, err := d.inquire(scsiSerial)
	if err != nil {
		return "", false
	}
	serial := sysblock.Printable(page[4:])
	return serial, serial != ""
}

// swapped reads a text of an ATA identify page: the bytes of each word the other way.
func swapped(words []byte) string {
	b := make([]byte, len(words))
	for i := 0; i+1 < len(words); i += 2 {
		b[i], b[i+1] = words[i+1], words[i]
	}
	return strings.Join(strings.Fields(sysblock.Printable(b)), " ")
}
