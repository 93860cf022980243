package main

import (
	"context"
	"errors"
	"slices"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/report"
)

// vaults looks into every vault that should hold something, and says which are absent,
// which cannot be opened, and where what lies there is not what the record says.
func (f shopFacts) vaults(ctx context.Context, p *report.DuePaper, cases []custody.Case) error {
	paths, err := f.ledger.VaultPaths(ctx)
	if err != nil {
		return err
	}
	disks, err := f.vaultDisks()
	if err != nil {
		return err
	}
	known := make(map[custody.CaseNo]custody.Case, len(cases))
	for _, c := range cases {
		known[c.No] = c
	}
	for _, v := range f.shop.Vaults {
		row := report.AbsentDisk{Name: v.Name, Copies: copiesIn(v.Vault, cases), Seen: disks[v.Vault].Seen}
		if n := disks[v.Vault].name(); n != "" {
			row.Name += " (" + n + ")"
		}
		open, err := f.openVault(ctx, v.Vault)
		if err == nil {
			check := &vaultCheck{station: f.station, v: open, cases: known}
			err = check.look(ctx)
			open.close()
			p.Strays = append(p.Strays, found(check, "stray", "returned")...)
			p.Missing = append(p.Missing, found(check, "missing")...)
		}
		switch {
		case err == nil || ctx.Err() != nil:
			continue
		case ui.ExitCode(explain(err)) == ui.Absent:
			row.Never = paths[v.Vault] == ""
			if row.Copies == 0 {
				continue
			}
		default:
			row.Fault = faultOf(err)
		}
		p.Absent = append(p.Absent, row)
	}
	return ctx.Err()
}

// faultOf says why a vault cannot be opened, in words that name no path.
func faultOf(err error) string {
	var shown *ui.Error
	if errors.As(explain(err), &shown) && shown.Why != "" {
		return shown.Why
	}
	return "salvor vault list says why"
}

// copiesIn counts the images that lie in a vault.
func copiesIn(id string, cases []custody.Case) (n int64) {
	for _, c := range cases {
		for _, i := range c.Images {
			if i.Left() && i.Vault == id {
				n++
			}
		}
	}
	return n
}

// found counts what a look into a vault has found of some kinds; none when there is
// nothing of them.
func found(c *vaultCheck, kinds ...string) []report.Stray {
	var n int64
	for _, f := range c.found {
		if slices.Contains(kinds, f.Kind) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return []report.Stray{{Vault: c.v.name, Count: n}}
}
