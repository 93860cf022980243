package wipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"salvor/wipe/internal/kernel"
)

// looks is how often the last look is repeated when it found something to
// overwrite again.
const looks = 3

// lookAgain is the last look before files go, taken before VERIFIED is recorded
// and again by every run that resumes there. What was read back hours ago may have
// been put back since, so both directories are listed again; what is not the
// job's counts as a stray or as a key that is left, and what no longer holds the
// stream is overwritten and read back once more.
//
// It returns ErrNotErased as readBack does, and ErrInUse when files keep changing.
func (r *run) lookAgain(ctx context.Context) error {
	for range looks {
		if err := r.survey(); err != nil {
			return err
		}
		keys, err := r.heldAgain(r.keyDir, &r.keySite, r.job.Keys, r.keyHolds)
		if err != nil {
			return err
		}
		files, err := r.heldAgain(r.dir, &r.site, r.job.Files, func(f *FileJob) (bool, error) { return r.fileHolds(ctx, f) })
		if err != nil {
			return err
		}
		if !keys && !files {
			return r.erased()
		}
		// The record comes first: a run that is killed now must know that these
		// are no longer read back.
		if err := r.save(ctx); err != nil {
			return err
		}
		if err := r.gate(ctx); err != nil {
			return err
		}
		if keys {
			if err := r.coverKeys(ctx); err != nil {
				return err
			}
		}
		if files {
			if err := r.coverFiles(ctx); err != nil {
				return err
			}
			if err := r.verifyFiles(ctx); err != nil {
				return err
			}
		}
		if err := r.save(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("files of the image are written to while they are erased: %w", ErrInUse)
}

// heldAgain marks every file that is to be overwritten again, and reports whether
// there is one.
func (r *run) heldAgain(d *dir, s *site, files []FileJob, holds func(*FileJob) (bool, error)) (bool, error) {
	again := false
	for i := range files {
		f := &files[i]
		switch {
		case !f.Read: // an earlier run was stopped while it did so
			again = true
			continue
		case d == nil || f.at == "":
			// It was read back in full, and is here no more; or it never was.
			continue
		case r.failed(s.Place, f):
			if !f.tried && !r.o.UnlinkFailed {
				f.anew()
				again = true
			}
			continue
		}
		ok, err := holds(f)
		if err != nil {
			return false, &FileError{f.Name, explain(err)}
		}
		if !ok {
			f.Restored = true
			f.anew()
			again = true
		}
	}
	return again, nil
}

// anew forgets that a file was overwritten.
func (f *FileJob) anew() {
	f.Done, f.Bad, f.Read, f.Facts, f.After = 0, nil, false, Facts{}, nil
}

// afresh forgets what somebody did to a file and may have undone since: a second
// name, and bytes added at its end. Each run looks for them anew.
func (f *FileJob) afresh() {
	if f.Change == Linked || f.Change == Grown {
		f.Change = Unchanged
		f.anew()
	}
}

// keyHolds compares a key file with the stream, as anybody would read it. Key
// files are small, so that nothing less is trusted.
func (r *run) keyHolds(f *FileJob) (bool, error) {
	return r.holds(r.keyDir, &r.keySite, f, f.name())
}

// holds reports whether a file that was overwritten holds the stream and nothing
// else. One that is shorter than it was is not the worse for it.
// Holes are left out: what was never written holds nothing.
func (r *run) holds(d *dir, s *site, f *FileJob, name string) (bool, error) {
	file, id, err := d.open(name, unix.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer file.Close()
	if !f.is(id) {
		return false, fmt.Errorf("it was replaced: %w", ErrChanged)
	}
	if id.size > f.End {
		return false, nil
	}
	l, _, err := layoutOf(file, s, id.size)
	if err != nil {
		return false, err
	}
	stream := NewStream(r.job.StreamKey, f.Lane)
	b := make([]byte, chunkSize)
	for p := range pieces(within(l.spans, id.size), 0) {
		n, err := file.ReadAt(b[:p.Len], p.Off)
		switch {
		case err != nil && !errors.Is(err, io.EOF) && kernel.Sort(err) != kernel.Medium:
			return false, err
		case err != nil || stream.Different(b[:n], p.Off) != 0:
			return false, nil
		}
	}
	return true, nil
}

// fileHolds reads a file back once more when anything happened to it since it was
// read back: its time of change tells, which nobody can set.
func (r *run) fileHolds(ctx context.Context, f *FileJob) (bool, error) {
	switch {
	case f.Seen != 0 && f.changed == f.Seen:
		return true, nil
	case f.at != f.Name:
		id, err := r.dir.stat(f.at)
		if err != nil {
			return false, err
		}
		if id.size == 0 {
			return true, nil // an earlier run was stopped while it removed it
		}
	}
	// Not read back, until it is.
	f.Read = false
	if err := r.verify(ctx, r.dir, &r.site, f, "read back"); err != nil {
		return false, err
	}
	return !r.failed(r.site.Place, f), nil
}

// survey lists both directories, finds the job's files in them by their inodes,
// and records everything else.
func (r *run) survey() error {
	strays, err := locate(r.dir, r.job.Files)
	if err != nil {
		return fmt.Errorf("list the directory of the image: %w", explain(err))
	}
	r.job.StrayNames = union(r.job.StrayNames, strays)
	if err := r.surveyKeys(); err != nil {
		return err
	}
	left, err := r.keyLeft()
	if err != nil {
		return fmt.Errorf("look for key files that are left: %w", explain(err))
	}
	// It only ever lowers: an attempt that was made is not made better by a look.
	if left && r.job.KeyFacts.Attempt != Opened {
		r.job.KeyFacts.Attempt = KeyLeft
	}
	return nil
}

// surveyKeys finds the key files of the job.
func (r *run) surveyKeys() error {
	if _, err := locate(r.keyDir, r.job.Keys); err != nil {
		return fmt.Errorf("list the directory of the keys: %w", explain(err))
	}
	return nil
}

// locate finds the files of a job in a directory, whatever they are called now,
// and returns the names that are not the job's.
func locate(d *dir, files []FileJob) (strays []string, err error) {
	byInode := make(map[uint64]*FileJob)
	for i := range files {
		files[i].at = ""
		byInode[files[i].Inode] = &files[i]
	}
	if d == nil {
		return nil, nil
	}
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		id, err := d.stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f := byInode[id.number]
		switch {
		case f == nil || !f.is(id):
			strays = append(strays, name)
			continue
		case f.at == "":
		case name == f.Name: // the other is a second name of the same file
			strays = append(strays, f.at)
		default:
			strays = append(strays, name)
			continue
		}
		f.at, f.changed = name, id.change
	}
	return strays, nil
}

// union adds names that are not among all yet.
func union(all, names []string) []string {
	for _, n := range names {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// lookLast lists what is still there when everything of the job was removed.
// Whatever it is, the job did not write it or could not take it away.
func (r *run) lookLast() error {
	d, err := openDir(r.t.Vault, r.t.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.job.Left = 0
	case err != nil:
		return explain(err)
	default:
		defer d.close()
		names, err := d.names()
		if err != nil {
			return explain(err)
		}
		r.job.Left = len(names)
		r.job.StrayNames = union(r.job.StrayNames, names)
	}
	k, err := openDir(r.t.Keystore, r.t.KeyDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.job.KeysLeft = 0
	case err != nil:
		return explain(err)
	default:
		defer k.close()
		names, err := k.names()
		if err != nil {
			return explain(err)
		}
		r.job.KeysLeft = len(names)
		r.job.StrayKeys = union(r.job.StrayKeys, names)
		if len(names) > 0 && r.job.KeyFacts.Attempt != Opened {
			r.job.KeyFacts.Attempt = KeyLeft
		}
	}
	return nil
}
