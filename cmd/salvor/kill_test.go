package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
	"salvor/custody/vault"
	"salvor/wipe"
)

var kills = flag.Int("kills", 24, "how many times TestKill… kills the program; two thirds as often while purging")

// bench is a shop in a directory, with the real program at hand.
type bench struct {
	t     *testing.T
	dir   string
	state string
	vault string
	source,
	identity string
}

func newBench(t *testing.T, sourceBytes int) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{
		t: t, dir: dir, state: filepath.Join(dir, "state"), vault: filepath.Join(dir, "vault"),
		source: filepath.Join(dir, "disk.img"), identity: filepath.Join(dir, "a.txt"),
	}
	b.must("init", "--shop", "Fixit bv", "--station", "T1", "--dpo", "d", "--language", "en")
	for _, label := range []string{"a", "b"} {
		b.must("key", "add", recipientOf(t, filepath.Join(dir, label+".txt")), "--label", label)
	}
	b.must("operator", "add", "jan", "--name", "Jan Maes", "--agreement", "2026-01-05")
	if err := os.Mkdir(b.vault, 0o700); err != nil {
		t.Fatal(err)
	}
	b.must("vault", "add", b.vault, "--name", "nas")
	if err := os.WriteFile(b.source, diskContent(sourceBytes, t.Name()), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// recipientOf makes a new identity file and returns its public half.
func recipientOf(t *testing.T, file string) string {
	t.Helper()
	id, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return id.Recipient().String()
}

func (b *bench) command(args ...string) *exec.Cmd {
	c := exec.Command("salvor", args...)
	c.Dir = b.dir
	c.Env = append(os.Environ(), "SALVOR_STATE="+b.state, "SALVOR_OPERATOR=jan", carrierFile+"="+filepath.Join(b.dir, "carrier"))
	return c
}

// run returns the exit status and what the program printed.
func (b *bench) run(args ...string) (int, string) {
	b.t.Helper()
	out, err := b.command(args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatalf("salvor %s: %v", args[0], err)
	}
	if exit != nil {
		return exit.ExitCode(), string(out)
	}
	return 0, string(out)
}

func (b *bench) must(args ...string) string {
	b.t.Helper()
	code, out := b.run(args...)
	if code != 0 {
		b.t.Fatalf("salvor %s: exit status %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// kill runs the program and kills it after a while, and tells whether it was still
// running then. A run that ended by itself must have ended well, or found all done.
func (b *bench) kill(after time.Duration, args ...string) bool {
	b.t.Helper()
	c := b.command(args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		// Refused: the run before was killed when all was done but the goodbye.
		if err != nil && c.ProcessState.ExitCode() != ui.Refused {
			b.t.Fatalf("salvor %s: %v\n%s", args[0], err, out.String())
		}
		return false
	case <-time.After(after):
	}
	c.Process.Kill() // SIGKILL
	err := <-ended
	return err != nil
}

// ledger opens the station's own ledger, as the next run of the program would.
func (b *bench) ledger(do func(context.Context, *ledger.Ledger)) {
	b.t.Helper()
	ctx := context.Background()
	st, err := ledger.LoadStation(filepath.Join(b.state, keyFile))
	if err != nil {
		b.t.Fatal(err)
	}
	l, err := ledger.Open(ctx, filepath.Join(b.state, ledgerFile), st, time.Now)
	if err != nil {
		b.t.Fatalf("open the ledger after a kill: %v", err)
	}
	defer l.Close()
	do(ctx, l)
}

func (b *bench) imageArgs() []string {
	return []string{"image", b.source, "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "0d", "--json"}
}

// takes measures how long a command takes undisturbed.
func (b *bench) takes(args ...string) time.Duration {
	began := time.Now()
	b.must(args...)
	return time.Since(began)
}

// TestKillWhileImagingLosesNothingAcknowledged kills the program again and again; each
// time what the ledger had acknowledged must be in the vault, and what comes out in the
// end must be the source, byte for byte.
func TestKillWhileImagingLosesNothingAcknowledged(t *testing.T) {
	b := newBench(t, 80<<20)
	whole := b.takes(b.imageArgs()...)
	b.must("purge", "--max", "1000")
	for killed, tries := 0, 0; killed < *kills; tries++ {
		if tries > 20**kills {
			t.Fatalf("only %d kills in %d tries", killed, tries)
		}
		if b.kill(rand.N(whole*11/10), b.imageArgs()...) {
			killed++
			b.acknowledgedIsThere()
			continue
		}
		b.imageIsTheSource()
	}
	// The last kill may have come when all was done but the goodbye.
	if code, out := b.run(b.imageArgs()...); code != 0 && code != ui.Refused {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	b.imageIsTheSource()
	b.must("audit")
	t.Logf("%d kills, %v undisturbed", *kills, whole)
}

// acknowledgedIsThere compares the vault with the ledger after a kill.
func (b *bench) acknowledgedIsThere() {
	b.t.Helper()
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		if _, err := l.Audit(ctx); err != nil {
			b.t.Fatalf("audit after a kill: %v", err)
		}
		st, err := vault.OpenDir(b.vault)
		if err != nil {
			b.t.Fatal(err)
		}
		defer st.Close()
		cases, err := l.Cases(ctx, ledger.Filter{})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, c := range cases {
			for _, i := range c.Images {
				if !i.Left() {
					continue
				}
				acked, err := l.Progress(ctx, c.No, i.Name)
				if err != nil {
					b.t.Fatal(err)
				}
				if acked == (ledger.Progress{}) {
					continue
				}
				con, err := vault.OpenImage(ctx, st, vault.ImageRef{Case: string(c.No), Name: i.Name})
				if err != nil {
					b.t.Fatalf("%s: acknowledged %+v, and then: %v", c.No, acked, err)
				}
				if err := con.Check(vault.Position(acked)); err != nil {
					b.t.Fatalf("%s: %v", c.No, err)
				}
				con.Close()
			}
		}
	})
}

// imageIsTheSource restores the finished image, compares it, and purges it.
func (b *bench) imageIsTheSource() {
	b.t.Helper()
	var no custody.CaseNo
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		cases, err := l.Cases(ctx, ledger.Filter{})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, c := range cases {
			if c.Copies() > 0 && c.Images[0].State == custody.ImageIsSealed {
				no = c.No
			}
		}
	})
	if no == "" {
		b.t.Fatal("no sealed image after a run that ended well")
	}
	out := filepath.Join(b.dir, "out.img")
	b.must("restore", string(no), out, "--identity", b.identity, "--reason", "test", "--force")
	want, err := os.ReadFile(b.source)
	if err != nil {
		b.t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		b.t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		b.t.Fatalf("%s: the restored image is not the source", no)
	}
	b.must("purge", "--max", "1000")
}

// TestKillWhilePurgingNeverAttestsWrongly kills the purge again and again: whenever an
// attest exists, nothing of the image is left; whenever the journal says that the keys
// are destroyed, no key file opens; and the next run always finishes, with the class
// that an undisturbed run reaches.
func TestKillWhilePurgingNeverAttestsWrongly(t *testing.T) {
	b := newBench(t, 24<<20)
	b.must(b.imageArgs()...)
	whole := b.takes("purge", "--max", "1000")
	want := b.newestAttest()
	if want == nil {
		t.Fatal("no attest after an undisturbed purge")
	}
	for killed, tries := 0, 0; killed < max(1, *kills*2/3); tries++ {
		if tries > 20**kills {
			t.Fatalf("only %d kills in %d tries", killed, tries)
		}
		b.must(b.imageArgs()...)
		key := b.keyFile()
		keyBytes, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		for b.kill(rand.N(whole*11/10), "purge", "--max", "1000") {
			killed++
			b.purgeIsHonest(key, keyBytes)
		}
		got := b.newestAttest()
		if got == nil || got.Key != want.Key || got.Media != want.Media || got.Content.Equal != got.Content.Total {
			t.Fatalf("after kills the attest says %+v, undisturbed %+v", got, want)
		}
		if left := b.left(); left != "" {
			t.Fatalf("an attest was issued and %s is left", left)
		}
	}
	b.must("audit")
	t.Logf("%d kills, %v undisturbed, %s / %s", *kills*2/3, whole, want.Key, want.Media)
}

func (b *bench) keyFile() string {
	b.t.Helper()
	found, err := filepath.Glob(filepath.Join(b.vault, "keystore", "*", "*", "*.age"))
	if err != nil || len(found) != 1 {
		b.t.Fatalf("key files: %v, %v", found, err)
	}
	return found[0]
}

// left names a file of an image that is still in the vault; "" when there is none.
func (b *bench) left() (name string) {
	_ = filepath.WalkDir(b.vault, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".salvor" { // the journal stays
			return filepath.SkipDir
		}
		if err == nil && d.Type().IsRegular() && d.Name() != "salvor-vault.json" {
			name = path
		}
		return nil
	})
	return name
}

// purgeIsHonest compares what is on the disk with what ledger and journal claim.
func (b *bench) purgeIsHonest(key string, keyBytes []byte) {
	b.t.Helper()
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		if _, err := l.Audit(ctx); err != nil {
			b.t.Fatalf("audit after a kill: %v", err)
		}
		cases, err := l.Cases(ctx, ledger.Filter{})
		if err != nil {
			b.t.Fatal(err)
		}
		now, err := os.ReadFile(key)
		keyThere := err == nil && bytes.Equal(now, keyBytes)
		newest := cases[len(cases)-1]
		if newest.Erased() || len(newest.Attests) > 0 {
			if left := b.left(); left != "" {
				b.t.Fatalf("%s is called erased and %s is left", newest.No, left)
			}
		}
		jobs, err := l.OpenJobs(ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, j := range jobs {
			var job wipe.Job
			if err := json.Unmarshal(j.Body, &job); err != nil {
				b.t.Fatal(err)
			}
			if job.Stage != wipe.Planned && keyThere {
				b.t.Fatalf("the journal is at %s and the key file is as it was", job.Stage)
			}
		}
		if len(jobs) == 0 && newest.Copies() > 0 && !keyThere {
			b.t.Fatal("the key file changed without a journal")
		}
	})
}

