package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/wipe"
)

// erasing is one image that a purge has to erase, or go on erasing.
type erasing struct {
	c     custody.Case
	image custody.Image
	job   *wipe.Job // nil: not begun
	early bool
	again bool // it was erased, and what came back of it is to go
}

// atWork is the newest job that has begun to erase the image, or what came back of it,
// and has neither called that off nor ended; "" when there is none.
func (e erasing) atWork() string {
	b, back := e.image.Comeback()
	switch {
	case e.again && back && len(b.Jobs) > 0 && b.Failed != custody.StepPlanned:
		if job := b.Jobs[len(b.Jobs)-1]; b.Erase == nil || b.Erase.Job != job {
			return job
		}
	case !e.again && e.image.State == custody.ImageIsErasing && e.image.EraseFailed != custody.StepPlanned:
		return e.image.EraseJob
	}
	return ""
}

// taken tells whether a job whose journal is not here has begun to erase the image.
func (e erasing) taken() bool { return e.job == nil && e.atWork() != "" }

// readBack tells whether such a job has recorded that all of it was overwritten and read
// back.
func (e erasing) readBack() bool {
	b, _ := e.image.Comeback()
	return slices.ContainsFunc(e.image.Proofs, func(p custody.Proof) bool {
		return p.Step == custody.StepVerified && p.Media != custody.MediaFailed && (!e.again || slices.Contains(b.Jobs, p.Job))
	})
}

// erase plans one image, and erases it unless this is a dry run.
func (r *purgeRun) erase(ctx context.Context, e erasing) (erased, error) {
	if e.job == nil && !e.again && !r.options.dryRun {
		if err := r.lookAgain(ctx, &e); err != nil {
			return erased{}, err
		}
	}
	if e.image.State == custody.ImageIsErased && !e.again {
		return r.wasErased(ctx, e)
	}
	if err := r.mayErase(ctx, e.c, e.image.Name, e.early && (r.options.now || e.job != nil)); err != nil {
		return r.propose(ctx, e, fmt.Errorf("case %s: %w", e.c.No, err))
	}
	if err := r.othersAtWork(ctx, e); err != nil {
		return erased{}, err
	}
	unlock, err := r.lock(string(e.c.No))
	if err != nil {
		return erased{}, err
	}
	defer unlock()
	v, err := r.openVault(ctx, e.image.Vault)
	if err != nil {
		return erased{}, err
	}
	defer v.close()
	target, err := r.target(ctx, v, e)
	if err != nil {
		return erased{}, err
	}
	if err := r.clearLock(v, e.c.No); err != nil {
		return erased{}, err
	}
	begun := e.job != nil
	if !begun {
		e.job, err = wipe.Plan(ctx, target, rand.Reader)
		// What another station has begun to erase was there.
		switch {
		case errors.Is(err, wipe.ErrMissing) && len(e.image.Keys) == 0 && !e.taken() && !e.again && !r.options.acceptMissing:
			return r.neverBegun(ctx, e)
		case errors.Is(err, wipe.ErrMissing), errors.Is(err, wipe.ErrKeysMissing):
			return erased{}, r.looked(e, err)
		case err != nil:
			return erased{}, err
		case target.Taken && !e.again && e.early && !r.options.now && e.job.Whole():
			return r.givenBack(ctx, e)
		}
	}
	if r.options.dryRun {
		return foreseen(e.job, begun), nil
	}
	if !begun {
		if err := (jobStore{r.station, e}).Save(ctx, e.job); err != nil {
			return erased{}, err
		}
	}
	return r.carryOut(ctx, v, target, e)
}

// lookAgain takes in what the other stations have told since the run began: one that
// purges at the same time may have erased the image by now, or be at it. What cannot be
// asked now stops the erasing at its gate.
func (r *purgeRun) lookAgain(ctx context.Context, e *erasing) error {
	if err := r.withJournals(ctx, func(journals []*journal.Journal) error {
		if _, err := r.ledger.Import(ctx, journals...); err != nil && isAlarm(err) {
			return err
		}
		return nil
	}); err != nil {
		return err
	}
	return r.reload(ctx, e)
}

// reload takes what is recorded by now.
func (r *purgeRun) reload(ctx context.Context, e *erasing) error {
	c, err := r.ledger.Case(ctx, e.c.No)
	if err != nil {
		return err
	}
	i, ok := c.Image(e.image.Name)
	if !ok {
		return custody.ErrNoImage
	}
	e.c, e.image = c, i
	return nil
}

