package blockdev

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/blockdev/passthrough"
)

// namespace is an NVMe namespace in memory, asked by commands.
type namespace struct {
	blocks int64
	format uint32 // of its blocks: metadata bytes, and the size as a power of two above bit 16
	bad    int64
	status nvmeStatus // for every read
	err    error
	reads  int
	last   passthrough.NVMeCommand
}

func (n *namespace) do(to passthrough.Queue, c passthrough.NVMeCommand) (nvmeStatus, error) {
	data := c.Data
	n.last = c
	switch {
	case n.err != nil:
		return 0, n.err
	case to == passthrough.Admin && c.Opcode == 0x06:
		binary.LittleEndian.PutUint64(data, uint64(n.blocks))
		data[26] = 2
		binary.LittleEndian.PutUint32(data[128+4*2:], n.format)
		return 0, nil
	case to == passthrough.IO && c.Opcode == 0x02:
		n.reads++
		at := int64(c.CDW[0]) | int64(c.CDW[1])<<32
		for i := range int64(c.CDW[2]) + 1 {
			if at+i == n.bad {
				return 0x4281, nil // with "do not retry"
			}
			faulty.Sector(data[i*512:(i+1)*512], at+i)
		}
		return n.status, nil
	}
	return 0x001, nil
}

func TestNamespaceIsReadInItsPieces(t *testing.T) {
	n := &namespace{blocks: 1 << 34, bad: -1}
	d := &nvme{do: n.do, namespace: 1, first: 1 << 33, blocks: n.blocks, sector: 512, chunk: 4096}
	p := make([]byte, 20*512)
	if res := d.read(t.Context(), p, 100, time.Second); res.Good != 20 || res.Class != rescue.OK || n.reads != 3 {
		t.Errorf("%+v in %d reads", res, n.reads)
	}
	want := make([]byte, 512)
	for i := range int64(20) {
		if faulty.Sector(want, 1<<33+100+i); !bytes.Equal(want, p[i*512:(i+1)*512]) {
			t.Errorf("sector %d is other data", i)
		}
	}
	if n.last.Timeout != time.Second || n.last.Namespace != 1 || n.last.CDW[2] != 3 {
		t.Errorf("%+v", n.last)
	}
	n.bad = 1<<33 + 109
	if res := d.read(t.Context(), p, 100, 0); res.Good != 8 || res.Class != rescue.Medium || res.Fail != -1 {
		t.Errorf("%+v", res)
	}
	if res := d.read(t.Context(), p[:512], 109, 0); res.Good != 0 || res.Class != rescue.Medium || res.Fail != 109 || res.Lost != 1 {
		t.Errorf("%+v", res)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if res := d.read(ctx, p, 0, 0); res.Class != rescue.Timeout || res.Good != 0 {
		t.Errorf("%+v", res)
	}
}

func TestNVMeAnswersHaveTheirMeaning(t *testing.T) {
	for _, tc := range []struct {
		status nvmeStatus
		err    error
		class  rescue.Class
		is     error
	}{
		{0x281, nil, rescue.Medium, nil},
		{0x4281, nil, rescue.Medium, nil},
		{0x287, nil, rescue.Medium, nil},
		{0x082, nil, rescue.NotReady, nil},
		{0x006, nil, rescue.HostError, nil},
		{0x080, nil, rescue.HostError, nil},
		{0x371, nil, rescue.HostError, nil},
		{0, unix.EINTR, rescue.Timeout, nil},
		{0, unix.ENODEV, rescue.Gone, nil},
		{0, unix.EIO, rescue.HostError, nil},
		{0, unix.ENOTTY, rescue.HostError, errNoPassThrough},
		{0, unix.EACCES, rescue.HostError, errNoPassThrough},
	} {
		n := &namespace{blocks: 1000, bad: -1, status: tc.status, err: tc.err}
		d := &nvme{do: n.do, namespace: 1, blocks: 1000, sector: 512, chunk: 4096}
		res := d.read(t.Context(), make([]byte, 512), 0, 0)
		if res.Good != 0 || res.Class != tc.class || res.Err == nil || tc.is != nil && !errors.Is(res.Err, tc.is) {
			t.Errorf("%v, %v: %+v", tc.status, tc.err, res)
		}
	}
}

func TestNamespaceWithMetadataIsNotReadByCommands(t *testing.T) {
	for format, want := range map[uint32]int{9 << 16: 512, 12 << 16: 4096, 9<<16 | 8: 0, 0: 0, 40 << 16: 0} {
		d := &nvme{do: (&namespace{blocks: 77, format: format}).do, namespace: 1}
		if blocks, size, err := d.identify(); err != nil || blocks != 77 || size != want {
			t.Errorf("format %#x: %d of %d, %v", format, blocks, size, err)
		}
	}
	d := &nvme{do: (&namespace{err: unix.ENOTTY}).do}
	if _, _, err := d.identify(); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("%v", err)
	}
}
