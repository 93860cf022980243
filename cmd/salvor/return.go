package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// Giving back: the customer's things, and the copies that were made for him. Nobody gets
// anything whom the desk has not checked.

var (
	recipientWords = choice{"--to", "who takes it", []ui.Option{
		{Value: "owner", Text: "the customer himself"},
		{Value: "proxy", Text: "somebody with his written proxy"},
	}}
	mediumWords = choice{"--medium", "on what are the data given back", []ui.Option{
		{Value: "customer", Text: "a disk that the customer brought"},
		{Value: "sold", Text: "a disk bought from the shop"},
		{Value: "computer", Text: "the repaired or new computer"},
	}}
)

type returnOptions struct {
	to, recipient, proxy, code string
	identityShown              bool
	items, copies              []string
	noItems                    bool
	seal, condition            string
	medium, model, serial      string
	missing                    string
	clockChecked               bool
}

func newReturn(p *program) *cobra.Command {
	var o returnOptions
	cmd := &cobra.Command{
		Use:   "return CASE",
		Short: "give a customer's things and data back to the right person",
		Long: `Records that items and data were handed over. Whoever takes them is the owner, or
has his written proxy, and was checked: by the code on the receipt (--code), which
salvor compares, or by an identity document (--identity-shown), of which no copy is
kept. Nobody else gets anything.

Without --item every item that is here is given back, without --copy every open copy
that was made to be handed over. "salvor return T1-2026-0001/2" is item 2 alone; an
image file that was handed in goes back only when it is named so.`,
		Example: `  salvor return T1-2026-0001 --to owner --code K7QF-2MXD
  salvor return T1-2026-0001 --to proxy --recipient "Els Maes" \
    --proxy "letter of 9 January" --identity-shown
  salvor return T1-2026-0001 --to owner --identity-shown --no-items`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error { return s.giveBack(ctx, args[0], o) }),
	}
	f := cmd.Flags()
	recipientWords.add(cmd, &o.to, "who takes it")
	f.StringVar(&o.recipient, "recipient", "", "`NAME` of who takes it, where it is not the owner")
	f.StringVar(&o.proxy, "proxy", "", "the paper that allows it: date, signed by whom")
	f.StringVar(&o.code, "code", "", "the `CODE` on the receipt")
	f.BoolVar(&o.identityShown, "identity-shown", false, "an identity document was shown, and not copied")
	f.StringSliceVar(&o.items, "item", nil, "`NUMBERS` of the items, several with commas (default: all that are here)")
	f.BoolVar(&o.noItems, "no-items", false, "no item is given back now")
	sealWords.add(cmd, &o.seal, "what the seal of the items looks like")
	f.StringVar(&o.condition, "condition", "", "what is to be seen on the items, in words")
	f.StringSliceVar(&o.copies, "copy", nil, "`IDS` of written-out copies (default: the open ones that were made for the customer)")
	mediumWords.add(cmd, &o.medium, "on what the data are given back")
	f.StringVar(&o.model, "model", "", "model of that medium")
	f.StringVar(&o.serial, "serial", "", "serial `NUMBER` of that medium")
	f.StringVar(&o.missing, "missing", "", "what could not be recovered, in words")
	clockFlag(cmd, &o.clockChecked)
	f.SortFlags = false
	return cmd
}

func (o *returnOptions) check() error {
	if err := cmp.Or(recipientWords.check("return", o.to), mediumWords.check("return", o.medium), sealWords.check("return", o.seal)); err != nil {
		return err
	}
	switch {
	case o.code != "" && o.identityShown:
		return usage("return", "--code and --identity-shown: one of them is what was checked", "")
	case o.noItems && len(o.items) > 0:
		return usage("return", "--item and --no-items exclude each other", "leave one of the two out")
	case o.to == string(custody.RecipientOwner) && o.proxy != "":
		return usage("return", "--proxy: the owner needs none", "--to proxy for somebody else")
	}
	return nil
}

// handover is who takes it and how he was checked.
type handover struct {
	to      custody.Recipient
	checked custody.RecipientCheck
	private map[string]string
}

