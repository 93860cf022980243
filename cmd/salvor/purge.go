package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/wipe"
)

type purgeOptions struct {
	dryRun        bool
	caseNo        string
	now           bool
	reason        string
	clockChecked  bool
	maxCases      int
	maxGiven      bool
	residue       bool
	takeOver      bool
	acceptMissing bool
}

func newPurge(p *program) *cobra.Command {
	var o purgeOptions
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "erase every image whose deadline has come, and issue the attests",
		Long: `Erases every image whose deadline has come: the key files first, then the
container, overwritten and read back in full. Every erasing is journalled; one that
was cut off is finished by the next run. What was proved, and what was not, is in
the signed attest. It needs no secret and may run from a timer.

A case that is held is never erased. A vault that is not mounted is absent (75),
never "nothing due".`,
		Example: `  salvor purge --dry-run
  salvor purge
  salvor purge --case T1-2026-0001 --now --reason "asked for by the customer"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.maxGiven = cmd.Flags().Changed("max")
			return p.withStation(cmd.Context(), func(s *station) error { return s.purge(cmd.Context(), o) })
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be erased and what could be proved; change nothing")
	f.StringVar(&o.caseNo, "case", "", "only this case")
	f.BoolVar(&o.now, "now", false, "before the deadline; needs --case and --reason")
	f.StringVar(&o.reason, "reason", "", "why it is erased before the deadline; recorded")
	clockFlag(cmd, &o.clockChecked)
	f.IntVar(&o.maxCases, "max", 0, fmt.Sprintf("erase up to so many cases in one run (default %d, and half of a vault)", maxCases))
	f.BoolVar(&o.takeOver, "take-over", false, "also what another station has begun and cannot go on with: it is gone, or has lost its ledger")
	f.BoolVar(&o.acceptMissing, "accept-missing", false, "key files or parts of an image are missing and somebody has looked: erase the rest; needs --case and --reason")
	f.BoolVar(&o.residue, "residue", false, "afterwards look for the old content on the whole device (slow; needs root)")
	return cmd
}

func (s *station) purge(ctx context.Context, o purgeOptions) (err error) {
	if o.now && (o.caseNo == "" || o.reason == "") {
		return usage("purge", "erasing before the deadline needs the case and the reason", `--case NO --now --reason "…"`)
	}
	if o.acceptMissing && (o.caseNo == "" || o.reason == "") {
		return usage("purge", "ending what is incomplete needs the case, and what was found out", `--case NO --accept-missing --reason "…"`)
	}
	if o.maxCases < 0 || o.maxCases == 0 && o.maxGiven {
		return usage("purge", "--max: not a number of cases", "")
	}
	op, err := s.operator(ctx, custody.TypeEraseStarted)
	if err != nil {
		return err
	}
	unlock, err := s.lock("purge")
	if err != nil {
		return err
	}
	defer unlock()
	run := &purgeRun{station: s, op: op.ID, options: o}
	if begun := s.now(); !o.dryRun {
		defer func() { err = errors.Join(err, s.savePurgeStatus(begun, run.results, err)) }()
	}
	if err := s.clockGuard(ctx, o); err != nil {
		return err
	}
	if _, err := s.ledger.Audit(ctx); err != nil {
		return fmt.Errorf("the audit before the purge: %w", err)
	}
	s.hear(ctx)
	work, err := s.dueWork(ctx, op.ID, o)
	if err != nil {
		return err
	}
	back, err := run.returned(ctx)
	if err != nil {
		return err
	}
	if err := s.brake(ctx, append(work, back...), o); err != nil {
		return err
	}
	if !o.dryRun {
		if _, err := s.ledger.Append(ctx, op.ID, ledger.Entry{Pub: custody.Heartbeat{}}); err != nil {
			return err
		}
	}
	if o.caseNo != "" && len(work)+len(back)+len(run.results) == 0 {
		return refuse("case "+o.caseNo, "there is nothing left to erase", "salvor show "+o.caseNo)
	}
	for _, e := range append(work, back...) {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		run.one(ctx, e)
	}
	if err := run.keysLeft(ctx); err != nil {
		return err
	}
	if err := s.forgetErased(ctx); err != nil {
		return err
	}
	if err := run.listen(ctx); err != nil {
		return err
	}
	return run.end()
}

// hear waits for the vaults that had not answered when the command began: nobody stands at
// the desk, and a disk that has to spin up says as much about what is due as any other.
func (s *station) hear(ctx context.Context) {
	for id := range s.unheard {
		if _, err := s.syncVault(ctx, s.ledger, id); err == nil {
			delete(s.unheard, id)
		}
	}
}

// listen names the vaults that hold images and did not exchange: a deadline that another
// station has brought forward is written there, and so nothing due is known of them.
func (r *purgeRun) listen(ctx context.Context) error {
	if r.options.caseNo != "" || len(r.unheard) == 0 {
		return nil
	}
	shop, err := r.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	cases, err := r.ledger.Cases(ctx, ledger.Filter{})
	if err != nil {
		return err
	}
	for _, c := range cases {
		for _, i := range c.Images {
			v, ok := shop.Vault(i.Vault)
			if ok && i.Left() && r.unheard[i.Vault] && !slices.Contains(r.silent, v.Name) {
				r.silent = append(r.silent, v.Name)
			}
		}
	}
	return nil
}

// dueWork collects what has to be erased: first what was begun, then what is due.
func (s *station) dueWork(ctx context.Context, op string, o purgeOptions) ([]erasing, error) {
	jobs, err := s.ledger.OpenJobs(ctx)
	if err != nil {
		return nil, err
	}
	var only custody.CaseNo
	if o.caseNo != "" {
		c, err := s.findCase(ctx, o.caseNo)
		if err != nil {
			return nil, err
		}
		only = c.No
	}
	var work []erasing
	begun := make(map[vault.ImageRef]bool)
	for _, saved := range jobs {
		if saved.Image == "" { // the wipe of a whole disk, which its own command finishes
			continue
		}
		if only != "" && saved.Case != only {
			continue
		}
		c, err := s.ledger.Case(ctx, saved.Case)
		if err != nil {
			return nil, err
		}
		i, ok := c.Image(saved.Image)
		if !ok {
			return nil, fmt.Errorf("erase job %s: %w", saved.ID, custody.ErrNoImage)
		}
		job, err := eraseJob(saved)
		if err != nil {
			return nil, err
		}
		if job.KeysOnly { // that of another keystore goes on with its image
			continue
		}
		if job.Untouched() { // nothing was destroyed: what is due is planned anew
			if !o.dryRun {
				if err := s.spare(ctx, op, c.No, i, saved.ID); err != nil {
					return nil, err
				}
			}
			continue
		}
		begun[vault.ImageRef{Case: string(c.No), Name: i.Name}] = true
		// What came back needs a job that was begun for it: the one that erased the image
		// before says nothing of the copy, and has only to be ended.
		back, returned := i.Comeback()
		again := returned && slices.Contains(back.Jobs, saved.ID)
		work = append(work, erasing{c: c, image: i, job: job, early: s.now().Before(c.Deadline), again: again})
	}
	cases, err := s.ledger.Cases(ctx, ledger.Filter{DueBy: s.now()})
	if err != nil {
		return nil, err
	}
	// What was begun is finished before its deadline too.
	all, err := s.ledger.Cases(ctx, ledger.Filter{All: only != ""})
	if err != nil {
		return nil, err
	}
	due := func(c custody.Case) bool {
		return slices.ContainsFunc(cases, func(d custody.Case) bool { return d.No == c.No })
	}
	begunEarly := func(c custody.Case) bool {
		return slices.ContainsFunc(c.Images, func(i custody.Image) bool {
			return i.State == custody.ImageIsErasing && i.EraseFailed != custody.StepPlanned
		})
	}
	for _, c := range all {
		if !due(c) && (c.No == only || begunEarly(c)) {
			cases = append(cases, c)
		}
	}
	for _, c := range cases {
		if only != "" && c.No != only {
			continue
		}
		for _, i := range c.Images {
			if !i.Left() || begun[vault.ImageRef{Case: string(c.No), Name: i.Name}] {
				continue
			}
			early := !c.Due(s.now())
			if early && !o.now && (i.State != custody.ImageIsErasing || i.EraseFailed == custody.StepPlanned) {
				if only == "" {
					continue
				}
				return nil, refuse("case "+string(c.No), "its deadline has not come: "+s.term.DateTime(c.Deadline), `--now --reason "…"`)
			}
			work = append(work, erasing{c: c, image: i, early: early})
		}
	}
	return work, nil
}

// spare ends a job that was cut off before it destroyed anything, so that its image is
// its customer's again until the next run, or for good when nobody asks anew.
func (s *station) spare(ctx context.Context, op string, no custody.CaseNo, i custody.Image, job string) error {
	if i.State == custody.ImageIsErasing && i.EraseJob == job && i.EraseFailed != custody.StepPlanned {
		if _, err := s.ledger.Append(ctx, op, ledger.Entry{
			Case: no, Item: i.Item, Pub: custody.EraseFailed{Job: job, Image: i.Name, Step: custody.StepPlanned},
		}); err != nil {
			return err
		}
	}
	return s.ledger.EndJob(ctx, job)
}

// purgeRun collects what became of every image.
type purgeRun struct {
	*station
	op      string
	options purgeOptions
	results []erased
	errs    []error
	back    int      // images that had come back, whether they are erased again or not
	silent  []string // names of vaults that hold images and did not exchange
}

// erased is what became of one image.
type erased struct {
	Case    custody.CaseNo  `json:"case"`
	Image   string          `json:"image"`
	Outcome string          `json:"outcome"` // erased, empty, spared, planned, held, proposed, refused, failed or returned
	Key     wipe.KeyClass   `json:"keys,omitempty"`
	Media   wipe.MediaClass `json:"media,omitempty"`
	Virtual bool            `json:"virtual,omitempty"`
	Reasons []string        `json:"reasons,omitempty"`
	Bytes   int64           `json:"bytes,omitempty"`
	Attest  string          `json:"attest,omitempty"`
	// KeysLeft: keys to it lie in a keystore that is away, or could not be erased there.
	KeysLeft bool   `json:"keys_left,omitempty"`
	Why      string `json:"why,omitempty"`
}

func (r *purgeRun) one(ctx context.Context, e erasing) {
	result, err := r.erase(ctx, e)
	r.report(e.c.No, e.image.Name, result, err)
}

// report keeps and prints what became of one image.
func (r *purgeRun) report(no custody.CaseNo, image string, result erased, err error) {
	result.Case, result.Image = no, image
	if err != nil {
		err = explain(err)
		result.Why = err.Error()
		switch code := ui.ExitCode(err); {
		case result.Outcome != "":
		case errors.Is(err, custody.ErrHeld):
			result.Outcome = "held"
		case code == ui.Refused || code == ui.Absent || code == ui.Locked:
			result.Outcome = "refused"
		default:
			result.Outcome = "failed"
		}
		r.errs = append(r.errs, err)
	}
	r.results = append(r.results, result)
	if r.json {
		_ = r.term.Message("erasing", result) // a closed pipe stops no purge
		return
	}
	ref := vault.ImageRef{Case: string(no), Name: image}
	switch {
	case err != nil:
		r.term.Warn("%s: %s: %s", ref, result.Outcome, result.Why)
	case result.Outcome == "spared":
		fmt.Fprintf(r.term.Out, "%s  nothing of it was destroyed before the erasing was cut off: it is kept until its deadline\n", ref)
	case result.Outcome == "empty":
		fmt.Fprintf(r.term.Out, "%s  nothing of it was ever written: there is nothing to erase\n", ref)
	case result.Outcome == "planned":
		fmt.Fprintf(r.term.Out, "%s  %s, at best %s / %s%s\n", ref, ui.Size(result.Bytes), result.Key, result.Media, virtualWords(result.Virtual))
	default:
		fmt.Fprintf(r.term.Out, "%s  %s / %s%s\n    attest %s\n", ref, result.Key, result.Media, virtualWords(result.Virtual), result.Attest)
	}
	for _, why := range result.Reasons {
		fmt.Fprintf(r.term.Out, "    not better: %s\n", why)
	}
}

func virtualWords(virtual bool) string {
	if virtual {
		return " on a virtual device"
	}
	return ""
}

// end sums the run up. The exit status says what a scheduler has to know: 0 all
// erased, 75 try again because a vault is away, 3 somebody has to look.
func (r *purgeRun) end() error {
	counts := map[string]int{}
	assured := true
	for _, e := range r.results {
		counts[e.Outcome]++
		if e.Outcome == "erased" && (e.Media == wipe.MediaNotAssured || e.Media == wipe.MediaFailed || e.Key == wipe.KeyNone) {
			assured = false
		}
	}
	if r.json {
		if err := r.term.Message("summary", map[string]any{
			"erased": counts["erased"], "planned": counts["planned"], "held": counts["held"], "refused": counts["refused"], "failed": counts["failed"], "returned": counts["returned"], "proposed": counts["proposed"],
		}); err != nil {
			return err
		}
	} else if r.options.dryRun {
		fmt.Fprintf(r.term.Out, "would erase %d, held %d, refused %d\n", counts["planned"], counts["held"], counts["refused"]+counts["failed"])
	} else {
		fmt.Fprintf(r.term.Out, "erased %d, held %d, refused %d, failed %d\n", counts["erased"], counts["held"], counts["refused"], counts["failed"]+counts["returned"])
		if n := counts["proposed"]; n > 0 {
			fmt.Fprintf(r.term.Out, "waiting for somebody to allow it %d\n", n)
		}
	}
	switch {
	case r.options.caseNo != "" && len(r.errs) == 1 && len(r.results) == 1:
		return r.errs[0]
	case len(r.errs) > 0:
		code := ui.Absent
		if r.back > 0 { // a person has to look
			code = ui.Incomplete
		}
		for _, err := range r.errs {
			if ui.ExitCode(err) != ui.Absent {
				code = ui.Incomplete
			}
		}
		return &ui.Error{Code: code, What: "purge", Why: fmt.Sprintf("%d of %d images were not erased", len(r.errs), len(r.results)), Hint: "each reason stands above", Err: errors.Join(r.errs...)}
	case slices.ContainsFunc(r.results, func(e erased) bool { return e.KeysLeft }):
		return &ui.Error{Code: ui.Absent, What: "purge", Why: "keys are left in another keystore", Hint: "mount that vault, then salvor purge"}
	case r.back > 0:
		return &ui.Error{
			Code: ui.Incomplete, What: "purge", Why: fmt.Sprintf("a copy of a vault was put back: %d erased images were in it, or keys to them", r.back),
			Hint: "find out who has copies of the vault; what came back is erased again, or its line says why not",
		}
	case len(r.silent) > 0:
		return &ui.Error{
			Code: ui.Absent, What: "purge", Why: "vault " + strings.Join(r.silent, ", ") + " is not here or does not answer: whether anything in it is due nobody can tell",
			Hint: "mount it, then salvor purge",
		}
	case !assured && !r.options.dryRun:
		return &ui.Error{Code: ui.Incomplete, What: "purge", Why: "it is not assured that everything is gone", Hint: "salvor report attest NO says why; destroy the disk where it matters"}
	}
	return nil
}
