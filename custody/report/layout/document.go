// Package layout sets papers. It knows blocks (headings, fields, tables, signature
// boxes, a picture of a disk, a receipt to tear off) and three ways of showing them:
// plain text of 80 columns, HTML with a print style sheet, and PDF on A4.
//
// The picture to keep in mind: a [Document] is laid out once, by the paper that it
// is, and every rendering says the same words in the same order. A rendering adds
// nothing but page numbers, and leaves nothing out: a letter that the fonts of the PDF
// lack is written as its number, and the paper says so.
//
// Nothing here asks the clock, the environment or the network. The same document
// always gives the same bytes.
package layout

import "time"

// A Document is one paper, ready to be set. All texts are printable: whoever makes a
// document has written out control characters already.
type Document struct {
	Lang  string    // language of the texts, "nl"; stands in HTML and PDF for readers that speak
	Title string    // name of the paper
	Mark  string    // whose copy this is; may be empty
	At    time.Time // the time of printing, the only clock a PDF shows

	Sender Sender
	Meta   []Field // number of the document, when and by whom it was printed
	Blocks []Block
	Foot   Foot
}

// Sender is the shop at the top of a paper.
type Sender struct {
	Name  string
	Lines []string // address, company number, data protection officer
	Logo  []byte   // PNG or JPEG; empty: none
	Notes []string // the shop's own words; they stand at the end
}

// Foot stands at the bottom of a paper: once in text, on every page elsewhere.
type Foot struct {
	Title  string
	Fields []Field // state of the ledger, size and code of the checkpoint, sum of the data
	Why    string  // what the code is good for
	QR     string  // the same for a machine; empty: none
	Page   func(n, m int) string
	// Lacks says that the fonts have no letters for what is written as numbers.
	Lacks func(letters string) string
	Colon string // what stands between a label and its value
}

// Block is one of the parts that a paper is made of.
type Block interface{ block() }

// Heading begins a part. It is never alone at the end of a page.
type Heading struct{ Text string }

// Para is running text.
type Para struct {
	Text   string
	Strong bool // what must not be overlooked
	Inset  bool // explains what stands above it
}

// Space sets what follows apart from what stands above it.
type Space struct{}

// Field is a value with its label.
type Field struct {
	Label, Value string
	Code         bool // a check value or key, set in a face in which 0 and O differ
}

// Fields are values below each other.
type Fields []Field

// List is a list of sentences.
type List []string

// Table is a table. In text a wide one becomes one entry per row: the leading
// columns first, the others below them with their titles.
type Table struct {
	Columns []Column
	Rows    [][]string // as many cells each as there are columns
	Dense   bool       // smaller letters: a list that has to fit a page
}

// Column is one column of a table.
type Column struct {
	Title string // its long words may hold a [SoftHyphen]
	Lead  bool   // in text: stands on the first line of an entry, without its title
	Right bool   // numbers
	Code  bool   // check values
}

// Choice is a question with boxes to tick by hand.
type Choice struct {
	Question string
	Options  []string
}

// Signature is a box to sign in.
type Signature struct {
	Role string // "Customer"
	Name string // may be empty
	Date string // label of the line for the date; empty: no line
}

// Signatures are boxes beside each other. They are kept on one page.
type Signatures []Signature

// Receipt is a part to tear off. It stands on one page, below a line to cut along.
type Receipt struct {
	Cut    string // what stands at the line: "cut here"
	Blocks []Block
	QR     string // beside the blocks; empty: none
}

func (Heading) block()    {}
func (Para) block()       {}
func (Space) block()      {}
func (Fields) block()     {}
func (List) block()       {}
func (Table) block()      {}
func (Choice) block()     {}
func (Signatures) block() {}
func (Receipt) block()    {}
func (Map) block()        {}
