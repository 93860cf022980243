package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
	"salvor/wipe"
)

// attest classifies the evidence, signs the statement and records it. It may be
// repeated after a kill at any point: a statement that was signed is kept as it is.
func (r *purgeRun) attest(ctx context.Context, e erasing, evidence wipe.Evidence) (erased, error) {
	done, err := r.issue(ctx, e, e.job.ID, evidence, wipe.Classify(evidence))
	if err != nil {
		return erased{}, err
	}
	if err := wipe.MarkAttested(ctx, e.job, jobStore{r.station, e}); err != nil {
		return erased{}, err
	}
	if err := r.ledger.EndJob(ctx, e.job.ID); err != nil {
		return erased{}, err
	}
	r.publish(ctx)
	return done, nil
}

// issue signs a statement under an id, stores it and records what was done.
func (r *purgeRun) issue(ctx context.Context, e erasing, id string, evidence wipe.Evidence, class wipe.Class) (erased, error) {
	signed, err := r.ledger.Attest(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		signed, err = r.signAttest(ctx, e, id, evidence, class)
	}
	if err != nil {
		return erased{}, err
	}
	total := wipe.Total(evidence.Files)
	keys, media := custody.KeyClass(class.Key), custody.MediaClass(class.Media)
	if _, err := r.happened(ctx, r.op,
		ledger.Entry{Case: e.c.No, Item: e.image.Item, Pub: custody.EraseDone{
			Job: e.job.ID, Image: e.image.Name, Keys: keys, Media: media, Virtual: class.VirtualDevice,
			Files: int64(len(evidence.Files)), KeyFiles: int64(len(evidence.Keys)), Bytes: allocated(evidence.Files),
			Overwritten: total.Written, Equal: total.Equal, Unreadable: total.Unreadable,
		}},
		ledger.Entry{Case: e.c.No, Item: e.image.Item, Pub: custody.AttestIssued{
			Attest: id, SHA256: sha256.Sum256(signed), Image: e.image.Name, Keys: keys, Media: media,
		}},
	); err != nil {
		return erased{}, err
	}
	return erased{
		Outcome: "erased", Key: class.Key, Media: class.Media, Virtual: class.VirtualDevice, Reasons: class.Reasons,
		Bytes: total.Written, Attest: id,
	}, nil
}

func allocated(files []wipe.FileEvidence) (n int64) {
	for _, f := range files {
		n += f.Bytes
	}
	return n
}

// signAttest writes, signs and stores the statement.
func (r *purgeRun) signAttest(ctx context.Context, e erasing, id string, evidence wipe.Evidence, class wipe.Class) ([]byte, error) {
	checkpoint, err := r.checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	fates, err := r.keyFates(ctx, e, evidence, class)
	if err != nil {
		return nil, err
	}
	total := wipe.Total(evidence.Files)
	a := report.Attest{
		V: 1, ID: id, Shop: r.keys.Shop(), Station: r.keys.Name(), Issued: r.now(),
		Case: string(e.c.No), Image: e.image.Name, UUID: evidence.UUID, Vault: e.image.Vault,
		Ground: report.GroundDeadline, Deadline: e.c.Deadline,
		Key: string(class.Key), Media: string(class.Media), Virtual: class.VirtualDevice, Reasons: class.Reasons,
		Technique: report.TechniqueStream, Tool: "salvor", Version: version, Started: evidence.Begun, Ended: evidence.Ended,
		Content: report.Content{
			Files: int64(len(evidence.Files)), Total: allocated(evidence.Files), Overwritten: total.Written,
			ReadBack: total.Equal + total.Different, Equal: total.Equal, Unreadable: total.Unwritten + total.Unreadable,
			Read: readFrom(evidence),
		},
		Keys:        fates,
		Storage:     storages(evidence),
		PerformedBy: r.op,
		ValidatedBy: e.c.Validator(e.image.Name, r.op),
		Checkpoint:  checkpoint,
	}
	if e.image.Seal != nil {
		a.Root = e.image.Seal.Root.String()
	}
	if e.early {
		a.Ground = report.GroundEarly
	}
	if total.Written > 0 {
		text, err := evidence.StreamKey.MarshalText()
		if err != nil {
			return nil, err
		}
		a.StreamKey = string(text)
	}
	a.Uncover(class.NotCovered...)
	text, err := a.Text()
	if err != nil {
		return nil, fmt.Errorf("attest of %s/%s: %w", e.c.No, e.image.Name, err)
	}
	signed, err := r.keys.SignNote(string(text))
	if err != nil {
		return nil, err
	}
	return signed, r.ledger.SaveAttest(ctx, id, e.c.No, e.image.Name, signed)
}

