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

	"salvor/custody"
	"salvor/custody/ledger"
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

// keepLandmarks keeps what the disk can be known again by.
func (g *imaging) keepLandmarks() error {
	list := g.disk.Landmarks()
	if len(list) == 0 {
		return nil
	}
	return g.keep(landmarksDir, func(w io.Writer) error { return json.NewEncoder(w).Encode(list) })
}

// errOtherContent is a disk that does not hold what an image of it was begun with.
var errOtherContent = errors.New("it does not hold what it held")

// recognise reads again some of what the image has of this disk, before it is gone on with.
// What differs was written in between, or it is another disk behind the serial number of the
// same dock. Where nothing is known, of an image of an older version or one that was cut
// off at once, the serial number has to do.
func (g *imaging) recognise(ctx context.Context, i custody.Image) (blockdev.Likeness, error) {
	p, err := os.ReadFile(g.keptFile(landmarksDir, i))
	if errors.Is(err, fs.ErrNotExist) {
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

// sameDisk refuses to go on with an image of a disk that has changed, and reports whether
// another is to be begun instead. Whoever names the image has looked: the disk is the same
// where most of it is, and what differs is written down in the image.
func (g *imaging) sameDisk(ctx context.Context, ref string, i custody.Image) (another bool, err error) {
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
