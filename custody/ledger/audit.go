package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"salvor/custody"
)

// maxFaults bounds what an audit reports: a thousand faults say as much as a
// million.
const maxFaults = 1000

// An AuditResult is what an audit found.
type AuditResult struct {
	Events     int64 // that were checked
	Cases      int
	Checkpoint custody.Checkpoint // zero when there is no valid one
	Faults     []Fault            // at most a thousand; by event, those without one first
}

// A Fault is one thing that is not as the signed events say. Where an event
// can be named, it is.
type Fault struct {
	Ref  custody.Ref  // zero when no event can be named
	Type custody.Type // "" when the event's type cannot be known
	What string
}

// String returns the fault as "T1/7 (hold.added): what".
func (f Fault) String() string {
	switch {
	case f.Ref == custody.Ref{}:
		return f.What
	case f.Type == "":
		return f.Ref.String() + ": " + f.What
	}
	return f.Ref.String() + " (" + string(f.Type) + "): " + f.What
}

// Audit checks everything: SQLite's own integrity, that the guard rails stand,
// every signature, the sequence and its links, the tree and the checkpoint,
// the commitments of the private parts, and that every derived row is what the
// events give. It reads one state of the file while others may write.
//
// It returns [ErrAudit] together with a result that names the faults when there
// are any, and another error when it could not be carried out. It takes the
// signing keys from the station, never from the ledger.
func (l *Ledger) Audit(ctx context.Context) (AuditResult, error) {
	a := auditing{station: l.station}
	if err := l.snapshot(ctx, func(conn queryer) error { a.conn = conn; return a.run(ctx) }); err != nil {
		return a.result, fmt.Errorf("audit: %w", err)
	}
	slices.SortFunc(a.result.Faults, func(x, y Fault) int {
		return cmp.Or(cmp.Compare(x.Ref.Station, y.Ref.Station), cmp.Compare(x.Ref.Seq, y.Ref.Seq), cmp.Compare(x.What, y.What))
	})
	if n := len(a.result.Faults); n > 0 {
		return a.result, fmt.Errorf("%w: %d faults, the first: %s", ErrAudit, n, a.result.Faults[0])
	}
	return a.result, nil
}

type auditing struct {
	conn    queryer
	station Station
	result  AuditResult
	events  []audited              // of the own station, in their sequence
	erased  map[custody.Ref]bool   // named by a private.erased
	cases   []custody.CaseNo       // in the order of their first event
	attests map[string]attestEvent // by id

	unreadable bool // a table is not as it should be: nothing more can be checked
}

// audited is what the audit keeps of each event.
type audited struct {
	kind   custody.Type
	leaf   custody.Hash // zero when nothing trustworthy says it
	commit custody.Hash // zero when it has no private part
	read   bool         // signed and decoded: kind and commit are what was signed
	sane   bool         // and in its place, with all that belongs beside it
}

type attestEvent struct {
	ref    custody.Ref
	sha256 custody.Hash
}

func (a *auditing) fault(ref custody.Ref, t custody.Type, format string, args ...any) {
	if len(a.result.Faults) < maxFaults {
		a.result.Faults = append(a.result.Faults, Fault{ref, t, fmt.Sprintf(format, args...)})
	}
}

func (a *auditing) run(ctx context.Context) error {
	a.erased = make(map[custody.Ref]bool)
	a.attests = make(map[string]attestEvent)
	for _, check := range []func(context.Context) error{
		a.checkFile, a.checkSchema, a.checkSelf, a.checkEvents, a.checkTree, a.checkPrivate, a.checkCases, a.checkAttests,
	} {
		if err := check(ctx); err != nil {
			return err
		}
		if a.unreadable {
			return nil
		}
	}
	return nil
}

// checkFile asks SQLite whether the file is whole.
func (a *auditing) checkFile(ctx context.Context) error {
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var line string
		if err := scan(&line); err != nil {
			return sqlError(err)
		}
		if line != "ok" {
			a.fault(custody.Ref{}, "", "file: %s", line)
		}
		return nil
	}, `PRAGMA integrity_check(100)`)
	if err != nil {
		return err
	}
	return each(ctx, a.conn, func(scan func(...any) error) error {
		var table, parent string
		var row, key sql.NullInt64
		if err := scan(&table, &row, &parent, &key); err != nil {
			return sqlError(err)
		}
		a.fault(custody.Ref{}, "", "row %d of %s has no row in %s", row.Int64, table, parent)
		return nil
	}, `PRAGMA foreign_key_check`)
}

