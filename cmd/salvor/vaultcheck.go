package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
	"salvor/custody/vault"
)

func newVaultCheck(p *program) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "compare what lies in the vaults with the record",
		Long: `Names what lies in the vaults and no event knows (directories, images, key files),
what was erased and lies there again, what the record has and is not there, and what is
wrong with the journals. It reads names and sizes; salvor verify reads the content. A
copy that no event knows will never be erased: exit status 3 until somebody has looked.`,
		Example: "  salvor vault check\n  salvor vault check --vault nas",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.checkVaults(cmd.Context(), name) })
		},
	}
	cmd.Flags().StringVar(&name, "vault", "", "only this vault")
	return cmd
}

// finding is one thing in a vault that is not as the record says.
type finding struct {
	Vault string `json:"vault"`
	Kind  string `json:"kind"` // stray, returned, missing or journal
	Path  string `json:"path"`
	Why   string `json:"why"`
}

// vaultCheck looks through one vault.
type vaultCheck struct {
	*station
	v     *openedVault
	cases map[custody.CaseNo]custody.Case
	found []finding
}

func (s *station) checkVaults(ctx context.Context, only string) error {
	vaults, err := s.reachable(ctx)
	if err != nil {
		return err
	}
	if only != "" {
		v, err := s.openVault(ctx, only)
		if err != nil {
			return err
		}
		v.close()
		vaults = slices.DeleteFunc(vaults, func(x custody.Vault) bool { return x.Vault != v.id })
	}
	list, err := s.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return err
	}
	cases := make(map[custody.CaseNo]custody.Case)
	for _, c := range list {
		cases[c.No] = c
	}
	found, looked, absent := []finding{}, []string{}, []string{}
	for _, known := range vaults {
		v, err := s.openVault(ctx, known.Vault)
		if away(err) {
			absent = append(absent, known.Name)
			continue
		}
		if err != nil {
			return err
		}
		c := &vaultCheck{station: s, v: v, cases: cases}
		err = c.look(ctx)
		v.close()
		if err != nil {
			return fmt.Errorf("vault %s: %w", known.Name, err)
		}
		found, looked = append(found, c.found...), append(looked, known.Name)
	}
	return s.printFindings(found, looked, absent)
}

