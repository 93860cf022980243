package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"salvor/custody"
)

// Checking a signature costs fifty times what everything else about an event
// costs. So an audit that found no fault leaves a record of each log: how many
// events, the root of their tree, and one digest over all their notes, signatures
// included. The record is signed by this station. The next audit computes tree and
// digest again and compares: if they are the same, every byte of those events, and
// of the signatures on them, is the same as when all of it was checked, because
// whoever finds other bytes with the same SHA-256 has broken more than this. What
// is newer is checked in full.
//
// What this rests on, and what it does not:
//
//   - Who can write the file cannot make a record: it takes the station's key. He
//     can delete records, or put an older one back: then more is checked.
//   - Who has stolen the station's key can make a record. But he could as well sign
//     other events in the station's name, and no signature on this file says
//     anything any more: only what lies outside of it does, the heads that other
//     stations have signed, the journals and the papers. Those are compared in
//     every audit that gets journals, and by [Ledger.CheckPaper].
//   - A signature of another station or of an operator could be checked again only
//     to find a fault in the earlier check, as after an update of the program.
//     [AuditOptions.Full] does.
//
// The rows that are computed from a case's events are bound in the same way: by a
// keyed hash over the number of events and all rows of the case. The key is
// derived from the station's. Events are only ever added, so the same number of
// events of a log whose bytes are the same is the same set of events.

const recordHeader = "salvor/1 audited"

// A record says what an audit has checked of one log.
type record struct {
	key    string // verifier key with which the log was checked
	size   int64
	root   custody.Hash
	digest custody.Hash
}

func (r record) text() string {
	return recordHeader + "\n" + r.key + "\n" + strconv.FormatInt(r.size, 10) + "\n" +
		base64.StdEncoding.EncodeToString(r.root[:]) + "\n" + r.digest.String() + "\n"
}

func parseRecord(text string) (record, bool) {
	lines := strings.Split(text, "\n")
	if len(lines) != 6 || lines[0] != recordHeader {
		return record{}, false
	}
	r := record{key: lines[1]}
	var err error
	if r.size, err = strconv.ParseInt(lines[2], 10, 64); err != nil || r.size < 1 {
		return record{}, false
	}
	root, err := base64.StdEncoding.DecodeString(lines[3])
	if err != nil || len(root) != len(r.root) {
		return record{}, false
	}
	r.root = custody.Hash(root)
	if r.digest, err = custody.ParseHash(lines[4]); err != nil {
		return record{}, false
	}
	return r, r.text() == text
}

// auditKey is the key of the hashes over the rows of cases.
func (s Station) auditKey() []byte {
	sum := sha256.Sum256([]byte("salvor/1 audit key\n" + s.signKey))
	return sum[:]
}

func newDigest() hash.Hash { return sha256.New() }