// checkSchema compares tables, indexes and triggers with those that this
// version makes.
func (a *auditing) checkSchema(ctx context.Context) error {
	want, err := freshSchema(ctx)
	if err != nil {
		return err
	}
	have, err := readSchema(ctx, a.conn)
	if err != nil {
		return err
	}
	for name, text := range want {
		got, ok := have[name]
		switch {
		case !ok:
			a.fault(custody.Ref{}, "", "%s is missing", name)
		case got != text:
			a.fault(custody.Ref{}, "", "%s was changed", name)
		default:
			continue
		}
		a.unreadable = a.unreadable || strings.HasPrefix(name, "table ")
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			a.fault(custody.Ref{}, "", "%s does not belong here", name)
		}
	}
	return nil
}

// freshSchema makes a ledger in memory and returns its schema.
func freshSchema(ctx context.Context) (_ map[string]string, err error) {
	db := sql.OpenDB(connector{"file::memory:?mode=memory"})
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, sqlError(err)
	}
	return readSchema(ctx, db)
}

func readSchema(ctx context.Context, q queryer) (map[string]string, error) {
	objects := make(map[string]string)
	err := each(ctx, q, func(scan func(...any) error) error {
		var kind, name, text string
		if err := scan(&kind, &name, &text); err != nil {
			return sqlError(err)
		}
		what := kind + " " + name
		if kind == "trigger" {
			what = "guard rail " + name
		}
		objects[what] = text
		return nil
	}, `SELECT type, name, coalesce(sql, '') FROM sqlite_schema`)
	return objects, err
}

func (a *auditing) checkSelf(ctx context.Context) error {
	var shop, station, verifier string
	err := a.conn.QueryRowContext(ctx, `SELECT shop, station, verifier FROM self`).Scan(&shop, &station, &verifier)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return sqlError(err)
	}
	if shop != a.station.Shop() || station != a.station.Name() || verifier != a.station.Verifier() {
		a.fault(custody.Ref{}, "", "the ledger does not name its station rightly")
	}
	return nil
}

// eventRow is a stored event with everything that stands beside it.
type eventRow struct {
	n, seq, ts            int64
	station, id, kind, no string
	leaf, msg             []byte

	event custody.Event
	sum   custody.Hash
	err   error
}

// checkEvents reads every event in the order of its station's log. Signatures
// are checked in batches on all processors; sequence and links one by one.
func (a *auditing) checkEvents(ctx context.Context) error {
	batch := make([]eventRow, 0, 1024)
	follow := following{ids: make(map[string]bool), heads: make(map[custody.CaseNo]custody.Ref)}
	flush := func() {
		a.open(batch)
		for i := range batch {
			a.checkEvent(&batch[i], &follow)
		}
		batch = batch[:0]
	}
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var r eventRow
		if err := scan(&r.n, &r.station, &r.seq, &r.id, &r.ts, &r.kind, &r.no, &r.leaf, &r.msg); err != nil {
			return sqlError(err)
		}
		if batch = append(batch, r); len(batch) == cap(batch) {
			flush()
		}
		return nil
	}, `SELECT n, station, seq, id, ts, type, coalesce(case_no, ''), leaf, note FROM events ORDER BY station, seq`)
	flush()
	return err
}

// open checks the signatures of a batch and decodes it.
func (a *auditing) open(batch []eventRow) {
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(batch); i += workers {
				r := &batch[i]
				var text string
				if text, r.err = a.station.OpenNote(r.msg); r.err != nil {
					r.err = fmt.Errorf("its signature is not the station's: %w", r.err)
					continue
				}
				r.sum = custody.Leaf([]byte(text))
				r.event, r.err = custody.DecodeEvent([]byte(text))
			}
		})
	}
	wg.Wait()
}

// following is what the next event of a log must fit to.
type following struct {
	n     int64 // place in the order of arrival
	ids   map[string]bool
	heads map[custody.CaseNo]custody.Ref // newest event of each case
}

