package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/report"
	"salvor/custody/vault"
	"salvor/wipe"
)

// trial is a shop that does not exist. Its commands run in this process exactly as they
// are typed at a bench, so that what is tried is what will be used.
type trial struct {
	now   func() time.Time
	dir   string // of everything but the vault
	vault string

	disk []byte
	no   string // of the invented case

	keys  wipe.KeyClass // what the purge reached
	media wipe.MediaClass
}

const (
	trialBytes  = 32 << 20
	trialMarker = "this was on the disk of a customer who does not exist"
	trialName   = "Invented Customer"
	trialDir    = "selftest-" // and something, in the vault and in the state directory
)

// newTrial makes the places of an invented shop whose vault lies in the directory of a
// real one.
func (s *station) newTrial(vaultDir string) (*trial, error) {
	t := &trial{now: s.now}
	var err error
	if t.dir, err = os.MkdirTemp(s.dir, trialDir); err != nil {
		return nil, fmt.Errorf("selftest: %w", err)
	}
	if t.vault, err = os.MkdirTemp(vaultDir, trialDir); err != nil {
		return nil, errors.Join(fmt.Errorf("selftest: %w", err), t.remove())
	}
	return t, nil
}

// remove takes away everything that was made. All of it was invented.
func (t *trial) remove() error {
	err := os.RemoveAll(t.dir)
	if t.vault != "" {
		err = errors.Join(err, os.RemoveAll(t.vault))
	}
	return err
}

func (t *trial) at(name string) string { return filepath.Join(t.dir, name) }

// check is one thing that has to be so.
type check struct {
	about string
	do    func() error
}

// checks are in an order in which each rests on those before it.
func (t *trial) checks() []check {
	return []check{
		{"a shop, two keys, an operator and a vault are set up", t.setUp},
		{"a disk is imaged, and every byte of it is rescued", t.image},
		{"nothing of it is readable in the vault or the ledger", t.unreadable},
		{"every record of the image is opened with one key", t.verify},
		{"what the other key restores is the disk, byte for byte", t.restore},
		{"one altered byte of the image is found", t.tamper},
		{"a hold stops the purge", t.hold},
		{"the purge erases image and keys, and reads back every byte", t.purge},
		{"the erased image cannot be opened", t.gone},
		{"the papers of the case are made in every language", t.papers},
		{"the record is complete and unaltered", t.audit},
		{"one altered byte of the case's proof is found", t.forge},
		{"the ledger is backed up", t.backup},
	}
}

func (t *trial) setUp() error {
	steps := [][]string{{"init", "--shop", "Selftest", "--station", "TEST", "--dpo", "dpo@selftest.example", "--language", "en"}}
	for _, name := range []string{"counter", "safe"} {
		id, err := vault.NewIdentity()
		if err != nil {
			return err
		}
		if err := os.WriteFile(t.at(name+".key"), []byte(id.String()+"\n"), 0o600); err != nil {
			return err
		}
		steps = append(steps, []string{"key", "add", id.Recipient().String(), "--label", name})
	}
	today := custody.DateOf(t.now(), time.UTC)
	steps = append(steps,
		[]string{"operator", "add", "tester", "--name", "Tester", "--agreement", string(today)},
		[]string{"vault", "add", t.vault, "--name", "trial"})
	for _, args := range steps {
		if _, err := t.salvor(ui.Done, args...); err != nil {
			return err
		}
	}
	return nil
}

// image makes the disk: a part that does not compress, with a text in it that would be
// found, and a part that is empty.
func (t *trial) image() error {
	t.disk = make([]byte, trialBytes)
	_, _ = rand.NewChaCha8([32]byte{}).Read(t.disk[:trialBytes/2])
	for i := 0; i < trialBytes/2; i += 1 << 20 {
		copy(t.disk[i+1000:], trialMarker)
	}
	if err := os.WriteFile(t.at("disk.img"), t.disk, 0o600); err != nil {
		return err
	}
	out, err := t.salvor(ui.Done, "image", t.at("disk.img"), "--customer", trialName, "--purpose", string(custody.PurposeTransfer), "--agreed", "--keep", "0d")
	if err != nil {
		return err
	}
	var summary struct {
		Case           string
		Rescued, Bytes int64
	}
	if err := lastLine(out, &summary); err != nil {
		return err
	}
	if summary.Rescued != trialBytes || summary.Bytes != trialBytes {
		return fmt.Errorf("%d of %d bytes are rescued", summary.Rescued, trialBytes)
	}
	t.no = summary.Case
	return nil
}

