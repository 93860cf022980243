package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// The register of incidents. From the moment at which the shop is aware of one, 72
// running hours to the authority; for data that it processes for somebody else, 24 to
// that controller as well.

var (
	incidentWords = choice{"TYPE", "what happened", []ui.Option{
		{Value: "lost", Text: "data or a medium are lost"},
		{Value: "stolen", Text: "stolen"},
		{Value: "disclosed", Text: "seen by somebody who may not"},
		{Value: "destroyed", Text: "destroyed by mistake"},
		{Value: "altered", Text: "changed by mistake or on purpose"},
		{Value: "unavailable", Text: "out of reach: no key, no power, ransom"},
	}}
	riskWords = choice{"--risk", "what may it mean for the persons", []ui.Option{
		{Value: "none", Text: "unlikely to result in a risk"},
		{Value: "risk", Text: "a risk: the authority is told"},
		{Value: "high", Text: "a high risk: the persons are told as well"},
	}}
	toldWords = choice{"--how", "how were they told", []ui.Option{
		{Value: "letter", Text: "by letter"},
		{Value: "mail", Text: "by mail"},
		{Value: "phone", Text: "by telephone"},
		{Value: "person", Text: "face to face"},
		{Value: "public", Text: "publicly"},
	}}
	noAuthorityWords = choice{"--no-authority", "why was the authority not told", []ui.Option{
		{Value: "no-risk", Text: "unlikely to result in a risk (Article 33)"},
		{Value: "controller", Text: "the controller does it"},
	}}
	noControllerWords = choice{"--no-controller", "why was the controller not told", []ui.Option{
		{Value: "no-risk", Text: "unlikely to result in a risk"},
	}}
	noSubjectsWords = choice{"--no-subjects", "why were the persons not told", []ui.Option{
		{Value: "encrypted", Text: "unreadable for others (Article 34(3)(a))"},
		{Value: "measures", Text: "the high risk is gone (Article 34(3)(b))"},
		{Value: "public", Text: "told publicly instead (Article 34(3)(c))"},
		{Value: "controller", Text: "the controller does it"},
	}}
)

func newIncident(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "incident",
		Short: "what went wrong with customers' data, and who is told by when",
		Long:  "Keeps the register of incidents, with the hours in which the authority and the persons are told.",
		Example: `  salvor incident open lost --facts "a stick is gone" --case T1-2026-0001
  salvor incident assess i-3f9a12bc --risk none
  salvor incident list`,
		RunE: showHelp,
	}
	cmd.AddCommand(newIncidentOpen(p), newIncidentAssess(p), newIncidentNotify(p), newIncidentClose(p), newIncidentList(p))
	return cmd
}

type incidentOptions struct {
	kind, facts, aware, happened, role string
	cases                              []string
	clockChecked                       bool

	risk, effects, measures string
	subjects, records       int64

	whom, at, delay, reason, reference, how string

	noAuthority, noController, noSubjects string
}

func newIncidentOpen(p *program) *cobra.Command {
	var o incidentOptions
	cmd := &cobra.Command{
		Use:   "open TYPE",
		Short: "register an incident, and begin its clocks",
		Long: `Registers that data were ` + incidentWords.words() + `. The clocks run
from the moment at which anybody of the shop was aware of it: 72 running hours to
the authority, and 24 to the controller where the shop is a processor, which it is
when one of the cases is kept under a contract as a processor.`,
		Example: `  salvor incident open stolen --facts "no NAS" --aware "2026-11-21 08:10"
  salvor incident open disclosed --facts "wrong label" --case T1-2026-0001`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			o.kind = args[0]
			return s.openIncident(ctx, o)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&o.facts, "facts", "", "what happened, in words")
	f.StringVar(&o.aware, "aware", "", "`TIME` at which the shop was aware of it (default: now)")
	f.StringVar(&o.happened, "happened", "", "`TIME` at which it happened, when known")
	f.StringSliceVar(&o.cases, "case", nil, "`CASES` whose data are concerned, several with commas")
	roleWords.add(cmd, &o.role, "what the shop is for these data")
	clockFlag(cmd, &o.clockChecked)
	f.SortFlags = false
	return cmd
}

