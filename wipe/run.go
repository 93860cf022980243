package wipe

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Options are what a run needs from its caller.
type Options struct {
	Journal Journal
	Now     func() time.Time
	// Gate is called immediately before the keys are destroyed, or, in a run that
	// resumes behind that, before content is overwritten: it re-reads the holds.
	// An error stops the run with nothing more destroyed. Nil is no gate.
	Gate func(ctx context.Context) error
	// TryOpen tries to open the image with what is left once the keys are
	// destroyed. It returns true when that succeeded, and an error when the
	// attempt could not be made. Nil leaves it to the look for key files that
	// every run takes.
	TryOpen func(ctx context.Context) (opened bool, err error)
	// Reached is told when a stage from KEY_DONE on is durable, once the keys are
	// destroyed and once before the first file is removed; and again by every run that
	// resumes behind that. An error ends the run; the stage stays reached.
	Reached func(context.Context, Evidence) error
	// Progress is told how far the run has come; it must return soon.
	Progress func(Progress)
	// Residue looks on the whole block device for samples of the old content.
	Residue bool
	// UnlinkFailed removes the files although some bytes could not be
	// overwritten or read back, or are missing. The class is then FAILED for good.
	UnlinkFailed bool

	before before // tests only
}

// Progress is how far a run has come.
type Progress struct {
	Stage Stage
	What  string // "keys", "overwrite", "read back", "residue", "remove"
	Done  int64  // bytes
	Total int64  // bytes
}

// maxBad is how many sectors may fail in one run. A device with more of them needs
// a person, and would keep an unattended run for days.
const maxBad = 4096

// run is one walk of a job over its target.
type run struct {
	t      Target
	job    *Job
	o      Options
	before before

	dir, keyDir   *dir
	site, keySite site
	devices       map[string]*handle // raw, by node
	budget        int
	gated         bool

	done, total int64 // progress
}

// Run erases a target by its job, from whatever stage the job has reached, and
// returns the evidence gathered so far, also beside an error.
//
// Before the first key is destroyed it refuses as Plan does, and with ErrChanged
// when anything is not as it was planned; then nothing was touched. Later errors
// leave the job to be run again: a cancelled ctx, a failed save, ErrNoSpace,
// ErrVanished, ErrAbsent, and ErrNotErased when bytes are left.
func Run(ctx context.Context, t Target, j *Job, o Options) (Evidence, error) {
	r := &run{t: t, job: j, o: o, before: o.before, budget: maxBad, devices: make(map[string]*handle)}
	defer r.close()
	err := r.walk(ctx)
	return j.Evidence(), err
}

func (r *run) close() {
	r.dir.close()
	r.keyDir.close()
	for _, d := range r.devices {
		d.Close()
	}
}

