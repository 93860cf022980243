package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/rescue"
	"salvor/rescue/blockdev"
	"salvor/rescue/mapfile"
	"salvor/rescue/triage"
)

// imaging is one run of the image command.
type imaging struct {
	*station
	o      imageOptions
	op     custody.Operator
	vault  *openedVault
	mirror *openedVault // keeps a second copy of the key; nil: none
	disk   *blockdev.Source
	source rescue.Source // disk, or what a map file allows of it
	ident  blockdev.Identity
	no     custody.CaseNo
	item   string // number of the item that was named; "" when none was
	image  custody.Image
	began  time.Time
	unlock func() // lets others at the case; nil as long as they may
	print  string // fingerprint of a source that has no serial number, or has a map

	reading time.Time // when the disk began to be read in this run
	reopens bool      // the image is sealed, and more of the disk is to be tried
	damaged *damage   // nil when not known, or when nothing is missing
	changed int       // places in which the disk is not what the image was begun with

	unmarked sync.Once // it was said that landmarks cannot be kept
}

func (g *imaging) ref() vault.ImageRef {
	return vault.ImageRef{Case: string(g.no), Name: g.image.Name}
}

// run images, seals and checks. Whatever happens, the last event tells the state.
func (g *imaging) run(ctx context.Context) error {
	stop, err := g.exchangeMeanwhile(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if g.reopens {
		if err := g.reopen(ctx); err != nil {
			return err
		}
	}
	if g.image.State != custody.ImageIsSealed {
		if err := g.rescue(ctx); err != nil {
			return err
		}
		if err := g.loadImage(ctx); err != nil {
			return err
		}
	}
	verified, err := g.check(ctx)
	if err != nil {
		return err
	}
	return g.summary(ctx, verified)
}

// rescue reads the source into the container and seals it.
func (g *imaging) rescue(ctx context.Context) error {
	lock, err := vault.AcquireLock(g.vault.dir, string(g.no), g.keys.Name(), os.Getpid(), g.now)
	if err != nil {
		return err
	}
	defer lock.Release()
	stopBeat := beat(lock)
	defer stopBeat()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	acks := g.newAcks(ctx, cancel)
	w, m, err := g.writer(ctx, acks)
	if errors.Is(err, vault.ErrSealed) { // killed between the seal and its event
		acks.close()
		return g.recordSeal(ctx)
	}
	if err != nil {
		acks.close()
		return err
	}
	g.reading = g.now()
	t := g.newTriage()
	defer func() { _ = t.Close() }() // what it leaves behind nobody can read
	if g.changed > 0 {
		err = g.meta(ctx, w, map[string]any{"changed_since": g.reading, "places": g.changed})
	}
	warmth, healthErr := g.health(ctx, w, "health_before")
	err = errors.Join(err, healthErr)
	if err != nil {
		return g.targetFailed(errors.Join(err, w.Pause(ctx), acks.finish(w.Acked())))
	}
	board := g.newBoard(m, warmth)
	out, runErr := g.untilDone(ctx, w, t, m, board.progress)
	board.end()
	if runErr == nil {
		out = g.unchanged(out)
	}
	// What was read is made durable also when the run was interrupted.
	save := context.WithoutCancel(ctx)
	if runErr == nil {
		_, healthErr := g.health(save, w, "health_after")
		runErr = errors.Join(g.conclude(ctx, t, m, w, out.Stop == rescue.Finished), healthErr)
	}
	if runErr == nil && out.Stop == rescue.Finished && !g.leftOpen(out) {
		if err := g.seal(save, w, acks); err != nil {
			return err
		}
		g.forget(tiersDir)
		if out.Complete() {
			g.forget(landmarksDir)
		} else {
			g.keepLandmarks() // for --retries
		}
		return nil
	}
	if err := g.keepTiers(t); err != nil { // they cost reading some metadata again
		g.term.Warn("%v", err)
	}
	g.keepLandmarks()
	pauseErr := w.Pause(save)
	ackErr := acks.finish(w.Acked())
	why := stopReason(out.Stop, runErr, pauseErr)
	_, err = g.happened(save, g.op.ID, ledger.Entry{Case: g.no, Item: g.image.Item, Pub: custody.ImagePaused{
		Image: g.image.Name, Rescued: w.Acked().Bytes, Bad: out.Bad, Untried: g.image.Bytes - w.Acked().Bytes - min(out.Bad, g.image.Bytes-w.Acked().Bytes), Why: why,
	}, Private: g.damaged.fields()})
	if err := errors.Join(runErr, pauseErr, ackErr, err); err != nil {
		return g.targetFailed(err)
	}
	return g.stopped(ctx, out)
}

// reopen records that the seal of an image no longer stands, before it is taken away.
// What can be known to stop the run leaves the seal in force.
func (g *imaging) reopen(ctx context.Context) error {
	if err := g.ready(ctx, g.image.Bytes-g.image.Rescued); err != nil {
		return err
	}
	_, err := g.ledger.Append(ctx, g.op.ID, ledger.Entry{Case: g.no, Item: g.image.Item, Pub: custody.ImageReopened{
		Image: g.image.Name, Root: g.image.Seal.Root,
	}})
	if err != nil {
		return err
	}
	return g.loadImage(ctx)
}

// reopened reports whether the record says that the image was sealed and is open
// again: then a seal that is still there is of no account.
func (g *imaging) reopened(ctx context.Context) (bool, error) {
	events, err := g.ledger.Events(ctx, g.no)
	if err != nil {
		return false, err
	}
	open := false
	for _, e := range events {
		switch p := e.Pub.(type) {
		case custody.ImageReopened:
			open = open || p.Image == g.image.Name
		case custody.ImageSealed:
			open = open && p.Image != g.image.Name
		}
	}
	return open, nil
}

// leftOpen reports whether a run that has done what it was asked for leaves the image
// open: it was asked for less than all that can be tried.
func (g *imaging) leftOpen(out rescue.Outcome) bool {
	return !out.Complete() && (g.timeIsUp() || g.o.plan.profile == "gentle")
}

// untilDone runs the engine, and goes on by itself when a disk that has vanished comes
// back: the same serial number, size and content under whatever name.
func (g *imaging) untilDone(ctx context.Context, w *vault.Writer, t *triage.Triage, m *mapfile.Map, progress func(rescue.Status)) (rescue.Outcome, error) {
	for barren := 0; ; {
		out, err := rescue.Run(ctx, g.source, t.Sink(w), m, rescue.Options{
			Now: g.now, After: time.After, Progress: progress, InFlight: inFlight,
			Planner: func(m *mapfile.Map, info rescue.Info) rescue.Planner {
				return t.Planner(m, info, g.strategyOptions())
			},
		})
		if err != nil || out.Stop != rescue.SourceGone && out.Stop != rescue.NotAnswering && out.Stop != rescue.DeviceFault {
			return out, err
		}
		if barren++; out.Fresh > 0 {
			barren = 0
		} else if barren == barrenRuns {
			return out, nil
		}
		g.term.Say("%s: waiting for the disk to come back; Ctrl-C ends it", out.Stop)
		if away := g.disk.Reattach(ctx); away != nil {
			switch {
			case errors.Is(away, blockdev.ErrOtherDisk):
				out.Stop = rescue.SourceChanged
			case ctx.Err() != nil:
				out.Stop = rescue.Cancelled
			}
			out.Err = errors.Join(out.Err, away)
			return out, nil
		}
		g.ident = g.disk.Identity() // perhaps under another name
		g.term.Say("the disk is back")
	}
}

// barrenRuns is after how many runs in a row that brought nothing a disk is left alone
// until somebody has looked at it, although it is back each time.
const barrenRuns = 4

// unchanged makes of a run over a file that was written to meanwhile one that found
// another source: half of what it read is of before and half of after. A disk that has
// another size by now is not the one that was begun, even when no read of it failed.
func (g *imaging) unchanged(out rescue.Outcome) rescue.Outcome {
	if out.Stop != rescue.Finished {
		return out
	}
	var err error
	if g.ident.Kind != blockdev.File {
		if size, sizeErr := deviceSize(g.ident.Path); sizeErr == nil && size != g.ident.Bytes {
			err = fmt.Errorf("%s by now: %w", ui.Size(size), errSizeChanged)
		}
	} else if now, printErr := g.fingerprint(); printErr != nil {
		err = printErr
	} else if now != g.print {
		err = errFileChanged
	}
	if err != nil {
		out.Stop, out.Err = rescue.SourceChanged, err
	}
	return out
}

var (
	errFileChanged = errors.New("the file was changed while it was read")
	errSizeChanged = errors.New("the disk has changed its size")
)

// deviceSize asks a device for its size in bytes.
func deviceSize(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Seek(0, io.SeekEnd)
}

// beat keeps the vault's lock fresh for other stations.
func beat(lock *vault.Lock) (stop func()) {
	ticker := time.NewTicker(vault.LockStale / 4)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				// A lock that cannot be renewed is no reason to stop: what keeps the
				// container whole is that every run writes segments of its own.
				_ = lock.Beat()
			case <-done:
				return
			}
		}
	}()
	return func() { ticker.Stop(); close(done) }
}

