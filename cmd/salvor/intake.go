package main

import (
	"context"
	"fmt"
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
	purpose, language, keep                 string
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
	f.StringVar(&o.purpose, "purpose", "", "why the data are copied: crash, reinstall or transfer")
	f.BoolVar(&o.agreed, "agreed", false, "the customer has read the notice and signed the intake")
	f.BoolVar(&o.business, "business", false, "the customer is a business")
	f.StringVar(&o.language, "language", "", "language of the customer's papers: nl, fr, de or en (default: the shop's)")
	f.BoolVar(&o.clockChecked, "clock-checked", false, "somebody has looked at this machine's clock and it is right")
	f.StringVar(&o.keep, "keep", "", "how long to keep the images: 90d, 6w, 3m, 36h or a date; one year at most (default: the shop's)")
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
	if o.purpose == "" {
		if o.purpose, err = s.term.Choice(ctx, ui.Question{Text: "why are the data copied", Flag: "--purpose"}, []ui.Option{
			{Value: string(custody.PurposeCrash), Text: "the disk is failing or has failed"},
			{Value: string(custody.PurposeReinstall), Text: "the computer is set up anew"},
			{Value: string(custody.PurposeTransfer), Text: "the data move to a new computer"},
		}); err != nil {
			return intake{}, err
		}
	}
	if !o.agreed {
		if o.agreed, err = s.term.YesNo(ctx, ui.Question{Text: "has the customer read the notice and signed the intake", Flag: "--agreed"}); err != nil {
			return intake{}, err
		}
		if !o.agreed {
			return intake{}, refuse("intake", "nothing is copied without the customer's agreement", "let the customer sign the intake, then --agreed")
		}
	}
	purpose := custody.Purpose(o.purpose)
	if !purpose.Valid() {
		return intake{}, usage("intake", "--purpose: crash, reinstall or transfer", "")
	}
	language := custody.Language(o.language)
	if o.language == "" {
		language = custody.Language(s.config.Shop.Language)
	}
	if !language.Valid() {
		return intake{}, usage("intake", "--language: nl, fr, de or en", "")
	}
	text := o.keep
	if text == "" {
		text = s.config.Retention.Default
	}
	keep, err := custody.ParseKeep(text)
	if err != nil {
		return intake{}, usage("intake", "--keep: not a time to keep", "90d, 6w, 3m, 36h or a date such as 2027-03-01")
	}
	now := s.now()
	deadline, err := keep.Deadline(now, time.Time{}, s.term.Zone)
	if err != nil {
		return intake{}, err
	}
	if deadline.Before(custody.At(now).Time) {
		return intake{}, usage("intake", "--keep: a day in the past", "0d is due at once")
	}
	return intake{
		opened: custody.CaseOpened{Purpose: purpose, Language: language, Business: o.business},
		private: map[string]string{
			custody.FieldCustomer: o.customer, custody.FieldPhone: o.phone, custody.FieldEmail: o.email,
			custody.FieldAddress: o.address, custody.FieldTicket: o.ticket,
		},
		at:       custody.At(now),
		deadline: custody.DeadlineSet{Deadline: custody.At(deadline), Keep: keep},
	}, nil
}

// entries open a case: who, why, agreed, and until when.
func (i intake) entries(no custody.CaseNo) []ledger.Entry {
	return []ledger.Entry{
		{Case: no, Pub: i.opened, Private: i.private},
		{Case: no, Pub: custody.AgreementRecorded{Notice: noticeVersion}},
		{Case: no, Pub: i.deadline},
	}
}

func newIntake(p *program) *cobra.Command {
	var o customerFlags
	cmd := &cobra.Command{
		Use:   "intake",
		Short: "open a case for a customer before there is anything to image",
		Long: `Opens a case: who the customer is, why the data are copied, that the customer
agreed, and how long the images are kept. Image into it with
"salvor image DISK --case NO". A deadline, once set, never moves later.`,
		Example: `  salvor intake --customer "An Peeters" --purpose crash --agreed`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.intake(cmd.Context(), o) })
		},
	}
	o.add(cmd)
	return cmd
}

func (s *station) intake(ctx context.Context, o customerFlags) error {
	op, err := s.operator(ctx, custody.TypeCaseOpened)
	if err != nil {
		return err
	}
	in, err := o.complete(ctx, s)
	if err != nil {
		return err
	}
	no, err := s.ledger.OpenCase(ctx, op.ID, s.now().In(s.term.Zone).Year(), in.entries)
	if err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]any{"case": no, "deadline": in.deadline.Deadline})
	}
	fmt.Fprintln(s.term.Out, no)
	s.term.Say("case %s is open; to be erased by %s", no, s.deadlineWords(in.deadline.Deadline.Time))
	s.term.Say("next: salvor image DISK --case %s", no)
	return nil
}
