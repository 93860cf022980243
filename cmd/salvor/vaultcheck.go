package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

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
what was erased and lies there again, what a run that was cut off left, what is there in
an earlier state than the record knows, what the record has and is not there, and what is
wrong with the journals. It reads names, seals and keys; salvor verify reads the content. A
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
	Kind  string `json:"kind"` // stray, returned, unfinished, changed, missing or journal
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
			Code: ui.Incomplete, What: "vault check", Why: counted(len(found), "thing is", "things are") + " not as the record says",
			Hint: "find out who put or took each of them; what no event knows is never erased by itself",
		}
	case len(looked) == 0:
		return &ui.Error{Code: ui.Absent, What: "vault check", Why: "no vault is here", Hint: "mount one and try again; salvor vault list"}
	}
	s.term.Say("everything in %s is as the record says", counted(len(looked), "vault", "vaults"))
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
		if e.Dir && strings.HasPrefix(e.Name, trialDir) {
			c.add("unfinished", e.Name, "left by a selftest; remove it, unless one is running")
			continue
		}
		// lost+found is the file system's own.
		if known := slices.Contains([]string{"cases", "keystore", ".salvor", "lost+found"}, e.Name); !known && e.Name != "salvor-vault.json" || known && !e.Dir {
			c.stray(e.Name)
		}
	}
	if err := errors.Join(c.tree("cases", c.image), c.tree("keystore", c.keys), c.missing(ctx)); err != nil {
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
			case !ok || !e.Dir || i.Vault != c.v.id && (top == "cases" || !keyIn(i, c.v.id)):
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
	switch {
	case i.Left() || len(files) == 0:
	case i.State == custody.ImageIsFailed:
		c.add("unfinished", at, "its run was cut off before a key was recorded, and this is what it left: nothing in it can be opened")
		return nil
	default:
		c.add("returned", at, "it was erased, and lies here again")
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
		at := slices.IndexFunc(i.Keys, func(k custody.KeyCopy) bool { return k.Keystore == c.v.id && path.Base(k.File) == e.Name })
		switch {
		case at < 0 || !e.File:
			c.stray(below)
		case i.Keys[at].Gone != nil, !i.Left() && !i.Keys[at].Elsewhere(i):
			c.add("returned", below, "it was erased, and lies here again")
		}
	}
	return nil
}

// missing looks for what the record says is in this vault.
func (c *vaultCheck) missing(ctx context.Context) error {
	for no, known := range c.cases {
		for _, i := range known.Images {
			if err := c.missingKeys(vault.ImageRef{Case: string(no), Name: i.Name}, i); err != nil {
				return err
			}
			if i.Vault != c.v.id || !i.Left() || i.State == custody.ImageIsErasing {
				continue
			}
			if err := c.missingOf(ctx, vault.ImageRef{Case: string(no), Name: i.Name}, i); err != nil {
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

func (c *vaultCheck) missingOf(ctx context.Context, ref vault.ImageRef, i custody.Image) error {
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
		c.add("missing", ref.Dir(), "%d of %s not here", i.Seal.Segments-segments, counted(i.Seal.Segments, "segment is", "segments are"))
	case i.State == custody.ImageIsSealed && i.Seal != nil && segments > i.Seal.Segments:
		c.add("stray", ref.Dir(), "%s more than its seal counts", counted(segments-i.Seal.Segments, "segment", "segments"))
	case super && len(i.Keys) == 0:
		c.add("unfinished", path.Join(ref.Dir(), "image.slv"), "its run was cut off before a key was recorded: salvor image goes on with it")
	}
	return c.older(ctx, ref, i, segments, sealed)
}

// older looks for an image that is there, but not as the record knows it last: with a
// copy of the vault that was put back, an earlier state of it came.
func (c *vaultCheck) older(ctx context.Context, ref vault.ImageRef, i custody.Image, segments int64, sealed bool) error {
	at := path.Join(ref.Dir(), "seal.note")
	switch {
	case sealed && i.State == custody.ImageIsSealed && i.Seal != nil:
		root, err := vault.SealRoot(c.v.dir, ref)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, vault.ErrCorrupt):
			c.add("changed", at, "its seal cannot be read: salvor verify says more")
		case err != nil:
			return err
		case custody.Hash(root) != i.Seal.Root:
			c.add("changed", at, "it has another seal than the record: an earlier or another copy of the vault was put back")
		}
		return nil
	case sealed && (i.State == custody.ImageIsPaused || i.State == custody.ImageIsStarted):
		c.add("changed", at, "it is sealed, and the record knows of no seal, or has reopened it since: an earlier copy of the vault was put back")
		return nil
	case sealed:
		return nil
	}
	acked, err := c.ledger.Progress(ctx, custody.CaseNo(ref.Case), i.Name)
	if err == nil && acked.Records > 0 && segments <= int64(acked.Segment) {
		c.add("changed", ref.Dir(), "the vault had acknowledged %s, and has %d: an earlier copy of it was put back", counted(int64(acked.Segment)+1, "segment", "segments"), segments)
	}
	return err
}

// missingKeys looks for the key files of an image that should be in this vault.
func (c *vaultCheck) missingKeys(ref vault.ImageRef, i custody.Image) error {
	if i.State == custody.ImageIsErasing || !keyIn(i, c.v.id) {
		return nil
	}
	keys, err := c.list(ref.KeyDir())
	if err != nil {
		return err
	}
	for _, k := range i.Keys {
		there := slices.ContainsFunc(keys, func(e vault.Entry) bool { return e.Name == path.Base(k.File) })
		if k.Keystore != c.v.id || k.Gone != nil || !i.Left() && !k.Elsewhere(i) {
			continue
		}
		if !there {
			c.add("missing", k.File, "a key file that the record has is not here")
			continue
		}
		sum, err := vault.SumKey(c.v.dir, k.File)
		switch {
		case err != nil && !errors.Is(err, vault.ErrHostile) && !errors.Is(err, vault.ErrRange):
			return err
		case err != nil || !i.Wrapped(k.Keystore, k.File, sum):
			c.add("changed", k.File, "it is not the key file that the record has")
		}
	}
	return nil
}

// keyIn tells whether the record has a key file of the image in a vault.
func keyIn(i custody.Image, vault string) bool {
	return slices.ContainsFunc(i.Keys, func(k custody.KeyCopy) bool { return k.Keystore == vault })
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
		c.add("journal", ".salvor", "not in it yet: %s of this station; salvor sync", eventCount(waiting))
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
