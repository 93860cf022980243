package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/journal"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/wipe"
)

// Keys lie in the vault of their image, and copies of them may lie in another. Each
// keystore is erased by a job of its own, which leaves a record of what it proved, once
// the keys beside the image are destroyed: until then everything can be called off. Where
// a keystore is away the image goes all the same, its class says that a key is left, and
// a later purge completes it.

// expectKeys fills in what is known of every key copy, and of the keystores in which
// jobs of this station have destroyed some. One that lies in another keystore is there,
// whatever the record says.
func (r *purgeRun) expectKeys(ctx context.Context, t *wipe.Target, i custody.Image) error {
	t.ExpectedKeys, t.Others = nil, nil
	shown := make(map[string]bool)
	for _, k := range i.Keys {
		end, place, err := r.keyEnd(ctx, i, k)
		if err != nil {
			return err
		}
		if k.Keystore != t.KeystoreName && r.liesAgain(ctx, k) {
			end, place = wipe.KeyThere, nil
		}
		t.ExpectedKeys = append(t.ExpectedKeys, wipe.KeyCopy{
			Keystore: k.Keystore, File: path.Base(k.File), SHA256: k.SHA256, Session: k.SessionID, End: end,
		})
		if place != nil && k.Keystore != t.KeystoreName && !shown[k.Keystore] {
			shown[k.Keystore] = true
			t.Others = append(t.Others, *place)
		}
	}
	return nil
}

// keyEnd says what is known of the end of a key copy. The record of a job is a proof
// only where the job's own journal is at hand and shows it of this very key: a record
// of another station may name any job.
func (s *station) keyEnd(ctx context.Context, i custody.Image, k custody.KeyCopy) (wipe.KeyEnd, *wipe.Place, error) {
	switch {
	case k.Gone == nil:
		return wipe.KeyThere, nil, nil
	case k.Gone.Destroyed:
		return wipe.EndRecorded, nil, nil
	case !k.Gone.Proved:
		return wipe.EndUnproved, nil, nil
	}
	saved, err := s.ledger.Job(ctx, k.Gone.Job)
	if errors.Is(err, ledger.ErrNotFound) {
		return wipe.EndRecorded, nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	job, err := eraseJob(saved)
	if err != nil {
		return "", nil, err
	}
	own := job.UUID == hex.EncodeToString(i.UUID[:]) && job.KeystoreName == k.Keystore
	shown := own && slices.ContainsFunc(wipe.ProveKeys(job.Evidence()), func(p wipe.KeyProof) bool {
		return p.Name == path.Base(k.File) && p.Proved && i.Wrapped(k.Keystore, k.File, p.SHA256)
	})
	if !shown {
		return wipe.EndRecorded, nil, nil
	}
	return wipe.EndProved, &job.Keystore, nil
}

// liesAgain tells whether a key file of which the end is recorded lies in its keystore:
// a copy of that was put back, or the record is wrong.
func (s *station) liesAgain(ctx context.Context, k custody.KeyCopy) bool {
	if k.Gone == nil {
		return false
	}
	v, err := s.openVault(ctx, k.Keystore)
	if err != nil {
		return false
	}
	defer v.close()
	return v.has(k)
}

// has tells whether a key file lies in its keystore as it was recorded. What cannot be
// read is there.
func (v *openedVault) has(k custody.KeyCopy) bool { return !errors.As(keyDamage(v, k), new(keyFault)) }

// keystores erases the keys of an image that lie in other keystores. What is left, and
// why, is said in notes: it keeps nothing from going, unless a hold was set meanwhile.
func (r *purgeRun) keystores(ctx context.Context, e erasing) (notes []string, err error) {
	if err := r.reload(ctx, &e); err != nil {
		return nil, err
	}
	names, err := r.vaultNames(ctx)
	if err != nil {
		return nil, err
	}
	var seen []string
	for _, k := range e.image.Keys {
		if !k.Elsewhere(e.image) || slices.Contains(seen, k.Keystore) {
			continue
		}
		seen = append(seen, k.Keystore)
		name := names[k.Keystore]
		if name == "" {
			name = k.Keystore
		}
		err := r.keystore(ctx, e, k.Keystore)
		if ctx.Err() != nil || errors.Is(err, custody.ErrHeld) {
			return nil, err
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("key files are left in vault %s: %s", name, explain(err).Error()))
		}
	}
	return notes, nil
}

