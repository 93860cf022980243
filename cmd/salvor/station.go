package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"salvor/cmd/salvor/internal/config"
	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// stationOperator stands for the station itself where nobody has to answer for an
// act: setting up a shop that has no operators yet, checking, printing.
const stationOperator = "op-station"

// station is this machine as salvor sees it: its configuration, its keys and its
// open ledger.
type station struct {
	*program
	dir    string
	config config.Config
	keys   ledger.Station
	ledger *ledger.Ledger

	unheard map[string]bool // ids of the vaults that did not exchange before the command

	signing string       // id of the operator who signs, "" while nobody does
	audited func() error // what the audit for a paper has found, when one was begun ahead
	atEnd   []func()     // what is closed with the station
}

const (
	ledgerFile = "ledger.db"
	keyFile    = "station.key"
)

// open finds and opens the station. The caller closes it.
func (p *program) open(ctx context.Context) (*station, error) {
	dir, err := p.findState()
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Join(dir, ledgerFile)); errors.Is(err, fs.ErrNotExist) {
		missing := &ui.Error{
			Code: ui.NotFound, What: "state directory", Why: "no station is set up in " + dir,
			Hint: "salvor init; root and every user have a directory of their own: --state DIR names another", Err: err,
		}
		_, keyErr := os.Lstat(filepath.Join(dir, keyFile))
		_, joinErr := os.Lstat(filepath.Join(dir, joinFile))
		switch {
		case joinErr == nil:
			missing.Why += " yet: it has asked to join a shop"
			missing.Hint = "at a station of the shop: salvor station approve; then here again: salvor init --join VAULT"
		case keyErr == nil: // another init would make another shop
			missing.Why += " any more: its key is here, and its ledger is gone"
			missing.Hint = "salvor ledger rebuild --from VAULT"
		}
		return nil, missing
	}
	if err := config.CheckState(dir); err != nil {
		return nil, err
	}
	s := &station{program: p, dir: dir}
	if s.config, err = config.Load(config.System, filepath.Join(dir, config.FileName)); err != nil {
		return nil, &ui.Error{Code: explainedCode(err, ui.Usage), Why: err.Error(), Hint: "mend the file, or set up this station: salvor init", Err: err}
	}
	p.term.Zone = s.config.Shop.Zone()
	if s.keys, err = ledger.LoadStation(filepath.Join(dir, keyFile)); err != nil {
		return nil, err
	}
	if s.ledger, err = ledger.Open(ctx, filepath.Join(dir, ledgerFile), s.keys, p.now); err != nil {
		return nil, err
	}
	s.ledger = s.ledger.In(p.term.Zone)
	return s, nil
}

func (s *station) close() {
	for _, f := range s.atEnd {
		f()
	}
	s.ledger.Close()
}

func (p *program) findState() (string, error) {
	dir, err := config.StateDir(p.stateDir, p.stateDir != "", p.env, p.euid)
	if err != nil {
		return "", &ui.Error{Code: ui.Usage, What: "state directory", Err: err, Hint: "--state DIR"}
	}
	return dir, nil
}

// explainedCode is the exit status that explain would give, or otherwise where it
// knows nothing of the error.
func explainedCode(err error, otherwise int) int {
	if code := ui.ExitCode(explain(err)); code != ui.Other {
		return code
	}
	return otherwise
}

// withStation opens the station around a command, and exchanges with the other
// stations before and after it.
func (p *program) withStation(ctx context.Context, do func(*station) error) error {
	return p.withStationAlone(ctx, func(s *station) error {
		return s.exchanged(ctx, func() error { return do(s) })
	})
}

// onStation is what a command runs: do, with the station open and the exchange around it.
func (p *program) onStation(do func(ctx context.Context, s *station, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		return p.withStation(ctx, func(s *station) error { return do(ctx, s, args) })
	}
}

// withStationAlone opens the station around a command that looks for what is wrong
// with it, or exchanges by itself.
func (p *program) withStationAlone(ctx context.Context, do func(*station) error) error {
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return do(s)
}

// login is who acts: --as, SALVOR_OPERATOR, the person behind sudo, or the person
// logged in. Never root: root is a role of the machine and no person.
func (p *program) login() (string, error) {
	const hint = "name the operator: --as LOGIN"
	who, from := config.Setting{Flag: p.as, FlagSet: p.as != "", Env: "SALVOR_OPERATOR"}.Resolve(p.env)
	if from == config.FromDefault {
		if sudo, ok := p.env("SUDO_USER"); ok && p.euid == 0 && sudo != "" {
			who = sudo
		} else if u, err := user.Current(); err == nil {
			who = u.Username
		}
	}
	if who == "" || who == "root" {
		return "", usage("operator", "root is no person", hint)
	}
	return who, nil
}

