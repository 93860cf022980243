package blockdev

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/blockdev/sysblock"
	"salvor/rescue/mapfile"
)

// The tests here need a real disk, or an emulated one in a virtual machine, given by
// flags:
//
//	go test -c -o t ./rescue/blockdev && ./t -test.v -test.run TestDisk -disk /dev/sdb -bad 100,2000+3
//
// It holds numbered sectors: what faulty.Sector says. They change nothing on it.
var (
	diskFlag    = flag.String("disk", "", "a disk of numbered sectors")
	badFlag     = flag.String("bad", "", "its bad sectors: 100,2000+3")
	senseFlag   = flag.Bool("sense", false, "it names the sector that failed")
	wayFlag     = flag.String("way", "", "how it must be read: scsi, nvme or pread")
	unplugFlag  = flag.String("unplug", "", "shell command that unplugs it")
	plugFlag    = flag.String("plug", "", "shell command that plugs it back")
	anotherFlag = flag.String("another", "", "shell command that plugs another disk with the same serial and size")
	crashFlag   = flag.String("crash", "", "open the disk with this record, and die")
	mendFlag    = flag.String("mend", "", "put back what this record says")
)

func realDisk(t *testing.T) string {
	t.Helper()
	if *diskFlag == "" {
		t.Skip("needs -disk")
	}
	return *diskFlag
}

// settingsOf reads what may be lowered of a disk, and its read-only flag.
func settingsOf(t *testing.T, dev string) map[string]string {
	t.Helper()
	dir := filepath.Join("/sys/class/block", filepath.Base(dev))
	out := map[string]string{"ro": sysblock.Text(dir, "ro")}
	for _, l := range lowered {
		files, _ := filepath.Glob(filepath.Join(dir, l.name))
		for _, f := range files {
			out[l.name] = sysblock.Text(filepath.Dir(f), filepath.Base(f)) // the * is another number each time
		}
	}
	return out
}

