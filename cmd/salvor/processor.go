package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

var safeguardWords = choice{"--safeguard", "what safeguards the data outside the European Economic Area", []ui.Option{
	{Value: "adequacy", Text: "a decision of the Commission"},
	{Value: "clauses", Text: "standard contractual clauses"},
}}

func newProcessor(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "processor",
		Short: "the companies that work for the shop, and their contracts",
		Example: `  salvor processor add lab --name "Datalab bv" --service recovery \
    --contract C-1 --country BE --instructions --sub-approval --audit
  salvor processor list`,
		RunE: showHelp,
	}
	cmd.AddCommand(newProcessorAdd(p), newProcessorEnd(p), newProcessorList(p))
	return cmd
}

type processorOptions struct {
	name, address, phone, email    string
	services                       []string
	contract, from, until, country string
	safeguard, parent              string
	instructions, subs, audit      bool
	customers                      bool
}

func newProcessorAdd(p *program) *cobra.Command {
	var o processorOptions
	cmd := &cobra.Command{
		Use:   "add ID",
		Short: "register a processor's contract, or its renewal",
		Long: `Registers a company that works for the shop under a contract (Article 28), or a new
contract with one that is known. --instructions, --sub-approval and --audit say
that the contract has what the law asks; without all three nothing is sent there.`,
		Example: `  salvor processor add lab --name "Datalab bv" --service recovery \
    --contract C-1 --from 2026-01-01 --until 2027-12-31 --country BE \
    --instructions --sub-approval --audit`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error { return s.addProcessor(ctx, args[0], o) }),
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "the company's name")
	f.StringVar(&o.address, "address", "", "its address")
	f.StringVar(&o.phone, "phone", "", "telephone")
	f.StringVar(&o.email, "email", "", "e-mail address")
	serviceWords.addMany(cmd, &o.services, "what it does for the shop")
	f.StringVar(&o.contract, "contract", "", "`NUMBER` of the contract")
	f.StringVar(&o.from, "from", "", "first `DATE` of the contract (default: today)")
	f.StringVar(&o.until, "until", "", "last `DATE` of the contract (default: without an end)")
	f.StringVar(&o.country, "country", "", "`COUNTRY` where it processes, two letters such as BE")
	safeguardWords.add(cmd, &o.safeguard, "outside the European Economic Area")
	f.StringVar(&o.parent, "parent", "", "`PROCESSOR` of which it is a sub-processor")
	f.BoolVar(&o.instructions, "instructions", false, "it works on documented instructions only")
	f.BoolVar(&o.subs, "sub-approval", false, "sub-processors only with the shop's leave")
	f.BoolVar(&o.audit, "audit", false, "the shop may audit it")
	f.BoolVar(&o.customers, "customers-told", false, "customers have been told of it")
	f.SortFlags = false
	return cmd
}