func (s *station) openIncident(ctx context.Context, o incidentOptions) error {
	const what = "incident open"
	if err := cmp.Or(incidentWords.check(what, o.kind), roleWords.check(what, o.role)); err != nil || o.kind == "" {
		return cmp.Or(err, usage(what, "TYPE: "+incidentWords.words(), ""))
	}
	if err := s.clockPlausible(ctx, what, o.clockChecked); err != nil {
		return err
	}
	aware, err := s.moment(what, "--aware", o.aware)
	if err != nil {
		return err
	}
	p := custody.IncidentOpened{Incident: shortID("i"), Kind: custody.IncidentKind(o.kind), Aware: aware, Role: custody.Role(o.role)}
	if o.happened != "" {
		if p.Happened, err = s.moment(what, "--happened", o.happened); err != nil {
			return err
		}
		if p.Happened.After(aware.Time) {
			return usage(what, "--happened: after the shop was aware of it", "")
		}
	}
	op, err := s.operator(ctx, custody.TypeIncidentOpened)
	if err != nil {
		return err
	}
	cases, processor, err := s.concerned(ctx, o.cases)
	if err != nil {
		return err
	}
	p.Cases = cases
	switch {
	case p.Role == "" && processor:
		p.Role = custody.RoleProcessor
	case p.Role == "":
		p.Role = custody.RoleController
	case p.Role == custody.RoleController && processor:
		return usage(what, "--role: one of the cases is kept as a processor", "--role processor; both clocks run")
	}
	if o.facts, err = s.text(ctx, o.facts, "--facts", "what happened"); err != nil {
		return err
	}
	policy, err := s.policyOn(ctx, aware)
	if err != nil {
		return err
	}
	p.AuthorityDue = custody.IncidentDue(aware.Time, policy.IncidentAuthority.Hours())
	if p.Role == custody.RoleProcessor {
		p.ControllerDue = custody.IncidentDue(aware.Time, policy.IncidentControl.Hours())
	}
	if err := s.record(ctx, op.ID, "", ledger.Entry{Pub: p, Private: map[string]string{custody.FieldFacts: o.facts}}); err != nil {
		return err
	}
	doc := map[string]any{"incident": p.Incident, "role": p.Role, "aware": p.Aware, "authority_due": p.AuthorityDue, "cases": p.Cases}
	if p.Role == custody.RoleProcessor {
		doc["controller_due"] = p.ControllerDue
	}
	if err := s.done(doc, "incident %s is open; the authority is told by %s unless there is no risk", p.Incident, s.untilWords(p.AuthorityDue.Time)); err != nil {
		return err
	}
	if p.Role == custody.RoleProcessor {
		s.term.Say("the controller is told by %s", s.untilWords(p.ControllerDue.Time))
	}
	s.term.Say("next: salvor incident assess %s --risk …", p.Incident)
	return nil
}

// concerned are the cases whose data an incident concerns, and whether the shop is a
// processor for one of them.
func (s *station) concerned(ctx context.Context, texts []string) (list []custody.CaseNo, processor bool, err error) {
	for _, text := range texts {
		c, _, err := s.caseOf(ctx, text)
		if err != nil {
			return nil, false, err
		}
		list = append(list, c.No)
		processor = processor || c.Role == custody.RoleProcessor
	}
	slices.Sort(list)
	return slices.Compact(list), processor, nil
}

// incidents are all incidents, the shop's and those of cases.
func (s *station) incidents(ctx context.Context) ([]registered[custody.Incident], error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	var list []registered[custody.Incident]
	for _, i := range shop.Incidents {
		list = append(list, registered[custody.Incident]{"", i})
	}
	cases, err := s.ledger.Cases(ctx, ledger.Filter{All: true})
	for _, c := range cases {
		for _, i := range c.Incidents {
			list = append(list, registered[custody.Incident]{c.No, i})
		}
	}
	return list, err
}

func (s *station) findIncident(ctx context.Context, what, id string) (registered[custody.Incident], error) {
	list, err := s.incidents(ctx)
	if err != nil {
		return registered[custody.Incident]{}, err
	}
	for _, i := range list {
		if i.entry.ID != id {
			continue
		}
		if !i.entry.Open() {
			return i, refuse(what, "incident "+id+" was closed on "+s.term.Date(i.entry.Closed), "salvor incident list --all")
		}
		return i, nil
	}
	return registered[custody.Incident]{}, &ui.Error{Code: ui.NotFound, What: what, Why: "no such incident", Hint: "salvor incident list", Err: custody.ErrNoIncident}
}

