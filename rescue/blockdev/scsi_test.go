package blockdev

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/mapfile"
)

// device is a SCSI disk in memory, asked by commands.
type device struct {
	t       *testing.T
	blocks  int64
	bad     map[int64]bool
	name    func(bad, first int64) int64 // the INFORMATION it gives; nil is none
	before  []answer                     // what it answers to the next commands instead
	touched map[int64]int                // attempts on bad sectors
	log     []byte                       // operation codes
}

// answer is what a device says besides doing it.
type answer struct {
	sense  string
	host   uint16
	status uint8
	err    error
	took   time.Duration
}

func (d *device) do(c *sgCommand) error {
	d.log = append(d.log, c.cdb[0])
	*c = sgCommand{cdb: c.cdb, data: c.data, timeout: c.timeout}
	if len(d.before) > 0 {
		a := d.before[0]
		d.before = d.before[1:]
		c.host, c.status, c.took = a.host, a.status, a.took
		if a.sense != "" {
			c.status, c.sense = statusCheckCondition, unhex(d.t, a.sense)
		}
		if a.err != nil || a.host != 0 || a.status != 0 || a.sense != "" {
			c.missing = len(c.data)
			if a.sense == recovered {
				c.missing = 0
				d.fill(c)
			}
			return a.err
		}
	}
	switch c.cdb[0] {
	case 0x00, 0x1B:
	case 0x25:
		binary.BigEndian.PutUint32(c.data, uint32(min(d.blocks-1, 0xFFFFFFFF)))
		binary.BigEndian.PutUint32(c.data[4:], 512)
	case 0x9E:
		binary.BigEndian.PutUint64(c.data, uint64(d.blocks-1))
		binary.BigEndian.PutUint32(c.data[8:], 512)
	case 0x28, 0x88:
		d.fill(c)
	default:
		d.t.Fatalf("unknown command %x", c.cdb)
	}
	return nil
}

func place(cdb []byte) (at, n int64) {
	if cdb[0] == 0x88 {
		return int64(binary.BigEndian.Uint64(cdb[2:])), int64(binary.BigEndian.Uint32(cdb[10:]))
	}
	return int64(binary.BigEndian.Uint32(cdb[2:])), int64(binary.BigEndian.Uint16(cdb[7:]))
}

func (d *device) fill(c *sgCommand) {
	at, n := place(c.cdb)
	if int64(len(c.data)) != n*512 || at+n > d.blocks {
		d.t.Errorf("%d sectors from %d into %d bytes", n, at, len(c.data))
	}
	for i := range n {
		if !d.bad[at+i] {
			faulty.Sector(c.data[i*512:(i+1)*512], at+i)
			continue
		}
		d.touched[at+i]++
		// A bridge that pads: all of the data "came", and is nonsense behind the fault and before.
		for k := range c.data {
			c.data[k] = 0xEE
		}
		c.status = statusCheckCondition
		c.sense = unhex(d.t, mediumError)
		if d.name != nil {
			c.sense[0] |= 0x80
			binary.BigEndian.PutUint32(c.sense[3:], uint32(d.name(at+i, at)))
		}
		return
	}
}

const (
	mediumError = "70 00 03 00000000 0a 00000000 11 00 00 0000 00"
	recovered   = "70 00 01 00000000 0a 00000000 17 01 00 0000 00"
	reset       = "70 00 06 00000000 0a 00000000 29 00 00 0000 00"
	changedMed  = "70 00 06 00000000 0a 00000000 28 00 00 0000 00"
	becoming    = "70 00 02 00000000 0a 00000000 04 01 00 0000 00"
	standby     = "70 00 02 00000000 0a 00000000 04 02 00 0000 00"
	noMedium    = "70 00 02 00000000 0a 00000000 3a 00 00 0000 00"
	abort       = "70 00 0b 00000000 0a 00000000 00 06 00 0000 00"
	linkAbort   = "70 00 0b 00000000 0a 00000000 47 03 00 0000 00"
	noCommand   = "70 00 05 00000000 0a 00000000 20 00 00 0000 00"
	outOfRange  = "70 00 05 00000000 0a 00000000 21 00 00 0000 00"
)

