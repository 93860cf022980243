package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
)

// The ends that nobody can see from a desk: a medium that was destroyed, and a written-out
// copy whose disk was wiped. Nobody's disk is ever resold, so there is no word for that.

var destroyWords = choice{"--method", "how was it destroyed", []ui.Option{
	{Value: "drill", Text: "drilled through"},
	{Value: "shred", Text: "shredded"},
	{Value: "crush", Text: "crushed"},
	{Value: "degauss", Text: "degaussed, magnetic media only"},
	{Value: "burn", Text: "burnt"},
	{Value: "paper-shred", Text: "a key on paper, shredded"},
}}

type destroyedOptions struct {
	image, key, copyID, vault      string
	method, date, witness          string
	processor, reference, recycler string
	model, serial, reason          string
	yes                            bool
}

func newDestroyed(p *program) *cobra.Command {
	var o destroyedOptions
	cmd := &cobra.Command{
		Use:   "destroyed [ITEM]",
		Short: "record that a medium was destroyed, how, and who saw it",
		Long: `Records that a customer's own medium was destroyed, or with --image, --key or --copy
the one on which an image, one file with its key, or a written-out copy lay; with
--vault that of a whole vault, and with it every image and key that lay there. It
needs a witness, under four eyes another person than you; of a recycler the number of
his receipt; and for the customer's own medium his leave (--allow destroy). A hold
blocks it.`,
		Example: `  salvor destroyed T1-2026-0001/1 --method drill --witness an
  salvor destroyed T1-2026-0001 --image image-01 --method shred --witness an \
    --processor green --reference R-2026-118
  salvor destroyed --vault usb2 --method drill --witness an --reason "it fails"`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			return s.destroyed(ctx, strings.Join(args, ""), o) // none with --vault
		}),
	}
	f := cmd.Flags()
	f.StringVar(&o.image, "image", "", "the medium on which this image lay")
	f.StringVar(&o.key, "key", "", "the medium of this `FILE` with a key of the image, as show names it")
	f.StringVar(&o.copyID, "copy", "", "the medium on which the copy with this `ID` lay")
	f.StringVar(&o.vault, "vault", "", "the medium of this whole vault")
	destroyWords.add(cmd, &o.method, "how")
	f.StringVar(&o.date, "date", "", "the day (default: today)")
	f.StringVar(&o.witness, "witness", "", "`LOGIN` of the operator who saw it")
	f.StringVar(&o.processor, "processor", "", "`PROCESSOR` that did it")
	f.StringVar(&o.reference, "reference", "", "`NUMBER` of its receipt")
	f.StringVar(&o.recycler, "recycler", "", "who else took the rest, in words")
	f.StringVar(&o.model, "model", "", "model of the medium")
	f.StringVar(&o.serial, "serial", "", "serial `NUMBER` of the medium")
	f.StringVar(&o.reason, "reason", "", "why; needed for an image before its deadline")
	f.BoolVar(&o.yes, "yes", false, "with --vault: nothing is asked")
	f.SortFlags = false
	return cmd
}

