package custody

import (
	"errors"
	"slices"
	"time"
)

// The refusals about items, their way, and the end of copies.
var (
	ErrNoItem       = errors.New("the case has no such item")
	ErrItemExists   = errors.New("the case has that item already")
	ErrItemEnded    = errors.New("the item is returned or destroyed")
	ErrItemOut      = errors.New("the item is with a processor")
	ErrNotOut       = errors.New("the item is not with that processor")
	ErrDisputed     = errors.New("records disagree about who has the item")
	ErrNotCustodian = errors.New("the item is not in that operator's hands")
	ErrNotYours     = errors.New("only who gives or takes may record it")
	ErrNoOffer      = errors.New("that transfer was not offered, or is over")
	ErrOpenOffer    = errors.New("an offered transfer was not accepted")
	ErrOpenItems    = errors.New("an item is neither returned nor destroyed")
	ErrNotAllowed   = errors.New("the customer has not allowed that")
	ErrNoProxy      = errors.New("a third person needs a proxy")
	ErrNoCopy       = errors.New("the case has no such open copy")
	ErrPlainCopy    = errors.New("unencrypted data leave on a removable medium only for the customer")
	ErrDestroyed    = errors.New("the image is destroyed with its medium")
	ErrTooGenerous  = errors.New("later than the grace after the customer's confirmation")
	ErrNoProposal   = errors.New("nothing was proposed under that id")
	ErrNotValidated = errors.New("the erasing waits for a validation")
	ErrTwoPersons   = errors.New("a second person must validate it first")
	ErrWitness      = errors.New("a witness is an operator, and under four eyes another one")
	ErrNoReference  = errors.New("the reference of the recycler is needed")
	ErrNoContract   = errors.New("no contract covers it")
	ErrPoorContract = errors.New("the contract lacks instructions, sub-processors or audit (Article 28)")
	ErrNoSafeguard  = errors.New("the country is outside the European Economic Area, and nothing safeguards the data")
)

// mayOpenCase says whether a case may begin so: special categories, and work
// for another controller, need the number of a contract; who comes for
// somebody else is named.
func mayOpenCase(p CaseOpened, private map[string]string) error {
	switch {
	case (p.Role == RoleProcessor || len(p.Special) > 0) && p.Contract == "":
		return ErrNoContract
	case p.Proxy && private[FieldProxy] == "":
		return ErrNoProxy
	}
	return nil
}

// MayMove says whether an item may go into other hands inside the shop, be
// sent or be given back: it is here, and the records agree who has it.
func (c Case) MayMove(item string) error {
	i, err := c.present(item)
	if err == nil && i.State == ItemIsDisputed {
		err = ErrDisputed
	}
	return err
}

// present returns an item that the shop has, in whosever hands.
func (c Case) present(item string) (Item, error) {
	i, ok := c.Item(item)
	switch {
	case !ok:
		return i, ErrNoItem
	case i.Ended():
		return i, ErrItemEnded
	case i.State == ItemIsOut:
		return i, ErrItemOut
	}
	return i, nil
}

func allowItem(s Shop, c Case, e Event, private map[string]string) error {
	switch p := e.Pub.(type) {
	case ItemReceived:
		if i, ok := c.Item(p.Item); ok && !i.Ended() {
			return ErrItemExists
		}
		return c.stillOpen()
	case Offered:
		if err := c.MayMove(e.Item); err != nil {
			return err
		}
		i, _ := c.Item(e.Item)
		switch {
		case p.From != i.Custodian || p.From == p.To:
			return ErrNotCustodian
		case e.Op != p.From:
			return ErrNotYours
		}
		return s.mayTake(p.To, e.TS.Time)
	case Accepted:
		return s.mayAccept(c, e, p)
	case PlaceChanged, SealApplied, SealChecked:
		_, err := c.present(e.Item)
		return err
	case SentExternal:
		return s.maySend(c, e, p)
	case BackExternal:
		i, ok := c.Item(e.Item)
		switch {
		case !ok:
			return ErrNoItem
		case i.State == ItemIsDisputed:
			return nil
		case i.State != ItemIsOut || i.Processor != p.Processor:
			return ErrNotOut
		}
	case ItemReturned:
		if err := c.MayMove(e.Item); err != nil {
			return err
		}
		return c.mayReceive(p.To, private)
	}
	return nil
}

// mayAccept: who takes up an offer is the one it was made to, and nothing has
// moved since. A transfer from hand to hand is recorded by one of the two. A
// transfer may also settle a dispute, since it knows both sides of it.
func (s Shop) mayAccept(c Case, e Event, p Accepted) error {
	i, err := c.present(e.Item)
	switch {
	case err != nil:
		return err
	case i.State != ItemIsDisputed && p.From != i.Custodian:
		return ErrNotCustodian
	case e.Op != p.To && (p.Offer != "" || e.Op != p.From):
		return ErrNotYours
	}
	if p.Offer != "" {
		if o, ok := i.Offer(p.Offer); !ok || o.From != p.From || o.To != p.To {
			return ErrNoOffer
		}
	}
	return s.mayTake(p.To, e.TS.Time)
}

func (s Shop) mayTake(op string, now time.Time) error {
	o, ok := s.Operator(op)
	if !ok {
		return ErrOperator
	}
	return o.MayAct(s.local(now), TypeCustodyAccepted)
}

