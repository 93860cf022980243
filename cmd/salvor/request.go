package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// The register of what data subjects ask: one month to answer, two more when the person
// was told in time.

var (
	requestWords = choice{"RIGHT", "which right", []ui.Option{
		{Value: "access", Text: "what the shop has about somebody"},
		{Value: "copy", Text: "a copy of it"},
		{Value: "rectification", Text: "something wrong is to be put right"},
		{Value: "erasure", Text: "it is to be erased"},
		{Value: "restriction", Text: "it is not to be used, nor erased"},
		{Value: "portability", Text: "it is to be given to somebody else"},
		{Value: "objection", Text: "the use itself"},
	}}
	extensionWords = choice{"--why", "why does it need longer", []ui.Option{
		{Value: "complex", Text: "it is complex"},
		{Value: "many", Text: "the person made many requests"},
	}}
	outcomeWords = choice{"--outcome", "how was it answered", []ui.Option{
		{Value: "granted", Text: "done as asked"},
		{Value: "partly", Text: "done in part"},
		{Value: "refused", Text: "refused, with the reason and the right to complain"},
		{Value: "forwarded", Text: "to the controller, whose processor the shop is"},
		{Value: "withdrawn", Text: "by the one who asked"},
	}}
	delayWords = choice{"--delay", "why was it late", []ui.Option{
		{Value: "facts", Text: "the facts had to be found out first"},
		{Value: "absence", Text: "somebody was away"},
		{Value: "technical", Text: "something did not work"},
		{Value: "instruction", Text: "of the police or the controller"},
		{Value: "oversight", Text: "it was overlooked"},
	}}
)

func newRequest(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "request",
		Short: "what people ask about their data, and until when it is answered",
		Long:  "Keeps the register of what people ask about their data, each with the month in which it is answered.",
		Example: `  salvor request new access --case T1-2026-0001 --text "which data do you have"
  salvor request answer r-3f9a12bc --outcome granted
  salvor request list`,
		RunE: showHelp,
	}
	cmd.AddCommand(newRequestNew(p), newRequestExtend(p), newRequestAnswer(p), newRequestList(p))
	return cmd
}

type requestOptions struct {
	caseNo, received, text           string
	customer, phone, email, address  string
	why, told, reason                string
	outcome, at, answer, delay, kind string
	clockChecked                     bool
}

func newRequestNew(p *program) *cobra.Command {
	var o requestOptions
	cmd := &cobra.Command{
		Use:   "new RIGHT",
		Short: "register a request, and begin its month",
		Long: `Registers what somebody asks about his data: ` + requestWords.words() + `. It is to be answered
within one month of the day on which it arrived, at the shop or at anybody of it.
A request about a case belongs to it; otherwise say who asks.`,
		Example: `  salvor request new access --case T1-2026-0001 --text "which data do you have"
  salvor request new erasure --customer "An Peeters" --received 2026-11-20`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			o.kind = args[0]
			return s.newRequest(ctx, o)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&o.caseNo, "case", "", "the case that it is about")
	f.StringVar(&o.text, "text", "", "what is asked, in words")
	f.StringVar(&o.received, "received", "", "`TIME` at which it arrived (default: now)")
	f.StringVar(&o.customer, "customer", "", "who asks")
	f.StringVar(&o.phone, "phone", "", "telephone")
	f.StringVar(&o.email, "email", "", "e-mail address")
	f.StringVar(&o.address, "address", "", "address")
	clockFlag(cmd, &o.clockChecked)
	f.SortFlags = false
	return cmd
}