func (t *trial) unreadable() error {
	looked := 0
	look := func(path string, content []byte) error {
		looked += len(content)
		if bytes.Contains(content, []byte(trialMarker)) {
			return fmt.Errorf("%s holds text of the disk", filepath.Base(path))
		}
		if strings.HasPrefix(path, t.vault) && bytes.Contains(content, []byte(trialName)) {
			return fmt.Errorf("%s holds the customer's name", filepath.Base(path))
		}
		return nil
	}
	if err := errors.Join(eachFile(t.vault, look), eachFile(t.at("state"), look)); err != nil {
		return err
	}
	if looked < trialBytes/2 {
		return fmt.Errorf("only %d bytes are there to look at", looked)
	}
	return nil
}

func (t *trial) verify() error {
	_, err := t.salvor(ui.Done, "verify", t.no, "--deep", "--identity", t.at("counter.key"))
	return err
}

// restore hands over, whatever the state directory lies on: nobody's data are written.
func (t *trial) restore() error {
	if _, err := t.salvor(ui.Done, "restore", t.no, t.at("back.img"), "--handover", "--identity", t.at("safe.key"), "--reason", "selftest"); err != nil {
		return err
	}
	back, err := os.ReadFile(t.at("back.img"))
	if err != nil {
		return err
	}
	if !bytes.Equal(back, t.disk) {
		return errors.New("the restored disk differs")
	}
	return nil
}