func newDevice(t *testing.T, blocks int64, bad ...int64) *device {
	d := &device{t: t, blocks: blocks, bad: map[int64]bool{}, touched: map[int64]int{}}
	for _, b := range bad {
		d.bad[b] = true
	}
	return d
}

func (d *device) scsi() *scsi {
	return &scsi{do: d.do, blocks: d.blocks, sector: 512, grain: 512, chunk: 64 << 10}
}

// source is a disk for the engine, read by commands.
type source struct {
	*scsi
	info rescue.Info
}

func (s source) Info() rescue.Info { return s.info }
func (s source) Close() error      { return nil }
func (s source) ReadAt(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result {
	return s.read(ctx, p, sector, deadline)
}

func TestBadSectorIsTouchedOnceWhenTheDeviceNamesIt(t *testing.T) {
	right := func(bad, _ int64) int64 { return bad }
	for _, tc := range []struct {
		name  string
		names func(bad, first int64) int64
		once  bool
	}{
		{"it names the sector", right, true},
		{"it names none", nil, false},
		{"it names the first of the command", func(_, first int64) int64 { return first }, false},
		{"it names always the same", func(int64, int64) int64 { return 5000 }, false},
		{"it names one too far", func(bad, _ int64) int64 { return bad + 1 }, false},
		{"it names nonsense", func(bad, first int64) int64 { return bad*7919%8192 + first }, false},
		{"it counts from the command", func(bad, first int64) int64 { return bad - first }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDevice(t, 8192, 77, 78, 79, 1500, 2047, 2048, 5050, 6000)
			d.name = tc.names
			want := mapfile.New(d.blocks)
			want.Set(0, d.blocks, mapfile.Rescued)
			for b := range d.bad {
				want.Set(b, 1, mapfile.Bad)
			}
			m := mapfile.New(d.blocks)
			src := source{d.scsi(), rescue.Info{Bytes: d.blocks * 512, Sector: 512, Physical: 512}}
			out, err := rescue.Run(t.Context(), src, &checker{t: t, sector: 512}, m, rescue.Options{Now: time.Now, After: time.After, InFlight: 1})
			if err != nil || out.Stop != rescue.Finished {
				t.Fatalf("%+v, %v", out, err)
			}
			if diff := cmp.Diff(list(want), list(m)); diff != "" {
				t.Errorf("the map is not the truth: %s", diff)
			}
			total := 0
			for b, n := range d.touched {
				total += n
				if tc.once && n > 2 || n > 6 {
					t.Errorf("sector %d was read %d times", b, n)
				}
			}
			// One of them is read once more: to see whether the device names the right one.
			if tc.once && total != len(d.bad)+1 {
				t.Errorf("%d attempts for %d bad sectors", total, len(d.bad))
			}
		})
	}
}

