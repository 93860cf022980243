package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
)

// shopPaper fills a paper about the shop as a whole.
func (s *station) shopPaper(ctx context.Context, kind custody.PaperKind, language custody.Language) (report.Paper, error) {
	head, err := s.head(ctx, numbered(s.today(), kind), report.CopyAnyone, language)
	if err != nil {
		return nil, err
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	f := shopFacts{s, shop, head, custody.DateOf(s.now(), s.config.Shop.Zone())}
	switch kind {
	case custody.PaperDue:
		return f.due(ctx)
	case custody.PaperRegister:
		return f.register(ctx)
	case custody.PaperIncidents:
		return f.incidents(ctx)
	}
	return f.requests(ctx)
}

// shopFacts joins what is known of the shop for one paper.
type shopFacts struct {
	*station
	shop  custody.Shop
	head  report.Head
	today custody.Date
}

// private is one private text of an event of the shop or a case.
func (f shopFacts) private(ctx context.Context, ref custody.Ref, name string) (report.Personal, error) {
	if ref == (custody.Ref{}) {
		return report.Personal{}, nil
	}
	fields, err := f.ledger.Private(ctx, ref)
	return report.Said(fields[name]), err
}

func (f shopFacts) due(ctx context.Context) (report.Paper, error) {
	cases, err := f.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return nil, err
	}
	p := report.DuePaper{Head: f.head, At: f.now()}
	policy := f.shop.Policy(f.today)
	for _, c := range cases {
		f.clocks(&p, c.Requests, c.Incidents)
		for _, i := range c.Images {
			if i.Erase != nil && i.Erased.After(p.LastPurge) {
				p.LastPurge = i.Erased
			}
		}
		if c.Erased() && len(c.Images) > 0 {
			if last := lastErased(c).In(f.config.Shop.Zone()); last.Format("2006-01") == string(f.today)[:7] {
				p.Totals.Erased++
			}
		}
		if c.Copies() == 0 {
			continue
		}
		p.Totals.Cases++
		for _, i := range c.Images {
			if i.Remains() {
				p.Totals.Copies++
				if i.Seal != nil {
					p.Totals.Bytes += i.Seal.Stored
				}
			}
		}
		row, err := f.dueCase(ctx, &p, c, policy)
		if err != nil {
			return nil, err
		}
		p.Cases = append(p.Cases, row)
	}
	f.clocks(&p, f.shop.Requests, f.shop.Incidents)
	slices.SortStableFunc(p.Cases, func(a, b report.DueCase) int { return a.Due.Compare(b.Due) })
	slices.SortStableFunc(p.Clocks, func(a, b report.DueClock) int { return a.Due.Compare(b.Due) })
	if err := f.lastPurge(ctx, &p); err != nil {
		return nil, err
	}
	if err := f.vaults(ctx, &p, cases); err != nil {
		return nil, err
	}
	if p.Operators, err = f.operators(ctx, policy); err != nil {
		return nil, err
	}
	p.Foot, err = f.foot(ctx)
	p.Audit = p.Foot.Ledger
	return p, err
}

// lastPurge finds out when the purge ran: it leaves a heartbeat also when nothing was
// due. The heartbeat of setting a station up is not one.
func (f shopFacts) lastPurge(ctx context.Context, p *report.DuePaper) error {
	events, err := f.ledger.Events(ctx, "")
	for _, e := range events {
		if e.Type() == custody.TypeHeartbeat && e.Op != stationOperator && e.TS.After(p.LastPurge) {
			p.LastPurge = e.TS.Time
		}
	}
	return err
}

func lastErased(c custody.Case) (last time.Time) {
	for _, i := range c.Images {
		if i.Erased.After(last) {
			last = i.Erased
		}
	}
	return last
}