func (s *station) newRequest(ctx context.Context, o requestOptions) error {
	const what = "request new"
	if err := requestWords.check(what, o.kind); err != nil || o.kind == "" {
		return cmp.Or(err, usage(what, "RIGHT: "+requestWords.words(), ""))
	}
	if err := s.clockPlausible(ctx, what, o.clockChecked); err != nil {
		return err
	}
	received, err := s.moment(what, "--received", o.received)
	if err != nil {
		return err
	}
	op, err := s.operator(ctx, custody.TypeRequestReceived)
	if err != nil {
		return err
	}
	var no custody.CaseNo
	if o.caseNo != "" {
		c, _, err := s.caseOf(ctx, o.caseNo)
		if err != nil {
			return err
		}
		no = c.No
	} else if o.customer, err = s.text(ctx, o.customer, "--customer (or --case NO)", "who asks"); err != nil {
		return err
	}
	if o.text, err = s.text(ctx, o.text, "--text", "what is asked"); err != nil {
		return err
	}
	policy, err := s.policyOn(ctx, received)
	if err != nil {
		return err
	}
	id, due := shortID("r"), custody.RequestDue(received.Time, policy.Request.Months(), s.term.Zone)
	if err := s.record(ctx, op.ID, no, ledger.Entry{
		Pub: custody.RequestReceived{Request: id, Kind: custody.RequestKind(o.kind), Received: received, Due: due},
		Private: map[string]string{
			custody.FieldRequest: o.text, custody.FieldCustomer: o.customer, custody.FieldPhone: o.phone,
			custody.FieldEmail: o.email, custody.FieldAddress: o.address,
		},
	}); err != nil {
		return err
	}
	if err := s.done(map[string]any{"request": id, "case": no, "received": received, "due": due},
		"request %s is to be answered by the end of %s", id, s.term.Date(due.Time)); err != nil {
		return err
	}
	if next := requestNext(custody.RequestKind(o.kind), no); no != "" && next != "" {
		s.term.Say("next: %s", next)
	}
	return nil
}

// requestNext is the command that does what was asked about a case; "" where a person has
// to decide what that is.
func requestNext(kind custody.RequestKind, no custody.CaseNo) string {
	switch kind {
	case custody.RequestAccess:
		return fmt.Sprintf("salvor report custody %s", no)
	case custody.RequestCopy, custody.RequestPortability:
		return fmt.Sprintf("salvor restore %s TARGET --handover", no)
	case custody.RequestRectification:
		return fmt.Sprintf("salvor correct %s", no)
	case custody.RequestErasure:
		return fmt.Sprintf("salvor deadline %s --keep 0d; salvor purge", no)
	case custody.RequestRestriction:
		return fmt.Sprintf("salvor hold add %s --kind restriction", no)
	}
	return ""
}

// policyOn is what the shop's rules said on the day of a moment.
func (s *station) policyOn(ctx context.Context, t custody.Time) (custody.Policy, error) {
	shop, err := s.ledger.Shop(ctx)
	return shop.Policy(custody.DateOf(t.Time, s.term.Zone)), err
}

// registered is an entry of a register, and the case in whose record it stands.
type registered[T any] struct {
	no    custody.CaseNo // "" for the shop's
	entry T
}

// requests are all requests, the shop's and those of cases.
func (s *station) requests(ctx context.Context) ([]registered[custody.Request], error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	var list []registered[custody.Request]
	for _, r := range shop.Requests {
		list = append(list, registered[custody.Request]{"", r})
	}
	cases, err := s.ledger.Cases(ctx, ledger.Filter{All: true})
	for _, c := range cases {
		for _, r := range c.Requests {
			list = append(list, registered[custody.Request]{c.No, r})
		}
	}
	return list, err
}

func (s *station) findRequest(ctx context.Context, what, id string) (registered[custody.Request], error) {
	list, err := s.requests(ctx)
	if err != nil {
		return registered[custody.Request]{}, err
	}
	for _, r := range list {
		if r.entry.ID != id {
			continue
		}
		if !r.entry.Answered.IsZero() {
			return r, refuse(what, "request "+id+" was answered on "+s.term.Date(r.entry.Answered), "salvor request list --all")
		}
		return r, nil
	}
	return registered[custody.Request]{}, &ui.Error{Code: ui.NotFound, What: what, Why: "no such request", Hint: "salvor request list", Err: custody.ErrNoRequest}
}