func newIncidentAssess(p *program) *cobra.Command {
	var o incidentOptions
	cmd := &cobra.Command{
		Use:   "assess INCIDENT",
		Short: "say what an incident may mean for the persons",
		Long: `Says what risk an incident is for the persons, and how many are concerned. The newest
assessment counts. Where the risk is high the persons are told too; the contact
data of the cases are shown by "salvor show CASE --contact".`,
		Example: `  salvor incident assess i-3f9a12bc --risk high --subjects 3`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.assessIncident(ctx, args[0], o) }),
	}
	f := cmd.Flags()
	riskWords.add(cmd, &o.risk, "what it may mean for the persons")
	f.Int64Var(&o.subjects, "subjects", 0, "how many persons are concerned, about")
	f.Int64Var(&o.records, "records", 0, "how many records, about")
	f.StringSliceVar(&o.cases, "case", nil, "more `CASES` whose data are concerned")
	f.StringVar(&o.facts, "facts", "", "more about what happened")
	f.StringVar(&o.effects, "effects", "", "what it may lead to, in words")
	f.StringVar(&o.measures, "measures", "", "what was done about it, in words")
	f.SortFlags = false
	return cmd
}

func (s *station) assessIncident(ctx context.Context, id string, o incidentOptions) error {
	const what = "incident assess"
	if err := riskWords.check(what, o.risk); err != nil {
		return err
	}
	if o.subjects < 0 || o.records < 0 {
		return usage(what, "--subjects and --records are not negative", "")
	}
	op, err := s.operator(ctx, custody.TypeIncidentAssessed)
	if err != nil {
		return err
	}
	i, err := s.findIncident(ctx, what, id)
	if err != nil {
		return err
	}
	cases, _, err := s.concerned(ctx, o.cases)
	if err != nil {
		return err
	}
	if o.risk, err = riskWords.settle(ctx, s, what, o.risk, ""); err != nil {
		return err
	}
	if err := s.record(ctx, op.ID, i.no, ledger.Entry{
		Pub: custody.IncidentAssessed{Incident: id, Risk: custody.Risk(o.risk), Subjects: o.subjects, Records: o.records, Cases: cases},
		Private: map[string]string{
			custody.FieldFacts: o.facts, custody.FieldEffects: o.effects, custody.FieldMeasures: o.measures,
		},
	}); err != nil {
		return err
	}
	return s.incidentNext(ctx, what, id, map[string]any{"incident": id, "risk": o.risk, "subjects": o.subjects}, "incident "+id+" is assessed: "+riskSaid(custody.Risk(o.risk)))
}

func riskSaid(r custody.Risk) string {
	switch r {
	case custody.RiskNone:
		return "no risk"
	case custody.RiskHigh:
		return "a high risk"
	}
	return "a risk"
}

// incidentNext ends a command about an incident with what is to be done next.
func (s *station) incidentNext(ctx context.Context, what, id string, doc map[string]any, said string) error {
	if err := s.done(doc, "%s", said); err != nil {
		return err
	}
	i, err := s.findIncident(ctx, what, id)
	if err != nil {
		return err
	}
	for _, step := range s.incidentSteps(i.entry) {
		s.term.Say("next: %s: %s", shortStep(step.Code), commandOf("", step, []custody.Incident{i.entry}))
	}
	return nil
}

// incidentSteps is what is to be done about an incident, the most urgent first.
func (s *station) incidentSteps(i custody.Incident) []custody.Step {
	steps := custody.NextForShop(custody.Shop{Incidents: []custody.Incident{i}}, s.now().In(s.term.Zone))
	return slices.DeleteFunc(steps, func(x custody.Step) bool { return x.Subject != i.ID })
}