func (s *station) destroyed(ctx context.Context, text string, o destroyedOptions) error {
	const what = "destroyed"
	if err := destroyWords.check(what, o.method); err != nil {
		return err
	}
	switch {
	case o.copyID != "" && (o.image != "" || o.key != ""):
		return usage(what, "--image and --copy are two media", "record one after the other")
	case o.vault != "" && (text != "" || o.image != "" || o.key != "" || o.copyID != ""):
		return usage(what, "--vault is a medium of its own, with everything on it", "leave case, --image, --key and --copy out")
	case o.vault == "" && text == "":
		return usage(what, "it takes ITEM, or --vault NAME", "")
	}
	day := s.today()
	if o.date != "" {
		var err error
		if day, err = custody.ParseDate(o.date); err != nil {
			return usage(what, "--date: not a day such as 2026-11-21", "")
		}
		if day > s.today() {
			return usage(what, "--date: in the future", "give the day on which it was done")
		}
	}
	op, err := s.operator(ctx, custody.TypeMediumDestroyed)
	if err != nil {
		return err
	}
	p := custody.MediumDestroyed{Date: day, Processor: o.processor}
	var d destruction
	if o.vault != "" {
		d, err = s.destroyedVault(ctx, o.vault)
	} else {
		d, err = s.destroyedThing(ctx, text, o)
	}
	if err != nil {
		return err
	}
	if o.method, err = destroyWords.settle(ctx, s, what, o.method, ""); err != nil {
		return err
	}
	p.Method = custody.DestroyMethod(o.method)
	if o.witness, err = s.text(ctx, o.witness, "--witness", "login of the operator who saw it"); err != nil {
		return err
	}
	witness, err := s.colleague(ctx, what, "--witness", o.witness)
	if err != nil {
		return err
	}
	p.Witness = witness.ID
	if o.processor != "" {
		if err := s.knownProcessor(ctx, what, o.processor); err != nil {
			return err
		}
	}
	if o.vault != "" && !o.yes {
		if err := s.term.ConfirmExact(ctx, ui.Question{
			Text: fmt.Sprintf("nothing on vault %s can be opened any more: %s; type its name", o.vault, counted(len(d.lost)-1, "image or key", "images and keys")), Flag: "--yes",
		}, o.vault); err != nil {
			return err
		}
	}
	private := map[string]string{
		custody.FieldModel: o.model, custody.FieldSerial: o.serial, custody.FieldReason: o.reason,
		custody.FieldRecycler: o.recycler, custody.FieldReference: o.reference,
	}
	var entries []ledger.Entry
	for _, x := range d.lost {
		x.pub.Date, x.pub.Processor, x.pub.Method, x.pub.Witness = p.Date, p.Processor, p.Method, p.Witness
		entries = append(entries, ledger.Entry{Case: x.no, Item: x.pub.Item, Pub: x.pub, Private: private})
	}
	// A vault's medium takes copies of several cases with it: all of them or none.
	if _, err := s.ledger.Append(ctx, op.ID, entries...); err != nil {
		return readable(d.lost[0].no, err)
	}
	doc := map[string]any{"what": d.name, "kind": d.lost[0].pub.Kind, "method": p.Method, "date": p.Date, "witness": p.Witness}
	if no := d.lost[0].no; no != "" {
		doc["case"] = no
		return s.done(doc, "case %s: recorded that %s was destroyed", no, d.name)
	}
	doc["copies"] = len(d.lost) - 1
	return s.done(doc, "recorded that %s was destroyed, and with it %s", d.name, counted(len(d.lost)-1, "image or key", "images and keys"))
}

// destruction is what was destroyed at once: one thing, or a vault with all that lay
// there, the vault first.
type destruction struct {
	name string
	lost []lost
}

// lost is one thing that was destroyed; no is "" for a medium of the shop.
type lost struct {
	no  custody.CaseNo
	pub custody.MediumDestroyed
}

// destroyedThing finds what of a case was destroyed.
func (s *station) destroyedThing(ctx context.Context, text string, o destroyedOptions) (destruction, error) {
	one := func(no custody.CaseNo, name string, pub custody.MediumDestroyed) destruction {
		return destruction{name, []lost{{no, pub}}}
	}
	if o.image == "" && o.key == "" && o.copyID == "" {
		c, i, err := s.itemOf(ctx, text)
		return one(c.No, "item "+i.Item, custody.MediumDestroyed{Kind: custody.CopyItem, Item: i.Item}), err
	}
	c, _, err := s.caseOf(ctx, text)
	if err != nil {
		return destruction{}, err
	}
	switch {
	case o.copyID != "":
		return one(c.No, "the medium of copy "+o.copyID, custody.MediumDestroyed{Kind: custody.CopyExport, Copy: o.copyID}), s.openCopy(c, o.copyID)
	case o.key != "":
		k, err := s.keyCopy(c, o.image, o.key)
		return one(c.No, "the medium of "+path.Base(k.Name), custody.MediumDestroyed{Kind: custody.CopyKey, Image: k.Image, File: k.Name, Store: k.Store}), err
	}
	_, err = pick(c, o.image)
	return one(c.No, "the medium of "+o.image, custody.MediumDestroyed{Kind: custody.CopyImage, Image: o.image}), err
}

