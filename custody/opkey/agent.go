package opkey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"
)

var (
	// ErrNoAgent is returned when no agent answers.
	ErrNoAgent = errors.New("no SSH agent answers")
	// ErrNotThere is returned when the agent does not hold the key, or the
	// token with it is not plugged in.
	ErrNotThere = errors.New("the agent does not hold that key")
	// ErrRefused is returned when the agent holds the key and does not sign: the
	// agent is locked, somebody said no, or nobody touched the token.
	ErrRefused = errors.New("the agent did not sign")
)

// An Agent is a connection to a running SSH agent. It is not safe for use by
// several goroutines at once.
type Agent struct {
	agent agent.ExtendedAgent
	close func() error
}

// Dial connects to the agent that listens on a socket. When ctx ends, so does
// whatever waits for the agent. The caller closes it.
func Dial(ctx context.Context, socket string) (*Agent, error) {
	if socket == "" {
		return nil, ErrNoAgent
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	a := Over(agent.NewClient(conn))
	a.close = func() error { stop(); return conn.Close() }
	return a, nil
}

// Over uses an agent that the caller is connected to.
func Over(a agent.ExtendedAgent) *Agent {
	return &Agent{agent: a, close: func() error { return nil }}
}

// Close ends the connection.
func (a *Agent) Close() error { return a.close() }

// Keys returns the keys in the agent that may sign, in the agent's order.
func (a *Agent) Keys() ([]ssh.PublicKey, error) {
	list, err := a.agent.List()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	var keys []ssh.PublicKey
	for _, k := range list {
		public, err := ssh.ParsePublicKey(k.Blob)
		if err != nil {
			continue // a kind that nobody here knows
		}
		if _, err := wayOf(public); err == nil {
			keys = append(keys, public)
		}
	}
	return keys, nil
}

// Signer returns a signer of notes for a key that the agent holds, else
// [ErrNotThere].
func (a *Agent) Signer(k *Key) (note.Signer, error) {
	list, err := a.agent.List()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	for _, have := range list {
		if bytes.Equal(have.Blob, k.public.Marshal()) {
			return agentSigner{k, a.agent}, nil
		}
	}
	return nil, fmt.Errorf("key %s: %w", k.ID(), ErrNotThere)
}

type agentSigner struct {
	*Key
	agent agent.ExtendedAgent
}

// Sign asks the agent. A token blinks until somebody touches it.
func (s agentSigner) Sign(msg []byte) ([]byte, error) {
	var flags agent.SignatureFlags
	if s.way == ssh.KeyAlgoRSASHA512 {
		flags = agent.SignatureFlagRsaSha512
	}
	sig, err := s.agent.SignWithFlags(s.public, signed(msg), flags)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return s.pack(msg, sig)
}
