package main

import (
	"context"
	"fmt"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// The brakes of a purge. Destroying too early is the one mistake that cannot be
// undone, and a wrong clock is its likeliest cause.
const (
	maxSilence  = 48 * time.Hour // since the newest heartbeat
	maxCases    = 20             // erased in one run without being asked
	fewCases    = 3              // up to so many may be more than half of a vault
	brakeFactor = 2              // more than one in so many of a vault's cases
)

// clockGuard refuses when the time lies before the newest event, or long after the
// newest heartbeat and nobody has looked at the clock.
func (s *station) clockGuard(ctx context.Context, o purgeOptions) error {
	newest, err := s.ledger.Newest(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	if custody.At(now).Before(newest) {
		return refuse("purge", fmt.Sprintf("the clock (%s) is before the newest event in the ledger (%s)", s.term.DateTime(now), s.term.DateTime(newest)),
			"set the clock; if it is right, an earlier run had a wrong one: salvor audit")
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	silence := now.Sub(shop.Heartbeat)
	if silence <= maxSilence || o.clockChecked || o.dryRun {
		return nil
	}
	why := fmt.Sprintf("the last purge was %s ago: is it really %s", hours(silence), s.term.DateTime(now))
	if !s.term.CanAsk() {
		return refuse("purge", why+"?", "look at the clock, then --clock-checked; a daily purge job never asks this")
	}
	right, err := s.term.YesNo(ctx, ui.Question{Text: why, Flag: "--clock-checked"})
	if err != nil {
		return err
	}
	if !right {
		return refuse("purge", "the clock is wrong", "set the clock")
	}
	return nil
}

// brake stops a run that would erase unusually much.
func (s *station) brake(ctx context.Context, work []erasing, o purgeOptions) error {
	due := make(map[custody.CaseNo]bool)
	perVault := make(map[string]map[custody.CaseNo]bool)
	for _, e := range work {
		if e.job != nil && e.job.KeysBegun || e.c.Held() {
			continue
		}
		due[e.c.No] = true
		if perVault[e.image.Vault] == nil {
			perVault[e.image.Vault] = make(map[custody.CaseNo]bool)
		}
		perVault[e.image.Vault][e.c.No] = true
	}
	if o.dryRun || o.maxCases > 0 && len(due) <= o.maxCases {
		return nil
	}
	hint := fmt.Sprintf("look at salvor due and at the clock; then --max %d", len(due))
	if o.maxCases > 0 {
		return refuse("purge", fmt.Sprintf("%d cases are due, more than --max %d", len(due), o.maxCases), hint)
	}
	if len(due) > maxCases {
		return refuse("purge", fmt.Sprintf("%d cases are due at once", len(due)), hint)
	}
	cases, err := s.ledger.Cases(ctx, ledger.Filter{})
	if err != nil {
		return err
	}
	kept := make(map[string]int)
	for _, c := range cases {
		in := make(map[string]bool)
		for _, i := range c.Images {
			if i.Left() {
				in[i.Vault] = true
			}
		}
		for v := range in {
			kept[v]++
		}
	}
	for v, d := range perVault {
		if len(d) > fewCases && len(d)*brakeFactor > kept[v] {
			return refuse("purge", fmt.Sprintf("%d of the %d cases in one vault are due at once", len(d), kept[v]), hint)
		}
	}
	return nil
}
