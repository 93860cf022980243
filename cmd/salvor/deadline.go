package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/custody"
)

type deadlineOptions struct {
	keep, until, reason string
	clockChecked        bool
}

func newDeadline(p *program) *cobra.Command {
	var o deadlineOptions
	cmd := &cobra.Command{
		Use:   "deadline CASE",
		Short: "bring the deadline of a case forward",
		Long: `Brings the deadline of a case forward. A deadline never moves later: what has to be
kept longer is held (salvor hold add), or copied anew with a new agreement. Data of
a special category are never made due so soon that nobody could object.`,
		Example: `  salvor deadline T1-2026-0001 --keep 14d --reason "asked for by the customer"
  salvor deadline T1-2026-0001 --until 2026-12-24`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error { return s.shorten(ctx, args[0], o) }),
	}
	f := cmd.Flags()
	f.StringVar(&o.keep, "keep", "", "so much from now: 14d, 6w, 3m, 36h; 0d is due at once")
	f.StringVar(&o.until, "until", "", "`DATE` at whose beginning it is due")
	f.StringVar(&o.reason, "reason", "", "why; recorded")
	clockFlag(cmd, &o.clockChecked)
	return cmd
}

func (s *station) shorten(ctx context.Context, no string, o deadlineOptions) error {
	keep, err := o.parse()
	if err != nil {
		return err
	}
	if err := s.clockPlausible(ctx, "deadline", o.clockChecked); err != nil {
		return err
	}
	op, c, _, err := s.actsOn(ctx, custody.TypeDeadlineShortened, no)
	if err != nil {
		return err
	}
	deadline, err := keep.Deadline(s.now(), c.FirstImage, s.term.Zone)
	switch {
	case err != nil:
		return fmt.Errorf("case %s: %w", c.No, err)
	case deadline.Before(custody.At(s.now()).Time):
		return usage("deadline", "--until: in the past", "--keep 0d is due at once")
	case !c.Closed.IsZero():
		return refuse("case "+string(c.No), "it is closed", "salvor show "+string(c.No))
	case !c.Deadline.IsZero() && deadline.After(c.Deadline):
		return refuse("case "+string(c.No), "it is to be erased by "+s.term.Date(c.Deadline)+", and a deadline never moves later",
			"what must be kept longer is held: salvor hold add "+string(c.No))
	}
	if err := s.record(ctx, op.ID, c.No, entry("", custody.DeadlineShortened{Deadline: custody.At(deadline)}, because(o.reason))); err != nil {
		return err
	}
	if err := s.done(map[string]any{"case": c.No, "deadline": custody.At(deadline), "held": c.Held()},
		"case %s is to be erased by %s", c.No, s.deadlineWords(deadline)); err != nil {
		return err
	}
	if c.Held() {
		s.term.Warn("a hold keeps it all the same, until somebody ends that: salvor show %s", c.No)
	}
	return nil
}

func (o *deadlineOptions) parse() (custody.Keep, error) {
	switch {
	case o.keep != "" && o.until != "":
		return custody.Keep{}, usage("deadline", "--keep and --until say the same thing twice", "leave one of the two out")
	case o.until != "":
		if _, err := custody.ParseDate(o.until); err != nil {
			return custody.Keep{}, usage("deadline", "--until: not a day such as 2026-12-24", "")
		}
		return custody.ParseKeep(o.until)
	case o.keep == "":
		return custody.Keep{}, usage("deadline", "until when?", "--keep 14d, or --until DATE")
	}
	keep, err := custody.ParseKeep(o.keep)
	if err != nil {
		return keep, usage("deadline", "--keep: not a time to keep", "90d, 6w, 3m, 36h or a date such as 2027-03-01")
	}
	return keep, nil
}