func newIncidentNotify(p *program) *cobra.Command {
	var o incidentOptions
	cmd := &cobra.Command{
		Use:   "notify INCIDENT WHOM",
		Short: "record that the authority, the controller or the persons were told",
		Long: `Records who was told of an incident: authority, controller or subjects (the persons
concerned). Being late needs its reason, now or when the incident is closed.`,
		Example: `  salvor incident notify i-3f9a12bc authority --reference GBA-2026-811
  salvor incident notify i-3f9a12bc subjects --how letter --subjects 3`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			o.whom = args[1]
			return s.notifyIncident(ctx, args[0], o)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&o.at, "at", "", "`TIME` at which they were told (default: now)")
	f.StringVar(&o.reference, "reference", "", "the `NUMBER` that they gave it")
	delayWords.add(cmd, &o.delay, "why it was late")
	f.StringVar(&o.reason, "reason", "", "more about it, in words")
	toldWords.add(cmd, &o.how, "subjects: how they were told")
	f.Int64Var(&o.subjects, "subjects", 0, "subjects: how many were told")
	f.SortFlags = false
	return cmd
}

func (s *station) notifyIncident(ctx context.Context, id string, o incidentOptions) error {
	const what = "incident notify"
	if err := cmp.Or(delayWords.check(what, o.delay), toldWords.check(what, o.how)); err != nil {
		return err
	}
	if !slices.Contains([]string{"authority", "controller", "subjects"}, o.whom) {
		return usage(what, "WHOM: authority, controller or subjects", "")
	}
	if o.whom != "subjects" && (o.how != "" || o.subjects != 0) {
		return usage(what, "--how and --subjects are about the persons", "salvor incident notify "+id+" subjects")
	}
	if o.subjects < 0 {
		return usage(what, "--subjects is not negative", "")
	}
	when, err := s.moment(what, "--at", o.at)
	if err != nil {
		return err
	}
	op, err := s.operator(ctx, custody.TypeIncidentAuthorityNotified)
	if err != nil {
		return err
	}
	i, err := s.findIncident(ctx, what, id)
	if err != nil {
		return err
	}
	if when.Before(i.entry.Aware) {
		return usage(what, "--at: before the shop was aware of it", "it was aware on "+s.term.DateTime(i.entry.Aware))
	}
	var pub custody.Payload
	late := false
	switch o.whom {
	case "authority":
		pub, late = custody.IncidentAuthorityNotified{Incident: id, At: when, Delay: custody.Delay(o.delay)}, when.After(i.entry.AuthorityDue)
	case "controller":
		if i.entry.Role != custody.RoleProcessor {
			return refuse(what, "the shop is itself the controller of these data", "salvor incident notify "+id+" authority")
		}
		pub, late = custody.IncidentControllerNotified{Incident: id, At: when, Delay: custody.Delay(o.delay)}, when.After(i.entry.ControllerDue)
	default:
		if o.how, err = toldWords.settle(ctx, s, what, o.how, ""); err != nil {
			return err
		}
		pub = custody.IncidentSubjectsNotified{Incident: id, At: when, How: custody.Told(o.how), Subjects: o.subjects}
	}
	if err := s.record(ctx, op.ID, i.no, ledger.Entry{Pub: pub, Private: map[string]string{
		custody.FieldReason: o.reason, custody.FieldReference: o.reference,
	}}); err != nil {
		return err
	}
	if late && o.delay == "" {
		s.term.Warn("that was late: the reason is needed before the incident is closed")
	}
	return s.incidentNext(ctx, what, id, map[string]any{"incident": id, "told": o.whom, "at": when, "late": late}, "incident "+id+": recorded that the "+personsWord(o.whom)+" told")
}

func personsWord(whom string) string {
	if whom == "subjects" {
		return "persons were"
	}
	return whom + " was"
}

func newIncidentClose(p *program) *cobra.Command {
	var o incidentOptions
	cmd := &cobra.Command{
		Use:   "close INCIDENT",
		Short: "close an incident: everybody was told, or it is said why not",
		Long: `Closes an incident that is assessed. Whoever must be told was told, or a reason of
the law exempts from it; what was late has its reason.`,
		Example: `  salvor incident close i-3f9a12bc --no-authority no-risk --reason "encrypted"`,
		RunE:    p.onStation(func(ctx context.Context, s *station, args []string) error { return s.closeIncident(ctx, args[0], o) }),
	}
	f := cmd.Flags()
	noAuthorityWords.add(cmd, &o.noAuthority, "why the authority was not told")
	noControllerWords.add(cmd, &o.noController, "why the controller was not told")
	noSubjectsWords.add(cmd, &o.noSubjects, "why the persons were not told")
	delayWords.add(cmd, &o.delay, "why it was late")
	f.StringVar(&o.reason, "reason", "", "the reasons in words")
	f.StringVar(&o.measures, "measures", "", "what was done so that it does not happen again")
	f.SortFlags = false
	return cmd
}

