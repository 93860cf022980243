package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"salvor/custody"
	"salvor/custody/journal"
)

// Import is the first half of [Ledger.Sync].
func (l *Ledger) Import(ctx context.Context, journals ...*journal.Journal) (SyncResult, error) {
	var result SyncResult
	var alarm error
	for _, j := range journals {
		err := l.importFrom(ctx, j, false, &result)
		switch {
		case isAlarm(err):
			alarm = errors.Join(alarm, err)
		case err != nil:
			return result, fmt.Errorf("import from vault %s: %w", j.Vault(), err)
		}
	}
	if alarm != nil {
		return result, fmt.Errorf("import: %w", errors.Join(alarm, refused(result.Refusals)))
	}
	return result, refused(result.Refusals)
}

// isAlarm tells what is wrong with this station from what cannot be done.
func isAlarm(err error) bool { return errors.Is(err, ErrRolledBack) || errors.Is(err, ErrCloned) }

// importFrom takes in what one journal has that this ledger has not: the events
// of the other stations, with own those of this station too. The error is an
// alarm, or a failure to read or write; what is not believed is in the result.
func (l *Ledger) importFrom(ctx context.Context, j *journal.Journal, own bool, result *SyncResult) error {
	switch err := l.checkShop(ctx, j); {
	case errors.Is(err, journal.ErrNoShop):
		// An empty vault, or one that lost its card: what was seen there is missed.
		if known, err := l.withSeen(ctx, j.Vault(), nil); err != nil || len(known) == 0 {
			return err
		}
	case refuse(err, result):
		return nil
	case err != nil:
		return err
	}
	var alarm error
	if !own {
		if alarm = l.checkOwn(ctx, j); alarm != nil && !isAlarm(alarm) && !refuse(alarm, result) {
			return alarm
		}
	}
	names, refusals, err := j.Stations()
	if refuse(err, result) {
		return nil
	}
	if err != nil {
		return err
	}
	result.Refusals = append(result.Refusals, refusals...)
	// A station of which events were seen here, and whose folder is gone, is missed: what
	// it published since may be a hold.
	if names, err = l.withSeen(ctx, j.Vault(), names); err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == l.station.Name() && !own })
	// One station's events may enrol the next, so whoever is not known yet is
	// asked again.
	for again := true; again; {
		again = false
		known, shop, err := l.peers(ctx, l.db)
		if err != nil {
			return err
		}
		var logs []*importing
		var rest []string
		for _, name := range names {
			p, ok := known[name]
			if !ok {
				rest = append(rest, name)
				continue
			}
			again = true
			x, err := l.look(ctx, j, p, result)
			switch {
			case err == nil:
				logs = append(logs, x)
			case !refuse(err, result):
				return err
			}
		}
		if logs, err = l.inOrder(ctx, shop, logs); err != nil {
			return err
		}
		imported := result.Imported
		for _, x := range logs {
			if result.Imported != imported { // what was taken in may retire this station
				if shop, err = foldShop(ctx, l.db); err != nil {
					return err
				}
				imported = result.Imported
			}
			err := x.all(ctx, shop)
			switch {
			case isAlarm(err):
				alarm = errors.Join(alarm, err)
			case err != nil && !refuse(err, result):
				return err
			}
		}
		names = rest
	}
	for _, name := range names {
		result.Refusals = append(result.Refusals, j.Refuse(name, "journal/"+name, ErrUnknownStation))
	}
	if err := errors.Join(l.openParts(ctx, j, result), l.takeAttests(ctx, j)); err != nil {
		return err
	}
	if isAlarm(alarm) {
		return alarm
	}
	return nil
}

// refuse keeps an error that is about a file of a journal, and says whether it
// is one.
func refuse(err error, result *SyncResult) bool {
	var r journal.Refusal
	if !errors.As(err, &r) || isAlarm(err) {
		return false
	}
	noted(r, result)
	return true
}

// noted keeps a refusal, once.
func noted(r journal.Refusal, result *SyncResult) {
	if !slices.ContainsFunc(result.Refusals, func(x journal.Refusal) bool { return x.Vault == r.Vault && x.File == r.File && errors.Is(x.Why, r.Why) }) {
		result.Refusals = append(result.Refusals, r)
	}
}

