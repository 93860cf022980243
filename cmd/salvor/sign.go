package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/mod/sumdb/note"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/opkey"
)

// An operator who has a signing key signs with it what he does, or does nothing. The key
// is in the agent that runs on his desk, or in a file under a passphrase; that file's
// key goes to the agent for five minutes, where there is one.

// agentEnv is the variable that names the socket of the SSH agent.
const agentEnv = "SSH_AUTH_SOCK"

// pathsDir holds, in the state directory, where on this machine the files of operators'
// keys are: one file for each key, by its id. No event has a path in it.
const pathsDir = "signing"

// errLocked: a key that was unlocked when the command began is locked again.
var errLocked = errors.New("the key was locked again after five minutes")

// signAs has the operator sign what is recorded from here on, when he has a key.
func (s *station) signAs(ctx context.Context, op custody.Operator) error {
	if s.signing == op.ID {
		return nil
	}
	keys := op.SigningKeys(custody.At(s.now()).In(s.term.Zone))
	if op.Kind != custody.OperatorPerson || len(keys) == 0 {
		return nil
	}
	signer, err := s.signer(ctx, keys)
	if err != nil {
		return &ui.Error{Code: explainedCode(err, ui.Refused), What: "signature", Why: err.Error(), Hint: hintOf(err), Err: err}
	}
	s.ledger, s.signing = s.ledger.SignedBy(signer), op.ID
	return nil
}

// dialAgent connects to the agent on this desk.
func (s *station) dialAgent(ctx context.Context) (*opkey.Agent, error) {
	socket, ok := s.env(agentEnv)
	if !ok || socket == "" {
		return nil, fmt.Errorf("%w: %s is not set", opkey.ErrNoAgent, agentEnv)
	}
	return opkey.Dial(ctx, socket)
}

// signer finds a key of the operator that can sign here: one that an agent holds, else
// one in a file.
func (s *station) signer(ctx context.Context, keys []custody.OperatorKey) (note.Signer, error) {
	agent, failed := s.dialAgent(ctx)
	if agent != nil {
		s.atEnd = append(s.atEnd, func() { _ = agent.Close() })
	}
	var file *opkey.File
	for _, k := range keys {
		key, err := opkey.Parse(k.Verifier)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.Key, err)
		}
		if agent != nil {
			signer, err := agent.Signer(key)
			if err == nil {
				return signer, nil
			}
			failed = err
		}
		path, err := os.ReadFile(filepath.Join(s.dir, pathsDir, k.Key))
		if err == nil && file == nil {
			file = opkey.NewFile(key, string(path), s.askOnce(ctx, string(path)), s.now)
		}
	}
	if file == nil {
		return nil, failed
	}
	// Asked now: while an event is being written everybody else waits.
	if agent == nil {
		_, err := file.Sign([]byte("unlocked\n"))
		return file, err
	}
	if err := file.Share(agent); err != nil {
		return nil, err
	}
	return agent.Signer(file.Key)
}

// askOnce asks for the passphrase of a key file, once in a command: nobody may be
// sitting there when the key is locked again hours later.
func (s *station) askOnce(ctx context.Context, path string) func() ([]byte, error) {
	asked := false
	return func() ([]byte, error) {
		if asked {
			return nil, errLocked
		}
		asked = true
		return s.term.Secret(ctx, ui.Question{Text: "passphrase of " + path, Flag: "ssh-add " + shellQuote(path)})
	}
}

// rememberKeyFile keeps where on this machine the file of a key is.
func (s *station) rememberKeyFile(id, path string) error {
	dir := filepath.Join(s.dir, pathsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("path of the key: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(dir, id), []byte(path), 0o600, renameio.WithTempDir(dir)); err != nil {
		return fmt.Errorf("path of the key: %w", err)
	}
	return nil
}

// happened records what has happened and cannot be undone. Where the operator cannot
// sign any more, his key being locked again or his token gone, the station reports it:
// a fact that is not recorded is lost.
func (s *station) happened(ctx context.Context, op string, entries ...ledger.Entry) ([]custody.Event, error) {
	events, err := s.ledger.Append(ctx, op, entries...)
	if err == nil || s.signing != op || !cannotSign(err) {
		return events, err
	}
	s.term.Warn("%s; the station records it", strings.TrimPrefix(err.Error(), "append: "))
	return s.ledger.Append(ctx, stationOperator, entries...)
}

func cannotSign(err error) bool {
	for _, why := range []error{
		errLocked, opkey.ErrNoAgent, opkey.ErrNotThere, opkey.ErrRefused, opkey.ErrSignature, opkey.ErrPassphrase, ledger.ErrUnsignedOperator,
	} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}
