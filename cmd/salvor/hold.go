package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

func newHold(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "block the erasing of a case, until somebody looks again",
		Example: `  salvor hold add T1-2026-0001 --kind legal --reason "claim" --review 3m
  salvor hold end T1-2026-0001 h-3f9a12bc --reason "claim settled"`,
		RunE: showHelp,
	}
	cmd.AddCommand(newHoldAdd(p), newHoldEnd(p))
	return cmd
}

func newHoldAdd(p *program) *cobra.Command {
	var kind, reason, review string
	var clockChecked bool
	cmd := &cobra.Command{
		Use:   "add CASE",
		Short: "block the erasing of a case",
		Long: `Blocks every way of erasing the case, until the hold is ended. Somebody looks at it
again within a year, and then ends it, or holds the case anew.`,
		Example: `  salvor hold add T1-2026-0001 --kind restriction --reason "asked" --review 3m`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			return s.addHold(ctx, args[0], kind, reason, review, clockChecked)
		}),
	}
	f := cmd.Flags()
	holdWords.add(cmd, &kind, "why it is held")
	f.StringVar(&reason, "reason", "", "why; recorded")
	f.StringVar(&review, "review", "", "day on which somebody looks at it again, or 3m, 6w, 30d from now; within a year")
	clockFlag(cmd, &clockChecked)
	return cmd
}

// holdWords are the kinds of holds.
var holdWords = choice{"--kind", "kind of hold", []ui.Option{
	{Value: string(custody.HoldRestriction), Text: "the customer asked to restrict the processing"},
	{Value: string(custody.HoldLegal), Text: "a legal claim"},
	{Value: string(custody.HoldIncident), Text: "evidence of an incident"},
	{Value: string(custody.HoldOther), Text: "another reason"},
}}

// reviewDay reads the day on which somebody looks at a hold again: within a year.
func (s *station) reviewDay(text string) (custody.Date, error) {
	day, err := s.day("hold add", "--review", text, false)
	if latest := custody.MaxReview(s.now().In(s.term.Zone)); err == nil && day > latest {
		err = usage("hold add", "--review: a hold is looked at again within one year", "until "+string(latest)+"; who looks at it then may hold it anew")
	}
	return day, err
}

func (s *station) addHold(ctx context.Context, no, kind, reason, review string, clockChecked bool) error {
	if err := holdWords.check("hold add", kind); err != nil {
		return err
	}
	if err := s.clockPlausible(ctx, "hold", clockChecked); err != nil {
		return err
	}
	day, err := s.reviewDay(review)
	if err != nil && review != "" {
		return err
	}
	op, err := s.operator(ctx, custody.TypeHoldAdded)
	if err != nil {
		return err
	}
	c, err := s.findCase(ctx, no)
	if err != nil {
		return err
	}
	if kind, err = holdWords.settle(ctx, s, "hold add", kind, ""); err != nil {
		return err
	}
	if reason, err = s.text(ctx, reason, "--reason", "reason"); err != nil {
		return err
	}
	if review == "" {
		if review, err = s.term.Line(ctx, ui.Question{Text: "day on which somebody looks at it again", Flag: "--review", Check: func(a string) error {
			if _, err := s.reviewDay(a); err != nil {
				return errors.New("a day within a year, such as 2027-01-15, or 3m from now")
			}
			return nil
		}}); err != nil {
			return err
		}
		if day, err = s.reviewDay(review); err != nil {
			return err
		}
	}
	if c.Erased() {
		return refuse("hold", "every image of the case is erased already", "salvor show "+no)
	}
	id := shortID("h")
	published, unknown := s.append(ctx, op.ID, c.No, ledger.Entry{
		Pub:     custody.HoldAdded{Hold: id, Kind: custody.HoldKind(kind), Review: day},
		Private: map[string]string{custody.FieldReason: reason},
	})
	if unknown != nil && len(published.Events) == 0 {
		return readable(c.No, unknown)
	}
	late, err := s.tooLate(ctx, c, published)
	if err != nil {
		return err
	}
	if s.json {
		if err := s.term.Document(map[string]any{"case": c.No, "hold": id, "review": day, "published": unknown == nil, "too_late_for": late}); err != nil {
			return err
		}
	} else {
		s.term.Say("case %s is held as %s", c.No, id)
	}
	if unknown != nil {
		if len(late) > 0 {
			s.term.Warn("the erasing of %s had begun", strings.Join(late, ", "))
		}
		return unknown
	}
	if len(late) > 0 {
		return &ui.Error{
			Code: ui.Incomplete, What: "hold", Why: "it is recorded, but the erasing of " + strings.Join(late, ", ") + " had begun: its keys are destroyed",
			Hint: "nothing can be read of it any more; the hold protects what else the case has",
		}
	}
	s.term.Say("nothing of it is erased until that hold ends")
	return nil
}

// tooLate names the images of a case of which keys are destroyed already, here or at
// another station: no hold protects them any more, and nobody may be told that one does.
func (s *station) tooLate(ctx context.Context, before custody.Case, published ledger.Published) ([]string, error) {
	late := []string{}
	for _, name := range published.Late {
		i, _ := published.Case.Image(name)
		if was, ok := before.Image(name); ok && !was.Left() || i.EraseFailed == custody.StepPlanned {
			continue // it was erased before, or nothing of it is destroyed
		}
		saved, err := s.ledger.Job(ctx, i.EraseJob)
		if errors.Is(err, ledger.ErrNotFound) { // another station is at it, and how far nobody knows
			late = append(late, name)
			continue
		}
		if err != nil {
			return nil, err
		}
		job, err := eraseJob(saved)
		if err != nil {
			return nil, err
		}
		if !job.Untouched() {
			late = append(late, name)
		}
	}
	return late, nil
}

func newHoldEnd(p *program) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "end CASE HOLD",
		Short:   "end one hold",
		Example: `  salvor hold end T1-2026-0001 h-3f9a12bc --reason "claim settled"`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			return s.endHold(ctx, args[0], args[1], reason)
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; recorded")
	return cmd
}

func (s *station) endHold(ctx context.Context, no, id, reason string) error {
	op, err := s.operator(ctx, custody.TypeHoldEnded)
	if err != nil {
		return err
	}
	c, err := s.findCase(ctx, no)
	if err != nil {
		return err
	}
	if custody.CheckID(id) != nil {
		return usage("hold", "not the id of a hold", "salvor show "+no)
	}
	if reason, err = s.text(ctx, reason, "--reason", "reason"); err != nil {
		return err
	}
	if _, err := s.append(ctx, op.ID, c.No, ledger.Entry{
		Pub: custody.HoldEnded{Hold: id}, Private: map[string]string{custody.FieldReason: reason},
	}); err != nil {
		return readable(c.No, err)
	}
	if s.json {
		return s.term.Document(map[string]any{"case": c.No, "hold": id, "ended": true})
	}
	s.term.Say("hold %s of case %s is ended", id, c.No)
	return nil
}
