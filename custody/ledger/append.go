package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/oklog/ulid/v2"

	"salvor/custody"
)

// An Entry is what a caller wants recorded; the ledger makes the event of it.
type Entry struct {
	Type    custody.Type      // may be empty: Pub says it
	Case    custody.CaseNo    // "" for an event of the shop
	Item    string            // number of the item, or ""
	Pub     any               // one of the payload structs of package custody
	Private map[string]string // fields as custody.PrivateFields lists them; empty values are left out
}

// Append records the entries as events of this station, acted by op, in one
// transaction: all of them or none. Each entry is checked against the rules
// ([custody.Allow]) as the entries before it leave the case. When Append
// returns, the events are durable and a signed checkpoint covers them.
//
// An event carries the station's clock, also when that is behind the newest
// event: what happened is recorded. Whoever destroys compares [Ledger.Newest]
// with his clock first.
func (l *Ledger) Append(ctx context.Context, op string, entries ...Entry) ([]custody.Event, error) {
	var events []custody.Event
	err := l.write(ctx, func(tx queryer) error {
		a, err := l.begin(ctx, tx, op)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := a.add(ctx, e); err != nil {
				return err
			}
		}
		events = a.events
		return a.finish(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	return events, nil
}

// OpenCase opens a case under the station's next free number of the year and
// records the entries that the function returns for that number, all in one
// transaction. One of them must be the case.opened.
func (l *Ledger) OpenCase(ctx context.Context, op string, year int, entries func(no custody.CaseNo) []Entry) (custody.CaseNo, error) {
	var no custody.CaseNo
	err := l.write(ctx, func(tx queryer) error {
		var last int
		err := tx.QueryRowContext(ctx, `SELECT coalesce(max(sequence), 0) FROM cases WHERE station = ? AND year = ?`,
			l.station.Name(), year).Scan(&last)
		if err != nil {
			return err
		}
		if no, err = custody.NewCaseNo(l.station.Name(), year, last+1); err != nil {
			return err
		}
		a, err := l.begin(ctx, tx, op)
		if err != nil {
			return err
		}
		for _, e := range entries(no) {
			if err := a.add(ctx, e); err != nil {
				return err
			}
		}
		if t, ok := a.cases[no]; !ok || t.now.Opened.IsZero() {
			return fmt.Errorf("%w: the case is not opened", ErrEntry)
		}
		return a.finish(ctx)
	})
	if err != nil {
		return "", fmt.Errorf("open case: %w", err)
	}
	return no, nil
}

// An appending is one transaction that adds events.
type appending struct {
	l      *Ledger
	tx     queryer
	op     string
	ts     custody.Time
	log    *stationLog
	n      int64 // events of all stations in the ledger
	heads  map[string]custody.Head
	shop   *touched[custody.Shop]
	cases  map[custody.CaseNo]*touched[custody.Case]
	events []custody.Event
}

// touched is a case or the shop with its events as they are in the middle of
// an appending, and the fold over them.
type touched[T any] struct {
	events []custody.Event
	now    T
}

func (l *Ledger) begin(ctx context.Context, tx queryer, op string) (*appending, error) {
	log, err := newLog(ctx, tx, l.station)
	if err != nil {
		return nil, err
	}
	a := &appending{l: l, tx: tx, op: op, ts: l.timestamp(), log: log, cases: make(map[custody.CaseNo]*touched[custody.Case])}
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(n), 0) FROM events`).Scan(&a.n); err != nil {
		return nil, err
	}
	if a.heads, err = l.heads(ctx, tx); err != nil {
		return nil, err
	}
	events, err := shopEvents(ctx, tx)
	if err != nil {
		return nil, err
	}
	a.shop = &touched[custody.Shop]{events, custody.FoldShop(events).In(l.zone)}
	return a, nil
}

// add makes one event: allowed, signed and stored.
func (a *appending) add(ctx context.Context, e Entry) error {
	pub, ok := e.Pub.(custody.Payload)
	if !ok || e.Type != "" && e.Type != pub.Type() {
		return fmt.Errorf("%w: %s: its public part is of another type", ErrEntry, e.Type)
	}
	if pub.Type() == custody.TypePrivateErased {
		return fmt.Errorf("%w: %s: ErasePrivate records it", ErrEntry, pub.Type())
	}
	return a.record(ctx, e, pub)
}

func (a *appending) record(ctx context.Context, e Entry, pub custody.Payload) error {
	id, err := ulid.New(ulid.Timestamp(a.ts.Time), a.l.rand)
	if err != nil {
		return fmt.Errorf("event id: %w", err)
	}
	event := custody.Event{
		ID: id.String(), Station: a.l.station.Name(), Seq: a.log.size + 1, Prev: a.log.leaf, TS: a.ts,
		Case: e.Case, Item: e.Item, Op: a.op, Pub: pub, Heads: a.heads,
	}
	t, err := a.touch(ctx, e.Case)
	if err != nil {
		return err
	}
	if t != nil {
		event.CaseHeads = t.now.Heads
	}
	private, err := custody.EncodePrivate(pub.Type(), e.Private)
	if err != nil {
		return err
	}
	var nonce [custody.NonceSize]byte
	if private != nil {
		if _, err := io.ReadFull(a.l.rand, nonce[:]); err != nil {
			return fmt.Errorf("nonce: %w", err)
		}
		event.Commit = custody.Commit(nonce, private)
	}
	// Encoding checks every value; the rules come after, so that they only see
	// events that could stand.
	text, err := event.Encode()
	if err != nil {
		return err
	}
	if err := a.allow(ctx, t, event, e.Private); err != nil {
		return fmt.Errorf("%s: %w", event.Type(), err)
	}
	if err := a.store(ctx, event, text); err != nil {
		return err
	}
	if private != nil {
		if err := insertPrivate(ctx, a.tx, a.n, nonce, private); err != nil {
			return err
		}
	}
	a.fold(t, event)
	return nil
}

// touch returns a case as it is now, reading its events when the appending
// meets it first; nil for the shop.
func (a *appending) touch(ctx context.Context, no custody.CaseNo) (*touched[custody.Case], error) {
	if no == "" {
		return nil, nil
	}
	if t, ok := a.cases[no]; ok {
		return t, nil
	}
	events, err := caseEvents(ctx, a.tx, no)
	if err != nil {
		return nil, err
	}
	t := &touched[custody.Case]{events, custody.FoldCase(no, events)}
	a.cases[no] = t
	return t, nil
}

func (a *appending) allow(ctx context.Context, t *touched[custody.Case], e custody.Event, private map[string]string) error {
	if p, ok := e.Pub.(custody.OperatorAdded); ok {
		// Operators are found by their login, so it must lead to one of them.
		login := private[custody.FieldLogin]
		if err := custody.CheckLabel(login); err != nil {
			return fmt.Errorf("login of %s: %w", p.Op, err)
		}
		_, err := operatorByLogin(ctx, a.tx, a.shop.now, login)
		if err == nil {
			return fmt.Errorf("login of %s: %w", p.Op, custody.ErrExists)
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	if t == nil {
		return custody.Allow(a.shop.now, custody.Case{}, e, private)
	}
	return custody.Allow(a.shop.now, t.now, e, private)
}

// store signs the event and writes it, with its leaf in the tree.
func (a *appending) store(ctx context.Context, e custody.Event, text []byte) error {
	msg, err := a.sign(e, text)
	if err != nil {
		return err
	}
	if len(msg) > custody.MaxEventBytes {
		return fmt.Errorf("%s: %w: larger than %d bytes", e.Type(), custody.ErrEvent, custody.MaxEventBytes)
	}
	leaf := custody.Leaf(text)
	if _, err := a.tx.ExecContext(ctx,
		`INSERT INTO events (n, station, seq, id, ts, type, case_no, leaf, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		a.n+1, e.Station, e.Seq, e.ID, e.TS.Unix(), string(e.Type()),
		sql.NullString{String: string(e.Case), Valid: e.Case != ""}, leaf[:], msg); err != nil {
		return sqlError(err)
	}
	a.n++
	return a.log.add(ctx, leaf)
}

// fold takes the new event into what the next entry is checked against.
func (a *appending) fold(t *touched[custody.Case], e custody.Event) {
	a.events = append(a.events, e)
	if t == nil {
		a.shop.events = append(a.shop.events, e)
		a.shop.now = custody.FoldShop(a.shop.events).In(a.l.zone)
		return
	}
	t.events = append(t.events, e)
	t.now = custody.FoldCase(e.Case, t.events)
}

// finish brings the projections and the checkpoint up to the new events.
func (a *appending) finish(ctx context.Context) error {
	if len(a.events) == 0 {
		return nil
	}
	for _, t := range a.cases {
		if err := project(ctx, a.tx, t.now); err != nil {
			return err
		}
	}
	return a.log.checkpoint(ctx)
}
