package custody

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/oklog/ulid/v2"
	"golang.org/x/mod/sumdb/tlog"
)

// EventVersion is the version of the event format that this package reads and
// writes.
const EventVersion = 1

// MaxEventBytes is the largest event, signatures included, that is written or
// read.
const MaxEventBytes = 64 << 10

// ErrEvent is returned for text that is not an event in its one spelling.
var ErrEvent = errors.New("malformed event")

// An Event is one thing that happened. Its text is one line of JSON and a
// newline; the signed note around that text is the ledger's to make. The text
// as it was signed is the truth: it is decoded to be understood, and never
// replaced by what encoding it again would give, although that gives the same
// bytes.
type Event struct {
	ID      string // ULID
	Station string // who signed it
	Seq     int64  // place in the station's log, gap-free from 1
	Prev    Hash   // leaf of the station's event before; zero for the first
	TS      Time   // the station's clock
	Case    CaseNo // "" for an event of the shop
	Item    string // number of the item within the case, or ""
	// CaseHeads are the events of this case that the station knew and that no
	// other event which it knew named. They order the events of a case without
	// trusting any clock, and let an omission show. Sorted, each once.
	CaseHeads []Ref
	Op        string // id of the operator who acted
	Pub       Payload
	Commit    Hash            // keyed hash of the private part; zero when there is none
	Heads     map[string]Head // newest checkpoint seen of every other station
}

// wire is the order of the fields in an event's text.
type wire struct {
	V         int             `json:"v"`
	ID        string          `json:"id"`
	Station   string          `json:"station"`
	Seq       int64           `json:"seq"`
	Prev      Hash            `json:"prev"`
	TS        Time            `json:"ts"`
	Type      Type            `json:"type"`
	Case      CaseNo          `json:"case,omitempty"`
	Item      string          `json:"item,omitempty"`
	CaseHeads []Ref           `json:"case_heads,omitempty"`
	Op        string          `json:"op"`
	Pub       json.RawMessage `json:"pub"`
	Commit    Hash            `json:"commit,omitzero"`
	Heads     map[string]Head `json:"heads,omitempty"`
}

// Type returns the type of the event's public part; "" when it has none.
func (e Event) Type() Type {
	if e.Pub == nil {
		return ""
	}
	return e.Pub.Type()
}

// Ref returns the reference to this event.
func (e Event) Ref() Ref { return Ref{e.Station, e.Seq} }

// HasPrivate reports whether a private part belongs to the event.
func (e Event) HasPrivate() bool { return !e.Commit.IsZero() }

// Encode returns the text of the event: canonical JSON in one line, and a
// newline. It checks every value and returns [ErrEvent] or [ErrPayload].
func (e Event) Encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	pub, err := encodeJSON(e.Pub)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	ts, err := e.TS.MarshalText()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	text := e.appendText(make([]byte, 0, 512+len(pub)), ts, pub)
	if len(text) > MaxEventBytes {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrEvent, MaxEventBytes)
	}
	return text, nil
}

// appendText writes the fields as [wire] has them. Every string has passed check:
// none holds a character that JSON escapes. By hand, because an event is encoded
// each time one is read, to see that its text is the one spelling.
func (e Event) appendText(b, ts, pub []byte) []byte {
	text := func(name, value string) {
		b = append(append(append(append(b, name...), '"'), value...), '"')
	}
	b = strconv.AppendInt(append(b, `{"v":`...), EventVersion, 10)
	text(`,"id":`, e.ID)
	text(`,"station":`, e.Station)
	b = strconv.AppendInt(append(b, `,"seq":`...), e.Seq, 10)
	text(`,"prev":`, e.Prev.String())
	text(`,"ts":`, string(ts))
	text(`,"type":`, string(e.Type()))
	if e.Case != "" {
		text(`,"case":`, string(e.Case))
	}
	if e.Item != "" {
		text(`,"item":`, e.Item)
	}
	for i, r := range e.CaseHeads {
		name := `,"case_heads":[`
		if i > 0 {
			name = `,`
		}
		text(name, r.String())
	}
	if len(e.CaseHeads) > 0 {
		b = append(b, ']')
	}
	text(`,"op":`, e.Op)
	b = append(append(b, `,"pub":`...), pub...)
	if !e.Commit.IsZero() {
		text(`,"commit":`, e.Commit.String())
	}
	for i, station := range slices.Sorted(maps.Keys(e.Heads)) {
		name := `,"heads":{"`
		if i > 0 {
			name = `,"`
		}
		h := e.Heads[station]
		text(name+station+`":`, strconv.FormatInt(h.Size, 10)+":"+h.Root.String())
	}
	if len(e.Heads) > 0 {
		b = append(b, '}')
	}
	return append(b, "}\n"...)
}

