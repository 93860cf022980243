package main

import (
	"context"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// noticeVersion is the version of the notice about data protection that a customer
// agrees to.
const noticeVersion = "2026-11"

// customerFlags are what is asked of a customer: the strictly necessary.
type customerFlags struct {
	customer, phone, email, address, ticket string
	purpose, language, keep, reason         string
	agreed, business                        bool
	clockChecked                            bool
}

func (o *customerFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.customer, "customer", "", "the customer's name")
	f.StringVar(&o.phone, "phone", "", "telephone")
	f.StringVar(&o.email, "email", "", "e-mail address")
	f.StringVar(&o.address, "address", "", "address")
	f.StringVar(&o.ticket, "ticket", "", "the shop's own order number")
	purposeWords.add(cmd, &o.purpose, "why the data are copied")
	f.BoolVar(&o.agreed, "agreed", false, "the customer has read the notice and signed the intake")
	f.BoolVar(&o.business, "business", false, "the customer is a business")
	f.StringVar(&o.language, "language", "", "language of the customer's papers: nl, fr, de or en (default: the shop's)")
	clockFlag(cmd, &o.clockChecked)
	f.StringVar(&o.keep, "keep", "", "how long to keep the images: 90d, 6w, 3m, 36h or a date; one year at most (default: the shop's)")
	f.StringVar(&o.reason, "reason", "", "why they are kept longer than the shop keeps them usually; recorded")
}

// given tells whether anything about a customer was said, where a case exists already.
func (o *customerFlags) given() bool {
	return *o != customerFlags{clockChecked: o.clockChecked}
}

// intake is what a new case is opened with.
type intake struct {
	opened   custody.CaseOpened
	private  map[string]string
	at       custody.Time // from which the deadline counts
	deadline custody.DeadlineSet
	reason   string // for a longer one than usual
	items    itemList
}

// complete checks what was given and asks for what is missing. A script gets a usage
// error that names the flag.
func (o *customerFlags) complete(ctx context.Context, s *station) (intake, error) {
	err := s.clockPlausible(ctx, "intake", o.clockChecked)
	if err != nil {
		return intake{}, err
	}
	if o.customer != "" && strings.TrimSpace(o.customer) == "" {
		return intake{}, usage("intake", "--customer: a name of spaces", "")
	}
	if o.customer == "" {
		if o.customer, err = s.term.Line(ctx, ui.Question{Text: "customer's name", Flag: "--customer", Check: notEmpty}); err != nil {
			return intake{}, err
		}
		if o.phone == "" {
			if o.phone, err = s.term.Line(ctx, ui.Question{Text: "telephone (empty: none)", Flag: "--phone"}); err != nil {
				return intake{}, err
			}
		}
	}
	if o.purpose, err = purposeWords.settle(ctx, s, "intake", o.purpose, ""); err != nil {
		return intake{}, err
	}
	if err := s.askAgreed(ctx, &o.agreed); err != nil {
		return intake{}, err
	}
	language := custody.Language(o.language)
	if o.language == "" {
		language = custody.Language(s.config.Shop.Language)
	}
	if !language.Valid() {
		return intake{}, usage("intake", "--language: nl, fr, de or en", "")
	}
	now := s.now()
	deadline, err := o.deadline(ctx, s, now)
	if err != nil {
		return intake{}, err
	}
	return intake{
		opened: custody.CaseOpened{Purpose: custody.Purpose(o.purpose), Language: language, Business: o.business},
		private: map[string]string{
			custody.FieldCustomer: o.customer, custody.FieldPhone: o.phone, custody.FieldEmail: o.email,
			custody.FieldAddress: o.address, custody.FieldTicket: o.ticket,
		},
		at:       custody.At(now),
		deadline: deadline,
		reason:   o.reason,
	}, nil
}

