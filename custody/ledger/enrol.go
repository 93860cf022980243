package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"salvor/custody"
	"salvor/custody/journal"
)

// stationOp is the operator of acts that nobody has to answer for.
const stationOp = "op-station"

// AskToJoin writes the request of a new station into a journal and returns the
// code to be compared where it is approved: both stations show the same one, or
// somebody stands in between. It returns [ErrExists] when the shop has a station
// of that name, and journal.ErrWrongShop when the key was made for another shop.
func AskToJoin(j *journal.Journal, st Station) (code string, err error) {
	root, _, err := j.Shop()
	if err != nil {
		return "", fmt.Errorf("ask to join: %w", err)
	}
	if root.Shop != st.Shop() {
		return "", fmt.Errorf("ask to join: %w", j.Refuse("", "shop.note", journal.ErrWrongShop))
	}
	_, err = j.Station(st.Name())
	if err == nil || root.Station == st.Name() {
		return "", fmt.Errorf("ask to join: station %s: %w", st.Name(), ErrExists)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("ask to join: %w", err)
	}
	msg, err := journal.SignCard(journal.RequestCard, st.Card(), st.signer)
	if err != nil {
		return "", fmt.Errorf("ask to join: %w", err)
	}
	if err := j.WriteRequest(st.Name(), msg); err != nil {
		return "", fmt.Errorf("ask to join: %w", err)
	}
	return journal.PairCode(root, st.Card()), nil
}

// An EnrolmentRequest is a station that asks to be enrolled.
type EnrolmentRequest struct {
	Card journal.Card
	Code string // to be compared with what that station shows
}

// Requests returns the stations that ask in a journal to be enrolled. What lies
// there and is no such request is in a [RefusedError] beside them.
func (l *Ledger) Requests(ctx context.Context, j *journal.Journal) ([]EnrolmentRequest, error) {
	if err := l.checkShop(ctx, j); err != nil {
		return nil, fmt.Errorf("requests: %w", err)
	}
	root, _, err := l.rootCard(ctx, l.db)
	if err != nil {
		return nil, fmt.Errorf("requests: %w", err)
	}
	cards, refusals, err := j.Requests()
	if err != nil {
		return nil, fmt.Errorf("requests: %w", err)
	}
	var requests []EnrolmentRequest
	for _, c := range cards {
		if c.Shop != root.Shop {
			refusals = append(refusals, j.Refuse(c.Station, "requests/"+c.Station+".note", journal.ErrWrongShop))
			continue
		}
		requests = append(requests, EnrolmentRequest{c, journal.PairCode(root, c)})
	}
	return requests, refused(refusals)
}

// Approve enrols a station that asks in a journal, when the code is the one that
// the station shows ([ErrCode] otherwise), and publishes that there. Spaces, dashes
// and capitals in the code do not matter. A request that was approved before, by a
// run that was cut off or at another station, is ended and nothing is recorded; the
// error is [ErrExists] when the shop has another station of that name, or a retired one.
func (l *Ledger) Approve(ctx context.Context, op, station, code string, j *journal.Journal) error {
	requests, err := l.Requests(ctx, j)
	if err != nil && !errors.Is(err, ErrRefused) {
		return err
	}
	for _, r := range requests {
		if r.Card.Station != station {
			continue
		}
		if plainCode(code) != plainCode(r.Code) {
			return fmt.Errorf("station %s: %w", station, ErrCode)
		}
		shop, err := foldShop(ctx, l.db)
		if err != nil {
			return err
		}
		switch s, ok := shop.Station(station); {
		case ok && (s.StationEnrolled != r.Card.Enrolment() || s.Retired != nil):
			return fmt.Errorf("station %s: %w", station, ErrExists)
		case !ok:
			if _, err := l.Append(ctx, op, Entry{Pub: r.Card.Enrolment()}); err != nil {
				return err
			}
		}
		if _, err := l.Publish(ctx, j); err != nil {
			return err
		}
		return j.RemoveRequest(station)
	}
	return fmt.Errorf("station %s asks nowhere: %w", station, ErrNotFound)
}

func plainCode(code string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(code))
}

// Retire records that a station is retired. What it had signed and what this
// ledger holds of it counts; what it signs from then on is not taken in, at no
// station. See [LateError] for what it had signed and nobody had heard of.
func (l *Ledger) Retire(ctx context.Context, op, station string, why custody.EndReason) error {
	last, _, err := logEnd(ctx, l.db, station)
	if err == nil {
		_, err = l.Append(ctx, op, Entry{Pub: custody.StationRetired{Station: station, Last: last, Why: why}})
	}
	if err != nil {
		return fmt.Errorf("retire station %s: %w", station, err)
	}
	return nil
}

