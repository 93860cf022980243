package custody

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// The refusals about wiping a medium.
var (
	ErrNotRescued = errors.New("an image of that item is not finished, and no reason is given")
	ErrNoWipe     = errors.New("no wipe with that job was begun")
	ErrWiped      = errors.New("that wipe has ended")
)

// A Wipe is the erasing of a whole medium, by one job.
type Wipe struct {
	Job    string
	Item   string // of the case; "" for a medium of the shop
	Ref    Ref    // of medium.erase.started, whose private part says which medium; zero when it has not arrived
	At     time.Time
	Op     string
	Bytes  int64     // of the medium
	Failed EraseStep // where the last try stopped; "" when it did not

	Done   *MediumEraseDone // nil until it has ended; the first end stands
	Ended  time.Time
	EndRef Ref // of medium.erase.done

	Attest *Attest // nil until the statement is issued
}

// Proved reports whether the wipe has ended with the proof that the old content is
// gone.
func (w Wipe) Proved() bool { return w.Done != nil && w.Done.Proved() }

// applyWipe follows the wipes of a case's items, or of the shop's media.
func applyWipe(list *[]Wipe, e Event) {
	at, ref := e.TS.Time, e.Ref()
	of := func(job string) *Wipe {
		w := entry(list, func(w Wipe) bool { return w.Job == job }, Wipe{Job: job})
		if w.Item == "" {
			w.Item = e.Item
		}
		return w
	}
	switch p := e.Pub.(type) {
	case MediumEraseStarted:
		if w := of(p.Job); w.Ref == (Ref{}) {
			w.Ref, w.At, w.Op, w.Bytes = ref, at, e.Op, p.Bytes
		}
	case MediumEraseFailed:
		of(p.Job).Failed = p.Step
	case MediumEraseDone:
		if w := of(p.Job); w.Done == nil {
			w.Done, w.Ended, w.EndRef, w.Bytes = &p, at, ref, p.Bytes
		}
	case AttestIssued:
		if w := of(p.Attest); w.Attest == nil {
			w.Attest = &Attest{ref, at, e.Op, p}
		}
	}
}

// finishWipes puts the wipes into their order, and shows those that proved nothing.
func finishWipes(list []Wipe, except func(ExceptionKind, Ref)) {
	for i := range list {
		w := &list[i]
		if w.Done != nil {
			w.Failed = ""
			if !w.Proved() {
				except(NotProved, w.EndRef)
			}
		}
	}
	slices.SortFunc(list, func(a, b Wipe) int { return cmp.Compare(a.Job, b.Job) })
}

// finishWipes says of every item which wipe counts, and shows what was wiped under a
// hold.
func (f *caseFold) finishWipes() {
	c := &f.c
	finishWipes(c.Wipes, f.except)
	for _, w := range c.Wipes {
		if w.Done == nil {
			continue
		}
		for _, h := range c.Holds {
			if h.Active() {
				f.except(HeldButErased, h.Ref)
			}
		}
		if !w.Proved() {
			continue
		}
		for i := range c.Items {
			item := &c.Items[i]
			if item.Item == w.Item && (item.Wiped == nil || cmp.Or(w.Ended.Compare(item.Wiped.Ended), cmp.Compare(w.Job, item.Wiped.Job)) > 0) {
				item.Wiped = &w
			}
		}
	}
}

// Wipe returns the wipe of that job.
func (c Case) Wipe(job string) (Wipe, bool) { return findWipe(c.Wipes, job) }

// Wipe returns the wipe of that job.
func (s Shop) Wipe(job string) (Wipe, bool) { return findWipe(s.Wipes, job) }

func findWipe(list []Wipe, job string) (Wipe, bool) {
	return find(list, func(w Wipe) bool { return w.Job == job })
}

// MayWipe says whether an item of the case may be wiped: the shop has it, its customer
// allowed that, and no hold stops it. Where an image of it was begun and is not
// finished, a reason is needed.
func (c Case) MayWipe(item string, reason bool) error {
	if c.Held() {
		return ErrHeld
	}
	if err := c.MayMove(item); err != nil {
		return err
	}
	if !slices.Contains(c.Allowed, ActionErase) {
		return ErrNotAllowed
	}
	for _, i := range c.Images {
		if i.Item == item && oneOf(i.State, ImageIsStarted, ImageIsPaused) && i.Destroyed == nil && !reason {
			return ErrNotRescued
		}
	}
	return nil
}

func (c Case) mayWipe(item, job string, private map[string]string) error {
	if _, ok := c.Wipe(job); ok {
		return ErrExists
	}
	return c.MayWipe(item, private[FieldReason] != "")
}

// wiping says whether the job is one that has begun and not ended.
func wiping(list []Wipe, job string) error {
	switch w, ok := findWipe(list, job); {
	case !ok || w.Ref == (Ref{}):
		return ErrNoWipe
	case w.Done != nil:
		return ErrWiped
	}
	return nil
}
