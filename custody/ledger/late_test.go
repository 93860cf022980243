package ledger

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"salvor/custody"
	"salvor/custody/journal"
)

// A lateDisk is a shop with the stations T1 and B2, whose vault v1 everybody sees, and
// an external disk v2 on which B2 alone has recorded a hold and a case of its own when
// T1 retired it.
type lateDisk struct {
	a, b    *shopfloor
	v1, v2  memoryVault
	held    custody.CaseNo // B2 has set a hold that nobody else knows
	own     custody.CaseNo // B2 has opened it, and nobody else knows
	another custody.CaseNo // nobody's concern
}

func hold(no custody.CaseNo, id string) Entry {
	return Entry{Case: no, Pub: custody.HoldAdded{Hold: id, Kind: custody.HoldLegal, Review: "2027-01-01"}, Private: map[string]string{"reason": "claim"}}
}

func newLateDisk(t *testing.T, between func(d *lateDisk)) *lateDisk {
	t.Helper()
	d := &lateDisk{a: newShopfloor(t), v1: newVault("v1"), v2: newVault("v2")}
	d.held, d.another = d.a.openCase(t), d.a.openCase(t)
	d.b = d.a.join(t, "B2", d.v1.Journal)
	d.b.sync(t, d.v1.Journal)
	d.a.sync(t, d.v1.Journal)
	d.b.append(t, hold(d.held, "h1"))
	d.own = d.b.openCase(t)
	d.b.sync(t, d.v2.Journal)
	if between != nil {
		between(d)
	}
	if err := d.a.Retire(t.Context(), testOp, "B2", custody.EndLost); err != nil {
		t.Fatal(err)
	}
	d.a.sync(t, d.v1.Journal)
	return d
}

func (d *lateDisk) late(t *testing.T, s *shopfloor) *LateError {
	t.Helper()
	_, err := s.Import(t.Context(), d.v1.Journal, d.v2.Journal)
	var late *LateError
	if !errors.As(err, &late) || !errors.Is(err, ErrRetired) {
		t.Fatalf("the disk of a retired station: %v", err)
	}
	return late
}

func TestLateDiskStopsNoCaseButThoseItSpeaksOf(t *testing.T) {
	d := newLateDisk(t, nil)
	late := d.late(t, d.a)
	if late.Err != nil || late.Station != "B2" || len(late.Cases) != 2 || late.Cases[0] != d.own || late.Cases[1] != d.held || late.From != d.last(t)+1 {
		t.Errorf("%+v", late)
	}
	for range 2 { // for as long as nobody settles it
		if _, err := d.a.CaseUnderLock(t.Context(), d.another, d.v1.Journal, d.v2.Journal); err != nil {
			t.Errorf("a case that it does not speak of: %v", err)
		}
		if _, err := d.a.CaseUnderLock(t.Context(), d.held, d.v1.Journal, d.v2.Journal); !errors.Is(err, ErrRetired) {
			t.Errorf("a case that may be held: %v", err)
		}
	}
	if _, err := d.a.Case(t.Context(), d.own); !errors.Is(err, ErrNotFound) {
		t.Errorf("taken in: %v", err)
	}
	d.a.mustAudit(t)
}

// last is the place of the last event of B2 that its retirement fixes.
func (d *lateDisk) last(t *testing.T) int64 {
	t.Helper()
	shop, err := d.a.Shop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, _ := shop.Station("B2")
	return s.Retired.Last
}

func TestSomebodySettlesThatALateDiskCounts(t *testing.T) {
	d := newLateDisk(t, nil)
	c := d.a.join(t, "C3", d.v1.Journal)
	d.late(t, d.a)
	if _, err := d.a.Settle(t.Context(), testOp, Settlement{"B2", true, 0, "it lay in a drawer"}, d.v2.Journal); err != nil {
		t.Fatal(err)
	}
	if r := d.a.sync(t, d.v1.Journal, d.v2.Journal); r.Imported == 0 {
		t.Error("nothing was taken in")
	}
	held, err := d.a.CaseUnderLock(t.Context(), d.held, d.v1.Journal, d.v2.Journal)
	if err != nil || !held.Held() {
		t.Errorf("its hold: %v %v", held.Held(), err)
	}
	c.sync(t, d.v1.Journal, d.v2.Journal)
	sameState(t, d.a, c)
	d.a.mustAudit(t)
	c.mustAudit(t)
	// It speaks of that log alone: what is signed behind it does not count.
	d.b.append(t, hold(d.another, "h2"))
	d.b.sync(t, d.v2.Journal)
	if late := d.late(t, d.a); len(late.Cases) != 1 || late.Cases[0] != d.another {
		t.Errorf("%+v", late)
	}
	if _, err := d.a.Settle(t.Context(), testOp, Settlement{"B2", true, 0, "once more"}, d.v1.Journal); !errors.Is(err, custody.ErrExists) {
		t.Errorf("settled where nothing is new: %v", err)
	}
}