// An incoming event was read from a journal and is what its name, its signature
// and its text say.
type incoming struct {
	file  journal.File
	msg   []byte
	leaf  custody.Hash
	event custody.Event
	newer bool  // of a type that this version does not know: nothing but the leaf is read
	err   error // a Refusal, or a failure to read
}

// readEvent reads one file: size first, then the signature, and only then the
// text.
func readEvent(j *journal.Journal, from *journal.EventReader, p peer, f journal.File) incoming {
	in := incoming{file: f}
	if in.msg, in.err = from.Read(f); in.err != nil {
		return in
	}
	text, ok := noteText(in.msg)
	n, err := openAs(p.verifier, in.msg)
	switch {
	case !ok && err != nil:
		in.err = journal.ErrMalformed
	case err != nil:
		in.err = err
	case !ok || n.Text != string(text):
		in.err = journal.ErrMalformed
	default:
		in.leaf = custody.Leaf(text)
		ref := custody.Ref{Station: p.name, Seq: f.Seq}
		in.event, err = custody.DecodeEvent(text)
		switch in.newer = errors.Is(err, custody.ErrUnknownType); {
		case in.newer:
		case err != nil:
			in.err = fmt.Errorf("%w: %w", journal.ErrMalformed, err)
		case in.event.Ref() != ref:
			in.err = journal.ErrRenamed
		}
		if in.err == nil && journal.FileOf(ref, in.leaf) != f {
			in.err = journal.ErrRenamed
		}
	}
	if in.err != nil {
		in.err = j.Refuse(p.name, f.Name(), in.err)
	}
	return in
}

// readEvents reads files on all processors. The results stand in the order of
// the files.
func readEvents(ctx context.Context, j *journal.Journal, p peer, files []journal.File) (all []incoming, err error) {
	if len(files) == 0 {
		return nil, ctx.Err()
	}
	from, err := j.Events(p.name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	all = make([]incoming, len(files))
	var wg sync.WaitGroup
	workers := min(max(2, runtime.GOMAXPROCS(0)), len(files))
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(files) && ctx.Err() == nil; i += workers {
				all[i] = readEvent(j, from, p, files[i])
			}
		})
	}
	wg.Wait()
	return all, ctx.Err()
}

// readPublished returns the checkpoint that a station has published in a
// journal; false when it has published none.
func readPublished(j *journal.Journal, p peer) (custody.Checkpoint, []byte, bool, error) {
	file := journal.CheckpointName(p.name)
	msg, err := j.Checkpoint(p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return custody.Checkpoint{}, nil, false, nil
	}
	if err != nil {
		return custody.Checkpoint{}, nil, false, err
	}
	n, err := openAs(p.verifier, msg)
	if err != nil || len(n.UnverifiedSigs) > 0 {
		return custody.Checkpoint{}, nil, false, j.Refuse(p.name, file, journal.ErrForeign)
	}
	cp, err := custody.ParseCheckpoint(n.Text)
	if err != nil || cp.Origin != p.verifier.Name() || cp.Size < 1 {
		return custody.Checkpoint{}, nil, false, j.Refuse(p.name, file, journal.ErrMalformed)
	}
	return cp, msg, true, nil
}

// look reads what a journal shows of the log of one station, before anything is taken in.
func (l *Ledger) look(ctx context.Context, j *journal.Journal, p peer, result *SyncResult) (x *importing, err error) {
	x = &importing{ledger: l, j: j, p: p, result: result}
	// First what was seen and then what is there: another process of this station
	// may read a newer checkpoint in between.
	if x.seen, err = seen(ctx, l.db, j.Vault(), p.name); err != nil {
		return nil, err
	}
	if x.cp, x.note, x.published, err = readPublished(j, p); err != nil {
		return nil, err
	}
	x.have, x.leaf, err = logEnd(ctx, l.db, p.name)
	return x, err
}

