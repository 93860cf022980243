package ledger

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sys/unix"

	"salvor/custody"
	"salvor/custody/journal"
)

// life is what happens to a case from its opening to the erasing of everything,
// with the private parts that belong to it.
func (s *shopfloor) life(no custody.CaseNo) []Entry {
	entries := append(s.opening(no), s.started(no, "image-01"),
		Entry{Case: no, Item: "1", Pub: custody.KeyWrapped{
			Image: "image-01", Session: 1, SessionID: custody.SessionID{9}, Keystore: "v1",
			File: "keystore/" + string(no) + "/image-01/0001.age", SHA256: custody.Hash{7}, Recipients: []string{"k1", "k2"},
		}})
	paper := Entry{Case: no, Pub: custody.PaperPrinted{Kind: custody.PaperCustody, Format: custody.FormatText, Lang: custody.Dutch}}
	entries = append(entries, paper,
		Entry{Case: no, Pub: custody.ImagePaused{Image: "image-01", Rescued: 1, Why: custody.StopInterrupted}},
		Entry{Case: no, Pub: custody.ImageSealed{Image: "image-01", Root: custody.Hash{4}, Records: 5, Segments: 6, Stored: 7, Rescued: 8}},
		Entry{Case: no, Pub: custody.ImageVerified{Image: "image-01", Level: custody.VerifyMedia, OK: true}, Private: map[string]string{"sha256": "x"}})
	for range 4 {
		entries = append(entries, Entry{Case: no, Pub: custody.DataOpened{Image: "image-01", Use: custody.UseMount}, Private: map[string]string{"reason": "photos"}}, paper)
	}
	return append(entries,
		Entry{Case: no, Pub: custody.EraseStarted{Job: "j1", Image: "image-01"}},
		Entry{Case: no, Pub: custody.EraseDone{Job: "j1", Image: "image-01", Keys: custody.KeysComplete, Media: custody.MediaRaw}})
}

