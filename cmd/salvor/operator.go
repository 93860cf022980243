package main

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

func newOperator(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "operator",
		Short:   "the people who work on customers' disks, and the purge job",
		Example: "  salvor operator add jan --name \"Jan Maes\" --agreement 2026-01-05\n  salvor operator list",
		RunE:    showHelp,
	}
	cmd.AddCommand(newOperatorAdd(p), newOperatorList(p), newOperatorEnd(p), newOperatorKey(p))
	return cmd
}

type operatorFlags struct {
	name, agreement, training string
	job                       bool
}

func newOperatorAdd(p *program) *cobra.Command {
	var o operatorFlags
	cmd := &cobra.Command{
		Use:   "add LOGIN",
		Short: "add an operator, or the date of a new agreement or training",
		Long: `Adds the person with that login on this machine. Without the date of the signed
data-protection agreement an operator may not touch customers' data. Repeat the
command with a new date when an agreement or the yearly training was renewed.`,
		Example: `  salvor operator add jan --name "Jan Maes" --agreement 2026-01-05
  salvor operator add nas-purge --job`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error { return s.addOperator(ctx, args[0], o) }),
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "the person's name")
	f.StringVar(&o.agreement, "agreement", "", "day on which the data-protection agreement was signed, such as 2026-01-05")
	f.StringVar(&o.training, "training", "", "day of the last data-protection training")
	f.BoolVar(&o.job, "job", false, "no person but the purge job, which may only purge")
	return cmd
}

func (s *station) addOperator(ctx context.Context, login string, o operatorFlags) error {
	if err := custody.CheckLabel(login); err != nil || login == "root" {
		return usage("operator", "a login is up to 32 of a-z, 0-9, _ . and -, beginning with a letter, and never root", "use the login of the person on this machine")
	}
	dates := make(map[string]custody.Date)
	for flag, text := range map[string]string{"--agreement": o.agreement, "--training": o.training} {
		if text == "" {
			continue
		}
		d, err := custody.ParseDate(text)
		if err != nil {
			return usage("operator", flag+": not a day such as 2026-01-05", "")
		}
		if d > custody.DateOf(s.now(), s.term.Zone) {
			return usage("operator", flag+": in the future", "give the day on which it was done")
		}
		dates[flag] = d
	}
	var entries []ledger.Entry
	var id string
	known, err := s.operatorByLogin(ctx, login)
	switch {
	case err == nil:
		id = known.ID
		fields, err := s.ledger.Private(ctx, known.Ref)
		if err != nil {
			return err
		}
		if o.name != "" && o.name != fields[custody.FieldName] {
			return &ui.Error{Code: ui.Refused, What: "operator " + login, Why: "another person has that login: a login is one person's", Hint: "give each person a login of his own; a renewed agreement needs no --name"}
		}
		if len(dates) == 0 {
			return &ui.Error{Code: ui.Refused, What: "operator " + login, Why: "exists already", Hint: "a renewed agreement or training: --agreement DATE, --training DATE"}
		}
	case errors.Is(err, ledger.ErrNotFound):
		if o.name == "" && !o.job {
			if o.name, err = s.term.Line(ctx, ui.Question{Text: "name of " + login, Flag: "--name", Check: notEmpty}); err != nil {
				return err
			}
			if o.agreement == "" {
				if dates["--agreement"], err = s.askAgreement(ctx); err != nil {
					return err
				}
			}
		}
		if id, err = ledger.NewOperatorID(rand.Reader); err != nil {
			return err
		}
		kind := custody.OperatorPerson
		if o.job {
			kind = custody.OperatorPurge
		}
		entries = append(entries, ledger.Entry{
			Pub:     custody.OperatorAdded{Op: id, Kind: kind},
			Private: map[string]string{custody.FieldLogin: login, custody.FieldName: o.name},
		})
	default:
		return err
	}
	if d, ok := dates["--agreement"]; ok {
		entries = append(entries, ledger.Entry{Pub: custody.OperatorAgreed{Op: id, Date: d}})
	}
	if d, ok := dates["--training"]; ok {
		entries = append(entries, ledger.Entry{Pub: custody.OperatorTrained{Op: id, Date: d}})
	}
	if _, err := s.ledger.Append(ctx, s.operatorOrStation(ctx), entries...); err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]string{"operator": id})
	}
	s.term.Say("operator %s is recorded as %s", login, id)
	if _, ok := dates["--agreement"]; !ok && !o.job && known.Agreed == "" {
		s.term.Warn("without --agreement DATE %s may not touch customers' data", login)
	}
	return nil
}

