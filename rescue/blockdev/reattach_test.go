package blockdev

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/mapfile"
)

// plug makes attachments to faulty disks: the shelf holds what is plugged in.
type plug struct {
	mu     sync.Mutex
	shelf  []*faulty.Disk
	serial []string
	open   atomic.Int32 // attachments not closed
	why    error        // instead of a shelf
	hangs  chan struct{}
	need   proof
}

var plugID = Identity{Path: "/dev/sdx", Name: "sdx", Kind: Disk, Serial: "S1", Bytes: 4 << 20, Sector: 512, Physical: 512}

func newDisk(faults ...faulty.Fault) *faulty.Disk {
	return faulty.New(faulty.Plan{Info: plugID.Info(), Faults: faults, Sense: true})
}

func (p *plug) attach(d *faulty.Disk, path string) *attachment {
	id := plugID
	id.Path, id.Bytes = path, d.Info().Bytes
	p.open.Add(1)
	a := &attachment{id: id, read: d.ReadAt, state: func() string { return "" }}
	a.size = func() (int64, error) {
		if d.ReadAt(context.Background(), make([]byte, 512), 0, 0).Class == rescue.Gone {
			return 0, nil
		}
		return id.Bytes, nil
	}
	a.close = func() error {
		p.open.Add(-1)
		return nil
	}
	return a
}

func (p *plug) source(d *faulty.Disk, o Options) *Source {
	s := &Source{id: plugID, o: o, at: p.attach(d, plugID.Path)}
	if p.need == byContent {
		s.id.Serial = ""
	} else {
		p.need = bySerial
	}
	s.open = func() ([]candidate, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.why != nil {
			return nil, p.why
		}
		var out []candidate
		hangs := p.hangs
		for i, d := range p.shelf {
			held := p.serial != nil && p.serial[i] == "held"
			out = append(out, candidate{name: "/dev/sdy", proof: p.need, attach: func() (*attachment, error) {
				if hangs != nil {
					<-hangs
				}
				if held {
					return nil, ErrInUse
				}
				return p.attach(d, "/dev/sdy"), nil
			}})
		}
		return out, nil
	}
	return s
}

// readAll reads sectors one MiB at a time, as the engine would.
func readAll(t *testing.T, s *Source) {
	t.Helper()
	for at := int64(0); at < plugID.Bytes/512; at += 128 {
		if res := s.ReadAt(t.Context(), make([]byte, 64<<10), at, 0); res.Class != rescue.OK {
			t.Fatalf("%+v", res)
		}
	}
}

func TestDiskComesBackUnderAnotherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d := &plug{}, newDisk()
		s := p.source(d, Options{After: time.After})
		readAll(t, s)
		d.Vanish(rescue.Gone)
		if res := s.ReadAt(t.Context(), make([]byte, 512), 0, 0); res.Class != rescue.Gone {
			t.Fatalf("%+v", res)
		}
		// Back after 20 s, beside one that something else holds and before one like it.
		back := newDisk()
		go func() {
			time.Sleep(20 * time.Second)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.shelf, p.serial = []*faulty.Disk{newDisk(), back}, []string{"held", ""}
		}()
		began := time.Now()
		if err := s.Reattach(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 21*time.Second {
			t.Errorf("it took %v", took)
		}
		if s.Identity().Path != "/dev/sdy" || s.Info() != plugID.Info() || p.open.Load() != 1 {
			t.Errorf("%+v, %d attached", s.Identity(), p.open.Load())
		}
		if n := len(back.Attempts()); n != bySerial.canaries {
			t.Errorf("%d reads before it was trusted", n)
		}
		readAll(t, s)
		if err := s.Close(); err != nil || p.open.Load() != 0 {
			t.Errorf("%v, %d attached", err, p.open.Load())
		}
		if err := s.Reattach(t.Context()); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if res := s.ReadAt(t.Context(), make([]byte, 512), 0, 0); res.Class != rescue.Gone {
			t.Errorf("after Close: %+v", res)
		}
	})
}

