package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
	"salvor/wipe/device"
)

// What the record knows of the wipe of a disk: that it was begun, before the first byte
// is destroyed, where it stopped, and what was proved. A customer's disk stands in his
// case, any other among the events of the shop.

// ref is how a job names the item that its disk is; "" for a disk of the shop.
func (w *wiping) ref() string {
	if w.c == "" {
		return ""
	}
	return string(w.c) + "/" + w.item
}

// of takes over from a job whose disk it is.
func (w *wiping) of(job *device.Job) {
	no, item, _ := strings.Cut(job.Ref, "/")
	w.c, w.item = custody.CaseNo(no), item
}

// whose settles whose disk it is: a job that an earlier run began says so itself.
func (w *wiping) whose(job *device.Job) error {
	if job == nil || job.Ref == w.ref() {
		return nil
	}
	if w.c != "" {
		of := "item " + job.Ref
		if job.Ref == "" {
			of = "the shop"
		}
		return refuse("wipe", "an earlier run began it for "+of, "leave --case out to go on, or --anew")
	}
	w.of(job)
	return nil
}

// allowed asks the rules whether the disk of a customer may be wiped, before anybody is
// asked to confirm it.
func (w *wiping) allowed(ctx context.Context, id device.Identity, job *device.Job) error {
	if w.c == "" {
		return nil
	}
	c, err := w.ledger.Case(ctx, w.c)
	if err != nil {
		return err
	}
	if job == nil || !known(c.Wipe(job.ID)) {
		err := c.MayWipe(w.item, w.o.reason != "")
		if errors.Is(err, custody.ErrNotRescued) {
			return refuse("case "+string(w.c), err.Error(), `finish the image first, or say why it is not wanted: --reason "…"`)
		}
		if err != nil {
			return readable(w.c, refusal(custody.TypeMediumEraseStarted, err))
		}
	}
	return w.rightDisk(ctx, c, id)
}

func known(w custody.Wipe, ok bool) bool { return ok && w.Ref != custody.Ref{} }

// rightDisk compares the serial number of the disk with those that were recorded: when it
// was handed in, and when it was imaged.
func (w *wiping) rightDisk(ctx context.Context, c custody.Case, id device.Identity) error {
	i, _ := c.Item(w.item)
	private, err := w.ledger.PrivateOfCase(ctx, c.No)
	if err != nil || w.o.reason != "" || !seen(id.Serial, id.WWN, id.Bytes, w.path).another(c, i, private) {
		return err
	}
	return refuse("wipe", "item "+w.ref()+" was recorded with another serial number", `look at the disk; where the record is wrong, or the USB case gives its own: --reason "…"`)
}

// gate re-reads the record immediately before anything is destroyed: the holds of other
// stations too, where the disk is a customer's.
func (w *wiping) gate(ctx context.Context, job *device.Job) error {
	if w.c != "" {
		err := w.withJournals(ctx, func(journals []*journal.Journal) error {
			_, err := w.ledger.CaseUnderLock(ctx, w.c, journals...)
			return err
		})
		var missing *ledger.UnpublishedError
		if errors.As(err, &missing) && !isAlarm(err) {
			return &ui.Error{Code: ui.Absent, What: "case " + string(w.c), Why: "a vault could not be asked for holds", Hint: "mount it, and repeat the command", Err: err}
		}
		if err != nil {
			return err
		}
	}
	_, err := w.free(ctx, job.Device)
	return err
}

// wipeOf is what the record knows of a job.
func (w *wiping) wipeOf(ctx context.Context, job string) (custody.Wipe, bool, error) {
	if w.c == "" {
		shop, err := w.ledger.Shop(ctx)
		x, ok := shop.Wipe(job)
		return x, ok, err
	}
	c, err := w.ledger.Case(ctx, w.c)
	x, ok := c.Wipe(job)
	return x, ok, err
}

// recordBegin records the wipe before its first write, once.
func (w *wiping) recordBegin(ctx context.Context, job *device.Job) error {
	x, ok, err := w.wipeOf(ctx, job.ID)
	if err != nil || known(x, ok) {
		return err
	}
	return w.record(ctx, w.op.ID, w.c, entry(w.item, custody.MediumEraseStarted{Job: job.ID, Bytes: job.Device.Bytes}, map[string]string{
		custody.FieldModel: plainText(diskName(job.Device)), custody.FieldSerial: plainText(job.Device.Serial), custody.FieldReason: w.o.reason,
	}))
}

// plainText takes out of a drive's text what the record does not hold.
func plainText(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// recordStop records where a wipe has stopped.
func (w *wiping) recordStop(ctx context.Context, job *device.Job) error {
	step := custody.StepOverwrite
	switch job.Stage {
	case device.Planned:
		step = custody.StepPlanned
	case device.Verified, device.Attested:
		step = custody.StepVerified
	}
	return w.record(ctx, w.op.ID, w.c, entry(w.item, custody.MediumEraseFailed{Job: job.ID, Step: step}, nil))
}

// recordDrop records where a wipe has stopped that nobody goes on with.
func (w *wiping) recordDrop(ctx context.Context, job *device.Job) error {
	dropped := *w
	dropped.of(job)
	x, ok, err := dropped.wipeOf(ctx, job.ID)
	if err != nil || !known(x, ok) || x.Done != nil {
		return err
	}
	return dropped.recordStop(ctx, job)
}

// recordEnd records what was proved and the signed statement about it, once.
func (w *wiping) recordEnd(ctx context.Context, job *device.Job, e device.Evidence, v device.Verdict, signed []byte) error {
	x, ok, err := w.wipeOf(ctx, job.ID)
	if err != nil || ok && x.Done != nil {
		return err
	}
	media, err := mediaOf(v.Class)
	if err != nil {
		return err
	}
	return w.record(ctx, w.op.ID, w.c,
		entry(w.item, custody.MediumEraseDone{
			Job: job.ID, Media: media, Virtual: v.OnVirtual, Sanitized: e.Sanitize.Outcome == device.Succeeded, Bytes: e.Device.Bytes,
			Overwritten: e.Written, Equal: e.Read.Equal, Different: e.Read.Different.Bytes, Unreadable: e.Read.Unreadable.Bytes,
		}, nil),
		entry(w.item, custody.AttestIssued{Attest: job.ID, SHA256: sha256.Sum256(signed), Media: media}, nil),
	)
}

func mediaOf(c device.Class) (custody.MediaClass, error) {
	switch c {
	case device.Purge:
		return custody.MediaPurged, nil
	case device.Clear:
		return custody.MediaRaw, nil
	case device.NotAssured:
		return custody.MediaNotAssured, nil
	case device.NotWiped:
		return custody.MediaFailed, nil
	}
	return "", fmt.Errorf("class %s: %w", c, custody.ErrPayload)
}
