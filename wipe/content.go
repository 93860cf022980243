package wipe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"salvor/wipe/internal/kernel"
)

// look sees whether a file is still the one that was planned, and records when it
// is not. It reports whether there is anything of ours to work on.
func look(d *dir, f *FileJob) (bool, error) {
	if d == nil {
		f.Change = Gone
		return false, nil
	}
	id, err := d.stat(f.name())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Change = Gone
		return false, nil
	case err != nil:
		return false, explain(err)
	case !f.is(id):
		f.Change = Replaced
		return false, nil
	}
	switch {
	case id.links != 1:
		f.Change = Linked
	case id.size < f.Size && !f.Once:
		f.Change = Truncated
	case id.size > max(f.Size, f.End):
		f.Change = Grown
	}
	return true, nil
}

// overwrite puts the stream over every file, from where an earlier run stopped.
//
// The keys come first here too: one that an earlier run could not erase, and one
// that was put back since.
func (r *run) overwrite(ctx context.Context) error {
	if err := r.surveyKeys(); err != nil {
		return err
	}
	again, restored := false, false
	for i := range r.job.Keys {
		f := &r.job.Keys[i]
		if r.failed(r.keySite.Place, f) {
			again = true
			continue
		}
		if f.tried || f.at == "" {
			continue
		}
		held, err := r.keyHolds(f)
		if err != nil {
			return &FileError{f.Name, explain(err)}
		}
		if !held {
			f.Restored = true
			f.anew()
			again, restored = true, true
		}
	}
	if restored {
		if err := r.save(ctx); err != nil {
			return err
		}
	}
	if again {
		if err := r.destroyKeys(ctx); err != nil {
			return err
		}
	}
	for i := range r.job.Files {
		if f := &r.job.Files[i]; f.Read && r.failed(r.site.Place, f) {
			// An earlier run could not overwrite it, or did not find it
			// overwritten: all of it again.
			f.anew()
		}
	}
	return r.coverFiles(ctx)
}

// coverFiles overwrites every file that was not read back yet.
func (r *run) coverFiles(ctx context.Context) error {
	var total, done int64
	for _, f := range r.job.Files {
		total += f.Alloc
		if f.Read {
			done += f.Alloc
		} else {
			done += min(f.Done, f.Alloc)
		}
	}
	r.report("overwrite", done, total)
	for i := range r.job.Files {
		f := &r.job.Files[i]
		if f.Read {
			continue
		}
		if err := r.cover(ctx, r.dir, &r.site, f, "overwrite"); err != nil {
			return &FileError{f.Name, err}
		}
		if err := r.save(ctx); err != nil {
			return err
		}
	}
	if r.dir == nil {
		return nil
	}
	if err := r.syncDir(r.dir); err != nil {
		return fmt.Errorf("flush the directory of the image: %w", explain(err))
	}
	return nil
}

// cover overwrites one file in place, from f.Done on. When it returns nil, all of
// it but f.Bad is overwritten and durable.
func (r *run) cover(ctx context.Context, d *dir, s *site, f *FileJob, what string) error {
	there, err := look(d, f)
	if err != nil || !there {
		return err
	}
	// Through a descriptor of its own that cannot write: on some file systems
	// opening for writing already moves the file.
	l, size, err := r.mapNow(d, s, f)
	if err != nil {
		return err
	}
	if f.Done == 0 || f.Change == Grown {
		f.Done = 0
		f.Alloc, f.End = l.alloc, l.end
	}
	f.Map.worsen(l.Map)
	f.Bad = slices.DeleteFunc(f.Bad, func(b Span) bool { return b.Off >= f.Done })

	h, err := d.openHandle(f.name(), true, r.before)
	if err != nil {
		return explain(err)
	}
	defer h.Close()
	if !f.is(h.id) {
		f.Change = Replaced
		return nil
	}
	if h.id.size != size {
		return fmt.Errorf("its size changes: %w", ErrInUse)
	}
	o := overwriting{
		to: h, stream: NewStream(r.job.StreamKey, f.Lane), spans: l.spans, from: f.Done,
		bad: func(b Span) {
			if n := len(f.Bad); n > 0 && f.Bad[n-1].Off+f.Bad[n-1].Len == b.Off {
				f.Bad[n-1].Len += b.Len
			} else {
				f.Bad = append(f.Bad, b)
			}
		},
		budget: &r.budget,
		alive:  s.alive,
		durable: func(to int64) error {
			r.tell(what, between(l.spans, f.Done, to))
			f.Done = to
			return r.save(ctx)
		},
		giveUp: r.o.UnlinkFailed,
	}
	err = o.run(ctx)
	if err != nil && r.o.UnlinkFailed && kernel.Sort(err) == kernel.Medium {
		// The flush failed, so that nothing since the last one is known to be written.
		f.Bad = slices.DeleteFunc(f.Bad, func(b Span) bool { return b.Off >= f.Done })
		f.Bad = append(f.Bad, Span{f.Done, f.End - f.Done})
		err = nil
	}
	if err != nil {
		return explain(err)
	}
	r.tell(what, between(l.spans, f.Done, f.End))
	f.Done = f.End
	return nil
}

// mapNow asks where the file's bytes lie at this moment.
func (r *run) mapNow(d *dir, s *site, f *FileJob) (layout, int64, error) {
	file, id, err := d.open(f.name(), unix.O_RDONLY)
	if err != nil {
		return layout{}, 0, explain(err)
	}
	defer file.Close()
	l, _, err := layoutOf(file, s, id.size)
	return l, id.size, err
}