func (f shopFacts) dueCase(ctx context.Context, p *report.DuePaper, c custody.Case, policy custody.Policy) (report.DueCase, error) {
	row := report.DueCase{Case: string(c.No), Captured: c.FirstImage, Due: c.Deadline, Purpose: c.Purpose, State: f.dueState(c, policy)}
	if !c.Deadline.IsZero() {
		row.DaysLeft = days(f.now(), c.Deadline, f.config.Shop.Zone())
	}
	for _, i := range c.Images {
		if v, ok := f.shop.Vault(i.Vault); ok && i.Remains() {
			row.Place = v.Name
		}
	}
	for _, h := range c.Holds {
		if h.Active() {
			row.Holds = append(row.Holds, report.DueHold{Kind: h.Kind, Review: h.Review})
			f.review(p, c.No, h)
		}
	}
	// Only a case that asked for longer has a reason for it.
	if c.Opened.IsZero() || !c.Keep.From(c.Opened, f.config.Shop.Zone()).After(policy.Keep.From(c.Opened, f.config.Shop.Zone())) {
		return row, nil
	}
	var err error
	row.Longer, err = f.longer(ctx, c.No)
	return row, err
}

// longer is why a case is kept longer than usual. It reads the one private part that it
// needs: there may be many such cases.
func (f shopFacts) longer(ctx context.Context, no custody.CaseNo) (why report.Personal, err error) {
	events, err := f.ledger.Events(ctx, no)
	if err != nil {
		return why, err
	}
	var set custody.Ref
	erased := make(map[custody.Ref]time.Time)
	for _, e := range events {
		switch p := e.Pub.(type) {
		case custody.DeadlineSet:
			set = e.Ref()
		case custody.PrivateErased:
			for _, ref := range p.Events {
				erased[ref] = e.TS.Time
			}
		}
	}
	if at, gone := erased[set]; gone {
		return report.Erased(at), nil
	}
	return f.private(ctx, set, custody.FieldReason)
}

// reviewAhead is how long before its day the review of a hold stands on the overview,
// which is printed every month.
const reviewAhead = 31 * 24 * time.Hour

// review adds the day on which somebody has to look at a hold again, when it is near.
func (f shopFacts) review(p *report.DuePaper, no custody.CaseNo, h custody.Hold) {
	due, err := h.Review.Start(f.config.Shop.Zone())
	if err == nil && due.Sub(f.now()) < reviewAhead {
		p.Clocks = append(p.Clocks, report.DueClock{Kind: report.ClockReview, Of: string(no) + " " + h.ID, Due: due})
	}
}

