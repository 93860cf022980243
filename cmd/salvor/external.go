package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

// Sending an item to a company that works for the shop, and taking it back. Without a
// contract that covers it nothing leaves.

var (
	serviceWords = choice{"--service", "for what", []ui.Option{
		{Value: "recovery", Text: "a laboratory rescues the data"},
		{Value: "repair", Text: "it is repaired"},
		{Value: "transport", Text: "it is carried somewhere"},
		{Value: "destruction", Text: "it is destroyed"},
		{Value: "hosting", Text: "encrypted backups are kept there"},
	}}
	carrierWords = choice{"--carrier", "how does it travel", []ui.Option{
		{Value: "hand", Text: "somebody of the shop brings it"},
		{Value: "courier", Text: "a courier"},
		{Value: "post", Text: "by post"},
		{Value: "fetched", Text: "the processor fetches it"},
	}}
)

type externalOptions struct {
	processor, service, carrier, seal, back string
	place, condition, reference, reason     string
	clockChecked                            bool
}

func newSend(p *program) *cobra.Command {
	var o externalOptions
	cmd := &cobra.Command{
		Use:   "send ITEM",
		Short: "record, before it leaves, that an item goes to a processor",
		Long: `Records that an item goes to a processor. It needs a contract that holds today and
covers the service (salvor processor list), data that stay in the European Economic
Area or are safeguarded, and the customer's leave (intake or agree: --allow send).`,
		Example: `  salvor custody send T1-2026-0001/1 --to lab --service recovery \
    --carrier courier --back 3w`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error { return s.send(ctx, args[0], o) }),
	}
	f := cmd.Flags()
	f.StringVar(&o.processor, "to", "", "`PROCESSOR`'s id, as salvor processor list shows it")
	serviceWords.add(cmd, &o.service, "for what")
	carrierWords.add(cmd, &o.carrier, "how it travels")
	sealWords.add(cmd, &o.seal, "what the seal looks like")
	f.StringVar(&o.back, "back", "", "`DATE` on which it is expected back, or 3w from now")
	f.StringVar(&o.reference, "reference", "", "`NUMBER` of the parcel")
	f.StringVar(&o.reason, "reason", "", "more about it, in words")
	clockFlag(cmd, &o.clockChecked)
	return cmd
}

func (s *station) send(ctx context.Context, item string, o externalOptions) error {
	if err := cmp.Or(serviceWords.check("custody send", o.service), carrierWords.check("custody send", o.carrier), sealWords.check("custody send", o.seal)); err != nil {
		return err
	}
	if err := s.clockPlausible(ctx, "custody send", o.clockChecked); err != nil {
		return err
	}
	op, c, i, err := s.actsOnItem(ctx, custody.TypeSentExternal, item)
	if err != nil {
		return err
	}
	if err := c.MayMove(i.Item); err != nil {
		return readable(c.No, refusal(custody.TypeSentExternal, err))
	}
	if o.processor, err = s.text(ctx, o.processor, "--to", "id of the processor"); err != nil {
		return err
	}
	if err := s.knownProcessor(ctx, "custody send", o.processor); err != nil {
		return err
	}
	if o.service, err = serviceWords.settle(ctx, s, "custody send", o.service, "recovery"); err != nil {
		return err
	}
	if o.carrier, err = carrierWords.settle(ctx, s, "custody send", o.carrier, ""); err != nil {
		return err
	}
	seal, err := s.sealOf(ctx, "custody send", i, o.seal)
	if err != nil {
		return err
	}
	var back custody.Date
	if o.back != "" {
		if back, err = s.day("custody send", "--back", o.back, false); err != nil {
			return err
		}
	}
	if err := s.record(ctx, op.ID, c.No, entry(i.Item, custody.SentExternal{
		Processor: o.processor, Service: custody.Service(o.service), Carrier: custody.Carrier(o.carrier), Seal: seal, Back: back,
	}, map[string]string{custody.FieldReference: o.reference, custody.FieldReason: o.reason})); err != nil {
		return err
	}
	words := ""
	if back != "" {
		words = ", expected back on " + string(back)
	}
	return s.done(map[string]any{"case": c.No, "item": i.Item, "processor": o.processor, "back": back},
		"item %s/%s goes to %s%s", c.No, i.Item, o.processor, words)
}

func newBack(p *program) *cobra.Command {
	var o externalOptions
	cmd := &cobra.Command{
		Use:     "back ITEM",
		Short:   "record that an item came back from a processor",
		Example: `  salvor custody back T1-2026-0001/1 --carrier courier --place L-03`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.back(ctx, args[0], o) }),
	}
	f := cmd.Flags()
	carrierWords.add(cmd, &o.carrier, "how it travelled")
	sealWords.add(cmd, &o.seal, "what the seal looks like")
	f.StringVar(&o.place, "place", "", "`PLACE` where you put it, such as L-03")
	f.StringVar(&o.condition, "condition", "", "what is to be seen on it, in words")
	f.StringVar(&o.reference, "reference", "", "`NUMBER` of the parcel")
	clockFlag(cmd, &o.clockChecked)
	return cmd
}

func (s *station) back(ctx context.Context, item string, o externalOptions) error {
	if err := cmp.Or(carrierWords.check("custody back", o.carrier), sealWords.check("custody back", o.seal), placeCode("custody back", o.place)); err != nil {
		return err
	}
	if err := s.clockPlausible(ctx, "custody back", o.clockChecked); err != nil {
		return err
	}
	op, c, i, err := s.actsOnItem(ctx, custody.TypeBackExternal, item)
	if err != nil {
		return err
	}
	if i.State != custody.ItemIsOut {
		return refuse("item "+string(c.No)+"/"+i.Item, "it is with no processor", "salvor show "+string(c.No))
	}
	if o.carrier, err = carrierWords.settle(ctx, s, "custody back", o.carrier, ""); err != nil {
		return err
	}
	seal, err := s.sealOf(ctx, "custody back", i, o.seal)
	if err != nil {
		return err
	}
	if err := s.record(ctx, op.ID, c.No, entry(i.Item, custody.BackExternal{
		Processor: i.Processor, Carrier: custody.Carrier(o.carrier), Seal: seal, Place: o.place,
	}, map[string]string{custody.FieldCondition: o.condition, custody.FieldReference: o.reference})); err != nil {
		return err
	}
	s.sealAlarm(seal)
	return s.done(map[string]any{"case": c.No, "item": i.Item, "processor": i.Processor}, "item %s/%s is back and in your hands%s", c.No, i.Item, atPlace(o.place))
}