func truth(t *testing.T, sectors int64) (m *mapfile.Map, bad int64) {
	t.Helper()
	m = mapfile.New(sectors)
	m.Set(0, sectors, mapfile.Rescued)
	for part := range strings.SplitSeq(*badFlag, ",") {
		if part == "" {
			continue
		}
		at, n, _ := strings.Cut(part, "+")
		first, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		count := int64(1)
		if n != "" {
			if count, err = strconv.ParseInt(n, 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		m.Set(first, count, mapfile.Bad)
		bad += count
	}
	return m, bad
}

// checker is a sink that compares what comes with what a disk of numbered sectors holds.
type checker struct {
	t      *testing.T
	sector int64
	bytes  atomic.Int64
	after  int64 // bytes, then
	do     func()
	pause  time.Duration // for every write from then on, so that it happens in the middle
}

func (c *checker) Write(_ context.Context, first int64, p []byte, _ uint8, release func()) error {
	defer release()
	want := make([]byte, c.sector)
	for i := int64(0); i*c.sector < int64(len(p)); i++ {
		faulty.Sector(want, first+i)
		if !bytes.Equal(want, p[i*c.sector:(i+1)*c.sector]) {
			c.t.Errorf("sector %d is not what the disk holds", first+i)
			break
		}
	}
	if n := c.bytes.Add(int64(len(p))); n >= c.after && c.pause > 0 {
		if c.do != nil {
			c.do()
			c.do = nil
		}
		time.Sleep(c.pause)
	}
	return nil
}

func (c *checker) Mark(context.Context, int64, int64, byte, uint8) error { return nil }

func TestDiskIsReadWithOneAttemptPerBadSector(t *testing.T) {
	dev := realDisk(t)
	disk := filepath.Join("/sys/block", filepath.Base(dev))
	before, seq := settingsOf(t, dev), sysblock.Text(disk, "diskseq")
	rec := filepath.Join(t.TempDir(), "restore")
	s, id, err := Open(dev, Options{Restore: rec, After: time.After})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, diskseq %s: %+v", dev, seq, id)
	during := settingsOf(t, dev)
	t.Logf("before %v", before)
	t.Logf("during %v", during)
	want := map[string]string{}
	for name, old := range before {
		want[name] = old
		for _, l := range lowered {
			if name == l.name {
				want[name] = strconv.FormatInt(l.want, 10)
			}
		}
	}
	want["ro"] = "1"
	if diff := cmp.Diff(want, during); diff != "" {
		t.Errorf("not lowered: %s", diff)
	}
	if got := wayOf(s); *wayFlag != "" && got != *wayFlag {
		t.Errorf("it is read by %s", got)
	} else if s.Abandons() != (got != "pread") {
		t.Errorf("read by %s, and abandons reads: %v", got, s.Abandons())
	}
	healthOf(t, s)
	m := mapfile.New(id.Info().Sectors())
	lost, bad := truth(t, m.Sectors())
	errorsBefore, requests := hexCount(disk, "device/ioerr_cnt"), hexCount(disk, "device/iorequest_cnt")
	began := time.Now()
	out, err := rescue.Run(t.Context(), &witness{Source: s, t: t}, &checker{t: t, sector: int64(id.Sector)}, m, rescue.Options{Now: time.Now, After: time.After})
	if err != nil || out.Stop != rescue.Finished {
		t.Fatalf("%+v, %v", out, err)
	}
	failures := hexCount(disk, "device/ioerr_cnt") - errorsBefore
	t.Logf("%d bad sectors; %d reads, %d of them failed; %d commands, %d of them failed; %v",
		bad, out.Reads, out.Errors, hexCount(disk, "device/iorequest_cnt")-requests, failures, time.Since(began))
	if diff := cmp.Diff(list(lost), list(m)); diff != "" {
		t.Errorf("the map is not the truth: %s", diff)
	}
	// The first one is read once more, to see whether it is the one that is bad.
	if *senseFlag && (failures != bad+1 || out.Errors != bad) {
		t.Errorf("%d failed commands in %d failed reads for %d bad sectors", failures, out.Errors, bad)
	}
	// An abort is asked about again once, when it was of one sector.
	if !*senseFlag && failures > out.Errors+bad {
		t.Errorf("%d failed commands for %d failed reads", failures, out.Errors)
	}
	healthOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, settingsOf(t, dev)); diff != "" {
		t.Errorf("not put back: %s", diff)
	}
	if _, err := os.Stat(rec); !os.IsNotExist(err) {
		t.Errorf("the record is still there: %v", err)
	}
}

func healthOf(t *testing.T, s *Source) {
	if h, err := s.Health(t.Context()); err != nil {
		t.Logf("health: %v", err)
	} else {
		t.Logf("health: %v", h)
	}
}

// TestDiskAnswersAtItsEnd is for a disk above 2 TiB, whose far sectors need other commands.
func TestDiskAnswersAtItsEnd(t *testing.T) {
	s, id, err := Open(realDisk(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := wayOf(s); *wayFlag != "" && got != *wayFlag {
		t.Errorf("it is read by %s", got)
	}
	n := rescue.MaxRead / int64(id.Sector)
	for _, at := range []int64{0, s.Info().Sectors()/2 - n/2, s.Info().Sectors() - n} {
		if res := s.ReadAt(t.Context(), make([]byte, rescue.MaxRead), at, 0); res.Good != n {
			t.Errorf("%d sectors from %d: %+v", n, at, res)
		}
	}
	if res := s.ReadAt(t.Context(), make([]byte, id.Sector), s.Info().Sectors(), 0); res.Class != rescue.HostError {
		t.Errorf("behind its end: %+v", res)
	}
	t.Logf("%d sectors", s.Info().Sectors())
}

// witness tells of every read that fails.
type witness struct {
	*Source
	t *testing.T
}

func (w *witness) ReadAt(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result {
	res := w.Source.ReadAt(ctx, p, sector, deadline)
	if res.Class != rescue.OK {
		w.t.Logf("read of %d sectors from %d: %d good, %v, fail %d: %v", len(p)/w.id.Sector, sector, res.Good, res.Class, res.Fail, res.Err)
	}
	return res
}

// hexCount reads a counter of a SCSI device, which is in hexadecimal.
func hexCount(disk, name string) int64 {
	n, _ := strconv.ParseInt(strings.TrimPrefix(sysblock.Text(disk, name), "0x"), 16, 64)
	return n
}

func wayOf(s *Source) string {
	if s.at.way == "" {
		return "pread"
	}
	return s.at.way
}

// TestDiskThatIsUnpluggedGoesOnByItself images a disk, pulls it in the middle, and
// plugs it back, which gives it another name.
func TestDiskThatIsUnpluggedGoesOnByItself(t *testing.T) {
	dev := realDisk(t)
	if *unplugFlag == "" || *plugFlag == "" {
		t.Skip("needs -unplug and -plug")
	}
	before := settingsOf(t, dev)
	rec := filepath.Join(t.TempDir(), "restore")
	s, id, err := Open(dev, Options{Restore: rec, After: time.After, Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := mapfile.New(id.Info().Sectors())
	sink := &checker{t: t, sector: int64(id.Sector), pause: 200 * time.Millisecond, after: id.Bytes / 3}
	sink.do = func() { shell(t, *unplugFlag) }
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var back time.Time
	for away := 0; ; away++ {
		began := time.Now()
		out, err := rescue.Run(ctx, s, sink, m, rescue.Options{Now: time.Now, After: time.After})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %v after %v: %d MiB rescued, %d bad, %d failed; %v", s.Identity().Path, out.Stop, time.Since(began), out.Rescued>>20, out.Bad, out.Failed, out.Err)
		if out.Stop == rescue.Finished {
			break
		}
		if out.Stop != rescue.SourceGone || away > 3 {
			t.Fatalf("%+v", out)
		}
		if back.IsZero() {
			sink.pause = 0
			go func() {
				time.Sleep(2 * time.Second)
				if *anotherFlag != "" {
					shell(t, *anotherFlag)
					time.Sleep(3 * time.Second)
				}
				back = time.Now()
				shell(t, *plugFlag)
			}()
		}
		err = s.Reattach(ctx)
		if *anotherFlag != "" && away == 0 {
			t.Logf("another disk with its serial: %v", err)
			if !errors.Is(err, ErrOtherDisk) {
				t.Fatal("it was taken")
			}
			for back.IsZero() {
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(3 * time.Second)
			err = s.Reattach(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("back as %s, %v after it was plugged in", s.Identity().Path, time.Since(back))
		t.Logf("set to %v", settingsOf(t, s.Identity().Path))
		if settingsOf(t, s.Identity().Path)["ro"] != "1" {
			t.Error("not protected")
		}
	}
	lost, _ := truth(t, m.Sectors())
	if diff := cmp.Diff(list(lost), list(m)); diff != "" {
		t.Errorf("the map is not the truth: %s", diff)
	}
	now := s.Identity().Path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after := settingsOf(t, now)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("not put back: %s", diff)
	}
	if _, err := os.Stat(rec); !os.IsNotExist(err) {
		t.Errorf("the record is still there: %v", err)
	}
}

func shell(t *testing.T, command string) {
	if out, err := exec.Command("/bin/sh", "-c", command).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
}

func TestDiskOfAKilledRunIsPutBack(t *testing.T) {
	dev := realDisk(t)
	switch {
	case *crashFlag != "":
		t.Logf("before %v", settingsOf(t, dev))
		if _, _, err := Open(dev, Options{Restore: *crashFlag}); err != nil {
			t.Fatal(err)
		}
		t.Logf("during %v", settingsOf(t, dev))
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	case *mendFlag != "":
		t.Logf("killed %v", settingsOf(t, dev))
		if err := PutBack(*mendFlag); err != nil {
			t.Fatal(err)
		}
		t.Logf("mended %v", settingsOf(t, dev))
		if settingsOf(t, dev)["ro"] != "0" {
			t.Error("still read-only")
		}
	default:
		t.Skip("needs -crash or -mend")
	}
}

// BenchmarkDisk reads a real disk through the engine. Compare with
// dd if=DISK of=/dev/null bs=1M iflag=direct.
func BenchmarkDisk(b *testing.B) {
	if *diskFlag == "" {
		b.Skip("needs -disk")
	}
	for _, way := range []string{"commands", "pread"} {
		b.Run(way, func(b *testing.B) {
			s, id, err := Open(*diskFlag, Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if way == "pread" {
				s.at.read = (&direct{f: s.at.f, bytes: id.Bytes, sector: id.Sector}).read
			}
			b.SetBytes(id.Bytes)
			for b.Loop() {
				out, err := rescue.Run(b.Context(), s, nowhere{}, mapfile.New(id.Info().Sectors()), rescue.Options{Now: time.Now, After: time.After})
				if err != nil || !out.Complete() {
					b.Fatal(out, err)
				}
			}
		})
	}
}