// readFrom says how the content was read back: the weakest way of any file.
func readFrom(evidence wipe.Evidence) string {
	way := report.ReadDevice
	for _, f := range evidence.Files {
		switch {
		case f.Facts.Equal+f.Facts.Different == 0 && f.Bytes > 0:
			return report.ReadNone
		case !f.Facts.Raw:
			way = report.ReadFile
		}
	}
	if len(evidence.Files) == 0 {
		return report.ReadNone
	}
	return way
}

// keyFates says what became of every key copy: those that the ledger knows of, and
// those that were found beside them.
func (r *purgeRun) keyFates(ctx context.Context, e erasing, evidence wipe.Evidence, class wipe.Class) ([]report.KeyCopy, error) {
	found := make(map[string]wipe.FileEvidence)
	for _, k := range evidence.Keys {
		found[path.Base(k.Name)] = k
	}
	fate := func(k wipe.FileEvidence) string {
		switch {
		case k.Facts.Written != k.Bytes || k.Facts.Equal != k.Bytes || k.Change != wipe.Unchanged:
			return report.FateFailed
		case class.Key != wipe.KeyComplete, k.Restored:
			return report.FateUnproved
		}
		return report.FateDestroyed
	}
	var list []report.KeyCopy
	for _, known := range e.image.Keys {
		name := path.Base(known.File)
		row := report.KeyCopy{Keystore: known.Keystore, File: name, SHA256: known.SHA256.String(), Fate: report.FateMissing}
		k, here := found[name]
		if here = here && !known.Elsewhere(e.image); here {
			delete(found, name)
		}
		end, _, err := r.keyEnd(ctx, e.image, known)
		if err != nil {
			return nil, err
		}
		again := known.Elsewhere(e.image) && r.liesAgain(ctx, known)
		// What another job has destroyed is that one's, also where a file without a key
		// in it was overwritten once more. Its own record says nothing of another job.
		other := known.Gone != nil && known.Gone.Job != e.job.ID && (known.Elsewhere(e.image) || !here || !isKey(k, known))
		switch {
		case again:
			row.Fate = report.FateFailed
		case !other && here:
			row.Fate = fate(k)
		case !other:
		case end == wipe.EndProved:
			row.Fate = report.FateDestroyed
		case end == wipe.EndUnproved:
			row.Fate = report.FateUnproved
		default:
			row.Fate, row.By = report.FateEarlier, known.Gone.Ref.String()
		}
		list = append(list, row)
	}
	for _, k := range evidence.Keys {
		name := path.Base(k.Name)
		if _, unrecorded := found[name]; unrecorded {
			list = append(list, report.KeyCopy{Keystore: e.image.Vault, File: name, Fate: fate(k)})
		}
	}
	return list, nil
}

// isKey: what was there was the key file that the record knows.
func isKey(k wipe.FileEvidence, known custody.KeyCopy) bool {
	return k.SHA256 != nil && custody.Hash(*k.SHA256) == known.SHA256
}

func storages(evidence wipe.Evidence) []report.Storage {
	list := []report.Storage{storage("image", evidence.Vault)}
	for _, p := range append([]wipe.Place{evidence.Keystore}, evidence.Others...) {
		if p.FS == "" { // there was no directory of keys to look at
			continue
		}
		keys := storage("keys", p)
		same := list[0]
		same.Holds = keys.Holds
		switch {
		case fmt.Sprint(same) == fmt.Sprint(keys):
			list[0].Holds = "image and keys"
		case !slices.ContainsFunc(list, func(s report.Storage) bool { return fmt.Sprint(s) == fmt.Sprint(keys) }):
			list = append(list, keys)
		}
	}
	return list
}

func storage(holds string, p wipe.Place) report.Storage {
	rotational := string(p.Rotating)
	if p.Rotating == wipe.NotKnown {
		rotational = "unknown"
	}
	return report.Storage{
		Holds: holds, FileSystem: p.FS, Device: p.Device, Rotational: rotational,
		Options: strings.Join(p.Options, ","), Virtual: len(p.Virtual) > 0, Layers: p.Virtual, Snapshots: p.Snapshots,
	}
}

// checkpoint is the ledger's state as a paper shows it.
func (s *station) checkpoint(ctx context.Context) (report.Checkpoint, error) {
	c, err := s.ledger.CheckpointNow(ctx)
	if err != nil {
		return report.Checkpoint{}, err
	}
	return report.Checkpoint{Size: c.Size, Code: c.Code()}, nil
}
