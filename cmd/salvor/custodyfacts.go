package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/report"
)

// custodyPaper fills the custody report from the ledger.
func (s *station) custodyPaper(ctx context.Context, c custody.Case, format string, language custody.Language) ([][]byte, error) {
	f, err := s.newCustodyFacts(ctx, c)
	if err != nil {
		return nil, err
	}
	p := report.CustodyPaper{
		Case: string(c.No), Opened: c.Opened, Purpose: string(c.Purpose), Business: c.Business, Deadline: c.Deadline,
		State:    f.state(),
		Customer: f.field(f.opened(), custody.FieldCustomer), Ticket: f.field(f.opened(), custody.FieldTicket),
		Items: f.items(), Timeline: f.timeline(), Images: f.images(), Copies: f.copies(), Openings: f.openings(), Holds: f.holds(), Gaps: f.gaps(),
	}
	if p.Head, err = s.head(ctx, string(c.No)+"-custody", language); err != nil {
		return nil, err
	}
	if p.Foot, err = s.foot(ctx); err != nil {
		return nil, err
	}
	text, err := render(p, format)
	return [][]byte{text}, err
}

// custodyFacts joins a case's public events with its private parts for one paper.
type custodyFacts struct {
	c       custody.Case
	events  []custody.Event
	private map[custody.Ref]map[string]string
	erased  map[custody.Ref]custody.Event // by event: the private.erased that names it
	names   map[string]string
	vaults  map[string]string
}