// walk goes from stage to stage. Each case falls to the next by changing the stage.
func (r *run) walk(ctx context.Context) error {
	if err := r.fits(); err != nil {
		return err
	}
	if r.job.Stage == Unlinked || r.job.Stage == Attested {
		return nil
	}
	if err := r.arrive(); err != nil {
		return err
	}

	for _, files := range [][]FileJob{r.job.Keys, r.job.Files} {
		for i := range files {
			files[i].afresh()
		}
	}
	resumed := r.job.Stage == Verified
	r.job.Recount(r.t)
	if r.job.Stage != Planned {
		if err := r.reached(ctx); err != nil {
			return err
		}
	}

	if r.job.Stage == Planned {
		if err := r.beginKeys(ctx); err != nil {
			return err
		}
		if err := r.destroyKeys(ctx); err != nil {
			return err
		}
		if err := r.advance(ctx, KeyDone); err != nil {
			return err
		}
		if err := r.reached(ctx); err != nil {
			return err
		}
	}
	if r.job.Stage == KeyDone {
		if err := r.sampleContent(); err != nil {
			return err
		}
		if err := r.gate(ctx); err != nil {
			return err
		}
		r.job.MediaBegun = true
		if err := r.advance(ctx, Overwrite); err != nil {
			return err
		}
	}
	if r.job.Stage == Overwrite {
		if err := r.gate(ctx); err != nil {
			return err
		}
		if err := r.overwrite(ctx); err != nil {
			return err
		}
		if err := r.readBack(ctx); err != nil {
			return err
		}
		if err := r.findResidue(ctx); err != nil {
			return err
		}
		if err := r.lookAgain(ctx); err != nil {
			return err
		}
		if err := r.advance(ctx, Verified); err != nil {
			return err
		}
		if err := r.reached(ctx); err != nil {
			return err
		}
	}
	if r.job.Stage == Verified {
		if resumed {
			if err := r.lookAgain(ctx); err != nil {
				return err
			}
		}
		r.report("remove", 0, 0)
		if err := r.remove(ctx, resumed); err != nil {
			return err
		}
		if err := r.lookLast(); err != nil {
			return fmt.Errorf("look at what is left: %w", err)
		}
		r.job.Ended = r.o.Now().UTC()
		if err := r.advance(ctx, Unlinked); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) fits() error {
	if err := r.t.valid(); err != nil {
		return err
	}
	switch {
	case r.job.Version != jobVersion:
		return fmt.Errorf("job version %d, not %d: %w", r.job.Version, jobVersion, ErrJob)
	case r.job.UUID != hex.EncodeToString(r.t.UUID[:]):
		return fmt.Errorf("it is for another image: %w", ErrJob)
	case r.job.StreamKey == Key{}:
		return fmt.Errorf("it has no stream key: %w", ErrJob)
	case r.o.Journal == nil || r.o.Now == nil:
		return fmt.Errorf("no journal or no clock: %w", ErrJob)
	}
	switch r.job.Stage {
	case Planned, KeyDone, Overwrite, Verified, Unlinked, Attested:
		return nil
	}
	return fmt.Errorf("unknown stage: %w", ErrJob)
}

// arrive opens the directories and makes sure that they are those of the plan.
func (r *run) arrive() error {
	vault, keystore, err := r.t.identify()
	if err != nil {
		return err
	}
	if vault != r.job.VaultID {
		return fmt.Errorf("another one is in its place: %w", ErrAbsent)
	}
	if keystore != r.job.KeystoreID {
		return fmt.Errorf("another keystore is in the place of the one planned for: %w", ErrAbsent)
	}

	if !r.job.KeysOnly {
		r.dir, err = openDir(r.t.Vault, r.t.Dir)
	}
	switch {
	case r.job.KeysOnly:
	case errors.Is(err, fs.ErrNotExist) && r.job.Stage == Verified:
		r.dir = nil // an earlier run removed it
	case errors.Is(err, fs.ErrNotExist) && (r.job.NoImage || r.t.AcceptMissingImage && !r.job.Untouched()):
		r.dir = nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", r.t.Dir, ErrMissing)
	case err != nil:
		return explain(err)
	default:
		if err := r.lock(); err != nil {
			return err
		}
		if r.site, err = r.revisit(r.dir, r.t.Vault, r.t.Dir, &r.job.Vault); err != nil {
			return err
		}
	}

	r.keyDir, err = openDir(r.t.Keystore, r.t.KeyDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.keyDir = nil
		if len(r.job.Keys) > 0 && r.job.Stage == Planned && !r.job.KeysBegun {
			return fmt.Errorf("%s is gone: %w", r.t.KeyDir, ErrChanged)
		}
	case err != nil:
		return explain(err)
	case len(r.job.Keys) > 0:
		if r.keySite, err = r.revisit(r.keyDir, r.t.Keystore, r.t.KeyDir, &r.job.Keystore); err != nil {
			return err
		}
	}
	return nil
}

// lock keeps a second run on this machine away from the image.
func (r *run) lock() error {
	err := unix.Flock(int(r.dir.f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("another run is erasing it: %w", ErrInUse)
	}
	return nil // a file system without locks has the caller's lock only
}

// revisit looks at the storage again. What was seen when the erase was planned
// still counts where it was worse.
func (r *run) revisit(d *dir, root *os.Root, name string, planned *Place) (site, error) {
	s, err := siteOf(d, aboveOf(root, name))
	if err != nil {
		return s, err
	}
	if s.FS != planned.FS {
		return s, fmt.Errorf("it lies on another kind of file system than when it was planned: %w", ErrChanged)
	}
	if s.ReadOnly {
		return s, fmt.Errorf("the file system is mounted read-only: %w", ErrReadOnly)
	}
	for _, old := range planned.Snapshots {
		if !slices.Contains(s.Snapshots, old) {
			s.Snapshots = append(s.Snapshots, old)
		}
	}
	s.Unanswered = s.Unanswered || planned.Unanswered
	for _, old := range planned.Virtual {
		if !slices.Contains(s.Virtual, old) {
			s.Virtual = append(s.Virtual, old)
		}
	}
	*planned = s.Place
	return s, nil
}

// advance records that a stage is reached. Until it is recorded it is not reached.
func (r *run) advance(ctx context.Context, to Stage) error {
	from := r.job.Stage
	r.job.Stage = to
	if err := r.save(ctx); err != nil {
		r.job.Stage = from
		return err
	}
	return nil
}

// reached tells the caller what is shown so far.
func (r *run) reached(ctx context.Context) error {
	if r.o.Reached == nil {
		return nil
	}
	return r.o.Reached(ctx, r.job.Evidence())
}

// save writes the journal, also when the run was told to stop: what was done is
// to be known.
func (r *run) save(ctx context.Context) error {
	if err := r.o.Journal.Save(context.WithoutCancel(ctx), r.job); err != nil {
		return fmt.Errorf("save the journal of the erase: %w", err)
	}
	return nil
}

func (r *run) gate(ctx context.Context) error {
	if r.gated || r.o.Gate == nil {
		return ctx.Err()
	}
	if err := r.o.Gate(ctx); err != nil {
		return fmt.Errorf("erase refused: %w", err)
	}
	r.gated = true
	return ctx.Err()
}

func (r *run) report(what string, done, total int64) {
	r.done, r.total = done, total
	r.tell(what, 0)
}

func (r *run) tell(what string, n int64) {
	r.done += n
	r.total = max(r.total, r.done) // a file that grew
	if r.o.Progress != nil {
		r.o.Progress(Progress{Stage: r.job.Stage, What: what, Done: r.done, Total: r.total})
	}
}