// keyCopy finds the one open key copy with that file name.
func (s *station) keyCopy(c custody.Case, image, file string) (custody.Copy, error) {
	var found []custody.Copy
	for _, x := range c.Inventory() {
		if x.Kind == custody.CopyKey && x.End.Open() && (image == "" || x.Image == image) && (x.Name == file || path.Base(x.Name) == file) {
			found = append(found, x)
		}
	}
	switch len(found) {
	case 0:
		return custody.Copy{}, &ui.Error{Code: ui.NotFound, What: "case " + string(c.No), Why: "--key: it has no such key copy that is left", Hint: "salvor show " + string(c.No), Err: custody.ErrNoCopy}
	case 1:
		return found[0], nil
	}
	return custody.Copy{}, usage("destroyed", "--key: several key copies have that name", "--image "+found[0].Image+", or the whole path: --key "+found[0].Name)
}

// destroyedVault lists what goes with the medium of a vault. A hold on any of it stops
// all of it.
func (s *station) destroyedVault(ctx context.Context, name string) (destruction, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return destruction{}, err
	}
	at := slices.IndexFunc(shop.Vaults, func(v custody.Vault) bool { return v.Name == name })
	if at < 0 {
		return destruction{}, &ui.Error{Code: ui.NotFound, What: "destroyed", Why: "--vault: no vault with that name", Hint: "salvor vault list", Err: custody.ErrNoVault}
	}
	id := shop.Vaults[at].Vault
	d := destruction{"the medium of vault " + name, []lost{{"", custody.MediumDestroyed{Kind: custody.CopyVault, Store: id}}}}
	cases, err := s.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return destruction{}, err
	}
	for _, c := range cases {
		gone := goesWith(c, id)
		if len(gone) > 0 && c.Held() {
			return destruction{}, readable(c.No, refusal(custody.TypeMediumDestroyed, custody.ErrHeld))
		}
		d.lost = append(d.lost, gone...)
	}
	return d, nil
}

// goesWith is what of a case goes with a vault: its images there, whose keys go with
// them, and keys of images that lie elsewhere.
func goesWith(c custody.Case, vault string) (gone []lost) {
	for _, i := range c.Images {
		left := func(x custody.Copy) bool { return x.Image == i.Name && x.Store == vault && x.End.Open() }
		copies := slices.DeleteFunc(c.Inventory(), func(x custody.Copy) bool { return !left(x) })
		if slices.ContainsFunc(copies, func(x custody.Copy) bool { return x.Kind == custody.CopyImage }) {
			gone = append(gone, lost{c.No, custody.MediumDestroyed{Kind: custody.CopyImage, Image: i.Name}})
			continue
		}
		for _, x := range copies {
			gone = append(gone, lost{c.No, custody.MediumDestroyed{Kind: custody.CopyKey, Image: x.Image, File: x.Name, Store: x.Store}})
		}
	}
	return gone
}

// openCopy refuses a copy that the case does not have any more.
func (s *station) openCopy(c custody.Case, id string) error {
	if x, ok := c.Export(id); !ok || !x.End.Open() {
		return &ui.Error{Code: ui.NotFound, What: "case " + string(c.No), Why: "--copy: it has no such open copy", Hint: "salvor show " + string(c.No), Err: custody.ErrNoCopy}
	}
	return nil
}

func newErased(p *program) *cobra.Command {
	var copyID, attest, reason string
	cmd := &cobra.Command{
		Use:   "erased ITEM",
		Short: "record that the disk of a written-out copy was wiped",
		Long: `Ends a written-out copy, or an image file that was handed in, whose disk was wiped
with "salvor wipe": the attest of that says what was proved. What proves nothing ends
nothing, nor does the wipe of a disk from before the copy was there.`,
		Example: `  salvor erased T1-2026-0001 --copy c-3f9a12bc --attest 235a0663…`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			return s.erasedCopy(ctx, args[0], copyID, attest, reason)
		}),
	}
	cmd.Flags().StringVar(&copyID, "copy", "", "`ID` of the copy (default: the image file that ITEM is)")
	cmd.Flags().StringVar(&attest, "attest", "", "`ID` of the attest of the wiped disk")
	cmd.Flags().StringVar(&reason, "reason", "", "more about it, in words")
	return cmd
}

