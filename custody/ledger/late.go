package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"salvor/custody"
	"salvor/custody/journal"
)

// A station that is retired may have recorded more than was known of it: its disk comes
// back when it has long been replaced. Whether such an event was signed before the end
// no clock and no signature can tell, since whoever has the key now can sign with any
// date. What can tell is somebody who is trusted and saw it in time:
//
//   - what the retirement itself fixes counts: so many events, and the tree that the
//     event which says so names as that log's head, and
//   - what another station names as a head of that log in an event that it recorded
//     before it knew of the retirement: it held those very events then.
//
// Everything behind that is not taken in. It is an alarm, [LateError], which names the
// cases that those events speak of: a purge of one of them stops, since one of the
// events may be a hold, and no other purge does. The alarm is there until a person has
// looked at the log and settled ([Ledger.Settle]) that it counts, or that it does not.

// A LateError says what a journal shows of a retired station that does not count. It is
// an [ErrRetired].
type LateError struct {
	Station  string
	From, To int64            // places of the events that do not count
	Root     custody.Hash     // of the log with them
	Cases    []custody.CaseNo // which they speak of, sorted
	Err      error            // why they could not be read; nil when they could, and Cases is complete
}

// Error names the events and the cases.
func (e *LateError) Error() string {
	s := fmt.Sprintf("%v: events %d to %d of %s", ErrRetired, e.From, e.To, e.Station)
	switch {
	case e.From > e.To:
		s = fmt.Sprintf("%v: the log of %s is not the one that was known", ErrRetired, e.Station)
	case e.From == e.To:
		s = fmt.Sprintf("%v: event %d of %s", ErrRetired, e.From, e.Station)
	}
	for i, no := range e.Cases {
		if i == 3 {
			s += " and " + count(int64(len(e.Cases)-i), "more case")
			break
		}
		s += ", " + string(no)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns [ErrRetired] and what could not be read.
func (e *LateError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrRetired}
	}
	return []error{ErrRetired, e.Err}
}

// about says whether one of the events may speak of a case.
func (e *LateError) about(no custody.CaseNo) bool {
	_, named := slices.BinarySearch(e.Cases, no)
	return e.Err != nil || named
}

// unrelated says whether an error of [Ledger.Import] is only about events of retired
// stations that speak of other cases.
func unrelated(err error, no custody.CaseNo) bool {
	var refused *RefusedError
	if isAlarm(err) || !errors.As(err, &refused) {
		return false
	}
	return !slices.ContainsFunc(refused.Refusals, func(r journal.Refusal) bool {
		var late *LateError
		return !errors.As(r.Why, &late) || late.about(no)
	})
}

// A bound is how far the log of a retired station counts, and by which tree.
type bound struct {
	size int64
	root custody.Hash // zero where only the size is known
}

// bounds returns everything that says how far the log of a retired station counts.
func (l *Ledger) bounds(ctx context.Context, q queryer, shop custody.Shop, s custody.Station) ([]bound, error) {
	end := bound{size: s.Retired.Last}
	by, err := eventAt(ctx, q, s.RetiredBy)
	if err != nil {
		return nil, err
	}
	// The event names what its station held of that log: the very events that count.
	if head, ok := by.Heads[s.Station]; ok && head.Size == end.size {
		end.root = head.Root
	}
	list := []bound{end}
	for _, p := range s.Settled {
		if p.Counts {
			list = append(list, bound{p.Last, p.Root})
		}
	}
	names, err := l.others(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, witness := range append(names, l.station.Name()) {
		if x, _ := shop.Station(witness); witness == s.Station || x.Retired != nil {
			continue
		}
		head, ok, err := seenBefore(ctx, q, witness, s)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, bound{head.Size, head.Root})
		}
	}
	return list, nil
}

// logEnds are a retired station and how far its log counts.
type logEnds struct {
	station custody.Station
	bounds  []bound
}

// endsOf returns how far the log of a station counts; no bounds where it is not retired.
func (l *Ledger) endsOf(ctx context.Context, q queryer, shop custody.Shop, name string) (logEnds, error) {
	s, _ := shop.Station(name)
	if s.Retired == nil {
		known, ok := l.ends[name]
		if !ok {
			known.station = s
		}
		return known, nil
	}
	list, err := l.bounds(ctx, q, shop, s)
	return logEnds{s, list}, err
}

// misled says whether the ledger holds another log of a retired station than its
// retirement names: it was signed anew by a thief, and taken in before the retirement was
// known. Of two witnesses that contradict each other nobody can tell, see the audit.
func (l *Ledger) misled(ctx context.Context, q queryer, e logEnds) (bool, error) {
	if len(e.bounds) == 0 || e.bounds[0].root.IsZero() {
		return false, nil
	}
	end := e.bounds[0]
	size, _, err := logEnd(ctx, q, e.station.Station)
	if err != nil || size < end.size {
		return false, err
	}
	root, err := rootAt(ctx, q, e.station.Station, end.size)
	return root != end.root, err
}

