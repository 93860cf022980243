package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"salvor/custody"
	"salvor/custody/journal"
)

// eventRow is a stored event with everything that stands beside it.
type eventRow struct {
	n, seq, ts   int64
	id, kind, no string
	leaf, msg    []byte

	event custody.Event
	sum   custody.Hash
	err   error
}

// checkLogs checks the log of every station, the own one first, and then those
// whose enrolment was found in a log that was checked before: trust goes only
// where a signature takes it.
func (a *auditing) checkLogs(ctx context.Context) error {
	var err error
	if a.shop, err = foldShop(ctx, a.conn); err != nil && !isContentError(err) {
		return err
	}
	a.signers = newSigners(a.shop)
	var names []string
	if err := each(ctx, a.conn, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		names = append(names, name)
		return sqlError(err)
	}, `SELECT station FROM events UNION SELECT station FROM checkpoints UNION SELECT ?`, a.station.Name()); err != nil {
		return err
	}
	var last int64
	if err := a.conn.QueryRowContext(ctx, `SELECT coalesce(max(n), 0) FROM events`).Scan(&last); err != nil {
		return sqlError(err)
	}
	a.arrived = make([]custody.Ref, max(0, min(last, 1<<31)))
	enrolled := map[string]string{a.station.Name(): a.station.Verifier()}
	if root, _, err := a.ledger.rootCard(ctx, a.conn); err == nil {
		enrolled[root.Station] = root.Sign
	} else {
		a.fault(custody.Ref{}, "", "the card of the shop was changed")
	}
	slices.SortFunc(names, func(x, y string) int {
		if x == a.station.Name() {
			return -1
		}
		if y == a.station.Name() {
			return 1
		}
		return strings.Compare(x, y)
	})
	for again := true; again; {
		again = false
		rest := names[:0]
		for _, name := range names {
			key, ok := enrolled[name]
			if !ok {
				rest = append(rest, name)
				continue
			}
			again = true
			log, err := a.checkLog(ctx, name, key)
			if err != nil {
				return err
			}
			if log == nil {
				continue
			}
			if err := a.enrols(ctx, log, enrolled); err != nil {
				return err
			}
		}
		names = rest
	}
	for _, name := range names {
		a.fault(custody.Ref{}, "", "there are events or checkpoints of station %s, which nobody has enrolled", name)
	}
	return nil
}

// enrols adds the stations that a log enrols; the first enrolment of a name counts.
func (a *auditing) enrols(ctx context.Context, log *auditedLog, enrolled map[string]string) error {
	return each(ctx, a.conn, func(scan func(...any) error) error {
		e, err := decodeRow(scan)
		if isContentError(err) {
			return nil // told already
		}
		if err != nil {
			return err
		}
		if p, ok := e.Pub.(custody.StationEnrolled); ok && a.at(e.Ref()).sane {
			if _, known := enrolled[p.Station]; !known {
				enrolled[p.Station] = p.Sign
			}
		}
		return nil
	}, `SELECT `+eventColumns+` FROM events INDEXED BY events_shop WHERE case_no IS NULL AND type <> 'heartbeat' AND type = ? AND station = ? ORDER BY seq`,
		string(custody.TypeStationEnrolled), log.name)
}

func (a *auditing) checkLog(ctx context.Context, name, key string) (*auditedLog, error) {
	verifier := stationVerifier(a.station.Shop(), name, key)
	if verifier == nil {
		a.fault(custody.Ref{}, "", "station %s was enrolled without a key of its own", name)
		return nil, nil
	}
	log := &auditedLog{name: name, verifier: verifier, key: key}
	a.logs[name] = log
	a.order = append(a.order, log)
	fast, err := a.compareLog(ctx, log)
	if err != nil {
		return nil, err
	}
	if !fast {
		*log = auditedLog{name: name, verifier: verifier, key: key, digest: newDigest()}
	}
	a.result.Events += log.covered
	if err := a.checkEvents(ctx, log); err != nil {
		return nil, err
	}
	if err := a.checkTree(ctx, log); err != nil {
		return nil, err
	}
	for i, e := range log.events {
		if e.n >= 1 && e.n <= int64(len(a.arrived)) {
			a.arrived[e.n-1] = custody.Ref{Station: name, Seq: int64(i + 1)}
		}
	}
	return log, nil
}

const auditQuery = `SELECT n, seq, id, ts, type, coalesce(case_no, ''), leaf, note FROM events WHERE station = ? AND seq > ? ORDER BY seq`