// newestAttest reads the attest of the newest case that has one.
func (b *bench) newestAttest() (newest *report.Attest) {
	b.t.Helper()
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		cases, err := l.Cases(ctx, ledger.Filter{All: true})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, c := range cases {
			records, err := l.Attests(ctx, c.No)
			if err != nil {
				b.t.Fatal(err)
			}
			for _, r := range records {
				text, _, _ := strings.Cut(string(r.Note), "\n\n")
				a, err := report.ParseAttest([]byte(text + "\n"))
				if err != nil {
					b.t.Fatal(err)
				}
				newest = &a
			}
		}
	})
	return newest
}

// TestInterruptedImagingExitsCleanlyAndResumes stops the program as Ctrl-C does.
func TestInterruptedImagingExitsCleanlyAndResumes(t *testing.T) {
	b := newBench(t, 80<<20)
	whole := b.takes(b.imageArgs()...)
	b.must("purge", "--max", "1000")
	for tries := 0; ; tries++ {
		c := b.command(b.imageArgs()...)
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(whole / 2)
		c.Process.Signal(os.Interrupt)
		var exit *exec.ExitError
		if err := c.Wait(); !errors.As(err, &exit) { // it was faster: try again
			if tries > 10 {
				t.Skip("imaging is too fast here to be interrupted")
			}
			b.imageIsTheSource()
			continue
		}
		if exit.ExitCode() != ui.Interrupted || !strings.Contains(out.String(), "to go on") && !strings.Contains(out.String(), "salvor image") {
			t.Fatalf("exit status %d\n%s", exit.ExitCode(), out.String())
		}
		break
	}
	b.must(b.imageArgs()...)
	b.imageIsTheSource()
	b.must("audit")
}

