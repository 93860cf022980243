package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/config"
	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

type initOptions struct {
	shop, address, number, dpo, language, zone, station string
	join                                                string
}

// config is the configuration that the options make.
func (o initOptions) config() config.Config {
	c := config.Default()
	c.Shop = config.Shop{Name: o.shop, Address: o.address, CompanyNumber: o.number, DPO: o.dpo, Language: o.language, Timezone: o.zone}
	return c
}

func newInit(p *program) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "set up this machine as a station of a new shop, or of one there is",
		Long: `Sets up the shop and this station: configuration, station key and ledger. On a
terminal it asks for what is missing and goes on to the two shop keys, the first
operator and the first vault; in a script everything is a flag, and keys, operators
and vaults are added with their own commands.

With --join the machine becomes another station of the shop whose vault that is. It
shows a code; when a station of the shop has approved it (salvor station approve),
init --join once more takes everything in.`,
		Example: `  salvor init
  salvor init --shop "Fixit bv" --station T1 --dpo dpo@fixit.example
  salvor init --join /mnt/nas --station B2
  salvor init --join /mnt/nas    # once more, when it is approved`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.init(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.shop, "shop", "", "name of the shop")
	f.StringVar(&o.station, "station", "", "name of this station: a capital and up to seven capitals or digits")
	f.StringVar(&o.dpo, "dpo", "", "data protection officer or contact; stands on every paper")
	f.StringVar(&o.address, "address", "", "address of the shop, in one line")
	f.StringVar(&o.number, "company-number", "", "company number, as the register writes it")
	f.StringVar(&o.language, "language", "nl", "language of papers: nl, fr, de or en")
	f.StringVar(&o.zone, "timezone", "Europe/Brussels", "time zone of the shop")
	f.StringVar(&o.join, "join", "", "join the shop whose vault is in this `DIR`")
	return cmd
}

func (p *program) init(ctx context.Context, o initOptions) error {
	dir, err := p.findState()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, ledgerFile)); err == nil {
		return refuse("init", "this station is set up already in "+dir, "go on with salvor key list, operator list, vault list; another station: --state DIR")
	}
	if o.join != "" {
		return p.join(ctx, dir, o)
	}
	if _, err := os.Lstat(filepath.Join(dir, joinFile)); err == nil {
		return refuse("init", "this station has asked to join a shop", "go on with salvor init --join VAULT; another station: --state DIR")
	}
	if err := p.settleShop(ctx, &o); err != nil {
		return err
	}
	if err := p.makeStation(ctx, dir, o.config(), o.station); err != nil {
		return err
	}
	p.term.Say("station %s of %s is set up in %s", o.station, o.shop, dir)
	if p.term.CanAsk() {
		return p.withStation(ctx, func(s *station) error { return s.guide(ctx) })
	}
	if p.json {
		return p.term.Document(map[string]string{"station": o.station, "state": dir})
	}
	p.term.Say("next: salvor key new or key add (two keys), salvor operator add, salvor vault add")
	return nil
}

// settleShop asks for what is missing and checks the whole.
func (p *program) settleShop(ctx context.Context, o *initOptions) error {
	if err := p.askShop(ctx, o); err != nil {
		return err
	}
	if err := o.checkName(); err != nil {
		return err
	}
	if _, err := o.config().Encode(); err != nil {
		return &ui.Error{Code: ui.Usage, What: "init", Why: err.Error(), Hint: "salvor init --help", Err: err}
	}
	return nil
}

func (p *program) askShop(ctx context.Context, o *initOptions) error {
	for _, q := range []struct {
		value *string
		q     ui.Question
	}{
		{&o.shop, ui.Question{Text: "name of the shop", Flag: "--shop", Check: notEmpty}},
		{&o.dpo, ui.Question{Text: "data protection officer or contact", Flag: "--dpo", Check: notEmpty}},
		{&o.station, ui.Question{Text: "name of this station", Flag: "--station", Default: "B1", Check: checkStation}},
	} {
		if *q.value != "" {
			continue
		}
		answer, err := p.term.Line(ctx, q.q)
		if err != nil {
			return err
		}
		*q.value = answer
	}
	return nil
}

// makeStation writes the state of a new station. The ledger comes last and alone says
// that the set-up is complete: it is made beside its place and renamed there. What a
// run that was cut off left behind has signed nothing and is made anew; a failed run
// leaves nothing.
func (p *program) makeStation(ctx context.Context, dir string, conf config.Config, name string) (err error) {
	_, statErr := os.Lstat(dir)
	if err := config.MakeState(dir); err != nil {
		return err
	}
	unfinished := filepath.Join(dir, "setup.db")
	made := []string{unfinished, unfinished + "-journal", filepath.Join(dir, keyFile), filepath.Join(dir, config.FileName)}
	clean := func() {
		for _, path := range made {
			os.Remove(path)
		}
	}
	clean()
	defer func() {
		if err != nil {
			clean()
			if errors.Is(statErr, os.ErrNotExist) {
				os.Remove(dir)
			}
		}
	}()
	shop := p.newID()
	keys, err := ledger.NewStation(shop, name, rand.Reader)
	if err != nil {
		return err
	}
	if err := keys.Save(filepath.Join(dir, keyFile)); err != nil {
		return err
	}
	if err := config.Write(filepath.Join(dir, config.FileName), conf); err != nil {
		return err
	}
	l, err := ledger.Create(ctx, unfinished, keys, p.now)
	if err != nil {
		return fmt.Errorf("create the ledger: %w", err)
	}
	_, err = l.Append(ctx, stationOperator,
		ledger.Entry{Pub: custody.ShopCreated{Shop: shop}},
		ledger.Entry{Pub: custody.StationEnrolled{Station: name, Sign: keys.Verifier(), Seal: keys.Recipient()}},
		ledger.Entry{Pub: custody.Heartbeat{}}, // somebody sat here and knew what time it was
	)
	if cerr := l.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(unfinished, filepath.Join(dir, ledgerFile)); err != nil {
		return err
	}
	os.Remove(unfinished + "-journal") // the ledger's rollback journal is kept and wiped; it has no private part yet
	return syncDir(dir)
}

