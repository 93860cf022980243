package main

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/report"
	"salvor/custody/vault"
)

// vaults looks into every vault that should hold something, and says which are absent,
// which cannot be opened, and what lies in one that no record knows.
func (f shopFacts) vaults(ctx context.Context, p *report.DuePaper, cases []custody.Case) error {
	paths, err := f.ledger.VaultPaths(ctx)
	if err != nil {
		return err
	}
	for _, v := range f.shop.Vaults {
		row := report.AbsentDisk{Name: v.Name, Copies: copiesIn(v.Vault, cases)}
		open, err := f.openVault(ctx, v.Vault)
		if err == nil {
			var strays int64
			strays, err = strayIn(open, cases)
			open.close()
			if strays > 0 {
				p.Strays = append(p.Strays, report.Stray{Vault: v.Name, Count: strays})
			}
		}
		switch {
		case err == nil || ctx.Err() != nil:
			continue
		case ui.ExitCode(explain(err)) == ui.Absent:
			_, known := paths[v.Vault]
			row.Never = !known
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

// strayIn counts the directories that lie where images and keys lie, hold something, and
// are none that the record knows: a case's of no case, an image's of no image that is
// left. Files beside them are not looked at; a lock is one.
func strayIn(v *openedVault, cases []custody.Case) (n int64, err error) {
	known := make(map[string]bool)
	for _, c := range cases {
		for _, i := range c.Images {
			ref := vault.ImageRef{Case: string(c.No), Name: i.Name}
			known[ref.CaseDir()], known[path.Dir(ref.KeyDir())] = true, true
			if i.Vault == v.id && i.Left() {
				known[ref.Dir()] = true
			}
			if i.Left() { // its keys may lie in another vault than its image
				known[ref.KeyDir()] = true
			}
		}
	}
	sample := vault.ImageRef{Case: "X", Name: "X"}
	for _, top := range []string{path.Dir(sample.CaseDir()), path.Dir(path.Dir(sample.KeyDir()))} {
		dirs, err := dirsIn(v.dir, top)
		if err != nil {
			return n, err
		}
		for _, c := range dirs {
			if !known[c] {
				n++
				continue
			}
			images, err := dirsIn(v.dir, c)
			if err != nil {
				return n, err
			}
			for _, i := range images {
				if !known[i] {
					n++
				}
			}
		}
	}
	return n, nil
}

// dirsIn are the directories that hold something in a directory of a vault; none where
// it is not there.
func dirsIn(d *vault.Dir, name string) ([]string, error) {
	entries, err := d.List(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []string
	for _, e := range entries {
		if !e.Dir {
			continue
		}
		dir := path.Join(name, e.Name)
		inside, err := d.List(dir)
		if err != nil {
			return nil, err
		}
		if len(inside) > 0 {
			list = append(list, dir)
		}
	}
	return list, err
}
