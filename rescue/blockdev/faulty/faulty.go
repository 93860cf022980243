// Package faulty is a failing disk in memory, for tests: a [rescue.Source] and an
// [io.ReaderAt] whose sectors fail, stall, hang or vanish by a plan.
//
// The disk keeps a virtual clock: every read adds what it would have cost. With
// [Plan.After] reads also wait for that time on the tester's clock (in a
// testing/synctest bubble, time.After), so that hours of error recovery take none.
//
// What sector n holds is [Sector](n), numbered and incompressible, so that a copy
// can be checked sector by sector without keeping the original.
package faulty

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"salvor/rescue"
)

// Kind is what a fault does to a read that touches it.
type Kind uint8

// The kinds of fault.
const (
	Bad     Kind = iota // fails with a medium error
	Slow                // reads well, and takes Cost more
	Hang                // never answers, until the disk is released
	Short               // delivers the good sectors before it, without an error
	Vanish              // the disk is gone from then on
	Resize              // the disk has another size from then on
	Host                // fails like a bad cable
	Lie                 // reads well, and delivers zeros
	Nothing             // delivers nothing, and no error
)

// Fault is a run of sectors that misbehave.
type Fault struct {
	First, Sectors int64
	Kind           Kind
	Cost           time.Duration // what meeting it costs; once per read
	Times          int           // after so many reads have met it, it heals; 0 is never
}

// Plan describes a disk.
type Plan struct {
	Info    rescue.Info
	Faults  []Fault // the first that a read meets, in order of sectors, decides
	Partial bool    // a failed read still delivers the good sectors before the fault
	Sense   bool    // the disk says which sector failed
	Cost    time.Duration
	// After, when set, makes reads take their cost on the tester's clock.
	After func(time.Duration) <-chan time.Time
	// VanishAfter makes the disk vanish after so many reads; 0 is never. VanishAs is
	// how: [rescue.Gone], or [rescue.Medium] for a bus that answers EIO to everything.
	VanishAfter int
	VanishAs    rescue.Class
}

// Disk is a disk with a plan. Its methods may be called from several goroutines.
type Disk struct {
	plan Plan

	mu      sync.Mutex
	now     time.Duration
	met     []int // per fault: reads that have met it
	reads   []Attempt
	gone    rescue.Class
	back    bool // and does not vanish again by itself
	release chan struct{}
	closed  bool
}

// Attempt is a read as the disk saw it.
type Attempt struct {
	First, Sectors, Good int64
	Class                rescue.Class
}

// New returns a disk. A zero Sector is 512, a zero Physical one Sector.
func New(p Plan) *Disk {
	if p.Info.Sector == 0 {
		p.Info.Sector = 512
	}
	if p.Info.Physical == 0 {
		p.Info.Physical = p.Info.Sector
	}
	return &Disk{plan: p, met: make([]int, len(p.Faults)), release: make(chan struct{})}
}

// Info implements [rescue.Source].
func (d *Disk) Info() rescue.Info { return d.plan.Info }

// Close implements [rescue.Source].
func (d *Disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

// Now is the virtual clock: the cost of all reads so far.
func (d *Disk) Now() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// Attempts lists every read so far, in the order in which they began.
func (d *Disk) Attempts() []Attempt {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Attempt(nil), d.reads...)
}

// Release lets every read that hangs come back, with good data.
func (d *Disk) Release() { close(d.release) }

// Vanish takes the disk away; reads answer with class from then on. [rescue.OK]
// brings it back.
func (d *Disk) Vanish(as rescue.Class) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone, d.back = as, as == rescue.OK
}

// ReadAt implements [rescue.Source].
func (d *Disk) ReadAt(ctx context.Context, p []byte, sector int64, _ time.Duration) rescue.Result {
	n := int64(len(p) / d.plan.Info.Sector)
	res, cost, hang, lie := d.decide(sector, n)
	if hang {
		<-d.release
		res = rescue.Result{Good: n, Fail: -1}
	}
	if d.plan.After != nil && cost > 0 {
		select {
		case <-d.plan.After(cost):
		case <-ctx.Done():
			return rescue.Result{Class: rescue.Timeout, Err: ctx.Err(), Fail: -1}
		}
	}
	d.fill(p[:res.Good*int64(d.plan.Info.Sector)], sector)
	if lie {
		clear(p)
	}
	return res
}

