package ledger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"salvor/custody"
	"salvor/custody/journal"
)

// A bundle is the proof of one case for somebody who has nothing else: lines of
// JSON, first the shop's card, then the checkpoint of each station that has
// recorded something in it, then the events with their inclusion proofs, and last
// the signature of the station that made it over all lines before. Beside the
// events of the case it holds those by which keys are believed: which stations and
// which operators' keys there are. No event of another case is in it, and no
// private part.

// CheckPaper compares the code that a paper shows with this ledger: the state of
// a station's log when it held so many events; see [custody.Checkpoint.Code]. It
// returns [ErrCode] when the history was written anew since, and [ErrNotFound]
// when the ledger does not go so far: its end was cut off, or an old copy put back.
func (l *Ledger) CheckPaper(ctx context.Context, station string, size int64, code string) error {
	if err := l.checkPaper(ctx, station, size, code); err != nil {
		return fmt.Errorf("station %s at %s: %w", station, count(size, "event"), err)
	}
	return nil
}

func (l *Ledger) checkPaper(ctx context.Context, station string, size int64, code string) error {
	have, _, err := logEnd(ctx, l.db, station)
	if err != nil {
		return err
	}
	if size < 0 || size > have {
		return ErrNotFound
	}
	origin, err := custody.Origin(l.station.Shop(), station)
	if err != nil {
		return err
	}
	root, err := rootAt(ctx, l.db, station, size)
	if err != nil {
		return err
	}
	if plainCode(custody.Checkpoint{Origin: origin, Size: size, Root: root}.Code()) != plainCode(code) {
		return ErrCode
	}
	return nil
}

// bundleLine is one line of a bundle; which fields it has says what it is.
type bundleLine struct {
	Salvor     string         `json:"salvor,omitempty"` // "bundle/1", in the first line only
	Case       custody.CaseNo `json:"case,omitempty"`
	Card       string         `json:"card,omitempty"`
	Checkpoint string         `json:"checkpoint,omitempty"`
	Event      string         `json:"event,omitempty"`
	Proof      []tlog.Hash    `json:"proof,omitempty"`
	Signed     string         `json:"signed,omitempty"`
}

const (
	bundleVersion   = "bundle/1"
	maxBundleLine   = 2 * custody.MaxEventBytes
	maxBundleEvents = 100_000
)

func bundleText(sum []byte) string { return fmt.Sprintf("salvor/1 bundle\n%x\n", sum) }

// explains says whether events of a type belong into every bundle.
func explains(t custody.Type) bool {
	switch t {
	case custody.TypeShopCreated, custody.TypeStationEnrolled, custody.TypeStationRetired,
		custody.TypeOperatorKeyAdded, custody.TypeOperatorKeyEnded:
		return true
	}
	return false
}

// Bundle writes the proof of one case. It returns [ErrNotFound] when there is no
// such case.
func (l *Ledger) Bundle(ctx context.Context, no custody.CaseNo, w io.Writer) error {
	if err := l.snapshot(ctx, func(conn queryer) error { return l.bundle(ctx, conn, no, w) }); err != nil {
		return fmt.Errorf("bundle of %s: %w", no, err)
	}
	return nil
}

func (l *Ledger) bundle(ctx context.Context, q queryer, no custody.CaseNo, w io.Writer) error {
	type noted struct {
		ref custody.Ref
		msg []byte
	}
	var events []noted
	found := false
	err := each(ctx, q, func(scan func(...any) error) error {
		var msg []byte
		e, err := decodeRow(func(columns ...any) error { return scan(append(columns, &msg)...) })
		if err != nil {
			return err
		}
		if e.Case == no || explains(e.Type()) {
			events = append(events, noted{e.Ref(), msg})
		}
		found = found || e.Case == no
		return nil
	}, `SELECT `+eventColumns+`, events.note FROM events WHERE case_no = ?
		UNION ALL SELECT `+eventColumns+`, events.note FROM events WHERE case_no IS NULL AND type <> 'heartbeat'
		ORDER BY station, seq`, string(no))
	if err != nil {
		return err
	}
	if !found || no == "" {
		return ErrNotFound
	}
	_, card, err := l.rootCard(ctx, q)
	if err != nil {
		return err
	}
	out := bundleWriter{w: bufio.NewWriter(w), sum: sha256.New()}
	out.line(bundleLine{Salvor: bundleVersion, Case: no, Card: string(card)})
	sizes := make(map[string]int64)
	for _, e := range events {
		if _, ok := sizes[e.ref.Station]; ok {
			continue
		}
		var msg []byte
		var size int64
		if err := q.QueryRowContext(ctx, `SELECT size, note FROM checkpoints WHERE station = ?`, e.ref.Station).Scan(&size, &msg); err != nil {
			return notFound(err)
		}
		sizes[e.ref.Station] = size
		out.line(bundleLine{Checkpoint: string(msg)})
	}
	for _, e := range events {
		size := sizes[e.ref.Station]
		if e.ref.Seq > size {
			return fmt.Errorf("event %s: no checkpoint covers it: %w", e.ref, ErrNotFound)
		}
		proof, err := tlog.ProveRecord(size, e.ref.Seq-1, treeReader(ctx, q, e.ref.Station))
		if err != nil {
			return err
		}
		out.line(bundleLine{Event: string(e.msg), Proof: proof})
	}
	signed, err := l.station.SignNote(bundleText(out.sum.Sum(nil)))
	if err != nil {
		return err
	}
	out.line(bundleLine{Signed: string(signed)})
	return errors.Join(out.err, out.w.Flush())
}

