package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sys/unix"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/rescue"
	"salvor/rescue/blockdev"
	"salvor/rescue/mapfile"
)

type imageOptions struct {
	customer customerFlags
	caseNo   string
	vault    string
	mapFile  string
	verify   string
}

func newImage(p *program) *cobra.Command {
	var o imageOptions
	cmd := &cobra.Command{
		Use:   "image SOURCE",
		Short: "rescue a disk or an image file into an encrypted image",
		Long: `Reads a disk (also a failing one) or an image file into a new encrypted image in
the vault, seals it and reads it back. Without --case a new case is opened; on a
terminal what is missing is asked. Repeating the same command goes on where an
interrupted run stopped.

The source is only ever read. A disk that is mounted or in use is refused.`,
		Example: `  salvor image /dev/sdb --customer "An Peeters" --purpose crash --agreed
  salvor image /dev/sdb --case T1-2026-0042
  salvor image rescued.img --map rescued.map --case T1-2026-0042`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.image(cmd.Context(), args[0], o) })
		},
	}
	o.customer.add(cmd)
	f := cmd.Flags()
	f.StringVar(&o.caseNo, "case", "", "image into this case instead of a new one")
	f.StringVar(&o.vault, "vault", "", "name of the vault (default: the configured or the only one)")
	f.StringVar(&o.mapFile, "map", "", "map file of GNU ddrescue beside an image file: only what it rescued is taken")
	f.StringVar(&o.verify, "verify", "media", "check at the end: media reads every byte back, quick only the structure")
	return cmd
}

// imaging is one run of the image command.
type imaging struct {
	*station
	op     custody.Operator
	vault  *openedVault
	source rescue.Source
	ident  blockdev.Identity
	no     custody.CaseNo
	image  custody.Image
	began  time.Time
}

func (g *imaging) ref() vault.ImageRef {
	return vault.ImageRef{Case: string(g.no), Name: g.image.Name}
}

func (s *station) image(ctx context.Context, path string, o imageOptions) error {
	if o.verify != "media" && o.verify != "quick" {
		return usage("image", "--verify: media or quick", "")
	}
	if o.caseNo != "" && o.customer.given() {
		return usage("image", "the case knows its customer, purpose and deadline already", "leave --case out for a new case")
	}
	op, err := s.operator(ctx, custody.TypeImageStarted)
	if err != nil {
		return err
	}
	g := &imaging{station: s, op: op, began: s.now()}
	if g.vault, err = s.chooseVault(ctx, o.vault); err != nil {
		return err
	}
	defer g.vault.close()
	source, ident, err := blockdev.Open(path, blockdev.Options{})
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer func() {
		if err := source.Close(); err != nil { // the image is whole; the disk was not put back as it was
			s.term.Warn("close the source: %v", err)
		}
	}()
	g.source, g.ident = source, ident
	if o.mapFile != "" {
		if err := g.restrict(o.mapFile); err != nil {
			return err
		}
	}
	unlock, err := s.lock("source-" + sourceID(ident))
	if err != nil {
		return err
	}
	defer unlock()
	if err := g.findOrOpen(ctx, o); err != nil {
		return err
	}
	unlockCase, err := s.lock(string(g.no))
	if err != nil {
		return err
	}
	defer unlockCase()
	return g.run(ctx, o.verify)
}

// restrict takes only what a ddrescue map calls rescued.
func (g *imaging) restrict(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("map: %w", err)
	}
	defer f.Close()
	parsed, err := mapfile.Parse(f)
	if err != nil {
		return fmt.Errorf("map %s: %w", path, err)
	}
	info := g.source.Info()
	m, err := parsed.Sectors(info.Sector, info.Bytes)
	if err != nil {
		return fmt.Errorf("map %s: %w", path, err)
	}
	if g.source, err = rescue.WithMap(g.source, m); err != nil {
		return fmt.Errorf("map %s: %w", path, err)
	}
	return nil
}

// findOrOpen finds the unfinished image that this command continues, else begins one,
// in the case that was named or in a new one.
func (g *imaging) findOrOpen(ctx context.Context, o imageOptions) error {
	if o.caseNo != "" {
		return g.inCase(ctx, o.caseNo)
	}
	if found, err := g.findUnfinished(ctx, o.customer.customer); err != nil || found {
		return err
	}
	in, err := o.customer.complete(ctx, g.station)
	if err != nil {
		return err
	}
	if err := g.ready(ctx); err != nil {
		return err
	}
	g.no, err = g.ledger.OpenCase(ctx, g.op.ID, g.now().In(g.term.Zone).Year(), func(no custody.CaseNo) []ledger.Entry {
		return append(in.entries(no), g.begin(no, custody.Case{}, in.deadline.Deadline.Time, in.at)...)
	})
	if err != nil {
		return err
	}
	return g.loadImage(ctx)
}

