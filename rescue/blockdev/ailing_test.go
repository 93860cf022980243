package blockdev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/blockdev/faulty/fusedisk"
	"salvor/rescue/mapfile"
)

// The tests here put a failing disk behind a real block device, and the real engine with
// the real strategy before it:
//
//	ailing ── FUSE, errno ── loop device, direct I/O ── O_DIRECT pread ── engine ── sink that knows the truth
//
// When the disk drops off, its loop device loses its size and reads 0 bytes, as an
// unplugged USB disk does; when it comes back, it is another loop device.

// page is the sector of these disks.
const page = 4096

// ailing is a failing disk of pages, in the hands of a test.
type ailing struct {
	t      testing.TB
	folder *fusedisk.Folder
	bytes  int64
	bad    []bool // pages
	lies   bool   // it may give zeros for a bad page among zeros, which nobody can tell

	// ail decides what becomes of a read of pages [first, end); hit is the first bad one
	// of them, or -1. It is called by one goroutine at a time.
	ail func(p *plugged, first, end, hit int64) fate

	mu       sync.Mutex
	plug     *plugged
	plugs    int
	reopened bool  // under the same name or another
	reads    int   // since the test began
	fails    int   // of them on bad pages
	met      []int // per bad page: how often a read failed on it alone
}

// fate is what becomes of a read; the zero value is what the medium says.
type fate struct {
	wait time.Duration // before it is answered
	err  syscall.Errno
	zero bool // success, and zeros
	hang bool // until the disk is unplugged
	drop bool // the disk is unplugged by it, after wait
	size int64
}

// plugged is a disk from when it is plugged in until it is unplugged.
type plugged struct {
	*ailing
	path, dev string
	reads     int
	size      int64
	ill       bool // for the failure model
	off       bool
	pulled    chan struct{} // closed when it begins to be gone
	gone      chan struct{} // closed when the block device knows it
}

