package main

import (
	"context"

	"salvor/custody"
	"salvor/custody/report"
)

// intakePaper fills what a customer signs at the desk.
func (s *station) intakePaper(ctx context.Context, c custody.Case, o reportOptions, language custody.Language) (report.Paper, error) {
	f, err := s.newCustodyFacts(ctx, c)
	if err != nil {
		return nil, err
	}
	f.copyFor = report.CopyFor(o.copyFor)
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
	if f.copyFor == report.CopyCustomer {
		p.Ticket = report.Personal{}
		if p.Code, err = s.receiptCode(ctx, c.No); err != nil {
			return nil, err
		}
	}
	p.Head, p.Foot, err = s.frame(ctx, numbered(c.No, custody.PaperIntake), f.copyFor, language)
	return p, err
}

// handoverPaper fills what a customer signs when he gets his things back.
func (s *station) handoverPaper(ctx context.Context, c custody.Case, o reportOptions, language custody.Language) (report.Paper, error) {
	f, err := s.newCustodyFacts(ctx, c)
	if err != nil {
		return nil, err
	}
	f.copyFor = report.CopyFor(o.copyFor)
	p := report.HandoverPaper{Case: string(c.No), Images: int64(len(c.Images)), Customer: f.current(f.opened(), custody.FieldCustomer)}
	if p.Head, p.Foot, err = s.frame(ctx, numbered(c.No, custody.PaperHandover), f.copyFor, language); err != nil {
		return nil, err
	}
	p.By = p.PrintedBy
	for _, r := range c.Returns {
		written, _ := c.Export(r.Copy)
		p.At, p.By, p.To, p.Checked, p.Receiver = r.At, f.who(r.Op), r.To, r.Checked, f.current(r.Ref, custody.FieldRecipient)
		p.Data = append(p.Data, report.ReturnedData{
			Time: r.At, Image: r.Image, Medium: r.Medium, Model: f.current(r.Ref, custody.FieldModel), Serial: f.current(r.Ref, custody.FieldSerial),
			Files: r.Files, Bytes: r.Bytes, SHA256: f.field(r.Ref, custody.FieldSHA256), Verified: r.Verified,
			Plain: written.Export.Plain,
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
		if unfinished := i.Seal == nil; i.Bad > 0 || unfinished {
			p.Missing = append(p.Missing, report.MissingData{
				Image: i.Name, Bytes: i.Bytes, Bad: i.Bad, Sector: i.Sector, Unfinished: unfinished, Untried: i.Untried,
			})
		}
		if i.Remains() {
			p.Held = append(p.Held, report.HeldCopy{Image: i.Name, Where: f.vault(i.Vault), Until: c.Deadline, Held: c.Held()})
		}
	}
	for _, x := range f.copies() {
		switch {
		case !x.Out || x.ID == "" || !x.ErasedOn.IsZero() || x.Fate != "":
		case x.Handover:
			p.Ready = append(p.Ready, x)
		default:
			p.Held = append(p.Held, report.HeldCopy{Image: x.Holds, Out: x.ID})
		}
	}
	if c.Confirmed != nil {
		p.Confirmed, p.ConfirmedBy = c.Confirmed.At, c.Confirmed.How
	}
	return p, nil
}
