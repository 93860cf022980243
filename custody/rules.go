package custody

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// The refusals. Each is a rule of the shop's duties; a command decides by
// errors.Is what to tell the operator.
var (
	ErrNotOpened    = errors.New("the case was never opened")
	ErrOpenedTwice  = errors.New("the case is open already")
	ErrClosed       = errors.New("the case is closed")
	ErrNoAgreement  = errors.New("the customer's agreement is not recorded")
	ErrNoDeadline   = errors.New("the case has no deadline")
	ErrLater        = errors.New("a deadline never moves later")
	ErrHeld         = errors.New("a hold blocks erasing")
	ErrNotDue       = errors.New("the deadline has not come")
	ErrNoReason     = errors.New("a reason is needed")
	ErrErased       = errors.New("the image is erased")
	ErrErasing      = errors.New("the image is being erased")
	ErrNotErased    = errors.New("the image is not erased")
	ErrNothingLeft  = errors.New("every copy of the case is erased")
	ErrSealed       = errors.New("the image is sealed")
	ErrNotSealed    = errors.New("the image is not sealed")
	ErrNoImage      = errors.New("the case has no such image")
	ErrImageExists  = errors.New("the case has that image already")
	ErrNoHold       = errors.New("the case has no such active hold")
	ErrHoldExists   = errors.New("the case has that hold already")
	ErrReviewLate   = errors.New("a hold is looked at again within one year")
	ErrOpenCopies   = errors.New("a copy is neither returned nor erased")
	ErrNoJob        = errors.New("no erasing with that job was begun")
	ErrOperator     = errors.New("the operator is not registered")
	ErrNotAgreed    = errors.New("the operator has not signed the data-protection agreement")
	ErrOperatorLeft = errors.New("the operator has ended")
	ErrPurgeOnly    = errors.New("the purge job may only purge")
)

// Allow says whether the event may happen now, given the shop and, for an
// event of a case, the case as it was just before. The reason field of the
// private part comes beside it, since the event holds only its commitment.
//
// Two kinds of events are told apart. Those that permit an act (opening a
// case, starting an image, a hold, an erasing) are refused when a rule forbids
// the act. Those that report what has happened (a pause, a failure, an erasing
// that is done) are never refused for the sake of the operator or the state:
// a fact that cannot be recorded is a fact that is lost.
func Allow(s Shop, c Case, e Event, private map[string]string) error {
	if e.Case == "" {
		return allowShop(s, e, private)
	}
	if err := s.mayAct(e); err != nil {
		return err
	}
	return allowCase(s, c, e, private)
}

// mayAct applies the rules about operators to an event that permits an act in
// a case.
func (s Shop) mayAct(e Event) error {
	if reports(e.Type()) {
		return nil
	}
	o, ok := s.Operator(e.Op)
	if !ok || o.Kind == "" {
		return ErrOperator
	}
	if err := o.MayAct(s.local(e.TS.Time), e.Type()); err != nil {
		return err
	}
	_, err := s.MustSign(e.Op, e.TS.Time)
	return err
}

// MayAct says whether the operator may do at now what an event of type t
// permits: a person needs the signed agreement, nobody acts after his end, and
// the purge job only purges. The day of the end itself is still allowed; it is
// that of now's own zone.
func (o Operator) MayAct(now time.Time, t Type) error {
	today := DateOf(now, now.Location())
	switch {
	case o.Kind == "":
		return ErrOperator
	case o.Ended != "" && today > o.Ended:
		return ErrOperatorLeft
	case o.Kind == OperatorPurge:
		if !oneOf(t, TypeEraseStarted, TypePrivateErased, TypeCaseClosed, TypePurgeProposed) {
			return ErrPurgeOnly
		}
	case o.Agreed == "":
		return ErrNotAgreed
	}
	return nil
}

// reports holds for the types that record what has happened and do not permit
// anything.
func reports(t Type) bool {
	switch t {
	case TypeImagePaused, TypeImageFailed, TypeImageSealed, TypeImageVerified, TypeDataRestored,
		TypeEraseFailed, TypeEraseProved, TypeEraseDone, TypeImageReturned, TypeAttestIssued, TypePaperPrinted, TypeMediumEraseFailed, TypeMediumEraseDone,
		TypeDataExtracted, TypeBackExternal, TypeSealChecked, TypeCopyErased, TypeRequestReceived, TypeIncidentOpened,
		TypeIncidentAssessed, TypeIncidentControllerNotified, TypeIncidentAuthorityNotified, TypeIncidentSubjectsNotified:
		return true
	}
	return false
}

