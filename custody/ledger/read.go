package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"salvor/custody"
)

// eventColumns are what decodeRow reads.
const eventColumns = `events.station, events.seq, events.leaf, events.note`

// decodeRow reads one event. Its bytes must still have the hash that stands
// beside them; the signature is checked by Audit.
func decodeRow(scan func(...any) error) (custody.Event, error) {
	var ref custody.Ref
	var leaf, msg []byte
	if err := scan(&ref.Station, &ref.Seq, &leaf, &msg); err != nil {
		return custody.Event{}, sqlError(err)
	}
	text, ok := noteText(msg)
	if sum := custody.Leaf(text); !ok || !bytes.Equal(sum[:], leaf) {
		return custody.Event{}, fmt.Errorf("event %s: %w: its bytes have changed", ref, ErrCorrupt)
	}
	e, err := custody.DecodeEvent(text)
	if err != nil {
		return custody.Event{}, fmt.Errorf("event %s: %w", ref, err)
	}
	if e.Ref() != ref {
		return custody.Event{}, fmt.Errorf("event %s: %w: it stands in another's place", ref, ErrCorrupt)
	}
	return e, nil
}

// noteText returns the text of the note around an event, which is one line; an
// empty line and the signatures follow.
func noteText(msg []byte) ([]byte, bool) {
	line, rest, ok := bytes.Cut(msg, []byte("\n\n"))
	if !ok || len(rest) == 0 || bytes.IndexByte(line, '\n') >= 0 {
		return nil, false
	}
	return msg[:len(line)+1], true
}

func queryEvents(ctx context.Context, q queryer, query string, args ...any) ([]custody.Event, error) {
	var events []custody.Event
	err := each(ctx, q, func(scan func(...any) error) error {
		e, err := decodeRow(scan)
		events = append(events, e)
		return err
	}, query, args...)
	return events, err
}

// caseEvents returns the events of a case, those among them that a cloned station
// has signed for places that are taken: a hold counts on whatever side it stands.
func caseEvents(ctx context.Context, q queryer, no custody.CaseNo) ([]custody.Event, error) {
	events, err := queryEvents(ctx, q, `SELECT `+eventColumns+` FROM events WHERE case_no = ? ORDER BY n`, string(no))
	if err != nil {
		return nil, err
	}
	forks, err := queryEvents(ctx, q, `SELECT station, seq, leaf, note FROM forks WHERE case_no = ? ORDER BY n`, string(no))
	return append(events, forks...), err
}

// shopEvents returns the events of the shop; of the heartbeats, which are many,
// only the newest, which is the only one that says anything.
func shopEvents(ctx context.Context, q queryer) ([]custody.Event, error) {
	events, err := queryEvents(ctx, q, `SELECT `+eventColumns+` FROM events
		WHERE case_no IS NULL AND type <> 'heartbeat' ORDER BY n`)
	if err != nil {
		return nil, err
	}
	beat, err := queryEvents(ctx, q, `SELECT `+eventColumns+` FROM events
		WHERE type = 'heartbeat' ORDER BY ts DESC LIMIT 1`)
	return append(events, beat...), err
}

// Case returns a case as its events tell it, or [ErrNotFound].
func (l *Ledger) Case(ctx context.Context, no custody.CaseNo) (custody.Case, error) {
	events, err := caseEvents(ctx, l.db, no)
	if err != nil {
		return custody.Case{}, fmt.Errorf("case %s: %w", no, err)
	}
	if len(events) == 0 {
		return custody.Case{}, fmt.Errorf("case %s: %w", no, ErrNotFound)
	}
	return custody.FoldCase(no, events), nil
}

// A Filter selects cases. The zero Filter selects those that are not closed.
type Filter struct {
	All   bool      // closed cases too
	DueBy time.Time // unless zero, only cases with a copy left and a deadline at or before it
}

