package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/disk"
	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/config"
	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
)

// openedVault is a vault that is there: its marker was read and is the one that the
// ledger knows.
type openedVault struct {
	id, name, path string
	dir            *vault.Dir
}

// openVaults are vaults that are looked into more than once: to open one costs more than
// most of what is done in it. One that could not be opened is not tried again.
type openVaults struct {
	*station
	tried map[string]openTry
}

type openTry struct {
	v   *openedVault
	err error
}

func (s *station) newOpenVaults() openVaults { return openVaults{s, make(map[string]openTry)} }

func (o openVaults) open(ctx context.Context, id string) (*openedVault, error) {
	t, ok := o.tried[id]
	if !ok {
		t.v, t.err = o.openVault(ctx, id)
		o.tried[id] = t
	}
	return t.v, t.err
}

func (o openVaults) close() {
	for _, t := range o.tried {
		if t.err == nil {
			t.v.close()
		}
	}
}

// openVault opens a vault by its id or name. A vault whose path, marker or medium is
// not there is absent, which never means empty.
func (s *station) openVault(ctx context.Context, idOrName string) (*openedVault, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	known, ok := shop.Vault(idOrName)
	if !ok {
		return nil, &ui.Error{Code: ui.NotFound, What: "vault", Why: "the shop has no vault of that name", Hint: "salvor vault list"}
	}
	paths, err := s.ledger.VaultPaths(ctx)
	if err != nil {
		return nil, err
	}
	path, ok := paths[known.Vault]
	if !ok {
		return nil, &ui.Error{Code: ui.Absent, What: "vault " + known.Name, Why: "this station does not know where it is mounted", Hint: "salvor vault add DIR --name " + known.Name}
	}
	dir, err := vault.OpenDir(path)
	if err != nil {
		return nil, fmt.Errorf("vault %s at %s: %w", known.Name, path, err)
	}
	marker, err := vault.Open(dir)
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("vault %s at %s: %w", known.Name, path, err)
	}
	if marker.Vault != known.Vault {
		dir.Close()
		return nil, &ui.Error{Code: ui.Refused, What: "vault " + known.Name, Why: "another vault is mounted at " + path, Hint: "mount the right disk, or name the other vault: --vault NAME"}
	}
	if err := s.sawVault(known.Vault, known.Name, path, false); err != nil {
		dir.Close()
		return nil, err
	}
	return &openedVault{id: known.Vault, name: known.Name, path: path, dir: dir}, nil
}

func (v *openedVault) close() { v.dir.Close() }

// chooseVault picks the vault for a new image: the flag, SALVOR_VAULT, the
// configuration, or the only one there is.
func (s *station) chooseVault(ctx context.Context, flag string) (*openedVault, error) {
	name, _ := config.Setting{Flag: flag, FlagSet: flag != "", Env: "SALVOR_VAULT", Config: s.config.Image.Vault}.Resolve(s.env)
	if name == "" {
		shop, err := s.ledger.Shop(ctx)
		if err != nil {
			return nil, err
		}
		kept := slices.DeleteFunc(slices.Clone(shop.Vaults), func(v custody.Vault) bool { return destroyedOn(shop, v.Vault) != "" })
		switch {
		case len(shop.Vaults) == 0:
			return nil, &ui.Error{Code: ui.NotFound, What: "vault", Why: "the shop has none yet", Hint: "salvor vault add DIR --name NAME"}
		case len(kept) > 1:
			return nil, usage("vault", "the shop has more than one", "--vault NAME; salvor vault list")
		case len(kept) == 1:
			name = kept[0].Vault
		default:
			name = shop.Vaults[0].Vault
		}
	}
	return s.openKept(ctx, name)
}

// destroyedOn is the day on which the medium of a vault was destroyed; "" when it was not.
func destroyedOn(shop custody.Shop, id string) custody.Date {
	at := slices.IndexFunc(shop.Destroyed, func(d custody.Destruction) bool { return d.Kind == custody.CopyVault && d.Store == id })
	if at < 0 {
		return ""
	}
	return shop.Destroyed[at].Date
}

// openKept opens a vault to write customers' data to it: never one of which the record
// says that it was destroyed, whatever is mounted in its place.
func (s *station) openKept(ctx context.Context, idOrName string) (*openedVault, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	if known, ok := shop.Vault(idOrName); ok {
		if day := destroyedOn(shop, known.Vault); day != "" {
			return nil, &ui.Error{
				Code: ui.Refused, What: "vault " + known.Name, Why: "its medium was destroyed on " + string(day), Err: custody.ErrDestroyed,
				Hint: "use another one: --vault NAME, or salvor vault add DIR --name NAME",
			}
		}
	}
	return s.openVault(ctx, idOrName)
}

