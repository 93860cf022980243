package wipe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"salvor/wipe/internal/kernel"
)

// beginKeys takes the last looks, records that the keys are about to go, and asks
// the gate. When it returns an error nothing was touched, unless an earlier run of
// the job had begun already.
//
// Nothing slow may stand here or in destroyKeys before the keys are overwritten.
func (r *run) beginKeys(ctx context.Context) error {
	if !r.job.KeysBegun {
		if err := r.unchanged(); err != nil {
			return err
		}
	}
	var open []watched
	if r.dir != nil {
		open = append(open, watched{r.dir, r.site.FS, r.job.Files})
	}
	if r.keyDir != nil {
		open = append(open, watched{r.keyDir, r.keySite.FS, r.job.Keys})
	}
	if err := idle(open...); err != nil {
		return err
	}
	first := !r.job.KeysBegun
	if first {
		// The record comes before the gate, so that nothing at all lies between
		// the gate's answer and the first key.
		r.job.KeysBegun = true
		r.job.Begun = r.o.Now().UTC()
		if err := r.save(ctx); err != nil {
			r.job.KeysBegun = false
			return err
		}
	}
	err := r.gate(ctx)
	if err != nil && first {
		r.job.KeysBegun = false
		if saveErr := r.save(ctx); saveErr != nil {
			// The record now says more than is true, which costs the next run only
			// its strictest look at the key files.
			return errors.Join(err, saveErr)
		}
	}
	return err
}

// unchanged holds everything against the plan while there is still a way back.
func (r *run) unchanged() error {
	for _, part := range []struct {
		d     *dir
		files []FileJob
		key   bool
	}{{r.keyDir, r.job.Keys, true}, {r.dir, r.job.Files, false}} {
		for _, f := range part.files {
			if err := r.asPlanned(part.d, f, part.key); err != nil {
				return &FileError{f.Name, err}
			}
		}
	}
	// A new segment or key file means that somebody is still writing.
	for _, part := range []struct {
		d     *dir
		files []FileJob
		ours  func(string) bool
	}{{r.dir, r.job.Files, r.job.ours}, {r.keyDir, r.job.Keys, keyName.MatchString}} {
		if part.d == nil {
			continue
		}
		names, err := part.d.names()
		if err != nil {
			return err
		}
		for _, n := range names {
			if part.ours(n) && !planned(part.files, n) {
				return &FileError{n, fmt.Errorf("it is new: %w", ErrChanged)}
			}
		}
	}
	return nil
}

// ours reports whether a name is one that salvor gives and that the plan did not
// leave to be looked at by a person.
func (j *Job) ours(name string) bool {
	return ours(name) && !slices.Contains(j.StrayNames, name)
}

func planned(files []FileJob, name string) bool {
	return slices.ContainsFunc(files, func(f FileJob) bool { return f.Name == name })
}

func (r *run) asPlanned(d *dir, f FileJob, key bool) error {
	id, err := d.stat(f.Name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if err := d.plain(id); err != nil {
		return err
	}
	if !f.is(id) {
		return fmt.Errorf("it was replaced: %w", ErrChanged)
	}
	if id.size != f.Size {
		return fmt.Errorf("its size changed: %w", ErrChanged)
	}
	switch {
	case key:
		sum, content, err := sumKey(d, f.Name)
		if err != nil {
			return err
		}
		if f.SHA256 == nil || sum != *f.SHA256 {
			return fmt.Errorf("its content changed: %w", ErrChanged)
		}
		if r.o.Residue {
			r.sample(content, true)
		}
	case f.Name == superblockName:
		file, _, err := d.open(f.Name, unix.O_RDONLY)
		if err != nil {
			return err
		}
		defer file.Close()
		m, err := markOf(file, f.Name)
		if err != nil {
			return err
		}
		if m != nil && m.uuid != r.t.UUID {
			return fmt.Errorf("it belongs to another image: %w", ErrForeign)
		}
	}
	return nil
}

// destroyKeys overwrites every key file, reads them back, and then tries to open
// the image with what is left. All of them are overwritten before any is read
// back, and an error with one does not spare the others.
func (r *run) destroyKeys(ctx context.Context) error {
	if err := r.coverKeys(ctx); err != nil {
		return err
	}
	return r.attempt(ctx)
}

// coverKeys overwrites and reads back every key file that is not erased yet.
func (r *run) coverKeys(ctx context.Context) error {
	var total int64
	for i := range r.job.Keys {
		if f := &r.job.Keys[i]; !f.Read || r.failed(r.keySite.Place, f) {
			total += 2 * f.Alloc // written, and read back
		}
	}
	r.report("keys", 0, total)
	var errs []error
	for i := range r.job.Keys {
		f := &r.job.Keys[i]
		if f.Read && !r.failed(r.keySite.Place, f) {
			continue // by an earlier run
		}
		f.anew()
		if err := r.cover(ctx, r.keyDir, &r.keySite, f, "keys"); err != nil {
			errs = append(errs, &FileError{f.Name, err})
		}
	}
	if r.keyDir != nil {
		if err := r.syncDir(r.keyDir); err != nil {
			errs = append(errs, fmt.Errorf("flush the directory of the keys: %w", explain(err)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i := range r.job.Keys {
		f := &r.job.Keys[i]
		if f.Read {
			continue
		}
		if err := r.verify(ctx, r.keyDir, &r.keySite, f, "keys"); err != nil {
			return &FileError{f.Name, err}
		}
	}
	return nil
}

// attempt tries to open the image with what is left. Opening needs a key file
// before anything else, so it looks for one first.
func (r *run) attempt(ctx context.Context) error {
	left, err := r.keyLeft()
	if err != nil {
		return fmt.Errorf("look for key files that are left: %w", err)
	}
	r.job.KeyFacts.Attempt = Shut
	if left {
		r.job.KeyFacts.Attempt = KeyLeft
	}
	if r.o.TryOpen == nil {
		return nil
	}
	opened, err := r.o.TryOpen(ctx)
	switch {
	case opened:
		r.job.KeyFacts.Attempt = Opened
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil && !left:
		// An attempt that could not be made shows nothing.
		r.job.KeyFacts.Attempt = NotTried
	}
	return nil
}

// keyLeft looks at everything in the directory of the keys, whatever its name. A
// file of the job is left when it looks like a key. What is not the job's is
// recorded, and counts as a key whatever it looks like: it may be one that was
// packed or renamed, and a directory or a link could lead to one.
func (r *run) keyLeft() (left bool, err error) {
	d, err := openDir(r.t.Keystore, r.t.KeyDir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer d.close()
	names, err := d.names()
	if err != nil {
		return false, err
	}
	for _, n := range names {
		id, err := d.stat(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(r.job.Keys, func(f FileJob) bool { return f.is(id) }) {
			r.job.StrayKeys = union(r.job.StrayKeys, []string{n})
			left = true
			continue
		}
		f, _, err := d.open(n, unix.O_RDONLY)
		if err != nil {
			return false, err
		}
		var b [64]byte
		k, err := f.ReadAt(b[:], 0)
		f.Close()
		if looksLikeKey(b[:k]) || k == 0 && err != nil && kernel.Sort(err) == kernel.Medium {
			left = true
		}
	}
	return left, nil
}