func allowShop(s Shop, e Event, private map[string]string) error {
	o, known := s.Operator(e.Op)
	if known && o.Ended != "" && s.day(e.TS.Time) > o.Ended {
		return ErrOperatorLeft
	}
	switch p := e.Pub.(type) {
	case ShopCreated:
		if s.ID != "" {
			return fmt.Errorf("shop: %w", ErrExists)
		}
	case StationEnrolled:
		for _, x := range s.Stations {
			if x.Station == p.Station {
				return fmt.Errorf("station: %w", ErrExists)
			}
		}
	case KeyAdded:
		if _, ok := s.Key(p.Key); ok {
			return fmt.Errorf("key: %w", ErrExists)
		}
	case VaultAdded:
		for _, v := range s.Vaults {
			if v.Vault == p.Vault || v.Name == p.Name {
				return fmt.Errorf("vault: %w", ErrExists)
			}
		}
	case OperatorAdded:
		if o, ok := s.Operator(p.Op); ok && o.Kind != "" {
			return fmt.Errorf("operator: %w", ErrExists)
		}
	case OperatorAgreed:
		return s.hasOperator(p.Op)
	case OperatorTrained:
		return s.hasOperator(p.Op)
	case OperatorEnded:
		return s.hasOperator(p.Op)
	default:
		return allowDuties(s, registers{s.Requests, s.Incidents}, e, private)
	}
	return nil
}

// ErrExists is returned for a second shop, station, key, vault or operator
// with the same id, and for a second vault with the same name.
var ErrExists = errors.New("exists already")

func (s Shop) hasOperator(id string) error {
	if o, ok := s.Operator(id); !ok || o.Kind == "" {
		return ErrOperator
	}
	return nil
}

func allowCase(s Shop, c Case, e Event, private map[string]string) error {
	if p, ok := e.Pub.(CaseOpened); ok {
		if !c.Opened.IsZero() {
			return ErrOpenedTwice
		}
		return mayOpenCase(p, private)
	}
	if c.Opened.IsZero() {
		return ErrNotOpened
	}
	switch p := e.Pub.(type) {
	case CaseClosed:
		return c.MayClose()
	case DeadlineSet:
		if err := c.mayDeadline(e.TS.Time, p.Deadline.Time); err != nil {
			return err
		}
		// Longer than the shop's default is for a reason.
		if usual := s.today(e).Keep.From(e.TS.Time, s.local(e.TS.Time).Location()); p.Deadline.After(usual) && private[FieldReason] == "" {
			return ErrNoReason
		}
	case DeadlineShortened:
		return c.mayShorten(s.today(e), s.local(e.TS.Time), p.Deadline.Time)
	case HoldAdded:
		for _, h := range c.Holds {
			if h.ID == p.Hold {
				return ErrHoldExists
			}
		}
		if p.Review > MaxReview(s.local(e.TS.Time)) {
			return ErrReviewLate
		}
	case HoldEnded:
		for _, h := range c.Holds {
			if h.ID == p.Hold && h.Active() {
				return nil
			}
		}
		return ErrNoHold
	case ImageStarted:
		if _, ok := c.Image(p.Image); ok {
			return ErrImageExists
		}
		return c.MayImage()
	case KeyWrapped:
		return c.mayWrite(p.Image)
	case ImageReopened:
		return c.mayReopen(p.Image)
	case ImagePaused, ImageFailed, ImageSealed, ImageVerified, DataRestored, DataExtracted:
		return c.hasImage(e.Pub)
	case DataOpened:
		if private[FieldReason] == "" {
			return ErrNoReason
		}
		if !mayCarry(p.Export) {
			return ErrPlainCopy
		}
		return c.MayOpen(p.Image)
	case EraseStarted:
		if p.Early && private[FieldReason] == "" {
			return ErrNoReason
		}
		return s.MayErase(c, p.Image, e.Op, e.TS.Time, p.Early)
	case PrivateErased:
		if c.Held() {
			return ErrHeld
		}
	case EraseFailed:
		return c.erasing(p.Image, p.Job)
	case EraseDone:
		return c.ending(p)
	case EraseProved:
		return c.hasImage(e.Pub)
	case ImageReturned:
		return c.mayReturn(p.Image)
	case MediumEraseStarted:
		return c.mayWipe(e.Item, p.Job, private)
	case MediumEraseFailed:
		return wiping(c.Wipes, p.Job)
	case MediumEraseDone:
		return wiping(c.Wipes, p.Job)
	case DataReturned, CustomerConfirmed, CopyErased, MediumDestroyed, PurgeProposed, PurgeValidated:
		return allowEnd(s, c, e, private)
	case ItemReceived, Offered, Accepted, PlaceChanged, SealApplied, SealChecked, SentExternal, BackExternal, ItemReturned:
		return allowItem(s, c, e, private)
	default:
		return allowDuties(s, registers{c.Requests, c.Incidents}, e, private)
	}
	return nil
}

// today returns what the shop's rules say on the day of an event.
func (s Shop) today(e Event) Policy { return s.Policy(s.day(e.TS.Time)) }