// all takes in all new events of the station or none: those up to its published
// checkpoint, which must be exactly the log that the checkpoint describes. Events behind
// the checkpoint are still being published.
func (x *importing) all(ctx context.Context, shop custody.Shop) error {
	l, j, p := x.ledger, x.j, x.p
	file := journal.CheckpointName(p.name)
	ends, err := l.endsOf(ctx, l.db, shop, p.name)
	if err != nil {
		return err
	}
	x.station, x.bounds = ends.station, ends.bounds
	wrong, err := l.misled(ctx, l.db, ends)
	if err != nil {
		return err
	}
	if wrong {
		if err := l.keepForks(ctx, j, p); err != nil {
			return err
		}
		return j.Refuse(p.name, file, ErrMisled)
	}
	if x.settled() {
		return nil
	}
	switch {
	case x.cp.Size < x.seen:
		err = j.Refuse(p.name, file, fmt.Errorf("%w: it counted %s, now %d", ErrRollback, count(x.seen, "event"), x.cp.Size))
	case !x.published:
		return nil
	default:
		err = x.take(ctx, shop)
	}
	return x.late(err)
}

// importing takes in the log of one station from one journal.
type importing struct {
	ledger    *Ledger
	j         *journal.Journal
	p         peer
	station   custody.Station // as the shop's events show it
	bounds    []bound         // how far the log counts; nil: as far as it goes
	seen      int64           // events that the journal counted when it was last read
	published bool            // it has a checkpoint, which is cp
	cp        custody.Checkpoint
	note      []byte // of the checkpoint
	have      int64  // events that the ledger holds
	leaf      custody.Hash
	result    *SyncResult
}

// take takes in the events of the log that the ledger lacks.
func (x *importing) take(ctx context.Context, shop custody.Shop) error {
	l, j, p, have := x.ledger, x.j, x.p, x.have
	file := journal.CheckpointName(p.name)
	if x.cp.Size <= have {
		root, err := rootAt(ctx, l.db, p.name, x.cp.Size)
		if err != nil {
			return err
		}
		if root != x.cp.Root {
			return l.forked(ctx, j, p, file)
		}
		return l.saw(ctx, j.Vault(), p.name, x.cp.Size)
	}
	batch, err := l.readBatch(ctx, j, p, have, x.cp.Size, x.leaf)
	if err != nil {
		if errors.Is(err, ErrFork) {
			return errors.Join(err, l.keepForks(ctx, j, p))
		}
		return err
	}
	grown, err := l.grow(ctx, p, have, batch, append(x.bounds, bound{x.cp.Size, x.cp.Root}))
	if errors.Is(err, ErrFork) {
		return l.forked(ctx, j, p, file)
	}
	if err != nil {
		return err
	}
	// What follows is true of the log. What of it is believed is another matter.
	believed, stop, err := x.believe(ctx, shop, batch)
	if err != nil && !isAlarm(err) {
		return err
	}
	alarm, cpNote := err, x.note
	if len(believed) < len(batch) {
		if stop != nil {
			x.result.Refusals = append(x.result.Refusals, *stop)
		}
		cpNote = nil
		if grown, err = l.grow(ctx, p, have, believed, nil); err != nil {
			return err
		}
	}
	if len(believed) == 0 {
		return errors.Join(alarm, l.saw(ctx, j.Vault(), p.name, x.cp.Size))
	}
	t := taking{l: l, p: p, vault: j.Vault(), batch: believed, grown: grown, have: have, note: cpNote, size: x.cp.Size, result: x.result}
	if err := l.write(ctx, func(tx queryer) error { return t.take(ctx, tx) }); err != nil {
		return err
	}
	if t.erased {
		if err := l.wipeAgain(ctx); err != nil {
			return err
		}
	}
	return alarm
}

// grow returns the tree of a log with new events, which must be the one that each of
// the bounds within them names: [ErrFork] otherwise.
func (l *Ledger) grow(ctx context.Context, p peer, have int64, batch []incoming, bounds []bound) (*growing, error) {
	grown := newGrowing(treeReader(ctx, l.db, p.name), have)
	for _, in := range batch {
		if err := grown.add(in.leaf); err != nil {
			return nil, err
		}
		for _, b := range bounds {
			if b.size != grown.size || b.root.IsZero() {
				continue
			}
			root, err := grown.root()
			if err != nil {
				return nil, err
			}
			if root != b.root {
				return nil, ErrFork
			}
		}
	}
	return grown, nil
}

