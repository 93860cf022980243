package triage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"salvor/rescue"
	"salvor/rescue/internal/testvolume"
	"salvor/rescue/layout"
	"salvor/rescue/mapfile"
)

// disk is an image in memory of which sectors are bad. Time is the bubble's.
type disk struct {
	data []byte
	info rescue.Info
	bad  map[int64]bool
	mute bool // a read that fails brings nothing, and names no sector

	mu    sync.Mutex
	reads []span // as they were asked for
}

var errBad = errors.New("medium error")

func newDisk(data []byte, bad ...int64) *disk {
	d := &disk{data: data, bad: map[int64]bool{}, info: rescue.Info{Bytes: int64(len(data)), Sector: 512, Physical: 512}}
	for _, s := range bad {
		d.bad[s] = true
	}
	return d
}

func (d *disk) Info() rescue.Info { return d.info }
func (d *disk) Close() error      { return nil }

func (d *disk) ReadAt(ctx context.Context, p []byte, sector int64, _ time.Duration) rescue.Result {
	n := int64(len(p) / 512)
	d.mu.Lock()
	d.reads = append(d.reads, span{sector, sector + n})
	d.mu.Unlock()
	cost, res := 7*time.Millisecond, rescue.Result{Good: n, Fail: -1}
	for s := sector; s < sector+n; s++ {
		if d.bad[s] {
			cost = 3 * time.Second
			res = rescue.Result{Good: s - sector, Class: rescue.Medium, Err: errBad, Fail: s, Lost: 1}
			if d.mute {
				res = rescue.Result{Class: rescue.Medium, Err: errBad, Fail: -1}
			}
			break
		}
	}
	select {
	case <-time.After(cost):
	case <-ctx.Done():
		return rescue.Result{Class: rescue.Timeout, Err: ctx.Err(), Fail: -1}
	}
	copy(p, d.data[sector*512:(sector+res.Good)*512])
	return res
}

// memory is a sink that checks what it is given.
type memory struct {
	t    *testing.T
	d    *disk
	mu   sync.Mutex
	have *mapfile.Map // as a container would rebuild it
	pass []uint8      // of each write
	runs []span       // in the order of the writes
	fail error        // of the write from which on it fails
	from int
}

func newMemory(t *testing.T, d *disk) *memory {
	return &memory{t: t, d: d, have: mapfile.New(d.info.Sectors())}
}

func (s *memory) Write(_ context.Context, first int64, p []byte, pass uint8, release func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil && len(s.runs) >= s.from {
		return s.fail
	}
	n := int64(len(p)) / 512
	if !bytes.Equal(p, s.d.data[first*512:(first+n)*512]) {
		s.t.Errorf("other data at %d", first)
	}
	if pass == PassAgain {
		s.t.Errorf("what was read again at %d reaches the image", first)
	}
	for r := range s.have.Within(first, n) {
		if r.Status == mapfile.Rescued && pass != 0 { // 0 is the executor's own, of a disk in doubt
			s.t.Errorf("%v reaches the image twice, in pass %d", r, pass)
		}
	}
	s.have.Set(first, n, mapfile.Rescued)
	s.runs, s.pass = append(s.runs, span{first, first + n}), append(s.pass, pass)
	clear(p)
	release()
	return nil
}

func (s *memory) Mark(_ context.Context, first, n int64, status byte, _ uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range slices.Collect(s.have.Within(first, n)) {
		if r.Status != mapfile.Rescued {
			s.have.Set(r.First, r.Sectors, mapfile.Status(status))
		}
	}
	return nil
}

// run is one rescue of a disk.
type run struct {
	d     *disk
	m     *mapfile.Map
	o     Options
	so    rescue.StrategyOptions
	stop  int           // the run is interrupted behind so many reads; 0 is never
	reads []rescue.Read // as the planner asked for them
	err   error         // why triage went off
	prep  func(*Triage)
	each  func(rescue.Read)                  // before the read is done
	after func(*testing.T, *Triage, *memory) // in the bubble, when the run is over
}

// observed notes what a planner asks for.
type observed struct {
	*Planner
	run  *run
	stop func()
}

func (o *observed) Next() (rescue.Read, bool) {
	r, ok := o.Planner.Next()
	if ok {
		if o.run.each != nil {
			o.run.each(r)
		}
		if o.run.reads = append(o.run.reads, r); len(o.run.reads) == o.run.stop {
			o.stop()
		}
	}
	return r, ok
}

// do rescues the disk in a bubble.
func (r *run) do(t *testing.T) {
	t.Helper()
	if r.m == nil {
		r.m = mapfile.New(r.d.info.Sectors())
	}
	if r.o.Dir == "" {
		r.o.Dir = t.TempDir()
	}
	if r.o.Reserve == 0 {
		r.o.Reserve = 1
	}
	synctest.Test(t, func(t *testing.T) {
		o := r.o
		o.Now, o.After = time.Now, time.After
		tr := New(r.d.info, o)
		defer func() {
			if err := tr.Close(); err != nil && tr.Err() == nil {
				t.Error(err)
			}
		}()
		if r.prep != nil {
			r.prep(tr)
		}
		sink := newMemory(t, r.d)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		before := r.m.Clone()
		out, err := rescue.Run(ctx, r.d, tr.Sink(sink), r.m, rescue.Options{
			Now: time.Now, After: time.After, InFlight: max(r.so.InFlight, 1),
			Planner: func(m *mapfile.Map, info rescue.Info) rescue.Planner {
				return &observed{tr.Planner(m, info, r.so), r, cancel}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.stop == 0 && out.Stop != rescue.Finished {
			t.Fatalf("%s: %v; %+v; %d reads %v", out.Stop, out.Err, out.Status, len(r.reads), r.reads[max(len(r.reads)-5, 0):])
		}
		// What the sink was told is what the map says, but for what was rescued before.
		for part := range r.m.All() {
			for was := range before.Within(part.First, part.Sectors) {
				for is := range sink.have.Within(was.First, was.Sectors) {
					want := part.Status
					if is.Status != want && (was.Status != want || is.Status != mapfile.Untried) {
						t.Fatalf("%v, the sink has %v, it was %v", part, is, was)
					}
				}
			}
		}
		if r.after != nil {
			r.after(t, tr, sink)
		}
		r.err = tr.Err()
	})
}

// whole is a view of all of an image.
type whole []byte

func (w whole) Size() int64 { return int64(len(w)) }
func (w whole) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, w[min(off, w.Size()):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// truth is the layout of an image of which everything is rescued.
func truth(t testing.TB, data []byte, o layout.Options) *layout.Layout {
	t.Helper()
	l, err := layout.Scan(context.Background(), whole(data), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// tierMap gives the tier of every sector.
func tierMap(l *layout.Layout, sectors int64) []rescue.Tier {
	out := make([]rescue.Tier, sectors)
	regions, _ := l.Plan(512)
	for _, r := range regions {
		for s := r.First; s < r.End(); s++ {
			out[s] = r.Tier
		}
	}
	return out
}

// seeds are small images of all kinds, without content.
var seeds = []string{"ntfs", "ext2", "ext4", "ext4-journal", "fat12", "fat16", "fat32", "exfat", "hfsplus", "mbr", "gpt"}

// seed unpacks one of them.
func seed(t testing.TB, name string) []byte {
	t.Helper()
	blocks := map[int64][]byte{}
	size := testvolume.Unpack(t, filepath.Join("..", "layout", "testdata", name+".sparse.gz"), func(number int64, block []byte) { blocks[number] = block })
	data := make([]byte, size)
	for number, block := range blocks {
		copy(data[number*testvolume.Block:], block)
	}
	return data
}
