package main

import (
	"cmp"
	"context"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

// The chain of custody at the desk: in whose hands an item is, where it lies, and
// whether anybody was at it.

func newCustody(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "custody",
		Short: "who has an item in hand, where it lies, its seal, sending it out",
		Long: `Records the way of an item. ITEM is what the label's QR code says, or what stands on
the label: T1-2026-0001/1. The number of the case is enough where it has one item.`,
		Example: `  salvor custody place T1-2026-0001/1 L-03
  salvor custody offer T1-2026-0001/1 --to an --why imaging
  salvor custody accept salvor:T1-2026-0001/1 --place L-04`,
		RunE: showHelp,
	}
	cmd.AddCommand(newOffer(p), newAccept(p), newPlace(p), newSeal(p), newLook(p), newSend(p), newBack(p))
	return cmd
}

var (
	transferWords = choice{"--why", "why does it change hands", []ui.Option{
		{Value: "imaging", Text: "to be imaged"},
		{Value: "repair", Text: "to be repaired"},
		{Value: "storage", Text: "to be stored"},
		{Value: "transport", Text: "to be carried elsewhere"},
		{Value: "return", Text: "to be given back"},
		{Value: "shift", Text: "somebody else goes on"},
		{Value: "intake", Text: "taken in at the counter"},
	}}
	sealWords = choice{"--seal", "what does the seal look like", []ui.Option{
		{Value: "intact", Text: "whole, with the recorded number"},
		{Value: "opened", Text: "opened by the shop for its work"},
		{Value: "broken", Text: "broken by nobody knows whom"},
		{Value: "missing", Text: "there should be one"},
		{Value: "none", Text: "the item has none"},
	}}
)

// sealOf settles what an item's seal looks like: an item without a seal needs no answer.
func (s *station) sealOf(ctx context.Context, what string, i custody.Item, value string) (custody.SealState, error) {
	usual := ""
	if i.Seal == "" {
		if value == "" {
			return custody.SealNone, nil
		}
		usual = "none"
	}
	seal, err := sealWords.settle(ctx, s, what, value, usual)
	if err == nil && i.Seal == "" && seal != string(custody.SealNone) {
		err = usage(what, "--seal: the item has no recorded seal", "salvor custody seal ITEM NUMBER records one")
	}
	return custody.SealState(seal), err
}

type transferOptions struct {
	other, why, seal, place, reason, condition string
	clockChecked                               bool
}

func newOffer(p *program) *cobra.Command {
	var o transferOptions
	cmd := &cobra.Command{
		Use:   "offer ITEM",
		Short: "offer an item to another operator, who then accepts it",
		Long: `Offers an item that you have in hand to another operator, who takes it with
"salvor custody accept". Until then it is in your hands.`,
		Example: `  salvor custody offer T1-2026-0001/1 --to an --why imaging --seal intact`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.offer(ctx, args[0], o) }),
	}
	cmd.Flags().StringVar(&o.other, "to", "", "`LOGIN` of who is to take it")
	transferWords.add(cmd, &o.why, "why it changes hands")
	sealWords.add(cmd, &o.seal, "what the seal looks like")
	cmd.Flags().StringVar(&o.reason, "reason", "", "more about it, in words")
	clockFlag(cmd, &o.clockChecked)
	return cmd
}

func (s *station) offer(ctx context.Context, item string, o transferOptions) error {
	if err := cmp.Or(transferWords.check("custody offer", o.why), sealWords.check("custody offer", o.seal)); err != nil {
		return err
	}
	if err := s.clockPlausible(ctx, "custody offer", o.clockChecked); err != nil {
		return err
	}
	op, c, i, err := s.actsOnItem(ctx, custody.TypeCustodyOffered, item)
	if err != nil {
		return err
	}
	if err := c.MayMove(i.Item); err != nil {
		return readable(c.No, refusal(custody.TypeCustodyOffered, err))
	}
	if i.Custodian != op.ID {
		return s.notInHand(ctx, c, i)
	}
	if o.other, err = s.text(ctx, o.other, "--to", "login of who is to take it"); err != nil {
		return err
	}
	to, err := s.colleague(ctx, "custody offer", "--to", o.other)
	if err != nil {
		return err
	}
	if to.ID == op.ID {
		return usage("custody offer", "--to: that is yourself", "name who is to take it")
	}
	if o.why, err = transferWords.settle(ctx, s, "custody offer", o.why, "imaging"); err != nil {
		return err
	}
	seal, err := s.sealOf(ctx, "custody offer", i, o.seal)
	if err != nil {
		return err
	}
	id := shortID("o")
	if err := s.record(ctx, op.ID, c.No, entry(i.Item, custody.Offered{
		Offer: id, From: op.ID, To: to.ID, Reason: custody.TransferReason(o.why), Seal: seal,
	}, because(o.reason))); err != nil {
		return err
	}
	return s.done(map[string]any{"case": c.No, "item": i.Item, "offer": id, "to": to.ID},
		"item %s/%s is offered to %s, and in your hands until it is accepted: salvor custody accept %s/%s", c.No, i.Item, o.other, c.No, i.Item)
}

