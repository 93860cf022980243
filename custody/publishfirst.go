package custody

import "slices"

// publishFirst are the types that decide whether, and when, another station may erase
// a case:
//
//   - a hold forbids it, and the end of a hold, or somebody's validation, permits it;
//   - a shortened deadline, or the customer's confirmation, brings it forward.
//
// What an image is and which keys open it lies in the vault with the image. What erasing
// has done is published by the purge itself, before and after. What the rules of the
// shop say counts from a day on, which is chosen so that every station knows of it.
var publishFirst = [...]Type{TypeHoldAdded, TypeHoldEnded, TypeDeadlineShortened, TypeCustomerConfirmed, TypePurgeValidated}

// PublishFirst returns the types of events that nobody may rely on before they are in
// the journal of every vault which holds a copy of their case.
func PublishFirst() []Type { return slices.Clone(publishFirst[:]) }

// PublishFirst reports whether t is one of [PublishFirst].
func (t Type) PublishFirst() bool { return slices.Contains(publishFirst[:], t) }