func (s *station) newCustodyFacts(ctx context.Context, c custody.Case) (*custodyFacts, error) {
	f := &custodyFacts{c: c, erased: map[custody.Ref]custody.Event{}, vaults: map[string]string{}}
	var err error
	if f.events, err = s.ledger.Events(ctx, c.No); err != nil {
		return nil, err
	}
	if f.private, err = s.ledger.PrivateOfCase(ctx, c.No); err != nil {
		return nil, err
	}
	if f.names, err = s.operatorNames(ctx); err != nil {
		return nil, err
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range shop.Vaults {
		f.vaults[v.Vault] = v.Name
	}
	for _, e := range f.events {
		if p, ok := e.Pub.(custody.PrivateErased); ok {
			for _, ref := range p.Events {
				f.erased[ref] = e
			}
		}
	}
	return f, nil
}

// field is one private text: what it says, or when it was erased.
func (f *custodyFacts) field(ref custody.Ref, name string) report.Personal {
	if e, gone := f.erased[ref]; gone {
		return report.Erased(e.TS.Time)
	}
	return report.Said(f.private[ref][name])
}

func (f *custodyFacts) opened() custody.Ref {
	for _, e := range f.events {
		if e.Type() == custody.TypeCaseOpened {
			return e.Ref()
		}
	}
	return custody.Ref{}
}

func (f *custodyFacts) who(op string) string {
	if name, ok := f.names[op]; ok {
		return name
	}
	return op
}

func (f *custodyFacts) vault(id string) string {
	if name, ok := f.vaults[id]; ok {
		return name
	}
	return id
}

func (f *custodyFacts) state() string {
	switch {
	case !f.c.Closed.IsZero():
		return report.StateClosed
	case f.c.Erased():
		return report.StateErased
	}
	for _, i := range f.c.Images {
		if i.State == custody.ImageIsErasing {
			return report.StateErasing
		}
	}
	return report.StateOpen
}

func (f *custodyFacts) items() []report.Item {
	var list []report.Item
	for _, i := range f.c.Items {
		list = append(list, report.Item{
			Number: i.Item, Kind: string(i.Kind), Bytes: i.Bytes,
			Model: f.field(i.Ref, custody.FieldModel), Serial: f.field(i.Ref, custody.FieldSerial),
			Condition: f.field(i.Ref, custody.FieldCondition), Accessories: f.field(i.Ref, custody.FieldAccessories), Fault: f.field(i.Ref, custody.FieldFault),
		})
	}
	return list
}

func (f *custodyFacts) timeline() []report.Step {
	var list []report.Step
	for _, e := range f.events {
		step := report.Step{
			Time: e.TS.Time, Ref: e.Ref().String(), Event: string(e.Type()), Station: e.Station, Operator: f.who(e.Op),
			Asserted: true, Detail: f.detail(e),
		}
		if e.HasPrivate() {
			step.Reason = f.field(e.Ref(), custody.FieldReason)
		}
		list = append(list, step)
	}
	return list
}

// detail is an event's public facts in codes and numbers.
func (f *custodyFacts) detail(e custody.Event) string {
	switch p := e.Pub.(type) {
	case custody.CaseOpened:
		return string(p.Purpose)
	case custody.AgreementRecorded:
		return p.Notice
	case custody.ItemReceived:
		return fmt.Sprintf("%s, %s", p.Kind, ui.Size(p.Bytes))
	case custody.DeadlineSet:
		return fmt.Sprintf("%s (%s)", p.Deadline.Format("2006-01-02"), p.Keep)
	case custody.DeadlineShortened:
		return p.Deadline.Format("2006-01-02")
	case custody.ImageStarted:
		return fmt.Sprintf("%s, %s", p.Image, f.vault(p.Vault))
	case custody.KeyWrapped:
		return fmt.Sprintf("%s, %s", p.Image, filepath.Base(p.File))
	case custody.ImagePaused:
		return fmt.Sprintf("%s, %s, %s", p.Image, ui.Size(p.Rescued), p.Why)
	case custody.ImageFailed:
		return fmt.Sprintf("%s, %s, %s", p.Image, ui.Size(p.Rescued), p.Why)
	case custody.ImageSealed:
		return fmt.Sprintf("%s, %s", p.Image, ui.Size(p.Rescued))
	case custody.ImageVerified:
		return fmt.Sprintf("%s, %s, ok=%t", p.Image, p.Level, p.OK)
	case custody.DataOpened:
		return fmt.Sprintf("%s, %s", p.Image, p.Use)
	case custody.DataRestored:
		return fmt.Sprintf("%s, %s, %s", p.Image, p.Target, ui.Size(p.Bytes))
	case custody.HoldAdded:
		return fmt.Sprintf("%s, %s, %s", p.Hold, p.Kind, p.Review)
	case custody.HoldEnded:
		return p.Hold
	case custody.EraseStarted:
		return p.Image
	case custody.EraseFailed:
		return fmt.Sprintf("%s, %s", p.Image, p.Step)
	case custody.EraseDone:
		return fmt.Sprintf("%s, %s / %s", p.Image, p.Keys, p.Media)
	case custody.AttestIssued:
		return p.Attest
	case custody.PaperPrinted:
		return fmt.Sprintf("%s, %s, %s", p.Kind, p.Format, p.Lang)
	}
	return ""
}

func (f *custodyFacts) images() []report.Image {
	var list []report.Image
	for _, i := range f.c.Images {
		r := report.Image{
			Name: i.Name, Item: i.Item, UUID: strings.ReplaceAll(i.UUID.String(), "-", ""), Bytes: i.Bytes, Sector: i.Sector,
			Rescued: i.Rescued, Bad: i.Bad, Untried: i.Untried, Started: i.At, Sealed: i.Sealed, State: string(i.State),
		}
		if i.Seal != nil {
			r.Root, r.Rescued, r.Bad = i.Seal.Root.String(), i.Seal.Rescued, i.Seal.Bad
		}
		for _, check := range f.c.Checks {
			if check.Image != i.Name {
				continue
			}
			r.Verified = append(r.Verified, report.Verification{Time: check.At, Level: string(check.Level), OK: check.OK})
			if sha := f.field(check.Ref, custody.FieldSHA256); sha != (report.Personal{}) && check.Level == custody.VerifyDeep {
				r.SHA256 = sha
			}
		}
		list = append(list, r)
	}
	return list
}

func (f *custodyFacts) copies() []report.Copy {
	var list []report.Copy
	for _, i := range f.c.Images {
		image := report.Copy{Where: f.vault(i.Vault), Holds: i.Name, Made: i.At, Encrypted: true, ErasedOn: i.Erased}
		if i.Seal != nil {
			image.Bytes = i.Seal.Stored
		}
		for _, check := range f.c.Checks {
			if check.Image == i.Name && check.OK {
				image.Verified = check.At
			}
		}
		if i.Erase != nil && !i.Erased.IsZero() {
			image.How, image.Attest = fmt.Sprintf("%s / %s", i.Erase.Keys, i.Erase.Media), i.EraseJob
		}
		list = append(list, image)
		for _, k := range i.Keys {
			list = append(list, report.Copy{
				Where: f.vault(k.Keystore), Holds: i.Name, Key: filepath.Base(k.File), Made: k.At, Encrypted: true,
				ErasedOn: i.Erased, How: image.How, Attest: image.Attest,
			})
		}
	}
	for _, r := range f.c.Restores {
		list = append(list, report.Copy{Where: string(r.Target), Holds: r.Image, Made: r.At, Bytes: r.Bytes, Out: true})
	}
	return list
}

func (f *custodyFacts) openings() []report.Opening {
	var list []report.Opening
	for _, o := range f.c.Openings {
		list = append(list, report.Opening{
			Time: o.At, Image: o.Image, Use: string(o.Use), Reason: f.field(o.Ref, custody.FieldReason), Operator: f.who(o.Op), Station: o.Ref.Station,
		})
	}
	return list
}

func (f *custodyFacts) holds() []report.Hold {
	var list []report.Hold
	for _, h := range f.c.Holds {
		list = append(list, report.Hold{
			ID: h.ID, Kind: string(h.Kind), Reason: f.field(h.Ref, custody.FieldReason), From: h.Added, Review: string(h.Review), Ended: h.Ended, Operator: f.who(h.By),
		})
	}
	return list
}

// gaps are what the record does not tell, or tells badly.
func (f *custodyFacts) gaps() []report.Gap {
	// Who handed the item to whom is not recorded yet: say so rather than look complete.
	list := []report.Gap{{Code: "no-transfers"}}
	for _, x := range f.c.Exceptions {
		list = append(list, report.Gap{Code: string(x.Kind), Words: "event " + x.Ref.String()})
	}
	for _, i := range f.c.Images {
		if i.Seal == nil && i.Left() {
			list = append(list, report.Gap{Time: i.At, Code: "no-seal", Words: i.Name + " was never sealed"})
		}
	}
	return list
}
