package blockdev

import (
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sgCommand is a SCSI command for the kernel to pass on, and the answer to it.
type sgCommand struct {
	cdb     []byte
	data    []byte // what the device sends, or gets; nil for a command without data
	out     bool   // it gets the data
	timeout time.Duration

	// The answer.
	status  uint8         // of the device: 0 good, 2 check condition
	host    uint16        // of the host adapter, DID_*
	driver  uint16        // of the driver, DRIVER_*
	missing int           // bytes of data that did not come
	took    time.Duration // as the kernel measured it
	sense   []byte
}

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
	sgIO       = 0x2285
	sgNone     = -1
	sgToDev    = -2
	sgFromDev  = -3
	maxTimeout = 10 * time.Minute
)

// passThrough gives commands to an open SCSI block device by SG_IO. An error is the
// kernel's, which then did not pass the command on, or lost the device meanwhile.
//
// The kernel retries nothing of this kind. It waits for at least 7 s, whatever less
// is asked for, and a call cannot be interrupted.
func passThrough(f *os.File) func(*sgCommand) error {
	return func(c *sgCommand) error {
		sense := make([]byte, 96)
		h := &sgHeader{
			interfaceID: 'S', direction: sgNone,
			commandLen: uint8(len(c.cdb)), command: unsafe.Pointer(unsafe.SliceData(c.cdb)),
			maxSenseLen: uint8(len(sense)), sense: unsafe.Pointer(unsafe.SliceData(sense)),
			timeout: uint32(min(max(c.timeout, time.Second), maxTimeout) / time.Millisecond),
		}
		if len(c.data) > 0 {
			h.direction, h.dataLen, h.data = sgFromDev, uint32(len(c.data)), unsafe.Pointer(unsafe.SliceData(c.data))
			if c.out {
				h.direction = sgToDev
			}
		}
		err := control(f, func(fd int) error { return ioctl(fd, sgIO, unsafe.Pointer(h)) })
		runtime.KeepAlive(c)
		if err != nil {
			return err
		}
		c.status, c.host, c.driver = h.status, h.hostStatus, h.driverStatus
		c.missing, c.took = int(h.residual), time.Duration(h.duration)*time.Millisecond
		c.sense = sense[:min(int(h.senseLen), len(sense))]
		return nil
	}
}

// ioctl asks the kernel once; a call that waits for a device must not be repeated
// because a signal came in between.
func ioctl(fd int, what uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(what), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
