package wipe

import (
	"context"
	"io"
	"time"
)

// Options are what a run needs from its caller.
type Options struct {
	Journal Journal
	Now     func() time.Time
	// Gate is called immediately before the keys are destroyed, and again in
	// each run before content is overwritten: it re-reads the holds. An error
	// stops the run with nothing more destroyed. Nil is no gate.
	Gate func(ctx context.Context) error
	// TryOpen tries to open the image with what is left once the keys are
	// destroyed. It returns true when that succeeded. Nil leaves it to the look
	// for key files that every run takes.
	TryOpen func(ctx context.Context) (opened bool, err error)
	// Progress is told how far the run has come; it must return soon.
	Progress func(Progress)
	// Residue looks on the whole block device for samples of the old content.
	Residue bool
	// UnlinkFailed removes the files although some bytes could not be
	// overwritten or read back. The class is then FAILED for good.
	UnlinkFailed bool
}

// Progress is how far a run has come.
type Progress struct {
	Stage Stage
	What  string // "keys", "overwrite", "read back", "residue", "remove"
	Done  int64  // bytes
	Total int64  // bytes
}

// Plan looks at a target and says how it would be erased. It changes nothing,
// needs no secret and may be called as a dry run; rand gives the stream key and
// the job's id.
func Plan(ctx context.Context, t Target, rand io.Reader) (*Job, error) {
	return nil, ErrMissing
}

// Run erases a target by its job, from whatever stage the job has reached, and
// returns the evidence gathered so far, also beside an error.
func Run(ctx context.Context, t Target, j *Job, o Options) (Evidence, error) {
	return Evidence{}, ErrMissing
}
