package wipe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// remove takes away what was overwritten and verified. It runs at VERIFIED only,
// may be repeated, and touches no inode but those of the job, wherever lookAgain
// found them: whatever has taken one of their names since is left. With resumed,
// what is not there any more went in an earlier run.
func (r *run) remove(ctx context.Context, resumed bool) error {
	for _, part := range []struct {
		d     *dir
		s     *site
		files []FileJob
	}{{r.keyDir, &r.keySite, r.job.Keys}, {r.dir, &r.site, r.job.Files}} {
		for i := range part.files {
			if err := ctx.Err(); err != nil {
				return err
			}
			f := &part.files[i]
			if part.d == nil || f.at == "" {
				f.Removed = resumed && f.Change != Gone && f.Change != Replaced
				continue
			}
			if err := r.removeFile(part.d, part.s, f); err != nil {
				return &FileError{f.Name, explain(err)}
			}
		}
		if part.d == nil {
			continue
		}
		if err := r.syncDir(part.d); err != nil {
			return fmt.Errorf("flush a directory: %w", explain(err))
		}
	}
	return r.removeDirs()
}

// erasedName is a name under which an erased file waits for its removal: it says
// nothing of what the file was. Somebody may have taken the first ones.
func erasedName(lane uint64, n int) string {
	if n == 0 {
		return fmt.Sprintf("erased-%08d", lane)
	}
	return fmt.Sprintf("erased-%08d-%d", lane, n)
}

// erasedNames is how many of them are tried. A file that finds all of them taken
// is removed under the name it has.
const erasedNames = 10

func (r *run) removeFile(d *dir, s *site, f *FileJob) error {
	id, err := d.stat(f.at)
	if errors.Is(err, unix.ENOENT) || err == nil && !f.is(id) {
		return nil // somebody was faster, and what has the name now is not ours
	}
	if err != nil {
		return err
	}
	// Where the time of change can be relied on, nothing that was touched since
	// the last look goes without another one.
	if s.Kind == InPlace && id.change != f.changed && !r.failed(s.Place, f) {
		return fmt.Errorf("it was touched since it was read back: %w", ErrChanged)
	}
	if f.at == f.Name {
		if err := r.hide(d, f); err != nil {
			return fmt.Errorf("rename: %w", err)
		}
	}
	err = r.before.call(step{act: actTruncate, name: f.Name}, func() error {
		h, id, err := d.open(f.at, unix.O_RDWR)
		if err != nil {
			return err
		}
		defer h.Close()
		if !f.is(id) {
			return ErrChanged
		}
		if f.Lane >= firstKeyLane && !r.failed(s.Place, f) {
			if held, err := r.holds(d, s, f, f.at); err != nil || !held {
				return errors.Join(fmt.Errorf("a key was put back: %w", ErrChanged), err)
			}
		}
		return h.Truncate(0)
	})
	// Seen on SMB after a run was killed with the file open: the server still knows
	// the dead handle. The content is overwritten and read back by now, and the file
	// goes in the next step; nothing is claimed of the truncation.
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("truncate: %w", err)
	}
	err = r.before.call(step{act: actUnlink, name: f.Name}, func() error {
		return unix.Unlinkat(int(d.f.Fd()), f.at, 0)
	})
	if err != nil {
		return fmt.Errorf("unlink: %w", err)
	}
	f.Removed = true
	return nil
}

// hide gives a file a name that says nothing of what it was.
func (r *run) hide(d *dir, f *FileJob) error {
	return r.before.call(step{act: actRename, name: f.Name}, func() error {
		for n := range erasedNames {
			hidden := erasedName(f.Lane, n)
			err := rename(d, f.at, hidden)
			if errors.Is(err, unix.EEXIST) {
				continue
			}
			if err == nil {
				f.at = hidden
			}
			return err
		}
		return nil
	})
}

// is reports whether an inode is the one that was planned.
func (f *FileJob) is(id inode) bool {
	return id.regular() && id.number == f.Inode && (id.birth == 0 || f.Birth == 0 || id.birth == f.Birth)
}

// rename gives a file of a directory another name that nobody has yet.
func rename(d *dir, from, to string) error {
	fd := int(d.f.Fd())
	err := unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	if _, err := d.stat(to); !errors.Is(err, unix.ENOENT) {
		return unix.EEXIST
	}
	return unix.Renameat(fd, from, fd, to)
}

// removeDirs removes the directories that are empty now. One that is not stays.
func (r *run) removeDirs() error {
	for _, d := range []struct {
		what string
		root *os.Root
		name string
	}{
		{"image", r.t.Vault, r.t.Dir},
		{"case", r.t.Vault, r.t.CaseDir},
		{"keys", r.t.Keystore, r.t.KeyDir},
		{"keys of the case", r.t.Keystore, r.keysOfCase()},
	} {
		ofImage := d.what == "image" || d.what == "case"
		if d.name == "" || d.name == "." || ofImage && r.job.KeysOnly {
			continue
		}
		gone, err := r.removeDir(d.root, d.name)
		if err != nil {
			return fmt.Errorf("remove the directory of the %s: %w", d.what, explain(err))
		}
		if gone && !slices.Contains(r.job.DirsRemoved, d.what) {
			r.job.DirsRemoved = append(r.job.DirsRemoved, d.what)
		}
	}
	return nil
}

// keysOfCase is the directory above the image's keys, when it is that of the case.
func (r *run) keysOfCase() string {
	if up := path.Dir(r.t.KeyDir); path.Base(up) == path.Base(r.t.CaseDir) {
		return up
	}
	return ""
}

// removeDir removes an empty directory and makes that durable. It reports whether
// the directory is gone.
func (r *run) removeDir(root *os.Root, name string) (bool, error) {
	up, err := openDir(root, path.Dir(name))
	if errors.Is(err, unix.ENOENT) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer up.close()
	err = r.before.call(step{act: actRmdir, name: path.Base(name)}, func() error {
		return unix.Unlinkat(int(up.f.Fd()), path.Base(name), unix.AT_REMOVEDIR)
	})
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return true, r.syncDir(up)
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST), errors.Is(err, unix.EBUSY), errors.Is(err, unix.ENOTDIR):
		return false, nil
	}
	return false, err
}

func (r *run) syncDir(d *dir) error {
	return r.before.call(step{act: actSyncDir, name: path.Base(d.f.Name())}, d.sync)
}
