package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// caseRow is a case as overviews show it: numbers and dates, no names.
type caseRow struct {
	Case     custody.CaseNo  `json:"case"`
	State    string          `json:"state"`
	Purpose  custody.Purpose `json:"purpose"`
	Opened   custody.Time    `json:"opened"`
	Deadline *custody.Time   `json:"deadline,omitempty"`
	DaysLeft *int            `json:"days_left,omitempty"`
	Due      bool            `json:"due"`
	Held     bool            `json:"held"`
	Review   custody.Date    `json:"review,omitempty"` // of the hold that is looked at first
	Images   int             `json:"images"`
	Bytes    int64           `json:"bytes"`
	Items    []itemPlace     `json:"items"`
	Keep     string          `json:"keep,omitempty"`
	Longer   bool            `json:"longer,omitempty"` // kept longer than the shop keeps usually
	Next     string          `json:"next,omitempty"`
	Steps    []stepRow       `json:"steps"`

	late bool
}

// itemPlace is where an item of a case is.
type itemPlace struct {
	Item      string            `json:"item"`
	Kind      custody.ItemKind  `json:"kind"`
	State     custody.ItemState `json:"state"`
	Place     string            `json:"place,omitempty"`
	Custodian string            `json:"custodian,omitempty"`
	Processor string            `json:"processor,omitempty"`
}

func (s *station) row(c custody.Case, shop custody.Shop) caseRow {
	r := caseRow{
		Case: c.No, Purpose: c.Purpose, Opened: custody.At(c.Opened), Held: c.Held(), Review: nextReview(c), Images: c.Copies(),
		Due: c.Due(s.now()), State: s.state(c, shop), Items: []itemPlace{}, Keep: c.Keep.String(),
	}
	for _, i := range c.Images {
		if i.Left() {
			r.Bytes += i.Bytes
		}
	}
	for _, i := range c.Items {
		r.Items = append(r.Items, itemPlace{i.Item, i.Kind, i.State, i.Place, i.Custodian, i.Processor})
	}
	if !c.Deadline.IsZero() {
		at, days := custody.At(c.Deadline), s.term.DaysLeft(c.Deadline)
		r.Deadline, r.DaysLeft = &at, &days
		// Opening a case and setting its deadline may be a moment apart.
		usual := shop.Policy(custody.DateOf(c.Opened, s.term.Zone)).Keep.From(c.Opened.Add(time.Minute), s.term.Zone)
		r.Longer = c.Copies() > 0 && c.Deadline.After(usual)
	}
	steps := custody.Next(c, shop, s.now().In(s.term.Zone))
	r.Steps = s.steps(c.No, steps, nil, slices.Concat(c.Incidents, shop.Incidents))
	for _, x := range r.Steps {
		r.late = r.late || x.Urgency == "late"
		// What must be looked at stays for ever; what can be done comes before it.
		if r.Next == "" && x.Code != custody.StepLook {
			r.Next = x.Words
		}
	}
	return r
}

// nextReview is the day on which somebody looks at a hold of the case again.
func nextReview(c custody.Case) (first custody.Date) {
	for _, h := range c.Holds {
		if h.Active() && (first == "" || h.Review < first) {
			first = h.Review
		}
	}
	return first
}

func (s *station) printRows(rows []caseRow) error {
	t := s.term.Table("case", "state", ">size", "erase by", ">left", "^next")
	for _, r := range rows {
		deadline, left := "", ""
		if r.Deadline != nil && r.State != stateErased && r.State != stateClosed {
			deadline, left = s.term.Date(r.Deadline.Time), fmt.Sprintf("%d d", *r.DaysLeft)
		}
		size := ""
		if r.Bytes > 0 {
			size = ui.Size(r.Bytes)
		}
		next := r.Next
		if r.Held && r.Review != "" {
			next = "look again " + string(r.Review)
		}
		if r.late {
			next = "! " + next
		}
		t.Row(r.Case, r.State, size, deadline, left, next)
	}
	return t.Flush()
}

var sortWords = choice{"--sort", "in which order", []ui.Option{
	{Value: "case", Text: "by number"},
	{Value: "deadline", Text: "what must be erased first"},
	{Value: "opened", Text: "the newest first"},
	{Value: "size", Text: "the largest first"},
	{Value: "urgency", Text: "what is most urgent first"},
}}

// caseFilter selects and orders cases.
type caseFilter struct {
	all                               bool
	state, customer, place, op, order string
	overdue, mine                     bool
}

func (o *caseFilter) add(cmd *cobra.Command, order string) {
	f := cmd.Flags()
	stateWords.add(cmd, &o.state, "only those in a state")
	f.StringVar(&o.place, "place", "", "only with an item at this `PLACE`, such as L-03")
	f.StringVar(&o.op, "operator", "", "only with an item in the hands of this `LOGIN`")
	f.BoolVar(&o.mine, "mine", false, "only with an item in your hands, or offered to you")
	f.StringVar(&o.customer, "customer", "", "only of customers whose name holds this; at least three letters")
	f.BoolVar(&o.overdue, "overdue", false, "only where something is late")
	sortWords.add(cmd, &o.order, "order (default: "+order+")")
}