// days counts the days between two moments by the calendar of a zone.
func days(from, to time.Time, zone *time.Location) int {
	day := func(t time.Time) time.Time {
		y, m, d := t.In(zone).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return int(day(to).Sub(day(from)) / (24 * time.Hour))
}

func (f shopFacts) dueState(c custody.Case, policy custody.Policy) string {
	for _, x := range c.Exceptions {
		if x.Kind == custody.NotProved {
			return report.DueFailed
		}
	}
	validated := true
	for _, i := range c.Images {
		switch {
		case i.Left() && i.EraseFailed != "":
			return report.DueFailed
		case i.State == custody.ImageIsErasing:
			return report.DueErasing
		}
		validated = validated && (!i.Left() || c.Validated(i.Name, ""))
	}
	switch {
	case c.Held():
		return report.DueHeld
	case c.Deadline.IsZero():
		return report.DueUndated
	case c.Due(f.now()) && policy.Validated && !validated:
		return report.DueUnvalidated
	case c.Due(f.now()):
		return report.DueOverdue
	}
	return report.DueKept
}

// clocks adds the terms that run.
func (f shopFacts) clocks(p *report.DuePaper, requests []custody.Request, incidents []custody.Incident) {
	add := func(kind, of string, c custody.Clock) {
		clock := report.DueClock{Kind: kind, Of: of, Due: c.Due}
		if c.Running() && !slices.Contains(p.Clocks, clock) {
			p.Clocks = append(p.Clocks, clock)
		}
	}
	for _, r := range requests {
		add(report.ClockRequest, r.ID, r.Clock())
	}
	for _, i := range incidents {
		if i.Open() {
			add(report.ClockAuthority, i.ID, i.AuthorityClock())
			add(report.ClockController, i.ID, i.ControllerClock())
		}
	}
}

// operators are those of whom an agreement or a training is missing.
func (f shopFacts) operators(ctx context.Context, policy custody.Policy) ([]report.DueOperator, error) {
	names, err := f.operatorNames(ctx)
	if err != nil {
		return nil, err
	}
	var list []report.DueOperator
	for _, op := range f.shop.Operators {
		if op.Kind != custody.OperatorPerson || op.Ended != "" && op.Ended < f.today {
			continue
		}
		o := report.DueOperator{Name: op.ID, Since: op.Trained}
		if name := names[op.ID]; name != "" {
			o.Name = name
		}
		switch {
		case op.Agreed == "":
			o.Lacks = report.OperatorNoAgreement
		case op.TrainedUntil(policy) >= f.today:
			continue
		case op.Trained == "":
			o.Lacks = report.OperatorNoTraining
		default:
			o.Lacks = report.OperatorTrainingOld
		}
		list = append(list, o)
	}
	return list, nil
}

func (f shopFacts) register(ctx context.Context) (report.Paper, error) {
	p := report.RegisterPaper{Head: f.head, Updated: f.shop.Created}
	p.Controller, p.Processor = report.StandardRegister()
	for _, n := range custody.PolicyNames() {
		v := report.RegisterPeriod{Name: n, Value: f.shop.PolicyValue(n, f.today)}
		for _, set := range f.shop.Policies {
			if set.Name == n && set.From <= f.today && set.From >= v.From {
				v.From = set.From
			}
			if set.At.After(p.Updated) {
				p.Updated = set.At
			}
		}
		p.Periods = append(p.Periods, v)
	}
	for _, r := range f.shop.Processors {
		c := r.Newest()
		name, err := f.private(ctx, c.Ref, custody.FieldName)
		if err != nil {
			return nil, err
		}
		p.Processors = append(p.Processors, report.RegisterProcessor{
			ID: r.ID, Name: name, Services: c.Services, Contract: c.Contract, From: c.From, Until: c.Until, Country: c.Country, Safeguard: c.Safeguard, Ended: r.Ended,
		})
		if c.At.After(p.Updated) {
			p.Updated = c.At
		}
	}
	if at := f.configured(); at.After(p.Updated) {
		p.Updated = at
	}
	err := f.clients(ctx, &p)
	if err != nil {
		return nil, err
	}
	p.Foot, err = f.foot(ctx)
	return p, err
}

// configured is when the configuration was last changed, from which the papers have who
// the shop is and whom to ask; zero where no file of it tells that.
func (f shopFacts) configured() (last time.Time) {
	for _, path := range f.config.Files {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if at := custody.At(info.ModTime()).Time; at.After(last) && !at.After(f.now()) {
			last = at
		}
	}
	return last
}

// clients are the businesses whose processor the shop is, while it has something of them.
func (f shopFacts) clients(ctx context.Context, p *report.RegisterPaper) error {
	cases, err := f.ledger.Cases(ctx, ledger.Filter{})
	if err != nil {
		return err
	}
	for _, c := range cases {
		if c.Role != custody.RoleProcessor {
			continue
		}
		facts, err := f.newCustodyFacts(ctx, c)
		if err != nil {
			return err
		}
		client := report.ProcessorClient{
			Name: facts.current(facts.opened(), custody.FieldCustomer), Contact: facts.current(facts.opened(), custody.FieldEmail), Contract: c.Contract,
		}
		if !slices.Contains(p.Clients, client) {
			p.Clients = append(p.Clients, client)
		}
	}
	return nil
}

func (f shopFacts) incidents(ctx context.Context) (report.Paper, error) {
	p := report.IncidentsPaper{Head: f.head, At: f.now()}
	all, _, err := f.registers(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		r := report.Incident{
			ID: i.ID, Kind: i.Kind, Role: i.Role, Aware: i.Aware, Happened: i.Happened, Risk: i.Risk, Subjects: i.Subjects, Closed: i.Closed,
			Authority: told(i.AuthorityDue, i.Authority), Controller: told(i.ControllerDue, i.Controller),
		}
		for _, no := range i.Cases {
			r.Cases = append(r.Cases, string(no))
		}
		r.Authority.Exempt, r.Controller.Exempt, r.Persons.Exempt = i.Closing.Authority, i.Closing.Controller, i.Closing.Subjects
		if len(i.Told) > 0 {
			r.Persons.Told = i.Told[0].At.Time
		}
		var errs [3]error
		r.Facts, errs[0] = f.private(ctx, i.Ref, custody.FieldFacts)
		if n := len(i.Assessments); n > 0 {
			a := i.Assessments[n-1]
			r.Records = a.Records
			r.Effects, errs[1] = f.private(ctx, a.Ref, custody.FieldEffects)
			r.Measures, errs[2] = f.private(ctx, a.Ref, custody.FieldMeasures)
		}
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
		p.Incidents = append(p.Incidents, r)
	}
	slices.SortStableFunc(p.Incidents, func(a, b report.Incident) int { return b.Aware.Compare(a.Aware) })
	p.Foot, err = f.foot(ctx)
	return p, err
}

func told(due time.Time, n *custody.Notice) report.Notification {
	out := report.Notification{Due: due}
	if n != nil {
		out.Told, out.Delay = n.At, n.Delay
	}
	return out
}

func (f shopFacts) requests(ctx context.Context) (report.Paper, error) {
	p := report.RequestsPaper{Head: f.head, At: f.now()}
	_, all, err := f.registers(ctx)
	if err != nil {
		return nil, err
	}
	for _, q := range all {
		r := report.Request{
			ID: q.ID, Case: string(q.of), Kind: q.Kind, Received: q.Received, Due: q.FirstDue, Answered: q.Answered, Outcome: q.Outcome, Delay: q.Delay,
		}
		for _, x := range q.Extensions {
			if x.Counts {
				r.Told, r.Extended, r.Extension = x.Told.Time, x.Due.Time, x.Why
			}
		}
		var errs [3]error
		r.From, errs[0] = f.private(ctx, q.Ref, custody.FieldCustomer)
		r.Words, errs[1] = f.private(ctx, q.Ref, custody.FieldRequest)
		r.Reason, errs[2] = f.private(ctx, q.AnswerRef, custody.FieldReason)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
		p.Requests = append(p.Requests, r)
	}
	slices.SortStableFunc(p.Requests, func(a, b report.Request) int { return b.Received.Compare(a.Received) })
	p.Foot, err = f.foot(ctx)
	return p, err
}

// askedOf is a request and the case that it concerns, if any.
type askedOf struct {
	custody.Request
	of custody.CaseNo
}

// registers collects the incidents and requests of the shop and of its cases, each once.
func (f shopFacts) registers(ctx context.Context) (incidents []custody.Incident, requests []askedOf, err error) {
	cases, err := f.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	collect := func(no custody.CaseNo, is []custody.Incident, rs []custody.Request) {
		for _, i := range is {
			if !seen["i"+i.ID] {
				seen["i"+i.ID] = true
				incidents = append(incidents, i)
			}
		}
		for _, r := range rs {
			if !seen["r"+r.ID] {
				seen["r"+r.ID] = true
				requests = append(requests, askedOf{r, no})
			}
		}
	}
	collect("", f.shop.Incidents, f.shop.Requests)
	for _, c := range cases {
		collect(c.No, c.Incidents, c.Requests)
	}
	return incidents, requests, nil
}