func (s *station) closeIncident(ctx context.Context, id string, o incidentOptions) error {
	const what = "incident close"
	if err := cmp.Or(noAuthorityWords.check(what, o.noAuthority), noControllerWords.check(what, o.noController),
		noSubjectsWords.check(what, o.noSubjects), delayWords.check(what, o.delay)); err != nil {
		return err
	}
	op, err := s.operator(ctx, custody.TypeIncidentClosed)
	if err != nil {
		return err
	}
	i, err := s.findIncident(ctx, what, id)
	if err != nil {
		return err
	}
	if err := o.askClosing(ctx, s, i.entry); err != nil {
		return err
	}
	if err := s.record(ctx, op.ID, i.no, ledger.Entry{
		Pub: custody.IncidentClosed{
			Incident: id, Authority: custody.Exempt(o.noAuthority), Controller: custody.Exempt(o.noController),
			Subjects: custody.Exempt(o.noSubjects), Delay: custody.Delay(o.delay),
		},
		Private: map[string]string{custody.FieldReason: o.reason, custody.FieldMeasures: o.measures},
	}); err != nil {
		var own *ui.Error
		if steps := s.incidentSteps(i.entry); len(steps) > 0 && errors.As(err, &own) {
			own.Hint = commandOf("", steps[0], []custody.Incident{i.entry})
		}
		return err
	}
	return s.done(map[string]any{"incident": id, "closed": true}, "incident %s is closed", id)
}

// closing is what may still be said so that an incident can be closed: why somebody was
// not told where the law exempts from it, and why something was late. Who must be told
// is told; nothing that is said instead closes it.
type closing struct{ authority, controller, late bool }

func closingOf(i custody.Incident) closing {
	none, processor := i.Risk == custody.RiskNone, i.Role == custody.RoleProcessor
	return closing{
		authority:  i.Authority == nil && (none || processor),
		controller: i.Controller == nil && none && processor,
		late: i.Authority != nil && i.AuthorityClock().Overdue(i.Authority.At) && i.Authority.Delay == "" ||
			i.Controller != nil && i.ControllerClock().Overdue(i.Controller.At) && i.Controller.Delay == "",
	}
}

// exempt is why the authority need not be told, as far as the record knows.
func exempt(i custody.Incident) string {
	if i.Risk == custody.RiskNone {
		return "no-risk"
	}
	return "controller"
}

// closingFlags are the flags with which an incident is closed as it stands.
func closingFlags(i custody.Incident) (flags string) {
	needs := closingOf(i)
	if needs.authority {
		flags += " --no-authority " + exempt(i)
	}
	if needs.controller {
		flags += " --no-controller no-risk"
	}
	if needs.late {
		flags += " --delay facts"
	}
	if flags != "" {
		flags += ` --reason "…"`
	}
	return flags
}

// askClosing asks at the desk for what is missing.
func (o *incidentOptions) askClosing(ctx context.Context, s *station, i custody.Incident) (err error) {
	needs := closingOf(i)
	if !s.term.CanAsk() || needs == (closing{}) {
		return nil
	}
	const what = "incident close"
	if needs.authority {
		if o.noAuthority, err = noAuthorityWords.settle(ctx, s, what, o.noAuthority, exempt(i)); err != nil {
			return err
		}
	}
	if needs.controller {
		if o.noController, err = noControllerWords.settle(ctx, s, what, o.noController, "no-risk"); err != nil {
			return err
		}
	}
	if needs.late {
		if o.delay, err = delayWords.settle(ctx, s, what, o.delay, "facts"); err != nil {
			return err
		}
	}
	o.reason, err = s.text(ctx, o.reason, "--reason", "the reason in words")
	return err
}

