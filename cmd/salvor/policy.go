package main

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/custody"
	"salvor/custody/ledger"
)

func newPolicy(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "the shop's rules, and from which day they hold",
		Example: `  salvor policy list
  salvor policy set validation required --from 2026-12-01`,
		RunE: showHelp,
	}
	cmd.AddCommand(newPolicyList(p), newPolicySet(p))
	return cmd
}

// policyWords say what a rule is about, and what it may be.
func policyWords(n custody.PolicyName) (about, values string) {
	switch n {
	case custody.PolicyKeep:
		return "how long a case is kept without a reason for more", "90d, 6w, 3m"
	case custody.PolicyGrace:
		return "from the customer's confirmation to the erasing", "7d, 1w"
	case custody.PolicyNotice:
		return "how long before the deadline it is announced", "7d, 1w"
	case custody.PolicyValidation:
		return "whether somebody allows each erasing first", "none or required"
	case custody.PolicyFourEyes:
		return "whether who erases and who allows it differ", "true or false"
	case custody.PolicyRequireKey:
		return "whether every operator signs with a key", "true or false"
	case custody.PolicyTraining:
		return "how long a training counts", "365d, 12m"
	case custody.PolicyRequest:
		return "to answer a request", "1m, as the law says"
	case custody.PolicyRequestExtension:
		return "more for a request, when told in time", "1m or 2m"
	case custody.PolicyIncidentAuthority:
		return "to tell the authority of an incident", "72h or less"
	case custody.PolicyIncidentControl:
		return "to tell the controller of an incident", "24h or less"
	}
	return "", ""
}

func newPolicySet(p *program) *cobra.Command {
	var from, reason string
	cmd := &cobra.Command{
		Use:   "set RULE VALUE",
		Short: "give a rule a value from a day on",
		Long: `Gives one of the shop's rules a value, from today or a later day on. What was settled
before stays as it was: a deadline that is set does not move with a rule. The
periods of the law are only ever shortened.`,
		Example: `  salvor policy set confirm.grace 3d
  salvor policy set four_eyes true --from 2027-01-01`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			return s.setPolicy(ctx, args[0], args[1], from, reason)
		}),
	}
	cmd.Flags().StringVar(&from, "from", "", "first `DATE` on which it holds (default: today)")
	cmd.Flags().StringVar(&reason, "reason", "", "why; recorded")
	return cmd
}

func (s *station) setPolicy(ctx context.Context, rule, value, from, reason string) error {
	name := custody.PolicyName(rule)
	if !name.Valid() {
		return usage("policy set", "no such rule", "salvor policy list")
	}
	if err := custody.CheckPolicy(name, value); err != nil {
		_, values := policyWords(name)
		return usage("policy set", "not a value of "+rule, values)
	}
	day := s.today()
	if from != "" {
		var err error
		if day, err = custody.ParseDate(from); err != nil {
			return usage("policy set", "--from: not a day such as 2027-01-01", "")
		}
		if day < s.today() {
			return usage("policy set", "--from: in the past", "a rule holds from today on, or later")
		}
	}
	op, err := s.operator(ctx, custody.TypePolicySet)
	if err != nil {
		return err
	}
	if err := s.record(ctx, op.ID, "", ledger.Entry{Pub: custody.PolicySet{Name: name, Value: value, From: day}, Private: because(reason)}); err != nil {
		return err
	}
	return s.done(map[string]any{"rule": name, "value": value, "from": day}, "%s is %s from %s on", rule, value, day)
}

type policyRow struct {
	Rule    custody.PolicyName `json:"rule"`
	Value   string             `json:"value"`
	Since   custody.Date       `json:"since,omitempty"` // empty: never set
	By      string             `json:"by,omitempty"`
	Coming  []policyComing     `json:"coming,omitempty"`
	Default string             `json:"default"`
}

type policyComing struct {
	Value string       `json:"value"`
	From  custody.Date `json:"from"`
}

func newPolicyList(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "what the rules say today, since when, and what is to come",
		Example: "  salvor policy list",
		RunE:    p.onStation(func(ctx context.Context, s *station, _ []string) error { return s.listPolicies(ctx) }),
	}
}

func (s *station) listPolicies(ctx context.Context) error {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	names, err := s.operatorNames(ctx)
	if err != nil {
		return err
	}
	rows := []policyRow{}
	for _, n := range custody.PolicyNames() {
		r := policyRow{Rule: n, Value: shop.PolicyValue(n, s.today()), Default: n.Default()}
		for _, v := range shop.Policies {
			switch {
			case v.Name != n:
			case v.From > s.today():
				r.Coming = append(r.Coming, policyComing{v.Value, v.From})
			case v.From >= r.Since:
				r.Since, r.By = v.From, nameOf(names, v.Op)
			}
		}
		rows = append(rows, r)
	}
	if s.json {
		return s.term.Document(map[string]any{"policies": rows})
	}
	t := s.term.Table("rule", "value", "from", "~about")
	for _, r := range rows {
		about, _ := policyWords(r.Rule)
		t.Row(r.Rule, r.Value, r.Since, about)
		for _, c := range r.Coming {
			t.Row(r.Rule, c.Value, c.From, "(to come)")
		}
	}
	return t.Flush()
}
