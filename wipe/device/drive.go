package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// passthrough gives commands past the block layer to the drive behind an open device.
// Tests answer in a drive's place. An error says that the command did not get through;
// what the drive made of it is in the command.
type passthrough interface {
	scsi(*scsiCommand) error
	nvme(*nvmeCommand) error
	// namespace is the number of the NVMe namespace that the device is.
	namespace() (uint32, error)
}

// errNoWay: this device takes no such commands.
var errNoWay = errors.New("takes no commands of this kind")

// scsiCommand is a SCSI command and the answer to it.
type scsiCommand struct {
	cdb     []byte
	data    []byte // what the drive sends
	timeout uint32 // ms

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
	timeout   uint32 // ms

	status uint16 // 0 success; status code and type as the kernel gives them
}

// ioctls is the passthrough of a real device.
type ioctls struct{ f *os.File }

// sgHeader is struct sg_io_hdr of the kernel's <scsi/sg.h>.
type sgHeader struct {
	interfaceID  int32
	direction    int32
	commandLen   uint8
	maxSenseLen  uint8
	vectors      uint16
	dataLen      uint32
	data         unsafe.Pointer
	command      unsafe.Pointer
	sense        unsafe.Pointer
	timeout      uint32 // ms
	flags        uint32
	packID       int32
	user         unsafe.Pointer
	status       uint8
	masked       uint8
	message      uint8
	senseLen     uint8
	hostStatus   uint16
	driverStatus uint16
	residual     int32
	duration     uint32 // ms
	info         uint32
	_            uint32
}

const (
	sgIO      = 0x2285
	sgNone    = -1
	sgFromDev = -3
)

func (i ioctls) scsi(c *scsiCommand) error {
	sense := make([]byte, 96)
	h := &sgHeader{
		interfaceID: 'S', direction: sgNone,
		commandLen: uint8(len(c.cdb)), command: unsafe.Pointer(unsafe.SliceData(c.cdb)),
		maxSenseLen: uint8(len(sense)), sense: unsafe.Pointer(unsafe.SliceData(sense)), timeout: c.timeout,
	}
	if len(c.data) > 0 {
		h.direction, h.dataLen, h.data = sgFromDev, uint32(len(c.data)), unsafe.Pointer(unsafe.SliceData(c.data))
	}
	err := i.ioctl(sgIO, unsafe.Pointer(h))
	runtime.KeepAlive(c)
	if err != nil {
		return err
	}
	c.status, c.host = h.status, h.hostStatus
	c.sense = sense[:min(int(h.senseLen), len(sense))]
	return nil
}

// nvmeRequest is struct nvme_admin_cmd of the kernel's <linux/nvme_ioctl.h>.
type nvmeRequest struct {
	opcode      uint8
	flags       uint8
	_           uint16
	namespace   uint32
	_, _        uint32
	metadata    uint64
	data        unsafe.Pointer
	metadataLen uint32
	dataLen     uint32
	cdw10       uint32
	cdw11       uint32
	_, _, _, _  uint32
	timeout     uint32 // ms
	result      uint32
}

const (
	nvmeID    = 0x4E40     // _IO('N', 0x40)
	nvmeAdmin = 0xC0484E41 // _IOWR('N', 0x41, struct nvme_admin_cmd)
)

func (i ioctls) nvme(c *nvmeCommand) error {
	r := &nvmeRequest{opcode: c.opcode, namespace: c.namespace, cdw10: c.cdw10, cdw11: c.cdw11, timeout: c.timeout}
	if len(c.data) > 0 {
		r.data, r.dataLen = unsafe.Pointer(unsafe.SliceData(c.data)), uint32(len(c.data))
	}
	status, _, errno := unix.Syscall(unix.SYS_IOCTL, i.f.Fd(), nvmeAdmin, uintptr(unsafe.Pointer(r)))
	runtime.KeepAlive(c)
	runtime.KeepAlive(i.f)
	if errno != 0 {
		return noWay(errno)
	}
	c.status = uint16(status)
	return nil
}

func (i ioctls) namespace() (uint32, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, i.f.Fd(), nvmeID, 0)
	runtime.KeepAlive(i.f)
	if errno != 0 {
		return 0, noWay(errno)
	}
	return uint32(n), nil
}

// ioctl asks the kernel once: a command that waits for a drive must not be repeated
// because a signal came in between.
func (i ioctls) ioctl(what uintptr, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, i.f.Fd(), what, uintptr(arg))
	runtime.KeepAlive(i.f)
	if errno != 0 {
		return noWay(errno)
	}
	return nil
}

func noWay(errno unix.Errno) error {
	switch errno {
	case unix.ENOTTY, unix.EINVAL, unix.ENOTSUP, unix.EPERM, unix.EACCES, unix.ENOSYS:
		return fmt.Errorf("%w: %w", errNoWay, errno)
	}
	return errno
}

// interview asks the drive what it is and can do. What it does not answer stays not
// known: that lowers what may be said, and stops nothing.
func (d *Device) interview() {
	switch d.id.Transport {
	case "nvme":
		d.askNVMe()
	case "sata", "sas":
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
		return printable(page[4:24]), true
	}
	if page := text(d.n.dir, "device/vpd_pg80"); page == "" {
		return "", false
	}
	c := &scsiCommand{cdb: []byte{0x12, 0x01, 0x80, 0, 252, 0}, data: make([]byte, 252), timeout: 10_000} // INQUIRY, SPC-4 6.6
	if err := d.pass.scsi(c); err != nil || c.status != 0 || c.host != 0 || c.data[1] != 0x80 {
		return "", false
	}
	n := int(binary.BigEndian.Uint16(c.data[2:]))
	serial := printable(c.data[4:min(4+n, len(c.data))])
	return serial, serial != ""
}

// swapped reads a text of an ATA identify page: the bytes of each word the other way.
func swapped(words []byte) string {
	b := make([]byte, len(words))
	for i := 0; i+1 < len(words); i += 2 {
		b[i], b[i+1] = words[i+1], words[i]
	}
	return strings.Join(strings.Fields(printable(b)), " ")
}