// worsen adds what is worse in another look at the same file. A file that moved
// between two looks keeps its first places, and so is found to have moved.
func (m *Map) worsen(o Map) {
	m.Shared = m.Shared || o.Shared
	m.Encoded = m.Encoded || o.Encoded
	m.Inline = m.Inline || o.Inline
	m.Holes = m.Holes || o.Holes
	m.Journal = m.Journal || o.Journal
	m.Late = m.Late || o.Late
	m.Undated = m.Undated || o.Undated
}

// alive returns ErrVanished when the block device is no longer there.
func (s *site) alive() error {
	if s.node == "" {
		return nil
	}
	if _, err := os.Stat("/sys/class/block/" + s.Device); err != nil {
		return fmt.Errorf("%w: %w", ErrVanished, err)
	}
	return nil
}

// readBack compares every byte of every file with the stream, and ends with
// ErrNotErased when that does not show everything overwritten.
func (r *run) readBack(ctx context.Context) error {
	if err := r.verifyFiles(ctx); err != nil {
		return err
	}
	return r.erased()
}

// verifyFiles reads back every file that was not yet.
func (r *run) verifyFiles(ctx context.Context) error {
	var total, done int64
	for _, f := range r.job.Files {
		total += f.Alloc
		if f.Read {
			done += f.Alloc
		}
	}
	r.report("read back", done, total)
	for i := range r.job.Files {
		f := &r.job.Files[i]
		if f.Read {
			continue
		}
		if err := r.verify(ctx, r.dir, &r.site, f, "read back"); err != nil {
			return &FileError{f.Name, err}
		}
		if err := r.save(ctx); err != nil {
			return err
		}
	}
	return nil
}

// erased returns ErrNotErased when some byte is not shown to be overwritten, unless
// the job is to end at any price.
func (r *run) erased() error {
	if r.o.UnlinkFailed {
		return nil
	}
	for i := range r.job.Keys {
		if r.failed(r.job.Keystore, &r.job.Keys[i]) {
			return &FileError{r.job.Keys[i].Name, ErrNotErased}
		}
	}
	if r.job.KeysOnly {
		return nil
	}
	e := r.job.Evidence()
	e.Stage = Verified
	if c := Classify(e); c.Media == MediaFailed {
		return fmt.Errorf("%w: %s", ErrNotErased, c.Reasons[0])
	}
	return nil
}

// failed reports whether a file that was read back is not erased.
func (r *run) failed(p Place, f *FileJob) bool {
	v := verdict{media: MediaRaw}
	v.file(p, f.evidence())
	return v.media == MediaFailed
}

// verify reads one file back through the file system, and from the block device
// where its places are known and have not changed. It does so while the file
// still exists, so that the blocks cannot belong to anything else.
func (r *run) verify(ctx context.Context, d *dir, s *site, f *FileJob, what string) error {
	f.Facts, f.After, f.tried = Facts{}, nil, true
	there, err := look(d, f)
	if err != nil {
		return err
	}
	if !there {
		f.Read = true
		return nil
	}
	h, err := d.openHandle(f.name(), false, r.before)
	if err != nil {
		return explain(err)
	}
	defer h.Close()
	if !f.is(h.id) {
		f.Change, f.Read = Replaced, true
		return nil
	}
	l, _, err := layoutOf(h.File, s, h.id.size)
	if err != nil {
		return err
	}
	spans := l.spans
	l = l.upTo(f.End)
	f.After = &l.Map

	c := comparing{
		file: h, stream: NewStream(r.job.StreamKey, f.Lane), spans: within(spans, f.End),
		budget: &r.budget, giveUp: r.o.UnlinkFailed, alive: s.alive,
		told: func(n int64) { r.tell(what, n) },
	}
	if s.raw && f.Map.Same(l.Map) && !f.Map.unsure() && !l.unsure() {
		if c.device, err = r.device(s, d.id.dev); err != nil {
			return err
		}
		c.extents = l.extents
	}
	facts, err := c.run(ctx)
	if err != nil {
		return explain(err)
	}
	for _, b := range f.Bad {
		facts.Unwritten += b.Len
	}
	facts.Written = f.Alloc - facts.Unwritten
	f.Facts, f.Read, f.Seen = facts, true, h.id.change
	f.Once = f.Once || !r.failed(s.Place, f)
	return nil
}

// unsure: the block device does not show the content at the mapped places, or not
// yet, so that reading it would prove nothing either way.
func (m Map) unsure() bool { return m.Shared || m.Encoded || m.Inline || m.Journal }

// between counts the bytes of spans from one offset to another.
func between(spans []Span, from, to int64) (n int64) {
	for _, s := range spans {
		n += max(0, min(s.Off+s.Len, to)-max(s.Off, from))
	}
	return n
}

// within cuts spans at end.
func within(spans []Span, end int64) []Span {
	var cut []Span
	for _, s := range spans {
		if s.Off < end {
			cut = append(cut, Span{s.Off, min(s.Len, end-s.Off)})
		}
	}
	return cut
}

// device opens the block device of a site once.
func (r *run) device(s *site, dev uint64) (*handle, error) {
	if h := r.devices[s.node]; h != nil {
		return h, nil
	}
	h, err := s.openRaw(dev, r.before)
	if err != nil {
		return nil, fmt.Errorf("open the block device: %w", explain(err))
	}
	r.devices[s.node] = h
	return h, nil
}
