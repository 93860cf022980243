package ledger

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"salvor/custody"
	"salvor/custody/journal"
)

// approved is a station that was approved through a vault and has not joined yet.
func (s *shopfloor) approved(t *testing.T, name string, v *journal.Journal) *shopfloor {
	t.Helper()
	o := &shopfloor{path: filepath.Join(privateDir(t), "ledger.db"), st: newStation(t, name), clock: s.clock}
	code, err := AskToJoin(v, o.st)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Approve(t.Context(), testOp, name, code, v); err != nil {
		t.Fatal(err)
	}
	return o
}

// A newcomer is a station that has nothing but the vault: one that joins, or one that
// lost its ledger. It hears of a retirement and of the log that was signed anew with the
// stolen key at the same time, in whatever order their stations are read.
func TestNewcomerDoesNotBelieveARewrittenJournal(t *testing.T) {
	for _, retirer := range []string{"T1", "D4"} {
		for _, come := range []string{"joins", "rebuilds T1", "rebuilds D4"} {
			t.Run(retirer+" retires, "+come, func(t *testing.T) {
				t.Parallel()
				a, v := newShopfloor(t), newVault("v1")
				no := a.openCase(t)
				at := map[string]*shopfloor{"T1": a}
				b := a.join(t, "B2", v.Journal)
				at["D4"] = a.join(t, "D4", v.Journal) // it is read behind B2
				c := a.approved(t, "C3", v.Journal)
				e := b.append(t, hold(no, "h1"))[0]
				b.append(t, Entry{Pub: custody.Heartbeat{}})
				b.sync(t, v.Journal)
				at[retirer].sync(t, v.Journal)
				if err := at[retirer].Retire(t.Context(), testOp, "B2", custody.EndStolen); err != nil {
					t.Fatal(err)
				}
				at[retirer].sync(t, v.Journal)
				v.signAnew(t, b.st, e.Seq, func(text []byte) []byte { return bytes.Replace(text, []byte(`"hold":"h1"`), []byte(`"hold":"h9"`), 1) })

				root, _, err := v.Shop()
				if err != nil {
					t.Fatal(err)
				}
				var result SyncResult
				if come == "joins" {
					c.Ledger, result, err = Join(t.Context(), c.path, c.st, root, a.clock.now, v.Journal)
				} else {
					c.st = at[come[len("rebuilds "):]].st
					c.Ledger, result, err = Rebuild(t.Context(), c.path, c.st, a.clock.now, RebuildOptions{Shop: &root}, v.Journal)
					if errors.Is(err, ErrRefused) {
						err = nil
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if !errors.Is(refused(result.Refusals), ErrFork) {
					t.Errorf("it hears of nothing: %v", result.Refusals)
				}
				for range 2 {
					if _, err := c.CaseUnderLock(t.Context(), no, v.Journal); !errors.Is(err, ErrFork) {
						t.Errorf("a purge: %v", err)
					}
				}
				if size, _, err := logEnd(t.Context(), c.db, "B2"); err != nil || size >= e.Seq {
					t.Errorf("%d events of the other history are in its log: %v", size, err)
				}
				// A station that held the true events, and lost them, misses them.
				if r, err := c.Audit(t.Context()); errors.Is(err, ErrAudit) != (come != "joins") {
					t.Errorf("%v %v", err, r.Faults)
				}
			})
		}
	}
}

// The thief can take the end of another station's journal away as well, as long as that
// station is away: a newcomer then knows of no retirement, and nothing there can tell it.
// When the station comes back it publishes the retirement again.
func TestNewcomerHearsLaterOfARetirement(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	no := a.openCase(t)
	b := a.join(t, "B2", v.Journal)
	c := a.approved(t, "C3", v.Journal)
	e := b.append(t, hold(no, "h1"))[0]
	b.append(t, Entry{Pub: custody.Heartbeat{}})
	b.sync(t, v.Journal)
	checkpoint, err := v.mem.Read(journal.CheckpointName("T1"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	a.sync(t, v.Journal)
	if err := a.Retire(t.Context(), testOp, "B2", custody.EndStolen); err != nil {
		t.Fatal(err)
	}
	a.sync(t, v.Journal)
	v.signAnew(t, b.st, e.Seq, func(text []byte) []byte { return bytes.Replace(text, []byte(`"hold":"h1"`), []byte(`"hold":"h9"`), 1) })
	if err := v.mem.Write(journal.CheckpointName("T1"), checkpoint); err != nil {
		t.Fatal(err)
	}
	root, _, err := v.Shop()
	if err != nil {
		t.Fatal(err)
	}
	if c.Ledger, _, err = Join(t.Context(), c.path, c.st, root, a.clock.now, v.Journal); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := a.Sync(t.Context(), v.Journal); !errors.Is(err, ErrFork) {
		t.Errorf("the station that retired it: %v", err)
	}
	if _, err := c.Sync(t.Context(), v.Journal); !errors.Is(err, ErrFork) {
		t.Errorf("the newcomer: %v", err)
	}
	for range 2 {
		if _, err := c.CaseUnderLock(t.Context(), no, v.Journal); !errors.Is(err, ErrMisled) {
			t.Errorf("a purge: %v", err)
		}
	}
	if r, err := c.Audit(t.Context()); !errors.Is(err, ErrAudit) {
		t.Errorf("%v %v", err, r.Faults)
	}
	// Its ledger holds what does not count. One that is made anew does not.
	c.Close()
	path := filepath.Join(privateDir(t), "ledger.db")
	if c.Ledger, _, err = Rebuild(t.Context(), path, c.st, a.clock.now, RebuildOptions{Shop: &root}, v.Journal); !errors.Is(err, ErrFork) || errors.Is(err, ErrMisled) {
		t.Errorf("made anew: %v", err)
	}
	defer c.Close()
	if size, _, err := logEnd(t.Context(), c.db, "B2"); err != nil || size >= e.Seq {
		t.Errorf("%d events of the other history are in its log: %v", size, err)
	}
}

// Who hears of a retirement, and of what the thief has recorded since, in one exchange
// believes none of that, in whatever order the stations are read.
func TestARetirementCountsForWhatIsReadWithIt(t *testing.T) {
	for _, retirer := range []string{"A1", "D4"} {
		for _, who := range []string{"a station of the shop", "a newcomer", "the station that created the shop, rebuilt"} {
			t.Run(retirer+" retires, heard by "+who, func(t *testing.T) {
				t.Parallel()
				a, v := newShopfloor(t), newVault("v1")
				no := a.openCase(t)
				by, b, c := a.join(t, retirer, v.Journal), a.join(t, "B2", v.Journal), a.join(t, "C3", v.Journal)
				newcomer := a.approved(t, "E5", v.Journal)
				for _, s := range []*shopfloor{a, b, by, c} {
					s.sync(t, v.Journal)
				}
				known, _, err := logEnd(t.Context(), c.db, "B2")
				if err != nil {
					t.Fatal(err)
				}
				if err := by.Retire(t.Context(), testOp, "B2", custody.EndStolen); err != nil {
					t.Fatal(err)
				}
				by.sync(t, v.Journal)
				b.append(t, hold(no, "h9"))
				if _, err := b.Publish(t.Context(), v.Journal); err != nil {
					t.Fatal(err)
				}
				root, _, err := v.Shop()
				if err != nil {
					t.Fatal(err)
				}
				switch who {
				case "a newcomer":
					var result SyncResult
					c = newcomer
					if c.Ledger, result, err = Join(t.Context(), c.path, c.st, root, a.clock.now, v.Journal); err == nil {
						err = refused(result.Refusals)
					}
				case "the station that created the shop, rebuilt":
					c = &shopfloor{st: a.st, clock: a.clock}
					c.Ledger, _, err = Rebuild(t.Context(), filepath.Join(privateDir(t), "ledger.db"), a.st, a.clock.now, RebuildOptions{Shop: &root}, v.Journal)
				default:
					_, err = c.Sync(t.Context(), v.Journal)
				}
				if !errors.Is(err, ErrRetired) {
					t.Errorf("it hears of nothing: %v", err)
				}
				if c.Ledger == nil {
					t.Fatal("no ledger")
				}
				defer c.Close()
				if size, _, err := logEnd(t.Context(), c.db, "B2"); err != nil || size != known {
					t.Errorf("%d events of B2, want %d: %v", size, known, err)
				}
				if x, err := c.Case(t.Context(), no); err != nil || x.Held() {
					t.Errorf("what the thief has said counts: %v", err)
				}
			})
		}
	}
}
