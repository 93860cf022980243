package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
)

// Every command exchanges with the journals in the vaults: before it, so that it knows
// what the other stations have done, and after it, so that they know what it did. A
// vault that is away stops nothing. A file that is not believed stops nothing either,
// but is named, and the command does not end well. What stops everything is a ledger
// that has become an old one, or a key that signs elsewhere too: each event more would
// make the second history longer.

// patience is how long a command waits for the journals before it goes on without
// them: a share that hangs must not hold up a disk that is dying on the bench.
const patience = 4 * time.Second

// An exchange is what one command has to do with the journals.
type exchange struct {
	*station
	patience time.Duration
	met      chan met
	asking   map[string]custody.Vault // who has not answered yet
	away     map[string]bool          // said once
	failed   []string                 // of those the vaults that are there all the same
	refusals []journal.Refusal
	alarm    error
}

// met is what came of one vault.
type met struct {
	vault custody.Vault
	err   error
}

// exchanged runs a command between the two halves of its exchange.
func (s *station) exchanged(ctx context.Context, do func() error) error {
	x := &exchange{station: s, patience: patience, asking: make(map[string]custody.Vault), away: make(map[string]bool)}
	vaults, err := s.reachable(ctx)
	if err != nil {
		return err
	}
	x.ask(ctx, vaults, func(ctx context.Context, l *ledger.Ledger, id string) error {
		_, err := s.syncVault(ctx, l, id)
		return err
	})
	if x.alarm != nil {
		return x.alarm
	}
	s.unheard = maps.Clone(x.away)
	for id := range x.asking {
		s.unheard[id] = true
	}
	err = do()
	// What was done is told to the others also when the command was interrupted.
	return x.end(context.WithoutCancel(ctx), err)
}

// ask turns to vaults at once, and waits for their answers as long as patience lasts.
// Who has not answered by then goes on answering.
func (x *exchange) ask(ctx context.Context, vaults []custody.Vault, about func(context.Context, *ledger.Ledger, string) error) {
	if len(vaults) == 0 {
		return
	}
	l := x.ledger // an operator's signature may be added to the station's meanwhile
	x.met = make(chan met, len(vaults))
	for _, v := range vaults {
		x.asking[v.Vault] = v
		go func() { x.met <- met{v, about(ctx, l, v.Vault)} }()
	}
	timeout := time.After(x.patience)
	for range vaults {
		select {
		case m := <-x.met:
			x.heard(m)
		case <-timeout:
			for _, v := range vaults {
				if _, silent := x.asking[v.Vault]; silent {
					x.term.Warn("vault %s does not answer yet: it is not waited for", v.Name)
				}
			}
			return
		case <-ctx.Done():
			return
		}
	}
}

// heard takes an answer in.
func (x *exchange) heard(m met) {
	delete(x.asking, m.vault.Vault)
	switch list := refusals(m.err); {
	case m.err == nil:
	case isAlarm(m.err):
		x.alarm = named(m.vault, m.err)
	case len(list) > 0:
		for _, r := range list {
			x.refusals = append(x.refusals, r)
			x.term.Warn("%s", refusalWords(map[string]string{m.vault.Vault: m.vault.Name}, r))
		}
	case away(m.err) && !full(m.err):
		x.away[m.vault.Vault] = true
	default:
		x.away[m.vault.Vault] = true
		x.failed = append(x.failed, m.vault.Vault)
		what := "vault " + m.vault.Name + ": "
		x.term.Warn("%s%s", what, strings.TrimPrefix(named(m.vault, m.err).Error(), what))
	}
}

// whereabouts says why a vault lacks something: nothing that is there is called away.
func (x *exchange) whereabouts(v custody.Vault, away string) string {
	if slices.Contains(x.failed, v.Vault) {
		return "could not take it in"
	}
	return away
}

// end publishes what the command has recorded, and gives its error, or what the
// exchange found where that is worse than nothing.
func (x *exchange) end(ctx context.Context, err error) error {
	for more := x.met != nil; more; {
		select {
		case m := <-x.met:
			x.heard(m)
		default:
			more = false
		}
	}
	vaults, verr := x.reachable(ctx)
	if verr != nil {
		return firstOf(err, verr)
	}
	var news []custody.Vault
	var waiting []string
	for _, v := range vaults {
		n, oerr := x.ledger.Outbox(ctx, v.Vault)
		if oerr != nil {
			return firstOf(err, oerr)
		}
		_, asking := x.asking[v.Vault]
		switch {
		case n == 0:
		case x.away[v.Vault]:
			waiting = append(waiting, fmt.Sprintf("vault %s %s: %s for it", v.Name, x.whereabouts(v, "is not here"), counted(n, "event waits", "events wait")))
		case !asking && x.alarm == nil:
			news = append(news, v)
		}
	}
	x.ask(ctx, news, func(ctx context.Context, l *ledger.Ledger, id string) error {
		v, err := x.openVault(ctx, id)
		if err != nil {
			return err
		}
		defer v.close()
		_, err = l.Publish(ctx, v.journal())
		return err
	})
	for _, v := range news {
		if x.away[v.Vault] { // it went away meanwhile
			waiting = append(waiting, "vault "+v.Name+" "+x.whereabouts(v, "has gone")+": what was recorded waits for it")
		}
	}
	for _, w := range waiting {
		x.term.Say("%s", w)
	}
	switch {
	case err != nil:
		return err
	case x.alarm != nil:
		return x.alarm
	case len(x.refusals) > 0:
		return notBelieved(x.refusals)
	}
	return nil
}

// notBelieved is how a command ends that met files which are not believed.
func notBelieved(list []journal.Refusal) error {
	hint := "find out who changed the vault; salvor audit --full names what is missing"
	if !slices.ContainsFunc(list, func(r journal.Refusal) bool { return !errors.Is(r.Why, ledger.ErrRetired) }) {
		hint = hintOf(ledger.ErrRetired)
	}
	if slices.ContainsFunc(list, func(r journal.Refusal) bool { return errors.Is(r.Why, ledger.ErrMisled) }) {
		hint = misledHint
	}
	return &ui.Error{
		Code: ui.VerifyFailed, What: "journal", Why: fmt.Sprintf("%s not believed; each is named above", counted(len(list), "file in the vaults was", "files in the vaults were")),
		Hint: hint,
		Err:  &ledger.RefusedError{Refusals: list},
	}
}

// named says a vault's name where an error has its id.
func named(v custody.Vault, err error) error {
	return &ui.Error{
		Code: ui.ExitCode(explain(err)), Why: strings.ReplaceAll(err.Error(), v.Vault, v.Name), Hint: hintOf(err), Err: err,
	}
}

// hintOf is what a person is told to do about an error.
func hintOf(err error) string {
	var own *ui.Error
	if errors.As(explain(err), &own) {
		return own.Hint
	}
	return ""
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