// checkEvent takes the next event of the log. What is wrong with one event is
// told of that one alone: the link of the event after it says which bytes it
// had, so faults do not run on to the end of the log.
func (a *auditing) checkEvent(r *eventRow, follow *following) {
	ref, kind := custody.Ref{Station: r.station, Seq: r.seq}, custody.Type(r.kind)
	a.result.Events++
	if r.station != a.station.Name() {
		a.fault(ref, kind, "it is of a station that this ledger does not take in")
		return
	}
	for next := int64(len(a.events)) + 1; next < r.seq && len(a.result.Faults) < maxFaults; next++ {
		a.fault(custody.Ref{Station: r.station, Seq: next}, "", "the event is missing")
		a.events = append(a.events, audited{})
	}
	if r.seq != int64(len(a.events))+1 {
		a.fault(ref, kind, "it stands out of its order")
		return
	}
	e := r.event
	got := audited{kind: kind, leaf: r.sum}
	if r.err == nil && e.Ref() == ref {
		kind, got.kind = e.Type(), e.Type()
		got.commit, got.read = e.Commit, true
		if i := len(a.events) - 1; i >= 0 && !a.events[i].sane {
			a.events[i].leaf = e.Prev
		}
		a.note(e)
	} else {
		got.leaf = custody.Hash{}
	}
	if fault := a.unfit(r, follow); fault != "" {
		a.fault(ref, kind, "%s", fault)
	} else {
		got.sane = true
	}
	a.events = append(a.events, got)
	follow.n = max(follow.n, r.n)
	follow.ids[r.id] = true
	if r.no != "" {
		follow.heads[custody.CaseNo(r.no)] = ref
	}
}

// unfit says why an event does not fit to those before it; "" when it does.
func (a *auditing) unfit(r *eventRow, follow *following) string {
	e := r.event
	switch {
	case r.err != nil:
		return r.err.Error()
	case e.Ref() != custody.Ref{Station: r.station, Seq: r.seq}:
		return "the event in its place is " + e.Ref().String()
	case len(a.events) > 0 && a.events[len(a.events)-1].sane && e.Prev != a.events[len(a.events)-1].leaf:
		return "the event before it is not the one that it follows"
	case !bytes.Equal(r.leaf, r.sum[:]):
		return "its stored hash is not that of its bytes"
	case e.ID != r.id || e.TS.Unix() != r.ts || string(e.Type()) != r.kind || string(e.Case) != r.no:
		return "id, time, type or case beside it are not those that were signed"
	case follow.ids[e.ID]:
		return "another event has its id"
	case r.n <= follow.n:
		return "it arrived before an event that it follows"
	case !a.namesHeads(e, follow):
		return "the events of its case that it names are not those that were there"
	}
	return ""
}

// namesHeads says whether an event names the newest event of its case, as every
// event that this station wrote does. One that it names and that is missing or
// damaged has been told already.
func (a *auditing) namesHeads(e custody.Event, follow *following) bool {
	for _, r := range e.CaseHeads {
		if r.Station == a.station.Name() && r.Seq <= int64(len(a.events)) && !a.events[r.Seq-1].sane {
			return true
		}
	}
	head, ok := follow.heads[e.Case]
	if !ok || e.Case == "" {
		return len(e.CaseHeads) == 0
	}
	return slices.Equal(e.CaseHeads, []custody.Ref{head})
}

// note keeps what later checks compare with.
func (a *auditing) note(e custody.Event) {
	switch p := e.Pub.(type) {
	case custody.PrivateErased:
		for _, r := range p.Events {
			a.erased[r] = true
		}
	case custody.AttestIssued:
		a.attests[p.Attest] = attestEvent{e.Ref(), p.SHA256}
	}
}