// checkEvents reads the events behind those that are covered, in the order of
// their log. Signatures are checked in batches on all processors; sequence and
// links one by one.
func (a *auditing) checkEvents(ctx context.Context, log *auditedLog) error {
	batch := make([]eventRow, 0, 1024)
	follow := following{n: 0, ids: make(map[string]bool)}
	if len(log.events) > 0 {
		follow.n = log.events[len(log.events)-1].n
	}
	flush := func() {
		a.open(log, batch)
		for i := range batch {
			a.checkEvent(log, &batch[i], &follow)
		}
		batch = batch[:0]
	}
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var r eventRow
		if err := scan(&r.n, &r.seq, &r.id, &r.ts, &r.kind, &r.no, &r.leaf, &r.msg); err != nil {
			return sqlError(err)
		}
		if batch = append(batch, r); len(batch) == cap(batch) {
			flush()
		}
		return nil
	}, auditQuery, log.name, log.covered)
	flush()
	return err
}

// open checks the signatures of a batch and decodes it.
func (a *auditing) open(log *auditedLog, batch []eventRow) {
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(batch); i += workers {
				batch[i].err = a.openRow(log, &batch[i])
			}
		})
	}
	wg.Wait()
}

func (a *auditing) openRow(log *auditedLog, r *eventRow) error {
	n, err := openAs(log.verifier, r.msg)
	if err != nil {
		return fmt.Errorf("its signature is not the station's: %w", err)
	}
	r.sum = custody.Leaf([]byte(n.Text))
	if text, ok := noteText(r.msg); !ok || string(text) != n.Text {
		return journal.ErrMalformed
	}
	if r.event, err = custody.DecodeEvent([]byte(n.Text)); err != nil {
		return err
	}
	return a.signers.check(r.event, r.msg)
}

// following is what the next event of a log must fit to.
type following struct {
	n   int64 // place in the order of arrival
	ids map[string]bool
}

// checkEvent takes the next event of the log. What is wrong with one event is
// told of that one alone: the link of the event after it says which bytes it
// had, so faults do not run on to the end of the log.
func (a *auditing) checkEvent(log *auditedLog, r *eventRow, follow *following) {
	ref, kind := custody.Ref{Station: log.name, Seq: r.seq}, custody.Type(r.kind)
	a.result.Events++
	for next := int64(len(log.events)) + 1; next < r.seq && len(a.result.Faults) < maxFaults; next++ {
		a.faultOf(CheckSequence, custody.Ref{Station: log.name, Seq: next}, "", "the event is missing")
		log.events = append(log.events, audited{})
	}
	if r.seq != int64(len(log.events))+1 {
		a.faultOf(CheckSequence, ref, kind, "it stands out of its order")
		return
	}
	e := r.event
	got := audited{kind: kind, n: r.n, leaf: r.sum}
	if e.Pub != nil && e.Ref() == ref {
		kind, got.kind = e.Type(), e.Type()
		got.commit, got.read = e.Commit, true
		if i := len(log.events) - 1; i >= 0 && !log.events[i].sane {
			log.events[i].leaf = e.Prev
		}
		a.note(e)
	} else {
		got.leaf = custody.Hash{}
	}
	if check, fault := unfit(log, r, follow); fault != "" {
		a.faultOf(check, ref, kind, "%s", fault)
	} else {
		got.sane = true
	}
	if s, _ := a.shop.Station(log.name); !s.Counts(r.seq) {
		a.result.Late++
	}
	log.events = append(log.events, got)
	addDigest(log, r.msg)
	follow.n = max(follow.n, r.n)
	follow.ids[r.id] = true
}

// unfit says which check an event does not pass and why; "" when it fits.
func unfit(log *auditedLog, r *eventRow, follow *following) (Check, string) {
	e := r.event
	switch {
	case r.err != nil:
		return CheckSignatures, r.err.Error()
	case e.Ref() != custody.Ref{Station: log.name, Seq: r.seq}:
		return CheckSequence, "the event in its place is " + e.Ref().String()
	case len(log.events) > 0 && log.events[len(log.events)-1].sane && e.Prev != log.events[len(log.events)-1].leaf:
		return CheckLinks, "the event before it is not the one that it follows"
	case !bytes.Equal(r.leaf, r.sum[:]):
		return CheckTree, "its stored hash is not that of its bytes"
	case e.ID != r.id || e.TS.Unix() != r.ts || string(e.Type()) != r.kind || string(e.Case) != r.no:
		return CheckDerived, "id, time, type or case beside it are not those that were signed"
	case follow.ids[e.ID]:
		return CheckSequence, "another event has its id"
	case r.n <= follow.n:
		return CheckSequence, "it arrived before an event that it follows"
	}
	return "", ""
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
	for name, head := range e.Heads {
		if _, ok := a.claims[claim{name, head}]; !ok {
			a.claims[claim{name, head}] = e.Ref()
		}
	}
}

