package blockdev

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue"
	"salvor/rescue/blockdev/passthrough"
)

// scsi reads a SCSI disk, or what the kernel presents as one (SATA, USB, UAS), by
// commands of its own. Compared with read(2) it knows how long a read may take, has
// the failing sector from the device, and touches a bad sector once: the kernel
// repeats nothing.
//
// The data of a command that failed is never used, though the device may have sent
// what lies before the fault: bridges pad it. It is asked for again, alone, and by
// then lies in the device's cache.
type scsi struct {
	do func(*sgCommand) error
	// after is for waiting until a disk has spun up; nil is not to wait.
	after func(time.Duration) <-chan time.Time

	first  int64 // where the source begins, in blocks of the disk: not 0 for a partition
	blocks int64 // of the disk
	sector int
	grain  int // bytes of a physical sector
	chunk  int // the most bytes of one command; a multiple of sector

	// trust is in the sectors that this device names as failed. Some put there what they
	// like, and whoever believes them calls a good sector bad. It begins at 0: a sector
	// named is looked at, once more; when it is bad and all before it good, later ones are
	// believed. It shrinks when a name was wrong. Below 0 names are not listened to.
	trust atomic.Int64
}

const (
	// noDeadline is how long a command may take that has no deadline.
	noDeadline = 5 * time.Minute
	// quick is for commands that do not move a head.
	quick = 10 * time.Second
	// attempts is how often a command is given that the device did not execute, such
	// as the first one after a reset.
	attempts = 4
	// spinUp is how long a disk may take to become ready when the read has no deadline.
	spinUp = 30 * time.Second
	// spinPoll is how often it is asked whether it is.
	spinPoll = 500 * time.Millisecond
)

// errNoPassThrough is a device that does not take these commands. Nothing was read.
var errNoPassThrough = errors.New("takes no SCSI commands")

