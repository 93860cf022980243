package report

import (
	"fmt"
	"strings"
	"time"

	"salvor/custody"
	"salvor/custody/report/layout"
)

// Label is the sticker on an item. It holds no name, no phone number and nothing else
// about the customer: it lies on a shelf where others see it.
type Label struct {
	Language custody.Language `json:"language"`
	Zone     string           `json:"zone"`
	Case     string           `json:"case"`              // "B1-2026-0042"
	Item     string           `json:"item"`              // "1"
	Kind     custody.ItemKind `json:"kind,omitempty"`    //
	Received time.Time        `json:"received"`          //
	Place    string           `json:"place,omitempty"`   // "L-03"
	EraseBy  time.Time        `json:"erase_by,omitzero"` // zero: none set yet
	Hold     bool             `json:"hold,omitempty"`    // a hold on erasing is in force
	Special  bool             `json:"special,omitempty"` // special categories of data
}

// labelPrefix begins what a label's QR code says.
const labelPrefix = "salvor:"

// QRText is what the label's QR code says: "salvor:B1-2026-0042/1".
func (l Label) QRText() string { return labelPrefix + l.Case + "/" + l.Item }

// Check is the check character of the label: see [CheckCharacter].
func (l Label) Check() byte { return CheckCharacter(l.Case + l.Item) }

// Render renders a label in one of the four formats, on a sticker of a size that
// layout.ParseSize read. at is the time of printing, for the description of the file.
func (l Label) Render(format custody.PaperFormat, size layout.Size, at time.Time) ([]byte, error) {
	if format == custody.FormatJSON {
		data, err := canonical(utc(l))
		return append(data, '\n'), err
	}
	speak, err := newLocale(Head{Language: l.Language, Zone: l.Zone})
	if err != nil {
		return nil, err
	}
	set := l.layout(speak, at)
	switch format {
	case custody.FormatText:
		return []byte(set.Text()), nil
	case custody.FormatHTML:
		return set.HTML(size)
	case custody.FormatPDF:
		return set.PDF(Producer, size)
	}
	return nil, ErrFormat
}

func (l Label) layout(s locale, at time.Time) layout.Label {
	set := layout.Label{
		Lang: string(l.Language), Title: s.say("app.label") + " " + plain(l.Case) + "/" + plain(l.Item), At: at,
		Big: plain(l.Item), Number: plain(l.Case), Check: s.say("label.check", "check", string(l.Check())), QR: l.QRText(), Bars: plain(l.Case) + "/" + plain(l.Item),
		Lines: []layout.Field{{Label: s.say("label.received"), Value: s.date(l.Received)}},
	}
	if l.Place != "" {
		set.Lines = append(set.Lines, layout.Field{Label: s.say("due.place"), Value: plain(l.Place)})
	}
	if l.Kind != "" {
		set.Lines = append(set.Lines, layout.Field{Label: s.say("custody.item_kind"), Value: s.code("item.", string(l.Kind))})
	}
	if !l.EraseBy.IsZero() {
		set.Lines = append(set.Lines, layout.Field{Label: s.say("label.erase_by"), Value: s.date(l.EraseBy)})
	}
	if l.Hold {
		set.Signs = append(set.Signs, s.say("label.hold"))
	}
	if l.Special {
		set.Signs = append(set.Signs, s.say("label.special"))
	}
	return set
}

// ParseLabel reads what the QR code of a label says, or the case number and item that
// somebody typed from one: "salvor:B1-2026-0042/1", "B1-2026-0042/1", "b1-2O26-0042". A
// letter behind the station is the digit that it looks like.
func ParseLabel(text string) (no custody.CaseNo, item string, err error) {
	text = strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(text)), strings.ToUpper(labelPrefix))
	number, item, found := strings.Cut(text, "/")
	station, counted, _ := strings.Cut(number, "-")
	number = station + "-" + digits(counted)
	if no, err = custody.ParseCaseNo(number); err != nil {
		return "", "", fmt.Errorf("label: %w", err)
	}
	if found && (item == "" || len(item) > 4 || item[0] == '0' || strings.Trim(item, "0123456789") != "") {
		return "", "", fmt.Errorf("label: item: %w", custody.ErrName)
	}
	return no, item, nil
}

// checkAlphabet is the order of characters in ISO/IEC 7064.
const checkAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// CheckCharacter returns the check character of a number by ISO/IEC 7064, MOD 37,36:
// it finds every single wrong letter or digit and nearly every exchange of two
// neighbours. What is neither a capital nor a digit is passed over.
func CheckCharacter(number string) byte {
	p := 36
	for i := range len(number) {
		v := strings.IndexByte(checkAlphabet, number[i])
		if v < 0 {
			continue
		}
		if p = (p + v) % 36; p == 0 {
			p = 36
		}
		p = p * 2 % 37
	}
	return checkAlphabet[(37-p)%36]
}