// askAgreed wants the customer's signature: nothing is copied without it.
func (s *station) askAgreed(ctx context.Context, agreed *bool) (err error) {
	if *agreed {
		return nil
	}
	if *agreed, err = s.term.YesNo(ctx, ui.Question{Text: "has the customer read the notice and signed the intake", Flag: "--agreed"}); err != nil {
		return err
	}
	if !*agreed {
		return refuse("intake", "nothing is copied without the customer's agreement", "let the customer sign the intake, then --agreed")
	}
	return nil
}

// deadline is until when the images are kept. Without --keep that is what the shop has
// settled; where its configuration and its recorded rules differ, the shorter.
func (o *customerFlags) deadline(ctx context.Context, s *station, now time.Time) (custody.DeadlineSet, error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return custody.DeadlineSet{}, err
	}
	usual := policy.Keep
	keep := usual
	if o.keep != "" {
		if keep, err = custody.ParseKeep(o.keep); err != nil {
			return custody.DeadlineSet{}, usage("intake", "--keep: not a time to keep", "90d, 6w, 3m, 36h or a date such as 2027-03-01")
		}
	} else if configured, err := custody.ParseKeep(s.config.Retention.Default); err == nil && configured.From(now, s.term.Zone).Before(usual.From(now, s.term.Zone)) {
		keep = configured
	}
	deadline, err := keep.Deadline(now, time.Time{}, s.term.Zone)
	if err != nil {
		return custody.DeadlineSet{}, err
	}
	if deadline.Before(custody.At(now).Time) {
		return custody.DeadlineSet{}, usage("intake", "--keep: a day in the past", "0d is due at once")
	}
	if deadline.After(usual.From(now, s.term.Zone)) {
		if o.reason, err = s.text(ctx, o.reason, "--reason", "why is it kept longer than "+usual.String()); err != nil {
			return custody.DeadlineSet{}, err
		}
	}
	return custody.DeadlineSet{Deadline: custody.At(deadline), Keep: keep}, nil
}

// entries open a case: who, why, agreed, until when, and what was handed in.
func (i intake) entries(no custody.CaseNo) []ledger.Entry {
	list := append([]ledger.Entry{
		{Pub: i.opened, Private: i.private},
		{Pub: custody.AgreementRecorded{Notice: noticeVersion}},
		{Pub: i.deadline, Private: because(i.reason)},
	}, i.items.entries(1)...)
	for k := range list {
		list[k].Case = no
	}
	return list
}

// intakeFlags are everything that can be settled at the desk.
type intakeFlags struct {
	customerFlags
	items                      itemList
	role, contract, proxy, end string
	wanted, excluded           string
	special, allow             []string
}

var (
	purposeWords = choice{"--purpose", "why are the data copied", []ui.Option{
		{Value: "crash", Text: "the disk is failing or has failed"},
		{Value: "reinstall", Text: "the computer is set up anew"},
		{Value: "transfer", Text: "the data move to a new computer"},
	}}
	roleWords = choice{"--role", "for whom does the shop decide about the data", []ui.Option{
		{Value: "controller", Text: "a customer comes with his own data"},
		{Value: "processor", Text: "a business has them processed under its contract"},
	}}
	endWords = choice{"--end", "what does the customer want at the end", []ui.Option{
		{Value: "both", Text: "the data back, then erased here"},
		{Value: "return", Text: "the data back"},
		{Value: "erase", Text: "erased here, nothing back"},
	}}
	specialWords = choice{"--special", "are data of a special category on it", []ui.Option{
		{Value: "health", Text: "of patients"},
		{Value: "legal", Text: "of lawyers, courts, offences"},
		{Value: "other", Text: "religion, politics, origin, union, biometrics"},
	}}
	allowWords = choice{"--allow", "what may be done besides", []ui.Option{
		{Value: "image", Text: "copy the data"},
		{Value: "list", Text: "look at the names of files"},
		{Value: "open", Text: "open files to see whether they are whole"},
		{Value: "repair", Text: "open the device, change parts"},
		{Value: "send", Text: "send the device to a processor"},
		{Value: "erase", Text: "erase the device itself"},
		{Value: "destroy", Text: "destroy the device"},
	}}
)

