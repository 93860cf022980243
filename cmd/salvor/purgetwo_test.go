package main

import (
	"os"
	"testing"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

// TestWhatAnotherStationErasedMeanwhileIsNotMissing lets another station purge between
// the moment in which a run made its list and the one in which it comes to the image.
func TestWhatAnotherStationErasedMeanwhileIsNotMissing(t *testing.T) {
	b := newBench(t, 1<<20)
	b.must(b.imageArgs()...)
	nas := b.join("NAS")
	t.Setenv("SALVOR_STATE", b.state)
	t.Setenv("SALVOR_OPERATOR", "jan")
	p := newProgram(ui.Standard(time.Now, os.LookupEnv))
	if err := p.withStation(t.Context(), func(s *station) error {
		op, err := s.operator(t.Context(), custody.TypeEraseStarted)
		if err != nil {
			return err
		}
		run := &purgeRun{station: s, op: op.ID}
		work, err := s.dueWork(t.Context(), op.ID, purgeOptions{})
		if err != nil || len(work) != 1 {
			t.Fatalf("%d due, %v", len(work), err)
		}
		nas.must("purge")
		run.one(t.Context(), work[0])
		if len(run.errs) > 0 || run.results[0].Outcome != "erased" || run.results[0].Attest == "" {
			t.Errorf("%+v, %v", run.results, run.errs)
		}
		c, err := s.ledger.Case(t.Context(), work[0].c.No)
		if err != nil {
			return err
		}
		if e := c.Images[0].Erase; e == nil || run.results[0].Virtual != e.Virtual {
			t.Errorf("on a virtual device: %v, recorded %+v", run.results[0].Virtual, e)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	b.must("audit", "--full")
}