// learnEnds adds the stations of which a ledger that was just made holds another log than
// counts, or more of it.
func (l *Ledger) learnEnds(ctx context.Context, ends map[string]logEnds) error {
	shop, err := foldShop(ctx, l.db)
	if err != nil {
		return err
	}
	for _, s := range shop.Stations {
		e, err := l.endsOf(ctx, l.db, shop, s.Station)
		if err != nil {
			return err
		}
		wrong, err := l.misled(ctx, l.db, e)
		if err != nil {
			return err
		}
		size, _, err := logEnd(ctx, l.db, s.Station)
		if err != nil {
			return err
		}
		if wrong || len(e.bounds) > 0 && size > farthest(e.bounds) {
			ends[s.Station] = e
		}
	}
	return nil
}

// seenBefore returns what the last event of a witness that did not know of a retirement
// names as the head of the retired station's log. What a station knows only grows, so
// that event is found by halving.
func seenBefore(ctx context.Context, q queryer, witness string, s custody.Station) (head custody.Head, ok bool, err error) {
	size, _, err := logEnd(ctx, q, witness)
	if err != nil {
		return head, false, err
	}
	at := func(seq int64) (custody.Event, error) {
		return eventAt(ctx, q, custody.Ref{Station: witness, Seq: seq})
	}
	before := sort.Search(int(size), func(i int) bool {
		e, rerr := at(int64(i) + 1)
		err = errors.Join(err, rerr)
		return knew(e, s.RetiredBy) || e.Ref() == s.RetiredBy
	})
	if err != nil || before == 0 {
		return head, false, err
	}
	e, err := at(int64(before))
	head, ok = e.Heads[s.Station]
	return head, ok, err
}

// eventAt returns one event that the ledger holds.
func eventAt(ctx context.Context, q queryer, ref custody.Ref) (custody.Event, error) {
	return decodeRow(q.QueryRowContext(ctx, `SELECT `+eventColumns+` FROM events WHERE station = ? AND seq = ?`, ref.Station, ref.Seq).Scan)
}

// farthest is the largest size among bounds.
func farthest(list []bound) (size int64) {
	for _, b := range list {
		size = max(size, b.size)
	}
	return size
}

// settled says that somebody has looked at this very log, and that nothing of it which
// counts is missing here.
func (x *importing) settled() bool {
	return x.bounds != nil && x.have >= farthest(x.bounds) && x.station.Dismissed(x.cp.Size, x.cp.Root)
}

// lateness is the alarm about events that do not count.
func (x *importing) lateness(events []incoming) *LateError {
	e := &LateError{Station: x.p.name, From: farthest(x.bounds) + 1, To: x.cp.Size, Root: x.cp.Root}
	for _, in := range events {
		switch {
		case in.newer:
			e.Err = ErrNewerEvent
		case in.event.Case != "":
			e.Cases = append(e.Cases, in.event.Case)
		}
	}
	slices.Sort(e.Cases)
	e.Cases = slices.Compact(e.Cases)
	return e
}

// late turns what is wrong with the log of a retired station, of which everything that
// counts is here, into the alarm that can be settled.
func (x *importing) late(err error) error {
	var r journal.Refusal
	if x.bounds == nil || x.have < farthest(x.bounds) || isAlarm(err) || !errors.As(err, &r) {
		return err
	}
	late := x.lateness(nil)
	late.Err = r.Why
	r.Why = late
	return r
}

// inOrder puts logs in the order in which they are taken in: own events before what others
// say of them; retired stations behind the others, who may have seen what of theirs counts;
// and a station whose new events retire another before that one: whoever hears of a
// retirement and of what a thief has recorded since in one exchange takes in nothing of
// that. Of two that retire each other either may be the first; it is an alarm.
func (l *Ledger) inOrder(ctx context.Context, shop custody.Shop, logs []*importing) ([]*importing, error) {
	slices.SortStableFunc(logs, func(a, b *importing) int {
		return cmp.Compare(l.turn(shop, a.p.name), l.turn(shop, b.p.name))
	})
	fresh := 0
	for _, x := range logs {
		if x.published && x.cp.Size > x.have {
			fresh++
		}
	}
	if fresh < 2 {
		return logs, nil
	}
	retirers := make(map[string][]*importing)
	for _, x := range logs {
		list, err := x.retires(ctx)
		if err != nil {
			return nil, err
		}
		for _, retired := range list {
			retirers[retired] = append(retirers[retired], x)
		}
	}
	var order []*importing
	done := make(map[*importing]bool)
	var put func(x *importing)
	put = func(x *importing) {
		if done[x] {
			return
		}
		done[x] = true
		for _, by := range retirers[x.p.name] {
			put(by)
		}
		order = append(order, x)
	}
	for _, x := range logs {
		put(x)
	}
	return order, nil
}

// turn is when the log of a station is taken in, where no new event says otherwise.
func (l *Ledger) turn(shop custody.Shop, name string) int {
	switch s, _ := shop.Station(name); {
	case name == l.station.Name():
		return 0
	case s.Retired == nil:
		return 1
	}
	return 2
}

