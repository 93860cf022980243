package wipe

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// extent is a run of a file's bytes that lie together on the device.
type extent struct {
	logical  int64 // offset in the file, bytes
	physical int64 // offset on the device of the file system, bytes
	length   int64 // bytes
	flags    uint32
}

// From linux/fiemap.h.
const (
	fsIocFiemap    = 0xC020660B
	fiemapFlagSync = 1

	extentLast       = 0x0001
	extentUnknown    = 0x0002
	extentDelalloc   = 0x0004
	extentEncoded    = 0x0008
	extentEncrypted  = 0x0080
	extentNotAligned = 0x0100
	extentInline     = 0x0200
	extentTail       = 0x0400
	extentUnwritten  = 0x0800
	extentShared     = 0x2000

	// Flags under which an extent's physical address is no address.
	extentNowhere = extentUnknown | extentDelalloc | extentEncoded | extentEncrypted | extentNotAligned | extentInline | extentTail
)

// errNoMap: the file system does not tell where a file's bytes lie.
var errNoMap = errors.New("the file system does not map files")

type fiemapHeader struct {
	start, length   uint64
	flags, mapped   uint32
	count, reserved uint32
}

type fiemapExtent struct {
	logical, physical, length uint64
	reserved64                [2]uint64
	flags                     uint32
	reserved                  [3]uint32
}

const fiemapBatch = 512

type fiemapRequest struct {
	header  fiemapHeader
	extents [fiemapBatch]fiemapExtent
}

// fiemap lists the extents of a file, those behind its end included. The
// descriptor should be read-only: on some file systems opening for writing alone
// already moves a file, and that must be seen.
func fiemap(f *os.File) ([]extent, error) {
	var all []extent
	req := new(fiemapRequest)
	for start := uint64(0); ; {
		req.header = fiemapHeader{start: start, length: ^uint64(0) - start, flags: fiemapFlagSync, count: fiemapBatch}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fsIocFiemap, uintptr(unsafe.Pointer(req)))
		runtime.KeepAlive(f)
		switch errno {
		case 0:
		case unix.ENOTSUP, unix.ENOTTY, unix.EINVAL, unix.ENOSYS, unix.EBADR:
			return nil, fmt.Errorf("%w: %w", errNoMap, errno)
		default:
			return nil, fmt.Errorf("map the blocks of %s: %w", f.Name(), errno)
		}
		if req.header.mapped == 0 {
			return all, nil
		}
		for _, e := range req.extents[:min(req.header.mapped, fiemapBatch)] {
			if e.length == 0 || e.logical < start && len(all) > 0 || e.logical > 1<<62 || e.physical > 1<<62 || e.length > 1<<62 {
				return nil, fmt.Errorf("map the blocks of %s: the file system's answer makes no sense", f.Name())
			}
			all = append(all, extent{int64(e.logical), int64(e.physical), int64(e.length), e.flags})
			start = e.logical + e.length
			if e.flags&extentLast != 0 {
				return all, nil
			}
		}
	}
}

// layout is where the bytes of one file lie, and which of them are to be
// overwritten.
type layout struct {
	Map
	extents []extent // neighbours joined
	spans   []Span   // what to overwrite, joined
	alloc   int64    // their bytes together
	end     int64    // just behind the last of them
}

// layOut makes a layout of what FIEMAP told. block is the unit in which the file
// system hands out space: the slack of the last one is overwritten as well.
//
// Space that was set aside behind the end of the file and never written holds
// nothing of the file, and some file systems take it back at any moment: it is
// left out.
func layOut(all []extent, size, block int64) layout {
	var l layout
	l.Known = true
	l.end = roundUp(size, block)
	at := int64(0)
	for _, e := range all {
		if e.logical >= roundUp(size, block) && e.flags&extentUnwritten != 0 {
			continue
		}
		l.Shared = l.Shared || e.flags&extentShared != 0
		l.Encoded = l.Encoded || e.flags&(extentEncoded|extentEncrypted) != 0
		l.Inline = l.Inline || e.flags&(extentInline|extentTail) != 0
		if e.flags&extentNowhere != 0 || e.physical == 0 {
			l.Known = false
		}
		// A run of written extents may reach into the reserved space behind the end.
		if e.logical < l.end && e.logical+e.length > l.end && e.flags&extentUnwritten != 0 {
			e.length = l.end - e.logical
		}
		if e.logical > at && at < roundUp(size, block) {
			l.Holes = true
		}
		at = max(at, e.logical+e.length)
		l.end = max(l.end, at)
		if n := len(l.extents); n > 0 && l.extents[n-1].logical+l.extents[n-1].length == e.logical &&
			l.extents[n-1].physical+l.extents[n-1].length == e.physical {
			l.extents[n-1].length += e.length
		} else {
			l.extents = append(l.extents, e)
		}
		if n := len(l.spans); n > 0 && l.spans[n-1].Off+l.spans[n-1].Len == e.logical {
			l.spans[n-1].Len += e.length
		} else {
			l.spans = append(l.spans, Span{e.logical, e.length})
		}
	}
	if at < roundUp(size, block) {
		l.Holes = true
	}
	if l.Inline || !l.Known {
		// No blocks of its own to name: everything is overwritten through the file.
		l.whole()
	}
	for _, s := range l.spans {
		l.alloc += s.Len
	}
	l.Extents = len(l.extents)
	l.Digest = digest(l.extents)
	return l
}

// nowhere is the layout of a file whose places the file system does not tell. Its
// slack is taken to reach to the end of a page; what a server calls its block is
// often a size it likes for transfers.
func nowhere(size int64) layout {
	l := layout{end: roundUp(size, 4096)}
	l.whole()
	l.alloc = l.end
	return l
}

// told is the layout of a file on a file system that answers FIEMAP and has no
// blocks of its own to name: SMB tells the server's allocated ranges, in bytes and
// with the offset in the file for a place. What it says of holes is worth knowing;
// its places are not.
func told(all []extent, size int64) layout {
	said := layOut(all, size, 1)
	l := nowhere(size)
	l.Holes, l.Shared, l.Encoded, l.Inline = said.Holes, said.Shared, said.Encoded, said.Inline
	return l
}

func (l *layout) whole() {
	l.Known = false
	l.spans = nil
	if l.end > 0 {
		l.spans = []Span{{0, l.end}}
	}
}

// digest sums up places only: the flags of an extent change when it is written.
func digest(extents []extent) Digest {
	h := sha256.New()
	var b [24]byte
	for _, e := range extents {
		binary.BigEndian.PutUint64(b[0:], uint64(e.logical))
		binary.BigEndian.PutUint64(b[8:], uint64(e.physical))
		binary.BigEndian.PutUint64(b[16:], uint64(e.length))
		h.Write(b[:])
	}
	return Digest(h.Sum(nil))
}

// upTo is the layout without what lies behind end. Overwriting makes a file as
// long as its allocation, and only what was overwritten is compared.
func (l layout) upTo(end int64) layout {
	var cut []extent
	for _, e := range l.extents {
		if e.logical < end {
			e.length = min(e.length, end-e.logical)
			cut = append(cut, e)
		}
	}
	l.extents = cut
	l.Extents = len(cut)
	l.Digest = digest(cut)
	return l
}

// roundUp rounds n up to a multiple of unit.
func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
