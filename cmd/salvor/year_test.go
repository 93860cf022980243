package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/cmd/salvor/internal/ui"
)

var (
	acts = flag.Int("acts", 25, "how many things happen in a year of TestAYear…")
	year = flag.Uint64("year", 1, "the seed of a year of TestAYear…; 0: another one each time")
)

// aYear is a shop with two benches, a machine that purges and two vaults, one of which
// comes and goes, and what has to be true of it whatever happens.
type aYear struct {
	*rand.Rand
	t        *testing.T
	stations []*bench
	vaults   []*carried
	ahead    time.Duration // of the right time
	kept     map[string]*keptCase
	shopCode string
	back     int // cases that were put back from a backup
	said     []string
}

// carried is a vault that can be unplugged.
type carried struct {
	name, dir string
	away      bool
}

func (v *carried) where() string {
	if v.away {
		return v.dir + ".away"
	}
	return v.dir
}

// keptCase is what was acknowledged about a case.
type keptCase struct {
	vault    *carried
	deadline time.Time
	holds    []string
	gone     bool
	backup   string // a directory with a copy of its files; "" when nobody made one
}

// files are those of a case in its vault, and in a backup of it.
func (k *keptCase) files(no string) (inVault, inBackup []string) {
	for _, dir := range []string{"cases", "keystore"} {
		inVault = append(inVault, filepath.Join(k.vault.where(), dir, no))
		inBackup = append(inBackup, filepath.Join(k.backup, dir, no))
	}
	return inVault, inBackup
}

func (y *aYear) now() time.Time { return time.Now().Add(y.ahead) }

// clock sets the clock of all machines.
func (y *aYear) clock(ahead time.Duration) {
	if err := os.WriteFile(os.Getenv(clockFile), []byte(ahead.String()), 0o600); err != nil {
		y.t.Fatal(err)
	}
}

// may runs a command and insists that it ends as a command can end whatever has happened
// before: well, or refused with a hint. It returns the exit status and standard output.
func (y *aYear) may(b *bench, args ...string) (int, string) {
	y.t.Helper()
	c := b.command(args...)
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		y.t.Fatal(err)
	}
	y.said = append(y.said, fmt.Sprintf("%s %s: salvor %s: %d %s", y.now().Format(time.DateTime), filepath.Base(b.state), strings.Join(args, " "), code, firstLine(errs.String())))
	switch code {
	case ui.Done, ui.Incomplete, ui.Absent:
	case ui.Refused, ui.NotFound, ui.Locked:
		if !strings.Contains(errs.String(), "hint") {
			y.fatalf("salvor %s: exit status %d without a hint\n%s", strings.Join(args, " "), code, errs.String())
		}
	default:
		y.fatalf("salvor %s: exit status %d\n%s%s", strings.Join(args, " "), code, out, errs.String())
	}
	return code, string(out)
}

func firstLine(s string) string { line, _, _ := strings.Cut(s, "\n"); return line }

func (y *aYear) fatalf(format string, args ...any) {
	y.t.Helper()
	said := y.said[max(0, len(y.said)-60):]
	y.t.Fatalf(format+"\nbefore it:\n%s", append(args, strings.Join(said, "\n"))...)
}

func (y *aYear) station() *bench { return y.stations[y.IntN(len(y.stations))] }