// TestAnEarlyPurgeThatWasCutOffGivesTheImageBack stops an early purge at every moment:
// as long as nothing was destroyed the next run gives the image back to its customer,
// and never erases it without being asked again.
func TestAnEarlyPurgeThatWasCutOffGivesTheImageBack(t *testing.T) {
	b := newBench(t, 2<<20)
	early := func(no string) []string { return []string{"purge", "--case", no, "--now", "--reason", "test"} }
	args := append(b.imageArgs()[:len(b.imageArgs())-3], "--keep", "90d", "--again")
	b.must(args...)
	whole := b.takes(early(caseNo(1))...)
	given := 0
	for n := 2; n < 14; n++ {
		no := caseNo(n)
		b.must(args...)
		if !b.kill(whole*time.Duration(n)/14, early(no)...) {
			continue
		}
		b.run("purge", "--max", "1000") // nothing is due: this finishes or spares what was begun
		var c custody.Case
		b.ledger(func(ctx context.Context, l *ledger.Ledger) {
			var err error
			if c, err = l.Case(ctx, custody.CaseNo(no)); err != nil {
				t.Fatal(err)
			}
		})
		switch c.Images[0].State {
		case custody.ImageIsErased:
		case custody.ImageIsSealed:
			given++
			out := filepath.Join(b.dir, no+".img")
			b.must("restore", no, out, "--identity", b.identity, "--reason", "test")
			b.must(early(no)...)
		default:
			t.Fatalf("%s is %s: neither erased nor given back", no, c.Images[0].State)
		}
	}
	b.must("audit")
	t.Logf("given back %d times", given)
}

// TestKillWhileSettingUpLeavesNothingInTheWay kills init at many moments: afterwards
// the station is either set up, or can be set up by repeating the command.
func TestKillWhileSettingUpLeavesNothingInTheWay(t *testing.T) {
	args := []string{"init", "--shop", "X", "--station", "T1", "--dpo", "d"}
	b := &bench{t: t, dir: t.TempDir()}
	b.state = filepath.Join(b.dir, "first")
	whole := b.takes(args...)
	for n := range max(1, *kills) {
		b.state = filepath.Join(b.dir, fmt.Sprint(n))
		b.kill(rand.N(whole*11/10), args...)
		if _, err := os.Lstat(filepath.Join(b.state, ledgerFile)); err != nil {
			b.must(args...)
		}
		b.must("audit")
		b.must("operator", "add", "jan", "--name", "Jan", "--agreement", "2026-01-05")
	}
}
