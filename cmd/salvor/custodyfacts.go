package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/report"
	"salvor/rescue/picture"
)

// custodyPaper fills the custody report from the ledger.
func (s *station) custodyPaper(ctx context.Context, c custody.Case, o reportOptions, language custody.Language) (report.Paper, error) {
	f, err := s.newCustodyFacts(ctx, c)
	if err != nil {
		return nil, err
	}
	f.copyFor = report.CopyFor(o.copyFor)
	p := report.CustodyPaper{
		Case: string(c.No), Opened: c.Opened, Purpose: string(c.Purpose), Business: c.Business, Deadline: c.Deadline,
		State:    f.state(),
		Customer: f.current(f.opened(), custody.FieldCustomer), Ticket: f.current(f.opened(), custody.FieldTicket),
		Items: f.items(), Images: f.images(), Copies: f.copies(), Openings: f.openings(), Holds: f.holds(), Gaps: f.gaps(),
	}
	if f.copyFor == report.CopyCustomer {
		p.Ticket = report.Personal{}
	}
	if p.Timeline, err = s.timeline(ctx, f); err != nil {
		return nil, err
	}
	maps := s.newMapReader()
	defer maps.close()
	for n := range p.Images {
		maps.picture(ctx, c, &p.Images[n])
	}
	p.Head, p.Foot, err = s.frame(ctx, numbered(c.No, custody.PaperCustody), f.copyFor, language)
	return p, err
}

// custodyFacts joins a case's public events with its private parts for one paper.
type custodyFacts struct {
	c          custody.Case
	copyFor    report.CopyFor
	events     []custody.Event
	destroyed  []custody.Destruction
	private    map[custody.Ref]map[string]string
	erased     map[custody.Ref]custody.Event // by event: the private.erased that names it
	names      map[string]string             // of operators, by id
	vaults     map[string]string
	processors map[string]string
	others     bool // the shop has more stations than this one
}

