package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/wipe"
)

// The brakes of a purge. Destroying too early is the one mistake that cannot be
// undone, and a wrong clock is its likeliest cause.
const (
	maxSilence  = 48 * time.Hour // since the newest heartbeat
	maxCases    = 20             // erased in one run without being asked
	fewCases    = 3              // up to so many may be more than half of a vault
	brakeFactor = 2              // more than one in so many of a vault's cases
)

type purgeOptions struct {
	dryRun       bool
	caseNo       string
	now          bool
	reason       string
	clockChecked bool
	maxCases     int
	residue      bool
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
  salvor purge --case T1-2026-0001 --now --reason "customer has everything and asked for it"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.purge(cmd.Context(), o) })
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be erased and what could be proved; change nothing")
	f.StringVar(&o.caseNo, "case", "", "only this case")
	f.BoolVar(&o.now, "now", false, "before the deadline; needs --case and --reason")
	f.StringVar(&o.reason, "reason", "", "why it is erased before the deadline; recorded")
	f.BoolVar(&o.clockChecked, "clock-checked", false, "somebody has looked at this machine's clock and it is right")
	f.IntVar(&o.maxCases, "max", 0, fmt.Sprintf("erase up to so many cases in one run (default %d, and half of a vault)", maxCases))
	f.BoolVar(&o.residue, "residue", false, "afterwards look for the old content on the whole device (slow; needs root)")
	return cmd
}

// erasing is one image that a purge has to erase, or go on erasing.
type erasing struct {
	c     custody.Case
	image custody.Image
	job   *wipe.Job // nil: not begun
	early bool
}

