package layout

import (
	"slices"
	"unicode/utf16"
)

// stream is a file's content as its metadata places it: what a parser reads of the
// file system's own files.
type stream struct {
	r      *reader
	pieces []Piece // by Off
	size   int64   // of the content
}

// fill reads len(p) bytes from off of the content as far as there are any, and
// returns the holes in bytes of the content. What no piece places is a hole.
func (s *stream) fill(p []byte, off int64) []Extent {
	clear(p)
	var holes []Extent
	end := off + int64(len(p))
	at := off
	i, _ := slices.BinarySearchFunc(s.pieces, off, func(x Piece, at int64) int {
		if x.Off+x.Len <= at {
			return -1
		}
		return 1
	})
	for ; at < end && i < len(s.pieces); i++ {
		x := s.pieces[i]
		if x.Off >= end {
			break
		}
		if x.Off > at {
			holes = appendExtent(holes, Extent{at, x.Off - at})
			at = x.Off
		}
		n := min(end, x.Off+x.Len) - at
		if n <= 0 {
			continue
		}
		for _, h := range s.r.fill(p[at-off:at-off+n], x.First+at-x.Off, T1) {
			holes = appendExtent(holes, Extent{h.First - x.First + x.Off, h.Len})
		}
		at += n
	}
	if at < end {
		holes = appendExtent(holes, Extent{at, end - at})
	}
	return holes
}

// near reads a short part of the content through the cache.
func (s *stream) near(p []byte, off int64) bool {
	if off < 0 {
		return false
	}
	i, _ := slices.BinarySearchFunc(s.pieces, off, func(x Piece, at int64) int {
		if x.Off+x.Len <= at {
			return -1
		}
		return 1
	})
	for ; len(p) > 0 && i < len(s.pieces); i++ {
		x := s.pieces[i]
		if x.Off > off {
			return false
		}
		n := min(int64(len(p)), x.Off+x.Len-off)
		if !s.r.near(p[:n], x.First+off-x.Off, T1) {
			return false
		}
		p, off = p[n:], off+n
	}
	return len(p) == 0
}

// place is the byte of the volume where a byte of the content lies.
func (s *stream) place(off int64) (int64, bool) {
	for _, x := range s.pieces {
		if off >= x.Off && off < x.Off+x.Len {
			return x.First + off - x.Off, true
		}
	}
	return 0, false
}

// pieceList builds a file's pieces. It refuses more content than the volume has
// room for, which is how a circle in the metadata shows.
type pieceList struct {
	pieces []Piece
	room   int64 // bytes that may still be added
}

// add appends a piece, joined to the last where it goes on; false when there is no room.
func (l *pieceList) add(p Piece) bool {
	if p.Len <= 0 {
		return true
	}
	if p.Len > l.room || len(l.pieces) >= maxPieces {
		return false
	}
	l.room -= p.Len
	if n := len(l.pieces); n > 0 {
		if q := &l.pieces[n-1]; q.Off+q.Len == p.Off && q.First+q.Len == p.First {
			q.Len += p.Len
			return true
		}
	}
	l.pieces = append(l.pieces, p)
	return true
}

// placed is how many of the first n bytes of the content lie in pieces.
func placed(pieces []Piece, n int64) int64 {
	var sum int64
	for _, p := range pieces {
		sum += max(min(p.Off+p.Len, n)-p.Off, 0)
	}
	return sum
}