// askAgreement asks for the day of the signed agreement.
func (s *station) askAgreement(ctx context.Context) (custody.Date, error) {
	today := custody.DateOf(s.now(), s.term.Zone)
	answer, err := s.term.Line(ctx, ui.Question{
		Text: "day on which the data-protection agreement was signed", Flag: "--agreement", Default: string(today),
		Check: func(a string) error {
			switch d, err := custody.ParseDate(a); {
			case err != nil:
				return errors.New("a day such as 2026-01-05")
			case d > today:
				return errors.New("it is in the future")
			}
			return nil
		},
	})
	return custody.Date(answer), err
}

func notEmpty(s string) error {
	if s == "" {
		return errors.New("an answer is needed")
	}
	return nil
}

func newOperatorList(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "the operators with agreement, training and end",
		Example: "  salvor operator list",
		RunE:    p.onStation(func(ctx context.Context, s *station, _ []string) error { return s.listOperators(ctx) }),
	}
}

type operatorRow struct {
	Operator string               `json:"operator"`
	Login    string               `json:"login"`
	Name     string               `json:"name"`
	Kind     custody.OperatorKind `json:"kind"`
	Agreed   custody.Date         `json:"agreed,omitempty"`
	Trained  custody.Date         `json:"trained,omitempty"`
	Ended    custody.Date         `json:"ended,omitempty"`
}

func (s *station) listOperators(ctx context.Context) error {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	rows := []operatorRow{}
	for _, op := range shop.Operators {
		fields, err := s.ledger.Private(ctx, op.Ref)
		if err != nil {
			return err
		}
		rows = append(rows, operatorRow{op.ID, fields[custody.FieldLogin], fields[custody.FieldName], op.Kind, op.Agreed, op.Trained, op.Ended})
	}
	if s.json {
		return s.term.Document(map[string]any{"operators": rows})
	}
	if len(rows) == 0 {
		s.term.Say(`no operator yet: salvor operator add LOGIN --name "…" --agreement DATE`)
		return nil
	}
	t := s.term.Table("login", "~name", "kind", "agreement", "training", "end", "id")
	for _, r := range rows {
		t.Row(r.Login, r.Name, r.Kind, r.Agreed, r.Trained, r.Ended, r.Operator)
	}
	return t.Flush()
}

func newOperatorEnd(p *program) *cobra.Command {
	var date string
	cmd := &cobra.Command{
		Use:     "end LOGIN",
		Short:   "end an operator's access",
		Long:    `Ends the access of the operator with that login, or with that id.`,
		Example: "  salvor operator end jan --date 2026-12-31",
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.endOperator(ctx, args[0], date) }),
	}
	cmd.Flags().StringVar(&date, "date", "", "the last day (default: today)")
	return cmd
}

func (s *station) endOperator(ctx context.Context, login, date string) error {
	last := custody.DateOf(s.now(), s.term.Zone)
	if date != "" {
		d, err := custody.ParseDate(date)
		if err != nil {
			return usage("operator", "--date: not a day such as 2026-12-31", "")
		}
		last = d
	}
	op, err := s.operatorByIDOrLogin(ctx, login)
	if errors.Is(err, ledger.ErrNotFound) {
		return &ui.Error{Code: ui.NotFound, What: "operator", Why: "no such login", Hint: "salvor operator list", Err: err}
	}
	if err != nil {
		return err
	}
	if _, err := s.ledger.Append(ctx, s.operatorOrStation(ctx), ledger.Entry{Pub: custody.OperatorEnded{Op: op.ID, Date: last}}); err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]any{"operator": op.ID, "ended": last})
	}
	s.term.Say("operator %s may act until the end of %s", login, last)
	return nil
}

// operatorByIDOrLogin finds an operator; by his id also one who shares his login.
func (s *station) operatorByIDOrLogin(ctx context.Context, name string) (custody.Operator, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return custody.Operator{}, err
	}
	if op, ok := shop.Operator(name); ok {
		return op, nil
	}
	return s.operatorByLogin(ctx, name)
}
