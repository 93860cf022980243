package main

import (
	"context"
	"strings"

	"salvor/custody"
	"salvor/custody/report"
)

// intakePaper fills what a customer signs at the desk.
func (s *station) intakePaper(ctx context.Context, c custody.Case, o reportOptions, language custody.Language) (report.Paper, error) {
	f, err := s.newCustodyFacts(ctx, c)
	if err != nil {
		return nil, err
	}
	opened := f.opened()
	p := report.IntakePaper{
		Case: string(c.No), Opened: c.Opened,
		Customer: report.Customer{
			Business: c.Business, Name: f.current(opened, custody.FieldCustomer), Address: f.current(opened, custody.FieldAddress),
			Phone: f.current(opened, custody.FieldPhone), Email: f.current(opened, custody.FieldEmail),
		},
		Ticket: f.current(opened, custody.FieldTicket), Purpose: c.Purpose, Role: c.Role, Contract: c.Contract,
		Proxy: c.Proxy, ProxyFor: f.current(opened, custody.FieldProxy), Items: f.handedIn(),
		Wanted: f.current(opened, custody.FieldWanted), Excluded: f.current(opened, custody.FieldExcluded),
		Special: c.Special, Allowed: c.Allowed, End: c.End, Deadline: c.Deadline, Received: f.who(c.OpenedBy),
	}
	if !c.Deadline.IsZero() {
		p.Keep = c.Keep.String()
	}
	if c.Agreement != nil {
		p.Agreed, p.Notice = c.Agreement.At, c.Agreement.Notice
	}
	p.Head, p.Foot, err = s.frame(ctx, string(c.No)+"-intake", o, language)
	return p, err
}

// handoverPaper fills what a customer signs when he gets his things back.
func (s *station) handoverPaper(ctx context.Context, c custody.Case, o reportOptions, language custody.Language) (report.Paper, error) {
	f, err := s.newCustodyFacts(ctx, c)
	if err != nil {
		return nil, err
	}
	p := report.HandoverPaper{Case: string(c.No), Customer: f.current(f.opened(), custody.FieldCustomer)}
	if p.Head, p.Foot, err = s.frame(ctx, string(c.No)+"-handover", o, language); err != nil {
		return nil, err
	}
	p.By = p.PrintedBy
	for _, r := range c.Returns {
		p.At, p.By, p.To, p.Checked, p.Receiver = r.At, f.who(r.Op), r.To, r.Checked, f.current(r.Ref, custody.FieldRecipient)
		p.Data = append(p.Data, report.ReturnedData{
			Time: r.At, Image: r.Image, Medium: r.Medium, Model: f.current(r.Ref, custody.FieldModel), Serial: f.current(r.Ref, custody.FieldSerial),
			Files: r.Files, Bytes: r.Bytes, SHA256: f.field(r.Ref, custody.FieldSHA256), Verified: r.Verified,
		})
		if words := f.field(r.Ref, custody.FieldMissing); words != (report.Personal{}) {
			p.Missing = append(p.Missing, report.MissingData{Image: r.Image, Words: words})
		}
	}
	for i, it := range c.Items {
		if !it.Ended() {
			continue
		}
		p.Items = append(p.Items, report.ReturnedItem{Item: f.handedIn()[i], Back: it.Since, Seen: it.SealState})
	}
	for _, i := range c.Images {
		if i.Bad > 0 {
			p.Missing = append(p.Missing, report.MissingData{Image: i.Name, Bytes: i.Bytes, Bad: i.Bad, Sector: i.Sector})
		}
		if i.Left() {
			p.Held = append(p.Held, report.HeldCopy{Image: i.Name, Where: f.vault(i.Vault), Until: c.Deadline, Held: c.Held()})
		}
	}
	if c.Confirmed != nil {
		p.Confirmed, p.ConfirmedBy = c.Confirmed.At, c.Confirmed.How
	}
	return p, nil
}

// handedIn are the items of the case with what describes them, as it stands now.
func (f *custodyFacts) handedIn() []report.Item {
	var list []report.Item
	for _, i := range f.c.Items {
		list = append(list, report.Item{
			Number: i.Item, Kind: string(i.Kind), Bytes: i.Bytes, State: string(i.Condition), Seal: i.Seal, Place: i.Place,
			Maker: f.current(i.Ref, custody.FieldMaker), Model: f.current(i.Ref, custody.FieldModel), Serial: f.current(i.Ref, custody.FieldSerial),
			Condition: f.current(i.Ref, custody.FieldCondition), Accessories: f.current(i.Ref, custody.FieldAccessories), Fault: f.current(i.Ref, custody.FieldFault),
		})
	}
	return list
}

// current is a private text as the newest correction has it.
func (f *custodyFacts) current(ref custody.Ref, name string) report.Personal {
	if by, ok := f.c.Current(ref, name); ok {
		ref = by
	}
	return f.field(ref, name)
}

// frame is what stands around a paper, with whose copy it is. A customer's copy names
// the people of the shop by their number.
func (s *station) frame(ctx context.Context, number string, o reportOptions, language custody.Language) (report.Head, report.Foot, error) {
	head, err := s.head(ctx, number, language)
	if err != nil {
		return head, report.Foot{}, err
	}
	head.Copy = report.CopyFor(o.copyFor)
	head.Number = strings.TrimSuffix(head.Number+"-"+o.copyFor, "-")
	foot, err := s.foot(ctx)
	return head, foot, err
}