// manyCases fills a ledger past its Append, which waits for the disk: 21 events a
// case, of which one in twenty is still there with its private parts and the
// others are erased. With signed false all signatures are the first event's: they
// do not hold, and only what checks none may look.
func (s *shopfloor) manyCases(b *testing.B, cases int, signed bool) {
	b.Helper()
	ctx := context.Background()
	s.quick(b)
	const perBatch = 500
	var tail []byte
	for first := 1; first <= cases; first += perBatch {
		have, leaf, err := logEnd(ctx, s.db, "T1")
		if err != nil {
			b.Fatal(err)
		}
		t := taking{l: s.Ledger, p: s.self(), vault: "bench", have: have, result: &SyncResult{}, grown: newGrowing(treeReader(ctx, s.db, "T1"), have)}
		type kept struct {
			seq   int64
			nonce [custody.NonceSize]byte
			text  []byte
		}
		var parts []kept
		for i := first; i < first+perBatch && i <= cases; i++ {
			no, err := custody.NewCaseNo("T1", 2026, i)
			if err != nil {
				b.Fatal(err)
			}
			entries := s.life(no)
			alive := i%20 == 0
			if alive {
				entries = entries[:len(entries)-2]
			}
			var private []custody.Ref
			var heads []custody.Ref
			add := func(e Entry, pub custody.Payload) {
				seq := t.grown.size + 1
				event := custody.Event{
					ID: ulid.MustNew(uint64(seq), zeros{}).String(), Station: "T1", Seq: seq, Prev: leaf, TS: custody.At(s.clock.now().Add(time.Duration(seq) * time.Second)),
					Case: no, Item: e.Item, Op: testOp, Pub: pub, CaseHeads: heads,
				}
				text, err := custody.EncodePrivate(pub.Type(), e.Private)
				if err != nil {
					b.Fatal(err)
				}
				if text != nil {
					nonce := [custody.NonceSize]byte{byte(seq), byte(seq >> 8), byte(seq >> 16)}
					event.Commit = custody.Commit(nonce, text)
					private = append(private, event.Ref())
					if alive {
						parts = append(parts, kept{seq, nonce, text})
					}
				}
				line, err := event.Encode()
				if err != nil {
					b.Fatal(err)
				}
				msg := append(line[:len(line):len(line)], tail...)
				if signed || tail == nil {
					if msg, err = s.st.SignNote(string(line)); err != nil {
						b.Fatal(err)
					}
					tail = msg[len(line):]
				}
				leaf = custody.Leaf(line)
				if err := t.grown.add(leaf); err != nil {
					b.Fatal(err)
				}
				t.batch = append(t.batch, incoming{msg: msg, leaf: leaf, event: event})
				heads = []custody.Ref{event.Ref()}
			}
			for _, e := range entries {
				pub, _ := e.Pub.(custody.Payload)
				add(e, pub)
			}
			if !alive {
				add(Entry{}, custody.PrivateErased{Events: private})
			}
		}
		t.size = t.grown.size
		if err := s.write(ctx, func(tx queryer) error {
			if err := t.take(ctx, tx); err != nil {
				return err
			}
			found := make(map[int64]journal.Private)
			for _, p := range parts {
				found[p.seq] = journal.Private{Nonce: p.nonce, Text: p.text} // one station: n is seq
			}
			_, err := keepParts(ctx, tx, found)
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func BenchmarkAppend(b *testing.B) {
	s := newShopfloor(b)
	run(b, s.db, `PRAGMA synchronous = FULL`)
	for b.Loop() {
		s.append(b, Entry{Pub: custody.Heartbeat{}})
	}
}

func BenchmarkOpenCase(b *testing.B) {
	s := newShopfloor(b)
	run(b, s.db, `PRAGMA synchronous = FULL`)
	for b.Loop() {
		s.openCase(b)
	}
}

// BenchmarkShow shows one case, as the command does, in a ledger of a million
// events; and in a small one.
func BenchmarkShow(b *testing.B) {
	for _, cases := range []int{10, 48_000} {
		s := newShopfloor(b)
		s.manyCases(b, cases, false)
		info, err := os.Stat(s.path)
		if err != nil {
			b.Fatal(err)
		}
		name := fmt.Sprintf("%d-events-%d-MB", cases*21, info.Size()/1e6)
		b.Run("open-and-case/"+name, func(b *testing.B) {
			for b.Loop() {
				l, err := Open(b.Context(), s.path, s.st, s.clock.now)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := l.Case(b.Context(), "T1-2026-0007"); err != nil {
					b.Fatal(err)
				}
				if _, err := l.PrivateOfCase(b.Context(), "T1-2026-0007"); err != nil {
					b.Fatal(err)
				}
				if _, err := l.Shop(b.Context()); err != nil {
					b.Fatal(err)
				}
				l.Close()
			}
		})
		b.Run("due/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Cases(b.Context(), Filter{DueBy: testStart}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("append/"+name, func(b *testing.B) {
			run(b, s.db, `PRAGMA synchronous = OFF`) // what remains is ours
			for b.Loop() {
				s.append(b, Entry{Case: "T1-2026-0007", Pub: custody.HoldEnded{Hold: holdFor(b, s)}})
			}
		})
	}
}

// holdFor sets a hold that can be ended.
func holdFor(b *testing.B, s *shopfloor) string {
	id := fmt.Sprintf("h%d", s.clock.now().UnixNano())
	s.clock.add(time.Second)
	s.append(b, Entry{Case: "T1-2026-0007", Pub: custody.HoldAdded{Hold: id, Kind: custody.HoldLegal, Review: "2027-01-01"}})
	return id
}

// BenchmarkAudit audits a ledger of a hundred thousand events: everything anew,
// and as every purge does after an audit has been.
func BenchmarkAudit(b *testing.B) {
	s := newShopfloor(b)
	s.manyCases(b, 1000, true)
	s.mustAudit(b)
	for _, full := range []bool{true, false} {
		name := "again"
		if full {
			name = "full"
		}
		b.Run(name, func(b *testing.B) {
			var events int64
			before := processorTime(b)
			for b.Loop() {
				r, err := s.AuditWith(b.Context(), AuditOptions{Full: full})
				if err != nil {
					b.Fatal(err, r.Faults)
				}
				events += r.Events
			}
			// On a busy machine only the processor's own time says what one core does.
			b.ReportMetric(float64(events)/(processorTime(b)-before).Seconds(), "events/core-s")
		})
	}
}

// processorTime is what this process has used of all processors.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkImport takes a hundred thousand events in from a journal in a directory.
func BenchmarkImport(b *testing.B) {
	s := newShopfloor(b)
	s.manyCases(b, 4800, true)
	root, err := os.OpenRoot(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	// Publishing waits for the disk with every file; what is measured is reading.
	j := journal.Open("v1", root)
	st := newStation(b, "B2")
	s.append(b, Entry{Pub: st.Enrolment()})
	if err := s.introduce(b.Context(), j); err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root.Name(), ".salvor/journal/T1"), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := each(b.Context(), s.db, func(scan func(...any) error) error {
		var msg []byte
		e, err := decodeRow(func(columns ...any) error { return scan(append(columns, &msg)...) })
		if err != nil {
			return err
		}
		text, _ := noteText(msg)
		return os.WriteFile(filepath.Join(root.Name(), ".salvor", journal.FileOf(e.Ref(), custody.Leaf(text)).Name()), msg, 0o600)
	}, `SELECT `+eventColumns+`, note FROM events ORDER BY seq`); err != nil {
		b.Fatal(err)
	}
	msg, err := s.Checkpoint(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := j.WriteCheckpoint("T1", msg); err != nil {
		b.Fatal(err)
	}
	card := s.st.Card()
	before, events := processorTime(b), 0
	for b.Loop() {
		l, r, err := Join(b.Context(), filepath.Join(privateDir(b), "ledger.db"), st, card, s.clock.now, j)
		if err != nil {
			b.Fatal(err)
		}
		if r.Imported < 100_000 {
			b.Fatalf("%d events", r.Imported)
		}
		events += r.Imported
		l.Close()
		os.RemoveAll(filepath.Join(root.Name(), ".salvor/journal/B2"))
	}
	b.ReportMetric((processorTime(b)-before).Seconds()/float64(events)*100_000, "core-s/100k")
}
