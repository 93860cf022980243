package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/rescue/blockdev"
)

// What a station keeps of an unfinished image between its runs, in files named by the
// image's UUID: they go when the image is whole or erased.
const (
	// tiersDir keeps what was found out of a disk's layout: places and how much they matter,
	// no names and no content.
	tiersDir = "tiers"
	// landmarksDir keeps hashes of what the disk held here and there.
	landmarksDir = "landmarks"
)

func (g *imaging) keptFile(dir string, i custody.Image) string {
	return filepath.Join(g.dir, dir, keptName(i))
}

func keptName(i custody.Image) string { return fmt.Sprintf("%x", i.UUID[:]) }

// keep writes one of these files, whole or not at all.
func (g *imaging) keep(dir string, write func(io.Writer) error) error {
	path := g.keptFile(dir, g.image)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o600))
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if err := write(f); err != nil {
		return errors.Join(err, f.Cleanup())
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("%s: %w", dir, errors.Join(err, f.Cleanup()))
	}
	return nil
}

// forget takes away what no run needs any more. The image is sealed by then: a file
// that cannot be removed is no reason to call that a failure.
func (g *imaging) forget(dir string) {
	if err := os.Remove(g.keptFile(dir, g.image)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		g.term.Warn("%s: %v", dir, err)
	}
}

// keepLandmarks keeps what the disk can be known again by. Where that cannot be kept a disk
// that may be dying is read all the same; the next run says that it has nothing to compare.
func (g *imaging) keepLandmarks() {
	list := g.disk.Landmarks()
	if len(list) == 0 {
		return
	}
	if err := g.keep(landmarksDir, func(w io.Writer) error { return json.NewEncoder(w).Encode(list) }); err != nil {
		g.unmarked.Do(func() { g.term.Warn("a later run will not know whether the disk has changed: %v", err) })
	}
}

// errOtherContent is a disk that does not hold what an image of it was begun with.
var errOtherContent = errors.New("it does not hold what it held")

// recognise reads again some of what the image has of this disk, before it is gone on with.
// What differs was written in between, or it is another disk behind the serial number of the
// same dock. Where nothing is known, of an image that another station or an older version
// began or that was cut off at once, the serial number has to do.
func (g *imaging) recognise(ctx context.Context, i custody.Image) (blockdev.Likeness, error) {
	p, err := os.ReadFile(g.keptFile(landmarksDir, i))
	if errors.Is(err, fs.ErrNotExist) {
		if g.ident.Kind != blockdev.File && i.Rescued > 0 {
			g.term.Warn("whether the disk is unchanged is not known: nothing that it could be compared with is kept on this station")
		}
		return blockdev.Likeness{}, nil
	}
	var list []blockdev.Landmark
	if err == nil {
		err = json.Unmarshal(p, &list)
	}
	var is blockdev.Likeness
	if err == nil {
		is, err = g.disk.KnowBy(ctx, list)
	}
	switch {
	case ctx.Err() != nil:
		return is, context.Cause(ctx)
	case err != nil:
		g.term.Warn("whether the disk is unchanged is not known: landmarks: %v", err)
	case is.Other > 0:
		return is, fmt.Errorf("%w: %d of %d places", errOtherContent, is.Other, is.Same+is.Other)
	case is.Same == 0 && is.Unread > 0:
		g.term.Warn("whether the disk is unchanged is not known: nothing that was read of it before can be read again")
	}
	return is, nil
}

// sound is an error when an image cannot be gone on with, whatever the disk: keys of what
// it holds are lost, or some of that is. That the records are all there is looked at only
// where another image may be begun: going on finds out by itself.
func (g *imaging) sound(ctx context.Context, i custody.Image) error {
	ref := vault.ImageRef{Case: string(g.no), Name: i.Name}
	keys := g.imageKeys(ctx, g.vault, ref, i)
	keys.close()
	if keys.lost != nil || !g.o.again {
		return keys.lost
	}
	saved, err := g.ledger.Progress(ctx, g.no, i.Name)
	if err != nil {
		return err
	}
	c, err := vault.OpenImage(ctx, g.vault.dir, ref)
	if errors.Is(err, vault.ErrNotFound) && saved == (ledger.Progress{}) {
		return nil // it was not begun
	}
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Check(vault.Position(saved))
}

// spoilt tells whether an error is about what is left of an image.
func spoilt(err error) bool {
	return errors.Is(err, vault.ErrCorrupt) || errors.Is(err, vault.ErrShort) || errors.Is(err, vault.ErrNotFound)
}

// orAgain says of an image that is spoilt how its disk is imaged all the same.
func orAgain(err error) error {
	var told *ui.Error
	if !spoilt(err) || !errors.As(explain(err), &told) {
		return err
	}
	e := *told
	e.Hint = "keep the vault as it is and find out why; --again begins another image of the disk"
	return &e
}

// mayGoOn refuses to go on with an image that is spoilt, or of a disk that has changed, and
// reports whether another is to be begun instead. Whoever names the image has looked: the
// disk is the same where most of it is, and what differs is written down in the image.
func (g *imaging) mayGoOn(ctx context.Context, ref string, i custody.Image) (another bool, err error) {
	if err := g.sound(ctx, i); spoilt(err) && g.o.again {
		return true, nil
	} else if err != nil {
		return false, orAgain(err)
	}
	if int64(g.ident.Sector) != i.Sector {
		if g.o.again {
			return true, nil
		}
		return false, refuse("image", fmt.Sprintf("%s was begun in sectors of %d bytes, and now the disk has sectors of %d", ref, i.Sector, g.ident.Sector),
			"connect it as it was: docks and adapters differ in this; or --again begins another image")
	}
	is, err := g.recognise(ctx, i)
	switch {
	case !errors.Is(err, errOtherContent):
		return false, err
	case g.o.again:
		return true, nil
	case is.Other >= is.Same:
		return false, refuse("image", fmt.Sprintf("the disk is not the one of %s, or was written to since: %v", ref, err),
			"put the right disk in; or --again begins another image")
	case g.o.image == "":
		return false, refuse("image", fmt.Sprintf("the disk was written to since %s was begun: %v", ref, err), fmt.Sprintf(
			"--again begins another image; --case %s --image %s goes on, and mixes what it held then and holds now", g.no, i.Name))
	}
	g.changed = is.Other
	g.term.Warn("the disk was written to since %s was begun: the image will hold some of what it held then and some of what it holds now", ref)
	return false, nil
}

// forgetErased takes away what is kept of images that are whole or not there any more,
// wherever they were erased.
func (s *station) forgetErased(ctx context.Context) error {
	var found []string
	for _, dir := range []string{tiersDir, landmarksDir} {
		in, err := filepath.Glob(filepath.Join(s.dir, dir, "*"))
		if err != nil {
			return err
		}
		found = append(found, in...)
	}
	if len(found) == 0 {
		return nil
	}
	cases, err := s.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return err
	}
	for _, path := range found {
		kept := func(i custody.Image) bool { // or is being written
			whole := i.State == custody.ImageIsSealed && i.Rescued == i.Bytes
			gone := i.State == custody.ImageIsErasing || i.State == custody.ImageIsErased
			return !whole && !gone && strings.HasPrefix(strings.TrimPrefix(filepath.Base(path), "."), keptName(i))
		}
		if slices.ContainsFunc(cases, func(c custody.Case) bool { return slices.ContainsFunc(c.Images, kept) }) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