// ready checks what would stop an image at once, before a case is opened for it: two
// keys, and room in the vault for a disk on which nothing can be left out.
func (g *imaging) ready(ctx context.Context) error {
	if _, _, err := g.recipients(ctx); err != nil {
		return err
	}
	free, err := g.vault.dir.Free()
	if err != nil {
		return fmt.Errorf("vault %s: %w", g.vault.name, err)
	}
	if need := vault.WorstCase(g.ident.Bytes); free < need {
		return fmt.Errorf("vault %s: %w: %s free, %s needed in the worst case", g.vault.name, vault.ErrNoSpace, ui.Size(free), ui.Size(need))
	}
	return nil
}

func (g *imaging) loadImage(ctx context.Context) error {
	c, err := g.ledger.Case(ctx, g.no)
	if err != nil {
		return err
	}
	i, ok := c.Image(g.image.Name)
	if !ok {
		return fmt.Errorf("image %s/%s: %w", g.no, g.image.Name, custody.ErrNoImage)
	}
	g.image = i
	return nil
}

// inCase continues the unfinished image of this source in a case, or begins another.
func (g *imaging) inCase(ctx context.Context, no string) error {
	var err error
	if g.no, err = custody.ParseCaseNo(no); err != nil {
		return usage("image", "--case: not a case number", "salvor cases")
	}
	c, err := g.ledger.Case(ctx, g.no)
	if err != nil {
		return fmt.Errorf("case %s: %w", g.no, err)
	}
	private, err := g.ledger.PrivateOfCase(ctx, g.no)
	if err != nil {
		return err
	}
	for _, i := range c.Images {
		if g.continues(c, i, private[i.Ref]) {
			g.image = i
			return nil
		}
	}
	if c.Due(g.now()) {
		return refuse("case "+string(g.no), "its deadline has come", "open a new case")
	}
	if err := g.ready(ctx); err != nil {
		return err
	}
	if _, err := g.ledger.Append(ctx, g.op.ID, g.begin(g.no, c, c.Deadline, custody.At(g.now()))...); err != nil {
		return err
	}
	return g.loadImage(ctx)
}

// findUnfinished looks for an image of this source and customer, in this vault, that
// an earlier run left unfinished.
func (g *imaging) findUnfinished(ctx context.Context, customer string) (bool, error) {
	cases, err := g.ledger.Cases(ctx, ledger.Filter{})
	if err != nil {
		return false, err
	}
	for _, c := range cases {
		for _, i := range c.Images {
			if i.Vault != g.vault.id {
				continue
			}
			private, err := g.ledger.PrivateOfCase(ctx, c.No)
			if err != nil {
				return false, err
			}
			if !g.continues(c, i, private[i.Ref]) {
				continue
			}
			for _, fields := range private {
				if name, ok := fields[custody.FieldCustomer]; ok && (customer == "" || name == customer) {
					g.no, g.image = c.No, i
					g.term.Say("going on with %s/%s", c.No, i.Name)
					return true, nil
				}
			}
		}
	}
	return false, nil
}

// continues tells whether an image is of this source and is not finished: not sealed,
// or sealed and never checked since.
func (g *imaging) continues(c custody.Case, i custody.Image, private map[string]string) bool {
	switch i.State {
	case custody.ImageIsStarted, custody.ImageIsPaused:
	case custody.ImageIsSealed:
		for _, check := range c.Checks {
			if check.Image == i.Name {
				return false
			}
		}
	default:
		return false
	}
	if i.Vault != g.vault.id || i.Bytes != g.ident.Bytes {
		return false
	}
	if g.ident.Serial != "" {
		return private[custody.FieldSerial] == g.ident.Serial && private[custody.FieldModel] == g.ident.Model
	}
	return private[custody.FieldSerial] == "" && private[custody.FieldSource] == sourcePath(g.ident)
}

func sourcePath(ident blockdev.Identity) string {
	path, err := filepath.Abs(ident.Path)
	if err != nil {
		return ident.Path
	}
	return path
}

// sourceID names a source without telling anything about it: the name of a lock.
func sourceID(ident blockdev.Identity) string {
	if ident.Serial != "" {
		return shortHash(ident.Model + "\x00" + ident.Serial)
	}
	return shortHash(sourcePath(ident))
}