// DecodeEvent reads the text of an event. It is strict: an unknown field, a
// value out of range or a second spelling is refused with [ErrEvent],
// [ErrPayload] or [ErrUnknownType]: what it accepts encodes to the same
// bytes. It trusts nothing: the text may come from another station's journal.
func DecodeEvent(text []byte) (Event, error) {
	if len(text) > MaxEventBytes {
		return Event{}, fmt.Errorf("%w: larger than %d bytes", ErrEvent, MaxEventBytes)
	}
	var w wire
	if json.Unmarshal(text, &w) != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrEvent, errJSON)
	}
	if w.V != EventVersion {
		return Event{}, fmt.Errorf("%w: version %d", ErrEvent, w.V)
	}
	pub, err := decodePayload(w.Type, w.Pub)
	if errors.Is(err, ErrUnknownType) {
		return Event{}, err
	}
	if err != nil {
		return Event{}, fmt.Errorf("%w: public part: %w", ErrEvent, err)
	}
	e := Event{
		ID: w.ID, Station: w.Station, Seq: w.Seq, Prev: w.Prev, TS: w.TS, Case: w.Case, Item: w.Item,
		CaseHeads: w.CaseHeads, Op: w.Op, Pub: pub, Commit: w.Commit, Heads: w.Heads,
	}
	again, err := e.Encode()
	if err != nil {
		return Event{}, err
	}
	if !bytes.Equal(again, text) {
		return Event{}, fmt.Errorf("%w: %w", ErrEvent, errSpelling)
	}
	return e, nil
}

// Leaf returns the hash of an event's text as it stands in the station's tree
// and in the prev field of the event after it.
func Leaf(text []byte) Hash { return Hash(tlog.RecordHash(text)) }

func (e Event) check() error {
	if e.Pub == nil {
		return fmt.Errorf("%w: no public part", ErrEvent)
	}
	if id, err := ulid.ParseStrict(e.ID); err != nil || id.String() != e.ID {
		return fmt.Errorf("id: %w", ErrEvent)
	}
	for _, c := range []condition{
		{"station", isStation(e.Station)},
		{"seq", e.Seq >= 1},
		{"prev", e.Prev.IsZero() == (e.Seq == 1)},
		{"ts", !e.TS.IsZero()},
		{"item", e.Item == "" || isItem(e.Item) && e.Case != ""},
		{"item", e.Item != "" || e.Case == "" || !e.Type().ofItem()},
		{"op", isOp(e.Op)},
		{"case_heads", e.Case != "" || len(e.CaseHeads) == 0},
	} {
		if !c.ok {
			return fmt.Errorf("%s: %w", c.field, ErrEvent)
		}
	}
	if err := e.checkCase(); err != nil {
		return err
	}
	for station, h := range e.Heads {
		if !isStation(station) || station == e.Station || h.Size < 1 {
			return fmt.Errorf("heads: %w", ErrEvent)
		}
	}
	if err := e.Pub.check(); err != nil {
		return fmt.Errorf("%s: %w", e.Type(), err)
	}
	return nil
}

func (e Event) checkCase() error {
	t := e.Type()
	if e.Case == "" && !t.OfShop() || e.Case != "" && !t.OfCase() {
		return fmt.Errorf("case: %w: wrong for %s", ErrEvent, t)
	}
	if p, ok := e.Pub.(AttestIssued); ok {
		// About an image of a case, or about a medium: the shop's, or an item of a case.
		if p.Image != "" && e.Case == "" || p.Image == "" && e.Case != "" && e.Item == "" {
			return fmt.Errorf("case: %w: wrong for this attest", ErrEvent)
		}
	}
	if e.Case != "" {
		if _, err := ParseCaseNo(string(e.Case)); err != nil {
			return fmt.Errorf("case: %w", ErrEvent)
		}
	}
	for i, r := range e.CaseHeads {
		if !isStation(r.Station) || r.Seq < 1 || i > 0 && e.CaseHeads[i-1].compare(r) >= 0 {
			return fmt.Errorf("case_heads: %w", ErrEvent)
		}
	}
	return nil
}

// encodeJSON is encoding/json without its escaping for web pages, and without
// the newline.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// errJSON stands for what package encoding/json says, which can quote the input.
var errJSON = errors.New("not the expected JSON")
