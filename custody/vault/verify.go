package vault

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Verified says what a verification looked at and found whole.
type Verified struct {
	Sealed   bool
	Root     tlog.Hash
	Segments int
	Records  int64
	Bytes    int64 // of the container that were read and compared; 0 for VerifyQuick
}

// VerifyQuick checks that superblock, headers, footers, tree and seal agree and that the seal is signed by verifier. It
// returns [ErrUnsealed] for an image without a seal, after checking the rest; the image may still be resumed.
func (c *Container) VerifyQuick(ctx context.Context, verifier note.Verifier, progress func(done, total int64)) (Verified, error) {
	fresh, err := c.again(ctx, opening{progress: progress})
	if err != nil {
		return Verified{}, err
	}
	return fresh.verified(verifier, 0)
}

// VerifyMedia checks what VerifyQuick does, and reads every byte of every record past the cache and computes its leaf
// again.
func (c *Container) VerifyMedia(ctx context.Context, verifier note.Verifier, progress func(done, total int64)) (Verified, error) {
	how := opening{media: true}
	fresh, err := c.again(ctx, how)
	if err != nil {
		return Verified{}, err
	}
	read, err := fresh.reread(ctx, how, progress)
	if err != nil {
		return Verified{}, err
	}
	return fresh.verified(verifier, read)
}

// again opens the image anew, and wants it to be the one that was opened before or a longer one.
func (c *Container) again(ctx context.Context, how opening) (*Container, error) {
	if len(c.damages) > 0 {
		d := c.damages[0]
		return nil, c.corrupt(d.Segment, d.Record, d.What, nil)
	}
	fresh, err := openImage(ctx, c.st, c.ref, how)
	if err != nil {
		return nil, err
	}
	if fresh.sum != c.sum {
		return nil, c.corrupt(-1, -1, "superblock has changed", nil)
	}
	if err := fresh.Check(c.Position()); err != nil {
		return nil, err
	}
	return fresh, nil
}

func (c *Container) verified(verifier note.Verifier, read int64) (Verified, error) {
	v := Verified{
		Sealed: c.seal != nil, Root: c.tree.root(),
		Segments: len(c.segments), Records: c.tree.size, Bytes: read,
	}
	switch {
	case !c.both:
		return v, c.corrupt(-1, -1, "one copy of the superblock is damaged", nil)
	case c.torn != nil:
		return v, c.corrupt(-1, -1, "the seal is damaged", c.torn)
	case c.seal == nil:
		return v, fmt.Errorf("%s: %w", c.ref, ErrUnsealed)
	}
	if err := checkSignature(c.note, verifier); err != nil {
		return v, fmt.Errorf("%s: %w", c.ref, err)
	}
	return v, nil
}

// A recheck is one record on its way through reread.
type recheck struct {
	segment int
	header  recordHeader
	offset  int64
	raw     []byte // the whole record
	buf     []byte // where raw lies
}

// reread reads every record, computes its leaf, and compares tree and record headers with what the container was opened
// with. It returns the number of bytes read.
func (c *Container) reread(ctx context.Context, how opening, progress func(done, total int64)) (int64, error) {
	var total, done int64
	for _, s := range c.segments {
		total += s.end
	}
	workers := runtime.GOMAXPROCS(0)
	depth := 2 * workers
	free := make(chan []byte, depth+2)
	for range depth + 2 {
		free <- alignedBuffer(int(storedSize(int(c.sb.MaxRecord))))
	}
	var again tree
	index := sha256.New()
	var line []byte
	err := inOrder(ctx, workers, depth,
		func(ctx context.Context, put func(recheck) bool) error {
			for _, s := range c.segments {
				if err := c.rereadSegment(ctx, s, how, free, put); err != nil {
					return err
				}
			}
			return nil
		},
		func(r recheck) error {
			payload := r.raw[headerSize:]
			n := r.header.sealed()
			if recordLeaf(r.raw, payload[:n]) != r.header.leaf {
				return c.corrupt(r.segment, int(r.header.ordinal), "content differs from its leaf", nil)
			}
			if !allZero(payload[n:]) {
				return c.corrupt(r.segment, int(r.header.ordinal), "padding is not zero", nil)
			}
			return nil
		},
		func(r recheck) error {
			again.add(r.header.leaf)
			e := entryOf(&r.header, r.offset)
			line = e.append(line[:0])
			index.Write(line)
			done += int64(len(r.raw))
			if r.header.ordinal == 0 {
				done += firstRecordOffset
			}
			free <- r.buf
			if progress != nil {
				progress(done, total)
			}
			return nil
		})
	switch {
	case err != nil:
		return done, err
	case again.size != c.tree.size || again.root() != c.tree.root():
		return done, c.corrupt(-1, -1, "root over the content differs", nil)
	case string(index.Sum(nil)) != string(c.index.Sum(nil)):
		return done, c.corrupt(-1, -1, "record headers differ from the footers", nil)
	}
	return done, nil
}

// rereadSegment reads the records of one segment one after the other.
func (c *Container) rereadSegment(ctx context.Context, s segmentInfo, how opening, free chan []byte, put func(recheck) bool) error {
	f, err := c.open(s.number, how)
	if err != nil {
		return err
	}
	defer leave(f)
	// What was read behind a record's end is the beginning of the next ones. Small records
	// are taken from it one by one: to read and to move it for each would cost a hundred
	// times what checking them does.
	var ahead, kept []byte
	off := int64(firstRecordOffset)
	for i := range s.count {
		var buf []byte
		select {
		case buf = <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
		at := place{uint32(s.number), s.header.session, uint64(i), &c.sb}
		h, err := parseRecordHeader(ahead, at)
		size := int(h.stored())
		if err == nil && size <= len(ahead) {
			ahead = ahead[copy(buf, ahead[:size]):]
		} else {
			n := copy(buf, ahead)
			k, err := readFull(f, buf[n:min(int64(len(buf)), s.end-off)], off+int64(n))
			if err != nil {
				return c.corrupt(s.number, i, "cannot be read", err)
			}
			n += k
			if h, err = parseRecordHeader(buf[:n], at); err != nil {
				return c.corrupt(s.number, i, "record header", err)
			}
			if size = int(h.stored()); size > n {
				return c.corrupt(s.number, i, "cut short", nil)
			}
			kept = append(kept[:0], buf[size:n]...)
			ahead = kept
		}
		if !put(recheck{s.number, h, off, buf[:size], buf}) {
			return ctx.Err()
		}
		off += int64(size)
	}
	if off != s.end {
		return c.corrupt(s.number, -1, "records end elsewhere than the footer says", nil)
	}
	return nil
}