func newIntake(p *program) *cobra.Command {
	var o intakeFlags
	cmd := &cobra.Command{
		Use:   "intake",
		Short: "open a case: who, why, what is handed in, until when",
		Long: `Opens a case: who the customer is, why the data are copied, that the customer
agreed, what he handed in, and how long the images are kept. On a terminal what is
missing is asked. Image into it with "salvor image DISK --case NO". A deadline,
once set, never moves later.

The receipt code is for the customer alone: whoever brings it back may have his
things (salvor return). Write no password and no national number into any field.`,
		Example: `  salvor intake
  salvor intake --customer "An Peeters" --purpose crash --agreed \
    --item hdd --maker WD --serial WX11 --seal S-1042 --place L-03 \
    --item computer --accessories "charger, bag" --wanted "photos" --end both`,
		RunE: p.onStation(func(ctx context.Context, s *station, _ []string) error { return s.intake(ctx, o) }),
	}
	o.add(cmd)
	f := cmd.Flags()
	o.items.add(cmd)
	f.StringVar(&o.wanted, "wanted", "", "what to rescue")
	f.StringVar(&o.excluded, "excluded", "", "what not to look at")
	endWords.add(cmd, &o.end, "what the customer wants at the end")
	allowWords.addMany(cmd, &o.allow, "what the customer allows besides imaging")
	f.StringVar(&o.proxy, "proxy", "", "who brings it for the owner, and by which paper")
	roleWords.add(cmd, &o.role, "what the shop is for these data")
	f.StringVar(&o.contract, "contract", "", "`NUMBER` of the contract with the business")
	specialWords.addMany(cmd, &o.special, "special categories of data on it")
	f.SortFlags = false
	return cmd
}

// check refuses what no intake can be, before anything is asked.
func (o *intakeFlags) check() error {
	for _, err := range []error{
		purposeWords.check("intake", o.purpose), roleWords.check("intake", o.role), endWords.check("intake", o.end),
		checkAll(specialWords, "intake", o.special), checkAll(allowWords, "intake", o.allow), o.items.check(),
	} {
		if err != nil {
			return err
		}
	}
	switch {
	case o.contract != "" && custody.CheckID(o.contract) != nil:
		return usage("intake", "--contract: up to 64 letters, digits, - _ and .", "such as C-2026-07")
	case o.contract == "" && o.role == string(custody.RoleProcessor):
		return usage("intake", "a processor works under a contract", "--contract NUMBER")
	case o.contract == "" && len(o.special) > 0:
		return usage("intake", "special categories of data need a contract", "--contract NUMBER")
	}
	return nil
}

func checkAll(c choice, what string, values []string) error {
	for _, v := range values {
		if v == "" {
			return usage(what, c.flag+": "+c.words(), "")
		}
		if err := c.check(what, v); err != nil {
			return err
		}
	}
	return nil
}

// settle asks what only a full intake asks. In a script everything of it may be left out.
func (o *intakeFlags) settle(ctx context.Context, s *station) error {
	if err := o.items.settle(ctx, s); err != nil {
		return err
	}
	if !s.term.CanAsk() {
		return nil
	}
	for _, q := range []struct{ text, flag, value string }{
		{"what is to be rescued (empty: everything)", "--wanted", o.wanted},
		{"what is not to be looked at (empty: nothing is excluded)", "--excluded", o.excluded},
		{"who brings it for the owner, and by which paper (empty: the owner himself)", "--proxy", o.proxy},
	} {
		if q.value != "" {
			continue
		}
		answer, err := s.term.Line(ctx, ui.Question{Text: q.text, Flag: q.flag})
		if err != nil {
			return err
		}
		switch q.flag {
		case "--wanted":
			o.wanted = answer
		case "--excluded":
			o.excluded = answer
		case "--proxy":
			o.proxy = answer
		}
	}
	var err error
	if o.end, err = endWords.settle(ctx, s, "intake", o.end, "both"); err != nil {
		return err
	}
	if len(o.special) > 0 {
		return nil
	}
	special, err := s.term.YesNo(ctx, ui.Question{Text: "are data of patients, of lawyers or of another special category on it", Flag: "--special", Default: "no"})
	if err != nil || !special {
		return err
	}
	kind, err := specialWords.settle(ctx, s, "intake", "", "health")
	if err != nil {
		return err
	}
	o.special = []string{kind}
	o.contract, err = s.term.Line(ctx, ui.Question{Text: "number of the contract", Flag: "--contract", Check: custody.CheckID})
	return err
}

