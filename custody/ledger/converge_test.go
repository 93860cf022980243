package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"salvor/custody"
	"salvor/custody/journal"
)

// Three stations and two vaults, of which one is mostly away: whatever they do
// and in whatever order they meet the vaults, in the end they agree, and so does a
// ledger that is rebuilt from nothing.
func TestStationsConvergeWhateverTheOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		vaults := []memoryVault{newVault("v1"), newVault("v2")}
		a := newShopfloor(t)
		defer a.Close()
		stations := []*shopfloor{a, a.join(t, "B2", vaults[0].Journal), a.join(t, "N3", vaults[0].Journal)}
		for _, s := range stations {
			defer s.Close()
			s.sync(t, vaults[0].Journal) // so that everybody knows everybody
		}
		var cases []custody.CaseNo
		holds := 0
		steps := rapid.IntRange(5, 25).Draw(rt, "steps")
		for range steps {
			s := rapid.SampledFrom(stations).Draw(rt, "station")
			switch rapid.SampledFrom([]string{"open", "hold", "end", "sync", "sync", "shorten", "erase"}).Draw(rt, "what") {
			case "open":
				no := s.openCase(t)
				s.startImage(t, no, "image-01")
				cases = append(cases, no)
			case "hold", "end", "shorten", "erase":
				if len(cases) == 0 {
					continue
				}
				no := rapid.SampledFrom(cases).Draw(rt, "case")
				c, err := s.Case(t.Context(), no)
				if errors.Is(err, ErrNotFound) {
					continue
				}
				if err != nil {
					rt.Fatal(err)
				}
				holds++
				entry := Entry{Case: no, Pub: custody.HoldAdded{Hold: fmt.Sprintf("h%d", holds), Kind: custody.HoldLegal, Review: "2027-01-01"}}
				switch {
				case holds%3 == 0 && c.Held():
					i := slices.IndexFunc(c.Holds, custody.Hold.Active)
					entry.Pub = custody.HoldEnded{Hold: c.Holds[i].ID}
				case holds%5 == 0:
					entry.Pub = custody.DeadlineShortened{Deadline: custody.At(c.Deadline.AddDate(0, 0, -1))}
				case holds%7 == 0 && !c.Held():
					if err := s.ErasePrivate(t.Context(), testOp, no); err != nil {
						rt.Fatal(err)
					}
					continue
				}
				s.append(t, entry)
			case "sync":
				s.sync(t, rapid.SampledFrom(vaults).Draw(rt, "vault").Journal)
			}
			s.clock.add(1e9 * 60)
		}
		both := []*journal.Journal{vaults[0].Journal, vaults[1].Journal}
		for range 3 {
			for _, s := range stations {
				s.sync(t, both...)
			}
		}
		for _, s := range stations[1:] {
			sameState(t, a, s)
			s.mustAudit(t)
		}
		root := a.st.Card()
		again := &shopfloor{path: filepath.Join(privateDir(t), "ledger.db"), st: stations[1].st, clock: a.clock}
		l, _, err := Rebuild(t.Context(), again.path, again.st, a.clock.now, RebuildOptions{Shop: &root}, both...)
		if err != nil {
			rt.Fatal(err)
		}
		defer l.Close()
		again.Ledger = l
		sameState(t, a, again)
		again.mustAudit(t)
		if t.Failed() {
			rt.FailNow()
		}
	})
}