// begin records a new item and its image, in one transaction with the case itself
// where that is new. Image and deadline are of one instant: an image that is due at
// once must not be a second younger than its deadline.
func (g *imaging) begin(no custody.CaseNo, c custody.Case, deadline time.Time, created custody.Time) []ledger.Entry {
	item := fmt.Sprint(len(c.Items) + 1)
	info := g.source.Info()
	g.image = custody.Image{Name: c.NextImage()}
	return []ledger.Entry{
		{Case: no, Item: item, Pub: custody.ItemReceived{Item: item, Kind: itemKind(g.ident), Bytes: info.Bytes}, Private: map[string]string{
			custody.FieldModel: g.ident.Model, custody.FieldSerial: g.ident.Serial,
		}},
		{Case: no, Item: item, Pub: custody.ImageStarted{
			Image: g.image.Name, UUID: newUUID(), Vault: g.vault.id, Item: item,
			Bytes: info.Bytes, Sector: int64(info.Sector), Physical: int64(max(info.Physical, info.Sector)),
			Created: created, EraseBy: custody.At(deadline),
		}, Private: map[string]string{
			custody.FieldSource: sourcePath(g.ident), custody.FieldModel: g.ident.Model, custody.FieldSerial: g.ident.Serial,
		}},
	}
}

func itemKind(ident blockdev.Identity) custody.ItemKind {
	switch {
	case ident.Kind == blockdev.File:
		return custody.ItemFile
	case ident.Transport == "nvme":
		return custody.ItemNVMe
	case ident.Transport == "mmc":
		return custody.ItemCard
	case ident.Rotational && ident.Transport != "usb":
		return custody.ItemHDD
	case ident.Transport == "sata":
		return custody.ItemSSD
	}
	return custody.ItemDisk
}

// newUUID draws a random UUID (RFC 9562, version 4).
func newUUID() custody.UUID {
	var u custody.UUID
	rand.Read(u[:]) // never fails: crypto/rand
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u
}

// run images, seals and checks. Whatever happens, the last event tells the state.
func (g *imaging) run(ctx context.Context, level string) error {
	if g.image.State != custody.ImageIsSealed {
		if err := g.rescue(ctx); err != nil {
			return err
		}
		if err := g.loadImage(ctx); err != nil {
			return err
		}
	}
	verified, err := g.check(ctx, level)
	if err != nil {
		return err
	}
	return g.summary(ctx, verified, level)
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
	bar := g.term.Progress("image "+g.ref().String(), ui.Bytes)
	out, runErr := rescue.Run(ctx, g.source, w, m, rescue.Options{
		Now: g.now, After: time.After,
		Progress: func(st rescue.Status) {
			bar.Set(min(st.Rescued, g.ident.Bytes), g.ident.Bytes, st.Rate, progressWords(st))
		},
	})
	bar.End()
	// What was read is made durable also when the run was interrupted.
	save := context.WithoutCancel(ctx)
	if runErr == nil && out.Stop == rescue.Finished {
		return g.seal(save, w, acks)
	}
	pauseErr := w.Pause(save)
	ackErr := acks.finish(w.Acked())
	why := stopReason(out.Stop, runErr, pauseErr)
	_, err = g.ledger.Append(save, g.op.ID, ledger.Entry{Case: g.no, Item: g.image.Item, Pub: custody.ImagePaused{
		Image: g.image.Name, Rescued: w.Acked().Bytes, Bad: out.Bad, Untried: g.image.Bytes - w.Acked().Bytes - min(out.Bad, g.image.Bytes-w.Acked().Bytes), Why: why,
	}})
	if err := errors.Join(runErr, pauseErr, ackErr, err); err != nil {
		return g.targetFailed(err)
	}
	return g.stopped(ctx, out)
}

