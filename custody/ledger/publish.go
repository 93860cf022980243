package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"salvor/custody"
	"salvor/custody/journal"
)

// Sync takes in what other stations have published in the journals, and then
// publishes there what this station has recorded: what every command runs at its
// beginning and end. Everything that can be done is done; the error then is a
// [RefusedError], or an alarm: [ErrRolledBack] or [ErrCloned], with which nothing
// is published.
func (l *Ledger) Sync(ctx context.Context, journals ...*journal.Journal) (SyncResult, error) {
	result, err := l.Import(ctx, journals...)
	if err != nil && (isAlarm(err) || !errors.Is(err, ErrRefused)) {
		return result, err
	}
	for _, j := range journals {
		more, perr := l.Publish(ctx, j)
		result.add(more)
		if perr != nil && !errors.Is(perr, ErrRefused) {
			return result, perr
		}
	}
	return result, refused(result.Refusals)
}

// Publish is the second half of [Ledger.Sync]: it writes the events that the
// journal lacks, in order, each private part before its event, and the
// checkpoint last. It also seals private parts to stations and keys that have
// come since, and erases those of which a private.erased says so. A command that
// is killed here leaves a journal that the next one completes.
func (l *Ledger) Publish(ctx context.Context, j *journal.Journal) (SyncResult, error) {
	var result SyncResult
	release, err := l.lockPublishing(ctx)
	if err == nil {
		err = errors.Join(l.publish(ctx, j, &result), release())
	}
	if refuse(err, &result) {
		return result, refused(result.Refusals)
	}
	if err != nil {
		return result, fmt.Errorf("publish to vault %s: %w", j.Vault(), err)
	}
	return result, nil
}

// lockPublishing keeps other processes of this station from publishing: of two, the
// slower would put back a checkpoint that is older than the one which others have
// read. The lock is a local one and goes with the process.
func (l *Ledger) lockPublishing(ctx context.Context) (release func() error, err error) {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(l.path), "publishing.lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		for errors.Is(err, unix.EINTR) {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		}
		locked <- err
	}()
	select {
	case err := <-locked:
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f.Close, nil
	case <-ctx.Done():
		go func() { _ = errors.Join(<-locked, f.Close()) }() // nobody waits for it any more
		return nil, ctx.Err()
	}
}

// outbox is what is known of a vault's journal.
type outbox struct {
	size       int64  // own events that lie there
	recipients string // set to which all private parts are sealed there
	erased     int64  // n of the last private.erased that was carried out there
}

func (l *Ledger) outbox(ctx context.Context, q queryer, vault string) (outbox, error) {
	var o outbox
	err := q.QueryRowContext(ctx, `SELECT size, recipients, erased FROM journals WHERE vault = ?`, vault).Scan(&o.size, &o.recipients, &o.erased)
	if errors.Is(err, sql.ErrNoRows) {
		return outbox{}, nil
	}
	return o, sqlError(err)
}

func (l *Ledger) saveOutbox(ctx context.Context, vault string, o outbox) error {
	return l.write(ctx, func(tx queryer) error {
		return updateOrInsert(ctx, tx, `UPDATE journals SET size = ?, recipients = ?, erased = ? WHERE vault = ?`,
			`INSERT INTO journals (size, recipients, erased, vault) VALUES (?, ?, ?, ?)`, o.size, o.recipients, o.erased, vault)
	})
}

// Outbox returns how many of this station's events are not yet in the journal of
// a vault.
func (l *Ledger) Outbox(ctx context.Context, vault string) (int64, error) {
	o, err := l.outbox(ctx, l.db, vault)
	if err == nil {
		var size int64
		size, _, err = logEnd(ctx, l.db, l.station.Name())
		return size - o.size, err
	}
	return 0, fmt.Errorf("outbox of vault %s: %w", vault, err)
}

