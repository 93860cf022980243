package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
)

// asked is an exchange with two vaults, and what it says.
func asked(t *testing.T, about func(id string) error) (*exchange, string) {
	t.Helper()
	var said bytes.Buffer
	term := ui.New(ui.Streams{Out: &said, Err: &said, Now: time.Now})
	x := &exchange{
		station: &station{program: &program{term: term}}, patience: time.Millisecond,
		asking: make(map[string]custody.Vault), away: make(map[string]bool),
	}
	vault := func(id, name string) custody.Vault {
		return custody.Vault{VaultAdded: custody.VaultAdded{Vault: id, Name: name}}
	}
	x.ask(t.Context(), []custody.Vault{vault("A", "nas"), vault("B", "usb")}, func(_ context.Context, _ *ledger.Ledger, id string) error { return about(id) })
	return x, said.String()
}

func TestAShareThatHangsHoldsNobodyUp(t *testing.T) {
	hangs := make(chan struct{})
	t.Cleanup(func() { close(hangs) })
	x, said := asked(t, func(string) error { <-hangs; return nil })
	if len(x.asking) != 2 || strings.Count(said, "does not answer") != 2 {
		t.Errorf("still asking %d vaults, said:\n%s", len(x.asking), said)
	}
}

func TestWhatAVaultAnswersIsTakenAsWhatItIs(t *testing.T) {
	x, _ := asked(t, func(string) error { return nil })
	x.met = make(chan met, 1)
	v := custody.Vault{VaultAdded: custody.VaultAdded{Vault: "A", Name: "nas"}}
	x.heard(met{v, &ui.Error{Code: ui.Absent, Why: "not mounted"}})
	if !x.away["A"] || x.alarm != nil {
		t.Error("an absent vault is not taken for one")
	}
	refused := &ledger.RefusedError{Refusals: []journal.Refusal{{Vault: "A", File: "x", Why: journal.ErrForeign}}}
	x.heard(met{v, refused})
	if len(x.refusals) != 1 || x.alarm != nil {
		t.Error("a file that is not believed is an alarm, or nothing")
	}
	x.heard(met{v, errors.Join(ledger.ErrCloned, refused)})
	if !errors.Is(x.alarm, ledger.ErrCloned) || ui.ExitCode(x.alarm) != ui.VerifyFailed {
		t.Errorf("alarm %v, exit status %d", x.alarm, ui.ExitCode(x.alarm))
	}
}
