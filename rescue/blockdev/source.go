package blockdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue"
)

// Options adjusts [Open]. Its zero value is usable.
type Options struct {
	// Sector is the sector size to assume for a regular file, which has none: a power
	// of two from 512 (the default) to 4096.
	Sector int

	// Restore names a file, to be made in a directory that is there, in which the
	// kernel's settings of a device are recorded before they are changed; it is
	// removed when they are put back. Should it be left from a run that was killed,
	// Open puts back what it says first, as [PutBack] does. Two sources must not share
	// it. Beside it lies a record of how long the disk itself tried to read a sector,
	// where it is told to answer sooner. [PutBackAll] knows both. Empty means that no setting but the read-only flag is changed, which after a
	// crash stays set.
	Restore string

	// After is time.After or its like. It is needed to wait: for a disk to spin up, to
	// come back ([Source.Reattach]), to tell its health. Nil is never to wait.
	After func(time.Duration) <-chan time.Time
	// Wait is how long [Source.Reattach] waits for the disk; default 2 min.
	Wait time.Duration
}

// Source is an open block device or regular file. It is a [rescue.Source].
//
// A SCSI, SATA, USB or NVMe disk is read by commands of its own, which end at their
// deadline and fail once, where the disk takes them; the failing sector then comes
// from the disk's sense data. Else it is read with pread, which nothing can
// interrupt: a read that hangs ends when the kernel gives it up.
type Source struct {
	id   Identity // as it was opened; its size and sectors never change
	open func() ([]candidate, error)
	o    Options

	attaching sync.Mutex // held by Reattach and Close

	mu      sync.Mutex
	at      *attachment // nil while the disk is away
	seq     int64       // of the last one
	closed  bool
	samples samples
	zeros   zeros
	deaf    bool // it did not tell its health in time

	landmarks landmarks
}

// Open opens a block device or regular file for imaging.
//
// A block device must be unused: not mounted, no swap, no holders, nor any partition
// of it, nor the disk it is a partition of ([InUseError]). It is held exclusively,
// its read-only flag is set until Close ([ErrNotReadOnly] when that needs root), and
// it is read past the page cache. With [Options.Restore] the kernel's timeouts,
// retries and read-ahead for it are lowered until Close. What a process that is
// killed leaves changed is put back by [PutBack].
//
// A regular file must not be the backing of a loop device that is in use. It is read
// through the page cache, in sectors of [Options.Sector].
//
// Other refusals: [ErrNotDisk], [ErrEmpty], [ErrTooSmall], [ErrNoMedium], [ErrPermission].
func Open(path string, o Options) (*Source, Identity, error) { return this().open(path, o) }

func (h host) open(path string, o Options) (*Source, Identity, error) {
	if o.Restore != "" {
		if err := h.putBack(o.Restore, o.After); err != nil {
			return nil, Identity{}, err
		}
	}
	n, file, err := h.find(path)
	if err != nil {
		return nil, Identity{}, err
	}
	s := &Source{o: o}
	if file != nil {
		s.at, err = h.openFile(path, file, o)
	} else {
		s.at, err = h.attach(path, n, o)
		s.open = func() ([]candidate, error) { return h.candidates(s.id, n, s.lastSeq(), o) }
	}
	if err != nil {
		return nil, Identity{}, err
	}
	s.id, s.seq = s.at.id, s.at.seq
	return s, s.id, nil
}

