package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
	"salvor/custody/journal"
)

// maxFaults bounds what an audit reports: a thousand faults say as much as a
// million.
const maxFaults = 1000

// An AuditResult is what an audit found.
type AuditResult struct {
	Events     int64 // that were checked
	Cases      int
	Unopened   int64              // private parts and attests of other stations that have not arrived, or are sealed to others
	Stopped    bool               // a table is not as it should be: nothing was checked but the storage
	Late       int64              // events that a station signed after its retirement and that were here before it was known
	Checkpoint custody.Checkpoint // the own one; zero when there is no valid one
	Faults     []Fault            // at most a thousand; by event, those without one first
}

// A Check is one of the things that an audit looks at.
type Check string

// The checks, each with what it finds to be so when it has no fault.
const (
	CheckStorage    Check = "storage"     // the database file, its tables and guard rails are whole
	CheckSignatures Check = "signatures"  // every event is signed by an enrolled station, and by its operator where he has a key
	CheckSequence   Check = "sequence"    // no event is missing, or there twice
	CheckLinks      Check = "links"       // every event names the one before it, and those of its case that were there
	CheckTree       Check = "tree"        // trees and checkpoints are those of the events
	CheckWitnesses  Check = "witnesses"   // the logs are those that other stations have witnessed
	CheckPrivate    Check = "commitments" // private parts are those that the events bind, and what was erased is gone
	CheckDerived    Check = "projections" // every derived row is what the events give
	CheckAttests    Check = "attests"     // the stored attests are those that were issued
	CheckJournals   Check = "journals"    // the journals that were looked at hold the same
)

