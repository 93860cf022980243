package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
)

// attesting fills the attests of one case, or of the shop itself.
type attesting struct {
	*station
	c     custody.Case // zero for the shop
	known note.Verifiers
	facts *custodyFacts
	copy  report.CopyFor
	lang  custody.Language
	foot  report.Foot
}

// attestPapers fills the attests of a case: of its erased images, of whole disks, and
// of media that were destroyed. Without a case those of the shop's own media.
func (s *station) attestPapers(ctx context.Context, c custody.Case, o reportOptions, language custody.Language) ([]report.Paper, error) {
	a := attesting{station: s, c: c, copy: report.CopyFor(o.copyFor), lang: language}
	about := "attest of " + string(c.No)
	switch {
	case c.No == "" && o.image != "":
		return nil, usage("report", "--image needs the number of the case", "salvor report attest CASE --image NAME")
	case c.No == "":
		about, a.copy = "attest of the shop's own media", report.CopyAnyone
	case o.image != "":
		if _, err := pick(c, o.image); err != nil {
			return nil, err
		}
	}
	var err error
	if a.facts, err = s.newCustodyFacts(ctx, c); err != nil {
		return nil, err
	}
	a.facts.copyFor = a.copy
	if a.known, err = s.verifiers(ctx); err != nil {
		return nil, err
	}
	if a.foot, err = s.foot(ctx); err != nil {
		return nil, err
	}
	records, err := s.ledger.Attests(ctx, c.No)
	if err != nil {
		return nil, err
	}
	var papers []report.Paper
	for _, r := range records {
		// A statement on an image of which no event knows: the run that signed it was
		// killed, and goes on.
		if o.image != "" && r.Image != o.image || o.id != "" && !strings.EqualFold(r.ID, o.id) || r.Image != "" && !issued(c, r) {
			continue
		}
		p, err := a.paper(ctx, r)
		if err != nil {
			return nil, err
		}
		papers = append(papers, p)
	}
	for _, d := range a.facts.destroyed {
		if o.image != "" && d.Image != o.image || o.id != "" && d.Ref.String() != o.id {
			continue
		}
		p, err := a.destruction(ctx, d)
		if err != nil {
			return nil, err
		}
		papers = append(papers, p)
	}
	if len(papers) == 0 {
		return nil, &ui.Error{Code: ui.NotFound, What: about, Why: "there is none: nothing of it was erased or destroyed yet", Hint: "salvor due; salvor purge"}
	}
	return papers, nil
}

// paper fills one stored attest.
func (a attesting) paper(ctx context.Context, r ledger.AttestRecord) (report.Paper, error) {
	fault := func(err error) error {
		return &ui.Error{Code: ui.VerifyFailed, What: "attest " + r.ID, Why: "the stored statement is not what was signed", Hint: "salvor audit", Err: err}
	}
	sum := sha256.Sum256(r.Note)
	hash := hex.EncodeToString(sum[:])
	names := a.facts.names
	if a.copy == report.CopyCustomer {
		names = nil
	}
	if r.Image == "" {
		statement, n, err := report.OpenDeviceAttest(r.Note, a.known)
		if err != nil {
			return nil, fault(err)
		}
		head, err := a.head(ctx, numbered(a.c.No, statement.Device.Name, "attest"), a.copy, a.lang)
		return report.DeviceAttestPaper{Head: head, Attest: statement, Signer: n.Sigs[0].Name, SHA256: hash, Note: string(r.Note), Names: names, Foot: a.foot}, err
	}
	statement, n, err := report.OpenAttest(r.Note, a.known)
	if err != nil {
		return nil, fault(err)
	}
	head, err := a.head(ctx, numbered(a.c.No, r.Image, "attest"), a.copy, a.lang)
	return report.AttestPaper{Head: head, Attest: statement, Signer: n.Sigs[0].Name, SHA256: hash, Note: string(r.Note), Names: names, Foot: a.foot}, err
}

// issued tells whether the ledger's events know the attest by its hash.
func issued(c custody.Case, record ledger.AttestRecord) bool {
	for _, a := range c.Attests {
		if a.Attest == record.ID && a.SHA256 == custody.Hash(sha256.Sum256(record.Note)) {
			return true
		}
	}
	return false
}

// destruction fills the attest of a destroyed medium. It rests on the event alone:
// salvor did not see what was done.
func (a attesting) destruction(ctx context.Context, d custody.Destruction) (report.Paper, error) {
	f := a.facts
	p := report.DestructionPaper{
		Case: string(a.c.No), Kind: d.Kind, Item: d.Item, Image: d.Image, Method: d.Method, Date: d.Date, Ref: d.Ref.String(),
		Model: f.current(d.Ref, custody.FieldModel), Serial: f.current(d.Ref, custody.FieldSerial), Reason: f.current(d.Ref, custody.FieldReason),
		Recycler: f.field(d.Ref, custody.FieldRecycler), Reference: f.field(d.Ref, custody.FieldReference),
		PerformedBy: f.who(d.Op), Witness: f.who(d.Witness), Foot: a.foot,
	}
	if d.Store != "" {
		p.Store = f.vault(d.Store)
	}
	if p.Recycler == (report.Personal{}) && d.Processor != "" {
		p.Recycler = report.Said(f.processor(d.Processor))
	}
	if it, ok := a.c.Item(d.Item); ok && p.Model == (report.Personal{}) && p.Serial == (report.Personal{}) {
		p.Model, p.Serial = f.current(it.Ref, custody.FieldModel), f.current(it.Ref, custody.FieldSerial)
	}
	var err error
	p.Head, err = a.head(ctx, numbered(a.c.No, strings.ReplaceAll(p.Ref, "/", "-"), "destroyed"), a.copy, a.lang)
	return p, err
}