// settle checks what was given and asks for what is missing.
func (o *processorOptions) settle(ctx context.Context, s *station, id string, known bool) (custody.ProcessorAdded, error) {
	var none custody.ProcessorAdded
	const what = "processor add"
	if custody.CheckID(id) != nil {
		return none, usage(what, "the id of a processor is up to 64 letters, digits, - _ and .", "such as lab; its name goes into --name")
	}
	if err := cmp.Or(checkAll(serviceWords, what, o.services), safeguardWords.check(what, o.safeguard)); err != nil {
		return none, err
	}
	p := custody.ProcessorAdded{
		Processor: id, Services: inOrder[custody.Service](o.services), Contract: o.contract, From: s.today(),
		Country: strings.ToUpper(o.country), Safeguard: custody.Safeguard(o.safeguard), Instructions: o.instructions, SubApproval: o.subs,
		Audit: o.audit, Parent: o.parent, Customers: o.customers,
	}
	var err error
	if o.from != "" {
		if p.From, err = custody.ParseDate(o.from); err != nil {
			return none, usage(what, "--from: not a day such as 2026-01-01", "")
		}
	}
	if o.until != "" {
		if p.Until, err = custody.ParseDate(o.until); err != nil {
			return none, usage(what, "--until: not a day such as 2027-12-31", "")
		}
	}
	switch {
	case p.Until != "" && p.Until < p.From:
		return none, usage(what, "--until: before --from", "")
	case p.Until != "" && p.Until < s.today():
		return none, usage(what, "--until: in the past", "a contract that is over covers nothing")
	case p.Country != "" && (len(p.Country) != 2 || strings.Trim(p.Country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != ""):
		return none, usage(what, "--country: two letters such as BE", "")
	case p.Contract != "" && custody.CheckID(p.Contract) != nil:
		return none, usage(what, "--contract: up to 64 letters, digits, - _ and .", "such as C-2026-07")
	case p.Parent == id:
		return none, usage(what, "--parent: it is no sub-processor of itself", "")
	}
	if !known {
		if o.name, err = s.text(ctx, o.name, "--name", "name of the company"); err != nil {
			return none, err
		}
	}
	if len(p.Services) == 0 {
		service, err := serviceWords.settle(ctx, s, what, "", "")
		if err != nil {
			return none, err
		}
		p.Services = []custody.Service{custody.Service(service)}
	}
	if p.Contract == "" {
		if p.Contract, err = s.term.Line(ctx, ui.Question{Text: "number of the contract", Flag: "--contract", Check: custody.CheckID}); err != nil {
			return none, err
		}
	}
	if s.term.CanAsk() && !p.Instructions && !p.SubApproval && !p.Audit {
		full, err := s.term.YesNo(ctx, ui.Question{
			Text: "does it say: only as instructed, others only with leave, and the shop may audit", Flag: "--instructions --sub-approval --audit",
		})
		if err != nil {
			return none, err
		}
		p.Instructions, p.SubApproval, p.Audit = full, full, full
	}
	if p.Country == "" {
		if p.Country, err = s.term.Line(ctx, ui.Question{Text: "country where it processes, such as BE", Flag: "--country", Check: notEmpty}); err != nil {
			return none, err
		}
	}
	return p, nil
}

func (s *station) addProcessor(ctx context.Context, id string, o processorOptions) error {
	op, err := s.operator(ctx, custody.TypeProcessorAdded)
	if err != nil {
		return err
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	known, found := shop.Processor(id)
	p, err := o.settle(ctx, s, id, found)
	if err != nil {
		return err
	}
	private := map[string]string{custody.FieldName: o.name, custody.FieldAddress: o.address, custody.FieldPhone: o.phone, custody.FieldEmail: o.email}
	if found { // a renewal keeps what is not said anew
		if private, err = s.renewed(ctx, known, private); err != nil {
			return err
		}
	}
	if err := s.record(ctx, op.ID, "", ledger.Entry{Pub: p, Private: private}); err != nil {
		return err
	}
	if err := s.done(map[string]any{"processor": id, "contract": p.Contract, "from": p.From, "until": p.Until, "renewed": found},
		"processor %s is registered under contract %s", id, p.Contract); err != nil {
		return err
	}
	probe := custody.Processor{ID: id, Contracts: []custody.Contract{{ProcessorAdded: p}}}
	if err := probe.MaySend(max(p.From, s.today()), p.Services[0]); err != nil {
		s.term.Warn("nothing can be sent there: %v", err)
	}
	return nil
}

func (s *station) renewed(ctx context.Context, known custody.Processor, private map[string]string) (map[string]string, error) {
	before, err := s.ledger.Private(ctx, known.Newest().Ref)
	if err != nil {
		return nil, err
	}
	all := with(before)
	for k, v := range private {
		if v != "" {
			all[k] = v
		}
	}
	return all, nil
}

// knownProcessor refuses a processor that is not in the register.
func (s *station) knownProcessor(ctx context.Context, what, id string) error {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	if _, ok := shop.Processor(id); !ok {
		return &ui.Error{Code: ui.NotFound, What: what, Why: "no such processor in the register", Hint: "salvor processor list", Err: custody.ErrNoProcessor}
	}
	return nil
}

func newProcessorEnd(p *program) *cobra.Command {
	var date, reason string
	cmd := &cobra.Command{
		Use:     "end ID",
		Short:   "end a processor's contract",
		Example: `  salvor processor end lab --date 2026-12-31 --reason "moved to another lab"`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			return s.endProcessor(ctx, args[0], date, reason)
		}),
	}
	cmd.Flags().StringVar(&date, "date", "", "the last day (default: today)")
	cmd.Flags().StringVar(&reason, "reason", "", "why; recorded")
	return cmd
}

