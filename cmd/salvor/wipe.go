package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/wipe/device"
)

type wipeOptions struct {
	serial     string
	dryRun     bool
	item       string
	reason     string
	out        string
	sanitize   string
	noSanitize bool
	discard    bool
	anew       bool
	wait       time.Duration
}

func newWipe(p *program) *cobra.Command {
	var o wipeOptions
	cmd := &cobra.Command{
		Use:   "wipe DEVICE",
		Short: "wipe a whole disk, compare every byte, and issue the attest",
		Long: `Wipes a whole disk: a drive that can sanitize itself is asked to, then every byte is
overwritten with random-looking data that can be made again, and then every byte is
read back and compared. Bad sectors stop nothing; they are in the attest, with
everything that was not proved.

The disk is named, and its serial number is typed, or given with --confirm-serial. A
disk without one is confirmed by its kernel name and size: sdb:64023257088. Nothing
gets around a refusal: mounted, in use, the disk of the system, of the ledger or of a
vault.

A customer's disk is wiped with its case, when he allowed that and no hold stops it. It
is an item of the shop until it is given back.

Repeat the command to go on after an interruption. A disk that is unplugged and
plugged back is waited for.`,
		Example: `  salvor wipe /dev/sdb --dry-run
  salvor wipe /dev/sdb --out attest.note
  salvor wipe /dev/sdb --confirm-serial WD-WX11A1234567
  salvor wipe /dev/sdb --case T1-2026-0001/1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.wipe(cmd.Context(), args[0], o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.serial, "confirm-serial", "", "serial number of the disk to wipe")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done and what could be proved; change nothing")
	f.StringVar(&o.item, "case", "", "the `ITEM` that the disk is, as on its label, or its case")
	f.StringVar(&o.reason, "reason", "", "why, where an image of it is not finished or its serial number is not the recorded one")
	f.StringVar(&o.out, "out", "", "also write the signed attest to this file")
	f.StringVar(&o.sanitize, "sanitize", "", "ask the drive for block, crypto or overwrite, whatever it lists")
	f.BoolVar(&o.noSanitize, "no-sanitize", false, "do not ask the drive to sanitize itself")
	f.BoolVar(&o.discard, "discard", false, "tell the disk afterwards that nothing on it is needed; it cannot be compared again then")
	f.BoolVar(&o.anew, "anew", false, "drop what an earlier run began, and begin again")
	f.DurationVar(&o.wait, "wait", 2*time.Minute, "how long to wait for a disk that was unplugged")
	return cmd
}

// wiping is one run of the command.
type wiping struct {
	*station
	op   custody.Operator
	o    wipeOptions
	c    custody.CaseNo // "": a disk of the shop
	item string         // of the case
	keep []string       // what the disk must not hold
	path string
}

func (s *station) wipe(ctx context.Context, path string, o wipeOptions) error {
	plan := device.PlanOptions{NoSanitize: o.noSanitize, Discard: o.discard}
	actions := map[string]device.Action{"": "", "block": device.BlockErase, "crypto": device.CryptoErase, "overwrite": device.OverwriteErase}
	action, ok := actions[o.sanitize]
	if !ok || o.sanitize != "" && o.noSanitize {
		return usage("wipe", "--sanitize: block, crypto or overwrite, and not beside --no-sanitize", "")
	}
	plan.Sanitize = action
	op, err := s.operator(ctx, custody.TypeMediumEraseStarted)
	if err != nil {
		return err
	}
	w := &wiping{station: s, op: op, o: o, path: path}
	if o.item != "" {
		c, i, err := s.itemOf(ctx, o.item)
		if err != nil {
			return err
		}
		w.c, w.item = c.No, i.Item
	}
	if o.out != "" {
		if err := s.keepOut(ctx, o.out); err != nil {
			return err
		}
		if _, err := os.Lstat(o.out); err == nil {
			return refuse("wipe", "the file "+o.out+" exists", "use another name")
		}
	}
	if err := w.places(ctx); err != nil {
		return err
	}
	if err := w.putDisksBack(ctx); err != nil { // a killed imaging leaves its disk read-only
		return err
	}
	id, err := device.Look(path, w.keep)
	if err != nil {
		return refusedDevice("wipe", err)
	}
	job, over, err := w.begun(ctx, id)
	if err != nil {
		return err
	}
	if err := w.whose(job); err != nil {
		return err
	}
	unknown, err := w.free(ctx, id)
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		w.term.Warn("nobody took down the serial number of %s: make sure that this is another disk", itemsAnd(unknown))
	}
	if err := w.allowed(ctx, id, job); err != nil {
		return err
	}
	if o.dryRun {
		return w.foresee(id, job, plan)
	}
	typed, err := w.confirm(ctx, id, job)
	if err != nil {
		return err
	}
	d, err := device.Open(path, w.keep)
	if err != nil {
		return refusedDevice("wipe", err)
	}
	held := &heldDevice{d}
	defer held.close()
	// Typing takes a while, and what was typed may fit another disk as well.
	if now := d.Identity(); id.Seq != 0 && now.Seq != id.Seq {
		return refusedDevice("wipe", fmt.Errorf("%s was plugged in anew after it was named: %w", path, device.ErrOther))
	}
	if err := w.drop(ctx, over); err != nil {
		return err
	}
	if job == nil {
		if job, err = device.Plan(d, typed, plan, rand.Reader); err != nil {
			return refusedDevice("wipe", err)
		}
		job.Ref = w.ref()
		if err := w.Save(ctx, job); err != nil {
			return err
		}
	}
	if err := w.recordBegin(ctx, job); err != nil {
		return err
	}
	evidence, err := w.carryOut(ctx, held, job)
	if err != nil {
		return errors.Join(err, w.recordStop(context.WithoutCancel(ctx), job))
	}
	return w.finish(context.WithoutCancel(ctx), job, evidence)
}

// heldDevice is the device, wherever it is attached now.
type heldDevice struct{ d *device.Device }

func (h *heldDevice) close() {
	if h.d != nil {
		_ = h.d.Close() // nothing of it is buffered
	}
}

// places collects what the disk must not hold. A vault that is away cannot be looked
// up; that is said, since its disk may be the one that is named.
func (w *wiping) places(ctx context.Context) error {
	taken, err := w.takenPlaces(ctx)
	if err != nil {
		return err
	}
	for _, path := range taken {
		if _, err := os.Stat(path); err == nil {
			w.keep = append(w.keep, path)
		}
	}
	shop, err := w.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	paths, err := w.ledger.VaultPaths(ctx)
	if err != nil {
		return err
	}
	for _, v := range shop.Vaults {
		if paths[v.Vault] == "" || destroyedOn(shop, v.Vault) != "" {
			continue
		}
		// The directory where it is mounted says nothing: that stays when it is not.
		if there, err := w.openVault(ctx, v.Vault); err == nil {
			there.close()
			continue
		}
		w.term.Warn("the vault %s is away: make sure that this is not its disk", v.Name)
	}
	slices.Sort(w.keep)
	return nil
}

// free refuses the disk of a vault that is away, a disk that a customer has handed in, unless
// it is the item that was named, and a disk of a case that is held: the case that was named,
// and every case with a medium of the same serial number. Where nothing was named it tells
// of what items nothing is known by which a disk could be told from them.
func (w *wiping) free(ctx context.Context, id device.Identity) (unknown []handedIn, err error) {
	if err := w.notVaultDisk(ctx, w.path, id.Name, id.Serial); err != nil {
		return nil, err
	}
	disk := seen(id.Serial, id.WWN, id.Bytes, w.path)
	found, unknown, err := w.customersDisk(ctx, disk)
	if err != nil {
		return nil, err
	}
	if len(found) > 0 && !slices.Contains(found, handedIn{w.c, w.item}) {
		return nil, refuse("disk "+w.path, "it is "+itemsOr(found)+", and still in the shop", fmt.Sprintf("with the customer's leave: --case %s", found[0]))
	}
	cases, err := w.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return nil, err
	}
	for _, c := range cases {
		if !c.Held() {
			continue
		}
		if c.No == w.c {
			return nil, fmt.Errorf("case %s: %w", c.No, custody.ErrHeld)
		}
		fields, err := w.ledger.PrivateOfCase(ctx, c.No)
		if err != nil {
			return nil, err
		}
		for _, f := range fields {
			if disk.named(f[custody.FieldSerial]) {
				return nil, fmt.Errorf("it is the disk of case %s: %w", c.No, custody.ErrHeld)
			}
		}
	}
	if w.c != "" {
		unknown = nil
	}
	return unknown, nil
}

// begun finds the job that an earlier run has left for this device, and those that this
// one does not go on with.
func (w *wiping) begun(ctx context.Context, id device.Identity) (job *device.Job, over []*device.Job, err error) {
	jobs, err := w.ledger.OpenJobs(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, saved := range jobs {
		job, err := deviceJob(saved)
		if err != nil {
			return nil, nil, err
		}
		if job == nil || !job.Device.Same(id) {
			continue
		}
		untouched := job.Stage == device.Planned
		if w.o.dryRun || !untouched && !w.o.anew {
			return job, over, nil
		}
		// Nothing of the device was destroyed by it yet, or it is not wanted any more.
		over = append(over, job)
	}
	return nil, over, nil
}

// drop ends the jobs that nobody goes on with.
func (w *wiping) drop(ctx context.Context, over []*device.Job) error {
	for _, job := range over {
		if err := w.recordDrop(ctx, job); err != nil {
			return err
		}
		if err := w.ledger.EndJob(ctx, job.ID); err != nil {
			return err
		}
	}
	return nil
}

// deviceJob reads a job of the ledger that is about a device; nil for any other.
func deviceJob(saved ledger.Job) (*device.Job, error) {
	if saved.Image != "" {
		return nil, nil
	}
	job := new(device.Job)
	if err := json.Unmarshal(saved.Body, job); err != nil {
		return nil, fmt.Errorf("wipe job %s: %w", saved.ID, err)
	}
	if job.Kind != device.JobKind {
		return nil, nil
	}
	return job, nil
}

// Save implements [device.Journal].
func (w *wiping) Save(ctx context.Context, job *device.Job) error {
	body, err := json.Marshal(job)
	if err != nil {
		return err
	}
	return w.ledger.SaveJob(ctx, job.ID, "", "", body) // of no case: a hold and a purge ask for those
}

// foresee is the dry run.
func (w *wiping) foresee(id device.Identity, job *device.Job, o device.PlanOptions) error {
	begun := job != nil
	if !begun {
		job = &device.Job{Device: id, Passes: id.Passes(), Discard: o.Discard, ByName: !id.BySerial()}
		if !o.NoSanitize {
			job.Sanitize.Action = cmp.Or(o.Sanitize, id.Sanitize())
		}
	}
	v := job.Reach()
	if w.json {
		return w.term.Document(map[string]any{"device": id, "passes": job.Passes, "begun": begun, "at_best": v})
	}
	out := w.term.Out
	fmt.Fprintf(out, "%s  %s, %s, %s\n", w.path, diskName(id), id.Media, ui.Size(id.Bytes))
	fmt.Fprintf(out, "    confirmed by: %s\n", map[bool]string{true: "its serial number", false: "its name and size, since it has no serial number of its own"}[id.BySerial()])
	fmt.Fprintf(out, "    overwritten %s and read back; at best %s%s\n", map[bool]string{true: "once", false: "twice"}[job.Passes == 1], v.Class, virtualWords(v.OnVirtual))
	fmt.Fprintf(out, "    the drive itself is asked only when it is wiped, so that it may turn out to be better\n")
	if begun {
		fmt.Fprintf(out, "    begun by an earlier run, at %s: this one would go on\n", strings.ToLower(string(job.Stage)))
	}
	verdictLines(w.term, v)
	return nil
}

func verdictLines(t *ui.Terminal, v device.Verdict) {
	for _, why := range v.Reasons {
		fmt.Fprintf(t.Out, "    not better: %s\n", why)
	}
	for _, what := range v.NotCovered {
		fmt.Fprintf(t.Out, "    not covered: %s\n", what)
	}
}

func diskName(id device.Identity) string {
	name := strings.TrimSpace(id.Vendor + " " + id.Model)
	if name == "" {
		return id.Name
	}
	return name
}

// confirm has the person type what tells this disk from every other one. It is not
// shown, so that it is read from the disk and not from the screen.
func (w *wiping) confirm(ctx context.Context, id device.Identity, job *device.Job) (string, error) {
	typed := w.o.serial
	if typed == "" {
		what := "serial number, as on its label"
		if !id.BySerial() {
			what = "kernel name and size in bytes, such as sdb:64023257088 (it has no serial number of its own)"
		}
		begun := ""
		if job != nil {
			begun = "an earlier run began it; "
		}
		var err error
		typed, err = w.term.Line(ctx, ui.Question{
			Text: fmt.Sprintf("%severything on %s (%s, %s) will be destroyed for good; type its %s", begun, w.path, diskName(id), ui.Size(id.Bytes), what),
			Flag: "--confirm-serial SERIAL",
		})
		if err != nil {
			return "", err
		}
	}
	if typed != id.Confirmation() {
		return "", refusedDevice("wipe", device.ErrSerial)
	}
	return typed, nil
}

// carryOut wipes, and waits for the disk when it is unplugged on the way.
func (w *wiping) carryOut(ctx context.Context, held *heldDevice, job *device.Job) (device.Evidence, error) {
	progress, end := w.shown()
	defer end()
	for {
		evidence, err := device.Run(ctx, held.d, job, device.Options{
			Journal: w, Now: w.now, After: time.After, Progress: progress,
			Gate: func(ctx context.Context) error { return w.gate(ctx, job) },
		})
		if err == nil {
			return evidence, nil
		}
		if !errors.Is(err, device.ErrVanished) {
			return evidence, refusedDevice("wipe", err)
		}
		held.close()
		held.d = nil
		w.term.Warn("the disk is gone: plug it in again and it goes on (waiting for %s)", w.o.wait)
		if held.d, err = w.back(ctx, job.Device, err); err != nil {
			return evidence, err
		}
		w.path = "/dev/" + held.d.Identity().Name
		w.term.Say("it is back as %s", w.path)
	}
}

// back waits for a disk that was unplugged, and holds it.
func (w *wiping) back(ctx context.Context, id device.Identity, gone error) (*device.Device, error) {
	limit := time.After(w.o.wait)
	for {
		if path, err := device.Find(id); err == nil {
			d, err := device.Open(path, w.keep)
			if err == nil {
				return d, nil
			}
			gone = err // somebody took it up as soon as it came, for instance
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-limit:
			return nil, refusedDevice("wipe", gone)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// shown shows each phase of a wipe with a rate of its own.
func (w *wiping) shown() (progress func(device.Progress), end func()) {
	var mu sync.Mutex
	var bar *ui.Progress
	var phase string
	stop := func() {
		if bar != nil {
			bar.End()
		}
	}
	return func(p device.Progress) {
			mu.Lock()
			defer mu.Unlock()
			if bar == nil || p.Phase != phase {
				stop()
				bar, phase = w.term.Progress("wipe", ui.Bytes), p.Phase
			}
			rate := float64(ui.UnknownRate)
			if p.Left > 0 {
				rate = float64(p.Total-p.Done) / p.Left.Seconds()
			}
			bar.Set(p.Done, p.Total, rate, p.Phase)
		}, func() {
			mu.Lock()
			defer mu.Unlock()
			stop()
		}
}

// refusedDevice says what an error about a device means to the person at the desk.
func refusedDevice(what string, err error) error {
	for _, v := range []struct {
		err  error
		code int
		hint string
	}{
		{device.ErrSystemDisk, ui.Refused, "this disk holds the running system"},
		{device.ErrKept, ui.Refused, "salvor keeps its own things there"},
		{device.ErrMounted, ui.Refused, "unmount it first"},
		{device.ErrInUse, ui.Refused, "find out what uses it and stop that first"},
		{device.ErrPartition, ui.Refused, "name the whole disk"},
		{device.ErrVolume, ui.Refused, "name the disks that it is made of"},
		{device.ErrTwin, ui.Refused, "unplug one of its two ways"},
		{device.ErrReadOnly, ui.Refused, "it is write-protected"},
		{device.ErrSerial, ui.Refused, "read it from the label of the disk; salvor devices lists it too"},
		{device.ErrOther, ui.Refused, "look at the disk: another one is in its place, or somebody wrote to it since; --anew begins again"},
		{device.ErrJob, ui.Refused, "--no-sanitize, or --anew"},
		{device.ErrNotDevice, ui.Usage, "name a disk such as /dev/sdb"},
		{device.ErrEmpty, ui.Absent, "put the medium in"},
		{device.ErrVanished, ui.Absent, "plug it in again and repeat the command"},
		{device.ErrPermission, ui.Refused, "run it as root: only root sees who else has the disk open"},
	} {
		if errors.Is(err, v.err) {
			return &ui.Error{Code: v.code, What: what, Why: err.Error(), Hint: v.hint, Err: err}
		}
	}
	return err
}
