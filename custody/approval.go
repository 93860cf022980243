package custody

import (
	"cmp"
	"slices"
	"time"
)

// A Proposal says what will be erased when somebody validates it.
type Proposal struct {
	ID        string
	Ref       Ref // of purge.proposed; zero when it has not arrived
	At        time.Time
	Op        string
	Images    []string
	Deadline  time.Time
	Validated []Validation // in causal order
}

// A Validation allows what was proposed.
type Validation struct {
	Ref Ref
	At  time.Time
	Op  string
}

// A Correction says which private fields of an earlier event were wrong.
type Correction struct {
	Ref Ref
	At  time.Time
	Op  string
	EventCorrected
}

func (f *caseFold) applyApproval(e Event) {
	switch p := e.Pub.(type) {
	case PurgeProposed:
		if x := f.proposal(p.Proposal); x.Ref == (Ref{}) {
			x.Ref, x.At, x.Op, x.Images, x.Deadline = e.Ref(), e.TS.Time, e.Op, p.Images, p.Deadline.Time
		}
	case PurgeValidated:
		x := f.proposal(p.Proposal)
		x.Validated = append(x.Validated, Validation{e.Ref(), e.TS.Time, e.Op})
	}
}

func (f *caseFold) proposal(id string) *Proposal {
	return entry(&f.c.Proposals, func(x Proposal) bool { return x.ID == id }, Proposal{ID: id})
}

func sortProposals(list []Proposal) {
	slices.SortFunc(list, func(a, b Proposal) int { return cmp.Compare(a.ID, b.ID) })
}

// Validated reports whether a proposal to erase the image was validated by
// somebody else than the operator; by anybody when that is "".
func (c Case) Validated(image, operator string) bool {
	for _, p := range c.Proposals {
		if !slices.Contains(p.Images, image) {
			continue
		}
		for _, v := range p.Validated {
			if v.Op != operator {
				return true
			}
		}
	}
	return false
}

// Validator returns who validated a proposal to erase the image: the first who is not
// the operator who erases it, else that operator where he did, and "" where nobody did.
func (c Case) Validator(image, operator string) (who string) {
	for _, p := range c.Proposals {
		if !slices.Contains(p.Images, image) {
			continue
		}
		for _, v := range p.Validated {
			if v.Op != operator {
				return v.Op
			}
			who = v.Op
		}
	}
	return who
}

// Proposed reports whether the erasing of the image was proposed.
func (c Case) Proposed(image string) bool {
	return slices.ContainsFunc(c.Proposals, func(p Proposal) bool { return slices.Contains(p.Images, image) })
}

// Current returns the event whose private part holds what is right now for a
// field of an event: the newest correction of it, or the event itself. It
// returns false when that private part was erased, or the event's own: erasing
// beats everything, and no older value comes back.
func (c Case) Current(event Ref, field string) (Ref, bool) {
	return current(c.Corrections, c.PrivateErased, event, field)
}

// Current is [Case.Current] for an event of the shop.
func (s Shop) Current(event Ref, field string) (Ref, bool) {
	return current(s.Corrections, s.PrivateErased, event, field)
}

func current(corrections []Correction, erased []Ref, event Ref, field string) (Ref, bool) {
	if slices.Contains(erased, event) {
		return Ref{}, false
	}
	at := event
	for _, x := range corrections {
		if x.Event == event && slices.Contains(x.Fields, field) {
			at = x.Ref
		}
	}
	return at, !slices.Contains(erased, at)
}