// A wholeTree is the tree over a log, with every hash that is stored of it, in
// the order in which package tlog numbers them.
type wholeTree struct {
	hashes []tlog.Hash
	edge   []tlog.Hash // the newest complete subtree of each level
	size   int64
}

func (t *wholeTree) add(leaf tlog.Hash) {
	h := leaf
	t.hashes = append(t.hashes, h)
	level := 0
	for ; t.size>>level&1 == 1; level++ {
		h = tlog.NodeHash(t.edge[level], h)
		t.hashes = append(t.hashes, h)
	}
	if level == len(t.edge) {
		t.edge = append(t.edge, h)
	} else {
		t.edge[level] = h
	}
	t.size++
}

// ReadHashes implements tlog.HashReader.
func (t *wholeTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for k, i := range indexes {
		if i < 0 || i >= int64(len(t.hashes)) {
			return nil, ErrCorrupt
		}
		out[k] = t.hashes[i]
	}
	return out, nil
}

func (t *wholeTree) root(size int64) (custody.Hash, error) {
	root, err := tlog.TreeHash(size, t)
	return custody.Hash(root), err
}

// checkTree computes the tree of a log and compares it with the stored one and
// with the checkpoint.
func (a *auditing) checkTree(ctx context.Context, log *auditedLog) error {
	check := a.check
	a.check = CheckTree
	defer func() { a.check = check }()
	stored := treeReader(ctx, a.conn, log.name)
	for i := log.tree.size; i < int64(len(log.events)); i++ {
		leaf := log.events[i].leaf
		// Of an event that is missing or damaged only the stored tree may know
		// the hash. If the tree is wrong too, the checkpoint tells.
		if leaf.IsZero() {
			known, err := stored.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
			if err != nil && !errors.Is(err, ErrCorrupt) {
				return err
			}
			if err == nil {
				leaf = custody.Hash(known[0])
			}
		}
		log.tree.add(tlog.Hash(leaf))
	}
	if err := a.compareTree(ctx, log); err != nil {
		return err
	}
	return a.checkCheckpoint(ctx, log)
}

// treeChunk is how many hashes of the stored tree are compared at once.
const treeChunk = 512