// act lets one thing happen.
func (y *aYear) act() {
	switch y.IntN(19) {
	case 0, 1, 2:
		y.image()
	case 3, 4:
		y.onCase(func(b *bench, no string, k *keptCase) {
			code, out := y.may(b, "hold", "add", no, "--kind", "legal", "--reason", "claim", "--review", "30d", "--json")
			if code == ui.Done {
				var held struct{ Hold string }
				y.decode(out, &held)
				k.holds = append(k.holds, held.Hold)
			}
		})
	case 5:
		y.onCase(func(b *bench, no string, k *keptCase) {
			if len(k.holds) == 0 {
				return
			}
			if code, _ := y.may(b, "hold", "end", no, k.holds[0], "--reason", "settled"); code == ui.Done || code == ui.Absent {
				k.holds = k.holds[1:]
			}
		})
	case 6:
		y.onCase(func(b *bench, no string, k *keptCase) {
			y.may(b, "confirm", no, "--how", "signed")
			y.shorter(b, no, k)
		})
	case 7:
		y.onCase(func(b *bench, no string, k *keptCase) {
			y.may(b, "deadline", no, "--keep", fmt.Sprintf("%dd", 1+y.IntN(3)), "--reason", "asked for")
			y.shorter(b, no, k)
		})
	case 8, 9:
		args := []string{"purge", "--max", "1000"}
		if y.IntN(2) == 0 {
			args = append(args, "--clock-checked")
		}
		y.may(y.station(), args...)
	case 10:
		y.killed(y.station(), [][]string{
			{"purge", "--max", "1000", "--clock-checked"},
			{"sync"},
			{"image", y.disk(), "--vault", "nas", "--customer", "An Peeters", "--purpose", "crash", "--agreed", "--keep", "3d"},
		}[y.IntN(3)]...)
	case 11, 12:
		y.ahead += time.Duration(1+y.IntN(96)) * time.Hour
		y.clock(y.ahead)
	case 13:
		y.unplugged()
	case 14:
		y.wrongClock()
	case 15:
		y.may(y.station(), "sync")
	case 16:
		y.lost()
	case 17:
		y.together()
	case 18:
		y.putBack()
	}
	y.nothingIsGoneTooEarly()
}

func (y *aYear) disk() string {
	file := filepath.Join(y.stations[0].dir, "disk.img")
	if err := os.WriteFile(file, diskContent(100_000+y.IntN(100_000), fmt.Sprint(y.Uint64())), 0o600); err != nil {
		y.t.Fatal(err)
	}
	return file
}

func (y *aYear) image() {
	b, v := y.station(), y.vaults[y.IntN(len(y.vaults))]
	code, out := y.may(b, "image", y.disk(), "--vault", v.name, "--customer", "An Peeters", "--purpose", "crash", "--agreed",
		"--keep", fmt.Sprintf("%dd", 1+y.IntN(60)), "--json", "--clock-checked")
	if code != ui.Done {
		return
	}
	var summary struct {
		Case     string
		Deadline time.Time
	}
	y.decode(out, &summary)
	k := &keptCase{vault: v, deadline: summary.Deadline}
	y.kept[summary.Case] = k
	if y.IntN(3) == 0 {
		k.backup = y.t.TempDir()
		y.copied(k.files(summary.Case))
	}
}

// copied copies directories to others.
func (y *aYear) copied(from, to []string) {
	y.t.Helper()
	for i := range from {
		if err := os.CopyFS(to[i], os.DirFS(from[i])); err != nil {
			y.t.Fatal(err)
		}
	}
}

// putBack has somebody restore a backup of a vault, in which there is a case that was erased.
func (y *aYear) putBack() {
	for _, no := range slices.Sorted(maps.Keys(y.kept)) {
		k := y.kept[no]
		if !k.gone || k.backup == "" {
			continue
		}
		inVault, inBackup := k.files(no)
		for _, dir := range inVault {
			if err := os.RemoveAll(dir); err != nil {
				y.t.Fatal(err)
			}
		}
		y.copied(inBackup, inVault)
		k.gone = false
		y.back++
		y.said = append(y.said, "backup put back: "+no)
		return
	}
}

func (y *aYear) decode(out string, into any) {
	y.t.Helper()
	if err := lastLine([]byte(out), into); err != nil {
		y.fatalf("%v: %q", err, out)
	}
}

// onCase does something with a case that is kept, at any station.
func (y *aYear) onCase(do func(b *bench, no string, k *keptCase)) {
	list := slices.DeleteFunc(slices.Sorted(maps.Keys(y.kept)), func(no string) bool { return y.kept[no].gone })
	if len(list) == 0 {
		return
	}
	no := list[y.IntN(len(list))]
	do(y.station(), no, y.kept[no])
}

