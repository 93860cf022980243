package blockdev

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/renameio/v2"

	"salvor/rescue"
	"salvor/rescue/mapfile"
)

// The tests here run the engine in a process of its own, on a real block device, and
// kill it, take the disk away from it, or let a read hang for good.

var (
	killsFlag = flag.Int("kills", 40, "how often to kill the engine or to drop its disk")
	seedFlag  = flag.Uint64("seed", 1, "for the moments of that")
	aloneFlag = flag.String("alone", "", "be the engine that is killed: its directory")
)

// What the directory of an engine holds.
const (
	deviceFile  = "device"  // the name of its block device; empty while it is away
	imageFile   = "image"   // what it rescued
	journalFile = "journal" // what it knows of every sector
)

// journal is a sink that keeps what it is given over a crash: data first, then what is
// claimed of it, a few MiB at a time.
type journal struct {
	image, log *os.File
	pending    bytes.Buffer
	bytes      int64
	release    []func()
}

// entryLen is the length of an entry of the journal: first, sectors, status, checksum.
const entryLen = 8 + 8 + 1 + 4

func (j *journal) add(first, n int64, status byte) {
	b := binary.LittleEndian.AppendUint64(nil, uint64(first))
	b = append(binary.LittleEndian.AppendUint64(b, uint64(n)), status)
	j.pending.Write(binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

func (j *journal) Write(_ context.Context, first int64, p []byte, _ uint8, release func()) error {
	j.release = append(j.release, release)
	if _, err := j.image.WriteAt(p, first*page); err != nil {
		return err
	}
	j.add(first, int64(len(p))/page, byte(mapfile.Rescued))
	if j.bytes += int64(len(p)); j.bytes >= 4<<20 {
		return j.sync()
	}
	return nil
}

func (j *journal) Mark(_ context.Context, first, n int64, status byte, _ uint8) error {
	j.add(first, n, status)
	return nil
}

func (j *journal) sync() error {
	if err := j.image.Sync(); err != nil {
		return err
	}
	if _, err := j.pending.WriteTo(j.log); err != nil {
		return err
	}
	for _, release := range j.release {
		release()
	}
	j.release, j.bytes = nil, 0
	return j.log.Sync()
}

// replay reads the journal up to where it was cut off, and goes on from there.
func replay(dir string, sectors int64) (*journal, *mapfile.Map, error) {
	m := mapfile.New(sectors)
	log, err := os.OpenFile(filepath.Join(dir, journalFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(log)
	if err != nil {
		return nil, nil, err
	}
	at := 0
	for ; at+entryLen <= len(b); at += entryLen {
		line := b[at : at+entryLen]
		if crc32.ChecksumIEEE(line[:entryLen-4]) != binary.LittleEndian.Uint32(line[entryLen-4:]) {
			break
		}
		is := mapfile.Run{First: int64(binary.LittleEndian.Uint64(line)), Sectors: int64(binary.LittleEndian.Uint64(line[8:])), Status: mapfile.Status(line[16])}
		known := slices.Collect(m.Within(is.First, is.Sectors))
		m.Set(is.First, is.Sectors, is.Status)
		for _, r := range known { // a mark may come late, and never hides data
			if r.Status == mapfile.Rescued {
				m.Set(r.First, r.Sectors, mapfile.Rescued)
			}
		}
	}
	if _, err := log.Seek(int64(at), io.SeekStart); err != nil {
		return nil, nil, err
	}
	image, err := os.OpenFile(filepath.Join(dir, imageFile), os.O_RDWR|os.O_CREATE, 0o600)
	return &journal{image: image, log: log}, m, errors.Join(err, log.Truncate(int64(at)))
}

// TestEngineAlone is no test: it is the process that the others kill.
func TestEngineAlone(t *testing.T) {
	if *aloneFlag == "" {
		t.Skip("it is run by the tests that kill it")
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	out, err := engineAlone(ctx, *aloneFlag)
	fmt.Println("ended", out.Stop, out.Err, err)
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0) // whatever hangs
}

func engineAlone(ctx context.Context, dir string) (out rescue.Outcome, err error) {
	o := Options{After: time.After, Wait: 10 * time.Second, Restore: filepath.Join(dir, "restore.json")}
	list := func() ([]candidate, error) {
		name, err := os.ReadFile(filepath.Join(dir, deviceFile))
		if err != nil || len(name) == 0 {
			return nil, err
		}
		n, _, err := this().find(string(name))
		if err != nil {
			return nil, err
		}
		return []candidate{{name: string(name), proof: bySerial, attach: func() (*attachment, error) { return this().attach(string(name), n, o) }}}, nil
	}
	name, err := os.ReadFile(filepath.Join(dir, deviceFile))
	if err != nil {
		return out, err
	}
	s, _, err := Open(string(name), o)
	if err != nil {
		return out, err
	}
	s.open, s.id.Serial = list, "ailing"
	sink, m, err := replay(dir, s.Info().Sectors())
	if err != nil {
		return out, err
	}
	for {
		out, err = rescue.Run(ctx, s, sink, m, rescue.Options{
			Now: time.Now, After: time.After, Planner: strategy(2 * time.Second), Grace: 500 * time.Millisecond, Every: 100 * time.Millisecond,
			Progress: func(st rescue.Status) { fmt.Println("status", st.Hung, st.Rescued) },
		})
		if err = errors.Join(err, sink.sync()); err != nil {
			return out, err
		}
		if out.Stop != rescue.SourceGone && out.Stop != rescue.DeviceFault && out.Stop != rescue.NotAnswering {
			return out, s.Close()
		}
		if err := s.Reattach(ctx); err != nil {
			return out, err
		}
	}
}

// engine is such a process, as the test sees it.
type engine struct {
	cmd   *exec.Cmd
	lines chan string // what it says; closed at its end
}

func startEngine(t *testing.T, dir string) *engine {
	t.Helper()
	e := &engine{cmd: exec.Command(os.Args[0], "-test.run=^TestEngineAlone$", "-alone", dir), lines: make(chan string, 1)}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	e.cmd.Stderr = os.Stderr
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(e.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			e.lines <- lines.Text()
		}
	}()
	return e
}

// last waits for the end of the process, and gives what it said last. One that says
// nothing any more is asked where it stands.
func (e *engine) last() (line string, err error) {
	for {
		select {
		case l, open := <-e.lines:
			if !open {
				return line, e.cmd.Wait()
			}
			line = l
		case <-time.After(30 * time.Second):
			_ = e.cmd.Process.Signal(syscall.SIGQUIT)
		}
	}
}

// tormented is a failing disk that kills its reader, or drops off, at random moments.
type tormented struct {
	*ailing
	dir    string
	random *rand.Rand
	left   atomic.Int64 // how many times more

	pid    int   // of the reader
	moment int   // reads until it happens
	given  []int // per page: how often it was read well
	again  int64 // bytes read again since the last time
	worst  int64
	kills  int
	drops  int
	change sync.WaitGroup
}

// plugIn tells the engine where the disk is by now.
func (d *tormented) plugIn(dev string) {
	if err := renameio.WriteFile(filepath.Join(d.dir, deviceFile), []byte(dev), 0o600); err != nil {
		d.t.Error(err)
	}
}

func (d *tormented) fate(p *plugged, first, end, hit int64) fate {
	if d.pid == 0 {
		return fate{}
	}
	if d.moment--; d.moment < 0 && d.left.Load() > 0 {
		d.left.Add(-1)
		d.worst, d.again = max(d.worst, d.again), 0
		d.moment = d.random.IntN(250)
		if d.random.IntN(3) > 0 {
			d.kills++
			_ = syscall.Kill(d.pid, syscall.SIGKILL)
			d.pid = 0
			return fate{}
		}
		d.drops++
		d.change.Go(func() {
			d.plugIn("")
			p.out()
			d.plugIn(d.in())
		})
		return fate{drop: true}
	}
	if hit < 0 {
		for n := first; n < end; n++ {
			if d.given[n]++; d.given[n] > 1 {
				d.again += page
			}
		}
	}
	return fate{}
}

// TestEngineSurvivesKillsAndDropOffs kills the engine with SIGKILL, and takes its disk
// away, in the middle of reads, until it has an image nevertheless: the right one.
func TestEngineSurvivesKillsAndDropOffs(t *testing.T) {
	needRoot(t)
	left := int64(*killsFlag)
	kills, drops, images := 0, 0, 0
	var worst, most int64
	for seed := *seedFlag; left > 0 && !t.Failed(); seed++ {
		random := rand.New(rand.NewPCG(seed, 7))
		a := newAiling(t, 64<<20)
		if seed%2 == 0 {
			a.deadHead(random)
		} else {
			a.clusters(random)
		}
		d := &tormented{ailing: a, dir: t.TempDir(), random: random, given: make([]int, len(a.bad)), moment: random.IntN(250)}
		d.left.Store(left)
		a.ail = d.fate
		d.plugIn(a.in())
		d.untilDone(t)
		left = d.left.Load()
		kills, drops, images = kills+d.kills, drops+d.drops, images+1
		worst = max(worst, d.worst)
		for n, times := range a.met {
			if times > d.kills+d.drops+1 {
				t.Errorf("seed %d: bad page %d was asked for alone %d times", seed, n, times)
			}
			most = max(most, int64(times))
		}
		a.plug.out()
	}
	t.Logf("%d kills and %d drop-offs in %d images; at most %d KiB read again after one, and no bad page alone more than %d times", kills, drops, images, worst>>10, most)
	if worst > 64<<20 {
		t.Errorf("%d MiB were read again", worst>>20)
	}
}

// untilDone starts the engine again and again, until it has finished.
func (d *tormented) untilDone(t *testing.T) {
	t.Helper()
	for {
		e := startEngine(t, d.dir)
		d.mu.Lock()
		d.pid = e.cmd.Process.Pid
		d.mu.Unlock()
		line, err := e.last()
		d.mu.Lock()
		killed := d.pid == 0
		d.pid = 0
		d.mu.Unlock()
		d.change.Wait()
		switch {
		case killed:
			continue
		case err != nil || line != "ended finished <nil> <nil>":
			t.Fatalf("%v: %s", err, line)
		}
		break
	}
	j, m, err := replay(d.dir, int64(len(d.bad)))
	if err != nil {
		t.Fatal(err)
	}
	defer j.image.Close()
	defer j.log.Close()
	d.check(t, m, rescue.Outcome{Stop: rescue.Finished}, false)
	got, want := make([]byte, page), make([]byte, page)
	for n := range d.bad {
		if d.bad[n] {
			continue
		}
		if _, err := j.image.ReadAt(got, int64(n)*page); err != nil {
			t.Fatal(err)
		}
		if d.fill(want, int64(n)); !bytes.Equal(got, want) {
			t.Fatalf("page %d of the image is wrong", n)
		}
	}
	if _, err := os.Stat(filepath.Join(d.dir, "restore.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the record of the settings stays: %v", err)
	}
}

// TestEngineEndsAlthoughAReadHangs has one read that nobody answers until the process
// has ended: it goes on saying how things stand, and ends when it is told to.
func TestEngineEndsAlthoughAReadHangs(t *testing.T) {
	a := newAiling(t, 16<<20)
	a.ail = func(_ *plugged, first, end, _ int64) fate { return fate{hang: first >= 1024 && end <= 2048} }
	dir := t.TempDir()
	dev := a.in()
	if err := os.WriteFile(filepath.Join(dir, deviceFile), []byte(dev), 0o600); err != nil {
		t.Fatal(err)
	}
	e := startEngine(t, dir)
	defer a.plug.out() // before the process is waited for in vain
	limit := time.After(20 * time.Second)
	hung := 0
	for open := true; open; {
		var line string
		select {
		case line, open = <-e.lines:
		case <-limit:
			t.Fatal("it has not ended")
		}
		switch {
		case strings.HasPrefix(line, "status 1 "), strings.HasPrefix(line, "status 2 "), strings.HasPrefix(line, "status 3 "), strings.HasPrefix(line, "status 4 "):
			if hung++; hung == 10 {
				if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
		case strings.HasPrefix(line, "ended"):
			if !strings.HasPrefix(line, "ended cancelled ") {
				t.Error(line)
			}
		}
	}
	if hung < 10 {
		t.Errorf("it said %d times that a read hangs", hung)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-limit:
		t.Error("the process has not ended")
	}
}