// newCustodyFacts collects what is known of a case, or for the zero case of the shop
// itself.
func (s *station) newCustodyFacts(ctx context.Context, c custody.Case) (*custodyFacts, error) {
	f := &custodyFacts{
		c: c, destroyed: c.Destroyed, erased: map[custody.Ref]custody.Event{}, vaults: map[string]string{}, processors: map[string]string{},
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	if f.events, err = s.ledger.Events(ctx, c.No); err != nil {
		return nil, err
	}
	if c.No != "" {
		f.private, err = s.ledger.PrivateOfCase(ctx, c.No)
	} else {
		f.destroyed = shop.Destroyed
		f.private, err = s.privateOf(ctx, shop.Destroyed)
	}
	if err != nil {
		return nil, err
	}
	if f.names, err = s.operatorNames(ctx); err != nil {
		return nil, err
	}
	for _, v := range shop.Vaults {
		f.vaults[v.Vault] = v.Name
	}
	f.others = len(shop.Stations) > 1
	for _, p := range shop.Processors {
		fields, err := s.ledger.Private(ctx, p.Newest().Ref)
		if err != nil {
			return nil, err
		}
		f.processors[p.ID] = fields[custody.FieldName]
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

// privateOf reads the private parts of destructions.
func (s *station) privateOf(ctx context.Context, list []custody.Destruction) (map[custody.Ref]map[string]string, error) {
	parts := make(map[custody.Ref]map[string]string)
	for _, d := range list {
		fields, err := s.ledger.Private(ctx, d.Ref)
		if err != nil {
			return nil, err
		}
		parts[d.Ref] = fields
	}
	return parts, nil
}

// field is one private text: what it says, or when it was erased.
func (f *custodyFacts) field(ref custody.Ref, name string) report.Personal {
	if e, gone := f.erased[ref]; gone {
		return report.Erased(e.TS.Time)
	}
	return report.Said(f.private[ref][name])
}

// current is a private text as the newest correction has it.
func (f *custodyFacts) current(ref custody.Ref, name string) report.Personal {
	if by, ok := f.c.Current(ref, name); ok {
		ref = by
	}
	return f.field(ref, name)
}

func (f *custodyFacts) opened() custody.Ref {
	for _, e := range f.events {
		if e.Type() == custody.TypeCaseOpened {
			return e.Ref()
		}
	}
	return custody.Ref{}
}

// who names an operator as the reader of this copy may know him.
func (f *custodyFacts) who(op string) string {
	return report.Head{Copy: f.copyFor}.Staff(op, f.names[op])
}

// nameIn is the name that a register has for an id, or the id.
func nameIn(register map[string]string, id string) string {
	if name := register[id]; name != "" {
		return name
	}
	return id
}

func (f *custodyFacts) vault(id string) string { return nameIn(f.vaults, id) }

func (f *custodyFacts) processor(id string) string { return nameIn(f.processors, id) }

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

// items are the items with who has them in hand now.
func (f *custodyFacts) items() []report.Item {
	list := f.handedIn()
	for n, i := range f.c.Items {
		h := report.Hands{State: i.State, Since: i.Since}
		switch {
		case i.State == custody.ItemIsHere && i.Custodian != "":
			h.Who = f.who(i.Custodian)
		case i.State == custody.ItemIsOut:
			h.Who = f.processor(i.Processor)
		}
		list[n].Hands = h
	}
	return list
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

// The picture of an image: four lines of cells across a page.
const (
	paperColumns = 60
	paperRows    = 4
)

// picture adds the picture of what was rescued, as the vault has it. A paper without
// it is a paper all the same, and says why.
func (r mapReader) picture(ctx context.Context, c custody.Case, to *report.Image) {
	i, ok := c.Image(to.Name)
	if !ok || !i.Left() || i.State == custody.ImageIsErasing {
		return
	}
	m, err := r.read(ctx, c.No, i)
	if err != nil {
		to.NoMap = report.NoMapFault
		if ui.ExitCode(explain(err)) == ui.Absent {
			to.NoMap = report.NoMapAbsent
		}
		return
	}
	to.Map = &report.MapPicture{}
	for _, cell := range picture.New(m.m, paperColumns, paperRows).Cells {
		to.Map.Cells = append(to.Map.Cells, report.MapCell{Rescued: cell.Rescued, Untried: cell.Untried, Failed: cell.Failed, Bad: cell.Bad})
	}
}

// copies are all copies of the data and of the keys to them there ever were.
func (f *custodyFacts) copies() []report.Copy {
	var list []report.Copy
	for _, x := range f.c.Inventory() {
		r := report.Copy{Holds: x.Image, Made: x.At, Bytes: x.Bytes, Encrypted: x.Encrypted}
		i, _ := f.c.Image(x.Image)
		switch x.Kind {
		case custody.CopyImage:
			r.Where, r.Back = f.vault(x.Store), x.Name != x.Image
			for _, check := range f.c.Checks {
				if check.Image == x.Image && check.OK {
					r.Verified = check.At
				}
			}
		case custody.CopyKey:
			r.Where, r.Key = f.vault(x.Store), filepath.Base(x.Name)
		case custody.CopyExport:
			export, _ := f.c.Export(x.Name)
			r.Where, r.Out = string(export.Target), true
			r.ID, r.Removable, r.Handover, r.Begun = export.Export.Copy, export.Export.Removable, export.Export.Handover, export.Begun
		}
		switch {
		case x.End.Open():
		case x.End.Fate == custody.CopyIsErased:
			r.ErasedOn = x.End.At
			if i.Erase != nil && x.Kind != custody.CopyExport && x.End.Ref == i.EraseRef {
				r.How, r.Attest = fmt.Sprintf("%s / %s", i.Erase.Keys, i.Erase.Media), i.EraseJob
			}
			for _, b := range i.Returns {
				if b.Erase != nil && x.End.Ref == b.End.Ref {
					r.How = fmt.Sprintf("%s / %s", b.Erase.Keys, b.Erase.Media)
				}
			}
			for _, e := range f.c.Erasures {
				if x.Kind == custody.CopyExport && e.Copy == x.Name {
					r.How = string(e.Media)
				}
			}
		default:
			r.Fate, r.Ended = string(x.End.Fate), x.End.At
		}
		list = append(list, r)
	}
	return list
}

func (f *custodyFacts) openings() []report.Opening {
	var list []report.Opening
	for _, o := range f.c.Openings {
		list = append(list, report.Opening{
			Time: o.At, Image: o.Image, Use: string(o.Use), Reason: f.current(o.Ref, custody.FieldReason), Operator: f.who(o.Op), Station: o.Ref.Station,
		})
	}
	return list
}

func (f *custodyFacts) holds() []report.Hold {
	var list []report.Hold
	for _, h := range f.c.Holds {
		list = append(list, report.Hold{
			ID: h.ID, Kind: string(h.Kind), Reason: f.current(h.Ref, custody.FieldReason), From: h.Added, Review: string(h.Review), Ended: h.Ended, Operator: f.who(h.By),
		})
	}
	return list
}

// gaps are what the record does not tell, or tells badly.
func (f *custodyFacts) gaps() []report.Gap {
	var list []report.Gap
	if slices.ContainsFunc(f.c.Items, func(i custody.Item) bool { return i.Kind == "" }) {
		list = append(list, report.Gap{Code: "no-transfers"}) // its receipt has not arrived
	}
	for _, x := range f.c.Exceptions {
		list = append(list, report.Gap{Code: string(x.Kind), Words: "event " + x.Ref.String()})
	}
	for _, i := range f.c.Images {
		if i.Seal == nil && i.Left() {
			list = append(list, report.Gap{Time: i.At, Code: "no-seal", Words: i.Name + " was never sealed"})
		}
	}
	if f.others { // that a ledger is complete says nothing of what has not come into it
		list = append(list, report.Gap{Code: "other-stations"})
	}
	return list
}