func (s *station) purge(ctx context.Context, o purgeOptions) error {
	if o.now && (o.caseNo == "" || o.reason == "") {
		return usage("purge", "erasing before the deadline needs the case and the reason", `--case NO --now --reason "…"`)
	}
	if o.maxCases < 0 {
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
	if err := s.clockGuard(ctx, o); err != nil {
		return err
	}
	if _, err := s.ledger.Audit(ctx); err != nil {
		return fmt.Errorf("the audit before the purge: %w", err)
	}
	work, err := s.dueWork(ctx, o)
	if err != nil {
		return err
	}
	if err := s.brake(ctx, work, o); err != nil {
		return err
	}
	if !o.dryRun {
		if _, err := s.ledger.Append(ctx, op.ID, ledger.Entry{Pub: custody.Heartbeat{}}); err != nil {
			return err
		}
	}
	run := &purgeRun{station: s, op: op.ID, options: o}
	for _, e := range work {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		run.one(ctx, e)
	}
	return run.end()
}

// clockGuard refuses when the time lies before the newest event, or long after the
// newest heartbeat and nobody has looked at the clock.
func (s *station) clockGuard(ctx context.Context, o purgeOptions) error {
	newest, err := s.ledger.Newest(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	if custody.At(now).Before(newest) {
		return refuse("purge", fmt.Sprintf("the clock (%s) is before the newest event in the ledger (%s)", s.term.DateTime(now), s.term.DateTime(newest)),
			"set the clock; if it is right, an earlier run had a wrong one: salvor audit")
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	silence := now.Sub(shop.Heartbeat)
	if silence <= maxSilence || o.clockChecked || o.dryRun {
		return nil
	}
	why := fmt.Sprintf("the last purge was %s ago: is it really %s", hours(silence), s.term.DateTime(now))
	if !s.term.CanAsk() {
		return refuse("purge", why+"?", "look at the clock, then --clock-checked; a daily purge job never asks this")
	}
	right, err := s.term.YesNo(ctx, ui.Question{Text: why, Flag: "--clock-checked"})
	if err != nil {
		return err
	}
	if !right {
		return refuse("purge", "the clock is wrong", "set the clock")
	}
	return nil
}

// dueWork collects what has to be erased: first what was begun, then what is due.
func (s *station) dueWork(ctx context.Context, o purgeOptions) ([]erasing, error) {
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
		job := new(wipe.Job)
		if err := json.Unmarshal(saved.Body, job); err != nil {
			return nil, fmt.Errorf("erase job %s: %w", saved.ID, err)
		}
		begun[vault.ImageRef{Case: string(c.No), Name: i.Name}] = true
		work = append(work, erasing{c: c, image: i, job: job, early: s.now().Before(c.Deadline)})
	}
	filter := ledger.Filter{DueBy: s.now()}
	if only != "" {
		filter = ledger.Filter{All: true}
	}
	cases, err := s.ledger.Cases(ctx, filter)
	if err != nil {
		return nil, err
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
			if early && !o.now {
				return nil, refuse("case "+string(c.No), "its deadline has not come: "+s.term.DateTime(c.Deadline), `--now --reason "…"`)
			}
			work = append(work, erasing{c: c, image: i, early: early})
		}
	}
	if only != "" && len(work) == 0 {
		return nil, refuse("case "+string(only), "there is nothing left to erase", "salvor show "+string(only))
	}
	return work, nil
}

// brake stops a run that would erase unusually much.
func (s *station) brake(ctx context.Context, work []erasing, o purgeOptions) error {
	due := make(map[custody.CaseNo]bool)
	perVault := make(map[string]map[custody.CaseNo]bool)
	for _, e := range work {
		if e.job != nil && e.job.KeysBegun || e.c.Held() {
			continue
		}
		due[e.c.No] = true
		if perVault[e.image.Vault] == nil {
			perVault[e.image.Vault] = make(map[custody.CaseNo]bool)
		}
		perVault[e.image.Vault][e.c.No] = true
	}
	if o.dryRun || o.maxCases > 0 && len(due) <= o.maxCases {
		return nil
	}
	hint := fmt.Sprintf("look at salvor due and at the clock; then --max %d", len(due))
	if o.maxCases > 0 {
		return refuse("purge", fmt.Sprintf("%d cases are due, more than --max %d", len(due), o.maxCases), hint)
	}
	if len(due) > maxCases {
		return refuse("purge", fmt.Sprintf("%d cases are due at once", len(due)), hint)
	}
	cases, err := s.ledger.Cases(ctx, ledger.Filter{})
	if err != nil {
		return err
	}
	kept := make(map[string]int)
	for _, c := range cases {
		in := make(map[string]bool)
		for _, i := range c.Images {
			if i.Left() {
				in[i.Vault] = true
			}
		}
		for v := range in {
			kept[v]++
		}
	}
	for v, d := range perVault {
		if len(d) > fewCases && len(d)*brakeFactor > kept[v] {
			return refuse("purge", fmt.Sprintf("%d of the %d cases in one vault are due at once", len(d), kept[v]), hint)
		}
	}
	return nil
}

// purgeRun collects what became of every image.
type purgeRun struct {
	*station
	op      string
	options purgeOptions
	results []erased
	errs    []error
}

// erased is what became of one image.
type erased struct {
	Case    custody.CaseNo  `json:"case"`
	Image   string          `json:"image"`
	Outcome string          `json:"outcome"` // erased, empty, planned, held, refused or failed
	Key     wipe.KeyClass   `json:"keys,omitempty"`
	Media   wipe.MediaClass `json:"media,omitempty"`
	Virtual bool            `json:"virtual,omitempty"`
	Reasons []string        `json:"reasons,omitempty"`
	Bytes   int64           `json:"bytes,omitempty"`
	Attest  string          `json:"attest,omitempty"`
	Why     string          `json:"why,omitempty"`
}

func (r *purgeRun) one(ctx context.Context, e erasing) {
	result, err := r.erase(ctx, e)
	result.Case, result.Image = e.c.No, e.image.Name
	if err != nil {
		err = explain(err)
		result.Why = err.Error()
		result.Outcome = "failed"
		switch {
		case errors.Is(err, custody.ErrHeld):
			result.Outcome = "held"
		case ui.ExitCode(err) == ui.Refused || ui.ExitCode(err) == ui.Absent || ui.ExitCode(err) == ui.Locked:
			result.Outcome = "refused"
		}
		r.errs = append(r.errs, err)
	}
	r.results = append(r.results, result)
	if r.json {
		_ = r.term.Message("erasing", result) // a closed pipe stops no purge
		return
	}
	ref := vault.ImageRef{Case: string(e.c.No), Name: e.image.Name}
	switch {
	case err != nil:
		r.term.Warn("%s: %s: %s", ref, result.Outcome, result.Why)
	case result.Outcome == "empty":
		fmt.Fprintf(r.term.Out, "%s  nothing of it was ever written: there is nothing to erase\n", ref)
	case result.Outcome == "planned":
		fmt.Fprintf(r.term.Out, "%s  %s, at best %s / %s%s\n", ref, ui.Size(result.Bytes), result.Key, result.Media, virtualWords(result.Virtual))
	default:
		fmt.Fprintf(r.term.Out, "%s  %s / %s%s, attest %s\n", ref, result.Key, result.Media, virtualWords(result.Virtual), result.Attest)
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
			"erased": counts["erased"], "planned": counts["planned"], "held": counts["held"], "refused": counts["refused"], "failed": counts["failed"],
		}); err != nil {
			return err
		}
	} else if r.options.dryRun {
		fmt.Fprintf(r.term.Out, "would erase %d, held %d, refused %d\n", counts["planned"], counts["held"], counts["refused"]+counts["failed"])
	} else {
		fmt.Fprintf(r.term.Out, "erased %d, held %d, refused %d, failed %d\n", counts["erased"], counts["held"], counts["refused"], counts["failed"])
	}
	switch {
	case len(r.results) == 1 && len(r.errs) == 1:
		return r.errs[0]
	case len(r.errs) > 0:
		code := ui.Absent
		for _, err := range r.errs {
			if ui.ExitCode(err) != ui.Absent {
				code = ui.Incomplete
			}
		}
		return &ui.Error{Code: code, What: "purge", Why: fmt.Sprintf("%d of %d images were not erased", len(r.errs), len(r.results)), Hint: "each reason stands above", Err: errors.Join(r.errs...)}
	case !assured && !r.options.dryRun:
		return &ui.Error{Code: ui.Incomplete, What: "purge", Why: "it is not assured that everything is gone", Hint: "salvor report attest NO says why; destroy the disk where it matters"}
	}
	return nil
}

