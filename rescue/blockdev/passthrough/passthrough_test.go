package passthrough

import (
	"errors"
	"os"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel reads and writes these structures by their layout on 64-bit machines; the
// sizes of the NVMe ioctls are in their numbers.
func TestLayoutIsTheKernels(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("known for 64 bits only")
	}
	var h sgHeader
	if unsafe.Sizeof(h) != 88 || unsafe.Offsetof(h.data) != 16 || unsafe.Offsetof(h.timeout) != 40 || unsafe.Offsetof(h.status) != 64 || unsafe.Offsetof(h.duration) != 76 {
		t.Errorf("sg_io_hdr: %+v", h)
	}
	var r nvmeRequest
	if size := unsafe.Sizeof(r); size != 72 || uint(Admin)>>16&0x3FFF != uint(size) || unsafe.Offsetof(r.data) != 24 || unsafe.Offsetof(r.cdw) != 40 || unsafe.Offsetof(r.timeout) != 64 {
		t.Errorf("nvme_passthru_cmd: %+v", r)
	}
}

func TestWhatIsNoDriveTakesNoCommands(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := SCSI(f, make([]byte, 6), nil, FromDrive, time.Second); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("SG_IO: %v", err)
	}
	if _, err := NVMe(f, Admin, NVMeCommand{Opcode: 6, Data: make([]byte, 4096), Timeout: time.Second}); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("NVMe: %v", err)
	}
	if _, err := Namespace(f); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("namespace: %v", err)
	}
	_ = f.Close()
	if _, err := SCSI(f, make([]byte, 6), nil, FromDrive, time.Second); err == nil {
		t.Error("a closed file took a command")
	}
}
