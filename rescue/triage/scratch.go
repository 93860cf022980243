package triage

import (
	"crypto/aes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"sync"

	"golang.org/x/crypto/xts"
	"golang.org/x/sys/unix"

	"salvor/rescue"
	"salvor/rescue/layout"
)

// scratch keeps sectors, encrypted, in a file without a name. It holds them in slots of
// 64 sectors in the order in which they came, so that it needs a file no longer than what
// is in it, whatever the size of the disk. It is a [layout.View].
type scratch struct {
	f       file
	xts     *xts.Cipher
	size    int64 // of the disk, in bytes
	sector  int64
	cap     int64
	reserve int64

	writing sync.Mutex // one writer at a time
	mu      sync.RWMutex
	slots   map[int64]*slot // by sector / slotSectors
	bytes   int64           // kept
	checked int64           // of bytes, when the room on the disk was last looked at
	closed  bool
}

// slot is where the sectors from a multiple of slotSectors on are kept.
type slot struct {
	at   int64  // in the file
	have uint64 // a bit for each sector that is there
}

const (
	slotSectors = 64
	// unit is what is encrypted at a time, under its place on the disk.
	unit = 512
	// roomEvery is after how many bytes it is looked whether the file system has room left.
	roomEvery = 8 << 20
)

// Why a scratch takes no more.
var (
	errCap  = errors.New("the metadata is larger than may be kept")
	errRoom = errors.New("the station's disk is nearly full")
)

// file is what a scratch needs of a file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Free is how many bytes its file system has left.
	Free() (int64, error)
}

// nameless is a file that no folder lists.
type nameless struct{ *os.File }

// newFile makes a file in dir and takes its name away before anything is in it.
func newFile(dir string) (file, error) {
	f, err := os.CreateTemp(dir, ".triage-*")
	if err != nil {
		return nil, fmt.Errorf("make the scratch: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("make the scratch: %w", err)
	}
	return nameless{f}, nil
}

// Free implements [file].
func (n nameless) Free() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(n.Fd()), &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: n.Name(), Err: err}
	}
	return int64(s.Bavail) * s.Bsize, nil
}

func newScratch(f file, info rescue.Info, most, reserve int64) (*scratch, error) {
	if info.Sector%unit != 0 {
		return nil, fmt.Errorf("sectors of %d bytes: %w", info.Sector, rescue.ErrOptions)
	}
	var key [64]byte
	_, _ = rand.Read(key[:]) // never fails
	x, err := xts.NewCipher(aes.NewCipher, key[:])
	clear(key[:])
	if err != nil {
		return nil, fmt.Errorf("make the scratch: %w", err)
	}
	s := &scratch{
		f: f, xts: x, size: info.Bytes, sector: int64(info.Sector), cap: most, reserve: reserve,
		slots: map[int64]*slot{}, checked: -roomEvery,
	}
	return s, s.room()
}

// room reports, now and then, whether the file system has room left.
func (s *scratch) room() error {
	if s.bytes-s.checked < roomEvery {
		return nil
	}
	s.checked = s.bytes
	free, err := s.f.Free()
	if err != nil {
		return fmt.Errorf("look for room for the scratch: %w", err)
	}
	if free < s.reserve {
		return errRoom
	}
	return nil
}

// write keeps whole sectors from first on. After an error the scratch is of no more use.
func (s *scratch) write(first int64, p []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	buf := make([]byte, min(int64(len(p)), slotSectors*s.sector))
	for len(p) > 0 {
		n := min(slotSectors-first%slotSectors, int64(len(p))/s.sector)
		part := buf[:n*s.sector]
		for i := int64(0); i < n*s.sector; i += unit {
			s.xts.Encrypt(part[i:i+unit], p[i:i+unit], uint64(first*s.sector+i)/unit)
		}
		at, fresh, err := s.place(first, n)
		if err != nil {
			return err
		}
		if _, err := s.f.WriteAt(part, at); err != nil {
			return fmt.Errorf("write to the scratch: %w", err)
		}
		s.mu.Lock()
		s.slots[first/slotSectors].have |= mask(first, n)
		s.bytes += fresh
		s.mu.Unlock()
		if err := s.room(); err != nil {
			return err
		}
		first, p = first+n, p[n*s.sector:]
	}
	return nil
}

// place says where n sectors of one slot lie in the file, and how many bytes of them
// were not there.
func (s *scratch) place(first, n int64) (at, fresh int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.slots[first/slotSectors]
	if x == nil {
		x = &slot{at: int64(len(s.slots)) * slotSectors * s.sector}
		s.slots[first/slotSectors] = x
	}
	fresh = int64(bits.OnesCount64(mask(first, n)&^x.have)) * s.sector
	if s.bytes+fresh > s.cap {
		return 0, 0, errCap
	}
	return x.at + first%slotSectors*s.sector, fresh, nil
}

// mask has a bit for each of n sectors of one slot.
func mask(first, n int64) uint64 { return (1<<n - 1) << (first % slotSectors) }

// run is how many of the n sectors from first on are there, or, if the first is not, how
// many are not.
func (s *scratch) run(first, n int64) (length int64, have bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for length < n {
		at := first + length
		var word uint64
		if x := s.slots[at/slotSectors]; x != nil {
			word = x.have
		}
		word >>= at % slotSectors
		if length == 0 {
			have = word&1 != 0
		}
		if have {
			word = ^word
		}
		same := min(int64(bits.TrailingZeros64(word)), slotSectors-at%slotSectors)
		length += same
		if same < slotSectors-at%slotSectors {
			break
		}
	}
	return min(length, n), have
}

// ReadAt implements [layout.View].
func (s *scratch) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= s.size {
		return 0, io.EOF
	}
	end := min(off+int64(len(p)), s.size)
	buf := make([]byte, min(slotSectors*s.sector, (end-off)/s.sector*s.sector+2*s.sector))
	for at := off; at < end; {
		first := at / s.sector
		most := min((end+s.sector-1)/s.sector-first, slotSectors-first%slotSectors)
		n, have := s.run(first, most)
		if !have {
			n, _ = s.run(first, (end+s.sector-1)/s.sector-first)
			return int(at - off), &layout.ErrNotRescued{First: at, Len: (first+n)*s.sector - at}
		}
		s.mu.RLock()
		from := s.slots[first/slotSectors].at + first%slotSectors*s.sector
		s.mu.RUnlock()
		part := buf[:min(n*s.sector, int64(len(buf))/s.sector*s.sector)]
		if _, err := s.f.ReadAt(part, from); err != nil {
			return int(at - off), fmt.Errorf("read from the scratch: %w", err)
		}
		for i := 0; i < len(part); i += unit {
			s.xts.Decrypt(part[i:i+unit], part[i:i+unit], uint64(first*s.sector+int64(i))/unit)
		}
		at += int64(copy(p[at-off:end-off], part[at-first*s.sector:]))
	}
	if end-off < int64(len(p)) {
		return int(end - off), io.EOF
	}
	return len(p), nil
}

// Size implements [layout.View].
func (s *scratch) Size() int64 { return s.size }

// close gives the room back. The key is gone with the last reference to it.
func (s *scratch) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.f.Close()
}