// otherDisk is a disk that answers well, and with something else.
func otherDisk() *faulty.Disk {
	return newDisk(faulty.Fault{First: 0, Sectors: plugID.Bytes / 512, Kind: faulty.Lie})
}

func TestDiskThatIsAnotherIsRefused(t *testing.T) {
	small := faulty.New(faulty.Plan{Info: rescue.Info{Bytes: 2 << 20, Sector: 512, Physical: 512}})
	unreadable := newDisk(faulty.Fault{First: 0, Sectors: plugID.Bytes / 512, Kind: faulty.Bad})
	for _, tc := range []struct {
		name string
		p    *plug
		want error
		not  error
		wait bool // until the time is over
	}{
		{"other content", &plug{shelf: []*faulty.Disk{otherDisk()}}, ErrOtherDisk, ErrAway, false},
		{"other size", &plug{shelf: []*faulty.Disk{small}}, ErrOtherDisk, nil, true},
		{"nothing comes", &plug{}, ErrAway, ErrOtherDisk, true},
		{"no serial", &plug{why: ErrNoSerial}, ErrNoSerial, nil, false},
		{"in use", &plug{shelf: []*faulty.Disk{newDisk()}, serial: []string{"held"}}, ErrInUse, ErrOtherDisk, true},
		{"nothing of it can be read", &plug{shelf: []*faulty.Disk{unreadable}}, ErrAway, ErrOtherDisk, true},
		{"opening it hangs", &plug{shelf: []*faulty.Disk{newDisk()}, hangs: make(chan struct{})}, ErrAway, ErrOtherDisk, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisk()
				if tc.p.hangs != nil {
					tc.p.hangs = make(chan struct{}) // one of this bubble
				}
				s := tc.p.source(d, Options{After: time.After, Wait: 30 * time.Second})
				readAll(t, s)
				d.Vanish(rescue.Gone)
				began := time.Now()
				err := s.Reattach(t.Context())
				if !errors.Is(err, tc.want) || tc.not != nil && errors.Is(err, tc.not) {
					t.Errorf("%v", err)
				}
				if waited := time.Since(began) == 30*time.Second; waited != tc.wait {
					t.Errorf("it took %v", time.Since(began))
				}
				if res := s.ReadAt(t.Context(), make([]byte, 512), 0, 0); res.Class != rescue.Gone {
					t.Errorf("read from it: %+v", res)
				}
				if tc.p.hangs != nil {
					close(tc.p.hangs)
				}
				synctest.Wait()
				if n := tc.p.open.Load(); n != 0 {
					t.Errorf("%d left attached", n)
				}
				// It may be tried again, with the right one.
				tc.p.mu.Lock()
				tc.p.why, tc.p.hangs, tc.p.serial, tc.p.shelf = nil, nil, nil, []*faulty.Disk{newDisk()}
				tc.p.mu.Unlock()
				if err := s.Reattach(t.Context()); err != nil {
					t.Error(err)
				}
				readAll(t, s)
			})
		})
	}
}