func newVault(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "vault",
		Short:   "the directories on external disks or a NAS that hold the images",
		Example: "  salvor vault add /mnt/nas --name nas\n  salvor vault list",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newVaultAdd(p), newVaultCheck(p), newVaultList(p))
	return cmd
}

func newVaultAdd(p *program) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "add DIR",
		Short: "make a vault of a directory, or say where one is mounted",
		Long: `Makes a vault of a directory on an external disk or a mounted share. When the
directory already holds a vault of this shop, salvor remembers that it is
mounted there now.`,
		Example: "  salvor vault add /mnt/nas --name nas",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error {
				id, err := s.addVault(cmd.Context(), args[0], name)
				if err != nil {
					return err
				}
				if p.json {
					return p.term.Document(map[string]string{"vault": id})
				}
				p.term.Say("vault %s is ready", id)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name of the vault (default: the directory's)")
	return cmd
}

// addVault makes a vault of a directory, or learns its path. The ledger knows a
// vault before its marker is written, so that a run which is cut off between the two
// is finished by repeating it.
func (s *station) addVault(ctx context.Context, path, name string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("vault: %w", err)
	}
	if name == "" {
		name = strings.ToLower(filepath.Base(path))
	}
	if err := custody.CheckLabel(name); err != nil {
		return "", usage("vault", "a name is up to 32 of a-z, 0-9, _ . and -, beginning with a letter", "--name NAME")
	}
	dir, err := vault.OpenDir(path)
	if err != nil {
		return "", fmt.Errorf("vault at %s: %w", path, err)
	}
	defer dir.Close()
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return "", err
	}
	marker, err := vault.Open(dir)
	if errors.Is(err, vault.ErrAbsent) {
		if err := s.keepOut(ctx, filepath.Join(path, "cases")); err != nil && !s.unfinishedVault(ctx, path) {
			return "", err
		}
	}
	switch {
	case err == nil:
		if err := s.notTwice(ctx, marker.Vault, path); err != nil {
			return "", err
		}
		if known, ok := shop.Vault(marker.Vault); !ok {
			return "", refuse("vault at "+path, "it belongs to another shop, or to a ledger that is gone", "look at what is on it; salvor never takes over another shop's vault")
		} else if known.Name != name && name != strings.ToLower(filepath.Base(path)) {
			return "", refuse("vault at "+path, "it is the vault "+known.Name, "leave --name out")
		}
		if err := s.sawVault(marker.Vault, name, path, true); err != nil {
			return "", err
		}
		return marker.Vault, s.ledger.SetVaultPath(ctx, marker.Vault, path)
	case !errors.Is(err, vault.ErrAbsent):
		return "", fmt.Errorf("vault at %s: %w", path, err)
	}
	if err := s.noLeftovers(dir, path); err != nil {
		return "", err
	}
	id, err := s.vaultID(ctx, shop, path, name)
	if err != nil {
		return "", err
	}
	if err := s.ledger.SetVaultPath(ctx, id, path); err != nil {
		return "", err
	}
	if err := s.sawVault(id, name, path, true); err != nil {
		return "", err
	}
	return id, vault.Create(dir, vault.Marker{Vault: id, Created: custody.At(s.now()).Time})
}

// unfinishedVault tells whether path is where a vault was recorded whose marker was
// never written.
func (s *station) unfinishedVault(ctx context.Context, path string) bool {
	paths, err := s.ledger.VaultPaths(ctx)
	if err != nil {
		return false
	}
	for _, at := range paths {
		if at == path {
			return true
		}
	}
	return false
}

// notTwice refuses a second directory with the marker of a vault that is there: one of
// the two is a copy, and an image that is erased in one of them lives on in the other.
func (s *station) notTwice(ctx context.Context, id, path string) error {
	paths, err := s.ledger.VaultPaths(ctx)
	if err != nil {
		return err
	}
	at, ok := paths[id]
	if !ok || at == path {
		return nil
	}
	old, err := vault.OpenDir(at)
	if err != nil {
		return nil // it is not there any more: it has moved
	}
	defer old.Close()
	marker, err := vault.Open(old)
	if err != nil || marker.Vault != id {
		return nil // something else is there now
	}
	have, err := os.Stat(path)
	if err != nil {
		return err
	}
	if was, err := os.Stat(at); err == nil && os.SameFile(was, have) {
		return nil
	}
	return refuse("vault at "+path, "the same vault is at "+at+": one of the two is a copy", "take the copy away; what is erased in one lives on in the other")
}