func (s *station) erasedCopy(ctx context.Context, text, copyID, attest, reason string) error {
	op, err := s.operator(ctx, custody.TypeCopyErased)
	if err != nil {
		return err
	}
	p := custody.CopyErased{Copy: copyID, Job: attest}
	var since time.Time // when it was there
	var bytes int64     // that it has at least
	c, number, err := s.caseOf(ctx, text)
	if err != nil {
		return err
	}
	if copyID == "" {
		if number == "" {
			_, i, err := s.itemOf(ctx, text)
			if err != nil {
				return err
			}
			number = i.Item
		}
		i, _ := c.Item(number)
		if i.Kind != custody.ItemFile {
			return refuse("item "+string(c.No)+"/"+number, "it is a thing, not an image file", "give it back: salvor return ITEM; or destroy it: salvor destroyed ITEM")
		}
		p.Item, since = number, i.At
	} else {
		if err := s.openCopy(c, copyID); err != nil {
			return err
		}
		x, _ := c.Export(copyID)
		since, bytes = x.At, x.Bytes
		if err := s.fileGone(ctx, x); err != nil {
			return err
		}
	}
	a, err := s.wiped(ctx, attest)
	if err != nil {
		return err
	}
	const hint = "name the attest of the disk on which it lay"
	switch {
	case a.Started.Before(since):
		return refuse("erased", "--attest: that disk was wiped on "+s.term.DateTime(a.Started)+", before the copy was there", hint)
	case a.Device.Bytes < bytes:
		return refuse("erased", "--attest: the copy is larger than that disk", hint)
	}
	p.Media = custody.MediaClass(a.Class)
	if err := s.record(ctx, op.ID, c.No, entry(p.Item, p, because(reason))); err != nil {
		return err
	}
	if err := s.done(map[string]any{"case": c.No, "copy": p.Copy, "item": p.Item, "media": p.Media}, "case %s: erased, %s", c.No, p.Media); err != nil {
		return err
	}
	if p.Media == custody.MediaFailed || p.Media == custody.MediaNotAssured {
		return &ui.Error{Code: ui.Incomplete, What: "case " + string(c.No), Why: "the wipe proved nothing: the copy counts as still there", Hint: "destroy the medium, then salvor destroyed " + string(c.No) + " --copy " + cmp.Or(copyID, "ID")}
	}
	return nil
}

// fileGone refuses to end a copy whose file is where this station has written it: the disk
// that was wiped is another one.
func (s *station) fileGone(ctx context.Context, x custody.ExportedCopy) error {
	if x.Target != custody.TargetFile || x.Ref.Station != s.keys.Name() {
		return nil
	}
	written, err := s.ledger.Private(ctx, x.Ref)
	if err != nil {
		return err
	}
	// Any error means that it cannot be seen here, which is what is to be expected.
	if info, err := os.Lstat(written[custody.FieldTarget]); err == nil && info.Mode().IsRegular() && info.Size() == x.Bytes {
		return refuse("erased", "the file of copy "+x.ID+" is still there: that disk was not wiped", "name the attest of the disk on which it lay")
	}
	return nil
}

// wiped is the attest of a wiped disk.
func (s *station) wiped(ctx context.Context, id string) (a report.DeviceAttest, err error) {
	if id == "" {
		return a, usage("erased", "what proves it?", "--attest ID, as salvor wipe printed it")
	}
	signed, err := s.ledger.Attest(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return a, &ui.Error{Code: ui.NotFound, What: "erased", Why: "--attest: not in this station's ledger", Hint: "it is printed by salvor wipe", Err: err}
	}
	if err != nil {
		return a, err
	}
	known, err := s.verifiers(ctx)
	if err != nil {
		return a, err
	}
	if a, _, err = report.OpenDeviceAttest(signed, known); err != nil {
		return a, &ui.Error{Code: ui.VerifyFailed, What: "erased", Why: "--attest: not the attest of a wiped disk, or not as it was signed", Hint: "salvor audit", Err: err}
	}
	return a, nil
}
