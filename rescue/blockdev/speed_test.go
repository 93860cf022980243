package blockdev

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"salvor/rescue"
	"salvor/rescue/mapfile"
)

var speedFlag = flag.Bool("speed", false, "compare a healthy 2 GiB loop device with dd")

// TestHealthyDeviceIsReadAsFastAsDD reads a loop device with dd and with the engine by
// turns, into the same kind of file, and says how they compare. It judges nothing: that
// is for a machine that does nothing else.
func TestHealthyDeviceIsReadAsFastAsDD(t *testing.T) {
	if !*speedFlag {
		t.Skip("needs -speed")
	}
	dir := t.TempDir()
	img := filepath.Join(dir, "disk.img")
	run(t, "dd", "if=/dev/urandom", "of="+img, "bs=1M", "count=2048", "status=none")
	dev := loop(t, img, "--direct-io=off")
	seconds := map[string]float64{}
	for round := range 4 {
		for _, how := range []string{"dd", "engine"} {
			out := filepath.Join(dir, "out")
			_ = os.Remove(out)
			began := time.Now()
			if how == "dd" {
				if out, err := exec.Command("dd", "if="+dev, "of="+out, "bs=1M", "iflag=direct", "status=none").CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			} else {
				s, id, err := Open(dev, Options{})
				if err != nil {
					t.Fatal(err)
				}
				f, err := os.Create(out)
				if err != nil {
					t.Fatal(err)
				}
				sink := &copySink{f: f, sector: int64(id.Sector), seen: mapfile.New(id.Info().Sectors())}
				o, err := rescue.Run(t.Context(), s, sink, mapfile.New(id.Info().Sectors()), rescue.Options{Now: time.Now, After: time.After})
				if err != nil || !o.Complete() {
					t.Fatal(o, err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				f.Close()
			}
			took := time.Since(began).Seconds()
			t.Logf("round %d: %s: %.0f MB/s", round, how, 2147.483648/took)
			if round > 0 { // the first one fills the page cache
				seconds[how] += took
			}
		}
	}
	t.Logf("engine / dd: %.3f", seconds["dd"]/seconds["engine"])
}
