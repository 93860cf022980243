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

// How far a sanitize or a self-test has come is in the same place of both formats; what is
// cut off is not said.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		sense []byte
		want  float64
		ok    bool
	}{
		{[]byte{0x70, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 4, 0x1B, 0, 0x80, 0x80, 0}, 0.5, true},
		{[]byte{0x70, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 4, 0x1B, 0, 0, 0x80, 0}, 0, false},
		{[]byte{0x70, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0, 4, 0x1B, 0, 0x80, 0x80, 0}, 0, false},
		{[]byte{0x70, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 4, 0x1B, 0, 0x80, 0x80}, 0, false},
		{[]byte{0x71, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 4, 0x1B, 0, 0x80, 0x80, 0}, 0, false},
		{[]byte{0x72, 2, 4, 0x1B, 0, 0, 0, 8, 2, 6, 0, 0, 0x80, 0xC0, 0, 0}, 0.75, true},
		{[]byte{0x72, 2, 4, 0x1B, 0, 0, 0, 12, 1, 2, 0, 0, 2, 6, 0, 0, 0x80, 0x40, 0, 0}, 0.25, true},
		{[]byte{0x72, 2, 4, 0x1B, 0, 0, 0, 8, 2, 6, 0, 0, 0x80, 0xC0, 0}, 0, false},
		{[]byte{0x72, 2, 4, 0x1B, 0, 0, 0, 0, 2, 6, 0, 0, 0x80, 0xC0, 0, 0}, 0, false},
		{nil, 0, false},
	} {
		if got, ok := Progress(c.sense); got != c.want || ok != c.ok {
			t.Errorf("% x: %f, %v", c.sense, got, ok)
		}
	}
}
