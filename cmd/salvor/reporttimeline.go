package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
	"salvor/custody/opkey"
	"salvor/custody/report"
)

// timeline is the chain of custody: every event of the case, in causal order.
func (s *station) timeline(ctx context.Context, f *custodyFacts) ([]report.Step, error) {
	signers, err := s.operatorKeys(ctx)
	if err != nil {
		return nil, err
	}
	var list []report.Step
	for _, e := range f.events {
		step := f.step(e)
		if step.Asserted, err = s.asserted(ctx, e, signers[e.Op]); err != nil {
			return nil, err
		}
		list = append(list, step)
	}
	return list, nil
}

// operatorKeys are the keys that operators have ever registered, by operator.
func (s *station) operatorKeys(ctx context.Context) (map[string]note.Verifiers, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	signers := make(map[string]note.Verifiers)
	for _, op := range shop.Operators {
		var list []note.Verifier
		for _, k := range op.Keys {
			if key, err := opkey.Parse(k.Verifier); err == nil {
				list = append(list, key)
			}
		}
		if len(list) > 0 {
			signers[op.ID] = note.VerifierList(list...)
		}
	}
	return signers, nil
}

// asserted tells whether the station alone names the operator of an event: whether his
// own signature is not on it.
func (s *station) asserted(ctx context.Context, e custody.Event, keys note.Verifiers) (bool, error) {
	if keys == nil {
		return true, nil
	}
	msg, err := s.ledger.Note(ctx, e.Ref())
	if err != nil {
		return true, err
	}
	_, err = note.Open(msg, keys)
	var none *note.UnverifiedNoteError
	if errors.As(err, &none) {
		return true, nil
	}
	return false, err
}

// step is one event as the timeline shows it.
func (f *custodyFacts) step(e custody.Event) report.Step {
	step := report.Step{Time: e.TS.Time, Ref: e.Ref().String(), Event: string(e.Type()), Station: e.Station, Operator: f.who(e.Op)}
	if e.HasPrivate() && slices.Contains(custody.PrivateFields(e.Type()), custody.FieldReason) {
		step.Reason = f.current(e.Ref(), custody.FieldReason)
	}
	for _, part := range []func(*report.Step, custody.Payload) bool{f.itemStep, f.imageStep, f.givingStep, f.retentionStep, f.rightsStep} {
		if part(&step, e.Pub) {
			break
		}
	}
	switch {
	case e.Item == "":
	case strings.HasPrefix(step.Event, "medium.erase."):
		model, serial := f.current(e.Ref(), custody.FieldModel), f.current(e.Ref(), custody.FieldSerial)
		step.Detail = details(e.Item, model.Text, serial.Text, step.Detail)
	case step.Detail == "":
		step.Detail = e.Item
	}
	return step
}

// details writes ids, names and numbers one after the other.
func details(parts ...any) string {
	var said []string
	for _, p := range parts {
		text := fmt.Sprint(p)
		if at, ok := p.(custody.Time); ok {
			text = at.Format(time.DateOnly)
		}
		if text != "" {
			said = append(said, text)
		}
	}
	return strings.Join(said, ", ")
}

// itemStep fills in what happened to an item.
func (f *custodyFacts) itemStep(s *report.Step, pub custody.Payload) bool {
	switch p := pub.(type) {
	case custody.ItemReceived:
		s.Detail, s.Codes, s.Bytes, s.To, s.Place, s.Seal = p.Item, codes("item.", p.Kind), p.Bytes, s.Operator, p.Place, p.Seal
	case custody.Offered:
		s.From, s.To, s.Why, s.Looked = f.who(p.From), f.who(p.To), string(p.Reason), string(p.Seal)
	case custody.Accepted:
		s.From, s.To, s.Why, s.Looked, s.Place = f.who(p.From), f.who(p.To), string(p.Reason), string(p.Seal), p.Place
	case custody.PlaceChanged:
		s.Place = p.Place
	case custody.SealApplied:
		s.Seal = p.Seal
	case custody.SealChecked:
		s.Seal, s.Looked = p.Seal, string(p.State)
	case custody.SentExternal:
		s.To, s.Looked = f.processor(p.Processor), string(p.Seal)
		s.Codes = append(codes("service.", p.Service), codes("carrier.", p.Carrier)...)
	case custody.BackExternal:
		s.From, s.To, s.Looked, s.Place, s.Codes = f.processor(p.Processor), s.Operator, string(p.Seal), p.Place, codes("carrier.", p.Carrier)
	case custody.ItemReturned:
		s.Looked, s.Codes = string(p.Seal), append(codes("recipient.", p.To), codes("checked.", p.Checked)...)
	default:
		return false
	}
	return true
}