func progressWords(st rescue.Status) string {
	words := st.Stage
	if st.Areas > 0 || st.Bad > 0 {
		words += fmt.Sprintf(", %s bad in %d areas", ui.Size(st.Bad), st.Areas)
	}
	if st.Failed > 0 {
		words += fmt.Sprintf(", %s to narrow", ui.Size(st.Failed))
	}
	if st.Hung > 0 {
		words += fmt.Sprintf(", no answer for %s", ui.Duration(st.SinceGood))
	}
	return words
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
		Recipients: recipients, Signer: g.keys.Signer(), Now: g.now,
		OnKey: func(k vault.KeyFile) error {
			_, err := g.ledger.Append(ctx, g.op.ID, ledger.Entry{Case: g.no, Item: g.image.Item, Pub: custody.KeyWrapped{
				Image: g.image.Name, Session: k.Session, SessionID: k.ID, Keystore: g.vault.id,
				File: k.File, SHA256: k.SHA256, Recipients: ids,
			}})
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
		return nil, nil, err
	}
	m, err := mapOf(c, sectors)
	if err != nil {
		return nil, nil, errors.Join(err, w.Pause(ctx))
	}
	return w, m, nil
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
	meta, err := json.Marshal(map[string]any{
		"case": g.no, "model": g.ident.Model, "serial": g.ident.Serial, "wwn": g.ident.WWN, "transport": g.ident.Transport,
		"bytes": g.ident.Bytes, "sector": g.ident.Sector, "physical": g.ident.Physical,
	})
	if err != nil {
		return err
	}
	return w.Meta(ctx, meta)
}

func stopReason(stop rescue.Stop, runErr, pauseErr error) custody.StopReason {
	switch {
	case runErr != nil || pauseErr != nil:
		return custody.StopTarget
	case stop == rescue.Cancelled:
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
	case rescue.SourceChanged:
		e.Code, e.Why = ui.Refused, "the disk is not the one that was opened: another size, or other data"
		e.Hint = "look at the disk and its cable; then " + g.again()
	case rescue.SourceGone:
		e.Why = "the disk is gone"
		e.Hint = "plug it in again; then " + g.again()
	case rescue.DeviceFault:
		e.Why = "the disk fails everything at once; nothing of that is counted as bad"
		e.Hint = "power-cycle the disk; then " + g.again()
	case rescue.NotAnswering:
		e.Why = "the disk does not answer any more"
		e.Hint = "power-cycle the disk; then " + g.again()
	default:
		e.Why = out.Stop.String()
	}
	return e
}

// again is the command that goes on with this image.
func (g *imaging) again() string {
	return fmt.Sprintf("salvor image %s --case %s", shellQuote(g.ident.Path), g.no)
}

// seal ends the image and records it.
func (g *imaging) seal(ctx context.Context, w *vault.Writer, acks *acks) error {
	seal, err := w.Seal(ctx)
	if ackErr := acks.finish(w.Acked()); err == nil {
		err = ackErr
	}
	if err != nil {
		return g.targetFailed(err)
	}
	return g.appendSeal(ctx, seal)
}

// recordSeal records a seal that was written by a run that was killed before it could.
func (g *imaging) recordSeal(ctx context.Context) error {
	c, err := vault.OpenImage(ctx, g.vault.dir, g.ref())
	if err != nil {
		return err
	}
	defer c.Close()
	verifier, err := note.NewVerifier(g.keys.Verifier())
	if err != nil {
		return err
	}
	if _, err := c.VerifyQuick(ctx, verifier, nil); err != nil {
		return err
	}
	return g.appendSeal(ctx, c.Seal())
}

func (g *imaging) appendSeal(ctx context.Context, seal vault.Seal) error {
	seconds, err := g.seconds(ctx)
	if err != nil {
		return err
	}
	_, err = g.ledger.Append(ctx, g.op.ID, ledger.Entry{Case: g.no, Item: g.image.Item, Pub: custody.ImageSealed{
		Image: g.image.Name, Root: custody.Hash(seal.Root), Records: seal.Records, Segments: int64(seal.Segments),
		Stored: seal.Stored, Rescued: seal.Rescued, Bad: seal.Bad, Seconds: seconds, NoFlush: seal.NoFlush,
	}})
	return err
}

// seconds adds up the runs of this image: from each key to the pause that ended its
// run, and this one. A run that was killed left no pause and does not count.
func (g *imaging) seconds(ctx context.Context) (int64, error) {
	events, err := g.ledger.Events(ctx, g.no)
	if err != nil {
		return 0, err
	}
	total := g.now().Sub(g.began)
	var from time.Time
	for _, e := range events {
		switch p := e.Pub.(type) {
		case custody.KeyWrapped:
			if p.Image == g.image.Name {
				from = e.TS.Time
			}
		case custody.ImagePaused:
			if p.Image == g.image.Name && !from.IsZero() {
				total += e.TS.Sub(from)
				from = time.Time{}
			}
		}
	}
	return int64(max(total, 0) / time.Second), nil
}