func newRequestExtend(p *program) *cobra.Command {
	var o requestOptions
	cmd := &cobra.Command{
		Use:   "extend REQUEST",
		Short: "take two months more, when the person was told in time",
		Long: `Gives a request two months more. It counts only when the person was told so, with
the reason, before the first month was over; and only once.`,
		Example: `  salvor request extend r-3f9a12bc --why complex --reason "nine disks"`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.extendRequest(ctx, args[0], o) }),
	}
	extensionWords.add(cmd, &o.why, "why it needs longer")
	cmd.Flags().StringVar(&o.reason, "reason", "", "the reason as the person was told it")
	cmd.Flags().StringVar(&o.told, "told", "", "`TIME` at which the person was told (default: now)")
	return cmd
}

func (s *station) extendRequest(ctx context.Context, id string, o requestOptions) error {
	const what = "request extend"
	if err := extensionWords.check(what, o.why); err != nil {
		return err
	}
	told, err := s.moment(what, "--told", o.told)
	if err != nil {
		return err
	}
	op, err := s.operator(ctx, custody.TypeRequestExtended)
	if err != nil {
		return err
	}
	r, err := s.findRequest(ctx, what, id)
	if err != nil {
		return err
	}
	if told.After(r.entry.FirstDue) || s.now().After(r.entry.FirstDue) {
		return readable(r.no, refusal(custody.TypeRequestExtended, custody.ErrTooLate))
	}
	if o.why, err = extensionWords.settle(ctx, s, what, o.why, "complex"); err != nil {
		return err
	}
	if o.reason, err = s.text(ctx, o.reason, "--reason", "the reason as the person was told it"); err != nil {
		return err
	}
	policy, err := s.policyOn(ctx, custody.At(r.entry.Received))
	if err != nil {
		return err
	}
	due := custody.RequestDue(r.entry.Received, policy.Request.Months()+policy.Extension.Months(), s.term.Zone)
	if err := s.record(ctx, op.ID, r.no, ledger.Entry{
		Pub:     custody.RequestExtended{Request: id, Told: told, Due: due, Why: custody.ExtensionReason(o.why)},
		Private: because(o.reason),
	}); err != nil {
		return err
	}
	return s.done(map[string]any{"request": id, "told": told, "due": due}, "request %s is to be answered by the end of %s", id, s.term.Date(due.Time))
}

func newRequestAnswer(p *program) *cobra.Command {
	var o requestOptions
	cmd := &cobra.Command{
		Use:   "answer REQUEST",
		Short: "record that a request was answered",
		Long: `Records when and how a request was answered. A refusal, a partial answer and one that
is late need their reason.`,
		Example: `  salvor request answer r-3f9a12bc --outcome granted --answer "sent a copy"`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.answerRequest(ctx, args[0], o) }),
	}
	f := cmd.Flags()
	outcomeWords.add(cmd, &o.outcome, "how it was answered")
	f.StringVar(&o.answer, "answer", "", "what was answered, in words")
	f.StringVar(&o.at, "at", "", "`TIME` at which the answer went out (default: now)")
	f.StringVar(&o.reason, "reason", "", "why it was refused, partly granted, or late")
	delayWords.add(cmd, &o.delay, "why it was late")
	f.SortFlags = false
	return cmd
}