// operator finds the operator who acts and checks that he may do what an event of
// type t permits.
func (s *station) operator(ctx context.Context, t custody.Type) (custody.Operator, error) {
	login, err := s.login()
	if err != nil {
		return custody.Operator{}, err
	}
	op, err := s.operatorByLogin(ctx, login)
	if errors.Is(err, ledger.ErrNotFound) {
		return op, &ui.Error{
			Code: ui.Refused, What: "operator", Why: "who acts is not an operator of this shop",
			Hint: `salvor operator add LOGIN --name "…" --agreement DATE, or --as LOGIN`, Err: err,
		}
	}
	if err != nil {
		return op, err
	}
	if err := op.MayAct(s.now().In(s.term.Zone), t); err != nil {
		hint := "salvor operator list"
		switch {
		case errors.Is(err, custody.ErrNotAgreed):
			hint = "salvor operator add " + login + " --agreement DATE"
		case errors.Is(err, custody.ErrPurgeOnly):
			hint = "name a person: --as LOGIN"
		}
		return op, &ui.Error{Code: ui.Refused, What: "operator " + login, Why: err.Error(), Hint: hint, Err: err}
	}
	return op, s.signAs(ctx, op)
}

// operatorOrStation is the id of the operator who acts where he is known and, having a
// key, can sign; else of the station.
func (s *station) operatorOrStation(ctx context.Context) string {
	login, err := s.login()
	if err != nil {
		return stationOperator
	}
	op, err := s.operatorByLogin(ctx, login)
	if err != nil {
		return stationOperator
	}
	if err := s.signAs(ctx, op); err != nil {
		s.term.Warn("%v; recorded as done by the station", err)
		return stationOperator
	}
	return op.ID
}

// operatorNames joins the private names to the operators' ids; an operator whose
// name was erased keeps his id.
func (s *station) operatorNames(ctx context.Context) (map[string]string, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string)
	for _, op := range shop.Operators {
		fields, err := s.ledger.Private(ctx, op.Ref)
		if err != nil {
			return nil, err
		}
		if name := fields[custody.FieldName]; name != "" {
			names[op.ID] = name
		}
	}
	return names, nil
}

// stationPublicKey is the Ed25519 key inside a verifier key of package note, which
// reads NAME+HASH+base64 of one byte for the algorithm and the key.
func stationPublicKey(verifier string) (ed25519.PublicKey, error) {
	parts := strings.SplitN(verifier, "+", 3)
	key, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(parts) != 3 || len(key) != 1+ed25519.PublicKeySize {
		return nil, ledger.ErrStationKey
	}
	return ed25519.PublicKey(key[1:]), nil
}

// lock keeps a second run on this station away from the same work. It is a local
// lock; what keeps other stations away lies in the vault.
func (s *station) lock(name string) (func(), error) {
	dir := filepath.Join(s.dir, "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	l := flock.New(filepath.Join(dir, name), flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if !ok {
		return nil, &ui.Error{Code: ui.Locked, What: name, Why: "another run of salvor on this station is working on it", Hint: "wait until it has finished"}
	}
	return func() { l.Unlock() }, nil
}

// verifiers check what this shop's stations have signed.
func (s *station) verifiers(ctx context.Context) (note.Verifiers, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	var list []note.Verifier
	for _, st := range shop.Stations {
		v, err := note.NewVerifier(st.Sign)
		if err != nil {
			return nil, fmt.Errorf("key of station %s: %w", st.Station, err)
		}
		list = append(list, v)
	}
	return note.VerifierList(list...), nil
}

// deadlineWords says when a case is due, as a person wants to read it.
func (s *station) deadlineWords(deadline time.Time) string {
	if deadline.IsZero() {
		return "-"
	}
	days := s.term.DaysLeft(deadline)
	switch {
	case !s.now().Before(deadline):
		return s.term.Date(deadline) + " (due)"
	case days == 0:
		return s.term.Date(deadline) + " (today)"
	case days == 1:
		return s.term.Date(deadline) + " (tomorrow)"
	}
	return fmt.Sprintf("%s (%d days)", s.term.Date(deadline), days)
}
