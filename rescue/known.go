package rescue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/rescue/mapfile"
)

// knownSource is a source of which a map says what is worth asking for.
type knownSource struct {
	Source
	m *mapfile.Map
}

// ErrKnown is why a sector was not asked for: the map beside the source says that
// it was never rescued.
var ErrKnown = errors.New("not rescued, says the map beside the source")

// WithMap returns src restricted to what m calls rescued: the rest is answered as
// unreadable without touching it. It is for an image that ddrescue made, with its
// map file. m counts src's logical sectors; it must not change while in use, and an
// error says that it does not fit.
func WithMap(src Source, m *mapfile.Map) (Source, error) {
	if have, want := m.Sectors(), src.Info().Sectors(); have != want {
		return nil, fmt.Errorf("map of %d sectors for a source of %d: %w", have, want, mapfile.ErrSize)
	}
	return &knownSource{Source: src, m: m}, nil
}

func (k *knownSource) ReadAt(ctx context.Context, p []byte, sector int64, deadline time.Duration) Result {
	size := int64(k.Info().Sector)
	n := int64(len(p)) / size
	good := n
	var lost mapfile.Run
	for r := range k.m.Within(sector, n) {
		if r.Status == mapfile.Rescued {
			if lost.Sectors > 0 {
				break
			}
			continue
		}
		if lost.Sectors == 0 {
			good, lost.First = r.First-sector, r.First
		}
		lost.Sectors += r.Sectors
	}
	if good > 0 {
		res := k.Source.ReadAt(ctx, p[:good*size], sector, deadline)
		if good == n || res.Class != OK || res.Good < good {
			return res
		}
	}
	return Result{Good: good, Class: Medium, Err: ErrKnown, Fail: lost.First, Lost: lost.Sectors, Known: true}
}