// erase plans one image, and erases it unless this is a dry run.
func (r *purgeRun) erase(ctx context.Context, e erasing) (erased, error) {
	if err := e.c.MayErase(e.image.Name, r.now(), e.early && (r.options.now || e.job != nil)); err != nil && !errors.Is(err, custody.ErrErased) {
		return erased{}, fmt.Errorf("case %s: %w", e.c.No, err)
	}
	if e.image.State == custody.ImageIsErased { // killed between the attest and the end of the job
		return erased{Outcome: "erased", Key: wipe.KeyClass(e.image.Erase.Keys), Media: wipe.MediaClass(e.image.Erase.Media), Attest: e.job.ID}, r.ledger.EndJob(ctx, e.job.ID)
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
	target := r.target(v, e)
	if err := r.clearLock(v, e.c.No); err != nil {
		return erased{}, err
	}
	if e.job != nil && e.job.Untouched() { // what it planned may have changed since
		if !r.options.dryRun {
			if err := r.ledger.EndJob(ctx, e.job.ID); err != nil {
				return erased{}, err
			}
		}
		e.job = nil
	}
	if e.job == nil {
		if e.job, err = wipe.Plan(ctx, target, rand.Reader); errors.Is(err, wipe.ErrMissing) && len(e.image.Keys) == 0 {
			return r.neverBegun(ctx, e)
		}
		if err != nil {
			return erased{}, err
		}
		if r.options.dryRun {
			reach := e.job.Reach()
			return erased{Outcome: "planned", Key: reach.Key, Media: reach.Media, Virtual: reach.VirtualDevice, Reasons: reach.Reasons, Bytes: planned(e.job)}, nil
		}
		if err := (journal{r.station, e}).Save(ctx, e.job); err != nil {
			return erased{}, err
		}
	} else if r.options.dryRun {
		reach := e.job.Reach()
		return erased{Outcome: "planned", Key: reach.Key, Media: reach.Media, Virtual: reach.VirtualDevice, Reasons: append(reach.Reasons, "begun by an earlier run; this one would finish it"), Bytes: planned(e.job)}, nil
	}
	return r.carryOut(ctx, target, e)
}

// clearLock makes sure that no other station is writing to the case, and takes away
// the lock that a killed run has left. Only the lock: what it means is advisory, and
// the erasing looks for open files itself.
func (r *purgeRun) clearLock(v *openedVault, no custody.CaseNo) error {
	if r.options.dryRun {
		return nil
	}
	if _, err := v.dir.List(path.Join("cases", string(no))); err != nil {
		return nil //nolint:nilerr // there is no case to lock: the erasing says why
	}
	lock, err := vault.AcquireLock(v.dir, string(no), r.keys.Name(), os.Getpid(), r.now)
	if err != nil {
		return err
	}
	return lock.Release()
}

func planned(j *wipe.Job) (n int64) {
	for _, f := range j.Files {
		n += f.Alloc
	}
	return n
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

func (r *purgeRun) target(v *openedVault, e erasing) wipe.Target {
	ref := vault.ImageRef{Case: string(e.c.No), Name: e.image.Name}
	t := wipe.Target{
		Vault: v.dir.Root(), Dir: ref.Dir(), CaseDir: ref.CaseDir(),
		Keystore: v.dir.Root(), KeystoreName: v.id, KeyDir: ref.KeyDir(), UUID: e.image.UUID,
	}
	if e.image.Seal != nil {
		t.Segments, t.Stored = int(e.image.Seal.Segments), e.image.Seal.Stored
	}
	for _, k := range e.image.Keys {
		t.ExpectedKeys = append(t.ExpectedKeys, wipe.KeyCopy{Keystore: k.Keystore, File: path.Base(k.File), SHA256: k.SHA256, Session: k.SessionID})
	}
	return t
}

// journal keeps the wipe's job in the ledger.
type journal struct {
	s *station
	e erasing
}

// Save implements [wipe.Journal].
func (j journal) Save(ctx context.Context, job *wipe.Job) error {
	body, err := json.Marshal(job)
	if err != nil {
		return err
	}
	return j.s.ledger.SaveJob(ctx, job.ID, j.e.c.No, j.e.image.Name, body)
}

// carryOut erases by the job, from wherever it stands, and records the outcome.
func (r *purgeRun) carryOut(ctx context.Context, target wipe.Target, e erasing) (erased, error) {
	job := e.job
	if e.image.State != custody.ImageIsErasing || e.image.EraseJob != job.ID {
		private := map[string]string{}
		if e.early {
			private[custody.FieldReason] = r.options.reason
		}
		if _, err := r.ledger.Append(ctx, r.op, ledger.Entry{
			Case: e.c.No, Item: e.image.Item, Pub: custody.EraseStarted{Job: job.ID, Image: e.image.Name, Early: e.early}, Private: private,
		}); err != nil {
			return erased{}, err
		}
	}
	progress, end := r.phases(fmt.Sprintf("erase %s/%s", e.c.No, e.image.Name))
	evidence, err := wipe.Run(ctx, target, job, wipe.Options{
		Journal: journal{r.station, e}, Now: r.now, Residue: r.options.residue,
		Gate: func(ctx context.Context) error { return r.gate(ctx, e) }, Progress: progress,
	})
	end()
	save := context.WithoutCancel(ctx)
	if err != nil {
		_, recordErr := r.ledger.Append(save, r.op, ledger.Entry{
			Case: e.c.No, Item: e.image.Item, Pub: custody.EraseFailed{Job: job.ID, Image: e.image.Name, Step: custody.EraseStep(job.Stage)},
		})
		return erased{}, fmt.Errorf("image %s/%s: %w", e.c.No, e.image.Name, errors.Join(err, recordErr))
	}
	return r.attest(save, e, evidence)
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

// gate re-reads the case immediately before anything is destroyed: a hold that was
// set a moment ago still counts.
func (r *purgeRun) gate(ctx context.Context, e erasing) error {
	c, err := r.ledger.Case(ctx, e.c.No)
	if err != nil {
		return err
	}
	return c.MayErase(e.image.Name, r.now(), e.early)
}