// checkTree computes the tree again and compares it with the stored one and
// with the checkpoint.
func (a *auditing) checkTree(ctx context.Context) error {
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for k, i := range indexes {
			out[k] = hashes[i]
		}
		return out, nil
	})
	stored := (&stationLog{tx: a.conn, station: a.station}).reader(ctx)
	for i, e := range a.events {
		// Of an event that is missing or damaged only the stored tree may know
		// the hash. If the tree is wrong too, the checkpoint tells.
		if e.leaf.IsZero() {
			leaf, err := stored.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(i))})
			if err != nil && !errors.Is(err, ErrCorrupt) {
				return err
			}
			if err == nil {
				e.leaf = custody.Hash(leaf[0])
			}
		}
		more, err := tlog.StoredHashesForRecordHash(int64(i), tlog.Hash(e.leaf), reader)
		if err != nil {
			return err
		}
		hashes = append(hashes, more...)
	}
	last := custody.Ref{Station: a.station.Name(), Seq: int64(len(a.events))}
	next := int64(0)
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var station string
		var i int64
		var h []byte
		if err := scan(&station, &i, &h); err != nil {
			return sqlError(err)
		}
		if station != a.station.Name() || i < 0 || i >= int64(len(hashes)) {
			a.fault(custody.Ref{}, "", "the tree has a hash of no event")
			return nil
		}
		for ; next < i; next++ {
			a.treeFault(next, "its hash in the tree is missing")
		}
		if next = i + 1; !bytes.Equal(h, hashes[i][:]) {
			a.treeFault(i, "its hash in the tree is not that of its bytes")
		}
		return nil
	}, `SELECT station, i, hash FROM tree ORDER BY station, i`)
	if err != nil {
		return err
	}
	for ; next < int64(len(hashes)); next++ {
		a.treeFault(next, "its hash in the tree is missing")
	}
	cp, _, err := readCheckpoint(ctx, a.conn, a.station)
	if errors.Is(err, ErrCorrupt) {
		a.fault(last, a.at(last).kind, "the checkpoint over it: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	a.result.Checkpoint = cp
	for seq := last.Seq + 1; seq <= cp.Size && len(a.result.Faults) < maxFaults; seq++ {
		a.fault(custody.Ref{Station: last.Station, Seq: seq}, "", "the event is missing: the checkpoint counts it")
	}
	if cp.Size < last.Seq {
		a.fault(last, a.at(last).kind, "the checkpoint counts only %d events", cp.Size)
	}
	if cp.Size == last.Seq {
		root, err := tlog.TreeHash(cp.Size, reader)
		if err != nil {
			return err
		}
		if custody.Hash(root) != cp.Root {
			a.fault(last, a.at(last).kind, "the checkpoint over it is of another log")
		}
	}
	return a.otherCheckpoints(ctx)
}

func (a *auditing) otherCheckpoints(ctx context.Context) error {
	var others int
	err := a.conn.QueryRowContext(ctx, `SELECT count(*) FROM checkpoints WHERE station <> ?`, a.station.Name()).Scan(&others)
	if others > 0 {
		a.fault(custody.Ref{}, "", "there are checkpoints of stations that this ledger does not take in")
	}
	return sqlError(err)
}

// treeFault names the event of a hash: its own for a leaf, the last one below
// it for a node.
func (a *auditing) treeFault(i int64, what string) {
	level, n := tlog.SplitStoredHashIndex(i)
	ref := custody.Ref{Station: a.station.Name(), Seq: (n + 1) << level}
	a.fault(ref, a.at(ref).kind, "%s", what)
}

// at returns what is known of an event; nothing when it is not in the log.
func (a *auditing) at(ref custody.Ref) audited {
	if ref.Station != a.station.Name() || ref.Seq < 1 || ref.Seq > int64(len(a.events)) {
		return audited{}
	}
	return a.events[ref.Seq-1]
}

// checkPrivate compares every private part with the commitment in its event,
// and what is gone with what was erased.
func (a *auditing) checkPrivate(ctx context.Context) error {
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var ref custody.Ref
		var body []byte
		var marked bool
		if err := scan(&ref.Station, &ref.Seq, &body, &marked); err != nil {
			return sqlError(err)
		}
		e := a.at(ref)
		if !e.read {
			return nil // told already
		}
		if fault := unbound(e, body, a.erased[ref], marked); fault != "" {
			a.fault(ref, e.kind, "%s", fault)
		}
		return nil
	}, `SELECT events.station, events.seq, private.body, erased.event IS NOT NULL
		FROM events LEFT JOIN private ON private.event = events.n LEFT JOIN erased ON erased.event = events.n`)
	if err != nil {
		return err
	}
	for ref := range a.erased {
		if a.at(ref).kind == "" {
			a.fault(ref, "", "a private part of it was erased, but there is no such event")
		}
	}
	return nil
}

// unbound says what is wrong with a stored private part; "" when nothing is.
// Body is nil when none is stored, erased when an event says that it was
// erased, marked when the row that remembers this is there.
func unbound(e audited, body []byte, erased, marked bool) string {
	switch {
	case e.commit.IsZero() && (body != nil || erased || marked):
		return "it has no private part, yet one is kept or erased"
	case erased && body != nil:
		return "its private part was erased and is there"
	case erased != marked:
		return "the mark that its private part is erased is not as the events say"
	case body == nil && !erased && !e.commit.IsZero():
		return "its private part is missing and no event erased it"
	case body == nil:
		return ""
	}
	if _, err := openPrivate(e.kind, e.commit, body); err != nil {
		return "its private part is not the one that was recorded"
	}
	return ""
}

// checkCases folds every case again and compares its rows.
func (a *auditing) checkCases(ctx context.Context) error {
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var no custody.CaseNo
		err := scan(&no)
		a.cases = append(a.cases, no)
		return sqlError(err)
	}, `SELECT case_no FROM events WHERE case_no IS NOT NULL UNION SELECT no FROM cases
		UNION SELECT case_no FROM images UNION SELECT case_no FROM holds`)
	if err != nil {
		return err
	}
	for _, no := range a.cases {
		if err := a.checkCase(ctx, no); err != nil {
			return err
		}
	}
	return nil
}

