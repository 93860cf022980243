package passthrough

import (
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Direction is which way the data of a command goes.
type Direction int32

// The directions, as SG_IO counts them.
const (
	FromDrive Direction = -3
	ToDrive   Direction = -2
)

// Answer is what came back for a SCSI command that was passed on.
type Answer struct {
	Status  uint8         // of the drive: 0 good, 2 check condition
	Host    uint16        // of the host adapter, DID_* of the kernel's <scsi/scsi_status.h>; 0 is reached
	Driver  uint16        // of the driver, DRIVER_*; kernels before 5.13
	Missing int           // bytes of data that did not come
	Took    time.Duration // as the kernel measured it
	Sense   []byte
}

// sgHeader is struct sg_io_hdr of the kernel's <scsi/sg.h>.
type sgHeader struct {
	interfaceID  int32
	direction    Direction
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
	sgIO     = 0x2285
	sgNoData = -1
)

// SCSI gives a SCSI command. data may be empty. The kernel waits for at least 7 s,
// whatever less timeout is.
func SCSI(f *os.File, cdb, data []byte, way Direction, timeout time.Duration) (Answer, error) {
	sense := make([]byte, 96)
	h := &sgHeader{
		interfaceID: 'S', direction: sgNoData,
		commandLen: uint8(len(cdb)), command: unsafe.Pointer(unsafe.SliceData(cdb)),
		maxSenseLen: uint8(len(sense)), sense: unsafe.Pointer(unsafe.SliceData(sense)),
		timeout: uint32(max(timeout, time.Second) / time.Millisecond),
	}
	if len(data) > 0 {
		h.direction, h.dataLen, h.data = way, uint32(len(data)), unsafe.Pointer(unsafe.SliceData(data))
	}
	err := control(f, func(fd uintptr) unix.Errno {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, sgIO, uintptr(unsafe.Pointer(h)))
		return errno
	})
	runtime.KeepAlive(cdb)
	runtime.KeepAlive(data)
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		Status: h.status, Host: h.hostStatus, Driver: h.driverStatus,
		Missing: int(h.residual), Took: time.Duration(h.duration) * time.Millisecond,
		Sense: sense[:min(int(h.senseLen), len(sense))],
	}, nil
}
