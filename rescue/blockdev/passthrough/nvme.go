package passthrough

import (
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Queue is where an NVMe command goes.
type Queue uint

// The queues, as the ioctls of <linux/nvme_ioctl.h> that lead to them.
const (
	Admin Queue = 0xC0484E41 // _IOWR('N', 0x41, struct nvme_admin_cmd)
	IO    Queue = 0xC0484E43 // _IOWR('N', 0x43, struct nvme_passthru_cmd)
)

// NVMeCommand is an NVMe command, as far as one is given here.
type NVMeCommand struct {
	Opcode    uint8
	Namespace uint32
	Data      []byte    // what the drive sends or gets, by the opcode
	CDW       [6]uint32 // command dwords 10 to 15
	Timeout   time.Duration
}

// nvmeRequest is struct nvme_passthru_cmd of the kernel's <linux/nvme_ioctl.h>, which is
// also its nvme_admin_cmd.
type nvmeRequest struct {
	opcode      uint8
	flags       uint8
	_           uint16
	namespace   uint32
	_, _        uint32 // command dwords 2 and 3
	metadata    uint64
	data        unsafe.Pointer
	metadataLen uint32
	dataLen     uint32
	cdw         [6]uint32
	timeout     uint32 // ms
	result      uint32
}

// NVMe gives a command and returns its status: the code, and its type in the bits from 8
// to 10 (NVM Express base specification 2.0, 3.3.3.2.1). 0 is success.
func NVMe(f *os.File, to Queue, c NVMeCommand) (status uint16, err error) {
	r := &nvmeRequest{opcode: c.Opcode, namespace: c.Namespace, cdw: c.CDW, timeout: uint32(c.Timeout / time.Millisecond)}
	if len(c.Data) > 0 {
		r.data, r.dataLen = unsafe.Pointer(unsafe.SliceData(c.Data)), uint32(len(c.Data))
	}
	err = control(f, func(fd uintptr) unix.Errno {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uintptr(to), uintptr(unsafe.Pointer(r)))
		status = uint16(n)
		return errno
	})
	runtime.KeepAlive(c.Data)
	if err != nil {
		return 0, err
	}
	return status, nil
}

const nvmeID = 0x4E40 // _IO('N', 0x40)

// Namespace is the number of the NVMe namespace that a block device is.
func Namespace(f *os.File) (id uint32, err error) {
	err = control(f, func(fd uintptr) unix.Errno {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, nvmeID, 0)
		id = uint32(n)
		return errno
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}
