package main

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

func newPlace(p *program) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "place ITEM PLACE",
		Short:   "say where an item lies from now on",
		Example: `  salvor custody place T1-2026-0001/1 L-03`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			return s.place(ctx, args[0], args[1], reason)
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "more about it, in words")
	return cmd
}

func (s *station) place(ctx context.Context, item, place, reason string) error {
	if place == "" {
		return usage("custody place", "which place?", "such as L-03")
	}
	if err := placeCode("custody place", place); err != nil {
		return err
	}
	op, c, i, err := s.actsOnItem(ctx, custody.TypePlaceChanged, item)
	if err != nil {
		return err
	}
	if err := s.record(ctx, op.ID, c.No, entry(i.Item, custody.PlaceChanged{Place: place}, because(reason))); err != nil {
		return err
	}
	return s.done(map[string]any{"case": c.No, "item": i.Item, "place": place}, "item %s/%s lies at %s", c.No, i.Item, place)
}

func newSeal(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "seal ITEM NUMBER",
		Short:   "record the seal that was put on an item",
		Example: `  salvor custody seal T1-2026-0001/1 S-1042`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.seal(ctx, args[0], args[1]) }),
	}
}

func (s *station) seal(ctx context.Context, item, number string) error {
	if number == "" {
		return usage("custody seal", "which number?", "such as S-1042")
	}
	if err := sealNumber("custody seal", number); err != nil {
		return err
	}
	op, c, i, err := s.actsOnItem(ctx, custody.TypeSealApplied, item)
	if err != nil {
		return err
	}
	if err := s.record(ctx, op.ID, c.No, entry(i.Item, custody.SealApplied{Seal: number}, nil)); err != nil {
		return err
	}
	return s.done(map[string]any{"case": c.No, "item": i.Item, "seal": number}, "item %s/%s has seal %s", c.No, i.Item, number)
}

type lookOptions struct{ seal, condition, reason string }

func newLook(p *program) *cobra.Command {
	var o lookOptions
	cmd := &cobra.Command{
		Use:   "check ITEM",
		Short: "look at an item's seal and record what it shows",
		Long: `Records what a look at the seal shows. A seal that is broken or missing stays an
exception on every overview.`,
		Example: `  salvor custody check T1-2026-0001/1 --seal intact`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.look(ctx, args[0], o) }),
	}
	sealWords.add(cmd, &o.seal, "what the seal looks like")
	cmd.Flags().StringVar(&o.condition, "condition", "", "what is to be seen on the item, in words")
	cmd.Flags().StringVar(&o.reason, "reason", "", "more about it, in words")
	return cmd
}

func (s *station) look(ctx context.Context, item string, o lookOptions) error {
	if err := sealWords.check("custody check", o.seal); err != nil {
		return err
	}
	op, c, i, err := s.actsOnItem(ctx, custody.TypeSealChecked, item)
	if err != nil {
		return err
	}
	if i.Seal == "" {
		return refuse("item "+string(c.No)+"/"+i.Item, "it has no recorded seal", "salvor custody seal ITEM NUMBER records one")
	}
	seal, err := sealWords.settle(ctx, s, "custody check", o.seal, "intact")
	if err != nil {
		return err
	}
	state := custody.SealState(seal)
	if err := s.record(ctx, op.ID, c.No, entry(i.Item, custody.SealChecked{Seal: i.Seal, State: state}, map[string]string{
		custody.FieldCondition: o.condition, custody.FieldReason: o.reason,
	})); err != nil {
		return err
	}
	if err := s.done(map[string]any{"case": c.No, "item": i.Item, "seal": i.Seal, "state": state}, "seal %s of item %s/%s: %s", i.Seal, c.No, i.Item, state); err != nil {
		return err
	}
	if state == custody.SealBroken || state == custody.SealMissing {
		return &ui.Error{Code: ui.VerifyFailed, What: "seal " + i.Seal, Why: "it is " + seal, Hint: "find out who was at it; salvor incident open begins an incident"}
	}
	return nil
}