func (a *auditing) checkCase(ctx context.Context, no custody.CaseNo) error {
	events, err := caseEvents(ctx, a.conn, no)
	switch {
	case isContentError(err): // told already
		return nil
	case err != nil:
		return err
	}
	if len(events) == 0 {
		a.fault(custody.Ref{}, "", "case %s: there are rows but no events", no)
		return nil
	}
	a.result.Cases++
	c := custody.FoldCase(no, events)
	newest := custody.Sort(events)[len(events)-1]
	want := caseRowOf(c)
	var got caseRow
	err = a.conn.QueryRowContext(ctx, `SELECT no, station, year, sequence, opened, first_image, deadline, closed, copies
		FROM cases WHERE no = ?`, string(no)).Scan(&got.no, &got.station, &got.year, &got.sequence,
		&got.opened, &got.firstImage, &got.deadline, &got.closed, &got.copies)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		a.fault(newest.Ref(), newest.Type(), "case %s has no row", no)
	case err != nil:
		return sqlError(err)
	case got != want:
		a.fault(newest.Ref(), newest.Type(), "the row of case %s is not what its events say: %s", no, want.difference(got))
	}
	if err := a.checkRows(ctx, `SELECT image, state FROM images WHERE case_no = ?`, no, "image", imageRows(c), newest); err != nil {
		return err
	}
	return a.checkRows(ctx, `SELECT hold, iif(active, 'active', 'ended') FROM holds WHERE case_no = ?`, no, "hold", holdRows(c), newest)
}

// isContentError tells damage that the check of the events has reported from a
// failure to read.
func isContentError(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, custody.ErrEvent) ||
		errors.Is(err, custody.ErrPayload) || errors.Is(err, custody.ErrUnknownType)
}

func (r caseRow) difference(got caseRow) string {
	switch {
	case r.deadline != got.deadline:
		return "deadline"
	case r.firstImage != got.firstImage:
		return "first image"
	case r.copies != got.copies:
		return "copies"
	case r.closed != got.closed:
		return "closed"
	case r.opened != got.opened:
		return "opened"
	}
	return "number"
}

// derived is what a row should say and the event that says it.
type derived struct {
	state string
	ref   custody.Ref
}

func imageRows(c custody.Case) map[string]derived {
	rows := make(map[string]derived)
	for _, i := range c.Images {
		ref := i.Ref
		if i.EraseRef != (custody.Ref{}) {
			ref = i.EraseRef
		}
		rows[i.Name] = derived{string(i.State), ref}
	}
	return rows
}

func holdRows(c custody.Case) map[string]derived {
	rows := make(map[string]derived)
	for _, h := range c.Holds {
		if h.Active() {
			rows[h.ID] = derived{"active", h.Ref}
		} else {
			rows[h.ID] = derived{"ended", h.EndRef}
		}
	}
	return rows
}

func (a *auditing) checkRows(ctx context.Context, query string, no custody.CaseNo, what string, want map[string]derived, newest custody.Event) error {
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var name, state string
		if err := scan(&name, &state); err != nil {
			return sqlError(err)
		}
		d, ok := want[name]
		delete(want, name)
		if !ok {
			a.fault(newest.Ref(), newest.Type(), "case %s has a row for %s %s that no event knows", no, what, name)
		} else if d.state != state {
			a.fault(d.ref, a.at(d.ref).kind, "%s %s of case %s is %s, its row says %s", what, name, no, d.state, state)
		}
		return nil
	}, query, string(no))
	for name, d := range want {
		a.fault(d.ref, a.at(d.ref).kind, "%s %s of case %s has no row", what, name, no)
	}
	return err
}

// checkAttests compares the stored attests with the hashes in their events.
func (a *auditing) checkAttests(ctx context.Context) error {
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var id string
		var msg []byte
		if err := scan(&id, &msg); err != nil {
			return sqlError(err)
		}
		// An attest without event was stored just before a crash.
		if e, ok := a.attests[id]; ok && custody.Hash(sha256.Sum256(msg)) != e.sha256 {
			a.fault(e.ref, custody.TypeAttestIssued, "the stored attest is not the one that was issued")
		}
		delete(a.attests, id)
		return nil
	}, `SELECT id, note FROM attests`)
	for _, e := range a.attests {
		a.fault(e.ref, custody.TypeAttestIssued, "the attest is missing")
	}
	return err
}