// shorter takes over a deadline that may have become shorter.
func (y *aYear) shorter(b *bench, no string, k *keptCase) {
	code, out := y.may(b, "show", no, "--json")
	if code != ui.Done {
		return
	}
	var shown struct{ Case struct{ Deadline time.Time } }
	y.decode(out, &shown)
	if shown.Case.Deadline.After(k.deadline) {
		y.fatalf("the deadline of %s was %v and is %v", no, k.deadline, shown.Case.Deadline)
	}
	k.deadline = shown.Case.Deadline
}

func (y *aYear) killed(b *bench, args ...string) {
	c := b.command(args...)
	if err := c.Start(); err != nil {
		y.t.Fatal(err)
	}
	time.AfterFunc(time.Duration(y.IntN(150))*time.Millisecond, func() { c.Process.Kill() })
	err := c.Wait()
	y.said = append(y.said, fmt.Sprintf("%s %s: killed: salvor %s: %v", y.now().Format(time.DateTime), filepath.Base(b.state), strings.Join(args, " "), err))
}

// lost is a station whose disk breaks after all that it knows was published.
func (y *aYear) lost() {
	b := y.station()
	if slices.ContainsFunc(y.vaults, func(v *carried) bool { return v.away }) {
		return
	}
	if code, _ := y.may(b, "sync"); code != ui.Done {
		return
	}
	y.said = append(y.said, "ledger lost: "+filepath.Base(b.state))
	b.loseLedger("--from", y.vaults[1].dir, "--shop-code", y.shopCode)
	y.may(b, "sync")
}

// together lets two commands run at once, on one station or on two.
func (y *aYear) together() {
	b, args := y.station(), []string{"purge", "--max", "1000", "--clock-checked"}
	c := b.command(args...)
	if err := c.Start(); err != nil {
		y.t.Fatal(err)
	}
	y.may(y.station(), [][]string{args, {"sync"}, {"vault", "check"}, {"audit", "--full"}}[y.IntN(4)]...)
	_ = c.Wait() // it may be refused; what it did is looked at below
	y.said = append(y.said, fmt.Sprintf("together with: %s %s: %v", filepath.Base(b.state), strings.Join(args, " "), c.ProcessState))
}

// unplugged takes a vault away, or plugs it back.
func (y *aYear) unplugged() {
	v := y.vaults[len(y.vaults)-1]
	from := v.where()
	v.away = !v.away
	if err := os.Rename(from, v.where()); err != nil {
		y.t.Fatal(err)
	}
	y.said = append(y.said, fmt.Sprintf("vault %s away: %v", v.name, v.away))
}

// wrongClock does something while the clock is wrong, and nobody says that it is right.
func (y *aYear) wrongClock() {
	y.clock(y.ahead + []time.Duration{-72 * time.Hour, 60 * time.Hour, 400 * 24 * time.Hour}[y.IntN(3)])
	b := y.station()
	switch y.IntN(3) {
	case 0:
		if code, _ := y.may(b, "purge", "--max", "1000"); code == ui.Done {
			y.said = append(y.said, "with a wrong clock")
		}
	case 1:
		y.may(b, "sync")
	case 2:
		y.onCase(func(b *bench, no string, _ *keptCase) { y.may(b, "verify", no) })
	}
	y.clock(y.ahead)
}

// nothingIsGoneTooEarly looks into the vaults, wherever they are.
func (y *aYear) nothingIsGoneTooEarly() {
	y.t.Helper()
	for no, k := range y.kept {
		left := len(filesBelow(y.t, filepath.Join(k.vault.where(), "cases", no)))
		switch {
		case k.gone && left > 0:
			y.fatalf("%s was erased and is there again", no)
		case k.gone || left > 0:
		case len(k.holds) > 0:
			y.fatalf("%s is held and gone", no)
		case y.now().Before(k.deadline):
			y.fatalf("%s is gone before its deadline, %v", no, k.deadline)
		default:
			k.gone = true
		}
	}
}