func TestAnswersHaveTheirMeaning(t *testing.T) {
	for _, tc := range []struct {
		name    string
		before  []answer
		sectors int64
		good    int64
		class   rescue.Class
		err     error
	}{
		{name: "well", sectors: 8, good: 8},
		{name: "more than a command", sectors: 300, good: 300},
		{name: "recovered", before: []answer{{sense: recovered}}, sectors: 8, good: 8},
		{name: "after a reset", before: []answer{{sense: reset}, {sense: reset}}, sectors: 8, good: 8},
		{name: "reset for ever", before: []answer{{sense: reset}, {sense: reset}, {sense: reset}, {sense: reset}}, sectors: 8, class: rescue.HostError},
		{name: "medium changed", before: []answer{{sense: changedMed}}, sectors: 8, class: rescue.Gone, err: ErrMediumChanged},
		{name: "spinning up", before: []answer{{sense: becoming}, {sense: becoming}, {sense: becoming}}, sectors: 8, good: 8},
		{name: "in standby", before: []answer{{sense: standby}, {sense: standby}, {}, {sense: becoming}}, sectors: 8, good: 8},
		{name: "busy", before: []answer{{status: statusBusy}}, sectors: 8, good: 8},
		{name: "no medium", before: []answer{{sense: noMedium}}, sectors: 8, class: rescue.NotReady},
		{name: "aborted", before: []answer{{sense: abort}}, sectors: 8, class: rescue.HostError, err: ErrAborted},
		{name: "one sector aborted once", before: []answer{{sense: abort}}, sectors: 1, good: 1},
		{name: "one sector aborted twice", before: []answer{{sense: abort}, {sense: abort}}, sectors: 1, class: rescue.Medium, err: ErrAborted},
		{name: "one sector aborted, then the link", before: []answer{{sense: abort}, {sense: linkAbort}}, sectors: 1, class: rescue.HostError},
		{name: "link error", before: []answer{{sense: linkAbort}}, sectors: 1, class: rescue.HostError},
		{name: "no mark found", before: []answer{{sense: outOfRange}}, sectors: 1, class: rescue.Medium},
		{name: "unplugged", before: []answer{{host: didNoConnect}}, sectors: 8, class: rescue.Gone, err: unix.ENODEV},
		{name: "unplugged, says the kernel", before: []answer{{err: unix.ENXIO}}, sectors: 8, class: rescue.Gone},
		{name: "not passed on", before: []answer{{err: unix.EIO}}, sectors: 1, class: rescue.HostError},
		{name: "timeout", before: []answer{{host: didTimeOut}}, sectors: 8, class: rescue.Timeout, err: unix.ETIMEDOUT},
		{name: "reset because of a timeout", before: []answer{{host: 8, took: 9 * time.Second}}, sectors: 8, class: rescue.Timeout},
		{name: "bus error", before: []answer{{host: 7}}, sectors: 8, class: rescue.HostError},
		{name: "asked again by the adapter", before: []answer{{host: didRequeue}}, sectors: 8, good: 8},
		{name: "status without sense", before: []answer{{status: statusCheckCondition}}, sectors: 8, class: rescue.HostError},
		{name: "reserved by another", before: []answer{{status: 0x18}}, sectors: 8, class: rescue.HostError},
		{name: "unknown command", before: []answer{{sense: noCommand}}, sectors: 8, class: rescue.HostError, err: errNoPassThrough},
		{name: "not allowed", before: []answer{{err: unix.EPERM}}, sectors: 8, class: rescue.HostError, err: errNoPassThrough},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t, 8192)
				d.before = tc.before
				s := d.scsi()
				s.after = time.After
				p := make([]byte, tc.sectors*512)
				res := s.read(t.Context(), p, 1000, 8*time.Second)
				if res.Good != tc.good || res.Class != tc.class || tc.err != nil && !errors.Is(res.Err, tc.err) || (res.Err == nil) != (tc.class == rescue.OK) {
					t.Errorf("%+v", res)
				}
				if len(d.before) > 0 {
					t.Errorf("%d answers not asked for; commands %x", len(d.before), d.log)
				}
				want := make([]byte, 512)
				for i := range res.Good {
					if faulty.Sector(want, 1000+i); !bytes.Equal(want, p[i*512:(i+1)*512]) {
						t.Fatalf("sector %d is other data", 1000+i)
					}
				}
			})
		})
	}
}

func TestDiskThatNeverBecomesReadyIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t, 8192)
		for range 1000 {
			d.before = append(d.before, answer{sense: becoming})
		}
		s := d.scsi()
		if res := s.read(t.Context(), make([]byte, 512), 0, 0); res.Class != rescue.NotReady || len(d.log) != 1 {
			t.Errorf("without a clock: %+v after %d commands", res, len(d.log))
		}
		s.after = time.After
		began := time.Now()
		if res := s.read(t.Context(), make([]byte, 512), 0, 0); res.Class != rescue.NotReady || time.Since(began) > spinUp+time.Second {
			t.Errorf("%+v after %v", res, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began = time.Now()
		if res := s.read(ctx, make([]byte, 512), 0, 0); res.Class != rescue.NotReady || time.Since(began) > 3*time.Second {
			t.Errorf("%+v after %v", res, time.Since(began))
		}
	})
}

