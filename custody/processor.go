package custody

import (
	"cmp"
	"slices"
	"time"
)

// A Processor is a company that works for the shop. Its name is in the private
// part of the newest contract's event.
type Processor struct {
	ID        string
	Contracts []Contract // in causal order
	Ended     Date       // newest recorded end, "" when there is none
	EndRef    Ref
}

// A Contract is what was agreed with a processor.
type Contract struct {
	Ref Ref
	At  time.Time
	Op  string
	ProcessorAdded
}

// On returns the contract that holds on a day: begun, not over, and not begun
// before an end that is over. Of several the last by causal order.
func (p Processor) On(day Date) (Contract, bool) {
	for _, c := range slices.Backward(p.Contracts) {
		over := c.Until != "" && day > c.Until || p.Ended != "" && c.From <= p.Ended && day > p.Ended
		if c.From <= day && !over {
			return c, true
		}
	}
	return Contract{}, false
}

// Newest returns the contract that was recorded last, valid or not; the zero
// Contract when only an end has arrived.
func (p Processor) Newest() Contract {
	if len(p.Contracts) == 0 {
		return Contract{}
	}
	return p.Contracts[len(p.Contracts)-1]
}

// MaySend says whether an item may go there on a day for a service: a contract
// holds that has what Article 28 asks, covers the service, and the data stay in
// the European Economic Area or are safeguarded.
func (p Processor) MaySend(day Date, service Service) error {
	c, ok := p.On(day)
	switch {
	case !ok:
		return ErrNoContract
	case !slices.Contains(c.Services, service):
		return ErrNoContract
	case !c.Instructions || !c.SubApproval || !c.Audit:
		return ErrPoorContract
	case !InEEA(c.Country) && c.Safeguard == "":
		return ErrNoSafeguard
	}
	return nil
}

// Processor returns the processor with that id.
func (s Shop) Processor(id string) (Processor, bool) {
	return find(s.Processors, func(p Processor) bool { return p.ID == id })
}

func (s *Shop) processor(id string) *Processor {
	return entry(&s.Processors, func(p Processor) bool { return p.ID == id }, Processor{ID: id})
}

func sortProcessors(list []Processor) {
	slices.SortFunc(list, func(a, b Processor) int { return cmp.Compare(a.ID, b.ID) })
}