// writer begins the container, or goes on with it in a new session. The map says what
// is rescued already.
func (g *imaging) writer(ctx context.Context, acks *acks) (*vault.Writer, *mapfile.Map, error) {
	recipients, ids, err := g.recipients(ctx)
	if err != nil {
		return nil, nil, err
	}
	o := vault.Options{
		Recipients: recipients, Signer: g.keys.Signer(), Now: g.now, Compress: g.o.compress,
		Keys: g.keysMade(),
		OnKey: func(k vault.KeyFile) error {
			wrapped := custody.KeyWrapped{
				Image: g.image.Name, Session: k.Session, SessionID: k.ID, Keystore: g.vault.id,
				File: k.File, SHA256: k.SHA256, Recipients: ids,
			}
			entries := []ledger.Entry{{Case: g.no, Item: g.image.Item, Pub: wrapped}}
			if g.mirrored(k) {
				wrapped.Keystore = g.mirror.id
				entries = append(entries, ledger.Entry{Case: g.no, Item: g.image.Item, Pub: wrapped})
			}
			_, err := g.ledger.Append(ctx, g.op.ID, entries...)
			return err
		},
		OnAck: acks.save,
	}
	saved, err := g.ledger.Progress(ctx, g.no, g.image.Name)
	if err != nil {
		return nil, nil, err
	}
	public, err := stationPublicKey(g.keys.Verifier())
	if err != nil {
		return nil, nil, err
	}
	if err := g.ownContainer(); err != nil {
		return nil, nil, err
	}
	if o.Unseal, err = g.reopened(ctx); err != nil {
		return nil, nil, err
	}
	sectors := g.source.Info().Sectors()
	w, c, err := vault.Resume(ctx, g.vault.dir, g.vault.dir, g.ref(), vault.Position(saved), o)
	if errors.Is(err, vault.ErrNotFound) && saved == (ledger.Progress{}) {
		w, err = vault.Start(ctx, g.vault.dir, g.vault.dir, g.ref(), vault.Superblock{
			UUID: g.image.UUID, Sector: uint32(g.image.Sector), Physical: uint32(g.image.Physical), Bytes: g.image.Bytes,
			Created: g.image.Created, EraseBy: g.image.EraseBy, Station: public,
		}, o)
		if err != nil {
			return nil, nil, err
		}
		return w, mapfile.New(sectors), g.describe(ctx, w)
	}
	if err != nil {
		return nil, nil, orAgain(err)
	}
	m, err := mapOf(c, sectors)
	if err != nil {
		return nil, nil, errors.Join(err, w.Pause(ctx))
	}
	return w, m, nil
}

