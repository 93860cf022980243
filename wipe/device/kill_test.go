package device

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var kills = flag.Int("kills", 30, "how many random moments to kill a wipe at")

// TestMain lets the test binary run as the child that is to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("SALVOR_WIPE_CHILD") != "" {
		child()
		return
	}
	os.Exit(m.Run())
}

// onDisk is a journal in a file.
type onDisk struct{ path string }

func (d onDisk) Save(_ context.Context, j *Job) error {
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(d.path+".new", d.path)
}

func fromDisk(path string) (*Job, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	j := new(Job)
	return j, json.Unmarshal(b, j)
}

// child wipes the device and kills itself at its n-th act: there, or from beside
// while the acts go on, which is any moment at all.
//
// Arguments: device, journal, n, "sharp" or "late".
func child() {
	args := os.Args[1:]
	n, err := strconv.Atoi(args[2])
	if err != nil {
		panic(err)
	}
	j, err := fromDisk(args[1])
	if err != nil {
		panic(err)
	}
	d, err := Open(args[0], nil)
	if err != nil {
		panic(err)
	}
	var acts atomic.Int64
	d.before = func(step) error {
		if acts.Add(1) != int64(n) {
			return nil
		}
		die := func() { _ = unix.Kill(os.Getpid(), unix.SIGKILL) }
		if args[3] == "late" {
			go die()
			return nil
		}
		die()
		select {}
	}
	o := options(onDisk{args[1]})
	o.stretch = 8 << 20
	if _, err := Run(context.Background(), d, j, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(acts.Load())
}

// TestKilledAtAnyMoment kills a wipe at random moments, twice, and lets the third run
// end it. On the way nothing may be claimed; at the end every byte is the stream.
func TestKilledAtAnyMoment(t *testing.T) {
	const size = 48<<20 + 512
	dev, file := oldDisk(t, size)
	old, err := os.ReadFile(file)
	check(t, err)
	self, err := os.Executable()
	check(t, err)
	journal := filepath.Join(t.TempDir(), "journal")
	random := mrand.New(mrand.NewPCG(3, uint64(time.Now().UnixNano())))

	run := func(n int, how string) (acts int, ended bool) {
		cmd := exec.Command(self, dev, journal, strconv.Itoa(n), how)
		cmd.Env = append(os.Environ(), "SALVOR_WIPE_CHILD=1")
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		var exit *exec.ExitError
		switch {
		case err == nil:
			acts, err := strconv.Atoi(out.String())
			check(t, err)
			return acts, true
		case !errors.As(err, &exit) || exit.ExitCode() != -1:
			t.Fatalf("killed at %d (%s): %v: %s", n, how, err, errs.String())
		}
		return 0, false
	}
	honest := func(n int) *Job {
		j, err := fromDisk(journal)
		check(t, err)
		if v := Classify(j.Evidence()); v.Class != NotWiped && j.Stage != Verified {
			t.Fatalf("killed at %d: %s at stage %s", n, v.Class, j.Stage)
		}
		return j
	}
	begin := func(passes int) {
		check(t, os.WriteFile(file, old, 0o600))
		d, err := Open(dev, nil)
		check(t, err)
		j := plan(t, d)
		j.Passes = passes
		check(t, d.Close())
		check(t, onDisk{journal}.Save(t.Context(), j))
	}
	begin(1)
	acts, _ := run(1<<30, "sharp")
	killed := 0
	for i := range *kills {
		how := []string{"sharp", "late"}[i%2]
		begin(1 + i%3/2) // of three wipes, one with two passes
		n, again := 1+random.IntN(acts), 1+random.IntN(acts)
		if _, ended := run(n, how); !ended {
			killed++
			honest(n)
			if _, ended := run(again, how); !ended {
				killed++
				honest(again)
				if _, ended := run(1<<30, how); !ended {
					t.Fatal("it never ends")
				}
			}
		}
		j := honest(n)
		if v := Classify(j.Evidence()); v.Class != Clear || j.Stage != Verified {
			t.Errorf("killed at %d and %d (%s): stage %s, %+v", n, again, how, j.Stage, v)
		}
		holdsStream(t, file, j)
	}
	t.Logf("a wipe of %d acts, killed %d times", acts, killed)
	if *kills > 0 && killed < *kills/2 {
		t.Errorf("killed only %d times", killed)
	}
}