func (o *caseFilter) check(what string) error {
	if err := cmp.Or(stateWords.check(what, o.state), sortWords.check(what, o.order), placeCode(what, o.place)); err != nil {
		return err
	}
	switch {
	case o.customer != "" && len([]rune(strings.TrimSpace(o.customer))) < 3:
		return usage(what, "--customer: at least three letters of the name", "")
	case o.op != "" && o.mine:
		return usage(what, "--operator and --mine exclude each other", "leave one of the two out")
	}
	return nil
}

// selected returns the rows that the filter lets through, in its order.
func (s *station) selected(ctx context.Context, what string, o caseFilter, cases []custody.Case) ([]caseRow, custody.Shop, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, shop, err
	}
	holder := ""
	switch {
	case o.mine:
		op, err := s.operator(ctx, custody.TypeCustodyAccepted)
		if err != nil {
			return nil, shop, err
		}
		holder = op.ID
	case o.op != "":
		op, err := s.colleague(ctx, what, "--operator", o.op)
		if err != nil {
			return nil, shop, err
		}
		holder = op.ID
	}
	if o.customer != "" { // who looks for a name is somebody who may know it
		if _, err := s.operator(ctx, custody.TypeDataOpened); err != nil {
			return nil, shop, err
		}
	}
	rows := []caseRow{}
	for _, c := range cases {
		if !hasItem(c, func(i custody.Item) bool {
			offered := o.mine && slices.ContainsFunc(i.Offers, func(x custody.Offer) bool { return x.To == holder })
			return (holder == "" || i.State == custody.ItemIsHere && i.Custodian == holder || offered) && (o.place == "" || i.Place == o.place)
		}) && (holder != "" || o.place != "") {
			continue
		}
		r := s.row(c, shop)
		if !s.inState(c, r, o.state) || o.overdue && !r.late {
			continue
		}
		if o.customer != "" {
			if is, err := s.isCustomer(ctx, c, o.customer); err != nil || !is {
				if err != nil {
					return nil, shop, err
				}
				continue
			}
		}
		rows = append(rows, r)
	}
	sortRows(rows, o.order)
	return rows, shop, nil
}

func hasItem(c custody.Case, is func(custody.Item) bool) bool {
	return slices.ContainsFunc(c.Items, is)
}

// isCustomer tells whether the customer's name holds a text, whatever the case of its letters.
func (s *station) isCustomer(ctx context.Context, c custody.Case, text string) (bool, error) {
	_, customer, err := s.contact(ctx, c)
	name := strings.ToLower(customer[custody.FieldCustomer])
	return strings.Contains(name, strings.ToLower(strings.TrimSpace(text))), err
}

func sortRows(rows []caseRow, order string) {
	slices.SortStableFunc(rows, func(a, b caseRow) int {
		switch order {
		case "opened":
			return b.Opened.Compare(a.Opened.Time)
		case "size":
			return cmp.Compare(b.Bytes, a.Bytes)
		case "deadline":
			return compareDue(a.Deadline, b.Deadline)
		case "urgency":
			return cmp.Or(cmp.Compare(rank(a), rank(b)), compareDue(a.Deadline, b.Deadline))
		case "case":
			return cmp.Or(cmp.Compare(a.Case.Station(), b.Case.Station()), cmp.Compare(a.Case.Year(), b.Case.Year()), cmp.Compare(a.Case.Sequence(), b.Case.Sequence()))
		}
		return 0
	})
}

// rank is how urgent a case's first step is; a case with nothing to do comes last.
func rank(r caseRow) int {
	if len(r.Steps) == 0 {
		return 3
	}
	return slices.Index([]string{"late", "soon", "open"}, r.Steps[0].Urgency)
}

func compareDue(a, b *custody.Time) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return a.Compare(b.Time)
}

func newCases(p *program) *cobra.Command {
	var o caseFilter
	cmd := &cobra.Command{
		Use:   "cases",
		Short: "the cases, their state and what to do next",
		Long: `Lists the open cases: where each one is, until when it is kept, and what to do next;
"!" stands before what is late. No name and no contact data is shown here.`,
		Example: `  salvor cases
  salvor cases --mine
  salvor cases --which held --sort deadline
  salvor cases --all --json`,
		RunE: p.onStation(func(ctx context.Context, s *station, _ []string) error { return s.cases(ctx, o) }),
	}
	o.add(cmd, "by number")
	cmd.Flags().BoolVar(&o.all, "all", false, "erased and closed cases too")
	cmd.Flags().SortFlags = false
	return cmd
}