// MayImage says whether an image of this case may be begun: the customer has
// agreed, a deadline is set, and the case is open.
func (c Case) MayImage() error {
	switch {
	case c.Opened.IsZero():
		return ErrNotOpened
	case !c.Closed.IsZero():
		return ErrClosed
	case c.Agreement == nil:
		return ErrNoAgreement
	case c.Deadline.IsZero():
		return ErrNoDeadline
	}
	return nil
}

// MayErase says whether the image may be erased at now: it is there, no hold
// is active, and the deadline has come unless early is set. An erasing that
// was begun may be begun again by another job, also before the deadline: its
// keys may be gone, and nothing is won by keeping the rest. What was erased and came
// back may be erased again at any time, unless a hold blocks it.
func (c Case) MayErase(image string, now time.Time, early bool) error {
	i, ok := c.Image(image)
	switch {
	case !ok:
		return ErrNoImage
	case i.State == ImageIsErased && !i.Remains():
		return ErrErased
	case i.Destroyed != nil:
		return ErrDestroyed
	case c.Held():
		return ErrHeld
	case i.State == ImageIsErased:
	case !early && i.State != ImageIsErasing && !c.Due(now):
		return ErrNotDue
	}
	return nil
}

// MayOpen says whether the image's data may be opened.
func (c Case) MayOpen(image string) error {
	i, ok := c.Image(image)
	switch {
	case !ok:
		return ErrNoImage
	case i.State == ImageIsErased:
		return ErrErased
	case i.Destroyed != nil:
		return ErrDestroyed
	case i.State == ImageIsErasing:
		return ErrErasing
	}
	return nil
}

// MayClose says whether the case may be closed: no hold is active, every copy
// of the data and every item is returned, erased or destroyed, and nobody was
// offered an item who has not taken it.
func (c Case) MayClose() error {
	switch {
	case !c.Closed.IsZero():
		return ErrClosed
	case c.Held():
		return ErrHeld
	case len(c.Open()) > 0:
		return ErrOpenCopies
	}
	for _, i := range c.Items {
		switch {
		case len(i.Offers) > 0:
			return ErrOpenOffer
		case i.State == ItemIsDisputed:
			return ErrDisputed
		case !i.Ended():
			return ErrOpenItems
		}
	}
	return nil
}

// mayWrite says whether another session may write to the image.
func (c Case) mayWrite(image string) error {
	if err := c.MayOpen(image); err != nil {
		return err
	}
	if i, _ := c.Image(image); i.State == ImageIsSealed {
		return ErrSealed
	}
	if !c.Closed.IsZero() {
		return ErrClosed
	}
	return nil
}

// mayReopen says whether a sealed image may be gone on with: something is missing
// in it, and it may still be read.
func (c Case) mayReopen(image string) error {
	if err := c.MayOpen(image); err != nil {
		return err
	}
	switch i, _ := c.Image(image); {
	case i.State != ImageIsSealed:
		return ErrNotSealed
	case i.Rescued >= i.Bytes:
		return ErrSealed
	case !c.Closed.IsZero():
		return ErrClosed
	}
	return nil
}

func (c Case) mayDeadline(now, deadline time.Time) error {
	first := c.FirstImage
	if first.IsZero() {
		first = now
	}
	switch {
	case deadline.After(MaxDeadline(first)):
		return ErrTooLong
	case !c.Deadline.IsZero() && deadline.After(c.Deadline):
		return ErrLater
	}
	return nil
}

// mayShorten says whether the deadline may be brought forward. Where the data
// are special, it never comes so close that nobody could object any more: who
// erases earlier than that is not alone. Days are those of now's own zone.
func (c Case) mayShorten(p Policy, now, deadline time.Time) error {
	floor := earliest(p.Notice.From(now, now.Location()), p.Grace.From(now, now.Location()))
	if len(c.Special) > 0 && c.Copies() > 0 && deadline.Before(earliest(floor, c.Deadline)) {
		return ErrTwoPersons
	}
	return c.mayDeadline(now, deadline)
}

func (c Case) hasImage(p Payload) error {
	var name string
	switch p := p.(type) {
	case ImagePaused:
		name = p.Image
	case ImageFailed:
		name = p.Image
	case ImageSealed:
		name = p.Image
	case ImageVerified:
		name = p.Image
	case DataRestored:
		name = p.Image
	case DataExtracted:
		name = p.Image
	case EraseProved:
		name = p.Image
	}
	if _, ok := c.Image(name); !ok {
		return ErrNoImage
	}
	return nil
}

// erasing says whether the job is the one that is erasing the image, or what came back
// of it.
func (c Case) erasing(image, job string) error {
	i, ok := c.Image(image)
	switch {
	case !ok:
		return ErrNoImage
	case i.State == ImageIsErased && (i.back() == nil || !slices.Contains(i.back().Jobs, job)):
		return ErrErased
	case i.State == ImageIsErased:
	case i.State != ImageIsErasing || i.EraseJob != job:
		return ErrNoJob
	}
	return nil
}