// keysMade is the highest number of a key file that was recorded for the image.
func (g *imaging) keysMade() (n int) {
	for _, k := range g.image.Keys {
		n = max(n, k.Session)
	}
	return n
}

// mapOf rebuilds the map of what is rescued from the container's records.
func mapOf(c *vault.Container, sectors int64) (*mapfile.Map, error) {
	return mapfile.Load(sectors, func(yield func(mapfile.Run) bool) {
		for _, r := range c.Runs() {
			if !yield(mapfile.Run{First: r.First, Sectors: r.Sectors, Status: mapfile.Status(r.Status)}) {
				return
			}
		}
	})
}

// describe puts what the device says of itself into the encrypted image, so that it
// can be told apart without the ledger.
func (g *imaging) describe(ctx context.Context, w *vault.Writer) error {
	facts := map[string]any{
		"case": g.no, "model": g.ident.Model, "serial": g.ident.Serial, "wwn": g.ident.WWN, "transport": g.ident.Transport,
		"bytes": g.ident.Bytes, "sector": g.ident.Sector, "physical": g.ident.Physical,
	}
	return g.meta(ctx, w, facts)
}

// health puts how the disk is now into the encrypted image, under the name when, and
// returns its temperature in degrees Celsius; -1 when it does not say.
func (g *imaging) health(ctx context.Context, w *vault.Writer, when string) (int64, error) {
	if h, err := g.disk.Health(ctx); err == nil {
		return h.Temperature, g.meta(ctx, w, map[string]any{when: h})
	}
	return -1, nil // most sources tell nothing
}

