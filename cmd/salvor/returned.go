package main

import (
	"context"
	"errors"
	"io/fs"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
)

// returned looks for images that were erased and lie in their vault again: somebody
// put a copy of the vault back. Each is recorded, and is erased again in this run like
// any other, unless a hold blocks it; an attest was given for them, so somebody has to
// find out where the copy came from. What was seen there and is gone is recorded too:
// whoever took it away has it.
func (r *purgeRun) returned(ctx context.Context) ([]erasing, error) {
	cases, err := r.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return nil, err
	}
	vaults := r.newOpenVaults()
	defer vaults.close()
	open := func(id string) *openedVault {
		v, _ := vaults.open(ctx, id) // a vault that is away cannot be looked into
		return v
	}
	var work []erasing
	for _, c := range cases {
		if r.options.caseNo != "" && !r.asked(c.No) {
			continue
		}
		for _, i := range c.Images {
			if i.State != custody.ImageIsErased {
				continue
			}
			if open(i.Vault) == nil {
				continue
			}
			e, err := r.cameBack(ctx, open, c, i)
			if err != nil {
				return nil, err
			}
			if e != nil {
				work = append(work, *e)
			}
		}
	}
	return work, nil
}

// cameBack records what lies in the vault again, or of its keys in another, and returns
// it as something to erase; nil when there is nothing to do.
func (r *purgeRun) cameBack(ctx context.Context, open func(vault string) *openedVault, c custody.Case, i custody.Image) (*erasing, error) {
	seen, err := lies(open(i.Vault), vault.ImageRef{Case: string(c.No), Name: i.Name})
	if err != nil {
		return nil, err
	}
	seen.Image = i.Name
	where, unseen := open(i.Vault).name, false
	for _, k := range i.Keys {
		switch v := open(k.Keystore); {
		case !k.Elsewhere(i) || k.Gone == nil: // what was never erased did not come back
		case v == nil:
			unseen = true
		case v.has(k):
			if seen.Files+seen.KeyFiles == 0 {
				where = v.name
			}
			seen.KeyFiles++
		}
	}
	there := seen.Files+seen.KeyFiles > 0
	begun, err := r.jobOpen(ctx, c.No, i.Name)
	if err != nil || begun { // the job knows what it has removed
		return nil, err
	}
	image := "image " + string(c.No) + "/" + i.Name
	switch {
	case !there && (!i.Returned() || unseen):
		return nil, nil
	case r.options.dryRun && !i.Returned():
		r.report(c.No, i.Name, erased{Outcome: "returned"}, &ui.Error{
			Code: ui.Incomplete, What: image, Why: "it was erased, and " + lyingAgain(seen) + " in vault " + where + " again: a copy of the vault was put back", Hint: "salvor purge erases it again",
		})
		return nil, nil
	case r.options.dryRun && !there:
		return nil, nil
	}
	if there != i.Returned() {
		if _, err := r.happened(ctx, r.op, ledger.Entry{Case: c.No, Item: i.Item, Pub: seen}); err != nil {
			return nil, err
		}
	}
	if !there {
		r.report(c.No, i.Name, erased{Outcome: "returned"}, &ui.Error{
			Code: ui.Incomplete, What: image, Why: "it was erased, lay in vault " + where + " again, and is not there any more: somebody took it away", Hint: "find out who has it",
		})
		return nil, nil
	}
	r.back++
	r.term.Warn("%s: it was erased, and %s in vault %s again: a copy of the vault was put back; find out who has copies", image, lyingAgain(seen), where)
	if c, err = r.ledger.Case(ctx, c.No); err != nil {
		return nil, err
	}
	i, _ = c.Image(i.Name)
	return &erasing{c: c, image: i, again: true, early: r.now().Before(c.Deadline)}, nil
}

// lyingAgain says what was seen of an image.
func lyingAgain(seen custody.ImageReturned) string {
	if seen.Files == 0 {
		return "a key to it lies"
	}
	return "lies"
}

// jobOpen tells whether an erasing of the image is under way here.
func (s *station) jobOpen(ctx context.Context, no custody.CaseNo, image string) (bool, error) {
	jobs, err := s.ledger.OpenJobs(ctx)
	if err != nil {
		return false, err
	}
	for _, saved := range jobs {
		if saved.Case != no || saved.Image != image {
			continue
		}
		job, err := eraseJob(saved)
		if err != nil {
			return false, err
		}
		if !job.KeysOnly {
			return true, nil
		}
	}
	return false, nil
}

// lies counts what there is under the names of an image and its keys.
func lies(v *openedVault, ref vault.ImageRef) (custody.ImageReturned, error) {
	var seen custody.ImageReturned
	for _, part := range []struct {
		dir string
		n   *int64
	}{{ref.Dir(), &seen.Files}, {ref.KeyDir(), &seen.KeyFiles}} {
		entries, err := v.dir.List(part.dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return seen, err
		}
		*part.n = int64(len(entries))
	}
	return seen, nil
}
