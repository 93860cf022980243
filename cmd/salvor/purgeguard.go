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
	maxSilence  = 48 * time.Hour      // since the newest heartbeat
	maxClosed   = 45 * 24 * time.Hour // since the newest event of any kind: longer than a shop's holidays
	clockSlack  = 2 * time.Minute     // a clock may be behind another station's, where nothing is destroyed by it
	maxCases    = 20                  // erased in one run without being asked
	fewCases    = 3                   // up to so many may be more than half of a vault
	brakeFactor = 2                   // more than one in so many of a vault's cases
)

// clockGuard refuses when the time lies before the newest event, or long after the
// newest heartbeat and nobody has looked at the clock.
func (s *station) clockGuard(ctx context.Context, o purgeOptions) error {
	if err := s.clockBehind(ctx, "purge", 0, o.clockChecked); err != nil {
		return err
	}
	now := s.now()
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

// clockBehind refuses when the time lies by more than slack before the newest event:
// either this clock is wrong, or the one of an earlier run was. Only a person can tell which.
func (s *station) clockBehind(ctx context.Context, what string, slack time.Duration, checked bool) error {
	newest, err := s.ledger.Newest(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	if checked || !custody.At(now.Add(slack)).Before(newest) {
		return nil
	}
	return refuse(what, fmt.Sprintf("the clock (%s) is before the newest event in the ledger (%s)", s.term.DateTime(now), s.term.DateTime(newest)),
		"set the clock; if it is right, an earlier run had a wrong one: --clock-checked")
}

// clockPlausible guards what counts a deadline from now: a clock that is behind would
// make it due too early, and one that is far ahead would keep it too long; and what says
// who had an item in hand, and when. Two benches may differ by clockSlack.
func (s *station) clockPlausible(ctx context.Context, what string, checked bool) error {
	if err := s.clockBehind(ctx, what, clockSlack, checked); err != nil || checked {
		return err
	}
	newest, err := s.ledger.Newest(ctx)
	if err != nil {
		return err
	}
	if silence := s.now().Sub(newest); silence > maxClosed {
		return refuse(what, fmt.Sprintf("nothing was recorded for %d days: is it really %s?", int(silence.Hours()/24), s.term.DateTime(s.now())),
			"look at the clock, then --clock-checked")
	}
	return nil
}

// brake stops a run that would erase unusually much.
func (s *station) brake(ctx context.Context, work []erasing, o purgeOptions) error {
	due := make(map[custody.CaseNo]bool)
	perVault := make(map[string]map[custody.CaseNo]bool)
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	for _, e := range work {
		// What is held, or waits for somebody to look at it, is not erased in this run.
		if e.job != nil && e.job.KeysBegun || shop.MayErase(e.c, e.image.Name, "", s.now(), e.early) != nil {
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
			if i.Left() || i.Returned() {
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