// tamper alters a byte in the middle of the largest file of the vault, which holds the
// records, and puts it back.
func (t *trial) tamper() error {
	var largest string
	var size int
	if err := eachFile(t.vault, func(path string, content []byte) error {
		if len(content) > size {
			largest, size = path, len(content)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := flip(largest, size/2); err != nil {
		return err
	}
	_, err := t.salvor(ui.VerifyFailed, "verify", t.no, "--media")
	if err := errors.Join(err, flip(largest, size/2)); err != nil {
		return err
	}
	_, err = t.salvor(ui.Done, "verify", t.no, "--media")
	return err
}

func (t *trial) hold() error {
	out, err := t.salvor(ui.Done, "hold", "add", t.no, "--kind", string(custody.HoldOther), "--reason", "selftest", "--review", "1m")
	if err != nil {
		return err
	}
	var held struct{ Hold string }
	if err := lastLine(out, &held); err != nil {
		return err
	}
	if _, err := t.salvor(ui.Incomplete, "purge"); err != nil {
		return err
	}
	if _, err := t.salvor(ui.Done, "verify", t.no); err != nil {
		return err
	}
	_, err = t.salvor(ui.Done, "hold", "end", t.no, held.Hold, "--reason", "selftest")
	return err
}

// purge takes a class that the storage allows no better, which is exit status 3, for what
// it is: the storage's limit, which is said at the end, and no fault of this machine.
func (t *trial) purge() error {
	out, err := t.salvor(ui.Done, "purge")
	if exit, ok := errors.AsType[*exitError](err); ok && exit.got == ui.Incomplete {
		out, err = exit.out, nil
	}
	if err != nil {
		return err
	}
	for line := range bytes.Lines(out) {
		var e struct {
			Outcome, Why string
			Keys         wipe.KeyClass
			Media        wipe.MediaClass
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Outcome != "" {
			t.keys, t.media = e.Keys, e.Media
			if e.Outcome != "erased" || e.Keys == wipe.KeyNone || e.Media == wipe.MediaFailed {
				return errors.New(joined(", ", e.Outcome, string(e.Keys), string(e.Media), e.Why))
			}
		}
	}
	if t.keys == "" {
		return errors.New("no erasing was reported")
	}
	return errors.Join(nothingIn(filepath.Join(t.vault, "cases")), nothingIn(filepath.Join(t.vault, "keystore")))
}

func (t *trial) gone() error {
	_, err := t.salvor(ui.NotFound, "restore", t.no, t.at("again.img"), "--handover", "--identity", t.at("safe.key"), "--reason", "selftest")
	return err
}

func (t *trial) papers() error {
	for _, language := range report.Languages() {
		for _, kind := range []string{"attest", "custody"} {
			file := t.at(kind + "-" + string(language) + ".pdf")
			if _, err := t.run(ui.Done, "report", kind, t.no, "--lang", string(language), "--out", file); err != nil {
				return err
			}
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if !bytes.HasPrefix(content, []byte("%PDF-")) {
				return fmt.Errorf("%s is no PDF", filepath.Base(file))
			}
		}
	}
	return nil
}

func (t *trial) audit() error {
	_, err := t.salvor(ui.Done, "audit", "--full")
	return err
}

func (t *trial) forge() error {
	proof := t.at("proof.jsonl")
	out, err := t.salvor(ui.Done, "audit", "--bundle", t.no, "--out", proof)
	if err != nil {
		return err
	}
	var made struct {
		ShopKey string `json:"shop_key"`
	}
	if err := lastLine(out, &made); err != nil {
		return err
	}
	checks := []string{"audit", "--check", proof, "--key", made.ShopKey}
	if _, err := t.salvor(ui.Done, checks...); err != nil {
		return err
	}
	content, err := os.ReadFile(proof)
	if err != nil {
		return err
	}
	forged := bytes.Replace(content, []byte("case.opened"), []byte("case.closed"), 1)
	if bytes.Equal(forged, content) {
		return errors.New("the proof does not say that the case was opened")
	}
	if err := os.WriteFile(proof, forged, 0o600); err != nil {
		return err
	}
	_, err = t.salvor(ui.VerifyFailed, checks...)
	return err
}

func (t *trial) backup() error {
	_, err := t.salvor(ui.Done, "ledger", "backup", "--to", t.dir, "--place", string(custody.BackupLocal))
	return err
}

// salvor runs one command as the only operator there. Another exit status than want is
// an [exitError].
func (t *trial) salvor(want int, args ...string) ([]byte, error) {
	return t.run(want, append(args, "--json")...)
}

func (t *trial) run(want int, args ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	env := map[string]string{"SALVOR_STATE": t.at("state"), "SALVOR_OPERATOR": "tester"}
	p := newProgram(ui.Streams{In: strings.NewReader(""), Out: &out, Err: &errs, Now: t.now, Env: func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}})
	if got := p.run(args); got != want {
		var said struct{ Message string }
		if err := lastLine(errs.Bytes(), &said); err != nil {
			said.Message = strings.Join(strings.Fields(errs.String()), " ")
		}
		return nil, &exitError{command: args[0], got: got, want: want, why: said.Message, out: out.Bytes()}
	}
	return out.Bytes(), nil
}

// exitError is a command that did not end as it should.
type exitError struct {
	command   string
	got, want int
	why       string // what it said; "" when it said nothing
	out       []byte
}

// Error implements error.
func (e *exitError) Error() string {
	return joined(": ", fmt.Sprintf("salvor %s ended with exit status %d and not %d", e.command, e.got, e.want), e.why)
}

// lastLine reads the last line of what a command printed.
func lastLine(out []byte, into any) error {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], into); err != nil {
		return fmt.Errorf("what the command printed: %w", err)
	}
	return nil
}

// eachFile shows every file below dir, with what it holds.
func eachFile(dir string, show func(path string, content []byte) error) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return show(path, content)
	})
}

func nothingIn(dir string) error {
	return eachFile(dir, func(path string, _ []byte) error { return fmt.Errorf("%s is left", filepath.Base(path)) })
}

// flip alters one byte of a file; a second time puts it back.
func flip(path string, at int) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	one := make([]byte, 1)
	if _, err := f.ReadAt(one, int64(at)); err != nil {
		return err
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one, int64(at)); err != nil {
		return err
	}
	return f.Sync()
}
