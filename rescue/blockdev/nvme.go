package blockdev

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue"
	"salvor/rescue/blockdev/passthrough"
)

// nvmeStatus is the status of an NVMe command: the code, and its type in the bits
// from 8 to 10 (NVM Express base specification 2.0, 3.3.3.2.1).
type nvmeStatus uint16

func (s nvmeStatus) Error() string { return fmt.Sprintf("NVMe status %#03x", uint16(s)) }

// class says what the status of a read means.
func (s nvmeStatus) class() rescue.Class {
	switch s & 0x7FF {
	case 0x000:
		return rescue.OK
	case 0x082:
		return rescue.NotReady // namespace not ready
	case 0x281, 0x282, 0x283, 0x284, 0x287:
		// Unrecovered read error, the three checks of protection information, and a
		// block that was never written or that was given up.
		return rescue.Medium
	}
	return rescue.HostError
}

// nvme reads an NVMe namespace by commands of its own: one attempt, where the kernel
// makes six, and a time of its own.
type nvme struct {
	do        nvmeWay
	namespace uint32
	first     int64 // where the source begins, in blocks of the namespace
	blocks    int64 // of the namespace
	sector    int
	chunk     int // the most bytes of one command
}

// nvmeWay gives commands to a drive. An error is the kernel's.
type nvmeWay func(to passthrough.Queue, c passthrough.NVMeCommand) (nvmeStatus, error)

func nvmePassThrough(f *os.File) nvmeWay {
	return func(to passthrough.Queue, c passthrough.NVMeCommand) (nvmeStatus, error) {
		s, err := passthrough.NVMe(f, to, c)
		return nvmeStatus(s), err
	}
}

// identify asks the namespace for its size, and refuses one whose blocks carry
// metadata: a plain read does not fit it.
func (d *nvme) identify() (blocks int64, size int, err error) {
	b := make([]byte, 4096)
	c := passthrough.NVMeCommand{Opcode: 0x06, Namespace: d.namespace, Data: b, Timeout: quick}
	switch s, err := d.do(passthrough.Admin, c); {
	case err != nil:
		return 0, 0, err
	case s != 0:
		return 0, 0, s
	}
	format := binary.LittleEndian.Uint32(b[128+4*int(b[26]&0xF):])
	if metadata, shift := format&0xFFFF, format>>16&0xFF; metadata == 0 && shift >= 9 && shift <= 16 {
		size = 1 << shift
	}
	return int64(binary.LittleEndian.Uint64(b)), size, nil
}

func (d *nvme) read(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result {
	if deadline <= 0 {
		deadline = noDeadline
	}
	total := int64(0)
	for len(p) > 0 {
		if err := ctx.Err(); err != nil {
			if total > 0 {
				return rescue.Result{Good: total, Fail: -1}
			}
			return failed(0, rescue.Timeout, err)
		}
		piece := p[:min(len(p), d.chunk)]
		at, n := d.first+sector+total, int64(len(piece)/d.sector)
		c := passthrough.NVMeCommand{
			Opcode: 0x02, Namespace: d.namespace, Data: piece, Timeout: min(deadline, maxTimeout),
			CDW: [6]uint32{uint32(at), uint32(at >> 32), uint32(n - 1)},
		}
		s, err := d.do(passthrough.IO, c)
		switch {
		case errors.Is(err, unix.EINTR): // the kernel gave it up: its time is over, or the device is
			return failed(total, rescue.Timeout, err)
		case total == 0 && (errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL)):
			return failed(0, rescue.HostError, fmt.Errorf("%w: %w", errNoPassThrough, err))
		case err != nil:
			class := classify(err)
			if class == rescue.Medium {
				class = rescue.HostError
			}
			return failed(total, class, err)
		case s != 0:
			res := failed(total, s.class(), s)
			if res.Class == rescue.Medium && n == 1 {
				res.Fail, res.Lost = sector+total, 1
			}
			return res
		}
		total += n
		p = p[len(piece):]
	}
	return rescue.Result{Good: total, Fail: -1}
}