// check reads the sealed image back, and records what was found.
func (g *imaging) check(ctx context.Context, level string) (vault.Verified, error) {
	v, err := g.verify(ctx, g.vault, g.ref(), custody.VerifyLevel(level))
	if ctx.Err() != nil {
		return v, &ui.Error{Code: ui.Interrupted, What: "image " + g.ref().String(), Why: "interrupted while it was read back; it is sealed", Hint: g.again(), Err: context.Cause(ctx)}
	}
	if err != nil && !errors.Is(err, vault.ErrCorrupt) && !errors.Is(err, vault.ErrSignature) {
		return v, err // no answer about the image: the vault is away
	}
	_, recordErr := g.ledger.Append(context.WithoutCancel(ctx), g.op.ID, ledger.Entry{Case: g.no, Item: g.image.Item, Pub: custody.ImageVerified{
		Image: g.image.Name, Level: custody.VerifyLevel(level), OK: err == nil, Records: v.Records, Bytes: v.Bytes,
	}})
	return v, errors.Join(err, recordErr)
}

// imageSummary is the last word of the image command under --json.
type imageSummary struct {
	Case     custody.CaseNo `json:"case"`
	Image    string         `json:"image"`
	UUID     custody.UUID   `json:"uuid"`
	Vault    string         `json:"vault"`
	Bytes    int64          `json:"bytes"`
	Rescued  int64          `json:"rescued"`
	Bad      int64          `json:"bad"`
	Seconds  int64          `json:"seconds"`
	Elapsed  float64        `json:"elapsed"` // of this run, with the check, seconds
	Stored   int64          `json:"stored"`
	Records  int64          `json:"records"`
	Segments int64          `json:"segments"`
	Root     custody.Hash   `json:"root"`
	NoFlush  bool           `json:"no_flush"`
	Verified string         `json:"verified"` // the level that the image passed just now
	Deadline custody.Time   `json:"deadline"`
	PeakRSS  int64          `json:"peak_rss"` // most memory that this run had, bytes
}

// peakRSS is the most memory that this process has had, in bytes; 0 when the system
// does not say (getrusage(2): ru_maxrss is in KiB).
func peakRSS() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss * 1024
}

func (g *imaging) summary(ctx context.Context, v vault.Verified, level string) error {
	c, err := g.ledger.Case(ctx, g.no)
	if err != nil {
		return err
	}
	i, _ := c.Image(g.image.Name)
	if i.Seal == nil {
		return fmt.Errorf("image %s: %w", g.ref(), vault.ErrUnsealed)
	}
	if v.Root != [32]byte(i.Seal.Root) {
		return fmt.Errorf("image %s: the sealed root is not the recorded one: %w", g.ref(), vault.ErrCorrupt)
	}
	sum := imageSummary{
		Case: g.no, Image: i.Name, UUID: i.UUID, Vault: g.vault.name, Bytes: i.Bytes, Rescued: i.Seal.Rescued, Bad: i.Seal.Bad,
		Seconds: i.Seal.Seconds, Elapsed: g.now().Sub(g.began).Seconds(), Stored: i.Seal.Stored, Records: i.Seal.Records,
		Segments: i.Seal.Segments, Root: i.Seal.Root, NoFlush: i.Seal.NoFlush, Verified: level, Deadline: custody.At(c.Deadline), PeakRSS: peakRSS(),
	}
	if g.json {
		if err := g.term.Message("summary", sum); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(g.term.Out, "case      %s, %s in vault %s\n", g.no, i.Name, g.vault.name)
		fmt.Fprintf(g.term.Out, "rescued   %s of %s (%s)\n", ui.Size(sum.Rescued), ui.Size(sum.Bytes), ui.Percent(sum.Rescued, sum.Bytes))
		fmt.Fprintf(g.term.Out, "unread    %s\n", ui.Size(sum.Bytes-sum.Rescued))
		fmt.Fprintf(g.term.Out, "stored    %s, encrypted\n", ui.Size(sum.Stored))
		fmt.Fprintf(g.term.Out, "checked   %s\n", checkWords(custody.VerifyLevel(level)))
		fmt.Fprintf(g.term.Out, "root      %s\n", sum.Root)
		fmt.Fprintf(g.term.Out, "erase by  %s\n", g.deadlineWords(c.Deadline))
	}
	if i.Seal.NoFlush {
		g.term.Warn("the vault's storage cannot flush: a power cut may cost what was written last")
	}
	if sum.Rescued < sum.Bytes {
		return &ui.Error{
			Code: ui.Incomplete, What: "image " + g.ref().String(), Why: fmt.Sprintf("%s of the source could not be read", ui.Size(sum.Bytes-sum.Rescued)),
			Hint: "the rest is safe; what is missing reads as unread, never as data",
		}
	}
	return nil
}