// The disk was stolen with the machine: what was recorded before counts, what the thief
// signed does not.
func TestSomebodySettlesThatAPartOfALateDiskCounts(t *testing.T) {
	d := newLateDisk(t, nil)
	c := d.a.join(t, "C3", d.v1.Journal)
	events, err := d.a.LateEvents(t.Context(), "B2", d.v2.Journal)
	if err != nil || len(events) == 0 || events[0].Type() != custody.TypeHoldAdded || events[0].Seq != d.last(t)+1 {
		t.Fatalf("%+v %v", events, err)
	}
	honest := events[len(events)-1].Seq
	d.b.append(t, Entry{Case: d.held, Pub: custody.HoldEnded{Hold: "h1"}, Private: map[string]string{"reason": "thief"}})
	d.b.sync(t, d.v2.Journal)
	for _, upTo := range []int64{d.last(t), honest + 2, -1} {
		if _, err := d.a.Settle(t.Context(), testOp, Settlement{"B2", true, upTo, "x"}, d.v2.Journal); !errors.Is(err, ErrNotFound) {
			t.Errorf("up to %d: %v", upTo, err)
		}
	}
	if _, err := d.a.Settle(t.Context(), testOp, Settlement{"B2", true, honest, "what we had done that day"}, d.v2.Journal); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*shopfloor{d.a, c} {
		late := d.late(t, s)
		if late.From != honest+1 || len(late.Cases) != 1 || late.Cases[0] != d.held {
			t.Errorf("%s: %+v", s.st.Name(), late)
		}
		d.a.sync(t, d.v1.Journal)
		if held, err := s.Case(t.Context(), d.held); err != nil || !held.Held() {
			t.Errorf("%s: its hold: %v %v", s.st.Name(), held.Held(), err)
		}
	}
	if _, err := d.a.Settle(t.Context(), testOp, Settlement{"B2", false, 0, "the thief's"}, d.v2.Journal); err != nil {
		t.Fatal(err)
	}
	d.a.sync(t, d.v1.Journal, d.v2.Journal)
	c.sync(t, d.v1.Journal, d.v2.Journal)
	sameState(t, d.a, c)
	if held, err := c.CaseUnderLock(t.Context(), d.held, d.v1.Journal, d.v2.Journal); err != nil || !held.Held() {
		t.Errorf("its hold: %v %v", held.Held(), err)
	}
	d.a.mustAudit(t)
	c.mustAudit(t)
}

func TestSomebodySettlesThatALateDiskDoesNotCount(t *testing.T) {
	d := newLateDisk(t, nil)
	d.late(t, d.a)
	if _, err := d.a.Settle(t.Context(), testOp, Settlement{"B2", false, 0, "stolen"}, d.v2.Journal); err != nil {
		t.Fatal(err)
	}
	d.a.sync(t, d.v1.Journal, d.v2.Journal)
	if c, err := d.a.CaseUnderLock(t.Context(), d.held, d.v1.Journal, d.v2.Journal); err != nil || c.Held() {
		t.Errorf("%v %v", c.Held(), err)
	}
	// The thief goes on: nobody has looked at that.
	d.b.append(t, hold(d.another, "h2"))
	d.b.sync(t, d.v2.Journal)
	if late := d.late(t, d.a); len(late.Cases) != 3 {
		t.Errorf("%+v", late)
	}
}

// Another station had the events, and says so in an event that it recorded before it
// knew of the end: then they are from before, and count everywhere by themselves.
func TestWhatAnotherStationSawInTimeCounts(t *testing.T) {
	var c *shopfloor
	d := newLateDisk(t, func(d *lateDisk) {
		c = d.a.join(t, "C3", d.v1.Journal)
		c.sync(t, d.v2.Journal)
		c.append(t, Entry{Pub: custody.Heartbeat{}})
	})
	// And some more that C3 takes in without ever saying so in time.
	seen := d.b.append(t, hold(d.another, "h2"))[0].Seq - 1
	if _, err := d.b.Publish(t.Context(), d.v2.Journal); err != nil {
		t.Fatal(err)
	}
	c.sync(t, d.v1.Journal)
	d.a.sync(t, d.v1.Journal)
	late := d.late(t, d.a)
	if late.From != seen+1 || len(late.Cases) != 1 {
		t.Errorf("%+v, seen were %d", late, seen)
	}
	held, err := d.a.Case(t.Context(), d.held)
	if err != nil || !held.Held() {
		t.Errorf("its hold: %v %v", held.Held(), err)
	}
	if late := d.late(t, c); late.From != seen+1 {
		t.Errorf("%+v", late)
	}
	c.sync(t, d.v1.Journal)
	d.a.sync(t, d.v1.Journal)
	if diff := cmp.Diff(d.a.state(t).Cases, c.state(t).Cases, cmp.AllowUnexported(custody.Keep{})); diff != "" {
		t.Error(diff)
	}
	d.a.mustAudit(t)
	c.mustAudit(t)
}