func (s Shop) maySend(c Case, e Event, p SentExternal) error {
	if err := c.MayMove(e.Item); err != nil {
		return err
	}
	x, ok := s.Processor(p.Processor)
	switch {
	case !c.Closed.IsZero():
		return ErrClosed
	case !slices.Contains(c.Allowed, ActionExternal):
		return ErrNotAllowed
	case !ok:
		return ErrNoContract
	}
	return x.MaySend(s.day(e.TS.Time), p.Service)
}

// mayReceive: what belongs to the customer goes to him, or to somebody with
// his proxy: named now, or when he brought it.
func (c Case) mayReceive(to Recipient, private map[string]string) error {
	if to == RecipientProxy && private[FieldProxy] == "" && !c.Proxy {
		return ErrNoProxy
	}
	return nil
}

func (c Case) stillOpen() error {
	if !c.Closed.IsZero() {
		return ErrClosed
	}
	return nil
}

func allowEnd(s Shop, c Case, e Event, private map[string]string) error {
	now := e.TS.Time
	switch p := e.Pub.(type) {
	case DataReturned:
		if x, ok := c.Export(p.Copy); p.Copy != "" && (!ok || !x.End.Open()) {
			return ErrNoCopy
		}
		return c.mayReceive(p.To, private)
	case CustomerConfirmed:
		switch {
		case c.Erased():
			return ErrNothingLeft
		case p.Deadline.After(s.today(e).Grace.From(now, s.local(now).Location())):
			return ErrTooGenerous
		case c.Deadline.IsZero() || p.Deadline.Before(c.Deadline):
			return c.mayShorten(s.today(e), s.local(now), p.Deadline.Time)
		}
	case CopyErased:
		if c.Held() {
			return ErrHeld
		}
		if p.Item != "" {
			return c.isFile(p.Item)
		}
		if x, ok := c.Export(p.Copy); !ok || !x.End.Open() {
			return ErrNoCopy
		}
	case MediumDestroyed:
		return s.mayDestroy(c, e, p, private)
	case PurgeProposed:
		for _, image := range p.Images {
			if err := c.MayErase(image, now, true); err != nil {
				return err
			}
		}
	case PurgeValidated:
		if x, ok := find(c.Proposals, func(x Proposal) bool { return x.ID == p.Proposal }); !ok || x.Ref == (Ref{}) {
			return ErrNoProposal
		}
	}
	return nil
}

// isFile says whether the item is an image file, which can be erased; a thing
// cannot.
func (c Case) isFile(item string) error {
	i, err := c.present(item)
	if err == nil && i.Kind != ItemFile {
		err = ErrOpenItems
	}
	return err
}

// MayErase says whether the operator may erase the image at now: as
// [Case.MayErase], and under the shop's rules. With validation required,
// somebody has validated a proposal that names the image; under four eyes he is
// not the one who erases. Before the deadline two persons are needed where the
// data are special, and under four eyes. What was begun may always be finished.
func (s Shop) MayErase(c Case, image, op string, now time.Time, early bool) error {
	if err := c.MayErase(image, now, early); err != nil {
		return err
	}
	if i, _ := c.Image(image); i.State == ImageIsErasing || i.State == ImageIsErased {
		return nil
	}
	p := s.Policy(s.day(now))
	early = early && !c.Due(now)
	switch {
	case early && (p.FourEyes || len(c.Special) > 0) && !c.Validated(image, op):
		return ErrTwoPersons
	case p.Validated && !c.Validated(image, ""):
		return ErrNotValidated
	case p.Validated && p.FourEyes && !c.Validated(image, op):
		return ErrTwoPersons
	}
	return nil
}

// mayDestroy: a hold stops this way of erasing too; what holds an image is
// destroyed under the rules of erasing it; a customer's own medium only when he
// allowed it.
func (s Shop) mayDestroy(c Case, e Event, p MediumDestroyed, private map[string]string) error {
	if c.Held() {
		return ErrHeld
	}
	if err := s.mayWitness(e, p, private); err != nil {
		return err
	}
	switch p.Kind {
	case CopyImage:
		if !c.Due(e.TS.Time) && private[FieldReason] == "" {
			return ErrNoReason
		}
		return s.MayErase(c, p.Image, e.Op, e.TS.Time, true)
	case CopyKey:
		return c.keyThere(p)
	case CopyExport:
		if x, ok := c.Export(p.Copy); !ok || !x.End.Open() {
			return ErrNoCopy
		}
	case CopyItem:
		i, ok := c.Item(p.Item)
		switch {
		case !ok:
			return ErrNoItem
		case i.Ended():
			return ErrItemEnded
		case !slices.Contains(c.Allowed, ActionDestroy):
			return ErrNotAllowed
		}
	case CopyVault:
		return ErrNoVault // that is the shop's, and each image on it is named
	}
	return nil
}

func (c Case) keyThere(p MediumDestroyed) error {
	for _, x := range c.Inventory() {
		if x.Kind == CopyKey && x.Image == p.Image && x.Store == p.Store && x.Name == p.File && x.End.Open() {
			return nil
		}
	}
	return ErrNoCopy
}

func (s Shop) mayWitness(e Event, p MediumDestroyed, private map[string]string) error {
	w, ok := s.Operator(p.Witness)
	switch {
	case !ok || w.Kind != OperatorPerson:
		return ErrWitness
	case s.today(e).FourEyes && p.Witness == e.Op:
		return ErrWitness
	case p.Processor == "":
		return nil
	case private[FieldReference] == "":
		return ErrNoReference
	}
	if _, ok := s.Processor(p.Processor); !ok {
		return ErrNoContract
	}
	return nil
}