func TestOneSectorThatDiffersIsEnough(t *testing.T) {
	d := newDisk()
	p := &plug{}
	s := p.source(d, Options{})
	readAll(t, s)
	first := s.canaries()[1]
	p.shelf = []*faulty.Disk{newDisk(faulty.Fault{First: first.first, Sectors: 1, Kind: faulty.Lie})}
	d.Vanish(rescue.Gone)
	if err := s.Reattach(t.Context()); !errors.Is(err, ErrOtherDisk) {
		t.Errorf("%v", err)
	}
	// One that cannot be read any more is no difference: others stand for it.
	p.shelf = []*faulty.Disk{newDisk(faulty.Fault{First: first.first, Sectors: 1, Kind: faulty.Bad})}
	if err := s.Reattach(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDiskWithoutASerialIsKnownByWhatItHoldsEverywhere(t *testing.T) {
	size := plugID.Bytes / 512
	last := newDisk(faulty.Fault{First: size / 4 * 3, Sectors: size / 4, Kind: faulty.Lie})
	for _, tc := range []struct {
		name  string
		shelf []*faulty.Disk
		share int64 // of the disk that was read before, in quarters
		want  error
	}{
		{"the same", []*faulty.Disk{newDisk()}, 4, nil},
		{"begins alike", []*faulty.Disk{last}, 4, ErrOtherDisk},
		{"two that hold the same", []*faulty.Disk{newDisk(), newDisk()}, 4, ErrNoSerial},
		{"beside another", []*faulty.Disk{last, newDisk()}, 4, nil},
		{"too little was read", []*faulty.Disk{newDisk()}, 3, ErrNoSerial},
		{"too little was read, and it is away", nil, 3, ErrNoSerial},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, p := newDisk(), &plug{need: byContent}
			s := p.source(d, Options{})
			for at := int64(0); at < size/4*tc.share; at += 128 {
				s.ReadAt(t.Context(), make([]byte, 64<<10), at, 0)
			}
			d.Vanish(rescue.Gone)
			p.shelf = tc.shelf
			if err := s.Reattach(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("%v", err)
			}
			if n := p.open.Load(); n > 1 || tc.want != nil && n != 0 {
				t.Errorf("%d attached", n)
			}
		})
	}
}

