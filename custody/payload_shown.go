package custody

import "time"

// TypeContactShown is the type of looking at private data of a case.
const TypeContactShown Type = "contact.shown"

// ContactShown records that private data are shown, on a screen or to a program, to
// the operator of the event. It is recorded before anything is shown, and refused to
// an operator who may not see it. Opening the data of an image is [DataOpened],
// printing a paper [PaperPrinted].
type ContactShown struct {
	What ShownData `json:"what"`
}

// ShownData is which private data of a case were shown.
type ShownData string

// What can be shown.
const (
	ShownContact ShownData = "contact" // who the customer is and how to reach him
	ShownPrivate ShownData = "private" // what else is private: serial numbers, reasons, names of files
)

// Valid reports whether d is one of the kinds of data.
func (d ShownData) Valid() bool { return oneOf(d, ShownContact, ShownPrivate) }

// Type returns [TypeContactShown].
func (ContactShown) Type() Type { return TypeContactShown }

func (p ContactShown) check() error { return must(condition{"what", p.What.Valid()}) }

// A Showing says that private data of a case were shown, and to whom.
type Showing struct {
	Ref Ref
	At  time.Time
	Op  string
	ContactShown
}