// guide leads through what a shop needs before its first image. Every step may be
// left out, and done later with the command that it names.
func (s *station) guide(ctx context.Context) error {
	steps := []struct {
		question, later string
		do              func(context.Context) error
	}{
		{"make the first shop key now, protected by a passphrase", "salvor key new", s.guideCounterKey},
		{"make the second shop key now, on paper for the safe", "salvor key new --paper", s.guidePaperKey},
		{"add the first operator now", "salvor operator add", s.guideOperator},
		{"add the first vault now", "salvor vault add", s.guideVault},
	}
	// A guide that ends early is not repeated: init refuses a station that is there.
	left := func(i int, err error) error {
		var rest []string
		for _, step := range steps[i:] {
			rest = append(rest, step.later)
		}
		return &ui.Error{Code: ui.ExitCode(explain(err)), What: "init", Why: "cut off; the station is set up, with what was said to be added", Hint: "go on with " + strings.Join(rest, ", "), Err: err}
	}
	for i, step := range steps {
		yes, err := s.term.YesNo(ctx, ui.Question{Text: step.question, Flag: step.later, Default: "yes"})
		if err != nil {
			return left(i, err)
		}
		if !yes {
			s.term.Say("later: %s", step.later)
			continue
		}
		for err := step.do(ctx); err != nil; err = step.do(ctx) {
			if code := ui.ExitCode(explain(err)); code == ui.Interrupted {
				return left(i, err)
			}
			s.term.Fail(explain(err))
			again, err := s.term.YesNo(ctx, ui.Question{Text: "try again", Flag: step.later, Default: "yes"})
			if err != nil {
				return left(i, err)
			}
			if !again {
				s.term.Say("later: %s", step.later)
				break
			}
		}
	}
	s.term.Say("ready: salvor image DISK")
	return nil
}

func checkStation(a string) error {
	if custody.CheckStation(a) != nil {
		return errors.New("a capital and up to seven capitals or digits, such as B1")
	}
	return nil
}

func checkLabel(a string) error {
	if custody.CheckLabel(a) != nil {
		return errors.New("up to 32 of a-z, 0-9, _ . and -, beginning with a letter")
	}
	return nil
}

func (s *station) guideCounterKey(ctx context.Context) error {
	out, err := s.term.Line(ctx, ui.Question{Text: "file for the key, best on a stick that is kept away from the bench", Flag: "--out", Default: "counter.key"})
	if err != nil {
		return err
	}
	recipient, err := s.newKey(ctx, newKeyOptions{label: "counter", out: out})
	if err != nil {
		return err
	}
	return s.saidKey("counter", recipient)
}

func (s *station) guidePaperKey(ctx context.Context) error {
	out, err := s.term.Line(ctx, ui.Question{Text: "file for the page; print it, put it into a safe and delete the file", Flag: "--out", Default: "safe.txt"})
	if err != nil {
		return err
	}
	recipient, err := s.newKey(ctx, newKeyOptions{label: "safe", out: out, paper: true})
	if err != nil {
		return err
	}
	return s.saidKey("safe", recipient)
}

func (s *station) guideOperator(ctx context.Context) error {
	login, err := s.login()
	if err != nil || custody.CheckLabel(login) != nil {
		login = ""
	}
	if login, err = s.term.Line(ctx, ui.Question{Text: "login of the operator on this machine", Flag: "salvor operator add", Default: login, Check: checkLabel}); err != nil {
		return err
	}
	name, err := s.term.Line(ctx, ui.Question{Text: "name", Flag: "--name", Check: notEmpty})
	if err != nil {
		return err
	}
	agreed, err := s.askAgreement(ctx)
	if err != nil {
		return err
	}
	return s.addOperator(ctx, login, operatorFlags{name: name, agreement: string(agreed)})
}

func (s *station) guideVault(ctx context.Context) error {
	path, err := s.term.Line(ctx, ui.Question{Text: "directory on the external disk or NAS", Flag: "salvor vault add", Check: notEmpty})
	if err != nil {
		return err
	}
	name, err := s.term.Line(ctx, ui.Question{Text: "name of the vault", Flag: "--name", Default: "nas", Check: checkLabel})
	if err != nil {
		return err
	}
	id, err := s.addVault(ctx, path, name)
	if err != nil {
		return err
	}
	s.term.Say("vault %s is ready", id)
	return nil
}