func (l *Ledger) publish(ctx context.Context, j *journal.Journal, result *SyncResult) error {
	if err := l.introduce(ctx, j); err != nil {
		return err
	}
	if err := l.checkOwn(ctx, j); err != nil {
		return err
	}
	cp, cpNote, err := readCheckpoint(ctx, l.db, l.station)
	if err != nil {
		return err
	}
	before, err := l.outbox(ctx, l.db, j.Vault())
	if err != nil {
		return err
	}
	there, _, _, err := readPublished(j, l.self())
	if err != nil {
		return err
	}
	if there.Size < before.size {
		// An old copy of the journal was put back, with its old private parts: those that
		// were erased since, and those sealed to fewer.
		before.recipients, before.erased = "", 0
	}
	to, err := l.recipients(ctx)
	if err != nil {
		return err
	}
	missing, err := l.missing(ctx, j, before, there.Size, cp.Size)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(missing, 512) {
		if err := l.publishEvents(ctx, j, part, to); err != nil {
			return err
		}
		result.Published += len(part)
	}
	if there.Size < cp.Size {
		if err := j.WriteCheckpoint(l.station.Name(), cpNote); err != nil {
			return err
		}
	}
	after := before
	after.size = max(cp.Size, there.Size)
	if after.recipients != to.Set() {
		if err := l.reseal(ctx, j, to); err != nil {
			return err
		}
		after.recipients = to.Set()
	}
	if after.erased, err = l.eraseSealed(ctx, j, before.erased, result); err != nil {
		return err
	}
	if after == before {
		return nil
	}
	return l.saveOutbox(ctx, j.Vault(), after)
}

// introduce writes the cards of the shop and of this station where they are
// missing, and refuses another shop's journal.
func (l *Ledger) introduce(ctx context.Context, j *journal.Journal) error {
	err := l.checkShop(ctx, j)
	if errors.Is(err, journal.ErrNoShop) {
		var msg []byte
		if _, msg, err = l.rootCard(ctx, l.db); err == nil {
			err = j.WriteShop(msg)
		}
	}
	if err != nil {
		return err
	}
	card, err := j.Station(l.station.Name())
	if err == nil && card == l.station.Card() {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%w: another key stands in its card", ErrCloned)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	msg, err := journal.SignCard(journal.StationCard, l.station.Card(), l.station.signer)
	if err != nil {
		return err
	}
	return j.WriteStation(l.station.Name(), msg)
}

func (l *Ledger) self() peer { return peer{l.station.Name(), l.station.verifier} }

// checkOwn compares this ledger with what this station has published in a
// journal. A longer log there means that an old copy of the ledger was put back,
// another one that the key signs elsewhere as well.
func (l *Ledger) checkOwn(ctx context.Context, j *journal.Journal) error {
	there, _, ok, err := readPublished(j, l.self())
	if err != nil {
		return err
	}
	if !ok {
		there = custody.Checkpoint{}
	}
	// The log comes last: another command of this station records before it publishes.
	o, err := l.outbox(ctx, l.db, j.Vault())
	if err != nil {
		return err
	}
	have, leaf, err := logEnd(ctx, l.db, l.station.Name())
	if err != nil {
		return err
	}
	if o.size > have {
		return fmt.Errorf("%w: %s published in vault %s, the ledger holds %d", ErrRolledBack, count(o.size, "event"), j.Vault(), have)
	}
	if there.Size <= have {
		root, err := rootAt(ctx, l.db, l.station.Name(), there.Size)
		if err != nil {
			return err
		}
		if ok && root != there.Root {
			return fmt.Errorf("%w: in vault %s", ErrCloned, j.Vault())
		}
		return nil
	}
	// Longer: the same history that went on, or another one? Its event behind
	// our last tells.
	files, _, err := j.Files(l.station.Name())
	if err != nil {
		return err
	}
	next, err := readEvents(ctx, j, l.self(), slices.DeleteFunc(files, func(f journal.File) bool { return f.Seq != have+1 }))
	if err != nil {
		return err
	}
	for _, in := range next {
		if in.err == nil && !in.newer && in.event.Prev != leaf {
			return fmt.Errorf("%w: in vault %s", ErrCloned, j.Vault())
		}
	}
	return fmt.Errorf("%w: %s in vault %s, the ledger holds %d", ErrRolledBack, count(there.Size, "event"), j.Vault(), have)
}

// missing returns the places of the own events that a journal lacks. Where it is
// as we left it, these are those behind its checkpoint; otherwise its directory
// is read: something was taken out of it, or a command was killed.
func (l *Ledger) missing(ctx context.Context, j *journal.Journal, before outbox, there, size int64) ([]int64, error) {
	from := there + 1
	have := make(map[string]bool)
	if there != before.size {
		from = 1
		files, _, err := j.Files(l.station.Name())
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			have[f.Name()] = true
		}
	}
	var missing []int64
	err := each(ctx, l.db, func(scan func(...any) error) error {
		var seq int64
		var leaf []byte
		if err := scan(&seq, &leaf); err != nil {
			return sqlError(err)
		}
		if len(leaf) != len(custody.Hash{}) {
			return ErrCorrupt
		}
		// What lies behind the checkpoint is written again: a killed command may
		// have left it undurable.
		if seq > there || !have[journal.FileOf(custody.Ref{Station: l.station.Name(), Seq: seq}, custody.Hash(leaf)).Name()] {
			missing = append(missing, seq)
		}
		return nil
	}, `SELECT seq, leaf FROM events WHERE station = ? AND seq BETWEEN ? AND ? ORDER BY seq`, l.station.Name(), from, size)
	return missing, err
}