func (h host) openFile(path string, found os.FileInfo, o Options) (*attachment, error) {
	sector := o.Sector
	if sector == 0 {
		sector = 512
	}
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 {
		return nil, fmt.Errorf("%d bytes: %w", sector, ErrSectorSize)
	}
	switch size := found.Size(); {
	case size == 0:
		return nil, fmt.Errorf("%s: %w", path, ErrEmpty)
	case size < int64(sector):
		return nil, fmt.Errorf("%s: %w", path, ErrTooSmall)
	}
	if use, err := h.loopUse(path, found); err != nil {
		return nil, err
	} else if use != nil {
		return nil, use
	}
	// O_NONBLOCK: should it have become a FIFO, do not wait for a writer. It is taken back
	// before the file becomes Go's, whose Close would wait for a read that hangs.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, refusal(path, &os.PathError{Op: "open", Path: path, Err: err})
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, errors.Join(refusal(path, err), unix.Close(fd))
	}
	f := os.NewFile(uintptr(fd), path)
	st, err := f.Stat()
	if err == nil && !os.SameFile(found, st) {
		err = fmt.Errorf("%s: another file than a moment ago", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	d := &direct{f: f, file: true, bytes: st.Size(), sector: sector}
	d.advise(0, 0, unix.FADV_SEQUENTIAL)
	return &attachment{
		id:   Identity{Path: path, Name: filepath.Base(path), Kind: File, Bytes: st.Size(), Sector: sector, Physical: sector},
		f:    f,
		read: d.read,
		size: func() (int64, error) {
			st, err := f.Stat()
			if err != nil {
				return 0, err
			}
			return st.Size(), nil
		},
		state: func() string { return "" },
		close: f.Close,
	}, nil
}

// loopUse says whether a file is behind a loop device that is in use.
func (h host) loopUse(path string, file os.FileInfo) (*InUseError, error) {
	for _, n := range h.Disks() {
		name := n.Backing()
		if name == "" {
			continue
		}
		back, err := os.Stat(name)
		if err != nil || !os.SameFile(back, file) {
			continue
		}
		if use, err := h.use(path, n); err != nil {
			return nil, err
		} else if use != nil {
			if use.Node == path {
				use.Node = h.Path(n.Name)
			}
			return use, nil
		}
	}
	return nil, nil
}

// Info implements [rescue.Source].
func (s *Source) Info() rescue.Info { return s.id.Info() }

// Identity is the source as it is attached now: after [Source.Reattach] it may have
// another path and name.
func (s *Source) Identity() Identity {
	if a := s.attached(); a != nil {
		return a.id
	}
	return s.id
}

// Close puts what was changed of the device back as it was and closes it. A read
// that hangs keeps the descriptor until it ends; Close does not wait for it. It waits
// for a Reattach to end.
func (s *Source) Close() error {
	s.attaching.Lock()
	defer s.attaching.Unlock()
	return s.leave(true)
}

// leave detaches from the device, for good or until it is back.
func (s *Source) leave(forGood bool) error {
	s.mu.Lock()
	a := s.at
	s.at, s.closed = nil, s.closed || forGood
	s.mu.Unlock()
	if a == nil {
		return nil
	}
	return a.close()
}

func (s *Source) attached() *attachment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// Abandons reports whether reads end at their deadline: those by commands of our own
// do, though not before some 7 s; a pread ends when the kernel gives it up.
func (s *Source) Abandons() bool {
	a := s.attached()
	return a != nil && a.way != ""
}

func (s *Source) lastSeq() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq
}

// errDetached is a source that is away, or closed.
var errDetached = errors.New("not attached")

// ReadAt implements [rescue.Source].
func (s *Source) ReadAt(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result {
	size := int64(s.id.Sector)
	off := sector * size
	switch {
	case ctx.Err() != nil:
		return failed(0, rescue.Timeout, ctx.Err())
	case sector < 0 || len(p) == 0 || int64(len(p))%size != 0 || off > s.id.Bytes || int64(len(p)) > (s.id.Bytes+size-1)/size*size-off:
		return failed(0, rescue.HostError, fmt.Errorf("read of %d bytes from sector %d: %w", len(p), sector, unix.EINVAL))
	}
	a := s.attached()
	if a == nil {
		return failed(0, rescue.Gone, errDetached)
	}
	res := a.read(ctx, p, sector, deadline)
	if s.open != nil {
		res = s.vouch(ctx, a, sector, res, p)
		if res.Good > 0 {
			s.sample(sector, res.Good, p[:res.Good*size])
			s.mark(sector, p[:res.Good*size])
		}
	}
	if res.Class != rescue.OK {
		res.Class, res.Err = a.diagnose(res.Class, res.Err, s.id.Bytes)
	}
	return res
}

// diagnose says what a failed read means. Linux reads an unplugged disk as 0 bytes
// of a device of size 0, at most once after ENODEV: so the size is asked before the
// errno is believed, and an end before the end is never the end.
func (a *attachment) diagnose(class rescue.Class, err error, bytes int64) (rescue.Class, error) {
	switch now, sizeErr := a.size(); {
	case sizeErr != nil:
		return rescue.Gone, fmt.Errorf("%w; ask for its size: %w", err, sizeErr)
	case now == 0:
		return rescue.Gone, fmt.Errorf("%w; its size is now 0", err)
	case now != bytes:
		return rescue.SizeChanged, fmt.Errorf("%w; its size was %d bytes and is %d", err, bytes, now)
	}
	switch state := a.state(); state {
	case stateOffline, "transport-offline", "cancel", "deleted", "deleting", "deleting (no IO)", "dead":
		return rescue.Gone, fmt.Errorf("%w; it is %s", err, state)
	}
	return class, err
}

// stateOffline is a SCSI device that the kernel has given up after it did not answer:
// it asks it nothing more, until somebody says that it is running.
const stateOffline = "offline"