func TestDiskThatShrankHasChangedItsSize(t *testing.T) {
	d := newDevice(t, 8192)
	s := d.scsi()
	d.blocks = 4096
	d.before = []answer{{sense: outOfRange}}
	if res := s.read(t.Context(), make([]byte, 512), 5000, 0); res.Class != rescue.SizeChanged {
		t.Errorf("%+v", res)
	}
}

func TestDataThatDidNotComeIsNotClaimed(t *testing.T) {
	for missing, want := range map[int]rescue.Result{
		512: {Good: 7, Fail: -1}, 700: {Good: 6, Fail: -1}, 4096: {Class: rescue.HostError, Fail: -1}, 5000: {Class: rescue.HostError, Fail: -1}, -1: {Class: rescue.HostError, Fail: -1},
	} {
		d := newDevice(t, 8192)
		s := d.scsi()
		s.do = func(c *sgCommand) error {
			c.missing = missing
			return nil
		}
		res := s.read(t.Context(), make([]byte, 4096), 0, 0)
		if (res.Err == nil) != (want.Class == rescue.OK) {
			t.Errorf("%d missing: %v", missing, res.Err)
		}
		if res.Err = nil; res != want {
			t.Errorf("%d missing: %+v, want %+v", missing, res, want)
		}
	}
}

func TestPartitionAndFarSectorsHaveTheirAddresses(t *testing.T) {
	for _, tc := range []struct {
		first, sector, n int64
		want             string
	}{
		{0, 0, 1, "28000000000000000100"},
		{2048, 100, 8, "28000000086400000800"},
		{0, 1<<32 - 8, 8, "2800fffffff800000800"},
		{0, 1<<32 - 7, 8, "880000000000fffffff9000000080000"},
		{2048, 1 << 33, 128, "88000000000200000800000000800000"},
	} {
		var got []byte
		s := &scsi{first: tc.first, sector: 512, chunk: 64 << 10, do: func(c *sgCommand) error {
			got = c.cdb
			return nil
		}}
		s.read(t.Context(), make([]byte, tc.n*512), tc.sector, 0)
		if !bytes.Equal(got, unhex(t, tc.want)) {
			t.Errorf("%d+%d: %x, want %s", tc.first, tc.sector, got, tc.want)
		}
	}
}

func TestDeviceWithoutCommandsIsReadTheOtherWayForGood(t *testing.T) {
	own, plain := 0, 0
	read := orElse(
		func(context.Context, []byte, int64, time.Duration) rescue.Result {
			own++
			return failed(int64(own-1)%2, rescue.HostError, errNoPassThrough)
		},
		func(context.Context, []byte, int64, time.Duration) rescue.Result {
			plain++
			return rescue.Result{Good: 1, Fail: -1}
		})
	for range 3 {
		if res := read(t.Context(), make([]byte, 512), 0, 0); res.Class != rescue.OK || res.Good != 1 {
			t.Errorf("%+v", res)
		}
	}
	if own != 1 || plain != 3 {
		t.Errorf("%d and %d reads", own, plain)
	}
}

func TestCapacityIsAskedAsFarAsNeeded(t *testing.T) {
	for _, blocks := range []int64{1, 8192, 1<<32 - 1, 1 << 32, 1 << 40} {
		d := newDevice(t, blocks)
		got, size, err := d.scsi().capacity(t.Context())
		if err != nil || got != blocks || size != 512 {
			t.Errorf("%d: %d of %d, %v", blocks, got, size, err)
		}
		if big := blocks >= 1<<32; len(d.log) == 2 != big {
			t.Errorf("%d: commands %x", blocks, d.log)
		}
	}
}
