package blockdev

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/rescue"
	"salvor/rescue/blockdev/passthrough"
)

// smartData is an answer to SMART READ DATA with those raw values.
func smartData(attributes map[byte]uint64) []byte {
	b := make([]byte, 512)
	b[0] = 16
	at := 2
	for id, raw := range attributes {
		var v [8]byte
		binary.LittleEndian.PutUint64(v[:], raw)
		b[at] = id
		copy(b[at+5:], v[:6])
		at += 12
	}
	sum := byte(0)
	for _, c := range b {
		sum += c
	}
	b[511] = -sum
	return b
}

func TestATAHealthIsWhatVendorsAgreeOn(t *testing.T) {
	b := smartData(map[byte]uint64{
		5: 8, 9: 0x0001_02_00_3039, 187: 3, 190: 30, 194: 0x002D_0014_0022, 197: 16, 198: 2, 199: 1, 240: 99,
	})
	got, err := parseSMART(b)
	if err != nil {
		t.Fatal(err)
	}
	want := Health{Temperature: 34, PowerOnHours: 12345, Reallocated: 8, Pending: 16, Unreadable: 3, LinkErrors: 1, WornPercent: -1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s := got.String(); s != "34 °C, 12345 h, 8 reallocated, 16 pending, 3 unreadable, 1 link errors" {
		t.Error(s)
	}
	b[100]++
	for _, bad := range [][]byte{b, nil, make([]byte, 512), b[:100]} {
		if h, err := parseSMART(bad); err == nil {
			t.Errorf("believed: %+v", h)
		}
	}
}

func TestATAHealthIsNotWhatABridgeMakesUp(t *testing.T) {
	for name, tc := range map[string]struct {
		a       answer
		missing int
	}{
		"refused":     {answer{sense: noCommand}, 512},
		"cut short":   {answer{}, 100},
		"not filled":  {answer{}, 0},
		"unreachable": {answer{host: didNoConnect}, 512},
	} {
		h, err := ataHealth(func(c *sgCommand) error {
			c.host, c.missing = tc.a.host, tc.missing
			if tc.a.sense != "" {
				c.status, c.sense = statusCheckCondition, unhex(t, tc.a.sense)
			}
			return nil
		})
		if err == nil {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

func TestNVMeHealth(t *testing.T) {
	h, err := nvmeHealth(func(to passthrough.Queue, c passthrough.NVMeCommand) (nvmeStatus, error) {
		if to != passthrough.Admin || c.Opcode != 2 || c.CDW[0] != 127<<16|2 || c.Namespace != 0xFFFFFFFF {
			t.Errorf("%#x %+v", to, c)
		}
		b := c.Data
		b[0], b[5] = 4, 103
		binary.LittleEndian.PutUint16(b[1:], 273+41)
		binary.LittleEndian.PutUint64(b[128:], 20000)
		binary.LittleEndian.PutUint64(b[160:], 7)
		return 0, nil
	})
	want := Health{Temperature: 41, PowerOnHours: 20000, Reallocated: -1, Pending: -1, Unreadable: 7, LinkErrors: -1, WornPercent: 103, Warning: 4}
	if diff := cmp.Diff(want, h); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if s := h.String(); s != "41 °C, 20000 h, 7 unreadable, 103 % worn, warning 0x4" {
		t.Error(s)
	}
	if _, err := nvmeHealth(func(passthrough.Queue, passthrough.NVMeCommand) (nvmeStatus, error) { return 0x002, nil }); err == nil {
		t.Error("a refusal is no health")
	}
}

func TestHealthIsAwaitedForTwoSecondsAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plug{}
		s := p.source(newDisk(), Options{After: time.After})
		var asked atomic.Int32
		back := make(chan struct{})
		s.at.health = func() (Health, error) {
			asked.Add(1)
			<-back
			return Health{}, nil
		}
		began := time.Now()
		if _, err := s.Health(t.Context()); !errors.Is(err, ErrNoHealth) || time.Since(began) != healthLimit {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := s.Health(t.Context()); !errors.Is(err, ErrNoHealth) || asked.Load() != 1 {
			t.Errorf("%v; asked %d times", err, asked.Load())
		}
		close(back)
		if res := s.ReadAt(t.Context(), make([]byte, 512), 0, 0); res.Class != rescue.OK {
			t.Errorf("%+v", res)
		}
	})
	s, _, err := Open(file(t, content(1<<20)), Options{After: time.After})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Health(t.Context()); !errors.Is(err, ErrNoHealth) {
		t.Errorf("a file: %v", err)
	}
}

func FuzzSMART(f *testing.F) {
	f.Add(smartData(map[byte]uint64{5: 1, 194: 40}))
	f.Add(make([]byte, 512))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseSMART(b)
		if (err == nil) != (h != Health{}) {
			t.Errorf("%+v, %v", h, err)
		}
		_ = h.String()
	})
}