// codes names a code with its family; none for an empty one.
func codes[C ~string](family string, code C) []string {
	if code == "" {
		return nil
	}
	return []string{family + string(code)}
}

// imageStep fills in what happened to an image.
func (f *custodyFacts) imageStep(s *report.Step, pub custody.Payload) bool {
	switch p := pub.(type) {
	case custody.ImageStarted:
		s.Detail, s.Bytes = details(p.Image, f.vault(p.Vault)), p.Bytes
	case custody.KeyWrapped:
		s.Detail = details(p.Image, filepath.Base(p.File))
	case custody.ImagePaused:
		s.Detail, s.Bytes, s.Codes = p.Image, p.Rescued, codes("stop.", p.Why)
	case custody.ImageFailed:
		s.Detail, s.Bytes, s.Codes = p.Image, p.Rescued, codes("stop.", p.Why)
	case custody.ImageSealed:
		s.Detail, s.Bytes = p.Image, p.Rescued
	case custody.ImageReopened:
		s.Detail = p.Image
	case custody.ImageVerified:
		s.Detail, s.Codes = p.Image, append(codes("level.", p.Level), "audit.bad")
		if p.OK {
			s.Codes[1] = "audit.ok"
		}
	case custody.DataOpened:
		s.Detail, s.Codes = details(p.Image, p.Copy), append(codes("use.", p.Use), exported(p.Export)...)
	case custody.DataRestored:
		s.Detail, s.Codes, s.Bytes = details(p.Image, p.Copy), append(codes("where.", p.Target), exported(p.Export)...), p.Bytes
	case custody.DataExtracted:
		s.Detail, s.Codes, s.Bytes = details(p.Image, p.Copy), append(codes("where.", p.Target), exported(p.Export)...), p.Bytes
	default:
		return false
	}
	return true
}

// exported says what becomes of data that leave their image.
func exported(x custody.Export) (list []string) {
	for _, part := range []struct {
		is   bool
		code string
	}{{x.Removable, "export.removable"}, {x.Plain, "export.plain"}, {x.Handover, "export.handover"}} {
		if part.is {
			list = append(list, part.code)
		}
	}
	return list
}

// givingStep fills in what was agreed, given back, corrected and printed.
func (f *custodyFacts) givingStep(s *report.Step, pub custody.Payload) bool {
	switch p := pub.(type) {
	case custody.CaseOpened:
		s.Codes = codes("purpose.short.", p.Purpose)
	case custody.AgreementRecorded:
		s.Detail = p.Notice
	case custody.DataReturned:
		s.Detail, s.Bytes = details(p.Image, p.Copy), p.Bytes
		s.Codes = slices.Concat(codes("medium.", p.Medium), codes("recipient.", p.To), codes("checked.", p.Checked))
	case custody.CustomerConfirmed:
		s.Detail, s.Codes = details(p.Deadline), codes("confirmed.", p.How)
	case custody.EventCorrected:
		s.Corrects = p.Event.String()
	case custody.PaperPrinted:
		s.Detail, s.Codes = details(p.Format, p.Lang), []string{paperTerm(p.Kind)}
	default:
		return false
	}
	return true
}

// paperTerm is the key of what a paper is called.
func paperTerm(k custody.PaperKind) string {
	switch k {
	case custody.PaperLabel:
		return "app.label"
	case custody.PaperCustody:
		return "doc.custody_report"
	case custody.PaperAttest:
		return "doc.erasure_attest"
	case custody.PaperDue:
		return "doc.retention"
	case custody.PaperRegister:
		return "doc.register30"
	case custody.PaperAudit:
		return "chk.integrity"
	}
	return "doc." + string(k)
}

