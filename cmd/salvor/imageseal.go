package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
)

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
	c, err := g.openContainer(ctx, g.vault, g.no, g.image)
	if err != nil {
		return err
	}
	defer c.Close()
	verifier, err := g.sealVerifier(ctx, c)
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
	_, err = g.happened(ctx, g.op.ID, ledger.Entry{Case: g.no, Item: g.image.Item, Pub: custody.ImageSealed{
		Image: g.image.Name, Root: custody.Hash(seal.Root), Records: seal.Records, Segments: int64(seal.Segments),
		Stored: seal.Stored, Rescued: seal.Rescued, Bad: seal.Bad, Seconds: seconds, NoFlush: seal.NoFlush,
		Used: g.o.plan.used() && seal.Rescued < g.image.Bytes,
	}, Private: g.damaged.fields()})
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

// level is how the image is checked in the end.
func (g *imaging) level() custody.VerifyLevel { return custody.VerifyLevel(g.o.verify) }

// check reads the sealed image back, and records what was found.
func (g *imaging) check(ctx context.Context) (vault.Verified, error) {
	v, err := g.verify(ctx, g.vault, g.no, g.image, g.level())
	if ctx.Err() != nil {
		return v, &ui.Error{Code: ui.Interrupted, What: "image " + g.ref().String(), Why: "interrupted while it was read back; it is sealed", Hint: g.again(), Err: context.Cause(ctx)}
	}
	if err != nil && !errors.Is(err, vault.ErrCorrupt) && !errors.Is(err, vault.ErrSignature) {
		return v, err // no answer about the image: the vault is away
	}
	_, recordErr := g.happened(context.WithoutCancel(ctx), g.op.ID, ledger.Entry{Case: g.no, Item: g.image.Item, Pub: custody.ImageVerified{
		Image: g.image.Name, Level: g.level(), OK: err == nil, Records: v.Records, Bytes: v.Bytes,
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
	PeakRSS  int64          `json:"peak_rss"`        // most memory that this run had, bytes
	Used     bool           `json:"used,omitempty"`  // free space was left out
	Files    int64          `json:"files,omitempty"` // looked at, when sectors are missing
	Damaged  int64          `json:"damaged_files,omitempty"`
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

func (g *imaging) summary(ctx context.Context, v vault.Verified) error {
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
		Segments: i.Seal.Segments, Root: i.Seal.Root, NoFlush: i.Seal.NoFlush, Verified: g.o.verify, Deadline: custody.At(c.Deadline), PeakRSS: peakRSS(), Used: i.Seal.Used,
	}
	if g.damaged != nil {
		sum.Files, sum.Damaged = g.damaged.Files, g.damaged.Damaged
	}
	if g.json {
		if err := g.term.Message("summary", sum); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(g.term.Out, "case      %s, %s in vault %s\n", g.no, i.Name, g.vault.name)
		fmt.Fprintf(g.term.Out, "rescued   %s of %s (%s)\n", ui.Size(sum.Rescued), ui.Size(sum.Bytes), ui.Percent(sum.Rescued, sum.Bytes))
		fmt.Fprintf(g.term.Out, "unread    %s\n", ui.Size(sum.Bytes-sum.Rescued))
		if g.damaged != nil {
			fmt.Fprintf(g.term.Out, "files     %s\n", g.damaged.words())
		}
		fmt.Fprintf(g.term.Out, "stored    %s, encrypted\n", ui.Size(sum.Stored))
		fmt.Fprintf(g.term.Out, "checked   %s\n", checkWords(g.level()))
		fmt.Fprintf(g.term.Out, "root      %s\n", sum.Root)
		fmt.Fprintf(g.term.Out, "erase by  %s\n", g.deadlineWords(c.Deadline))
	}
	if i.Seal.NoFlush {
		g.term.Warn("the vault's storage cannot flush: a power cut may cost what was written last")
	}
	if sum.Rescued < sum.Bytes {
		return &ui.Error{
			Code: ui.Incomplete, What: "image " + g.ref().String(), Why: fmt.Sprintf("%s of the source could not be read", ui.Size(sum.Bytes-sum.Rescued)),
			Hint: "the rest is safe; what is missing reads as unread, never as data; the same command with --retries 1 tries it once more",
		}
	}
	return nil
}