func (s *station) giveBack(ctx context.Context, text string, o returnOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := s.clockPlausible(ctx, "return", o.clockChecked); err != nil {
		return err
	}
	op, c, item, err := s.actsOn(ctx, custody.TypeItemReturned, text)
	if err != nil {
		return err
	}
	if item != "" {
		if len(o.items) > 0 || o.noItems {
			return usage("return", "the label names the item already", "leave --item and --no-items out")
		}
		o.items = []string{item}
	}
	items, err := o.pickItems(c)
	if err != nil {
		return err
	}
	copies, err := o.pickCopies(c, item != "")
	if err != nil {
		return err
	}
	if len(items)+len(copies) == 0 {
		return nothingToReturn(c)
	}
	if !s.json {
		s.term.Say("to give back: %s", giveWords(items, copies))
	}
	who, err := s.recipient(ctx, c, o)
	if err != nil {
		return err
	}
	var entries []ledger.Entry
	for _, i := range items {
		seal, err := s.sealOf(ctx, "return", i, o.seal)
		if err != nil {
			return err
		}
		s.sealAlarm(seal)
		entries = append(entries, entry(i.Item, custody.ItemReturned{To: who.to, Checked: who.checked, Seal: seal},
			with(who.private, custody.FieldCondition, o.condition)))
	}
	if len(copies) > 0 {
		if o.medium, err = mediumWords.settle(ctx, s, "return", o.medium, ""); err != nil {
			return err
		}
	}
	for _, x := range copies {
		written, err := s.ledger.Private(ctx, x.Ref)
		if err != nil {
			return err
		}
		entries = append(entries, entry("", custody.DataReturned{
			Copy: x.ID, Image: x.Image, Medium: custody.ReturnMedium(o.medium), Files: x.Files, Bytes: x.Bytes,
			Verified: compared(c, x), To: who.to, Checked: who.checked,
		}, with(who.private, custody.FieldModel, o.model, custody.FieldSerial, o.serial, custody.FieldMissing, o.missing,
			custody.FieldSHA256, written[custody.FieldSHA256])))
	}
	if err := s.record(ctx, op.ID, c.No, entries...); err != nil {
		return err
	}
	if err := s.done(map[string]any{"case": c.No, "items": numbersOf(items), "copies": idsOf(copies), "to": who.to, "checked": who.checked},
		"recorded: %s given back to the %s", giveWords(items, copies), who.to); err != nil {
		return err
	}
	if c.Confirmed == nil && c.Copies() > 0 {
		s.term.Say("next: salvor report handover %s; ask whether the customer has everything, then salvor confirm %s", c.No, c.No)
	}
	return nil
}

// nothingToReturn says what there is all the same, which has to be named.
func nothingToReturn(c custody.Case) error {
	hint := "salvor show " + string(c.No)
	for _, x := range c.Exports {
		if x.End.Open() {
			hint = fmt.Sprintf("a copy that was not made for him: salvor return %s --copy %s", c.No, x.ID)
		}
	}
	for _, i := range c.Items {
		if i.State == custody.ItemIsHere { // an image file
			hint = fmt.Sprintf("the image file goes back when it is named: salvor return %s/%s", c.No, i.Item)
		}
	}
	return refuse("case "+string(c.No), "there is nothing to give back: no item is here, and no copy was made for the customer", hint)
}

// pickItems are the items that go out: those that were named, or all that are here.
func (o *returnOptions) pickItems(c custody.Case) ([]custody.Item, error) {
	if o.noItems {
		return nil, nil
	}
	var list []custody.Item
	if len(o.items) == 0 {
		for _, i := range c.Items {
			// An image file is no thing to carry home.
			if i.State == custody.ItemIsHere && i.Kind != custody.ItemFile {
				list = append(list, i)
			}
		}
		return list, nil
	}
	for _, number := range o.items {
		i, ok := c.Item(number)
		if !ok {
			return nil, &ui.Error{Code: ui.NotFound, What: "case " + string(c.No), Why: "--item: it has no such item", Hint: "salvor show " + string(c.No)}
		}
		if slices.ContainsFunc(list, func(x custody.Item) bool { return x.Item == number }) {
			return nil, usage("return", "--item "+number+": given twice", "")
		}
		if err := c.MayMove(i.Item); err != nil {
			return nil, readable(c.No, refusal(custody.TypeItemReturned, fmt.Errorf("item %s: %w", i.Item, err)))
		}
		list = append(list, i)
	}
	return list, nil
}