func (s *station) intake(ctx context.Context, o intakeFlags) error {
	if err := o.check(); err != nil {
		return err
	}
	op, err := s.operator(ctx, custody.TypeCaseOpened)
	if err != nil {
		return err
	}
	asks := o.customer == "" // who gives a name on the command line is not led through everything
	in, err := o.complete(ctx, s)
	if err != nil {
		return err
	}
	if asks {
		if err := o.settle(ctx, s); err != nil {
			return err
		}
	}
	o.fill(&in)
	no, err := s.ledger.OpenCase(ctx, op.ID, s.now().In(s.term.Zone).Year(), in.entries)
	if err != nil {
		return readable("", err)
	}
	code, err := s.receiptCode(ctx, no)
	if err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]any{"case": no, "deadline": in.deadline.Deadline, "items": len(o.items.items), "receipt_code": code})
	}
	fmt.Fprintln(s.term.Out, no)
	s.term.Say("case %s is open; to be erased by %s", no, s.deadlineWords(in.deadline.Deadline.Time))
	s.term.Say("the customer's receipt code: %s", code)
	if len(o.items.items) < 2 {
		s.term.Say("next: salvor label %s; salvor image DISK --case %s", no, no)
		return nil
	}
	for i := range o.items.items {
		s.term.Say("next: salvor label %s/%d", no, i+1)
	}
	s.term.Say("next: salvor image DISK --case %s/ITEM", no)
	return nil
}

// fill takes what only a full intake knows into what the case is opened with.
func (o *intakeFlags) fill(in *intake) {
	in.items = o.items
	in.opened.Role, in.opened.Contract = custody.Role(o.role), o.contract
	in.opened.End, in.opened.Proxy = custody.EndChoice(o.end), o.proxy != ""
	in.opened.Special, in.opened.Allowed = inOrder[custody.Category](o.special), inOrder[custody.Action](o.allow)
	in.private[custody.FieldProxy] = o.proxy
	in.private[custody.FieldWanted], in.private[custody.FieldExcluded] = o.wanted, o.excluded
}

// inOrder makes a set of words: sorted, each once.
func inOrder[T ~string](words []string) []T {
	var set []T
	for _, w := range words {
		set = append(set, T(w))
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// receiptCode is what the customer's receipt says and whoever has it brings back: eight
// characters of the commitment of the event that opened the case. That hangs on a random
// number, so nobody finds the code from the case's number, and it is on no label.
func (s *station) receiptCode(ctx context.Context, no custody.CaseNo) (string, error) {
	e, err := s.openedEvent(ctx, no)
	if err != nil {
		return "", err
	}
	code := receiptEncoding.EncodeToString(e.Commit[:5])
	return code[:4] + "-" + code[4:], nil
}

// receiptEncoding has no letters that are mistaken for others (Crockford's base 32).
var receiptEncoding = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// sameCode compares a receipt code as somebody types it.
func sameCode(typed, code string) bool {
	plain := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1")
	want := plain.Replace(code)
	return want != "" && subtle.ConstantTimeCompare([]byte(plain.Replace(strings.ToUpper(typed))), []byte(want)) == 1
}
