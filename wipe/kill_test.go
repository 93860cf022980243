package wipe

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

var kills = flag.Int("kills", 0, "how many random moments to kill an erase at, beside every step once")

// TestMain lets the test binary run as the child that is to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("SALVOR_WIPE_CHILD") != "" {
		child()
		return
	}
	os.Exit(m.Run())
}

// onDisk is a journal in a file.
type onDisk struct {
	path string
	tick func(string)
}

func (d onDisk) Save(_ context.Context, j *Job) error {
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	d.tick("before a save")
	if err := os.WriteFile(d.path+".new", b, 0o600); err != nil {
		return err
	}
	d.tick("in a save")
	if err := os.Rename(d.path+".new", d.path); err != nil {
		return err
	}
	d.tick("after a save")
	return nil
}

// child erases the image and kills itself at its n-th step. With "late" it kills
// itself from beside, while the step goes on, which is any moment at all.
//
// Arguments: vault, journal, n, "sharp" or "late".
func child() {
	args := os.Args[1:]
	n, err := strconv.Atoi(args[2])
	if err != nil {
		panic(err)
	}
	var count atomic.Int64
	tick := func(string) {
		if count.Add(1) != int64(n) {
			return
		}
		die := func() { _ = unix.Kill(os.Getpid(), unix.SIGKILL) }
		if args[3] == "late" {
			go die()
			return
		}
		die()
		select {}
	}
	b, err := os.ReadFile(args[1])
	if err != nil {
		panic(err)
	}
	j := new(Job)
	if err := json.Unmarshal(b, j); err != nil {
		panic(err)
	}
	root, err := os.OpenRoot(args[0])
	if err != nil {
		panic(err)
	}
	t := Target{
		Vault: root, Dir: testDir, CaseDir: testCase, Keystore: root, KeyDir: testKeyDir,
		UUID: testUUID(), Segments: len(killed.segments),
	}
	_, err = Run(context.Background(), t, j, Options{
		Journal: onDisk{args[1], tick}, Now: clock,
		before: func(s step) error { tick(string(s.act)); return nil },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var killed = shape{segments: []int{3 << 20, 70000}, keys: 2}

// TestKilledAtAnyMomentItResumesAndClaimsNoMore kills the erase at every one of
// its steps, kills the resumed run again at a random one, and lets the third end
// it. On the way nothing may be claimed that is not so; at the end the class must
// be the best one and no old block be left.
func TestKilledAtAnyMomentItResumesAndClaimsNoMore(t *testing.T) {
	asRoot(t)
	d := newDisk(t, 24, "", "mkfs.ext4", "-q", "-F")
	self, err := os.Executable()
	check(t, err)
	old := [][]byte{killed.content("0001.age"), killed.content("0002.age")}
	for n := range killed.segments {
		old = append(old, killed.content(erasedSegment(n))[markBlock:])
	}
	journal := filepath.Join(t.TempDir(), "journal")
	random := mrand.New(mrand.NewPCG(1, 2))

	// run runs the child and reports whether it came to its end.
	run := func(n int, how string) bool {
		cmd := exec.Command(self, d.mnt, journal, strconv.Itoa(n), how)
		cmd.Env = append(os.Environ(), "SALVOR_WIPE_CHILD=1")
		out, err := cmd.CombinedOutput()
		if err == nil {
			return true
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("killed at %d (%s): %v: %s", n, how, err, out)
		}
		return false
	}
	// honest holds the journal against what is there.
	honest := func(n int, im *image) *Job {
		b, err := os.ReadFile(journal)
		check(t, err)
		j := decode(t, b)
		e := j.Evidence()
		c := Classify(e)
		if c.Media != MediaFailed && j.Stage != Verified && j.Stage != Unlinked {
			t.Errorf("killed at %d: %s at stage %s", n, c.Media, j.Stage)
		}
		for i, f := range e.Keys {
			content, err := os.ReadFile(im.path(testKeyDir + "/" + f.Name))
			if err == nil && f.Facts.Equal > 0 && looksLikeKey(content) {
				t.Errorf("killed at %d: the journal says that key %d is gone, but it is there", n, i)
			}
			if errors.Is(err, fs.ErrNotExist) && j.Stage != Verified && j.Stage != Unlinked {
				t.Errorf("killed at %d: key %d was removed at stage %s", n, i, j.Stage)
			}
		}
		return j
	}

	var steps, times int
	once := func(n, again int, how string) (ended bool) {
		times++
		im := killed.put(t, d.mnt)
		b, err := im.plan(t).clone()
		check(t, err)
		check(t, os.WriteFile(journal, b, 0o600))
		ended = run(n, how)
		honest(n, im)
		if !ended && !run(again, how) {
			honest(n, im)
			if !run(1<<30, how) {
				t.Fatal("it never ends")
			}
		}
		j := honest(n, im)
		if c := Classify(j.Evidence()); c.Media != MediaRaw || c.Key != KeyComplete || j.Stage != Unlinked {
			t.Errorf("killed at %d and %d (%s): stage %s, %s and %s because of %q", n, again, how, j.Stage, c.Key, c.Media, c.Reasons)
		}
		if im.exists(testCase) || im.exists(filepath.Dir(testKeyDir)) {
			t.Errorf("killed at %d and %d (%s): something is left", n, again, how)
		}
		if left := d.holds(t, old...); left != 0 {
			t.Fatalf("killed at %d and %d (%s): %d old blocks are left", n, again, how, left)
		}
		return ended
	}
	for n := 1; ; n++ {
		how := "sharp"
		if n%4 == 0 {
			how = "late"
		}
		if once(n, 1+random.IntN(100), how) && how == "sharp" {
			steps = n
			break
		}
	}
	for range *kills {
		once(1+random.IntN(steps), 1+random.IntN(steps), "late")
	}
	t.Logf("an erase of %d steps, killed %d times and once more each", steps-1, times-1)
	if steps < 60 {
		t.Errorf("only %d steps: the test kills too little", steps)
	}
}