// filesBelow lists the files below a directory; none when it is not there.
func filesBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

// TestAYearOfAShopErasesAllThatIsDueAndNothingElse lets at random happen what happens in a
// shop: disks are imaged, held, confirmed and purged on three stations, programs are
// killed, a vault is carried away, a backup is put back, ledgers are lost, clocks are wrong. Nothing may be erased too early, no
// command may end otherwise than it says; and when all that is held was let go and a
// year has gone by, nothing is left but the record, the same everywhere.
func TestAYearOfAShopErasesAllThatIsDueAndNothingElse(t *testing.T) {
	seed := *year
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-year %d", seed)
	t.Setenv(clockFile, filepath.Join(t.TempDir(), "clock"))
	b := newBench(t, 1)
	usb := filepath.Join(b.dir, "usb")
	if err := os.Mkdir(usb, 0o700); err != nil {
		t.Fatal(err)
	}
	b.must("vault", "add", usb, "--name", "usb")
	y := &aYear{
		Rand: rand.New(rand.NewPCG(seed, 1)), t: t, kept: make(map[string]*keptCase),
		stations: []*bench{b, b.join("B2"), b.join("NAS")}, vaults: []*carried{{name: "nas", dir: b.vault}, {name: "usb", dir: usb}},
	}
	for _, other := range y.stations[1:] {
		other.must("vault", "add", usb, "--name", "usb")
	}
	var shop struct {
		ShopCode string `json:"shop_code"`
	}
	y.decode(b.must("station", "list", "--json"), &shop)
	y.shopCode = shop.ShopCode
	for range *acts {
		y.act()
	}
	y.end()
}

// end lets everything go and a year go by.
func (y *aYear) end() {
	for _, v := range y.vaults {
		if v.away {
			y.unplugged()
		}
	}
	for range 2 {
		for _, b := range y.stations {
			y.may(b, "sync")
		}
	}
	_, out := y.may(y.stations[0], "cases", "--all", "--json")
	var list struct{ Cases []struct{ Case string } }
	y.decode(out, &list)
	for _, c := range list.Cases {
		_, out := y.may(y.stations[0], "show", c.Case, "--json")
		var shown struct {
			Holds []struct {
				Hold  string
				Ended *time.Time
			}
		}
		y.decode(out, &shown)
		for _, h := range shown.Holds {
			if h.Ended == nil {
				y.may(y.stations[0], "hold", "end", c.Case, h.Hold, "--reason", "settled")
			}
		}
		if k := y.kept[c.Case]; k != nil {
			k.holds = nil
		}
	}
	y.ahead += 400 * 24 * time.Hour
	y.clock(y.ahead)
	for _, b := range y.stations {
		y.may(b, "purge", "--max", "1000", "--clock-checked")
	}
	y.nothingIsGoneTooEarly()
	var first []string
	for n, b := range y.stations {
		y.must(b, "sync")
		y.must(b, "purge")
		y.must(b, "vault", "check")
		y.must(b, "audit", "--full")
		var shown []string
		for _, c := range list.Cases {
			shown = append(shown, y.must(b, "show", c.Case, "--json"))
		}
		if n == 0 {
			first = shown
		}
		for i := range shown {
			if shown[i] != first[i] {
				y.fatalf("%s is not the same at two stations:\n%s%s", list.Cases[i].Case, first[i], shown[i])
			}
		}
	}
	for _, v := range y.vaults {
		if left := slices.Concat(filesBelow(y.t, filepath.Join(v.dir, "cases")), filesBelow(y.t, filepath.Join(v.dir, "keystore"))); len(left) > 0 {
			y.fatalf("left: %v", left)
		}
	}
	y.t.Logf("%d cases, %d of them acknowledged, %d put back", len(list.Cases), len(y.kept), y.back)
}

func (y *aYear) must(b *bench, args ...string) string {
	y.t.Helper()
	code, out := y.may(b, args...)
	if code != ui.Done {
		y.fatalf("salvor %s: exit status %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}
