package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"salvor/custody"
	"salvor/custody/ledger"
)

// correction is one field that somebody typed wrong, and the event that it stands in.
type correction struct {
	flag, field, usage string
	ofItem             bool
}

func corrections() []correction {
	return []correction{
		{"customer", custody.FieldCustomer, "the customer's name", false},
		{"phone", custody.FieldPhone, "telephone", false},
		{"email", custody.FieldEmail, "e-mail address", false},
		{"address", custody.FieldAddress, "address", false},
		{"ticket", custody.FieldTicket, "the shop's own order number", false},
		{"proxy", custody.FieldProxy, "who brought it for the owner, and by which paper", false},
		{"maker", custody.FieldMaker, "of the item: who made it", true},
		{"model", custody.FieldModel, "of the item: its model", true},
		{"serial", custody.FieldSerial, "of the item: its serial `NUMBER`", true},
		{"damage", custody.FieldCondition, "of the item: what is to be seen on it", true},
		{"fault", custody.FieldFault, "of the item: what the customer says is wrong", true},
		{"accessories", custody.FieldAccessories, "of the item: what came with it", true},
	}
}

func newCorrect(p *program) *cobra.Command {
	values := make(map[string]*string)
	var reason string
	cmd := &cobra.Command{
		Use:   "correct ITEM",
		Short: "put right what was typed wrong about a customer or an item",
		Long: `Records what is right beside what was wrong; nothing is edited. Papers and salvor show
use the newest value. ITEM is the number of a case, or an item of it: T1-2026-0001/1.`,
		Example: `  salvor correct T1-2026-0001 --phone "+32 471 11 11 11" --reason "typed wrong"
  salvor correct T1-2026-0001/1 --serial WX12 --reason "read again"`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			return s.correct(ctx, args[0], values, reason)
		}),
	}
	for _, x := range corrections() {
		values[x.flag] = cmd.Flags().String(x.flag, "", x.usage)
	}
	cmd.Flags().StringVar(&reason, "reason", "", "what was wrong; recorded")
	cmd.Flags().SortFlags = false
	return cmd
}

func (s *station) correct(ctx context.Context, text string, values map[string]*string, reason string) error {
	op, c, number, err := s.actsOn(ctx, custody.TypeEventCorrected, text)
	if err != nil {
		return err
	}
	ofCase, ofItem := map[string]string{}, map[string]string{}
	for _, x := range corrections() {
		switch value := *values[x.flag]; {
		case value == "":
		case x.ofItem:
			ofItem[x.field] = value
		default:
			ofCase[x.field] = value
		}
	}
	if len(ofCase)+len(ofItem) == 0 {
		return usage("correct", "what is right?", `--phone "…" --reason "typed wrong"`)
	}
	if reason, err = s.text(ctx, reason, "--reason", "what was wrong"); err != nil {
		return err
	}
	var entries []ledger.Entry
	if len(ofCase) > 0 {
		opened, err := s.openedEvent(ctx, c.No)
		if err != nil {
			return err
		}
		entries = append(entries, corrected(opened.Ref(), ofCase, reason))
	}
	if len(ofItem) > 0 {
		i, ok := c.Item(number)
		if !ok {
			if _, i, err = s.itemOf(ctx, text); err != nil {
				return err
			}
		}
		entries = append(entries, corrected(i.Ref, ofItem, reason))
	}
	if err := s.record(ctx, op.ID, c.No, entries...); err != nil {
		return err
	}
	return s.done(map[string]any{"case": c.No, "corrected": len(ofCase) + len(ofItem)}, "case %s: corrected; what stood there before stays on the record", c.No)
}

// corrected is the event that puts fields of another event right.
func corrected(event custody.Ref, right map[string]string, reason string) ledger.Entry {
	var fields []string
	for name := range right {
		fields = append(fields, name)
	}
	slices.Sort(fields)
	return entry("", custody.EventCorrected{Event: event, Fields: fields}, with(right, custody.FieldReason, reason))
}