// keystore erases the keys of an image in one other keystore, or goes on with that. What
// is recorded to be destroyed there is looked for, where the keystore is there.
func (r *purgeRun) keystore(ctx context.Context, e erasing, id string) error {
	job, err := r.keyJob(ctx, e, id)
	if err != nil {
		return err
	}
	here := slices.DeleteFunc(slices.Clone(e.image.Keys), func(k custody.KeyCopy) bool { return k.Keystore != id })
	left := job != nil || slices.ContainsFunc(here, func(k custody.KeyCopy) bool { return k.Gone == nil })
	v, err := r.openVault(ctx, id)
	if err != nil {
		if left {
			return err
		}
		return nil // it cannot be looked into
	}
	defer v.close()
	again := slices.ContainsFunc(here, func(k custody.KeyCopy) bool { return k.Gone != nil && v.has(k) })
	if !left && !again {
		return nil
	}
	if again && job == nil && !e.again {
		r.back++
		r.term.Warn("image %s/%s: a key file lies in vault %s, and the record says that it was destroyed; find out who has copies", e.c.No, e.image.Name, v.name)
	}
	ref := vault.ImageRef{Case: string(e.c.No), Name: e.image.Name}
	t := wipe.Target{
		Vault: v.dir.Root(), Dir: ref.Dir(), CaseDir: ref.CaseDir(),
		Keystore: v.dir.Root(), KeystoreName: id, KeyDir: ref.KeyDir(), UUID: e.image.UUID, KeysOnly: true,
	}
	if err := r.expectKeys(ctx, &t, e.image); err != nil {
		return err
	}
	store := jobStore{r.station, e}
	if job == nil {
		if job, err = wipe.Plan(ctx, t, rand.Reader); err != nil {
			return err
		}
		if err := store.Save(ctx, job); err != nil {
			return err
		}
	}
	reached := func(ctx context.Context, shown wipe.Evidence) error {
		if shown.Stage != wipe.Verified { // before that some of it may be put back
			return nil
		}
		return r.proved(ctx, e, id, job.ID, shown)
	}
	if _, err := wipe.Run(ctx, t, job, wipe.Options{
		Journal: store, Now: r.now, Residue: r.options.residue, Reached: reached,
		Gate: func(ctx context.Context) error { return r.gate(ctx, e) },
	}); err != nil {
		return err
	}
	return r.ledger.EndJob(ctx, job.ID)
}

// keyJob is the job that an earlier run began in a keystore; nil when there is none, or
// it has destroyed nothing yet.
func (r *purgeRun) keyJob(ctx context.Context, e erasing, keystore string) (*wipe.Job, error) {
	open, err := r.ledger.OpenJobs(ctx)
	if err != nil {
		return nil, err
	}
	for _, saved := range open {
		if saved.Case != e.c.No || saved.Image != e.image.Name {
			continue
		}
		job, err := eraseJob(saved)
		if err != nil {
			return nil, err
		}
		switch {
		case !job.KeysOnly || job.KeystoreName != keystore:
		case job.Untouched():
			if err := r.ledger.EndJob(ctx, saved.ID); err != nil {
				return nil, err
			}
		default:
			return job, nil
		}
	}
	return nil, nil
}

// proved records what a job has shown, once for each step, and publishes it: whoever
// finishes the erasing without this station's ledger knows it from there.
func (r *purgeRun) proved(ctx context.Context, e erasing, keystore, job string, shown wipe.Evidence) error {
	c, err := r.ledger.Case(ctx, e.c.No)
	if err != nil {
		return err
	}
	i, _ := c.Image(e.image.Name)
	class := wipe.Classify(shown)
	var entries []ledger.Entry
	add := func(p custody.EraseProved) {
		p.Job, p.Image, p.Virtual = job, e.image.Name, class.VirtualDevice
		entries = append(entries, ledger.Entry{Case: e.c.No, Item: e.image.Item, Pub: p})
	}
	if _, told := i.Proved(job, custody.StepKeyDone); !told {
		var copies []custody.KeyDestroyed
		for _, p := range wipe.ProveKeys(shown) {
			file := path.Join(vault.ImageRef{Case: string(e.c.No), Name: e.image.Name}.KeyDir(), p.Name)
			copies = append(copies, custody.KeyDestroyed{File: file, SHA256: custody.Hash(p.SHA256), Proved: p.Proved})
		}
		slices.SortFunc(copies, func(a, b custody.KeyDestroyed) int { return strings.Compare(a.File, b.File) })
		for part := range slices.Chunk(copies, custody.MaxDestroyedKeys) {
			add(custody.EraseProved{Step: custody.StepKeyDone, Keystore: keystore, Copies: part})
		}
	}
	if _, told := i.Proved(job, custody.StepVerified); !told && shown.Stage == wipe.Verified && !shown.KeysOnly {
		add(custody.EraseProved{Step: custody.StepVerified, Media: custody.MediaClass(class.Media)})
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := r.happened(context.WithoutCancel(ctx), r.op, entries...); err != nil {
		return err
	}
	r.publish(ctx)
	return nil
}

// publish tells the vaults what is recorded, as far as they are there. What one does
// not get now it gets when the command ends, or with the next.
func (r *purgeRun) publish(ctx context.Context) {
	_ = r.withJournals(ctx, func(journals []*journal.Journal) error {
		for _, j := range journals {
			_, _ = r.ledger.Publish(ctx, j)
		}
		return nil
	})
}

// keysLeft goes after the keys of erased images that lay in a keystore which was away,
// and completes the attest where the last of them is accounted for now.
func (r *purgeRun) keysLeft(ctx context.Context) error {
	cases, err := r.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return err
	}
	open, err := r.ledger.OpenJobs(ctx)
	if err != nil {
		return err
	}
	for _, c := range cases {
		for _, i := range c.Images {
			elsewhere := slices.ContainsFunc(i.Keys, func(k custody.KeyCopy) bool { return k.Elsewhere(i) })
			if i.State != custody.ImageIsErased || !elsewhere || r.options.caseNo != "" && !r.asked(c.No) || r.dealtWith(c.No, i.Name) {
				continue
			}
			left := len(i.KeysElsewhere()) > 0
			// One that was killed when all was proved has only files to take away.
			begun := slices.ContainsFunc(open, func(j ledger.Job) bool { return j.Case == c.No && j.Image == i.Name })
			result, err := r.completeKeys(ctx, erasing{c: c, image: i}, left, begun)
			if left || result.Outcome != "" || err != nil {
				r.report(c.No, i.Name, result, err)
			}
		}
	}
	return nil
}

