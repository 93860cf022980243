package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody/ledger"
	"salvor/custody/report"
	"salvor/wipe"
	"salvor/wipe/device"
)

// finish classifies the evidence, signs the statement and ends the job. It may be
// repeated after a kill at any point: a statement that was signed is kept as it is.
func (w *wiping) finish(ctx context.Context, job *device.Job, evidence device.Evidence) error {
	v := device.Classify(evidence)
	signed, err := w.ledger.Attest(ctx, job.ID)
	if errors.Is(err, ledger.ErrNotFound) {
		signed, err = w.sign(ctx, job, evidence, v)
	}
	if err != nil {
		return err
	}
	if err := w.recordEnd(ctx, job, evidence, v, signed); err != nil {
		return err
	}
	if err := device.MarkAttested(ctx, job, w); err != nil {
		return err
	}
	if w.o.out != "" {
		if err := writeWhole(w.o.out, signed, false, nil); err != nil {
			return err
		}
	}
	if err := w.ledger.EndJob(ctx, job.ID); err != nil {
		return err
	}
	if w.json {
		if err := w.term.Message("wiped", map[string]any{
			"attest": job.ID, "verdict": v, "content": contentOf(evidence), "sanitize": evidence.Sanitize, "key": w.keys.Verifier(),
			"seconds": map[string]float64{"overwrite": job.Turned.Sub(job.Begun).Seconds(), "read_back": job.Ended.Sub(job.Turned).Seconds()},
		}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(w.term.Out, "%s  %s%s\n    attest %s\n", w.path, v.Class, virtualWords(v.OnVirtual), job.ID)
		for _, r := range []struct {
			what string
			r    device.Ranges
		}{{"not overwritten", evidence.Unwritten}, {"different when read back", evidence.Read.Different}, {"unreadable", evidence.Read.Unreadable}} {
			if r.r.Bytes > 0 {
				fmt.Fprintf(w.term.Out, "    %s: %d bytes in %d ranges, first at %d\n", r.what, r.r.Bytes, int64(len(r.r.List))+r.r.More, r.r.List[0].Off)
			}
		}
		verdictLines(w.term, v)
		fmt.Fprintf(w.term.Out, "    station key %s\n", w.keys.Verifier())
	}
	switch v.Class {
	case device.Purge, device.Clear:
		return nil
	case device.NotAssured:
		return &ui.Error{Code: ui.Incomplete, What: "wipe", Why: "it is not assured that everything is gone", Hint: "the reasons stand above; destroy the disk where it matters"}
	}
	hint := "destroy the disk"
	if w.c != "" {
		hint += ", and record it: salvor destroyed " + w.ref() + " --method … --witness …"
	}
	return &ui.Error{Code: ui.VerifyFailed, What: "wipe", Why: "not every byte was overwritten and read back", Hint: hint}
}

// sign writes, signs and stores the statement.
func (w *wiping) sign(ctx context.Context, job *device.Job, e device.Evidence, v device.Verdict) ([]byte, error) {
	checkpoint, err := w.checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	key, err := job.StreamKey.MarshalText()
	if err != nil {
		return nil, err
	}
	a := report.DeviceAttest{
		V: 1, Kind: report.KindDevice, ID: job.ID, Shop: w.keys.Shop(), Station: w.keys.Name(), Issued: w.now(), Case: string(w.c),
		Device: deviceFacts(e), Class: string(v.Class), Virtual: v.OnVirtual, Reasons: v.Reasons,
		Technique: report.TechniqueDevice, Passes: max(1, job.Passes), StreamKey: string(key), Tool: "salvor", Version: version,
		Started: job.Begun, Ended: job.Ended, Resumed: job.Resumed,
		Content: contentOf(e), Discarded: string(e.Discarded), NotCovered: v.NotCovered,
		PerformedBy: w.op.ID, Checkpoint: checkpoint,
	}
	if s := e.Sanitize; s.Outcome != device.NotAsked {
		a.Sanitize = report.DeviceSanitize{Action: string(s.Action), Outcome: string(s.Outcome), Looked: s.Looked, Left: s.Left}
	}
	text, err := a.Text()
	if err != nil {
		return nil, fmt.Errorf("attest of %s: %w", job.Device.Name, err)
	}
	signed, err := w.keys.SignNote(string(text))
	if err != nil {
		return nil, err
	}
	return signed, w.ledger.SaveAttest(ctx, job.ID, w.c, "", signed)
}

func deviceFacts(e device.Evidence) report.DeviceFacts {
	id := e.Device
	f := report.DeviceFacts{
		Name: id.Name, ByID: id.ByID, Vendor: id.Vendor, Model: id.Model, Serial: id.Serial, WWN: id.WWN, Firmware: id.Firmware,
		Transport: id.Transport, Media: string(id.Media), Bytes: id.Bytes, Sector: id.Sector, Physical: id.Physical,
		Rotational: string(id.Rotating), Layers: id.Virtual, Hidden: "unknown", Confirmed: report.BySerial,
	}
	if id.Rotating == wipe.NotKnown {
		f.Rotational = "unknown"
	}
	if id.Hidden.Known {
		f.Hidden = strconv.FormatInt(id.Hidden.Sectors, 10)
	}
	if e.ByName {
		f.Confirmed = report.ByName
	}
	return f
}

func contentOf(e device.Evidence) report.DeviceContent {
	return report.DeviceContent{
		Total: e.Device.Bytes, Overwritten: e.Written, Equal: e.Read.Equal,
		Different: rangesOf(e.Read.Different), Unreadable: rangesOf(e.Read.Unreadable), Unwritten: rangesOf(e.Unwritten),
	}
}

func rangesOf(r device.Ranges) report.DeviceRanges {
	out := report.DeviceRanges{Bytes: r.Bytes, More: r.More}
	for i, s := range r.List {
		if i == report.MaxRanges {
			out.More += int64(len(r.List) - i)
			break
		}
		out.List = append(out.List, report.DeviceRange{Off: s.Off, Len: s.Len})
	}
	return out
}