func (s *station) cases(ctx context.Context, o caseFilter) error {
	if err := o.check("cases"); err != nil {
		return err
	}
	ended := o.all || o.state == "closed" || o.state == "erased"
	cases, err := s.ledger.Cases(ctx, ledger.Filter{All: ended})
	if err != nil {
		return err
	}
	if !ended { // an erased case with something left to do is not over
		cases = slices.DeleteFunc(cases, func(c custody.Case) bool {
			return c.Erased() && !slices.ContainsFunc(c.Items, func(i custody.Item) bool { return !i.Ended() && i.Kind != custody.ItemFile })
		})
	}
	rows, _, err := s.selected(ctx, "cases", o, cases)
	if err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]any{"cases": rows})
	}
	if len(rows) == 0 {
		s.term.Say("no such case; --all shows erased and closed ones too")
		return nil
	}
	return s.printRows(rows)
}

func newDue(p *program) *cobra.Command {
	var o caseFilter
	var within string
	cmd := &cobra.Command{
		Use:   "due",
		Short: "what must be erased, now or soon, and what else cannot wait",
		Long: `Lists what must be erased by a day, the earliest first. Below it stands what else cannot
wait: in other cases holds to look at again, offers, requests; in the shop as a whole
clocks of the law that run, operators without agreement or training, contracts that
end, a backup that is old.`,
		Example: `  salvor due
  salvor due --within 30d`,
		RunE: p.onStation(func(ctx context.Context, s *station, _ []string) error { return s.due(ctx, within, o) }),
	}
	cmd.Flags().StringVar(&within, "within", "0d", "look ahead: 30d, 6w, 3m or a date")
	o.add(cmd, "by deadline")
	cmd.Flags().SortFlags = false
	return cmd
}

func (s *station) due(ctx context.Context, within string, o caseFilter) error {
	if err := o.check("due"); err != nil {
		return err
	}
	keep, err := custody.ParseKeep(within)
	if err != nil {
		return usage("due", "--within: not a time", "30d, 6w, 3m, 36h or a date such as 2027-03-01")
	}
	until := keep.From(s.now(), s.term.Zone)
	if until.Before(custody.At(s.now()).Time) {
		return usage("due", "--within: in the past", "what is overdue is always shown: salvor due")
	}
	cases, err := s.ledger.Cases(ctx, ledger.Filter{DueBy: until})
	if err != nil {
		return err
	}
	rows, shop, err := s.selected(ctx, "due", o, cases)
	if err != nil {
		return err
	}
	logins, err := s.logins(ctx, shop)
	if err != nil {
		return err
	}
	todo := s.steps("", custody.NextForShop(shop, s.now().In(s.term.Zone)), logins, shop.Incidents)
	waiting, err := s.waiting(ctx, o, rows, todo)
	if err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]any{"cases": rows, "until": custody.At(until), "waiting": waiting, "shop": todo})
	}
	if len(rows) == 0 {
		s.term.Say("nothing is due by %s", s.term.Date(until))
	}
	if err := s.printRows(rows); err != nil {
		return err
	}
	for _, w := range waiting {
		for _, r := range w.Steps {
			s.printStep(string(w.Case)+": ", "    ", r)
		}
	}
	for _, r := range todo {
		s.printStep("shop: ", "    ", r)
	}
	return nil
}

// waitingRow is what of a case cannot wait although its deadline has not come.
type waitingRow struct {
	Case  custody.CaseNo `json:"case"`
	Steps []stepRow      `json:"steps"`
}

// waiting collects what cannot wait in the cases that are not in the list already: a
// clock of the law, a hold to look at, an item that somebody was offered or expects.
// An incident of the shop stands among what the shop has to do.
func (s *station) waiting(ctx context.Context, o caseFilter, listed []caseRow, todo []stepRow) ([]waitingRow, error) {
	cases, err := s.ledger.Cases(ctx, ledger.Filter{})
	if err != nil {
		return nil, err
	}
	rows, _, err := s.selected(ctx, "due", o, cases)
	if err != nil {
		return nil, err
	}
	list := []waitingRow{}
	for _, r := range rows {
		if slices.ContainsFunc(listed, func(x caseRow) bool { return x.Case == r.Case }) {
			continue
		}
		w := waitingRow{Case: r.Case}
		for _, x := range r.Steps {
			said := slices.ContainsFunc(todo, func(t stepRow) bool { return t.Code == x.Code && t.Subject == x.Subject })
			if x.Urgency != "open" && x.Code != custody.StepNotice && !said {
				w.Steps = append(w.Steps, x)
			}
		}
		if len(w.Steps) > 0 {
			list = append(list, w)
		}
	}
	return list, nil
}

// logins are the operators' logins by their ids.
func (s *station) logins(ctx context.Context, shop custody.Shop) (map[string]string, error) {
	logins := make(map[string]string)
	for _, op := range shop.Operators {
		if op.Kind == "" {
			continue
		}
		fields, err := s.ledger.Private(ctx, op.Ref)
		if err != nil {
			return nil, err
		}
		logins[op.ID] = fields[custody.FieldLogin]
	}
	return logins, nil
}