func newAiling(t testing.TB, bytes int64) *ailing {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	folder, err := fusedisk.Mount(dir)
	if err != nil {
		t.Skipf("FUSE cannot be mounted here: %v", err)
	}
	a := &ailing{t: t, folder: folder, bytes: bytes, bad: make([]bool, bytes/page), met: make([]int, bytes/page)}
	a.ail = func(*plugged, int64, int64, int64) fate { return fate{} }
	t.Cleanup(func() {
		if err := folder.Unmount(); err != nil {
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
	return a
}

// blank tells of pages that hold zeros: every other 4 MiB of the last third.
func (a *ailing) blank(n int64) bool { return n > a.bytes/page*2/3 && n/1024%2 == 1 }

// hidden tells of pages that may be taken for read although they are bad: zeros among
// zeros, from a bridge that has just begun to lie.
func (a *ailing) hidden(n int64) bool { return a.lies && a.blank(n) }

func (a *ailing) fill(p []byte, n int64) {
	if a.blank(n) {
		clear(p)
		return
	}
	faulty.Sector(p, n)
}

// in plugs the disk in, and returns the name of its block device.
func (a *ailing) in() string {
	a.t.Helper()
	a.mu.Lock()
	a.plugs++
	p := &plugged{ailing: a, size: a.bytes, pulled: make(chan struct{}), gone: make(chan struct{})}
	name := fmt.Sprintf("disk%d", a.plugs)
	a.mu.Unlock()
	p.path = a.folder.Add(name, p)
	dev := run(a.t, "flock", "/dev/loop-control", "losetup", "--find", "--show", "--direct-io=on", "--read-only", "--sector-size", fmt.Sprint(page), p.path)
	a.t.Cleanup(func() {
		p.out()
		_ = exec.Command("losetup", "-d", dev).Run()
	})
	a.mu.Lock()
	p.dev, a.plug = dev, p
	a.mu.Unlock()
	return dev
}

// out unplugs it. Nothing is read from it any more when that returns.
func (p *plugged) out() {
	p.mu.Lock()
	first := !p.off
	p.off, p.size = true, 0
	dev := p.dev
	p.mu.Unlock()
	if first {
		close(p.pulled)
		p.resize(dev)
		close(p.gone)
	}
	<-p.gone
}

// resize makes the block device as large as its file says it is by now.
func (p *plugged) resize(dev string) {
	if _, err := os.Stat(p.path); err != nil {
		p.t.Errorf("the file of the disk: %v", err)
	}
	f, err := os.OpenFile(dev, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err == nil {
		err = errors.Join(control(f, func(fd int) error { return unix.IoctlSetInt(fd, unix.LOOP_SET_CAPACITY, 0) }), f.Close())
	}
	if err != nil {
		p.t.Errorf("change the size of %s: %v", dev, err)
	}
}

func (p *plugged) Size() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

func (p *plugged) ReadAt(ctx context.Context, b []byte, off int64) (int, error) {
	first, end := off/page, min((off+int64(len(b))+page-1)/page, p.bytes/page)
	p.mu.Lock()
	hit := int64(-1)
	for n := first; n < end && hit < 0; n++ {
		if p.bad[n] {
			hit = n
		}
	}
	p.ailing.reads++
	p.reads++
	var f fate
	if p.dev != "" { // else it is the kernel, which looks for partitions
		f = p.ail(p, first, end, hit)
	}
	if hit >= 0 && f == (fate{}) {
		f.err = syscall.EIO
	}
	if hit >= 0 {
		p.fails++
		if end == first+1 {
			p.met[hit]++
		}
	}
	if f.size != 0 {
		p.size = f.size
	}
	off2, dev := p.off, p.dev
	p.mu.Unlock()
	if off2 {
		<-p.gone
		return 0, syscall.ENODEV
	}
	if f.wait > 0 {
		select {
		case <-time.After(f.wait):
		case <-p.pulled:
		}
	}
	switch {
	case f.hang:
		<-p.gone
		return 0, syscall.ENODEV
	case f.drop:
		p.out()
		return 0, syscall.ENODEV
	case f.size != 0:
		p.resize(dev)
	}
	if f.err != 0 {
		return 0, f.err
	}
	if off >= p.bytes {
		return 0, io.EOF
	}
	if f.zero {
		clear(b)
		return len(b), nil
	}
	for n := first; n < end; n++ {
		at := n*page - off
		if at < 0 || at+page > int64(len(b)) {
			return 0, syscall.EINVAL // never: direct I/O on sectors of a page
		}
		p.fill(b[at:at+page], n)
	}
	return int(min(int64(len(b)), p.bytes-off)), nil
}

// source opens the disk as the program does, but for the serial number, which a loop
// device has not: what is plugged in now takes its place.
func (a *ailing) source(dev string, wait time.Duration) *Source {
	a.t.Helper()
	o := Options{After: time.After, Wait: wait, Restore: filepath.Join(a.t.TempDir(), "restore.json")}
	s, id, err := Open(dev, o)
	if err != nil {
		a.t.Fatal(err)
	}
	if id.Sector != page || id.Physical != page || id.Bytes != a.bytes {
		a.t.Fatalf("%+v", id)
	}
	s.open = func() ([]candidate, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.plug.off {
			return nil, nil
		}
		dev := a.plug.dev
		n, _, err := this().find(dev)
		if err != nil {
			return nil, err
		}
		return []candidate{{name: dev, proof: bySerial, attach: func() (*attachment, error) {
			a.mu.Lock()
			a.reopened = true
			a.mu.Unlock()
			return this().attach(dev, n, o)
		}}}, nil
	}
	s.id.Serial = "ailing"
	return s
}

// judgeSink takes only what is true, and remembers of what it was given.
type judgeSink struct {
	a     *ailing
	mu    sync.Mutex
	taken []int // per page
}

func (j *judgeSink) Write(_ context.Context, first int64, p []byte, _ uint8, release func()) error {
	defer release()
	j.mu.Lock()
	defer j.mu.Unlock()
	want := make([]byte, page)
	for i := int64(0); i*page < int64(len(p)); i++ {
		if j.a.fill(want, first+i); !bytes.Equal(want, p[i*page:(i+1)*page]) {
			j.a.t.Errorf("page %d is not what the disk holds", first+i)
			return errors.New("wrong data")
		}
		if j.a.bad[first+i] && !j.a.hidden(first+i) {
			j.a.t.Errorf("page %d cannot be read, and was", first+i)
		}
		j.taken[first+i]++
	}
	return nil
}

func (j *judgeSink) Mark(context.Context, int64, int64, byte, uint8) error { return nil }

// hasty is the strategy with short deadlines.
type hasty struct {
	*rescue.Strategy
	deadline time.Duration
	asked    map[rescue.Read]time.Duration
}

func (h *hasty) Next() (rescue.Read, bool) {
	r, ok := h.Strategy.Next()
	if ok {
		was := r.Deadline
		r.Deadline = h.deadline
		h.asked[r] = was
	}
	return r, ok
}

func (h *hasty) Done(r rescue.Read, res rescue.Result) []mapfile.Run {
	r.Deadline = h.asked[r]
	return h.Strategy.Done(r, res)
}

func strategy(deadline time.Duration) func(*mapfile.Map, rescue.Info) rescue.Planner {
	return func(m *mapfile.Map, info rescue.Info) rescue.Planner {
		s := rescue.NewStrategy(m, info, rescue.StrategyOptions{InFlight: 2})
		return &hasty{Strategy: s, deadline: deadline, asked: map[rescue.Read]time.Duration{}}
	}
}

// The geometry of the disks here is that of package sim, a hundredth of its size.
const (
	headZone = 1_710_000 / page
	headTurn = 17_060_000 / page
)

func (a *ailing) zones(yield func(first, end int64)) {
	for at := int64(headTurn / 3); at < int64(len(a.bad)); at += headTurn {
		yield(at, min(at+headZone, int64(len(a.bad))))
	}
}

func (a *ailing) sprinkle(r *rand.Rand, first, end int64, share float64) {
	for n := first; n < min(end, int64(len(a.bad))); n++ {
		a.bad[n] = a.bad[n] || r.Float64() < share
	}
}

func (a *ailing) deadHead(r *rand.Rand) {
	a.zones(func(first, end int64) {
		for at := first; at < end; at += 16 {
			if r.Float64() > 0.03 {
				a.sprinkle(r, at, min(at+16, end), 1)
			}
		}
	})
}

func (a *ailing) clusters(r *rand.Rand) {
	for range 12 {
		at := r.Int64N(int64(len(a.bad)))
		a.sprinkle(r, at, at+max(int64(math.Exp(r.NormFloat64()*1.2)*100), 1), 0.02+0.5*r.Float64())
	}
}

// sick is a dead head with something else besides.
func sick(how func(p *plugged, first, end, hit int64) fate) func(*ailing, *rand.Rand) {
	return func(a *ailing, r *rand.Rand) {
		a.deadHead(r)
		a.ail = how
	}
}

func TestEveryFailureModelIsRescuedToTheLastSector(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(a *ailing, r *rand.Rand)
		dead bool // it does not come back to life: not all can be had
		away int  // how often it drops off
	}{
		{"clusters", func(a *ailing, r *rand.Rand) { a.clusters(r) }, false, 0},
		{"dead head", func(a *ailing, r *rand.Rand) { a.deadHead(r) }, false, 0},
		{"weak head", func(a *ailing, r *rand.Rand) {
			a.zones(func(first, end int64) { a.sprinkle(r, first, end, 0.015) })
		}, false, 0},
		{"slow head", func(a *ailing, r *rand.Rand) {
			slow := make([]bool, len(a.bad))
			a.zones(func(first, end int64) {
				a.sprinkle(r, first, end, 0.001)
				for n := first; n < end; n++ {
					slow[n] = true
				}
			})
			a.ail = func(_ *plugged, first, end, hit int64) fate {
				if hit < 0 && (slow[first] || slow[end-1]) {
					return fate{wait: 3 * time.Millisecond}
				}
				return fate{}
			}
		}, false, 0},
		{"scratch", func(a *ailing, r *rand.Rand) {
			for at := int64(len(a.bad)) / 4; at < int64(len(a.bad))/2; at += 342 {
				a.sprinkle(r, at+r.Int64N(5), at+8, 1)
			}
		}, false, 0},
		{"hang", func(a *ailing, r *rand.Rand) {
			a.deadHead(r)
			hung := map[int64]bool{}
			a.ail = func(_ *plugged, _, _, hit int64) fate {
				if hit < 0 || hit%200 != 0 || hung[hit] || len(hung) == 3 {
					return fate{}
				}
				hung[hit] = true
				return fate{wait: 300 * time.Millisecond, drop: true}
			}
		}, false, 3},
		{"wear-out", sick(func(p *plugged, _, _, hit int64) fate {
			if p.ill = p.ill || p.fails == 300 || p.plugs > 1; p.ill {
				return fate{err: syscall.EIO}
			}
			return fate{}
		}), true, 1},
		{"slow disease", sick(func(p *plugged, first, end, hit int64) fate {
			if !p.reopened && p.reads > 40 && hit < 0 {
				return fate{wait: time.Duration(end-first) * time.Millisecond}
			}
			return fate{}
		}), false, 0},
		{"flash that freezes", func(a *ailing, r *rand.Rand) {
			a.clusters(r)
			a.ail = func(p *plugged, _, _, _ int64) fate { return fate{hang: p.plugs < 4 && p.reads > 30*p.plugs} }
		}, false, 3},
		{"lying bridge", sick(func(p *plugged, first, _, hit int64) fate {
			// A failure makes it lie, until it is plugged in anew; and once nothing does, but
			// not within zeros: there a lie is found some reads later only (see zeroRow).
			p.ill = p.ill || !p.blank(first-1) && (p.plugs < 4 && hit >= 0 && p.reads > 30 || p.plugs == 4 && p.reads >= 50)
			return fate{zero: p.ill}
		}), false, 4},
		{"size that changes", sick(func(p *plugged, _, _, hit int64) fate {
			if p.plugs < 3 && hit >= 0 && p.reads > 20 && !p.ill {
				p.ill = true
				return fate{size: p.bytes / 2, err: syscall.EIO}
			}
			return fate{}
		}), false, 2},
		{"drop-off and return", sick(func(p *plugged, _, _, _ int64) fate {
			return fate{drop: p.plugs < 6 && p.reads > 25*p.plugs}
		}), false, 5},
		{"bus that fails everything", sick(func(p *plugged, _, _, _ int64) fate {
			if p.plugs < 4 && p.reads > 30*p.plugs {
				return fate{err: syscall.EIO}
			}
			return fate{}
		}), false, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAiling(t, 64<<20)
			a.lies = tc.name == "lying bridge"
			tc.make(a, rand.New(rand.NewPCG(1, 2)))
			m, out := a.rescue(t, tc.away)
			if a.plugs > tc.away+1 || tc.away > 0 && a.plugs == 1 { // two may fall together
				t.Errorf("plugged in %d times", a.plugs)
			}
			a.check(t, m, out, tc.dead)
			a.export(t, m)
		})
	}
}

// rescue goes on until the engine has nothing more to ask for, or the disk has been
// plugged in again as often as it may be.
func (a *ailing) rescue(t *testing.T, away int) (*mapfile.Map, rescue.Outcome) {
	t.Helper()
	began := time.Now()
	s := a.source(a.in(), 2*time.Second)
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	m := mapfile.New(s.Info().Sectors())
	sink := &judgeSink{a: a, taken: make([]int, m.Sectors())}
	for {
		out, err := rescue.Run(t.Context(), s, sink, m, rescue.Options{
			Now: time.Now, After: time.After, Planner: strategy(150 * time.Millisecond), GiveUp: 300 * time.Millisecond, Grace: 200 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		if out.Stop == rescue.Finished || a.plugs > away {
			again := 0
			for _, n := range sink.taken {
				again += max(n-1, 0)
			}
			t.Logf("%v after %v: %d bad pages, %d reads of the disk, %d failed, %d plugs, opened again %v, %d KiB read twice; %v", out.Stop, time.Since(began).Round(time.Millisecond), out.Bad/page, a.reads, a.fails, a.plugs, a.reopened, again*4, out.Err)
			return m, out
		}
		a.plug.out()
		a.in()
		if err := s.Reattach(t.Context()); errors.Is(err, ErrAway) {
			out.Err = err
			return m, out
		} else if err != nil {
			t.Fatalf("%v: %v", out.Stop, err)
		}
	}
}

// check compares the map with the truth.
func (a *ailing) check(t *testing.T, m *mapfile.Map, out rescue.Outcome, dead bool) {
	t.Helper()
	if (out.Stop == rescue.Finished) == dead {
		t.Errorf("it ended as %v: %v", out.Stop, out.Err)
	}
	wrong := 0
	for r := range m.All() {
		for n := r.First; n < r.End(); n++ {
			is := r.Status
			if is == mapfile.Bad && !a.bad[n] || is == mapfile.Rescued && a.bad[n] && !a.hidden(n) || !dead && is != mapfile.Bad && is != mapfile.Rescued {
				if wrong++; wrong < 5 {
					t.Errorf("page %d is called %c; truly bad: %v", n, is, a.bad[n])
				}
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d pages are called what they are not", wrong)
	}
	for n, times := range a.met {
		if times > 1 && !dead && a.plugs == 1 {
			t.Errorf("bad page %d was asked for alone %d times", n, times)
			break
		}
	}
}

// viewable is what viewers of map files understand: a line of three for where ddrescue
// stands, then lines of position, size and status.
var viewable = regexp.MustCompile(`^(#[^\n]*\n)+0x[0-9A-F]+ +[?*/+-] +\d+\n(#[^\n]*\n)*(0x[0-9A-F]+ +0x[0-9A-F]+ +[?*/+-]\n)+$`)

// export writes the map for ddrescue, and has it read there.
func (a *ailing) export(t *testing.T, m *mapfile.Map) {
	t.Helper()
	f, err := mapfile.FromMap(m, page, a.bytes)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := f.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if !viewable.Match(b.Bytes()) {
		t.Errorf("not of the form of a map file:\n%.600s", b.String())
	}
	file := filepath.Join(t.TempDir(), "map")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("ddrescuelog"); err != nil {
		t.Log("ddrescue is not installed: it did not read the map")
		return
	}
	rescued := m.Totals().Sectors(mapfile.Rescued) * page
	// It answers with the blocks that it takes for rescued.
	out, err := exec.Command("ddrescuelog", "--list-blocks=+", fmt.Sprintf("--block-size=%d", page), file).Output()
	if err != nil {
		t.Fatalf("ddrescuelog: %v", err)
	}
	if n := int64(bytes.Count(out, []byte("\n"))) * page; n != rescued {
		t.Errorf("ddrescue takes %d bytes for rescued, not %d", n, rescued)
	}
	if m.Totals().Sectors(mapfile.Bad)*page+rescued != a.bytes {
		return
	}
	// It takes the rescue for finished, and reads nothing.
	a.mu.Lock()
	before, dev := a.reads, a.plug.dev
	a.mu.Unlock()
	if out, err := exec.Command("ddrescue", "--idirect", "--sector-size=4096", dev, filepath.Join(t.TempDir(), "copy"), file).CombinedOutput(); err != nil {
		t.Errorf("ddrescue: %v\n%s", err, out)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reads != before {
		t.Errorf("ddrescue has read %d times", a.reads-before)
	}
}
