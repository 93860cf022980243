package blockdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue"
	"salvor/rescue/blockdev/passthrough"
	"salvor/rescue/blockdev/sysblock"
)

// attachment is a device, or a file, while it is held open. When a disk is plugged
// out and in again, the source gets another one.
type attachment struct {
	id   Identity
	node sysblock.Node // of a device

	read  readFunc
	size  func() (int64, error)
	state func() string // SCSI's word for how a device is, "running" mostly; else empty
	close func() error
	// health asks how it is; nil where there is no use in asking.
	health func() (Health, error)

	// impatient, when set, gives the disk back its own time to recover from errors.
	impatient func() error

	f     *os.File
	rings *rings // of a device
	seq   int64  // of the disk, as the kernel counts them; 0 when it does not
	way   string // how it is read by commands of our own: "scsi", "nvme"; else empty
}

// attach checks that nothing uses a device, holds it, protects it, lowers the
// kernel's patience with it, and finds the best way to read it.
func (h host) attach(path string, n sysblock.Node, o Options) (*attachment, error) {
	if use, err := h.use(path, n); err != nil {
		return nil, err
	} else if use != nil {
		return nil, use
	}
	f, err := holdSoon(path, n, os.O_RDONLY|unix.O_DIRECT, o.After)
	if err != nil {
		return nil, err
	}
	a := &attachment{id: h.describe(n), node: n, f: f, rings: newRings(), seq: n.Seq()}
	a.id.Path = path
	a.size = func() (int64, error) { return ask(f, unix.BLKGETSIZE64) }
	a.state = func() string { return sysblock.Text(n.DiskDir(), "device/state") }
	made := h.describeChange(n)
	a.close = func() error { return h.detach(a, made, o) }
	if err = h.settle(f, n, &made, o); err == nil {
		err = geometry(f, &a.id)
	} else {
		err = fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	a.read, a.health = h.best(a, o), h.health(a)
	if o.Restore != "" && speaksATA(n, a.id) {
		a.impatient = h.hurry(passThrough(f), a.id, filepath.Dir(o.Restore))
	}
	return a, nil
}

// settle changes what is changed while a device is read, and writes it down in made
// and, before, in the record.
func (h host) settle(f *os.File, n sysblock.Node, made *record, o Options) error {
	was, err := ask(f, unix.BLKROGET)
	if err != nil {
		return fmt.Errorf("%w: ask for the read-only flag: %w", ErrNotReadOnly, err)
	}
	plan := *made
	plan.ReadOnly = int32(was) == 0
	if o.Restore != "" {
		plan.Settings = lowerable(n.DiskDir())
		if err := plan.save(o.Restore); err != nil {
			return fmt.Errorf("record its settings: %w", err)
		}
	}
	changed, err := readOnly(f)
	made.ReadOnly, made.Settings = changed, plan.Settings
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotReadOnly, err)
	}
	apply(n.DiskDir(), made.Settings)
	return nil
}

// detach puts a device back as it was and closes it. A device that has vanished
// needs nothing put back.
func (h host) detach(a *attachment, made record, o Options) error {
	err := h.undo(a.f, a.node, made)
	if a.impatient != nil {
		err = errors.Join(a.impatient(), err)
	}
	if err != nil {
		if size, sizeErr := a.size(); sizeErr != nil || size == 0 {
			err = nil
		} else {
			err = fmt.Errorf("%s: %w", a.id.Path, err)
		}
	}
	if err == nil && o.Restore != "" && made.is(o.Restore) {
		if e := os.Remove(o.Restore); e != nil && !os.IsNotExist(e) {
			err = fmt.Errorf("remove the record of its settings: %w", e)
		}
	}
	a.rings.close()
	return errors.Join(err, a.f.Close())
}

// readFunc is how the sectors of a source are read. It is [rescue.Source]'s ReadAt, but
// for what [Source.ReadAt] takes care of.
type readFunc func(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result

// best is how a device is read: by commands of our own where it takes them.
func (h host) best(a *attachment, o Options) readFunc {
	plain := &direct{f: a.f, rings: a.rings, bytes: a.id.Bytes, sector: a.id.Sector}
	if own := h.commands(a, o); own != nil {
		return orElse(own, plain.read)
	}
	return plain.read
}

// orElse reads by own until the device does not take its commands; then by plain for good.
func orElse(own, plain readFunc) readFunc {
	var off atomic.Bool
	return func(ctx context.Context, p []byte, sector int64, deadline time.Duration) rescue.Result {
		if !off.Load() {
			res := own(ctx, p, sector, deadline)
			if !errors.Is(res.Err, errNoPassThrough) {
				return res
			}
			off.Store(true)
			if res.Good > 0 {
				return rescue.Result{Good: res.Good, Fail: -1} // the rest was not tried
			}
		}
		return plain(ctx, p, sector, deadline)
	}
}

// commands is how a device is read by commands of our own; nil when it takes none,
// or says another size of itself than the kernel does.
func (h host) commands(a *attachment, o Options) readFunc {
	disk, sector := a.node.DiskDir(), int64(a.id.Sector)
	first, blocks := int64(0), sysblock.Number(disk, "size")*512/sector
	if a.node.Partition {
		start := a.node.Start * 512
		if start <= 0 || start%sector != 0 {
			return nil
		}
		first = start / sector
	}
	grain := max(a.id.Physical, a.id.Sector)
	chunk := commandSize(disk, grain)
	if a.id.Bytes%sector != 0 || first+a.id.Bytes/sector > blocks || chunk == 0 {
		return nil
	}
	if isDir(filepath.Join(disk, "device/scsi_disk")) && sysblock.Text(disk, "device/type") == "0" {
		d := &scsi{do: passThrough(a.f), after: o.After, first: first, blocks: blocks, sector: int(sector), grain: grain, chunk: chunk}
		if n, size, err := d.capacity(context.Background()); err == nil && n == blocks && size == d.sector {
			a.way = "scsi"
			return d.read
		}
		return nil
	}
	if a.id.Transport == "nvme" {
		namespace, err := passthrough.Namespace(a.f)
		if err != nil {
			return nil
		}
		d := &nvme{do: nvmePassThrough(a.f), namespace: namespace, first: first, blocks: blocks, sector: int(sector), chunk: chunk}
		if n, size, err := d.identify(); err == nil && n == blocks && size == d.sector {
			a.way = "nvme"
			return d.read
		}
	}
	return nil
}

// commandSize is how much one command may ask a disk for: a power of two, and what
// its host adapter takes though every page of memory lies elsewhere and the first one
// is begun in its middle. 0 is a disk of which a single sector is too much.
func commandSize(disk string, grain int) int {
	page := int64(os.Getpagesize())
	most, segments := sysblock.Number(disk, "queue/max_hw_sectors_kb")<<10, sysblock.Number(disk, "queue/max_segments")
	if most <= 0 || segments <= 0 {
		most, segments = narrow, 2+narrow/page
	}
	most = min(most, max(segments-1, 1)*page, rescue.MaxRead)
	size := rescue.MaxRead
	for int64(size) > most {
		size /= 2
	}
	if size < grain {
		return 0
	}
	return size
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