// decide looks up what becomes of a read, and books it.
func (d *Disk) decide(first, n int64) (res rescue.Result, cost time.Duration, hang, lie bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	res, cost = rescue.Result{Good: n, Fail: -1}, d.plan.Cost
	defer func() {
		d.now += cost
		d.reads = append(d.reads, Attempt{First: first, Sectors: n, Good: res.Good, Class: res.Class})
	}()
	if d.plan.VanishAfter > 0 && len(d.reads) >= d.plan.VanishAfter && d.gone == rescue.OK && !d.back {
		d.gone = max(d.plan.VanishAs, rescue.Medium)
	}
	if d.gone != rescue.OK {
		res, cost = failure(d.gone, syscall.EIO), 0 // whoever does not try takes no time
		return res, cost, false, false
	}
	at := -1
	var sector int64
	for i, f := range d.plan.Faults {
		meets := max(f.First, first)
		if meets >= min(f.First+f.Sectors, first+n) || f.Times > 0 && d.met[i] >= f.Times {
			continue
		}
		if f.Kind == Slow {
			d.met[i]++
			cost += f.Cost
			continue
		}
		if at < 0 || meets < sector {
			at, sector = i, meets
		}
	}
	if at < 0 {
		return res, cost, false, false
	}
	f := d.plan.Faults[at]
	d.met[at]++
	cost += f.Cost
	good := sector - first
	switch f.Kind {
	case Hang:
		hang = true
	case Lie:
		lie = true
	case Short:
		res.Good = good
		if good == 0 {
			res = failure(rescue.Medium, syscall.EIO)
		}
	case Nothing:
		res.Good = 0
	case Vanish:
		d.gone = rescue.Gone
		res = failure(rescue.Gone, syscall.ENODEV)
	case Resize:
		d.gone = rescue.SizeChanged
		res = failure(rescue.SizeChanged, nil)
	case Bad, Host:
		res = failure(rescue.Medium, syscall.EIO)
		if f.Kind == Host {
			res = failure(rescue.HostError, syscall.ENOLINK)
		}
		if d.plan.Partial || d.plan.Sense {
			res.Good = good
		}
		if d.plan.Sense && f.Kind == Bad {
			res.Fail, res.Lost = sector, 1
		}
	}
	return res, cost, hang, lie
}

var errSize = errors.New("another size than before")

func failure(c rescue.Class, errno error) rescue.Result {
	if errno == nil {
		errno = errSize
	}
	return rescue.Result{Class: c, Err: errno, Fail: -1}
}

// fill writes the content of whole sectors, with zeros behind the end of the disk.
func (d *Disk) fill(p []byte, sector int64) {
	size := int64(d.plan.Info.Sector)
	for i := int64(0); i < int64(len(p)); i += size {
		Sector(p[i:i+size], sector+i/size)
	}
	if over := sector*size + int64(len(p)) - d.plan.Info.Bytes; over > 0 {
		clear(p[int64(len(p))-min(over, int64(len(p))):])
	}
}

// Sector fills p with what sector n of every faulty disk holds.
func Sector(p []byte, n int64) {
	x := uint64(n)*0x9E3779B97F4A7C15 + 0x243F6A8885A308D3
	for i := 0; i+8 <= len(p); i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(p[i:], x)
	}
	if len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, uint64(n))
	}
}

// Reader returns the disk as an [io.ReaderAt] of bytes, with the errno of a device
// for what cannot be read: EIO exactly when a bad sector is touched.
func (d *Disk) Reader() io.ReaderAt { return reader{d} }

type reader struct{ d *Disk }

func (r reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, syscall.EINVAL
	}
	size := int64(r.d.plan.Info.Sector)
	rest := r.d.plan.Info.Bytes - off
	if rest <= 0 {
		return 0, io.EOF
	}
	want := min(int64(len(p)), rest)
	first, end := off/size, (off+want+size-1)/size
	buf := make([]byte, (end-first)*size)
	res := r.d.ReadAt(context.Background(), buf, first, 0)
	n := copy(p[:want], buf[min(off-first*size, res.Good*size):res.Good*size])
	switch {
	case res.Class == rescue.Gone:
		return n, syscall.ENODEV
	case res.Class != rescue.OK:
		return n, syscall.EIO
	case int64(n) < int64(len(p)):
		return n, io.EOF
	}
	return n, nil
}