// readBatch reads the events from behind have to size, and chains them.
func (l *Ledger) readBatch(ctx context.Context, j *journal.Journal, p peer, have, size int64, leaf custody.Hash) ([]incoming, error) {
	files, refusals, err := j.Files(p.name)
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f journal.File) bool { return f.Seq <= have || f.Seq > size })
	next := have + 1
	for i, f := range files {
		switch {
		case f.Seq > next:
			if len(refusals) > 0 { // more likely than not it lies there under a wrong name
				return nil, refusals[0]
			}
			return nil, j.Refuse(p.name, f.Name(), fmt.Errorf("%w: event %d", ErrGap, next))
		case f.Seq < next:
			return nil, j.Refuse(p.name, files[i-1].Name(), ErrFork)
		}
		next++
	}
	if next <= size {
		if len(refusals) > 0 {
			return nil, refusals[0]
		}
		return nil, j.Refuse(p.name, journal.CheckpointName(p.name), fmt.Errorf("%w: event %d of %d", ErrGap, next, size))
	}
	batch, err := readEvents(ctx, j, p, files)
	if err != nil {
		return nil, err
	}
	for _, in := range batch {
		if in.err != nil {
			return nil, in.err
		}
		if !in.newer && in.event.Prev != leaf {
			return nil, j.Refuse(p.name, in.file.Name(), fmt.Errorf("%w: it does not follow the event before it", ErrFork))
		}
		leaf = in.leaf
	}
	return batch, nil
}

// believe checks what a station says about others, and who has signed for it.
// It returns the events that are believed and, where one is not, why: nothing
// from there on is. Alarms stop nothing: what is said stays said.
func (x *importing) believe(ctx context.Context, shop custody.Shop, batch []incoming) ([]incoming, *journal.Refusal, error) {
	var alarm error
	signers := newSigners(shop)
	checked := make(map[string]custody.Head)
	for i, in := range batch {
		refuse := func(why error) journal.Refusal { return x.j.Refuse(x.p.name, in.file.Name(), why) }
		stop := func(why error) ([]incoming, *journal.Refusal, error) {
			r := refuse(why)
			return batch[:i], &r, alarm
		}
		e := in.event
		switch {
		case x.bounds != nil && in.file.Seq > farthest(x.bounds):
			if x.station.Dismissed(x.cp.Size, x.cp.Root) {
				return batch[:i], nil, alarm
			}
			return stop(x.lateness(batch[i:]))
		case in.newer:
			return stop(ErrNewerEvent)
		}
		signers.learn(e)
		if err := signers.check(e, in.msg); err != nil {
			return stop(err)
		}
		for name, head := range e.Heads {
			if checked[name] == head {
				continue
			}
			checked[name] = head
			switch err := x.ledger.checkHead(ctx, x.ledger.db, name, head); {
			case isAlarm(err):
				alarm = errors.Join(alarm, refuse(err))
			case errors.Is(err, ErrFork):
				noted(refuse(fmt.Errorf("%w: %s", err, name)), x.result)
			case err != nil:
				return nil, nil, err
			}
		}
	}
	return batch, nil, alarm
}

// checkHead compares what somebody has witnessed of a station's log with the log
// that this ledger holds. Of another station's it may hold less.
func (l *Ledger) checkHead(ctx context.Context, q queryer, name string, head custody.Head) error {
	own := name == l.station.Name()
	size, _, err := logEnd(ctx, q, name)
	if err != nil {
		return err
	}
	if head.Size > size {
		if own {
			return fmt.Errorf("%w: another station has seen %d of its events, the ledger holds %d", ErrRolledBack, head.Size, size)
		}
		return nil
	}
	root, err := rootAt(ctx, q, name, head.Size)
	switch {
	case err != nil:
		return err
	case root == head.Root:
		return nil
	case own:
		return fmt.Errorf("%w: another station has seen it", ErrCloned)
	}
	return ErrFork
}

