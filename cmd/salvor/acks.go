package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"salvor/custody/ledger"
	"salvor/custody/vault"
)

// acks carries what the vault has acknowledged into the ledger, beside the imaging:
// the ledger's own fsync must not hold up the disk. Only the newest position counts.
type acks struct {
	save   func(vault.Position)
	finish func(vault.Position) error
	close  func()
}

// newAcks begins to save positions of an image. A ledger that cannot be written stops
// the run through cancel.
func (g *imaging) newAcks(ctx context.Context, cancel context.CancelCauseFunc) *acks {
	newest := make(chan vault.Position, 1)
	done := make(chan struct{})
	var failed error
	record := func(p vault.Position) error {
		return g.ledger.SaveProgress(context.WithoutCancel(ctx), g.no, g.image.Name, ledger.Progress(p))
	}
	go func() {
		defer close(done)
		for p := range newest {
			if err := record(p); err != nil && failed == nil {
				failed = err
				cancel(err)
			}
		}
	}()
	stop := func() { close(newest); <-done }
	return &acks{
		save: func(p vault.Position) { // from one goroutine: see vault.Options
			select {
			case <-newest:
			default:
			}
			newest <- p
		},
		// finish saves the last position when the writer is closed.
		finish: func(p vault.Position) error {
			stop()
			if failed != nil || p == (vault.Position{}) {
				return failed
			}
			return record(p)
		},
		close: stop,
	}
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// shellQuote makes a path safe to paste into a shell.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