// An outgoing event goes into a journal.
type outgoing struct {
	file journal.File
	msg  []byte
}

func (l *Ledger) publishEvents(ctx context.Context, j *journal.Journal, seqs []int64, to journal.Recipients) error {
	var events []outgoing
	var parts []part
	var attests []string
	err := each(ctx, l.db, func(scan func(...any) error) error {
		var msg, body []byte
		e, err := decodeRow(func(columns ...any) error { return scan(append(columns, &msg, &body)...) })
		if err != nil {
			return err
		}
		if _, wanted := slices.BinarySearch(seqs, e.Seq); !wanted {
			return nil
		}
		text, _ := noteText(msg)
		events = append(events, outgoing{journal.FileOf(e.Ref(), custody.Leaf(text)), msg})
		if body != nil {
			parts = append(parts, part{e, body})
		}
		if p, ok := e.Pub.(custody.AttestIssued); ok {
			attests = append(attests, p.Attest)
		}
		return nil
	}, `SELECT `+eventColumns+`, events.note, private.body FROM events LEFT JOIN private ON private.event = events.n
		WHERE events.station = ? AND events.seq BETWEEN ? AND ? ORDER BY events.seq`, l.station.Name(), seqs[0], seqs[len(seqs)-1])
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := l.sealPart(j, p, to); err != nil {
			return err
		}
	}
	for _, id := range attests {
		msg, err := l.Attest(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue // the audit says so
		}
		if err == nil {
			err = j.WriteAttest(id, msg)
		}
		if err != nil {
			return err
		}
	}
	return j.Write(l.station.Name(), func(yield func(journal.File, []byte) bool) {
		for _, e := range events {
			if !yield(e.file, e.msg) {
				return
			}
		}
	})
}

// A part is a private part as it is stored, with its event.
type part struct {
	event custody.Event
	body  []byte
}

// sealPart writes the sealed copy of a private part. One that is there already
// is good if we can open it; else a killed command left it, and it goes.
func (l *Ledger) sealPart(j *journal.Journal, p part, to journal.Recipients) error {
	if _, err := openPrivate(p.event.Type(), p.event.Commit, p.body); err != nil {
		return fmt.Errorf("private part of %s: %w: %w", p.event.Ref(), ErrCorrupt, err)
	}
	s := journal.Sealed{Case: p.event.Case, Ref: p.event.Ref(), Set: to.Set()}
	sealed, err := journal.Seal(journal.Private{
		Nonce: [custody.NonceSize]byte(p.body[privatePadding:]), Text: p.body[privatePadding+custody.NonceSize:],
	}, to)
	if err != nil {
		return err
	}
	err = j.WritePrivate(s, sealed)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	old, err := j.ReadPrivate(s)
	if err == nil {
		if _, err = journal.Unseal(old, p.event.Commit, l.station.identity); err == nil {
			return nil
		}
	}
	if err := j.ErasePrivate(s); err != nil {
		return err
	}
	return j.WritePrivate(s, sealed)
}

// recipients are all who may read private parts: the stations that are not
// retired, and the shop's keys.
func (l *Ledger) recipients(ctx context.Context) (journal.Recipients, error) {
	shop, err := foldShop(ctx, l.db)
	if err != nil {
		return journal.Recipients{}, err
	}
	to := []string{l.station.Recipient()}
	for _, s := range shop.Stations {
		if s.Retired == nil {
			to = append(to, s.Seal)
		}
	}
	for _, k := range shop.Keys {
		to = append(to, k.Recipient)
	}
	return journal.NewRecipients(to)
}