type incidentRow struct {
	Incident     string               `json:"incident"`
	Kind         custody.IncidentKind `json:"kind"`
	Role         custody.Role         `json:"role"`
	Aware        custody.Time         `json:"aware"`
	Risk         custody.Risk         `json:"risk,omitempty"`
	Cases        []custody.CaseNo     `json:"cases"`
	Authority    clockRow             `json:"authority"`
	Controller   *clockRow            `json:"controller,omitempty"`
	SubjectsTold bool                 `json:"subjects_told"`
	Closed       *custody.Time        `json:"closed,omitempty"`
	next         string
	nextDue      custody.Time
}

// clockRow is one of the law's clocks.
type clockRow struct {
	Due     custody.Time  `json:"due"`
	Told    *custody.Time `json:"told,omitempty"`
	Overdue bool          `json:"overdue"`
}

func (s *station) clockRow(c custody.Clock) clockRow {
	r := clockRow{Due: custody.At(c.Due), Overdue: c.Overdue(s.now())}
	if !c.Done.IsZero() {
		at := custody.At(c.Done)
		r.Told = &at
	}
	return r
}

func newIncidentList(p *program) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "the open incidents with their clocks, the most urgent first",
		Example: "  salvor incident list\n  salvor incident list --all --json",
		RunE:    p.onStation(func(ctx context.Context, s *station, _ []string) error { return s.listIncidents(ctx, all) }),
	}
	cmd.Flags().BoolVar(&all, "all", false, "closed ones too")
	return cmd
}

func (s *station) listIncidents(ctx context.Context, all bool) error {
	list, err := s.incidents(ctx)
	if err != nil {
		return err
	}
	rows := []incidentRow{}
	for _, i := range list {
		x := i.entry
		if x.Kind == "" || !all && !x.Open() {
			continue
		}
		r := incidentRow{
			Incident: x.ID, Kind: x.Kind, Role: x.Role, Aware: custody.At(x.Aware), Risk: x.Risk, Cases: slices.Concat([]custody.CaseNo{}, x.Cases),
			Authority: s.clockRow(x.AuthorityClock()), SubjectsTold: len(x.Told) > 0, nextDue: custody.At(x.AuthorityDue),
		}
		if !x.ControllerDue.IsZero() {
			c := s.clockRow(x.ControllerClock())
			r.Controller = &c
		}
		if !x.Open() {
			at := custody.At(x.Closed)
			r.Closed = &at
		}
		if steps := s.incidentSteps(x); len(steps) > 0 {
			r.next = shortStep(steps[0].Code)
			if due := steps[0].Due; !due.IsZero() {
				r.next = s.leftWords(due) + ": " + r.next
				r.nextDue = custody.At(due)
			}
		}
		rows = append(rows, r)
	}
	sortByDue(rows, func(r incidentRow) custody.Time { return r.nextDue })
	if s.json {
		return s.term.Document(map[string]any{"incidents": rows})
	}
	if len(rows) == 0 {
		s.term.Say("no open incident; --all shows closed ones too")
		return nil
	}
	t := s.term.Table("incident", "what", "aware", "risk", "~cases", "^next")
	for _, r := range rows {
		var cases []string
		for _, no := range r.Cases {
			cases = append(cases, string(no))
		}
		next := r.next
		if r.Closed != nil {
			next = "closed " + s.term.Date(r.Closed.Time)
		}
		t.Row(r.Incident, r.Kind, s.term.Date(r.Aware.Time), r.Risk, strings.Join(cases, " "), next)
	}
	return t.Flush()
}

// sortByDue puts what runs out first on top.
func sortByDue[T any](rows []T, due func(T) custody.Time) {
	slices.SortStableFunc(rows, func(a, b T) int { return due(a).Compare(due(b).Time) })
}

// leftWords says in a column how long there is left.
func (s *station) leftWords(due time.Time) string {
	left := due.Sub(s.now())
	switch {
	case left < 0:
		return "overdue"
	case left < 96*time.Hour:
		return ui.Duration(left) + " left"
	}
	return s.term.Date(due)
}

// untilWords says until when something is to be done: hours while it is close.
func (s *station) untilWords(due time.Time) string {
	left := due.Sub(s.now())
	switch {
	case left < 0:
		return s.term.DateTime(due) + " (overdue)"
	case left < 96*time.Hour:
		return s.term.DateTime(due) + " (" + ui.Duration(left) + " left)"
	}
	return s.deadlineWords(due)
}