// wasErased ends a job that was killed between its attest and its end, or that another
// station has overtaken.
func (r *purgeRun) wasErased(ctx context.Context, e erasing) (erased, error) {
	done := erased{Outcome: "erased", Key: wipe.KeyClass(e.image.Erase.Keys), Media: wipe.MediaClass(e.image.Erase.Media), Virtual: e.image.Erase.Virtual, Attest: e.image.EraseJob}
	if r.options.dryRun || e.job == nil {
		return done, nil
	}
	return done, r.ledger.EndJob(ctx, e.job.ID)
}

// looked says what a person can do about an image of which something is missing. It is
// an exception to look at, and never an erasing by itself.
func (r *purgeRun) looked(e erasing, err error) error {
	no := string(e.c.No)
	return &ui.Error{
		Code: ui.Refused, What: "image " + no + "/" + e.image.Name, Why: err.Error(), Err: err,
		Hint: "mount what is away, or find out who took it; who has looked ends it with salvor purge --case " + no + " --accept-missing --reason …",
	}
}

// givenBack ends an early erasing of which the journal was lost before anything was
// destroyed: the image is its customer's again.
func (r *purgeRun) givenBack(ctx context.Context, e erasing) (erased, error) {
	if !r.options.dryRun {
		if _, err := r.happened(ctx, r.op, ledger.Entry{Case: e.c.No, Item: e.image.Item, Pub: custody.EraseFailed{
			Job: e.image.EraseJob, Image: e.image.Name, Step: custody.StepPlanned,
		}}); err != nil {
			return erased{}, err
		}
	}
	return erased{Outcome: "spared"}, nil
}

// othersAtWork keeps two stations from erasing one image at the same time, each with a
// stream of its own. What another station has begun is left to it as long as it may
// still be at it; one that is retired, or has been silent for as long as no purge job
// ever is, has lost it.
func (r *purgeRun) othersAtWork(ctx context.Context, e erasing) error {
	job := e.atWork()
	if job == "" || r.options.takeOver {
		return nil
	}
	events, err := r.ledger.Events(ctx, e.c.No)
	if err != nil {
		return err
	}
	station, newest := "", time.Time{}
	for _, x := range events {
		switch p := x.Pub.(type) {
		case custody.EraseStarted:
			if p.Job == job {
				station, newest = x.Station, x.TS.Time
			}
		case custody.EraseProved:
			if p.Job == job {
				newest = x.TS.Time
			}
		}
	}
	shop, err := r.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	for _, known := range shop.Stations {
		if known.Station == station && known.Retired != nil {
			return nil
		}
	}
	if station == "" || station == r.keys.Name() || r.now().Sub(newest) > maxSilence {
		return nil
	}
	return &ui.Error{
		Code: ui.Locked, What: "image " + string(e.c.No) + "/" + e.image.Name, Why: fmt.Sprintf("station %s is erasing it, since %s", station, r.term.DateTime(newest)),
		Hint: "it goes on there: salvor purge; where that station has lost its ledger: salvor purge --take-over",
	}
}

// clearLock makes sure that no other station is writing to the case, and takes away
// the lock that a killed run has left. Only the lock: what it means is advisory, and
// the erasing looks for open files itself.
func (r *purgeRun) clearLock(v *openedVault, no custody.CaseNo) error {
	if r.options.dryRun {
		return nil
	}
	holder, held, err := vault.ReadLock(v.dir, string(no), r.now())
	if err != nil {
		return err
	}
	// Another run on this station would hold the local lock as well.
	if held && holder.Station != r.keys.Name() {
		return fmt.Errorf("case %s: %w: station %s, since %s", no, vault.ErrLocked, holder.Station, r.term.DateTime(holder.Since))
	}
	// Whatever has that name and is no lock stays, and keeps the directory: no reason to
	// keep the image.
	_ = v.dir.Remove(path.Join("cases", string(no), "writer.lock"))
	return nil
}

// foreseen is what a dry run says of a job.
func foreseen(j *wipe.Job, begun bool) erased {
	reach := j.Reach()
	e := erased{Outcome: "planned", Key: reach.Key, Media: reach.Media, Virtual: reach.VirtualDevice, Reasons: reach.Reasons}
	if begun {
		e.Reasons = append(e.Reasons, "begun by an earlier run; this one would finish it")
	}
	for _, f := range j.Files {
		e.Bytes += f.Alloc
	}
	return e
}