// noLeftovers refuses a directory with images but no marker: that is a vault that
// lost its marker, not an empty directory.
func (s *station) noLeftovers(dir *vault.Dir, path string) error {
	for _, sub := range []string{"cases", "keystore"} {
		entries, err := dir.List(sub)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("vault at %s: %w", path, err)
		}
		if len(entries) > 0 {
			return refuse("vault at "+path, "there are images in it but no marker", "restore salvor-vault.json from a copy of the vault, or use another directory")
		}
	}
	return nil
}

// vaultID records a new vault, or finds the one whose recording was cut off before
// its marker was written.
func (s *station) vaultID(ctx context.Context, shop custody.Shop, path, name string) (string, error) {
	if known, ok := shop.Vault(name); ok {
		paths, err := s.ledger.VaultPaths(ctx)
		if err != nil {
			return "", err
		}
		if at, ok := paths[known.Vault]; ok && at != path {
			return "", refuse("vault "+name, "the shop has a vault of that name at "+at, "use another --name")
		}
		used, err := s.vaultUsed(ctx, known.Vault)
		if err != nil {
			return "", err
		}
		if used {
			return "", &ui.Error{Code: ui.Absent, What: "vault " + name, Why: "its marker is not at " + path, Hint: "mount the vault and try again"}
		}
		return known.Vault, nil
	}
	id := strings.ToUpper(s.newID())
	_, err := s.ledger.Append(ctx, s.operatorOrStation(ctx), ledger.Entry{Pub: custody.VaultAdded{Vault: id, Name: name}})
	return id, err
}

func (s *station) vaultUsed(ctx context.Context, id string) (bool, error) {
	cases, err := s.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return false, err
	}
	for _, c := range cases {
		for _, i := range c.Images {
			if i.Vault == id {
				return true, nil
			}
		}
	}
	return false, nil
}

func newVaultList(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "the shop's vaults, whether they are there, and their free space",
		Example: "  salvor vault list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.listVaults(cmd.Context()) })
		},
	}
}

type vaultRow struct {
	Name  string `json:"name"`
	Vault string `json:"vault"`
	Path  string `json:"path,omitempty"`
	State string `json:"state"` // present, absent or destroyed
	Why   string `json:"why,omitempty"`
	Disk  string `json:"disk,omitempty"` // model and serial number
	Seen  string `json:"seen,omitempty"` // when this station saw it last, RFC 3339
	Free  uint64 `json:"free_bytes,omitempty"`
	Total uint64 `json:"total_bytes,omitempty"`
}

func (s *station) listVaults(ctx context.Context) error {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	paths, err := s.ledger.VaultPaths(ctx)
	if err != nil {
		return err
	}
	disks, err := s.vaultDisks()
	if err != nil {
		return err
	}
	rows := []vaultRow{}
	for _, known := range shop.Vaults {
		row := vaultRow{Name: known.Name, Vault: known.Vault, Path: paths[known.Vault], State: "present"}
		if d, ok := disks[known.Vault]; ok {
			row.Disk, row.Seen = d.name(), d.Seen.Format(time.RFC3339)
		}
		if v, err := s.openVault(ctx, known.Vault); err != nil {
			row.State, row.Why = "absent", explain(err).Error()
		} else {
			v.close()
			if u, err := disk.UsageWithContext(ctx, v.path); err == nil {
				row.Free, row.Total = u.Free, u.Total
			}
		}
		if day := destroyedOn(shop, known.Vault); day != "" {
			row.Why = "its medium was destroyed on " + string(day)
			if row.State == "present" {
				s.term.Warn("vault %s: %s, and it is at %s: find out what that is", known.Name, row.Why, row.Path)
			}
			row.State = "destroyed"
		}
		rows = append(rows, row)
	}
	if s.json {
		return s.term.Document(map[string]any{"vaults": rows})
	}
	if len(rows) == 0 {
		s.term.Say("no vault yet: salvor vault add DIR --name NAME")
		return nil
	}
	t := s.term.Table("name", "state", ">free", ">size", "disk", "~path")
	for _, r := range rows {
		free, size := "", ""
		if r.Total > 0 {
			free, size = ui.Size(int64(r.Free)), ui.Size(int64(r.Total))
		}
		t.Row(r.Name, r.State, free, size, r.Disk, r.Path)
	}
	return t.Flush()
}
