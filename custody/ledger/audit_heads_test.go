package ledger

import (
	"testing"

	"pgregory.net/rapid"

	"salvor/custody"
)

// namesAllAnew says the same as known.namesAll, for each event from the beginning.
func namesAllAnew(e custody.Event, events []custody.Event, sane func(custody.Ref) bool) bool {
	heads := make(map[custody.Ref]bool)
	for _, x := range events {
		if knew(e, x.Ref()) {
			heads[x.Ref()] = true
		}
	}
	for _, x := range events {
		if !knew(e, x.Ref()) {
			continue
		}
		for _, r := range x.CaseHeads {
			if !sane(r) {
				return true
			}
			delete(heads, r)
		}
	}
	for _, r := range e.CaseHeads {
		if !sane(r) {
			return true
		}
	}
	if len(e.CaseHeads) != len(heads) {
		return false
	}
	for _, r := range e.CaseHeads {
		if !heads[r] {
			return false
		}
	}
	return true
}

func TestNamesOfACaseAreTheSameHoweverTheyAreCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stations := []string{"T1", "T2", "T3"}
		last := map[string]int64{}
		var events []custody.Event
		damaged := map[custody.Ref]bool{}
		sane := func(r custody.Ref) bool { return !damaged[r] }
		ref := rapid.Custom(func(t *rapid.T) custody.Ref {
			return custody.Ref{Station: rapid.SampledFrom(stations).Draw(t, "station"), Seq: rapid.Int64Range(1, 12).Draw(t, "seq")}
		})
		honest := rapid.Bool().Draw(t, "honest")
		for range rapid.IntRange(1, 24).Draw(t, "events") {
			e := custody.Event{Station: rapid.SampledFrom(stations).Draw(t, "of"), Heads: map[string]custody.Head{}}
			last[e.Station] += rapid.Int64Range(1, 2).Draw(t, "step")
			e.Seq = last[e.Station]
			for _, s := range stations {
				if s == e.Station {
					continue
				}
				size := last[s]
				if !honest || rapid.IntRange(0, 4).Draw(t, "late") == 0 {
					size = rapid.Int64Range(0, last[s]+1).Draw(t, "size")
				}
				if size > 0 {
					e.Heads[s] = custody.Head{Size: size}
				}
			}
			// Most name what they must, so that both answers are seen.
			for _, x := range events {
				named := !knew(e, x.Ref())
				for _, y := range events {
					for _, r := range y.CaseHeads {
						named = named || knew(e, y.Ref()) && r == x.Ref()
					}
				}
				if !named {
					e.CaseHeads = append(e.CaseHeads, x.Ref())
				}
			}
			if rapid.IntRange(0, 5).Draw(t, "wrong") == 0 {
				e.CaseHeads = rapid.SliceOfN(ref, 0, 3).Draw(t, "heads")
			}
			events = append(events, e)
		}
		if rapid.IntRange(0, 3).Draw(t, "damage") == 0 {
			damaged[ref.Draw(t, "damaged")] = true
		}
		events = rapid.Permutation(events).Draw(t, "arrival")
		k := newKnown(events, sane)
		for _, e := range events {
			if got, want := k.namesAll(e), namesAllAnew(e, events, sane); got != want {
				t.Fatalf("%s: %t, counted anew %t", e.Ref(), got, want)
			}
		}
	})
}
