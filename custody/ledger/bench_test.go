package ledger

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"salvor/custody"
)

// bigLedger has many cases, each with its opening, an image, ten openings of
// its data and its erasing: 18 events a case.
func bigLedger(b *testing.B, cases int) *shopfloor {
	b.Helper()
	s := newShopfloor(b)
	// The bench measures reading; nothing that it writes needs to survive.
	run(b, s.db, `PRAGMA synchronous = OFF`)
	for range cases {
		no, err := s.OpenCase(context.Background(), testOp, 2026, func(no custody.CaseNo) []Entry {
			entries := append(s.opening(no), s.started(no, "image-01"))
			for range 10 {
				entries = append(entries, Entry{
					Case: no, Pub: custody.DataOpened{Image: "image-01", Use: custody.UseMount},
					Private: map[string]string{"reason": "photos"},
				})
			}
			return entries
		})
		if err != nil {
			b.Fatal(err)
		}
		s.erase(b, no, "image-01")
	}
	run(b, s.db, `PRAGMA synchronous = FULL`)
	return s
}

func BenchmarkAppend(b *testing.B) {
	s := newShopfloor(b)
	for b.Loop() {
		s.append(b, Entry{Pub: custody.Heartbeat{}})
	}
}

func BenchmarkOpenCase(b *testing.B) {
	s := newShopfloor(b)
	for b.Loop() {
		s.openCase(b)
	}
}

// BenchmarkShow opens a ledger and shows one case, as the command does.
func BenchmarkShow(b *testing.B) {
	for _, cases := range []int{10, 3000} {
		s := bigLedger(b, cases)
		info, err := os.Stat(s.path)
		if err != nil {
			b.Fatal(err)
		}
		name := fmt.Sprintf("%d-cases-%d-MB", cases, info.Size()/1e6)
		b.Run("case/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Case(b.Context(), "T1-2026-0007"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("open-and-case/"+name, func(b *testing.B) {
			for b.Loop() {
				l, err := Open(b.Context(), s.path, s.st, s.clock.now)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := l.Case(b.Context(), "T1-2026-0007"); err != nil {
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
		b.Run("cases/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Cases(b.Context(), Filter{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("audit/"+name, func(b *testing.B) {
			var events int64
			for b.Loop() {
				events += s.mustAudit(b).Events
			}
			b.ReportMetric(float64(b.Elapsed())/float64(events)/float64(time.Microsecond), "µs/event")
		})
	}
}