func (s *station) printFindings(found []finding, looked, absent []string) error {
	if s.json {
		if err := s.term.Document(map[string]any{"ok": len(found) == 0, "checked": looked, "absent": absent, "found": found}); err != nil {
			return err
		}
	} else if len(found) > 0 {
		t := s.term.Table("vault", "what", "path", "~why")
		for _, f := range found {
			t.Row(f.Vault, f.Kind, f.Path, f.Why)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, name := range absent {
		s.term.Warn("vault %s is not here and was not checked", name)
	}
	switch {
	case len(found) > 0:
		return &ui.Error{
			Code: ui.Incomplete, What: "vault check", Why: fmt.Sprintf("%d things are not as the record says", len(found)),
			Hint: "find out who put or took each of them; what no event knows is never erased by itself",
		}
	case len(looked) == 0:
		return &ui.Error{Code: ui.Absent, What: "vault check", Why: "no vault is here", Hint: "mount one and try again; salvor vault list"}
	}
	s.term.Say("everything in %d vaults is as the record says", len(looked))
	return nil
}

func (c *vaultCheck) add(kind, at, format string, args ...any) {
	c.found = append(c.found, finding{c.v.name, kind, at, fmt.Sprintf(format, args...)})
}

func (c *vaultCheck) stray(at string) { c.add("stray", at, "no event knows it") }

// list is what a directory holds; nothing when it is not there.
func (c *vaultCheck) list(dir string) ([]vault.Entry, error) {
	entries, err := c.v.dir.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

func (c *vaultCheck) look(ctx context.Context) error {
	top, err := c.list(".")
	if err != nil {
		return err
	}
	for _, e := range top {
		// lost+found is the file system's own.
		if known := slices.Contains([]string{"cases", "keystore", ".salvor", "lost+found"}, e.Name); !known && e.Name != "salvor-vault.json" || known && !e.Dir {
			c.stray(e.Name)
		}
	}
	if err := errors.Join(c.tree("cases", c.image), c.tree("keystore", c.keys), c.missing()); err != nil {
		return err
	}
	return c.journal(ctx)
}

// tree walks over CASE/IMAGE below a directory.
func (c *vaultCheck) tree(top string, image func(custody.Case, custody.Image, string) error) error {
	cases, err := c.list(top)
	if err != nil {
		return err
	}
	for _, e := range cases {
		at := path.Join(top, e.Name)
		known, ok := c.cases[custody.CaseNo(e.Name)]
		if !ok || !e.Dir {
			c.stray(at)
			continue
		}
		images, err := c.list(at)
		if err != nil {
			return err
		}
		for _, e := range images {
			below := path.Join(at, e.Name)
			i, ok := known.Image(e.Name)
			switch {
			case e.Name == "writer.lock" && e.File && top == "cases": // of a run, or one that was killed
			case !ok || !e.Dir || i.Vault != c.v.id:
				c.stray(below)
			default:
				if err := image(known, i, below); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

var containerFile = regexp.MustCompile(`^(image\.slv|seal\.note|[0-9]{6}\.seg)$`)

// image looks at the directory of one image.
func (c *vaultCheck) image(_ custody.Case, i custody.Image, at string) error {
	files, err := c.list(at)
	if err != nil {
		return err
	}
	if !i.Left() {
		if len(files) > 0 {
			c.add("returned", at, "it was erased, and lies here again")
		}
		return nil
	}
	for _, e := range files {
		if !e.File || !containerFile.MatchString(e.Name) {
			c.stray(path.Join(at, e.Name))
		}
	}
	return nil
}

// keys looks at the key files of one image.
func (c *vaultCheck) keys(_ custody.Case, i custody.Image, at string) error {
	files, err := c.list(at)
	if err != nil {
		return err
	}
	for _, e := range files {
		below := path.Join(at, e.Name)
		known := slices.ContainsFunc(i.Keys, func(k custody.KeyCopy) bool { return k.Keystore == c.v.id && path.Base(k.File) == e.Name })
		switch {
		case !known || !e.File:
			c.stray(below)
		case !i.Left():
			c.add("returned", below, "it was erased, and lies here again")
		}
	}
	return nil
}

// missing looks for what the record says is in this vault.
func (c *vaultCheck) missing() error {
	for no, known := range c.cases {
		for _, i := range known.Images {
			if i.Vault != c.v.id || !i.Left() || i.State == custody.ImageIsErasing {
				continue
			}
			if err := c.missingOf(vault.ImageRef{Case: string(no), Name: i.Name}, i); err != nil {
				return err
			}
		}
	}
	slices.SortStableFunc(c.found, func(a, b finding) int {
		switch {
		case a.Path < b.Path:
			return -1
		case a.Path > b.Path:
			return 1
		}
		return 0
	})
	return nil
}

func (c *vaultCheck) missingOf(ref vault.ImageRef, i custody.Image) error {
	files, err := c.list(ref.Dir())
	if err != nil {
		return err
	}
	var segments int64
	super, sealed := false, false
	for _, e := range files {
		super, sealed = super || e.Name == "image.slv", sealed || e.Name == "seal.note"
		if path.Ext(e.Name) == ".seg" {
			segments++
		}
	}
	switch {
	case !super && len(i.Keys) > 0:
		c.add("missing", ref.Dir(), "the record has the image, and it is not here")
	case i.State == custody.ImageIsSealed && !sealed:
		c.add("missing", path.Join(ref.Dir(), "seal.note"), "the image is sealed, and its seal is not here")
	case i.State == custody.ImageIsSealed && i.Seal != nil && segments < i.Seal.Segments:
		c.add("missing", ref.Dir(), "%d of its %d segments are not here", i.Seal.Segments-segments, i.Seal.Segments)
	}
	keys, err := c.list(ref.KeyDir())
	if err != nil {
		return err
	}
	for _, k := range i.Keys {
		there := slices.ContainsFunc(keys, func(e vault.Entry) bool { return e.Name == path.Base(k.File) })
		if k.Keystore == c.v.id && !there {
			c.add("missing", k.File, "a key file that the record has is not here")
		}
	}
	return nil
}

// journal looks at the journal: what lies in it and is none of its files, what is not
// believed, and whether it lacks events of this station.
func (c *vaultCheck) journal(ctx context.Context) error {
	entries, err := c.list(".salvor")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if dir := slices.Contains([]string{"stations", "requests", "journal", "private", "attests"}, e.Name); dir != e.Dir || !dir && e.Name != "shop.note" {
			c.stray(path.Join(".salvor", e.Name))
		}
	}
	private, err := c.list(".salvor/private")
	if err != nil {
		return err
	}
	for _, e := range private {
		if _, ok := c.cases[custody.CaseNo(e.Name)]; !ok && e.Name != "shop" || !e.Dir {
			c.stray(path.Join(".salvor/private", e.Name))
		}
	}
	j := c.v.journal()
	refused, err := c.refusedFiles(ctx, j)
	if err != nil {
		return err
	}
	named := make(map[string]bool)
	for _, r := range refused {
		if why := fmt.Sprint(r.Why); !named[r.File+why] {
			named[r.File+why] = true
			c.add("journal", path.Join(".salvor", r.File), "%s", why)
		}
	}
	waiting, err := c.ledger.Outbox(ctx, c.v.id)
	if err == nil && waiting > 0 {
		c.add("journal", ".salvor", "%d events of this station are not in it yet: salvor sync", waiting)
	}
	return err
}

func (c *vaultCheck) refusedFiles(ctx context.Context, j *journal.Journal) ([]journal.Refusal, error) {
	_, err := c.ledger.Import(ctx, j)
	refused := refusals(err)
	if err != nil && (len(refused) == 0 || isAlarm(err)) {
		return nil, err
	}
	stations, _, err := j.Stations()
	if err != nil {
		return nil, err
	}
	for _, name := range stations {
		_, more, err := j.Files(name)
		if err != nil {
			return nil, err
		}
		refused = append(refused, more...)
	}
	for no := range c.cases {
		_, more, err := j.Private(no)
		if err != nil {
			return nil, err
		}
		refused = append(refused, more...)
	}
	_, more, err := j.Requests()
	return append(refused, more...), err
}