func (g *imaging) meta(ctx context.Context, w *vault.Writer, facts map[string]any) error {
	p, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	return w.Meta(ctx, p)
}

func stopReason(stop rescue.Stop, runErr, pauseErr error) custody.StopReason {
	switch {
	case runErr != nil || pauseErr != nil:
		return custody.StopTarget
	case stop == rescue.Cancelled, stop == rescue.Finished:
		return custody.StopInterrupted
	}
	return custody.StopSource
}

// targetFailed says that the vault or the ledger did not take what was rescued. Whatever
// the errno, the storage is the reason: a disk that was unplugged shows as EIO, ENODEV,
// or as a file system that has become read-only.
func (g *imaging) targetFailed(err error) error {
	return &ui.Error{
		Code: ui.Absent, What: "image " + g.ref().String(), Why: "stopped: " + err.Error(),
		Hint: "what was acknowledged is safe; repeat the command to go on", Err: err,
	}
}

// stopped says why imaging ended before its end, and how to go on.
func (g *imaging) stopped(ctx context.Context, out rescue.Outcome) error {
	e := &ui.Error{Code: ui.Absent, What: "image " + g.ref().String(), Hint: g.again(), Err: out.Err}
	switch out.Stop {
	case rescue.Cancelled:
		e.Code, e.Why, e.Err = ui.Interrupted, "interrupted; what was read is safe", context.Cause(ctx)
	case rescue.Finished:
		e.Code, e.Why, e.Err = ui.Incomplete, fmt.Sprintf("%s not read yet; the image stays open", ui.Size(out.Bytes-out.Rescued)), nil
		if g.timeIsUp() {
			e.Why = fmt.Sprintf("the time of --stop-after is up; %s", e.Why)
		}
	case rescue.SourceChanged:
		e.Code, e.Why = ui.Refused, "the disk is not the one that was opened: another size, or other data"
		e.Hint = "look at the disk and its cable, power-cycle it; then " + g.again()
		if g.ident.Kind == blockdev.File {
			e.Why, e.Hint = errFileChanged.Error(), "end what writes to it; then "+g.again()+" --again"
		}
	case rescue.SourceGone:
		e.Why = "the disk is gone"
		e.Hint = "plug it in again; then " + g.again()
	case rescue.DeviceFault:
		e.Why = "the disk fails everything at once; nothing of that is counted as bad"
		e.Hint = "power-cycle the disk; then " + g.again()
		if out.Rescued == 0 {
			e.Why = "not one sector could be read: the disk fails everything; nothing of that is counted as bad"
			e.Hint = "try another cable, port and power supply, then " + g.again() + "; a laboratory may read what a shop cannot; to give it up: salvor purge --case " + string(g.no) + " --now --reason …"
		}
	case rescue.NotAnswering:
		e.Why = "the disk does not answer any more"
		e.Hint = "power-cycle the disk; then " + g.again()
	default:
		e.Why = out.Stop.String()
	}
	return e
}

// again is the command that goes on with this image, in its vault, and reads no more of
// the source than this run was allowed to.
func (g *imaging) again() string {
	s := fmt.Sprintf("salvor image %s --case %s", shellQuote(g.ident.Path), g.no)
	if g.o.image != "" {
		s += " --image " + g.o.image
	}
	if g.o.vault != "" {
		s += " --vault " + shellQuote(g.o.vault)
	}
	if g.o.mapFile != "" {
		s += " --map " + shellQuote(g.o.mapFile)
	}
	if g.o.plan.used() {
		s += " --only used"
	}
	return s
}