func TestDiskIsOpenedAgainOnRequest(t *testing.T) {
	p, d := &plug{}, newDisk()
	s := p.source(d, Options{})
	readAll(t, s)
	p.shelf = []*faulty.Disk{d}
	if err := s.Reopen(t.Context()); err != nil || p.open.Load() != 1 || s.Identity().Path != "/dev/sdy" {
		t.Errorf("%v, %d attached, %+v", err, p.open.Load(), s.Identity())
	}
	p.shelf = []*faulty.Disk{otherDisk()}
	if err := s.Reopen(t.Context()); !errors.Is(err, ErrOtherDisk) {
		t.Errorf("%v", err)
	}
	p.shelf = []*faulty.Disk{d}
	if err := s.Reattach(t.Context()); err != nil {
		t.Error(err)
	}
	readAll(t, s)
	f, _, err := Open(file(t, content(1<<20)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Reopen(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a file: %v", err)
	}
}

func TestReattachEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		s := (&plug{}).source(d, Options{After: time.After})
		d.Vanish(rescue.Gone)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := s.Reattach(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	// Without a clock it looks once and does not wait.
	d := newDisk()
	s := (&plug{}).source(d, Options{})
	d.Vanish(rescue.Gone)
	if err := s.Reattach(t.Context()); !errors.Is(err, ErrAway) {
		t.Errorf("%v", err)
	}
	f, _, err := Open(file(t, content(1<<20)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Reattach(t.Context()); !errors.Is(err, ErrAway) {
		t.Errorf("a file: %v", err)
	}
}

func TestDiskThatNeverWentIsNotOpenedAgain(t *testing.T) {
	p, d := &plug{}, newDisk()
	s := p.source(d, Options{})
	readAll(t, s)
	before := len(d.Attempts())
	if err := s.Reattach(t.Context()); err != nil || p.open.Load() != 1 || s.Identity().Path != plugID.Path {
		t.Errorf("%v, %d attached, %+v", err, p.open.Load(), s.Identity())
	}
	if n := len(d.Attempts()) - before; n != bySerial.canaries+1 { // one is the made-up size
		t.Errorf("%d reads", n)
	}
}

// TestImageGoesOnOverDropOuts drops the disk again and again, and wants every sector.
func TestImageGoesOnOverDropOuts(t *testing.T) {
	p := &plug{}
	d := newDisk(faulty.Fault{First: 100, Sectors: 1}, faulty.Fault{First: 3000, Sectors: 9})
	s := p.source(d, Options{After: time.After})
	m := mapfile.New(s.Info().Sectors())
	sink := &checker{t: t, sector: 512, after: 1 << 20, do: func() { d.Vanish(rescue.Gone) }, pause: time.Nanosecond}
	drops := 0
	for {
		out, err := rescue.Run(t.Context(), s, sink, m, rescue.Options{Now: time.Now, After: time.After})
		if err != nil {
			t.Fatal(err)
		}
		if out.Stop == rescue.Finished {
			break
		}
		if out.Stop != rescue.SourceGone || drops > 5 {
			t.Fatalf("%+v", out)
		}
		drops++
		d = newDisk(faulty.Fault{First: 100, Sectors: 1}, faulty.Fault{First: 3000, Sectors: 9})
		p.shelf = []*faulty.Disk{d}
		sink.after += 1 << 20
		if drops < 3 {
			sink.do = func() { d.Vanish(rescue.Gone) }
		}
		if err := s.Reattach(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := mapfile.New(m.Sectors())
	want.Set(0, m.Sectors(), mapfile.Rescued)
	want.Set(100, 1, mapfile.Bad)
	want.Set(3000, 9, mapfile.Bad)
	if diff := cmp.Diff(list(want), list(m)); diff != "" || drops == 0 {
		t.Errorf("%d drops; the map is not the truth: %s", drops, diff)
	}
}

func TestSamplesStayFewAndSpread(t *testing.T) {
	s := &Source{id: Identity{Sector: 512, Physical: 4096, Bytes: 1 << 40, Offset: 3}}
	p := make([]byte, 64*512)
	for i := range int64(100_000) {
		faulty.Sector(p, i)
		s.sample(i*64, 64, p)
	}
	list := s.canaries()
	if len(list) > maxSamples || len(list) < maxSamples/2 {
		t.Errorf("%d samples", len(list))
	}
	low, high := list[0].first, list[0].first
	for _, c := range list {
		low, high = min(low, c.first), max(high, c.first)
		if c.n != 8 || (c.first-3)%8 != 0 {
			t.Errorf("%+v is no physical sector", c)
		}
	}
	if low > 64*100_000/10 || high < 64*100_000*8/10 {
		t.Errorf("from %d to %d", low, high)
	}
	// Sectors of one byte prove little, and come last.
	clear(p)
	s = &Source{id: Identity{Sector: 512, Physical: 512}}
	s.sample(0, 64, p)
	s.sample(64, 64, p)
	faulty.Sector(p, 9)
	s.sample(128, 64, p)
	if list := s.canaries(); len(list) != 3 || list[0].first != 128 {
		t.Errorf("%+v", list)
	}
}

func TestCandidatesHaveTheSerialAndTheSize(t *testing.T) {
	h := machine(t)
	for _, tc := range []struct {
		dev  string
		set  func(t *testing.T, h host)
		want []string
		err  error
	}{
		{"8:0", nil, []string{"/dev/sda"}, nil},
		{"8:2", nil, []string{"/dev/sda2"}, nil},
		{"259:0", nil, []string{"/dev/nvme0n1"}, nil},
		{"8:32", nil, []string{"/dev/sdc", "/dev/sdd"}, nil},
	} {
		n, err := h.Node(tc.dev)
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.candidates(h.describe(n), n, 0, Options{})
		var names []string
		for _, c := range got {
			names = append(names, c.name)
		}
		if diff := cmp.Diff(tc.want, names); diff != "" || !errors.Is(err, tc.err) {
			t.Errorf("%s: %s, %v", tc.dev, diff, err)
		}
	}
	// The stick with that serial is another one's size now.
	n, err := h.Node("8:16")
	if err != nil {
		t.Fatal(err)
	}
	id := h.describe(n)
	write(t, filepath.Join(h.Sys, "block/sdb/size"), "2000")
	if got, err := h.candidates(id, n, 0, Options{}); len(got) != 0 || !errors.Is(err, ErrOtherDisk) {
		t.Errorf("%v, %v", got, err)
	}
	id.Serial = "ANOTHER"
	if got, err := h.candidates(id, n, 0, Options{}); len(got) != 0 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}