// compareTree compares the stored hashes, many at a time, and one by one where
// that shows a difference.
func (a *auditing) compareTree(ctx context.Context, log *auditedLog) error {
	hashes := log.tree.hashes
	buf := make([]byte, 0, treeChunk*tlog.HashSize)
	var stray bool
	if err := a.conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM tree WHERE station = ?1 AND i < 0)
		OR EXISTS (SELECT 1 FROM tree WHERE station = ?1 AND i >= ?2)`, log.name, len(hashes)).Scan(&stray); err != nil {
		return sqlError(err)
	}
	for i := 0; i < len(hashes) && !stray; i += treeChunk {
		chunk := hashes[i:min(i+treeChunk, len(hashes))]
		buf = buf[:0]
		for _, h := range chunk {
			buf = append(buf, h[:]...)
		}
		if err := each(ctx, a.conn, func(scan func(...any) error) error {
			var n int
			var got sql.RawBytes
			err := scan(&n, &got)
			stray = n != len(chunk) || !bytes.Equal(buf, got)
			return sqlError(err)
		}, `SELECT count(*), CAST(group_concat(hash, '') AS BLOB) FROM (SELECT hash FROM tree WHERE station = ? AND i >= ? AND i < ? ORDER BY i)`,
			log.name, i, i+len(chunk)); err != nil {
			return err
		}
	}
	if stray {
		return a.compareHashes(ctx, log)
	}
	return nil
}

func (a *auditing) compareHashes(ctx context.Context, log *auditedLog) error {
	hashes := log.tree.hashes
	next := int64(0)
	err := each(ctx, a.conn, func(scan func(...any) error) error {
		var i int64
		var h []byte
		if err := scan(&i, &h); err != nil {
			return sqlError(err)
		}
		if i < 0 || i >= int64(len(hashes)) {
			a.fault(custody.Ref{}, "", "the tree has a hash of no event")
			return nil
		}
		for ; next < i; next++ {
			a.treeFault(log, next, "its hash in the tree is missing")
		}
		if next = i + 1; !bytes.Equal(h, hashes[i][:]) {
			a.treeFault(log, i, "its hash in the tree is not that of its bytes")
		}
		return nil
	}, `SELECT i, hash FROM tree WHERE station = ? ORDER BY i`, log.name)
	if err != nil {
		return err
	}
	for ; next < int64(len(hashes)); next++ {
		a.treeFault(log, next, "its hash in the tree is missing")
	}
	return nil
}

// checkCheckpoint compares the stored checkpoint with the tree. The own one
// covers every event; that of another station those up to where it was when they
// were taken in.
func (a *auditing) checkCheckpoint(ctx context.Context, log *auditedLog) error {
	last := custody.Ref{Station: log.name, Seq: int64(len(log.events))}
	own := log.name == a.station.Name()
	cp, err := storedCheckpoint(ctx, a.conn, log.name, log.verifier)
	if errors.Is(err, ErrNotFound) && !own {
		return nil
	}
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("%w: no checkpoint", ErrCorrupt)
	}
	if errors.Is(err, ErrCorrupt) {
		a.fault(last, a.at(last).kind, "the checkpoint over it: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	if own {
		a.result.Checkpoint = cp
	}
	for seq := last.Seq + 1; seq <= cp.Size && len(a.result.Faults) < maxFaults; seq++ {
		a.faultOf(CheckSequence, custody.Ref{Station: last.Station, Seq: seq}, "", "the event is missing: the checkpoint counts it")
	}
	if own && cp.Size < last.Seq {
		a.fault(last, a.at(last).kind, "the checkpoint counts only %s", count(cp.Size, "event"))
	}
	if cp.Size <= last.Seq {
		root, err := log.tree.root(cp.Size)
		if err != nil {
			return err
		}
		if root != cp.Root {
			a.fault(last, a.at(last).kind, "the checkpoint over it is of another log")
		}
	}
	return nil
}

// treeFault names the event of a hash: its own for a leaf, the last one below
// it for a node.
func (a *auditing) treeFault(log *auditedLog, i int64, what string) {
	level, n := tlog.SplitStoredHashIndex(i)
	ref := custody.Ref{Station: log.name, Seq: (n + 1) << level}
	a.fault(ref, a.at(ref).kind, "%s", what)
}

// at returns what is known of an event; nothing when it is in no log.
func (a *auditing) at(ref custody.Ref) audited {
	log, ok := a.logs[ref.Station]
	if !ok || ref.Seq < 1 || ref.Seq > int64(len(log.events)) {
		return audited{}
	}
	return log.events[ref.Seq-1]
}

// checkClaims compares what stations have witnessed of each other's logs with
// those logs. What this station has witnessed must be there to the last event;
// of what others have, some may not have arrived.
func (a *auditing) checkClaims(context.Context) error {
	witnessed := make(map[string]bool)
	for c, ref := range a.claims {
		log, known := a.logs[c.station]
		mine := ref.Station == a.station.Name()
		witnessed[c.station] = witnessed[c.station] || mine
		switch {
		case known && c.head.Size <= int64(len(log.events)):
			root, err := log.tree.root(c.head.Size)
			if err != nil {
				return err
			}
			if root != c.head.Root {
				a.fault(ref, a.at(ref).kind, "the log of station %s that it has witnessed is another one", c.station)
			}
		case c.station == a.station.Name():
			a.fault(ref, a.at(ref).kind, "it has witnessed %s of this station, the ledger holds %d", count(c.head.Size, "event"), len(log.events))
		case mine:
			a.fault(ref, a.at(ref).kind, "the log of station %s that it has witnessed is not there", c.station)
		}
	}
	own := a.logs[a.station.Name()]
	for _, log := range a.order {
		if log != own && own != nil && len(own.events) > 0 && own.covered < int64(len(own.events)) && !witnessed[log.name] && len(log.events) > 0 && own.events[len(own.events)-1].n > log.events[0].n {
			a.fault(custody.Ref{Station: log.name, Seq: 1}, a.at(custody.Ref{Station: log.name, Seq: 1}).kind, "this station has never witnessed the log of station %s", log.name)
		}
	}
	return nil
}

// checkForks tells of every station that has signed twice for one place, until
// it is retired.
func (a *auditing) checkForks(ctx context.Context) error {
	return each(ctx, a.conn, func(scan func(...any) error) error {
		e, err := decodeRow(scan)
		if isContentError(err) {
			a.fault(custody.Ref{}, "", "evidence was changed: %v", err)
			return nil
		}
		if err != nil {
			return err
		}
		if s, _ := a.shop.Station(e.Station); s.Retired == nil {
			a.fault(e.Ref(), e.Type(), "the station has signed another event for its place: it was cloned, or its key is in other hands")
		}
		return nil
	}, `SELECT station, seq, leaf, note FROM forks ORDER BY n`)
}

// checkJournal compares a journal with the ledger.
func (a *auditing) checkJournal(ctx context.Context, j *journal.Journal) error {
	told := func(err error) error {
		var r journal.Refusal
		if errors.As(err, &r) || isAlarm(err) {
			a.fault(custody.Ref{}, "", "%v", err)
			return nil
		}
		return err
	}
	if err := a.ledger.checkShop(ctx, j); err != nil {
		if errors.Is(err, journal.ErrNoShop) {
			return nil
		}
		return told(err)
	}
	if err := told(a.ledger.checkOwn(ctx, j)); err != nil {
		return err
	}
	for _, log := range a.order {
		if err := a.checkFiles(ctx, j, log, told); err != nil {
			return err
		}
	}
	if a.options.Full {
		return a.checkSealed(ctx, j)
	}
	return nil
}

// checkFiles looks for files of a log that were taken away, changed or put in.
func (a *auditing) checkFiles(ctx context.Context, j *journal.Journal, log *auditedLog, told func(error) error) error {
	p := peer{log.name, log.verifier}
	last, err := seen(ctx, a.ledger.db, j.Vault(), log.name)
	if err != nil {
		return err
	}
	cp, _, _, err := readPublished(j, p)
	if err != nil {
		return told(err)
	}
	if cp.Size < last {
		a.fault(custody.Ref{}, "", "%v", j.Refuse(log.name, journal.CheckpointName(log.name), ErrRollback))
	}
	files, refusals, err := j.Files(log.name)
	if err != nil {
		return told(err)
	}
	for _, r := range refusals {
		a.fault(custody.Ref{}, "", "%v", r)
	}
	there := make(map[int64]bool)
	var known []journal.File
	for _, f := range files {
		ref := custody.Ref{Station: log.name, Seq: f.Seq}
		e := a.at(ref)
		if e.kind == "" {
			// Newer than what was taken in, or what the ledger lacks: that was said of the ledger.
			there[f.Seq] = true
			continue
		}
		if journal.FileOf(ref, e.leaf) != f {
			a.fault(ref, e.kind, "another event claims its place in the journal of vault %s", j.Vault())
			continue
		}
		there[f.Seq] = true
		known = append(known, f)
	}
	if a.options.Full {
		for some := range slices.Chunk(known, 4096) {
			read, err := readEvents(ctx, j, p, some)
			if err != nil {
				return err
			}
			for _, in := range read {
				if in.err == nil {
					continue
				}
				if err := told(in.err); err != nil {
					return err
				}
			}
		}
	}
	for seq := int64(1); seq <= min(cp.Size, int64(len(log.events))); seq++ {
		if !there[seq] {
			ref := custody.Ref{Station: log.name, Seq: seq}
			a.fault(ref, a.at(ref).kind, "it is missing in the journal of vault %s", j.Vault())
		}
	}
	return nil
}

// checkSealed opens the sealed private parts in a journal: one that was put there
// instead of another is no part of its event.
func (a *auditing) checkSealed(ctx context.Context, j *journal.Journal) error {
	to, err := a.ledger.recipients(ctx)
	if err != nil {
		return err
	}
	nos := []custody.CaseNo{""}
	if err := each(ctx, a.ledger.db, func(scan func(...any) error) error {
		var no custody.CaseNo
		err := scan(&no)
		nos = append(nos, no)
		return sqlError(err)
	}, `SELECT no FROM cases ORDER BY no`); err != nil {
		return err
	}
	for _, no := range nos {
		parts, refusals, err := j.Private(no)
		if err != nil {
			return err
		}
		for _, r := range refusals {
			a.fault(custody.Ref{}, "", "%v", r)
		}
		for _, s := range parts {
			e := a.at(s.Ref)
			if s.Set != to.Set() || !e.read {
				continue
			}
			sealed, err := j.ReadPrivate(s)
			if err == nil {
				_, err = journal.Unseal(sealed, e.commit, a.station.identity)
			}
			switch {
			case a.erased[s.Ref]:
				a.fault(s.Ref, e.kind, "its private part was erased and is in the journal of vault %s", j.Vault())
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				a.fault(s.Ref, e.kind, "its private part in the journal of vault %s is not the one that was recorded", j.Vault())
			}
		}
	}
	return nil
}

// addDigest takes the note of an event into the digest of its log.
func addDigest(log *auditedLog, msg []byte) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(msg)))
	log.digest.Write(size[:])
	log.digest.Write(msg)
}