// growing is the tree of a log with new leaves that are not stored yet.
type growing struct {
	stored tlog.HashReader
	from   int64 // index of the first hash that is new
	fresh  []tlog.Hash
	size   int64
}

func newGrowing(stored tlog.HashReader, size int64) *growing {
	return &growing{stored: stored, from: tlog.StoredHashCount(size), size: size}
}

// ReadHashes implements tlog.HashReader over what is stored and what is new.
func (g *growing) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	var old, at []int64
	for k, i := range indexes {
		if i >= g.from && i-g.from < int64(len(g.fresh)) {
			out[k] = g.fresh[i-g.from]
		} else {
			old, at = append(old, i), append(at, int64(k))
		}
	}
	if len(old) == 0 {
		return out, nil
	}
	hashes, err := g.stored.ReadHashes(old)
	if err != nil {
		return nil, err
	}
	for k, h := range hashes {
		out[at[k]] = h
	}
	return out, nil
}

func (g *growing) add(leaf custody.Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(g.size, tlog.Hash(leaf), g)
	if err != nil {
		return err
	}
	g.fresh = append(g.fresh, hashes...)
	g.size++
	return nil
}

func (g *growing) root() (custody.Hash, error) {
	root, err := tlog.TreeHash(g.size, g)
	return custody.Hash(root), err
}

// taking is the transaction that takes events of one station in.
type taking struct {
	l      *Ledger
	p      peer
	vault  string
	batch  []incoming
	grown  *growing
	have   int64
	note   []byte // the checkpoint over all of the batch; nil when not all is believed
	size   int64  // of the published log
	result *SyncResult
	erased bool // private parts were deleted
}

func (t *taking) take(ctx context.Context, tx queryer) error {
	have, _, err := logEnd(ctx, tx, t.p.name)
	if err != nil {
		return err
	}
	if have != t.have {
		return nil // another process has taken them in meanwhile
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO importing (one) VALUES (1)`); err != nil {
		return err
	}
	cases := make(map[custody.CaseNo][]custody.Event)
	for _, in := range t.batch {
		no := in.event.Case
		if _, ok := cases[no]; ok || no == "" {
			continue
		}
		if cases[no], err = caseEvents(ctx, tx, no); err != nil {
			return err
		}
	}
	for _, in := range t.batch {
		if in.event.Case != "" {
			cases[in.event.Case] = append(cases[in.event.Case], in.event)
		}
	}
	if err := t.insert(ctx, tx); err != nil {
		return err
	}
	for no, events := range cases {
		c := custody.FoldCase(no, events)
		if err := project(ctx, tx, c); err != nil {
			return fmt.Errorf("case %s: %w", no, err)
		}
		if err := t.erase(ctx, tx, c.PrivateErased); err != nil {
			return err
		}
		t.result.Cases = append(t.result.Cases, no)
	}
	shop, err := foldShop(ctx, tx)
	if err != nil {
		return err
	}
	if err := t.erase(ctx, tx, shop.PrivateErased); err != nil {
		return err
	}
	if t.erased {
		if err := rememberWipe(ctx, tx); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM importing`); err != nil {
		return err
	}
	slices.Sort(t.result.Cases)
	t.result.Cases = slices.Compact(t.result.Cases)
	t.result.Imported += len(t.batch)
	return saveSeen(ctx, tx, t.vault, t.p.name, t.size)
}