// bundleWriter writes lines and hashes them; its first error stays.
type bundleWriter struct {
	w   *bufio.Writer
	sum hash.Hash
	err error
}

func (b *bundleWriter) line(x bundleLine) {
	text, err := x.encode()
	if err == nil && b.err == nil {
		_, err = b.w.Write(text)
		b.sum.Write(text)
	}
	b.err = errors.Join(b.err, err)
}

func (x bundleLine) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(x)
	return b.Bytes(), err
}

// A BundleResult is what a bundle proves.
type BundleResult struct {
	Shop        string
	By          string // station that made it
	Case        custody.Case
	Events      []custody.Event // of the case, in causal order
	Checkpoints []custody.Checkpoint
}

// CheckBundle checks a bundle with nothing but the shop's public key: the verifier
// key in the shop's card, see [Ledger.ShopCard]. It proves that each event was
// signed by a station of that shop, and by its operator where he has a key, that
// it stands in that station's log at its checkpoint, that the bundle holds every
// event of the case that one of them names, and that nothing in it is about
// another case. What came after the checkpoints it cannot know. It returns
// [ErrBundle] otherwise.
func CheckBundle(r io.Reader, shopKey string) (BundleResult, error) {
	c := bundleCheck{key: shopKey, sum: sha256.New(), checkpoints: make(map[string]*bundleLog)}
	if err := c.run(r); err != nil {
		return BundleResult{}, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return c.result, nil
}

var errBundleText = errors.New("malformed")

type bundleCheck struct {
	key         string
	card        journal.Card
	sum         hash.Hash
	checkpoints map[string]*bundleLog // by origin
	result      BundleResult
	signed      []byte
	before      []byte // hash over the lines before the signature
}

// bundleLog is what a bundle holds of one station.
type bundleLog struct {
	msg      []byte
	cp       custody.Checkpoint
	events   []bundleEvent
	verified bool
}

type bundleEvent struct {
	msg   []byte
	text  []byte
	proof tlog.RecordProof
}

func (c *bundleCheck) run(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxBundleLine)
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i+1], nil
		}
		if atEOF && len(data) > 0 {
			return 0, nil, errBundleText // cut short
		}
		return 0, nil, nil
	})
	n := 0
	for ; lines.Scan(); n++ {
		if err := c.line(n, lines.Bytes()); err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if c.signed == nil {
		return fmt.Errorf("line %d: %w: it ends here", n+1, errBundleText)
	}
	return c.verify()
}

// line reads one line strictly: it has one spelling and its place.
func (c *bundleCheck) line(n int, text []byte) error {
	var x bundleLine
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&x); err != nil {
		return errBundleText
	}
	if again, err := x.encode(); err != nil || !bytes.Equal(again, text) {
		return errBundleText
	}
	if c.signed != nil || n > maxBundleEvents {
		return fmt.Errorf("%w: something follows the end", errBundleText)
	}
	kinds := 0
	for _, is := range []bool{x.Salvor != "", x.Checkpoint != "", x.Event != "", x.Signed != ""} {
		if is {
			kinds++
		}
	}
	if kinds != 1 || (n == 0) != (x.Salvor != "") || (x.Salvor != "") != (x.Card != "" && x.Case != "") ||
		x.Salvor == "" && (x.Card != "" || x.Case != "") || x.Event == "" && x.Proof != nil {
		return errBundleText
	}
	switch {
	case x.Salvor != "":
		return c.head(x, text)
	case x.Checkpoint != "":
		if err := c.checkpoint([]byte(x.Checkpoint)); err != nil {
			return err
		}
	case x.Event != "":
		if err := c.event([]byte(x.Event), x.Proof); err != nil {
			return err
		}
	default:
		c.signed, c.before = []byte(x.Signed), c.sum.Sum(nil)
		return nil
	}
	c.sum.Write(text)
	return nil
}

func (c *bundleCheck) head(x bundleLine, text []byte) error {
	if x.Salvor != bundleVersion {
		return fmt.Errorf("%w: version", errBundleText)
	}
	no, err := custody.ParseCaseNo(string(x.Case))
	if err != nil {
		return err
	}
	if c.card, err = journal.ParseCard(journal.ShopCard, []byte(x.Card)); err != nil {
		return err
	}
	if c.card.Sign != c.key {
		return errors.New("the card is of another shop")
	}
	c.result.Shop, c.result.Case.No = c.card.Shop, no
	c.sum.Write(text)
	return nil
}