// neverBegun ends an image whose run was cut off before it wrote anything: the ledger
// knows of no key, and the vault, which is there, holds neither image nor key.
func (r *purgeRun) neverBegun(ctx context.Context, e erasing) (erased, error) {
	if !r.options.dryRun {
		if _, err := r.ledger.Append(ctx, r.op, ledger.Entry{Case: e.c.No, Item: e.image.Item, Pub: custody.ImageFailed{
			Image: e.image.Name, Untried: e.image.Bytes, Why: custody.StopInterrupted,
		}}); err != nil {
			return erased{}, err
		}
	}
	return erased{Outcome: "empty"}, nil
}

// target is what is to be erased, with everything that the record says of it.
func (r *purgeRun) target(ctx context.Context, v *openedVault, e erasing) (wipe.Target, error) {
	ref := vault.ImageRef{Case: string(e.c.No), Name: e.image.Name}
	t := wipe.Target{
		Vault: v.dir.Root(), Dir: ref.Dir(), CaseDir: ref.CaseDir(),
		Keystore: v.dir.Root(), KeystoreName: v.id, KeyDir: ref.KeyDir(), UUID: e.image.UUID,
	}
	if e.image.Seal != nil {
		t.Segments, t.Stored, t.Written = int(e.image.Seal.Segments), e.image.Seal.Stored, e.image.Sealed
	}
	if e.again { // how much of it came back is nobody's business
		stone := wipe.Tombstone{UUID: t.UUID, Dir: t.Dir, CaseDir: t.CaseDir, KeyDir: t.KeyDir}
		t = stone.Target(t.Vault, t.Keystore, t.KeystoreName)
	}
	if e.taken() {
		t.Taken, t.TakenVerified = true, e.readBack()
	}
	if r.options.acceptMissing {
		t.AcceptMissingKeys, t.AcceptMissingImage = true, true
	}
	return t, r.expectKeys(ctx, &t, e.image)
}

// jobStore keeps the wipe's job in the ledger.
type jobStore struct {
	s *station
	e erasing
}

// Save implements [wipe.Journal].
func (j jobStore) Save(ctx context.Context, job *wipe.Job) error {
	body, err := json.Marshal(job)
	if err != nil {
		return err
	}
	return j.s.ledger.SaveJob(ctx, job.ID, j.e.c.No, j.e.image.Name, body)
}

// eraseJob is the wipe's job as the ledger keeps it.
func eraseJob(saved ledger.Job) (*wipe.Job, error) {
	job := new(wipe.Job)
	if err := json.Unmarshal(saved.Body, job); err != nil {
		return nil, fmt.Errorf("erase job %s: %w", saved.ID, err)
	}
	return job, nil
}

// carryOut erases by the job, from wherever it stands, and records the outcome.
func (r *purgeRun) carryOut(ctx context.Context, v *openedVault, target wipe.Target, e erasing) (erased, error) {
	job := e.job
	if !e.begun() {
		private := map[string]string{}
		if r.options.reason != "" {
			private[custody.FieldReason] = r.options.reason
		}
		// Early needs a reason; one that was begun early has given it.
		early := e.early && r.options.reason != ""
		if _, err := r.ledger.Append(ctx, r.op, ledger.Entry{
			Case: e.c.No, Item: e.image.Item, Pub: custody.EraseStarted{Job: job.ID, Image: e.image.Name, Early: early}, Private: private,
		}); err != nil {
			return erased{}, err
		}
	}
	var notes []string
	progress, end := r.phases(fmt.Sprintf("erase %s/%s", e.c.No, e.image.Name))
	_, err := wipe.Run(ctx, target, job, wipe.Options{
		Journal: jobStore{r.station, e}, Now: r.now, Residue: r.options.residue,
		Gate: func(ctx context.Context) error { return r.gate(ctx, e) }, Progress: progress,
		Reached: func(ctx context.Context, shown wipe.Evidence) (err error) {
			if err := r.proved(ctx, e, v.id, job.ID, shown); err != nil {
				return fmt.Errorf("record what is proved: %w", err)
			}
			// The keys beside the image are destroyed: there is no way back.
			notes, err = r.keystores(ctx, e)
			return err
		},
		UnlinkFailed: r.options.acceptMissing || e.again && job.NoImage,
	})
	end()
	save := context.WithoutCancel(ctx)
	step := custody.EraseStep(job.Stage)
	switch {
	case err != nil:
		err = fmt.Errorf("image %s/%s: %w", e.c.No, e.image.Name, err)
		if job.Stage == wipe.Planned && !job.Untouched() {
			step = custody.StepKeys
		}
	case len(notes) > 0 && len(job.Files)+len(job.Keys) == 0:
		// Only keys elsewhere came back, and are still there: nothing is to be attested.
		step, err = custody.StepKeys, errors.Join(keysAreLeft(e, notes), r.ledger.EndJob(save, job.ID))
	}
	if err != nil {
		_, recordErr := r.happened(save, r.op, ledger.Entry{
			Case: e.c.No, Item: e.image.Item, Pub: custody.EraseFailed{Job: job.ID, Image: e.image.Name, Step: step},
		})
		return erased{}, errors.Join(err, recordErr)
	}
	if err := r.refresh(save, &target, &e); err != nil {
		return erased{}, err
	}
	job.Recount(target)
	done, err := r.attest(save, e, job.Evidence())
	done.Reasons, done.KeysLeft = append(done.Reasons, notes...), len(notes) > 0 || len(e.image.KeysElsewhere()) > 0
	return done, err
}