// insert stores the events, the tree over them and the checkpoint.
func (t *taking) insert(ctx context.Context, tx queryer) (err error) {
	var n int64
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(n), 0) FROM events`).Scan(&n); err != nil {
		return err
	}
	event, err := prepare(ctx, tx, `INSERT INTO events (n, station, seq, id, ts, type, case_no, leaf, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer closeStmt(event, &err)
	attest, err := prepare(ctx, tx, `INSERT INTO attests_lacking (event) VALUES (?)`)
	if err != nil {
		return err
	}
	defer closeStmt(attest, &err)
	unopened, err := prepare(ctx, tx, `INSERT INTO unopened (event) VALUES (?)`)
	if err != nil {
		return err
	}
	defer closeStmt(unopened, &err)
	for _, in := range t.batch {
		n++
		e := in.event
		if _, err := event.ExecContext(ctx, n, e.Station, e.Seq, e.ID, e.TS.Unix(), string(e.Type()),
			sql.NullString{String: string(e.Case), Valid: e.Case != ""}, in.leaf[:], in.msg); err != nil {
			return fmt.Errorf("event %s: %w", e.Ref(), sqlError(err))
		}
		if e.Type() == custody.TypeAttestIssued {
			if _, err := attest.ExecContext(ctx, n); err != nil {
				return sqlError(err)
			}
		}
		if e.HasPrivate() {
			if _, err := unopened.ExecContext(ctx, n); err != nil {
				return sqlError(err)
			}
		}
	}
	hash, err := prepare(ctx, tx, `INSERT INTO tree (station, i, hash) VALUES (?, ?, ?)`)
	if err != nil {
		return err
	}
	defer closeStmt(hash, &err)
	for i, h := range t.grown.fresh {
		if _, err := hash.ExecContext(ctx, t.p.name, t.grown.from+int64(i), h[:]); err != nil {
			return sqlError(err)
		}
	}
	if t.p.name == t.l.station.Name() {
		log := stationLog{tx: tx, station: t.l.station, size: t.grown.size}
		return log.checkpoint(ctx)
	}
	if t.note == nil {
		return nil
	}
	return updateOrInsert(ctx, tx, `UPDATE checkpoints SET size = ?, note = ? WHERE station = ?`,
		`INSERT INTO checkpoints (size, note, station) VALUES (?, ?, ?)`, t.grown.size, t.note, t.p.name)
}

// prepare makes a statement of a transaction.
func prepare(ctx context.Context, tx queryer, query string) (*sql.Stmt, error) {
	p, ok := tx.(interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	})
	if !ok {
		return nil, errors.New("not a transaction")
	}
	s, err := p.PrepareContext(ctx, query)
	return s, sqlError(err)
}

func closeStmt(s *sql.Stmt, err *error) { *err = errors.Join(*err, s.Close()) }

// erase removes the private parts of events of which a private.erased says so,
// as far as they are here.
func (t *taking) erase(ctx context.Context, tx queryer, refs []custody.Ref) error {
	for _, ref := range refs {
		var n int64
		var marked, kept bool
		err := tx.QueryRowContext(ctx, `SELECT n, EXISTS (SELECT 1 FROM erased WHERE event = n), EXISTS (SELECT 1 FROM private WHERE event = n)
			FROM events WHERE station = ? AND seq = ?`, ref.Station, ref.Seq).Scan(&n, &marked, &kept)
		if errors.Is(err, sql.ErrNoRows) || err == nil && marked {
			continue
		}
		if err != nil {
			return sqlError(err)
		}
		for _, query := range []string{
			`INSERT INTO erased (event) VALUES (?)`, `DELETE FROM private WHERE event = ?`, `DELETE FROM unopened WHERE event = ?`,
		} {
			if _, err := tx.ExecContext(ctx, query, n); err != nil {
				return sqlError(err)
			}
		}
		t.erased = t.erased || kept
	}
	return nil
}

// seen returns the size of a station's log as a vault showed it last.
func seen(ctx context.Context, q queryer, vault, station string) (int64, error) {
	var size int64
	err := q.QueryRowContext(ctx, `SELECT size FROM seen WHERE vault = ? AND station = ?`, vault, station).Scan(&size)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return size, sqlError(err)
}