// retires lists the stations that new events of this one retire. They are not checked yet:
// they decide of nothing but the order, and what is wrong with them is said when they are
// taken in.
func (x *importing) retires(ctx context.Context) (list []string, err error) {
	files, _, err := x.j.Files(x.p.name)
	if errors.As(err, new(journal.Refusal)) {
		return nil, nil
	}
	files = slices.DeleteFunc(files, func(f journal.File) bool { return f.Seq <= x.have || f.Seq > x.cp.Size })
	if err != nil || len(files) == 0 {
		return nil, err
	}
	from, err := x.j.Events(x.p.name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		msg, err := from.Read(f)
		if errors.As(err, new(journal.Refusal)) {
			continue
		}
		if err != nil {
			return nil, err
		}
		text, ok := noteText(msg)
		if !ok || !bytes.Contains(text, []byte(custody.TypeStationRetired)) {
			continue
		}
		if e, err := custody.DecodeEvent(text); err == nil {
			if p, ok := e.Pub.(custody.StationRetired); ok {
				list = append(list, p.Station)
			}
		}
	}
	return list, nil
}

// A Settlement is a person's word about the log of a retired station: that its events
// count, or that what of them does not count is to be left alone.
type Settlement struct {
	Station string
	Counts  bool
	UpTo    int64 // the place of the last one that counts; 0: all of them
	Reason  string
}

// Settle records a person's word about the log of a retired station as a journal shows
// it now. The alarm about it then ends at every station that hears of it, as long as the
// log stays what it is; where only its first part counts, about the rest there is one
// again. Events that count are taken in by the next [Ledger.Import]; they must all be
// there and believed. It returns [ErrNotFound] when UpTo is none of them.
func (l *Ledger) Settle(ctx context.Context, op string, s Settlement, j *journal.Journal) (custody.StationSettled, error) {
	p, err := l.settlement(ctx, s, j)
	if err == nil {
		_, err = l.Append(ctx, op, Entry{Pub: p, Private: map[string]string{custody.FieldReason: s.Reason}})
	}
	if err != nil {
		return custody.StationSettled{}, fmt.Errorf("settle the log of station %s: %w", s.Station, err)
	}
	return p, nil
}

func (l *Ledger) settlement(ctx context.Context, s Settlement, j *journal.Journal) (custody.StationSettled, error) {
	settled := custody.StationSettled{Station: s.Station, Counts: s.Counts}
	x, shop, err := l.lateLog(ctx, s.Station, j)
	if err != nil {
		return settled, err
	}
	settled.Last, settled.Root = x.cp.Size, x.cp.Root
	if known, _ := shop.Station(s.Station); !s.Counts || known.Retired == nil || x.cp.Size <= x.have {
		return settled, nil // the rules say what is wrong with that
	}
	if s.UpTo != 0 && (s.UpTo <= x.have || s.UpTo > x.cp.Size) {
		return settled, fmt.Errorf("event %d of those from %d to %d: %w", s.UpTo, x.have+1, x.cp.Size, ErrNotFound)
	}
	batch, err := l.readBatch(ctx, j, x.p, x.have, x.cp.Size, x.leaf)
	if err != nil {
		return settled, err
	}
	if _, err := l.grow(ctx, x.p, x.have, batch, []bound{{x.cp.Size, x.cp.Root}}); err != nil || s.UpTo == 0 {
		return settled, err
	}
	part, err := l.grow(ctx, x.p, x.have, batch[:s.UpTo-x.have], nil)
	if err != nil {
		return settled, err
	}
	settled.Last = s.UpTo
	settled.Root, err = part.root()
	return settled, err
}

// lateLog is what a journal shows of a station, and what the ledger holds of it.
func (l *Ledger) lateLog(ctx context.Context, station string, j *journal.Journal) (*importing, custody.Shop, error) {
	if err := l.checkShop(ctx, j); err != nil {
		return nil, custody.Shop{}, err
	}
	known, shop, err := l.peers(ctx, l.db)
	if err != nil {
		return nil, shop, err
	}
	p, ok := known[station]
	if !ok {
		return nil, shop, custody.ErrNoStation
	}
	x, err := l.look(ctx, j, p, nil)
	return x, shop, err
}

// LateEvents returns the events of a station in a journal that this ledger does not hold,
// of a version that it knows: what a person looks at who settles whether they count.
// Their signatures are the station's; nothing says when they were made.
func (l *Ledger) LateEvents(ctx context.Context, station string, j *journal.Journal) ([]custody.Event, error) {
	x, _, err := l.lateLog(ctx, station, j)
	var batch []incoming
	if err == nil && x.cp.Size > x.have {
		batch, err = l.readBatch(ctx, j, x.p, x.have, x.cp.Size, x.leaf)
	}
	if err != nil {
		return nil, fmt.Errorf("the log of station %s: %w", station, err)
	}
	var events []custody.Event
	for _, in := range batch {
		if !in.newer {
			events = append(events, in.event)
		}
	}
	return events, nil
}