// read reads whole sectors of the source. [errNoPassThrough] in the result means that
// another way has to be taken.
func (d *scsi) read(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result {
	total := int64(0)
	for len(p) > 0 {
		if err := ctx.Err(); err != nil {
			if total > 0 {
				return rescue.Result{Good: total, Fail: -1} // a short read: the rest was not tried
			}
			return failed(0, rescue.Timeout, err)
		}
		piece := p[:min(len(p), d.chunk)]
		n := int64(len(piece) / d.sector)
		res := d.piece(ctx, piece, sector+total, deadline)
		total += res.Good
		if res.Class != rescue.OK || res.Good < n {
			res.Good = total
			return res
		}
		p = p[len(piece):]
	}
	return rescue.Result{Good: total, Fail: -1}
}

// piece reads what fits into one command; when that fails at a sector that the device
// names, also what lies before it.
func (d *scsi) piece(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result {
	res := d.once(ctx, p, sector, deadline)
	before := res.Fail - sector
	if res.Class != rescue.Medium || res.Fail < 0 || before <= 0 {
		return res
	}
	front := d.once(ctx, p[:before*int64(d.sector)], sector, deadline)
	if front.Class == rescue.OK && front.Good == before {
		res.Good = before
		return d.named(ctx, p, res, sector, deadline)
	}
	if front.Class == rescue.Medium {
		d.trust.Add(-1)
	}
	// Two answers that do not fit together name nothing.
	front.Fail, front.Lost = -1, 0
	return front
}

// named believes a device that named the sector behind the good ones of res, if it has
// deserved it; else it makes sure, once, that the sector is bad.
func (d *scsi) named(ctx context.Context, p []byte, res rescue.Result, sector int64, deadline time.Duration) rescue.Result {
	if d.trust.Load() > 0 {
		return res
	}
	off := res.Good * int64(d.sector)
	alone := d.once(ctx, p[off:off+int64(d.sector)], sector+res.Good, deadline)
	switch alone.Class {
	case rescue.Medium:
		d.trust.Add(1)
		return res
	case rescue.OK: // it is another one
		d.trust.Add(-1)
		res.Good++
	default:
		res.Class, res.Err = alone.Class, alone.Err
	}
	res.Fail, res.Lost = -1, 0
	return res
}

// once gives one read command until the device has executed it.
func (d *scsi) once(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result {
	if deadline <= 0 {
		deadline = noDeadline
	}
	at, n := d.first+sector, int64(len(p)/d.sector)
	c := &sgCommand{cdb: readCommand(at, n), data: p, timeout: deadline}
	v, class, err := d.command(ctx, c)
	if errors.Is(err, ErrAborted) && len(p) <= d.grain {
		// What is called bad here is so for good. An abort may have been the cable's; one
		// that comes again, for this sector alone, is the sector's.
		if v, class, err = d.command(ctx, c); errors.Is(err, ErrAborted) {
			class = rescue.Medium
		}
	}
	switch v {
	case delivered:
		if c.missing < 0 || c.missing > len(p) {
			return failed(0, rescue.HostError, fmt.Errorf("%d of %d bytes missing", c.missing, len(p)))
		}
		good := int64((len(p) - c.missing) / d.sector)
		if good == 0 {
			return failed(0, rescue.HostError, errors.New("good status and no data"))
		}
		return rescue.Result{Good: good, Fail: -1}
	case unsupported:
		return failed(0, rescue.HostError, fmt.Errorf("%w: %w", errNoPassThrough, err))
	case outside:
		return failed(0, d.beyond(ctx), err)
	}
	res := failed(0, class, err)
	var s passthrough.Sense
	if class == rescue.Medium && errors.As(err, &s) && s.Info >= at && s.Info < at+n {
		// Many a bridge names the first sector, whichever it was. Until it has named
		// another one, and rightly, that says nothing.
		if trust := d.trust.Load(); s.Info > at && trust >= 0 || trust > 0 {
			res.Fail, res.Lost = s.Info-d.first, 1
		}
	}
	return res
}

// beyond says what it means that a block within the source is outside of the disk,
// as the disk says. A SATA disk that does not find a sector's mark says so too.
func (d *scsi) beyond(ctx context.Context) rescue.Class {
	switch blocks, size, err := d.capacity(ctx); {
	case err != nil:
		return rescue.HostError
	case blocks != d.blocks || size != d.sector:
		return rescue.SizeChanged
	}
	return rescue.Medium
}

// command gives a command, again while the device says that it has not executed it
// for a reason that passes.
func (d *scsi) command(ctx context.Context, c *sgCommand) (v verdict, class rescue.Class, err error) {
	for range attempts {
		v, class, err = d.give(c)
		if v == spinning && d.spun(ctx, c.timeout) {
			v = again
		}
		if v != again || ctx.Err() != nil {
			break
		}
	}
	if v == again || v == spinning {
		v = denied
	}
	return v, class, err
}

// give gives a command once. An error of the kernel's gets a verdict like the device's.
func (d *scsi) give(c *sgCommand) (verdict, rescue.Class, error) {
	err := d.do(c)
	switch {
	case err == nil:
		return judge(c)
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return unsupported, rescue.HostError, err
	}
	if class := classify(err); class != rescue.Medium {
		return denied, class, err
	}
	return denied, rescue.HostError, err // EIO here is a command that was not passed on
}

// spun waits until a disk that is becoming ready is, and starts it where it waits for
// that. It is asked by itself, without a read, so that what it does meanwhile is its own.
func (d *scsi) spun(ctx context.Context, limit time.Duration) bool {
	if d.after == nil {
		return false
	}
	for waited := time.Duration(0); waited < min(limit, spinUp); waited += spinPoll {
		select {
		case <-d.after(spinPoll):
		case <-ctx.Done():
			return false
		}
		c := &sgCommand{cdb: []byte{0x00, 0, 0, 0, 0, 0}, timeout: quick} // TEST UNIT READY
		v, _, err := d.give(c)
		var s passthrough.Sense
		switch {
		case v == delivered:
			return true
		case v == denied:
			return false
		case errors.As(err, &s) && s.Key == passthrough.KeyNotReady && s.ASC == 0x04 && s.ASCQ == 0x02:
			// START STOP UNIT: start, and do not wait for it.
			if v, _, _ := d.give(&sgCommand{cdb: []byte{0x1B, 1, 0, 0, 1, 0}, timeout: quick}); v == denied {
				return false
			}
		}
	}
	return false
}

// capacity asks the disk itself for its size: blocks, and bytes of one.
func (d *scsi) capacity(ctx context.Context) (blocks int64, size int, err error) {
	// READ CAPACITY(10) is the one that every disk has (SBC-3, 5.12).
	b := make([]byte, 8)
	v, _, err := d.command(ctx, &sgCommand{cdb: []byte{0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, data: b, timeout: quick})
	if v != delivered {
		return 0, 0, fmt.Errorf("ask for its capacity: %w", err)
	}
	last := binary.BigEndian.Uint32(b)
	if last != 0xFFFFFFFF {
		return int64(last) + 1, int(binary.BigEndian.Uint32(b[4:])), nil
	}
	b = make([]byte, 32)
	cdb := []byte{0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(b)), 0, 0} // READ CAPACITY(16)
	if v, _, err = d.command(ctx, &sgCommand{cdb: cdb, data: b, timeout: quick}); v != delivered {
		return 0, 0, fmt.Errorf("ask for its capacity: %w", err)
	}
	return int64(binary.BigEndian.Uint64(b)) + 1, int(binary.BigEndian.Uint32(b[8:])), nil
}

// readCommand is READ(10), which every disk has, where its addresses reach, and
// READ(16) behind (SBC-3, 5.8 and 5.10). Some USB bridges hang on the latter.
func readCommand(at, n int64) []byte {
	if at+n <= 1<<32 && n <= 0xFFFF {
		cdb := []byte{0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		binary.BigEndian.PutUint32(cdb[2:], uint32(at))
		binary.BigEndian.PutUint16(cdb[7:], uint16(n))
		return cdb
	}
	cdb := []byte{0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint64(cdb[2:], uint64(at))
	binary.BigEndian.PutUint32(cdb[10:], uint32(n))
	return cdb
}