// storedCheckpoint returns the stored checkpoint of a station: ErrNotFound when
// there is none, ErrCorrupt when it is not signed by the station.
func storedCheckpoint(ctx context.Context, q queryer, name string, v note.Verifier) (custody.Checkpoint, error) {
	var msg []byte
	var size int64
	if err := q.QueryRowContext(ctx, `SELECT size, note FROM checkpoints WHERE station = ?`, name).Scan(&size, &msg); err != nil {
		return custody.Checkpoint{}, notFound(err)
	}
	n, err := openAs(v, msg)
	if err != nil {
		return custody.Checkpoint{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	cp, err := custody.ParseCheckpoint(n.Text)
	if err != nil {
		return custody.Checkpoint{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if cp.Origin != v.Name() || cp.Size != size {
		return custody.Checkpoint{}, fmt.Errorf("%w: the checkpoint is of another log", ErrCorrupt)
	}
	return cp, nil
}

// compareLog compares a log with the record of an earlier audit. It reports
// whether the events up to the record are those of then, and covers them; when it
// does not, nothing is known, and every event has to be checked.
func (a *auditing) compareLog(ctx context.Context, log *auditedLog) (bool, error) {
	if a.options.Full {
		return false, nil
	}
	var msg []byte
	err := a.conn.QueryRowContext(ctx, `SELECT note FROM audited WHERE station = ?`, log.name).Scan(&msg)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, sqlError(err)
	}
	text, err := a.station.OpenNote(msg)
	if err != nil {
		return false, nil //nolint:nilerr // a record that is not ours is none
	}
	r, ok := parseRecord(text)
	if !ok || r.key != log.key {
		return false, nil
	}
	log.digest = newDigest()
	log.events = make([]audited, 0, r.size)
	log.tree.hashes = make([]tlog.Hash, 0, 2*r.size)
	same := true
	var n int64
	var prev custody.Hash
	err = each(ctx, a.conn, func(scan func(...any) error) error {
		var x eventRow
		var id, kind, no, leaf, msg sql.RawBytes
		if err := scan(&x.n, &x.seq, &id, &x.ts, &kind, &no, &leaf, &msg); err != nil {
			return sqlError(err)
		}
		if !same {
			return nil
		}
		text, ok := noteText(msg)
		f, ok2 := skim(text)
		if !ok || !ok2 || x.seq != int64(len(log.events))+1 || x.n <= n || f.seq != x.seq || string(f.station) != log.name ||
			!bytes.Equal(f.id, id) || !bytes.Equal(f.kind, kind) || !bytes.Equal(f.no, no) || f.ts != x.ts || !spells(f.prev, prev) {
			same = false
			return nil
		}
		e := audited{kind: typeNamed(a.kinds, f.kind), n: x.n, leaf: custody.Leaf(text), commit: f.commit, read: true, sane: true}
		if same = bytes.Equal(e.leaf[:], leaf); !same {
			return nil
		}
		addDigest(log, msg)
		log.events = append(log.events, e)
		log.tree.add([32]byte(e.leaf))
		n, prev = x.n, e.leaf
		if e.kind == custody.TypePrivateErased && x.seq < r.size {
			same = a.noteErased(text)
			return nil
		}
		if e.kind == custody.TypeAttestIssued || x.seq == r.size {
			event, err := custody.DecodeEvent(text)
			if same = err == nil; same {
				a.note(event)
			}
		}
		return nil
	}, `SELECT n, seq, id, ts, type, coalesce(case_no, ''), leaf, note FROM events WHERE station = ? AND seq <= ? ORDER BY seq`, log.name, r.size)
	if err != nil {
		return false, err
	}
	if !same || int64(len(log.events)) != r.size || custody.Hash(log.digest.Sum(nil)) != r.digest {
		return false, nil
	}
	if root, err := log.tree.root(r.size); err != nil || root != r.root {
		return false, err
	}
	log.covered = r.size
	return true, nil
}

// fewNews is how many events and cases an audit leaves to the next one to check again:
// that is sooner done than to write the records, which waits for the disk.
const fewNews = 32

// remember leaves the records of an audit without faults, when they say enough that is
// new. Failing to costs the next audit its time and nothing else, so it is no error.
func (a *auditing) remember(ctx context.Context) {
	news, covered := int64(len(a.cases)), int64(0)
	for _, log := range a.order {
		news += int64(len(log.events)) - log.covered
		covered += log.covered
	}
	if news == 0 || news < min(fewNews, covered/256) {
		return
	}
	_ = a.ledger.write(ctx, func(tx queryer) error {
		for _, log := range a.order {
			r := record{key: log.key, size: int64(len(log.events)), digest: custody.Hash(log.digest.Sum(nil))}
			if r.size == log.covered {
				continue
			}
			var err error
			if r.root, err = log.tree.root(r.size); err != nil {
				return err
			}
			msg, err := a.station.SignNote(r.text())
			if err != nil {
				return err
			}
			if err := updateOrInsert(ctx, tx, `UPDATE audited SET note = ? WHERE station = ?`,
				`INSERT INTO audited (note, station) VALUES (?, ?)`, msg, log.name); err != nil {
				return err
			}
		}
		for no, mac := range a.cases {
			if err := updateOrInsert(ctx, tx, `UPDATE audited_cases SET mac = ? WHERE no = ?`,
				`INSERT INTO audited_cases (mac, no) VALUES (?, ?)`, mac, string(no)); err != nil {
				return err
			}
		}
		return nil
	})
}

// skimmed are the fields of an event's text that stand outside of its public part.
type skimmed struct {
	id, station, kind, no []byte
	prev                  []byte // 64 hexadecimal digits
	seq, ts               int64
	commit                custody.Hash
}

// skim reads the fixed fields of an event whose text was decoded before and has
// not changed since: an event has one spelling, so each stands in its place. Of
// any other text it may read nonsense, and nothing follows from it.
func skim(text []byte) (skimmed, bool) {
	var f skimmed
	rest, ok := bytes.CutPrefix(text, []byte(`{"v":1,"id":"`))
	field := func(until string) []byte {
		if !ok {
			return nil
		}
		var value []byte
		value, rest, ok = bytes.Cut(rest, []byte(until))
		return value
	}
	f.id = field(`","station":"`)
	f.station = field(`","seq":`)
	seq := field(`,"prev":"`)
	f.prev = field(`","ts":"`)
	ts := field(`","type":"`)
	f.kind = field(`"`)
	if !ok {
		return skimmed{}, false
	}
	if no, found := bytes.CutPrefix(rest, []byte(`,"case":"`)); found {
		f.no, _, ok = bytes.Cut(no, []byte(`"`))
	}
	var err error
	if f.seq, err = strconv.ParseInt(string(seq), 10, 64); err != nil {
		return skimmed{}, false
	}
	at, err := time.Parse("2006-01-02T15:04:05Z", string(ts))
	if err != nil {
		return skimmed{}, false
	}
	f.ts = at.Unix()
	// A quotation mark inside a string is escaped, and no public part has a field
	// of this name.
	if i := bytes.Index(rest, []byte(`,"commit":"`)); i >= 0 {
		sum, _, _ := bytes.Cut(rest[i+len(`,"commit":"`):], []byte(`"`))
		if f.commit.UnmarshalText(sum) != nil {
			return skimmed{}, false
		}
	}
	return f, ok
}

// spells says whether text is the hash in hexadecimal digits.
func spells(text []byte, h custody.Hash) bool {
	var digits [2 * len(h)]byte
	hex.Encode(digits[:], h[:])
	return bytes.Equal(text, digits[:])
}

// noteErased reads which events a private.erased names, like skim: there are as
// many of these events as cases, and decoding one costs as much as all else about
// twenty others.
func (a *auditing) noteErased(text []byte) bool {
	_, list, ok := bytes.Cut(text, []byte(`"pub":{"events":["`))
	list, _, ok2 := bytes.Cut(list, []byte(`"]}`))
	for name := range bytes.SplitSeq(list, []byte(`","`)) {
		ref, err := custody.ParseRef(string(name))
		if err != nil {
			return false
		}
		a.erased[ref] = true
	}
	return ok && ok2
}

// typeNamed returns the type of that name, without a new string for each event.
func typeNamed(known map[string]custody.Type, name []byte) custody.Type {
	if t, ok := known[string(name)]; ok {
		return t
	}
	t := custody.Type(name)
	known[string(t)] = t
	return t
}