func (s *station) answerRequest(ctx context.Context, id string, o requestOptions) error {
	const what = "request answer"
	if err := cmp.Or(outcomeWords.check(what, o.outcome), delayWords.check(what, o.delay)); err != nil {
		return err
	}
	when, err := s.moment(what, "--at", o.at)
	if err != nil {
		return err
	}
	op, err := s.operator(ctx, custody.TypeRequestAnswered)
	if err != nil {
		return err
	}
	r, err := s.findRequest(ctx, what, id)
	if err != nil {
		return err
	}
	if when.Before(r.entry.Received) {
		return usage(what, "--at: before the request arrived", "it arrived on "+s.term.DateTime(r.entry.Received))
	}
	if o.outcome, err = outcomeWords.settle(ctx, s, what, o.outcome, "granted"); err != nil {
		return err
	}
	if when.After(r.entry.Due) && o.delay == "" {
		if !s.term.CanAsk() {
			return readable(r.no, refusal(custody.TypeRequestAnswered, custody.ErrUnexcused))
		}
		if o.delay, err = delayWords.settle(ctx, s, what, "", ""); err != nil {
			return err
		}
	}
	outcome := custody.Outcome(o.outcome)
	if o.delay != "" || outcome == custody.OutcomeRefused || outcome == custody.OutcomePartly {
		if o.reason, err = s.text(ctx, o.reason, "--reason", "the reason"); err != nil {
			return err
		}
	}
	if err := s.record(ctx, op.ID, r.no, ledger.Entry{
		Pub:     custody.RequestAnswered{Request: id, At: when, Outcome: outcome, Delay: custody.Delay(o.delay)},
		Private: map[string]string{custody.FieldAnswer: o.answer, custody.FieldReason: o.reason},
	}); err != nil {
		return err
	}
	return s.done(map[string]any{"request": id, "at": when, "outcome": outcome, "late": when.After(r.entry.Due)}, "request %s is answered: %s", id, outcome)
}

type requestRow struct {
	Request  string              `json:"request"`
	Kind     custody.RequestKind `json:"kind"`
	Case     custody.CaseNo      `json:"case,omitempty"`
	Received custody.Time        `json:"received"`
	Due      custody.Time        `json:"due"`
	Extended bool                `json:"extended"`
	Answered *custody.Time       `json:"answered,omitempty"`
	Outcome  custody.Outcome     `json:"outcome,omitempty"`
	Overdue  bool                `json:"overdue"`
}

func newRequestList(p *program) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "the open requests, the most urgent first",
		Example: "  salvor request list\n  salvor request list --all --json",
		RunE:    p.onStation(func(ctx context.Context, s *station, _ []string) error { return s.listRequests(ctx, all) }),
	}
	cmd.Flags().BoolVar(&all, "all", false, "answered ones too")
	return cmd
}

func (s *station) listRequests(ctx context.Context, all bool) error {
	list, err := s.requests(ctx)
	if err != nil {
		return err
	}
	rows := []requestRow{}
	for _, r := range list {
		if r.entry.Kind == "" || !all && !r.entry.Answered.IsZero() {
			continue
		}
		row := requestRow{
			Request: r.entry.ID, Kind: r.entry.Kind, Case: r.no, Received: custody.At(r.entry.Received), Due: custody.At(r.entry.Due),
			Extended: r.entry.Due.After(r.entry.FirstDue), Outcome: r.entry.Outcome, Overdue: r.entry.Clock().Overdue(s.now()),
		}
		if !r.entry.Answered.IsZero() {
			at := custody.At(r.entry.Answered)
			row.Answered = &at
		}
		rows = append(rows, row)
	}
	sortByDue(rows, func(r requestRow) custody.Time { return r.Due })
	if s.json {
		return s.term.Document(map[string]any{"requests": rows})
	}
	if len(rows) == 0 {
		s.term.Say("no open request; --all shows answered ones too")
		return nil
	}
	t := s.term.Table("request", "kind", "case", "received", "answer by", "state")
	for _, r := range rows {
		state := "open"
		switch {
		case r.Answered != nil && r.Overdue:
			state = string(r.Outcome) + ", late"
		case r.Answered != nil:
			state = string(r.Outcome)
		case r.Overdue:
			state = "overdue"
		case r.Extended:
			state = "open, prolonged"
		}
		due := s.term.Date(r.Due.Time)
		if r.Answered == nil {
			due = s.untilWords(r.Due.Time)
		}
		t.Row(r.Request, r.Kind, r.Case, s.term.Date(r.Received.Time), due, state)
	}
	return t.Flush()
}