// Cases returns the cases that the filter selects, by number; with DueBy the
// earliest deadline comes first. Which cases they are is found by an index, and
// each is then folded from its events.
func (l *Ledger) Cases(ctx context.Context, f Filter) ([]custody.Case, error) {
	where, args := `cases.closed IS NULL`, []any{}
	order := `cases.no`
	if f.All {
		where = `true`
	}
	if !f.DueBy.IsZero() {
		where += ` AND cases.copies > 0 AND cases.deadline <= ?`
		args = append(args, f.DueBy.Unix())
		order = `cases.deadline, cases.no`
	}
	var cases []custody.Case
	var events []custody.Event
	fold := func() {
		if len(events) > 0 {
			cases = append(cases, custody.FoldCase(events[0].Case, events))
			events = events[:0]
		}
	}
	err := each(ctx, l.db, func(scan func(...any) error) error {
		e, err := decodeRow(scan)
		if err != nil {
			return err
		}
		if len(events) > 0 && events[0].Case != e.Case {
			fold()
		}
		events = append(events, e)
		return nil
	}, `SELECT `+eventColumns+` FROM cases CROSS JOIN events ON events.case_no = cases.no
		WHERE `+where+` ORDER BY `+order+`, events.n`, args...)
	if err != nil {
		return nil, fmt.Errorf("cases: %w", err)
	}
	fold()
	return cases, nil
}

// Shop returns the shop as its events tell it.
func (l *Ledger) Shop(ctx context.Context) (custody.Shop, error) {
	s, err := foldShop(ctx, l.db)
	if err != nil {
		return custody.Shop{}, fmt.Errorf("shop: %w", err)
	}
	return s.In(l.zone), nil
}

func foldShop(ctx context.Context, q queryer) (custody.Shop, error) {
	events, err := shopEvents(ctx, q)
	if err != nil {
		return custody.Shop{}, err
	}
	return custody.FoldShop(events), nil
}

// Events returns the events of a case in causal order, or [ErrNotFound]; for ""
// those of the shop, of whose heartbeats only the newest is among them.
func (l *Ledger) Events(ctx context.Context, no custody.CaseNo) ([]custody.Event, error) {
	var events []custody.Event
	var err error
	if no == "" {
		events, err = shopEvents(ctx, l.db)
	} else if events, err = caseEvents(ctx, l.db, no); err == nil && len(events) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("events of %q: %w", no, err)
	}
	return custody.Sort(events), nil
}

// Note returns an event as it was signed, or [ErrNotFound].
func (l *Ledger) Note(ctx context.Context, ref custody.Ref) ([]byte, error) {
	var msg []byte
	err := l.db.QueryRowContext(ctx, `SELECT note FROM events WHERE station = ? AND seq = ?`, ref.Station, ref.Seq).Scan(&msg)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", ref, notFound(err))
	}
	return msg, nil
}

// Newest returns the time of the newest event, by the clocks of the stations
// that wrote them; zero when there is none. A clock that is behind it is wrong,
// and nothing may be destroyed by it.
//
// What arrived before the last heartbeat of this station counts no more: that
// heartbeat was recorded when the clock was not behind, or when a person had looked
// and said that it is right. Without that one event from a clock far ahead would ask
// for a person at every purge until its time has come. The first heartbeat is that of
// setting up, when nobody compared.
func (l *Ledger) Newest(ctx context.Context) (time.Time, error) {
	var ts sql.NullInt64
	err := l.db.QueryRowContext(ctx, `SELECT max(ts) FROM events WHERE n >= (
		SELECT coalesce(max(n), 0) FROM events
		WHERE type = 'heartbeat' AND station = ?1 AND seq > (SELECT min(seq) FROM events WHERE type = 'heartbeat' AND station = ?1))`,
		l.station.Name()).Scan(&ts)
	if err != nil {
		return time.Time{}, fmt.Errorf("newest event: %w", sqlError(err))
	}
	if !ts.Valid {
		return time.Time{}, nil
	}
	return time.Unix(ts.Int64, 0).UTC(), nil
}

// notFound turns the absence of a row into ErrNotFound.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return sqlError(err)
}
