package main

import (
	"cmp"
	"context"
	"errors"

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
	image, copyID, method, date, witness string
	processor, reference, recycler       string
	model, serial, reason                string
}

func newDestroyed(p *program) *cobra.Command {
	var o destroyedOptions
	cmd := &cobra.Command{
		Use:   "destroyed ITEM",
		Short: "record that a medium was destroyed, how, and who saw it",
		Long: `Records that a customer's own medium was destroyed, or with --image or --copy the one
on which an image or a written-out copy lay. It needs a witness, under four eyes
another person than you; of a recycler the number of his receipt; and for the
customer's own medium his leave (--allow destroy). A hold blocks it.`,
		Example: `  salvor destroyed T1-2026-0001/1 --method drill --witness an
  salvor destroyed T1-2026-0001 --image image-01 --method shred --witness an \
    --processor green --reference R-2026-118`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.destroyed(cmd.Context(), args[0], o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.image, "image", "", "the medium on which this image lay")
	f.StringVar(&o.copyID, "copy", "", "the medium on which the copy with this `ID` lay")
	destroyWords.add(cmd, &o.method, "how")
	f.StringVar(&o.date, "date", "", "the day (default: today)")
	f.StringVar(&o.witness, "witness", "", "`LOGIN` of the operator who saw it")
	f.StringVar(&o.processor, "processor", "", "`PROCESSOR` that did it")
	f.StringVar(&o.reference, "reference", "", "`NUMBER` of its receipt")
	f.StringVar(&o.recycler, "recycler", "", "who else took the rest, in words")
	f.StringVar(&o.model, "model", "", "model of the medium")
	f.StringVar(&o.serial, "serial", "", "serial `NUMBER` of the medium")
	f.StringVar(&o.reason, "reason", "", "why; needed for an image before its deadline")
	f.SortFlags = false
	return cmd
}

func (s *station) destroyed(ctx context.Context, text string, o destroyedOptions) error {
	const what = "destroyed"
	if err := destroyWords.check(what, o.method); err != nil {
		return err
	}
	if o.image != "" && o.copyID != "" {
		return usage(what, "--image and --copy are two media", "record one after the other")
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
	c, name, err := s.destroyedThing(ctx, text, o, &p)
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
	if err := s.record(ctx, op.ID, c.No, entry(p.Item, p, map[string]string{
		custody.FieldModel: o.model, custody.FieldSerial: o.serial, custody.FieldReason: o.reason,
		custody.FieldRecycler: o.recycler, custody.FieldReference: o.reference,
	})); err != nil {
		return err
	}
	return s.done(map[string]any{"case": c.No, "kind": p.Kind, "what": name, "method": p.Method, "date": p.Date, "witness": p.Witness},
		"case %s: recorded that %s was destroyed", c.No, name)
}

// destroyedThing finds what was destroyed, and says so in the event.
func (s *station) destroyedThing(ctx context.Context, text string, o destroyedOptions, p *custody.MediumDestroyed) (custody.Case, string, error) {
	if o.image == "" && o.copyID == "" {
		c, i, err := s.itemOf(ctx, text)
		p.Kind, p.Item = custody.CopyItem, i.Item
		return c, "item " + i.Item, err
	}
	c, _, err := s.caseOf(ctx, text)
	if err != nil {
		return c, "", err
	}
	if o.copyID != "" {
		p.Kind, p.Copy = custody.CopyExport, o.copyID
		return c, "the medium of copy " + o.copyID, s.openCopy(c, o.copyID)
	}
	p.Kind, p.Image = custody.CopyImage, o.image
	_, err = pick(c, o.image)
	return c, "the medium of " + o.image, err
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
nothing.`,
		Example: `  salvor erased T1-2026-0001 --copy c-3f9a12bc --attest 235a0663…`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error {
				return s.erasedCopy(cmd.Context(), args[0], copyID, attest, reason)
			})
		},
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
		if i, _ := c.Item(number); i.Kind != custody.ItemFile {
			return refuse("item "+string(c.No)+"/"+number, "it is a thing, not an image file", "give it back: salvor return ITEM; or destroy it: salvor destroyed ITEM")
		}
		p.Item = number
	} else if err := s.openCopy(c, copyID); err != nil {
		return err
	}
	if p.Media, err = s.wiped(ctx, attest); err != nil {
		return err
	}
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

// wiped is what the attest of a wiped disk proves about its medium.
func (s *station) wiped(ctx context.Context, id string) (custody.MediaClass, error) {
	if id == "" {
		return "", usage("erased", "what proves it?", "--attest ID, as salvor wipe printed it")
	}
	signed, err := s.ledger.Attest(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return "", &ui.Error{Code: ui.NotFound, What: "erased", Why: "--attest: not in this station's ledger", Hint: "it is printed by salvor wipe", Err: err}
	}
	if err != nil {
		return "", err
	}
	known, err := s.verifiers(ctx)
	if err != nil {
		return "", err
	}
	a, _, err := report.OpenDeviceAttest(signed, known)
	if err != nil {
		return "", &ui.Error{Code: ui.VerifyFailed, What: "erased", Why: "--attest: not the attest of a wiped disk, or not as it was signed", Hint: "salvor audit", Err: err}
	}
	return custody.MediaClass(a.Class), nil
}