// reseal seals every private part that this ledger holds to the present
// recipients, also those of other stations: a station that is gone cannot do it.
// Copies for fewer recipients go, so that a part lies there once.
func (l *Ledger) reseal(ctx context.Context, j *journal.Journal, to journal.Recipients) error {
	var nos []custody.CaseNo
	err := each(ctx, l.db, func(scan func(...any) error) error {
		var no custody.CaseNo
		err := scan(&no)
		nos = append(nos, no)
		return sqlError(err)
	}, `SELECT DISTINCT coalesce(case_no, '') FROM events JOIN private ON private.event = events.n ORDER BY 1`)
	if err != nil {
		return err
	}
	for _, no := range nos {
		if err := l.resealCase(ctx, j, no, to); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) resealCase(ctx context.Context, j *journal.Journal, no custody.CaseNo, to journal.Recipients) error {
	there, _, err := j.Private(no)
	if err != nil {
		return err
	}
	byRef := make(map[custody.Ref][]journal.Sealed)
	for _, s := range there {
		byRef[s.Ref] = append(byRef[s.Ref], s)
	}
	var parts []part
	where := `events.case_no = ?`
	if no == "" {
		where = `events.case_no IS NULL AND events.type <> 'heartbeat' AND ? = ''`
	}
	err = each(ctx, l.db, func(scan func(...any) error) error {
		var p part
		var err error
		p.event, err = decodeRow(func(columns ...any) error { return scan(append(columns, &p.body)...) })
		parts = append(parts, p)
		return err
	}, `SELECT `+eventColumns+`, private.body FROM events JOIN private ON private.event = events.n WHERE `+where, string(no))
	if err != nil {
		return err
	}
	for _, p := range parts {
		copies := byRef[p.event.Ref()]
		if len(copies) == 0 && p.event.Station != l.station.Name() {
			continue // its station has not published it in this vault
		}
		if !slices.ContainsFunc(copies, func(s journal.Sealed) bool { return s.Set == to.Set() }) {
			if err := l.sealPart(j, p, to); err != nil {
				return err
			}
		}
		for _, s := range copies {
			if s.Set == to.Set() {
				continue
			}
			if err := j.ErasePrivate(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookAgain is how many events are looked through for erased parts at every exchange
// before it is worth a write to remember that there were none.
const lookAgain = 1000

// eraseSealed erases the sealed copies of every private part of which a private.erased
// says so that came since the last time, which is from; it returns the from of the next.
func (l *Ledger) eraseSealed(ctx context.Context, j *journal.Journal, from int64, result *SyncResult) (int64, error) {
	var newest int64
	if err := l.db.QueryRowContext(ctx, `SELECT coalesce(max(n), 0) FROM events`).Scan(&newest); err != nil {
		return from, sqlError(err)
	}
	gone := make(map[custody.CaseNo]map[custody.Ref]bool)
	err := each(ctx, l.db, func(scan func(...any) error) error {
		e, err := decodeRow(scan)
		if err != nil {
			return err
		}
		if p, ok := e.Pub.(custody.PrivateErased); ok {
			if gone[e.Case] == nil {
				gone[e.Case] = make(map[custody.Ref]bool)
			}
			for _, r := range p.Events {
				gone[e.Case][r] = true
			}
		}
		return nil
	}, `SELECT `+eventColumns+` FROM events WHERE type = ? AND n > ? AND n <= ?`, string(custody.TypePrivateErased), from, newest)
	if err != nil {
		return from, err
	}
	if len(gone) == 0 && newest-from < lookAgain {
		return from, nil
	}
	for no, refs := range gone {
		there, _, err := j.Private(no)
		if err != nil {
			return from, err
		}
		for _, s := range there {
			if !refs[s.Ref] {
				continue
			}
			if err := j.ErasePrivate(s); err != nil {
				return from, err
			}
			result.Erased++
		}
	}
	return newest, nil
}

// openParts opens the sealed private parts that this ledger lacks and that are
// sealed to this station, and keeps them.
func (l *Ledger) openParts(ctx context.Context, j *journal.Journal, result *SyncResult) error {
	lacking := make(map[custody.CaseNo]map[custody.Ref]lack)
	err := each(ctx, l.db, func(scan func(...any) error) error {
		var n int64
		e, err := decodeRow(func(columns ...any) error { return scan(append(columns, &n)...) })
		if err != nil {
			return err
		}
		if lacking[e.Case] == nil {
			lacking[e.Case] = make(map[custody.Ref]lack)
		}
		lacking[e.Case][e.Ref()] = lack{n, e.Type(), e.Commit}
		return nil
	}, `SELECT `+eventColumns+`, events.n FROM unopened CROSS JOIN events ON events.n = unopened.event`)
	if err != nil {
		return err
	}
	for no, refs := range lacking {
		found, err := l.readParts(j, no, refs)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			continue
		}
		opened := 0
		if err := l.write(ctx, func(tx queryer) error { opened, err = keepParts(ctx, tx, found); return err }); err != nil {
			return err
		}
		result.Opened += opened
	}
	return nil
}

type lack struct {
	n      int64
	kind   custody.Type
	commit custody.Hash
}

// readParts returns what can be opened of a case, by the event's n.
func (l *Ledger) readParts(j *journal.Journal, no custody.CaseNo, refs map[custody.Ref]lack) (map[int64]journal.Private, error) {
	there, _, err := j.Private(no)
	if err != nil {
		return nil, err
	}
	found := make(map[int64]journal.Private)
	for _, s := range there {
		want, ok := refs[s.Ref]
		if _, done := found[want.n]; !ok || done {
			continue
		}
		sealed, err := j.ReadPrivate(s)
		if errors.As(err, new(journal.Refusal)) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// A copy that is sealed to others, damaged, or put there instead of
		// another is none; the audit counts what is lacking.
		p, err := journal.Unseal(sealed, want.commit, append(l.identities, l.station.identity)...)
		if err != nil {
			continue
		}
		if _, err := custody.DecodePrivate(want.kind, p.Text); err == nil {
			found[want.n] = p
		}
	}
	return found, nil
}

func keepParts(ctx context.Context, tx queryer, found map[int64]journal.Private) (int, error) {
	opened := 0
	for n, p := range found {
		var lacking bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM unopened WHERE event = ?)`, n).Scan(&lacking); err != nil {
			return 0, err
		}
		if !lacking {
			continue
		}
		if err := insertPrivate(ctx, tx, n, p.Nonce, p.Text); err != nil {
			return 0, err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM unopened WHERE event = ?`, n); err != nil {
			return 0, err
		}
		opened++
	}
	return opened, nil
}

// Unopened returns how many private parts of other stations this ledger could
// not open yet.
func (l *Ledger) Unopened(ctx context.Context) (int, error) {
	var n int
	if err := l.db.QueryRowContext(ctx, `SELECT count(*) FROM unopened`).Scan(&n); err != nil {
		return 0, fmt.Errorf("unopened private parts: %w", sqlError(err))
	}
	return n, nil
}

// takeAttests keeps the signed statements that events of other stations speak of
// and that this ledger lacks.
func (l *Ledger) takeAttests(ctx context.Context, j *journal.Journal) error {
	var lacking []custody.Event
	err := each(ctx, l.db, func(scan func(...any) error) error {
		e, err := decodeRow(scan)
		lacking = append(lacking, e)
		return err
	}, `SELECT `+eventColumns+` FROM attests_lacking CROSS JOIN events ON events.n = attests_lacking.event`)
	if err != nil {
		return err
	}
	for _, e := range lacking {
		p, ok := e.Pub.(custody.AttestIssued)
		if !ok {
			continue
		}
		msg, err := j.Attest(p.Attest)
		if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(journal.Refusal)) {
			continue
		}
		if err != nil {
			return err
		}
		if custody.Hash(sha256.Sum256(msg)) != p.SHA256 {
			continue // not the one; the audit counts what is lacking
		}
		if err := l.SaveAttest(ctx, p.Attest, e.Case, p.Image, msg); err != nil {
			return err
		}
		if err := l.write(ctx, func(tx queryer) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM attests_lacking WHERE event = (SELECT n FROM events WHERE station = ? AND seq = ?)`, e.Station, e.Seq)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