// notInHand says who has the item that somebody else wants to hand over.
func (s *station) notInHand(ctx context.Context, c custody.Case, i custody.Item) error {
	names, err := s.operatorNames(ctx)
	if err != nil {
		return err
	}
	return refuse("item "+string(c.No)+"/"+i.Item, "it is in the hands of "+nameOf(names, i.Custodian), "who has it offers it, or you take it over from hand to hand: salvor custody accept "+string(c.No)+"/"+i.Item)
}

func newAccept(p *program) *cobra.Command {
	var o transferOptions
	cmd := &cobra.Command{
		Use:   "accept ITEM",
		Short: "take an item into your hands",
		Long: `Takes an item that was offered to you. Without an offer it is taken from the hands of
whoever has it, who should stand beside you. Where records of two stations disagree
about who has it, --from says from whom you took it, and the dispute is over.`,
		Example: `  salvor custody accept T1-2026-0001/1 --seal intact --place L-04`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.accept(ctx, args[0], o) }),
	}
	cmd.Flags().StringVar(&o.place, "place", "", "`PLACE` where you put it, such as L-04")
	cmd.Flags().StringVar(&o.other, "from", "", "`LOGIN` of who gave it (default: whoever offered it, or has it)")
	transferWords.add(cmd, &o.why, "why it changes hands (default: as offered)")
	sealWords.add(cmd, &o.seal, "what the seal looks like")
	cmd.Flags().StringVar(&o.condition, "condition", "", "what is to be seen on it, in words")
	cmd.Flags().StringVar(&o.reason, "reason", "", "more about it, in words")
	clockFlag(cmd, &o.clockChecked)
	return cmd
}

func (s *station) accept(ctx context.Context, item string, o transferOptions) error {
	if err := cmp.Or(transferWords.check("custody accept", o.why), sealWords.check("custody accept", o.seal), placeCode("custody accept", o.place)); err != nil {
		return err
	}
	if err := s.clockPlausible(ctx, "custody accept", o.clockChecked); err != nil {
		return err
	}
	op, c, i, err := s.actsOnItem(ctx, custody.TypeCustodyAccepted, item)
	if err != nil {
		return err
	}
	p := custody.Accepted{From: i.Custodian, To: op.ID, Reason: custody.TransferReason(o.why), Place: o.place}
	if o.other != "" {
		from, err := s.colleague(ctx, "custody accept", "--from", o.other)
		if err != nil {
			return err
		}
		p.From = from.ID
	}
	for _, offer := range i.Offers {
		if offer.To == op.ID && (o.other == "" || offer.From == p.From) {
			p.From, p.Offer = offer.From, offer.Offer
			if p.Reason == "" {
				p.Reason = offer.Reason
			}
		}
	}
	switch {
	case i.State == custody.ItemIsDisputed && p.From == "":
		return &ui.Error{Code: ui.Refused, What: "item " + string(c.No) + "/" + i.Item, Why: "records disagree about who has it", Hint: "from whom did you take it? --from LOGIN"}
	case p.From == op.ID && i.State == custody.ItemIsHere:
		return refuse("item "+string(c.No)+"/"+i.Item, "it is in your hands already", "salvor custody place ITEM PLACE says where it lies")
	}
	if p.Reason == "" {
		why, err := transferWords.settle(ctx, s, "custody accept", "", "shift")
		if err != nil {
			return err
		}
		p.Reason = custody.TransferReason(why)
	}
	if p.Seal, err = s.sealOf(ctx, "custody accept", i, o.seal); err != nil {
		return err
	}
	if err := s.record(ctx, op.ID, c.No, entry(i.Item, p, map[string]string{
		custody.FieldReason: o.reason, custody.FieldCondition: o.condition,
	})); err != nil {
		return err
	}
	if p.Offer == "" {
		s.term.Say("it was not offered to you: recorded as taken over from hand to hand")
	}
	s.sealAlarm(p.Seal)
	return s.done(map[string]any{"case": c.No, "item": i.Item, "from": p.From, "to": p.To, "offered": p.Offer != ""},
		"item %s/%s is in your hands%s", c.No, i.Item, atPlace(o.place))
}

// done ends a command: a document for a script, one sentence for a person.
func (s *station) done(document map[string]any, format string, args ...any) error {
	if s.json {
		return s.term.Document(document)
	}
	s.term.Say(format, args...)
	return nil
}

// sealAlarm says what a seal that is not whole asks for.
func (s *station) sealAlarm(state custody.SealState) {
	if state == custody.SealBroken || state == custody.SealMissing {
		s.term.Warn("the seal is %s: find out who was at it; salvor incident open begins an incident", state)
	}
}

// atPlace is where something lies, at the end of a sentence.
func atPlace(place string) string {
	if place == "" {
		return ""
	}
	return ", at " + place
}

// nameOf is the name of an operator, or his number where the name is not known here.
func nameOf(names map[string]string, op string) string {
	if name := strings.TrimSpace(names[op]); name != "" {
		return name
	}
	if op == stationOperator {
		return "the station"
	}
	return op
}
