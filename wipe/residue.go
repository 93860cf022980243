package wipe

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"salvor/wipe/internal/kernel"
)

const (
	markerSize   = 32
	markerOffset = 128 // in its sector: behind the clear header of a record
	markerSector = 512
	maxMarkers   = 1024 // of content; the journal keeps them all
	fileMarkers  = 64
)

// sample takes markers of old content. Ciphertext is as good as random, so 32
// bytes of it found anywhere are that content. What is too regular to be told
// from chance is left out.
func (r *run) sample(content []byte, key bool) {
	for at := 0; at+markerOffset+markerSize <= len(content); at += 4096 {
		m := content[at+markerOffset : at+markerOffset+markerSize]
		var seen [256]bool
		distinct := 0
		for _, b := range m {
			if !seen[b] {
				seen[b] = true
				distinct++
			}
		}
		if distinct < 12 {
			continue
		}
		text := hex.EncodeToString(m)
		for _, old := range r.job.Markers {
			if old.Bytes == text {
				text = ""
				break
			}
		}
		if text != "" {
			r.job.Markers = append(r.job.Markers, Marker{Key: key, Bytes: text})
		}
	}
}

// sampleContent takes markers of every file's content while it is still there.
func (r *run) sampleContent() error {
	if !r.o.Residue || r.job.MediaBegun || r.dir == nil {
		return nil
	}
	each := min(fileMarkers, max(1, maxMarkers/max(1, len(r.job.Files))))
	block := make([]byte, 4096)
	for _, f := range r.job.Files {
		if len(r.job.Markers) >= 2*maxMarkers {
			break
		}
		file, id, err := r.dir.open(f.Name, unix.O_RDONLY)
		if errors.Is(err, unix.ENOENT) || err == nil && !f.is(id) {
			if err == nil {
				file.Close()
			}
			continue
		}
		if err != nil {
			return &FileError{f.Name, explain(err)}
		}
		step := max(1, f.Size/4096/int64(each)) * 4096
		for off := int64(0); off < f.Size; off += step {
			n, err := file.ReadAt(block, off)
			if err != nil && !errors.Is(err, io.EOF) {
				continue // what cannot be read now cannot be looked for later
			}
			r.sample(block[:n], false)
		}
		file.Close()
	}
	return nil
}

// findResidue reads the block devices from end to end and looks for the markers.
func (r *run) findResidue(ctx context.Context) error {
	if !r.o.Residue {
		return nil
	}
	facts := ResidueFacts{Asked: true, Done: len(r.job.Markers) > 0, Markers: len(r.job.Markers)}
	found := make(map[string]bool)
	nodes := make(map[string]bool)
	for _, s := range []*site{&r.site, &r.keySite} {
		switch {
		case s.FS == "": // no key file was there to begin with
		case s.node == "":
			facts.Done = false
		case !nodes[s.node]:
			nodes[s.node] = true
			if err := r.scan(ctx, s, found, &facts); err != nil {
				return err
			}
		}
	}
	for _, m := range r.job.Markers {
		switch {
		case !found[m.Bytes]:
		case m.Key:
			facts.Keys++
		default:
			facts.Found++
		}
	}
	r.job.Residue = facts
	return nil
}

func (r *run) scan(ctx context.Context, s *site, found map[string]bool, facts *ResidueFacts) error {
	// Sectors are looked up by the first 8 bytes of a marker; few ever match.
	wanted := make(map[[8]byte][]string)
	for _, m := range r.job.Markers {
		b, err := hex.DecodeString(m.Bytes)
		if err != nil || len(b) != markerSize {
			return fmt.Errorf("a marker is damaged: %w", ErrJob)
		}
		wanted[[8]byte(b)] = append(wanted[[8]byte(b)], m.Bytes)
	}
	h, err := s.openRaw(0, r.before)
	if err != nil {
		return fmt.Errorf("look for residue: %w", explain(err))
	}
	defer h.Close()
	size, err := h.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("look for residue: %w", err)
	}
	mem, err := kernel.NewMemory(1, chunkSize)
	if err != nil {
		return err
	}
	defer mem.Free()

	r.report("residue", 0, size)
	c := comparing{budget: &r.budget, giveUp: true, alive: s.alive}
	for p := range pieces([]Span{{0, size}}, 0) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := mem[0][:p.Len]
		err := c.fetch(ctx, h, b, p.Off, func(off, n int64) {
			clear(b[off-p.Off : off-p.Off+n])
			facts.Unread += n
			facts.Done = false
		})
		if err != nil {
			return explain(err)
		}
		for at := 0; at+markerSector <= len(b); at += markerSector {
			m := b[at+markerOffset : at+markerOffset+markerSize]
			for _, text := range wanted[[8]byte(m)] {
				if hex.EncodeToString(m) == text {
					found[text] = true
				}
			}
		}
		facts.Bytes += p.Len
		r.tell("residue", p.Len)
	}
	return nil
}