// retentionStep fills in deadlines, holds, erasing and destruction.
func (f *custodyFacts) retentionStep(s *report.Step, pub custody.Payload) bool {
	switch p := pub.(type) {
	case custody.DeadlineSet:
		s.Detail = details(p.Deadline)
	case custody.DeadlineShortened:
		s.Detail = details(p.Deadline)
	case custody.HoldAdded:
		s.Detail, s.Codes = details(p.Hold, p.Review), codes("hold.short.", p.Kind)
	case custody.HoldEnded:
		s.Detail = p.Hold
	case custody.PurgeProposed:
		s.Detail = details(strings.Join(p.Images, ", "), p.Deadline)
	case custody.PurgeValidated:
		s.Detail = p.Proposal
	case custody.EraseStarted:
		s.Detail = p.Image
	case custody.EraseFailed:
		s.Detail, s.Codes = p.Image, codes("step.", p.Step)
	case custody.EraseDone:
		s.Detail = details(p.Image, fmt.Sprintf("%s / %s", p.Keys, p.Media))
	case custody.EraseProved:
		s.Detail, s.Codes = details(p.Image, f.vault(p.Keystore), p.Media), []string{"proved.content"}
		if p.Step == custody.StepKeyDone {
			s.Codes[0] = "proved.keys"
			if slices.ContainsFunc(p.Copies, func(k custody.KeyDestroyed) bool { return !k.Proved }) {
				s.Codes[0] = "proved.keys_partly"
			}
		}
		if p.Virtual {
			s.Codes = append(s.Codes, "wiped.virtual")
		}
	case custody.ImageReturned:
		s.Detail, s.Codes = p.Image, []string{"returned.gone"}
		if p.Files+p.KeyFiles > 0 {
			s.Codes[0] = "returned.there"
		}
		if p.KeyFiles > 0 {
			s.Codes = append(s.Codes, "returned.keys")
		}
	case custody.AttestIssued:
		s.Detail = p.Attest
	case custody.CopyErased:
		s.Detail = details(p.Copy, p.Item, p.Media)
	case custody.MediumEraseStarted:
		s.Bytes = p.Bytes
	case custody.MediumEraseFailed:
		s.Codes = codes("step.", p.Step)
	case custody.MediumEraseDone:
		s.Detail, s.Bytes = string(p.Media), p.Bytes
		if p.Virtual {
			s.Codes = append(s.Codes, "wiped.virtual")
		}
		if p.Sanitized {
			s.Codes = append(s.Codes, "wiped.sanitized")
		}
	case custody.MediumDestroyed:
		s.Detail = details(p.Item, p.Image, p.Copy, p.Date)
		s.Codes = append(codes("copykind.", p.Kind), codes("destroy.", p.Method)...)
	default:
		return false
	}
	return true
}

// rightsStep fills in what was shown, requests and incidents.
func (f *custodyFacts) rightsStep(s *report.Step, pub custody.Payload) bool {
	switch p := pub.(type) {
	case custody.ContactShown:
		s.Codes = codes("shown.", p.What)
	case custody.RequestReceived:
		s.Detail, s.Codes = p.Request, codes("request.", p.Kind)
	case custody.RequestExtended:
		s.Detail, s.Codes = details(p.Request, p.Due), codes("extension.", p.Why)
	case custody.RequestAnswered:
		s.Detail, s.Codes = p.Request, codes("outcome.", p.Outcome)
	case custody.IncidentOpened:
		s.Detail, s.Codes = p.Incident, codes("incident.", p.Kind)
	case custody.IncidentAssessed:
		s.Detail, s.Codes = p.Incident, codes("risk.", p.Risk)
	case custody.IncidentControllerNotified:
		s.Detail, s.Codes = p.Incident, codes("delay.", p.Delay)
	case custody.IncidentAuthorityNotified:
		s.Detail, s.Codes = p.Incident, codes("delay.", p.Delay)
	case custody.IncidentSubjectsNotified:
		s.Detail = p.Incident
	case custody.IncidentClosed:
		s.Detail = p.Incident
	default:
		return false
	}
	return true
}
