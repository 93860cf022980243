package triage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"salvor/rescue"
)

// Tiers is what was found out of a disk: positions and tiers, and no names.
type Tiers struct {
	Sector  int   // bytes of a logical sector, the unit
	Sectors int64 // of the disk
	// Regions cover the disk without gap or overlap, in order; neighbours differ in tier.
	Regions []rescue.Region
	// Settled says that of what was wanted all is known but what is bad.
	Settled bool
}

// The file: a mark with the version; the sector, the sectors, whether settled and the
// number of regions as varints; for each region a varint of its sectors times eight plus
// its tier; and the CRC-32C of all that, low byte first.
const (
	tiersMark = "salvor tiers 1\n"
	// maxTiers is how many bytes such a file may have, and maxRegions how many regions.
	maxTiers   = 64 << 20
	maxRegions = 8 << 20
)

// ErrTiers is a file of tiers that is damaged, or none; or tiers that no file can hold.
var ErrTiers = errors.New("tiers of an earlier run")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Save writes the tiers, at most 64 MiB of them.
func (t *Tiers) Save(w io.Writer) error {
	if err := t.check(); err != nil {
		return err
	}
	sum := crc32.New(castagnoli)
	b := bufio.NewWriter(io.MultiWriter(w, sum))
	_, _ = b.WriteString(tiersMark) // a failure stays with the writer
	var p [binary.MaxVarintLen64]byte
	put := func(v uint64) { _, _ = b.Write(binary.AppendUvarint(p[:0], v)) }
	settled := uint64(0)
	if t.Settled {
		settled = 1
	}
	for _, v := range []uint64{uint64(t.Sector), uint64(t.Sectors), settled, uint64(len(t.Regions))} {
		put(v)
	}
	for _, r := range t.Regions {
		put(uint64(r.Sectors)<<3 | uint64(r.Tier))
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("save the tiers: %w", err)
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32())); err != nil {
		return fmt.Errorf("save the tiers: %w", err)
	}
	return nil
}

// Load reads what [Tiers.Save] wrote, to the end of r. It takes nothing else: the error
// is r's, or [ErrTiers].
func Load(r io.Reader) (*Tiers, error) {
	p, err := io.ReadAll(io.LimitReader(r, maxTiers+1))
	if err != nil {
		return nil, fmt.Errorf("load the tiers: %w", err)
	}
	if len(p) > maxTiers || len(p) < len(tiersMark)+4 || !bytes.HasPrefix(p, []byte(tiersMark)) {
		return nil, fmt.Errorf("%w: no such file", ErrTiers)
	}
	body, sum := p[:len(p)-4], binary.LittleEndian.Uint32(p[len(p)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("%w: damaged", ErrTiers)
	}
	body = body[len(tiersMark):]
	bad := false
	next := func(most uint64) uint64 {
		v, n := binary.Uvarint(body)
		if n <= 0 || v > most || n > 1 && body[n-1] == 0 { // one way to write a number
			bad = true
			return 0
		}
		body = body[n:]
		return v
	}
	t := &Tiers{Sector: int(next(rescue.MaxRead)), Sectors: int64(next(maxSectors))}
	t.Settled = next(1) == 1
	count := next(maxRegions)
	if bad || count > uint64(len(body)) {
		return nil, fmt.Errorf("%w: its beginning makes no sense", ErrTiers)
	}
	t.Regions = make([]rescue.Region, 0, count)
	at := int64(0)
	for range count {
		v := next(maxSectors<<3 | 7)
		n := int64(v >> 3)
		t.Regions = append(t.Regions, rescue.Region{First: at, Sectors: n, Tier: rescue.Tier(v & 7)})
		if at += n; bad || at > t.Sectors {
			return nil, fmt.Errorf("%w: a region makes no sense", ErrTiers)
		}
	}
	if len(body) > 0 {
		return nil, fmt.Errorf("%w: there is more behind its end", ErrTiers)
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

// maxSectors is more than any disk has.
const maxSectors = 1 << 56

// check reports whether the tiers keep their promises.
func (t *Tiers) check() error {
	if t.Sector < 1 || t.Sector > rescue.MaxRead || t.Sectors < 1 || t.Sectors > maxSectors || len(t.Regions) > maxRegions {
		return fmt.Errorf("%w: %d regions of %d sectors of %d bytes", ErrTiers, len(t.Regions), t.Sectors, t.Sector)
	}
	at := int64(0)
	for i, r := range t.Regions {
		if r.First != at || r.Sectors < 1 || r.Sectors > t.Sectors-at || r.Tier > rescue.TierFree || i > 0 && r.Tier == t.Regions[i-1].Tier {
			return fmt.Errorf("%w: region %d of tier %d at %d", ErrTiers, i, r.Tier, r.First)
		}
		at = r.End()
	}
	if at != t.Sectors {
		return fmt.Errorf("%w: they end at sector %d of %d", ErrTiers, at, t.Sectors)
	}
	return nil
}