func (s *station) endProcessor(ctx context.Context, id, date, reason string) error {
	op, err := s.operator(ctx, custody.TypeProcessorEnded)
	if err != nil {
		return err
	}
	last := s.today()
	if date != "" {
		if last, err = custody.ParseDate(date); err != nil {
			return usage("processor end", "--date: not a day such as 2026-12-31", "")
		}
	}
	if err := s.knownProcessor(ctx, "processor end", id); err != nil {
		return err
	}
	if err := s.record(ctx, op.ID, "", ledger.Entry{Pub: custody.ProcessorEnded{Processor: id, Date: last}, Private: because(reason)}); err != nil {
		return err
	}
	return s.done(map[string]any{"processor": id, "ended": last}, "nothing is sent to processor %s after %s", id, last)
}

type processorRow struct {
	Processor string            `json:"processor"`
	Name      string            `json:"name,omitempty"`
	Services  []custody.Service `json:"services"`
	Contract  string            `json:"contract"`
	From      custody.Date      `json:"from"`
	Until     custody.Date      `json:"until,omitempty"`
	Ended     custody.Date      `json:"ended,omitempty"`
	Country   string            `json:"country"`
	Safeguard custody.Safeguard `json:"safeguard,omitempty"`
	Active    bool              `json:"active"`
	Lacks     string            `json:"lacks,omitempty"` // why nothing may be sent there
	Items     []string          `json:"items"`           // that are there now
}

func newProcessorList(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "the processors, their contracts, and what is with them now",
		Example: "  salvor processor list",
		RunE:    p.onStation(func(ctx context.Context, s *station, _ []string) error { return s.listProcessors(ctx) }),
	}
}

func (s *station) listProcessors(ctx context.Context) error {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	out, err := s.itemsOut(ctx)
	if err != nil {
		return err
	}
	rows := []processorRow{}
	for _, x := range shop.Processors {
		c := x.Newest()
		private, err := s.ledger.Private(ctx, c.Ref)
		if c.Ref != (custody.Ref{}) && err != nil {
			return err
		}
		_, active := x.On(s.today())
		r := processorRow{
			Processor: x.ID, Name: private[custody.FieldName], Services: c.Services, Contract: c.Contract, From: c.From, Until: c.Until, Ended: x.Ended,
			Country: c.Country, Safeguard: c.Safeguard, Active: active, Items: out[x.ID],
		}
		if len(c.Services) > 0 {
			if err := x.MaySend(s.today(), c.Services[0]); err != nil {
				r.Lacks = err.Error()
			}
		}
		if r.Items == nil {
			r.Items = []string{}
		}
		rows = append(rows, r)
	}
	if s.json {
		return s.term.Document(map[string]any{"processors": rows})
	}
	if len(rows) == 0 {
		s.term.Say("no processor is registered: salvor processor add ID")
		return nil
	}
	t := s.term.Table("processor", "~name", "~for", "contract", "until", "country", "there now", "^sending")
	for _, r := range rows {
		var services []string
		for _, x := range r.Services {
			services = append(services, string(x))
		}
		may := "may be sent there"
		if r.Lacks != "" {
			may = "nothing is sent there: " + r.Lacks
		}
		t.Row(r.Processor, r.Name, strings.Join(services, ", "), r.Contract, cmp.Or(r.Ended, r.Until), r.Country, strings.Join(r.Items, " "), may)
	}
	return t.Flush()
}

// itemsOut are the items that are with processors now.
func (s *station) itemsOut(ctx context.Context) (map[string][]string, error) {
	cases, err := s.ledger.Cases(ctx, ledger.Filter{})
	if err != nil {
		return nil, err
	}
	out := make(map[string][]string)
	for _, c := range cases {
		for _, i := range c.Items {
			if i.State == custody.ItemIsOut {
				out[i.Processor] = append(out[i.Processor], string(c.No)+"/"+i.Item)
			}
		}
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out, nil
}