// checkpoint keeps a checkpoint under the name that it gives itself; it is
// believed when a key of that name has verified it.
func (c *bundleCheck) checkpoint(msg []byte) error {
	text, _, ok := bytes.Cut(msg, []byte("\n\n"))
	cp, err := custody.ParseCheckpoint(string(text) + "\n")
	if !ok || err != nil {
		return errBundleText
	}
	if _, ok := c.checkpoints[cp.Origin]; ok {
		return fmt.Errorf("%w: a second checkpoint", errBundleText)
	}
	c.checkpoints[cp.Origin] = &bundleLog{msg: msg, cp: cp}
	return nil
}

func (c *bundleCheck) event(msg []byte, proof []tlog.Hash) error {
	text, ok := noteText(msg)
	if !ok {
		return errBundleText
	}
	f, ok := skim(text)
	if !ok {
		return errBundleText
	}
	origin, err := custody.Origin(c.card.Shop, string(f.station))
	if err != nil {
		return err
	}
	log, ok := c.checkpoints[origin]
	if !ok {
		return errors.New("no checkpoint covers it")
	}
	log.events = append(log.events, bundleEvent{msg: msg, text: text, proof: proof})
	return nil
}

// verify follows trust from the shop's key to the last event.
func (c *bundleCheck) verify() error {
	trusted := map[string]note.Verifier{}
	add := func(station, key string) {
		v := stationVerifier(c.card.Shop, station, key)
		if v != nil && trusted[v.Name()] == nil {
			trusted[v.Name()] = v
		}
	}
	add(c.card.Station, c.card.Sign)
	var all []custody.Event
	var notes [][]byte
	for again := true; again; {
		again = false
		for _, origin := range sortedKeys(c.checkpoints) {
			log := c.checkpoints[origin]
			v := trusted[origin]
			if v == nil || log.verified {
				continue
			}
			events, err := c.verifyLog(log, v)
			if err != nil {
				return fmt.Errorf("%s: %w", origin, err)
			}
			log.verified, again = true, true
			c.result.Checkpoints = append(c.result.Checkpoints, log.cp)
			for i, e := range events {
				if p, ok := e.Pub.(custody.StationEnrolled); ok {
					add(p.Station, p.Sign)
				}
				all, notes = append(all, e), append(notes, log.events[i].msg)
			}
		}
	}
	for origin, log := range c.checkpoints {
		if !log.verified {
			return fmt.Errorf("%s: %w", origin, ErrUnknownStation)
		}
	}
	if err := c.verifyWhole(all, notes); err != nil {
		return err
	}
	for origin, v := range trusted {
		if n, err := note.Open(c.signed, note.VerifierList(v)); err == nil && len(n.UnverifiedSigs) == 0 && n.Text == bundleText(c.before) {
			c.result.By = origin[len("salvor/"+c.card.Shop+"/"):]
			return nil
		}
	}
	return errors.New("the bundle is not signed by a station of the shop")
}

func (c *bundleCheck) verifyLog(log *bundleLog, v note.Verifier) ([]custody.Event, error) {
	n, err := openAs(v, log.msg)
	if err != nil || n.Text != log.cp.Text() || len(n.UnverifiedSigs) > 0 {
		return nil, errors.New("the checkpoint is not signed by its station")
	}
	events := make([]custody.Event, 0, len(log.events))
	for _, x := range log.events {
		if n, err := openAs(v, x.msg); err != nil || n.Text != string(x.text) {
			return nil, journal.ErrForeign
		}
		e, err := custody.DecodeEvent(x.text)
		if err != nil {
			return nil, err
		}
		if err := tlog.CheckRecord(x.proof, log.cp.Size, tlog.Hash(log.cp.Root), e.Seq-1, tlog.Hash(custody.Leaf(x.text))); err != nil {
			return nil, fmt.Errorf("event %s is not in its log: %w", e.Ref(), err)
		}
		if origin, err := custody.Origin(c.card.Shop, e.Station); err != nil || origin != v.Name() {
			return nil, journal.ErrRenamed
		}
		if e.Case != c.result.Case.No && (e.Case != "" || !explains(e.Type())) {
			return nil, fmt.Errorf("event %s does not belong here", e.Ref())
		}
		events = append(events, e)
	}
	return events, nil
}

// verifyWhole checks what all events together must show: the operators'
// signatures, and that none that another names is left out.
func (c *bundleCheck) verifyWhole(all []custody.Event, notes [][]byte) error {
	keys := &signers{}
	keys.learnAll(custody.Sort(all))
	there := make(map[custody.Ref]bool)
	for i, e := range all {
		if there[e.Ref()] {
			return fmt.Errorf("event %s stands here twice", e.Ref())
		}
		there[e.Ref()] = true
		if err := keys.check(e, notes[i]); err != nil {
			return fmt.Errorf("event %s: %w", e.Ref(), err)
		}
		if e.Case != "" {
			c.result.Events = append(c.result.Events, e)
		}
	}
	for _, e := range c.result.Events {
		for _, r := range e.CaseHeads {
			if !there[r] {
				return fmt.Errorf("event %s is left out: %s names it", r, e.Ref())
			}
		}
	}
	if len(c.result.Events) == 0 {
		return errors.New("it holds no event of its case")
	}
	c.result.Events = custody.Sort(c.result.Events)
	c.result.Case = custody.FoldCase(c.result.Case.No, c.result.Events)
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