// Join makes the ledger of a station that was approved, and takes in everything
// that the journals hold. The card is the shop's, as it was when the code was
// compared. It returns [ErrUnknownStation] as long as nobody has approved the
// station; then no file is left.
func Join(ctx context.Context, path string, st Station, root journal.Card, now func() time.Time, journals ...*journal.Journal) (*Ledger, SyncResult, error) {
	l, result, err := rebuild(ctx, path, st, now, RebuildOptions{Shop: &root}, journals)
	if err == nil {
		var shop custody.Shop
		shop, err = foldShop(ctx, l.db)
		if s, ok := shop.Station(st.Name()); err == nil && (!ok || s.StationEnrolled != st.Enrolment() || s.Retired != nil) {
			err = ErrUnknownStation
		}
	}
	if err == nil {
		// The first event names the heads of all the others: from here on this
		// station's own signature vouches for whom it trusts.
		_, err = l.Append(ctx, stationOp, Entry{Pub: custody.Heartbeat{}})
	}
	if err == nil {
		for _, j := range journals {
			more, perr := l.Publish(ctx, j)
			result.add(more)
			err = errors.Join(err, perr)
		}
	}
	if err != nil {
		return nil, result, fmt.Errorf("join: %w", l.abandon(path, err))
	}
	return l, result, nil
}

// RebuildOptions are what [Rebuild] needs beside the journals.
type RebuildOptions struct {
	// Shop is the card of the shop whose code a person has compared; nil when the
	// key of this station is the shop's own.
	Shop *journal.Card
	// Trust are the cards of further stations whose code a person has compared,
	// where the event that enrols them is lost.
	Trust []journal.Card
	// Identities are shop keys, for private parts that are not sealed to this
	// station.
	Identities []age.Identity
}

// Rebuild makes a ledger anew out of journals, on an empty machine with the
// station's key, or with the key of a new station in its place. What the station
// had recorded and not published is lost; everything else is as it was: cases fold
// and papers read the same. The error is a [RefusedError] beside a ledger that
// holds everything that was believed; with any other error no file is left.
func Rebuild(ctx context.Context, path string, st Station, now func() time.Time, o RebuildOptions, journals ...*journal.Journal) (*Ledger, SyncResult, error) {
	l, result, err := rebuild(ctx, path, st, now, o, journals)
	if err != nil {
		return nil, result, fmt.Errorf("rebuild: %w", l.abandon(path, err))
	}
	return l, result, refused(result.Refusals)
}

func rebuild(ctx context.Context, path string, st Station, now func() time.Time, o RebuildOptions, journals []*journal.Journal) (*Ledger, SyncResult, error) {
	ends := make(map[string]logEnds)
	for {
		l, result, err := build(ctx, path, st, now, o, ends, journals)
		if err != nil {
			return l, result, err
		}
		known := len(ends)
		if err := l.learnEnds(ctx, ends); err != nil || len(ends) == known {
			return l, result, err
		}
		// What a thief has signed anew was read before the event that retires the station.
		if err := l.abandon(path, nil); err != nil {
			return nil, result, err
		}
	}
}