// A bench that is mostly away sets holds while the NAS purges: no hold that was
// acknowledged is ever missed, and none that was not is lost. (The numbers are
// small here; with -rapid.checks they grow.)
func TestPublishFirstLosesNoHold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := newVault("v1")
		nas := newShopfloor(t)
		defer nas.Close()
		no := nas.openCase(t)
		nas.startImage(t, no, "image-01")
		bench := nas.join(t, "B2", v.Journal)
		defer bench.Close()
		away := false
		v.files.Fail = nil
		asked, acked := 0, make(map[string]bool)
		for range rapid.IntRange(5, 40).Draw(rt, "moments") {
			switch rapid.SampledFrom([]string{"leave", "return", "hold", "hold", "purge"}).Draw(rt, "what") {
			case "leave":
				away = true
			case "return":
				away = false
			case "hold":
				asked++
				id := fmt.Sprintf("h%d", asked)
				there := []*journal.Journal{v.Journal}
				if away {
					there = nil
				}
				_, err := bench.PublishFirst(t.Context(), testOp, no, there, Entry{Case: no, Pub: custody.HoldAdded{Hold: id, Kind: custody.HoldLegal, Review: "2027-01-01"}})
				if away != errors.Is(err, ErrUnpublished) {
					rt.Fatalf("away %v: %v", away, err)
				}
				acked[id] = err == nil
				if err == nil { // with it goes everything that waited
					for id := range acked {
						acked[id] = true
					}
				}
			case "purge":
				c, err := nas.CaseUnderLock(t.Context(), no, v.Journal)
				if err != nil {
					rt.Fatal(err)
				}
				for id, ok := range acked {
					known := slices.ContainsFunc(c.Holds, func(h custody.Hold) bool { return h.ID == id && h.Active() })
					if ok && !known {
						rt.Fatalf("%s was acknowledged and the purge does not know it", id)
					}
				}
			}
		}
		bench.sync(t, v.Journal)
		c, err := nas.CaseUnderLock(t.Context(), no, v.Journal)
		if err != nil || len(c.Holds) != asked {
			rt.Fatalf("%d holds of %d: %v", len(c.Holds), asked, err)
		}
	})
}

// Publishing that fails or is killed at any moment leaves a journal that the next
// sync completes, and that no reader takes for more than it is.
func TestPublishingCanStopAnywhere(t *testing.T) {
	a, clean := newShopfloor(t), newVault("v1")
	no := a.openCase(t)
	b := a.join(t, "B2", clean.Journal)
	for stop := 1; ; stop++ {
		v := newVault(fmt.Sprintf("v%d", stop+1)) // another each time: what was seen in one has to stay there
		n := 0
		v.files.Fail = func(op, _ string) error {
			if op == "list" || op == "read" {
				return nil
			}
			if n++; n >= stop {
				return &fs.PathError{Op: op, Path: "v1", Err: unix.EIO}
			}
			return nil
		}
		run(t, a.db, `DELETE FROM journals`)
		_, err := a.Publish(t.Context(), v.Journal)
		if err != nil && !errors.Is(err, unix.EIO) {
			t.Fatalf("stopped at %d: %v", stop, err)
		}
		v.files.Fail = nil
		if _, ierr := b.Import(t.Context(), v.Journal); ierr != nil && !errors.Is(ierr, ErrRollback) {
			t.Fatalf("stopped at %d: import: %v", stop, ierr)
		}
		run(t, a.db, `DELETE FROM journals`)
		a.sync(t, v.Journal)
		root := a.st.Card()
		l, r, rerr := Rebuild(t.Context(), filepath.Join(privateDir(t), "ledger.db"), a.st, a.clock.now, RebuildOptions{Shop: &root}, v.Journal)
		if rerr != nil || r.Opened != 3 {
			t.Fatalf("stopped at %d: rebuild: %v, %d private parts", stop, rerr, r.Opened)
		}
		if _, cerr := l.Case(t.Context(), no); cerr != nil {
			t.Fatal(cerr)
		}
		l.Close()
		if err == nil {
			if stop < 10 {
				t.Errorf("only %d moments", stop)
			}
			return
		}
	}
}

// Several commands run at once on one station, and others read meanwhile: no
// checkpoint goes back, and nobody raises an alarm.
func TestCommandsOfOneStationPublishAtOnce(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	b := a.join(t, "B2", v.Journal)
	var wg sync.WaitGroup
	for range 3 {
		l, err := Open(t.Context(), a.path, a.st, a.clock.now)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer l.Close()
			for range 8 {
				_, err := l.Append(t.Context(), testOp, Entry{Pub: custody.Heartbeat{}})
				if err == nil {
					_, err = l.Sync(t.Context(), v.Journal)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 8 {
		b.append(t, Entry{Pub: custody.Heartbeat{}})
		b.sync(t, v.Journal)
	}
	wg.Wait()
	b.sync(t, v.Journal)
	a.sync(t, v.Journal)
	sameState(t, a, b)
	b.mustAudit(t)
}