// begun tells whether the record says already that the job is at work.
func (e erasing) begun() bool {
	if e.again {
		b, ok := e.image.Comeback()
		return ok && slices.Contains(b.Jobs, e.job.ID)
	}
	return e.image.State == custody.ImageIsErasing && e.image.EraseJob == e.job.ID
}

// refresh looks at the case once more: keys in other keystores are gone since.
func (r *purgeRun) refresh(ctx context.Context, target *wipe.Target, e *erasing) error {
	if err := r.reload(ctx, e); err != nil {
		return err
	}
	return r.expectKeys(ctx, target, e.image)
}

// phases shows each phase of an erasing with a rate of its own.
func (r *purgeRun) phases(what string) (progress func(wipe.Progress), end func()) {
	var bar *ui.Progress
	var phase string
	end = func() {
		if bar != nil {
			bar.End()
		}
	}
	return func(p wipe.Progress) {
		if bar == nil || p.What != phase {
			end()
			bar, phase = r.term.Progress(what, ui.Bytes), p.What
		}
		bar.Set(p.Done, p.Total, ui.UnknownRate, p.What)
	}, end
}

// gate takes in what the other stations have published, immediately before anything is
// destroyed: a hold that was set a moment ago, at any of them, still counts. A vault
// with something of the case that is away, or a file in one that is not believed, may
// hide one.
func (r *purgeRun) gate(ctx context.Context, e erasing) error {
	return r.withJournals(ctx, func(journals []*journal.Journal) error {
		c, err := r.ledger.CaseUnderLock(ctx, e.c.No, journals...)
		if err != nil {
			return r.unseen(ctx, err)
		}
		return r.mayErase(ctx, c, e.image.Name, e.early)
	})
}

// unseen says which vault could not be asked.
func (r *purgeRun) unseen(ctx context.Context, err error) error {
	var missing *ledger.UnpublishedError
	if !errors.As(err, &missing) || isAlarm(err) {
		return err
	}
	names, nerr := r.vaultNames(ctx)
	if nerr != nil {
		return nerr
	}
	for _, m := range missing.Vaults {
		if full(m.Err) {
			return &ui.Error{
				Code: ui.Absent, What: "case " + string(missing.Case), Why: "vault " + names[m.Vault] + " is full: it cannot even be written there that the erasing begins", Err: err,
				Hint: "make a little room for that on the vault, from what is not salvor's; then salvor purge",
			}
		}
	}
	return &ui.Error{
		Code: ui.Absent, What: "case " + string(missing.Case), Why: "vault " + missingWords(names, missing.Vaults) + " could not be asked for holds", Err: err,
		Hint: "mount it, then salvor purge",
	}
}

// mayErase asks the shop's rules: validation and four eyes are settled by events.
func (r *purgeRun) mayErase(ctx context.Context, c custody.Case, image string, early bool) error {
	shop, err := r.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	return shop.MayErase(c, image, r.op, r.now(), early)
}

// propose records that an image waits for somebody to look at it, when that is why it
// may not be erased.
func (r *purgeRun) propose(ctx context.Context, e erasing, why error) (erased, error) {
	if !errors.Is(why, custody.ErrNotValidated) && !errors.Is(why, custody.ErrTwoPersons) {
		return erased{}, why
	}
	waits := erased{Outcome: "proposed"}
	why = &ui.Error{
		Code: ui.Incomplete, What: "case " + string(e.c.No), Why: "nobody who may has allowed its erasing yet", Hint: "salvor validate " + string(e.c.No), Err: why,
	}
	if r.options.dryRun || e.c.Proposed(e.image.Name) {
		return waits, why
	}
	_, err := r.ledger.Append(ctx, r.op, ledger.Entry{Case: e.c.No, Pub: custody.PurgeProposed{
		Proposal: shortID("p"), Images: []string{e.image.Name}, Deadline: custody.At(e.c.Deadline),
	}})
	return waits, errors.Join(why, err)
}
