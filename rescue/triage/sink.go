package triage

import (
	"context"
	"slices"

	"salvor/rescue"
	"salvor/rescue/mapfile"
)

// Sink returns a sink that copies metadata into the scratch and passes everything on to
// next, but for what was read again.
func (t *Triage) Sink(next rescue.Sink) rescue.Sink { return &sink{t, next} }

type sink struct {
	t    *Triage
	next rescue.Sink
}

// Write implements [rescue.Sink].
func (s *sink) Write(ctx context.Context, first int64, p []byte, pass uint8, release func()) error {
	s.t.store(first, p)
	if pass == PassAgain {
		release()
		return nil
	}
	return s.next.Write(ctx, first, p, pass, release)
}

// Mark implements [rescue.Sink].
func (s *sink) Mark(ctx context.Context, first, n int64, status byte, pass uint8) error {
	return s.next.Mark(ctx, first, n, status, pass)
}

// store puts into the scratch what is to be kept of whole sectors from first on.
func (t *Triage) store(first int64, p []byte) {
	if t.isOff() {
		return
	}
	size := int64(t.info.Sector)
	t.mu.Lock()
	kept := slices.Collect(t.keep.Within(first, int64(len(p))/size))
	t.mu.Unlock()
	for _, k := range kept {
		if k.Status != mapfile.Rescued {
			continue
		}
		if err := t.scratch.write(k.First, p[(k.First-first)*size:(k.End()-first)*size]); err != nil {
			t.off(err)
			return
		}
	}
	select {
	case t.arrived <- struct{}{}:
	default:
	}
}
