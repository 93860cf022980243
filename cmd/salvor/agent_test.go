package main

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// deskAgent is an SSH agent whose keys expire by the clock of the script.
type deskAgent struct {
	agent.ExtendedAgent
	now     func() time.Time
	mu      sync.Mutex
	expires map[string]time.Time // by the key's wire form
}

// Add implements agent.Agent.
func (a *deskAgent) Add(k agent.AddedKey) error {
	signer, err := ssh.NewSignerFromKey(k.PrivateKey)
	if err != nil {
		return err
	}
	if k.LifetimeSecs > 0 {
		a.mu.Lock()
		a.expires[string(signer.PublicKey().Marshal())] = a.now().Add(time.Duration(k.LifetimeSecs) * time.Second)
		a.mu.Unlock()
		k.LifetimeSecs = 0
	}
	return a.ExtendedAgent.Add(k)
}

// List implements agent.Agent.
func (a *deskAgent) List() ([]*agent.Key, error) {
	list, err := a.ExtendedAgent.List()
	if err != nil {
		return nil, err
	}
	var live []*agent.Key
	for _, k := range list {
		a.mu.Lock()
		until, limited := a.expires[string(k.Blob)]
		a.mu.Unlock()
		if limited && !a.now().Before(until) {
			if err := a.Remove(k); err != nil {
				return nil, err
			}
			continue
		}
		live = append(live, k)
	}
	return live, nil
}

// agent: starts an SSH agent and names it in SSH_AUTH_SOCK.
// agent add FILE: gives it a key without a passphrase, as ssh-add does.
// agent forget: takes all keys away.
func scriptAgent() func(*testscript.TestScript, bool, []string) {
	var mu sync.Mutex
	running := make(map[string]*deskAgent)
	return func(ts *testscript.TestScript, neg bool, args []string) {
		mu.Lock()
		defer mu.Unlock()
		socket := filepath.Join(ts.Getenv("WORK"), "agent")
		a := running[socket]
		switch {
		case neg:
			ts.Fatalf("usage: agent [add FILE | forget]")
		case len(args) == 0:
			clock := ts.Getenv(clockFile)
			keys, ok := agent.NewKeyring().(agent.ExtendedAgent)
			if !ok {
				ts.Fatalf("the keyring is no agent")
			}
			a = &deskAgent{ExtendedAgent: keys, now: func() time.Time { return shiftedBy(clock) }, expires: make(map[string]time.Time)}
			running[socket] = a
			l, err := net.Listen("unix", socket)
			ts.Check(err)
			ts.Defer(func() { l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						if err := agent.ServeAgent(a, c); err != nil && !errors.Is(err, io.EOF) {
							return
						}
					}()
				}
			}()
			ts.Setenv(agentEnv, socket)
		case args[0] == "add" && len(args) == 2 && a != nil:
			text, err := os.ReadFile(ts.MkAbs(args[1]))
			ts.Check(err)
			key, err := ssh.ParseRawPrivateKey(text)
			ts.Check(err)
			ts.Check(a.Add(agent.AddedKey{PrivateKey: key}))
		case args[0] == "forget" && a != nil:
			ts.Check(a.RemoveAll())
		default:
			ts.Fatalf("usage: agent [add FILE | forget]")
		}
	}
}
