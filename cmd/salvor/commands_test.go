package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"salvor/custody/vault"
)

// scriptCommands are the words that the scripts in testdata/script know besides
// testscript's own.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits": scriptExits, "clock": scriptClock, "carrier": scriptCarrier, "shop": scriptShop, "disk": scriptDisk, "sql": scriptSQL, "nowhere": scriptNowhere, "empty": scriptEmpty, "flip": scriptFlip, "loop": scriptLoop, "agent": scriptAgent(),
	}
}

// exits CODE PROGRAM ARG...: runs the program, which must end with this status.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("run %s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// clock OFFSET: from now on salvor's clock is off by so much. clock stands OFFSET: it
// stands still, so long after ten o'clock (UTC) of today; $DAY is that day.
func scriptClock(ts *testscript.TestScript, neg bool, args []string) {
	stands := len(args) == 2 && args[0] == "stands"
	if neg || len(args) != 1 && !stands {
		ts.Fatalf("usage: clock [stands] OFFSET")
	}
	text := args[len(args)-1]
	if stands {
		after, err := time.ParseDuration(text)
		ts.Check(err)
		at := time.Now().UTC().Truncate(24 * time.Hour).Add(10*time.Hour + after)
		ts.Setenv("DAY", at.Format(time.DateOnly))
		text = at.Format(time.RFC3339)
	}
	ts.Check(os.WriteFile(ts.Getenv(clockFile), []byte(text), 0o600))
}

// carrier WHAT: from now on everything that is restored lies on this: inside, usb or
// unknown.
func scriptCarrier(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: carrier inside|usb|unknown")
	}
	ts.Check(os.WriteFile(ts.Getenv(carrierFile), []byte(args[0]), 0o600))
}

// shop: sets up a station with two keys (a.txt, b.txt), the operator jan and the
// vault nas in the directory vault.
func scriptShop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: shop")
	}
	must := func(args ...string) {
		if err := ts.Exec("salvor", args...); err != nil {
			ts.Fatalf("salvor %s: %v", strings.Join(args, " "), err)
		}
	}
	must("init", "--shop", "Fixit bv", "--station", "T1", "--dpo", "dpo@fixit.example", "--language", "en")
	for label, file := range map[string]string{"counter": "a.txt", "safe": "b.txt"} {
		id, err := vault.NewIdentity()
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(id.String()+"\n"), 0o600))
		must("key", "add", id.Recipient().String(), "--label", label)
	}
	must("operator", "add", "jan", "--name", "Jan Maes", "--agreement", "2026-01-05")
	ts.Check(os.MkdirAll(ts.MkAbs("vault"), 0o700))
	must("vault", "add", ts.MkAbs("vault"), "--name", "nas")
}

// disk FILE BYTES SEED: a source with data, runs of zeros and a marker text.
func scriptDisk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: disk FILE BYTES SEED")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), diskContent(n, args[2]), 0o600))
}

// marker stands on every made disk; it must be readable nowhere else.
const marker = "the letter that nobody else may read "

func diskContent(n int, seed string) []byte {
	r := rand.NewChaCha8(sha256.Sum256([]byte(seed)))
	content := make([]byte, n)
	for off := 0; off < n; off += 300_000 { // a third stays zero, in runs
		r.Read(content[off:min(off+200_000, n)])
	}
	for off := 0; off+len(marker) <= n; off += 100_000 {
		copy(content[off:], marker)
	}
	return content
}

// sql STATEMENT: changes the ledger behind salvor's back with the sqlite3 shell.
func scriptSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql STATEMENT")
	}
	if err := ts.Exec("sqlite3", filepath.Join(ts.Getenv("SALVOR_STATE"), ledgerFile), args[0]); err != nil {
		ts.Fatalf("sqlite3: %v", err)
	}
}

// nowhere TEXT DIR...: no file below the directories holds the text.
func scriptNowhere(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: nowhere TEXT DIR...")
	}
	for _, dir := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			content, err := os.ReadFile(path)
			if err == nil && strings.Contains(string(content), args[0]) {
				err = fmt.Errorf("%s holds the text", path)
			}
			return err
		}))
	}
}

// empty DIR: there is no file below the directory but a vault's marker and journal.
func scriptEmpty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: empty DIR")
	}
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".salvor" {
			return fs.SkipDir
		}
		if err == nil && !d.IsDir() && d.Name() != "salvor-vault.json" {
			err = fmt.Errorf("%s is left", path)
		}
		return err
	}))
}

// flip FILE OFFSET: changes one byte.
func scriptFlip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	off, err := strconv.Atoi(args[1])
	ts.Check(err)
	content, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	content[off] ^= 0xff
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
}
