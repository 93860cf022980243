package main

import (
	"context"
	"fmt"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/report"
)

// What the label's QR code says, and what somebody types from a label, name an item:
// "salvor:B1-2026-0042/1", "B1-2026-0042/1". The number of a case alone is enough for
// a case with one item.

// caseOf finds the case that a number or a label names, and the item on the label.
func (s *station) caseOf(ctx context.Context, text string) (custody.Case, string, error) {
	no, item, err := report.ParseLabel(text)
	if err != nil {
		return custody.Case{}, "", usage("case", "not a case number such as T1-2026-0001, nor what a label says", "salvor cases")
	}
	c, err := s.findCase(ctx, string(no))
	if err != nil {
		return c, "", err
	}
	if _, ok := c.Item(item); item != "" && !ok {
		return c, "", &ui.Error{Code: ui.NotFound, What: "case " + string(no), Why: "it has no item " + item, Hint: "salvor show " + string(no)}
	}
	return c, item, nil
}

// itemOf finds the one item that a label or a case number names.
func (s *station) itemOf(ctx context.Context, text string) (custody.Case, custody.Item, error) {
	c, number, err := s.caseOf(ctx, text)
	if err != nil {
		return c, custody.Item{}, err
	}
	if number != "" {
		i, _ := c.Item(number)
		return c, i, nil
	}
	var left []custody.Item
	for _, i := range c.Items {
		if !i.Ended() {
			left = append(left, i)
		}
	}
	switch len(left) {
	case 1:
		return c, left[0], nil
	case 0:
		return c, custody.Item{}, refuse("case "+string(c.No), "it has no item in the shop", "salvor show "+string(c.No))
	}
	return c, custody.Item{}, usage("case "+string(c.No), fmt.Sprintf("it has %d items", len(left)), fmt.Sprintf("name one: %s/%s", c.No, left[0].Item))
}

// actsOn is who acts, and may do what an event of type t permits, on which case, and the
// item on its label.
func (s *station) actsOn(ctx context.Context, t custody.Type, text string) (custody.Operator, custody.Case, string, error) {
	op, err := s.operator(ctx, t)
	if err != nil {
		return op, custody.Case{}, "", err
	}
	c, item, err := s.caseOf(ctx, text)
	return op, c, item, err
}

// actsOnItem is actsOn for a command about one item.
func (s *station) actsOnItem(ctx context.Context, t custody.Type, text string) (custody.Operator, custody.Case, custody.Item, error) {
	op, err := s.operator(ctx, t)
	if err != nil {
		return op, custody.Case{}, custody.Item{}, err
	}
	c, i, err := s.itemOf(ctx, text)
	return op, c, i, err
}

// openedEvent is the event that opened a case.
func (s *station) openedEvent(ctx context.Context, no custody.CaseNo) (custody.Event, error) {
	events, err := s.ledger.Events(ctx, no)
	if err != nil {
		return custody.Event{}, err
	}
	for _, e := range events {
		if e.Type() == custody.TypeCaseOpened {
			return e, nil
		}
	}
	return custody.Event{}, readable(no, refusal(custody.TypeCaseOpened, custody.ErrNotOpened))
}
