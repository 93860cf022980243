package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"salvor/cmd/salvor/internal/ui"
	"salvor/rescue/blockdev"
)

// clockFile names a file with the offset that the program under test adds to the
// clock, such as "48h" or "-1h", or with the moment at which it stands still; carrierFile
// one with what every target of a restore lies on. Only this test binary knows them: the
// real program has no way to be told another time or another machine.
const (
	clockFile   = "SALVOR_TEST_CLOCK"
	carrierFile = "SALVOR_TEST_CARRIER"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"salvor": testMain})
}

func testMain() {
	signal.Ignore(unix.SIGPIPE)
	streams := ui.Standard(shiftedNow, os.LookupEnv)
	out, said := &listening{to: streams.Out}, &listening{to: streams.Err}
	if !term.IsTerminal(int(os.Stdout.Fd())) {
		streams.Out = out
	}
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		streams.Err = said
	}
	p := newProgram(streams)
	if name, ok := os.LookupEnv(carrierFile); ok {
		p.carrier = func(string) (blockdev.Carrier, error) { return toldCarrier(name), nil }
	}
	code := p.run(os.Args[1:])
	if bad := append(saidBadly(out.heard.String()), saidBadly(said.heard.String())...); len(bad) > 0 {
		fmt.Fprintf(os.Stderr, "badly said: %q\n", bad)
		code = 99
	}
	os.Exit(code)
}

// toldCarrier is what a file says that everything lies on: a disk inside when there is
// none, and else "usb" or "unknown".
func toldCarrier(name string) blockdev.Carrier {
	switch text, _ := os.ReadFile(name); string(text) {
	case "usb":
		return blockdev.Carrier{Portable: true, Known: true, On: "sdx", Why: "USB"}
	case "unknown":
		return blockdev.Carrier{Portable: true, On: "fuse"}
	}
	return blockdev.Carrier{Known: true, On: "sda"}
}

func shiftedNow() time.Time { return shiftedBy(os.Getenv(clockFile)) }

// shiftedBy is the time that a clock file says it is; without one the right time.
func shiftedBy(name string) time.Time {
	now := time.Now()
	text, err := os.ReadFile(name)
	if err != nil {
		return now
	}
	if d, err := time.ParseDuration(string(text)); err == nil {
		return now.Add(d)
	}
	if at, err := time.Parse(time.RFC3339, string(text)); err == nil {
		return at
	}
	return now
}

// scriptParams are what all scripts have in common: their words, and a state directory
// and a clock of their own.
func scriptParams() testscript.Params {
	return testscript.Params{
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("SALVOR_STATE", filepath.Join(env.WorkDir, "state"))
			env.Setenv(clockFile, filepath.Join(env.WorkDir, "clock"))
			env.Setenv(carrierFile, filepath.Join(env.WorkDir, "carrier"))
			env.Setenv("TZ", "Europe/Brussels")
			return nil
		},
		Cmds: scriptCommands(),
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, nil
		},
	}
}

// A case's number holds the year. The scripts were written in 2026; what runs is a copy
// that says this year.
var written = regexp.MustCompile(`\bT1-2026-`)

// caseNo is the number of the n-th case that station T1 opens this year.
func caseNo(n int) string { return fmt.Sprintf("T1-%d-%04d", time.Now().Year(), n) }

// runScripts runs the scripts that a pattern below testdata matches.
func runScripts(t *testing.T, p testscript.Params, pattern string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no script %s: %v", pattern, err)
	}
	dir := t.TempDir()
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text = written.ReplaceAll(text, []byte(strings.TrimSuffix(caseNo(0), "0000")))
		file := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p.Files = append(p.Files, file)
	}
	testscript.Run(t, p)
}

func TestScripts(t *testing.T) { runScripts(t, scriptParams(), "script/*.txtar") }
