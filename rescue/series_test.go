package rescue_test

import (
	"testing"
	"testing/synctest"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
	"salvor/rescue/mapfile"
)

// TestSectorsAroundABadOneAreHandedOverTogether reads a disk that does not say which
// sector failed: a stretch around it is read sector by sector, and each piece that is
// handed over costs a record in the image.
func TestSectorsAroundABadOneAreHandedOverTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := disk(8, faulty.Fault{First: 5000, Sectors: 1})
		plan.Sense, plan.Partial = false, false
		d := faulty.New(plan)
		sink, m := newMemory(d.Info()), mapfile.New(d.Info().Sectors())
		out, err := rescue.Run(t.Context(), d, sink, m, options())
		if err != nil || out.Stop != rescue.Finished {
			t.Fatalf("Run: %v, %v", out.Stop, err)
		}
		sink.verify(t, d.Info(), m)
		if out.Reads < 50 {
			t.Errorf("%d reads: the disk is not read by the sector, and this test shows nothing", out.Reads)
		}
		if sink.writes > 24 {
			t.Errorf("%d pieces handed over of %d reads", sink.writes, out.Reads)
		}
	})
}
