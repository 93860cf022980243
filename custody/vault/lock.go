package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// LockStale is how old another station's heartbeat has to be before its lock counts as left behind.
const LockStale = 2 * time.Minute

// A LockHolder says who is writing to a case.
type LockHolder struct {
	Station string    `json:"station"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Beat    time.Time `json:"beat"`
}

// same tells whether two are one run of one station.
func (h LockHolder) same(o LockHolder) bool {
	return h.Station == o.Station && h.PID == o.PID && h.Since.Equal(o.Since)
}

// A Lock is the advisory lock on a case. It keeps two stations from imaging into the same case by mistake; what keeps
// the container whole is that every run makes segments of its own with O_EXCL.
type Lock struct {
	st   Store
	name string
	now  func() time.Time
	me   LockHolder
}

// A lock file always has the same size, so that a heartbeat is one write in place and a reader never meets half of two.
const lockSize = 512

func (h LockHolder) marshal() ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if len(b) >= lockSize {
		return nil, fmt.Errorf("%w: lock of %d bytes", ErrRange, len(b))
	}
	b = append(b, bytes.Repeat([]byte{' '}, lockSize-1-len(b))...)
	return append(b, '\n'), nil
}

func parseLock(b []byte) (LockHolder, error) {
	var h LockHolder
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return LockHolder{}, fmt.Errorf("%w: lock: %w", ErrForeign, err)
	}
	return h, nil
}

// gone tells whether a process of this machine has ended, or is the caller itself: after a crash the same command is
// repeated at once, and must not wait for its own dead heart to grow stale.
func gone(pid, me int) bool {
	return pid == me || pid <= 0 || errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

// AcquireLock takes the lock of a case. It returns an [ErrLocked] that names the holder when another run has beaten
// less than [LockStale] ago; an older lock, or one whose process on this station has ended, is taken over.
func AcquireLock(st Store, caseNo, station string, pid int, now func() time.Time) (*Lock, error) {
	ref := ImageRef{Case: caseNo, Name: "image-01"}
	if err := ref.Valid(); err != nil {
		return nil, err
	}
	at := now().UTC()
	l := &Lock{st: st, name: path.Join(ref.CaseDir(), lockName), now: now, me: LockHolder{station, pid, at, at}}
	b, err := l.me.marshal()
	if err != nil {
		return nil, err
	}
	f, err := st.Create(l.name)
	switch {
	case err == nil:
		if err := l.write(f, b); err != nil {
			return nil, fmt.Errorf("lock of %s: %w", caseNo, err)
		}
		return l, nil
	case !errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("lock of %s: %w", caseNo, err)
	}
	holder, err := l.holder()
	switch {
	case errors.Is(err, ErrForeign):
		// A crash cut it short while it was made: nobody is alive behind it, or will find out at the next beat.
	case err != nil:
		return nil, fmt.Errorf("lock of %s: %w", caseNo, err)
	case at.Sub(holder.Beat).Abs() < LockStale && (holder.Station != station || !gone(holder.PID, pid)):
		return nil, fmt.Errorf("%w: station %s, process %d, since %s", ErrLocked, holder.Station, holder.PID, holder.Since.UTC().Format(time.RFC3339))
	}
	if err := l.overwrite(b); err != nil {
		return nil, fmt.Errorf("lock of %s: %w", caseNo, err)
	}
	return l, nil
}

func (l *Lock) write(f File, b []byte) error {
	_, err := f.WriteAt(b, 0)
	if err == nil {
		_, err = syncFile(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the lock: %w", err)
	}
	return nil
}

func (l *Lock) overwrite(b []byte) error {
	f, err := l.st.Update(l.name)
	if err != nil {
		return err
	}
	return l.write(f, b)
}

func (l *Lock) holder() (LockHolder, error) {
	f, err := l.st.Open(l.name)
	if err != nil {
		return LockHolder{}, err
	}
	defer leave(f)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, lockSize))
	if err != nil {
		return LockHolder{}, err
	}
	return parseLock(b)
}

// mine wants the lock to be still the one that was taken.
func (l *Lock) mine() error {
	holder, err := l.holder()
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if !holder.same(l.me) {
		return fmt.Errorf("%w: station %s, process %d has taken over", ErrLocked, holder.Station, holder.PID)
	}
	return nil
}

// Beat renews the lock; call it every 30 s or so. [ErrLocked] says that another run has taken it over.
func (l *Lock) Beat() error {
	if err := l.mine(); err != nil {
		return err
	}
	l.me.Beat = l.now().UTC()
	b, err := l.me.marshal()
	if err != nil {
		return err
	}
	return l.overwrite(b)
}

// Release gives the lock back, unless another run has taken it over.
func (l *Lock) Release() error {
	if err := l.mine(); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrLocked) {
			return nil
		}
		return err
	}
	if err := l.st.Remove(l.name); err != nil {
		return fmt.Errorf("releasing the lock: %w", err)
	}
	return nil
}

// ReadLock tells who holds the lock of a case, and whether anybody does: a lock that has not beaten for [LockStale]
// is held by nobody.
func ReadLock(st Store, caseNo string, now time.Time) (LockHolder, bool, error) {
	ref := ImageRef{Case: caseNo, Name: "image-01"}
	if err := ref.Valid(); err != nil {
		return LockHolder{}, false, err
	}
	h, err := (&Lock{st: st, name: path.Join(ref.CaseDir(), lockName)}).holder()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrForeign):
		return LockHolder{}, false, nil
	case err != nil:
		return LockHolder{}, false, fmt.Errorf("lock of %s: %w", caseNo, err)
	}
	return h, now.Sub(h.Beat).Abs() < LockStale, nil
}