// Who witnesses a log names its tree, so another history in its place does not count.
func TestAnotherHistoryOfARetiredStationDoesNotCount(t *testing.T) {
	d := newLateDisk(t, func(d *lateDisk) {
		c := d.a.join(t, "C3", d.v1.Journal)
		c.sync(t, d.v2.Journal)
		c.append(t, Entry{Pub: custody.Heartbeat{}})
		c.sync(t, d.v1.Journal)
	})
	d.v2.signAnew(t, d.b.st, d.last(t)+1, func(text []byte) []byte { return bytes.Replace(text, []byte(`"hold":"h1"`), []byte(`"hold":"h9"`), 1) })
	_, err := d.a.Import(t.Context(), d.v2.Journal)
	var late *LateError
	if !errors.Is(err, ErrFork) || errors.As(err, &late) {
		t.Errorf("other events in the place of those that were seen: %v", err)
	}
	if _, err := d.a.CaseUnderLock(t.Context(), d.another, d.v2.Journal); !errors.Is(err, ErrFork) {
		t.Errorf("a purge: %v", err)
	}
}

func TestBrokenJournalOfARetiredStationIsSettledToo(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, d *lateDisk){
		"a file was taken away": func(t *testing.T, d *lateDisk) {
			if err := d.v2.mem.Remove(d.v2.eventFile(t, "B2", d.last(t)+1)); err != nil {
				t.Fatal(err)
			}
		},
		"a file was changed": func(t *testing.T, d *lateDisk) {
			d.v2.tampered(t, d.v2.eventFile(t, "B2", d.last(t)+1), func(p []byte) []byte { return bytes.Replace(p, []byte("legal"), []byte("other"), 1) })
		},
		"the journal is set back": func(t *testing.T, d *lateDisk) {
			for _, name := range d.v1.mem.Names() {
				if bytes.HasPrefix([]byte(name), []byte("journal/B2/")) {
					d.v1.mem.Remove(name)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newLateDisk(t, nil)
			spoil(t, d)
			_, err := d.a.CaseUnderLock(t.Context(), d.another, d.v1.Journal, d.v2.Journal)
			if !errors.Is(err, ErrRetired) {
				t.Errorf("nobody can tell what it spoke of: %v", err)
			}
			for _, v := range []memoryVault{d.v1, d.v2} {
				whole := v == d.v2 && name == "the journal is set back"
				if whole {
					continue
				}
				if _, err := d.a.Settle(t.Context(), testOp, Settlement{"B2", true, 0, "x"}, v.Journal); err == nil {
					t.Error("settled that what cannot be read counts")
				}
			}
			for _, v := range []memoryVault{d.v1, d.v2} {
				if _, err := d.a.Settle(t.Context(), testOp, Settlement{"B2", false, 0, "the disk is broken"}, v.Journal); err != nil {
					t.Fatal(err)
				}
			}
			for _, no := range []custody.CaseNo{d.held, d.another} {
				if _, err := d.a.CaseUnderLock(t.Context(), no, d.v1.Journal, d.v2.Journal); err != nil {
					t.Error(err)
				}
			}
			d.a.mustAudit(t)
		})
	}
}

// An event of a type that this version does not know stops its station's log there:
// what came before is taken in, nothing behind it, and no purge goes on.
func TestEventOfANewerVersionStopsThere(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	no := a.openCase(t)
	b := a.join(t, "B2", v.Journal)
	b.append(t, hold(no, "h1"))
	e := b.append(t, hold(no, "h2"))[0]
	b.append(t, hold(no, "h3"))
	b.sync(t, v.Journal)
	v.signAnew(t, b.st, e.Seq, func(text []byte) []byte {
		return bytes.Replace(text, []byte(`"type":"hold.added"`), []byte(`"type":"hold.moved"`), 1)
	})
	for range 2 {
		_, err := a.Import(t.Context(), v.Journal)
		if !errors.Is(err, ErrNewerEvent) || errors.Is(err, journal.ErrMalformed) {
			t.Fatal(err)
		}
	}
	c, err := a.Case(t.Context(), no)
	if err != nil || len(c.Holds) != 1 || c.Holds[0].ID != "h1" {
		t.Errorf("%+v %v", c.Holds, err)
	}
	if _, err := a.CaseUnderLock(t.Context(), no, v.Journal); !errors.Is(err, ErrNewerEvent) {
		t.Errorf("a purge: %v", err)
	}
	a.mustAudit(t)
}

