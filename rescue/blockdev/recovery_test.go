package blockdev

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/rescue/blockdev/sysblock"
)

// ercDisk answers the ATA commands of error recovery control.
type ercDisk struct {
	timer  uint16
	floor  uint16 // it takes no less, but 0
	none   bool   // it knows nothing of it
	fixed  bool   // its bridge gives sense data in fixed format
	mute   bool   // its bridge gives none
	writes int
}

func (d *ercDisk) do(c *sgCommand) error {
	switch c.cdb[14] {
	case 0xEC:
		if !d.none {
			binary.LittleEndian.PutUint16(c.data[2*206:], 0x003D)
		}
		return nil
	case 0xB0:
		var key [4]uint16
		for i := range key {
			key[i] = binary.LittleEndian.Uint16(c.data[2*i:])
		}
		if !c.out || c.cdb[4] != 0xD6 || c.cdb[8] != 0xE0 || key[0] != 3 || key[2] != 1 {
			return errors.New("not a command of error recovery control for reads")
		}
		if key[1] == 1 {
			d.writes++
			if key[3] != 0 && key[3] < d.floor {
				key[3] = d.floor
			}
			d.timer = key[3]
		}
		c.status = statusCheckCondition
		low, high := byte(d.timer), byte(d.timer>>8)
		switch {
		case d.mute:
			c.sense = []byte{0x70, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		case d.fixed:
			c.sense = []byte{0x70, 0, 1, 0, 0x50, 0, low, 10, 0, high, 0x4F, 0xC2, 0x00, 0x1D, 0, 0, 0, 0}
		default:
			c.sense = []byte{0x72, 1, 0, 0x1D, 0, 0, 0, 14, 9, 12, 0, 0, 0, low, 0, high, 0, 0x4F, 0, 0xC2, 0, 0x50}
		}
		return nil
	}
	return errors.New("unknown command")
}

func TestDiskIsToldToAnswerInTimeAndPutBack(t *testing.T) {
	id := Identity{Model: "M", Serial: "S"}
	for _, tc := range []struct {
		name   string
		d      ercDisk
		during uint16
	}{
		{"without a limit", ercDisk{}, patience},
		{"a long one", ercDisk{timer: 300}, patience},
		{"in fixed format", ercDisk{timer: 300, fixed: true}, patience},
		{"short enough", ercDisk{timer: 50}, 50},
		{"takes other times only", ercDisk{timer: 300, floor: 100}, 100},
		{"knows nothing of it", ercDisk{none: true, timer: 9}, 9},
		{"does not say", ercDisk{mute: true, timer: 300}, 300},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, dir, d := machine(t), t.TempDir(), tc.d
			undo := h.hurry(d.do, id, dir)
			if d.timer != tc.during {
				t.Errorf("%d tenths of a second", d.timer)
			}
			if d.timer == tc.d.timer && d.writes > 0 {
				t.Error("set without need")
			}
			if d.timer != patience {
				if undo != nil {
					t.Error("something to undo")
				}
				return
			}
			if undo == nil {
				t.Fatal("nothing to undo it with")
			}
			if err := undo(); err != nil || d.timer != tc.d.timer {
				t.Errorf("%v; %d tenths of a second", err, d.timer)
			}
			if left := sysblock.Entries(dir); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestPatienceOfADiskThatWasAwayIsNotForgotten(t *testing.T) {
	h, dir, d := machine(t), t.TempDir(), &ercDisk{timer: 300}
	id := Identity{Model: "M", Serial: "S"}
	if h.hurry(d.do, id, dir) == nil || d.timer != patience {
		t.Fatal("not set")
	}
	// The run was killed, or the disk unplugged with its power on; here is the next one.
	undo := h.hurry(d.do, id, dir)
	if undo == nil || d.timer != patience {
		t.Fatal("not set")
	}
	if err := undo(); err != nil || d.timer != 300 {
		t.Errorf("%v; %d tenths of a second", err, d.timer)
	}
	// What somebody else has set meanwhile is theirs.
	undo = h.hurry(d.do, id, dir)
	d.timer = 65
	if err := undo(); err != nil || d.timer != 65 {
		t.Errorf("%v; %d tenths of a second", err, d.timer)
	}
	if h.hurry(d.do, Identity{Model: "M"}, dir) != nil {
		t.Error("a disk that cannot be known again")
	}
}

func TestEveryRecordIsPutBackAtTheNextStart(t *testing.T) {
	h, dir := machine(t), t.TempDir()
	write(t, filepath.Join(h.Proc, "sys/kernel/random/boot_id"), "0b1c\n")
	if err := h.putBackAll(t.Context(), filepath.Join(dir, "none")); err != nil {
		t.Errorf("without a directory: %v", err)
	}
	away := recovery{Version: recordVersion, Boot: h.boot(), Disk: diskHash(Identity{Serial: "AWAY"}), Old: 0, New: patience}
	before := away
	before.Boot = "an earlier start"
	for name, r := range map[string]interface{ save(string) error }{
		"gone.json":              record{Version: recordVersion, Boot: h.boot(), Name: "sdz", Number: "8:400"},
		"restarted.json":         record{Version: recordVersion, Boot: "an earlier start", Name: "sda", Number: "8:0"},
		"recovery-away.json":     away,
		"recovery-earlier.json":  before,
		"recovery-strange.json":  recovery{Version: 9},
		"strange.json":           record{Version: 9},
		".half.json123":          record{},
		"of-something-else.note": record{},
	} {
		if err := r.save(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.putBackAll(t.Context(), dir); !errors.Is(err, ErrRecord) {
		t.Errorf("%v", err)
	}
	want := []string{".half.json123", "of-something-else.note", "recovery-away.json", "recovery-strange.json", "strange.json"}
	if diff := cmp.Diff(want, sysblock.Entries(dir)); diff != "" {
		t.Error(diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.putBackAll(ctx, t.TempDir()); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
}

// TestEveryRecordIsPutBackBesideALiveRun uses real loop devices: one is in use by a
// live source, one was by a process that died.
func TestEveryRecordIsPutBackBesideALiveRun(t *testing.T) {
	dir := t.TempDir()
	open := func(name string) (*Source, string) {
		dev := loop(t, file(t, content(1<<20)))
		s, _, err := Open(dev, Options{Restore: filepath.Join(dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		return s, dev
	}
	live, liveDev := open("live.json")
	dead, deadDev := open("dead.json")
	if err := dead.at.f.Close(); err != nil { // what the end of a process does
		t.Fatal(err)
	}
	if err := PutBackAll(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"live.json"}, sysblock.Entries(dir)); diff != "" {
		t.Error(diff)
	}
	if roFlag(t, liveDev) != "1" || roFlag(t, deadDev) != "0" {
		t.Errorf("read-only: the live one %s, the dead one %s", roFlag(t, liveDev), roFlag(t, deadDev))
	}
	if err := live.Close(); err != nil || len(sysblock.Entries(dir)) != 0 {
		t.Errorf("%v; %v", err, sysblock.Entries(dir))
	}
}

func TestHealthAsJSONIsWhatIsKnown(t *testing.T) {
	h := unknownHealth
	h.Temperature, h.Pending, h.Unreadable, h.Warning = 34, 0, 7, 4
	b, err := json.Marshal(map[string]*Health{"before": &h, "after": nil})
	if want := `{"after":null,"before":{"critical_warning":4,"pending":0,"temperature":34,"uncorrectable":7}}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	var got struct{ Before, After *Health }
	if err := json.Unmarshal(b, &got); err != nil || got.After != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h, *got.Before); diff != "" {
		t.Error(diff)
	}
	if err := json.Unmarshal([]byte(`{"hours":"many"}`), &h); err == nil {
		t.Error("no number")
	}
}

func FuzzRegisters(f *testing.F) {
	f.Add([]byte{0x72, 1, 0, 0x1D, 0, 0, 0, 14, 9, 12, 0, 0, 0, 70, 0, 0, 0, 0x4F, 0, 0xC2, 0, 0x50})
	f.Add([]byte{0x70, 0, 1, 0, 0x50, 0, 70, 10, 0, 0, 0x4F, 0xC2, 0x00, 0x1D})
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := registers(b); err != nil && v != 0 {
			t.Errorf("%d with %v", v, err)
		}
	})
}