// pickCopies are the written-out copies that go out with them.
func (o *returnOptions) pickCopies(c custody.Case, itemOnly bool) ([]custody.ExportedCopy, error) {
	var list []custody.ExportedCopy
	if len(o.copies) == 0 {
		for _, x := range c.Exports {
			// Records of the first version do not say for whom a copy was made.
			forHim := x.Export.Handover || x.Export.Copy == ""
			if x.End.Open() && x.Ref != (custody.Ref{}) && forHim && !itemOnly {
				list = append(list, x)
			}
		}
		return list, nil
	}
	for _, id := range o.copies {
		x, ok := c.Export(id)
		if !ok || !x.End.Open() {
			return nil, &ui.Error{Code: ui.NotFound, What: "case " + string(c.No), Why: "--copy: it has no such open copy", Hint: "salvor show " + string(c.No)}
		}
		list = append(list, x)
	}
	return list, nil
}

// compared reports whether what was written out was read again and compared: a restore
// always does that before it is recorded.
func compared(c custody.Case, x custody.ExportedCopy) bool {
	return slices.ContainsFunc(c.Restores, func(r custody.Restore) bool { return r.Ref == x.Ref })
}

// recipient settles who takes it and how he was checked. A third person without a
// proxy gets nothing.
func (s *station) recipient(ctx context.Context, c custody.Case, o returnOptions) (handover, error) {
	to, err := recipientWords.settle(ctx, s, "return", o.to, "owner")
	if err != nil {
		return handover{}, err
	}
	h := handover{to: custody.Recipient(to), checked: custody.CheckedIdentity}
	if h.to == custody.RecipientProxy {
		if o.recipient, err = s.text(ctx, o.recipient, "--recipient", "name of who takes it"); err != nil {
			return h, err
		}
		if o.proxy == "" && !c.Proxy {
			if !s.term.CanAsk() {
				return h, refuse("case "+string(c.No), "a third person gets nothing without the owner's written proxy", `name the paper: --proxy "letter of 9 January"`)
			}
			if o.proxy, err = s.term.Line(ctx, ui.Question{Text: "by which written proxy of the owner", Flag: "--proxy", Check: notEmpty}); err != nil {
				return h, err
			}
		}
	}
	h.private = map[string]string{custody.FieldRecipient: o.recipient, custody.FieldProxy: o.proxy}
	if o.identityShown {
		return h, nil
	}
	want, err := s.receiptCode(ctx, c.No)
	if err != nil {
		return h, err
	}
	if o.code == "" {
		if !s.term.CanAsk() {
			return h, &ui.Error{
				Code: ui.Usage, What: "return", Why: "who takes it was not checked",
				Hint: "--code CODE of the receipt, or --identity-shown when an identity document was shown",
			}
		}
		if o.code, err = s.term.Line(ctx, ui.Question{Text: "code on the receipt (empty: an identity document was shown)", Flag: "--code"}); err != nil {
			return h, err
		}
	}
	switch {
	case strings.TrimSpace(o.code) != "":
		if !sameCode(o.code, want) {
			return h, refuse("case "+string(c.No), "that is not the code of this case's receipt", "look at the receipt again, or check an identity document: --identity-shown")
		}
		h.checked = custody.CheckedCode
	default:
		shown, err := s.term.YesNo(ctx, ui.Question{Text: "was an identity document shown, and is it the right person's", Flag: "--identity-shown"})
		if err != nil {
			return h, err
		}
		if !shown {
			return h, refuse("case "+string(c.No), "who takes it was not checked", "nothing is given to somebody whom nobody has checked")
		}
	}
	return h, nil
}

// with adds private fields to a copy of others.
func with(private map[string]string, fields ...string) map[string]string {
	all := make(map[string]string, len(private)+len(fields)/2)
	for k, v := range private {
		all[k] = v
	}
	for i := 0; i < len(fields); i += 2 {
		all[fields[i]] = fields[i+1]
	}
	return all
}

func giveWords(items []custody.Item, copies []custody.ExportedCopy) string {
	var words []string
	for _, i := range items {
		words = append(words, fmt.Sprintf("item %s (%s)", i.Item, i.Kind))
	}
	for _, x := range copies {
		words = append(words, fmt.Sprintf("copy %s (%s)", x.ID, ui.Size(x.Bytes)))
	}
	return strings.Join(words, ", ")
}

func numbersOf(items []custody.Item) []string {
	list := []string{}
	for _, i := range items {
		list = append(list, i.Item)
	}
	return list
}

func idsOf(copies []custody.ExportedCopy) []string {
	list := []string{}
	for _, x := range copies {
		list = append(list, x.ID)
	}
	return list
}