func (r *purgeRun) asked(no custody.CaseNo) bool {
	c, err := custody.ParseCaseNo(r.options.caseNo)
	return err == nil && c == no
}

// dealtWith: what this run has erased itself needs no second look.
func (r *purgeRun) dealtWith(no custody.CaseNo, image string) bool {
	return slices.ContainsFunc(r.results, func(x erased) bool { return x.Case == no && x.Image == image })
}

// completeKeys erases what is left of an erased image's keys. A result without an
// outcome says that there was nothing to do.
func (r *purgeRun) completeKeys(ctx context.Context, e erasing, left, begun bool) (erased, error) {
	result := erased{Key: wipe.KeyClass(e.image.Erase.Keys), Media: wipe.MediaClass(e.image.Erase.Media), Virtual: e.image.Erase.Virtual}
	if left {
		if err := r.mayErase(ctx, e.c, e.image.Name, true); err != nil {
			return result, fmt.Errorf("case %s: %w", e.c.No, err)
		}
		if r.options.dryRun {
			result.Outcome = "planned"
			return result, nil
		}
	}
	if (left || begun) && !r.options.dryRun {
		unlock, err := r.lock(string(e.c.No))
		if err != nil {
			return result, err
		}
		defer unlock()
		notes, err := r.keystores(ctx, e)
		if err != nil {
			return result, err
		}
		if len(notes) > 0 {
			return result, keysAreLeft(e, notes)
		}
	}
	if e.image.Erase.Keys == custody.KeysComplete || r.options.dryRun {
		return result, nil
	}
	return r.completeAttest(ctx, e, result)
}

// keysAreLeft says that keys in other keystores are not erased.
func keysAreLeft(e erasing, notes []string) error {
	return &ui.Error{
		Code: ui.Absent, What: "image " + string(e.c.No) + "/" + e.image.Name, Why: notes[0], Hint: "mount that vault, then salvor purge",
	}
}

// completeAttest issues a second attest of an image that is erased, when its keys are
// better accounted for than they were. It needs the journal of the erasing: the record
// alone proves nothing.
func (r *purgeRun) completeAttest(ctx context.Context, e erasing, result erased) (erased, error) {
	saved, err := r.ledger.Job(ctx, e.image.Erase.Job)
	if errors.Is(err, ledger.ErrNotFound) {
		return result, nil
	}
	if err != nil {
		return result, err
	}
	if e.job, err = eraseJob(saved); err != nil {
		return result, err
	}
	var target wipe.Target
	target.KeystoreName = e.image.Vault
	if err := r.refresh(ctx, &target, &e); err != nil {
		return result, err
	}
	last := ""
	for _, p := range e.image.Proofs {
		if p.Keystore != "" && p.Keystore != e.image.Vault {
			last = p.Job
		}
	}
	if last == "" || len(e.image.KeysElsewhere()) > 0 {
		return result, nil
	}
	e.job.Recount(target)
	evidence := e.job.Evidence()
	class := wipe.Classify(evidence)
	if class.Key != wipe.KeyComplete || string(class.Media) != string(e.image.Erase.Media) {
		return result, nil
	}
	e.early = e.image.Erased.Before(e.c.Deadline)
	return r.issue(ctx, e, last, evidence, class)
}