// withSeen adds to the stations of a journal those that were seen there before.
func (l *Ledger) withSeen(ctx context.Context, vault string, names []string) ([]string, error) {
	err := each(ctx, l.db, func(scan func(...any) error) error {
		var name string
		if err := scan(&name); err != nil {
			return sqlError(err)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		return nil
	}, `SELECT station FROM seen WHERE vault = ? AND size > 0 ORDER BY station`, vault)
	return names, err
}

func saveSeen(ctx context.Context, tx queryer, vault, station string, size int64) error {
	return updateOrInsert(ctx, tx, `UPDATE seen SET size = max(size, ?) WHERE vault = ? AND station = ?`,
		`INSERT INTO seen (size, vault, station) VALUES (?, ?, ?)`, size, vault, station)
}

func (l *Ledger) saw(ctx context.Context, vault, station string, size int64) error {
	if last, err := seen(ctx, l.db, vault, station); err != nil || last == size {
		return err
	}
	return l.write(ctx, func(tx queryer) error { return saveSeen(ctx, tx, vault, station, size) })
}

// forked raises the alarm about a station, with the events that show it.
func (l *Ledger) forked(ctx context.Context, j *journal.Journal, p peer, file string) error {
	if err := l.keepForks(ctx, j, p); err != nil {
		return err
	}
	return j.Refuse(p.name, file, ErrFork)
}

// maxForks bounds the evidence that is kept of one station.
const maxForks = 10_000

// keepForks keeps every event of a station in a journal that has the place of
// another one which the ledger holds, or follows one that has. They are part of
// what is folded, so that a hold on either side of a fork holds; what the folds
// show of it is an exception for a person to look at.
func (l *Ledger) keepForks(ctx context.Context, j *journal.Journal, p peer) error {
	files, _, err := j.Files(p.name)
	if err != nil {
		return err
	}
	held := make(map[int64]string)
	if err := each(ctx, l.db, func(scan func(...any) error) error {
		var seq int64
		var leaf []byte
		if err := scan(&seq, &leaf); err != nil || len(leaf) < 4 {
			return errors.Join(sqlError(err), ErrCorrupt)
		}
		held[seq] = journal.FileOf(custody.Ref{}, custody.Hash(append(leaf[:4:4], make([]byte, 28)...))).Hash8
		return nil
	}, `SELECT seq, leaf FROM events WHERE station = ?`, p.name); err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f journal.File) bool { return held[f.Seq] == f.Hash8 })
	found, err := readEvents(ctx, j, p, files[:min(len(files), maxForks)])
	if err != nil {
		return err
	}
	return l.write(ctx, func(tx queryer) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO importing (one) VALUES (1)`); err != nil {
			return err
		}
		cases := make(map[custody.CaseNo]bool)
		for _, in := range found {
			if in.err != nil || in.newer {
				continue // refused elsewhere, or not readable: no evidence
			}
			cases[in.event.Case] = true
			if _, err := tx.ExecContext(ctx, `INSERT INTO forks (n, station, seq, case_no, leaf, note, vault, found)
				SELECT coalesce((SELECT max(n) FROM forks), 0) + 1, ?1, ?2, ?3, ?4, ?5, ?6, ?7
				WHERE NOT EXISTS (SELECT 1 FROM forks WHERE station = ?1 AND seq = ?2 AND leaf = ?4)`,
				p.name, in.event.Seq, sql.NullString{String: string(in.event.Case), Valid: in.event.Case != ""},
				in.leaf[:], in.msg, j.Vault(), l.timestamp().Unix()); err != nil {
				return err
			}
		}
		delete(cases, "")
		for no := range cases {
			events, err := caseEvents(ctx, tx, no)
			if err != nil {
				return err
			}
			if err := project(ctx, tx, custody.FoldCase(no, events)); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM importing`)
		return err
	})
}

// Evidence is an event that was signed for a place that is taken.
type Evidence struct {
	Event custody.Event
	Note  []byte // as it was signed
	Vault string // in whose journal it lay
}

// Forks returns the evidence against stations that were cloned or whose keys are
// in other hands; none when all is well.
func (l *Ledger) Forks(ctx context.Context) ([]Evidence, error) {
	var all []Evidence
	err := each(ctx, l.db, func(scan func(...any) error) error {
		var x Evidence
		var err error
		x.Event, err = decodeRow(func(columns ...any) error { return scan(append(columns, &x.Note, &x.Vault)...) })
		all = append(all, x)
		return err
	}, `SELECT station, seq, leaf, note, note, vault FROM forks ORDER BY n`)
	if err != nil {
		return nil, fmt.Errorf("forks: %w", err)
	}
	return all, nil
}