// A Fault is one thing that is not as the signed events say. Where an event
// can be named, it is.
type Fault struct {
	Ref   custody.Ref  // zero when no event can be named
	Type  custody.Type // "" when the event's type cannot be known
	What  string
	Check Check // which found it
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

// AuditOptions say how far an audit goes.
type AuditOptions struct {
	// Full checks every signature and every text again. Without it, what an
	// earlier audit of this station has checked is only compared with what it was
	// then, byte for byte; see audited.go for why that is as good.
	Full bool
	// Journals are compared with the ledger: this station's own log, that no event
	// is missing, and with Full the content of every file.
	Journals []*journal.Journal
}

// Audit checks everything: SQLite's own integrity, that the guard rails stand,
// every signature, the sequence and its links, the trees and checkpoints, what
// stations have witnessed of each other, the commitments of the private parts,
// and that every derived row is what the events give. It reads one state of the
// file while others may write, and remembers, signed, what it has checked.
//
// It returns [ErrAudit] together with a result that names the faults when there
// are any, and another error when it could not be carried out. It takes the own
// signing key from the station, never from the ledger, and those of other
// stations from events that a trusted station has signed.
func (l *Ledger) Audit(ctx context.Context) (AuditResult, error) {
	return l.AuditWith(ctx, AuditOptions{})
}

// AuditWith audits with options; see [Ledger.Audit].
func (l *Ledger) AuditWith(ctx context.Context, o AuditOptions) (AuditResult, error) {
	a := auditing{ledger: l, station: l.station, options: o}
	if err := l.snapshot(ctx, func(conn queryer) error { a.conn = conn; return a.run(ctx) }); err != nil {
		return a.result, fmt.Errorf("audit: %w", err)
	}
	a.check = CheckJournals
	for _, j := range o.Journals {
		if err := a.checkJournal(ctx, j); err != nil {
			return a.result, fmt.Errorf("audit: %w", err)
		}
	}
	slices.SortFunc(a.result.Faults, func(x, y Fault) int {
		return cmp.Or(cmp.Compare(x.Ref.Station, y.Ref.Station), cmp.Compare(x.Ref.Seq, y.Ref.Seq), cmp.Compare(x.What, y.What))
	})
	if n := len(a.result.Faults); n > 0 {
		return a.result, fmt.Errorf("%w: %s, the first: %s", ErrAudit, count(int64(n), "fault"), a.result.Faults[0])
	}
	a.remember(ctx)
	return a.result, nil
}

type auditing struct {
	ledger  *Ledger
	conn    queryer
	station Station
	options AuditOptions
	result  AuditResult
	logs    map[string]*auditedLog
	order   []*auditedLog          // the own one first, then as trust goes
	arrived []custody.Ref          // by n, from 1
	erased  map[custody.Ref]bool   // named by a private.erased
	attests map[string]attestEvent // by id
	claims  map[claim]custody.Ref  // heads that somebody has witnessed, and in which event
	shop    custody.Shop
	signers *signers
	cases   map[custody.CaseNo][]byte // keyed hashes of what was checked
	kinds   map[string]custody.Type

	check      Check // that is being carried out
	unreadable bool  // a table is not as it should be: nothing more can be checked
}

// An auditedLog is the log of one station.
type auditedLog struct {
	name     string
	verifier note.Verifier
	key      string
	events   []audited
	covered  int64 // events that an earlier audit has checked, and that are as they were
	digest   hash.Hash
	tree     wholeTree
}

// audited is what the audit keeps of each event.
type audited struct {
	kind   custody.Type
	n      int64
	leaf   custody.Hash // zero when nothing trustworthy says it
	commit custody.Hash // zero when it has no private part
	read   bool         // signed and decoded: kind and commit are what was signed
	sane   bool         // and in its place, with all that belongs beside it
}

type attestEvent struct {
	ref    custody.Ref
	sha256 custody.Hash
}

// A claim is what an event says of another station's log.
type claim struct {
	station string
	head    custody.Head
}

func (a *auditing) fault(ref custody.Ref, t custody.Type, format string, args ...any) {
	a.faultOf(a.check, ref, t, format, args...)
}

// faultOf is a fault of another check than the one that came across it.
func (a *auditing) faultOf(check Check, ref custody.Ref, t custody.Type, format string, args ...any) {
	if len(a.result.Faults) < maxFaults {
		a.result.Faults = append(a.result.Faults, Fault{ref, t, fmt.Sprintf(format, args...), check})
	}
}

func (a *auditing) run(ctx context.Context) error {
	a.erased = make(map[custody.Ref]bool)
	a.attests = make(map[string]attestEvent)
	a.logs = make(map[string]*auditedLog)
	a.claims = make(map[claim]custody.Ref)
	a.cases = make(map[custody.CaseNo][]byte)
	a.kinds = make(map[string]custody.Type)
	a.check = CheckStorage
	if err := a.checkSchema(ctx); err != nil {
		return err
	}
	if a.unreadable {
		a.result.Stopped = true
		faults, err := checkDatabase(ctx, a.conn)
		a.storageFaults(faults)
		return err
	}
	if err := a.checkSelf(ctx); err != nil {
		return err
	}
	wait := sync.OnceValues(a.readAside(ctx))
	defer func() { _, _ = wait() }() // it reads as long as this connection does
	for _, part := range []struct {
		check Check
		do    func(context.Context) error
	}{
		{CheckSignatures, a.checkLogs},
		{CheckWitnesses, a.checkClaims},
		{CheckSequence, a.checkForks},
		{CheckDerived, a.checkCases},
		{CheckAttests, a.checkAttests},
	} {
		a.check = part.check
		if err := part.do(ctx); err != nil {
			return err
		}
	}
	found, err := wait()
	if err != nil {
		return err
	}
	a.storageFaults(found.faults)
	a.check = CheckPrivate
	return a.checkPrivate(ctx, found.parts)
}

// storageFaults puts the faults of the file first: they may explain all others.
func (a *auditing) storageFaults(faults []Fault) {
	all := append(faults, a.result.Faults...)
	a.result.Faults = all[:min(len(all), maxFaults)]
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
	if _, err := db.ExecContext(ctx, schema1+schema2); err != nil {
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