// build makes a ledger once, with what is known from before of retired stations.
func build(ctx context.Context, path string, st Station, now func() time.Time, o RebuildOptions, ends map[string]logEnds, journals []*journal.Journal) (*Ledger, SyncResult, error) {
	var result SyncResult
	root, msg, err := findShop(st, o.Shop, journals)
	if err != nil {
		return nil, result, err
	}
	l, err := Create(ctx, path, st, now)
	if err != nil {
		return nil, result, err
	}
	if root != st.Card() {
		if err := l.write(ctx, func(tx queryer) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO root (one, card) VALUES (1, ?)`, msg)
			return err
		}); err != nil {
			return l, result, err
		}
	}
	l.trust, l.identities, l.ends = o.Trust, o.Identities, ends
	defer func() { l.trust, l.identities, l.ends = nil, nil, nil }()
	if err := l.takeAll(ctx, journals, &result); err != nil {
		return l, result, err
	}
	var first bool
	err = l.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM events WHERE type = 'shop.created')`).Scan(&first)
	if err == nil && !first {
		err = errors.Join(fmt.Errorf("shop.created: %w", ErrNotFound), refused(result.Refusals))
	}
	return l, result, sqlError(err)
}

// takeAll takes in everything, own events too. Journals are read twice: one may
// hold the event that enrols a station whose events lie in the one before it; and
// once more, for what belongs to own events that lay behind a checkpoint.
func (l *Ledger) takeAll(ctx context.Context, journals []*journal.Journal, result *SyncResult) error {
	take := func() error {
		result.Refusals = nil
		for _, j := range journals {
			if err := l.importFrom(ctx, j, true, result); err != nil {
				return err
			}
		}
		return nil
	}
	if err := errors.Join(take(), take()); err != nil {
		return err
	}
	before := result.Imported
	for _, j := range journals {
		if err := l.takeOwnTail(ctx, j, result); err != nil {
			return err
		}
	}
	if result.Imported == before {
		return nil
	}
	return take()
}

// takeOwnTail takes in the own events behind the checkpoint of a journal, where a process
// was killed before it had written that. They are signed and follow what is known. Left
// out, the next events would claim their places, and this station would seem to have
// signed two histories.
func (l *Ledger) takeOwnTail(ctx context.Context, j *journal.Journal, result *SyncResult) error {
	p := l.self()
	x, err := l.look(ctx, j, p, result)
	if err != nil {
		return told(err, result)
	}
	have, leaf := x.have, x.leaf
	files, _, err := j.Files(p.name)
	if err != nil {
		return told(err, result)
	}
	batch, err := readEvents(ctx, j, p, slices.DeleteFunc(files, func(f journal.File) bool { return f.Seq <= have }))
	if err != nil {
		return err
	}
	var tail []incoming
	for _, in := range batch {
		if in.err == nil && !in.newer && in.event.Seq == have+int64(len(tail))+1 && in.event.Prev == leaf {
			tail, leaf = append(tail, in), in.leaf
		}
	}
	_, shop, err := l.peers(ctx, l.db)
	if err != nil {
		return err
	}
	believed, _, err := x.believe(ctx, shop, tail)
	if err != nil || len(believed) == 0 {
		return err
	}
	grown, err := l.grow(ctx, p, have, believed, nil)
	if err != nil {
		return err
	}
	t := taking{l: l, p: p, vault: j.Vault(), batch: believed, grown: grown, have: have, size: x.cp.Size, result: result}
	if err := l.write(ctx, func(tx queryer) error { return t.take(ctx, tx) }); err != nil {
		return err
	}
	if t.erased {
		return l.wipeAgain(ctx)
	}
	return nil
}

// told keeps an error about a file of a journal among what was not believed.
func told(err error, result *SyncResult) error {
	if refuse(err, result) {
		return nil
	}
	return err
}

// findShop returns the shop's card, which must be the one that was compared, or
// this station's own.
func findShop(st Station, want *journal.Card, journals []*journal.Journal) (journal.Card, []byte, error) {
	for _, j := range journals {
		card, msg, err := j.Shop()
		if errors.Is(err, journal.ErrNoShop) {
			continue
		}
		if err != nil {
			return journal.Card{}, nil, err
		}
		if card.Shop != st.Shop() || want != nil && card != *want || want == nil && card != st.Card() {
			return journal.Card{}, nil, j.Refuse("", "shop.note", journal.ErrWrongShop)
		}
		return card, msg, nil
	}
	return journal.Card{}, nil, journal.ErrNoShop
}

// abandon removes what a ledger that could not be completed has left.
func (l *Ledger) abandon(path string, err error) error {
	if l == nil {
		return err // its file was never ours
	}
	l.Close()
	return errors.Join(err, discard(path), discard(path+"-journal"))
}

// CatchUp takes back this station's own events from journals, after a backup was
// restored or an old file was put back ([ErrRolledBack]). It returns [ErrCloned]
// when the ledger holds events that the journals do not have in their place: then
// two histories were signed, and the older file was written to.
func (l *Ledger) CatchUp(ctx context.Context, journals ...*journal.Journal) (SyncResult, error) {
	var result SyncResult
	for _, j := range journals {
		if err := l.checkOwn(ctx, j); errors.Is(err, ErrCloned) {
			return result, fmt.Errorf("catch up: %w", err)
		}
	}
	if err := l.takeAll(ctx, journals, &result); err != nil {
		return result, fmt.Errorf("catch up: %w", err)
	}
	return result, refused(result.Refusals)
}
