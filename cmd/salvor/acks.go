package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

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
		var marked time.Time
		for p := range newest {
			err := record(p)
			if now := g.now(); err == nil && now.Sub(marked) >= markEvery {
				g.keepLandmarks()
				marked = now
			}
			if err != nil && failed == nil {
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

// markEvery is how often what the disk can be known again by is kept, for the run after one
// that is killed.
const markEvery = 10 * time.Second

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