// signAnew changes an event of a station in its journal, and signs it and everything
// behind it as if the station had recorded it so.
func (v memoryVault) signAnew(t *testing.T, st Station, from int64, change func([]byte) []byte) {
	t.Helper()
	files, _, err := v.Files(st.Name())
	if err != nil {
		t.Fatal(err)
	}
	g := newGrowing(tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return nil, ErrCorrupt }), 0)
	var prev custody.Hash
	for _, f := range files {
		msg, err := v.mem.Read(f.Name(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := noteText(msg)
		switch {
		case f.Seq == from:
			text = change(text)
		case f.Seq > from:
			e, err := custody.DecodeEvent(text)
			if err != nil {
				t.Fatal(err)
			}
			e.Prev = prev
			if text, err = e.Encode(); err != nil {
				t.Fatal(err)
			}
		}
		if f.Seq >= from {
			if msg, err = st.SignNote(string(text)); err != nil {
				t.Fatal(err)
			}
			v.mem.Remove(f.Name())
			v.mem.Write(journal.FileOf(custody.Ref{Station: st.Name(), Seq: f.Seq}, custody.Leaf(text)).Name(), msg)
		}
		prev = custody.Leaf(text)
		if err := g.add(prev); err != nil {
			t.Fatal(err)
		}
	}
	root, err := g.root()
	if err != nil {
		t.Fatal(err)
	}
	msg, err := st.SignNote(custody.Checkpoint{Origin: st.Origin(), Size: g.size, Root: root}.Text())
	if err != nil {
		t.Fatal(err)
	}
	if err := v.WriteCheckpoint(st.Name(), msg); err != nil {
		t.Fatal(err)
	}
}

// Who has the key of a retired station can sign its past anew, as many events as the
// retirement counts. A station that comes later believes none of it: the event that
// retires the station names the tree of those events. A station that knew them finds the
// other history.
func TestStolenKeyRewritesThePastOfARetiredStation(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	no := a.openCase(t)
	b := a.join(t, "B2", v.Journal)
	c := &shopfloor{path: filepath.Join(privateDir(t), "ledger.db"), st: newStation(t, "C3"), clock: a.clock}
	code, err := AskToJoin(v.Journal, c.st)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Approve(t.Context(), testOp, "C3", code, v.Journal); err != nil {
		t.Fatal(err)
	}
	e := b.append(t, hold(no, "h1"))[0]
	b.append(t, Entry{Pub: custody.Heartbeat{}})
	b.sync(t, v.Journal)
	// Between taking in and retiring T1 records nothing that would name what it holds.
	a.sync(t, v.Journal)
	if err := a.Retire(t.Context(), testOp, "B2", custody.EndStolen); err != nil {
		t.Fatal(err)
	}
	a.sync(t, v.Journal)
	v.signAnew(t, b.st, e.Seq, func(text []byte) []byte { return bytes.Replace(text, []byte(`"hold":"h1"`), []byte(`"hold":"h9"`), 1) })

	if _, err := a.Import(t.Context(), v.Journal); !errors.Is(err, ErrFork) {
		t.Errorf("the station that knew the events: %v", err)
	}
	root, _, err := v.Shop()
	if err != nil {
		t.Fatal(err)
	}
	l, result, err := Join(t.Context(), c.path, c.st, root, a.clock.now, v.Journal)
	if err != nil {
		t.Fatal(err)
	}
	c.Ledger = l
	defer c.Close()
	if !errors.Is(refused(result.Refusals), ErrFork) {
		t.Errorf("a station that joins hears of nothing: %v", result.Refusals)
	}
	for range 2 {
		if _, err := c.CaseUnderLock(t.Context(), no, v.Journal); !errors.Is(err, ErrFork) {
			t.Errorf("a purge: %v", err)
		}
	}
	if size, _, err := logEnd(t.Context(), c.db, "B2"); err != nil || size >= e.Seq {
		t.Errorf("%d events of the other history are in its log: %v", size, err)
	}
	c.mustAudit(t)
}