// bitsOf reads a bitmap of n bits, one for each grain bytes of the volume from byte
// from on, and adds what is in use. What is not rescued is in use. msb says that a
// byte's highest bit comes first.
func bitsOf(s *stream, n, grain, from int64, msb bool, add func(Extent)) {
	const chunk = 256 << 10
	buf := make([]byte, min(chunk, (n+7)/8))
	start := int64(-1) // first bit of the run in use that is open
	for at := int64(0); at < n && !s.r.spent(); at += chunk * 8 {
		p := buf[:min(chunk, (n-at+7)/8)]
		for _, h := range s.fill(p, at/8) {
			for i := h.First - at/8; i < h.End()-at/8; i++ {
				p[i] = 0xFF
			}
		}
		for i, b := range p {
			bit := at + int64(i)*8
			if b == 0 && start < 0 || b == 0xFF && start >= 0 {
				continue
			}
			for k := range int64(8) {
				used := b>>k&1 != 0
				if msb {
					used = b>>(7-k)&1 != 0
				}
				switch {
				case used && start < 0:
					start = bit + k
				case !used && start >= 0:
					add(Extent{from + start*grain, (min(bit+k, n) - start) * grain})
					start = -1
				}
			}
		}
	}
	if s.r.spent() {
		start = 0 // the rest is not known
	}
	if start >= 0 && start < n {
		add(Extent{from + start*grain, (n - start) * grain})
	}
}

// utf16le spells a name of 16-bit units, low byte first.
func utf16le(p []byte) string {
	u := make([]uint16, len(p)/2)
	for i := range u {
		u[i] = uint16(p[2*i]) | uint16(p[2*i+1])<<8
	}
	return string(utf16.Decode(u))
}

// utf16be spells a name of 16-bit units, high byte first.
func utf16be(p []byte) string {
	u := make([]uint16, len(p)/2)
	for i := range u {
		u[i] = uint16(p[2*i+1]) | uint16(p[2*i])<<8
	}
	return string(utf16.Decode(u))
}

// join puts a name behind the path of its folder.
func join(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// Bounds on the tree of names.
const (
	maxFolders = 2 << 20   // folders remembered; what lies in others has the parent "?"
	maxNames   = 256 << 20 // bytes of their names
	maxDepth   = 255       // folders in each other
	maxPieces  = 4 << 20   // of one file
)

// backlog holds folders that are still to be listed, with their paths.
type backlog[T any] struct {
	list  []waiting[T]
	bytes int // of paths
}

type waiting[T any] struct {
	path   string
	folder T
}

// push remembers a folder; false when there are too many.
func (b *backlog[T]) push(path string, folder T) bool {
	if len(b.list) >= maxFolders || b.bytes+len(path) > maxNames {
		return false
	}
	b.bytes += len(path)
	b.list = append(b.list, waiting[T]{path, folder})
	return true
}

// pop gives the folder that was pushed last.
func (b *backlog[T]) pop() (string, T, bool) {
	n := len(b.list) - 1
	if n < 0 {
		var none T
		return "", none, false
	}
	w := b.list[n]
	b.list = b.list[:n]
	b.bytes -= len(w.path)
	return w.path, w.folder, true
}

// folders remembers the names of folders by number, for file systems whose files
// name their parent.
type folders struct {
	byNumber map[uint64]folder
	bytes    int
}

type folder struct {
	parent uint64
	name   string
}

func (f *folders) put(number uint64, d folder) {
	if f.byNumber == nil {
		f.byNumber = map[uint64]folder{}
	}
	if len(f.byNumber) >= maxFolders || f.bytes+len(d.name) > maxNames {
		return
	}
	f.bytes += len(d.name)
	f.byNumber[number] = d
}

// path gives the path of a name in the folder with that number; root is the number
// of the root.
func (f *folders) path(parent uint64, name string, root uint64) string {
	names := []string{name}
	for at := parent; at != root; {
		d, ok := f.byNumber[at]
		if !ok || len(names) > maxDepth {
			names = append(names, "?")
			break
		}
		names = append(names, d.name)
		at = d.parent
	}
	slices.Reverse(names)
	n := len(names) - 1
	for _, s := range names {
		n += len(s)
	}
	b := make([]byte, 0, n)
	for i, s := range names {
		if i > 0 {
			b = append(b, '/')
		}
		b = append(b, s...)
	}
	return string(b)
}
