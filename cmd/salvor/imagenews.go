package main

import (
	"context"
	"sync"
	"time"
)

// A disk is read for hours, sometimes for days. The other stations must not learn only
// then that its image exists, nor this one of a hold that they have set.
const (
	newsLook = 2 * time.Second // how often it is looked whether something was recorded here
	newsTake = time.Minute     // how often what others have recorded is taken in, and a vault is tried that failed
)

// exchangeMeanwhile publishes what a long command records as it goes, and takes in what
// the others do, until stop is called. It is a courtesy: a vault that is slow, away or not
// believed costs nothing here. The exchange around the command says so.
func (s *station) exchangeMeanwhile(ctx context.Context) (stop func(), err error) {
	vaults, err := s.reachable(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	own := *s // the command may get another signature for its ledger
	var running sync.WaitGroup
	for _, v := range vaults {
		running.Go(func() { own.exchangeWith(ctx, v.Vault) })
	}
	return func() {
		cancel()
		ended := make(chan struct{})
		go func() { running.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(patience): // a share that hangs holds up nobody
		}
	}, nil
}

// exchangeWith exchanges with one vault again and again.
func (s *station) exchangeWith(ctx context.Context, vault string) {
	look := time.NewTicker(newsLook)
	defer look.Stop()
	var last time.Time // of the newest exchange, whatever came of it
	failed := false
	for {
		n, err := s.ledger.Outbox(ctx, vault)
		if age := s.now().Sub(last); err == nil && (n > 0 && !failed || age < 0 || age >= newsTake) {
			_, err := s.syncVault(ctx, s.ledger, vault)
			last, failed = s.now(), err != nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}
